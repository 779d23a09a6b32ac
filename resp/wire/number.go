package wire

import (
	"bytes"
	"errors"
	"math"
	"strconv"
)

// ParseInt reads a signed 64-bit decimal as strictly as Redis's string2ll: it
// takes just what printing an integer yields. No blanks, no '+', no leading
// zeros, no "-0".
func ParseInt(b []byte) (int64, bool) {
	if len(b) == 1 { // all of the cases with a zero in front
		if d := b[0] - '0'; d <= 9 {
			return int64(d), true
		}
		return 0, false
	}
	if len(b) == 0 || len(b) > len("-9223372036854775808") {
		return 0, false
	}
	neg := b[0] == '-'
	if neg {
		b = b[1:]
	}
	if b[0]-'1' > 8 {
		return 0, false
	}
	// At most 20 digits; the first 19 cannot overflow 64 bits.
	var n uint64
	for i, c := range b {
		d := uint64(c - '0')
		if d > 9 || i >= 19 {
			return 0, false
		}
		n = n*10 + d
	}
	if neg {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n <= math.MaxInt64
}

// AppendFloat prints a double as Redis replies with scores since 7.2 (d2string): with
// the fewest digits that are read as the same double. Whole numbers up to 2^62, and
// those that end in few zeros, have neither point nor exponent; numbers with more than
// six decimals have an exponent if three zeros or more follow their point.
func AppendFloat(dst []byte, f float64) []byte {
	switch {
	case f == 0 || f != f || math.IsInf(f, 0):
		return AppendFloat17(dst, f)
	case f >= -1<<62 && f <= 1<<62 && f == math.Trunc(f):
		return strconv.AppendInt(dst, int64(f), 10)
	}
	// The digits are d.ddd times ten to the exp, or ddd times ten to the k.
	var room [32]byte
	text := strconv.AppendFloat(room[:0], math.Abs(f), 'e', -1, 64)
	mark := bytes.IndexByte(text, 'e')
	exp, _ := strconv.Atoi(string(text[mark+1:]))
	digits := text[:1]
	if mark > 1 {
		copy(text[1:], text[2:mark]) // over the point
		digits = text[:mark-1]
	}
	n := len(digits)
	k := exp - n + 1
	if f < 0 {
		dst = append(dst, '-')
	}
	size := max(exp, -exp)
	switch {
	case k >= 0 && size < n+7:
		return appendZeros(append(dst, digits...), k)
	case k < 0 && (k > -7 || size < 4):
		if exp < 0 {
			return append(appendZeros(append(dst, "0."...), -exp-1), digits...)
		}
		return append(append(append(dst, digits[:exp+1]...), '.'), digits[exp+1:]...)
	}
	dst = append(dst, digits[0])
	if n > 1 {
		dst = append(append(dst, '.'), digits[1:]...)
	}
	dst = append(dst, 'e')
	if exp >= 0 {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, int64(exp), 10)
}

func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}

// AppendFloat17 prints a double with up to 17 digits (C's "%.17g"), as Redis does in
// ZSCAN and digests, and 7.0 everywhere: 0.1 is 0.10000000000000001, and integers
// below 1e17 have neither point nor exponent.
func AppendFloat17(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case f != f:
		if math.Signbit(f) {
			dst = append(dst, '-')
		}
		return append(dst, "nan"...)
	case f > -1e17 && f < 1e17 && f == math.Trunc(f) && (f != 0 || !math.Signbit(f)):
		return strconv.AppendInt(dst, int64(f), 10)
	}
	return strconv.AppendFloat(dst, f, 'g', 17, 64)
}

// ParseDouble reads a double as Redis's string2d does, which is C's strtod
// minus leading blanks, NaN, and what over- or underflows (to infinity or
// zero): decimal or hexadecimal digits with an optional exponent, "inf" and
// "infinity" in any case, an optional sign.
func ParseDouble(b []byte) (float64, bool) {
	f, inRange, ok := parseDouble(b)
	return f, ok && inRange
}

// ParseDoubleRounded is ParseDouble that takes what over- and underflows for
// infinity and zero, as C's strtod does, however large its exponent is.
func ParseDoubleRounded(b []byte) (float64, bool) {
	f, _, ok := parseDouble(b)
	return f, ok
}

// parseDouble is ParseDouble; inRange is false for what over- or underflows.
func parseDouble(b []byte) (f float64, inRange, ok bool) {
	if v, ok := shortWhole(b); ok {
		return v, true, true
	}
	t, ok := scanFloat(b)
	if !ok {
		return 0, false, false
	}
	if t.inf {
		if t.neg {
			return math.Inf(-1), true, true
		}
		return math.Inf(1), true, true
	}
	if t.zero {
		if t.neg {
			return math.Copysign(0, -1), true, true
		}
		return 0, true, true
	}
	if t.hex || len(b) > keepDigits {
		b = t.normal()
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false, false
	}
	return f, err == nil && f != 0, true
}

// shortWhole reads up to 15 digits, which every double can hold: what most numbers are.
func shortWhole(b []byte) (float64, bool) {
	if len(b) == 0 || len(b) > 15 {
		return 0, false
	}
	v := int64(0)
	for _, c := range b {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		v = v*10 + int64(d)
	}
	return float64(v), true
}

// floatText is a number in C's syntax, taken apart.
type floatText struct {
	neg, inf, hex bool
	zero          bool   // all digits are zero
	whole, frac   []byte // digits before and after the point
	exp           int    // the exponent, of 10 or (hex) 2; beyond ±maxExp it is ±maxExp
}

// maxExp is an exponent that no number of digits we take can make up for.
const maxExp = 1 << 30

// keepDigits are enough digits to round a double right, if one more says
// whether anything but zeros follows: doubles and the middles between them have
// at most 767 significant digits.
const keepDigits = 770

// normal writes the (nonzero, finite) number for strconv.ParseFloat: with an
// exponent always, which hexadecimal numbers need there, and with few digits,
// as it takes decimals of more than 800 digits before the point for smaller
// than they are (Go 1.26), and exponents of six digits likewise.
func (t *floatText) normal() []byte {
	dst := []byte("0.")
	mark, each := byte('e'), 1 // what a digit adds to the exponent
	if t.hex {
		dst, mark, each = []byte("0x0."), 'p', 4
	}
	point := t.exp + each*len(t.whole)
	start, more := len(dst), false
	for _, digits := range [][]byte{t.whole, t.frac} {
		for _, c := range digits {
			switch {
			case c == '0' && len(dst) == start:
				point -= each
			case len(dst)-start < keepDigits:
				dst = append(dst, c)
			case c != '0':
				more = true
			}
		}
	}
	if more {
		dst = append(dst, '1')
	}
	if t.neg {
		dst = append([]byte{'-'}, dst...)
	}
	dst = append(dst, mark)
	return strconv.AppendInt(dst, int64(max(-99999, min(point, 99999))), 10)
}

// scanFloat takes apart a finite or infinite number as strtod reads it; it
// must be all of b, and NaN is none.
func scanFloat(b []byte) (t floatText, ok bool) {
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		t.neg = b[0] == '-'
		b = b[1:]
	}
	if foldEqual(b, "inf") || foldEqual(b, "infinity") {
		t.inf = true
		return t, true
	}
	top, mark := byte(10), byte('e')
	if len(b) >= 2 && b[0] == '0' && b[1]|0x20 == 'x' {
		t.hex = true
		top, mark = 16, 'p'
		b = b[2:]
	}
	t.zero = true
	digits := func() []byte {
		i := 0
		for i < len(b) && hexDigit(b[i]) < top {
			if b[i] != '0' {
				t.zero = false
			}
			i++
		}
		d := b[:i]
		b = b[i:]
		return d
	}
	t.whole = digits()
	if len(b) > 0 && b[0] == '.' {
		b = b[1:]
		t.frac = digits()
	}
	if len(t.whole)+len(t.frac) == 0 {
		return t, false
	}
	if len(b) > 0 && b[0]|0x20 == mark {
		b = b[1:]
		neg := false
		if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
			neg = b[0] == '-'
			b = b[1:]
		}
		if len(b) == 0 {
			return t, false
		}
		for len(b) > 0 && b[0]-'0' <= 9 {
			t.exp = min(t.exp*10+int(b[0]-'0'), maxExp)
			b = b[1:]
		}
		if neg {
			t.exp = -t.exp
		}
	}
	return t, len(b) == 0
}

// foldEqual compares b, in any case, to s, which has lower-case letters only.
func foldEqual(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if b[i]|0x20 != s[i] {
			return false
		}
	}
	return true
}
