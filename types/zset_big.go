package types

import "fmt"

// A bigZSet is the Object of a big sorted set: records in a store, found by
// member through an index and by order through a tree.
type bigZSet struct {
	store zstore
	index zindex
	tree  ztree
}

func newBigZSet() *bigZSet {
	own := newZOwner()
	b := &bigZSet{store: newZStore(), index: newZIndex(own), tree: newZTree(own)}
	b.store.setOwner(own)
	return b
}

func (b *bigZSet) setOwner(own uint64) {
	b.store.own, b.index.own, b.tree.own = own, own, own
}

// Copy implements Object.
func (b *bigZSet) Copy() Object {
	c := &bigZSet{store: b.store.copy(), index: b.index, tree: b.tree}
	b.setOwner(newZOwner())
	c.setOwner(newZOwner())
	return c
}

// Bytes implements Object. Memory that copies share is counted by each.
func (b *bigZSet) Bytes() int64 {
	return b.store.bytes + b.index.bytes + b.tree.bytes + 256
}

// Free implements Object. All parts are on the collector's heap, mostly
// without pointers, so letting go of them takes no time that depends on the
// size, and one call is enough.
func (b *bigZSet) Free(int64) bool {
	*b = bigZSet{}
	return true
}

// Check implements Object.
func (b *bigZSet) Check() error {
	n, indexed := b.tree.n, map[zref]bool{}
	words, err := b.index.check(&b.store)
	if err != nil {
		return err
	}
	records := 0
	err = b.store.check(func(r zref) error {
		records++
		member := b.store.member(r)
		if q, ok := b.index.find(&b.store, zhash(member), member); !ok || q != r {
			return fmt.Errorf("zset: record %x of %q is %x in the index", r, member, q)
		}
		indexed[r] = true
		return nil
	})
	if err != nil {
		return err
	}
	if records != n || words != n {
		return fmt.Errorf("zset: %d records, %d in the index, %d in the tree", records, words, n)
	}
	return b.tree.check(&b.store, func(score float64, r zref) error {
		if !indexed[r] || b.store.score(r) != score {
			return fmt.Errorf("zset: record %x has not score %v of the tree", r, score)
		}
		delete(indexed, r)
		return nil
	})
}

func (b *bigZSet) find(member []byte) (zref, bool) {
	return b.index.find(&b.store, zhash(member), member)
}

func (b *bigZSet) score(member []byte) (float64, bool) {
	r, ok := b.find(member)
	if !ok {
		return 0, false
	}
	return b.store.score(r), true
}

func (b *bigZSet) set(member []byte, score float64) (created, changed bool) {
	var c zcursor
	h := zhash(member)
	r, ok := b.index.find(&b.store, h, member)
	if !ok {
		b.tree.seek(&c, &b.store, &zbound{score: score, member: member})
		r = b.store.add(member, score)
		b.index.insert(h, r)
		b.tree.insert(&c, score, r)
		return true, true
	}
	old := b.store.score(r)
	if old == score {
		return false, false
	}
	b.tree.seekRecord(&c, &b.store, old, member)
	// Where the leaf shows that the order stays, nothing has to move.
	if f, i := c.leaf, c.pos; i > 0 && i+1 < int(f.n) && f.score[i-1] < score && score < f.score[i+1] {
		b.tree.replace(&c, score, r)
	} else {
		b.tree.remove(&c, 1)
		b.tree.seek(&c, &b.store, &zbound{score: score, member: member})
		b.tree.insert(&c, score, r)
	}
	b.store.setScore(r, score)
	return false, true
}

func (b *bigZSet) remove(member []byte) bool {
	h := zhash(member)
	r, ok := b.index.find(&b.store, h, member)
	if !ok {
		return false
	}
	var c zcursor
	b.tree.seekRecord(&c, &b.store, b.store.score(r), member)
	b.tree.remove(&c, 1)
	b.drop(h, r)
	b.compact(zcapacity(len(member)))
	return true
}

// drop takes a record, which has left the tree, out of index and store.
func (b *bigZSet) drop(h uint32, r zref) {
	b.index.remove(h, r)
	b.store.remove(r)
}

// compact moves some records if the removed one's pages are mostly empty.
func (b *bigZSet) compact(capacity int) {
	for range zcompactMoves {
		r, ok := b.store.toMove(capacity)
		if !ok {
			return
		}
		member := b.store.member(r)
		score := b.store.score(r)
		var c zcursor
		b.tree.seekRecord(&c, &b.store, score, member)
		q := b.store.add(member, score)
		b.tree.replace(&c, score, q)
		b.index.move(zhash(member), r, q)
		b.store.remove(r)
	}
}

// removeRange removes the records of ranks lo to hi-1 and shows each to f, if
// there is one, before.
func (b *bigZSet) removeRange(lo, hi int, f func(member []byte, score float64) bool) {
	var c zcursor
	for lo < hi {
		b.tree.seekRank(&c, lo)
		k := min(hi-lo, int(c.leaf.n)-c.pos)
		var capacity [zleafCap]int32
		for i := range k {
			b.foreseeNext(c.leaf, c.pos+i)
			r := c.leaf.ref(c.pos + i)
			member := b.store.member(r)
			if f != nil {
				f(member, c.leaf.score[c.pos+i])
			}
			capacity[i] = int32(zcapacity(len(member)))
			b.drop(zhash(member), r)
		}
		b.tree.remove(&c, k)
		for _, n := range capacity[:k] {
			b.compact(int(n))
		}
		hi -= k
	}
}

// rangeRank shows the records of ranks lo to hi-1 to f, the highest first if
// reverse, until it returns false.
func (b *bigZSet) rangeRank(lo, hi int, reverse bool, f func(member []byte, score float64) bool) {
	if lo >= hi {
		return
	}
	var c zcursor
	first := lo
	if reverse {
		first = hi - 1
	}
	b.tree.seekRank(&c, first)
	b.walk(&c, hi-lo, reverse, nil, f)
}

// walk shows up to n records from the cursor on to f, as long as they are
// before stop (not before it, if reverse).
func (b *bigZSet) walk(c *zcursor, n int, reverse bool, stop *zbound, f func(member []byte, score float64) bool) {
	for ; n > 0 && c.leaf != nil; n-- {
		score, r := c.score(), c.ref()
		if stop != nil && stop.before(&b.store, score, r) == reverse {
			return
		}
		if !f(b.store.member(r), score) {
			return
		}
		if reverse {
			b.tree.prev(c)
		} else {
			b.tree.next(c)
		}
	}
}

// between shows the records between two bounds, the last first if reverse, but
// for the first offset of them, and at most limit.
func (b *bigZSet) between(from, to *zbound, reverse bool, offset, limit int, f func(member []byte, score float64) bool) {
	var c zcursor
	start, stop := from, to
	if reverse {
		start, stop = to, from
	}
	rank := b.tree.seek(&c, &b.store, start)
	if reverse {
		rank -= 1 + offset
	} else {
		rank += offset
	}
	if rank < 0 || rank >= b.tree.n {
		return
	}
	switch {
	case offset > 0:
		b.tree.seekRank(&c, rank)
	case reverse:
		b.tree.prev(&c)
	default:
		b.tree.settle(&c)
	}
	b.walk(&c, limit, reverse, stop, f)
}

// rank is the number of records before the bound.
func (b *bigZSet) rank(bound *zbound) int {
	var c zcursor
	return b.tree.seek(&c, &b.store, bound)
}

// zscanSegments limits the segments that one scan looks at, for each member
// that it is asked for.
const zscanSegments = 10

// scan shows at least count members whose hash is at least cursor, all of a
// hash, and returns where to go on, 0 at the end.
func (b *bigZSet) scan(cursor uint64, count int, f func(member []byte, score float64) bool) uint64 {
	if cursor > zhashMax {
		return 0
	}
	h := uint32(cursor)
	for segs := 0; h <= zhashMax; segs++ {
		if segs/zscanSegments > count {
			return uint64(h)
		}
		g := b.index.seg(h)
		for i := g.lowerBound(h); i < len(g.w); {
			h = uint32(g.w[i] >> zrefBits)
			for ; i < len(g.w) && uint32(g.w[i]>>zrefBits) == h; i++ {
				r := zref(g.w[i] & (1<<zrefBits - 1))
				f(b.store.member(r), b.store.score(r))
				count--
			}
			if count <= 0 {
				if h == zhashMax {
					return 0
				}
				return uint64(h) + 1
			}
		}
		h = g.next(h)
	}
	return 0
}

// eachHashed shows the members in the order of their hashes, but may leave out
// those that one of the others does not have, to f until it returns false. It
// looks at no more than steps of them. It returns false if they did not suffice.
func (b *bigZSet) eachHashed(others []*bigZSet, steps int, f func(member []byte, score float64) bool) bool {
	for h := uint32(0); h <= zhashMax; {
		g := b.index.seg(h)
	words:
		for _, w := range g.w {
			if steps--; steps < 0 {
				return false
			}
			for _, o := range others {
				if !o.index.has(uint32(w >> zrefBits)) {
					continue words
				}
			}
			r := zref(w & (1<<zrefBits - 1))
			if !f(b.store.member(r), b.store.score(r)) {
				return true
			}
		}
		h = g.next(h)
	}
	return true
}
