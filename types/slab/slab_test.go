package slab

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

func TestClasses(t *testing.T) {
	last := 0
	for c := 2; c < classCount; c++ {
		s := classSize(c)
		if s <= last {
			t.Fatalf("class %d: size %d after %d", c, s, last)
		}
		if classOf(s) != c || (s < MaxObject && classOf(s+1) != c+1) {
			t.Fatalf("class %d of %d bytes: classOf says %d and then %d", c, s, classOf(s), classOf(s+1))
		}
		last = s
	}
	if last != MaxObject {
		t.Fatalf("the largest class is %d, not %d", last, MaxObject)
	}
}

// TestRandom allocates, writes, frees and tidies at random and compares what
// stands in the arena with a map.
func TestRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	a := New()
	type obj struct{ data []byte }
	live := map[Loc]obj{}
	var order []Loc
	sizes := []int{9, 24, 100, 100, 100, 255, 300, 2000, 9000, 40000, 65536, 70000, 300000}
	steps := 60000
	if testing.Short() {
		steps = 10000
	}
	for i := range steps {
		switch r := rnd.IntN(100); {
		case r < 50 && len(live) < 4000 || len(live) == 0:
			n := sizes[rnd.IntN(len(sizes))]
			if n > 60000 && rnd.IntN(20) != 0 {
				n = 120
			}
			l := a.Alloc(n)
			if _, dup := live[l]; dup || l == 0 {
				t.Fatalf("step %d: Alloc gave %#x again", i, l)
			}
			b := a.Slice(l, n)
			for j := range b {
				b[j] = byte(rnd.Uint32()) | 1
			}
			live[l] = obj{bytes.Clone(b)}
			order = append(order, l)
		case r < 95:
			j := rnd.IntN(len(order))
			l := order[j]
			order[j] = order[len(order)-1]
			order = order[:len(order)-1]
			if got := a.Slice(l, len(live[l].data)); !bytes.Equal(got, live[l].data) {
				t.Fatalf("step %d: object %#x has changed", i, l)
			}
			a.Free(l)
			delete(live, l)
		default:
			a.Tidy(rnd.IntN(20000), func(from, to Loc) {
				o, ok := live[from]
				if !ok {
					t.Fatalf("step %d: Tidy moved %#x, which is not live", i, from)
				}
				delete(live, from)
				live[to] = o
				for j := range order {
					if order[j] == from {
						order[j] = to
					}
				}
			})
		}
		if i%5000 == 0 {
			if err := a.Check(); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		}
	}
	for l, o := range live {
		if !bytes.Equal(a.Slice(l, len(o.data)), o.data) {
			t.Fatalf("object %#x has changed", l)
		}
	}
	if err := a.Check(); err != nil {
		t.Fatal(err)
	}
	for _, l := range order {
		a.Free(l)
	}
	for a.Tidy(1<<20, nil) {
	}
	a.Release(0, 1<<30)
	if a.Used() != 0 || a.Held() != 0 {
		t.Fatalf("empty arena: used %d, held %d", a.Used(), a.Held())
	}
	a.Drop()
}

// TestTidyGivesBack frees four of five objects and expects the memory back.
func TestTidyGivesBack(t *testing.T) {
	a := New()
	ref := map[Loc]int{}
	for i := range 100000 {
		l := a.Alloc(96)
		a.Head(l)[0] = 1
		ref[l] = i
	}
	full := a.Held()
	for l, i := range ref {
		if i%5 != 0 {
			a.Free(l)
			delete(ref, l)
		}
	}
	for a.Tidy(64<<10, func(from, to Loc) { ref[to] = ref[from]; delete(ref, from) }) {
	}
	if a.Held() > full/5*13/10 {
		t.Fatalf("after freeing 80%%: held %d of %d, in use %d", a.Held(), full, a.Used())
	}
	if err := a.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestDoubleFreePanics(t *testing.T) {
	a := New()
	l := a.Alloc(40)
	a.Head(l)[0] = 1
	keep := a.Alloc(40)
	a.Head(keep)[0] = 1
	a.Free(l)
	defer func() {
		if recover() == nil {
			t.Fatal("a second Free went unnoticed")
		}
	}()
	a.Free(l)
}

func BenchmarkAllocFree(b *testing.B) {
	a := New()
	for b.Loop() {
		l := a.Alloc(90)
		a.Head(l)[0] = 1
		a.Free(l)
	}
}
