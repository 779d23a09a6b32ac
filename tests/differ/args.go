package differ

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// gen makes the arguments and calls of one session, all from one seed.
type gen struct {
	*rand.Rand
	pools    []string // the key pools of the families in the run
	payloads []string // what RESTORE is given: a real Redis's DUMPs
	streamMs int      // about the last ID of the streams
}

func (g *gen) chance(p float64) bool { return g.Float64() < p }

// oneOf picks an element; with a repeated element it is the likelier one.
func oneOf[T any](g *gen, from ...T) T { return from[g.IntN(len(from))] }

// The pools are small, so that calls meet. A pool's first letter says what is mostly in it. The keys with {t} lie in
// one slot, for SCAN to stop among them.
var pools = map[string][]string{
	"s": {"s:0", "s:1", "s:2", "{t}s", "", "s\x00\r\n\xff"}, // strings
	"n": {"n:0", "n:1", "{t}n"},                             // numbers
	"b": {"b:0", "b:1", "b:2", "{t}b"},                      // bits
	"g": {"g:0", "g:1"},                                     // long strings, up to 200 KB
	"l": {"l:0", "l:1", "l:2", "{t}l"},                      // lists
	"e": {"e:0", "e:1", "e:2", "{t}e"},                      // sets
	"h": {"h:0", "h:1", "{t}h"},                             // hashes
	"z": {"z:0", "z:1", "z:2", "{t}z"},                      // sorted sets
	"x": {"x:0", "x:1"},                                     // sorted sets of equal scores
	"w": {"w_1", "w_2", "w_3", "w_a", "w_b", "w_c"},         // weights for SORT
	"o": {"h_1", "h_2", "h_3", "h_a", "h_b"},                // hashes for SORT
	"p": {"p:0", "p:1", "p:2", "{t}p"},                      // positions
	"y": {"y:0", "y:1", "y:2", "{t}y"},                      // HyperLogLogs
	"r": {"r:0", "r:1", "{t}r"},                             // streams
	"m": missing,                                            // mostly missing
}

// missing are so many that most of them are: what writes on them is rare.
var missing = func() []string {
	out := []string{strings.Repeat("missing", 10) + "{x}"}
	for i := range 20 {
		out = append(out, "m:"+strconv.Itoa(i))
	}
	return out
}()

// key picks a key of pool p, now and then a missing one or one of another type.
func (g *gen) key(p string) string {
	switch r := g.Float64(); {
	case r < 0.06:
		p = "m"
	case r < 0.16:
		p = oneOf(g, g.pools...)
	}
	return oneOf(g, pools[p]...)
}

// anyKey picks a key of any pool, save the long strings: what copies and renames keys would spread those to
// commands with a quadratic cost.
func (g *gen) anyKey() string { return oneOf(g, pools[oneOf(g, g.pools...)]...) }

func (g *gen) bytes(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return string(b)
}

func (g *gen) int() string {
	switch g.IntN(10) {
	case 0:
		return oneOf(g, "9223372036854775807", "-9223372036854775808", "9223372036854775806", "-9223372036854775807",
			"9007199254740993", "9007199254740992", "-9007199254740993", "4294967295", "4294967296", "2147483647", "-2147483648")
	case 1:
		return "0"
	case 2:
		return strconv.Itoa(-g.IntN(1000))
	case 3:
		return strconv.FormatInt(g.Int64(), 10)
	case 4:
		return strconv.Itoa(9990 + g.IntN(20))
	default:
		return strconv.Itoa(g.IntN(100))
	}
}

func (g *gen) float() string {
	switch g.IntN(8) {
	case 0:
		return oneOf(g, "3.0e3", "1e-5", "-0", "0.1", "-1.5E2", "1e17", "0x10", "1e300", "-2.5e-10", "+1.5", ".5", "5.")
	case 1:
		return g.int()
	default:
		return strconv.FormatFloat(float64(g.IntN(20001)-10000)/oneOf(g, 1.0, 2, 4, 8, 10, 100, 1000), 'f', -1, 64)
	}
}

// badNumber is what number parsers have to refuse, or take with care. None of these makes a
// server allocate much if it takes it for a length.
func (g *gen) badNumber() string {
	return oneOf(g, "abc", "", " 1", "1 ", "1.5", "-1", "0", "+1", "01", "-0", "0x10", "1e3", "nan", "inf", "-inf", "1\x00", "(1", "[1", "-",
		"9223372036854775807", "-9223372036854775808", "9223372036854775808", "-9223372036854775809", "18446744073709551616",
		"4294967296", "2147483648", "99999999999999999999999999", "1e400", "3.0", "1,5", "infinity", "i64", "#0")
}

func (g *gen) val() string {
	switch g.IntN(16) {
	case 0, 1, 2:
		return g.int()
	case 3:
		return g.float()
	case 4:
		return ""
	case 5:
		return g.bytes(1 + g.IntN(12))
	case 6:
		return strings.Repeat(oneOf(g, "x", "ab", "\x00"), 20+g.IntN(30)) // about where embstr ends
	case 7:
		return g.bytes(100 + g.IntN(400))
	case 8:
		if g.chance(0.2) {
			return strings.Repeat("long ", 200+g.IntN(300))
		}
		return g.badNumber()
	case 9:
		return oneOf(g, "caf\xc3\xa9", "\r\n", "\xff\xfe", "nil", "OK", "$-1\r\n", "\"quoted\"", "a b")
	default:
		return oneOf(g, "hello", "foobar", "ohmytext", "mynewtext", "a", "abcabcabc", "Hello World")
	}
}

func (g *gen) elem() string {
	switch r := g.IntN(20); {
	case r < 9:
		return oneOf(g, "a", "b", "c", "d", "e", "f", "g", "h")
	case r < 16:
		return strconv.Itoa(g.IntN(16))
	case r < 17:
		return oneOf(g, "-5", "70000", "5000000000", "-9223372036854775808", "9223372036854775807", "32768", "2147483648")
	case r < 18:
		return strings.Repeat("m", 60+g.IntN(10)) // about where listpacks give way
	case r < 19:
		return oneOf(g, "", "\x00\x01", "3.25", "a\r\nb", "01")
	default:
		return g.val()
	}
}

func (g *gen) score() string {
	if g.chance(0.12) {
		// Not -0: a listpack forgets its sign and a skiplist keeps it, and 7.0 turns
		// one into the other on occasions (SORT) on which kvd does not.
		return oneOf(g, "inf", "-inf", "+inf", "1e20", "0.1", "1e-7", "3.0", "123456789012345678", "9007199254740993")
	}
	return strconv.FormatFloat(float64(g.IntN(81)-40)/oneOf(g, 1.0, 1, 1, 4), 'f', -1, 64)
}

func (g *gen) bound() string {
	if g.chance(0.2) {
		return oneOf(g, "-inf", "+inf", "inf", "(inf", "(-inf")
	}
	return oneOf(g, "", "", "(") + g.score()
}

func (g *gen) lex() string {
	return oneOf(g, "-", "+", "[", "(", "[a", "(a", "[c", "(e", "[f", "[zz", "(1", "[5", "a", "[\xff")
}

// streamID is an ID within those that newStreamID makes, in one of its forms.
func (g *gen) streamID() string {
	switch g.IntN(14) {
	case 0:
		return oneOf(g, "0", "0-0", "18446744073709551615-18446744073709551615", "18446744073709551616", "1-", "-1", "1-x", "01-1", "+1-1", " 1", "1-1-1", "x")
	case 1, 2, 3:
		return strconv.Itoa(1 + g.IntN(40))
	default:
		return strconv.Itoa(1+g.IntN(40)) + "-" + strconv.Itoa(g.IntN(4))
	}
}

func (g *gen) newStreamID() string {
	switch {
	case g.chance(0.05):
		return g.streamID()
	case g.chance(0.1):
		return strconv.Itoa(g.streamMs) + "-*"
	case g.chance(0.7):
		g.streamMs = min(g.streamMs+g.IntN(2), 40)
	default:
		g.streamMs = 1 + g.IntN(40)
	}
	return strconv.Itoa(g.streamMs) + "-" + strconv.Itoa(g.IntN(4))
}

// index is a place in a list or a range of a string.
func (g *gen) index() string {
	if g.chance(0.04) {
		return oneOf(g, "9223372036854775807", "-9223372036854775808", "-9223372036854775807", "4294967296", "-2147483649")
	}
	return strconv.Itoa(g.IntN(24) - 12)
}

func farSeconds(g *gen) int64 { return 10_000 + g.Int64N(10_000_000) }

// argKinds are the kinds of arguments that forms name.
var argKinds = map[string]func(*gen) string{
	"str":  func(g *gen) string { return g.key("s") },
	"num":  func(g *gen) string { return g.key("n") },
	"bits": func(g *gen) string { return g.key("b") },
	"list": func(g *gen) string { return g.key("l") },
	"set":  func(g *gen) string { return g.key("e") },
	"hash": func(g *gen) string { return g.key("h") },
	"zset": func(g *gen) string { return g.key("z") },
	"any":  func(g *gen) string { return g.anyKey() },
	// Long strings never leave their pool: see anyKey.
	"big": func(g *gen) string { return oneOf(g, pools["g"]...) },
	// Ranges by name have no defined outcome unless all scores are equal, so these stay apart too.
	"lexz":    func(g *gen) string { return oneOf(g, pools["x"]...) },
	"missing": func(g *gen) string { return oneOf(g, pools["m"]...) },
	"setorz":  func(g *gen) string { return g.key(oneOf(g, "e", "z")) },
	"weight":  func(g *gen) string { return oneOf(g, pools["w"]...) },
	"weighth": func(g *gen) string { return oneOf(g, pools["o"]...) },
	"sortkey": func(g *gen) string { return g.key(oneOf(g, "l", "e", "z")) },

	"val":   func(g *gen) string { return g.val() },
	"short": func(g *gen) string { return oneOf(g, "", "x", "\x00", "abc") },
	"int":   func(g *gen) string { return g.int() },
	"small": func(g *gen) string { return strconv.Itoa(g.IntN(12)) },
	"count": func(g *gen) string { return strconv.Itoa(g.IntN(7) - 1) },
	"signed": func(g *gen) string {
		return strconv.Itoa(g.IntN(21) - 10)
	},
	"float":  func(g *gen) string { return g.float() },
	"bad":    func(g *gen) string { return g.badNumber() },
	"elem":   func(g *gen) string { return g.elem() },
	"field":  func(g *gen) string { return g.elem() },
	"score":  func(g *gen) string { return g.score() },
	"bound":  func(g *gen) string { return g.bound() },
	"lex":    func(g *gen) string { return g.lex() },
	"index":  func(g *gen) string { return g.index() },
	"bigval": func(g *gen) string { return strings.Repeat(g.bytes(1000), 1+g.IntN(200)) },
	"bigoff": func(g *gen) string { return strconv.Itoa(g.IntN(220_000)) },
	"offset": func(g *gen) string {
		return oneOf(g, strconv.Itoa(g.IntN(20)), strconv.Itoa(g.IntN(2000)), "0", "-1", "536870912", "9223372036854775807")
	},
	"bitoff": func(g *gen) string {
		return oneOf(g, strconv.Itoa(g.IntN(64)), strconv.Itoa(g.IntN(20000)), "0", "7", "4294967296", "-1")
	},
	"bit":  func(g *gen) string { return oneOf(g, "0", "1", "1", "0", "1", "2", "-1") },
	"type": func(g *gen) string { return oneOf(g, "string", "list", "set", "hash", "zset", "stream", "STRING") },
	"bft": func(g *gen) string {
		if g.chance(0.05) {
			return oneOf(g, "u64", "i65", "u0", "i0", "x8", "u", "8", "i-1", "u8x")
		}
		if g.chance(0.6) {
			return oneOf(g, "u8", "i8", "u4", "i5", "u1", "u2", "i16", "u7")
		}
		return oneOf(g, "u", "i") + strconv.Itoa(1+g.IntN(63))
	},
	"bfo": func(g *gen) string {
		if g.chance(0.05) {
			return oneOf(g, "-1", "#-1", "#", "abc", "4294967296", "9223372036854775807", "")
		}
		if g.chance(0.5) {
			return oneOf(g, "0", "4", "8", "#0", "#1", "#2")
		}
		return oneOf(g, "", "#") + strconv.Itoa(g.IntN(70))
	},

	// Deadlines: far away, or in the past.
	"sec": func(g *gen) string {
		if g.chance(0.05) {
			return oneOf(g, "0", "-1", "9223372036854775807", "9223372036854775", "-9223372036854775808")
		}
		return strconv.FormatInt(farSeconds(g), 10)
	},
	"ms": func(g *gen) string {
		if g.chance(0.05) {
			return oneOf(g, "0", "-1", "9223372036854775807", "9223372036854775000", "-9223372036854775808")
		}
		return strconv.FormatInt(farSeconds(g)*1000+g.Int64N(1000), 10)
	},
	"at": func(g *gen) string {
		if g.chance(0.05) {
			return oneOf(g, "1", "1000000000", "0", "-1", "9223372036854775807")
		}
		return strconv.FormatInt(4_000_000_000+g.Int64N(1_000_000_000), 10)
	},
	"atms": func(g *gen) string {
		if g.chance(0.05) {
			return oneOf(g, "1", "1000000000000", "0", "-1", "9223372036854775807")
		}
		return strconv.FormatInt(4_000_000_000_000+g.Int64N(1_000_000_000_000), 10)
	},
	"wait": func(g *gen) string { return oneOf(g, "0.01", "0.001", "-1", "abc", "0.005", "1e18") },

	"pattern": func(g *gen) string {
		return oneOf(g, "*", "s:*", "?:[0-2]", "*1*", "\\*", "[^s]*", "n:[0-", "", "s:?", "*:[13]", "h*[a-c]", "[\\s]*", "*\xff", "{*", "a", "[0-9]*", "**:*")
	},
	"cnt": func(g *gen) string { return oneOf(g, "1", "2", "5", "10", "100", "1000") },
	"by":  func(g *gen) string { return oneOf(g, "w_*", "w_*", "h_*->f", "nosort", "w_1", "missing_*", "*") },
	"get": func(g *gen) string { return oneOf(g, "#", "w_*", "h_*->f", "missing_*", "h_*->", "w_1", "*->f") },
	"db": func(g *gen) string {
		return oneOf(g, "0", "0", "0", "1", "2", "15", "16", "-1", "abc", "9223372036854775808")
	},
	"otherdb": func(g *gen) string { return oneOf(g, "1", "1", "2", "0", "16", "-1", "abc") },
	"payload": func(g *gen) string {
		p := oneOf(g, g.payloads...)
		if g.chance(0.1) && len(p) > 0 { // broken somewhere, or cut
			i := g.IntN(len(p))
			return oneOf(g, p[:i], p[:i]+string(p[i]^1)+p[i+1:], "")
		}
		return p
	},
	"stream": func(g *gen) string { return g.key("r") },
	// IDs lie close together, so that they meet; those of new entries mostly rise.
	"xid":  func(g *gen) string { return g.streamID() },
	"xnew": func(g *gen) string { return g.newStreamID() },
	"xfrom": func(g *gen) string {
		return oneOf(g, "-", "0", "(0", "1", "("+g.streamID(), g.streamID(), g.streamID())
	},
	"xto":   func(g *gen) string { return oneOf(g, "+", "+", "5", "("+g.streamID(), g.streamID(), g.streamID()) },
	"xgrp":  func(g *gen) string { return oneOf(g, "g", "g", "g2", "no-such") },
	"xcons": func(g *gen) string { return oneOf(g, "alice", "bob", "c", "") },
	"xmin":  func(g *gen) string { return oneOf(g, "0", "0", "0", "3600000", "-1") },

	"name": func(g *gen) string { return oneOf(g, "me", "conn-1", "a b", "", "x\n", "caf\xc3\xa9", "~!") },
	"word": func(g *gen) string {
		return oneOf(g, "foo", "", "x y", strings.Repeat("w", 140), "NO-SUCH", "caf\xc3\xa9", "a\r\nb", "'")
	},
	"limit": func(g *gen) string { return oneOf(g, "0", "4", "16", "64", "128", "512") },
	"command": func(g *gen) string {
		f := forms[g.IntN(len(forms))]
		for f.family != "strings" && f.family != "generic" {
			f = forms[g.IntN(len(forms))]
		}
		return strings.ToLower(strings.Fields(f.name)[0])
	},
	"geo": func(g *gen) string { return g.key("p") },
	// Towards the poles and on both sides of longitude 180 kvd finds what Redis does not, so the
	// positions are elsewhere.
	"lon": func(g *gen) string {
		switch g.IntN(20) {
		case 0:
			return oneOf(g, "180.0001", "-181", "nan", "inf", "x", "1e3", "")
		case 1:
			return strconv.Itoa(g.IntN(301) - 150)
		}
		return strconv.FormatFloat((g.Float64()*2-1)*oneOf(g, 20.0, 20, 120), 'f', 1+g.IntN(15), 64)
	},
	"lat": func(g *gen) string {
		switch g.IntN(20) {
		case 0:
			return oneOf(g, "85.06", "-90", "nan", "-inf", "x", "")
		case 1:
			return strconv.Itoa(g.IntN(121) - 60)
		}
		return strconv.FormatFloat((g.Float64()*2-1)*oneOf(g, 20.0, 20, 50), 'f', 1+g.IntN(15), 64)
	},
	"length": func(g *gen) string {
		if g.chance(0.05) {
			return oneOf(g, "0", "-1", "x", "nan", "", "1e400")
		}
		return strconv.FormatFloat(oneOf(g, 1.0, 10, 100, 1000)*(0.5+g.Float64()), 'f', g.IntN(3), 64)
	},
	"unit": func(g *gen) string { return oneOf(g, "km", "KM", "mi", "km", "m", "ft", "Mi", "yd") },
	"hll":  func(g *gen) string { return g.key("y") },
	"junk": func(g *gen) string { return fmt.Sprintf("junk%d", g.IntN(5)) },
}
