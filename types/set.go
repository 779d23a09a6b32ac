package types

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"unsafe"
)

// SetLimits is set-max-intset-entries, set-max-listpack-entries and
// set-max-listpack-value (bytes).
type SetLimits struct {
	MaxIntset          int
	MaxListpackEntries int
	MaxListpackValue   int
}

// DefaultSetLimits are Redis's.
var DefaultSetLimits = SetLimits{MaxIntset: 512, MaxListpackEntries: 128, MaxListpackValue: 64}

// packedMax is the most bytes of a packed set or hash, whatever the limits
// say: an entry of the keyspace holds no more (keyspace.InlineMax).
const packedMax = 63 << 10

// A Set is a set of distinct members. It has the forms of Redis 7.2 and goes
// from one to the next where Redis does, never back, whatever is removed:
//
//	EncIntset     while all members are integers, and few
//	EncListpack   while the members are few and short
//	EncHashtable  a table, see table.go: the Object
//
// The zero value is an empty set. One Set serves one goroutine, even for
// reading; put one value after another into it with Load. Members that it
// returns, or calls functions with, alias the value and are valid until the
// next change; those functions must not change the set. Members given to
// methods must not alias the set, unless a method says so. Reading allocates
// nothing.
type Set struct {
	Limits SetLimits

	enc    Encoding // as Stored returns it; 0 is an empty set
	ints   Intset
	packed Packed
	big    *bigSet
	n      int // members of packed, -1 if not counted yet

	scratch scratch // kept over loads
}

// bigSet is the Object form of a set.
type bigSet struct{ table }

func newBigSet() *bigSet { return &bigSet{*newTable(false)} }

func (b *bigSet) Copy() Object         { return &bigSet{*b.table.copy()} }
func (b *bigSet) Bytes() int64         { return int64(unsafe.Sizeof(*b)) + b.table.bytes }
func (b *bigSet) Check() error         { return b.table.check() }
func (b *bigSet) Free(int64) (ok bool) { b.table.free(); return true }

// Load makes s the stored value: packed, or an Object that Stored returned, or
// a copy of one. No packed bytes are a new set. It keeps the limits.
func (s *Set) Load(enc Encoding, packed []byte, obj Object) {
	s.enc, s.ints, s.packed, s.big, s.n = enc, nil, nil, nil, -1
	switch {
	case enc == EncHashtable:
		s.big = obj.(*bigSet)
	case len(packed) == 0:
		s.enc = EncIntset
		s.ints = packed
	case enc == EncIntset:
		s.ints = packed
	default:
		s.packed = packed
	}
}

// Stored is the value as the keyspace keeps it; packed bytes may lie in memory
// that s will use again. An empty set is for the caller to drop.
func (s *Set) Stored() (Encoding, []byte, Object) {
	switch s.enc {
	case EncHashtable:
		return s.enc, nil, s.big
	case EncListpack:
		return s.enc, s.packed, nil
	}
	return s.Encoding(), s.ints, nil
}

// Encoding is the form that the set has now.
func (s *Set) Encoding() Encoding {
	if s.enc == 0 {
		return EncIntset
	}
	return s.enc
}

// Len is the number of members. A packed set is walked once.
func (s *Set) Len() int {
	switch s.enc {
	case EncHashtable:
		return s.big.count
	case EncListpack:
		if s.n < 0 {
			s.n = s.packed.Count()
		}
		return s.n
	}
	return s.ints.Len()
}

// Has tells whether b is a member.
func (s *Set) Has(b []byte) bool {
	switch s.enc {
	case EncHashtable:
		return s.big.has(hashOf(b), b)
	case EncListpack:
		return s.packed.Find(b, s.packed.First(), 0) >= 0
	}
	v, ok := ParseInt64(b)
	if ok {
		_, ok = s.ints.Find(v)
	}
	return ok
}

// Expect prepares for n more members, first being one of them, and does what
// Redis does once for all arguments of SADD: it decides whether so many would
// leave the present form.
func (s *Set) Expect(first []byte, n int) {
	switch {
	case s.enc == EncHashtable:
	case s.Len() > 0 && s.enc == EncListpack:
		if n > s.Limits.MaxListpackEntries {
			s.convert()
		}
	case s.Len() > 0:
		if n > s.Limits.MaxIntset {
			s.convert()
		}
	default:
		if _, isInt := ParseInt64(first); !(isInt && n <= s.Limits.MaxIntset) && n > s.Limits.MaxListpackEntries {
			s.convert()
		}
	}
}

// Add puts b in and tells whether it was not there.
func (s *Set) Add(b []byte) bool {
	if s.enc == EncHashtable {
		return s.big.add(hashOf(b), b)
	}
	if s.enc == EncListpack {
		if s.Has(b) {
			return false
		}
		size := len(s.packed) + ElemSize(b)
		if s.Len() >= s.Limits.MaxListpackEntries || len(b) > s.Limits.MaxListpackValue || size > packedMax {
			s.convert()
			return s.big.add(hashOf(b), b)
		}
		s.packed = s.scratch.room(s.packed, size).Append(b)
		s.n++
		return true
	}
	if v, ok := ParseInt64(b); ok {
		var added bool
		if s.ints, added = s.ints.Add(v); added && s.ints.Len() > s.Limits.MaxIntset || len(s.ints) > packedMax {
			s.convert()
		}
		s.enc = max(s.enc, EncIntset)
		return added
	}
	if s.ints.Len() < s.Limits.MaxListpackEntries && len(b) <= s.Limits.MaxListpackValue && s.intsAsListpack(b) {
		s.packed = s.packed.Append(b)
		s.n++
		return true
	}
	s.convert()
	return s.big.add(hashOf(b), b)
}

// intsAsListpack turns an intset into a listpack that has room for b, if no
// integer is too long for one.
func (s *Set) intsAsListpack(b []byte) bool {
	n := s.ints.Len()
	size := 0
	for i := range n {
		v := s.ints.At(i)
		if decimalLen(v) > s.Limits.MaxListpackValue {
			return false
		}
		size += intCoding(v) + 1
	}
	if size += ElemSize(b); size > packedMax {
		return false
	}
	p := make(Packed, 0, size)
	for i := range n {
		p = appendIntElem(p, s.ints.At(i))
	}
	s.enc, s.packed, s.ints, s.n = EncListpack, p, nil, n
	return true
}

// convert makes the set an Object.
func (s *Set) convert() {
	big := newBigSet()
	var buf [maxDecimal]byte
	s.Each(func(e Elem) bool {
		b := e.S
		if e.IsInt() {
			b = e.Append(buf[:0])
		}
		big.put(hashOf(b), b, nil, 0)
		return true
	})
	s.enc, s.big, s.packed, s.ints, s.n = EncHashtable, big, nil, nil, -1
}

// Fit makes a set that came from a file what the limits ask for.
func (s *Set) Fit() {
	switch s.enc {
	case EncHashtable:
		return
	case EncListpack:
		if s.Len() <= s.Limits.MaxListpackEntries && len(s.packed) <= packedMax {
			return
		}
	default:
		if s.ints.Len() <= s.Limits.MaxIntset && len(s.ints) <= packedMax {
			return
		}
	}
	s.convert()
}

// Remove takes b out and tells whether it was there. b may alias the set.
func (s *Set) Remove(b []byte) bool {
	switch s.enc {
	case EncHashtable:
		return s.big.remove(hashOf(b), b)
	case EncListpack:
		off := s.packed.Find(b, s.packed.First(), 0)
		if off >= 0 {
			s.delete(off)
		}
		return off >= 0
	}
	v, ok := ParseInt64(b)
	if !ok {
		return false
	}
	i, ok := s.ints.Find(v)
	if ok {
		s.ints = s.ints.Delete(i)
	}
	return ok
}

// delete removes the listpack's element at off.
func (s *Set) delete(off int) {
	s.packed = s.packed.Delete(off, 1)
	if s.n > 0 {
		s.n--
	}
}

// Each calls fn for every member until it returns false: an intset's in
// ascending order, a listpack's in the order in which they came, a table's in
// the order of their hashes.
func (s *Set) Each(fn func(Elem) bool) {
	switch s.enc {
	case EncHashtable:
		s.big.each(func(n *node, ref uint32) bool { return fn(BytesElem(n.key(ref))) })
	case EncListpack:
		for off := 0; off < len(s.packed); off = s.packed.EndOf(off) {
			if !fn(s.packed.At(off)) {
				return
			}
		}
	default:
		for i := range s.ints.Len() {
			if !fn(Elem{I: s.ints.At(i)}) {
				return
			}
		}
	}
}

// Scan calls fn for about count members from cursor on, 0 being the start, and
// returns the cursor to go on from, 0 at the end. Cursors are below 1<<53. A
// packed set is visited whole, whatever the cursor. What is a member from the
// first call to the last one is visited exactly once, as long as the set does
// not turn into a table on the way.
func (s *Set) Scan(cursor uint64, count int, fn func(Elem)) uint64 {
	if s.enc == EncHashtable {
		return s.big.scan(cursor, count, func(r record) { fn(BytesElem(r.key)) })
	}
	s.Each(func(e Elem) bool { fn(e); return true })
	return 0
}

// Random is a member, each being equally likely. The set is not empty.
func (s *Set) Random() Elem {
	switch s.enc {
	case EncHashtable:
		n, i := s.big.random()
		return BytesElem(n.key(n.refs[i]))
	case EncListpack:
		return s.packed.At(s.packed.Seek(rand.IntN(s.Len())))
	}
	return Elem{I: s.ints.At(rand.IntN(s.ints.Len()))}
}

// RandomDistinct calls fn for n different members, or for all if there are not
// so many, until it returns false. Every choice is equally likely, though not
// every order.
func (s *Set) RandomDistinct(n int, fn func(Elem) bool) {
	left := s.Len()
	if s.enc == EncHashtable && n < left {
		s.big.distinct(n, func(leaf *node, ref uint32) bool { return fn(BytesElem(leaf.key(ref))) })
		return
	}
	s.Each(func(e Elem) bool {
		if n <= 0 {
			return false
		}
		take := rand.IntN(left) < n
		left--
		if !take {
			return true
		}
		n--
		return fn(e)
	})
}

// Pop removes a member, each being equally likely, and returns it with its
// bytes, if it is not an integer, appended to buf. The set is not empty.
func (s *Set) Pop(buf []byte) Elem {
	switch s.enc {
	case EncHashtable:
		e := s.Random()
		b := append(buf, e.S...)
		s.big.remove(hashOf(e.S), e.S)
		return BytesElem(b[len(buf):])
	case EncListpack:
		off := s.packed.Seek(rand.IntN(s.Len()))
		e := s.packed.At(off)
		if !e.IsInt() {
			e = BytesElem(append(buf, e.S...)[len(buf):])
		}
		s.delete(off)
		return e
	}
	i := rand.IntN(s.ints.Len())
	e := Elem{I: s.ints.At(i)}
	s.ints = s.ints.Delete(i)
	return e
}

// PopN removes n random members, or all if there are not so many, and calls fn
// for each of them. It costs what is removed.
func (s *Set) PopN(n int, fn func(Elem)) {
	if n <= 0 {
		return
	}
	if s.enc == EncHashtable && n > s.big.count/4 {
		// Quicker than one by one: what stays is built anew.
		stay := newTableBuilder(false)
		left := s.big.count
		for it := s.big.iter(); it.next(); left-- {
			if rand.IntN(left) < n {
				n--
				fn(BytesElem(it.key))
			} else {
				stay.add(it.hash, it.key, nil, 0)
			}
		}
		s.big.table = *stay.finish()
		return
	}
	var buf []byte
	for range min(n, s.Len()) {
		e := s.Pop(buf)
		if !e.IsInt() {
			buf = e.S[:0]
		}
		fn(e)
	}
}

var errSet = errors.New("types: damaged set")

// Check verifies every invariant; with packed bytes from outside, that they
// are a set at all. Whatever passes is safe for all the other methods, and
// Fit makes it fit the limits.
func (s *Set) Check() error {
	switch s.enc {
	case EncHashtable:
		return s.big.Check()
	case EncListpack:
		if err := s.packed.Check(); err != nil {
			return err
		}
		seen := newTable(false)
		var buf [maxDecimal]byte
		for off := 0; off < len(s.packed); off = s.packed.EndOf(off) {
			b := s.packed.At(off).Append(buf[:0])
			if !seen.add(hashOf(b), b) {
				return errSet
			}
		}
		if s.n >= 0 && s.n != seen.count {
			return fmt.Errorf("types: set counts %d members, has %d", s.n, seen.count)
		}
		return nil
	case EncIntset, 0:
		return s.ints.Check()
	}
	return fmt.Errorf("types: set in form %d", s.enc)
}
