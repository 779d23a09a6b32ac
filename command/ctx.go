package command

import (
	"time"

	"kvd/keyspace"
	"kvd/resp/wire"
)

// What a command sees of the engine, but for its arguments (args.go), look-ups (lookup.go) and waits (blocking.go, later.go).

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
	beside   bool   // see Beside
	after    func() // see After
	Scratch  []byte

	hits, misses int64 // look-ups of this command; see countLookup
}

// Journaling tells whether effects are wanted; building them may be skipped
// otherwise (but see NoEffect).
func (c *Ctx) Journaling() bool { return c.S.Keyspace.Journal.Active() }

// addEffect notes what the journal is to get. What a script calls after
// redis.set_repl is for the log or for followers alone, or for nobody.
func (c *Ctx) addEffect(db int, args [][]byte) {
	e := keyspace.Effect{DB: db, Args: args, Volatile: c.Row.Flags&Volatile != 0}
	if c.script != nil && c.script.repl != replAll {
		e.Volatile = e.Volatile || c.script.repl&replLog == 0
		e.Local = c.script.repl&replFollowers == 0
		if e.Volatile && e.Local {
			return
		}
	}
	c.effects = append(c.effects, e)
}

// Effect says what happened, in place of the command itself. Several make one
// atomic unit. The arguments may alias the command's.
func (c *Ctx) Effect(args ...[]byte) {
	c.explicit = true
	if c.S.Keyspace.Journal.Active() {
		c.addEffect(c.DB(), args)
	}
}

// EffectIn is Effect for another database.
func (c *Ctx) EffectIn(db int, args ...[]byte) {
	c.explicit = true
	if c.S.Keyspace.Journal.Active() {
		c.addEffect(db, args)
	}
}

// NoEffect says that the command is not to be journaled itself.
func (c *Ctx) NoEffect() { c.explicit = true }

// Moment is the moment of the command, of which Now is the millisecond.
func (c *Ctx) Moment() time.Time { return c.x.now }

// Close ends the connection after the reply.
func (c *Ctx) Close() { c.outcome = Close }

// InExec tells whether the command runs inside EXEC or a script, whose moment is
// none to save at, and which cannot wait.
func (c *Ctx) InExec() bool { return c.inExec }

// HoldsAll tells whether every stripe is locked for the command: it, or the EXEC or
// script around it, needs them.
func (c *Ctx) HoldsAll() bool { return c.x != nil && c.S.Keyspace.HoldsAll(&c.x.held) }

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
