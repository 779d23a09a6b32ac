package stream

import (
	"fmt"
	"slices"
	"sort"
	"sync/atomic"

	"kvd/types"
)

// Stream is the value. The zero value is not ready; see New.
//
// A copy shares everything. Directory, leaves, groups and what is in them carry
// the number of the Stream that may write them; Copy gives both sides new
// numbers, and each copies what it meets on its way to a write. What is shared
// is never written, so a copy can be read by another goroutine without locks.
//
// Memory is Go's, and the collector sees a few pointers a leaf, of entries or of
// pending ones.
type Stream struct {
	owner uint64
	dir   *directory
	n     int   // entries
	mem   int64 // bytes of all that hangs on it

	last, first, maxDeleted ID
	added                   uint64
	groups                  []*Group // by name
	idmp                    *idempotent
}

// directory is the leaves in order, none empty.
type directory struct {
	owner  uint64
	leaves []*leaf
	firsts []ID // the master IDs of their first nodes
}

// leaf is a run of nodes, whose bytes stand in this order in buf, perhaps with
// bytes before and between them that nobody uses any more. Invariant: buf ends
// with the last node.
type leaf struct {
	owner uint64
	buf   []byte
	nodes []node
	live  int // entries that are not deleted
}

// leafMax is the size of a buffer that is full: a multiple of the runtime's
// pages, of which a node that does not fit wastes little. To copy one takes
// some 10 us.
const leafMax = 128 << 10

// nodeRoom is what is left free at most at a leaf's end, for a node that would
// begin there and not find room to grow.
const nodeRoom = 5 << 10

const (
	streamBytes = 208 // of the structs of a Stream
	leafBytes   = 96  // of a leaf's struct and its place in the directory
	nodeBytes   = 40
)

// owners gives out the numbers of Streams. Atomic, because copies are made
// under different locks.
var owners atomic.Uint64

// New is an empty stream.
func New() *Stream {
	o := owners.Add(1)
	return &Stream{owner: o, dir: &directory{owner: o}}
}

// Limits say when a node is full: bytes that 0 does not limit, and entries,
// likewise (stream-node-max-bytes, stream-node-max-entries).
type Limits struct{ MaxBytes, MaxEntries int64 }

// MaxSize is the most bytes of an entry's fields and values together, and of a
// node whatever Limits say: Redis's limit.
const MaxSize = 1 << 30

// Len is the number of entries.
func (s *Stream) Len() int { return s.n }

// LastID is the ID of the entry added last, deleted or not, or what SetLast set.
func (s *Stream) LastID() ID { return s.last }

// FirstID is the ID of the first entry, 0-0 if there is none.
func (s *Stream) FirstID() ID { return s.first }

// MaxDeletedID is the highest ID that was deleted, but for trimming.
func (s *Stream) MaxDeletedID() ID { return s.maxDeleted }

// Added is the number of entries ever added.
func (s *Stream) Added() uint64 { return s.added }

// SetLast sets what the Set functions below say; it is for XSETID and files.
func (s *Stream) SetLast(id ID) { s.last = id }

// SetMaxDeleted sets the highest ID that was deleted.
func (s *Stream) SetMaxDeleted(id ID) { s.maxDeleted = id }

// SetAdded sets the number of entries ever added.
func (s *Stream) SetAdded(n uint64) { s.added = n }

// Nodes is the number of nodes.
func (s *Stream) Nodes() int {
	n := 0
	for _, l := range s.dir.leaves {
		n += len(l.nodes)
	}
	return n
}

// Copy implements types.Object.
func (s *Stream) Copy() types.Object {
	c := *s
	c.owner, s.owner = owners.Add(1), owners.Add(1)
	return &c
}

// Bytes implements types.Object. What copies share counts for each of them.
func (s *Stream) Bytes() int64 { return s.mem + streamBytes }

// Free implements types.Object. The collector takes the memory, in its own time
// and without stopping anybody, so there is nothing to be spread.
func (s *Stream) Free(int64) bool {
	*s = *New()
	return true
}

// own makes the directory the stream's own.
func (s *Stream) own() *directory {
	d := s.dir
	if d.owner != s.owner {
		d = &directory{owner: s.owner, leaves: slices.Clone(d.leaves), firsts: slices.Clone(d.firsts)}
		s.dir = d
	}
	return d
}

// ownLeaf makes a leaf, and the way to it, the stream's own.
func (s *Stream) ownLeaf(li int) *leaf {
	d := s.own()
	l := d.leaves[li]
	if l.owner != s.owner {
		was := l.bytes()
		room := len(l.buf)
		if li == len(d.leaves)-1 {
			room = min(max(leafMax, room), room+room/4) // more will come
		}
		l = &leaf{owner: s.owner, buf: append(buffer(room)[:0], l.buf...), nodes: slices.Clone(l.nodes), live: l.live}
		d.leaves[li] = l
		s.mem += l.bytes() - was
	}
	return l
}

func (l *leaf) bytes() int64 { return int64(cap(l.buf)) + int64(cap(l.nodes))*nodeBytes + leafBytes }

// buffer is memory for n bytes, as long as the allocator's size class.
func buffer(n int) []byte {
	b := slices.Grow([]byte(nil), n)
	return b[:cap(b)]
}

// newLeaf puts an empty leaf behind the others; a node must follow.
func (s *Stream) newLeaf(room int) *leaf {
	d := s.own()
	l := &leaf{owner: s.owner, buf: buffer(room)[:0]}
	d.leaves = append(d.leaves, l)
	d.firsts = append(d.firsts, ID{})
	s.mem += l.bytes()
	return l
}

// dropLeaves takes leaves from to up to to out of the directory.
func (s *Stream) dropLeaves(from, to int) {
	d := s.own()
	for _, l := range d.leaves[from:to] {
		s.mem -= l.bytes()
	}
	if from == 0 {
		clear(d.leaves[:to])
		d.leaves, d.firsts = d.leaves[to:], d.firsts[to:]
		if cap(d.leaves) > 64 && len(d.leaves) < cap(d.leaves)/4 {
			d.leaves, d.firsts = slices.Clone(d.leaves), slices.Clone(d.firsts)
		}
		return
	}
	d.leaves, d.firsts = slices.Delete(d.leaves, from, to), slices.Delete(d.firsts, from, to)
}

// dropNodes takes nodes from to up to to, whose entries are counted out
// already, from a leaf of the stream's own; the leaf goes if none is left.
func (s *Stream) dropNodes(li, from, to int) {
	l := s.dir.leaves[li]
	if to-from == len(l.nodes) {
		s.dropLeaves(li, li+1)
		return
	}
	if from == 0 {
		s.mem -= int64(to) * nodeBytes
		l.nodes = l.nodes[to:]
		s.dir.firsts[li] = l.nodes[0].master
	} else {
		l.nodes = slices.Delete(l.nodes, from, to)
		l.buf = l.buf[:l.nodes[len(l.nodes)-1].end()] // where the last node may grow
	}
	used := 0
	for i := range l.nodes {
		used += int(l.nodes[i].size)
	}
	if cap(l.buf) > 4<<10 && used < cap(l.buf)/3 {
		s.compact(l, used)
	}
}

// compact moves the nodes to memory of room bytes, one right behind the other.
func (s *Stream) compact(l *leaf, room int) {
	was := l.bytes()
	buf, nodes := buffer(room)[:0], make([]node, len(l.nodes))
	for i, n := range l.nodes {
		at := len(buf)
		buf = append(buf, l.buf[n.off:n.end()]...)
		n.off = uint32(at)
		nodes[i] = n
	}
	l.buf, l.nodes = buf, nodes
	s.mem += l.bytes() - was
}

// tail is the last leaf with room for need more bytes in its last node, or for
// a further node; nil: there must be a new leaf.
func (s *Stream) tail(need int, further bool) *leaf {
	li := len(s.dir.leaves) - 1
	if li < 0 {
		return nil
	}
	l := s.dir.leaves[li]
	used := len(l.buf)
	if further && used+max(need, nodeRoom) > leafMax {
		if l.owner == s.owner && cap(l.buf)-used > cap(l.buf)/16 {
			s.compact(l, used-s.gaps(l)) // nothing more comes here
		}
		return nil
	}
	l = s.ownLeaf(li)
	if used+need <= cap(l.buf) {
		return l
	}
	if gaps := s.gaps(l); gaps > used/2 && gaps >= need {
		s.compact(l, cap(l.buf))
		return l
	}
	was := l.bytes()
	// In small steps while the stream is small, at once where a whole leaf is
	// no more than an eighth of it.
	room := max(used+need, used+used/4, 64)
	switch {
	case used+need > leafMax && !further && int(l.nodes[len(l.nodes)-1].size) < leafMax/2:
		room = used + need + nodeRoom // the last node is nearly full
	case used+need > leafMax:
	case len(s.dir.leaves) > 8:
		room = leafMax
	default:
		room = min(room, leafMax)
	}
	l.buf = append(buffer(room)[:0], l.buf...)
	s.mem += l.bytes() - was
	return l
}

// gaps is the number of bytes of a leaf's buffer that no node uses.
func (s *Stream) gaps(l *leaf) int {
	n := len(l.buf)
	for i := range l.nodes {
		n -= int(l.nodes[i].size)
	}
	return n
}

// Append adds an entry; fields are names and values in turn, and id is higher
// than LastID. The bytes are copied.
func (s *Stream) Append(id ID, fields [][]byte, limits Limits) {
	size := 0
	for _, f := range fields {
		size += len(f)
	}
	bound := size + 9*len(fields) + 40
	if l := s.lastLeaf(); l != nil {
		n := &l.nodes[len(l.nodes)-1]
		if !n.full(size, limits) {
			if l = s.tail(bound, false); l != nil {
				n = &l.nodes[len(l.nodes)-1]
				v := l.view(len(l.nodes) - 1)
				var packed int
				l.buf, packed = appendItem(l.buf, n.master, id, v.sameFields(fields), fields)
				n.size = uint32(len(l.buf)) - n.off
				n.packed += uint32(packed)
				n.live++
				l.live++
				s.entered(id)
				return
			}
		}
	}
	l := s.newNode(id, bound+bound)
	var head, packed int
	l.buf, head = appendMaster(l.buf, fields)
	l.buf, packed = appendItem(l.buf, id, id, true, fields)
	s.closeNode(l, 1, 0, head+packed)
	s.entered(id)
}

// full tells whether an entry of size bytes goes into another node, by Redis's
// measure, the bytes of the node as a listpack.
func (n *node) full(size int, limits Limits) bool {
	most := limits.MaxBytes
	if most <= 0 || most > MaxSize {
		most = MaxSize
	}
	return int64(n.listpackSize())+int64(size) >= most ||
		limits.MaxEntries > 0 && int64(n.live)+int64(n.dead) >= limits.MaxEntries
}

// listpackSize is the size of the node as Redis's listpack.
func (n *node) listpackSize() int {
	return int(n.packed) + packedInt(int64(n.live)) + packedInt(int64(n.dead)) - 4
}

func (s *Stream) lastLeaf() *leaf {
	if n := len(s.dir.leaves); n > 0 {
		return s.dir.leaves[n-1]
	}
	return nil
}

// newNode begins a node behind the others, for which there are need bytes of
// room in the leaf's buffer; closeNode follows.
func (s *Stream) newNode(master ID, need int) *leaf {
	l := s.tail(need, true)
	if l == nil {
		room := need
		if len(s.dir.leaves) > 8 {
			room = max(need, leafMax)
		}
		l = s.newLeaf(room)
	}
	was := cap(l.nodes)
	l.nodes = append(l.nodes, node{master: master, off: uint32(len(l.buf))})
	s.mem += int64(cap(l.nodes)-was) * nodeBytes
	if len(l.nodes) == 1 {
		s.dir.firsts[len(s.dir.firsts)-1] = master
	}
	return l
}

// closeNode notes what the last node holds.
func (s *Stream) closeNode(l *leaf, live, dead uint32, packed int) {
	n := &l.nodes[len(l.nodes)-1]
	n.size = uint32(len(l.buf)) - n.off
	n.live, n.dead, n.packed = live, dead, uint32(packed)
	l.live += int(live)
}

// entered counts an entry that was added.
func (s *Stream) entered(id ID) {
	s.n++
	s.added++
	s.last = id
	if s.n == 1 {
		s.first = id
	}
}

// find is the place of the last node whose master ID is at most id; (0, 0) if
// all are higher. There must be a leaf.
func (s *Stream) find(id ID) (li, ni int) {
	d := s.dir
	li = sort.Search(len(d.firsts), func(i int) bool { return id.Less(d.firsts[i]) }) - 1
	if li < 0 {
		return 0, 0
	}
	nodes := d.leaves[li].nodes
	lo, hi := 1, len(nodes) // the first one is at most id
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); id.Less(nodes[m].master) {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return li, lo - 1
}

// Has tells whether there is an entry of that ID.
func (s *Stream) Has(id ID) bool {
	it := s.Seek(id)
	return it.Next() && it.ID == id
}

// Delete removes an entry; false: there is none.
func (s *Stream) Delete(id ID) bool {
	if s.n == 0 {
		return false
	}
	li, ni := s.find(id)
	v := s.dir.leaves[li].view(ni)
	for off := v.start; off < len(v.b); {
		it := v.item(off)
		if it.id == id {
			if it.deleted() {
				return false
			}
			s.remove(li, ni, it.head)
			if s.maxDeleted.Less(id) {
				s.maxDeleted = id
			}
			s.removed(id == s.first)
			return true
		}
		if id.Less(it.id) {
			return false
		}
		off = it.end
	}
	return false
}

// remove marks the entry with that head as deleted, or takes the node out if it
// was the last one in it, which is returned.
func (s *Stream) remove(li, ni, head int) (gone bool) {
	l := s.ownLeaf(li)
	n := &l.nodes[ni]
	s.n--
	l.live--
	if n.live == 1 {
		s.dropNodes(li, ni, ni+1)
		return true
	}
	l.buf[int(n.off)+head] |= flagDeleted
	n.live--
	n.dead++
	return false
}

// removed finds the first entry anew, if it is gone.
func (s *Stream) removed(first bool) {
	switch {
	case s.n == 0:
		s.first = ID{}
	case first:
		it := s.Seek(ID{})
		it.Next()
		s.first = it.ID
	}
}

// Count is the number of entries whose IDs are higher than id.
func (s *Stream) Count(id ID) int {
	if s.n == 0 || !id.Less(s.last) {
		return 0
	}
	if id.Less(s.first) {
		return s.n
	}
	li, ni := s.find(id)
	n := 0
	for _, l := range s.dir.leaves[li+1:] {
		n += l.live
	}
	l := s.dir.leaves[li]
	for i := ni + 1; i < len(l.nodes); i++ {
		n += int(l.nodes[i].live)
	}
	v := l.view(ni)
	for off := v.start; off < len(v.b); {
		it := v.item(off)
		if !it.deleted() && id.Less(it.id) {
			n++
		}
		off = it.end
	}
	return n
}

// Check implements types.Object.
func (s *Stream) Check() error {
	d := s.dir
	if len(d.leaves) != len(d.firsts) {
		return fmt.Errorf("stream: %d leaves, %d first IDs", len(d.leaves), len(d.firsts))
	}
	var last, first ID
	n, mem, start := 0, int64(0), true
	for li, l := range d.leaves {
		if len(l.nodes) == 0 || d.firsts[li] != l.nodes[0].master {
			return fmt.Errorf("stream: leaf %d begins with another node than noted", li)
		}
		if l.owner == s.owner && d.owner != s.owner {
			return fmt.Errorf("stream: leaf %d is owned in a directory that is not", li)
		}
		live, end := 0, 0
		for ni := range l.nodes {
			nd := &l.nodes[ni]
			if int(nd.off) < end || !start && !last.Less(nd.master) {
				return fmt.Errorf("stream: node %d.%d is out of order", li, ni)
			}
			end = nd.end()
			before := last
			if start {
				before = ID{}
				start = false
			}
			var err error
			if last, err = l.check(ni, before); err != nil {
				return fmt.Errorf("stream: node %d.%d: %w", li, ni, err)
			}
			live += int(nd.live)
			if n := len(l.appendPacked(nil, ni)) + 7; n != nd.listpackSize() {
				return fmt.Errorf("stream: node %d.%d has %d bytes as a listpack, noted %d", li, ni, n, nd.listpackSize())
			}
		}
		if live != l.live || end != len(l.buf) {
			return fmt.Errorf("stream: leaf %d: %d entries, noted %d", li, live, l.live)
		}
		n += live
		mem += l.bytes()
	}
	if it := s.Seek(ID{}); n > 0 && it.Next() {
		first = it.ID
	}
	if n != s.n || first != s.first || s.last.Less(last) {
		return fmt.Errorf("stream: %d entries from %s to %s, noted %d, %s, %s", n, first, last, s.n, s.first, s.last)
	}
	more, err := s.checkGroups()
	if err != nil {
		return err
	}
	if mem += more + s.idmp.bytes(); mem != s.mem {
		return fmt.Errorf("stream: %d bytes, noted %d", mem, s.mem)
	}
	return nil
}
