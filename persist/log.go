package persist

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"kvd/keyspace"
	"kvd/lockrank"
)

// Log is the append-only log, with the Saver that writes its bases: what changes
// is appended to files as commands and loaded again at the next start.
//
// A goroutine of its own, the manager, owns the manifest and makes, renames and
// removes files; what others want of that they ask of it. See log_write.go for
// the other goroutines.
//
// After a failed write or sync no file in force is trusted. The log then stops
// taking effects, has clients that wait closed and writes refused, and tries to
// make a new base, with an increment that begins at the base's instant. Until
// they are whole the files from before the failure stay in force.
type Log struct {
	*Saver
	applier func() Applier
	applied Applier // made by the first load; loads are one at a time, under do

	// Offsets of the log, in bytes appended since the start of the process,
	// whatever file they went to.
	appended, written, synced atomic.Int64
	// untold is how much was appended that no file gets; see Distrust.
	untold atomic.Int64

	// mu protects what follows. It is taken under the journal's lock and held
	// for copying in memory.
	mu lockrank.Mutex[lockrank.Log]
	recorder
	marks  []mark
	taking bool  // effects are collected
	broken error // why no file is trusted, nil if they are
	ending bool

	// syncing is held over a sync, and over changing file, by goroutines that hold no
	// other lock. file is nil where nothing is written.
	syncing lockrank.Mutex[lockrank.LogSyncing]
	file    atomic.Pointer[File]
	// beside takes what file takes; nil but while the log moves. It changes under
	// syncing, by the writer or by the goroutine that finds it broken; besideErr is why it
	// is gone.
	beside    File
	besideErr atomic.Pointer[error]
	moves     bool // the writer's own: there may be a file beside

	kick, look, want chan struct{} // wake the writer, the watch, the manager
	over             chan struct{} // closed when the writer has ended
	gone             chan struct{} // closed when the manager has ended
	ask              chan func()   // for the manager
	results          chan error    // of the base being written

	idle    atomic.Bool // the writer sleeps and wants to be woken by what is appended
	full    atomic.Bool // what waits to be written is at its limit
	stalled atomic.Bool // writes of clients have to wait
	holds   atomic.Bool // replies wait for the sync
	stamps  atomic.Bool // aof-timestamp-enabled
	inSync  atomic.Bool
	// How long the last sync took, and the longest one, in ns.
	syncNs, syncMaxNs atomic.Int64
	stray             atomic.Bool // CONFIG SET dir: the manager is to look where the log belongs
	waiters           atomic.Pointer[Waiters]

	fileSize, restSize atomic.Int64 // bytes in the file being written, and in the others in force
	baseSize           atomic.Int64 // bytes of all after the last rewrite
	lastSync           atomic.Int64 // Unix ns
	delayed            atomic.Int64 // times that writes had to wait
	flushSleep         atomic.Int64 // DEBUG AOF-FLUSH-SLEEP, microseconds

	// state protects what follows, for INFO; nobody waits while holding it.
	state struct {
		lockrank.Mutex[lockrank.LogState]
		logState
	}

	// These belong to the manager, and before Start to the goroutine that loads.
	dir      logDir
	lock     lockedDir
	started  bool
	files    *manifest
	rewrite  *rewriting
	attached bool
	closing  bool
	retryAt  time.Time
	settled  bool // clients that wait were closed after a failure
	limit    rewriteLimit
}

// mode is what the log does.
type mode uint8

const (
	logOff      mode = iota
	logStarting      // the first base is being made; what changes goes to a temporary increment
	logOn
)

// logState is what INFO tells of the log.
type logState struct {
	mode      mode
	wanted    bool // appendonly
	scheduled bool // a rewrite is wanted as soon as no snapshot is being written
	beginning bool // CONFIG SET appendonly asked for a rewrite, and the manager is about to begin it
	running   bool // a base is being written
	quitting  bool // CONFIG SET appendonly no was called, and the manager is about to give that up
	started   time.Time
	took      time.Duration // of the last rewrite; -1 none
	ok        bool          // how the last rewrite went
	rewrites  int64
	failures  int64 // since the last rewrite that went well
	err       error // the log is broken
}

// Applier runs what a log says; see command.Applier.
type Applier interface {
	Reset()
	SetTime(t time.Time)
	InMulti() bool
	Apply(args [][]byte) error
}

// Waiters hold replies back until the changes that those may show are on the disk.
type Waiters interface {
	// Synced says that Log.Synced has grown, or that nobody needs to wait. It
	// returns at once.
	Synced()
	// Settle returns when every command that was running has handed over its
	// reply.
	Settle()
	// Failed closes all connections whose replies wait, and then returns.
	Failed()
}

// appendfsync, by its index.
const (
	fsyncEverysec = iota
	fsyncAlways
	fsyncNo
)

// applies is the Applier for what is loaded, ready for another file.
func (l *Log) applies() Applier {
	if l.applied == nil {
		l.applied = l.applier()
	}
	l.applied.Reset()
	return l.applied
}

func (l *Log) policy() int { return l.Config.AppendFsync.Index() }

// NewLog makes a Log; Load and Start follow. applier makes what loading applies
// commands with.
func NewLog(s *Saver, applier func() Applier) *Log {
	l := &Log{Saver: s, applier: applier, recorder: recorder{db: -1}, files: &manifest{},
		kick: make(chan struct{}, 1), look: make(chan struct{}, 1), want: make(chan struct{}, 1),
		over: make(chan struct{}), gone: make(chan struct{}), ask: make(chan func()), results: make(chan error, 1)}
	s.backup = newBackup(s)
	l.state.ok, l.state.took = true, -1
	l.state.wanted = l.Config.AppendOnly.Load()
	l.stamps.Store(l.Config.AOFTimestampEnabled.Load())
	change := func(name string, f func()) {
		l.Config.OnChange(name, func() error { f(); return nil })
	}
	change("appendonly", l.switched)
	change("appendfsync", func() { l.setHolds(); l.Kick() })
	change("aof-timestamp-enabled", func() { l.stamps.Store(l.Config.AOFTimestampEnabled.Load()) })
	change("aof-disable-auto-gc", l.manageNow)
	change("dir", func() { l.stray.Store(true); l.manageNow() })
	return l
}

// SetWaiters sets what holds replies back. It must be called before Start.
func (l *Log) SetWaiters(w Waiters) { l.waiters.Store(&w) }

// Pending is the offset up to which the log must be synced before a reply that
// is written now may leave; wait tells whether it is not yet. It costs a load
// where no reply waits for anything.
func (l *Log) Pending() (at int64, wait bool) {
	if !l.holds.Load() {
		return 0, false
	}
	at = l.appended.Load()
	return at, at > l.synced.Load()
}

// Losing tells whether replies wait for the log, but it has failed and takes no
// effects. A command that has changed something calls it with its stripes locked.
func (l *Log) Losing() bool {
	if !l.holds.Load() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken != nil
}

// Appended is how many bytes of effects were given to the log so far, Synced
// how many of them last (all of them where nobody waits).
func (l *Log) Appended() int64 { return l.appended.Load() }

// Synced see Appended.
func (l *Log) Synced() int64 {
	if !l.holds.Load() {
		return l.appended.Load()
	}
	return l.synced.Load()
}

// Fsynced is the offset, in the terms of Appended, up to which the log is on
// the disk, whatever appendfsync says, and would be loaded: -1 while no base is in
// force that goes with what is written, and while no file is trusted. At once.
func (l *Log) Fsynced() int64 {
	l.state.Lock()
	defer l.state.Unlock()
	if !l.state.lasts() {
		return -1
	}
	// The state changes before synced is set to claim that all is synced.
	return l.synced.Load()
}

// Lasting is Fsynced; ok is false where the files in force do not hold what was
// given to the log up to there: it is off, or a base is still to be written.
func (l *Log) Lasting() (at int64, ok bool) {
	at = l.synced.Load() // before the state: after a failure it is set last
	l.state.Lock()
	defer l.state.Unlock()
	return at, l.state.lasts()
}

// lasts tells whether what the log has on the disk would be loaded: a log that was switched
// off is ended a moment later, but counts no more.
func (s *logState) lasts() bool { return s.mode == logOn && s.wanted && s.err == nil }

// Stalled tells whether writes have to wait for the disk. At once.
func (l *Log) Stalled() bool { return l.stalled.Load() }

// Broken is why the log cannot be written, nil if it can. At once.
func (l *Log) Broken() error {
	l.state.Lock()
	defer l.state.Unlock()
	return l.state.err
}

// SetFlushSleep is DEBUG AOF-FLUSH-SLEEP.
func (l *Log) SetFlushSleep(us int64) { l.flushSleep.Store(us) }

// Start begins to write and to watch. The data is loaded.
func (l *Log) Start() {
	l.Saver.Start()
	l.started = true
	go l.write()
	go l.syncer()
	go l.watch()
	go l.manage()
}

// Close flushes the log and ends all that Start began. A snapshot that is being
// written is given up.
func (l *Log) Close() {
	l.backup.close()
	if l.started {
		l.do(func() { l.stop(); l.closing = true })
		l.mu.Lock()
		l.ending = true
		l.mu.Unlock()
		l.Kick()
		<-l.over
		<-l.gone
	}
	l.Saver.Close()
	l.lock.release()
}

func (l *Log) wantOn() bool {
	l.state.Lock()
	defer l.state.Unlock()
	return l.state.wanted
}

// switched is CONFIG SET appendonly.
func (l *Log) switched() {
	l.state.Lock()
	was := l.state.wanted
	l.state.wanted = l.Config.AppendOnly.Load()
	l.state.scheduled = l.state.wanted && l.Busy()
	// Where it was just switched off, it may not have ended yet.
	l.state.beginning = l.state.wanted && !l.state.scheduled && (l.state.mode == logOff || !was)
	l.state.quitting = !l.state.wanted && l.state.running
	l.state.Unlock()
	l.manageNow()
}

// setHolds says whether replies wait; after appendfsync or the mode changed.
func (l *Log) setHolds() {
	l.state.Lock() // over the swap, too: of two that come together the later one must win
	on := l.state.mode == logOn && l.policy() == fsyncAlways
	was := l.holds.Swap(on)
	l.state.Unlock()
	if was && !on {
		if w := l.waiters.Load(); w != nil {
			(*w).Synced()
		}
	}
}

func (l *Log) manageNow() {
	select {
	case l.want <- struct{}{}:
	default:
	}
}

// do has the manager run f and waits for it. No stripe is locked.
func (l *Log) do(f func()) {
	done := make(chan struct{})
	select {
	case l.ask <- func() { f(); close(done) }:
		<-done
	case <-l.over:
	}
}

// manage is the manager.
func (l *Log) manage() {
	defer close(l.gone)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-l.over:
			return
		case f := <-l.ask:
			l.turn()
			f()
		case err := <-l.results:
			l.finished(err)
		case <-l.want:
		case <-tick.C:
		}
		l.turn()
	}
}

// turn does what is due.
func (l *Log) turn() {
	if l.closing {
		return
	}
	l.mu.Lock()
	broken := l.broken
	l.mu.Unlock()
	if broken != nil && !l.settled {
		l.broke(broken)
	}
	l.state.Lock()
	st := l.state.logState
	l.state.Unlock()
	now := time.Now()
	switch {
	case !st.wanted && st.mode != logOff:
		l.stop()
	case st.wanted && st.mode == logOff:
		if l.rewrite != nil { // it does not have what changes
			l.Log.Warningf("AOF was enabled but there is already an AOF rewriting in background. Stopping background AOF and starting a rewrite now.")
			l.giveUp()
		}
		l.set(func(st *logState) { st.mode, st.scheduled = logStarting, true })
	}
	if l.stray.Load() && l.stray.Swap(false) && st.mode == logOn && l.strayed() {
		l.set(func(st *logState) { st.scheduled = true })
	}
	if l.rewrite == nil && !l.Busy() && !now.Before(l.retryAt) {
		l.state.Lock()
		due := l.state.scheduled
		l.state.Unlock()
		if due || l.settled || l.grown(now) {
			_ = l.begin() // it has said so
		}
	}
	if st.beginning {
		l.set(func(st *logState) { st.beginning = false })
	}
	if len(l.files.history) > 0 && !l.Config.AOFDisableAutoGC.Load() && st.mode == logOn {
		l.collect()
	}
}

// set changes what INFO tells.
func (l *Log) set(f func(*logState)) {
	l.state.Lock()
	f(&l.state.logState)
	l.state.Unlock()
	l.setHolds()
}

// Rewrite is BGREWRITEAOF. No stripe is locked.
func (l *Log) Rewrite() (scheduled bool, err error) {
	err = errLogClosed
	l.do(func() {
		switch {
		case l.rewrite != nil:
			err = ErrRewriting
		case l.Busy():
			l.ScheduleRewrite()
			scheduled, err = true, nil
		default:
			err = l.begin()
		}
	})
	return scheduled, err
}

// ErrRewriting: a rewrite is under way already.
var ErrRewriting = errors.New("Background append only file rewriting already in progress")

// ScheduleRewrite has a rewrite begun as soon as possible. At once.
func (l *Log) ScheduleRewrite() {
	l.state.Lock()
	l.state.scheduled = true
	l.state.failures = 0
	l.state.Unlock()
	l.manageNow()
}

// Rewriting tells whether a base is being written. At once.
func (l *Log) Rewriting() bool {
	l.state.Lock()
	defer l.state.Unlock()
	return l.state.running && !l.state.quitting
}

// Starting tells whether the first base is still to be written. At once.
func (l *Log) Starting() bool {
	l.state.Lock()
	defer l.state.Unlock()
	return l.state.mode == logStarting
}

// where is where the configuration wants the log's files.
func (l *Log) where() (logDir, error) {
	cwd, err := l.Config.Dir.Path()
	return logDir{disk: l.Disk, dir: filepath.Join(cwd, l.Config.AppendDirname.Load()), of: l.Config.AppendFilename.Load()}, err
}

// place decides where the log's files are, and locks the place.
func (l *Log) place() (err error) {
	if l.dir, err = l.where(); err != nil {
		return err
	}
	if err := l.dir.make(); err != nil {
		return err
	}
	return l.lock.take(l.Disk, l.dir.dir, l.dir.of+".lock", "logs")
}

// open begins to write where the files that were loaded end.
func (l *Log) open() error {
	if err := l.place(); err != nil {
		return err
	}
	l.dir.clean()
	m := l.files.clone()
	if m.empty() {
		rdb := l.Config.AOFUseRDBPreamble.Load()
		name := m.newBase(l.dir.of, rdb)
		done := make(chan error, 1)
		for l.Begin(l.snapshot(&l.dir, name, rdb, nil, func(err error) { done <- err })) {
			l.Wait()
		}
		if err := <-done; err != nil {
			return err
		}
		l.Log.Noticef("Creating AOF base file %s on server start", name)
	}
	verb, flag := "Opening", os.O_WRONLY|os.O_APPEND|os.O_CREATE
	if len(m.incrs) == 0 {
		m.newIncr(l.dir.of)
		verb, flag = "Creating", flag|os.O_TRUNC
	}
	name := m.incrs[len(m.incrs)-1].name
	f, err := l.Disk.OpenFile(l.dir.path(name), flag, 0o644)
	if err != nil {
		return err
	}
	if err := l.dir.write(m); err != nil {
		f.Close()
		return err
	}
	l.files = m
	l.Log.Noticef("%s AOF incr file %s on server start", verb, name)
	size, _ := f.Size()
	l.fileSize.Store(size)
	l.restSize.Store(l.sizes() - size)
	if l.baseSize.Load() == 0 {
		l.baseSize.Store(l.restSize.Load())
	}
	l.file.Store(&f)
	h := l.Keyspace.LockAll()
	l.mu.Lock()
	l.taking, l.db = true, -1
	l.mu.Unlock()
	l.attach()
	l.Keyspace.Unlock(&h)
	l.set(func(st *logState) { st.mode = logOn })
	return nil
}

// attach has the journal's effects come here; all stripes are locked.
func (l *Log) attach() {
	if !l.attached {
		l.attached = true
		l.Keyspace.Journal.Attach(effects{l})
	}
}

func (l *Log) detach() {
	if l.attached {
		l.attached = false
		l.Keyspace.Journal.Detach(effects{l})
	}
}

var _ keyspace.JournalReader = effects{}

// sizes is how long the files in force are together.
func (l *Log) sizes() (n int64) {
	add := func(f logFile) {
		size, _, _ := l.Disk.Stat(l.dir.path(f.name))
		n += size
	}
	if l.files.base != nil {
		add(*l.files.base)
	}
	for _, f := range l.files.incrs {
		add(f)
	}
	return n
}

// stop is appendonly no: flush, and write no more.
func (l *Log) stop() {
	l.giveUp()
	l.state.Lock()
	off := l.state.mode == logOff
	l.state.Unlock()
	if off {
		return
	}
	l.detach()
	done := make(chan error, 1)
	l.mu.Lock()
	l.taking = false
	l.putLocked(mark{close: true, done: done})
	l.mu.Unlock()
	if err := <-done; err != nil && !l.settled {
		l.Log.Warningf("Fail to fsync the AOF file: %v", err)
	}
	l.mu.Lock()
	l.broken, l.db = nil, -1
	l.mu.Unlock()
	l.settled, l.retryAt = false, time.Time{}
	l.set(func(st *logState) { st.mode, st.err, st.scheduled = logOff, nil, false })
	l.passUntold()
	l.synced.Store(l.appended.Load()) // after the mode: see Fsynced
	l.Changed()
}

// Info reports the fields of INFO's section. Stripes may be locked.
func (l *Log) Info(field func(name string, value any)) {
	l.Saver.Info(field)
	l.state.Lock()
	st := l.state.logState
	l.state.Unlock()
	word := map[bool]string{true: "ok", false: "err"}
	seconds := func(d time.Duration) int64 { return int64(max(d, -1) / time.Second) }
	took, current := int64(-1), int64(-1)
	if st.took >= 0 {
		took = seconds(st.took)
	}
	running := st.running && !st.quitting || st.beginning
	if st.running && !st.quitting {
		current = seconds(time.Since(st.started))
	}
	field("aof_enabled", st.wanted)
	field("aof_rewrite_in_progress", running)
	field("aof_rewrite_scheduled", st.scheduled && !running)
	field("aof_last_rewrite_time_sec", took)
	field("aof_current_rewrite_time_sec", current)
	field("aof_last_bgrewrite_status", word[st.ok])
	field("aof_rewrites", st.rewrites)
	field("aof_rewrites_consecutive_failures", st.failures)
	field("aof_last_write_status", word[st.err == nil])
	field("aof_last_cow_size", 0)
	field("module_fork_in_progress", 0)
	field("module_fork_last_cow_size", 0)
	_, _, _, _, backing := l.backup.Status()
	field("backup_in_progress", backing)
	if st.mode != logOff {
		field("aof_current_size", l.fileSize.Load()+l.restSize.Load())
		field("aof_base_size", l.baseSize.Load())
		field("aof_pending_rewrite", 0)
		field("aof_buffer_length", l.appended.Load()-l.written.Load())
		field("aof_pending_bio_fsync", l.inSync.Load())
		field("aof_last_fsync_usec", l.syncNs.Load()/1000)
		field("aof_max_fsync_usec", l.syncMaxNs.Load()/1000)
		field("aof_delayed_fsync", l.delayed.Load())
	}
}

// ResetStats counts anew what Info counts.
func (l *Log) ResetStats() {
	l.Saver.ResetStats()
	l.delayed.Store(0)
	l.state.Lock()
	l.state.rewrites = 0
	l.state.Unlock()
}

// Buffered is how many bytes wait to be written.
func (l *Log) Buffered() int64 { return l.appended.Load() - l.written.Load() }
