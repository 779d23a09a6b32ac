package wire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// event is what one Scan yields, kept.
type event struct {
	args []string
	err  string
}

func (e event) equal(f event) bool { return e.err == f.err && slices.Equal(e.args, f.args) }

// feed runs a stream through a scanner. cuts are how many bytes arrive at a
// time (the last one again and again). The bytes move to new memory with each
// arrival, and what was there before is overwritten, as a transport may do.
func feed(t testing.TB, in []byte, lim *Limits, cuts []int) []event {
	var s Scanner
	var out []event
	var buf []byte
	sent, turn := 0, 0
	for {
		for len(buf) > 0 {
			before := len(buf)
			n, st, err := s.Scan(buf, lim)
			if n < 0 || n > before || (st == Complete) != (n > 0) || (st == Error) != (err != nil) {
				t.Fatalf("Scan of %d bytes: n %d, status %d, error %v", before, n, st, err)
			}
			if st == Error {
				return append(out, event{err: err.Error()})
			}
			if st == More {
				checkNoStale(t, &s)
				if len(s.Args) != 0 {
					t.Fatal("Args after More")
				}
				if need := s.Need(); need < 0 || need > 3*before+2 {
					t.Fatalf("Need %d with %d bytes there", need, before)
				}
				break
			}
			e := event{}
			for _, a := range s.Args {
				e.args = append(e.args, string(a))
			}
			checkNoStale(t, &s)
			out = append(out, e)
			buf = buf[n:]
		}
		if sent == len(in) {
			return out
		}
		n := min(cuts[min(turn, len(cuts)-1)], len(in)-sent)
		turn++
		old := buf
		buf = append(append(make([]byte, 0, len(old)+n), old...), in[sent:sent+n]...)
		for i := range old {
			old[i] = 0xEE
		}
		sent += n
	}
}

func checkNoStale(t testing.TB, s *Scanner) {
	for _, a := range s.Args[len(s.Args):cap(s.Args)] {
		if a != nil {
			t.Fatal("a stale argument keeps a buffer alive")
		}
	}
}

func checkCuts(t testing.TB, in []byte, lim *Limits, cuts []int, want []event) {
	if got := feed(t, in, lim, cuts); !slices.EqualFunc(got, want, event.equal) {
		t.Fatalf("%.200q cut at %v\n got %.300q\nwant %.300q", in, cuts, got, want)
	}
}

func FuzzScanner(f *testing.F) {
	for _, in := range hostile {
		if len(in) < 20000 {
			f.Add([]byte(in), uint64(len(in)), true)
			f.Add([]byte(in), uint64(len(in)), false)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64, auth bool) {
		if len(in) > 1<<16 {
			in = in[:1<<16]
		}
		// Small limits let the fuzzer reach them.
		for _, lim := range []*Limits{{Authenticated: auth}, {Authenticated: auth, MaxBulk: 20, MaxInline: 8, MaxArgs: 5}} {
			whole := feed(t, in, lim, []int{len(in) + 1})
			r := rand.New(rand.NewPCG(seed, 0))
			random := make([]int, 50)
			for i := range random {
				random[i] = 1 + r.IntN(1+len(in)/8)
			}
			checkCuts(t, in, lim, random, whole)
			if len(in) <= 4096 {
				checkCuts(t, in, lim, []int{1}, whole)
			}
			if len(in) <= 256 {
				for i := range in {
					checkCuts(t, in, lim, []int{i + 1, len(in)}, whole)
				}
			}
		}
	})
}

func TestScannerLimits(t *testing.T) {
	bulk := func(n int) string { return fmt.Sprintf("*1\r\n$%d\r\n%s\r\n", n, strings.Repeat("x", n)) }
	mult := func(n int) string { return fmt.Sprintf("*%d\r\n", n) + strings.Repeat("$1\r\nx\r\n", n) }
	for _, c := range []struct {
		in   string
		lim  Limits
		want string // error, or "" for a command
	}{
		{bulk(16384), Limits{}, ""},
		{bulk(16385), Limits{}, "unauthenticated bulk length"},
		{bulk(16385), Limits{Authenticated: true}, ""},
		{bulk(100), Limits{MaxBulk: 100, Authenticated: true}, ""},
		{bulk(101), Limits{MaxBulk: 100, Authenticated: true}, "invalid bulk length"},
		{bulk(101), Limits{MaxBulk: 100}, "invalid bulk length"},
		{mult(10), Limits{}, ""},
		{mult(11), Limits{}, "unauthenticated multibulk length"},
		{mult(11), Limits{Authenticated: true}, ""},
		{mult(20), Limits{MaxArgs: 20, Authenticated: true}, ""},
		{mult(21), Limits{MaxArgs: 20, Authenticated: true}, "invalid multibulk length"},
		{strings.Repeat("x", 10) + "\n", Limits{MaxInline: 10}, ""},
		{strings.Repeat("x", 11) + "\n", Limits{MaxInline: 10}, "too big inline request"},
		{strings.Repeat("x", 65536) + "\n", Limits{}, ""},
		{strings.Repeat("x", 65537) + "\n", Limits{}, "too big inline request"},
	} {
		for _, cut := range []int{len(c.in), 61} {
			e := feed(t, []byte(c.in), &c.lim, []int{cut})
			if len(e) != 1 || (c.want == "") != (e[0].err == "") || !strings.HasSuffix(e[0].err, c.want) {
				t.Errorf("%.30q (%d bytes), %+v: %.100q, want %q", c.in, len(c.in), c.lim, e, c.want)
			}
		}
	}
}

// A million arguments in small pieces take linear time: the pieces below
// would take hours if each Scan started over.
func TestScannerLinear(t *testing.T) {
	const n = 1_000_001
	in := []byte(fmt.Sprintf("*%d\r\n$4\r\nMSET\r\n", n))
	for i := 1; i < n; i++ {
		in = fmt.Appendf(in, "$7\r\n%07d\r\n", i)
	}
	for _, piece := range []int{1024, 1, len(in)} {
		var s Scanner
		lim := &Limits{Authenticated: true}
		start := time.Now()
		for end := min(piece, len(in)); ; end = min(end+piece, len(in)) {
			k, st, err := s.Scan(in[:end], lim)
			if st == More && end < len(in) {
				continue
			}
			if st != Complete || k != len(in) || err != nil || len(s.Args) != n || string(s.Args[n-1]) != "1000000" {
				t.Fatalf("pieces of %d: %d %d %v, %d arguments", piece, k, st, err, len(s.Args))
			}
			break
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("pieces of %d bytes took %v", piece, d)
		}
		ping := []byte("*1\r\n$4\r\nPING\r\n")
		s.Scan(ping, lim)
		if cap(s.Args) > keepArgs || cap(s.spans) > keepArgs {
			t.Errorf("room for %d arguments is kept", cap(s.Args))
		}
	}

	// A long line in one-byte pieces, too.
	line := append(bytes.Repeat([]byte("x"), 65536), '\n')
	var s Scanner
	for i := range line {
		if _, st, _ := s.Scan(line[:i+1], &Limits{}); (st == Complete) != (i == 65536) {
			t.Fatalf("status %d after %d bytes", st, i+1)
		}
	}
}

// What is announced reserves nothing.
func TestScannerReservesNothing(t *testing.T) {
	lim := &Limits{Authenticated: true}
	for _, in := range []string{"*2147483647\r\n$1\r\na\r\n$1\r\n", "*1\r\n$536870912\r\nx", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$400000000\r\nabc"} {
		var s Scanner
		_, st, _ := s.Scan([]byte(in), lim)
		if st != More || cap(s.Args)+cap(s.spans) > 32 || s.Need() > len(in) {
			t.Errorf("%q: status %d, room for %d+%d arguments, Need %d", in, st, cap(s.Args), cap(s.spans), s.Need())
		}
	}
}

func TestScannerNeed(t *testing.T) {
	var s Scanner
	head := "*2\r\n$4\r\nECHO\r\n$1000\r\n"
	buf := []byte(head)
	for _, c := range []struct{ send, need int }{
		{0, len(head)}, // all that is missing would be more than a doubling
		{100, len(head) + 100}, {500, 402}, {399, 3}, {1, 2}, {1, 1},
	} {
		buf = append(buf, bytes.Repeat([]byte("x"), c.send)...)
		if _, st, _ := s.Scan(buf, &Limits{}); st != More || s.Need() != c.need {
			t.Errorf("with %d bytes: status %d, Need %d, want %d", len(buf), st, s.Need(), c.need)
		}
	}
	if n, st, _ := s.Scan(append(buf, 'x'), &Limits{}); st != Complete || n != len(buf)+1 || s.Need() != 0 {
		t.Errorf("not complete: %d %d", n, st)
	}
	s.Scan([]byte("*2\r\n$4\r\nEC"), &Limits{})
	s.Reset()
	if n, st, _ := s.Scan([]byte("PING\n"), &Limits{}); n != 5 || st != Complete || string(s.Args[0]) != "PING" {
		t.Error("Reset did not forget the unfinished command")
	}
}

// Appending to an argument must not overwrite the next command.
func TestScannerArgsCapped(t *testing.T) {
	for _, in := range []string{"*2\r\n$1\r\na\r\n$1\r\nb\r\n", "a b\r\n", "\"a\" \"b\"\n"} {
		var s Scanner
		for _, cut := range []int{len(in), 1} {
			for end := cut; ; end++ {
				if _, st, _ := s.Scan([]byte(in)[:end], &Limits{}); st == Complete {
					break
				}
			}
			for _, a := range s.Args {
				if cap(a) != len(a) {
					t.Errorf("%q: an argument has room for %d", in, cap(a))
				}
			}
			s.Reset()
			checkNoStale(t, &s)
		}
	}
}

func TestScannerAllocates(t *testing.T) {
	in := []byte("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\nGET key\r\nGET \"k\\x41\"\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n")
	var s Scanner
	lim := &Limits{Authenticated: true}
	if n := testing.AllocsPerRun(100, func() {
		for cut := range in {
			for rest := in[:cut]; len(rest) > 0; {
				n, st, _ := s.Scan(rest, lim)
				if st == More {
					break
				}
				rest = rest[n:]
			}
			s.Reset()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkScan(b *testing.B) {
	for _, c := range []struct{ name, in string }{
		{"GET", "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n"},
		{"SET", "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$64\r\n" + strings.Repeat("v", 64) + "\r\n"},
		{"SET1000", "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$1000\r\n" + strings.Repeat("v", 1000) + "\r\n"},
		{"Inline", "GET key:000000000001\r\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			const batch = 64
			in := []byte(strings.Repeat(c.in, batch))
			lim := &Limits{Authenticated: true}
			var s Scanner
			b.ReportAllocs()
			rest := in
			for b.Loop() {
				if len(rest) == 0 {
					rest = in
				}
				n, _, _ := s.Scan(rest, lim)
				rest = rest[n:]
			}
		})
	}
}
