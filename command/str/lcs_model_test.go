package str

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"kvd/resp/wire"
)

// TestLCSModel compares with the table that the definition gives, and every
// part of the reply with what Redis's walk through that table finds.
func TestLCSModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		letters := 1 + rnd.IntN(6)
		word := func() []byte {
			b := make([]byte, rnd.IntN(210))
			for i := range b {
				b[i] = byte('a' + rnd.IntN(letters))
			}
			return b
		}
		a, b := word(), word()
		o := lcsOptions{index: rnd.IntN(2) == 0, withLen: rnd.IntN(2) == 0, minLen: int64(rnd.IntN(4) - 1)}
		var got wire.Writer
		o.run(&got, a, b)
		if want := lcsModel(a, b, o); string(got.Buf) != want {
			t.Fatalf("%+v of %q and %q\n got %q\nwant %q", o, a, b, got.Buf, want)
		}
	}
}

func lcsModel(a, b []byte, o lcsOptions) string {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
		for j := 1; i > 0 && j <= len(b); j++ {
			if a[i-1] == b[j-1] {
				table[i][j] = table[i-1][j-1] + 1
			} else {
				table[i][j] = max(table[i-1][j], table[i][j-1])
			}
		}
	}
	var text string
	var pairs [][2]int
	for i, j := len(a), len(b); i > 0 && j > 0; {
		switch {
		case a[i-1] == b[j-1]:
			i, j = i-1, j-1
			text = string(a[i]) + text
			pairs = append(pairs, [2]int{i, j})
		case table[i-1][j] > table[i][j-1]:
			i--
		default:
			j--
		}
	}
	if !o.index {
		return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
	}
	n, out := 0, ""
	for len(pairs) > 0 {
		run := 1
		for run < len(pairs) && pairs[run][0] == pairs[0][0]-run && pairs[run][1] == pairs[0][1]-run {
			run++
		}
		first, last := pairs[run-1], pairs[0]
		pairs = pairs[run:]
		if int64(run) < o.minLen {
			continue
		}
		n++
		if o.withLen {
			out += fmt.Sprintf("*3\r\n*2\r\n:%d\r\n:%d\r\n*2\r\n:%d\r\n:%d\r\n:%d\r\n", first[0], last[0], first[1], last[1], run)
		} else {
			out += fmt.Sprintf("*2\r\n*2\r\n:%d\r\n:%d\r\n*2\r\n:%d\r\n:%d\r\n", first[0], last[0], first[1], last[1])
		}
	}
	return fmt.Sprintf("*4\r\n$7\r\nmatches\r\n*%d\r\n%s$3\r\nlen\r\n:%d\r\n", n, out, len(text))
}
