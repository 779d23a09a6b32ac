package lua

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

// evalOn compiles and runs a source, and gives the results as text.
func evalOn(t testing.TB, s *State, src string) (string, error) {
	t.Helper()
	p, err := Compile(src, "@user_script")
	if err != nil {
		return "", err
	}
	r, err := s.Run(p)
	if err != nil {
		return "", err
	}
	var parts []string
	for _, v := range r {
		b, ok := AppendValue(nil, v)
		if !ok {
			b = []byte(v.Kind().String())
			if v.Kind() == KindBoolean {
				b = []byte(map[bool]string{true: "true", false: "false"}[v.Truth()])
			}
		}
		parts = append(parts, string(b))
	}
	return strings.Join(parts, " "), nil
}

// stillWorks checks that the machine is as new: the stack is empty and clear,
// and a script runs.
func stillWorks(t *testing.T, s *State) {
	t.Helper()
	if s.th != s.main || s.main.n != 0 || s.main.open != nil || s.nested != 0 || s.main.calls != 0 {
		t.Errorf("the machine is not as new: n %d, nested %d, calls %d", s.main.n, s.nested, s.main.calls)
	}
	got, err := evalOn(t, s, "local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end return f(1000), (pcall(error))")
	if err != nil || got != "1000 false" {
		t.Errorf("the next script gives %q, %v", got, err)
	}
}

// TestNothingIsKept looks for what a run has left on the stacks: it would stay
// in memory as long as the machine does nothing.
func TestNothingIsKept(t *testing.T) {
	s := New(Options{})
	for _, src := range []string{
		"local function f(n, s) if n > 0 then return (f(n - 1, s .. n)) end return 1 end return f(40, 'x')",
		"local t = {{}, 'a' .. 1} return select('#', unpack(t))",
		"local s = 'a' .. 1 error(s)",
		"return (pcall(function() local t = {} t.x.y = 1 end))",
	} {
		_, _ = evalOn(t, s, src)
		for i, v := range s.main.stack {
			if v.isObject() {
				t.Errorf("%s: a %s is left at %d", src, v.Kind(), i)
			}
		}
		for i := range s.main.frames {
			if s.main.frames[i].cl != nil {
				t.Errorf("%s: a function is left in frame %d", src, i)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	s := New(Options{})
	for src, want := range map[string]string{
		"local x x.y = 1":                           "user_script:1: attempt to index local 'x' (a nil value)",
		"\n\nreturn a.b.c":                          "user_script:3: attempt to index global 'a' (a nil value)",
		"local t = {} return t.x.y":                 "user_script:1: attempt to index field 'x' (a nil value)",
		"local t = {} t:m()":                        "user_script:1: attempt to call method 'm' (a nil value)",
		"local a = {} return a + 1":                 "user_script:1: attempt to perform arithmetic on local 'a' (a table value)",
		"return 'a' .. {}":                          "user_script:1: attempt to concatenate a table value",
		"return 1 < 'x'":                            "user_script:1: attempt to compare number with string",
		"return {} < {}":                            "user_script:1: attempt to compare two table values",
		"return #nil":                               "user_script:1: attempt to get length of a nil value",
		"error('m')":                                "user_script:1: m",
		"error('m', 0)":                             "m",
		"error({})":                                 "(error object is a table value)",
		"for i = 1, 'x' do end":                     "user_script:1: 'for' limit must be a number",
		"local function f() return f() + 1 end f()": "user_script:1: stack overflow",
		"return 1 +":                                "user_script:1: unexpected symbol near '<eof>'",
		"x = = 1":                                   "user_script:1: unexpected symbol near '='",
		"coroutine.yield()":                         "attempt to yield across metamethod/C-call boundary",
		"setmetatable(1, {})":                       "user_script:1: bad argument #1 to 'setmetatable' (table expected, got number)",
		"local t = {} t[nil] = 1":                   "user_script:1: table index is nil",
		"unpack({}, 1, 8000)":                       "user_script:1: too many results to unpack",
	} {
		_, err := evalOn(t, s, src)
		var e *Error
		if !errors.As(err, &e) || e.Error() != want {
			t.Errorf("%s: %v, want %s", src, err, want)
		}
		stillWorks(t, s)
	}
	_, err := evalOn(t, s, "\nlocal f = function() error({}) end\nf()")
	if e := err.(*Error); e.Source != "@user_script" || e.Line != 2 {
		t.Errorf("a thrown table comes from %s:%d", e.Source, e.Line)
	}
}

// TestLimits holds the depths at which Redis 7.0 stops.
func TestLimits(t *testing.T) {
	s := New(Options{})
	deepest := func(ok func(n int) bool) int {
		n := 1
		for n < 400 && ok(n+1) {
			n++
		}
		return n
	}
	compiles := func(before, middle, after string) func(n int) bool {
		return func(n int) bool {
			_, err := Compile(strings.Repeat(before, n)+middle+strings.Repeat(after, n), "@user_script")
			return err == nil
		}
	}
	if n := deepest(compiles("do ", "", "end ")); n != 199 {
		t.Errorf("%d blocks nest", n)
	}
	if n := deepest(func(n int) bool {
		_, err := Compile("return "+strings.Repeat("(", n)+"1"+strings.Repeat(")", n), "")
		return err == nil
	}); n != 198 {
		t.Errorf("%d brackets nest", n)
	}
	for src, want := range map[string]string{
		"local n = 0 local function r() n = n + 1 return pcall(r) end r() return n":                 "199",
		"local n = 0 local function r() n = n + 1 return 1 + r() end pcall(r) return n":             "16381",
		"local n = 0 local function c() n = n + 1 return coroutine.wrap(c)() end pcall(c) return n": "199",
		// A handler's room is the next handler's, and no room for what overflows next.
		"local n, t = 0, {} local function r() n = n + 1 return 1 + r() end for i = 1, 3 do n = 0 xpcall(r, function() t[i] = n end) end return unpack(t)": "16381 16381 16381",
		"local n, m = 0, {} function m.__index(t, k) n = n + 1 return t[k .. 'x'] end pcall(function() return setmetatable({}, m).a end) return n":         "197",
		"return xpcall(function() local function r() return 1 + r() end r() end, function(e) return 'H ' .. e end)":                                        "false H user_script:1: stack overflow",
		"return select('#', unpack({}, 1, 7990)), (pcall(unpack, {}, 1, 7999))":                                                                            "7990 false",
	} {
		if got, err := evalOn(t, s, src); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %s", src, got, err, want)
		}
		stillWorks(t, s)
	}
	for src, want := range map[string]string{
		strings.Repeat("local a ", 201):                                 "user_script:1: main function has more than 200 local variables",
		"local function f() " + strings.Repeat("local a ", 201) + "end": "user_script:1: function at line 1 has more than 200 local variables",
	} {
		if _, err := Compile(src, "@user_script"); err == nil || err.Error() != want {
			t.Errorf("%.40s...: %v", src, err)
		}
	}
}

func TestReadonly(t *testing.T) {
	s := New(Options{})
	s.Globals().SetReadonly(true)
	for _, src := range []string{"x = 1", "rawset(_G, 'x', 1)", "setmetatable(_G, {})", "pcall = nil"} {
		if _, err := evalOn(t, s, src); err == nil || !strings.HasSuffix(err.Error(), "Attempt to modify a readonly table") {
			t.Errorf("%s: %v", src, err)
		}
	}
	stillWorks(t, s)
}

// TestInterrupt ends scripts that would run for ever, whatever they catch.
func TestInterrupt(t *testing.T) {
	for _, src := range []string{
		"while true do end",
		"repeat until false",
		"for i = 1, 1e300 do end",
		"local function f() return f() end f()",
		"while true do pcall(function() while true do end end) end",
		"while true do pcall(error) end",
		"local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
		"local t = setmetatable({}, {__index = function() while true do end end}) return t.x",
		"xpcall(function() while true do end end, function() while true do end end)",
		"local s = '' while true do s = s .. 'x' if #s > 1000 then s = '' end end",
		"local function f(n) if n > 0 then f(n - 1) end return 0 end while true do f(100) end",
		"while true do for k, v in pairs({1, 2, 3}) do end end",
		"while true do loadstring('return 1') end",
		"while true do unpack({}, 1, 7000) end",
		"local function f(...) return f(1, ...) end f()",
	} {
		s := New(Options{})
		done := make(chan error, 1)
		go func() {
			_, err := evalOn(t, s, src)
			done <- err
		}()
		time.Sleep(5 * time.Millisecond)
		s.Interrupt()
		select {
		case err := <-done:
			if err != ErrKilled {
				t.Errorf("%s: %v", src, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: not interrupted", src)
		}
		stillWorks(t, s)
	}
}

// TestSuspend lets scripts wait at every look, and goes on with them on other
// goroutines.
func TestSuspend(t *testing.T) {
	for src, want := range map[string]string{
		"local n = 0 for i = 1, 100000 do n = n + i end return n":                                            "5000050000",
		"local function f(n) if n < 2 then return n end return f(n-1) + f(n-2) end return f(20)":             "6765",
		"local ok, n = pcall(function() local n = 0 while n < 50000 do n = n + 1 end return n end) return n": "50000",
		`local co = coroutine.wrap(function() for i = 1, 1e9 do if i % 50 == 0 then coroutine.yield(i) end end end)
		local s = 0 for i = 1, 2000 do s = s + co() end return s`: "100050000",
	} {
		waits := 0
		s := New(Options{Tick: func(*State) Action { waits++; return Suspend }})
		got, err := evalOn(t, s, src)
		suspended := 0
		for ; err == ErrSuspended; suspended++ {
			if suspended > 100000 {
				t.Fatal("it never ends")
			}
			done := make(chan struct{})
			go func() {
				var r []Value
				if r, err = s.Continue(); err == nil {
					b, _ := AppendValue(nil, r[0])
					got = string(b)
				}
				close(done)
			}()
			<-done
		}
		if err != nil || got != want || suspended == 0 || suspended != waits {
			t.Errorf("%s: %q, %v; asked %d times, suspended %d times", src, got, err, waits, suspended)
		}
		stillWorks(t, s)
	}
}

// TestMemory runs scripts that take more than they may, and such that only
// take much one after the other.
func TestMemory(t *testing.T) {
	const bound = 8 << 20
	for _, src := range []string{
		"local t = {} for i = 1, 1e9 do t[i] = i end",
		"local t = {} for i = 1, 1e9 do t['k' .. i] = i end",
		"local t = {} while true do t = {t} end",
		"local s = 'x' while true do s = s .. s end",
		"local t = {} for i = 1, 1e9 do t[i] = function() return i end end",
		"local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end",
		"local t = {} for i = 1, 1e9 do t[i] = 'a string of its own ' .. i end",
		"local t = {} for i = 1, 1e9 do t[i] = loadstring('return ' .. i) end",
		"local co co = function() local c = coroutine.wrap(co) return c() end co()",
	} {
		s := New(Options{Memory: bound})
		var m runtime.MemStats
		_, err := evalOn(t, s, src)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", src, err)
		} else if !e.Memory && !strings.Contains(e.Error(), "overflow") {
			t.Errorf("%s: %v", src, err)
		}
		stillWorks(t, s)
		runtime.GC()
		runtime.ReadMemStats(&m)
		if m.HeapAlloc > 64<<20 {
			t.Errorf("%s: %d MB are held", src, m.HeapAlloc>>20)
		}
	}
	for _, src := range []string{
		"for i = 1, 200 do local t = {} for j = 1, 10000 do t[j] = j end end return 'ok'",
		"for i = 1, 300000 do local s = 'some string with a number ' .. i end return 'ok'",
		"for i = 1, 300000 do local t = {i, i} end return 'ok'",
		"for i = 1, 300000 do local f = function() return i end end return 'ok'",
		"for i = 1, 10000 do coroutine.wrap(function() end)() end return 'ok'",
		"local s = '' for i = 1, 3000 do s = s .. 'some more bytes' end return 'ok'",
		"local t = {} for i = 1, 300000 do t[i % 10] = {i} end return 'ok'",
	} {
		s := New(Options{Memory: bound})
		if got, err := evalOn(t, s, src); err != nil || got != "ok" {
			t.Errorf("%s: %q, %v", src, got, err)
		}
	}
}

// TestCountsWhatIsKept compares what the walk at the bound counts for objects that are
// reachable with what they take of Go's memory.
func TestCountsWhatIsKept(t *testing.T) {
	for _, src := range []string{
		"t[i] = ('x'):gmatch('b')",
		"t[i] = ('x'):gmatch(p)", // a pattern that is too long to be cached
		"t[i] = cjson.new()",
		"t[i] = newproxy(true)",
		"t[i] = coroutine.wrap(function() end)",
		"t[i] = function() return i end",
		"t[i] = {i}",
		"t[i] = {x = i}",
		"t[i] = loadstring('return ' .. i)",
		"t[i] = struct.pack('s', i)",
		"local c = cjson.new() c.decode_array_with_array_mt(true) t[i] = c.decode('[]')",
	} {
		s := New(Options{Memory: 1 << 30, Deprecated: true})
		var counted, held []int
		s.Register(s.Globals(), "measure", func(s *State, w []Value, n int) (int, error) {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			err := s.overdrawn(0)
			counted, held = append(counted, s.used), append(held, int(m.HeapAlloc))
			return 0, err
		})
		if _, err := evalOn(t, s, "local t, p = {}, ('a'):rep(600) measure() for i = 1, 4000 do "+src+" end measure() return t[1]"); err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		c, h := counted[1]-counted[0], held[1]-held[0]
		t.Logf("%s: %d bytes are counted for 4,000, %d are held", src, c, h)
		const kept = 256 << 10 // what the State itself keeps for other uses
		if c < (h-kept)/2 {
			t.Errorf("%s: %d bytes are counted for 4,000, and %d are held", src, c, h)
		}
	}
}

// TestGarbageIsNotHeld runs programs whose garbage hides where a walk might not look: what
// Go's collector keeps of it must count, or be freed.
func TestGarbageIsNotHeld(t *testing.T) {
	const bound = 4 << 20
	for _, src := range []string{
		// A table of each 32 stays, the others hold long strings.
		"local t = {} for i = 1, 10 do for k = 1, 10 do for j = 1, 31 do local b = {('x'):rep(10000) .. j} end t[#t + 1] = {} end measure() end",
		"local t = {} for i = 1, 10 do for k = 1, 10 do for j = 1, 31 do local b = {x = ('x'):rep(10000) .. j} end t[#t + 1] = {x = 1} end measure() end",
		// Keys of fields that are gone.
		"local t = {} for i = 1, 10 do local u = {} t[i] = u for j = 1, 200 do u[('x'):rep(10000) .. j] = 1 end for k in pairs(u) do u[k] = nil end measure() end",
		// The unused ends of coroutines' stacks.
		`local t = {}
		local function deep(n) local s = ('x'):rep(10000) .. n if n > 0 then deep(n - 1) end return s end
		for i = 1, 10 do t[i] = coroutine.create(function() deep(150) coroutine.yield() end) coroutine.resume(t[i]) measure() end`,
		// The same with closures in frames that have ended.
		`local t = {}
		local function deep(n) local s = ('x'):rep(10000) .. n local function f() return s, n > 0 and deep(n - 1) end f() end
		for i = 1, 10 do t[i] = coroutine.create(function() deep(80) coroutine.yield() end) coroutine.resume(t[i]) measure() end`,
		// Strings that are being built, one inside the other.
		"local function f(n) measure() if n < 40 then (('x'):rep(10000)):gsub('()x', function(i) if i < 10000 then return ('x'):rep(100) end f(n + 1) end) end end f(1)",
		// Tables that are being read.
		"for i = 1, 3 do local s = '[' .. ('{},'):rep(80000) .. '{}]' pcall(cjson.decode, s) measure() end",
		"for i = 1, 3 do local s = cmsgpack.pack({1}) .. '\\221\\0\\1\\0\\0' .. ('\\128'):rep(65536) pcall(cmsgpack.unpack, s) measure() end",
		"local t = {} for i = 1, 10 do for j = 1, 100 do t[#t + 1] = loadstring(('x = 1 '):rep(100)) end measure() end",
	} {
		s := New(Options{Memory: bound})
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		most := uint64(0)
		s.Register(s.Globals(), "measure", func(s *State, w []Value, n int) (int, error) {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc-min(now.HeapAlloc, before.HeapAlloc))
			return 0, nil
		})
		_, err := evalOn(t, s, src)
		var e *Error
		if err != nil && !(errors.As(err, &e) && e.Memory) {
			t.Errorf("%s: %v", src, err)
		}
		t.Logf("%.1f MiB, %v: %s", float64(most)/(1<<20), err, src)
		if most > bound+bound/2 {
			t.Errorf("%s: %d MiB are held, and the bound is %d", src, most>>20, bound>>20)
		}
		stillWorks(t, s)
	}
}

// TestRecycle runs scripts whose tables grow in many ways one after the other
// on one machine, with the memory of the last run used again.
func TestRecycle(t *testing.T) {
	s := New(Options{})
	src := `local n, seed = ...
	local t, u, sum = {}, {}, 0
	for i = 1, n do
		seed = (seed * 16807) % 2147483647
		local k = seed % (2 * n)
		t[i] = k
		u['k' .. k] = k
		if seed % 3 == 0 then t[i] = nil end
	end
	for i = 1, n do if t[i] then sum = sum + t[i] end end
	for k, v in pairs(u) do if k ~= 'k' .. v then error(k) end sum = sum + v end
	return sum`
	p, err := Compile(src, "@user_script")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < 4000; n = n*5/4 + 1 {
		for seed := 1; seed < 4; seed++ {
			args := []Value{Number(float64(n)), Number(float64(seed * 7919))}
			r, err := New(Options{}).Run(p, args...)
			if err != nil {
				t.Fatal(err)
			}
			want := r[0].Num()
			if r, err = s.Run(p, args...); err != nil || r[0].Num() != want {
				t.Fatalf("n %d, seed %d: %v, %v, want %v", n, seed, r, err, want)
			}
			s.Recycle()
		}
	}
}

// TestLongChains compiles sources whose lists of open jumps are long: a walk
// along the list for each jump would take minutes.
func TestLongChains(t *testing.T) {
	const n = 30000
	for _, src := range []string{
		"local x = 1 if x == 0 then " + strings.Repeat("elseif x == 2 then x = 2 ", n) + " end",
		"local x = false local y = x" + strings.Repeat(" or x", n),
		"local x = 1 local y = x" + strings.Repeat(" and x", n),
		"local x = false while not x do " + strings.Repeat("if x then break end ", n) + " x = true end",
	} {
		start := time.Now()
		if _, err := Compile(src, "@user_script"); err != nil {
			t.Errorf("%.40s...: %v", src, err)
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("%.40s...: %v", src, d)
		}
	}
}
