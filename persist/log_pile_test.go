package persist

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestPile: what is appended comes out as it went in, between any two offsets, and
// no block that is appended to in small pieces is larger than a block.
func TestPile(t *testing.T) {
	var free [][]byte
	var p pile
	for round := range 20 {
		p = pile{last: p.last[:0]}
		var all []byte
		huge := round%4 == 3
		for len(all) < 8*logBlock {
			n := rand.IntN(2 * logSlack)
			if huge && rand.IntN(50) == 0 {
				n = rand.IntN(3 * logBlock)
			}
			piece := bytes.Repeat([]byte{byte(rand.Uint32())}, n)
			all = append(all, piece...)
			free = p.grew(append(p.last, piece...), free)
			if p.len() != len(all) {
				t.Fatalf("%d bytes, want %d", p.len(), len(all))
			}
		}
		for _, b := range p.full {
			if cap(b) > 2*logBlock && !huge {
				t.Fatalf("a block of %d bytes", cap(b))
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
		free = p.blocks(free)
		if len(free) != keepBlocks && !huge {
			t.Fatalf("%d blocks are kept, want %d", len(free), keepBlocks)
		}
		for _, b := range free {
			if len(b) != 0 || cap(b) > 2*logBlock {
				t.Fatalf("a block of %d bytes, %d in use, is kept", cap(b), len(b))
			}
		}
	}
}
