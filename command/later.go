package command

import (
	"slices"
	"time"

	"kvd/keyspace"
	"kvd/observe"
	"kvd/resp/wire"
)

// Work that does not end with the command's function: on a worker with the client parked, or once nothing is locked any more.

// Background runs f on a worker, with no lock held and the client parked until
// it returns; what f writes is the reply. Where the command cannot wait (see
// CanBlock) f runs at once, under the command's locks.
func (c *Ctx) Background(f func(w *wire.Writer)) {
	c.background(f, func(work func()) { go work() })
}

// Aside is Background for long reads of views: f locks nothing and does no I/O.
// Its thread has a lower priority than those of the event loops.
func (c *Ctx) Aside(f func(w *wire.Writer)) {
	c.background(f, c.S.readers.run)
}

func (c *Ctx) background(f func(w *wire.Writer), start func(work func())) {
	if !c.CanBlock() {
		f(c.W)
		return
	}
	c.outcome = Parked
	c.C.Working = true
	w := wire.InParts(c.W.Proto)
	cl, s, x, row, name := c.C, c.S, c.x, c.Row, c.Row.full
	began := clock()
	spent := began - x.lap
	kept := s.slowArgs(row, c.Args)
	writes := c.Flags&Write != 0
	start(func() {
		defer func() {
			if r := recover(); r != nil {
				s.LogPanic(r, "command '%s' of client %d", name, cl.ID)
				s.answer(cl, writes, []byte("-ERR internal error\r\n"))
			}
		}()
		f(w)
		ns := clock() - began
		x.countWait(row, ns, spent+ns)
		if spent+ns >= s.slowLeast.Load() {
			s.noteSlow(cl, row, spent+ns, func() observe.Kept { return kept })
		}
		parts := w.Parts()
		size := int64(0)
		for _, p := range parts {
			size += int64(len(p))
		}
		s.noteLargeReply(cl, row, size, func() observe.Kept { return kept })
		x.countLateFailure(row, parts[0], false)
		s.answer(cl, writes, parts...)
	})
}

// waitForAnswers returns when those have delivered who were told before that the log is
// well: see answer.
func (s *Server) waitForAnswers() {
	s.answers.Lock()
	defer s.answers.Unlock()
}

// answer has a worker deliver the reply to a command. Where that may have changed
// something, and replies wait for the log but it has failed, the client is closed, as
// those are whose replies wait on the loops: what it was promised may be lost.
//
// Invariant: whoever is not told that the log is Losing delivers before the clients whose
// replies wait are closed: see PersistenceChanged.
func (s *Server) answer(c *Client, writes bool, parts ...[]byte) {
	if writes {
		s.answers.RLock()
		defer s.answers.RUnlock()
		if s.persist.Losing() {
			c.Conn.Kill(false)
		}
	}
	c.Conn.Deliver(parts...)
}

// Apart is a copy of c for what Background runs: it has the arguments, the keys and the
// moment of the command, and no reply until it is given one. With it arguments are read;
// keys are changed with that of ChangeLater.
func (c *Ctx) Apart() *Ctx {
	a := &Ctx{C: c.C, S: c.S, Row: c.Row}
	a.Args, a.Keys = c.kept()
	a.Now, a.Clock = c.Now, c.Clock
	return a
}

// ComeAgain parks the client; its command, which has changed and replied nothing, is run
// again once the returned function has been called. The command must be able to wait, see
// CanBlock.
func (c *Ctx) ComeAgain() (ready func()) {
	cl := c.C
	cl.Working, c.outcome = true, Again
	return func() { cl.Conn.Deliver(nil) }
}

// Assist has f run on a worker as Aside does, for what no client waits for by itself.
func (c *Ctx) Assist(f func()) {
	s, name := c.S, c.Row.full
	s.readers.run(func() {
		defer func() {
			if r := recover(); r != nil {
				s.LogPanic(r, "a worker of command '%s'", name)
			}
		}()
		f()
	})
}

// After has f called when the command (EXEC, if it is inside one) is done and
// no stripe is locked any more, and before its reply leaves: by a worker, with the
// client parked. The last one wins inside EXEC, where several commands ask.
func (c *Ctx) After(f func()) { c.after = f }

// runAfter runs what After asked for.
func (x *Exec) runAfter(ctx *Ctx) {
	f := ctx.after
	ctx.after = nil
	if ctx.C.Conn == nil || ctx.outcome != Done {
		f()
		return
	}
	s, writes := x.s, ctx.Row.Flags&(Write|RunsQueue) != 0
	cl, reply := ctx.C, slices.Concat(ctx.W.Buf[x.replyAt:], x.own)
	x.own = x.own[:0]
	ctx.W.Buf = ctx.W.Buf[:x.replyAt]
	ctx.outcome = Parked
	go func() {
		f()
		s.answer(cl, writes, reply)
	}()
}

// ChangeLater is how a command that went to the background changes keys after
// all: it locks their stripes and calls f with a Ctx of database db and of this
// moment, with which f looks up, changes, counts Dirty, says Effects and
// notifies as a command does. What f says is journaled as one unit before the
// locks are free. While writes are paused it waits for the end of the pause; f is
// not called where the server has become a follower that takes no writes. by is the
// client on whose behalf it is done, whose WAIT then covers it, nil: nobody's.
//
// f has no client, no row, no arguments and no reply; it must touch no other keys, do no
// I/O, and make no key ready for waiters. The caller must hold no stripe,
// so it must not be inside EXEC (where a background function is told that it
// runs locked, and has the command's own Ctx).
func (s *Server) ChangeLater(by *Client, db int, keys []keyspace.Key, f func(c *Ctx)) {
	h := s.Keyspace.LockKeys(keys)
	for s.pause.mode.Load() != pauseOff && s.gate.Load()&gateReadOnly == 0 {
		s.Keyspace.Unlock(&h)
		time.Sleep(pausePoll)
		h = s.Keyspace.LockKeys(keys)
	}
	defer s.Keyspace.Unlock(&h)
	defer func() {
		if r := recover(); r != nil {
			s.distrust(nil, r)
			panic(r)
		}
	}()
	if s.gate.Load()&gateReadOnly != 0 {
		return // the leader's stream would not have it
	}
	now := s.Keyspace.Now()
	tx := s.Keyspace.NewTx()
	tx.By = (*Exec)(nil) // a command, but nobody's turn
	c := &Ctx{Tx: *tx, S: s, Keys: keys, Row: &laterRow, explicit: true}
	c.Use(db)
	c.Now, c.Clock, c.NoTouch = now.UnixMilli(), uint32(now.Unix())&ClockMask, true
	f(c)
	if len(c.ready) > 0 {
		panic("command: a key was made ready after its command")
	}
	s.Stats.DirtySinceSave.Add(int64(c.Dirty))
	if c.Dirty > 0 {
		s.noteWhose(c, by != nil && by.applies)
	}
	if len(c.effects) > 0 {
		s.Keyspace.Journal.AppendAll(c.effects)
		s.noteWritten(by)
	}
}

// ChangeOn goes on with what the command does to key k, on a worker and bit by bit, letting
// go of the stripe in between: step is ChangeLater's f, with k as its key, and tells whether
// there is more. Where writes are refused it ends early. The reply is first, what step
// writes, and what end does.
func (c *Ctx) ChangeOn(k *keyspace.Key, first []byte, step func(c *Ctx, w *wire.Writer) (more bool), end func(w *wire.Writer)) {
	srv, by, db, keys := c.S, c.C, c.DB(), []keyspace.Key{*k}
	keys[0].B = slices.Clone(k.B)
	c.Background(func(w *wire.Writer) {
		w.Raw(first)
		for more := true; more && srv.TakesWrites(); {
			more = false // where step is not called
			srv.ChangeLater(by, db, keys, func(c *Ctx) { more = step(c, w) })
		}
		end(w)
	})
}

// TakesWrites tells whether clients may write. What changes keys bit by bit ends where it
// is false.
func (s *Server) TakesWrites() bool { return s.gate.Load()&(gateReadOnly|gateLog) == 0 }

// WritesRefused is what a client that writes is told while TakesWrites is false, else "".
func (s *Server) WritesRefused() string {
	gate := s.gate.Load()
	if gate&gateReadOnly != 0 {
		return ErrReadOnly
	}
	return s.logText(gate)
}

// laterRow stands for the command in ChangeLater: its look-ups are not counted.
var laterRow Row

// pausePoll is how often ChangeLater looks whether a pause is over.
const pausePoll = 10 * time.Millisecond
