package lua

const maxNesting = 200 // levels of syntax, and of calls out of the loop

// parser makes code in one pass over the source.
type parser struct {
	lexer
	fs      *funcState
	depth   int
	chunkID string // as messages of the running program name it; lexer.chunk is for the compiler's
}

// Compile compiles a source. chunk is its name: "@name" and "=name" are shown
// as name in messages, anything else as a part of the source. The error, an
// *Error, has the message with the position.
func Compile(source, chunk string) (*Proto, error) { return compile(source, nil, chunk, 0, nil) }

// compile is Compile where depth levels of calls are in use already. more, if any, gives
// the source's further pieces, and "" at its end. s, if any, counts the work and may
// end it with an error.
func compile(source string, more func() (string, error), chunk string, depth int, s *State) (p *Proto, err error) {
	defer func() {
		if r := recover(); r != nil {
			if end, ok := r.(stopped); ok {
				err = end.err
				return
			}
			e, ok := r.(syntaxError)
			if !ok {
				panic(r)
			}
			err = &Error{Value: stringValue(e.msg), Syntax: true}
		}
	}()
	ps := &parser{lexer: lexer{src: source, line: 1, last: 1, chunk: chunkIDIn(chunk, compilerRoom), s: s}, depth: depth, chunkID: ChunkID(chunk)}
	if more != nil {
		// The reference implementation looks at the first byte before it begins to read,
		// so it asks for a first piece twice where that is empty.
		ps.more = more
		ps.refill()
		ps.more = more
	}
	ps.advance()
	ps.open(chunk)
	ps.fs.p.vararg = varargIs
	ps.next()
	ps.chunkBody()
	ps.check(tkEOS)
	return ps.close(), nil
}

func (ps *parser) open(chunk string) {
	ps.fs = &funcState{
		p:      &Proto{chunk: chunk, chunkID: ps.chunkID, stack: 2},
		prev:   ps.fs,
		lex:    &ps.lexer,
		consts: map[constKey]int{},
		target: -1, pending: noJump,
	}
}

func (ps *parser) close() *Proto {
	f := ps.fs
	ps.removeVars(0)
	f.abc(opReturn, 0, 1, 0)
	ps.fs = f.prev
	return f.p
}

func (ps *parser) enter() {
	ps.depth++
	if ps.depth > maxNesting {
		ps.fail("chunk has too many syntax levels", tkNone)
	}
}

func (ps *parser) leave() { ps.depth-- }

func (ps *parser) accept(t token) bool {
	if ps.tok != t {
		return false
	}
	ps.next()
	return true
}

func (ps *parser) check(t token) {
	if ps.tok != t {
		ps.syntaxError("'" + tokenText(t) + "' expected")
	}
}

func (ps *parser) expect(t token) {
	ps.check(t)
	ps.next()
}

func (ps *parser) expectMatch(what, opening token, line int) {
	if ps.accept(what) {
		return
	}
	if line == ps.line {
		ps.check(what)
	}
	ps.syntaxError("'" + tokenText(what) + "' expected (to close '" + tokenText(opening) + "' at line " + itoa(line) + ")")
}

func (ps *parser) name() string {
	ps.check(tkName)
	s := ps.str
	ps.next()
	return s
}

func (ps *parser) stringExpr(s string) expr { return makeExpr(exConst, ps.fs.stringConst(s)) }

// declare makes the n-th local that adjust will make active.
func (ps *parser) declare(name string, n int) {
	f := ps.fs
	f.limit(len(f.active)+n+1, maxLocals, "local variables")
	f.declared = append(f.declared, len(f.p.locals))
	f.p.locals = append(f.p.locals, localInfo{name: intern(name)})
}

func (ps *parser) activate(n int) {
	f := ps.fs
	for ; n > 0; n-- {
		i := f.declared[0]
		f.declared = f.declared[1:]
		f.p.locals[i].start = int32(f.pc())
		f.active = append(f.active, i)
	}
}

func (ps *parser) removeVars(to int) {
	f := ps.fs
	for len(f.active) > to {
		f.p.locals[f.active[len(f.active)-1]].end = int32(f.pc())
		f.active = f.active[:len(f.active)-1]
	}
}

func (f *funcState) addUpval(name string, e *expr) int {
	info := upvalInfo{e.kind == exLocal, e.info}
	for i, u := range f.upvals {
		if u == info {
			return i
		}
	}
	f.limit(len(f.upvals)+1, maxUpvals, "upvalues")
	f.upvals = append(f.upvals, info)
	f.p.upvals = append(f.p.upvals, intern(name))
	f.p.upvalDesc = append(f.p.upvalDesc, upvalDesc{info.local, uint8(info.index)})
	return len(f.upvals) - 1
}

// lookup finds what a name means in f, and makes upvalues on the way.
func (f *funcState) lookup(name string, e *expr, base bool) exprKind {
	if f == nil {
		*e = makeExpr(exGlobal, 0)
		return exGlobal
	}
	for i := len(f.active) - 1; i >= 0; i-- {
		if f.p.locals[f.active[i]].name == name {
			*e = makeExpr(exLocal, i)
			if !base {
				b := f.block
				for b != nil && b.actives > i {
					b = b.prev
				}
				if b != nil {
					b.upval = true
				}
			}
			return exLocal
		}
	}
	if f.prev.lookup(name, e, false) == exGlobal {
		return exGlobal
	}
	e.info = f.addUpval(name, e)
	e.kind = exUpval
	return exUpval
}

func (ps *parser) variable(e *expr) {
	name := ps.name()
	if ps.fs.lookup(name, e, true) == exGlobal {
		e.info = ps.fs.stringConst(name)
	}
}

func (ps *parser) adjustAssign(vars, exprs int, e *expr) {
	f := ps.fs
	extra := vars - exprs
	if e.isMulti() {
		extra = max(extra+1, 0)
		f.setReturns(e, extra)
		if extra > 1 {
			f.reserve(extra - 1)
		}
		return
	}
	if e.kind != exVoid {
		f.toNextReg(e)
	}
	if extra > 0 {
		reg := f.free
		f.reserve(extra)
		f.loadNil(reg, extra)
	}
}

func (ps *parser) enterBlock(b *block, breakable bool) {
	f := ps.fs
	*b = block{prev: f.block, breaks: noJump, actives: len(f.active), breakable: breakable}
	f.block = b
}

func (ps *parser) leaveBlock() {
	f := ps.fs
	b := f.block
	f.block = b.prev
	ps.removeVars(b.actives)
	if b.upval {
		f.abc(opClose, b.actives, 0, 0)
	}
	f.free = len(f.active)
	f.patchHere(b.breaks)
}

func blockEnds(t token) bool {
	switch t {
	case tkElse, tkElseif, tkEnd, tkUntil, tkEOS:
		return true
	}
	return false
}

func (ps *parser) chunkBody() {
	ps.enter()
	last := false
	for !last && !blockEnds(ps.tok) {
		last = ps.statement()
		ps.accept(';')
		ps.fs.free = len(ps.fs.active)
	}
	ps.leave()
}

func (ps *parser) blockBody() {
	var b block
	ps.enterBlock(&b, false)
	ps.chunkBody()
	ps.leaveBlock()
}

// statement tells whether it must be the last of its block.
func (ps *parser) statement() bool {
	line := ps.line
	switch ps.tok {
	case tkIf:
		ps.ifStat(line)
	case tkWhile:
		ps.whileStat(line)
	case tkDo:
		ps.next()
		ps.blockBody()
		ps.expectMatch(tkEnd, tkDo, line)
	case tkFor:
		ps.forStat(line)
	case tkRepeat:
		ps.repeatStat(line)
	case tkFunction:
		ps.functionStat(line)
	case tkLocal:
		ps.next()
		if ps.accept(tkFunction) {
			ps.localFunction()
		} else {
			ps.localStat()
		}
	case tkReturn:
		ps.returnStat()
		return true
	case tkBreak:
		ps.next()
		ps.breakStat()
		return true
	default:
		ps.exprStat()
	}
	return false
}

func (ps *parser) condition() int {
	var e expr
	ps.expr(&e)
	if e.kind == exNil {
		e.kind = exFalse
	}
	ps.fs.goIfTrue(&e)
	return e.ifFalse
}

func (ps *parser) thenBlock() int {
	ps.next()
	exit := ps.condition()
	ps.expect(tkThen)
	ps.blockBody()
	return exit
}

func (ps *parser) ifStat(line int) {
	f := ps.fs
	done := noJump
	exit := ps.thenBlock()
	for ps.tok == tkElseif {
		f.joinFirst(&done, f.jump())
		f.patchHere(exit)
		exit = ps.thenBlock()
	}
	if ps.tok == tkElse {
		f.joinFirst(&done, f.jump())
		f.patchHere(exit)
		ps.next()
		ps.blockBody()
	} else {
		f.joinFirst(&done, exit)
	}
	f.patchHere(done)
	ps.expectMatch(tkEnd, tkIf, line)
}

func (ps *parser) whileStat(line int) {
	f := ps.fs
	ps.next()
	start := f.label()
	exit := ps.condition()
	var b block
	ps.enterBlock(&b, true)
	ps.expect(tkDo)
	ps.blockBody()
	f.patchList(f.jump(), start)
	ps.expectMatch(tkEnd, tkWhile, line)
	ps.leaveBlock()
	f.patchHere(exit)
}

func (ps *parser) repeatStat(line int) {
	f := ps.fs
	start := f.label()
	var loop, scope block
	ps.enterBlock(&loop, true)
	ps.enterBlock(&scope, false)
	ps.next()
	ps.chunkBody()
	ps.expectMatch(tkUntil, tkRepeat, line)
	exit := ps.condition()
	if !scope.upval {
		ps.leaveBlock()
		f.patchList(exit, start)
	} else {
		ps.breakStat()
		f.patchHere(exit)
		ps.leaveBlock()
		f.patchList(f.jump(), start)
	}
	ps.leaveBlock()
}

func (ps *parser) breakStat() {
	f := ps.fs
	b := f.block
	upval := false
	for b != nil && !b.breakable {
		upval = upval || b.upval
		b = b.prev
	}
	if b == nil {
		ps.syntaxError("no loop to break")
	}
	if upval {
		f.abc(opClose, b.actives, 0, 0)
	}
	f.joinFirst(&b.breaks, f.jump())
}

func (ps *parser) forBody(base, line, vars int, numeric bool) {
	f := ps.fs
	ps.activate(3)
	ps.expect(tkDo)
	var prep int
	if numeric {
		prep = f.abx(opForPrep, base, maxSbx+noJump)
	} else {
		prep = f.jump()
	}
	var b block
	ps.enterBlock(&b, false)
	ps.activate(vars)
	f.reserve(vars)
	ps.chunkBody()
	ps.leaveBlock()
	f.patchHere(prep)
	var end int
	if numeric {
		end = f.abx(opForLoop, base, maxSbx+noJump)
	} else {
		end = f.abc(opTForLoop, base, 0, vars)
	}
	f.fixLine(line)
	if !numeric {
		end = f.jump()
	}
	f.patchList(end, prep+1)
}

func (ps *parser) forStat(line int) {
	var b block
	ps.enterBlock(&b, true)
	ps.next()
	name := ps.name()
	switch ps.tok {
	case '=':
		ps.forNumeric(name, line)
	case ',', tkIn:
		ps.forIn(name)
	default:
		ps.syntaxError("'=' or 'in' expected")
	}
	ps.expectMatch(tkEnd, tkFor, line)
	ps.leaveBlock()
}

func (ps *parser) toNext() {
	var e expr
	ps.expr(&e)
	ps.fs.toNextReg(&e)
}

func (ps *parser) forNumeric(name string, line int) {
	f := ps.fs
	base := f.free
	ps.declare("(for index)", 0)
	ps.declare("(for limit)", 1)
	ps.declare("(for step)", 2)
	ps.declare(name, 3)
	ps.expect('=')
	ps.toNext()
	ps.expect(',')
	ps.toNext()
	if ps.accept(',') {
		ps.toNext()
	} else {
		f.abx(opLoadK, f.free, f.numberConst(1))
		f.reserve(1)
	}
	ps.forBody(base, line, 1, true)
}

func (ps *parser) forIn(name string) {
	f := ps.fs
	base := f.free
	ps.declare("(for generator)", 0)
	ps.declare("(for state)", 1)
	ps.declare("(for control)", 2)
	ps.declare(name, 3)
	vars := 1
	for ps.accept(',') {
		ps.declare(ps.name(), 3+vars)
		vars++
	}
	ps.expect(tkIn)
	line := ps.line
	var e expr
	n := ps.exprList(&e)
	ps.adjustAssign(3, n, &e)
	f.checkStack(3)
	ps.forBody(base, line, vars, false)
}

func (ps *parser) functionStat(line int) {
	ps.next()
	var v, body expr
	method := false
	ps.variable(&v)
	for ps.tok == '.' {
		ps.field(&v)
	}
	if ps.tok == ':' {
		method = true
		ps.field(&v)
	}
	ps.body(&body, method, line)
	ps.fs.store(&v, &body)
	ps.fs.fixLine(line)
}

func (ps *parser) localFunction() {
	f := ps.fs
	ps.declare(ps.name(), 0)
	v := makeExpr(exLocal, f.free)
	f.reserve(1)
	ps.activate(1)
	var body expr
	ps.body(&body, false, ps.line)
	f.store(&v, &body)
	f.p.locals[f.active[len(f.active)-1]].start = int32(f.pc())
}

func (ps *parser) localStat() {
	vars := 0
	for {
		ps.declare(ps.name(), vars)
		vars++
		if !ps.accept(',') {
			break
		}
	}
	var e expr
	n := 0
	if ps.accept('=') {
		n = ps.exprList(&e)
	}
	ps.adjustAssign(vars, n, &e)
	ps.activate(vars)
}

func (ps *parser) returnStat() {
	f := ps.fs
	ps.next()
	if blockEnds(ps.tok) || ps.tok == ';' {
		f.abc(opReturn, 0, 1, 0)
		return
	}
	var e expr
	n := ps.exprList(&e)
	first := len(f.active)
	switch {
	case e.isMulti():
		f.setReturns(&e, multi)
		if e.kind == exCall && n == 1 {
			i := &f.p.code[e.info]
			*i = *i&^63 | instruction(opTailCall)
		}
		n = multi
	case n == 1:
		first = f.toAnyReg(&e)
	default:
		f.toNextReg(&e)
	}
	f.abc(opReturn, first, n+1, 0)
}

// target is a variable on the left of an assignment.
type target struct {
	prev *target
	v    expr
}

func (ps *parser) exprStat() {
	f := ps.fs
	var t target
	ps.primary(&t.v)
	if t.v.kind == exCall {
		f.p.code[t.v.info].setC(1)
		return
	}
	ps.assignment(&t, 1)
}

// conflict copies a local that is assigned to and also used as table or key on
// the left before.
func (ps *parser) conflict(t *target, v *expr) {
	f := ps.fs
	extra := f.free
	found := false
	for ; t != nil; t = t.prev {
		if t.v.kind != exIndexed {
			continue
		}
		if t.v.info == v.info {
			found = true
			t.v.info = extra
		}
		if t.v.aux == v.info {
			found = true
			t.v.aux = extra
		}
	}
	if found {
		f.abc(opMove, f.free, v.info, 0)
		f.reserve(1)
	}
}

func (ps *parser) assignment(t *target, vars int) {
	f := ps.fs
	if t.v.kind < exLocal || t.v.kind > exIndexed {
		ps.syntaxError("syntax error")
	}
	var e expr
	if ps.accept(',') {
		nt := target{prev: t}
		ps.primary(&nt.v)
		if nt.v.kind == exLocal {
			ps.conflict(t, &nt.v)
		}
		f.limit(vars, maxNesting-ps.depth, "variables in assignment")
		ps.assignment(&nt, vars+1)
	} else {
		ps.expect('=')
		n := ps.exprList(&e)
		if n == vars {
			f.setOneReturn(&e)
			f.store(&t.v, &e)
			return
		}
		ps.adjustAssign(vars, n, &e)
		if n > vars {
			f.free -= n - vars
		}
	}
	e = makeExpr(exRegister, f.free-1)
	f.store(&t.v, &e)
}

func (ps *parser) exprList(e *expr) int {
	n := 1
	ps.expr(e)
	for ps.accept(',') {
		ps.fs.toNextReg(e)
		ps.expr(e)
		n++
	}
	return n
}

func (ps *parser) field(v *expr) {
	ps.fs.toAnyReg(v)
	ps.next()
	key := ps.stringExpr(ps.name())
	ps.fs.indexed(v, &key)
}

func (ps *parser) bracket(key *expr) {
	ps.next()
	ps.expr(key)
	ps.fs.toValue(key)
	ps.expect(']')
}

func (ps *parser) prefixExpr(v *expr) {
	switch ps.tok {
	case '(':
		line := ps.line
		ps.next()
		ps.expr(v)
		ps.expectMatch(')', '(', line)
		ps.fs.dischargeVars(v)
	case tkName:
		ps.variable(v)
	default:
		ps.syntaxError("unexpected symbol")
	}
}

func (ps *parser) primary(v *expr) {
	f := ps.fs
	ps.prefixExpr(v)
	for {
		switch ps.tok {
		case '.':
			ps.field(v)
		case '[':
			var key expr
			f.toAnyReg(v)
			ps.bracket(&key)
			f.indexed(v, &key)
		case ':':
			ps.next()
			key := ps.stringExpr(ps.name())
			f.self(v, &key)
			ps.args(v)
		case '(', tkString, '{':
			f.toNextReg(v)
			ps.args(v)
		default:
			return
		}
	}
}

func (ps *parser) args(fn *expr) {
	f := ps.fs
	line := ps.line
	var e expr
	switch ps.tok {
	case '(':
		if line != ps.last {
			ps.syntaxError("ambiguous syntax (function call x new statement)")
		}
		ps.next()
		if ps.tok == ')' {
			e.kind = exVoid
		} else {
			ps.exprList(&e)
			f.setReturns(&e, multi)
		}
		ps.expectMatch(')', '(', line)
	case '{':
		ps.constructor(&e)
	case tkString:
		e = ps.stringExpr(ps.str)
		ps.next()
	default:
		ps.syntaxError("function arguments expected")
	}
	base := fn.info
	n := multi
	if !e.isMulti() {
		if e.kind != exVoid {
			f.toNextReg(&e)
		}
		n = f.free - (base + 1)
	}
	*fn = makeExpr(exCall, f.abc(opCall, base, n+1, 2))
	f.fixLine(line)
	f.free = base + 1
}

// constructor is { ... }.
func (ps *parser) constructor(t *expr) {
	f := ps.fs
	line := ps.line
	pc := f.abc(opNewTable, 0, 0, 0)
	*t = makeExpr(exFloating, pc)
	item := makeExpr(exVoid, 0)
	fields, items, pending := 0, 0, 0
	f.toNextReg(t)
	ps.expect('{')
	for ps.tok != '}' {
		if item.kind != exVoid {
			f.toNextReg(&item)
			item.kind = exVoid
			if pending == fieldsFlush {
				f.setList(t.info, items, pending)
				pending = 0
			}
		}
		switch {
		case ps.tok == tkName && ps.peek() == '=', ps.tok == '[':
			ps.recordField(t)
			fields++
		default:
			ps.expr(&item)
			items++
			pending++
		}
		if !ps.accept(',') && !ps.accept(';') {
			break
		}
	}
	ps.expectMatch('}', '{', line)
	if pending > 0 {
		if item.isMulti() {
			f.setReturns(&item, multi)
			f.setList(t.info, items, multi)
			items--
		} else {
			if item.kind != exVoid {
				f.toNextReg(&item)
			}
			f.setList(t.info, items, pending)
		}
	}
	f.p.code[pc].setB(packSize(items))
	f.p.code[pc].setC(packSize(fields))
}

func (ps *parser) recordField(t *expr) {
	f := ps.fs
	reg := f.free
	var key, v expr
	if ps.tok == tkName {
		key = ps.stringExpr(ps.name())
	} else {
		ps.bracket(&key)
	}
	ps.expect('=')
	rk := f.toRK(&key)
	ps.expr(&v)
	f.abc(opSetTable, t.info, rk, f.toRK(&v))
	f.free = reg
}

// packSize codes a size as a floating point number of eight bits, rounded up:
// three bits of mantissa and five of exponent, exact below 16.
func packSize(n int) int {
	e := 0
	for n >= 16 {
		n = (n + 1) >> 1
		e++
	}
	if n < 8 {
		return n
	}
	return (e+1)<<3 | (n - 8)
}

func unpackSize(n int) int {
	if e := n >> 3 & 31; e > 0 {
		return (n&7 + 8) << (e - 1)
	}
	return n
}

// body is a function from its parameters on.
func (ps *parser) body(e *expr, method bool, line int) {
	ps.open(ps.fs.p.chunk)
	inner := ps.fs
	inner.p.line = line
	ps.expect('(')
	if method {
		ps.declare("self", 0)
		ps.activate(1)
	}
	ps.params()
	ps.expect(')')
	ps.chunkBody()
	ps.expectMatch(tkEnd, tkFunction, line)
	p := ps.close()
	f := ps.fs
	if len(f.p.protos) > maxBx {
		ps.syntaxError("constant table overflow")
	}
	f.p.protos = append(f.p.protos, p)
	*e = makeExpr(exFloating, f.abx(opClosure, 0, len(f.p.protos)-1))
	for _, u := range inner.upvals {
		op := opGetUpval
		if u.local {
			op = opMove
		}
		f.abc(op, 0, u.index, 0)
	}
}

func (ps *parser) params() {
	f := ps.fs
	n := 0
	if ps.tok != ')' {
	loop:
		for {
			switch ps.tok {
			case tkName:
				ps.declare(ps.name(), n)
				n++
			case tkDots:
				ps.next()
				ps.declare("arg", n)
				n++
				f.p.vararg = varargIs | varargHas | varargNeeds
			default:
				ps.syntaxError("<name> or '...' expected")
			}
			if f.p.vararg != 0 || !ps.accept(',') {
				break loop
			}
		}
	}
	ps.activate(n)
	f.p.params = len(f.active)
	if f.p.vararg&varargHas != 0 {
		f.p.params--
	}
	f.reserve(len(f.active))
}

func (ps *parser) simple(v *expr) {
	f := ps.fs
	switch ps.tok {
	case tkNumber:
		*v = makeExpr(exNumber, 0)
		v.num = ps.num
	case tkString:
		*v = ps.stringExpr(ps.str)
	case tkNil:
		*v = makeExpr(exNil, 0)
	case tkTrue:
		*v = makeExpr(exTrue, 0)
	case tkFalse:
		*v = makeExpr(exFalse, 0)
	case tkDots:
		if f.p.vararg == 0 {
			ps.syntaxError("cannot use '...' outside a vararg function")
		}
		f.p.vararg &^= varargNeeds
		*v = makeExpr(exVararg, f.abc(opVararg, 0, 1, 0))
	case '{':
		ps.constructor(v)
		return
	case tkFunction:
		ps.next()
		ps.body(v, false, ps.line)
		return
	default:
		ps.primary(v)
		return
	}
	ps.next()
}

var binaries = map[token]binary{
	'+': binAdd, '-': binSub, '*': binMul, '/': binDiv, '%': binMod, '^': binPow, tkConcat: binConcat,
	tkNe: binNe, tkEq: binEq, '<': binLt, tkLe: binLe, '>': binGt, tkGe: binGe, tkAnd: binAnd, tkOr: binOr,
}

// powers are the left and right binding powers of the operators.
var powers = [...]struct{ left, right int }{
	binAdd: {6, 6}, binSub: {6, 6}, binMul: {7, 7}, binDiv: {7, 7}, binMod: {7, 7},
	binPow: {10, 9}, binConcat: {5, 4},
	binNe: {3, 3}, binEq: {3, 3}, binLt: {3, 3}, binLe: {3, 3}, binGt: {3, 3}, binGe: {3, 3},
	binAnd: {2, 2}, binOr: {1, 1},
}

const unaryPower = 8

func binaryOf(t token) binary {
	if t < firstReserved || t >= tkConcat || t == tkAnd || t == tkOr {
		if op, ok := binaries[t]; ok {
			return op
		}
	}
	return binNone
}

func (ps *parser) expr(v *expr) { ps.subexpr(v, 0) }

// subexpr reads an expression whose operators bind stronger than limit, and
// gives the first operator after it.
func (ps *parser) subexpr(v *expr, limit int) binary {
	ps.enter()
	unary := opcode(255)
	switch ps.tok {
	case tkNot:
		unary = opNot
	case '-':
		unary = opUnm
	case '#':
		unary = opLen
	}
	if unary != 255 {
		ps.next()
		ps.subexpr(v, unaryPower)
		ps.fs.prefix(unary, v)
	} else {
		ps.simple(v)
	}
	op := binaryOf(ps.tok)
	for op != binNone && powers[op].left > limit {
		var w expr
		ps.next()
		ps.fs.infix(op, v)
		next := ps.subexpr(&w, powers[op].right)
		ps.fs.postfix(op, v, &w)
		op = next
	}
	ps.leave()
	return op
}
