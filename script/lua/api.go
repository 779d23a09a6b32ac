package lua

import (
	"fmt"
	"math"
)

// GoFunction is a function that scripts can call; see the package's comment
// for the rules.
type GoFunction func(s *State, w []Value, n int) (results int, err error)

// Register puts a Go function into the table t under the name.
func (s *State) Register(t *Table, name string, fn GoFunction) {
	_ = t.set(nil, stringValue(name), s.NewFunction(fn))
}

// NewFunction makes a function value. fn may be a Go closure; each call makes
// another value.
func (s *State) NewFunction(fn GoFunction) Value {
	return functionValue(&function{fn: fn, env: s.globals})
}

// NewFunctionHolding is NewFunction for a closure that a script can make any
// number of, such as an iterator: it is charged to the run. held are the values
// that the closure keeps, and size is how many bytes of other memory it keeps.
func (s *State) NewFunctionHolding(fn GoFunction, size int, held ...Value) (Value, error) {
	f := &function{fn: fn, env: s.globals, size: size}
	if len(held) > 0 {
		f.held = append(f.held, held...)
	}
	if err := s.Charge(f.memory()); err != nil {
		return Nil, err
	}
	return functionValue(f), nil
}

// Globals is the table of globals.
func (s *State) Globals() *Table { return s.globals }

// RawSet sets t[k] without metamethods. It fails for a key that is nil or NaN,
// for a read-only table, and where there is no memory.
func (s *State) RawSet(t *Table, k, v Value) error {
	if t.readonly {
		return s.readonlyError()
	}
	if k.IsNil() {
		return s.runError("table index is nil")
	}
	if k.isNumber() && math.IsNaN(k.num()) {
		return s.runError("table index is NaN")
	}
	return t.set(s, k, v)
}

// RawSetInt sets t[i] without metamethods.
func (s *State) RawSetInt(t *Table, i int, v Value) error {
	if t.readonly {
		return s.readonlyError()
	}
	if i >= 1 && i <= len(t.arr) {
		t.arr[i-1] = v
		return nil
	}
	return t.setNumber(s, float64(i), v)
}

// RawSetString sets t[k] without metamethods. k is kept, not copied.
func (s *State) RawSetString(t *Table, k string, v Value) error {
	if t.readonly {
		return s.readonlyError()
	}
	return t.set(s, stringValue(k), v)
}

// Embed sets t[k] also in a table that is read-only for scripts.
func (t *Table) Embed(k string, v Value) { _ = t.set(nil, stringValue(k), v) }

// Errorf raises an error with the position of the Lua function that called the
// running Go function, if it was one, as luaL_error does.
func (s *State) Errorf(format string, args ...any) error {
	for _, a := range args {
		if text, ok := a.(string); ok && len(text) >= longText {
			msg, err := aside(s, func() string { return fmt.Sprintf(format, args...) })
			if err != nil {
				return err
			}
			return s.throwAt(1, msg)
		}
	}
	return s.throwAt(1, fmt.Sprintf(format, args...))
}

// throwAt raises an error with a message, which may be long, and the position at the level.
func (s *State) throwAt(level int, msg string) error {
	v, err := s.joined(s.Where(level), msg)
	if err != nil {
		return err
	}
	return s.Throw(v)
}

// ArgError says that the argument with the index i (0 is the first) is bad:
// "bad argument #1 to 'rep' (msg)", with the name by which the function was
// called.
func (s *State) ArgError(i int, msg string) error {
	name, method := s.calledAs()
	if method {
		if i == 0 {
			return s.Errorf("calling '%s' on bad self (%s)", name, msg)
		}
		i--
	}
	return s.Errorf("bad argument #%d to '%s' (%s)", i+1, name, msg)
}

// TypeError says that the argument with the index i is not what was expected.
func (s *State) TypeError(w []Value, n, i int, expected string) error {
	return s.ArgError(i, expected+" expected, got "+ArgType(w, n, i))
}

// ArgType is the name of an argument's type, "no value" where it is missing.
func ArgType(w []Value, n, i int) string {
	if i >= n {
		return "no value"
	}
	return w[i].kind().String()
}

// Arg is the argument with the index i, nil where it is missing.
func Arg(w []Value, n, i int) Value {
	if i < n {
		return w[i]
	}
	return Nil
}

// ArgAny fails where the argument is missing.
func (s *State) ArgAny(n, i int) error {
	if i >= n {
		return s.ArgError(i, "value expected")
	}
	return nil
}

// ArgNumber is a number, or a string that can be read as one.
func (s *State) ArgNumber(w []Value, n, i int) (float64, error) {
	if i < n {
		if w[i].isNumber() {
			return w[i].num(), nil
		}
		if f, ok, err := s.number(w[i]); ok || err != nil {
			return f, err
		}
	}
	return 0, s.TypeError(w, n, i, "number")
}

// OptNumber is ArgNumber with a default for nil or none.
func (s *State) OptNumber(w []Value, n, i int, def float64) (float64, error) {
	if i >= n || w[i].IsNil() {
		return def, nil
	}
	return s.ArgNumber(w, n, i)
}

// ArgInt is a number cut to a whole one, as the reference implementation does
// on x86-64: what does not fit, and NaN, is the least int64.
func (s *State) ArgInt(w []Value, n, i int) (int64, error) {
	f, err := s.ArgNumber(w, n, i)
	return ToInt64(f), err
}

// OptInt is ArgInt with a default for nil or none.
func (s *State) OptInt(w []Value, n, i int, def int64) (int64, error) {
	if i >= n || w[i].IsNil() {
		return def, nil
	}
	return s.ArgInt(w, n, i)
}

// ToInt64 cuts a number to a whole one as x86-64 does, on every processor.
func ToInt64(f float64) int64 {
	if f >= -1<<63 && f < 1<<63 {
		return int64(f)
	}
	return math.MinInt64
}

// ArgString is a string, or a number as a string. In the latter case w[i]
// becomes that string.
func (s *State) ArgString(w []Value, n, i int) (string, error) {
	if i < n {
		if w[i].isKind(KindString) {
			return w[i].str(), nil
		}
		if w[i].isNumber() {
			v, err := s.numberString(w[i].num())
			if err != nil {
				return "", err
			}
			w[i] = v
			return v.str(), nil
		}
	}
	return "", s.TypeError(w, n, i, "string")
}

// OptString is ArgString with a default for nil or none.
func (s *State) OptString(w []Value, n, i int, def string) (string, error) {
	if i >= n || w[i].IsNil() {
		return def, nil
	}
	return s.ArgString(w, n, i)
}

// ArgTable is a table.
func (s *State) ArgTable(w []Value, n, i int) (*Table, error) {
	if i < n && w[i].isKind(KindTable) {
		return w[i].table(), nil
	}
	return nil, s.TypeError(w, n, i, "table")
}

// ArgFunction fails where the argument is no function.
func (s *State) ArgFunction(w []Value, n, i int) error {
	if i < n && w[i].IsFunction() {
		return nil
	}
	return s.TypeError(w, n, i, "function")
}

// ToNumber is a number's value, or that of a string that can be read as one.
func (v Value) ToNumber() (float64, bool) {
	if v.isNumber() {
		return v.num(), true
	}
	if v.isKind(KindString) {
		return ParseNumber(v.str())
	}
	return 0, false
}

// numberString is the number as a script's string.
func (s *State) numberString(f float64) (Value, error) {
	return s.NewString(AppendNumber(s.tostringBuf[:0], f))
}

// AppendValue appends a string or number as it is concatenated; ok is false for
// any other value.
func AppendValue(b []byte, v Value) (out []byte, ok bool) {
	if v.isKind(KindString) {
		return append(b, v.str()...), true
	}
	if v.isNumber() {
		return AppendNumber(b, v.num()), true
	}
	return b, false
}

// Window is the window of the running Go function, where the stack has it now.
func (s *State) Window() []Value {
	f := &s.th.frames[s.th.n]
	return s.th.stack[f.base:f.top:f.top]
}

// Need is the window of the running Go function with room for at least size
// values; what is in it stays.
func (s *State) Need(size int) ([]Value, error) {
	f := &s.th.frames[s.th.n]
	if top := int(f.base) + size; top > int(f.top) {
		if err := s.reach(top); err != nil {
			return nil, err
		}
		f.top = int32(top)
	}
	return s.Window(), nil
}

// CheckStack tells whether a Go function that uses used values may put size
// more on the stack: 8,000 at most, as in the reference implementation.
func CheckStack(used, size int) bool { return size <= 8000 && used+size <= 8000 }
