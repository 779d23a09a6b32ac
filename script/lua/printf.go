package lua

import (
	"math"
	"math/bits"
	"strconv"
)

// The conversions of C's printf that string.format hands on, as glibc does them.

// A conversion is what stands between % and the letter.
type conversion struct {
	minus, plus, space, alt, zero bool
	width                         int
	prec                          int // -1 for none
}

// pad puts what dst has from start on into the conversion's width. Zeros go behind the
// first keep bytes (the sign or 0x).
func (c *conversion) pad(dst []byte, start, keep int, zero bool) []byte {
	n := c.width - (len(dst) - start)
	if n <= 0 {
		return dst
	}
	fill := byte(' ')
	if zero {
		fill = '0'
	}
	for i := 0; i < n; i++ {
		dst = append(dst, fill)
	}
	if c.minus {
		return dst
	}
	if !zero {
		keep = 0
	}
	at := start + keep
	copy(dst[at+n:], dst[at:len(dst)-n])
	for i := at; i < at+n; i++ {
		dst[i] = fill
	}
	return dst
}

func (c *conversion) appendSign(dst []byte, neg bool) []byte {
	switch {
	case neg:
		return append(dst, '-')
	case c.plus:
		return append(dst, '+')
	case c.space:
		return append(dst, ' ')
	}
	return dst
}

// appendInt appends v as %d.
func (c *conversion) appendInt(dst []byte, v int64) []byte {
	u := uint64(v)
	if v < 0 {
		u = -u
	}
	start := len(dst)
	dst = c.appendSign(dst, v < 0)
	return c.appendDigits(dst, start, u, 10, false)
}

// appendUint appends v as %o, %u, %x or %X.
func (c *conversion) appendUint(dst []byte, v uint64, verb byte) []byte {
	start := len(dst)
	switch verb {
	case 'o':
		return c.appendDigits(dst, start, v, 8, c.alt)
	case 'u':
		return c.appendDigits(dst, start, v, 10, false)
	}
	if c.alt && v != 0 {
		dst = append(dst, '0', verb)
	}
	begin := len(dst)
	dst = c.appendDigits(dst, start, v, 16, false)
	if verb == 'X' {
		for i := begin; i < len(dst); i++ {
			if dst[i] >= 'a' {
				dst[i] -= 'a' - 'A'
			}
		}
	}
	return dst
}

// appendDigits appends the digits of u behind the sign that dst has from start on.
// Where first0 is set the first digit is to be 0.
func (c *conversion) appendDigits(dst []byte, start int, u uint64, base int, first0 bool) []byte {
	keep := len(dst) - start
	if c.prec < 0 && !first0 {
		dst = strconv.AppendUint(dst, u, base)
		if c.width == 0 {
			return dst
		}
		return c.pad(dst, start, keep, c.zero && !c.minus)
	}
	var buf [64]byte
	digits := strconv.AppendUint(buf[:0], u, base)
	if u == 0 && c.prec == 0 {
		digits = digits[:0]
	}
	n := len(digits)
	for i := n; i < c.prec; i++ {
		dst = append(dst, '0')
	}
	if first0 && n >= c.prec && (n == 0 || digits[0] != '0') {
		dst = append(dst, '0')
	}
	dst = append(dst, digits...)
	return c.pad(dst, start, keep, c.zero && !c.minus && c.prec < 0)
}

// appendFloat appends f as %e, %E, %f, %g or %G.
func (c *conversion) appendFloat(dst []byte, f float64, verb byte) []byte {
	start := len(dst)
	dst = c.appendSign(dst, math.Signbit(f))
	keep := len(dst) - start
	f = math.Abs(f)
	zero := c.zero && !c.minus
	if math.IsInf(f, 0) || math.IsNaN(f) {
		dst = appendNotFinite(dst, f)
		zero = false
	} else {
		prec := c.prec
		if prec < 0 {
			prec = 6
		}
		switch verb {
		case 'f':
			dst = appendFixed(dst, f, prec)
			if c.alt && prec == 0 {
				dst = append(dst, '.')
			}
		case 'e', 'E':
			dst = appendExp(dst, f, prec, c.alt)
		default:
			prec = max(prec, 1)
			if c.alt {
				dst = appendGeneralAlt(dst, f, prec)
			} else {
				dst = appendG(dst, f, prec)
			}
		}
	}
	if verb < 'a' {
		for i := start; i < len(dst); i++ {
			if dst[i] >= 'a' {
				dst[i] -= 'a' - 'A'
			}
		}
	}
	return c.pad(dst, start, keep, zero)
}

// appendExp appends f as %.<prec>e; alt keeps the point where no digit follows.
func appendExp(dst []byte, f float64, prec int, alt bool) []byte {
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', prec, 64)
	if alt && prec == 0 {
		dst = append(dst, 0)
		copy(dst[start+2:], dst[start+1:])
		dst[start+1] = '.'
	}
	return dst
}

// appendGeneralAlt appends f as %#.<prec>g: with a point and all its digits.
func appendGeneralAlt(dst []byte, f float64, prec int) []byte {
	start := len(dst)
	dst = appendExp(dst, f, prec-1, true)
	i := len(dst) - 1
	for dst[i] != 'e' {
		i--
	}
	exp, _ := strconv.Atoi(string(dst[i+1:]))
	if exp < -4 || exp >= prec {
		return dst
	}
	dst = appendFixed(dst[:start], f, prec-1-exp)
	if exp == prec-1 {
		dst = append(dst, '.')
	}
	return dst
}

var pow10u = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// appendFixed appends f, which is not negative, as %.<prec>f.
func appendFixed(dst []byte, f float64, prec int) []byte {
	b := math.Float64bits(f)
	exp := int(b>>52) - 1075
	mant := b&(1<<52-1) | 1<<52
	if prec >= len(pow10u) || b>>52 == 0 || exp >= 11 {
		return strconv.AppendFloat(dst, f, 'f', prec, 64)
	}
	// f * 10^prec is mant * 10^prec * 2^exp: 117 bits at most, then shifted.
	var whole uint64
	if exp >= 0 {
		dst = strconv.AppendUint(dst, mant<<exp, 10)
		return appendFraction(dst, 0, prec)
	}
	hi, lo := bits.Mul64(mant, pow10u[prec])
	switch shift := uint(-exp); {
	case shift < 64:
		if hi>>(shift-1) != 0 { // 2^63 or more
			return strconv.AppendFloat(dst, f, 'f', prec, 64)
		}
		whole = hi<<(64-shift) | lo>>shift
		rest := lo & (1<<shift - 1)
		half := uint64(1) << (shift - 1)
		if rest > half || rest == half && whole&1 == 1 {
			whole++
		}
	case shift == 64:
		whole = hi
		if lo > 1<<63 || lo == 1<<63 && whole&1 == 1 {
			whole++
		}
	case shift < 128:
		shift -= 64
		whole = hi >> shift
		rest := hi & (1<<shift - 1)
		half := uint64(1) << (shift - 1)
		if rest > half || rest == half && (lo != 0 || whole&1 == 1) {
			whole++
		}
	}
	p := pow10u[prec]
	dst = strconv.AppendUint(dst, whole/p, 10)
	return appendFraction(dst, whole%p, prec)
}

// appendFraction appends a point and prec digits.
func appendFraction(dst []byte, frac uint64, prec int) []byte {
	if prec == 0 {
		return dst
	}
	dst = append(dst, '.')
	at := len(dst)
	for i := 0; i < prec; i++ {
		dst = append(dst, '0')
	}
	for i := at + prec - 1; frac > 0; i-- {
		dst[i] = byte('0' + frac%10)
		frac /= 10
	}
	return dst
}

// appendText appends s as %s: up to a zero byte, cut to the precision.
func (c *conversion) appendText(dst []byte, s string) []byte {
	if c.prec >= 0 && len(s) > c.prec {
		s = s[:c.prec]
	}
	for i := 0; i < len(s); i++ {
		if s[i] == 0 {
			s = s[:i]
			break
		}
	}
	start := len(dst)
	dst = append(dst, s...)
	return c.pad(dst, start, 0, false)
}

// truncUint is the conversion to unsigned long as compilers for x86 do it.
func truncUint(f float64) uint64 {
	if f >= 1<<63 {
		return uint64(ToInt64(f-1<<63)) ^ 1<<63
	}
	return uint64(ToInt64(f))
}

// truncInt32 is the conversion to int on x86.
func truncInt32(f float64) int32 {
	if f > -1<<31-1 && f < 1<<31 {
		return int32(f)
	}
	return math.MinInt32
}

// appendChar appends one byte as %c. A zero byte ends C's string, with what follows it.
func (c *conversion) appendChar(dst []byte, ch byte) []byte {
	start := len(dst)
	if ch == 0 {
		if !c.minus {
			for i := 1; i < c.width; i++ {
				dst = append(dst, ' ')
			}
		}
		return dst
	}
	return c.pad(append(dst, ch), start, 0, false)
}
