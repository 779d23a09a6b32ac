package zset

import (
	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// ZDIFF, ZDIFFSTORE, ZINTER, ZINTERCARD, ZINTERSTORE, ZUNION, ZUNIONSTORE.
// Their inputs may be plain sets, whose members have the score 1.
//
// Reading many members is done in the background, on copies (see Ctx.Build for the
// STORE forms).

func zsetAlgebraRows() []*command.Row {
	const (
		unionCost = "O(N)+O(M*log(M)) in the sum of the inputs' members and those of the result"
		interCost = "O(N*K)+O(M*log(M)) in the members of the smallest input, the number of inputs, and the members of the result"
		diffCost  = "O(L+M*log(M)) in the sum of the inputs' members and those of the result"
		weights   = "[WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX | COUNT>]"
		reads     = command.ReadOnly | command.MovableKeys
		stores    = command.Write | command.DenyOOM | command.MovableKeys | command.CountsReads
	)
	return []*command.Row{
		{Name: "zdiff", Fn: func(c *command.Ctx) { zcombine(c, zdiff) }, Arity: -3, Flags: reads, KeysFn: command.KeysAfterCount(1), KeyFlags: "RO access",
			Since: "6.2.0", Group: "sorted-set", Summary: "Returns the members of the first sorted set that no other has.", Complexity: diffCost, Syntax: "numkeys key [key ...] [WITHSCORES]"},
		{Name: "zdiffstore", Fn: func(c *command.Ctx) { zcombineStore(c, zdiff, "zdiffstore") }, Arity: -4, Flags: stores, First: 1, Last: 1, Step: 1, KeysFn: storeAndCounted, KeyFlags: "OW update; RO access",
			Since: "6.2.0", Group: "sorted-set", Summary: "Stores the members of the first sorted set that no other has.", Complexity: diffCost, Syntax: "destination numkeys key [key ...]"},
		{Name: "zinter", Fn: func(c *command.Ctx) { zcombine(c, zinter) }, Arity: -3, Flags: reads, KeysFn: command.KeysAfterCount(1), KeyFlags: "RO access",
			Since: "6.2.0", Group: "sorted-set", Summary: "Returns the members that all of several sorted sets have.", Complexity: interCost, Syntax: "numkeys key [key ...] " + weights + " [WITHSCORES]"},
		{Name: "zintercard", Fn: func(c *command.Ctx) { zcombine(c, zinterCard) }, Arity: -3, Flags: reads, KeysFn: command.KeysAfterCount(1), KeyFlags: "RO access",
			Since: "7.0.0", Group: "sorted-set", Summary: "Counts the members that all of several sorted sets have.", Complexity: "O(N*K) in the members of the smallest input and the number of inputs", Syntax: "numkeys key [key ...] [LIMIT limit]"},
		{Name: "zinterstore", Fn: func(c *command.Ctx) { zcombineStore(c, zinter, "zinterstore") }, Arity: -4, Flags: stores, First: 1, Last: 1, Step: 1, KeysFn: storeAndCounted, KeyFlags: "OW update; RO access",
			Since: "2.0.0", Group: "sorted-set", Summary: "Stores the members that all of several sorted sets have.", Complexity: interCost, Syntax: "destination numkeys key [key ...] " + weights},
		{Name: "zunion", Fn: func(c *command.Ctx) { zcombine(c, zunion) }, Arity: -3, Flags: reads, KeysFn: command.KeysAfterCount(1), KeyFlags: "RO access",
			Since: "6.2.0", Group: "sorted-set", Summary: "Returns the members that any of several sorted sets has.", Complexity: unionCost, Syntax: "numkeys key [key ...] " + weights + " [WITHSCORES]"},
		{Name: "zunionstore", Fn: func(c *command.Ctx) { zcombineStore(c, zunion, "zunionstore") }, Arity: -4, Flags: stores, First: 1, Last: 1, Step: 1, KeysFn: storeAndCounted, KeyFlags: "OW update; RO access",
			Since: "2.0.0", Group: "sorted-set", Summary: "Stores the members that any of several sorted sets has.", Complexity: unionCost, Syntax: "destination numkeys key [key ...] " + weights},
	}
}

var keysAfterSecond = command.KeysAfterCount(2)

// storeAndCounted is the KeysFn of "destination numkeys key ...".
func storeAndCounted(args [][]byte, dst []int) ([]int, bool) {
	return keysAfterSecond(args, append(dst, 1))
}

type zop uint8

const (
	zunion zop = iota
	zinter
	zinterCard
	zdiff
)

// zcombination is sorted sets and plain sets to be combined, and how.
type zcombination struct {
	op        zop
	inputs    []types.ZInput
	weights   []float64 // nil: all are 1
	aggregate types.Aggregate
	scores    bool
	limit     int // of ZINTERCARD; 0 means none
}

// parse reads the arguments from the number of keys, at i, on. The keys are
// looked at before the options are: which error is replied depends on it.
func (z *zcombination) parse(c *command.Ctx, i int, store bool) (keys []keyspace.Key, ok bool) {
	n, ok := c.Int(i)
	if !ok {
		return nil, false
	}
	if n < 1 {
		c.Err("ERR at least 1 input key is needed for '" + c.Row.FullName() + "' command")
		return nil, false
	}
	if n > int64(len(c.Args)-i-1) {
		c.Err(command.ErrSyntax)
		return nil, false
	}
	keys = c.Keys
	if store {
		keys = keys[1:]
	}
	for j := range keys {
		if e := c.Lookup(&keys[j]); e.Exists() && e.Type() != types.TZSet && e.Type() != types.TSet {
			c.Err(command.ErrWrongType)
			return nil, false
		}
	}
	return keys, z.parseOptions(c, i+1+int(n), int(n), store)
}

func (z *zcombination) parseOptions(c *command.Ctx, i, keys int, store bool) (ok bool) {
	weigh := z.op == zunion || z.op == zinter
	for ; i < len(c.Args); i++ {
		left := len(c.Args) - i - 1
		switch {
		case weigh && left >= keys && c.Word(i, "weights"):
			z.weights = make([]float64, keys)
			for j := range z.weights {
				i++
				if z.weights[j], ok = wire.ParseDouble(c.Args[i]); !ok {
					c.Err("ERR weight value is not a float")
					return false
				}
			}
		case weigh && left >= 1 && c.Word(i, "aggregate"):
			i++
			switch {
			case c.Word(i, "sum"):
				z.aggregate = types.AggregateSum
			case c.Word(i, "min"):
				z.aggregate = types.AggregateMin
			case c.Word(i, "max"):
				z.aggregate = types.AggregateMax
			case c.Word(i, "count"):
				z.aggregate = types.AggregateCount
			default:
				c.Err(command.ErrSyntax)
				return false
			}
		case !store && z.op != zinterCard && c.Word(i, "withscores"):
			z.scores = true
		case z.op == zinterCard && left >= 1 && c.Word(i, "limit"):
			i++
			n, ok := command.ParseInt(c.Args[i])
			if !ok || n < 0 {
				c.Err("ERR LIMIT can't be negative")
				return false
			}
			z.limit = int(n)
		default:
			c.Err(command.ErrSyntax)
			return false
		}
	}
	return true
}

// zsource is one input as it is loaded.
type zsource interface {
	command.Collection
	types.ZInput
}

// newZSource is an input for a value of a type; what is not there is an empty
// sorted set.
func newZSource(t types.Type) zsource {
	if t == types.TSet {
		return types.UnitScores{Set: new(types.Set)}
	}
	return new(types.SortedSet)
}

// load loads the inputs over the values of keys. What has expired is gone
// since parse looked, so nothing moves under those that are loaded already.
func (z *zcombination) load(c *command.Ctx, keys []keyspace.Key) {
	z.inputs = make([]types.ZInput, len(keys))
	for i := range keys {
		e := c.Peek(&keys[i])
		in := newZSource(e.Type())
		if e.Exists() {
			c.Load(&e, in)
		}
		z.inputs[i] = in
	}
}

// long tells whether combining the inputs takes long: whatever is done, it
// looks at no more than all of them.
func (z *zcombination) long() bool {
	members, bytes := 0, int64(0)
	for _, in := range z.inputs {
		if _, _, obj := in.(zsource).Stored(); obj != nil {
			members += in.Len()
			bytes += obj.Bytes()
		}
	}
	return members > command.LongRead || bytes > command.LongReadBytes
}

// built is the result, but for ZINTERCARD's.
func (z *zcombination) built() *types.ZSetBuilder {
	var b types.ZSetBuilder
	add := func(member []byte, score float64) bool { b.Add(member, score); return true }
	switch z.op {
	case zunion:
		types.ZUnion(&b, z.inputs, z.weights, z.aggregate)
	case zinter:
		types.ZInter(z.inputs, z.weights, z.aggregate, add)
	default:
		types.ZDiff(z.inputs, add)
	}
	return &b
}

// reply replies with the result.
func (z *zcombination) reply(w *wire.Writer) {
	if z.op == zinterCard {
		w.Int(int64(types.ZInterCard(z.inputs, z.limit)))
		return
	}
	// Not packed: a listpack has no -0.
	result := z.built().Finish(types.ZSetLimits{})
	p := pairsTo(w, z.scores)
	w.Array(p.elements(result.Len()))
	result.Each(p.show)
}

func zcombine(c *command.Ctx, op zop) {
	z := zcombination{op: op}
	keys, ok := z.parse(c, 1, false)
	if !ok {
		return
	}
	z.load(c, keys)
	if !z.long() {
		z.reply(c.W)
		return
	}
	if z.op == zinterCard && z.limit > 0 && z.limit*len(z.inputs) <= command.TryFirst {
		if n, ok := types.ZInterCardWithin(z.inputs, z.limit, command.TryFirst); ok {
			c.W.Int(int64(n))
			return
		}
	}
	free := z.detach()
	c.Aside(func(w *wire.Writer) {
		defer free()
		z.reply(w)
	})
}

// detach has the inputs be views.
func (z *zcombination) detach() (free func()) {
	sources := make([]zsource, len(z.inputs))
	for i, in := range z.inputs {
		sources[i] = in.(zsource)
	}
	return command.DetachAll(sources)
}

func zcombineStore(c *command.Ctx, op zop, event string) {
	z := zcombination{op: op}
	keys, ok := z.parse(c, 2, true)
	if !ok {
		return
	}
	z.load(c, keys)
	finish := c.ZSetFinisher()
	v, ok := c.Build(z.long(), keys, z.detach, func() command.BuiltValue { return command.Built{Collection: finish(z.built())} })
	if !ok {
		return
	}
	n := storeZSet(c, v, event)
	if z.aggregate == types.AggregateCount && c.Dirty > 0 {
		effectOfContents(c, n)
	}
}

// effectPairs is how many members one ZADD of effectOfContents has.
const effectPairs = 1000

// effectOfContents journals what the first key holds now, n members, for a
// command that older versions do not know.
func effectOfContents(c *command.Ctx, n int) {
	c.NoEffect()
	if !c.Journaling() {
		return
	}
	k := &c.Keys[0]
	c.Effect(command.WordDel, k.B)
	if n == 0 {
		return
	}
	z, _ := c.ReadZSet(k)
	var args [][]byte
	z.Each(func(member []byte, score float64) bool {
		if args == nil {
			args = append(make([][]byte, 0, 2*min(n, effectPairs)+2), command.WordZAdd, k.B)
		}
		text := wire.AppendFloat(make([]byte, 0, 24+len(member)), score)
		at := len(text)
		text = append(text, member...)
		args = append(args, text[:at:at], text[at:])
		if len(args) == cap(args) {
			c.Effect(args...)
			args, n = nil, n-effectPairs
		}
		return true
	})
	if args != nil {
		c.Effect(args...)
	}
}
