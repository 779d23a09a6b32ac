package lua

import (
	"math"
	"strconv"
)

// Numbers as text and back, exactly as PUC 5.1 has them over C's printf and strtod.

// AppendNumber appends f as tostring writes it: printf's "%.14g".
func AppendNumber(dst []byte, f float64) []byte {
	if f > -1e14 && f < 1e14 {
		if i := int64(f); float64(i) == f && (i != 0 || !math.Signbit(f)) {
			return strconv.AppendInt(dst, i, 10)
		}
	}
	return appendG(dst, f, 14)
}

// AppendNumber17 appends f as "%.17g", which loses no bits: a number goes to redis.call so.
func AppendNumber17(dst []byte, f float64) []byte {
	if f > -1e15 && f < 1e15 {
		if i := int64(f); float64(i) == f && (i != 0 || !math.Signbit(f)) {
			return strconv.AppendInt(dst, i, 10)
		}
	}
	return appendG(dst, f, 17)
}

// appendG appends f as printf's "%.<prec>g", prec from 1 on.
func appendG(dst []byte, f float64, prec int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return appendNotFinite(dst, f)
	}
	// Go's %g with a precision is C's: two digits of exponent at least, zeros at the end left out.
	return strconv.AppendFloat(dst, f, 'g', prec, 64)
}

// appendNotFinite appends inf or nan with its sign, which printf shows for nan too.
func appendNotFinite(dst []byte, f float64) []byte {
	if math.Signbit(f) {
		dst = append(dst, '-')
	}
	if math.IsNaN(f) {
		return append(dst, "nan"...)
	}
	return append(dst, "inf"...)
}

// pow10 holds the powers of ten that a float64 has exactly.
var pow10 = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

func isSpace(c byte) bool { return c == ' ' || c-'\t' < 5 }

func isDigit(c byte) bool { return c-'0' < 10 }

// hexValue is the value of a hexadecimal digit, 255 for any other byte.
func hexValue(c byte) byte {
	switch {
	case c-'0' < 10:
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// ParseNumber is PUC's luaO_str2d: what strtod reads, with space around it. A zero byte
// ends the text, since C's strings end there.
func ParseNumber(s string) (float64, bool) {
	// Most numbers are a few digits.
	if n := len(s); n > 0 && n < 16 {
		var v uint64
		i := 0
		for i < n && isDigit(s[i]) {
			v = v*10 + uint64(s[i]-'0')
			i++
		}
		if i == n {
			return float64(int64(v)), true
		}
	}
	f, end := strtod(s)
	if end == 0 {
		return 0, false
	}
	for end < len(s) && isSpace(s[end]) {
		end++
	}
	if end < len(s) && s[end] != 0 {
		return 0, false
	}
	return f, true
}

// strtod reads the longest number that s begins with, after spaces, as C's strtod does:
// decimal, hexadecimal with or without an exponent of two, inf, infinity, nan, nan(chars).
// It returns the number and where it ends; 0 is for no number.
func strtod(s string) (f float64, end int) {
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	begin := i
	neg := false
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		neg = s[i] == '-'
		i++
	}
	if i == len(s) {
		return 0, 0
	}
	if c := s[i]; !isDigit(c) && c != '.' {
		return strtodWord(s, i, neg)
	}
	if s[i] == '0' && i+1 < len(s) && s[i+1]|0x20 == 'x' {
		if f, end = strtodHex(s, i+2, neg); end > 0 {
			return f, end
		}
		return signed(0, neg), i + 1 // the 0 of "0x" is a number
	}
	var mant uint64
	digits, exp := 0, 0 // digits of mant that count; its exponent of ten
	any, long, far := false, false, false
	for i < len(s) && isDigit(s[i]) {
		any = true
		if digits < 19 {
			mant = mant*10 + uint64(s[i]-'0')
			if mant != 0 {
				digits++
			}
		} else {
			long = true
			exp++
		}
		i++
	}
	if i < len(s) && s[i] == '.' {
		i++
		for i < len(s) && isDigit(s[i]) {
			any = true
			if digits < 19 {
				mant = mant*10 + uint64(s[i]-'0')
				if mant != 0 {
					digits++
				}
				exp--
			} else {
				long = true
			}
			i++
		}
	}
	if !any {
		return 0, 0
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		j := i + 1
		eneg := false
		if j < len(s) && (s[j] == '-' || s[j] == '+') {
			eneg = s[j] == '-'
			j++
		}
		if j < len(s) && isDigit(s[j]) {
			e := 0
			for j < len(s) && isDigit(s[j]) {
				e = min(e*10+int(s[j]-'0'), 1<<27)
				j++
			}
			if eneg {
				e = -e
			}
			exp += e
			i = j
			far = e >= 10000 || e <= -10000
		}
	}
	if mant == 0 {
		return signed(0, neg), i
	}
	if !long && mant < 1<<53 {
		if exp == 0 {
			return signed(float64(mant), neg), i
		}
		if exp > 0 && exp <= 22 {
			// Exact only while the product of the two exact numbers is rounded once.
			return signed(float64(mant)*pow10[exp], neg), i
		}
		if exp < 0 && exp >= -22 {
			return signed(float64(mant)/pow10[-exp], neg), i
		}
	}
	if exp > 400 || exp < -400-19 {
		// No further digits change the result.
		if exp > 0 {
			return signed(math.Inf(1), neg), i
		}
		return signed(0, neg), i
	}
	if far {
		// Go's reader counts exponents to 9,999 only: hundreds of digits and an exponent that makes up for them.
		text := strconv.AppendUint(make([]byte, 0, 32), mant, 10)
		text = strconv.AppendInt(append(text, "1e"...), int64(exp)-1, 10)
		f, _ = strconv.ParseFloat(string(text), 64)
		return signed(f, neg), i
	}
	f, _ = strconv.ParseFloat(s[begin:i], 64) // an error is a range error: f is inf or 0 then
	return f, i
}

func signed(f float64, neg bool) float64 {
	if neg {
		return -f
	}
	return f
}

// strtodWord reads inf, infinity, nan and nan(chars) at s[i:].
func strtodWord(s string, i int, neg bool) (float64, int) {
	if hasFold(s[i:], "inf") {
		end := i + 3
		if hasFold(s[i:], "infinity") {
			end = i + 8
		}
		return signed(math.Inf(1), neg), end
	}
	if hasFold(s[i:], "nan") {
		end := i + 3
		if end < len(s) && s[end] == '(' {
			j := end + 1
			for j < len(s) && (isDigit(s[j]) || s[j]|0x20-'a' < 26 || s[j] == '_') {
				j++
			}
			if j < len(s) && s[j] == ')' {
				end = j + 1
			}
		}
		f := math.Float64frombits(0x7ff8000000000000)
		if neg {
			f = math.Float64frombits(0xfff8000000000000)
		}
		return f, end
	}
	return 0, 0
}

// hasFold tells whether s begins with the lower-case word, in any case.
func hasFold(s, word string) bool {
	if len(s) < len(word) {
		return false
	}
	for i := 0; i < len(word); i++ {
		if s[i]|0x20 != word[i] {
			return false
		}
	}
	return true
}

// strtodHex reads the hexadecimal number whose digits begin at s[i].
func strtodHex(s string, i int, neg bool) (float64, int) {
	var mant uint64
	exp := 0
	any, sticky := false, false
	for point := false; i < len(s); i++ {
		if s[i] == '.' && !point {
			point = true
			continue
		}
		d := hexValue(s[i])
		if d == 255 {
			break
		}
		any = true
		if mant < 1<<59 {
			mant = mant<<4 | uint64(d)
			if point {
				exp -= 4
			}
		} else {
			sticky = sticky || d != 0
			if !point {
				exp += 4
			}
		}
	}
	if !any {
		return 0, 0
	}
	if i < len(s) && s[i]|0x20 == 'p' {
		j := i + 1
		eneg := false
		if j < len(s) && (s[j] == '-' || s[j] == '+') {
			eneg = s[j] == '-'
			j++
		}
		if j < len(s) && isDigit(s[j]) {
			e := 0
			for j < len(s) && isDigit(s[j]) {
				e = min(e*10+int(s[j]-'0'), 1<<27)
				j++
			}
			if eneg {
				e = -e
			}
			exp += e
			i = j
		}
	}
	if mant == 0 {
		return signed(0, neg), i
	}
	if sticky {
		mant |= 1 // at least 60 bits are before it, so it only breaks ties
	}
	return signed(scale(mant, exp), neg), i
}

// scale is mant * 2^exp, rounded once.
func scale(mant uint64, exp int) float64 {
	for mant < 1<<63 {
		mant <<= 1
		exp--
	}
	// The number lies in [2^(exp+63), 2^(exp+64)).
	switch e := exp + 63; {
	case e > 1023:
		return math.Inf(1)
	case e >= -1022:
		return math.Ldexp(float64(mant), exp)
	case e < -1075:
		return 0
	default: // Subnormal: cut to the bits that are left, to even.
		drop := uint(-1074 - exp)
		if drop >= 64 { // only the highest bit can round up
			if drop == 64 && mant > 1<<63 {
				return math.SmallestNonzeroFloat64
			}
			return 0
		}
		rest := mant & (1<<drop - 1)
		half := uint64(1) << (drop - 1)
		mant >>= drop
		if rest > half || rest == half && mant&1 == 1 {
			mant++
		}
		return math.Float64frombits(mant)
	}
}

// strtoul reads an unsigned number in a base from 2 to 36, as C's strtoul of 64 bits does:
// spaces, a sign (a negative number wraps), 0x for base 16; too big is the greatest number.
// It returns the number and where it ends; 0 is for no number.
func strtoul(s string, base int) (n uint64, end int) {
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	neg := false
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		neg = s[i] == '-'
		i++
	}
	if base == 16 && i+2 < len(s) && s[i] == '0' && s[i+1]|0x20 == 'x' && hexValue(s[i+2]) != 255 {
		i += 2
	}
	begin, over := i, false
	for ; i < len(s); i++ {
		d := uint64(36)
		switch c := s[i]; {
		case isDigit(c):
			d = uint64(c - '0')
		case c|0x20-'a' < 26:
			d = uint64(c|0x20-'a') + 10
		}
		if d >= uint64(base) {
			break
		}
		if n > (math.MaxUint64-d)/uint64(base) {
			over = true
		}
		n = n*uint64(base) + d
	}
	switch {
	case i == begin:
		return 0, 0
	case over:
		return math.MaxUint64, i
	case neg:
		return -n, i
	}
	return n, i
}

// ParseBase is tonumber(s, base) for a base other than 10.
func ParseBase(s string, base int) (float64, bool) {
	n, end := strtoul(s, base)
	if end == 0 {
		return 0, false
	}
	for end < len(s) && isSpace(s[end]) {
		end++
	}
	if end < len(s) && s[end] != 0 {
		return 0, false
	}
	return float64(n), true
}
