package replica

import (
	"testing"
	"time"
)

// TestUnfitPause: a leader that sends what cannot be applied is asked for a snapshot less and less often.
func TestUnfitPause(t *testing.T) {
	var p unfitPause
	for i, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 30 * time.Minute, 30 * time.Minute} {
		if got := p.next(time.Second); got != want {
			t.Errorf("rest %d is %v, not %v", i, got, want)
		}
	}
	// A link that was well for long was no attempt of that kind.
	if got := p.next(2 * time.Hour); got != retrySlow {
		t.Errorf("after two hours in sync the rest is %v", got)
	}
}
