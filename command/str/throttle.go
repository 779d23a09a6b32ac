package str

import (
	"math"
	"math/bits"
	"strconv"

	"kvd/command"
	"kvd/keyspace"
	"kvd/types"
)

// CL.THROTTLE, a rate limiter: the command of the module redis-cell, whose
// documentation gives syntax, reply and the algorithm (GCRA). At the key stands
// the time at which all that was allowed so far has been paid for, in
// nanoseconds since 1970 as a decimal string; the key expires then.

func throttleRows() []*command.Row {
	return []*command.Row{{Name: "cl.throttle", Fn: cmdThrottle, Arity: -5, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
		Since: "0.1.0", Group: "generic", Summary: "Allows an action so many times in a period, and some more in a burst (redis-cell).", Complexity: "O(1)",
		Syntax: "key max-burst count-per-period period [quantity]"}}
}

func cmdThrottle(c *command.Ctx) {
	if len(c.Args) > 6 {
		c.WrongArity()
		return
	}
	var n [4]int64 // burst, count, period in seconds, quantity
	n[3] = 1
	for i := range c.Args[2:] {
		var ok bool
		if n[i], ok = c.Int(i + 2); !ok {
			return
		}
	}
	burst, count, period, quantity := n[0], n[1], n[2], n[3]
	// Times have to fit into 63 bits of nanoseconds with room to add them.
	const most = math.MaxInt64 / 8
	if burst < 0 || burst == math.MaxInt64 || count < 1 || period < 1 || quantity < 0 || period > most/1_000_000_000 {
		c.Err(command.ErrNotPositive)
		return
	}
	interval := max(1, period*1e9/count) // of one action
	tolerance, ok := timesUpTo(interval, burst+1, most)
	if !ok {
		c.Err(command.ErrNotPositive)
		return
	}
	cost, fits := timesUpTo(interval, quantity, most)

	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TString, &e) {
		return
	}
	now := c.Now * 1e6
	paid := now
	if e.Exists() {
		at, ok := c.NumberAt(&e)
		if !ok {
			return
		}
		if at > now+most {
			c.Err(command.ErrNotInt)
			return
		}
		paid = max(paid, at)
	}
	limited := !fits || paid+cost-tolerance > now
	retry := int64(-1)
	if !limited {
		paid += cost
	} else if fits && cost <= tolerance {
		retry = (paid + cost - tolerance - now) / 1e9
	}
	if !limited && cost > 0 {
		deadline := (paid + 1e6 - 1) / 1e6
		c.PutInt(k, paid, deadline)
		c.Dirty++
		c.Notify('$', "set", k)
		c.Notify('g', "expire", k)
		if c.Journaling() {
			c.Effect(command.WordSet, k.B, strconv.AppendInt(nil, paid, 10), command.WordPXAT, strconv.AppendInt(nil, deadline, 10))
		} else {
			c.NoEffect()
		}
	}
	remaining := max(0, tolerance-(paid-now)) / interval
	c.W.Array(5)
	if limited {
		c.W.Int(1)
	} else {
		c.W.Int(0)
	}
	c.W.Int(burst + 1)
	c.W.Int(remaining)
	c.W.Int(retry)
	c.W.Int((paid - now) / 1e9)
}

// timesUpTo is a*b, which are not negative, if that is at most limit.
func timesUpTo(a, b, limit int64) (n int64, ok bool) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return int64(lo), hi == 0 && lo <= uint64(limit)
}
