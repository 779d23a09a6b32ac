package lua

import "math"

// mathLib is what random and randomseed share in one State: the 48 bits of Redis's own
// generator, which is that of lrand48 and so the same on all machines.
type mathLib struct{ x uint64 }

const (
	rand48A    = 0x5DEECE66D
	rand48C    = 0xB
	rand48Mask = 1<<48 - 1
	rand48Init = 0x1234ABCD330E
	rand48Max  = 1<<31 - 1
)

func (m *mathLib) next() int32 {
	m.x = (m.x*rand48A + rand48C) & rand48Mask
	return int32(m.x >> 17)
}

func (m *mathLib) seed(n int32) { m.x = uint64(uint32(n))<<16 | 0x330E }

// The value of pi/180 as C computes it at run time from the rounded pi.
var (
	piValue          = float64(math.Pi)
	radiansPerDegree = piValue / degreesOfPi()
)

func degreesOfPi() float64 { return 180 }

// negNaN is what x86's own instructions make of an invalid operation.
var negNaN = math.Float64frombits(0xfff8000000000000)

// posNaN is the other one.
var posNaN = math.Float64frombits(0x7ff8000000000000)

// OpenMath makes the table math.
func OpenMath(s *State) {
	m := &mathLib{x: rand48Init}
	t := &Table{}
	for _, f := range []struct {
		name string
		fn   func(float64) float64
	}{
		{"abs", math.Abs},
		{"acos", invalid(math.Acos, posNaN)},
		{"asin", invalid(math.Asin, posNaN)},
		{"atan", invalid(math.Atan, negNaN)},
		{"ceil", invalid(math.Ceil, negNaN)},
		{"cos", invalid(math.Cos, negNaN)},
		{"cosh", invalid(math.Cosh, negNaN)},
		{"deg", func(f float64) float64 { return f / radiansPerDegree }},
		{"exp", invalid(math.Exp, negNaN)},
		{"log", invalid(log, negNaN)},
		{"log10", invalid(log10, posNaN)},
		{"rad", func(f float64) float64 { return f * radiansPerDegree }},
		{"sin", invalid(math.Sin, negNaN)},
		{"sinh", invalid(math.Sinh, negNaN)},
		{"sqrt", invalid(math.Sqrt, negNaN)},
		{"tan", invalid(math.Tan, negNaN)},
		{"tanh", invalid(math.Tanh, negNaN)},
	} {
		fn := f.fn
		s.Register(t, f.name, func(s *State, w []Value, n int) (int, error) {
			f, err := s.ArgNumber(w, n, 0)
			if err != nil {
				return 0, err
			}
			w[0] = Number(fn(f))
			return 1, nil
		})
	}
	for _, f := range []struct {
		name string
		fn   func(a, b float64) float64
	}{
		{"atan2", atan2},
		{"fmod", fmod},
		{"pow", pow},
	} {
		fn := f.fn
		s.Register(t, f.name, func(s *State, w []Value, n int) (int, error) {
			// The second is looked at first, as compilers for x86 do it.
			b, err := s.ArgNumber(w, n, 1)
			if err != nil {
				return 0, err
			}
			a, err := s.ArgNumber(w, n, 0)
			if err != nil {
				return 0, err
			}
			w[0] = Number(fn(a, b))
			return 1, nil
		})
	}
	s.Register(t, "floor", mathFloor)
	s.Register(t, "frexp", mathFrexp)
	s.Register(t, "ldexp", mathLdexp)
	s.Register(t, "max", mathMax)
	s.Register(t, "min", mathMin)
	s.Register(t, "modf", mathModf)
	s.Register(t, "random", m.random)
	s.Register(t, "randomseed", m.randomseed)
	t.Embed("mod", t.GetString("fmod"))
	t.Embed("pi", Number(math.Pi))
	t.Embed("huge", Number(math.Inf(1)))
	s.globals.Embed("math", t.Value())
}

// invalid gives the function the not-a-number that C's has where Go's result is none
// though the argument is a number: its sign is printed.
func invalid(fn func(float64) float64, nan float64) func(float64) float64 {
	return func(f float64) float64 {
		v := fn(f)
		if v != v {
			if f != f {
				return f
			}
			return nan
		}
		return v
	}
}

// log is math.Log, which is wrong for subnormal numbers on some processors.
func log(f float64) float64 {
	if f > 0 && f < 0x1p-1022 {
		return math.Log(f*0x1p54) - 54*math.Ln2
	}
	return math.Log(f)
}

// log10 is exact for powers of ten, where Go's is not.
func log10(f float64) float64 {
	if f > 0 && f < 0x1p-1022 {
		return log10(f*0x1p54) - 54*(math.Ln2/math.Ln10)
	}
	v := math.Log10(f)
	if n := math.Round(v); n >= 0 && n < float64(len(pow10)) && pow10[int(n)] == f {
		return n
	}
	return v
}

// pow is math.Pow with C's signs of not-a-number.
func pow(a, b float64) float64 {
	v := math.Pow(a, b)
	if v != v {
		switch {
		case a != a:
			if math.Signbit(a) && math.Abs(math.Mod(b, 2)) == 1 {
				return -a // C's has -x^b for a negative base and an odd exponent, also here
			}
			return a
		case b != b:
			return b
		}
		return negNaN
	}
	if a == 0 || a != a || math.IsInf(a, 0) || math.IsInf(b, 0) || b != b {
		return v
	}
	whole := b == math.Trunc(b)
	const least, little, much = 0x1p-1022, 1e-270, 1e270 // between the last two nothing that powWhole makes is too small or too large
	switch f := math.Abs(v); {
	case whole && math.Abs(b) <= maxWhole && math.Abs(a) >= least && f > little && f < much:
		return powWhole(a, int(b))
	case a > 0:
		return powExact(a, b)
	case whole && math.Mod(b, 2) == 0:
		return powExact(-a, b)
	}
	return -powExact(-a, b) // of an odd one; with one that is not whole v was no number
}

// maxWhole is the greatest exponent that powWhole is used for.
const maxWhole = 1 << 10

// powWhole multiplies with twice the digits, and so rounds once, as C's library does. Go's pow
// rounds at each step.
func powWhole(a float64, b int) float64 {
	p, factor := twofold{1, 0}, twofold{a, 0}
	for n := max(b, -b); n > 0; n >>= 1 {
		if n&1 != 0 {
			p = p.times(factor)
		}
		if n > 1 {
			factor = factor.times(factor)
		}
	}
	if b < 0 {
		q := 1 / p.high
		return q + q*(math.FMA(-q, p.high, 1)-q*p.low)
	}
	return p.high
}

// powExact is a^b of finite numbers, a above 0, by way of the logarithm with twice the digits: it
// is rounded once, as nearly all of C's are. Of Go's few are.
func powExact(a, b float64) float64 {
	// ln 2 in parts: whole numbers of the first with 11 bits are exact.
	const ln2, ln2Rest, ln2Last = 0x1.62e42feep-1, 0x1.a39ef35793c76p-33, 0x1.cc01f97b57a08p-87
	m, e := math.Frexp(a)
	if m < math.Sqrt2/2 {
		m, e = 2*m, e-1
	}
	l := math.Log(m) // and what is missing is what m*exp(-l) is more than 1
	rest := twofold{m - 1, 0}.plus(expm1(twofold{-l, 0}).times(twofold{m, 0}))
	log := twofold{l, 0}.plus(rest)
	log = log.plus(twofold{ln2Rest, ln2Last}.times(twofold{float64(e), 0}))
	log = twofold{ln2 * float64(e), 0}.plus(log)

	switch h := log.high * b; { // beyond what there is
	case h > 710:
		return math.Inf(1)
	case h < -746:
		return 0
	}
	x := log.times(twofold{b, 0})
	n := math.Round(x.high / math.Ln2)
	x = x.plus(twofold{-ln2 * n, 0})
	x = x.plus(twofold{ln2Rest, ln2Last}.times(twofold{-n, 0}))
	return math.Ldexp(twofold{1, 0}.plus(expm1(x)).high, int(n))
}

// expm1 is e^x - 1 with twice the digits, of an x that is no more than some 0.4: the series for
// a 64th of x, which is then doubled six times.
func expm1(x twofold) twofold {
	const doublings, terms, twice = 6, 12, 5
	x.high, x.low = x.high/(1<<doublings), x.low/(1<<doublings)
	t := 1.0
	for n := terms; n > twice; n-- { // 1 + x/2 * (1 + x/3 * (1 + ...)): what is far in is small
		t = 1 + x.high*t/float64(n)
	}
	s := twofold{t, 0}
	for n := twice; n > 1; n-- {
		s = twofold{1, 0}.plus(x.times(s).over(float64(n)))
	}
	s = x.times(s)
	for range doublings {
		s = twofold{2 * s.high, 2 * s.low}.plus(s.times(s))
	}
	return s
}

// twofold is a number with twice the digits: high + low, where high is the sum rounded.
type twofold struct{ high, low float64 }

func (a twofold) times(b twofold) twofold {
	p := float64(a.high * b.high) // the conversion forbids to fuse it with what follows
	e := math.FMA(a.high, b.high, -p) + (a.high*b.low + a.low*b.high)
	high := p + e
	return twofold{high, e - (high - p)}
}

func (a twofold) plus(b twofold) twofold {
	s := a.high + b.high
	t := s - a.high
	e := (a.high - (s - t)) + (b.high - t) + (a.low + b.low)
	high := s + e
	return twofold{high, e - (high - s)}
}

// over is a through n, a small whole number.
func (a twofold) over(n float64) twofold {
	q := a.high / n
	e := (math.FMA(-q, n, a.high) + a.low) / n
	high := q + e
	return twofold{high, e - (high - q)}
}

// atan2 keeps the sign of a not-a-number, and of a number where Go's loses it: if a is so small
// that a/b is 0.
func atan2(a, b float64) float64 {
	switch {
	case a != a:
		return a
	case b != b:
		return b
	}
	return math.Copysign(math.Atan2(a, b), a)
}

func fmod(a, b float64) float64 {
	v := math.Mod(a, b)
	if v != v {
		switch {
		case a != a:
			return a
		case b != b:
			return b
		}
		return negNaN
	}
	return v
}

func mathFloor(s *State, w []Value, n int) (int, error) {
	f, err := s.ArgNumber(w, n, 0)
	if err != nil {
		return 0, err
	}
	w[0] = Number(math.Floor(f))
	return 1, nil
}

func mathModf(s *State, w []Value, n int) (int, error) {
	f, err := s.ArgNumber(w, n, 0)
	if err != nil {
		return 0, err
	}
	whole, frac := f, f
	if math.IsInf(f, 0) {
		frac = math.Copysign(0, f)
	} else if f == f {
		whole = math.Trunc(f)
		frac = math.Copysign(f-whole, f)
	}
	w[0], w[1] = Number(whole), Number(frac)
	return 2, nil
}

func mathFrexp(s *State, w []Value, n int) (int, error) {
	f, err := s.ArgNumber(w, n, 0)
	if err != nil {
		return 0, err
	}
	m, e := f, 0
	if f == f {
		m, e = math.Frexp(f)
	}
	w[0], w[1] = Number(m), Number(float64(e))
	return 2, nil
}

func mathLdexp(s *State, w []Value, n int) (int, error) {
	e, err := s.ArgInt(w, n, 1)
	if err != nil {
		return 0, err
	}
	f, err := s.ArgNumber(w, n, 0)
	if err != nil {
		return 0, err
	}
	if f == f {
		f = math.Ldexp(f, min(max(int(int32(e)), -5000), 5000))
	}
	w[0] = Number(f)
	return 1, nil
}

func mathMax(s *State, w []Value, n int) (int, error) {
	most, err := s.ArgNumber(w, n, 0)
	if err != nil {
		return 0, err
	}
	for i := 1; i < n; i++ {
		f, err := s.ArgNumber(w, n, i)
		if err != nil {
			return 0, err
		}
		if f > most {
			most = f
		}
	}
	w[0] = Number(most)
	return 1, nil
}

func mathMin(s *State, w []Value, n int) (int, error) {
	least, err := s.ArgNumber(w, n, 0)
	if err != nil {
		return 0, err
	}
	for i := 1; i < n; i++ {
		f, err := s.ArgNumber(w, n, i)
		if err != nil {
			return 0, err
		}
		if f < least {
			least = f
		}
	}
	w[0] = Number(least)
	return 1, nil
}

func (m *mathLib) random(s *State, w []Value, n int) (int, error) {
	r := float64(m.next()%rand48Max) / rand48Max
	switch n {
	case 0:
		w[0] = Number(r)
		return 1, nil
	case 1:
		u, err := s.ArgInt(w, n, 0)
		if err != nil {
			return 0, err
		}
		if int32(u) < 1 {
			return 0, s.ArgError(0, "interval is empty")
		}
		w[0] = Number(math.Floor(float64(r*float64(int32(u)))) + 1)
		return 1, nil
	case 2:
		l, err := s.ArgInt(w, n, 0)
		if err != nil {
			return 0, err
		}
		u, err := s.ArgInt(w, n, 1)
		if err != nil {
			return 0, err
		}
		if int32(l) > int32(u) {
			return 0, s.ArgError(1, "interval is empty")
		}
		w[0] = Number(math.Floor(float64(r*float64(int32(u)-int32(l)+1))) + float64(int32(l)))
		return 1, nil
	}
	return 0, s.Errorf("wrong number of arguments")
}

func (m *mathLib) randomseed(s *State, w []Value, n int) (int, error) {
	seed, err := s.ArgInt(w, n, 0)
	if err != nil {
		return 0, err
	}
	m.seed(int32(seed))
	return 0, nil
}
