package persist

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/persist/rdb"
	"kvd/types/stream"
)

const (
	// batchBytes is how much of a file is handed to a worker at once.
	batchBytes = 128 << 10
	batchKeys  = 4096
	// rawMax is the longest key with its value that goes to a worker, in bytes.
	// Longer ones are decoded by the reader of the file as they come, so that
	// they are not in memory twice.
	rawMax = 1 << 20
	// side is how many keys' places in the tables are fetched side by side.
	side = 16
)

// record is a key of the file with its value.
type record struct {
	at       int64 // offset in the file
	off, end int   // key and value in the batch's raw bytes
	key      []byte
	typ      byte
	db       int
	deadline int64 // 0 none
	clock    uint32
	flags    uint32 // see keyspace.Marks
	active   string // see auxActive
}

// batch is a run of records on its way to a worker.
type batch struct {
	raw     []byte
	records []record
}

// emptyNamed is how many keys of empty collections are named in the log.
const emptyNamed = 10

// workers are a loader's helpers. They begin when the first batch is full, so
// that a small file needs none.
type workers struct {
	own     *worker // of the goroutine that reads the file
	all     []*worker
	batch   *batch // being filled
	started int
	full    chan *batch
	spare   chan *batch
	wait    sync.WaitGroup

	loaded, expired, empty atomic.Int64

	stop   atomic.Bool                          // failed is set: what is left need not be entered
	mu     lockrank.Mutex[lockrank.LoadWorkers] // protects failed, and is held over leftOut
	failed *recordError
}

// recordError is what was wrong with a record.
type recordError struct {
	at int64
	error
}

func (e *recordError) Unwrap() error { return e.error }

// hand passes a record on to the workers. An error is that of an earlier one.
func (l *loader) hand(rec record, raw []byte) error {
	b := l.batch
	rec.off, rec.end = len(b.raw), len(b.raw)+len(raw)
	b.raw = append(b.raw, raw...)
	b.records = append(b.records, rec)
	if len(b.raw) < batchBytes && len(b.records) < batchKeys {
		return nil
	}
	if l.stop.Load() {
		return errors.New("a value before failed") // settle tells which
	}
	if n := min(runtime.GOMAXPROCS(0), runtime.NumCPU()); l.started == 0 {
		l.started = n
		l.full, l.spare = make(chan *batch, n), make(chan *batch, 2*n+1)
		for range n {
			w := l.newWorker()
			l.wait.Go(func() {
				for b := range l.full {
					w.run(b)
					b.records = b.records[:0]
					if b.raw = b.raw[:0]; cap(b.raw) > 4*batchBytes {
						b.raw = nil
					}
					l.spare <- b
				}
			})
		}
	}
	l.full <- b
	select {
	case l.batch = <-l.spare:
	default:
		l.batch = new(batch)
	}
	return nil
}

// settle waits until everything that was handed over is entered, and returns
// the first record that could not be, in the order of the file.
func (l *loader) settle() *recordError {
	l.own.run(l.batch)
	if l.started > 0 {
		close(l.full)
		l.wait.Wait()
	}
	return l.failed
}

// worker enters records into the keyspace. It belongs to one goroutine.
type worker struct {
	l    *loader
	tx   *keyspace.Tx
	r    *rdb.Reader
	keys [side]keyspace.Key
	text [side][]byte
	body [side]int
	seen seen // by a check

	loaded, expired, empty int64 // since the last count
}

func (l *loader) newWorker() *worker {
	w := &worker{l: l, r: new(rdb.Reader)}
	l.all = append(l.all, w)
	if l.check {
		return w
	}
	w.tx = l.s.Keyspace.NewTx()
	w.tx.Now = l.now.UnixMilli()
	w.tx.Replaying = true // nothing expires behind the loader's back
	return w
}

// count adds what the worker has counted to the loader's sums.
func (w *worker) count() {
	w.l.loaded.Add(w.loaded)
	w.l.expired.Add(w.expired)
	w.l.empty.Add(w.empty)
	w.loaded, w.expired, w.empty = 0, 0, 0
}

// run enters a batch, unless something has failed.
func (w *worker) run(b *batch) {
	defer w.count()
	for from := 0; from < len(b.records); from += side {
		if w.l.stop.Load() {
			return
		}
		w.some(b, b.records[from:min(from+side, len(b.records))])
	}
}

// some enters a few records of a batch, up to side.
func (w *worker) some(b *batch, list []record) {
	for i := range list {
		rec := &list[i]
		w.r.Reset(b.raw[rec.off:rec.end])
		w.text[i] = append(w.text[i][:0], w.r.String()...)
		if err := w.r.Err(); err != nil {
			w.fail(rec, err)
			return
		}
		w.body[i] = rec.end - w.r.Left()
		if w.l.check {
			continue
		}
		w.keys[i] = keyspace.MakeKey(w.text[i])
		w.l.s.Keyspace.PrefetchTable(rec.db, &w.keys[i])
	}
	for i := range list {
		rec := &list[i]
		w.r.Reset(b.raw[w.body[i]:rec.end])
		rec.key = w.text[i]
		err := w.value(rec, &w.keys[i], w.r)
		if err == nil && w.r.Left() > 0 {
			err = rdb.ErrDamaged
		}
		rec.key = nil
		if err != nil {
			w.fail(rec, err)
			return
		}
	}
}

func (w *worker) fail(rec *record, err error) {
	w.l.mu.Lock()
	if w.l.failed == nil || rec.at < w.l.failed.at {
		w.l.failed = &recordError{rec.at, err}
	}
	w.l.mu.Unlock()
	w.l.stop.Store(true)
}

// enter is for a record that is not part of a batch: its value is read from r.
func (w *worker) enter(rec *record, r *rdb.Reader) error {
	defer w.count()
	k := keyspace.MakeKey(rec.key)
	return w.value(rec, &k, r)
}

// value decodes the value and enters it.
func (w *worker) value(rec *record, k *keyspace.Key, r *rdb.Reader) error {
	v, err := rdb.DecodeValue(r, rec.typ, w.l.limits)
	switch {
	case errors.Is(err, rdb.ErrEmpty):
		w.empty++
		if w.l.empty.Load()+w.empty <= emptyNamed && !w.l.proof {
			w.l.s.Log.Noticef("Loading RDB: skipping empty key: %.80s", rec.key)
		}
		return nil
	case err != nil:
		return fmt.Errorf("the value of the key %.80q: %w", rec.key, err)
	}
	if s, ok := v.Obj.(*stream.Stream); ok && rec.active != "" {
		rdb.SetStreamActive(s, []byte(rec.active))
	}
	late := rec.deadline != 0 && rec.deadline <= w.l.now.UnixMilli() && !w.l.keep
	if w.l.check && !w.l.proof {
		w.seen.note(rec, v.Type)
	}
	if late || w.l.check {
		if late {
			w.expired++
			if f := w.l.leftOut; f != nil {
				w.l.mu.Lock()
				f(rec.db, rec.key)
				w.l.mu.Unlock()
			}
		}
		if v.Obj != nil {
			for !v.Obj.Free(1 << 20) {
			}
		}
		return nil
	}
	ks := w.l.s.Keyspace
	keys := [1]keyspace.Key{*k}
	h := ks.LockKeys(keys[:])
	if w.l.fresh != nil {
		w.tx.UseFresh(w.l.fresh, rec.db)
	} else {
		w.tx.Use(rec.db)
	}
	w.tx.Clock = rec.clock
	twice := w.l.dups == refuseDuplicates && w.tx.Exists(k)
	switch {
	case twice:
	case v.Obj != nil:
		w.tx.PutObject(k, v.Type, v.Enc, v.Obj, rec.deadline)
	default:
		w.tx.Put(k, v.Type, v.Enc, v.Packed, rec.deadline)
	}
	if rec.flags != 0 && !twice {
		w.tx.SetFlags(k, rec.flags)
	}
	ks.Unlock(&h)
	if twice {
		return fmt.Errorf("the key %.80q comes twice", rec.key)
	}
	w.loaded++
	return nil
}
