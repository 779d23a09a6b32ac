package command

import (
	"kvd/pubsub"
	"kvd/resp/wire"
)

// Pushes are what a client gets without having asked just now: messages,
// invalidations. A push is encoded once, in RESP3's form, for all who get it:
// the front end makes the leading '>' a '*' for a client of RESP2, in whose
// protocol it is an array. What begins with another byte is sent as it is.

// Outlet takes a push for many connections at once: an event loop.
type Outlet = pubsub.Outlet

// pushConn is what connections of the front end can do besides Conn.
type pushConn interface {
	// Outlet is where pushes for many go. It is nil if there is no such place; Push serves then.
	Outlet() Outlet
	// Settle appends to w the pushes that were not sent yet. Only a command of
	// this client may call it, before it replies.
	Settle(w *wire.Writer)
}

// settle writes what was pushed to the client so far, before the reply: after
// this command the client will not take a push for one. What the client was
// subscribed to must have ended. Inside EXEC, whose reply has begun, it does
// nothing: the pushes follow that reply.
func (c *Ctx) settle() {
	if p, ok := c.C.Conn.(pushConn); ok && !c.inExec {
		p.Settle(c.W)
	}
}
