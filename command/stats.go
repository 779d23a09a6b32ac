package command

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"kvd/keyspace"
)

// Counting. Each Exec writes its own counters, so that loops share no cache
// line; INFO adds them up. CONFIG RESETSTAT sets nothing to zero (the counters
// belong to others) but remembers what they were.
//
// Reading the clock costs some 50 ns, twice a command, which is too much where
// a command takes 500. So not every call is timed: the first of a batch is,
// and the first calls of a row, and whatever was slow the last time; of the
// rest every eighth call of a row is, and it stands for those in between.

// RowStats counts the calls of one command by one Exec.
type RowStats struct {
	Calls, Ns, Rejected, Failed atomic.Int64

	hist    atomic.Pointer[histogram] // nil until a call was timed
	untimed int64                     // calls since the last timed one
	slow    bool
}

const (
	timedAtFirst = 64   // calls of a row that are all timed
	timedEach    = 8    // power of two
	slowCall     = 5000 // ns: reading the clock does not matter
)

// clockBase is what durations are measured from: time.Since reads only the
// monotonic clock.
var clockBase = time.Now()

// timed tells whether this call of a row is to be timed.
func (x *Exec) timed(st *RowStats, calls int64) bool {
	if x.fresh || calls <= timedAtFirst || calls%timedEach == 0 || st.slow {
		x.fresh = false
		return true
	}
	st.untimed++
	return false
}

// note counts a timed call.
func (st *RowStats) note(ns int64, tracking bool) {
	n := 1 + st.untimed
	st.untimed = 0
	st.slow = ns > slowCall
	st.Ns.Store(st.Ns.Load() + ns*n)
	if !tracking {
		return
	}
	h := st.hist.Load()
	if h == nil {
		h = new(histogram)
		st.hist.Store(h)
	}
	c := &h[bucketOf(ns)]
	c.Store(c.Load() + n)
}

// countLookups adds up the look-ups of a command that Redis counts.
func (x *Exec) countLookups(ctx *Ctx) {
	if ctx.hits|ctx.misses == 0 {
		return
	}
	if ctx.hits != 0 {
		x.hits.Store(x.hits.Load() + ctx.hits)
	}
	if ctx.misses != 0 {
		x.misses.Store(x.misses.Load() + ctx.misses)
	}
	ctx.hits, ctx.misses = 0, 0
}

// countsReads tells whether the look-ups of a command are keyspace_hits and
// keyspace_misses: those of readers, and of the few writers that return what
// they found.
func (r *Row) countsReads() bool {
	if r.parent != nil {
		return false // OBJECT, MEMORY USAGE and so on look without counting
	}
	switch r.Name {
	case "getex", "getdel", "getset", "sort", "migrate", "bitop", "copy", "sinterstore", "sunionstore", "sdiffstore",
		"zinterstore", "zunionstore", "zdiffstore", "zrangestore":
		return true
	}
	return r.Flags&ReadOnly != 0
}

// Find is Tx.Find, counted.
func (c *Ctx) Find(k *keyspace.Key) keyspace.Entry {
	e := c.Tx.Find(k)
	c.countLookup(k, &e)
	return e
}

// Peek is Tx.Peek, counted.
func (c *Ctx) Peek(k *keyspace.Key) keyspace.Entry {
	e := c.Tx.Peek(k)
	c.countLookup(k, &e)
	return e
}

func (c *Ctx) countLookup(k *keyspace.Key, e *keyspace.Entry) {
	if c.Row.reads {
		c.countRead(k, e)
	}
}

// countRead counts a look-up whatever the command is.
func (c *Ctx) countRead(k *keyspace.Key, e *keyspace.Entry) {
	if e.Exists() {
		c.hits++
	} else {
		c.misses++
		c.missed(k)
	}
}

// histogram counts durations in nanoseconds: 32 buckets for each power of two,
// so a value is known to some 3 percent. Longer than 68 s counts as that.
type histogram [33 * 32]atomic.Int64

func bucketOf(ns int64) int {
	v := uint64(max(ns, 0))
	if v < 64 {
		return int(v)
	}
	e := bits.Len64(v) - 6
	return min(e*32+int(v>>e), len(histogram{})-1)
}

// bucketTop is the highest value that bucket i counts.
func bucketTop(i int) int64 {
	if i < 64 {
		return int64(i)
	}
	e := i/32 - 1
	return int64(i%32+33)<<e - 1
}

// latencies adds up the histograms of a row. n is the number of calls.
func (s *Server) latencies(row int) (sum *[len(histogram{})]int64, n int64) {
	s.execs.mu.Lock()
	defer s.execs.mu.Unlock()
	for _, x := range s.execs.all {
		h := x.stats[row].hist.Load()
		if h == nil {
			continue
		}
		if sum == nil {
			sum = new([len(histogram{})]int64)
		}
		for i := range h {
			v := h[i].Load()
			sum[i] += v
			n += v
		}
	}
	return
}

// percentile is the value below which p percent of n calls stayed, in ns.
func percentile(sum *[len(histogram{})]int64, n int64, p float64) int64 {
	want := max(int64(p/100*float64(n)+0.5), 1)
	for i, v := range sum {
		if want -= v; want <= 0 {
			return bucketTop(i)
		}
	}
	return 0
}

// rowTotals is RowStats added up over all Execs.
type rowTotals struct{ calls, ns, rejected, failed int64 }

// totals are the counters of a server at one moment, or (totals).minus what
// happened between two.
type totals struct {
	rows                  []rowTotals
	calls                 int64
	hits, misses          int64
	connections, rejected int64
	netIn, netOut         int64
	queryLimit            int64
	expired, lazyFreed    int64
	expiredFields         int64
	contended, tidied     int64
}

// rawTotals adds up the counters since the start.
func (s *Server) rawTotals() totals {
	t := totals{
		rows:          make([]rowTotals, Rows()),
		connections:   s.Stats.Connections.Load(),
		rejected:      s.Stats.Rejected.Load(),
		netIn:         s.Stats.NetIn.Load(),
		netOut:        s.Stats.NetOut.Load(),
		queryLimit:    s.Stats.QueryBufferLimit.Load(),
		expired:       s.Keyspace.Stats.Expired.Load(),
		lazyFreed:     s.Keyspace.Stats.LazyFreed.Load(),
		expiredFields: s.Keyspace.Stats.ExpiredFields.Load(),
		contended:     s.Keyspace.Stats.Contended.Load(),
		tidied:        s.Keyspace.Stats.TidiedBytes.Load(),
	}
	s.execs.mu.Lock()
	defer s.execs.mu.Unlock()
	for _, x := range s.execs.all {
		t.hits += x.hits.Load()
		t.misses += x.misses.Load()
		for i := range t.rows {
			st, r := &x.stats[i], &t.rows[i]
			calls := st.Calls.Load()
			t.calls += calls
			r.calls += calls
			r.ns += st.Ns.Load()
			r.rejected += st.Rejected.Load()
			r.failed += st.Failed.Load()
		}
	}
	return t
}

// totals are the counters since the start or the last CONFIG RESETSTAT.
func (s *Server) totals() totals {
	t := s.rawTotals()
	s.execs.mu.Lock()
	b := s.base
	s.execs.mu.Unlock()
	for i := range b.rows {
		r, o := &t.rows[i], &b.rows[i]
		*r = rowTotals{r.calls - o.calls, r.ns - o.ns, r.rejected - o.rejected, r.failed - o.failed}
	}
	for _, p := range []struct {
		v *int64
		o int64
	}{
		{&t.calls, b.calls}, {&t.hits, b.hits}, {&t.misses, b.misses}, {&t.connections, b.connections},
		{&t.rejected, b.rejected}, {&t.netIn, b.netIn}, {&t.netOut, b.netOut}, {&t.queryLimit, b.queryLimit},
		{&t.expired, b.expired}, {&t.lazyFreed, b.lazyFreed}, {&t.contended, b.contended}, {&t.tidied, b.tidied},
		{&t.expiredFields, b.expiredFields},
	} {
		*p.v -= p.o
	}
	return t
}

// resetStats starts all counters anew.
func (s *Server) resetStats() {
	t := s.rawTotals()
	s.execs.mu.Lock()
	s.base = t
	for _, x := range s.execs.all {
		for i := range x.stats {
			if st := &x.stats[i]; st.hist.Load() != nil {
				st.hist.Store(nil)
			}
		}
	}
	s.execs.mu.Unlock()
	s.errors.mu.Lock()
	s.errors.n, s.errors.all = nil, 0
	s.errors.mu.Unlock()
	s.Stats.MaxCommandNs.Store(0)
	s.Keyspace.Stats.MaxLockHoldNs.Store(0)
}

// rates keeps what is needed to say how much happens a second: a few samples
// of the counters, taken in passing.
type rates struct {
	next atomic.Int64 // when the next sample is due, Unix ms

	mu   sync.Mutex // protects what follows
	ring [rateSamples]rateSample
	n    int // samples taken ever
}

type rateSample struct{ at, calls, netIn, netOut int64 }

const (
	rateSamples = 16
	rateEvery   = 100 // ms between two samples
	peakEvery   = 10  // samples between two looks at the memory
)

// take takes a sample, unless another goroutine does.
func (r *rates) take(s *Server, now int64) {
	if !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	if now < r.next.Load() {
		return
	}
	r.next.Store(now + rateEvery)
	r.ring[r.n%rateSamples] = s.rateSample(now)
	if r.n++; r.n%peakEvery == 0 {
		s.memoryUse(false) // notes the peak
	}
}

func (s *Server) rateSample(now int64) rateSample {
	m := rateSample{at: now, netIn: s.Stats.NetIn.Load(), netOut: s.Stats.NetOut.Load()}
	s.execs.mu.Lock()
	defer s.execs.mu.Unlock()
	for _, x := range s.execs.all {
		for i := range x.stats {
			m.calls += x.stats[i].Calls.Load()
		}
	}
	return m
}

// now says how many commands were run, and bytes read and written, a second
// lately: since the oldest sample of the last two seconds, or the last sample
// if all are older.
func (r *rates) now(s *Server, ms int64) (calls, in, out float64) {
	cur := s.rateSample(ms)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == 0 {
		return
	}
	i := r.n - 1
	for i > 0 && r.n-i < rateSamples && ms-r.ring[(i-1)%rateSamples].at <= 2000 {
		i--
	}
	old := r.ring[i%rateSamples]
	if cur.at-old.at < rateEvery && r.n > 1 && r.n-i < rateSamples {
		old = r.ring[(r.n-2)%rateSamples] // too short a time to tell
	}
	d := float64(max(cur.at-old.at, rateEvery)) / 1000
	return float64(cur.calls-old.calls) / d, float64(cur.netIn-old.netIn) / d, float64(cur.netOut-old.netOut) / d
}

// count is the number of Execs: on Linux, of event loops.
func (l *execList) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}
