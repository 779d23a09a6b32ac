// Package glob matches the patterns of KEYS, SCAN, PSUBSCRIBE, CONFIG GET and
// the like, exactly as Redis does (stringmatchlen of its src/util.c):
//
//   - any bytes, none included
//     ?        any byte
//     [ab0-9]  one of these; [^ab] none of these; \ takes the next as it is.
//     Without its ] a class reaches to the end of the pattern. The ends of
//     a range may stand in any order; they compare as signed bytes.
//     \x       the byte x
//
// and, as there, no pattern but the empty one matches the empty string, not
// even "*". It is a leaf: it imports no other room and keeps nothing.
package glob

import "bytes"

// Pattern is a pattern made ready to be matched many times. It never changes, so
// any number of goroutines may use one.
//
// What lies between two stars matches a fixed number of bytes. So the first piece
// is compared with the start of the text, the last one with its end, and each of
// the others is searched for behind the one before, where the first place that
// fits is as good as any.
type Pattern struct {
	empty  bool    // it is ""
	stars  bool    // there is a star
	head   bool    // it begins with a star
	tail   bool    // it ends with one
	pieces []piece // between the stars; none is empty
	sets   []set   // of the classes
	wide   int     // elements of the longest piece that has some and may have to be searched for
}

// piece is a part of a pattern without a star: plain bytes, or elements if
// some of them are none.
type piece struct {
	plain []byte
	elems []elem
}

// slowSteps is what Slow calls many: some 100 us.
const slowSteps = 1 << 16

// Hard tells whether the work for a text may be more than linear in its length.
func (p *Pattern) Hard() bool { return p.wide > 64 }

// Slow tells whether to match a text of n bytes may take so many steps that
// nobody should wait for it.
func (p *Pattern) Slow(n int) bool { return p.Hard() && p.wide/64*n > slowSteps }

func (p *piece) size() int { return max(len(p.plain), len(p.elems)) }

// elem matches one byte: itself if it is below anyByte, or any one, or what
// the class of number elem - firstSet has.
type elem uint32

const (
	anyByte  elem = 256
	firstSet elem = 257
)

// set is a set of bytes.
type set [4]uint64

func (s *set) has(c byte) bool { return s[c>>6]>>(c&63)&1 != 0 }
func (s *set) add(c byte)      { s[c>>6] |= 1 << (c & 63) }

// addRun adds the bytes from lo to hi.
func (s *set) addRun(lo, hi byte) {
	for w := lo >> 6; w <= hi>>6; w++ {
		mask := ^uint64(0)
		if w == lo>>6 {
			mask <<= lo & 63
		}
		if w == hi>>6 {
			mask &= ^uint64(0) >> (63 - hi&63)
		}
		s[w] |= mask
	}
}

// Match tells whether s matches a pattern that is needed once; see Compile.
func Match(pattern, s []byte) bool { return Compile(pattern).Match(s) }

// Compile makes a pattern ready, in time linear in its length. It keeps no part
// of it.
func Compile(pattern []byte) *Pattern { return compile(pattern, false) }

// CompileFold is Compile for ASCII letters of either case.
func CompileFold(pattern []byte) *Pattern { return compile(pattern, true) }

func compile(pattern []byte, fold bool) *Pattern {
	p := &Pattern{empty: len(pattern) == 0}
	var plain []byte
	var elems []elem // in use, with all that is in plain, once something is not plain
	end := func() {
		switch {
		case elems != nil:
			p.pieces = append(p.pieces, piece{elems: elems})
		case len(plain) > 0:
			p.pieces = append(p.pieces, piece{plain: plain})
		}
		plain, elems = nil, nil
	}
	add := func(e elem) {
		if e < anyByte && elems == nil {
			plain = append(plain, byte(e))
			return
		}
		if elems == nil {
			for _, c := range plain {
				elems = append(elems, elem(c))
			}
		}
		elems = append(elems, e)
	}
	addSet := func(s set) {
		add(firstSet + elem(len(p.sets)))
		p.sets = append(p.sets, s)
	}
	literal := func(c byte) {
		if l := lower(c); fold && l >= 'a' && l <= 'z' {
			var s set
			s.add(l)
			s.add(l - 'a' + 'A')
			addSet(s)
			return
		}
		add(elem(c))
	}
	for i := 0; i < len(pattern); {
		switch c := pattern[i]; {
		case c == '*':
			p.stars = true
			p.head = p.head || i == 0
			p.tail = i+1 == len(pattern)
			end()
			i++
		case c == '?':
			add(anyByte)
			i++
		case c == '[':
			s, width := class(pattern[i:], fold)
			addSet(s)
			i += width
		case c == '\\' && i+1 < len(pattern):
			literal(pattern[i+1])
			i += 2
		default:
			literal(c)
			i++
		}
	}
	end()
	for i := range p.pieces {
		if p.stars {
			p.wide = max(p.wide, len(p.pieces[i].elems))
		}
	}
	return p
}

// class reads a class at the start of a pattern, and says how long it is there.
func class(pattern []byte, fold bool) (s set, width int) {
	// The bytes of folded stand for letters of either case. Both are ordered as
	// signed bytes, so that ranges are runs.
	var exact, folded set
	const sign = 0x80
	i := 1
	not := i < len(pattern) && pattern[i] == '^'
	if not {
		i++
	}
	for ; i < len(pattern) && pattern[i] != ']'; i++ {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			exact.add(pattern[i] ^ sign) // of this case alone, even if folding
		case i+2 < len(pattern) && pattern[i+1] == '-':
			lo, hi := pattern[i]^sign, pattern[i+2]^sign
			if lo > hi {
				lo, hi = hi, lo
			}
			if !fold {
				exact.addRun(lo, hi)
			} else if lo, hi = lower(lo^sign)^sign, lower(hi^sign)^sign; lo <= hi {
				folded.addRun(lo, hi)
			}
			i += 2
		case fold:
			folded.add(lower(pattern[i]) ^ sign)
		default:
			exact.add(pattern[i] ^ sign)
		}
	}
	for c := range 256 {
		if b := byte(c); (exact.has(b^sign) || folded.has(lower(b)^sign)) != not {
			s.add(b)
		}
	}
	return s, min(i+1, len(pattern))
}

// Match tells whether s matches the pattern. Where pieces are plain the work is
// linear in s; else it is at most a 64th of the product of both lengths.
func (p *Pattern) Match(s []byte) bool {
	if len(s) == 0 || p.empty {
		return len(s) == 0 && p.empty
	}
	pieces := p.pieces
	if !p.head && len(pieces) > 0 {
		first := &pieces[0]
		if n := first.size(); len(s) < n || !p.at(first, s) {
			return false
		} else if s = s[n:]; !p.stars {
			return len(s) == 0
		}
		pieces = pieces[1:]
	}
	if !p.tail && len(pieces) > 0 {
		last := &pieces[len(pieces)-1]
		from := len(s) - last.size()
		if from < 0 || !p.at(last, s[from:]) {
			return false
		}
		s, pieces = s[:from], pieces[:len(pieces)-1]
	}
	for i := range pieces {
		at := p.find(&pieces[i], s)
		if at < 0 {
			return false
		}
		s = s[at+pieces[i].size():]
	}
	return true
}

// at tells whether a piece matches the start of s, which is long enough.
func (p *Pattern) at(x *piece, s []byte) bool {
	if x.elems == nil {
		return string(s[:len(x.plain)]) == string(x.plain)
	}
	for i, e := range x.elems {
		if !p.one(e, s[i]) {
			return false
		}
	}
	return true
}

func (p *Pattern) one(e elem, c byte) bool {
	return e == elem(c) || e == anyByte || e >= firstSet && p.sets[e-firstSet].has(c)
}

// find is the first place in s at which a piece matches, or -1.
func (p *Pattern) find(x *piece, s []byte) int {
	if x.elems == nil {
		return bytes.Index(s, x.plain)
	}
	// Mostly the first elements already decide. Where they do not, every element
	// is tried at once.
	left := 4*len(s) + len(x.elems)
	for at := 0; at+len(x.elems) <= len(s); at++ {
		i := 0
		for i < len(x.elems) && p.one(x.elems[i], s[at+i]) {
			i++
		}
		if i == len(x.elems) {
			return at
		}
		if left -= i + 1; left < 0 {
			if next := p.findWide(x, s[at+1:]); next >= 0 {
				return at + 1 + next
			}
			return -1
		}
	}
	return -1
}

// findWide is find that keeps, in bits, which beginnings of the piece end at the
// byte that it has come to (Baeza-Yates and Gonnet, "A new approach to text
// searching", 1992): 64 elements are tried in one step.
func (p *Pattern) findWide(x *piece, s []byte) int {
	n := len(x.elems)
	var rows [256][]uint64 // which elements match a byte
	state := make([]uint64, (n+63)/64)
	live := 1 // words of state that may be other than 0 after the next byte
	for i, c := range s {
		row := rows[c]
		if row == nil {
			row = make([]uint64, len(state))
			for j, e := range x.elems {
				if p.one(e, c) {
					row[j/64] |= 1 << (j % 64)
				}
			}
			rows[c] = row
		}
		carry, top := uint64(1), 0
		for j := range live {
			w := state[j]
			now := (w<<1 | carry) & row[j]
			carry = w >> 63
			if state[j] = now; now != 0 {
				top = j + 1
			}
		}
		if state[(n-1)/64]>>((n-1)%64)&1 != 0 {
			return i + 1 - n
		}
		live = min(top+1, len(state))
	}
	return -1
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
