package keyspace

import "sync/atomic"

// usedDBs are the numbers of the databases that may have keys. Most of many databases
// have never had one, and must not cost anything where all are gone through.
type usedDBs struct {
	// changes counts what may make the list wrong: the first key of a database, and
	// exchanges of databases.
	changes atomic.Uint64
	list    atomic.Pointer[usedList]
}

type usedList struct {
	changes uint64 // as it was when the list was begun
	numbers []int
}

// use notes that a database gets keys; a stripe is locked.
func (ks *Keyspace) use(db *DB) {
	if !db.used.Load() {
		db.used.Store(true)
		ks.dbsChanged()
	}
}

// dbsChanged is called after databases have got other numbers, with all stripes locked.
func (ks *Keyspace) dbsChanged() { ks.used.changes.Add(1) }

// usedNumbers are the numbers of the databases that may have keys, in ascending order. A
// stripe is locked; that others get keys meanwhile concerns other stripes only.
//
// Invariant: a database that is not among them has no key in a stripe that the caller
// holds. The first key of a stripe is noted under its lock, and before the list is compared.
func (ks *Keyspace) usedNumbers() []int {
	changes := ks.used.changes.Load()
	if l := ks.used.list.Load(); l != nil && l.changes == changes {
		return l.numbers
	}
	l := &usedList{changes: changes}
	for n, db := range ks.dbs {
		if db.used.Load() {
			l.numbers = append(l.numbers, n)
		}
	}
	ks.used.list.Store(l)
	return l.numbers
}
