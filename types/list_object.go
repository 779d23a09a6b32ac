package types

import (
	"fmt"
	"slices"
	"sync/atomic"
)

// listFan is the most blocks of a leaf. A leaf of full blocks of 16-byte
// elements holds 58,000 of them, and copying its headers takes a microsecond.
const listFan = 128

// listObject is the big form of a list: a directory of leaves of blocks of
// packed elements, each level counted, so that an index is found by adding up
// counts from the nearer end. With a million elements that is some 18 leaves,
// 128 blocks and one block's elements.
//
// A copy shares everything. Directory, leaves and buffers carry the number of
// the list that may write them; Copy gives both sides new numbers, and each
// copies what it meets on its way to a write: the directory (16 bytes a leaf),
// one leaf (6 KiB) and one buffer. What is shared is never written, so a copy
// can be read by another goroutine without locks.
//
// Memory is Go's, and free of pointers but for one a block.
type listObject struct {
	owner   uint64
	dir     *listDir
	n       int   // elements
	data    int   // bytes of elements
	blocks  int   // blocks
	buffers int64 // bytes of all buffers
}

type listDir struct {
	owner  uint64
	leaves []*listLeaf
	sizes  []int // elements in each leaf
}

type listLeaf struct {
	owner  uint64
	blocks []listBlock
}

// listOwners gives out the numbers of lists. Atomic, because copies are made
// under different locks.
var listOwners atomic.Uint64

// newListObject builds the big form of p, which it copies.
func newListObject(p Packed) *listObject {
	owner := listOwners.Add(1)
	o := &listObject{owner: owner, dir: &listDir{owner: owner}}
	o.appendBlocks(p)
	return o
}

// appendPacked puts the elements p behind the last one.
func (o *listObject) appendPacked(p Packed) {
	if o.n > 0 && len(p) > 0 {
		li := len(o.dir.leaves) - 1
		l := o.ownLeaf(li)
		b := &l.blocks[len(l.blocks)-1]
		if o.roomBack(b, len(p)) {
			n := p.Count()
			copy(b.buf[b.hi:], p)
			b.hi += uint32(len(p))
			b.n += uint32(n)
			o.changed(li, n, len(p))
			return
		}
		o.fit(b, 8)
	}
	o.appendBlocks(p)
}

// appendBlocks puts the elements p, which it copies, into blocks of their own
// behind the last one.
func (o *listObject) appendBlocks(p Packed) {
	for len(p) > 0 {
		end, n := 0, 0
		for end < len(p) {
			next := p.EndOf(end)
			if end > 0 && next > listBlockMax {
				break
			}
			end = next
			n++
		}
		buf := listBuffer(end)
		copy(buf, p[:end])
		li := max(0, len(o.dir.leaves)-1)
		bi := 0
		if len(o.dir.leaves) > 0 {
			bi = len(o.dir.leaves[li].blocks)
		}
		o.insertBlock(li, bi, listBlock{buf: buf, hi: uint32(end), n: uint32(n), owner: o.owner})
		o.n += n
		o.data += end
		o.buffers += int64(len(buf))
		p = p[end:]
	}
}

// Copy implements Object.
func (o *listObject) Copy() Object {
	c := *o
	c.owner = listOwners.Add(1)
	o.owner = listOwners.Add(1)
	return &c
}

// Bytes implements Object. What copies share counts for each of them.
func (o *listObject) Bytes() int64 {
	return o.buffers + int64(o.blocks)*listBlockBytes + int64(len(o.dir.leaves))*64 + 128
}

// Free implements Object. The collector takes the memory, in its own time and
// without stopping anybody, so there is nothing to be spread.
func (o *listObject) Free(int64) bool {
	*o = listObject{owner: listOwners.Add(1), dir: &listDir{}}
	return true
}

// own makes the directory the list's own.
func (o *listObject) own() *listDir {
	d := o.dir
	if d.owner != o.owner {
		d = &listDir{owner: o.owner, leaves: slices.Clone(d.leaves), sizes: slices.Clone(d.sizes)}
		o.dir = d
	}
	return d
}

// ownLeaf makes a leaf, and the way to it, the list's own. The buffers of its
// blocks stay whose they were.
func (o *listObject) ownLeaf(li int) *listLeaf {
	d := o.own()
	l := d.leaves[li]
	if l.owner != o.owner {
		l = &listLeaf{owner: o.owner, blocks: slices.Clone(l.blocks)}
		d.leaves[li] = l
	}
	return l
}

// changed notes that leaf li has n elements of size bytes more.
func (o *listObject) changed(li, n, size int) {
	o.dir.sizes[li] += n
	o.n += n
	o.data += size
}

// insertBlock puts blk before block bi of leaf li, or behind its last one, and
// counts it in the directory; where it stands then is returned.
func (o *listObject) insertBlock(li, bi int, blk listBlock) (int, int) {
	d := o.own()
	if len(d.leaves) == 0 {
		o.insertLeaf(0, nil)
	}
	if l := d.leaves[li]; len(l.blocks) == listFan {
		switch bi {
		case 0: // pushing to the front fills leaves from their ends
			if li == 0 || len(d.leaves[li-1].blocks) == listFan {
				o.insertLeaf(li, nil)
			} else {
				li--
			}
			bi = len(d.leaves[li].blocks)
		case listFan:
			li++
			if li == len(d.leaves) || len(d.leaves[li].blocks) == listFan {
				o.insertLeaf(li, nil)
			}
			bi = 0
		default:
			l = o.ownLeaf(li)
			right := slices.Clone(l.blocks[listFan/2:])
			clear(l.blocks[listFan/2:])
			l.blocks = l.blocks[:listFan/2]
			o.insertLeaf(li+1, right)
			d.sizes[li] -= d.sizes[li+1]
			if bi > listFan/2 {
				li, bi = li+1, bi-listFan/2
			}
		}
	}
	l := o.ownLeaf(li)
	l.blocks = slices.Insert(l.blocks, bi, blk)
	d.sizes[li] += int(blk.n)
	o.blocks++
	return li, bi
}

// insertLeaf puts a leaf of blocks before leaf li. The directory is owned.
func (o *listObject) insertLeaf(li int, blocks []listBlock) {
	n := 0
	for i := range blocks {
		n += int(blocks[i].n)
	}
	o.dir.leaves = slices.Insert(o.dir.leaves, li, &listLeaf{owner: o.owner, blocks: blocks})
	o.dir.sizes = slices.Insert(o.dir.sizes, li, n)
}

// removeBlock removes an empty block.
func (o *listObject) removeBlock(li, bi int) {
	l := o.ownLeaf(li)
	o.buffers -= int64(len(l.blocks[bi].buf))
	o.blocks--
	l.blocks = slices.Delete(l.blocks, bi, bi+1)
	o.joinLeaf(li)
}

// joinLeaf removes leaf li if it is empty, or joins it with a neighbour where
// both are small. It reports whether leaf li went away.
func (o *listObject) joinLeaf(li int) bool {
	d := o.own()
	n := len(d.leaves[li].blocks)
	if n > 0 {
		switch {
		case li > 0 && n+len(d.leaves[li-1].blocks) <= listFan/2:
			li--
		case li+1 < len(d.leaves) && n+len(d.leaves[li+1].blocks) <= listFan/2:
		default:
			return false
		}
		l := o.ownLeaf(li)
		l.blocks = append(l.blocks, d.leaves[li+1].blocks...)
		d.sizes[li] += d.sizes[li+1]
		li++
	}
	d.leaves = slices.Delete(d.leaves, li, li+1)
	d.sizes = slices.Delete(d.sizes, li, li+1)
	return true
}

// locate finds element i: its leaf, its block there and its index there.
func (o *listObject) locate(i int) (li, bi, j int) {
	d := o.dir
	if i < o.n/2 {
		for i >= d.sizes[li] {
			i -= d.sizes[li]
			li++
		}
	} else {
		i = o.n - 1 - i
		for li = len(d.sizes) - 1; i >= d.sizes[li]; li-- {
			i -= d.sizes[li]
		}
		i = d.sizes[li] - 1 - i
	}
	blocks := d.leaves[li].blocks
	if i < d.sizes[li]/2 {
		for i >= int(blocks[bi].n) {
			i -= int(blocks[bi].n)
			bi++
		}
		return li, bi, i
	}
	i = d.sizes[li] - 1 - i
	for bi = len(blocks) - 1; i >= int(blocks[bi].n); bi-- {
		i -= int(blocks[bi].n)
	}
	return li, bi, int(blocks[bi].n) - 1 - i
}

func (o *listObject) index(i int) Elem {
	li, bi, j := o.locate(i)
	b := &o.dir.leaves[li].blocks[bi]
	return b.packed().At(b.seek(j))
}

func (o *listObject) pushBack(v []byte) {
	c := codedOf(v)
	if o.n == 0 {
		o.insertBlock(0, 0, o.newBlock(c, true, false))
		o.n, o.data = 1, c.size()
		return
	}
	li := len(o.dir.leaves) - 1
	l := o.ownLeaf(li)
	b := &l.blocks[len(l.blocks)-1]
	if size := c.size(); o.roomBack(b, size) {
		c.put(b.buf[b.hi : int(b.hi)+size])
		b.hi += uint32(size)
		b.n++
		o.changed(li, 1, size)
		return
	}
	o.fit(b, 8)
	o.insertBlock(li, len(l.blocks), o.newBlock(c, true, false))
	o.n++
	o.data += c.size()
}

func (o *listObject) pushFront(v []byte) {
	c := codedOf(v)
	if o.n == 0 {
		o.insertBlock(0, 0, o.newBlock(c, true, true))
		o.n, o.data = 1, c.size()
		return
	}
	l := o.ownLeaf(0)
	b := &l.blocks[0]
	if size := c.size(); o.roomFront(b, size) {
		b.lo -= uint32(size)
		c.put(b.buf[b.lo : int(b.lo)+size])
		b.n++
		o.changed(0, 1, size)
		return
	}
	o.fit(b, 8)
	o.insertBlock(0, 0, o.newBlock(c, true, true))
	o.n++
	o.data += c.size()
}

// popFront and popBack change no bytes, so that the element stays readable and
// a shared buffer stays shared. The list is not empty.
func (o *listObject) popFront() Elem {
	b := &o.ownLeaf(0).blocks[0]
	p := b.packed()
	e, size := p.At(0), p.EndOf(0)
	b.lo += uint32(size)
	b.n--
	o.changed(0, -1, -size)
	if b.n == 0 {
		o.removeBlock(0, 0)
	}
	return e
}

func (o *listObject) popBack() Elem {
	li := len(o.dir.leaves) - 1
	l := o.ownLeaf(li)
	bi := len(l.blocks) - 1
	b := &l.blocks[bi]
	p := b.packed()
	off := p.Last()
	e, size := p.At(off), len(p)-off
	b.hi -= uint32(size)
	b.n--
	o.changed(li, -1, -size)
	if b.n == 0 {
		o.removeBlock(li, bi)
	}
	return e
}

// insert puts v before offset off of a block; off may be the block's end.
func (o *listObject) insert(li, bi, off int, c Elem) {
	l := o.ownLeaf(li)
	b := &l.blocks[bi]
	used := b.used()
	switch {
	case used+c.size() <= listBlockMax:
	case off == 0:
		if bi == 0 || l.blocks[bi-1].used()+c.size() > listBlockMax {
			o.insertBlock(li, bi, o.newBlock(c, false, false))
			o.n++
			o.data += c.size()
			return
		}
		b = &l.blocks[bi-1]
		off = b.used()
	case off == used:
		if bi+1 == len(l.blocks) || l.blocks[bi+1].used()+c.size() > listBlockMax {
			o.insertBlock(li, bi+1, o.newBlock(c, false, false))
			o.n++
			o.data += c.size()
			return
		}
		b = &l.blocks[bi+1]
		off = 0
	default:
		at := off
		if c.size() <= listBlockMax/4 {
			at = b.middle()
		}
		li, bi = o.split(li, bi, at)
		if off > at {
			o.insert(li, bi, off-at, c)
			return
		}
		if bi == 0 {
			li--
			bi = len(o.dir.leaves[li].blocks)
		}
		o.insert(li, bi-1, off, c)
		return
	}
	c.put(o.gap(b, off, 0, c.size()))
	b.n++
	o.changed(li, 1, c.size())
}

// middle is the offset of an element near the middle of a block of at least
// two elements, never its first.
func (b *listBlock) middle() int {
	p := b.packed()
	off := p.EndOf(0)
	for half := len(p) / 2; ; {
		next := p.EndOf(off)
		if next > half {
			return off
		}
		off = next
	}
}

// split moves the block's elements from offset at on to a new block behind it
// and returns where that stands.
func (o *listObject) split(li, bi, at int) (int, int) {
	b := &o.ownLeaf(li).blocks[bi]
	tail := b.packed()[at:]
	n := tail.Count()
	buf := listBuffer(len(tail))
	copy(buf, tail)
	o.buffers += int64(len(buf))
	b.hi = b.lo + uint32(at)
	b.n -= uint32(n)
	o.fit(b, 4)
	o.dir.sizes[li] -= n
	return o.insertBlock(li, bi+1, listBlock{buf: buf, hi: uint32(len(tail)), n: uint32(n), owner: o.owner})
}

// find is the place of the first element equal to v; off is -1 if there is
// none.
func (o *listObject) find(v []byte) (li, bi, off int) {
	for li, l := range o.dir.leaves {
		for bi := range l.blocks {
			if off := l.blocks[bi].packed().Find(v, 0, 0); off >= 0 {
				return li, bi, off
			}
		}
	}
	return 0, 0, -1
}

// set replaces element i.
func (o *listObject) set(i int, v []byte) {
	c := codedOf(v)
	li, bi, j := o.locate(i)
	b := &o.ownLeaf(li).blocks[bi]
	off := b.seek(j)
	p := b.packed()
	old := p.EndOf(off) - off
	if b.n == 1 || len(p)-old+c.size() <= listBlockMax {
		c.put(o.gap(b, off, old, c.size()))
		o.data += c.size() - old
	} else {
		o.gap(b, off, old, 0)
		b.n--
		o.changed(li, -1, -old)
		o.insert(li, bi, off, c)
	}
	if c.size() < old {
		b = &o.dir.leaves[li].blocks[bi]
		o.fit(b, 2)
		if b.used() < listBlockMax/4 {
			o.tidyLeaf(li)
		}
	}
}

// tidyLeaf drops the leaf's empty blocks, joins small neighbours and gives
// back room. It reports whether the leaf went away.
func (o *listObject) tidyLeaf(li int) bool {
	l := o.ownLeaf(li)
	out := l.blocks[:0]
	for _, b := range l.blocks {
		if b.n > 0 && len(out) > 0 {
			last := &out[len(out)-1]
			if used := last.used(); used+b.used() <= listBlockMax-listBlockMax/4 {
				copy(o.gap(last, used, 0, b.used()), b.packed())
				last.n += b.n
				b.n = 0
			}
		}
		if b.n == 0 {
			o.buffers -= int64(len(b.buf))
			o.blocks--
			continue
		}
		out = append(out, b)
	}
	clear(l.blocks[len(out):])
	l.blocks = out
	for i := range out {
		o.fit(&out[i], 3)
	}
	return o.joinLeaf(li)
}

// removeEqual removes elements equal to v: all if limit is 0, the first limit
// ones, or the last -limit ones. It returns how many.
func (o *listObject) removeEqual(v []byte, limit int) int {
	back := limit < 0
	if back {
		limit = -limit
	}
	if limit <= 0 { // all, or the most negative int
		limit = o.n
	}
	total := 0
	for step := 0; step < len(o.dir.leaves) && total < limit; step++ {
		li := step
		if back {
			li = len(o.dir.leaves) - 1 - step
		}
		n := o.removeInLeaf(li, v, limit-total, back)
		total += n
		if n == 0 {
			continue
		}
		// A leaf that is joined may be seen again; what is left of it has
		// nothing more to remove.
		if o.tidyLeaf(li) {
			step = max(step-2, -1)
		}
	}
	return total
}

func (o *listObject) removeInLeaf(li int, v []byte, limit int, back bool) int {
	total := 0
	for step := 0; step < len(o.dir.leaves[li].blocks) && total < limit; step++ {
		blocks := o.dir.leaves[li].blocks
		bi := step
		if back {
			bi = len(blocks) - 1 - step
		}
		p := blocks[bi].packed()
		at := p.firstToRemove(v, limit-total, back)
		if at < 0 {
			continue
		}
		b := &o.ownLeaf(li).blocks[bi]
		if b.owner != o.owner {
			o.reallocate(b, b.used(), false)
		}
		size := b.used()
		p, n := b.packed().removeEqual(v, at, limit-total)
		b.hi = b.lo + uint32(len(p))
		b.n -= uint32(n)
		o.changed(li, -n, len(p)-size)
		total += n
	}
	return total
}

// dropFront removes the first k elements.
func (o *listObject) dropFront(k int) {
	if k <= 0 {
		return
	}
	d := o.own()
	li := 0
	for ; li < len(d.leaves) && d.sizes[li] <= k; li++ {
		k -= d.sizes[li]
		o.forget(li, d.leaves[li].blocks)
	}
	d.leaves, d.sizes = slices.Delete(d.leaves, 0, li), slices.Delete(d.sizes, 0, li)
	if k == 0 {
		return
	}
	l := o.ownLeaf(0)
	bi := 0
	for ; int(l.blocks[bi].n) <= k; bi++ {
		k -= int(l.blocks[bi].n)
	}
	o.forget(0, l.blocks[:bi])
	l.blocks = slices.Delete(l.blocks, 0, bi)
	if k > 0 {
		b := &l.blocks[0]
		off := b.seek(k)
		b.lo += uint32(off)
		b.n -= uint32(k)
		o.changed(0, -k, -off)
		o.fit(b, 2)
	}
	o.joinLeaf(0)
}

// dropBack removes the last k elements.
func (o *listObject) dropBack(k int) {
	if k <= 0 {
		return
	}
	d := o.own()
	end := len(d.leaves)
	for ; end > 0 && d.sizes[end-1] <= k; end-- {
		k -= d.sizes[end-1]
		o.forget(end-1, d.leaves[end-1].blocks)
	}
	d.leaves, d.sizes = slices.Delete(d.leaves, end, len(d.leaves)), slices.Delete(d.sizes, end, len(d.sizes))
	if k == 0 {
		return
	}
	li := end - 1
	l := o.ownLeaf(li)
	bi := len(l.blocks)
	for ; int(l.blocks[bi-1].n) <= k; bi-- {
		k -= int(l.blocks[bi-1].n)
	}
	o.forget(li, l.blocks[bi:])
	l.blocks = slices.Delete(l.blocks, bi, len(l.blocks))
	if k > 0 {
		b := &l.blocks[bi-1]
		off := b.seek(int(b.n) - k)
		cut := b.used() - off
		b.hi -= uint32(cut)
		b.n -= uint32(k)
		o.changed(li, -k, -cut)
		o.fit(b, 2)
	}
	o.joinLeaf(li)
}

// forget takes blocks of leaf li, which are about to go, out of the counts.
func (o *listObject) forget(li int, blocks []listBlock) {
	n, size := 0, 0
	for i := range blocks {
		n += int(blocks[i].n)
		size += blocks[i].used()
		o.buffers -= int64(len(blocks[i].buf))
	}
	o.blocks -= len(blocks)
	o.changed(li, -n, -size)
}

// forward calls fn for the elements from i on, until it returns false.
func (o *listObject) forward(i int, fn func(Elem) bool) {
	if i >= o.n {
		return
	}
	li, bi, j := o.locate(i)
	off := o.dir.leaves[li].blocks[bi].seek(j)
	for ; li < len(o.dir.leaves); li++ {
		for blocks := o.dir.leaves[li].blocks; bi < len(blocks); bi++ {
			for p := blocks[bi].packed(); off < len(p); {
				var e Elem
				if e, off = p.AtEnd(off); !fn(e) {
					return
				}
			}
			off = 0
		}
		bi = 0
	}
}

// backward calls fn for the elements from i down, until it returns false.
func (o *listObject) backward(i int, fn func(Elem) bool) {
	if i < 0 {
		return
	}
	li, bi, j := o.locate(i)
	off := o.dir.leaves[li].blocks[bi].seek(j)
	for {
		blocks := o.dir.leaves[li].blocks
		for {
			for p := blocks[bi].packed(); off >= 0; off = p.Prev(off) {
				if !fn(p.At(off)) {
					return
				}
			}
			if bi--; bi < 0 {
				break
			}
			off = blocks[bi].packed().Last()
		}
		if li--; li < 0 {
			return
		}
		bi = len(o.dir.leaves[li].blocks) - 1
		off = o.dir.leaves[li].blocks[bi].packed().Last()
	}
}

// Check implements Object.
func (o *listObject) Check() error {
	d := o.dir
	if len(d.leaves) != len(d.sizes) {
		return fmt.Errorf("types: list: %d leaves, %d sizes", len(d.leaves), len(d.sizes))
	}
	n, data, blocks, buffers := 0, 0, 0, int64(0)
	for li, l := range d.leaves {
		if len(l.blocks) == 0 || len(l.blocks) > listFan {
			return fmt.Errorf("types: list: leaf %d has %d blocks", li, len(l.blocks))
		}
		if l.owner == o.owner && d.owner != o.owner {
			return fmt.Errorf("types: list: leaf %d is owned in a directory that is not", li)
		}
		size := 0
		for bi := range l.blocks {
			b := &l.blocks[bi]
			if b.lo > b.hi || int(b.hi) > len(b.buf) || b.n == 0 {
				return fmt.Errorf("types: list: block %d.%d: elements at %d to %d of %d", li, bi, b.lo, b.hi, len(b.buf))
			}
			if b.owner == o.owner && l.owner != o.owner {
				return fmt.Errorf("types: list: block %d.%d is owned in a leaf that is not", li, bi)
			}
			p := b.packed()
			if err := p.Check(); err != nil {
				return fmt.Errorf("types: list: block %d.%d: %w", li, bi, err)
			}
			if p.Count() != int(b.n) {
				return fmt.Errorf("types: list: block %d.%d: %d elements, noted %d", li, bi, p.Count(), b.n)
			}
			if b.n > 1 && len(p) > listBlockMax {
				return fmt.Errorf("types: list: block %d.%d: %d elements in %d bytes", li, bi, b.n, len(p))
			}
			size += int(b.n)
			data += len(p)
			buffers += int64(len(b.buf))
		}
		if size != d.sizes[li] {
			return fmt.Errorf("types: list: leaf %d: %d elements, noted %d", li, size, d.sizes[li])
		}
		n += size
		blocks += len(l.blocks)
	}
	if n != o.n || data != o.data || blocks != o.blocks || buffers != o.buffers {
		return fmt.Errorf("types: list: %d elements of %d bytes in %d blocks of %d, noted %d, %d, %d, %d",
			n, data, blocks, buffers, o.n, o.data, o.blocks, o.buffers)
	}
	return nil
}
