package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// median returns the middle of v, or the mean of the two middle values; NaN when v is empty. v is left as it is.
func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Clone(v)
	slices.Sort(s)
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// ratios are those of paired measurements, summed up.
type ratios struct {
	Median float64
	Min    float64
	Max    float64
}

// ratioOf compares a with b. Measurements of the same round are divided by each other, so that what disturbed a
// round disturbs both; without pairs the medians are divided. Everything is NaN where there is nothing to divide.
func ratioOf(a, b []float64) ratios {
	if len(a) != len(b) || len(a) == 0 {
		r := quotient(median(a), median(b))
		return ratios{r, r, r}
	}
	each := make([]float64, len(a))
	for i := range a {
		each[i] = quotient(a[i], b[i])
		if math.IsNaN(each[i]) {
			return ratios{math.NaN(), math.NaN(), math.NaN()}
		}
	}
	return ratios{median(each), slices.Min(each), slices.Max(each)}
}

// quotient is a/b, with 1 for 0/0: two servers that both cost nothing measurable are equal.
func quotient(a, b float64) float64 {
	if a == 0 && b == 0 {
		return 1
	}
	return a / b
}

// percentile returns the smallest value of the ascending s that at least the share p (0 to 1) of all values do
// not exceed (nearest rank); the zero value when s is empty.
func percentile[T cmp.Ordered](s []T, p float64) T {
	if len(s) == 0 {
		var zero T
		return zero
	}
	// The subtraction keeps 0.99*100, which is not exactly 99 in binary, from being rounded up to rank 100.
	rank := int(math.Ceil(p*float64(len(s)) - 1e-9))
	return s[min(max(rank, 1), len(s))-1]
}

// delays sums up latencies: microseconds.
type delays struct {
	count                   int
	p50, p99, p999, longest float64
}

// summarize sorts d and sums it up.
func summarize(d []time.Duration) delays {
	slices.Sort(d)
	us := func(p float64) float64 { return float64(percentile(d, p)) / 1e3 }
	return delays{count: len(d), p50: us(0.5), p99: us(0.99), p999: us(0.999), longest: us(1)}
}
