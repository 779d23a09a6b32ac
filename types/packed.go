package types

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strconv"
)

// Packed is a sequence of elements in the coding of Redis's listpack elements,
// without listpack's 6-byte header and 0xFF terminator, so that an RDB file or
// a DUMP can copy it verbatim. nil is the empty sequence.
//
// An element is its coding, its data and the length of both, which is read
// backwards (source: Redis's listpack specification and src/listpack.c):
//
//	0xxxxxxx                         integer 0 to 127
//	10xxxxxx data                    bytes, 6 bits of length
//	110xxxxx xxxxxxxx                integer, 13 bits, two's complement, high bits first
//	1110xxxx xxxxxxxx data           bytes, 12 bits of length, high bits first
//	11110000 length(4) data          bytes, 32 bits of length, little endian
//	11110001 .. 11110100             integer of 2, 3, 4, 8 bytes, little endian
//	length backwards                 1 to 5 bytes of 7 bits, high bits first; every
//	                                 byte but the first has its top bit set
//
// What reads as a canonical decimal int64 is kept as the shortest integer. An
// element is shorter than 4 GiB.
//
// An offset is the place of an element's first byte. Offsets given to methods
// must have come from methods of the same, unchanged, sequence; only Check may
// be used on bytes from outside. Reading allocates nothing. Methods that change
// the sequence work in place while the capacity lasts, so that the receiver
// must not be used after the call; their b must not alias the sequence.
type Packed []byte

// Elem is one element as read: an integer, or bytes that alias the sequence
// and are valid until it changes.
//
// It has four words and no more, which is what the compiler keeps in registers.
type Elem struct {
	S []byte // nil: an integer
	I int64
}

// BytesElem is an element of bytes, which may be nil.
func BytesElem(b []byte) Elem {
	if b == nil {
		b = noBytes
	}
	return Elem{S: b}
}

var noBytes = []byte{}

// IsInt tells whether it is an integer.
func (e Elem) IsInt() bool { return e.S == nil }

// Append adds the element's bytes to dst, in decimal if it is an integer.
func (e Elem) Append(dst []byte) []byte {
	if e.IsInt() {
		return strconv.AppendInt(dst, e.I, 10)
	}
	return append(dst, e.S...)
}

// Len is the number of bytes that Append adds.
func (e Elem) Len() int {
	if e.IsInt() {
		return decimalLen(e.I)
	}
	return len(e.S)
}

// Equal tells whether the element's bytes are b.
func (e Elem) Equal(b []byte) bool {
	if !e.IsInt() {
		return bytes.Equal(e.S, b)
	}
	v, ok := ParseInt64(b)
	return ok && v == e.I
}

// maxDecimal is the length of the longest decimal int64, -9223372036854775808.
const maxDecimal = 20

// ParseInt64 reads b as a decimal int64 and accepts only what printing the
// number would give back: no plus sign, no leading zero, no "-0", no spaces.
func ParseInt64(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > maxDecimal {
		return 0, false
	}
	negative := b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || b[0] < '1' || b[0] > '9' {
		return 0, !negative && len(b) == 1 && b[0] == '0'
	}
	// The sum stays within a uint64 because v is tested before each digit.
	var v uint64
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || v > (math.MaxUint64-9)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	if negative {
		if v > 1<<63 {
			return 0, false
		}
		return -int64(v), true
	}
	if v > math.MaxInt64 {
		return 0, false
	}
	return int64(v), true
}

// decimalLen is the number of characters of v in decimal.
func decimalLen(v int64) int {
	n, u := 1, uint64(v)
	if v < 0 {
		n, u = 2, -u
	}
	for ; u >= 10; u /= 10 {
		n++
	}
	return n
}

// backlenSize is the number of bytes that tell the length n backwards. The
// limits are one lower than the bits would allow, as they are in Redis.
func backlenSize(n int) int {
	switch {
	case n <= 127:
		return 1
	case n < 1<<14-1:
		return 2
	case n < 1<<21-1:
		return 3
	case n < 1<<28-1:
		return 4
	}
	return 5
}

func appendBacklen(dst []byte, n int) []byte {
	if n <= 127 {
		return append(dst, byte(n))
	}
	flag := byte(0)
	for shift := 7 * (backlenSize(n) - 1); shift >= 0; shift -= 7 {
		dst = append(dst, byte(n>>shift)&127|flag)
		flag = 128
	}
	return dst
}

// intCoding is the length of v's coding and data.
func intCoding(v int64) int {
	switch {
	case v >= 0 && v <= 127:
		return 1
	case v >= -1<<12 && v < 1<<12:
		return 2
	case v >= math.MinInt16 && v <= math.MaxInt16:
		return 3
	case v >= -1<<23 && v < 1<<23:
		return 4
	case v >= math.MinInt32 && v <= math.MaxInt32:
		return 5
	}
	return 9
}

// bytesCoding is the length of the coding and data of n bytes.
func bytesCoding(n int) int {
	switch {
	case n < 1<<6:
		return 1 + n
	case n < 1<<12:
		return 2 + n
	}
	return 5 + n
}

// codedOf is b as it becomes an element: the integer that it spells, if it does.
func codedOf(b []byte) Elem {
	if v, ok := ParseInt64(b); ok {
		return Elem{I: v}
	}
	return BytesElem(b)
}

// size is the number of bytes of the whole element.
func (e Elem) size() int {
	if e.IsInt() {
		return intCoding(e.I) + 1
	}
	n := bytesCoding(len(e.S))
	return n + backlenSize(n)
}

// put writes the element into dst, which is exactly as long.
func (e Elem) put(dst []byte) {
	if e.IsInt() {
		appendIntElem(dst[:0:len(dst)], e.I)
	} else {
		appendBytesElem(dst[:0:len(dst)], e.S)
	}
}

// ElemSize is the number of bytes that b takes as an element.
func ElemSize(b []byte) int { return codedOf(b).size() }

// AppendElem adds b as one element to dst.
func AppendElem(dst, b []byte) []byte {
	if v, ok := ParseInt64(b); ok {
		return appendIntElem(dst, v)
	}
	return appendBytesElem(dst, b)
}

func appendIntElem(dst []byte, v int64) []byte {
	switch n := intCoding(v); n {
	case 1:
		return append(dst, byte(v), 1)
	case 2:
		return append(dst, 0xC0|byte(v>>8)&0x1F, byte(v), 2)
	case 3:
		return append(dst, 0xF1, byte(v), byte(v>>8), 3)
	case 4:
		return append(dst, 0xF2, byte(v), byte(v>>8), byte(v>>16), 4)
	case 5:
		return append(binary.LittleEndian.AppendUint32(append(dst, 0xF3), uint32(v)), 5)
	default:
		return append(binary.LittleEndian.AppendUint64(append(dst, 0xF4), uint64(v)), 9)
	}
}

func appendBytesElem(dst, b []byte) []byte {
	n := len(b)
	switch {
	case n < 1<<6:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<12:
		dst = append(dst, 0xE0|byte(n>>8), byte(n))
	default:
		dst = binary.LittleEndian.AppendUint32(append(dst, 0xF0), uint32(n))
	}
	return appendBacklen(append(dst, b...), bytesCoding(n))
}

// coding is the length of the coding and data of the element at off.
func (p Packed) coding(off int) int {
	c := p[off]
	switch {
	case c < 0x80:
		return 1
	case c < 0xC0:
		return 1 + int(c&0x3F)
	case c < 0xE0:
		return 2
	case c < 0xF0:
		return 2 + int(c&0x0F)<<8 + int(p[off+1])
	case c == 0xF0:
		return 5 + int(binary.LittleEndian.Uint32(p[off+1:]))
	case c == 0xF4:
		return 9
	}
	return int(c) - 0xF1 + 3
}

// elemSizes is the size of an element by its first byte, 0 where that does not
// tell it.
var elemSizes = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c < 0x80:
			t[c] = 2
		case c < 0xC0:
			t[c] = uint8(c - 0x80 + 2)
		case c < 0xE0:
			t[c] = 3
		case c > 0xF0 && c < 0xF4:
			t[c] = uint8(c - 0xF1 + 4)
		case c == 0xF4:
			t[c] = 10
		}
	}
	return t
}()

// EndOf is the offset behind the element at off: the next element's, or the
// length of the sequence. Short bytes are told without a second look into
// memory, which is what walking waits for.
func (p Packed) EndOf(off int) int {
	c := p[off]
	if c-0x80 < 0x40 {
		return off + 2 - 0x80 + int(c)
	}
	if n := elemSizes[c]; n != 0 {
		return off + int(n)
	}
	n := p.coding(off)
	return off + n + backlenSize(n)
}

// First is the offset of the first element, -1 if there is none.
func (p Packed) First() int {
	if len(p) == 0 {
		return -1
	}
	return 0
}

// Last is the offset of the last element, -1 if there is none.
func (p Packed) Last() int { return p.Prev(len(p)) }

// Next is the offset of the element after the one at off, -1 at the end.
func (p Packed) Next(off int) int {
	if off = p.EndOf(off); off == len(p) {
		return -1
	}
	return off
}

// Prev is the offset of the element before off, which may be the length of the
// sequence; -1 at the start.
func (p Packed) Prev(off int) int {
	if off == 0 {
		return -1
	}
	off--
	c := p[off]
	n := int(c & 127)
	for shift := 7; c&128 != 0; shift += 7 {
		off--
		c = p[off]
		n |= int(c&127) << shift
	}
	return off - n
}

// At is the element at off.
func (p Packed) At(off int) Elem {
	c := p[off]
	switch {
	case c < 0x80:
		return Elem{I: int64(c)}
	case c < 0xC0:
		return p.bytesAt(off+1, int(c&0x3F))
	case c < 0xE0:
		return Elem{I: int64(uint64(c)<<59|uint64(p[off+1])<<51) >> 51}
	case c < 0xF0:
		return p.bytesAt(off+2, int(c&0x0F)<<8+int(p[off+1]))
	case c == 0xF0:
		return p.bytesAt(off+5, int(binary.LittleEndian.Uint32(p[off+1:])))
	}
	return Elem{I: p.longIntAt(off)}
}

// AtEnd is At and EndOf in one step, for walking.
func (p Packed) AtEnd(off int) (Elem, int) {
	if c := p[off]; c >= 0x80 && c < 0xC0 {
		end := off + 1 + int(c&0x3F)
		return Elem{S: p[off+1 : end : end]}, end + 1
	}
	return p.At(off), p.EndOf(off)
}

func (p Packed) bytesAt(off, n int) Elem { return Elem{S: p[off : off+n : off+n]} }

// longIntAt reads an integer of 2 to 8 bytes.
func (p Packed) longIntAt(off int) int64 {
	b := p[off+1:]
	switch p[off] {
	case 0xF1:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case 0xF2:
		return int64(uint64(binary.LittleEndian.Uint16(b))<<40|uint64(b[2])<<56) >> 40
	case 0xF3:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

// Count walks the sequence and counts its elements.
func (p Packed) Count() int {
	n := 0
	for off := 0; off < len(p); off = p.EndOf(off) {
		n++
	}
	return n
}

// Seek is the offset of the element at index, which counts from the end if it
// is negative (-1 is the last one). It is -1 out of range.
func (p Packed) Seek(index int) int {
	if index < 0 {
		off := p.Last()
		for ; off >= 0 && index < -1; index++ {
			off = p.Prev(off)
		}
		return off
	}
	off := 0
	for ; off < len(p) && index > 0; index-- {
		off = p.EndOf(off)
	}
	if off == len(p) {
		return -1
	}
	return off
}

// Find is the offset of the first element equal to b, looking at every
// (skip+1)th one and starting at from; -1 if there is none, or if from is -1.
func (p Packed) Find(b []byte, from, skip int) int {
	if from < 0 {
		return -1
	}
	v, isInt := ParseInt64(b)
	for off, wait := from, 0; off < len(p); wait-- {
		n := p.coding(off)
		if wait == 0 {
			wait = skip + 1
			if p.codedEqual(off, n, b, v, isInt) {
				return off
			}
		}
		off += n + backlenSize(n)
	}
	return -1
}

// codedEqual tells whether the element at off, n bytes long, is b, which reads
// as v if isInt.
func (p Packed) codedEqual(off, n int, b []byte, v int64, isInt bool) bool {
	c := p[off]
	switch {
	case c < 0x80:
		return isInt && v == int64(c)
	case c < 0xC0:
		return n == 1+len(b) && string(p[off+1:off+n]) == string(b)
	case c >= 0xE0 && c < 0xF0:
		return n == 2+len(b) && string(p[off+2:off+n]) == string(b)
	case c == 0xF0:
		return n == 5+len(b) && string(p[off+5:off+n]) == string(b)
	}
	return isInt && v == p.At(off).I
}

// Append adds b behind the last element.
func (p Packed) Append(b []byte) Packed { return p.Insert(len(p), b) }

// AppendInt adds v behind the last element.
func (p Packed) AppendInt(v int64) Packed {
	off := len(p)
	p = p.gap(off, 0, intCoding(v)+1)
	appendIntElem(p[off:off], v)
	return p
}

// Insert adds b before the element at off, or at the end if off is the length
// of the sequence.
func (p Packed) Insert(off int, b []byte) Packed { return p.put(off, 0, b) }

// Replace puts b in the place of the element at off.
func (p Packed) Replace(off int, b []byte) Packed { return p.put(off, p.EndOf(off)-off, b) }

// Delete removes n elements from the one at off on, or as many as there are.
func (p Packed) Delete(off, n int) Packed {
	end := off
	for ; n > 0 && end < len(p); n-- {
		end = p.EndOf(end)
	}
	return append(p[:off], p[end:]...)
}

// put writes b as an element over the old bytes at off.
func (p Packed) put(off, old int, b []byte) Packed {
	c := codedOf(b)
	return p.putCoded(off, old, c)
}

func (p Packed) putCoded(off, old int, c Elem) Packed {
	p = p.gap(off, old, c.size())
	c.put(p[off : off+c.size()])
	return p
}

// removeEqual removes up to limit elements equal to b, from the one at off on, in place,
// and tells how many.
func (p Packed) removeEqual(b []byte, off, limit int) (Packed, int) {
	removed, to, from := 0, off, off
	for removed < limit && from < len(p) {
		off := p.Find(b, from, 0)
		if off < 0 {
			break
		}
		removed++
		if to != from {
			copy(p[to:], p[from:off])
		}
		to += off - from
		from = p.EndOf(off)
	}
	if to != from {
		copy(p[to:], p[from:])
	}
	return p[:to+len(p)-from], removed
}

// firstToRemove is where removeEqual begins for the first limit elements equal to b, or, with
// back, for the last limit ones; -1 if none is. It looks at no more elements than it must.
func (p Packed) firstToRemove(b []byte, limit int, back bool) int {
	if !back {
		return p.Find(b, p.First(), 0)
	}
	v, isInt := ParseInt64(b)
	found := -1
	for off := p.Last(); off >= 0 && limit > 0; off = p.Prev(off) {
		if p.codedEqual(off, p.coding(off), b, v, isInt) {
			found = off
			limit--
		}
	}
	return found
}

// gap makes the old bytes at off size bytes long; what they hold is undefined.
// Growing leaves room for an eighth more, so that appending is linear without
// wasting much.
func (p Packed) gap(off, old, size int) Packed {
	n := len(p) - old + size
	if n <= cap(p) {
		tail := p[off+old:]
		p = p[:n]
		if old != size {
			copy(p[off+size:], tail)
		}
		return p
	}
	q := slices.Grow(Packed(nil), n+n/8)[:n]
	copy(q, p[:off])
	copy(q[off+size:], p[off+old:])
	return q
}

// scratch is memory in which packed values grow, one after the other, before
// they are copied to where they are kept: no garbage.
type scratch struct{ mem Packed }

// room is p with a capacity of n bytes, moved to the scratch memory if it has
// less; it may lie there already.
func (s *scratch) room(p Packed, n int) Packed {
	if n <= cap(p) {
		return p
	}
	if n > cap(s.mem) {
		s.mem = slices.Grow(Packed(nil), n+n/4)
	}
	return s.mem[:copy(s.mem[:len(p)], p)]
}

// put is putCoded with room for it.
func (s *scratch) put(p Packed, off, old int, c Elem) Packed {
	return s.room(p, len(p)-old+c.size()).putCoded(off, old, c)
}

var errPacked = errors.New("types: damaged packed elements")

// Check verifies bytes from outside: every element ends inside and its length
// backwards agrees. Whatever passes is safe for all the other methods. Codings
// longer than they had to be are allowed, as Redis allows them.
func (p Packed) Check() error {
	for off := 0; off < len(p); {
		rest := len(p) - off
		c, head := p[off], 1
		switch {
		case c > 0xF4:
			return errPacked
		case c == 0xF0:
			head = 5
		case c >= 0xE0 && c < 0xF0:
			head = 2
		}
		if rest < head {
			return errPacked
		}
		// A length of 32 bits must not turn negative where an int has 32.
		if c == 0xF0 && uint64(binary.LittleEndian.Uint32(p[off+1:])) > uint64(rest) {
			return errPacked
		}
		n := p.coding(off)
		back := backlenSize(n)
		if rest < n+back {
			return errPacked
		}
		var buf [5]byte
		if !bytes.Equal(appendBacklen(buf[:0], n), p[off+n:off+n+back]) {
			return errPacked
		}
		off += n + back
	}
	return nil
}
