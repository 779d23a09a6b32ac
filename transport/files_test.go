package transport

import (
	"testing"

	"kvd/config"
)

// TestReserved: descriptors are kept for the event loops, which have two each, and for what else the server opens.
func TestReserved(t *testing.T) {
	for loops, want := range map[string]uint64{"1": 32, "4": 32, "30": 84} {
		srv := &Server{cfg: config.New()}
		if err := srv.cfg.SetInitial("event-loops", []string{loops}); err != nil {
			t.Fatal(err)
		}
		if got := srv.reserved(); got != want {
			t.Errorf("%s loops: %d descriptors are kept, not %d", loops, got, want)
		}
	}
}
