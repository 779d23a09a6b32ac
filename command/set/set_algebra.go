package set

import (
	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// SDIFF, SDIFFCARD, SDIFFSTORE, SINTER, SINTERCARD, SINTERSTORE, SUNION,
// SUNIONCARD, SUNIONSTORE.
//
// Looking at many members is done in the background, on copies (see Ctx.Build for the
// STORE forms).

func setAlgebraRows() []*command.Row {
	const (
		unionCost = "O(N) in the sum of the sets' members"
		interCost = "O(N*K) in the members of the smallest set and the number of sets"
		diffCost  = "O(N*K) in the members of the first set and the number of sets"
		counted   = "numkeys key [key ...] "
		order     = "nondeterministic_output_order"
	)
	return []*command.Row{
		{Name: "sdiff", Fn: func(c *command.Ctx) { setCombine(c, setDiff) }, Arity: -2, Flags: command.ReadOnly, First: 1, Last: -1, Step: 1, KeyFlags: "RO access",
			Since: "1.0.0", Group: "set", Summary: "Returns the members of the first set that no other has.", Complexity: diffCost, Syntax: "key [key ...]", Tips: order},
		{Name: "sdiffcard", Fn: func(c *command.Ctx) { setCount(c, setDiff) }, Arity: -3, Flags: command.ReadOnly | command.MovableKeys, KeysFn: command.KeysAfterCount(1), KeyFlags: "RO access",
			Since: "8.10.0", Group: "set", Summary: "Counts the members of the first set that no other has.", Complexity: diffCost, Syntax: counted + "[LIMIT limit]"},
		{Name: "sdiffstore", Fn: func(c *command.Ctx) { setStore(c, setDiff, "sdiffstore") }, Arity: -3, Flags: command.Write | command.DenyOOM | command.CountsReads, First: 1, Last: -1, Step: 1, KeyFlags: "OW update; RO access",
			Since: "1.0.0", Group: "set", Summary: "Stores the members of the first set that no other has.", Complexity: diffCost, Syntax: "destination key [key ...]"},
		{Name: "sinter", Fn: func(c *command.Ctx) { setCombine(c, setInter) }, Arity: -2, Flags: command.ReadOnly, First: 1, Last: -1, Step: 1, KeyFlags: "RO access",
			Since: "1.0.0", Group: "set", Summary: "Returns the members that all of several sets have.", Complexity: interCost, Syntax: "key [key ...]", Tips: order},
		{Name: "sintercard", Fn: func(c *command.Ctx) { setCount(c, setInter) }, Arity: -3, Flags: command.ReadOnly | command.MovableKeys, KeysFn: command.KeysAfterCount(1), KeyFlags: "RO access",
			Since: "7.0.0", Group: "set", Summary: "Counts the members that all of several sets have.", Complexity: interCost, Syntax: counted + "[LIMIT limit]"},
		{Name: "sinterstore", Fn: func(c *command.Ctx) { setStore(c, setInter, "sinterstore") }, Arity: -3, Flags: command.Write | command.DenyOOM | command.CountsReads, First: 1, Last: -1, Step: 1, KeyFlags: "RW update; RO access",
			Since: "1.0.0", Group: "set", Summary: "Stores the members that all of several sets have.", Complexity: interCost, Syntax: "destination key [key ...]"},
		{Name: "sunion", Fn: func(c *command.Ctx) { setCombine(c, setUnion) }, Arity: -2, Flags: command.ReadOnly, First: 1, Last: -1, Step: 1, KeyFlags: "RO access",
			Since: "1.0.0", Group: "set", Summary: "Returns the members that any of several sets has.", Complexity: unionCost, Syntax: "key [key ...]", Tips: order},
		{Name: "sunioncard", Fn: func(c *command.Ctx) { setCount(c, setUnion) }, Arity: -3, Flags: command.ReadOnly | command.MovableKeys, KeysFn: command.KeysAfterCount(1), KeyFlags: "RO access",
			Since: "8.10.0", Group: "set", Summary: "Counts the members that any of several sets has.", Complexity: unionCost, Syntax: counted + "[APPROX] [LIMIT limit]"},
		{Name: "sunionstore", Fn: func(c *command.Ctx) { setStore(c, setUnion, "sunionstore") }, Arity: -3, Flags: command.Write | command.DenyOOM | command.CountsReads, First: 1, Last: -1, Step: 1, KeyFlags: "OW update; RO access",
			Since: "1.0.0", Group: "set", Summary: "Stores the members that any of several sets has.", Complexity: unionCost, Syntax: "destination key [key ...]"},
	}
}

type setOp uint8

const (
	setUnion setOp = iota
	setInter
	setDiff
)

// setCombination is sets to be combined, and how.
type setCombination struct {
	op    setOp
	sets  []*types.Set
	count bool // only the number of members is wanted
	limit int  // the most members wanted; 0 means all
}

// load loads the sets at keys; false: something else is there, and that is
// replied.
func (a *setCombination) load(c *command.Ctx, keys []keyspace.Key) bool {
	for i := range keys {
		var e keyspace.Entry
		if !c.LookupType(&keys[i], types.TSet, &e) {
			return false
		}
	}
	// What has expired is gone now, so nothing moves under the sets.
	sets := make([]types.Set, len(keys))
	a.sets = make([]*types.Set, len(keys))
	for i := range keys {
		e := c.Peek(&keys[i])
		c.Load(&e, &sets[i])
		a.sets[i] = &sets[i]
	}
	return true
}

// parse reads the arguments of the commands that count.
//
// APPROX permits an estimate, which spares Redis the memory of a union that it
// would have to build. There is none to be built here: the sets are merged, and
// the count is exact.
func (a *setCombination) parse(c *command.Ctx) bool {
	keys, ok := command.ParseInt(c.Args[1])
	if !ok || keys < 1 {
		c.Err("ERR numkeys should be greater than 0")
		return false
	}
	if keys > int64(len(c.Args)-2) {
		c.Err("ERR Number of keys can't be greater than number of args")
		return false
	}
	for i := 2 + int(keys); i < len(c.Args); i++ {
		switch {
		case i+1 < len(c.Args) && c.Word(i, "limit"):
			i++
			n, ok := command.ParseInt(c.Args[i])
			if !ok || n < 0 {
				c.Err("ERR LIMIT can't be negative")
				return false
			}
			a.limit = int(n)
		case a.op == setUnion && c.Word(i, "approx"):
		default:
			c.Err(command.ErrSyntax)
			return false
		}
	}
	return true
}

// run hands the members of the result to emit and returns their number. If
// they are only to be counted, emit is nil.
func (a *setCombination) run(emit func(types.Elem) bool) int {
	switch a.op {
	case setUnion:
		return types.SetUnion(a.sets, a.limit, emit)
	case setInter:
		return types.SetInter(a.sets, a.limit, emit)
	}
	return types.SetDiff(a.sets, a.limit, emit)
}

func (a *setCombination) reply(w *wire.Writer) {
	if a.count {
		w.Int(int64(a.run(nil)))
		return
	}
	mark := w.DeferArray()
	n := a.run(func(m types.Elem) bool { command.WriteElem(w, m); return true })
	w.SetSet(mark, n)
}

// long tells whether combining the sets takes long.
func (a *setCombination) long() bool {
	if a.count && len(a.sets) == 1 {
		return false
	}
	members, bytes := 0, int64(0)
	if a.op == setUnion {
		for _, s := range a.sets {
			members += s.Len()
			bytes += objectBytes(s)
		}
		if a.limit > 0 && a.limit < members/len(a.sets) {
			members = a.limit * len(a.sets)
		}
	} else {
		// The members of one set are looked up in the others.
		base := a.sets[0]
		if a.op == setInter {
			for _, s := range a.sets {
				if s.Len() < base.Len() {
					base = s
				}
			}
		}
		each := 0
		for _, s := range a.sets {
			each++
			if s.Encoding() == types.EncListpack {
				each += s.Len() / 16 // passed over one by one
			}
		}
		members, bytes = base.Len()*each, objectBytes(base)
	}
	return members > command.LongRead || bytes > command.LongReadBytes
}

// try counts up to a limit that a few steps may reach. It returns false if they have not reached it.
func (a *setCombination) try() (n int, ok bool) {
	if a.count && a.limit > 0 && a.limit*len(a.sets) <= command.TryFirst {
		switch a.op {
		case setInter:
			return types.SetInterWithin(a.sets, a.limit, command.TryFirst)
		case setDiff:
			return types.SetDiffWithin(a.sets, a.limit, command.TryFirst)
		}
	}
	return 0, false
}

// objectBytes is the size of a set that is not packed.
func objectBytes(s *types.Set) int64 {
	if _, _, obj := s.Stored(); obj != nil {
		return obj.Bytes()
	}
	return 0
}

func setCombine(c *command.Ctx, op setOp) {
	a := setCombination{op: op}
	if a.load(c, c.Keys) {
		a.answer(c)
	}
}

func setCount(c *command.Ctx, op setOp) {
	a := setCombination{op: op, count: true}
	if a.parse(c) && a.load(c, c.Keys) {
		a.answer(c)
	}
}

// answer replies, in the background if that takes long.
func (a *setCombination) answer(c *command.Ctx) {
	if !a.long() {
		a.reply(c.W)
		return
	}
	if n, ok := a.try(); ok {
		c.W.Int(int64(n))
		return
	}
	later := *a
	views := make([]command.View, len(a.sets))
	for i, s := range a.sets {
		views[i] = command.ViewOf(s)
		views[i].Load(s)
	}
	c.Aside(func(w *wire.Writer) {
		defer func() {
			for i := range views {
				views[i].Free()
			}
		}()
		later.reply(w)
	})
}

// setStore stores the result at the first key, which may be one of the sets;
// event is the keyspace event.
func setStore(c *command.Ctx, op setOp, event string) {
	a := setCombination{op: op}
	dst := &c.Keys[0]
	if !a.load(c, c.Keys[1:]) {
		return
	}
	limits := c.SetLimits()
	v, ok := c.Build(a.long(), c.Keys[1:], func() func() { return command.DetachAll(a.sets) }, func() command.BuiltValue {
		b := types.NewSetBuilder(limits)
		a.run(func(m types.Elem) bool { b.Add(m); return true })
		return command.Built{Collection: b.Set()}
	})
	if !ok {
		return
	}
	result := v.(command.Built).Collection.(*types.Set)
	n := result.Len()
	c.W.Int(int64(n))
	if n > 0 {
		c.Replace(dst, result, types.TSet)
		c.Notify('s', event, dst)
		c.Dirty++
	} else if c.Delete(dst) {
		c.Notify('g', "del", dst)
		c.Dirty++
	}
}
