package list

import (
	"math"
	"slices"
	"strconv"

	"kvd/command"
	"kvd/keyspace"
	"kvd/types"
)

// BLMOVEM, LMOVEM: LMOVE for several elements (Redis 8.10).

func listMoveRows() []*command.Row {
	const many = " [<COUNT count | EXACTLY exactly> <OBO | BULK>]"
	return []*command.Row{
		{Name: "blmovem", Fn: cmdBLMoveM, Arity: -6, Flags: command.Write | command.DenyOOM | command.Blocking, First: 1, Last: 2, Step: 1, KeyFlags: "RW access delete; RW insert",
			Since: "8.10.0", Group: "list", Summary: "Moves elements from an end of a list to an end of a list and returns them; waits for them if need be.", Complexity: "O(N) in the number of elements moved",
			Syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout" + many},
		{Name: "lmovem", Fn: cmdLMoveM, Arity: -5, Flags: command.Write | command.DenyOOM, First: 1, Last: 2, Step: 1, KeyFlags: "RW access delete; RW insert",
			Since: "8.10.0", Group: "list", Summary: "Moves elements from an end of a list to an end of a list and returns them.", Complexity: "O(N) in the number of elements moved",
			Syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT>" + many},
	}
}

// moving is what LMOVEM moves.
type moving struct {
	from, to end
	count    int64
	exactly  bool // all of them or none
	bulk     bool // they keep their order
}

// parse reads the ends at argument 3 and the options from argument i on.
func (m *moving) parse(c *command.Ctx, i int) (ok bool) {
	if m.from, ok = parseEnd(c, 3); !ok {
		return false
	}
	if m.to, ok = parseEnd(c, 4); !ok {
		return false
	}
	m.count = 1
	if len(c.Args) == i {
		return true
	}
	m.exactly = c.Word(i, "exactly")
	if len(c.Args) != i+3 || !m.exactly && !c.Word(i, "count") {
		c.Err(command.ErrSyntax)
		return false
	}
	if m.bulk = c.Word(i+2, "bulk"); !m.bulk && !c.Word(i+2, "obo") {
		c.Err(command.ErrSyntax)
		return false
	}
	m.count, ok = c.IntMin(i+1, 1, command.ErrNotPositive)
	return ok
}

func cmdLMoveM(c *command.Ctx) {
	var m moving
	if !m.parse(c, 5) {
		return
	}
	if there, ok := m.enough(c); !ok {
		return
	} else if there {
		m.move(c)
	} else {
		c.W.NullArray()
	}
}

func cmdBLMoveM(c *command.Ctx) {
	var m moving
	if !m.parse(c, 6) {
		return
	}
	ms, ok := c.Timeout(5)
	if !ok {
		return
	}
	there, ok := m.enough(c)
	switch {
	case !ok:
	case there:
		m.moveWaited(c)
	case !c.CanBlock():
		c.W.NullArray()
	default:
		c.Block(c.Keys[:1], command.Wait{Timeout: ms, Needs: c.Keys[1:2], TimedOut: command.NullArray, Serve: func(c *command.Ctx, k *keyspace.Key) bool {
			e := c.LookupNoTouch(k)
			if e.Type() != types.TList {
				return false
			}
			l := c.ScratchListAt(0)
			c.Load(&e, l)
			if m.exactly && int64(l.Len()) < m.count {
				return false
			}
			// Where the destination is no list, that is the reply.
			m.moveWaited(c)
			return true
		}})
	}
}

// enough tells whether the source has what is to be moved; if it is no list, ok
// is false and that is replied.
func (m *moving) enough(c *command.Ctx) (there, ok bool) {
	l, ok := c.ReadList(&c.Keys[0])
	if !ok || l == nil {
		return false, ok
	}
	return !m.exactly || int64(l.Len()) >= m.count, true
}

// moveWaited is move, journaled as LMOVEM.
func (m *moving) moveWaited(c *command.Ctx) {
	n := m.move(c)
	if n == 0 || !c.Journaling() {
		c.NoEffect()
		return
	}
	order := "OBO"
	if m.bulk {
		order = "BULK"
	}
	c.Effect([]byte("LMOVEM"), c.Keys[0].B, c.Keys[1].B, []byte(m.from.word()), []byte(m.to.word()), []byte("COUNT"), strconv.AppendInt(nil, int64(n), 10), []byte(order))
}

// move moves elements from the list at the first key, where there are enough, to
// the one at the second, which may be the same. It replies with them as they
// stand in the destination then, and returns how many there are; 0: the
// destination is no list, and that is replied.
func (m *moving) move(c *command.Ctx) int {
	src, dst := &c.Keys[0], &c.Keys[1]
	e := c.Lookup(src)
	if d := c.Lookup(dst); d.Exists() && d.Type() != types.TList {
		c.Err(command.ErrWrongType)
		return 0
	}
	l := c.ScratchListAt(0)
	was := c.Open(src, &e, l)
	n := int(min(m.count, int64(l.Len()), math.MaxInt32))
	// The elements in the order of taking them, one behind the other.
	buf := c.Scratch[:0]
	ends := make([]int, 0, min(n, command.LongRead))
	for range n {
		buf = takeFrom(l, m.from).Append(buf)
		ends = append(ends, len(buf))
	}
	elems := make([][]byte, n)
	for i, end := range ends {
		begin := 0
		if i > 0 {
			begin = ends[i-1]
		}
		elems[i] = buf[begin:end:end]
	}
	// In bulk they come to the destination in the order of the source: from
	// the right they were taken, and to the left they are put, in the reverse one.
	if m.bulk && m.from == m.to {
		slices.Reverse(elems)
	}
	if string(src.B) == string(dst.B) {
		for _, b := range elems {
			addTo(l, m.to, b)
		}
		c.Store(src, was, l, types.TList, false)
		c.Notify('l', m.to.pushed(), dst)
		c.Notify('l', m.from.popped(), src)
	} else {
		left := l.Len()
		c.Store(src, was, l, types.TList, left == 0)
		de := c.LookupNoTouch(dst)
		dl := c.ScratchListAt(1)
		dwas := c.Open(dst, &de, dl)
		for _, b := range elems {
			addTo(dl, m.to, b)
		}
		c.Store(dst, dwas, dl, types.TList, false)
		c.Notify('l', m.to.pushed(), dst)
		c.Notify('l', m.from.popped(), src)
		if left == 0 {
			c.Notify('g', "del", src)
		}
	}
	if m.to == left {
		slices.Reverse(elems)
	}
	c.W.Array(n)
	for _, b := range elems {
		c.W.Bulk(b)
	}
	if c.Scratch = buf; cap(buf) > command.ListScratchMax {
		c.Scratch = nil
	}
	c.Dirty += n
	c.Ready(dst)
	return n
}
