package reference

import (
	"strings"

	"kvd/command"
	"kvd/resp/wire"
)

// The tree of arguments that COMMAND DOCS answers is read from Row.Syntax:
//
//	word          an argument of that name
//	WORD          a token; with an argument behind it, that argument's token
//	[ ... ]       optional
//	a | b         one of them, inside brackets or < >
//	< ... >       groups
//	x [x ...]     x is repeated; so are several words: a b [a b ...]
//
// A word without lower-case letters is a token ("NX", "=", "*").

// docArg is one argument.
type docArg struct {
	name  string
	kind  string // type: string, integer, key, oneof, block, pure-token ...
	token string
	flags docFlags
	sub   []docArg
	key   int // which key spec it belongs to; -1 for what is no key
}

type docFlags uint8

const (
	docOptional docFlags = 1 << iota
	docMultiple
	docMultipleToken // the token is repeated too
)

// docArgs reads a syntax.
func docArgs(r *command.Row) []docArg {
	if r.Syntax == "" {
		return nil
	}
	p := docParser{words: command.SyntaxWords(r.Syntax)}
	args := p.alternatives("")
	if len(args) != 1 {
		panic("command: the syntax of " + r.FullName() + " has alternatives outside brackets")
	}
	n := 0
	numberKeys(args[0].args, len(r.KeySpecs()), &n)
	return args[0].args
}

type docParser struct {
	words []string
}

func (p *docParser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

// docSeq is one alternative.
type docSeq struct {
	args []docArg
	dots bool // ends with "..."
}

// alternatives reads up to the closing bracket, which it takes.
func (p *docParser) alternatives(end string) (all []docSeq) {
	var s docSeq
	for {
		w := p.peek()
		if len(p.words) > 0 {
			p.words = p.words[1:]
		} else if end != "" {
			panic("command: a syntax lacks " + end)
		}
		switch {
		case w == end:
			return append(all, s)
		case w == "|":
			all, s = append(all, s), docSeq{}
		case w == "...":
			s.dots = true
		case w == "[":
			s.optional(p.alternatives("]"))
		case w == "<":
			s.args = append(s.args, docGroup(p.alternatives(">")))
		case isToken(w):
			s.args = append(s.args, p.token(w))
		default:
			s.args = append(s.args, docArg{name: w, kind: docKind(w), key: -1})
		}
	}
}

func isToken(w string) bool { return w == strings.ToUpper(w) }

// token reads what a token belongs to.
func (p *docParser) token(w string) docArg {
	next := p.peek()
	switch {
	case next == "<":
		p.words = p.words[1:]
		a := docGroup(p.alternatives(">"))
		if a.token == "" && a.kind != "pure-token" {
			a.token = w
			return a
		}
		return docArg{name: a.name, kind: "block", token: w, sub: []docArg{a}, key: -1}
	case next == "" || next == "..." || strings.ContainsAny(next, "[]>|") || isToken(next):
		return docArg{name: tokenName(w), kind: "pure-token", token: w, key: -1}
	}
	p.words = p.words[1:]
	return docArg{name: next, kind: docKind(next), token: w, key: -1}
}

// tokenName is a name for a token.
func tokenName(w string) string {
	switch w {
	case "=":
		return "equal"
	case "~":
		return "approximately"
	case "*":
		return "auto-id"
	case "$":
		return "last-id"
	}
	return strings.ToLower(w)
}

// optional adds what stood in square brackets: a repetition of what is in
// front, or an optional argument.
func (s *docSeq) optional(all []docSeq) {
	in := all[0].args
	if len(all) == 1 && all[0].dots {
		if n := len(s.args) - len(in); n >= 0 && sameNames(s.args[n:], in) {
			flags := docMultiple
			if in[0].token != "" {
				flags |= docMultipleToken
			}
			if len(in) == 1 {
				s.args[n].flags |= flags
				return
			}
			b := docBlock(s.args[n:])
			b.flags |= flags
			s.args = append(s.args[:n:n], b)
			return
		}
	}
	a := docGroup(all)
	a.flags |= docOptional
	if all[len(all)-1].dots {
		a.flags |= docMultiple
	}
	s.args = append(s.args, a)
}

func sameNames(a, b []docArg) bool {
	for i := range a {
		if a[i].name != b[i].name {
			return false
		}
	}
	return len(a) == len(b)
}

// docGroup makes one argument of alternatives. Where the last of them ends with
// a repetition of all ("a | b [a | b ...]"), the group is repeated.
func docGroup(all []docSeq) docArg {
	if last := &all[len(all)-1]; len(all) > 1 && len(last.args) > 1 {
		tail := last.args[len(last.args)-1]
		if tail.kind == "oneof" && tail.flags == docOptional|docMultiple {
			short := append([]docSeq(nil), all...)
			short[len(all)-1].args = last.args[:len(last.args)-1]
			if g := docGroup(short); g.name == tail.name {
				g.flags |= docMultiple
				return g
			}
		}
	}
	var sub []docArg
	for _, s := range all {
		if len(s.args) == 1 {
			sub = append(sub, s.args[0])
		} else {
			sub = append(sub, docBlock(s.args))
		}
	}
	if len(sub) == 1 {
		return sub[0]
	}
	return docArg{name: joinNames(sub), kind: "oneof", sub: sub, key: -1}
}

// docBlock makes one argument of a sequence. A token at its front is the
// block's, if it is the only one.
func docBlock(args []docArg) docArg {
	b := docArg{kind: "block", sub: append([]docArg(nil), args...), key: -1}
	if len(args) > 0 && args[0].kind != "pure-token" && args[0].flags == 0 {
		b.token = args[0].token
		for _, a := range args[1:] {
			if a.token != "" || a.kind == "oneof" {
				b.token = ""
			}
		}
		if b.token != "" {
			b.sub[0].token = ""
		}
	}
	b.name = joinNames(b.sub)
	return b
}

func joinNames(args []docArg) string {
	names := make([]string, len(args))
	for i, a := range args {
		names[i] = a.name
	}
	return strings.Join(names, "_")
}

// docKinds are the types of arguments by name; others are strings.
var docKinds = func() map[string]string {
	m := map[string]string{}
	for kind, names := range map[string]string{
		"integer": "bit bits client-id count cursor db db-index decrement destination-db end extra idle increment index index1 index2 len limit ms milliseconds " +
			"maxage maxlen min-idle-time numfields numkeys num offset protover rank seconds start stop threshold version weight bound numreplicas numlocal ifeq-digest",
		"double":    "height latitude longitude max min radius score width",
		"pattern":   "library-name-pattern pattern",
		"unix-time": "unix-time-seconds unix-time-milliseconds",
	} {
		for _, n := range strings.Fields(names) {
			m[n] = kind
		}
	}
	return m
}()

func docKind(name string) string {
	if k, ok := docKinds[name]; ok {
		return k
	}
	return "string"
}

// keyNames are names that arguments which are keys have.
var keyNames = map[string]bool{"key": true, "key1": true, "key2": true, "newkey": true, "source": true, "destination": true, "destkey": true, "dstkey": true, "sourcekey": true}

// numberKeys makes keys of the arguments that are called so, if the command
// has key specs: one after another, the last one for all that remain.
func numberKeys(args []docArg, specs int, n *int) {
	for i := range args {
		a := &args[i]
		if keyNames[a.name] && specs > 0 && len(a.sub) == 0 {
			a.kind, a.key = "key", min(*n, specs-1)
			*n++
		}
		numberKeys(a.sub, specs, n)
	}
}

func (a *docArg) write(w *wire.Writer) {
	at := w.DeferArray()
	n := 0
	field := func(name, value string) {
		w.BulkString(name)
		w.BulkString(value)
		n++
	}
	field("name", a.name)
	field("type", a.kind)
	if a.key >= 0 {
		w.BulkString("key_spec_index")
		w.Int(int64(a.key))
		n++
	}
	if a.token != "" {
		field("token", a.token)
	}
	if a.flags != 0 {
		w.BulkString("flags")
		set, k := w.DeferArray(), 0
		for i, name := range []string{"optional", "multiple", "multiple_token"} {
			if a.flags>>i&1 == 1 {
				w.SimpleString(name)
				k++
			}
		}
		w.SetSet(set, k)
		n++
	}
	if len(a.sub) > 0 {
		writeArgs(w, a.sub)
		n++
	}
	w.SetMap(at, n)
}

func writeArgs(w *wire.Writer, args []docArg) {
	w.BulkString("arguments")
	w.Array(len(args))
	for i := range args {
		args[i].write(w)
	}
}

// writeDocs writes the documentation of a row under its name.
func writeDocs(w *wire.Writer, r *command.Row) {
	w.BulkString(r.FullName())
	at := w.DeferArray()
	n := 0
	field := func(name, value string) {
		if value != "" {
			w.BulkString(name)
			w.BulkString(value)
			n++
		}
	}
	field("summary", r.Summary)
	field("since", r.Since)
	field("group", r.Group)
	field("complexity", r.Complexity)
	if since, instead := r.Deprecated[0], r.Deprecated[1]; since != "" {
		w.BulkString("doc_flags")
		w.Set(1)
		w.SimpleString("deprecated")
		n++
		field("deprecated_since", since)
		field("replaced_by", instead)
	}
	if len(r.History) > 0 {
		w.BulkString("history")
		w.Set(len(r.History) / 2)
		for i := 0; i < len(r.History); i += 2 {
			w.Array(2)
			w.BulkString(r.History[i])
			w.BulkString(r.History[i+1])
		}
		n++
	}
	if args := docArgs(r); len(args) > 0 {
		writeArgs(w, args)
		n++
	}
	if len(r.Sub) > 0 {
		w.BulkString("subcommands")
		w.Map(len(r.Sub))
		for _, s := range r.Sub {
			writeDocs(w, s)
		}
		n++
	}
	w.SetMap(at, n)
}
