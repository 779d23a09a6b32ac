package transport

import (
	"math"
	"time"

	"kvd/command"
	"kvd/pubsub"
	"kvd/resp/wire"
)

// A loop's queue is emptied at the end of each turn, when the replies of the
// turn have left. The pushes in it are sorted by connection, as chains of nodes
// over the shared bytes, and then the connections are written to, once each: a
// message to a thousand subscribers costs one item of the queue, and a thousand
// messages to one subscriber one write.
//
// A turn writes to some of the connections only, so that others' commands do not
// wait for a thousand writes. What is published meanwhile joins the chains of
// those that are still to be written to. A connection's own chain is sent before
// its next command runs.

// item is what others want of a loop, between two commands: a function to be
// run, a function that makes pushes, or a push to one connection or to many.
type item struct {
	f   func()
	g   func(send func(c pubsub.Conn, b []byte))
	b   []byte // shared; nobody changes it
	c   *conn
	to  []pubsub.Conn // shared, likewise
	seq uint64        // grows along the queue
}

// pushNode is a push to one connection on its way.
type pushNode struct {
	b    []byte
	next int32 // counted from 1; 0: the last one
}

const (
	maxNodes = 1 << 16 // pushes sorted before they are all written
	pushTurn = 32      // connections written to in a turn, and two for each event of it
	copyTo   = 8 << 10 // pushes to one connection that are copied together
	keepRoom = 1 << 12 // items that a loop's queue keeps room for
)

// enqueue appends to the queue, from any goroutine.
func (l *loop) enqueue(it item) {
	l.mu.Lock()
	l.seq++
	it.seq = l.seq
	l.queue = append(l.queue, it)
	l.mu.Unlock()
	if !l.awake.Load() && !l.awake.Swap(true) {
		one := [8]byte{1}
		rawWrite(l.wake, one[:])
	}
}

// queued tells whether the queue holds anything.
func (l *loop) queued() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) > 0
}

// runQueue runs what the queue held when it was called; what comes meanwhile
// waits for the next turn.
func (l *loop) runQueue() {
	l.sendLate()
	l.mu.Lock()
	q := l.queue
	l.queue, l.room = l.room, nil
	l.mu.Unlock()
	for i := range q {
		it := &q[i]
		l.running = q[i+1:]
		switch {
		case it.f != nil:
			it.f()
		case it.g != nil:
			it.g(l.sendNow)
		case it.c != nil:
			it.c.take(it)
		default:
			for _, c := range it.to {
				c.(*conn).take(it)
			}
		}
		if len(l.nodes) >= maxNodes {
			l.sendPushes(len(l.touched))
		}
	}
	l.running = nil
	if cap(q) <= keepRoom {
		clear(q)
		l.room = q[:0]
	}
}

// take notes a push for when the pushes are sent.
func (c *conn) take(it *item) {
	switch {
	case c.gone || c.Closing || it.seq <= c.settled:
	case c.Client.Working:
		c.held = appendPush(c.held, it.b, c.Client.Proto())
		c.over(0)
	default:
		l := c.l
		l.nodes = append(l.nodes, pushNode{b: it.b})
		n := int32(len(l.nodes))
		if c.first == 0 {
			c.first = n
			l.touched = append(l.touched, c)
		} else {
			l.nodes[c.last-1].next = n
		}
		c.last = n
	}
}

// pushing tells whether pushes are noted that are not sent.
func (l *loop) pushing() bool { return l.pushedTo < len(l.touched) }

// sendPushes writes the pushes noted for some of the connections.
func (l *loop) sendPushes(conns int) {
	for ; conns > 0 && l.pushing(); conns-- {
		c := l.touched[l.pushedTo]
		l.touched[l.pushedTo] = nil
		l.pushedTo++
		c.sendPushes()
	}
	if !l.pushing() && l.pushedTo > 0 {
		clear(l.nodes)
		l.touched, l.nodes, l.pushedTo = l.touched[:0], l.nodes[:0], 0
	}
}

// sendPushes writes the pushes noted for the connection.
func (c *conn) sendPushes() {
	n := c.first
	if n == 0 {
		return
	}
	c.first, c.last = 0, 0
	if c.gone {
		return
	}
	l, w := c.l, &c.l.w
	// What is long, or has to wait for the client, is not copied.
	w.Buf = w.Buf[:0]
	_, held := l.log.Pending()
	held = held || len(c.unsynced.waits) > 0
	copied := held || c.out.n == 0
	for proto := c.Client.Proto(); n != 0; n = l.nodes[n-1].next {
		b := l.nodes[n-1].b
		if copied && !held && len(w.Buf)+len(b) > copyTo {
			c.out.add(w.Buf)
			copied = false
		}
		if copied {
			w.Buf = appendPush(w.Buf, b, proto)
		} else {
			c.out.addPush(b, proto)
		}
	}
	if l.srv.cfg.Timeout.Load() > 0 {
		c.Client.Heard(time.Now())
	}
	if copied {
		c.flush(w)
	} else if !c.over(0) {
		c.send(false)
	}
	if c.out.n > 0 && !c.gone {
		l.srv.cmd.NoteMemory(c.Client)
	}
	if cap(w.Buf) > keepOut {
		w.Buf = nil
	}
}

// Push sends bytes between two commands, from any goroutine.
func (c *conn) Push(b []byte) { c.l.enqueue(item{b: b, c: c}) }

// Outlet is the connection's loop.
func (c *conn) Outlet() command.Outlet { return c.l }

// Fanout is Push for many connections of this loop.
func (l *loop) Fanout(b []byte, to []pubsub.Conn) { l.enqueue(item{b: b, to: to}) }

// Later has f called when the queue comes to it.
func (l *loop) Later(f func(send func(c pubsub.Conn, b []byte))) { l.enqueue(item{g: f}) }

// sendNow is what an item's g makes pushes with. Those to a connection of this loop are
// part of the item that runs; what Settle has sent before knows nothing of them.
func (l *loop) sendNow(to pubsub.Conn, b []byte) {
	if c, ok := to.(*conn); ok && c.l == l {
		c.take(&item{b: b, c: c, seq: math.MaxUint64})
	} else {
		to.Push(b)
	}
}

// Settle appends the pushes that wait in the queue, for a command of this
// client that is about to reply; those noted were sent before it ran.
func (c *conn) Settle(w *wire.Writer) {
	l := c.l
	proto := c.Client.Proto()
	settle := func(q []item) {
		for i := range q {
			it := &q[i]
			if it.seq <= c.settled || it.f != nil {
				continue
			}
			if it.c == c {
				w.Buf = appendPush(w.Buf, it.b, proto)
			}
			for _, to := range it.to {
				if to == pubsub.Conn(c) {
					w.Buf = appendPush(w.Buf, it.b, proto)
				}
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	settle(l.running)
	settle(l.queue)
	c.settled = l.seq
}
