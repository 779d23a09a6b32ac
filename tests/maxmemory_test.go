package tests

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kvd/tests/harness"
)

// pipelined sends n commands 32 at a time and returns the errors among the replies, each with how often it came.
func pipelined(t *testing.T, c *harness.Conn, n int, cmd func(i int) []string) map[string]int {
	t.Helper()
	errs := map[string]int{}
	for i := 0; i < n; i += 32 {
		end := min(i+32, n)
		for j := i; j < end; j++ {
			c.Send(cmd(j)...)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		for range end - i {
			r, err := c.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if e := r.Err(); e != "" {
				errs[e]++
			}
		}
	}
	return errs
}

// TestMaxMemoryBoundsTheProcess is the short form of `make bench BENCH="-suite maxmemory"`: what is resident stays within a
// tenth above the limit and 64 MiB, whatever is written, and writers are never refused where keys may go.
func TestMaxMemoryBoundsTheProcess(t *testing.T) {
	const (
		limit = 64 << 20
		bound = limit + limit/10 + 64<<20
		long  = 100 // looks, two seconds: for moments it may be more, where what gives memory back is not scheduled
	)
	s := harness.StartKVD(t, "--maxmemory", strconv.Itoa(limit), "--maxmemory-policy", "allkeys-lru")
	c := s.MustDial(t)
	data := strings.Repeat("x", 256<<10)
	size := func(i, lo, hi int) string { // each order of magnitude as likely
		x := float64(uint32(i*2654435761)) / (1 << 32)
		return data[:int(float64(lo)*math.Pow(float64(hi)/float64(lo), x))]
	}
	var step string
	var most int64
	stop := make(chan struct{})
	var watch sync.WaitGroup
	var mu sync.Mutex // protects step and most
	end := sync.OnceFunc(func() { close(stop); watch.Wait() })
	defer end()
	watch.Go(func() {
		for over := 0; ; {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			rss := resident(t, s.PID())
			mu.Lock()
			if most = max(most, rss); rss <= bound {
				over = 0
			} else if over++; over == long {
				t.Errorf("%s: %d MiB are resident", step, rss>>20)
			}
			mu.Unlock()
		}
	})
	for _, x := range []struct {
		name string
		n    int
		cmd  func(i int) []string
	}{
		{"10 B to 100 KiB", 12_000, func(i int) []string { return []string{"SET", fmt.Sprint("k", i), size(i, 10, 100<<10)} }},
		{"10 to 200 B", 100_000, func(i int) []string { return []string{"SET", fmt.Sprint("k", i), size(i, 10, 200)} }},
		{"20 to 100 KiB", 3000, func(i int) []string { return []string{"SET", fmt.Sprint("k", i), size(i, 20<<10, 100<<10)} }},
		{"four fifths deleted", 100_000, func(i int) []string { return []string{"DEL", fmt.Sprint("k", i+i/4+1)} }},
		{"hashes", 250_000, func(i int) []string { return []string{"HSET", fmt.Sprint("h", i%50), fmt.Sprint("f", i), data[:100]} }},
		{"sorted sets", 250_000, func(i int) []string {
			return []string{"ZADD", fmt.Sprint("z", i%50), strconv.Itoa(i * 7919 % 1000003), fmt.Sprint("m", i)}
		}},
		{"64 to 256 KiB", 1500, func(i int) []string { return []string{"SET", fmt.Sprint("k", i), size(i, 64<<10, 256<<10)} }},
	} {
		mu.Lock()
		step = x.name
		mu.Unlock()
		if errs := pipelined(t, c, x.n, x.cmd); len(errs) > 0 {
			t.Errorf("%s: %v", x.name, errs)
		}
		within(t, 10*time.Second, x.name+": no more is resident than may be", func() bool { return resident(t, s.PID()) <= bound })
	}
	end()
	t.Logf("at most %d MiB were resident", most>>20)
	if n := info(t, c, "stats", "evicted_keys"); n == "0" || n == "" {
		t.Error("nothing was evicted")
	}
}

// TestNoEviction: without eviction writes are refused with OOM and nothing else, and what needs no memory goes on.
func TestNoEviction(t *testing.T) {
	const limit = 48 << 20
	s := harness.StartKVD(t, "--maxmemory", strconv.Itoa(limit))
	c := s.MustDial(t)
	value := strings.Repeat("v", 10_000)
	oom := "OOM command not allowed when used memory > 'maxmemory'."
	errs := pipelined(t, c, 10_000, func(i int) []string {
		return [][]string{{"SET", fmt.Sprint("k", i), value}, {"RPUSH", fmt.Sprint("l", i%20), value}, {"HSET", fmt.Sprint("h", i%20), fmt.Sprint(i), value}, {"XADD", fmt.Sprint("x", i%20), "*", "f", value}}[i%4]
	})
	if len(errs) != 1 || errs[oom] < 3000 {
		t.Errorf("writes are answered %v", errs)
	}
	within(t, 10*time.Second, "no more is resident than may be", func() bool { return resident(t, s.PID()) <= limit+limit/10+64<<20 })
	if errs := pipelined(t, c, 1000, func(i int) []string {
		return [][]string{{"GET", "k0"}, {"LRANGE", "l1", "0", "1"}, {"EXISTS", "k4"}, {"PING"}, {"EXPIRE", "k8", "1000"}, {"INFO", "memory"}}[i%6]
	}); len(errs) > 0 {
		t.Errorf("reads are answered %v", errs)
	}
	if r := c.MustDo(t, "GET", "k0"); len(r.Str) != len(value) {
		t.Errorf("a value of before has %d bytes", len(r.Str))
	}
	if errs := pipelined(t, c, 2500, func(i int) []string { return []string{"DEL", fmt.Sprint("k", 4*i)} }); len(errs) > 0 {
		t.Errorf("deletes are answered %v", errs)
	}
	if r := c.MustDo(t, "SET", "again", value); r.Err() != "" {
		t.Errorf("there is room again, and a write is answered %v", r)
	}
	if n := info(t, c, "stats", "evicted_keys"); n != "0" {
		t.Errorf("%s keys were evicted", n)
	}
}
