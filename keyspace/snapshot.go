package keyspace

import (
	"errors"

	"kvd/types"
	"kvd/types/slab"
)

// Item is one key of a snapshot as it stands in the stripe: Key, Packed and
// Object are valid during the call only. Who needs an Object for longer takes
// a Copy.
type Item struct {
	DB int
	// Forced: a writer hands it over and waits, so no time is to be spent on it.
	Forced   bool
	Key      []byte
	Type     types.Type
	Encoding types.Encoding
	Packed   []byte
	Object   types.Object
	Deadline int64
	Clock    uint32
}

// Snapshot is one instant of all databases, written while they go on changing.
//
// The hash range of every segment is divided into 64 parts. The segment notes
// the number of the last snapshot that met it and which parts that snapshot
// has. Whoever is about to change a key of a part that the running snapshot
// does not have yet hands the part over first, as it stands; the walker takes
// the parts that nobody touched. A number that is lower than the running one
// means that nothing is saved, so a snapshot given up half way leaves nothing
// to repair.
type Snapshot struct {
	ks     *Keyspace
	number uint32
	dbs    []*DB // as they stood at the start, by their number then
	// sink receives the items; it is called with a stripe locked, by writers
	// and by the walker, and must not wait.
	sink func(Item)
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
	s.dbs = append(s.dbs, ks.dbs...)
	ks.active, ks.snap = true, s
	if at != nil {
		at()
	}
	return s, nil
}

// pins tells whether the snapshot needs a database.
func (s *Snapshot) pins(db *DB) bool { return s.numberOf(db) >= 0 }

func (s *Snapshot) numberOf(db *DB) int {
	for i, d := range s.dbs {
		if d == db {
			return i
		}
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

// walkBytes is what the walker copies without letting go of a stripe.
const walkBytes = 32 << 10

// Walk hands over all that no writer has handed over. between is called
// without any lock after every few dozen microseconds of walking; where it
// returns false the walk ends early. The snapshot is whole when Walk is true.
func (s *Snapshot) Walk(between func() bool) bool {
	ks := s.ks
	for n, db := range s.dbs {
		for i := range ks.stripes {
			st := &ks.stripes[i]
			for slot := 0; slot >= 0; {
				st.lock()
				slot = st.walk(s, n, db, slot)
				st.unlock()
				if between != nil && !between() {
					return false
				}
			}
		}
	}
	return true
}

// walk takes unsaved parts from slot number i of the shard on, and returns the
// slot to go on with, -1 at the end.
func (st *stripe) walk(s *Snapshot, n int, db *DB, i int) int {
	sh := &db.shards[st.number]
	budget := walkBytes
	for ; sh.slots != nil; i++ {
		if i = sh.occupied.next(i); i < 0 {
			break
		}
		st.eachSegment(&sh.slots[i], func(seg segment) {
			if budget <= 0 {
				return
			}
			budget -= 64
			st.meet(s, seg)
			for part := 0; part < 64 && budget > 0; part++ {
				if seg.w[2]>>part&1 == 0 {
					budget -= st.save(s, n, seg, part, false)
				}
			}
		})
		if budget <= 0 {
			return i // again: what is saved is marked
		}
	}
	return -1
}

// meet notes that the segment takes part in the snapshot.
func (st *stripe) meet(s *Snapshot, seg segment) {
	if uint32(seg.w[1]) != s.number {
		seg.w[1] = uint64(s.number)
		seg.w[2] = 0
	}
}

// partOf is the 64th of the segment's range that a hash lies in.
func (seg segment) partOf(hash uint64) int {
	return int(hash >> tagShift << tagShift << seg.depth() >> 58)
}

// handOver saves the part of a segment that is about to change.
func (st *stripe) handOver(db *DB, sl *slot, seg segment, hash uint64) {
	s := st.ks.snap
	st.meet(s, seg)
	part := seg.partOf(hash)
	if seg.w[2]>>part&1 == 1 {
		return
	}
	n := s.numberOf(db)
	if n < 0 { // made after the start
		seg.w[2] |= 1 << part
		return
	}
	st.save(s, n, seg, part, true)
}

// save hands one part over and returns about how many bytes that were.
func (st *stripe) save(s *Snapshot, n int, seg segment, part int, forced bool) (size int) {
	seg.w[2] |= 1 << part
	refs := seg.refs()
	// The part's first home; what lies before it belongs to earlier parts.
	first := home(uint64(part)<<(tagBits-6)>>seg.depth(), seg.depth(), seg.homes())
	end := first
	for ; end < len(refs); end++ { // all cache misses side by side
		r := refs[end]
		if r == 0 {
			continue
		}
		if p := seg.partOf(r); p < part {
			first = end + 1
			continue
		} else if p > part {
			break
		}
		st.entries.Prefetch(slab.Loc(r&locMask), 0)
		st.entries.Prefetch(slab.Loc(r&locMask), 64)
	}
	size = 16
	for _, r := range refs[first:end] {
		if r == 0 {
			continue
		}
		e := st.entryAt(slab.Loc(r & locMask))
		it := Item{DB: n, Forced: forced, Key: e.Key(), Type: e.Type(), Encoding: e.Encoding(), Deadline: e.Deadline(), Clock: e.Clock()}
		if it.Object = e.Object(); it.Object == nil {
			it.Packed = e.Packed()
		}
		size += len(e.mem) + 32
		s.sink(it)
	}
	return size
}
