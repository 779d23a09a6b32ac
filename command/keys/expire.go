package keys

import (
	"math"

	"kvd/command"
)

// EXPIRE, EXPIREAT, EXPIRETIME, PERSIST, PEXPIRE, PEXPIREAT, PEXPIRETIME, PTTL, TTL

func expireRows() []*command.Row {
	const options = " [NX | XX | GT | LT]"
	set := func(name, since, summary, arg string, unit int64, relative bool) *command.Row {
		return &command.Row{Name: name, Fn: func(c *command.Ctx) { expire(c, unit, relative) }, Arity: -3, Flags: command.Write | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update",
			Since: since, Group: "generic", Summary: summary, Complexity: "O(log(N)) in the number of keys with a deadline", Syntax: "key " + arg + options}
	}
	get := func(name, since, summary, tips string, unit int64, relative bool) *command.Row {
		return &command.Row{Name: name, Fn: func(c *command.Ctx) { ttl(c, unit, relative) }, Arity: 2, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: since, Group: "generic", Summary: summary, Complexity: "O(1)", Syntax: "key", Tips: tips}
	}
	return []*command.Row{
		set("expire", "1.0.0", "Sets after how many seconds a key expires.", "seconds", 1000, true),
		set("expireat", "1.2.0", "Sets the Unix second at which a key expires.", "unix-time-seconds", 1000, false),
		set("pexpire", "2.6.0", "Sets after how many milliseconds a key expires.", "milliseconds", 1, true),
		set("pexpireat", "2.6.0", "Sets the Unix millisecond at which a key expires.", "unix-time-milliseconds", 1, false),
		get("expiretime", "7.0.0", "Returns the Unix second at which a key expires.", "", 1000, false),
		get("pexpiretime", "7.0.0", "Returns the Unix millisecond at which a key expires.", "", 1, false),
		get("ttl", "1.0.0", "Returns the seconds until a key expires.", "nondeterministic_output", 1000, true),
		get("pttl", "2.6.0", "Returns the milliseconds until a key expires.", "nondeterministic_output", 1, true),
		{Name: "persist", Fn: cmdPersist, Arity: 2, Flags: command.Write | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update",
			Since: "2.2.0", Group: "generic", Summary: "Takes the expiry from a key.", Complexity: "O(log(N)) in the number of keys with a deadline", Syntax: "key"},
	}
}

// expire serves EXPIRE and its kin; unit is in milliseconds.
func expire(c *command.Ctx, unit int64, relative bool) {
	w, ok := c.ExpireWhen(3)
	if !ok {
		return
	}
	when, ok := c.Int(2)
	if !ok {
		return
	}
	base := int64(0)
	if relative {
		base = c.Now
	}
	if when > math.MaxInt64/unit || when < math.MinInt64/unit || when*unit > math.MaxInt64-base {
		c.InvalidExpire()
		return
	}
	when = when*unit + base
	k := &c.Keys[0]
	e := c.Lookup(k)
	if !e.Exists() || !w.Holds(e.Deadline(), when) {
		c.W.Int(0)
		return
	}
	c.Dirty++
	c.W.Int(1)
	if c.Past(when) {
		c.Delete(k)
		c.Effect([]byte("DEL"), k.B)
		c.Notify('g', "del", k)
		return
	}
	when = max(when, 1) // 0 would be none
	c.SetDeadline(k, when)
	if c.Journaling() {
		c.Effect([]byte("PEXPIREAT"), k.B, command.IntArg(when))
	}
	c.Notify('g', "expire", k)
}

// ttl serves TTL and its kin; unit is in milliseconds.
func ttl(c *command.Ctx, unit int64, relative bool) {
	e := c.LookupNoTouch(&c.Keys[0])
	if !e.Exists() {
		c.W.Int(-2)
		return
	}
	ms := e.Deadline()
	if ms == 0 {
		c.W.Int(-1)
		return
	}
	if relative {
		ms = max(ms-c.Now, 0)
	}
	n := ms / unit
	if ms%unit*2 >= unit { // to the nearest unit; never where it is 1
		n++
	}
	c.W.Int(n)
}

func cmdPersist(c *command.Ctx) {
	k := &c.Keys[0]
	e := c.Lookup(k)
	if !e.Exists() || e.Deadline() == 0 {
		c.W.Int(0)
		return
	}
	c.SetDeadline(k, 0)
	c.Dirty++
	c.Notify('g', "persist", k)
	c.W.Int(1)
}
