package types

import "slices"

// listBlockMax is the most bytes of elements that a block takes, unless it
// holds one element that is longer. It is a size class of Go's allocator, so
// that a full block wastes nothing, and one that puts four blocks into a span,
// whose frame is 160 bytes: with Redis's default node size, 8 KiB, a list of
// 20-byte elements takes 22.7 bytes for each, with this 22.4 (Redis: 22.7).
const listBlockMax = 10 << 10

// listBlock is a run of a list's elements, never empty but in the middle of a
// change. Room may lie on both sides of the elements, so that both ends of a
// list push and pop without moving bytes.
//
// The struct belongs to the leaf that it stands in; buf may be shared with
// copies and may only be written while owner is the list's own.
type listBlock struct {
	buf    []byte // buf[lo:hi] are the elements
	lo, hi uint32
	n      uint32 // number of elements
	owner  uint64
}

const listBlockBytes = 48 // of the struct

func (b *listBlock) packed() Packed { return Packed(b.buf[b.lo:b.hi:b.hi]) }
func (b *listBlock) used() int      { return int(b.hi - b.lo) }

// seek is the offset of element j, from the nearer end.
func (b *listBlock) seek(j int) int {
	if j > int(b.n)/2 {
		j -= int(b.n)
	}
	return b.packed().Seek(j)
}

// listBuffer is memory for n bytes, as long as the allocator's size class.
func listBuffer(n int) []byte {
	b := slices.Grow([]byte(nil), n)
	return b[:cap(b)]
}

// newBlock is a block of one element. At the ends of a list more will follow,
// so there it gets the room that bufferFor thinks right.
func (o *listObject) newBlock(c Elem, more, front bool) listBlock {
	n := c.size()
	if more {
		n = o.bufferFor(n, 0)
	}
	b := listBlock{buf: listBuffer(n), hi: uint32(c.size()), n: 1, owner: o.owner}
	if front {
		b.lo, b.hi = uint32(len(b.buf)-c.size()), uint32(len(b.buf))
	}
	c.put(b.buf[b.lo:b.hi])
	o.buffers += int64(len(b.buf))
	return b
}

// bufferFor is the size for a buffer that grows from now to at least need: in
// small steps while the list is small, at once where a whole block is no more
// than a sixteenth of the list.
func (o *listObject) bufferFor(need, now int) int {
	if need >= listBlockMax {
		return need
	}
	return min(max(need, now+now/4, min(listBlockMax, o.data/16)), listBlockMax)
}

// reallocate moves the block's elements into a buffer of its own of n bytes,
// to its end if front is set.
func (o *listObject) reallocate(b *listBlock, n int, front bool) {
	buf, used := listBuffer(n), b.used()
	lo := 0
	if front {
		lo = len(buf) - used
	}
	copy(buf[lo:], b.packed())
	o.adopt(b, buf, lo, lo+used)
}

// adopt makes buf the block's buffer.
func (o *listObject) adopt(b *listBlock, buf []byte, lo, hi int) {
	o.buffers += int64(len(buf) - len(b.buf))
	b.buf, b.lo, b.hi, b.owner = buf, uint32(lo), uint32(hi), o.owner
}

// roomBack makes room for size more bytes behind the block's last element, or
// reports that the block is full. Elements slide to the front only where a
// quarter of the buffer is gained, so that a queue in one block stays linear.
func (o *listObject) roomBack(b *listBlock, size int) bool {
	used := b.used()
	if used+size > listBlockMax {
		return false
	}
	own := b.owner == o.owner
	switch {
	case own && int(b.hi)+size <= len(b.buf):
	case own && used+size <= len(b.buf)-len(b.buf)/4:
		copy(b.buf, b.packed())
		b.lo, b.hi = 0, uint32(used)
	case own && len(b.buf) >= listBlockMax:
		return false
	default:
		o.reallocate(b, o.bufferFor(used+size, used), false)
	}
	return true
}

// roomFront is roomBack for the other end.
func (o *listObject) roomFront(b *listBlock, size int) bool {
	used := b.used()
	if used+size > listBlockMax {
		return false
	}
	own := b.owner == o.owner
	switch {
	case own && int(b.lo) >= size:
	case own && used+size <= len(b.buf)-len(b.buf)/4:
		lo := len(b.buf) - used
		copy(b.buf[lo:], b.packed())
		b.lo, b.hi = uint32(lo), uint32(len(b.buf))
	case own && len(b.buf) >= listBlockMax:
		return false
	default:
		o.reallocate(b, o.bufferFor(used+size, used), true)
	}
	return true
}

// gap makes the old bytes at offset off of the block size bytes long, moving
// the shorter side where there is room, and returns the place.
func (o *listObject) gap(b *listBlock, off, old, size int) []byte {
	lo, hi, d := int(b.lo), int(b.hi), size-old
	at := lo + off
	if b.owner == o.owner {
		back, front := hi+d <= len(b.buf), d <= lo
		switch {
		case back && (!front || hi-at-old <= off):
			copy(b.buf[at+size:], b.buf[at+old:hi])
			b.hi = uint32(hi + d)
			return b.buf[at : at+size]
		case front:
			copy(b.buf[lo-d:], b.buf[lo:at])
			b.lo = uint32(lo - d)
			return b.buf[at-d : at-d+size]
		}
	}
	used := hi - lo + d
	buf := listBuffer(o.bufferFor(used, hi-lo))
	copy(buf, b.buf[lo:at])
	copy(buf[off+size:], b.buf[at+old:hi])
	o.adopt(b, buf, 0, used)
	return buf[off : off+size]
}

// fit gives back a buffer's room where it is more than one part in so many.
// Buffers that are shared are left: the copy still needs them.
func (o *listObject) fit(b *listBlock, parts int) {
	if b.owner == o.owner && len(b.buf)-b.used() > len(b.buf)/parts {
		o.reallocate(b, b.used(), false)
	}
}
