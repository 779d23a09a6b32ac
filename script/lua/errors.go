package lua

// Error is an error that ended a run, or a source that does not compile.
type Error struct {
	// Value is what was thrown: any Lua value.
	Value Value
	// Source and Line are the chunk's name, as it was given, and the line of
	// the Lua function that raised the error or called the Go function that
	// did; Line is 0 where there is none.
	Source string
	Line   int
	// Syntax tells that it comes from the compiler.
	Syntax bool
	// Memory tells that the bound of memory was met.
	Memory bool
}

// Error is the thrown value as text.
func (e *Error) Error() string {
	if b, ok := AppendValue(nil, e.Value); ok {
		return string(b)
	}
	return "(error object is a " + e.Value.Kind().String() + " value)"
}

// Throw raises v as an error.
func (s *State) Throw(v Value) error {
	s.thrown = v
	return errThrown
}

// Thrown is the value of the error that a call has just returned, for a Go
// function that catches it.
func (s *State) Thrown() Value { return s.thrown }

// lineOf is where a Lua frame is.
func (f *frame) lineOf() int { return int(f.cl.inst.p.lines[max(f.pc-1, 0)]) }

// frameAt finds the frame of a level: 0 is the running function, 1 what called
// it. It is nil where the level has no line: a tail call took its place, it is
// no Lua function, or there is none. exists tells the last case apart.
func (s *State) frameAt(level int) (f *frame, exists bool) {
	th := s.th
	i := th.n
	for ; level > 0 && i > 0; i-- {
		level--
		if th.frames[i].kind == frameLua {
			level -= int(th.frames[i].tail)
		}
	}
	if level < 0 {
		return nil, true
	}
	if level > 0 || i <= 0 {
		return nil, false
	}
	return &th.frames[i], true
}

// Position is the chunk's name, as it was given, and the current line of the
// function at the level (0 is the running function itself, 1 what called it);
// line is 0 where that is no Lua function.
func (s *State) Position(level int) (source string, line int) {
	if f, _ := s.frameAt(level); f != nil && f.kind == frameLua {
		return f.cl.inst.p.chunk, f.lineOf()
	}
	return "", 0
}

// Where is the position as messages begin with it: "chunk:line: ", or "" where
// the function at the level is no Lua function.
func (s *State) Where(level int) string {
	return string(s.appendWhere(nil, level))
}

func (s *State) appendWhere(b []byte, level int) []byte {
	if f, _ := s.frameAt(level); f != nil && f.kind == frameLua {
		b = append(b, f.cl.inst.p.chunkID...)
		b = append(b, ':')
		b = AppendNumber(b, float64(f.lineOf()))
		b = append(b, ": "...)
	}
	return b
}

// runError raises an error of the machine itself, with the position of the
// running function if that is a Lua function.
func (s *State) runError(msg string) error {
	b := append(s.appendWhere(s.Scratch(), 0), msg...)
	v, err := s.NewString(b)
	s.PutScratch(b)
	if err != nil {
		return err
	}
	return s.Throw(v)
}

func (s *State) readonlyError() error { return s.runError("Attempt to modify a readonly table") }

// memoryError is raised at the bound; the text is a constant.
func (s *State) memoryError() error {
	if s == nil {
		return errThrown
	}
	return s.Throw(outOfMemory)
}

var outOfMemory = stringValue("not enough memory")

// typeError says that an operation does not fit a value; reg is the running
// function's register with it, or -1.
func (s *State) typeError(v Value, reg int, what string) error {
	typ := v.kind().String()
	if f := &s.th.frames[s.th.n]; f.kind == frameLua && reg >= 0 && reg < f.cl.inst.p.stack {
		if kind, name := f.cl.inst.p.registerName(reg, int(f.pc)-1); kind != "" {
			return s.runError("attempt to " + what + " " + kind + " '" + name + "' (a " + typ + " value)")
		}
	}
	return s.runError("attempt to " + what + " a " + typ + " value")
}

// calledAs is the name by which the running Go function was called, and
// whether as a method.
func (s *State) calledAs() (name string, method bool) {
	th := s.th
	if th.n < 1 {
		return "?", false
	}
	f := &th.frames[th.n-1]
	if f.kind == frameLua {
		p := f.cl.inst.p
		switch i := p.code[f.pc-1]; i.op() {
		case opCall, opTailCall, opTForLoop:
			if kind, name := p.registerName(i.a(), int(f.pc)-1); kind != "" {
				return name, kind == "method"
			}
		}
	}
	return "?", false
}

// unwind takes the frames down to the one that catches err, or to the one that
// the caller of execute entered: done is true in that case. A kill passes
// everything that catches.
func (s *State) unwind(err error) (done bool, _ error) {
	switch err {
	case errThrown:
		err = s.handle()
	case ErrKilled:
	default:
		// A Go function's own error.
		v, e := s.CopyString(err.Error())
		s.thrown = v
		if e == nil {
			err = s.handle()
		} else {
			err = e
		}
	}
	for {
		th := s.th
		for th.n > 0 {
			f := &th.frames[th.n]
			if (f.kind == framePcall || f.kind == frameXpcall) && err == errThrown {
				th.closeUpvals(int(f.fn))
				th.calls = int(f.pc)
				at := int(f.fn)
				s.forgetPosition()
				th.stack[at] = boolValue(false)
				th.stack[at+1] = s.thrown
				if f.kind == framePcall {
					th.stack[at+1] = s.caught()
				}
				return s.finish(at, 2), nil
			}
			if f.fresh {
				th.closeUpvals(int(f.fn))
				th.n--
				return true, err
			}
			th.n--
		}
		// The coroutine dies of it.
		th.closeUpvals(0)
		th.status = threadDead
		th.stack, th.frames, th.soft = nil, nil, 0
		up := th.parent
		th.parent = nil
		s.th = up
		up.status = threadRunning
		f := &up.frames[up.n]
		if err != errThrown {
			continue
		}
		at := int(f.fn)
		if f.kind == frameResume {
			s.forgetPosition()
			up.stack[at] = boolValue(false)
			up.stack[at+1] = s.thrown
			return s.finish(at, 2), nil
		}
		if isText(s.thrown) {
			thrown := s.thrown
			text := thrown
			if thrown.isNumber() {
				text = stringValue(string(AppendNumber(nil, thrown.num())))
			}
			v, e := s.joined(s.Where(1), text.str())
			if e == ErrKilled {
				err = e
				continue
			}
			s.thrown = thrown
			if e == nil {
				s.thrown = v
			}
		}
		err = s.handle()
	}
}

// forgetPosition forgets where an error was raised, since it was caught. One that came through a
// loop which Go has called (a metamethod, an iterator) had not known of the pcall around.
func (s *State) forgetPosition() { s.errSource, s.errLine = "", -1 }

// caught is what pcall returns for the error.
func (s *State) caught() Value {
	s.forgetPosition()
	if s.opt.Caught != nil {
		return s.opt.Caught(s.thrown)
	}
	return s.thrown
}

// handle calls the handler of an xpcall around, while the frames still stand.
// It also notes where an error was raised that nothing catches.
func (s *State) handle() error {
	th := s.th
	for i := th.n; i > 0; i-- {
		f := &th.frames[i]
		if f.kind == framePcall {
			return errThrown
		}
		if f.kind == frameXpcall {
			return s.callHandler(th.stack[f.fn])
		}
		if f.fresh {
			break
		}
	}
	if s.errLine < 0 && s.nested <= 1 {
		s.errSource, s.errLine = s.Position(0)
		if s.errLine == 0 {
			s.errSource, s.errLine = s.Position(1)
		}
	}
	return errThrown
}

// callHandler calls an error's handler, and again with the error that the
// handler itself raises, until the levels of calls are used up.
func (s *State) callHandler(h Value) error {
	if s.thrown.same(outOfMemory) {
		return errThrown
	}
	for range maxNesting {
		if !h.IsFunction() || s.handling >= maxHandling {
			break
		}
		s.handling++
		r, err := s.call(h, []Value{s.thrown})
		if s.handling--; s.handling == 0 && s.th.n < maxFrames && len(s.th.frames) > maxFrames {
			s.th.frames = s.th.frames[:maxFrames] // the rest is for the next handler
		}
		if err == nil {
			s.thrown = Nil
			if len(r) > 0 {
				s.thrown = r[0]
			}
			return errThrown
		}
		if err != errThrown {
			return err
		}
	}
	s.thrown = stringValue("error in error handling")
	return errThrown
}

const maxHandling = 10
