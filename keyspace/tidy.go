package keyspace

import (
	"kvd/types/slab"
)

const (
	tidyBytes = 64 << 10 // moved without letting go of a stripe: some 50 us
	tidyRound = 16 << 20 // moved in one round over all stripes
	flushKeys = 256      // entries of a flushed database freed at once
)

// tidy gives memory back, a little at a time under each stripe's lock, and
// reports whether more is left to do.
func (ks *Keyspace) tidy() (more bool) {
	for ks.freeRetired() {
		more = true // there was work, so there may be
	}
	for i := range ks.stripes {
		st := &ks.stripes[i]
		for left := tidyRound / len(ks.stripes); left > 0; left -= tidyBytes {
			st.lock()
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
	for _, dbs := range [3][]*DB{st.ks.dbs, st.ks.fresh, st.ks.retired} {
		for _, db := range dbs {
			sh := &db.shards[st.number]
			if sh.slots == nil {
				continue
			}
			seg, ok := st.segmentOf(&sh.slots[int(k.Slot)&(1<<st.ks.shift-1)], k.Hash)
			if !ok {
				continue
			}
			tag := k.Hash >> tagShift
			refs := seg.refs()
			for i := home(tag, seg.depth(), seg.homes()); i < len(refs) && refs[i] != 0; i++ {
				if refs[i]&^savedRef == tag<<tagShift|uint64(from) {
					refs[i] = refs[i]&^locMask | uint64(to)
					return
				}
			}
		}
	}
	panic("keyspace: an entry stands in no table")
}

// retire hands a flushed database to the background; all stripes are locked.
func (ks *Keyspace) retire(db *DB) {
	ks.retired = append(ks.retired, db)
	ks.expiry.signal()
}

// freeRetired frees one flushed database that no snapshot needs, and reports
// whether there was one.
func (ks *Keyspace) freeRetired() bool {
	ks.stripes[0].lock()
	var db *DB
	for _, d := range ks.retired {
		if !(ks.active && ks.snap.pins(d)) {
			db = d
			break
		}
	}
	ks.stripes[0].unlock()
	if db == nil {
		return false
	}
	for i := range ks.stripes {
		for ks.stripes[i].freeShard(db) {
		}
	}
	h := ks.LockAll()
	for i, d := range ks.retired {
		if d == db {
			ks.retired = append(ks.retired[:i:i], ks.retired[i+1:]...)
			break
		}
	}
	ks.Unlock(&h)
	return true
}

// freeShard frees some hundred entries of a flushed database under the lock;
// false: none were left.
func (st *stripe) freeShard(db *DB) bool {
	st.lock()
	defer st.unlock()
	sh := &db.shards[st.number]
	if sh.slots == nil {
		return false
	}
	for n := 0; n < flushKeys; {
		i := sh.occupied.next(0)
		if i < 0 {
			*sh = shard{}
			return false
		}
		sl := &sh.slots[i]
		// One segment of the slot, from the end so that the rest stays in order.
		var last segment
		st.eachSegment(sl, func(s segment) {
			if s.count() > 0 {
				last = s
			}
		})
		refs := last.refs()
		freed := 0
		for j := len(refs) - 1; j >= 0 && n < flushKeys; j-- {
			if refs[j] == 0 {
				continue
			}
			l := slab.Loc(refs[j] & locMask)
			var e Entry
			st.readEntry(l, &e)
			st.dropObject(&e)
			st.entries.Free(l)
			refs[j] = 0
			last.addCount(-1)
			freed++
			n++
		}
		sl.n -= uint32(freed)
		sh.keys -= freed
		if sl.n == 0 {
			st.dropTable(sl)
			sh.occupied.unset(i)
		}
	}
	return true
}
