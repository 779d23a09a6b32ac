package set

// What the tests use of this package.

const SremMembers = sremMembers
