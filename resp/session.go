package resp

import (
	"errors"
	"fmt"

	"kvd/command"
	"kvd/resp/wire"
)

// session is a connection's protocol state: it is fed with bytes and yields
// bytes, and does not know its transport.
type session struct {
	c       *command.Client
	scan    wire.Scanner
	in      []byte // input that no command has used up yet
	parked  bool   // a command waits: nothing is parsed before its reply comes
	closing bool   // close once the output is sent
}

// keepBuffer is the largest buffer that a connection keeps while it is idle.
const keepBuffer = 16 << 10

// errQueryBuffer closes a client whose unparsed input is too long.
var errQueryBuffer = errors.New("client reached max query buffer length")

// feed parses and runs what data, and what was left before it, holds. Replies
// go to w. data may be reused by the caller afterwards. An error means that
// the connection has to be closed at once.
func (s *session) feed(srv *Server, x *command.Exec, w *wire.Writer, data []byte) error {
	buf := data
	if len(s.in) > 0 {
		// Where the transport has read straight into s.in, data is nil.
		s.in = append(s.in, data...)
		buf = s.in
	}
	used := s.run(srv, x, w, buf)
	rest := buf[used:]
	if s.closing {
		s.in = nil
		return nil
	}
	if int64(len(rest)) > srv.queryBufferLimit.Load() {
		return errQueryBuffer
	}
	switch {
	case len(rest) == 0:
		if cap(s.in) > keepBuffer {
			s.in = nil
		} else {
			s.in = s.in[:0]
		}
	case used == 0 && len(s.in) > 0:
		// As it was.
	default:
		s.in = append(s.in[:0], rest...)
	}
	return nil
}

// run runs the complete commands of buf and returns how many bytes they took.
func (s *session) run(srv *Server, x *command.Exec, w *wire.Writer, buf []byte) (used int) {
	lim := wire.Limits{MaxBulk: srv.maxBulk.Load(), Authenticated: s.c.Authed}
	for used < len(buf) && !s.parked && !s.closing {
		n, status, err := s.scan.Scan(buf[used:], &lim)
		switch status {
		case wire.More:
			return used
		case wire.Error:
			srv.cmd.Log.Verbosef("Protocol error (%s) from client: id=%d addr=%s", err, s.c.ID, s.c.Addr)
			w.Error(err.Error())
			s.closing = true
			return len(buf)
		}
		used += n
		if len(s.scan.Args) == 0 {
			continue
		}
		switch x.Run(s.c, s.scan.Args, w) {
		case command.Parked:
			s.parked = true
		case command.Close:
			s.closing = true
		}
		lim.Authenticated = s.c.Authed
	}
	return used
}

// room is how much space the transport should offer for the next read into
// s.in: what the command in progress still needs, but never more than doubles
// what the client has really sent.
func (s *session) room() int {
	return min(max(s.scan.Need(), keepBuffer), max(len(s.in), keepBuffer))
}

// clientInfo says who it was, for the log.
func clientInfo(c *command.Client) string { return fmt.Sprintf("id=%d addr=%s", c.ID, c.Addr) }
