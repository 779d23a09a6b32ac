package types

import (
	"bytes"
	"slices"
	"sync/atomic"
)

// A big hash that is asked for its fields in order gets an Order of them, which every
// change of fields keeps up from then on. It is no part of the value: copies, files and
// streams do not have it. Making it takes a second for a million fields, so a worker
// makes it from a copy of the hash, while changes are noted; see BuildOrder.

// hashOrder is the Order of a big hash: ready, or on its way.
type hashOrder struct {
	fields *Order      // nil while it is being made
	build  *orderBuild // nil once it is ready
	used   int64       // when it was last wanted, in Unix milliseconds
}

// orderBuild is an Order that a worker makes. The worker may have a low priority, so who
// has the hash never waits for it: both share changes, and no lock.
type orderBuild struct {
	fields *table // the hash as it was, for the worker
	// changes are what happened since then, the last first; orderSealed once made is all,
	// and orderFailed where there will be none. Whoever has the hash puts changes in front,
	// the worker takes all of them at a time.
	changes atomic.Pointer[orderChange]
	made    *Order      // to be read once changes is orderSealed
	dropped atomic.Bool // nobody wants it any more
}

// orderChange is a field that came or went, or somebody who waits for the order.
type orderChange struct {
	field []byte
	gone  bool
	wake  func()
	next  *orderChange
}

var orderSealed, orderFailed orderChange

// note puts a change in front of the others; false: the worker has ended.
func (p *orderBuild) note(c *orderChange) bool {
	for {
		c.next = p.changes.Load()
		if c.next == &orderSealed || c.next == &orderFailed {
			return false
		}
		if p.changes.CompareAndSwap(c.next, c) {
			return true
		}
	}
}

// orderAtOnce is how many fields are put in order without leaving the caller: some
// milliseconds' tenth.
const orderAtOnce = 1024

// changed keeps the order up with a field that came or went.
func (b *bigHash) changed(field []byte, gone bool) {
	switch b.settle(true, field, gone) {
	case OrderReady:
		if gone {
			b.order.fields.Remove(field)
		} else {
			b.order.fields.Add(field)
		}
	case OrderNone:
		b.order = nil
	}
}

// settle takes over the order that the worker has made, if it is done; else it notes a
// change of a field for it, if there is one. OrderNone: the worker has given up.
func (b *bigHash) settle(note bool, field []byte, gone bool) OrderState {
	p := b.order.build
	if p == nil {
		return OrderReady
	}
	if note && p.note(&orderChange{field: bytes.Clone(field), gone: gone}) {
		return OrderBuilds
	}
	switch p.changes.Load() {
	case &orderSealed:
		b.order.fields, b.order.build = p.made, nil
		return OrderReady
	case &orderFailed:
		return OrderNone
	}
	return OrderBuilds
}

// dropOrder forgets the order.
func (b *bigHash) dropOrder() {
	if o := b.order; o != nil && o.build != nil {
		o.build.dropped.Store(true)
	}
	b.order = nil
}

// Indexed is an Object that may have an index which is no part of its value.
type Indexed interface {
	DropIndex()
}

// DropIndex see Indexed.
func (b *bigHash) DropIndex() { b.dropOrder() }

// run makes the order, and calls those who wait for it.
func (p *orderBuild) run() {
	var waiters []func()
	defer func() {
		if p.changes.Load() != &orderSealed {
			for c := p.changes.Swap(&orderFailed); c != nil; c = c.next {
				if c.wake != nil {
					waiters = append(waiters, c.wake)
				}
			}
		}
		for _, f := range waiters {
			f()
		}
	}()
	all := make([][]byte, 0, p.fields.count)
	for it := p.fields.iter(); it.next(); {
		all = append(all, it.key)
	}
	slices.SortFunc(all, bytes.Compare)
	o := NewOrder()
	for i, field := range all {
		if i%4096 == 0 && p.dropped.Load() {
			return
		}
		o.Add(field)
	}
	p.fields, p.made = nil, o
	for !p.dropped.Load() && !p.changes.CompareAndSwap(nil, &orderSealed) {
		var first *orderChange // they come the last first
		for c := p.changes.Swap(nil); c != nil; {
			first, c, c.next = c, c.next, first
		}
		for c := first; c != nil; c = c.next {
			switch {
			case c.wake != nil:
				waiters = append(waiters, c.wake)
			case c.gone:
				o.Remove(c.field)
			default:
				o.Add(c.field)
			}
		}
	}
}

// OrderState says how a hash has its fields in order.
type OrderState uint8

const (
	OrderNone   OrderState = iota // a big hash without an Order
	OrderBuilds                   // one is being made
	OrderReady                    // ranges are quick; a small hash is always ready
)

// Ordered tells how the hash has its fields in order, and marks it as wanted now. grown
// is by how many bytes the hash has become larger by that.
func (h *Hash) Ordered(now int64) (s OrderState, grown int64) {
	if h.enc != EncHashtable {
		return OrderReady, 0
	}
	o := h.big.order
	if o == nil {
		return OrderNone, 0
	}
	o.used = now
	had := h.big.orderBytes()
	if s = h.big.settle(false, nil, false); s == OrderNone {
		h.big.order = nil
	}
	return s, h.big.orderBytes() - had
}

// OrderUsed is when the order of a big hash was last wanted, and whether it has one.
func (h *Hash) OrderUsed() (ms int64, ok bool) {
	if h.enc != EncHashtable || h.big.order == nil {
		return 0, false
	}
	return h.big.order.used, true
}

// OrderBytes is the memory that the order of a big hash takes.
func (h *Hash) OrderBytes() int64 {
	if h.enc != EncHashtable {
		return 0
	}
	return h.big.orderBytes()
}

func (b *bigHash) orderBytes() int64 {
	if b.order == nil || b.order.fields == nil {
		return 0
	}
	return b.order.fields.Bytes()
}

// OrderAtOnce tells whether so many fields are in order in no time.
func (h *Hash) OrderAtOnce() bool { return h.count() <= orderAtOnce }

// BuildOrder begins to make the order of a big hash that has none: run, which the caller
// has somebody call, makes it, beside all changes of the hash.
func (h *Hash) BuildOrder(now int64) (run func()) {
	p := &orderBuild{fields: h.big.table.copy()}
	h.big.order = &hashOrder{build: p, used: now}
	return p.run
}

// AwaitOrder has f called when the order that is being made is there, or is given up;
// false: that has happened already.
func (h *Hash) AwaitOrder(f func()) bool {
	return h.big.order.build.note(&orderChange{wake: f})
}

// DropOrder forgets the order of a big hash, and returns the bytes that it took.
func (h *Hash) DropOrder() int64 {
	if h.enc != EncHashtable {
		return 0
	}
	n := h.big.orderBytes()
	h.big.dropOrder()
	return n
}

// OrderedView is a copy of a big hash with its order, which must be ready.
func (h *Hash) OrderedView() Object {
	c := h.big.Copy().(*bigHash)
	if o := h.big.order; o != nil && o.fields != nil {
		c.order = &hashOrder{fields: o.fields.Copy()}
	}
	return c
}

// EachInRange calls fn for the fields of a range in their order, or backwards, but for the
// first offset ones and until fn returns false. values: fn wants their values; else what it
// gets of them means nothing. Where there is no order, the fields are put in order for that.
func (h *Hash) EachInRange(r *LexRange, reverse bool, offset int, now int64, values bool, fn func(field, value Elem) bool) {
	if offset < 0 {
		return
	}
	if h.enc != EncHashtable || h.big.order == nil || h.big.order.fields == nil {
		h.sortedRange(r, reverse, offset, now, fn)
		return
	}
	due := h.anyDue(now)
	skip := 0
	if due {
		skip, offset = offset, 0 // which of them count is known by looking at them
	}
	// Their records are looked up some at a time; see Foresee.
	var batch [ForeseeMax][]byte
	c := h.big.order.fields.Cursor(r, reverse, offset)
	for most := ForeseeMax / 4; ; most = ForeseeMax {
		n := 0
		for n < most {
			field, ok := c.Next()
			if !ok {
				break
			}
			batch[n] = field
			n++
		}
		if values || due {
			h.big.Foresee(batch[:n])
		}
		for _, field := range batch[:n] {
			if !values && !due {
				if !fn(BytesElem(field), Elem{}) {
					return
				}
				continue
			}
			rec, there := h.big.get(hashOf(field), field)
			switch {
			case !there:
				panic("types: a field in order that is not in its hash")
			case due && isDue(rec.deadline, now):
			case skip > 0:
				skip--
			case !fn(BytesElem(field), BytesElem(rec.val)):
				return
			}
		}
		if n < most {
			return
		}
	}
}

// sortedRange is EachInRange without an order.
func (h *Hash) sortedRange(r *LexRange, reverse bool, offset int, now int64, fn func(field, value Elem) bool) {
	type pair struct {
		name         []byte
		field, value Elem
	}
	var in []pair
	h.Each(now, func(field, value Elem, _ int64) bool {
		name := field.S
		if field.IsInt() {
			name = field.Append(nil)
		}
		if r.Contains(name) {
			in = append(in, pair{name, field, value})
		}
		return true
	})
	slices.SortFunc(in, func(a, b pair) int {
		if reverse {
			a, b = b, a
		}
		return bytes.Compare(a.name, b.name)
	})
	for _, p := range in[min(offset, len(in)):] {
		if !fn(p.field, p.value) {
			return
		}
	}
}

// CountInRange is the number of fields in a range.
func (h *Hash) CountInRange(r *LexRange, now int64) (n int) {
	if h.enc == EncHashtable && h.big.order != nil && h.big.order.fields != nil && !h.anyDue(now) {
		return h.big.order.fields.Count(r)
	}
	h.Each(now, func(field, _ Elem, _ int64) bool {
		name := field.S
		if field.IsInt() {
			name = field.Append(nil)
		}
		if r.Contains(name) {
			n++
		}
		return true
	})
	return n
}

// Contains tells whether a string is in the range.
func (r *LexRange) Contains(b []byte) bool {
	if r.Min.Inf > 0 || r.Max.Inf < 0 {
		return false
	}
	if r.Min.Inf == 0 {
		if c := bytes.Compare(b, r.Min.Member); c < 0 || c == 0 && r.Min.Ex {
			return false
		}
	}
	if r.Max.Inf == 0 {
		if c := bytes.Compare(b, r.Max.Member); c > 0 || c == 0 && r.Max.Ex {
			return false
		}
	}
	return true
}
