package keyspace

import (
	"kvd/types"
	"kvd/types/slab"

	"github.com/tidwall/btree"
)

// Finding a key costs two cache misses, one after the other: its reference in
// the table, then its entry. When commands come in a pipeline, the misses of
// many keys are taken side by side: first PrefetchTable for all of them, then
// PrefetchEntry for all of them, then the commands. Both are hints: whatever
// happens in between, the commands look for themselves. A stripe that is locked
// right now is passed over.

// PrefetchTable brings the place of the key's reference nearer.
func (ks *Keyspace) PrefetchTable(db int, k *Key) {
	st := &ks.stripes[int(k.Slot)>>ks.shift]
	if !st.mu.TryLock() {
		return
	}
	if sl := ks.rootOf(st, db, k); sl != nil {
		st.prefetchRef(sl, k.Hash)
	}
	st.mu.Unlock()
}

// PrefetchEntry brings the key's entry nearer.
func (ks *Keyspace) PrefetchEntry(db int, k *Key) {
	st := &ks.stripes[int(k.Slot)>>ks.shift]
	if !st.mu.TryLock() {
		return
	}
	if sl := ks.rootOf(st, db, k); sl != nil {
		st.prefetchEntry(sl, k.Hash)
	}
	st.mu.Unlock()
}

// prefetchRef and prefetchEntry do it for a slot of one segment, with the
// stripe locked.
func (st *stripe) prefetchRef(sl *slot, hash uint64) {
	st.tables.Prefetch(sl.root, (segHead+home(hash>>tagShift, 0, int(sl.homes)))*8)
}

func (st *stripe) prefetchEntry(sl *slot, hash uint64) {
	tag := hash >> tagShift
	refs := st.tables.Words(sl.root, segHead+int(sl.homes)+int(sl.extra))[segHead:]
	for i := home(tag, 0, int(sl.homes)); i < len(refs) && refs[i] != 0; i++ {
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
			if sl := &sh.slots[int(item.slot())&(1<<st.ks.shift-1)]; sl.root != 0 && sl.depth == 0 {
				f(sl, item.hash)
			}
		}
	}
	each(st.prefetchRef)
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
			e := st.entryAt(l)
			if f, ok := e.Object().(types.Foreseer); ok {
				f.Foresee(members)
			}
		}
	}
	st.mu.Unlock()
}

// rootOf is the key's slot if its table has one segment, else nil: slots of
// many segments are rare enough to do without.
func (ks *Keyspace) rootOf(st *stripe, db int, k *Key) *slot {
	sh := &ks.dbs[db].shards[st.number]
	if sh.slots == nil {
		return nil
	}
	sl := &sh.slots[int(k.Slot)&(1<<ks.shift-1)]
	if sl.root == 0 || sl.depth != 0 {
		return nil
	}
	return sl
}
