package lua

import "errors"

type thread struct {
	stack []Value
}

type closure struct{}

const metaCount = 20

var errLater = errors.New("lua: not built yet")

// New makes a machine without libraries.
func New(opt Options) *State {
	s := &State{opt: opt, steps: stepsPerTick, allowed: 1 << 62}
	s.th = &thread{stack: make([]Value, 1000)}
	s.goTop = 20
	s.globals = &Table{}
	return s
}

func (s *State) tick(bool) error                             { return nil }
func (s *State) overdrawn(n int) error                       { return s.memoryError() }
func (s *State) growStack(n int) error                       { return errLater }
func (s *State) calledAs() (string, bool)                    { return "?", false }
func (s *State) runError(msg string) error                   { return s.Throw(stringValue(s.Where(0) + msg)) }
func (s *State) readonlyError() error                        { return s.runError("Attempt to modify a readonly table") }
func (s *State) call(f Value, args []Value) ([]Value, error) { return nil, errLater }

// Where is "chunk:line: " of the running function at the level (0 is the
// running function itself, 1 what called it), and "" where that is a Go
// function.
func (s *State) Where(level int) string { return "" }

// Index is v[k] with metamethods.
func (s *State) Index(v, k Value) (Value, error) { return Nil, errLater }

// SetIndex does v[k] = x with metamethods.
func (s *State) SetIndex(v, k, x Value) error { return errLater }

// LessThan is a < b with metamethods and their errors.
func (s *State) LessThan(a, b Value) (bool, error) { return false, errLater }

// Equals is a == b with metamethods.
func (s *State) Equals(a, b Value) (bool, error) { return RawEquals(a, b), nil }

// ToString is what tostring gives: with __tostring.
func (s *State) ToString(v Value) (Value, error) { return Nil, errLater }

// MetaField is the field of v's metatable, nil where there is none.
func (s *State) MetaField(v Value, name string) Value {
	if m := s.metatable(v); m != nil {
		return m.GetString(name)
	}
	return Nil
}

func (s *State) metatable(v Value) *Table {
	switch v.kind() {
	case KindTable:
		return v.table().meta
	case KindString:
		return s.StringMeta
	case KindUserdata:
		return v.userdata().meta
	}
	return nil
}
