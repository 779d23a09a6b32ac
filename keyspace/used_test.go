package keyspace

import (
	"fmt"
	"slices"
	"testing"

	"kvd/types"
)

// TestUsedNumbers: whatever exchanges databases, those that may have keys are known, so that nothing that goes through
// them misses one; and those that never had any are passed over.
func TestUsedNumbers(t *testing.T) {
	const many = 1000
	ks := New(Options{Databases: many, Stripes: 4})
	defer ks.Close()
	ks.SetActiveExpire(false) // one of the deadlines has passed, and is looked at
	put := func(tx *Tx, name string, deadline int64) {
		k := MakeKey([]byte(name))
		h := ks.LockAll()
		tx.Put(&k, types.TString, types.EncEmbstr, []byte("v"), deadline)
		ks.Unlock(&h)
	}
	used := func(want ...int) {
		t.Helper()
		h := ks.LockAll()
		got := ks.usedNumbers()
		ks.Unlock(&h)
		if !slices.Equal(got, want) {
			t.Errorf("%v are used, want %v", got, want)
		}
	}
	used()
	tx := ks.NewTx()
	tx.Use(7)
	put(tx, "a", 0)
	used(7)
	tx.Use(3)
	put(tx, "a", 1<<41)
	put(tx, "b", 1<<41+1)
	used(3, 7)
	h := ks.LockAll()
	tx.Swap(3, 900)
	ks.Unlock(&h)
	used(7, 900)
	if keys, volatile := ks.Size(900, false); keys != 2 || volatile != 2 {
		t.Error(keys, volatile)
	}

	// A snapshot has the keys of the start, under the numbers of the start.
	var items []string
	s, err := ks.StartSnapshot(func(it Item) { items = append(items, fmt.Sprintf("%d:%s", it.DB, it.Key)) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	tx.Use(5)
	put(tx, "new", 0)
	h = ks.LockAll()
	tx.Swap(900, 1)
	tx.Use(7)
	tx.Flush()
	ks.Unlock(&h)
	tx.Use(1)
	put(tx, "a", 0)
	if !s.Walk(nil) {
		t.Fatal("it ended early")
	}
	s.End()
	slices.Sort(items)
	if want := []string{"7:a", "900:a", "900:b"}; !slices.Equal(items, want) {
		t.Errorf("%q, want %q", items, want)
	}
	used(1, 5)

	f := ks.NewFresh()
	tx.UseFresh(f, 11)
	put(tx, "c", 5)
	used(1, 5)
	f.Exchange(1, nil)
	used(11)
	h = ks.LockAll()
	next := int64(0)
	for i := range ks.stripes {
		next = max(next, ks.stripes[i].next.Load())
	}
	if next != 5 {
		t.Errorf("the earliest deadline of the fresh ones is %d", next)
	}
	ks.FlushAll(1)
	ks.Unlock(&h)
	used()
}
