package types

import (
	"bytes"
	"slices"
)

// A ZSetBuilder makes a sorted set of members in any order: it keeps them
// unordered, sorts once, and builds full nodes. The zero value is empty.
type ZSetBuilder struct {
	b      *bigZSet
	maxLen int
	n      int
	bytes  int // of the members
}

// Add puts a member that is not there yet. The score must not be NaN.
func (z *ZSetBuilder) Add(member []byte, score float64) {
	if z.b == nil {
		z.b = newBigZSet()
	}
	z.add(zhash(member), member, score)
}

// AddNew is Add for a member that may be there; it tells whether it was not.
func (z *ZSetBuilder) AddNew(member []byte, score float64) bool {
	if z.b == nil {
		z.b = newBigZSet()
	}
	h := zhash(member)
	if _, ok := z.b.index.find(&z.b.store, h, member); ok {
		return false
	}
	z.add(h, member, score)
	return true
}

func (z *ZSetBuilder) add(h uint32, member []byte, score float64) {
	z.b.index.insert(h, z.b.store.add(member, score))
	z.n++
	z.maxLen = max(z.maxLen, len(member))
	z.bytes += len(member)
}

// Merge puts a member, or combines the score of the one that is there with the
// new one.
func (z *ZSetBuilder) Merge(member []byte, score float64, combine func(old, new float64) float64) {
	if z.b == nil {
		z.b = newBigZSet()
	}
	h := zhash(member)
	r, ok := z.b.index.find(&z.b.store, h, member)
	if !ok {
		z.add(h, member, score)
		return
	}
	z.b.store.setScore(r, combine(z.b.store.score(r), score))
}

// Has tells whether the member is there.
func (z *ZSetBuilder) Has(member []byte) bool {
	if z.b == nil {
		return false
	}
	_, ok := z.b.find(member)
	return ok
}

// Len is the number of members.
func (z *ZSetBuilder) Len() int { return z.n }

// Finish is the sorted set, packed if the limits allow. The builder is empty
// afterwards.
func (z *ZSetBuilder) Finish(limits ZSetLimits) *SortedSet {
	s := &SortedSet{Limits: limits}
	if z.b == nil {
		return s
	}
	b := z.b
	items := make([]zitem, 0, z.n)
	for h := uint32(0); h <= zhashMax; {
		g := b.index.seg(h)
		for _, w := range g.w {
			r := zref(w & (1<<zrefBits - 1))
			items = append(items, zitem{b.store.score(r), r})
		}
		h = g.next(h)
	}
	slices.SortFunc(items, func(x, y zitem) int {
		switch {
		case x.score < y.score:
			return -1
		case x.score > y.score:
			return 1
		}
		return bytes.Compare(b.store.member(x.ref), b.store.member(y.ref))
	})
	if z.n <= limits.MaxListpackEntries && z.maxLen <= limits.MaxListpackValue && z.bytes < zpackedMax {
		p := make(Packed, 0, z.bytes+z.n*6)
		for _, it := range items {
			p = p.appendZ(b.store.member(it.ref), it.score)
		}
		s.packed, s.n = p, z.n
	} else {
		b.tree.build(items)
		s.big = b
	}
	*z = ZSetBuilder{}
	return s
}
