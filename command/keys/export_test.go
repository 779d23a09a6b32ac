package keys

// What the tests use of this package.

const MigrateTries = migrateTries

var SortScore = sortScore
