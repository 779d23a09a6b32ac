package lua

import (
	"strings"
	"testing"
)

// programs are what the machine is measured with beside the reference
// implementation; docs/design/lua.md has the figures and the bounds.
var programs = []struct{ name, src string }{
	{"p1", `return redis.call('GET', KEYS[1])`},
	{"p2", `local c = redis.call('INCR', KEYS[1])
if tonumber(c) == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
if tonumber(c) > tonumber(ARGV[2]) then return {0, c} end
return {1, c}`},
	{"p3", `for i = 1, 100 do redis.call('SET', KEYS[1], ARGV[1]) end return 1`},
	{"p4", `local s = 0 for i = 1, 1000 do s = s + i % 7 end return s`},
	{"p5", `local t = {} for i = 1, 100 do t[#t + 1] = 'item:' .. i end return table.concat(t, ',')`},
	{"p6", `local t = {} for i = 1, 1000 do t['key:' .. i] = i end
local s = 0 for k, v in pairs(t) do s = s + v end return s`},
	{"p7", `local s, n = ARGV[3], 0
local r = string.gsub(s, 'word', 'WORD')
for w in string.gmatch(s, '%a+') do n = n + #w end
local m = string.match(s, '(%d+) end$')
return n`},
	{"p8", `local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(20)`},
	{"p9", `local t = {} for i = 1, 1000 do t[i] = i end for i = 1, 1000 do t[i] = t[i] + 1 end return t[1000]`},
	{"p10", `for i = 1, 100 do pcall(error, 'x') end return 1`},
	{"p11", `local f = function() return 1 end for i = 1, 100 do pcall(f) end return 1`},
}

// benchMachine is a machine with a redis.call that reads its arguments and
// returns a new string of 16 bytes or a number, and what runs a program once,
// as EVAL does: KEYS and ARGV are emptied and filled again.
func benchMachine(t testing.TB) (s *State, run func(p *Proto)) {
	s = New(Options{})
	redis, err := s.NewTable(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	s.Globals().Embed("redis", redis.Value())
	n, read := 0, 0
	var num [32]byte
	s.Register(redis, "call", func(s *State, w []Value, argc int) (int, error) {
		for i := range argc {
			if w[i].IsNumber() {
				read += len(AppendNumber17(num[:0], w[i].Num()))
			} else {
				read += len(w[i].Str())
			}
		}
		n++
		if c := w[0].Str()[0]; c == 'I' || c == 'E' {
			w[0] = Number(float64(1 + n&7))
			return 1, nil
		}
		b, err := s.Alloc(16)
		if err != nil {
			return 0, err
		}
		copy(b, "value:0123456789")
		w[0] = Made(b)
		return 1, nil
	})
	keys, argv := &Table{}, &Table{}
	s.Globals().Embed("KEYS", keys.Value())
	s.Globals().Embed("ARGV", argv.Value())
	s.Globals().SetReadonly(true)
	text := strings.Repeat("some word 12 ", 78) + "77 end"
	return s, func(p *Proto) {
		keys.Clear()
		argv.Clear()
		for i, v := range [...]string{"60", "100", text} {
			if i == 0 {
				_ = s.RawSetInt(keys, 1, String("key:000001"))
			}
			_ = s.RawSetInt(argv, i+1, String(v))
		}
		if _, err := s.Run(p); err != nil {
			t.Fatal(err)
		}
		s.Recycle()
	}
}

func BenchmarkPrograms(b *testing.B) {
	for _, program := range programs {
		b.Run(program.name, func(b *testing.B) {
			p, err := Compile(program.src, "@user_script")
			if err != nil {
				b.Fatal(err)
			}
			_, run := benchMachine(b)
			b.ReportAllocs()
			for b.Loop() {
				run(p)
			}
		})
	}
}

// TestNoAllocations holds that the usual short scripts allocate nothing: what
// they need is cut from chunks, one of which lasts for many runs.
func TestNoAllocations(t *testing.T) {
	for _, program := range programs[:3] {
		p, err := Compile(program.src, "@user_script")
		if err != nil {
			t.Fatal(err)
		}
		_, run := benchMachine(t)
		run(p)
		if n := testing.AllocsPerRun(200, func() { run(p) }); n != 0 {
			t.Errorf("%s allocates %v times a run", program.name, n)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	src := programs[1].src
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(src, "@user_script"); err != nil {
			b.Fatal(err)
		}
	}
}
