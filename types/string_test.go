package types

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

// TestBigString writes at random into strings and their copies and compares
// all of them with plain slices.
func TestBigString(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 3))
	type pair struct {
		s *BigString
		m []byte
	}
	start := bytes.Repeat([]byte("abc"), 40000)
	all := []pair{{NewBigString(start), bytes.Clone(start)}}
	for step := range 600 {
		p := &all[rnd.IntN(len(all))]
		switch rnd.IntN(8) {
		case 0:
			if len(all) < 6 {
				all = append(all, pair{p.s.Copy().(*BigString), bytes.Clone(p.m)})
			}
		default:
			off := len(p.m)
			if rnd.IntN(2) == 0 {
				off = rnd.IntN(len(p.m) + 300)
			}
			b := make([]byte, rnd.IntN(3000))
			if rnd.IntN(20) == 0 {
				b = make([]byte, rnd.IntN(200000))
			}
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			p.s.WriteAt(off, b)
			for len(p.m) < off+len(b) {
				p.m = append(p.m, 0)
			}
			copy(p.m[off:], b)
		}
		for i, q := range all {
			if q.s.Len() != len(q.m) {
				t.Fatalf("step %d: string %d has %d bytes, want %d", step, i, q.s.Len(), len(q.m))
			}
			if step%20 == 0 && !bytes.Equal(q.s.AppendRange(nil, 0, q.s.Len()), q.m) {
				t.Fatalf("step %d: string %d differs", step, i)
			}
			if err := q.s.Check(); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
		}
		if len(all) > 4 {
			i := rnd.IntN(len(all))
			all = append(all[:i], all[i+1:]...)
		}
	}
}

func TestBigStringIsSparse(t *testing.T) {
	s := NewBigString([]byte("x"))
	s.WriteAt(512<<20-1, []byte("y"))
	if s.Len() != 512<<20 || s.Byte(0) != 'x' || s.Byte(1<<20) != 0 || s.Byte(512<<20-1) != 'y' {
		t.Fatal("wrong contents")
	}
	if s.Bytes() > 1<<20 {
		t.Errorf("%d bytes of memory for two written chunks", s.Bytes())
	}
}
