package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kvd/resp/wire"
)

// LogError says that a file of the log was not loaded, and what can be done.
type LogError struct {
	File   string
	Offset int64 // up to which the file is whole, in bytes
	Text   string
}

func (e *LogError) Error() string { return e.Text }

// readBlock is how much of a file is read at a time.
const readBlock = 1 << 20

// HasFile tells whether there is something to load.
func (l *Log) HasFile() bool {
	if !l.wantOn() {
		return l.Saver.HasFile()
	}
	of := l.Config.AppendFilename.Load()
	for _, name := range []string{of, filepath.Join(l.Config.AppendDirname.Load(), of+".manifest")} {
		if _, _, err := l.Disk.Stat(name); !errors.Is(err, os.ErrNotExist) {
			return true
		}
	}
	return false
}

// Load reads the log, if appendonly says so, else the snapshot file, into the
// empty keyspace. SetLoading was called where HasFile says so; else this takes no
// time and is called before the first client comes. From its end on
// what changes is appended to the log. Serve is to follow. After an error the
// contents are not to be served.
func (l *Log) Load() error {
	if !l.wantOn() {
		return l.Saver.Load()
	}
	if err := l.place(); err != nil {
		return err
	}
	if err := l.upgrade(); err != nil {
		return err
	}
	if l.files.empty() {
		if err := l.refuseOrphans(); err != nil {
			return err
		}
	}
	if err := l.loadFiles(); err != nil {
		return err
	}
	if l.files.empty() && l.Saver.HasFile() {
		l.Log.Warningf("The append-only log is empty, so the data begins empty: the snapshot %s is not loaded, as in Redis. To take it over, start with --appendonly no, then CONFIG SET appendonly yes", l.Config.DBFilename.Load())
	}
	if err := l.open(); err != nil {
		return fmt.Errorf("Opening the append-only log: %w", err)
	}
	l.Saver.mu.Lock()
	l.lastSave = time.Now()
	l.Saver.mu.Unlock()
	l.Dirty.Store(0)
	return nil
}

// upgrade moves the one file of a log of Redis before 7.0 into the directory,
// as its base. A crash in between leaves what the next start goes on with.
func (l *Log) upgrade() error {
	m, err := l.dir.read()
	if err != nil {
		return fmt.Errorf("Reading the manifest file %s: %w", l.dir.manifestName(), err)
	}
	l.files = m
	of := l.dir.of
	old := filepath.Join(filepath.Dir(l.dir.dir), of)
	if err := l.refuseOldDirectory(old); err != nil && m.empty() {
		return fmt.Errorf("Reading the append-only log %s: %w. Restore the file, or remove the directory to start empty", of, err)
	}
	if _, dir, err := l.Disk.Stat(old); err != nil || dir {
		return nil
	}
	_, _, err = l.Disk.Stat(l.dir.path(of))
	moved := err == nil
	if !m.empty() && (m.base == nil || len(m.incrs) > 0 || m.base.name != of || moved) {
		return nil
	}
	m = &manifest{base: &logFile{of, 1, baseFile}, baseSeq: 1}
	err = l.dir.write(m)
	if err == nil {
		err = l.Disk.Rename(old, l.dir.path(of))
	}
	if err == nil {
		err = l.Disk.SyncDir(l.dir.dir)
	}
	if err == nil {
		err = l.Disk.SyncDir(filepath.Dir(l.dir.dir))
	}
	if err != nil {
		return fmt.Errorf("Error trying to move the old AOF file %s into dir %s: %w", of, filepath.Base(l.dir.dir), err)
	}
	l.files = m
	l.Log.Noticef("Successfully migrated an old-style AOF file (%s) into the AOF directory (%s).", of, filepath.Base(l.dir.dir))
	return nil
}

// loadFiles loads what the manifest names.
func (l *Log) loadFiles() error {
	list := l.files.inForce()
	total, last := int64(0), -1
	sizes := make([]int64, len(list))
	for i, f := range list {
		size, _, err := l.Disk.Stat(l.dir.path(f.name))
		if errors.Is(err, os.ErrNotExist) {
			err = errors.New("No such file or directory")
		}
		if err != nil {
			return &LogError{File: f.name, Text: fmt.Sprintf("The append-only log lacks a file that its manifest names. Unable to obtain the AOF file %s length. stat: %v", f.name, err)}
		}
		sizes[i] = size
		// A file behind which nothing was written may be torn.
		if total += size; size > 0 {
			last = i
		}
	}
	l.Saver.mu.Lock()
	l.loadStart = time.Now()
	l.Saver.mu.Unlock()
	l.total.Store(total)
	l.done.Store(0)
	before := int64(0)
	for i, f := range list {
		start := time.Now()
		if sizes[i] == 0 {
			continue
		}
		r := &logReader{l: l, name: f.name, before: before, last: i == last, begun: start, told: start}
		if err := r.load(); err != nil {
			return err
		}
		kind := "incr"
		if f.typ == baseFile {
			kind = "base"
			l.baseSize.Store(sizes[i])
		}
		l.Log.Noticef("DB loaded from %s file %s: %.3f seconds", kind, f.name, time.Since(start).Seconds())
		before += sizes[i]
	}
	return nil
}

// logReader loads one file.
type logReader struct {
	l           *Log
	name        string
	before      int64 // bytes of the files before
	last        bool
	begun, told time.Time
	file        File
	at          int64 // bytes of the file that were read as commands
	good        int64 // up to which all is whole, and outside of a transaction
	commands    int64
	failures    int64
}

func (r *logReader) load() (err error) {
	l := r.l
	if r.file, err = l.Disk.OpenFile(l.dir.path(r.name), os.O_RDWR, 0); err != nil {
		return &LogError{File: r.name, Text: fmt.Sprintf("Fatal error: can't open the append log file %s for reading: %v", r.name, err)}
	}
	defer r.file.Close()
	var sig [sniff]byte
	if n, _ := r.file.ReadAt(sig[:], 0); isSnapshot(sig[:n]) {
		what := "base file"
		if r.name == l.dir.of {
			what = "preamble of the AOF file"
		}
		l.Log.Noticef("Reading RDB %s on AOF loading...", what)
		_, end, err := l.loadStream(r.file, r.name, 0, manner{part: true, keep: true})
		if err != nil {
			return fmt.Errorf("Error reading the RDB %s %s, AOF loading aborted. %w", what, r.name, err)
		}
		r.at, r.good = end, end
	}
	return r.tail()
}

// tail reads commands.
func (r *logReader) tail() error {
	l := r.l
	a := l.applies()
	lim := wire.Limits{MaxBulk: 1 << 40, Authenticated: true}
	var scan wire.Scanner
	buf := make([]byte, 0, readBlock+readBlock/4)
	end := false
	for {
		a.SetTime(time.Now())
		pos := 0
		for pos < len(buf) {
			if c := buf[pos]; c == '#' {
				n := bytes.IndexByte(buf[pos:], '\n')
				if n < 0 {
					break
				}
				pos += n + 1
			} else if c != '*' {
				return r.bad(buf[pos:], r.at+int64(pos), "")
			} else {
				n, status, err := scan.Scan(buf[pos:], &lim)
				if status == wire.More {
					break
				}
				if status == wire.Error {
					return r.bad(buf[pos:], r.at+int64(pos), " ("+err.Error()+")")
				}
				if len(scan.Args) == 0 || !bytes.HasSuffix(buf[:pos+n], crlf) {
					return r.bad(buf[pos:], r.at+int64(pos), "")
				}
				if err := r.apply(a, scan.Args); err != nil {
					return err
				}
				pos += n
			}
			if !a.InMulti() {
				r.good = r.at + int64(pos)
			}
		}
		r.at += int64(pos)
		if end {
			if r.good != r.at || pos < len(buf) {
				if a.InMulti() {
					l.Log.Warningf("Revert incomplete MULTI/EXEC transaction in AOF file %s", r.name)
					a.Reset()
				}
				return r.torn()
			}
			l.done.Store(r.before + r.at)
			return nil
		}
		if err := r.look(); err != nil {
			return err
		}
		rest := len(buf) - pos
		copy(buf[:rest], buf[pos:])
		buf = buf[:rest]
		if want := max(rest+readBlock, scan.Need()+rest); want > cap(buf) {
			// At most twice what is there: a length may be damaged.
			bigger := make([]byte, rest, min(want, 2*rest+readBlock))
			copy(bigger, buf)
			buf = bigger
		}
		n, err := r.file.ReadAt(buf[rest:cap(buf)], r.at+int64(rest))
		buf = buf[:rest+n]
		switch {
		case errors.Is(err, io.EOF):
			end = true
		case err != nil:
			return &LogError{r.name, r.good, fmt.Sprintf("Unrecoverable error reading the append only file %s at offset %d: %v", r.name, r.at+int64(rest+n), err)}
		}
	}
}

// apply runs one command.
func (r *logReader) apply(a Applier, args [][]byte) error {
	r.commands++
	err := a.Apply(args)
	if err == nil {
		if d := r.l.Config.KeyLoadDelay.Load(); d != 0 && (d > 0 || r.commands%-d == 0) {
			sleep(1, max(d, 1), r.l.stopLoad.Load)
		}
		return nil
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "ERR unknown command"):
		return &LogError{r.name, r.good, fmt.Sprintf("Unknown command '%.128s' reading the append only file %s at offset %d", args[0], r.name, r.good)}
	case bytes.EqualFold(args[0], []byte("select")):
		return &LogError{r.name, r.good, fmt.Sprintf("Fatal error reading the append only file %s at offset %d: %v (see the directive databases)", r.name, r.good, err)}
	}
	// Redis loads such a file too.
	if r.failures++; r.failures <= 10 {
		r.l.Log.Warningf("== CRITICAL == The append only file %s has a command that fails, after offset %d: %v", r.name, r.good, err)
	}
	return nil
}

// zeros tells whether the file holds nothing but zeros from off on.
func (r *logReader) zeros(off int64) bool {
	b := make([]byte, 64<<10)
	for {
		n, err := r.file.ReadAt(b, off)
		for _, c := range b[:n] {
			if c != 0 {
				return false
			}
		}
		if off += int64(n); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

var crlf = []byte("\r\n")

// bad is damage in the middle: rest begins with it, at offset at. A file system
// may leave a length that was never filled, though: where nothing but zeros
// follows what would be the beginning of a command, the file is torn.
func (r *logReader) bad(rest []byte, at int64, why string) error {
	if n := len(bytes.TrimRight(rest, "\x00")); r.last && n < len(rest) && r.zeros(at+int64(n)) {
		var scan wire.Scanner
		_, status, _ := scan.Scan(rest[:n], &wire.Limits{MaxBulk: 1 << 40, Authenticated: true})
		if n == 0 || rest[0] == '*' && status == wire.More {
			return r.torn()
		}
	}
	if most := r.l.Config.AOFCorruptTailMax.Load(); r.last && most > 0 && r.l.Config.AOFLoadTruncated.Load() {
		if size, _, err := r.l.Disk.Stat(r.l.dir.path(r.name)); err == nil && size-r.good <= most {
			r.l.Log.Warningf("!!! Warning: the last %d bytes of the AOF file %s are damaged, which aof-load-corrupt-tail-max-size allows !!!", size-r.good, r.name)
			return r.torn()
		}
	}
	return &LogError{r.name, r.good, fmt.Sprintf("Bad file format reading the append only file %s at offset %d%s: make a backup of your AOF file, then use kvd check --fix %s", r.name, r.good, why, r.l.dir.path(r.l.dir.manifestName()))}
}

// torn is an end in the middle of something: it is cut off if it may be.
func (r *logReader) torn() error {
	l := r.l
	fail := func(text string) error {
		return &LogError{r.name, r.good, fmt.Sprintf("%s: Unexpected end of file reading the append only file %s at offset %d. You can: 1) Make a backup of your AOF file, then use kvd check --fix %s. 2) Alternatively you can set the 'aof-load-truncated' configuration option to yes and restart the server.",
			text, r.name, r.good, l.dir.path(l.dir.manifestName()))}
	}
	if !r.last {
		return fail("Fatal error: the truncated file is not the last file")
	}
	if !l.Config.AOFLoadTruncated.Load() {
		return fail("Fatal error")
	}
	l.Log.Warningf("!!! Warning: short read while loading the AOF file %s!!!", r.name)
	l.Log.Warningf("!!! Truncating the AOF %s at offset %d !!!", r.name, r.good)
	err := r.file.Truncate(r.good)
	if err == nil {
		err = r.file.Sync()
	}
	if err != nil {
		return fail(fmt.Sprintf("Error truncating the AOF file %s: %v", r.name, err))
	}
	l.Log.Warningf("AOF %s loaded anyway because aof-load-truncated is enabled", r.name)
	l.done.Store(r.before + r.good)
	return nil
}

// look tells how far loading has come, and ends it if it is to end.
func (r *logReader) look() error {
	l := r.l
	l.done.Store(r.before + r.at)
	if l.stopLoad.Load() {
		return errStopped
	}
	if now := time.Now(); now.Sub(r.told) >= progressEvery {
		r.told = now
		perc, eta := progress(l.total.Load(), r.before+r.at, now.Sub(r.begun))
		l.Log.Noticef("Loading %s: %.1f%% of %d bytes of the log, %d commands so far, about %s left", r.name, perc, l.total.Load(), r.commands, eta.Round(time.Second))
	}
	return nil
}

// ReloadLog is DEBUG LOADAOF: what was appended is flushed, the databases are
// emptied, and the log is loaded. No stripe is locked, and the caller keeps
// other clients away.
func (l *Log) ReloadLog() (err error) {
	l.contents.Lock()
	defer l.contents.Unlock()
	err = errLogClosed
	l.do(func() {
		if err = l.Flush(); err != nil {
			return
		}
		if l.dir.dir == "" {
			if err = l.placeAndRead(); err != nil {
				return
			}
		}
		h := l.Keyspace.LockAll()
		l.Keyspace.Journal.Suspend(true)
		l.partial = true
		l.Keyspace.FlushAll(l.Keyspace.Now().UnixMilli())
		l.Keyspace.Unlock(&h)
		err = l.loadFiles()
		h = l.Keyspace.LockAll()
		l.Keyspace.Journal.Suspend(false)
		l.partial = false
		l.Keyspace.Unlock(&h)
		if err != nil {
			l.Log.Warningf("%v", err)
			return
		}
		l.Dirty.Store(0)
		l.Log.Noticef("Append Only File loaded by DEBUG LOADAOF")
	})
	return err
}
