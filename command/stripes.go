package command

import (
	"kvd/keyspace"
)

// perStripe has a T for each stripe of the keyspace, which the stripe's lock
// protects. T should fill a line of the processor's cache.
type perStripe[T any] struct{ stripes []T }

func (p *perStripe[T]) init(ks *keyspace.Keyspace) { p.stripes = make([]T, ks.Stripes()) }

// eachSoon calls f for n keys, whose slots slot tells, with each one's stripe locked in turn;
// the caller has none. It is for what touches no contents. A stripe that is kept for long
// is not waited for: what is left is done once it is free, after the return.
func (s *Server) eachSoon(n int, slot func(i int) uint16, f func(i int)) {
	var kept []int
	for i := range n {
		h, ok := s.Keyspace.LockAnywaySoon(slot(i))
		if !ok {
			kept = append(kept, i)
			continue
		}
		f(i)
		s.Keyspace.Unlock(&h)
	}
	if kept == nil {
		return
	}
	go func() {
		for _, i := range kept {
			h := s.Keyspace.LockAnyway(slot(i))
			f(i)
			s.Keyspace.Unlock(&h)
		}
	}()
}

// at is the one of a slot's stripe.
func (p *perStripe[T]) at(slot uint16) *T {
	return &p.stripes[int(slot)*len(p.stripes)/keyspace.Slots]
}
