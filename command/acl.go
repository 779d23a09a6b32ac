package command

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// ACL CAT, GENPASS, HELP, LIST, USERS, WHOAMI. There is one user, default, who
// may do everything; requirepass is its password.

func aclRows() []*Row {
	const admin = Admin | NoScript | Loading | Stale
	return []*Row{{Name: "acl", Arity: -2, Since: "6.0.0", Group: "server",
		Summary: "Commands about access rights.", Complexity: "Depends on the subcommand.",
		Sub: []*Row{
			{Name: "cat", Fn: cmdACLCat, Arity: -2, Flags: NoScript | Loading | Stale, Since: "6.0.0", Summary: "Lists the categories of commands, or the commands of one.",
				Complexity: "O(N) in the number of commands", Syntax: "[categoryname]"},
			{Name: "genpass", Fn: cmdACLGenPass, Arity: -2, Flags: NoScript | Loading | Stale, Since: "6.0.0", Summary: "Makes up a password.", Complexity: "O(1)", Syntax: "[bits]"},
			helpRow("6.0.0",
				"CAT [<category>]",
				"    List the categories of commands, or the commands of <category>.",
				"GENPASS [<bits>]",
				"    Make up a password, as hex digits that hold <bits> bits (default: 256).",
				"LIST",
				"    Describe the users as a configuration file does.",
				"USERS",
				"    List the names of the users.",
				"WHOAMI",
				"    Return the name of this connection's user.",
			),
			{Name: "list", Fn: cmdACLList, Arity: 2, Flags: admin, Since: "6.0.0", Summary: "Describes the users as a configuration file does.", Complexity: "O(1)"},
			{Name: "users", Fn: cmdACLUsers, Arity: 2, Flags: admin, Since: "6.0.0", Summary: "Lists the names of the users.", Complexity: "O(1)"},
			{Name: "whoami", Fn: cmdACLWhoAmI, Arity: 2, Flags: NoScript | Loading | Stale, Since: "6.0.0", Summary: "Returns the name of this connection's user.", Complexity: "O(1)"},
		}}}
}

func cmdACLWhoAmI(c *Ctx) { c.W.BulkString("default") }

func cmdACLUsers(c *Ctx) {
	c.W.Array(1)
	c.W.BulkString("default")
}

func cmdACLList(c *Ctx) {
	password := "nopass"
	if p := c.S.Config.RequirePass.Load(); p != "" {
		sum := sha256.Sum256([]byte(p))
		password = "#" + hex.EncodeToString(sum[:])
	}
	c.W.Array(1)
	c.W.BulkString("user default on " + password + " ~* &* +@all")
}

func cmdACLCat(c *Ctx) {
	switch len(c.Args) {
	case 2:
		c.W.Array(len(categoryOrder))
		for _, name := range categoryOrder {
			c.W.BulkString(name)
		}
	case 3:
		cat := strings.ToLower(string(c.Args[2]))
		if !slices.Contains(categoryOrder, cat) {
			c.Err("ERR Unknown category '" + quote(c.Args[2]) + "'")
			return
		}
		at, n := c.W.DeferArray(), 0
		for _, r := range c.S.Table.rows {
			// Of a container, what can be called are the subcommands.
			if r.Fn != nil && slices.Contains(r.categories(), cat) {
				c.W.BulkString(r.full)
				n++
			}
		}
		c.W.SetArray(at, n)
	default:
		c.unknownForm()
	}
}

func cmdACLGenPass(c *Ctx) {
	bits := int64(256)
	if len(c.Args) > 3 {
		c.unknownForm()
		return
	}
	if len(c.Args) == 3 {
		var ok bool
		if bits, ok = c.Int(2); !ok {
			return
		}
		if bits <= 0 || bits > 4096 {
			c.Err("ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096")
			return
		}
	}
	b := make([]byte, (bits+7)/8)
	rand.Read(b)
	c.W.BulkString(hex.EncodeToString(b)[:(bits+3)/4])
}
