package types

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"unsafe"
)

// A node is a leaf, which holds members, or a branch, which holds nodes.
//
// All members below a node share the first depth bits of their hashes. A leaf
// keeps them in refs, sorted by (hash, member); a ref is
//
//	16 bits  the hash's bits behind the leaf's depth: the tag
//	16 bits  where the member's record starts in blob
//
// Because hashes are spread evenly, a tag also tells about where in refs it
// stands, so that a search starts there and looks at a few neighbours, which
// share one or two cache lines. That is as quick as open addressing, without
// its empty slots. A record is
//
//	uvarint  length of the key << 2 | recordLarge | recordDeadline
//	key      the member or field; with recordLarge instead 2 bytes, little
//	         endian: which element of large holds the key and the value
//	uvarint  length of the value, in a table with values
//	8 bytes  deadline, little endian, with recordDeadline
//	value    unless it stands in large
//
// A branch has 1<<bits kids, indexed by the bits behind its depth. A kid whose
// depth is less than depth+bits fills a run of neighbouring slots.
//
// Invariant: a node whose epoch is its table's belongs to that table alone,
// and so do all nodes above it. Any other node may be shared and is never
// changed.
type node struct {
	epoch uint64
	kids  []*node
	refs  []uint32
	blob  []byte
	large [][]byte // free elements are nil

	largeBytes int64
	dead       int32 // leaf: bytes in blob that no ref reaches
	full       int32 // branch: kids that fill one slot only; leaf of an Order: bytes that all strings begin with
	depth      uint8
	bits       uint8
}

const (
	recordLarge    = 1 << 0
	recordDeadline = 1 << 1

	// leafMax is the number of members at which a leaf is split.
	leafMax = 384
	// leafMin is the number below which a leaf looks for a neighbour to merge
	// with, into one of at most leafMax/2 members and leafBytes/2 bytes.
	leafMin = 96
	// leafBytes is the number of live bytes of blob at which a leaf is split.
	leafBytes = 40 << 10
	// blobMax is how long a blob can get: offsets have 16 bits.
	blobMax = 1<<16 - 1
	// recordInline is the longest key and value that stand in the blob.
	recordInline = 1 << 10
	// branchBits limits the kids of a branch, since the first write after a
	// copy copies the root's: 1<<12 of them are 32 KiB.
	branchBits = 12
	// depthMax leaves 16 bits of hash for the tag.
	depthMax = 48

	nodeBytes = int64(unsafe.Sizeof(node{}))
)

// hashSeed is one for the whole process, so that tables can be merged with
// each other. It is secret: a client that knew it could choose members that all fall
// into one leaf.
var hashSeed = maphash.MakeSeed()

// hashMask is all ones except in tests that want equal hashes.
var hashMask = ^uint64(0)

func hashOf(b []byte) uint64 { return maphash.Bytes(hashSeed, b) & hashMask }

// record is a record as read. Its slices alias the node.
type record struct {
	key, val []byte
	deadline int64 // 0: none
	size     int   // bytes of blob
	large    int   // index in large, -1 if the bytes stand in the blob
	valOff   int   // where the value stands in blob, if it does
}

func (n *node) key(ref uint32) []byte {
	b := n.blob[ref&0xFFFF:]
	h := uint(b[0])
	if h < 0x80 && h&recordLarge == 0 {
		return b[1 : 1+h>>2 : 1+h>>2]
	}
	u, k := binary.Uvarint(b)
	l := u >> 2
	if u&recordLarge != 0 {
		return n.large[binary.LittleEndian.Uint16(b[k:])][:l:l]
	}
	return b[k : k+int(l) : k+int(l)]
}

func (n *node) record(ref uint32, values bool) record {
	off := int(ref & 0xFFFF)
	u, k := binary.Uvarint(n.blob[off:])
	pos := off + k
	r := record{large: -1}
	klen := int(u >> 2)
	if u&recordLarge != 0 {
		r.large = int(binary.LittleEndian.Uint16(n.blob[pos:]))
		r.key = n.large[r.large][:klen:klen]
		pos += 2
	} else {
		r.key = n.blob[pos : pos+klen : pos+klen]
		pos += klen
	}
	vlen := 0
	if values {
		v, k := binary.Uvarint(n.blob[pos:])
		vlen = int(v)
		pos += k
	}
	if u&recordDeadline != 0 {
		r.deadline = int64(binary.LittleEndian.Uint64(n.blob[pos:]))
		pos += 8
	}
	if r.large >= 0 {
		r.val = n.large[r.large][klen:]
	} else {
		r.valOff = pos
		r.val = n.blob[pos : pos+vlen : pos+vlen]
		pos += vlen
	}
	r.size = pos - off
	return r
}

func uvarintLen(u uint64) int {
	n := 1
	for ; u >= 0x80; u >>= 7 {
		n++
	}
	return n
}

// recordSize is the number of bytes of blob of a record, and whether its key
// and value stand in large.
func (n *node) recordSize(key, val []byte, deadline int64, values bool) (size int, large bool) {
	// Where a leaf cannot be split any more, little goes into its blob.
	large = len(key)+len(val) > recordInline || n.depth == depthMax
	size = uvarintLen(uint64(len(key)) << 2)
	if large {
		size += 2
	} else {
		size += len(key) + len(val)
	}
	if values {
		size += uvarintLen(uint64(len(val)))
	}
	if deadline != 0 {
		size += 8
	}
	return size, large
}

// write appends a record to the blob, which has room for it, and returns its
// offset. body is the element of large to use, or nil.
func (n *node) write(key, val, body []byte, deadline int64, values bool) uint32 {
	off := len(n.blob)
	b := n.blob
	h := uint64(len(key)) << 2
	if body != nil {
		h |= recordLarge
	}
	if deadline != 0 {
		h |= recordDeadline
	}
	b = binary.AppendUvarint(b, h)
	if body != nil {
		b = binary.LittleEndian.AppendUint16(b, uint16(n.addLarge(body)))
	} else {
		b = append(b, key...)
	}
	if values {
		b = binary.AppendUvarint(b, uint64(len(val)))
	}
	if deadline != 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(deadline))
	}
	if body == nil {
		b = append(b, val...)
	}
	n.blob = b
	return uint32(off)
}

func (n *node) addLarge(body []byte) int {
	n.largeBytes += int64(cap(body))
	for i, b := range n.large {
		if b == nil {
			n.large[i] = body
			return i
		}
	}
	n.large = append(n.large, body)
	return len(n.large) - 1
}

// tag is the tag of hash h in this leaf.
func (n *node) tag(h uint64) uint32 { return uint32(h << n.depth >> 48) }

// guess is about where a tag stands in refs.
func (n *node) guess(tag uint32) int { return int(uint64(tag) * uint64(len(n.refs)) >> 16) }

// lower is the first position in refs whose tag is not below tag.
func (n *node) lower(tag uint32) int {
	refs := n.refs
	i := n.guess(tag)
	for i > 0 && refs[i-1]>>16 >= tag {
		i--
	}
	for i < len(refs) && refs[i]>>16 < tag {
		i++
	}
	return i
}

// find is the position of the member, -1 if it is not there.
func (n *node) find(h uint64, key []byte) int {
	tag := n.tag(h)
	for i := n.lower(tag); i < len(n.refs) && n.refs[i]>>16 == tag; i++ {
		if bytes.Equal(n.key(n.refs[i]), key) {
			return i
		}
	}
	return -1
}

// place is where a member that is not there belongs.
func (n *node) place(h uint64, key []byte) int {
	tag := n.tag(h)
	i := n.lower(tag)
	for ; i < len(n.refs) && n.refs[i]>>16 == tag; i++ {
		k := n.key(n.refs[i])
		if kh := hashOf(k); kh > h || kh == h && bytes.Compare(k, key) > 0 {
			break
		}
	}
	return i
}

func (n *node) live() int { return len(n.blob) - int(n.dead) }

// mem is the memory that the node holds, its kids' not included.
func (n *node) mem() int64 {
	return nodeBytes + int64(cap(n.kids))*8 + int64(cap(n.refs))*4 + int64(cap(n.blob)) + int64(cap(n.large))*24 + n.largeBytes
}

// grown is an empty slice with room for n elements, or a little more where
// the allocator would waste it anyway.
func grown[E any](n int) []E { return slices.Grow([]E(nil), n) }

// roomRefs makes room for one more ref.
func (n *node) roomRefs() {
	if len(n.refs) == cap(n.refs) {
		n.refs = append(grown[uint32](len(n.refs)+4+len(n.refs)/8), n.refs...)
	}
}

// roomBlob makes room for size more bytes. The caller has seen to it that the
// live ones and size stay within blobMax.
func (n *node) roomBlob(size int, values bool) {
	need := len(n.blob) + size
	switch {
	case need > blobMax, need > cap(n.blob) && int(n.dead) > len(n.blob)/8:
		n.rewrite(size, values)
	case need > cap(n.blob):
		n.blob = append(grown[byte](min(need+need/8, blobMax)), n.blob...)
	}
}

// rewrite drops the garbage and leaves room for extra more bytes.
func (n *node) rewrite(extra int, values bool) {
	old := *n
	need := old.live() + extra
	n.blob = grown[byte](min(need+need/8, blobMax))
	n.dead = 0
	if len(old.large) > 0 {
		n.large, n.largeBytes = nil, 0
	}
	for i, ref := range n.refs {
		n.refs[i] = ref&^0xFFFF | n.take(&old, ref, values)
	}
}

// take appends the record of another leaf to the blob, which has room for it,
// and returns its offset.
func (n *node) take(from *node, ref uint32, values bool) uint32 {
	r := from.record(ref, values)
	if r.large >= 0 {
		return n.write(r.key, r.val, from.large[r.large], r.deadline, values)
	}
	off := len(n.blob)
	start := int(ref & 0xFFFF)
	n.blob = append(n.blob, from.blob[start:start+r.size]...)
	return uint32(off)
}

// drop removes the ref at i and turns its record into garbage.
func (n *node) drop(i int, values bool) {
	r := n.record(n.refs[i], values)
	n.discard(r)
	n.refs = slices.Delete(n.refs, i, i+1)
	if cap(n.refs) > 16 && len(n.refs) < cap(n.refs)/2 {
		n.refs = append(grown[uint32](len(n.refs)+len(n.refs)/8), n.refs...)
	}
	n.tidy(values)
}

// discard accounts for a record that is not reached any more.
func (n *node) discard(r record) {
	n.dead += int32(r.size)
	if r.large >= 0 {
		n.largeBytes -= int64(cap(n.large[r.large]))
		n.large[r.large] = nil
	}
}

// tidy rewrites the blob if more than a quarter of it is garbage.
func (n *node) tidy(values bool) {
	if int(n.dead) > len(n.blob)/4 {
		n.rewrite(0, values)
	}
}

// clone is a copy that belongs to epoch. Elements of large are shared: they
// are replaced, never changed.
func (n *node) clone(epoch uint64) *node {
	c := *n
	c.epoch = epoch
	if n.kids != nil {
		c.kids = slices.Clone(n.kids)
		return &c
	}
	c.refs = append(grown[uint32](len(n.refs)+1), n.refs...)
	c.blob = append(grown[byte](len(n.blob)), n.blob...)
	c.large = slices.Clone(n.large)
	return &c
}

// slot is the kid of a branch in which h belongs.
func (n *node) slot(h uint64) int { return int(h << n.depth >> (64 - n.bits)) }

// run is the first slot and the number of slots that the kid at slot fills.
func (n *node) run(slot int) (first, count int) {
	count = 1 << (n.bits - (n.kids[slot].depth - n.depth))
	return slot &^ (count - 1), count
}

// fill puts a kid into count slots.
func (n *node) fill(first, count int, kid *node) {
	for i := range count {
		n.kids[first+i] = kid
	}
}
