package lua

import (
	"strings"
	"testing"
	"time"
)

// The fuzz targets look for panics, which a State turns into an "internal error", and for
// what no bound ends.

// fuzzState is a State whose runs end after some milliseconds of steps.
func fuzzState() *State {
	ticks := 0
	return New(Options{Memory: 16 << 20, Deprecated: true, Tick: func(*State) Action {
		if ticks++; ticks > 100 {
			ticks = 0
			return Kill
		}
		return Continue
	}})
}

// fuzzRun runs a source with arguments and fails for a fault of our own.
func fuzzRun(t *testing.T, s *State, source string, args ...string) {
	t.Helper()
	p, err := Compile(source, "=fuzz")
	if err != nil {
		if _, ok := err.(*Error); !ok {
			t.Fatal(err)
		}
		return
	}
	values := make([]Value, len(args))
	for i, a := range args {
		values[i] = String(strings.Clone(a))
	}
	begin := time.Now()
	_, err = s.Run(p, values...)
	s.Forget(p)
	if _, ok := err.(*Error); err != nil && !ok && err != ErrKilled {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Fatalf("%v", took)
	}
}

func FuzzPattern(f *testing.F) {
	s := fuzzState()
	for _, p := range []string{"%a+", "(%w+)=(%w+)", "^%s*(.-)%s*$", "%b()", "%f[%w]", "[^a-z%d]", "(a*)%1", "()"} {
		f.Add("key = (value) 12", p, "%1")
	}
	f.Fuzz(func(t *testing.T, text, pattern, repl string) {
		fuzzRun(t, s, `local s, p, r = ...
			pcall(string.find, s, p) pcall(string.match, s, p) pcall(string.gsub, s, p, r)
			pcall(function() local n = 0 for w in s:gmatch(p) do n = n + 1 if n > 1000 then break end end end)`, text, pattern, repl)
	})
}

func FuzzFormat(f *testing.F) {
	s := fuzzState()
	f.Add("%5.2f %d %s", "x", "12")
	f.Add("%-+ #099.99g|%q", "1e300", "a\x00b")
	f.Fuzz(func(t *testing.T, format, a, b string) {
		fuzzRun(t, s, `local f, a, b = ... pcall(string.format, f, a, b) pcall(string.format, f, tonumber(a) or 1.5, tonumber(b) or -1)`, format, a, b)
	})
}

func FuzzCjson(f *testing.F) {
	s := fuzzState()
	for _, text := range []string{`{"a":[1,2.5,"x\u00e9\ud83d\ude00",null,true]}`, `[[[]]]`, `-1e400`, `"\`, `nan`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fuzzRun(t, s, `local ok, v = pcall(cjson.decode, ...)
			if ok then
				local ok, text = pcall(cjson.encode, v)
				if ok then cjson.decode(text) end
			end`, text)
	})
}

func FuzzCmsgpack(f *testing.F) {
	s := fuzzState()
	for _, text := range []string{"\x93\x01\x02\x03", "\x81\xa1a\xcb\x00\x00\x00\x00\x00\x00\x00\x00", "\xdd\xff\xff\xff\xff", "\xdb\x00\x00\x00\x01x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fuzzRun(t, s, `local s = ...
			local r = {pcall(cmsgpack.unpack, s)}
			pcall(cmsgpack.unpack_one, s) pcall(cmsgpack.unpack_limit, s, 2, 1)
			if r[1] then pcall(cmsgpack.pack, unpack(r, 2)) end`, text)
	})
}

func FuzzStruct(f *testing.F) {
	s := fuzzState()
	f.Add(">I4hs!8dBc0", "\x00\x00\x00\x01abcdefgh\x00ijklmnop")
	f.Fuzz(func(t *testing.T, format, data string) {
		fuzzRun(t, s, `local f, d = ...
			pcall(struct.size, f)
			local r = {pcall(struct.unpack, f, d)}
			if r[1] then pcall(struct.pack, f, unpack(r, 2)) end
			pcall(struct.pack, f, 1, d, 2, d, 3.5)`, format, data)
	})
}
