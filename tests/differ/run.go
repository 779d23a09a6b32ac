package differ

import (
	"fmt"
	"strings"
	"time"

	"kvd/tests/harness"
)

// Endpoint is a server that scripts run on.
type Endpoint struct {
	Addr string
	// Revive starts the server again if it has died. It may be nil.
	Revive func() error
}

// Config says what a run does.
type Config struct {
	Families []string
	Skip     []string // commands to leave out, with or without their subcommand
	Seed     uint64
	MinUses  int           // the run ends when every command and option occurred so often,
	MaxSteps int           // or after so many steps (0: no limit),
	MaxTime  time.Duration // or after so long (0: no limit),
	// EnoughUses of each command and option are waited for beyond MaxTime, up to six times as long.
	EnoughUses int
	MaxDiffs   int // or after so many differences; at least 1
	Steps      int // of one session; 0 is 1500
	Log        func(format string, args ...any)
}

// Result is what a run has seen.
type Result struct {
	Steps, Sessions int
	Uses            map[string]int // calls by command, and by command/option
	Least           string         // the rarest of them
	LeastUses       int
	Diffs           []*Diff
}

// Diff is a difference between the two servers.
type Diff struct {
	Seed      uint64
	Session   int
	Index     int // of the step within its session's script
	Note      string
	Got, Want reply
	Err       error // a connection failed instead of replying
	Script    []Step
	Shrunk    []Step // the shortest script found that still shows a difference
}

// Step is the step that showed the difference.
func (d *Diff) Step() Step { return d.Script[d.Index] }

// String is a report: where, what, and the script that can be replayed.
func (d *Diff) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, session %d, step %d: %s\n", d.Seed, d.Session, d.Index, d.Note)
	if d.Err != nil {
		fmt.Fprintf(&b, "  error: %v\n", d.Err)
	} else {
		fmt.Fprintf(&b, "  got  (kvd):   %s\n  want (Redis): %s\n", d.Got, d.Want)
	}
	fmt.Fprintf(&b, "  the last steps:\n")
	for _, s := range d.Script[max(0, d.Index-5) : d.Index+1] {
		fmt.Fprintf(&b, "    %.300s\n", s)
	}
	if d.Shrunk != nil {
		fmt.Fprintf(&b, "  the shortest script found:\n")
		for _, s := range d.Shrunk {
			fmt.Fprintf(&b, "    %s\n", s)
		}
	} else {
		fmt.Fprintf(&b, "  the script did not show it again\n")
	}
	return b.String()
}

// Run sends random scripts to both servers until everything occurred often enough, or a limit is met. A command
// that differed is left out of the rest of the run. An error means that the run itself could not go on.
func Run(kvd, redis Endpoint, cfg Config) (*Result, error) {
	if cfg.Log == nil {
		cfg.Log = func(string, ...any) {}
	}
	if cfg.Steps == 0 {
		cfg.Steps = 1500
	}
	chosen, fill, err := choose(cfg.Families, cfg.Skip)
	if err != nil {
		return nil, err
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no command is left of %v", cfg.Families)
	}
	payloads, err := makePayloads(redis, fill)
	if err != nil {
		return nil, err
	}
	pl := newPlanner(chosen, fill, payloads, cfg.Seed, cfg.MinUses)
	res := &Result{Uses: pl.uses}
	start, told := time.Now(), time.Now()
	for {
		res.Least, res.LeastUses = pl.least()
		if res.LeastUses >= cfg.MinUses || (cfg.MaxSteps > 0 && res.Steps >= cfg.MaxSteps) || cfg.over(time.Since(start), res.LeastUses) {
			return res, nil
		}
		proto := 2 + res.Sessions%2
		script := pl.script(res.Sessions, proto, cfg.Steps)
		d, err := Play(kvd, redis, script)
		if err != nil {
			return res, err
		}
		res.Sessions++
		if d == nil {
			res.Steps += len(script)
		} else {
			res.Steps += d.Index + 1
			d.Seed, d.Session = cfg.Seed, res.Sessions-1
			cfg.Log("a difference at %q; making its script shorter", d.Step().Args[0])
			if err := d.shrink(kvd, redis); err != nil {
				return res, err
			}
			res.Diffs = append(res.Diffs, d)
			if len(res.Diffs) >= max(cfg.MaxDiffs, 1) {
				return res, nil
			}
			pl.drop(d)
			if len(pl.forms) == 0 {
				return res, nil
			}
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			cfg.Log("%d steps, %d sessions, least used: %s (%d)", res.Steps, res.Sessions, res.Least, res.LeastUses)
		}
	}
}

// over tells whether a run has taken its time.
func (cfg *Config) over(took time.Duration, least int) bool {
	return cfg.MaxTime > 0 && took > cfg.MaxTime && (least >= cfg.EnoughUses || took > 6*cfg.MaxTime)
}

// drop leaves out the command that differed, so that the run can find other differences. One
// that showed in the contents is blamed on the last other step of the shortest script.
func (pl *planner) drop(d *Diff) {
	s := d.Step()
	if s.Cmp == "contents" {
		for _, t := range d.Shrunk {
			if t.Cmp != "contents" {
				s = t
			}
		}
	}
	name := strings.ToUpper(s.Args[0])
	if containers[name] && len(s.Args) > 1 {
		name += " " + strings.ToUpper(s.Args[1])
	}
	var left []*form
	for _, f := range pl.forms {
		if f.name == name || strings.Fields(f.name)[0] == name || (f.name == "(unknown)" && s.Cmp == "" && !known(name)) {
			for _, l := range f.labels {
				delete(pl.uses, l)
			}
			continue
		}
		left = append(left, f)
	}
	pl.forms = left
}

func known(name string) bool {
	for _, f := range forms {
		if f.name == name || strings.Fields(f.name)[0] == strings.Fields(name + " ")[0] {
			return true
		}
	}
	return false
}

// makePayloads has Redis dump values of the types that the pools hold.
func makePayloads(redis Endpoint, fill []string) ([]string, error) {
	c, err := harness.Dial(redis.Addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.Do("FLUSHALL"); err != nil {
		return nil, err
	}
	many := func(first ...string) []string {
		for i := range 600 {
			first = append(first, fmt.Sprintf("%d", i), "v")
		}
		return first
	}
	made := [][]string{
		{"SET", "k", "hello"}, {"SET", "k", "12345"}, {"SET", "k", "-7"}, {"SET", "k", "70000"}, {"SET", "k", "9223372036854775807"},
		{"SET", "k", ""}, {"SET", "k", strings.Repeat("abc", 200)}, {"SET", "k", "a\x00b\r\n"},
	}
	for _, p := range fill {
		switch p {
		case "l":
			made = append(made, []string{"RPUSH", "k", "a", "1", "b"}, many("RPUSH", "k"))
		case "e":
			made = append(made, []string{"SADD", "k", "1", "2", "3"}, []string{"SADD", "k", "a", "b"}, many("SADD", "k"))
		case "h":
			made = append(made, []string{"HSET", "k", "f", "v", "g", "1"}, many("HSET", "k"))
		case "z":
			made = append(made, []string{"ZADD", "k", "1", "a", "2.5", "b"}, many("ZADD", "k")[:1+1+600])
		}
	}
	var out []string
	for _, m := range made {
		if m[0] == "ZADD" && len(m) > 100 {
			for i := 3; i < len(m); i += 2 {
				m[i] = "m" + m[i-1]
			}
		}
		if _, err := c.Do("DEL", "k"); err != nil {
			return nil, err
		}
		if r, err := c.Do(m...); err != nil || r.Err() != "" {
			return nil, fmt.Errorf("%.60q: %v %s", m, err, r)
		}
		r, err := c.Do("DUMP", "k")
		if err != nil || r.Kind != '$' {
			return nil, fmt.Errorf("DUMP: %v %s", err, r)
		}
		out = append(out, r.Str)
	}
	return out, nil
}

// defaults are the limits that scripts change; a script starts from these.
var defaults = []string{
	"list-max-listpack-size", "-2", "set-max-intset-entries", "512", "hash-max-listpack-entries", "128",
	"hash-max-listpack-value", "64", "zset-max-listpack-entries", "128", "zset-max-listpack-value", "64",
	"stream-node-max-entries", "100", "stream-node-max-bytes", "4096",
}

// open connects to a server, started again if it is dead, and empties it.
func open(e Endpoint) (*harness.Conn, error) {
	c, err := empty(e.Addr)
	if err != nil && e.Revive != nil {
		if err := e.Revive(); err != nil {
			return nil, err
		}
		c, err = empty(e.Addr)
	}
	return c, err
}

// empty connects to a server, empties it and resets what scripts set. A limit that the server does
// not know is left alone: a script that sets it will show that.
func empty(addr string) (*harness.Conn, error) {
	c, err := harness.Dial(addr)
	if err != nil {
		return nil, err
	}
	r, err := c.Do("FLUSHALL")
	if err == nil && r.Str != "OK" {
		err = fmt.Errorf("FLUSHALL: %s", r)
	}
	for i := 0; i < len(defaults) && err == nil; i += 2 {
		_, err = c.Do("CONFIG", "SET", defaults[i], defaults[i+1])
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Bounds of what is sent before its replies are read.
const (
	batchSteps = 32
	batchBytes = 32 << 10
)

// Play runs a script on both servers, emptied before, and returns the first difference or nil.
// An error means that a server could not be reached at all.
func Play(kvd, redis Endpoint, script []Step) (*Diff, error) {
	a, err := open(kvd)
	if err != nil {
		return nil, fmt.Errorf("kvd: %w", err)
	}
	defer a.Close()
	b, err := open(redis)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	defer b.Close()
	p := &pair{a: a, b: b}
	diff := func(i int, o outcome) *Diff {
		d := &Diff{Index: i, Note: o.note, Got: o.got, Want: o.want, Script: script[:i+1]}
		switch {
		case p.aErr != nil:
			d.Err, d.Note = fmt.Errorf("kvd: %w", p.aErr), "no reply from kvd"
		case p.bErr != nil:
			d.Err, d.Note = fmt.Errorf("redis: %w", p.bErr), "no reply from Redis"
		}
		return d
	}
	for i := 0; i < len(script); {
		if c := comparers[script[i].Cmp]; c.run != nil {
			if o := c.run(p, script[i]); o.note != "" || p.aErr != nil || p.bErr != nil {
				return diff(i, o), nil
			}
			i++
			continue
		}
		n, size := 0, 0
		for i+n < len(script) && n < batchSteps && size < batchBytes && comparers[script[i+n].Cmp].run == nil {
			for _, arg := range script[i+n].Args {
				size += len(arg)
			}
			n++
		}
		for side, c := range []*harness.Conn{a, b} {
			e := []*error{&p.aErr, &p.bErr}[side]
			for _, s := range script[i : i+n] {
				if *e == nil {
					*e = c.Send(s.Args...)
				}
			}
			if *e == nil {
				*e = c.Flush()
			}
		}
		for ; n > 0; i, n = i+1, n-1 {
			var o outcome
			if p.aErr == nil {
				o.got, p.aErr = a.Receive()
			}
			if p.bErr == nil {
				o.want, p.bErr = b.Receive()
			}
			if p.aErr != nil || p.bErr != nil {
				return diff(i, o), nil
			}
			same := comparers[script[i].Cmp].same
			if !later(script[i].Args[0], o.got, o.want) && (same == nil || !same(script[i], o.got, o.want)) {
				o.note = "replies differ"
				// What was sent is read to its end: a server that still runs it when the next
				// script empties it would spoil that one.
				for range n - 1 {
					a.Receive()
					b.Receive()
				}
				return diff(i, o), nil
			}
		}
	}
	return nil, nil
}
