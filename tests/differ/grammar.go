package differ

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A form is one way to write a command, as a line of grammar:
//
//	WORD          itself (lower case at times)
//	<name>        a random argument of that kind, see args.go
//	[a | b]       one of the alternatives, or nothing
//	(a | b)       one of the alternatives
//	{a b}         1 to 4 times
//	#{a b}        the same, preceded by the number of times
//
// Neighbouring optional parts come in random order at times: Redis takes most in any.
type form struct {
	family string
	cmp    string // the comparer's name; empty for byte equality
	whole  bool   // never made wrong: the wrong call could do harm
	rare   bool   // called only as often as has to be: it throws the contents away
	name   string // the leading words: the command, and its subcommand if it has one
	body   seq
	labels []string
	words  []string // every word of the form, for calls made wrong
}

type seq []node

// A node is a word, a placeholder, a choice or a repetition.
type node struct {
	word     string
	arg      string
	alts     []seq
	labels   []string // of alts, each; empty for parts that are not counted
	optional bool
	repeat   seq
	counted  bool
}

func (n node) isChoice() bool { return n.alts != nil }

// parseForm reads a line of the table. Marks in front of the command: @name is the comparer,
// ! keeps the call from being made wrong, ~ makes it rare.
func parseForm(family, line string) (form, error) {
	f := form{family: family}
	toks := tokens(line)
marks:
	for ; len(toks) > 0; toks = toks[1:] {
		switch {
		case toks[0] == "!":
			f.whole = true
		case toks[0] == "~":
			f.rare = true
		case toks[0][0] == '@':
			f.cmp = toks[0][1:]
		default:
			break marks
		}
	}
	if f.cmp != "" && comparers[f.cmp].run == nil && comparers[f.cmp].same == nil {
		return f, fmt.Errorf("%s: no comparer %q", line, f.cmp)
	}
	body, rest, err := parseSeq(toks, "")
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("stray %q", rest[0])
	}
	if err != nil {
		return f, fmt.Errorf("%s: %w", line, err)
	}
	f.body = body
	var name []string
	for _, n := range body {
		if n.word == "" || len(name) == 2 || (len(name) == 1 && !containers[name[0]]) {
			break
		}
		name = append(name, n.word)
	}
	if len(name) == 0 {
		name = []string{"(unknown)"}
	}
	f.name = strings.Join(name, " ")
	f.labels = []string{f.name}
	f.label(body)
	slices.Sort(f.labels)
	f.labels = slices.Compact(f.labels)
	return f, nil
}

// label names every alternative after its first word or placeholder, and collects the words.
func (f *form) label(s seq) {
	for i := range s {
		n := &s[i]
		if n.word != "" {
			f.words = append(f.words, n.word)
		}
		for _, alt := range n.alts {
			l := f.name + "/" + alt[0].word
			if alt[0].word == "" {
				l = f.name + "/<" + alt[0].arg + ">"
			}
			n.labels = append(n.labels, l)
			f.labels = append(f.labels, l)
			f.label(alt)
		}
		f.label(n.repeat)
	}
}

func tokens(line string) []string {
	for _, p := range []string{"[", "]", "(", ")", "{", "}", "|"} {
		line = strings.ReplaceAll(line, p, " "+p+" ")
	}
	line = strings.ReplaceAll(line, "# {", "#{")
	return strings.Fields(line)
}

func parseSeq(toks []string, end string) (seq, []string, error) {
	var s seq
	for len(toks) > 0 {
		t := toks[0]
		if t == end || (t == "|" && (end == "]" || end == ")")) {
			return s, toks, nil
		}
		toks = toks[1:]
		var n node
		switch {
		case t == "[" || t == "(":
			close := map[string]string{"[": "]", "(": ")"}[t]
			n.optional = t == "["
			for {
				alt, rest, err := parseSeq(toks, close)
				if err != nil {
					return nil, nil, err
				}
				if len(alt) == 0 || (alt[0].word == "" && alt[0].arg == "") || len(rest) == 0 {
					return nil, nil, fmt.Errorf("an alternative has to begin with a word or a placeholder and to end with %s", close)
				}
				n.alts = append(n.alts, alt)
				toks = rest[1:]
				if rest[0] == close {
					break
				}
			}
		case t == "{" || t == "#{":
			inner, rest, err := parseSeq(toks, "}")
			if err != nil {
				return nil, nil, err
			}
			if len(rest) == 0 || len(inner) == 0 {
				return nil, nil, fmt.Errorf("open or empty {")
			}
			n.repeat, n.counted, toks = inner, t == "#{", rest[1:]
		case strings.HasPrefix(t, "<") && strings.HasSuffix(t, ">"):
			n.arg = t[1 : len(t)-1]
			if argKinds[n.arg] == nil {
				return nil, nil, fmt.Errorf("no kind of argument %q", t)
			}
		case strings.ContainsAny(t, "]})|"):
			return nil, nil, fmt.Errorf("stray %q", t)
		default:
			n.word = t
		}
		s = append(s, n)
	}
	if end != "" {
		return nil, nil, fmt.Errorf("no %s", end)
	}
	return s, nil, nil
}

// spell writes a call of f that uses the option force, or any if force is empty, and adds the labels of
// what it used.
func (g *gen) spell(f *form, force string) (args, used []string) {
	used = []string{f.name}
	var walk func(s seq)
	emit := func(n node) {
		switch {
		case n.word != "":
			w := n.word
			if g.chance(0.1) && w == strings.ToUpper(w) {
				w = strings.ToLower(w)
			}
			args = append(args, w)
		case n.arg != "":
			args = append(args, argKinds[n.arg](g))
		case n.isChoice():
			pick := -1
			for i, alt := range n.alts {
				if force != "" && (n.labels[i] == force || holds(alt, force)) {
					pick = i
				}
			}
			if pick < 0 && n.optional && g.chance(0.55) {
				return
			}
			if pick < 0 {
				pick = g.IntN(len(n.alts))
			}
			used = append(used, n.labels[pick])
			walk(n.alts[pick])
		default:
			times := 1 + g.IntN(2)
			if g.chance(0.2) {
				times = 3 + g.IntN(2)
			}
			if n.counted {
				args = append(args, strconv.Itoa(times))
			}
			for range times {
				walk(n.repeat)
			}
		}
	}
	walk = func(s seq) {
		order := make([]int, len(s))
		for i := range order {
			order[i] = i
		}
		if g.chance(0.25) {
			for i := 0; i < len(s); {
				j := i
				for j < len(s) && s[j].isChoice() && s[j].optional {
					j++
				}
				g.Shuffle(j-i, func(a, b int) { order[i+a], order[i+b] = order[i+b], order[i+a] })
				i = max(j, i+1)
			}
		}
		for _, i := range order {
			emit(s[i])
		}
	}
	walk(f.body)
	return args, used
}

// holds tells whether the label is that of an alternative somewhere within s.
func holds(s seq, label string) bool {
	return slices.ContainsFunc(s, func(n node) bool {
		return slices.Contains(n.labels, label) || slices.ContainsFunc(n.alts, func(a seq) bool { return holds(a, label) }) || holds(n.repeat, label)
	})
}

// Step is one call of a script, and the name of its comparer.
type Step struct {
	Args []string
	Cmp  string
}

// String writes the step as a line that ParseStep reads.
func (s Step) String() string {
	var b strings.Builder
	if s.Cmp != "" {
		b.WriteString("@" + s.Cmp)
	}
	for _, a := range s.Args {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		plain := a != "" && !strings.ContainsFunc(a, func(r rune) bool {
			return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' || r == '"' || r == '\\'
		})
		if plain && !strings.HasPrefix(a, "@") {
			b.WriteString(a)
		} else {
			b.WriteString(quote(a))
		}
	}
	return b.String()
}

// quote is strconv.Quote for bytes: no byte of an argument is taken for a part of a rune.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= ' ' && c < 0x7f:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// ParseStep reads what Step.String writes.
func ParseStep(line string) (Step, error) {
	var s Step
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimLeft(rest, " ") {
		var a string
		if rest[0] == '"' {
			q, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return s, fmt.Errorf("%s: %w", rest, err)
			}
			if a, err = strconv.Unquote(q); err != nil {
				return s, fmt.Errorf("%s: %w", q, err)
			}
			rest = rest[len(q):]
		} else {
			a, rest, _ = strings.Cut(rest, " ")
			if a[0] == '@' && len(s.Args) == 0 && s.Cmp == "" {
				s.Cmp = a[1:]
				if c := comparers[s.Cmp]; c.same == nil && c.run == nil {
					return s, fmt.Errorf("no comparer %q", s.Cmp)
				}
				continue
			}
		}
		s.Args = append(s.Args, a)
	}
	return s, nil
}
