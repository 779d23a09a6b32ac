package array

import (
	"bytes"
	"math"
	"regexp"

	"kvd/command"
	"kvd/glob"
	"kvd/resp/wire"
	"kvd/types"
	"kvd/types/array"
)

// ARGREP and AROP.

const (
	predicatesMost = 250
	regexpMost     = 2048 // bytes
)

// predicate tells whether a value matches, and weight how much work that is.
type predicate struct {
	match  func(v []byte) bool
	weight int
}

// grep is what ARGREP was asked for.
type grep struct {
	span
	preds              []predicate
	all, values, lower bool
	limit, weight      int
}

// bound reads argument i as an index, or one of the ends.
func bound(c *command.Ctx, i int) (uint64, bool) {
	switch string(c.Args[i]) {
	case "-":
		return 0, true
	case "+":
		return array.MaxIndex, true
	}
	return index(c, i)
}

// parseGrep reads ARGREP's arguments; where something is wrong, that is replied. Nothing
// of it aliases them.
func parseGrep(c *command.Ctx) (g grep, ok bool) {
	start, ok := bound(c, 2)
	if !ok {
		return g, false
	}
	end, ok := bound(c, 3)
	if !ok {
		return g, false
	}
	g.span, g.limit = newSpan(start, end), math.MaxInt
	var kinds []byte // the first letters of the predicates
	var texts [][]byte
	for i := 4; i < len(c.Args); i++ {
		kind := byte(0)
		switch {
		case c.Word(i, "and"):
			g.all = true
		case c.Word(i, "or"):
			g.all = false
		case c.Word(i, "nocase"):
			g.lower = true
		case c.Word(i, "withvalues"):
			g.values = true
		case c.Word(i, "limit") && i+1 < len(c.Args):
			i++
			if g.limit, ok = limitArg(c, i); !ok {
				return g, false
			}
		case c.Word(i, "exact"):
			kind = 'e'
		case c.Word(i, "match"):
			kind = 'm'
		case c.Word(i, "glob"):
			kind = 'g'
		case c.Word(i, "re"):
			kind = 'r'
		default:
			c.Err(command.ErrSyntax)
			return g, false
		}
		if kind == 0 {
			continue
		}
		if i++; i == len(c.Args) {
			c.Err(command.ErrSyntax)
			return g, false
		}
		if len(kinds) == predicatesMost {
			c.Err("ERR too many predicates, the maximum is 250")
			return g, false
		}
		kinds, texts = append(kinds, kind), append(texts, c.Args[i])
	}
	if len(kinds) == 0 {
		c.Err(command.ErrSyntax)
		return g, false
	}
	for i, kind := range kinds {
		p, refused := newPredicate(kind, texts[i], g.lower)
		if refused != "" {
			c.Err(refused)
			return g, false
		}
		g.preds = append(g.preds, p)
		g.weight += p.weight
	}
	return g, true
}

// newPredicate is a predicate; lower says that letters match in either case, and that
// EXACT and MATCH are given values in lower case. refused is the error to be replied.
func newPredicate(kind byte, text []byte, lower bool) (p predicate, refused string) {
	switch kind {
	case 'g':
		g := glob.Compile(text)
		if lower {
			g = glob.CompileFold(text)
		}
		p = predicate{g.Match, 4}
		if g.Hard() {
			p.weight = 100
		}
	case 'r':
		re, refused := compile(text, lower)
		if refused != "" {
			return p, refused
		}
		p = predicate{re.Match, 50}
	default:
		text = bytes.Clone(text)
		if lower {
			text = appendLower(nil, text)
		}
		p = predicate{func(v []byte) bool { return bytes.Equal(v, text) }, 1}
		if kind == 'm' {
			p.match = func(v []byte) bool { return bytes.Contains(v, text) }
		}
	}
	return p, ""
}

// compile reads a regular expression. Those of Go take time linear in the value, whatever
// the expression.
func compile(text []byte, lower bool) (re *regexp.Regexp, refused string) {
	switch {
	case len(text) == 0:
		return nil, "ERR regular expression is empty"
	case len(text) > regexpMost:
		return nil, "ERR regular expression is too long, the maximum is 2048 bytes"
	}
	for i := 0; i+1 < len(text); i++ {
		if text[i] == '\\' {
			if i++; text[i] >= '1' && text[i] <= '9' {
				return nil, "ERR backreferences are not supported in regular expressions"
			}
		}
	}
	flags := "(?s)"
	if lower {
		flags = "(?is)"
	}
	re, err := regexp.Compile(flags + string(text))
	if err != nil {
		return nil, "ERR invalid regular expression"
	}
	return re, ""
}

func appendLower(dst, b []byte) []byte {
	for _, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

func cmdGrep(c *command.Ctx) {
	g, ok := parseGrep(c)
	if !ok {
		return
	}
	if a, ok := reading(c); ok {
		read(c, a, g.most(a), g.weight, g.write)
	}
}

func (g *grep) write(w *wire.Writer, a *array.Array) {
	at, n := w.DeferArray(), 0
	var value, lower []byte
	g.each(a, func(i uint64, e types.Elem) bool {
		v := e.S
		if e.IsInt() {
			value = e.Append(value[:0])
			v = value
		}
		if g.lower {
			lower = appendLower(lower[:0], v)
			v = lower
		}
		matches := g.all
		for k := range g.preds {
			if g.preds[k].match(v) != g.all {
				matches = !g.all
				break
			}
		}
		if !matches {
			return true
		}
		if g.values {
			writePair(w, i, e)
		} else {
			writeIndex(w, i)
		}
		n++
		return n < g.limit
	})
	w.SetArray(at, n)
}

// sums are what AROP may be asked for, of some elements. Integers stay exact where they
// are all there is.
type sums struct {
	n             int // numbers
	ints          bool
	sum           int64
	float         float64 // the sum
	low, high     float64
	lowInt        int64 // where low, or high, is an integer's
	highInt       int64
	lowIs, highIs bool
	and, or, xor  int64
}

// add counts a number; exact says that it is i.
func (s *sums) add(f float64, i int64, exact bool) {
	if s.n == 0 {
		s.ints, s.and = true, -1
	}
	if s.ints = s.ints && exact; s.ints {
		t := s.sum + i
		if (t > s.sum) == (i > 0) {
			s.sum = t
		} else {
			s.ints = false // it does not fit
		}
	}
	s.float += f
	if s.n == 0 || f < s.low || f == s.low && exact && s.lowIs && i < s.lowInt {
		s.low, s.lowInt, s.lowIs = f, i, exact
	}
	if s.n == 0 || f > s.high || f == s.high && exact && s.highIs && i > s.highInt {
		s.high, s.highInt, s.highIs = f, i, exact
	}
	s.and &= i
	s.or |= i
	s.xor ^= i
	s.n++
}

// truncate is a float as an integer, rounded towards zero, the nearest there is.
func truncate(f float64) int64 {
	switch {
	case f >= 1<<63:
		return math.MaxInt64
	case f < -1<<63:
		return math.MinInt64
	}
	return int64(f)
}

func (s *sums) elem(e types.Elem) {
	if e.IsInt() {
		s.add(float64(e.I), e.I, true)
		return
	}
	if len(e.S) == 0 || len(e.S) > 64 { // no number is longer
		return
	}
	if f, ok := wire.ParseDouble(e.S); ok {
		s.add(f, truncate(f), false)
	}
}

func cmdOp(c *command.Ctx) {
	s, ok := rangeOf(c)
	if !ok {
		return
	}
	s.back = false
	op := ""
	for _, word := range [...]string{"sum", "min", "max", "and", "or", "xor", "match", "used"} {
		if c.Word(4, word) {
			op = word
		}
	}
	args := 5
	if op == "match" {
		args = 6
	}
	if op == "" || len(c.Args) != args {
		c.Err(command.ErrSyntax)
		return
	}
	a, ok := reading(c)
	if !ok {
		return
	}
	if op == "used" || op == "match" {
		counts := func(types.Elem) bool { return true }
		if op == "match" {
			value := bytes.Clone(c.Args[5])
			counts = func(e types.Elem) bool { return e.Equal(value) }
		}
		read(c, a, s.most(a), 1, func(w *wire.Writer, a *array.Array) {
			n := 0
			s.each(a, func(_ uint64, e types.Elem) bool {
				if counts(e) {
					n++
				}
				return true
			})
			w.Int(int64(n))
		})
		return
	}
	read(c, a, s.most(a), 2, func(w *wire.Writer, a *array.Array) {
		var t sums
		s.each(a, func(_ uint64, e types.Elem) bool { t.elem(e); return true })
		number := func(f float64, i int64, exact bool) {
			if exact {
				w.BulkInt(i)
			} else {
				w.Bulk(wire.AppendFloat(nil, f))
			}
		}
		switch {
		case t.n == 0:
			w.Null()
		case op == "sum":
			number(t.float, t.sum, t.ints)
		case op == "min":
			number(t.low, t.lowInt, t.lowIs)
		case op == "max":
			number(t.high, t.highInt, t.highIs)
		case op == "and":
			w.Int(t.and)
		case op == "or":
			w.Int(t.or)
		default:
			w.Int(t.xor)
		}
	})
}
