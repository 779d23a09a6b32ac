package zset

import (
	"math"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// BZPOPDUE, ZPOPDUE, kvd's own: queues of jobs that are due at a time, as those
// of Sidekiq and BullMQ, without asking again and again. The score of a member is
// its time, in Unix milliseconds. What is journaled is what happened: ZREM. Where many are
// popped, others have their turn in between: it is no transaction.
//
// The clients that wait for one key wait for the same member, so only the first of
// them is tried, and one clock runs for all: it is set to the lowest score
// whenever a try fails.

func zsetDueRows() []*command.Row {
	const cost = "O(log(N)*M), M being the number of members removed"
	return []*command.Row{
		{Name: "bzpopdue", Fn: cmdBZPopDue, Arity: -3, Flags: command.Write | command.Blocking | command.MovableKeys, First: 1, Last: -2, Step: 1, KeysFn: dueKeys, KeyFlags: "RW access delete",
			Since: "1.0.0", Group: "sorted-set", Summary: "Removes and returns the members of the first sorted set whose scores are times that have come; waits for the first one if need be (kvd).",
			Complexity: cost, Syntax: "key [key ...] timeout [COUNT count]"},
		{Name: "zpopdue", Fn: cmdZPopDue, Arity: -3, Flags: command.Write | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access delete",
			Since: "1.0.0", Group: "sorted-set", Summary: "Removes and returns the members whose scores are at most a time, which is now if it is * (kvd).",
			Complexity: cost, Syntax: "key <* | now> [COUNT count]"},
	}
}

// dueCount reads an option COUNT at argument i, if it is there. Without it one
// member is popped.
func dueCount(c *command.Ctx, i int) (n int64, ok bool) {
	switch {
	case i == len(c.Args):
		return 1, true
	case i+2 != len(c.Args) || !c.Word(i, "count"):
		c.Err(command.ErrSyntax)
		return 0, false
	}
	return c.IntMin(i+1, 1, "ERR count should be greater than 0")
}

// dueTimeoutAt is where BZPOPDUE's timeout stands: at the end, or before COUNT.
func dueTimeoutAt(args [][]byte) int {
	if n := len(args); n >= 5 && command.EqualFold(args[n-2], "count") {
		return n - 3
	}
	return len(args) - 1
}

// dueKeys is BZPOPDUE's KeysFn.
func dueKeys(args [][]byte, dst []int) ([]int, bool) {
	for i := 1; i < dueTimeoutAt(args); i++ {
		dst = append(dst, i)
	}
	return dst, true
}

func cmdZPopDue(c *command.Ctx) {
	now := float64(c.Now)
	if string(c.Args[2]) != "*" {
		var ok bool
		if now, ok = c.Float(2); !ok {
			return
		}
	}
	count, ok := dueCount(c, 3)
	if !ok {
		return
	}
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TZSet, &e) {
		return
	}
	if !e.Exists() || !popDue(c, k, &e, now, count, false) {
		c.W.Array(0)
	}
}

// dueAtOnce is how many members are popped without letting go of the stripe: half a
// millisecond.
const dueAtOnce = 512

// popDue pops up to count members with scores of at most now and replies with
// them, under their key if withKey. It returns false if there are none.
func popDue(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry, now float64, count int64, withKey bool) bool {
	z := c.ScratchZSet()
	c.Load(e, z)
	n := int(min(count, int64(z.CountByScore(dueRange(now)))))
	if n == 0 {
		return false
	}
	p := pairs{c.W, true, withKey || c.W.Proto >= 3}
	first := wire.Writer{Proto: c.W.Proto}
	inPortions := n > dueAtOnce && c.CanBlock() && !c.Applies()
	if inPortions {
		p.w = &first
	}
	if withKey {
		p.w.Array(2)
		p.w.Bulk(k.B)
	}
	if !inPortions {
		p.w.Array(p.elements(n))
		removeDue(c, k, e, z, n, p)
		return true
	}
	at := p.w.DeferArray()
	removeDue(c, k, e, z, dueAtOnce, p)
	got := dueAtOnce
	c.ChangeOn(k, first.Buf, func(c *command.Ctx, w *wire.Writer) (more bool) {
		k := &c.Keys[0]
		e := c.Peek(k)
		if e.Type() != types.TZSet {
			return false
		}
		z := c.ScratchZSet()
		c.Load(&e, z)
		step := min(n-got, dueAtOnce, z.CountByScore(dueRange(now)))
		if step == 0 {
			return false
		}
		p.w = w
		removeDue(c, k, &e, z, step, p)
		got += step
		return got < n
	}, func(w *wire.Writer) { w.SetArray(at, p.elements(got)) })
	return true
}

func dueRange(now float64) types.ScoreRange { return types.ScoreRange{Min: math.Inf(-1), Max: now} }

// removeDue removes the first n members and replies with them.
func removeDue(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry, z *types.SortedSet, n int, p pairs) {
	was := c.OpenZSet(k, e, z, 0)
	effect := [][]byte{wordZRem, k.B}
	z.RemoveByRank(0, n, func(member []byte, score float64) bool {
		if c.Journaling() {
			effect = append(effect, append([]byte(nil), member...))
		}
		return p.show(member, score)
	})
	closeZSet(c, k, was, z, "zrem")
	c.Dirty += n
	c.Effect(effect...)
}

var wordZRem = []byte("ZREM")

func cmdBZPopDue(c *command.Ctx) {
	at := dueTimeoutAt(c.Args)
	if at < 2 {
		c.WrongArity()
		return
	}
	ms, ok := c.Timeout(at)
	if !ok {
		return
	}
	count, ok := dueCount(c, at+1)
	if !ok {
		return
	}
	for i := range c.Keys {
		k := &c.Keys[i]
		var e keyspace.Entry
		if !c.LookupType(k, types.TZSet, &e) {
			return
		}
		if e.Exists() && popDue(c, k, &e, float64(c.Now), count, true) {
			return
		}
	}
	if !c.CanBlock() {
		c.W.NullArray()
		return
	}
	c.Block(c.Keys, command.Wait{Timeout: ms, TimedOut: command.NullArray, Due: true, Serve: func(c *command.Ctx, k *keyspace.Key) bool {
		e := c.Lookup(k)
		if e.Type() != types.TZSet {
			return false
		}
		if popDue(c, k, &e, float64(c.Now), min(count, dueAtOnce), true) {
			return true
		}
		wakeWhenDue(c, k, &e)
		return false
	}})
	for i := range c.Keys {
		if e := c.Peek(&c.Keys[i]); e.Type() == types.TZSet {
			wakeWhenDue(c, &c.Keys[i], &e)
		}
	}
}

// wakeWhenDue has the waiters for a key served when its lowest score has come.
func wakeWhenDue(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry) {
	z := c.ScratchZSet()
	c.Load(e, z)
	z.Range(0, 1, false, func(_ []byte, score float64) bool {
		// What is farther away than any clock runs is looked at again when the
		// set changes.
		if score < math.MaxInt64/2 {
			c.WakeAt(k, int64(math.Ceil(score)))
		}
		return false
	})
}
