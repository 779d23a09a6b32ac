package main

import (
	"runtime/debug"
	"testing"
)

// TestCollector: GOGC is the server's own, less while a snapshot is written, unless the environment has set it.
func TestCollector(t *testing.T) {
	percent := func() int {
		n := debug.SetGCPercent(100)
		debug.SetGCPercent(n)
		return n
	}
	defer debug.SetGCPercent(percent())
	debug.SetGCPercent(70)
	if tuneCollector() != nil || percent() != 70 {
		t.Errorf("GOGC=70 became %d", percent())
	}
	debug.SetGCPercent(100)
	snapshot := tuneCollector()
	if percent() != collectorPercent {
		t.Errorf("%d", percent())
	}
	over := snapshot()
	if percent() != snapshotPercent {
		t.Errorf("%d during a snapshot", percent())
	}
	if over(); percent() != collectorPercent {
		t.Errorf("%d after a snapshot", percent())
	}
}
