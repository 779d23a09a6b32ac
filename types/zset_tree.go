package types

import (
	"bytes"
	"fmt"
	"slices"
)

// A ztree keeps the records of a big sorted set in the order of (score,
// member). It is a B+tree that counts: every branch knows how many records are
// below each child, so that a rank is a walk from the root. A leaf has the
// scores and references of up to zleafCap records and no pointers; a branch has
// the first record of each child. Members are read (from the store) only
// between equal scores.
//
// There is always a root, and always a leaf; only a lone leaf may be empty.
// Ownership is explained at zstore.
type ztree struct {
	own    uint64
	root   *zbranch
	height int // levels of branches
	n      int
	bytes  int64
}

const (
	zleafCap   = 136 // makes a leaf 1784 bytes, of an allocation of 1792
	zbranchCap = 32
	// zmaxHeight is enough for a branch of 8 children at every level above 2^32
	// records; two neighbours together have more than half of a branch.
	zmaxHeight = 12

	zleafSize   = 1792
	zbranchSize = 896 + zbranchCap*8
)

type zleaf struct {
	own   uint64
	n     int32
	score [zleafCap]float64
	low   [zleafCap]uint32 // the reference's low bits
	high  [zleafCap]uint8  // and the others
}

type zbranch struct {
	own    uint64
	n      int32
	score  [zbranchCap]float64 // of the first record below each child
	ref    [zbranchCap]zref
	size   [zbranchCap]int // records below each child
	kids   []*zbranch      // of zbranchCap; nil at the lowest level
	leaves []*zleaf        // of zbranchCap; nil at the other levels
}

func (f *zleaf) ref(i int) zref { return zref(f.high[i])<<32 | zref(f.low[i]) }

func (f *zleaf) set(i int, score float64, r zref) {
	f.score[i], f.low[i], f.high[i] = score, uint32(r), uint8(r>>32)
}

// copyTo copies the leaf's records from..to to g's place at.
func (f *zleaf) copyTo(g *zleaf, at, from, to int) {
	copy(g.score[at:], f.score[from:to])
	copy(g.low[at:], f.low[from:to])
	copy(g.high[at:], f.high[from:to])
}

// zbound is a place between records: it stands behind all records that are
// before it, by score, by member, or by both.
type zbound struct {
	kind   zboundKind
	after  bool // equal ones are before it
	score  float64
	member []byte
}

type zboundKind uint8

const (
	zbyRecord zboundKind = iota // score, then member
	zbyScore
	zbyMember // means something only if all scores are equal
)

// beforeScore tells whether a record with the score is before the bound, if the
// score alone decides it. Asking it first spares a search the references that
// it does not need, a fifth of its time if the nodes are cached.
func (b *zbound) beforeScore(score float64) (before, decided bool) {
	return score < b.score, score != b.score && b.kind != zbyMember
}

// before tells whether a record is before the bound.
func (b *zbound) before(s *zstore, score float64, r zref) bool {
	if b.kind != zbyMember {
		if score != b.score {
			return score < b.score
		}
		if b.kind == zbyScore {
			return b.after
		}
	}
	c := bytes.Compare(s.member(r), b.member)
	return c < 0 || c == 0 && b.after
}

// inLeaf is the number of the leaf's records that are before the bound.
func (b *zbound) inLeaf(s *zstore, f *zleaf) int {
	lo, hi := 0, int(f.n)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		before, ok := b.beforeScore(f.score[m])
		if !ok {
			before = b.before(s, f.score[m], f.ref(m))
		}
		if before {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// inBranch is the child where the bound is: the last one whose first record is
// before it, or else the first one.
func (b *zbound) inBranch(s *zstore, n *zbranch) int {
	lo, hi := 1, int(n.n)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		before, ok := b.beforeScore(n.score[m])
		if !ok {
			before = b.before(s, n.score[m], n.ref[m])
		}
		if before {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo - 1
}

// zcursor is a place in the tree and the way to it. leaf is nil beyond the
// last record and before the first. A change of the tree invalidates it.
type zcursor struct {
	leaf *zleaf
	pos  int
	node [zmaxHeight]*zbranch
	idx  [zmaxHeight]int32
}

func newZTree(own uint64) ztree {
	t := ztree{own: own}
	t.reset()
	return t
}

func (t *ztree) reset() {
	t.n, t.height, t.bytes = 0, 1, 0
	t.root = t.newBranch(1)
	t.root.leaves[0] = t.newLeaf()
	t.root.n = 1
}

func (t *ztree) newLeaf() *zleaf {
	t.bytes += zleafSize
	return &zleaf{own: t.own}
}

// newBranch is an empty branch; leaves are below those of level 1.
func (t *ztree) newBranch(level int) *zbranch {
	t.bytes += zbranchSize
	b := &zbranch{own: t.own}
	if level == 1 {
		b.leaves = make([]*zleaf, zbranchCap)
	} else {
		b.kids = make([]*zbranch, zbranchCap)
	}
	return b
}

// seek puts the cursor at the first record that is not before the bound, or
// behind the last record of a leaf (see settle), where a record that belongs
// to the bound is to be inserted. It returns the number of records before it.
func (t *ztree) seek(c *zcursor, s *zstore, b *zbound) int {
	rank, n := 0, t.root
	for l := 0; ; l++ {
		i := b.inBranch(s, n)
		for _, size := range n.size[:i] {
			rank += size
		}
		c.node[l], c.idx[l] = n, int32(i)
		if n.leaves != nil {
			c.leaf = n.leaves[i]
			break
		}
		n = n.kids[i]
	}
	c.pos = b.inLeaf(s, c.leaf)
	return rank + c.pos
}

// seekRecord puts the cursor at a record, which must exist.
func (t *ztree) seekRecord(c *zcursor, s *zstore, score float64, member []byte) {
	// Behind it is never in the leaf before.
	t.seek(c, s, &zbound{score: score, member: member, after: true})
	c.pos--
}

// seekRank puts the cursor at the record of that rank, which must exist.
func (t *ztree) seekRank(c *zcursor, rank int) {
	n := t.root
	for l := 0; ; l++ {
		i := 0
		for rank >= n.size[i] {
			rank -= n.size[i]
			i++
		}
		c.node[l], c.idx[l] = n, int32(i)
		if n.leaves != nil {
			c.leaf = n.leaves[i]
			break
		}
		n = n.kids[i]
	}
	c.pos = rank
}

// settle moves a cursor that is behind a leaf's last record to the next leaf.
func (t *ztree) settle(c *zcursor) {
	if c.pos == int(c.leaf.n) {
		c.pos--
		t.next(c)
	}
}

// next goes to the next record.
func (t *ztree) next(c *zcursor) {
	if c.pos++; c.pos < int(c.leaf.n) {
		return
	}
	c.leaf = nil
	l := t.height - 1
	for c.idx[l]+1 == c.node[l].n {
		if l--; l < 0 {
			return
		}
	}
	c.idx[l]++
	for ; c.node[l].leaves == nil; l++ {
		c.node[l+1], c.idx[l+1] = c.node[l].kids[c.idx[l]], 0
	}
	c.leaf, c.pos = c.node[l].leaves[c.idx[l]], 0
}

// prev goes to the record before.
func (t *ztree) prev(c *zcursor) {
	if c.pos--; c.pos >= 0 {
		return
	}
	c.leaf = nil
	l := t.height - 1
	for c.idx[l] == 0 {
		if l--; l < 0 {
			return
		}
	}
	c.idx[l]--
	for ; c.node[l].leaves == nil; l++ {
		kid := c.node[l].kids[c.idx[l]]
		c.node[l+1], c.idx[l+1] = kid, kid.n-1
	}
	c.leaf = c.node[l].leaves[c.idx[l]]
	c.pos = int(c.leaf.n) - 1
}

func (c *zcursor) score() float64 { return c.leaf.score[c.pos] }
func (c *zcursor) ref() zref      { return c.leaf.ref(c.pos) }

func (t *ztree) ownLeaf(b *zbranch, i int) *zleaf {
	f := b.leaves[i]
	if f.own != t.own {
		g := *f
		g.own = t.own
		f = &g
		b.leaves[i] = f
	}
	return f
}

func (t *ztree) ownBranch(b *zbranch) *zbranch {
	if b.own == t.own {
		return b
	}
	c := *b
	c.own = t.own
	c.kids, c.leaves = slices.Clone(b.kids), slices.Clone(b.leaves)
	return &c
}

// ownPath makes everything on the cursor's way the tree's own.
func (t *ztree) ownPath(c *zcursor) {
	t.root = t.ownBranch(t.root)
	b := t.root
	for l := 0; ; l++ {
		c.node[l] = b
		i := c.idx[l]
		if b.leaves != nil {
			c.leaf = t.ownLeaf(b, int(i))
			return
		}
		b.kids[i] = t.ownBranch(b.kids[i])
		b = b.kids[i]
	}
}

// first takes over what child i's first record is.
func (b *zbranch) first(i int32) {
	if b.leaves != nil {
		f := b.leaves[i]
		b.score[i], b.ref[i] = f.score[0], f.ref(0)
	} else {
		k := b.kids[i]
		b.score[i], b.ref[i] = k.score[0], k.ref[0]
	}
}

// count takes over first record and size of child i.
func (b *zbranch) count(i int32) {
	b.first(i)
	if b.leaves != nil {
		b.size[i] = int(b.leaves[i].n)
		return
	}
	n := 0
	for _, size := range b.kids[i].size[:b.kids[i].n] {
		n += size
	}
	b.size[i] = n
}

// open makes room for a child at i.
func (b *zbranch) open(i int32) {
	copy(b.score[i+1:], b.score[i:b.n])
	copy(b.ref[i+1:], b.ref[i:b.n])
	copy(b.size[i+1:], b.size[i:b.n])
	if b.leaves != nil {
		copy(b.leaves[i+1:], b.leaves[i:b.n])
	} else {
		copy(b.kids[i+1:], b.kids[i:b.n])
	}
	b.n++
}

// close takes child i out.
func (b *zbranch) close(i int32) {
	copy(b.score[i:], b.score[i+1:b.n])
	copy(b.ref[i:], b.ref[i+1:b.n])
	copy(b.size[i:], b.size[i+1:b.n])
	b.n--
	if b.leaves != nil {
		copy(b.leaves[i:], b.leaves[i+1:b.n+1])
		b.leaves[b.n] = nil
	} else {
		copy(b.kids[i:], b.kids[i+1:b.n+1])
		b.kids[b.n] = nil
	}
}

// moveTo moves the children from i on behind those of to.
func (b *zbranch) moveTo(to *zbranch, i int32) {
	copy(to.score[to.n:], b.score[i:b.n])
	copy(to.ref[to.n:], b.ref[i:b.n])
	copy(to.size[to.n:], b.size[i:b.n])
	if b.leaves != nil {
		copy(to.leaves[to.n:], b.leaves[i:b.n])
	} else {
		copy(to.kids[to.n:], b.kids[i:b.n])
	}
	to.n += b.n - i
}

// truncate forgets the children from n on.
func (b *zbranch) truncate(n int32) {
	if b.leaves != nil {
		clear(b.leaves[n:b.n])
	} else {
		clear(b.kids[n:b.n])
	}
	b.n = n
}

// insert puts a record where seek put the cursor. A full node is split in the
// middle, but at its end if the record is the tree's last, so that filling a
// set in ascending order leaves full nodes behind.
func (t *ztree) insert(c *zcursor, score float64, r zref) {
	t.ownPath(c)
	t.n++
	last := c.pos == int(c.leaf.n)
	for l := 0; last && l < t.height; l++ {
		last = c.idx[l] == c.node[l].n-1
	}

	f, pos := c.leaf, c.pos
	var newLeaf *zleaf
	var newBranch *zbranch
	if f.n == zleafCap {
		at := zleafCap / 2
		if last {
			at = zleafCap
		}
		newLeaf = t.newLeaf()
		f.copyTo(newLeaf, 0, at, zleafCap)
		newLeaf.n, f.n = int32(zleafCap-at), int32(at)
		if pos > at || last {
			f, pos = newLeaf, pos-at
		}
	}
	f.copyTo(f, pos+1, pos, int(f.n))
	f.set(pos, score, r)
	f.n++

	for l := t.height - 1; l >= 0; l-- {
		b, i := c.node[l], c.idx[l]
		if newLeaf == nil && newBranch == nil {
			b.size[i]++
			b.first(i)
			continue
		}
		b.count(i)
		i++
		var right *zbranch
		to, at := b, i
		if b.n == zbranchCap {
			half := int32(zbranchCap / 2)
			if last {
				half = zbranchCap
			}
			right = t.newBranch(t.height - l)
			b.moveTo(right, half)
			b.truncate(half)
			if i > half || last {
				to, at = right, i-half
			}
		}
		to.open(at)
		if newLeaf != nil {
			to.leaves[at] = newLeaf
		} else {
			to.kids[at] = newBranch
		}
		to.count(at)
		newLeaf, newBranch = nil, right
	}
	if newBranch != nil {
		root := t.newBranch(t.height + 1)
		root.kids[0], root.kids[1], root.n = t.root, newBranch, 2
		root.count(0)
		root.count(1)
		t.root = root
		t.height++
	}
}

// remove takes out k records from the cursor on; they must be in its leaf.
func (t *ztree) remove(c *zcursor, k int) {
	if t.n == k {
		t.reset()
		return
	}
	t.ownPath(c)
	t.n -= k
	f := c.leaf
	f.copyTo(f, c.pos, c.pos+k, int(f.n))
	f.n -= int32(k)
	for l := t.height - 1; l >= 0; l-- {
		b, i := c.node[l], c.idx[l]
		b.size[i] -= k
		if b.size[i] == 0 {
			t.bytes -= t.childSize(b)
			b.close(i)
			continue
		}
		b.first(i)
		if b.leaves != nil && b.leaves[i].n <= zleafCap/4 || b.leaves == nil && b.kids[i].n <= zbranchCap/4 {
			if i+1 < b.n {
				t.merge(b, i)
			}
			if i > 0 {
				t.merge(b, i-1)
			}
		}
	}
	for t.height > 1 && t.root.n == 1 {
		t.root = t.root.kids[0]
		t.height--
		t.bytes -= zbranchSize
	}
}

func (t *ztree) childSize(b *zbranch) int64 {
	if b.leaves != nil {
		return zleafSize
	}
	return zbranchSize
}

// merge joins the children i and i+1 of b if they fit into one with a quarter
// to spare.
func (t *ztree) merge(b *zbranch, i int32) {
	if b.leaves != nil {
		if int(b.leaves[i].n+b.leaves[i+1].n) > zleafCap*3/4 {
			return
		}
		f, g := t.ownLeaf(b, int(i)), b.leaves[i+1]
		g.copyTo(f, int(f.n), 0, int(g.n))
		f.n += g.n
	} else {
		if b.kids[i].n+b.kids[i+1].n > zbranchCap*3/4 {
			return
		}
		b.kids[i] = t.ownBranch(b.kids[i])
		b.kids[i+1].moveTo(b.kids[i], 0)
	}
	b.size[i] += b.size[i+1]
	b.close(i + 1)
	t.bytes -= t.childSize(b)
}

// replace puts another score and reference at the cursor, in the same place of
// the order.
func (t *ztree) replace(c *zcursor, score float64, r zref) {
	t.ownPath(c)
	c.leaf.set(c.pos, score, r)
	if c.pos == 0 {
		for l := t.height - 1; l >= 0; l-- {
			c.node[l].first(c.idx[l])
			if c.idx[l] > 0 {
				break
			}
		}
	}
}

// zitem is a record as the bulk builder sorts it.
type zitem struct {
	score float64
	ref   zref
}

// build makes the tree of items in order, its nodes full.
func (t *ztree) build(items []zitem) {
	t.reset()
	if len(items) == 0 {
		return
	}
	t.bytes = 0
	t.n = len(items)
	var level []*zbranch
	for len(items) > 0 {
		b := t.newBranch(1)
		for ; len(items) > 0 && b.n < zbranchCap; b.n++ {
			f := t.newLeaf()
			f.n = int32(min(len(items), zleafCap))
			for i, it := range items[:f.n] {
				f.set(i, it.score, it.ref)
			}
			items = items[f.n:]
			b.leaves[b.n] = f
			b.count(b.n)
		}
		level = append(level, b)
	}
	for t.height = 1; len(level) > 1; t.height++ {
		var up []*zbranch
		for len(level) > 0 {
			b := t.newBranch(t.height + 1)
			for ; len(level) > 0 && b.n < zbranchCap; b.n++ {
				b.kids[b.n] = level[0]
				b.count(b.n)
				level = level[1:]
			}
			up = append(up, b)
		}
		level = up
	}
	t.root = level[0]
}

// check verifies the tree; item is called with every record in order.
func (t *ztree) check(s *zstore, item func(score float64, r zref) error) error {
	bytes := int64(0)
	var prev *zitem
	var walk func(b *zbranch, l int) (int, error)
	walk = func(b *zbranch, l int) (int, error) {
		bytes += zbranchSize
		if (b.leaves != nil) != (l == t.height-1) || (b.leaves == nil) == (b.kids == nil) || b.n < 1 {
			return 0, fmt.Errorf("ztree: a branch of %d at level %d of %d", b.n, l, t.height)
		}
		total := 0
		for i := range b.n {
			n := 0
			if b.leaves != nil {
				bytes += zleafSize
				f := b.leaves[i]
				n = int(f.n)
				if n == 0 && t.n > 0 {
					return 0, fmt.Errorf("ztree: an empty leaf")
				}
				for j := range n {
					it := zitem{f.score[j], f.ref(j)}
					if prev != nil {
						bound := zbound{score: it.score, member: s.member(it.ref)}
						if !bound.before(s, prev.score, prev.ref) {
							return 0, fmt.Errorf("ztree: %v %q before %v %q", prev.score, s.member(prev.ref), it.score, bound.member)
						}
					}
					prev = &it
					if err := item(it.score, it.ref); err != nil {
						return 0, err
					}
				}
			} else {
				var err error
				if n, err = walk(b.kids[i], l+1); err != nil {
					return 0, err
				}
			}
			score, ref := b.score[i], b.ref[i]
			c := *b
			c.first(i)
			if n > 0 && (b.size[i] != n || c.score[i] != score || c.ref[i] != ref) {
				return 0, fmt.Errorf("ztree: child %d has %d records, not %d, or another first one", i, n, b.size[i])
			}
			total += n
		}
		return total, nil
	}
	n, err := walk(t.root, 0)
	if err != nil {
		return err
	}
	if n != t.n || bytes != t.bytes {
		return fmt.Errorf("ztree: %d records and %d bytes, counted %d and %d", t.n, t.bytes, n, bytes)
	}
	return nil
}
