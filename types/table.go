package types

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"sync/atomic"
)

// A table is the big form of sets and hashes: a tree of leaves in the order of
// their members' hashes, see node. Everything is done leaf by leaf, so that no
// operation stalls: growing splits one leaf, shrinking merges two, and a write
// after Copy copies the one leaf that it meets and the branches above it.
//
// The order by hash is what SCAN cursors and merging sets with each other
// stand on. Small tables have no branch; a root branch has up to 4096 kids,
// about a million members; more hang one level lower.
//
// Whatever is read aliases the table and is valid until the next write.
type table struct {
	root   *node
	count  int
	epoch  uint64
	bytes  int64
	values bool

	// density counts the leaves by classOf, once there is a branch: the
	// highest class bounds how crowded a leaf is, which random needs.
	density *[densityClasses]int32
}

// densityClasses covers depthMax plus the bits of the number of members that
// a leaf can have.
const densityClasses = depthMax + 18

// epochs gives out epochs; no two tables ever have the same.
var epochs atomic.Uint64

func newTable(values bool) *table {
	t := &table{epoch: epochs.Add(1), values: values}
	t.root = &node{epoch: t.epoch}
	t.bytes = t.root.mem()
	return t
}

// copy is O(1). Both tables get a new epoch, so that neither owns the nodes.
func (t *table) copy() *table {
	c := *t
	if t.density != nil {
		d := *t.density
		c.density = &d
	}
	t.epoch = epochs.Add(1)
	c.epoch = epochs.Add(1)
	return &c
}

// free drops all members. Their memory is the collector's to take back, which
// needs no walk; copies keep what they share.
func (t *table) free() { *t = *newTable(t.values) }

// classOf is the class of a leaf: its members times 1<<depth are below
// 1<<class. It is 0 for an empty one.
func classOf(n *node) int {
	if len(n.refs) == 0 {
		return 0
	}
	return bits.Len(uint(len(n.refs))) + int(n.depth)
}

func (t *table) classify(n *node, by int32) {
	if t.density != nil {
		t.density[classOf(n)] += by
	}
}

// leaf is the leaf where h belongs.
func (t *table) leaf(h uint64) *node {
	n := t.root
	for n.kids != nil {
		n = n.kids[n.slot(h)]
	}
	return n
}

// path is the leaf where h belongs, the branch above it and the one above
// that, nil where there is none.
func (t *table) path(h uint64) (leaf, parent, grand *node) {
	n := t.root
	for n.kids != nil {
		grand, parent = parent, n
		n = n.kids[n.slot(h)]
	}
	return n, parent, grand
}

// own is the leaf where h belongs, made ready for changes.
func (t *table) own(h uint64) *node {
	if n := t.leaf(h); n.epoch == t.epoch {
		return n
	}
	var parent *node
	n := t.root
	for {
		if n.epoch != t.epoch {
			c := n.clone(t.epoch)
			t.bytes += c.mem() - n.mem()
			if parent == nil {
				t.root = c
			} else {
				first, count := parent.run(parent.slot(h))
				parent.fill(first, count, c)
			}
			n = c
		}
		if n.kids == nil {
			return n
		}
		parent = n
		n = n.kids[n.slot(h)]
	}
}

// has tells whether key, whose hash is h, is a member.
func (t *table) has(h uint64, key []byte) bool { return t.leaf(h).find(h, key) >= 0 }

// get reads the record of key.
func (t *table) get(h uint64, key []byte) (record, bool) {
	n := t.leaf(h)
	i := n.find(h, key)
	if i < 0 {
		return record{}, false
	}
	return n.record(n.refs[i], t.values), true
}

// add puts key in if it is not there, and tells whether it was not.
func (t *table) add(h uint64, key []byte) bool {
	if t.has(h, key) {
		return false
	}
	t.put(h, key, nil, 0)
	return true
}

// put sets the value and the deadline (0: none) of key and tells whether key
// is new. val may alias the table.
func (t *table) put(h uint64, key, val []byte, deadline int64) (created bool) {
	for {
		n := t.own(h)
		at := n.find(h, key)
		size, large := n.recordSize(key, val, deadline, t.values)
		if at >= 0 && t.overwrite(n, at, size, large, val, deadline) {
			return false
		}
		after := n.live() + size
		if at < 0 && len(n.refs) >= leafMax || after > leafBytes && len(n.refs) > 1 {
			if n.depth < depthMax {
				t.split(h)
				continue
			}
			if after > blobMax {
				// At this depth a record is at most 20 bytes. Nobody finds
				// that many such members without the seed.
				panic("types: thousands of members share 48 bits of their hashes")
			}
		}
		before := n.mem()
		var body []byte
		if large {
			body = n.sameBody(at, val, t.values)
			if body == nil {
				body = append(append(make([]byte, 0, len(key)+len(val)), key...), val...)
			}
		}
		n.roomBlob(size, t.values)
		if at >= 0 {
			old := n.record(n.refs[at], t.values)
			ref := n.write(key, val, body, deadline, t.values)
			n.discard(old)
			n.refs[at] = n.refs[at]&^0xFFFF | ref
			n.tidy(t.values)
		} else {
			at = n.place(h, key)
			n.roomRefs()
			t.classify(n, -1)
			ref := n.tag(h)<<16 | n.write(key, val, body, deadline, t.values)
			n.refs = append(n.refs, 0)
			copy(n.refs[at+1:], n.refs[at:])
			n.refs[at] = ref
			t.classify(n, 1)
			t.count++
			created = true
		}
		t.bytes += n.mem() - before
		return created
	}
}

// sameBody is the element of large of the record at position at, if val is the
// very value in it: a new deadline does not copy a long value.
func (n *node) sameBody(at int, val []byte, values bool) []byte {
	if at < 0 {
		return nil
	}
	r := n.record(n.refs[at], values)
	if r.large < 0 || len(r.val) != len(val) || len(val) > 0 && &r.val[0] != &val[0] {
		return nil
	}
	return n.large[r.large]
}

// overwrite changes a record in place if the new one has the same shape.
func (t *table) overwrite(n *node, at, size int, large bool, val []byte, deadline int64) bool {
	r := n.record(n.refs[at], t.values)
	if large || r.large >= 0 || size != r.size || len(val) != len(r.val) || (deadline != 0) != (r.deadline != 0) {
		return false
	}
	copy(n.blob[r.valOff:], val)
	if deadline != 0 {
		binary.LittleEndian.PutUint64(n.blob[r.valOff-8:], uint64(deadline))
	}
	return true
}

// remove takes key out and tells whether it was there.
func (t *table) remove(h uint64, key []byte) bool {
	if t.leaf(h).find(h, key) < 0 {
		return false
	}
	n := t.own(h)
	before := n.mem()
	t.classify(n, -1)
	n.drop(n.find(h, key), t.values)
	t.classify(n, 1)
	t.count--
	t.bytes += n.mem() - before
	if len(n.refs) < leafMin && len(n.refs)%8 == 0 {
		for t.merge(h) {
		}
	}
	return true
}

// newLeaf is an empty leaf with room for n members and size bytes.
func (t *table) newLeaf(depth uint8, n, size int) *node {
	return &node{epoch: t.epoch, depth: depth, refs: grown[uint32](n), blob: grown[byte](min(size, blobMax))}
}

// split divides the leaf where h belongs, which is owned, into two.
func (t *table) split(h uint64) {
	n, parent, _ := t.path(h)
	middle := n.lower(1 << 15)
	l, r := t.half(n, 0, middle), t.half(n, middle, len(n.refs))
	t.bytes += l.mem() + r.mem() - n.mem()
	if parent == nil {
		t.density = new([densityClasses]int32)
		t.root = &node{epoch: t.epoch, bits: 1, full: 2, kids: []*node{l, r}}
		t.bytes += t.root.mem()
	} else {
		t.classify(n, -1)
		if n.depth == parent.depth+parent.bits {
			parent = t.widen(parent, h)
		}
		first, count := parent.run(parent.slot(h))
		parent.fill(first, count/2, l)
		parent.fill(first+count/2, count/2, r)
		if count == 2 {
			parent.full += 2
		}
	}
	t.classify(l, 1)
	t.classify(r, 1)
}

// half is a leaf of n's members from position i to j, one bit deeper.
func (t *table) half(n *node, i, j int) *node {
	// Without garbage each side has its share; a bit less room is no harm.
	size := n.live() * (j - i) / max(1, len(n.refs))
	c := t.newLeaf(n.depth+1, (j-i)*9/8, size*9/8)
	for _, ref := range n.refs[i:j] {
		tag := c.tag(hashOf(n.key(ref)))
		c.refs = append(c.refs, tag<<16|c.take(n, ref, t.values))
	}
	return c
}

// widen doubles the slots of an owned branch, or, where that is not allowed,
// puts a branch of its own above the leaf of h. It returns the branch in which
// that leaf has now two slots.
func (t *table) widen(b *node, h uint64) *node {
	if b.bits < branchBits {
		t.bytes -= b.mem()
		kids := make([]*node, 2*len(b.kids))
		for i, kid := range b.kids {
			kids[2*i], kids[2*i+1] = kid, kid
		}
		b.kids = kids
		b.bits++
		b.full = 0
		t.bytes += b.mem()
		return b
	}
	slot := b.slot(h)
	leaf := b.kids[slot]
	c := &node{epoch: t.epoch, depth: leaf.depth, bits: 1, kids: []*node{leaf, leaf}}
	b.kids[slot] = c
	t.bytes += c.mem()
	return c
}

// merge joins the leaf where h belongs, which is owned, with its neighbour if
// both are small, and narrows the branch if that was its last deep leaf. It
// tells whether it did: a long chain of branches folds up in one go.
func (t *table) merge(h uint64) bool {
	n, parent, grand := t.path(h)
	if parent == nil {
		return false
	}
	slot := parent.slot(h)
	first, count := parent.run(slot)
	other := parent.kids[first^count]
	if other.kids != nil || other.depth != n.depth || len(n.refs)+len(other.refs) > leafMax/2 || n.live()+other.live() > leafBytes/2 {
		return false
	}
	l, r := n, other
	if first&count != 0 {
		l, r = r, l
	}
	m := t.newLeaf(n.depth-1, (len(l.refs)+len(r.refs))*9/8, (l.live()+r.live())*9/8)
	for side, from := range []*node{l, r} {
		for _, ref := range from.refs {
			tag := uint32(side)<<15 | ref>>17
			m.refs = append(m.refs, tag<<16|m.take(from, ref, t.values))
		}
	}
	t.classify(l, -1)
	t.classify(r, -1)
	t.classify(m, 1)
	t.bytes += m.mem() - l.mem() - r.mem()
	parent.fill(first&^count, 2*count, m)
	if count == 1 {
		parent.full -= 2
		if parent.full == 0 {
			t.narrow(parent, grand, h)
		}
	}
	return true
}

// narrow halves the slots of an owned branch in which no kid fills one only,
// and removes a branch that has one kid left.
func (t *table) narrow(b, above *node, h uint64) {
	before := b.mem()
	for b.full == 0 && b.bits > 0 {
		kids := make([]*node, len(b.kids)/2)
		for i := range kids {
			kids[i] = b.kids[2*i]
			if kids[i].depth-b.depth == b.bits-1 {
				b.full++
			}
		}
		b.kids = kids
		b.bits--
	}
	t.bytes += b.mem() - before
	if b.bits > 0 {
		return
	}
	t.bytes -= b.mem()
	if above == nil {
		t.root = b.kids[0]
		t.density = nil
	} else {
		above.kids[above.slot(h)] = b.kids[0]
	}
}

// compareMembers orders by (hash, member).
func compareMembers(h1 uint64, m1 []byte, h2 uint64, m2 []byte) int {
	switch {
	case h1 < h2:
		return -1
	case h1 > h2:
		return 1
	}
	return bytes.Compare(m1, m2)
}
