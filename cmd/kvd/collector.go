package main

import (
	"runtime"
	"runtime/debug"
)

// collectorPercent is GOGC where the environment does not say: the heap that
// the collector sees is small (the data is off-heap) and nearly free of
// pointers, so collecting often costs little and keeps memory close to use.
const collectorPercent = 40

// snapshotPercent is GOGC while a snapshot is written. What writers copy of big
// collections then, because the snapshot holds them, comes on top of the data,
// and so should not have much garbage on top of itself.
const snapshotPercent = 15

// tuneCollector sets the collector up, unless GOGC is set. What it returns is to
// be called when a snapshot begins, and what that returns at its end; there is
// one at a time.
func tuneCollector() (snapshot func() (over func())) {
	if old := debug.SetGCPercent(collectorPercent); old != 100 {
		debug.SetGCPercent(old)
		return nil
	}
	return func() func() {
		// If there were more garbage than the lower percentage allows, the next
		// allocation, which may be under a stripe lock, would have to mark the whole heap:
		// 1.5 to 5 ms.
		runtime.GC()
		debug.SetGCPercent(snapshotPercent)
		// And if there were more free memory than the runtime wants to keep, in pieces too
		// small for what writers copy, the next allocation that makes the heap grow would
		// give back up to 4 MiB of it there and then, piece by piece: 1.5 to 7 ms. To give
		// all of it back takes long, so it is done last.
		debug.FreeOSMemory()
		return func() { debug.SetGCPercent(collectorPercent) }
	}
}
