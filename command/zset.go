package command

import (
	"math"
	"math/rand/v2"
	"strconv"

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

func zsetRows() []*Row {
	return []*Row{
		{Name: "zadd", Fn: func(c *Ctx) { zadd(c, false) }, Arity: -4, Flags: Write | DenyOOM | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update", MemberAt: 3,
			Since: "1.2.0", Group: "sorted-set", Summary: "Adds members to a sorted set, or gives them other scores.", Complexity: "O(log(N)) for each member, N being the number of members",
			Syntax: "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]"},
		{Name: "zcard", Fn: cmdZCard, Arity: 2, Flags: ReadOnly | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO",
			Since: "1.2.0", Group: "sorted-set", Summary: "Returns the number of members of a sorted set.", Complexity: "O(1)", Syntax: "key"},
		{Name: "zincrby", Fn: func(c *Ctx) { zadd(c, true) }, Arity: 4, Flags: Write | DenyOOM | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update", MemberAt: 3,
			Since: "1.2.0", Group: "sorted-set", Summary: "Adds to the score of a member; a missing one counts as 0.", Complexity: "O(log(N)) in the number of members", Syntax: "key increment member"},
		{Name: "zmpop", Fn: cmdZMPop, Arity: -4, Flags: Write | MovableKeys, KeysFn: keysAfterCount(1), KeyFlags: "RW access delete",
			Since: "7.0.0", Group: "sorted-set", Summary: "Removes and returns the lowest or highest members of the first sorted set that is not empty.",
			Complexity: "O(K) + O(M*log(N)) in the numbers of keys, members removed, and members", Syntax: "numkeys key [key ...] <MIN | MAX> [COUNT count]"},
		{Name: "zmscore", Fn: cmdZMScore, Arity: -3, Flags: ReadOnly | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access", MemberAt: 2,
			Since: "6.2.0", Group: "sorted-set", Summary: "Returns the scores of several members.", Complexity: "O(N) in the number of members asked for", Syntax: "key member [member ...]"},
		{Name: "zpopmax", Fn: func(c *Ctx) { zpop(c, true) }, Arity: -2, Flags: Write | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access delete",
			Since: "5.0.0", Group: "sorted-set", Summary: "Removes and returns the members with the highest scores.", Complexity: "O(log(N)*M), M being the number of members removed", Syntax: "key [count]"},
		{Name: "zpopmin", Fn: func(c *Ctx) { zpop(c, false) }, Arity: -2, Flags: Write | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access delete",
			Since: "5.0.0", Group: "sorted-set", Summary: "Removes and returns the members with the lowest scores.", Complexity: "O(log(N)*M), M being the number of members removed", Syntax: "key [count]"},
		{Name: "zrandmember", Fn: cmdZRandMember, Arity: -2, Flags: ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "6.2.0", Group: "sorted-set", Summary: "Returns random members.", Complexity: "O(N) in the number of members returned",
			Syntax: "key [count [WITHSCORES]]", Tips: "nondeterministic_output"},
		{Name: "zrank", Fn: func(c *Ctx) { zrank(c, false) }, Arity: -3, Flags: ReadOnly | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access", MemberAt: 2,
			Since: "2.0.0", Group: "sorted-set", Summary: "Returns the place of a member, counted from the lowest score.", Complexity: "O(log(N))", Syntax: "key member [WITHSCORE]"},
		{Name: "zrem", Fn: cmdZRem, Arity: -3, Flags: Write | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW delete", MemberAt: 2,
			Since: "1.2.0", Group: "sorted-set", Summary: "Removes members from a sorted set.", Complexity: "O(M*log(N)), M being the number of members removed", Syntax: "key member [member ...]"},
		{Name: "zrevrank", Fn: func(c *Ctx) { zrank(c, true) }, Arity: -3, Flags: ReadOnly | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access", MemberAt: 2,
			Since: "2.0.0", Group: "sorted-set", Summary: "Returns the place of a member, counted from the highest score.", Complexity: "O(log(N))", Syntax: "key member [WITHSCORE]"},
		{Name: "zscan", Fn: cmdZScan, Arity: -3, Flags: ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "2.8.0", Group: "sorted-set", Summary: "Goes through the members of a sorted set step by step.", Complexity: "O(1) for each call, O(N) for all",
			Syntax: "key cursor [MATCH pattern] [COUNT count]", Tips: "nondeterministic_output"},
		{Name: "zscore", Fn: cmdZScore, Arity: 3, Flags: ReadOnly | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access", MemberAt: 2,
			Since: "1.2.0", Group: "sorted-set", Summary: "Returns the score of a member.", Complexity: "O(1)", Syntax: "key member"},
	}
}

// zsetValues are what an Exec works on sorted sets with, again and again.
type zsetValues struct {
	set    types.SortedSet
	buf    []byte    // see openZSet
	scores []float64 // of ZADD
}

const (
	// zpairMax is more than a pair takes as packed elements besides the bytes
	// of its member.
	zpairMax = 48
	// zscoresMax is how many scores are kept room for.
	zscoresMax = 1024
)

func (c *Ctx) zsetLimits() types.ZSetLimits {
	return types.ZSetLimits{
		MaxListpackEntries: int(c.S.Config.ZSetMaxListpackEntries.Load()),
		MaxListpackValue:   int(c.S.Config.ZSetMaxListpackValue.Load()),
	}
}

// zset is the sorted set that is used again and again.
func (c *Ctx) zset() *types.SortedSet {
	z := &c.values().zset.set
	z.Limits = c.zsetLimits()
	return z
}

// openZSet is edit for a sorted set that up to room bytes will be added to. A
// packed one that would not find them in its entry is worked on in a buffer,
// so that it need not allocate.
func (c *Ctx) openZSet(k *keyspace.Key, e *keyspace.Entry, z *types.SortedSet, room int) editing {
	was := c.edit(k, e, z)
	enc, packed, obj := z.Stored()
	if room == 0 || obj != nil || cap(packed)-len(packed) >= room {
		return was
	}
	v := &c.values().zset
	if need := min(len(packed)+room, keyspace.InlineMax+zpairMax); cap(v.buf) < need {
		v.buf = make([]byte, max(need, 1<<10, min(2*cap(v.buf), keyspace.InlineMax+zpairMax)))
	}
	z.Load(enc, append(v.buf[:0], packed...), nil)
	return was
}

// putScore is Set, but for a packed set that would not fit into an entry any
// more, which the limits do not know of: it becomes an Object.
func putScore(z *types.SortedSet, member []byte, score float64) (created, changed bool) {
	if _, packed, obj := z.Stored(); obj == nil && len(packed)+len(member)+zpairMax > keyspace.InlineMax {
		z.Limits = types.ZSetLimits{}
		unpack(z)
	}
	return z.Set(member, score)
}

// unpack makes a packed sorted set an Object, unless it is empty.
func unpack(z *types.SortedSet) {
	if z.Len() == 0 {
		return
	}
	var b types.ZSetBuilder
	z.Each(func(member []byte, score float64) bool { b.Add(member, score); return true })
	enc, _, obj := b.Finish(types.ZSetLimits{}).Stored()
	z.Load(enc, nil, obj)
}

// builtZSet is what was built, in the form for the keyspace.
func (c *Ctx) builtZSet(b *types.ZSetBuilder) *types.SortedSet {
	z := b.Finish(c.zsetLimits())
	if _, packed, _ := z.Stored(); len(packed) > keyspace.InlineMax {
		unpack(z)
	}
	return z
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

// zaddOptions are those of ZADD.
type zaddOptions struct{ nx, xx, gt, lt, ch, incr bool }

// parse reads the options and returns where the pairs begin; 0: an error,
// which is replied.
func (o *zaddOptions) parse(c *Ctx) int {
	i := 2
words:
	for ; i < len(c.Args); i++ {
		switch {
		case c.Word(i, "nx"):
			o.nx = true
		case c.Word(i, "xx"):
			o.xx = true
		case c.Word(i, "ch"):
			o.ch = true
		case c.Word(i, "incr"):
			o.incr = true
		case c.Word(i, "gt"):
			o.gt = true
		case c.Word(i, "lt"):
			o.lt = true
		default:
			break words
		}
	}
	n := len(c.Args) - i
	switch {
	case n == 0 || n%2 != 0:
		c.Err(errSyntax)
	case o.nx && o.xx:
		c.Err("ERR XX and NX options at the same time are not compatible")
	case o.gt && o.nx || o.lt && o.nx || o.gt && o.lt:
		c.Err("ERR GT, LT, and/or NX options at the same time are not compatible")
	case o.incr && n > 2:
		c.Err("ERR INCR option supports a single increment-element pair")
	default:
		return i
	}
	return 0
}

// scores reads every second argument as a score; false: one is none, and that
// is replied.
func (c *Ctx) scores(args [][]byte) ([]float64, bool) {
	list := c.values().zset.scores[:0]
	for i := 0; i < len(args); i += 2 {
		f, ok := wire.ParseDouble(args[i])
		if !ok {
			c.Err(errNotFloat)
			return nil, false
		}
		list = append(list, f)
	}
	if cap(list) <= zscoresMax {
		c.values().zset.scores = list
	}
	return list, true
}

func zadd(c *Ctx, incr bool) {
	o := zaddOptions{incr: incr}
	i := o.parse(c)
	if i == 0 {
		return
	}
	args := c.Args[i:]
	if scores, ok := c.scores(args); ok {
		zaddScores(c, &o, scores, args, 2)
	}
}

// zaddScores is ZADD when scores and options are known. Each stride arguments
// end with a member; where they are two the first of them is its score.
func zaddScores(c *Ctx, o *zaddOptions, scores []float64, args [][]byte, stride int) {
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.findType(k, types.TZSet, &e) {
		return
	}
	z := c.zset()
	c.load(&e, z)

	plain := !o.nx && !o.xx && !o.gt && !o.lt && !o.incr
	var was editing
	var effect [][]byte
	open, done := false, false
	added, updated := 0, 0
	var result float64
	for j, score := range scores {
		member := args[stride*(j+1)-1]
		if !plain {
			old, there := z.Score(member)
			if there && o.nx || !there && o.xx {
				continue
			}
			if there && o.incr {
				if score += old; math.IsNaN(score) {
					c.Err("ERR resulting score is not a number (NaN)")
					return
				}
			}
			if there && (o.lt && score >= old || o.gt && score <= old) {
				continue
			}
			done, result = true, score
			if there && score == old {
				continue
			}
		}
		if !open {
			open = true
			room := 0
			for m := stride*(j+1) - 1; m < len(args) && room < keyspace.InlineMax; m += stride {
				room += len(args[m]) + zpairMax
			}
			was = c.openZSet(k, &e, z, room)
		}
		created, changed := putScore(z, member, score)
		if created {
			added++
		} else if changed {
			updated++
		}
		if !plain && c.Journaling() {
			if effect == nil {
				effect = append(make([][]byte, 0, 4), wordZAdd, k.B)
			}
			if o.incr || stride > 2 {
				effect = append(effect, wire.AppendFloat(nil, score), member)
			} else {
				effect = append(effect, args[2*j], member)
			}
		}
	}
	if open && added+updated == 0 {
		c.unchanged(k, was, z)
	}
	if c.Dirty += added + updated; added+updated > 0 {
		c.store(k, was, z, types.TZSet, false)
		if effect != nil {
			c.Effect(effect...)
		}
		event := "zadd"
		if o.incr {
			event = "zincr"
		}
		c.Notify('z', event, k)
		c.Ready(k)
	}
	switch {
	case o.incr && !done:
		c.W.Null()
	case o.incr:
		c.W.Double(result)
	case o.ch:
		c.W.Int(int64(added + updated))
	default:
		c.W.Int(int64(added))
	}
}

var (
	wordZAdd    = []byte("ZADD")
	wordZPopMin = []byte("ZPOPMIN")
	wordZPopMax = []byte("ZPOPMAX")
)

func cmdZRem(c *Ctx) {
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.findType(k, types.TZSet, &e) {
		return
	}
	if !e.Exists() {
		c.W.Int(0)
		return
	}
	z := c.zset()
	was := c.openZSet(k, &e, z, 0)
	n := 0
	for _, member := range c.Args[2:] {
		if z.Remove(member) {
			n++
		}
	}
	if n > 0 {
		c.closeZSet(k, was, z, "zrem")
		c.Dirty += n
	} else {
		c.unchanged(k, was, z)
	}
	c.W.Int(int64(n))
}

// closeZSet keeps a sorted set from which something was removed; event is the
// keyspace event.
func (c *Ctx) closeZSet(k *keyspace.Key, was editing, z *types.SortedSet, event string) {
	n := z.Len()
	c.store(k, was, z, types.TZSet, n == 0)
	c.Notify('z', event, k)
	if n == 0 {
		c.Notify('g', "del", k)
	}
}

func cmdZCard(c *Ctx) {
	z, ok := c.readZSet(&c.Keys[0])
	switch {
	case !ok:
	case z == nil:
		c.W.Int(0)
	default:
		c.W.Int(int64(z.Len()))
	}
}

// replyScore replies with the score of a member of a set, which may be nil.
func (c *Ctx) replyScore(z *types.SortedSet, member []byte) {
	if z != nil {
		if score, ok := z.Score(member); ok {
			c.W.Double(score)
			return
		}
	}
	c.W.Null()
}

func cmdZScore(c *Ctx) {
	if z, ok := c.readZSet(&c.Keys[0]); ok {
		c.replyScore(z, c.Args[2])
	}
}

func cmdZMScore(c *Ctx) {
	z, ok := c.readZSet(&c.Keys[0])
	if !ok {
		return
	}
	c.W.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		c.replyScore(z, member)
	}
}

func zrank(c *Ctx, reverse bool) {
	if len(c.Args) > 4 {
		c.WrongArity()
		return
	}
	withScore := len(c.Args) == 4
	if withScore && !c.Word(3, "withscore") {
		c.Err(errSyntax)
		return
	}
	z, ok := c.readZSet(&c.Keys[0])
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
func (c *Ctx) popZSet(k *keyspace.Key, e *keyspace.Entry, o *zpopOptions) int {
	z := c.zset()
	was := c.openZSet(k, e, z, 0)
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
	c.closeZSet(k, was, z, o.event())
	c.Dirty += n
	return n
}

// popEffect journals popping as the command of old that has one key; n is
// left out if it is 0.
func (c *Ctx) popEffect(k *keyspace.Key, o *zpopOptions, n int) {
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

func zpop(c *Ctx, highest bool) {
	if len(c.Args) > 3 {
		c.Err(errSyntax)
		return
	}
	o := zpopOptions{highest: highest, count: 1}
	if len(c.Args) == 3 {
		var ok bool
		if o.count, ok = parseInt(c.Args[2]); !ok || o.count < 0 {
			c.Err(errNotPositive)
			return
		}
		o.nested = c.W.Proto >= 3
	}
	k := &c.Keys[0]
	var e keyspace.Entry
	switch {
	case !c.findType(k, types.TZSet, &e):
	case !e.Exists() || o.count == 0:
		c.W.Array(0)
	default:
		c.popZSet(k, &e, &o)
	}
}

// parse reads the arguments of ZMPOP and BZMPOP from the number of keys, at i,
// on.
func (o *zpopOptions) parse(c *Ctx, i int) bool {
	keys, ok := parseInt(c.Args[i])
	if !ok || keys < 1 {
		c.Err("ERR numkeys should be greater than 0")
		return false
	}
	if keys >= int64(len(c.Args)-i-1) {
		c.Err(errSyntax)
		return false
	}
	i += int(keys) + 1
	o.highest = c.Word(i, "max")
	if !o.highest && !c.Word(i, "min") {
		c.Err(errSyntax)
		return false
	}
	o.count, o.withKey, o.nested = 1, true, true
	for given := false; i+1 < len(c.Args); given = true {
		if given || !c.Word(i+1, "count") || i+2 >= len(c.Args) {
			c.Err(errSyntax)
			return false
		}
		i += 2
		if o.count, ok = parseInt(c.Args[i]); !ok || o.count < 1 {
			c.Err("ERR count should be greater than 0")
			return false
		}
	}
	return true
}

// popFirstZSet pops from the first key that holds a sorted set and replies, or
// replies that another type is there; false: no key exists, and nothing is
// replied. If counted, the effect says how many members were removed.
func (c *Ctx) popFirstZSet(o *zpopOptions, counted bool) bool {
	for i := range c.Keys {
		k := &c.Keys[i]
		var e keyspace.Entry
		if !c.findType(k, types.TZSet, &e) {
			return true
		}
		if e.Exists() {
			c.popNoted(k, &e, o, counted)
			return true
		}
	}
	return false
}

// popNoted is popZSet and popEffect.
func (c *Ctx) popNoted(k *keyspace.Key, e *keyspace.Entry, o *zpopOptions, counted bool) {
	n := c.popZSet(k, e, o)
	if !counted {
		n = 0
	}
	c.popEffect(k, o, n)
}

func cmdZMPop(c *Ctx) {
	var o zpopOptions
	if o.parse(c, 1) && !c.popFirstZSet(&o, true) {
		c.W.NullArray()
	}
}

// zrandomMax is the most members that ZRANDMEMBER returns where they may come
// again. Redis has no such limit, and runs out of memory instead.
const zrandomMax = 1 << 24

func cmdZRandMember(c *Ctx) {
	if len(c.Args) == 2 {
		z, ok := c.readZSet(&c.Keys[0])
		switch {
		case !ok:
		case z == nil:
			c.W.Null()
		default:
			z.Random(1, rand.IntN, pairs{w: c.W}.show)
		}
		return
	}
	count, scores, ok := c.randomArgs("withscores")
	if !ok {
		return
	}
	z, ok := c.readZSet(&c.Keys[0])
	if !ok {
		return
	}
	if z == nil {
		c.W.Array(0)
		return
	}
	if count < -zrandomMax {
		c.refuseLong(-count)
		return
	}
	size := z.Len()
	n := int(min(count, int64(size)))
	_, _, obj := z.Stored()
	if max(n, -n) > longRead || n > 0 && longToRead(obj, n, size) || n < 0 && longToRead(obj, min(-n, size), size) {
		c.randomLater(viewOf(z), n, scores)
		return
	}
	replyRandom(c.W, z, n, scores)
}

func (c *Ctx) randomLater(v view, n int, scores bool) {
	c.Aside(func(w *wire.Writer) {
		defer v.free()
		var z types.SortedSet
		v.load(&z)
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

func cmdZScan(c *Ctx) {
	o, ok := c.scanCursor(2)
	if !ok {
		return
	}
	z, ok := c.readZSet(&c.Keys[0])
	if !ok {
		return
	}
	if z == nil {
		c.W.Array(2)
		c.W.BulkInt(0)
		c.W.Array(0)
		return
	}
	if !c.scanRest(&o, 3, false) {
		return
	}
	n := z.Len()
	o.count = min(o.count, n)
	if _, _, obj := z.Stored(); longToRead(obj, o.count, n) || obj != nil && o.hard() {
		c.scanLater(viewOf(z), o)
		return
	}
	if c.scratch = replyZScan(c.W, z, &o, c.scratch); cap(c.scratch) > listScratchMax {
		c.scratch = nil
	}
}

func (c *Ctx) scanLater(v view, o scanOptions) {
	c.Aside(func(w *wire.Writer) {
		defer v.free()
		var z types.SortedSet
		v.load(&z)
		replyZScan(w, &z, &o, nil)
	})
}

// replyZScan replies with a step of ZSCAN. The cursor stands in front of the
// members, so these are gathered in buf, which is returned.
func replyZScan(w *wire.Writer, z *types.SortedSet, o *scanOptions, buf []byte) []byte {
	_, _, obj := z.Stored()
	n := 0
	out := wire.Writer{Buf: buf[:0]}
	cursor := z.Scan(o.cursor, o.count, func(member []byte, score float64) bool {
		if !o.matches(member) {
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
