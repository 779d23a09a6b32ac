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
// even "*". It is a leaf: it imports nothing and keeps nothing.
package glob

// Match tells whether s matches a pattern. The work is bounded by the product
// of their lengths: only the last star is ever tried again.
func Match[P, S ~string | ~[]byte](pattern P, s S) bool { return match(pattern, s, false) }

// MatchFold is Match for ASCII letters of either case.
func MatchFold[P, S ~string | ~[]byte](pattern P, s S) bool { return match(pattern, s, true) }

func match[P, S ~string | ~[]byte](pattern P, s S, fold bool) bool {
	if len(s) == 0 {
		return len(pattern) == 0
	}
	p, n := 0, 0
	star, mark := -1, 0 // behind the last star, and where it lets s go on
	for n < len(s) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				if p++; p == len(pattern) {
					return true
				}
				star, mark = p, n
				continue
			}
			if width, ok := one(pattern[p:], s[n], fold); ok {
				p += width
				n++
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, n = star, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// one matches c with the first element of a pattern that is neither empty nor
// a star, and returns the element's length.
func one[P ~string | ~[]byte](pattern P, c byte, fold bool) (width int, ok bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		return class(pattern, c, fold)
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c || fold && lower(pattern[1]) == lower(c)
		}
	}
	return 1, pattern[0] == c || fold && lower(pattern[0]) == lower(c)
}

func class[P ~string | ~[]byte](pattern P, c byte, fold bool) (width int, ok bool) {
	i := 1
	not := i < len(pattern) && pattern[i] == '^'
	if not {
		i++
	}
	match := false
	for ; i < len(pattern) && pattern[i] != ']'; i++ {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			match = match || pattern[i] == c // of this case alone, even if folding
		case i+2 < len(pattern) && pattern[i+1] == '-':
			lo, hi, v := int8(pattern[i]), int8(pattern[i+2]), int8(c)
			if lo > hi {
				lo, hi = hi, lo
			}
			if fold {
				lo, hi, v = int8(lower(byte(lo))), int8(lower(byte(hi))), int8(lower(c))
			}
			match = match || v >= lo && v <= hi
			i += 2
		default:
			match = match || pattern[i] == c || fold && lower(pattern[i]) == lower(c)
		}
	}
	return min(i+1, len(pattern)), match != not
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
