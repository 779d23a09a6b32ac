package command

import (
	"fmt"
	"strings"
	"time"

	"kvd/resp/wire"
)

// Applier runs effects that have happened already: those of the append-only
// log, or of a leader's stream. They take the same way as a client's commands,
// but for what decides whether a command may run now: no password, pause or
// state of the server stops them, nothing expires behind their back, and they
// never wait. MULTI and EXEC frame units as they do for clients.
//
// Nothing else is run. A leader, or whoever forged a log, may do what a client could
// do to the data, and no more: no DEBUG, no change of roles or of the configuration,
// no save, no connection elsewhere. (Such commands would also wait for the goroutine that
// applies them.) Commands that only read are passed over.
//
// An Applier is used by one goroutine.
type Applier struct {
	s *Server
	x *Exec
	c *Client
	w wire.Writer
	// timed: the caller sets the moment; see SetTime.
	timed bool
}

// NewApplier makes an Applier on database 0. It is not among the clients. Like its
// Exec it is for good.
func (s *Server) NewApplier() *Applier {
	c := &Client{Created: time.Now(), applies: true, Authed: true}
	c.proto.Store(2)
	x := s.NewExec()
	x.applies = true
	x.Replay(true)
	return &Applier{s: s, x: x, c: c}
}

// NewStreamApplier is NewApplier for a leader's stream, which is bound by the limit
// of a string's length as clients are. (What a log holds was within the limit of its
// time.)
func (s *Server) NewStreamApplier() *Applier {
	a := s.NewApplier()
	a.c.streams = true
	return a
}

// Applies tells whether the command is an effect: of a log that is loaded, or of a
// leader's stream.
func (c *Ctx) Applies() bool { return c.C.applies }

// FromLog tells whether the command stands in a log that is loaded.
func (c *Ctx) FromLog() bool { return c.C.applies && !c.C.streams }

// LoggedStringMax is the length in bytes up to which a log may make a string,
// whatever proto-max-bulk-len is now.
const LoggedStringMax = 4 << 30

// effect tells whether the command may stand in a log or in a leader's stream.
func (r *Row) effect() bool {
	return r.Flags&Frames != 0 || r.Flags&(Write|MayReplicate|Applied) != 0 && r.Flags&(Admin|Protected|NotApplied) == 0
}

// notApplied is for a command that has no place among effects.
func (x *Exec) notApplied(ctx *Ctx) {
	if ctx.Row.Flags&ReadOnly == 0 {
		x.reject(ctx, "ERR the command may not stand in a log or in a leader's stream")
	}
}

// Reset drops an open MULTI and selects database 0.
func (a *Applier) Reset() {
	a.c.endMulti()
	a.Select(0)
}

// Select chooses the database of what follows.
func (a *Applier) Select(db int) { a.c.db.Store(int32(db)) }

// DB is the database that is selected.
func (a *Applier) DB() int { return a.c.DB() }

// Paused tells whether the clients are paused (CLIENT PAUSE, or while the server
// reloads its contents). A follower's stream waits then; Apply itself does not.
func (a *Applier) Paused() bool { return a.s.pause.mode.Load() != pauseOff }

// InMulti tells whether a MULTI waits for its EXEC.
func (a *Applier) InMulti() bool { return a.c.multi != nil }

// SetTime sets the moment of what follows, until it is called again: reading the
// clock for each command costs as much as a small command.
func (a *Applier) SetTime(t time.Time) {
	a.timed = true
	a.x.SetTime(t)
}

// Apply runs one command. An error names the command that could not be
// applied, and why; after EXEC, the first of its commands that failed.
func (a *Applier) Apply(args [][]byte) error {
	if !a.timed {
		a.x.SetTime(time.Now())
	}
	a.w.Buf = a.w.Buf[:0]
	var row *Row
	if carriesFlags(args) {
		row, args = a.flags(args[1])
	}
	if out := a.x.runRow(a.c, row, args, &a.w); out == Parked || out == Again {
		return fmt.Errorf("the command '%s' would have to wait", quoted(args[0], 128))
	}
	text := a.x.failure
	a.x.failure = ""
	if text == "" && len(a.w.Buf) > 0 && a.w.Buf[0] == '-' { // not admitted
		text, _, _ = strings.Cut(string(a.w.Buf[1:]), "\r")
	}
	if text != "" {
		if a.s.Config.HideUserData.Load() {
			text, _, _ = strings.Cut(text, " ")
		}
		err := fmt.Errorf("the command '%s' failed: %s", quoted(args[0], 128), text)
		switch {
		case !a.c.streams:
		case !a.s.Config.ReplicaReadOnly.Load():
			// Who lets clients write to a follower lets its contents become others than the
			// leader's: to begin anew from a snapshot would take these writes away.
			a.s.Log.Warningf("== CRITICAL == This replica takes writes of its own, and passes over what its master sent: %v", err)
			return nil
		case a.s.Config.PropagationError.Load() != "ignore" && a.s.Abort != nil:
			a.s.Abort(err)
		}
		return err
	}
	if cap(a.w.Buf) > 1<<20 {
		a.w.Buf = nil
	}
	return nil
}
