package command

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/resp/wire"
	"kvd/types"
)

// Outcome tells the transport how to go on after a command.
type Outcome uint8

// The outcomes.
const (
	Done   Outcome = iota
	Parked         // read no further command before Conn.Deliver
	Again          // Parked, and this command is to be given to Run again then
	Close          // send what is replied, then close
)

// Ctx is one command being run: its arguments, its keys, its moment (the
// embedded Tx) and its reply. It is reused; nothing may keep it, nor its
// arguments, which alias the read buffer.
type Ctx struct {
	keyspace.Tx
	W    *wire.Writer
	Args [][]byte
	Keys []keyspace.Key // the declared keys, in the order of the arguments
	C    *Client
	S    *Server
	Row  *Row
	// Flags are those of this call: Row.Flags, or what Row.FlagsFn says.
	Flags Flag

	x        *Exec
	effects  []keyspace.Effect
	explicit bool // the effects are said; the command itself is not one
	ready    []readyKey
	inExec   bool       // inside EXEC or a script: nothing may park
	script   *scriptRun // the script that the command is part of
	unmuted  bool       // the reply is pushes, which CLIENT REPLY lets through
	whole    bool       // the reply is of an EXEC that began with replies on; see mute
	outcome  Outcome
	after    func() // see After
	scratch  []byte

	hits, misses int64 // look-ups of this command; see countLookup
}

// Exec runs commands for one event loop or one goroutine; it is not safe for
// concurrent use. Everything that must not be shared between loops is here.
type Exec struct {
	s    *Server
	ctx  Ctx
	held keyspace.Held // stripes locked now
	due  keyspace.Tx   // for Keyspace.Assist
	late bool          // see Keyspace.ExpiryLate
	pos  []int
	keys []keyspace.Key
	// multi is memory for the next transaction; see keepMulti.
	multi *multi

	// Ahead and AheadArgs are memory that the front end uses while it reads a
	// pipeline ahead; they are here because an Exec runs one batch at a time.
	Ahead     []Pending
	AheadArgs [][]byte

	// Buffer is the front end's memory that the arguments lie in, if a command may
	// keep it for good, which Taken then says; see take.
	Buffer []byte
	Taken  bool

	// replyAt is where the reply of the command being run begins in its Writer.
	replyAt int

	// members is memory for foreseeMembers.
	members [types.ForeseeMax][]byte

	// foreseen is the key of Args[1], if it is computed already.
	foreseen *keyspace.Key

	// stats by Row.Num; see RowStats.
	stats []RowStats

	// now is the clock of the batch of commands that came together.
	now   time.Time
	nowMs int64
	clock uint32

	// Blocked clients; see blocking.go.
	trying *waiter // being served right now
	answer wire.Writer
	served []*waiter // that still stand in lists
	events []event   // that serving has caused; see Ctx.Notify

	client *Client // whose command runs
	own    []byte  // messages that it has caused to itself; see tellOwn
	gift   []byte  // those of serving a blocked client to that one, behind its reply

	publishes bool // holds pubsub.order
	toldAll   bool // the command has told all who track that all keys changed

	values values

	// failure is the first error of what an Applier's command did.
	failure string

	// lap is when the command before ended, by clock; see countCall.
	lap   int64
	tally tally

	// statMu protects the calls, times and histograms of stats, and hits and
	// misses (look-ups), which INFO and the workers of Background share with this
	// Exec. It is held for additions only.
	statMu       lockrank.Mutex[lockrank.ExecStats]
	hits, misses int64

	applies bool // it is an Applier's
	oom     bool // the command began where memory was short; for scripts
	beside  bool // it is a worker's of scripts that have left their loop

	asked asked // see mayCall

	lua      *machine   // for scripts; nil until the first
	spareRun *scriptRun // memory for the next one
}

type execList struct {
	mu  lockrank.Mutex[lockrank.Execs] // protects all
	all []*Exec
}

// NewExec makes a runner. It is for good: INFO counts what it did.
// An Exec has room for the figures of every command, so it is not made lightly.
func (s *Server) NewExec() *Exec {
	x := &Exec{s: s, stats: make([]RowStats, s.Table.Size())}
	x.keys = make([]keyspace.Key, 0, 4)
	x.ctx = Ctx{Tx: x.newTx(), S: s, x: x}
	x.due = *s.Keyspace.NewTx()
	s.execs.mu.Lock()
	s.execs.all = append(s.execs.all, x)
	s.execs.mu.Unlock()
	return x
}

// newTx is a Tx whose changes are known as this Exec's.
func (x *Exec) newTx() keyspace.Tx {
	tx := x.s.Keyspace.NewTx()
	tx.By = x
	return *tx
}

// SetTime sets the moment of the commands that follow: once for each batch.
func (x *Exec) SetTime(t time.Time) {
	x.now = t
	x.nowMs = t.UnixMilli()
	x.clock = uint32(t.Unix()) & 0xffffff
	x.late = x.s.Keyspace.ExpiryLate(x.nowMs)
	if x.nowMs >= x.s.rates.next.Load() {
		x.s.rates.take(x.s, x.nowMs)
	}
}

// Pending is a command of a pipeline that has been read but not run.
type Pending struct {
	Args  [][]byte
	End   int           // where it ends in the input
	key   keyspace.Key  // of the first argument, which mostly is the key
	keyed *keyspace.Key // that one, or the same of a command before; nil: not known
	// follows: nothing but commands ran since x.lap; more: another one follows this.
	follows, more bool
}

// Set makes p a command that nothing is foreseen of.
func (p *Pending) Set(args [][]byte, end int) {
	p.Args, p.End = args, end
	p.keyed, p.follows, p.more = nil, false, false
}

// first tells whether no command right before has the same key.
func (p *Pending) first() bool { return p.keyed == &p.key }

// Foresee brings the keys of commands that were Set and are about to run nearer, all of
// them side by side; see keyspace.PrefetchTable.
func (x *Exec) Foresee(c *Client, cmds []Pending) {
	ks, db := x.s.Keyspace, int(c.db.Load())
	more := false
	for i := range cmds {
		p := &cmds[i]
		p.follows, p.more = i > 0, i+1 < len(cmds)
		if len(p.Args) < 2 {
			continue
		}
		if i > 0 && cmds[i-1].keyed != nil && bytes.Equal(p.Args[1], cmds[i-1].Args[1]) {
			p.keyed = cmds[i-1].keyed
			continue
		}
		p.key.Set(p.Args[1])
		p.keyed = &p.key
		if ks.PrefetchTable(db, &p.key) {
			more = true
		}
	}
	if more {
		for i := range cmds {
			if cmds[i].first() {
				ks.PrefetchSegment(db, &cmds[i].key)
			}
		}
	}
	for i := range cmds {
		if cmds[i].first() {
			ks.PrefetchEntry(db, &cmds[i].key)
		}
	}
	for i := 0; i < len(cmds); {
		n := 1
		for i+n < len(cmds) && cmds[i].first() && cmds[i+n].keyed == cmds[i].keyed {
			n++
		}
		if n > 1 {
			x.foreseeMembers(db, cmds[i:i+n])
		}
		i += n
	}
}

// foreseeMembers does the same for members of a big collection that several
// commands in a row ask for.
func (x *Exec) foreseeMembers(db int, cmds []Pending) {
	members := &x.members
	n := 0
	var row *Row
	for i := range cmds {
		args := cmds[i].Args
		if row == nil || !equalFold(args[0], row.Name) {
			if row = x.s.Table.Lookup(args[0]); row == nil {
				continue
			}
		}
		if at := int(row.MemberAt); at > 0 && at < len(args) && n < len(members) {
			members[n] = args[at]
			n++
		}
	}
	if n > 1 {
		x.s.Keyspace.PrefetchMembers(db, &cmds[0].key, members[:n])
	}
	clear(members[:n]) // they alias the input
}

// RunPending is Run for a command that Foresee has seen.
func (x *Exec) RunPending(c *Client, p *Pending, w *wire.Writer) Outcome {
	x.foreseen = p.keyed
	if !p.follows {
		x.lap = clock()
	}
	out := x.timedRun(c, p.Args, w)
	x.foreseen = nil
	if !p.more || out != Done {
		x.enter()
	}
	return out
}

// Run runs one command of a client and appends its reply to w.
func (x *Exec) Run(c *Client, args [][]byte, w *wire.Writer) Outcome {
	x.lap = clock()
	out := x.timedRun(c, args, w)
	x.enter()
	return out
}

// timedRun is Run with x.lap set; enter is to follow.
func (x *Exec) timedRun(c *Client, args [][]byte, w *wire.Writer) (out Outcome) {
	at := len(w.Buf)
	x.replyAt = at
	row := c.lastCmd.Load()
	// A client mostly repeats itself, so the last row is tried before the map.
	if row == nil || row.parent != nil || row.renamed || !equalFold(args[0], row.Name) {
		if row = x.s.Table.Lookup(args[0]); row == nil && c.applies {
			row = x.s.Table.lookupInside(args[0])
		}
		if row != nil && row.renamed {
			args[0] = []byte(row.Name) // for the journal
		}
	}
	ctx := &x.ctx
	ctx.W, ctx.Args, ctx.C, ctx.Row = w, args, c, row
	ctx.outcome, ctx.explicit, ctx.unmuted, ctx.whole, ctx.Dirty = Done, false, false, false, 0
	x.client, x.toldAll, x.oom = c, false, false
	w.Proto = int(c.proto.Load())
	defer x.recover(c, w, at, &out)
	if c.active.Load() != x.nowMs {
		c.active.Store(x.nowMs)
	}
	if x.admit(ctx) {
		x.call(ctx)
	}
	out = ctx.outcome
	if out != Parked && out != Again && c.Reply != ReplyOn { // else a worker may write it
		if ctx.unmuted && ctx.Row.Flags&PubSub != 0 {
			at = len(w.Buf)
		}
		if ctx.whole {
			at = len(w.Buf)
		}
		x.mute(c, w, min(at, len(w.Buf)))
	}
	if len(x.own) > 0 {
		x.tellOwn(c, w, out)
	}
	if c.track.caching && c.multi == nil && (ctx.Row == nil || ctx.Row.Flags&KeepsCaching == 0) {
		c.track.caching = false
	}
	return out
}

// keepKeys is how many keys an Exec has room for between two batches.
const keepKeys = 4096

// Forget lets go of the arguments and keys of the commands that ran, and of the
// memory that they lie in. The front end calls it after a batch that was long:
// nothing else may come for long.
func (x *Exec) Forget() {
	if cap(x.keys) > keepKeys {
		x.keys, x.pos = make([]keyspace.Key, 0, 4), nil
	}
	clear(x.keys[:cap(x.keys)])
	clear(x.Ahead[:cap(x.Ahead)])
	x.ctx.Keys, x.ctx.Args = nil, nil
}

// takeLeast is the least argument whose memory is kept instead of copied, in bytes.
// An inline argument is shorter, and may lie in memory that is used again.
const takeLeast = 128 << 10

// take tells whether a command may keep an argument, and with it the memory that
// it lies in. That must be most of what is kept.
func (c *Ctx) take(arg []byte) bool {
	x := c.x
	if len(arg) < takeLeast || x == nil {
		return false
	}
	if c.inExec {
		// The queue has memory of its own for each long argument. What is journaled is
		// read only at the end of EXEC, when a later command may have changed it.
		return !c.S.Keyspace.Journal.Active()
	}
	if cap(x.Buffer) == 0 || len(arg) < cap(x.Buffer)/2 || x.Taken {
		return false
	}
	x.Taken = true
	return true
}

// tellOwn sends a client the messages that its own command caused, behind the
// reply if that is written.
func (x *Exec) tellOwn(c *Client, w *wire.Writer, out Outcome) {
	if out == Done || out == Close {
		w.Buf = append(w.Buf, x.own...)
	} else if c.Conn != nil {
		c.Conn.Push(bytes.Clone(x.own))
	}
	x.own = x.own[:0]
}

// mute takes back a reply that CLIENT REPLY does not want. Inside EXEC that says what is
// to be done with the replies behind EXEC's, of which no part may be missing.
func (x *Exec) mute(c *Client, w *wire.Writer, at int) {
	switch c.Reply {
	case ReplyOff, ReplySkip:
		w.Buf = w.Buf[:at]
		if c.Reply == ReplySkip {
			c.Reply = ReplyOn
		}
	case ReplySkipNext:
		c.Reply = ReplySkip
	}
}

// recover keeps a panic inside one command from harming anyone else.
func (x *Exec) recover(c *Client, w *wire.Writer, at int, out *Outcome) {
	r := recover()
	if r == nil {
		return
	}
	if row := x.ctx.Row; row != nil && row.Flags&Write != 0 && x.held != (keyspace.Held{}) {
		for i := range x.ctx.Keys { // what it may have changed before it could say so
			x.ctx.Changed(&x.ctx.Keys[i])
		}
	}
	x.afterPanic(r)
	x.endPublish()
	x.s.Keyspace.Unlock(&x.held)
	if x.trying != nil {
		x.trying.state.Store(waiting)
		x.trying, x.events, x.gift = nil, nil, nil
	}
	x.leaveServed()
	name := "?"
	if x.ctx.Row != nil {
		name = x.ctx.Row.full
	}
	x.s.Log.Warningf("Panic in command '%s' of client %d: %v\n%s", name, c.ID, r, debug.Stack())
	w.Buf = append(w.Buf[:at], "-ERR internal error\r\n"...)
	x.ctx.effects, x.ctx.ready, x.ctx.inExec, x.ctx.after = nil, nil, false, nil
	x.ctx.Tx = x.newTx()
	x.tellOwn(c, w, Done)
	*out = Done
}

// afterPanic keeps log and followers true to the contents after a panic with r. What
// commands of an EXEC before it have done is journaled; what a command that writes
// has done nobody knows. The stripes are still locked.
func (x *Exec) afterPanic(r any) {
	ctx := &x.ctx
	defer func() {
		if again := recover(); again != nil { // it was the journal itself
			x.s.distrust(ctx.C, again)
		}
	}()
	if ctx.Row != nil && ctx.Row.Flags&Write != 0 || x.trying != nil {
		x.s.distrust(ctx.C, r)
	}
	if len(ctx.effects) > 0 {
		x.journal(ctx)
	}
}

// distrust is for changes that neither log nor followers know: the log begins
// anew, and followers synchronize anew. On c, if it applies a leader's stream, that
// ends the link as well, and what follows is a full synchronization. Stripes may
// be locked.
func (s *Server) distrust(c *Client, why any) {
	if c == nil || !c.applies {
		s.replication.Distrust()
	}
	if c == nil || !c.applies || c.streams { // else the log is being loaded
		s.persist.Distrust(fmt.Errorf("a command failed half way: %v", why))
	}
}

// admit does the checks that stand before a command, and replies where one
// fails: does it exist, do the arguments fit in number, may this client call
// it now.
func (x *Exec) admit(ctx *Ctx) bool {
	row, args, c := ctx.Row, ctx.Args, ctx.C
	if row == nil {
		if equalFold(args[0], "post") || equalFold(args[0], "host:") {
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
	if !row.arityOK(len(args)) {
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
	if gate := x.s.gate.Load(); gate != 0 && x.gated(ctx, gate) {
		return false
	}
	if c.subs != nil && !x.subModeOK(ctx) {
		return false
	}
	if x.s.pause.mode.Load() != pauseOff && !c.applies && x.paused(ctx) {
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

// httpLogEvery is how many seconds lie between two warnings of hangUp at least:
// whoever connects must not be able to fill the log.
const httpLogEvery = 60

// reject replies that a command is not run at all; an open transaction fails,
// and ends if it was its EXEC, which says so also where none is open.
func (x *Exec) reject(ctx *Ctx, text string) {
	isExec := ctx.Row != nil && ctx.Row.Flags&RunsQueue != 0
	if isExec {
		text = "EXECABORT Transaction discarded because of: " + strings.TrimPrefix(text, "ERR ")
	}
	if ctx.C.multi != nil {
		ctx.C.multi.aborted = true
		if isExec {
			ctx.C.endMulti()
			if x.held == (keyspace.Held{}) {
				x.s.unwatch(ctx.C)
			} else { // those of the watched keys are locked, too
				x.s.watches.forget(ctx.C)
			}
		}
	}
	x.s.countError(text)
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

// Local tells whether the client came through the loopback or a unix socket.
func (c *Client) Local() bool {
	return c.Unix || strings.HasPrefix(c.Addr, "127.") || strings.HasPrefix(c.Addr, "[::1]")
}

// acquire locks the stripes that a command needs. It returns false, with nothing
// locked, where a script that runs beside the loops has some of them: the
// command was refused then, or comes again.
func (x *Exec) acquire(ctx *Ctx) bool {
	row, ks := ctx.Row, x.s.Keyspace
	switch {
	case row.Flags&LockAll != 0 || row.AllKeys != nil && row.AllKeys(x.s, ctx.Args):
		return x.acquireAll(ctx)
	case len(ctx.Keys) > 0:
		if ctx.C.Conn == nil {
			ks.LockKeysInto(ctx.Keys, &x.held)
		} else if !ks.AcquireKeys(ctx.Keys, &x.held) {
			x.behindScript(ctx)
			return false
		}
		if row.Flags&Write == 0 && row.AllKeys == nil || x.widen(ctx.Keys) {
			return true
		}
		x.behindScript(ctx)
		return false
	case row.Flags&(Walks|WalksPast) == Walks && ks.Reserved() && ctx.C.Conn != nil:
		x.behindScript(ctx)
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
		x.behindScript(ctx)
		return false
	}
	return true
}

// call runs an admitted command: locks its keys, runs it, journals what it
// changed, serves who waited for it, unlocks.
func (x *Exec) call(ctx *Ctx) {
	row := ctx.Row
	x.setKeys(ctx)
	var cpu int64
	if x.s.Keyspace.Timing() {
		cpu = keyspace.ThreadCPU()
	}
	if !x.acquire(ctx) {
		return
	}
	if ctx.Flags&Write == 0 && row.FlagsFn == nil || !x.overtaken(ctx) {
		x.start(ctx)
		x.run(ctx)
		x.finish(ctx)
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
		pos, ok := row.keyPositions(args, x.pos[:0])
		if ok {
			for _, p := range pos {
				keys = append(keys, keyspace.MakeKey(args[p]))
			}
		}
		x.pos = pos
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
	if ctx.C.applies {
		ctx.Replaying = true
	}
	ctx.HideExpired = x.s.pause.mode.Load() != pauseOff || x.s.following.Load() && ctx.Row.Flags&Write == 0
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
	ns := x.countCall(ctx, st, start)
	if ctx.outcome == Parked {
		x.tally.waits = true
		if wt := ctx.C.blocked.Load(); wt != nil {
			wt.ns = ns
		}
	} else if ns >= x.s.slowness.least.Load() {
		x.s.noteSlow(ctx.C, ctx.Row, ns, func() []string { return x.s.slowArgs(ctx.Row, ctx.Args) })
	}
	if m := x.s.monitors.all.Load(); m != nil && ctx.Row.Flags&(Admin|SkipMonitor) == 0 {
		x.s.feedMonitors(*m, ctx.C, ctx.script != nil, ctx.Row, ctx.Args)
	}
	if ctx.C.track.reads {
		x.s.tracking.remember(ctx)
	}
	x.countFailure(ctx.Row, ctx.W.Buf[at:])
}

// countFailure counts a reply that is an error.
func (x *Exec) countFailure(row *Row, reply []byte) {
	if len(reply) == 0 || reply[0] != '-' {
		return
	}
	st := &x.stats[row.num]
	st.Failed.Store(st.Failed.Load() + 1)
	line, _, _ := bytes.Cut(reply[1:], []byte("\r"))
	if x.ctx.C.applies && x.failure == "" {
		x.failure = string(line)
	}
	x.s.countError(string(line))
}

// finish journals the command's effects and serves blocked clients.
func (x *Exec) finish(ctx *Ctx) {
	if ctx.Dirty > 0 && ctx.Row.Flags&(Write|MayReplicate) != 0 {
		x.s.Stats.DirtySinceSave.Add(int64(ctx.Dirty))
		if !ctx.explicit && x.s.Keyspace.Journal.Active() {
			ctx.effects = append(ctx.effects, keyspace.Effect{DB: ctx.DB(), Args: ctx.Args, Volatile: ctx.Row.Flags&Volatile != 0})
		}
		if x.s.following.Load() && !ctx.C.applies {
			x.s.noteOwn(ctx)
		}
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

// journal appends the effects said so far as one unit.
func (x *Exec) journal(ctx *Ctx) {
	if len(ctx.effects) > 0 {
		x.s.Keyspace.Journal.AppendAll(ctx.effects)
		if ctx.C != nil {
			ctx.C.written.Store(x.s.replication.Offset())
			ctx.C.logged.Store(x.s.persist.Appended())
		}
		clear(ctx.effects)
		ctx.effects = ctx.effects[:0]
	}
}

// Journaling tells whether effects are wanted; building them may be skipped
// otherwise (but see NoEffect).
func (c *Ctx) Journaling() bool { return c.S.Keyspace.Journal.Active() }

// Effect says what happened, in place of the command itself. Several make one
// atomic unit. The arguments may alias the command's.
func (c *Ctx) Effect(args ...[]byte) {
	c.explicit = true
	if c.S.Keyspace.Journal.Active() {
		c.effects = append(c.effects, keyspace.Effect{DB: c.DB(), Args: args, Volatile: c.Row.Flags&Volatile != 0})
	}
}

// EffectIn is Effect for another database.
func (c *Ctx) EffectIn(db int, args ...[]byte) {
	c.explicit = true
	if c.S.Keyspace.Journal.Active() {
		c.effects = append(c.effects, keyspace.Effect{DB: db, Args: args, Volatile: c.Row.Flags&Volatile != 0})
	}
}

// NoEffect says that the command is not to be journaled itself.
func (c *Ctx) NoEffect() { c.explicit = true }

// Close ends the connection after the reply.
func (c *Ctx) Close() { c.outcome = Close }

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
	start(func() {
		defer func() {
			if r := recover(); r != nil {
				s.Log.Warningf("Panic in command '%s' of client %d: %v\n%s", name, cl.ID, r, debug.Stack())
				cl.Conn.Deliver([]byte("-ERR internal error\r\n"))
			}
		}()
		f(w)
		ns := clock() - began
		x.countWait(row, ns, spent+ns)
		if spent+ns >= s.slowness.least.Load() {
			s.noteSlow(cl, row, spent+ns, func() []string { return kept })
		}
		cl.Conn.Deliver(w.Parts()...)
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
	cl, reply := ctx.C, slices.Concat(ctx.W.Buf[x.replyAt:], x.own)
	x.own = x.own[:0]
	ctx.W.Buf = ctx.W.Buf[:x.replyAt]
	ctx.outcome = Parked
	go func() {
		f()
		cl.Conn.Deliver(reply)
	}()
}

// ChangeLater is how a command that went to the background changes keys after
// all: it locks their stripes and calls f with a Ctx of database db and of this
// moment, with which f looks up, changes, counts Dirty, says Effects and
// notifies as a command does. What f says is journaled as one unit before the
// locks are free. While writes are paused it waits for the end of the pause; f is
// not called where the server has become a follower that takes no writes.
//
// f has no client, no row, no arguments and no reply; it must touch no other keys, do no
// I/O, and make no key ready for those who wait. The caller must hold no stripe,
// so it must not be inside EXEC (where a background function is told that it
// runs locked, and has the command's own Ctx).
func (s *Server) ChangeLater(db int, keys []keyspace.Key, f func(c *Ctx)) {
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
	now := time.Now()
	tx := s.Keyspace.NewTx()
	tx.By = (*Exec)(nil) // a command, but nobody's turn
	c := &Ctx{Tx: *tx, S: s, Keys: keys, Row: &laterRow, explicit: true}
	c.Use(db)
	c.Now, c.Clock, c.NoTouch = now.UnixMilli(), uint32(now.Unix())&clockMask, true
	f(c)
	if len(c.ready) > 0 {
		panic("command: a key was made ready after its command")
	}
	s.Stats.DirtySinceSave.Add(int64(c.Dirty))
	s.Keyspace.Journal.AppendAll(c.effects)
}

// laterRow stands for the command in ChangeLater: its look-ups are not counted.
var laterRow Row

// pausePoll is how often ChangeLater looks whether a pause is over.
const pausePoll = 10 * time.Millisecond

// InExec tells whether the command runs inside EXEC or a script, whose moment is
// none to save at, and which cannot wait.
func (c *Ctx) InExec() bool { return c.inExec }

// HoldsAll tells whether every stripe is locked for the command: it, or the EXEC or
// script around it, needs them.
func (c *Ctx) HoldsAll() bool { return c.x != nil && c.S.Keyspace.HoldsAll(&c.x.held) }

func unknownCommand(args [][]byte) string {
	var b strings.Builder
	for _, a := range args[1:] {
		if b.Len() >= 128 {
			break
		}
		fmt.Fprintf(&b, "'%s' ", quoted(a, 128-b.Len()))
	}
	return fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", quoted(args[0], 128), b.String())
}

func unknownSub(row *Row, name []byte) string {
	return fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", quoted(name, 128), strings.ToUpper(row.Name))
}

func noteMax(a *atomic.Int64, v int64) {
	for {
		old := a.Load()
		if v <= old || a.CompareAndSwap(old, v) {
			return
		}
	}
}

// errorStats counts error replies by their code.
type errorStats struct {
	mu  lockrank.Mutex[lockrank.Errors] // protects n and all
	n   map[string]int64
	all int64
}

// errorStatsMax bounds the codes that are told apart; an error's code comes
// from a reply, which a script can choose.
const errorStatsMax = 128

func (s *Server) countError(text string) {
	code, _, _ := strings.Cut(text, " ")
	s.errors.mu.Lock()
	defer s.errors.mu.Unlock()
	s.errors.all++
	if s.errors.n == nil {
		s.errors.n = make(map[string]int64)
	}
	if _, known := s.errors.n[code]; known || len(s.errors.n) < errorStatsMax {
		s.errors.n[code]++
	}
}
