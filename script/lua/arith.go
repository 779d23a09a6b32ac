package lua

import "math"

// compute is the operation on numbers. A NaN that it makes of other numbers is
// negative on every processor, as on x86.
func compute(op opcode, x, y float64) float64 {
	r := operate(op, x, y)
	if positiveNaN && r != r && x == x && y == y {
		return math.Copysign(r, -1)
	}
	return r
}

func operate(op opcode, x, y float64) float64 {
	switch op {
	case opAdd:
		return x + y
	case opSub:
		return x - y
	case opMul:
		return x * y
	case opDiv:
		return x / y
	case opMod:
		return luaMod(x, y)
	case opPow:
		return luaPow(x, y)
	}
	return -x
}

// luaMod is a - floor(a/b)*b, in three roundings as the reference
// implementation does it; the conversion forbids to fuse two of them.
func luaMod(a, b float64) float64 { return a - float64(math.Floor(a/b)*b) }

func luaPow(a, b float64) float64 {
	if b == 2 {
		return a * a
	}
	if b == 0.5 && !math.IsInf(a, 0) && a > 0 {
		return math.Sqrt(a)
	}
	return pow(a, b)
}
