package keyspace

import (
	"math"
	"sync/atomic"
	"testing"
	"time"

	"kvd/types"
)

// TestReservationHolds: where the lock of a reserved stripe is held for long, nobody waits for it who only adds up, looks
// for keys that may go, or can come again; nor who waited for the lock before.
func TestReservationHolds(t *testing.T) {
	ks := New(Options{Databases: 1, Stripes: 16})
	defer ks.Close()
	mine, other := MakeKey([]byte("a")), MakeKey([]byte("b"))
	var all Held
	ks.LockKeysInto([]Key{mine, other}, &all)
	tx := ks.NewTx()
	tx.Use(0)
	tx.Put(&mine, types.TString, types.EncRaw, []byte("v"), 0)
	tx.Put(&other, types.TString, types.EncRaw, []byte("v"), time.Now().UnixMilli()+1000_000)
	ks.Unlock(&all)
	wantMemory, wantBytes := ks.Memory(false).Used(), ks.Bytes(0, false)
	h := ks.LockKeys([]Key{mine})
	const waiters = 20
	done := make(chan bool, 2*waiters)
	st := &ks.stripes[int(mine.Slot)>>ks.shift]
	for range waiters {
		go func() {
			var h Held
			if ks.AcquireKeys([]Key{mine}, &h) {
				ks.Unlock(&h)
			}
			done <- true
		}()
		go func() { ks.Size(0, false); done <- true }()
	}
	for st.coming.Load() < 2*waiters {
		time.Sleep(time.Millisecond)
	}
	r := ks.Reserve(&h)
	r.LockLong(&h)
	ended := time.AfterFunc(20*time.Second, func() { panic("somebody waits for the lock") })
	for range 2 * waiters {
		<-done
	}
	tx.Use(0)
	tx.Delete(&mine) // it is of that moment what is told
	looked := make(chan bool)
	go func() { // who holds stripes must not look
		defer close(looked)
		if n, v := ks.Size(0, false); n != 2 || v != 1 {
			t.Errorf("Size says %d and %d", n, v)
		}
		if n := ks.Memory(false).Used(); n != wantMemory {
			t.Errorf("Memory says %d, not %d", n, wantMemory)
		}
		if n := ks.Bytes(0, false); n != wantBytes {
			t.Errorf("Bytes says %d, not %d", n, wantBytes)
		}
		if ks.MeanDeadline(0, false) == 0 {
			t.Error("MeanDeadline knows of no deadline")
		}
		for _, keys := range [][]Key{{mine}, {mine, other}, {other, mine}} {
			var h Held
			if ks.AcquireKeys(keys, &h) || h != (Held{}) {
				t.Error("a reserved stripe was acquired")
			}
		}
	}()
	<-looked
	ended.Stop()
	r.EndLocked(&h)
	ks.Unlock(&h)
	if n, _ := ks.Size(0, false); n != 1 {
		t.Errorf("Size says %d after the end", n)
	}
}

// TestReservation: reserved stripes are refused to AcquireKeys, waited for by
// LockKeys and LockAll, and their keys do not expire; others go on.
func TestReservation(t *testing.T) {
	ks := New(Options{Databases: 1, Stripes: 16})
	defer ks.Close()
	mine, other := MakeKey([]byte("a")), MakeKey([]byte("b"))
	if mine.Slot>>ks.shift == other.Slot>>ks.shift {
		t.Fatal("both keys are in one stripe")
	}
	h := ks.LockKeys([]Key{mine})
	tx := ks.NewTx()
	tx.Use(0)
	tx.Now = time.Now().UnixMilli()
	tx.Put(&mine, types.TString, types.EncRaw, []byte("v"), tx.Now+20)
	r := ks.Reserve(&h)
	if !ks.Reserved() || h != (Held{}) {
		t.Fatal("Reserve let the locks be")
	}
	for _, keys := range [][]Key{{mine}, {mine, other}, {other, mine}} {
		if ks.AcquireKeys(keys, &h) || h != (Held{}) {
			t.Fatal("a reserved stripe was acquired")
		}
	}
	if ks.AcquireAll(&h) || h != (Held{}) {
		t.Fatal("all stripes were acquired beside a reservation")
	}
	if !ks.AcquireKeys([]Key{other}, &h) {
		t.Fatal("a free stripe was refused")
	}
	ks.Unlock(&h)
	var in atomic.Int32
	done := make(chan bool, 2)
	go func() { h := ks.LockKeys([]Key{other, mine}); in.Add(1); ks.Unlock(&h); done <- true }()
	go func() { h := ks.LockAll(); in.Add(1); ks.Unlock(&h); done <- true }()
	time.Sleep(60 * time.Millisecond)
	if in.Load() != 0 {
		t.Fatal("a reserved stripe was locked")
	}
	r.Lock([]Key{mine}, &h)
	if n := tx.db.shards[int(mine.Slot)>>ks.shift].keys; n != 1 {
		t.Error("the expirer removed a key of a reserved stripe")
	}
	ks.Unlock(&h)
	r.End(&h)
	ks.Unlock(&h)
	for range 2 {
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			t.Fatal("the end of a reservation woke nobody")
		}
	}
	for end := time.Now().Add(30 * time.Second); ; {
		if n, _ := ks.Size(0, false); n == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the key is not removed after the reservation")
		}
		time.Sleep(time.Millisecond)
	}
	if ks.Reserved() {
		t.Error("a reservation is left")
	}
}

// TestLongHolds: while somebody keeps the stripe that has most to gain from being moved
// together, no key goes in its stead; and what waits for a stripe does not run meanwhile.
func TestLongHolds(t *testing.T) {
	ks := New(Options{Databases: 1, Stripes: 16})
	defer ks.Close()
	ks.SetActiveExpire(false)
	tx := ks.NewTx()
	tx.Use(0)
	// Every second of many entries goes, so that pages are half empty.
	keys := make([]Key, 4000)
	for i := range keys {
		keys[i] = MakeKey(append([]byte("{a}"), byte(i), byte(i>>8)))
	}
	h := ks.LockKeys(keys[:1])
	for i := range keys {
		tx.Put(&keys[i], types.TString, types.EncRaw, make([]byte, 500), 0)
	}
	for i := 0; i < len(keys); i += 2 {
		tx.Delete(&keys[i])
	}
	ks.stripes[int(keys[0].Slot)>>ks.shift].reported.loose.Store(1 << 20)
	r := ks.Reserve(&h)
	r.LockLong(&h)
	looked := make(chan bool)
	go func() { // who holds stripes must not look
		defer close(looked)
		if gained, looked := ks.tidySparsest(); gained || looked {
			t.Errorf("a stripe that is kept is tidied: %v, %v", gained, looked)
		}
		if ks.tidy() {
			t.Error("a stripe that is kept is tidied")
		}
	}()
	select {
	case <-looked:
	case <-time.After(20 * time.Second):
		t.Fatal("somebody waits for a stripe that is kept")
	}
	r.EndLocked(&h)
	ks.Unlock(&h)
	// A reservation whose user holds the lock for moments only is waited for.
	h = ks.LockKeys(keys[:1])
	r = ks.Reserve(&h)
	held := make(chan bool)
	go func() {
		var h Held
		r.LockAll(&h)
		close(held)
		time.Sleep(20 * time.Millisecond)
		ks.Unlock(&h)
	}()
	<-held
	if n, _ := ks.Size(0, false); n != len(keys)/2 {
		t.Errorf("Size says %d", n)
	}
	r.Lock(keys[1:2], &h)
	tx.Delete(&keys[1])
	ks.Unlock(&h)
	if n, _ := ks.Size(0, false); n != len(keys)/2-1 {
		t.Errorf("Size says %d: not what is there", n)
	}
	var end Held
	r.End(&end)
	ks.Unlock(&end)
}

// TestExpirerSleepsBesideReservations: a due key of a reserved stripe is no reason to wake,
// whether the stripe is kept or not; the end of the reservation is.
func TestExpirerSleepsBesideReservations(t *testing.T) {
	ks := New(Options{Databases: 1, Stripes: 16})
	defer ks.Close()
	k := MakeKey([]byte("a"))
	h := ks.LockKeys([]Key{k})
	tx := ks.NewTx()
	tx.Use(0)
	tx.Now = time.Now().UnixMilli()
	tx.Put(&k, types.TString, types.EncRaw, []byte("v"), tx.Now+1)
	r := ks.Reserve(&h)
	x := expirer{ks: ks} // not the one that runs
	for _, kept := range []bool{false, true} {
		if kept {
			r.LockLong(&h)
		}
		if at := x.wakeBy(x.expireDue(ks.NewTx(), tx.Now+1000)); at != math.MaxInt64 {
			t.Errorf("kept %v: it wakes in %d ms", kept, at-tx.Now)
		}
	}
	r.EndLocked(&h)
	ks.Unlock(&h)
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		if n, _ := ks.Size(0, false); n == 0 {
			break
		} else if time.Since(began) > 20*time.Second {
			t.Fatal("the key does not expire")
		}
	}
}
