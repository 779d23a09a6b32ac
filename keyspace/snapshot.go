package keyspace

import (
	"errors"

	"kvd/types"
	"kvd/types/slab"
)

// Item is one key of a snapshot as it stands in the stripe: Key, Packed and
// Object are valid during the call only. To keep an Object
// longer, take a Copy.
type Item struct {
	DB int
	// Walked: the one walker hands it over; otherwise a command that is about to change it.
	Walked   bool
	Key      []byte
	Type     types.Type
	Encoding types.Encoding
	Packed   []byte
	Object   types.Object
	Deadline int64
	Clock    uint32
	Flags    uint32 // see Marks.Flags
}

// Snapshot is one instant of all databases, written while they go on changing.
//
// Every segment notes the number of the last snapshot that met it, and every
// reference in it whether that snapshot has the key. A command that is about
// to change a key that the running snapshot does not have yet hands the key over
// first, as it stands; the walker takes the keys that no command has changed. A number that is lower
// than the running one means that nothing is saved, whatever the references
// say, so a snapshot given up half way leaves nothing to repair.
type Snapshot struct {
	ks     *Keyspace
	number uint32
	dbs    []numberedDB // those that had keys at the start
	// sink receives the items; it is called with a stripe locked, by writers
	// and by the walker, and must not wait.
	sink func(Item)
}

// numberedDB is a database with its number at a moment.
type numberedDB struct {
	*DB
	number int
}

// ErrSnapshotRuns is returned while another snapshot is being written.
var ErrSnapshotRuns = errors.New("a snapshot is already being written")

// StartSnapshot fixes the instant. at, if not nil, is called at that instant
// with all stripes locked. Walk must follow, or End.
func (ks *Keyspace) StartSnapshot(sink func(Item), at func()) (*Snapshot, error) {
	h := ks.LockAll()
	defer ks.Unlock(&h)
	if ks.active {
		return nil, ErrSnapshotRuns
	}
	ks.snapshot++
	s := &Snapshot{ks: ks, number: ks.snapshot, sink: sink}
	for _, n := range ks.usedNumbers() {
		db := ks.dbs[n]
		db.snapshot, db.inSnapshot = s.number, n
		s.dbs = append(s.dbs, numberedDB{db, n})
	}
	ks.active, ks.snap = true, s
	if at != nil {
		at()
	}
	return s, nil
}

// pins tells whether the snapshot needs a database.
func (s *Snapshot) pins(db *DB) bool { return s.numberOf(db) >= 0 }

// numberOf is the number that a database had at the start, or -1: it had no keys, or was made after that.
func (s *Snapshot) numberOf(db *DB) int {
	if db.snapshot == s.number {
		return db.inSnapshot
	}
	return -1
}

// End lets the keyspace forget the snapshot, whole or not.
func (s *Snapshot) End() {
	h := s.ks.LockAll()
	if s.ks.snap == s {
		s.ks.active, s.ks.snap = false, nil
	}
	s.ks.Unlock(&h)
	s.ks.expiry.signal()
}

const (
	// walkBytes is how much the walker hands over before it unlocks a stripe. An Object
	// counts as walkObject at most: of a larger one the receiver takes a copy, which is
	// O(1), and encodes it after the stripe is unlocked.
	walkBytes  = 32 << 10
	walkObject = 16 << 10
	// walkAhead is how many entries are brought nearer at once: all their cache
	// misses are side by side.
	walkAhead = 8
)

// Walk hands over all that no writer has handed over. between is called
// without any lock after every few dozen microseconds of walking; where it
// returns false the walk ends early. The snapshot is whole when Walk is true.
func (s *Snapshot) Walk(between func() bool) bool {
	ks := s.ks
	for _, d := range s.dbs {
		n, db := d.number, d.DB
		for i := range ks.stripes {
			st := &ks.stripes[i]
			for at := (walkPlace{}); at.slot >= 0; {
				st.lock()
				at = st.walk(s, n, db, at)
				st.unlock()
				if between != nil && !between() {
					return false
				}
			}
		}
	}
	return true
}

// walkPlace is where a walk of a shard goes on: at a hash in a slot. A slot of
// -1 is the end.
type walkPlace struct {
	slot int
	hash uint64
}

// walk hands over about walkBytes of what is unsaved from a place on, and
// returns the place to go on at.
func (st *stripe) walk(s *Snapshot, n int, db *DB, at walkPlace) walkPlace {
	sh := &db.shards[st.number]
	budget := walkBytes
	for sh.slots != nil {
		i := sh.occupied.next(at.slot)
		if i < 0 {
			break
		}
		if i != at.slot {
			at = walkPlace{slot: i}
		}
		seg, _ := st.segmentOf(&sh.slots[i], at.hash)
		st.meet(s, seg)
		refs := seg.refs()
		for len(refs) > 0 {
			some := refs[:min(walkAhead, len(refs))]
			refs = refs[len(some):]
			for _, r := range some {
				if r != 0 && r&savedRef == 0 {
					st.entries.Prefetch(slab.Loc(r&locMask), 0)
					st.entries.Prefetch(slab.Loc(r&locMask), 64)
				}
			}
			for i := range some {
				if some[i] == 0 || some[i]&savedRef != 0 {
					continue
				}
				if budget <= 0 {
					return at // this segment again: what is saved is marked
				}
				budget -= st.save(s, n, &some[i], true)
			}
		}
		// The hash behind the segment's last; 0 behind the slot's.
		if at.hash = seg.after(at.hash); at.hash == 0 {
			at.slot++
		}
		if budget -= 64; budget <= 0 {
			return at
		}
	}
	return walkPlace{slot: -1}
}

// after is the first hash behind those that a segment is for, of which one is
// given; 0 behind the last.
func (s segment) after(hash uint64) uint64 {
	d := s.depth() // shifting by 64 gives 0, as it should
	return (hash>>(64-d) + 1) << (64 - d)
}

// meet notes that the segment takes part in the snapshot. It is called before
// anything in it changes, if it is not met yet.
func (st *stripe) meet(s *Snapshot, seg segment) {
	if uint32(seg.w[1]) != s.number {
		seg.w[1] = uint64(s.number)
		refs := seg.refs()
		for i := range refs {
			refs[i] &^= savedRef
		}
	}
}

// handOver saves the key that is about to change, and meets the segment where
// it is about to be made. (Another key of the same tag goes with it.)
func (st *stripe) handOver(db *DB, seg segment, hash uint64) {
	s := st.ks.snap
	st.meet(s, seg)
	tag := hash >> tagShift
	refs := seg.refs()
	for i := home(tag, seg.depth(), seg.homes()); i < len(refs) && refs[i] != 0 && refs[i]>>tagShift <= tag; i++ {
		if refs[i]>>tagShift != tag || refs[i]&savedRef != 0 {
			continue
		}
		if n := s.numberOf(db); n >= 0 { // else it was made after the start
			st.save(s, n, &refs[i], false)
		}
	}
}

// save hands one key over and returns about how many bytes that were.
func (st *stripe) save(s *Snapshot, n int, ref *uint64, walked bool) (size int) {
	*ref |= savedRef
	var e Entry
	st.readEntry(slab.Loc(*ref&locMask), &e)
	it := Item{DB: n, Walked: walked, Key: e.Key(), Type: e.Type(), Encoding: e.Encoding(), Deadline: e.Deadline(), Clock: e.Clock(), Flags: e.clientFlags()}
	size = len(e.mem) + 32
	if it.Object = e.Object(); it.Object != nil {
		size += int(min(it.Object.Bytes(), walkObject))
	} else {
		it.Packed = e.Packed()
	}
	s.sink(it)
	return size
}
