package commandtest_test

import (
	"kvd/command"
	"kvd/command/commandtest"
	"kvd/keyspace"
	"kvd/types"
)

// A command: its row, and a function that parses, looks up, changes and replies. INCRTO
// raises a number to at least a limit, and returns it.
func Example() {
	incrTo := func(c *command.Ctx) {
		limit, ok := c.Int(2)
		if !ok {
			return // Int has replied
		}
		k := &c.Keys[0] // the row declares it, so its stripe is locked
		var e keyspace.Entry
		if !c.LookupType(k, types.TString, &e) {
			return // LookupType has replied
		}
		n, ok := c.NumberAt(&e)
		if !ok {
			return
		}
		if n < limit {
			n = limit
			c.PutInt(k, n, 0)
			c.Dirty++ // so the command is journaled
			c.Notify('$', "incrto", k)
		}
		c.W.Int(n)
	}
	commandtest.Show([]*command.Row{{
		Name: "incrto", Fn: incrTo, Arity: 3, Flags: command.Write | command.DenyOOM | command.Fast,
		First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
		Since: "1.0.0", Group: "string", Summary: "Raises a number to at least a limit.", Complexity: "O(1)", Syntax: "key limit",
	}},
		"INCRTO n 5", "INCRTO n 3", "INCRTO n x", "RPUSH l a", "INCRTO l 1")
	// Output:
	// INCRTO n 5 -> :5 (journaled: INCRTO n 5)
	// INCRTO n 3 -> :5
	// INCRTO n x -> -ERR value is not an integer or out of range
	// RPUSH l a -> :1 (journaled: RPUSH l a)
	// INCRTO l 1 -> -WRONGTYPE Operation against a key holding the wrong kind of value
}
