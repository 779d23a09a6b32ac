package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kvd/keyspace"
	"kvd/lockrank"
)

// Backup writes what the BACKUP commands ask for: a set of files as the log's, in a
// directory of its own (backupdirname). A base is a snapshot of one instant; from that
// on what changes is appended to an increment, until the backup is sealed with a
// manifest. It goes its own way beside the log, which may be on or off.
//
// A failure ends the backup and nothing else: clients never wait for it.
type Backup struct {
	saver *Saver
	end   chan struct{} // closed by close

	// mu protects what follows. It is taken under the journal's lock, and held for
	// copying in memory.
	mu lockrank.Mutex[lockrank.Backup]
	recorder
	taking  bool // effects are collected
	sealing bool // and will not be after the unit that is open
	idle    bool // the writer sleeps and wants to be woken
	state   backupState
	why     string // it failed
	// When it began and was sealed, Unix seconds, 0: not.
	started, sealed int64
	run             *backupRun // the present one; nil where idle or failed
	// ending counts the writers and removals that have not ended. Invariant: while it is
	// not 0, no backup begins, whose files have the same names.
	ending int
}

// backupRun is one backup.
type backupRun struct {
	dir        logDir
	files      manifest // what the manifest is to say
	base, incr string
	rdb        bool
	kick       chan struct{} // wakes the writer
	based      chan error    // the outcome of the base
	over       chan error    // of SEAL; closed when the writer has ended
}

type backupState uint8

const (
	backupIdle         backupState = iota
	backupPending                  // another snapshot is being written
	backupSnapshotting             // the base is being written
	backupIncrementing             // the base is whole
	backupSealed
	backupFailed
)

func (s backupState) String() string {
	return [...]string{"idle", "pending", "snapshotting", "incrementing", "sealed", "failed"}[s]
}

// running tells whether a backup is under way.
func (s backupState) running() bool { return s >= backupPending && s <= backupIncrementing }

// backupRetry is how long a backup waits between looks whether another snapshot is over.
const backupRetry = 20 * time.Millisecond

func newBackup(s *Saver) *Backup { return &Backup{saver: s, end: make(chan struct{})} }

// place is where the files of a backup belong.
func (b *Backup) place() (d logDir, err error) {
	cwd, err := b.saver.Config.Dir.Path()
	return logDir{disk: b.saver.Disk, dir: filepath.Join(cwd, b.saver.Config.BackupDirname.Load()), of: b.saver.Config.AppendFilename.Load()}, err
}

// Start begins a backup. No stripe is locked.
func (b *Backup) Start() error {
	dir, err := b.place()
	if err != nil {
		return err
	}
	b.mu.Lock()
	err = b.mayStart()
	b.mu.Unlock()
	if err != nil {
		return err
	}
	if names, err := b.saver.Disk.ReadDir(dir.dir); err == nil && len(names) > 0 {
		return fmt.Errorf("the backup directory %s is not empty", dir.dir)
	}
	if err := dir.make(); err != nil {
		return fmt.Errorf("the backup directory %s: %w", dir.dir, err)
	}
	run := &backupRun{dir: dir, rdb: b.saver.Config.AOFUseRDBPreamble.Load(), kick: make(chan struct{}, 1), based: make(chan error, 1), over: make(chan error, 1)}
	run.base = run.files.newBase(dir.of, run.rdb)
	run.incr = run.files.newIncr(dir.of)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.mayStart(); err != nil { // another START was quicker
		return err
	}
	b.ending++
	b.recorder = recorder{db: -1}
	b.taking, b.sealing, b.idle = false, false, false
	b.state, b.why, b.started, b.sealed, b.run = backupPending, "", time.Now().Unix(), 0, run
	go b.write(run)
	return nil
}

// mayStart tells why no backup can begin now; mu is locked.
func (b *Backup) mayStart() error {
	switch {
	case b.state == backupSealed:
		return errors.New("the last backup is sealed; BACKUP CLEANUP removes it")
	case b.state.running():
		return errors.New("a backup is in progress already")
	case b.ending > 0:
		return errors.New("the files of the last backup are being removed")
	}
	return nil
}

// ended takes one from what has not ended.
func (b *Backup) ended() {
	b.mu.Lock()
	b.ending--
	b.mu.Unlock()
}

// write is the writer of a backup: the base, what changes meanwhile and after, and the
// manifest. It removes what it has written where the backup fails.
func (b *Backup) write(run *backupRun) {
	begun, based, sealed := false, false, false
	defer func() {
		if !sealed {
			if begun && !based {
				<-run.based // until then the snapshot has a file
			}
			b.remove(run)
			b.ended()
		}
		close(run.over)
	}()
	if begun = b.begin(run); !begun {
		return
	}
	// What the base does not have is written from its instant on.
	f, err := b.saver.Disk.OpenFile(run.dir.path(run.incr), os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		b.fail(run, err)
		return
	}
	defer f.Close()
	for {
		b.mu.Lock()
		if b.run != run {
			b.mu.Unlock()
			return // it has failed
		}
		p := b.pile
		b.pile = pile{}
		last := b.sealing && !b.taking && based
		b.idle = p.len() == 0 && !last
		b.mu.Unlock()
		p.each(0, p.len(), func(block []byte) {
			if err == nil {
				_, err = f.Write(block)
			}
		})
		if err != nil {
			b.fail(run, err)
			return
		}
		b.mu.Lock()
		b.free = p.blocks(b.free)
		b.mu.Unlock()
		switch {
		case last && p.len() == 0:
			sealed = b.seal(run, f)
			return
		case p.len() > 0:
			time.Sleep(writePause) // many small writes cost much
			continue
		}
		select {
		case <-run.kick:
		case <-b.end:
			b.fail(run, errLogClosed)
			return
		case err := <-run.based:
			based = true
			if err != nil {
				b.fail(run, err)
				return
			}
			b.saver.Log.Noticef("Backup: the base %s is whole", run.base)
		}
	}
}

// begin starts the base as soon as no other snapshot is being written; false: the backup
// is over before.
func (b *Backup) begin(run *backupRun) bool {
	o := Snapshot{Path: run.dir.path(run.base), Temp: run.dir.path(fmt.Sprintf("temp-rewriteaof-%s.%d", run.dir.of, os.Getpid())),
		Commands: !run.rdb, Rewrite: true, Aux: []string{"aof-base", "1"},
		At: func() []string { // all stripes are locked
			b.mu.Lock()
			ours := b.run == run
			if ours {
				b.taking = true
			}
			b.mu.Unlock()
			if ours {
				b.saver.Keyspace.Journal.Attach(backupEffects{b, run})
			}
			if !b.holds(run) { // it was given up at this very moment, before it could be detached
				b.saver.Keyspace.Journal.Detach(backupEffects{b, run})
			}
			return nil
		},
		Done: func(err error) {
			b.mu.Lock()
			ours := b.run == run
			if ours && err == nil {
				b.state = backupIncrementing
			}
			b.mu.Unlock()
			if !ours && err == nil {
				b.saver.Disk.Remove(run.dir.path(run.base)) // it was whole when it was given up
			}
			run.based <- err
		}}
	for {
		b.mu.Lock()
		ours := b.run == run
		if ours {
			b.state = backupSnapshotting
		}
		b.mu.Unlock()
		if !ours {
			return false
		}
		if busy := b.saver.Begin(o); !busy {
			return true
		}
		b.mu.Lock()
		if b.run == run {
			b.state = backupPending
		}
		b.mu.Unlock()
		select {
		case <-time.After(backupRetry):
		case <-b.end:
			b.fail(run, errLogClosed)
			return false
		}
	}
}

// holds tells whether a backup is the present one.
func (b *Backup) holds(run *backupRun) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.run == run
}

// seal ends a backup: all of it lasts, and the manifest names it; false: it failed.
func (b *Backup) seal(run *backupRun, f File) bool {
	b.saver.Keyspace.Journal.Detach(backupEffects{b, run})
	err := f.Sync()
	if err == nil {
		err = run.dir.write(&run.files)
	}
	if err != nil {
		b.fail(run, err)
		return false
	}
	b.mu.Lock()
	ours := b.run == run
	if ours {
		b.state, b.sealed = backupSealed, time.Now().Unix()
		b.ending--
	}
	b.mu.Unlock()
	if !ours { // it was given up at this very moment
		return false
	}
	run.over <- nil
	b.saver.Log.Noticef("Backup: sealed in %s", run.dir.dir)
	go b.expire(run)
	return true
}

// expire removes a sealed backup when backup-sealed-ttl is over.
func (b *Backup) expire(run *backupRun) {
	began := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-b.end:
			return
		case <-tick.C:
		}
		if !b.holds(run) {
			return
		}
		if ttl := b.saver.Config.BackupSealedTTL.Load(); ttl > 0 && time.Since(began) >= time.Duration(ttl)*time.Second {
			b.saver.Log.Noticef("Backup: backup-sealed-ttl is over")
			_ = b.Cleanup() // it has said so
			return
		}
	}
}

// fail ends a backup because of err, or as nothing where it is another one's turn.
func (b *Backup) fail(run *backupRun, err error) {
	b.mu.Lock()
	ours := b.run == run
	if ours {
		b.failLocked(err)
	}
	b.mu.Unlock()
	if ours {
		b.leave(run)
	}
}

// failLocked is fail for the present backup; mu is locked, and leave follows.
func (b *Backup) failLocked(err error) {
	b.saver.Log.Warningf("Backup: failed: %v", err)
	if b.state == backupSnapshotting {
		// The snapshot is this one's: its Done, which waits for mu, comes before another
		// one may begin.
		b.saver.Abort()
	}
	b.state, b.why = backupFailed, err.Error()
	b.taking, b.run = false, nil
	b.recorder = recorder{db: -1}
}

// leave has a failed backup hear of no more effects, and its writer end.
func (b *Backup) leave(run *backupRun) {
	b.saver.Keyspace.Journal.Detach(backupEffects{b, run})
	b.wake(run)
}

// remove removes what a failed backup has written.
func (b *Backup) remove(run *backupRun) {
	for _, name := range []string{run.base, run.incr, run.dir.manifestName()} {
		b.saver.Disk.Remove(run.dir.path(name))
	}
}

// spoil ends a backup because the contents have become others. Stripes may be locked.
func (b *Backup) spoil(why error) {
	b.mu.Lock()
	run := b.run
	ours := run != nil && b.state.running()
	if ours {
		b.failLocked(why)
	}
	b.mu.Unlock()
	if ours {
		go b.leave(run) // files are nothing for who holds stripes
	}
}

// Seal ends the backup and waits until it lasts. No stripe is locked.
func (b *Backup) Seal() error {
	b.mu.Lock()
	run := b.run
	if b.state != backupIncrementing || b.sealing {
		state := b.state
		b.mu.Unlock()
		return fmt.Errorf("there is no backup to be sealed, its state is %s", state)
	}
	b.sealing = true
	if b.unit != unitOpen {
		b.taking = false
	}
	b.mu.Unlock()
	b.wake(run)
	if err, ok := <-run.over; ok {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Errorf("the backup failed: %s", b.why)
}

func (b *Backup) wake(run *backupRun) {
	select {
	case run.kick <- struct{}{}:
	default:
	}
}

// AbortBackup gives up a backup that is not sealed. No stripe is locked.
func (b *Backup) AbortBackup() error {
	b.mu.Lock()
	run, state := b.run, b.state
	if state.running() {
		b.failLocked(errors.New("aborted"))
	}
	b.mu.Unlock()
	if !state.running() {
		return fmt.Errorf("there is no backup to be aborted, its state is %s", state)
	}
	b.leave(run)
	<-run.over // the writer has removed what it wrote
	return nil
}

// Cleanup removes a backup, sealed or failed, or what an earlier server has left.
func (b *Backup) Cleanup() error {
	b.mu.Lock()
	run, state := b.run, b.state
	if !state.running() {
		b.ending++
	}
	b.mu.Unlock()
	if state.running() {
		return errors.New("a backup is in progress; BACKUP ABORT ends it")
	}
	err := b.clean(run)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ending--
	// It is idle when its files are gone, not before.
	b.state, b.why, b.started, b.sealed, b.run = backupIdle, "", 0, 0, nil
	return err
}

// clean removes the files of a backup that is sealed, or of those that are not the present
// one: run is nil.
func (b *Backup) clean(run *backupRun) error {
	dir, err := b.place()
	if run != nil {
		dir, err = run.dir, nil
	}
	if err != nil {
		return err
	}
	names, _ := b.saver.Disk.ReadDir(dir.dir)
	for _, name := range names {
		if strings.HasPrefix(name, dir.of+".") || strings.HasPrefix(name, "temp-") && strings.Contains(name, dir.of) {
			err := b.saver.Disk.Remove(dir.path(name))
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // another one has removed it
				return err
			}
		}
	}
	return nil
}

// Files are the paths of the files that change no more.
func (b *Backup) Files() (paths []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch r := b.run; b.state {
	case backupSealed:
		return []string{r.dir.path(r.base), r.dir.path(r.incr), r.dir.path(r.dir.manifestName())}
	case backupIncrementing:
		return []string{r.dir.path(r.base)}
	}
	return nil
}

// Status tells of the present backup, or the last one: times in Unix seconds, 0: none. At once.
func (b *Backup) Status() (state, why string, started, sealed int64, running bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state.String(), b.why, b.started, b.sealed, b.state.running()
}

// close ends a backup that is under way.
func (b *Backup) close() {
	b.mu.Lock()
	run, running := b.run, b.state.running()
	b.mu.Unlock()
	close(b.end)
	if running {
		<-run.over
	}
}

// backupEffects is a backup as a keyspace.JournalReader.
type backupEffects struct {
	*Backup
	run *backupRun
}

var _ keyspace.JournalReader = backupEffects{}

// Effect implements keyspace.JournalReader.
func (b backupEffects) Effect(e keyspace.Effect) {
	if e.Volatile {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taking && b.Backup.run == b.run {
		text, _ := b.effect(e, b.saver.Config.AOFTimestampEnabled.Load())
		b.grew(text)
	}
}

// Begin implements keyspace.JournalReader.
func (b backupEffects) Begin() {
	b.mu.Lock()
	if b.Backup.run == b.run {
		b.unit = unitBegun
	}
	b.mu.Unlock()
}

// End implements keyspace.JournalReader.
func (b backupEffects) End() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.Backup.run != b.run {
		return
	}
	if text, ok := b.endUnit(); ok && b.taking {
		b.grew(text)
	}
	if b.sealing && b.taking {
		b.taking = false
		b.wake(b.run)
	}
}

// grew takes the last block with something new in it; mu is locked.
func (b *Backup) grew(text []byte) {
	b.pile.last = text
	if b.idle {
		b.idle = false
		b.wake(b.run)
	}
	if b.pile.len() > bufferLimit {
		run := b.run
		b.failLocked(errors.New("the disk is too slow"))
		go b.leave(run) // stripes are locked
	}
}

// BackupStart is Backup.Start; the others likewise. They are what commands call.
func (l *Log) BackupStart() error { return l.backup.Start() }

// BackupSeal see BackupStart.
func (l *Log) BackupSeal() error { return l.backup.Seal() }

// BackupAbort see BackupStart.
func (l *Log) BackupAbort() error { return l.backup.AbortBackup() }

// BackupCleanup see BackupStart.
func (l *Log) BackupCleanup() error { return l.backup.Cleanup() }

// BackupFiles see BackupStart; at once.
func (l *Log) BackupFiles() []string { return l.backup.Files() }

// BackupStatus see BackupStart; at once.
func (l *Log) BackupStatus() (state, why string, started, sealed int64) {
	state, why, started, sealed, _ = l.backup.Status()
	return state, why, started, sealed
}
