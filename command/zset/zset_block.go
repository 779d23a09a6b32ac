package zset

import (
	"kvd/command"
	"kvd/keyspace"
	"kvd/types"
)

// BZMPOP, BZPOPMAX, BZPOPMIN: they pop at once where they can, else wait. What
// is journaled is what happened: ZPOPMIN and ZPOPMAX.

func zsetBlockRows() []*command.Row {
	return []*command.Row{
		{Name: "bzmpop", Fn: cmdBZMPop, Arity: -5, Flags: command.Write | command.Blocking | command.MovableKeys, KeysFn: command.KeysAfterCount(2), KeyFlags: "RW access delete",
			Since: "7.0.0", Group: "sorted-set", Summary: "Removes and returns the lowest or highest members of the first sorted set that is not empty; waits for one if need be.",
			Complexity: "O(K) + O(M*log(N)) in the numbers of keys, members removed, and members", Syntax: "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]"},
		{Name: "bzpopmax", Fn: func(c *command.Ctx) { blockingZPop(c, true) }, Arity: -3, Flags: command.Write | command.Blocking | command.Fast, First: 1, Last: -2, Step: 1, KeyFlags: "RW access delete",
			Since: "5.0.0", Group: "sorted-set", Summary: "Removes and returns the member with the highest score of the first sorted set that is not empty; waits for one if need be.",
			Complexity: "O(log(N)) in the number of members", Syntax: "key [key ...] timeout"},
		{Name: "bzpopmin", Fn: func(c *command.Ctx) { blockingZPop(c, false) }, Arity: -3, Flags: command.Write | command.Blocking | command.Fast, First: 1, Last: -2, Step: 1, KeyFlags: "RW access delete",
			Since: "5.0.0", Group: "sorted-set", Summary: "Removes and returns the member with the lowest score of the first sorted set that is not empty; waits for one if need be.",
			Complexity: "O(log(N)) in the number of members", Syntax: "key [key ...] timeout"},
	}
}

func blockingZPop(c *command.Ctx, highest bool) {
	if ms, ok := c.Timeout(len(c.Args) - 1); ok {
		popOrWait(c, zpopOptions{highest: highest, count: 1, withKey: true}, false, ms)
	}
}

func cmdBZMPop(c *command.Ctx) {
	var o zpopOptions
	if !o.parse(c, 2) {
		return
	}
	if ms, ok := c.Timeout(1); ok {
		popOrWait(c, o, true, ms)
	}
}

// popOrWait pops from the first key that holds a sorted set, or else waits up
// to ms milliseconds for one of the keys to hold one.
func popOrWait(c *command.Ctx, o zpopOptions, counted bool, ms int64) {
	switch {
	case popFirstZSet(c, &o, counted):
	case c.CanBlock():
		waitForZSet(c, o, counted, ms)
	default:
		c.W.NullArray()
	}
}

// waitForZSet blocks the client until it can pop.
func waitForZSet(c *command.Ctx, o zpopOptions, counted bool, ms int64) {
	c.Block(c.Keys, command.Wait{Timeout: ms, TimedOut: command.NullArray, Serve: func(c *command.Ctx, k *keyspace.Key) bool {
		e := c.Lookup(k)
		if e.Type() != types.TZSet {
			return false
		}
		popNoted(c, k, &e, &o, counted)
		return true
	}})
}
