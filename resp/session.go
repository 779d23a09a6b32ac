package resp

import (
	"errors"
	"slices"
	"time"

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
	more    bool   // input is left because the output is to be sent first
	stalled bool   // nothing is run before the client has taken what waits for it
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
	x.Buffer = s.in
	used := s.run(srv, x, w, buf)
	rest := buf[used:]
	if used == 0 && len(rest) > 0 { // else a command has noted it
		s.c.Heard(time.Now())
	}
	if x.Buffer = nil; x.Taken { // a value lies there now
		x.Taken = false
		s.in = nil
	}
	if used > 0 && len(buf) > keepBuffer && len(data) < len(buf) {
		x.Forget()
		s.scan.Forget()
	}
	if s.closing {
		s.in = nil
		return nil
	}
	if n := int64(len(rest)); n > srv.queryBufferLimit.Load() || n > command.UnauthInput && srv.cmd.Unknown(s.c) {
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
	case cap(s.in) > keepBuffer && len(rest) < cap(s.in)/4:
		s.in = append(make([]byte, 0, max(len(rest), keepBuffer)), rest...)
	default:
		s.in = append(s.in[:0], rest...)
	}
	return nil
}

// flushAt is the length of output at which a session stops, so that the
// transport can send it.
const flushAt = 1 << 20

// lookAhead is how many commands of a pipeline are read before the first of
// them runs, so that their cache misses can be taken side by side.
const lookAhead = 16

// run runs the complete commands of buf and returns how many bytes they took.
func (s *session) run(srv *Server, x *command.Exec, w *wire.Writer, buf []byte) (used int) {
	lim := wire.Limits{MaxBulk: srv.maxBulk.Load(), Authenticated: s.c.Authed}
	ahead, args := x.Ahead, x.AheadArgs
	defer func() {
		clear(args) // they would keep the input alive
		x.Ahead, x.AheadArgs = ahead[:0], args[:0]
	}()
	s.more = false
	atOnce := flushAt
	if srv.cmd.Unknown(s.c) {
		atOnce = keepBuffer
	}
	for used < len(buf) && !s.parked && !s.closing && !s.stalled {
		if len(w.Buf) >= atOnce {
			s.more = true
			return used
		}
		ahead, args = ahead[:0], args[:0]
		pos := used
		var fail error
		more := false
		for len(ahead) < lookAhead && pos < len(buf) {
			inline := buf[pos] != '*'
			n, status, err := s.scan.Scan(buf[pos:], &lim)
			if status == wire.More {
				more = true
				break
			}
			if status == wire.Error {
				fail = err
				break
			}
			pos += n
			if len(s.scan.Args) == 0 {
				if len(ahead) == 0 {
					used = pos
				} else {
					ahead[len(ahead)-1].End = pos
				}
				continue
			}
			if len(ahead) == 0 && pos == len(buf) || len(s.scan.Args) > lookAheadArgs {
				// The only command, or a long one: its arguments stay where they are.
				ahead = slices.Grow(ahead, 1)[:len(ahead)+1]
				ahead[len(ahead)-1].Set(s.scan.Args, pos)
				break
			}
			from := len(args)
			args = append(args, s.scan.Args...)
			ahead = slices.Grow(ahead, 1)[:len(ahead)+1]
			ahead[len(ahead)-1].Set(args[from:len(args):len(args)], pos)
			if !lim.Authenticated || inline {
				break // AUTH changes what may follow; unquoted arguments lie in the scanner's own memory
			}
		}
		if len(ahead) > 1 {
			x.Foresee(s.c, ahead)
		}
		for i := range ahead {
			p := &ahead[i]
			out := x.RunPending(s.c, p, w)
			if out != command.Again {
				used = p.End
			}
			if out == command.Done {
				if len(w.Buf) < atOnce || i+1 == len(ahead) {
					continue
				}
				s.more = true
				s.scan.Reset()
				return used
			}
			s.parked, s.closing = out != command.Close, out == command.Close
			s.scan.Reset() // what was read ahead is read again
			return used
		}
		lim.Authenticated = s.c.Authed
		if fail != nil {
			srv.cmd.Log.Verbosef("Protocol error (%s) from client: id=%d addr=%s", fail, s.c.ID, s.c.Addr)
			w.Error(fail.Error())
			s.closing = true
			return len(buf)
		}
		if more {
			return used
		}
	}
	return used
}

// lookAheadArgs is the most arguments of a command that is read ahead.
const lookAheadArgs = 64

// note keeps what CLIENT LIST shows.
func (s *session) note() {
	if n := int64(len(s.in)); s.c.QueryLen.Load() != n {
		s.c.QueryLen.Store(n)
		s.c.QueryFree.Store(int64(cap(s.in)) - n)
	}
}

// parkedInput is how much input, in bytes, is read of a client that waits for
// something else: what it sends beyond that waits in its socket.
const parkedInput = 4 << 20

// full tells whether the client is not to be read on before it is served.
func (s *session) full() bool { return s.parked && len(s.in) >= parkedInput }

// grow makes room behind s.in for the next read. A command in progress mostly
// says how much it still needs, and the buffer grows by that: so it is copied a
// few times at most, and never larger than four times what the client has really
// sent. Otherwise it doubles.
func (s *session) grow() {
	n := len(s.in)
	if cap(s.in)-n >= min(max(s.scan.Need(), 1), keepBuffer) {
		return
	}
	more := max(n, keepBuffer)
	if need := s.scan.Need(); need > keepBuffer {
		more = need
	}
	in := make([]byte, n, n+more)
	copy(in, s.in)
	s.in = in
}
