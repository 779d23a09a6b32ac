package main

import "runtime/debug"

// collectorPercent is GOGC where the environment does not say: the heap that
// the collector sees is small (the data is off-heap) and nearly free of
// pointers, so collecting often costs little and keeps memory close to use.
const collectorPercent = 40

// tuneCollector sets the collector up, unless GOGC is set.
func tuneCollector() {
	if old := debug.SetGCPercent(collectorPercent); old != 100 {
		debug.SetGCPercent(old)
	}
}
