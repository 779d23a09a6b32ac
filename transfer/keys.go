package transfer

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"time"

	"kvd/lockrank"
	"kvd/persist"
	"kvd/resp/wire"
)

const (
	// lanesDefault is over how many connections keys are brought into a server: one for each
	// event loop that takes them.
	lanesDefault = 4
	// batchesAhead is how many batches of a connection are under way.
	batchesAhead = 4
	// failuresNamed is how many of the commands that failed are named in the report.
	failuresNamed = 10
	// setsAtOnce is how many strings one MSET brings, and setsBytes how long it gets.
	setsAtOnce = 32
	setsBytes  = 16 << 10
)

// batchBytes is how much is sent before its replies are read. Tests have less.
var batchBytes = 256 << 10

// laneIdle is how long a connection to the target is left without a command: servers may
// end those that are idle (timeout). Tests have less.
var laneIdle = 5 * time.Second

// failures counts what a server has refused.
type failures struct {
	mu    lockrank.Mutex[lockrank.TransferFailures] // protects what follows
	n     int64
	named []string
	err   error // why nothing more can be sent
}

// note counts an error of what; one that ends everything is kept.
func (f *failures) note(what string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fatal(err) {
		if f.err == nil {
			f.err = fmt.Errorf("%s: %w", what, err)
		}
		return
	}
	if f.n++; len(f.named) < failuresNamed {
		f.named = append(f.named, fmt.Sprintf("%s: %v", what, err))
	}
}

// since returns how many have come since *at was set, and sets it.
func (f *failures) since(at *int64) (n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, *at = f.n-*at, f.n
	return n
}

func (f *failures) fatal() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// keyWriter brings keys into a server, over several connections side by side. One
// goroutine calls its methods.
type keyWriter struct {
	lanes  []*lane
	next   int
	apart  bool     // a command may name one key only: the server is a part of a cluster
	args   [][]byte // memory for those of a command
	failed *failures
	heard  time.Time      // when all connections were last in use for sure
	flying sync.WaitGroup // batches whose replies have not come
	wait   sync.WaitGroup // the goroutines
}

// lane is one of the connections.
type lane struct {
	*conn
	batch  *batch
	sets   []byte      // names and values for the next MSET, as a command has them,
	first  []byte      // the first of the names,
	count  int         // and how many there are
	full   chan *batch // to be sent
	sent   chan *batch // whose replies are to come
	spare  chan *batch
	broken bool // of the goroutine that receives
}

// batch is a run of commands.
type batch struct {
	buf   []byte
	names []byte // of the first key of each, one behind the other
	about []about
	db    int
}

// about is what a command is about.
type about struct {
	end  int // of its name in names
	keys int // how many there are
}

func newKeyWriter(a *Address, lanes int, failed *failures) (*keyWriter, error) {
	w := &keyWriter{failed: failed, heard: time.Now()}
	for range lanes {
		c, err := a.dial()
		if err != nil {
			w.close()
			return nil, err
		}
		l := &lane{conn: c, batch: new(batch), full: make(chan *batch, 1), sent: make(chan *batch, batchesAhead), spare: make(chan *batch, batchesAhead+2)}
		w.lanes = append(w.lanes, l)
		w.wait.Go(func() { w.sender(l) })
		w.wait.Go(func() { w.receiver(l) })
	}
	r, err := w.lanes[0].do("INFO", "cluster")
	w.apart = err != nil || bytes.Contains(r.str, []byte("cluster_enabled:1"))
	return w, nil
}

// close ends the connections; what is under way is not waited for.
func (w *keyWriter) close() {
	for _, l := range w.lanes {
		l.Close()
		close(l.full)
	}
	w.wait.Wait()
}

func (w *keyWriter) sender(l *lane) {
	defer close(l.sent)
	for b := range l.full {
		if w.failed.fatal() == nil {
			_, err := l.bw.Write(b.buf)
			if err == nil {
				err = l.flush()
			}
			if err != nil {
				w.failed.note("the connection to the target", err)
			}
		}
		if w.failed.fatal() != nil {
			b.about = b.about[:0] // replies that may never come are not waited for
		}
		l.sent <- b
	}
}

func (w *keyWriter) receiver(l *lane) {
	for b := range l.sent {
		from := 0
		l.SetReadDeadline(time.Now().Add(replyTimeout))
		for _, a := range b.about {
			if l.broken {
				break
			}
			r, err := l.value(0)
			if err != nil {
				l.broken = true
				w.failed.note("the connection to the target", err)
			} else if err := r.err(); err != nil {
				w.failed.note(fmt.Sprintf("database %d, key %.80q", b.db, b.names[from:a.end]), err)
				for range a.keys - 1 {
					w.failed.note(fmt.Sprintf("database %d, a key with %.80q", b.db, b.names[from:a.end]), err)
				}
			}
			from = a.end
		}
		*b = batch{buf: b.buf[:0], names: b.names[:0], about: b.about[:0]}
		if cap(b.buf) > 4*batchBytes {
			b.buf = nil
		}
		select {
		case l.spare <- b:
		default:
		}
		w.flying.Done()
	}
}

var (
	wordRestore, wordReplace, wordAbsTTL = []byte("RESTORE"), []byte("REPLACE"), []byte("ABSTTL")
	wordFreq, wordIdle                   = []byte("FREQ"), []byte("IDLETIME")
	wordSet, wordDel                     = []byte("SET"), []byte("DEL")
)

// put has a key restored, in place of one that is there.
func (w *keyWriter) put(k *persist.SnapshotKey, payload []byte) error {
	var deadline, used [20]byte
	args := append(w.args[:0], wordRestore, k.Name, strconv.AppendInt(deadline[:0], k.Deadline, 10), payload, wordReplace)
	if k.Deadline != 0 {
		args = append(args, wordAbsTTL)
	}
	switch {
	case k.Freq >= 0:
		args = append(args, wordFreq, strconv.AppendInt(used[:0], int64(k.Freq), 10))
	case k.Idle >= 0:
		args = append(args, wordIdle, strconv.AppendInt(used[:0], k.Idle, 10))
	}
	return w.command(k, args)
}

// plain tells whether SET with the value is all that a key needs. A string of an MSET costs
// both sides a third of what a RESTORE does.
func plain(k *persist.SnapshotKey) (value []byte, ok bool) {
	if k.Deadline != 0 || k.Freq >= 0 || k.Idle >= 0 {
		return nil, false
	}
	return k.PlainString()
}

// set has a key set to a string.
func (w *keyWriter) set(k *persist.SnapshotKey, value []byte) error {
	if w.apart {
		return w.command(k, append(w.args[:0], wordSet, k.Name, value))
	}
	if err := w.in(k.DB); err != nil {
		return err
	}
	l := w.lanes[w.next]
	if l.count == 0 {
		l.first = append(l.first[:0], k.Name...)
	}
	for _, b := range [...][]byte{k.Name, value} {
		l.sets = append(append(wire.AppendHeader(l.sets, '$', int64(len(b))), b...), "\r\n"...)
	}
	if l.count++; l.count >= setsAtOnce || len(l.sets) >= setsBytes {
		l.gather()
	}
	return w.sent(l, k.DB)
}

// gather makes a command of the strings that are set at once.
func (l *lane) gather() {
	if l.count == 0 {
		return
	}
	b := l.batch
	b.names = append(b.names, l.first...)
	b.about = append(b.about, about{len(b.names), l.count})
	b.buf = append(append(wire.AppendHeader(b.buf, '*', int64(1+2*l.count)), "$4\r\nMSET\r\n"...), l.sets...)
	if l.count, l.sets = 0, l.sets[:0]; cap(l.sets) > 4*setsBytes {
		l.sets = nil
	}
}

// command puts a command about a key into the next batch.
func (w *keyWriter) command(k *persist.SnapshotKey, args [][]byte) error {
	if err := w.in(k.DB); err != nil {
		return err
	}
	l := w.lanes[w.next]
	b := l.batch
	b.names = append(b.names, k.Name...)
	b.about = append(b.about, about{len(b.names), 1})
	b.buf = wire.AppendCommand(b.buf, args...)
	w.args = args
	return w.sent(l, k.DB)
}

// in selects a database, if it is another one.
func (w *keyWriter) in(db int) error {
	if w.lanes[0].db == db {
		return nil
	}
	return w.use(db)
}

// sent hands over what a lane has, if it is enough, and goes on with the next lane.
func (w *keyWriter) sent(l *lane, db int) error {
	if l.batch.db = db; len(l.batch.buf)+len(l.sets) >= batchBytes {
		w.hand(l)
		if w.next++; w.next == len(w.lanes) {
			w.next = 0
		}
	}
	return w.failed.fatal()
}

// hand sends what a lane has.
func (w *keyWriter) hand(l *lane) {
	l.gather()
	if len(l.batch.about) == 0 {
		return
	}
	w.flying.Add(1)
	l.full <- l.batch
	select {
	case l.batch = <-l.spare:
	default:
		l.batch = new(batch)
	}
}

// drain waits until all that was put is there.
func (w *keyWriter) drain() error {
	for _, l := range w.lanes {
		w.hand(l)
	}
	w.flying.Wait()
	return w.failed.fatal()
}

// alive has the connections not look idle to the target, which may end those that do.
func (w *keyWriter) alive() error {
	if time.Since(w.heard) < laneIdle {
		return nil
	}
	if err := w.drain(); err != nil {
		return err
	}
	for _, l := range w.lanes {
		if _, err := l.do("PING"); err != nil {
			return fmt.Errorf("the connection to the target: %w", err)
		}
	}
	w.heard = time.Now()
	return nil
}

// use selects a database on all connections, when nothing is under way.
func (w *keyWriter) use(db int) error {
	if err := w.drain(); err != nil {
		return err
	}
	for _, l := range w.lanes {
		if err := l.use(db); err != nil {
			return fmt.Errorf("database %d: %w", db, err)
		}
	}
	return nil
}
