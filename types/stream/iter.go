package stream

import "kvd/types"

// Iter goes through the entries that are not deleted, while the stream is not
// changed. It allocates only where it goes backwards.
type Iter struct {
	// ID is the current entry's, once Next or Prev has returned true, and
	// Fields the number of its fields, which Pair returns one after the other.
	ID     ID
	Fields int

	s      *Stream
	li, ni int // the node of v
	v      view
	off    int // of the next entry in it
	from   ID  // entries before it are passed over, once
	cur    item
	same   bool
	field  int // offset of the next field's name, where it is the master's
	at     int // offset of the next element
	begins []int
	ended  bool
}

// Seek returns an iterator whose Next gives the first entry of at least id.
func (s *Stream) Seek(id ID) (it Iter) {
	it.SeekIn(s, id)
	return it
}

// SeekIn is Seek that writes to it and keeps its memory.
func (it *Iter) SeekIn(s *Stream, id ID) {
	*it = Iter{s: s, begins: it.begins[:0]}
	if s.n == 0 || s.last.Less(id) {
		it.ended = true
		return
	}
	it.li, it.ni = s.find(id)
	it.v = s.dir.leaves[it.li].view(it.ni)
	it.off, it.from = it.v.start, id
}

// Next goes to the next entry; false: there is none.
func (it *Iter) Next() bool {
	if it.ended {
		return false
	}
	for {
		for it.off < len(it.v.b) {
			e := it.v.item(it.off)
			it.off = e.end
			if e.deleted() || e.id.Less(it.from) {
				continue
			}
			it.enter(e)
			return true
		}
		if !it.nextNode() {
			it.ended = true
			return false
		}
	}
}

func (it *Iter) nextNode() bool {
	leaves := it.s.dir.leaves
	if it.ni++; it.ni == len(leaves[it.li].nodes) {
		it.ni = 0
		if it.li++; it.li == len(leaves) {
			return false
		}
	}
	it.v = leaves[it.li].view(it.ni)
	it.off = it.v.start
	return true
}

// enter makes e the current entry.
func (it *Iter) enter(e item) {
	it.cur, it.ID, it.at = e, e.id, e.data
	if it.same = e.flags&flagSame != 0; it.same {
		it.Fields, it.field = it.v.fields, it.v.first
		return
	}
	n, k := uvarint(it.v.b[it.at:])
	it.Fields = int(n)
	it.at += k
}

// Pair is the next field of the current entry and its value. It may be called
// Fields times; what it returns aliases the stream.
func (it *Iter) Pair() (field, value types.Elem) {
	var k int
	if it.same {
		field, k = types.BareElem(it.v.b[it.field:])
		it.field += k
	} else {
		field, k = types.BareElem(it.v.b[it.at:])
		it.at += k
	}
	value, k = types.BareElem(it.v.b[it.at:])
	it.at += k
	return field, value
}

// Again makes Pair begin again with the first field of the current entry.
func (it *Iter) Again() { it.enter(it.cur) }

// Size is the number of bytes of the current entry.
func (it *Iter) Size() int { return it.cur.end - it.cur.head }

// SeekBack makes Prev give the last entry of at most id.
func (s *Stream) SeekBack(id ID) (it Iter) {
	it.s = s
	if s.n == 0 || id.Less(s.first) {
		it.ended = true
		return it
	}
	it.li, it.ni = s.find(id)
	it.backward(id)
	return it
}

// backward notes where the entries of the node begin that are not deleted and
// at most id.
func (it *Iter) backward(id ID) {
	l := it.s.dir.leaves[it.li]
	it.v = l.view(it.ni)
	if n := int(l.nodes[it.ni].live); cap(it.begins) < n {
		it.begins = make([]int, 0, max(n, 100))
	}
	it.begins = it.begins[:0]
	for off := it.v.start; off < len(it.v.b); {
		e := it.v.item(off)
		if id.Less(e.id) {
			break
		}
		if !e.deleted() {
			it.begins = append(it.begins, off)
		}
		off = e.end
	}
}

// Prev goes to the entry before; false: there is none.
func (it *Iter) Prev() bool {
	for !it.ended {
		if n := len(it.begins); n > 0 {
			it.enter(it.v.item(it.begins[n-1]))
			it.begins = it.begins[:n-1]
			return true
		}
		if it.ni--; it.ni < 0 {
			if it.li--; it.li < 0 {
				it.ended = true
				break
			}
			it.ni = len(it.s.dir.leaves[it.li].nodes) - 1
		}
		it.backward(MaxID)
	}
	return false
}

// Last is the ID of the last entry that is not deleted; false: there is none.
func (s *Stream) Last() (ID, bool) {
	if s.n == 0 {
		return ID{}, false
	}
	// In the last node there is an entry that is not deleted.
	l := s.lastLeaf()
	v := l.view(len(l.nodes) - 1)
	var last ID
	for off := v.start; off < len(v.b); {
		e := v.item(off)
		if !e.deleted() {
			last = e.id
		}
		off = e.end
	}
	return last, true
}
