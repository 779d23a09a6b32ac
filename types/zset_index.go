package types

import (
	"fmt"
	"hash/maphash"
	"slices"
)

// A zindex finds records by the hash of their member. It keeps one word for
// each, the top zhashBits of the hash and the reference, in the order of the
// hashes: segments of up to zsegMax words, each sorted, of which each owns the
// hashes with a common prefix; a page of segments is found by a shorter
// prefix. A full segment splits in two, so growth never takes longer than one
// segment. Because of the order a SCAN cursor is a hash, and survives every
// change.
//
// Interpolation finds a hash's place in its segment: a segment of a hundred is
// off by five or so, which is the same cache line or the next.
type zindex struct {
	own    uint64
	topOwn uint64
	depth  uint8 // bits of the hash that choose from top
	top    []*zsegPage
	bytes  int64
}

const (
	zhashBits = 64 - zrefBits
	zhashMax  = 1<<zhashBits - 1
	zsegMax   = 128
	zsegStep  = 32 // words by which a segment grows
	zsegBits  = 9  // bits of the hash that a page of segments chooses by, at most

	zsegOverhead = 48 + 8
)

// zsegPage chooses a segment by the bits of the hash behind the first depth.
// A segment that needs fewer bits than that stands there more than once.
type zsegPage struct {
	own   uint64
	depth uint8
	bits  uint8
	dir   []*zseg // 1<<bits
}

type zseg struct {
	own   uint64
	depth uint8 // bits of the hash that all words share
	w     []uint64
}

// zseed is secret, so that nobody can choose members with equal hashes.
var zseed = maphash.MakeSeed()

func zhash(member []byte) uint32 {
	return uint32(maphash.Bytes(zseed, member) >> zrefBits)
}

func newZIndex(own uint64) zindex {
	x := zindex{own: own, topOwn: own}
	seg := &zseg{own: own}
	x.top = []*zsegPage{{own: own, dir: []*zseg{seg}}}
	x.bytes = zsegOverhead
	return x
}

func (p *zsegPage) slot(h uint32) uint32 {
	return h >> (zhashBits - p.depth - p.bits) & (1<<p.bits - 1)
}

func (x *zindex) page(h uint32) *zsegPage { return x.top[h>>(zhashBits-x.depth)] }

func (x *zindex) seg(h uint32) *zseg {
	p := x.page(h)
	return p.dir[p.slot(h)]
}

// lowerBound is the place of the first word whose hash is at least h.
func (g *zseg) lowerBound(h uint32) int {
	n := len(g.w)
	rest := h & (1<<(zhashBits-g.depth) - 1)
	i := int(uint64(rest) * uint64(n) >> (zhashBits - g.depth))
	for i > 0 && uint32(g.w[i-1]>>zrefBits) >= h {
		i--
	}
	for i < n && uint32(g.w[i]>>zrefBits) < h {
		i++
	}
	return i
}

// find looks for the member's record.
func (x *zindex) find(s *zstore, h uint32, member []byte) (zref, bool) {
	g := x.seg(h)
	for i := g.lowerBound(h); i < len(g.w) && uint32(g.w[i]>>zrefBits) == h; i++ {
		r := zref(g.w[i] & (1<<zrefBits - 1))
		if string(s.member(r)) == string(member) {
			return r, true
		}
	}
	return 0, false
}

// has tells whether there is any record of that hash.
func (x *zindex) has(h uint32) bool {
	g := x.seg(h)
	i := g.lowerBound(h)
	return i < len(g.w) && uint32(g.w[i]>>zrefBits) == h
}

// mutPage is the page of h's segment, to change.
func (x *zindex) mutPage(h uint32) *zsegPage {
	i := h >> (zhashBits - x.depth)
	p := x.top[i]
	if p.own == x.own {
		return p
	}
	q := &zsegPage{own: x.own, depth: p.depth, bits: p.bits, dir: slices.Clone(p.dir)}
	x.putPage(h, q)
	return q
}

// putPage puts p wherever top is to lead to it.
func (x *zindex) putPage(h uint32, p *zsegPage) {
	if x.topOwn != x.own {
		x.top, x.topOwn = slices.Clone(x.top), x.own
	}
	n := uint32(1) << (x.depth - p.depth)
	first := h >> (zhashBits - x.depth) &^ (n - 1)
	for i := range n {
		x.top[first+i] = p
	}
}

// put puts g wherever the page is to lead to it.
func (p *zsegPage) put(h uint32, g *zseg) {
	n := uint32(1) << (p.depth + p.bits - g.depth)
	first := p.slot(h) &^ (n - 1)
	for i := range n {
		p.dir[first+i] = g
	}
}

// mutSeg is h's segment, to change.
func (x *zindex) mutSeg(h uint32) *zseg {
	if g := x.seg(h); g.own == x.own {
		return g
	}
	p := x.mutPage(h)
	g := p.dir[p.slot(h)]
	q := &zseg{own: x.own, depth: g.depth, w: append(make([]uint64, 0, cap(g.w)), g.w...)}
	p.put(h, q)
	return q
}

// resize gives the segment's words a capacity that fits n of them.
func (x *zindex) resize(g *zseg, n int) {
	w := make([]uint64, len(g.w), max(zsegStep, (n+zsegStep-1)&^(zsegStep-1)))
	copy(w, g.w)
	x.bytes += int64(cap(w)-cap(g.w)) * 8
	g.w = w
}

func (x *zindex) insert(h uint32, r zref) {
	g := x.mutSeg(h)
	for len(g.w) >= zsegMax && g.depth < zhashBits {
		x.split(h, g)
		g = x.mutSeg(h)
	}
	if len(g.w) == cap(g.w) {
		x.resize(g, len(g.w)+1)
	}
	i := g.lowerBound(h)
	g.w = append(g.w, 0)
	copy(g.w[i+1:], g.w[i:])
	g.w[i] = uint64(h)<<zrefBits | uint64(r)
}

// split divides h's segment g, which the index owns, by one more bit.
func (x *zindex) split(h uint32, g *zseg) {
	p := x.mutPage(h)
	if g.depth == p.depth+p.bits {
		if p.bits == zsegBits {
			x.splitPage(h, p)
			p = x.mutPage(h)
		}
		dir := make([]*zseg, 2*len(p.dir))
		for i, g := range p.dir {
			dir[2*i], dir[2*i+1] = g, g
		}
		x.bytes += int64(len(p.dir)) * 8
		p.dir = dir
		p.bits++
	}
	bit := uint32(1) << (zhashBits - g.depth - 1)
	high := h&^(bit-1) | bit // the first hash of the upper half
	i := g.lowerBound(high)
	upper := &zseg{own: x.own, depth: g.depth + 1, w: g.w[i:]}
	lower := &zseg{own: x.own, depth: g.depth + 1, w: g.w[:i:i]}
	x.bytes += zsegOverhead - 8 - int64(cap(g.w))*8
	for _, half := range []*zseg{lower, upper} {
		x.bytes += int64(cap(half.w)) * 8
		x.resize(half, len(half.w))
	}
	p.put(high, upper)
	p.put(high&^bit, lower)
}

// splitPage divides h's page p by one more bit.
func (x *zindex) splitPage(h uint32, p *zsegPage) {
	if p.depth == x.depth {
		top := make([]*zsegPage, 2*len(x.top))
		for i, p := range x.top {
			top[2*i], top[2*i+1] = p, p
		}
		x.top, x.topOwn = top, x.own
		x.depth++
	}
	half := len(p.dir) / 2
	lower := &zsegPage{own: x.own, depth: p.depth + 1, bits: p.bits - 1, dir: slices.Clone(p.dir[:half])}
	upper := &zsegPage{own: x.own, depth: p.depth + 1, bits: p.bits - 1, dir: slices.Clone(p.dir[half:])}
	bit := uint32(1) << (zhashBits - p.depth - 1)
	x.putPage(h|bit, upper)
	x.putPage(h&^bit, lower)
}

// place is the place of r in h's segment g; it must be there.
func (g *zseg) place(h uint32, r zref) int {
	word := uint64(h)<<zrefBits | uint64(r)
	for i := g.lowerBound(h); i < len(g.w); i++ {
		if g.w[i] == word {
			return i
		}
	}
	panic("types: sorted set: a record is not in the index")
}

func (x *zindex) remove(h uint32, r zref) {
	g := x.mutSeg(h)
	i := g.place(h, r)
	g.w = append(g.w[:i], g.w[i+1:]...)
	if cap(g.w)-len(g.w) >= 2*zsegStep {
		x.resize(g, len(g.w))
	}
	if len(g.w) <= zsegMax/8 {
		x.merge(h, g)
	}
}

// merge joins h's segment with the other half of its parent if both are nearly
// empty, so that walking a set that has shrunk is not walking empty segments.
func (x *zindex) merge(h uint32, g *zseg) {
	p := x.page(h)
	if g.depth == p.depth {
		return // the other half is in another page
	}
	bit := uint32(1) << (zhashBits - g.depth)
	lower, upper := g, p.dir[p.slot(h^bit)]
	if upper.depth != g.depth || len(upper.w) > zsegMax/8 {
		return
	}
	if h&bit != 0 {
		lower, upper = upper, lower
	}
	x.bytes -= 2*(zsegOverhead-8) + int64(cap(lower.w)+cap(upper.w))*8
	both := &zseg{own: x.own, depth: g.depth - 1}
	both.w = append(append(make([]uint64, 0, zsegMax/4), lower.w...), upper.w...)
	x.bytes += zsegOverhead - 8 + int64(cap(both.w))*8
	x.mutPage(h).put(h, both)
}

// move tells that h's record r is now q.
func (x *zindex) move(h uint32, r, q zref) {
	g := x.mutSeg(h)
	g.w[g.place(h, r)] = uint64(h)<<zrefBits | uint64(q)
}

// next walks the segments: it is the first hash behind h's segment, which is
// above zhashMax behind the last one.
func (g *zseg) next(h uint32) uint32 {
	span := uint32(1) << (zhashBits - g.depth)
	return h&^(span-1) + span
}

func (x *zindex) check(s *zstore) (words int, err error) {
	bytes := int64(0)
	for i, p := range x.top {
		if p.depth > x.depth || p.bits > zsegBits || len(p.dir) != 1<<p.bits {
			return 0, fmt.Errorf("zindex: page %d: depth %d, %d bits", i, p.depth, p.bits)
		}
		first := i &^ (1<<(x.depth-p.depth) - 1)
		if x.top[first] != p {
			return 0, fmt.Errorf("zindex: top %d differs from %d", i, first)
		}
		if i == first {
			bytes += int64(len(p.dir)) * 8
		}
	}
	for h := uint32(0); h <= zhashMax; {
		g, p := x.seg(h), x.page(h)
		if g.depth < p.depth || g.depth > p.depth+p.bits {
			return 0, fmt.Errorf("zindex: segment of depth %d in a page of %d+%d", g.depth, p.depth, p.bits)
		}
		end := g.next(h)
		for i := range uint32(1) << (p.depth + p.bits - g.depth) {
			if p.dir[p.slot(h)+i] != g {
				return 0, fmt.Errorf("zindex: segment at %x stands at too few places", h)
			}
		}
		for i, w := range g.w {
			wh := uint32(w >> zrefBits)
			if wh < h || wh >= end || i > 0 && wh < uint32(g.w[i-1]>>zrefBits) {
				return 0, fmt.Errorf("zindex: hash %x in segment %x", wh, h)
			}
			if m := s.member(zref(w & (1<<zrefBits - 1))); zhash(m) != wh {
				return 0, fmt.Errorf("zindex: hash %x of %q", wh, m)
			}
		}
		if len(g.w) > zsegMax && g.depth < zhashBits {
			return 0, fmt.Errorf("zindex: segment of %d", len(g.w))
		}
		words += len(g.w)
		bytes += zsegOverhead - 8 + int64(cap(g.w))*8
		h = end
	}
	if bytes != x.bytes {
		return 0, fmt.Errorf("zindex: %d bytes, counted %d", x.bytes, bytes)
	}
	return words, nil
}
