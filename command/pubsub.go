package command

import (
	"hash/maphash"
	"slices"
	"sync/atomic"

	"kvd/glob"
	"kvd/lockrank"
	"kvd/resp/wire"
)

// Who is subscribed to what, and how a message gets to all of them. The
// commands are in pubsub_cmds.go.
//
// A channel knows its subscribers by event loop. A message is encoded once and
// handed to each loop with the list of those who get it there, under the lock
// of the channel: so all subscribers see the messages of a channel in one
// order, whichever loops the publishers are on. The lists are shared with the
// loops until they have sent; a list that a loop may still read is not changed
// but copied, except behind its end.

// pubsub is all the channels and patterns that have subscribers.
type pubsub struct {
	seed     maphash.Seed
	channels channelTable
	shard    channelTable // shard channels: a name space of its own, without patterns
	patterns patternTable

	// order is held from when a message of PUBLISH is handed to its subscribers until
	// the command is journaled, so that followers' subscribers see all messages in the
	// order in which those here do. It is taken under stripe locks, over those of channels
	// and of the journal; where nobody reads the journal it is not needed.
	order lockrank.Mutex[lockrank.PubsubOrder]
}

// channelShards is into how many parts a table is divided, each with its lock.
const channelShards = 64

// channelTable are channels by name.
type channelTable struct {
	kind   string // how its messages are called
	n      atomic.Int64
	shards [channelShards]channelShard
}

type channelShard struct {
	mu lockrank.Mutex[lockrank.Channels] // protects all, and the channels in it; over loops' queues, and patternTable.mu
	m  map[string]*channel
	_  [48]byte
}

// patternTable are the patterns, which every message is held against.
type patternTable struct {
	mu  lockrank.RWMutex[lockrank.Patterns] // protects all; to publish, a reader's lock is enough
	all map[string]*channel
	n   atomic.Int64
}

// channel is a channel or a pattern with its subscribers.
type channel struct {
	name    string
	pattern *glob.Pattern // nil: it is a channel
	outs    []*outlet
}

// outlet is the subscribers of one event loop, or those that have none.
type outlet struct {
	to    Outlet
	conns []Conn
	// lent: a loop may still read conns up to its present length.
	lent atomic.Bool
}

func (p *pubsub) init() {
	p.seed = maphash.MakeSeed()
	p.channels.kind, p.shard.kind = "message", "smessage"
	for _, t := range []*channelTable{&p.channels, &p.shard} {
		for i := range t.shards {
			t.shards[i].m = make(map[string]*channel)
		}
	}
	p.patterns.all = make(map[string]*channel)
}

func outletOf(conn Conn) Outlet {
	if p, ok := conn.(pushConn); ok {
		return p.Outlet()
	}
	return nil
}

// add adds a subscriber.
func (ch *channel) add(conn Conn) {
	to := outletOf(conn)
	for _, o := range ch.outs {
		if o.to == to {
			o.conns = append(o.conns, conn)
			return
		}
	}
	ch.outs = append(ch.outs, &outlet{to: to, conns: []Conn{conn}})
}

// remove takes a subscriber out. It returns true if that was the last one.
func (ch *channel) remove(conn Conn) bool {
	to := outletOf(conn)
	for i, o := range ch.outs {
		if o.to != to {
			continue
		}
		at := slices.Index(o.conns, conn)
		if at < 0 {
			break
		}
		if o.lent.Load() {
			o.conns = slices.Clone(o.conns)
			o.lent.Store(false)
		}
		last := len(o.conns) - 1
		o.conns[at], o.conns[last] = o.conns[last], nil
		if o.conns = o.conns[:last]; last == 0 {
			ch.outs = slices.Delete(ch.outs, i, i+1)
		}
		break
	}
	return len(ch.outs) == 0
}

// size is the number of subscribers.
func (ch *channel) size() (n int) {
	if ch != nil {
		for _, o := range ch.outs {
			n += len(o.conns)
		}
	}
	return
}

// send pushes b to all subscribers and returns how many they are.
func (ch *channel) send(b []byte) (n int) {
	for _, o := range ch.outs {
		n += len(o.conns)
		if o.to != nil {
			o.lent.Store(true)
			o.to.Fanout(b, o.conns[:len(o.conns):len(o.conns)])
			continue
		}
		for _, conn := range o.conns {
			if conn != nil { // a client of tests
				conn.Push(b)
			}
		}
	}
	return
}

func (p *pubsub) at(t *channelTable, name []byte) *channelShard {
	return &t.shards[maphash.Bytes(p.seed, name)%channelShards]
}

// subscribe adds a subscriber to a channel and returns the channel's name, to be shared.
func (p *pubsub) subscribe(t *channelTable, name []byte, conn Conn) string {
	sh := p.at(t, name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	ch := sh.m[string(name)]
	if ch == nil {
		ch = &channel{name: string(name)}
		sh.m[ch.name] = ch
		t.n.Add(1)
	}
	ch.add(conn)
	return ch.name
}

// unsubscribe takes a subscriber of a channel out. When it returns, nothing
// more will be pushed to it on account of this channel.
func (p *pubsub) unsubscribe(t *channelTable, name string, conn Conn) {
	sh := p.at(t, []byte(name))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if ch := sh.m[name]; ch != nil && ch.remove(conn) {
		delete(sh.m, name)
		t.n.Add(-1)
	}
}

// count is the number of a channel's subscribers.
func (p *pubsub) count(t *channelTable, name []byte) int {
	sh := p.at(t, name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.m[string(name)].size()
}

// each calls f for the name of every channel, in no order.
func (t *channelTable) each(f func(name string)) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for name := range sh.m {
			f(name)
		}
		sh.mu.Unlock()
	}
}

// each calls f for every channel, shard channel and pattern, in no order.
func (p *pubsub) each(f func(ch *channel)) {
	for _, t := range []*channelTable{&p.channels, &p.shard} {
		for i := range t.shards {
			sh := &t.shards[i]
			sh.mu.Lock()
			for _, ch := range sh.m {
				f(ch)
			}
			sh.mu.Unlock()
		}
	}
	p.patterns.mu.RLock()
	defer p.patterns.mu.RUnlock()
	for _, ch := range p.patterns.all {
		f(ch)
	}
}

func (t *patternTable) subscribe(pattern []byte, conn Conn) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	ch := t.all[string(pattern)]
	if ch == nil {
		ch = &channel{name: string(pattern), pattern: glob.Compile(pattern)}
		t.all[ch.name] = ch
		t.n.Add(1)
	}
	ch.add(conn)
	return ch.name
}

func (t *patternTable) unsubscribe(pattern string, conn Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ch := t.all[pattern]; ch != nil && ch.remove(conn) {
		delete(t.all, pattern)
		t.n.Add(-1)
	}
}

// reached calls f for what a message to a channel goes to: the channel, if anybody is
// subscribed to it, and the patterns that match. Their locks are held.
func (p *pubsub) reached(t *channelTable, name []byte, f func(ch *channel)) {
	sh := p.at(t, name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if ch := sh.m[string(name)]; ch != nil {
		f(ch)
	}
	if t == &p.shard || p.patterns.n.Load() == 0 {
		return
	}
	p.patterns.mu.RLock()
	defer p.patterns.mu.RUnlock()
	for _, ch := range p.patterns.all {
		if ch.pattern.Match(name) {
			f(ch)
		}
	}
}

// publish sends a message and returns how many get it.
func (p *pubsub) publish(t *channelTable, name, message []byte) (n int) {
	p.reached(t, name, func(ch *channel) {
		if ch.pattern == nil {
			n += ch.send(encodePush(len(t.kind)+len(name)+len(message), []byte(t.kind), name, message))
		} else {
			n += ch.send(encodePush(len(ch.name)+len(name)+len(message), []byte("pmessage"), []byte(ch.name), name, message))
		}
	})
	return n
}

// receivers is how many publish would send a message to.
func (p *pubsub) receivers(t *channelTable, name []byte) (n int) {
	p.reached(t, name, func(ch *channel) { n += ch.size() })
	return n
}

// encodePush makes a push of bulks; size is about how long they are.
func encodePush(size int, parts ...[]byte) []byte {
	w := wire.Writer{Buf: make([]byte, 0, size+16*len(parts)), Proto: 3}
	w.Push(len(parts))
	for _, b := range parts {
		w.Bulk(b)
	}
	return w.Buf
}

// subscriptions are what one client is subscribed to. They belong to the
// goroutine that runs the client's commands; others read Client.subs.
type subscriptions struct {
	channels, patterns, shard map[string]struct{}
}

// subCounts is what CLIENT LIST shows of a client's subscriptions.
type subCounts struct {
	channels, patterns, shard atomic.Int32
	memory                    atomic.Int64 // bytes
}

// subBytes is about what a subscription takes besides its name.
const subBytes = 64

// Subscribed tells whether the client is subscribed to anything.
func (c *Client) Subscribed() bool { return c.has(statePubSub) }

// total is the number of subscriptions of all kinds.
func (s *subscriptions) total() int {
	if s == nil {
		return 0
	}
	return len(s.channels) + len(s.patterns) + len(s.shard)
}

// counted makes public what has changed.
func (c *Client) countSubs(bytes int) {
	s := c.subs
	c.nsub.channels.Store(int32(len(s.channels)))
	c.nsub.patterns.Store(int32(len(s.patterns)))
	c.nsub.shard.Store(int32(len(s.shard)))
	c.nsub.memory.Add(int64(bytes))
	c.set(statePubSub, s.total() > 0)
}

// unsubscribeAll ends all subscriptions of a client, without a reply.
func (s *Server) unsubscribeAll(c *Client) {
	if c.subs.total() == 0 {
		return
	}
	for name := range c.subs.channels {
		s.pubsub.unsubscribe(&s.pubsub.channels, name, c.Conn)
	}
	for name := range c.subs.shard {
		s.pubsub.unsubscribe(&s.pubsub.shard, name, c.Conn)
	}
	for name := range c.subs.patterns {
		s.pubsub.patterns.unsubscribe(name, c.Conn)
	}
	*c.subs = subscriptions{}
	c.countSubs(int(-c.nsub.memory.Load()))
}
