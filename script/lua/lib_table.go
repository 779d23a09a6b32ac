package lua

// OpenTable makes the table table.
func OpenTable(s *State) {
	t := &Table{}
	for _, f := range []struct {
		name string
		fn   GoFunction
	}{
		{"concat", tableConcat},
		{"foreach", tableForeach},
		{"foreachi", tableForeachi},
		{"getn", tableGetn},
		{"insert", tableInsert},
		{"maxn", tableMaxn},
		{"remove", tableRemove},
		{"setn", tableSetn},
		{"sort", tableSort},
	} {
		s.Register(t, f.name, f.fn)
	}
	s.globals.Embed("table", t.Value())
}

func tableConcat(s *State, w []Value, n int) (int, error) {
	sep, err := s.OptString(w, n, 1, "")
	if err != nil {
		return 0, err
	}
	t, err := s.ArgTable(w, n, 0)
	if err != nil {
		return 0, err
	}
	first, err := s.OptInt(w, n, 2, 1)
	if err != nil {
		return 0, err
	}
	var last int64
	if n > 3 && !w[3].IsNil() {
		if last, err = s.ArgInt(w, n, 3); err != nil {
			return 0, err
		}
	} else {
		last = int64(t.Len())
	}
	i, end := int(int32(first)), int(int32(last))
	if i > end {
		w[0] = String("")
		return 1, nil
	}
	out := newStrbuf(s)
	for steps := 0; ; i++ {
		v := t.GetInt(i)
		switch {
		case v.IsString():
			str := v.str()
			if err = out.room(len(str) + len(sep)); err == nil {
				err = out.add(str)
				steps += 1 + len(str)/64
			}
		case v.IsNumber():
			if err = out.room(32 + len(sep)); err == nil {
				out.b = AppendNumber(out.b, v.num())
				steps += 4
			}
		default:
			err = s.Errorf("invalid value (%s) at index %d in table for 'concat'", v.Kind(), i)
		}
		if err == nil && steps >= 200 {
			err = s.Step(steps)
			steps = 0
		}
		if err != nil {
			out.drop()
			return 0, err
		}
		if i == end {
			break
		}
		if len(sep) <= copyBlock {
			out.b = append(out.b, sep...)
		} else if err = out.add(sep); err != nil {
			out.drop()
			return 0, err
		}
	}
	w[0], err = out.value()
	return 1, err
}

func tableForeach(s *State, w []Value, n int) (int, error) {
	t, err := s.ArgTable(w, n, 0)
	if err != nil {
		return 0, err
	}
	if err := s.ArgFunction(w, n, 1); err != nil {
		return 0, err
	}
	f := w[1]
	for at := 0; ; {
		next, k, v := t.Next(at)
		if next < 0 {
			return 0, nil
		}
		results, err := s.Call(f, k, v)
		if err != nil {
			return 0, err
		}
		if len(results) > 0 && !results[0].IsNil() {
			v = results[0]
			s.Window()[0] = v
			return 1, nil
		}
		// The function may have made the table anew.
		if at = t.position(k); at < 0 {
			return 0, s.Throw(String("invalid key to 'next'"))
		}
		if err := s.Step(1); err != nil {
			return 0, err
		}
	}
}

func tableForeachi(s *State, w []Value, n int) (int, error) {
	t, err := s.ArgTable(w, n, 0)
	if err != nil {
		return 0, err
	}
	count := t.Len()
	if err := s.ArgFunction(w, n, 1); err != nil {
		return 0, err
	}
	f := w[1]
	for i := 1; i <= count; i++ {
		results, err := s.Call(f, Number(float64(i)), t.GetInt(i))
		if err != nil {
			return 0, err
		}
		if len(results) > 0 && !results[0].IsNil() {
			v := results[0]
			s.Window()[0] = v
			return 1, nil
		}
		if err := s.Step(1); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func tableGetn(s *State, w []Value, n int) (int, error) {
	t, err := s.ArgTable(w, n, 0)
	if err != nil {
		return 0, err
	}
	w[0] = Number(float64(t.Len()))
	return 1, nil
}

func tableMaxn(s *State, w []Value, n int) (int, error) {
	t, err := s.ArgTable(w, n, 0)
	if err != nil {
		return 0, err
	}
	if err := s.Step(len(t.arr) + len(t.nodes)); err != nil {
		return 0, err
	}
	most := 0.0
	for at := 0; ; {
		next, k, _ := t.Next(at)
		if next < 0 {
			break
		}
		if k.IsNumber() && k.num() > most {
			most = k.num()
		}
		at = next
	}
	w[0] = Number(most)
	return 1, nil
}

func tableSetn(s *State, w []Value, n int) (int, error) {
	if _, err := s.ArgTable(w, n, 0); err != nil {
		return 0, err
	}
	return 0, s.Errorf("'setn' is obsolete")
}

// move does t[i+by] = t[i] for all i from from to to, in the order in which none is
// overwritten before it is read; by is 1 or -1.
func (t *Table) move(s *State, from, to, by int) error {
	if from >= 1 && to <= len(t.arr)-1 && from+by >= 1 && from <= to {
		copy(t.arr[from+by-1:to+by], t.arr[from-1:to])
		return s.Step((to - from) / 8)
	}
	if by < 0 {
		for i := from; i <= to; i++ {
			if err := s.RawSetInt(t, i+by, t.GetInt(i)); err != nil {
				return err
			}
			if err := s.Step(2); err != nil {
				return err
			}
		}
		return nil
	}
	for i := to; i >= from; i-- {
		if err := s.RawSetInt(t, i+by, t.GetInt(i)); err != nil {
			return err
		}
		if err := s.Step(2); err != nil {
			return err
		}
		if i-1 >= from && from >= 1 && i <= len(t.arr) {
			// The first one made the array grow; the others are inside it.
			return t.move(s, from, i-1, by)
		}
	}
	return nil
}

func tableInsert(s *State, w []Value, n int) (int, error) {
	// Mostly a value is appended inside the array part.
	if n == 2 && w[0].isKind(KindTable) {
		if t := w[0].table(); !t.readonly && len(t.arr) > 0 && t.arr[len(t.arr)-1].IsNil() {
			t.arr[t.Len()] = w[1]
			return 0, nil
		}
	}
	t, err := s.ArgTable(w, n, 0)
	if err != nil {
		return 0, err
	}
	end := t.Len() + 1
	switch n {
	case 2:
		return 0, s.RawSetInt(t, end, w[1])
	case 3:
		at, err := s.ArgInt(w, n, 1)
		if err != nil {
			return 0, err
		}
		pos := int(int32(at))
		end = max(end, pos)
		if t.readonly {
			return 0, s.readonlyError()
		}
		if end > pos {
			if err := t.move(s, pos, end-1, 1); err != nil {
				return 0, err
			}
		}
		return 0, s.RawSetInt(t, pos, w[2])
	}
	return 0, s.Errorf("wrong number of arguments to 'insert'")
}

func tableRemove(s *State, w []Value, n int) (int, error) {
	t, err := s.ArgTable(w, n, 0)
	if err != nil {
		return 0, err
	}
	end := t.Len()
	at, err := s.OptInt(w, n, 1, int64(end))
	if err != nil {
		return 0, err
	}
	pos := int(int32(at))
	if pos < 1 || pos > end {
		return 0, nil
	}
	v := t.GetInt(pos)
	if t.readonly {
		return 0, s.readonlyError()
	}
	if pos < end {
		if err := t.move(s, pos+1, end, -1); err != nil {
			return 0, err
		}
	}
	if err := s.RawSetInt(t, end, Nil); err != nil {
		return 0, err
	}
	w[0] = v
	return 1, nil
}

// A sorter sorts t[1] to t[n]. It is quicksort just as the reference implementation has
// it: which pairs are compared, and in which order, shows where the order is a function
// with side effects or one that contradicts itself.
type sorter struct {
	s     *State
	t     *Table
	less  Value // nil for <
	steps int
}

func tableSort(s *State, w []Value, n int) (int, error) {
	t, err := s.ArgTable(w, n, 0)
	if err != nil {
		return 0, err
	}
	count := t.Len()
	q := sorter{s: s, t: t}
	if n > 1 && !w[1].IsNil() {
		if err := s.ArgFunction(w, n, 1); err != nil {
			return 0, err
		}
		q.less = w[1]
	}
	if err := q.sort(1, count); err != nil {
		return 0, err
	}
	return 0, s.Step(q.steps)
}

func (q *sorter) get(i int) Value {
	if uint(i-1) < uint(len(q.t.arr)) {
		return q.t.arr[i-1]
	}
	return q.t.GetInt(i)
}

func (q *sorter) set(i int, v Value) error {
	if uint(i-1) < uint(len(q.t.arr)) && !q.t.readonly {
		q.t.arr[i-1] = v
		return nil
	}
	return q.s.RawSetInt(q.t, i, v)
}

// before tells whether a comes before b.
func (q *sorter) before(a, b Value) (bool, error) {
	if q.steps++; q.steps >= 200 {
		n := q.steps
		q.steps = 0
		if err := q.s.Step(4 * n); err != nil {
			return false, err
		}
	}
	if q.less.IsNil() {
		if a.isNumber() && b.isNumber() {
			return a.num() < b.num(), nil
		}
		if a.IsString() && b.IsString() {
			c, err := q.s.compareText(a.str(), b.str())
			return c < 0, err
		}
		return q.s.LessThan(a, b)
	}
	// What Call does, on the shortest way.
	s := q.s
	th := s.th
	at := th.callTop()
	if at+3 > th.soft {
		if err := s.growStack(at + 3); err != nil {
			return false, err
		}
	}
	call := th.stack[at : at+3]
	call[0], call[1], call[2] = q.less, a, b
	if err := s.callAt(at, 2, 1); err != nil {
		return false, err
	}
	return th.stack[at].Truth(), nil
}

// order2 swaps t[i] and t[j], which hold a and b, if b comes before a.
func (q *sorter) order2(i, j int) (swapped bool, err error) {
	a, b := q.get(i), q.get(j)
	less, err := q.before(b, a)
	if err != nil || !less {
		return false, err
	}
	if err := q.set(i, b); err != nil {
		return false, err
	}
	return true, q.set(j, a)
}

func (q *sorter) sort(l, u int) error {
	for l < u {
		if _, err := q.order2(l, u); err != nil {
			return err
		}
		if u-l == 1 {
			return nil
		}
		mid := (l + u) / 2
		swapped, err := q.order2(l, mid)
		if err == nil && !swapped {
			_, err = q.order2(mid, u)
		}
		if err != nil {
			return err
		}
		if u-l == 2 {
			return nil
		}
		pivot := q.get(mid)
		if err := q.set(mid, q.get(u-1)); err != nil {
			return err
		}
		if err := q.set(u-1, pivot); err != nil {
			return err
		}
		i, j := l, u-1
		for {
			var a, b Value
			for i++; ; i++ {
				a = q.get(i)
				less, err := q.before(a, pivot)
				if err != nil {
					return err
				}
				if !less {
					break
				}
				if i > u {
					return q.s.Errorf("invalid order function for sorting")
				}
			}
			for j--; ; j-- {
				b = q.get(j)
				less, err := q.before(pivot, b)
				if err != nil {
					return err
				}
				if !less {
					break
				}
				if j < l {
					return q.s.Errorf("invalid order function for sorting")
				}
			}
			if j < i {
				break
			}
			if err := q.set(i, b); err != nil {
				return err
			}
			if err := q.set(j, a); err != nil {
				return err
			}
		}
		x, y := q.get(u-1), q.get(i)
		if err := q.set(u-1, y); err != nil {
			return err
		}
		if err := q.set(i, x); err != nil {
			return err
		}
		// The smaller part by a call, the larger one by going on: the depth is the logarithm.
		from, to := 0, 0
		if i-l < u-i {
			from, to, l = l, i-1, i+1
		} else {
			from, to, u = i+1, u, i-1
		}
		if err := q.sort(from, to); err != nil {
			return err
		}
	}
	return nil
}
