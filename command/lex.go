package command

import "kvd/types"

// LexRange reads the bounds of a range of strings: [a, (a, - or +; where they are none,
// it replies so. What it returns aliases the arguments.
func (c *Ctx) LexRange(low, high []byte) (r types.LexRange, ok bool) {
	if r.Min, ok = lexBound(low); ok {
		r.Max, ok = lexBound(high)
	}
	if !ok {
		c.Err("ERR min or max not valid string range item")
	}
	return r, ok
}

func lexBound(b []byte) (l types.LexBound, ok bool) {
	if len(b) == 0 {
		return l, false
	}
	switch b[0] {
	case '[':
		return types.LexBound{Member: b[1:]}, true
	case '(':
		return types.LexBound{Member: b[1:], Ex: true}, true
	case '-':
		l.Inf = -1
	case '+':
		l.Inf = 1
	}
	return l, l.Inf != 0 && (len(b) == 1 || b[1] == 0)
}

// LexQuery is a range of strings and how to show it.
type LexQuery struct {
	Range         types.LexRange
	Reverse       bool
	Offset, Limit int // Limit is none if negative
}

// Clone is a query that does not alias arguments.
func (q LexQuery) Clone() LexQuery {
	q.Range.Min.Member = append([]byte(nil), q.Range.Min.Member...)
	q.Range.Max.Member = append([]byte(nil), q.Range.Max.Member...)
	return q
}

// LexQuery reads two bounds at argument i, the higher one first if the range is read
// backwards, and options: LIMIT offset count, REV where rev says so, and what other takes.
// other returns how many arguments it has taken, 0 for none that it knows.
func (c *Ctx) LexQuery(i int, rev bool, other func(j int) int) (q LexQuery, ok bool) {
	q.Limit = -1
	for j := i + 2; j < len(c.Args); j++ {
		switch {
		case c.Word(j, "limit") && j+2 < len(c.Args):
			offset, ok := c.Int(j + 1)
			if !ok {
				return q, false
			}
			limit, ok := c.Int(j + 2)
			if !ok {
				return q, false
			}
			q.Offset, q.Limit = int(offset), int(limit)
			j += 2
		case rev && c.Word(j, "rev"):
			q.Reverse = true
		default:
			n := other(j)
			if n == 0 {
				c.Err(ErrSyntax)
				return q, false
			}
			j += n - 1
		}
	}
	return q, true
}

// LexBounds reads the bounds of a query at argument i.
func (c *Ctx) LexBounds(q *LexQuery, i int) (ok bool) {
	low, high := c.Args[i], c.Args[i+1]
	if q.Reverse {
		low, high = high, low
	}
	q.Range, ok = c.LexRange(low, high)
	return ok
}
