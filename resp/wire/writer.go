package wire

import (
	"strconv"
	"sync"

	"github.com/tidwall/redcon"
)

// Writer appends replies to Buf. The caller may read, truncate and replace Buf
// between replies. No method allocates, but for Buf's growth.
//
// Replies that only RESP3 has are written to a RESP2 client as Redis 7.0
// writes them: a map as an array of twice the length, a double as a bulk, null
// as the null bulk, and so on.
type Writer struct {
	Buf   []byte
	Proto int // 2 or 3, as HELLO chose; anything below 3 is RESP2

	// parts are what came before Buf, base their bytes; only with InParts.
	parts   [][]byte
	base    int
	inParts bool
}

// partSize is the length from which on a part is put aside, in bytes, and partCap
// how long it may get before it has to grow.
const (
	partSize = 128 << 10
	partCap  = partSize + partSize/16
)

// spare are parts that were sent. Without them a client that repeats SMEMBERS of
// a million members makes 300 MB of garbage a second, and the collector, many
// times a second, takes the processors from those who serve.
var spare sync.Pool // of *[partCap]byte

// Reuse takes a part back to which nobody refers any more: one of Parts, as it
// was.
func Reuse(part []byte) {
	if cap(part) == partCap {
		spare.Put((*[partCap]byte)(part[:partCap]))
	}
}

// InParts returns a Writer for replies of any length: before a bulk string it
// puts Buf aside if that has grown long. One huge buffer would be moved whole
// whenever it grows, and nothing stops a goroutine while it moves memory: the
// garbage collector would wait for it, and all others for the collector. Buf is
// not the caller's then; Parts are.
func InParts(proto int) *Writer { return &Writer{Proto: proto, inParts: true} }

// Parts are the replies of an InParts Writer, at least one part.
func (w *Writer) Parts() [][]byte { return append(w.parts, w.Buf) }

// Part puts Buf aside if that has grown long; only with InParts.
func (w *Writer) Part() {
	if w.inParts && len(w.Buf) >= partSize {
		w.putAside()
	}
}

func (w *Writer) putAside() {
	w.parts = append(w.parts, w.Buf)
	w.base += len(w.Buf)
	if part, ok := spare.Get().(*[partCap]byte); ok {
		w.Buf = part[:0]
	} else {
		w.Buf = make([]byte, 0, partCap)
	}
}

// Mark is where a deferred header stands.
type Mark int

// deferred is the room that Defer leaves: a header of one digit.
const deferred = 4

// line appends a type byte, s with its line ends made blanks, and CR LF.
func (w *Writer) line(kind byte, s string) {
	w.Buf = append(w.Buf, kind)
	at := len(w.Buf)
	w.Buf = append(w.Buf, s...)
	for i, c := range w.Buf[at:] {
		if c == '\r' || c == '\n' {
			w.Buf[at+i] = ' '
		}
	}
	w.Buf = append(w.Buf, '\r', '\n')
}

// SimpleString appends a status. CR and LF in s become blanks.
func (w *Writer) SimpleString(s string) { w.line('+', s) }

// OK appends the status OK.
func (w *Writer) OK() { w.Buf = redcon.AppendOK(w.Buf) }

// Error appends an error. s starts with its code ("ERR syntax error") and has
// no '-'. CR and LF in s become blanks.
func (w *Writer) Error(s string) { w.line('-', s) }

// Int appends an integer.
func (w *Writer) Int(n int64) { w.Buf = AppendHeader(w.Buf, ':', n) }

// Bulk appends a bulk string.
func (w *Writer) Bulk(b []byte) {
	if w.inParts && len(w.Buf) >= partSize {
		w.putAside()
	}
	dst := append(AppendHeader(w.Buf, '$', int64(len(b))), b...)
	w.Buf = append(dst, '\r', '\n')
}

// BulkFrom appends a bulk string of n bytes, which appendRange yields.
func (w *Writer) BulkFrom(n int, appendRange func(dst []byte, from, to int) []byte) {
	w.Buf = AppendHeader(w.Buf, '$', int64(n))
	for from := 0; from < n; {
		to := n
		if w.inParts {
			if len(w.Buf) >= partSize {
				w.putAside()
			}
			to = min(n, from+partSize-min(len(w.Buf), partSize/2))
		}
		w.Buf = appendRange(w.Buf, from, to)
		from = to
	}
	w.Buf = append(w.Buf, '\r', '\n')
}

// BulkString appends a bulk string.
func (w *Writer) BulkString(s string) {
	if w.inParts && len(w.Buf) >= partSize {
		w.putAside()
	}
	dst := append(AppendHeader(w.Buf, '$', int64(len(s))), s...)
	w.Buf = append(dst, '\r', '\n')
}

// BulkInt appends n as a bulk string of decimal digits.
func (w *Writer) BulkInt(n int64) {
	var room [20]byte
	w.Bulk(strconv.AppendInt(room[:0], n, 10))
}

// Null appends null: RESP2's null bulk.
func (w *Writer) Null() {
	if w.Proto >= 3 {
		w.Buf = append(w.Buf, "_\r\n"...)
		return
	}
	w.Buf = redcon.AppendNull(w.Buf)
}

// NullArray appends null: RESP2's null array.
func (w *Writer) NullArray() {
	if w.Proto >= 3 {
		w.Buf = append(w.Buf, "_\r\n"...)
		return
	}
	w.Buf = append(w.Buf, "*-1\r\n"...)
}

// Array appends the header of an array of n replies, which the caller appends.
func (w *Writer) Array(n int) { w.Buf = AppendHeader(w.Buf, '*', int64(n)) }

// Map appends the header of n pairs of replies; RESP2: an array of 2n.
func (w *Writer) Map(n int) {
	kind, count := w.aggregate('%', n)
	w.Buf = AppendHeader(w.Buf, kind, count)
}

// Set appends the header of a set of n replies; RESP2: an array.
func (w *Writer) Set(n int) {
	kind, count := w.aggregate('~', n)
	w.Buf = AppendHeader(w.Buf, kind, count)
}

// Push appends the header of an out-of-band message of n replies; RESP2: an array.
func (w *Writer) Push(n int) {
	kind, count := w.aggregate('>', n)
	w.Buf = AppendHeader(w.Buf, kind, count)
}

// aggregate is how the protocol in use announces n elements of a RESP3 kind.
func (w *Writer) aggregate(kind byte, n int) (byte, int64) {
	if w.Proto >= 3 {
		return kind, int64(n)
	}
	if kind == '%' {
		n *= 2
	}
	return '*', int64(n)
}

// Bool appends a boolean; RESP2: the integers 1 and 0.
func (w *Writer) Bool(b bool) {
	switch {
	case w.Proto >= 3 && b:
		w.Buf = append(w.Buf, "#t\r\n"...)
	case w.Proto >= 3:
		w.Buf = append(w.Buf, "#f\r\n"...)
	case b:
		w.Int(1)
	default:
		w.Int(0)
	}
}

// Double appends a number as AppendFloat prints it; RESP2: a bulk.
func (w *Writer) Double(f float64) {
	var room [32]byte
	w.double(AppendFloat(room[:0], f))
}

// HumanDouble appends a number as AppendHumanLongDouble prints it, as the
// coordinates of GEOPOS; RESP2: a bulk. (INCRBYFLOAT replies with a Bulk in
// both protocols.)
func (w *Writer) HumanDouble(d LongDouble) {
	var room [64]byte
	w.double(AppendHumanLongDouble(room[:0], d))
}

func (w *Writer) double(digits []byte) {
	if w.Proto < 3 {
		w.Bulk(digits)
		return
	}
	w.Buf = append(append(append(w.Buf, ','), digits...), '\r', '\n')
}

// BigNumber appends an integer of any length, given as digits; RESP2: a bulk.
func (w *Writer) BigNumber(digits string) {
	if w.Proto < 3 {
		w.BulkString(digits)
		return
	}
	w.line('(', digits)
}

// Verbatim appends text of a format that three bytes name ("txt", "mkd"; less
// is filled up with blanks, more is cut); RESP2: a bulk of the text alone.
func (w *Writer) Verbatim(ext, text string) {
	if w.Proto < 3 {
		w.BulkString(text)
		return
	}
	w.Buf = AppendHeader(w.Buf, '=', int64(len(text)+4))
	for i := range 3 {
		c := byte(' ')
		if i < len(ext) {
			c = ext[i]
		}
		w.Buf = append(w.Buf, c)
	}
	w.Buf = append(w.Buf, ':')
	w.Buf = append(w.Buf, text...)
	w.Buf = append(w.Buf, '\r', '\n')
}

// Raw appends bytes as they are.
func (w *Writer) Raw(b []byte) { w.Buf = append(w.Buf, b...) }

// DeferArray leaves room for a header whose count is not known yet. One of
// SetArray, SetMap, SetSet and SetPush must fill it in, before bytes are taken
// from the front of Buf; where marks nest, the inner one first. To drop all
// that was written since, truncate Buf to the mark instead.
func (w *Writer) DeferArray() Mark {
	m := Mark(w.base + len(w.Buf))
	w.Buf = append(w.Buf, "*0\r\n"...)
	return m
}

// SetArray makes the deferred header at m one of an array of n replies. A
// count of more than one digit moves what follows by a few bytes, in one go.
func (w *Writer) SetArray(m Mark, n int) { w.fill(m, '*', int64(n)) }

// SetMap is SetArray for n pairs; RESP2: an array of 2n.
func (w *Writer) SetMap(m Mark, n int) {
	kind, count := w.aggregate('%', n)
	w.fill(m, kind, count)
}

// SetSet is SetArray for a set of n replies; RESP2: an array.
func (w *Writer) SetSet(m Mark, n int) {
	kind, count := w.aggregate('~', n)
	w.fill(m, kind, count)
}

// SetPush is SetArray for a message of n replies; RESP2: an array.
func (w *Writer) SetPush(m Mark, n int) {
	kind, count := w.aggregate('>', n)
	w.fill(m, kind, count)
}

func (w *Writer) fill(m Mark, kind byte, n int64) {
	buf, at := &w.Buf, int(m)-w.base
	for i := len(w.parts); at < 0; {
		i--
		buf = &w.parts[i]
		at += len(*buf)
	}
	var room [24]byte
	header := AppendHeader(room[:0], kind, n)
	if extra := len(header) - deferred; extra > 0 {
		var zeros [len(room)]byte
		body := len(*buf)
		*buf = append(*buf, zeros[:extra]...)
		copy((*buf)[at+len(header):], (*buf)[at+deferred:body])
		if buf != &w.Buf {
			w.base += extra
		}
	}
	copy((*buf)[at:], header)
}
