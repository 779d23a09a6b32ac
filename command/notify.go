package command

import "kvd/keyspace"

// Notify says that an event of a keyspace-notification class happened at a
// key. The classes are the letters of notify-keyspace-events.
func (c *Ctx) Notify(class byte, event string, k *keyspace.Key) {
	if n := c.S.notify; n != nil {
		n(class, event, c.DB(), k.B)
	}
}
