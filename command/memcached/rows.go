// Package memcached has the commands that requests of memcached's protocols become. They
// work on the strings of a database as Redis's commands do, so locks, effects, users and
// statistics are the same; the replies are memcached's own, written as its clients read
// them. Package kvd/memcached turns the bytes of a connection into them.
//
// An error reply is in Redis's form ("-CODE text"), which no reply of memcached begins
// like: the session puts it into the protocol's words.
package memcached

import (
	"kvd/command"
	"kvd/config"
)

// Rows are the family's commands. All are hidden from clients of Redis.
func Rows() []*command.Row {
	const (
		read  = command.ReadOnly | command.Fast
		write = command.Write | command.Fast
		store = command.Write | command.DenyOOM | command.Fast
		state = command.Loading | command.Stale
	)
	one := func(name string, fn func(*command.Ctx), arity int, flags command.Flag, keyFlags, summary, syntax string) *command.Row {
		return &command.Row{Name: name, Fn: fn, Arity: arity, Flags: flags, First: 1, Last: 1, Step: 1, KeyFlags: keyFlags, Front: "memcached",
			Since: "7.0.0", Group: "string", Summary: summary, Complexity: "O(1)", Syntax: syntax}
	}
	many := func(r *command.Row, last int) *command.Row { r.Last = last; return r }
	plain := func(r *command.Row, group string) *command.Row {
		r.First, r.Last, r.Step, r.KeyFlags, r.Group = 0, 0, 0, "", group
		return r
	}
	return []*command.Row{
		many(one("mc.get", get(false), -2, read, "RO access", "get of the text protocol.", "key [key ...]"), -1),
		many(one("mc.gets", get(true), -2, read, "RO access", "gets of the text protocol.", "key [key ...]"), -1),
		many(one("mc.gat", gat(false), -3, write, "RW access update", "gat of the text protocol.", "key [key ...] exptime"), -2),
		many(one("mc.gats", gat(true), -3, write, "RW access update", "gats of the text protocol.", "key [key ...] exptime"), -2),
		one("mc.set", put(modeSet), 5, store, "OW update", "set of the text protocol.", "key flags exptime value"),
		one("mc.add", put(modeAdd), 5, store, "OW insert", "add of the text protocol.", "key flags exptime value"),
		one("mc.replace", put(modeReplace), 5, store, "OW update", "replace of the text protocol.", "key flags exptime value"),
		one("mc.append", put(modeAppend), 5, store, "RW insert", "append of the text protocol.", "key flags exptime value"),
		one("mc.prepend", put(modePrepend), 5, store, "RW insert", "prepend of the text protocol.", "key flags exptime value"),
		one("mc.cas", put(modeCas), 6, store, "RW access update", "cas of the text protocol.", "key flags exptime value unique"),
		one("mc.incr", incr(true), 3, store, "RW access update", "incr of the text protocol.", "key delta"),
		one("mc.decr", incr(false), 3, store, "RW access update", "decr of the text protocol.", "key delta"),
		one("mc.delete", del, 2, write, "RW delete", "delete of the text protocol.", "key"),
		one("mc.touch", touch, 3, write, "RW update", "touch of the text protocol.", "key exptime"),
		one("mc.mg", metaGet, -2, read, "RO access", "mg of the meta protocol, where it changes no time.", "key [flag ...]"),
		one("mc.mgt", metaGet, -2, store, "RW access update", "mg of the meta protocol, where it changes a time or makes an item.", "key [flag ...]"),
		one("mc.ms", metaSet, -3, store, "RW access update", "ms of the meta protocol.", "key value [flag ...]"),
		one("mc.md", metaDelete, -2, write, "RW delete", "md of the meta protocol.", "key [flag ...]"),
		one("mc.ma", metaArithmetic, -2, store, "RW access update", "ma of the meta protocol.", "key [flag ...]"),
		one("mc.me", metaDebug, -2, read, "RO access", "me of the meta protocol.", "key [b]"),
		one("mc.bget", binGet, 3, read, "RO access", "GET and GETK of the binary protocol.", "key header"),
		one("mc.btouch", binTouch, 3, write, "RW access update", "TOUCH, GAT and GATK of the binary protocol.", "key header"),
		one("mc.bset", binStore, 4, store, "RW access update", "SET, ADD, REPLACE, APPEND and PREPEND of the binary protocol.", "key value header"),
		one("mc.bincr", binIncr, 3, store, "RW access update", "INCREMENT and DECREMENT of the binary protocol.", "key header"),
		one("mc.bdelete", binDelete, 3, write, "RW delete", "DELETE of the binary protocol.", "key header"),
		plain(one("mc.flush_all", flushAll, 1, command.Write|command.LockAll, "", "flush_all: removes all keys of the database.", ""), "server"),
		plain(one("mc.stats", stats, -1, state, "", "stats of both protocols.", "[section [argument ...]]"), "server"),
		plain(one("mc.watch", watch, -1, state|command.Admin|command.NoScript, "", "watch: lines about what others do.", "[topic ...]"), "server"),
		plain(one("mc.config", configSet, -3, state|command.Admin|command.NoScript, "", "verbosity and cache_memlimit: sets a directive.", "directive value [noreply]"), "server"),
		plain(one("mc.metadump", metadump, 2, command.ReadOnly|command.Walks, "", "lru_crawler metadump: the keys with what is known of them.", "class"), "keyspace"),
		plain(one("mc.mgdump", mgdump, 2, command.ReadOnly|command.Walks, "", "lru_crawler mgdump: the keys as mg commands.", "class"), "keyspace"),
	}
}

// configSet is CONFIG SET of one directive, with memcached's reply.
func configSet(c *command.Ctx) {
	if !c.MayCall("config|set", c.Args[1:3]) {
		c.Err("NOPERM this user has no permissions to run the 'config|set' command")
		return
	}
	if c.SetConfig([]config.Pair{{Name: string(c.Args[1]), Value: string(c.Args[2])}}) && len(c.Args) == 3 {
		c.W.Buf = append(c.W.Buf, "OK\r\n"...)
	}
}
