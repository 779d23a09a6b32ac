package command

import (
	"time"

	"kvd/keyspace"
)

// Advance moves the clock of keys, fields and waits forward, for tests: when it
// returns, what is due by then has expired, blocking commands whose time is over have
// been answered, and a pause that is over has ended. What has to do with connections
// and files (timeouts of idle clients, save points, the log's syncs) goes by the
// system's clock as before. false: d is negative or leads more than a hundred years
// ahead, and nothing was done. No stripe is locked.
func (s *Server) Advance(d time.Duration) bool {
	ok := s.Keyspace.Advance(d)
	if ok {
		s.settleClock()
	}
	return ok
}

// settleClock does what is due after the clock was moved.
func (s *Server) settleClock() {
	s.rearmPause()
	s.Keyspace.ExpireNow()
	for _, c := range s.clients.list() {
		if wt := c.blocked.Load(); wt != nil {
			s.rearm(wt)
		}
	}
	for _, k := range s.dueWakes() {
		s.serveLater(k.db, k.key)
	}
}

// rearm sets the timer of a wait by the clock as it is now, or ends the wait.
func (s *Server) rearm(wt *waiter) {
	t := wt.timer.Load()
	if t == nil { // it waits for ever, or its clock is about to be set
		return
	}
	left := wt.until.Sub(s.Keyspace.Now())
	if left <= 0 {
		s.timeOut(wt)
		return
	}
	t.Reset(left)
	if wt.state.Load() == ended { // whoever ended it has stopped the timer before
		t.Stop()
	}
}

// dueWakes are the keys whose waiters wakeAt has to serve by now; those that come later
// get new timers.
func (s *Server) dueWakes() (due []readyKey) {
	h := s.Keyspace.LockAll()
	defer s.Keyspace.Unlock(&h)
	now := s.Keyspace.Now().UnixMilli()
	for i := range s.waiters.stripes {
		for name, l := range s.waiters.stripes[i].lists {
			for db, at := range l.wake {
				r := readyKey{db, keyspace.MakeKey([]byte(name))}
				if at <= now {
					due = append(due, r)
				} else {
					time.AfterFunc(s.Keyspace.Until(at), func() { s.serveLater(r.db, r.key) })
				}
			}
		}
	}
	return due
}

// debugTimeTravel is DEBUG TIME-TRAVEL.
func debugTimeTravel(c *Ctx, args [][]byte) {
	ms, ok := ParseInt(args[0])
	if !ok || ms < 0 || ms > int64(keyspace.MostAdvance/time.Millisecond) || !c.S.Keyspace.Advance(time.Duration(ms)*time.Millisecond) {
		c.Err(ErrNotInt)
		return
	}
	c.W.OK()
	c.After(c.S.settleClock)
}
