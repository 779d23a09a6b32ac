package lua

// getCached does stack[dst] = t[k] for a constant string k, and remembers in
// the instruction where it was found.
func (s *State) getCached(f *frame, t *Table, k Value, dst int) error {
	if i := t.findHashed(k, s.hash(k)); i >= 0 {
		n := &t.nodes[i]
		n.key = k
		if !n.val.IsNil() {
			f.remember(i)
			s.th.stack[dst] = n.val
			return nil
		}
	}
	r, err := s.index(tableValue(t), k, -1)
	if err == nil {
		s.th.stack[dst] = r
	}
	return err
}

// setCached does v[k] = x, and remembers where a constant string was found.
func (s *State) setCached(f *frame, v, k, x Value, reg int) error {
	if v.isKind(KindTable) && k.isKind(KindString) && !v.table().readonly {
		t := v.table()
		if i := t.findHashed(k, s.hash(k)); i >= 0 {
			n := &t.nodes[i]
			n.key = k
			if !n.val.IsNil() {
				f.remember(i)
				n.val = x
				return nil
			}
			if t.meta == nil {
				f.remember(i)
				t.absent = 0
				n.val = x
				return nil
			}
		} else if t.meta == nil {
			t.absent = 0
			if err := t.insert(s, k, s.hash(k), x); err != nil {
				return err
			}
			f.remember(len(t.nodes) - 1)
			return nil
		}
	}
	return s.setIndex(v, k, x, reg)
}
