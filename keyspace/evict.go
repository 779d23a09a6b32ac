package keyspace

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"kvd/types/slab"

	"github.com/tidwall/btree"
)

// Eviction removes keys while more memory is in use than a limit allows. A stripe
// is taken for some keys at a time: by one goroutine, and by commands that want
// memory, before they lock their own keys. So what one stripe's writers need may
// lie in another, and writers do not outrun the goroutine.
//
// Which key goes: a few keys are drawn at random, and the worst of all that were
// drawn lately goes, as in Redis. What is worse says the policy. Among least
// recently used keys a key that was asked for more often stays longer: two bits
// of an entry count accesses (Entry.uses), and each time that an entry is drawn
// one is taken off, as the hand of a clock does. So keys that are read once, by a
// scan or a loop, do not push out those that are used (docs/design/eviction.md).

// EvictKind is what makes a key worse than another.
type EvictKind uint8

// The kinds of policies.
const (
	EvictNothing EvictKind = iota
	EvictLRU               // used least recently
	EvictLFU               // used least often
	EvictLRM               // modified least recently
	EvictTTL               // the nearest deadline
	EvictRandom
)

// EvictPolicy says which keys go.
type EvictPolicy struct {
	Kind     EvictKind
	Volatile bool // only keys with a deadline
	Samples  int  // keys drawn for each that goes
	// Frequency is the counter of an LFU clock as it stands at a moment (Unix ms).
	Frequency func(clock uint32, now int64) uint32
	Unlink    bool // the journal says UNLINK in place of DEL
	// Allowed tells whether keys may go now: nobody else decides what there is, as a
	// leader does.
	Allowed func() bool
}

const (
	// evictBatch is the number of keys that go without letting go of the stripe.
	evictBatch = 32
	// evictPart is the part of a stripe's keys, one in so many, that go at most at a time.
	evictPart = 128
	// evictHold is the longest time for which a stripe is held for that, if its keys
	// take so long.
	evictHold = 200 * time.Microsecond
	// evictPause is the rest after a round of batches, so that others get the processor.
	evictPause = 100 * time.Microsecond
	// evictRetry is when it is tried again after nothing could go.
	evictRetry = 100 * time.Millisecond
	// poolSize is the number of candidates that a stripe remembers.
	poolSize = 16
)

// evictor is the goroutine, and what it has in common with commands that help.
type evictor struct {
	ks     *Keyspace
	policy atomic.Pointer[EvictPolicy]
	wake   chan struct{}
	done   chan struct{}
	closed atomic.Bool
}

// evictPool is a stripe's state of eviction, under its lock.
type evictPool struct {
	rng  uint64
	n    int
	cand [poolSize]candidate // the worst comes last
	locs [32]slab.Loc        // memory for draw
	// worst is the score of the worst candidate, 0: nobody knows. It is written under the
	// lock and read without it.
	worst atomic.Uint64
	// ttl is not later than the earliest deadline of a key in the stripe; 0: there was
	// none. It is written under the lock and read without it.
	ttl atomic.Int64
}

// candidate is a key that may go. Its entry may have moved or gone since.
type candidate struct {
	score uint64 // the higher the worse
	hash  uint64
	stamp uint32 // what was seen of clock and uses
	slot  uint16
	db    int32
}

func (v *evictor) start(ks *Keyspace) {
	v.ks = ks
	v.policy.Store(&EvictPolicy{})
	v.wake = make(chan struct{}, 1)
	v.done = make(chan struct{})
	go v.run()
}

func (v *evictor) stop() {
	v.closed.Store(true)
	v.signal()
	<-v.done
}

func (v *evictor) signal() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// SetEviction says which keys go from now on.
func (ks *Keyspace) SetEviction(p EvictPolicy) {
	ks.evictor.policy.Store(&p)
	ks.evictor.signal()
}

// Evictable tells whether keys go at all by the policy.
func (ks *Keyspace) Evictable() bool { return ks.evictor.policy.Load().Kind != EvictNothing }

func (v *evictor) run() {
	defer close(v.done)
	tx := v.ks.NewTx()
	timer := time.NewTimer(time.Hour)
	for !v.closed.Load() {
		wait := time.Hour
		if v.ks.Over() {
			wait = evictRetry
			tx.Now = v.ks.Now().UnixMilli()
			switch v.ks.Evict(tx, -1, time.Millisecond) {
			case EvictMore:
				wait = evictPause
				if v.ks.Sparse() && !v.ks.Evictable() {
					wait = evictRetry
				}
			case EvictEnough:
				wait = 0
			}
		}
		if wait == 0 {
			continue
		}
		if wait == evictPause { // a timer takes too long
			runtime.Gosched()
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-v.wake:
		}
	}
}

// EvictResult is what an Evict has led to.
type EvictResult uint8

// The results.
const (
	EvictEnough EvictResult = iota // the memory is within its limit
	EvictMore                      // the time is over, and there is more to do
	EvictNone                      // nothing is left that may go
	EvictLater                     // a stripe is to be looked at that somebody keeps for long
)

// Evict removes keys for as long as most at most, or until the memory is within its
// limits; only those of a database, and of the whole, if db is not negative. Nothing
// is locked by the caller; tx is for its own use.
func (ks *Keyspace) Evict(tx *Tx, db int, most time.Duration) EvictResult {
	p := ks.evictor.policy.Load()
	u := &ks.usage
	began := time.Now()
	for idle, next, dense := 0, 0, false; ; {
		need, from := u.excess()
		if sparse := u.sparse(); need <= 0 && sparse > 0 {
			if !dense {
				gained, looked := ks.tidySparsest()
				if !looked { // no reason to evict
					return EvictLater
				}
				if dense = !gained; time.Since(began) > most {
					return EvictMore
				}
				continue
			}
			// Nothing can be moved together, but there is too much all the same.
			if p.Kind == EvictNothing || ks.retiring.Load() {
				return EvictMore
			}
			need = sparse
			dense = false
		}
		if db >= 0 && from >= 0 && from != db {
			if !ks.OverIn(db) {
				return EvictEnough
			}
			from, need = db, 1
		}
		if need <= 0 {
			u.settle(ks)
			return EvictEnough
		}
		if p.Kind == EvictNothing || p.Allowed != nil && !p.Allowed() {
			return EvictNone
		}
		if idle == 0 {
			next = ks.chooseStripe(p, tx)
		} else {
			next = (next + 1) % len(ks.stripes)
		}
		st := &ks.stripes[next]
		n := 0
		held := time.Now()
		if st.lockSoon() {
			if !st.reserved.Load() {
				n = st.evictSome(tx, p, from, need)
			}
			st.unlock()
		}
		if n > 0 && ks.hooks.EvictCycle != nil {
			ks.hooks.EvictCycle(time.Since(held))
		}
		if n > 0 {
			idle = 0
		} else if idle++; idle >= len(ks.stripes) {
			return EvictNone
		}
		if time.Since(began) > most {
			return EvictMore
		}
	}
}

// tidySparsest moves entries of the stripe that loses most in half-empty pages together,
// and gives pages back. looked is false where its lock cannot be had soon; gained is false
// where there was nothing to gain.
func (ks *Keyspace) tidySparsest() (gained, looked bool) {
	st, lost := &ks.stripes[0], int64(math.MinInt64)
	for i := range ks.stripes {
		if n := ks.stripes[i].reported.loose.Load(); n > lost {
			st, lost = &ks.stripes[i], n
		}
	}
	if !st.lockSoon() {
		return false, false
	}
	defer st.unlock()
	before := st.kept()
	more := st.entries.Tidy(tidyBytes, st.moved)
	if st.tables.Release(4, 4) {
		more = true
	}
	return more || st.kept() < before, true
}

// chooseStripe is where to look for keys first: where the nearest deadline is, or of
// some stripes at random, by what they hold, where the worst candidate is.
func (ks *Keyspace) chooseStripe(p *EvictPolicy, tx *Tx) int {
	if p.Kind == EvictTTL {
		best, at := 0, int64(0)
		for i := range ks.stripes {
			if t := ks.stripes[i].pool.ttl.Load(); t != 0 && (at == 0 || t < at) {
				best, at = i, t
			}
		}
		return best
	}
	if tx.rng == 0 {
		tx.rng = uint64(time.Now().UnixNano()) | 1
	}
	best, worst := 0, uint64(0)
	for range chooseOf {
		r := int64(random(&tx.rng) >> 1 % uint64(max(1, ks.usage.used.Load())))
		for i := range ks.stripes {
			if r -= ks.stripes[i].reported.used.Load(); r >= 0 {
				continue
			}
			w := ks.stripes[i].pool.worst.Load()
			if w == 0 {
				return i
			}
			if w > worst {
				best, worst = i, w
			}
			break
		}
	}
	return best
}

// chooseOf is how many stripes are drawn, by what they hold, for the one with the
// worst candidate.
const chooseOf = 4

// random is the next number of a xorshift generator (Marsaglia 2003).
func random(s *uint64) uint64 {
	x := *s
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	*s = x
	return x
}

// evictSome removes keys until need bytes are free, or it has taken long enough. db
// is the only database whose keys go, if it is not negative. It returns their number.
func (st *stripe) evictSome(tx *Tx, p *EvictPolicy, db int, need int64) (n int) {
	began := time.Now()
	had := st.used()
	if st.pool.rng == 0 {
		st.pool.rng = uint64(began.UnixNano())*2654435761 | 1
	}
	keys := 0
	for _, num := range st.ks.usedNumbers() {
		keys += st.ks.dbs[num].shards[st.number].keys
	}
	// From a stripe with few keys few go at a time: others may have worse ones.
	for most := min(max(keys/evictPart, 1), evictBatch); n < most && st.evictOne(tx, p, db); {
		n++
		if had-st.used() >= need || n%4 == 0 && time.Since(began) > evictHold {
			break
		}
		if p.Kind == EvictTTL && st.ks.chooseStripe(p, tx) != st.number {
			break
		}
	}
	if o := &st.pool; o.n > 0 {
		o.worst.Store(o.cand[o.n-1].score | 1)
	} else {
		o.worst.Store(0)
	}
	return n
}

// evictOne removes one key; false: there is none that may go.
func (st *stripe) evictOne(tx *Tx, p *EvictPolicy, db int) bool {
	switch p.Kind {
	case EvictTTL:
		return st.evictNearest(tx, db)
	case EvictRandom:
		for range 4 {
			sh, num := st.drawShard(p, db)
			if sh == nil {
				return false
			}
			if locs := st.draw(sh, p, 1); len(locs) > 0 {
				tx.Use(num)
				tx.evict(st.keyAt(locs[0]))
				return true
			}
		}
		return false
	}
	pool := &st.pool
	for range 4 * poolSize {
		sh, num := st.drawShard(p, db)
		if sh == nil {
			return false
		}
		for _, l := range st.draw(sh, p, min(max(p.Samples, 1), len(pool.locs))) {
			var e Entry
			st.readEntry(l, &e)
			pool.add(p, tx.Now, num, &e)
		}
		for pool.n > 0 {
			c := pool.cand[pool.n-1]
			pool.n--
			if db >= 0 && int(c.db) != db {
				continue
			}
			l, ok := st.entryOf(&st.ks.dbs[c.db].shards[st.number], c.slot, c.hash)
			if !ok {
				continue
			}
			var e Entry
			st.readEntry(l, &e)
			if e.stamp() != c.stamp || p.Volatile && e.Deadline() == 0 {
				continue // it was used since, or may not go any more
			}
			tx.Use(int(c.db))
			tx.evict(e.Key())
			return true
		}
	}
	return false
}

// stamp is what changes with an access to the entry, or when it is drawn.
func (e *Entry) stamp() uint32 { return e.Clock() | uint32(e.mem[1])<<24 }

// score is how bad it would be to keep the entry.
func (e *Entry) score(p *EvictPolicy, now int64) uint64 {
	clock := e.Clock()
	switch p.Kind {
	case EvictLFU:
		return uint64(255-p.Frequency(clock, now))<<16 | uint64(uint32(now/60000)-clock>>8)&0xFFFF
	case EvictLRM:
		return idle(clock, now)
	}
	return uint64(usesMax-e.uses())<<24 | idle(clock, now)
}

const clockMask = 1<<24 - 1

// idle is how many seconds ago the clock was set. It may have been a moment ahead of
// now; an age of nearly the whole of its range, 194 days, is not told from that.
func idle(clock uint32, now int64) uint64 {
	const ahead = 3600
	n := (uint32(now/1000) - clock) & clockMask
	if n > clockMask-ahead {
		return 0
	}
	return uint64(n)
}

// add enters a key that was drawn, if it is worse than one that is there or there is
// room.
func (o *evictPool) add(p *EvictPolicy, now int64, db int, e *Entry) {
	if p.Kind == EvictLRU {
		if n := e.uses(); n > 0 && random(&o.rng)%uint64(p.Samples) == 0 {
			e.setUses(n - 1)
		}
	}
	k := MakeKey(e.Key())
	score := e.score(p, now)
	for i := range o.cand[:o.n] {
		if o.cand[i].hash == k.Hash && int(o.cand[i].db) == db {
			o.n--
			copy(o.cand[i:o.n], o.cand[i+1:o.n+1])
			break
		}
	}
	i := 0
	for i < o.n && o.cand[i].score <= score {
		i++
	}
	if o.n < poolSize {
		copy(o.cand[i+1:o.n+1], o.cand[i:o.n])
		o.n++
	} else {
		if i == 0 {
			return
		}
		i--
		copy(o.cand[:i], o.cand[1:i+1])
	}
	o.cand[i] = candidate{score: score, hash: k.Hash, stamp: e.stamp(), slot: k.Slot, db: int32(db)}
}

// drawShard is the shard of a database that has keys which may go, one at random by
// their number. It returns nil if there is none.
func (st *stripe) drawShard(p *EvictPolicy, db int) (*shard, int) {
	count := func(sh *shard) int {
		if !p.Volatile {
			return sh.keys
		}
		if sh.deadlines == nil {
			return 0
		}
		return sh.deadlines.Len()
	}
	if db >= 0 {
		if sh := &st.ks.dbs[db].shards[st.number]; count(sh) > 0 {
			return sh, db
		}
		return nil, 0
	}
	all := 0
	for _, num := range st.ks.usedNumbers() {
		all += count(&st.ks.dbs[num].shards[st.number])
	}
	if all == 0 {
		return nil, 0
	}
	r := int(random(&st.pool.rng) >> 1 % uint64(all))
	for _, num := range st.ks.usedNumbers() {
		sh := &st.ks.dbs[num].shards[st.number]
		if r -= count(sh); r < 0 {
			return sh, num
		}
	}
	return nil, 0
}

// draw takes at most n keys of a shard at random, and brings their entries nearer.
func (st *stripe) draw(sh *shard, p *EvictPolicy, n int) []slab.Loc {
	locs := st.pool.locs[:0]
	rng := &st.pool.rng
	if p.Volatile {
		for range n {
			d, _ := sh.deadlines.GetAt(int(random(rng) >> 1 % uint64(sh.deadlines.Len())))
			if l, ok := st.entryOf(sh, d.slot(), d.hash); ok {
				locs = append(locs, l)
			}
		}
		return locs
	}
	for tries := 0; len(locs) < n && tries < 4; tries++ {
		i := int(random(rng) >> 1 % uint64(len(sh.slots)))
		if i = sh.occupied.next(i); i < 0 {
			i = sh.occupied.next(0)
		}
		sl := &sh.slots[i]
		l := sl.root
		if sl.depth > 0 {
			dir := st.tables.Words(sl.root, 1+1<<sl.depth)[1:]
			l = slab.Loc(dir[int(random(rng)>>1%uint64(len(dir)))] & locMask)
		}
		refs := st.segmentAt(l).refs()
		at := int(random(rng) >> 1 % uint64(len(refs)))
		for j := 0; j < len(refs) && len(locs) < n; j++ {
			if r := refs[(at+j)%len(refs)]; r != 0 {
				l := slab.Loc(r & locMask)
				st.entries.Prefetch(l, 0)
				locs = append(locs, l)
			}
		}
	}
	return locs
}

// evictNearest removes the key with the nearest deadline.
func (st *stripe) evictNearest(tx *Tx, db int) bool {
	for {
		num, nearest := -1, deadline{}
		var index *btree.BTreeG[deadline]
		after := int64(0) // the nearest of the stripe when that one has gone
		for _, i := range st.ks.usedNumbers() {
			here := st.ks.dbs[i].shards[st.number].deadlines
			if here == nil {
				continue
			}
			first, ok := here.Min()
			if !ok {
				continue
			}
			if after == 0 || first.ms() < after {
				after = first.ms()
			}
			if (db < 0 || i == db) && (num < 0 || lessDeadline(first, nearest)) {
				num, nearest, index = i, first, here
			}
		}
		st.pool.ttl.Store(after)
		if num < 0 {
			return false
		}
		tx.Use(num)
		key := st.byHash(tx.db, nearest, false)
		if key == nil {
			index.Delete(nearest)
			st.indexed--
			continue
		}
		tx.evict(key)
		next, ok := index.Min()
		if ok && nearest.ms() == after {
			st.pool.ttl.Store(next.ms())
		}
		return true
	}
}

// entryOf finds an entry by its slot and hash; false: it is gone.
func (st *stripe) entryOf(sh *shard, number uint16, hash uint64) (slab.Loc, bool) {
	if sh.slots == nil {
		return 0, false
	}
	sl := &sh.slots[int(number)&(1<<st.ks.shift-1)]
	seg, ok := st.segmentOf(sl, hash)
	if !ok {
		return 0, false
	}
	tag := hash >> tagShift
	refs := seg.refs()
	for i := home(tag, seg.depth(), seg.homes()); i < len(refs) && refs[i] != 0; i++ {
		if refs[i]>>tagShift > tag {
			break
		}
		if refs[i]>>tagShift == tag {
			l := slab.Loc(refs[i] & locMask)
			if k := MakeKey(st.keyAt(l)); k.Hash == hash {
				return l, true
			}
		}
	}
	return 0, false
}

// evict removes a key because memory is short, and journals that.
func (t *Tx) evict(key []byte) {
	t.name = append(t.name[:0], key...) // it stands in the entry
	t.due = MakeKey(t.name)
	t.By = nil
	if t.ks.TellEvicting.Load() {
		// Not Peek, which would remove what is due.
		if st, _, _, i, l := t.place(&t.due); i >= 0 {
			var e Entry
			st.readEntry(l, &e)
			t.ks.hooks.Evicting(t.num, t.name, &e)
		}
	}
	if !t.remove(&t.due) {
		panic("keyspace: a key that was to go is not there")
	}
	t.ks.Stats.Evicted.Add(1)
	if t.ks.Journal.Active() { // Append asks too, but its arguments are memory
		word := delWord
		if t.ks.evictor.policy.Load().Unlink {
			word = unlinkWord
		}
		t.ks.Journal.Append(t.num, word, t.name)
	}
	if h := t.ks.hooks.Evicted; h != nil {
		h(t.num, t.name)
	}
}

var unlinkWord = []byte("UNLINK")
