package zset

import (
	"bytes"
	"slices"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// ZCOUNT, ZLEXCOUNT, ZRANGE, ZRANGEBYLEX, ZRANGEBYSCORE, ZRANGESTORE,
// ZREMRANGEBYLEX, ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREVRANGE,
// ZREVRANGEBYLEX, ZREVRANGEBYSCORE.
//
// A long range is replied to in the background. ZRANGESTORE is atomic: it
// holds its locks for as long as it takes to copy and sort what it stores,
// some 0.5 us a member.

func zsetRangeRows() []*command.Row {
	const cost = "O(log(N)+M), N being the number of members and M of those returned"
	return []*command.Row{
		{Name: "zcount", Fn: cmdZCount, Arity: 4, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "2.0.0", Group: "sorted-set", Summary: "Counts the members with scores in a range.", Complexity: "O(log(N))", Syntax: "key min max"},
		{Name: "zlexcount", Fn: cmdZLexCount, Arity: 4, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "2.8.9", Group: "sorted-set", Summary: "Counts the members between two strings.", Complexity: "O(log(N))", Syntax: "key min max"},
		{Name: "zrange", Fn: func(c *command.Ctx) { zrange(c, zquery{}) }, Arity: -4, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "1.2.0", Group: "sorted-set", Summary: "Returns the members in a range of places, scores or strings.", Complexity: cost,
			Syntax: "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]"},
		{Name: "zrangebylex", Fn: func(c *command.Ctx) { zrange(c, zquery{by: zbyLex, fixed: true}) }, Arity: -4, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "2.8.9", Group: "sorted-set", Summary: "Returns the members between two strings.", Complexity: cost, Syntax: "key min max [LIMIT offset count]"},
		{Name: "zrangebyscore", Fn: func(c *command.Ctx) { zrange(c, zquery{by: zbyScore, fixed: true}) }, Arity: -4, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "1.0.5", Group: "sorted-set", Summary: "Returns the members with scores in a range.", Complexity: cost, Syntax: "key min max [WITHSCORES] [LIMIT offset count]"},
		{Name: "zrangestore", Fn: cmdZRangeStore, Arity: -5, Flags: command.Write | command.DenyOOM | command.CountsReads, First: 1, Last: 2, Step: 1, KeyFlags: "OW update; RO access",
			Since: "6.2.0", Group: "sorted-set", Summary: "Stores the members in a range of places, scores or strings at a key.", Complexity: "O(log(N)+M*log(M)), M being the number of members stored",
			Syntax: "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]"},
		{Name: "zremrangebylex", Fn: func(c *command.Ctx) { zremrange(c, zbyLex, "zremrangebylex") }, Arity: 4, Flags: command.Write, First: 1, Last: 1, Step: 1, KeyFlags: "RW delete",
			Since: "2.8.9", Group: "sorted-set", Summary: "Removes the members between two strings.", Complexity: cost, Syntax: "key min max"},
		{Name: "zremrangebyrank", Fn: func(c *command.Ctx) { zremrange(c, zbyRank, "zremrangebyrank") }, Arity: 4, Flags: command.Write, First: 1, Last: 1, Step: 1, KeyFlags: "RW delete",
			Since: "2.0.0", Group: "sorted-set", Summary: "Removes the members in a range of places.", Complexity: cost, Syntax: "key start stop"},
		{Name: "zremrangebyscore", Fn: func(c *command.Ctx) { zremrange(c, zbyScore, "zremrangebyscore") }, Arity: 4, Flags: command.Write, First: 1, Last: 1, Step: 1, KeyFlags: "RW delete",
			Since: "1.2.0", Group: "sorted-set", Summary: "Removes the members with scores in a range.", Complexity: cost, Syntax: "key min max"},
		{Name: "zrevrange", Fn: func(c *command.Ctx) { zrange(c, zquery{reverse: true, fixed: true}) }, Arity: -4, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "1.2.0", Group: "sorted-set", Summary: "Returns the members in a range of places, the highest score first.", Complexity: cost, Syntax: "key start stop [WITHSCORES]"},
		{Name: "zrevrangebylex", Fn: func(c *command.Ctx) { zrange(c, zquery{by: zbyLex, reverse: true, fixed: true}) }, Arity: -4, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "2.8.9", Group: "sorted-set", Summary: "Returns the members between two strings, the last first.", Complexity: cost, Syntax: "key max min [LIMIT offset count]"},
		{Name: "zrevrangebyscore", Fn: func(c *command.Ctx) { zrange(c, zquery{by: zbyScore, reverse: true, fixed: true}) }, Arity: -4, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "2.2.0", Group: "sorted-set", Summary: "Returns the members with scores in a range, the highest first.", Complexity: cost, Syntax: "key max min [WITHSCORES] [LIMIT offset count]"},
	}
}

// zby is what a range is a range of.
type zby uint8

const (
	zbyRank zby = iota
	zbyScore
	zbyLex
)

// zquery is a range of a sorted set, and how to show it. What it holds may
// alias the arguments.
type zquery struct {
	by            zby
	reverse       bool
	fixed         bool // by the command's name, not by options
	scores        bool
	offset, limit int // limit is none if negative

	start, stop int64
	score       types.ScoreRange
	lex         types.LexRange
}

// parse reads two bounds and the options behind them, from argument i on.
func (q *zquery) parse(c *command.Ctx, i int, store bool) bool {
	q.limit = -1
	chosen := q.fixed // BYSCORE or BYLEX was given; one must not follow another
	for j := i + 2; j < len(c.Args); j++ {
		switch {
		case !store && c.Word(j, "withscores"):
			q.scores = true
		case c.Word(j, "limit") && j+2 < len(c.Args):
			offset, ok := c.Int(j + 1)
			if !ok {
				return false
			}
			limit, ok := c.Int(j + 2)
			if !ok {
				return false
			}
			q.offset, q.limit = int(offset), int(limit)
			j += 2
		case !q.fixed && !q.reverse && c.Word(j, "rev"):
			q.reverse = true
		case !chosen && c.Word(j, "bylex"):
			q.by, chosen = zbyLex, true
		case !chosen && c.Word(j, "byscore"):
			q.by, chosen = zbyScore, true
		default:
			c.Err(command.ErrSyntax)
			return false
		}
	}
	switch {
	case q.limit != -1 && q.by == zbyRank:
		c.Err("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
		return false
	case q.scores && q.by == zbyLex:
		c.Err("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
		return false
	}
	return q.parseBounds(c, i)
}

// parseBounds reads the two bounds at argument i; the higher one comes first
// in a reverse range, unless that is one of places.
func (q *zquery) parseBounds(c *command.Ctx, i int) (ok bool) {
	low, high := c.Args[i], c.Args[i+1]
	if q.reverse {
		low, high = high, low
	}
	switch q.by {
	case zbyRank:
		if q.start, ok = c.Int(i); ok {
			q.stop, ok = c.Int(i + 1)
		}
	case zbyScore:
		q.score, ok = scoreRange(c, low, high)
	default:
		q.lex, ok = c.LexRange(low, high)
	}
	return ok
}

// scoreRange reads the bounds of a range of scores; where they are none, it
// replies so.
func scoreRange(c *command.Ctx, low, high []byte) (r types.ScoreRange, ok bool) {
	if r.Min, r.MinEx, ok = scoreBound(low); ok {
		r.Max, r.MaxEx, ok = scoreBound(high)
	}
	if !ok {
		c.Err("ERR min or max is not a float")
	}
	return r, ok
}

// scoreBound reads a bound as strtod does, which takes more than a score may
// be: nothing at all (0), blanks in front, whatever stands behind a NUL, and
// numbers too large or too small for a double.
func scoreBound(b []byte) (f float64, ex, ok bool) {
	if len(b) > 0 && b[0] == '(' {
		b, ex = b[1:], true
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	if len(b) == 0 {
		return 0, ex, true
	}
	f, ok = wire.ParseDoubleRounded(bytes.TrimLeft(b, " \t\n\v\f\r"))
	return f, ex, ok
}

// each shows the members of the range to f.
func (q *zquery) each(z *types.SortedSet, f func(member []byte, score float64) bool) {
	switch q.by {
	case zbyRank:
		from, to := command.Bounds(q.start, q.stop, z.Len())
		z.Range(from, to-from, q.reverse, f)
	case zbyScore:
		z.RangeByScore(q.score, q.reverse, q.offset, q.limit, f)
	default:
		z.RangeByLex(q.lex, q.reverse, q.offset, q.limit, f)
	}
}

// count is the number of members that each shows, or in a set where a range of
// strings has no meaning, about that.
func (q *zquery) count(z *types.SortedSet) (n int) {
	switch q.by {
	case zbyRank:
		from, to := command.Bounds(q.start, q.stop, z.Len())
		return to - from
	case zbyScore:
		n = z.CountByScore(q.score)
	default:
		n = z.CountByLex(q.lex)
	}
	if q.offset < 0 || q.offset >= n {
		return 0
	}
	n -= q.offset
	if q.limit >= 0 {
		n = min(n, q.limit)
	}
	return n
}

// long tells whether the range takes long to read.
func (q *zquery) long(z *types.SortedSet) bool {
	_, _, obj := z.Stored()
	return command.LongToRead(obj, z.Len(), z.Len()) && command.LongToRead(obj, q.count(z), z.Len())
}

// reply replies with the range.
func (q *zquery) reply(w *wire.Writer, z *types.SortedSet) {
	p := pairsTo(w, q.scores)
	if q.by == zbyRank {
		w.Array(p.elements(q.count(z)))
		q.each(z, p.show)
		return
	}
	mark, n := w.DeferArray(), 0
	q.each(z, func(member []byte, score float64) bool {
		n++
		return p.show(member, score)
	})
	w.SetArray(mark, p.elements(n))
}

// zrange replies with a range of the first key; q says what the command's name
// says of it.
func zrange(c *command.Ctx, q zquery) {
	if !q.parse(c, 2, false) {
		return
	}
	z, ok := c.ReadZSet(&c.Keys[0])
	switch {
	case !ok:
	case z == nil:
		c.W.Array(0)
	case q.long(z):
		rangeLater(c, command.ViewOf(z), q)
	default:
		q.reply(c.W, z)
	}
}

func rangeLater(c *command.Ctx, v command.View, q zquery) {
	q.lex.Min.Member = slices.Clone(q.lex.Min.Member)
	q.lex.Max.Member = slices.Clone(q.lex.Max.Member)
	c.Aside(func(w *wire.Writer) {
		defer v.Free()
		var z types.SortedSet
		v.Load(&z)
		q.reply(w, &z)
	})
}

func cmdZRangeStore(c *command.Ctx) {
	var q zquery
	if !q.parse(c, 3, true) {
		return
	}
	z, ok := c.ReadZSet(&c.Keys[1])
	if !ok {
		return
	}
	lim, finish := c.ZSetLimits(), c.ZSetFinisher()
	detach := func() (free func()) {
		v := command.ViewOf(z)
		z = new(types.SortedSet)
		v.Load(z)
		q.lex.Min.Member = slices.Clone(q.lex.Min.Member)
		q.lex.Max.Member = slices.Clone(q.lex.Max.Member)
		return v.Free
	}
	v, ok := c.Build(z != nil && q.long(z), c.Keys[1:], detach, func() command.BuiltValue {
		var b types.ZSetBuilder
		if z != nil {
			// As in Redis the result begins as a listpack, in which -0 is 0, unless
			// it is known to become too long.
			small := q.by != zbyRank || q.count(z) <= lim.MaxListpackEntries
			q.each(z, func(member []byte, score float64) bool {
				small = small && b.Len() < lim.MaxListpackEntries && len(member) <= lim.MaxListpackValue
				if small && score == 0 {
					score = 0
				}
				b.Add(member, score)
				return true
			})
		}
		return command.Built{Collection: finish(&b)}
	})
	if ok {
		storeZSet(c, v, "zrangestore")
	}
}

// storeZSet sets the first key to what was built, or deletes it if that is
// nothing, and replies with the number of members.
func storeZSet(c *command.Ctx, v command.BuiltValue, event string) (n int) {
	k := &c.Keys[0]
	z := v.(command.Built).Collection.(*types.SortedSet)
	n = z.Len()
	if n > 0 {
		c.Replace(k, z, types.TZSet)
		c.Dirty++
		c.Notify('z', event, k)
		c.Ready(k)
	} else if c.Delete(k) {
		c.Dirty++
		c.Notify('g', "del", k)
	}
	c.W.Int(int64(n))
	return n
}

func cmdZCount(c *command.Ctx) {
	r, ok := scoreRange(c, c.Args[2], c.Args[3])
	if !ok {
		return
	}
	z, ok := c.ReadZSet(&c.Keys[0])
	switch {
	case !ok:
	case z == nil:
		c.W.Int(0)
	default:
		c.W.Int(int64(z.CountByScore(r)))
	}
}

func cmdZLexCount(c *command.Ctx) {
	r, ok := c.LexRange(c.Args[2], c.Args[3])
	if !ok {
		return
	}
	z, ok := c.ReadZSet(&c.Keys[0])
	switch {
	case !ok:
	case z == nil:
		c.W.Int(0)
	default:
		c.W.Int(int64(z.CountByLex(r)))
	}
}

func zremrange(c *command.Ctx, by zby, event string) {
	q := zquery{by: by, limit: -1}
	if !q.parseBounds(c, 2) {
		return
	}
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TZSet, &e) {
		return
	}
	n := 0
	if e.Exists() {
		z := c.ScratchZSet()
		c.Load(&e, z)
		if many := q.count(z); many > 0 {
			if many > command.LongWrite && c.Beside() {
				return
			}
			was := c.OpenZSet(k, &e, z, 0)
			switch by {
			case zbyRank:
				from, to := command.Bounds(q.start, q.stop, z.Len())
				n = z.RemoveByRank(from, to-from, nil)
			case zbyScore:
				n = z.RemoveByScore(q.score, nil)
			default:
				n = z.RemoveByLex(q.lex, nil)
			}
			closeZSet(c, k, was, z, event)
			c.Dirty += n
		}
	}
	c.W.Int(int64(n))
}
