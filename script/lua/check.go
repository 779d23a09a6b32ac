//go:build invariants

package lua

import "fmt"

// Check looks at everything that the State can reach and returns the first
// invariant of tables, stacks and upvalues that does not hold.
func (s *State) Check() error {
	seen := map[*Table]bool{}
	var todo []*Table
	add := func(v Value) {
		if t := v.Table(); t != nil && !seen[t] {
			seen[t] = true
			todo = append(todo, t)
		}
	}
	add(tableValue(s.globals))
	for th := s.th; th != nil; th = th.parent {
		if err := th.check(); err != nil {
			return err
		}
		for _, v := range th.stack[:th.soft] {
			if err := v.check(); err != nil {
				return err
			}
			add(v)
		}
	}
	if err := s.main.check(); err != nil {
		return err
	}
	for len(todo) > 0 {
		t := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if err := t.check(); err != nil {
			return err
		}
		if t.meta != nil {
			add(tableValue(t.meta))
		}
		for _, v := range t.arr {
			if err := v.check(); err != nil {
				return err
			}
			add(v)
		}
		for i := range t.nodes {
			if err := t.nodes[i].val.check(); err != nil {
				return err
			}
			add(t.nodes[i].key)
			add(t.nodes[i].val)
		}
	}
	return nil
}

func (v Value) check() error {
	if (v.p == nil) != (v == Value{}) {
		return fmt.Errorf("a value is half nil: %v", v)
	}
	if k := v.kind(); int(k) >= len(kindNames) {
		return fmt.Errorf("a value of kind %d", k)
	}
	if v.isNumber() && v.n >= lightBits {
		return fmt.Errorf("a number with the bits of an object: %x", v.n)
	}
	return nil
}

func (t *Table) check() error {
	if len(t.heads) != cap(t.nodes) || len(t.heads)&(len(t.heads)-1) != 0 {
		return fmt.Errorf("%d heads for %d nodes", len(t.heads), cap(t.nodes))
	}
	found := 0
	for h, i := range t.heads {
		for ; i > 0; i = t.nodes[i-1].next {
			n := &t.nodes[i-1]
			if n.hash&uint32(len(t.heads)-1) != uint32(h) || n.hash != hashValue(n.key) {
				return fmt.Errorf("node %d is in the wrong chain", i-1)
			}
			if found++; found > len(t.nodes) {
				return fmt.Errorf("a chain has a loop")
			}
		}
	}
	if found != len(t.nodes) {
		return fmt.Errorf("%d of %d nodes are in chains", found, len(t.nodes))
	}
	for i := range t.nodes {
		k := t.nodes[i].key
		if k.IsNil() {
			return fmt.Errorf("node %d has no key", i)
		}
		if k.isNumber() {
			if j := arrayIndex(k.num()); j > 0 && j <= len(t.arr) {
				return fmt.Errorf("the key %d is in the array part's range of %d", j, len(t.arr))
			}
		}
		if t.find(k, hashValue(k)) != i {
			return fmt.Errorf("node %d is not found by its key", i)
		}
	}
	for e := event(0); e < 8; e++ {
		if t.absent&(1<<e) != 0 && !t.GetString(eventNames[e].str()).IsNil() {
			return fmt.Errorf("%s is there but noted as absent", eventNames[e].str())
		}
	}
	return nil
}

func (th *thread) check() error {
	if th.soft > len(th.stack) || th.n >= len(th.frames) {
		return fmt.Errorf("stack %d of %d, frame %d of %d", th.soft, len(th.stack), th.n, len(th.frames))
	}
	for i := 1; i <= th.n; i++ {
		f := &th.frames[i]
		if f.base <= f.fn || (f.kind == frameLua && int(f.base)+f.cl.inst.p.stack > th.soft) {
			return fmt.Errorf("frame %d: function at %d, base %d, stack %d", i, f.fn, f.base, th.soft)
		}
		if i > 1 && f.fn < th.frames[i-1].fn {
			return fmt.Errorf("frame %d lies below the one before", i)
		}
	}
	last := len(th.stack)
	for u := th.open; u != nil; u = u.next {
		if u.index >= last || u.p != &th.stack[u.index] {
			return fmt.Errorf("the open upvalue of %d", u.index)
		}
		last = u.index
	}
	return nil
}
