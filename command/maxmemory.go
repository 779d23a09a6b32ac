package command

import (
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"kvd/keyspace"
	"kvd/lockrank"
)

// maxmemory: while more memory is in use than it allows, gateMemory is set, so
// commands that do not want memory, and all while there is enough, pay nothing.
// A command that wants memory first helps to evict (keyspace.Evict) and is refused
// where nothing may go. What counts is the data set: what clients and followers
// have in their buffers has limits of its own and costs nobody a key, unless
// maxmemory-counts says that all counts, as in Redis.

const errOOM = "OOM command not allowed when used memory > 'maxmemory'."

// memoryLimit is the state of maxmemory and db-maxmemory.
type memoryLimit struct {
	// stale: the directives have changed, and apply is to be called once nothing is
	// locked.
	stale atomic.Bool
	all   atomic.Bool  // all memory counts, not only the data set
	extra atomic.Int64 // bytes that count besides the data set; 0 unless all
	// patience is how long a command that wants memory helps to evict, in ns.
	patience atomic.Int64

	applying lockrank.Mutex[lockrank.MemoryApply] // one apply at a time; held while stripes are locked one by one

	mu    lockrank.Mutex[lockrank.MemoryLimit] // protects what follows, and that gateMemory is set by one at a time
	since time.Time                            // when the limit was passed; zero means that it is not passed
	total time.Duration
}

// init follows the directives.
func (l *memoryLimit) init(s *Server) {
	for _, name := range []string{"maxmemory", "db-maxmemory", "maxmemory-counts"} {
		s.Config.OnChange(name, func() error {
			for _, d := range s.Config.DBMaxMemory.Load() {
				if d.DB >= s.Keyspace.Databases() {
					return errors.New("DB index is out of range")
				}
			}
			l.stale.Store(true)
			return nil
		})
	}
	for _, name := range []string{"maxmemory-policy", "maxmemory-samples", "lfu-decay-time", "lazyfree-lazy-eviction", "maxmemory-eviction-tenacity"} {
		s.Config.OnChange(name, func() error { l.setPolicy(s); return nil })
	}
	s.Config.OnChange("replica-ignore-maxmemory", func() error { s.updateMemoryGate(); return nil })
	l.setPolicy(s)
	l.apply(s)
}

// kinds are the policies by what stands behind allkeys- or volatile-.
var kinds = map[string]keyspace.EvictKind{"lru": keyspace.EvictLRU, "lfu": keyspace.EvictLFU, "lrm": keyspace.EvictLRM,
	"ttl": keyspace.EvictTTL, "random": keyspace.EvictRandom}

func (l *memoryLimit) setPolicy(s *Server) {
	l.patience.Store(int64(patienceOf(s.Config.MaxMemoryEvictionTenacity.Load())))
	which, kind, _ := strings.Cut(s.Config.MaxMemoryPolicy.Load(), "-")
	decay := s.Config.LFUDecayTime.Load()
	s.Keyspace.SetEviction(keyspace.EvictPolicy{
		Kind: kinds[kind], Volatile: which == "volatile",
		Samples:   int(min(s.Config.MaxMemorySamples.Load(), math.MaxInt32)),
		Frequency: func(clock uint32, now int64) uint32 { return LFUDecayed(clock, now, decay) },
		Unlink:    s.Config.LazyfreeLazyEviction.Load(),
		Allowed:   s.mayEvict,
	})
}

// patienceOf is how long a command helps to evict: as in Redis 50 us for each step up
// to 10, then 15 percent more for each, and at 100 until it is done.
func patienceOf(tenacity int64) time.Duration {
	switch {
	case tenacity <= 10:
		return time.Duration(tenacity) * 50 * time.Microsecond
	case tenacity < 100:
		return time.Duration(500 * math.Pow(1.15, float64(tenacity-10)) * float64(time.Microsecond))
	}
	return math.MaxInt64
}

// leastMemory is the least limit, in bytes, that lets anything in: an empty server takes
// more, and clients' tests set a limit of 1 to be refused.
const leastMemory = 1 << 10

// apply puts the directives in force. It locks stripes one by one, so none may be
// locked.
func (l *memoryLimit) apply(s *Server) {
	l.applying.Lock()
	defer l.applying.Unlock()
	l.stale.Store(false)
	l.all.Store(s.Config.MaxMemoryCounts.Load() == "all")
	limit := int64(keyspace.NoLimit)
	if v := s.Config.MaxMemory.Uint64(); v > 0 && v < math.MaxInt64 {
		l.extra.Store(0)
		if l.all.Load() {
			m := s.memoryUse(false)
			l.extra.Store(m.overhead())
		}
		limit = int64(v) - l.extra.Load()
		if v < leastMemory {
			limit = -1
		}
	}
	var dbs []keyspace.DBLimit
	for _, d := range s.Config.DBMaxMemory.Load() {
		if d.DB < s.Keyspace.Databases() {
			dbs = append(dbs, keyspace.DBLimit{DB: d.DB, Bytes: d.Bytes})
		}
	}
	s.Keyspace.SetLimits(limit, dbs)
	s.updateMemoryGate()
}

// limitEvery is how often it is looked what counts besides the data set.
const limitEvery = 100 * time.Millisecond

// TendLimit keeps the limit where it belongs while all memory counts, until stop is
// closed.
func (s *Server) TendLimit(stop <-chan struct{}) {
	tick := time.NewTicker(limitEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			if s.limit.all.Load() && s.Config.MaxMemory.Load() != 0 {
				s.limit.apply(s)
			}
		}
	}
}

// mayEvict tells whether keys may go to make room: not while the contents are
// loaded, imported or stand still, nor on a follower, which is told by its leader.
func (s *Server) mayEvict() bool {
	return s.pause.mode.Load() == pauseOff && s.gate.Load()&gateLoading == 0 && !s.Config.ImportMode.Load() &&
		!((s.following.Load() || s.Config.ReplicaOf.Load().Host != "") && s.Config.ReplicaIgnoreMaxMemory.Load())
}

// memoryOver is called when the memory in use passes its limit, and when it is
// within it again.
func (s *Server) memoryOver(on bool) {
	l := &s.limit
	l.mu.Lock()
	switch now := time.Now(); {
	case on && l.since.IsZero():
		l.since = now
	case !on && !l.since.IsZero():
		l.total += now.Sub(l.since)
		l.since = time.Time{}
	}
	l.mu.Unlock()
	s.updateMemoryGate()
}

// updateMemoryGate says whether commands that want memory are to look for it first.
func (s *Server) updateMemoryGate() {
	s.limit.mu.Lock()
	s.setGate(gateMemory, s.Keyspace.Over() && s.mayEvict())
	s.limit.mu.Unlock()
}

// exceeded is how long the limit was passed, in all and since it was passed the last
// time (0: it is not).
func (l *memoryLimit) exceeded(now time.Time) (total, current time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.since.IsZero() {
		current = max(0, now.Sub(l.since))
	}
	return l.total + current, current
}

// resetExceeded counts anew, from now on.
func (l *memoryLimit) resetExceeded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total = 0
	if !l.since.IsZero() {
		l.since = time.Now()
	}
}

// notCounted is the part of the memory in use that no limit is compared with.
func (l *memoryLimit) notCounted(m *memoryUse) int64 {
	if l.all.Load() {
		return 0
	}
	return m.overhead()
}

// outOfMemory makes room where the command wants memory. It tells whether the command is to be
// refused, because there is none. For a script it notes that there is none: its
// commands are refused then. Nothing is locked.
func (x *Exec) outOfMemory(ctx *Ctx) bool {
	deny := ctx.has(DenyOOM)
	if ctx.C.multi != nil && ctx.Row.Flags&(RunsInMulti|QueuesAlways) == 0 {
		deny = true // what is queued takes memory itself
	}
	if !deny && ctx.Flags&MayReplicate == 0 {
		return false
	}
	ks, db := x.s.Keyspace, ctx.C.DB()
	if !ks.OverIn(db) && !ks.Sparse() {
		return false
	}
	x.due.Now = x.nowMs
	if ks.Evict(&x.due, db, x.s.limit.wait(ks.Excess(db))) != keyspace.EvictNone || !ks.OverIn(db) || !x.s.mayEvict() {
		return false
	}
	x.oom = true
	return deny
}

// Where commands add more than they and the background can evict, they have to wait
// longer: so many times longer where they have got ahead by a sixty-fourth and by a
// sixteenth of the limit (and by a few bytes that do not matter).
const (
	aheadSlack = 1 << 20
	aheadSome  = 8
	aheadMuch  = 40
)

// wait is how long a command helps to evict, which is excess bytes above a limit.
func (l *memoryLimit) wait(excess, limit int64) time.Duration {
	t := l.patience.Load()
	switch {
	case t > math.MaxInt64/aheadMuch:
	case excess > limit/16+4*aheadSlack:
		t = max(t, int64(500*time.Microsecond)) * aheadMuch
	case excess > limit/64+aheadSlack:
		t = max(t, int64(500*time.Microsecond)) * aheadSome
	}
	return time.Duration(t)
}
