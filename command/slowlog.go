package command

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"kvd/config"
	"kvd/lockrank"
	"kvd/resp/wire"
)

// SLOWLOG GET, HELP, LEN, RESET; COMMANDLOG, which has the same log and two more:
// of large requests and of large replies; and what hides secrets from them and
// from MONITOR.

func slowlogRows() []*Row {
	const flags = Admin | Loading | Stale
	return []*Row{{Name: "slowlog", Arity: -2, Since: "2.2.12", Group: "server",
		Summary: "Commands about the slow log.", Complexity: "Depends on the subcommand.",
		Sub: []*Row{
			{Name: "get", Fn: cmdSlowlogGet, Arity: -2, Flags: flags, Since: "2.2.12", Summary: "Returns the newest entries of the slow log.",
				Complexity: "O(N) in the number of entries returned", Syntax: "[count]", Tips: "request_policy:all_nodes nondeterministic_output"},
			HelpRow("6.2.0",
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
		Sub: []*Row{
			{Name: "get", Fn: cmdCommandlogGet, Arity: 4, Flags: flags, Since: "8.1.0", Summary: "Returns the newest entries of a log of commands (Valkey).",
				Complexity: "O(N) in the number of entries returned", Syntax: "count <" + commandLogWords + ">", Tips: "request_policy:all_nodes nondeterministic_output"},
			HelpRow("8.1.0",
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

// logged is a command in a log.
type logged struct {
	id         int64
	at         int64 // Unix seconds
	value      int64 // microseconds, or bytes
	args       []string
	argc       int // how many there were
	addr, name string
}

// commandLog keeps the last commands that were remarkable.
type commandLog struct {
	mu      lockrank.Mutex[lockrank.Slowlog] // protects entries and next
	entries []logged
	next    int64        // id of the next entry; it goes on after RESET
	least   atomic.Int64 // from which value on a command is logged; for the slow log see slowness
	length  *config.Int  // how many entries are kept
}

// commandLogs are those of a server.
type commandLogs struct {
	slow, requests, replies commandLog
	// least is how long a request and its reply are together, at least, where one of them
	// stands in a log. Every command loads it.
	least atomic.Int64
}

// slowness is from how many nanoseconds on a command is worth a look: it may
// be one for the slow log or for the latency monitor. Every command loads least.
type slowness struct{ slowlog, monitor, least atomic.Int64 }

// watchSlowness takes the thresholds from the configuration.
func (s *Server) watchSlowness() {
	set := func() error {
		slow, monitor := int64(math.MaxInt64), int64(math.MaxInt64)
		if us := s.Config.SlowlogLogSlowerThan.Load(); us >= 0 && us < math.MaxInt64/1000 {
			slow = us * 1000
		}
		if ms := s.Config.LatencyMonitorThreshold.Load(); ms > 0 && ms < math.MaxInt64/1000000 {
			monitor = ms * 1e6
		}
		s.slowness.slowlog.Store(slow)
		s.slowness.monitor.Store(monitor)
		s.slowness.least.Store(min(slow, monitor))
		return nil
	}
	s.Config.OnChange("slowlog-log-slower-than", set)
	s.Config.OnChange("latency-monitor-threshold", set)
	_ = set()
	s.logs.slow.watch(s.Config, "slowlog-max-len", s.Config.SlowlogMaxLen)
	for _, l := range []struct {
		log         *commandLog
		least, most string
		value, kept *config.Int
	}{
		{&s.logs.requests, "commandlog-request-larger-than", "commandlog-large-request-max-len", s.Config.LargeRequest, s.Config.LargeRequestMaxLen},
		{&s.logs.replies, "commandlog-reply-larger-than", "commandlog-large-reply-max-len", s.Config.LargeReply, s.Config.LargeReplyMaxLen},
	} {
		l.log.watch(s.Config, l.most, l.kept)
		set := func() error {
			least := l.value.Load()
			if least < 0 {
				least = math.MaxInt64
			}
			l.log.least.Store(least)
			s.logs.least.Store(min(s.logs.requests.least.Load(), s.logs.replies.least.Load()))
			return nil
		}
		s.Config.OnChange(l.least, set)
		_ = set()
	}
}

// watch takes the number of entries that are kept from a directive.
func (l *commandLog) watch(cfg *config.Config, directive string, length *config.Int) {
	l.length = length
	cfg.OnChange(directive, func() error {
		l.mu.Lock()
		l.trim()
		l.mu.Unlock()
		return nil
	})
}

// noteSlow enters a call of ns nanoseconds, which is at least the least
// threshold, in the latency monitor and in the slow log, where it is to stand
// with args.
func (s *Server) noteSlow(c *Client, row *Row, ns int64, args func() keptArgs) {
	event := "command"
	if row.Flags&Fast != 0 {
		event = "fast-command"
	}
	s.NoteLatency(event, ns)
	if ns >= s.slowness.slowlog.Load() && row.Flags&SkipSlowlog == 0 {
		s.logs.slow.add(c, ns/1000, args())
	}
}

// noteLarge enters a call in the logs of large requests and replies where it is one
// that is to stand there; reply is the length of the reply.
func (s *Server) noteLarge(c *Client, row *Row, args [][]byte, reply int) {
	if row.Flags&SkipSlowlog != 0 {
		return
	}
	if n := requestLen(args); n >= s.logs.requests.least.Load() {
		s.logs.requests.add(c, n, s.slowArgs(row, args))
	}
	s.noteLargeReply(c, row, int64(reply), func() keptArgs { return s.slowArgs(row, args) })
}

// noteLargeReply is noteLarge for a reply that came later than the command.
func (s *Server) noteLargeReply(c *Client, row *Row, reply int64, args func() keptArgs) {
	if reply >= s.logs.replies.least.Load() && row.Flags&SkipSlowlog == 0 {
		s.logs.replies.add(c, reply, args())
	}
}

// requestLen is the length of a command as RESP sends it, up to the digits of lengths.
func requestLen(args [][]byte) int64 {
	const head = len("$1\r\n\r\n")
	n := (len(args) + 1) * head
	for _, a := range args {
		n += len(a)
	}
	return int64(n)
}

// requestMost is at least the requestLen of a command that has so many bytes of input
// before its end. An argument of an inline command is two bytes or more there, and counts
// as seven.
func requestMost(input int) int64 { return 8 * int64(input+2) }

// unknownRequest is more than any threshold of a log.
const unknownRequest = math.MaxInt64 / 2

// keptArgs is what a log keeps of a command's arguments.
type keptArgs struct {
	args []string
	argc int
}

// slowArgs copies what is kept of a command's arguments.
func (s *Server) slowArgs(row *Row, args [][]byte) keptArgs {
	secret := s.secrets(row, args)
	most, length := int(s.Config.SlowlogEntryMaxArgc.Load()), int(s.Config.SlowlogEntryMaxStringLen.Load())
	n := min(len(args), most)
	kept := make([]string, n)
	for i := range kept {
		a := args[i]
		switch {
		case n < len(args) && i == n-1:
			kept[i] = fmt.Sprintf("... (%d more arguments)", len(args)-n+1)
		case slices.Contains(secret, i):
			kept[i] = redacted
		case len(a) > length:
			kept[i] = fmt.Sprintf("%s... (%d more bytes)", a[:length], len(a)-length)
		default:
			kept[i] = string(a)
		}
	}
	return keptArgs{kept, len(args)}
}

func (l *commandLog) add(c *Client, value int64, kept keptArgs) {
	e := logged{at: time.Now().Unix(), value: value, args: kept.args, argc: kept.argc, addr: c.Addr, name: loadString(&c.name)}
	l.mu.Lock()
	e.id = l.next
	l.next++
	l.entries = append(l.entries, e)
	l.trim()
	l.mu.Unlock()
}

// trim drops the oldest entries beyond those that are kept; l.mu is held.
func (l *commandLog) trim() {
	if over := int64(len(l.entries)) - l.length.Load(); over > 0 {
		clear(l.entries[:over])
		l.entries = l.entries[over:]
	}
}

func cmdSlowlogGet(c *Ctx) {
	count := int64(10)
	if len(c.Args) > 3 {
		c.UnknownForm()
		return
	}
	if len(c.Args) == 3 {
		var ok bool
		if count, ok = c.logCount(2); !ok {
			return
		}
	}
	c.S.logs.slow.reply(c.W, count, true)
}

// logCount reads argument i as a number of entries, -1: all.
func (c *Ctx) logCount(i int) (int64, bool) {
	n, ok := ParseInt(c.Args[i])
	if !ok || n < -1 {
		c.Err("ERR count should be greater than or equal to -1")
		return 0, false
	}
	return n, true
}

// reply replies with the newest entries; argc: with the number of arguments, too, as
// Redis does since 8.10.
func (l *commandLog) reply(w *wire.Writer, count int64, argc bool) {
	l.mu.Lock()
	n := len(l.entries)
	if count >= 0 {
		n = int(min(count, int64(n)))
	}
	entries := slices.Clone(l.entries[len(l.entries)-n:])
	l.mu.Unlock()
	w.Array(n)
	for _, e := range slices.Backward(entries) {
		if argc {
			w.Array(7)
		} else {
			w.Array(6)
		}
		w.Int(e.id)
		w.Int(e.at)
		w.Int(e.value)
		w.Array(len(e.args))
		for _, a := range e.args {
			w.BulkString(a)
		}
		w.BulkString(e.addr)
		w.BulkString(e.name)
		if argc {
			w.Int(int64(e.argc))
		}
	}
}

func (l *commandLog) len() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.entries))
}

func (l *commandLog) reset() {
	l.mu.Lock()
	l.entries = nil
	l.mu.Unlock()
}

func cmdSlowlogLen(c *Ctx) { c.W.Int(c.S.logs.slow.len()) }

func cmdSlowlogReset(c *Ctx) {
	c.S.logs.slow.reset()
	c.W.OK()
}

// logNamed is the log that argument i names. It returns nil after replying with an error.
func (c *Ctx) logNamed(i int) *commandLog {
	switch {
	case c.Word(i, "slow"):
		return &c.S.logs.slow
	case c.Word(i, "large-request"):
		return &c.S.logs.requests
	case c.Word(i, "large-reply"):
		return &c.S.logs.replies
	}
	c.Err("ERR type should be one of the following: slow, large-request, large-reply")
	return nil
}

func cmdCommandlogGet(c *Ctx) {
	count, ok := c.logCount(2)
	if !ok {
		return
	}
	if l := c.logNamed(3); l != nil {
		l.reply(c.W, count, false)
	}
}

func cmdCommandlogLen(c *Ctx) {
	if l := c.logNamed(2); l != nil {
		c.W.Int(l.len())
	}
}

func cmdCommandlogReset(c *Ctx) {
	if l := c.logNamed(2); l != nil {
		l.reset()
		c.W.OK()
	}
}

// redacted stands for a secret argument.
const redacted = "(redacted)"

// secrets are the positions of arguments that nobody else may see.
func (s *Server) secrets(row *Row, args [][]byte) []int {
	if row.Secret == nil {
		return nil
	}
	return row.Secret(s, args)
}

// secretFrom is a Row.Secret: of the arguments from a position on, max at most.
func secretFrom(from, max int) func(*Server, [][]byte) []int {
	return func(_ *Server, args [][]byte) []int { return Hide(nil, args, from, from+max) }
}

// Hide appends those of the positions from up to to at which there are arguments.
func Hide(pos []int, args [][]byte, from, to int) []int {
	for i := from; i < min(to, len(args)); i++ {
		pos = append(pos, i)
	}
	return pos
}
