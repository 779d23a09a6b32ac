package command

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
)

// Under an LFU policy (maxmemory-policy) the access clock of an entry is, in
// its upper 16 bits, the minute in which the counter was last brought down,
// and in its lower 8 bits a counter of accesses: it grows the more seldom the
// higher it stands, and shrinks by one for every lfu-decay-time minutes without
// access (source: the comment above LFUGetTimeInMinutes in Redis's src/evict.c).
// Otherwise the clock is the second of the last access.

const (
	// lfuInit is the counter of a new key: above those that are never asked for.
	lfuInit = 5
	// lfuNew asks for the clock of a new entry; see keyspace.Tx.LFU.
	lfuNew = ^uint32(0)
)

// accessClock says which of the two the access clock is, and what else an access
// changes.
type accessClock struct {
	// mode is nil where an access sets the clock to the second, and no more; every
	// command loads it.
	mode atomic.Pointer[accessMode]
}

type accessMode struct {
	lfu   func(clock uint32, now int64) uint32 // nil: the clock is the second
	count bool                                 // see keyspace.Tx.CountUses
	lrm   bool                                 // only writes count as an access
}

// init follows the directive maxmemory-policy.
func (a *accessClock) init(s *Server) {
	touch := func(clock uint32, now int64) uint32 {
		if clock == lfuNew {
			return LFUClock(now, lfuInit)
		}
		n := LFUDecayed(clock, now, s.Config.LFUDecayTime.Load())
		return LFUClock(now, lfuRaised(n, s.Config.LFULogFactor.Load(), rand.Float64()))
	}
	follow := func() error {
		var m *accessMode
		switch policy := s.Config.MaxMemoryPolicy.Load(); {
		case strings.HasSuffix(policy, "-lfu"):
			m = &accessMode{lfu: touch}
		case strings.HasSuffix(policy, "-lrm"):
			m = &accessMode{lrm: true}
		case strings.HasSuffix(policy, "-lru") && (s.Config.MaxMemory.Load() != 0 || len(s.Config.DBMaxMemory.Load()) > 0):
			m = &accessMode{count: true}
		}
		a.mode.Store(m)
		return nil
	}
	for _, name := range []string{"maxmemory-policy", "maxmemory", "db-maxmemory"} {
		s.Config.OnChange(name, follow)
	}
	_ = follow() // it has no error to return
}

// touch is what Tx.LFU and Tx.CountUses are to be.
func (a *accessClock) touch() (lfu func(clock uint32, now int64) uint32, count bool) {
	if m := a.mode.Load(); m != nil {
		return m.lfu, m.count
	}
	return nil, false
}

// begin says what an access of the command changes.
func (a *accessClock) begin(ctx *Ctx) {
	m := a.mode.Load()
	if m == nil {
		ctx.LFU, ctx.CountUses = nil, false
		return
	}
	ctx.LFU, ctx.CountUses = m.lfu, m.count
	if m.lrm && ctx.Row.Flags&Write == 0 {
		ctx.NoTouch = true
	}
}

// LFUClock joins the minute of now, Unix milliseconds, with a counter.
func LFUClock(now int64, counter uint32) uint32 {
	return uint32(now/60000)&0xFFFF<<8 | counter
}

// LFUDecayed is the counter of a clock as it stands now, with decay minutes
// for each step down; 0 never goes down.
func LFUDecayed(clock uint32, now, decay int64) uint32 {
	n := clock & 0xFF
	if decay <= 0 {
		return n
	}
	minutes := int64((uint32(now/60000) - clock>>8) & 0xFFFF)
	return n - uint32(min(minutes/decay, int64(n)))
}

// lfuRaised is the counter after one more access; r is random in [0, 1).
func lfuRaised(n uint32, factor int64, r float64) uint32 {
	if n < 255 && r < 1/(float64(max(int64(n)-lfuInit, 0))*float64(factor)+1) {
		n++
	}
	return n
}

// ClockMask is the width of an access clock.
const ClockMask = 1<<24 - 1
