package lua

// enter begins a call of stack[fn] with the n arguments after it. A Lua
// function's frame is pushed, for the loop to run; a Go function is run, and
// done is then true where the frame was fresh.
func (s *State) enter(fn, n, want int, fresh bool) (done bool, err error) {
	v := s.th.stack[fn]
	if v.isKind(kindClosure) {
		return false, s.enterLua(v.closure(), fn, n, want, fresh)
	}
	if v.isKind(KindFunction) {
		return s.enterGo(v.goFunction(), fn, n, want, fresh)
	}
	if err := s.callable(fn, n); err != nil {
		return false, err
	}
	return s.enter(fn, n+1, want, fresh)
}

// callable puts the function in the metamethod __call of stack[fn] before it.
func (s *State) callable(fn, n int) error {
	v := s.th.stack[fn]
	h := s.metatable(v).event(evCall)
	if !h.IsFunction() {
		return s.typeError(v, fn-int(s.th.frames[s.th.n].base), "call")
	}
	if err := s.reach(fn + n + 2); err != nil {
		return err
	}
	stack := s.th.stack
	copy(stack[fn+1:fn+n+2], stack[fn:fn+n+1])
	stack[fn] = h
	return nil
}

func (s *State) enterLua(cl *closure, fn, n, want int, fresh bool) error {
	p := cl.inst.p
	base := fn + 1
	if p.vararg != 0 {
		base += max(n, p.params)
	}
	if err := s.reach(base + p.stack); err != nil {
		return err
	}
	f, err := s.push()
	if err != nil {
		return err
	}
	th := s.th
	below := &th.frames[th.n-1]
	simple := !fresh && (below.kind == frameLua || below.kind == framePcall && below.simple)
	// Field by field: a frame that is made and then copied as a whole waits for
	// its own stores.
	if f.cl != cl {
		f.cl = cl
	}
	f.base, f.fn, f.pc, f.want = int32(base), int32(fn), 0, int32(want)
	f.tail, f.kind, f.fresh, f.simple = 0, frameLua, fresh, simple
	stack := th.stack
	for i := n; i < p.params; i++ {
		stack[fn+1+i] = Nil
	}
	if p.vararg != 0 {
		s.steps -= n >> 4
		for i := range p.params {
			stack[base+i] = stack[fn+1+i]
			stack[fn+1+i] = Nil
		}
		if p.vararg&varargHas != 0 {
			stack[base+p.params] = Nil
		}
		if p.vararg&varargNeeds != 0 {
			// The table `arg`.
			rest := max(n-p.params, 0)
			t, err := s.NewTable(rest, 1)
			if err != nil {
				return err
			}
			if rest > 0 {
				copy(t.arr, stack[fn+1+p.params:fn+1+n])
			}
			if err := t.set(s, stringValue("n"), numberValue(float64(rest))); err != nil {
				return err
			}
			stack[base+p.params] = tableValue(t)
		}
	}
	return nil
}

func (s *State) enterGo(g *function, fn, n, want int, fresh bool) (done bool, err error) {
	base := fn + 1
	if err := s.reach(base + n + goWindow); err != nil {
		return false, err
	}
	f, err := s.push()
	if err != nil {
		return false, err
	}
	f.base, f.fn, f.pc, f.want = int32(base), int32(fn), 0, int32(want)
	f.top, f.tail, f.kind, f.fresh, f.simple = int32(base+n+goWindow), 0, frameGo, fresh, false
	if g.special != 0 {
		return s.enterSpecial(g, f, n)
	}
	r, err := g.fn(s, s.th.stack[base:base+n+goWindow:base+n+goWindow], n)
	if err != nil {
		return false, err
	}
	return s.finish(base, r), nil
}

// callGo calls a Go function for a Lua function's frame: what enterGo and finish
// do, on the shortest way.
func (s *State) callGo(g *function, fn, n, want int) error {
	th := s.th
	top := fn + 1 + n + goWindow
	if top > th.soft {
		if err := s.growStack(top); err != nil {
			return err
		}
	}
	f, err := s.push()
	if err != nil {
		return err
	}
	f.base, f.fn, f.pc, f.want = int32(fn+1), int32(fn), 0, int32(want)
	f.top, f.tail, f.kind, f.fresh, f.simple = int32(top), 0, frameGo, false, false
	r, err := g.fn(s, th.stack[fn+1:top:top], n)
	if err != nil {
		return err
	}
	th.n--
	stack := th.stack[fn:]
	switch {
	case want == 1:
		if r > 0 {
			stack[0] = stack[1]
		} else {
			stack[0] = Nil
		}
	case want >= 0:
		for j := range want {
			if j < r {
				stack[j] = stack[j+1]
			} else {
				stack[j] = Nil
			}
		}
	default:
		copy(stack, stack[1:1+r])
		th.top = fn + r
	}
	return nil
}

// pcallGo is pcall of a Go function, called by a Lua function: stack[fn] is
// pcall, and n its arguments with the function. What it throws is caught here.
func (s *State) pcallGo(g *function, fn, n, want int) error {
	th := s.th
	depth, calls := th.n, th.calls
	f, err := s.push()
	if err != nil {
		return err
	}
	f.base, f.fn, f.pc, f.want = int32(fn+1), int32(fn), int32(calls), int32(want)
	f.top, f.tail, f.kind, f.fresh, f.simple = int32(fn+1+n), 0, framePcall, false, false
	if calls >= maxNesting-1 {
		if err := s.deeper(); err != nil {
			return err
		}
	} else {
		th.calls++
	}
	if err = s.callGo(g, fn+1, n-1, multi); err != nil {
		if err != errThrown {
			return err
		}
		th.stack[fn+1] = s.caught()
		th.top = fn + 2
	}
	th.n, th.calls = depth, calls
	stack := th.stack[fn:]
	stack[0] = boolValue(err == nil)
	if want >= 0 {
		for j := th.top - fn; j < want; j++ {
			stack[j] = Nil
		}
	}
	return nil
}

// finish ends the running frame with the n results from stack[src] on, and all
// frames around it that only wait for that. It tells whether one of these was
// fresh, so that execute has to return.
func (s *State) finish(src, n int) (fresh bool) {
	for {
		th := s.th
		f := &th.frames[th.n]
		at := int(f.fn)
		copy(th.stack[at:], th.stack[src:src+n])
		if want := int(f.want); want >= 0 {
			for i := n; i < want; i++ {
				th.stack[at+i] = Nil
			}
		} else {
			th.top = at + n
		}
		th.n--
		if f.fresh {
			return true
		}
		g := &th.frames[th.n]
		switch g.kind {
		case frameLua:
			return false
		case framePcall, frameXpcall:
			th.calls = int(g.pc)
			th.stack[g.fn] = boolValue(true)
			src, n = int(g.fn), n+1
		case frameHost:
			// A coroutine has ended.
			th.status = threadDead
			up := th.parent
			th.parent = nil
			src, n = s.handOver(th, up, at, n)
			th.stack, th.frames, th.soft = nil, nil, 0
		}
	}
}

// handOver gives n values of a coroutine to the one that resumed it, and goes
// on there; the results are those of its running frame, a resume or wrap.
func (s *State) handOver(th, up *thread, at, n int) (src, count int) {
	s.th = up
	up.status = threadRunning
	f := &up.frames[up.n]
	src = int(f.fn)
	to := src
	if f.kind == frameResume {
		to++
	}
	// The stack's growth cannot be refused here: both ends would be lost.
	if size := to + n + 1; size > up.soft {
		if size > len(up.stack) {
			s.used += (size + softStep - len(up.stack)) * valueSize
			stack := make([]Value, size+softStep)
			copy(stack, up.stack)
			up.stack = stack
			for u := up.open; u != nil; u = u.next {
				u.p = &stack[u.index]
			}
		}
		up.soft = min(len(up.stack), size+softStep)
	}
	copy(up.stack[to:], th.stack[at:at+n])
	if f.kind == frameResume {
		up.stack[src] = boolValue(true)
		n++
	}
	return src, n
}

// call calls f from a Go function or the loop; the results lie on the stack.
func (s *State) call(f Value, args []Value) ([]Value, error) {
	th := s.th
	at := th.callTop()
	if err := s.reach(at + len(args) + 1); err != nil {
		return nil, err
	}
	th.stack[at] = f
	copy(th.stack[at+1:], args)
	if err := s.callAt(at, len(args), multi); err != nil {
		return nil, err
	}
	return th.stack[at:th.top], nil
}

// callAt calls stack[fn] and runs it to its end; the results are from stack[fn]
// on, to th.top where want is multi.
func (s *State) callAt(fn, n, want int) error {
	th, depth := s.th, s.th.n
	calls := th.calls
	if calls >= maxNesting-1 {
		if calls >= maxNesting+maxNesting/8 {
			return s.Throw(stringValue("error in error handling"))
		}
		if calls == maxNesting-1 {
			th.calls++
			err := s.runError("C stack overflow")
			th.calls--
			return err
		}
	}
	th.calls++
	done, err := s.enter(fn, n, want, true)
	if err != nil && (s.th != th || th.n > depth) {
		done, err = s.unwind(err)
	}
	if err == nil && !done {
		err = s.execute()
	}
	th.calls = calls
	return err
}

// execute is the slow loop: it can run every instruction, and does so with
// those that the hot loop hands to it. It returns when the fresh frame above
// which it was called has returned or failed.
func (s *State) execute() error {
	s.nested++
	err := s.loop()
	s.nested--
	return err
}

func (s *State) loop() error {
	for {
		s.hot()
		if s.steps--; s.steps < 0 {
			if err := s.tick(s.nested == 1); err != nil {
				if err == ErrSuspended {
					return err
				}
				if done, err := s.unwind(err); done {
					return err
				}
				continue
			}
		}
		th := s.th
		f := &th.frames[th.n]
		cl := f.cl
		p := cl.inst.p
		i := p.code[f.pc]
		f.pc++
		base := int(f.base)
		R := th.stack[base:]
		a := i.a()
		var err error
		done := false
		switch i.op() {
		case opMove:
			R[a] = R[i.b()]
		case opLoadK:
			R[a] = p.consts[i.bx()]
		case opLoadBool:
			R[a] = boolValue(i.b() != 0)
			if i.c() != 0 {
				f.pc++
			}
		case opLoadNil:
			for j := a; j <= i.b(); j++ {
				R[j] = Nil
			}
		case opGetUpval:
			R[a] = *cl.ups[i.b()].p
		case opSetUpval:
			*cl.ups[i.b()].p = R[a]
		case opGetGlobal:
			err = s.getCached(f, cl.env, p.consts[i.bx()], base+a)
		case opSetGlobal:
			err = s.setCached(f, tableValue(cl.env), p.consts[i.bx()], R[a], -1)
		case opGetTable:
			v, k := R[i.b()], rk(R, p, i.c())
			if v.isKind(KindTable) && k.isKind(KindString) && isConst(i.c()) {
				err = s.getCached(f, v.table(), k, base+a)
				break
			}
			var r Value
			if r, err = s.index(v, k, i.b()); err == nil {
				s.th.stack[base+a] = r
			}
		case opSetTable:
			err = s.setCached(f, R[a], rk(R, p, i.b()), rk(R, p, i.c()), a)
		case opSelf:
			v, k := R[i.b()], rk(R, p, i.c())
			R[a+1] = v
			if v.isKind(KindTable) && isConst(i.c()) {
				err = s.getCached(f, v.table(), k, base+a)
				break
			}
			var r Value
			if r, err = s.index(v, k, i.b()); err == nil {
				s.th.stack[base+a] = r
			}
		case opNewTable:
			var t *Table
			if t, err = s.NewTable(unpackSize(i.b()), unpackSize(i.c())); err == nil {
				R[a] = tableValue(t)
			}
		case opAdd, opSub, opMul, opDiv, opMod, opPow:
			v, w := rk(R, p, i.b()), rk(R, p, i.c())
			if v.isNumber() && w.isNumber() {
				R[a] = numberValue(compute(i.op(), v.num(), w.num()))
				break
			}
			var r Value
			if r, err = s.arith(i.op(), v, w, regOf(i.b()), regOf(i.c())); err == nil {
				s.th.stack[base+a] = r
			}
		case opUnm:
			var r Value
			if v := R[i.b()]; v.isNumber() {
				R[a] = numberValue(-v.num())
			} else if r, err = s.arith(opUnm, v, v, i.b(), i.b()); err == nil {
				s.th.stack[base+a] = r
			}
		case opNot:
			R[a] = boolValue(R[i.b()].isFalse())
		case opLen:
			var r Value
			if r, err = s.length(R[i.b()], i.b()); err == nil {
				s.th.stack[base+a] = r
			}
		case opConcat:
			if err = s.concat(base, i.b(), i.c()); err == nil {
				R := s.th.stack[base:]
				R[a] = R[i.b()]
			}
		case opJmp:
			f.pc += int32(i.sbx())
		case opEq, opLt, opLe:
			var r bool
			switch v, w := rk(R, p, i.b()), rk(R, p, i.c()); i.op() {
			case opEq:
				r, err = s.Equals(v, w)
			case opLt:
				r, err = s.LessThan(v, w)
			default:
				r, err = s.LessEqual(v, w)
			}
			if err == nil {
				f := &th.frames[th.n] // the frames may have moved
				if r == (a != 0) {
					f.pc += int32(p.code[f.pc].sbx())
				}
				f.pc++
			}
		case opTest:
			if R[a].isFalse() != (i.c() != 0) {
				f.pc += int32(p.code[f.pc].sbx())
			}
			f.pc++
		case opTestSet:
			if v := R[i.b()]; v.isFalse() != (i.c() != 0) {
				R[a] = v
				f.pc += int32(p.code[f.pc].sbx())
			}
			f.pc++
		case opCall:
			n := i.b() - 1
			if n < 0 {
				n = th.top - (base + a) - 1
			}
			if v := R[a]; v.n == functionBits {
				g := v.goFunction()
				if g.special == 0 {
					err = s.callGo(g, base+a, n, i.c()-1)
					break
				}
				if g.special == specialPcall && n > 0 && R[a+1].n == functionBits && R[a+1].goFunction().special == 0 {
					err = s.pcallGo(R[a+1].goFunction(), base+a, n, i.c()-1)
					break
				}
			}
			done, err = s.enter(base+a, n, i.c()-1, false)
		case opTailCall:
			n := i.b() - 1
			if n < 0 {
				n = th.top - (base + a) - 1
			}
			done, err = s.tailCall(f, base+a, n)
		case opReturn:
			n := i.b() - 1
			if n < 0 {
				n = th.top - (base + a)
			}
			if th.open != nil {
				th.closeUpvals(base)
			}
			done = s.finish(base+a, n)
		case opForLoop:
			step := R[a+2].num()
			idx := R[a].num() + step
			limit := R[a+1].num()
			if (step > 0 && idx <= limit) || (!(step > 0) && limit <= idx) {
				f.pc += int32(i.sbx())
				R[a] = numberValue(idx)
				R[a+3] = R[a]
			}
		case opForPrep:
			if err = s.forPrep(R[a:]); err == nil {
				f.pc += int32(i.sbx())
			}
		case opTForLoop:
			R[a+3], R[a+4], R[a+5] = R[a], R[a+1], R[a+2]
			if err = s.callAt(base+a+3, 2, i.c()); err == nil {
				R := s.th.stack[base:]
				f := &th.frames[th.n]
				if R[a+3].IsNil() {
					f.pc++
				} else {
					R[a+2] = R[a+3]
				}
			}
		case opSetList:
			n, batch := i.b(), i.c()
			if n == 0 {
				n = th.top - (base + a) - 1
			}
			if batch == 0 {
				batch = int(p.code[f.pc])
				f.pc++
			}
			t := R[a].table()
			last := (batch-1)*fieldsFlush + n
			if err = t.growArray(s, last); err == nil {
				copy(t.arr[(batch-1)*fieldsFlush:last], R[a+1:a+1+n])
			}
		case opClose:
			th.closeUpvals(base + a)
		case opClosure:
			inst := cl.inst.protos[i.bx()]
			desc := inst.p.upvalDesc
			if err = s.Charge(closureSize + (upvalSlotSize+upvalSize)*len(desc)); err != nil {
				break
			}
			c := &closure{inst: inst, env: cl.env}
			if len(desc) > 0 {
				c.ups = make([]*upval, len(desc))
				for j, d := range desc {
					if d.local {
						c.ups[j] = s.findUpval(base + int(d.index))
					} else {
						c.ups[j] = cl.ups[d.index]
					}
				}
			}
			f.pc += int32(len(desc))
			R[a] = closureValue(c)
		case opVararg:
			have := base - int(f.fn) - 1 - p.params
			n := i.b() - 1
			if n < 0 {
				n = have
				if err = s.reach(base + a + n); err != nil {
					break
				}
				th.top = base + a + n
				R = th.stack[base:]
			}
			s.steps -= n >> 4
			from := th.stack[base-have:]
			for j := range n {
				if j < have {
					R[a+j] = from[j]
				} else {
					R[a+j] = Nil
				}
			}
		}
		if err != nil {
			if done, err = s.unwind(err); err != nil && !done {
				panic("lua: an error was lost")
			}
			if done {
				return err
			}
			continue
		}
		if done {
			return nil
		}
	}
}

func rk(R []Value, p *Proto, i int) Value {
	if isConst(i) {
		return p.consts[i&^constBit]
	}
	return R[i]
}

func regOf(rk int) int {
	if isConst(rk) {
		return -1
	}
	return rk
}

// tailCall puts a Lua function's frame in the place of the running one; others
// are called as usual, and the return that follows hands on their results.
func (s *State) tailCall(f *frame, fn, n int) (done bool, err error) {
	if v := s.th.stack[fn]; !v.IsFunction() {
		if err := s.callable(fn, n); err != nil {
			return false, err
		}
		n++
	}
	v := s.th.stack[fn]
	if !v.isKind(kindClosure) {
		return s.enter(fn, n, multi, false)
	}
	// What can fail comes first, while the frame still stands.
	p := v.closure().inst.p
	at := int(f.fn)
	if err := s.reach(at + 1 + max(n, p.params) + p.stack); err != nil {
		return false, err
	}
	th := s.th
	if th.open != nil {
		th.closeUpvals(int(f.base))
	}
	want, fresh, tail := int(f.want), f.fresh, f.tail
	s.steps -= n >> 4
	copy(th.stack[at:], th.stack[fn:fn+n+1])
	th.n--
	if err := s.enterLua(v.closure(), at, n, want, fresh); err != nil {
		return false, err
	}
	th.frames[th.n].tail = tail + 1
	return false, nil
}

func (s *State) forPrep(R []Value) error {
	for i, what := range [3]string{"initial value", "limit", "step"} {
		f, ok, err := s.number(R[i])
		if err != nil {
			return err
		}
		if !ok {
			return s.runError("'for' " + what + " must be a number")
		}
		R[i] = numberValue(f)
	}
	R[0] = numberValue(R[0].num() - R[2].num())
	return nil
}

// concat joins the registers from b to c into b, from the right, with
// metamethods.
func (s *State) concat(base, b, c int) error {
	for b < c {
		R := s.th.stack[base:]
		v, w := R[c-1], R[c]
		if !isText(v) || !isText(w) {
			h := s.binaryEvent(v, w, evConcat)
			if h.IsNil() {
				reg := c - 1
				if isText(v) {
					v, reg = w, c
				}
				return s.typeError(v, reg, "concatenate")
			}
			r, err := s.call1(h, v, w)
			if err != nil {
				return err
			}
			c--
			s.th.stack[base+c] = r
			continue
		}
		first, size, numbers := c+1, 0, 0
		for first > b && isText(R[first-1]) {
			first--
			if R[first].isNumber() {
				numbers++
			} else {
				size += R[first].strLen()
			}
		}
		if size > maxStringSize {
			return s.runError("string length overflow")
		}
		var r Value
		var err error
		if numbers == 0 || size > ownString {
			for i := first; numbers > 0 && i <= c; i++ {
				if R[i].isNumber() {
					if R[i], err = s.numberString(R[i].num()); err != nil {
						return err
					}
					size += R[i].strLen()
				}
			}
			var to []byte
			if to, err = s.Alloc(size); err != nil {
				return err
			}
			n := 0
			for i := first; i <= c; i++ {
				if from := R[i].bytes(); len(from) <= copyBlock {
					n += copy(to[n:], from)
				} else if err = copyAll(s, to[n:], from, bytesPerStep); err != nil {
					return err
				} else {
					n += len(from)
				}
			}
			r = bytesValue(to)
		} else {
			buf := s.Scratch()
			for i := first; i <= c; i++ {
				buf, _ = AppendValue(buf, R[i])
			}
			r, err = s.NewString(buf)
			s.PutScratch(buf)
			if err != nil {
				return err
			}
		}
		if size <= copyBlock {
			s.steps -= size >> 6
		}
		c = first
		R[c] = r
	}
	return nil
}

func isText(v Value) bool { return v.isNumber() || v.isKind(KindString) }
