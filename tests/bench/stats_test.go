package main

import (
	"math"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{
		{[]float64{3}, 3},
		{[]float64{5, 1, 3}, 3},
		{[]float64{4, 1, 3, 2}, 2.5},
		{[]float64{1, 1, 100}, 1},
	} {
		in := append([]float64(nil), c.in...)
		if got := median(c.in); got != c.want {
			t.Errorf("median(%v) = %v, want %v", in, got, c.want)
		}
		for i := range in {
			if in[i] != c.in[i] {
				t.Errorf("median changed its argument to %v", c.in)
				break
			}
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median(nil) = %v, want NaN", got)
	}
}

func TestRatioOf(t *testing.T) {
	// Paired: a round that is slow for both leaves no trace; the ratio of medians would be 20/30.
	got := ratioOf([]float64{10, 200, 20}, []float64{20, 100, 30})
	if want := (ratios{20.0 / 30, 0.5, 2}); got != want {
		t.Errorf("paired: %v, want %v", got, want)
	}
	got = ratioOf([]float64{1, 4}, []float64{2, 2})
	if want := (ratios{1.25, 0.5, 2}); got != want {
		t.Errorf("paired, even: %v, want %v", got, want)
	}
	if got := ratioOf([]float64{6, 2, 4}, []float64{8}); got != (ratios{0.5, 0.5, 0.5}) {
		t.Errorf("unpaired: %v, want the medians' ratio 0.5", got)
	}
	if got := ratioOf([]float64{0}, []float64{0}); got.Median != 1 {
		t.Errorf("0/0: %v, want 1", got)
	}
	for _, empty := range []ratios{ratioOf(nil, nil), ratioOf([]float64{1}, nil), ratioOf([]float64{math.NaN()}, []float64{1})} {
		if !math.IsNaN(empty.Median) || !math.IsNaN(empty.Min) || !math.IsNaN(empty.Max) {
			t.Errorf("nothing to compare: %v, want NaN", empty)
		}
	}
}

func TestPercentile(t *testing.T) {
	var hundred, thousand []int
	for i := 1; i <= 1000; i++ {
		if i <= 100 {
			hundred = append(hundred, i)
		}
		thousand = append(thousand, i)
	}
	for _, c := range []struct {
		in   []int
		p    float64
		want int
	}{
		{hundred, 0.5, 50}, {hundred, 0.99, 99}, {hundred, 0.999, 100}, {hundred, 1, 100}, {hundred, 0, 1}, {hundred, 0.07, 7}, // 0.07*100 is above 7 in binary
		{thousand, 0.999, 999}, {thousand, 0.99, 990}, {[]int{7}, 0.01, 7}, {[]int{1, 2}, 0.5, 1}, {nil, 0.5, 0},
	} {
		if got := percentile(c.in, c.p); got != c.want {
			t.Errorf("percentile(%v of %d values) = %d, want %d", c.p, len(c.in), got, c.want)
		}
	}
}

func TestSummarize(t *testing.T) {
	d := []time.Duration{3000, 1000, 2000, 9000}
	if got, want := summarize(d), (delays{4, 2, 9, 9, 9}); got != want {
		t.Errorf("got %v, want %v (microseconds)", got, want)
	}
}

func TestLags(t *testing.T) {
	base := time.Unix(1000, 0)
	at := func(ms int) time.Time { return base.Add(time.Duration(ms) * time.Millisecond) }
	l := lags{deadlines: []time.Time{at(10), at(20), at(30)}}
	l.seen(0, at(5))
	l.seen(1, at(12))
	l.seen(1, at(19))
	l.seen(5, at(45)) // more than there are: another key has gone too
	want := []time.Duration{2 * time.Millisecond, 25 * time.Millisecond, 15 * time.Millisecond}
	if len(l.out) != len(want) {
		t.Fatalf("%v, want %v", l.out, want)
	}
	for i := range want {
		if l.out[i] != want[i] {
			t.Errorf("lag %d is %v, want %v", i, l.out[i], want[i])
		}
	}
}
