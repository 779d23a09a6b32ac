package pubsub

import "sync/atomic"

// Subscriptions are what one client is subscribed to. They belong to the goroutine that
// runs the client's commands; others read Counts.
type Subscriptions struct {
	Channels, Patterns, Shard map[string]struct{}
}

// Counts is what others may know of a client's subscriptions.
type Counts struct {
	Channels, Patterns, Shard atomic.Int32
	Memory                    atomic.Int64 // bytes
}

// Bytes is about what a subscription takes besides its name.
const Bytes = 64

// Total is the number of subscriptions of all kinds.
func (s *Subscriptions) Total() int {
	if s == nil {
		return 0
	}
	return len(s.Channels) + len(s.Patterns) + len(s.Shard)
}

// Set takes the numbers of subscriptions, whose memory has changed by so many bytes.
func (n *Counts) Set(s *Subscriptions, bytes int) {
	n.Channels.Store(int32(len(s.Channels)))
	n.Patterns.Store(int32(len(s.Patterns)))
	n.Shard.Store(int32(len(s.Shard)))
	n.Memory.Add(int64(bytes))
}

// End ends all subscriptions of a connection.
func (p *Hub) End(s *Subscriptions, conn Conn) {
	for name := range s.Channels {
		p.Unsubscribe(&p.Channels, name, conn)
	}
	for name := range s.Shard {
		p.Unsubscribe(&p.Shard, name, conn)
	}
	for name := range s.Patterns {
		p.Patterns.Unsubscribe(name, conn)
	}
	*s = Subscriptions{}
}
