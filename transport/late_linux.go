package transport

import "kvd/resp/wire"

// The short replies of a turn with several connections leave one behind the
// other at its end, not each when its connection was served. To send wakes the
// client, which costs more than all else in it; a client with many connections
// (a pool, a benchmark) that is woken by the first reply is still busy when the
// others come, while it would fall asleep again each time if a pipeline's work
// lay between two of them.
//
// What is late goes before all else that its connection is sent, and before the
// connection is closed.

const (
	lateMax   = 16 << 10 // most bytes of replies to one connection that are late
	lateTotal = 64 << 10 // late bytes of all connections, from which on nothing more is
)

// late is what leaves at the end of a turn.
type late struct {
	buf []byte
	of  []lateReplies
}

// lateReplies are a connection's. They end at end in the buffer, and begin where
// those before them end.
type lateReplies struct {
	c   *conn
	end int
}

// serve is process for input that was just read, once for each connection in a
// turn. Short replies become late.
func (c *conn) serve(data []byte) {
	l := c.l
	if l.single || len(l.late.buf) > lateTotal || c.sending() {
		c.process(data)
		return
	}
	l.w.Buf = l.w.Buf[:0]
	err := c.feed(l.srv, l.exec, &l.w, data)
	if err != nil || len(l.w.Buf) > lateMax || c.More || c.Closing {
		if c.ran(err); c.More && !c.gone {
			c.process(nil)
		}
		return
	}
	if len(l.w.Buf) > 0 {
		l.late.buf = append(l.late.buf, l.w.Buf...)
		l.late.of = append(l.late.of, lateReplies{c, len(l.late.buf)})
	}
	if cap(l.w.Buf) > keepOut {
		l.w.Buf = nil // the replies were long, but the client does not want them
	}
	c.note()
	l.srv.cmd.NoteMemory(c.Client)
}

// sendLate sends what is late.
func (l *loop) sendLate() {
	from := 0
	for i, r := range l.late.of {
		w := wire.Writer{Buf: l.late.buf[from:r.end:r.end]} // too short to be kept by who sends it
		from = r.end
		l.late.of[i].c = nil
		if r.c.gone {
			continue
		}
		if r.c.flush(&w); r.c.sending() {
			l.srv.cmd.NoteMemory(r.c.Client)
		}
	}
	l.late.buf, l.late.of = l.late.buf[:0], l.late.of[:0]
}
