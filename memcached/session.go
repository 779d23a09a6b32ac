package memcached

import (
	"bytes"
	"time"

	"kvd/command"
	mc "kvd/command/memcached"
	"kvd/resp/wire"
	"kvd/transport"
)

// session is one connection's side. It keeps no bytes of the input: a request that is not
// complete is scanned again when more has come, from where its line was searched to.
type session struct {
	p  *Protocol
	st *transport.State

	kind    byte // the protocol, 0: the first byte has not come
	seen    int  // how much of what Run has left was searched for the end of a line
	need    int  // see Need
	swallow int  // bytes to come that are dropped: the value of a request that was refused

	reqs [lookAhead]request
	tok  [maxTokens][]byte
}

// The protocols.
const (
	kindText   = 't'
	kindBinary = 'b'
)

const (
	// lookAhead is how many requests are read before the first runs; see resp.
	lookAhead = 16
	// keepArgs is how many arguments' room is kept for the next batch.
	keepArgs = 1 << 10
	// maxTokens is how many words of a line are told apart; what stands behind is one.
	maxTokens = 24
)

// request is what a scanner has found.
type request struct {
	row   *command.Row // nil: text is the reply, if there is one
	text  string
	head  []byte // of a binary request
	from  int    // where its arguments begin
	quiet bool   // noreply
	after action
	n     int64 // of the action
	skip  int   // what follows that is swallowed, in bytes
	key   []byte
}

// action is what else a session does for a request.
type action uint8

const (
	actNone    action = iota
	actLast           // nothing behind it is read before it has run
	actClose          // close behind the output
	actAbort          // close without an answer
	actAuth           // the arguments are a user and a password
	actDrop           // the value was too long: the item goes, or stays, and the value is swallowed
	actSwallow        // n bytes are swallowed
	actFlush          // n is when to flush, in seconds from now
	actEnd            // end the server
	actError          // a binary request that is answered with the state n
	actReply          // a binary request that is answered with text
)

// Need is how much a request still wants; see [transport.Session].
func (s *session) Need() int { return s.need }

// Kept is nothing: what is not run is with the transport.
func (s *session) Kept() int { return 0 }

// Forget drops what refers to the input.
func (s *session) Forget() {
	clear(s.tok[:])
	clear(s.reqs[:])
}

// Run runs the complete requests of buf; see [transport.Session].
func (s *session) Run(x *command.Exec, w *wire.Writer, buf []byte) (used int) {
	st := s.st
	ahead, args := x.Ahead, x.AheadArgs
	defer func() {
		clear(args)
		if cap(args) > keepArgs {
			args = nil
		}
		x.Ahead, x.AheadArgs = ahead[:0], args[:0]
	}()
	for used < len(buf) && !st.Parked && !st.Closing && !st.Stalled {
		if len(w.Buf) >= st.Most {
			st.More = true
			return used
		}
		if s.swallow > 0 {
			n := min(s.swallow, len(buf)-used)
			s.swallow -= n
			used += n
			continue
		}
		if s.kind == 0 {
			s.kind = kindText
			if buf[used] == magicRequest {
				s.kind = kindBinary
			}
		}
		ahead, args = ahead[:0], args[:0]
		pos, rows := used, 0
		for len(ahead) < lookAhead && pos < len(buf) {
			r := &s.reqs[len(ahead)]
			*r = request{from: len(args)}
			var n int
			if s.kind == kindBinary {
				args, n = s.scanBinary(buf[pos:], args, r)
			} else {
				args, n = s.scanText(buf[pos:], args, r)
			}
			if n == 0 {
				break
			}
			s.seen, s.need = 0, 0
			pos += n
			ahead = append(ahead, command.Pending{})
			p := &ahead[len(ahead)-1]
			if r.row != nil {
				p.SetRow(r.row, args[r.from:len(args):len(args)], pos)
				rows++
			} else {
				p.Set(args[r.from:len(args):len(args)], pos)
			}
			if r.after != actNone {
				break
			}
		}
		if len(ahead) == 0 {
			return used
		}
		if rows > 1 && rows == len(ahead) {
			x.Foresee(st.Client, ahead)
		}
		for i := range ahead {
			p, r := &ahead[i], &s.reqs[i]
			out := command.Done
			at := len(w.Buf)
			if r.row != nil {
				out = x.RunPending(st.Client, p, w)
			}
			if out != command.Again {
				used = p.End
			}
			if out == command.Done || out == command.Close {
				s.finish(x, w, at, r, p)
			}
			if out != command.Done {
				st.Parked, st.Closing = out != command.Close, out == command.Close
			}
			if st.Parked || st.Closing {
				s.seen, s.need = 0, 0 // what was read ahead is read again
				return used
			}
			if len(w.Buf) >= st.Most && i+1 < len(ahead) {
				st.More = true
				s.seen, s.need = 0, 0
				return used
			}
		}
	}
	return used
}

// finish does what a request wants beside its command, and puts a reply that is an error
// into the protocol's words. The reply begins at at.
func (s *session) finish(x *command.Exec, w *wire.Writer, at int, r *request, p *command.Pending) {
	if r.row == nil {
		s.answer(x, w, at, r, p)
	} else if r.after == actFlush && len(w.Buf) > at && w.Buf[at] != '-' {
		s.p.flushLater(s.st.Client.DB(), 0) // what was ordered before is done
	}
	if len(w.Buf) > at && w.Buf[at] == '-' {
		line, _, _ := bytes.Cut(w.Buf[at+1:], []byte("\r"))
		line = bytes.Clone(line)
		if bytes.HasPrefix(line, []byte("OOM ")) {
			x.Tally(mc.NoMemoryCount, 1)
		}
		if s.kind == kindBinary {
			status, text := stateOf(line)
			w.Buf = mc.AppendError(w.Buf[:at], r.head, status, text)
			return
		}
		w.Buf = refusal(w.Buf[:at], line)
	}
	if r.after == actFlush && s.kind == kindBinary {
		w.Buf = mc.AppendHead(w.Buf[:at], r.head, mc.StatusOK, 0, 0, 0, 0)
	}
	if r.quiet {
		w.Buf = w.Buf[:at]
	}
}

// answer is for a request that is no command of its own.
func (s *session) answer(x *command.Exec, w *wire.Writer, at int, r *request, p *command.Pending) {
	st := s.st
	w.Buf = append(w.Buf, r.text...)
	switch r.after {
	case actClose:
		if r.head != nil {
			w.Buf = mc.AppendHead(w.Buf, r.head, mc.StatusOK, 0, 0, 0, 0)
		}
		st.Closing = true
	case actAbort:
		w.Buf = w.Buf[:at]
		st.Closing = true
	case actAuth:
		s.authenticate(x, w, at, r, p)
	case actDrop:
		s.swallow = int(r.n)
		x.Tally(mc.TooLargeCount, 1)
		if r.key != nil {
			s.drop(x, w, r)
		}
	case actSwallow:
		s.swallow = int(r.n)
	case actFlush:
		s.p.flushLater(s.st.Client.DB(), time.Duration(r.n)*time.Second)
		s.p.cmd.Log.Verbosef("memcached: flush_all in %d seconds", r.n)
	case actEnd:
		s.p.cmd.Shutdown()
		st.Closing = true
	case actError:
		w.Buf = mc.AppendError(w.Buf[:at], r.head, uint16(r.n), "")
		st.Closing, r.quiet = r.quiet, false
		if s.swallow = r.skip; r.n == mc.StatusTooLarge {
			x.Tally(mc.TooLargeCount, 1)
			if r.key != nil {
				s.drop(x, w, r)
			}
		}
	case actReply:
		w.Buf = w.Buf[:at]
		w.Buf = append(mc.AppendHead(w.Buf, r.head, mc.StatusOK, 0, 0, len(r.text), 0), r.text...)
	}
}

// run runs a command of Redis's for the client.
func (s *session) run(x *command.Exec, w *wire.Writer, args ...[]byte) command.Outcome {
	var p command.Pending
	p.Set(args, 0)
	return x.RunPending(s.st.Client, &p, w)
}

// runRow runs a command whose reply nobody gets.
func (s *session) runRow(x *command.Exec, w *wire.Writer, row *command.Row, args ...[]byte) {
	at := len(w.Buf)
	var p command.Pending
	p.SetRow(row, args, 0)
	x.RunPending(s.st.Client, &p, w)
	w.Buf = w.Buf[:at]
}

// drop removes the item whose new value was too long, so that nobody reads the old one. A
// pause may be on: then it stays, as everything does.
func (s *session) drop(x *command.Exec, w *wire.Writer, r *request) {
	s.runRow(x, w, s.p.rows.delete, nameDelete, r.key)
}

var (
	nameDelete = []byte("mc.delete")
	wordAuth   = []byte("auth")
)
