package reference

import (
	"bytes"
	"slices"
	"strings"

	"kvd/command"
	"kvd/glob"
	"kvd/resp/wire"
)

// COMMAND, COMMAND COUNT, DOCS, GETKEYS, GETKEYSANDFLAGS, HELP, INFO, LIST. All
// of it comes from the rows.

func commandRows() []*command.Row {
	const flags, order = command.Loading | command.Stale, "nondeterministic_output_order"
	return []*command.Row{{Name: "command", Fn: cmdCommand, Arity: -1, Flags: flags, Since: "2.8.13", Group: "server", Categories: "connection",
		Summary: "Describes all commands.", Complexity: "O(N) in the number of commands", Tips: order,
		Sub: []*command.Row{
			{Name: "count", Fn: cmdCommandCount, Arity: 2, Flags: flags, Categories: "connection", Since: "2.8.13", Summary: "Returns the number of commands.", Complexity: "O(1)"},
			{Name: "docs", Fn: cmdCommandDocs, Arity: -2, Flags: flags, Categories: "connection", Since: "7.0.0", Summary: "Documents commands.",
				Complexity: "O(N) in the number of commands", Syntax: "[command-name [command-name ...]]", Tips: order},
			{Name: "getkeys", Fn: cmdCommandGetKeys, Arity: -3, Flags: flags, Categories: "connection", Since: "2.8.13", Summary: "Returns the keys among a command's arguments.",
				Complexity: "O(N) in the number of arguments", Syntax: "command [arg [arg ...]]"},
			{Name: "getkeysandflags", Fn: cmdCommandGetKeysAndFlags, Arity: -3, Flags: flags, Categories: "connection", Since: "7.0.0",
				Summary: "Returns the keys among a command's arguments, and what happens to them.", Complexity: "O(N) in the number of arguments", Syntax: "command [arg [arg ...]]"},
			commandHelp(),
			{Name: "info", Fn: cmdCommandInfo, Arity: -2, Flags: flags, Categories: "connection", Since: "2.8.13", Summary: "Describes commands.",
				Complexity: "O(N) in the number of commands", Syntax: "[command-name [command-name ...]]", Tips: order},
			{Name: "list", Fn: cmdCommandList, Arity: -2, Flags: flags, Categories: "connection", Since: "7.0.0", Summary: "Lists the names of commands.",
				Complexity: "O(N) in the number of commands", Syntax: "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]", Tips: order},
		}}}
}

func commandHelp() *command.Row {
	r := command.HelpRow("5.0.0",
		"(no subcommand)",
		"    Describe all commands.",
		"COUNT",
		"    Return the number of commands.",
		"DOCS [<command-name> ...]",
		"    Document the commands, or all.",
		"GETKEYS <full-command>",
		"    Return the keys among the arguments of a command.",
		"GETKEYSANDFLAGS <full-command>",
		"    Return the keys among the arguments of a command, and what happens to them.",
		"INFO [<command-name> ...]",
		"    Describe the commands, or all.",
		"LIST [FILTERBY (MODULE <module-name>|ACLCAT <category>|PATTERN <pattern>)]",
		"    List the names of the commands.",
	)
	r.Categories = "connection"
	return r
}

func writeSpec(w *wire.Writer, s *command.KeySpec) {
	w.Map(3)
	w.BulkString("flags")
	w.Set(len(s.Flags))
	for _, f := range s.Flags {
		w.SimpleString(f)
	}
	part := func(name, kind string, fields ...any) {
		w.BulkString(name)
		w.Map(2)
		w.BulkString("type")
		w.BulkString(kind)
		w.BulkString("spec")
		w.Map(len(fields) / 2)
		for i := 0; i < len(fields); i += 2 {
			w.BulkString(fields[i].(string))
			w.Int(int64(fields[i+1].(int)))
		}
	}
	switch {
	case s.Unknown:
		part("begin_search", "unknown")
		part("find_keys", "unknown")
	case s.Counted:
		part("begin_search", "index", "index", s.Index)
		part("find_keys", "keynum", "keynumidx", 0, "firstkey", 1, "keystep", s.Step)
	default:
		part("begin_search", "index", "index", s.Index)
		part("find_keys", "range", "lastkey", s.Last, "keystep", s.Step, "limit", 0)
	}
}

// writeInfo writes what COMMAND and COMMAND INFO say of a row.
func writeInfo(w *wire.Writer, r *command.Row) {
	w.Array(10)
	w.BulkString(r.FullName())
	w.Int(int64(r.Arity))
	at, n := w.DeferArray(), 0
	for _, name := range r.Flags.Names() {
		w.SimpleString(name)
		n++
	}
	w.SetSet(at, n)
	w.Int(int64(r.First))
	w.Int(int64(r.Last))
	w.Int(int64(r.Step))
	cats := r.ACLCategories()
	w.Set(len(cats))
	for _, c := range cats {
		w.SimpleString("@" + c)
	}
	tips := strings.Fields(r.Tips)
	w.Set(len(tips))
	for _, t := range tips {
		w.BulkString(t)
	}
	specs := r.KeySpecs()
	w.Set(len(specs))
	for i := range specs {
		writeSpec(w, &specs[i])
	}
	if len(r.Sub) == 0 {
		w.Set(0) // as Redis has it; subcommands come as an array
		return
	}
	w.Array(len(r.Sub))
	for _, s := range r.Sub {
		writeInfo(w, s)
	}
}

func cmdCommand(c *command.Ctx) {
	rows := c.S.Table.Top()
	c.W.Array(len(rows))
	for _, r := range rows {
		writeInfo(c.W, r)
	}
}

func cmdCommandCount(c *command.Ctx) { c.W.Int(int64(len(c.S.Table.Top()))) }

func cmdCommandInfo(c *command.Ctx) {
	if len(c.Args) == 2 {
		cmdCommand(c)
		return
	}
	c.W.Array(len(c.Args) - 2)
	for _, a := range c.Args[2:] {
		if r := c.S.Table.ByFullName(a); r != nil {
			writeInfo(c.W, r)
		} else {
			c.W.Null()
		}
	}
}

func cmdCommandDocs(c *command.Ctx) {
	rows := c.S.Table.Top()
	if len(c.Args) > 2 {
		rows = rows[:0]
		for _, a := range c.Args[2:] {
			if r := c.S.Table.ByFullName(a); r != nil {
				rows = append(rows, r)
			}
		}
	}
	c.W.Map(len(rows))
	for _, r := range rows {
		writeDocs(c.W, r)
	}
}

func cmdCommandList(c *command.Ctx) {
	want := func(*command.Row) bool { return true } // of those that are not hidden
	switch {
	case len(c.Args) == 2:
	case len(c.Args) != 5 || !c.Word(2, "filterby"):
		c.Err(command.ErrSyntax)
		return
	case c.Word(3, "module"):
		want = func(*command.Row) bool { return false } // there are none
	case c.Word(3, "aclcat"):
		cat := strings.ToLower(string(c.Args[4]))
		want = func(r *command.Row) bool { return slices.Contains(r.ACLCategories(), cat) }
	case c.Word(3, "pattern"):
		pattern := glob.Compile(bytes.ToLower(c.Args[4]))
		want = func(r *command.Row) bool { return pattern.Match([]byte(r.FullName())) }
	default:
		c.Err(command.ErrSyntax)
		return
	}
	at, n := c.W.DeferArray(), 0
	for _, r := range c.S.Table.Rows() {
		if r.Front == "" && want(r) {
			c.W.BulkString(r.FullName())
			n++
		}
	}
	c.W.SetArray(at, n)
}

// subject is the command that GETKEYS asks about, and the positions of its
// keys; where there are none it replies why.
func subject(c *command.Ctx) (r *command.Row, args [][]byte, pos []int, ok bool) {
	args = c.Args[2:]
	r = c.S.Table.Find(args)
	switch {
	case r == nil:
		c.Err("ERR Invalid command specified")
		return
	case !r.HasKeys():
		c.Err("ERR The command has no key arguments")
		return
	case !r.ArityOK(len(args)):
		c.Err("ERR Invalid number of arguments specified for command")
		return
	}
	if pos, ok = r.KeyPositions(args, nil); !ok {
		c.Err("ERR Invalid arguments specified for command")
	}
	return
}

func cmdCommandGetKeys(c *command.Ctx) {
	_, args, pos, ok := subject(c)
	if !ok {
		return
	}
	c.W.Array(len(pos))
	for _, p := range pos {
		c.W.Bulk(args[p])
	}
}

func cmdCommandGetKeysAndFlags(c *command.Ctx) {
	r, args, pos, ok := subject(c)
	if !ok {
		return
	}
	specs := r.KeySpecs()
	c.W.Array(len(pos))
	for i, p := range pos {
		c.W.Array(2)
		c.W.Bulk(args[p])
		flags := specs[min(i, len(specs)-1)].Flags
		if slices.Contains(flags, "variable_flags") {
			flags = strings.Fields(r.KeyFlagsFn(args))
		}
		c.W.Set(len(flags))
		for _, f := range flags {
			c.W.SimpleString(f)
		}
	}
}
