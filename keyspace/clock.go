package keyspace

import (
	"math"
	"time"
)

// Now is the moment by which keys and fields expire, and waits end: the system's time,
// unless Advance has moved it. Durations of work are not measured by it.
func (ks *Keyspace) Now() time.Time { return ks.At(time.Now()) }

// At is the data's moment at a moment of the system's clock.
func (ks *Keyspace) At(t time.Time) time.Time {
	if d := ks.ahead.Load(); d != 0 {
		return t.Add(time.Duration(d))
	}
	return t
}

// Until is how long it takes until a moment of the data's clock, in Unix ms.
func (ks *Keyspace) Until(ms int64) time.Duration { return time.UnixMilli(ms).Sub(ks.Now()) }

// Ahead changes whenever Advance moves the clock.
func (ks *Keyspace) Ahead() int64 { return ks.ahead.Load() }

// advanceRest is how long ExpireNow rests where a script has a stripe that it needs.
const advanceRest = 100 * time.Microsecond

// MostAdvance is the furthest that the data's clock may be ahead of the system's: a
// Duration holds 290 years.
const MostAdvance = 100 * 365 * 24 * time.Hour

// Advance moves the data's clock forward, for tests. Keys that are due then go in
// their own time, or with ExpireNow. false: d is negative or leads beyond MostAdvance,
// and nothing was done.
func (ks *Keyspace) Advance(d time.Duration) bool {
	for {
		old := ks.ahead.Load()
		if d < 0 || d > MostAdvance-time.Duration(old) {
			return false
		}
		if ks.ahead.CompareAndSwap(old, old+int64(d)) {
			ks.expiry.signal()
			return true
		}
	}
}

// ExpireNow removes all that is due, unless that is switched off (SetActiveExpire), and
// returns when it is gone. No stripe is locked by the caller.
func (ks *Keyspace) ExpireNow() {
	tx := ks.NewTx()
	for now := ks.Now().UnixMilli(); !ks.expiry.off.Load(); time.Sleep(advanceRest) {
		if next := ks.expiry.expireDue(tx, now); next > now || next == math.MaxInt64 {
			return
		}
	}
}

// ExpiryLag is how long the earliest deadline that has passed has been waiting; 0 where
// nothing is due. It locks nothing.
func (ks *Keyspace) ExpiryLag() time.Duration {
	now, late := ks.Now().UnixMilli(), int64(0)
	for i := range ks.stripes {
		if n := ks.stripes[i].next.Load(); n != 0 {
			late = max(late, now-n)
		}
	}
	return time.Duration(late) * time.Millisecond
}
