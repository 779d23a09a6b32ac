package command

import (
	"sync/atomic"

	"kvd/keyspace"
)

// watchTable knows who watches which key (WATCH). A stripe's lists are
// protected by the stripe's lock; it is a keyspace.Observer, told before every
// change, under that lock, while anybody watches anything.
type watchTable struct {
	ks *keyspace.Keyspace
	perStripe[watchStripe]
	n atomic.Int64 // watched keys of all clients
}

type watchStripe struct {
	lists map[string][]*Client // by database and key
	_     [48]byte
}

func (t *watchTable) init(ks *keyspace.Keyspace) {
	t.ks = ks
	t.perStripe.init(ks)
}

// Guard watches a key for what is no client; see Server.Guard.
type Guard struct{ c Client }

// Guard watches a key of a database, whose stripe is locked, until Release.
func (s *Server) Guard(db int, k *keyspace.Key) *Guard {
	g := new(Guard)
	s.watches.add(&g.c, db, k)
	return g
}

// Changed tells whether the key has changed since then. Its stripe is locked.
func (g *Guard) Changed() bool { return g.c.has(stateDirtyWatch) }

// Release ends the watching. The key's stripe is locked.
func (g *Guard) Release(s *Server) { s.watches.forget(&g.c) }

// End is Release where no stripe is locked.
func (g *Guard) End(s *Server) { s.unwatch(&g.c) }

// add watches a key, whose stripe is locked.
func (t *watchTable) add(c *Client, db int, k *keyspace.Key) {
	name := waitName(db, k)
	ws := t.at(k.Slot)
	for _, o := range ws.lists[name] {
		if o == c {
			return
		}
	}
	if ws.lists == nil {
		ws.lists = make(map[string][]*Client)
	}
	ws.lists[name] = append(ws.lists[name], c)
	key := *k
	key.B = append([]byte(nil), k.B...)
	c.watched = append(c.watched, watchedKey{db, key})
	c.watching.Store(int32(len(c.watched)))
	c.watchedMem.Add(int64(watchedBytes + len(k.B)))
	if t.n.Add(1) == 1 {
		t.ks.Observe(true)
	}
}

// forget ends a client's watching; the stripes of its watched keys are locked.
func (t *watchTable) forget(c *Client) {
	for i := range c.watched {
		w := &c.watched[i]
		ws := t.at(w.key.Slot)
		name := waitName(w.db, &w.key)
		list := ws.lists[name]
		for j, o := range list {
			if o == c {
				list = append(list[:j:j], list[j+1:]...)
				break
			}
		}
		if len(list) == 0 {
			delete(ws.lists, name)
		} else {
			ws.lists[name] = list
		}
	}
	// Observing is not switched off again: a WATCH that begins right now on
	// another stripe would lose it, and it costs a map look-up a change.
	t.n.Add(-int64(len(c.watched)))
	c.watched = nil
	c.watching.Store(0)
	c.watchedMem.Store(0)
	c.set(stateDirtyWatch, false)
}

// unwatch is forget for a caller without locks.
func (s *Server) unwatch(c *Client) {
	if len(c.watched) == 0 {
		c.set(stateDirtyWatch, false)
		return
	}
	keys := make([]keyspace.Key, len(c.watched))
	for i := range c.watched {
		keys[i] = c.watched[i].key
	}
	h := s.Keyspace.LockKeysAnyway(keys)
	s.watches.forget(c)
	s.Keyspace.Unlock(&h)
}

// Changed is called before a key changes; see keyspace.Observer.
func (t *watchTable) Changed(_ any, db int, k *keyspace.Key) {
	ws := t.at(k.Slot)
	if len(ws.lists) == 0 {
		return
	}
	for _, c := range ws.lists[waitName(db, k)] {
		c.set(stateDirtyWatch, true)
	}
}

// each calls f for every key that is watched in a database; all stripes are locked.
func (t *watchTable) each(db int, f func(k *keyspace.Key, watchers []*Client)) {
	for i := range t.stripes {
		for name, list := range t.stripes[i].lists {
			if int(name[0])|int(name[1])<<8 == db {
				k := keyspace.MakeKey([]byte(name[2:]))
				f(&k, list)
			}
		}
	}
}

// Emptied is called before a database is emptied or exchanged.
func (t *watchTable) Emptied(_ any, db int, there func(k *keyspace.Key) bool) {
	t.each(db, func(k *keyspace.Key, watchers []*Client) {
		if !there(k) {
			return
		}
		for _, c := range watchers {
			c.set(stateDirtyWatch, true)
		}
	})
}

// watchedBytes is about what watching a key takes besides its name.
const watchedBytes = 96

func waitName(db int, k *keyspace.Key) string {
	return string(append([]byte{byte(db), byte(db >> 8)}, k.B...))
}

// ExpireWatched removes, in these databases, the watched keys of all of them whose time is
// over. It is for an exchange of databases: found later, where it came by the exchange,
// such a key would be a change.
func (c *Ctx) ExpireWatched(dbs ...int) {
	for _, db := range dbs {
		c.S.watches.each(db, func(k *keyspace.Key, _ []*Client) {
			for _, db := range dbs {
				c.Use(db)
				c.LookupNoTouch(k)
			}
		})
	}
	c.Use(c.C.DB())
}
