package corrupt

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"kvd/command"
)

// form is a row with the grammar that its Syntax is, as redis.io writes it: words in
// capitals stand for themselves, others for an argument; [a | b] may be left out, <a | b>
// may not, "..." repeats what stands before it within its brackets.
type form struct {
	row  *command.Row
	body []node
}

type node struct {
	word     string // itself, or the name of an argument
	alts     [][]node
	optional bool
	repeated bool // an optional that is written any number of times
}

func parseForm(r *command.Row) (*form, error) {
	line := r.Syntax
	for _, p := range []string{"[", "]", "<", ">", "|"} {
		line = strings.ReplaceAll(line, p, " "+p+" ")
	}
	toks := strings.Fields(line)
	alts, rest, _, err := parseAlts(toks, "")
	if err != nil || len(rest) > 0 || len(alts) > 1 {
		return nil, fmt.Errorf("the syntax %q cannot be read: %v", r.Syntax, err)
	}
	return &form{r, alts[0]}, nil
}

// parseAlts reads alternatives up to the closing bracket.
func parseAlts(toks []string, end string) (alts [][]node, rest []string, repeated bool, err error) {
	alts = [][]node{nil}
	for len(toks) > 0 {
		t := toks[0]
		toks = toks[1:]
		last := &alts[len(alts)-1]
		switch t {
		case "]", ">":
			if t != end {
				return nil, nil, false, fmt.Errorf("stray %q", t)
			}
			return alts, toks, repeated, nil
		case "[", "<":
			inner, more, rep, err := parseAlts(toks, map[string]string{"[": "]", "<": ">"}[t])
			if err != nil {
				return nil, nil, false, err
			}
			*last = append(*last, node{alts: inner, optional: t == "[", repeated: rep})
			toks = more
		case "|":
			alts = append(alts, nil)
		case "...":
			repeated = true
		default:
			*last = append(*last, node{word: t})
		}
	}
	if end != "" {
		return nil, nil, false, fmt.Errorf("no %q", end)
	}
	return alts, nil, repeated, nil
}

// gen makes calls and payloads.
type gen struct{ *rand.Rand }

func pick[T any](g *gen, from ...T) T { return from[g.IntN(len(from))] }

// call writes a call of a form in which the first key, at least, is the one on trial.
func (g *gen) call(f *form) []string {
	c := caller{gen: g}
	args := strings.Split(f.row.FullName(), "|")
	if own, ok := byHand[f.row.FullName()]; ok {
		return append(args, pick(g, own...)...)
	}
	c.args = args
	c.walk(f.body)
	return c.args
}

// byHand are arguments of rows whose Syntax does not tell enough.
var byHand = map[string][][]string{
	"eval":           {{"return redis.pcall('DUMP',KEYS[1])", "1", bad}, {"return redis.pcall('TYPE',KEYS[1])", "1", bad}},
	"eval_ro":        {{"return redis.pcall('DUMP',KEYS[1])", "1", bad}},
	"evalsha":        {{strings.Repeat("0", 40), "1", bad}},
	"evalsha_ro":     {{strings.Repeat("0", 40), "1", bad}},
	"fcall":          {{"f", "1", bad}},
	"fcall_ro":       {{"g", "1", bad}},
	"pfdebug":        {{"ENCODING", bad}, {"DECODE", bad}, {"GETREG", bad}, {"TODENSE", bad}},
	"himport|set":    {{bad, "set", "1", "2"}},
	"cl.throttle":    {{bad, "5", "10", "60"}, {bad, "5", "10", "60", "2"}},
	"xidmprecord":    {{bad, "pid", "iid", "3-0"}},
	"object|help":    {{}},
	"memory|usage":   {{bad}, {bad, "SAMPLES", "0"}, {bad, "SAMPLES", "3"}},
	"xinfo|stream":   {{bad}, {bad, "FULL"}, {bad, "FULL", "COUNT", "0"}},
	"sort":           {{bad}, {bad, "ALPHA"}, {bad, "BY", "w_*", "GET", "#", "GET", "k*->a"}, {bad, "BY", "nosort", "LIMIT", "0", "3"}, {bad, "ALPHA", "DESC", "STORE", "k18"}},
	"sort_ro":        {{bad}, {bad, "ALPHA"}, {bad, "BY", "w_*", "GET", "#", "GET", "k*->a"}},
	"zunion":         {{"1", bad, "WEIGHTS", "2", "WITHSCORES"}, {"2", bad, "k17"}},
	"zinter":         {{"1", bad, "WEIGHTS", "2", "WITHSCORES"}, {"2", bad, "k17", "AGGREGATE", "MAX"}},
	"zunionstore":    {{"k5", "2", bad, "k17", "WEIGHTS", "2", "inf", "AGGREGATE", "MIN"}, {bad, "2", bad, bad}},
	"zinterstore":    {{"k5", "2", bad, bad, "AGGREGATE", "MAX"}, {bad, "1", "k20"}},
	"geosearch":      {{bad, "FROMLONLAT", "0", "0", "BYRADIUS", "30000", "km", "WITHDIST", "WITHCOORD", "WITHHASH"}, {bad, "FROMMEMBER", "a", "BYBOX", "4000", "4000", "km", "COUNT", "2", "ANY"}},
	"geosearchstore": {{"k5", bad, "FROMLONLAT", "0", "0", "BYRADIUS", "30000", "km"}, {bad, bad, "FROMMEMBER", "a", "BYBOX", "4000", "4000", "km", "STOREDIST"}},
	"georadius":      {{bad, "0", "0", "30000", "km", "WITHDIST"}, {bad, "0", "0", "30000", "km", "STORE", "k5"}},
	"xreadgroup":     {{"GROUP", "g", "c", "STREAMS", bad, ">"}, {"GROUP", "g", "c", "COUNT", "3", "STREAMS", bad, "0"}, {"GROUP", "g", "new", "NOACK", "STREAMS", bad, ">"}, {"GROUP", "g", "c", "CLAIM", "0", "STREAMS", bad, ">"}},
	"xread":          {{"STREAMS", bad, "0"}, {"COUNT", "2", "STREAMS", bad, "+"}, {"BLOCK", "1", "STREAMS", bad, "$"}},
	"xadd":           {{bad, "*", "f", "v"}, {bad, "MAXLEN", "2", "*", "f", "v"}, {bad, "MINID", "~", "2", "*", "f", "v"}, {bad, "IDMP", "pid", "iid", "*", "f", "v"}, {bad, "18446744073709551615-*", "f", "v"}},
	"bitop":          {{"AND", "k0", bad, bad}, {"NOT", bad, bad}, {"ONE", "k0", bad, "k0"}, {"XOR", bad, "k0", bad}},
}

type caller struct {
	*gen
	args  []string
	keyed bool // the key on trial has been written
	count int  // how many the next list of arguments is to have; 0: any number
}

func (c *caller) walk(seq []node) {
	for i, n := range seq {
		switch {
		case n.word != "" && n.word == strings.ToUpper(n.word) && !strings.Contains("*$>=~", n.word):
			c.args = append(c.args, n.word)
		case strings.HasPrefix(n.word, "num") && n.word != "num-matches" && n.word != "num-vertices" && n.word != "numreplicas":
			// What follows is a list, which is written as often as this says.
			c.count = 1 + c.IntN(3)
			said := c.count
			if c.IntN(20) == 0 {
				said += c.IntN(3) - 1
			}
			c.args = append(c.args, strconv.Itoa(said))
		case n.word != "":
			c.args = append(c.args, c.value(n.word))
		case n.repeated:
			times := c.IntN(3)
			if c.count > 0 {
				times, c.count = c.count-1, 0
			}
			_ = i
			for range times {
				c.walk(c.once(pick(c.gen, n.alts...)))
			}
		case n.optional && c.IntN(5) < 3:
		default:
			c.walk(pick(c.gen, n.alts...))
		}
	}
}

// once is what stands within the brackets of a list without a list of its own.
func (c *caller) once(seq []node) []node {
	var out []node
	for _, n := range seq {
		if !n.repeated {
			out = append(out, n)
		}
	}
	return out
}

// value makes an argument by its name.
func (c *caller) value(name string) string {
	g := c.gen
	elem := func() string {
		return pick(g, "a", "b", "c", "1", "2", "3", "new", "", strings.Repeat("x", 70), "-5", "70000", "9223372036854775807", "0.5")
	}
	number := func() string {
		return pick(g, "0", "1", "2", "3", "-1", "-2", "5", "100", "9223372036854775807", "-9223372036854775808", "65536")
	}
	switch name {
	case "key", "key1", "key2", "source", "destination", "newkey", "destkey", "sourcekey", "src", "dst":
		if !c.keyed || g.IntN(3) == 0 {
			c.keyed = true
			return bad
		}
		return pick(g, "k0", "k1", "k2", "k4", "k5", "k16", "k17", "k18", "k20", "k24", "k191", "none", "again")
	case "group":
		return pick(g, "g", "g", "g", "other")
	case "consumer":
		return pick(g, "c", "d", "new")
	case "id", "last-id", "lastid", "start", "end", "stream-id", "max-deleted-id":
		if name == "start" || name == "end" {
			if g.IntN(2) == 0 {
				return number()
			}
		}
		return pick(g, "0", "1-1", "2-1", "3-1", "5-0", "-", "+", "18446744073709551615-18446744073709551615", "(1-1", "0-0")
	case "min", "max":
		return pick(g, "-inf", "+inf", "(1", "0", "2", "[a", "[b", "-", "+", "(c")
	case "encoding":
		return pick(g, "u8", "i5", "u63", "i64", "u1")
	case "type":
		return "hash"
	case "timeout":
		return pick(g, "0.001", "0.002")
	case "milliseconds", "seconds", "ms", "ttl", "min-idle-time":
		return pick(g, "1000000", "100000000", "0", "-1", "1")
	case "unix-time-seconds":
		return pick(g, "4000000000", "1", "5000000000")
	case "unix-time-milliseconds", "now":
		return pick(g, "4000000000000", "1", "5000000000000")
	case "longitude", "latitude", "radius", "width", "height":
		return pick(g, "0", "10", "2.5", "-60", "80", "1000")
	case "score", "increment", "weight", "lowerbound", "upperbound":
		return pick(g, "1", "0", "-1", "2.5", "3", "inf", "-inf", "1e300", "9223372036854775807")
	case "cursor":
		return pick(g, "0", "0", "1", "7")
	case "pattern":
		return pick(g, "*", "a*", "?")
	case "destination-db", "db":
		return pick(g, "0", "1")
	case "count", "limit", "num-matches", "len", "rank", "maxcount", "threshold", "num-vertices", "entries-read", "entries-added", "exactly":
		return pick(g, "0", "1", "2", "3", "10", "-1", "1000")
	case "offset", "index", "stop", "bit":
		if g.IntN(3) == 0 {
			return pick(g, "0", "1", "7", "#1")
		}
		return number()
	case "pivot", "member", "member1", "member2", "field", "element":
		return elem()
	case "value":
		return pick(g, elem(), "1", "0")
	case "*", "$", ">", "=", "~":
		return name
	}
	return pick(g, number(), elem())
}
