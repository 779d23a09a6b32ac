package lua

import "sort"

// At the bound of memory the charges are replaced by what the script can still
// reach: a walk marks the pieces of memory (chunks, slabs, arrays) that anything
// reachable lies in, so a short string in a chunk counts for all of the chunk
// that it keeps alive. Nothing is freed here; that is Go's collector's work.

// walker is one walk.
type walker struct {
	s     *State
	spans []span // sorted by address
	live  []bool // of each span
	other int    // bytes of closures, coroutines and what else is no span
	todo  []Value
	steps int
}

// reserve is the part of the bound that is never filled, so that one walk does
// not follow the other: a 32nd.
const reserve = 32

// overdrawn is called where the charge of n bytes went over the bound.
func (s *State) overdrawn(n int) error {
	s.used -= n
	w := walker{s: s, spans: s.allocs}
	sort.Slice(w.spans, func(i, j int) bool { return w.spans[i].base < w.spans[j].base })
	w.live = make([]bool, len(w.spans))
	s.epoch++
	whole := w.walk()
	s.steps -= w.steps >> 3
	if !whole {
		return s.memoryError() // a kill waits; nothing is known
	}
	kept := w.spans[:0]
	s.used = w.other
	for i, sp := range w.spans {
		if w.live[i] {
			kept = append(kept, sp)
			s.used += sp.size
		}
	}
	s.allocs = kept
	if s.used+n > s.opt.Memory-s.opt.Memory/reserve {
		return s.memoryError()
	}
	s.used += n
	return nil
}

// walk marks everything that can be reached. It is given up, and the result is
// false, when an interrupt comes.
func (w *walker) walk() bool {
	s := w.s
	clear(s.hashes[:]) // these keep strings alive for nothing
	for _, base := range []uintptr{addressOf(s.chunk), addressOf(s.values.all), addressOf(s.nodes.all),
		addressOf(s.heads.all), addressOf(s.tables.all)} {
		w.mark(base) // what is left of them is still given out
	}
	w.push(tableValue(s.globals))
	w.table(s.StringMeta)
	w.push(s.thrown)
	w.thread(s.main)
	for th := s.th; th != nil; th = th.parent {
		w.thread(th)
	}
	for len(w.todo) > 0 {
		v := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		switch v.kind() {
		case KindTable:
			w.fields(v.table())
		case kindClosure:
			c := v.closure()
			w.table(c.env)
			w.other += 64 + 8*len(c.ups)
			for _, u := range c.ups {
				if u.epoch != s.epoch {
					u.epoch = s.epoch
					w.other += 48
					w.push(*u.p)
				}
			}
		case KindFunction:
			f := v.goFunction()
			w.other += 48
			w.table(f.env)
			for _, held := range f.held {
				w.push(held)
			}
			if f.thread != nil {
				w.push(threadValue(f.thread))
			}
		case KindUserdata:
			w.other += 48
			w.table(v.userdata().meta)
		case KindThread:
			w.stack(v.thread())
		}
		if w.steps > 1<<16 && w.steps&(1<<10-1) < 64 && s.interrupt.Load() {
			return false
		}
	}
	return true
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
		w.todo = append(w.todo, v)
	}
}

func (w *walker) fields(t *Table) {
	w.mark(tableValue(t).address())
	w.mark(addressOf(t.arr))
	w.mark(addressOf(t.nodes))
	w.mark(addressOf(t.heads))
	w.table(t.meta)
	for i := range t.arr {
		w.push(t.arr[i])
	}
	for i := range t.nodes {
		if n := &t.nodes[i]; !n.val.IsNil() {
			w.push(n.key)
			w.push(n.val)
		}
	}
}

func (w *walker) stack(th *thread) {
	if th.n == 0 && th.status == threadDead {
		return
	}
	if th != w.s.main {
		w.other += len(th.stack)*valueSize + len(th.frames)*int(frameSize) + 160
	}
	w.table(th.env)
	end := max(th.callTop(), th.top)
	end = min(end, th.soft)
	if th.status == threadFresh {
		end = 1
	}
	for _, v := range th.stack[:end] {
		w.push(v)
	}
	for i := 1; i <= th.n; i++ {
		if c := th.frames[i].cl; c != nil && th.frames[i].kind == frameLua {
			w.push(closureValue(c))
		}
	}
}

// mark notes that the piece of memory with the address is alive. Addresses of
// constants and of what was made before the run lie in none.
func (w *walker) mark(a uintptr) {
	lo, hi := 0, len(w.spans)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if w.spans[m].base <= a {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo > 0 && a < w.spans[lo-1].base+uintptr(w.spans[lo-1].size) {
		w.live[lo-1] = true
	}
}
