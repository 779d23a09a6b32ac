package lua

import "math"

// exprKind says where the value of an expression is while its code is made.
type exprKind uint8

const (
	exVoid exprKind = iota
	exNil
	exTrue
	exFalse
	exConst    // info: index of the constant
	exNumber   // num
	exLocal    // info: register
	exUpval    // info: index of the upvalue
	exGlobal   // info: constant with the name
	exIndexed  // info: register of the table, aux: register or constant of the key
	exJump     // info: address of the jump of a comparison
	exFloating // info: address of the instruction that still lacks its target register
	exRegister // info: register
	exCall     // info: address of the call
	exVararg   // info: address of the instruction
)

const (
	noJump      = -1
	multi       = -1
	maxStack    = 250
	maxLocals   = 200
	maxUpvals   = 60
	fieldsFlush = 50 // items of a constructor that are set at once
)

// expr is an expression that was parsed but whose value is not in a register
// yet. ifTrue and ifFalse are lists of jumps that leave it early.
type expr struct {
	kind    exprKind
	info    int
	aux     int
	num     float64
	ifTrue  int
	ifFalse int
}

func makeExpr(k exprKind, info int) expr {
	return expr{kind: k, info: info, ifTrue: noJump, ifFalse: noJump}
}

func (e *expr) jumps() bool   { return e.ifTrue != e.ifFalse }
func (e *expr) numeral() bool { return e.kind == exNumber && e.ifTrue == noJump && e.ifFalse == noJump }
func (e *expr) isMulti() bool { return e.kind == exCall || e.kind == exVararg }

// block is a block that is being compiled.
type block struct {
	prev      *block
	breaks    int // list of jumps out of the loop
	actives   int // locals outside of it
	upval     bool
	breakable bool
}

// constKey tells constants apart; 0 and -0 are two, and so are 1 and "1".
type constKey struct {
	kind Kind
	bits uint64
	str  string
}

// funcState is a function that is being compiled.
type funcState struct {
	p        *Proto
	prev     *funcState
	lex      *lexer
	block    *block
	consts   map[constKey]int
	target   int   // address of the last place that is jumped to
	pending  int   // jumps to the next instruction
	free     int   // first free register
	active   []int // active locals, as indexes in p.locals
	declared []int // those that are not active yet
	upvals   []upvalInfo
}

type upvalInfo struct {
	local bool
	index int
}

func (f *funcState) pc() int { return len(f.p.code) }

func (f *funcState) limit(n, most int, what string) {
	if n > most {
		where := "main function"
		if f.p.line != 0 {
			where = "function at line " + itoa(f.p.line)
		}
		f.lex.fail(where+" has more than "+itoa(most)+" "+what, tkNone)
	}
}

func (f *funcState) emit(i instruction, line int) int {
	f.patchPending()
	f.p.code = append(f.p.code, i)
	f.p.lines = append(f.p.lines, int32(line))
	return len(f.p.code) - 1
}

func (f *funcState) abc(op opcode, a, b, c int) int {
	return f.emit(makeABC(op, a, b, c), f.lex.last)
}

func (f *funcState) abx(op opcode, a, bx int) int {
	return f.emit(makeABx(op, a, bx), f.lex.last)
}

func (f *funcState) fixLine(line int) { f.p.lines[f.pc()-1] = int32(line) }

// loadNil joins with a LOADNIL right before.
func (f *funcState) loadNil(from, n int) {
	if f.pc() > f.target {
		if f.pc() == 0 {
			if from >= len(f.active) {
				// The registers of a new function are clean in the reference
				// implementation; here they are not, and must be set.
				f.abc(opLoadNil, from, from+n-1, 0)
				return
			}
		} else {
			prev := &f.p.code[f.pc()-1]
			if prev.op() == opLoadNil && prev.a() <= from && from <= prev.b()+1 {
				if from+n-1 > prev.b() {
					prev.setB(from + n - 1)
				}
				return
			}
		}
	}
	f.abc(opLoadNil, from, from+n-1, 0)
}

func (f *funcState) jump() int {
	pending := f.pending
	f.pending = noJump
	j := f.abx(opJmp, 0, maxSbx-1)
	f.join(&j, pending)
	return j
}

func (f *funcState) label() int {
	f.target = f.pc()
	return f.pc()
}

func (f *funcState) fixJump(pc, to int) {
	offset := to - (pc + 1)
	if offset > maxSbx || offset < -maxSbx {
		f.lex.syntaxError("control structure too long")
	}
	f.p.code[pc].setSbx(offset)
}

// jumpTarget is where a jump leads, or noJump at the end of a list of jumps
// that are not patched yet.
func (f *funcState) jumpTarget(pc int) int {
	if offset := f.p.code[pc].sbx(); offset != noJump {
		return pc + 1 + offset
	}
	return noJump
}

// control is the instruction that decides about a jump: the test before it.
func (f *funcState) control(pc int) *instruction {
	if pc >= 1 {
		switch f.p.code[pc-1].op() {
		case opEq, opLt, opLe, opTest, opTestSet, opTForLoop:
			return &f.p.code[pc-1]
		}
	}
	return &f.p.code[pc]
}

func (f *funcState) needsValue(list int) bool {
	for ; list != noJump; list = f.jumpTarget(list) {
		if f.control(list).op() != opTestSet {
			return true
		}
	}
	return false
}

func (f *funcState) patchTest(pc, reg int) bool {
	i := f.control(pc)
	if i.op() != opTestSet {
		return false
	}
	if reg != noReg && reg != i.b() {
		i.setA(reg)
	} else {
		*i = makeABC(opTest, i.b(), 0, i.c())
	}
	return true
}

func (f *funcState) dropValues(list int) {
	for ; list != noJump; list = f.jumpTarget(list) {
		f.patchTest(list, noReg)
	}
}

func (f *funcState) patchListTo(list, valueTarget, reg, otherTarget int) {
	for list != noJump {
		next := f.jumpTarget(list)
		if f.patchTest(list, reg) {
			f.fixJump(list, valueTarget)
		} else {
			f.fixJump(list, otherTarget)
		}
		list = next
	}
}

func (f *funcState) patchPending() {
	list := f.pending
	f.pending = noJump
	f.patchListTo(list, f.pc(), noReg, f.pc())
}

func (f *funcState) patchList(list, to int) {
	if to == f.pc() {
		f.patchHere(list)
	} else {
		f.patchListTo(list, to, noReg, to)
	}
}

func (f *funcState) patchHere(list int) {
	f.label()
	f.join(&f.pending, list)
}

// join appends the list other to the list.
func (f *funcState) join(list *int, other int) {
	if other == noJump {
		return
	}
	if *list == noJump {
		*list = other
		return
	}
	if f.jumpTarget(other) == noJump {
		// One more goes to the front: a walk to the end for each would take
		// minutes where there are 100,000.
		f.fixJump(other, *list)
		*list = other
		return
	}
	at := *list
	for {
		next := f.jumpTarget(at)
		if next == noJump {
			break
		}
		at = next
	}
	f.fixJump(at, other)
}

// joinFirst puts the list other before the list. As other is short, that takes
// no walk along all jumps that a long chain has already.
func (f *funcState) joinFirst(list *int, other int) {
	if other != noJump {
		f.join(&other, *list)
		*list = other
	}
}

func (f *funcState) checkStack(n int) {
	if size := f.free + n; size > f.p.stack {
		if size >= maxStack {
			f.lex.syntaxError("function or expression too complex")
		}
		f.p.stack = size
	}
}

func (f *funcState) reserve(n int) {
	f.checkStack(n)
	f.free += n
}

func (f *funcState) freeReg(reg int) {
	if !isConst(reg) && reg >= len(f.active) {
		f.free--
	}
}

func (f *funcState) freeExpr(e *expr) {
	if e.kind == exRegister {
		f.freeReg(e.info)
	}
}

func (f *funcState) addConst(k constKey, v Value) int {
	if i, ok := f.consts[k]; ok {
		return i
	}
	i := f.appendConst(v)
	f.consts[k] = i
	return i
}

func (f *funcState) appendConst(v Value) int {
	i := len(f.p.consts)
	if i > maxBx {
		f.lex.syntaxError("constant table overflow")
	}
	f.p.consts = append(f.p.consts, v)
	return i
}

// longConst is stringConst of a string whose hash would take long.
func (f *funcState) longConst(s string) int {
	v := stringValue(s)
	for i, c := range f.p.consts {
		if c.n != v.n || !c.isKind(KindString) {
			continue
		}
		if same, err := f.lex.s.rawEquals(c, v); err != nil {
			panic(stopped{err})
		} else if same {
			return i
		}
	}
	return f.appendConst(stringValue(f.lex.copied(v.bytes())))
}

func (f *funcState) stringConst(s string) int {
	if len(s) >= longText {
		return f.longConst(s)
	}
	k := constKey{kind: KindString, str: s}
	if i, ok := f.consts[k]; ok {
		return i
	}
	s = intern(s)
	k.str = s
	return f.addConst(k, stringValue(s))
}

func (f *funcState) numberConst(n float64) int {
	k := constKey{kind: KindNumber, bits: math.Float64bits(n)}
	if n == 0 {
		k.bits = 0 // 0 and -0 are one key in the reference implementation too: the first is both
	}
	return f.addConst(k, numberValue(n))
}

func (f *funcState) setReturns(e *expr, results int) {
	switch e.kind {
	case exCall:
		f.p.code[e.info].setC(results + 1)
	case exVararg:
		f.p.code[e.info].setB(results + 1)
		f.p.code[e.info].setA(f.free)
		f.reserve(1)
	}
}

func (f *funcState) setOneReturn(e *expr) {
	switch e.kind {
	case exCall:
		e.kind, e.info = exRegister, f.p.code[e.info].a()
	case exVararg:
		f.p.code[e.info].setB(2)
		e.kind = exFloating
	}
}

// dischargeVars makes a value of a variable.
func (f *funcState) dischargeVars(e *expr) {
	switch e.kind {
	case exLocal:
		e.kind = exRegister
	case exUpval:
		e.kind, e.info = exFloating, f.abc(opGetUpval, 0, e.info, 0)
	case exGlobal:
		e.kind, e.info = exFloating, f.abx(opGetGlobal, 0, e.info)
	case exIndexed:
		f.freeReg(e.aux)
		f.freeReg(e.info)
		e.kind, e.info = exFloating, f.abc(opGetTable, 0, e.info, e.aux)
	case exCall, exVararg:
		f.setOneReturn(e)
	}
}

func (f *funcState) discharge(e *expr, reg int) {
	f.dischargeVars(e)
	switch e.kind {
	case exNil:
		f.loadNil(reg, 1)
	case exFalse:
		f.abc(opLoadBool, reg, 0, 0)
	case exTrue:
		f.abc(opLoadBool, reg, 1, 0)
	case exConst:
		f.abx(opLoadK, reg, e.info)
	case exNumber:
		f.abx(opLoadK, reg, f.numberConst(e.num))
	case exFloating:
		f.p.code[e.info].setA(reg)
	case exRegister:
		if reg != e.info {
			f.abc(opMove, reg, e.info, 0)
		}
	default:
		return
	}
	e.kind, e.info = exRegister, reg
}

func (f *funcState) dischargeAny(e *expr) {
	if e.kind != exRegister {
		f.reserve(1)
		f.discharge(e, f.free-1)
	}
}

// toReg puts the value into the register, also where jumps lead to it.
func (f *funcState) toReg(e *expr, reg int) {
	f.discharge(e, reg)
	if e.kind == exJump {
		f.join(&e.ifTrue, e.info)
	}
	if e.jumps() {
		loadFalse, loadTrue := noJump, noJump
		if f.needsValue(e.ifTrue) || f.needsValue(e.ifFalse) {
			skip := noJump
			if e.kind != exJump {
				skip = f.jump()
			}
			f.label()
			loadFalse = f.abc(opLoadBool, reg, 0, 1)
			f.label()
			loadTrue = f.abc(opLoadBool, reg, 1, 0)
			f.patchHere(skip)
		}
		final := f.label()
		f.patchListTo(e.ifFalse, final, reg, loadFalse)
		f.patchListTo(e.ifTrue, final, reg, loadTrue)
	}
	*e = makeExpr(exRegister, reg)
}

func (f *funcState) toNextReg(e *expr) {
	f.dischargeVars(e)
	f.freeExpr(e)
	f.reserve(1)
	f.toReg(e, f.free-1)
}

func (f *funcState) toAnyReg(e *expr) int {
	f.dischargeVars(e)
	if e.kind == exRegister {
		if !e.jumps() {
			return e.info
		}
		if e.info >= len(f.active) {
			f.toReg(e, e.info)
			return e.info
		}
	}
	f.toNextReg(e)
	return e.info
}

func (f *funcState) toValue(e *expr) {
	if e.jumps() {
		f.toAnyReg(e)
	} else {
		f.dischargeVars(e)
	}
}

// toRK gives an operand: a register, or a constant where its index fits.
func (f *funcState) toRK(e *expr) int {
	f.toValue(e)
	switch e.kind {
	case exNumber, exTrue, exFalse, exNil:
		if len(f.p.consts) <= maxConstRK {
			switch e.kind {
			case exNil:
				e.info = f.addConst(constKey{kind: KindNil}, Nil)
			case exNumber:
				e.info = f.numberConst(e.num)
			case exTrue:
				e.info = f.addConst(constKey{kind: KindBoolean, bits: 1}, Bool(true))
			default:
				e.info = f.addConst(constKey{kind: KindBoolean}, Bool(false))
			}
			e.kind = exConst
			return e.info | constBit
		}
	case exConst:
		if e.info <= maxConstRK {
			return e.info | constBit
		}
	}
	return f.toAnyReg(e)
}

func (f *funcState) store(v, e *expr) {
	switch v.kind {
	case exLocal:
		f.freeExpr(e)
		f.toReg(e, v.info)
		return
	case exUpval:
		reg := f.toAnyReg(e)
		f.abc(opSetUpval, reg, v.info, 0)
	case exGlobal:
		reg := f.toAnyReg(e)
		f.abx(opSetGlobal, reg, v.info)
	case exIndexed:
		rk := f.toRK(e)
		f.abc(opSetTable, v.info, v.aux, rk)
	}
	f.freeExpr(e)
}

func (f *funcState) self(e, key *expr) {
	f.toAnyReg(e)
	f.freeExpr(e)
	fn := f.free
	f.reserve(2)
	f.abc(opSelf, fn, e.info, f.toRK(key))
	f.freeExpr(key)
	e.kind, e.info = exRegister, fn
}

func (f *funcState) invert(e *expr) {
	i := f.control(e.info)
	if i.a() == 0 {
		i.setA(1)
	} else {
		i.setA(0)
	}
}

func (f *funcState) condJump(op opcode, a, b, c int) int {
	f.abc(op, a, b, c)
	return f.jump()
}

func (f *funcState) jumpOn(e *expr, cond int) int {
	if e.kind == exFloating {
		if i := f.p.code[e.info]; i.op() == opNot {
			f.p.code = f.p.code[:f.pc()-1]
			f.p.lines = f.p.lines[:f.pc()]
			return f.condJump(opTest, i.b(), 0, 1-cond)
		}
	}
	f.dischargeAny(e)
	f.freeExpr(e)
	return f.condJump(opTestSet, noReg, e.info, cond)
}

// goIfTrue goes on where e is true, and jumps elsewhere if not.
func (f *funcState) goIfTrue(e *expr) {
	f.dischargeVars(e)
	j := noJump
	switch e.kind {
	case exConst, exNumber, exTrue:
	case exJump:
		f.invert(e)
		j = e.info
	default:
		// A constant false is tested like a variable: a plain jump would take
		// the pending jumps along, whose tests then set the register too.
		j = f.jumpOn(e, 0)
	}
	f.joinFirst(&e.ifFalse, j)
	f.patchHere(e.ifTrue)
	e.ifTrue = noJump
}

func (f *funcState) goIfFalse(e *expr) {
	f.dischargeVars(e)
	j := noJump
	switch e.kind {
	case exNil, exFalse:
	case exJump:
		j = e.info
	default:
		j = f.jumpOn(e, 1) // also a constant true: see goIfTrue
	}
	f.joinFirst(&e.ifTrue, j)
	f.patchHere(e.ifFalse)
	e.ifFalse = noJump
}

func (f *funcState) not(e *expr) {
	f.dischargeVars(e)
	switch e.kind {
	case exNil, exFalse:
		e.kind = exTrue
	case exConst, exNumber, exTrue:
		e.kind = exFalse
	case exJump:
		f.invert(e)
	case exFloating, exRegister:
		f.dischargeAny(e)
		f.freeExpr(e)
		e.info = f.abc(opNot, 0, e.info, 0)
		e.kind = exFloating
	}
	e.ifTrue, e.ifFalse = e.ifFalse, e.ifTrue
	f.dropValues(e.ifFalse)
	f.dropValues(e.ifTrue)
}

func (f *funcState) indexed(t, key *expr) {
	t.aux = f.toRK(key)
	t.kind = exIndexed
}

func fold(op opcode, a, b *expr) bool {
	if !a.numeral() || !b.numeral() {
		return false
	}
	var r float64
	switch x, y := a.num, b.num; op {
	case opAdd:
		r = x + y
	case opSub:
		r = x - y
	case opMul:
		r = x * y
	case opDiv:
		if y == 0 {
			return false
		}
		r = x / y
	case opMod:
		if y == 0 {
			return false
		}
		r = luaMod(x, y)
	case opPow:
		r = luaPow(x, y)
	case opUnm:
		r = -x
	default:
		return false
	}
	if math.IsNaN(r) {
		return false
	}
	a.num = r
	return true
}

func (f *funcState) arith(op opcode, a, b *expr) {
	if fold(op, a, b) {
		return
	}
	rb := 0
	if op != opUnm && op != opLen {
		rb = f.toRK(b)
	}
	ra := f.toRK(a)
	if ra > rb {
		f.freeExpr(a)
		f.freeExpr(b)
	} else {
		f.freeExpr(b)
		f.freeExpr(a)
	}
	a.info = f.abc(op, 0, ra, rb)
	a.kind = exFloating
}

func (f *funcState) compare(op opcode, cond int, a, b *expr) {
	ra := f.toRK(a)
	rb := f.toRK(b)
	f.freeExpr(b)
	f.freeExpr(a)
	if cond == 0 && op != opEq {
		ra, rb = rb, ra
		cond = 1
	}
	a.info = f.condJump(op, cond, ra, rb)
	a.kind = exJump
}

// binary is an operator of two operands, and its binding powers.
type binary int

const (
	binAdd binary = iota
	binSub
	binMul
	binDiv
	binMod
	binPow
	binConcat
	binNe
	binEq
	binLt
	binLe
	binGt
	binGe
	binAnd
	binOr
	binNone
)

func (f *funcState) prefix(op opcode, e *expr) {
	zero := makeExpr(exNumber, 0)
	switch op {
	case opUnm:
		if !e.numeral() {
			f.toAnyReg(e)
		}
		f.arith(opUnm, e, &zero)
	case opNot:
		f.not(e)
	case opLen:
		f.toAnyReg(e)
		f.arith(opLen, e, &zero)
	}
}

// infix is called between the two operands.
func (f *funcState) infix(op binary, e *expr) {
	switch op {
	case binAnd:
		f.goIfTrue(e)
	case binOr:
		f.goIfFalse(e)
	case binConcat:
		f.toNextReg(e)
	case binAdd, binSub, binMul, binDiv, binMod, binPow:
		if !e.numeral() {
			f.toRK(e)
		}
	default:
		f.toRK(e)
	}
}

func (f *funcState) postfix(op binary, a, b *expr) {
	switch op {
	case binAnd:
		f.dischargeVars(b)
		f.join(&b.ifFalse, a.ifFalse)
		*a = *b
	case binOr:
		f.dischargeVars(b)
		f.join(&b.ifTrue, a.ifTrue)
		*a = *b
	case binConcat:
		f.toValue(b)
		if b.kind == exFloating && f.p.code[b.info].op() == opConcat {
			f.freeExpr(a)
			f.p.code[b.info].setB(a.info)
			a.kind, a.info = exFloating, b.info
		} else {
			f.toNextReg(b)
			f.arith(opConcat, a, b)
		}
	case binAdd, binSub, binMul, binDiv, binMod, binPow:
		f.arith(opAdd+opcode(op), a, b)
	case binEq:
		f.compare(opEq, 1, a, b)
	case binNe:
		f.compare(opEq, 0, a, b)
	case binLt:
		f.compare(opLt, 1, a, b)
	case binLe:
		f.compare(opLe, 1, a, b)
	case binGt:
		f.compare(opLt, 0, a, b)
	case binGe:
		f.compare(opLe, 0, a, b)
	}
}

// setList sets the last items of a constructor, which lie in the registers
// above the table's.
func (f *funcState) setList(base, total, pending int) {
	batch := (total-1)/fieldsFlush + 1
	b := pending
	if pending == multi {
		b = 0
	}
	if batch <= maxB {
		f.abc(opSetList, base, b, batch)
	} else {
		f.abc(opSetList, base, b, 0)
		f.emit(instruction(batch), f.lex.last)
	}
	f.free = base + 1
}
