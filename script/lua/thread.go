package lua

// thread is a coroutine, or the main program: a stack of values and a stack of
// frames, neither of which is Go's.
//
// Invariant: frames[0] is the thread's base, of kind frameHost; frames[n] runs.
// Every register of a Lua frame lies in stack.
type thread struct {
	stack  []Value
	frames []frame
	n      int    // index of the running frame
	top    int    // where the last open list of values ends
	soft   int    // stack[soft:] was never used in this run
	open   *upval // upvalues that still live in the stack, highest first
	calls  int    // calls that are nested on Go's stack, as the reference implementation counts them
	base   int    // calls when the coroutine was resumed
	status uint8
	parent *thread // who resumed it
	env    *Table
	epoch  uint32
}

const (
	threadFresh uint8 = iota // not started: stack[0] is the function
	threadSuspended
	threadRunning
	threadNormal // has resumed another one
	threadDead
)

// frameKind says what a frame does when what it called returns or fails.
type frameKind uint8

const (
	frameLua frameKind = iota
	frameGo
	frameHost
	framePcall  // stack[fn+1] on is the protected call
	frameXpcall // the same; stack[fn] is the handler
	frameResume
	frameWrap
	frameYield // the coroutine waits for the values that yield returns
)

// frame is a running function.
type frame struct {
	cl    *closure // of Lua frames
	base  int32    // first register, or first argument of a Go function
	fn    int32    // where the function lies and the results go
	pc    int32    // of the next instruction
	want  int32    // results wanted, or multi
	top   int32    // where a Go function's window ends
	tail  int32    // tail calls that took the frame's place
	kind  frameKind
	fresh bool // execute returns to its caller when the frame does
	// simple tells that the frame is a Lua function's, called by a Lua function
	// of the same execute or by a simple pcall, or a pcall's that the hot loop
	// made: the hot loop may end it.
	simple bool
}

// upval is a variable that closures share. p is &v once it is closed.
type upval struct {
	p     *Value
	v     Value
	index int // in the stack, while it is open
	next  *upval
	epoch uint32
}

// closure is a Lua function with its variables.
type closure struct {
	inst  *instance
	ups   []*upval
	env   *Table
	epoch uint32
}

const (
	maxFrames     = 16384 // where the reference implementation's frames overflow
	handlerFrames = 1000
	goWindow      = 20 // free values that a Go function finds
	firstStack    = 1000
	firstFrames   = 32
	softStep      = 16
	maxStackLen   = 1 << 24
)

func (s *State) newThread() (*thread, error) {
	const stack, frames = 64, 8
	s.steps -= 50 // its memory is cleared
	if err := s.Charge(stack*valueSize + frames*int(frameSize) + threadSize); err != nil {
		return nil, err
	}
	t := &thread{stack: make([]Value, stack), frames: make([]frame, frames), env: s.th.env}
	t.frames[0].kind = frameHost
	t.frames[0].top = 1
	return t, nil
}

// reach makes sure that stack[:size] is there, and counts it as used.
func (s *State) reach(size int) error {
	if size <= s.th.soft {
		return nil
	}
	return s.growStack(size)
}

func (s *State) growStack(size int) error {
	th := s.th
	if size <= th.soft {
		return nil
	}
	if size > len(th.stack) {
		if size > maxStackLen {
			return s.runError("stack overflow")
		}
		n := max(size+softStep, 2*len(th.stack))
		if err := s.Charge((n - len(th.stack)) * valueSize); err != nil {
			return err
		}
		stack, err := makeLarge[Value](s, n, valueSize)
		if err != nil {
			return err
		}
		if err := copyAll(s, stack, th.stack, valuesPerStep); err != nil {
			return err
		}
		th.stack = stack
		for u := th.open; u != nil; u = u.next {
			u.p = &stack[u.index]
		}
	}
	th.soft = min(len(th.stack), size+softStep)
	return nil
}

// push enters a frame; the caller fills the returned one.
func (s *State) push() (*frame, error) {
	th := s.th
	if th.n+1 >= len(th.frames) {
		most := maxFrames
		if s.handling > 0 {
			most += handlerFrames // so that the handler of an overflow can run
		}
		if th.n+1 >= most {
			return nil, s.runError("stack overflow")
		}
		n := min(2*len(th.frames), most)
		if n <= cap(th.frames) {
			th.frames = th.frames[:n]
		} else {
			if err := s.Charge((n - len(th.frames)) * int(frameSize)); err != nil {
				return nil, err
			}
			frames := make([]frame, n)
			copy(frames, th.frames)
			th.frames = frames
		}
	}
	th.n++
	return &th.frames[th.n], nil
}

// callTop is the first place of the stack above what the running frame uses.
func (th *thread) callTop() int {
	f := &th.frames[th.n]
	if f.kind == frameLua {
		return int(f.base) + f.cl.inst.p.stack
	}
	return int(f.top)
}

// findUpval is the upvalue of a place in the running thread's stack.
func (s *State) findUpval(index int) *upval {
	at := &s.th.open
	for *at != nil && (*at).index >= index {
		if (*at).index == index {
			return *at
		}
		at = &(*at).next
	}
	u := &upval{p: &s.th.stack[index], index: index, next: *at}
	*at = u
	return u
}

// closeUpvals gives the variables from index on a place of their own.
func (th *thread) closeUpvals(index int) {
	for th.open != nil && th.open.index >= index {
		u := th.open
		th.open = u.next
		u.v = *u.p
		u.p = &u.v
		u.next = nil
	}
}

// forgetFrames lets go of the functions that frames of the last run refer to,
// and of frames that a deep recursion needed.
func (th *thread) forgetFrames() {
	if len(th.frames) > 16*firstFrames {
		th.frames = make([]frame, firstFrames)
		th.frames[0].kind = frameHost
		return
	}
	for i := range th.frames {
		if th.frames[i].cl != nil {
			th.frames[i].cl = nil
		}
	}
}

// forgetValues lets go of what stack[n:soft] refers to. Numbers stay where they
// are: to clear them too would only cost write barriers.
func (th *thread) forgetValues(n int) {
	used := th.stack[n:th.soft]
	for i := range used {
		if used[i].isObject() {
			used[i] = Value{}
		}
	}
	th.soft = n
}
