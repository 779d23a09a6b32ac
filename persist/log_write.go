package persist

import (
	"errors"
	"fmt"
	"time"

	"kvd/keyspace"
	"kvd/resp/wire"
)

// This is the way of an effect into the file: Effect, under the journal's lock,
// appends its text to a pile of blocks; the writer, a goroutine, takes the pile and
// writes it; it or the syncer, another one, syncs the file. Commands
// never wait for any of that; replies may (see Pending).

const (
	// bufferLimit is how much may wait to be written before writes of clients
	// have to wait, in bytes.
	bufferLimit = 64 << 20
	// effectRoom is the most that stands around the arguments of an effect (SELECT,
	// MULTI, a time stamp, their number), argRoom around each of them, in bytes.
	effectRoom = 256
	argRoom    = 32
	// writePause is the least time between two writes unless replies wait for
	// them: many small writes cost much, and a millisecond is less than what
	// appendfsync everysec puts at risk anyway.
	writePause = time.Millisecond
	// syncEvery is the rhythm of appendfsync everysec.
	syncEvery = time.Second
	// stallAfter is how long appendfsync everysec bears without a finished sync.
	stallAfter = 2 * time.Second
)

// mark is something to be done when all that was appended before it is written.
type mark struct {
	at int // in the pile
	// file, where not nil, is what the following goes to. What came before is
	// synced first, so only the last file with contents can be torn.
	file File
	// close: likewise, but nothing follows.
	close bool
	// beside, where not nil, takes what follows too; over: it takes the place of
	// the file; alone: it is given up. See log_move.go.
	beside      File
	over, alone bool
	// done, where not nil, is told how writing and syncing went.
	done chan error
}

// errLogClosed: there is no file to write to.
var errLogClosed = errors.New("the log is not being written")

// unit is where the log is in an atomic unit.
type unit uint8

const (
	unitNone  unit = iota
	unitBegun      // Begin was called, and nothing came since
	unitOpen       // MULTI is written, EXEC not
)

// effects is the Log as a keyspace.JournalReader.
type effects struct{ *Log }

// Effect appends one command.
func (l effects) Effect(e keyspace.Effect) {
	if e.Volatile {
		return
	}
	l.mu.Lock()
	if !l.taking {
		l.mu.Unlock()
		return
	}
	b, from := l.effect(e, l.stamps.Load())
	l.grew(b, from)
	l.mu.Unlock()
}

// recorder makes effects the text of a log. Its owner's lock protects it.
type recorder struct {
	pile  pile
	free  [][]byte // blocks for it
	db    int      // selected in the file; -1 none
	unit  unit
	stamp int64 // the last time stamp, Unix seconds
}

// effect is the pile's last block with an effect behind it, which begins at from. The
// owner puts it in its place.
func (r *recorder) effect(e keyspace.Effect, stamps bool) (b []byte, from int) {
	r.free = r.pile.room(effectMost(e.Args), r.free)
	b = r.pile.last
	from = len(b)
	if stamps && r.unit != unitOpen {
		if now := time.Now().Unix(); now > r.stamp {
			r.stamp = now
			b = appendStamp(b, now)
		}
	}
	if e.DB != r.db {
		r.db = e.DB
		b = wire.AppendSelect(b, e.DB)
	}
	if r.unit == unitBegun {
		r.unit = unitOpen
		b = append(b, wire.Multi...)
	}
	return wire.AppendCommand(b, e.Args...), from
}

// endUnit ends an atomic unit; ok: of which something was written, and the last block
// with its end is returned.
func (r *recorder) endUnit() (b []byte, ok bool) {
	if ok = r.unit == unitOpen; ok {
		r.free = r.pile.room(len(wire.Exec), r.free)
		b = append(r.pile.last, wire.Exec...)
	}
	r.unit = unitNone
	return b, ok
}

// effectMost is the most bytes that Effect appends.
func effectMost(args [][]byte) int {
	n := effectRoom
	for _, a := range args {
		n += len(a) + argRoom
	}
	return n
}

// Begin and End frame several effects.
func (l effects) Begin() {
	l.mu.Lock()
	l.unit = unitBegun
	l.mu.Unlock()
}

// End see Begin.
func (l effects) End() {
	l.mu.Lock()
	if b, ok := l.endUnit(); ok && l.taking {
		l.grew(b, len(b)-len(wire.Exec))
	}
	l.mu.Unlock()
}

// grew takes the last block with something new in it, from from on; mu is locked.
func (l *Log) grew(b []byte, from int) {
	l.pile.last = b
	l.appended.Add(int64(len(b) - from))
	if l.idle.Load() && l.idle.CompareAndSwap(true, false) {
		l.Kick()
	}
	if l.pile.len() > bufferLimit && !l.full.Swap(true) {
		l.watchNow()
	}
}

// Kick makes the writer look for work. An event loop whose replies wait calls it once a
// turn, so that one sync covers many replies.
func (l *Log) Kick() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// appendStamp is a time stamp: a line that loading passes over. Unix seconds.
func appendStamp(b []byte, now int64) []byte { return fmt.Appendf(b, "#TS:%d\r\n", now) }

// put queues a mark.
func (l *Log) put(m mark) {
	l.mu.Lock()
	l.putLocked(m)
	l.mu.Unlock()
}

func (l *Log) putLocked(m mark) {
	m.at = l.pile.len()
	l.marks = append(l.marks, m)
	l.idle.Store(false)
	l.Kick()
}

// Flush writes and syncs what was appended before. Without a file there is
// nothing to do. No lock is held.
func (l *Log) Flush() error {
	done := make(chan error, 1)
	l.put(mark{done: done})
	select {
	case err := <-done:
		return err
	case <-l.over:
		return errLogClosed
	}
}

// write is the writer.
func (l *Log) write() {
	defer close(l.over)
	for {
		l.mu.Lock()
		p, marks, ending := l.pile, l.marks, l.ending
		l.pile, l.marks = pile{}, nil
		l.mu.Unlock()
		n := p.len()
		always := l.policy() == fsyncAlways
		if n > 0 || len(marks) > 0 || always && l.written.Load() > l.synced.Load() {
			if d := l.flushSleep.Load(); d > 0 && n > 0 {
				time.Sleep(time.Duration(d) * time.Microsecond)
			}
			l.step(&p, marks, always)
		} else if ending {
			return
		}
		l.mu.Lock()
		l.free = p.blocks(l.free)
		l.mu.Unlock()
		if n == 0 && !always {
			l.idle.Store(true)
			l.mu.Lock()
			more := l.pile.len() > 0 || len(l.marks) > 0 || l.ending
			l.mu.Unlock()
			if more && l.idle.CompareAndSwap(true, false) {
				continue
			}
		}
		if n > 0 && !always && !ending {
			l.pauseWrites()
			continue
		}
		if !ending {
			<-l.kick
		}
	}
}

// pauseWrites waits between two writes, but not if somebody waits for a mark.
func (l *Log) pauseWrites() {
	t := time.NewTimer(writePause)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			return
		case <-l.kick:
			l.mu.Lock()
			now := len(l.marks) > 0 || l.ending
			l.mu.Unlock()
			if now {
				return
			}
		}
	}
}

// step brings a pile to the disk.
func (l *Log) step(p *pile, marks []mark, always bool) {
	at := 0
	for i := range marks {
		m := &marks[i]
		p.each(at, m.at, l.bring)
		at = m.at
		err := l.sync()
		if m.file != nil || m.close {
			l.change(m.file)
		}
		if m.beside != nil || m.over || m.alone {
			err = l.changeBeside(m, err)
		}
		if m.done != nil {
			m.done <- err
		}
	}
	p.each(at, p.len(), l.bring)
	if l.full.Load() {
		l.full.Store(false)
		l.watchNow()
	}
	if always {
		if l.noSync() && l.file.Load() != nil { // what could not be written is waited for by nobody: see broke
			l.advance(l.written.Load())
			return
		}
		_ = l.sync() // it has said so
	}
}

// bring writes.
func (l *Log) bring(b []byte) {
	f := l.file.Load()
	if f != nil {
		n, err := (*f).Write(b)
		l.fileSize.Add(int64(n))
		if err != nil {
			l.fail(fmt.Errorf("writing: %w", err))
		}
		if l.moves { // only the writer changes it
			l.writeBeside(b)
		}
	}
	l.written.Add(int64(len(b)))
}

// sync makes what is written last. It does nothing where all is synced already.
func (l *Log) sync() error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	off := l.written.Load()
	f := l.file.Load()
	if off == l.synced.Load() {
		return nil
	}
	if f == nil {
		// What could not be written is waited for by nobody: see broke.
		return errLogClosed
	}
	l.inSync.Store(true)
	began := time.Now()
	err := (*f).Sync()
	took := int64(time.Since(began))
	l.syncNs.Store(took)
	l.syncMaxNs.Store(max(l.syncMaxNs.Load(), took)) // syncing is held
	l.inSync.Store(false)
	if l.beside != nil && err == nil {
		if err := l.beside.Sync(); err != nil {
			l.dropBeside(err)
		}
	}
	if err != nil {
		err = fmt.Errorf("syncing: %w", err)
		l.failLocked(err)
		return err
	}
	l.lastSync.Store(time.Now().UnixNano())
	l.advance(off)
	return nil
}

// advance says that all before off lasts.
func (l *Log) advance(off int64) {
	if off > l.synced.Load() {
		l.synced.Store(off)
		if w := l.waiters.Load(); w != nil && l.holds.Load() {
			(*w).Synced()
		}
	}
}

// change goes over to another file, or to none. The one before is synced.
func (l *Log) change(to File) {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	if f := l.file.Load(); f != nil {
		(*f).Close()
	}
	l.restSize.Add(l.fileSize.Swap(0))
	l.file.Store(nil)
	if to != nil {
		l.file.Store(&to)
		l.fileSize.Store(0)
	}
}

// fail gives the file up: after a failed write it is not known what the disk will have.
func (l *Log) fail(err error) {
	l.syncing.Lock()
	l.failLocked(err)
	l.syncing.Unlock()
}

// Distrust gives the file up because contents have changed that the log was not
// told of; writes are refused until there is a new base. Stripes may be locked.
func (l *Log) Distrust(why error) {
	l.backup.spoil(why)
	l.mu.Lock()
	on, f := l.taking, l.file.Load()
	if on { // nothing more goes to the file
		l.taking, l.broken = false, why
		// What nobody was told of has a place in the log, which is never synced: so
		// replies to writes that come before the gate is shut wait, as after a write
		// that failed, until broke has their clients closed.
		l.untold.Add(1)
		l.appended.Add(1)
	}
	l.mu.Unlock()
	if !on {
		return
	}
	l.manageNow()
	go func() { // it may be in a sync now, and the next one may be in its place after that
		l.syncing.Lock()
		defer l.syncing.Unlock()
		if f != nil && l.file.CompareAndSwap(f, nil) {
			(*f).Close()
		}
	}()
}

// passUntold counts what the log was not told of as written. Nobody waits for it any more.
func (l *Log) passUntold() { l.written.Add(l.untold.Swap(0)) }

func (l *Log) failLocked(err error) {
	f := l.file.Swap(nil)
	if f == nil {
		return
	}
	(*f).Close()
	l.mu.Lock()
	l.taking = false
	l.broken = err
	l.mu.Unlock()
	l.manageNow()
}

// syncer is the rhythm of appendfsync everysec.
func (l *Log) syncer() {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.over:
			return
		case <-tick.C:
			if l.policy() == fsyncEverysec && l.file.Load() != nil && !l.noSync() {
				_ = l.sync() // it has said so
			}
		}
	}
}

// noSync: no-appendfsync-on-rewrite is in force now.
func (l *Log) noSync() bool { return l.Config.NoAppendfsyncOnRewrite.Load() && l.Busy() }

// watch looks whether writes have to wait.
func (l *Log) watch() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var since time.Time // since when something has not been synced
	var last int64      // the sync before
	for {
		select {
		case <-l.over:
			return
		case <-l.look:
		case <-tick.C:
		}
		now := time.Now()
		sync := l.lastSync.Load()
		if l.appended.Load() == l.synced.Load() || l.policy() == fsyncNo || l.noSync() || l.file.Load() == nil {
			since = time.Time{}
		} else if since.IsZero() || sync != last {
			since = now
		}
		last = sync
		slow := !since.IsZero() && now.Sub(since) > stallAfter && l.policy() == fsyncEverysec
		if stall := slow || l.full.Load(); stall != l.stalled.Load() {
			if stall {
				l.delayed.Add(1) // before stalled tells of it
			}
			l.stalled.Store(stall)
			if stall {
				l.Log.Noticef("Asynchronous AOF fsync is taking too long (disk is busy?). Commands that write wait for it.")
			}
			l.Changed()
		}
		if l.policy() == fsyncAlways && l.appended.Load() > l.synced.Load() {
			l.Kick() // what nobody waits for, such as keys that expired
		}
	}
}

func (l *Log) watchNow() {
	select {
	case l.look <- struct{}{}:
	default:
	}
}
