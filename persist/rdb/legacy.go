package rdb

import (
	"encoding/binary"
	"math"
	"strconv"

	"kvd/types"
)

// A ziplist is, all little endian but where said (source: the comment at the
// head of Redis's src/ziplist.c):
//
//	4 bytes  size of all
//	4 bytes  offset of the last entry
//	2 bytes  number of entries, 65535: unknown
//	entries
//	FF
//
// and an entry the size of the one before it (1 byte below 254, or FE and 4
// bytes), a coding and data:
//
//	00xxxxxx data              bytes, 6 bits of length
//	01xxxxxx xxxxxxxx data     14 bits of length, high bits first
//	10000000 length(4) data    32 bits of length, big endian
//	C0, D0, E0                 integer of 2, 4, 8 bytes
//	F0, FE                     integer of 3 bytes, 1 byte
//	F1 to FD                   integer 0 to 12

// fromZiplist turns a ziplist into packed elements.
func fromZiplist(b []byte) (types.Packed, bool) {
	const head = 10
	if len(b) <= head || uint64(binary.LittleEndian.Uint32(b)) != uint64(len(b)) || b[len(b)-1] != 0xFF {
		return nil, false
	}
	end := len(b) - 1
	var p []byte
	off, last, n := head, head, 0
	for before := 0; off < end; n++ {
		last = off
		// The size of the entry before.
		size := int(b[off])
		off++
		if size == 0xFE {
			if off+4 > end {
				return nil, false
			}
			size = int(binary.LittleEndian.Uint32(b[off:]))
			off += 4
		}
		if size != before || off >= end {
			return nil, false
		}
		c := b[off]
		off++
		if c < 0xC0 {
			length := uint64(c & 0x3F)
			switch c >> 6 {
			case 1:
				if off >= end {
					return nil, false
				}
				length = length<<8 | uint64(b[off])
				off++
			case 2:
				if off+4 > end {
					return nil, false
				}
				length = uint64(binary.BigEndian.Uint32(b[off:]))
				off += 4
			}
			if length > uint64(end-off) {
				return nil, false
			}
			p = types.AppendElem(p, b[off:off+int(length)])
			off += int(length)
		} else {
			v, width, ok := ziplistInt(c, b[off:end])
			if !ok {
				return nil, false
			}
			var buf [20]byte
			p = types.AppendElem(p, strconv.AppendInt(buf[:0], v, 10))
			off += width
		}
		before = off - last
	}
	count := int(binary.LittleEndian.Uint16(b[8:]))
	tail := uint64(binary.LittleEndian.Uint32(b[4:]))
	return p, tail == uint64(last) && (count == n || count == math.MaxUint16)
}

// ziplistInt reads an integer of the coding c from b.
func ziplistInt(c byte, b []byte) (v int64, width int, ok bool) {
	if c >= 0xF1 && c <= 0xFD {
		return int64(c&15) - 1, 0, true
	}
	switch c {
	case 0xC0:
		width = 2
	case 0xD0:
		width = 4
	case 0xE0:
		width = 8
	case 0xF0:
		width = 3
	case 0xFE:
		width = 1
	default:
		return 0, 0, false
	}
	if len(b) < width {
		return 0, 0, false
	}
	var u uint64
	for i := range width {
		u |= uint64(b[i]) << (8 * i)
	}
	shift := 64 - 8*width
	return int64(u<<shift) >> shift, width, true
}

// fromZipmap turns a zipmap, the hash of Redis 2.4, into packed elements
// (source: the comment at the head of Redis's src/zipmap.c):
//
//	1 byte            number of fields, 254 or more: unknown
//	length field length 1 byte value unused ...
//	FF
//
// where a length is 1 byte below 254, or FE and 4 bytes, little endian, and the
// byte before the value is the number of unused bytes behind it.
func fromZipmap(b []byte) (types.Packed, bool) {
	if len(b) < 2 || b[len(b)-1] != 0xFF {
		return nil, false
	}
	end := len(b) - 1
	var p []byte
	n := 0
	for off := 1; off < end; n++ {
		for part := range 2 {
			if off >= end {
				return nil, false
			}
			length := uint64(b[off])
			off++
			if length == 0xFE {
				if off+4 > end {
					return nil, false
				}
				length = uint64(binary.LittleEndian.Uint32(b[off:]))
				off += 4
			} else if length == 0xFF {
				return nil, false
			}
			unused := 0
			if part == 1 {
				if off >= end {
					return nil, false
				}
				unused = int(b[off])
				off++
			}
			if length+uint64(unused) > uint64(end-off) {
				return nil, false
			}
			p = types.AppendElem(p, b[off:off+int(length)])
			off += int(length) + unused
		}
	}
	return p, b[0] >= 254 || int(b[0]) == n
}

// parseScore reads a score as text, which must be a number.
func parseScore(b []byte) (float64, bool) {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil && !math.IsInf(f, 0) || f != f {
		return 0, false
	}
	return f, true
}
