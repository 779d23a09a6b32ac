package types

import (
	"fmt"
	"testing"
)

// TestForesee: the hint may be given for members that are there or not, in
// collections of any size, shared or not, and changes nothing.
func TestForesee(t *testing.T) {
	for _, n := range []int{0, 1, 500, 200_000} {
		set, zset := newBigSet(), newBigZSet()
		for i := range n {
			m := fmt.Appendf(nil, "member:%d", i)
			set.add(hashOf(m), m)
			zset.set(m, float64(i))
		}
		var ask [][]byte
		for i := range ForeseeMax + 3 {
			ask = append(ask, fmt.Appendf(nil, "member:%d", i*(n/10+1)))
		}
		ask[5], ask[6] = nil, []byte("a member of more than a few bytes that is not there")
		for _, o := range []Object{set, zset, set.Copy(), zset.Copy()} {
			o.(Foreseer).Foresee(ask)
			o.(Foreseer).Foresee(nil)
			if err := o.Check(); err != nil {
				t.Error(err)
			}
		}
	}
}
