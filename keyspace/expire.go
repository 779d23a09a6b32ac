package keyspace

import (
	"math"
	"math/bits"
	"runtime"
	"slices"
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

// reindex moves a key in an index of its shard from one deadline to another; 0
// is none.
func (t *Tx) reindex(index **btree.BTreeG[deadline], st *stripe, k *Key, from, to int64) {
	if *index == nil {
		*index = btree.NewBTreeGOptions(lessDeadline, btree.Options{NoLocks: true})
	}
	if from != 0 {
		if _, there := (*index).Delete(deadlineOf(from, k.Slot, k.Hash)); there {
			st.indexed--
		}
	}
	if to != 0 {
		d := deadlineOf(to, k.Slot, k.Hash)
		if _, there := (*index).Set(d); !there {
			st.indexed++
		}
		if ttl := st.pool.ttl.Load(); ttl == 0 || d.ms() < ttl {
			st.pool.ttl.Store(d.ms())
		}
		if next := st.next.Load(); next == 0 || d.ms() < next {
			st.next.Store(d.ms())
			t.ks.expiry.notice(d.ms())
		}
	}
}

// expirer removes keys, and fields of hashes, when their deadline comes: one goroutine that sleeps
// until the earliest deadline of all stripes and then takes each stripe for a
// few of them at a time.
type expirer struct {
	ks     *Keyspace
	wakeAt atomic.Int64 // when it is to wake, Unix ms; while it is behind, the earliest deadline
	wake   chan struct{}
	done   chan struct{}
	off    atomic.Bool // DEBUG SET-ACTIVE-EXPIRE 0, or a follower
	closed atomic.Bool
}

const (
	// expireBatch is the number of keys and fields that are removed without
	// letting go of the stripe: some 30 us.
	expireBatch = 32
	// expirePause is the rest after a batch of each stripe; a million keys with
	// one deadline are gone in less than two seconds all the same.
	expirePause = 300 * time.Microsecond
	// expireHurry is how old, in milliseconds, a backlog may grow before there
	// are no more pauses.
	expireHurry = 1100
	// expireRounds is the number of rounds over all stripes, so many keys of each,
	// before the rest of the background's work has its turn.
	expireRounds = 64
	// assistAge is how old, in milliseconds, the backlog of a stripe is when commands
	// begin to remove it themselves. The background does not come to it then.
	assistAge = 50
	// assistKeys is how many keys and fields each command removes then. It is more
	// than a command adds, so what is due does not pile up.
	assistKeys = 4
)

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
		x.wakeAt.Store(ms)
		x.signal()
	}
}

// ExpiryLate tells whether the background is so far behind at this moment (Unix
// ms) that commands should Assist.
func (ks *Keyspace) ExpiryLate(now int64) bool {
	return ks.expiry.wakeAt.Load() < now-assistAge && !ks.expiry.off.Load()
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
	// It keeps the normal priority: it locks stripes, and a command that waits for one
	// must not wait for a thread that the system passes over.
	timer := time.NewTimer(time.Hour)
	var flushed freeing
	tx := x.ks.NewTx()
	var tidied time.Time
	for !x.closed.Load() {
		now := x.ks.Now()
		earliest := int64(math.MaxInt64)
		if !x.off.Load() {
			earliest = x.expireDue(tx, now.UnixMilli())
		}
		earliest = x.wakeBy(earliest)
		sleep := time.Hour
		if earliest != math.MaxInt64 {
			sleep = x.ks.Until(earliest)
		}
		if x.ks.freeRetired(&flushed) {
			sleep = min(sleep, expirePause)
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

// wakeBy notes that the expirer wakes at the earliest deadline, or at one that came in between
// and has seen the old wakeAt, and returns it.
func (x *expirer) wakeBy(earliest int64) int64 {
	x.wakeAt.Store(earliest)
	for i := range x.ks.stripes {
		// Of a reserved stripe nothing goes by itself, and the end of that wakes the expirer.
		if n := x.ks.stripes[i].next.Load(); n != 0 && n < earliest && !x.off.Load() && !x.ks.stripes[i].reserved.Load() {
			earliest = n
			x.wakeAt.Store(n)
		}
	}
	return earliest
}

// expireDue removes what is due, if that is not too much for one turn, and
// returns the earliest deadline left.
func (x *expirer) expireDue(tx *Tx, now int64) int64 {
	earliest := int64(math.MaxInt64)
	again := true
	for round := 0; again && round < expireRounds; round++ {
		again = false
		earliest = math.MaxInt64
		for i := range x.ks.stripes {
			st := &x.ks.stripes[i]
			n := st.next.Load()
			if n == 0 {
				continue
			}
			if n <= now && !x.off.Load() {
				if !st.lockSoon() {
					continue // as below
				}
				if x.off.Load() { // SetActiveExpire(false) relies on this look under the lock
					st.unlock()
					return math.MaxInt64
				}
				if st.reserved.Load() { // its user looks itself, and the end of it wakes the expirer
					st.unlock()
					continue
				}
				began := time.Now()
				tx.Now = now
				n = st.expireSome(tx, expireBatch)
				st.unlock()
				took := time.Since(began)
				x.ks.Stats.ExpireCycleNs.Add(int64(took))
				if x.ks.hooks.ExpireCycle != nil {
					x.ks.hooks.ExpireCycle(took)
				}
				if n != 0 && n <= now {
					again = true
				}
			}
			if n != 0 && n < earliest {
				earliest = n
			}
		}
		if again {
			// Many keys at once: leave the processor to the clients in between,
			// unless the backlog grows old.
			if x.ks.Now().UnixMilli()-now < expireHurry {
				time.Sleep(expirePause)
			} else {
				runtime.Gosched()
			}
		}
	}
	return earliest
}

// assist removes some of what is due in the stripe, if it has been for long. The
// caller, a command, holds the stripe. A tx's database is another then.
func (st *stripe) assist(tx *Tx) {
	n := st.next.Load()
	if n == 0 || n > tx.Now-assistAge || st.reserved.Load() || st.ks.expiry.off.Load() {
		return
	}
	st.expireSome(tx, assistKeys)
}

// Assist removes some of what has long been due in the stripes of h, which the
// caller holds. That commands do this is the least pace of expiry: where they
// keep the background from running, each of them does a part of its work.
func (ks *Keyspace) Assist(h *Held, tx *Tx) {
	for w, v := range h {
		for ; v != 0; v &= v - 1 {
			ks.stripes[w<<6+bits.TrailingZeros64(v)].assist(tx)
		}
	}
}

// expireSome removes at most n due keys and fields and returns the stripe's
// earliest deadline then (0: none).
func (st *stripe) expireSome(tx *Tx, n int) int64 {
	for _, db := range st.ks.usedNumbers() {
		sh := &st.ks.dbs[db].shards[st.number]
		tx.Use(db)
		n = st.expireIndex(tx, sh.deadlines, n, func(key []byte, _ int) int {
			tx.due = MakeKey(key)
			tx.expire(&tx.due)
			return 1
		}, false)
		n = st.expireIndex(tx, sh.fieldDeadlines, n, func(key []byte, limit int) int {
			k := MakeKey(slices.Clone(key)) // the entry may move
			return tx.expireFields(&k, limit)
		}, true)
	}
	st.noteNext()
	return st.next.Load()
}

// expireIndex calls expire for the keys of an index that are due, with what is
// left of n; it returns how many of them it removed. fields says which deadline
// of an entry the index is of. What is left of n is returned.
func (st *stripe) expireIndex(tx *Tx, d *btree.BTreeG[deadline], n int, expire func(key []byte, limit int) int, fields bool) int {
	if d == nil {
		return n
	}
	st.prefetchDue(tx.db, d, tx.Now, n)
	for n > 0 {
		first, ok := d.Min()
		if !ok || first.ms() > tx.Now {
			break
		}
		if key := st.byHash(tx.db, first, fields); key != nil {
			n -= max(1, expire(key, n))
		} else {
			if _, there := d.Delete(first); there {
				st.indexed--
			}
			n--
		}
	}
	return n
}

// byHash finds the key that an index item stands for, nil if it is gone.
func (st *stripe) byHash(db *DB, d deadline, fields bool) []byte {
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
		var e Entry
		st.readEntry(slab.Loc(refs[i]&locMask), &e)
		ms := e.Deadline()
		if fields {
			ms = e.FieldDeadline()
		}
		if deadlineOf(ms, d.slot(), d.hash) == d && MakeKey(e.Key()).Hash == d.hash {
			return e.Key()
		}
	}
	return nil
}
