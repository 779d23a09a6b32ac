package command

import (
	"crypto/rand"
	"encoding/hex"
	"math"
	"strings"
	"time"

	"kvd/acl"
	"kvd/resp/wire"
)

// ACL CAT, DELUSER, DRYRUN, GENPASS, GETUSER, HELP, LIST, LOAD, LOG, SAVE, SETUSER,
// USERS, WHOAMI. What rights mean is in rights.go and package acl.

func aclRows() []*Row {
	const all = NoScript | Loading | Stale
	const admin = Admin | all
	hidden := secretFrom(2, math.MaxInt32-2)
	return []*Row{{Name: "acl", Arity: -2, Since: "6.0.0", Group: "server",
		Summary: "Commands about access rights.", Complexity: "Depends on the subcommand.",
		Sub: []*Row{
			{Name: "cat", Fn: cmdACLCat, Arity: -2, Flags: all, Since: "6.0.0", Summary: "Lists the categories of commands, or the commands of one.",
				Complexity: "O(N) in the number of commands", Syntax: "[category]"},
			{Name: "deluser", Fn: cmdACLDelUser, Arity: -3, Flags: admin, Secret: hidden, Since: "6.0.0", Summary: "Deletes users, and closes their connections.",
				Complexity: "O(N) in the number of connections", Syntax: "username [username ...]", Tips: "request_policy:all_nodes response_policy:all_succeeded"},
			{Name: "dryrun", Fn: cmdACLDryRun, Arity: -4, Flags: admin, Since: "7.0.0", Summary: "Tells whether a user may run a command, without running it.",
				Complexity: "O(N) in the number of arguments", Syntax: "username command [arg [arg ...]]"},
			{Name: "genpass", Fn: cmdACLGenPass, Arity: -2, Flags: all, Since: "6.0.0", Summary: "Makes up a password.", Complexity: "O(1)", Syntax: "[bits]"},
			{Name: "getuser", Fn: cmdACLGetUser, Arity: 3, Flags: admin, Secret: hidden, Since: "6.0.0", Summary: "Describes a user.", Complexity: "O(N) in the number of rules", Syntax: "username",
				History: []string{"6.2.0", "Channels came.", "7.0.0", "Selectors came, and keys and channels are told as rules."}},
			HelpRow("6.0.0",
				"CAT [<category>]",
				"    List the categories of commands, or the commands of <category>.",
				"DELUSER <username> [<username> ...]",
				"    Delete users, and close their connections.",
				"DRYRUN <username> <command> [<arg> ...]",
				"    Tell whether the user may run the command, without running it.",
				"GENPASS [<bits>]",
				"    Make up a password, as hex digits that hold <bits> bits (default: 256).",
				"GETUSER <username>",
				"    Describe the user.",
				"LIST",
				"    Describe the users as a configuration file does.",
				"LOAD",
				"    Take the users from the ACL file: all of them, or none where it has a fault.",
				"LOG [<count> | RESET]",
				"    Show what was refused, or forget it.",
				"SAVE",
				"    Write the users into the ACL file.",
				"SETUSER <username> <rule> [<rule> ...]",
				"    Change the user by rules, or make one.",
				"USERS",
				"    List the names of the users.",
				"WHOAMI",
				"    Return the name of this connection's user.",
			),
			{Name: "list", Fn: cmdACLList, Arity: 2, Flags: admin, Since: "6.0.0", Summary: "Describes the users as a configuration file does.", Complexity: "O(N) in the number of users"},
			{Name: "load", Fn: cmdACLLoad, Arity: 2, Flags: admin, Since: "6.0.0", Summary: "Takes the users from the ACL file.", Complexity: "O(N) in the number of users and connections"},
			{Name: "log", Fn: cmdACLLog, Arity: -2, Flags: admin, Since: "6.0.0", Summary: "Shows what was refused.", Complexity: "O(N) in the number of entries", Syntax: "[count | RESET]",
				History: []string{"7.2.0", "Entries have a number, and times of their first and last event."}},
			{Name: "save", Fn: cmdACLSave, Arity: 2, Flags: admin, Since: "6.0.0", Summary: "Writes the users into the ACL file.", Complexity: "O(N) in the number of users",
				Tips: "request_policy:all_nodes response_policy:all_succeeded"},
			{Name: "setuser", Fn: cmdACLSetUser, Arity: -3, Flags: admin, Secret: hidden, Since: "6.0.0", Summary: "Changes a user by rules, or makes one.", Complexity: "O(N) in the number of rules and connections",
				Syntax: "username [rule [rule ...]]", Tips: "request_policy:all_nodes response_policy:all_succeeded",
				History: []string{"6.2.0", "Channels came.", "7.0.0", "Selectors and rights to read or write keys came."}},
			{Name: "users", Fn: cmdACLUsers, Arity: 2, Flags: admin, Since: "6.0.0", Summary: "Lists the names of the users.", Complexity: "O(N) in the number of users"},
			{Name: "whoami", Fn: cmdACLWhoAmI, Arity: 2, Flags: all, Since: "6.0.0", Summary: "Returns the name of this connection's user.", Complexity: "O(1)"},
		}}}
}

func cmdACLWhoAmI(c *Ctx) {
	if u := c.C.user.Load(); u != nil {
		c.W.BulkString(u.Name)
	} else {
		c.W.Null()
	}
}

// users are all users by name.
func (s *Server) users() []*acl.User {
	s.rights.mu.RLock()
	defer s.rights.mu.RUnlock()
	return s.rights.set.Users()
}

func cmdACLUsers(c *Ctx) {
	users := c.S.users()
	c.W.Array(len(users))
	for _, u := range users {
		c.W.BulkString(u.Name)
	}
}

func cmdACLList(c *Ctx) {
	users := c.S.users()
	c.W.Array(len(users))
	for _, u := range users {
		c.W.BulkString(u.Line())
	}
}

func cmdACLGetUser(c *Ctx) {
	u := c.S.user(string(c.Args[2]))
	if u == nil {
		c.W.Null()
		return
	}
	parts := u.Describe()
	describe := func(d acl.Description) {
		c.W.BulkString("commands")
		c.W.BulkString(d.Commands)
		c.W.BulkString("keys")
		c.W.BulkString(d.Keys)
		c.W.BulkString("channels")
		c.W.BulkString(d.Channels)
		if d.Databases != "" {
			c.W.BulkString("databases")
			c.W.BulkString(d.Databases)
		}
	}
	size := func(d acl.Description) int {
		if d.Databases != "" {
			return 4
		}
		return 3
	}
	c.W.Map(3 + size(parts[0]))
	c.W.BulkString("flags")
	flags := u.Flags()
	c.W.Set(len(flags))
	for _, f := range flags {
		c.W.BulkString(f)
	}
	c.W.BulkString("passwords")
	c.W.Array(len(u.Passwords()))
	for _, p := range u.Passwords() {
		c.W.BulkString(p)
	}
	describe(parts[0])
	c.W.BulkString("selectors")
	c.W.Array(len(parts) - 1)
	for _, d := range parts[1:] {
		c.W.Map(size(d))
		describe(d)
	}
}

func cmdACLSetUser(c *Ctx) {
	name := string(c.Args[2])
	if acl.HasSpaces(name) {
		c.Err("ERR Usernames can't contain spaces or null characters")
		return
	}
	rules := make([]string, len(c.Args)-3)
	for i, a := range c.Args[3:] {
		rules[i] = string(a)
	}
	if err := c.S.changeUser(name, rules, c.C); err != nil {
		c.Err("ERR " + err.Error())
		return
	}
	c.W.OK()
}

func cmdACLDelUser(c *Ctx) {
	names := make([]string, len(c.Args)-2)
	for i, a := range c.Args[2:] {
		if names[i] = string(a); names[i] == acl.DefaultName {
			c.Err("ERR The 'default' user cannot be removed")
			return
		}
	}
	n, mine := c.S.deleteUsers(names, c.C)
	c.W.Int(int64(n))
	if mine {
		c.Close()
	}
}

func cmdACLDryRun(c *Ctx) {
	u := c.S.user(string(c.Args[2]))
	if u == nil {
		c.Err("ERR User '" + Quote(c.Args[2]) + "' not found")
		return
	}
	args := c.Args[3:]
	row := c.S.Table.Find(args)
	if row == nil {
		c.Err("ERR Command '" + Quote(args[0]) + "' not found")
		return
	}
	if !row.ArityOK(len(args)) {
		c.Err("ERR wrong number of arguments for '" + row.full + "' command")
		return
	}
	if why, object := c.x.mayCall(u, row, args, c.DB()); why != acl.None {
		c.W.BulkString(why.Verbose(u.Name, row.full, string(object)))
		return
	}
	c.W.OK()
}

func cmdACLCat(c *Ctx) {
	t := c.S.rights.table
	switch len(c.Args) {
	case 2:
		c.W.Array(len(t.Categories()))
		for _, name := range t.Categories() {
			c.W.BulkString(name)
		}
	case 3:
		category := string(c.Args[2])
		if !t.HasCategory(category) {
			c.Err("ERR Unknown category '" + string(quoted(c.Args[2], 128)) + "'")
			return
		}
		at, n := c.W.DeferArray(), 0
		for _, r := range c.S.Table.rows {
			// Of a container, what can be called are the subcommands.
			if r.Fn != nil && t.In(category, r.num) {
				c.W.BulkString(r.full)
				n++
			}
		}
		c.W.SetArray(at, n)
	default:
		c.UnknownForm()
	}
}

func cmdACLGenPass(c *Ctx) {
	bits := int64(256)
	if len(c.Args) > 3 {
		c.UnknownForm()
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

func cmdACLLog(c *Ctx) {
	count := int64(10)
	switch {
	case len(c.Args) > 3:
		c.UnknownForm()
		return
	case len(c.Args) == 3 && c.Word(2, "reset"):
		c.S.rights.log.Reset()
		c.W.OK()
		return
	case len(c.Args) == 3:
		var ok bool
		if count, ok = c.Int(2); !ok {
			return
		}
	}
	entries := c.S.rights.log.Newest(count)
	now := time.Now().UnixMilli()
	c.W.Array(len(entries))
	for _, e := range entries {
		c.W.Map(10)
		c.W.BulkString("count")
		c.W.Int(e.Count)
		for _, f := range [][2]string{{"reason", e.Reason.String()}, {"context", e.Context}, {"object", e.Object}, {"username", e.Username}} {
			c.W.BulkString(f[0])
			c.W.BulkString(f[1])
		}
		c.W.BulkString("age-seconds")
		c.W.Double(float64(now-e.Updated) / 1000)
		c.W.BulkString("client-info")
		c.W.BulkString(e.Client)
		c.W.BulkString("entry-id")
		c.W.Int(e.ID)
		c.W.BulkString("timestamp-created")
		c.W.Int(e.Created)
		c.W.BulkString("timestamp-last-updated")
		c.W.Int(e.Updated)
	}
}

const errNoACLFile = "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration."

func cmdACLLoad(c *Ctx) {
	s, me := c.S, c.C
	if s.Config.ACLFile.Load() == "" {
		c.Err(errNoACLFile)
		return
	}
	mine := false
	load := func(w *wire.Writer) {
		set, err := s.readACLFile()
		if err != nil {
			w.Error("ERR " + strings.TrimSpace(err.Error()))
			return
		}
		mine = s.replaceUsers(set, me)
		w.OK()
	}
	if !c.CanBlock() {
		if load(c.W); mine {
			c.Close()
		}
		return
	}
	c.background(load, func(work func()) {
		go func() {
			if work(); mine {
				me.Conn.Kill(true)
			}
		}()
	})
}

func cmdACLSave(c *Ctx) {
	s := c.S
	if s.Config.ACLFile.Load() == "" {
		c.Err(errNoACLFile)
		return
	}
	c.Background(func(w *wire.Writer) {
		if err := s.writeACLFile(); err != nil {
			s.Log.Warningf("ACL SAVE: %v", err)
			w.Error("ERR There was an error trying to save the ACLs. Please check the server logs for more information")
			return
		}
		w.OK()
	})
}
