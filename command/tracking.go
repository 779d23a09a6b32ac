package command

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"sync/atomic"

	"kvd/acl"
	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/pubsub"
	"kvd/resp/wire"
	"kvd/types/slab"
)

// Client-side caching: a client that tracks is told when a key changes that it
// has read, so that it may keep what it read until then. The commands are in
// tracking_cmds.go.
//
// What a client must be able to rely on is an order: an invalidation comes
// after every reply that may hold the old value, and a read that is sent after
// it gets the new one. Both come from the stripe locks:
//
//   - A key is remembered with its stripe locked, by the command that reads it
//     (or takes the view that it reads later). The keyspace tells of a change
//     with the stripe locked, too, so the change either finds
//     the key remembered, or its value is what the command reads.
//   - Pushes reach a connection between two commands and after the replies of
//     all that have run, those of workers included (Conn.Push). The reader had
//     run when the stripe became free for the writer.
//   - Whoever reads after the invalidation waits for the writer's stripes, which
//     are locked until all its changes are made, EXEC's from first to last.
//
// A message is handed over when the change is told, with the stripe locked: whoever
// sees the new value, or writes the key again and has a reply, does so when the
// message is on its way already. So a client that hears of the new value elsewhere,
// and then sends any command, has the invalidation before the reply. And everything
// else that the change causes (keyspace events, messages of the same EXEC, replies to
// blocked clients) is handed over later, to the same queue of a connection's loop, so
// whoever reacts to it has been told to forget the old value. Only to the client
// whose command makes the change does the message come behind its reply, be it
// that it was blocked and is served now.
//
// For clients in broadcasting mode a loop notes the keys that have changed until its
// turn comes, and then sends one message for each prefix; see cast.

// tracking is who has read what.
type tracking struct {
	s *Server
	perStripe[trackStripe]

	used        atomic.Bool  // somebody has tracked
	keys, items atomic.Int64 // remembered keys, and the clients of all of them
	bytes       atomic.Int64 // that the records take
	broadcasts  atomic.Int32 // prefixes

	// mu protects what follows, and with it read-locked no client begins or ends
	// tracking. It is taken under stripe locks, and held for map operations and
	// for handing messages to connections.
	mu       lockrank.RWMutex[lockrank.Tracking]
	numbers  map[uint32]*Client // clients that have tracked, by their numbers
	last     uint32             // number given
	prefixes map[string]map[*Client]struct{}
	casts    []*cast
}

// cast is the clients in broadcasting mode whose messages go to one event loop, or to
// none. Under tracking.mu.
type cast struct {
	to       Outlet
	prefixes map[string]map[*Client]struct{}

	mu      lockrank.Mutex[lockrank.Cast] // protects what follows; under tracking.mu, over loops' queues
	changed []changedKey
	queued  bool // the outlet will come for changed
}

// changedKey is a key that was changed by a command of a client, nil: of several, or of none.
type changedKey struct {
	key []byte
	by  *Client
}

// trackStripe is the remembered keys of a stripe, protected by its lock. A
// million keys must not burden the collector, so there are no pointers: the map
// holds places of records by the hashes of the keys.
type trackStripe struct {
	places map[uint64]slab.Loc
	mem    *slab.Arena
	_      [48]byte
}

// A record is [1 | length of the key | number of clients | key | clients],
// four bytes for each number; the clients' numbers are in ascending order.
const (
	recordHead = 12
	recordID   = 4
)

// record is a record in memory.
type record []byte

func (r record) keyLen() int      { return int(binary.LittleEndian.Uint32(r[4:])) }
func (r record) clients() int     { return int(binary.LittleEndian.Uint32(r[8:])) }
func (r record) setClients(n int) { binary.LittleEndian.PutUint32(r[8:], uint32(n)) }
func (r record) key() []byte      { return r[recordHead : recordHead+r.keyLen()] }
func (r record) ids() []byte      { return r[recordHead+r.keyLen():] }
func (r record) id(i int) uint32  { return binary.LittleEndian.Uint32(r.ids()[i*recordID:]) }

// find finds a client: its place, or where it would stand.
func (r record) find(id uint32) (i int, found bool) {
	lo, hi := 0, r.clients()
	for lo < hi {
		if mid := (lo + hi) / 2; r.id(mid) < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < r.clients() && r.id(lo) == id
}

// insert puts a client at place i; the memory must reach.
func (r record) insert(i int, id uint32) {
	ids := r.ids()
	n := r.clients()
	copy(ids[(i+1)*recordID:(n+1)*recordID], ids[i*recordID:n*recordID])
	binary.LittleEndian.PutUint32(ids[i*recordID:], id)
	r.setClients(n + 1)
}

func (st *trackStripe) record(l slab.Loc) record {
	h := record(st.mem.Head(l)[:])
	return st.mem.Slice(l, recordHead+h.keyLen()+h.clients()*recordID)
}

func (t *tracking) init(s *Server) {
	t.s = s
	t.perStripe.init(s.Keyspace)
	t.numbers = make(map[uint32]*Client)
	t.prefixes = make(map[string]map[*Client]struct{})
}

// remember notes the keys that a tracking client's command has read; their
// stripes are locked.
func (t *tracking) remember(ctx *Ctx) {
	tr := &ctx.C.track
	if ctx.Row.Flags&ReadOnly == 0 || ctx.Row.Flags&PubSub != 0 || tr.optIn && !tr.caching || tr.optOut && tr.caching {
		return
	}
	for i := range ctx.Keys {
		t.note(ctx.x, tr.number, &ctx.Keys[i])
	}
}

// note remembers that a client has read a key. x is who runs it.
func (t *tracking) note(x *Exec, id uint32, k *keyspace.Key) {
	st := t.at(k.Slot)
	if st.places == nil {
		st.places, st.mem = make(map[uint64]slab.Loc), slab.New()
	}
	l, known := st.places[k.Hash]
	if known && string(st.record(l).key()) != string(k.B) {
		t.forget(x, st, k.Hash, l, true) // two keys of one hash: the older makes room
		if known = false; st.places == nil {
			st.places, st.mem = make(map[uint64]slab.Loc), slab.New()
		}
	}
	if !known {
		n := recordHead + len(k.B) + recordID
		l = st.mem.Alloc(n)
		r := record(st.mem.Slice(l, n))
		r[0] = 1
		binary.LittleEndian.PutUint32(r[4:], uint32(len(k.B)))
		r.setClients(0)
		copy(r.key(), k.B)
		r.insert(0, id)
		st.places[k.Hash] = l
		t.bytes.Add(int64(slab.RoundUp(n)))
		t.items.Add(1)
		if limit := t.s.Config.TrackingTableMaxKeys.Load(); t.keys.Add(1) > limit && limit > 0 {
			t.evict(x, st, k.Hash)
		}
		return
	}
	r := st.record(l)
	i, there := r.find(id)
	if there {
		return
	}
	t.items.Add(1)
	n := len(r)
	if was, size := slab.RoundUp(n), slab.RoundUp(n+recordID); was != size {
		nl := st.mem.Alloc(size) // all of it, so that not every client moves it
		copy(st.mem.Slice(nl, n), r)
		st.mem.Free(l)
		st.places[k.Hash] = nl
		t.bytes.Add(int64(size - was))
		l = nl
	}
	record(st.mem.Slice(l, n+recordID)).insert(i, id)
}

// evict forgets two keys of a stripe, if there are others than the one to be
// kept, so that the table shrinks to its limit as it is used.
func (t *tracking) evict(x *Exec, st *trackStripe, keep uint64) {
	var gone []uint64
	for h := range st.places { // begins anywhere
		if h != keep {
			gone = append(gone, h)
		}
		if len(gone) == 2 {
			break
		}
	}
	if gone == nil {
		gone = append(gone, keep)
	}
	for _, h := range gone {
		if t.keys.Load() > t.s.Config.TrackingTableMaxKeys.Load() {
			t.forget(x, st, h, st.places[h], true)
		}
	}
}

// over tells whether more keys are remembered than the directive allows.
func (t *tracking) over() bool {
	limit := t.s.Config.TrackingTableMaxKeys.Load()
	return limit > 0 && t.keys.Load() > limit
}

// shrinkAtOnce is the number of keys that are forgotten without letting go of
// their stripe.
const shrinkAtOnce = 64

// shrink forgets keys anywhere until their number is what the directive allows. Those of
// stripes that are kept for long are left to evict.
func (t *tracking) shrink() {
	for some := true; some && t.over(); {
		some = false
		for i := range t.stripes {
			st := &t.stripes[i]
			h, ok := t.s.Keyspace.LockAnywaySoon(uint16(i * keyspace.Slots / len(t.stripes)))
			if !ok {
				continue
			}
			n := 0
			for hash, l := range st.places {
				if n++; n > shrinkAtOnce || !t.over() {
					break
				}
				t.forget(nil, st, hash, l, true)
				some = true
			}
			t.s.Keyspace.Unlock(&h)
		}
	}
}

// forget removes a record and tells its clients. evicted: the key itself does not
// change, so who runs the command is told, too.
func (t *tracking) forget(x *Exec, st *trackStripe, hash uint64, l slab.Loc, evicted bool) {
	r := st.record(l)
	n := r.clients()
	var m *invalidation
	t.mu.RLock()
	defer t.mu.RUnlock()
	for i := range n {
		c := t.numbers[r.id(i)]
		if c == nil || !c.has(stateTracking) || c.has(stateBroadcast) || !evicted && x != nil && c == x.Running.C && c.has(stateNoLoop) {
			continue
		}
		if m == nil {
			m = &invalidation{keys: [][]byte{slices.Clone(r.key())}}
		}
		t.post(x, c, m)
	}
	delete(st.places, hash)
	st.mem.Free(l)
	t.bytes.Add(-int64(slab.RoundUp(len(r))))
	t.keys.Add(-1)
	t.items.Add(-int64(n))
	if len(st.places) == 0 {
		st.drop()
	}
}

func (st *trackStripe) drop() {
	if st.mem != nil {
		st.mem.Drop()
	}
	st.places, st.mem = nil, nil
}

// Changed is called before a key changes; see keyspace.Observer.
func (t *tracking) Changed(by any, _ int, k *keyspace.Key) {
	if !t.used.Load() {
		return
	}
	x := execOf(by)
	if t.broadcasts.Load() > 0 {
		t.broadcast(x, k.B)
	}
	st := t.at(k.Slot)
	if l, ok := st.places[k.Hash]; ok && string(st.record(l).key()) == string(k.B) {
		t.forget(x, st, k.Hash, l, false)
	}
}

// Emptied is called before a database is emptied or exchanged; all stripes are
// locked. As in Redis, the names of keys stand for those of all databases.
func (t *tracking) Emptied(by any, _ int, _ func(k *keyspace.Key) bool) {
	if !t.used.Load() {
		return
	}
	x := execOf(by)
	if x == nil && t.keys.Load() == 0 && t.broadcasts.Load() == 0 {
		return // nobody has read anything since he was told
	}
	if x != nil {
		if x.toldAll && t.keys.Load() == 0 {
			return // FLUSHALL empties one after the other
		}
		x.toldAll = true
	}
	for i := range t.stripes {
		t.stripes[i].drop()
	}
	t.keys.Store(0)
	t.items.Store(0)
	t.bytes.Store(0)
	t.mu.RLock()
	defer t.mu.RUnlock()
	m := &invalidation{}
	for _, c := range t.numbers {
		t.post(x, c, m)
	}
}

// broadcast notes a changed key for the clients that asked for its prefix.
func (t *tracking) broadcast(x *Exec, key []byte) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var k changedKey
	for _, o := range t.casts {
		if !o.wants(key) {
			continue
		}
		if k.key == nil {
			k.key = slices.Clone(key)
			if x != nil {
				k.by = x.Running.C
			}
		}
		o.mu.Lock()
		o.changed = append(o.changed, k)
		first := !o.queued
		o.queued = true
		o.mu.Unlock()
		switch {
		case !first:
		case o.to != nil:
			o.to.Later(func(send func(c pubsub.Conn, b []byte)) { t.sendCast(o, send) })
		default:
			t.postChanged(x, o)
		}
	}
}

func (o *cast) wants(key []byte) bool {
	for p := range o.prefixes {
		if hasPrefix(key, p) {
			return true
		}
	}
	return false
}

func hasPrefix(key []byte, p string) bool { return len(key) >= len(p) && string(key[:len(p)]) == p }

// sendCast is called by an outlet when its turn comes.
func (t *tracking) sendCast(o *cast, send func(c pubsub.Conn, b []byte)) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	t.postChanged(pushFunc(send), o)
}

// pushFunc is a pusher that an outlet gives.
type pushFunc func(c pubsub.Conn, b []byte)

func (f pushFunc) push(c *Client, b []byte) {
	if c.Conn != nil {
		f(c.Conn, b)
	}
}

// postChanged tells clients in broadcasting mode of the changed keys: a message for
// each prefix, in order. t.mu is read-locked.
func (t *tracking) postChanged(p pusher, o *cast) {
	o.mu.Lock()
	changed := o.changed
	o.changed, o.queued = nil, false
	o.mu.Unlock()
	slices.SortFunc(changed, func(a, b changedKey) int { return bytes.Compare(a.key, b.key) })
	n := 0
	for _, k := range changed {
		if n > 0 && bytes.Equal(changed[n-1].key, k.key) {
			if changed[n-1].by != k.by {
				changed[n-1].by = nil
			}
			continue
		}
		changed[n] = k
		n++
	}
	changed = changed[:n]
	for _, prefix := range slices.Sorted(maps.Keys(o.prefixes)) {
		m := &invalidation{}
		for _, k := range changed {
			if hasPrefix(k.key, prefix) {
				m.keys = append(m.keys, k.key)
			}
		}
		if m.keys == nil {
			continue
		}
		seen := map[*acl.User]*invalidation{} // m for those who may not see all keys
		for c := range o.prefixes[prefix] {
			to := m
			if u := c.limits.Load(); u != nil {
				if to = seen[u]; to == nil {
					to = m.seenBy(u)
					seen[u] = to
				}
			}
			if c.has(stateNoLoop) {
				to = withoutOwn(to, changed, prefix, c)
			}
			if to.keys != nil {
				t.post(p, c, to)
			}
		}
	}
}

// withoutOwn is m but for the keys that only the client itself has changed.
func withoutOwn(m *invalidation, changed []changedKey, prefix string, c *Client) *invalidation {
	own := func(k changedKey) bool { return k.by == c }
	if !slices.ContainsFunc(changed, own) {
		return m
	}
	u := c.limits.Load()
	m = &invalidation{}
	for _, k := range changed {
		if !own(k) && hasPrefix(k.key, prefix) && maySee(u, k.key) {
			m.keys = append(m.keys, k.key)
		}
	}
	return m
}

// seenBy is m but for the keys that the user may not read: their names are not for
// him.
func (m *invalidation) seenBy(u *acl.User) *invalidation {
	own := &invalidation{}
	for _, k := range m.keys {
		if maySee(u, k) {
			own.keys = append(own.keys, k)
		}
	}
	return own
}

// rightsChanged is called when a client has other rights than before. In broadcasting
// mode there may be changes that it is still to be told of, and may not be told of any
// more; it is told that all has changed.
func (t *tracking) rightsChanged(c *Client) {
	if !c.has(stateBroadcast) {
		return
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	t.post((*Exec)(nil), c, &invalidation{})
}

// invalidation is a message: keys, or none for all keys.
type invalidation struct {
	keys          [][]byte
	push, message []byte // as RESP3 has it, and as a message of a channel
}

// trackingChannel is where clients of RESP2 get invalidations.
const trackingChannel = "__redis__:invalidate"

func (m *invalidation) body(w *wire.Writer) {
	if m.keys == nil {
		w.Null()
		return
	}
	w.Array(len(m.keys))
	for _, k := range m.keys {
		w.Bulk(k)
	}
}

// pusher hands a push to a connection.
type pusher interface{ push(c *Client, b []byte) }

// post hands a message for a tracking client to the connection that gets it.
// t.mu is read-locked.
func (t *tracking) post(p pusher, c *Client, m *invalidation) {
	if !c.has(stateTracking) {
		return
	}
	to, id := c, c.redirect.Load()
	if id != 0 {
		if to = t.s.clients.get(id); to == nil {
			c.set(stateBrokenRedirect, true)
			if c.Proto() > 2 {
				w := wire.Writer{Proto: 3}
				w.Push(2)
				w.BulkString("tracking-redir-broken")
				w.Int(id)
				p.push(c, w.Buf)
			}
			return
		}
	}
	switch {
	case to.Proto() > 2:
		if m.push == nil {
			w := wire.Writer{Proto: 3}
			w.Push(2)
			w.BulkString("invalidate")
			m.body(&w)
			m.push = w.Buf
		}
		p.push(to, m.push)
	case id != 0 && to.has(statePubSub):
		if m.message == nil {
			w := wire.Writer{Proto: 2}
			w.Array(3)
			w.BulkString("message")
			w.BulkString(trackingChannel)
			m.body(&w)
			m.message = w.Buf
		}
		p.push(to, m.message)
	}
}

// push sends a message to a client: to the one whose command runs behind its
// reply, if that is still to be written. x may be nil.
func (x *Exec) push(c *Client, b []byte) {
	switch {
	case x != nil && c == x.client && x.Running.outcome != Parked:
		x.own = append(x.own, b...)
	case x != nil && x.trying != nil && c == x.trying.c:
		x.gift = append(x.gift, b...)
	case c.Conn != nil:
		c.Conn.Push(b)
	}
}

// trackState is a client's tracking as its own commands see it.
type trackState struct {
	reads   bool   // it tracks the keys that it reads
	number  uint32 // in tracking.numbers; 0 means none
	optIn   bool
	optOut  bool
	caching bool // CLIENT CACHING was called for the next command
}

// untrack ends a client's tracking. Its number stays: what it has read is
// remembered, as in Redis, for when it tracks again.
func (t *tracking) untrack(c *Client) {
	if !c.has(stateTracking) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	forget(t.prefixes, c)
	t.casts = slices.DeleteFunc(t.casts, func(o *cast) bool {
		forget(o.prefixes, c)
		return len(o.prefixes) == 0
	})
	t.broadcasts.Store(int32(len(t.prefixes)))
	c.prefixMem.Store(0)
	c.set(stateTracking|stateBrokenRedirect|stateBroadcast|stateNoLoop, false)
	c.track = trackState{number: c.track.number}
}

// drop forgets a client whose connection has ended; its number is not given
// again for some four billion clients.
func (t *tracking) drop(c *Client) {
	if c.track.number != 0 {
		t.untrack(c)
		t.mu.Lock()
		delete(t.numbers, c.track.number)
		t.mu.Unlock()
	}
}

// track begins a client's tracking, or changes it.
func (t *tracking) track(c *Client, redirect int64, bits uint32, optIn, optOut bool, prefixes []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c.track.number == 0 || t.numbers[c.track.number] != c {
		t.last++
		if t.numbers[t.last] == nil && t.last != 0 {
			c.track.number = t.last
			t.numbers[t.last] = c
		}
	}
	c.track.reads, c.track.optIn, c.track.optOut = bits&stateBroadcast == 0, optIn, optOut
	c.redirect.Store(redirect)
	c.set(stateBrokenRedirect|stateBroadcast|stateNoLoop, false)
	c.set(stateTracking|bits, true)
	for _, p := range prefixes {
		if enter(t.prefixes, p, c) {
			c.prefixMem.Add(int64(pubsub.Bytes + len(p)))
		}
	}
	if bits&stateBroadcast != 0 {
		t.enterCast(c)
	}
	t.broadcasts.Store(int32(len(t.prefixes)))
	// Whatever this client reads from now on, it reads with a stripe locked that
	// a later writer locks, who therefore sees this.
	t.used.Store(true)
	t.s.Keyspace.Observe(true)
}

// enterCast enters all prefixes of a client where its messages go. t.mu is locked.
func (t *tracking) enterCast(c *Client) {
	getter := c
	if to := t.s.clients.get(c.redirect.Load()); to != nil {
		getter = to
	}
	to := pubsub.OutletOf(getter.Conn)
	var at *cast
	for _, o := range t.casts {
		if o.to == to {
			at = o
		} else {
			forget(o.prefixes, c) // it may have been sent elsewhere
		}
	}
	if at == nil {
		at = &cast{to: to, prefixes: make(map[string]map[*Client]struct{})}
		t.casts = append(t.casts, at)
	}
	for p, clients := range t.prefixes {
		if _, has := clients[c]; has {
			enter(at.prefixes, p, c)
		}
	}
}

// enter enters a client under a prefix. It returns false if the client was there already.
func enter(prefixes map[string]map[*Client]struct{}, p string, c *Client) bool {
	if prefixes[p] == nil {
		prefixes[p] = make(map[*Client]struct{})
	}
	_, known := prefixes[p][c]
	prefixes[p][c] = struct{}{}
	return !known
}

// forget takes a client out from under all prefixes.
func forget(prefixes map[string]map[*Client]struct{}, c *Client) {
	for p, list := range prefixes {
		if delete(list, c); len(list) == 0 {
			delete(prefixes, p)
		}
	}
}

// prefixesOf are the prefixes that a client asked for, in order.
func (t *tracking) prefixesOf(c *Client) (list []string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for p, clients := range t.prefixes {
		if _, ok := clients[c]; ok {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return
}
