package kvd

import (
	"context"
	"errors"

	"kvd/resp/wire"
	"kvd/transport"
)

// Client runs commands by Go calls: no socket, no copy of the arguments, and the reply
// is read where it was written. It has all that a connection has (a database, a
// transaction, subscriptions), and like a connection's its calls must not overlap; a
// goroutine of its own for each is the rule. AUTH is not needed: it may do everything,
// until it logs in as somebody.
type Client struct {
	l    *transport.Local
	w    wire.Writer
	push []byte
	args [][]byte // memory for the arguments of a call
	text []byte   // and for those that are strings
	ends []int
}

// ErrClosed is returned once the server, or CLIENT KILL, has closed the client.
var ErrClosed = transport.ErrLocalClosed

type (
	// Reply is a reply, or a part of one: a view of the client's memory. The zero Reply
	// is none.
	Reply = wire.Reply
	// Error is an error that a command has replied.
	Error = wire.ReplyError
)

// ErrNil is the error of a reply that is null, where a value is asked for.
var ErrNil = wire.ErrNil

// Client makes a client, in RESP3 (HELLO 2 chooses RESP2).
func (s *Server) Client() (*Client, error) {
	l, err := s.front.NewLocal("memory:0", "memory:server", nil, nil)
	if err != nil {
		return nil, err
	}
	s.srv.Trust(l.Client)
	l.Client.SetProto(3)
	return &Client{l: l}, nil
}

// Close ends the client.
func (c *Client) Close() { c.l.Close() }

// Do runs a command whose words are strings. See Call for the rest.
func (c *Client) Do(words ...string) Reply {
	c.text, c.ends, c.args = c.text[:0], c.ends[:0], c.args[:0]
	for _, w := range words {
		c.text = append(c.text, w...)
		c.ends = append(c.ends, len(c.text))
	}
	from := 0
	for _, end := range c.ends {
		c.args = append(c.args, c.text[from:end:end])
		from = end
	}
	r := c.Call(context.Background(), c.args...)
	if cap(c.text) > keepText {
		c.text = nil
	}
	return r
}

// keepText is the most memory that a client keeps for the words of its next call.
const keepText = 64 << 10

// Call runs a command: its name and its arguments, which are only read, and may be used
// for other things when Call returns. A blocking command waits; when ctx ends its wait
// ends as if its time were over. Under appendfsync always Call returns when the disk has
// what the reply may have seen.
//
// The reply is valid until the client's next call.
func (c *Client) Call(ctx context.Context, args ...[]byte) Reply {
	if len(args) == 0 {
		return wire.Failed(errors.New("kvd: a command has at least a name"))
	}
	if cap(c.w.Buf) > keepText {
		c.w.Buf = nil
	}
	c.w.Buf = c.w.Buf[:0]
	if err := c.l.Call(ctx, args, &c.w, nil); err != nil {
		return wire.Failed(err)
	}
	return wire.ReplyIn(c.w.Buf)
}

// Receive waits for what is pushed to the client: messages of channels it has subscribed
// to, invalidations, MONITOR's lines. The reply may hold several pushes, one behind the
// other (see Reply.Next), and is valid until the next Receive, which may be called
// beside other calls.
func (c *Client) Receive(ctx context.Context) (Reply, error) {
	for {
		if err := c.l.Await(ctx); err != nil {
			return Reply{}, err
		}
		if c.push = c.l.Pushes(c.push[:0]); len(c.push) > 0 { // else a command has taken them
			return wire.ReplyIn(c.push), nil
		}
	}
}
