package pubsub

import (
	"hash/maphash"
	"slices"
	"sync/atomic"

	"kvd/glob"
	"kvd/lockrank"
	"kvd/resp/wire"
)

// Hub is all the channels and patterns that have subscribers.
type Hub struct {
	seed     maphash.Seed
	Channels Names
	Shard    Names // shard channels: a name space of its own, without patterns
	Patterns Patterns

	// Order is held from when a message of PUBLISH is handed to its subscribers until
	// the command is journaled, so that followers' subscribers see all messages in the
	// order in which those here do. It is taken under stripe locks, over those of channels
	// and of the journal; where nobody reads the journal it is not needed.
	Order lockrank.Mutex[lockrank.PubsubOrder]
}

// channelShards is into how many parts a table is divided, each with its lock.
const channelShards = 64

// Names are channels by name.
type Names struct {
	kind   string       // how its messages are called
	n      atomic.Int64 // of channels
	shards [channelShards]channelShard
}

type channelShard struct {
	mu lockrank.Mutex[lockrank.Channels] // protects all, and the channels in it; over loops' queues, and Patterns.mu
	m  map[string]*Channel
	_  [48]byte
}

// Len is how many channels there are.
func (t *Names) Len() int64 { return t.n.Load() }

// Patterns are the patterns, which every message is held against.
type Patterns struct {
	mu  lockrank.RWMutex[lockrank.Patterns] // protects all; to publish, a reader's lock is enough
	all map[string]*Channel
	n   atomic.Int64
}

// Len is how many patterns there are.
func (t *Patterns) Len() int64 { return t.n.Load() }

// Channel is a channel or a pattern with its subscribers.
type Channel struct {
	Name    string
	pattern *glob.Pattern // nil: it is a channel
	outs    []*listeners
}

// listeners is the subscribers of one event loop, or those that have none.
type listeners struct {
	to    Outlet
	conns []Conn
	// lent: a loop may still read conns up to its present length.
	lent atomic.Bool
}

// Init makes the hub ready.
func (p *Hub) Init() {
	p.seed = maphash.MakeSeed()
	p.Channels.kind, p.Shard.kind = "message", "smessage"
	for _, t := range []*Names{&p.Channels, &p.Shard} {
		for i := range t.shards {
			t.shards[i].m = make(map[string]*Channel)
		}
	}
	p.Patterns.all = make(map[string]*Channel)
}

// OutletOf is where pushes to a connection go, nil: to itself.
func OutletOf(conn Conn) Outlet {
	if p, ok := conn.(interface{ Outlet() Outlet }); ok {
		return p.Outlet()
	}
	return nil
}

// add adds a subscriber.
func (ch *Channel) add(conn Conn) {
	to := OutletOf(conn)
	for _, o := range ch.outs {
		if o.to == to {
			o.conns = append(o.conns, conn)
			return
		}
	}
	ch.outs = append(ch.outs, &listeners{to: to, conns: []Conn{conn}})
}

// remove takes a subscriber out. It returns true if that was the last one.
func (ch *Channel) remove(conn Conn) bool {
	to := OutletOf(conn)
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

// IsPattern tells whether it is a pattern.
func (ch *Channel) IsPattern() bool { return ch.pattern != nil }

// EachConn calls f for every subscriber. Hub.Each holds the lock that it needs.
func (ch *Channel) EachConn(f func(Conn)) {
	for _, o := range ch.outs {
		for _, conn := range o.conns {
			f(conn)
		}
	}
}

// size is the number of subscribers.
func (ch *Channel) size() (n int) {
	if ch != nil {
		for _, o := range ch.outs {
			n += len(o.conns)
		}
	}
	return
}

// send pushes b to all subscribers and returns how many they are.
func (ch *Channel) send(b []byte) (n int) {
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

func (p *Hub) at(t *Names, name []byte) *channelShard {
	return &t.shards[maphash.Bytes(p.seed, name)%channelShards]
}

// Subscribe adds a subscriber to a channel and returns the channel's name, to be shared.
func (p *Hub) Subscribe(t *Names, name []byte, conn Conn) string {
	sh := p.at(t, name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	ch := sh.m[string(name)]
	if ch == nil {
		ch = &Channel{Name: string(name)}
		sh.m[ch.Name] = ch
		t.n.Add(1)
	}
	ch.add(conn)
	return ch.Name
}

// Unsubscribe takes a subscriber of a channel out. When it returns, nothing
// more will be pushed to it on account of this channel.
func (p *Hub) Unsubscribe(t *Names, name string, conn Conn) {
	sh := p.at(t, []byte(name))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if ch := sh.m[name]; ch != nil && ch.remove(conn) {
		delete(sh.m, name)
		t.n.Add(-1)
	}
}

// Count is the number of a channel's subscribers.
func (p *Hub) Count(t *Names, name []byte) int {
	sh := p.at(t, name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.m[string(name)].size()
}

// Each calls f for the name of every channel, in no order.
func (t *Names) Each(f func(name string)) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for name := range sh.m {
			f(name)
		}
		sh.mu.Unlock()
	}
}

// Each calls f for every channel, shard channel and pattern, in no order.
func (p *Hub) Each(f func(ch *Channel)) {
	for _, t := range []*Names{&p.Channels, &p.Shard} {
		for i := range t.shards {
			sh := &t.shards[i]
			sh.mu.Lock()
			for _, ch := range sh.m {
				f(ch)
			}
			sh.mu.Unlock()
		}
	}
	p.Patterns.mu.RLock()
	defer p.Patterns.mu.RUnlock()
	for _, ch := range p.Patterns.all {
		f(ch)
	}
}

// Subscribe adds a subscriber to a pattern and returns the pattern, to be shared.
func (t *Patterns) Subscribe(pattern []byte, conn Conn) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	ch := t.all[string(pattern)]
	if ch == nil {
		ch = &Channel{Name: string(pattern), pattern: glob.Compile(pattern)}
		t.all[ch.Name] = ch
		t.n.Add(1)
	}
	ch.add(conn)
	return ch.Name
}

// Unsubscribe takes a subscriber of a pattern out, as Hub.Unsubscribe.
func (t *Patterns) Unsubscribe(pattern string, conn Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ch := t.all[pattern]; ch != nil && ch.remove(conn) {
		delete(t.all, pattern)
		t.n.Add(-1)
	}
}

// reached calls f for what a message to a channel goes to: the channel, if anybody is
// subscribed to it, and the patterns that match. Their locks are held.
func (p *Hub) reached(t *Names, name []byte, f func(ch *Channel)) {
	sh := p.at(t, name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if ch := sh.m[string(name)]; ch != nil {
		f(ch)
	}
	if t == &p.Shard || p.Patterns.n.Load() == 0 {
		return
	}
	p.Patterns.mu.RLock()
	defer p.Patterns.mu.RUnlock()
	for _, ch := range p.Patterns.all {
		if ch.pattern.Match(name) {
			f(ch)
		}
	}
}

// Publish sends a message and returns how many get it.
func (p *Hub) Publish(t *Names, name, message []byte) (n int) {
	p.reached(t, name, func(ch *Channel) {
		if ch.pattern == nil {
			n += ch.send(EncodePush(len(t.kind)+len(name)+len(message), []byte(t.kind), name, message))
		} else {
			n += ch.send(EncodePush(len(ch.Name)+len(name)+len(message), []byte("pmessage"), []byte(ch.Name), name, message))
		}
	})
	return n
}

// Receivers is how many publish would send a message to.
func (p *Hub) Receivers(t *Names, name []byte) (n int) {
	p.reached(t, name, func(ch *Channel) { n += ch.size() })
	return n
}

// EncodePush makes a push of bulk strings, in RESP3's form; size is about how long they are.
func EncodePush(size int, parts ...[]byte) []byte {
	w := wire.Writer{Buf: make([]byte, 0, size+16*len(parts)), Proto: 3}
	w.Push(len(parts))
	for _, b := range parts {
		w.Bulk(b)
	}
	return w.Buf
}
