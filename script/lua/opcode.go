package lua

// The compiler makes instructions of the published Lua 5.1 shape (see "A
// No-Frills Introduction to Lua 5.1 VM Instructions"): 32 bits, op 6, a 8, c 9,
// b 9, where bx are the upper 18 bits, and sbx is bx minus maxSbx. The slow
// loop runs them, and the names of variables in messages are read off them;
// the hot loop's instructions are made of them one to one (hot.go).
type instruction uint32

type opcode uint8

const (
	opMove opcode = iota
	opLoadK
	opLoadBool
	opLoadNil
	opGetUpval
	opGetGlobal
	opGetTable
	opSetGlobal
	opSetUpval
	opSetTable
	opNewTable
	opSelf
	opAdd
	opSub
	opMul
	opDiv
	opMod
	opPow
	opUnm
	opNot
	opLen
	opConcat
	opJmp
	opEq
	opLt
	opLe
	opTest
	opTestSet
	opCall
	opTailCall
	opReturn
	opForLoop
	opForPrep
	opTForLoop
	opSetList
	opClose
	opClosure
	opVararg
)

const (
	maxB   = 1<<9 - 1
	maxBx  = 1<<18 - 1
	maxSbx = maxBx >> 1
	// constBit in an operand b or c says that the rest is a constant's index.
	constBit   = 1 << 8
	maxConstRK = constBit - 1
	noReg      = 255
)

func makeABC(op opcode, a, b, c int) instruction {
	return instruction(op) | instruction(a)<<6 | instruction(c)<<14 | instruction(b)<<23
}

func makeABx(op opcode, a, bx int) instruction {
	return instruction(op) | instruction(a)<<6 | instruction(bx)<<14
}

func (i instruction) op() opcode { return opcode(i & 63) }
func (i instruction) a() int     { return int(i >> 6 & 255) }
func (i instruction) b() int     { return int(i >> 23) }
func (i instruction) c() int     { return int(i >> 14 & maxB) }
func (i instruction) bx() int    { return int(i >> 14) }
func (i instruction) sbx() int   { return int(i>>14) - maxSbx }

func (i *instruction) setA(a int)     { *i = *i&^(255<<6) | instruction(a)<<6 }
func (i *instruction) setB(b int)     { *i = *i&^(maxB<<23) | instruction(b)<<23 }
func (i *instruction) setC(c int)     { *i = *i&^(maxB<<14) | instruction(c)<<14 }
func (i *instruction) setSbx(sbx int) { *i = *i&(1<<14-1) | instruction(sbx+maxSbx)<<14 }

func isConst(rk int) bool { return rk&constBit != 0 }
