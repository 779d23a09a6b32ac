package transport

import (
	"sync"

	"kvd/resp/wire"
)

// Under appendfsync always no reply leaves before the disk has what the reply
// may have seen, reads and pushes included: what a connection is to be sent
// waits here until the append-only log is synced up to where it stood then. The
// log wakes a loop once for each sync, and the loop tells the log once for each
// turn that somebody waits, so one sync covers many connections.

// hold is what a connection is not sent yet.
type hold struct {
	buf   []byte
	waits []holdPart
	then  func() // to be run when nothing is held any more; see Hijack
}

// holdPart ends at end in buf and waits for the log's offset at.
type holdPart struct {
	at  int64
	end int
}

// hold takes w's buffer if it must wait, or must not overtake what waits.
func (c *conn) hold(w *wire.Writer) bool {
	at, wait := c.l.log.Pending()
	h := &c.unsynced
	if !wait && len(h.waits) == 0 {
		return false
	}
	if len(w.Buf) == 0 {
		return len(h.waits) > 0
	}
	if len(h.buf) == 0 && len(w.Buf) > keepOut {
		h.buf, w.Buf = w.Buf, nil // too long to copy
	} else {
		h.buf = append(h.buf, w.Buf...)
	}
	c.noteHeld(at)
	return true
}

// noteHeld says that what is in the buffer waits for the log's offset at.
func (c *conn) noteHeld(at int64) {
	h := &c.unsynced
	if len(h.waits) == 0 {
		c.l.held = append(c.l.held, c)
		c.l.holding.Store(true)
	}
	c.l.kick = true
	h.waits = append(h.waits, holdPart{at, len(h.buf)})
}

// holdUntil has f called once the log is synced up to where it stands, if there
// is anything to wait for. f must not hold anything itself.
func (c *conn) holdUntil(f func()) bool {
	at, wait := c.l.log.Pending()
	if !wait && len(c.unsynced.waits) == 0 {
		return false
	}
	c.noteHeld(at)
	c.unsynced.then = f
	return true
}

// settleTurn ends a turn: what may leave by now does, and the log is told if
// somebody waits for it.
func (l *loop) settleTurn() {
	if len(l.held) == 0 {
		return
	}
	l.release()
	if l.kick {
		l.kick = false
		l.log.Kick()
	}
}

// release sends what need not wait any more. Synced comes after the loop has
// said that it holds something, so no sync is missed.
func (l *loop) release() {
	synced := l.log.Synced()
	list := l.held
	l.held, l.heldSpare = l.heldSpare[:0], nil
	for _, c := range list {
		if c.gone {
			continue
		}
		c.release(synced)
		if len(c.unsynced.waits) > 0 {
			l.held = append(l.held, c)
		}
		c.goOn()
	}
	clear(list)
	l.heldSpare = list
	if len(l.held) == 0 {
		l.holding.Store(false)
	}
}

func (c *conn) release(synced int64) {
	h := &c.unsynced
	n := 0
	for n < len(h.waits) && h.waits[n].at <= synced {
		n++
	}
	if n == 0 {
		return
	}
	end := h.waits[n-1].end
	w := wire.Writer{Buf: h.buf[:end]}
	if n == len(h.waits) {
		h.waits = h.waits[:0]
		keep := h.buf[:0]
		if cap(keep) > keepBuffer {
			keep = nil
		}
		c.transmit(&w)
		h.buf = keep // what the socket did not take was copied, unless w lost it
		if w.Buf == nil {
			h.buf = nil
		}
	} else {
		rest := append([]byte(nil), h.buf[end:]...)
		waits := append([]holdPart(nil), h.waits[n:]...)
		for i := range waits {
			waits[i].end -= end
		}
		h.buf, h.waits = rest, waits
		c.transmit(&w)
	}
	if len(h.waits) == 0 && h.then != nil && !c.gone {
		then := h.then
		h.then = nil
		then()
	}
}

// synced is called by the log after a sync, from any goroutine.
func (t *loops) synced() {
	for _, l := range t.all {
		if l.holding.Load() {
			l.post(l.release)
		}
	}
}

// settle returns when every loop has ended its turn.
func (t *loops) settle() { t.everyLoop(func(*loop) {}) }

// failed closes whoever waits for the log.
func (t *loops) failed() {
	t.everyLoop(func(l *loop) {
		for _, c := range l.held {
			if !c.gone {
				l.srv.cmd.Log.Verbosef("Closing client %d: what it was to be told cannot be made to last", c.Client.ID)
				c.close()
			}
		}
		l.release()
	})
}

// everyLoop runs f on each loop and waits for that, or for the end of the server.
func (t *loops) everyLoop(f func(*loop)) {
	var wg sync.WaitGroup
	for _, l := range t.all {
		wg.Add(1)
		l.post(func() { f(l); wg.Done() })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-t.srv.ended:
	}
}
