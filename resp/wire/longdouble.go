package wire

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
)

// maxLongDoubleText is Redis's MAX_LONG_DOUBLE_CHARS: a number must be shorter.
const maxLongDoubleText = 5 * 1024

// LongDouble is x86's 80-bit "long double", in which Redis computes
// INCRBYFLOAT and HINCRBYFLOAT: 64 bits of mantissa, rounded to nearest, ties
// to even. Its zero value is 0.
//
// Two things differ from the hardware, and neither can be seen in Redis's
// printed form of 17 decimals: zero has no sign, and numbers below 2^-16382
// keep all 64 bits.
type LongDouble struct {
	// The value is mant * 2^exp. Invariant: the top bit of mant is set, or
	// mant and exp are 0.
	mant uint64
	exp  int
	neg  bool
	form form
}

type form uint8

const (
	finite form = iota
	infinite
	notANumber
)

// Exponents of the highest bit of a finite long double.
const (
	maxTop = 16383
	minTop = -16445 // the smallest subnormal
)

// IsFinite says that d is neither infinite nor NaN.
func (d LongDouble) IsFinite() bool { return d.form == finite }

// IsNaN says that d is not a number, as inf-inf is.
func (d LongDouble) IsNaN() bool { return d.form == notANumber }

// LongDoubleFromFloat64 converts exactly.
func LongDoubleFromFloat64(f float64) LongDouble {
	switch {
	case f != f:
		return LongDouble{form: notANumber}
	case math.IsInf(f, 0):
		return LongDouble{form: infinite, neg: f < 0}
	}
	frac, exp := math.Frexp(math.Abs(f)) // frac in [0.5, 1) or 0: 53 bits
	return roundLong(f < 0, uint64(frac*(1<<53)), 0, false, exp-53-64)
}

// roundLong is (hi*2^64 + lo + something below 1 if sticky) * 2^exp, rounded.
func roundLong(neg bool, hi, lo uint64, sticky bool, exp int) LongDouble {
	if hi == 0 {
		hi, lo = lo, 0
		exp -= 64
	}
	if hi == 0 {
		return LongDouble{}
	}
	if z := bits.LeadingZeros64(hi); z > 0 {
		hi = hi<<z | lo>>(64-z)
		lo <<= z
		exp -= z
	}
	exp += 64 // of hi
	if top := exp + 63; top < minTop-1 || top == minTop-1 && hi == 1<<63 && lo == 0 && !sticky {
		return LongDouble{} // at most half of the smallest subnormal
	}
	if half := uint64(1) << 63; lo > half || lo == half && (sticky || hi&1 == 1) {
		hi++
		if hi == 0 {
			hi = half
			exp++
		}
	}
	if exp+63 > maxTop {
		return LongDouble{form: infinite, neg: neg}
	}
	return LongDouble{mant: hi, exp: exp, neg: neg}
}

// Add is the rounded sum.
func (d LongDouble) Add(e LongDouble) LongDouble {
	if d.form != finite || e.form != finite {
		switch {
		case d.form == notANumber || e.form == finite:
			return d
		case e.form == notANumber || d.form == finite:
			return e
		case d.neg != e.neg:
			return LongDouble{form: notANumber}
		}
		return d
	}
	if d.mant == 0 {
		return e
	}
	if e.mant == 0 {
		return d
	}
	if d.exp < e.exp || d.exp == e.exp && d.mant < e.mant {
		d, e = e, d
	}
	// |d| >= |e|. Both as 128-bit integers in units of 2^(d.exp-63), so that d
	// leaves one bit for the carry; what of e lies below is only known to be
	// there (sticky).
	dhi, dlo := d.mant>>1, d.mant<<63
	ehi, elo := e.mant>>1, e.mant<<63
	sticky := false
	if n := uint(d.exp - e.exp); n >= 128 {
		ehi, elo, sticky = 0, 0, true
	} else if n >= 64 {
		sticky = elo != 0 || ehi<<(128-n) != 0
		ehi, elo = 0, ehi>>(n-64)
	} else if n > 0 {
		sticky = elo<<(64-n) != 0
		elo = elo>>n | ehi<<(64-n)
		ehi >>= n
	}
	if d.neg == e.neg {
		lo, c := bits.Add64(dlo, elo, 0)
		hi, _ := bits.Add64(dhi, ehi, c)
		return roundLong(d.neg, hi, lo, sticky, d.exp-63)
	}
	var borrow uint64
	if sticky {
		borrow = 1 // d - (e + something) is d - e - 1 + (1 - something)
	}
	lo, c := bits.Sub64(dlo, elo, borrow)
	hi, _ := bits.Sub64(dhi, ehi, c)
	return roundLong(d.neg, hi, lo, sticky, d.exp-63)
}

// pow10 are the powers of ten that a uint64 holds.
var pow10 = func() (t [20]uint64) {
	t[0] = 1
	for i := 1; i < len(t); i++ {
		t[i] = t[i-1] * 10
	}
	return
}()

// ParseLongDouble reads a number as Redis's string2ld does: C's strtold minus
// leading blanks, NaN, what overflows to infinity or underflows to zero, and
// texts of 5120 bytes and more.
func ParseLongDouble(b []byte) (LongDouble, bool) {
	if len(b) >= maxLongDoubleText {
		return LongDouble{}, false
	}
	t, ok := scanFloat(b)
	if !ok {
		return LongDouble{}, false
	}
	if t.inf {
		return LongDouble{form: infinite, neg: t.neg}, true
	}
	if t.zero {
		return LongDouble{}, true
	}
	var d LongDouble
	if t.hex {
		d = t.hexadecimal()
	} else {
		d = t.decimal()
	}
	return d, d.form == finite && d.mant != 0
}

// hexadecimal is the value of nonzero hexadecimal digits.
func (t *floatText) hexadecimal() LongDouble {
	var hi, lo uint64
	sticky := false
	exp := t.exp - 4*len(t.frac)
	for _, digits := range [][]byte{t.whole, t.frac} {
		for _, c := range digits {
			v := uint64(hexDigit(c))
			if hi>>60 != 0 {
				sticky = sticky || v != 0
				exp += 4
				continue
			}
			hi = hi<<4 | lo>>60
			lo = lo<<4 | v
		}
	}
	return roundLong(t.neg, hi, lo, sticky, exp)
}

// decimal is the value of nonzero decimal digits.
func (t *floatText) decimal() LongDouble {
	whole, frac := t.whole, t.frac
	for len(whole) > 0 && whole[0] == '0' {
		whole = whole[1:]
	}
	for len(frac) > 0 && frac[len(frac)-1] == '0' {
		frac = frac[:len(frac)-1]
	}
	exp := t.exp - len(frac)
	if len(whole) == 0 {
		for frac[0] == '0' {
			frac = frac[1:]
		}
	}
	n := len(whole) + len(frac)

	if n <= 19 && exp >= -19 && exp <= 19 {
		var m uint64
		for _, digits := range [][]byte{whole, frac} {
			for _, c := range digits {
				m = m*10 + uint64(c-'0')
			}
		}
		if exp >= 0 {
			hi, lo := bits.Mul64(m, pow10[exp])
			return roundLong(t.neg, hi, lo, false, 0)
		}
		// m / 10^-exp with both shifted up to 64 bits, to 127 binary places.
		q := pow10[-exp]
		mz, qz := bits.LeadingZeros64(m), bits.LeadingZeros64(q)
		m, q = m<<mz, q<<qz
		hi, r := bits.Div64(m>>1, m<<63, q)
		lo, r := bits.Div64(r, 0, q)
		return roundLong(t.neg, hi, lo, r != 0, qz-mz-127)
	}

	// The value is below 10^(n+exp) and at least a tenth of it. Outside of
	// these bounds no digits matter; inside, the numbers below stay small.
	if n+exp > 4933 {
		return LongDouble{form: infinite, neg: t.neg}
	}
	if n+exp < -4950 {
		return LongDouble{}
	}
	text := make([]byte, 0, n)
	text = append(append(text, whole...), frac...)
	m, _ := new(big.Int).SetString(string(text), 10)
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exp, -exp))), nil)
	shift := 0 // the value is m * 2^shift
	sticky := false
	if exp >= 0 {
		m.Mul(m, p)
	} else {
		shift = -max(0, 129+p.BitLen()-m.BitLen())
		r := new(big.Int)
		m.QuoRem(m.Lsh(m, uint(-shift)), p, r)
		sticky = r.Sign() != 0
	}
	if drop := m.BitLen() - 128; drop > 0 {
		sticky = sticky || int(m.TrailingZeroBits()) < drop
		m.Rsh(m, uint(drop))
		shift += drop
	}
	lo := new(big.Int).And(m, new(big.Int).SetUint64(math.MaxUint64)).Uint64()
	hi := m.Rsh(m, 64).Uint64()
	return roundLong(t.neg, hi, lo, sticky, shift)
}

// AppendHumanLongDouble prints a number as INCRBYFLOAT replies and stores it
// (ld2string in its "human" mode: C's "%.17Lf" without trailing zeros):
// never an exponent, at most 17 decimals, no "-0".
func AppendHumanLongDouble(dst []byte, d LongDouble) []byte {
	switch d.form {
	case notANumber:
		return append(dst, "nan"...)
	case infinite:
		if d.neg {
			dst = append(dst, '-')
		}
		return append(dst, "inf"...)
	}
	if d.exp > 0 { // an integer of more than 64 bits
		n := new(big.Int).SetUint64(d.mant)
		n.Lsh(n, uint(d.exp))
		if d.neg {
			n.Neg(n)
		}
		return n.Append(dst, 10)
	}

	// The value times 10^17 is an integer of 121 bits over 2^s: shift it down
	// and round to nearest, ties to even.
	const scale = 1e17
	hi, lo := bits.Mul64(d.mant, scale)
	s := uint(-d.exp)
	var up, tie bool // the part below the unit: more than half, just half
	switch {
	case s == 0:
	case s < 64:
		rest, half := lo&(1<<s-1), uint64(1)<<(s-1)
		up, tie = rest > half, rest == half
		lo = lo>>s | hi<<(64-s)
		hi >>= s
	case s == 64:
		up, tie = lo > 1<<63, lo == 1<<63
		hi, lo = 0, hi
	case s < 128:
		rest, half := hi&(1<<(s-64)-1), uint64(1)<<(s-65)
		up = rest > half || rest == half && lo > 0
		tie = rest == half && lo == 0
		hi, lo = 0, hi>>(s-64)
	default:
		hi, lo = 0, 0 // below 2^-6 units
	}
	if up || tie && lo&1 == 1 {
		var c uint64
		lo, c = bits.Add64(lo, 1, 0)
		hi += c
	}
	whole, frac := bits.Div64(hi, lo, scale) // the quotient is at most d.mant

	if d.neg && whole|frac != 0 {
		dst = append(dst, '-')
	}
	dst = strconv.AppendUint(dst, whole, 10)
	if frac != 0 {
		dst = append(dst, '.')
		for unit := uint64(scale / 10); frac != 0; unit /= 10 {
			dst = append(dst, '0'+byte(frac/unit))
			frac %= unit
		}
	}
	return dst
}
