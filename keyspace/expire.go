package keyspace

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"kvd/types/slab"

	"github.com/tidwall/btree"
)

// A deadline stands in its shard's index, ordered by time. The key is found
// again by slot and hash, so an entry may move without touching the index.
type deadline struct {
	at   uint64 // milliseconds << 14 | slot; a time past 2^50 counts as 2^50
	hash uint64
}

const slotBits = 14

func deadlineOf(ms int64, slot uint16, hash uint64) deadline {
	ms = min(max(ms, 0), 1<<50-1)
	return deadline{uint64(ms)<<slotBits | uint64(slot), hash}
}

func (d deadline) ms() int64    { return int64(d.at >> slotBits) }
func (d deadline) slot() uint16 { return uint16(d.at & (Slots - 1)) }

func lessDeadline(a, b deadline) bool {
	return a.at < b.at || a.at == b.at && a.hash < b.hash
}

// reindex moves a key in the index from one deadline to another; 0 is none.
func (t *Tx) reindex(sh *shard, st *stripe, k *Key, from, to int64) {
	if sh.deadlines == nil {
		sh.deadlines = btree.NewBTreeGOptions(lessDeadline, btree.Options{NoLocks: true})
	}
	if from != 0 {
		sh.deadlines.Delete(deadlineOf(from, k.Slot, k.Hash))
	}
	if to != 0 {
		d := deadlineOf(to, k.Slot, k.Hash)
		sh.deadlines.Set(d)
		if next := st.next.Load(); next == 0 || d.ms() < next {
			st.next.Store(d.ms())
			t.ks.expiry.notice(d.ms())
		}
	}
}

// expirer removes keys when their deadline comes: one goroutine that sleeps
// until the earliest deadline of all stripes and then takes each stripe for a
// few keys at a time.
type expirer struct {
	ks     *Keyspace
	wakeAt atomic.Int64 // when it will wake by itself, Unix ms
	wake   chan struct{}
	done   chan struct{}
	off    atomic.Bool // DEBUG SET-ACTIVE-EXPIRE 0, or a follower
	closed atomic.Bool
}

// expireBatch is the number of keys that are removed without letting go of
// the stripe: some 25 us.
const expireBatch = 16

func (x *expirer) start(ks *Keyspace) {
	x.ks = ks
	x.wake = make(chan struct{}, 1)
	x.done = make(chan struct{})
	x.wakeAt.Store(math.MaxInt64)
	go x.run()
}

func (x *expirer) stop() {
	x.closed.Store(true)
	x.signal()
	<-x.done
}

func (x *expirer) signal() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// notice is called when a deadline has become the earliest of its stripe.
func (x *expirer) notice(ms int64) {
	if ms < x.wakeAt.Load() {
		x.signal()
	}
}

// SetActiveExpire switches the removal of expired keys at their deadline on or
// off; without it a key goes when it is next looked at.
func (ks *Keyspace) SetActiveExpire(on bool) {
	ks.expiry.off.Store(!on)
	ks.expiry.signal()
}

// tidyEvery is how often the stripes are looked over for memory to give back.
const tidyEvery = 100 * time.Millisecond

func (x *expirer) run() {
	defer close(x.done)
	timer := time.NewTimer(time.Hour)
	tx := x.ks.NewTx()
	var tidied time.Time
	for !x.closed.Load() {
		now := time.Now()
		earliest := int64(math.MaxInt64)
		if !x.off.Load() {
			earliest = x.expireDue(tx, now.UnixMilli())
		}
		x.wakeAt.Store(earliest)
		// A deadline that came in between has seen the old wakeAt.
		for i := range x.ks.stripes {
			if n := x.ks.stripes[i].next.Load(); n != 0 && n < earliest && !x.off.Load() {
				earliest = n
			}
		}
		sleep := time.Hour
		if earliest != math.MaxInt64 {
			sleep = time.Until(time.UnixMilli(earliest))
		}
		if time.Since(tidied) >= tidyEvery {
			tidied = time.Now()
			if x.ks.tidy() {
				sleep = min(sleep, tidyEvery)
			} else {
				sleep = min(sleep, 10*tidyEvery)
			}
		} else {
			sleep = min(sleep, tidyEvery)
		}
		if sleep <= 0 {
			continue
		}
		timer.Reset(sleep)
		select {
		case <-timer.C:
		case <-x.wake:
		}
	}
}

// expireDue removes what is due and returns the earliest deadline left.
func (x *expirer) expireDue(tx *Tx, now int64) int64 {
	earliest := int64(math.MaxInt64)
	for again := true; again; {
		again = false
		earliest = math.MaxInt64
		for i := range x.ks.stripes {
			st := &x.ks.stripes[i]
			n := st.next.Load()
			if n == 0 {
				continue
			}
			if n <= now && !x.off.Load() {
				st.lock()
				tx.Now = now
				n = st.expireSome(tx, expireBatch)
				st.unlock()
				if n != 0 && n <= now {
					again = true
				}
			}
			if n != 0 && n < earliest {
				earliest = n
			}
		}
		if again {
			runtime.Gosched()
		}
	}
	return earliest
}

// expireSome removes at most n due keys and returns the stripe's earliest
// deadline then (0: none).
func (st *stripe) expireSome(tx *Tx, n int) int64 {
	next := int64(0)
	for db := range st.ks.dbs {
		d := st.ks.dbs[db].shards[st.number].deadlines
		if d == nil {
			continue
		}
		tx.Use(db)
		for n > 0 {
			first, ok := d.Min()
			if !ok || first.ms() > tx.Now {
				break
			}
			n--
			if key := st.byHash(tx.db, first); key != nil {
				k := MakeKey(key)
				tx.expire(&k)
			} else {
				d.Delete(first)
			}
		}
		if first, ok := d.Min(); ok && (next == 0 || first.ms() < next) {
			next = first.ms()
		}
	}
	st.next.Store(next)
	return next
}

// byHash finds the key that an index item stands for, nil if it is gone.
func (st *stripe) byHash(db *DB, d deadline) []byte {
	sh := &db.shards[st.number]
	if sh.slots == nil {
		return nil
	}
	sl := &sh.slots[int(d.slot())&(1<<st.ks.shift-1)]
	seg, ok := st.segmentOf(sl, d.hash)
	if !ok {
		return nil
	}
	tag := d.hash >> tagShift
	refs := seg.refs()
	for i := home(tag, seg.depth(), seg.homes()); i < len(refs) && refs[i] != 0; i++ {
		if refs[i]>>tagShift > tag {
			break
		}
		if refs[i]>>tagShift != tag {
			continue
		}
		e := st.entryAt(slab.Loc(refs[i] & locMask))
		if deadlineOf(e.Deadline(), d.slot(), d.hash) == d && MakeKey(e.Key()).Hash == d.hash {
			return e.Key()
		}
	}
	return nil
}
