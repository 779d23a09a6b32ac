package types

import (
	"bytes"
	"math/rand/v2"
)

// A tableIter walks a table in the order of (hash, member). It must not be
// used after a write to the table; walk a copy instead.
type tableIter struct {
	t    *table
	leaf *node
	i    int    // the current member's position in leaf
	end  uint64 // where the leaf behind starts; 0 means that there is none
	hash uint64 // of the current member
	key  []byte // the current member
}

// iter stands before the first member.
func (t *table) iter() tableIter { return t.iterFrom(0) }

// iterFrom stands before the first member whose hash is h or more.
func (t *table) iterFrom(h uint64) tableIter {
	it := tableIter{t: t}
	it.load(h)
	if h != 0 {
		it.i = it.first(it.leaf.lower(it.leaf.tag(h)), h)
	}
	it.i--
	return it
}

// load goes to the start of the leaf where h belongs.
func (it *tableIter) load(h uint64) {
	it.leaf = it.t.leaf(h)
	it.i = 0
	// Both shifts give 0 at depth 0: the leaf covers all hashes.
	span := uint64(1) << (64 - it.leaf.depth)
	it.end = h&^(span-1) + span
}

// next goes to the next member, if there is one.
func (it *tableIter) next() bool {
	it.i++
	return it.settle()
}

// settle reads the member at i, of the leaf behind if need be.
func (it *tableIter) settle() bool {
	for it.i >= len(it.leaf.refs) {
		if it.end == 0 {
			return false
		}
		it.load(it.end)
	}
	it.key = it.leaf.key(it.leaf.refs[it.i])
	it.hash = hashOf(it.key)
	return true
}

// first is the first position from i on whose hash is h or more. i is not
// behind it, and no tag before i is as high as h's.
func (it *tableIter) first(i int, h uint64) int {
	refs, tag := it.leaf.refs, it.leaf.tag(h)
	for i < len(refs) && refs[i]>>16 < tag {
		i++
	}
	for i < len(refs) && refs[i]>>16 == tag && hashOf(it.leaf.key(refs[i])) < h {
		i++
	}
	return i
}

// seek goes forward to the first member that is not before (h, key), which may
// be the current one, and tells whether there is one. Most members on the way
// are passed by their tags alone. next must have returned true before.
func (it *tableIter) seek(h uint64, key []byte) bool {
	if it.hash < h {
		if it.end == 0 || h < it.end {
			it.i = it.first(it.i+1, h)
		} else {
			it.load(h)
			it.i = it.first(it.leaf.lower(it.leaf.tag(h)), h)
		}
		if !it.settle() {
			return false
		}
	}
	for it.hash == h && bytes.Compare(it.key, key) < 0 {
		if !it.next() {
			return false
		}
	}
	return true
}

// record is the current member's whole record.
func (it *tableIter) record() record {
	return it.leaf.record(it.leaf.refs[it.i], it.t.values)
}

// cursorShift makes a cursor of a hash: 53 bits are what a JavaScript client
// can hold.
const cursorShift = 64 - 53

// scan calls fn for count members or a few more from cursor on, 0 being the
// start, and returns the cursor to go on from, 0 at the end. Members that
// share a cursor come together, so whatever stays in the table from the first
// call to the last one is visited exactly once.
func (t *table) scan(cursor uint64, count int, fn func(record)) uint64 {
	if cursor >= 1<<53 {
		return 0
	}
	it := t.iterFrom(cursor << cursorShift)
	last := uint64(0)
	for n := 0; it.next(); n++ {
		at := it.hash >> cursorShift
		if n >= count && n > 0 && at != last {
			return at
		}
		last = at
		fn(it.record())
	}
	return 0
}

// each calls fn for every member, in order, until it returns false.
func (t *table) each(fn func(n *node, ref uint32) bool) {
	it := tableIter{t: t}
	for it.load(0); ; it.load(it.end) {
		for _, ref := range it.leaf.refs {
			if !fn(it.leaf, ref) {
				return
			}
		}
		if it.end == 0 {
			return
		}
	}
}

// distinct calls fn for n different members, each choice being equally likely,
// in the order of the table or in any other.
func (t *table) distinct(n int, fn func(n *node, ref uint32) bool) {
	if left := t.count; n > left/4 {
		// Each member is taken with the chance of those that are still needed
		// among those that are left.
		t.each(func(leaf *node, ref uint32) bool {
			if n <= 0 {
				return false
			}
			take := rand.IntN(left) < n
			left--
			if !take {
				return true
			}
			n--
			return fn(leaf, ref)
		})
		return
	}
	type place struct {
		leaf *node
		i    int
	}
	taken := make(map[place]struct{}, n)
	for len(taken) < n {
		leaf, i := t.random()
		if _, again := taken[place{leaf, i}]; again {
			continue
		}
		taken[place{leaf, i}] = struct{}{}
		if !fn(leaf, leaf.refs[i]) {
			return
		}
	}
}

// random picks a member, all being equally likely. The table is not empty.
func (t *table) random() (n *node, i int) {
	if t.density == nil {
		return t.root, rand.IntN(t.count)
	}
	// A random hash finds a leaf of depth d once in 1<<d times; it is taken as
	// often as its members fill the room that the most crowded leaf's class
	// has at that depth. If the hashes are even that is every third time or so.
	top := densityClasses - 1
	for t.density[top] == 0 {
		top--
	}
	for range 64 {
		h := rand.Uint64()
		n := t.leaf(h)
		if room := top - int(n.depth); room < 63 {
			if i := rand.Uint64() & (1<<room - 1); i < uint64(len(n.refs)) {
				return n, int(i)
			}
		}
	}
	// Uneven: count through the leaves.
	i = rand.IntN(t.count)
	it := tableIter{t: t}
	it.load(0)
	for i >= len(it.leaf.refs) {
		i -= len(it.leaf.refs)
		it.load(it.end)
	}
	return it.leaf, i
}
