package command

import (
	"kvd/keyspace"
)

// perStripe has a T for each stripe of the keyspace, which the stripe's lock
// protects. T should fill a line of the processor's cache.
type perStripe[T any] struct{ stripes []T }

func (p *perStripe[T]) init(ks *keyspace.Keyspace) { p.stripes = make([]T, ks.Stripes()) }

// at is the one of a slot's stripe.
func (p *perStripe[T]) at(slot uint16) *T {
	return &p.stripes[int(slot)*len(p.stripes)/keyspace.Slots]
}
