package transport

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"kvd/resp/wire"
)

// TestOutbox: whatever is put in comes out, in order, however little is taken at once, and what is shared is not
// changed by parts that are used again.
func TestOutbox(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 0))
	w := wire.InParts(3)
	for range 300 {
		w.BulkString(strings.Repeat("x", 1000))
	}
	length := cap(w.Parts()[1])
	shared := bytes.Repeat([]byte("s"), length) // as long as a part
	var o outbox
	var want, got []byte
	for step := range 1000 {
		var b []byte
		switch rnd.IntN(5) {
		case 0:
			b = bytes.Repeat([]byte{byte('a' + step%16)}, rnd.IntN(9000))
			o.add(b)
		case 1:
			b = shared
			o.share(b)
		case 2:
			b = bytes.Repeat([]byte{byte('A' + step%16)}, 1+rnd.IntN(3)*100)
			o.keep(slices.Clone(b))
		case 3:
			w := wire.InParts(3)
			for range 300 {
				w.BulkString(strings.Repeat(string(rune('0'+step%10)), 1000))
			}
			parts := w.Parts()
			b = slices.Concat(parts...)
			for _, p := range parts {
				o.keepPart(p)
			}
		}
		want = append(want, b...)
		for o.n > 0 && (rnd.IntN(3) > 0 || o.n > 4<<20) {
			all := slices.Concat(o.buffers()...)
			if len(all) != o.n {
				t.Fatalf("step %d: %d bytes wait, the box says %d", step, len(all), o.n)
			}
			n := min(o.n, 1+rnd.IntN(200_000))
			got = append(got, all[:n]...)
			o.sent(n)
		}
		if !bytes.HasPrefix(want, got) {
			t.Fatalf("step %d: what came out is not what was put in", step)
		}
		want, got = want[len(got):], got[:0]
		if o.n == 0 && (len(o.blocks) > 0 || o.mem != 0 || o.done != 0) {
			t.Fatalf("step %d: an empty box has %d blocks, %d bytes of memory, %d done", step, len(o.blocks), o.mem, o.done)
		}
	}
	if bytes.Count(shared, []byte("s")) != length {
		t.Error("what was shared has changed")
	}
}
