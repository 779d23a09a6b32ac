package list

import (
	"kvd/command"
	"kvd/keyspace"
	"kvd/types"
)

// BLMOVE, BLMPOP, BLPOP, BRPOP, BRPOPLPUSH: they pop at once where they can,
// else wait. What is journaled is what happened: LPOP, RPOP, LMOVE, RPOPLPUSH.

func listBlockRows() []*command.Row {
	return []*command.Row{
		{Name: "blmove", Fn: cmdBLMove, Arity: 6, Flags: command.Write | command.DenyOOM | command.Blocking, First: 1, Last: 2, Step: 1, KeyFlags: "RW access delete; RW insert",
			Since: "6.2.0", Group: "list", Summary: "Moves an element from an end of a list to an end of a list and returns it; waits for one if need be.", Complexity: "O(1)",
			Syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout"},
		{Name: "blmpop", Fn: cmdBLMPop, Arity: -5, Flags: command.Write | command.Blocking | command.MovableKeys, KeysFn: command.KeysAfterCount(2), KeyFlags: "RW access delete",
			Since: "7.0.0", Group: "list", Summary: "Removes and returns elements of the first list that is not empty; waits for one if need be.", Complexity: "O(N+M) in the number of keys and of elements returned",
			Syntax: "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]"},
		{Name: "blpop", Fn: func(c *command.Ctx) { blockingPop(c, left) }, Arity: -3, Flags: command.Write | command.Blocking, First: 1, Last: -2, Step: 1, KeyFlags: "RW access delete",
			Since: "2.0.0", Group: "list", Summary: "Removes and returns the first element of the first list that is not empty; waits for one if need be.", Complexity: "O(N) in the number of keys", Syntax: "key [key ...] timeout"},
		{Name: "brpop", Fn: func(c *command.Ctx) { blockingPop(c, right) }, Arity: -3, Flags: command.Write | command.Blocking, First: 1, Last: -2, Step: 1, KeyFlags: "RW access delete",
			Since: "2.0.0", Group: "list", Summary: "Removes and returns the last element of the first list that is not empty; waits for one if need be.", Complexity: "O(N) in the number of keys", Syntax: "key [key ...] timeout"},
		{Name: "brpoplpush", Fn: cmdBRPopLPush, Arity: 4, Flags: command.Write | command.DenyOOM | command.Blocking, First: 1, Last: 2, Step: 1, KeyFlags: "RW access delete; RW insert",
			Since: "2.2.0", Group: "list", Summary: "Moves the last element of a list to the front of a list and returns it; waits for one if need be.", Complexity: "O(1)", Syntax: "source destination timeout"},
	}
}

func blockingPop(c *command.Ctx, s end) {
	ms, ok := c.Timeout(len(c.Args) - 1)
	if !ok {
		return
	}
	for i := range c.Keys {
		k := &c.Keys[i]
		l, was, ok := editList(c, k)
		if !ok {
			return
		}
		if l != nil {
			popOneWithKey(c, k, l, was, s)
			return
		}
	}
	if !c.CanBlock() {
		c.W.NullArray()
		return
	}
	c.Block(c.Keys, command.Wait{Timeout: ms, TimedOut: command.NullArray, Serve: func(c *command.Ctx, k *keyspace.Key) bool {
		l, was := waitedList(c, k)
		if l == nil {
			return false
		}
		popOneWithKey(c, k, l, was, s)
		return true
	}})
}

// waitedList is editList for a client that has waited: it is not told that
// something else is at the key.
func waitedList(c *command.Ctx, k *keyspace.Key) (l *types.List, was command.Editing) {
	e := c.Lookup(k)
	if e.Type() != types.TList {
		return nil, was
	}
	l = c.ScratchListAt(0)
	return l, c.Open(k, &e, l)
}

// popOneWithKey replies with a key and the element that it pops from it.
func popOneWithKey(c *command.Ctx, k *keyspace.Key, l *types.List, was command.Editing, s end) {
	c.W.Array(2)
	c.W.Bulk(k.B)
	command.WriteElem(c.W, takeFrom(l, s))
	storeList(c, k, was, l, s.popped())
	c.Dirty++
	if c.Journaling() {
		c.Effect([]byte(s.pop()), k.B)
	} else {
		c.NoEffect()
	}
}

func cmdBLMPop(c *command.Ctx) {
	var o popOptions
	if !o.parse(c, 2) {
		return
	}
	ms, ok := c.Timeout(1)
	if !ok || popFirst(c, &o) {
		return
	}
	if !c.CanBlock() {
		c.W.NullArray()
		return
	}
	c.Block(c.Keys, command.Wait{Timeout: ms, TimedOut: command.NullArray, Serve: func(c *command.Ctx, k *keyspace.Key) bool {
		l, was := waitedList(c, k)
		if l == nil {
			return false
		}
		popWithKey(c, k, l, was, &o, false)
		return true
	}})
}

func cmdBLMove(c *command.Ctx) {
	from, ok := parseEnd(c, 3)
	if !ok {
		return
	}
	to, ok := parseEnd(c, 4)
	if !ok {
		return
	}
	if ms, ok := c.Timeout(5); ok {
		blockingMove(c, from, to, ms, false)
	}
}

func cmdBRPopLPush(c *command.Ctx) {
	if ms, ok := c.Timeout(3); ok {
		blockingMove(c, right, left, ms, true)
	}
}

// blockingMove is BLMOVE, or BRPOPLPUSH.
func blockingMove(c *command.Ctx, from, to end, ms int64, rpoplpush bool) {
	var e keyspace.Entry
	switch {
	case !c.LookupType(&c.Keys[0], types.TList, &e):
	case e.Exists():
		moveWaited(c, from, to, rpoplpush)
	case !c.CanBlock():
		c.W.Null()
	default:
		c.Block(c.Keys[:1], command.Wait{Timeout: ms, Needs: c.Keys[1:2], TimedOut: command.NullArray, Serve: func(c *command.Ctx, k *keyspace.Key) bool {
			if e := c.LookupNoTouch(k); e.Type() != types.TList {
				return false
			}
			// Where the destination is no list, that is the reply.
			moveWaited(c, from, to, rpoplpush)
			return true
		}})
	}
}

// moveWaited is move as a blocking command does it: journaled as the one that
// does not block.
func moveWaited(c *command.Ctx, from, to end, rpoplpush bool) {
	if !move(c, from, to) || !c.Journaling() {
		c.NoEffect()
		return
	}
	src, dst := c.Keys[0].B, c.Keys[1].B
	if rpoplpush {
		c.Effect([]byte("RPOPLPUSH"), src, dst)
	} else {
		c.Effect([]byte("LMOVE"), src, dst, []byte(from.word()), []byte(to.word()))
	}
}
