package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/persist/rdb"
	"kvd/resp/wire"
	"kvd/types"
	"kvd/types/stream"
)

// The opcodes of a file's frame, which stand where a value's type may stand.
// Source: RDB_OPCODE_... in Redis's src/rdb.h; 244 is of Redis 7.4.
const (
	opKeyMeta      = 243 // what modules know of the next key; of Redis 8.6
	opSlotInfo     = 244 // slot, keys and volatile keys in it
	opFunction     = 245 // code of a library of functions
	opFunctionOld  = 246 // likewise, as 7.0's candidates wrote it
	opModuleAux    = 247
	opIdle         = 248 // seconds since the next key's last access
	opFreq         = 249 // counter of accesses of the next key, a byte
	opAux          = 250 // name, value
	opResizeDB     = 251 // keys and volatile keys in the database
	opExpireMillis = 252 // deadline of the next key, Unix ms, 8 bytes little endian
	opExpire       = 253 // likewise, Unix seconds, 4 bytes
	opSelectDB     = 254
	opEOF          = 255 // 8 bytes of checksum follow since version 5
)

// auxActive says of the stream that follows what its form has no room for: Redis passes over
// facts that it does not know, wherever they stand.
const auxActive = "kvd-stream-active"

// auxInstant is the moment of which the file holds the data, in Unix milliseconds.
const auxInstant = "kvd-instant"

// header begins a file: 4 digits of version follow. Valkey's own versions, from
// 80 on, have another one and 3 digits.
const (
	header       = "REDIS"
	headerValkey = "VALKEY"
)

// isSnapshot tells whether a file that begins with b, at least sniff bytes of it,
// is RDB.
func isSnapshot(b []byte) bool {
	return bytes.HasPrefix(b, []byte(header)) || bytes.HasPrefix(b, []byte(headerValkey))
}

// sniff is the length of the longest header.
const sniff = len(headerValkey)

const (
	// chunkSize is how many bytes are gathered before they are queued.
	chunkSize = 64 << 10
	chunkRoom = chunkSize + chunkSize/4
	// aheadBytes is how far the walker may be ahead of the disk.
	aheadBytes = 4 << 20
	// spillBytes is how much may wait in memory; what writers hand over beyond
	// that goes to a second file until the disk is ready for it.
	spillBytes = 8 << 20
	// spareChunks are kept to be filled again. Those that are not are garbage.
	spareChunks = 64
	// laterBytes is the size from which on an Object is not coded with the
	// stripe locked: a copy, which takes no time, is queued instead.
	laterBytes = 16 << 10
	// syncBytes is how much is written between two syncs, so that the last one
	// is short and the system holds little unwritten (rdb-save-incremental-fsync).
	syncBytes = 4 << 20
)

// settings of one snapshot.
type settings struct {
	disk     Disk
	path     string    // of the temporary file
	stream   io.Writer // where there is to be no file
	spill    string    // of the second temporary file
	compress bool
	checksum bool
	syncs    bool // as the file grows
	// Which access clock is written with each key, if any.
	idle, freq bool
	decayed    func(clock uint32) byte
	spillBytes int64
	// commands: the file is no RDB file but commands that make the keys.
	commands bool
	// processors is the list of those on which it is written; see keyspace.RunOn.
	processors string
	// noFieldDeadlines: see rdb.Encoder; 0 writes them.
	noFieldDeadlines int64
}

// output is a snapshot on its way to the disk.
//
// add and finish code into chunks and append them to queue; drain, in a
// goroutine of its own, takes from queue and writes. Where too much waits,
// spillOver moves chunks from the back of the queue to a file.
type output struct {
	settings
	now int64 // Unix seconds at the instant

	// walked codes what the walker hands over. It is the walker's own, so the walker
	// needs mu only where a chunk is full; before the walk Saver.begin's, and
	// after it finish's.
	walked coder

	// mu protects what follows. It is taken with stripes locked, and held for
	// coding and copying in memory only.
	mu     lockrank.Mutex[lockrank.SnapshotOutput]
	handed coder // codes what writers hand over
	queue  []*piece
	bytes  int64 // in memory: the chunks in queue
	later  int64 // and the Objects, though they are the keyspace's memory, mostly
	spare  [][]byte
	ended  bool
	more   sync.Cond // the queue grew, or ended
	less   sync.Cond // the queue shrank, or failed

	spilling  bool
	spillFile File
	spillEnd  int64

	processed atomic.Int64 // keys
	failed    atomic.Bool  // err is set, or the snapshot is given up: what comes is dropped
	err       error        // under mu
	done      chan struct{}

	// These belong to drain.
	file    File      // nil where the snapshot goes to a stream
	to      io.Writer // the file or the stream
	sum     uint64
	written int64
	synced  int64
}

// piece is a part of the file: a chunk in memory, or n bytes at off in the
// second file, or an Object of n bytes.
type piece struct {
	data  []byte
	off   int64
	n     int
	noted []rdb.Span // strings to be compressed
	// taken: drain has it; spilling: it is being copied to the second file.
	// Its data serves both then.
	taken, spilling bool

	obj types.Object
	typ types.Type
	enc types.Encoding
	// Of commands only:
	key      []byte
	deadline int64
	flags    uint32
}

// coder codes keys and values into a chunk, with stripes locked; drain
// compresses. The chunks of several coders may follow each other in any order:
// each selects its database itself.
type coder struct {
	rdb.Encoder
	cmds  commander
	chunk []byte
	db    int // selected in the chunk; -1 none
}

// errAborted: somebody has ended the snapshot before it was whole.
var errAborted = errors.New("the snapshot was given up")

// errPartial: it was wanted while the contents were being replaced.
var errPartial = fmt.Errorf("the contents are being replaced: %w", errAborted)

func newOutput(s settings) *output {
	o := &output{settings: s, now: time.Now().Unix(), done: make(chan struct{})}
	o.more.L, o.less.L = &o.mu, &o.mu
	for _, c := range []*coder{&o.walked, &o.handed} {
		c.Later, c.NoFieldDeadlines, c.Streams19 = s.compress, s.noFieldDeadlines, true
		c.chunk, c.db = make([]byte, 0, chunkRoom), -1
	}
	if o.spillBytes == 0 {
		o.spillBytes = spillBytes
	}
	if !o.commands {
		o.walked.chunk = fmt.Appendf(append(o.walked.chunk, header...), "%04d", rdb.Version)
	}
	return o
}

// withFieldDeadlines makes the file one of the version that has deadlines of
// fields. It, aux and size are called at the instant at the latest, and begin
// then: what they make goes before all keys.
func (o *output) withFieldDeadlines() {
	if !o.commands {
		copy(o.walked.chunk[len(header):], fmt.Sprintf("%04d", rdb.VersionTTL))
	}
}

// aux appends a fact about the file.
func (o *output) aux(name, value string) {
	if o.commands {
		return
	}
	var plain rdb.Encoder
	b := plain.AppendString(append(o.walked.chunk, opAux), []byte(name))
	o.walked.chunk = plain.AppendString(b, []byte(value))
}

// Facts that are scripts: those that SCRIPT LOAD has brought, and those of EVAL alone.
// Servers pass over names that they do not know. "lua", which Redis up to 6.2 wrote, is
// passed over as well, as Redis 7 does.
const (
	auxScript = "kvd-script"
	auxEval   = "kvd-eval"
)

// script appends a script that is kept for good.
func (o *output) script(text string) {
	if o.commands {
		o.walked.chunk = wire.AppendCommand(o.walked.chunk, "SCRIPT", "LOAD", text)
		return
	}
	o.aux(auxScript, text)
}

// function appends a library of functions.
func (o *output) function(text string) {
	if o.commands {
		o.walked.chunk = wire.AppendCommand(o.walked.chunk, "FUNCTION", "LOAD", text)
		return
	}
	var plain rdb.Encoder
	o.walked.chunk = plain.AppendString(append(o.walked.chunk, opFunction), []byte(text))
}

// size tells the loader of the file how many keys a database has, and how many of
// these are volatile. It comes after all facts.
func (o *output) size(db, keys, volatile int) {
	if o.commands || keys == 0 {
		return
	}
	b := rdb.AppendLength(append(o.walked.chunk, opSelectDB), uint64(db))
	b = rdb.AppendLength(append(b, opResizeDB), uint64(keys))
	o.walked.chunk = rdb.AppendLength(b, uint64(volatile))
}

// begin ends what stands before the keys.
func (o *output) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cut(&o.walked)
}

// add is the snapshot's sink: the key's stripe is locked.
func (o *output) add(it keyspace.Item) {
	if o.failed.Load() {
		return
	}
	c := &o.walked
	if !it.Walked {
		c = &o.handed
		o.mu.Lock()
		defer o.mu.Unlock()
	}
	later := it.Object != nil && it.Object.Bytes() >= laterBytes
	switch {
	case o.commands:
		if it.DB != c.db {
			c.chunk = wire.AppendSelect(c.chunk, it.DB)
			c.db = it.DB
		}
		if !later {
			c.chunk = c.cmds.value(c.chunk, it.Key, it.Type, it.Encoding, it.Packed, it.Object, it.Deadline, it.Flags)
		}
	default:
		o.head(c, &it)
		if !later {
			c.chunk = c.EncodeValue(c.chunk, it.Type, it.Encoding, it.Packed, it.Object)
		}
	}
	o.processed.Add(1)
	if !later && len(c.chunk) < chunkSize {
		return
	}
	if it.Walked {
		o.mu.Lock()
		defer o.mu.Unlock()
	}
	o.cut(c)
	if later { // nothing comes between it and its head
		p := &piece{obj: it.Object.Copy(), typ: it.Type, enc: it.Encoding}
		p.n = int(p.obj.Bytes())
		o.later += int64(p.n)
		if o.commands {
			p.key, p.deadline, p.flags = bytes.Clone(it.Key), it.Deadline, it.Flags
		}
		o.push(p)
	}
}

// clientFlags is the name of the fact that stands before a key whose value a client of
// memcached keeps flags with: their decimal. A loader that does not know it skips it,
// as Redis does wherever it stands.
const clientFlags = "kvd-mc"

// head codes all that stands before a value.
func (o *output) head(c *coder, it *keyspace.Item) {
	b := c.chunk
	if it.DB != c.db {
		b = rdb.AppendLength(append(b, opSelectDB), uint64(it.DB))
		c.db = it.DB
	}
	if it.Flags != 0 {
		var room [10]byte
		b = rdb.AppendLength(append(b, opAux), uint64(len(clientFlags)))
		b = append(b, clientFlags...)
		text := strconv.AppendUint(room[:0], uint64(it.Flags), 10)
		b = append(rdb.AppendLength(b, uint64(len(text))), text...)
	}
	if it.Type == types.TStream && c.ValueType(it.Type, it.Encoding, it.Packed, it.Object) == rdb.TypeStream2 {
		if active := rdb.StreamActive(it.Object.(*stream.Stream)); active != nil {
			var plain rdb.Encoder
			b = plain.AppendString(append(b, opAux), []byte(auxActive))
			b = plain.AppendString(b, active)
		}
	}
	if it.Deadline != 0 {
		b = binary.LittleEndian.AppendUint64(append(b, opExpireMillis), uint64(it.Deadline))
	}
	if o.idle {
		idle := (uint32(o.now) - it.Clock) & 0xFFFFFF
		if idle > 0x7FFFFF {
			idle = 0 // touched after the instant's second was read
		}
		b = rdb.AppendLength(append(b, opIdle), uint64(idle))
	}
	if o.freq {
		b = append(b, opFreq, o.decayed(it.Clock))
	}
	t := c.ValueType(it.Type, it.Encoding, it.Packed, it.Object)
	c.chunk = c.AppendString(append(b, t), it.Key)
}

// cut queues the coder's chunk; mu is locked.
func (o *output) cut(c *coder) {
	if len(c.chunk) == 0 {
		return
	}
	p := &piece{data: c.chunk, n: len(c.chunk), noted: slices.Clone(c.Noted)}
	o.push(p)
	c.Noted, c.db = c.Noted[:0], -1
	o.bytes += int64(len(c.chunk))
	if len(c.chunk) < chunkRoom/8 { // mostly the head of an Object, of which there may be many
		p.data, c.chunk = bytes.Clone(c.chunk), c.chunk[:0]
	} else if n := len(o.spare); n > 0 {
		c.chunk, o.spare = o.spare[n-1], o.spare[:n-1]
	} else {
		c.chunk = make([]byte, 0, chunkRoom)
	}
	if o.bytes > o.spillBytes && !o.spilling {
		o.spilling = true
		go o.spillOver()
	}
}

func (o *output) push(p *piece) {
	o.queue = append(o.queue, p)
	o.more.Signal()
}

// reuse keeps the memory of a chunk that has been written; mu is locked.
func (o *output) reuse(b []byte) {
	if len(o.spare) < spareChunks && cap(b) >= chunkRoom && cap(b) <= 2*chunkSize {
		o.spare = append(o.spare, b[:0])
	}
}

// wait holds the walker until the disk has nearly caught up; it returns false
// when the snapshot has failed. No lock is held.
func (o *output) wait() bool {
	o.mu.Lock()
	if o.ahead() {
		for !o.near() && !o.failed.Load() {
			o.less.Wait()
		}
	}
	o.mu.Unlock()
	return !o.failed.Load()
}

// ahead tells whether the disk is so far behind that the walker has to wait; mu
// is locked.
func (o *output) ahead() bool { return o.bytes+o.later > min(aheadBytes, o.spillBytes) }

// near tells whether so little is left to write that a waiting walker goes on:
// not with each piece that is written; mu is locked.
func (o *output) near() bool { return o.bytes+o.later <= min(aheadBytes, o.spillBytes)/2 }

// wake wakes a waiting walker where that is so; mu is locked.
func (o *output) wake() {
	if o.near() {
		o.less.Broadcast()
	}
}

// fail ends the snapshot; the first error stays. mu must not be locked.
func (o *output) fail(err error) {
	o.mu.Lock()
	if o.err == nil {
		o.err = err
	}
	o.failed.Store(true)
	o.less.Broadcast()
	o.more.Signal()
	o.mu.Unlock()
}

// finish says that all keys were added, and waits for the file; the error says
// why there is none. After an abort it only clears away.
func (o *output) finish() error {
	o.mu.Lock()
	o.cut(&o.handed)
	if !o.commands {
		o.walked.chunk = append(o.walked.chunk, opEOF)
	}
	o.cut(&o.walked)
	o.ended = true
	o.more.Signal()
	o.mu.Unlock()
	<-o.done
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.spilling {
		o.less.Wait()
	}
	if o.spillFile != nil {
		o.spillFile.Close()
		o.disk.Remove(o.spill) // where an open file could not be removed
	}
	return o.err
}

// drain brings the queue to the disk, in order.
func (o *output) drain() {
	defer close(o.done)
	keyspace.LowPriority(keyspace.NiceBackground) // for good: the thread ends with the goroutine
	keyspace.RunOn(o.processors)
	if err := o.create(); err != nil {
		o.fail(err)
	}
	e := rdb.Encoder{Compress: o.compress, Streams19: true, NoFieldDeadlines: o.noFieldDeadlines, Spill: func(b []byte) []byte { o.write(b); return b[:0] }}
	cmds := commander{spill: e.Spill}
	var buf, small []byte
	compressed := func(b []byte, noted []rdb.Span) []byte {
		if len(noted) == 0 {
			return b
		}
		small = e.Squeeze(small[:0], b, noted)
		return small
	}
	for {
		p := o.take()
		if p == nil {
			break
		}
		switch {
		case p.obj != nil:
			if !o.failed.Load() {
				if o.commands {
					buf = cmds.value(buf[:0], p.key, p.typ, p.enc, nil, p.obj, p.deadline, p.flags)
				} else {
					buf = e.EncodeValue(buf[:0], p.typ, p.enc, nil, p.obj)
				}
				o.write(buf)
				if cap(buf) > 1<<20 {
					buf = nil
				}
			}
			for !p.obj.Free(1 << 20) {
			}
			o.mu.Lock()
			o.later -= int64(p.n)
			o.wake()
			o.mu.Unlock()
		case p.data != nil:
			o.write(compressed(p.data, p.noted))
			o.mu.Lock()
			o.bytes -= int64(len(p.data))
			if !p.spilling { // else the other still reads it
				o.reuse(p.data)
			}
			o.wake()
			o.mu.Unlock()
		default:
			if cap(buf) < p.n {
				buf = make([]byte, p.n)
			}
			if _, err := o.spillFile.ReadAt(buf[:p.n], p.off); err != nil {
				o.fail(fmt.Errorf("reading %s: %w", o.spill, err))
			} else {
				o.write(compressed(buf[:p.n], p.noted))
			}
		}
	}
	if err := o.end(); err != nil {
		o.fail(err)
	}
}

// take is the next piece, nil at the end.
func (o *output) take() *piece {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) == 0 && !o.ended {
		o.more.Wait()
	}
	if len(o.queue) == 0 {
		return nil
	}
	p := o.queue[0]
	o.queue[0] = nil
	o.queue = o.queue[1:]
	p.taken = true
	return p
}

// spillOver moves chunks to the second file, those first that the disk will
// ask for last, until what waits in memory is within the limit.
func (o *output) spillOver() {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() { o.spilling = false; o.less.Broadcast() }()
	for o.bytes > o.spillBytes*3/4 && !o.failed.Load() {
		var p *piece
		for i := len(o.queue) - 1; i >= 0; i-- {
			if o.queue[i].data != nil {
				p = o.queue[i]
				break
			}
		}
		if p == nil {
			return
		}
		p.spilling = true
		f, off := o.spillFile, o.spillEnd
		o.mu.Unlock()
		var err error
		if f == nil {
			if f, err = o.disk.OpenFile(o.spill, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err == nil {
				o.disk.Remove(o.spill) // it needs no name; finish removes it where this fails
			}
		}
		if err == nil {
			_, err = f.WriteAt(p.data, off)
		}
		o.mu.Lock()
		o.spillFile = f
		p.spilling = false
		switch {
		case err != nil:
			if o.err == nil {
				o.err = fmt.Errorf("writing %s: %w", o.spill, err)
			}
			o.failed.Store(true)
			return
		case p.taken: // drain was quicker and keeps the books
		default:
			o.spillEnd += int64(p.n)
			p.off = off
			o.bytes -= int64(p.n)
			o.reuse(p.data)
			p.data = nil
			o.wake()
		}
	}
}

func (o *output) create() (err error) {
	if o.stream != nil {
		o.to = o.stream
		return nil
	}
	o.file, err = o.disk.OpenFile(o.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	o.to = o.file
	return err
}

// write appends to the file. After a failure it does nothing.
func (o *output) write(b []byte) {
	if o.failed.Load() {
		return
	}
	if o.checksum {
		o.sum = rdb.Checksum(o.sum, b)
	}
	n, err := o.to.Write(b)
	o.written += int64(n)
	if err == nil && o.file != nil && o.syncs && o.written-o.synced >= syncBytes {
		o.synced = o.written
		err = o.file.Sync()
	}
	if err != nil {
		o.fail(err)
	}
}

// end completes the file: checksum, sync.
func (o *output) end() error {
	if o.file != nil {
		defer o.file.Close()
	}
	if o.failed.Load() {
		return nil
	}
	if !o.commands {
		var foot [8]byte
		if o.checksum {
			binary.LittleEndian.PutUint64(foot[:], o.sum)
		}
		if _, err := o.to.Write(foot[:]); err != nil {
			return err
		}
	}
	if o.file == nil {
		return nil
	}
	return o.file.Sync()
}

// number is a decimal for aux.
func number(n int64) string { return strconv.FormatInt(n, 10) }
