package observe

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"kvd/keyspace"
)

// TestHotKeysDuration: a session ends by itself when its time is over, as of that moment.
func TestHotKeysDuration(t *testing.T) {
	var k HotKeys
	if !k.Start(HotWanted{CPU: true, Count: 5, Ratio: 1, Duration: time.Second}) || k.Start(HotWanted{}) || k.Reset() {
		t.Fatal("there is one session at a time")
	}
	h := k.Noting.Load()
	key := []keyspace.Key{keyspace.MakeKey([]byte("k"))}
	k.Note(h, key, 1000, 10)
	h.began = h.began.Add(-2 * time.Second)
	k.Note(h, key, 1000, 10)
	r := k.Report()
	if r.Active || r.Took != time.Second || len(r.ByTime) != 1 || r.ByTime[0] != (HotKey{"k", 1000}) || len(r.ByNet) != 0 || r.AllNet != 10 {
		t.Errorf("after its time: %+v", r)
	}
	if k.Stop() || !k.Reset() || k.Report() != nil {
		t.Error("it has not ended")
	}
}

// TestTopKeys: of many more keys than there is room for, those with more than their share
// come out, and no sum is too small.
func TestTopKeys(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	top := newTopKeys(100)
	sums := map[string]int64{}
	for range 100_000 {
		key := fmt.Sprintf("k%d", rng.IntN(10_000))
		if rng.IntN(5) == 0 {
			key = fmt.Sprintf("hot%d", rng.IntN(5))
		}
		n := int64(rng.IntN(10))
		sums[key] += n
		top.add([]byte(key), n)
	}
	if len(top.heap) != 100 || len(top.place) != 100 {
		t.Fatalf("%d keys, %d places", len(top.heap), len(top.place))
	}
	got := top.top(5)
	for i, k := range got {
		if !strings.HasPrefix(k.Key, "hot") || k.Sum < sums[k.Key] || i > 0 && k.Sum > got[i-1].Sum {
			t.Errorf("%d: %v, whose sum is %d", i, k, sums[k.Key])
		}
	}
	for key, i := range top.place {
		if top.heap[i].Key != key || i > 0 && top.heap[i].Sum < top.heap[(i-1)/2].Sum {
			t.Errorf("place %d of %s: %v", i, key, top.heap[i])
		}
	}
}
