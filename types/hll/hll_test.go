package hll

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func add(t *testing.T, b []byte, elem string, limit int) []byte {
	t.Helper()
	i, n := Place([]byte(elem))
	b, _, err := Set(b, i, n, limit)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func registers(t *testing.T, b []byte) (all All) {
	t.Helper()
	if err := all.Merge(b); err != nil {
		t.Fatal(err)
	}
	return all
}

// Dense and sparse registers hold the same, give the same estimate, and that is
// near.
func TestGrow(t *testing.T) {
	const limit = 3000
	sparse := New(nil)
	dense, err := ToDense(New(nil))
	if err != nil {
		t.Fatal(err)
	}
	var raw All
	for n := 1; n <= 100_000; n++ {
		elem := fmt.Sprintf("element %d", n)
		i, c := Place([]byte(elem))
		raw[i] = max(raw[i], c)
		sparse, dense = add(t, sparse, elem, limit), add(t, dense, elem, limit)
		if len(sparse) > limit && !IsDense(sparse) {
			t.Fatalf("%d bytes and sparse", len(sparse))
		}
		if n&(n-1) != 0 && n%9973 != 0 {
			continue
		}
		a, err := Count(sparse)
		b, err2 := Count(dense)
		if err != nil || err2 != nil || a != b || a != raw.Count() {
			t.Fatalf("%d elements: sparse %d, dense %d, raw %d: %v, %v", n, a, b, raw.Count(), err, err2)
		}
		if registers(t, sparse) != raw || registers(t, dense) != raw {
			t.Fatalf("%d elements: registers differ", n)
		}
		if off := math.Abs(float64(a) - float64(n)); off > 6*1.04/128*float64(n) {
			t.Errorf("%d elements counted as %d", n, a)
		}
	}
	if !IsDense(sparse) {
		t.Error("still sparse")
	}
}

// The bytes are those that Redis 7.0.15 makes.
func TestBytes(t *testing.T) {
	b := New(nil)
	for _, e := range []string{"a", "b", "c"} {
		b = add(t, b, e, 3000)
	}
	const want = "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	if string(b[:16]) != want {
		t.Errorf("%q", b)
	}
	if n, err := Count(b); n != 3 || err != nil {
		t.Error(n, err)
	}
}

// Raise does what setting one register after the other from the beginning does.
func TestRaise(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for round := range 1000 {
		limit := []int{100, 3000, 20_000}[r.IntN(3)]
		var all All
		a, b := New(nil), New(nil)
		for n := r.IntN(1 << r.IntN(13)); n > 0; n-- {
			i := r.IntN(Registers)
			if r.IntN(3) > 0 {
				i = r.IntN(200)
			}
			if round%2 == 0 {
				i %= 60 // crowded, so that runs are joined again and again
			}
			v := uint8(1 + r.IntN(3-round%2))
			if r.IntN(2000) == 0 {
				v = 40
			}
			all[i] = v
			if r.IntN(3) == 0 {
				a, _, _ = Set(a, r.IntN(30+300*(round%2)), uint8(1+r.IntN(2)), limit)
			}
		}
		b = append(b[:0], a...)
		a, err := all.Raise(a, limit)
		for i, v := range all {
			if v > 0 && err == nil {
				b, _, err = Set(b, i, v, limit)
			}
		}
		if err != nil || !bytes.Equal(a, b) {
			t.Fatalf("round %d: %v\n%x\n%x", round, err, a, b)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, s := range []string{"", "HYLL", "HYLX\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff", "HYLL\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff",
		"HYLL\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff", "HYLL\x00" + string(make([]byte, DenseSize))} {
		if !errors.Is(Check([]byte(s)), ErrNone) {
			t.Errorf("%q passed", s)
		}
	}
	for _, regs := range []string{"", "\x7f", "\x7f\xfe", "\x7f\xff\x00", "\x7f\xff\x80", "\x7f\xfe\x81", "\x7f\xff\x7f\xff\x7f\xff\x7f\xff"} {
		b := append([]byte("HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"), regs...)
		if err := Check(b); err != nil {
			t.Fatal(err)
		}
		var all All
		_, err := Count(b)
		_, err2 := ToDense(b)
		if err3 := all.Merge(b); err != ErrCorrupt || err2 != ErrCorrupt || err3 != ErrCorrupt {
			t.Errorf("%q: %v, %v, %v", regs, err, err2, err3)
		}
	}
}

func TestCache(t *testing.T) {
	b := New(nil)
	if n, ok := Cached(b); n != 0 || !ok {
		t.Error("an empty one has no count")
	}
	SetCached(b, 1<<40+7)
	if n, ok := Cached(b); n != 1<<40+7 || !ok || string(b[8:16]) != "\x07\x00\x00\x00\x00\x01\x00\x00" {
		t.Errorf("%d %t %q", n, ok, b)
	}
	Invalidate(b)
	if _, ok := Cached(b); ok {
		t.Error("still valid")
	}
}

// FuzzBytes: whatever bytes a client stores, nothing panics, and registers that
// one function takes for valid have the same values for all.
func FuzzBytes(f *testing.F) {
	b := New(nil)
	for i := range 300 {
		k, n := Place(fmt.Append(nil, i))
		b, _, _ = Set(b, k, n, 3000)
		if i%50 == 0 {
			f.Add(bytes.Clone(b), uint16(i), uint8(i%51), uint16(3000))
		}
	}
	d, _ := ToDense(b)
	f.Add(d, uint16(7), uint8(60), uint16(0))
	f.Add([]byte("HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x7f\xff\xff\x7f\xff"), uint16(16383), uint8(32), uint16(20))
	f.Fuzz(func(t *testing.T, b []byte, index uint16, count uint8, limit uint16) {
		if len(b) > 4 && string(b[:4]) != "HYLL" {
			copy(b, "HYLL\x01")
		}
		if Check(b) != nil {
			return
		}
		var all All
		err := all.Merge(b)
		Runs(b)
		n, err2 := Count(b)
		d, err3 := ToDense(b)
		if (err == nil) != (err2 == nil) || (err == nil) != (err3 == nil) {
			t.Fatalf("%v, %v, %v", err, err2, err3)
		}
		if err == nil {
			if m, _ := Count(d); m != n || all.Count() != n {
				t.Fatalf("counts %d, %d, %d", n, m, all.Count())
			}
		}
		i, c := int(index)%Registers, count%52
		if c == 0 {
			return
		}
		out, changed, err4 := Set(bytes.Clone(b), i, c, int(limit))
		if err != nil {
			return // it may work or not, but returns
		}
		if err4 != nil {
			t.Fatal(err4)
		}
		after := registers(t, out)
		if changed != (all[i] < c) {
			t.Fatalf("register %d was %d, set to %d: changed is %t", i, all[i], c, changed)
		}
		all[i] = max(all[i], c)
		if after != all {
			t.Fatal("another register changed")
		}
		if out, err := all.Raise(bytes.Clone(b), int(limit)); err != nil || registers(t, out) != all {
			t.Fatalf("raised: %v", err)
		}
	})
}

func BenchmarkCountDense(b *testing.B) {
	d, _ := ToDense(New(nil))
	for i := range 50_000 {
		k, n := Place(fmt.Append(nil, i))
		d, _, _ = Set(d, k, n, 3000)
	}
	for b.Loop() {
		Count(d)
	}
}

func BenchmarkMergeDense(b *testing.B) {
	d, _ := ToDense(New(nil))
	for i := range 50_000 {
		k, n := Place(fmt.Append(nil, i))
		d, _, _ = Set(d, k, n, 3000)
	}
	var all All
	for b.Loop() {
		all.Merge(d)
	}
}

func BenchmarkSetSparse(b *testing.B) {
	s := New(nil)
	for i := range 1000 {
		k, n := Place(fmt.Append(nil, i))
		s, _, _ = Set(s, k, n, 3000)
	}
	for i := 0; b.Loop(); i++ {
		k, _ := Place(fmt.Append(nil, i%1000))
		Set(s, k, 1, 3000)
	}
}

// TestRaiseJoins has runs joined and cut beside each other again and again, where
// the place of the last one must not be relied on.
func TestRaiseJoins(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for round := range 4000 {
		const limit = 3000
		var all All
		a := New(nil)
		for range r.IntN(60) {
			a, _, _ = Set(a, r.IntN(40), uint8(1+r.IntN(2)), limit)
		}
		for i := range 40 {
			all[i] = uint8(r.IntN(4))
		}
		b := append([]byte(nil), a...)
		a, err := all.Raise(a, limit)
		for i, v := range all {
			if v > 0 && err == nil {
				b, _, err = Set(b, i, v, limit)
			}
		}
		if err != nil || !bytes.Equal(a, b) {
			t.Fatalf("round %d: %v\n%x\n%x", round, err, a, b)
		}
	}
}

// TestMergeIsTheHigher: registers of all values that six bits can have, merged with others, are the higher ones, and all
// are counted.
func TestMergeIsTheHigher(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 20 {
		var all, want All
		var h histogram
		d, _ := ToDense(New(nil))
		for i := range all {
			all[i] = uint8(r.IntN(64))
			v := uint8(r.IntN(64))
			if r.IntN(8) == 0 {
				v = all[i]
			}
			denseSet(d[HeaderSize:], i, v)
			want[i] = max(all[i], v)
			h[want[i]]++
		}
		if err := all.Merge(d); err != nil || all != want {
			t.Fatalf("%v: registers differ", err)
		}
		if n := all.Count(); n != h.estimate() {
			t.Errorf("%d of %d are counted", n, h.estimate())
		}
	}
}
