package command

// What the engine knows of a client that is subscribed to channels; the channels and
// their subscribers are package pubsub's.

// Subscribed tells whether the client is subscribed to anything.
func (c *Client) Subscribed() bool { return c.has(statePubSub) }

// countSubs makes public what has changed of the client's subscriptions.
func (c *Client) countSubs(bytes int) {
	c.nsub.Set(c.subs, bytes)
	c.set(statePubSub, c.subs.Total() > 0)
}

// unsubscribeAll ends all subscriptions of a client, without a reply.
func (s *Server) unsubscribeAll(c *Client) {
	if c.subs.Total() > 0 {
		s.pubsub.End(c.subs, c.Conn)
		c.countSubs(int(-c.nsub.Memory.Load()))
	}
}
