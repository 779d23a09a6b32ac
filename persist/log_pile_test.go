package persist

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unsafe"

	"kvd/keyspace"
)

// TestPile: what is appended comes out as it went in, between any two offsets,
// and is never moved; blocks are used again.
func TestPile(t *testing.T) {
	var free [][]byte
	for round := range 20 {
		var p pile
		var all []byte
		huge := round%4 == 3
		for len(all) < 8*logBlock {
			n := rand.IntN(8 << 10)
			if huge && rand.IntN(50) == 0 {
				n = rand.IntN(3 * logBlock)
			}
			piece := bytes.Repeat([]byte{byte(rand.Uint32())}, n)
			all = append(all, piece...)
			free = p.room(n, free)
			at := unsafe.SliceData(p.last)
			if p.last = append(p.last, piece...); unsafe.SliceData(p.last) != at {
				t.Fatalf("%d bytes did not fit behind the others", n)
			}
			if p.len() != len(all) {
				t.Fatalf("%d bytes, want %d", p.len(), len(all))
			}
		}
		from := rand.IntN(len(all))
		for _, r := range [][2]int{{0, len(all)}, {from, len(all)}, {0, from}, {from, from}, {from, from + rand.IntN(len(all)-from)}} {
			var got []byte
			p.each(r[0], r[1], func(b []byte) {
				if len(b) == 0 {
					t.Fatal("an empty piece")
				}
				got = append(got, b...)
			})
			if !bytes.Equal(got, all[r[0]:r[1]]) {
				t.Fatalf("from %d to %d: not what was appended", r[0], r[1])
			}
		}
		if free = p.blocks(free); len(free) != keepBlocks {
			t.Fatalf("%d blocks are kept, want %d", len(free), keepBlocks)
		}
		for _, b := range free {
			if len(b) != 0 || cap(b) != logBlock {
				t.Fatalf("a block of %d bytes, %d in use, is kept", cap(b), len(b))
			}
		}
	}
}

// TestLogMovesNothing: the text of effects, however long or many their arguments,
// fits into the room that was made for it.
func TestLogMovesNothing(t *testing.T) {
	var l Log
	l.taking, l.db = true, -1
	l.stamps.Store(true)
	l.stalled.Store(true)
	l.full.Store(true)
	many := make([][]byte, 100_000)
	for i := range many {
		many[i] = []byte{byte(i)}
	}
	e := effects{&l}
	for i := range 2000 {
		args := [][]byte{[]byte("SET"), make([]byte, rand.IntN(100)), make([]byte, rand.IntN(300))}
		switch i % 500 {
		case 100:
			args = append(args, make([]byte, 3*logBlock))
		case 200:
			args = append(args, many...)
		case 300:
			args = args[:1]
		}
		l.stamp = 0
		e.Begin()
		before := l.appended.Load()
		e.Effect(keyspace.Effect{DB: 1<<30 + i, Args: args})
		if n := l.appended.Load() - before; n > int64(effectMost(args)) {
			t.Fatalf("%d bytes, where there is room for %d", n, effectMost(args))
		}
		e.End()
	}
	for _, b := range append(l.pile.full, l.pile.last) {
		if cap(b) != logBlock && len(b) < logBlock {
			t.Fatalf("a block of %d bytes for %d", cap(b), len(b))
		}
	}
	if n := l.pile.len(); int64(n) != l.appended.Load() {
		t.Fatalf("%d bytes in the pile, %d were appended", n, l.appended.Load())
	}
	e.Begin()
	e.Effect(keyspace.Effect{Args: many[:1]})
	l.pile.last = l.pile.last[:cap(l.pile.last)-1] // no room for EXEC
	n := len(l.pile.full)
	if e.End(); len(l.pile.full) != n+1 {
		t.Fatal("EXEC did not fit behind the others")
	}
}
