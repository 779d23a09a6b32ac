package command

import (
	"math"

	"kvd/config"
)

// AUTH, ECHO, HELLO, PING, QUIT, RESET, SELECT. CLIENT is in client_cmds.go.

func connectionRows() []*Row {
	return []*Row{
		{Name: "auth", Fn: cmdAuth, Arity: -2, Secret: secretFrom(1, 2), Flags: NoScript | Loading | Stale | Fast | NoAuth | AllowBusy, Since: "1.0.0", Group: "connection",
			Summary: "Authenticates the connection.", Complexity: "O(1)", Syntax: "[username] password"},
		{Name: "echo", Fn: cmdEcho, Arity: 2, Flags: Loading | Stale | Fast, Since: "1.0.0", Group: "connection",
			Summary: "Returns what it is given.", Complexity: "O(1)", Syntax: "message"},
		{Name: "hello", Fn: cmdHello, Arity: -1, Secret: helloSecrets, Flags: NoScript | Loading | Stale | Fast | NoAuth | AllowBusy, Since: "6.0.0", Group: "connection",
			Summary: "Chooses the protocol version and tells about the server.", Complexity: "O(1)",
			Syntax: "[protover [AUTH username password] [SETNAME clientname]]"},
		{Name: "ping", Fn: cmdPing, Arity: -1, Flags: Fast | InSubscribed | ProbesWrites | Frames, Since: "1.0.0", Group: "connection",
			Summary: "Answers that the server is alive.", Complexity: "O(1)", Syntax: "[message]",
			Tips: "request_policy:all_shards response_policy:all_succeeded"},
		{Name: "quit", Fn: cmdQuit, Arity: -1, Flags: NoScript | Loading | Stale | Fast | NoAuth | AllowBusy | RunsInMulti | InSubscribed, Since: "1.0.0", Group: "connection",
			Summary: "Closes the connection.", Complexity: "O(1)"},
		{Name: "reset", Fn: cmdReset, Arity: 1, Flags: NoScript | Loading | Stale | Fast | NoAuth | AllowBusy | RunsInMulti | InSubscribed, Since: "6.2.0", Group: "connection",
			Summary: "Makes the connection as if it were new.", Complexity: "O(1)"},
		{Name: "select", Fn: cmdSelect, Arity: 2, Flags: Loading | Stale | Fast | Frames, DBArgs: DbsAt(1), Since: "1.0.0", Group: "connection",
			Summary: "Chooses the database of the connection.", Complexity: "O(1)", Syntax: "index"},
	}
}

const (
	errWrongPass = "WRONGPASS invalid username-password pair or user is disabled."
	errName      = "ERR Client names cannot contain spaces, newlines or special characters."
)

func cmdAuth(c *Ctx) {
	user, password := []byte("default"), c.Args[1]
	switch {
	case len(c.Args) > 3:
		c.Err(ErrSyntax)
		return
	case len(c.Args) == 3:
		user, password = c.Args[1], c.Args[2]
	case c.S.DefaultNoPass():
		c.Err("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
		return
	}
	if !c.S.authenticate(c.C, user, password, c.Args[0]) {
		c.Err(errWrongPass)
		return
	}
	c.W.OK()
}

func cmdEcho(c *Ctx) { c.W.Bulk(c.Args[1]) }

// nameOK tells whether a client may have this name: CLIENT LIST separates its
// fields by blanks.
func nameOK(b []byte) bool {
	for _, ch := range b {
		if ch < '!' || ch > '~' {
			return false
		}
	}
	return true
}

// setName names the connection; an empty name is none.
func (c *Client) setName(b []byte) {
	if len(b) == 0 {
		c.name.Store(nil)
		return
	}
	s := string(b)
	c.name.Store(&s)
}

func cmdHello(c *Ctx) {
	proto := int64(c.C.Proto())
	if len(c.Args) > 1 {
		n, ok := ParseInt(c.Args[1])
		if !ok {
			c.Err("ERR Protocol version is not an integer or out of range")
			return
		}
		if n < 2 || n > 3 {
			c.Err("NOPROTO unsupported protocol version")
			return
		}
		proto = n
	}
	// An option takes effect where it stands, even if a later one is wrong.
	for i := 2; i < len(c.Args); {
		switch {
		case c.Word(i, "auth") && i+2 < len(c.Args):
			if !c.S.authenticate(c.C, c.Args[i+1], c.Args[i+2], c.Args[0]) {
				c.Err(errWrongPass)
				return
			}
			i += 3
		case c.Word(i, "setname") && i+1 < len(c.Args):
			if !nameOK(c.Args[i+1]) {
				c.Err(errName)
				return
			}
			c.C.setName(c.Args[i+1])
			i += 2
		default:
			c.Err("ERR Syntax error in HELLO option '" + Quote(c.Args[i]) + "'")
			return
		}
	}
	if c.S.Unknown(c.C) {
		c.Err("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
		return
	}
	c.C.proto.Store(int32(proto))
	c.W.Proto = int(proto)
	zone := c.S.Config.AvailabilityZone.Load()
	if zone == "" {
		c.W.Map(7)
	} else {
		c.W.Map(8)
	}
	c.W.BulkString("server")
	c.W.BulkString("redis")
	c.W.BulkString("version")
	c.W.BulkString(config.RedisVersion)
	c.W.BulkString("proto")
	c.W.Int(proto)
	c.W.BulkString("id")
	c.W.Int(c.C.ID)
	c.W.BulkString("mode")
	c.W.BulkString("standalone")
	c.W.BulkString("role")
	if c.S.following.Load() {
		c.W.BulkString("replica")
	} else {
		c.W.BulkString("master")
	}
	c.W.BulkString("modules")
	c.W.Array(0)
	if zone != "" {
		c.W.BulkString("availability_zone")
		c.W.BulkString(zone)
	}
}

func cmdPing(c *Ctx) {
	if c.C.subs.Total() > 0 && c.W.Proto < 3 && len(c.Args) < 3 {
		// A client that gets nothing but messages gets a message.
		c.W.Array(2)
		c.W.BulkString("pong")
		if len(c.Args) == 2 {
			c.W.Bulk(c.Args[1])
		} else {
			c.W.BulkString("")
		}
		return
	}
	switch len(c.Args) {
	case 1:
		c.W.SimpleString("PONG")
	case 2:
		c.W.Bulk(c.Args[1])
	default:
		c.WrongArity()
	}
}

func cmdQuit(c *Ctx) {
	c.W.OK()
	c.Close()
}

func cmdReset(c *Ctx) {
	cl := c.C
	cl.endMulti()
	c.S.unwatch(cl)
	c.S.unmonitor(cl)
	c.S.tracking.untrack(cl)
	c.S.unsubscribeAll(cl)
	c.settle()
	cl.setName(nil)
	cl.db.Store(0)
	cl.proto.Store(2)
	c.W.Proto = 2
	if cl.Reply != ReplySkip { // else it is the reply to this that is left out
		cl.Reply = ReplyOn
	}
	cl.NoTouch = false
	cl.redirects, cl.readsReplica, cl.imports = false, false, false
	cl.SetFieldsets(nil, 0)
	cl.set(stateNoTouch|stateNoEvict|stateRedirects|stateReadsReplica|stateImports, false)
	c.S.beDefault(cl)
	c.W.SimpleString("RESET")
}

func cmdSelect(c *Ctx) {
	n, ok := c.Int(1)
	switch {
	case !ok:
	case n < math.MinInt32 || n > math.MaxInt32:
		c.Err("ERR value is out of range, value must between -2147483648 and 2147483647")
	case n < 0 || n >= int64(c.S.Keyspace.Databases()):
		c.Err(ErrDBIndex)
	default:
		c.C.db.Store(int32(n))
		c.W.OK()
	}
}

// helloSecrets is Row.Secret of HELLO.
func helloSecrets(_ *Server, args [][]byte) (pos []int) {
	for i := 2; i < len(args); i++ {
		switch {
		case EqualFold(args[i], "auth"):
			pos = Hide(pos, args, i+1, i+3)
			i += 2
		case EqualFold(args[i], "setname"):
			i++
		}
	}
	return pos
}
