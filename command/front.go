package command

import (
	"time"

	"kvd/resp/wire"
)

// What front ends of other protocols than Redis's want of the engine.

// SetFront says of a new client which protocol it speaks, and in which database it works.
// It is called before anybody else knows the client, by Protocol.Open.
func (c *Client) SetFront(name string, db int) {
	c.front = name
	c.db.Store(int32(db))
}

// Front is the protocol that the client speaks, "" for Redis's.
func (c *Client) Front() string { return c.front }

// FrontCounters is how many counters front ends have together.
const FrontCounters = 40

// Tally adds to one of the counters of front ends.
func (c *Ctx) Tally(counter int, n int64) {
	v := &c.x.front[counter]
	v.Store(v.Load() + n)
}

// Tally is Ctx.Tally for what was refused before it became a command.
func (x *Exec) Tally(counter int, n int64) { x.front[counter].Store(x.front[counter].Load() + n) }

// Tallies are the sums of the counters since the start, or the last ResetTallies.
func (s *Server) Tallies() [FrontCounters]int64 {
	s.execs.mu.Lock()
	defer s.execs.mu.Unlock()
	sum := s.execs.tallies()
	for i := range sum {
		sum[i] -= s.execs.tallyBase[i]
	}
	return sum
}

// ResetTallies has the counters begin anew.
func (s *Server) ResetTallies() {
	s.execs.mu.Lock()
	s.execs.tallyBase = s.execs.tallies()
	s.execs.mu.Unlock()
}

// tallies adds the counters up; mu is locked.
func (l *execList) tallies() (sum [FrontCounters]int64) {
	for _, x := range l.all {
		for i := range sum {
			sum[i] += x.front[i].Load()
		}
	}
	return sum
}

// Inside runs a hidden row for nobody's connection, as a front end does later for a
// client that may have gone: such a command waits for its locks. It is used by one
// goroutine at a time, and is for good.
type Inside struct {
	x *Exec
	c *Client
	w wire.Writer
}

// NewInside makes an Inside.
func (s *Server) NewInside() *Inside {
	return &Inside{x: s.NewExec(), c: &Client{Created: time.Now(), Authed: true}}
}

// Run runs a row's command in a database and returns the reply.
func (i *Inside) Run(row *Row, db int, args ...[]byte) []byte {
	i.c.db.Store(int32(db))
	i.w.Buf = i.w.Buf[:0]
	i.x.SetTime(time.Now())
	i.x.runRow(i.c, row, args, &i.w)
	return i.w.Buf
}
