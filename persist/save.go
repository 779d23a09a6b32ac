package persist

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kvd/config"
	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/logf"
	"kvd/persist/rdb"
)

// Options wire a Saver to the server.
type Options struct {
	Keyspace *keyspace.Keyspace
	Config   *config.Config
	Log      *logf.Logger

	// Dirty counts changes since the last save; a save takes off what it has.
	Dirty *atomic.Int64
	// Version of kvd and of the Redis whose files these are, for the file's
	// description.
	Version, RedisVersion string
	// UsedMemory is what INFO calls used_memory, in bytes. No lock is held.
	UsedMemory func() int64
	// Limits for what is loaded.
	Limits func() *rdb.Limits
	// Freq is the counter of accesses in an LFU clock as of now, and FreqClock a
	// clock with that counter.
	Freq      func(clock uint32) byte
	FreqClock func(freq byte) uint32
	// Changed is called after Loading or Failing changed. No lock is held.
	Changed func()
	// Hold, if not nil, is called shortly before the instant of a snapshot, with
	// no stripe locked, and the function that it returns right after. In between,
	// contents and facts about them (a follower's place in the stream) agree: no code has
	// changed one of the two and not yet the other.
	Hold func() (release func())
	// Facts, if not nil, is called at each snapshot's instant, with all stripes
	// locked, for facts about it that stand in the file's head, in pairs of name
	// and value; Loaded returns them after the file was loaded.
	Facts func() []string
	// LeftOut, if not nil, is told of each key that Load left out because its
	// time was over. No stripe is locked, and several goroutines may call it.
	LeftOut func(db int, key []byte)
	// Functions, if not nil, are the texts of the libraries of functions; it is
	// called at each snapshot's instant, with all stripes locked.
	Functions func() []string
	// Scripts, if not nil, are the texts of the scripts that EVALSHA can call: those
	// that are kept for good, and those that may give way to others.
	Scripts func() (kept, evals []string)
	// LoadScripts, if not nil, gets those of a file that was loaded.
	LoadScripts func(kept, evals []string)
	// Replaced, if not nil, is called when other contents have come in the place of
	// those that were served; all stripes are locked.
	Replaced func()
	// LoadFunctions, if not nil, makes libraries from the texts that a file holds,
	// which may be none. The policy is one of FUNCTION RESTORE: by "flush" they take
	// the place of those that the server has, by "append" they are added (one that is
	// there already is an error), by "replace" they replace those of their names.
	// install, called with all stripes locked, puts them in place.
	LoadFunctions func(texts []string, policy string) (install func(), err error)
	// Around, if not nil, is called right after each snapshot's instant, and what
	// it returns when nothing is left of the snapshot, before another one may
	// begin. Both may wait: no lock is held, and no event loop stands behind them.
	Around func() (over func())
	// Disk is where the files are; nil for the system's.
	Disk Disk
}

// Saver writes and loads snapshots: on demand, and in the background by the
// save points of the configuration. Its methods may be called from anywhere,
// but only those that say so with stripes locked.
type Saver struct {
	Options
	backup *Backup // nil without a log

	// job is the snapshot being written, nil if there is none. It is set and
	// cleared under mu and read without.
	job atomic.Pointer[job]

	// contents is held while other contents take the place of those that are served: by a
	// leader's snapshot, DEBUG RELOAD and DEBUG LOADAOF, one at a time. Saves are waited for
	// and stripes locked under it.
	contents lockrank.Mutex[lockrank.Contents]
	// partial: the contents are being replaced where they stand, and are neither the old
	// ones nor the new ones. It is set and cleared with all stripes locked.
	// Invariant: no snapshot's instant lies where it is set, whatever the snapshot is for.
	partial bool

	// mu protects what follows. Nobody waits for a stripe, a file or a job
	// while holding it: INFO asks inside EXEC, with all stripes locked.
	mu        lockrank.Mutex[lockrank.Saver]
	lastSave  time.Time
	lastTry   time.Time
	lastOK    bool
	lastTook  time.Duration // of the last one in the background; -1 none
	saves     int64
	scheduled bool
	closed    bool
	expired   int64 // keys that the last load left out
	loaded    int64 // and those that it has loaded
	loadStart time.Time
	facts     map[string]string // of the file that Load has loaded

	lock lockedDir

	loading  atomic.Bool
	behind   atomic.Bool // see LoadingBehind
	stopLoad atomic.Bool
	total    atomic.Int64 // bytes of the file being loaded
	done     atomic.Int64 // and those that are loaded

	stop    chan struct{} // closed by Close
	cronEnd sync.WaitGroup
}

// Snapshot says what is to become of one that another room wants.
type Snapshot struct {
	// Path is the file that it replaces when it is whole, relative to the
	// working directory; empty where Stream is given.
	Path string
	// Stream takes it as it comes; a Write may wait, and an error ends it. If it
	// is an io.Closer, Abort closes it, possibly with stripes locked, and a Write
	// in progress must return soon then.
	Stream io.Writer
	// Temp is the name under which the file of Path is written; empty for the
	// usual one in the working directory.
	Temp string
	// Commands: the file is to be commands that make the keys, not RDB.
	Commands bool
	// Rewrite: it is to be a base of the log. INFO does not call it a save.
	Rewrite bool
	// NoData leaves the keys out: only the head of the file and its end are written.
	NoData bool
	// Aux are further facts for the head of the file, in pairs of name and value.
	Aux []string
	// At, if not nil, is called at the instant, with all stripes locked; what it
	// returns is added to Aux.
	At func() []string
	// Done, if not nil, is called with the outcome when nothing is left of the
	// snapshot, before another one may begin. No lock is held.
	Done func(error)
}

// Begin starts a snapshot that does not count as a save: LASTSAVE and INFO do
// not know it. busy: another one is being written, and nothing was done (Done
// is not called either).
func (s *Saver) Begin(o Snapshot) (busy bool) {
	_, busy = s.begin(&job{started: time.Now(), over: make(chan struct{}), Snapshot: o, other: true})
	return busy
}

// job is one snapshot on its way.
type job struct {
	Snapshot
	background bool
	other      bool // see Begin
	started    time.Time
	dirty      int64 // changes at the instant, for the end of the job
	aborted    atomic.Bool
	total      atomic.Int64           // keys at the instant
	out        atomic.Pointer[output] // nil until shortly before the instant
	err        error                  // when over
	over       chan struct{}          // closed when nothing is left of it
}

// New makes a Saver; Load and Start follow.
func New(o Options) *Saver {
	if o.Disk == nil {
		o.Disk = OSDisk
	}
	return &Saver{Options: o, lastSave: time.Now(), lastOK: true, lastTook: -1, stop: make(chan struct{})}
}

// cronEvery is how often the save points are looked at.
const cronEvery = 100 * time.Millisecond

// retryAfter is how long a failed snapshot in the background is not tried again.
const retryAfter = 5 * time.Second

// Start begins to watch the save points.
func (s *Saver) Start() {
	s.cronEnd.Go(func() {
		tick := time.NewTicker(cronEvery)
		defer tick.Stop()
		for {
			select {
			case <-s.stop:
				return
			case now := <-tick.C:
				s.cron(now)
			}
		}
	})
}

// GiveUp ends a running snapshot, whose file goes, and lets none begin any more.
func (s *Saver) GiveUp() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Abort()
	s.Wait()
}

// Close ends a running snapshot and the watch that Start began. Nothing is
// saved.
func (s *Saver) Close() {
	s.GiveUp()
	close(s.stop)
	s.cronEnd.Wait()
	s.lock.release()
}

// cron starts a snapshot if one is due.
func (s *Saver) cron(now time.Time) {
	if s.job.Load() != nil || s.loading.Load() || s.behind.Load() {
		return
	}
	dirty := s.Dirty.Load()
	s.mu.Lock()
	may := s.lastOK || now.Sub(s.lastTry) > retryAfter
	due := s.scheduled && may
	since := now.Unix() - s.lastSave.Unix()
	s.mu.Unlock()
	if !due && may {
		for _, p := range s.Config.Save.Load() {
			if dirty >= p.Changes && since > p.Seconds {
				s.Log.Noticef("%d changes in %d seconds. Saving...", p.Changes, p.Seconds)
				due = true
				break
			}
		}
	}
	if due {
		s.Background()
	}
}

// Save writes a snapshot and waits for it. busy: another save is under way, and
// nothing was done.
func (s *Saver) Save() (busy bool, err error) {
	s.mu.Lock()
	if !s.Saving() {
		s.saves++
	}
	s.mu.Unlock()
	for {
		if busy, err = s.save(); !busy || s.Saving() || s.isClosed() {
			return busy, err
		}
		s.Wait() // for a snapshot that is no save
	}
}

// save is Save for the server's own purposes, which INFO does not count.
func (s *Saver) save() (busy bool, err error) {
	j, busy := s.begin(s.newJob(false))
	if busy {
		return true, nil
	}
	<-j.over
	return false, j.err
}

// Background starts a snapshot of this instant. busy: another one is being
// written, and nothing was done.
func (s *Saver) Background() (busy bool) {
	_, busy = s.begin(s.newJob(true))
	return busy
}

// Schedule has a snapshot started as soon as none is being written. Stripes
// may be locked.
func (s *Saver) Schedule() {
	s.mu.Lock()
	s.scheduled = true
	s.mu.Unlock()
}

// Unschedule takes back what Schedule asked for, and tells whether there was such.
// Stripes may be locked.
func (s *Saver) Unschedule() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.scheduled
	s.scheduled = false
	return was
}

// Abort ends the running snapshot, if there is one, without waiting for its
// end: the file before it stays. Stripes may be locked.
func (s *Saver) Abort() {
	j := s.job.Load()
	if j == nil {
		return
	}
	j.aborted.Store(true)
	if c, ok := j.Stream.(io.Closer); ok {
		c.Close()
	}
}

// Wait waits until the snapshot that is running now, if any, is over.
func (s *Saver) Wait() {
	if j := s.job.Load(); j != nil {
		<-j.over
	}
}

// SaveAfter saves the contents as they are now or later: where a snapshot
// whose instant may be earlier runs, it waits for that first. It fails where the
// contents are being replaced.
func (s *Saver) SaveAfter() error {
	for {
		busy, err := s.save()
		if !busy && (!errors.Is(err, errAborted) || errors.Is(err, errPartial)) || s.isClosed() {
			return err
		}
		s.Wait()
	}
}

func (s *Saver) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Saving tells whether a save is being written: a snapshot that INFO calls so.
// Stripes may be locked.
func (s *Saver) Saving() bool {
	j := s.job.Load()
	return j != nil && !j.Rewrite
}

// Busy tells whether any snapshot is being written. Stripes may be locked.
func (s *Saver) Busy() bool { return s.job.Load() != nil }

// Failing tells whether the last snapshot in the background failed.
func (s *Saver) Failing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.lastOK
}

// LastSave is when the contents were last saved (or loaded at the start), in
// Unix seconds. Stripes may be locked.
func (s *Saver) LastSave() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastSave.Unix()
}

// newJob is a save.
func (s *Saver) newJob(background bool) *job {
	return &job{background: background, started: time.Now(), over: make(chan struct{}), Snapshot: Snapshot{Path: s.Config.DBFilename.Load()}}
}

// begin fixes the instant and lets the rest happen on goroutines.
func (s *Saver) begin(j *job) (_ *job, busy bool) {
	s.mu.Lock()
	if s.job.Load() != nil || s.closed {
		s.mu.Unlock()
		return nil, true
	}
	if j.background {
		s.saves++
		s.lastTry = j.started
		s.scheduled = false
	}
	s.job.Store(j)
	s.mu.Unlock()

	// DEBUG TIMING compares a thread's clock before a lock and after it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	// CONFIG SET dir must not move a file half way.
	dir, err := s.Config.Dir.Path()
	if err != nil {
		s.end(j, err)
		return j, false
	}
	policy := s.Config.MaxMemoryPolicy.Load()
	without := int64(0) // the moment as of which deadlines of fields are left out
	if s.Config.RDBVersion.Load() != "auto" {
		without = j.started.UnixMilli()
	}
	processors := s.Config.BgsaveCPUList.Load()
	if j.Rewrite {
		processors = s.Config.AOFRewriteCPUList.Load()
	}
	leaves := false
	out := newOutput(settings{
		disk:     s.Disk,
		commands: j.Commands,
		stream:   j.Stream,
		path:     filepath.Join(dir, fmt.Sprintf("temp-%d.rdb", os.Getpid())),
		spill:    filepath.Join(dir, fmt.Sprintf("temp-spill-%d.rdb", os.Getpid())),
		compress: s.Config.RDBCompression.Load(),
		checksum: s.Config.RDBChecksum.Load(),
		syncs:    !j.Rewrite && s.Config.RDBSaveIncrementalFsync.Load() || j.Rewrite && s.Config.AOFRewriteIncrementalSync.Load(),
		idle:     strings.HasSuffix(policy, "-lru") || strings.HasSuffix(policy, "-lrm"),
		freq:     strings.HasSuffix(policy, "-lfu"),
		decayed:  s.Freq,

		noFieldDeadlines: without,
		processors:       processors,
	})
	if j.Temp != "" {
		out.path = j.Temp
	}
	out.aux("redis-ver", s.RedisVersion)
	out.aux("redis-bits", "64")
	out.aux("ctime", number(j.started.Unix()))
	out.aux("used-mem", number(s.UsedMemory()))
	out.aux("kvd-ver", s.Version)
	for i := 0; i < len(j.Aux); i += 2 {
		out.aux(j.Aux[i], j.Aux[i+1])
	}
	if !j.other {
		out.aux("aof-base", "0")
	}
	j.out.Store(out)
	release := func() {}
	if s.Hold != nil {
		release = s.Hold()
	}
	sink := out.add
	if j.NoData {
		sink = func(keyspace.Item) {}
	}
	partial := false
	snap, err := s.Keyspace.StartSnapshot(sink, func() {
		if partial = s.partial; partial {
			return
		}
		j.dirty = s.Dirty.Load()
		instant := time.Now()
		if j.Commands && s.Config.AOFTimestampEnabled.Load() {
			out.walked.chunk = appendStamp(out.walked.chunk, instant.Unix())
		}
		out.aux(auxInstant, number(instant.UnixMilli()))
		if leaves = s.Keyspace.HasFieldDeadlines(); leaves && without == 0 {
			out.withFieldDeadlines()
			leaves = false
		}
		for _, at := range []func() []string{j.At, s.Facts} {
			if at == nil {
				continue
			}
			more := at()
			for i := 0; i < len(more); i += 2 {
				out.aux(more[i], more[i+1])
			}
		}
		if s.Scripts != nil {
			kept, evals := s.Scripts()
			for _, text := range kept {
				out.script(text)
			}
			for _, text := range evals {
				out.aux(auxEval, text)
			}
		}
		if s.Functions != nil {
			for _, text := range s.Functions() {
				out.function(text)
			}
		}
		for db := range s.Keyspace.Databases() {
			keys, volatile := s.Keyspace.Size(db, true)
			j.total.Add(int64(keys))
			if !j.NoData {
				out.size(db, keys, volatile)
			}
		}
		out.begin()
	})
	release()
	if partial {
		snap.End()
		err = errPartial
	}
	if err != nil {
		s.end(j, err)
		return j, false
	}
	if leaves {
		s.Log.Warningf("Fields of hashes have deadlines, which the snapshot being written leaves out: RDB version 10 has no form for them (see the directive rdb-version)")
	}
	if j.background {
		s.Log.Noticef("Background saving started by pid %d", os.Getpid())
	}
	go func() {
		over := func() {}
		if s.Around != nil {
			over = s.Around()
		}
		var r keyspace.Rest
		r.Begin()
		defer r.End()
		defer keyspace.RunOn(processors)()
		var err error
		if j.Stream == nil && !j.Rewrite { // the log has a lock of its own
			if err = s.lock.take(s.Disk, dir, LockName, "saves"); err != nil {
				out.fail(err)
			}
		}
		go out.drain()
		paced := int64(0)
		whole := snap.Walk(func() bool {
			r.Turn()
			s.pace(j, &paced)
			return !j.aborted.Load() && out.wait()
		})
		snap.End()
		if !whole {
			out.fail(errAborted) // if it is not failed yet
		}
		err = out.finish()
		if err == nil && j.aborted.Load() {
			err = errAborted
		}
		path := j.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if err == nil && j.Stream == nil {
			err = replace(s.Disk, out.path, path)
		}
		if err != nil && j.Stream == nil {
			s.Disk.Remove(out.path)
		}
		over()
		s.end(j, err)
	}()
	return j, false
}

// pace sleeps as rdb-key-save-delay wants for the keys since it was last
// called: so many microseconds for each, or (negative) for so many keys one.
func (s *Saver) pace(j *job, paced *int64) {
	delay := s.Config.RDBKeySaveDelay.Load()
	if delay == 0 {
		return
	}
	n := j.out.Load().processed.Load()
	sleep(n-*paced, delay, j.aborted.Load)
	*paced = n
}

// sleep takes the time of a test directive for some keys, but for no longer
// than until stop.
func sleep(keys, delay int64, stop func() bool) {
	us := keys * delay
	if delay < 0 {
		us = keys / -delay
	}
	for end := time.Now().Add(time.Duration(us) * time.Microsecond); !stop(); {
		left := time.Until(end)
		if left <= 0 {
			return
		}
		time.Sleep(min(left, 5*time.Millisecond))
	}
}

// replace puts a whole and synced file in the place of the one before it.
func replace(d Disk, from, to string) error {
	if err := d.Rename(from, to); err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(to))
}

// end notes how a job went, in the log and for INFO.
func (s *Saver) end(j *job, err error) {
	j.err = err
	now := time.Now()
	aborted := errors.Is(err, errAborted)
	if j.other {
		if j.Done != nil {
			j.Done(err)
		}
		s.mu.Lock()
		s.job.Store(nil)
		s.mu.Unlock()
		close(j.over)
		return
	}
	switch {
	case err == nil:
		s.Dirty.Add(-j.dirty)
		s.Log.Noticef("DB saved on disk")
		if j.background {
			s.Log.Noticef("Background saving terminated with success")
		}
	case aborted:
		s.Log.Warningf("The snapshot being written was given up; the file before it stays")
	default:
		s.Log.Warningf("Write error saving DB on disk: %v", err)
		if j.background {
			s.Log.Warningf("Background saving error")
		}
	}
	s.mu.Lock()
	was := s.lastOK
	if err == nil {
		s.lastSave, s.lastOK = now, true
	} else if j.background && !aborted {
		s.lastOK = false
	}
	if j.background {
		s.lastTook = now.Sub(j.started)
	}
	changed := was != s.lastOK
	s.job.Store(nil)
	s.mu.Unlock()
	if changed {
		s.Changed()
	}
	close(j.over)
}

// Info reports the fields of INFO's section that are about snapshots and
// loading. Stripes may be locked.
func (s *Saver) Info(field func(name string, value any)) {
	j := s.job.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	word := map[bool]string{true: "ok", false: "err"}
	seconds := func(d time.Duration) int64 {
		if d < 0 {
			return -1
		}
		return int64(d / time.Second)
	}
	saving := j != nil && !j.Rewrite
	current := time.Duration(-1)
	var processed, total int64
	if j != nil {
		if saving {
			current = time.Since(j.started)
		}
		if out := j.out.Load(); out != nil {
			processed, total = out.processed.Load(), j.total.Load()
		}
	}
	field("loading", s.loading.Load())
	// No memory is copied because of a snapshot but what is counted as used.
	field("async_loading", s.behind.Load())
	field("current_cow_peak", 0)
	field("current_cow_size", 0)
	field("current_cow_size_age", 0)
	perc := 0.0
	if total > 0 {
		perc = float64(processed) / float64(total) * 100
	}
	field("current_fork_perc", fmt.Sprintf("%.2f", perc))
	field("current_save_keys_processed", processed)
	field("current_save_keys_total", total)
	field("rdb_changes_since_last_save", s.Dirty.Load())
	field("rdb_bgsave_in_progress", saving)
	field("rdb_last_save_time", s.lastSave.Unix())
	field("rdb_last_bgsave_status", word[s.lastOK])
	field("rdb_last_bgsave_time_sec", seconds(s.lastTook))
	field("rdb_current_bgsave_time_sec", seconds(current))
	field("rdb_saves", s.saves)
	field("rdb_last_cow_size", 0)
	field("rdb_last_load_keys_expired", s.expired)
	field("rdb_last_load_keys_loaded", s.loaded)
}

// ResetStats counts anew what Info counts.
func (s *Saver) ResetStats() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saves = 0
}

// InfoLoading reports what INFO shows while a file is loaded; nothing
// otherwise. Stripes may be locked.
func (s *Saver) InfoLoading(field func(name string, value any)) {
	if !s.loading.Load() && !s.behind.Load() {
		return
	}
	s.mu.Lock()
	start := s.loadStart
	s.mu.Unlock()
	total, done := s.total.Load(), s.done.Load()
	perc, eta := progress(total, done, time.Since(start))
	field("loading_start_time", start.Unix())
	field("loading_total_bytes", total)
	field("loading_rdb_used_mem", 0)
	field("loading_loaded_bytes", done)
	field("loading_loaded_perc", fmt.Sprintf("%.2f", perc))
	field("loading_eta_seconds", int64(eta/time.Second))
}

// progress is the percentage of what is done, and how long the rest will take
// if it goes on so.
func progress(total, done int64, took time.Duration) (perc float64, eta time.Duration) {
	if total > 0 {
		perc = float64(done) / float64(total) * 100
	}
	if done > 0 {
		eta = time.Duration(float64(took) * float64(total-done) / float64(done))
	}
	return
}

// lockedDir is the lock on the directory that files are saved into: two
// servers would replace each other's.
type lockedDir struct {
	mu   lockrank.Mutex[lockrank.SaveDir] // held over opening a file, under no other lock
	file io.Closer
	dir  string
}

// LockName is the file in the data directory that a server which saves keeps
// locked. It stays behind, empty and unlocked, when the server has ended.
const LockName = "kvd.lock"

// take locks a directory, by a file in it, in place of the one before, unless it has it already.
func (l *lockedDir) take(d Disk, dir, name, verb string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil && l.dir == dir {
		return nil
	}
	f, err := d.Lock(filepath.Join(dir, name))
	if errors.Is(err, errLocked) {
		return fmt.Errorf("another server %s into the directory %s and holds %s; give one of them a --dir of its own (or --save \"\" and --appendonly no)", verb, dir, name)
	}
	if err != nil {
		return err
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.dir = f, dir
	return nil
}

// adopt takes another one's lock in place of its own.
func (l *lockedDir) adopt(of *lockedDir) {
	l.release()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file, l.dir = of.file, of.dir
	of.file = nil
}

func (l *lockedDir) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}

// LockDir locks the working directory if snapshots will be saved into it by
// themselves. The error names the process that has it locked. A directory that cannot be
// written is no reason not to start: what is in it can be served.
func (s *Saver) LockDir() error {
	if len(s.Config.Save.Load()) == 0 {
		return nil
	}
	dir, err := s.Config.Dir.Path()
	if err != nil {
		return err
	}
	err = s.lock.take(s.Disk, dir, LockName, "saves")
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		s.Log.Warningf("The directory %s cannot be written, so no snapshot can be saved there: %v", dir, err)
		return nil
	}
	return err
}
