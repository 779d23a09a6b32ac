package command

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"kvd/lockrank"
)

// SLOWLOG GET, HELP, LEN, RESET, and what hides secrets from it and from MONITOR.

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
				"    address and its name.",
				"LEN",
				"    Return the number of entries.",
				"RESET",
				"    Drop all entries.",
			),
			{Name: "len", Fn: cmdSlowlogLen, Arity: 2, Flags: flags, Since: "2.2.12", Summary: "Returns the number of entries in the slow log.", Complexity: "O(1)",
				Tips: "request_policy:all_nodes response_policy:agg_sum nondeterministic_output"},
			{Name: "reset", Fn: cmdSlowlogReset, Arity: 2, Flags: flags, Since: "2.2.12", Summary: "Drops the entries of the slow log.",
				Complexity: "O(N) in the number of entries", Tips: "request_policy:all_nodes response_policy:all_succeeded"},
		}}}
}

// slowEntry is one command that was slow.
type slowEntry struct {
	id         int64
	at         int64 // Unix seconds
	us         int64
	args       []string
	addr, name string
}

// slowlog keeps the last commands that took long.
type slowlog struct {
	mu      lockrank.Mutex[lockrank.Slowlog] // protects what follows
	entries []slowEntry
	next    int64 // id of the next entry; it goes on after RESET
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
	s.Config.OnChange("slowlog-max-len", func() error {
		s.slowlog.mu.Lock()
		s.slowlog.trim(s.Config.SlowlogMaxLen.Load())
		s.slowlog.mu.Unlock()
		return nil
	})
	_ = set()
}

// noteSlow enters a call of ns nanoseconds, which is at least the least
// threshold, in the latency monitor and in the slow log, where it is to stand
// with args.
func (s *Server) noteSlow(c *Client, row *Row, ns int64, args func() []string) {
	event := "command"
	if row.Flags&Fast != 0 {
		event = "fast-command"
	}
	s.NoteLatency(event, ns)
	if ns >= s.slowness.slowlog.Load() && row.Flags&SkipSlowlog == 0 {
		s.slowlog.add(slowEntry{at: time.Now().Unix(), us: ns / 1000, args: args(), addr: c.Addr, name: loadString(&c.name)}, s.Config.SlowlogMaxLen.Load())
	}
}

// slowArgs copies what is kept of a command's arguments.
func (s *Server) slowArgs(row *Row, args [][]byte) []string {
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
	return kept
}

func (l *slowlog) add(e slowEntry, most int64) {
	l.mu.Lock()
	e.id = l.next
	l.next++
	l.entries = append(l.entries, e)
	l.trim(most)
	l.mu.Unlock()
}

// trim drops the oldest entries beyond most; l.mu is held.
func (l *slowlog) trim(most int64) {
	if over := int64(len(l.entries)) - most; over > 0 {
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
		if count, ok = ParseInt(c.Args[2]); !ok || count < -1 {
			c.Err("ERR count should be greater than or equal to -1")
			return
		}
	}
	l := &c.S.slowlog
	l.mu.Lock()
	n := len(l.entries)
	if count >= 0 {
		n = int(min(count, int64(n)))
	}
	entries := slices.Clone(l.entries[len(l.entries)-n:])
	l.mu.Unlock()
	c.W.Array(n)
	for _, e := range slices.Backward(entries) {
		c.W.Array(6)
		c.W.Int(e.id)
		c.W.Int(e.at)
		c.W.Int(e.us)
		c.W.Array(len(e.args))
		for _, a := range e.args {
			c.W.BulkString(a)
		}
		c.W.BulkString(e.addr)
		c.W.BulkString(e.name)
	}
}

func cmdSlowlogLen(c *Ctx) {
	c.S.slowlog.mu.Lock()
	n := len(c.S.slowlog.entries)
	c.S.slowlog.mu.Unlock()
	c.W.Int(int64(n))
}

func cmdSlowlogReset(c *Ctx) {
	c.S.slowlog.mu.Lock()
	c.S.slowlog.entries = nil
	c.S.slowlog.mu.Unlock()
	c.W.OK()
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
