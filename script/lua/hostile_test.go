package lua

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Programs that want to hold the machine or its memory for ever. Each ends by a bound, what
// it took is free again, and the machine runs the next one.

// hostilePrograms are the programs and what the error says: "killed" is the interrupt,
// "" anything, also success.
var hostilePrograms = []struct{ want, program string }{
	// Loops.
	{"killed", "while true do end"},
	{"killed", "repeat until false"},
	{"killed", "for i = 1, math.huge do end"},
	{"", "for i = 1, 2, 0 do end"},
	{"killed", "local function f() return f() end return f()"},
	{"killed", "while true do pcall(error) end"},
	{"killed", "while true do pcall(function() while true do end end) end"},
	{"killed", "local function f() pcall(f) return f() end f()"},
	{"killed", "while true do coroutine.wrap(function() end)() end"},
	{"killed", "local f = coroutine.wrap(function() while true do coroutine.yield() end end) while true do f() end"},
	{"killed", "local t = setmetatable({}, {__index = function(t, k) return k end}) while true do local x = t[1] end"},
	{"killed", "while true do local s = ('x'):rep(10) end"},
	{"killed", "while true do local t = {} end"},
	{"killed", "while true do local f = function() end end"},
	{"killed", "while true do loadstring('return 1')() end"},
	{"killed", "local t = {} while true do t[1] = nil t[1] = 1 end"},
	{"killed", "while true do xpcall(error, function() end) end"},
	{"killed", "for k in function() return 1 end do end"},
	{"killed", "local t = {} for i = 1, 100 do t[i] = i end while true do unpack(t) end"},
	{"killed", "while true do string.format('%99.99f', 1e300) end"},
	{"killed", "while true do tostring(0.1) end"},
	{"killed", "while true do local t = setmetatable({}, {__gc = 1, __mode = 'k'}) end"},
	{"killed", "local t = {} while true do t[#t + 1] = 1 t[#t] = nil end"},
	{"killed", "while true do pcall(loadstring, 'x =') end"},
	// Depth.
	{"stack overflow", "local function f() return 1 + f() end return f()"},
	{"stack overflow", "local function f() f() end f()"},
	{"", "local function f(...) return f(1, ...) + 1 end return f()"},
	{"overflow", "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end return t.x"},
	{"overflow", "local t = {} setmetatable(t, {__add = function(a, b) return a + b end}) return t + t"},
	{"overflow", "local t = {} setmetatable(t, {__concat = function(a, b) return a .. b end}) return t .. t"},
	{"overflow", "local t = {} setmetatable(t, {__lt = function(a, b) return a < b end}) return t < t"},
	{"overflow", "local t = {} setmetatable(t, {__call = function(t) return t() + 1 end}) return t()"},
	{"", "local t = {} setmetatable(t, {__tostring = function(t) return tostring(t) end}) return tostring(t)"},
	{"", "local function f() return pcall(f) end return f()"},
	{"", "local function f() local a, b = pcall(f) return a, b end return f()"},
	{"", "local function f() return xpcall(f, f) end return f()"},
	{"", "local function f() error(setmetatable({}, {__tostring = f})) end xpcall(f, f)"},
	{"overflow", "local function f(s) return (s:gsub('.', f)) end return f('x')"},
	{"overflow", "local function f(a, b) table.sort({1, 2, 3}, f) end f()"},
	{"overflow", "local function f() table.foreach({1}, f) end f()"},
	{"", "local function f() return coroutine.wrap(f)() end return f()"},
	{"", "local function f() coroutine.resume(coroutine.create(f)) end f()"},
	{"", "local c c = coroutine.create(function() return coroutine.resume(c) end) return coroutine.resume(c)"},
	{"loop", "local t = {} for i = 1, 200 do t = setmetatable({}, {__index = t}) end return t.x"},
	{"loop", "local t = {} setmetatable(t, {__index = t}) return t.x"},
	{"loop", "local t = {} setmetatable(t, {__newindex = t}) t.x = 1"},
	{"", "return loadstring(('('):rep(100000) .. '1' .. (')'):rep(100000))"},
	{"", "return loadstring('return ' .. ('{'):rep(100000))"},
	{"", "return loadstring(('do '):rep(100000))"},
	{"", "return loadstring('return ' .. ('-'):rep(100000) .. '1')"},
	{"", "return loadstring('return ' .. ('not '):rep(100000) .. '1')"},
	{"", "return loadstring('return ' .. ('a..'):rep(100000) .. 'a')"},
	{"", "return loadstring('return ' .. ('2^'):rep(100000) .. '2')"},
	{"", "return loadstring('return ' .. ('function() return '):rep(10000))"},
	{"", "return loadstring('a' .. ('.b'):rep(100000) .. ' = 1')"},
	{"", "return loadstring('return a' .. ('()'):rep(100000))"},
	{"", "return loadstring('if x then ' .. ('elseif x then '):rep(100000) .. ' end')"},
	{"", "return loadstring('local ' .. ('a,'):rep(300) .. 'a')"},
	{"", "return loadstring('x = {' .. ('1,'):rep(500000) .. '}')"},
	{"", "return loadstring('return \"' .. ('x'):rep(8000000) .. '\"')"},
	{"", "return loadstring(('x = 1 '):rep(1300000))"},
	{"", "return loadstring('--' .. ('x'):rep(8000000))"},
	{"", "return loadstring(('\\n'):rep(8000000))"},
	{"", "return loadstring('x = [' .. ('='):rep(8000000))"},
	{"", "return loadstring('return ' .. ('1'):rep(8000000))"},
	{"", "return loadstring('return {' .. ('{},'):rep(2000000) .. '}')"},
	{"", "return loadstring('goto ' .. ('a'):rep(8000000))"},
	// Patterns.
	{"killed", "return (('a'):rep(5000)):find(('a*'):rep(10) .. 'b')"},
	{"killed", "return (('a'):rep(100000)):find(('.-'):rep(10) .. 'b')"},
	{"killed", "return (('a'):rep(3000)):match('^(' .. ('.*'):rep(8) .. ')b')"},
	{"killed", "return (('a'):rep(50000)):gsub(('a*'):rep(6) .. 'b', '')"},
	{"killed", "for w in (('a'):rep(50000)):gmatch(('a*'):rep(6) .. 'b') do end"},
	{"killed", "return ('('):rep(3000000):find('%b()')"},
	{"too complex", "return (('a'):rep(1000)):find(('a?'):rep(1000))"},
	{"too complex", "return (('a'):rep(300)):find(('a?'):rep(300) .. ('a'):rep(300))"},
	{"too many captures", "return (('a'):rep(100)):find(('(a)'):rep(40))"},
	{"", "return (('a'):rep(1000)):find(('('):rep(8000000))"},
	{"", "return (('a'):rep(1000)):find('[' .. ('a'):rep(8000000) .. ']')"},
	{"", "return (('a'):rep(100)):find(('a?'):rep(4000000))"},
	{"", "return ('x'):find(('%'):rep(1000001))"},
	{"", "return ('x'):rep(1000000):gsub('x', '%0%0%0%0%0%0%0%0%0%0')"},
	{"memory", "local s = 'x' while true do s = s:gsub('.', '%0%0') end"},
	{"", "return ('x'):rep(8000000):gsub('.', {x = 'yy'})"},
	// Memory in every shape.
	{"memory", "return ('x'):rep(1000000000)"},
	{"memory", "return ('x'):rep(2147483647)"},
	{"memory", "local s = 'x' while true do s = s .. s end"},
	{"memory", "local s = '' while true do s = s .. ('x'):rep(1000000) end"},
	{"memory", "local t = {} while true do t[#t + 1] = 1 end"},
	{"memory", "local t = {} while true do t[#t + 1] = {} end"},
	{"memory", "local t = {} local i = 0 while true do i = i + 1 t['k' .. i] = i end"},
	{"memory", "local t = {} while true do t = {t} end"},
	{"memory", "local t = {} while true do t[#t + 1] = function() return t end end"},
	{"memory", "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end"},
	{"memory", "local t = {} while true do local c = coroutine.wrap(function() coroutine.yield() end) c() t[#t + 1] = c end"},
	{"memory", "local t = {} local i = 0 while true do i = i + 1 t[i] = ('x'):rep(100) .. i end"},
	{"memory", "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1000) end while true do t[#t + 1] = table.concat(t) end"},
	{"memory", "local t = {} while true do t[#t + 1] = string.format('%s', ('x'):rep(100000)) end"},
	{"memory", "local t = {} while true do t[#t + 1] = ('x'):rep(10000):upper() end"},
	{"memory", "local t = {} while true do t[#t + 1] = loadstring('return ' .. #t) end"},
	{"memory", "local t = {} while true do t[#t + 1] = ('a'):gmatch('b') end"},
	{"memory", "local t = {} local p = ('a'):rep(20000) while true do t[#t + 1] = ('x'):gmatch(p) end"},
	{"memory", "local t = {} while true do t[#t + 1] = setmetatable({}, {}) end"},
	{"killed", "local t = {} while true do pcall(function() while true do t[#t + 1] = ('x'):rep(100000) .. #t end end) end"},
	{"memory", "local t = {} for i = 1, 1e9 do t[i * 1000] = i end"},
	{"memory", "local t = {} while true do t[#t + 1] = cjson.new() end"},
	{"", "local t = {} t[2^26] = 1 t[2^40] = 1 return #t"},
	{"", "return table.concat({}, 'x', 1, 2147483647)"},
	{"too many results", "return unpack({}, 1, 100000000)"},
	{"", "local t = {} for i = 1, 7000 do t[i] = i end return select('#', unpack(t))"},
	{"memory", "local function f(...) return f(..., ...) end local t = {} for i = 1, 5000 do t[i] = ('x'):rep(100000) .. i end return f(unpack(t))"},
	{"killed", "table.insert({}, -2147483647, 1)"},
	{"", "return pcall(table.remove, {1, 2, 3}, -5)"},
	// Sorts with odd orders.
	{"", "local t = {} for i = 1, 5000 do t[i] = i end table.sort(t, function() return true end)"},
	{"", "local t = {} for i = 1, 5000 do t[i] = i end table.sort(t, function() return false end) return t[1]"},
	{"", "local t = {} for i = 1, 5000 do t[i] = i % 7 end table.sort(t, function(a, b) return a <= b end)"},
	{"", "local t = {} for i = 1, 20000 do t[i] = i end local n = 0 table.sort(t, function(a, b) n = n + 1 return n % 3 == 0 end)"},
	{"", "local t = {3, 2, 1} table.sort(t, function(a, b) t[#t + 1] = 1 return a < b end) return #t"},
	{"", "local t = {} for i = 1, 300 do t[i] = i end table.sort(t, function(a, b) t[1] = nil t[100] = nil return (a or 0) < (b or 0) end)"},
	{"killed", "local t = {} for i = 1, 1000 do t[i] = i end table.sort(t, function(a, b) while true do end end)"},
	{"", "local t = {} for i = 1, 300000 do t[i] = 300000 - i end table.sort(t) return t[1]"},
	// The libraries of Redis.
	{"nesting", "local t = {} for i = 1, 2000 do t = {t} end return cjson.encode(t)"},
	{"nesting", "local t = {} t[1] = t return cjson.encode(t)"},
	{"nesting", "local t = {} t.x = t return cjson.encode(t)"},
	{"nesting", "local c = cjson.new() c.encode_max_depth(2147483647) local t = {} t[1] = t return c.encode(t)"},
	{"nested", "return cjson.decode(('['):rep(2000))"},
	{"nested", "local c = cjson.new() c.decode_max_depth(2147483647) return c.decode(('['):rep(1000000))"},
	{"nested", "local c = cjson.new() c.decode_max_depth(2147483647) return c.decode(('{\"a\":'):rep(1000000))"},
	{"memory", "local t = {} for i = 1, 100 do t[i] = ('x'):rep(1000000) end return cjson.encode(t)"},
	{"memory", "local s = '[' .. ('{},'):rep(4000000) .. '{}]' return cjson.decode(s)"},
	{"", "local c = cjson.new() c.encode_sparse_array(true, 0) return #c.encode({[1] = 1, [2000000] = 2})"},
	{"killed", "local c = cjson.new() c.encode_sparse_array(true, 0) while true do pcall(c.encode, {[30000000] = 1}) end"},
	{"", "return cmsgpack.unpack(('\\145'):rep(1000000))"},
	{"", "return cmsgpack.unpack(('\\129'):rep(1000000))"},
	{"", "return cmsgpack.unpack('\\221\\255\\255\\255\\255')"},
	{"", "return cmsgpack.unpack('\\223\\255\\255\\255\\255')"},
	{"", "return cmsgpack.unpack('\\219\\255\\255\\255\\255')"},
	{"too many return values", "return cmsgpack.unpack(('\\1'):rep(100000))"},
	{"", "local t = {} t[1] = t return #cmsgpack.pack(t)"},
	{"killed", "local t = {} for i = 1, 20 do t = {t, t} end for i = 1, 1000 do cmsgpack.pack(t, t, t, t) end"},
	{"", "local t = {} for i = 1, 100 do t[i] = t end return #cmsgpack.pack({1, {2, {3}}})"},
	{"", "local t = {} for i = 1, 10 do t[i] = t end return cmsgpack.pack(t)"},
	{"too many results", "return struct.unpack(('b'):rep(100000), ('x'):rep(100000))"},
	{"", "return struct.pack('!' .. ('9'):rep(100000))"},
	{"", "return #struct.pack(('x'):rep(8000000))"},
	{"", "return struct.size(('i32'):rep(2000000))"},
	{"memory", "local t = {} while true do t[#t + 1] = struct.pack('s', ('x'):rep(100000) .. #t) end"},
	{"killed", "while true do bit.band(1, 2, 3) end"},
}

// mostBetweenLooks is how many steps may lie between two looks at the interrupt: about a
// millisecond's work. Steps are counted and not time, which is not the test's alone.
const mostBetweenLooks = 300_000

func TestHostilePrograms(t *testing.T) {
	const bound = 16 << 20
	s := New(Options{Memory: bound, Deprecated: true})
	var slowest float64
	var slowestProgram string
	next, err := Compile("return 1 + 1", "=next")
	if err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i, h := range hostilePrograms {
		p, err := Compile(h.program, "=h")
		if err != nil {
			t.Fatalf("%s: %v", h.program, err)
		}
		// What ends by itself has time; what does not is killed soon.
		wait := 60 * time.Second
		if h.want == "killed" {
			wait = 100 * time.Millisecond
		} else if h.want == "" {
			wait = 500 * time.Millisecond
		}
		begin := cpuSeconds()
		var killed atomic.Uint64 // the bits of the processor time at the interrupt
		timer := time.AfterFunc(wait, func() {
			s.Interrupt() // first: a standstill between the two is no time of the program's
			killed.Store(math.Float64bits(cpuSeconds()))
		})
		_, err = s.Run(p)
		// Processor time, since the tests may share the machine with others.
		if ended := cpuSeconds(); !timer.Stop() && killed.Load() != 0 {
			if took := ended - math.Float64frombits(killed.Load()); took > slowest {
				slowest, slowestProgram = took, h.program
			}
		}
		if s.longest > mostBetweenLooks {
			t.Errorf("%s\nmakes %d steps without a look at the interrupt", h.program, s.longest)
		}
		s.longest = 0
		var e *Error
		switch {
		case errors.Is(err, ErrKilled):
			// On a machine that many share, and with the race detector, a minute may be short.
			slow := h.want == "memory" && cpuSeconds()-begin < 20
			if h.want != "killed" && h.want != "" && !slow {
				t.Errorf("%s\nwas killed, and should have ended by itself: %s", h.program, h.want)
			}
		case err == nil:
			if h.want != "" {
				t.Errorf("%s\nsucceeded, and should have failed: %s", h.program, h.want)
			}
		case !errors.As(err, &e):
			t.Errorf("%s\n%v", h.program, err)
		default:
			text := fmt.Sprint(e.Error())
			if !strings.Contains(text, h.want) {
				t.Errorf("%s\nfailed with %.300s, and not with %s", h.program, text, h.want)
			}
		}
		s.Forget(p)
		for try := 0; ; try++ {
			results, err := s.Run(next)
			if errors.Is(err, ErrKilled) && try == 0 {
				continue // the interrupt came when the program had ended
			}
			if err != nil || results[0].Num() != 2 {
				t.Fatalf("after program %d, %s\nthe machine does not run: %v", i, h.program, err)
			}
			break
		}
		if i%10 == 9 {
			if now := heap(); now > before+16<<20 {
				t.Errorf("after program %d, %s\n%d MiB are not free again", i, h.program, (now-before)>>20)
			}
		}
	}
	t.Logf("%d programs; the longest from the interrupt to the end: %.1f ms of processor time in %.100s", len(hostilePrograms), slowest*1e3, slowestProgram)
	if slowest > 0.5 {
		t.Errorf("%.1f s of processor time from the interrupt to the end of %s", slowest, slowestProgram)
	}
}
