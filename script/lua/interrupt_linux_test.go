package lua

import (
	"flag"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

var lookTime = flag.Duration("look-time", 0, "how long each program of TestTimeBetweenLooks runs beside garbage collections")

// mostTimeBetweenLooks is how long after an interrupt a script may still run.
const mostTimeBetweenLooks = 10 * time.Millisecond

var interruptedPrograms = []string{
	"",
	"pcall(error)",
	"('%d %s %5.2f'):format(1, 'x', 0.5)",
	"('%s'):rep(7000):format(unpack(T))",
	"('%s%s'):format(S, S)",
	"('%q'):format(S)",
	"('%99.99f'):rep(7000):format(unpack(T))",
	"S:gsub('x', 'y')",
	"S:gsub('.', 'y')",
	"S:gsub('', 'y')",
	"S:gsub('.', '%0%0')",
	"S:gsub('.', {x = 'yy'})",
	"S:gsub('.', function() end)",
	"S:gsub('x*', '%0')",
	"for w in S:gmatch('.') do end",
	"S:find('.-y')",
	"S:upper()",
	"S:reverse()",
	"S:rep(2)",
	"S:byte(1, 7000)",
	"tonumber(S, 36)",
	"loadstring(('x = 1 '):rep(1000000))",
	"table.sort(T)",
	"table.sort(T, function(a, b) return a > b end)",
	"table.concat(T, S, 1, 6)",
	"table.insert(T, 1, 1) table.remove(T, 1)",
	"cjson.encode(T)",
	"cjson.encode(S)",
	"cjson.decode('[' .. ('{},'):rep(1300000) .. '{}]')",
	"cjson.decode('[' .. ('\"aaaaaaaaa\",'):rep(1300000) .. '1]')",
	"cmsgpack.unpack(cmsgpack.pack(T))",
	"struct.unpack('s', struct.pack('s', S))",
	"local t = {} while true do t[#t + 1] = {} end",
	"local t = {} while true do t[#t + 1] = 1 end",
	"local t, i = {}, 0 while true do i = i + 1 t['k' .. i] = i end",
	"local t = {} while true do t = {t} end",
	"local t = {} while true do t[#t + 1] = ('x'):rep(100) .. #t end",
}

// TestTimeBetweenLooks holds the time between two looks at the interrupt, which is how long an interrupt
// waits at most. It is the time that the run's own thread has had a processor, with what the collector makes
// it do: other processes do not count.
func TestTimeBetweenLooks(t *testing.T) {
	if *lookTime == 0 {
		t.Skip("-look-time says how long")
	}
	done := make(chan bool)
	defer close(done)
	go func() {
		for {
			select {
			case <-done:
				return
			default:
				runtime.GC()
				time.Sleep(20 * time.Millisecond)
			}
		}
	}()
	for _, op := range interruptedPrograms {
		t.Run(op, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			// The machine under this one takes time away, too, but hardly three times.
			best, where := time.Hour, []byte(nil)
			for range 3 {
				if longest, stack := longestBetweenLooks(t, op); longest < best {
					best, where = longest, stack
				}
			}
			t.Logf("%.1f ms", float64(best)/1e6)
			if best > mostTimeBetweenLooks/2 {
				t.Logf("%v before this look at the interrupt:\n%s", best, where)
			}
			if best > mostTimeBetweenLooks {
				t.Errorf("%v between two looks", best)
			}
		})
	}
}

// longestBetweenLooks runs a program, and tells the longest time before a look and where that was.
func longestBetweenLooks(t *testing.T, op string) (longest time.Duration, where []byte) {
	var last time.Duration
	var end time.Time
	s := New(Options{Memory: 256 << 20})
	s.looked = func() {
		if now := threadTime(); last > 0 && now-last > longest {
			longest, where = now-last, debug.Stack()
		}
		if !end.IsZero() && time.Now().After(end) {
			s.Interrupt()
		}
		last = threadTime()
	}
	p, err := Compile("local S, T = ('x'):rep(24000000), {} for i = 1, 7000 do T[i] = i * 7919 % 7001 end BEGIN() while true do pcall(function() "+op+" end) end", "=p")
	if err != nil {
		t.Fatal(err)
	}
	s.Register(s.Globals(), "BEGIN", func(*State, []Value, int) (int, error) {
		end = time.Now().Add(*lookTime)
		last = 0
		longest = 0
		return 0, nil
	})
	if _, err := s.Run(p); err != ErrKilled {
		t.Fatal(err)
	}
	return longest, where
}

// threadTime is the processor time of the running thread.
func threadTime() time.Duration {
	const threadClock = 3 // CLOCK_THREAD_CPUTIME_ID; getrusage counts in the kernel's ticks, 4 ms
	var now syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, threadClock, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		panic(errno)
	}
	return time.Duration(now.Nano())
}
