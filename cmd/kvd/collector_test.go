package main

import (
	"runtime"
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

// TestCollectorFree: when a snapshot begins, no free memory is left for a writer to give back to the system.
func TestCollectorFree(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	snapshot := tuneCollector()
	pieces := make([][]byte, 2048)
	for i := range pieces {
		pieces[i] = make([]byte, 32<<10)
	}
	for i := range pieces {
		if i%2 == 0 {
			pieces[i] = nil
		}
	}
	defer snapshot()()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if free := m.HeapIdle - m.HeapReleased; free > 4<<20 {
		t.Errorf("%d bytes of %d are free and not given back", free, m.HeapSys)
	}
	runtime.KeepAlive(pieces)
}
