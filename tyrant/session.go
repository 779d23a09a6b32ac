package tyrant

import (
	"bytes"
	"slices"

	"kvd/command"
	tt "kvd/command/tyrant"
	"kvd/resp/wire"
	"kvd/transport"
)

// session is one connection's side. It keeps no bytes of the input: a request that is not
// complete is scanned again when more has come, from where it was scanned to.
type session struct {
	p     *Protocol
	st    *transport.State
	state tt.State

	tree []byte            // the key of the hash whose fields are the records; nil: strings are
	kind byte              // the protocol, 0: the first byte has not come
	text transport.Session // where it is memcached's

	// Of the request at the start of what Run has left:
	seen int // how many of its bytes were scanned
	left int // how many arguments stand behind those
	need int // see Need
	// A client of HTTP waits with its body until it is told to go on, and was told.
	expected, continued bool

	reqs    [lookAhead]request
	scratch []byte // a reply that is being wrapped
}

// The protocols.
const (
	kindBinary = 'b'
	kindHTTP   = 'h'
	kindText   = 't'
)

const (
	// lookAhead is how many requests are read before the first runs; see resp.
	lookAhead = 16
	// keepArgs is how many arguments' room is kept for the next batch, keepScratch the
	// same in bytes for the next reply.
	keepArgs    = 1 << 10
	keepScratch = 16 << 10
)

// request is what a scanner has found.
type request struct {
	row  *command.Row // nil: fixed is the reply
	from int          // where its arguments begin

	fixed []byte
	wrap  wrapper // makes the reply of what the command has replied; nil: it is that
	says  []byte  // what is to be logged
	quiet bool    // there is no reply
	close bool    // the connection is closed behind it
	abort bool    // the connection is closed without one
}

// wrapper appends the reply of the request's protocol to dst; reply is a command's.
type wrapper func(dst, reply []byte) []byte

// Need is how much a request still wants; see [transport.Session]. What was only announced
// is not wanted at once: room for four times of what has come is enough.
func (s *session) Need() int {
	if s.text != nil {
		return s.text.Need()
	}
	return s.need
}

// Kept is nothing: what is not run is with the transport.
func (s *session) Kept() int {
	if s.text != nil {
		return s.text.Kept()
	}
	return 0
}

// wants notes how many bytes a request lacks of which have bytes have come.
func (s *session) wants(n, have int) { s.need = min(n, 3*max(have, 1<<10)) }

// Forget drops what refers to the input.
func (s *session) Forget() {
	if s.text != nil {
		s.text.Forget()
	}
	clear(s.reqs[:])
}

// again has the next request scanned from its start.
func (s *session) again() {
	s.seen, s.left, s.need = 0, 0, 0
	s.expected, s.continued = false, false
}

// inTree makes a request one of the hash whose fields are the records.
func (s *session) inTree(args [][]byte, r *request) [][]byte {
	t, ok := s.p.tree[r.row]
	if !ok {
		return args // it is of the server, or no command
	}
	r.row = t.row
	args = slices.Insert(args, r.from+1, s.tree)
	args[r.from] = t.arg
	return args
}

// detect tells the protocol by the first byte: HTTP's verbs are upper-case words,
// memcached's commands lower-case ones.
func (s *session) detect(first byte) {
	switch {
	case first == magic:
		s.kind = kindBinary
	case first >= 'A' && first <= 'Z':
		s.kind = kindHTTP
	case first >= 'a' && first <= 'z' && s.tree == nil: // memcached's commands are of strings
		s.kind = kindText
		s.text = s.p.text(s.st)
	}
}

// Run runs the complete requests of buf; see [transport.Session].
func (s *session) Run(x *command.Exec, w *wire.Writer, buf []byte) (used int) {
	st := s.st
	if len(buf) == 0 || st.Parked || st.Closing || st.Stalled {
		return 0
	}
	if s.p.cmd.Unknown(st.Client) {
		st.Closing = true
		return 0
	}
	if s.kind == 0 {
		if s.detect(buf[0]); s.kind == 0 {
			st.Closing = true
			return 0
		}
	}
	if s.text != nil {
		return s.text.Run(x, w, buf)
	}
	ahead, args := x.Ahead, x.AheadArgs
	defer func() {
		s.state.Wrap = nil
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
		ahead, args = ahead[:0], args[:0]
		pos, rows := used, 0
		for len(ahead) < lookAhead && pos < len(buf) {
			r := &s.reqs[len(ahead)]
			*r = request{from: len(args)}
			var n int
			if s.kind == kindBinary {
				args, n = s.scanBinary(buf[pos:], args, r)
			} else {
				args, n = s.scanHTTP(buf[pos:], args, r)
			}
			if n == 0 {
				break
			}
			if s.tree != nil {
				args = s.inTree(args, r)
			}
			s.again()
			pos += n
			ahead = append(ahead, command.Pending{})
			p := &ahead[len(ahead)-1]
			p.Set(nil, pos)
			if r.row != nil {
				p.SetRow(r.row, args[r.from:len(args):len(args)], pos)
				rows++
			}
			if r.abort || r.close {
				break
			}
		}
		if len(ahead) == 0 {
			if s.expected && !s.continued {
				w.Raw([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
				s.continued = true
			}
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
				s.state.Wrap = r.wrap
				out = x.RunPending(st.Client, p, w)
			}
			if out != command.Again {
				used = p.End
			}
			if out == command.Done || out == command.Close {
				s.finish(w, at, r)
			}
			if out != command.Done {
				st.Parked, st.Closing = out != command.Close, out == command.Close
			}
			if st.Parked || st.Closing {
				s.again() // what was read ahead is read again
				return used
			}
			if len(w.Buf) >= st.Most && i+1 < len(ahead) {
				st.More = true
				s.again()
				return used
			}
		}
	}
	return used
}

// finish makes the reply to a request of what its command has replied, which begins at at.
func (s *session) finish(w *wire.Writer, at int, r *request) {
	switch {
	case r.abort:
		s.st.Closing = true
		return
	case r.row == nil:
		if r.says != nil {
			s.p.cmd.Log.Verbosef("tyrant: client %d says %q", s.st.Client.ID, r.says)
		}
		w.Buf = append(w.Buf, r.fixed...)
	case len(w.Buf) > at && w.Buf[at] == '-':
		w.Buf = append(w.Buf[:at], codeFail)
	}
	switch {
	case r.quiet:
		w.Buf = w.Buf[:at]
	case r.wrap != nil:
		s.scratch = append(s.scratch[:0], w.Buf[at:]...)
		if w.Buf = r.wrap(w.Buf[:at], s.scratch); cap(s.scratch) > keepScratch {
			s.scratch = nil
		}
	}
	if r.close {
		s.st.Closing = true
	}
}

// The replies that need no command.
var (
	replyOK   = []byte{codeOK}
	replyFail = []byte{codeFail}
	listNone  = []byte{codeOK, 0, 0, 0, 0} // a list without elements
	listFail  = []byte{codeFail, 0, 0, 0, 0}
	listError = append([]byte{codeOK, 0, 0, 0, 1, 0, 0, 0, 10}, "0: success"...)
)

const (
	codeOK   = 0
	codeFail = 1
)

// failed tells whether a reply is a code that says so.
func failed(reply []byte) bool { return len(reply) == 0 || reply[0] != codeOK }

// asList makes a list of the reply of a command that replies with a code, or with a list
// already.
func asList(dst, reply []byte) []byte {
	switch {
	case failed(reply):
		return append(dst, listFail...)
	case len(reply) == 1:
		return append(dst, listNone...)
	}
	return append(dst, reply...)
}

// asWord makes "ok" of the code 0.
func asWord(dst, reply []byte) []byte {
	if failed(reply) {
		return append(dst, codeFail)
	}
	return append(dst, "\x00\x00\x00\x00\x02ok"...)
}

// echo is what ext answers for a function that there is not: the path of the extension,
// which is none here, and name, key and value.
func echo(name, key, value []byte) []byte {
	text := bytes.Join([][]byte{nil, name, key, value}, []byte(":"))
	return append(appendInt([]byte{codeOK}, len(text)), text...)
}
