package rdb

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// LZF, the compression of RDB strings, is a sequence of (source: liblzf's
// description of its format):
//
//	000nnnnn bytes              n+1 bytes as they are
//	nnnooooo oooooooo           n+2 bytes (n is 1 to 6) that stand o+1 back
//	111ooooo nnnnnnnn oooooooo  n+9 bytes that stand o+1 back
//
// The bytes that stand back may overlap with what they become.
const (
	lzfMaxRun   = 32
	lzfMaxMatch = 264
	lzfMaxBack  = 1 << 13

	// lzfMaxRatio bounds the claim of a compressed string: three bytes become
	// 264, two become 8. One for the rounding.
	lzfMaxRatio = lzfMaxMatch/3 + 1

	// lzfMaxIn is the longest string that is compressed: it needs to be in one
	// piece, and its compressed form in another.
	lzfMaxIn = 64 << 20
)

const (
	// lzfBits is for how many hashes there is room; short strings use fewer of
	// them, which stay in the processor's nearest cache.
	lzfBits      = 15
	lzfBitsShort = 12
	lzfShort     = 2 << 10
	// lzfSkip is after how many bytes without a match it looks at every second
	// place only, after as many more at every third, and so on.
	lzfSkip = 32
	lzfHash = 0x9E3779B1 // 2^32 over the golden ratio
)

// lzfTable remembers where three bytes were last seen. Positions go on from one
// string to the next: those of earlier ones are below base, so the table, which
// is 128 KiB and would take longer to clear than most strings to compress, is
// cleared every 4 GiB only.
type lzfTable struct {
	seen [1 << lzfBits]uint32 // base + position + 1
	base uint32
}

// compress appends src to dst in compressed form. It gives up, and returns
// false, where that would not save at least 4 bytes, as Redis does. Where
// nothing has matched for a while it looks at fewer places.
func (t *lzfTable) compress(dst, src []byte) ([]byte, bool) {
	if uint64(t.base)+uint64(len(src)) > math.MaxUint32-1 {
		*t = lzfTable{}
	}
	base := t.base
	t.base += uint32(len(src))
	start := len(dst)
	limit := start + len(src) - 4
	shift := 32 - lzfBits
	if len(src) <= lzfShort {
		shift = 32 - lzfBitsShort
	}
	lit := 0 // the first byte that is not coded yet
	for i := 0; i+3 < len(src); {
		three := threeAt(src, i)
		h := three * lzfHash >> (shift & 31)
		last := t.seen[h] - base - 1 // not below i where it is of an earlier string: base ends before it could wrap
		t.seen[h] = base + uint32(i) + 1
		ref := int(last)
		if last >= uint32(i) || i-ref > lzfMaxBack || threeAt(src, ref) != three {
			i += 1 + int(uint(i-lit)/lzfSkip)
			continue
		}
		n := 3 + common(src[ref+3:], src[i+3:min(len(src), i+lzfMaxMatch)])
		dst = appendRuns(dst, src[lit:i])
		back := i - ref - 1
		if n-2 < 7 {
			dst = append(dst, byte((n-2)<<5|back>>8), byte(back))
		} else {
			dst = append(dst, byte(7<<5|back>>8), byte(n-9), byte(back))
		}
		i += n
		lit = i
		if i+1 < len(src) { // what begins in the match's end may come again
			t.seen[threeAt(src, i-3)*lzfHash>>(shift&31)] = base + uint32(i) - 2
			t.seen[threeAt(src, i-2)*lzfHash>>(shift&31)] = base + uint32(i) - 1
		}
		if len(dst) > limit {
			return dst[:start], false
		}
	}
	rest := len(src) - lit
	if len(dst)+rest+(rest+lzfMaxRun-1)/lzfMaxRun > limit {
		return dst[:start], false
	}
	return appendRuns(dst, src[lit:]), true
}

// threeAt is the three bytes at i, which are not the last ones.
func threeAt(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) << 8 }

// appendRuns appends bytes as they are.
func appendRuns(dst, b []byte) []byte {
	for len(b) > 0 {
		n := min(len(b), lzfMaxRun)
		dst = append(append(dst, byte(n-1)), b[:n]...)
		b = b[n:]
	}
	return dst
}

// common is how many first bytes a, which is not the shorter one, has in common
// with b.
func common(a, b []byte) (n int) {
	for ; len(b) >= n+8; n += 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
	}
	for n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// decompress appends src, which must become n bytes, to dst, and returns false
// where it is damaged. Memory grows with what comes out, not with n.
func decompress(dst, src []byte, n uint64) ([]byte, bool) {
	if n == 0 || n > uint64(len(src))*lzfMaxRatio {
		return dst, false
	}
	start, end := len(dst), len(dst)+int(n)
	if first := min(int(n), 4*len(src)); cap(dst)-len(dst) < first {
		dst = append(make([]byte, 0, len(dst)+first), dst...)
	}
	for i := 0; i < len(src); {
		c := int(src[i])
		i++
		if c < lzfMaxRun {
			if i+c+1 > len(src) || len(dst)+c+1 > end {
				return dst, false
			}
			dst = append(dst, src[i:i+c+1]...)
			i += c + 1
			continue
		}
		m := c>>5 + 2
		if c>>5 == 7 {
			if i >= len(src) {
				return dst, false
			}
			m += int(src[i])
			i++
		}
		if i >= len(src) {
			return dst, false
		}
		ref := len(dst) - 1 - (c&31<<8 | int(src[i]))
		i++
		if ref < start || len(dst)+m > end {
			return dst, false
		}
		for m > 0 { // what overlaps comes in pieces
			k := min(m, len(dst)-ref)
			dst = append(dst, dst[ref:ref+k]...)
			m -= k
		}
	}
	return dst, len(dst) == end
}
