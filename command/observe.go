package command

import (
	"fmt"
	"math"
	"slices"

	"kvd/config"
	"kvd/observe"
)

// What the dispatcher notes of commands that it has run (package observe), and what hides
// secrets from those who look at it and from MONITOR.

// watchSlowness takes the thresholds from the configuration.
func (s *Server) watchSlowness() {
	set := func() error {
		slow, latency := int64(math.MaxInt64), int64(math.MaxInt64)
		if us := s.Config.SlowlogLogSlowerThan.Load(); us >= 0 && us < math.MaxInt64/1000 {
			slow = us * 1000
		}
		if ms := s.Config.LatencyMonitorThreshold.Load(); ms > 0 && ms < math.MaxInt64/1000000 {
			latency = ms * 1e6
		}
		s.Logs.Slow.Least.Store(slow)
		s.Latency.Least.Store(latency)
		s.slowLeast.Store(min(slow, latency))
		return nil
	}
	s.Config.OnChange("slowlog-log-slower-than", set)
	s.Config.OnChange("latency-monitor-threshold", set)
	_ = set()
	for _, l := range []struct {
		log         *observe.CommandLog
		most, least string // directives; least "": it is set above
		kept, value *config.Int
	}{
		{&s.Logs.Slow, "slowlog-max-len", "", s.Config.SlowlogMaxLen, nil},
		{&s.Logs.Requests, "commandlog-large-request-max-len", "commandlog-request-larger-than", s.Config.LargeRequestMaxLen, s.Config.LargeRequest},
		{&s.Logs.Replies, "commandlog-large-reply-max-len", "commandlog-reply-larger-than", s.Config.LargeReplyMaxLen, s.Config.LargeReply},
	} {
		length := func() error { l.log.SetLength(l.kept.Load()); return nil }
		s.Config.OnChange(l.most, length)
		_ = length()
		if l.least != "" {
			large := func() error { s.Logs.SetLarge(l.log, l.value.Load()); return nil }
			s.Config.OnChange(l.least, large)
			_ = large()
		}
	}
}

// NoteLatency enters an event that took ns nanoseconds in the latency monitor, if its
// threshold is set and reached.
func (s *Server) NoteLatency(event string, ns int64) { s.Latency.Note(event, ns) }

// noteSlow enters a call of ns nanoseconds, which is at least the least
// threshold, in the latency monitor and in the slow log, where it is to stand
// with args.
func (s *Server) noteSlow(c *Client, row *Row, ns int64, args func() observe.Kept) {
	event := "command"
	if row.Flags&Fast != 0 {
		event = "fast-command"
	}
	s.Latency.Note(event, ns)
	if ns >= s.Logs.Slow.Least.Load() && row.Flags&SkipSlowlog == 0 {
		s.Logs.Slow.Add(c.Addr, c.Name(), ns/1000, args())
	}
}

// noteLarge enters a call in the logs of large requests and replies where it is one
// that is to stand there; reply is the length of the reply.
func (s *Server) noteLarge(c *Client, row *Row, args [][]byte, reply int) {
	if row.Flags&SkipSlowlog != 0 {
		return
	}
	if n := requestLen(args); n >= s.Logs.Requests.Least.Load() {
		s.Logs.Requests.Add(c.Addr, c.Name(), n, s.slowArgs(row, args))
	}
	s.noteLargeReply(c, row, int64(reply), func() observe.Kept { return s.slowArgs(row, args) })
}

// noteLargeReply is noteLarge for a reply that came later than the command.
func (s *Server) noteLargeReply(c *Client, row *Row, reply int64, args func() observe.Kept) {
	if reply >= s.Logs.Replies.Least.Load() && row.Flags&SkipSlowlog == 0 {
		s.Logs.Replies.Add(c.Addr, c.Name(), reply, args())
	}
}

// noteKeys enters a call in the session of HOTKEYS. What a script calls counts as the
// script's, what EXEC runs is noted without EXEC.
func (x *Exec) noteKeys(h *observe.HotSession, ctx *Ctx, ns int64, reply int) {
	if ctx.script == nil && ctx.Row.Flags&RunsQueue == 0 {
		x.s.HotKeys.Note(h, ctx.Keys, ns, requestLen(ctx.Args)+int64(reply))
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

// slowArgs copies what is kept of a command's arguments.
func (s *Server) slowArgs(row *Row, args [][]byte) observe.Kept {
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
	return observe.Kept{Args: kept, Argc: len(args)}
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
