package lua

import (
	"cmp"
	"slices"
)

// At the bound of memory the charges are replaced by what Go's collector would
// keep of the run's memory: a walk from what the script can reach. A chunk of
// strings counts as a whole where anything in it is reachable. So does a slab,
// and then everything that its tables, values and nodes refer to counts too,
// also of those that nothing refers to any more: the collector keeps them.
// The same holds for the unused ends of stacks and for the keys of fields that
// were set to nil. The walk frees nothing; that is Go's collector's work.

// walker is one walk.
type walker struct {
	s     *State
	spans []span    // sorted by address; none overlaps another
	live  []bool    // of each span
	other int       // bytes of what lies in no span
	todo  []Value   // at most todoBlock
	more  [][]Value // full blocks that come after todo
	steps int
	ended bool // an interrupt has come
}

// reserve is the part of the bound that is never filled, so that one walk does
// not follow the other: a 32nd.
const reserve = 32

// overdrawn is called where the charge of n bytes went over the bound.
func (s *State) overdrawn(n int) error {
	s.used -= n
	s.slabLimit = 0
	s.forgetGrown()
	clear(s.hashes[:]) // these keep strings alive for nothing
	w := walker{s: s, spans: sortSpans(s.allocs)}
	w.live = make([]bool, len(w.spans))
	s.epoch++
	w.walk()
	s.steps -= w.steps >> 3
	if w.ended {
		return ErrKilled // the flag stays set until the run has ended, should this error be dropped
	}
	kept := w.spans[:0]
	s.used = w.other
	var tables [][]Table
	var values [][]Value
	var nodes [][]node
	for i, sp := range w.spans {
		if !w.live[i] {
			continue
		}
		switch sp.kind {
		case spanTables:
			tables = append(tables, s.tables.run[sp.slab])
			sp.slab = int32(len(tables) - 1)
		case spanValues:
			values = append(values, s.values.run[sp.slab])
			sp.slab = int32(len(values) - 1)
		case spanNodes:
			nodes = append(nodes, s.nodes.run[sp.slab])
			sp.slab = int32(len(nodes) - 1)
		}
		kept = append(kept, sp)
		s.used += sp.size
	}
	s.allocs, s.tables.run, s.values.run, s.nodes.run = kept, tables, values, nodes
	if s.used+n > s.opt.Memory-s.opt.Memory/reserve {
		return s.memoryError()
	}
	s.used += n
	return nil
}

// sortSpans sorts spans, which are in the order of their allocation, by
// address. Where two overlap, the memory of the older one was freed and given
// out again: it is taken out.
func sortSpans(spans []span) []span {
	for i := range spans {
		spans[i].order = int32(i)
	}
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.base, b.base), cmp.Compare(a.order, b.order))
	})
	kept := spans[:0]
next:
	for _, sp := range spans {
		for len(kept) > 0 {
			last := kept[len(kept)-1]
			if last.base+uintptr(last.size) <= sp.base {
				break
			}
			if last.order > sp.order {
				continue next
			}
			kept = kept[:len(kept)-1]
		}
		kept = append(kept, sp)
	}
	return kept
}

// walk counts everything that is kept. It is given up when an interrupt comes.
func (w *walker) walk() {
	s := w.s
	// What is left of the pieces that are given out now is kept by the State.
	for _, base := range []uintptr{addressOf(s.chunk), addressOf(s.values.all), addressOf(s.nodes.all),
		addressOf(s.heads.all), addressOf(s.tables.all)} {
		w.mark(base)
	}
	w.other += s.buffers + s.held + cap(s.building)*valueSize
	w.all(s.building)
	w.push(tableValue(s.globals))
	w.table(s.StringMeta)
	w.push(s.thrown)
	w.thread(s.main)
	for th := s.th; th != nil; th = th.parent {
		w.thread(th)
	}
	for w.next() && !w.ended {
		v := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		switch v.kind() {
		case KindTable:
			w.fields(v.table())
		case kindClosure:
			w.closure(v.closure())
		case KindFunction:
			f := v.goFunction()
			w.other += f.memory()
			w.table(f.env)
			for _, held := range f.held {
				w.push(held)
			}
			if f.thread != nil {
				w.push(threadValue(f.thread))
			}
		case KindUserdata:
			w.other += userdataSize
			w.table(v.userdata().meta)
		case KindThread:
			w.stack(v.thread())
		}
		w.look()
	}
}

// todoBlock is how many objects a block of the list has. One list that grows would be
// allocated and copied as a whole, for which an interrupt would have to wait.
const todoBlock = 4096

// next makes sure that todo has an object, if there is one left.
func (w *walker) next() bool {
	if len(w.todo) > 0 {
		return true
	}
	last := len(w.more) - 1
	if last < 0 {
		return false
	}
	w.todo, w.more = w.more[last], w.more[:last]
	return true
}

// look sees whether an interrupt has come.
func (w *walker) look() {
	if w.s.looked != nil {
		w.s.looked()
	}
	if w.s.interrupt.Load() {
		w.ended = true
	}
}

func (w *walker) table(t *Table) {
	if t != nil {
		w.push(tableValue(t))
	}
}

func (w *walker) thread(th *thread) { w.push(threadValue(th)) }

// push puts an object on the list, once in a walk; strings are marked at once.
func (w *walker) push(v Value) {
	w.steps++
	var epoch *uint32
	switch v.kind() {
	case KindString:
		w.mark(v.address())
		return
	case KindTable:
		epoch = &v.table().epoch
	case kindClosure:
		epoch = &v.closure().epoch
	case KindFunction:
		epoch = &v.goFunction().epoch
	case KindUserdata:
		epoch = &v.userdata().epoch
	case KindThread:
		epoch = &v.thread().epoch
	default:
		return
	}
	if *epoch != w.s.epoch {
		*epoch = w.s.epoch
		if len(w.todo) == todoBlock {
			w.more = append(w.more, w.todo)
			w.todo = make([]Value, 0, todoBlock)
		}
		w.todo = append(w.todo, v)
	}
}

// all pushes the values of an array, and stops at an interrupt.
func (w *walker) all(values []Value) {
	for i := range values {
		w.push(values[i])
		if i&0xfff == 0xfff {
			if w.look(); w.ended {
				return
			}
		}
	}
}

func (w *walker) allNodes(nodes []node) {
	for i := range nodes {
		w.push(nodes[i].key)
		w.push(nodes[i].val)
		if i&0xfff == 0xfff {
			if w.look(); w.ended {
				return
			}
		}
	}
}

// fields counts a table. Arrays and nodes that are small may lie in slabs; all
// others are the table's alone.
func (w *walker) fields(t *Table) {
	if !w.mark(tableValue(t).address()) {
		w.other += tableSize
	}
	if n := len(t.arr); n > smallValues || n > 0 && !w.mark(addressOf(t.arr)) {
		w.other += n * valueSize
	}
	if n := cap(t.nodes); n > smallNodes || n > 0 && !w.mark(addressOf(t.nodes)) {
		w.other += n * (nodeSize + 4)
	} else if n > 0 {
		w.mark(addressOf(t.heads))
	}
	w.table(t.meta)
	w.all(t.arr)
	w.allNodes(t.nodes)
}

func (w *walker) closure(c *closure) {
	w.table(c.env)
	w.other += closureSize + len(c.ups)*upvalSlotSize
	for _, u := range c.ups {
		if u.epoch != w.s.epoch {
			u.epoch = w.s.epoch
			w.other += upvalSize
			w.push(*u.p)
		}
	}
	w.instance(c.inst)
}

// instance counts a function that the script compiled; size is 0 for others.
func (w *walker) instance(i *instance) {
	if i.size > 0 && i.epoch != w.s.epoch {
		i.epoch = w.s.epoch
		w.other += i.size
		for _, inner := range i.protos {
			w.instance(inner)
		}
	}
}

// stack counts a coroutine: all that its stacks hold, also above what is in use.
func (w *walker) stack(th *thread) {
	if th != w.s.main {
		w.other += len(th.stack)*valueSize + cap(th.frames)*int(frameSize) + threadSize
	}
	w.table(th.env)
	if len(th.stack) > 0 {
		w.all(th.stack[:max(th.soft, 1)]) // the function of a fresh coroutine lies at 0
	}
	for i := range th.frames {
		if c := th.frames[i].cl; c != nil {
			w.push(closureValue(c))
		}
	}
}

// mark notes that the piece of memory with the address is kept, and everything
// that a slab refers to with it. It is false where the address lies in no
// span: that of a constant, or of what was made before the run or alone.
func (w *walker) mark(a uintptr) bool {
	lo, hi := 0, len(w.spans)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if w.spans[m].base <= a {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo == 0 || a >= w.spans[lo-1].base+uintptr(w.spans[lo-1].size) {
		return false
	}
	if w.live[lo-1] {
		return true
	}
	w.live[lo-1] = true
	switch sp := &w.spans[lo-1]; sp.kind {
	case spanTables:
		slab := w.s.tables.run[sp.slab]
		for i := range slab {
			w.table(&slab[i])
		}
	case spanValues:
		w.all(w.s.values.run[sp.slab])
	case spanNodes:
		w.allNodes(w.s.nodes.run[sp.slab])
	}
	return true
}
