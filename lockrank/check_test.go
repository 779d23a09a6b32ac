//go:build lockcheck

package lockrank

import (
	"strings"
	"testing"
)

// complaint runs f and returns what is wrong with the order of its locks, "": nothing.
func complaint(f func()) (text string) {
	old := wrong
	defer func() { wrong = old }()
	wrong = func(s string) { panic(s) }
	done := make(chan string)
	go func() { // its locks are noted as held for good
		defer func() {
			s, _ := recover().(string)
			done <- s
		}()
		f()
	}()
	return <-done
}

func TestOrder(t *testing.T) {
	type pair struct {
		stripe, other Mutex[Stripe]
		journal       Mutex[Journal]
		tracking      RWMutex[Tracking]
	}
	for _, c := range []struct {
		name string
		run  func(p *pair)
		want []string // parts of the message; none: the order is right
	}{
		{"ascending", func(p *pair) { p.stripe.LockAt(3); p.other.LockAt(5); p.tracking.RLock(); p.journal.Lock() }, nil},
		{"one after another", func(p *pair) { p.journal.Lock(); p.journal.Unlock(); p.stripe.LockAt(3) }, nil},
		{"descending", func(p *pair) { p.journal.Lock(); p.stripe.LockAt(3) }, []string{"Stripe 3 is taken", "holds Journal"}},
		{"stripes descending", func(p *pair) { p.stripe.LockAt(5); p.other.LockAt(3) }, []string{"Stripe 3 is taken", "holds Stripe 5"}},
		{"the lower stripe is let go", func(p *pair) { p.stripe.LockAt(3); p.other.LockAt(5); p.stripe.Unlock(); p.stripe.LockAt(3) }, []string{"Stripe 3 is taken", "holds Stripe 5"}},
		{"twice", func(p *pair) { p.journal.Lock(); p.journal.Lock() }, []string{"Journal is taken", "holds Journal"}},
		{"two of one rank", func(p *pair) { var other Mutex[Journal]; p.journal.Lock(); other.Lock() }, []string{"Journal is taken", "holds Journal"}},
		{"read twice", func(p *pair) { p.tracking.RLock(); p.tracking.RLock() }, []string{"Tracking is taken", "holds Tracking"}},
		{"read before", func(p *pair) { p.tracking.RLock(); p.tracking.RUnlock(); p.stripe.LockAt(1) }, nil},
		{"written", func(p *pair) { p.tracking.Lock(); p.stripe.LockAt(1) }, []string{"Stripe 1 is taken", "holds Tracking"}},
		{"tried without waiting", func(p *pair) { p.journal.Lock(); p.stripe.TryLock() }, nil},
		{"waited for under what was tried", func(p *pair) { p.journal.TryLock(); p.stripe.LockAt(3) }, []string{"Stripe 3 is taken", "holds Journal"}},
		{"tried before waiting", func(p *pair) { p.journal.Lock(); p.stripe.TryLockAt(3) }, []string{"Stripe 3 is taken", "holds Journal"}},
		{"let go by another goroutine", func(p *pair) {
			p.journal.Lock()
			done := make(chan bool)
			go func() { p.journal.Unlock(); done <- true }()
			<-done
			p.stripe.LockAt(3)
		}, nil},
	} {
		got := complaint(func() { c.run(&pair{}) })
		if len(c.want) == 0 && got != "" {
			t.Errorf("%s: %s", c.name, got)
		}
		for _, part := range c.want {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %q, want %q in it", c.name, got, part)
			}
		}
	}
}
