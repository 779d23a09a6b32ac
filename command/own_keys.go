package command

import (
	"sync/atomic"
	"time"

	"kvd/keyspace"
	"kvd/lockrank"
)

// On a follower nothing expires by itself: its leader says what is gone. But the
// leader does not know the keys that clients write to a follower which takes
// writes, so the follower notes those that have deadlines, and sees to them.

// ownKeys are the keys with deadlines that clients have written to a follower.
type ownKeys struct {
	mu    lockrank.Mutex[lockrank.Own] // protects keys and works; taken with stripes locked, and held over nothing
	keys  map[ownKey]struct{}
	works bool        // expireOwn runs
	some  atomic.Bool // keys may not be empty; written under mu, and read to save taking it
}

type ownKey struct {
	db  int
	key string
}

// ownEvery is how often those keys are looked at.
const ownEvery = 100 * time.Millisecond

// noteWhose is called when a command has changed something, with its keys' stripes locked:
// on a follower it notes whether the keys are its own now, or its leader's.
func (s *Server) noteWhose(c *Ctx, leaders bool) {
	switch {
	case !s.following.Load():
	case leaders:
		s.forgetOwn(c)
	default:
		s.noteOwn(c)
	}
}

// noteOwn notes the keys of a command that has changed something on a follower.
// Their stripes are locked.
func (s *Server) noteOwn(c *Ctx) {
	o := &s.own
	for i := range c.Keys {
		e := c.Peek(&c.Keys[i])
		if !e.Exists() || e.Deadline() == 0 {
			continue
		}
		o.mu.Lock()
		if o.keys == nil {
			o.keys = map[ownKey]struct{}{}
		}
		o.keys[ownKey{c.DB(), string(c.Keys[i].B)}] = struct{}{}
		o.some.Store(true)
		if !o.works {
			o.works = true
			go s.expireOwn()
		}
		o.mu.Unlock()
	}
}

func (o *ownKeys) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.keys)
}

func (o *ownKeys) has(k ownKey) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.keys[k]
	return ok
}

// clear forgets all keys: the contents are the leader's now. All stripes are locked.
func (o *ownKeys) clear() {
	o.mu.Lock()
	clear(o.keys)
	o.some.Store(false)
	o.mu.Unlock()
}

// forgetOwn is for a command of the leader's stream that has changed something: its
// keys are not the server's own any more. Their stripes are locked.
func (s *Server) forgetOwn(c *Ctx) {
	o := &s.own
	if !o.some.Load() {
		return
	}
	if len(c.Keys) == 0 { // FLUSHALL, SWAPDB
		o.clear()
		return
	}
	o.mu.Lock()
	for i := range c.Keys {
		delete(o.keys, ownKey{c.DB(), string(c.Keys[i].B)})
	}
	o.mu.Unlock()
}

// ContentsReplaced is called when other contents, such as a leader's, have come in
// the place of those that were served. All stripes are locked.
func (s *Server) ContentsReplaced() { s.own.clear() }

// expireOwn removes noted keys when their time is over, for as long as there are
// any and the server follows.
func (s *Server) expireOwn() {
	o := &s.own
	tx := s.Keyspace.NewTx()
	for {
		time.Sleep(ownEvery)
		o.mu.Lock()
		if !s.following.Load() {
			o.keys = nil
		}
		o.some.Store(len(o.keys) > 0)
		if len(o.keys) == 0 {
			o.works = false
			o.mu.Unlock()
			return
		}
		all := make([]ownKey, 0, len(o.keys))
		for k := range o.keys {
			all = append(all, k)
		}
		o.mu.Unlock()
		if s.debug.noExpire.Load() {
			continue
		}
		tx.Now = s.Keyspace.Now().UnixMilli()
		for _, own := range all {
			k := [1]keyspace.Key{keyspace.MakeKey([]byte(own.key))}
			h := s.Keyspace.LockKeys(k[:])
			if !o.has(own) { // it has become the leader's meanwhile
				s.Keyspace.Unlock(&h)
				continue
			}
			tx.Use(own.db)
			e := tx.Peek(&k[0]) // removes it when it is due
			forget := !e.Exists() || e.Deadline() == 0
			if forget {
				o.mu.Lock()
				delete(o.keys, own)
				o.mu.Unlock()
			}
			s.Keyspace.Unlock(&h)
		}
	}
}
