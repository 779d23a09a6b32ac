package persist

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"kvd/config"
)

// The manifest is the list of the log's files: one base at most, then history
// (files that only wait for their removal), then the increments in the order in
// which they are loaded. Source of the form: Redis 7.0's src/aof.c.
//
// Names: <appendfilename>.<seq>.base.rdb or .base.aof, .<seq>.incr.aof,
// .manifest; what is not in force yet is called temp-...

// Types of the log's files.
const (
	baseFile    = 'b'
	incrFile    = 'i'
	historyFile = 'h'
)

// logFile is a line of the manifest.
type logFile struct {
	name string
	seq  int64
	typ  byte
}

// manifest is the list. It is copied before it is changed, so one that could
// not be written leaves nothing behind.
type manifest struct {
	base             *logFile
	history          []logFile // the newest first
	incrs            []logFile
	baseSeq, incrSeq int64 // the last ones given
}

// empty: no file is in force.
func (m *manifest) empty() bool { return m.base == nil && len(m.incrs) == 0 }

// inForce are the files that are loaded, in their order.
func (m *manifest) inForce() (files []logFile) {
	if m.base != nil {
		files = append(files, *m.base)
	}
	return append(files, m.incrs...)
}

func (m *manifest) clone() *manifest {
	n := *m
	n.history = append([]logFile(nil), m.history...)
	n.incrs = append([]logFile(nil), m.incrs...)
	return &n
}

// newBase names the next base; the one before becomes history.
func (m *manifest) newBase(of string, rdb bool) string {
	if m.base != nil {
		old := *m.base
		old.typ = historyFile
		m.history = append([]logFile{old}, m.history...)
	}
	m.baseSeq++
	m.base = &logFile{baseName(of, m.baseSeq, rdb), m.baseSeq, baseFile}
	return m.base.name
}

func baseName(of string, seq int64, rdb bool) string {
	form := "aof"
	if rdb {
		form = "rdb"
	}
	return fmt.Sprintf("%s.%d.base.%s", of, seq, form)
}

// newIncr names the next increment.
func (m *manifest) newIncr(of string) string {
	m.incrSeq++
	m.incrs = append(m.incrs, logFile{fmt.Sprintf("%s.%d.incr.aof", of, m.incrSeq), m.incrSeq, incrFile})
	return m.incrs[len(m.incrs)-1].name
}

// retire makes history of all increments but the last keep ones.
func (m *manifest) retire(keep int) {
	for n := len(m.incrs) - keep; n > 0; n-- {
		f := m.incrs[0]
		m.incrs = m.incrs[1:]
		f.typ = historyFile
		m.history = append([]logFile{f}, m.history...)
	}
}

// text is the manifest's file.
func (m *manifest) text() []byte {
	var b bytes.Buffer
	line := func(f logFile) {
		name := f.name
		if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\'' || r == '\\' }) {
			name = config.Quote(name)
		}
		fmt.Fprintf(&b, "file %s seq %d type %c\n", name, f.seq, f.typ)
	}
	if m.base != nil {
		line(*m.base)
	}
	for _, f := range m.history {
		line(f)
	}
	for _, f := range m.incrs {
		line(f)
	}
	return b.Bytes()
}

// manifestLine is the longest line that is read, in bytes.
const manifestLine = 1024

// parseManifest reads a manifest. The error's text is Redis's, with the line.
func parseManifest(text []byte) (*manifest, error) {
	m := &manifest{}
	if len(text) == 0 {
		return nil, errors.New("Found an empty AOF manifest")
	}
	for n := 1; len(text) > 0; n++ {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		text = rest
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] == '#' {
			continue
		}
		fail := func(text string) error { return fmt.Errorf("%s, at line %d: '%.200s'", text, n, line) }
		if !whole || len(line) >= manifestLine {
			return nil, fmt.Errorf("The AOF manifest file contains too long line, or its last one has no end, at line %d", n)
		}
		f, err := parseManifestLine(string(line))
		if err != nil {
			return nil, fail(err.Error())
		}
		switch f.typ {
		case baseFile:
			if m.base != nil {
				return nil, fail("Found duplicate base file information")
			}
			m.base, m.baseSeq = &f, f.seq
		case historyFile:
			m.history = append(m.history, f)
		case incrFile:
			if f.seq <= m.incrSeq {
				return nil, fail("Found a non-monotonic sequence number")
			}
			m.incrs, m.incrSeq = append(m.incrs, f), f.seq
		default:
			return nil, fail("Unknown AOF file type")
		}
	}
	return m, nil
}

func parseManifestLine(line string) (f logFile, err error) {
	const form = "Invalid AOF manifest file format"
	args, err := config.SplitArgs(line)
	if err != nil || len(args) < 6 || len(args)%2 != 0 {
		return f, errors.New(form)
	}
	for i := 0; i < len(args); i += 2 {
		switch v := args[i+1]; strings.ToLower(args[i]) {
		case "file":
			if f.name = v; strings.ContainsAny(v, `/\`) {
				return f, errors.New("File can't be a path, just a filename")
			}
		case "seq":
			f.seq, _ = strconv.ParseInt(v, 10, 64)
		case "type":
			if v != "" {
				f.typ = v[0]
			}
		}
	}
	if f.name == "" || f.seq <= 0 || f.typ == 0 {
		return f, errors.New(form)
	}
	return f, nil
}

// logDir is the directory of a log and the base of its files' names.
type logDir struct {
	disk Disk
	dir  string // absolute
	of   string // appendfilename
}

func (d *logDir) path(name string) string { return filepath.Join(d.dir, name) }

func (d *logDir) manifestName() string { return d.of + ".manifest" }
func (d *logDir) tempIncr() string     { return "temp-" + d.of + ".incr" }

// read reads the manifest; one that does not exist is empty.
func (d *logDir) read() (*manifest, error) {
	b, err := readAll(d.disk, d.path(d.manifestName()))
	if errors.Is(err, os.ErrNotExist) {
		return &manifest{}, nil
	}
	if err != nil {
		return nil, err
	}
	return parseManifest(b)
}

// write puts the manifest in force: names that were made in the directory
// before last when it returns, and so does the manifest. After an error nobody
// knows which manifest is in force, the old one or this.
func (d *logDir) write(m *manifest) error {
	// A manifest must not name a file whose own name did not last.
	if err := d.disk.SyncDir(d.dir); err != nil {
		return err
	}
	temp := d.path("temp-" + d.manifestName())
	f, err := d.disk.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(m.text())
	if err == nil {
		err = f.Sync()
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return err
	}
	return replace(d.disk, temp, d.path(d.manifestName()))
}

// make makes the directory, and its name last.
func (d *logDir) make() error {
	if _, dir, err := d.disk.Stat(d.dir); err == nil && dir {
		return nil
	}
	if err := d.disk.Mkdir(d.dir, 0o755); err != nil {
		return fmt.Errorf("Can't open or create append-only dir %s: %w", filepath.Base(d.dir), err)
	}
	return d.disk.SyncDir(filepath.Dir(d.dir))
}

// clean removes what a server that ended in the middle of something has left.
func (d *logDir) clean() {
	names, _ := d.disk.ReadDir(d.dir)
	for _, n := range names {
		if n == d.tempIncr() || n == "temp-"+d.manifestName() || strings.HasPrefix(n, "temp-rewriteaof-"+d.of+".") {
			d.disk.Remove(d.path(n))
		}
	}
}

func readAll(d Disk, name string) ([]byte, error) {
	f, err := d.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(f)
	return b.Bytes(), err
}
