package str

import (
	"math"
	"slices"
	"strconv"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// APPEND, DECR, DECRBY, GET, GETDEL, GETEX, GETRANGE, GETSET, INCR, INCRBY,
// INCRBYFLOAT, MGET, MSET, MSETNX, PSETEX, SET, SETEX, SETNX, SETRANGE, STRLEN,
// SUBSTR. The newer ones are in string_new.go, LCS in lcs.go, bits in bits.go.

func stringRows() []*command.Row {
	return []*command.Row{
		{Name: "append", Fn: cmdAppend, Arity: 3, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW insert",
			Since: "2.0.0", Group: "string", Summary: "Appends to a string, creating it where there is none.", Complexity: "O(1) amortized", Syntax: "key value"},
		{Name: "decr", Fn: cmdDecr, Arity: 2, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
			Since: "1.0.0", Group: "string", Summary: "Lowers the number at a key by one; a missing key counts as 0.", Complexity: "O(1)", Syntax: "key"},
		{Name: "decrby", Fn: cmdDecrBy, Arity: 3, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
			Since: "1.0.0", Group: "string", Summary: "Lowers the number at a key; a missing key counts as 0.", Complexity: "O(1)", Syntax: "key decrement"},
		{Name: "get", Fn: cmdGet, Arity: 2, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "1.0.0", Group: "string", Summary: "Returns the string at a key.", Complexity: "O(1)", Syntax: "key"},
		{Name: "getdel", Fn: cmdGetDel, Arity: 2, Flags: command.Write | command.Fast | command.CountsReads, First: 1, Last: 1, Step: 1, KeyFlags: "RW access delete",
			Since: "6.2.0", Group: "string", Summary: "Returns the string at a key and deletes the key.", Complexity: "O(1)", Syntax: "key"},
		{Name: "getex", Fn: cmdGetEx, Arity: -2, Flags: command.Write | command.Fast | command.CountsReads, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
			Since: "6.2.0", Group: "string", Summary: "Returns the string at a key and sets or removes its expiry.", Complexity: "O(1)",
			Syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]"},
		{Name: "getrange", Fn: cmdGetRange, Arity: 4, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "2.4.0", Group: "string", Summary: "Returns a part of a string.", Complexity: "O(N) in the length returned", Syntax: "key start end"},
		{Name: "getset", Fn: cmdGetSet, Arity: 3, Flags: command.Write | command.DenyOOM | command.Fast | command.CountsReads, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
			Since: "1.0.0", Group: "string", Summary: "Sets a string and returns the one before.", Complexity: "O(1)", Syntax: "key value"},
		{Name: "incr", Fn: cmdIncr, Arity: 2, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
			Since: "1.0.0", Group: "string", Summary: "Raises the number at a key by one; a missing key counts as 0.", Complexity: "O(1)", Syntax: "key"},
		{Name: "incrby", Fn: cmdIncrBy, Arity: 3, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
			Since: "1.0.0", Group: "string", Summary: "Raises the number at a key; a missing key counts as 0.", Complexity: "O(1)", Syntax: "key increment"},
		{Name: "incrbyfloat", Fn: cmdIncrByFloat, Arity: 3, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
			Since: "2.6.0", Group: "string", Summary: "Adds a floating-point number to the one at a key; a missing key counts as 0.", Complexity: "O(1)", Syntax: "key increment"},
		{Name: "mget", Fn: cmdMGet, Parts: command.ArrayParts, Arity: -2, Flags: command.ReadOnly | command.Fast, First: 1, Last: -1, Step: 1, KeyFlags: "RO access",
			Since: "1.0.0", Group: "string", Summary: "Returns the strings at several keys.", Complexity: "O(N) in the number of keys", Syntax: "key [key ...]", Tips: "request_policy:multi_shard"},
		{Name: "mset", Fn: cmdMSet, Arity: -3, Flags: command.Write | command.DenyOOM, First: 1, Last: -1, Step: 2, KeyFlags: "OW update",
			Since: "1.0.1", Group: "string", Summary: "Sets several strings at once.", Complexity: "O(N) in the number of keys", Syntax: "key value [key value ...]", Tips: "request_policy:multi_shard response_policy:all_succeeded"},
		{Name: "msetnx", Fn: cmdMSetNX, Arity: -3, Flags: command.Write | command.DenyOOM, First: 1, Last: -1, Step: 2, KeyFlags: "OW insert",
			Since: "1.0.1", Group: "string", Summary: "Sets several strings at once, if none of the keys exists.", Complexity: "O(N) in the number of keys", Syntax: "key value [key value ...]", Tips: "request_policy:multi_shard response_policy:agg_min"},
		{Name: "psetex", Fn: cmdPSetEx, Arity: 4, Flags: command.Write | command.DenyOOM, First: 1, Last: 1, Step: 1, KeyFlags: "OW update",
			Since: "2.6.0", Group: "string", Summary: "Sets a string that expires after some milliseconds.", Complexity: "O(1)", Syntax: "key milliseconds value"},
		{Name: "set", Fn: cmdSet, Arity: -3, Flags: command.Write | command.DenyOOM, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update variable_flags", KeyFlagsFn: setKeyFlags,
			Since: "1.0.0", Group: "string", Summary: "Sets the string at a key, whatever was there, on conditions where given.", Complexity: "O(1)",
			Syntax: "key value [NX | XX | IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]"},
		{Name: "setex", Fn: cmdSetEx, Arity: 4, Flags: command.Write | command.DenyOOM, First: 1, Last: 1, Step: 1, KeyFlags: "OW update",
			Since: "2.0.0", Group: "string", Summary: "Sets a string that expires after some seconds.", Complexity: "O(1)", Syntax: "key seconds value"},
		{Name: "setnx", Fn: cmdSetNX, Arity: 3, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "OW insert",
			Since: "1.0.0", Group: "string", Summary: "Sets a string if the key does not exist.", Complexity: "O(1)", Syntax: "key value"},
		{Name: "setrange", Fn: cmdSetRange, Arity: 4, Flags: command.Write | command.DenyOOM, First: 1, Last: 1, Step: 1, KeyFlags: "RW update",
			Since: "2.2.0", Group: "string", Summary: "Overwrites a part of a string, which grows where needed.", Complexity: "O(1) for short values, else O(M) in the length written", Syntax: "key offset value"},
		{Name: "strlen", Fn: cmdStrLen, Arity: 2, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO",
			Since: "2.2.0", Group: "string", Summary: "Returns the length of a string.", Complexity: "O(1)", Syntax: "key"},
		{Name: "substr", Fn: cmdGetRange, Arity: 4, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "1.0.0", Group: "string", Summary: "Returns a part of a string (the old name of GETRANGE).", Complexity: "O(N) in the length returned", Syntax: "key start end"},
	}
}

func cmdGet(c *command.Ctx) {
	var e keyspace.Entry
	if !c.LookupType(&c.Keys[0], types.TString, &e) {
		return
	}
	if !e.Exists() {
		c.W.Null()
		return
	}
	c.SendString(&e)
}

// setOptions are the options of SET and of what is like it.
type setOptions struct {
	nx, xx, get, keepTTL, persist bool
	expiry                        []byte // its argument; nil means none
	unit                          int64
	relative                      bool
	cond                          *command.Condition
}

// expiryOption reads one of EX, PX, EXAT and PXAT at argument i. The same one
// may come again, and then counts; another one may not.
func (o *setOptions) expiryOption(c *command.Ctx, i int) bool {
	var unit int64
	relative := false
	switch {
	case c.Word(i, "ex"):
		unit, relative = 1000, true
	case c.Word(i, "px"):
		unit, relative = 1, true
	case c.Word(i, "exat"):
		unit = 1000
	case c.Word(i, "pxat"):
		unit = 1
	default:
		return false
	}
	if i+1 >= len(c.Args) || o.keepTTL || o.persist || o.expiry != nil && (unit != o.unit || relative != o.relative) {
		return false
	}
	o.expiry, o.unit, o.relative = c.Args[i+1], unit, relative
	return true
}

// parse reads SET's options from argument i on; false: a syntax error, which
// is replied.
func (o *setOptions) parse(c *command.Ctx, i int) bool {
	for ; i < len(c.Args); i++ {
		switch {
		case c.Word(i, "nx") && !o.xx && o.cond == nil:
			o.nx = true
		case c.Word(i, "xx") && !o.nx && o.cond == nil:
			o.xx = true
		case c.Word(i, "get"):
			o.get = true
		case c.Word(i, "keepttl") && o.expiry == nil:
			o.keepTTL = true
		case o.expiryOption(c, i):
			i++
		case o.condition(c, i):
			i++
		default:
			c.Err(command.ErrSyntax)
			return false
		}
	}
	return true
}

// condition reads one of IFEQ, IFNE, IFDEQ and IFDNE at argument i.
func (o *setOptions) condition(c *command.Ctx, i int) bool {
	kind := command.ConditionWord(c.Args[i])
	if kind == 0 || i+1 >= len(c.Args) || o.nx || o.xx || o.cond != nil && o.cond.Kind != kind {
		return false
	}
	o.cond = &command.Condition{Kind: kind, Value: c.Args[i+1]}
	return true
}

func cmdSet(c *command.Ctx) {
	k := &c.Keys[0]
	if len(c.Args) == 3 {
		c.NoteReplaced(k, types.TString)
		c.PutString(k, c.Args[2], 0)
		c.Dirty++
		c.Notify('$', "set", k)
		c.W.OK()
		return
	}
	var o setOptions
	if !o.parse(c, 3) {
		return
	}
	deadline := int64(0)
	if o.expiry != nil {
		var ok bool
		if deadline, ok = c.ExpiryArg(o.expiry, o.unit, o.relative); !ok {
			return
		}
	}
	if !o.nx && !o.xx && !o.get && !o.keepTTL && o.cond == nil {
		setWithDeadline(c, k, c.Args[2], deadline)
		c.W.OK()
		return
	}
	e := c.Lookup(k)
	if o.get {
		c.CountRead(k, &e)
	}
	if e.Exists() && (o.get || o.cond != nil) {
		if e.Type() != types.TString {
			c.Err(command.ErrWrongType)
			return
		}
		if o.cond != nil && !o.cond.Valid(c) {
			return
		}
	}
	replied := false
	if o.get {
		replied = true
		if e.Exists() {
			c.ReplyString(&e)
		} else {
			c.W.Null()
		}
	}
	if o.nx && e.Exists() || o.xx && !e.Exists() || o.cond != nil && !o.cond.Holds(c, &e) {
		if !replied {
			c.W.Null()
		}
		return
	}
	if o.keepTTL {
		setKeepingDeadline(c, k, c.Args[2])
	} else {
		setWithDeadline(c, k, c.Args[2], deadline)
	}
	if !replied {
		c.W.OK()
	}
}

// setWithDeadline sets a string and says so in the form that replays alike.
func setWithDeadline(c *command.Ctx, k *keyspace.Key, value []byte, deadline int64) {
	if deadline != 0 && deadline <= c.Now && !c.Replaying {
		// Its time is over already: what remains is that the key is gone.
		c.NoEffect()
		if c.Delete(k) {
			c.Notify('g', "del", k)
			c.Dirty++
			c.Effect(command.WordDel, k.B)
		}
		return
	}
	c.NoteReplaced(k, types.TString)
	c.PutString(k, value, deadline)
	c.Dirty++
	c.Notify('$', "set", k)
	if deadline != 0 {
		c.Notify('g', "expire", k)
		if c.Journaling() {
			c.Effect(command.WordSet, k.B, value, command.WordPXAT, strconv.AppendInt(nil, deadline, 10))
		}
		return
	}
	c.Effect(command.WordSet, k.B, value)
}

// setKeepingDeadline sets a string and leaves the key's deadline as it is.
func setKeepingDeadline(c *command.Ctx, k *keyspace.Key, value []byte) {
	deadline := int64(0)
	if e := c.LookupNoTouch(k); e.Exists() {
		deadline = e.Deadline()
	}
	c.NoteReplaced(k, types.TString)
	c.PutString(k, value, deadline)
	c.Dirty++
	c.Notify('$', "set", k)
	c.Effect(command.WordSet, k.B, value, command.WordKeepTTL)
}

func cmdSetNX(c *command.Ctx) {
	k := &c.Keys[0]
	if c.Exists(k) {
		c.W.Int(0)
		return
	}
	setWithDeadline(c, k, c.Args[2], 0)
	c.W.Int(1)
}

func cmdSetEx(c *command.Ctx)  { setEx(c, 1000) }
func cmdPSetEx(c *command.Ctx) { setEx(c, 1) }

func setEx(c *command.Ctx, unit int64) {
	deadline, ok := c.ExpiryArg(c.Args[2], unit, true)
	if !ok {
		return
	}
	setWithDeadline(c, &c.Keys[0], c.Args[3], deadline)
	c.W.OK()
}

func cmdGetSet(c *command.Ctx) {
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TString, &e) {
		return
	}
	if e.Exists() {
		c.ReplyString(&e)
	} else {
		c.W.Null()
	}
	setWithDeadline(c, k, c.Args[2], 0)
}

func cmdGetDel(c *command.Ctx) {
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TString, &e) {
		return
	}
	if !e.Exists() {
		c.W.Null()
		return
	}
	c.ReplyString(&e)
	c.Delete(k)
	c.Dirty++
	c.Notify('g', "del", k)
	c.Effect(command.WordDel, k.B)
}

func cmdGetEx(c *command.Ctx) {
	var o setOptions
	for i := 2; i < len(c.Args); i++ {
		switch {
		case c.Word(i, "persist") && o.expiry == nil:
			o.persist = true
		case o.expiryOption(c, i):
			i++
		default:
			c.Err(command.ErrSyntax)
			return
		}
	}
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TString, &e) {
		return
	}
	if !e.Exists() {
		c.W.Null()
		return
	}
	deadline := int64(0)
	if o.expiry != nil {
		var ok bool
		if deadline, ok = c.ExpiryArg(o.expiry, o.unit, o.relative); !ok {
			return
		}
	}
	c.ReplyString(&e)
	switch {
	case o.expiry != nil && deadline <= c.Now && !c.Replaying:
		c.Delete(k)
		c.Dirty++
		c.Notify('g', "del", k)
		c.Effect(command.WordDel, k.B)
	case o.expiry != nil:
		c.SetDeadline(k, deadline)
		c.Dirty++
		c.Notify('g', "expire", k)
		c.Effect(command.WordPExpireAt, k.B, strconv.AppendInt(nil, deadline, 10))
	case o.persist && e.Deadline() != 0:
		c.SetDeadline(k, 0)
		c.Dirty++
		c.Notify('g', "persist", k)
		c.Effect(command.WordPersist, k.B)
	}
}

// byteRange turns a start and an end that may count from the end into [from, to)
// within n.
func byteRange(start, end, n int64) (from, to int) {
	if start < 0 && end < 0 && start > end {
		return 0, 0
	}
	if start < 0 {
		start = max(0, start+n)
	}
	if end < 0 {
		end = max(0, end+n)
	}
	end = min(end, n-1)
	if start > end || n == 0 {
		return 0, 0
	}
	return int(start), int(end) + 1
}

func cmdGetRange(c *command.Ctx) {
	start, ok := c.Int(2)
	if !ok {
		return
	}
	end, ok := c.Int(3)
	if !ok {
		return
	}
	var e keyspace.Entry
	if !c.LookupType(&c.Keys[0], types.TString, &e) {
		return
	}
	if !e.Exists() {
		c.W.Bulk(nil)
		return
	}
	v := c.StringOf(&e)
	from, to := byteRange(start, end, int64(v.Len()))
	c.SendRange(v, from, to)
}

func cmdStrLen(c *command.Ctx) {
	var e keyspace.Entry
	if !c.LookupType(&c.Keys[0], types.TString, &e) {
		return
	}
	if !e.Exists() {
		c.W.Int(0)
		return
	}
	c.W.Int(int64(c.StringOf(&e).Len()))
}

func cmdMGet(c *command.Ctx) {
	long := 0
	for i := range c.Keys {
		if e := c.Peek(&c.Keys[i]); e.Type() == types.TString && e.Encoding() == types.EncChunked {
			long += c.StringOf(&e).Len()
		}
	}
	if long > command.LongReadBytes && c.CanBlock() {
		mgetAside(c)
		return
	}
	c.W.Array(len(c.Keys))
	for i := range c.Keys {
		e := c.Lookup(&c.Keys[i])
		if e.Type() != types.TString {
			c.W.Null()
			continue
		}
		c.ReplyString(&e)
	}
}

// mgetAside is MGET of long values: those are copied aside, the others at once.
func mgetAside(c *command.Ctx) {
	all := make([]func(w *wire.Writer), len(c.Keys))
	var big []*types.BigString
	for i := range c.Keys {
		e := c.Lookup(&c.Keys[i])
		switch {
		case e.Type() != types.TString:
			all[i] = (*wire.Writer).Null
		case e.Encoding() == types.EncChunked:
			s := e.Object().(*types.BigString).Copy().(*types.BigString)
			big = append(big, s)
			all[i] = func(w *wire.Writer) { w.BulkFrom(s.Len(), s.AppendRange) }
		default:
			v := c.StringOf(&e)
			b := slices.Clone(v.B)
			all[i] = func(w *wire.Writer) { w.Bulk(b) }
		}
	}
	c.Aside(func(w *wire.Writer) {
		defer func() {
			for _, s := range big {
				command.FreeAll(s)
			}
		}()
		w.Array(len(all))
		for _, reply := range all {
			reply(w)
		}
	})
}

func cmdMSet(c *command.Ctx) {
	if len(c.Args)%2 == 0 {
		c.WrongArity()
		return
	}
	setAll(c, 1)
	c.W.OK()
}

// setAll sets the declared keys to the arguments behind them; from is where
// the first key stands.
func setAll(c *command.Ctx, from int) {
	for i := range c.Keys {
		c.NoteReplaced(&c.Keys[i], types.TString)
		c.PutString(&c.Keys[i], c.Args[from+2*i+1], 0)
		c.Notify('$', "set", &c.Keys[i])
	}
	c.Dirty += len(c.Keys)
}

func cmdMSetNX(c *command.Ctx) {
	if len(c.Args)%2 == 0 {
		c.WrongArity()
		return
	}
	for i := range c.Keys {
		if c.Exists(&c.Keys[i]) {
			c.W.Int(0)
			return
		}
	}
	setAll(c, 1)
	c.W.Int(1)
}

func cmdIncr(c *command.Ctx) { incrBy(c, 1) }
func cmdDecr(c *command.Ctx) { incrBy(c, -1) }

func cmdIncrBy(c *command.Ctx) {
	if n, ok := c.Int(2); ok {
		incrBy(c, n)
	}
}

func cmdDecrBy(c *command.Ctx) {
	n, ok := c.Int(2)
	if !ok {
		return
	}
	if n == math.MinInt64 {
		c.Err("ERR decrement would overflow")
		return
	}
	incrBy(c, -n)
}

func incrBy(c *command.Ctx, d int64) {
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TString, &e) {
		return
	}
	n, ok := c.NumberAt(&e)
	if !ok {
		return
	}
	if d > 0 && n > math.MaxInt64-d || d < 0 && n < math.MinInt64-d {
		c.Err(command.ErrOverflow)
		return
	}
	n += d
	switch {
	case !e.Exists():
		c.PutInt(k, n, 0)
	case e.Encoding() == types.EncInt:
		c.SetInt(k, &e, n)
	default:
		flags := e.Marks().Flags
		c.PutInt(k, n, e.Deadline())
		c.SetFlags(k, flags)
	}
	c.Dirty++
	c.Notify('$', "incrby", k)
	c.W.Int(n)
}

func cmdIncrByFloat(c *command.Ctx) {
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TString, &e) {
		return
	}
	var cur wire.LongDouble
	if e.Exists() {
		var ok bool
		if cur, ok = wire.ParseLongDouble(floatText(c, &e)); !ok {
			c.Err(command.ErrNotFloat)
			return
		}
	}
	d, ok := wire.ParseLongDouble(c.Args[2])
	if !ok {
		c.Err(command.ErrNotFloat)
		return
	}
	sum := cur.Add(d)
	if !sum.IsFinite() {
		c.Err("ERR increment would produce NaN or Infinity")
		return
	}
	text := wire.AppendHumanLongDouble(nil, sum)
	deadline := int64(0)
	if e.Exists() {
		deadline = e.Deadline()
	}
	putNumberText(c, k, text, deadline)
	c.Dirty++
	c.Notify('$', "incrbyfloat", k)
	c.Effect(command.WordSet, k.B, text, command.WordKeepTTL)
	c.W.Bulk(text)
}

// floatText is the string of an entry for wire.ParseLongDouble; nil where it is
// too long to be a number.
func floatText(c *command.Ctx, e *keyspace.Entry) []byte {
	v := c.StringOf(e)
	if v.Big != nil {
		return nil
	}
	return v.B
}

// putNumberText sets the value at a key to a number that Redis keeps as text,
// even where it is a whole one.
func putNumberText(c *command.Ctx, k *keyspace.Key, text []byte, deadline int64) {
	enc := types.EncEmbstr
	if len(text) > command.EmbstrMax {
		enc = types.EncRaw
	}
	c.Put(k, types.TString, enc, text, deadline)
}

// checkLen tells whether a string may become n bytes long; if not it replies.
func checkLen(c *command.Ctx, n int64) bool {
	limit := int64(c.S.Config.ProtoMaxBulkLen.Load())
	if c.FromLog() {
		limit = max(limit, command.LoggedStringMax)
	}
	if n < 0 || n > limit {
		c.Err(command.ErrTooLong)
		return false
	}
	return true
}

func cmdAppend(c *command.Ctx) {
	k := &c.Keys[0]
	add := c.Args[2]
	var e keyspace.Entry
	if !c.LookupType(k, types.TString, &e) {
		return
	}
	if !e.Exists() {
		if !checkLen(c, int64(len(add))) {
			return
		}
		c.PutString(k, add, 0)
		c.W.Int(int64(len(add)))
	} else {
		n := int64(c.StringOf(&e).Len())
		if !checkLen(c, n+int64(len(add))) {
			return
		}
		c.WriteString(k, &e, int(n), add)
		c.W.Int(n + int64(len(add)))
	}
	c.Dirty++
	c.Notify('$', "append", k)
}

func cmdSetRange(c *command.Ctx) {
	off, ok := c.Int(2)
	if !ok {
		return
	}
	if off < 0 {
		c.Err("ERR offset is out of range")
		return
	}
	k := &c.Keys[0]
	b := c.Args[3]
	var e keyspace.Entry
	if !c.LookupType(k, types.TString, &e) {
		return
	}
	n := 0
	if e.Exists() {
		n = c.StringOf(&e).Len()
	}
	if len(b) == 0 {
		c.W.Int(int64(n))
		return
	}
	if off > math.MaxInt64-int64(len(b)) || !checkLen(c, off+int64(len(b))) {
		if off > math.MaxInt64-int64(len(b)) {
			c.Err(command.ErrTooLong)
		}
		return
	}
	c.WriteString(k, &e, int(off), b)
	c.Dirty++
	c.Notify('$', "setrange", k)
	c.W.Int(int64(max(n, int(off)+len(b))))
}

// setKeyFlags is Row.KeyFlagsFn of SET, which reads only where GET is asked for.
func setKeyFlags(args [][]byte) string {
	if slices.ContainsFunc(args[3:], func(a []byte) bool { return command.EqualFold(a, "get") }) {
		return "RW access update"
	}
	return "OW update"
}
