package geo

import "math"

// Sine, cosine and arcsine that are rounded right in nearly all cases. Go's own
// are a few units of the last place away from the C library's, and so would be
// the distances that STOREDIST keeps with all their digits. A double is held as
// a sum of two where one is too coarse.

// steps is how many points of the table lie in one radian.
const steps = 128

// sines has, for each point k/steps from 0 to pi/2, the sine and the cosine,
// each as a sum of two doubles.
var sines = makeSines()

type sincos struct{ sin, sinLow, cos, cosLow float64 }

// makeSines turns by 1/steps again and again; in sums of two doubles the error
// of two hundred turns stays below 2^-95.
func makeSines() (t [203]sincos) {
	// sin(1/128) and cos(1/128), from their series.
	var s, c double
	x2 := double{1.0 / (steps * steps), 0}
	for n := 13; n >= 1; n -= 2 { // nested: x(1 - x^2/2*3(1 - x^2/4*5(...)))
		s = double{1, 0}.minus(x2.times(s).over(float64((n + 1) * (n + 2))))
	}
	s = s.times(double{1.0 / steps, 0})
	for n := 12; n >= 0; n -= 2 {
		c = double{1, 0}.minus(x2.times(c).over(float64((n + 1) * (n + 2))))
	}
	sin, cos := double{}, double{1, 0}
	for i := range t {
		t[i] = sincos{sin.high, sin.low, cos.high, cos.low}
		sin, cos = sin.times(c).plus(cos.times(s)), cos.times(c).minus(sin.times(s))
	}
	return t
}

// double is the sum of two doubles, the lower below half a unit of the higher.
type double struct{ high, low float64 }

func sum(a, b float64) double {
	s := a + b
	d := s - a
	return double{s, (a - (s - d)) + (b - d)}
}

func (a double) plus(b double) double {
	s := sum(a.high, b.high)
	return sum(s.high, s.low+a.low+b.low)
}

func (a double) minus(b double) double { return a.plus(double{-b.high, -b.low}) }

func (a double) times(b double) double {
	p := a.high * b.high
	low := math.FMA(a.high, b.high, -p)
	return sum(p, low+(float64(a.high*b.low)+float64(a.low*b.high)))
}

func (a double) over(n float64) double {
	q := a.high / n
	return sum(q, (math.FMA(-q, n, a.high)+a.low)/n)
}

// wide is the largest angle that the table is for: pi/2.
const wide = math.Pi / 2

// sineOf is the sine of x as a sum of two; 0 <= x <= wide.
func sineOf(x float64) double {
	k := math.Floor(float64(x*steps) + 0.5)
	r := x - k/steps // exact
	t := &sines[int(k)]
	s, c := small(r)
	// sin(k+r) = sin k cos r + cos k sin r, with cos r = 1-c and sin r = r-s.
	a := sum(t.sin, float64(t.cos*r))
	low := math.FMA(t.cos, r, -float64(t.cos*r))
	return sum(a.high, a.low+low+(t.sinLow+float64(t.cosLow*r)-float64(t.sin*c)-float64(t.cos*s)))
}

// small is 1 - cos r and r - sin r for |r| <= 1/256.
func small(r float64) (s, c float64) {
	x := r * r
	s = float64(r*x) * (1.0/6 - float64(x*(1.0/120-float64(x*(1.0/5040)))))
	c = x * (0.5 - float64(x*(1.0/24-float64(x*(1.0/720-float64(x*(1.0/40320)))))))
	return s, c
}

// sin is the sine of x.
func sin(x float64) float64 {
	a := math.Abs(x)
	if !(a <= wide) {
		return math.Sin(x)
	}
	return math.Copysign(sineOf(a).high, x)
}

// cos is the cosine of x.
func cos(x float64) float64 {
	x = math.Abs(x)
	if !(x <= wide) {
		return math.Cos(x)
	}
	k := math.Floor(float64(x*steps) + 0.5)
	r := x - k/steps
	t := &sines[int(k)]
	s, c := small(r)
	a := sum(t.cos, -float64(t.sin*r))
	low := -math.FMA(t.sin, r, -float64(t.sin*r))
	return a.high + (a.low + low + (t.cosLow - float64(t.sinLow*r) - float64(t.cos*c) + float64(t.sin*s)))
}

// asin is the arcsine of x, which is not negative; above 1 it is none.
func asin(x float64) float64 {
	if x > 0.875 {
		// asin x = pi/2 - 2 asin(sqrt((1-x)/2)), which loses nothing near 1.
		const piLow = 6.123233995736766e-17 // what pi/2 is more than wide
		h := (1 - x) / 2                    // exact
		q := math.Sqrt(h)
		qLow := math.FMA(-q, q, h) / (2 * q)
		if h == 0 {
			qLow = 0
		}
		y := arcsine(q)
		low := y.low + qLow/math.Sqrt(1-float64(q*q))
		a := sum(wide, -2*y.high)
		return a.high + (a.low + piLow - 2*low)
	}
	return arcsine(x).sum()
}

func (a double) sum() float64 { return a.high + a.low }

// arcsine is the arcsine of x up to 0.875: Go's, which a step of Newton's
// method makes better.
func arcsine(x float64) double {
	if x < 1e-9 {
		return double{x, 0}
	}
	y := math.Asin(x)
	s := sineOf(y)
	return sum(y, ((x-s.high)-s.low)/math.Sqrt(1-float64(x*x)))
}
