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
	// heapSoon is in its place where the process is within boundNear of its bound: a fast
	// writer fills that in the tenth of a second.
	heapSoon  = 10 * time.Millisecond
	boundNear = 40 << 20
	// programMemory is what is resident of the program itself, and in no book of Go's.
	programMemory = 16 << 20
	// heapLeast is what Go's heap may take besides values whatever else there is:
	// with less it would do nothing but collect.
	heapLeast = 24 << 20
	// heapStep is the least change of the limit: each stops the world for a moment.
	heapStep = 2 << 20
	// boundSlack is how much below its bound the process is to stay, and yieldSlack where
	// less data begins to be kept for that.
	boundSlack = 8 << 20
	yieldSlack = 24 << 20
)

// bound is how much the process shall take at most for a maxmemory.
func bound(limit int64) int64 { return limit + limit/10 + 64<<20 }

// mostKept is how much data may be kept, with what pages of it lose, from what that was a
// moment ago, where kept are and the process has rss bytes. The collector falls behind where
// processors are few, and pieces of free memory on Go's heap do not fit what is needed: where
// many sorted sets grew side by side, each page has something of all of them, and is free
// when the last one goes. So less is kept until there is room, but half of the limit always.
func mostKept(before, limit, kept, rss int64) int64 {
	if over := rss - (bound(limit) - yieldSlack); over > 0 {
		// Where kept does not follow at once, less is not asked for with each look: far more
		// would go than is over.
		return max(min(before, kept-over/4), limit/2)
	}
	if before >= bound(limit) {
		return keyspace.NoLimit // it is less than that in any case
	}
	return before + max(before/256, 128<<10)
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
	tick := time.NewTimer(heapEvery)
	defer tick.Stop()
	now, most := int64(math.MaxInt64), int64(keyspace.NoLimit)
	for {
		select {
		case <-stop:
			debug.SetMemoryLimit(math.MaxInt64)
			return
		case <-tick.C:
		}
		want, next := int64(math.MaxInt64), heapEvery
		if limit := cfg.MaxMemory.Load(); limit > 0 {
			m := ks.Memory(false)
			want = heapLimit(limit, m.Held, m.Objects+m.Index)
			if want != math.MaxInt64 {
				has := rss()
				if m := mostKept(most, limit, ks.Kept(), has); m != most {
					most = m
					ks.SetMostKept(m)
				}
				if has > bound(limit)-boundNear {
					next = heapSoon
				}
			}
		} else if most != keyspace.NoLimit {
			most = keyspace.NoLimit
			ks.SetMostKept(most)
		}
		tick.Reset(next)
		if d := want - now; d > heapStep || d < -heapStep {
			debug.SetMemoryLimit(want)
			now = want
		}
	}
}
