package observe

import "slices"

// topKeys finds the keys with the greatest sums. Of as many keys as it has room for it
// knows the sum; where another one comes, the least of them makes way and bequeaths its
// sum (Metwally's Space-Saving), so a key with more than its share is never missed, and no
// sum is too small.
type topKeys struct {
	room  int
	place map[string]int // in heap
	heap  []HotKey       // the least first
}

// HotKey is a key, and what its commands have taken: nanoseconds, or bytes.
type HotKey struct {
	Key string
	Sum int64
}

func newTopKeys(room int) topKeys { return topKeys{room: room, place: map[string]int{}} }

func (t *topKeys) add(key []byte, n int64) {
	if i, ok := t.place[string(key)]; ok {
		t.heap[i].Sum += n
		t.down(i)
		return
	}
	if len(t.heap) < t.room {
		t.heap = append(t.heap, HotKey{string(key), n})
		t.place[string(key)] = len(t.heap) - 1
		t.up(len(t.heap) - 1)
		return
	}
	least := &t.heap[0]
	delete(t.place, least.Key)
	least.Key = string(key)
	least.Sum += n
	t.place[least.Key] = 0
	t.down(0)
}

func (t *topKeys) swap(i, j int) {
	h := t.heap
	h[i], h[j] = h[j], h[i]
	t.place[h[i].Key], t.place[h[j].Key] = i, j
}

func (t *topKeys) up(i int) {
	for i > 0 && t.heap[i].Sum < t.heap[(i-1)/2].Sum {
		t.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (t *topKeys) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(t.heap); c++ {
			if t.heap[c].Sum < t.heap[least].Sum {
				least = c
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}

// top are the n keys with the greatest sums, greatest first.
func (t *topKeys) top(n int) []HotKey {
	all := slices.Clone(t.heap)
	slices.SortFunc(all, func(a, b HotKey) int {
		if a.Sum != b.Sum {
			return int(min(max(b.Sum-a.Sum, -1), 1))
		}
		return 0
	})
	return all[:min(n, len(all))]
}
