package zset

import (
	"math/rand/v2"
	"strconv"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// ZADD, ZCARD, ZINCRBY, ZMPOP, ZMSCORE, ZPOPMAX, ZPOPMIN, ZRANDMEMBER, ZRANK,
// ZREM, ZREVRANK, ZSCAN, ZSCORE. Ranges are in zset_range.go, unions and their
// kin in zset_algebra.go, what waits in zset_block.go.
//
// Effects: scores that were computed are journaled as results, conditions as
// what they led to; the removal of the lowest or highest members is the same
// wherever it is replayed.

func zsetRows() []*command.Row {
	return []*command.Row{
		{Name: "zadd", Fn: func(c *command.Ctx) { zadd(c, false) }, Arity: -4, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update", MemberAt: 3,
			Since: "1.2.0", Group: "sorted-set", Summary: "Adds members to a sorted set, or gives them other scores.", Complexity: "O(log(N)) for each member, N being the number of members",
			Syntax: "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]"},
		{Name: "zcard", Fn: cmdZCard, Arity: 2, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO",
			Since: "1.2.0", Group: "sorted-set", Summary: "Returns the number of members of a sorted set.", Complexity: "O(1)", Syntax: "key"},
		{Name: "zincrby", Fn: func(c *command.Ctx) { zadd(c, true) }, Arity: 4, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update", MemberAt: 3,
			Since: "1.2.0", Group: "sorted-set", Summary: "Adds to the score of a member; a missing one counts as 0.", Complexity: "O(log(N)) in the number of members", Syntax: "key increment member"},
		{Name: "zmpop", Fn: cmdZMPop, Arity: -4, Flags: command.Write | command.MovableKeys, KeysFn: command.KeysAfterCount(1), KeyFlags: "RW access delete",
			Since: "7.0.0", Group: "sorted-set", Summary: "Removes and returns the lowest or highest members of the first sorted set that is not empty.",
			Complexity: "O(K) + O(M*log(N)) in the numbers of keys, members removed, and members", Syntax: "numkeys key [key ...] <MIN | MAX> [COUNT count]"},
		{Name: "zmscore", Fn: cmdZMScore, Arity: -3, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access", MemberAt: 2,
			Since: "6.2.0", Group: "sorted-set", Summary: "Returns the scores of several members.", Complexity: "O(N) in the number of members asked for", Syntax: "key member [member ...]"},
		{Name: "zpopmax", Fn: func(c *command.Ctx) { zpop(c, true) }, Arity: -2, Flags: command.Write | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access delete",
			Since: "5.0.0", Group: "sorted-set", Summary: "Removes and returns the members with the highest scores.", Complexity: "O(log(N)*M), M being the number of members removed", Syntax: "key [count]"},
		{Name: "zpopmin", Fn: func(c *command.Ctx) { zpop(c, false) }, Arity: -2, Flags: command.Write | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access delete",
			Since: "5.0.0", Group: "sorted-set", Summary: "Removes and returns the members with the lowest scores.", Complexity: "O(log(N)*M), M being the number of members removed", Syntax: "key [count]"},
		{Name: "zrandmember", Fn: cmdZRandMember, Arity: -2, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "6.2.0", Group: "sorted-set", Summary: "Returns random members.", Complexity: "O(N) in the number of members returned",
			Syntax: "key [count [WITHSCORES]]", Tips: "nondeterministic_output"},
		{Name: "zrank", Fn: func(c *command.Ctx) { zrank(c, false) }, Arity: -3, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access", MemberAt: 2,
			Since: "2.0.0", Group: "sorted-set", Summary: "Returns the place of a member, counted from the lowest score.", Complexity: "O(log(N))", Syntax: "key member [WITHSCORE]"},
		{Name: "zrem", Fn: cmdZRem, Arity: -3, Flags: command.Write | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW delete", MemberAt: 2,
			Since: "1.2.0", Group: "sorted-set", Summary: "Removes members from a sorted set.", Complexity: "O(M*log(N)), M being the number of members removed", Syntax: "key member [member ...]"},
		{Name: "zrevrank", Fn: func(c *command.Ctx) { zrank(c, true) }, Arity: -3, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access", MemberAt: 2,
			Since: "2.0.0", Group: "sorted-set", Summary: "Returns the place of a member, counted from the highest score.", Complexity: "O(log(N))", Syntax: "key member [WITHSCORE]"},
		{Name: "zscan", Fn: cmdZScan, Arity: -3, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "2.8.0", Group: "sorted-set", Summary: "Goes through the members of a sorted set step by step.", Complexity: "O(1) for each call, O(N) for all",
			Syntax: "key cursor [MATCH pattern] [COUNT count]", Tips: "nondeterministic_output"},
		{Name: "zscore", Fn: cmdZScore, Arity: 3, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access", MemberAt: 2,
			Since: "1.2.0", Group: "sorted-set", Summary: "Returns the score of a member.", Complexity: "O(1)", Syntax: "key member"},
	}
}

// pairs writes members, and scores if they are wanted: in turns, or nested in
// arrays of two.
type pairs struct {
	w              *wire.Writer
	scores, nested bool
}

// pairsTo is what replies with several members look like: nested pairs are for
// RESP3.
func pairsTo(w *wire.Writer, scores bool) pairs {
	return pairs{w, scores, scores && w.Proto >= 3}
}

// elements is the length of the array that n members make.
func (p pairs) elements(n int) int {
	if p.scores && !p.nested {
		return 2 * n
	}
	return n
}

func (p pairs) show(member []byte, score float64) bool {
	if p.nested {
		p.w.Array(2)
	}
	p.w.Bulk(member)
	if p.scores {
		p.w.Double(score)
	}
	return true
}

// parse reads the options and returns where the pairs begin; 0: an error,
// which is replied.
func parse(o *command.ZAddOptions, c *command.Ctx) int {
	i := 2
words:
	for ; i < len(c.Args); i++ {
		switch {
		case c.WhenWord(i, &o.When):
		case c.Word(i, "ch"):
			o.CH = true
		case c.Word(i, "incr"):
			o.Incr = true
		default:
			break words
		}
	}
	n := len(c.Args) - i
	switch {
	case n == 0 || n%2 != 0:
		c.Err(command.ErrSyntax)
	case o.NX && o.XX:
		c.Err("ERR XX and NX options at the same time are not compatible")
	case o.GT && o.NX || o.LT && o.NX || o.GT && o.LT:
		c.Err("ERR GT, LT, and/or NX options at the same time are not compatible")
	case o.Incr && n > 2:
		c.Err("ERR INCR option supports a single increment-element pair")
	default:
		return i
	}
	return 0
}

// scores reads every second argument as a score; false: one is none, and that
// is replied.
func scores(c *command.Ctx, args [][]byte) ([]float64, bool) {
	list := c.Values().ZSet.Scores[:0]
	for i := 0; i < len(args); i += 2 {
		f, ok := wire.ParseDouble(args[i])
		if !ok {
			c.Err(command.ErrNotFloat)
			return nil, false
		}
		list = append(list, f)
	}
	if cap(list) <= command.ZScoresMax {
		c.Values().ZSet.Scores = list
	}
	return list, true
}

func zadd(c *command.Ctx, incr bool) {
	o := command.ZAddOptions{Incr: incr}
	i := parse(&o, c)
	if i == 0 {
		return
	}
	args := c.Args[i:]
	if scores, ok := scores(c, args); ok {
		command.ZAddScores(c, &o, scores, args, 2)
	}
}

var (
	wordZPopMin = []byte("ZPOPMIN")
	wordZPopMax = []byte("ZPOPMAX")
)

func cmdZRem(c *command.Ctx) {
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TZSet, &e) {
		return
	}
	if !e.Exists() {
		c.W.Int(0)
		return
	}
	z := c.ScratchZSet()
	was := c.OpenZSet(k, &e, z, 0)
	n := 0
	for _, member := range c.Args[2:] {
		if z.Remove(member) {
			n++
		}
	}
	if n > 0 {
		closeZSet(c, k, was, z, "zrem")
		c.Dirty += n
	} else {
		c.Unchanged(k, was, z)
	}
	c.W.Int(int64(n))
}

// closeZSet keeps a sorted set from which something was removed; event is the
// keyspace event.
func closeZSet(c *command.Ctx, k *keyspace.Key, was command.Editing, z *types.SortedSet, event string) {
	n := z.Len()
	c.Store(k, was, z, types.TZSet, n == 0)
	c.Notify('z', event, k)
	if n == 0 {
		c.Notify('g', "del", k)
	}
}

func cmdZCard(c *command.Ctx) {
	z, ok := c.ReadZSet(&c.Keys[0])
	switch {
	case !ok:
	case z == nil:
		c.W.Int(0)
	default:
		c.W.Int(int64(z.Len()))
	}
}

// replyScore replies with the score of a member of a set, which may be nil.
func replyScore(c *command.Ctx, z *types.SortedSet, member []byte) {
	if z != nil {
		if score, ok := z.Score(member); ok {
			c.W.Double(score)
			return
		}
	}
	c.W.Null()
}

func cmdZScore(c *command.Ctx) {
	if z, ok := c.ReadZSet(&c.Keys[0]); ok {
		replyScore(c, z, c.Args[2])
	}
}

func cmdZMScore(c *command.Ctx) {
	z, ok := c.ReadZSet(&c.Keys[0])
	if !ok {
		return
	}
	c.W.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		replyScore(c, z, member)
	}
}

func zrank(c *command.Ctx, reverse bool) {
	if len(c.Args) > 4 {
		c.WrongArity()
		return
	}
	withScore := len(c.Args) == 4
	if withScore && !c.Word(3, "withscore") {
		c.Err(command.ErrSyntax)
		return
	}
	z, ok := c.ReadZSet(&c.Keys[0])
	if !ok {
		return
	}
	if z != nil {
		if rank, score, ok := z.Rank(c.Args[2], reverse); ok {
			if withScore {
				c.W.Array(2)
			}
			c.W.Int(int64(rank))
			if withScore {
				c.W.Double(score)
			}
			return
		}
	}
	if withScore {
		c.W.NullArray()
	} else {
		c.W.Null()
	}
}

// zpopOptions is what to pop, and how to reply with it: under its key or not,
// in pairs or not.
type zpopOptions struct {
	highest         bool
	count           int64 // positive
	withKey, nested bool
}

func (o *zpopOptions) event() string {
	if o.highest {
		return "zpopmax"
	}
	return "zpopmin"
}

// popZSet pops from the sorted set at k, replies, and returns how many members
// it removed.
func popZSet(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry, o *zpopOptions) int {
	z := c.ScratchZSet()
	was := c.OpenZSet(k, e, z, 0)
	n := int(min(o.count, int64(z.Len())))
	p := pairs{c.W, true, o.nested}
	switch {
	case !o.withKey:
		c.W.Array(p.elements(n))
	case !o.nested:
		c.W.Array(2*n + 1)
		c.W.Bulk(k.B)
	default:
		c.W.Array(2)
		c.W.Bulk(k.B)
		c.W.Array(n)
	}
	if o.highest {
		z.PopMax(n, p.show)
	} else {
		z.PopMin(n, p.show)
	}
	closeZSet(c, k, was, z, o.event())
	c.Dirty += n
	return n
}

// popEffect journals popping as the command of old that has one key; n is
// left out if it is 0.
func popEffect(c *command.Ctx, k *keyspace.Key, o *zpopOptions, n int) {
	if !c.Journaling() {
		c.NoEffect()
		return
	}
	word := wordZPopMin
	if o.highest {
		word = wordZPopMax
	}
	if n == 0 {
		c.Effect(word, k.B)
	} else {
		c.Effect(word, k.B, strconv.AppendInt(nil, int64(n), 10))
	}
}

func zpop(c *command.Ctx, highest bool) {
	if len(c.Args) > 3 {
		c.Err(command.ErrSyntax)
		return
	}
	o := zpopOptions{highest: highest, count: 1}
	if len(c.Args) == 3 {
		var ok bool
		if o.count, ok = command.ParseInt(c.Args[2]); !ok || o.count < 0 {
			c.Err(command.ErrNotPositive)
			return
		}
		o.nested = c.W.Proto >= 3
	}
	k := &c.Keys[0]
	var e keyspace.Entry
	switch {
	case !c.LookupType(k, types.TZSet, &e):
	case !e.Exists() || o.count == 0:
		c.W.Array(0)
	default:
		if o.count > command.LongWrite {
			z := c.ScratchZSet()
			if c.Load(&e, z); z.Len() > command.LongWrite && c.Beside() {
				return
			}
		}
		popZSet(c, k, &e, &o)
	}
}

// parse reads the arguments of ZMPOP and BZMPOP from the number of keys, at i,
// on.
func (o *zpopOptions) parse(c *command.Ctx, i int) bool {
	keys, ok := command.ParseInt(c.Args[i])
	if !ok || keys < 1 {
		c.Err("ERR numkeys should be greater than 0")
		return false
	}
	if keys >= int64(len(c.Args)-i-1) {
		c.Err(command.ErrSyntax)
		return false
	}
	i += int(keys) + 1
	o.highest = c.Word(i, "max")
	if !o.highest && !c.Word(i, "min") {
		c.Err(command.ErrSyntax)
		return false
	}
	o.count, o.withKey, o.nested = 1, true, true
	for given := false; i+1 < len(c.Args); given = true {
		if given || !c.Word(i+1, "count") || i+2 >= len(c.Args) {
			c.Err(command.ErrSyntax)
			return false
		}
		i += 2
		if o.count, ok = command.ParseInt(c.Args[i]); !ok || o.count < 1 {
			c.Err("ERR count should be greater than 0")
			return false
		}
	}
	return true
}

// popFirstZSet pops from the first key that holds a sorted set and replies, or
// replies that another type is there; false: no key exists, and nothing is
// replied. If counted, the effect says how many members were removed.
func popFirstZSet(c *command.Ctx, o *zpopOptions, counted bool) bool {
	for i := range c.Keys {
		k := &c.Keys[i]
		var e keyspace.Entry
		if !c.LookupType(k, types.TZSet, &e) {
			return true
		}
		if e.Exists() {
			popNoted(c, k, &e, o, counted)
			return true
		}
	}
	return false
}

// popNoted is popZSet and popEffect.
func popNoted(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry, o *zpopOptions, counted bool) {
	n := popZSet(c, k, e, o)
	if !counted {
		n = 0
	}
	popEffect(c, k, o, n)
}

func cmdZMPop(c *command.Ctx) {
	var o zpopOptions
	if o.parse(c, 1) && !popFirstZSet(c, &o, true) {
		c.W.NullArray()
	}
}

// zrandomMax is the most members that ZRANDMEMBER returns where they may come
// again. Redis has no such limit, and runs out of memory instead.
const zrandomMax = 1 << 24

func cmdZRandMember(c *command.Ctx) {
	if len(c.Args) == 2 {
		z, ok := c.ReadZSet(&c.Keys[0])
		switch {
		case !ok:
		case z == nil:
			c.W.Null()
		default:
			z.Random(1, rand.IntN, pairs{w: c.W}.show)
		}
		return
	}
	count, scores, ok := c.RandomArgs("withscores")
	if !ok {
		return
	}
	z, ok := c.ReadZSet(&c.Keys[0])
	if !ok {
		return
	}
	if z == nil {
		c.W.Array(0)
		return
	}
	if count < -zrandomMax {
		c.RefuseLong(-count)
		return
	}
	size := z.Len()
	n := int(min(count, int64(size)))
	_, _, obj := z.Stored()
	if max(n, -n) > command.LongRead || n > 0 && command.LongToRead(obj, n, size) || n < 0 && command.LongToRead(obj, min(-n, size), size) {
		randomLater(c, command.ViewOf(z), n, scores)
		return
	}
	replyRandom(c.W, z, n, scores)
}

func randomLater(c *command.Ctx, v command.View, n int, scores bool) {
	c.Aside(func(w *wire.Writer) {
		defer v.Free()
		var z types.SortedSet
		v.Load(&z)
		replyRandom(w, &z, n, scores)
	})
}

// replyRandom replies with n different members, or if n is negative with -n
// that may be the same.
func replyRandom(w *wire.Writer, z *types.SortedSet, n int, scores bool) {
	p := pairsTo(w, scores)
	w.Array(p.elements(max(n, -n)))
	if n < 0 {
		z.Random(-n, rand.IntN, p.show)
	} else {
		z.RandomDistinct(n, rand.IntN, p.show)
	}
}

func cmdZScan(c *command.Ctx) {
	o, ok := c.ScanCursor(2)
	if !ok {
		return
	}
	z, ok := c.ReadZSet(&c.Keys[0])
	if !ok {
		return
	}
	if z == nil {
		c.ScanNothing()
		return
	}
	if !c.ScanRest(&o, 3, false) {
		return
	}
	n := z.Len()
	o.Count = min(o.Count, n)
	if _, _, obj := z.Stored(); command.LongToRead(obj, o.Count, n) || obj != nil && o.Hard() {
		scanLater(c, command.ViewOf(z), o)
		return
	}
	if c.Scratch = replyZScan(c.W, z, &o, c.Scratch); cap(c.Scratch) > command.ListScratchMax {
		c.Scratch = nil
	}
}

func scanLater(c *command.Ctx, v command.View, o command.ScanOptions) {
	c.Aside(func(w *wire.Writer) {
		defer v.Free()
		var z types.SortedSet
		v.Load(&z)
		replyZScan(w, &z, &o, nil)
	})
}

// replyZScan replies with a step of ZSCAN. The cursor stands in front of the
// members, so these are gathered in buf, which is returned.
func replyZScan(w *wire.Writer, z *types.SortedSet, o *command.ScanOptions, buf []byte) []byte {
	_, _, obj := z.Stored()
	n := 0
	out := wire.Writer{Buf: buf[:0]}
	cursor := z.Scan(o.Cursor, o.Count, func(member []byte, score float64) bool {
		if !o.Matches(member) {
			return true
		}
		n++
		out.Bulk(member)
		var room [32]byte
		if obj == nil {
			out.Bulk(wire.AppendFloat(room[:0], score)) // as it stands in a listpack
		} else {
			out.Bulk(wire.AppendFloat17(room[:0], score))
		}
		return true
	})
	w.Array(2)
	w.BulkInt(int64(cursor))
	w.Array(2 * n)
	w.Raw(out.Buf)
	return out.Buf
}
