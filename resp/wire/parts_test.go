package wire

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// Replies in parts are those in one piece, a deferred header of an earlier part included.
func TestInParts(t *testing.T) {
	for _, n := range []int{0, 1, 12, 3000, 40_000} {
		whole, parted := &Writer{Proto: 3}, InParts(3)
		for _, w := range []*Writer{whole, parted} {
			w.Array(2)
			m := w.DeferArray()
			for i := range n {
				w.Bulk([]byte(strings.Repeat("x", i%100)))
				if i == n/2 {
					in := w.DeferArray()
					for range 20_000 {
						w.BulkString("a string")
						w.Int(7)
					}
					w.SetSet(in, 40_000)
				}
			}
			w.SetMap(m, 123_456)
			w.BulkInt(int64(n))
		}
		parts := parted.Parts()
		if got := slices.Concat(parts...); !bytes.Equal(got, whole.Buf) {
			t.Fatalf("%d: the replies differ, %d and %d bytes", n, len(got), len(whole.Buf))
		}
		if n > 0 && len(parts) < 3 {
			t.Errorf("%d: only %d parts", n, len(parts))
		}
		for i, p := range parts {
			if len(p) > 2*partSize {
				t.Errorf("%d: part %d has %d bytes", n, i, len(p))
			}
		}
	}
}

// TestReuse: a part that was given back is written over by the next reply, one that was not is not, whatever its
// length.
func TestReuse(t *testing.T) {
	reply := func(c string) [][]byte {
		w := InParts(3)
		for range 400 {
			w.BulkString(strings.Repeat(c, 1000))
		}
		return w.Parts()
	}
	first := reply("a")
	was := slices.Concat(first...)
	reused := 0
	for range 20 { // under the race detector a pool drops some
		second := reply("b")
		if !bytes.Equal(slices.Concat(first...), was) {
			t.Fatal("a part that was not given back has changed")
		}
		Reuse(second[1])
		third := reply("c")
		if &third[1][0] == &second[1][0] {
			reused++
		}
		if got := slices.Concat(third...); bytes.ContainsAny(got, "ab") || len(got) != len(was) {
			t.Fatal("a reply has bytes of another")
		}
		Reuse(slices.Concat(first...)) // is none
	}
	if reused == 0 {
		t.Error("no part was used again")
	}
}
