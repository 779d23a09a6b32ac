package types

import (
	"bytes"
	"cmp"
	"math"
	"slices"
)

// Set algebra hands every member of the result to a function as it finds it
// and builds no set. Big sets are in the order of their members' hashes, and
// all tables have one seed, so they are merged as sorted runs; packed sets are
// probed, or become a small run of their own.
//
// emit may be nil, to count only; it stops everything by returning false. A
// limit of 0 is none. The result is the number of members emitted or counted.
// The same set may be given several times. Members are in no order that means
// anything, and are valid until emit returns.

// setSink counts and passes on the members of a result, and counts down the
// steps that finding them may take. A step is a member looked at, about 0.1 us,
// or 0.3 if nothing is in the processor's cache.
type setSink struct {
	n     int
	limit int
	emit  func(Elem) bool
	left  int // steps; negative: they did not suffice, and n means nothing
}

// step takes n steps. It returns false if fewer are left.
func (k *setSink) step(n int) bool {
	k.left -= n
	return k.left >= 0
}

// keySteps is what a member costs once: a long one takes longer to hash.
func keySteps(key []byte) int { return 1 + len(key)>>9 }

// probeSteps is about how many steps looking a member up in sets costs: what is
// packed is passed over element by element.
func probeSteps(sets []*Set) int {
	n := len(sets)
	for _, s := range sets {
		if s.enc == EncListpack {
			n += s.Len() / 16
		}
	}
	return n
}

// SetInterWithin is SetInter, counting only, in a bounded number of steps; ok
// is false if they do not suffice.
func SetInterWithin(sets []*Set, limit, steps int) (n int, ok bool) {
	sink := setSink{limit: limit, left: steps}
	sink.inter(sets)
	return sink.n, sink.left >= 0
}

// SetDiffWithin is SetDiff, likewise.
func SetDiffWithin(sets []*Set, limit, steps int) (n int, ok bool) {
	sink := setSink{limit: limit, left: steps}
	sink.diff(sets)
	return sink.n, sink.left >= 0
}

// put tells whether more members are wanted.
func (k *setSink) put(e Elem) bool {
	k.n++
	return (k.emit == nil || k.emit(e)) && k.n != k.limit
}

// all is the result of one set alone.
func (k *setSink) all(s *Set) int {
	if k.emit == nil {
		k.n = s.Len()
		if k.limit > 0 {
			k.n = min(k.n, k.limit)
		}
	} else {
		s.Each(k.put)
	}
	return k.n
}

// setProbe is a member that is looked up in several sets. Its hash and its
// decimal digits are worked out once, when they are first needed.
type setProbe struct {
	e      Elem
	b      []byte
	hash   uint64
	hashed bool
	buf    [maxDecimal]byte
}

func (p *setProbe) set(e Elem) {
	p.e, p.b, p.hashed = e, e.S, false
	if e.IsInt() {
		p.b = e.Append(p.buf[:0])
	}
}

func (p *setProbe) in(s *Set) bool {
	switch {
	case s.enc == EncHashtable:
		if !p.hashed {
			p.hash, p.hashed = hashOf(p.b), true
		}
		return s.big.has(p.hash, p.b)
	case s.enc != EncListpack && p.e.IsInt():
		_, found := s.ints.Find(p.e.I)
		return found
	}
	return s.Has(p.b)
}

// inAll tells whether the member is in all sets, inAny in one at least.
func (p *setProbe) inAll(sets []*Set) bool {
	return !slices.ContainsFunc(sets, func(s *Set) bool { return !p.in(s) })
}

func (p *setProbe) inAny(sets []*Set) bool { return slices.ContainsFunc(sets, p.in) }

// runs divides sets into the runs of the big ones, each at its first member,
// and the packed ones. Empty sets are left out.
func runs(sets []*Set) (big []*tableIter, packed []*Set) {
	for _, s := range sets {
		if s.enc != EncHashtable {
			if s.Len() > 0 {
				packed = append(packed, s)
			}
		} else if it := s.big.iter(); it.next() {
			big = append(big, &it)
		}
	}
	return big, packed
}

// packedRun makes one run of the union of packed sets.
func packedRun(sets []*Set) *tableIter {
	t := newTable(false)
	var p setProbe
	for _, s := range sets {
		s.Each(func(e Elem) bool {
			p.set(e)
			t.add(hashOf(p.b), p.b)
			return true
		})
	}
	it := t.iter()
	it.next()
	return &it
}

// at tells whether the run, which has a member, stands at the given one.
func (it *tableIter) at(h uint64, key []byte) bool {
	return it.hash == h && bytes.Equal(it.key, key)
}

// SetInter finds the members that are in all sets. There is at least one set.
func SetInter(sets []*Set, limit int, emit func(Elem) bool) int {
	sink := setSink{limit: limit, emit: emit, left: math.MaxInt}
	sink.inter(sets)
	return sink.n
}

func (k *setSink) inter(sets []*Set) {
	sets = slices.Clone(sets)
	slices.SortStableFunc(sets, func(a, b *Set) int { return cmp.Compare(a.Len(), b.Len()) })
	switch {
	case sets[0].Len() == 0:
		return
	case len(sets) == 1:
		k.all(sets[0])
		return
	case sets[0].enc != EncHashtable:
		var p setProbe
		each := probeSteps(sets[1:])
		sets[0].Each(func(e Elem) bool {
			p.set(e)
			return k.step(each) && (!p.inAll(sets[1:]) || k.put(e))
		})
		return
	}
	big, packed := runs(sets)
	probe := probeSteps(packed)
	first, others := big[0], big[1:]
	var p setProbe
	for more := true; more; {
		// The sets that are behind catch up: they skip members that cannot be in all sets.
		met := true
		for _, it := range others {
			if !k.step(keySteps(first.key)) || !it.seek(first.hash, first.key) {
				return
			}
			if !it.at(first.hash, first.key) {
				more = first.seek(it.hash, it.key)
				met = false
				break
			}
		}
		if !met {
			continue
		}
		if len(packed) > 0 {
			if !k.step(probe) {
				return
			}
			p.set(BytesElem(first.key))
			met = p.inAll(packed)
		}
		if met && !k.put(BytesElem(first.key)) {
			return
		}
		more = first.next()
	}
}

// SetUnion finds the members that are in any set.
func SetUnion(sets []*Set, limit int, emit func(Elem) bool) int {
	sink := setSink{limit: limit, emit: emit, left: math.MaxInt}
	if len(sets) == 1 {
		return sink.all(sets[0])
	}
	big, packed := runs(sets)
	if len(packed) > 0 {
		big = append(big, packedRun(packed))
	}
	heap := runHeap(big)
	for i := len(heap)/2 - 1; i >= 0; i-- {
		heap.down(i)
	}
	for len(heap) > 0 {
		h, key := heap[0].hash, heap[0].key
		if !sink.put(BytesElem(key)) {
			break
		}
		for len(heap) > 0 && heap[0].at(h, key) {
			if !heap[0].next() {
				heap[0] = heap[len(heap)-1]
				heap = heap[:len(heap)-1]
			}
			heap.down(0)
		}
	}
	return sink.n
}

// runHeap has the run that stands at the least member on top.
type runHeap []*tableIter

func (r runHeap) less(i, j int) bool {
	return compareMembers(r[i].hash, r[i].key, r[j].hash, r[j].key) < 0
}

// down lets the run at i sink to its place.
func (r runHeap) down(i int) {
	for {
		least := i
		for kid := 2*i + 1; kid <= 2*i+2 && kid < len(r); kid++ {
			if r.less(kid, least) {
				least = kid
			}
		}
		if least == i {
			return
		}
		r[i], r[least] = r[least], r[i]
		i = least
	}
}

// SetDiff finds the members of the first set that are in none of the others.
func SetDiff(sets []*Set, limit int, emit func(Elem) bool) int {
	sink := setSink{limit: limit, emit: emit, left: math.MaxInt}
	sink.diff(sets)
	return sink.n
}

func (k *setSink) diff(sets []*Set) {
	first, others := sets[0], sets[1:]
	if first.enc != EncHashtable {
		var p setProbe
		each := 1 + probeSteps(others)
		first.Each(func(e Elem) bool {
			p.set(e)
			return k.step(each) && (p.inAny(others) || k.put(e))
		})
		return
	}
	big, packed := runs(others)
	if len(packed) > 0 {
		for _, s := range packed {
			if !k.step(s.Len()) {
				return
			}
		}
		big = append(big, packedRun(packed))
	}
next:
	for it := first.big.iter(); it.next(); {
		if !k.step(keySteps(it.key) + len(big)) {
			return
		}
		for i := 0; i < len(big); i++ {
			if !big[i].seek(it.hash, it.key) {
				big = slices.Delete(big, i, i+1)
				i--
			} else if big[i].at(it.hash, it.key) {
				continue next
			}
		}
		if !k.put(BytesElem(it.key)) {
			return
		}
	}
}

// A SetBuilder builds a set of members that come in any order, quickest in the
// order in which set algebra emits them. The form is what adding them to an
// empty set one by one would lead to.
type SetBuilder struct {
	set   Set
	table *tableBuilder
	last  uint64 // hash of the last member in table
	any   bool
	buf   [maxDecimal]byte
}

// NewSetBuilder starts an empty set.
func NewSetBuilder(limits SetLimits) *SetBuilder {
	return &SetBuilder{set: Set{Limits: limits}}
}

// Add puts a member in, if it is not there yet.
func (b *SetBuilder) Add(e Elem) {
	m := e.S
	if e.IsInt() {
		m = e.Append(b.buf[:0])
	}
	if b.table != nil {
		b.addHashed(hashOf(m), m)
		return
	}
	b.set.Add(m)
	if b.set.enc == EncHashtable {
		// It has outgrown the packed forms: from here on it is built in the
		// order of the hashes, in which its members come out.
		small := b.set.big
		b.set.big = nil
		b.table = newTableBuilder(false)
		for it := small.iter(); it.next(); {
			b.addHashed(it.hash, it.key)
		}
	}
}

func (b *SetBuilder) addHashed(h uint64, m []byte) {
	if b.any && h <= b.last && !b.table.direct {
		b.table.finish()
	}
	if b.table.direct {
		b.table.t.add(h, m)
		return
	}
	b.last, b.any = h, true
	b.table.add(h, m, nil, 0)
}

// Set is the set, once all members are in. The builder is not to be used again.
func (b *SetBuilder) Set() *Set {
	if b.table != nil {
		b.set.big = &bigSet{*b.table.finish()}
	}
	return &b.set
}

// UnitScores lets a set take part in the algebra of sorted sets: every member
// has the score 1.
type UnitScores struct{ *Set }

// Each calls f for every member until it returns false.
func (u UnitScores) Each(f func(member []byte, score float64) bool) {
	var buf [maxDecimal]byte
	u.Set.Each(func(e Elem) bool {
		if e.IsInt() {
			return f(e.Append(buf[:0]), 1)
		}
		return f(e.S, 1)
	})
}

// Score is 1 for a member.
func (u UnitScores) Score(member []byte) (score float64, ok bool) {
	return 1, u.Has(member)
}
