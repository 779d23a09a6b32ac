package memcached

import (
	"bytes"
	"encoding/binary"

	"kvd/command"
	mc "kvd/command/memcached"
	"kvd/resp/wire"
)

// The scanner of the binary protocol.

const magicRequest = 0x80

// quietOf is the opcode that a quiet one is the quiet form of.
var quietOf = map[byte]byte{mc.OpGetQ: mc.OpGet, mc.OpGetKQ: mc.OpGetK, mc.OpSetQ: mc.OpSet, mc.OpAddQ: mc.OpAdd, mc.OpReplaceQ: mc.OpReplace,
	mc.OpDeleteQ: mc.OpDelete, mc.OpIncrementQ: mc.OpIncrement, mc.OpDecrementQ: mc.OpDecrement, mc.OpQuitQ: mc.OpQuit, mc.OpFlushQ: mc.OpFlush,
	mc.OpAppendQ: mc.OpAppend, mc.OpPrependQ: mc.OpPrepend, mc.OpGATQ: mc.OpGAT, mc.OpGATKQ: mc.OpGATK}

var (
	nameBGet    = []byte("mc.bget")
	nameBTouch  = []byte("mc.btouch")
	nameBSet    = []byte("mc.bset")
	nameBIncr   = []byte("mc.bincr")
	nameBDelete = []byte("mc.bdelete")
)

// fail is a request that is answered with a state; end: the connection is closed behind it.
func (r *request) fail(status uint16, end bool) {
	r.row, r.after, r.n, r.quiet = nil, actError, int64(status), end
}

// scanBinary scans the request at the start of buf, appends its arguments to args and
// returns how long it is; 0: it is not complete.
func (s *session) scanBinary(buf []byte, args [][]byte, r *request) ([][]byte, int) {
	if len(buf) < mc.HeadLen {
		s.need = mc.HeadLen - len(buf)
		return args, 0
	}
	if buf[0] != magicRequest {
		r.after = actAbort
		return args, len(buf)
	}
	r.head = buf[:mc.HeadLen]
	code := buf[1]
	nk, nx, body := int(binary.BigEndian.Uint16(buf[2:])), int(buf[4]), int(binary.BigEndian.Uint32(buf[8:]))
	unknown := s.p.cmd.Unknown(s.st.Client)
	switch {
	case nk+nx > body:
		r.fail(mc.StatusUnknown, true)
		return args, mc.HeadLen
	case unknown && code != mc.OpSASLList && code != mc.OpSASLAuth && code != mc.OpSASLStep && code != mc.OpVersion:
		r.fail(mc.StatusAuth, true)
		return args, mc.HeadLen
	case nk > mc.KeyMax, unknown && body > authMax:
		r.fail(mc.StatusInvalid, true)
		return args, mc.HeadLen
	}
	plain, quiet := quietOf[code]
	if !quiet {
		plain = code
	}
	value := body - nk - nx
	if !fits(plain, nk, nx, value) {
		if known(plain) {
			r.fail(mc.StatusInvalid, true)
			return args, mc.HeadLen
		}
		r.fail(mc.StatusUnknown, false)
		s.skip(r, body)
		return args, mc.HeadLen
	}
	key := func() []byte { return buf[mc.HeadLen+nx : mc.HeadLen+nx+nk] }
	if value > 0 && plain != mc.OpSASLAuth && plain != mc.OpSASLStep {
		flags := uint32(0)
		if len(buf) < mc.HeadLen+nx+nk {
			s.need = mc.HeadLen + nx + nk - len(buf)
			return args, 0
		}
		if nx > 0 {
			flags = binary.BigEndian.Uint32(buf[mc.HeadLen:])
		}
		if mc.TooLarge(nk, value, flags, s.p.itemMax.Load()) {
			r.fail(mc.StatusTooLarge, false)
			if plain == mc.OpSet {
				r.key = key()
			}
			s.skip(r, value)
			return args, mc.HeadLen + nx + nk
		}
	}
	end := mc.HeadLen + body
	if len(buf) < end {
		s.need = end - len(buf)
		return args, 0
	}
	r.head = buf[:mc.HeadLen+nx]
	switch plain {
	case mc.OpGet, mc.OpGetK:
		r.row, args = s.p.rows.bget, append(args, nameBGet, key(), r.head)
	case mc.OpTouch, mc.OpGAT, mc.OpGATK:
		r.row, args = s.p.rows.btouch, append(args, nameBTouch, key(), r.head)
	case mc.OpSet, mc.OpAdd, mc.OpReplace, mc.OpAppend, mc.OpPrepend:
		r.row, args = s.p.rows.bset, append(args, nameBSet, key(), buf[mc.HeadLen+nx+nk:end], r.head)
	case mc.OpIncrement, mc.OpDecrement:
		r.row, args = s.p.rows.bincr, append(args, nameBIncr, key(), r.head)
	case mc.OpDelete:
		r.row, args = s.p.rows.bdelete, append(args, nameBDelete, key(), r.head)
	case mc.OpStat:
		r.row, args = s.p.rows.stats, append(args, nameStats, r.head)
		args = append(args, bytes.Fields(key())...)
	case mc.OpFlush:
		if !s.p.flushes.Load() {
			r.fail(mc.StatusAuth, false)
			break
		}
		delay := int64(0)
		if nx > 0 {
			delay = int64(binary.BigEndian.Uint32(r.head[mc.HeadLen:]))
		}
		args = s.flushIn(delay, args, r)
		r.quiet = quiet
	case mc.OpQuit:
		r.after, r.quiet = actClose, quiet
	case mc.OpNoop:
		r.after = actReply
	case mc.OpVersion:
		r.after, r.text = actReply, mc.Version
	case mc.OpSASLList:
		r.after, r.text = actReply, "PLAIN"
	case mc.OpSASLAuth, mc.OpSASLStep:
		return s.scanSASL(key(), buf[mc.HeadLen+nk:end], args, r), end
	}
	return args, end
}

// skip has what is left of a refused request swallowed.
func (s *session) skip(r *request, n int) { r.skip = n }

func known(op byte) bool {
	return op <= mc.OpTouch+2 && op != 0x1b || op >= mc.OpSASLList && op <= mc.OpGATKQ
}

// fits tells whether the lengths are those of the opcode.
func fits(op byte, key, extras, value int) bool {
	switch op {
	case mc.OpGet, mc.OpGetK, mc.OpDelete:
		return key > 0 && extras == 0 && value == 0
	case mc.OpSet, mc.OpAdd, mc.OpReplace:
		return key > 0 && extras == 8
	case mc.OpAppend, mc.OpPrepend:
		return key > 0 && extras == 0
	case mc.OpIncrement, mc.OpDecrement:
		return key > 0 && extras == 20 && value == 0
	case mc.OpTouch, mc.OpGAT, mc.OpGATK:
		return key > 0 && extras == 4 && value == 0
	case mc.OpFlush:
		return key == 0 && (extras == 0 || extras == 4) && value == 0
	case mc.OpQuit, mc.OpNoop, mc.OpVersion, mc.OpSASLList:
		return key == 0 && extras == 0 && value == 0
	case mc.OpStat:
		return extras == 0 && value == 0
	case mc.OpSASLAuth, mc.OpSASLStep:
		return key > 0 && extras == 0
	}
	return false
}

// scanSASL scans PLAIN: a name to act as, which must be the user's or none, the user and
// the password, with NULs between.
func (s *session) scanSASL(mechanism, token []byte, args [][]byte, r *request) [][]byte {
	parts := bytes.SplitN(token, []byte{0}, 3)
	if string(mechanism) != "PLAIN" || len(parts) != 3 || len(parts[1]) == 0 || len(parts[0]) > 0 && !bytes.Equal(parts[0], parts[1]) {
		r.fail(mc.StatusAuth, false)
		return args
	}
	r.after = actAuth
	return append(args, wordAuth, parts[1], parts[2])
}

// authenticate runs AUTH with the user and the password that the client has sent.
func (s *session) authenticate(x *command.Exec, w *wire.Writer, at int, r *request, p *command.Pending) {
	x.Tally(mc.AuthCount, 1)
	s.run(x, w, p.Args...)
	ok := len(w.Buf) > at && w.Buf[at] == '+'
	w.Buf = w.Buf[:at]
	if !ok {
		x.Tally(mc.AuthErrorCount, 1)
	}
	switch {
	case s.kind == kindBinary && ok:
		w.Buf = append(mc.AppendHead(w.Buf, r.head, mc.StatusOK, 0, 0, len("Authenticated"), 0), "Authenticated"...)
	case s.kind == kindBinary:
		w.Buf = mc.AppendError(w.Buf, r.head, mc.StatusAuth, "")
	case ok:
		w.Buf = append(w.Buf, "STORED\r\n"...)
	default:
		w.Buf = append(w.Buf, "CLIENT_ERROR authentication failure\r\n"...)
	}
}
