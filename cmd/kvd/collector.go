package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"kvd/lockrank"
)

// collectorPercent is GOGC where the environment does not say: the heap that
// the collector sees is small (the data is off-heap) and nearly free of
// pointers, so collecting often costs little and keeps memory close to use.
const collectorPercent = 40

// snapshotPercent is GOGC while a snapshot is written. What writers copy of big
// collections then, because the snapshot holds them, comes on top of the data,
// and so should not have much garbage on top of itself.
const snapshotPercent = 15

const (
	// leastGarbage is how much garbage there may be whatever the percentage says: of a
	// heap of 3 MiB it allows so little that a TLS handshake's share in the collections
	// was nearly as much as the handshake.
	leastGarbage = 12 << 20
	// mostPercent bounds GOGC for that: 4 MiB times GOGC is what Go's heap always may take.
	mostPercent = leastGarbage * 100 / (4 << 20)
)

// collector has GOGC follow the size of the heap.
type collector struct {
	mu      lockrank.Mutex[lockrank.Collector] // protects what follows, and the order of settings
	lowered bool                               // a snapshot is written
	stopped bool
	now     int
}

// percentOf is GOGC where so many bytes live on the heap.
func percentOf(live uint64) int {
	return int(max(collectorPercent, min(mostPercent, leastGarbage*100/max(live, 1))))
}

// set sets GOGC as it should be now.
func (c *collector) set() {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	want := percentOf(s[0].Value.Uint64())
	if c.lowered {
		want = snapshotPercent
	}
	// Each setting stops the world for a moment, so small changes are left alone.
	if d := want - c.now; c.stopped || d == 0 || want > collectorPercent && d < c.now/4 && -d < c.now/4 {
		return
	}
	debug.SetGCPercent(want)
	c.now = want
}

// cycle is garbage at once, so its finalizer runs after each collection.
type cycle struct{ c *collector }

func (m *cycle) over() {
	m.c.set()
	m.c.mu.Lock()
	stopped := m.c.stopped
	m.c.mu.Unlock()
	if !stopped {
		runtime.SetFinalizer(m, (*cycle).over)
	}
}

func (c *collector) lower(on bool) {
	c.mu.Lock()
	c.lowered = on
	c.mu.Unlock()
	c.set()
}

// tuneCollector sets the collector up, unless GOGC is set. snapshot is to be called when
// a snapshot begins, and what that returns at its end; there is one at a time. stop ends
// it all.
func tuneCollector() (snapshot func() (over func()), stop func()) {
	if old := debug.SetGCPercent(collectorPercent); old != 100 {
		debug.SetGCPercent(old)
		return nil, func() {}
	}
	c := &collector{now: collectorPercent}
	c.set()
	runtime.SetFinalizer(&cycle{c}, (*cycle).over)
	snapshot = func() func() {
		// If there were more garbage than the lower percentage allows, the next
		// allocation, which may be under a stripe lock, would have to mark the whole heap:
		// 1.5 to 5 ms.
		runtime.GC()
		c.lower(true)
		// And if there were more free memory than the runtime wants to keep, in pieces too
		// small for what writers copy, the next allocation that makes the heap grow would
		// give back up to 4 MiB of it there and then, piece by piece: 1.5 to 7 ms. To give
		// all of it back takes long, so it is done last.
		debug.FreeOSMemory()
		return func() { c.lower(false) }
	}
	return snapshot, func() {
		c.mu.Lock()
		c.stopped = true
		c.mu.Unlock()
	}
}
