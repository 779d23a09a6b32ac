package keyspace

import (
	"slices"

	"github.com/tidwall/btree"
)

// Fresh is a set of databases that is being filled beside those that are
// served: a follower loads its leader's contents into one while the old
// contents stay, and then exchanges the two in one instant.
type Fresh struct {
	ks  *Keyspace
	dbs []*DB
}

// NewFresh makes empty databases. Only one Fresh may exist at a time, until
// its Exchange or Drop.
func (ks *Keyspace) NewFresh() *Fresh {
	f := &Fresh{ks: ks}
	for range ks.dbs {
		f.dbs = append(f.dbs, ks.newDB())
	}
	h := ks.LockAll()
	defer ks.Unlock(&h)
	if ks.fresh != nil {
		panic("keyspace: two sets of fresh databases")
	}
	ks.fresh = f.dbs
	return f
}

// UseFresh selects a database of f. Nobody watches what is there.
func (t *Tx) UseFresh(f *Fresh, db int) { t.db, t.num, t.unseen = f.dbs[db], db, true }

// Exchange puts the fresh databases in the place of those that were served,
// which are freed in the background. at, if not nil, is called at that instant,
// with all stripes locked. now is in Unix milliseconds.
func (f *Fresh) Exchange(now int64, at func()) {
	ks := f.ks
	h := ks.LockAll()
	defer ks.Unlock(&h)
	old := slices.Clone(ks.dbs)
	if ks.observed.Load() {
		for db := range old {
			there := func(k *Key) bool { return ks.there(db, k, now) }
			ks.emptied(nil, db, func(k *Key) bool { return there(k) || thereIn(ks, f.dbs[db], k, now) })
		}
	}
	copy(ks.dbs, f.dbs)
	ks.dbsChanged()
	ks.fresh = nil
	for _, db := range old {
		ks.retire(db)
	}
	for i := range ks.stripes {
		ks.stripes[i].noteNext()
	}
	if at != nil {
		at()
	}
	ks.expiry.signal()
}

// Drop gives the fresh databases up; they are freed in the background.
func (f *Fresh) Drop() {
	h := f.ks.LockAll()
	defer f.ks.Unlock(&h)
	f.ks.fresh = nil
	for _, db := range f.dbs {
		f.ks.retire(db)
	}
}

// noteNext finds the stripe's earliest deadline anew.
func (st *stripe) noteNext() {
	next := int64(0)
	for _, n := range st.ks.usedNumbers() {
		db := st.ks.dbs[n]
		sh := &db.shards[st.number]
		for _, d := range [...]*btree.BTreeG[deadline]{sh.deadlines, sh.fieldDeadlines} {
			if d == nil {
				continue
			}
			if first, ok := d.Min(); ok && (next == 0 || first.ms() < next) {
				next = first.ms()
			}
		}
	}
	st.next.Store(next)
}

// FlushAll empties all databases; the caller holds all stripes. The keys are
// freed in the background. now is in Unix milliseconds.
func (ks *Keyspace) FlushAll(now int64) {
	tx := ks.NewTx()
	tx.Now = now
	for db := range ks.dbs { // one that has no key concerns observers alone
		if ks.dbs[db].used.Load() || ks.observed.Load() {
			tx.Use(db)
			tx.Flush()
		}
	}
}
