//go:build linux && !race

package slab

import (
	"testing"
	"time"
)

// TestHugeChunks: an arena that has grown gets chunks that are resident at
// once, uses them, and gives them back.
func TestHugeChunks(t *testing.T) {
	a := New()
	defer a.Drop()
	var locs []Loc
	fresh := func() bool { return len(a.fresh[0]) > 0 }
	grow := func(until func() bool) bool {
		for n := 0; n < 64<<20/1024 && !until(); n++ {
			l := a.Alloc(1024)
			a.Head(l)[0] = 1
			locs = append(locs, l)
		}
		return until()
	}
	if grow(func() bool { return a.held >= hugeFrom }); fresh() {
		t.Error("a small arena has huge pages")
	}
	for end := time.Now().Add(30 * time.Second); !grow(fresh); {
		region.mu.Lock()
		none := region.noHuge
		region.mu.Unlock()
		if none {
			t.Skip("this system has no huge pages")
		}
		if time.Now().After(end) {
			t.Fatal("no huge pages come")
		}
	}
	if held := a.held; !grow(func() bool { return !fresh() }) || a.held != held {
		t.Errorf("%d bytes held when the chunk began, %d at its end", held, a.held)
	}
	if err := a.Check(); err != nil {
		t.Error(err)
	}
	grow(fresh)
	for _, l := range locs {
		a.Free(l)
	}
	for a.Release(0, 64) {
	}
	if a.held != 0 || a.used != 0 || fresh() {
		t.Errorf("%d bytes held and %d used at the end, %d pages kept", a.held, a.used, len(a.fresh[0]))
	}
}
