package stream

import (
	"container/heap"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Group is a consumer group. It must not be changed but through the Stream's
// methods, which take one that EditGroup, AddGroup or another such method
// returned since the last Copy.
type Group struct {
	owner uint64
	Name  string
	// Last is the ID of the last entry delivered.
	Last ID
	// Read is the number of entries read, by Redis's way of counting; -1: not
	// known.
	Read int64

	pel    pending
	nacked int   // pending entries that are nobody's
	handed int64 // the number given to the last one of them
	byName []*Consumer
	byNum  []*Consumer // by number - 1; nil: free
}

// ReadUnknown is a Group.Read that is not known.
const ReadUnknown = -1

// Consumer is one of a group.
type Consumer struct {
	owner  uint64
	number uint32
	Name   string
	// Seen is when it last tried anything, Active when it last got something,
	// in Unix milliseconds; Active is -1 if it never did.
	Seen, Active int64
	Pending      int // its pending entries
}

// Number is what Pending.Consumer says of it.
func (c *Consumer) Number() uint32 { return c.number }

const (
	groupBytes    = 176
	consumerBytes = 96
)

// Groups are all groups, by name. The slice must not be changed.
func (s *Stream) Groups() []*Group { return s.groups }

func (s *Stream) groupAt(name []byte) (int, bool) {
	if len(s.groups) == 1 && s.groups[0].Name == string(name) {
		return 0, true
	}
	return slices.BinarySearchFunc(s.groups, name, func(g *Group, name []byte) int { return strings.Compare(g.Name, string(name)) })
}

// Group is the group of that name, nil if there is none; for reading.
func (s *Stream) Group(name []byte) *Group {
	if i, ok := s.groupAt(name); ok {
		return s.groups[i]
	}
	return nil
}

// EditGroup is Group for changes.
func (s *Stream) EditGroup(name []byte) *Group {
	i, ok := s.groupAt(name)
	if !ok {
		return nil
	}
	g := s.groups[i]
	if g.owner == s.owner {
		return g
	}
	c := *g
	g = &c
	g.owner = s.owner
	g.pel.leaves = slices.Clone(g.pel.leaves)
	g.byName, g.byNum = slices.Clone(g.byName), slices.Clone(g.byNum)
	s.groups = slices.Clone(s.groups)
	s.groups[i] = g
	return g
}

// AddGroup makes a group; nil: there is one of that name.
func (s *Stream) AddGroup(name []byte, last ID, read int64) *Group {
	i, there := s.groupAt(name)
	if there {
		return nil
	}
	g := &Group{owner: s.owner, Name: string(name), Last: last, Read: read}
	s.groups = slices.Insert(slices.Clone(s.groups), i, g)
	s.mem += groupBytes + int64(len(name))
	return g
}

// RemoveGroup removes a group with all its pending entries, in one step.
func (s *Stream) RemoveGroup(name []byte) bool {
	i, ok := s.groupAt(name)
	if !ok {
		return false
	}
	g := s.groups[i]
	s.mem -= groupBytes + int64(len(g.Name))
	for _, c := range g.byName {
		s.mem -= consumerBytes + int64(len(c.Name))
	}
	for _, l := range g.pel.leaves {
		s.mem -= l.bytes()
	}
	s.groups = slices.Delete(slices.Clone(s.groups), i, i+1)
	return true
}

// Consumers are all consumers, by name. The slice must not be changed.
func (g *Group) Consumers() []*Consumer { return g.byName }

func (g *Group) consumerAt(name []byte) (int, bool) {
	return slices.BinarySearchFunc(g.byName, name, func(c *Consumer, name []byte) int { return strings.Compare(c.Name, string(name)) })
}

// Consumer is the consumer of that name, nil if there is none; for reading.
func (g *Group) Consumer(name []byte) *Consumer {
	if i, ok := g.consumerAt(name); ok {
		return g.byName[i]
	}
	return nil
}

// Owner is whom a pending entry belongs to, nil: nobody.
func (g *Group) Owner(e *Pending) *Consumer {
	if e.Consumer == 0 {
		return nil
	}
	return g.byNum[e.Consumer-1]
}

// AddConsumer makes a consumer; there must be none of that name.
func (s *Stream) AddConsumer(g *Group, name []byte, now int64) *Consumer {
	i, _ := g.consumerAt(name)
	c := &Consumer{owner: s.owner, Name: string(name), Seen: now, Active: -1}
	g.byName = slices.Insert(g.byName, i, c)
	free := slices.Index(g.byNum, nil)
	if free < 0 {
		free = len(g.byNum)
		g.byNum = append(g.byNum, nil)
	}
	c.number = uint32(free) + 1
	g.byNum[free] = c
	s.mem += consumerBytes + int64(len(name))
	return c
}

// EditConsumer is Group.Consumer for changes.
func (s *Stream) EditConsumer(g *Group, name []byte) *Consumer {
	i, ok := g.consumerAt(name)
	if !ok {
		return nil
	}
	return s.ownConsumer(g, g.byName[i], i)
}

// ownConsumer makes a consumer the stream's own; i is its place by name, -1: not
// known.
func (s *Stream) ownConsumer(g *Group, c *Consumer, i int) *Consumer {
	if c.owner == s.owner {
		return c
	}
	if i < 0 {
		i, _ = g.consumerAt([]byte(c.Name))
	}
	o := *c
	o.owner = s.owner
	g.byName[i], g.byNum[o.number-1] = &o, &o
	return &o
}

// RemoveConsumer removes a consumer with its pending entries.
func (s *Stream) RemoveConsumer(g *Group, name []byte) {
	i, ok := g.consumerAt(name)
	if !ok {
		return
	}
	c := g.byName[i]
	if c.Pending > 0 {
		keep := g.pel.leaves[:0]
		for li := range g.pel.leaves {
			l := g.pel.leaves[li]
			if l.who&bit(c.number) != 0 {
				l = s.ownPending(&g.pel, li)
				was := len(l.items)
				l.items = slices.DeleteFunc(l.items, func(e Pending) bool { return e.Consumer == c.number })
				g.pel.n -= was - len(l.items)
				if len(l.items) == 0 {
					s.mem -= l.bytes()
					continue
				}
				l.hint()
			}
			keep = append(keep, l)
		}
		clear(g.pel.leaves[len(keep):])
		g.pel.leaves = keep
	}
	g.byName = slices.Delete(g.byName, i, i+1)
	g.byNum[c.number-1] = nil
	s.mem -= consumerBytes + int64(len(c.Name))
}

// DropPending removes pending entries of a consumer, from an ID on: those of leaves that
// hold at most most entries together. gone is told each that goes. It returns from where
// to go on; more: there are leaves left.
func (s *Stream) DropPending(g *Group, name []byte, from ID, most int, gone func(ID)) (next ID, more bool) {
	c := s.EditConsumer(g, name)
	p := &g.pel
	li, _, _ := p.place(from)
	to, at := li, li // the leaves from li up to at are kept, those up to to were looked at
	for ; to < len(p.leaves) && most > 0; to++ {
		l := p.leaves[to]
		most -= len(l.items)
		if l.who&bit(c.number) != 0 {
			l = s.ownPending(p, to)
			was := len(l.items)
			l.items = slices.DeleteFunc(l.items, func(e Pending) bool {
				if e.Consumer != c.number {
					return false
				}
				gone(e.ID)
				return true
			})
			p.n -= was - len(l.items)
			c.Pending -= was - len(l.items)
			if len(l.items) == 0 {
				s.mem -= l.bytes()
				continue
			}
			l.hint()
		}
		p.leaves[at] = l
		at++
	}
	if more = to < len(p.leaves); more {
		next = p.leaves[to].items[0].ID
	}
	p.leaves = slices.Delete(p.leaves, at, to)
	return next, more
}

// PendingLen is the number of pending entries.
func (g *Group) PendingLen() int { return g.pel.n }

// Nacked is the number of those that are nobody's.
func (g *Group) Nacked() int { return g.nacked }

// Pending is the pending entry of that ID, nil if there is none. It must not be
// changed, and is valid until something is.
func (g *Group) Pending(id ID) *Pending { return g.pel.get(id) }

// EachPending calls f for the pending entries from id on, in order, until it
// returns false; of c only, unless that is nil. f must not change the stream.
func (g *Group) EachPending(from ID, c *Consumer, f func(e *Pending) bool) {
	who := int64(anyConsumer)
	if c != nil {
		if c.Pending == 0 {
			return
		}
		who = int64(c.number)
	}
	g.pel.each(from, who, f)
}

// PendingEnds are the lowest and the highest ID of all pending entries, of
// which there must be one.
func (g *Group) PendingEnds() (first, last ID) {
	l := g.pel.leaves[len(g.pel.leaves)-1]
	return g.pel.leaves[0].items[0].ID, l.items[len(l.items)-1].ID
}

// count notes that n more entries belong to that consumer.
func (s *Stream) count(g *Group, consumer uint32, n int) {
	if consumer == 0 {
		g.nacked += n
		return
	}
	c := s.ownConsumer(g, g.byNum[consumer-1], -1)
	c.Pending += n
}

// Assign makes an entry pending, or changes one that is.
func (s *Stream) Assign(g *Group, e Pending) {
	li, i, there := g.pel.place(e.ID)
	if !there {
		s.count(g, e.Consumer, 1)
		s.putPending(&g.pel, e)
		return
	}
	if was := g.pel.leaves[li].items[i].Consumer; was != e.Consumer {
		s.count(g, was, -1)
		s.count(g, e.Consumer, 1)
	}
	l := s.ownPending(&g.pel, li)
	l.items[i] = e
	l.least, l.who = min(l.least, e.Time), l.who|bit(e.Consumer)
}

// Release makes an entry pending that is nobody's, behind those that are, or
// changes one that is pending.
func (s *Stream) Release(g *Group, id ID, count uint64) {
	g.handed++
	s.Assign(g, Pending{ID: id, Time: g.handed, Count: count})
}

// Ack ends that an entry is pending; false: it is not.
func (s *Stream) Ack(g *Group, id ID) bool {
	li, i, there := g.pel.place(id)
	if there {
		s.count(g, g.pel.leaves[li].items[i].Consumer, -1)
		s.removePending(&g.pel, li, i)
	}
	return there
}

// acked tells whether every group has read an entry and acknowledged it.
func (s *Stream) acked(id ID) bool {
	for _, g := range s.groups {
		if g.Last.Less(id) || g.pel.get(id) != nil {
			return false
		}
	}
	return true
}

// Acked tells whether every group has read an entry and acknowledged it.
func (s *Stream) Acked(id ID) bool { return s.acked(id) }

// dropRefs ends that an entry is pending in any group.
func (s *Stream) dropRefs(id ID) bool {
	dropped := false
	for i := 0; i < len(s.groups); i++ {
		if g := s.groups[i]; g.pel.get(id) != nil {
			s.Ack(s.EditGroup([]byte(g.Name)), id)
			dropped = true
		}
	}
	return dropped
}

// DropRefs ends that an entry is pending in any group; false: it is in none.
func (s *Stream) DropRefs(id ID) bool { return s.dropRefs(id) }

// Due appends to dst the pending entries that were delivered at before at the
// latest, and are in the stream or not, up to max of them: first nobody's in
// their order, then the longest idle ones. Those of equal time come by ID.
func (g *Group) Due(before int64, max int, dst []Pending) []Pending {
	if g.pel.n == 0 || max <= 0 {
		return dst
	}
	if n := min(max, g.nacked); n > 0 {
		dst, max = g.earliest(math.MaxInt64, n, false, dst), max-n
	}
	if max == 0 {
		return dst
	}
	return g.earliest(before, max, true, dst)
}

// earliest adds the most entries with the earliest times, none after before, of those that
// belong to somebody or of the others. It opens leaves in the order of their earliest
// time, and stops where no other can have an earlier one than what is found.
func (g *Group) earliest(before int64, most int, owned bool, dst []Pending) []Pending {
	order := make(leafHeap, 0, len(g.pel.leaves))
	for _, l := range g.pel.leaves {
		if l.least <= before {
			order = append(order, l)
		}
	}
	inOrder := most < g.pel.n
	if inOrder {
		heap.Init(&order)
	}
	var h dueHeap
	for len(order) > 0 {
		var l *pendingLeaf
		if inOrder {
			if l = heap.Pop(&order).(*pendingLeaf); len(h) == most && l.least > h[0].Time {
				break
			}
		} else {
			l, order = order[0], order[1:]
		}
		for i := range l.items {
			if e := &l.items[i]; (e.Consumer != 0) == owned && e.Time <= before {
				h.offer(e, most)
			}
		}
	}
	slices.SortFunc(h, func(a, b Pending) int {
		if a.Time != b.Time {
			if a.Time < b.Time {
				return -1
			}
			return 1
		}
		return a.ID.Compare(b.ID)
	})
	return append(dst, h...)
}

// leafHeap is leaves with the one of the earliest time on top.
type leafHeap []*pendingLeaf

func (h leafHeap) Len() int           { return len(h) }
func (h leafHeap) Less(i, j int) bool { return h[i].least < h[j].least }
func (h leafHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *leafHeap) Push(l any)        { *h = append(*h, l.(*pendingLeaf)) }
func (h *leafHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	*h = (*h)[:last]
	return l
}

// dueHeap keeps the earliest entries that it is offered, the latest of them on
// top once it is full.
type dueHeap []Pending

func later(a, b *Pending) bool { return a.Time > b.Time || a.Time == b.Time && b.ID.Less(a.ID) }

func (h *dueHeap) offer(e *Pending, most int) {
	a := *h
	if len(a) < most {
		a = append(a, *e)
		*h = a
		if len(a) == most {
			for i := len(a)/2 - 1; i >= 0; i-- {
				a.down(i)
			}
		}
		return
	}
	if later(&a[0], e) {
		a[0] = *e
		a.down(0)
	}
}

func (h dueHeap) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && later(&h[c+1], &h[c]) {
			c++
		}
		if !later(&h[c], &h[i]) {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}

// Earliest is the earliest time of delivery of a pending entry; false: there is
// none. Where entries are nobody's it is the past. It corrects hints.
func (s *Stream) Earliest(g *Group) (int64, bool) {
	if g.pel.n == 0 {
		return 0, false
	}
	if g.nacked > 0 {
		return math.MinInt64, true
	}
	for {
		least, at := int64(math.MaxInt64), 0
		for li, l := range g.pel.leaves {
			if l.least < least {
				least, at = l.least, li
			}
		}
		l := g.pel.leaves[at]
		if slices.ContainsFunc(l.items, func(e Pending) bool { return e.Time == least }) {
			return least, true
		}
		if l.owner != s.owner {
			g = s.EditGroup([]byte(g.Name))
			l = s.ownPending(&g.pel, at)
		}
		l.hint()
	}
}

// Delivered moves a group on to an entry that it is given, which is in the
// stream and comes after Group.Last.
func (s *Stream) Delivered(g *Group, id ID) {
	if g.Read != ReadUnknown && !g.Last.Less(s.first) && !s.tombstones(g.Last) {
		g.Read++
	} else if s.added > 0 {
		g.Read = s.Distance(id)
	}
	g.Last = id
}

// tombstones tells whether an entry from id on was deleted that is not before
// all that are left.
func (s *Stream) tombstones(id ID) bool {
	return s.n > 0 && !s.maxDeleted.IsZero() && !s.maxDeleted.Less(s.first) && !s.maxDeleted.Less(id)
}

// Distance is the number of entries added up to and with the one of that ID,
// ReadUnknown if that cannot be told. (Redis: the ID's logical read counter.)
func (s *Stream) Distance(id ID) int64 {
	switch {
	case s.added == 0:
		return 0
	case s.n == 0 && !s.last.Less(id):
		return int64(s.added)
	case id == s.last:
		return int64(s.added)
	case s.last.Less(id):
		return ReadUnknown
	}
	if s.maxDeleted.IsZero() || s.maxDeleted.Less(s.first) {
		switch {
		case id.Less(s.first):
			return int64(s.added) - int64(s.n)
		case id == s.first:
			return int64(s.added) - int64(s.n) + 1
		}
	}
	return ReadUnknown
}

// Lag is the number of entries that a group has still to be given; false: where
// Redis cannot tell it. Where nothing behind Last was deleted it goes by Read, as in Redis:
// XGROUP SETID may have said that, and is believed. Else entries that are there are counted.
func (s *Stream) Lag(g *Group) (int, bool) {
	switch {
	case s.added == 0 || s.n == 0:
		return 0, true
	case g.Last.Less(s.first) && (s.maxDeleted.IsZero() || s.maxDeleted.Less(s.first)):
		return s.n, true
	case g.Read != ReadUnknown && !s.tombstones(g.Last):
		return max(int(s.added)-int(g.Read), 0), true
	case s.Distance(g.Last) != ReadUnknown:
		return s.Count(g.Last), true
	}
	return 0, false
}

func (s *Stream) checkGroups() (mem int64, err error) {
	for i, g := range s.groups {
		if i > 0 && s.groups[i-1].Name >= g.Name {
			return 0, fmt.Errorf("stream: group %q is out of order", g.Name)
		}
		mem += groupBytes + int64(len(g.Name))
		numbered := 0
		for j, c := range g.byName {
			if j > 0 && g.byName[j-1].Name >= c.Name || c.number == 0 || int(c.number) > len(g.byNum) || g.byNum[c.number-1] != c {
				return 0, fmt.Errorf("stream: group %q: consumer %q is out of order", g.Name, c.Name)
			}
			if c.owner == s.owner && g.owner != s.owner {
				return 0, fmt.Errorf("stream: group %q: consumer %q is owned in a group that is not", g.Name, c.Name)
			}
			mem += consumerBytes + int64(len(c.Name))
			numbered++
		}
		for _, c := range g.byNum {
			if c != nil {
				numbered--
			}
		}
		if numbered != 0 {
			return 0, fmt.Errorf("stream: group %q: numbers and names of consumers differ", g.Name)
		}
		n, err := s.checkPending(g)
		if err != nil {
			return 0, err
		}
		mem += n
	}
	return mem, nil
}
