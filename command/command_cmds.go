package command

import (
	"bytes"
	"slices"
	"strings"

	"kvd/glob"
	"kvd/resp/wire"
)

// COMMAND, COMMAND COUNT, DOCS, GETKEYS, GETKEYSANDFLAGS, HELP, INFO, LIST. All
// of it comes from the rows.

func commandRows() []*Row {
	const flags, order = Loading | Stale, "nondeterministic_output_order"
	return []*Row{{Name: "command", Fn: cmdCommand, Arity: -1, Flags: flags, Since: "2.8.13", Group: "server", Categories: "connection",
		Summary: "Describes all commands.", Complexity: "O(N) in the number of commands", Tips: order,
		Sub: []*Row{
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

func commandHelp() *Row {
	r := HelpRow("5.0.0",
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

// categoryOrder lists the ACL categories as Redis does.
var categoryOrder = strings.Fields("keyspace read write set sortedset list hash string bitmap hyperloglog geo stream pubsub admin fast slow blocking dangerous connection transaction scripting")

// groupCategories are the categories that a group implies.
var groupCategories = map[string]string{
	"generic": "keyspace", "string": "string", "list": "list", "set": "set", "sorted-set": "sortedset", "hash": "hash", "bitmap": "bitmap",
	"hyperloglog": "hyperloglog", "geo": "geo", "stream": "stream", "pubsub": "pubsub", "connection": "connection", "transactions": "transaction", "scripting": "scripting",
}

// categories are the ACL categories of a row.
func (r *Row) categories() []string {
	has := map[string]bool{}
	// A container that is no command itself is in no group's category.
	if r.Fn != nil {
		has[groupCategories[r.Group]] = true
	}
	if r.Flags&Write != 0 {
		has["write"] = true
	}
	if r.Flags&ReadOnly != 0 && r.Group != "scripting" {
		has["read"] = true
	}
	if r.Flags&Admin != 0 {
		has["admin"], has["dangerous"] = true, true
	}
	if r.Flags&PubSub != 0 {
		has["pubsub"] = true
	}
	if r.Flags&Blocking != 0 {
		has["blocking"] = true
	}
	if r.Flags&Fast != 0 {
		has["fast"] = true
	} else {
		has["slow"] = true
	}
	for _, c := range strings.Fields(r.Categories) {
		if c, not := strings.CutPrefix(c, "-"); not {
			delete(has, c)
		} else {
			has[c] = true
		}
	}
	var names []string
	for _, c := range categoryOrder {
		if has[c] {
			names = append(names, c)
		}
	}
	return names
}

// keySpec says where keys are and what happens to them. Either index or
// unknown; and a range from there, or a number of keys at it.
type keySpec struct {
	flags   []string
	unknown bool
	index   int
	counted bool // the argument at index says how many keys follow
	last    int  // of a range: the last key, as Redis counts from the first one
	step    int
}

// keySpecs derives the specs from First, Last and Step; keys that follow a
// count are found in the syntax ("numkeys key [key ...]"); what else a KeysFn
// finds is unknown to others. KeyFlags has one item for each, in order.
func (r *Row) keySpecs() (specs []keySpec) {
	items := strings.Split(r.KeyFlags, ";")
	add := func(s keySpec) {
		s.flags = strings.Fields(items[min(len(specs), len(items)-1)])
		specs = append(specs, s)
	}
	if r.First > 0 {
		last := r.Last
		if last > 0 {
			last -= r.First
		}
		switch {
		case len(items) < 2 || r.KeysFn != nil && r.Last == r.First:
			add(keySpec{index: r.First, last: last, step: r.Step})
		case r.Last < 0:
			add(keySpec{index: r.First, step: 1})
			add(keySpec{index: r.First + 1, last: last, step: r.Step})
		default:
			for i := r.First; i <= r.Last; i += r.Step {
				add(keySpec{index: i, step: 1})
			}
		}
	}
	if r.KeysFn != nil {
		if at := numKeysAt(r); at > 0 {
			add(keySpec{index: at, counted: true, step: 1})
		} else {
			add(keySpec{unknown: true})
		}
	}
	return
}

// numKeysAt is the position of the argument "numkeys", 0 if it has no fixed one.
func numKeysAt(r *Row) int {
	pos := 1
	if r.parent != nil {
		pos = 2
	}
	for _, w := range docWords(r.Syntax) {
		switch {
		case w == "numkeys":
			return pos
		case strings.Contains("[<|", w):
			return 0
		}
		pos++
	}
	return 0
}

func (s *keySpec) write(w *wire.Writer) {
	w.Map(3)
	w.BulkString("flags")
	w.Set(len(s.flags))
	for _, f := range s.flags {
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
	case s.unknown:
		part("begin_search", "unknown")
		part("find_keys", "unknown")
	case s.counted:
		part("begin_search", "index", "index", s.index)
		part("find_keys", "keynum", "keynumidx", 0, "firstkey", 1, "keystep", s.step)
	default:
		part("begin_search", "index", "index", s.index)
		part("find_keys", "range", "lastkey", s.last, "keystep", s.step, "limit", 0)
	}
}

// writeInfo writes what COMMAND and COMMAND INFO say of a row.
func (r *Row) writeInfo(w *wire.Writer) {
	w.Array(10)
	w.BulkString(r.full)
	w.Int(int64(r.Arity))
	at, n := w.DeferArray(), 0
	for _, f := range flagNames {
		if r.Flags&f.f != 0 {
			w.SimpleString(f.name)
			n++
		}
	}
	w.SetSet(at, n)
	w.Int(int64(r.First))
	w.Int(int64(r.Last))
	w.Int(int64(r.Step))
	cats := r.categories()
	w.Set(len(cats))
	for _, c := range cats {
		w.SimpleString("@" + c)
	}
	tips := strings.Fields(r.Tips)
	w.Set(len(tips))
	for _, t := range tips {
		w.BulkString(t)
	}
	specs := r.keySpecs()
	w.Set(len(specs))
	for i := range specs {
		specs[i].write(w)
	}
	if len(r.Sub) == 0 {
		w.Set(0) // as Redis has it; subcommands come as an array
		return
	}
	w.Array(len(r.Sub))
	for _, s := range r.Sub {
		s.writeInfo(w)
	}
}

func cmdCommand(c *Ctx) {
	rows := c.S.Table.Top()
	c.W.Array(len(rows))
	for _, r := range rows {
		r.writeInfo(c.W)
	}
}

func cmdCommandCount(c *Ctx) { c.W.Int(int64(len(c.S.Table.byName))) }

func cmdCommandInfo(c *Ctx) {
	if len(c.Args) == 2 {
		cmdCommand(c)
		return
	}
	c.W.Array(len(c.Args) - 2)
	for _, a := range c.Args[2:] {
		if r := c.S.Table.byFullName(a); r != nil {
			r.writeInfo(c.W)
		} else {
			c.W.Null()
		}
	}
}

func cmdCommandDocs(c *Ctx) {
	rows := c.S.Table.Top()
	if len(c.Args) > 2 {
		rows = rows[:0]
		for _, a := range c.Args[2:] {
			if r := c.S.Table.byFullName(a); r != nil {
				rows = append(rows, r)
			}
		}
	}
	c.W.Map(len(rows))
	for _, r := range rows {
		r.writeDocs(c.W)
	}
}

func cmdCommandList(c *Ctx) {
	want := func(*Row) bool { return true } // of those that are not hidden
	switch {
	case len(c.Args) == 2:
	case len(c.Args) != 5 || !c.Word(2, "filterby"):
		c.Err(ErrSyntax)
		return
	case c.Word(3, "module"):
		want = func(*Row) bool { return false } // there are none
	case c.Word(3, "aclcat"):
		cat := strings.ToLower(string(c.Args[4]))
		want = func(r *Row) bool { return slices.Contains(r.categories(), cat) }
	case c.Word(3, "pattern"):
		pattern := glob.Compile(bytes.ToLower(c.Args[4]))
		want = func(r *Row) bool { return pattern.Match([]byte(r.full)) }
	default:
		c.Err(ErrSyntax)
		return
	}
	at, n := c.W.DeferArray(), 0
	for _, r := range c.S.Table.rows {
		if r.Front == "" && want(r) {
			c.W.BulkString(r.full)
			n++
		}
	}
	c.W.SetArray(at, n)
}

// subject is the command that GETKEYS asks about, and the positions of its
// keys; where there are none it replies why.
func (c *Ctx) subject() (r *Row, args [][]byte, pos []int, ok bool) {
	args = c.Args[2:]
	if r = c.S.Table.Lookup(args[0]); r != nil && len(r.Sub) > 0 && len(args) > 1 {
		r = r.sub(args[1])
	}
	switch {
	case r == nil:
		c.Err("ERR Invalid command specified")
		return
	case r.First == 0 && r.KeysFn == nil || r.notKeys:
		c.Err("ERR The command has no key arguments")
		return
	case !r.arityOK(len(args)):
		c.Err("ERR Invalid number of arguments specified for command")
		return
	}
	if pos, ok = r.keyPositions(args, nil); !ok {
		c.Err("ERR Invalid arguments specified for command")
	}
	return
}

func cmdCommandGetKeys(c *Ctx) {
	_, args, pos, ok := c.subject()
	if !ok {
		return
	}
	c.W.Array(len(pos))
	for _, p := range pos {
		c.W.Bulk(args[p])
	}
}

func cmdCommandGetKeysAndFlags(c *Ctx) {
	r, args, pos, ok := c.subject()
	if !ok {
		return
	}
	specs := r.keySpecs()
	c.W.Array(len(pos))
	for i, p := range pos {
		c.W.Array(2)
		c.W.Bulk(args[p])
		flags := specs[min(i, len(specs)-1)].flags
		if slices.Contains(flags, "variable_flags") {
			flags = strings.Fields(r.KeyFlagsFn(args))
		}
		c.W.Set(len(flags))
		for _, f := range flags {
			c.W.SimpleString(f)
		}
	}
}
