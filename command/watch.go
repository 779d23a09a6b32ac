package command

import (
	"encoding/binary"
	"slices"
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
	lists map[string][]*watch // by database and key
	_     [48]byte
}

// watch is what one client watches, from its first WATCH to the end of the transaction; a
// later WATCH makes another one, so one that has ended may stand in the lists for a while.
type watch struct {
	keys  []watchedKey // the client's own goroutine changes it
	dirty atomic.Bool  // a key has changed; set with its stripe locked
	count atomic.Int32 // of the keys, for others
	mem   atomic.Int64 // bytes of the keys
}

// watchedKey is one key that a client watches.
type watchedKey struct {
	db  int
	key keyspace.Key
}

func (t *watchTable) init(ks *keyspace.Keyspace) {
	t.ks = ks
	t.perStripe.init(ks)
}

// Guard watches a key for what is no client; see Server.Guard.
type Guard struct{ w watch }

// Guard watches a key of a database, whose stripe is locked, until Release.
func (s *Server) Guard(db int, k *keyspace.Key) *Guard {
	g := new(Guard)
	s.watches.add(&g.w, db, k)
	return g
}

// Changed tells whether the key has changed since then. Its stripe is locked.
func (g *Guard) Changed() bool { return g.w.dirty.Load() }

// Release ends the watching. The key's stripe is locked.
func (g *Guard) Release(s *Server) { s.watches.forget(&g.w) }

// End is Release where no stripe is locked.
func (g *Guard) End(s *Server) { s.watches.leave(s, &g.w) }

// add watches a key, whose stripe is locked.
func (t *watchTable) add(w *watch, db int, k *keyspace.Key) {
	name := waitName(db, k)
	ws := t.at(k.Slot)
	if slices.Contains(ws.lists[name], w) {
		return
	}
	if ws.lists == nil {
		ws.lists = make(map[string][]*watch)
	}
	ws.lists[name] = append(ws.lists[name], w)
	key := *k
	key.B = append([]byte(nil), k.B...)
	w.keys = append(w.keys, watchedKey{db, key})
	w.count.Store(int32(len(w.keys)))
	w.mem.Add(int64(watchedBytes + len(k.B)))
	t.n.Add(1)
	t.ks.Observe(true) // always: who comes second must not be faster than who comes first
}

// forget ends a watch; the stripes of its keys are locked.
func (t *watchTable) forget(w *watch) {
	for i := range w.keys {
		t.remove(w, &w.keys[i])
	}
	w.keys = nil
}

// leave is forget for a caller without locks. From some lists the watch may go later.
func (t *watchTable) leave(s *Server, w *watch) {
	keys := w.keys
	w.keys = nil
	s.eachSoon(len(keys), func(i int) uint16 { return keys[i].key.Slot }, func(i int) { t.remove(w, &keys[i]) })
}

// remove takes a watch out of the list of one key, whose stripe is locked.
func (t *watchTable) remove(w *watch, k *watchedKey) {
	ws := t.at(k.key.Slot)
	name := waitName(k.db, &k.key)
	list := ws.lists[name]
	if i := slices.Index(list, w); i >= 0 {
		list = append(list[:i:i], list[i+1:]...)
	}
	if len(list) == 0 {
		delete(ws.lists, name)
	} else {
		ws.lists[name] = list
	}
	// Observing is not switched off again: a WATCH that begins right now on
	// another stripe would lose it, and it costs a map look-up a change.
	t.n.Add(-1)
}

// watchKey makes the client watch a key, whose stripe is locked.
func (c *Client) watchKey(t *watchTable, db int, k *keyspace.Key) {
	w := c.watch.Load()
	if w == nil {
		w = new(watch)
		c.watch.Store(w)
	}
	t.add(w, db, k)
}

// watched are the keys that the client watches.
func (c *Client) watched() []watchedKey {
	if w := c.watch.Load(); w != nil {
		return w.keys
	}
	return nil
}

// watchFigures are how many keys the client watches, and their bytes, for others.
func (c *Client) watchFigures() (n int32, mem int64) {
	if w := c.watch.Load(); w != nil {
		return w.count.Load(), w.mem.Load()
	}
	return 0, 0
}

// watchDirty tells whether a key that the client watches has changed.
func (c *Client) watchDirty() bool {
	w := c.watch.Load()
	return w != nil && w.dirty.Load()
}

// forgetWatch ends what the client watches; the stripes of its watched keys are locked.
func (s *Server) forgetWatch(c *Client) {
	if w := c.watch.Swap(nil); w != nil {
		s.watches.forget(w)
	}
}

// unwatch is forgetWatch for a caller without locks.
func (s *Server) unwatch(c *Client) {
	if w := c.watch.Swap(nil); w != nil {
		s.watches.leave(s, w)
	}
}

// Changed is called before a key changes; see keyspace.Observer.
func (t *watchTable) Changed(_ any, db int, k *keyspace.Key) {
	ws := t.at(k.Slot)
	if len(ws.lists) == 0 {
		return
	}
	for _, w := range ws.lists[waitName(db, k)] {
		w.dirty.Store(true)
	}
}

// each calls f for every key that is watched in a database; all stripes are locked.
func (t *watchTable) each(db int, f func(k *keyspace.Key, watchers []*watch)) {
	for i := range t.stripes {
		for name, list := range t.stripes[i].lists {
			if binary.LittleEndian.Uint32([]byte(name)) == uint32(db) {
				k := keyspace.MakeKey([]byte(name[4:]))
				f(&k, list)
			}
		}
	}
}

// Emptied is called before a database is emptied or exchanged.
func (t *watchTable) Emptied(_ any, db int, there func(k *keyspace.Key) bool) {
	t.each(db, func(k *keyspace.Key, watchers []*watch) {
		if !there(k) {
			return
		}
		for _, w := range watchers {
			w.dirty.Store(true)
		}
	})
}

// watchedBytes is about what watching a key takes besides its name.
const watchedBytes = 96

// waitName is the name under which a key is in the lists: four bytes of the database's number,
// and the key.
func waitName(db int, k *keyspace.Key) string {
	return string(append(binary.LittleEndian.AppendUint32(nil, uint32(db)), k.B...))
}

// ExpireWatched removes, in these databases, the watched keys of all of them whose time is
// over. It is for an exchange of databases: found later, where it came by the exchange,
// such a key would be a change.
func (c *Ctx) ExpireWatched(dbs ...int) {
	for _, db := range dbs {
		c.S.watches.each(db, func(k *keyspace.Key, _ []*watch) {
			for _, db := range dbs {
				c.Use(db)
				c.LookupNoTouch(k)
			}
		})
	}
	c.Use(c.C.DB())
}
