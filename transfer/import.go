package transfer

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"kvd/lockrank"
	"kvd/persist"
)

// ImportOptions say what Import does.
type ImportOptions struct {
	// Source is a server's address, or a file: a snapshot, a log, a directory that holds one
	// of them, or commands as clients type or send them.
	Source, Target string
	// SourceLogin and TargetLogin are for addresses without a password: "password" or
	// "user:password".
	SourceLogin, TargetLogin string
	// Work is a directory of this import's own, with what it takes to go on after it was
	// interrupted. It is removed at the end.
	Work string
	// Replace lets keys of the source take the place of those that the target has.
	Replace bool
	// Scan reads a server with SCAN and DUMP instead of following it, as one must that may
	// not be followed. What changes meanwhile is possibly missed.
	Scan bool
	// Follow goes on with what changes at the source until Stop is closed. Otherwise an
	// import ends when the target has what the source had when the last key came.
	Follow bool
	Stop   <-chan struct{}
	Lanes  int // connections to the target; 0: 4
	// Progress, if not nil, is called several times a second.
	Progress func(Progress)
	// Log gets what is worth a line.
	Log func(format string, args ...any)
}

// Progress tells how far something is.
type Progress struct {
	Stage       string
	Done, Total int64 // bytes; Total 0: nobody knows
	Keys        int64
	Commands    int64
	Behind      int64 // bytes of the stream that came and are not applied
}

// ImportReport is what an import has done.
type ImportReport struct {
	Keys, Commands int64
	Failed         int64    // keys and commands that the target refused
	Failures       []string // the first of them
}

// state is what an import remembers in its directory.
type state struct {
	ID     string // of this import
	Source string
	Target string // where it is; without a password
	Had    bool   // the target may have had keys of its own
	// Refused is how many keys the target would not take; what it has of these names is its own.
	Refused int64
	// Of a server that is followed: its history, and the place of the snapshot in it.
	History  string
	Offset   int64
	Begun    bool  // the target may have keys of a snapshot
	Received bool  // which is whole
	Keys     int64 // of the snapshot that the target has for sure
	Loaded   bool  // it has all of them
	Done     bool  // and all that came after it
	Mode     bool  // this import has turned the target's import-mode on
	// Of a scan: the database, and the cursor of what comes next.
	DB     int
	Cursor string
}

// importer is one Import.
type importer struct {
	ImportOptions
	state
	target *Address
	failed failures
	// counted is how much of failed the state has in Refused.
	counted int64
	keys    *keyWriter // while a snapshot is brought
	report  ImportReport
	shown   time.Time
	saved   time.Time
}

// errStopped: Stop was closed before the end.
var errStopped = errors.New("interrupted; the same command goes on from here")

const saveEvery = 2 * time.Second

// showEvery is how long it is from one Progress to the next. Tests have less.
var showEvery = 200 * time.Millisecond

// Import brings what a source holds into a server. After an error it can be called again
// with the same options, and goes on.
func Import(o ImportOptions) (*ImportReport, error) {
	m := &importer{ImportOptions: o}
	if m.Lanes == 0 {
		m.Lanes = lanesDefault
	}
	var err error
	if m.target, err = ParseAddress(o.Target, o.TargetLogin); err != nil {
		return nil, err
	}
	if err := m.begin(); err != nil {
		return nil, err
	}
	if err := m.importMode(); err != nil {
		return nil, err
	}
	switch {
	case m.Done: // but what follows that was interrupted
		err = m.forget()
	case !IsAddress(o.Source):
		err = m.files()
	case o.Scan:
		err = m.scan()
	default:
		err = m.live()
	}
	m.report.Failed, m.report.Failures = m.failed.n, m.failed.named
	if err != nil {
		return &m.report, err
	}
	if err := m.endImportMode(); err != nil {
		return &m.report, err
	}
	return &m.report, os.RemoveAll(m.Work)
}

// begin reads the state of an import that was interrupted, or begins one.
func (m *importer) begin() error {
	b, err := os.ReadFile(filepath.Join(m.Work, stateName))
	if err == nil {
		if err := json.Unmarshal(b, &m.state); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(m.Work, stateName), err)
		}
		if m.state.Source != m.ImportOptions.Source {
			return fmt.Errorf("%s belongs to an import from %s; finish that, or name another directory", m.Work, m.state.Source)
		}
		if m.state.Target != m.target.String() {
			return fmt.Errorf("%s belongs to an import into %s, which has a part of the data: finish that, or name another directory", m.Work, m.state.Target)
		}
		m.Log("Going on with the import that %s remembers", m.Work)
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	c, err := m.target.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if !m.Replace {
		dbs, err := databases(c)
		if err != nil {
			return err
		}
		if len(dbs) > 0 {
			return fmt.Errorf("%s has keys already, in database %d: --replace lets those of the source take their place, and keeps the others", m.target, dbs[0])
		}
	}
	if err := os.MkdirAll(m.Work, 0o700); err != nil {
		return err
	}
	m.ID, m.state.Source, m.state.Target, m.Cursor = rand.Text(), m.ImportOptions.Source, m.target.String(), "0"
	m.Had = m.Replace
	return m.save()
}

const (
	stateName    = "state.json"
	snapshotName = "snapshot.rdb"
	streamName   = "stream.aof"
)

// save keeps the state, also for when the machine stops.
func (m *importer) save() error {
	m.Refused += m.failed.since(&m.counted)
	b, err := json.Marshal(m.state)
	if err != nil {
		return err
	}
	m.saved = time.Now()
	name := filepath.Join(m.Work, stateName)
	if err := writeSynced(name+".new", b); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	dir, err := os.Open(m.Work)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// writeSynced writes a file that is on the disk then.
func writeSynced(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// mark is the key that says how far commands were applied.
func (m *importer) mark() string { return "kvd:import:" + m.ID }

func (m *importer) show(p Progress) {
	if now := time.Now(); m.Progress != nil && now.Sub(m.shown) >= showEvery {
		m.shown = now
		p.Keys, p.Commands = m.report.Keys, m.report.Commands
		m.Progress(p)
	}
}

// stopped tells whether Stop is closed.
func (m *importer) stopped() bool {
	select {
	case <-m.Stop:
		return true
	default:
		return false
	}
}

// importMode has the target expire nothing by itself: a key whose deadline passes while
// the import runs may be prolonged by what comes later.
func (m *importer) importMode() error {
	c, err := m.target.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := c.do("CONFIG", "GET", "import-mode")
	switch {
	case err != nil || len(r.elems) < 2:
		m.Log("%s has no import-mode: a key whose deadline passes before its later change is applied will be missing", m.target)
	case string(r.elems[1].str) == "yes":
		m.target.imports = true
	default:
		if _, err := c.do("CONFIG", "SET", "import-mode", "yes"); err != nil {
			return err
		}
		m.Mode, m.target.imports = true, true
		return m.save()
	}
	return nil
}

// endImportMode has the target be as it was.
func (m *importer) endImportMode() error {
	if !m.Mode {
		return nil
	}
	c, err := m.target.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.do("CONFIG", "SET", "import-mode", "no")
	return err
}

// databases are the numbers of those that hold keys.
func databases(c *conn) (dbs []int, err error) {
	r, err := c.do("INFO", "keyspace")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(r.str)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		if n, err := strconv.Atoi(strings.TrimPrefix(name, "db")); err == nil && strings.HasPrefix(name, "db") {
			dbs = append(dbs, n)
		}
	}
	return dbs, nil
}

// files imports what a file or a directory holds.
func (m *importer) files() error {
	names := []string{m.ImportOptions.Source}
	st, err := os.Stat(names[0])
	if err != nil {
		return err
	}
	if st.IsDir() || strings.HasSuffix(names[0], ".manifest") {
		if names, err = persist.DataFiles(persist.OSDisk, names[0]); err != nil {
			return err
		}
	}
	var total, before int64
	for _, name := range names {
		st, err := os.Stat(name)
		if err != nil {
			return err
		}
		total += st.Size()
	}
	w, err := newCommandWriter(m.target, m.mark(), &m.failed)
	if err != nil {
		return err
	}
	defer w.Close()
	for i, name := range names {
		size, err := m.file(w, i, name, i == len(names)-1, before, total)
		if err != nil {
			return err
		}
		before += size
	}
	return m.end(w)
}

// end removes the mark that says how far commands were applied. That all were is kept before,
// else they would be applied again where what follows is interrupted.
func (m *importer) end(w *commandWriter) error {
	m.Done = true
	if err := m.save(); err != nil {
		return err
	}
	return w.forget()
}

// forget is end for an import that has come so far before.
func (m *importer) forget() error {
	w, err := newCommandWriter(m.target, m.mark(), &m.failed)
	if err != nil {
		return err
	}
	defer w.Close()
	return w.forget()
}

// file imports one of the files.
func (m *importer) file(w *commandWriter, i int, name string, last bool, before, total int64) (size int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if i < w.at.file {
		return st.Size(), nil
	}
	var head [9]byte
	n, _ := f.ReadAt(head[:], 0)
	from := int64(0)
	if bytes.HasPrefix(head[:n], []byte("REDIS")) || bytes.HasPrefix(head[:n], []byte("VALKEY")) {
		var idle error
		from, err = m.snapshot(f, name, func(at int64) {
			m.show(Progress{Stage: "keys", Done: before + at, Total: total})
			if idle == nil {
				idle = w.alive()
			}
		}, func() error { return idle })
		if err == nil {
			err = idle
		}
		if err != nil {
			return 0, err
		}
	}
	if w.at.file == i {
		from = max(from, w.at.offset)
	}
	w.at.file, w.at.offset = i, from
	r := &commandReader{r: io.NewSectionReader(f, 0, st.Size()), offset: from, whole: true}
	for {
		args, err := r.next()
		switch {
		case errors.Is(err, errTorn) && last:
			m.Log("%s ends in the middle of a command, at offset %d: what is whole was imported", name, r.offset)
			fallthrough
		case errors.Is(err, io.EOF):
			if w.multi {
				m.Log("%s ends in the middle of a transaction, which is left out", name)
				w.drop()
			}
			err := w.commit()
			m.report.Commands = w.applied
			return st.Size(), err
		case err != nil:
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		if err := w.add(args, r.offset); err != nil {
			return 0, err
		}
		m.report.Commands = w.applied
		m.show(Progress{Stage: "commands", Done: before + r.offset, Total: total})
		if m.stopped() {
			return 0, errStopped
		}
	}
}

// snapshot imports the keys of a snapshot, from the one on that the state says, and
// returns where it ends. whole is called when all keys are there, before what cannot be
// undone is brought: an error ends the import.
func (m *importer) snapshot(r io.Reader, name string, at func(int64), whole func() error) (end int64, err error) {
	if m.Loaded {
		counted := &countingReader{r: r}
		seen := 0
		facts, err := persist.ReadSnapshot(counted, name, func(*persist.SnapshotKey) error {
			if seen++; seen&1023 == 0 {
				at(counted.n)
				if m.stopped() {
					return errStopped
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		return facts.Bytes, nil
	}
	// The first key may be long in coming, and a target may end connections that are idle.
	open := func() (err error) {
		if m.keys == nil {
			m.keys, err = newKeyWriter(m.target, m.Lanes, &m.failed)
		}
		return err
	}
	defer func() {
		if m.keys != nil {
			m.keys.close()
			m.keys = nil
		}
	}()
	counted := &countingReader{r: r}
	seen, put := int64(0), m.Keys
	var payload []byte
	facts, err := persist.ReadSnapshot(counted, name, func(k *persist.SnapshotKey) error {
		if seen++; seen <= m.Keys {
			return nil
		}
		if err := open(); err != nil {
			return err
		}
		w := m.keys
		if seen&63 == 0 { // the clock is not asked for each key
			at(counted.n)
			if m.stopped() {
				return errStopped
			}
			if time.Since(m.saved) >= saveEvery {
				if err := w.drain(); err != nil {
					return err
				}
				m.Keys = put
				if err := m.save(); err != nil {
					return err
				}
			}
		}
		m.report.Keys++
		if value, ok := plain(k); ok {
			err := w.set(k, value)
			if err == nil { // an error may be that it was not taken at all
				put = seen
			}
			return err
		}
		if payload, err = k.AppendPayload(payload[:0]); err != nil {
			m.failed.note(fmt.Sprintf("database %d, key %.80q", k.DB, k.Name), replyError(err.Error()))
			put = seen
			return nil
		}
		err := w.put(k, payload)
		if err == nil {
			put = seen
		}
		if cap(payload) > 4*batchBytes {
			payload = nil
		}
		return err
	})
	if m.keys != nil { // also after an error: the state is to say what the target has
		if derr := m.keys.drain(); derr == nil {
			m.Keys = put
		} else if err == nil {
			err = derr
		}
	}
	if err == nil {
		err = whole()
	}
	if err == nil {
		err = open()
	}
	if err != nil {
		return 0, errors.Join(err, m.save())
	}
	w := m.keys
	for _, code := range facts.Libraries {
		if _, err := w.lanes[0].do("FUNCTION", "LOAD", "REPLACE", code); err != nil {
			m.failed.note("a library of functions", err)
		}
	}
	for _, code := range facts.Scripts {
		if _, err := w.lanes[0].do("SCRIPT", "LOAD", code); err != nil {
			m.failed.note("a script", err)
		}
	}
	if err := m.failed.fatal(); err != nil {
		return 0, err
	}
	m.Keys, m.Loaded = seen, true
	return facts.Bytes, m.save()
}

// countingReader counts what was read.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// spool is the snapshot or the stream of a server on its way through a file. One
// goroutine writes, and one reads.
type spool struct {
	*os.File
	mu   lockrank.Mutex[lockrank.TransferSpool] // protects size and err
	size int64
	err  error // why no more comes
	more chan struct{}
}

func (s *spool) put(b []byte) error {
	_, err := s.Write(b)
	s.grow(int64(len(b)))
	return err
}

// grow lets readers see n bytes more.
func (s *spool) grow(n int64) {
	s.mu.Lock()
	s.size += n
	s.mu.Unlock()
	s.wake()
}

func (s *spool) end(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.wake()
}

func (s *spool) wake() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func (s *spool) state() (size int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size, s.err
}

// live imports what a server holds, and what changes there meanwhile.
func (m *importer) live() error {
	source, err := ParseAddress(m.ImportOptions.Source, m.SourceLogin)
	if err != nil {
		return err
	}
	stream, err := os.OpenFile(filepath.Join(m.Work, streamName), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer stream.Close()
	st, err := stream.Stat()
	if err != nil {
		return err
	}
	s := &spool{File: stream, size: st.Size(), more: make(chan struct{}, 1)}
	f, err := os.OpenFile(filepath.Join(m.Work, snapshotName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	fst, err := f.Stat()
	if err != nil {
		return err
	}
	snapshot := &spool{File: f, size: fst.Size(), err: io.EOF, more: make(chan struct{}, 1)}
	link, body, total, err := m.connect(source, s, snapshot)
	if err != nil {
		return err
	}
	ended, received := make(chan struct{}), make(chan struct{})
	defer func() { // whoever receives is not left behind with a closed file
		link.Close()
		<-ended
	}()
	go func() {
		defer close(ended)
		if body != nil {
			if err := receiveSnapshot(body, snapshot, nil); err != nil {
				s.end(err)
				return
			}
			close(received)
		}
		s.end(link.receiveStream(s))
	}()
	// Keys are brought into the target while others come.
	r := &spoolReader{s: snapshot, wait: func(at int64) error {
		m.show(Progress{Stage: "keys", Done: at, Total: total})
		if m.stopped() {
			return errStopped
		}
		if m.keys != nil {
			return m.keys.alive()
		}
		return nil
	}}
	if !m.Loaded {
		_, err = m.snapshot(r, f.Name(), func(at int64) {
			if !m.Received {
				select {
				case <-received:
					m.Received, total = true, snapshot.whole()
				default:
				}
			}
			size, _ := s.state()
			m.show(Progress{Stage: "keys", Done: at, Total: total, Behind: size})
		}, func() error {
			if m.Received {
				return nil
			}
			// The keys have an end of their own, before that of what the source sends.
			for {
				select {
				case <-received:
					m.Received = true
					return m.save()
				case <-ended:
					if _, err := snapshot.state(); err != io.EOF {
						return fmt.Errorf("the snapshot of %s: %w", source, err)
					}
				case <-m.Stop:
					return errStopped
				case <-time.After(showEvery):
				}
				if m.keys != nil {
					if err := m.keys.alive(); err != nil {
						return err
					}
				}
			}
		})
	}
	switch {
	case r.err != nil:
		return r.err
	case err != nil:
		return err
	}
	w, err := newCommandWriter(m.target, m.mark(), &m.failed)
	if err != nil {
		return err
	}
	defer w.Close()
	return m.stream(w, s, source)
}

// spoolReader reads a file that may still be growing, and waits for more.
type spoolReader struct {
	s    *spool
	at   int64
	wait func(at int64) error // called now and then meanwhile; an error ends that
	err  error                // why there is no more, besides that it is the end
}

func (r *spoolReader) Read(b []byte) (int, error) {
	for {
		size, end := r.s.state()
		if left := size - r.at; left > 0 {
			n, err := r.s.ReadAt(b[:min(int64(len(b)), left)], r.at)
			r.at += int64(n)
			return n, err
		}
		if end == nil {
			select {
			case <-r.s.more:
			case <-time.After(showEvery):
			}
			end = r.wait(r.at)
		}
		if end != nil {
			if end != io.EOF {
				r.err = end
			}
			return 0, end
		}
	}
}

// whole is how much there is in all.
func (s *spool) whole() int64 {
	size, _ := s.state()
	return size
}

// undo removes the keys that an interrupted import has brought into the target of a
// snapshot that was not whole: the next one may be without them. A target that was empty
// has no others of these names; where it was not, those go that came for sure, as others
// may be its own still. So are those that it refused, which nobody knows by name: then
// all stay.
func (m *importer) undo(snapshot *spool) error {
	if m.Had && m.Refused > 0 {
		m.Log("%s has keys of a snapshot that was not whole, and refused %d. They stay, as it may have had those before; kvd compare tells which are too many", m.target, m.Refused)
		m.Begun, m.Keys = false, 0
		return m.save()
	}
	m.Log("Removing what the target has of a snapshot that was not whole")
	w, err := newKeyWriter(m.target, m.Lanes, &m.failed)
	if err != nil {
		return err
	}
	defer w.close()
	var own error
	seen := int64(0)
	// The error is that it ends in the middle.
	_, _ = persist.ReadSnapshot(io.NewSectionReader(snapshot, 0, snapshot.whole()), snapshot.Name(), func(k *persist.SnapshotKey) error {
		if seen++; m.Had && seen > m.Keys {
			return errEnded
		}
		if seen&63 == 0 && m.stopped() {
			own = errStopped
			return own
		}
		own = w.command(k, append(w.args[:0], wordDel, k.Name))
		return own
	})
	if own == nil {
		own = w.drain()
	}
	if own != nil {
		return own
	}
	m.Begun, m.Keys = false, 0
	return m.save()
}

// connect has the source send what is missing: the snapshot, whose body of total bytes (0:
// nobody knows) is to be received, or only what follows what is there (body is nil then).
func (m *importer) connect(source *Address, s, snapshot *spool) (link *sourceLink, body io.Reader, total int64, err error) {
	size, _ := s.state()
	history, offset := "?", int64(-1)
	if m.Received {
		history, offset = m.History, m.Offset+size+1
	}
	if link, err = follow(source, history, offset); err != nil {
		return nil, nil, 0, err
	}
	if link.history == "" {
		return link, nil, snapshot.whole(), nil
	}
	defer func() {
		if err != nil {
			link.Close()
		}
	}()
	if m.Received {
		return nil, nil, 0, fmt.Errorf("%s has forgotten what came after the place where this import was. Empty the target, remove %s and begin again", source, m.Work)
	}
	m.Log("Receiving a snapshot of %s", source)
	if body, total, err = link.snapshotBody(); err != nil {
		return nil, nil, 0, err
	}
	if m.Begun { // now that another comes
		if err = m.undo(snapshot); err != nil {
			return nil, nil, 0, err
		}
	}
	for _, f := range []*spool{s, snapshot} { // what is of a connection that was lost
		if err = f.Truncate(0); err != nil {
			return nil, nil, 0, err
		}
		if _, err = f.Seek(0, io.SeekStart); err != nil {
			return nil, nil, 0, err
		}
		f.size, f.err = 0, nil
	}
	m.History, m.Offset, m.Begun, m.Keys, m.Loaded = link.history, link.offset, true, 0, false
	if err = m.save(); err != nil {
		return nil, nil, 0, err
	}
	return link, body, total, nil
}

// stream applies what changes at the source until it is the end.
func (m *importer) stream(w *commandWriter, s *spool, source *Address) error {
	r := &commandReader{r: s, offset: w.at.offset}
	goal := int64(-1) // offset in the stream at which it ends
	if !m.Follow {
		// Where the source is now, and not where it is once the import has come up with it,
		// which could be never.
		var err error
		if goal, err = m.goal(source); err != nil {
			return err
		}
	}
	for {
		if (len(w.ends) == 0 || w.multi) && m.stopped() { // not for each command
			switch {
			case !m.Follow:
				return errStopped
			case goal < 0:
				var err error
				if goal, err = m.goal(source); err != nil {
					return err
				}
			}
		}
		args, err := r.next()
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errTorn) {
			return fmt.Errorf("the stream of %s: %w", source, err)
		}
		size, gone := s.state()
		m.report.Commands = w.applied
		m.show(Progress{Stage: "stream", Behind: size - r.offset})
		if err == nil {
			if err := w.add(args, r.offset); err != nil {
				return err
			}
			if goal < 0 || r.offset < goal || w.multi {
				continue
			}
		}
		if !w.multi {
			if err := w.commit(); err != nil {
				return err
			}
			m.report.Commands = w.applied
		}
		if goal >= 0 && r.offset >= goal && !w.multi {
			return m.end(w)
		}
		if gone != nil {
			return fmt.Errorf("the connection to %s: %w; the same command goes on from here", source, gone)
		}
		if err := w.alive(); err != nil {
			return err
		}
		select {
		case <-s.more:
		case <-time.After(showEvery):
		}
	}
}

// goal is where the stream of the source is now, counted from the snapshot.
func (m *importer) goal(source *Address) (int64, error) {
	c, err := source.dial()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	r, err := c.do("INFO", "replication")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(r.str)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "master_repl_offset:"); ok {
			n, err := strconv.ParseInt(text, 10, 64)
			return max(0, n-m.Offset), err
		}
	}
	return 0, fmt.Errorf("%s does not say where its stream is", source)
}
