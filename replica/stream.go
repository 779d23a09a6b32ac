package replica

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"kvd/config"
	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/logf"
	"kvd/resp/wire"
)

// noID stands where there is no second replication id.
var noID = strings.Repeat("0", 40)

// NewID makes a replication id: 40 random hex digits.
func NewID() string {
	var b [20]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Stream is this instance's replication stream: ids, offset and backlog.
//
// Bytes are numbered from 1; the offset is the number of the last one, as in
// INFO's master_repl_offset. A history is named by an id; the second id names
// the history that this one went on from, up to (not including) a byte.
//
// It leads or follows. Leading, it is a reader of the journal, attached once
// there is a backlog, which the first follower brings about; before, an effect
// costs nothing and no byte is numbered. Following, the journal is not read,
// and AppendRaw brings the bytes.
type Stream struct {
	// Instant keeps the offset and the contents together on a follower. The goroutine
	// that applies a leader's stream holds it from the first command of a unit (one
	// command, or MULTI to EXEC) until AppendRaw has its bytes; a snapshot
	// holds it while it begins. It is locked before any stripe. A
	// leader's effects are appended with their stripes locked and do not need it.
	Instant lockrank.Mutex[lockrank.StreamInstant]

	ks  *keyspace.Keyspace
	cfg *config.Config
	log *logf.Logger

	// end is the offset. It is written under mu and read by anyone.
	end atomic.Int64

	// direct is the number of readers that have a send (see Direct); turns is the number of
	// event loops that will call EndTurn, and owed tells them that somebody waits
	// for what was appended. Invariant: an append sets owed before it reads
	// turns, and the end of a turn lowers turns before it reads owed. So at least one of
	// the two wakes the readers.
	direct, turns atomic.Int32
	owed          atomic.Bool

	// mu protects what follows. It is taken with stripes and the journal locked;
	// nobody waits for anything under it but (readers) for more.
	mu        lockrank.Mutex[lockrank.Stream]
	more      sync.Cond // bytes came, or a reader was stopped
	waiting   int       // readers in more.Wait
	id, id2   string
	second    int64 // the byte from which on id2 is not valid, -1 where there is no id2
	following bool
	attached  bool // to the journal
	settled   bool // the start is over: it is known where the history goes on

	selected int  // the database that the stream has selected; -1: say it again
	hushed   int  // see Hush
	unit     bool // Begin has come
	framed   bool // and MULTI is written
	scratch  []byte

	backlog
}

// NewStream makes the stream of a leader, without a backlog.
func NewStream(ks *keyspace.Keyspace, cfg *config.Config, log *logf.Logger) *Stream {
	s := &Stream{ks: ks, cfg: cfg, log: log, id: NewID(), id2: noID, second: -1, selected: -1}
	s.more.L = &s.mu
	s.ahead = aheadBytes
	return s
}

// IDs are the stream's names, its offset, and the first byte for which id2 is
// not valid any more (-1: there is no id2, which is then 40 zeros).
func (s *Stream) IDs() (id, id2 string, offset, second int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id, s.id2, s.end.Load(), s.second
}

// Offset is the number of the last byte.
func (s *Stream) Offset() int64 { return s.end.Load() }

// Create makes an empty backlog unless there is one, under a new id: what was
// changed before was not numbered. All stripes are locked.
func (s *Stream) Create() {
	s.mu.Lock()
	if s.active {
		s.mu.Unlock()
		return
	}
	if !s.following {
		s.id, s.id2, s.second = NewID(), noID, -1
	}
	s.open()
	id, id2 := s.id, s.id2
	s.mu.Unlock()
	s.attach()
	s.log.Noticef("Replication backlog created, my new replication IDs are '%s' and '%s'", id, id2)
}

// Drop frees the backlog if nobody reads it, and takes a new id: what changes
// from now on is not numbered. All stripes are locked.
func (s *Stream) Drop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = true
	if !s.active || s.following || len(s.readers) > 0 {
		return false
	}
	if !s.attached { // nothing was numbered but by LeftOut
		s.end.Store(0)
	}
	s.clear()
	s.active = false
	s.id, s.id2, s.second = NewID(), noID, -1
	s.detach()
	return true
}

// attach and detach keep the journal's list of readers: a leader with a backlog
// reads it. All stripes are locked. The journal calls the stream with its own
// lock held, which is why mu is free while attach runs; detach only asks for
// that lock where nobody can be inside, as all stripes are locked.
func (s *Stream) attach() {
	s.mu.Lock()
	want := s.active && !s.following && !s.attached
	s.attached = s.attached || want
	s.mu.Unlock()
	if want {
		s.ks.Journal.Attach(s)
	}
}

func (s *Stream) detach() {
	if s.attached {
		s.attached = false
		s.mu.Unlock()
		s.ks.Journal.Detach(s)
		s.mu.Lock()
	}
}

// Follow ends leading: effects are not encoded any more, AppendRaw brings the
// stream. Ids, offset and backlog stay, for a leader that knows them may go on
// from there. All stripes are locked.
func (s *Stream) Follow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.following = true
	s.detach()
}

// Following tells whether Follow came after the last Promote.
func (s *Stream) Following() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.following
}

// Adopt takes over a leader's history after a full synchronization: its id, the
// offset of the snapshot, an empty backlog. Readers are stopped; the caller
// drops the followers that they serve.
func (s *Stream) Adopt(id string, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	s.id, s.id2, s.second = id, noID, -1
	s.end.Store(offset)
	s.open()
}

// Rename is what +CONTINUE with a new id says: the present id becomes the
// second one, valid up to the offset, and the history goes on under id. The
// same id changes nothing.
func (s *Stream) Rename(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id != s.id {
		s.id2, s.second, s.id = s.id, s.end.Load()+1, id
	}
}

// Promote ends following (REPLICAOF NO ONE): the history goes on under a new id,
// and the old one becomes the second. All stripes are locked.
func (s *Stream) Promote() {
	s.mu.Lock()
	s.id2, s.second, s.id = s.id, s.end.Load()+1, NewID()
	s.selected = -1
	s.following = false
	s.log.Warningf("Setting secondary replication ID to %s, valid up to offset: %d. New replication ID is %s", s.id2, s.second, s.id)
	s.mu.Unlock()
	s.attach()
}

// Restore goes on from the history that a snapshot file tells of (see Aux),
// before the first client: a leader under a new id, with the old one as the
// second, so that its followers need no full synchronization. What the loading
// has appended (keys that had expired) is numbered from there. All stripes are
// locked.
func (s *Stream) Restore(id string, offset int64) {
	s.mu.Lock()
	s.settled = true
	s.rebase(offset)
	s.id2, s.second = id, offset+1
	if !s.active {
		s.open()
	}
	s.mu.Unlock()
	s.attach()
}

// LeftOut numbers the end of a key that the loading of a file left out, for the
// followers that still have it: Restore or Drop, which follow, say where. No
// stripe is locked.
func (s *Stream) LeftOut(db int, key []byte) {
	s.mu.Lock()
	if !s.active && !s.settled {
		s.open()
	}
	s.mu.Unlock()
	s.Effect(keyspace.Effect{DB: db, Args: [][]byte{delWord, key}})
}

var delWord = []byte("DEL")

// ChangeID gives the history a new name that nobody knows.
func (s *Stream) ChangeID() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id = NewID()
}

// ForgetSecond forgets the second id.
func (s *Stream) ForgetSecond() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id2, s.second = noID, -1
}

// Aux are the facts of a snapshot's head that say which point of which history
// its contents are, in pairs of name and value; nil where there is no backlog,
// because then nothing is numbered. It is called at the snapshot's instant: all
// stripes are locked.
func (s *Stream) Aux() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.active {
		return nil
	}
	return []string{"repl-stream-db", strconv.Itoa(max(s.selected, 0)), "repl-id", s.id, "repl-offset", strconv.FormatInt(s.end.Load(), 10)}
}

// Selected says which database the leader's stream has selected, which Aux tells
// a follower's own snapshots.
func (s *Stream) Selected(db int) {
	s.mu.Lock()
	s.selected = db
	s.mu.Unlock()
}

// AppendRaw appends a leader's bytes as they came: whole units, for a snapshot
// may begin behind them. A follower without a backlog gets one.
func (s *Stream) AppendRaw(b []byte) {
	s.mu.Lock()
	if !s.active {
		s.open()
	}
	s.put(b)
	s.wake()
	s.mu.Unlock()
}

// Ping and GetAck append what stands in replication streams only.
func (s *Stream) Ping()   { s.control(pingCommand) }
func (s *Stream) GetAck() { s.control(getAckCommand) }

var (
	pingCommand   = []byte("*1\r\n$4\r\nPING\r\n")
	getAckCommand = []byte("*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n")
)

// Hush has Ping and GetAck append nothing while on, until all who asked for it have
// taken it back: a failover waits for a follower that has every byte, and the offset
// in the file that a shutdown writes is to be the last one.
func (s *Stream) Hush(on bool) {
	s.mu.Lock()
	if on {
		s.hushed++
	} else {
		s.hushed--
	}
	s.mu.Unlock()
}

// control appends bytes of the leader's own where they do not stand in a unit.
func (s *Stream) control(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active && !s.following && !s.unit && s.hushed == 0 {
		s.put(b)
		s.wake()
	}
}

// Effect encodes an effect (see keyspace.JournalReader).
func (s *Stream) Effect(e keyspace.Effect) {
	if e.Local {
		return
	}
	db, args := e.DB, e.Args
	s.mu.Lock()
	b := s.scratch[:0]
	if db != s.selected {
		s.selected = db
		b = wire.AppendSelect(b, db)
	}
	if s.unit && !s.framed {
		s.framed = true
		b = append(b, wire.Multi...)
	}
	b = wire.AppendHeader(b, '*', int64(len(args)))
	for _, a := range args {
		b = wire.AppendHeader(b, '$', int64(len(a)))
		if len(a) > gather {
			s.put(b)
			s.put(a)
			b = b[:0]
		} else {
			b = append(b, a...)
		}
		b = append(b, "\r\n"...)
		if len(b) > gather { // or a long command would be moved again and again as it grows
			s.put(b)
			b = b[:0]
		}
	}
	s.put(b)
	s.scratch = b[:0]
	if !s.unit {
		s.wake()
	}
	s.mu.Unlock()
}

// gather is the size up to which arguments are copied together before they are
// appended.
const gather = 4 << 10

// Begin and End frame a unit.
func (s *Stream) Begin() {
	s.mu.Lock()
	s.unit = true
	s.mu.Unlock()
}

// End see Begin.
func (s *Stream) End() {
	s.mu.Lock()
	if s.framed {
		s.put([]byte(wire.Exec))
		s.wake()
	}
	s.unit, s.framed = false, false
	s.mu.Unlock()
}

// wake tells the readers that wait, or leaves that to the end of a turn; mu is
// locked.
func (s *Stream) wake() {
	if s.waiting == 0 {
		return
	}
	if s.owed.Store(true); s.turns.Load() == 0 {
		s.owed.Store(false)
		s.more.Broadcast()
	}
}
