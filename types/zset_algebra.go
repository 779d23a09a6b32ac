package types

import (
	"cmp"
	"math"
	"slices"
)

// A ZInput is what sorted sets are combined from: a SortedSet, or a plain set
// whose members have the score 1. Score must be usable while Each runs.
type ZInput interface {
	Len() int
	Each(f func(member []byte, score float64) bool)
	Score(member []byte) (score float64, ok bool)
}

// Aggregate is how the scores of a member in several inputs become one.
type Aggregate uint8

// The aggregates. Count ignores the scores and adds up the weights.
const (
	AggregateSum Aggregate = iota
	AggregateMin
	AggregateMax
	AggregateCount
)

// combine joins two scores, of which y need not be a number: the smaller and
// the greater of both is x then, and the sum 0, as where infinities cancel out.
func (a Aggregate) combine(x, y float64) float64 {
	switch {
	case a == AggregateMin && y < x, a == AggregateMax && y > x:
		return y
	case a == AggregateMin, a == AggregateMax:
		return x
	}
	return numberOrZero(x + y)
}

// weigh is what an input with a weight contributes for a score. An infinity
// with the weight 0 is 0.
func (a Aggregate) weigh(weight, score float64) float64 {
	if a == AggregateCount {
		return weight
	}
	return numberOrZero(weight * score)
}

func numberOrZero(x float64) float64 {
	if x != x {
		return 0
	}
	return x
}

type zweighed struct {
	ZInput
	weight float64
}

// bySize orders the inputs by their size, the smallest first. Redis does the
// same, which decides in what order floats are added. weights may be nil,
// which means 1 for each, and is otherwise as long as inputs.
func bySize(inputs []ZInput, weights []float64) []zweighed {
	in := make([]zweighed, len(inputs))
	for i, x := range inputs {
		in[i] = zweighed{x, 1}
		if weights != nil {
			in[i].weight = weights[i]
		}
	}
	slices.SortStableFunc(in, func(x, y zweighed) int { return cmp.Compare(x.Len(), y.Len()) })
	return in
}

// bigOf is the big form of an input that has it.
func bigOf(in ZInput) *bigZSet {
	if z, ok := in.(*SortedSet); ok {
		return z.big
	}
	return nil
}

// packedInput tells whether an input's members stand side by side, in no order
// that helps to find one.
func packedInput(in ZInput) bool {
	if u, ok := in.(UnitScores); ok {
		return u.Set.enc == EncListpack
	}
	return bigOf(in) == nil
}

// eachAnyhow shows all members in the order that costs least: a big sorted
// set's in the order of their hashes. Looking each up in another big set, or
// adding it to one, then finds the index in the processor's cache.
func eachAnyhow(in ZInput, f func(member []byte, score float64) bool) {
	if b := bigOf(in); b != nil {
		b.eachHashed(nil, math.MaxInt, f)
	} else {
		in.Each(f)
	}
}

// ZUnion adds the members of all inputs to b, which has to be empty.
func ZUnion(b *ZSetBuilder, inputs []ZInput, weights []float64, a Aggregate) {
	combine := a.combine
	for _, in := range bySize(inputs, weights) {
		eachAnyhow(in.ZInput, func(member []byte, score float64) bool {
			b.Merge(member, a.weigh(in.weight, score), combine)
			return true
		})
	}
}

// ZInter shows the members that all inputs have to f, in no particular order,
// until it returns false. It needs no memory.
func ZInter(inputs []ZInput, weights []float64, a Aggregate, f func(member []byte, score float64) bool) {
	zinter(inputs, weights, a, math.MaxInt, f)
}

// zinter is ZInter with so many steps at most, each being a member of one input
// looked for in another. It returns false if they did not suffice.
func zinter(inputs []ZInput, weights []float64, a Aggregate, steps int, f func(member []byte, score float64) bool) bool {
	if len(inputs) == 0 {
		return true
	}
	in := bySize(inputs, weights)
	cost := 1
	for _, other := range in[1:] {
		if packedInput(other.ZInput) {
			cost += other.Len() / 16 // passed over element by element
		}
	}
	cost += len(in)
	enough := true
	each := func(member []byte, score float64) bool {
		if steps -= cost; steps < 0 {
			enough = false
			return false
		}
		sum := a.weigh(in[0].weight, score)
		for _, other := range in[1:] {
			score, ok := other.Score(member)
			if !ok {
				return true
			}
			// Redis leaves an infinity with the weight 0 not a number here.
			if score *= other.weight; a == AggregateCount {
				score = other.weight
			}
			sum = a.combine(sum, score)
		}
		return f(member, sum)
	}
	first := bigOf(in[0].ZInput)
	if first == nil {
		in[0].Each(each)
		return enough
	}
	// What a big set's index does not have needs no look at the member.
	var others []*bigZSet
	for _, other := range in[1:] {
		if b := bigOf(other.ZInput); b != nil {
			others = append(others, b)
		}
	}
	return first.eachHashed(others, steps, each) && enough
}

// ZInterCard is the number of members that all inputs have, counted up to
// limit, which is none if it is 0.
func ZInterCard(inputs []ZInput, limit int) int {
	n, _ := ZInterCardWithin(inputs, limit, math.MaxInt)
	return n
}

// ZInterCardWithin is ZInterCard in a bounded number of steps, of some 0.1 to
// 0.5 us each; ok is false if they do not suffice, and n means nothing then.
func ZInterCardWithin(inputs []ZInput, limit, steps int) (n int, ok bool) {
	ok = zinter(inputs, nil, AggregateCount, steps, func([]byte, float64) bool {
		n++
		return n != limit
	})
	return n, ok
}

// ZDiff shows the members of the first input that no other has, with their
// scores and in the first input's order, to f until it returns false.
func ZDiff(inputs []ZInput, f func(member []byte, score float64) bool) {
	if len(inputs) == 0 {
		return
	}
	first, rest := inputs[0], slices.Clone(inputs[1:])
	total := 0
	for _, in := range rest {
		total += in.Len()
	}
	// Looking up every member in every other input costs their number; with
	// many small ones it is cheaper to collect what they take away, once.
	if first.Len()*len(rest) > 2*(first.Len()+total) {
		var gone ZSetBuilder
		for _, in := range rest {
			in.Each(func(member []byte, _ float64) bool {
				if _, ok := first.Score(member); ok && !gone.Has(member) {
					gone.Add(member, 0)
				}
				return true
			})
		}
		first.Each(func(member []byte, score float64) bool {
			return gone.Has(member) || f(member, score)
		})
		return
	}
	// The largest is the likeliest to have a member.
	slices.SortStableFunc(rest, func(x, y ZInput) int { return cmp.Compare(y.Len(), x.Len()) })
	first.Each(func(member []byte, score float64) bool {
		for _, in := range rest {
			if _, ok := in.Score(member); ok {
				return true
			}
		}
		return f(member, score)
	})
}
