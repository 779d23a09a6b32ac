package command

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"kvd/config"
	"kvd/lockrank"
)

// Limits of what clients may hold: unsent output by class
// (client-output-buffer-limit), and the memory of all together
// (maxmemory-clients). The transport says what waits for a client, and closes it
// when it is told to.

// freeOutput is the unsent output of a client that no limit counts and that
// CLIENT LIST shows as obl: Redis has a buffer of this size for each client and
// counts what does not fit.
const freeOutput = 16 << 10

// outputBlock is in what units output beyond that counts: Redis counts blocks,
// whether they are full or not, as its allocator rounds them.
const outputBlock = 20 << 10

// countedOutput is the blocks that n waiting bytes make, and their size.
func countedOutput(n int64) (blocks, size int64) {
	blocks = (max(n-freeOutput, 0) + outputBlock - 1) / outputBlock
	return blocks, blocks * outputBlock
}

// outputClass is the class of client-output-buffer-limit.
func (c *Client) outputClass() int {
	switch c.kind() {
	case "replica":
		return config.ClassReplica
	case "pubsub":
		return config.ClassPubsub
	}
	return config.ClassNormal
}

// OverOutputLimit tells whether a client whose output of waiting bytes is not
// sent yet must be closed for it, and logs that. The transport calls it
// whenever output is appended that is not small, and every second while there
// is some; only one goroutine at a time may call it for a client.
func (s *Server) OverOutputLimit(c *Client, waiting int64) bool {
	_, counted := countedOutput(waiting)
	l := s.Config.ClientOutputBufferLimit.Load()[c.outputClass()]
	over := l.Hard > 0 && counted >= int64(l.Hard)
	if l.Soft > 0 && counted >= int64(l.Soft) {
		switch now := time.Now(); {
		case c.overSoft.IsZero():
			c.overSoft = now
		case now.Sub(c.overSoft) > time.Duration(l.SoftSeconds)*time.Second:
			over = true
		}
	} else {
		c.overSoft = time.Time{}
	}
	if over && !c.has(stateClosing) {
		c.OutLen.Store(waiting)
		c.set(stateClosing, true)
		s.Log.Warningf("Client %s scheduled to be closed ASAP for overcoming of output buffer limits.", c.Info())
		s.clients.remove(c)
	}
	return over
}

// Before a client has authenticated it may make the server hold little: it is
// not known who it is, and any number of them may come.
const (
	unauthOutput = 1 << 10 // bytes that its socket does not take
	// UnauthInput is the most input of such a client that waits, in bytes.
	UnauthInput = 1 << 20
)

// Unknown tells whether the client must authenticate first and has not.
func (s *Server) Unknown(c *Client) bool { return !c.Authed && !s.rights.open.Load() }

// OverUnauthOutput tells whether a client must be closed because it has not
// authenticated and does not take its replies, of which so many bytes wait, and
// logs that.
func (s *Server) OverUnauthOutput(c *Client, waiting int) bool {
	if waiting <= unauthOutput || !s.Unknown(c) {
		return false
	}
	c.set(stateClosing, true)
	s.Log.Warningf("Client %s scheduled to be closed ASAP for overcoming of output buffer limits.", c.Info())
	s.clients.remove(c)
	return true
}

// OutputBounded tells whether any limit holds for the client's output.
func (s *Server) OutputBounded(c *Client) bool {
	l := s.Config.ClientOutputBufferLimit.Load()[c.outputClass()]
	return l.Hard > 0 || l.Soft > 0
}

// RefuseLong answers a request for elems elements, more than are ever made up:
// with an error, or, where a reply of that length would close the client, so.
func (c *Ctx) RefuseLong(elems int64) {
	const least = 4 // bytes of an element
	if c.S.OverOutputLimit(c.C, least*min(elems, math.MaxInt64/2/least)) {
		c.W.Buf = c.W.Buf[:0]
		c.Close()
		return
	}
	c.Err("ERR value is out of range")
}

// clientMemory is the memory of all clients but replicas, kept while
// maxmemory-clients is set.
type clientMemory struct {
	limit   atomic.Int64                             // bytes; 0 means none
	total   atomic.Int64                             // sum of Client.counted
	evicted atomic.Int64                             // clients closed
	mu      lockrank.Mutex[lockrank.CommandEviction] // one eviction at a time
}

// minClientsLimit keeps a server within reach whose limit is set too low.
const minClientsLimit = 128 << 10

// setClientsLimit computes the limit from the directives.
func (s *Server) setClientsLimit() error {
	limit := s.Config.MaxMemoryClients.Load()
	if limit < 0 {
		limit = int64(float64(uint64(s.Config.MaxMemory.Load())) * float64(-limit) / 100)
	}
	if limit > 0 {
		limit = max(limit, minClientsLimit)
	}
	s.clientMem.limit.Store(limit)
	if limit > 0 {
		for _, c := range s.clients.list() {
			s.NoteMemory(c)
		}
	}
	return nil
}

// NoteMemory is called by the transport when a client's buffers have changed.
// Where all clients together take too much, the largest are closed.
func (s *Server) NoteMemory(c *Client) {
	limit := s.clientMem.limit.Load()
	if limit == 0 || c.has(stateReplica|stateClosing) {
		return
	}
	mem := c.memory()
	if s.clientMem.total.Add(mem-c.counted.Swap(mem)) > limit {
		s.evictClients(limit)
	}
}

// forgetMemory takes a client out of the sum.
func (s *Server) forgetMemory(c *Client) { s.clientMem.total.Add(-c.counted.Swap(0)) }

// evictClients closes clients, the largest first, until the others are within
// the limit. It looks at every client, which takes long; a user that makes it run often
// loses its connections by it.
func (s *Server) evictClients(limit int64) {
	m := &s.clientMem
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.total.Load() <= limit {
		return
	}
	all := slices.DeleteFunc(s.clients.list(), func(c *Client) bool { return c.Conn == nil || c.has(stateNoEvict|stateReplica|stateClosing) })
	slices.SortFunc(all, func(a, b *Client) int { return cmp.Compare(b.counted.Load(), a.counted.Load()) })
	for _, c := range all {
		if m.total.Load() <= limit {
			return
		}
		s.Log.Noticef("Evicting client: %s", c.Info())
		c.set(stateClosing, true)
		s.forgetMemory(c)
		m.evicted.Add(1)
		s.clients.remove(c)
		c.Conn.Kill(false)
	}
}
