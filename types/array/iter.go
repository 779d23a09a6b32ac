package array

import "kvd/types"

// Iter goes over elements in order, from Seek on. The Array must not be written
// meanwhile; a copy of it may be.
type Iter struct {
	Index uint64 // of the element that Next came to
	Elem  types.Elem

	a      *Array
	ci, li int
	l      *leaf  // nil: the end
	off    int    // of the next element
	base   uint64 // from which its distance counts
}

// Seek is before the first element whose index is at least i.
func (a *Array) Seek(i uint64) (it Iter) {
	it.a = a
	if a.n == 0 {
		return it
	}
	it.ci, it.li = a.find(i)
	it.l = a.chunks[it.ci].leaves[it.li]
	switch {
	case i > it.l.last:
		it.leave()
	case i > it.l.first:
		p, _ := it.l.find(i)
		it.off, it.base = p.off, p.prev
	default:
		it.base = it.l.first
	}
	return it
}

// leave goes to the start of the next leaf.
func (it *Iter) leave() {
	it.off, it.l = 0, nil
	if it.li++; it.li == len(it.a.chunks[it.ci].leaves) {
		it.ci, it.li = it.ci+1, 0
	}
	if it.ci < len(it.a.chunks) {
		it.l = it.a.chunks[it.ci].leaves[it.li]
		it.base = it.l.first
	}
}

// Next goes to the next element; false: there is none.
func (it *Iter) Next() bool {
	if it.l == nil {
		return false
	}
	d, k := uvarint(it.l.buf[it.off:])
	e, n := types.BareElem(it.l.buf[it.off+k:])
	it.base += d
	it.Index, it.Elem = it.base, e
	if it.off += k + n; it.off == len(it.l.buf) {
		it.leave()
	}
	return true
}

// Back goes over elements in the order of falling indexes, from SeekBack on, as Iter
// goes the other way.
type Back struct {
	Index uint64 // of the element that Prev came to
	Elem  types.Elem

	a      *Array
	ci, li int
	l      *leaf // nil: the end
	// Where the elements of the leaf stand that are still to come: the last one is next.
	k       int
	offs    [leafMost]int32
	indexes [leafMost]uint64
}

// SeekBack is behind the last element whose index is at most i.
func (a *Array) SeekBack(i uint64) (it Back) {
	it.a = a
	if a.n == 0 {
		return it
	}
	it.ci, it.li = a.find(i)
	it.enter()
	for it.k > 0 && it.indexes[it.k-1] > i {
		it.k--
	}
	return it
}

// enter notes where the elements of a leaf stand.
func (it *Back) enter() {
	it.l = it.a.chunks[it.ci].leaves[it.li]
	it.k = it.l.n
	index := it.l.first
	for i, off := 0, 0; i < it.k; i++ {
		d, n := uvarint(it.l.buf[off:])
		index += d
		off += n
		it.offs[i], it.indexes[i] = int32(off), index
		off += types.BareLen(it.l.buf[off:])
	}
}

// Prev goes to the element before; false: there is none.
func (it *Back) Prev() bool {
	for it.l != nil && it.k == 0 {
		if it.li--; it.li < 0 {
			if it.ci--; it.ci < 0 {
				it.l = nil
				break
			}
			it.li = len(it.a.chunks[it.ci].leaves) - 1
		}
		it.enter()
	}
	if it.l == nil {
		return false
	}
	it.k--
	it.Index = it.indexes[it.k]
	it.Elem, _ = types.BareElem(it.l.buf[it.offs[it.k]:])
	return true
}

// Slices is what Redis's arrays would be divided into: runs of size indexes, a power of
// two, that hold elements. One that holds more than few is dense: its room is the power
// of two that the span of its elements fits in.
type Slices struct {
	Dense, Sparse       int
	DenseRoom, DenseUse int // together
	SparseUse           int
}

// Slices counts them.
func (a *Array) Slices(size uint64, few int) (s Slices) {
	for it := a.Seek(0); it.Next(); {
		end := it.Index | (size - 1)
		first, last, n := it.Index, it.Index, 1
		for it.l != nil && it.base+it.distance() <= end && it.Next() {
			last = it.Index
			n++
		}
		if n <= few {
			s.Sparse++
			s.SparseUse += n
			continue
		}
		room := uint64(8)
		for room < last-first+1 {
			room *= 2
		}
		s.Dense++
		s.DenseRoom += int(min(room, size))
		s.DenseUse += n
	}
	return s
}

// distance is that of the element to come, which there is.
func (it *Iter) distance() uint64 {
	d, _ := uvarint(it.l.buf[it.off:])
	return d
}

// Leaves is the number of leaves, and that of the chunks in which they stand.
func (a *Array) Leaves() (leaves, chunks int) {
	for _, c := range a.chunks {
		leaves += len(c.leaves)
	}
	return leaves, len(a.chunks)
}
