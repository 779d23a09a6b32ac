package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestGenerators(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	got := string(counting("SET", "key:"+placeholder, "v")(nil, 1234567, r))
	if want := "*3\r\n$3\r\nSET\r\n$16\r\nkey:000001234567\r\n$1\r\nv\r\n"; got != want {
		t.Errorf("counting: %q, want %q", got, want)
	}
	if got := string(appendKey(nil, 42)); got != "$16\r\nkey:000000000042\r\n" {
		t.Errorf("appendKey: %q", got)
	}
	gen := random(100, "ZADD", "z", placeholder, "m:"+placeholder)
	seen := map[string]bool{}
	for i := range int64(500) {
		s := string(gen(nil, i, r))
		var score, member int64
		f := strings.Split(s, "\r\n")
		if _, err := fmt.Sscanf(f[6]+" "+f[8], "%d m:%d", &score, &member); err != nil || len(f[6]) != 12 {
			t.Fatalf("%q: %v", s, err)
		}
		if score < 0 || score >= 100 || member < 0 || member >= 100 {
			t.Fatalf("%q: out of range", s)
		}
		seen[s] = true
	}
	if len(seen) < 450 {
		t.Errorf("500 requests, %d different: the placeholders are not drawn apart", len(seen))
	}
}

func TestChurnSize(t *testing.T) {
	lo, hi, sum, same := churnMost, churnLeast, 0, 0
	const n = 20000
	for i := range int64(n) {
		s := churnSize(7, 0, i)
		lo, hi, sum = min(lo, s), max(hi, s), sum+s
		if s == churnSize(7, 1, i) {
			same++
		}
	}
	if lo < churnLeast || lo > churnLeast+5 || hi > churnMost || hi < churnMost-5 || sum/n < 950 || sum/n > 1060 || same > n/500 {
		t.Errorf("sizes %d to %d, mean %d; %d of %d the same in the next pass", lo, hi, sum/n, same, n)
	}
}

// fakeServer answers each request for a key with that key's value from reply, and keeps count of keys.
type fakeServer struct {
	l     net.Listener
	mu    sync.Mutex // protects keys
	keys  map[string]int
	reply func(key string) string
}

func newFakeServer(t *testing.T, reply func(key string) string) *fakeServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeServer{l: l, keys: map[string]int{}, reply: reply}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer c.Close(); f.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return f
}

func (f *fakeServer) serve(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		var n int
		if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
			return
		}
		var args []string
		for range n {
			var size int
			if _, err := fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
				return
			}
			b := make([]byte, size+2)
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			args = append(args, string(b[:size]))
		}
		f.mu.Lock()
		f.keys[args[1]]++
		f.mu.Unlock()
		if _, err := io.WriteString(c, f.reply(args[1])); err != nil {
			return
		}
	}
}

func TestLoadSendsEachRequestOnce(t *testing.T) {
	f := newFakeServer(t, func(string) string { return "$2\r\nhi\r\n" })
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, l := range []load{
		{conns: 1, workers: 1, pipeline: 1, requests: 5},
		{conns: 7, workers: 3, pipeline: 16, requests: 1003, first: 50},
		{conns: 2, workers: 8, pipeline: 64, requests: 63},
		{conns: 50, workers: 2, pipeline: 64, requests: 10},
	} {
		f.mu.Lock()
		clear(f.keys)
		f.mu.Unlock()
		var sent atomic.Int64
		l.addr, l.gen, l.sent = f.l.Addr().String(), counting("GET", placeholder), &sent
		if _, err := l.run(ctx); err != nil {
			t.Fatal(err)
		}
		f.mu.Lock()
		if int64(len(f.keys)) != l.requests || sent.Load() != l.requests {
			t.Errorf("%d keys asked for and %d counted, want %d", len(f.keys), sent.Load(), l.requests)
		}
		for i := l.first; i < l.first+l.requests; i++ {
			if n := f.keys[fmt.Sprintf("%012d", i)]; n != 1 {
				t.Errorf("request %d was sent %d times", i, n)
			}
		}
		f.mu.Unlock()
	}
}

func TestLoadReportsErrorReplies(t *testing.T) {
	f := newFakeServer(t, func(key string) string {
		if strings.HasSuffix(key, "77") {
			return "-OOM no\r\n"
		}
		return "+OK\r\n"
	})
	_, err := load{addr: f.l.Addr().String(), conns: 2, pipeline: 8, requests: 100, gen: counting("GET", placeholder)}.run(context.Background())
	if err == nil || !strings.Contains(err.Error(), "OOM no") {
		t.Errorf("%v, want the error reply", err)
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	f := newFakeServer(t, func(string) string { return "" }) // never answers
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := (load{addr: f.l.Addr().String(), conns: 2, pipeline: 8, requests: 100, gen: counting("GET", placeholder)}).run(ctx); err == nil {
		t.Error("no error from a server that does not answer")
	}
}

func TestProbeCountsAPauseInFull(t *testing.T) {
	if _, err := allowedCPUs(); err != nil {
		t.Skip(err)
	}
	const stall = 300 * time.Millisecond
	var n atomic.Int64
	f := newFakeServer(t, func(string) string {
		if n.Add(1) == 10 {
			time.Sleep(stall) // the pause to be measured
		}
		return "+OK\r\n"
	})
	out, err := beside(f.l.Addr().String(), time.Millisecond, func(dst []byte) []byte { return appendCommand(dst, "GET", "k") }, func() error {
		for stop := time.Now().Add(20 * time.Second); n.Load() < 400 && time.Now().Before(stop); {
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	late := 0
	for _, d := range out {
		if d > stall/3 {
			late++
		}
	}
	// One reply was late; of the requests due meanwhile two thirds were over stall/3 late too.
	if len(out) < 399 || late < 150 || slices.Max(out) < stall {
		t.Errorf("%d delays, longest %v, %d over %v; want about 200", len(out), slices.Max(out), late, stall/3)
	}
}
