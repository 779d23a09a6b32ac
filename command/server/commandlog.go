package server

import (
	"slices"

	"kvd/command"
	"kvd/observe"
)

// SLOWLOG GET, HELP, LEN, RESET; COMMANDLOG, which has the same log and two more:
// of large requests and of large replies.

func commandLogRows() []*command.Row {
	const flags = command.Admin | command.Loading | command.Stale
	return []*command.Row{{Name: "slowlog", Arity: -2, Since: "2.2.12", Group: "server",
		Summary: "Commands about the slow log.", Complexity: "Depends on the subcommand.",
		Sub: []*command.Row{
			{Name: "get", Fn: cmdSlowlogGet, Arity: -2, Flags: flags, Since: "2.2.12", Summary: "Returns the newest entries of the slow log.",
				Complexity: "O(N) in the number of entries returned", Syntax: "[count]", Tips: "request_policy:all_nodes nondeterministic_output"},
			command.HelpRow("6.2.0",
				"GET [<count>]",
				"    Return the newest <count> entries of the slow log (default: 10; -1: all).",
				"    An entry is: number, Unix time, microseconds, arguments, the client's",
				"    address, its name, and the number of its arguments.",
				"LEN",
				"    Return the number of entries.",
				"RESET",
				"    Drop all entries.",
			),
			{Name: "len", Fn: cmdSlowlogLen, Arity: 2, Flags: flags, Since: "2.2.12", Summary: "Returns the number of entries in the slow log.", Complexity: "O(1)",
				Tips: "request_policy:all_nodes response_policy:agg_sum nondeterministic_output"},
			{Name: "reset", Fn: cmdSlowlogReset, Arity: 2, Flags: flags, Since: "2.2.12", Summary: "Drops the entries of the slow log.",
				Complexity: "O(N) in the number of entries", Tips: "request_policy:all_nodes response_policy:all_succeeded"},
		}}, {Name: "commandlog", Arity: -2, Since: "8.1.0", Group: "server",
		Summary: "Commands about the logs of slow commands, large requests and large replies (Valkey).", Complexity: "Depends on the subcommand.",
		Sub: []*command.Row{
			{Name: "get", Fn: cmdCommandlogGet, Arity: 4, Flags: flags, Since: "8.1.0", Summary: "Returns the newest entries of a log of commands (Valkey).",
				Complexity: "O(N) in the number of entries returned", Syntax: "count <" + commandLogWords + ">", Tips: "request_policy:all_nodes nondeterministic_output"},
			command.HelpRow("8.1.0",
				"GET <count> <type>",
				"    Return the newest <count> entries of a log (-1: all). The types are slow,",
				"    large-request and large-reply. An entry is: number, Unix time, microseconds",
				"    or bytes, arguments, the client's address and its name.",
				"LEN <type>",
				"    Return the number of entries.",
				"RESET <type>",
				"    Drop all entries.",
			),
			{Name: "len", Fn: cmdCommandlogLen, Arity: 3, Flags: flags, Since: "8.1.0", Summary: "Returns the number of entries in a log of commands (Valkey).", Complexity: "O(1)",
				Syntax: "<" + commandLogWords + ">", Tips: "request_policy:all_nodes response_policy:agg_sum nondeterministic_output"},
			{Name: "reset", Fn: cmdCommandlogReset, Arity: 3, Flags: flags, Since: "8.1.0", Summary: "Drops the entries of a log of commands (Valkey).",
				Complexity: "O(N) in the number of entries", Syntax: "<" + commandLogWords + ">", Tips: "request_policy:all_nodes response_policy:all_succeeded"},
		}}}
}

const commandLogWords = "slow | large-request | large-reply"

func cmdSlowlogGet(c *command.Ctx) {
	count := int64(10)
	if len(c.Args) > 3 {
		c.UnknownForm()
		return
	}
	if len(c.Args) == 3 {
		var ok bool
		if count, ok = logCount(c, 2); !ok {
			return
		}
	}
	replyLog(c, &c.S.Logs.Slow, count, true)
}

// logCount reads argument i as a number of entries, -1: all.
func logCount(c *command.Ctx, i int) (int64, bool) {
	n, ok := command.ParseInt(c.Args[i])
	if !ok || n < -1 {
		c.Err("ERR count should be greater than or equal to -1")
		return 0, false
	}
	return n, true
}

// replyLog replies with the newest entries; argc: with the number of arguments, too, as
// Redis does since 8.10.
func replyLog(c *command.Ctx, l *observe.CommandLog, count int64, argc bool) {
	w, entries := c.W, l.Last(count)
	w.Array(len(entries))
	for _, e := range slices.Backward(entries) {
		if argc {
			w.Array(7)
		} else {
			w.Array(6)
		}
		w.Int(e.ID)
		w.Int(e.At)
		w.Int(e.Value)
		w.Array(len(e.Args))
		for _, a := range e.Args {
			w.BulkString(a)
		}
		w.BulkString(e.Addr)
		w.BulkString(e.Name)
		if argc {
			w.Int(int64(e.Argc))
		}
	}
}

func cmdSlowlogLen(c *command.Ctx) { c.W.Int(c.S.Logs.Slow.Len()) }

func cmdSlowlogReset(c *command.Ctx) {
	c.S.Logs.Slow.Reset()
	c.W.OK()
}

// logNamed is the log that argument i names. It returns nil after replying with an error.
func logNamed(c *command.Ctx, i int) *observe.CommandLog {
	switch {
	case c.Word(i, "slow"):
		return &c.S.Logs.Slow
	case c.Word(i, "large-request"):
		return &c.S.Logs.Requests
	case c.Word(i, "large-reply"):
		return &c.S.Logs.Replies
	}
	c.Err("ERR type should be one of the following: slow, large-request, large-reply")
	return nil
}

func cmdCommandlogGet(c *command.Ctx) {
	count, ok := logCount(c, 2)
	if !ok {
		return
	}
	if l := logNamed(c, 3); l != nil {
		replyLog(c, l, count, false)
	}
}

func cmdCommandlogLen(c *command.Ctx) {
	if l := logNamed(c, 2); l != nil {
		c.W.Int(l.Len())
	}
}

func cmdCommandlogReset(c *command.Ctx) {
	if l := logNamed(c, 2); l != nil {
		l.Reset()
		c.W.OK()
	}
}
