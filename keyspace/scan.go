package keyspace

import (
	"math/rand/v2"

	"kvd/types/slab"
)

// A scan cursor is slot << 27 | the 27 bits of hash that order the slot's
// table: below 2^41, so that JavaScript can hold it, and meaningful however
// the table grows or shrinks in between.
const (
	tagBits   = 64 - tagShift
	maxCursor = Slots << tagBits
)

// ScanPart is the part of a database that is behind a cursor, from 0 to 1.
func ScanPart(cursor uint64) float64 { return float64(cursor) / maxCursor }

// CursorOf is the cursor in front of a key, whether it is there or not.
func CursorOf(k *Key) uint64 { return uint64(k.Slot)<<tagBits | k.Hash>>tagShift }

// Scan visits keys from the cursor on until at least count have been visited,
// and returns the cursor to go on from, 0 at the end. Keys whose references
// are equal are visited together. visit is called with the stripe locked and
// must not change the keyspace; expired keys are passed over.
//
// It locks one stripe after another, unless locked says that the caller holds
// them all.
func (ks *Keyspace) Scan(db int, cursor uint64, count int, now int64, locked bool, visit func(*Entry)) uint64 {
	if cursor >= maxCursor {
		return 0
	}
	number, tag := int(cursor>>tagBits), cursor&(1<<tagBits-1)
	perStripe := 1 << ks.shift
	for s := number >> ks.shift; s < len(ks.stripes); s++ {
		st := &ks.stripes[s]
		if !locked {
			st.lock()
		}
		next, done := st.scan(ks.dbs[db], &number, tag, &count, now, visit)
		if !locked {
			st.unlock()
		}
		if done {
			if next >= maxCursor {
				return 0
			}
			return next
		}
		number, tag = (s+1)*perStripe, 0
	}
	return 0
}

func (st *stripe) scan(db *DB, number *int, tag uint64, count *int, now int64, visit func(*Entry)) (next uint64, done bool) {
	sh := &db.shards[st.number]
	if sh.slots == nil {
		return 0, false
	}
	base := st.number << st.ks.shift
	for i := *number - base; ; i++ {
		if i = sh.occupied.next(i); i < 0 {
			return 0, false
		}
		if i != *number-base {
			tag = 0
		}
		sl := &sh.slots[i]
		last, more := uint64(0), false
		st.fromTag(sl, tag, func(t uint64, l slab.Loc) bool {
			if *count <= 0 && t != last {
				more = true
				return false
			}
			last = t
			*count--
			var e Entry
			st.readEntry(l, &e)
			if d := e.Deadline(); d == 0 || d > now {
				visit(&e)
			}
			return true
		})
		if more {
			return uint64(base+i)<<tagBits | (last + 1), true
		}
		if *count <= 0 {
			return uint64(base+i+1) << tagBits, true
		}
	}
}

// fromTag calls f for the references of a slot from a tag on, in order, until
// f says false.
func (st *stripe) fromTag(sl *slot, tag uint64, f func(tag uint64, l slab.Loc) bool) {
	if sl.root == 0 {
		return
	}
	var dir []uint64
	one := [1]uint64{uint64(sl.root)}
	if dir = one[:]; sl.depth > 0 {
		dir = st.tables.Words(sl.root, 1+1<<sl.depth)[1:]
	}
	i := 0
	if sl.depth > 0 {
		i = int(tag << tagShift >> (64 - sl.depth))
	}
	for i < len(dir) {
		seg := st.segmentAt(slab.Loc(dir[i] & locMask))
		span := 1 << (sl.depth - seg.depth())
		i = i&^(span-1) + span
		for _, r := range seg.refs() {
			if r == 0 || r>>tagShift < tag {
				continue
			}
			if !f(r>>tagShift, slab.Loc(r&locMask)) {
				return
			}
		}
	}
}

// Each visits every key of a database, stripe by stripe; see Scan.
func (ks *Keyspace) Each(db int, now int64, locked bool, visit func(*Entry)) {
	ks.EachThen(db, now, locked, visit, func() {})
}

// EachThen is Each that calls then whenever it has let go of a stripe, and in the
// end.
func (ks *Keyspace) EachThen(db int, now int64, locked bool, visit func(*Entry), then func()) {
	var r Rest
	if !locked {
		r.Begin()
		defer r.End()
	}
	for c := uint64(0); ; {
		if !locked {
			r.Turn()
		}
		// A batch is what may be visited without letting go of a stripe.
		c = ks.Scan(db, c, 512, now, locked, visit)
		if then(); c == 0 {
			return
		}
	}
}

// Random is a key chosen uniformly among all keys of the database in use; the
// caller holds all stripes. An expired key may come out.
func (t *Tx) Random() (Entry, bool) {
	total := 0
	for i := range t.db.shards {
		total += t.db.shards[i].keys
	}
	if total == 0 {
		return Entry{}, false
	}
	r := rand.IntN(total)
	for i := range t.db.shards {
		sh := &t.db.shards[i]
		if r >= sh.keys {
			r -= sh.keys
			continue
		}
		st := &t.ks.stripes[i]
		for j := range sh.slots {
			if n := int(sh.slots[j].n); r >= n {
				r -= n
				continue
			}
			return st.pick(&sh.slots[j], r), true
		}
	}
	panic("keyspace: the counts of keys do not add up")
}

// RandomLiving is a key that has not expired, for where Random has met none; the
// caller holds all stripes. It is not chosen uniformly: a stripe is, and of that the
// key that expires last, or one that never does. False: every key has expired.
func (t *Tx) RandomLiving() (e Entry, ok bool) {
	first := rand.IntN(len(t.db.shards))
	for i := range t.db.shards {
		n := (first + i) % len(t.db.shards)
		if e, ok = t.living(n); ok {
			break
		}
	}
	return e, ok
}

// living is a key of a shard that has not expired.
func (t *Tx) living(n int) (e Entry, ok bool) {
	sh, st := &t.db.shards[n], &t.ks.stripes[n]
	if sh.keys == 0 {
		return e, false
	}
	alive := func(_ uint64, l slab.Loc) bool {
		st.readEntry(l, &e)
		d := e.Deadline()
		ok = d == 0 || d > t.Now
		return !ok
	}
	if sh.deadlines != nil {
		if last, some := sh.deadlines.Max(); some && last.ms() > t.Now {
			st.fromTag(&sh.slots[int(last.slot())&(1<<t.ks.shift-1)], last.hash>>tagShift, alive)
			return e, ok
		}
		if sh.deadlines.Len() == sh.keys {
			return e, false
		}
	}
	for j := 0; j < len(sh.slots) && !ok; j++ {
		st.fromTag(&sh.slots[j], 0, alive)
	}
	return e, ok
}

// pick returns the entry of the r-th reference of a slot.
func (st *stripe) pick(sl *slot, r int) (e Entry) {
	st.eachSegment(sl, func(s segment) {
		if r < 0 {
			return
		}
		if n := s.count(); r >= n {
			r -= n
			return
		}
		for _, ref := range s.refs() {
			if ref != 0 {
				if r == 0 {
					st.readEntry(slab.Loc(ref&locMask), &e)
				}
				r--
			}
			if r < 0 {
				return
			}
		}
	})
	return e
}
