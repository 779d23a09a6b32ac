package types

import "kvd/types/slab"

// A look-up in a big collection is three or four cache misses, each of which
// can only begin when the one before is over. Where several look-ups are known
// before the first of them is made, they are taken side by side, step by step.

// Foreseer is an Object whose members can be brought nearer before they are
// looked up. It is a hint, and changes nothing.
type Foreseer interface {
	// Foresee takes the members of set or sorted set, or fields of a hash; those
	// behind the first ForeseeMax are left out.
	Foresee(members [][]byte)
}

// ForeseeMax is how many look-ups are foreseen at a time.
const ForeseeMax = 16

// Foresee implements Foreseer.
func (t *table) Foresee(members [][]byte) {
	var hash [ForeseeMax]uint64
	var at [ForeseeMax]*node
	members = members[:min(len(members), ForeseeMax)]
	root := t.root
	for i, m := range members {
		hash[i] = hashOf(m)
		at[i] = root
		if root.kids != nil {
			at[i] = root.kids[root.slot(hash[i])]
			slab.Prefetch(&at[i].kids)
			slab.Prefetch(&at[i].depth)
		}
	}
	for i := range members {
		n := at[i]
		for n.kids != nil {
			n = n.kids[n.slot(hash[i])]
		}
		at[i] = n
		if len(n.refs) > 0 {
			slab.Prefetch(&n.refs[n.guess(n.tag(hash[i]))])
		}
	}
	for i := range members {
		n := at[i]
		tag := n.tag(hash[i])
		if j := n.lower(tag); j < len(n.refs) && n.refs[j]>>16 == tag {
			slab.Prefetch(&n.blob[n.refs[j]&0xFFFF])
		}
	}
}

// Foresee implements Foreseer.
func (b *bigZSet) Foresee(members [][]byte) {
	var hash [ForeseeMax]uint32
	var seg [ForeseeMax]*zseg
	var ref [ForeseeMax]zref
	members = members[:min(len(members), ForeseeMax)]
	for i, m := range members {
		hash[i] = zhash(m)
		seg[i] = b.index.seg(hash[i])
		slab.Prefetch(seg[i])
	}
	for i := range members {
		seg[i].prefetch(hash[i])
	}
	for i := range members {
		g := seg[i]
		if j := g.lowerBound(hash[i]); j < len(g.w) && uint32(g.w[j]>>zrefBits) == hash[i] {
			ref[i] = zref(g.w[j] & (1<<zrefBits - 1))
			slab.Prefetch(b.store.page(int32(ref[i] >> zslotBits)))
		} else {
			seg[i] = nil
		}
	}
	for i := range members {
		if seg[i] != nil {
			b.store.prefetch(ref[i])
		}
	}
}

// prefetch brings the place of a hash in the segment nearer.
func (g *zseg) prefetch(h uint32) {
	if n := len(g.w); n > 0 {
		rest := h & (1<<(zhashBits-g.depth) - 1)
		slab.Prefetch(&g.w[uint64(rest)*uint64(n)>>(zhashBits-g.depth)])
	}
}

// prefetch brings a record nearer.
func (s *zstore) prefetch(r zref) {
	p := s.page(int32(r >> zslotBits))
	if i := zslot(r); i < len(p.scores) {
		slab.Prefetch(&p.data[i*int(p.stride)])
		slab.Prefetch(&p.scores[i])
	}
}

// foreseeNext prefetches for a caller that removes the records of a leaf one after the
// other, and is about to remove the one at place i. It fetches what the removal of the
// records some places further on will read, one step of each at a time.
func (b *bigZSet) foreseeNext(f *zleaf, i int) {
	const step = 5
	n := int(f.n)
	if i += step; i < n {
		h := zhash(b.store.member(f.ref(i)))
		b.index.seg(h).prefetch(h)
	}
	if i += step; i < n {
		slab.Prefetch(b.index.seg(zhash(b.store.member(f.ref(i)))))
	}
	if i += step; i < n {
		b.store.prefetch(f.ref(i))
	}
	if i += step; i < n {
		slab.Prefetch(b.store.page(int32(f.ref(i) >> zslotBits)))
	}
}
