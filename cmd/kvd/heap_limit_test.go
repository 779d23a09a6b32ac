package main

import (
	"math"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"kvd/config"
	"kvd/keyspace"
)

func TestHeapLimit(t *testing.T) {
	for _, test := range []struct{ limit, slabs, objects, want int64 }{
		{0, 1 << 30, 0, math.MaxInt64},
		{500 << 20, 100 << 20, 300 << 20, (550 + 64 - 8 - 16 - 100) << 20},
		{100 << 20, 300 << 20, 64 << 20, (64 + 4 + 24) << 20}, // just lowered: it must not do nothing but collect
	} {
		if got := heapLimit(test.limit, test.slabs, test.objects); got != test.want {
			t.Errorf("maxmemory %d, slabs %d, objects %d: %d, want %d", test.limit, test.slabs, test.objects, got, test.want)
		}
	}
}

// TestHoldHeap: Go's memory limit follows maxmemory.
func TestHoldHeap(t *testing.T) {
	cfg := config.New()
	ks := keyspace.New(keyspace.Options{Stripes: 16})
	defer ks.Close()
	var rss atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { holdHeap(cfg, ks, func() int64 { return rss.Load() }, stop); close(done) }()
	set := func(value string, want int64) {
		t.Helper()
		if err := cfg.Set([]config.Pair{{Name: "maxmemory", Value: value}}, config.Caller{}); err != nil {
			t.Fatal(err)
		}
		for range 1500 {
			if debug.SetMemoryLimit(-1) == want {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("maxmemory %s: the limit is %d, want %d", value, debug.SetMemoryLimit(-1), want)
	}
	set("1gb", 1<<30+1<<30/10+40<<20)
	set("0", math.MaxInt64)
	set("2gb", 2<<30+2<<30/10+40<<20)
	close(stop)
	<-done
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("%d is left", got)
	}
}

func TestMostKept(t *testing.T) {
	const limit = 100 << 20
	kept := int64(90 << 20)
	high := bound(limit) - yieldSlack + 8<<20
	m := mostKept(keyspace.NoLimit, limit, kept, high)
	if m != 88<<20 {
		t.Errorf("8 MiB too much leave %d of %d", m, kept)
	}
	// What has been let go of is not there at once, and is not asked for twice.
	for range 100 {
		if m = mostKept(m, limit, kept, high); m != 88<<20 {
			t.Fatalf("and then, where as much is kept as before, %d", m)
		}
	}
	for range 100 {
		kept = m
		m = mostKept(m, limit, kept, high)
	}
	if m != limit/2 {
		t.Errorf("it falls to %d of %d", m, limit)
	}
	for range 1000 {
		m = mostKept(m, limit, kept, bound(limit)-yieldSlack)
	}
	if m != keyspace.NoLimit {
		t.Errorf("%d is left when all is well", m)
	}
}
