package command

import (
	"bytes"
	"strconv"

	"kvd/glob"
	"kvd/types"
)

// The arguments of SCAN and its kin.

// ScanOptions are the arguments of a SCAN command.
type ScanOptions struct {
	Cursor  uint64
	Count   int
	Pattern *glob.Pattern // nil: every name matches
	Type    []byte        // nil: of any type

	OfHash, NoValues bool // of HSCAN, which may leave out the values
}

// ScanNothing replies as a whole pass over nothing does.
func (c *Ctx) ScanNothing() {
	c.W.Array(2)
	c.W.BulkInt(0)
	c.W.Array(0)
}

// Matches tells whether SCAN is to return a name.
func (o *ScanOptions) Matches(name []byte) bool {
	return o.Pattern == nil || o.Pattern.Match(name)
}

// Hard tells whether matching is so much work that a worker should do it.
func (o *ScanOptions) Hard() bool { return o.Pattern != nil && o.Pattern.Hard() }

// ScanCursor reads the cursor from argument i.
func (c *Ctx) ScanCursor(i int) (o ScanOptions, ok bool) {
	o.Count = scanDefault
	if o.Cursor, ok = parseCursor(c.Args[i]); !ok {
		c.Err("ERR invalid cursor")
	}
	return o, ok
}

// ScanRest reads the options from argument i on; TYPE is one of SCAN alone.
// (A command that has a key looks it up in between, as Redis does.)
func (c *Ctx) ScanRest(o *ScanOptions, i int, typed bool) bool {
	for ; i < len(c.Args); i += 2 {
		left := len(c.Args) - i
		switch {
		case c.Word(i, "count") && left >= 2:
			n, ok := c.IntMin(i+1, 1, ErrSyntax)
			if !ok {
				return false
			}
			o.Count = int(n)
		case c.Word(i, "match") && left >= 2:
			o.Pattern = nil
			if string(c.Args[i+1]) != "*" { // which is the empty name, too
				o.Pattern = glob.Compile(c.Args[i+1])
			}
		case typed && c.Word(i, "type") && left >= 2:
			o.Type = bytes.ToLower(c.Args[i+1])
			if !types.KnownName(o.Type) {
				c.Err("ERR unknown type name '" + Quote(c.Args[i+1]) + "'")
				return false
			}
		case o.OfHash && c.Word(i, "novalues"):
			o.NoValues = true
			i-- // it stands alone
		default:
			c.Err(ErrSyntax)
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

// scanDefault is the COUNT of a SCAN that does not name one.
const scanDefault = 10
