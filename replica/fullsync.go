package replica

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"kvd/persist"
)

const (
	// markLen is the length of the mark that ends a snapshot of unknown length.
	markLen = 40
	// tellEvery is how often the log tells how far a snapshot has come.
	tellEvery = 3 * time.Second
	// syncBytes is how much of a snapshot's file is written between two syncs.
	syncBytes = 8 << 20
)

// fullSync takes the snapshot that follows PSYNC's answer, and puts its
// contents in the place of those that are there.
func (l *link) fullSync(nc net.Conn, br *bufio.Reader, id string, offset int64) error {
	l.total.Store(0)
	l.read.Store(0)
	head := ""
	for head == "" { // the leader keeps the connection alive
		var err error
		if head, err = line(br); err != nil {
			return err
		}
	}
	in := &incoming{l: l, begun: time.Now(), told: time.Now()}
	body, total, err := SnapshotBody(br, head)
	if err != nil {
		return err
	}
	in.r = body
	l.total.Store(total)
	have, _, _, _ := l.Stream.IDs()
	how := l.Config.ReplDisklessLoad.Load()
	beside := how == "swapdb"
	direct := beside || how == "on-empty-db" && l.empty()
	to := "to disk"
	if direct {
		to = "to parser"
	}
	if n := l.total.Load(); n > 0 {
		l.Log.Noticef("MASTER <-> REPLICA sync: receiving %d bytes from master %s", n, to)
	} else {
		l.Log.Noticef("MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF %s", to)
	}

	// The leader must not take this server for dead while it loads.
	stop := make(chan struct{})
	alive := make(chan struct{})
	go func() {
		defer close(alive)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				_ = l.write(nc, []byte("\n")) // an error shows when the stream is read
			}
		}
	}()
	defer func() {
		close(stop)
		<-alive
	}()

	var source io.Reader = in
	size := l.total.Load()
	path := "" // of the file
	if !direct {
		dir, err := in.l.Config.Dir.Path() // CONFIG SET dir may come
		if err != nil {
			return err
		}
		path = filepath.Join(dir, fmt.Sprintf("temp-%d.%d.rdb", time.Now().Unix(), os.Getpid()))
		defer os.Remove(path) // unless it is kept
		n, err := receive(path, in)
		if err != nil {
			return fmt.Errorf("I/O error trying to sync with MASTER: %w", err)
		}
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("the leader's snapshot cannot be read: %w", err)
		}
		defer f.Close()
		// The own data and the own file are given up only for a snapshot that can be
		// loaded. To decode it twice costs time, but none of the memory that two sets
		// of data would.
		if err := l.Saver.Verify(&whileWanted{l, f}, "the leader "+l.address); err != nil {
			if l.ctx.Err() != nil {
				return err
			}
			l.Log.Warningf("Failed trying to load the MASTER synchronization DB, check server logs. The data stays what it was.")
			return errUnfit{err}
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("the leader's snapshot cannot be read: %w", err)
		}
		source, size = &whileWanted{l, f}, n
	}
	// From here on nobody may go on from what we had.
	l.DropFollowers()
	if !beside {
		l.Log.Noticef("MASTER <-> REPLICA sync: Flushing old data")
		l.stale.Store(true)
	}
	l.Log.Noticef("MASTER <-> REPLICA sync: Loading DB in memory")
	loaded := persist.Replacement{Name: "the leader " + l.address, Size: size, Beside: beside, Serve: beside && id == have,
		At: func(aux map[string]string) {
			l.durable.reset()
			l.Stream.Adopt(id, offset)
			db, _ := strconv.Atoi(aux["repl-stream-db"])
			l.Applier.Reset()
			l.Applier.Select(min(max(db, 0), l.Keyspace.Databases()-1))
			l.Stream.Selected(l.Applier.DB())
			l.stale.Store(false)
		}}
	err = l.Saver.Replace(source, loaded)
	if err != nil {
		l.Log.Warningf("Failed trying to load the MASTER synchronization DB, check server logs.")
		if in.err != nil && in.err != io.EOF || l.ctx.Err() != nil {
			return err
		}
		return errUnfit{err}
	}
	if direct {
		if _, err := io.Copy(io.Discard, in); err != nil { // up to the mark
			return err
		}
	} else if err := l.keep(path); err != nil {
		l.Log.Warningf("The leader's snapshot cannot be kept as a file, so the next start loads the one before: %v", err)
	}
	l.Log.Noticef("MASTER <-> REPLICA sync: Finished with success")
	return nil
}

// empty tells whether there is no key at all.
func (l *link) empty() bool {
	for db := range l.Keyspace.Databases() {
		if n, _ := l.Keyspace.Size(db, false); n > 0 {
			return false
		}
	}
	return true
}

// keep makes a received file the snapshot of the next start, unless the
// configuration wants no file that only replication needed.
func (l *link) keep(path string) error {
	if l.Config.RDBDelSyncFiles.Load() && len(l.Config.Save.Load()) == 0 && !l.Config.AppendOnly.Load() {
		return nil
	}
	return l.Saver.Keep(path)
}

// receive writes a snapshot to a file, and returns its length.
func receive(path string, in io.Reader) (n int64, err error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, 256<<10)
	for synced := int64(0); err == nil; {
		var k int
		k, err = in.Read(buf)
		if _, werr := f.Write(buf[:k]); werr != nil {
			err = werr
			break
		}
		n += int64(k)
		if n-synced >= syncBytes && err == nil {
			synced = n
			err = f.Sync()
		}
	}
	if err == io.EOF {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return n, err
}

// incoming is a snapshot on its way; it counts, tells the log, and remembers
// the error that ended it.
type incoming struct {
	l           *link
	r           io.Reader
	err         error
	begun, told time.Time
}

func (t *incoming) Read(b []byte) (int, error) {
	n, err := t.r.Read(b)
	t.err = err
	read := t.l.read.Add(int64(n))
	if now := time.Now(); now.Sub(t.told) >= tellEvery {
		t.told = now
		total, took := t.l.total.Load(), now.Sub(t.begun)
		if total > 0 {
			left := time.Duration(float64(took) * float64(total-read) / float64(max(read, 1)))
			t.l.Log.Noticef("MASTER <-> REPLICA sync: %.1f%% of %d bytes received, about %s left", float64(read)/float64(total)*100, total, left.Round(time.Second))
		} else {
			t.l.Log.Noticef("MASTER <-> REPLICA sync: %d bytes received", read)
		}
	}
	return n, err
}

// whileWanted ends a reader when the link is to end.
type whileWanted struct {
	l *link
	r io.Reader
}

func (w *whileWanted) Read(b []byte) (int, error) {
	if err := w.l.ctx.Err(); err != nil {
		return 0, err
	}
	return w.r.Read(b)
}

// SnapshotBody is the snapshot that a leader sends behind the line head, as it stands in br,
// which is larger than a mark of 40 bytes. total is its length in bytes; 0: nobody knows.
func SnapshotBody(br *bufio.Reader, head string) (body io.Reader, total int64, err error) {
	if mark, ok := strings.CutPrefix(head, "$EOF:"); ok && len(mark) == markLen {
		return &marked{br: br, mark: []byte(mark)}, 0, nil
	}
	if text, ok := strings.CutPrefix(head, "$"); ok {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return nil, 0, fmt.Errorf("Bad protocol from MASTER: the length of the snapshot is %q", head)
		}
		return &exact{r: br, left: n}, n, nil
	}
	if text, ok := strings.CutPrefix(head, "-"); ok {
		return nil, 0, fmt.Errorf("MASTER aborted replication with an error: %s", text)
	}
	return nil, 0, fmt.Errorf("Bad protocol from MASTER, the first byte is not '$' (we received '%.80s'), are you sure the host and port are right?", head)
}

// exact reads so many bytes, and knows an early end for an error.
type exact struct {
	r    io.Reader
	left int64
}

func (e *exact) Read(b []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(b[:min(int64(len(b)), e.left)])
	e.left -= int64(n)
	if errors.Is(err, io.EOF) && e.left > 0 {
		err = io.ErrUnexpectedEOF
	} else if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// marked reads up to a mark, which it takes too. br is larger than the mark.
type marked struct {
	br   *bufio.Reader
	mark []byte
	done bool
}

func (m *marked) Read(b []byte) (int, error) {
	if m.done {
		return 0, io.EOF
	}
	if _, err := m.br.Peek(len(m.mark)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	have, _ := m.br.Peek(m.br.Buffered())
	i := bytes.Index(have, m.mark)
	if i == 0 {
		m.done = true
		m.br.Discard(len(m.mark))
		return 0, io.EOF
	}
	if i < 0 {
		i = len(have) - len(m.mark) + 1 // it may begin behind that
	}
	n := copy(b, have[:i])
	m.br.Discard(n)
	return n, nil
}
