package lua

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"sync/atomic"
)

// Options are what a State is made with.
type Options struct {
	// Memory is how many bytes one run may hold; 0 means no bound.
	Memory int
	// Deprecated adds setfenv, getfenv and newproxy, which scripts could use
	// to reach each other's environments.
	Deprecated bool
	// Caught, if it is there, is what pcall returns for an error's value. It may
	// not call the State.
	Caught func(Value) Value
	// Tick is asked about every 10,000 steps whether the run goes on. nil
	// means that only Interrupt ends it.
	Tick func(s *State) Action
}

// Action is what Options.Tick answers.
type Action int

// Continue lets the run go on, Kill ends it with ErrKilled, and Suspend makes
// Call return ErrSuspended as soon as no Go function lies between Call and the
// running Lua function.
const (
	Continue Action = iota
	Kill
	Suspend
)

// stepsPerTick is how many steps are made between two looks at the flag of
// Interrupt: 20 to 30 us of instructions.
const stepsPerTick = 10000

// State is one machine with its globals. One goroutine at a time may use it,
// but for Interrupt.
type State struct {
	th    *thread
	steps int // counts down to the next look at the flag

	longest int    // the most steps between two looks, for tests
	asides  int    // how often aside was used, for tests
	looked  func() // called at each look at the interrupt, for tests

	// StringMeta is the metatable of all strings.
	StringMeta *Table
	// Host is for whoever embeds the State: what its Go functions need to know
	// about the run.
	Host any

	globals   *Table
	main      *thread
	opt       Options
	interrupt atomic.Bool // set by Interrupt from any goroutine
	thrown    Value       // the value that goes with errThrown
	errSource string      // where the error was raised that nothing has caught yet
	errLine   int         // -1: not known
	nested    int         // loops that run on Go's stack
	held      int         // bytes that the host keeps for the run
	handling  int         // handlers of errors that run
	scratch   []byte      // kept between runs for strings in the making
	instances map[*Proto]*instance
	nextValue Value // the functions that pairs and ipairs return
	inext     Value

	// Where memory is cut from; see memory.go.
	chunk     []byte
	values    slab[Value]
	nodes     slab[node]
	heads     slab[int32]
	tables    slab[Table]
	oldValues [recycleClasses][][]Value
	oldNodes  [recycleClasses][]nodeList
	grown     []*Table // tables of this run with arrays or nodes of a size that is used again
	used      int      // bytes charged to this run
	allowed   int      // where used makes the walk necessary
	slabLimit int      // where used ends the use of slabs
	buffers   int      // bytes of buffers in which strings are being built, beyond the one that is kept
	building  []Value  // what the tables that Go functions are making will hold
	allocs    []span
	epoch     uint32

	hashes      [256]hashEntry
	tostringBuf [48]byte
}

// hashEntry remembers the hash of a string. It holds the string itself, so its
// address cannot come to mean other bytes.
type hashEntry struct {
	key  Value
	hash uint32
}

// Errors that Call returns besides *Error.
var (
	// ErrKilled ends a run whose interrupt or Tick said so; pcall does not
	// catch it.
	ErrKilled = errors.New("lua: script killed")
	// ErrSuspended means that the run waits for Continue.
	ErrSuspended = errors.New("lua: script suspended")
)

// errThrown travels from where a script's error is raised to what catches it;
// the value is in State.thrown.
var errThrown = errors.New("lua: error thrown")

// New makes a machine with all libraries.
func New(opt Options) *State {
	s := &State{opt: opt, steps: stepsPerTick, instances: map[*Proto]*instance{}, allowed: math.MaxInt}
	s.main = &thread{stack: make([]Value, firstStack), frames: make([]frame, firstFrames), status: threadRunning}
	s.main.frames[0].kind = frameHost
	s.th = s.main
	s.globals = &Table{}
	s.main.env = s.globals
	openBase(s)
	openLibraries(s)
	s.resetMemory()
	return s
}

// Function makes a function of a chunk, with the globals as its environment;
// each call makes another one.
func (s *State) Function(p *Proto) Value {
	return closureValue(&closure{inst: s.instance(p), env: s.globals})
}

// FunctionWith is Function with another environment.
func (s *State) FunctionWith(p *Proto, env *Table) Value {
	return closureValue(&closure{inst: s.instance(p), env: env})
}

// Run runs a chunk. The results are good until the next use of the State. The
// error is an *Error, ErrKilled, or ErrSuspended, after which Continue goes on.
func (s *State) Run(p *Proto, args ...Value) ([]Value, error) {
	inst := s.instance(p)
	if inst.main == nil {
		inst.main = &closure{inst: inst}
	}
	inst.main.env = s.globals
	s.main.env = s.globals
	return s.Call(closureValue(inst.main), args...)
}

// Call calls a function, or what has __call. From a Go function it is a part of
// the run; the results lie on the stack then, and the error is to be returned
// as it is. From outside it is a run of its own, as Run is.
func (s *State) Call(f Value, args ...Value) ([]Value, error) {
	if s.th.n > 0 || s.th != s.main {
		return s.call(f, args)
	}
	s.resetMemory()
	th := s.main
	th.calls, s.errLine, s.errSource = 0, -1, ""
	if err := s.reach(len(args) + 1); err != nil {
		return nil, s.endRun(err)
	}
	th.stack[0] = f
	copy(th.stack[1:], args)
	return s.run(false, len(args))
}

// Continue goes on with a run that was suspended.
func (s *State) Continue() ([]Value, error) { return s.run(true, 0) }

func (s *State) run(again bool, n int) (results []Value, err error) {
	defer s.recovered(&results, &err)
	if again {
		s.main.calls = 1
		err = s.execute()
		s.main.calls = 0
	} else {
		err = s.callAt(0, n, multi)
	}
	if err == ErrSuspended {
		return nil, err
	}
	if err != nil {
		return nil, s.endRun(err)
	}
	th := s.main
	n = th.top
	th.forgetFrames()
	th.forgetValues(n)
	s.letGo()
	return th.stack[:n], nil
}

// endRun makes the State as new after an error, and the error that the caller
// gets.
func (s *State) endRun(err error) error {
	source, line, v := s.errSource, max(s.errLine, 0), s.thrown
	s.reset()
	s.letGo()
	if err == ErrKilled {
		s.interrupt.Store(false) // an interrupt that came twice, or was met by a walk, is done
	}
	if err == errThrown {
		return &Error{Value: v, Source: source, Line: line, Memory: v.same(outOfMemory)}
	}
	return err
}

func (s *State) reset() {
	th := s.main
	th.closeUpvals(0)
	clear(th.stack[:th.soft])
	th.forgetFrames()
	th.soft, th.n, th.top, th.calls = 0, 0, 0, 0
	th.status, th.parent = threadRunning, nil
	th.frames[0].kind = frameHost
	if len(th.stack) > 16*firstStack {
		th.stack = make([]Value, firstStack)
	}
	s.th = th
	s.nested, s.handling, s.buffers = 0, 0, 0
	s.built(0)
	s.thrown, s.errSource = Nil, ""
}

// recovered turns a panic, which is a fault of this package or of a Go
// function, into an error, so that it does not end the process.
func (s *State) recovered(results *[]Value, err *error) {
	if r := recover(); r != nil {
		s.reset()
		*results, *err = nil, fmt.Errorf("lua: internal error: %v\n%s", r, debug.Stack())
	}
}

// tick looks whether the run is to end or to wait.
func (s *State) tick(atTop bool) error {
	s.longest = max(s.longest, stepsPerTick-s.steps)
	s.steps = stepsPerTick
	if s.looked != nil {
		s.looked()
	}
	if s.interrupt.Load() {
		s.interrupt.Store(false)
		return ErrKilled
	}
	if s.opt.Tick != nil {
		switch s.opt.Tick(s) {
		case Kill:
			return ErrKilled
		case Suspend:
			if atTop {
				return ErrSuspended
			}
		}
	}
	return nil
}

// Interrupt ends the running script, or the next one that is started, with
// ErrKilled. Any goroutine may call it.
func (s *State) Interrupt() { s.interrupt.Store(true) }

// copyBlock is how many elements copyAll copies between two looks.
const copyBlock = 1 << 15

// copyAll is copy for what may be long: it counts steps, and ends at an interrupt. s is nil
// where no run is going on.
func copyAll[T any](s *State, to, from []T, perStep int) error {
	for len(from) > copyBlock && s != nil {
		copy(to, from[:copyBlock])
		to, from = to[copyBlock:], from[copyBlock:]
		if err := s.Step(copyBlock / perStep); err != nil {
			return err
		}
	}
	copy(to, from)
	return nil
}

// What copyAll copies in the time of one step.
const (
	bytesPerStep  = 64
	valuesPerStep = 4
)

// Step counts n steps of a loop and returns an error where the run must end.
func (s *State) Step(n int) error {
	s.steps -= n
	if s.steps >= 0 {
		return nil
	}
	return s.tick(false)
}

// SetMemory changes Options.Memory for the runs that begin from now on.
func (s *State) SetMemory(bytes int) { s.opt.Memory = bytes }
