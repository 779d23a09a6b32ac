//go:build invariants

package lua

import "testing"

// TestInvariants checks the machine in the middle of programs that grow, shrink
// and suspend everything.
func TestInvariants(t *testing.T) {
	s := New(Options{Memory: 64 << 20})
	checks := 0
	s.Register(s.Globals(), "check", func(s *State, w []Value, n int) (int, error) {
		checks++
		if err := s.Check(); err != nil {
			t.Error(err)
		}
		return 0, nil
	})
	for _, src := range []string{
		"local t = {} for i = 1, 300 do t[i] = i check() end for i = 1, 300 do t[i] = nil check() end",
		"local t = {} for i = 300, 1, -1 do t[i] = i check() end for i = 1, 300, 2 do t[i] = nil t['k' .. i] = i check() end",
		"local t = {} for i = 1, 100 do t[i / 2] = i t[-i] = i t[{}] = i t[i % 2 == 0] = i check() end",
		"local t = {1, 2, nil, 4, [0] = 5, x = 6, [-0.0] = 7} check() for k in pairs(t) do t[k] = nil check() end",
		"local function f(n) local x = n local g = function() x = x + 1 return x end if n > 0 then f(n - 1) end check() return g() end f(100)",
		"local co = coroutine.wrap(function() for i = 1, 50 do local x = i coroutine.yield(function() return x end) check() end end) for i = 1, 50 do co()() check() end",
		"local m = {} local t = setmetatable({}, m) local x = t.y check() m.__index = function() check() return 1 end check() assert(t.y == 1) m.__index = nil check() assert(t.y == nil)",
		"pcall(function() local t = {} pcall(function() check() error(t) end) check() end)",
	} {
		if _, err := evalOn(t, s, src); err != nil {
			t.Errorf("%s: %v", src, err)
		}
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", src, err)
		}
	}
	if checks < 1000 {
		t.Errorf("only %d checks", checks)
	}
}
