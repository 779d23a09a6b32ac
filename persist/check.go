package persist

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kvd/persist/rdb"
	"kvd/types"
)

// checkMax is the longest key with its value that a check decodes, in bytes. Of
// a longer one, which would need as much memory, only lengths and the file's
// checksum are verified. So a check needs no more than some 20 times this for
// each core (and what compressed strings become, one for each core), whatever
// the file.
const checkMax = 4 << 20

// FileReport is what was found in a file.
type FileReport struct {
	Name    string
	Kind    string // "snapshot", "log", "log that begins with a snapshot" or "manifest"
	Version int    // of the RDB format, 0 where there is none
	Bytes   int64
	Facts   map[string]string        // what a snapshot says of itself
	Keys    [16]map[types.Type]int64 // by database, the last one standing for all above
	// Volatile keys by database, those past their deadlines included, and the
	// earliest deadline of all, in Unix milliseconds.
	Volatile [16]int64
	Earliest int64
	Expired  int64 // keys past their deadlines
	Empty    int64 // empty collections, which loading leaves out
	Long     int64 // values of which only lengths were verified

	Commands int64 // in a log
	// Whole is the offset behind the last whole command of a log, or behind the
	// EXEC of the transaction that it is part of.
	Whole int64

	Files []*FileReport // those that a manifest names
	Notes []string
	Err   *Damage // nil where nothing is wrong
}

// Damage says what is wrong with a file, where, and what to do about it.
type Damage struct {
	File   string
	Offset int64
	Err    error
	Way    string // the way out, a sentence
	// Fixable: cutting the file at Keep bytes leaves a log that loads.
	Fixable bool
	Keep    int64
}

func (d *Damage) Error() string {
	return fmt.Sprintf("%s, at offset %d: %v. %s", d.File, d.Offset, d.Err, d.Way)
}

func (d *Damage) Unwrap() error { return d.Err }

// Damaged is the first damage in the report or in a file that it lists.
func (r *FileReport) Damaged() *Damage {
	if r.Err != nil {
		return r.Err
	}
	for _, f := range r.Files {
		if d := f.Damaged(); d != nil {
			return d
		}
	}
	return nil
}

// Checker verifies files without loading them.
type Checker struct {
	Disk Disk // nil for the system's
	// Known, where set, says what is wrong with a command of a log: an unknown
	// name, or a number of arguments that it does not take.
	Known func(args int, name []byte) error
}

func (c *Checker) disk() Disk {
	if c.Disk == nil {
		return osDisk{}
	}
	return c.Disk
}

// Check verifies a file, or what a server would find in a directory: snapshots,
// manifests with their files, and logs without one. The error says that there
// was nothing to look at; what is wrong inside stands in the reports.
func (c *Checker) Check(name string) ([]*FileReport, error) {
	_, dir, err := c.disk().Stat(name)
	if err != nil {
		return nil, err
	}
	if !dir {
		return []*FileReport{c.file(name)}, nil
	}
	var out []*FileReport
	listed := map[string]bool{}
	var snapshots, logs []string
	for _, d := range append([]string{name}, c.subdirs(name)...) {
		names, err := c.disk().ReadDir(d)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			path := filepath.Join(d, n)
			switch {
			case strings.HasPrefix(n, "temp-"):
			case strings.HasSuffix(n, ".manifest"):
				r := c.file(path)
				for _, f := range r.Files {
					listed[f.Name] = true
				}
				out = append(out, r)
			case strings.HasSuffix(n, ".rdb"):
				snapshots = append(snapshots, path)
			case strings.HasSuffix(n, ".aof"):
				logs = append(logs, path)
			}
		}
	}
	for _, path := range append(snapshots, logs...) {
		if !listed[path] {
			out = append(out, c.file(path))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s holds no snapshot (*.rdb), log (*.aof) or manifest", name)
	}
	return out, nil
}

func (c *Checker) subdirs(name string) (dirs []string) {
	names, _ := c.disk().ReadDir(name)
	for _, n := range names {
		if _, dir, err := c.disk().Stat(filepath.Join(name, n)); err == nil && dir {
			dirs = append(dirs, filepath.Join(name, n))
		}
	}
	return
}

// file verifies a file by what it begins with or is called.
func (c *Checker) file(name string) *FileReport {
	r := &FileReport{Name: name}
	f, err := c.disk().OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		r.Err = &Damage{File: name, Err: err, Way: "Restore the file, or give the server the right to read it"}
		return r
	}
	defer f.Close()
	if r.Bytes, err = f.Size(); err != nil {
		r.Err = &Damage{File: name, Err: err, Way: "Look at the disk"}
		return r
	}
	if strings.HasSuffix(name, ".manifest") {
		r.Kind = "manifest"
		c.manifest(r, f)
		return r
	}
	head := make([]byte, sniff)
	n, _ := f.ReadAt(head, 0)
	rd := rdb.NewReader(f, true)
	isRDB := isSnapshot(head[:n])
	switch {
	case isRDB && strings.HasSuffix(name, ".aof"):
		r.Kind = "log that begins with a snapshot"
		if c.snapshot(r, rd) {
			c.log(r, rd)
		}
	case isRDB || strings.HasSuffix(name, ".rdb") || n > 0 && head[0] != '*' && head[0] != '#':
		r.Kind = "snapshot"
		if c.snapshot(r, rd) && rd.Offset() < r.Bytes {
			// An old log that was renamed, or bytes that nobody reads.
			if rd.More() {
				r.Kind = "log that begins with a snapshot"
				c.log(r, rd)
			}
		}
	default:
		r.Kind = "log"
		c.log(r, rd)
	}
	return r
}

// snapshot verifies an RDB file, or the beginning of a log that is one.
func (c *Checker) snapshot(r *FileReport, rd *rdb.Reader) bool {
	l := checkLoader(rd, r.Name)
	at, err := l.read()
	for _, w := range l.all {
		w.seen.addTo(r)
	}
	r.Version, r.Facts = l.version, l.facts
	r.Expired, r.Empty, r.Long = l.expired.Load(), l.empty.Load(), l.long
	if n := len(l.libraries); n > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d function libraries", n))
	}
	if err != nil {
		r.Err = &Damage{File: r.Name, Offset: at, Err: err, Way: "Restore a good copy of the file, or move it away to start empty"}
		if errors.Is(err, rdb.ErrUnknown) {
			r.Err.Way = "It may be of a newer Redis or of a module: load it there and remove the key"
		}
		return false
	}
	return true
}

// seen counts what a worker of a check has seen.
type seen struct {
	keys     [16]map[types.Type]int64
	volatile [16]int64
	earliest int64
}

func (s *seen) note(rec *record, typ types.Type) {
	db := min(rec.db, len(s.keys)-1)
	if s.keys[db] == nil {
		s.keys[db] = map[types.Type]int64{}
	}
	s.keys[db][typ]++
	if rec.deadline != 0 {
		s.volatile[db]++
		if s.earliest == 0 || rec.deadline < s.earliest {
			s.earliest = rec.deadline
		}
	}
}

func (s *seen) addTo(r *FileReport) {
	for db, m := range s.keys {
		for t, n := range m {
			if r.Keys[db] == nil {
				r.Keys[db] = map[types.Type]int64{}
			}
			r.Keys[db][t] += n
		}
		r.Volatile[db] += s.volatile[db]
	}
	if s.earliest != 0 && (r.Earliest == 0 || s.earliest < r.Earliest) {
		r.Earliest = s.earliest
	}
}

// log verifies commands: that every one is whole and that transactions end.
func (c *Checker) log(r *FileReport, rd *rdb.Reader) {
	r.Whole = rd.Offset()
	multi := false
	at := r.Whole
	var err error
	for rd.More() {
		at = rd.Offset()
		var name []byte
		var args int
		if args, name, err = logCommand(rd); err != nil {
			break
		}
		if args > 0 { // else a time stamp
			r.Commands++
			if c.Known != nil {
				if err = c.Known(args, name); err != nil {
					break
				}
			}
			switch {
			case bytes.EqualFold(name, []byte("MULTI")):
				if multi {
					err = errors.New("MULTI inside a transaction")
				}
				multi = true
			case bytes.EqualFold(name, []byte("EXEC")):
				if !multi {
					err = errors.New("EXEC without MULTI")
				}
				multi = false
			}
			if err != nil {
				break
			}
		}
		if !multi {
			r.Whole = rd.Offset()
		}
	}
	if err == nil && rd.Err() != nil {
		err = rd.Err()
	}
	if err == nil && multi {
		at, err = rd.Offset(), errors.New("the log ends in the middle of a transaction")
	}
	if err == nil {
		return
	}
	what := "damaged"
	if errors.Is(err, rdb.ErrShort) {
		err = errors.New("the log ends in the middle of a command")
		what = "torn"
	}
	d := &Damage{File: r.Name, Offset: at, Err: err, Fixable: true, Keep: r.Whole}
	d.Way = fmt.Sprintf("The log is %s: kvd check --fix %s keeps what is whole, the first %d bytes, and gives up the %d behind; or restore a good copy",
		what, r.Name, r.Whole, r.Bytes-r.Whole)
	r.Err = d
}

// logArgMax is the longest argument of a log that passes, as in Redis, in bytes.
const logArgMax = 512 << 20

// logCommand passes over a command of a log and returns the number of its
// arguments and the first one; none for a line that begins with '#'.
func logCommand(rd *rdb.Reader) (args int, name []byte, err error) {
	line := func(first byte) (n int64, err error) {
		b := rd.Byte()
		if rd.Err() != nil {
			return 0, rd.Err()
		}
		if b != first {
			return 0, fmt.Errorf("%q where %q should be", b, first)
		}
		var text []byte
		for {
			b = rd.Byte()
			switch {
			case rd.Err() != nil:
				return 0, rd.Err()
			case b == '\r':
				if b = rd.Byte(); rd.Err() == nil && b != '\n' {
					return 0, errors.New("a line does not end with CR and LF")
				}
				v, ok := types.ParseInt64(text)
				if !ok && rd.Err() == nil {
					return 0, fmt.Errorf("%q is no number", text)
				}
				return v, rd.Err()
			case len(text) > 20:
				return 0, fmt.Errorf("%q... is no number", text)
			}
			text = append(text, b)
		}
	}
	rd.Mark(1 << 10)
	if rd.Byte() == '#' {
		for n := 0; rd.Err() == nil; n++ {
			if rd.Byte() == '\n' {
				rd.Marked()
				return 0, nil, nil
			}
		}
		return 0, nil, rd.Err()
	}
	rd.Rewind()
	n, err := line('*')
	if err == nil && (n < 1 || n > 1<<31) {
		err = fmt.Errorf("a command of %d arguments", n)
	}
	for i := int64(0); i < n && err == nil; i++ {
		var size int64
		if size, err = line('$'); err != nil {
			break
		}
		if size < 0 || size > logArgMax {
			return 0, nil, fmt.Errorf("an argument of %d bytes", size)
		}
		if i == 0 && size <= 64 {
			name = bytes.Clone(rd.Next(int(size)))
		} else {
			rd.Discard(uint64(size))
		}
		end := rd.Next(2)
		if err = rd.Err(); err == nil && string(end) != "\r\n" {
			err = errors.New("an argument does not end with CR and LF")
		}
	}
	return int(n), name, err
}

// manifest verifies a manifest and the files that it names.
func (c *Checker) manifest(r *FileReport, f File) {
	text, err := io.ReadAll(io.LimitReader(f, 16<<20))
	var m *manifest
	if err == nil {
		m, err = parseManifest(text)
	}
	if err != nil {
		r.Err = &Damage{File: r.Name, Err: err, Way: "Correct the line, or restore a good copy of the file"}
		return
	}
	files := m.inForce()
	for i, f := range files {
		fr := c.file(filepath.Join(filepath.Dir(r.Name), f.name))
		if d := fr.Err; d != nil && d.Fixable && i < len(files)-1 {
			// What follows was written after what would be given up.
			d.Fixable = false
			d.Way = "Others follow it in the manifest, so it cannot be cut: restore a good copy"
		}
		r.Files = append(r.Files, fr)
	}
	for _, h := range m.history {
		r.Notes = append(r.Notes, h.name+" is not needed any more")
	}
}

// Fix cuts a log where Damage says. It follows no link: a user who may write to
// the directory must not be able to make it cut a file elsewhere.
func (c *Checker) Fix(d *Damage) error {
	if !d.Fixable {
		return errors.New("this cannot be fixed by cutting the file")
	}
	f, err := c.disk().OpenFile(d.File, os.O_RDWR|noFollow, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(d.Keep)
	if err == nil {
		err = f.Sync()
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	return err
}

// Write writes the report for people to read; indent stands before each line.
func (r *FileReport) Write(w io.Writer, indent string) {
	fmt.Fprintf(w, "%s%s: %s, %d bytes", indent, r.Name, cmp.Or(r.Kind, "unreadable"), r.Bytes)
	if r.Version > 0 {
		fmt.Fprintf(w, ", RDB version %d", r.Version)
	}
	if v := r.Facts["redis-ver"]; v != "" {
		fmt.Fprintf(w, ", written by %.40q", v)
	}
	fmt.Fprintln(w)
	for db, m := range r.Keys {
		if len(m) == 0 {
			continue
		}
		var sum int64
		var parts []string
		for _, n := range m {
			sum += n
		}
		list := make([]types.Type, 0, len(m))
		for t := range m {
			list = append(list, t)
		}
		slices.Sort(list)
		for _, t := range list {
			parts = append(parts, fmt.Sprintf("%d %s", m[t], t))
		}
		more := ""
		if db == len(r.Keys)-1 {
			more = " and above"
		}
		fmt.Fprintf(w, "%s  database %d%s: %d keys, %d of them volatile: %s\n", indent, db, more, sum, r.Volatile[db], strings.Join(parts, ", "))
	}
	if r.Earliest != 0 {
		fmt.Fprintf(w, "%s  earliest deadline: %s", indent, time.UnixMilli(r.Earliest).UTC().Format("2006-01-02T15:04:05.000Z"))
		if r.Expired > 0 {
			fmt.Fprintf(w, "; %d keys are past theirs", r.Expired)
		}
		fmt.Fprintln(w)
	}
	if r.Empty > 0 {
		fmt.Fprintf(w, "%s  %d empty collections, which loading leaves out\n", indent, r.Empty)
	}
	if r.Long > 0 {
		fmt.Fprintf(w, "%s  %d values of more than %d bytes, of which only lengths and the checksum were verified\n", indent, r.Long, checkMax)
	}
	if strings.HasPrefix(r.Kind, "log") {
		fmt.Fprintf(w, "%s  %d commands, whole up to offset %d\n", indent, r.Commands, r.Whole)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "%s  %s\n", indent, n)
	}
	for _, f := range r.Files {
		f.Write(w, indent+"  ")
	}
	if r.Err != nil {
		fmt.Fprintf(w, "%s  DAMAGED: %v\n", indent, r.Err)
	}
}
