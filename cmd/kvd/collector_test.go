package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// percent is GOGC as it is.
func percent() int {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64())
}

// TestCollector: GOGC is the server's own, less while a snapshot is written, unless the environment has set it.
func TestCollector(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(70))
	snapshot, stop := tuneCollector()
	if stop(); snapshot != nil || percent() != 70 {
		t.Errorf("GOGC=70 became %d", percent())
	}
	debug.SetGCPercent(100)
	snapshot, stop = tuneCollector()
	defer stop()
	if n := percent(); n < collectorPercent || n > mostPercent {
		t.Errorf("%d", n)
	}
	over := snapshot()
	if runtime.GC(); percent() != snapshotPercent {
		t.Errorf("%d during a snapshot", percent())
	}
	if over(); percent() < collectorPercent {
		t.Errorf("%d after a snapshot", percent())
	}
}

// TestCollectorFollows: a small heap may have some garbage, a large one a share of itself.
func TestCollectorFollows(t *testing.T) {
	for _, test := range []struct {
		live uint64
		want int
	}{{0, 300}, {3 << 20, 300}, {12 << 20, 100}, {30 << 20, 40}, {1 << 40, 40}} {
		if got := percentOf(test.live); got != test.want {
			t.Errorf("%d bytes live: %d, want %d", test.live, got, test.want)
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	_, stop := tuneCollector()
	defer stop()
	wait := func(what string, ok func(n int) bool) {
		t.Helper()
		for range 500 {
			if runtime.GC(); ok(percent()) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%s: %d", what, percent())
	}
	data := make([]byte, 64<<20)
	wait("64 MiB live", func(n int) bool { return n == collectorPercent })
	runtime.KeepAlive(data)
	wait("they are gone", func(n int) bool { return n > collectorPercent })
}

// TestCollectorFree: when a snapshot begins, no free memory is left for a writer to give back to the system.
func TestCollectorFree(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	snapshot, stop := tuneCollector()
	defer stop()
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
