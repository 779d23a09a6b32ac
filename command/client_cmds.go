package command

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// CLIENT CAPA, GETNAME, HELP, ID, IMPORT-SOURCE, INFO, KILL, LIST, NO-EVICT, NO-TOUCH, PAUSE, REPLY,
// SETINFO, SETNAME, UNBLOCK, UNPAUSE. Those about tracking are in tracking_cmds.go.

func clientRows() []*Row {
	const own, others = NoScript | Loading | Stale, Admin | NoScript | Loading | Stale
	return []*Row{{Name: "client", Arity: -2, Flags: KeepsCaching, Since: "2.4.0", Group: "connection",
		Summary: "Commands about connections.", Complexity: "Depends on the subcommand.",
		Sub: append([]*Row{
			{Name: "getname", Fn: cmdClientGetName, Arity: 2, Flags: own, Since: "2.6.9", Summary: "Returns the name of this connection.", Complexity: "O(1)"},
			HelpRow("5.0.0",
				"CAPA <capability> [<capability> ...]",
				"    Say what the client can do: \"redirect\" has a replica send it to its master.",
				"    Others are passed over.",
				"CACHING (YES|NO)",
				"    Say whether the keys of this connection's next command are tracked.",
				"GETNAME",
				"    Return this connection's name.",
				"GETREDIR",
				"    Return the ID of the connection that gets this one's invalidation messages.",
				"ID",
				"    Return this connection's ID.",
				"IMPORT-SOURCE (ON|OFF)",
				"    Say whether this connection brings the data while import-mode is on. It sees",
				"    what is past its expiry.",
				"INFO",
				"    Describe this connection.",
				"KILL <ip:port>",
				"    Close the connection from <ip:port>.",
				"KILL <filter> <value> [<filter> <value> [...]]",
				"    Close all connections that match all filters, which are those of LIST, and not",
				"    this one unless SKIPME says so.",
				"LIST [<filter> <value> [<filter> <value> [...]]]",
				"    Describe the connections, those that match all filters:",
				"    * ID <id> [<id> ...]",
				"      Those with these IDs.",
				"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
				"      Those of this type.",
				"    * USER <username>",
				"      Those authenticated as this user.",
				"    * ADDR (<ip:port>|<unixsocket>:0), LADDR (<ip:port>|<unixsocket>:0), IP <ip>",
				"      Those from this address, to this address of ours, from this host.",
				"    * NAME <name>, LIB-NAME <name>, LIB-VER <version>",
				"      Those with this name, and this library at the client's end.",
				"    * DB <db>, FLAGS <flags>, CAPA <capabilities>",
				"      Those that have chosen this database, and have all these letters.",
				"    * MAXAGE <seconds>, IDLE <seconds>",
				"      Those at least this old, and idle for so long.",
				"    * SKIPME (YES|NO)",
				"      Whether this connection is left out.",
				"    NOT- before a filter, but for the last three, stands for those that do not match.",
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
			{Name: "capa", Fn: cmdClientCapa, Arity: -3, Flags: own, Since: "8.0.0", Summary: "Says what the client can do (Valkey).", Complexity: "O(1)", Syntax: "capability [capability ...]"},
			{Name: "import-source", Fn: cmdClientImportSource, Arity: 3, Flags: others, Since: "8.1.0",
				Summary: "Says whether this connection brings the data while import-mode is on (Valkey).", Complexity: "O(1)", Syntax: "<ON | OFF>"},
			{Name: "id", Fn: cmdClientID, Arity: 2, Flags: own, Since: "5.0.0", Summary: "Returns the ID of this connection.", Complexity: "O(1)"},
			{Name: "info", Fn: cmdClientInfo, Arity: 2, Flags: own, Since: "6.2.0", Summary: "Describes this connection.", Complexity: "O(1)", Tips: "nondeterministic_output"},
			{Name: "kill", Fn: cmdClientKill, Arity: -3, Flags: others, Since: "2.4.0", Summary: "Closes connections.", Complexity: "O(N) in the number of connections",
				Syntax: "<ip:port | " + clientFilters + ">", History: []string{"2.8.12", "Filters came.", "7.4.0", "MAXAGE came.", "8.1.0", "Several IDs, and the filters of CLIENT LIST (Valkey)."}},
			{Name: "list", Fn: cmdClientList, Arity: -2, Flags: others, Since: "2.4.0", Summary: "Describes the connections.", Complexity: "O(N) in the number of connections",
				Syntax: clientFilters, History: []string{"5.0.0", "TYPE came.", "6.2.0", "ID came.", "8.1.0", "The other filters came (Valkey)."}, Tips: "nondeterministic_output"},
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
	f := clientFilter{badID: "ERR Invalid client ID"}
	if !f.parse(c) {
		return
	}
	var b []byte
	for _, cl := range f.list(c) {
		b = c.appendClient(b, cl)
	}
	c.W.Verbatim("txt", string(b))
}

// clientBytes is what a Client takes besides its buffers.
const clientBytes = 512

// memory is what a client takes, in bytes.
func (c *Client) memory() int64 {
	_, watched := c.watchFigures()
	return clientBytes + watched + c.QueryLen.Load() + c.QueryFree.Load() + c.OutMem.Load() + c.queuedMem.Load() + c.nsub.Memory.Load() + c.prefixMem.Load() + c.fieldsetsMem.Load()
}

// shownDirty is no bit of Client.state, but joins those that flags looks at: a watched key
// has changed.
const shownDirty uint32 = 1 << 31

// clientFlag is a letter for a bit of Client.state, or shownDirty.
type clientFlag struct {
	bit  uint32
	char byte
}

var clientFlags = []clientFlag{
	{stateMaster, 'M'}, {stateReplica, 'S'}, {stateMonitor, 'O'}, {statePubSub, 'P'}, {stateMulti, 'x'}, {stateBlocked, 'b'},
	{stateTracking, 't'}, {stateBrokenRedirect, 'R'}, {stateBroadcast, 'B'}, {shownDirty, 'd'}, {stateClosing, 'A'},
}

// laterFlags stand behind U.
var laterFlags = []clientFlag{{stateReadsReplica, 'r'}, {stateImports, 'I'}, {stateNoEvict, 'e'}, {stateNoTouch, 'T'}}

// allFlags are the letters that CLIENT LIST may show.
var allFlags = func() (all string) {
	for _, f := range slices.Concat(clientFlags, laterFlags) {
		all += string(f.char)
	}
	return all + "UN"
}()

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

// flags are the client's flags, as CLIENT LIST shows them.
func (c *Client) flags() []byte {
	state := c.state.Load()
	if c.watchDirty() {
		state |= shownDirty
	}
	var flags []byte
	for _, f := range clientFlags {
		if state&f.bit != 0 {
			flags = append(flags, f.char)
		}
	}
	if c.Unix {
		flags = append(flags, 'U')
	}
	for _, f := range laterFlags {
		if state&f.bit != 0 {
			flags = append(flags, f.char)
		}
	}
	if len(flags) == 0 {
		return []byte{'N'}
	}
	return flags
}

// capa are the client's capabilities, as letters.
func (c *Client) capa() string {
	if c.has(stateRedirects) {
		return "r"
	}
	return ""
}

// appendInfo appends the line of CLIENT LIST; running are the bytes of the
// command being run, argv those of its arguments.
func (c *Client) appendInfo(dst []byte, running, argv int64) []byte {
	state, flags := c.state.Load(), c.flags()
	queued, queuedMem := int64(-1), int64(0)
	if state&stateMulti != 0 {
		queued, queuedMem = c.queued.Load(), c.queuedMem.Load()
	}
	watching, _ := c.watchFigures()
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
	front := ""
	if c.front != "" {
		front = " proto=" + c.front
	}
	// What is newer than Redis 7.0 stands last: its suite knows what comes after multi.
	return fmt.Appendf(dst, "id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d "+
		"qbuf=%d qbuf-free=%d argv-mem=%d multi-mem=%d rbs=%d rbp=%d obl=%d oll=%d omem=%d tot-mem=%d events=%s cmd=%s user=%s redir=%d resp=%d lib-name=%s lib-ver=%s watch=%d "+
		"io-thread=%d tot-net-in=%d tot-net-out=%d tot-cmds=%d read-events=%d parse-batch-cmd-sum=%d parse-batch-cnt=%d capa=%s%s\n",
		c.ID, c.Addr, c.LAddr, c.FD, c.Name(), int64(now.Sub(c.Created)/time.Second), max(0, now.UnixMilli()-c.active.Load())/1000, flags, c.DB(),
		c.nsub.Channels.Load(), c.nsub.Patterns.Load(), c.nsub.Shard.Load(), queued,
		c.QueryLen.Load()+running, c.QueryFree.Load(), argv, queuedMem, min(c.OutMem.Load(), freeOutput), buffered, buffered, blocks, counted, c.memory()+argv, events, cmd, c.UserName(), c.redir(), c.Proto(), loadString(&c.libName), loadString(&c.libVer), watching,
		c.Loop, c.netIn.Load(), c.netOut.Load(), c.commands.Load(), c.reads.Load(), c.parsed.Load(), c.batches.Load(), c.capa(), front)
}

func cmdClientKill(c *Ctx) {
	f := clientFilter{badID: "ERR client-id should be greater than 0", kill: true}
	if len(c.Args) == 3 {
		addr := string(c.Args[2])
		f.conds = []clientCond{{holds: func(cl *Client) bool { return cl.Addr == addr }}}
	} else {
		f.spareMe = true
		if !f.parse(c) {
			return
		}
	}
	killed, me := 0, false
	for _, cl := range f.list(c) {
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

// cmdClientCapa takes what it knows of the capabilities, and passes over the rest:
// that is how a client asks whichever server there is.
func cmdClientCapa(c *Ctx) {
	for i := 2; i < len(c.Args); i++ {
		if c.Word(i, "redirect") {
			c.C.redirects = true
			c.C.set(stateRedirects, true)
		}
	}
	c.W.OK()
}

func cmdClientImportSource(c *Ctx) {
	on, ok := c.onOff(2)
	if !ok {
		return
	}
	if on && !c.S.Config.ImportMode.Load() {
		c.Err("ERR Server is not in import mode")
		return
	}
	c.C.imports = on
	c.C.set(stateImports, on)
	c.W.OK()
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
