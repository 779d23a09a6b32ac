package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"kvd/persist/rdb"
)

// Restored says what Restore has made.
type Restored struct {
	Dir string // the data directory
	// What a server that loads it must be told where it is not the default; empty for a
	// snapshot alone.
	AppendDirname, AppendFilename string

	Base     time.Time // the moment of the snapshot that it begins with; zero: there is none
	Last     time.Time // the last time stamp that was kept; zero: none
	Commands int64     // of the log that were kept
	Left     int64     // bytes of the log that are not part of it
	Torn     bool      // the log ended in the middle of a command or a transaction
}

// Restore makes a data directory, to, of what from holds: a data directory, a backup, or a
// file of one. The newest state is restored or, where until is not zero, that at the end
// of the second of until, for which the log needs time stamps (aof-timestamp-enabled).
// from is only read, and no server may be writing to it but one that appends to the
// log. to must not be there, or be empty; it is complete only if there is no error.
func Restore(disk Disk, from, to string, until time.Time) (*Restored, error) {
	if names, err := disk.ReadDir(to); err == nil && len(names) > 0 {
		return nil, fmt.Errorf("%s is not empty: name a new directory", to)
	} else if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if err := disk.Mkdir(to, 0o755); err != nil {
			return nil, err
		}
	}
	manifest, snapshot, err := findData(disk, from)
	if err != nil {
		return nil, err
	}
	r := &restore{disk: disk, until: until, Restored: Restored{Dir: to}}
	if manifest == "" {
		err = r.snapshot(snapshot, filepath.Join(to, "dump.rdb"))
	} else {
		err = r.log(manifest)
	}
	if err == nil {
		err = disk.SyncDir(to)
	}
	if err != nil {
		return nil, err
	}
	return &r.Restored, nil
}

// DataFiles are the files that a server which is given name loads, in their order: a
// snapshot, or the base of a log and its increments. name is a data directory, a backup, or
// a file of one.
func DataFiles(disk Disk, name string) (files []string, err error) {
	manifest, snapshot, err := findData(disk, name)
	if err != nil {
		return nil, err
	}
	if manifest == "" {
		return []string{snapshot}, nil
	}
	dir := logDir{disk: disk, dir: filepath.Dir(manifest), of: strings.TrimSuffix(filepath.Base(manifest), ".manifest")}
	m, err := dir.read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", manifest, err)
	}
	for _, f := range m.inForce() {
		files = append(files, dir.path(f.name))
	}
	return files, nil
}

// findData finds the manifest of a log in what name is, or else a snapshot.
func findData(disk Disk, name string) (manifest, snapshot string, err error) {
	_, dir, err := disk.Stat(name)
	if err != nil {
		return "", "", err
	}
	if !dir {
		if strings.HasSuffix(name, ".manifest") {
			return name, "", nil
		}
		return "", name, nil
	}
	var manifests, snapshots []string
	c := &Checker{Disk: disk}
	for i, d := range append([]string{name}, c.subdirs(name)...) {
		names, err := disk.ReadDir(d)
		if err != nil {
			return "", "", err
		}
		for _, n := range names {
			switch {
			case strings.HasPrefix(n, "temp-"):
			case strings.HasSuffix(n, ".manifest"):
				manifests = append(manifests, filepath.Join(d, n))
			case strings.HasSuffix(n, ".rdb") && i == 0:
				snapshots = append(snapshots, filepath.Join(d, n))
			}
		}
	}
	switch {
	case len(manifests) > 1:
		return "", "", fmt.Errorf("%s holds several logs: %s. Name the manifest that is meant", name, strings.Join(manifests, ", "))
	case len(manifests) == 1:
		return manifests[0], "", nil
	case len(snapshots) > 1:
		return "", "", fmt.Errorf("%s holds several snapshots: %s. Name the one that is meant", name, strings.Join(snapshots, ", "))
	case len(snapshots) == 1:
		return "", snapshots[0], nil
	}
	return "", "", fmt.Errorf("%s holds neither a log (*.manifest) nor a snapshot (*.rdb)", name)
}

// restore is one Restore.
type restore struct {
	Restored
	disk  Disk
	until time.Time
}

// snapshot copies a snapshot and verifies it.
func (r *restore) snapshot(from, to string) error {
	if err := r.copyFile(from, to, -1); err != nil {
		return err
	}
	report := (&Checker{Disk: r.disk}).file(to)
	if report.Err != nil {
		report.Err.File = from
		return report.Err
	}
	r.Base = instantOf(report.Facts)
	if !r.until.IsZero() && (r.Base.IsZero() || r.Base.Unix() > r.until.Unix()) {
		return fmt.Errorf("%s is of %s, which is after the moment that is wanted", from, momentText(r.Base))
	}
	return nil
}

// instantOf is the moment of a snapshot by what it says of itself; zero: it does not.
// That of a Redis is when it began to write, in whole seconds.
func instantOf(facts map[string]string) time.Time {
	if ms, err := strconv.ParseInt(facts[auxInstant], 10, 64); err == nil {
		return time.UnixMilli(ms)
	}
	if s, err := strconv.ParseInt(facts["ctime"], 10, 64); err == nil {
		return time.Unix(s, 0)
	}
	return time.Time{}
}

func momentText(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format(time.RFC3339)
}

// log copies a log, up to the moment.
func (r *restore) log(manifestFile string) error {
	of := strings.TrimSuffix(filepath.Base(manifestFile), ".manifest")
	from := logDir{disk: r.disk, dir: filepath.Dir(manifestFile), of: of}
	m, err := from.read()
	if err != nil {
		return fmt.Errorf("%s: %w", manifestFile, err)
	}
	r.AppendDirname, r.AppendFilename = "appendonlydir", of
	to := logDir{disk: r.disk, dir: filepath.Join(r.Dir, r.AppendDirname), of: of}
	if err := r.disk.Mkdir(to.dir, 0o755); err != nil {
		return err
	}
	out := &manifest{base: m.base, baseSeq: m.baseSeq, incrSeq: m.incrSeq}
	over, stamped := false, false
	files := m.inForce()
	for i, f := range files {
		if !over {
			over, err = r.file(&from, &to, f, i == len(files)-1, &stamped)
			if err != nil {
				return err
			}
			if f.typ == incrFile {
				out.incrs = append(out.incrs, f)
			}
			continue
		}
		size, _, err := r.disk.Stat(from.path(f.name))
		if err != nil {
			return err
		}
		r.Left += size
	}
	if !r.until.IsZero() && !stamped && r.Commands > 0 {
		return errors.New("the log has no time stamps, so nobody knows which of its commands are older than the moment that is wanted; the directive aof-timestamp-enabled yes writes them from then on")
	}
	return to.write(out)
}

// file copies one file of the log, up to the moment, and syncs it. over: the moment was in it.
func (r *restore) file(from, to *logDir, f logFile, last bool, stamped *bool) (over bool, err error) {
	name := from.path(f.name)
	in, err := r.disk.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return false, err
	}
	defer in.Close()
	size, err := in.Size() // a server may append meanwhile
	if err != nil {
		return false, err
	}
	head := make([]byte, sniff)
	n, _ := in.ReadAt(head, 0)
	rd := rdb.NewReader(io.LimitReader(in, size), true)
	if isSnapshot(head[:n]) {
		l := checkLoader(rd, name)
		at, err := l.read()
		if err != nil {
			return false, &LoadError{File: name, Offset: at, Err: err}
		}
		r.Base = instantOf(l.facts)
	}
	keep, over, err := r.scan(rd, stamped)
	if f.typ == baseFile {
		if r.Base.IsZero() { // it is in the form of commands, behind a time stamp
			r.Base = r.Last
		}
		if over || !r.until.IsZero() && r.Base.Unix() > r.until.Unix() {
			return false, fmt.Errorf("the log begins at %s, which is after the moment that is wanted: an older backup must have it", momentText(r.Base))
		}
	}
	switch {
	case over || err == nil && keep == size:
	case last && (err == nil || errors.Is(err, rdb.ErrShort)):
		r.Torn = true // what a server that died leaves behind; loading cuts it, too
	case err == nil:
		return false, fmt.Errorf("%s ends in the middle of a transaction, at offset %d, though it is not the last file", name, keep)
	default:
		return false, fmt.Errorf("%s is damaged at offset %d: %w", name, rd.Offset(), err)
	}
	r.Left += size - keep
	return over, r.copyFile(name, to.path(f.name), keep)
}

// scan finds the offset up to which commands are wanted, outside of a transaction.
func (r *restore) scan(rd *rdb.Reader, stamped *bool) (keep int64, over bool, err error) {
	keep = rd.Offset()
	multi, commands := false, int64(0)
	for rd.More() {
		if stamp, ok := logStamp(rd); ok {
			*stamped = true
			if t := time.Unix(stamp, 0); !r.until.IsZero() && stamp > r.until.Unix() {
				return keep, true, nil
			} else if t.After(r.Last) {
				r.Last = t
			}
		} else {
			n, name, err := logCommand(rd)
			if err != nil {
				return keep, false, err
			}
			switch {
			case bytes.EqualFold(name, []byte("MULTI")):
				multi = true
			case bytes.EqualFold(name, []byte("EXEC")):
				multi = false
			}
			if n > 0 {
				commands++
			}
		}
		if !multi {
			keep = rd.Offset()
			r.Commands += commands
			commands = 0
		}
	}
	return keep, false, rd.Err()
}

// stampLine is longer than any time stamp, in bytes.
const stampLine = 64

// logStamp takes a time stamp, if one is next.
func logStamp(rd *rdb.Reader) (seconds int64, ok bool) {
	rd.Mark(stampLine)
	line := make([]byte, 0, stampLine)
	for range stampLine - 1 {
		c := rd.Byte()
		if rd.Err() != nil || len(line) < 4 && c != "#TS:"[len(line)] {
			break
		}
		if line = append(line, c); c == '\n' {
			n, err := strconv.ParseInt(strings.TrimRight(string(line[4:]), "\r\n"), 10, 64)
			if err != nil {
				break
			}
			rd.Marked()
			return n, true
		}
	}
	rd.Rewind()
	return 0, false
}

// copyFile copies the first keep bytes of a file (-1: all) and syncs the copy.
func (r *restore) copyFile(from, to string, keep int64) error {
	in, err := r.disk.OpenFile(from, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := r.disk.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	var src io.Reader = in
	if keep >= 0 {
		src = io.LimitReader(in, keep)
	}
	n, err := io.CopyBuffer(out, src, make([]byte, 1<<20))
	if err == nil && keep >= 0 && n < keep {
		err = fmt.Errorf("%s became shorter while it was copied", from)
	}
	if err == nil {
		err = out.Sync()
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}
