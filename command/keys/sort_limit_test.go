package keys_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"kvd/command/commandtest"
)

// TestChosen: LIMIT sorts a part only, and has the same as all would have, sorted.
func TestChosen(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := commandtest.New(t)
	for round := range 300 {
		n, span := 1+rng.IntN(400), 1+rng.IntN(1000)
		args := []string{"RPUSH", "l"}
		for i := range n {
			v := rng.IntN(span)
			if round%3 == 0 {
				v = (i * (round%2*2 - 1)) % span // in order, one way or the other
			}
			args = append(args, strconv.Itoa(v))
		}
		s.Run("DEL l")
		s.Do(args...)
		order := []string{"ASC", "DESC", "ALPHA", "ALPHA DESC"}[rng.IntN(4)]
		_, whole, _ := strings.Cut(s.Run("SORT l "+order), "\r\n")
		all := strings.SplitAfter(whole, "\r\n")
		from, count := rng.IntN(n+1), rng.IntN(n+1)
		to := min(n, from+count)
		want := fmt.Sprintf("*%d\r\n%s", to-from, strings.Join(all[2*from:2*to], ""))
		if got := s.Run(fmt.Sprintf("SORT l %s LIMIT %d %d", order, from, count)); got != want {
			t.Fatalf("round %d: %d of %d from %d, %s:\n%q\nwant %q", round, count, n, from, order, got, want)
		}
	}
}
