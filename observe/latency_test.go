package observe

import "testing"

// TestLatencySamples: the worst of each second is kept, of so many seconds.
func TestLatencySamples(t *testing.T) {
	var l Latency
	l.Least.Store(10e6)
	l.Note("x", 9e6)
	if names, _ := l.List(); len(names) != 0 {
		t.Error("an event below the threshold is kept")
	}
	for i := range int64(LatencySamples + 5) {
		l.noteAt(i, "x", i)
		l.noteAt(i, "x", i+1000)
		l.noteAt(i, "x", 5)
	}
	_, events := l.List()
	e := events["x"]
	if low, high, _ := e.Bounds(); len(e.Samples) != LatencySamples || e.Samples[0] != (Sample{5, 1005}) || low != 1005 || high != LatencySamples+1004 ||
		e.Max != high || e.N != 3*(LatencySamples+5) {
		t.Errorf("%d samples, the first %v, %d to %d", len(e.Samples), e.Samples[0], low, high)
	}
}
