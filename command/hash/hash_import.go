package hash

import (
	"bytes"

	"kvd/command"
	"kvd/types"
)

// HIMPORT, of Redis 8.10: a connection says once which fields its hashes have, and then
// sends their values only. What it does is journaled as DEL and HSET: who replays it does
// not know the connection.

func hashImportRows() []*command.Row {
	const flags = command.NoScript | command.Fast
	return []*command.Row{{Name: "himport", Arity: -2, Since: "8.10.0", Group: "hash", Summary: "Commands that make many hashes with the same fields.", Complexity: "Depends on the subcommand.",
		Sub: []*command.Row{
			{Name: "discard", Fn: cmdHImportDiscard, Arity: 3, Flags: flags, Since: "8.10.0", Summary: "Forgets a list of fields of this connection.",
				Complexity: "O(1)", Syntax: "fieldset-name"},
			{Name: "discardall", Fn: cmdHImportDiscardAll, Arity: 2, Flags: flags, Since: "8.10.0", Summary: "Forgets all lists of fields of this connection, and counts them.",
				Complexity: "O(N) in the number of lists"},
			command.HelpRow("8.10.0",
				"DISCARD <fieldset>",
				"    Forget a list of fields.",
				"DISCARDALL",
				"    Forget all lists of fields.",
				"PREPARE <fieldset> <field> [<field> ...]",
				"    Have this connection know a list of fields by a name.",
				"SET <key> <fieldset> <value> [<value> ...]",
				"    Make a hash of a list of fields and as many values.",
			),
			{Name: "prepare", Fn: cmdHImportPrepare, Arity: -4, Flags: flags, Since: "8.10.0", Summary: "Has this connection know a list of fields by a name.",
				Complexity: "O(N) in the number of fields", Syntax: "fieldset-name field [field ...]"},
			{Name: "set", Fn: cmdHImportSet, Arity: -5, Flags: command.Write | command.DenyOOM | command.Fast | command.NoScript, First: 2, Last: 2, Step: 1, KeyFlags: "OW update",
				Since: "8.10.0", Summary: "Makes a hash of a prepared list of fields and as many values, in place of one that is there.",
				Complexity: "O(N) in the number of fields", Syntax: "key fieldset-name value [value ...]"},
		}}}
}

// fieldsetBytes is what a list takes besides its name and fields, and what each field does.
const (
	fieldsetBytes = 96
	fieldBytes    = 24
)

func cmdHImportPrepare(c *command.Ctx) {
	name, fields := string(c.Args[2]), c.Args[3:]
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		if seen[string(f)] {
			c.Err("ERR duplicate field name in fieldset")
			return
		}
		seen[string(f)] = true
	}
	mem := discardFieldset(c, name) + fieldsetSize(name, fields)
	kept := make([][]byte, len(fields))
	for i, f := range fields {
		kept[i] = bytes.Clone(f)
		if kept[i] == nil {
			kept[i] = []byte{}
		}
	}
	sets := c.C.Fieldsets
	if sets == nil {
		sets = map[string][][]byte{}
	}
	sets[name] = kept
	c.C.SetFieldsets(sets, mem)
	c.W.OK()
}

func fieldsetSize(name string, fields [][]byte) int64 {
	n := fieldsetBytes + len(name) + fieldBytes*len(fields)
	for _, f := range fields {
		n += len(f)
	}
	return int64(n)
}

// discardFieldset forgets a list, if there is one, and returns what the rest takes.
func discardFieldset(c *command.Ctx, name string) int64 {
	sets, mem := c.C.Fieldsets, c.C.FieldsetsMem()
	if fields, there := sets[name]; there {
		mem -= fieldsetSize(name, fields)
		delete(sets, name)
		c.C.SetFieldsets(sets, mem)
	}
	return mem
}

func cmdHImportDiscard(c *command.Ctx) {
	n := len(c.C.Fieldsets)
	discardFieldset(c, string(c.Args[2]))
	c.W.Int(int64(n - len(c.C.Fieldsets)))
}

func cmdHImportDiscardAll(c *command.Ctx) {
	n := len(c.C.Fieldsets)
	c.C.SetFieldsets(nil, 0)
	c.W.Int(int64(n))
}

func cmdHImportSet(c *command.Ctx) {
	fields, ok := c.C.Fieldsets[string(c.Args[3])]
	values := c.Args[4:]
	if !ok {
		c.Err("ERR no such fieldset")
		return
	}
	if len(values) != len(fields) {
		c.Err("ERR wrong number of values for fieldset")
		return
	}
	var old hashAt
	if !findHash(c, &c.Keys[0], &old) {
		return
	}
	if old.exists() {
		c.NoteReplaced(old.k, types.THash)
		c.Delete(old.k)
		c.Effect(command.WordDel, old.k.B)
	}
	var h hashAt
	h.k, h.now = old.k, old.now
	h.Hash = old.Hash
	openHash(c, &h)
	pairs := make([][]byte, 0, 2+2*len(fields))
	pairs = append(pairs, wordHSet, h.k.B)
	for i, f := range fields {
		h.Set(f, values[i], h.now)
		pairs = append(pairs, f, values[i])
	}
	storeHash(c, &h)
	c.Dirty += len(fields)
	c.Effect(pairs...)
	c.NotifyFields('h', "hset", h.k, fields, 1)
	c.W.OK()
}
