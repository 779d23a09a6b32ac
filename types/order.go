package types

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// An Order keeps byte strings, each once, in their order: the fields of a hash that is
// asked for ranges, the keys of a database. It is a list of pages of leaves. A leaf is a
// node (see table) whose refs are in the order of their strings, so that the collector
// sees some objects for every few hundred strings, and a string takes its own bytes and
// some six more. All strings of a leaf begin with the same node.full bytes; a ref's tag is
// the two bytes behind those, so that a search looks at few strings.
//
// A leaf's first is a short string that is above all strings of the leaf before and not
// above its own; that of the very first leaf counts as before everything. The firsts of a
// page's leaves, and those of the pages' first leaves, are searched by their heads (see
// heads), because the strings themselves lie anywhere.
//
// The zero value is not usable. What is read is valid until the next change.
type Order struct {
	epoch uint64
	pages []*orderPage
	heads heads  // of pages; replaced as a whole
	shape uint64 // the epoch to which the slice pages belongs
	count int
	bytes int64
}

type orderPage struct {
	epoch  uint64
	count  int // strings
	leaves []orderLeaf
	heads  heads // of leaves
}

// heads are what ascending strings are searched by: eight bytes of each as a number, from
// those on with which all but the first of them begin. The first counts as before
// everything, so its own is not looked at.
type heads struct {
	prefix string
	at     []uint64
}

// headAt is eight bytes of b from skip on, zeros where it is shorter.
func headAt[T string | []byte](b T, skip int) (h uint64) {
	if len(b) >= skip+8 {
		b := b[skip : skip+8]
		return uint64(b[7]) | uint64(b[6])<<8 | uint64(b[5])<<16 | uint64(b[4])<<24 |
			uint64(b[3])<<32 | uint64(b[2])<<40 | uint64(b[1])<<48 | uint64(b[0])<<56
	}
	for i := skip; i < len(b); i++ {
		h |= uint64(b[i]) << (56 - 8*(i-skip))
	}
	return h
}

// headsOf are the heads of n strings.
func headsOf(n int, first func(i int) string) heads {
	h := heads{at: make([]uint64, n, n+n/8)}
	if n < 2 {
		return h
	}
	h.prefix = first(1)[:shared(first(1), first(n-1))]
	for i := 1; i < n; i++ {
		h.at[i] = headAt(first(i), len(h.prefix))
	}
	return h
}

// insert is for n strings of which number i, not the first, is new.
func (h *heads) insert(i, n int, first func(i int) string) {
	// A string between others begins as they do.
	if i == 1 || i == n-1 && !strings.HasPrefix(first(i), h.prefix) {
		*h = headsOf(n, first)
		return
	}
	h.at = slices.Insert(h.at, i, headAt(first(i), len(h.prefix)))
}

// last is the last string that is not above b, the first one if all are.
func (h *heads) last(b []byte, first func(i int) string) int {
	if len(b) < len(h.prefix) || string(b[:len(h.prefix)]) != h.prefix {
		if string(b) < h.prefix {
			return 0
		}
		return len(h.at) - 1
	}
	head := headAt(b, len(h.prefix))
	lo, hi := 1, len(h.at)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if h.at[m] < head || h.at[m] == head && first(m) <= string(b) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo - 1
}

type orderLeaf struct {
	first string
	*node
}

const (
	orderLeafMax = 256
	orderLeafMin = 64
	orderPageMax = 128

	orderPageBytes = 8 + 88 + 8
	orderLeafBytes = 24 + 8
)

// NewOrder is an empty order.
func NewOrder() *Order {
	o := &Order{epoch: epochs.Add(1)}
	o.shape = o.epoch
	n := &node{epoch: o.epoch}
	o.pages = []*orderPage{{epoch: o.epoch, leaves: []orderLeaf{{node: n}}, heads: heads{at: make([]uint64, 1)}}}
	o.headPages()
	o.bytes = n.mem() + orderLeafBytes + orderPageBytes
	return o
}

// Len is the number of strings.
func (o *Order) Len() int { return o.count }

// Bytes is the memory that the order holds.
func (o *Order) Bytes() int64 { return o.bytes }

// Copy is O(1); what either side changes is copied then.
func (o *Order) Copy() *Order {
	c := *o
	o.epoch, c.epoch = epochs.Add(1), epochs.Add(1)
	return &c
}

// orderAt is a place: before string at of a leaf.
type orderAt struct{ page, leaf, at int }

// seek is the place of the first string that is not before b, or of the first behind b
// if after. It may stand behind the last string of a leaf.
func (o *Order) seek(b []byte, after bool) (p orderAt, found bool) {
	// The last page, and in it the last leaf, whose first is not above b.
	p.page = o.heads.last(b, o.firstOf)
	pg := o.pages[p.page]
	p.leaf = pg.heads.last(b, pg.firstOf)
	p.at, found = pg.leaves[p.leaf].search(b)
	if found && after {
		p.at++
	}
	return p, found
}

// firstOf is the first of a page's first leaf.
func (o *Order) firstOf(page int) string { return o.pages[page].leaves[0].first }

// firstOf is the first of a leaf.
func (pg *orderPage) firstOf(leaf int) string { return pg.leaves[leaf].first }

// headPages makes the heads of the pages anew.
func (o *Order) headPages() { o.heads = headsOf(len(o.pages), o.firstOf) }

// headLeaves makes the heads of an owned page's leaves anew.
func (pg *orderPage) headLeaves() { pg.heads = headsOf(len(pg.leaves), pg.firstOf) }

// search is the place of b in a leaf.
func (l orderLeaf) search(b []byte) (at int, found bool) {
	if len(l.refs) == 0 {
		return 0, false
	}
	skip := int(l.full)
	if prefix := l.key(l.refs[0])[:skip]; !bytes.HasPrefix(b, prefix) {
		if bytes.Compare(b, prefix) < 0 {
			return 0, false
		}
		return len(l.refs), false
	}
	tag := tagAt(b, skip)
	lo, hi := 0, len(l.refs)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		less := l.refs[m]>>16 < tag
		if l.refs[m]>>16 == tag {
			c := bytes.Compare(l.key(l.refs[m]), b)
			if c == 0 {
				return m, true
			}
			less = c < 0
		}
		if less {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo, false
}

// tagAt is the two bytes of b from skip on, 0 where it is shorter.
func tagAt(b []byte, skip int) (tag uint32) {
	if skip < len(b) {
		tag = uint32(b[skip]) << 8
	}
	if skip+1 < len(b) {
		tag |= uint32(b[skip+1])
	}
	return tag
}

// shared is the number of bytes with which both begin.
func shared[T string | []byte](a, b T) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// tagAll finds what all strings of an owned leaf begin with, and their tags.
func tagAll(n *node) {
	if len(n.refs) == 0 {
		return
	}
	n.full = int32(shared(n.key(n.refs[0]), n.key(n.refs[len(n.refs)-1])))
	for i, ref := range n.refs {
		n.refs[i] = tagAt(n.key(ref), int(n.full))<<16 | ref&0xFFFF
	}
}

// Has tells whether b is there.
func (o *Order) Has(b []byte) bool {
	_, found := o.seek(b, false)
	return found
}

// ownPage is the page of a place, made ready for changes.
func (o *Order) ownPage(page int) *orderPage {
	pg := o.pages[page]
	if pg.epoch != o.epoch {
		o.ownPages()
		pg = &orderPage{epoch: o.epoch, count: pg.count, leaves: slices.Clone(pg.leaves), heads: heads{pg.heads.prefix, slices.Clone(pg.heads.at)}}
		o.pages[page] = pg
	}
	return pg
}

func (o *Order) ownPages() {
	if o.shape != o.epoch {
		o.pages, o.shape = slices.Clone(o.pages), o.epoch
	}
}

// own is the page and the leaf of a place, made ready for changes.
func (o *Order) own(p orderAt) (*orderPage, *node) {
	pg := o.ownPage(p.page)
	n := pg.leaves[p.leaf].node
	if n.epoch != o.epoch {
		c := n.clone(o.epoch)
		o.bytes += c.mem() - n.mem()
		pg.leaves[p.leaf].node = c
		n = c
	}
	return pg, n
}

// Add puts b in and tells whether it was not there.
func (o *Order) Add(b []byte) bool {
	for {
		p, found := o.seek(b, false)
		if found {
			return false
		}
		pg, n := o.own(p)
		size, large := n.recordSize(b, nil, 0, false)
		if len(n.refs) >= orderLeafMax || n.live()+size > leafBytes && len(n.refs) > 1 {
			o.split(p, b)
			continue
		}
		before := n.mem()
		var body []byte
		if large {
			body = bytes.Clone(b)
		}
		n.roomBlob(size, false)
		n.roomRefs()
		ref := n.write(b, nil, body, 0, false)
		n.refs = slices.Insert(n.refs, p.at, tagAt(b, int(n.full))<<16|ref)
		// A string between others begins as they do, and those need not be looked at.
		if last := len(n.refs) - 1; last == 0 || (p.at == 0 || p.at == last) && shared(n.key(n.refs[0]), n.key(n.refs[last])) < int(n.full) {
			tagAll(n)
		}
		o.bytes += n.mem() - before
		pg.count++
		o.count++
		return true
	}
}

// split makes two of a leaf, which is owned and where b is to stand at p. What comes in
// order leaves full leaves behind.
func (o *Order) split(p orderAt, b []byte) {
	pg := o.pages[p.page]
	n := pg.leaves[p.leaf].node
	middle := len(n.refs) / 2
	last := p.at == len(n.refs) && p.leaf == len(pg.leaves)-1 && p.page == len(o.pages)-1
	right := b
	if last {
		middle = len(n.refs)
	} else {
		right = n.key(n.refs[middle])
	}
	leaf := orderLeaf{first: separator(n.key(n.refs[middle-1]), right)}
	o.bytes -= n.mem()
	if last {
		leaf.node = &node{epoch: o.epoch}
	} else {
		l, r := o.part(n, 0, middle), o.part(n, middle, len(n.refs))
		pg.leaves[p.leaf].node, leaf.node, n = l, r, l
	}
	o.bytes += n.mem() + leaf.mem() + orderLeafBytes + int64(len(leaf.first))
	pg.leaves = slices.Insert(pg.leaves, p.leaf+1, leaf)
	pg.heads.insert(p.leaf+1, len(pg.leaves), pg.firstOf)
	if len(pg.leaves) <= orderPageMax {
		return
	}
	o.ownPages()
	half := len(pg.leaves) / 2
	if last {
		half = len(pg.leaves) - 1
	}
	next := &orderPage{epoch: o.epoch, leaves: slices.Clone(pg.leaves[half:])}
	for _, l := range next.leaves {
		next.count += len(l.refs)
	}
	pg.leaves = slices.Clone(pg.leaves[:half])
	pg.count -= next.count
	o.bytes += orderPageBytes
	pg.headLeaves()
	next.headLeaves()
	o.pages = slices.Insert(o.pages, p.page+1, next)
	o.headPages()
}

// separator is the shortest string that is above l and not above r, of those that r
// begins with.
func separator(l, r []byte) string {
	return string(r[:shared(l, r)+1])
}

// part is a leaf of n's strings from position i to j.
func (o *Order) part(n *node, i, j int) *node {
	size := n.live() * (j - i) / max(1, len(n.refs))
	c := &node{epoch: o.epoch, refs: grown[uint32]((j - i) * 9 / 8), blob: grown[byte](min(size*9/8, blobMax))}
	for _, ref := range n.refs[i:j] {
		c.refs = append(c.refs, c.take(n, ref, false))
	}
	tagAll(c)
	return c
}

// Remove takes b out and tells whether it was there.
func (o *Order) Remove(b []byte) bool {
	p, found := o.seek(b, false)
	if !found {
		return false
	}
	pg, n := o.own(p)
	before := n.mem()
	n.drop(p.at, false)
	o.bytes += n.mem() - before
	pg.count--
	o.count--
	switch {
	case len(n.refs) == 0:
		o.dropLeaf(p)
	case len(n.refs) < orderLeafMin && len(n.refs)%8 == 0 && p.leaf+1 < len(pg.leaves):
		o.mergeLeaf(p)
	}
	return true
}

// dropLeaf takes an empty leaf out, unless it is the only one.
func (o *Order) dropLeaf(p orderAt) {
	pg := o.pages[p.page]
	if len(pg.leaves) == 1 && len(o.pages) == 1 {
		return
	}
	o.forget(pg, p.leaf)
	o.ownPages()
	if len(pg.leaves) == 0 {
		o.bytes -= orderPageBytes
		o.pages = slices.Delete(o.pages, p.page, p.page+1)
		o.headPages()
		return
	}
	if p.leaf == 0 {
		o.headPages()
	}
	if p.page+1 == len(o.pages) || len(pg.leaves) >= orderPageMax/4 {
		return
	}
	if next := o.pages[p.page+1]; len(pg.leaves)+len(next.leaves) <= orderPageMax*3/4 {
		pg.leaves = append(pg.leaves, next.leaves...)
		pg.headLeaves()
		pg.count += next.count
		o.bytes -= orderPageBytes
		o.pages = slices.Delete(o.pages, p.page+1, p.page+2)
		o.headPages()
	}
}

// forget takes a leaf out of an owned page.
func (o *Order) forget(pg *orderPage, i int) {
	l := pg.leaves[i]
	o.bytes -= l.mem() + orderLeafBytes + int64(len(l.first))
	pg.leaves = slices.Delete(pg.leaves, i, i+1)
	pg.heads.at = slices.Delete(pg.heads.at, i, i+1)
}

// mergeLeaf joins an owned leaf with the one behind it in its page, if both are small.
func (o *Order) mergeLeaf(p orderAt) {
	pg := o.pages[p.page]
	n, next := pg.leaves[p.leaf].node, pg.leaves[p.leaf+1].node
	if len(n.refs)+len(next.refs) > orderLeafMax/2 || n.live()+next.live() > leafBytes/2 {
		return
	}
	before := n.mem()
	m := o.part(n, 0, len(n.refs))
	m.blob = append(grown[byte](len(m.blob)+next.live()), m.blob...)
	for _, ref := range next.refs {
		m.refs = append(m.refs, m.take(next, ref, false))
	}
	tagAll(m)
	pg.leaves[p.leaf].node = m
	o.bytes += m.mem() - before
	o.forget(pg, p.leaf+1)
}

// bound is the place where a range begins (low) or ends.
func (o *Order) bound(b *LexBound, low bool) orderAt {
	switch {
	case b.Inf < 0:
		return orderAt{}
	case b.Inf > 0:
		last := len(o.pages) - 1
		leaves := o.pages[last].leaves
		return orderAt{last, len(leaves) - 1, len(leaves[len(leaves)-1].refs)}
	}
	p, _ := o.seek(b.Member, b.Ex == low)
	return p
}

// rank is the number of strings before a place.
func (o *Order) rank(p orderAt) (n int) {
	for _, pg := range o.pages[:p.page] {
		n += pg.count
	}
	for _, l := range o.pages[p.page].leaves[:p.leaf] {
		n += len(l.refs)
	}
	return n + p.at
}

// Count is the number of strings in a range.
func (o *Order) Count(r *LexRange) int {
	return max(0, o.rank(o.bound(&r.Max, false))-o.rank(o.bound(&r.Min, true)))
}

// An OrderCursor goes over a range, forwards or backwards. A change of the order ends it.
type OrderCursor struct {
	o       *Order
	p, end  orderAt
	reverse bool
}

// Cursor is at the start of a range, behind the first offset strings.
func (o *Order) Cursor(r *LexRange, reverse bool, offset int) OrderCursor {
	from, to := o.bound(&r.Min, true), o.bound(&r.Max, false)
	c := OrderCursor{o, from, to, reverse}
	if reverse {
		c.p, c.end = to, from
	}
	if offset > 0 {
		n := o.rank(c.p) + offset
		if reverse {
			n -= 2 * offset
		}
		if n < 0 || n > o.count {
			c.p = c.end
		} else {
			c.p = o.at(n)
		}
	}
	return c
}

// at is the place in front of which there are n strings.
func (o *Order) at(n int) (p orderAt) {
	for n > o.pages[p.page].count {
		n -= o.pages[p.page].count
		p.page++
	}
	leaves := o.pages[p.page].leaves
	for n > len(leaves[p.leaf].refs) {
		n -= len(leaves[p.leaf].refs)
		p.leaf++
	}
	p.at = n
	return p
}

func (p orderAt) less(q orderAt) bool {
	return p.page < q.page || p.page == q.page && (p.leaf < q.leaf || p.leaf == q.leaf && p.at < q.at)
}

// Next is the next string; false: there is none.
func (c *OrderCursor) Next() (b []byte, ok bool) {
	if c.reverse {
		return c.previous()
	}
	p := &c.p
	if !p.less(c.end) {
		return nil, false
	}
	leaves := c.o.pages[p.page].leaves
	for p.at == len(leaves[p.leaf].refs) {
		p.at = 0
		if p.leaf++; p.leaf == len(leaves) {
			p.page, p.leaf = p.page+1, 0
			leaves = c.o.pages[p.page].leaves
		}
		if !p.less(c.end) { // it stands at the end of the leaf before, or here
			return nil, false
		}
	}
	l := leaves[p.leaf]
	b = l.key(l.refs[p.at])
	p.at++
	return b, true
}

func (c *OrderCursor) previous() (b []byte, ok bool) {
	p := &c.p
	if !c.end.less(*p) {
		return nil, false
	}
	leaves := c.o.pages[p.page].leaves
	for p.at == 0 {
		if p.leaf--; p.leaf < 0 {
			p.page--
			leaves = c.o.pages[p.page].leaves
			p.leaf = len(leaves) - 1
		}
		if p.at = len(leaves[p.leaf].refs); !c.end.less(*p) {
			return nil, false
		}
	}
	p.at--
	l := leaves[p.leaf]
	return l.key(l.refs[p.at]), true
}

func (h *heads) check(n int, first func(i int) string) error {
	if len(h.at) != n {
		return fmt.Errorf("order: %d heads of %d strings", len(h.at), n)
	}
	for i := 1; i < n; i++ {
		if b := first(i); !strings.HasPrefix(b, h.prefix) || h.at[i] != headAt(b, len(h.prefix)) {
			return fmt.Errorf("order: the head %x behind %q of %q", h.at[i], h.prefix, b)
		}
	}
	return nil
}

// Check verifies every invariant; it is for tests.
func (o *Order) Check() error {
	if err := o.heads.check(len(o.pages), o.firstOf); err != nil {
		return err
	}
	count, mem := 0, int64(0)
	var last []byte
	for i, pg := range o.pages {
		mem += orderPageBytes
		n := 0
		if len(pg.leaves) == 0 || len(pg.leaves) > orderPageMax {
			return fmt.Errorf("order: a page of %d leaves", len(pg.leaves))
		}
		if err := pg.heads.check(len(pg.leaves), pg.firstOf); err != nil {
			return err
		}
		for j, l := range pg.leaves {
			mem += l.mem() + orderLeafBytes + int64(len(l.first))
			n += len(l.refs)
			if len(l.refs) == 0 && o.count > 0 || len(l.refs) > orderLeafMax {
				return fmt.Errorf("order: a leaf of %d", len(l.refs))
			}
			if i+j > 0 && (string(last) >= l.first || len(l.refs) > 0 && string(l.key(l.refs[0])) < l.first) {
				return fmt.Errorf("order: %q stands between %q and a leaf", l.first, last)
			}
			for k, ref := range l.refs {
				b := l.key(ref)
				if !bytes.HasPrefix(b, l.key(l.refs[0])[:l.full]) || ref>>16 != tagAt(b, int(l.full)) {
					return fmt.Errorf("order: %q has the tag %x in a leaf of %q", b, ref>>16, l.key(l.refs[0])[:l.full])
				}
				if (i+j+k > 0) && bytes.Compare(last, b) >= 0 {
					return fmt.Errorf("order: %q before %q", last, b)
				}
				last = b
			}
		}
		if n != pg.count {
			return fmt.Errorf("order: a page counts %d strings, has %d", pg.count, n)
		}
		count += n
	}
	if count != o.count || mem != o.bytes {
		return fmt.Errorf("order: %d strings and %d bytes, noted %d and %d", count, mem, o.count, o.bytes)
	}
	return nil
}
