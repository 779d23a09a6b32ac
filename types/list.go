package types

import "math"

// ListLimits says when a list leaves its packed form.
type ListLimits struct {
	// MaxSize is list-max-listpack-size: the most elements of a packed list
	// (0 is taken as 1), or, negative, the most bytes: -1 is 4 KiB, and each
	// step down doubles it, to -5, 64 KiB.
	MaxSize int
}

const (
	// listSafeBytes limits the packed form where MaxSize counts elements.
	// As with MaxSize, Redis counts its listpack's frame of 7 bytes, too.
	listSafeBytes   = 8 << 10
	listpackFraming = 7

	// listPackedMax is the most bytes of a packed list, whatever the limits
	// say: an entry of the keyspace holds no more (keyspace.InlineMax).
	listPackedMax = 63 << 10
)

// exceeds tells whether n elements of size bytes are too much for one node of
// Redis, whose limits are cut to one part in so many.
func (l ListLimits) exceeds(size, n, parts int) bool {
	size += listpackFraming
	if l.MaxSize < 0 {
		return size > 4<<10<<min(-1-l.MaxSize, 4)/parts
	}
	return size > listSafeBytes || n > max(l.MaxSize, 1)/parts
}

// List is a list, loaded over packed bytes or an Object. It is meant to be
// reused: set Limits, Load, work, and keep what Stored returns before the next
// Load. An element that a method returns is valid until the next change.
//
// The packed form becomes an Object when a change might pass Limits, and an
// Object becomes packed again when a change has left less than half of what
// Limits allow, as in Redis since 7.2. b and pivot must not alias the list.
//
// Indexes count from 0, or, negative, from the end: -1 is the last element.
type List struct {
	Limits ListLimits

	p       Packed      // the packed form, if obj is nil
	n       int         // its elements, -1 before they have been counted
	obj     *listObject // the big form
	decided int         // pushes that Reserve has looked at
	scratch scratch     // kept over loads
}

// Load makes l the list that is kept as packed (EncListpack) or as obj
// (EncQuicklist). An empty packed is a new list. Changes are made in place
// where they fit into the capacity of packed.
func (l *List) Load(enc Encoding, packed []byte, obj Object) {
	l.p, l.n, l.obj, l.decided = nil, 0, nil, 0
	if enc == EncQuicklist {
		l.obj = obj.(*listObject)
		return
	}
	l.p = packed
	if len(packed) > 0 {
		l.n = -1
	}
}

// Stored returns what is to be kept. Packed bytes lie in those that were
// loaded, though not always from their start on, or in memory that l will use
// again.
func (l *List) Stored() (Encoding, []byte, Object) {
	if l.obj != nil {
		return EncQuicklist, nil, l.obj
	}
	return EncListpack, l.p, nil
}

// Len is the number of elements. A packed list is walked once.
func (l *List) Len() int {
	if l.obj != nil {
		return l.obj.n
	}
	if l.n < 0 {
		l.n = l.p.Count()
	}
	return l.n
}

// Reserve prepares for n pushes of size bytes in all. As in Redis, whose
// commands decide about the form once for all their arguments, these pushes do
// not decide again.
func (l *List) Reserve(n, size int) {
	l.grow(n, size)
	if l.obj == nil {
		l.decided = n
		l.room(min(len(l.p)+size+2*n, listPackedMax))
	}
}

// grow turns the list into an Object if n more elements of size bytes might be
// too much for the packed form.
func (l *List) grow(n, size int) {
	if l.obj == nil && l.Limits.exceeds(len(l.p)+size, l.count(n), 1) {
		l.convert()
	}
}

// count is the number of elements with n more, if the limits care.
func (l *List) count(n int) int {
	if l.Limits.MaxSize < 0 {
		return 0
	}
	return l.Len() + n
}

func (l *List) convert() {
	l.obj = newListObject(l.p)
	l.p, l.n = nil, 0
}

// shrink turns the list into packed bytes if it has become small enough.
func (l *List) shrink() {
	o := l.obj
	if o == nil || l.Limits.exceeds(o.data, o.n, 2) {
		return
	}
	l.p, l.n, l.obj = nil, o.n, nil
	l.room(o.data)
	for _, leaf := range o.dir.leaves {
		for bi := range leaf.blocks {
			l.p = append(l.p, leaf.blocks[bi].packed()...)
		}
	}
}

// room gives the packed form a capacity of n bytes.
func (l *List) room(n int) { l.p = l.scratch.room(l.p, n) }

// packedInsert puts c before offset off, or turns the list into an Object and
// reports false if it has no room.
func (l *List) packedInsert(off int, c Elem) bool {
	if len(l.p)+c.size() > listPackedMax {
		l.convert()
		return false
	}
	l.p = l.scratch.put(l.p, off, 0, c)
	if l.n >= 0 {
		l.n++
	}
	return true
}

// decide is grow for one push, unless Reserve has seen it.
func (l *List) decide(b []byte) {
	if l.decided > 0 {
		l.decided--
		return
	}
	l.grow(1, len(b))
}

// PushFront adds b before the first element.
func (l *List) PushFront(b []byte) {
	if l.obj == nil {
		l.decide(b)
	}
	if l.obj == nil {
		if c := codedOf(b); l.packedInsert(0, c) {
			return
		}
	}
	l.obj.pushFront(b)
}

// PushBack adds b behind the last element.
func (l *List) PushBack(b []byte) {
	if l.obj == nil {
		l.decide(b)
	}
	if l.obj == nil {
		if c := codedOf(b); l.packedInsert(len(l.p), c) {
			return
		}
	}
	l.obj.pushBack(b)
}

// PushPacked adds elements, which Packed.Check has passed, behind the last one:
// as many PushBacks would, but block by block. They are copied.
func (l *List) PushPacked(p Packed) {
	if l.obj == nil && len(l.p)+len(p) > listPackedMax {
		l.convert()
	}
	if l.obj == nil && len(p) > 0 {
		l.grow(p.Count(), len(p))
	}
	if l.obj != nil {
		l.obj.appendPacked(p)
		return
	}
	if l.n >= 0 {
		l.n += p.Count()
	}
	l.room(len(l.p) + len(p))
	l.p = append(l.p, p...)
}

// PopFront removes the first element and returns it. It returns false if there is none.
func (l *List) PopFront() (Elem, bool) {
	if l.obj != nil {
		if l.obj.n == 0 {
			return BytesElem(nil), false
		}
		e := l.obj.popFront()
		l.shrink()
		return e, true
	}
	if len(l.p) == 0 {
		return BytesElem(nil), false
	}
	e := l.p.At(0)
	l.p = l.p[l.p.EndOf(0):]
	if l.n >= 0 {
		l.n--
	}
	return e, true
}

// PopBack removes the last element and returns it. It returns false if there is none.
func (l *List) PopBack() (Elem, bool) {
	if l.obj != nil {
		if l.obj.n == 0 {
			return BytesElem(nil), false
		}
		e := l.obj.popBack()
		l.shrink()
		return e, true
	}
	if len(l.p) == 0 {
		return BytesElem(nil), false
	}
	off := l.p.Last()
	e := l.p.At(off)
	l.p = l.p[:off]
	if l.n >= 0 {
		l.n--
	}
	return e, true
}

// Index is element i. It returns false if there is none.
func (l *List) Index(i int) (Elem, bool) {
	if l.obj == nil {
		off := l.p.Seek(i)
		if off < 0 {
			return BytesElem(nil), false
		}
		return l.p.At(off), true
	}
	if i < 0 {
		i += l.obj.n
	}
	if i < 0 || i >= l.obj.n {
		return BytesElem(nil), false
	}
	return l.obj.index(i), true
}

// Set replaces element i. It returns false, and changes nothing, if there is none.
func (l *List) Set(i int, b []byte) bool {
	if i < 0 {
		i += l.Len()
	}
	if i < 0 || i >= l.Len() {
		return false
	}
	l.grow(1, len(b))
	if l.obj == nil {
		c := codedOf(b)
		off := l.p.Seek(i)
		old := l.p.EndOf(off) - off
		if len(l.p)-old+c.size() <= listPackedMax {
			l.p = l.scratch.put(l.p, off, old, c)
			return true
		}
		l.convert()
	}
	l.obj.set(i, b)
	l.shrink()
	return true
}

// InsertAt puts b before element i, which may be the length of the list;
// false: there is no such place.
func (l *List) InsertAt(i int, b []byte) bool {
	n := l.Len()
	if i < 0 {
		i += n
	}
	switch {
	case i < 0 || i > n:
		return false
	case i == 0:
		l.PushFront(b)
		return true
	case i == n:
		l.PushBack(b)
		return true
	}
	l.grow(1, len(b))
	c := codedOf(b)
	if l.obj == nil && l.packedInsert(l.p.Seek(i), c) {
		return true
	}
	li, bi, j := l.obj.locate(i)
	l.obj.insert(li, bi, l.obj.dir.leaves[li].blocks[bi].seek(j), c)
	return true
}

// InsertBefore puts b before the first element equal to pivot; false: there is
// none, and nothing has changed.
func (l *List) InsertBefore(pivot, b []byte) bool { return l.insertBeside(pivot, b, false) }

// InsertAfter puts b behind the first element equal to pivot; false: there is
// none, and nothing has changed.
func (l *List) InsertAfter(pivot, b []byte) bool { return l.insertBeside(pivot, b, true) }

func (l *List) insertBeside(pivot, b []byte, after bool) bool {
	if l.obj == nil {
		off := l.p.Find(pivot, l.p.First(), 0)
		if off < 0 {
			return false
		}
		if after {
			off = l.p.EndOf(off)
		}
		l.grow(1, len(b))
		c := codedOf(b)
		if l.obj == nil && l.packedInsert(off, c) {
			return true
		}
	}
	li, bi, off := l.obj.find(pivot)
	if off < 0 {
		return false
	}
	if after {
		off = l.obj.dir.leaves[li].blocks[bi].packed().EndOf(off)
	}
	c := codedOf(b)
	l.obj.insert(li, bi, off, c)
	return true
}

// RemoveEqual removes elements equal to b: the first count ones, the last
// -count ones, or all if count is 0. It returns how many.
func (l *List) RemoveEqual(b []byte, count int) int {
	if l.obj != nil {
		n := l.obj.removeEqual(b, count)
		if n > 0 {
			l.shrink()
		}
		return n
	}
	back, limit := count < 0, count
	if back {
		limit = -count
	}
	if limit <= 0 { // all, or the most negative int
		limit = math.MaxInt
	}
	at := l.p.firstToRemove(b, limit, back)
	if at < 0 {
		return 0
	}
	p, n := l.p.removeEqual(b, at, limit)
	l.p = p
	if l.n >= 0 {
		l.n -= n
	}
	return n
}

// bounds makes start and stop, both inclusive, a half-open range of indexes
// from 0 on, as LRANGE does.
func (l *List) bounds(start, stop int) (from, to int) {
	n := l.Len()
	if start < 0 {
		start = max(start+n, 0)
	}
	if stop < 0 {
		stop += n
	}
	stop = min(stop, n-1)
	if start > stop {
		return 0, 0
	}
	return start, stop + 1
}

// Trim removes all but the elements from start to stop.
func (l *List) Trim(start, stop int) {
	n := l.Len()
	from, to := l.bounds(start, stop)
	if l.obj != nil {
		l.obj.dropBack(n - to)
		l.obj.dropFront(from)
		l.shrink()
		return
	}
	if from == to {
		l.p = l.p[:0]
	} else {
		if to < n {
			l.p = l.p[:l.p.Seek(to)]
		}
		l.p = l.p[l.p.Seek(from):]
	}
	l.n = to - from
}

// Range calls fn for the elements from start to stop until it returns false.
func (l *List) Range(start, stop int, fn func(Elem) bool) {
	from, to := l.bounds(start, stop)
	l.forward(from, func(e Elem) bool {
		if from == to {
			return false
		}
		from++
		return fn(e)
	})
}

// RangeBack is Range from stop down to start.
func (l *List) RangeBack(start, stop int, fn func(Elem) bool) {
	from, to := l.bounds(start, stop)
	l.backward(to-1, func(e Elem) bool {
		if from == to {
			return false
		}
		to--
		return fn(e)
	})
}

// Each calls fn for all elements until it returns false.
func (l *List) Each(fn func(Elem) bool) { l.forward(0, fn) }

// EachPacked calls fn for runs of elements, in order, which together are the
// list, until it returns false. A run is what Redis calls a node: some
// kilobytes of elements, or a single one of any length.
func (l *List) EachPacked(fn func(p Packed) bool) {
	if l.obj == nil {
		if len(l.p) > 0 {
			fn(l.p)
		}
		return
	}
	for _, leaf := range l.obj.dir.leaves {
		for bi := range leaf.blocks {
			if !fn(leaf.blocks[bi].packed()) {
				return
			}
		}
	}
}

// forward calls fn for the elements from i on, i not negative.
func (l *List) forward(i int, fn func(Elem) bool) {
	if l.obj != nil {
		l.obj.forward(i, fn)
		return
	}
	for off := l.p.Seek(i); off >= 0; off = l.p.Next(off) {
		if !fn(l.p.At(off)) {
			return
		}
	}
}

// backward calls fn for the elements from i down; -1 is none.
func (l *List) backward(i int, fn func(Elem) bool) {
	if l.obj != nil {
		l.obj.backward(i, fn)
		return
	}
	if i < 0 {
		return
	}
	for off := l.p.Seek(i); off >= 0; off = l.p.Prev(off) {
		if !fn(l.p.At(off)) {
			return
		}
	}
}

// Positions adds to dst the indexes of elements equal to b, as LPOS finds
// them: from the rank-th match on, or with a negative rank from the end; at
// most count of them, and looking at no more than maxLen elements, where 0
// means no limit. rank is not 0.
func (l *List) Positions(b []byte, rank, count, maxLen int, dst []int) []int {
	v, isInt := ParseInt64(b)
	n := l.Len()
	skip, i, step := rank-1, 0, 1
	if rank < 0 {
		skip, i, step = -(rank + 1), n-1, -1
	}
	seen, found := 0, 0
	visit := func(e Elem) bool {
		if maxLen > 0 && seen == maxLen {
			return false
		}
		seen++
		if e.IsInt() && isInt && e.I == v || !e.IsInt() && string(e.S) == string(b) {
			if skip > 0 {
				skip--
			} else {
				dst = append(dst, i)
				found++
			}
		}
		i += step
		return count == 0 || found < count
	}
	if step > 0 {
		l.forward(0, visit)
	} else {
		l.backward(i, visit)
	}
	return dst
}

// Check verifies every invariant of the list as it is loaded. It is slow.
func (l *List) Check() error {
	if l.obj != nil {
		return l.obj.Check()
	}
	if err := l.p.Check(); err != nil {
		return err
	}
	if n := l.p.Count(); l.n >= 0 && l.n != n || len(l.p) > listPackedMax {
		return errPacked
	}
	return nil
}
