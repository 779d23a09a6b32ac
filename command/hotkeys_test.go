package command

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestHotkeys(t *testing.T) {
	s := newTestServer(t)
	s.want("hotkeys get", "$-1\n")
	s.want("hotkeys stop", "$-1\n")
	for args, want := range map[string]string{
		"count 5": "ERR METRICS parameter is required", "metrics 3 cpu net": "ERR METRICS count must be 1 or 2", "metrics 2 cpu": "ERR syntax error",
		"metrics 1 disk": "ERR METRICS no valid metrics passed", "metrics 2 cpu cpu": "ERR METRICS no valid metrics passed", "metrics 1 cpu count 65": "ERR COUNT must be between 1 and 64",
		"metrics 1 cpu sample 0": "ERR SAMPLE ratio must be positive", "metrics 1 cpu duration": "ERR syntax error",
		"metrics 1 cpu slots 1 5": "ERR SLOTS parameter cannot be used in non-cluster mode", "metrics 1 cpu x 5": "ERR syntax error",
	} {
		s.want("hotkeys start "+args, "-"+want+"\n")
	}
	s.want("hotkeys start metrics 2 NET CPU count 2", "+OK\n")
	s.want("hotkeys start metrics 1 cpu", "-ERR hotkeys collection is already in progress\n")
	s.want("hotkeys reset", "-ERR hotkeys collection is in progress; HOTKEYS STOP ends it\n")
	s.run("set small 1")
	s.run("set big " + strings.Repeat("x", 1000))
	s.run("mset small " + strings.Repeat("x", 100) + " other 1")
	s.run("multi")
	s.run("get big")
	s.run("exec")
	got := s.run("hotkeys get")
	// big: 1030 and 5 bytes of SET and its reply, 24 and 1009 of GET.
	if !strings.HasPrefix(got, "*1\r\n*24\r\n$15\r\ntracking-active\r\n:1\r\n$12\r\nsample-ratio\r\n:1\r\n$14\r\nselected-slots\r\n*1\r\n*2\r\n:0\r\n:16383\r\n$25\r\nall-commands-all-slots-us\r\n") ||
		!strings.Contains(got, "$12\r\nby-net-bytes\r\n*4\r\n$3\r\nbig\r\n:2068\r\n$5\r\nsmall\r\n:") {
		t.Errorf("%q", got)
	}
	s.want("hotkeys stop", "+OK\n")
	got = s.run("hotkeys get")
	s.run("get big")
	if after := s.run("hotkeys get"); after != got || !strings.Contains(got, "tracking-active\r\n:0\r\n") {
		t.Errorf("after STOP: %q, %q", got, after)
	}
	s.want("hotkeys reset", "+OK\n")
	s.want("hotkeys get", "$-1\n")
	s.want("hotkeys start metrics 1 cpu duration 1", "+OK\n")
	s.hotkeys.noting.Load().began = s.hotkeys.noting.Load().began.Add(-2e9)
	s.run("get big")
	got = s.run("hotkeys get")
	if !strings.Contains(got, "tracking-active\r\n:0\r\n") || !strings.Contains(got, "collection-duration-ms\r\n:1000\r\n") || strings.Contains(got, "by-net") {
		t.Errorf("after its time: %q", got)
	}
	s.want("hotkeys reset", "+OK\n")
}

// TestTopKeys: of many more keys than there is room for, those with more than their share
// come out, and no sum is too small.
func TestTopKeys(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	top := topKeys{room: 100, place: map[string]int{}}
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
		if !strings.HasPrefix(k.key, "hot") || k.sum < sums[k.key] || i > 0 && k.sum > got[i-1].sum {
			t.Errorf("%d: %v, whose sum is %d", i, k, sums[k.key])
		}
	}
	for key, i := range top.place {
		if top.heap[i].key != key || i > 0 && top.heap[i].sum < top.heap[(i-1)/2].sum {
			t.Errorf("place %d of %s: %v", i, key, top.heap[i])
		}
	}
}
