package rdb

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

const lzfBits = 13

// lzfTable remembers where three bytes were last seen, plus one.
type lzfTable [1 << lzfBits]uint32

// compress appends src to dst in compressed form. It gives up, and returns
// false, where that would not save at least 4 bytes, as Redis does.
func (t *lzfTable) compress(dst, src []byte) ([]byte, bool) {
	clear(t[:])
	start := len(dst)
	limit := start + len(src) - 4
	run, runAt := 0, len(dst) // bytes of the open run, and its head
	dst = append(dst, 0)
	for i := 0; i < len(src); {
		if len(dst) > limit {
			return dst[:start], false
		}
		if i+2 < len(src) {
			h := (uint32(src[i]) | uint32(src[i+1])<<8 | uint32(src[i+2])<<16) * 0x9E3779B1 >> (32 - lzfBits)
			ref := int(t[h]) - 1
			t[h] = uint32(i + 1)
			if ref >= 0 && i-ref <= lzfMaxBack && string(src[ref:ref+3]) == string(src[i:i+3]) {
				n, most := 3, min(len(src)-i, lzfMaxMatch)
				for n < most && src[ref+n] == src[i+n] {
					n++
				}
				if run == 0 {
					dst = dst[:runAt]
				} else {
					dst[runAt] = byte(run - 1)
				}
				back := i - ref - 1
				if n-2 < 7 {
					dst = append(dst, byte((n-2)<<5|back>>8), byte(back))
				} else {
					dst = append(dst, byte(7<<5|back>>8), byte(n-9), byte(back))
				}
				i += n
				run, runAt = 0, len(dst)
				dst = append(dst, 0)
				continue
			}
		}
		dst = append(dst, src[i])
		i++
		if run++; run == lzfMaxRun {
			dst[runAt] = lzfMaxRun - 1
			run, runAt = 0, len(dst)
			dst = append(dst, 0)
		}
	}
	if run == 0 {
		dst = dst[:runAt]
	} else {
		dst[runAt] = byte(run - 1)
	}
	return dst, len(dst) <= limit
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
