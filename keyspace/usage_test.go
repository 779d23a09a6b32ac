package keyspace

import (
	"fmt"
	"testing"
	"time"

	"kvd/types"
)

// TestKeptIsExcess: who wants memory is told how much too much is kept, also where no more is in
// use than the limit, so that it helps for longer; and keys go until that has ended, also
// where nothing can be moved together.
func TestKeptIsExcess(t *testing.T) {
	ks := New(Options{Stripes: 4})
	ks.Close() // what the background does is done here
	tx := newTx(ks)
	tx.Use(0)
	const limit, n = 64 << 20, 1000
	ks.SetLimits(limit, nil)
	ks.SetEviction(EvictPolicy{Kind: EvictLRU, Samples: 5})
	value := make([]byte, 33_000) // one in a page of 64 KiB
	for i := range n {
		k := MakeKey(fmt.Appendf(nil, "key:%d", i))
		h := ks.LockKeys([]Key{k})
		tx.Put(&k, types.TString, types.EncRaw, value, 0)
		ks.Unlock(&h)
	}
	if bytes, _ := ks.Excess(0); bytes > 0 {
		t.Errorf("%d bytes too much, with %d in use and %d kept", bytes, ks.Used(), ks.Kept())
	}
	const most = 48 << 20
	ks.SetMostKept(most)
	over := ks.Kept() - most
	if bytes, of := ks.Excess(0); over <= 0 || bytes != over || of != limit {
		t.Errorf("%d bytes of %d too much, with %d kept where %d may be", bytes, of, ks.Kept(), int64(most))
	}
	for end := time.Now().Add(time.Minute); ks.Evict(tx, 0, time.Millisecond) != EvictEnough; {
		if time.Now().After(end) {
			t.Fatalf("%d are kept in the end", ks.Kept())
		}
	}
	if gone := ks.Stats.Evicted.Load(); ks.Kept() > most || gone < n/8 || gone > n/2 {
		t.Errorf("%d are kept, %d of %d keys went", ks.Kept(), gone, n)
	}
	if bytes, _ := ks.Excess(0); bytes > 0 {
		t.Errorf("%d bytes too much in the end", bytes)
	}
}

// TestEvictDueWhileTold: a key whose time is over goes like any other while somebody wants to
// know which keys go.
func TestEvictDueWhileTold(t *testing.T) {
	ks, _ := newTest(t, 16)
	told := 0
	ks.SetHooks(Hooks{Evicting: func(int, []byte, *Entry) { told++ }})
	ks.TellEvicting.Store(true)
	ks.SetActiveExpire(false)
	k := MakeKey([]byte("due"))
	tx := newTx(ks)
	h := ks.LockKeys([]Key{k})
	tx.Use(0)
	tx.Now = 1000
	tx.Put(&k, types.TString, types.EncRaw, []byte("v"), 2000)
	tx.Now = 3000
	tx.evict(k.B)
	ks.Unlock(&h)
	if n, _ := ks.Size(0, false); n != 0 || told != 1 {
		t.Errorf("%d keys are left, %d were told of", n, told)
	}
}
