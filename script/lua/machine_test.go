package lua

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

//go:embed testdata/driver.lua
var driverSource string

// batchMain reads programs from the standard input, each behind its length, and writes what
// came of them in the same shape. A program that runs too long is given up.
const batchMain = `
local run = (function(...) %s end)()
while true do
	local n = io.read("*l")
	if not n then break end
	local src = io.read(tonumber(n))
	local late = false
	debug.sethook(function() late = true error("too long", 0) end, "", 1000000)
	local ok, out = pcall(run, src)
	debug.sethook()
	out = late and "too long" or tostring(out)
	io.write(#out, "\n", out)
	io.flush()
end`

// batchTime is how long one process of lua5.1 may take; the hook that ends long programs
// does not reach into their coroutines.
const batchTime = 60 * time.Second

// batchPosition is where error with a high level may say that it was called from: batchMain itself,
// for which there is nothing here.
var batchPosition = regexp.MustCompile(`\(command line\):(\d+): `)

// lua51Batch runs the programs with Debian's lua5.1, all in one process, and returns what
// came of each. The test is skipped where lua5.1 is missing.
func lua51Batch(t testing.TB, programs []string) []string {
	t.Helper()
	if _, err := exec.LookPath("lua5.1"); err != nil {
		t.Skip("lua5.1 is not installed")
	}
	results := make([]string, len(programs))
	for from := 0; from < len(programs); {
		var in bytes.Buffer
		for _, p := range programs[from:] {
			fmt.Fprintf(&in, "%d\n%s", len(p), p)
		}
		ctx, cancel := context.WithTimeout(context.Background(), batchTime)
		cmd := exec.CommandContext(ctx, "lua5.1", "-e", fmt.Sprintf(batchMain, driverSource))
		cmd.Stdin = &in
		out, err := cmd.Output()
		late := ctx.Err() != nil
		cancel()
		if err != nil && !late {
			t.Fatalf("lua5.1: %v", err)
		}
		r := bufio.NewReader(bytes.NewReader(out))
		for ; from < len(programs); from++ {
			head, err := r.ReadString('\n')
			if err != nil {
				break
			}
			n, _ := strconv.Atoi(head[:len(head)-1])
			body := make([]byte, n)
			if _, err := io.ReadFull(r, body); err != nil {
				break
			}
			results[from] = batchPosition.ReplaceAllStringFunc(string(body), func(where string) string {
				if n, _ := strconv.Atoi(batchPosition.FindStringSubmatch(where)[1]); n > strings.Count(driverSource, "\n")+2 {
					return ""
				}
				return where
			})
		}
		if from < len(programs) {
			if !late {
				t.Fatalf("lua5.1 ended at program %d: %s", from, programs[from])
			}
			results[from] = "too long"
			from++
		}
	}
	return results
}

// driverProto has the name and lines that it has in lua5.1: error with a high level names them.
var driverProto = sync.OnceValues(func() (*Proto, error) { return Compile("\n"+driverSource, "=(command line)") })

// driverOf is the driver's function in a State.
func driverOf(s *State) (Value, error) {
	p, err := driverProto()
	if err != nil {
		return Nil, err
	}
	results, err := s.Run(p)
	if err != nil {
		return Nil, err
	}
	return results[0], nil
}

// batchDepth is by how many C calls a program is deeper in lua5.1 than in a State: lua.c and
// batchMain protect what they call.
const batchDepth = 2

// runProgram runs a program in a State of its own and returns what the driver says of it.
func runProgram(program string) string {
	ticks := 0
	s := New(Options{Deprecated: true, Memory: 256 << 20, Tick: func(*State) Action {
		if ticks++; ticks > 5000 {
			return Kill
		}
		return Continue
	}})
	run, err := driverOf(s)
	if err != nil {
		return "driver: " + err.Error()
	}
	for range batchDepth {
		inner := run
		run = s.NewFunction(func(s *State, w []Value, n int) (int, error) {
			results, err := s.call(inner, w[:n])
			if err != nil {
				return 0, err
			}
			s.Window()[0] = results[0]
			return 1, nil
		})
	}
	results, err := s.Call(run, String(program))
	if err != nil {
		return "driver: " + err.Error()
	}
	return results[0].Str()
}
