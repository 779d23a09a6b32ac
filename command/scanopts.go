package command

import (
	"bytes"
	"strconv"

	"kvd/glob"
	"kvd/types"
)

// The arguments of SCAN and its kin.

// scanOptions are the arguments of a SCAN command.
type scanOptions struct {
	cursor  uint64
	count   int
	pattern *glob.Pattern // nil: every name matches
	typ     []byte        // nil: of any type

	ofHash, noValues bool // of HSCAN, which may leave out the values
}

// matches tells whether SCAN is to return a name.
func (o *scanOptions) matches(name []byte) bool {
	return o.pattern == nil || o.pattern.Match(name)
}

// hard tells whether matching is so much work that a worker should do it.
func (o *scanOptions) hard() bool { return o.pattern != nil && o.pattern.Hard() }

// scanCursor reads the cursor from argument i.
func (c *Ctx) scanCursor(i int) (o scanOptions, ok bool) {
	o.count = scanDefault
	if o.cursor, ok = parseCursor(c.Args[i]); !ok {
		c.Err("ERR invalid cursor")
	}
	return o, ok
}

// scanRest reads the options from argument i on; TYPE is one of SCAN alone.
// (A command that has a key looks it up in between, as Redis does.)
func (c *Ctx) scanRest(o *scanOptions, i int, typed bool) bool {
	for ; i < len(c.Args); i += 2 {
		left := len(c.Args) - i
		switch {
		case c.Word(i, "count") && left >= 2:
			n, ok := c.IntMin(i+1, 1, errSyntax)
			if !ok {
				return false
			}
			o.count = int(n)
		case c.Word(i, "match") && left >= 2:
			o.pattern = nil
			if string(c.Args[i+1]) != "*" { // which is the empty name, too
				o.pattern = glob.Compile(c.Args[i+1])
			}
		case typed && c.Word(i, "type") && left >= 2:
			o.typ = bytes.ToLower(c.Args[i+1])
			if !types.KnownName(o.typ) {
				c.Err("ERR unknown type name '" + quote(c.Args[i+1]) + "'")
				return false
			}
		case o.ofHash && c.Word(i, "novalues"):
			o.noValues = true
			i-- // it stands alone
		default:
			c.Err(errSyntax)
			return false
		}
	}
	return true
}

// parseCursor reads a cursor as C's strtoul does, which takes an empty text
// for 0, a negative number for its complement, and a zero byte for the end.
func parseCursor(b []byte) (uint64, bool) {
	b, _, _ = bytes.Cut(b, []byte{0})
	if len(b) == 0 {
		return 0, true
	}
	neg := b[0] == '-'
	if neg || b[0] == '+' {
		b = b[1:]
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	if neg {
		n = -n
	}
	return n, err == nil
}
