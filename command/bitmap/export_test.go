package bitmap

// What the tests use of this package.

type BitOp = bitOp

var BitOpNames = bitOpNames

type FieldOp = fieldOp

var FindBit = findBit
var Ones = ones

const OpNot = opNot
