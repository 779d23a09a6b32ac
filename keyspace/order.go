package keyspace

import (
	"bytes"
	"slices"
	"sync/atomic"

	"kvd/types"
)

// The keys of databases in order, where somebody wants them (ordered-keys): each shard
// has an Order of its keys, under its stripe's lock like all else that it has, and who
// reads a range merges them. So a command locks what it always has.

// keyOrder says whether keys are kept in order.
type keyOrder struct {
	on      bool          // changes with all stripes locked
	number  atomic.Uint64 // of the last switching on or off, which ends an earlier one's walk
	ordered atomic.Int64  // stripes whose keys are in order, while they are being put in order
}

// orderTurn is how many keys are put in order without letting go of a stripe: 0.1 to 0.2 ms.
const orderTurn = 128

// SetOrdered has the keys of all databases kept in order, or no longer. The keys that are
// there are put in order in the background, some at a time; what it returns is closed when
// that has ended. Nothing may be locked.
func (ks *Keyspace) SetOrdered(on bool) (done <-chan struct{}) {
	ended := make(chan struct{})
	h := ks.LockAll()
	changed := on != ks.order.on
	ks.order.on = on
	number := ks.order.number.Load()
	if changed {
		number = ks.order.number.Add(1)
	}
	if changed && !on {
		for i := range ks.stripes {
			st := &ks.stripes[i]
			for _, dbs := range [][]*DB{ks.dbs, ks.fresh, ks.retired} {
				for _, db := range dbs {
					n := st.dropOrder(&db.shards[i])
					if slices.Contains(ks.retired, db) {
						st.leaving -= n
					}
				}
			}
		}
	}
	ks.Unlock(&h)
	if !changed || !on {
		close(ended)
		return ended
	}
	ks.order.ordered.Store(0)
	go func() {
		defer close(ended)
		var r Rest
		r.Begin()
		defer r.End()
		for i := range ks.stripes {
			for ks.stripes[i].orderSome(number) {
				r.Turn()
			}
			ks.order.ordered.Add(1)
		}
	}()
	return ended
}

// orderSome puts some more of the stripe's keys in order; false: there are none that are not.
func (st *stripe) orderSome(number uint64) bool {
	ks := st.ks
	st.lock()
	defer st.unlock()
	if ks.order.number.Load() != number {
		return false
	}
	for _, dbs := range [][]*DB{ks.dbs, ks.fresh} {
		for _, db := range dbs {
			sh := &db.shards[st.number]
			if sh.inOrder() {
				continue
			}
			if sh.order == nil {
				st.newOrder(sh)
				sh.ordering = true
			}
			had := sh.order.Bytes()
			slot, count := int(sh.orderedTo>>tagBits), orderTurn
			slot = max(slot, st.number<<ks.shift)
			next, more := st.scan(db, &slot, sh.orderedTo&(1<<tagBits-1), &count, 0, func(e *Entry) { sh.order.Add(e.Key()) })
			st.ordered += sh.order.Bytes() - had
			sh.orderedTo = next
			if !more || int(next>>tagBits)>>ks.shift != st.number {
				sh.ordering, sh.orderedTo = false, 0
			}
			return true
		}
	}
	return false
}

// inOrder tells whether all keys of the shard are in its order.
func (sh *shard) inOrder() bool { return sh.keys == 0 || sh.order != nil && !sh.ordering }

func (st *stripe) newOrder(sh *shard) {
	sh.order = types.NewOrder()
	st.ordered += sh.order.Bytes()
}

// dropOrder forgets a shard's order and returns the bytes that it took.
func (st *stripe) dropOrder(sh *shard) (n int64) {
	if sh.order != nil {
		n = sh.order.Bytes()
		st.ordered -= n
	}
	sh.order, sh.ordering, sh.orderedTo = nil, false, 0
	return n
}

// orderKey keeps the order up with a key that is new (it is counted already), or gone.
func (st *stripe) orderKey(sh *shard, key []byte, gone bool) {
	if sh.order == nil {
		if gone || sh.keys > 1 {
			return // the background has not come here
		}
		st.newOrder(sh)
	}
	had := sh.order.Bytes()
	if gone {
		sh.order.Remove(key)
	} else {
		sh.order.Add(key)
	}
	st.ordered += sh.order.Bytes() - had
}

// orderBytes is what a shard's order takes.
func (sh *shard) orderBytes() int64 {
	if sh.order == nil {
		return 0
	}
	return sh.order.Bytes()
}

// Ordered tells whether keys are kept in order, and what part of the stripes has its keys
// in order; // locked says that the caller holds a stripe.
func (ks *Keyspace) Ordered(locked bool) (on bool, part float64) {
	if !locked {
		ks.stripes[0].lock()
		defer ks.stripes[0].unlock()
	}
	on = ks.order.on
	return on, float64(ks.order.ordered.Load()) / float64(len(ks.stripes))
}

// KeyRange is a range of a database's keys.
type KeyRange struct {
	types.LexRange
	Reverse bool
	// Type is of which type the keys are to be, if Typed.
	Type  types.Type
	Typed bool
}

// EachKey visits the keys of a range in order, or backwards, until visit returns false: at
// most looks of them, those that are past their deadline or of another type included, as
// it holds all stripes meanwhile. more tells that there are further ones, behind last,
// which is a copy; ok is false where the keys are not in order. locked says that the
// caller holds all stripes.
func (ks *Keyspace) EachKey(db int, r *KeyRange, now int64, looks int, locked bool, visit func(key []byte) bool) (last []byte, more, ok bool) {
	if !locked {
		var h Held
		for i := range ks.stripes {
			h.add(i)
		}
		ks.lock(&h)
		defer ks.Unlock(&h)
	}
	d := ks.dbs[db]
	m := merge{reverse: r.Reverse, heads: make([]head, 0, len(ks.stripes))}
	// The far end is looked for in no shard: the first key that is beyond it ends all of them.
	open := r.LexRange
	if r.Reverse {
		open.Min = types.LexBound{Inf: -1}
	} else {
		open.Max = types.LexBound{Inf: 1}
	}
	for i := range d.shards {
		sh := &d.shards[i]
		if !ks.order.on || !sh.inOrder() {
			return nil, false, false
		}
		if sh.keys == 0 || sh.order == nil {
			continue
		}
		hd := head{cursor: sh.order.Cursor(&open, r.Reverse, 0), look: r.Typed}
		if sh.deadlines != nil {
			if first, some := sh.deadlines.Min(); some && first.ms() <= now {
				hd.look = true
			}
		}
		if hd.key, ok = hd.cursor.Next(); ok {
			m.heads = append(m.heads, hd)
		}
	}
	m.init()
	for len(m.heap) > 0 {
		hd := &m.heads[m.heap[0]]
		if r.beyond(hd.key) {
			break
		}
		if looks--; looks < 0 {
			return last, true, true
		}
		if looks == 0 {
			last = bytes.Clone(hd.key)
		}
		if (!hd.look || ks.shown(d, hd.key, r, now)) && !visit(hd.key) {
			return nil, false, true
		}
		m.next()
	}
	return nil, false, true
}

// beyond tells whether a key is behind the far end of the range.
func (r *KeyRange) beyond(key []byte) bool {
	far, sign := &r.Max, 1
	if r.Reverse {
		far, sign = &r.Min, -1
	}
	if far.Inf != 0 {
		return int(far.Inf) != sign
	}
	c := bytes.Compare(key, far.Member) * sign
	return c > 0 || c == 0 && far.Ex
}

// shown tells whether a key is not past its deadline and of the wanted type.
func (ks *Keyspace) shown(d *DB, name []byte, r *KeyRange, now int64) bool {
	k := MakeKey(name)
	st := &ks.stripes[int(k.Slot)>>ks.shift]
	i, l := st.find(&d.shards[st.number].slots[int(k.Slot)&(1<<ks.shift-1)], &k)
	if i < 0 {
		panic("keyspace: a key in order that is not there")
	}
	var e Entry
	st.readEntry(l, &e)
	deadline := e.Deadline()
	return (deadline == 0 || deadline > now) && (!r.Typed || e.Type() == r.Type)
}

// head is the next key of a shard.
type head struct {
	key    []byte
	cursor types.OrderCursor
	look   bool // its keys may be due, or of another type
}

// merge is a heap of the heads of all shards, which stay where they are.
type merge struct {
	heads   []head
	heap    []int32 // of places in heads
	reverse bool
}

func (m *merge) before(i, j int) bool {
	c := bytes.Compare(m.heads[m.heap[i]].key, m.heads[m.heap[j]].key)
	return c < 0 != m.reverse
}

func (m *merge) init() {
	m.heap = make([]int32, len(m.heads))
	for i := range m.heap {
		m.heap[i] = int32(i)
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
}

// next goes on behind the first head.
func (m *merge) next() {
	first := &m.heads[m.heap[0]]
	var ok bool
	if first.key, ok = first.cursor.Next(); !ok {
		last := len(m.heap) - 1
		m.heap[0] = m.heap[last]
		m.heap = m.heap[:last]
	}
	m.sink(0)
}

func (m *merge) sink(i int) {
	for {
		kid := 2*i + 1
		if kid >= len(m.heap) {
			return
		}
		if kid+1 < len(m.heap) && m.before(kid+1, kid) {
			kid++
		}
		if !m.before(kid, i) {
			return
		}
		m.heap[i], m.heap[kid] = m.heap[kid], m.heap[i]
		i = kid
	}
}
