package rdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"kvd/types"
)

// The errors of decoding. Others wrap one of them, or come from the source.
var (
	// ErrDamaged: the bytes are no value.
	ErrDamaged = errors.New("rdb: damaged value")
	// ErrShort: the bytes end in the middle of a value.
	ErrShort = errors.New("rdb: value is cut off")
	// ErrEmpty: a collection without elements, which no key can hold. All of
	// it was read, so that a loader may leave it out and go on.
	ErrEmpty = errors.New("rdb: empty collection")
	// ErrUnknown: a type that is not read here.
	ErrUnknown = errors.New("rdb: unknown type of value")
)

const (
	window = 64 << 10 // what is asked of a source at once
	// keepMost is the largest window that is kept for what comes next.
	keepMost = 1 << 20
)

// Reader reads from bytes in memory, or from a stream through a window that
// grows only as bytes arrive. The first error stays: afterwards every method
// returns zeros, and Err says what happened. What methods return as bytes is
// valid until the next call.
type Reader struct {
	buf  []byte
	pos  int // of what is next
	end  int // of what is there
	src  io.Reader
	err  error
	base int64 // bytes before buf[0]

	sums    bool
	sum     uint64 // of everything before buf[summed]
	summed  int
	scratch []byte
	bulk    types.Bulk

	// While marked, buf[mark:] stays where it is wanted again; see Mark.
	marked        bool
	mark, markMax int
}

// NewBytes makes a Reader of bytes.
func NewBytes(b []byte) *Reader { return &Reader{buf: b, end: len(b)} }

// NewReader makes a Reader of a stream. If sums, Sum is kept.
func NewReader(src io.Reader, sums bool) *Reader {
	return &Reader{buf: make([]byte, window), src: src, sums: sums}
}

// Err is the first error.
func (r *Reader) Err() error { return r.err }

// Offset is the number of bytes that have been taken.
func (r *Reader) Offset() int64 { return r.base + int64(r.pos) }

// Left is the number of bytes in memory that have not been taken.
func (r *Reader) Left() int { return r.end - r.pos }

// Sum is the checksum of the bytes that have been taken.
func (r *Reader) Sum() uint64 {
	r.sumTo(r.pos)
	return r.sum
}

// sumTo takes the bytes before buf[end] into the checksum.
func (r *Reader) sumTo(end int) {
	if r.sums && end > r.summed {
		r.sum = Checksum(r.sum, r.buf[r.summed:end])
		r.summed = end
	}
}

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *Reader) damaged(what string) { r.fail(fmt.Errorf("%w: %s", ErrDamaged, what)) }

// unsound is for values in one string, in Redis's words.
func (r *Reader) unsound(what string) { r.damaged(what + " integrity check failed") }

// Next takes n bytes; nil at an error.
func (r *Reader) Next(n int) []byte {
	if r.err != nil || n < 0 {
		r.fail(ErrDamaged)
		return nil
	}
	if r.end-r.pos < n && !r.fill(n) {
		return nil
	}
	b := r.buf[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return b
}

// fill sees to it that n bytes are there.
func (r *Reader) fill(n int) bool {
	if r.src == nil {
		r.fail(ErrShort)
		return false
	}
	from := r.pos
	if r.marked {
		from = r.mark
		if n > r.markMax-(r.pos-from) {
			r.fail(errLong)
			return false
		}
	}
	r.sumTo(from)
	old := r.buf[from:r.end]
	if len(r.buf) > keepMost && n <= window && len(old) <= window {
		r.buf = make([]byte, window)
	}
	copy(r.buf, old)
	r.base += int64(from)
	r.pos, r.mark, r.summed, r.end = r.pos-from, 0, 0, len(old)
	n += r.pos
	for idle := 0; r.end < n; {
		if r.end == len(r.buf) {
			// It doubles, so at least half of it has arrived before it is made.
			want := max(n, window)
			if r.marked { // more will be wanted, bit by bit
				want = max(want, r.markMax)
			}
			grown := make([]byte, min(2*len(r.buf), want))
			copy(grown, r.buf)
			r.buf = grown
		}
		k, err := r.src.Read(r.buf[r.end:])
		r.end += k
		if r.end >= n {
			break
		}
		if err != nil {
			if err == io.EOF {
				err = ErrShort
			}
			r.fail(err)
			return false
		}
		if idle++; k > 0 {
			idle = 0
		} else if idle == 100 {
			r.fail(io.ErrNoProgress)
			return false
		}
	}
	return true
}

// Byte takes a byte.
func (r *Reader) Byte() byte {
	if b := r.Next(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint32 takes 4 bytes, little endian.
func (r *Reader) Uint32() uint32 {
	if b := r.Next(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// Uint64 takes 8 bytes, little endian.
func (r *Reader) Uint64() uint64 {
	if b := r.Next(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Length takes a length.
func (r *Reader) Length() uint64 {
	n, coded := r.length()
	if coded {
		r.damaged("a coded string where a length should be")
		return 0
	}
	return n
}

// The codings of strings that are not plain.
const (
	codedInt8 = iota
	codedInt16
	codedInt32
	codedLZF
)

// length takes a length, or the coding of a string.
func (r *Reader) length() (n uint64, coded bool) {
	c := r.Byte()
	switch {
	case c < 0x40:
		return uint64(c), false
	case c < 0x80:
		return uint64(c&0x3F)<<8 | uint64(r.Byte()), false
	case c == 0x80:
		if b := r.Next(4); b != nil {
			n = uint64(binary.BigEndian.Uint32(b))
		}
		return n, false
	case c == 0x81:
		if b := r.Next(8); b != nil {
			n = binary.BigEndian.Uint64(b)
		}
		return n, false
	case c >= 0xC0:
		return uint64(c & 0x3F), true
	}
	r.damaged("length")
	return 0, false
}

// String takes a string.
func (r *Reader) String() []byte {
	n, coded := r.length()
	if !coded {
		return r.take(n)
	}
	v, ok := r.codedInt(n)
	if ok {
		r.scratch = strconv.AppendInt(r.scratch[:0], v, 10)
		return r.scratch
	}
	if n != codedLZF {
		r.damaged("coding of a string")
		return nil
	}
	size, real := r.Length(), r.Length()
	src := r.take(size)
	if r.err != nil {
		return nil
	}
	if cap(r.scratch) > keepMost {
		r.scratch = nil
	}
	if r.scratch, ok = decompress(r.scratch[:0], src, real); !ok {
		r.damaged("compressed string")
		return nil
	}
	return r.scratch
}

// codedInt takes an integer of the coding, if it is one.
func (r *Reader) codedInt(coding uint64) (int64, bool) {
	switch coding {
	case codedInt8:
		return int64(int8(r.Byte())), true
	case codedInt16:
		if b := r.Next(2); b != nil {
			return int64(int16(binary.LittleEndian.Uint16(b))), true
		}
		return 0, true
	case codedInt32:
		return int64(int32(r.Uint32())), true
	}
	return 0, false
}

// take is Next for a length that somebody claims.
func (r *Reader) take(n uint64) []byte {
	if n > math.MaxInt {
		r.damaged("length")
		return nil
	}
	return r.Next(int(n))
}
