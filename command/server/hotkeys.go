package server

import (
	"time"

	"kvd/command"
	"kvd/observe"
)

// HOTKEYS, of Redis 8.6: for some time the server notes which keys take most of its time,
// and bring and take most bytes.

const (
	hotKeysDefault = 10
	hotKeysMax     = 64 // COUNT, as Redis
)

func hotkeysRows() []*command.Row {
	const flags = command.Admin | command.NoScript
	return []*command.Row{{Name: "hotkeys", Arity: -2, Since: "8.6.0", Group: "server", Summary: "Commands about the keys that are used most.", Complexity: "Depends on the subcommand.",
		Sub: []*command.Row{
			{Name: "get", Fn: cmdHotkeysGet, Arity: 2, Flags: flags, Since: "8.6.0", Summary: "Returns which keys were used most.",
				Complexity: "O(N) in the number of keys that are noted", Tips: "request_policy:special nondeterministic_output"},
			command.HelpRow("8.6.1",
				"GET",
				"    Return what is noted, or what was until STOP.",
				"RESET",
				"    Drop what was noted.",
				"START METRICS <count> [CPU] [NET] [COUNT <keys>] [DURATION <seconds>]",
				"      [SAMPLE <ratio>]",
				"    Begin to note which <keys> (default: 10) take most time, or bring and take most",
				"    bytes, for <seconds> (default: 0, until STOP), by one command of <ratio>.",
				"STOP",
				"    Note no more.",
			),
			{Name: "reset", Fn: cmdHotkeysReset, Arity: 2, Flags: flags, Since: "8.6.0", Summary: "Drops what was noted of the keys that are used most.", Complexity: "O(1)",
				Tips: "request_policy:special"},
			{Name: "start", Fn: cmdHotkeysStart, Arity: -4, Flags: flags, Since: "8.6.0", Summary: "Begins to note which keys are used most.", Complexity: "O(1)",
				Syntax: "METRICS count [CPU] [NET] [COUNT k] [DURATION seconds] [SAMPLE ratio] [SLOTS count slot [slot ...]]", Tips: "request_policy:special"},
			{Name: "stop", Fn: cmdHotkeysStop, Arity: 2, Flags: flags, Since: "8.6.0", Summary: "Notes no longer which keys are used most.", Complexity: "O(1)", Tips: "request_policy:special"},
		}}}
}

func cmdHotkeysStart(c *command.Ctx) {
	w := observe.HotWanted{Count: hotKeysDefault, Ratio: 1}
	if !parseHotkeys(c, &w) {
		return
	}
	if !c.S.HotKeys.Start(w) {
		c.Err("ERR hotkeys collection is already in progress")
		return
	}
	c.W.OK()
}

// parseHotkeys reads the arguments of START. It returns false after replying with an error.
func parseHotkeys(c *command.Ctx, h *observe.HotWanted) bool {
	if !c.Word(2, "metrics") {
		c.Err("ERR METRICS parameter is required")
		return false
	}
	metrics, ok := command.ParseInt(c.Args[3])
	if !ok || metrics < 1 || metrics > 2 {
		c.Err("ERR METRICS count must be 1 or 2")
		return false
	}
	i := 4
	for ; i < len(c.Args) && i < 4+int(metrics); i++ {
		switch {
		case c.Word(i, "cpu") && !h.CPU:
			h.CPU = true
		case c.Word(i, "net") && !h.Net:
			h.Net = true
		default:
			c.Err("ERR METRICS no valid metrics passed")
			return false
		}
	}
	if i < 4+int(metrics) {
		c.Err(command.ErrSyntax)
		return false
	}
	number := func(least, most int64, bad string) (int64, bool) {
		if i+1 == len(c.Args) {
			c.Err(command.ErrSyntax)
			return 0, false
		}
		n, ok := command.ParseInt(c.Args[i+1])
		if !ok || n < least || n > most {
			c.Err(bad)
			return 0, false
		}
		return n, true
	}
	for ; i < len(c.Args); i += 2 {
		switch {
		case c.Word(i, "count"):
			n, ok := number(1, hotKeysMax, "ERR COUNT must be between 1 and 64")
			if !ok {
				return false
			}
			h.Count = int(n)
		case c.Word(i, "duration"):
			n, ok := number(0, 1<<31, "ERR DURATION must be between 0 and 2147483648")
			if !ok {
				return false
			}
			h.Duration = time.Duration(n) * time.Second
		case c.Word(i, "sample"):
			n, ok := number(1, 1<<31-1, "ERR SAMPLE ratio must be positive")
			if !ok {
				return false
			}
			h.Ratio = int(n)
		case c.Word(i, "slots"):
			c.Err("ERR SLOTS parameter cannot be used in non-cluster mode")
			return false
		default:
			c.Err(command.ErrSyntax)
			return false
		}
	}
	return true
}

func cmdHotkeysStop(c *command.Ctx) {
	if c.S.HotKeys.Stop() {
		c.W.OK()
	} else {
		c.W.Null()
	}
}

func cmdHotkeysReset(c *command.Ctx) {
	if !c.S.HotKeys.Reset() {
		c.Err("ERR hotkeys collection is in progress; HOTKEYS STOP ends it")
		return
	}
	c.W.OK()
}

func cmdHotkeysGet(c *command.Ctx) {
	h, w := c.S.HotKeys.Report(), c.W
	if h == nil {
		w.Null()
		return
	}
	fields := 7
	for _, metric := range []struct {
		on     bool
		fields int
	}{{h.CPU, 3}, {h.Net, 2}} {
		if metric.on {
			fields += metric.fields
		}
	}
	number := func(name string, n int64) { w.BulkString(name); w.Int(n) }
	list := func(name string, top []observe.HotKey, unit int64) {
		w.BulkString(name)
		w.Array(2 * len(top))
		for _, e := range top {
			w.BulkString(e.Key)
			w.Int(e.Sum / unit)
		}
	}
	w.Array(1)
	w.Map(fields)
	flag := int64(0)
	if h.Active {
		flag = 1
	}
	number("tracking-active", flag)
	number("sample-ratio", int64(h.Ratio))
	w.BulkString("selected-slots")
	w.Array(1)
	w.Array(2)
	w.Int(0)
	w.Int(16383)
	number("all-commands-all-slots-us", h.AllNs/1000)
	number("net-bytes-all-commands-all-slots", h.AllNet)
	number("collection-start-time-unix-ms", h.Began.UnixMilli())
	number("collection-duration-ms", h.Took.Milliseconds())
	if h.CPU {
		number("total-cpu-time-user-ms", h.User.Milliseconds())
		number("total-cpu-time-sys-ms", h.Sys.Milliseconds())
	}
	if h.Net {
		number("total-net-bytes", h.AllNet)
	}
	if h.CPU {
		list("by-cpu-time-us", h.ByTime, 1000)
	}
	if h.Net {
		list("by-net-bytes", h.ByNet, 1)
	}
}
