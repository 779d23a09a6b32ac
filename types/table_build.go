package types

import (
	"math/bits"
	"sort"
)

// A tableBuilder makes a table out of members that come in the order of
// (hash, member), each once. That needs no searching and no splitting: leaves
// are cut off the front of the pool of what came in, each as big as it may be.
type tableBuilder struct {
	t      *table
	leaves []*node
	start  uint64 // where the next leaf starts
	done   bool   // the last leaf reached the end of the hashes
	direct bool   // the table is built, the rest is put into it one by one

	// The pool has the shape of a leaf, but its refs are offsets without tags,
	// because the depths of the leaves are not known before they are cut.
	pool   node
	hashes []uint64
}

// builderMax is the number of members in the pool at which leaves are cut.
const builderMax = 2 * leafMax

func newTableBuilder(values bool) *tableBuilder {
	return &tableBuilder{t: newTable(values)}
}

// add puts in the next member.
func (b *tableBuilder) add(h uint64, key, val []byte, deadline int64) {
	p := &b.pool
	size, large := p.recordSize(key, val, deadline, b.t.values)
	if !b.direct && (len(p.refs) == builderMax || len(p.blob)+size > blobMax) && !b.cut() {
		b.finish()
	}
	if b.direct {
		b.t.put(h, key, val, deadline)
		return
	}
	var body []byte
	if large {
		body = append(append(make([]byte, 0, len(key)+len(val)), key...), val...)
	}
	p.refs = append(p.refs, p.write(key, val, body, deadline, b.t.values))
	b.hashes = append(b.hashes, h)
}

// cut makes leaves of the pool's front until what is left would fit one leaf.
// It fails, with the pool as it was behind the last leaf, where too many
// members share more bits than a leaf can have.
func (b *tableBuilder) cut() bool {
	p := &b.pool
	from := 0
	for from < len(p.refs) && !b.fits(from, len(p.refs)) {
		n := b.cutLeaf(from)
		if n < 0 {
			break
		}
		from += n
	}
	ok := b.fits(from, len(p.refs))
	base := uint32(len(p.blob))
	if from < len(p.refs) {
		base = p.refs[from]
	}
	p.refs = p.refs[:copy(p.refs, p.refs[from:])]
	for i := range p.refs {
		p.refs[i] -= base
	}
	p.blob = p.blob[:copy(p.blob, p.blob[base:])]
	b.hashes = b.hashes[:copy(b.hashes, b.hashes[from:])]
	return ok
}

// fits tells whether the pool's members from i to j make one leaf.
func (b *tableBuilder) fits(i, j int) bool {
	if i == j {
		return true
	}
	end := len(b.pool.blob)
	if j < len(b.pool.refs) {
		end = int(b.pool.refs[j])
	}
	return j-i <= leafMax && end-int(b.pool.refs[i]) <= leafBytes
}

// cutLeaf makes the biggest leaf of the pool's members from i on that may
// stand at start, and returns their number; -1 if none may.
func (b *tableBuilder) cutLeaf(i int) int {
	// The leaf's depth is at least what the place where it starts asks for.
	depth := 0
	if b.start != 0 {
		depth = 64 - bits.TrailingZeros64(b.start)
	}
	for ; depth <= depthMax; depth++ {
		end := b.start + 1<<(64-depth) // 0 for the end of the hashes
		j := len(b.hashes)
		if end != 0 {
			j = i + sort.Search(j-i, func(k int) bool { return b.hashes[i+k] >= end })
		}
		if !b.fits(i, j) {
			continue
		}
		b.leaves = append(b.leaves, b.leafOf(uint8(depth), i, j))
		b.start, b.done = end, end == 0
		return j - i
	}
	return -1
}

func (b *tableBuilder) leafOf(depth uint8, i, j int) *node {
	p := &b.pool
	size := 0
	if i < j {
		size = len(p.blob) - int(p.refs[i])
		if j < len(p.refs) {
			size = int(p.refs[j] - p.refs[i])
		}
	}
	n := b.t.newLeaf(depth, j-i, size)
	for k, ref := range p.refs[i:j] {
		n.refs = append(n.refs, n.tag(b.hashes[i+k])<<16|n.take(p, ref, b.t.values))
		if len(p.large) > 0 {
			p.discard(p.record(ref, b.t.values))
		}
	}
	b.t.count += j - i
	return n
}

// finish builds the table of what came in and is ready for any further member.
func (b *tableBuilder) finish() *table {
	if b.direct {
		return b.t
	}
	b.direct = true
	b.cut()
	var rest node
	for !b.done {
		// The last leaves take what is left, or come empty.
		n := b.cutLeaf(0)
		if n < 0 {
			// Members that cannot be told apart by depthMax bits leave their
			// place empty, to be put into it one by one below.
			rest, b.pool, b.hashes = b.pool, node{}, nil
			continue
		}
		b.pool.refs, b.hashes = b.pool.refs[n:], b.hashes[n:]
	}
	t := b.t
	t.root = b.branch(b.leaves, 0)
	t.bytes = 0
	if t.root.kids != nil {
		t.density = new([densityClasses]int32)
	}
	for _, n := range b.leaves {
		t.classify(n, 1)
		t.bytes += n.mem()
	}
	t.eachBranch(t.root, func(n *node) { t.bytes += n.mem() })
	for _, ref := range rest.refs {
		r := rest.record(ref, t.values)
		t.put(hashOf(r.key), r.key, r.val, r.deadline)
	}
	b.leaves, b.pool, b.hashes = nil, node{}, nil
	return t
}

// branch makes a tree of leaves that follow each other and cover exactly what
// a node of the given depth does.
func (b *tableBuilder) branch(leaves []*node, depth uint8) *node {
	if len(leaves) == 1 {
		return leaves[0]
	}
	deepest := depth
	for _, n := range leaves {
		deepest = max(deepest, n.depth)
	}
	n := &node{epoch: b.t.epoch, depth: depth, bits: min(branchBits, deepest-depth)}
	n.kids = make([]*node, 0, 1<<n.bits)
	level := depth + n.bits
	for len(leaves) > 0 {
		group, slots := 1, 1
		if d := leaves[0].depth; d <= level {
			slots = 1 << (level - d)
		} else {
			for sum := uint64(1) << (64 - d); sum < 1<<(64-level); group++ {
				sum += 1 << (64 - leaves[group].depth)
			}
		}
		kid := b.branch(leaves[:group], level)
		if kid.depth == level {
			n.full++
		}
		for range slots {
			n.kids = append(n.kids, kid)
		}
		leaves = leaves[group:]
	}
	return n
}

// eachBranch calls fn for n and the branches below it.
func (t *table) eachBranch(n *node, fn func(*node)) {
	if n.kids == nil {
		return
	}
	fn(n)
	for i := 0; i < len(n.kids); {
		_, count := n.run(i)
		t.eachBranch(n.kids[i], fn)
		i += count
	}
}
