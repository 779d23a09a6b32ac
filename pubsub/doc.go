// Package pubsub is who is subscribed to what, and how a message gets to all of them.
// It knows no commands and no clients: who subscribes is a Conn.
//
// A channel knows its subscribers by event loop (Outlet). A message is encoded once and
// handed to each loop with the list of those who get it there, under the lock of the
// channel: so all subscribers see the messages of a channel in one order, whichever loops
// the publishers are on. The lists are shared with the loops until they have sent: a list
// that a loop may still read is not changed but copied, except behind its end.
package pubsub

// Conn is a subscriber.
type Conn interface {
	// Push sends bytes between two commands, in RESP3's form. It returns at once, and b
	// must not change afterwards.
	Push(b []byte)
}

// Outlet takes a push for many connections at once: an event loop.
type Outlet interface {
	// Fanout is Push for each connection of to, all of which have this Outlet.
	// Calls of one goroutine keep their order, and calls that a lock puts in
	// order keep that. Neither b nor to may change afterwards.
	Fanout(b []byte, to []Conn)
	// Later calls f once, when what was given to the Outlet before has been handed to
	// its connections. With send f hands further pushes to connections, before what comes
	// behind f. f is not called with any lock held.
	Later(f func(send func(c Conn, b []byte)))
}
