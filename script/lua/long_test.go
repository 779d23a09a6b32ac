package lua

import "testing"

// TestAside interrupts a run whose work beside it does not end.
func TestAside(t *testing.T) {
	s := New(Options{})
	release := make(chan struct{})
	s.Register(s.Globals(), "wait", func(s *State, w []Value, n int) (int, error) {
		s.Interrupt()
		_, err := aside(s, func() bool {
			<-release
			return true
		})
		return 0, err
	})
	if _, err := evalOn(t, s, "pcall(wait) return 1"); err != ErrKilled {
		t.Errorf("%v", err)
	}
	close(release)
	stillWorks(t, s)
}

// TestLongTexts has every function at work on strings of megabytes. It must look meanwhile whether
// the run is to end: in blocks, or while the work is done beside it.
func TestLongTexts(t *testing.T) {
	const size = 9 << 18
	for _, op := range []string{
		"S:upper()", "S:lower()", "S:reverse()", "S .. 'y'", "S:rep(2)", "S:find('b', 1, true)", "S:find('xxb', 1, true)", "S:find('b')",
		"S:find('[bc]')", "S:find('x*b')", "S:find('[xy]*b')", "S == T", "S < T", "S <= T", "rawequal(S, T)", "S:gsub('b', 'y')", "S:gsub('[bc]', 'y')",
		"S:gmatch('[bc]')()", "S:gsub('x', 'y', 1)", "('%s'):format(S)", "('%q'):format(S)", "tonumber(S, 36)", "tonumber((' '):rep(#S))", "tonumber('1' .. ('0'):rep(#S))",
		"tonumber('0x' .. ('f'):rep(#S))", "pcall(function() return D + 1 end)", "math.floor(D)", "pcall(function() for i = D, 1 do end end)",
		"table.concat({S, S})", "table.concat({1, 2}, S)", "table.sort({S, T, S, T})", "cjson.encode(S)", "cjson.decode('\"' .. S .. '\"')", "pcall(cjson.decode, (' '):rep(#S))",
		"pcall(cjson.decode, D)", "pcall(cjson.decode, '\"' .. ('\\\\'):rep(#S))", "cmsgpack.pack(S)", "cmsgpack.unpack(cmsgpack.pack(S))",
		"struct.pack('s', S)", "struct.unpack('s', S .. '\\0')", "pcall(struct.size, ('b'):rep(#S))", "loadstring(S)", "loadstring('return ' .. Q)",
		"loadstring('return ' .. Q .. ', ' .. Q)", "loadstring('--' .. S)", "loadstring('--[[' .. S .. ']]')", "loadstring('return ' .. D)", "loadstring('x = 1 ' .. S, S)",
		"load(function() local r = S S = nil return r end)", "pcall(function() error(S) end)", "pcall(assert, false, S)", "pcall(coroutine.wrap(function() error(S, 0) end))",
		"pcall(string.find, S, S)", "pcall(string.format, ('%'):rep(#S))", "pcall(string.gsub, 'x', 'x', ('%'):rep(#S))", "pcall(string.gsub, 'x', 'x', S)",
		"pcall(collectgarbage, S)",
	} {
		on, looks := false, 0
		s := New(Options{Memory: 256 << 20, Deprecated: true, Tick: func(*State) Action {
			if on {
				if looks++; looks > 50 {
					return Kill
				}
			}
			return Continue
		}})
		for name, v := range map[string]int{"S": 'x', "T": 'x', "D": '1'} {
			b := make([]byte, size)
			for i := range b {
				b[i] = byte(v)
			}
			_ = s.RawSetString(s.Globals(), name, bytesValue(b))
		}
		began := 0
		s.Register(s.Globals(), "begin", func(s *State, w []Value, n int) (int, error) {
			on, looks, began = true, 0, s.asides
			return 0, nil
		})
		p, err := Compile("Q = '\"' .. S .. '\"' begin() local r = "+op, "=p")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Run(p)
		if asides := s.asides - began; asides == 0 && looks < 3 {
			t.Errorf("%s: %d looks in %d bytes", op, looks, size)
		}
	}
}

// TestNearTexts finds what it looks for at once: to go beside the run each time would take longer.
func TestNearTexts(t *testing.T) {
	s := New(Options{Memory: 64 << 20})
	for _, op := range []string{
		"return select(2, S:gsub('x', 'y'))",
		"local n = 0 for _ in S:gmatch('x') do n = n + 1 end return n",
		"for i = 1, 1000 do local a = S:find('xx', i, true) assert(a == i) end return 1",
		"local n = 0 for i = 1, 1000 do if S < T or S == T then n = n + 1 end end return n",
		"local n = 0 for i = 1, 1000 do if rawequal(S, T) then n = n + 1 end end return n",
	} {
		began := s.asides
		got, err := evalOn(t, s, "local S = ('x'):rep(2400000) local T = 'a' .. S:sub(2) "+op)
		t.Log(got)
		if n := s.asides - began; n > 100 || err != nil {
			t.Errorf("%s: %v, %d times beside the run", op, err, n)
		}
	}
}

// TestLongKeys has keys of which the middle does not count to the hash.
func TestLongKeys(t *testing.T) {
	s := New(Options{})
	got, err := evalOn(t, s, `
		local x = ('x'):rep(150000)
		local a, b = x .. '1' .. x, x .. '2' .. x
		local t = {[a] = 1, [b] = 2}
		t[x] = 3
		return t[x .. '1' .. x], t[x .. '2' .. x], rawget(t, ('x'):rep(150000)), t[x .. '3' .. x] == nil, next(t, x .. '1' .. x) == b`)
	if want := "1 2 3 true true"; got != want || err != nil {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}
