package command

import (
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"kvd/glob"
	"kvd/lockrank"
)

// MONITOR. A line is made once, for all monitors, after the command has run
// and while its stripes are still locked, so lines about one key come in the
// order of execution. Nothing is made while nobody monitors.

func monitorRows() []*Row {
	return []*Row{{Name: "monitor", Fn: cmdMonitor, Arity: -1, Flags: Admin | NoScript | Loading | Stale, Since: "1.0.0", Group: "server",
		Summary: "Shows this connection every command that is run; with filters (kvd) only some.", Complexity: "O(N) in the number of commands run",
		Syntax: "[MATCH pattern] [DB index] [USER name] [CMD name]"}}
}

// monitors are the clients that monitor. The list is replaced, never changed.
type monitors struct {
	mu  lockrank.Mutex[lockrank.Monitors] // protects changes of all
	all atomic.Pointer[[]*Client]         // nil: nobody
}

// set replaces the list by what f makes of it.
func (m *monitors) set(f func(all []*Client) []*Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*Client
	if old := m.all.Load(); old != nil {
		all = slices.Clone(*old)
	}
	if all = f(all); len(all) == 0 {
		m.all.Store(nil)
	} else {
		m.all.Store(&all)
	}
}

// monitorFilter says which commands a monitor wants to see: those that fit each kind of
// filter that is given, and of several of one kind any.
type monitorFilter struct {
	match [][]byte // patterns; an argument fits
	dbs   []int
	users []string
	cmds  []string // "config" or "config|set"
}

// monitorFilterOf reads the filters. It returns nil if there is none, and replies where it fails.
func monitorFilterOf(c *Ctx) (f *monitorFilter, ok bool) {
	args := c.Args[1:]
	if len(args) == 0 {
		return nil, true
	}
	if len(args)%2 != 0 {
		c.Err(ErrSyntax)
		return nil, false
	}
	f = &monitorFilter{}
	for ; len(args) > 0; args = args[2:] {
		switch v := args[1]; {
		case EqualFold(args[0], "match"):
			f.match = append(f.match, slices.Clone(v))
		case EqualFold(args[0], "db"):
			n, ok := ParseInt(v)
			if !ok || n < 0 || n >= int64(c.S.Keyspace.Databases()) {
				c.Err("ERR DB index is out of range")
				return nil, false
			}
			f.dbs = append(f.dbs, int(n))
		case EqualFold(args[0], "user"):
			f.users = append(f.users, string(v))
		case EqualFold(args[0], "cmd"):
			f.cmds = append(f.cmds, strings.ToLower(string(v)))
		default:
			c.Err(ErrSyntax)
			return nil, false
		}
	}
	return f, true
}

// fits tells whether a monitor wants to see a command. What is not shown of it (secret)
// is not looked at either.
func (f *monitorFilter) fits(c *Client, row *Row, args [][]byte, secret []int) bool {
	switch {
	case f == nil:
		return true
	case len(f.dbs) > 0 && !slices.Contains(f.dbs, c.DB()),
		len(f.users) > 0 && !slices.Contains(f.users, c.UserName()):
		return false
	}
	if len(f.cmds) > 0 {
		container, _, _ := strings.Cut(row.full, "|")
		if !slices.Contains(f.cmds, row.full) && !slices.Contains(f.cmds, container) {
			return false
		}
	}
	if len(f.match) == 0 {
		return true
	}
	for i, a := range args {
		if i == 0 || slices.Contains(secret, i) {
			continue
		}
		for _, p := range f.match {
			if glob.Match(p, a) {
				return true
			}
		}
	}
	return false
}

func cmdMonitor(c *Ctx) {
	filter, ok := monitorFilterOf(c)
	switch {
	case !ok:
		return
	case !c.CanBlock():
		c.Err("ERR MONITOR isn't allowed for DENY BLOCKING client")
		return
	case c.C.has(stateMonitor | stateReplica):
		return // no reply either, as in Redis
	}
	c.C.monitor = filter
	c.C.set(stateMonitor, true)
	c.S.monitors.set(func(all []*Client) []*Client { return append(all, c.C) })
	c.W.OK()
}

// unmonitor ends a client's MONITOR.
func (s *Server) unmonitor(c *Client) {
	if c.has(stateMonitor) {
		s.monitors.set(func(all []*Client) []*Client { return slices.DeleteFunc(all, func(m *Client) bool { return m == c }) })
		c.set(stateMonitor, false)
	}
}

// feedMonitors shows a command that has been run, by a script or by the client
// itself, to the monitors.
func (s *Server) feedMonitors(to []*Client, c *Client, byScript bool, row *Row, args [][]byte) {
	if s.gate.Load()&gateLoading != 0 {
		return
	}
	secret := s.secrets(row, args)
	var line []byte
	for _, m := range to {
		if !m.monitor.fits(c, row, args, secret) {
			continue
		}
		if line == nil {
			line = s.monitorLine(time.Now(), c, byScript, secret, args)
		}
		m.Conn.Push(line)
	}
}

// monitorLine is a command as MONITOR shows it.
func (s *Server) monitorLine(now time.Time, c *Client, byScript bool, secret []int, args [][]byte) []byte {
	n := 64
	for _, a := range args {
		n += len(a) + 3
	}
	line := append(make([]byte, 0, n), '+')
	line = strconv.AppendInt(line, now.Unix(), 10)
	micros := now.Nanosecond() / 1000
	line = append(line, '.')
	for digit := 100000; digit > 0; digit /= 10 {
		line = append(line, byte('0'+micros/digit%10))
	}
	line = append(line, " ["...)
	line = strconv.AppendInt(line, int64(c.DB()), 10)
	line = append(line, ' ')
	if byScript {
		line = append(line, "lua"...)
	} else if c.Unix {
		line = append(line, "unix:"...)
		line = append(line, strings.TrimSuffix(c.Addr, ":0")...)
	} else {
		line = append(line, c.Addr...)
	}
	line = append(line, ']')
	for i, a := range args {
		line = append(line, ' ')
		if slices.Contains(secret, i) {
			a = []byte(redacted)
		}
		line = appendRepr(line, a)
	}
	return append(line, "\r\n"...)
}

// appendRepr appends a string in quotes, with what cannot be printed escaped as Redis does.
func appendRepr(dst, b []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, ch := range b {
		switch {
		case ch == '"' || ch == '\\':
			dst = append(dst, '\\', ch)
		case ch >= ' ' && ch <= '~':
			dst = append(dst, ch)
		default:
			const plain, letters = "\n\r\t\a\b", "nrtab"
			if i := slices.Index([]byte(plain), ch); i >= 0 {
				dst = append(dst, '\\', letters[i])
			} else {
				dst = append(dst, '\\', 'x', hex[ch>>4], hex[ch&15])
			}
		}
	}
	return append(dst, '"')
}
