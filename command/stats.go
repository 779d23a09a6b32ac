package command

import (
	"sync/atomic"
	"time"

	"kvd/lockrank"
	"kvd/observe"
)

// Counting. Each Exec has its own counters, so that loops share no cache
// line; INFO adds them up. CONFIG RESETSTAT sets nothing to zero (the counters
// belong to others) but remembers what they were.
//
// Every command is timed: the slow log must not miss one. The clock is read
// once a command, because within a pipeline one begins where the one before
// ended.

// RowStats counts the calls of one command by one Exec.
type RowStats struct {
	Rejected, Failed atomic.Int64

	// Under Exec.statMu:
	calls, ns int64
	hist      *observe.Histogram // nil until a call was counted in it
}

// clockBase is what durations are measured from: time.Since reads only the
// monotonic clock.
var clockBase = time.Now()

// clock is the monotonic clock in nanoseconds.
func clock() int64 { return int64(time.Since(clockBase)) }

// tally is what ran of one row lately and is not in the counters yet: the
// counters are shared, and a pipeline mostly has many commands of one kind.
type tally struct {
	st           *RowStats
	n            int
	ns           [16]int64 // of the n calls
	hits, misses int64
	waits        bool // the last call's time is not over; see countWait
}

// countCall counts a call that began at start and ends now, and returns how
// many nanoseconds it took.
func (x *Exec) countCall(ctx *Ctx, st *RowStats, start int64) int64 {
	t := &x.tally
	if t.st != st || t.n == len(t.ns) {
		x.enter()
		t.st = st
	}
	x.lap = clock()
	ns := x.lap - start
	t.ns[t.n] = ns
	t.n++
	t.hits += ctx.hits
	t.misses += ctx.misses
	ctx.hits, ctx.misses = 0, 0
	return ns
}

// enter puts the tally into the counters.
func (x *Exec) enter() {
	t := &x.tally
	if t.st == nil {
		return
	}
	x.statMu.Lock()
	t.st.calls += int64(t.n)
	for _, ns := range t.ns[:t.n] {
		t.st.ns += ns
	}
	times := t.ns[:t.n]
	if t.waits {
		times = times[:t.n-1]
	}
	x.note(t.st, times)
	x.hits += t.hits
	x.misses += t.misses
	x.statMu.Unlock()
	t.st, t.n, t.hits, t.misses, t.waits = nil, 0, 0, 0, false
}

// countWait counts what a call that did not end at once took beyond what
// countCall knew of; all is its whole time without waiting, in nanoseconds.
func (x *Exec) countWait(row *Row, more, all int64) {
	st := &x.stats[row.num]
	x.statMu.Lock()
	st.ns += more
	x.note(st, []int64{all})
	x.statMu.Unlock()
}

// countServed counts the end of a blocked command, which took ns to serve with a reply
// of so many bytes.
func (x *Exec) countServed(wt *waiter, ns int64, reply int) {
	all := wt.ns + ns
	x.countWait(wt.row, ns, all)
	x.s.NoteLatency("command-unblocking", ns)
	if all >= x.s.slowLeast.Load() {
		x.s.noteSlow(wt.c, wt.row, all, func() observe.Kept { return x.s.slowArgs(wt.row, wt.args) })
	}
	x.s.noteLargeReply(wt.c, wt.row, int64(reply), func() observe.Kept { return x.s.slowArgs(wt.row, wt.args) })
}

// note enters durations in the histogram of a row; statMu is held.
func (x *Exec) note(st *RowStats, times []int64) {
	if len(times) == 0 || !x.s.Config.LatencyTracking.Load() {
		return
	}
	if st.hist == nil {
		st.hist = new(observe.Histogram)
	}
	for _, ns := range times {
		st.hist.Add(ns)
	}
}

// CallTimes adds up the histograms of a row, nil if there are none. n is the
// number of calls.
func (s *Server) CallTimes(row *Row) (sum *observe.Histogram, n int64) {
	s.execs.mu.Lock()
	defer s.execs.mu.Unlock()
	for _, x := range s.execs.all {
		x.statMu.Lock()
		if h := x.stats[row.num].hist; h != nil {
			if sum == nil {
				sum = new(observe.Histogram)
			}
			for i, v := range h {
				sum[i] += v
				n += v
			}
		}
		x.statMu.Unlock()
	}
	return
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
	reads, writes         int64
	queryLimit            int64
	links                 [5]int64 // of replication: bytes in, out; full, partial, refused synchronizations
	evictedClients        int64
	expired, lazyFreed    int64
	expiredFields         int64
	evicted               int64
	contended, tidied     int64
	expireNs              int64
}

// rawTotals adds up the counters since the start.
func (s *Server) rawTotals() totals {
	t := totals{
		rows:           make([]rowTotals, s.Table.Size()),
		connections:    s.Stats.Connections.Load(),
		rejected:       s.Stats.Rejected.Load(),
		netIn:          s.Stats.NetIn.Load(),
		netOut:         s.Stats.NetOut.Load(),
		reads:          s.Stats.Reads.Load(),
		writes:         s.Stats.Writes.Load(),
		queryLimit:     s.Stats.QueryBufferLimit.Load(),
		evictedClients: s.clientMem.evicted.Load(),
		expired:        s.Keyspace.Stats.Expired.Load(),
		lazyFreed:      s.Keyspace.Stats.LazyFreed.Load(),
		expiredFields:  s.Keyspace.Stats.ExpiredFields.Load(),
		evicted:        s.Keyspace.Stats.Evicted.Load(),
		contended:      s.Keyspace.Stats.Contended.Load(),
		tidied:         s.Keyspace.Stats.TidiedBytes.Load(),
		links:          s.replication.counters(),
		expireNs:       s.Keyspace.Stats.ExpireCycleNs.Load(),
	}
	s.execs.mu.Lock()
	defer s.execs.mu.Unlock()
	for _, x := range s.execs.all {
		x.statMu.Lock()
		t.hits += x.hits
		t.misses += x.misses
		for i := range t.rows {
			st, r := &x.stats[i], &t.rows[i]
			t.calls += st.calls
			r.calls += st.calls
			r.ns += st.ns
			r.rejected += st.Rejected.Load()
			r.failed += st.Failed.Load()
		}
		x.statMu.Unlock()
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
		{&t.rejected, b.rejected}, {&t.netIn, b.netIn}, {&t.netOut, b.netOut}, {&t.reads, b.reads}, {&t.writes, b.writes}, {&t.queryLimit, b.queryLimit}, {&t.evictedClients, b.evictedClients},
		{&t.expired, b.expired}, {&t.lazyFreed, b.lazyFreed}, {&t.contended, b.contended}, {&t.tidied, b.tidied},
		{&t.expiredFields, b.expiredFields}, {&t.evicted, b.evicted}, {&t.expireNs, b.expireNs},
	} {
		*p.v -= p.o
	}
	for i := range t.links {
		t.links[i] -= b.links[i]
	}
	return t
}

// resetStats starts all counters anew.
func (s *Server) resetStats() {
	t := s.rawTotals()
	s.execs.mu.Lock()
	s.base = t
	for _, x := range s.execs.all {
		x.statMu.Lock()
		for i := range x.stats {
			x.stats[i].hist = nil
		}
		x.statMu.Unlock()
	}
	s.execs.mu.Unlock()
	s.errors.mu.Lock()
	s.errors.n, s.errors.all = nil, 0
	s.errors.mu.Unlock()
	for i := range s.rights.denied {
		s.rights.denied[i].Store(0)
	}
	s.certDenied.Store(0)
	s.limit.resetExceeded()
	s.persist.ResetStats()
	s.Stats.MaxCommandNs.Store(0)
	s.Keyspace.Stats.MaxLockHoldNs.Store(0)
}

// rates keeps what is needed to say how much happens a second: a few samples
// of the counters, taken in passing.
type rates struct {
	next atomic.Int64 // when the next sample is due, Unix ms

	mu   lockrank.Mutex[lockrank.Rates] // protects what follows
	ring [rateSamples]rateSample
	n    int // samples taken ever
}

type rateSample struct{ at, calls, netIn, netOut, replIn, replOut int64 }

const (
	rateSamples = 16
	rateEvery   = 100 // ms between two samples
	peakEvery   = 10  // samples between two looks at the memory
)

// take takes a sample, unless another goroutine does.
func (r *rates) take(s *Server, now int64) {
	if r.sample(s, now) {
		s.memoryUse(false) // notes the peak; locks stripes, under which INFO inside EXEC waits for mu
	}
}

// sample takes a sample if one is due; peak: the memory is to be looked at.
func (r *rates) sample(s *Server, now int64) (peak bool) {
	if !r.mu.TryLock() {
		return false
	}
	defer r.mu.Unlock()
	if now < r.next.Load() {
		return false
	}
	r.next.Store(now + rateEvery)
	r.ring[r.n%rateSamples] = s.rateSample(now)
	r.n++
	return r.n%peakEvery == 0
}

func (s *Server) rateSample(now int64) rateSample {
	m := rateSample{at: now, netIn: s.Stats.NetIn.Load(), netOut: s.Stats.NetOut.Load(), replIn: s.replication.in.Load(), replOut: s.replication.out.Load()}
	s.execs.mu.Lock()
	defer s.execs.mu.Unlock()
	for _, x := range s.execs.all {
		x.statMu.Lock()
		for i := range x.stats {
			m.calls += x.stats[i].calls
		}
		x.statMu.Unlock()
	}
	return m
}

// rate is how much happened a second.
type rate struct{ calls, netIn, netOut, replIn, replOut float64 }

// now says how many commands were run, and bytes read and written, a second
// lately: since the oldest sample of the last two seconds, or the last sample
// if all are older.
func (r *rates) now(s *Server, ms int64) (lately rate) {
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
	per := func(cur, old int64) float64 { return float64(cur-old) / d }
	return rate{per(cur.calls, old.calls), per(cur.netIn, old.netIn), per(cur.netOut, old.netOut), per(cur.replIn, old.replIn), per(cur.replOut, old.replOut)}
}

// count is the number of Execs that serve clients: on Linux, of event loops.
func (l *execList) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, x := range l.all {
		if !x.applies {
			n++
		}
	}
	return n
}
