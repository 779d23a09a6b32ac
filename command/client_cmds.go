package command

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"kvd/acl"
)

// CLIENT GETNAME, HELP, ID, INFO, KILL, LIST, NO-EVICT, NO-TOUCH, PAUSE, REPLY,
// SETINFO, SETNAME, UNBLOCK, UNPAUSE. Those about tracking are in tracking_cmds.go.

func clientRows() []*Row {
	const own, others = NoScript | Loading | Stale, Admin | NoScript | Loading | Stale
	return []*Row{{Name: "client", Arity: -2, Flags: KeepsCaching, Since: "2.4.0", Group: "connection",
		Summary: "Commands about connections.", Complexity: "Depends on the subcommand.",
		Sub: append([]*Row{
			{Name: "getname", Fn: cmdClientGetName, Arity: 2, Flags: own, Since: "2.6.9", Summary: "Returns the name of this connection.", Complexity: "O(1)"},
			HelpRow("5.0.0",
				"CACHING (YES|NO)",
				"    Say whether the keys of this connection's next command are tracked.",
				"GETNAME",
				"    Return this connection's name.",
				"GETREDIR",
				"    Return the ID of the connection that gets this one's invalidation messages.",
				"ID",
				"    Return this connection's ID.",
				"INFO",
				"    Describe this connection.",
				"KILL <ip:port>",
				"    Close the connection from <ip:port>.",
				"KILL <option> <value> [<option> <value> [...]]",
				"    Close all connections that match. Options are:",
				"    * ADDR (<ip:port>|<unixsocket>:0)",
				"      Those from this address.",
				"    * LADDR (<ip:port>|<unixsocket>:0)",
				"      Those to this address of ours.",
				"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
				"      Those of this type.",
				"    * USER <username>",
				"      Those authenticated as this user.",
				"    * ID <id>",
				"      The one with this ID.",
				"    * MAXAGE <seconds>",
				"      Those at least this old.",
				"    * SKIPME (YES|NO)",
				"      Whether this connection is spared (default: yes).",
				"LIST [options ...]",
				"    Describe the connections. Options:",
				"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
				"      Those of this type only.",
				"    * ID <id> [<id> ...]",
				"      Those with these IDs only.",
				"NO-EVICT (ON|OFF)",
				"    Spare this connection when connections are closed for their memory.",
				"NO-TOUCH (ON|OFF)",
				"    Let this connection's commands leave the access times of keys alone.",
				"PAUSE <timeout> [WRITE|ALL]",
				"    Make all clients, or those that write, wait for <timeout> milliseconds.",
				"REPLY (ON|OFF|SKIP)",
				"    Choose whether this connection gets replies.",
				"SETINFO <option> <value>",
				"    Say what is at the client's end. Options are: LIB-NAME, LIB-VER.",
				"SETNAME <name>",
				"    Give this connection a name.",
				"TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
				"         [OPTIN] [OPTOUT] [NOLOOP]",
				"    Choose whether this connection is told when keys change that it has read.",
				"TRACKINGINFO",
				"    Describe this connection's client-side caching.",
				"UNBLOCK <clientid> [TIMEOUT|ERROR]",
				"    End the wait of a connection in a blocking command.",
				"UNPAUSE",
				"    End the pause.",
			),
			{Name: "id", Fn: cmdClientID, Arity: 2, Flags: own, Since: "5.0.0", Summary: "Returns the ID of this connection.", Complexity: "O(1)"},
			{Name: "info", Fn: cmdClientInfo, Arity: 2, Flags: own, Since: "6.2.0", Summary: "Describes this connection.", Complexity: "O(1)", Tips: "nondeterministic_output"},
			{Name: "kill", Fn: cmdClientKill, Arity: -3, Flags: others, Since: "2.4.0", Summary: "Closes connections.", Complexity: "O(N) in the number of connections",
				Syntax: "<ip:port | [ID client-id] [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME yes/no] [MAXAGE maxage]>"},
			{Name: "list", Fn: cmdClientList, Arity: -2, Flags: others, Since: "2.4.0", Summary: "Describes the connections.", Complexity: "O(N) in the number of connections",
				Syntax: "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]", Tips: "nondeterministic_output"},
			{Name: "no-evict", Fn: cmdClientNoEvict, Arity: 3, Flags: others, Since: "7.0.0",
				Summary: "Spares this connection when connections are closed for their memory.", Complexity: "O(1)", Syntax: "<ON | OFF>"},
			{Name: "no-touch", Fn: cmdClientNoTouch, Arity: 3, Flags: own, Since: "7.2.0",
				Summary: "Lets this connection's commands leave the access times of keys alone.", Complexity: "O(1)", Syntax: "<ON | OFF>"},
			{Name: "pause", Fn: cmdClientPause, Arity: -3, Flags: others, Since: "2.9.50", Summary: "Makes clients wait.", Complexity: "O(1)", Syntax: "timeout [WRITE | ALL]"},
			{Name: "reply", Fn: cmdClientReply, Arity: 3, Flags: own, Since: "3.2.0", Summary: "Chooses whether this connection gets replies.", Complexity: "O(1)", Syntax: "<ON | OFF | SKIP>"},
			{Name: "setinfo", Fn: cmdClientSetInfo, Arity: 4, Flags: own, Since: "7.2.0", Summary: "Says which library is at the client's end.", Complexity: "O(1)",
				Syntax: "<LIB-NAME libname | LIB-VER libver>", Tips: "request_policy:all_nodes response_policy:all_succeeded"},
			{Name: "setname", Fn: cmdClientSetName, Arity: 3, Flags: own, Since: "2.6.9", Summary: "Gives this connection a name.", Complexity: "O(1)", Syntax: "connection-name"},
			{Name: "unblock", Fn: cmdClientUnblock, Arity: -3, Flags: others, Since: "5.0.0", Summary: "Ends the wait of a connection in a blocking command.", Complexity: "O(log N) in the number of connections",
				Syntax: "client-id [TIMEOUT | ERROR]"},
			{Name: "unpause", Fn: cmdClientUnpause, Arity: 2, Flags: others, Since: "6.2.0", Summary: "Ends the pause of clients.", Complexity: "O(N) in the number of waiting clients"},
		}, trackingRows()...)}}
}

func cmdClientID(c *Ctx) { c.W.Int(c.C.ID) }

func cmdClientGetName(c *Ctx) {
	if n := c.C.name.Load(); n != nil {
		c.W.BulkString(*n)
	} else {
		c.W.Null()
	}
}

func cmdClientSetName(c *Ctx) {
	if !nameOK(c.Args[2]) {
		c.Err(errName)
		return
	}
	c.C.setName(c.Args[2])
	c.W.OK()
}

func cmdClientSetInfo(c *Ctx) {
	field, option := &c.C.libName, "lib-name"
	switch {
	case c.Word(2, "lib-name"):
	case c.Word(2, "lib-ver"):
		field, option = &c.C.libVer, "lib-ver"
	default:
		c.Err("ERR Unrecognized option '" + Quote(c.Args[2]) + "'")
		return
	}
	if !nameOK(c.Args[3]) {
		c.Err("ERR " + option + " cannot contain spaces, newlines or special characters.")
		return
	}
	v := string(c.Args[3])
	field.Store(&v)
	c.W.OK()
}

// clientTypes are the arguments of TYPE.
var clientTypes = map[string]string{"normal": "normal", "slave": "replica", "replica": "replica", "master": "master", "pubsub": "pubsub"}

// clientType reads an argument of TYPE.
func (c *Ctx) clientType(i int) (string, bool) {
	t, ok := clientTypes[strings.ToLower(string(c.Args[i]))]
	if !ok {
		c.Err("ERR Unknown client type '" + Quote(c.Args[i]) + "'")
	}
	return t, ok
}

// kind is the type of a client, as CLIENT LIST and KILL know it.
func (c *Client) kind() string {
	switch s := c.state.Load(); {
	case s&stateMaster != 0:
		return "master"
	case s&stateReplica != 0 && s&stateMonitor == 0:
		return "replica"
	case s&statePubSub != 0:
		return "pubsub"
	}
	return "normal"
}

// sorted is every client by ID.
func (l *clients) sorted() []*Client {
	all := l.list()
	slices.SortFunc(all, func(a, b *Client) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

func cmdClientInfo(c *Ctx) { c.W.Verbatim("txt", string(c.appendClient(nil, c.C))) }

func cmdClientList(c *Ctx) {
	var which []*Client
	switch {
	case len(c.Args) == 4 && c.Word(2, "type"):
		t, ok := c.clientType(3)
		if !ok {
			return
		}
		which = slices.DeleteFunc(c.S.clients.sorted(), func(cl *Client) bool { return cl.kind() != t })
	case len(c.Args) > 3 && c.Word(2, "id"):
		for _, a := range c.Args[3:] {
			id, ok := ParseInt(a)
			if !ok {
				c.Err("ERR Invalid client ID")
				return
			}
			if cl := c.S.clients.get(id); cl != nil {
				which = append(which, cl)
			}
		}
	case len(c.Args) != 2:
		c.Err(ErrSyntax)
		return
	default:
		which = c.S.clients.sorted()
	}
	var b []byte
	for _, cl := range which {
		b = c.appendClient(b, cl)
	}
	c.W.Verbatim("txt", string(b))
}

// clientBytes is what a Client takes besides its buffers.
const clientBytes = 512

// memory is what a client takes, in bytes.
func (c *Client) memory() int64 {
	return clientBytes + c.QueryLen.Load() + c.QueryFree.Load() + c.OutMem.Load() + c.queuedMem.Load() + c.nsub.memory.Load() + c.watchedMem.Load() + c.prefixMem.Load()
}

var clientFlags = []struct {
	bit  uint32
	char byte
}{
	{stateMaster, 'M'}, {stateReplica, 'S'}, {stateMonitor, 'O'}, {statePubSub, 'P'}, {stateMulti, 'x'}, {stateBlocked, 'b'},
	{stateTracking, 't'}, {stateBrokenRedirect, 'R'}, {stateBroadcast, 'B'}, {stateDirtyWatch, 'd'}, {stateClosing, 'A'},
}

// appendClient appends the line of CLIENT LIST for a client.
func (c *Ctx) appendClient(dst []byte, cl *Client) []byte {
	if cl != c.C {
		return cl.appendInfo(dst, 0, 0)
	}
	// The command that asks is still in its buffer.
	size, argv := 0, int64(0)
	var room [24]byte
	size += len(fmt.Appendf(room[:0], "*%d\r\n", len(c.Args)))
	for _, a := range c.Args {
		argv += int64(len(a))
		size += len(fmt.Appendf(room[:0], "$%d\r\n\r\n", len(a))) + len(a)
	}
	return cl.appendInfo(dst, int64(size), argv)
}

// Info is the client's line of CLIENT LIST, for the log.
func (c *Client) Info() string { return strings.TrimSuffix(string(c.appendInfo(nil, 0, 0)), "\n") }

// appendInfo appends the line of CLIENT LIST; running are the bytes of the
// command being run, argv those of its arguments.
func (c *Client) appendInfo(dst []byte, running, argv int64) []byte {
	state := c.state.Load()
	var flags []byte
	for _, f := range clientFlags {
		if state&f.bit != 0 {
			flags = append(flags, f.char)
		}
	}
	if c.Unix {
		flags = append(flags, 'U')
	}
	if state&stateNoEvict != 0 {
		flags = append(flags, 'e')
	}
	if state&stateNoTouch != 0 {
		flags = append(flags, 'T')
	}
	if len(flags) == 0 {
		flags = []byte{'N'}
	}
	queued, queuedMem := int64(-1), int64(0)
	if state&stateMulti != 0 {
		queued, queuedMem = c.queued.Load(), c.queuedMem.Load()
	}
	out, events := c.OutLen.Load(), "r"
	buffered := min(out, freeOutput)
	blocks, counted := countedOutput(out)
	if out > 0 {
		events = "rw"
	}
	cmd := "NULL"
	if r := c.lastCmd.Load(); r != nil {
		cmd = r.full
	}
	now := time.Now()
	// watch, which is newer than Redis 7.0, stands last: its suite knows what comes after multi.
	return fmt.Appendf(dst, "id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d "+
		"qbuf=%d qbuf-free=%d argv-mem=%d multi-mem=%d rbs=%d rbp=%d obl=%d oll=%d omem=%d tot-mem=%d events=%s cmd=%s user=%s redir=%d resp=%d lib-name=%s lib-ver=%s watch=%d\n",
		c.ID, c.Addr, c.LAddr, c.FD, loadString(&c.name), now.Unix()-c.Created.Unix(), max(0, now.UnixMilli()-c.active.Load())/1000, flags, c.DB(),
		c.nsub.channels.Load(), c.nsub.patterns.Load(), c.nsub.shard.Load(), queued,
		c.QueryLen.Load()+running, c.QueryFree.Load(), argv, queuedMem, min(c.OutMem.Load(), freeOutput), buffered, buffered, blocks, counted, c.memory()+argv, events, cmd, c.UserName(), c.redir(), c.Proto(), loadString(&c.libName), loadString(&c.libVer), c.watching.Load())
}

func cmdClientKill(c *Ctx) {
	var f struct {
		id, maxAge        int64
		kind, addr, laddr string
		user              *acl.User
		byAddr, spareMe   bool // byAddr: addr counts even if it is empty
	}
	if len(c.Args) == 3 {
		f.addr, f.byAddr = string(c.Args[2]), true
	} else {
		f.spareMe = true
		for i := 2; i < len(c.Args); i += 2 {
			if i+1 >= len(c.Args) {
				c.Err(ErrSyntax)
				return
			}
			v := c.Args[i+1]
			switch {
			case c.Word(i, "id"):
				n, ok := ParseInt(v)
				if !ok || n < 1 {
					c.Err("ERR client-id should be greater than 0")
					return
				}
				f.id = n
			case c.Word(i, "type"):
				t, ok := c.clientType(i + 1)
				if !ok {
					return
				}
				f.kind = t
			case c.Word(i, "addr"):
				f.addr = string(v)
			case c.Word(i, "laddr"):
				f.laddr = string(v)
			case c.Word(i, "user"):
				if f.user = c.S.user(string(v)); f.user == nil {
					c.Err("ERR No such user '" + Quote(v) + "'")
					return
				}
			case c.Word(i, "maxage"):
				n, ok := ParseInt(v)
				if !ok {
					c.Err("ERR maxage is not an integer or out of range")
					return
				}
				if n <= 0 {
					c.Err("ERR maxage should be greater than 0")
					return
				}
				f.maxAge = n
			case c.Word(i, "skipme") && c.Word(i+1, "yes"):
				f.spareMe = true
			case c.Word(i, "skipme") && c.Word(i+1, "no"):
				f.spareMe = false
			default:
				c.Err(ErrSyntax)
				return
			}
		}
	}
	now := c.x.now.Unix()
	killed, me := 0, false
	for _, cl := range c.S.clients.sorted() {
		switch {
		case (f.byAddr || f.addr != "") && cl.Addr != f.addr,
			f.laddr != "" && cl.LAddr != f.laddr,
			f.kind != "" && cl.kind() != f.kind,
			f.id != 0 && cl.ID != f.id,
			f.user != nil && cl.UserName() != f.user.Name,
			f.maxAge != 0 && now-cl.Created.Unix() < f.maxAge,
			f.spareMe && cl == c.C:
			continue
		}
		killed++
		if cl == c.C {
			me = true
			continue
		}
		c.S.kill(cl)
	}
	switch {
	case len(c.Args) != 3:
		c.W.Int(int64(killed))
	case killed == 0:
		c.Err("ERR No such client")
	default:
		c.W.OK()
	}
	if me {
		c.Close()
	}
}

func cmdClientNoEvict(c *Ctx) {
	if on, ok := c.onOff(2); ok {
		c.C.set(stateNoEvict, on)
		c.W.OK()
	}
}

func cmdClientNoTouch(c *Ctx) {
	if on, ok := c.onOff(2); ok {
		c.C.NoTouch = on
		c.C.set(stateNoTouch, on)
		c.W.OK()
	}
}

func cmdClientReply(c *Ctx) {
	switch {
	case c.Word(2, "on"):
		c.C.Reply = ReplyOn
		c.W.OK()
	case c.Word(2, "off"):
		c.C.Reply = ReplyOff
		c.elementOK()
	case c.Word(2, "skip"):
		if c.C.Reply != ReplyOff {
			c.C.Reply = ReplySkipNext
		}
		c.elementOK()
	default:
		c.Err(ErrSyntax)
	}
}

// elementOK replies inside EXEC alone, whose array has an element for each command.
func (c *Ctx) elementOK() {
	if c.InExec() {
		c.W.OK()
	}
}

func cmdClientPause(c *Ctx) {
	mode := pauseAll
	if len(c.Args) > 4 {
		c.UnknownForm()
		return
	}
	if len(c.Args) == 4 {
		switch {
		case c.Word(3, "write"):
			mode = pauseWrites
		case !c.Word(3, "all"):
			c.Err("ERR CLIENT PAUSE mode must be WRITE or ALL")
			return
		}
	}
	ms, ok := ParseInt(c.Args[2])
	switch {
	case !ok:
		c.Err("ERR timeout is not an integer or out of range")
	case ms < 0:
		c.Err("ERR timeout is negative")
	case ms > math.MaxInt64-c.Now:
		c.Err("ERR timeout is out of range")
	default:
		c.S.startPause(mode, c.Now+ms)
		c.W.OK()
	}
}

func cmdClientUnpause(c *Ctx) {
	c.S.endPause()
	c.W.OK()
}

func cmdClientUnblock(c *Ctx) {
	withError := false
	switch {
	case len(c.Args) > 4:
		c.UnknownForm()
		return
	case len(c.Args) == 3 || c.Word(3, "timeout"):
	case c.Word(3, "error"):
		withError = true
	default:
		c.Err("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
		return
	}
	id, ok := c.Int(2)
	if !ok {
		return
	}
	cl := c.S.clients.get(id)
	if cl == nil {
		c.W.Int(0)
		return
	}
	row := cl.lastCmd.Load()
	if !c.S.Unblock(cl, withError) {
		c.W.Int(0)
		return
	}
	if withError {
		c.S.CountError("UNBLOCKED")
		if row != nil {
			c.x.stats[row.num].Failed.Add(1)
		}
	}
	c.W.Int(1)
}
