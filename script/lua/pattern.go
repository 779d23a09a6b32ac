package lua

import "strings"

// Lua's patterns. A pattern is translated once into items, which a cache keeps: a set such
// as [%w_] is then four words of bits. The meaning is PUC's to the letter, with two bounds
// that PUC lacks: matching counts steps, and it nests maxMatchDepth deep at most.

const (
	maxCaptures   = 32
	maxMatchDepth = 200 // as Lua 5.2 and later have it; PUC 5.1 fills the C stack
)

// charSet has a bit for each byte.
type charSet [4]uint64

func (s *charSet) has(c byte) bool { return s[c>>6]>>(c&63)&1 != 0 }
func (s *charSet) add(c byte)      { s[c>>6] |= 1 << (c & 63) }

// classes holds the sets of %a, %c and so on under their small letters.
var classes = func() (sets [128]*charSet) {
	define := func(letter byte, in func(c byte) bool) {
		sets[letter] = new(charSet)
		for c := 0; c < 256; c++ {
			if in(byte(c)) {
				sets[letter].add(byte(c))
			}
		}
	}
	lower := func(c byte) bool { return c-'a' < 26 }
	upper := func(c byte) bool { return c-'A' < 26 }
	alnum := func(c byte) bool { return lower(c) || upper(c) || isDigit(c) }
	define('a', func(c byte) bool { return lower(c) || upper(c) })
	define('c', func(c byte) bool { return c < 32 || c == 127 })
	define('d', isDigit)
	define('l', lower)
	define('p', func(c byte) bool { return c > 32 && c < 127 && !alnum(c) })
	define('s', isSpace)
	define('u', upper)
	define('w', alnum)
	define('x', func(c byte) bool { return hexValue(c) != 255 })
	define('z', func(c byte) bool { return c == 0 })
	return sets
}()

// addClass adds what %c matches; where c is no letter of a class, that is c itself.
func (s *charSet) addClass(c byte) {
	var class *charSet
	if c < 128 {
		class = classes[c|0x20]
	}
	switch {
	case class == nil || c|0x20-'a' >= 26:
		s.add(c)
	case c >= 'a':
		for i := range s {
			s[i] |= class[i]
		}
	default:
		for i := range s {
			s[i] |= ^class[i]
		}
	}
}

type patOp uint8

const (
	patEnd      patOp = iota // the end of the pattern: it matched
	patChar                  // the byte c
	patAny                   // any byte
	patSet                   // a byte of the set
	patOpen                  // a capture begins
	patPosition              // a capture of the position
	patClose                 // a capture ends
	patBackref               // what capture c (a digit) has matched
	patBalance               // %bxy
	patFrontier              // %f[set]
	patTail                  // $ at the end
	patFail                  // malformed from here on: an error if matching gets here
)

// A patItem is one item of a pattern with its suffix.
type patItem struct {
	op     patOp
	suffix byte // 0, ?, *, + or -
	c, c2  byte
	set    charSet
	fail   string // the message of patFail
}

type pattern struct {
	text  string
	items []patItem
	// first is an item that every match begins with, or nil: where it does not take a
	// byte no match needs to be tried.
	first *patItem
}

// patItemSize is what one byte of a pattern costs at most once it is translated.
const patItemSize = 64

// size is how many bytes the pattern takes, where the cache does not keep it.
func (pat *pattern) size() int {
	if len(pat.text) <= maxCachedPattern {
		return 0
	}
	return cap(pat.items) * patItemSize
}

// compilePattern translates p. Errors are found when matching reaches them, as in PUC.
func compilePattern(s *State, p string) (*pattern, error) {
	pat := &pattern{text: p, items: make([]patItem, 0, min(len(p), 1<<16)+1)}
	if err := pat.translate(s, p); err != nil {
		return nil, err
	}
	i := 0
	for i < 4 && (pat.items[i].op == patOpen || pat.items[i].op == patPosition) {
		i++
	}
	switch it := &pat.items[i]; it.op {
	case patChar, patSet:
		if it.suffix == 0 || it.suffix == '+' {
			pat.first = it
		}
	}
	return pat, nil
}

// translate makes the items of p, and ends early at an interrupt.
func (pat *pattern) translate(s *State, p string) error {
	at := func(i int) byte { // PUC's patterns are C strings: a zero byte ends them
		if i < len(p) {
			return p[i]
		}
		return 0
	}
	fail := func(message string) {
		pat.items = append(pat.items, patItem{op: patFail, fail: message})
	}
	const atOnce = 1 << 10
	for i := 0; ; {
		if len(pat.items)%atOnce == atOnce-1 {
			if err := s.Step(8 * atOnce); err != nil {
				return err
			}
		}
		var it patItem
		switch c := at(i); c {
		case 0:
			pat.items = append(pat.items, patItem{op: patEnd})
			return nil
		case '(':
			it.op = patOpen
			if i++; at(i) == ')' {
				it.op = patPosition
				i++
			}
			pat.items = append(pat.items, it)
			continue
		case ')':
			i++
			pat.items = append(pat.items, patItem{op: patClose})
			continue
		case '$':
			if at(i+1) == 0 {
				pat.items = append(pat.items, patItem{op: patTail})
				return nil
			}
			it.op, it.c = patChar, '$'
			i++
		case '%':
			switch c := at(i + 1); {
			case c == 'b':
				if at(i+2) == 0 || at(i+3) == 0 {
					fail("unbalanced pattern")
					return nil
				}
				pat.items = append(pat.items, patItem{op: patBalance, c: p[i+2], c2: p[i+3]})
				i += 4
				continue
			case c == 'f':
				i += 2
				if at(i) != '[' {
					fail("missing '[' after '%f' in pattern")
					return nil
				}
				end := setEnd(p, i)
				if end < 0 {
					fail("malformed pattern (missing ']')")
					return nil
				}
				it.op = patFrontier
				it.readSet(p[i:end])
				pat.items = append(pat.items, it)
				i = end
				continue
			case isDigit(c):
				pat.items = append(pat.items, patItem{op: patBackref, c: c})
				i += 2
				continue
			case c == 0:
				fail("malformed pattern (ends with '%')")
				return nil
			case c < 128 && classes[c|0x20] != nil && c|0x20-'a' < 26:
				it.op = patSet
				it.set.addClass(c)
			default:
				it.op, it.c = patChar, c
			}
			i += 2
		case '[':
			end := setEnd(p, i)
			if end < 0 {
				fail("malformed pattern (missing ']')")
				return nil
			}
			it.op = patSet
			it.readSet(p[i:end])
			i = end
		case '.':
			it.op = patAny
			i++
		default:
			it.op, it.c = patChar, c
			i++
		}
		switch c := at(i); c {
		case '?', '*', '+', '-':
			it.suffix = c
			i++
		}
		pat.items = append(pat.items, it)
	}
}

// setEnd is where the set that begins at p[i] ends, or -1.
func setEnd(p string, i int) int {
	i++
	if i < len(p) && p[i] == '^' {
		i++
	}
	for { // the first byte belongs to the set even if it is ]
		if i >= len(p) || p[i] == 0 {
			return -1
		}
		c := p[i]
		i++
		if c == '%' && i < len(p) && p[i] != 0 {
			i++
		}
		if i < len(p) && p[i] == ']' {
			return i + 1
		}
	}
}

// readSet reads the set p, which begins with [ and ends with ].
func (it *patItem) readSet(p string) {
	i, end := 1, len(p)-1
	negate := false
	if p[1] == '^' {
		negate = true
		i++
	}
	for ; i < end; i++ {
		switch {
		case p[i] == '%':
			i++
			it.set.addClass(p[i])
		case p[i+1] == '-' && i+2 < end:
			for c := int(p[i]); c <= int(p[i+2]); c++ {
				it.set.add(byte(c))
			}
			i += 2
		default:
			it.set.add(p[i])
		}
	}
	if negate {
		for i := range it.set {
			it.set[i] = ^it.set[i]
		}
	}
}

// isPlain tells whether p means itself.
func (s *State) isPlain(p string) (bool, error) {
	if len(p) < longText {
		return !hasSpecials(p), nil
	}
	return aside(s, func() bool { return !hasSpecials(p) })
}

// hasSpecials tells whether p must be matched as a pattern. PUC looks up to a zero byte only.
func hasSpecials(p string) bool {
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '^', '$', '*', '+', '?', '.', '(', '[', '%', '-':
			return true
		case 0:
			return false
		}
	}
	return false
}

// patternCache keeps the patterns that were used last.
type patternCache [64]*pattern

// maxCachedPattern is the length of the longest pattern that is kept.
const maxCachedPattern = 256

func (c *patternCache) get(s *State, p string) (*pattern, error) {
	n := len(p)
	if n == 0 || n > maxCachedPattern {
		return compilePattern(s, p)
	}
	slot := &c[(n*7+int(p[0])*31+int(p[n-1])+int(p[n/2])*5)%len(c)]
	if *slot == nil || (*slot).text != p {
		pat, err := compilePattern(s, strings.Clone(p)) // p may be a view of something large
		if err != nil {
			return nil, err
		}
		*slot = pat
	}
	return *slot, nil
}

const (
	capUnfinished = -1
	capPosition   = -2
)

// What match returns beside positions.
const (
	noMatch    = -1
	matchError = -2
)

// A matcher is one use of a pattern on a text.
type matcher struct {
	src     string
	items   []patItem
	depth   int
	steps   int // counted since the last look
	level   int // captures so far, finished or not
	state   *State
	err     error  // what ended the match, if not a fault of the pattern
	fail    string // the message of an error in the pattern
	capture [maxCaptures]struct{ start, n int }
}

// lookEach is after how many steps a matcher asks whether it may go on.
const lookEach = 2000

// start is where, from s on, the next match may begin, or -1.
func (m *matcher) start(first *patItem, s int) int {
	if first == nil {
		return s
	}
	if s >= len(m.src) {
		return -1
	}
	i := 0
	rest := m.src[s:]
	if first.op == patChar {
		if i, m.err = m.state.indexByte(rest, first.c); i < 0 || m.err != nil {
			m.steps += len(rest) / 32
			return -1
		}
		m.steps += i / 32
	} else {
		set := first.set
		for i < len(rest) && set[rest[i]>>6]>>(rest[i]&63)&1 == 0 {
			if i++; i&0xffff == 0 {
				if m.steps += 0x10000 / 4; !m.stepsDue() {
					return -1
				}
			}
		}
		m.steps += i & 0xffff / 4
		if i == len(rest) {
			return -1
		}
	}
	return s + i
}

func (m *matcher) failed(message string) int {
	m.fail = message
	return matchError
}

// stepsDue hands the steps on; false is an end by interrupt.
func (m *matcher) stepsDue() bool {
	n := m.steps
	m.steps = 0
	m.err = m.state.Step(n)
	return m.err == nil
}

// one tells whether the item, without its suffix, takes the byte c.
func (it *patItem) one(c byte) bool {
	switch it.op {
	case patChar:
		return c == it.c
	case patAny:
		return true
	}
	return it.set.has(c)
}

// match matches the items from pi on at s. It returns where the match ends, or noMatch or
// matchError.
func (m *matcher) match(s, pi int) int {
	if m.depth++; m.depth > maxMatchDepth {
		return m.failed("pattern too complex")
	}
	end := m.run(s, pi)
	m.depth--
	return end
}

func (m *matcher) run(s, pi int) int {
	src := m.src
	for {
		if m.steps++; m.steps >= lookEach && !m.stepsDue() {
			return matchError
		}
		it := &m.items[pi]
		switch it.op {
		case patEnd:
			return s
		case patChar:
			if it.suffix == 0 {
				if s >= len(src) || src[s] != it.c {
					return noMatch
				}
				s++
				pi++
				continue
			}
		case patAny, patSet:
			if it.suffix == 0 {
				if s >= len(src) || it.op == patSet && !it.set.has(src[s]) {
					return noMatch
				}
				s++
				pi++
				continue
			}
		case patOpen, patPosition:
			if m.level >= maxCaptures {
				return m.failed("too many captures")
			}
			c := &m.capture[m.level]
			c.start, c.n = s, capUnfinished
			if it.op == patPosition {
				c.n = capPosition
			}
			m.level++
			end := m.match(s, pi+1)
			if end == noMatch {
				m.level--
			}
			return end
		case patClose:
			l := m.level - 1
			for l >= 0 && m.capture[l].n != capUnfinished {
				l--
			}
			if l < 0 {
				return m.failed("invalid pattern capture")
			}
			c := &m.capture[l]
			c.n = s - c.start
			if m.items[pi+1].op == patEnd {
				return s
			}
			end := m.match(s, pi+1)
			if end == noMatch {
				c.n = capUnfinished
			}
			return end
		case patBackref:
			l := int(it.c) - '1'
			if l < 0 || l >= m.level || m.capture[l].n == capUnfinished {
				return m.failed("invalid capture index")
			}
			c := m.capture[l]
			if c.n == capPosition || len(src)-s < c.n || src[c.start:c.start+c.n] != src[s:s+c.n] {
				return noMatch
			}
			m.steps += c.n / 16
			s += c.n
			pi++
			continue
		case patBalance:
			if s = m.balance(s, it.c, it.c2); s < 0 {
				return s
			}
			pi++
			continue
		case patFrontier:
			var before, here byte
			if s > 0 {
				before = src[s-1]
			}
			if s < len(src) {
				here = src[s]
			}
			if it.set.has(before) || !it.set.has(here) {
				return noMatch
			}
			pi++
			continue
		case patTail:
			if s == len(src) {
				return s
			}
			return noMatch
		case patFail:
			return m.failed(it.fail)
		}
		switch it.suffix { // what is left are single bytes with a suffix
		case '?':
			if s < len(src) && it.one(src[s]) {
				if end := m.match(s+1, pi+1); end != noMatch {
					return end
				}
			}
			pi++
		case '*':
			return m.most(s, s, pi)
		case '+':
			if s >= len(src) || !it.one(src[s]) {
				return noMatch
			}
			return m.most(s+1, s+1, pi)
		case '-':
			return m.least(s, pi)
		}
	}
}

// balance is the end of the balanced text that begins at s, or noMatch.
func (m *matcher) balance(s int, open, shut byte) int {
	src := m.src
	if s >= len(src) || src[s] != open {
		return noMatch
	}
	begin, nest := s, 1
	for s++; s < len(src); s++ {
		if (s-begin)&0xffff == 0 {
			if m.steps += 0x10000 / 4; !m.stepsDue() {
				return matchError
			}
		}
		switch src[s] {
		case shut:
			if nest--; nest == 0 {
				m.steps += (s - begin) & 0xffff / 4
				return s + 1
			}
		case open:
			nest++
		}
	}
	m.steps += (s - begin) & 0xffff / 4
	return noMatch
}

// most takes as many bytes from s on as the item takes, and gives back one after the other
// down to least.
func (m *matcher) most(s, least, pi int) int {
	src := m.src
	it := &m.items[pi]
	e := s
	for end := s; e == end && end < len(src); {
		if e > s {
			if m.steps += 0x10000 / 4; !m.stepsDue() {
				return matchError
			}
		}
		end = min(e+0x10000, len(src))
		switch it.op {
		case patChar:
			for e < end && src[e] == it.c {
				e++
			}
		case patAny:
			e = len(src)
		default:
			set := it.set
			for e < end && set[src[e]>>6]>>(src[e]&63)&1 != 0 {
				e++
			}
		}
	}
	m.steps += (e - s) & 0xffff / 4
	next := &m.items[pi+1]
	if next.op == patEnd {
		return e
	}
	only := next.op == patChar && (next.suffix == 0 || next.suffix == '+')
	for ; e >= least; e-- {
		if only && (e >= len(src) || src[e] != next.c) {
			if m.steps++; m.steps >= lookEach && !m.stepsDue() {
				return matchError
			}
			continue
		}
		if end := m.match(e, pi+1); end != noMatch {
			return end
		}
	}
	return noMatch
}

// least takes as few bytes as lead to a match.
func (m *matcher) least(s, pi int) int {
	it := &m.items[pi]
	for {
		if end := m.match(s, pi+1); end != noMatch {
			return end
		}
		if s >= len(m.src) || !it.one(m.src[s]) {
			return noMatch
		}
		s++
	}
}

// captured is capture i of a match of src[s:e]. Where pos is not 0 it is a position.
func (m *matcher) captured(i, s, e int) (text string, pos int, ok bool) {
	if i >= m.level {
		if i > 0 {
			m.fail = "invalid capture index"
			return "", 0, false
		}
		return m.src[s:e], 0, true
	}
	c := m.capture[i]
	switch c.n {
	case capUnfinished:
		m.fail = "unfinished capture"
		return "", 0, false
	case capPosition:
		return "", c.start + 1, true
	}
	return m.src[c.start : c.start+c.n], 0, true
}
