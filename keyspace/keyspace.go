// Package keyspace holds the numbered databases: slots and their tables,
// entries, deadlines, the stripe locks, and the journal of effects.
//
// A stripe is a run of hash slots in every database, with one lock and one
// pair of off-heap arenas. Everything that a stripe holds is read and written
// under its lock. Commands do not lock: the dispatcher calls LockKeys or
// LockAll around them, and they work through a Tx. Only the methods named
// Each..., Scan, Size and the background work (expiry, tidying, freeing) take
// locks themselves, one stripe at a time; none of them may be called with a
// stripe locked.
//
// What changes a value goes through Tx.Put, Tx.Edit, Tx.Delete and their kin,
// which keep the books (sizes, deadlines, snapshot numbers). The
// dispatcher tells the Journal what changed.
package keyspace

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"

	"kvd/lockrank"
	"kvd/types"
	"kvd/types/slab"

	"github.com/tidwall/btree"
)

// Options shape a Keyspace.
type Options struct {
	Databases int // default 16
	Stripes   int // power of two, 0: by the number of cores
}

// Keyspace is all databases of a server.
type Keyspace struct {
	stripes []stripe
	shift   uint // slot >> shift is the stripe

	// dbs never changes its length, so len needs no lock. What stands in it is read
	// with any stripe locked and swapped with all of them locked.
	dbs []*DB

	Journal Journal

	// retired are flushed databases whose entries are being freed. It changes
	// with all stripes locked.
	retired []*DB
	// retiring: retired is not empty. The background asks it before it locks.
	retiring atomic.Bool
	// fresh are databases that are being filled and not served yet; see Fresh.
	// It changes with all stripes locked.
	fresh []*DB

	// snap is the snapshot being written while active.
	snap *Snapshot

	// snapshot is the number of the last snapshot started, and active whether
	// it is still being written. Both change with all stripes locked.
	snapshot uint32
	active   bool

	expiry   expirer
	lazy     lazyFree
	reserved reservations
	hooks    Hooks
	// TellEvicting: the hook Evicting is wanted.
	TellEvicting atomic.Bool
	// observers are told in this order of what changes.
	observers []Observer
	// observed: somebody wants to be told. Set with the stripes locked whose
	// keys are of interest, so that no change after that is missed.
	observed atomic.Bool
	// observedNew: somebody wants Hooks.Created.
	observedNew atomic.Bool
	// observedFields: somebody wants the fields of Hooks.FieldsExpired.
	observedFields atomic.Bool

	// numbered: some entry has a unique number, so that changes have to drop it. It is
	// set with the entry's stripe locked, and stays. numbers is the last number given.
	numbered atomic.Bool
	numbers  atomic.Uint64

	order   keyOrder
	usage   usage
	used    usedDBs
	evictor evictor
	// ahead is how far the data's clock is before the system's, in ns; see Now.
	ahead atomic.Int64
	// care: see careTiming and careUsage. Every lock of a stripe loads it.
	care atomic.Uint32

	Stats Stats
}

// Stats counts what INFO reports. Each is written under some stripe's lock or
// by a background worker, and read at any time.
type Stats struct {
	Expired       atomic.Int64 // keys removed because their time was over
	ExpiredFields atomic.Int64 // fields of hashes, likewise
	Evicted       atomic.Int64 // keys removed because memory was short
	LazyFreed     atomic.Int64 // big values freed in the background
	Contended     atomic.Int64 // stripe locks that had to be waited for
	TidiedBytes   atomic.Int64 // bytes moved to make memory free
	ExpiredAtRead atomic.Int64
	ExpireCycleNs atomic.Int64
	MaxLockHoldNs atomic.Int64 // only while timing is on
}

// Observer is told of changes while Observe is on. Its methods are called with the
// key's stripe locked, must be quick, and must not call back. by is the Tx.By of
// the command that makes the change, nil for an expiry.
type Observer interface {
	// Changed: the value at the key is about to be written, deleted or expired.
	// It is called once for each change.
	Changed(by any, db int, k *Key)
	// Emptied: the whole database is about to be emptied or exchanged (FLUSHDB,
	// SWAPDB); all stripes are locked. there tells whether a key exists in it
	// now, or will.
	Emptied(by any, db int, there func(k *Key) bool)
}

// AddObserver adds an observer behind those that there are. It is called before
// the first command.
func (ks *Keyspace) AddObserver(o Observer) { ks.observers = append(ks.observers, o) }

// emptied tells all observers.
func (ks *Keyspace) emptied(by any, db int, there func(k *Key) bool) {
	for _, o := range ks.observers {
		o.Emptied(by, db, there)
	}
}

// Hooks are what else the rest of the server wants to know. They are called with
// the key's stripe locked, must be quick, and must not call back.
type Hooks struct {
	// Created: a command has put a value at a key that had none. It is called
	// only while ObserveNew is on.
	Created func(db int, key []byte)
	// Expired: the key was removed because its deadline passed. key is valid
	// until the hook returns.
	Expired func(db int, key []byte)
	// FieldsExpired: fields of the hash at the key were removed because their
	// deadlines passed, and with the last of them, if gone, the key. fields are named only
	// while ObserveFields is on, or something is journaled; they may be kept.
	FieldsExpired func(db int, key []byte, fields [][]byte, gone bool)
	// Evicted: the key was removed because memory is short. key is valid until the
	// hook returns.
	Evicted func(db int, key []byte)
	// Evicting, if TellEvicting is set, gets the entry of such a key before that.
	Evicting func(db int, key []byte, e *Entry)
	// Over: the memory in use has passed its limit, or is within it again. It is
	// called with nothing locked.
	Over func(on bool)
	// EvictCycle: so long a batch of evictions held its stripe. It is called with
	// nothing locked.
	EvictCycle func(took time.Duration)
	// ExpireCycle: so long a batch of removals at their deadlines held its
	// stripe. It is called with nothing locked.
	ExpireCycle func(took time.Duration)
}

// DB is one numbered database. SWAPDB exchanges numbers, so a DB knows its
// own only through Keyspace.dbs.
type DB struct {
	shards []shard // by stripe, each under its stripe's lock
	// kept: it was flushed, which may be taken back. It changes with all stripes locked.
	kept bool
	// used: it has, or had, a key. It is set once, with a stripe locked.
	used atomic.Bool
	// snapshot is the last snapshot that began with this database, and inSnapshot its
	// number then. They change with all stripes locked.
	snapshot   uint32
	inSnapshot int
}

// shard is the part of a database that one stripe holds. It is empty until
// its first key.
type shard struct {
	slots     []slot
	occupied  bitset
	keys      int
	bytes     int64 // of the entries, the Objects behind them, and the tables
	deadlines *btree.BTreeG[deadline]
	// fieldDeadlines are the earliest of each hash whose fields have some.
	fieldDeadlines *btree.BTreeG[deadline]
	// order has the keys in order, nil where nobody wants that. While ordering, those from
	// the cursor orderedTo on may be missing.
	order     *types.Order
	orderedTo uint64
	ordering  bool
}

// stripe is a run of slots in every database.
type stripe struct {
	// mu protects all fields, the arenas' memory and the shards of this
	// stripe in every DB. Held for the length of a command; nobody waits for
	// a file, a socket or a channel while holding it. Where several are held,
	// they were taken in ascending order.
	mu lockrank.Mutex[lockrank.Stripe]
	// cared: care was not zero when mu was taken, so unlock has more to do.
	cared   bool
	ks      *Keyspace
	number  int
	entries *slab.Arena
	tables  *slab.Arena
	objects objects
	objMem  int64 // bytes of the Objects, as last noted
	indexed int   // deadlines in all indexes, those of flushed databases included
	ordered int64 // bytes of all orders of keys, likewise
	leaving int64 // what shards of flushed databases take, by shard.used

	// next is the earliest deadline in the stripe (0: none), written under mu
	// and read by the expirer without it.
	next atomic.Int64

	// reserved: a Reservation has this stripe. It changes under mu, and is read also
	// without: who has a Reservation may hold mu for long.
	reserved atomic.Bool
	// busy: a Reservation's user has mu, or is about to take it, and keeps it for long (see
	// LockLong). He sets it before he looks at coming.
	busy atomic.Bool
	// busyAt are the figures of when he took it, for who does not wait for mu.
	busyAt atomic.Pointer[figures]
	// coming counts who is about to wait for mu, and has seen after that that the stripe is
	// not busy. Who takes mu for long lets them go first.
	coming atomic.Int32

	// since is when mu was taken, on the holding thread's CPU clock; only
	// while timing is on.
	since int64

	reported reported
	pool     evictPool
	_        [64]byte // keeps neighbours' locks out of one cache line
}

// New makes an empty keyspace and starts its background work, which Close ends.
func New(o Options) *Keyspace {
	if o.Databases == 0 {
		o.Databases = 16
	}
	if o.Stripes == 0 {
		// Enough that two of many loops seldom meet, few enough that each
		// one's half-filled pages do not add up.
		o.Stripes = max(16, min(256, 1<<bits.Len(uint(8*runtime.NumCPU()-1))))
	}
	ks := &Keyspace{stripes: make([]stripe, o.Stripes), shift: uint(bits.Len(uint(Slots/o.Stripes - 1)))}
	for i := range ks.stripes {
		st := &ks.stripes[i]
		st.ks, st.number = ks, i
		st.entries, st.tables = slab.New(), slab.New()
	}
	for range o.Databases {
		ks.dbs = append(ks.dbs, ks.newDB())
	}
	ks.reserved.init()
	ks.lazy.start()
	ks.expiry.start(ks)
	ks.usage.init()
	ks.evictor.start(ks)
	return ks
}

// Close stops the background work. The contents stay readable.
func (ks *Keyspace) Close() {
	ks.evictor.stop()
	ks.expiry.stop()
	ks.lazy.stop()
}

// SetHooks is called once, before the first command.
func (ks *Keyspace) SetHooks(h Hooks) { ks.hooks = h }

func (ks *Keyspace) newDB() *DB { return &DB{shards: make([]shard, len(ks.stripes))} }

// Databases is the number of databases.
func (ks *Keyspace) Databases() int { return len(ks.dbs) }

// Stripes is the number of stripes.
func (ks *Keyspace) Stripes() int { return len(ks.stripes) }

// snapshotNumber and snapshotActive are read with a stripe locked.
func (ks *Keyspace) snapshotNumber() uint32 { return ks.snapshot }
func (ks *Keyspace) snapshotActive() bool   { return ks.active }

// slotOf is the slot of a key in this shard of a database, made on demand.
func (ks *Keyspace) slotOf(db *DB, sh *shard, number uint16) *slot {
	if sh.slots == nil {
		ks.use(db)
		n := Slots / len(ks.stripes)
		sh.slots = make([]slot, n)
		sh.occupied = make(bitset, (n+63)/64)
	}
	return &sh.slots[int(number)&(1<<ks.shift-1)]
}

// Held is a set of stripes, as a bit for each.
type Held [4]uint64

func (h *Held) add(stripe int) { h[stripe>>6] |= 1 << (stripe & 63) }

// Holds tells whether the stripe of a slot is in the set.
func (ks *Keyspace) Holds(h *Held, slot uint16) bool {
	s := int(slot) >> ks.shift
	return h[s>>6]>>(s&63)&1 == 1
}

// HoldsAll tells whether all stripes are in the set.
func (ks *Keyspace) HoldsAll(h *Held) bool {
	n := 0
	for _, v := range h {
		n += bits.OnesCount64(v)
	}
	return n == len(ks.stripes)
}

// LockKeys locks the stripes of the keys, in ascending order. It waits for the end
// of reservations that have some of them.
func (ks *Keyspace) LockKeys(keys []Key) (h Held) {
	ks.LockKeysInto(keys, &h)
	return h
}

// LockKeysInto is LockKeys that notes them in h, which is empty.
func (ks *Keyspace) LockKeysInto(keys []Key, h *Held) {
	if !ks.AcquireKeys(keys, h) {
		ks.awaitFree(func() bool { return ks.AcquireKeys(keys, h) })
	}
}

// LockAnyway locks the stripe of a slot, and takes no notice of reservations. It is for
// what touches no contents: the lists of clients that wait for keys or watch them.
func (ks *Keyspace) LockAnyway(slot uint16) (h Held) {
	st := &ks.stripes[int(slot)>>ks.shift]
	st.lock()
	h.add(st.number)
	return h
}

// LockAnywaySoon is LockAnyway for who must not wait long: ok is false, with nothing
// locked, where the user of a reservation keeps the stripe for long.
func (ks *Keyspace) LockAnywaySoon(slot uint16) (h Held, ok bool) {
	st := &ks.stripes[int(slot)>>ks.shift]
	if ok = st.lockSoon(); ok {
		h.add(st.number)
	}
	return h, ok
}

// LockAll locks all stripes. It waits for the end of all reservations.
func (ks *Keyspace) LockAll() (h Held) {
	if !ks.AcquireAll(&h) {
		ks.awaitFree(func() bool { return ks.AcquireAll(&h) })
	}
	return h
}

func (ks *Keyspace) lock(h *Held) {
	for w, v := range h {
		for ; v != 0; v &= v - 1 {
			ks.stripes[w<<6+bits.TrailingZeros64(v)].lock()
		}
	}
}

// Unlock unlocks what a Lock call locked.
func (ks *Keyspace) Unlock(h *Held) {
	for w, v := range h {
		for ; v != 0; v &= v - 1 {
			ks.stripes[w<<6+bits.TrailingZeros64(v)].unlock()
		}
	}
	*h = Held{}
}

func (st *stripe) lock() {
	if !st.mu.TryLockAt(st.number) {
		st.ks.Stats.Contended.Add(1)
		st.mu.LockAt(st.number) // spins a little before it parks
	}
	st.begin()
}

// lockSoon is lock for who must not wait long: it is false, with nothing locked, where the
// user of a reservation keeps the lock for long.
func (st *stripe) lockSoon() bool {
	if !st.mu.TryLockAt(st.number) {
		st.ks.Stats.Contended.Add(1)
		st.coming.Add(1)
		if st.busy.Load() {
			st.coming.Add(-1)
			return false
		}
		st.mu.LockAt(st.number)
		st.coming.Add(-1)
	}
	st.begin()
	return true
}

// begin is what follows when the lock is taken.
func (st *stripe) begin() {
	if care := st.ks.care.Load(); care != 0 {
		st.cared = true
		if care&careTiming != 0 {
			runtime.LockOSThread() // the time is the thread's
			st.since = threadCPU()
		}
	}
}

func (st *stripe) unlock() {
	if st.cared {
		st.unlockWithCare()
		return
	}
	st.mu.Unlock()
}

// Bits of Keyspace.care: what is to be done around every lock of a stripe.
const (
	careTiming uint32 = 1 << iota // the time of the lock is measured
	careUsage                     // the change of the memory in use is reported
)

func (ks *Keyspace) setCare(bit uint32, on bool) {
	if on {
		ks.care.Or(bit)
	} else {
		ks.care.And(^bit)
	}
}

// unlockWithCare is unlock with what Keyspace.care asks for.
func (st *stripe) unlockWithCare() {
	ks := st.ks
	st.cared = false
	if st.since != 0 {
		if !st.reserved.Load() { // else nobody waits for the lock: see Reservation
			noteMax(&ks.Stats.MaxLockHoldNs, threadCPU()-st.since)
		}
		st.since = 0
		runtime.UnlockOSThread()
	}
	crossed := ks.care.Load()&careUsage != 0 && st.report(ks.usage.grain.Load())
	st.mu.Unlock()
	if crossed {
		ks.usage.settle(ks)
	}
}

// SetTiming switches the measuring of lock holds (in CPU time) on or off; it
// costs two system calls a lock.
func (ks *Keyspace) SetTiming(on bool) { ks.setCare(careTiming, on) }

// Timing tells whether lock holds are measured.
func (ks *Keyspace) Timing() bool { return ks.care.Load()&careTiming != 0 }

func noteMax(a *atomic.Int64, v int64) {
	for {
		old := a.Load()
		if v <= old || a.CompareAndSwap(old, v) {
			return
		}
	}
}

// Observe has the observers told of changes, or no longer.
func (ks *Keyspace) Observe(on bool) {
	if ks.observed.Load() != on { // every command reads it
		ks.observed.Store(on)
	}
}

// ObserveNew switches the hook Created on or off.
func (ks *Keyspace) ObserveNew(on bool) { ks.observedNew.Store(on) }

// ObserveFields has the hook FieldsExpired name the fields, or no longer.
func (ks *Keyspace) ObserveFields(on bool) { ks.observedFields.Store(on) }

// Size is the number of keys of a database, expired ones that nobody has
// removed yet included. It locks one stripe after another, unless locked says
// that the caller holds them all. Of a stripe that is reserved, and whose lock is held
// for that, it says what was true when that began: nobody waits for so long.
func (ks *Keyspace) Size(db int, locked bool) (keys, volatile int) {
	for i := range ks.stripes {
		st := &ks.stripes[i]
		if !locked && !st.lockSoon() {
			if all := st.busyAt.Load(); db < len(all.dbs) {
				keys, volatile = keys+all.dbs[db].keys, volatile+all.dbs[db].volatile
			}
			continue
		}
		k, v := st.size(db)
		keys, volatile = keys+k, volatile+v
		unused := !ks.dbs[db].used.Load()
		if !locked {
			st.unlock()
		}
		if unused {
			return 0, 0
		}
	}
	return
}

// size is Size of the stripe, which is locked.
func (st *stripe) size(db int) (keys, volatile int) {
	sh := &st.ks.dbs[db].shards[st.number]
	if sh.deadlines != nil {
		volatile = sh.deadlines.Len()
	}
	return sh.keys, volatile
}

// figures are those of a stripe.
type figures struct {
	memory Memory
	dbs    []dbFigures // of the databases up to the last that is used
}

type dbFigures struct {
	keys, volatile int
	bytes          int64
}

// figures are those of the stripe, which is locked.
func (st *stripe) figures() *figures {
	f := &figures{memory: st.memory()}
	for _, n := range st.ks.usedNumbers() {
		for len(f.dbs) <= n {
			f.dbs = append(f.dbs, dbFigures{})
		}
		d := &f.dbs[n]
		d.keys, d.volatile = st.size(n)
		d.bytes = st.ks.dbs[n].shards[st.number].used()
	}
	return f
}

// Bytes is the memory of a database's keys and values, in bytes; see Size.
func (ks *Keyspace) Bytes(db int, locked bool) (n int64) {
	for i := range ks.stripes {
		st := &ks.stripes[i]
		if !locked && !st.lockSoon() {
			if all := st.busyAt.Load(); db < len(all.dbs) {
				n += all.dbs[db].bytes
			}
			continue
		}
		n += ks.dbs[db].shards[i].used()
		if !locked {
			st.unlock()
		}
	}
	return n
}

// MeanDeadline estimates the mean deadline of a database's volatile keys, in
// Unix milliseconds, from a few of each stripe; 0 if there are none. See Size.
func (ks *Keyspace) MeanDeadline(db int, locked bool) int64 {
	const each = 8
	var sum, weight float64
	for i := range ks.stripes {
		st := &ks.stripes[i]
		if !locked && !st.lockSoon() {
			continue // the others must do
		}
		if d := ks.dbs[db].shards[i].deadlines; d != nil && d.Len() > 0 {
			n := d.Len()
			picks := min(n, each)
			for j := range picks {
				// The middle of each of as many equal runs.
				at, _ := d.GetAt((2*j + 1) * n / (2 * picks))
				sum += float64(at.ms()) * float64(n) / float64(picks)
			}
			weight += float64(n)
		}
		if !locked {
			st.unlock()
		}
	}
	if weight == 0 {
		return 0
	}
	return int64(sum / weight)
}

// Memory is what the keyspace takes, in bytes.
type Memory struct {
	Entries int64 // live entries
	Tables  int64 // live tables
	Objects int64 // values behind handles
	Index   int64 // deadlines, and keys in order
	Order   int64 // the latter
	Held    int64 // what the arenas keep from the system
}

// Used is the sum of what is in use.
func (m Memory) Used() int64 { return m.Entries + m.Tables + m.Objects + m.Index }

// deadlineBytes is what an entry of the deadline index takes on average: two
// words in nodes that are two thirds full.
const deadlineBytes = 24

// Memory adds up the stripes, locking one after another; see Size.
func (ks *Keyspace) Memory(locked bool) (m Memory) {
	for i := range ks.stripes {
		st := &ks.stripes[i]
		if !locked && !st.lockSoon() {
			m.add(st.busyAt.Load().memory)
			continue
		}
		m.add(st.memory())
		if !locked {
			st.unlock()
		}
	}
	return
}

func (m *Memory) add(o Memory) {
	m.Entries += o.Entries
	m.Tables += o.Tables
	m.Objects += o.Objects
	m.Index += o.Index
	m.Order += o.Order
	m.Held += o.Held
}

// memory is Memory of the stripe, which is locked.
func (st *stripe) memory() Memory {
	m := Memory{Entries: st.entries.Used(), Tables: st.tables.Used(), Held: st.entries.Held() + st.tables.Held(),
		Objects: st.objMem, Order: st.ordered, Index: st.ordered}
	for _, n := range st.ks.usedNumbers() {
		sh := &st.ks.dbs[n].shards[st.number]
		for _, d := range [...]*btree.BTreeG[deadline]{sh.deadlines, sh.fieldDeadlines} {
			if d != nil {
				m.Index += int64(d.Len()) * deadlineBytes
			}
		}
	}
	return m
}

// HasFieldDeadlines tells whether any field of any hash has a deadline. All
// stripes are locked.
func (ks *Keyspace) HasFieldDeadlines() bool {
	for _, n := range ks.usedNumbers() {
		db := ks.dbs[n]
		for i := range db.shards {
			if d := db.shards[i].fieldDeadlines; d != nil && d.Len() > 0 {
				return true
			}
		}
	}
	return false
}

// lazyFree gives back big Objects bit by bit, away from any lock.
type lazyFree struct {
	mu      lockrank.Mutex[lockrank.LazyFree] // protects queue and closed
	queue   []types.Object
	closed  bool
	wake    chan struct{}
	done    chan struct{}
	pending atomic.Int64
}

func (z *lazyFree) start() {
	z.wake = make(chan struct{}, 1)
	z.done = make(chan struct{})
	go z.run()
}

func (z *lazyFree) stop() {
	z.mu.Lock()
	z.closed = true
	z.mu.Unlock()
	z.signal()
	<-z.done
}

func (z *lazyFree) signal() {
	select {
	case z.wake <- struct{}{}:
	default:
	}
}

func (z *lazyFree) add(o types.Object) {
	z.pending.Add(1)
	z.mu.Lock()
	z.queue = append(z.queue, o)
	z.mu.Unlock()
	z.signal()
}

func (z *lazyFree) run() {
	defer close(z.done)
	for range z.wake {
		for {
			z.mu.Lock()
			queue, closed := z.queue, z.closed
			z.queue = nil
			z.mu.Unlock()
			if len(queue) == 0 {
				if closed {
					return
				}
				break
			}
			for _, o := range queue {
				for !o.Free(1 << 20) {
					runtime.Gosched()
				}
				z.pending.Add(-1)
			}
		}
	}
}

// LazyPending is the number of big values waiting to be freed.
func (ks *Keyspace) LazyPending() int64 { return ks.lazy.pending.Load() }
