package lua

// The functions that the loop must know, because what they call runs in frames
// of its own and not on Go's stack.
const (
	specialPcall uint8 = 1 + iota
	specialXpcall
	specialResume
	specialWrap // a function that coroutine.wrap made
	specialYield
)

// enterSpecial runs a special function, whose frame f was pushed with n
// arguments.
func (s *State) enterSpecial(g *function, f *frame, n int) (done bool, err error) {
	th := s.th
	at := int(f.fn)
	w := th.stack[f.base : int(f.base)+n]
	switch g.special {
	case specialPcall:
		if n == 0 {
			return false, s.ArgError(0, "value expected")
		}
		f.kind, f.pc = framePcall, int32(th.calls)
		if err := s.deeper(); err != nil {
			return false, err
		}
		return s.enter(at+1, n-1, multi, false)
	case specialXpcall:
		if n < 2 {
			return false, s.ArgError(1, "value expected")
		}
		th.stack[at] = w[1]
		f.kind, f.pc = frameXpcall, int32(th.calls)
		if err := s.deeper(); err != nil {
			return false, err
		}
		return s.enter(at+1, 0, multi, false)
	case specialResume:
		if n == 0 || !w[0].isKind(KindThread) {
			return false, s.ArgError(0, "coroutine expected")
		}
		f.kind = frameResume
		return s.resume(w[0].thread(), at, f, w[1:])
	case specialWrap:
		f.kind = frameWrap
		return s.resume(g.thread, at, f, w)
	}
	// yield
	if th == s.main || th.calls > th.base {
		return false, s.runError("attempt to yield across metamethod/C-call boundary")
	}
	f.kind = frameYield
	th.status = threadSuspended
	up := th.parent
	th.parent = nil
	src, count := s.handOver(th, up, int(f.base), n)
	return s.finish(src, count), nil
}

// deeper counts a protected call among the nested ones.
func (s *State) deeper() error {
	th := s.th
	if th.calls >= maxNesting-1 {
		if th.calls >= maxNesting+maxNesting/8 {
			return s.Throw(stringValue("error in error handling"))
		}
		th.calls++
		return s.runError("C stack overflow")
	}
	th.calls++
	return nil
}

var statusNames = [...]string{"suspended", "suspended", "running", "normal", "dead"}

// resume goes on with the coroutine co; the running frame f waits for it.
func (s *State) resume(co *thread, at int, f *frame, args []Value) (done bool, err error) {
	th := s.th
	if co.status != threadFresh && co.status != threadSuspended {
		return s.resumeError(f, "cannot resume "+statusNames[co.status]+" coroutine")
	}
	if th.calls >= maxNesting {
		return s.resumeError(f, "C stack overflow")
	}
	co.calls = th.calls + 1
	co.base = co.calls
	co.parent = th
	th.status = threadNormal
	fresh := co.status == threadFresh
	co.status = threadRunning
	s.th = co
	n := len(args)
	to := 1
	if !fresh {
		to = int(co.frames[co.n].fn)
	}
	if err := s.reach(to + n); err != nil {
		// Nothing has happened yet: the error is the resumer's.
		s.th, co.parent, th.status = th, nil, threadRunning
		co.status = threadSuspended
		if fresh {
			co.status = threadFresh
		}
		return false, err
	}
	copy(co.stack[to:], args)
	if fresh {
		return s.enter(0, n, multi, false)
	}
	return s.finish(to, n), nil
}

func (s *State) resumeError(f *frame, msg string) (bool, error) {
	if f.kind == frameWrap {
		return false, s.Throw(stringValue(s.Where(1) + msg))
	}
	at := int(f.fn)
	s.th.stack[at] = boolValue(false)
	s.th.stack[at+1] = stringValue(msg)
	return s.finish(at, 2), nil
}

func openCoroutine(s *State) {
	t := s.library("coroutine")
	special := func(t *Table, name string, kind uint8) {
		t.Embed(name, functionValue(&function{special: kind, env: s.globals}))
	}
	special(s.globals, "pcall", specialPcall)
	special(s.globals, "xpcall", specialXpcall)
	special(t, "resume", specialResume)
	special(t, "yield", specialYield)
	s.Register(t, "create", func(s *State, w []Value, n int) (int, error) {
		co, err := s.newCoroutine(w, n)
		if err == nil {
			w[0] = threadValue(co)
		}
		return 1, err
	})
	s.Register(t, "wrap", func(s *State, w []Value, n int) (int, error) {
		co, err := s.newCoroutine(w, n)
		if err == nil {
			w[0] = functionValue(&function{special: specialWrap, thread: co, env: s.globals})
		}
		return 1, err
	})
	s.Register(t, "running", func(s *State, w []Value, n int) (int, error) {
		if s.th == s.main {
			w[0] = Nil
			return 1, nil
		}
		w[0] = threadValue(s.th)
		return 1, nil
	})
	s.Register(t, "status", func(s *State, w []Value, n int) (int, error) {
		if n == 0 || !w[0].isKind(KindThread) {
			return 0, s.ArgError(0, "coroutine expected")
		}
		w[0] = stringValue(statusNames[w[0].thread().status])
		return 1, nil
	})
}

func (s *State) newCoroutine(w []Value, n int) (*thread, error) {
	if n == 0 || !w[0].isKind(kindClosure) {
		return nil, s.ArgError(0, "Lua function expected")
	}
	co, err := s.newThread()
	if err != nil {
		return nil, err
	}
	co.stack[0] = w[0]
	return co, nil
}
