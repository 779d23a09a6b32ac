package main

import (
	"math"
	"runtime/debug"
	"time"

	"kvd/config"
	"kvd/keyspace"
)

// While there is a maxmemory, the process shall take no more than a tenth above it and
// 64 MiB. What the keyspace keeps is bounded by itself (keyspace.Kept). The rest is
// garbage: where values stand on Go's heap, half as much again would lie there
// until the next collection. So Go's memory limit follows what the slabs leave of
// that bound: near the limit it collects earlier, and gives free memory back at once.

const (
	heapEvery = 100 * time.Millisecond
	// programMemory is what is resident of the program itself, and in no book of Go's.
	programMemory = 16 << 20
	// heapLeast is what Go's heap may take besides values whatever else there is:
	// with less it would do nothing but collect.
	heapLeast = 24 << 20
	// heapStep is the least change of the limit: each stops the world for a moment.
	heapStep = 2 << 20
	// boundSlack is how much below its bound the process is to stay.
	boundSlack = 8 << 20
)

// bound is how much the process shall take at most for a maxmemory.
func bound(limit int64) int64 { return limit + limit/10 + 64<<20 }

// pressureOf is how much less data is to be kept, from what it was a moment ago, where
// the process has rss bytes: the collector falls behind where processors are few, and
// pieces of free memory on Go's heap do not fit what is needed.
func pressureOf(before, limit, rss int64) int64 {
	if over := rss - (bound(limit) - boundSlack); over > 0 {
		return min(before+over/2, limit/4)
	}
	return max(0, before-max(before/32, 256<<10))
}

// heapLimit is Go's memory limit for a maxmemory, where slabs and values on the heap
// take so much, in bytes.
func heapLimit(limit, slabs, objects int64) int64 {
	if limit <= 0 || limit > math.MaxInt64/2 {
		return math.MaxInt64
	}
	return max(bound(limit)-boundSlack-programMemory-slabs, objects+objects/16+heapLeast)
}

// holdHeap keeps Go's memory limit there until stop is closed, unless GOMEMLIMIT has set
// one.
func holdHeap(cfg *config.Config, ks *keyspace.Keyspace, rss func() int64, stop <-chan struct{}) {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	tick := time.NewTicker(heapEvery)
	defer tick.Stop()
	now, pressure := int64(math.MaxInt64), int64(0)
	for {
		select {
		case <-stop:
			debug.SetMemoryLimit(math.MaxInt64)
			return
		case <-tick.C:
		}
		want := int64(math.MaxInt64)
		if limit := cfg.MaxMemory.Load(); limit > 0 {
			m := ks.Memory(false)
			want = heapLimit(limit, m.Held, m.Objects+m.Index)
			if want != math.MaxInt64 {
				if p := pressureOf(pressure, limit, rss()); p != pressure {
					pressure = p
					ks.SetPressure(p)
				}
			}
		}
		if d := want - now; d > heapStep || d < -heapStep {
			debug.SetMemoryLimit(want)
			now = want
		}
	}
}
