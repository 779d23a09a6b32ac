package types

import (
	"fmt"
	"slices"
	"sync/atomic"
)

// A zstore keeps the members of a big sorted set, each once, together with its
// score. A record is a slot of a page:
//
//	slack      1 byte: bytes of the slot behind the member that are unused,
//	           0xFF in a free slot
//	member     the slot's capacity less the slack
//
// and its score, which stands in an array beside: a score that changes while a
// copy is held has the page's scores copied, and not the members. The score of a
// free slot is the number of the next one.
//
// Records of one capacity share pages of about zpageBytes of members, which
// hold no pointers, so that the collector has nothing to look at. A record stays
// where it is until the set removes it or moves it to empty a page.
//
// Ownership, the same in zindex and ztree: a part may be changed in place only
// while its own number equals its holder's. A copy gives both holders a new
// number, so that from then on everything is shared and the first holder that writes
// copies the part. Numbers are only ever read by the holder that
// writes, so readers of the other side do not race with it.
type zstore struct {
	own    uint64
	topOwn uint64
	top    []*zpageDir
	pages  int32 // page numbers given out
	spare  int32 // first of the dropped pages, linked by next; -1
	class  []zclass
	bytes  int64
}

// zref names a record: the page's number and the slot in it. It is below
// 1<<zrefBits, which is 2 TiB of small members.
type zref uint64

const (
	zrefBits  = 38
	zslotBits = 10

	zpageBytes   = 8192
	zpageDirSize = 512 // pages to a directory part
	zlargeMember = 1024
	zrecordHead  = 1
	zslotFree    = 0xFF

	zpageOverhead = 112 + 8 // of zpage and of the pointer to it
)

type zpageDir struct {
	own uint64
	p   []*zpage
}

// zpage is one page. A dropped page is kept without data, to link its number.
type zpage struct {
	own      uint64
	dataOwn  uint64
	scoreOwn uint64
	data     []byte
	scores   []float64
	stride   int32 // bytes of a slot
	used     int32 // slots that have been in use
	live     int32
	free     int32 // first free slot below used, -1
	prev     int32 // in its class' list of pages with room, -1
	next     int32
	listed   bool
}

// zclass is the pages of one record capacity. A capacity above zlargeMember
// has no class: such a record has a page of exactly its size.
type zclass struct {
	capacity int32
	head     int32 // first page with room, -1
	pages    int32
	live     int32
	victim   int32 // the page that is being emptied, -1
	slot     int32 // where to go on in it
}

// zowners gives out numbers of ownership; zero is nobody's.
var zowners atomic.Uint64

func newZOwner() uint64 { return zowners.Add(1) }

func newZStore() zstore { return zstore{spare: -1} }

func zcapacity(n int) int {
	switch {
	case n <= 128:
		return (n + 3) &^ 3
	case n <= zlargeMember:
		return (n + 31) &^ 31
	}
	return n
}

// slots is the number of slots of a whole page.
func (p *zpage) slots() int32 { return zslots(p.stride) }

func zslots(stride int32) int32 { return max(1, min(zpageBytes/stride, 1<<zslotBits)) }

func zslot(r zref) int { return int(r & (1<<zslotBits - 1)) }

func (s *zstore) page(i int32) *zpage {
	return s.top[i/zpageDirSize].p[i%zpageDirSize]
}

// record is the slot's bytes, to read.
func (s *zstore) record(r zref) []byte {
	p := s.page(int32(r >> zslotBits))
	off := zslot(r) * int(p.stride)
	return p.data[off : off+int(p.stride)]
}

// score is the record's score.
func (s *zstore) score(r zref) float64 { return s.page(int32(r >> zslotBits)).scores[zslot(r)] }

// member is the record's member; it is valid until the next change of the set.
func (s *zstore) member(r zref) []byte {
	b := s.record(r)
	end := len(b) - int(b[0])
	return b[zrecordHead:end:end]
}

// dirFor is the directory part of page i, to change.
func (s *zstore) dirFor(i int32) *zpageDir {
	if s.topOwn != s.own {
		s.top, s.topOwn = slices.Clone(s.top), s.own
	}
	d := s.top[i/zpageDirSize]
	if d.own != s.own {
		d = &zpageDir{own: s.own, p: slices.Clone(d.p)}
		s.top[i/zpageDirSize] = d
	}
	return d
}

// mutPage is page i, to change all but its members and scores.
func (s *zstore) mutPage(i int32) *zpage {
	d := s.dirFor(i)
	p := d.p[i%zpageDirSize]
	if p.own != s.own {
		q := *p
		q.own = s.own
		p = &q
		d.p[i%zpageDirSize] = p
	}
	return p
}

// mutScores is page i, to change all but its members.
func (s *zstore) mutScores(i int32) *zpage {
	p := s.mutPage(i)
	if p.scoreOwn != s.own {
		p.resizeScores(len(p.scores))
		p.scoreOwn = s.own
	}
	return p
}

// mutAll is page i, to change.
func (s *zstore) mutAll(i int32) *zpage {
	p := s.mutScores(i)
	if p.dataOwn != s.own {
		p.resizeData(len(p.data))
		p.dataOwn = s.own
	}
	return p
}

// resizeData and resizeScores move to new memory.
func (p *zpage) resizeData(n int) {
	data := make([]byte, n)
	copy(data, p.data)
	p.data = data
}

func (p *zpage) resizeScores(n int) {
	scores := make([]float64, n)
	copy(scores, p.scores)
	p.scores = scores
}

// resize gives a page that is to change so many slots.
func (s *zstore) resize(p *zpage, slots int32) {
	s.bytes -= p.bytes()
	p.resizeData(int(slots * p.stride))
	p.resizeScores(int(slots))
	s.bytes += p.bytes()
}

func (p *zpage) bytes() int64 { return int64(len(p.data) + len(p.scores)*8) }

func (s *zstore) setScore(r zref, score float64) {
	s.mutScores(int32(r >> zslotBits)).scores[zslot(r)] = score
}

// classOf finds the class of a capacity, or where it belongs.
func (s *zstore) classOf(capacity int) (int, bool) {
	return slices.BinarySearchFunc(s.class, int32(capacity), func(c zclass, n int32) int { return int(c.capacity - n) })
}

// newPage gives out a page number with an empty page behind it.
func (s *zstore) newPage(capacity int) int32 {
	i := s.spare
	if i >= 0 {
		s.spare = s.page(i).next
	} else {
		i = s.pages
		s.pages++
		if i%zpageDirSize == 0 {
			if s.topOwn != s.own {
				s.top, s.topOwn = slices.Clone(s.top), s.own
			}
			s.top = append(s.top, &zpageDir{own: s.own})
		}
		d := s.dirFor(i)
		d.p = append(d.p, nil)
		s.bytes += zpageOverhead
	}
	s.dirFor(i).p[i%zpageDirSize] = &zpage{
		own: s.own, dataOwn: s.own, scoreOwn: s.own, stride: int32(zrecordHead + capacity), free: -1, prev: -1, next: -1,
	}
	return i
}

// dropPage gives back a page without live records.
func (s *zstore) dropPage(i int32) {
	s.bytes -= s.page(i).bytes()
	s.dirFor(i).p[i%zpageDirSize] = &zpage{own: s.own, next: s.spare}
	s.spare = i
}

// link puts page i at the head of its class' list.
func (s *zstore) link(c *zclass, i int32) {
	p := s.mutPage(i)
	p.listed, p.prev, p.next = true, -1, c.head
	if c.head >= 0 {
		s.mutPage(c.head).prev = i
	}
	c.head = i
}

func (s *zstore) unlink(c *zclass, i int32) {
	p := s.mutPage(i)
	if p.prev >= 0 {
		s.mutPage(p.prev).next = p.next
	} else {
		c.head = p.next
	}
	if p.next >= 0 {
		s.mutPage(p.next).prev = p.prev
	}
	p.listed, p.prev, p.next = false, -1, -1
}

// add keeps a new record.
func (s *zstore) add(member []byte, score float64) zref {
	capacity := zcapacity(len(member))
	var i, slot int32
	var p *zpage
	if capacity > zlargeMember {
		i = s.newPage(capacity)
		p = s.mutAll(i)
		s.resize(p, 1)
		p.used = 1
	} else {
		k, ok := s.classOf(capacity)
		if !ok {
			s.class = slices.Insert(s.class, k, zclass{capacity: int32(capacity), head: -1, victim: -1})
		}
		c := &s.class[k]
		if c.head < 0 {
			s.link(c, s.newPage(capacity))
			c.pages++
		}
		i = c.head
		p = s.mutAll(i)
		if slot = p.free; slot >= 0 {
			p.free = int32(p.scores[slot])
		} else {
			slot = p.used
			p.used++
			if int(p.used) > len(p.scores) { // small sets stay small
				s.resize(p, min(max(4, p.used*2), p.slots()))
			}
		}
		c.live++
		if p.free < 0 && p.used == p.slots() {
			s.unlink(c, i)
		}
	}
	p.live++
	p.scores[slot] = score
	b := p.data[int(slot)*int(p.stride):][:p.stride]
	b[0] = byte(capacity - len(member))
	copy(b[zrecordHead:], member)
	return zref(i)<<zslotBits | zref(slot)
}

// remove gives back the record's slot.
func (s *zstore) remove(r zref) {
	i, slot := int32(r>>zslotBits), int32(zslot(r))
	p := s.page(i)
	capacity := int(p.stride) - zrecordHead
	if capacity > zlargeMember {
		s.dropPage(i)
		return
	}
	k, _ := s.classOf(capacity)
	c := &s.class[k]
	c.live--
	if p.live == 1 {
		if p.listed {
			s.unlink(c, i)
		}
		if c.victim == i {
			c.victim = -1
		}
		c.pages--
		s.dropPage(i)
		return
	}
	p = s.mutAll(i)
	p.live--
	p.scores[slot] = float64(p.free)
	p.data[slot*p.stride] = zslotFree
	p.free = slot
	if !p.listed && c.victim != i {
		s.link(c, i)
	}
}

const (
	zcompactPages = 8 // a class of fewer pages is not worth emptying
	zcompactMoves = 4 // records that one removal moves at most
)

// toMove names a live record of a page that is being emptied in the class that
// r's page had. The set moves it and asks again. At most a third of the slots
// being in use starts it: by then a page holds few records, so that draining a
// whole set moves about a third of it once.
func (s *zstore) toMove(capacity int) (zref, bool) {
	if len(s.class) == 0 || capacity > zlargeMember {
		return 0, false
	}
	k, ok := s.classOf(capacity)
	if !ok {
		return 0, false
	}
	c := &s.class[k]
	if c.victim < 0 {
		perPage := zslots(int32(zrecordHead + capacity))
		if c.pages < zcompactPages || int64(c.live)*3 > int64(c.pages)*int64(perPage) {
			return 0, false
		}
		best := int32(-1)
		for i, n := c.head, 0; i >= 0 && n < 8; i, n = s.page(i).next, n+1 {
			if best < 0 || s.page(i).live < s.page(best).live {
				best = i
			}
		}
		if best < 0 || s.page(best).next < 0 && s.page(best).prev < 0 {
			return 0, false
		}
		s.unlink(c, best)
		c.victim, c.slot = best, 0
	}
	if c.head < 0 { // the others have filled up meanwhile
		s.link(c, c.victim)
		c.victim = -1
		return 0, false
	}
	p := s.page(c.victim)
	for ; c.slot < p.used; c.slot++ {
		if p.data[c.slot*p.stride] != zslotFree {
			return zref(c.victim)<<zslotBits | zref(c.slot), true
		}
	}
	panic("types: sorted set: a page counts live records that it does not have")
}

func (s *zstore) setOwner(own uint64) { s.own = own }

func (s *zstore) copy() zstore {
	t := *s
	t.class = slices.Clone(s.class)
	return t
}

// check verifies the pages; live is called with every live record.
func (s *zstore) check(live func(zref) error) error {
	var total int64
	type count struct{ pages, live, listed int32 }
	classes := map[int32]*count{}
	spare := map[int32]bool{}
	for i := s.spare; i >= 0; i = s.page(i).next {
		spare[i] = true
	}
	for i := range s.pages {
		p := s.page(i)
		total += p.bytes() + zpageOverhead
		if spare[i] != (p.stride == 0) {
			return fmt.Errorf("zstore: page %d: spare %v, stride %d", i, spare[i], p.stride)
		}
		if spare[i] {
			continue
		}
		free := int32(0)
		for f := p.free; f >= 0; free++ {
			if free > p.used || p.data[f*p.stride] != zslotFree {
				return fmt.Errorf("zstore: page %d: bad free list", i)
			}
			f = int32(p.scores[f])
		}
		if len(p.data) != len(p.scores)*int(p.stride) {
			return fmt.Errorf("zstore: page %d: %d bytes of members, %d scores", i, len(p.data), len(p.scores))
		}
		if p.used-free != p.live || p.live < 1 || p.used > p.slots() {
			return fmt.Errorf("zstore: page %d: used %d, free %d, live %d", i, p.used, free, p.live)
		}
		for slot := range p.used {
			if p.data[slot*p.stride] != zslotFree {
				if err := live(zref(i)<<zslotBits | zref(slot)); err != nil {
					return err
				}
			}
		}
		capacity := p.stride - zrecordHead
		if capacity > zlargeMember {
			continue
		}
		k, ok := s.classOf(int(capacity))
		if !ok {
			return fmt.Errorf("zstore: page %d has no class", i)
		}
		c := classes[capacity]
		if c == nil {
			c = &count{}
			classes[capacity] = c
		}
		c.pages++
		c.live += p.live
		if p.listed {
			c.listed++
		}
		room := p.free >= 0 || p.used < p.slots()
		if p.listed != (room && s.class[k].victim != i) {
			return fmt.Errorf("zstore: page %d: listed %v, room %v", i, p.listed, room)
		}
	}
	for _, c := range s.class {
		n := classes[c.capacity]
		if n == nil {
			n = &count{}
		}
		prev := int32(-1)
		for i := c.head; i >= 0; i = s.page(i).next {
			if p := s.page(i); p.prev != prev || !p.listed || p.stride-zrecordHead != c.capacity {
				return fmt.Errorf("zstore: class %d: bad list at page %d", c.capacity, i)
			}
			prev = i
			n.listed--
		}
		if n.pages != c.pages || n.live != c.live || n.listed != 0 {
			return fmt.Errorf("zstore: class %+v: counted %+v", c, *n)
		}
	}
	if total != s.bytes {
		return fmt.Errorf("zstore: %d bytes, counted %d", s.bytes, total)
	}
	return nil
}
