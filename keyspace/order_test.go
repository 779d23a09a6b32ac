package keyspace

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"kvd/types"
)

// allInOrder are the keys of a range, read in turns.
func allInOrder(t *testing.T, ks *Keyspace, db int, r KeyRange, now int64) (got []string) {
	t.Helper()
	for {
		last, more, ok := ks.EachKey(db, &r, now, 7, false, func(key []byte) bool {
			got = append(got, string(key))
			return true
		})
		if !ok {
			t.Fatal("the keys are not in order")
		}
		if !more {
			return got
		}
		if r.Reverse {
			r.Max = types.LexBound{Member: last, Ex: true}
		} else {
			r.Min = types.LexBound{Member: last, Ex: true}
		}
	}
}

// TestOrdered: keys in order are those that are there, whatever happens to them, and
// whenever they begin to be kept in order.
func TestOrdered(t *testing.T) {
	ks, rnd := newTest(t, 16)
	ks.expiry.off.Store(true)
	m := newModel()
	tx := newTx(ks)
	now := int64(1_000_000)
	all := KeyRange{LexRange: types.LexRange{Min: types.LexBound{Inf: -1}, Max: types.LexBound{Inf: 1}}}
	check := func() {
		t.Helper()
		if err := ks.Check(); err != nil {
			t.Fatal(err)
		}
		for db := range m {
			var want []string
			for k, v := range m[db] {
				if v.deadline == 0 || v.deadline > now {
					want = append(want, k)
				}
			}
			slices.Sort(want)
			r := all
			if len(want) > 4 && rnd.IntN(2) == 0 {
				i, j := rnd.IntN(len(want)), rnd.IntN(len(want))
				i, j = min(i, j), max(i, j)
				r.Min, r.Max = types.LexBound{Member: []byte(want[i])}, types.LexBound{Member: []byte(want[j]), Ex: true}
				want = want[i:j]
			}
			if r.Reverse = rnd.IntN(2) == 0; r.Reverse {
				slices.Reverse(want)
			}
			if got := allInOrder(t, ks, db, r, now); !slices.Equal(got, want) {
				t.Fatalf("database %d: %d keys %.200q, wanted %d %.200q", db, len(got), got, len(want), want)
			}
		}
	}
	change := func(n int) {
		h := ks.LockAll()
		defer ks.Unlock(&h)
		for range n {
			db := rnd.IntN(len(m))
			tx.Use(db)
			tx.Now = now
			name := fmt.Sprintf("key:%d", rnd.IntN(2000))
			k := MakeKey([]byte(name))
			switch rnd.IntN(40) {
			case 0, 1, 2, 3, 4, 5, 6, 7, 8, 9:
				tx.Delete(&k)
				delete(m[db], name)
			case 10, 11, 12:
				at := now + 1 + int64(rnd.IntN(30))
				tx.Put(&k, types.TString, types.EncRaw, []byte("v"), at)
				m[db][name] = modelValue{"v", at}
			case 13:
				now++
			case 14:
				if rnd.IntN(20) == 0 {
					tx.Flush()
					m[db] = map[string]modelValue{}
				}
			case 15:
				other := rnd.IntN(len(m))
				tx.Swap(db, other)
				m[db], m[other] = m[other], m[db]
			default:
				tx.Put(&k, types.TString, types.EncRaw, []byte("v"), 0)
				m[db][name] = modelValue{"v", 0}
			}
		}
	}
	change(3000)
	if _, _, ok := ks.EachKey(0, &all, now, 1, false, nil); ok {
		t.Fatal("keys are in order without being kept so")
	}
	for range 4 {
		done := ks.SetOrdered(true)
		for range 20 {
			change(50) // while they are put in order
		}
		<-done
		for range 20 {
			check()
			change(rnd.IntN(200))
		}
		<-ks.SetOrdered(false)
		if m := ks.Memory(false); m.Order != 0 {
			t.Fatalf("%d bytes of an order that is gone", m.Order)
		}
		change(100)
	}
	<-ks.SetOrdered(true)
	check()
	f := ks.NewFresh()
	func() {
		h := ks.LockAll()
		defer ks.Unlock(&h)
		tx := ks.NewTx()
		tx.UseFresh(f, 1)
		k := MakeKey([]byte("fresh"))
		tx.Put(&k, types.TString, types.EncRaw, []byte("v"), 0)
	}()
	f.Exchange(now, nil)
	m = newModel()
	m[1]["fresh"] = modelValue{"v", 0}
	check()
	for end := time.Now().Add(20 * time.Second); ks.retiring.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("flushed databases stay")
		}
	}
	check()
}

// TestOrderedTypes: KeyRange.Type, and that keys alone are looked up where nothing is due.
func TestOrderedTypes(t *testing.T) {
	ks, _ := newTest(t, 16)
	<-ks.SetOrdered(true)
	tx := newTx(ks)
	want := map[string]bool{}
	func() {
		h := ks.LockAll()
		defer ks.Unlock(&h)
		for i := range 300 {
			k := MakeKey(fmt.Append(nil, rand.IntN(1<<30)))
			typ, enc := types.TString, types.EncRaw
			if i%3 == 0 {
				typ, enc = types.THash, types.EncListpack
				want[string(k.B)] = true
			}
			tx.Put(&k, typ, enc, types.Packed(nil).Append([]byte("a")).Append([]byte("b")), 0)
		}
	}()
	r := KeyRange{LexRange: types.LexRange{Min: types.LexBound{Inf: -1}, Max: types.LexBound{Inf: 1}}, Type: types.THash, Typed: true}
	if got := allInOrder(t, ks, 0, r, 1); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
		t.Errorf("%d hashes, wanted %d", len(got), len(want))
	}
}

// BenchmarkEachKey reads ranges of a hundred of a million keys.
func BenchmarkEachKey(b *testing.B) {
	ks := New(Options{})
	defer ks.Close()
	tx := newTx(ks)
	<-ks.SetOrdered(true)
	const n = 1_000_000
	name := func(i int) []byte { return fmt.Appendf(nil, "key:%012d", i*7919%n) }
	for i := range n {
		k := MakeKey(name(i))
		h := ks.LockKeys([]Key{k})
		tx.Use(0)
		tx.Put(&k, types.TString, types.EncRaw, []byte("v"), 0)
		ks.Unlock(&h)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		left := 100
		from := rnd.IntN(n)
		r := KeyRange{LexRange: types.LexRange{Min: types.LexBound{Member: fmt.Appendf(nil, "key:%012d", from)}, Max: types.LexBound{Member: fmt.Appendf(nil, "key:%012d", from+rnd.IntN(n))}}}
		ks.EachKey(0, &r, 1, 512, false, func([]byte) bool { left--; return left > 0 })
	}
}
