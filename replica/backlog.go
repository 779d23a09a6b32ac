package replica

import (
	"errors"
	"io"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"kvd/config"
)

const (
	// slotSize is the most bytes of a block, and what one takes in the file.
	slotSize = 64 << 10
	// aheadBytes is how much beyond repl-backlog-size is kept in memory for slow
	// followers before the oldest goes to the file.
	aheadBytes = 16 << 20
	// spareBlocks is how many free blocks are kept: where all goes its usual way,
	// one is dropped whenever one is needed.
	spareBlocks = 1
)

// backlog is the end of the stream that is still there: the last
// repl-backlog-size bytes, and whatever a reader still has to read.
//
// Its blocks follow each other without a gap. A block's bytes never change once
// written, so readers use them without a lock. Where the readers are far behind,
// the oldest blocks move to a file: those form a prefix, and a goroutine of its
// own writes them, so no append waits for the disk.
type backlog struct {
	active   bool
	blocks   []*block
	first    int64 // number of the first byte that is there; end+1 where there is none
	inMemory int64 // bytes of the blocks in memory, by their capacity
	filed    int   // blocks in the file, the first ones
	filedLen int64 // and their bytes; a slot has room for the largest block
	spare    [][]byte
	readers  []*Reader
	left     int // readers that have left but are not closed: one may still use a block

	ahead     int64 // aheadBytes, less in tests
	spilling  bool
	file      *os.File
	slots     int   // of the file
	freeSlots []int // of the file
	fileError bool  // the file cannot be written; nothing more goes there
}

// block is a run of bytes.
type block struct {
	first int64  // number of its first byte
	n     int    // bytes
	data  []byte // nil: in the file
	slot  int    // in the file
	moves bool   // the spilling goroutine reads data
	gone  bool   // nobody needs it any more
}

// Reader reads the stream from some byte on. One goroutine uses it; Stop may be
// called by anyone.
type Reader struct {
	s       *Stream
	pos     int64            // number of the next byte to read; under s.mu
	given   int              // bytes that the last Next returned
	stopped bool             // under s.mu
	idle    bool             // its goroutine waits in Next; under s.mu
	lent    bool             // a loop sends in its place, and it stays idle; under s.mu
	send    func([]byte) int // see Direct; under s.mu
	over    bool             // stopped because of client-output-buffer-limit
	left    bool             // see Leave; under s.mu
	soft    time.Time
	onStop  func()
}

// ErrStopped is returned to a Reader that was stopped.
var ErrStopped = errors.New("the replication stream ended for this reader")

// open makes an empty backlog; mu is locked.
func (s *Stream) open() {
	s.active = true
	s.first = s.end.Load() + 1
}

// clear forgets all bytes and stops the readers; mu is locked.
func (s *Stream) clear() {
	for _, r := range s.readers {
		s.stop(r)
	}
	for len(s.blocks) > 0 {
		s.dropBlock()
	}
	s.first = s.end.Load() + 1
	s.spare = nil
}

// rebase moves the numbers of all bytes by n; mu is locked, and there is no
// reader.
func (s *Stream) rebase(n int64) {
	s.end.Add(n)
	s.first += n
	for _, b := range s.blocks {
		b.first += n
	}
}

// put appends bytes; mu is locked. Without a backlog nothing is numbered.
func (s *Stream) put(p []byte) {
	if !s.active {
		return
	}
	n := int64(len(p))
	for len(p) > 0 {
		var t *block
		if k := len(s.blocks); k > 0 {
			t = s.blocks[k-1]
		}
		if t == nil || t.n == cap(t.data) {
			t = s.addBlock(s.end.Load() + n - int64(len(p)) + 1)
		}
		k := copy(t.data[t.n:cap(t.data)], p)
		t.n += k
		p = p[k:]
	}
	s.end.Add(n)
}

// addBlock begins a block whose first byte has the number first.
func (s *Stream) addBlock(first int64) *block {
	s.trim(first - 1)
	size := int(min(max(s.cfg.ReplBacklogSize.Load()/16, 16<<10), slotSize))
	b := &block{first: first, slot: -1}
	for n := len(s.spare); n > 0 && b.data == nil; n = len(s.spare) {
		if cap(s.spare[n-1]) == size {
			b.data = s.spare[n-1]
		}
		s.spare = s.spare[:n-1]
	}
	if b.data == nil {
		b.data = make([]byte, size)
	}
	s.blocks = append(s.blocks, b)
	s.inMemory += int64(size)
	s.checkLimits(first-1, time.Time{})
	s.startSpill()
	return b
}

// trim drops the first blocks that neither the configured size nor a reader
// needs; end is the number of the last byte.
func (s *Stream) trim(end int64) {
	keep := end - s.cfg.ReplBacklogSize.Load() + 1
	for _, r := range s.readers {
		keep = min(keep, r.pos)
	}
	for len(s.blocks) > 1 && s.blocks[1].first <= keep {
		s.dropBlock()
	}
}

// Trim gives back what is not needed any more.
func (s *Stream) Trim() {
	s.mu.Lock()
	s.trim(s.end.Load())
	s.mu.Unlock()
}

// dropBlock drops the first block.
func (s *Stream) dropBlock() {
	b := s.blocks[0]
	s.blocks[0] = nil
	s.blocks = s.blocks[1:]
	b.gone = true
	s.first = b.first + int64(b.n)
	switch {
	case b.data == nil:
		s.filed--
		s.filedLen -= int64(b.n)
		s.freeSlots = append(s.freeSlots, b.slot)
		s.closeFile()
	default:
		s.inMemory -= int64(cap(b.data))
		if !b.moves && s.left == 0 && len(s.spare) < spareBlocks {
			s.spare = append(s.spare, b.data)
		}
	}
}

// NewReader makes a reader whose first byte has the number pos; false: the
// backlog does not reach back so far, or that byte is not the next one either.
// onStop is called (on a goroutine of its own) when the reader is stopped.
func (s *Stream) NewReader(pos int64, onStop func()) (*Reader, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newReader(pos, onStop)
}

func (s *Stream) newReader(pos int64, onStop func()) (*Reader, bool) {
	if !s.active || pos < s.first || pos > s.end.Load()+1 {
		return nil, false
	}
	r := &Reader{s: s, pos: pos, onStop: onStop}
	s.readers = append(s.readers, r)
	return r, true
}

// Resume makes a reader for a follower that has the history id up to the byte
// before pos. why says, where there is none, what is in the way, for the log.
func (s *Stream) Resume(id string, pos int64, onStop func()) (r *Reader, why Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.EqualFold(id, s.id) && (!strings.EqualFold(id, s.id2) || s.second < 0 || pos > s.second) {
		if strings.EqualFold(id, s.id2) && s.second >= 0 {
			return nil, BeyondSecond
		}
		return nil, OtherHistory
	}
	r, ok := s.newReader(pos, onStop)
	if !ok {
		return nil, NoBacklog
	}
	return r, Resumed
}

// Refusal says why a partial synchronization is not possible.
type Refusal int

// The refusals.
const (
	Resumed      Refusal = iota
	OtherHistory         // the id is not known
	BeyondSecond         // the histories part before that byte
	NoBacklog            // the bytes are not there any more, or not yet
)

// Next waits for bytes and returns some; they are valid until the next call,
// which says that they are not needed any more. buf is for what lies in the
// file, and of slotSize bytes at least.
func (r *Reader) Next(buf []byte) ([]byte, error) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	r.advance(r.given)
	r.given = 0
	for r.lent || !r.stopped && r.pos > s.end.Load() {
		r.idle = true
		s.waiting++
		s.more.Wait()
		s.waiting--
		r.idle = false
	}
	if r.stopped {
		return nil, ErrStopped
	}
	b := s.blockOf(r.pos)
	at := int(r.pos - b.first)
	r.given = b.n - at
	if b.data != nil {
		return b.data[at:b.n:b.n], nil
	}
	// The slot stays as it is while this reader has not passed it or left.
	f, off, n := s.file, int64(b.slot)*slotSize+int64(at), r.given
	s.mu.Unlock()
	_, err := f.ReadAt(buf[:n], off)
	s.mu.Lock()
	if r.left { // the slot may be another block's by now
		return nil, ErrStopped
	}
	if err != nil && err != io.EOF {
		return nil, err
	}
	return buf[:n], nil
}

// blockOf returns the block that has a byte; s.mu is locked.
func (s *Stream) blockOf(pos int64) *block {
	return s.blocks[sort.Search(len(s.blocks), func(i int) bool { return s.blocks[i].first > pos })-1]
}

// advance says that n more bytes are not needed by this reader; s.mu is locked.
func (r *Reader) advance(n int) {
	s, was := r.s, r.pos
	r.pos += int64(n)
	// A block is free only where its last reader leaves it.
	if len(s.blocks) > 1 && s.blocks[1].first > was && s.blocks[1].first <= r.pos {
		s.trim(s.end.Load())
	}
}

// Lag is the number of bytes that the reader has not read yet.
func (r *Reader) Lag() int64 {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.end.Load() - r.pos + 1
}

// Stop makes Next return ErrStopped. The bytes that it returned last stay valid.
func (r *Reader) Stop() {
	r.s.mu.Lock()
	r.s.stop(r)
	r.s.mu.Unlock()
}

func (s *Stream) stop(r *Reader) {
	if !r.stopped {
		r.stopped = true
		s.more.Broadcast()
		if r.onStop != nil {
			go r.onStop()
		}
	}
}

// Leave stops the reader and gives its place up: nothing is kept for it any
// more, but the memory that it may have in use. Anyone may call it; Close still
// follows.
func (r *Reader) Leave() {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop(r)
	if i := slices.Index(s.readers, r); i >= 0 {
		r.left = true
		s.left++
		s.dropReader(i)
	}
}

// dropReader forgets the i-th reader, and what only it needed; mu is locked.
func (s *Stream) dropReader(i int) {
	s.readers = slices.Delete(s.readers, i, i+1)
	s.trim(s.end.Load())
}

// Close ends the reader. Only its goroutine calls it.
func (r *Reader) Close() {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	r.stopped = true
	if r.left {
		r.left = false
		s.left--
	} else if i := slices.Index(s.readers, r); i >= 0 {
		s.dropReader(i)
	}
	if r.send != nil {
		r.send = nil
		s.direct.Add(-1)
	}
}

// checkLimits stops readers that make us hold more memory than
// client-output-buffer-limit allows: what lies in the file does not count, nor
// what the backlog holds anyway. A zero time is passed by appends, which
// come often and do not look at the clock.
func (s *Stream) checkLimits(end int64, now time.Time) {
	if len(s.readers) == 0 {
		return
	}
	lim := s.cfg.ClientOutputBufferLimit.Load()[config.ClassReplica]
	least := uint64(s.cfg.ReplBacklogSize.Load() + s.ahead)
	memory := s.first
	if s.filed > 0 && s.filed < len(s.blocks) {
		memory = s.blocks[s.filed].first
	}
	for _, r := range s.readers {
		held := end - max(r.pos, memory) + 1
		switch {
		case lim.Hard > 0 && held > 0 && uint64(held) > max(lim.Hard, least):
			r.over = true
			s.stop(r)
		case now.IsZero():
		case lim.Soft == 0 || held <= 0 || uint64(held) <= max(lim.Soft, least):
			r.soft = time.Time{}
		case r.soft.IsZero():
			r.soft = now
		case now.Sub(r.soft) > time.Duration(lim.SoftSeconds)*time.Second:
			r.over = true
			s.stop(r)
		}
	}
}

// CheckLimits applies client-output-buffer-limit as of now.
func (s *Stream) CheckLimits(now time.Time) {
	s.mu.Lock()
	s.checkLimits(s.end.Load(), now)
	s.mu.Unlock()
}

// Over tells whether the reader was stopped by client-output-buffer-limit.
func (r *Reader) Over() bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.over
}

// startSpill has the oldest blocks moved to the file where too much is in
// memory.
func (s *Stream) startSpill() {
	if !s.spilling && s.wantsSpill() {
		s.spilling = true
		go s.spill()
	}
}

func (s *Stream) wantsSpill() bool {
	return len(s.readers) > 0 && !s.fileError && s.filed < len(s.blocks)-1 && s.inMemory > s.cfg.ReplBacklogSize.Load()+s.ahead &&
		s.filedLen+slotSize <= s.cfg.ReplBacklogFileLimit.Load()
}

// spill moves blocks to the file until little enough is in memory.
func (s *Stream) spill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.spilling = false; s.closeFile() }()
	for s.wantsSpill() {
		b := s.blocks[s.filed]
		slot := s.slots
		if n := len(s.freeSlots); n > 0 {
			slot, s.freeSlots = s.freeSlots[n-1], s.freeSlots[:n-1]
		} else {
			s.slots++
		}
		b.moves = true
		f := s.file
		s.mu.Unlock()
		var err error
		if f == nil {
			f, err = s.tempFile()
		}
		if err == nil {
			_, err = f.WriteAt(b.data[:b.n], int64(slot)*slotSize)
		}
		s.mu.Lock()
		s.file = f
		b.moves = false
		switch {
		case err != nil:
			s.log.Warningf("The replication backlog cannot go on in a file: %v", err)
			s.fileError = true
			s.freeSlots = append(s.freeSlots, slot)
			return
		case b.gone:
			s.freeSlots = append(s.freeSlots, slot)
		default:
			s.inMemory -= int64(cap(b.data))
			b.slot, b.data = slot, nil // a reader may still have the memory
			s.filed++
			s.filedLen += int64(b.n)
		}
	}
}

// tempFile opens a file without a name in the directory of data files.
func (s *Stream) tempFile() (*os.File, error) {
	dir, err := s.cfg.Dir.Path()
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "temp-repl-backlog-*")
	if err == nil {
		os.Remove(f.Name())
	}
	return f, err
}

// closeFile gives the file back where nothing is in it any more.
func (s *Stream) closeFile() {
	if s.filed > 0 || s.spilling {
		return
	}
	if s.file != nil {
		s.file.Close()
	}
	s.file, s.slots, s.freeSlots, s.fileError = nil, 0, nil, false
}

// BacklogInfo is what INFO shows of the backlog, in bytes.
type BacklogInfo struct {
	Active  bool
	First   int64 // number of the first byte; 0 without a backlog
	Length  int64
	Memory  int64 // in use
	Beyond  int64 // of Memory, what is held for slow followers only
	InFile  int64
	Readers int
}

// Backlog is the state of the backlog.
func (s *Stream) Backlog() (b BacklogInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.active {
		return
	}
	b = BacklogInfo{Active: true, First: s.first, Length: s.end.Load() - s.first + 1, Memory: s.inMemory, Readers: len(s.readers), InFile: s.filedLen}
	b.Beyond = max(0, s.inMemory-s.cfg.ReplBacklogSize.Load())
	return
}
