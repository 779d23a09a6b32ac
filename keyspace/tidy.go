package keyspace

import (
	"time"

	"kvd/types/slab"
)

const (
	tidyBytes = 64 << 10 // moved without letting go of a stripe: some 50 us
	tidyRound = 16 << 20 // moved in one round over all stripes
)

// tidy gives memory back, a little at a time under each stripe's lock, and
// reports whether more is left to do.
func (ks *Keyspace) tidy() (more bool) {
	for i := range ks.stripes {
		st := &ks.stripes[i]
		for left := tidyRound / len(ks.stripes); left > 0; left -= tidyBytes {
			if !st.lockSoon() {
				break
			}
			again := st.entries.Tidy(tidyBytes, st.moved)
			if st.tables.Release(4, 4) {
				again = true
			}
			st.unlock()
			if !again {
				break
			}
			more = true
		}
	}
	return more
}

// moved redirects the reference to an entry that Tidy has copied.
func (st *stripe) moved(from, to slab.Loc) {
	k := MakeKey(st.keyAt(to))
	st.ks.Stats.TidiedBytes.Add(int64(st.entries.Size(to)))
	for _, n := range st.ks.usedNumbers() {
		if st.redirect(st.ks.dbs[n], &k, from, to) {
			return
		}
	}
	for _, dbs := range [2][]*DB{st.ks.fresh, st.ks.retired} {
		for _, db := range dbs {
			if db.used.Load() && st.redirect(db, &k, from, to) {
				return
			}
		}
	}
	panic("keyspace: an entry stands in no table")
}

// redirect redirects the reference if it is in that database.
func (st *stripe) redirect(db *DB, k *Key, from, to slab.Loc) bool {
	sh := &db.shards[st.number]
	if sh.slots == nil {
		return false
	}
	seg, ok := st.segmentOf(&sh.slots[int(k.Slot)&(1<<st.ks.shift-1)], k.Hash)
	if !ok {
		return false
	}
	tag := k.Hash >> tagShift
	refs := seg.refs()
	for i := home(tag, seg.depth(), seg.homes()); i < len(refs) && refs[i] != 0; i++ {
		if refs[i]&^savedRef == tag<<tagShift|uint64(from) {
			refs[i] = refs[i]&^locMask | uint64(to)
			return true
		}
	}
	return false
}

// retire hands a flushed database to the background; all stripes are locked.
func (ks *Keyspace) retire(db *DB) {
	for i := range db.shards {
		ks.stripes[i].leaving += db.shards[i].used()
	}
	for i := range db.shards {
		if db.shards[i].slots != nil {
			ks.retired = append(ks.retired, db)
			ks.retiring.Store(true)
			ks.expiry.signal()
			return
		}
	}
}

// freeing is how far the background is with a flushed database. Nobody else
// changes one, so what it notes stays true while no stripe is locked.
type freeing struct {
	db     *DB // nil: none
	stripe int
	// word is the first word of a directory whose segment is still to be dealt
	// with: of the first slot that has keys, whose segments before it are empty,
	// or of table.
	word int
	// table is that of a slot whose keys are gone. Its segments are freed bit by
	// bit, too: there are many in the slot of a large {tag}.
	table slot
}

const (
	freeKeys     = 256 // entries of a flushed database freed without letting go of a stripe
	freeSegments = 256 // and segments, likewise
	// freeTurn is how long the freeing of flushed databases goes on before it is the
	// turn of expiry again.
	freeTurn = time.Millisecond
)

// freeRetired frees some of a flushed database that no snapshot needs, and
// reports whether it has done anything.
func (ks *Keyspace) freeRetired(r *freeing) bool {
	if !ks.retiring.Load() {
		return false
	}
	if r.db == nil {
		if !ks.stripes[0].lockSoon() {
			return true
		}
		for _, db := range ks.retired {
			if !db.kept && !(ks.active && ks.snap.pins(db)) {
				*r = freeing{db: db}
				break
			}
		}
		ks.stripes[0].unlock()
		if r.db == nil {
			return false // the end of the snapshot will wake the background
		}
	}
	for began := time.Now(); r.stripe < len(ks.stripes); {
		st := &ks.stripes[r.stripe]
		if !st.lockSoon() {
			return true
		}
		if !st.freeSome(r) {
			r.stripe++
		}
		st.unlock()
		if time.Since(began) > freeTurn {
			return true
		}
	}
	var h Held
	if !ks.AcquireAll(&h) {
		return true // a script may last
	}
	for i, db := range ks.retired {
		if db == r.db {
			ks.retired = append(ks.retired[:i:i], ks.retired[i+1:]...)
			break
		}
	}
	ks.retiring.Store(len(ks.retired) > 0)
	ks.Unlock(&h)
	*r = freeing{}
	return true
}

// freeSome frees some of a stripe's part of a flushed database under the lock;
// false: nothing was left.
func (st *stripe) freeSome(r *freeing) bool {
	sh := &r.db.shards[st.number]
	st.leaving -= st.dropOrder(sh)
	had := st.held()
	defer func() {
		sh.bytes -= had - st.held()
		st.leaving -= had - st.held()
	}()
	if r.table.root != 0 {
		st.freeTable(r)
		return true
	}
	if sh.slots == nil {
		return false
	}
	i := sh.occupied.next(0)
	if i < 0 {
		st.dropIndexes(sh)
		*sh = shard{}
		return false
	}
	sl := &sh.slots[i]
	for left := freeKeys; left > 0 && sl.n > 0; {
		seg, next := st.segmentIn(sl, r.word)
		refs := seg.refs()
		// From the end, so that what is left is found as before.
		for j := len(refs) - 1; j >= 0 && left > 0; j-- {
			if refs[j] == 0 {
				continue
			}
			l := slab.Loc(refs[j] & locMask)
			var e Entry
			st.readEntry(l, &e)
			st.dropObject(&e)
			st.entries.Free(l)
			refs[j] = 0
			seg.addCount(-1)
			sl.n--
			sh.keys--
			left--
		}
		if seg.count() == 0 {
			r.word = next
		}
	}
	if sl.n == 0 {
		r.table, r.word = *sl, 0
		*sl = slot{}
		sh.occupied.unset(i)
		st.freeTable(r)
	}
	return true
}

// freeTable frees some segments of r's table, and in the end its directory.
func (st *stripe) freeTable(r *freeing) {
	for range freeSegments {
		seg, next := st.segmentIn(&r.table, r.word)
		st.tables.Free(seg.loc)
		if r.word = next; next < 1<<r.table.depth {
			continue
		}
		if r.table.depth > 0 {
			st.tables.Free(r.table.root)
		}
		r.table, r.word = slot{}, 0
		return
	}
}
