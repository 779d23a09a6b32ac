package lua

import (
	"math"
	"math/big"
	"math/rand/v2"
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
		if f := math.Abs(want); f < 1e-260 || f > 1e260 {
			continue // these are left to Go's pow
		}
		if got != want {
			t.Fatalf("%v^%d is %v, not %v", a, b, got, want)
		}
	}
	for _, c := range [][3]float64{{2, 10, 1024}, {10, 22, 1e22}, {-2, 3, -8}, {2, -2, 0.25}, {0, 0, 1}, {2, 1024, math.Inf(1)}, {2, -1074, 5e-324}, {9, 0.5, 3}, {0, -1, math.Inf(1)}} {
		if got := luaPow(c[0], c[1]); got != c[2] {
			t.Errorf("%v^%v is %v, not %v", c[0], c[1], got, c[2])
		}
	}
}
