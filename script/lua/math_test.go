package lua

import (
	"bytes"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// TestPowOfWholeExponents holds that a power with a whole exponent is the exact one, rounded once.
func TestPowOfWholeExponents(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 20000 {
		a, b := 37.616, 31
		if i > 0 {
			a = math.Ldexp(rnd.Float64()*2-1, rnd.IntN(40)-20)
			if rnd.IntN(3) == 0 {
				a = float64(rnd.IntN(2000) - 1000)
			}
			b = rnd.IntN(120) - 40
		}
		if a == 0 {
			continue
		}
		exact, x := big.NewFloat(1).SetPrec(8000), new(big.Float).SetPrec(8000).SetFloat64(a)
		for range max(b, -b) {
			exact.Mul(exact, x)
		}
		if b < 0 {
			exact.Quo(big.NewFloat(1), exact)
		}
		want, _ := exact.Float64()
		got := luaPow(a, float64(b))
		if got != want {
			t.Fatalf("%v^%d is %v, not %v", a, b, got, want)
		}
	}
	for _, c := range [][3]float64{{2, 10, 1024}, {10, 22, 1e22}, {-2, 3, -8}, {2, -2, 0.25}, {0, 0, 1}, {2, 1024, math.Inf(1)}, {2, -1074, 5e-324}, {1, math.Inf(1), 1}, {1, math.Inf(-1), 1}, {1, math.NaN(), 1}, {1, 0.3, 1}, {9, 0.5, 3}, {0, -1, math.Inf(1)}} {
		if got := luaPow(c[0], c[1]); got != c[2] {
			t.Errorf("%v^%v is %v, not %v", c[0], c[1], got, c[2])
		}
	}
}

// TestPowAsLua51 holds powers with other exponents against C's, which are rounded once but for
// few. Of Go's four in five of these differ in their 17 digits.
func TestPowAsLua51(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var in bytes.Buffer
	var want []string
	add := func(a, b float64) {
		in.WriteString(strconv.FormatFloat(a, 'x', -1, 64) + " " + strconv.FormatFloat(b, 'x', -1, 64) + "\n")
		want = append(want, string(AppendNumber17(nil, luaPow(a, b))))
	}
	add(7, 11.55)
	for len(want) < 100000 {
		a, b := math.Ldexp(rnd.Float64(), rnd.IntN(40)-20), rnd.NormFloat64()*20
		switch rnd.IntN(10) {
		case 0: // near 1, with a great exponent
			a, b = 1+rnd.NormFloat64()*1e-7, math.Trunc(rnd.NormFloat64()*1e9)
		case 1:
			a, b = -1+rnd.NormFloat64()*1e-7, math.Trunc(rnd.NormFloat64()*1e9)
		case 2: // below the normal numbers, or nearly
			a, b = math.Ldexp(rnd.Float64(), -1020-rnd.IntN(50)), rnd.Float64()
		case 3: // with a great or a small result
			a, b = math.Ldexp(rnd.Float64(), rnd.IntN(40)-20), rnd.NormFloat64()*300
		}
		add(a, b)
	}
	const program = `for l in io.lines() do local a, b = l:match("(%S+) (%S+)") io.write(string.format("%.17g\n", tonumber(a) ^ tonumber(b))) end`
	got := strings.Fields(string(lua51(t, program, in.Bytes())))
	if len(got) != len(want) {
		t.Fatalf("%d results, not %d", len(got), len(want))
	}
	differ := 0
	for i := range got {
		if got[i] != want[i] {
			differ++
		}
	}
	if differ > 100 {
		t.Errorf("%d of %d differ", differ, len(got))
	}
}

func BenchmarkPow(b *testing.B) {
	for i := range b.N {
		luaPow(float64(2+i&7), 11.55)
	}
}
