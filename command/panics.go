package command

import (
	"fmt"

	"kvd/keyspace"
	"kvd/resp/wire"
)

// What becomes of a panic inside a command: nobody else is harmed, and log and followers stay true to the contents.

// recover keeps a panic inside one command from harming anyone else.
func (x *Exec) recover(c *Client, w *wire.Writer, at int, out *Outcome) {
	r := recover()
	if r == nil {
		return
	}
	if row := x.Running.Row; row != nil && row.Flags&Write != 0 && x.held != (keyspace.Held{}) {
		for i := range x.Running.Keys { // what it may have changed before it could say so
			x.Running.Changed(&x.Running.Keys[i])
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
	if x.Running.Row != nil {
		name = x.Running.Row.full
	}
	x.s.LogPanic(r, "command '%s' of client %d", name, c.ID)
	w.Buf = append(w.Buf[:at], "-ERR internal error\r\n"...)
	x.Running.effects, x.Running.ready, x.Running.inExec, x.Running.after = nil, nil, false, nil
	x.Running.Tx = x.newTx()
	x.tellOwn(c, w, Done)
	*out = Done
}

// afterPanic keeps log and followers true to the contents after a panic with r. What
// commands of an EXEC before it have done is journaled; what a command that writes
// has done nobody knows. The stripes are still locked.
func (x *Exec) afterPanic(r any) {
	ctx := &x.Running
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
