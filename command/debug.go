package command

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"kvd/config"
	"kvd/keyspace"
	"kvd/types"
)

// DEBUG, for tests; enable-debug-command lets it in. All of it runs with all
// stripes locked and on the loop, so DEBUG SLEEP really stops the server.

func debugRows() []*Row {
	return []*Row{{Name: "debug", Fn: cmdDebug, Arity: -2, Flags: Admin | NoScript | Loading | Stale | Protected | LockAll, Since: "1.0.0", Group: "server",
		Summary: "Commands for tests.", Complexity: "Depends on the subcommand."}}
}

// debugFlags are what DEBUG switches.
type debugFlags struct {
	noExpire     atomic.Bool // SET-ACTIVE-EXPIRE 0, PAUSE-CRON 1
	skipChecksum atomic.Bool // SET-SKIP-CHECKSUM-VALIDATION 1: RESTORE does not look at the checksum
	allowNoScr   atomic.Bool // SET-DISABLE-DENY-SCRIPTS 1: scripts may call what they normally may not
}

// SkipsChecksum tells whether RESTORE is to take a value whose checksum is wrong.
func (s *Server) SkipsChecksum() bool { return s.debug.skipChecksum.Load() }

// debugCmd is one subcommand; args are all that it may be given, its own name
// included.
type debugCmd struct {
	name     string
	min, max int // number of arguments behind the name
	run      func(c *Ctx, args [][]byte)
}

var debugCmds = []debugCmd{
	{"aof-flush-sleep", 1, 1, debugFlushSleep},
	{"change-repl-id", 0, 0, debugChangeReplID},
	{"check", 0, 0, debugCheck},
	{"config-rewrite-force-all", 0, 0, debugConfigRewriteAll},
	{"digest", 0, 0, debugDigest},
	{"digest-value", 0, 1 << 30, debugDigestValue},
	{"error", 1, 1, debugError},
	{"help", 0, 0, func(c *Ctx, _ [][]byte) { c.help(debugHelp) }},
	{"htstats", 1, 2, debugHTStats},
	{"listpack", 1, 1, debugListpack},
	{"loadaof", 0, 0, debugLoadAOF},
	{"log", 1, 1, debugLog},
	{"object", 1, 1, debugObject},
	{"panic", 0, 0, func(*Ctx, [][]byte) { panic("DEBUG PANIC was called") }},
	{"pause-cron", 1, 1, debugPauseCron},
	{"populate", 1, 3, debugPopulate},
	{"protocol", 1, 1, debugProtocol},
	{"quicklist-packed-threshold", 1, 1, debugPackedThreshold},
	{"reload", 0, 3, debugReload},
	{"replybuffer", 2, 2, debugReplyBuffer},
	{"set-active-expire", 1, 1, debugSetActiveExpire},
	{"set-disable-deny-scripts", 1, 1, debugSetDisableDenyScripts},
	{"set-skip-checksum-validation", 1, 1, debugSetSkipChecksum},
	{"sleep", 1, 1, debugSleep},
	{"time-travel", 1, 1, debugTimeTravel},
	{"timing", 1, 1, debugTiming},
}

var debugHelp = []string{
	"AOF-FLUSH-SLEEP <microsec>",
	"    Delay every write to the append-only log.",
	"CHANGE-REPL-ID",
	"    Take new replication IDs.",
	"CHECK",
	"    Verify every invariant of the keyspace.",
	"CONFIG-REWRITE-FORCE-ALL",
	"    Write every directive into the configuration file.",
	"DIGEST",
	"    Return a hash of the contents of all databases.",
	"DIGEST-VALUE <key> [<key> ...]",
	"    Return a hash of the value of each key.",
	"ERROR <string>",
	"    Reply with <string> as an error.",
	"HTSTATS <dbid> [full]",
	"    Tell how the keys of a database are spread.",
	"LOADAOF",
	"    Flush the append-only log, empty the databases and load it again.",
	"LOG <message>",
	"    Write <message> to the log.",
	"OBJECT <key>",
	"    Tell how the value at <key> is stored.",
	"PANIC",
	"    Fail inside a command, which must harm nobody else.",
	"PAUSE-CRON <0|1>",
	"    With 1, the server does not remove by itself what has expired.",
	"POPULATE <count> [<prefix>] [<size>]",
	"    Make <count> string keys named key:<num>, or <prefix>:<num>. They are",
	"    not replicated.",
	"PROTOCOL <type>",
	"    Reply with a value of the type: string, integer, double, null, array,",
	"    set, map, attrib, push, verbatim, true, false, bignum.",
	"RELOAD [MERGE] [NOFLUSH] [NOSAVE]",
	"    Save, empty the databases and load them again. NOSAVE and NOFLUSH leave",
	"    that part out; with MERGE keys of the file replace those that are there.",
	"REPLYBUFFER RESIZING <0|1>",
	"    Nothing: clients have no reply buffer that could be resized.",
	"SET-ACTIVE-EXPIRE <0|1>",
	"    With 0, keys expire only when they are looked at.",
	"SET-DISABLE-DENY-SCRIPTS <0|1>",
	"    With 1, scripts may call commands that are denied to them.",
	"SET-SKIP-CHECKSUM-VALIDATION <0|1>",
	"    With 1, RESTORE takes payloads whose checksum is wrong.",
	"SLEEP <seconds>",
	"    Stop the server for <seconds>. Decimals are allowed.",
	"TIME-TRAVEL <milliseconds>",
	"    Move the clock of keys, fields and waits forward: when it replies, what is",
	"    due by then has expired, and blocking commands whose time is over are answered.",
	"TIMING <on|off>",
	"    Measure the longest lock hold and the longest command, for INFO kvd.",
}

func cmdDebug(c *Ctx) {
	args := c.Args[2:]
	for i := range debugCmds {
		if d := &debugCmds[i]; EqualFold(c.Args[1], d.name) && len(args) >= d.min && len(args) <= d.max {
			d.run(c, args)
			return
		}
	}
	c.UnknownForm()
}

func debugCheck(c *Ctx, _ [][]byte) {
	if err := c.S.Keyspace.CheckLocked(); err != nil {
		c.Err("ERR " + err.Error())
		return
	}
	c.W.OK()
}

func debugError(c *Ctx, args [][]byte) { c.W.Error(string(args[0])) }

func debugLog(c *Ctx, args [][]byte) {
	c.S.Log.Warningf("DEBUG LOG: %s", args[0])
	c.W.OK()
}

func debugSetSkipChecksum(c *Ctx, args [][]byte) {
	c.S.debug.skipChecksum.Store(string(args[0]) != "0")
	c.W.OK()
}

func debugSleep(c *Ctx, args [][]byte) {
	// Like C's strtod: what is no number is 0.
	f, _ := strconv.ParseFloat(string(args[0]), 64)
	time.Sleep(time.Duration(min(max(f, 0), 1e6) * float64(time.Second)))
	c.W.OK()
}

// debugReplyBuffer lets Redis's tests fix the size of buffers that do not exist.
func debugReplyBuffer(c *Ctx, args [][]byte) {
	if !EqualFold(args[0], "resizing") {
		c.UnknownForm()
		return
	}
	c.W.OK()
}

func debugConfigRewriteAll(c *Ctx, _ [][]byte) {
	if err := c.S.Config.RewriteAll(); err != nil {
		c.Err("ERR " + err.Error())
		return
	}
	c.W.OK()
}

func debugSetActiveExpire(c *Ctx, args [][]byte) {
	c.S.activeExpire(string(args[0]) != "0")
	c.W.OK()
}

// debugPauseCron stops what Redis's periodic job does and kvd does by itself, too.
func debugPauseCron(c *Ctx, args [][]byte) {
	c.S.activeExpire(string(args[0]) == "0")
	c.W.OK()
}

// activeExpire switches the removal of keys and fields at their deadline on or off; what else
// forbids it still counts.
func (s *Server) activeExpire(on bool) {
	s.debug.noExpire.Store(!on)
	s.pause.mu.Lock()
	s.updateExpiry()
	s.pause.mu.Unlock()
}

func debugSetDisableDenyScripts(c *Ctx, args [][]byte) {
	c.S.debug.allowNoScr.Store(string(args[0]) != "0")
	c.W.OK()
}

func debugTiming(c *Ctx, args [][]byte) {
	on := EqualFold(args[0], "on")
	if !on && !EqualFold(args[0], "off") {
		c.Err(ErrSyntax)
		return
	}
	c.S.Keyspace.SetTiming(on)
	c.W.OK()
}

func debugHTStats(c *Ctx, args [][]byte) {
	db, ok := ParseInt(args[0])
	if !ok {
		c.Err(ErrNotInt)
		return
	}
	if db < 0 || db >= int64(c.S.Keyspace.Databases()) {
		c.Err("ERR Out of range database")
		return
	}
	ks := c.S.Keyspace
	keys, volatile := ks.Size(int(db), true)
	m := ks.Memory(true)
	c.W.Verbatim("txt", fmt.Sprintf("[Dictionary HT]\nHash table 0 stats (main hash table):\n number of elements: %d\n stripes: %d\n bytes of tables, all databases: %d\n[Expires HT]\nHash table 0 stats (main hash table):\n number of elements: %d\n",
		keys, ks.Stripes(), m.Tables, volatile))
}

func debugProtocol(c *Ctx, args [][]byte) {
	w := c.W
	three := func() {
		for i := range 3 {
			w.Int(int64(i))
		}
	}
	switch kind := strings.ToLower(string(args[0])); kind {
	case "string":
		w.BulkString("Hello World")
	case "integer":
		w.Int(12345)
	case "double":
		w.Double(3.141)
	case "null":
		w.Null()
	case "array":
		w.Array(3)
		three()
	case "set":
		w.Set(3)
		three()
	case "map":
		w.Map(3)
		for i := range 3 {
			w.Int(int64(i))
			w.Bool(i == 1)
		}
	case "attrib":
		if w.Proto >= 3 {
			w.Raw([]byte("|1\r\n"))
			w.BulkString("key-popularity")
			w.Array(2)
			w.BulkString("key:123")
			w.Int(90)
		}
		// Attributes are not replies: this is the one that they belong to.
		w.BulkString("Some real reply following the attribute")
	case "push":
		if w.Proto < 3 {
			c.Err("ERR RESP2 is not supported by this command")
			return
		}
		w.Push(2)
		w.BulkString("server-cpu-usage")
		w.Int(42)
		w.BulkString("Some real reply following the push reply")
	case "verbatim":
		w.Verbatim("txt", "This is a verbatim\nstring")
	case "true", "false":
		w.Bool(kind == "true")
	case "bignum":
		w.BigNumber("1234567999999999999999999999999999999")
	default:
		c.Err("ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false")
	}
}

// there finds an entry, also one that is past its deadline.
func (c *Ctx) there(k *keyspace.Key) keyspace.Entry {
	tx := c.Tx
	tx.Replaying = true
	return tx.Peek(k)
}

func debugObject(c *Ctx, args [][]byte) {
	k := keyspace.MakeKey(args[0])
	e := c.there(&k)
	if !e.Exists() {
		c.Err(ErrNoKey)
		return
	}
	size := int64(0)
	if o := e.Object(); o != nil {
		size = o.Bytes()
	} else {
		size = int64(len(e.Packed()))
	}
	idle := (c.Clock - e.Clock()) & 0xffffff
	c.W.SimpleString(fmt.Sprintf("Value at:0x%x refcount:1 encoding:%s serializedlength:%d lru:%d lru_seconds_idle:%d",
		k.Hash, e.Encoding(), size, e.Clock(), idle))
}

func debugChangeReplID(c *Ctx, _ [][]byte) {
	c.S.Log.Noticef("Changing replication IDs after receiving change-repl-id")
	c.S.replication.ChangeID()
	c.W.OK()
}

func debugPopulate(c *Ctx, args [][]byte) {
	n, ok := ParseInt(args[0])
	if !ok || n < 0 {
		c.Err(ErrNotPositive)
		return
	}
	prefix, size := "key", int64(0)
	if len(args) > 1 {
		prefix = string(args[1])
	}
	if len(args) > 2 {
		if size, ok = ParseInt(args[2]); !ok || size < 0 {
			c.Err(ErrNotPositive)
			return
		}
	}
	var key, value []byte
	for i := range n {
		key = strconv.AppendInt(append(append(key[:0], prefix...), ':'), i, 10)
		k := keyspace.MakeKey(key)
		if c.Exists(&k) {
			continue
		}
		value = strconv.AppendInt(append(value[:0], "value:"...), i, 10)
		if size > 0 {
			for int64(len(value)) < size {
				value = append(value, 0)
			}
			value = value[:size]
		}
		c.PutString(&k, value, 0)
	}
	c.NoEffect()
	c.W.OK()
}

// debugPackedThreshold is there for Redis's test suite, which sets the size
// from which an element gets a list node of its own. In kvd the block size
// alone decides that, so there is nothing to set; the argument is checked.
func debugPackedThreshold(c *Ctx, args [][]byte) {
	if n, ok := config.ParseMemory(string(args[0])); !ok || n > 1<<32 {
		c.Err("ERR argument must be a memory value bigger than 1 and smaller than 4gb")
		return
	}
	c.W.OK()
}

// debugListpack writes the elements of a packed value to the log.
func debugListpack(c *Ctx, args [][]byte) {
	k := keyspace.MakeKey(args[0])
	e := c.there(&k)
	if !e.Exists() {
		c.Err(ErrNoKey)
		return
	}
	if e.Encoding() != types.EncListpack && e.Encoding() != types.EncListpackEx {
		c.Err("ERR Not a listpack encoded object.")
		return
	}
	p := types.Packed(e.Packed())
	for off := p.First(); off >= 0; off = p.Next(off) {
		c.S.Log.Noticef("listpack %q: %q", k.B, p.At(off).Append(nil))
	}
	c.W.SimpleString("Listpack structure printed on stdout")
}
