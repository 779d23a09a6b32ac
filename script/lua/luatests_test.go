package lua

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Lua 5.1's own test files. They are not in this tree; -lua-tests names a directory
// that holds them.

var luaTests = flag.String("lua-tests", "", "the directory of Lua 5.1's own test files")

// luaTestFiles are the files that run, and the lines that are left out since what they
// test is not there.
var luaTestFiles = []struct {
	name string
	cuts [][2]int
}{
	{"attrib", [][2]int{{1, 233}}},              // require, module, package.loadlib
	{"big", nil},                                //
	{"calls", [][2]int{{243, 246}, {270, 286}}}, // string.dump
	{"checktable", nil},                         // needs testC, and does nothing without
	{"closure", [][2]int{{24, 29}, {38, 38}, {332, 332}, {276, 277}, {416, 419}}}, // weak tables, debug
	{"code", nil},                                       // needs testC
	{"constructs", [][2]int{{189, 189}}},                // debug
	{"errors", [][2]int{{111, 111}, {156, 167}}},        // io.stdin, debug.traceback
	{"events", [][2]int{{328, 355}}},                    // debug.setmetatable
	{"gc", [][2]int{{88, 129}, {150, 256}, {287, 312}}}, // counts of the collector, weak tables, finalizers
	{"literals", nil},
	{"locals", nil},
	{"math", nil},
	{"nextvar", nil},
	{"pm", nil},
	{"sort", nil},
	{"strings", nil},
	{"vararg", nil},
	{"verybig", nil},
}

// luaTestsPrelude has what the files use beside the language: files in memory, the one
// locale C.
const luaTestsPrelude = `
local files, out = {}
local function append(to, ...)
	for i = 1, select('#', ...) do to[#to + 1] = tostring((select(i, ...))) end
end
print, Message = function() end, function() end
io = {
	write = function(...) if out then append(out, ...) end end,
	output = function(name) out = {} files[name] = out end,
	close = function() out = nil end,
	tmpfile = function()
		return {write = append, seek = function() end, read = function(f) return table.concat(f) end, close = function() return true end}
	end,
}
os.tmpname = function() return 'temporary' end
os.remove = function() return true end
os.setlocale = function(l) if not l or l == 'C' then return 'C' end end
dofile = function(name)
	return assert(loadstring(files[name] and table.concat(files[name]) or source(name), '@' .. name))()
end
require = function(name) return dofile(name .. '.lua') end
debug = {getinfo = getinfo}
`

func TestLuaTestFiles(t *testing.T) {
	if *luaTests == "" {
		t.Skip("-lua-tests is not given")
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(*luaTests, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	prelude, err := Compile(luaTestsPrelude, "=prelude")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range luaTestFiles {
		lines := strings.SplitAfter(read(file.name+".lua"), "\n")
		for _, cut := range file.cuts {
			for i := cut[0]; i <= cut[1]; i++ {
				lines[i-1] = "\n"
			}
		}
		p, err := Compile(strings.Join(lines, ""), "@"+file.name+".lua")
		if err != nil {
			t.Errorf("%s: %v", file.name, err)
			continue
		}
		s := New(Options{Memory: 1 << 30, Deprecated: true})
		s.Register(s.Globals(), "source", func(s *State, w []Value, n int) (int, error) {
			name, err := s.ArgString(w, n, 0)
			w[0] = String(read(name))
			return 1, err
		})
		s.Register(s.Globals(), "getinfo", func(s *State, w []Value, n int) (int, error) {
			level := 0
			if w[0].IsNumber() {
				level = int(w[0].Num())
			}
			source, line := s.Position(level)
			if c := w[0]; c.isKind(kindClosure) {
				source, line = c.closure().inst.p.chunk, 0
			}
			info, err := s.NewTable(0, 2)
			if err != nil {
				return 0, err
			}
			w[0] = info.Value()
			if err := s.RawSetString(info, "source", String(strings.TrimPrefix(source, "@"))); err != nil {
				return 0, err
			}
			return 1, s.RawSetString(info, "currentline", Number(float64(line)))
		})
		if _, err := s.Run(prelude); err != nil {
			t.Fatal(err)
		}
		run := s.Function(p)
		if file.name == "big" { // it yields
			wrap, err := Compile("local f = coroutine.wrap(...) assert(f() == 'b') assert(f() == 'a')", "=big")
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Run(wrap, run)
			report(t, file.name, err)
			continue
		}
		_, err = s.Call(run)
		report(t, file.name, err)
	}
}

func report(t *testing.T, name string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", name, err)
	} else {
		t.Logf("%s: passes", name)
	}
}
