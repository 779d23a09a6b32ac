package command

import (
	"math"
	"strings"

	"kvd/resp/wire"
)

// Arguments that several families have.

// Int reads argument i as an integer. Where it is none it replies so and
// returns false.
func (c *Ctx) Int(i int) (int64, bool) {
	n, ok := ParseInt(c.Args[i])
	if !ok {
		c.W.Error(ErrNotInt)
	}
	return n, ok
}

// IntMin is Int for a value of at least min; text is the reply to a lower one.
func (c *Ctx) IntMin(i int, min int64, text string) (int64, bool) {
	n, ok := c.Int(i)
	if ok && n < min {
		c.W.Error(text)
		return n, false
	}
	return n, ok
}

// Float reads argument i as a double; not-a-number is refused.
func (c *Ctx) Float(i int) (float64, bool) {
	f, ok := wire.ParseDouble(c.Args[i])
	if !ok {
		c.W.Error(ErrNotFloat)
	}
	return f, ok
}

// Word tells whether argument i exists and is the lower-case word, in any case.
func (c *Ctx) Word(i int, word string) bool {
	return i < len(c.Args) && EqualFold(c.Args[i], word)
}

// int32Arg reads argument i as Redis reads an int.
func (c *Ctx) int32Arg(i int) (int, bool) {
	n, ok := c.Int(i)
	if ok && (n < math.MinInt32 || n > math.MaxInt32) {
		c.Err("ERR value is out of range, value must between -2147483648 and 2147483647")
		return 0, false
	}
	return int(n), ok
}

// DbArg reads argument i as the number of a database.
func (c *Ctx) DbArg(i int) (int, bool) {
	n, ok := c.int32Arg(i)
	if ok && (n < 0 || n >= c.S.Keyspace.Databases()) {
		c.Err(ErrDBIndex)
		return 0, false
	}
	return n, ok
}

// Timeout reads argument i as the seconds of a blocking command and returns
// milliseconds, rounded up; 0 is to wait for ever. A bad one is replied to.
func (c *Ctx) Timeout(i int) (ms int64, ok bool) {
	exact, ok := wire.ParseLongDouble(c.Args[i])
	if !ok {
		c.Err("ERR timeout is not a float or out of range")
		return 0, false
	}
	f, ok := wire.ParseDouble(c.Args[i])
	if !ok {
		// Redis's long double has a wider range. What is below a double's is
		// nothing; what is above is more milliseconds than can be counted.
		if text := wire.AppendHumanLongDouble(nil, exact); len(text) <= len("-0") {
			return 0, true
		}
		f = math.Inf(1)
	}
	f = math.Ceil(f * 1000)
	switch {
	case f < 0:
		c.Err("ERR timeout is negative")
	case f >= 1<<63 || int64(f) > math.MaxInt64-c.Now:
		c.Err("ERR timeout is out of range")
	default:
		return int64(f), true
	}
	return 0, false
}

// ExpiryArg reads an expiry argument: base is added to relative ones, unit is
// 1000 for seconds. The reply to a bad one names the command.
func (c *Ctx) ExpiryArg(arg []byte, unit int64, relative bool) (ms int64, ok bool) {
	n, ok := ParseInt(arg)
	if !ok {
		c.Err(ErrNotInt)
		return 0, false
	}
	if n <= 0 || n > math.MaxInt64/unit {
		c.InvalidExpire()
		return 0, false
	}
	n *= unit
	if relative {
		if n > math.MaxInt64-c.Now {
			c.InvalidExpire()
			return 0, false
		}
		n += c.Now
	}
	return n, true
}

// InvalidExpire replies that a time of expiry is out of range.
func (c *Ctx) InvalidExpire() { c.Err("ERR invalid expire time in '" + c.Row.full + "' command") }

// onOff reads the argument of a switch.
func (c *Ctx) onOff(i int) (on, ok bool) {
	switch {
	case c.Word(i, "on"):
		return true, true
	case c.Word(i, "off"):
		return false, true
	}
	c.Err(ErrSyntax)
	return false, false
}

// RandomArgs reads "count [with]" of HRANDFIELD and ZRANDMEMBER from argument 2
// on; with asks for a second element with each.
func (c *Ctx) RandomArgs(with string) (count int64, pairs, ok bool) {
	if count, ok = c.Int(2); !ok {
		return
	}
	if count == math.MinInt64 {
		c.Err(ErrBeyondLong)
		return 0, false, false
	}
	pairs = len(c.Args) == 4 && c.Word(3, with)
	if len(c.Args) > 3 && !pairs {
		c.Err(ErrSyntax)
		return 0, false, false
	}
	if pairs && (count < -math.MaxInt64/2 || count > math.MaxInt64/2) {
		c.Err("ERR value is out of range")
		return 0, false, false
	}
	return count, pairs, true
}

// When are the words that say when a deadline or a score is set: not over an old one, only
// over one, or only over one that is less or greater.
type When struct{ NX, XX, GT, LT bool }

// ExpireWhen reads such words from argument i on, for a deadline.
func (c *Ctx) ExpireWhen(i int) (w When, ok bool) {
	for ; i < len(c.Args); i++ {
		if !c.WhenWord(i, &w) {
			c.Err("ERR Unsupported option " + strings.TrimRight(Quote(c.Args[i]), "\r\n"))
			return w, false
		}
	}
	if w.NX && (w.XX || w.GT || w.LT) {
		c.Err("ERR NX and XX, GT or LT options at the same time are not compatible")
		return w, false
	}
	if w.GT && w.LT {
		c.Err("ERR GT and LT options at the same time are not compatible")
		return w, false
	}
	return w, true
}

// WhenWord reads NX, XX, GT or LT at argument i. It returns false if there is another word.
func (c *Ctx) WhenWord(i int, w *When) bool {
	switch {
	case c.Word(i, "nx"):
		w.NX = true
	case c.Word(i, "xx"):
		w.XX = true
	case c.Word(i, "gt"):
		w.GT = true
	case c.Word(i, "lt"):
		w.LT = true
	default:
		return false
	}
	return true
}

// Holds tells whether a deadline may take the place of an old one; 0 is never.
func (w When) Holds(old, when int64) bool {
	switch {
	case w.NX && old != 0, w.XX && old == 0:
		return false
	case w.GT:
		return old != 0 && when > old
	case w.LT:
		return old == 0 || when < old
	}
	return true
}

// Bounds makes start and stop, both inclusive and counted from the end if
// negative, a half-open range within n elements.
func Bounds(start, stop int64, n int) (from, to int) {
	if start < 0 {
		start = max(start+int64(n), 0)
	}
	if stop < 0 {
		stop += int64(n)
	}
	stop = min(stop, int64(n)-1)
	if start > stop {
		return 0, 0
	}
	return int(start), int(stop) + 1
}
