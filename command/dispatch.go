package command

import (
	"bytes"
	"slices"
	"strings"

	"kvd/keyspace"
	"kvd/observe"
)

// The way of one command: checks, locks, the function, effects, unlocking.

// admit does the checks that stand before a command, and replies where one
// fails: does it exist, do the arguments fit in number, may this client call
// it now.
func (x *Exec) admit(ctx *Ctx) bool {
	row, args, c := ctx.Row, ctx.Args, ctx.C
	if row == nil {
		if EqualFold(args[0], "post") || EqualFold(args[0], "host:") {
			x.hangUp(ctx)
		} else {
			x.reject(ctx, unknownCommand(args))
		}
		return false
	}
	if row.Sub != nil && len(args) > 1 {
		sub := row.sub(args[1])
		if sub == nil {
			x.reject(ctx, unknownSub(row, args[1]))
			return false
		}
		row = sub
		ctx.Row = row
	} else if row.Sub != nil && row.Fn == nil {
		x.stats[row.num].Rejected.Add(1)
		x.reject(ctx, "ERR wrong number of arguments for '"+row.full+"' command")
		return false
	}
	if c.lastCmd.Load() != row {
		c.lastCmd.Store(row)
	}
	if !row.ArityOK(len(args)) {
		x.stats[row.num].Rejected.Add(1)
		x.reject(ctx, "ERR wrong number of arguments for '"+row.full+"' command")
		return false
	}
	if c.applies && !row.applied {
		x.notApplied(ctx)
		return false
	}
	if row.Flags&Protected != 0 && !x.protectedOK(ctx) {
		x.stats[row.num].Rejected.Add(1)
		return false
	}
	if !c.Authed && row.Flags&NoAuth == 0 && !x.s.rights.open.Load() {
		x.stats[row.num].Rejected.Add(1)
		x.reject(ctx, errNoAuth)
		return false
	}
	if u := c.limits.Load(); u != nil && !x.permitted(ctx, u) {
		return false
	}
	ctx.Flags = row.Flags
	if row.FlagsFn != nil {
		ctx.Flags = row.FlagsFn(ctx)
	}
	if c.redirects && x.redirected(ctx) {
		return false
	}
	gate := x.s.gate.Load()
	if gate != 0 && x.gated(ctx, gate) {
		return false
	}
	if c.subs != nil && !x.subModeOK(ctx) {
		return false
	}
	if gate&gatePaused != 0 && !c.applies && x.paused(ctx) {
		return false
	}
	if c.multi != nil && row.Flags&RunsInMulti == 0 {
		if row.Flags&NoMulti != 0 {
			x.stats[row.num].Rejected.Add(1)
			x.reject(ctx, "ERR Command not allowed inside a transaction")
			return false
		}
		x.queue(ctx)
		ctx.W.SimpleString("QUEUED")
		return false
	}
	return true
}

// httpLogEvery is how many seconds lie between two warnings of hangUp at least:
// whoever connects must not be able to fill the log.
const httpLogEvery = 60

// hangUp closes a connection that speaks HTTP, without what it was not sent yet:
// it is a browser that a page made send commands here.
func (x *Exec) hangUp(ctx *Ctx) {
	last, now := x.s.httpLogged.Load(), x.now.Unix()
	if now-last > httpLogEvery && x.s.httpLogged.CompareAndSwap(last, now) {
		x.s.Log.Warningf("Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis instance. Connection aborted.")
	}
	ctx.W.Buf = ctx.W.Buf[:0]
	ctx.Close()
}

// reject replies that a command is not run at all; an open transaction fails,
// and ends if it was its EXEC, which says so also where none is open.
func (x *Exec) reject(ctx *Ctx, text string) {
	if ctx.Row != nil && ctx.Row.Flags&RunsQueue != 0 {
		text = "EXECABORT Transaction discarded because of: " + strings.TrimPrefix(text, "ERR ")
	}
	x.rejectAs(ctx, text)
}

// rejectAs is reject that says nothing but text, also of EXEC.
func (x *Exec) rejectAs(ctx *Ctx, text string) {
	isExec := ctx.Row != nil && ctx.Row.Flags&RunsQueue != 0
	if ctx.C.multi != nil {
		ctx.C.multi.aborted = true
		if isExec {
			ctx.C.endMulti()
			if x.held == (keyspace.Held{}) {
				x.s.unwatch(ctx.C)
			} else { // those of the watched keys are locked, too
				x.s.forgetWatch(ctx.C)
			}
		}
	}
	x.s.CountError(text)
	ctx.W.Error(text)
}

// protectedOK checks the directive that guards a command.
func (x *Exec) protectedOK(ctx *Ctx) bool {
	mode := x.s.Config.EnableDebugCommand.Load()
	if mode == "yes" || mode == "local" && ctx.C.Local() {
		return true
	}
	x.reject(ctx, "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.")
	return false
}

// acquire locks the stripes that a command needs. It returns false, with nothing
// locked, where a script that runs beside the loops has some of them: the
// command was refused then, or comes again.
func (x *Exec) acquire(ctx *Ctx) bool {
	row, ks := ctx.Row, x.s.Keyspace
	switch {
	case row.Flags&LockAll != 0 || row.AllKeys != nil && row.AllKeys(x, ctx.Args):
		return x.acquireAll(ctx)
	case len(ctx.Keys) > 0:
		if ctx.C.Conn == nil {
			ks.LockKeysInto(ctx.Keys, &x.held)
		} else if !ks.AcquireKeys(ctx.Keys, &x.held) {
			x.behindScript(ctx, ctx.Keys)
			return false
		}
		if row.Flags&Write == 0 && row.AllKeys == nil || x.widen(ctx.Keys) {
			return true
		}
		x.behindScript(ctx, ctx.Keys)
		return false
	case row.Flags&(Walks|WalksPast) == Walks && ks.Reserved() && ctx.C.Conn != nil:
		x.behindScript(ctx, ctx.Keys)
		return false
	}
	return true
}

// acquireAll is acquire for a command that needs every stripe. A client without a
// connection cannot come again, so it waits.
func (x *Exec) acquireAll(ctx *Ctx) bool {
	if ctx.C.Conn == nil {
		x.held = x.s.Keyspace.LockAll()
	} else if !x.s.Keyspace.AcquireAll(&x.held) {
		x.behindScript(ctx, nil)
		return false
	}
	return true
}

// call runs an admitted command: locks its keys, runs it, journals what it
// changed, serves who waited for it, unlocks.
func (x *Exec) call(ctx *Ctx) {
	row := ctx.Row
	if row.long != nil && x.inParts(ctx) {
		row = row.long
		ctx.Row = row
	}
	if len(ctx.Args) <= keysAsideFrom {
		x.setKeys(ctx)
	} else if !x.setManyKeys(ctx) {
		return
	}
	var cpu int64
	if x.s.Keyspace.Timing() {
		cpu = keyspace.ThreadCPU()
	}
	if !x.acquire(ctx) {
		return
	}
	if x.s.gate.Load()&gateOvertakes == 0 || !x.overtaken(ctx) {
		if len(ctx.Args) > besideFrom && x.mayGoBeside(ctx) {
			x.goBeside(ctx)
			return
		}
		x.start(ctx)
		x.run(ctx)
		x.finish(ctx)
		if ctx.beside {
			ctx.beside = false
			x.goBeside(ctx)
			return
		}
	}
	if x.late && x.held != (keyspace.Held{}) && !ctx.C.applies {
		x.due.Now = x.nowMs
		x.s.Keyspace.Assist(&x.held, &x.due)
	}
	x.letGo()
	if cpu != 0 {
		noteMax(&x.s.Stats.MaxCommandNs, keyspace.ThreadCPU()-cpu)
	}
	x.deliverServed()
	if ctx.after != nil {
		x.runAfter(ctx)
	}
}

// letGo unlocks the stripes of a command that has run.
func (x *Exec) letGo() {
	if x.held != (keyspace.Held{}) {
		x.s.Keyspace.Unlock(&x.held)
	}
}

// deliverServed sends what a command caused for other clients, once nothing is
// locked.
func (x *Exec) deliverServed() {
	if len(x.served) > 0 {
		x.leaveServed()
	}
}

// setKeys computes the declared keys of a command, and in x.pos where they stand.
func (x *Exec) setKeys(ctx *Ctx) {
	x.keys = x.keysInto(ctx, x.keys[:0])
	ctx.Keys = x.keys
}

// keysInto is setKeys that puts the keys into other memory, which is empty and
// has room for one.
func (x *Exec) keysInto(ctx *Ctx, keys []keyspace.Key) []keyspace.Key {
	row, args := ctx.Row, ctx.Args
	if row.KeysFn == nil && row.First > 0 && row.Last == row.First && !row.notKeys {
		keys = keys[:1] // append would copy the key twice
		if x.foreseen != nil && row.First == 1 && !ctx.inExec {
			keys[0] = *x.foreseen
		} else {
			keys[0].Set(args[row.First])
		}
		x.pos = append(x.pos[:0], row.First)
	} else if row.KeysFn != nil || row.First > 0 {
		pos, ok := row.KeyPositions(args, x.pos[:0])
		if ok {
			keys = appendKeys(keys, args, pos)
		}
		x.pos = pos
	}
	return keys
}

// appendKeys computes the keys that stand at the positions pos of args.
func appendKeys(keys []keyspace.Key, args [][]byte, pos []int) []keyspace.Key {
	keys = slices.Grow(keys, len(pos))
	for _, p := range pos {
		keys = append(keys, keyspace.MakeKey(args[p]))
	}
	return keys
}

// start points the Tx at the client's database and the batch's moment.
func (x *Exec) start(ctx *Ctx) {
	if len(ctx.Keys) > 0 || x.held != (keyspace.Held{}) {
		ctx.Use(int(ctx.C.db.Load()))
	} else {
		ctx.UseNone(int(ctx.C.db.Load()))
	}
	ctx.Now, ctx.Clock = x.nowMs, x.clock
	ctx.NoTouch = ctx.C.NoTouch && ctx.Row.Flags&AlwaysTouches == 0
	ctx.Replaying, ctx.HideExpired = x.replays, false
	if gate := x.s.gate.Load() & (gatePaused | gateImporting); gate != 0 || x.s.following.Load() {
		ctx.Replaying = x.replays || gate&gateImporting != 0 && ctx.C.imports
		ctx.HideExpired = gate&gatePaused != 0 || ctx.Row.Flags&Write == 0
	}
	x.s.access.begin(ctx)
}

// run calls the function and counts.
func (x *Exec) run(ctx *Ctx) {
	at, start := len(ctx.W.Buf), x.lap
	st := &x.stats[ctx.Row.num]
	if x.tally.st != st {
		x.enter() // the command may be INFO
	}
	ctx.Row.Fn(ctx)
	if ctx.outcome == Again { // it counts when it comes again
		x.lap = clock()
		ctx.hits, ctx.misses = 0, 0
		return
	}
	ns := x.countCall(ctx, st, start)
	if ctx.outcome == Parked {
		x.tally.waits = true
		if wt := ctx.C.blocked.Load(); wt != nil {
			wt.ns = ns
		}
	} else if ns >= x.s.slowLeast.Load() {
		x.s.noteSlow(ctx.C, ctx.Row, ns, func() observe.Kept { return x.s.slowArgs(ctx.Row, ctx.Args) })
	}
	if x.requestMost+int64(len(ctx.W.Buf)-at) >= x.s.Logs.Least.Load() {
		x.s.noteLarge(ctx.C, ctx.Row, ctx.Args, len(ctx.W.Buf)-at)
	}
	if h := x.s.HotKeys.Noting.Load(); h != nil {
		x.noteKeys(h, ctx, ns, len(ctx.W.Buf)-at)
	}
	if m := x.s.monitors.all.Load(); m != nil && ctx.Row.Flags&(Admin|SkipMonitor) == 0 {
		x.s.feedMonitors(*m, ctx.C, ctx.script != nil, ctx.Row, ctx.Args)
	}
	if ctx.C.track.reads {
		x.s.tracking.remember(ctx)
	}
	if reply := ctx.W.Buf[at:]; len(reply) > 0 && reply[0] == '-' || x.errorCounted {
		x.countFailure(ctx.Row, reply)
	}
}

// countFailure counts a reply that is an error.
func (x *Exec) countFailure(row *Row, reply []byte) {
	counted := x.errorCounted
	x.errorCounted = false
	if len(reply) == 0 || reply[0] != '-' {
		return
	}
	x.stats[row.num].Failed.Add(1)
	line := errorLine(reply)
	if x.Running.C.applies && x.failure == "" {
		x.failure = line
	}
	if counted {
		return
	}
	x.s.CountError(line)
}

// countLateFailure is countFailure of a reply that a worker has made, which may count
// for the Exec of a loop.
func (x *Exec) countLateFailure(row *Row, reply []byte, counted bool) {
	if len(reply) == 0 || reply[0] != '-' {
		return
	}
	x.stats[row.num].Failed.Add(1)
	if !counted {
		x.s.CountError(errorLine(reply))
	}
}

// errorLine is what an error replies, without the protocol's signs.
func errorLine(reply []byte) string {
	line, _, _ := bytes.Cut(reply[1:], []byte("\r"))
	return string(line)
}

// finish journals the command's effects and serves blocked clients.
func (x *Exec) finish(ctx *Ctx) {
	checkKeys(ctx)
	if ctx.Dirty > 0 && ctx.Row.Flags&(Write|MayReplicate) != 0 {
		x.s.Stats.DirtySinceSave.Add(int64(ctx.Dirty))
		if !ctx.explicit && x.s.Keyspace.Journal.Active() {
			ctx.addEffect(ctx.DB(), ctx.Args)
		}
		x.s.noteWhose(ctx, ctx.C.applies)
	}
	if ctx.inExec {
		return // EXEC does the rest at its end
	}
	if len(ctx.ready) > 0 {
		x.serveReady(ctx)
	}
	x.journal(ctx)
	if x.publishes {
		x.endPublish()
	}
}

// noteWritten notes how far stream and log are with a client's changes, for WAIT and
// WAITAOF. They have just been journaled, and their stripes are locked.
func (s *Server) noteWritten(c *Client) {
	if c != nil {
		c.written.Store(s.replication.Offset())
		c.logged.Store(s.persist.Appended())
	}
}

// journal appends the effects said so far as one unit.
func (x *Exec) journal(ctx *Ctx) {
	if len(ctx.effects) > 0 {
		x.s.Keyspace.Journal.AppendAll(ctx.effects)
		x.s.noteWritten(ctx.C)
		clear(ctx.effects)
		ctx.effects = ctx.effects[:0]
	}
}
