package server

import (
	"fmt"
	"kvd/command"
	"strings"
	"time"
)

// LATENCY DOCTOR, GRAPH, HELP, HISTOGRAM, HISTORY, LATEST, RESET.

func latencyRows() []*command.Row {
	const flags, tips = command.Admin | command.NoScript | command.Loading | command.Stale, "nondeterministic_output request_policy:all_nodes response_policy:special"
	return []*command.Row{{Name: "latency", Arity: -2, Since: "2.8.13", Group: "server",
		Summary: "Commands about what took long.", Complexity: "Depends on the subcommand.",
		Sub: []*command.Row{
			{Name: "doctor", Fn: cmdLatencyDoctor, Arity: 2, Flags: flags, Since: "2.8.13", Summary: "Explains what took long.", Complexity: "O(1)", Tips: tips},
			{Name: "graph", Fn: cmdLatencyGraph, Arity: 3, Flags: flags, Since: "2.8.13", Summary: "Draws the samples of an event.", Complexity: "O(1)", Syntax: "event", Tips: tips},
			command.HelpRow("2.8.13",
				"DOCTOR",
				"    Explain what took long.",
				"GRAPH <event>",
				"    Draw the samples of <event>.",
				"HISTORY <event>",
				"    Return the samples of <event>: Unix time and milliseconds.",
				"LATEST",
				"    Return the latest sample of every event.",
				"RESET [<event> ...]",
				"    Forget the samples of the events, or all.",
				"HISTOGRAM [COMMAND ...]",
				"    Return how many calls of the commands, or of all, took at most how long.",
			),
			{Name: "histogram", Fn: cmdLatencyHistogram, Arity: -2, Flags: flags, Since: "7.0.0", Summary: "Returns how many calls of commands took at most how long.",
				Complexity: "O(N) in the number of commands", Syntax: "[command [command ...]]", Tips: tips},
			{Name: "history", Fn: cmdLatencyHistory, Arity: 3, Flags: flags, Since: "2.8.13", Summary: "Returns the samples of an event.", Complexity: "O(1)", Syntax: "event", Tips: tips},
			{Name: "latest", Fn: cmdLatencyLatest, Arity: 2, Flags: flags, Since: "2.8.13", Summary: "Returns the latest sample of every event.", Complexity: "O(1)", Tips: tips,
				History: []string{"8.1.0", "The sum of all samples of an event and their number came (Valkey)."}},
			{Name: "reset", Fn: cmdLatencyReset, Arity: -2, Flags: flags, Since: "2.8.13", Summary: "Forgets samples.", Complexity: "O(1)", Syntax: "[event [event ...]]",
				Tips: "request_policy:all_nodes response_policy:agg_sum"},
		}}}
}

func cmdLatencyHistory(c *command.Ctx) {
	_, events := c.S.Latency.List()
	samples := events[string(c.Args[2])].Samples
	c.W.Array(len(samples))
	for _, m := range samples {
		c.W.Array(2)
		c.W.Int(m.At)
		c.W.Int(m.Ms)
	}
}

func cmdLatencyLatest(c *command.Ctx) {
	names, events := c.S.Latency.List()
	c.W.Array(len(names))
	for _, name := range names {
		e := events[name]
		last := e.Samples[len(e.Samples)-1]
		c.W.Array(6)
		c.W.BulkString(name)
		c.W.Int(last.At)
		c.W.Int(last.Ms)
		c.W.Int(e.Max)
		c.W.Int(e.Sum)
		c.W.Int(e.N)
	}
}

func cmdLatencyReset(c *command.Ctx) {
	names := make([]string, 0, len(c.Args)-2)
	for _, a := range c.Args[2:] {
		names = append(names, string(a))
	}
	c.W.Int(int64(c.S.Latency.Reset(names...)))
}

// cmdLatencyHistogram returns, for each command, how many calls took at most
// so many microseconds, in steps that double and where there are any more than
// in the step before.
func cmdLatencyHistogram(c *command.Ctx) {
	rows := c.S.Table.Rows()
	if len(c.Args) > 2 {
		rows = nil
		for _, a := range c.Args[2:] {
			if r := c.S.Table.ByFullName(a); r != nil {
				rows = append(append(rows, r), r.Sub...)
			}
		}
	}
	at, n := c.W.DeferArray(), 0
	for _, r := range rows {
		sum, calls := c.S.CallTimes(r)
		if sum == nil {
			continue
		}
		n++
		c.W.BulkString(r.FullName())
		c.W.Map(2)
		c.W.BulkString("calls")
		c.W.Int(calls)
		c.W.BulkString("histogram_usec")
		steps := sum.Steps()
		c.W.Map(len(steps))
		for _, s := range steps {
			c.W.Int(s.Us)
			c.W.Int(s.Count)
		}
	}
	c.W.SetMap(at, n)
}

// latencyAdvice is what to do about an event.
var latencyAdvice = map[string]string{
	"command":            "Look in SLOWLOG GET for the commands, and prefer those that touch fewer elements. Values of millions of elements are the usual cause.",
	"fast-command":       "These commands do next to nothing, so something else held them up: too few processors, memory in swap, or a lock that a slow command held (kvd_lock_contended in INFO).",
	"command-unblocking": "Serving blocked clients took long: many of them waited for one key, or moved big values.",
	"expire-cycle":       "Many keys expired at once. Spread the deadlines, for example by a random part.",
	"eviction-cycle":     "Keys had to make room. More memory, or smaller values, would help.",
	"aof-fsync-always":   "The disk is slow to sync. appendfsync everysec does not wait for it.",
	"aof-write":          "The disk is slow to take the log. Other processes may be using it.",
}

func cmdLatencyDoctor(c *command.Ctx) {
	names, events := c.S.Latency.List()
	threshold := c.S.Config.LatencyMonitorThreshold.Load()
	var b strings.Builder
	switch {
	case len(names) == 0 && threshold == 0:
		b.WriteString("Latency is not monitored. CONFIG SET latency-monitor-threshold <milliseconds> begins to.\n")
	case len(names) == 0:
		fmt.Fprintf(&b, "Nothing took %d ms or longer.\n", threshold)
	default:
		b.WriteString("This is what took long:\n\n")
	}
	for i, name := range names {
		e := events[name]
		low, high, sum := e.Bounds()
		n := int64(len(e.Samples))
		mean, deviation := sum/n, int64(0)
		for _, m := range e.Samples {
			deviation += max(m.Ms-mean, mean-m.Ms)
		}
		fmt.Fprintf(&b, "%d. %s: %d seconds with such an event in the last %d (least %d ms, most %d ms, mean %d ms, mean deviation %d ms). Most ever: %d ms.\n",
			i+1, name, n, time.Now().Unix()-e.Samples[0].At+1, low, high, mean, deviation/n, e.Max)
		if advice := latencyAdvice[name]; advice != "" {
			b.WriteString("   " + advice + "\n")
		}
		if name == "command" {
			if us := c.S.Config.SlowlogLogSlowerThan.Load(); us < 0 {
				b.WriteString("   The slow log is off; CONFIG SET slowlog-log-slower-than <microseconds> switches it on.\n")
			} else if threshold > 0 && us > threshold*1000 {
				fmt.Fprintf(&b, "   The slow log begins at %d us only; CONFIG SET slowlog-log-slower-than %d would show all of these.\n", us, threshold*1000)
			}
		}
	}
	c.W.Verbatim("txt", b.String())
}

// The picture of LATENCY GRAPH: the last samples as columns, with how long ago
// each was written downwards under it.
const (
	graphColumns = 80
	graphRows    = 4
)

func cmdLatencyGraph(c *command.Ctx) {
	_, events := c.S.Latency.List()
	e, ok := events[string(c.Args[2])]
	if !ok {
		c.Err("ERR No samples available for event '" + command.Quote(c.Args[2]) + "'")
		return
	}
	low, high, _ := e.Bounds()
	var b strings.Builder
	fmt.Fprintf(&b, "%s - high %d ms, low %d ms (all time high %d ms)\n%s\n", c.Args[2], high, low, e.Max, strings.Repeat("-", graphColumns))
	samples := e.Samples[max(0, len(e.Samples)-graphColumns):]
	labels := make([]string, len(samples))
	longest := 0
	now := time.Now().Unix()
	for i, m := range samples {
		labels[i] = ago(now - m.At)
		longest = max(longest, len(labels[i]))
	}
	line := func(mark func(i int) byte) {
		text := make([]byte, len(samples))
		for i := range text {
			text[i] = mark(i)
		}
		b.WriteString(strings.TrimRight(string(text), " ") + "\n")
	}
	for r := graphRows - 1; r >= 0; r-- {
		line(func(i int) byte {
			// Three marks a row: '_' low, 'o' in the middle, '#' full.
			level := int64(1)
			if high > low {
				level += (samples[i].Ms - low) * (3*graphRows - 1) / (high - low)
			}
			return " _o#"[min(max(level-int64(3*r), 0), 3)]
		})
	}
	b.WriteByte('\n')
	for r := range longest {
		line(func(i int) byte {
			if r < len(labels[i]) {
				return labels[i][r]
			}
			return ' '
		})
	}
	c.W.Verbatim("txt", b.String())
}

// ago is a number of seconds in the largest unit that fits.
func ago(seconds int64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm", seconds/60)
	case seconds < 24*3600:
		return fmt.Sprintf("%dh", seconds/3600)
	}
	return fmt.Sprintf("%dd", seconds/(24*3600))
}
