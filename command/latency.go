package command

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"kvd/lockrank"
)

// LATENCY DOCTOR, GRAPH, HELP, HISTOGRAM, HISTORY, LATEST, RESET.

func latencyRows() []*Row {
	const flags, tips = Admin | NoScript | Loading | Stale, "nondeterministic_output request_policy:all_nodes response_policy:special"
	return []*Row{{Name: "latency", Arity: -2, Since: "2.8.13", Group: "server",
		Summary: "Commands about what took long.", Complexity: "Depends on the subcommand.",
		Sub: []*Row{
			{Name: "doctor", Fn: cmdLatencyDoctor, Arity: 2, Flags: flags, Since: "2.8.13", Summary: "Explains what took long.", Complexity: "O(1)", Tips: tips},
			{Name: "graph", Fn: cmdLatencyGraph, Arity: 3, Flags: flags, Since: "2.8.13", Summary: "Draws the samples of an event.", Complexity: "O(1)", Syntax: "event", Tips: tips},
			HelpRow("2.8.13",
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

// latencyMonitor keeps, for each kind of event, the samples that reached
// latency-monitor-threshold.
type latencyMonitor struct {
	mu     lockrank.Mutex[lockrank.Latency] // protects events and what is in them
	events map[string]*latencyEvent
}

// latencySamples is how many samples of an event are kept: the worst one of
// each second in which there was any.
const latencySamples = 160

type latencySample struct{ at, ms int64 } // Unix seconds, milliseconds

type latencyEvent struct {
	samples []latencySample // oldest first
	max     int64           // ms, ever
	sum, n  int64           // of all that were entered, ms
}

// NoteLatency enters an event that took ns nanoseconds, if the threshold is
// set and reached. It takes a lock only then.
func (s *Server) NoteLatency(event string, ns int64) {
	if ns < s.slowness.monitor.Load() {
		return
	}
	now, ms := time.Now().Unix(), ns/1e6
	m := &s.latency
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.events[event]
	if e == nil {
		if m.events == nil {
			m.events = make(map[string]*latencyEvent)
		}
		e = &latencyEvent{}
		m.events[event] = e
	}
	e.max = max(e.max, ms)
	e.sum += ms
	e.n++
	if n := len(e.samples); n > 0 && e.samples[n-1].at == now {
		e.samples[n-1].ms = max(e.samples[n-1].ms, ms)
		return
	}
	if len(e.samples) == latencySamples {
		e.samples = slices.Delete(e.samples, 0, 1)
	}
	e.samples = append(e.samples, latencySample{now, ms})
}

// list is a copy of the events, by name.
func (m *latencyMonitor) list() (names []string, events map[string]latencyEvent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	events = make(map[string]latencyEvent, len(m.events))
	for name, e := range m.events {
		events[name] = latencyEvent{slices.Clone(e.samples), e.max, e.sum, e.n}
	}
	return slices.Sorted(maps.Keys(events)), events
}

func cmdLatencyHistory(c *Ctx) {
	_, events := c.S.latency.list()
	samples := events[string(c.Args[2])].samples
	c.W.Array(len(samples))
	for _, m := range samples {
		c.W.Array(2)
		c.W.Int(m.at)
		c.W.Int(m.ms)
	}
}

func cmdLatencyLatest(c *Ctx) {
	names, events := c.S.latency.list()
	c.W.Array(len(names))
	for _, name := range names {
		e := events[name]
		last := e.samples[len(e.samples)-1]
		c.W.Array(6)
		c.W.BulkString(name)
		c.W.Int(last.at)
		c.W.Int(last.ms)
		c.W.Int(e.max)
		c.W.Int(e.sum)
		c.W.Int(e.n)
	}
}

func cmdLatencyReset(c *Ctx) {
	m := &c.S.latency
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.events)
	if len(c.Args) == 2 {
		clear(m.events)
	}
	for _, name := range c.Args[2:] {
		maps.DeleteFunc(m.events, func(event string, _ *latencyEvent) bool { return EqualFold(name, event) })
	}
	c.W.Int(int64(before - len(m.events)))
}

// cmdLatencyHistogram returns, for each command, how many calls took at most
// so many microseconds, in steps that double and where there are any more than
// in the step before.
func cmdLatencyHistogram(c *Ctx) {
	rows := c.S.Table.rows
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
		sum, calls := c.S.latencies(r.num)
		if sum == nil {
			continue
		}
		n++
		c.W.BulkString(r.full)
		c.W.Map(2)
		c.W.BulkString("calls")
		c.W.Int(calls)
		c.W.BulkString("histogram_usec")
		steps := sum.steps()
		c.W.Map(len(steps))
		for _, s := range steps {
			c.W.Int(s.us)
			c.W.Int(s.calls)
		}
	}
	c.W.SetMap(at, n)
}

// latencyStep says how many calls took at most so many microseconds.
type latencyStep struct{ us, calls int64 }

// steps adds a histogram up. A step ends with the histogram's bucket of 1024 ns
// times a power of two; it has the name that Redis's histogram, whose buckets
// are narrower, gives it: 1, 2, 4, 8, 16, 33, 66, 132 us and so on.
func (h *histogram) steps() (steps []latencyStep) {
	sum, end, top := int64(0), bucketTop(bucketOf(1024)), int64(1031)
	for i, n := range h {
		for bucketTop(i) > end {
			end, top = end*2+1, top*2+1
		}
		if n == 0 {
			continue
		}
		sum += n
		if k := len(steps); k > 0 && steps[k-1].us == top/1000 {
			steps[k-1].calls = sum
		} else {
			steps = append(steps, latencyStep{top / 1000, sum})
		}
	}
	return
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

func cmdLatencyDoctor(c *Ctx) {
	names, events := c.S.latency.list()
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
		low, high, sum := e.bounds()
		n := int64(len(e.samples))
		mean, deviation := sum/n, int64(0)
		for _, m := range e.samples {
			deviation += max(m.ms-mean, mean-m.ms)
		}
		fmt.Fprintf(&b, "%d. %s: %d seconds with such an event in the last %d (least %d ms, most %d ms, mean %d ms, mean deviation %d ms). Most ever: %d ms.\n",
			i+1, name, n, time.Now().Unix()-e.samples[0].at+1, low, high, mean, deviation/n, e.max)
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

// bounds are the least and the highest sample, and their sum, in ms.
func (e *latencyEvent) bounds() (low, high, sum int64) {
	low = e.samples[0].ms
	for _, m := range e.samples {
		low, high, sum = min(low, m.ms), max(high, m.ms), sum+m.ms
	}
	return
}

// The picture of LATENCY GRAPH: the last samples as columns, with how long ago
// each was written downwards under it.
const (
	graphColumns = 80
	graphRows    = 4
)

func cmdLatencyGraph(c *Ctx) {
	_, events := c.S.latency.list()
	e, ok := events[string(c.Args[2])]
	if !ok {
		c.Err("ERR No samples available for event '" + Quote(c.Args[2]) + "'")
		return
	}
	low, high, _ := e.bounds()
	var b strings.Builder
	fmt.Fprintf(&b, "%s - high %d ms, low %d ms (all time high %d ms)\n%s\n", c.Args[2], high, low, e.max, strings.Repeat("-", graphColumns))
	samples := e.samples[max(0, len(e.samples)-graphColumns):]
	labels := make([]string, len(samples))
	longest := 0
	now := time.Now().Unix()
	for i, m := range samples {
		labels[i] = ago(now - m.at)
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
				level += (samples[i].ms - low) * (3*graphRows - 1) / (high - low)
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
