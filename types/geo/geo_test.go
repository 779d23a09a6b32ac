package geo

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"testing"
)

// series is a sine (first 1) or a cosine (first 0) of x to 200 bits.
func series(x float64, first int) *big.Float {
	newF := func(v float64) *big.Float { return new(big.Float).SetPrec(300).SetFloat64(v) }
	term := newF(1)
	bx := newF(x)
	if first == 1 {
		term.Set(bx)
	}
	sum := newF(0)
	for n := first; n < 120; n += 2 {
		sum.Add(sum, term)
		term.Mul(term, bx)
		term.Mul(term, bx)
		term.Quo(term, newF(-float64((n+1)*(n+2))))
	}
	return sum
}

// TestTrigonometry: nearly all results are the double next to the true one, and
// none is farther away than the second.
func TestTrigonometry(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const n = 3000
	wrong := map[string]int{}
	for i := range n {
		x := r.Float64() * math.Pi / 2
		switch i % 4 {
		case 1:
			x = math.Ldexp(r.Float64(), -r.IntN(60))
		case 2:
			x = float64(r.IntN(202)) / 128
		}
		check := func(name string, got float64, want *big.Float) {
			w, _ := want.Float64()
			if got == w {
				return
			}
			wrong[name]++
			if math.Abs(got-w) > math.Abs(math.Nextafter(w, 2)-w)*1.5 {
				t.Errorf("%s(%g) is %g, not %g", name, x, got, w)
			}
		}
		if x <= math.Pi/2 {
			check("sin", sin(x), series(x, 1))
			check("sin", -sin(-x), series(x, 1))
			check("cos", cos(x), series(x, 0))
		}
		// asin: the sine of the result must be next to y, seen from both sides.
		y := min(1, x/(math.Pi/2))
		a := asin(y)
		half := (math.Nextafter(a, 4) - a) * 0.501
		slope := math.Cos(a)
		d := new(big.Float).Sub(series(a, 1), new(big.Float).SetFloat64(y))
		off, _ := d.Float64()
		if math.Abs(off) > half*slope+half*half {
			wrong["asin"]++
			if math.Abs(off) > 3*half*slope+4*half*half {
				t.Errorf("asin(%g) is %g: off by %g", y, a, off)
			}
		}
	}
	for name, k := range wrong {
		if k > n/200 {
			t.Errorf("%s: %d of %d are not rounded right", name, k, n)
		}
	}
	t.Log(wrong)
	if asin(0) != 0 || asin(1) != math.Pi/2 || sin(0) != 0 || cos(0) != 1 || sin(4) != math.Sin(4) || !math.IsNaN(cos(math.Inf(1))) {
		t.Error("special values")
	}
}

// The numbers are Redis's answers.
func TestKnown(t *testing.T) {
	palermo, catania := FromScore(Score(Point{13.361389, 38.115556})), FromScore(Score(Point{15.087269, 37.502669}))
	for _, v := range []struct {
		p     Point
		score float64
		hash  string
	}{
		{Point{13.361389, 38.115556}, 3479099956230698, "sqc8b49rny0"},
		{Point{15.087269, 37.502669}, 3479447370796909, "sqdtr74hyu0"},
		{Point{0, 0}, 3377699720527872, "s0000000000"},
		{Point{180, 85.05112878}, 13510798882111488, "bp05b5048p0"},
		{Point{-180, -85.05112878}, 0, "00bh0hbj200"},
		{Point{-122.4194155, 37.7749295}, 1367859919124776, "9q8yyk8yuv0"},
	} {
		if s := Score(v.p); s != v.score {
			t.Errorf("the score of %v is %.0f, not %.0f", v.p, s, v.score)
		}
		if h := Hash(FromScore(v.score)); string(h[:]) != v.hash {
			t.Errorf("the geohash of %v is %s, not %s", v.p, h, v.hash)
		}
	}
	if d := fmt.Sprintf("%.4f", Distance(palermo, catania)); d != "166274.1516" {
		t.Error(d)
	}
}

func randomPoint(r *rand.Rand) Point {
	p := Point{r.Float64()*360 - 180, (r.Float64()*2 - 1) * MaxLat}
	switch r.IntN(12) {
	case 0:
		p.Lon = []float64{180, -180, 179.9999999, -179.9999999, 0}[r.IntN(5)]
	case 1:
		p.Lat = []float64{MaxLat, -MaxLat, 85, -85, 0}[r.IntN(5)]
	}
	return p
}

// TestRanges searches a few thousand points in shapes of all sizes everywhere,
// and compares with a look at each point.
func TestRanges(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	found, extra := 0, 0
	for round := range 3000 {
		s := Shape{Kind: Kind(r.IntN(3)), Center: randomPoint(r)}
		size := math.Exp(r.Float64()*19 - 1) // to 65,000 km
		s.Radius, s.Width, s.Height = size, size*(0.1+2*r.Float64()), size*(0.1+2*r.Float64())
		if s.Kind == Polygon {
			deg := min(90, size/100_000)
			for range 3 + r.IntN(5) {
				p := Point{s.Center.Lon + deg*(r.Float64()-0.5), s.Center.Lat + deg*(r.Float64()-0.5)}
				s.Vertices = append(s.Vertices, Point{max(-180, min(180, p.Lon)), max(-MaxLat, min(MaxLat, p.Lat))})
			}
		}
		s.Prepare()
		var nine [9]cellAt
		n := len(s.nine(nine[:0]))
		ranges := s.Ranges(nil)
		for i, a := range ranges {
			for _, b := range ranges[:i] {
				if a.Min < b.Max && b.Min < a.Max {
					t.Fatalf("%+v: ranges overlap: %v", s, ranges)
				}
			}
		}
		for range 100 {
			p := randomPoint(r)
			if r.IntN(3) > 0 { // near the center
				deg := size / 111_000 * 1.2
				p.Lat = max(-MaxLat, min(MaxLat, s.Center.Lat+deg*(2*r.Float64()-1)))
				p.Lon = s.Center.Lon + deg*(2*r.Float64()-1)/math.Cos(p.Lat*radians)
				for p.Lon > 180 {
					p.Lon -= 360
				}
				for p.Lon < -180 {
					p.Lon += 360
				}
				if !p.Valid() {
					continue
				}
			}
			score := Score(p)
			p = FromScore(score)
			if _, in := s.Distance(p); !in {
				continue
			}
			found++
			at := -1
			for i, a := range ranges {
				if score >= float64(a.Min) && score < float64(a.Max) {
					at = i
				}
			}
			if at >= n {
				extra++
			}
			if at < 0 {
				t.Fatalf("round %d: %+v at %v (%.0f) is in none of %v", round, s, p, score, ranges)
			}
		}
	}
	t.Logf("%d points found, %d of them beyond the nine cells", found, extra)
	if found < 10_000 || extra == 0 {
		t.Error("too few points")
	}
}

// TestWithin: the same positions are inside where nobody asks how far they are, also those at
// the border, to the last bit.
func TestWithin(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	inside := 0
	for range 20_000 {
		c, p := randomPoint(r), randomPoint(r)
		if r.IntN(2) > 0 {
			deg := math.Exp(-25 * r.Float64())
			p = Point{c.Lon + deg*(r.Float64()-0.5), c.Lat + deg*(r.Float64()-0.5)}
			if r.IntN(4) == 0 {
				p.Lon = c.Lon
			}
		}
		d := Distance(c, p)
		for _, radius := range []float64{d, math.Nextafter(d, 0), math.Nextafter(d, 1e9), d * (1 - 1e-8), d * (1 + 1e-8), d / 2, 2 * d} {
			for _, s := range []Shape{{Radius: radius}, {Kind: Box, Width: 2 * radius, Height: 2 * radius}} {
				s.Center = c
				s.Prepare()
				_, want := s.Distance(p)
				s.Within = true
				if _, in := s.Distance(p); in != want {
					t.Fatalf("%+v has %v within: %v, and not %v", s, p, in, want)
				}
				if want {
					inside++
				}
			}
		}
	}
	if inside < 50_000 {
		t.Errorf("only %d positions were inside", inside)
	}
}

// Centred at longitude 180 both sides of it are seen.
func TestDateLine(t *testing.T) {
	for _, center := range []Point{{180, 10}, {-180, 10}, {179.9, 10}, {-179.9, 10}} {
		for _, p := range []Point{{180, 10}, {-180, 10}, {179.95, 10}, {-179.95, 10}} {
			s := Shape{Kind: Circle, Center: center, Radius: 50_000}
			s.Prepare()
			score := Score(p)
			seen := false
			for _, r := range s.Ranges(nil) {
				seen = seen || score >= float64(r.Min) && score < float64(r.Max)
			}
			if _, in := s.Distance(FromScore(score)); !in || !seen {
				t.Errorf("%v is not found around %v", p, center)
			}
		}
	}
}

// Any number may be a score.
func TestStrangeScores(t *testing.T) {
	for _, f := range []float64{-1, -1e300, 1e300, 1 << 63, 1<<63 - 1024, math.Inf(1), math.Inf(-1), 1.5, -0.5, 1 << 53, 3<<52 + 2} {
		if p := FromScore(f); !p.Valid() {
			t.Errorf("%g is at %v", f, p)
		}
	}
}

func BenchmarkDistance(b *testing.B) {
	s := Shape{Kind: Circle, Center: Point{13.36, 38.1}, Radius: 1e6}
	s.Prepare()
	for i := 0; b.Loop(); i++ {
		s.Distance(Point{13.3 + float64(i&1023)/1000, 38})
	}
}

// Of a hundred positions in a line all are inside, as GEOSEARCH without WITHDIST asks.
func BenchmarkWithin(b *testing.B) {
	for _, within := range []bool{false, true} {
		b.Run(strconv.FormatBool(within), func(b *testing.B) {
			s := Shape{Kind: Circle, Center: Point{5, 5}, Radius: 78.6, Within: within}
			s.Prepare()
			for i := 0; b.Loop(); i++ {
				at := 5 + float64(i%100-50)*1e-5/2
				s.Distance(Point{at, at})
			}
		})
	}
}

func BenchmarkRanges(b *testing.B) {
	s := Shape{Kind: Circle, Center: Point{13.36, 38.1}, Radius: 1e5}
	s.Prepare()
	var room [32]Range
	for b.Loop() {
		s.Ranges(room[:0])
	}
}
