package keyspace

import (
	"kvd/types"
	"kvd/types/slab"

	"github.com/tidwall/btree"
)

// Finding a key costs two cache misses, one after the other: its reference in
// the table, then its entry; and a third, before these, where the slot's table
// has a directory. When commands come in a pipeline, the misses of many keys are
// taken side by side: first PrefetchTable for all of them, PrefetchSegment if
// that said so, then PrefetchEntry, then the commands. These are hints: whatever
// happens in between, the commands look for themselves. A stripe that is locked
// right now is passed over.

// PrefetchTable brings the place of the key's reference nearer, or the way
// there; more says that PrefetchSegment is needed.
func (ks *Keyspace) PrefetchTable(db int, k *Key) (more bool) {
	if st, sl := ks.tryRoot(db, k); sl != nil {
		more = st.prefetchTable(sl, k.Hash)
		st.mu.Unlock()
	}
	return more
}

// PrefetchSegment brings the place of the key's reference nearer where
// PrefetchTable could not.
func (ks *Keyspace) PrefetchSegment(db int, k *Key) {
	if st, sl := ks.tryRoot(db, k); sl != nil {
		st.prefetchSegment(sl, k.Hash)
		st.mu.Unlock()
	}
}

// PrefetchEntry brings the key's entry nearer.
func (ks *Keyspace) PrefetchEntry(db int, k *Key) {
	if st, sl := ks.tryRoot(db, k); sl != nil {
		st.prefetchEntry(sl, k.Hash)
		st.mu.Unlock()
	}
}

// tryRoot locks the key's stripe and returns the key's slot, or nil, with
// nothing locked, where that has no table or the stripe is locked already.
func (ks *Keyspace) tryRoot(db int, k *Key) (*stripe, *slot) {
	st := &ks.stripes[int(k.Slot)>>ks.shift]
	if !st.mu.TryLock() {
		return nil, nil
	}
	if sh := &ks.dbs[db].shards[st.number]; sh.slots != nil {
		if sl := &sh.slots[int(k.Slot)&(1<<ks.shift-1)]; sl.root != 0 {
			return st, sl
		}
	}
	st.mu.Unlock()
	return nil, nil
}

// prefetchTable, prefetchSegment and prefetchEntry do it with the stripe locked,
// for a slot that is not empty.
func (st *stripe) prefetchTable(sl *slot, hash uint64) (more bool) {
	if sl.depth > 0 {
		st.tables.Prefetch(sl.root, int(1+hash>>(64-sl.depth))*8)
		return true
	}
	at := st.spotOf(sl, hash)
	st.tables.Prefetch(at.l, at.place*8)
	if st.ks.active {
		st.tables.Prefetch(at.l, 0) // a change of the key reads the head
	}
	return false
}

func (st *stripe) prefetchSegment(sl *slot, hash uint64) {
	if sl.depth > 0 {
		at := st.spotOf(sl, hash)
		st.tables.Prefetch(at.l, 0) // an insertion reads the head
		st.tables.Prefetch(at.l, at.place*8)
	}
}

func (st *stripe) prefetchEntry(sl *slot, hash uint64) {
	tag := hash >> tagShift
	at := st.spotOf(sl, hash)
	refs := st.tables.Words(at.l, at.words)
	for i := at.place; i < len(refs) && refs[i] != 0; i++ {
		if t := refs[i] >> tagShift; t >= tag {
			if t == tag {
				l := slab.Loc(refs[i] & locMask)
				st.entries.Prefetch(l, 0)
				st.entries.Prefetch(l, 64)
			}
			break
		}
	}
}

// prefetchDue brings the keys of the next n items of an index that are due nearer.
func (st *stripe) prefetchDue(db *DB, d *btree.BTreeG[deadline], now int64, n int) {
	sh := &db.shards[st.number]
	if sh.slots == nil {
		return
	}
	var due [expireBatch]deadline
	found := 0
	d.Scan(func(item deadline) bool {
		if found == min(n, len(due)) || item.ms() > now {
			return false
		}
		due[found] = item
		found++
		return true
	})
	each := func(f func(sl *slot, hash uint64)) {
		for _, item := range due[:found] {
			if sl := &sh.slots[int(item.slot())&(1<<st.ks.shift-1)]; sl.root != 0 {
				f(sl, item.hash)
			}
		}
	}
	more := false
	each(func(sl *slot, hash uint64) { more = st.prefetchTable(sl, hash) || more })
	if more {
		each(st.prefetchSegment)
	}
	each(st.prefetchEntry)
}

// PrefetchMembers brings members of a big collection nearer, which commands on
// the key are about to look up. The key's entry should be near already.
func (ks *Keyspace) PrefetchMembers(db int, k *Key, members [][]byte) {
	st := &ks.stripes[int(k.Slot)>>ks.shift]
	if !st.mu.TryLock() {
		return
	}
	if sh := &ks.dbs[db].shards[st.number]; sh.slots != nil {
		if i, l := st.find(&sh.slots[int(k.Slot)&(1<<ks.shift-1)], k); i >= 0 {
			var e Entry
			st.readEntry(l, &e)
			if f, ok := e.Object().(types.Foreseer); ok {
				f.Foresee(members)
			}
		}
	}
	st.mu.Unlock()
}
