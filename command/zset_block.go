package command

import (
	"kvd/keyspace"
	"kvd/types"
)

// BZMPOP, BZPOPMAX, BZPOPMIN: they pop at once where they can, else wait. What
// is journaled is what happened: ZPOPMIN and ZPOPMAX.

func zsetBlockRows() []*Row {
	return []*Row{
		{Name: "bzmpop", Fn: cmdBZMPop, Arity: -5, Flags: Write | Blocking | MovableKeys, KeysFn: keysAfterCount(2), KeyFlags: "RW access delete",
			Since: "7.0.0", Group: "sorted-set", Summary: "Removes and returns the lowest or highest members of the first sorted set that is not empty; waits for one if need be.",
			Complexity: "O(K) + O(M*log(N)) in the numbers of keys, members removed, and members", Syntax: "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]"},
		{Name: "bzpopmax", Fn: func(c *Ctx) { blockingZPop(c, true) }, Arity: -3, Flags: Write | Blocking | Fast, First: 1, Last: -2, Step: 1, KeyFlags: "RW access delete",
			Since: "5.0.0", Group: "sorted-set", Summary: "Removes and returns the member with the highest score of the first sorted set that is not empty; waits for one if need be.",
			Complexity: "O(log(N)) in the number of members", Syntax: "key [key ...] timeout"},
		{Name: "bzpopmin", Fn: func(c *Ctx) { blockingZPop(c, false) }, Arity: -3, Flags: Write | Blocking | Fast, First: 1, Last: -2, Step: 1, KeyFlags: "RW access delete",
			Since: "5.0.0", Group: "sorted-set", Summary: "Removes and returns the member with the lowest score of the first sorted set that is not empty; waits for one if need be.",
			Complexity: "O(log(N)) in the number of members", Syntax: "key [key ...] timeout"},
	}
}

func blockingZPop(c *Ctx, highest bool) {
	if ms, ok := c.timeout(len(c.Args) - 1); ok {
		c.popOrWait(zpopOptions{highest: highest, count: 1, withKey: true}, false, ms)
	}
}

func cmdBZMPop(c *Ctx) {
	var o zpopOptions
	if !o.parse(c, 2) {
		return
	}
	if ms, ok := c.timeout(1); ok {
		c.popOrWait(o, true, ms)
	}
}

// popOrWait pops from the first key that holds a sorted set, or else waits up
// to ms milliseconds for one of the keys to hold one.
func (c *Ctx) popOrWait(o zpopOptions, counted bool, ms int64) {
	switch {
	case c.popFirstZSet(&o, counted):
	case c.CanBlock():
		c.waitForZSet(o, counted, ms)
	default:
		c.W.NullArray()
	}
}

// waitForZSet blocks the client until it can pop.
func (c *Ctx) waitForZSet(o zpopOptions, counted bool, ms int64) {
	c.Block(c.Keys, Wait{Timeout: ms, TimedOut: nullArray, Serve: func(c *Ctx, k *keyspace.Key) bool {
		e := c.Lookup(k)
		if e.Type() != types.TZSet {
			return false
		}
		c.popNoted(k, &e, &o, counted)
		return true
	}})
}
