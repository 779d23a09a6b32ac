package differ

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// contentsEvery is how many steps pass between two comparisons of the whole contents.
const contentsEvery = 200

// wrongShare is the share of calls that are made wrong.
const wrongShare = 0.2

// planner makes one session's script after another and counts what it has used.
type planner struct {
	forms    []*form
	pools    []string
	payloads []string
	seed     uint64
	min      int
	uses     map[string]int // calls by label, those made wrong not among them
}

func newPlanner(forms []*form, pools, payloads []string, seed uint64, min int) *planner {
	pl := &planner{forms: forms, pools: pools, payloads: payloads, seed: seed, min: min, uses: map[string]int{}}
	for _, f := range forms {
		for _, l := range f.labels {
			pl.uses[l] = 0
		}
	}
	return pl
}

// least is the label with the fewest uses, the first by name among equals.
func (pl *planner) least() (label string, n int) {
	n = -1
	for l, u := range pl.uses {
		if n < 0 || u < n || (u == n && l < label) {
			label, n = l, u
		}
	}
	return label, max(n, 0)
}

// script makes the n-th session's script: about steps calls, in the protocol proto. Every
// session leaves out some forms, so that those left meet each other more often; but
// each second call goes to a label that lacks uses.
func (pl *planner) script(n, proto, steps int) []Step {
	g := &gen{Rand: rand.New(rand.NewPCG(pl.seed, uint64(n))), pools: pl.pools, payloads: pl.payloads}
	var in []*form
	for _, f := range pl.forms {
		if g.chance(0.8) {
			in = append(in, f)
		}
	}
	if len(in) == 0 {
		in = pl.forms
	}
	fills := pl.fills()
	check := contentsEvery
	back := 0 // the length of the script at which it returns to the first database; 0: it is there
	out := pl.prelude(g, proto)
	for len(out) < steps {
		f, force := oneOf(g, in...), ""
		if fills != nil && g.chance(0.15) {
			f = oneOf(g, fills...) // much of the rest deletes
		} else if g.chance(0.5) {
			if ff, l := pl.lacking(g); ff != nil {
				f, force = ff, l
			}
		}
		if force == "" && f.rare && g.chance(0.97) {
			continue
		}
		args, used := g.spell(f, force)
		s := Step{args, f.cmp}
		if !f.whole && g.chance(wrongShare) {
			s.Args = g.spoil(f, args)
		} else {
			for _, l := range used {
				pl.uses[l]++
			}
		}
		keepShort(s.Args)
		keepFar(s.Args)
		keepFew(s.Args)
		out = append(out, s)
		if len(args) > 1 && g.chance(0.15) { // of a deadline that was lost or kept, few replies tell
			out = append(out, Step{[]string{"PEXPIRETIME", args[1+g.IntN(min(2, len(args)-1))]}, "millis"})
		}
		switch s.Args[0] { // scripts leave the first database, and empty it, for a while only
		case "SELECT", "select", "SWAPDB", "swapdb", "FLUSHDB", "flushdb", "FLUSHALL", "flushall":
			back = len(out) + g.IntN(20)
		}
		if back > 0 && len(out) >= back {
			back = 0
			out = append(out, Step{[]string{"SELECT", "0"}, ""})
			out = pl.fill(g, out)
		}
		if len(out) >= check {
			check = len(out) + contentsEvery
			out = append(out, Step{[]string{"contents"}, "contents"})
		}
	}
	return append(out, Step{[]string{"contents"}, "contents"})
}

// lacking picks one of some labels at random that have fewer uses than they need, and a form that has it.
func (pl *planner) lacking(g *gen) (*form, string) {
	for range 8 {
		f := oneOf(g, pl.forms...)
		var low []string
		for _, l := range f.labels {
			if pl.uses[l] < pl.min {
				low = append(low, l)
			}
		}
		if len(low) > 0 {
			return f, oneOf(g, low...)
		}
	}
	label, n := pl.least()
	if n >= pl.min {
		return nil, ""
	}
	var with []*form
	for _, f := range pl.forms {
		if slices.Contains(f.labels, label) {
			with = append(with, f)
		}
	}
	return oneOf(g, with...), label
}

// limits are, by pool, the limit of its small encoding and what sessions set it to.
var limits = map[string][]string{
	"l": {"list-max-listpack-size", "4", "128", "-2"},
	"e": {"set-max-intset-entries", "4", "16", "512"},
	"h": {"hash-max-listpack-entries", "3", "16", "128"},
	"z": {"zset-max-listpack-entries", "3", "16", "128"},
}

// prelude is what a session begins with: its protocol, its limits for small encodings, and something in the pools.
func (pl *planner) prelude(g *gen, proto int) []Step {
	out := []Step{{[]string{"HELLO", strconv.Itoa(proto)}, "hello"}}
	for _, p := range pl.pools {
		if l := limits[p]; l != nil {
			out = append(out, Step{[]string{"CONFIG", "SET", l[0], oneOf(g, l[1:]...)}, ""})
		}
	}
	return pl.fill(g, out)
}

// fills are the forms that put something into the pools, and deadlines on it.
func (pl *planner) fills() []*form {
	var out []*form
	for _, f := range pl.forms {
		if slices.Contains([]string{"MSET", "RPUSH", "SADD", "HSET", "ZADD", "SETBIT", "SET", "XADD", "EXPIRE", "PEXPIREAT"}, f.name) {
			out = append(out, f)
		}
	}
	return out
}

// fill appends four calls of each of them.
func (pl *planner) fill(g *gen, out []Step) []Step {
	for _, f := range pl.fills() {
		for range 4 {
			args, _ := g.spell(f, "")
			keepShort(args)
			out = append(out, Step{args, f.cmp})
		}
	}
	return out
}

// spoil makes a call wrong in one of the ways in which calls are wrong.
func (g *gen) spoil(f *form, args []string) []string {
	args = slices.Clone(args)
	lead := len(strings.Fields(f.name)) // what names the command stays
	if f.name == "(unknown)" {
		lead = 1
	}
	rest := len(args) - lead
	at := lead
	if rest > 0 {
		at += g.IntN(rest)
	}
	insert := func(i int, what ...string) []string { return slices.Insert(args, min(i, len(args)), what...) }
	switch g.IntN(9) {
	case 0:
		if rest > 0 { // too few
			args = args[:len(args)-1]
		}
	case 1: // too many
		args = append(args, oneOf(g, "extra", "1", "", g.val()))
	case 2:
		if rest > 0 {
			args = slices.Delete(args, at, at+1)
		}
	case 3, 4: // a bad number, wherever
		if rest > 1 {
			i := lead + 1 + g.IntN(rest-1)
			args[i] = g.badNumber()
		} else if rest == 1 && g.chance(0.3) {
			args[lead] = g.badNumber()
		}
	case 5: // a key of another type, most likely
		if rest > 0 {
			p := oneOf(g, g.pools...)
			for range 8 {
				if p != "z" {
					break
				}
				p = oneOf(g, g.pools...)
			}
			args[lead] = oneOf(g, pools[p]...)
		}
	case 6: // an option that does not belong there
		if len(f.words) > 0 {
			w := oneOf(g, f.words...)
			if g.chance(0.5) {
				args = append(args, w)
			} else {
				args = insert(at, w)
			}
		}
	case 7: // a part twice
		if rest > 0 {
			args = append(args, args[at:]...)
		}
	case 8:
		if rest > 1 {
			i, j := lead+g.IntN(rest), lead+g.IntN(rest)
			args[i], args[j] = args[j], args[i]
		}
	}
	if f.name == "COMMAND INFO" && len(args) < 3 {
		return append(args, "get")
	}
	return args
}

// keepShort shortens every wait of a blocking command, however it came about: 0 waits for ever.
func keepShort(args []string) {
	at := -1
	switch strings.ToUpper(args[0]) {
	case "BLPOP", "BRPOP", "BZPOPMIN", "BZPOPMAX", "BRPOPLPUSH", "BLMOVE":
		at = len(args) - 1
	case "BLMPOP", "BZMPOP":
		at = 1
	}
	if at < 1 || at >= len(args) {
		return
	}
	if f, err := strconv.ParseFloat(strings.TrimPrefix(args[at], "+"), 64); (err == nil && (f == 0 || (f > 0.02 && f < 1e15))) || args[at] == "0x10" {
		args[at] = "0.01"
	}
}

// mostRandom is the most members by chance, the same ones again and again, that a script asks for.
const mostRandom = 100_000

// keepFew changes the number of members by chance where an argument made wrong asks for more than that: Redis makes
// any number of them, one by one, and answers nobody meanwhile.
func keepFew(args []string) {
	switch strings.ToUpper(args[0]) {
	case "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER":
		if len(args) > 2 {
			if n, err := strconv.ParseInt(args[2], 10, 64); err == nil && n < -mostRandom {
				args[2] = strconv.FormatInt(math.MinInt64, 10) // which is out of range
			}
		}
	}
}

// keepFar moves deadlines that would come about while the session runs, which is not at the same moment on both
// sides: an argument made wrong may put any number in a deadline's place.
func keepFar(args []string) {
	far := func(at int) {
		if at < len(args) && len(args[at]) < 5 {
			if n, err := strconv.ParseUint(args[at], 10, 64); err == nil && n > 0 {
				args[at] = strconv.FormatUint(n+100_000, 10)
			}
		}
	}
	switch strings.ToUpper(args[0]) {
	case "PEXPIRE", "EXPIRE", "PSETEX", "SETEX", "RESTORE":
		far(2)
	case "SET", "GETEX":
		for i, a := range args {
			if i > 1 && (strings.EqualFold(a, "PX") || strings.EqualFold(a, "EX")) {
				far(i + 1)
			}
		}
	}
}
