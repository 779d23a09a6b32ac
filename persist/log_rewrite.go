package persist

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// A rewrite makes a base of one instant of the whole keyspace. At that instant,
// with all stripes locked, the log goes over to a new increment; when the base
// is whole the manifest names both and what was before is history.
//
// What a crash finds is always a state that loads: names last before a manifest
// names them; the new increment of a log that works stands in the manifest,
// empty, before it is written to, and nothing is written to it before the one
// before it is synced. Where there is no log to go on with (appendonly yes at
// run time, or after a failure) the increment is a temporary file until the
// base is whole.

// rewriting is a rewrite under way.
type rewriting struct {
	base string // its name to be
	rdb  bool
	next File // the new increment; nil where the log is off
	temp bool // next is the temporary one
	// move is not nil where the rewrite is also a move to another directory; next
	// is a temporary one there then.
	move *moving
	// switched: the writer was told of next. It is set at the instant.
	switched bool
	started  time.Time
}

// retryAfterFailure is how long the log waits after a failed base before it
// tries another one by itself.
const retryAfterFailure = time.Second

// snapshot is a base to be written. Next, if not nil, takes over at the instant.
func (l *Log) snapshot(dir *logDir, name string, rdb bool, at func() []string, done func(error)) Snapshot {
	return Snapshot{Path: dir.path(name), Temp: dir.path(fmt.Sprintf("temp-rewriteaof-%s.%d", dir.of, os.Getpid())),
		Commands: !rdb, Rewrite: true, Aux: []string{"aof-base", "1"}, At: at, Done: done}
}

// begin starts a rewrite.
func (l *Log) begin() (err error) {
	defer func() {
		if err != nil {
			l.Log.Warningf("Can't rewrite append only file in background: %v", err)
			l.retryAt = time.Now().Add(retryAfterFailure)
			l.set(func(st *logState) { st.ok = false })
		}
	}()
	l.state.Lock()
	mode := l.state.mode
	l.state.Unlock()
	rw := &rewriting{rdb: l.Config.AOFUseRDBPreamble.Load(), started: time.Now()}
	dir, files := &l.dir, l.files
	switch {
	case mode != logOn || l.settled && l.strayed(): // else it has its place
		if err := l.placeAndRead(); err != nil {
			return err
		}
		files = l.files
	case !l.settled:
		if rw.move, err = l.moved(); err != nil {
			return err
		}
		if rw.move != nil {
			dir, files = &rw.move.to, rw.move.files
			defer func() {
				if err != nil {
					rw.move.lock.release()
				}
			}()
		}
	}
	rw.base = baseName(dir.of, files.baseSeq+1, rw.rdb)
	const flag = os.O_WRONLY | os.O_APPEND | os.O_CREATE | os.O_TRUNC
	switch {
	case mode == logStarting || l.settled:
		rw.temp = true
		if rw.next, err = l.Disk.OpenFile(l.dir.path(l.dir.tempIncr()), flag, 0o644); err != nil {
			return err
		}
		l.Log.Noticef("Creating AOF incr file %s on background rewrite", l.dir.tempIncr())
	case rw.move != nil:
		if rw.next, err = l.Disk.OpenFile(dir.path(dir.tempIncr()), flag, 0o644); err != nil {
			return err
		}
		l.besideErr.Store(nil)
		l.Log.Noticef("The append-only log moves to %s", dir.dir)
	case mode == logOn:
		m := l.files.clone()
		name := m.newIncr(l.dir.of)
		if rw.next, err = l.Disk.OpenFile(l.dir.path(name), flag, 0o644); err != nil {
			return err
		}
		if err = l.dir.write(m); err != nil {
			rw.next.Close()
			return err
		}
		l.files = m
		l.Log.Noticef("Creating AOF incr file %s on background rewrite", name)
	}
	busy := l.Begin(l.snapshot(dir, rw.base, rw.rdb, func() []string { l.instant(rw); return nil }, func(err error) { l.results <- err }))
	if busy {
		if rw.next != nil {
			rw.next.Close()
		}
		l.set(func(st *logState) { st.scheduled = true })
		return errors.New("a snapshot is being written")
	}
	l.rewrite = rw
	l.Log.Noticef("Background append only file rewriting started by pid %d", os.Getpid())
	l.set(func(st *logState) {
		st.running, st.scheduled, st.started = true, false, rw.started
		st.rewrites++
	})
	return nil
}

// placeAndRead finds the files of a log that is off.
func (l *Log) placeAndRead() error {
	if err := l.place(); err != nil {
		return err
	}
	m, err := l.dir.readTo()
	if err == nil {
		l.files = m
	}
	return err
}

// instant is the moment of the base: all stripes are locked.
func (l *Log) instant(rw *rewriting) {
	if rw.next == nil {
		return
	}
	rw.switched = true
	l.mu.Lock()
	switch {
	case rw.move != nil:
		if l.broken == nil {
			l.putLocked(mark{beside: rw.next})
			l.db, l.stamp = -1, 0 // the file beside begins here
		} else {
			rw.next.Close()
		}
	case l.broken == nil || rw.temp:
		l.putLocked(mark{file: rw.next})
		l.taking, l.db, l.stamp, l.unit = true, -1, 0, unitNone
		if rw.temp {
			l.broken = nil
		}
	}
	l.mu.Unlock()
	l.attach()
}

// finished is the end of a base, whole or not.
func (l *Log) finished(err error) {
	rw := l.rewrite
	if rw == nil {
		return
	}
	l.rewrite = nil
	if rw.next != nil && !rw.switched {
		rw.next.Close()
	}
	if err == nil {
		l.Log.Noticef("Background AOF rewrite terminated with success")
		err = l.commit(rw)
	} else if !errors.Is(err, errAborted) {
		l.Log.Warningf("Background AOF rewrite terminated with error: %v", err)
	} else {
		l.Log.Warningf("Background AOF rewrite was given up")
	}
	if err != nil && rw.temp {
		l.dropTemp()
	}
	if err != nil && rw.move != nil {
		l.stay(rw)
	}
	now := time.Now()
	if err == nil && !l.Config.AOFDisableAutoGC.Load() {
		l.collect() // before INFO calls the rewrite over, so that a reader of the manifest finds no history in it then
	}
	if err != nil {
		l.retryAt = now.Add(retryAfterFailure)
	} else {
		l.Log.Noticef("Background AOF rewrite finished successfully")
	}
	l.set(func(st *logState) {
		st.running, st.quitting = false, false
		st.took = now.Sub(rw.started)
		st.ok = err == nil
		if err != nil {
			st.failures++
			if st.mode == logStarting {
				st.scheduled = true
			}
		} else {
			st.failures = 0
		}
	})
}

// commit puts a base that is whole in force, and the increment with it.
func (l *Log) commit(rw *rewriting) error {
	// The writer may still have to go over to the increment; and history may be
	// removed only when what takes its place lasts.
	if rw.next != nil {
		if err := l.Flush(); err != nil {
			return err
		}
		l.mu.Lock()
		err := l.broken
		l.mu.Unlock()
		if err != nil {
			return err
		}
	}
	if rw.move != nil {
		if err := l.settleIn(rw); err != nil {
			l.Log.Warningf("The append-only log could not be moved to %s: %v", rw.move.to.dir, err)
			return err
		}
		l.restSize.Store(l.sizes() - l.fileSize.Load())
		l.baseSize.Store(l.restSize.Load() + l.fileSize.Load())
		return nil
	}
	m := l.files.clone()
	name := m.newBase(l.dir.of, rw.rdb)
	keep := 0
	if rw.next != nil {
		keep = 1
	}
	if rw.temp {
		incr := m.newIncr(l.dir.of)
		if err := l.Disk.Rename(l.dir.path(l.dir.tempIncr()), l.dir.path(incr)); err != nil {
			l.Log.Warningf("Error trying to rename the temporary AOF incr file: %v", err)
			return err
		}
		l.Log.Noticef("Successfully renamed the temporary AOF incr file %s into %s", l.dir.tempIncr(), incr)
	}
	m.retire(keep)
	if err := l.dir.write(m); err != nil {
		l.Log.Warningf("Error trying to write the AOF manifest: %v", err)
		return err
	}
	l.files = m
	size, _, _ := l.Disk.Stat(l.dir.path(name))
	l.restSize.Store(size)
	l.baseSize.Store(size + l.fileSize.Load())
	if rw.temp {
		was := l.settled
		l.settled = false
		l.set(func(st *logState) { st.mode, st.err = logOn, nil })
		if was {
			l.Log.Warningf("AOF write error looks solved, Redis can write again.")
			l.Changed()
		}
	}
	return nil
}

// dropTemp gives the temporary increment up.
func (l *Log) dropTemp() {
	l.detach()
	l.mu.Lock()
	l.taking = false
	done := make(chan error, 1)
	l.putLocked(mark{close: true, done: done})
	l.mu.Unlock()
	<-done
	l.synced.Store(l.appended.Load())
	if w := l.waiters.Load(); w != nil {
		(*w).Synced()
	}
	l.Log.Noticef("Removing the temp incr aof file %s in the background", l.dir.tempIncr())
	l.Disk.Remove(l.dir.path(l.dir.tempIncr()))
}

// giveUp ends a rewrite under way and waits for its end.
func (l *Log) giveUp() {
	if l.rewrite == nil {
		return
	}
	l.Log.Noticef("Killing running AOF rewrite child: there is none, but the rewrite is given up")
	l.Abort()
	l.finished(<-l.results)
}

// collect removes history.
func (l *Log) collect() {
	if len(l.files.history) == 0 {
		return
	}
	m := l.files.clone()
	m.history = nil
	for _, f := range l.files.history {
		l.Log.Noticef("Removing the history file %s in the background", f.name)
		l.Disk.Remove(l.dir.path(f.name)) // one that stays is named by no manifest
	}
	if err := l.dir.write(m); err != nil {
		l.Log.Warningf("Error trying to write the AOF manifest: %v", err)
		return // it names files that are gone, which nobody minds of history
	}
	l.files = m
}

// grown tells whether the log has grown enough for a rewrite by itself.
func (l *Log) grown(now time.Time) bool {
	perc := l.Config.AutoAOFRewritePercentage.Load()
	size := l.fileSize.Load() + l.restSize.Load()
	l.state.Lock()
	on, failures := l.state.mode == logOn, l.state.failures
	l.state.Unlock()
	if !on || l.settled || perc == 0 || size <= l.Config.AutoAOFRewriteMinSize.Load() {
		return false
	}
	base := max(l.baseSize.Load(), 1)
	growth := size*100/base - 100
	if growth < perc || l.limit.holds(l, failures, now) {
		return false
	}
	l.Log.Noticef("Starting automatic rewriting of AOF on %d%% growth", growth)
	return true
}

// rewriteLimit keeps a log whose rewrites fail from becoming many small files:
// after three failures the next one waits a minute, then two, four, to an hour.
type rewriteLimit struct {
	delay time.Duration
	until time.Time
}

func (r *rewriteLimit) holds(l *Log, failures int64, now time.Time) bool {
	if failures < 3 {
		*r = rewriteLimit{}
		return false
	}
	if !r.until.IsZero() {
		if now.Before(r.until) {
			return true
		}
		r.until = time.Time{}
		return false
	}
	r.delay = min(max(2*r.delay, time.Minute), time.Hour)
	r.until = now.Add(r.delay)
	l.Log.Warningf("Background AOF rewrite has repeatedly failed and triggered the limit, will retry in %d minutes", int(r.delay/time.Minute))
	return true
}

// broke is what follows a failed write or sync.
func (l *Log) broke(err error) {
	l.state.Lock()
	starting := l.state.mode == logStarting
	l.state.Unlock()
	if starting { // nothing was promised yet
		l.passUntold()
		l.Log.Warningf("Error writing to the temporary AOF incr file: %v", err)
		l.giveUp()
		l.mu.Lock()
		l.broken = nil
		l.mu.Unlock()
		return
	}
	l.Log.Warningf("Error writing to the AOF file: %v. Its files are not trusted any more: writes are refused until a new base is written", err)
	l.set(func(st *logState) { st.err = err })
	l.Changed()               // writes are refused from here on
	h := l.Keyspace.LockAll() // commands that hold stripes now were admitted before
	l.Keyspace.Unlock(&h)
	w := l.waiters.Load()
	if w != nil && l.holds.Load() {
		(*w).Settle()
		(*w).Failed()
	}
	l.passUntold()
	l.synced.Store(l.appended.Load())
	if w != nil {
		(*w).Synced() // reads that came meanwhile have seen nothing that is lost
	}
	l.settled = true
	if l.rewrite != nil {
		l.giveUp()
	}
	l.retryAt = time.Now()
}

// Replace is Saver.Replace; the log begins anew with the new contents.
func (l *Log) Replace(r io.Reader, o Replacement) error {
	at := o.At
	o.At = func(aux map[string]string) {
		l.startOver()
		if at != nil {
			at(aux)
		}
	}
	err := l.Saver.Replace(r, o)
	if err != nil && !o.Beside {
		h := l.Keyspace.LockAll()
		l.startOver()
		l.Keyspace.Unlock(&h)
	}
	return err
}

var errReplaced = errors.New("the data was replaced by that of a file or a leader")

// startOver has a log that is written begin with a new base, because the
// contents have become others; all stripes are locked. Until the base is whole
// the files hold the contents from before.
func (l *Log) startOver() {
	l.backup.spoil(errReplaced)
	l.state.Lock()
	on := l.state.mode == logOn
	if on {
		l.state.mode, l.state.scheduled = logStarting, true
	}
	l.state.Unlock()
	if !on {
		return
	}
	l.mu.Lock()
	l.taking = false
	l.mu.Unlock()
	l.manageNow()
}
