package str

// What the tests use of this package.

var AppendDigest = appendDigest
