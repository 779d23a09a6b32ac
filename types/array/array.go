// Package array holds the values of arrays: bytes at indexes from 0 to MaxIndex, most of
// which are empty.
//
// Elements stand in leaves, in the order of their indexes; leaves stand in chunks, and
// those in the Array. So what is dense takes little more than its bytes, and what is
// sparse takes no room for what is not there.
package array

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sort"
	"sync/atomic"

	"kvd/types"
)

// MaxIndex is the highest index there is.
const MaxIndex = math.MaxUint64 - 1

// Array is the value. The zero value is not ready; see New.
//
// A copy shares everything. The list of chunks, chunks and leaves carry the number of
// the Array that may write them; Copy gives both sides new numbers, and each copies what
// it meets on its way to a write. What is shared is never written, so a copy can be read
// by another goroutine without locks.
type Array struct {
	owner  uint64
	root   uint64 // who may write chunks
	chunks []*chunk
	n      int
	next   uint64 // see Next
	mem    int64  // bytes of chunks, leaves and buffers
}

// chunk is a run of leaves, at least one.
type chunk struct {
	owner  uint64
	firsts []uint64 // the first index of each
	leaves []*leaf
	n      int
	mem    int64 // bytes of the leaves
}

// leaf is a run of elements, at least one: each is a varint of the distance from the
// element before, 0 for the first, and a bare element.
type leaf struct {
	owner       uint64
	first, last uint64
	buf         []byte
	n           int
}

const (
	leafMost  = 64      // elements of a leaf
	leafBytes = 4 << 10 // bytes of a leaf, but where it is one element
	chunkMost = 256     // leaves of a chunk
)

const (
	arrayBytes  = 80 // of an Array's struct
	chunkBytes  = 96
	leafStruct  = 64
	leafInChunk = 16 // of a leaf in its chunk
)

// owners gives out the numbers of Arrays. Atomic, because copies are made under
// different locks.
var owners atomic.Uint64

// New is an empty array.
func New() *Array {
	o := owners.Add(1)
	return &Array{owner: o, root: o}
}

// Count is the number of elements.
func (a *Array) Count() int { return a.n }

// Len is the highest index that is in use, plus 1.
func (a *Array) Len() uint64 {
	if a.n == 0 {
		return 0
	}
	c := a.chunks[len(a.chunks)-1]
	return c.leaves[len(c.leaves)-1].last + 1
}

// Next is where the next value goes that is inserted without an index; 0 also says that
// nothing was inserted so yet, and MaxIndex + 1 that there is no room any more.
func (a *Array) Next() uint64 { return a.next }

// SetNext sets it.
func (a *Array) SetNext(n uint64) { a.next = n }

// Copy implements types.Object.
func (a *Array) Copy() types.Object {
	c := *a
	c.owner, a.owner = owners.Add(1), owners.Add(1)
	return &c
}

// Bytes implements types.Object. What copies share counts for each of them.
func (a *Array) Bytes() int64 { return a.mem + arrayBytes }

// Free implements types.Object. The collector takes the memory, in its own time and
// without stopping anybody, so there is nothing to be spread.
func (a *Array) Free(int64) bool {
	*a = *New()
	return true
}

func (l *leaf) bytes() int64 { return int64(cap(l.buf)) + leafStruct + leafInChunk }

// first is the lowest index of a chunk, last the highest.
func (c *chunk) first() uint64 { return c.firsts[0] }
func (c *chunk) last() uint64  { return c.leaves[len(c.leaves)-1].last }

// find is the place of the last leaf whose first index is at most i; (0, 0) if all are
// higher. There must be a leaf.
func (a *Array) find(i uint64) (ci, li int) {
	ci = max(sort.Search(len(a.chunks), func(k int) bool { return i < a.chunks[k].firsts[0] })-1, 0)
	firsts := a.chunks[ci].firsts
	lo, hi := 1, len(firsts) // the first one is at most i, or nothing is
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); i < firsts[m] {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return ci, lo - 1
}

// uvarint reads a varint of one byte at once.
func uvarint(b []byte) (uint64, int) {
	if b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return binary.Uvarint(b)
}

// place is where an index stands in a leaf, or would.
type place struct {
	off   int    // of the first element that is not below the index; len(buf): none is
	index uint64 // of that element
	gap   int    // length of its distance
	end   int    // of that element
	prev  uint64 // the index before, where there is one
}

// find finds an index in a leaf.
func (l *leaf) find(i uint64) (p place, found bool) {
	if i > l.last { // often: what is appended
		return place{off: len(l.buf), prev: l.last}, false
	}
	p.index = l.first
	for p.off < len(l.buf) {
		d, k := uvarint(l.buf[p.off:])
		p.index += d
		if p.index >= i {
			p.gap = k
			p.end = p.off + k + types.BareLen(l.buf[p.off+k:])
			return p, p.index == i
		}
		p.prev = p.index
		p.off += k + types.BareLen(l.buf[p.off+k:])
	}
	panic("array: a leaf ends before its last index")
}

// Get is the element at an index; false: there is none. It aliases the Array.
func (a *Array) Get(i uint64) (e types.Elem, ok bool) {
	if a.n == 0 {
		return e, false
	}
	ci, li := a.find(i)
	l := a.chunks[ci].leaves[li]
	if i < l.first || i > l.last {
		return e, false
	}
	p, ok := l.find(i)
	if ok {
		e, _ = types.BareElem(l.buf[p.off+p.gap:])
	}
	return e, ok
}

// own makes the list of chunks the Array's own.
func (a *Array) own() {
	if a.root != a.owner {
		a.chunks, a.root = slices.Clone(a.chunks), a.owner
	}
}

// ownChunk makes a chunk, and the way to it, the Array's own.
func (a *Array) ownChunk(ci int) *chunk {
	a.own()
	c := a.chunks[ci]
	if c.owner != a.owner {
		c = &chunk{owner: a.owner, firsts: slices.Clone(c.firsts), leaves: slices.Clone(c.leaves), n: c.n, mem: c.mem}
		a.chunks[ci] = c
	}
	return c
}

// ownLeaf makes a leaf, and the way to it, the Array's own.
func (a *Array) ownLeaf(ci, li int) (*chunk, *leaf) {
	c := a.ownChunk(ci)
	l := c.leaves[li]
	if l.owner != a.owner {
		was := l.bytes()
		l = &leaf{owner: a.owner, first: l.first, last: l.last, n: l.n, buf: append(buffer(len(l.buf))[:0], l.buf...)}
		c.leaves[li] = l
		a.grew(c, l.bytes()-was)
	}
	return c, l
}

func (a *Array) grew(c *chunk, n int64) {
	c.mem += n
	a.mem += n
}

// buffer is memory for n bytes, as long as the allocator's size class.
func buffer(n int) []byte {
	b := slices.Grow([]byte(nil), n)
	return b[:cap(b)]
}

// splice puts with in the place of old bytes at off.
func (l *leaf) splice(off, old int, with []byte) {
	need := len(l.buf) - old + len(with)
	if need > cap(l.buf) {
		room := max(need+need/4, 16)
		if need > leafBytes {
			room = need // it will be split, or is one element
		}
		b := append(buffer(room)[:0], l.buf[:off]...)
		l.buf = append(append(b, with...), l.buf[off+old:]...)
		return
	}
	n := len(l.buf)
	l.buf = l.buf[:max(n, need)]
	copy(l.buf[off+len(with):], l.buf[off+old:n])
	copy(l.buf[off:], with)
	l.buf = l.buf[:need]
}

// Set puts v at an index, and tells whether nothing was there. The bytes are copied.
func (a *Array) Set(i uint64, v []byte) (fresh bool) {
	var room [64]byte
	if a.n == 0 {
		a.own()
		l := &leaf{owner: a.owner, first: i, last: i, n: 1}
		l.splice(0, 0, types.AppendBare(append(room[:0], 0), v))
		c := &chunk{owner: a.owner, firsts: []uint64{i}, leaves: []*leaf{l}, n: 1}
		a.chunks = append(a.chunks[:0], c)
		a.n = 1
		a.mem += chunkBytes
		a.grew(c, l.bytes())
		return true
	}
	ci, li := a.find(i)
	c, l := a.ownLeaf(ci, li)
	was := l.bytes()
	switch p, found := l.find(i); {
	case found:
		l.splice(p.off+p.gap, p.end-p.off-p.gap, types.AppendBare(room[:0], v))
	case i < l.first: // before all
		b := types.AppendBare(append(room[:0], 0), v)
		l.splice(0, 1, binary.AppendUvarint(b, l.first-i))
		l.first, c.firsts[li], fresh = i, i, true
	case i > l.last:
		b := binary.AppendUvarint(room[:0], i-p.prev)
		l.splice(p.off, 0, types.AppendBare(b, v))
		l.last, fresh = i, true
	default:
		b := types.AppendBare(binary.AppendUvarint(room[:0], i-p.prev), v)
		l.splice(p.off, p.gap, binary.AppendUvarint(b, p.index-i))
		fresh = true
	}
	a.grew(c, l.bytes()-was)
	if fresh {
		l.n++
		c.n++
		a.n++
	}
	if l.full() {
		a.split(c, li, i == l.last)
		a.splitChunk(ci, i == a.Len()-1)
	}
	return fresh
}

// cut is the offset of element k of a leaf, its index, the index before, and the length
// of its distance.
func (l *leaf) cut(k int) (off int, index, prev uint64, gap int) {
	index = l.first
	for ; ; k-- {
		d, n := uvarint(l.buf[off:])
		prev, index = index, index+d
		if k == 0 {
			return off, index, prev, n
		}
		off += n + types.BareLen(l.buf[off+n:])
	}
}

// full tells whether a leaf is to be split.
func (l *leaf) full() bool { return l.n > leafMost || len(l.buf) > leafBytes && l.n > 1 }

// split makes two leaves of one that is the Array's own, and more while one of those is
// too full. At the end of a leaf that is filled in order only the last element leaves it.
func (a *Array) split(c *chunk, li int, appended bool) {
	l := c.leaves[li]
	k := l.n - 1
	if !appended {
		// The element at which the halves, in bytes, are nearest to each other.
		off, best := 0, 2*len(l.buf)
		for i := range l.n {
			if d := 2*off - len(l.buf); i > 0 && max(d, -d) < best {
				k, best = i, max(d, -d)
			}
			_, n := uvarint(l.buf[off:])
			off += n + types.BareLen(l.buf[off+n:])
		}
	}
	off, index, prev, gap := l.cut(k)
	r := &leaf{owner: a.owner, first: index, last: l.last, n: l.n - k}
	r.splice(0, 0, append(append(make([]byte, 0, 1+len(l.buf)-off), 0), l.buf[off+gap:]...))
	was := l.bytes()
	l.last, l.n = prev, k
	l.buf = append(buffer(off)[:0], l.buf[:off]...)
	c.firsts, c.leaves = slices.Insert(c.firsts, li+1, index), slices.Insert(c.leaves, li+1, r)
	a.grew(c, l.bytes()-was+r.bytes())
	if r.full() {
		a.split(c, li+1, false)
	}
	if l.full() {
		a.split(c, li, false)
	}
}

// splitChunk makes two chunks of one that is the Array's own and too full.
func (a *Array) splitChunk(ci int, appended bool) {
	c := a.chunks[ci]
	if len(c.leaves) <= chunkMost {
		return
	}
	k := len(c.leaves) / 2
	if appended {
		k = len(c.leaves) - 1
	}
	r := &chunk{owner: a.owner, firsts: slices.Clone(c.firsts[k:]), leaves: slices.Clone(c.leaves[k:])}
	for _, l := range r.leaves {
		r.n += l.n
		r.mem += l.bytes()
	}
	clear(c.leaves[k:])
	c.firsts, c.leaves = c.firsts[:k], c.leaves[:k]
	c.n -= r.n
	c.mem -= r.mem
	a.chunks = slices.Insert(a.chunks, ci+1, r)
	a.mem += chunkBytes
}

// Delete empties an index, and tells whether something was there.
func (a *Array) Delete(i uint64) bool {
	if a.n == 0 {
		return false
	}
	ci, li := a.find(i)
	l := a.chunks[ci].leaves[li]
	if i < l.first || i > l.last {
		return false
	}
	if _, found := l.find(i); !found {
		return false
	}
	a.DeleteRange(i, i)
	return true
}

// DeleteRange empties the indexes from lo to hi, and counts what was there. It takes time
// by the chunks in the range, not by their elements.
func (a *Array) DeleteRange(lo, hi uint64) (n int) {
	if a.n == 0 || lo > hi {
		return 0
	}
	before := a.n
	ci, _ := a.find(lo)
	for ci < len(a.chunks) && a.chunks[ci].first() <= hi {
		end := ci // of the chunks that go whole
		for end < len(a.chunks) && a.chunks[end].first() >= lo && a.chunks[end].last() <= hi {
			a.n -= a.chunks[end].n
			a.mem -= a.chunks[end].mem + chunkBytes
			end++
		}
		if end > ci {
			a.own()
			a.chunks = slices.Delete(a.chunks, ci, end)
			continue
		}
		if a.chunks[ci].last() >= lo {
			a.trimChunk(ci, lo, hi)
		}
		ci++
	}
	a.joinChunks(ci - 1)
	a.joinChunks(ci - 2)
	return before - a.n
}

// trimChunk is DeleteRange for a chunk of which something remains.
func (a *Array) trimChunk(ci int, lo, hi uint64) {
	c := a.ownChunk(ci)
	li := max(sort.Search(len(c.firsts), func(k int) bool { return lo < c.firsts[k] })-1, 0)
	for li < len(c.leaves) && c.firsts[li] <= hi {
		end := li
		for end < len(c.leaves) && c.firsts[end] >= lo && c.leaves[end].last <= hi {
			c.n -= c.leaves[end].n
			a.n -= c.leaves[end].n
			a.grew(c, -c.leaves[end].bytes())
			end++
		}
		if end > li {
			c.firsts, c.leaves = slices.Delete(c.firsts, li, end), slices.Delete(c.leaves, li, end)
			continue
		}
		if c.leaves[li].last >= lo {
			a.trimLeaf(ci, li, lo, hi)
		}
		li++
	}
	a.joinLeaves(ci, li-1)
	a.joinLeaves(ci, li-2)
}

// trimLeaf is DeleteRange for a leaf of which something remains.
func (a *Array) trimLeaf(ci, li int, lo, hi uint64) {
	c, l := a.ownLeaf(ci, li)
	was := l.bytes()
	from, gone := -1, 0 // the first byte that goes, the elements
	index, prev := l.first, l.first
	for off := 0; ; {
		if off == len(l.buf) { // nothing follows the range
			l.buf, l.last = l.buf[:max(from, 0)], prev
			break
		}
		d, k := uvarint(l.buf[off:])
		index += d
		if index > hi {
			var b [binary.MaxVarintLen64]byte
			switch {
			case from < 0: // nothing goes
				return
			case from == 0:
				l.first, c.firsts[li] = index, index
				l.splice(0, off+k, []byte{0})
			default:
				l.splice(from, off+k-from, binary.AppendUvarint(b[:0], index-prev))
			}
			break
		}
		if index < lo {
			prev = index
		} else {
			if from < 0 {
				from = off
			}
			gone++
		}
		off += k + types.BareLen(l.buf[off+k:])
	}
	l.n -= gone
	c.n -= gone
	a.n -= gone
	if cap(l.buf) > 64 && len(l.buf) < cap(l.buf)/2 {
		l.buf = append(buffer(len(l.buf))[:0], l.buf...)
	}
	a.grew(c, l.bytes()-was)
}

// joinLeaves makes one leaf of two neighbours of an own chunk that have become small.
func (a *Array) joinLeaves(ci, li int) {
	c := a.chunks[ci]
	if li < 0 || li+1 >= len(c.leaves) {
		return
	}
	r := c.leaves[li+1]
	if l := c.leaves[li]; l.n+r.n > leafMost/2 || len(l.buf)+len(r.buf) > leafBytes/2 {
		return
	}
	_, l := a.ownLeaf(ci, li)
	was := l.bytes() + r.bytes()
	l.splice(len(l.buf), 0, append(binary.AppendUvarint(make([]byte, 0, 10+len(r.buf)), r.first-l.last), r.buf[1:]...))
	l.last, l.n = r.last, l.n+r.n
	c.firsts, c.leaves = slices.Delete(c.firsts, li+1, li+2), slices.Delete(c.leaves, li+1, li+2)
	a.grew(c, l.bytes()-was)
}

// joinChunks makes one chunk of two neighbours that have become small.
func (a *Array) joinChunks(ci int) {
	if ci < 0 || ci+1 >= len(a.chunks) || len(a.chunks[ci].leaves)+len(a.chunks[ci+1].leaves) > chunkMost/4 {
		return
	}
	c := a.ownChunk(ci)
	r := a.chunks[ci+1]
	c.firsts, c.leaves = append(c.firsts, r.firsts...), append(c.leaves, r.leaves...)
	c.n += r.n
	c.mem += r.mem
	a.mem -= chunkBytes
	a.chunks = slices.Delete(a.chunks, ci+1, ci+2)
}

// Check implements types.Object.
func (a *Array) Check() error {
	n, mem, least := 0, int64(0), uint64(0)
	for ci, c := range a.chunks {
		if len(c.leaves) == 0 || len(c.leaves) != len(c.firsts) || len(c.leaves) > chunkMost {
			return fmt.Errorf("array: chunk %d has %d leaves and %d firsts", ci, len(c.leaves), len(c.firsts))
		}
		cn, cmem := 0, int64(0)
		for li, l := range c.leaves {
			if l.first != c.firsts[li] || l.n == 0 || l.full() || n+cn > 0 && l.first < least {
				return fmt.Errorf("array: leaf %d of chunk %d begins at %d (%d), after %d, and has %d elements in %d bytes", li, ci, l.first, c.firsts[li], least, l.n, len(l.buf))
			}
			off, index := 0, l.first
			for i := range l.n {
				if off >= len(l.buf) {
					return fmt.Errorf("array: leaf %d of chunk %d ends before element %d", li, ci, i)
				}
				d, k := binary.Uvarint(l.buf[off:])
				if k <= 0 || (i == 0) != (d == 0) {
					return fmt.Errorf("array: element %d of leaf %d of chunk %d: a distance of %d", i, li, ci, d)
				}
				index += d
				off += k + types.BareLen(l.buf[off+k:])
			}
			if off != len(l.buf) || index != l.last || index > MaxIndex {
				return fmt.Errorf("array: leaf %d of chunk %d ends at %d (%d), %d bytes of %d", li, ci, index, l.last, off, len(l.buf))
			}
			least = l.last + 1
			cn += l.n
			cmem += l.bytes()
		}
		if cn != c.n || cmem != c.mem {
			return fmt.Errorf("array: chunk %d counts %d elements and %d bytes, and has %d and %d", ci, c.n, c.mem, cn, cmem)
		}
		n += cn
		mem += cmem + chunkBytes
	}
	if n != a.n || mem != a.mem {
		return fmt.Errorf("array: %d elements and %d bytes are counted, %d and %d there", a.n, a.mem, n, mem)
	}
	return nil
}
