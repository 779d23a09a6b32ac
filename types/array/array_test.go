package array_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"kvd/types/array"
)

// model is an array as a map.
type model map[uint64]string

func (m model) sorted() []uint64 {
	var k []uint64
	for i := range m {
		k = append(k, i)
	}
	slices.Sort(k)
	return k
}

func compare(t *testing.T, what string, a *array.Array, m model) {
	t.Helper()
	if err := a.Check(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	keys := m.sorted()
	if a.Count() != len(keys) {
		t.Fatalf("%s: %d elements, not %d", what, a.Count(), len(keys))
	}
	length := uint64(0)
	if len(keys) > 0 {
		length = keys[len(keys)-1] + 1
	}
	if a.Len() != length {
		t.Fatalf("%s: length %d, not %d", what, a.Len(), length)
	}
	k := 0
	for it := a.Seek(0); it.Next(); k++ {
		if it.Index != keys[k] || string(it.Elem.Append(nil)) != m[it.Index] {
			t.Fatalf("%s: element %d is %d %q, not %d %q", what, k, it.Index, it.Elem.Append(nil), keys[k], m[keys[k]])
		}
	}
	if k != len(keys) {
		t.Fatalf("%s: %d elements of %d in order", what, k, len(keys))
	}
	for it := a.SeekBack(math.MaxUint64); it.Prev(); {
		if k--; it.Index != keys[k] || string(it.Elem.Append(nil)) != m[it.Index] {
			t.Fatalf("%s, back: element %d is %d", what, k, it.Index)
		}
	}
	if k != 0 {
		t.Fatalf("%s: %d elements are left on the way back", what, k)
	}
}

// TestModel: an array holds what a map holds after the same changes, and a copy what it
// held when it was made.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			span := []uint64{40, 1000, 100_000, math.MaxUint64}[seed%4] // some dense, some sparse
			index := func() uint64 { return r.Uint64N(span) }
			value := func() string {
				switch r.IntN(12) {
				case 0:
					return string(bytes.Repeat([]byte{'x'}, r.IntN(9000)))
				case 1, 2, 3:
					return fmt.Sprint(r.Int64() >> r.IntN(64))
				}
				return string(bytes.Repeat([]byte{'a' + byte(r.IntN(26))}, r.IntN(70)))
			}
			a, m := array.New(), model{}
			type kept struct {
				a *array.Array
				m model
			}
			var copies []kept
			keep := func() {
				n := model{}
				for i, v := range m {
					n[i] = v
				}
				copies = append(copies, kept{a.Copy().(*array.Array), n})
			}
			for step := range 6000 {
				switch k := r.IntN(100); {
				case k < 45:
					i, v := index(), value()
					_, had := m[i]
					if fresh := a.Set(i, []byte(v)); fresh == had {
						t.Fatalf("%d: fresh %v", step, fresh)
					}
					m[i] = v
				case k < 75: // a run
					i := index()
					for range 1 + r.IntN(40) {
						v := value()
						a.Set(i, []byte(v))
						m[i] = v
						if i++; i > array.MaxIndex {
							break
						}
					}
				case k < 88:
					i := index()
					_, had := m[i]
					if a.Delete(i) != had {
						t.Fatalf("%d: deleted %v", step, !had)
					}
					delete(m, i)
				case k < 93 || k < 96 && len(m) > 500:
					lo, hi := index(), index()
					if k < 92 {
						hi = lo + r.Uint64N(max(span/50, 2))
					}
					if hi < lo {
						lo, hi = hi, lo
					}
					n := 0
					for i := range m {
						if i >= lo && i <= hi {
							delete(m, i)
							n++
						}
					}
					if got := a.DeleteRange(lo, hi); got != n {
						t.Fatalf("%d: %d of %d..%d deleted, not %d", step, got, lo, hi, n)
					}
				case k < 99:
					i := index()
					e, ok := a.Get(i)
					if v, had := m[i]; ok != had || ok && string(e.Append(nil)) != v {
						t.Fatalf("%d: got %q at %d, not %q", step, e.Append(nil), i, v)
					}
					keys := m.sorted()
					at, _ := slices.BinarySearch(keys, i)
					it := a.Seek(i)
					if ok := it.Next(); ok != (at < len(keys)) || ok && it.Index != keys[at] {
						t.Fatalf("%d: Seek(%d) is at %d", step, i, it.Index)
					}
					if at < len(keys) && keys[at] == i {
						at++
					}
					back := a.SeekBack(i)
					if ok := back.Prev(); ok != (at > 0) || ok && back.Index != keys[at-1] {
						t.Fatalf("%d: SeekBack(%d) is at %d", step, i, back.Index)
					}
				default:
					if len(copies) < 6 && r.IntN(10) == 0 {
						keep()
					}
				}
				if step%500 == 0 {
					compare(t, fmt.Sprint("step ", step), a, m)
				}
			}
			compare(t, "at the end", a, m)
			for i, c := range copies {
				compare(t, fmt.Sprint("copy ", i), c.a, c.m)
				c.a.DeleteRange(0, math.MaxUint64)
				compare(t, "an emptied copy", c.a, model{})
			}
			compare(t, "after its copies changed", a, m)
		})
	}
}

// TestCompact: what is dense takes little more than its bytes, in whatever order it
// comes, and what is sparse nothing for what is not there.
func TestCompact(t *testing.T) {
	t.Parallel()
	const n = 50_000
	order := rand.New(rand.NewPCG(1, 1)).Perm(n)
	for name, index := range map[string]func(i int) uint64{
		"in order":      func(i int) uint64 { return uint64(i) },
		"back":          func(i int) uint64 { return uint64(n - i) },
		"in no order":   func(i int) uint64 { return uint64(order[i]) },
		"a billion off": func(i int) uint64 { return uint64(order[i]) * 1e9 },
	} {
		a := array.New()
		for i := range n {
			a.Set(index(i), []byte("12345678ab")) // 11 bytes with its length
		}
		if err := a.Check(); err != nil {
			t.Fatal(err)
		}
		most := int64(17)
		if name == "in order" {
			most = 14
		}
		if name == "a billion off" {
			most += 5 // a longer distance
		}
		if each := a.Bytes() / n; each > most {
			t.Errorf("%s: %d bytes an element", name, each)
		}
		for i := range n {
			if i%100 != 0 {
				a.Delete(index(i))
			}
		}
		if err := a.Check(); err != nil {
			t.Fatal(err)
		}
		if each := a.Bytes() / int64(a.Count()); each > 60 {
			t.Errorf("%s: %d bytes an element of the few that are left", name, each)
		}
	}
}

// TestSlices counts runs as Redis's arrays have them.
func TestSlices(t *testing.T) {
	a := array.New()
	for i := range uint64(100) {
		a.Set(i, []byte("x"))
	}
	for i := range uint64(3) {
		a.Set(8192+i*1000, []byte("x"))
	}
	a.Set(array.MaxIndex, []byte("x"))
	want := array.Slices{Dense: 1, Sparse: 2, DenseRoom: 128, DenseUse: 100, SparseUse: 4}
	if s := a.Slices(4096, 10); s != want {
		t.Errorf("%+v, not %+v", s, want)
	}
}
