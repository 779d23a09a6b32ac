package types

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestBulk compares what is built at once with what is put in one by one.
func TestBulk(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	var b Bulk
	for _, n := range []int{0, 1, 2, 100, 384, 385, 3000, 20000, bulkItems + 3000} {
		for _, mask := range []uint64{^uint64(0), 0xFFF << 52, 0} {
			if mask == 0 && n > 385 {
				continue // a table of equal hashes has its limits
			}
			old := hashMask
			hashMask = mask
			model := map[string]bool{}
			want := hashModel{}
			if mask != old {
				model, want = map[string]bool{}, hashModel{}
			}
			for i := range min(n, 3000+n*int(mask>>63)) {
				f, v, d := fmt.Sprint("f", i), fmt.Sprint("value ", r.Uint64()>>r.IntN(64)), int64(0)
				if i%1000 == 7 {
					v = string(make([]byte, 2000))
				}
				if r.IntN(4) == 0 {
					d = 1 + r.Int64N(100)
				}
				model[f] = true
				want[f] = tableModelValue{v, d}
			}
			for f := range model {
				b.AddMember([]byte(f))
			}
			s, ok := b.Set(SetLimits{})
			if !ok {
				t.Fatal("twice")
			}
			checkSet(t, &s, model)
			for f, v := range want {
				b.AddField([]byte(f), []byte(v.val), v.deadline)
			}
			h, ok := b.Hash(HashLimits{})
			if !ok {
				t.Fatal("twice")
			}
			checkHash(t, &h, want, 0)
			if err := h.Check(); err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				for f := range model {
					b.AddMember([]byte(f))
				}
				b.AddMember([]byte("f0"))
				if s, ok = b.Set(SetLimits{}); ok || s.Check() != nil {
					t.Fatal("a member twice is not noticed")
				}
			}
			hashMask = old
		}
	}
	// What is dropped leaves nothing behind.
	b.AddMember([]byte("x"))
	b.Drop()
	if s, _ := b.Set(SetLimits{}); s.Len() != 0 {
		t.Error("Drop")
	}
}

// TestListPushPacked compares it with pushes one by one.
func TestListPushPacked(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		limits := ListLimits{MaxSize: []int{-2, -1, -5, 128, 5}[r.IntN(5)]}
		a, b := List{Limits: limits}, List{Limits: limits}
		a.Load(EncListpack, nil, nil)
		b.Load(EncListpack, nil, nil)
		for range r.IntN(12) {
			var p Packed
			for range r.IntN(1 << r.IntN(11)) {
				e := fmt.Appendf(nil, "%d", r.Uint64()>>r.IntN(64))
				if r.IntN(3) == 0 {
					e = make([]byte, r.IntN(1<<r.IntN(14)))
				}
				p = AppendElem(p, e)
				b.PushBack(e)
			}
			a.PushPacked(p)
			clear(p)
		}
		if a.Check() != nil || b.Check() != nil || a.Len() != b.Len() {
			t.Fatal(a.Check(), b.Check(), a.Len(), b.Len())
		}
		ea, _, _ := a.Stored()
		eb, _, _ := b.Stored()
		if ea != eb {
			t.Fatalf("%v, want %v", ea, eb)
		}
		i := 0
		a.Each(func(e Elem) bool {
			w, _ := b.Index(i)
			if elemString(e) != elemString(w) {
				t.Fatalf("element %d is %q, want %q", i, elemString(e), elemString(w))
			}
			i++
			return i < 2000
		})
		a.PushBack([]byte("end"))
		a.PushFront([]byte("start"))
		if err := a.Check(); err != nil {
			t.Fatal(err)
		}
	}
}
