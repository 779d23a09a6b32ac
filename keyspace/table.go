package keyspace

import (
	"bytes"
	"fmt"
	"math/bits"

	"kvd/types/slab"
)

// A slot's table is a list of segments in hash order. A segment is an array of
// 8-byte references [27 bits of hash | saved | 36 bits of Loc], probed linearly from a
// home that grows with the hash and does not wrap around, so that references
// stand in hash order. A small segment is dense: it has one home, so its
// references stand side by side and no place is left empty but the last; with a
// few keys a slot, which is where most databases are, the empty places and the
// sizes grown out of would be a tenth of what a small value takes in all. A table
// of more than one segment has a directory that the hash's top bits index
// (extendible hashing); splitting one segment is all that ever happens at once.
//
// Segments and directories are slab objects of the stripe's table arena:
//
//	word 0   byte 0: 1 (live); byte 1: depth, the hash bits that chose it;
//	         bytes 2-3: homes; bytes 4-5: references in use; bytes 6-7: places
//	word 1   low 32 bits: number of the last snapshot that met the segment; what
//	         the references' bit says is about that one
//	word 2.. the references; the last place is always empty and ends a search
const (
	segHead  = 2   // words before the references
	segMax   = 512 // homes of the largest segment
	segSplit = 448 // references at which it is split
	segMerge = 160 // references of two neighbours that are merged

	denseMin  = 6  // references that the smallest segment has places for
	denseMax  = 14 // and the largest dense one: they lie in two or three cache lines
	denseStep = 4  // by so many a dense segment grows: each size leaves half-empty pages behind

	locMask  = 1<<slab.LocBits - 1
	savedRef = 1 << slab.LocBits // the snapshot that met the segment has the key, or it was made later
	tagShift = slab.LocBits + 1
)

// slot is the root of a table. The slice of them has no pointers.
type slot struct {
	root  slab.Loc // the only segment, or with depth > 0 the directory
	n     uint32   // keys
	homes uint16   // of the only segment, so that a search need not read its head
	depth uint8    // the directory has 1<<depth segments
	extra uint8    // places behind the homes of the only segment
}

// segment is a segment's words, read under the stripe lock.
type segment struct {
	loc slab.Loc
	w   []uint64
}

func (s segment) depth() uint8 { return uint8(s.w[0] >> 8) }
func (s segment) homes() int   { return int(uint16(s.w[0] >> 16)) }
func (s segment) count() int   { return int(uint16(s.w[0] >> 32)) }

// size is what newSegment was asked for: the homes, or of a dense segment the
// references that it has places for.
func (s segment) size() int {
	if n := s.homes(); n > 1 {
		return n
	}
	return len(s.refs()) - 1
}

// full tells whether a segment of this size should grow before it takes n
// references.
func full(n, size int) bool {
	if size <= denseMax {
		return n > size
	}
	return n*8 > size*7
}

// larger is the size to grow to.
func larger(size int) int {
	switch {
	case size < denseMax:
		return size + denseStep
	case size == denseMax:
		return 20
	}
	return min(segMax, (size*5/4+4)&^1)
}
func (s segment) refs() []uint64 {
	return s.w[segHead:]
}
func (s segment) addCount(d int) { s.w[0] += uint64(d) << 32 }

// home is where the search for a reference with this tag starts.
func home(tag uint64, depth uint8, homes int) int {
	h := tag << tagShift << depth >> 32
	return int(h * uint64(homes) >> 32)
}

func (st *stripe) segmentAt(l slab.Loc) segment {
	h := st.tables.Words(l, 1)[0]
	return segment{l, st.tables.Words(l, segHead+int(h>>48))}
}

// places is the least length of the reference array: the homes, room behind
// the last of them for what is pushed along, and the empty place at the end.
func places(homes int) int { return homes + min(16, homes/4+1) + 1 }

// extraMax is the most room behind the homes (slot.extra is a byte).
const extraMax = 255

// newSegment makes an empty segment of a size: homes, or up to denseMax the
// references of a dense one.
func (st *stripe) newSegment(depth uint8, size int, snap uint32) segment {
	homes, n := size, segHead+places(size)
	if size <= denseMax {
		homes, n = 1, segHead+size+1
	}
	// The slab rounds up; use what it gives.
	n = min(slab.RoundUp(n*8)/8, segHead+homes+extraMax)
	l := st.tables.Alloc(n * 8)
	w := st.tables.Words(l, n)
	clear(w)
	w[0] = 1 | uint64(depth)<<8 | uint64(homes)<<16 | uint64(n-segHead)<<48
	w[1] = uint64(snap)
	return segment{l, w}
}

// segmentOf finds the segment of a hash; ok is false where the slot is empty.
func (st *stripe) segmentOf(sl *slot, hash uint64) (seg segment, ok bool) {
	if sl.root == 0 {
		return segment{}, false
	}
	if sl.depth == 0 {
		return st.segmentAt(sl.root), true
	}
	dir := st.tables.Words(sl.root, 1+1<<sl.depth)
	return st.segmentAt(slab.Loc(dir[1+hash>>(64-sl.depth)] & locMask)), true
}

// A directory has a word for each segment that says, as a slot does of its only
// one, where the references stand, so that a search need not read the head:
// [13 bits of places behind the homes | 5 of depth | 10 of homes | 36 of Loc].
// Homes of 0 say that the segment is too large for that: its head must be read.
const (
	dirHomes = slab.LocBits
	dirDepth = dirHomes + 10
	dirExtra = dirDepth + 5
)

// dirWord is a segment's word in the directory.
func (s segment) dirWord() uint64 {
	return dirWordOf(s.loc, s.depth(), s.homes(), len(s.refs())-s.homes())
}

func dirWordOf(l slab.Loc, depth uint8, homes, extra int) uint64 {
	if homes >= 1<<(dirDepth-dirHomes) || extra >= 1<<(64-dirExtra) {
		return uint64(l)
	}
	return uint64(l) | uint64(homes)<<dirHomes | uint64(depth)<<dirDepth | uint64(extra)<<dirExtra
}

// spot is where a hash's references begin: the place'th word of words from l on.
type spot struct {
	l            slab.Loc
	place, words int
}

// spotOf finds the place without reading the segment where that is possible;
// the slot is not empty.
func (st *stripe) spotOf(sl *slot, hash uint64) spot {
	tag := hash >> tagShift
	if sl.depth == 0 {
		return spot{sl.root, segHead + home(tag, 0, int(sl.homes)), segHead + int(sl.homes) + int(sl.extra)}
	}
	w := st.tables.Words(sl.root, 1+1<<sl.depth)[1+hash>>(64-sl.depth)]
	l, homes := slab.Loc(w&locMask), int(w>>dirHomes&(1<<(dirDepth-dirHomes)-1))
	if homes == 0 {
		seg := st.segmentAt(l)
		return spot{l, segHead + home(tag, seg.depth(), seg.homes()), len(seg.w)}
	}
	return spot{l, segHead + home(tag, uint8(w>>dirDepth&(1<<(dirExtra-dirDepth)-1)), homes), segHead + homes + int(w>>dirExtra)}
}

// find returns the place of a key's reference in its segment, or -1.
func (st *stripe) find(sl *slot, k *Key) (int, slab.Loc) {
	if sl.root == 0 {
		return -1, 0
	}
	tag := k.Hash >> tagShift
	at := st.spotOf(sl, k.Hash)
	refs := st.tables.Words(at.l, at.words)[segHead:]
	for i := at.place - segHead; i < len(refs); i++ {
		r := refs[i]
		if t := r >> tagShift; t >= tag {
			if t > tag {
				break
			}
			l := slab.Loc(r & locMask)
			if bytes.Equal(st.keyAt(l), k.B) {
				return i, l
			}
		} else if r == 0 {
			break
		}
	}
	return -1, 0
}

// insert enters a reference to a key that is not there.
func (st *stripe) insert(sl *slot, hash uint64, l slab.Loc) {
	ref := hash>>tagShift<<tagShift | savedRef | uint64(l)
	if sl.root == 0 {
		sl.setRoot(st.newSegment(0, denseMin, st.ks.snapshotNumber()))
	}
	if sl.depth == 0 && (sl.homes == 1 || !full(int(sl.n)+1, int(sl.homes))) && sl.n < segSplit {
		// The slot knows all that the segment's head says. Its line is written to
		// and not waited for: mostly it is not in the cache.
		w := st.tables.Words(sl.root, segHead+int(sl.homes)+int(sl.extra))
		if putRef(w[segHead:], ref, 0, int(sl.homes)) {
			segment{sl.root, w}.addCount(1)
			sl.n++
			return
		}
	}
	for {
		seg, _ := st.segmentOf(sl, hash)
		n := seg.count()
		switch {
		case n >= segSplit && st.split(sl, seg, hash):
			continue
		case full(n+1, seg.size()) && seg.size() < segMax:
			st.resize(sl, seg, hash, larger(seg.size()))
			continue
		case !seg.put(ref):
			// Too many behind one home: more homes help, unless the hashes
			// are equal in all bits that count, which only room behind helps.
			st.resize(sl, seg, hash, min(seg.homes()*5/4+8, 60000))
			continue
		}
		sl.n++
		return
	}
}

// setRoot makes seg the only segment.
func (sl *slot) setRoot(seg segment) {
	sl.root, sl.homes = seg.loc, uint16(seg.homes())
	sl.extra = uint8(len(seg.refs()) - seg.homes())
}

// put places a reference in hash order; false: there is no place.
func (s segment) put(ref uint64) bool {
	if !putRef(s.refs(), ref, s.depth(), s.homes()) {
		return false
	}
	s.addCount(1)
	return true
}

// putRef is put into the references of a segment, without counting.
func putRef(refs []uint64, ref uint64, depth uint8, homes int) bool {
	tag := ref >> tagShift
	i := home(tag, depth, homes)
	for i < len(refs) && refs[i] != 0 && refs[i]>>tagShift <= tag {
		i++
	}
	j := i
	for j < len(refs) && refs[j] != 0 {
		j++
	}
	if j >= len(refs)-1 {
		return false
	}
	copy(refs[i+1:j+1], refs[i:j])
	refs[i] = ref
	return true
}

// remove takes out the reference at place i and closes the gap.
func (s segment) remove(i int) {
	refs := s.refs()
	d, homes := s.depth(), s.homes()
	j := i + 1
	for j < len(refs) && refs[j] != 0 && home(refs[j]>>tagShift, d, homes) < j {
		j++
	}
	copy(refs[i:j-1], refs[i+1:j])
	refs[j-1] = 0
	s.addCount(-1)
}

// replace swaps the segment for another in the slot. The hash tells where.
func (st *stripe) replace(sl *slot, old segment, hash uint64, with segment) {
	if sl.depth == 0 {
		sl.setRoot(with)
	} else {
		st.enterSegment(sl, hash, with)
	}
	st.tables.Free(old.loc)
}

// enterSegment has the directory name the segment for all hashes that begin as
// this one does, in as many bits as the segment is deep.
func (st *stripe) enterSegment(sl *slot, hash uint64, s segment) {
	span := 1 << (sl.depth - s.depth())
	first := int(hash>>(64-sl.depth)) &^ (span - 1)
	word := s.dirWord()
	dir := st.tables.Words(sl.root, 1+1<<sl.depth)[1:]
	for i := range span {
		dir[first+i] = word
	}
}

// resize gives the segment another size, or a larger one if that is too small.
func (st *stripe) resize(sl *slot, seg segment, hash uint64, size int) {
	for ; ; size += size/4 + 8 {
		s := st.newSegment(seg.depth(), size, uint32(seg.w[1]))
		if s.fill(seg.refs()) {
			st.replace(sl, seg, hash, s)
			return
		}
		st.tables.Free(s.loc)
	}
}

// fill places references that come in hash order; false: one found no place.
func (s segment) fill(from []uint64) bool {
	refs := s.refs()
	d, homes := s.depth(), s.homes()
	next, n := 0, 0
	for _, r := range from {
		if r == 0 {
			continue
		}
		i := max(home(r>>tagShift, d, homes), next)
		if i >= len(refs)-1 {
			return false
		}
		refs[i] = r
		next = i + 1
		n++
	}
	s.addCount(n)
	return true
}

// split divides a segment in two by the next bit of the hash, doubling the
// directory where it has no such bit yet; false: the tags have no bits left.
func (st *stripe) split(sl *slot, seg segment, hash uint64) bool {
	d := seg.depth()
	if d >= 64-tagShift-9 {
		return false
	}
	if d == sl.depth {
		st.doubleDirectory(sl)
	}
	refs := seg.refs()
	bit := uint64(1) << (63 - d)
	mid := 0
	for mid < len(refs) && (refs[mid] == 0 || refs[mid]&bit == 0) {
		mid++
	}
	var half [2]segment
	for h, some := range [2][]uint64{refs[:mid], refs[mid:]} {
		n := 0
		for _, r := range some {
			if r != 0 {
				n++
			}
		}
		for size := max(8, min(n*5/4, segMax)); ; size += 8 {
			s := st.newSegment(d+1, size, uint32(seg.w[1]))
			if s.fill(some) {
				half[h] = s
				break
			}
			st.tables.Free(s.loc)
		}
	}
	st.enterSegment(sl, hash&^bit, half[0])
	st.enterSegment(sl, hash|bit, half[1])
	st.tables.Free(seg.loc)
	return true
}

func (st *stripe) doubleDirectory(sl *slot) {
	n := 1 << sl.depth
	l := st.tables.Alloc((1 + 2*n) * 8)
	w := st.tables.Words(l, 1+2*n)
	w[0] = 1
	if sl.depth == 0 {
		s := dirWordOf(sl.root, 0, int(sl.homes), int(sl.extra))
		w[1], w[2] = s, s
	} else {
		old := st.tables.Words(sl.root, 1+n)[1:]
		for i, s := range old {
			w[1+2*i], w[2+2*i] = s, s
		}
		st.tables.Free(sl.root)
	}
	sl.root = l
	sl.depth++
}

// removeKey takes a key's reference out of its slot and lets the table shrink.
func (st *stripe) removeKey(sl *slot, seg segment, hash uint64, i int) {
	seg.remove(i)
	sl.n--
	if sl.n == 0 {
		st.dropTable(sl)
		return
	}
	n, size := seg.count(), seg.size()
	if n*3 >= size || size <= 8 {
		return
	}
	if d := seg.depth(); d > 0 && n < segMerge/2 {
		if buddy, _ := st.segmentOf(sl, hash^1<<(64-d)); buddy.depth() == d && buddy.count()+n < segMerge {
			st.merge(sl, seg, buddy, hash)
			return
		}
	}
	st.resize(sl, seg, hash, max(denseMin, n*5/4+2))
}

// merge joins two segments that differ in the last bit of their depth.
func (st *stripe) merge(sl *slot, a, b segment, hash uint64) {
	d := a.depth()
	if hash>>(64-d)&1 == 1 {
		a, b = b, a
	}
	if st.ks.snapshotActive() { // the bits of both have to speak of the same snapshot
		st.meet(st.ks.snap, a)
		st.meet(st.ks.snap, b)
	}
	refs := make([]uint64, 0, segMerge)
	for _, s := range [2]segment{a, b} {
		for _, r := range s.refs() {
			if r != 0 {
				refs = append(refs, r)
			}
		}
	}
	var m segment
	for size := max(8, len(refs)*5/4); ; size += 8 {
		m = st.newSegment(d-1, size, uint32(a.w[1]))
		if m.fill(refs) {
			break
		}
		st.tables.Free(m.loc)
	}
	st.enterSegment(sl, hash, m)
	st.tables.Free(a.loc)
	st.tables.Free(b.loc)
}

// eachSegment calls f for the segments of a slot in hash order.
func (st *stripe) eachSegment(sl *slot, f func(segment)) {
	if sl.root == 0 {
		return
	}
	if sl.depth == 0 {
		f(st.segmentAt(sl.root))
		return
	}
	dir := st.tables.Words(sl.root, 1+1<<sl.depth)[1:]
	for i := 0; i < len(dir); {
		s := st.segmentAt(slab.Loc(dir[i] & locMask))
		i += 1 << (sl.depth - s.depth())
		f(s)
	}
}

// segmentIn is the segment of a table that a word of the directory names, which
// must be the first to name it, and the number of the word behind those that do.
func (st *stripe) segmentIn(sl *slot, word int) (s segment, next int) {
	if sl.depth == 0 {
		return st.segmentAt(sl.root), 1
	}
	dir := st.tables.Words(sl.root, 1+1<<sl.depth)[1:]
	s = st.segmentAt(slab.Loc(dir[word] & locMask))
	return s, word + 1<<(sl.depth-s.depth())
}

// dropTable frees the segments and the directory of a slot, not its entries.
func (st *stripe) dropTable(sl *slot) {
	st.eachSegment(sl, func(s segment) { st.tables.Free(s.loc) })
	if sl.depth > 0 {
		st.tables.Free(sl.root)
	}
	*sl = slot{}
}

// tableSize is what a slot's segments and its directory take.
func (st *stripe) tableSize(sl *slot) (n int64) {
	st.eachSegment(sl, func(s segment) { n += int64(st.tables.Size(s.loc)) })
	if sl.depth > 0 {
		n += int64(st.tables.Size(sl.root))
	}
	return n
}

// checkSlot verifies the order, the counts and the directory of a slot, and
// calls each for every entry.
func (st *stripe) checkSlot(number uint16, sl *slot, each func(hash uint64, l slab.Loc) error) error {
	if (sl.root == 0) != (sl.n == 0) {
		return fmt.Errorf("slot %d: root %#x with %d keys", number, uint64(sl.root), sl.n)
	}
	total := 0
	prefix := uint64(0)
	var err error
	if sl.depth > 0 {
		for i, w := range st.tables.Words(sl.root, 1+1<<sl.depth)[1:] {
			if s := st.segmentAt(slab.Loc(w & locMask)); w != s.dirWord() {
				return fmt.Errorf("slot %d: word %d of the directory is %#x, its segment says %#x", number, i, w, s.dirWord())
			}
		}
	}
	st.eachSegment(sl, func(s segment) {
		if err != nil {
			return
		}
		if s.depth() > sl.depth {
			err = fmt.Errorf("slot %d: segment of depth %d in a directory of %d", number, s.depth(), sl.depth)
			return
		}
		n, last := 0, uint64(0)
		refs := s.refs()
		if s.homes() == 1 && len(refs) > denseMax+1 {
			err = fmt.Errorf("slot %d: a dense segment of %d places", number, len(refs))
			return
		}
		if refs[len(refs)-1] != 0 || sl.depth == 0 && (int(sl.homes) != s.homes() || len(refs) != s.homes()+int(sl.extra)) {
			err = fmt.Errorf("slot %d: the segment's end is not where it should be", number)
			return
		}
		for i, r := range refs {
			if r == 0 {
				continue
			}
			n++
			tag := r >> tagShift
			h := home(tag, s.depth(), s.homes())
			if tag < last || h > i {
				err = fmt.Errorf("slot %d: reference %d is out of order", number, i)
				return
			}
			last = tag
			for j := h; j < i; j++ {
				if refs[j] == 0 {
					err = fmt.Errorf("slot %d: a gap before reference %d", number, i)
					return
				}
			}
			l := slab.Loc(r & locMask)
			k := MakeKey(st.keyAt(l))
			if k.Slot != number || k.Hash>>tagShift != tag {
				err = fmt.Errorf("slot %d: key %q does not belong to its reference", number, k.B)
				return
			}
			if d := s.depth(); d > 0 && k.Hash>>(64-d) != prefix>>(64-d) {
				err = fmt.Errorf("slot %d: key %q is in the wrong segment", number, k.B)
				return
			}
			if err = each(k.Hash, l); err != nil {
				return
			}
		}
		if n != s.count() {
			err = fmt.Errorf("slot %d: %d references, noted %d", number, n, s.count())
		}
		total += n
		if d := s.depth(); d > 0 {
			prefix += 1 << (64 - d)
		}
	})
	if err == nil && total != int(sl.n) {
		err = fmt.Errorf("slot %d: %d keys, noted %d", number, total, sl.n)
	}
	return err
}

// bitset marks the slots of a shard that are not empty.
type bitset []uint64

func (b bitset) set(i int)   { b[i>>6] |= 1 << (i & 63) }
func (b bitset) unset(i int) { b[i>>6] &^= 1 << (i & 63) }

// next is the first marked number from i on, or -1.
func (b bitset) next(i int) int {
	for w := i >> 6; w < len(b); w++ {
		v := b[w]
		if w == i>>6 {
			v &= ^uint64(0) << (i & 63)
		}
		if v != 0 {
			return w<<6 + bits.TrailingZeros64(v)
		}
	}
	return -1
}
