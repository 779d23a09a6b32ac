package command

import (
	"slices"

	"kvd/keyspace"
	"kvd/resp/wire"
)

// Commands of one key that take long run beside the event loops, as scripts do: the
// stripe of the key is reserved, the client is parked, and commands that need the stripe
// come again when that is done. It is as atomic as ever.

const (
	// besideFrom is from how many arguments on a command runs beside the loops.
	// Of the commands that take a microsecond for each it is a millisecond.
	besideFrom = 1024
	// LongWrite is from how many elements on a write should ask Ctx.Beside.
	LongWrite = 4096
)

// Beside is for a write of one key that is about to take long, and has changed and
// replied nothing yet. Where it is true the command returns: it is run again beside the
// event loops. It is false there, and where the command cannot leave the loop.
func (c *Ctx) Beside() bool {
	if c.x == nil || !c.x.mayGoBeside(c) {
		return false
	}
	c.outcome, c.beside = Again, true
	return true
}

// mayGoBeside tells whether a command may run beside the loops.
func (x *Exec) mayGoBeside(ctx *Ctx) bool {
	row := ctx.Row
	return row.Flags&(Write|ReadOnly) != 0 && row.Flags&(LockAll|Walks|Blocking|MayReplicate|InPortions) == 0 && row.AllKeys == nil && row.parent == nil && row.Front == "" &&
		len(ctx.Keys) == 1 && ctx.CanBlock() && !ctx.C.applies && !ctx.C.track.reads && !x.beside
}

// kept are the arguments and keys in memory that they may keep.
func (c *Ctx) kept() (args [][]byte, keys []keyspace.Key) {
	if args = c.Args; !c.x.Own {
		args = slices.Concat(copyNames(args).blocks...)
	}
	keys = slices.Clone(c.Keys)
	for i := range keys {
		keys[i].B = args[c.x.pos[i]]
	}
	return args, keys
}

// goBeside hands a command, whose stripes are locked, to a worker. The client is parked.
func (x *Exec) goBeside(ctx *Ctx) {
	s, cl := x.s, ctx.C
	args, keys := ctx.kept()
	w := s.scriptWorker()
	w.now, w.nowMs, w.clock, w.client, w.toldAll, w.oom = x.now, x.nowMs, x.clock, cl, x.toldAll, x.oom
	to, out := &w.Running, &wire.Writer{Proto: ctx.W.Proto}
	to.W, to.C, to.Row, to.Flags, to.Args, to.Keys = out, cl, ctx.Row, ctx.Flags, args, keys
	to.outcome, to.explicit, to.unmuted, to.whole, to.Dirty = Done, false, false, false, 0
	to.inExec, to.script = true, nil // it can neither wait nor leave
	w.aside, x.aside = x.aside, nil
	b := &s.scripts.beside
	b.mu.Lock()
	b.writes++ // before anybody finds the stripes reserved
	b.mu.Unlock()
	r := s.Keyspace.Reserve(&x.held)
	ctx.outcome = Parked
	cl.Working = true
	go w.writeBeside(r, out)
}

// writeBeside runs the command on the worker. It holds the stripes all the time, too:
// others look whether they are reserved before they lock them.
func (x *Exec) writeBeside(r *keyspace.Reservation, out *wire.Writer) {
	s, c := x.s, &x.Running
	cl, name, writes := c.C, c.Row.full, c.Row.Flags&Write != 0
	done := func(reply []byte) {
		b := &s.scripts.beside
		b.mu.Lock()
		b.writes--
		b.wake()
		b.mu.Unlock()
		s.answer(cl, writes, reply)
	}
	ended := false
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		s.LogPanic(p, "command '%s' of client %d", name, cl.ID)
		if !ended {
			for i := range c.Keys { // what it may have changed before it could say so
				c.Changed(&c.Keys[i])
			}
			x.afterPanic(p)
			r.EndLocked(&x.held)
		}
		x.letGo()
		done([]byte("-ERR internal error\r\n"))
	}()
	x.lap = clock()
	r.LockLong(&x.held)
	x.start(c)
	x.run(c)
	c.inExec = false
	x.finish(c)
	ended = true
	r.EndLocked(&x.held)
	x.letGo()
	x.deliverServed()
	x.enter()
	if after := c.after; after != nil {
		c.after = nil
		after()
	}
	reply := append(out.Buf, x.own...)
	x.own = x.own[:0]
	c.W, c.Args, c.Keys, c.C = nil, nil, nil, nil
	s.scripts.beside.giveBack(x)
	done(reply)
}
