package types

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"testing"
)

func TestIntsetAgainstMap(t *testing.T) {
	r := packedRand(t)
	for range 30 {
		var s Intset
		model := map[int64]bool{}
		bits := 4
		width := 2
		for range 600 {
			if r.IntN(50) == 0 {
				bits = min(62, bits+r.IntN(20))
			}
			v := r.Int64N(1 << bits)
			if r.IntN(2) == 0 {
				v = -v
			}
			if r.IntN(100) == 0 {
				v = []int64{math.MinInt64, math.MaxInt64, math.MinInt32, math.MaxInt32, math.MinInt16, math.MaxInt16, 1 << 15, 1 << 31}[r.IntN(8)]
			}
			if r.IntN(3) > 0 {
				var added bool
				if s, added = s.Add(v); added == model[v] {
					t.Fatalf("add %d: %v", v, added)
				}
				model[v] = true
				width = max(width, intsetWidth(v))
			} else {
				i, found := s.Find(v)
				if found != model[v] {
					t.Fatalf("find %d: %v", v, found)
				}
				if found {
					s = s.Delete(i)
				}
				delete(model, v)
			}
			if err := s.Check(); err != nil {
				t.Fatal(err)
			}
			want := slices.Sorted(maps.Keys(model))
			if s.Len() != len(want) || s.Width() != width {
				t.Fatalf("%d integers of width %d, want %d of %d", s.Len(), s.Width(), len(want), width)
			}
			for i, v := range want {
				if s.At(i) != v {
					t.Fatalf("%d at %d, want %d", s.At(i), i, v)
				}
			}
			back, err := IntsetFromRedis(s.AppendRedis(nil))
			if err != nil || back.Len() != s.Len() || s.Len() > 0 && !bytes.Equal(back, s) {
				t.Fatalf("%x read back as %x: %v", s, back, err)
			}
		}
	}
}

func TestIntsetFromOutside(t *testing.T) {
	// Redis writes {1, 2, 70000} so.
	good := []byte{4, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0x70, 0x11, 1, 0}
	s, err := IntsetFromRedis(good)
	if err != nil || s.Len() != 3 || s.At(2) != 70000 || !bytes.Equal(s.AppendRedis(nil), good) {
		t.Fatal(s, err)
	}
	for i := range good {
		if _, err := IntsetFromRedis(good[:i]); err == nil {
			t.Errorf("%d bytes pass", i)
		}
	}
	for _, change := range []struct {
		at int
		b  byte
	}{{0, 0}, {0, 3}, {0, 8}, {0, 255}, {3, 1}, {4, 2}, {4, 4}, {7, 255}, {8, 2}, {8, 3}, {19, 255}} {
		bad := slices.Clone(good)
		bad[change.at] = change.b
		if _, err := IntsetFromRedis(bad); err == nil {
			t.Errorf("%x passes", bad)
		}
	}
	for _, w := range []uint32{0, 1, 3, 16, math.MaxUint32} {
		if _, err := IntsetFromRedis(binary.LittleEndian.AppendUint64(nil, uint64(w)|uint64(1)<<32)); err == nil {
			t.Errorf("width %d passes", w)
		}
	}
}
