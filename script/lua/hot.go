package lua

import "runtime"

// The hot loop runs the frequent instructions and calls no function at all, so
// that the compiler keeps its state in registers (a test looks at the machine
// code). What is rare, needs memory or may fail is left to the slow loop: hot
// returns with the frame's pc at that instruction, and the slow loop runs it
// from Proto.code, where it has the same address.
//
// An instruction is 64 bits: op 8, a 12, b 12, c 12, d 20. Operands that are
// registers or constants are offsets in bytes; d is a jump's distance, a
// constant's index, or the index of the node where a constant key was found
// last (the inline cache).
const (
	hSlow uint8 = iota
	hMove
	hLoadK
	hLoadBool
	hLoadNil
	hGetUpval
	hSetUpval
	hGetGlobal
	hSetGlobal
	hGetField // key is a constant string
	hGetIndex
	hGetInt // key is a constant whole number: c
	hSetFieldR
	hSetFieldK
	hSetIndexR
	hSetIndexK
	hSelf
	hAddRR
	hAddRK
	hAddKR
	hSubRR
	hSubRK
	hSubKR
	hMulRR
	hMulRK
	hMulKR
	hDivRR
	hDivRK
	hDivKR
	hModRR
	hModRK
	hUnm
	hNot
	hLen
	hJmp
	hJmpBack
	hEqRR
	hEqRK
	hLtRR
	hLtRK
	hLtKR
	hLeRR
	hLeRK
	hLeKR
	hTest
	hTestSet
	hCall
	hReturn
	hForLoop
	hForPrep
	hTForLoop
)

func encode(op uint8, a, b, c int, d int) uint64 {
	return uint64(op) | uint64(a)<<8 | uint64(b)<<20 | uint64(c)<<32 | uint64(int64(d))<<44
}

func opA(i uint64) uint64 { return i >> 8 & 0xfff }
func opB(i uint64) uint64 { return i >> 20 & 0xfff }
func opC(i uint64) uint64 { return i >> 32 & 0xfff }
func opD(i uint64) int64  { return int64(i) >> 44 }

const maxCached = 1<<19 - 1

// remember sets the inline cache of the instruction that runs.
func (f *frame) remember(node int) {
	if node <= maxCached {
		i := &f.cl.inst.code[f.pc-1]
		*i = *i&(1<<44-1) | uint64(node)<<44
	}
}

// translate makes the hot loop's code. Instructions keep their addresses.
func translate(p *Proto) []uint64 {
	// One more than needed: the loop's pointer may stand behind the last one.
	code := make([]uint64, len(p.code)+1)
	v := valueSize
	isString := func(rk int) bool {
		return isConst(rk) && p.consts[rk&^constBit].isKind(KindString)
	}
	isNumber := func(rk int) bool {
		return isConst(rk) && p.consts[rk&^constBit].isNumber()
	}
	for pc := 0; pc < len(p.code); pc++ {
		i := p.code[pc]
		a, b, c := i.a(), i.b(), i.c()
		kb, kc := b&^constBit, c&^constBit
		h := uint64(hSlow)
		switch i.op() {
		case opMove:
			h = encode(hMove, a*v, b*v, 0, 0)
		case opLoadK:
			h = encode(hLoadK, a*v, 0, 0, i.bx())
		case opLoadBool:
			h = encode(hLoadBool, a*v, b, 0, c)
		case opLoadNil:
			h = encode(hLoadNil, a*v, b*v, 0, 0)
		case opGetUpval:
			h = encode(hGetUpval, a*v, b, 0, 0)
		case opSetUpval:
			h = encode(hSetUpval, a*v, b, 0, 0)
		case opGetGlobal:
			if i.bx() <= maxConstRK {
				h = encode(hGetGlobal, a*v, 0, i.bx()*v, 0)
			}
		case opSetGlobal:
			if i.bx() <= maxConstRK {
				h = encode(hSetGlobal, a*v, 0, i.bx()*v, 0)
			}
		case opGetTable:
			switch {
			case isString(c):
				h = encode(hGetField, a*v, b*v, kc*v, 0)
			case !isConst(c):
				h = encode(hGetIndex, a*v, b*v, c*v, 0)
			case isNumber(c):
				if n := arrayIndex(p.consts[kc].num()); n > 0 && n < 1<<12 {
					h = encode(hGetInt, a*v, b*v, n, 0)
				}
			}
		case opSetTable:
			switch {
			case isString(b) && isConst(c):
				h = encode(hSetFieldK, a*v, kb*v, kc*v, 0)
			case isString(b):
				h = encode(hSetFieldR, a*v, kb*v, c*v, 0)
			case !isConst(b) && isConst(c):
				h = encode(hSetIndexK, a*v, b*v, kc*v, 0)
			case !isConst(b):
				h = encode(hSetIndexR, a*v, b*v, c*v, 0)
			}
		case opSelf:
			if isString(c) {
				h = encode(hSelf, a*v, b*v, kc*v, 0)
			}
		case opAdd, opSub, opMul, opDiv:
			op := hAddRR + 3*uint8(i.op()-opAdd)
			switch {
			case !isConst(b) && !isConst(c):
				h = encode(op, a*v, b*v, c*v, 0)
			case !isConst(b) && isNumber(c):
				h = encode(op+1, a*v, b*v, kc*v, 0)
			case isNumber(b) && !isConst(c):
				h = encode(op+2, a*v, kb*v, c*v, 0)
			}
		case opMod:
			switch {
			case !isConst(b) && !isConst(c):
				h = encode(hModRR, a*v, b*v, c*v, 0)
			case !isConst(b) && isNumber(c):
				h = encode(hModRK, a*v, b*v, kc*v, 0)
			}
		case opUnm:
			h = encode(hUnm, a*v, b*v, 0, 0)
		case opNot:
			h = encode(hNot, a*v, b*v, 0, 0)
		case opLen:
			h = encode(hLen, a*v, b*v, 0, 0)
		case opJmp:
			op := hJmp
			if i.sbx() < 0 {
				op = hJmpBack
			}
			h = encode(op, 0, 0, 0, i.sbx())
		case opEq:
			d := p.code[pc+1].sbx() + 1
			if isConst(b) && !isConst(c) {
				b, c, kc = c, b, kb
			}
			switch {
			case !isConst(b) && !isConst(c):
				h = encode(hEqRR, a, b*v, c*v, d)
			case !isConst(b):
				h = encode(hEqRK, a, b*v, kc*v, d)
			}
		case opLt, opLe:
			d := p.code[pc+1].sbx() + 1
			op := hLtRR
			if i.op() == opLe {
				op = hLeRR
			}
			switch {
			case !isConst(b) && !isConst(c):
				h = encode(op, a, b*v, c*v, d)
			case !isConst(b) && isNumber(c):
				h = encode(op+1, a, b*v, kc*v, d)
			case isNumber(b) && !isConst(c):
				h = encode(op+2, a, kb*v, c*v, d)
			}
		case opTest:
			h = encode(hTest, a*v, 0, c, p.code[pc+1].sbx()+1)
		case opTestSet:
			h = encode(hTestSet, a*v, b*v, c, p.code[pc+1].sbx()+1)
		case opCall:
			if b > 0 {
				h = encode(hCall, a*v, b-1, c, 0)
			}
		case opReturn:
			if b > 0 {
				h = encode(hReturn, a*v, b-1, 0, 0)
			}
		case opForLoop:
			h = encode(hForLoop, a*v, 0, 0, i.sbx())
		case opForPrep:
			h = encode(hForPrep, a*v, 0, 0, i.sbx())
		case opTForLoop:
			if c <= 2 {
				h = encode(hTForLoop, a*v, 0, 0, p.code[pc+1].sbx()+1)
			}
		case opClosure:
			pc += len(p.protos[i.bx()].upvals)
			// What follows is no code; it stays hSlow and is never reached.
			code[pc-len(p.protos[i.bx()].upvals)] = h
			continue
		case opSetList:
			if c == 0 {
				pc++
				continue
			}
		}
		code[pc] = h
	}
	return code
}

// positiveNaN tells that the processor's own NaN is positive, so that 0/0 would
// print as nan and not as -nan, as on x86. The slow loop mends that.
const positiveNaN = runtime.GOARCH != "amd64" && runtime.GOARCH != "386"

// hot runs from the running frame's pc on to the next instruction that is for
// the slow loop.
func (s *State) hot() {
	// As little as possible is kept beside these six: what calls need is read
	// again there.
	f := &s.th.frames[s.th.n]
	cl := f.cl
	pc := instructionAt(first(cl.inst.code), f.pc)
	k := cl.inst.consts
	base := offset(first(s.th.stack), int(f.base))
	for {
		i := fetch(pc)
		pc = nextInstruction(pc)
		switch uint8(i) {
		case hMove:
			*at(base, opA(i)) = *at(base, opB(i))
			continue
		case hLoadK:
			*at(base, opA(i)) = *at(k, uint64(opD(i))*uint64(valueSize))
			continue
		case hLoadBool:
			v := at(base, opA(i))
			v.setBool(opB(i))
			pc = jumpBy(pc, opD(i))
			continue
		case hLoadNil:
			for j := opA(i); j <= opB(i); j += uint64(valueSize) {
				*at(base, j) = Value{}
			}
			continue
		case hGetUpval:
			*at(base, opA(i)) = *cl.upval(opB(i)).p
			continue
		case hSetUpval:
			*cl.upval(opB(i)).p = *at(base, opA(i))
			continue
		case hGetGlobal:
			t := cl.env
			if n := opD(i); n < int64(len(t.nodes)) {
				if n, key := t.node(n), at(k, opC(i)); n.key.same(*key) && !n.val.IsNil() {
					*at(base, opA(i)) = n.val
					continue
				}
			}
		case hSetGlobal:
			t := cl.env
			if n := opD(i); n < int64(len(t.nodes)) && !t.readonly {
				if n, key := t.node(n), at(k, opC(i)); n.key.same(*key) && !n.val.IsNil() {
					n.val = *at(base, opA(i))
					continue
				}
			}
		case hGetField:
			if v := at(base, opB(i)); v.n == tableBits {
				t := v.table()
				if n := opD(i); n < int64(len(t.nodes)) {
					if n, key := t.node(n), at(k, opC(i)); n.key.same(*key) && !n.val.IsNil() {
						*at(base, opA(i)) = n.val
						continue
					}
				}
			}
		case hSelf:
			if v := at(base, opB(i)); v.n == tableBits {
				t := v.table()
				if n := opD(i); n < int64(len(t.nodes)) {
					if n, key := t.node(n), at(k, opC(i)); n.key.same(*key) && !n.val.IsNil() {
						to := at(base, opA(i))
						*after(to, 1) = *v
						*to = n.val
						continue
					}
				}
			}
		case hGetIndex:
			v, key := at(base, opB(i)), at(base, opC(i))
			if v.n != tableBits {
				break
			}
			t := v.table()
			if key.isNumber() {
				x := key.float()
				j := int(x)
				if float64(j) == x && uint(j-1) < uint(len(t.arr)) {
					r := t.slot(j - 1)
					if !r.IsNil() || t.meta == nil {
						*at(base, opA(i)) = *r
						continue
					}
				}
				break
			}
			e := &s.hashes[hashSlot(*key)]
			if e.key.same(*key) && len(t.heads) > 0 {
				for j := t.head(e.hash); j > 0; {
					n := t.node(int64(j - 1))
					if n.key.same(*key) {
						if n.val.IsNil() {
							goto slow
						}
						*at(base, opA(i)) = n.val
						goto next
					}
					j = n.next
				}
			}
		case hGetInt:
			if v := at(base, opB(i)); v.n == tableBits {
				t := v.table()
				if j := opC(i); j <= uint64(len(t.arr)) {
					r := t.slot(int(j - 1))
					if !r.IsNil() || t.meta == nil {
						*at(base, opA(i)) = *r
						continue
					}
				}
			}
		case hSetFieldR:
			if v := at(base, opA(i)); v.n == tableBits {
				t := v.table()
				if n := opD(i); n < int64(len(t.nodes)) && !t.readonly {
					if n, key := t.node(n), at(k, opB(i)); n.key.same(*key) && !n.val.IsNil() {
						n.val = *at(base, opC(i))
						continue
					}
				}
			}
		case hSetFieldK:
			if v := at(base, opA(i)); v.n == tableBits {
				t := v.table()
				if n := opD(i); n < int64(len(t.nodes)) && !t.readonly {
					if n, key := t.node(n), at(k, opB(i)); n.key.same(*key) && !n.val.IsNil() {
						n.val = *at(k, opC(i))
						continue
					}
				}
			}
		case hSetIndexR, hSetIndexK:
			v, key := at(base, opA(i)), at(base, opB(i))
			if v.n != tableBits {
				break
			}
			t := v.table()
			if t.readonly {
				break
			}
			var x *Value
			if uint8(i) == hSetIndexR {
				x = at(base, opC(i))
			} else {
				x = at(k, opC(i))
			}
			if key.isNumber() {
				y := key.float()
				j := int(y)
				if float64(j) == y && uint(j-1) < uint(len(t.arr)) {
					r := t.slot(j - 1)
					if !r.IsNil() || t.meta == nil {
						r.assign(x)
						continue
					}
				}
				break
			}
			e := &s.hashes[hashSlot(*key)]
			if e.key.same(*key) && len(t.heads) > 0 {
				for j := t.head(e.hash); j > 0; {
					n := t.node(int64(j - 1))
					if n.key.same(*key) {
						if n.val.IsNil() {
							goto slow
						}
						n.val.assign(x)
						goto next
					}
					j = n.next
				}
			}
		case hAddRR:
			if x, y := at(base, opB(i)), at(base, opC(i)); x.isNumber() && y.isNumber() {
				if r := x.float() + y.float(); !positiveNaN || r == r {
					at(base, opA(i)).setNumber(r)
					continue
				}
			}
		case hAddRK:
			if x := at(base, opB(i)); x.isNumber() {
				if r := x.float() + at(k, opC(i)).float(); !positiveNaN || r == r {
					at(base, opA(i)).setNumber(r)
					continue
				}
			}
		case hAddKR:
			if y := at(base, opC(i)); y.isNumber() {
				if r := at(k, opB(i)).float() + y.float(); !positiveNaN || r == r {
					at(base, opA(i)).setNumber(r)
					continue
				}
			}
		case hSubRR:
			if x, y := at(base, opB(i)), at(base, opC(i)); x.isNumber() && y.isNumber() {
				if r := x.float() - y.float(); !positiveNaN || r == r {
					at(base, opA(i)).setNumber(r)
					continue
				}
			}
		case hSubRK:
			if x := at(base, opB(i)); x.isNumber() {
				if r := x.float() - at(k, opC(i)).float(); !positiveNaN || r == r {
					at(base, opA(i)).setNumber(r)
					continue
				}
			}
		case hSubKR:
			if y := at(base, opC(i)); y.isNumber() {
				if r := at(k, opB(i)).float() - y.float(); !positiveNaN || r == r {
					at(base, opA(i)).setNumber(r)
					continue
				}
			}
		case hMulRR:
			if x, y := at(base, opB(i)), at(base, opC(i)); x.isNumber() && y.isNumber() {
				if r := x.float() * y.float(); !positiveNaN || r == r {
					at(base, opA(i)).setNumber(r)
					continue
				}
			}
		case hMulRK:
			if x := at(base, opB(i)); x.isNumber() {
				if r := x.float() * at(k, opC(i)).float(); !positiveNaN || r == r {
					at(base, opA(i)).setNumber(r)
					continue
				}
			}
		case hMulKR:
			if y := at(base, opC(i)); y.isNumber() {
				if r := at(k, opB(i)).float() * y.float(); !positiveNaN || r == r {
					at(base, opA(i)).setNumber(r)
					continue
				}
			}
		case hDivRR:
			if x, y := at(base, opB(i)), at(base, opC(i)); x.isNumber() && y.isNumber() {
				if r := x.float() / y.float(); !positiveNaN || r == r {
					at(base, opA(i)).setNumber(r)
					continue
				}
			}
		case hDivRK:
			if x := at(base, opB(i)); x.isNumber() {
				if r := x.float() / at(k, opC(i)).float(); !positiveNaN || r == r {
					at(base, opA(i)).setNumber(r)
					continue
				}
			}
		case hDivKR:
			if y := at(base, opC(i)); y.isNumber() {
				if r := at(k, opB(i)).float() / y.float(); !positiveNaN || r == r {
					at(base, opA(i)).setNumber(r)
					continue
				}
			}
		case hModRR, hModRK:
			x, y := at(base, opB(i)), at(base, opC(i))
			if uint8(i) == hModRK {
				y = at(k, opC(i))
			}
			if x.isNumber() && y.isNumber() {
				// floor(q) by rounding to the nearest whole number, which the
				// sum does for |q| < 2^51, and a step down where that is above.
				a, b := x.float(), y.float()
				q := a / b
				if q < 1<<51 && q > -1<<51 {
					const big = 3 << 51
					r := float64(q+big) - big
					if r > q {
						r--
					}
					// r has lost the sign of a floor that is -0, so that -0 % b
					// comes to -0, which no modulus is: the sum makes it 0.
					if m := a - float64(r*b) + 0; !positiveNaN || m == m {
						at(base, opA(i)).setNumber(m)
						continue
					}
				}
			}
		case hUnm:
			if x := at(base, opB(i)); x.isNumber() {
				at(base, opA(i)).setNumber(-x.float())
				continue
			}
		case hNot:
			n := uint64(0)
			if at(base, opB(i)).isFalse() {
				n = 1
			}
			at(base, opA(i)).setBool(n)
			continue
		case hLen:
			v := at(base, opB(i))
			if v.n == tableBits {
				t := v.table()
				n := len(t.arr)
				if n > 0 && t.slot(n-1).IsNil() {
					from := 0
					for n-from > 1 {
						m := int(uint(from+n) >> 1)
						if t.slot(m - 1).IsNil() {
							n = m
						} else {
							from = m
						}
					}
					at(base, opA(i)).setNumber(float64(from))
					continue
				}
				if len(t.nodes) == 0 {
					at(base, opA(i)).setNumber(float64(n))
					continue
				}
			} else if v.isKind(KindString) {
				at(base, opA(i)).setNumber(float64(v.strLen()))
				continue
			}
		case hJmp:
			pc = jumpBy(pc, opD(i))
			continue
		case hJmpBack:
			if s.steps--; s.steps >= 0 {
				pc = jumpBy(pc, opD(i))
				continue
			}
		case hEqRR, hEqRK:
			x, y := at(base, opB(i)), at(base, opC(i))
			if uint8(i) == hEqRK {
				y = at(k, opC(i))
			}
			var r uint64
			switch {
			case x.isNumber() && y.isNumber():
				if x.float() == y.float() {
					r = 1
				}
			case x.same(*y):
				r = 1
			case x.n != y.n:
				// Neither the same object nor strings of one length.
			case x.isKind(KindString):
				n := x.strLen()
				if n > 64 {
					goto slow
				}
				r = 1
				for j := range n {
					if x.byteAt(j) != y.byteAt(j) {
						r = 0
						break
					}
				}
			case x.n == tableBits || x.isKind(KindUserdata):
				goto slow // perhaps __eq
			}
			if r == opA(i) {
				if int64(i) < 0 {
					if s.steps--; s.steps < 0 {
						break
					}
				}
				pc = jumpBy(pc, opD(i))
				continue
			}
			pc = nextInstruction(pc)
			continue
		case hLtRR, hLtRK, hLtKR:
			x, y := at(base, opB(i)), at(base, opC(i))
			if uint8(i) == hLtRK {
				y = at(k, opC(i))
			} else if uint8(i) == hLtKR {
				x = at(k, opB(i))
			}
			if !x.isNumber() || !y.isNumber() {
				break
			}
			var r uint64
			if x.float() < y.float() {
				r = 1
			}
			if r == opA(i) {
				if int64(i) < 0 {
					if s.steps--; s.steps < 0 {
						break
					}
				}
				pc = jumpBy(pc, opD(i))
				continue
			}
			pc = nextInstruction(pc)
			continue
		case hLeRR, hLeRK, hLeKR:
			x, y := at(base, opB(i)), at(base, opC(i))
			if uint8(i) == hLeRK {
				y = at(k, opC(i))
			} else if uint8(i) == hLeKR {
				x = at(k, opB(i))
			}
			if !x.isNumber() || !y.isNumber() {
				break
			}
			var r uint64
			if x.float() <= y.float() {
				r = 1
			}
			if r == opA(i) {
				if int64(i) < 0 {
					if s.steps--; s.steps < 0 {
						break
					}
				}
				pc = jumpBy(pc, opD(i))
				continue
			}
			pc = nextInstruction(pc)
			continue
		case hTest:
			if at(base, opA(i)).isFalse() != (opC(i) != 0) {
				if int64(i) < 0 {
					if s.steps--; s.steps < 0 {
						break
					}
				}
				pc = jumpBy(pc, opD(i))
				continue
			}
			pc = nextInstruction(pc)
			continue
		case hTestSet:
			if v := at(base, opB(i)); v.isFalse() != (opC(i) != 0) {
				*at(base, opA(i)) = *v
				pc = jumpBy(pc, opD(i))
				continue
			}
			pc = nextInstruction(pc)
			continue
		case hCall:
			v := at(base, opA(i))
			n := opB(i)
			if v.n == closureBits {
				c := v.closure()
				inst := c.inst
				to := after(v, 1)
				th := s.th
				if !inst.plain || th.n+1 >= len(th.frames) || th.past(to, inst.stack) {
					break
				}
				if s.steps--; s.steps < 0 {
					break
				}
				for ; n < inst.params; n++ {
					*after(to, n) = Value{}
				}
				f.pc = distance(first(cl.inst.code), pc)
				fn := f.base + int32(opA(i)/uint64(valueSize))
				f = nextFrame(f)
				if f.cl != c {
					f.cl = c
				}
				f.base, f.fn = fn+1, fn
				f.want = int32(opC(i)) - 1
				f.kind, f.fresh, f.simple = frameLua, false, true
				f.tail = 0
				th.n++
				cl = c
				base = pointerTo(to)
				pc = first(inst.code)
				k = inst.consts
				continue
			}
			// pcall of a Lua function: two frames.
			to := after(v, 1)
			if v.n != functionBits || n == 0 || to.n != closureBits || v.goFunction().special != specialPcall {
				break
			}
			c := to.closure()
			inst := c.inst
			n--
			to = after(v, 2)
			th := s.th
			if !inst.plain || th.n+2 >= len(th.frames) || th.past(to, inst.stack) || th.calls >= maxNesting-1 {
				break
			}
			if s.steps--; s.steps < 0 {
				break
			}
			for ; n < inst.params; n++ {
				*after(to, n) = Value{}
			}
			f.pc = distance(first(cl.inst.code), pc)
			fn := f.base + int32(opA(i)/uint64(valueSize))
			f = nextFrame(f)
			f.base, f.fn = fn+1, fn
			f.want = int32(opC(i)) - 1
			f.pc = int32(th.calls)
			f.top = fn + 2
			f.tail = 0
			f.kind, f.fresh, f.simple = framePcall, false, true
			f = nextFrame(f)
			if f.cl != c {
				f.cl = c
			}
			f.base, f.fn = fn+2, fn+1
			f.want = multi
			f.kind, f.fresh, f.simple = frameLua, false, true
			f.tail = 0
			th.n += 2
			th.calls++
			cl = c
			base = pointerTo(to)
			pc = first(inst.code)
			k = inst.consts
			continue
		case hReturn:
			th := s.th
			if !f.simple || (th.open != nil && th.open.index >= int(f.base)) {
				break
			}
			stack := first(th.stack)
			from := at(base, opA(i))
			n := opB(i)
			want := uint64(int64(f.want))
			to := at(offset(stack, int(f.fn)), 0)
			if n == 1 && want == 1 {
				*to = *from
			} else if f.want >= 0 {
				for j := uint64(0); j < want; j++ {
					if j < n {
						*after(to, j) = *after(from, j)
					} else {
						*after(to, j) = Value{}
					}
				}
			} else {
				for j := uint64(0); j < n; j++ {
					*after(to, j) = *after(from, j)
				}
				th.top = int(f.fn) + int(n)
			}
			th.n--
			f = previousFrame(f)
			if f.kind == framePcall {
				// The results and true before them are pcall's.
				th.calls = int(f.pc)
				to := offset(stack, int(f.fn))
				at(to, 0).setBool(1)
				n++
				if f.want >= 0 {
					for ; n < uint64(f.want); n++ {
						*after((*Value)(to), n) = Value{}
					}
				} else {
					th.top = int(f.fn) + int(n)
				}
				th.n--
				f = previousFrame(f)
			}
			base = offset(stack, int(f.base))
			if c := f.cl; c != cl {
				cl = c
				k = c.inst.consts
			}
			pc = instructionAt(first(cl.inst.code), f.pc)
			continue
		case hForLoop:
			v := at(base, opA(i))
			step := after(v, 2).float()
			x, end := v.float()+step, after(v, 1).float()
			if step > 0 {
				if !(x <= end) {
					continue
				}
			} else if !(end <= x) {
				continue
			}
			if s.steps--; s.steps < 0 {
				break
			}
			v.setNumber(x)
			after(v, 3).setNumber(x)
			pc = jumpBy(pc, opD(i))
			continue
		case hForPrep:
			v := at(base, opA(i))
			if step := after(v, 2); v.isNumber() && after(v, 1).isNumber() && step.isNumber() {
				v.setNumber(v.float() - step.float())
				pc = jumpBy(pc, opD(i))
				continue
			}
		case hTForLoop:
			v := at(base, opA(i))
			tv, ctl := after(v, 1), after(v, 2)
			if tv.n != tableBits || v.n != functionBits {
				break
			}
			t := tv.table()
			if s.steps--; s.steps < 0 {
				break
			}
			if v.p == s.nextValue.p {
				var j int
				if ctl.IsNil() {
				} else if ctl.isNumber() {
					x := ctl.float()
					j = int(x)
					if float64(j) != x || uint(j-1) >= uint(len(t.arr)) {
						j = int(t.iter)
						if j >= len(t.nodes) || !t.node(int64(j)).key.same(*ctl) {
							break
						}
						j += len(t.arr) + 1
					}
				} else {
					j = int(t.iter)
					if j >= len(t.nodes) || !t.node(int64(j)).key.same(*ctl) {
						break
					}
					j += len(t.arr) + 1
				}
				for ; j < len(t.arr); j++ {
					if r := t.slot(j); !r.IsNil() {
						ctl.setNumber(float64(j + 1))
						after(v, 3).setNumber(float64(j + 1))
						*after(v, 4) = *r
						pc = jumpBy(pc, opD(i))
						goto next
					}
				}
				for j -= len(t.arr); j < len(t.nodes); j++ {
					if n := t.node(int64(j)); !n.val.IsNil() {
						t.iter = int32(j)
						*ctl = n.key
						*after(v, 3) = n.key
						*after(v, 4) = n.val
						pc = jumpBy(pc, opD(i))
						goto next
					}
				}
				*after(v, 3) = Value{}
				pc = nextInstruction(pc)
				continue
			}
			if v.p == s.inext.p && ctl.isNumber() {
				x := ctl.float()
				j := int(x)
				if float64(j) == x && uint(j) < uint(len(t.arr)) {
					r := t.slot(j)
					if r.IsNil() {
						*after(v, 3) = Value{}
						pc = nextInstruction(pc)
						continue
					}
					ctl.setNumber(float64(j + 1))
					after(v, 3).setNumber(float64(j + 1))
					*after(v, 4) = *r
					pc = jumpBy(pc, opD(i))
					continue
				}
			}
		}
	slow:
		f.pc = distance(first(cl.inst.code), pc) - 1
		return
	next:
	}
}
