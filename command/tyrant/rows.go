// Package tyrant has the commands that requests of Tokyo Tyrant's protocols become. They
// work on the strings of a database as Redis's commands do: the keys of the database are
// the records, as of an on-memory hash database ("*"). Package kvd/tyrant turns the bytes
// of a connection into them.
//
// A reply is that of the binary protocol: a code, 0 or 1, and what follows it. An error
// reply is in Redis's form ("-CODE text"), which no code begins like: the session makes it
// the code 1, for the protocol has no more words.
package tyrant

import (
	"slices"

	"kvd/command"
)

// Rows are the family's commands. All are hidden from clients of Redis.
func Rows() []*command.Row {
	const (
		read  = command.ReadOnly | command.Fast
		write = command.Write | command.Fast
		store = command.Write | command.DenyOOM | command.Fast
		walk  = command.ReadOnly | command.Walks
		state = command.Loading | command.Stale | command.Walks
	)
	one := func(name string, fn func(*command.Ctx), arity int, flags command.Flag, keyFlags, summary, syntax string) *command.Row {
		return &command.Row{Name: name, Fn: fn, Arity: arity, Flags: flags, First: 1, Last: 1, Step: 1, KeyFlags: keyFlags, Front: "tyrant",
			Since: "7.0.0", Group: "string", Summary: summary, Complexity: "O(1)", Syntax: syntax}
	}
	many := func(r *command.Row, step int) *command.Row {
		r.Last, r.Step, r.Complexity = -1, step, "O(N) in the number of keys"
		return r
	}
	parts := func(r *command.Row) *command.Row { r.Parts = command.CountedParts; return many(r, 1) }
	plain := func(r *command.Row, group, complexity string) *command.Row {
		r.First, r.Last, r.Step, r.KeyFlags, r.Group, r.Complexity = 0, 0, 0, "", group, complexity
		return r
	}
	return slices.Concat(treeRows(), []*command.Row{
		one("tt.put", put, 3, store, "OW update", "put and putnr.", "key value"),
		one("tt.putkeep", putKeep, 3, store, "OW insert", "putkeep.", "key value"),
		one("tt.putcat", putCat, 3, store, "RW insert", "putcat.", "key value"),
		one("tt.putshl", putShift, 4, store, "RW access update", "putshl.", "key value width"),
		one("tt.out", out, 2, write, "RW delete", "out.", "key"),
		one("tt.get", get, 2, read, "RO access", "get.", "key"),
		one("tt.vsiz", vsiz, 2, read, "RO", "vsiz.", "key"),
		parts(one("tt.mget", mget, -2, read, "RO access", "mget.", "key [key ...]")),
		one("tt.addint", addInt, 3, store, "RW access update", "addint.", "key number"),
		one("tt.adddouble", addDouble, 3, store, "RW access update", "adddouble.", "key number"),
		many(one("tt.putlist", putList, -3, store, "OW update", "putlist of misc.", "key value [key value ...]"), 2),
		many(one("tt.outlist", outList, -2, write, "RW delete", "outlist of misc.", "key [key ...]"), 1),
		parts(one("tt.getlist", getList, -2, read, "RO access", "getlist of misc.", "key [key ...]")),
		one("tt.getpart", getPart, -2, read, "RO access", "get and getpart of misc.", "key [offset [length]]"),
		one("tt.iterat", iterAt, 2, read, "RO", "iterinit of misc, from a record on.", "key"),
		plain(one("tt.iterinit", iterInit, 1, walk, "", "iterinit.", ""), "keyspace", "O(1)"),
		plain(one("tt.iternext", iterNext(false), 1, walk, "", "iternext.", ""), "keyspace", "O(1)"),
		plain(one("tt.iterpair", iterNext(true), 1, walk, "", "iternext of misc, with the value.", ""), "keyspace", "O(1)"),
		plain(one("tt.fwmkeys", fwmKeys, 3, walk, "", "fwmkeys: the keys that begin with a prefix.", "prefix max"), "keyspace", "O(N) in the number of keys"),
		plain(one("tt.regex", regex, -2, walk, "", "regex of misc: the records whose keys match.", "pattern [max]"), "keyspace", "O(N) in the number of keys"),
		plain(one("tt.vanish", vanish, 1, command.Write|command.LockAll, "", "vanish: removes all records.", ""), "server", "O(1); the memory is freed in the background"),
		plain(one("tt.sync", syncLog, 1, command.ReadOnly, "", "sync: what was written is on the disk if there is a log.", ""), "server", "O(1)"),
		plain(one("tt.rnum", rnum, 1, walk|command.Fast, "", "rnum: the number of keys.", ""), "server", "O(1)"),
		plain(one("tt.size", size, 1, walk|command.Fast, "", "size: the bytes of the database.", ""), "server", "O(1)"),
		plain(one("tt.stat", stat, 1, state, "", "stat.", ""), "server", "O(1)"),
	})
}
