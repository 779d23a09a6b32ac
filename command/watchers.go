package command

import (
	"slices"
	"strconv"
	"sync/atomic"

	"kvd/keyspace"
	"kvd/lockrank"
)

// Watchers are clients who get a line about what happens to keys (memcached's watch). The
// family of their protocol makes the lines. Nothing is made while nobody watches.

// Topic is a kind of what can be watched.
type Topic uint32

// The topics.
const (
	WatchFetches   Topic = 1 << iota // a key was read
	WatchMutations                   // a value was stored, or refused
	WatchEvictions                   // a key went because memory is short
)

const (
	// watchersMost is how many clients watch at a time, as in memcached.
	watchersMost = 20
	// watchBacklog is how much output may wait at a watcher's loop, in bytes; what comes beyond
	// that is skipped, and it is told how many lines were. What its loop has not seen yet, in
	// one turn of it, is not counted.
	watchBacklog = 256 << 10
)

// watcher is one of them.
type watcher struct {
	c       *Client
	topics  Topic
	skipped atomic.Int64 // lines, since the last that it has got
}

// watchers are a server's. The list is replaced, never changed.
type watchers struct {
	mu                  lockrank.Mutex[lockrank.Watchers] // protects changes of what follows
	all                 atomic.Pointer[[]*watcher]        // nil: nobody
	topics              atomic.Uint32                     // of all together
	lines               atomic.Uint64                     // made
	sentAll, skippedAll atomic.Int64
	evicting            atomic.Pointer[func(db int, id uint64, key []byte, e *keyspace.Entry) []byte]
}

// setWatchers replaces the list by what f makes of it. It returns false if that is too long.
func (s *Server) setWatchers(f func(all []*watcher) []*watcher) bool {
	w := &s.watchers
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*watcher
	if old := w.all.Load(); old != nil {
		all = slices.Clone(*old)
	}
	if all = f(all); len(all) > watchersMost {
		return false
	}
	topics := Topic(0)
	for _, m := range all {
		topics |= m.topics
	}
	if w.all.Store(&all); len(all) == 0 {
		w.all.Store(nil)
	}
	w.topics.Store(uint32(topics))
	s.Keyspace.TellEvicting.Store(topics&WatchEvictions != 0)
	return true
}

// Watch has the client get lines of these topics, instead of those that it has got so far.
// It returns false if too many watch. evicted makes the line about a key that is about to go.
func (c *Ctx) Watch(topics Topic, evicted func(db int, id uint64, key []byte, e *keyspace.Entry) []byte) bool {
	s := c.S
	s.watchers.evicting.Store(&evicted)
	me := &watcher{c: c.C, topics: topics}
	ok := s.setWatchers(func(all []*watcher) []*watcher {
		return append(slices.DeleteFunc(all, func(m *watcher) bool { return m.c == c.C }), me)
	})
	if ok {
		c.C.set(stateWatcher, true)
	}
	return ok
}

// unwatchAll ends a client's watching.
func (s *Server) unwatchAll(c *Client) {
	if c.has(stateWatcher) {
		s.setWatchers(func(all []*watcher) []*watcher {
			return slices.DeleteFunc(all, func(m *watcher) bool { return m.c == c })
		})
		c.set(stateWatcher, false)
	}
}

// Watched tells whether anybody watches a topic.
func (s *Server) Watched(t Topic) bool { return Topic(s.watchers.topics.Load())&t != 0 }

// Watchers is how many clients watch, and how many lines they were sent, and were not.
func (s *Server) Watchers() (n int, sent, skipped int64) {
	if all := s.watchers.all.Load(); all != nil {
		n = len(*all)
	}
	return n, s.watchers.sentAll.Load(), s.watchers.skippedAll.Load()
}

// TellWatchers sends those who watch a topic, and may know of the key, the line that make
// makes; it gets the line's number.
func (s *Server) TellWatchers(t Topic, db int, key []byte, make func(id uint64) []byte) {
	all := s.watchers.all.Load()
	if all == nil {
		return
	}
	var line []byte
	for _, m := range *all {
		if m.topics&t == 0 || !m.c.maySeeIn(db, key) {
			continue
		}
		if m.c.OutLen.Load() > watchBacklog {
			m.skipped.Add(1)
			s.watchers.skippedAll.Add(1)
			continue
		}
		if line == nil {
			line = make(s.watchers.lines.Add(1))
		}
		if n := m.skipped.Swap(0); n > 0 {
			m.c.Conn.Push(append(strconv.AppendInt([]byte("skipped="), n, 10), '\n'))
		}
		m.c.Conn.Push(line)
		s.watchers.sentAll.Add(1)
	}
}

// keyEvicting is called before a key is removed because memory is short, while somebody
// watches that.
func (s *Server) keyEvicting(db int, key []byte, e *keyspace.Entry) {
	f := s.watchers.evicting.Load()
	if f == nil {
		return
	}
	s.TellWatchers(WatchEvictions, db, key, func(id uint64) []byte { return (*f)(db, id, key, e) })
}
