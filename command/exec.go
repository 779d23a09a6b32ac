package command

import (
	"bytes"
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

// Exec runs commands for one event loop or one goroutine; it is not safe for
// concurrent use. Everything that must not be shared between loops is here.
type Exec struct {
	s       *Server
	Running Ctx
	held    keyspace.Held // stripes locked now
	due     keyspace.Tx   // for Keyspace.Assist
	late    bool          // see Keyspace.ExpiryLate
	pos     []int
	keys    []keyspace.Key
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

	// Own says that the arguments of the command being run, all of them, lie in memory
	// that nobody else uses or changes: it may keep them.
	Own bool

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

	publishes bool // holds pubsub.Hub.Order
	toldAll   bool // the command has told all who track that all keys changed

	values values

	// requestMost is an upper bound of the requestLen of the command being run: to add up
	// the lengths of the arguments of every command would take longer than all other
	// counting. unknownRequest, which is above every threshold, where there is no bound.
	requestMost int64

	// failure is the first error of what an Applier's command did.
	failure string

	// lap is when the command before ended, by clock; see countCall.
	lap   int64
	tally tally

	// front counts what the requests of other protocols did; see Ctx.Tally. Only this
	// Exec writes.
	front [FrontCounters]atomic.Int64

	// statMu protects the calls, times and histograms of stats, and hits and
	// misses (look-ups), which INFO and the workers of Background share with this
	// Exec. It is held for additions only.
	statMu       lockrank.Mutex[lockrank.ExecStats]
	hits, misses int64

	applies bool   // it is an Applier's
	replays bool   // see Replay
	oom     bool   // the command began where memory was short; for scripts
	beside  bool   // it is a worker's of scripts that have left their loop
	aside   *multi // a transaction that goes on a worker, or has come to it; else nil

	asked asked // see mayCall

	lua    *machine // for scripts; nil until the first
	recent recentScripts
	// fresh is the script of an EVAL that is admitted now and was not known, as
	// scriptFinder.flags has compiled it; queued are those of the transaction that runs, by SHA1.
	fresh  *script
	queued map[string]*script
	// errorCounted: the error that a script has just ended with is in the counts already.
	errorCounted bool
	spareRun     *scriptRun // memory for the next one
}

type execList struct {
	mu        lockrank.Mutex[lockrank.Execs] // protects what follows
	all       []*Exec
	tallyBase [FrontCounters]int64 // see Server.ResetTallies
}

// NewExec makes a runner. It is for good: INFO counts what it did.
// An Exec has room for the figures of every command, so it is not made lightly.
func (s *Server) NewExec() *Exec {
	x := &Exec{s: s, stats: make([]RowStats, s.Table.Size())}
	x.keys = make([]keyspace.Key, 0, 4)
	x.Running = Ctx{Tx: x.newTx(), S: s, x: x}
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

// SetTime sets the moment of the commands that follow, by the system's clock: once
// for each batch.
func (x *Exec) SetTime(t time.Time) {
	t = x.s.Keyspace.At(t)
	x.now = t
	x.nowMs = t.UnixMilli()
	x.clock = uint32(t.Unix()) & 0xffffff
	x.late = x.s.Keyspace.ExpiryLate(x.nowMs)
	if x.nowMs >= x.s.rates.next.Load() {
		x.s.rates.take(x.s, x.nowMs)
	}
}

// Run runs one command of a client and appends its reply to w.
func (x *Exec) Run(c *Client, args [][]byte, w *wire.Writer) Outcome {
	return x.runRow(c, nil, args, w)
}

// runRow is Run for a row that is known. A row of nil is looked up.
func (x *Exec) runRow(c *Client, row *Row, args [][]byte, w *wire.Writer) Outcome {
	x.lap = clock()
	x.requestMost = unknownRequest
	out := x.timedRun(c, row, args, w)
	x.enter()
	return out
}

// lookup finds the row of a client's command.
func (x *Exec) lookup(c *Client, args [][]byte) *Row {
	row := c.lastCmd.Load()
	// A client mostly repeats itself, so the last row is tried before the map.
	if row == nil || !row.called || !EqualFold(args[0], row.Name) {
		if row = x.s.Table.Lookup(args[0]); row == nil && c.applies {
			row = x.s.Table.lookupInside(args[0])
		}
		if row != nil && row.renamed {
			args[0] = []byte(row.Name) // for the journal
		}
	}
	return row
}

// timedRun is Run with x.lap set; enter is to follow. A row of nil is looked up.
func (x *Exec) timedRun(c *Client, row *Row, args [][]byte, w *wire.Writer) (out Outcome) {
	at := len(w.Buf)
	x.replyAt = at
	if row == nil {
		row = x.lookup(c, args)
	}
	ctx := &x.Running
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
	if c.build != nil && out != Again {
		x.s.dropBuild(c)
	}
	if c.made != nil && out != Again { // it was refused when it came again
		c.made = nil
	}
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
	x.Running.Keys, x.Running.Args = nil, nil
	x.fresh = nil
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

// Local tells whether the client came through the loopback or a unix socket.
func (c *Client) Local() bool {
	return c.Unix || strings.HasPrefix(c.Addr, "127.") || strings.HasPrefix(c.Addr, "[::1]")
}

func noteMax(a *atomic.Int64, v int64) {
	for {
		old := a.Load()
		if v <= old || a.CompareAndSwap(old, v) {
			return
		}
	}
}

// Replay says whether the commands that run from now on have happened already, as an
// Applier's have: then nothing expires while they run.
func (x *Exec) Replay(on bool) { x.replays = on }
