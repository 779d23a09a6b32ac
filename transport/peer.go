package transport

import (
	"errors"
	"time"

	"kvd/command"
	"kvd/resp/wire"
)

// peer is what both transports keep of a connection, whatever its protocol: the
// session, and input that no command has used up. It does not know its transport.
type peer struct {
	State
	session Session
	in      []byte
}

// open begins the session of a client at an endpoint.
func (p *peer) open(ep *endpoint, c *command.Client) {
	p.Client = c
	p.session = ep.Protocol.Open(&p.State)
}

// keepBuffer is the largest buffer that a connection keeps while it is idle.
const keepBuffer = 16 << 10

// flushAt is the length of output at which a session stops, so that the
// transport can send it.
const flushAt = 1 << 20

// errQueryBuffer closes a client whose unparsed input is too long.
var errQueryBuffer = errors.New("client reached max query buffer length")

// feed parses and runs what data, and what was left before it, holds. Replies
// go to w. data may be reused by the caller afterwards. An error means that
// the connection has to be closed at once.
func (p *peer) feed(srv *Server, x *command.Exec, w *wire.Writer, data []byte) error {
	buf := data
	if len(p.in) > 0 {
		// Where the transport has read straight into p.in, data is nil.
		p.in = append(p.in, data...)
		buf = p.in
	}
	x.Buffer = p.in
	p.More, p.Most = false, flushAt
	if srv.cmd.Unknown(p.Client) {
		p.Most = keepBuffer
	}
	used := p.session.Run(x, w, buf)
	rest := buf[used:]
	kept := p.session.Kept()
	if used == 0 && len(rest) > 0 || kept > 0 { // else a command has noted it
		p.Client.Heard(time.Now())
	}
	if x.Buffer = nil; x.Taken { // a value lies there now
		x.Taken = false
		p.in = nil
	}
	if used > 0 && len(buf) > keepBuffer && len(data) < len(buf) {
		x.Forget()
		p.session.Forget()
	}
	if p.Closing {
		p.in = nil
		return nil
	}
	if n := int64(len(rest) + kept); n > srv.queryBufferLimit.Load() || n > command.UnauthInput && srv.cmd.Unknown(p.Client) {
		return errQueryBuffer
	}
	switch {
	case len(rest) == 0:
		if cap(p.in) > keepBuffer {
			p.in = nil
		} else {
			p.in = p.in[:0]
		}
	case used == 0 && len(p.in) > 0:
		// As it was.
	case cap(p.in) > keepBuffer && len(rest) < cap(p.in)/4:
		p.in = append(make([]byte, 0, max(len(rest), keepBuffer)), rest...)
	default:
		p.in = append(p.in[:0], rest...)
	}
	return nil
}

// note keeps what CLIENT LIST shows.
func (p *peer) note() {
	if n := int64(len(p.in) + p.session.Kept()); p.Client.QueryLen.Load() != n {
		p.Client.QueryLen.Store(n)
		p.Client.QueryFree.Store(int64(cap(p.in) - len(p.in)))
	}
}

// parkedInput is how much input, in bytes, is read of a client that waits for
// something else: what it sends beyond that waits in its socket.
const parkedInput = 4 << 20

// full tells whether the client is not to be read on before it is served.
func (p *peer) full() bool { return p.Parked && len(p.in) >= parkedInput }

// grow makes room behind p.in for the next read. A command in progress mostly
// says how much it still needs, and the buffer grows by that: so it is copied a
// few times at most, and never larger than four times what the client has really
// sent. Otherwise it doubles.
func (p *peer) grow() {
	n := len(p.in)
	if cap(p.in)-n >= min(max(p.session.Need(), 1), keepBuffer) {
		return
	}
	more := max(n, keepBuffer)
	if need := p.session.Need(); need > keepBuffer {
		more = need
	}
	in := make([]byte, n, n+more)
	copy(in, p.in)
	p.in = in
}
