package keyspace

import (
	"slices"

	"kvd/types"
)

// Undo keeps what the keys that a run of commands changes held before, so that all of it
// can be taken back. A Tx with an Undo notes each key there before the first change, as a
// running snapshot is handed it, and tells nobody of changes: Commit tells, Rollback does
// not. Large values are kept as O(1) copies.
//
// The stripes of all keys must stay locked, or reserved, from the first change to the end.
type Undo struct {
	ks    *Keyspace
	notes []undoNote // in the order of the changes
	at    map[undoKey]int
	bytes int

	// Created is called where Hooks.Created would be.
	Created func(db int, key []byte)
}

type undoKey struct {
	db  *DB // not its number, which SWAPDB changes
	key string
}

type undoNote struct {
	kind undoKind
	db   *DB
	num  int // the number of db then
	// Of a key.
	key     Key // its own bytes
	changed bool
	there   bool
	typ     types.Type
	enc     types.Encoding
	packed  []byte
	obj     types.Object
	until   int64
	clock   uint32
	uses    byte
	marks   Marks
	// with is the number of the other database of a swap.
	with int
}

type undoKind uint8

const (
	undoKeyed undoKind = iota
	undoFlush          // db was replaced by an empty one
	undoSwap
)

// NewUndo is an Undo for a Tx.
func (ks *Keyspace) NewUndo() *Undo { return &Undo{ks: ks, at: make(map[undoKey]int)} }

// Bytes is about how much memory the notes take, with the small values in them.
func (u *Undo) Bytes() int { return u.bytes }

// undoNoteBytes is about what a note takes besides the bytes of key and value.
const undoNoteBytes = 256

// Any tells whether something may have changed.
func (u *Undo) Any() bool { return len(u.notes) > 0 }

// note keeps a key as it stands, if it is not noted yet.
func (u *Undo) note(t *Tx, k *Key) *undoNote {
	if i, known := u.at[undoKey{t.db, string(k.B)}]; known {
		return &u.notes[i]
	}
	n := undoNote{kind: undoKeyed, db: t.db, num: t.num}
	n.key = *k
	n.key.B = slices.Clone(k.B)
	if st, _, _, i, l := t.place(k); i >= 0 {
		var e Entry
		st.readEntry(l, &e)
		n.there, n.typ, n.enc, n.until, n.clock, n.uses, n.marks = true, e.Type(), e.Encoding(), e.Deadline(), e.Clock(), e.uses(), e.Marks()
		if o := e.Object(); o != nil {
			n.obj = o.Copy()
		} else {
			n.packed = slices.Clone(e.Packed())
		}
	}
	u.at[undoKey{t.db, string(n.key.B)}] = len(u.notes)
	u.bytes += undoNoteBytes + 2*len(n.key.B) + len(n.packed)
	u.notes = append(u.notes, n)
	return &u.notes[len(u.notes)-1]
}

// Commit makes the changes last, and tells observers of them, of each key once; by is as
// in Observer.
func (u *Undo) Commit(by any) {
	ks := u.ks
	told := ks.observed.Load()
	for i := range u.notes {
		n := &u.notes[i]
		switch n.kind {
		case undoKeyed:
			if n.obj != nil {
				ks.lazy.add(n.obj)
			}
			if told && n.changed {
				for _, o := range ks.observers {
					o.Changed(by, n.num, &n.key)
				}
			}
		case undoFlush:
			if told {
				ks.emptied(by, n.num, func(k *Key) bool { return thereIn(ks, n.db, k, 0) })
			}
			n.db.kept = false
			ks.expiry.signal()
		case undoSwap:
			if told {
				either := func(k *Key) bool { return ks.there(n.num, k, 0) || ks.there(n.with, k, 0) }
				ks.emptied(by, n.num, either)
				ks.emptied(by, n.with, either)
			}
		}
	}
	u.notes, u.at = nil, nil
}

// Rollback takes all changes back, the last first. It tells observers nothing.
func (u *Undo) Rollback() {
	ks := u.ks
	t := ks.NewTx()
	for _, n := range slices.Backward(u.notes) {
		switch n.kind {
		case undoFlush:
			ks.unretire(n.db)
			ks.retire(ks.dbs[n.num])
			ks.dbs[n.num] = n.db
			ks.dbsChanged()
		case undoSwap:
			ks.dbs[n.num], ks.dbs[n.with] = ks.dbs[n.with], ks.dbs[n.num]
			ks.dbsChanged()
		case undoKeyed:
			t.db, t.num, t.unseen = n.db, slices.Index(ks.dbs, n.db), true
			t.remove(&n.key)
			if !n.there {
				continue
			}
			t.Clock = n.clock
			if n.obj != nil {
				t.PutObjectMarked(&n.key, n.typ, n.enc, n.obj, n.until, &n.marks)
			} else {
				t.Put(&n.key, n.typ, n.enc, n.packed, n.until)
			}
			st, _, _, _, l := t.place(&n.key)
			var e Entry
			st.readEntry(l, &e)
			if e.setUses(n.uses); n.obj == nil && n.marks != (Marks{}) {
				t.SetMarks(&n.key, &e, n.marks)
			}
		}
	}
	u.notes, u.at = nil, nil
}

// unretire takes a flushed database back, of which nothing is freed yet since it was kept.
// All stripes are locked.
func (ks *Keyspace) unretire(db *DB) {
	db.kept = false
	if i := slices.Index(ks.retired, db); i >= 0 {
		ks.retired = slices.Delete(ks.retired, i, i+1)
		for i := range db.shards {
			ks.stripes[i].leaving -= db.shards[i].used()
		}
		ks.retiring.Store(len(ks.retired) > 0)
	}
}
