package types

import "encoding/binary"

// Bare elements: a listpack's, without the length backwards. Values whose elements
// are read in one direction keep them so.

// BareLen is the length of the element at the start of b.
func BareLen(b []byte) int {
	c := b[0]
	switch {
	case c < 0x80:
		return 1
	case c < 0xC0:
		return 1 + int(c&0x3F)
	case c < 0xE0:
		return 2
	case c < 0xF0:
		return 2 + int(c&0x0F)<<8 + int(b[1])
	case c == 0xF0:
		return 5 + int(binary.LittleEndian.Uint32(b[1:]))
	case c == 0xF4:
		return 9
	}
	return int(c) - 0xF1 + 3
}

// BareElem is the element at the start of b, and its length.
func BareElem(b []byte) (Elem, int) {
	if c := b[0]; c >= 0x80 && c < 0xC0 {
		n := 1 + int(c&0x3F)
		return Elem{S: b[1:n:n]}, n
	}
	return Packed(b).At(0), BareLen(b)
}

// AppendBare adds v as an element.
func AppendBare(dst, v []byte) []byte {
	if len(v) > 0 && len(v) <= 20 && (v[0]-'0' < 10 || v[0] == '-') {
		if i, ok := ParseInt64(v); ok {
			return AppendBareInt(dst, i)
		}
	}
	switch n := len(v); {
	case n < 1<<6:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<12:
		dst = append(dst, 0xE0|byte(n>>8), byte(n))
	default:
		dst = binary.LittleEndian.AppendUint32(append(dst, 0xF0), uint32(n))
	}
	return append(dst, v...)
}

// AppendBareInt adds an integer as an element.
func AppendBareInt(dst []byte, v int64) []byte {
	switch {
	case v >= 0 && v <= 127:
		return append(dst, byte(v))
	case v >= -1<<12 && v < 1<<12:
		return append(dst, 0xC0|byte(v>>8)&0x1F, byte(v))
	case v >= -1<<15 && v < 1<<15:
		return append(dst, 0xF1, byte(v), byte(v>>8))
	case v >= -1<<23 && v < 1<<23:
		return append(dst, 0xF2, byte(v), byte(v>>8), byte(v>>16))
	case v >= -1<<31 && v < 1<<31:
		return binary.LittleEndian.AppendUint32(append(dst, 0xF3), uint32(v))
	}
	return binary.LittleEndian.AppendUint64(append(dst, 0xF4), uint64(v))
}
