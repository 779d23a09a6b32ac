package resp

import (
	"kvd/command"
	"kvd/resp/wire"
)

// A loop's queue is emptied at the end of each turn, when the replies of the
// turn have left. Pushes that stand in it side by side are first sorted by
// connection, as chains of nodes over the shared bytes, and then each connection
// is written to once: a message to a thousand subscribers costs one item of
// the queue, and a thousand messages to one subscriber one write.

// item is what others want of a loop, between two commands: a function to be
// run, or a push to one connection or to many.
type item struct {
	f   func()
	b   []byte // shared; nobody changes it
	c   *conn
	to  []command.Conn // shared, likewise
	seq uint64         // grows along the queue
}

// pushNode is a push to one connection on its way.
type pushNode struct {
	b    []byte
	next int32 // counted from 1; 0: the last one
}

const (
	maxNodes = 1 << 16 // pushes sorted before they are written
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
	l.mu.Lock()
	q := l.queue
	l.queue, l.room = l.room, nil
	l.mu.Unlock()
	for i := range q {
		it := &q[i]
		l.running = q[i+1:]
		switch {
		case it.f != nil:
			l.sendPushes()
			it.f()
		case it.c != nil:
			it.c.take(it)
		default:
			for _, c := range it.to {
				c.(*conn).take(it)
			}
		}
		if len(l.nodes) >= maxNodes {
			l.sendPushes()
		}
	}
	l.running = nil
	l.sendPushes()
	if cap(q) <= keepRoom {
		clear(q)
		l.room = q[:0]
	}
}

// take notes a push for when the pushes are sent.
func (c *conn) take(it *item) {
	switch {
	case c.gone || c.closing || it.seq <= c.settled:
	case c.c.Working:
		c.held = appendPush(c.held, it.b, c.c.Proto())
		if len(c.held) > smallOut && c.l.srv.cmd.OverOutputLimit(c.c, int64(len(c.held)+len(c.out))) {
			c.close()
		}
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

// sendPushes writes the pushes noted, connection by connection.
func (l *loop) sendPushes() {
	if len(l.touched) == 0 {
		return
	}
	w := &l.w
	for _, c := range l.touched {
		n := c.first
		c.first, c.last = 0, 0
		if c.gone {
			continue
		}
		w.Buf = w.Buf[:0]
		for proto := c.c.Proto(); n != 0; n = l.nodes[n-1].next {
			w.Buf = appendPush(w.Buf, l.nodes[n-1].b, proto)
		}
		c.flush(w)
		if len(c.out) > 0 && !c.gone {
			l.srv.cmd.NoteMemory(c.c)
		}
	}
	if cap(w.Buf) > keepOut {
		w.Buf = nil
	}
	clear(l.touched)
	clear(l.nodes)
	l.touched, l.nodes = l.touched[:0], l.nodes[:0]
}

// Push sends bytes between two commands, from any goroutine.
func (c *conn) Push(b []byte) { c.l.enqueue(item{b: b, c: c}) }

// Outlet is the connection's loop.
func (c *conn) Outlet() command.Outlet { return c.l }

// Fanout is Push for many connections of this loop.
func (l *loop) Fanout(b []byte, to []command.Conn) { l.enqueue(item{b: b, to: to}) }

// Settle appends the pushes that wait in the queue, for a command of this
// client that is about to reply.
func (c *conn) Settle(w *wire.Writer) {
	l := c.l
	proto := c.c.Proto()
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
				if to == command.Conn(c) {
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
