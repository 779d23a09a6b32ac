package observe

import "testing"

func TestHistogram(t *testing.T) {
	for i := 1; i < len(Histogram{}); i++ {
		if lo, hi := BucketTop(i-1)+1, BucketTop(i); hi < lo || bucketOf(lo) != i || bucketOf(hi) != i {
			t.Fatalf("bucket %d: %d to %d are in %d and %d", i, lo, hi, bucketOf(lo), bucketOf(hi))
		}
	}
	if bucketOf(1<<62) != len(Histogram{})-1 || bucketOf(-5) != 0 {
		t.Error("out of range")
	}
	var sum Histogram
	for ns := int64(1); ns <= 10000; ns++ {
		sum.Add(ns)
	}
	for _, p := range []float64{0, 50, 99, 100} {
		got, want := sum.Percentile(10000, p), max(1, p*100)
		if f := float64(got) / want; f < 1 || f > 1.04 {
			t.Errorf("p%v is %d, want %v", p, got, want)
		}
	}
}
