package lua

import (
	"errors"
	"testing"
)

// FuzzCompile feeds the compiler and the machine with anything: only a message
// may come of it, never a panic, a run without end or memory without bound.
func FuzzCompile(f *testing.F) {
	for _, p := range programs {
		f.Add(p.src)
	}
	for _, src := range []string{
		"local a <const> = 1", "goto x", "return 0x", "return [==[ ]=] ]==]", "x = '\\999'", "for i = 1, 2, 3 do break end",
		"return function(...) local a, b = ... return arg end", "a.b:c{...}.d['e'] = f'g'", "return not not - - #{}", "--[[\n]] return 1e400",
		"repeat local x until x", "return coroutine.wrap(function() return pcall(error) end)()", "local t = {1, 2, nil; [3] = 4, n = {}} return #t, t",
	} {
		f.Add(src)
	}
	newState := func() *State {
		return New(Options{Memory: 1 << 22, Deprecated: true, Tick: func(s *State) Action {
			if s.Host = s.Host.(int) + 1; s.Host.(int) > 50 {
				return Kill
			}
			return Continue
		}})
	}
	// One machine is used as Redis's scripts use theirs: nothing outlives a run, whose
	// memory is used again. On the other one scripts change the globals.
	kept, open := newState(), newState()
	freeze(kept.Globals())
	kept.StringMeta.SetReadonly(true)
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 1<<12 {
			return
		}
		p, err := Compile(src, "=fuzz")
		if err != nil {
			return
		}
		for _, s := range []*State{kept, open} {
			s.Host = 0
			_, err = s.Run(p)
			s.Forget(p)
			var e *Error
			if err != nil && err != ErrKilled && !errors.As(err, &e) {
				t.Fatal(err)
			}
			if s == kept {
				s.Recycle()
			}
			if s.th != s.main || s.main.n != 0 || s.main.open != nil || s.nested != 0 {
				t.Fatal("the machine is not as new")
			}
		}
		if open.Globals().Readonly() || len(open.Globals().nodes) > 1000 {
			open = newState()
		}
	})
}

// freeze makes a table and those in it read-only.
func freeze(t *Table) {
	t.SetReadonly(true)
	for at, _, v := t.Next(0); at >= 0; at, _, v = t.Next(at) {
		if inner := v.Table(); inner != nil && !inner.Readonly() {
			freeze(inner)
		}
	}
}
