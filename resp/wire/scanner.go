// Package wire reads commands from and writes replies to the Redis protocol.
//
// A Scanner finds commands in a byte stream that arrives in pieces; a Writer
// appends replies of RESP2 or RESP3 to a buffer; the number helpers read and
// print numbers exactly as Redis 7.0 does. Nothing here does I/O, reads a
// clock, starts a goroutine, locks, or knows what a command means, and the
// package imports no other package of this module. Values are not safe for
// concurrent use: each belongs to one connection.
//
// A request is either a multibulk
//
//	*<count> CR x ( $<length> CR x <length bytes> x x ) times count
//
// where x is any one byte (clients send LF and CR LF; Redis 7.0 skips these
// bytes without looking at them), or an inline line that ends with LF or CR LF
// and is split at blanks with shell-like quotes. As Redis searches line ends
// with C string functions, a NUL within a line hides everything behind it.
package wire

import (
	"bytes"
	"encoding/binary"
	"math"
)

// Redis 7.0's limits.
const (
	defaultMaxBulk   = 512 << 20     // proto-max-bulk-len, bytes
	defaultMaxInline = 64 << 10      // PROTO_INLINE_MAX_SIZE, bytes
	defaultMaxArgs   = math.MaxInt32 // INT_MAX, arguments
	unauthMaxBulk    = 16384         // bytes, before AUTH
	unauthMaxArgs    = 10            // arguments, before AUTH
	keepArgs         = 1024          // arguments whose room is kept between commands
	keepScratch      = 4096          // bytes of unquoted inline arguments, likewise
	asideArgs        = 16 << 10      // kept arguments from which on their room grows aside
	keepBlock        = 64 << 10      // bytes of a block of kept arguments; see Scanner.Keep
	argRoom          = 24            // bytes that an element of Args takes
)

// Limits bound what a client may send. Zero values mean Redis's defaults;
// Authenticated has no default: a client that needs no password counts as
// authenticated, and the caller says so.
type Limits struct {
	MaxBulk       int64 // bytes of one argument; 0: 512 MiB
	MaxInline     int   // bytes of a line without its end; 0: 64 KiB
	MaxArgs       int   // arguments of one command; 0: 2^31-1
	Authenticated bool  // false: at most 10 arguments of at most 16384 bytes
}

func (l *Limits) maxBulk() int64 {
	if l.MaxBulk == 0 {
		return defaultMaxBulk
	}
	return l.MaxBulk
}

func (l *Limits) maxArgs() int64 {
	if l.MaxArgs == 0 {
		return defaultMaxArgs
	}
	return int64(l.MaxArgs)
}

// bulk is the longest argument allowed now, whichever rule forbids longer ones.
func (l *Limits) bulk() int64 {
	if l.Authenticated {
		return l.maxBulk()
	}
	return min(l.maxBulk(), unauthMaxBulk)
}

// args is the largest count allowed now, whichever rule forbids larger ones.
func (l *Limits) args() int64 {
	if l.Authenticated {
		return l.maxArgs()
	}
	return min(l.maxArgs(), unauthMaxArgs)
}

func (l *Limits) inline() int {
	if l.MaxInline == 0 {
		return defaultMaxInline
	}
	return l.MaxInline
}

// Status is what Scan found.
type Status uint8

// What Scan can answer.
const (
	More     Status = iota // the command is not complete yet
	Complete               // a command, or something that Redis ignores
	Error                  // the client broke the protocol
)

// ProtoError is a breach of the protocol. The client is sent its text and is
// then closed, as nobody knows where its next command starts.
type ProtoError struct{ msg string }

// Error is the text of the error reply, without the leading '-' and the line
// end. It can quote any byte of the client's, so write it with Writer.Error.
func (e *ProtoError) Error() string { return "ERR Protocol error: " + e.msg }

var (
	errMultibulk       = &ProtoError{"invalid multibulk length"}
	errUnauthMultibulk = &ProtoError{"unauthenticated multibulk length"}
	errBulk            = &ProtoError{"invalid bulk length"}
	errUnauthBulk      = &ProtoError{"unauthenticated bulk length"}
	errBigMultibulk    = &ProtoError{"too big mbulk count string"}
	errBigBulk         = &ProtoError{"too big bulk count string"}
	errBigInline       = &ProtoError{"too big inline request"}
	errQuotes          = &ProtoError{"unbalanced quotes in request"}
)

// Scanner finds commands in a stream. Its zero value is ready.
type Scanner struct {
	// Args are the arguments of the command that Scan completed, valid until
	// the next Scan or Reset. They alias the buffer given to Scan (unquoted
	// inline arguments: memory of the scanner) and must be cloned to be kept.
	// Invariant: no element beyond len(Args) points anywhere, so that
	// buffers are not kept alive by forgotten arguments.
	Args [][]byte

	// Keep has the arguments of a long command that comes in pieces be copied as
	// they come, so that the caller need not keep its bytes, nor move them while
	// they grow; see Scan.
	Keep bool

	// The state of an unfinished command. Everything is an offset from its
	// first byte, as the caller may move the bytes between calls.
	phase phase
	nul   bool   // a NUL hides the end of the current line
	pos   int    // where the current line or argument starts
	seen  int    // the current line's end is not before this offset
	left  int    // arguments not yet complete
	bulk  int    // length of the current argument, in phaseBulk
	have  int    // len(buf) of the last Scan
	spans []span // complete arguments
	total int    // arguments of the command

	// Kept arguments are those at the front of Args, before those of spans.
	own   bool   // there are some: Args and what they alias are this command's alone
	kept  int    // bytes of memory that they take
	block []byte // room for the next ones
	// larger is a larger Args with the same front, which a goroutine makes; nil: none is made.
	larger chan [][]byte

	scratch []byte // contents of inline arguments that had quotes
}

// span is where an argument lies.
type span struct{ off, len int }

type phase uint8

const (
	phaseStart  phase = iota // at the first byte of a command
	phaseInline              // in an inline line
	phaseCount               // in a '*' line
	phaseLength              // in a '$' line
	phaseBulk                // in the bytes of an argument, or in the two after it
	phaseHeld                // see Hold
)

// Scan reads the command that starts at buf[0]. While it answers More the
// caller keeps the bytes (it may move them), appends at least one, and calls
// again; Scan goes on where it stopped. On Complete the command took n bytes
// and is in Args, which is empty for what Redis ignores (an empty line, "*0",
// "*-1"). On Error err is a *ProtoError and the stream cannot be read further.
// n is 0 unless Complete; but with Keep and More, the first n bytes of buf are not
// to be given again.
//
// Time is linear in the bytes of a command however they are cut, memory in the
// arguments seen: what a client announces reserves nothing.
func (s *Scanner) Scan(buf []byte, lim *Limits) (n int, st Status, err error) {
	if s.phase == phaseStart {
		if s.own || cap(s.Args) > keepArgs {
			s.Args, s.spans = nil, nil
			s.own, s.kept = false, 0
		}
		if len(buf) < 4 || buf[0] != '*' {
			return s.begin(buf, lim)
		}
		// The common case in one pass: the whole command is here and
		// well-formed. Whatever is odd or missing is left to the resumable
		// path, which starts over (once for each command).
		count := uint(buf[1] - '0')
		p := 4
		if count-1 > 8 {
			return s.begin(buf, lim)
		}
		if c := buf[2]; c != '\r' {
			d := uint(c - '0')
			if d > 9 || buf[3] != '\r' {
				return s.begin(buf, lim)
			}
			count = count*10 + d
			p = 5
		}
		if int64(count) > lim.args() {
			return s.begin(buf, lim)
		}
		maxBulk := uint64(lim.bulk())
		args := s.Args[:0]
		for ; count > 0; count-- {
			if p > len(buf)-6 { // "$0\r\n\r\n" is the shortest argument
				return s.beginAfter(args, buf, lim)
			}
			b := buf[p:]
			// The first four bytes at once: "$d\rx" or "$dd\r" is nearly all that comes.
			head := binary.LittleEndian.Uint32(b)
			size := uint64(byte(head>>8) - '0')
			i := uint64(4) // where the contents start
			if head&0xFF00FF != '$'|'\r'<<16 {
				if byte(head) != '$' {
					return s.beginAfter(args, buf, lim)
				}
				if size, i = longSize(b); i == 0 {
					return s.beginAfter(args, buf, lim)
				}
			} else if size > 9 {
				return s.beginAfter(args, buf, lim)
			}
			end := i + size
			if end+2 > uint64(len(b)) || size > maxBulk {
				return s.beginAfter(args, buf, lim)
			}
			args = append(args, b[i:end:end])
			p += int(end) + 2
		}
		if len(args) < len(s.Args) {
			clear(s.Args[len(args):])
		}
		s.Args = args
		return p, Complete, nil
	}
	return s.resume(buf, lim)
}

// longSize reads the length of an argument that starts at b[0], with two to
// nine digits, and says where its contents start. The latter is 0 if there is
// anything else. b has at least six bytes.
func longSize(b []byte) (size, start uint64) {
	_ = b[5]
	size = uint64(b[1] - '0')
	d := uint64(b[2] - '0')
	if size-1 > 8 || d > 9 { // no leading zero
		return 0, 0
	}
	size = size*10 + d
	for i, c := range b[3:min(len(b), 11)] {
		d := uint64(c - '0')
		if d > 9 {
			if c != '\r' {
				return 0, 0
			}
			return size, uint64(i) + 5
		}
		size = size*10 + d
	}
	return 0, 0
}

// Need is at least how many bytes are missing for the current argument, after
// More. It is 0 outside of an argument. Of an argument it is all that is missing
// once a quarter of that is there, and before as much as is there: a client that
// announces much and sends little gets at most four times what it has sent.
func (s *Scanner) Need() int {
	if s.phase != phaseBulk {
		return 0
	}
	missing := s.bulk - (s.have - s.pos) // cannot overflow: both are lengths
	if missing/3 >= s.have {
		return s.have
	}
	return missing + 2
}

// Reset forgets an unfinished command and the last Args, and with them the
// buffer that they alias. Room for arguments is kept, unless there is much.
func (s *Scanner) Reset() {
	args, spans, scratch := s.Args, s.spans, s.scratch
	if !s.own { // else somebody may have kept them
		clear(args)
	}
	if s.own || cap(args) > keepArgs {
		args, spans = nil, nil
	}
	if cap(scratch) > keepScratch {
		scratch = nil
	}
	*s = Scanner{Keep: s.Keep, Args: args[:0], spans: spans[:0], scratch: scratch[:0]}
}

// Own tells whether the arguments of the command that Scan completed lie in memory
// that nobody else uses: they may be kept.
func (s *Scanner) Own() bool { return s.own }

// Kept is how many bytes of memory the arguments take that are kept.
func (s *Scanner) Kept() int { return s.kept }

// Hold has Scan complete the last command again, of which arguments were kept: the
// bytes that the last Scan took are to be given again, but those before are not.
func (s *Scanner) Hold() { s.phase = phaseHeld }

// room is for how many arguments Args is to grow, when there are n: a quarter of all has
// come, or of a quarter of them, and so on.
func (s *Scanner) room(n int) int {
	room := s.total
	for room/4 > n && room/4 >= keepArgs {
		room /= 4
	}
	return room
}

// grow makes room where Args is full.
func (s *Scanner) grow() {
	var larger [][]byte
	if s.larger != nil {
		larger = <-s.larger
		s.larger = nil
	} else {
		room := s.room(len(s.Args))
		s.kept += (room - cap(s.Args)) * argRoom
		larger = make([][]byte, 0, room)
	}
	s.Args = append(larger, s.Args[len(larger):]...)
}

// growAside has the next, larger Args made by a goroutine while the last quarter of the
// present one fills: to clear and fill many megabytes takes tens of milliseconds, in which
// the caller would serve nobody.
func (s *Scanner) growAside() {
	room, args, made := s.room(cap(s.Args)), s.Args, make(chan [][]byte, 1)
	s.kept += (room - cap(args)) * argRoom
	s.larger = made
	go func() { made <- append(make([][]byte, 0, room), args...) }()
}

// keep copies what is complete of the command in progress, and returns how many bytes
// of buf are wanted no more.
func (s *Scanner) keep(buf []byte) (n int) {
	for i := range s.spans {
		a := &s.spans[i]
		if n := len(s.Args); n == cap(s.Args) {
			s.grow()
		} else if n >= asideArgs && n == cap(s.Args)/4*3 && cap(s.Args) < s.total {
			s.growAside()
		}
		if a.len > cap(s.block)-len(s.block) {
			if a.len >= keepBlock/4 {
				s.kept += a.len
				s.Args = append(s.Args, bytes.Clone(buf[a.off:a.off+a.len:a.off+a.len]))
				continue
			}
			s.kept += keepBlock
			s.block = make([]byte, 0, keepBlock)
		}
		from := len(s.block)
		s.block = append(s.block, buf[a.off:a.off+a.len]...)
		s.Args = append(s.Args, s.block[from:len(s.block):len(s.block)])
	}
	s.own = true
	s.spans = s.spans[:0]
	n = s.pos
	s.pos, s.seen = 0, s.seen-n
	return n
}

// Forget lets go of the last Args, and of the memory that they alias, unless the
// next command is under way, which has done so.
func (s *Scanner) Forget() {
	if s.phase == phaseStart {
		s.Reset()
	}
}

// beginAfter is begin where the fast path has filled in args and gave up.
func (s *Scanner) beginAfter(args [][]byte, buf []byte, lim *Limits) (int, Status, error) {
	clear(args)
	if cap(args) > cap(s.Args) {
		s.Args = args // it was moved; the old array has what was put there before
	}
	return s.begin(buf, lim)
}

// begin starts a command in the resumable path.
func (s *Scanner) begin(buf []byte, lim *Limits) (int, Status, error) {
	clear(s.Args)
	s.Args = s.Args[:0]
	if len(buf) == 0 {
		return 0, More, nil
	}
	if cap(s.spans) > keepArgs {
		s.spans = nil
	}
	s.spans, s.total = s.spans[:0], 0
	s.own, s.kept, s.block = false, 0, nil
	s.phase = phaseInline
	if buf[0] == '*' {
		s.phase = phaseCount
	}
	s.startLine(0)
	return s.resume(buf, lim)
}

func (s *Scanner) startLine(pos int) {
	s.pos, s.seen, s.nul = pos, pos, false
}

func (s *Scanner) more(buf []byte) (n int, st Status, err error) {
	if s.Keep && s.total > keepArgs && len(s.spans) > 0 {
		n = s.keep(buf)
	}
	s.have = len(buf) - n
	return n, More, nil
}

func (s *Scanner) fail(e *ProtoError) (int, Status, error) {
	s.Reset()
	return 0, Error, e
}

// line finds the end of the current line: the offset of term, or -1 while it
// has not come. tooBig says that it cannot come within max bytes.
//
// Redis notices a line that is too long only between two reads, so that how
// much longer one may be depends on timing; here it never may.
func (s *Scanner) line(buf []byte, term byte, max int) (end int, tooBig bool) {
	limit := len(buf)
	if limit-s.pos > max {
		limit, tooBig = s.pos+max+1, true
	}
	if s.nul || s.seen >= limit {
		return -1, tooBig
	}
	chunk := buf[s.seen:limit]
	i := bytes.IndexByte(chunk, term)
	if i >= 0 {
		chunk = chunk[:i]
	}
	if bytes.IndexByte(chunk, 0) >= 0 {
		s.nul = true
		return -1, tooBig
	}
	s.seen += len(chunk)
	if i < 0 {
		return -1, tooBig
	}
	return s.seen, false
}

// resume goes on with an unfinished command.
func (s *Scanner) resume(buf []byte, lim *Limits) (int, Status, error) {
	switch s.phase {
	case phaseInline:
		end, tooBig := s.line(buf, '\n', lim.inline())
		if tooBig {
			return s.fail(errBigInline)
		}
		if end < 0 {
			return s.more(buf)
		}
		line := buf[:end]
		if end > 0 && line[end-1] == '\r' {
			line = line[:end-1]
		}
		if cap(s.scratch) > keepScratch {
			s.scratch = nil
		}
		var ok bool
		s.Args, s.scratch, ok = splitArgs(s.Args[:0], s.scratch[:0], line)
		if !ok {
			return s.fail(errQuotes)
		}
		s.phase = phaseStart
		return end + 1, Complete, nil

	case phaseCount:
		end, tooBig := s.line(buf, '\r', lim.inline())
		if tooBig {
			return s.fail(errBigMultibulk)
		}
		if end < 0 || end+2 > len(buf) {
			return s.more(buf)
		}
		count, ok := ParseInt(buf[1:end])
		if !ok || count > lim.maxArgs() {
			return s.fail(errMultibulk)
		}
		if count > lim.args() {
			return s.fail(errUnauthMultibulk)
		}
		if count <= 0 {
			s.phase = phaseStart
			return end + 2, Complete, nil
		}
		s.left, s.total = int(count), int(count)
		s.phase = phaseLength
		s.startLine(end + 2)

	case phaseHeld:
		s.phase = phaseStart
		return s.pos, Complete, nil
	}

	for s.left > 0 {
		if s.phase == phaseLength {
			end, tooBig := s.line(buf, '\r', lim.inline())
			if tooBig {
				return s.fail(errBigBulk)
			}
			if end < 0 || end+2 > len(buf) {
				return s.more(buf)
			}
			if c := buf[s.pos]; c != '$' {
				return s.fail(&ProtoError{"expected '$', got '" + string([]byte{c}) + "'"})
			}
			size, ok := ParseInt(buf[s.pos+1 : end])
			if !ok || size < 0 || size > lim.maxBulk() || size > math.MaxInt {
				return s.fail(errBulk)
			}
			if size > lim.bulk() {
				return s.fail(errUnauthBulk)
			}
			s.bulk = int(size)
			s.pos = end + 2
			s.phase = phaseBulk
		}
		if len(buf)-s.pos-2 < s.bulk {
			return s.more(buf)
		}
		s.spans = append(s.spans, span{s.pos, s.bulk})
		s.left--
		s.phase = phaseLength
		s.startLine(s.pos + s.bulk + 2)
	}

	if s.own {
		n := s.keep(buf)
		s.pos, s.block = n, nil
		s.phase = phaseStart
		return n, Complete, nil
	}
	args := s.Args[:0]
	for _, a := range s.spans {
		args = append(args, buf[a.off:a.off+a.len:a.off+a.len])
	}
	s.Args = args
	s.phase = phaseStart
	return s.pos, Complete, nil
}
