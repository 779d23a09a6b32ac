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

// ChangeForeseer is a Foreseer that has more to bring nearer for members that are about to
// be set.
type ChangeForeseer interface {
	ForeseeChange(members [][]byte)
}

// ForeseeMax is how many look-ups are foreseen at a time.
const ForeseeMax = 16

// Foresee implements Foreseer.
func (t *table) Foresee(members [][]byte) { t.foresee(members) }

// foresee is Foresee. absent has a bit for each of the members that are not there.
func (t *table) foresee(members [][]byte) (absent uint32) {
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
		} else {
			absent |= 1 << i
		}
	}
	return absent
}

// ForeseeChange implements ChangeForeseer: new fields of a hash that has them in order get
// a place there.
func (b *bigHash) ForeseeChange(fields [][]byte) {
	absent := b.foresee(fields)
	if absent == 0 || b.order == nil || b.order.fields == nil {
		return
	}
	var fresh [ForeseeMax][]byte
	n := 0
	for i := range min(len(fields), ForeseeMax) {
		if absent>>i&1 != 0 {
			fresh[n] = fields[i]
			n++
		}
	}
	b.order.fields.foresee(fresh[:n])
}

// foresee brings the places of at most ForeseeMax strings nearer. All are looked for side
// by side, a step of the search in turn.
func (o *Order) foresee(names [][]byte) {
	var at [ForeseeMax]*node
	for i, b := range names {
		pg := o.pages[o.heads.last(b, o.firstOf)]
		n := pg.leaves[pg.heads.last(b, pg.firstOf)].node
		slab.Prefetch(&n.refs)
		slab.Prefetch(&n.full)
		at[i] = n
	}
	var lo, hi [ForeseeMax]int
	most := 0
	for i := range names {
		n := at[i]
		hi[i] = len(n.refs)
		most = max(most, hi[i])
		if hi[i] > 0 {
			slab.Prefetch(&n.refs[hi[i]/2])
			slab.Prefetch(&n.refs[0])
		}
	}
	for ; most > 0; most /= 2 {
		for i, b := range names {
			if n := at[i]; lo[i] < hi[i] {
				if m := (lo[i] + hi[i]) / 2; n.refs[m]>>16 < tagAt(b, int(n.full)) {
					lo[i] = m + 1
				} else {
					hi[i] = m
				}
				if lo[i] < hi[i] {
					slab.Prefetch(&n.refs[(lo[i]+hi[i])/2])
				}
			}
		}
	}
	for i := range names {
		if n := at[i]; len(n.refs) > 0 {
			slab.Prefetch(&n.blob[n.refs[0]&0xFFFF])
			slab.Prefetch(&n.blob[n.refs[min(lo[i], len(n.refs)-1)]&0xFFFF])
			slab.Prefetch(&n.blob[len(n.blob)-1])
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
