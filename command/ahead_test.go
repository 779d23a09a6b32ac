package command

import (
	"testing"

	"kvd/keyspace"
)

// TestLately: a key is met again until another one takes its place.
func TestLately(t *testing.T) {
	var r lately
	key := func(hash uint64) *keyspace.Key { return &keyspace.Key{Hash: hash} }
	for i, step := range []struct {
		hash uint64
		met  bool
	}{
		{5, false}, {5, true}, {6, false}, {5, true}, {5 + latelyKeys, false}, {5 + latelyKeys, true}, {5, false}, {6, true},
	} {
		if got := r.met(key(step.hash)); got != step.met {
			t.Errorf("step %d: a key was met before: %v, wanted %v", i, got, step.met)
		}
	}
}
