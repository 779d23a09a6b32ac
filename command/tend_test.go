package command

import (
	"bytes"
	"testing"
	"time"
)

// TestTendMemory: large garbage is no used memory, and is collected and given back
// although nothing else happens.
func TestTendMemory(t *testing.T) {
	s := newTestServer(t)
	stop := make(chan struct{})
	defer close(stop)

	go s.TendMemory(stop)
	base := s.memoryUse(false)
	for range 4 {
		s.do("set", "k", string(bytes.Repeat([]byte("x"), 64<<20)))
	}
	if m := s.memoryUse(false); m.used-base.used < 64<<20 {
		t.Errorf("used %d, before %d", m.used, base.used)
	}
	s.effects = nil
	s.do("del", "k")
	began := time.Now()
	for {
		m := s.memoryUse(false)
		if m.used-base.used < 8<<20 && m.heap+m.idle < base.heap+base.idle+tendSlack+m.used/8+8<<20 {
			break
		}
		if time.Since(began) > 15*time.Second {
			t.Fatalf("after %v: used %d, heap %d, idle %d; before %d, %d, %d", time.Since(began), m.used, m.heap, m.idle, base.used, base.heap, base.idle)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("after %v", time.Since(began))
}
