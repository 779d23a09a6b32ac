package differ

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"kvd/tests/harness"
)

type reply = harness.Reply

// A comparer decides whether two replies to one step say the same. same looks at the replies
// alone. run sends the step itself, and whatever else it needs: it may ask both servers more, and
// make one follow the other's choice.
type comparer struct {
	same func(s Step, got, want reply) bool
	run  func(p *pair, s Step) outcome
}

// outcome is what a step gave on both sides; note is empty if that is equal, and else says how it is not.
type outcome struct {
	got, want reply
	note      string
}

// pair is a connection to each side: a is kvd's, b is Redis's.
type pair struct {
	a, b       *harness.Conn
	aErr, bErr error // the first error of either; the session ends with it

	// looseSets is set once SPOP made Redis remove what kvd chose by SREM, which may leave a set in
	// another encoding than SPOP itself does.
	looseSets bool
}

// askA and askB send one command to one side. After an error they return an empty reply, and the session ends.
func (p *pair) askA(args ...string) reply { return ask(p.a, &p.aErr, args) }
func (p *pair) askB(args ...string) reply { return ask(p.b, &p.bErr, args) }

func ask(c *harness.Conn, e *error, args []string) reply {
	if *e != nil {
		return reply{}
	}
	r, err := c.Do(args...)
	if err != nil {
		*e = err
	}
	return r
}

// both sends one command to both sides at once.
func (p *pair) both(args ...string) (got, want reply) {
	for _, c := range []*harness.Conn{p.a, p.b} {
		e := &p.aErr
		if c == p.b {
			e = &p.bErr
		}
		if *e == nil {
			if *e = c.Send(args...); *e == nil {
				*e = c.Flush()
			}
		}
	}
	if p.aErr == nil {
		got, p.aErr = p.a.Receive()
	}
	if p.bErr == nil {
		want, p.bErr = p.b.Receive()
	}
	return got, want
}

// equal tells whether got is what Redis replies, in this version or in a later one.
func equal(got, want reply) bool { return later("", got, want) }

// comparers by the names that forms and scripts give them.
var comparers = map[string]comparer{
	"kind":           {same: sameKind},
	"sorted":         {same: sameSorted},
	"pairs":          {same: samePairs},
	"seconds":        {same: within(farApart / 1000)},
	"millis":         {same: within(farApart)},
	"idle":           {run: runIdle},
	"hello":          {same: sameHello},
	"cmdinfo":        {same: sameCommandInfo},
	"unordered":      {run: runUnordered(sameSorted)},
	"unorderedpairs": {run: runUnordered(samePairs)},
	"encoding":       {run: runEncoding},
	"dbsize":         {run: runDBSize},
	"scan":           {run: runScan},
	"keyscan":        {run: runScan},
	"randomkey":      {run: runRandomKey},
	"spop":           {run: runSPop},
	"srandmember":    {run: runRandomMembers("SMEMBERS")},
	"hrandfield":     {run: runRandomMembers("HGETALL")},
	"zrandmember":    {run: runRandomMembers("ZRANGE")},
	"dump":           {run: runDump},
	"sort":           {run: runSort},
	"lex":            {run: runLex},
	"around":         {run: runAround},
	"pfadd":          {run: runPFAdd},
	"contents":       {run: runContents},
	"xinfo":          {same: sameStreamInfo},
	"xpending":       {same: sameStreamInfo},
}

// sameKind takes two replies of the same type for equal, save errors, whose text has to be the same.
func sameKind(_ Step, got, want reply) bool {
	if want.Err() != "" || got.Err() != "" {
		return equal(got, want)
	}
	return got.Kind == want.Kind && got.Null == want.Null
}

// streamInfo writes a reply of XINFO or XPENDING without what hangs on the clock, and what later versions than 7.0
// count, or tell, in another way; see streamFree.
func streamInfo(b *strings.Builder, r reply, key string) {
	if r.Kind == '*' && !r.Null && len(r.Elems) == 0 {
		b.WriteString("[]")
		return
	}
	if r.Err() != "" || len(r.Elems) == 0 {
		b.Write(r.Raw)
		return
	}
	els := r.Elems
	if len(els)%2 == 0 && els[0].Kind == '$' && streamFields[els[0].Str] {
		var text strings.Builder
		for i := 0; i < len(els); i += 2 {
			name := els[i].Str
			if name == "pel-count" && els[i+1].Int == 0 && els[0].Str == "name" && len(els) < 12 || name == "pending" && els[i+1].Kind == ':' && els[i+1].Int == 0 && len(els) < 12 {
				return // a consumer that has nothing
			}
			if streamFree[name] || name == "consumers" && els[i+1].Kind == ':' {
				continue
			}
			text.WriteString(name)
			streamInfo(&text, els[i+1], name)
		}
		b.WriteString("{" + text.String() + "}")
		return
	}
	// Pending entries: ID, consumer, time or idle time, count; or without the consumer.
	if n := len(els); key == "pending" && (n == 3 || n == 4) && els[0].Kind == '$' && els[n-1].Kind == ':' {
		els = slices.Concat(els[:n-2], els[n-1:])
	}
	b.WriteByte('[')
	for _, e := range els {
		streamInfo(b, e, key)
	}
	b.WriteByte(']')
}

// streamFields begin the maps of XINFO.
var streamFields = map[string]bool{"name": true, "length": true}

func sameStreamInfo(s Step, got, want reply) bool {
	var a, b strings.Builder
	key := ""
	if strings.EqualFold(s.Args[0], "XPENDING") {
		key = "pending"
	}
	streamInfo(&a, got, key)
	streamInfo(&b, want, key)
	return a.String() == b.String()
}

// sortedRaw are the bytes of an aggregate's elements, in groups of n, sorted.
func sortedRaw(r reply, n int) []string {
	var out []string
	for g := range slices.Chunk(r.Elems, n) {
		var b strings.Builder
		for _, e := range g {
			b.WriteByte(e.Kind)
			b.WriteString(shortest(e.Str))
			b.WriteString(strings.Join(sortedRaw(e, 1), ""))
		}
		out = append(out, b.String())
	}
	slices.Sort(out)
	return out
}

func sameGroups(got, want reply, n int) bool {
	if equal(got, want) {
		return true
	}
	return got.Kind == want.Kind && !got.Null && !want.Null && len(want.Elems) > 1 && slices.Equal(sortedRaw(got, n), sortedRaw(want, n))
}

func sameSorted(_ Step, got, want reply) bool { return sameGroups(got, want, 1) }
func samePairs(_ Step, got, want reply) bool  { return sameGroups(got, want, 2) }

// farApart, ms, is how far two deadlines may lie apart: a server may stand still between the two sides' commands. Those
// that are told are drawn from thousands of hours (see farSeconds), so that wrong ones are much farther apart.
const farApart = 30_000

// within takes numbers for equal that lie at most n apart, unless one is negative or zero: those have a meaning.
func within(n int64) func(Step, reply, reply) bool {
	return func(_ Step, got, want reply) bool {
		if equal(got, want) {
			return true
		}
		if got.Kind != ':' || want.Kind != ':' || got.Int < 0 || want.Int < 0 {
			return false
		}
		return got.Int-want.Int <= n && want.Int-got.Int <= n
	}
}

// sameHello compares HELLO's fields, their order included, except the values that are each server's own.
func sameHello(_ Step, got, want reply) bool {
	if equal(got, want) {
		return true
	}
	if got.Kind != want.Kind || len(got.Elems) != len(want.Elems) || want.Err() != "" {
		return false
	}
	for i := 0; i+1 < len(want.Elems); i += 2 {
		if !equal(got.Elems[i], want.Elems[i]) || got.Elems[i+1].Kind != want.Elems[i+1].Kind {
			return false
		}
		if !helloFree[want.Elems[i].Str] && !equal(got.Elems[i+1], want.Elems[i+1]) {
			return false
		}
	}
	return true
}

// sameCommandInfo compares the fields of COMMAND INFO that infoFields names.
func sameCommandInfo(s Step, got, want reply) bool {
	if equal(got, want) {
		return true
	}
	if len(s.Args) < 3 { // the whole table: kvd's is longer
		return sameKind(s, got, want)
	}
	if got.Kind != want.Kind || len(got.Elems) != len(want.Elems) {
		return false
	}
	for i := range want.Elems {
		if len(CommandInfoDiff(got.Elems[i], want.Elems[i])) > 0 {
			return false
		}
	}
	return true
}

// CommandInfoDiff compares one command's entry of COMMAND INFO and says in which fields it differs, and how.
func CommandInfoDiff(got, want reply) []string {
	if got.Null || want.Null || len(got.Elems) < len(infoFields) || len(want.Elems) < len(infoFields) {
		if got.Null && want.Null {
			return nil
		}
		return []string{fmt.Sprintf("got %s, want %s", got, want)}
	}
	var out []string
	for i, field := range infoFields {
		g, w := got.Elems[i], want.Elems[i]
		if field == "flags" && g.Kind == w.Kind && slices.Equal(sortedRaw(g, 1), sortedRaw(w, 1)) {
			continue
		}
		if !equal(g, w) && infoDiffers[want.Elems[0].Str][field] == "" {
			out = append(out, fmt.Sprintf("%s: %s: got %s, want %s", want.Elems[0].Str, field, g, w))
		}
	}
	return out
}

func differs(got, want reply, note string) outcome { return outcome{got, want, note} }

// runUnordered compares bytes, or contents alone where Redis's encoding has no order.
func runUnordered(same func(Step, reply, reply) bool) func(*pair, Step) outcome {
	return func(p *pair, s Step) outcome {
		got, want := p.both(s.Args...)
		if equal(got, want) {
			return outcome{got: got, want: want}
		}
		if !same(s, got, want) {
			return differs(got, want, "contents differ")
		}
		enc := p.askB("OBJECT", "ENCODING", s.Args[1]).Str
		if enc != "hashtable" && (enc != "intset" || !p.looseSets) {
			return differs(got, want, "order differs, and the encoding "+enc+" has one")
		}
		return outcome{got: got, want: want}
	}
}

func runEncoding(p *pair, s Step) outcome {
	got, want := p.both(s.Args...)
	if equal(got, want) || encodings[[2]string{got.Str, want.Str}] {
		return outcome{got: got, want: want}
	}
	if p.looseSets && len(s.Args) == 3 && got.Kind == want.Kind && p.askB("TYPE", s.Args[2]).Str == "set" {
		return outcome{got: got, want: want}
	}
	return differs(got, want, "encodings differ")
}

// sharedRef is OBJECT REFCOUNT of an object that all keys with this value share in Redis.
const sharedRef = 2147483647

// runIdle allows for the time between the two replies. Redis's small numbers are one object for all keys, which was
// last used whenever any of them was; kvd has no such objects.
func runIdle(p *pair, s Step) outcome {
	got, want := p.both(s.Args...)
	if within(4)(s, got, want) {
		return outcome{got: got, want: want}
	}
	if len(s.Args) == 3 && sameKind(s, got, want) && p.askB("OBJECT", "REFCOUNT", s.Args[2]).Int == sharedRef {
		return outcome{got: got, want: want}
	}
	return differs(got, want, "idle times differ")
}

// runDBSize has both look at all keys before: DBSIZE counts keys that have expired until something
// makes the server see them, and of the commands that look at all only SCAN removes them.
func runDBSize(p *pair, s Step) outcome {
	for _, ask := range []func(...string) reply{p.askA, p.askB} {
		cursor := "0"
		for range 1000 {
			r := ask("SCAN", cursor, "COUNT", "10000")
			if len(r.Elems) == 0 || r.Elems[0].Str == "0" {
				break
			}
			cursor = r.Elems[0].Str
		}
	}
	got, want := p.both(s.Args...)
	if !equal(got, want) {
		return differs(got, want, "sizes differ")
	}
	return outcome{got: got, want: want}
}

// runScan goes through a whole iteration of SCAN, SSCAN, HSCAN or ZSCAN on each side, and compares what
// came out. Calls in the middle of an iteration have no defined outcome; they are compared by kind.
func runScan(p *pair, s Step) outcome {
	got, want := p.both(s.Args...)
	at := 1
	if !strings.EqualFold(s.Args[0], "SCAN") {
		at = 2
	}
	if want.Err() != "" || got.Err() != "" || len(s.Args) <= at || s.Args[at] != "0" {
		if !sameKind(s, got, want) && !later(s.Args[0], got, want) {
			return differs(got, want, "replies differ")
		}
		return outcome{got: got, want: want}
	}
	collect := func(ask func(...string) reply, r reply) (map[string]string, string) {
		all := map[string]string{}
		for range 100_000 {
			if r.Kind != '*' || len(r.Elems) != 2 || r.Elems[0].Kind != '$' || r.Elems[1].Kind != '*' {
				return nil, "reply is not a cursor and an array"
			}
			els := r.Elems[1].Elems
			if strings.EqualFold(s.Args[0], "HSCAN") || strings.EqualFold(s.Args[0], "ZSCAN") {
				for i := 0; i+1 < len(els); i += 2 {
					all[string(els[i].Raw)] = shortest(els[i+1].Str)
				}
			} else {
				for _, e := range els {
					all[string(e.Raw)] = ""
				}
			}
			if r.Elems[0].Str == "0" {
				return all, ""
			}
			if n, err := strconv.ParseUint(r.Elems[0].Str, 10, 64); err != nil || n == 0 {
				return nil, "cursor " + r.Elems[0].String()
			}
			next := slices.Clone(s.Args)
			next[at] = r.Elems[0].Str
			r = ask(next...)
		}
		return nil, "the iteration does not end"
	}
	inA, badA := collect(p.askA, got)
	inB, badB := collect(p.askB, want)
	if badA+badB != "" {
		return differs(got, want, fmt.Sprintf("kvd: %q, Redis: %q", badA, badB))
	}
	for k, v := range inA {
		if w, ok := inB[k]; !ok || w != v {
			return differs(got, want, fmt.Sprintf("the iteration returned %q %q on kvd, and %q on Redis", k, v, w))
		}
	}
	for k := range inB {
		if _, ok := inA[k]; !ok {
			return differs(got, want, fmt.Sprintf("the iteration did not return %q on kvd", k))
		}
	}
	return outcome{got: got, want: want}
}

// runRandomKey wants a key of either, if there is any, and that Redis knows kvd's.
func runRandomKey(p *pair, s Step) outcome {
	got, want := p.both(s.Args...)
	if !sameKind(s, got, want) {
		return differs(got, want, "replies differ")
	}
	if got.Kind == '$' && !got.Null && p.askB("EXISTS", got.Str).Int != 1 {
		return differs(got, want, "Redis has no such key")
	}
	return outcome{got: got, want: want}
}

// scratch is a key that no form uses.
const scratch = "differ:scratch"

// shape is a reply's structure without its texts.
func shape(r reply) string {
	if r.Null {
		return string(r.Raw)
	}
	s := string(r.Kind)
	if r.Elems != nil {
		s += strconv.Itoa(len(r.Elems))
		for _, e := range r.Elems {
			s += shape(e)
		}
	}
	return s
}

// runSPop has kvd choose. Redis pops from a copy, to compare the form of the reply, and then
// removes kvd's choice.
func runSPop(p *pair, s Step) outcome {
	got := p.askA(s.Args...)
	if got.Err() != "" || got.Null || ((got.Kind == '*' || got.Kind == '~') && len(got.Elems) == 0) || len(s.Args) < 2 {
		want := p.askB(s.Args...)
		if !equal(got, want) {
			return differs(got, want, "replies differ")
		}
		return outcome{got: got, want: want}
	}
	p.askB("COPY", s.Args[1], scratch, "REPLACE")
	onCopy := slices.Clone(s.Args)
	onCopy[1] = scratch
	want := p.askB(onCopy...)
	p.askB("DEL", scratch)
	if shape(got) != shape(want) {
		return differs(got, want, "forms differ")
	}
	members := []string{got.Str}
	if got.Kind != '$' {
		members = got.Strings()
		p.looseSets = true
	}
	if r := p.askB(append([]string{"SREM", s.Args[1]}, members...)...); r.Int != int64(len(members)) {
		return differs(got, want, fmt.Sprintf("of kvd's %d members Redis had %s", len(members), r))
	}
	return outcome{got: got, want: want}
}

// runRandomMembers wants as many members as Redis returns, each with its value, all known to Redis, and
// none twice unless the count is negative. all is the command that lists them.
func runRandomMembers(all string) func(*pair, Step) outcome {
	return func(p *pair, s Step) outcome {
		got, want := p.both(s.Args...)
		if want.Err() != "" || got.Err() != "" || want.Null || len(s.Args) < 2 {
			if !equal(got, want) {
				return differs(got, want, "replies differ")
			}
			return outcome{got: got, want: want}
		}
		if shape(got) != shape(want) {
			return differs(got, want, "forms differ")
		}
		if got.Kind == '$' {
			got.Elems = []reply{got}
			defer func() { got.Elems = nil }()
		}
		list := []string{all, s.Args[1]}
		if all == "ZRANGE" {
			list = append(list, "0", "-1", "WITHSCORES")
		}
		known := map[string]string{}
		for _, kv := range couples(p.askB(list...), all != "SMEMBERS") {
			known[kv[0]] = shortestBulk(kv[1])
		}
		withValues := len(s.Args) == 4
		seen := map[string]bool{}
		for _, kv := range couples(got, withValues) {
			v, ok := known[kv[0]]
			if !ok || (withValues && v != shortestBulk(kv[1])) {
				return differs(got, want, fmt.Sprintf("Redis has no %q %q there", kv[0], kv[1]))
			}
			if seen[kv[0]] && !(len(s.Args) > 2 && strings.HasPrefix(s.Args[2], "-")) {
				return differs(got, want, fmt.Sprintf("%q twice", kv[0]))
			}
			seen[kv[0]] = true
		}
		return outcome{got: got, want: want}
	}
}

// couples takes members and values from a flat reply, a map or an array of two-element arrays; without values
// every element is a member.
func couples(r reply, values bool) [][2]string {
	var out [][2]string
	for i := 0; i < len(r.Elems); i++ {
		switch e := r.Elems[i]; {
		case e.Kind == '*' && len(e.Elems) == 2:
			out = append(out, [2]string{string(e.Elems[0].Raw), string(e.Elems[1].Raw)})
		case values && i+1 < len(r.Elems):
			i++
			out = append(out, [2]string{string(e.Raw), string(r.Elems[i].Raw)})
		default:
			out = append(out, [2]string{string(e.Raw), ""})
		}
	}
	return out
}

// runDump lets each server load the other's payload, and compares what became of it.
func runDump(p *pair, s Step) outcome {
	got, want := p.both(s.Args...)
	if got.Kind != '$' || want.Kind != '$' || got.Null || want.Null {
		if !equal(got, want) {
			return differs(got, want, "replies differ")
		}
		return outcome{got: got, want: want}
	}
	ra := p.askA("RESTORE", scratch, "0", want.Str, "REPLACE")
	if got.Str[0] == streamOf72 {
		p.askA("DEL", scratch)
		return outcome{got: got, want: want}
	}
	rb := p.askB("RESTORE", scratch, "0", got.Str, "REPLACE")
	if ra.Str != "OK" || rb.Str != "OK" {
		return differs(got, want, fmt.Sprintf("kvd took Redis's payload with %s, Redis took kvd's with %s", ra, rb))
	}
	va, vb := valueOf(p.askA, scratch), valueOf(p.askB, scratch)
	va0, vb0 := valueOf(p.askA, s.Args[1]), valueOf(p.askB, s.Args[1])
	p.both("DEL", scratch)
	// A payload need not keep everything (a score of -0 becomes 0), but both have to lose the same.
	if va != vb || va0 != vb0 {
		return differs(got, want, fmt.Sprintf("restored on kvd: %.300q; restored on Redis: %.300q; the keys: %.300q and %.300q", va, vb, va0, vb0))
	}
	return outcome{got: got, want: want}
}

// valueOf is the type and value of a key, in an order that does not hang on its encoding. It reads the same in
// both protocols if both sides speak the same.
func valueOf(ask func(...string) reply, key string) string {
	typ := ask("TYPE", key).Str
	return typ + " " + valueText(typ, ask(valueCommand(typ, key)...))
}

func valueCommand(typ, key string) []string {
	switch typ {
	case "string":
		return []string{"GET", key}
	case "list":
		return []string{"LRANGE", key, "0", "-1"}
	case "set":
		return []string{"SMEMBERS", key}
	case "hash":
		return []string{"HGETALL", key}
	case "stream":
		return []string{"XRANGE", key, "-", "+"}
	case "zset":
		return []string{"ZRANGE", key, "0", "-1", "WITHSCORES"}
	}
	return []string{"EXISTS", key}
}

func valueText(typ string, r reply) string {
	switch typ {
	case "set":
		return strings.Join(sortedRaw(r, 1), "")
	case "hash":
		return strings.Join(sortedRaw(r, 2), "")
	case "zset":
		var b strings.Builder
		for _, e := range r.Elems {
			b.WriteString(quote(shortest(e.Str)))
		}
		return b.String()
	}
	return string(r.Raw)
}

// runSort compares bytes where SORT defines an order, and else what it can: a set's own order is
// nobody's, and equal weights by ALPHA come in any order. Redis compares by ALPHA up to a NUL.
func runSort(p *pair, s Step) outcome {
	// Redis takes an ERANGE that an earlier command left in errno for one of its own numbers; reading a cursor clears it.
	// (Both sides, for the one may be a Redis too.)
	p.both("SSCAN", scratch, "0")
	var got, want reply
	if len(s.Args) > 1 && p.askB("TYPE", s.Args[1]).Str == "zset" {
		// Redis makes what it sorts a skiplist, which keeps -0 and spells large scores otherwise. kvd leaves it as it
		// is, so Redis is given a copy.
		onCopy := slices.Clone(s.Args)
		onCopy[1] = scratch
		p.askB("COPY", s.Args[1], scratch, "REPLACE")
		got, want = p.askA(s.Args...), p.askB(onCopy...)
		p.askB("DEL", scratch)
	} else {
		got, want = p.both(s.Args...)
	}
	if equal(got, want) {
		return outcome{got: got, want: want}
	}
	has := func(word string) int {
		return slices.IndexFunc(s.Args, func(a string) bool { return strings.EqualFold(a, word) })
	}
	by, free := has("BY"), false
	if by > 1 && by+1 < len(s.Args) {
		if !strings.Contains(s.Args[by+1], "*") {
			free = p.askB("TYPE", s.Args[1]).Str == "set"
		} else {
			free = has("ALPHA") > 1
		}
	} else if has("ALPHA") > 1 {
		all := p.askB(valueCommand(p.askB("TYPE", s.Args[1]).Str, s.Args[1])...)
		free = strings.Contains(string(all.Raw), "\x00")
	}
	if free && has("STORE") < 0 && got.Kind == want.Kind && len(got.Elems) == len(want.Elems) &&
		(has("LIMIT") > 1 || sameSorted(s, got, want)) {
		return outcome{got: got, want: want}
	}
	return differs(got, want, "replies differ")
}

// runLex leaves out a range by name of a sorted set whose scores are not all equal, which RENAME and its like put under
// any key: it has no defined outcome.
func runLex(p *pair, s Step) outcome {
	at := 1
	if strings.EqualFold(s.Args[0], "ZRANGESTORE") {
		at = 2
	}
	if at < len(s.Args) {
		first, last := p.askB("ZRANGE", s.Args[at], "0", "0", "WITHSCORES"), p.askB("ZRANGE", s.Args[at], "-1", "-1", "WITHSCORES")
		a, b := couples(first, true), couples(last, true)
		if len(a) == 1 && len(b) == 1 && a[0][1] != b[0][1] {
			return outcome{}
		}
	}
	got, want := p.both(s.Args...)
	if !equal(got, want) {
		return differs(got, want, "replies differ")
	}
	return outcome{got: got, want: want}
}

// contentDBs are the databases that scripts reach.
var contentDBs = []string{"0", "1", "2", "15"}

// runContents compares everything that both servers hold: keys, types, values and deadlines.
// It uses connections of its own: the script's stays in its database and protocol.
func runContents(p *pair, _ Step) outcome {
	fresh := pair{}
	fresh.a, fresh.aErr = harness.Dial(p.a.RemoteAddr().String())
	if fresh.aErr != nil {
		p.aErr = fresh.aErr
		return outcome{}
	}
	defer fresh.a.Close()
	fresh.b, fresh.bErr = harness.Dial(p.b.RemoteAddr().String())
	if fresh.bErr != nil {
		p.bErr = fresh.bErr
		return outcome{}
	}
	defer fresh.b.Close()
	for _, db := range contentDBs {
		if o := fresh.contents(db); o.note != "" {
			p.aErr, p.bErr = fresh.aErr, fresh.bErr
			return o
		}
	}
	p.aErr, p.bErr = fresh.aErr, fresh.bErr
	return outcome{}
}

func (p *pair) contents(db string) outcome {
	p.both("SELECT", db)
	got, want := p.both("KEYS", "*")
	if !sameSorted(Step{}, got, want) {
		return differs(got, want, "database "+db+": KEYS * differ")
	}
	keys := want.Strings()
	for chunk := range slices.Chunk(keys, 20) { // few enough that neither side's output can fill up
		types, ok := p.pipeline(chunk, func(k string) []string { return []string{"TYPE", k} })
		if !ok {
			return outcome{}
		}
		values, ok := p.pipeline(chunk, func(k string) []string {
			return valueCommand(types[slices.Index(chunk, k)][1].Str, k)
		})
		if !ok {
			return outcome{}
		}
		deadlines, ok := p.pipeline(chunk, func(k string) []string { return []string{"PEXPIRETIME", k} })
		if !ok {
			return outcome{}
		}
		for i, k := range chunk {
			t, v, d := types[i], values[i], deadlines[i]
			what := "database " + db + ": " + quote(k) + ": "
			if !equal(t[0], t[1]) {
				return differs(t[0], t[1], what+"types differ")
			}
			if valueText(t[1].Str, v[0]) != valueText(t[1].Str, v[1]) {
				return differs(v[0], v[1], what+"values differ")
			}
			if !within(farApart)(Step{}, d[0], d[1]) {
				return differs(d[0], d[1], what+"deadlines differ")
			}
		}
	}
	if o := runDBSize(p, Step{Args: []string{"DBSIZE"}}); o.note != "" {
		return differs(o.got, o.want, "database "+db+": DBSIZE differs")
	}
	return outcome{}
}

// pipeline sends a command for each key to both sides and returns both sides' replies.
func (p *pair) pipeline(keys []string, command func(string) []string) ([][2]reply, bool) {
	out := make([][2]reply, len(keys))
	for side, c := range []*harness.Conn{p.a, p.b} {
		e := &p.aErr
		if side == 1 {
			e = &p.bErr
		}
		for _, k := range keys {
			if *e == nil {
				*e = c.Send(command(k)...)
			}
		}
		if *e == nil {
			*e = c.Flush()
		}
		for i := range keys {
			if *e == nil {
				out[i][side], *e = c.Receive()
			}
		}
	}
	return out, p.aErr == nil && p.bErr == nil
}

// runPFAdd removes a HyperLogLog that proved to be broken: Redis has changed it by the elements before the
// one that met the fault, and kvd has not changed it.
func runPFAdd(p *pair, s Step) outcome {
	o := outcome{}
	if o.got, o.want = p.both(s.Args...); !equal(o.got, o.want) {
		o.note = "replies differ"
	} else if strings.HasPrefix(o.got.Err(), "INVALIDOBJ") {
		p.both("DEL", s.Args[1])
	}
	return o
}

// runAround leaves a search out whose center is a member near a pole or near longitude 180: what is no
// position but another number is there, too. kvd finds more there than Redis.
func runAround(p *pair, s Step) outcome {
	member := 2
	if !strings.Contains(strings.ToUpper(s.Args[0]), "BYMEMBER") {
		member = 1 + slices.IndexFunc(s.Args, func(a string) bool { return strings.EqualFold(a, "FROMMEMBER") })
	}
	if member > 1 && member < len(s.Args) {
		key := 1
		if strings.EqualFold(s.Args[0], "GEOSEARCHSTORE") {
			key = 2
		}
		if at := p.askB("GEOPOS", s.Args[key], s.Args[member]); len(at.Elems) == 1 && len(at.Elems[0].Elems) == 2 {
			lon, _ := strconv.ParseFloat(at.Elems[0].Elems[0].Str, 64)
			lat, _ := strconv.ParseFloat(at.Elems[0].Elems[1].Str, 64)
			if math.Abs(lon) > 165 || math.Abs(lat) > 75 {
				return outcome{}
			}
		}
	}
	o := outcome{}
	if o.got, o.want = p.both(s.Args...); !equal(o.got, o.want) {
		o.note = "replies differ"
	}
	return o
}
