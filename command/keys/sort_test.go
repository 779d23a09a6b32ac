package keys

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"kvd/types"
)

// TestSortEqual: what SORT takes for equal stays as it came.
func TestSortEqual(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 0))
	for range 50 {
		var l types.List
		var want []string
		for range 13 + rnd.IntN(60) { // fewer are sorted by a way that is stable anyway
			e := []string{"", "\x00z", "a", "b\x00q", "b"}[rnd.IntN(5)] // the first two and the last two are equal
			l.PushBack([]byte(e))
			want = append(want, e)
		}
		came := want
		for _, desc := range []bool{false, true} {
			want := slices.Clone(came)
			s := sorting{alpha: true, desc: desc, count: -1}
			enc, packed, o := l.Stored()
			from, to, ok := s.run(nil, types.TList, enc, packed, o)
			if !ok || from != 0 || to != len(want) {
				t.Fatal(from, to, ok)
			}
			slices.SortStableFunc(want, func(a, b string) int {
				n := bytes.Compare(cString([]byte(a)), cString([]byte(b)))
				if desc {
					return -n
				}
				return n
			})
			for i := range want {
				if got := string(s.elem(&s.items[i])); got != want[i] {
					t.Fatalf("desc %v: element %d of %q is %q", desc, i, want, got)
				}
			}
		}
	}
}
