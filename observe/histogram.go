package observe

import "math/bits"

// Histogram counts durations in nanoseconds: 32 buckets for each power of two,
// so a value is known to some 3 percent. Longer than 68 s counts as that.
type Histogram [33 * 32]int64

// Add counts a duration.
func (h *Histogram) Add(ns int64) { h[bucketOf(ns)]++ }

func bucketOf(ns int64) int {
	v := uint64(max(ns, 0))
	if v < 64 {
		return int(v)
	}
	e := bits.Len64(v) - 6
	return min(e*32+int(v>>e), len(Histogram{})-1)
}

// BucketTop is the highest value that bucket i counts, in ns.
func BucketTop(i int) int64 {
	if i < 64 {
		return int64(i)
	}
	e := i/32 - 1
	return int64(i%32+33)<<e - 1
}

// Percentile is the value below which p percent of the n durations stayed, in ns.
func (h *Histogram) Percentile(n int64, p float64) int64 {
	want := max(int64(p/100*float64(n)+0.5), 1)
	for i, v := range h {
		if want -= v; want <= 0 {
			return BucketTop(i)
		}
	}
	return 0
}

// Step says how many durations were at most so many microseconds.
type Step struct{ Us, Count int64 }

// Steps adds a histogram up. A step ends with the histogram's bucket of 1024 ns
// times a power of two; it has the name that Redis's histogram, whose buckets
// are narrower, gives it: 1, 2, 4, 8, 16, 33, 66, 132 us and so on.
func (h *Histogram) Steps() (steps []Step) {
	sum, end, top := int64(0), BucketTop(bucketOf(1024)), int64(1031)
	for i, n := range h {
		for BucketTop(i) > end {
			end, top = end*2+1, top*2+1
		}
		if n == 0 {
			continue
		}
		sum += n
		if k := len(steps); k > 0 && steps[k-1].Us == top/1000 {
			steps[k-1].Count = sum
		} else {
			steps = append(steps, Step{top / 1000, sum})
		}
	}
	return
}
