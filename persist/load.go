package persist

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"kvd/keyspace"
	"kvd/persist/rdb"
)

// errStopped: the server is told to end while it loads.
var errStopped = errors.New("loading was interrupted")

// progressEvery is how often the log tells how far loading has come.
const progressEvery = 3 * time.Second

// LoadError says that a file was not loaded.
type LoadError struct {
	File   string
	Offset int64 // bytes read before
	Err    error
}

func (e *LoadError) Error() string {
	return fmt.Sprintf("Fatal error loading the DB from %s, at offset %d: %v. Restore a good copy of the file, or move it away to start empty", e.File, e.Offset, e.Err)
}

func (e *LoadError) Unwrap() error { return e.Err }

// duplicates says what becomes of a key of the file that is there already.
type duplicates int

const (
	refuseDuplicates duplicates = iota
	replaceDuplicates
)

// HasFile tells whether there is a file to load.
func (s *Saver) HasFile() bool {
	name := s.Config.DBFilename.Load()
	if name == "" {
		return false
	}
	if dir, err := s.Config.Dir.Path(); err == nil {
		name = filepath.Join(dir, name)
	}
	_, _, err := s.Disk.Stat(name) // what is no file is there, too, and cannot be loaded
	return !errors.Is(err, os.ErrNotExist)
}

// SetLoading says that Load will be called, so that clients that come before
// are told to wait.
func (s *Saver) SetLoading() {
	s.mu.Lock()
	s.loadStart = time.Now()
	s.mu.Unlock()
	s.loading.Store(true)
	s.Changed()
}

// Loading tells whether the data is being loaded and not to be served yet.
func (s *Saver) Loading() bool { return s.loading.Load() }

// StopLoading has Load return soon, with an error, and keeps Serve from ending
// the loading; false: it is over, or there was none.
func (s *Saver) StopLoading() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loading.Load() {
		s.stopLoad.Store(true)
	}
	return s.stopLoad.Load()
}

// Serve ends the loading that SetLoading began: clients are served from here on.
// It comes last, when the log is written and the server's role stands, because
// what is acknowledged or expires before would be missing there. After
// StopLoading nothing happens.
func (s *Saver) Serve() {
	s.mu.Lock()
	if !s.stopLoad.Load() {
		s.loading.Store(false)
	}
	s.mu.Unlock()
	s.Changed()
}

// Load reads the snapshot file into the (empty) keyspace; where there is none,
// nothing happens. SetLoading was called; Serve is to follow. After an error, a
// *LoadError, the contents are not to be served.
func (s *Saver) Load() error {
	start := time.Now()
	if !s.HasFile() {
		return nil
	}
	if err := s.load(manner{dups: refuseDuplicates, keep: s.follows(), leftOut: s.LeftOut}); err != nil {
		return err
	}
	s.mu.Lock()
	s.lastSave = time.Now()
	s.mu.Unlock()
	s.Dirty.Store(0)
	s.Log.Noticef("DB loaded from disk: %.3f seconds", time.Since(start).Seconds())
	return nil
}

// Reload is DEBUG RELOAD: save, empty and load, each of them unless told not
// to. With merge, keys of the file replace those that are there. No stripe is
// locked, and the caller keeps other clients away. saved is false where the
// error happened before anything was emptied.
func (s *Saver) Reload(noSave, noFlush, merge bool) (saved bool, err error) {
	s.contents.Lock()
	defer s.contents.Unlock()
	if !noSave {
		if err := s.SaveAfter(); err != nil {
			return false, err
		}
	}
	s.setPartial(true, !noFlush)
	defer s.setPartial(false, false)
	how := manner{dups: refuseDuplicates, leftOut: s.LeftOut}
	switch {
	case merge:
		how.dups, how.libraries = replaceDuplicates, "replace"
	case noFlush:
		how.libraries = "append"
	}
	// The log would not say that a key was left out.
	how.keep = s.follows() || s.Config.AppendOnly.Load()
	s.mu.Lock()
	s.loadStart = time.Now()
	s.mu.Unlock()
	if err := s.load(how); err != nil {
		s.Log.Warningf("%v", err)
		return true, err
	}
	s.Log.Warningf("DB reloaded by DEBUG RELOAD")
	return true, nil
}

// load reads the snapshot file into the keyspace.
func (s *Saver) load(how manner) error {
	name := s.Config.DBFilename.Load()
	if dir, err := s.Config.Dir.Path(); err == nil {
		name = filepath.Join(dir, name)
	}
	f, err := s.Disk.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return &LoadError{File: name, Err: err}
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return &LoadError{File: name, Err: err}
	}
	facts, _, err := s.loadStream(f, name, size, how)
	s.mu.Lock()
	s.facts = facts
	s.mu.Unlock()
	return err
}

// Loaded are the facts of the head of the file that was loaded last; nil if
// none was.
func (s *Saver) Loaded() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.facts
}

// follows tells whether this server follows a leader.
func (s *Saver) follows() bool { return s.Config.ReplicaOf.Load().Host != "" }

// manner says how a snapshot is loaded.
type manner struct {
	dups  duplicates
	fresh *keyspace.Fresh // nil: into the databases that are served
	// keep enters keys whose time is over, too: only its leader tells a follower
	// that a key is gone, and what follows in a log may prolong it.
	keep bool
	// part: the snapshot begins something longer, whose length is known already.
	part bool
	// leftOut, if not nil, is told of the others, one at a time.
	leftOut func(db int, key []byte)
	// install, if not nil, gets what puts the libraries of functions in place, for
	// when the fresh databases are.
	install *func()
	// libraries is the policy of Options.LoadFunctions; "" is "flush".
	libraries string
	// proof: the snapshot is only tried; see Verify.
	proof bool
}

// loadStream reads a whole snapshot from r into the keyspace: as much as it is
// long, and buffered, so possibly bytes behind it are taken from r. size is its
// length, for the report of progress; 0 where that is not known. aux are the
// facts that its head holds, end is how many bytes it took. No stripe is
// locked. Errors are *LoadError, with name as the file.
func (s *Saver) loadStream(r io.Reader, name string, size int64, how manner) (aux map[string]string, end int64, err error) {
	if !how.part && !how.proof {
		s.total.Store(size)
		s.done.Store(0)
	}
	l := s.newLoader(r, name, how)
	at, err := l.read()
	var install func()
	if err == nil && s.LoadFunctions != nil {
		install, err = s.LoadFunctions(l.libraries, cmp.Or(how.libraries, "flush"))
	}
	if how.proof {
		if err != nil {
			return nil, 0, &LoadError{File: name, Offset: at, Err: err}
		}
		return l.facts, at, nil
	}
	s.mu.Lock()
	s.expired, s.loaded = l.expired.Load(), l.loaded.Load()
	s.mu.Unlock()
	if err != nil {
		s.Log.Warningf("Internal error in RDB reading offset %d: %v", at, err)
		return nil, 0, &LoadError{File: name, Offset: at, Err: err}
	}
	if s.LoadScripts != nil {
		s.LoadScripts(l.scripts, l.evals)
	}
	switch {
	case install == nil:
	case how.install != nil:
		*how.install = install
	default:
		h := s.Keyspace.LockAll()
		install()
		s.Keyspace.Unlock(&h)
	}
	skipped := ""
	if n := l.empty.Load(); n > 0 {
		skipped = fmt.Sprintf(", empty keys skipped: %d", n)
	}
	s.Log.Noticef("Done loading RDB, keys loaded: %d, keys expired: %d%s.", l.loaded.Load(), l.expired.Load(), skipped)
	return l.facts, at, nil
}

func (s *Saver) newLoader(r io.Reader, name string, how manner) *loader {
	l := &loader{s: s, name: name, r: rdb.NewReader(r, true), manner: how, limits: s.Limits(), now: s.Keyspace.Now(), told: time.Now(), facts: map[string]string{}, check: how.proof}
	policy := s.Config.MaxMemoryPolicy.Load()
	l.lru, l.lfu = strings.HasSuffix(policy, "-lru"), strings.HasSuffix(policy, "-lfu")
	l.begun = time.Now()
	l.batch = new(batch)
	l.own = l.newWorker()
	return l
}

// loader reads one file: it draws the frame, cuts out the keys with their
// values, and leaves decoding and entering them to workers (load_workers.go).
type loader struct {
	s    *Saver
	name string
	r    *rdb.Reader
	manner
	limits *rdb.Limits

	now, begun, told time.Time
	lru, lfu         bool
	version          int
	valkey           bool // it is a version of Valkey's own

	db       int
	deadline int64  // of the next key; 0 none
	active   string // likewise; see auxActive
	clock    uint32 // of the next key
	flags    uint32 // likewise

	facts map[string]string // what the file says of itself

	workers
	keys      int64 // that were read
	steps     int
	libraries []string // texts of libraries of functions
	scripts   []string // texts of scripts that are kept for good
	evals     []string // and of others
	metas     int      // keys with something of modules attached

	// check: values are verified and counted, and go nowhere; s has no keyspace,
	// unless it is a proof, which is also to tell whether the file fits here.
	check bool
	long  int64 // values that were too long for that

	// each, if not nil, gets every key as it stands in the file; see ReadSnapshot. The
	// rest is what it is told of the key.
	each  func(*SnapshotKey) error
	given SnapshotKey
	// names and values read what each looks at.
	names, values rdb.Reader
	idle          int64
	freq          int
}

// read reads the whole file; at is where the error is.
func (l *loader) read() (at int64, err error) {
	err = l.file()
	at = l.r.Offset()
	if behind := l.settle(); behind != nil {
		return behind.at, behind // comes before where the reader is
	}
	if err == nil {
		err = l.foot()
		at = l.r.Offset()
	}
	return at, err
}

// file reads all but the checksum at the end.
func (l *loader) file() error {
	if err := l.head(); err != nil {
		return err
	}
	l.next()
	for {
		op := l.r.Byte()
		if err := l.r.Err(); err != nil {
			return err
		}
		if op == opEOF {
			return nil // foot follows
		}
		if err := l.step(op); err != nil {
			return err
		}
		if l.steps++; l.steps&1023 == 0 {
			if err := l.look(); err != nil {
				return err
			}
		}
	}
}

// head reads what a file begins with.
func (l *loader) head() error {
	b := l.r.Next(len(header) + 4)
	if b == nil {
		return l.r.Err()
	}
	if version, ok := strings.CutPrefix(string(b), headerValkey); ok {
		n, err := strconv.Atoi(version)
		if err != nil || n < rdb.ValkeyFirst || n > rdb.ValkeyLast {
			return fmt.Errorf("Valkey's RDB version %q is not known, only %d to %d", version, rdb.ValkeyFirst, rdb.ValkeyLast)
		}
		l.version, l.valkey = n, true
		return nil
	}
	n, err := strconv.Atoi(string(b[len(header):]))
	if string(b[:len(header)]) != header || err != nil {
		return errors.New("this is no RDB file")
	}
	if n < 1 || n > rdb.MaxVersion {
		return fmt.Errorf("RDB version %d is not known, only 1 to %d", n, rdb.MaxVersion)
	}
	l.version = n
	return nil
}

// foot verifies the checksum. A file of a version that has none ends here: one
// that does not is of another version, whose number is damaged.
func (l *loader) foot() error {
	if l.version < 5 {
		if l.r.More() {
			return fmt.Errorf("RDB version %d has no checksum, but something stands behind the end", l.version)
		}
		return l.r.Err()
	}
	want := l.r.Sum()
	got := l.r.Uint64()
	if err := l.r.Err(); err != nil {
		return err
	}
	switch {
	case !l.s.Config.RDBChecksum.Load() || got == 0 && l.proof:
	case got == 0:
		l.s.Log.Noticef("RDB file was saved with checksum disabled: no check performed.")
	case got != want:
		return fmt.Errorf("RDB CRC error: the checksum is %016x, but that of the contents is %016x", got, want)
	}
	return nil
}

// next forgets what was said about the key before.
func (l *loader) next() {
	l.deadline, l.flags, l.active = 0, 0, ""
	l.idle, l.freq = -1, -1
	l.clock = uint32(l.now.Unix()) & 0xFFFFFF
	if l.lfu {
		l.clock = l.s.FreqClock(lfuFresh)
	}
}

// lfuFresh is the counter of a key that the file says nothing about: Redis's
// LFU_INIT_VAL.
const lfuFresh = 5

// step reads one part of the frame.
func (l *loader) step(op byte) error {
	r := l.r
	switch op {
	case opExpireMillis:
		l.setDeadline(int64(r.Uint64()))
	case opExpire:
		l.setDeadline(int64(int32(r.Uint32())) * 1000)
	case opFreq:
		f := r.Byte()
		l.freq = int(f)
		if l.lfu {
			l.clock = l.s.FreqClock(f)
		}
	case opIdle:
		idle := r.Length()
		l.idle = int64(min(idle, math.MaxInt32))
		if l.lru {
			// More than half of the clock's turn ago would read as the future.
			l.clock = (uint32(l.now.Unix()) - uint32(min(idle, 0x7FFFFF))) & 0xFFFFFF
		}
	case opSelectDB:
		n := r.Length()
		if l.check && !l.proof {
			n = min(n, math.MaxInt32)
		} else if r.Err() == nil && n >= uint64(l.s.Keyspace.Databases()) {
			return fmt.Errorf("the file holds database %d, but there are only %d (see the directive databases)", n, l.s.Keyspace.Databases())
		}
		l.db = int(n)
	case opResizeDB:
		r.Length()
		r.Length()
	case opSlotInfo:
		for range 3 {
			r.Length()
		}
	case opAux:
		name := string(r.String())
		value := string(r.String())
		switch name {
		case clientFlags:
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil && r.Err() == nil {
				return fmt.Errorf("the flags of a key are %.20q", value)
			}
			l.flags = uint32(n)
		case auxScript:
			l.scripts = append(l.scripts, value)
		case auxEval:
			l.evals = append(l.evals, value)
		case auxActive:
			l.active = value
		default:
			l.facts[name] = value
			l.aux(name, value)
		}
	case opModuleAux:
		return l.moduleAux()
	case opKeyMeta:
		if l.valkey { // there it is something else
			return l.value(op)
		}
		return l.keyMeta()
	case opFunction:
		l.libraries = append(l.libraries, string(r.String()))
	case opFunctionOld:
		r.String() // name
		r.String() // engine
		if r.Length() != 0 {
			r.String() // description
		}
		l.libraries = append(l.libraries, string(r.String()))
	default:
		if l.valkey {
			op = rdb.ValkeyType(op)
		}
		return l.value(op)
	}
	return r.Err()
}

func (l *loader) setDeadline(ms int64) {
	l.deadline = ms
	if ms <= 0 {
		l.deadline = 1 // long ago; 0 would be never
	}
}

// aux logs what the file says of itself.
func (l *loader) aux(name, value string) {
	switch {
	case l.r.Err() != nil || l.proof:
	case name == "redis-ver":
		l.s.Log.Noticef("Loading RDB produced by version %.40q", value)
	case name == "ctime":
		if t, err := strconv.ParseInt(value, 10, 64); err == nil {
			l.s.Log.Noticef("RDB age %d seconds", max(0, l.now.Unix()-t))
		}
	case name == "used-mem":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			l.s.Log.Noticef("RDB memory usage when created %.2f Mb", float64(n)/(1<<20))
		}
	}
}

// moduleAux skips what a module has written: values each with its kind before
// it, and 0 at the end. Source: RDB_MODULE_OPCODE_... in Redis's src/rdb.h.
func (l *loader) moduleAux() error {
	r := l.r
	id := r.Length()
	r.Length() // the kind of what follows, a length,
	r.Length() // which says when in loading the module wants it
	err := l.moduleValues()
	if err == nil && !l.proof {
		l.s.Log.Warningf("%s holds data of the module %s: it is left out", l.name, moduleName(id))
	}
	return err
}

// keyMeta skips what modules have attached to the next key: for each of them its
// class (a name of four characters, a version and flags, in 4 bytes) and values.
// Source: the description of Redis's pull request 14445.
func (l *loader) keyMeta() error {
	for n := l.r.Length(); n > 0; n-- {
		l.r.Next(4)
		if err := l.moduleValues(); err != nil {
			return err
		}
	}
	if l.metas++; l.metas == 1 && l.r.Err() == nil && !l.proof {
		l.s.Log.Warningf("%s holds what modules have attached to keys: it is left out", l.name)
	}
	return l.r.Err()
}

// moduleValues skips values of a module, up to their end.
func (l *loader) moduleValues() error {
	r := l.r
	for r.Err() == nil {
		switch kind := r.Length(); kind {
		case 0:
			return r.Err()
		case 1, 2:
			r.Length()
		case 3:
			r.Next(4)
		case 4:
			r.Next(8)
		case 5:
			r.String()
		default:
			return fmt.Errorf("data of a module of the unknown kind %d", kind)
		}
	}
	return r.Err()
}

// moduleName spells a module type's name: 9 characters of 6 bits each above
// 10 bits of version.
func moduleName(id uint64) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var b [9]byte
	id >>= 10
	for i := range b {
		b[8-i] = letters[id&63]
		id >>= 6
	}
	return string(b[:])
}

// value takes a key and its value out of the file.
func (l *loader) value(t byte) error {
	defer l.next()
	l.keys++
	if l.each != nil {
		return l.give(t)
	}
	if d := l.s.Config.KeyLoadDelay.Load(); d != 0 && !l.proof {
		l.pause(d)
	}
	rec := record{typ: t, db: l.db, deadline: l.deadline, clock: l.clock, flags: l.flags, at: l.r.Offset(), active: l.active}
	most := rawMax
	if l.check && !l.proof {
		most = checkMax
	}
	l.r.Mark(most)
	rdb.SkipString(l.r)
	rdb.Skip(l.r, t)
	if raw := l.r.Marked(); raw != nil && len(raw) <= most {
		return l.hand(rec, raw)
	}
	// It is too long to be kept twice, or damaged, or of an unknown type.
	long := rdb.IsLong(l.r.Err())
	l.r.Rewind()
	if l.check && !l.proof && long {
		l.long++
		rdb.SkipString(l.r)
		rdb.Skip(l.r, t)
		if l.r.Err() == nil {
			l.own.seen.note(&rec, rdb.TypeOf(t))
		}
		return l.r.Err()
	}
	rec.key = append(rec.key, l.r.String()...)
	if err := l.r.Err(); err != nil {
		return err
	}
	return l.own.enter(&rec, l.r)
}

// pause is key-load-delay.
func (l *loader) pause(delay int64) {
	if delay < 0 && l.keys%-delay != 0 {
		return
	}
	sleep(1, max(delay, 1), l.s.stopLoad.Load)
	l.s.done.Store(l.r.Offset())
}

// look tells how far loading has come, and ends it if it is to end.
func (l *loader) look() error {
	if l.proof {
		return nil // the reader knows when it is to end
	}
	l.s.done.Store(l.r.Offset())
	if l.s.stopLoad.Load() {
		return errStopped
	}
	if now := time.Now(); now.Sub(l.told) >= progressEvery {
		l.told = now
		perc, eta := progress(l.s.total.Load(), l.r.Offset(), now.Sub(l.begun))
		l.s.Log.Noticef("Loading: %.1f%% of %d bytes, %d keys so far, about %s left", perc, l.s.total.Load(), l.keys, eta.Round(time.Second))
	}
	return nil
}
