package stream

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// Pending is an entry that was delivered and not acknowledged.
type Pending struct {
	ID ID
	// Time is when it was delivered last, in Unix milliseconds; of an entry that
	// belongs to nobody (XNACK), its number in the order in which these are
	// handed out again.
	Time  int64
	Count uint64 // deliveries
	// Consumer is the number of whom it belongs to; 0: to nobody.
	Consumer uint32
}

// pending is the pending entries of a group, by ID.
//
// A leaf keeps two things that are only hints, so that an entry may go without
// a look at the others: least is at most the earliest Time in it, and who has
// the bit of every consumer in it (its number modulo 64; the bits of some that
// are gone may be left). Whoever looks and finds nothing corrects them, if the
// leaf is the stream's own.
type pending struct {
	leaves []*pendingLeaf
	n      int
}

type pendingLeaf struct {
	owner uint64
	items []Pending // not empty
	least int64
	who   uint64
}

const (
	// pendingMax is the most entries of a leaf: 8 KiB of them.
	pendingMax       = 204
	pendingBytes     = 40
	pendingLeafBytes = 72
)

func bit(consumer uint32) uint64 { return 1 << (consumer % 64) }

func (l *pendingLeaf) bytes() int64 { return int64(cap(l.items))*pendingBytes + pendingLeafBytes }

// hint computes least and who anew.
func (l *pendingLeaf) hint() {
	l.least, l.who = math.MaxInt64, 0
	for i := range l.items {
		l.least = min(l.least, l.items[i].Time)
		l.who |= bit(l.items[i].Consumer)
	}
}

// place is where an entry of that ID stands or would have to.
func (p *pending) place(id ID) (li, i int, there bool) {
	if len(p.leaves) == 0 {
		return 0, 0, false
	}
	// Mostly it is at one of the ends.
	if last := len(p.leaves) - 1; last > 0 {
		switch {
		case !id.Less(p.leaves[last].items[0].ID):
			li = last
		case id.Less(p.leaves[1].items[0].ID):
		default:
			li = sort.Search(len(p.leaves), func(i int) bool { return id.Less(p.leaves[i].items[0].ID) }) - 1
		}
	}
	items := p.leaves[li].items
	if n := len(items); items[n-1].ID.Less(id) {
		return li, n, false
	}
	lo, hi := 0, len(items)
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); items[m].ID.Less(id) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return li, lo, items[lo].ID == id
}

// get is the entry of that ID, nil if there is none. It must not be changed.
func (p *pending) get(id ID) *Pending {
	if li, i, ok := p.place(id); ok {
		return &p.leaves[li].items[i]
	}
	return nil
}

// own makes a leaf the stream's own; the group is.
func (s *Stream) ownPending(p *pending, li int) *pendingLeaf {
	l := p.leaves[li]
	if l.owner != s.owner {
		was := l.bytes()
		l = &pendingLeaf{owner: s.owner, items: slices.Clone(l.items), least: l.least, who: l.who}
		p.leaves[li] = l
		s.mem += l.bytes() - was
	}
	return l
}

// put adds an entry or replaces the one of its ID.
func (s *Stream) putPending(p *pending, e Pending) {
	li, i, there := p.place(e.ID)
	if there {
		l := s.ownPending(p, li)
		l.items[i] = e
		l.least, l.who = min(l.least, e.Time), l.who|bit(e.Consumer)
		return
	}
	p.n++
	if len(p.leaves) == 0 {
		p.leaves = append(p.leaves, &pendingLeaf{owner: s.owner, least: e.Time})
		s.mem += pendingLeafBytes
	}
	l := s.ownPending(p, li)
	if len(l.items) == pendingMax {
		if i == pendingMax && li == len(p.leaves)-1 {
			l = &pendingLeaf{owner: s.owner, items: make([]Pending, 0, pendingMax), least: e.Time}
			p.leaves = append(p.leaves, l)
			i = 0
		} else {
			half := pendingMax / 2
			right := &pendingLeaf{owner: s.owner, items: append(make([]Pending, 0, pendingMax), l.items[half:]...)}
			l.items = l.items[:half]
			l.hint()
			right.hint()
			p.leaves = slices.Insert(p.leaves, li+1, right)
			s.mem += right.bytes()
			if i > half {
				l, i = right, i-half
			}
			s.insertPending(l, i, e)
			return
		}
		s.mem += l.bytes()
	}
	s.insertPending(l, i, e)
}

func (s *Stream) insertPending(l *pendingLeaf, i int, e Pending) {
	was := cap(l.items)
	if n := len(l.items); n == was {
		items := make([]Pending, n, min(max(4, 2*n), pendingMax))
		copy(items, l.items)
		l.items = items
	}
	l.items = slices.Insert(l.items, i, e)
	s.mem += int64(cap(l.items)-was) * pendingBytes
	l.least, l.who = min(l.least, e.Time), l.who|bit(e.Consumer)
}

// remove takes out the entry at a place that place gave.
func (s *Stream) removePending(p *pending, li, i int) {
	p.n--
	if len(p.leaves[li].items) == 1 {
		s.mem -= p.leaves[li].bytes()
		if li == 0 {
			p.leaves[0] = nil
			p.leaves = p.leaves[1:]
		} else {
			p.leaves = slices.Delete(p.leaves, li, li+1)
		}
		return
	}
	l := s.ownPending(p, li)
	if i == 0 {
		l.items = l.items[1:]
		s.mem -= pendingBytes
	} else {
		l.items = slices.Delete(l.items, i, i+1)
	}
	if len(l.items) < pendingMax/4 && li+1 < len(p.leaves) && len(l.items)+len(p.leaves[li+1].items) <= pendingMax/2 {
		next := p.leaves[li+1]
		s.mem -= l.bytes() + next.bytes()
		l.items = append(append(make([]Pending, 0, len(l.items)+len(next.items)), l.items...), next.items...)
		l.least, l.who = min(l.least, next.least), l.who|next.who
		s.mem += l.bytes()
		p.leaves = slices.Delete(p.leaves, li+1, li+2)
	}
}

// each calls f for the entries from id on, of one consumer only unless it is
// anyConsumer, until f returns false. f must not change anything.
func (p *pending) each(from ID, consumer int64, f func(e *Pending) bool) {
	li, i, _ := p.place(from)
	for ; li < len(p.leaves); li, i = li+1, 0 {
		l := p.leaves[li]
		if consumer >= 0 && l.who&bit(uint32(consumer)) == 0 {
			continue
		}
		for ; i < len(l.items); i++ {
			if e := &l.items[i]; (consumer < 0 || e.Consumer == uint32(consumer)) && !f(e) {
				return
			}
		}
	}
}

// anyConsumer makes each pass over nobody's entries.
const anyConsumer = -1

// checkPending verifies what pending says of itself, and returns its bytes.
func (s *Stream) checkPending(g *Group) (mem int64, err error) {
	var last ID
	counts := make(map[uint32]int)
	n := 0
	for li, l := range g.pel.leaves {
		if len(l.items) == 0 || len(l.items) > pendingMax || l.owner == s.owner && g.owner != s.owner {
			return 0, fmt.Errorf("stream: group %q: leaf %d of pending entries has %d", g.Name, li, len(l.items))
		}
		for i := range l.items {
			e := &l.items[i]
			if n > 0 && !last.Less(e.ID) {
				return 0, fmt.Errorf("stream: group %q: pending %s is out of order", g.Name, e.ID)
			}
			if e.Time < l.least || l.who&bit(e.Consumer) == 0 {
				return 0, fmt.Errorf("stream: group %q: pending %s is not in its leaf's hints", g.Name, e.ID)
			}
			last = e.ID
			n++
			counts[e.Consumer]++
		}
		mem += l.bytes()
	}
	if n != g.pel.n {
		return 0, fmt.Errorf("stream: group %q: %d pending entries, noted %d", g.Name, n, g.pel.n)
	}
	if counts[0] != g.nacked {
		return 0, fmt.Errorf("stream: group %q: %d entries are nobody's, noted %d", g.Name, counts[0], g.nacked)
	}
	for _, c := range g.byName {
		if counts[c.number] != c.Pending {
			return 0, fmt.Errorf("stream: group %q: consumer %q has %d pending entries, noted %d", g.Name, c.Name, counts[c.number], c.Pending)
		}
		n -= c.Pending
	}
	if n != g.nacked {
		return 0, fmt.Errorf("stream: group %q: %d pending entries belong to no consumer", g.Name, n)
	}
	return mem, nil
}
