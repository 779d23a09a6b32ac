package command

import (
	"errors"
	"net"
	"strconv"
)

// Gates: states of the server in which some commands are not admitted, or run
// differently. Each room sets its own bit; every command loads them all at once.

// Bits of Server.gate.
const (
	gateLoading   uint32 = 1 << iota // the data is being loaded
	gateSnapshots                    // snapshots fail, and writes are to stop then
	gateLog                          // the append-only log cannot be written, and writes are to stop
	gateStalled                      // it is too slow, and writes wait
	gateReadOnly                     // a follower that takes no writes
	gateStale                        // a follower without its leader, which is not to answer then
	gateBehind                       // a follower loads its leader's data while it serves the old
	gateReplicas                     // fewer good replicas than min-replicas-to-write
	gateMemory                       // more memory is in use than maxmemory allows, and that matters now
	gatePaused                       // some commands wait for the end of a pause: pause.mode is not pauseOff
	gateImporting                    // the data is being imported: import-mode is on

	// gateRefuses are the states in which commands are rejected.
	gateRefuses = gatePaused - 1
	// gateOvertakes are those for which a command looks again once it has its locks.
	gateOvertakes = gateReadOnly | gateLoading | gatePaused
)

// setGate says whether a state holds now.
func (s *Server) setGate(bit uint32, on bool) {
	for {
		old := s.gate.Load()
		v := old &^ bit
		if on {
			v |= bit
		}
		if v == old || s.gate.CompareAndSwap(old, v) {
			return
		}
	}
}

// gated rejects a command that the server's state does not admit. What is
// applied (see Applier) is always admitted.
func (x *Exec) gated(ctx *Ctx, gate uint32) bool {
	if ctx.C.applies || gate&gateRefuses == 0 {
		return false
	}
	text := ""
	if gate&gateMemory != 0 && x.outOfMemory(ctx) {
		text = errOOM
	} else {
		text = x.gateText(ctx, gate)
	}
	if text == "" {
		return gate&gateStalled != 0 && x.stalled(ctx)
	}
	x.stats[ctx.Row.num].Rejected.Add(1)
	x.reject(ctx, text)
	return true
}

// redirected sends a client that wants that (CLIENT CAPA redirect) to the leader, for what
// writes, and after READONLY no longer for what reads.
func (x *Exec) redirected(ctx *Ctx) bool {
	if !x.s.following.Load() || !ctx.has(Write) && (ctx.C.readsReplica || !ctx.has(ReadOnly)) {
		return false
	}
	leader := x.s.Config.ReplicaOf.Load()
	if leader.Host == "" {
		return false // it is about to lead
	}
	x.stats[ctx.Row.num].Rejected.Add(1)
	x.rejectAs(ctx, "REDIRECT "+net.JoinHostPort(leader.Host, strconv.Itoa(leader.Port)))
	return true
}

// ReadReplica says whether the client is sent to the leader also for what reads (off), or
// for what writes alone. It returns false for a client that is not sent there at all.
func (c *Ctx) ReadReplica(on bool) bool {
	if !c.C.redirects {
		return false
	}
	c.C.readsReplica = on
	c.C.set(stateReadsReplica, on)
	return true
}

// logText is why the log does not admit writes, "" if it does.
func (s *Server) logText(gate uint32) string {
	if gate&gateLog != 0 {
		if broken := s.persist.Broken(); broken != nil { // nil where the log has just been mended
			return "MISCONF Errors writing to the AOF file: " + reason(broken)
		}
	}
	return ""
}

// gateText is why the server's state does not admit a command, "" if it does.
func (x *Exec) gateText(ctx *Ctx, gate uint32) string {
	log := ""
	writes := ctx.has(Write) || ctx.Row.Flags&ProbesWrites != 0
	if writes {
		log = x.s.logText(gate)
	}
	switch {
	case gate&gateSnapshots != 0 && writes:
		return "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error."
	case log != "":
		return log
	case gate&gateReadOnly != 0 && ctx.has(Write):
		return ErrReadOnly
	case gate&gateStale != 0 && !ctx.all(Stale):
		return errMasterDown
	case gate&gateBehind != 0 && ctx.has(NoAsyncLoading):
		return errLoading
	case gate&gateReplicas != 0 && ctx.has(Write):
		return "NOREPLICAS Not enough good replicas to write."
	case gate&gateLoading != 0 && !ctx.all(Loading):
		return errLoading
	}
	return ""
}

const errLoading = "LOADING Redis is loading the dataset in memory"

const errMasterDown = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."

// ErrReadOnly is what a follower says that takes no writes.
const ErrReadOnly = "READONLY You can't write against a read only replica."

// overtaken keeps back a command that was admitted before a state began in which it is
// not, and got its locks after that. Who loads other contents has emptied these, or a
// part of the others is there. Whoever pauses, or begins to follow, counts on it that
// nothing changes any more. The stripes of the command, and of those that EXEC would
// run, are locked, and one of gateOvertakes holds.
func (x *Exec) overtaken(ctx *Ctx) bool {
	if ctx.C.applies {
		return false
	}
	gate := x.s.gate.Load()
	if gate&gateLoading != 0 && !ctx.all(Loading) {
		x.stats[ctx.Row.num].Rejected.Add(1)
		x.reject(ctx, errLoading)
		return true
	}
	if !ctx.mayWrite() {
		return false
	}
	if gate&gateReadOnly != 0 && ctx.has(Write) {
		x.stats[ctx.Row.num].Rejected.Add(1)
		x.reject(ctx, ErrReadOnly)
		return true
	}
	return gate&gatePaused != 0 && x.paused(ctx)
}

// has tells whether the command, or one of those that EXEC would run, has the flag.
func (c *Ctx) has(flag Flag) bool {
	if c.Flags&flag != 0 {
		return true
	}
	if m := c.C.multi; m != nil && c.Row.Flags&RunsQueue != 0 {
		for _, f := range m.flags {
			if f&flag != 0 {
				return true
			}
		}
	}
	return false
}

// all tells whether the command, and every one that EXEC would run, has the flag.
func (c *Ctx) all(flag Flag) bool {
	if c.Flags&flag == 0 {
		return false
	}
	if m := c.C.multi; m != nil && c.Row.Flags&RunsQueue != 0 {
		for _, f := range m.flags {
			if f&flag == 0 {
				return false
			}
		}
	}
	return true
}

// reason is the innermost text of an error.
func reason(err error) string {
	for {
		in := errors.Unwrap(err)
		if in == nil {
			return err.Error()
		}
		err = in
	}
}
