package str

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// DELEX, DIGEST, INCREX, MSETEX, and the conditions IFEQ, IFNE, IFDEQ and
// IFDNE of SET and DELEX: strings as of Redis 8.4 and 8.8. What they change is
// journaled in commands of Redis 7.0.

func stringNewRows() []*command.Row {
	return []*command.Row{
		{Name: "delifeq", Fn: cmdDelIfEq, Arity: 3, Flags: command.Write | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access delete",
			Since: "9.0.0", Group: "string", Summary: "Deletes a key if it holds just that string (Valkey).", Complexity: "O(1)", Syntax: "key value"},
		{Name: "delex", Fn: cmdDelEx, Arity: -2, Flags: command.Write | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW delete variable_flags",
			Since: "8.4.0", Group: "string", Summary: "Deletes a key, on a condition on its string where one is given.",
			Complexity: "O(1) without a condition, else O(N) in the length of the string",
			Syntax:     "key [IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest]"},
		{Name: "digest", Fn: cmdDigest, Arity: 2, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "8.4.0", Group: "string", Summary: "Returns the XXH3 hash of a string.", Complexity: "O(N) in the length of the string", Syntax: "key"},
		{Name: "increx", Fn: cmdIncrEx, Arity: -2, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
			Since: "8.8.0", Group: "string", Summary: "Raises the number at a key within bounds and sets its expiry.", Complexity: "O(1)",
			Syntax: "key [BYFLOAT increment | BYINT increment] [LBOUND lowerbound] [UBOUND upperbound] [SATURATE] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] [ENX]"},
		{Name: "msetex", Fn: cmdMSetEx, Arity: -4, Flags: command.Write | command.DenyOOM | command.MovableKeys, KeysFn: keysOfPairs, KeyFlags: "OW update",
			Since: "8.4.0", Group: "string", Summary: "Sets several strings and their expiry at once, on conditions where given.", Complexity: "O(N) in the number of keys",
			Syntax: "numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]"},
	}
}

func appendDigest(dst []byte, d uint64) []byte {
	var raw [command.DigestLen / 2]byte
	binary.BigEndian.PutUint64(raw[:], d)
	return hex.AppendEncode(dst, raw[:])
}

func cmdDigest(c *command.Ctx) {
	var e keyspace.Entry
	if !c.LookupType(&c.Keys[0], types.TString, &e) {
		return
	}
	if !e.Exists() {
		c.W.Null()
		return
	}
	c.ReadString(c.StringOf(&e), func(w *wire.Writer, v command.StringValue) {
		var room [command.DigestLen]byte
		w.Bulk(appendDigest(room[:0], v.Digest()))
	})
}

func cmdDelEx(c *command.Ctx) {
	if len(c.Args) != 2 && len(c.Args) != 4 {
		c.WrongArity()
		return
	}
	k := &c.Keys[0]
	e := c.Lookup(k)
	if !e.Exists() {
		c.W.Int(0)
		return
	}
	if len(c.Args) == 4 {
		if e.Type() != types.TString {
			c.Err("ERR Key should be of string type if conditions are specified")
			return
		}
		cond := command.Condition{Kind: command.ConditionWord(c.Args[2]), Value: c.Args[3]}
		if cond.Kind == 0 {
			c.Err("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE")
			return
		}
		if !cond.Valid(c) {
			return
		}
		if !cond.Holds(c, &e) {
			c.W.Int(0)
			return
		}
	}
	c.Delete(k)
	c.Dirty++
	c.Notify('g', "del", k)
	c.Effect(command.WordDel, k.B)
	c.W.Int(1)
}

func cmdDelIfEq(c *command.Ctx) {
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TString, &e) {
		return
	}
	if cond := (command.Condition{Kind: command.IfEq, Value: c.Args[2]}); !e.Exists() || !cond.Holds(c, &e) {
		c.W.Int(0)
		return
	}
	c.Delete(k)
	c.Dirty++
	c.Notify('g', "del", k)
	c.Effect(command.WordDel, k.B)
	c.W.Int(1)
}

// pairCount reads how many pairs follow argument 1; text is the error where
// that cannot be.
func pairCount(args [][]byte) (n int, text string) {
	count, ok := command.ParseInt(args[1])
	if !ok || count < 1 || count > math.MaxInt32 {
		return 0, "ERR invalid numkeys value"
	}
	if count > int64(len(args)-2)/2 {
		return 0, "ERR wrong number of key-value pairs"
	}
	return int(count), ""
}

// keysOfPairs is MSETEX's KeysFn.
func keysOfPairs(args [][]byte, dst []int) ([]int, bool) {
	if len(args) < 2 {
		return dst, false
	}
	n, text := pairCount(args)
	for i := range n {
		dst = append(dst, 2+2*i)
	}
	return dst, text == ""
}

func cmdMSetEx(c *command.Ctx) {
	n, text := pairCount(c.Args)
	if text != "" {
		c.Err(text)
		return
	}
	var o setOptions
	for i := 2 + 2*n; i < len(c.Args); i++ {
		switch {
		case c.Word(i, "nx") && !o.xx:
			o.nx = true
		case c.Word(i, "xx") && !o.nx:
			o.xx = true
		case c.Word(i, "keepttl") && o.expiry == nil:
			o.keepTTL = true
		case o.expiryOption(c, i):
			i++
		default:
			c.Err(command.ErrSyntax)
			return
		}
	}
	deadline := int64(0)
	if o.expiry != nil {
		var ok bool
		if deadline, ok = c.ExpiryArg(o.expiry, o.unit, o.relative); !ok {
			return
		}
	}
	if o.nx || o.xx {
		for i := range c.Keys {
			if c.Exists(&c.Keys[i]) == o.nx {
				c.W.Int(0)
				return
			}
		}
	}
	for i := range c.Keys {
		k, value := &c.Keys[i], c.Args[3+2*i]
		if o.keepTTL {
			setKeepingDeadline(c, k, value)
		} else {
			setWithDeadline(c, k, value, deadline)
		}
	}
	c.W.Int(1)
}

// incrOptions are INCREX's arguments.
type incrOptions struct {
	setOptions // expiry and persist

	by, lower, upper           []byte
	float, saturate, onlyIfNew bool // onlyIfNew: ENX
}

// parse reads the options. It returns false after replying with an error. Unlike SET,
// INCREX takes no option twice.
func (o *incrOptions) parse(c *command.Ctx) bool {
	value := func(i int, word string, to *[]byte) bool {
		if *to != nil || i+1 >= len(c.Args) || !c.Word(i, word) {
			return false
		}
		*to = c.Args[i+1]
		return true
	}
	flag := func(i int, word string, to *bool) bool {
		if *to || !c.Word(i, word) {
			return false
		}
		*to = true
		return true
	}
	for i := 2; i < len(c.Args); i++ {
		switch {
		case value(i, "byint", &o.by), value(i, "lbound", &o.lower), value(i, "ubound", &o.upper):
			i++
		case value(i, "byfloat", &o.by):
			o.float = true
			i++
		case flag(i, "saturate", &o.saturate), flag(i, "enx", &o.onlyIfNew):
		case o.expiry == nil && flag(i, "persist", &o.persist):
		case o.expiry == nil && o.expiryOption(c, i):
			i++
		default:
			c.Err(command.ErrSyntax)
			return false
		}
	}
	if o.onlyIfNew && o.persist {
		c.Err(command.ErrSyntax)
		return false
	}
	if o.onlyIfNew && o.expiry == nil {
		c.Err("ERR ENX flag requires an expiration")
		return false
	}
	return true
}

// option reads an integer option; what is not there is other.
func option(c *command.Ctx, arg []byte, name string, other int64) (int64, bool) {
	if arg == nil {
		return other, true
	}
	n, ok := command.ParseInt(arg)
	if !ok {
		c.Err("ERR " + name + " is not an integer or out of range")
	}
	return n, ok
}

const errBounds = "ERR LBOUND can't be greater than UBOUND"

func cmdIncrEx(c *command.Ctx) {
	var o incrOptions
	if !o.parse(c) {
		return
	}
	if o.float {
		incrExFloat(c, &o)
	} else {
		incrExInt(c, &o)
	}
}

// incrExStart finds the string and the deadline that INCREX is to set.
func incrExStart(c *command.Ctx, o *incrOptions) (e keyspace.Entry, deadline int64, ok bool) {
	if o.expiry != nil {
		if deadline, ok = c.ExpiryArg(o.expiry, o.unit, o.relative); !ok {
			return
		}
	}
	ok = c.LookupType(&c.Keys[0], types.TString, &e)
	return
}

func incrExInt(c *command.Ctx, o *incrOptions) {
	by, ok := option(c, o.by, "Increment", 1)
	if !ok {
		return
	}
	lower, ok := option(c, o.lower, "LBOUND", math.MinInt64)
	if !ok {
		return
	}
	upper, ok := option(c, o.upper, "UBOUND", math.MaxInt64)
	if !ok {
		return
	}
	if lower > upper {
		c.Err(errBounds)
		return
	}
	e, deadline, ok := incrExStart(c, o)
	if !ok {
		return
	}
	old, ok := c.NumberAt(&e)
	if !ok {
		return
	}
	n := old + by
	over, under := by > 0 && n < old, by < 0 && n > old
	if over || !under && n > upper {
		n, over = upper, true
	} else if under || n < lower {
		n, under = lower, true
	}
	if (over || under) && !o.saturate {
		c.W.Array(2)
		c.W.Int(old)
		c.W.Int(0)
		return
	}
	applied := n - old
	if (n > old) != (applied > 0) {
		c.Err("ERR applied increment would overflow")
		return
	}
	var text []byte
	if c.Journaling() {
		text = strconv.AppendInt(nil, n, 10)
	}
	incrExStore(c, o, &e, deadline, text, func(keep int64) {
		if e.Exists() && e.Encoding() == types.EncInt && e.Deadline() == keep {
			c.SetInt(&c.Keys[0], &e, n)
		} else {
			c.PutInt(&c.Keys[0], n, keep)
		}
	})
	c.W.Array(2)
	c.W.Int(n)
	c.W.Int(applied)
}

// floatOption is a long double together with its negative.
type floatOption struct{ v, neg wire.LongDouble }

func parseFloatOption(b []byte) (f floatOption, ok bool) {
	if f.v, ok = wire.ParseLongDouble(b); !ok {
		return f, false
	}
	minus := []byte{'-'}
	switch b[0] {
	case '-':
		minus = b[1:]
	case '+':
		minus = append(minus, b[1:]...)
	default:
		minus = append(minus, b...)
	}
	f.neg, ok = wire.ParseLongDouble(minus)
	return f, ok
}

// above tells whether d is greater than f, as far as the 17 decimals show with
// which a long double is stored and replied.
func (f floatOption) above(d wire.LongDouble) bool {
	var room [64]byte
	text := wire.AppendHumanLongDouble(room[:0], d.Add(f.neg))
	return text[0] != '-' && text[0] != 'n' && string(text) != "0" // not below, nor both infinite, nor equal
}

// below tells whether d is less than f, in the same way.
func (f floatOption) below(d wire.LongDouble) bool {
	var room [64]byte
	return wire.AppendHumanLongDouble(room[:0], d.Add(f.neg))[0] == '-'
}

// maxLongDouble is C's LDBL_MAX on x86.
const maxLongDouble = "0xffffffffffffffffp16320"

// readFloatOption reads a float option; what is not there is other.
func readFloatOption(c *command.Ctx, arg []byte, name, other string) (floatOption, bool) {
	if arg == nil {
		arg = []byte(other)
	}
	f, ok := parseFloatOption(arg)
	if !ok {
		c.Err("ERR " + name + " is not a valid float")
	}
	return f, ok
}

func incrExFloat(c *command.Ctx, o *incrOptions) {
	by, ok := readFloatOption(c, o.by, "Increment", "")
	if !ok {
		return
	}
	lower, ok := readFloatOption(c, o.lower, "LBOUND", "-"+maxLongDouble)
	if !ok {
		return
	}
	upper, ok := readFloatOption(c, o.upper, "UBOUND", maxLongDouble)
	if !ok {
		return
	}
	if upper.above(lower.v) {
		c.Err(errBounds)
		return
	}
	e, deadline, ok := incrExStart(c, o)
	if !ok {
		return
	}
	text := []byte("0")
	if e.Exists() {
		text = floatText(c, &e)
	}
	old, ok := parseFloatOption(text)
	if !ok {
		c.Err(command.ErrNotFloat)
		return
	}
	n := old.v.Add(by.v)
	if n.IsNaN() {
		c.Err("ERR increment would produce NaN or Infinity")
		return
	}
	out := false
	if upper.above(n) {
		n, out = upper.v, true
	} else if lower.below(n) {
		n, out = lower.v, true
	}
	if out && !o.saturate {
		c.W.Array(2)
		c.W.HumanDouble(old.v)
		c.W.HumanDouble(wire.LongDouble{})
		return
	}
	applied := n.Add(old.neg)
	if !applied.IsFinite() {
		c.Err("ERR applied increment would be Infinity")
		return
	}
	sum := wire.AppendHumanLongDouble(nil, n)
	incrExStore(c, o, &e, deadline, sum, func(keep int64) { putNumberText(c, &c.Keys[0], sum, keep) })
	c.W.Array(2)
	c.W.HumanDouble(n)
	c.W.HumanDouble(applied)
}

// incrExStore has put write the new number with the deadline that the options
// lead to, announces that, and journals it with the number's text.
func incrExStore(c *command.Ctx, o *incrOptions, e *keyspace.Entry, deadline int64, text []byte, put func(deadline int64)) {
	k := &c.Keys[0]
	old := int64(0)
	if e.Exists() {
		old = e.Deadline()
	}
	event := "incrby"
	if o.float {
		event = "incrbyfloat"
	}
	set := o.expiry != nil && !(o.onlyIfNew && old != 0)
	switch {
	case set && deadline <= c.Now && !c.Replaying:
		c.NoEffect()
		if c.Delete(k) {
			c.Dirty++
			c.Notify('g', "del", k)
			c.Effect(command.WordDel, k.B)
		}
		return
	case set:
		put(deadline)
		c.Notify('$', event, k)
		c.Notify('g', "expire", k)
		c.Effect(command.WordSet, k.B, text, command.WordPXAT, strconv.AppendInt(nil, deadline, 10))
	case o.persist:
		put(0)
		c.Notify('$', event, k)
		if old != 0 {
			c.Notify('g', "persist", k)
		}
		c.Effect(command.WordSet, k.B, text)
	default:
		put(old)
		c.Notify('$', event, k)
		c.Effect(command.WordSet, k.B, text, command.WordKeepTTL)
	}
	c.Dirty++
}
