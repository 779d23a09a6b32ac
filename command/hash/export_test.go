package hash

// What the tests use of this package.

const ErrFieldsDiffer = errFieldsDiffer
