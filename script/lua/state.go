package lua

import (
	"errors"
	"sync/atomic"
)

// Options are what a State is made with.
type Options struct {
	// Memory is how many bytes one run may hold; 0 means no bound.
	Memory int
	// Deprecated adds setfenv, getfenv and newproxy, which scripts could use
	// to reach each other's environments.
	Deprecated bool
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

	globals *Table
	// StringMeta is the metatable of all strings.
	StringMeta *Table
	// Host is for whoever embeds the State: what its Go functions need to know
	// about the run.
	Host any

	main     *thread
	opt      Options
	interupt atomic.Bool // set by Interrupt from any goroutine
	thrown   Value       // the value that goes with errThrown
	scratch  []byte      // kept between runs for strings in the making

	// Where memory is cut from; see memory.go.
	chunk       []byte
	valueSlab   []Value
	nodeSlab    []node
	headSlab    []int32
	tableSlab   []Table
	used        int // bytes charged to this run
	allowed     int // where used makes the walk necessary
	allocs      []span
	epoch       uint32
	hashes      [256]hashEntry
	metaNames   [metaCount]Value
	goBase      int // where the window of the running Go function begins
	goTop       int // where it ends
	libraries   map[string]*Table
	tostringBuf [32]byte
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

// Interrupt ends the running script, or the next one that is started, with
// ErrKilled. Any goroutine may call it.
func (s *State) Interrupt() { s.interupt.Store(true) }

// Step counts n steps of a loop and returns an error where the run must end.
func (s *State) Step(n int) error {
	s.steps -= n
	if s.steps >= 0 {
		return nil
	}
	return s.tick(true)
}
