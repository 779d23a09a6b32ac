package command

import (
	"slices"
	"time"

	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/observe"
	"kvd/resp/wire"
	"kvd/script/lua"
)

// A script that has run for scriptLoopTime leaves its event loop: its stripes
// are reserved, a worker with an Exec of its own goes on with it, and the
// client is parked. Others go on, but for commands that need a reserved stripe:
// these come again when the script has ended, or are told BUSY once it has run
// for busy-reply-threshold.
//
// What cannot leave the loop is a script inside EXEC, and one in a function
// that a function written in Go calls (the comparison of table.sort, the
// replacement of string.gsub). If it may be ended (see mayEnd) it is ended at
// busy-reply-threshold, since on a server with one loop nobody could send
// SCRIPT KILL.

// suspendLeast is how often Suspend is asked for before a script counts as one that cannot leave the loop: a
// process that stood still may find busy-reply-threshold over at a script's first look.
const suspendLeast = 10

// scriptLoopTime is how long a script may run on an event loop.
const scriptLoopTime = time.Millisecond

// beside is what runs beside the loops.
type beside struct {
	mu     lockrank.Mutex[lockrank.Beside] // protects what follows; held for moments, over no other lock
	runs   []*scriptRun
	writes int       // commands that run beside the loops; see goBeside
	parked []*Client // whose commands need a stripe of one of them
	spare  []*Exec   // workers' that are free
	free   []*machine
	ending bool // the server is: no script may go on that can be ended
}

// tick is asked by the machine every 10,000 steps.
func (m *machine) tick(*lua.State) lua.Action {
	r := m.run
	if r == nil {
		if m.loading != nil && time.Since(m.loadBegan) > loadTime {
			return lua.Kill
		}
		return lua.Continue
	}
	if r.killed.Load() {
		return lua.Kill
	}
	took := time.Duration(clock() - r.began)
	if took < scriptLoopTime {
		return lua.Continue
	}
	s := r.x.s
	if !r.listed {
		s.scripts.beside.list(r)
	}
	if r.reserved != nil {
		return lua.Continue
	}
	if r.outer.inExec || r.x.Running.C.Conn == nil {
		if took > s.busyThreshold() && r.mayEnd() && r.x.Running.C.Conn != nil {
			r.overtime = true
			return lua.Kill
		}
		return lua.Continue
	}
	if r.asked > suspendLeast && took > s.busyThreshold() && r.mayEnd() {
		r.overtime = true
		return lua.Kill
	}
	r.asked++
	return lua.Suspend
}

// mayEnd tells whether the run may be ended in the middle: what it has written is taken
// back, or it has written nothing.
func (r *scriptRun) mayEnd() bool { return r.rollback || !r.wrote.Load() }

func (s *Server) busyThreshold() time.Duration {
	return time.Duration(s.Config.BusyReplyThreshold.Load()) * time.Millisecond
}

// list makes a run known to SCRIPT KILL.
func (b *beside) list(r *scriptRun) {
	b.mu.Lock()
	r.listed = true
	r.shown = r.x.s.slowArgs(r.outer.row, r.outer.args).Args
	b.runs = append(b.runs, r)
	if b.ending && r.mayEnd() {
		r.killed.Store(true)
	}
	b.mu.Unlock()
}

// unlist ends that, and lets those go on who waited.
func (b *beside) unlist(r *scriptRun) {
	b.mu.Lock()
	b.runs = slices.DeleteFunc(b.runs, func(o *scriptRun) bool { return o == r })
	b.wake()
	b.mu.Unlock()
}

// wake lets the parked clients try again; mu is locked.
func (b *beside) wake() {
	for _, c := range b.parked {
		c.set(stateBlocked, false)
		c.Conn.Deliver(nil)
	}
	b.parked = nil
}

// freeMachine is a machine of a script that has ended, nil if there is none.
func (b *beside) freeMachine() *machine {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.free)
	if n == 0 {
		return nil
	}
	m := b.free[n-1]
	b.free = b.free[:n-1]
	return m
}

// scriptWorker is an Exec for a script that leaves its loop.
func (s *Server) scriptWorker() *Exec {
	b := &s.scripts.beside
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.spare); n > 0 {
		x := b.spare[n-1]
		b.spare = b.spare[:n-1]
		return x
	}
	x := s.NewExec()
	x.beside = true
	return x
}

// giveBack takes back what scriptWorker gave.
func (b *beside) giveBack(x *Exec) {
	b.mu.Lock()
	b.spare = append(b.spare, x)
	b.mu.Unlock()
}

// leaveLoop hands a suspended script to a worker. The client is parked.
func (x *Exec) leaveLoop(r *scriptRun) {
	s, c := x.s, &x.Running
	cl, row := c.C, r.outer.row
	w := s.scriptWorker()
	reserved := s.Keyspace.Reserve(&x.held)
	s.scripts.beside.mu.Lock() // the run is listed: behindScript may be looking at it
	r.reserved = reserved
	s.scripts.beside.mu.Unlock()
	r.x = w
	w.now, w.nowMs, w.clock, w.client = x.now, x.nowMs, x.clock, cl
	if r.function == nil { // functions have one machine for all Execs
		x.lua = nil
	}
	w.own, x.own = x.own, w.own[:0]
	x.endPublish() // else whoever publishes would wait for the script; see do
	to := &w.Running
	to.W, to.C, to.Row, to.outcome, to.script, to.inExec = &r.reply, cl, row, Done, r, true
	to.effects, c.effects = c.effects, to.effects[:0]
	to.ready, c.ready = c.ready, to.ready[:0]
	to.after, c.after = c.after, nil
	to.Undo, c.Undo = c.Undo, nil

	kept := s.slowArgs(row, r.outer.args)
	spent := clock() - r.began
	c.resume(&r.outer)
	r.outer.args, r.outer.keys = nil, nil // they are the loop's
	c.outcome = Parked
	cl.Working = true

	if left := s.busyThreshold() - time.Duration(spent); left > 0 {
		timer := time.AfterFunc(left, func() { s.scripts.beside.slow(s, r) })
		go func() { w.goOn(r, kept, spent); timer.Stop() }()
	} else {
		s.scripts.beside.slow(s, r)
		go w.goOn(r, kept, spent)
	}
}

// slow says in the log that a script runs long, and has those who wait for it
// told BUSY.
func (b *beside) slow(s *Server, r *scriptRun) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.Contains(b.runs, r) {
		kill := "SCRIPT"
		if r.function != nil {
			kill = "FUNCTION"
		}
		s.Log.Warningf("Slow script detected: still in execution after %d milliseconds. You can try killing the script using the %s KILL command. Script name is: %s.",
			time.Duration(clock()-r.began).Milliseconds(), kill, r.name)
		b.wake()
	}
}

// goOn runs a script to its end on a worker.
func (x *Exec) goOn(r *scriptRun, kept observe.Kept, spent int64) {
	s, c := x.s, &x.Running
	cl, row := c.C, r.outer.row
	ended := false // the reservation; x.held has its stripes then
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		s.LogPanic(p, "script %s of client %d", r.name, cl.ID)
		x.endPublish()
		if !ended {
			x.letGo() // of what a command of the script has locked
			r.reserved.End(&x.held)
		}
		if r.wrote.Load() {
			s.distrust(cl, p) // the journal may have a part of it, or nothing
		}
		x.letGo()
		r.m.run, r.m.st.Host = nil, nil
		s.scripts.beside.unlist(r)
		s.answer(cl, r.wrote.Load(), []byte("-ERR internal error\r\n"))
	}()
	began := clock()
	var results []lua.Value
	err := lua.ErrSuspended
	for err == lua.ErrSuspended {
		results, err = r.m.st.Continue()
	}
	m := r.m
	out := wire.InParts(cl.Proto())
	r.outer.out, r.outer.inExec = out, false
	r.reserved.End(&x.held)
	ended = true
	db := c.DB()
	r.end(results, err)
	counted := x.errorCounted
	x.errorCounted = false
	c.Use(db)
	x.finish(c)
	x.letGo()
	x.deliverServed()
	ns := clock() - began
	x.countWait(row, ns, spent+ns)
	if spent+ns >= s.slowLeast.Load() {
		s.noteSlow(cl, row, spent+ns, func() observe.Kept { return kept })
	}
	x.enter()
	if after := c.after; after != nil {
		c.after = nil
		after()
	}
	out.Raw(x.own)
	x.own = x.own[:0]
	parts := out.Parts()
	x.countLateFailure(row, parts[0], counted)
	s.answer(cl, r.wrote.Load(), parts...)
	b := &s.scripts.beside
	b.mu.Lock()
	b.spare = append(b.spare, x)
	if r.function == nil {
		b.free = append(b.free, m)
	}
	b.mu.Unlock()
}

// behindScript is for a command that needs a stripe which a script beside the
// loops, or a write (see goBeside), has reserved: it is refused if a script has run
// for long, and comes again else. keys are what it needs; none: all there is.
func (x *Exec) behindScript(c *Ctx, keys []keyspace.Key) {
	b := &x.s.scripts.beside
	b.mu.Lock()
	for _, r := range b.runs {
		if r.reserved != nil && time.Duration(clock()-r.began) >= x.s.busyThreshold() && c.needs(r, keys) {
			text := busyText(r.function != nil)
			b.mu.Unlock() // an EXEC that is refused locks stripes, to watch no more
			x.stats[c.Row.num].Rejected.Add(1)
			x.reject(c, text)
			return
		}
	}
	defer b.mu.Unlock()
	c.C.set(stateBlocked, true)
	c.outcome = Again
	if len(b.runs) == 0 && b.writes == 0 { // it has just ended
		c.C.set(stateBlocked, false)
		c.C.Conn.Deliver(nil)
		return
	}
	b.parked = append(b.parked, c.C)
}

// needs tells whether the command, of these keys, needs a stripe that a script has reserved.
// One that locks all does.
func (c *Ctx) needs(r *scriptRun, keys []keyspace.Key) bool {
	if len(keys) == 0 || r.all || c.Row.Flags&LockAll != 0 || c.Row.AllKeys != nil {
		return true
	}
	return slices.ContainsFunc(keys, func(k keyspace.Key) bool { return r.reserved.Holds(k.Slot) })
}

func busyText(function bool) string {
	if function {
		return "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
	}
	return "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
}

// killScript is SCRIPT KILL, and FUNCTION KILL where function is true. It ends
// all scripts (functions) that run and may be ended.
func (c *Ctx) killScript(function bool) {
	b := &c.S.scripts.beside
	b.mu.Lock()
	defer b.mu.Unlock()
	var killed, others, wrote bool
	for _, r := range b.runs {
		switch {
		case (r.function != nil) != function:
			others = true
		case !r.mayEnd():
			wrote = true
		default:
			r.killed.Store(true)
			killed = true
		}
	}
	switch {
	case killed:
		c.W.OK()
	case wrote:
		c.Err("UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.")
	case others:
		c.Err(busyText(!function))
	default:
		c.Err("NOTBUSY No scripts in execution right now.")
	}
}

// beginsToWrite is asked before a run's first write. It is false where the run is to be ended: who
// ends it has seen that it had written nothing.
func (r *scriptRun) beginsToWrite() bool {
	if !r.listed { // nobody else knows it
		r.wrote.Store(true)
		return true
	}
	b := &r.x.s.scripts.beside
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.killed.Load() && !r.rollback {
		return false
	}
	r.wrote.Store(true)
	return true
}

// endScripts ends the scripts that run, and those that begin to run long, as SCRIPT KILL does: the
// server is going. It tells whether one goes on, because it has written and is not taken back.
func (s *Server) endScripts() (goesOn bool) {
	b := &s.scripts.beside
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ending = true
	for _, r := range b.runs {
		if r.mayEnd() {
			r.killed.Store(true)
		} else {
			goesOn = true
		}
	}
	return goesOn
}

// spareScripts takes that back: the server goes on.
func (s *Server) spareScripts() {
	b := &s.scripts.beside
	b.mu.Lock()
	b.ending = false
	b.mu.Unlock()
}
