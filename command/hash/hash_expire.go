package hash

import (
	"math"

	"kvd/command"
	"kvd/keyspace"
)

// HEXPIRE, HEXPIREAT, HEXPIRETIME, HGETDEL, HGETEX, HPERSIST, HPEXPIRE,
// HPEXPIREAT, HPEXPIRETIME, HPTTL, HSETEX, HTTL: hashes as of Redis 7.4 and 8.0.
// What they do is journaled in commands of Redis 7.0, and in HPEXPIREAT and
// HPERSIST, which have no older form.

func hashExpireRows() []*command.Row {
	const fields = " FIELDS numfields field [field ...]"
	set := func(name, summary, arg string, unit int64, relative bool) *command.Row {
		return &command.Row{Name: name, Fn: func(c *command.Ctx) { hexpire(c, unit, relative) }, Arity: -6, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update", MemberAt: 5,
			Since: "7.4.0", Group: "hash", Summary: summary, Complexity: "O(N) in the number of fields named", Syntax: "key " + arg + " [NX | XX | GT | LT]" + fields}
	}
	get := func(name, summary, tips string, unit int64, relative bool) *command.Row {
		return &command.Row{Name: name, Fn: func(c *command.Ctx) { httl(c, unit, relative) }, Arity: -5, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access", MemberAt: 4,
			Since: "7.4.0", Group: "hash", Summary: summary, Complexity: "O(N) in the number of fields named", Syntax: "key" + fields, Tips: tips}
	}
	return []*command.Row{
		set("hexpire", "Sets after how many seconds fields expire.", "seconds", 1000, true),
		set("hexpireat", "Sets the Unix second at which fields expire.", "unix-time-seconds", 1000, false),
		set("hpexpire", "Sets after how many milliseconds fields expire.", "milliseconds", 1, true),
		set("hpexpireat", "Sets the Unix millisecond at which fields expire.", "unix-time-milliseconds", 1, false),
		get("hexpiretime", "Returns the Unix second at which fields expire.", "", 1000, false),
		get("hpexpiretime", "Returns the Unix millisecond at which fields expire.", "", 1, false),
		get("httl", "Returns the seconds until fields expire.", "nondeterministic_output", 1000, true),
		get("hpttl", "Returns the milliseconds until fields expire.", "nondeterministic_output", 1, true),
		{Name: "hpersist", Fn: cmdHPersist, Arity: -5, Flags: command.Write | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update", MemberAt: 4,
			Since: "7.4.0", Group: "hash", Summary: "Takes the expiry from fields.", Complexity: "O(N) in the number of fields named", Syntax: "key" + fields},
		{Name: "hgetdel", Fn: cmdHGetDel, Arity: -5, Flags: command.Write | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access delete", MemberAt: 4,
			Since: "8.0.0", Group: "hash", Summary: "Returns the values of fields and deletes these.", Complexity: "O(N) in the number of fields named", Syntax: "key" + fields},
		{Name: "hgetex", Fn: cmdHGetEx, Arity: -5, Flags: command.Write | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
			Since: "8.0.0", Group: "hash", Summary: "Returns the values of fields and sets or takes away their expiry.", Complexity: "O(N) in the number of fields named",
			Syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]" + fields},
		{Name: "hsetex", Fn: cmdHSetEx, Arity: -6, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update",
			Since: "8.0.0", Group: "hash", Summary: "Sets fields and their expiry, on conditions where given.", Complexity: "O(N) in the number of fields named",
			Syntax: "key [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields field value [field value ...]"},
	}
}

var (
	wordHPExpireAt = []byte("HPEXPIREAT")
	wordHPersist   = []byte("HPERSIST")
	wordFields     = []byte("FIELDS")
)

// fieldDeadlineMax is the latest deadline that a field may have, in Unix
// milliseconds. Source: HEXPIRE of Redis 7.4 and later takes times below 2^46.
const fieldDeadlineMax = 1<<46 - 1

// fieldDeadline reads argument i as a time; unit is in milliseconds.
func fieldDeadline(c *command.Ctx, i int, unit int64, relative bool) (ms int64, ok bool) {
	if ms, ok = c.IntMin(i, 0, "ERR invalid expire time, must be >= 0"); !ok {
		return 0, false
	}
	base := int64(0)
	if relative {
		base = c.Now
	}
	if ms > fieldDeadlineMax/unit || ms*unit > fieldDeadlineMax-base {
		c.InvalidExpire()
		return 0, false
	}
	return ms*unit + base, true
}

// fieldArgs reads what follows from argument i on: FIELDS, a number, and as
// many fields; bad is the error where the number is none.
func fieldArgs(c *command.Ctx, i int, bad string) (fields [][]byte, ok bool) {
	if !c.Word(i, "fields") {
		c.Err("ERR Mandatory argument FIELDS is missing or not at the right position")
		return nil, false
	}
	n := int64(0)
	if i+1 < len(c.Args) {
		n, _ = command.ParseInt(c.Args[i+1])
	}
	if n < 1 {
		c.Err(bad)
		return nil, false
	}
	if fields = c.Args[i+2:]; n != int64(len(fields)) {
		c.Err(errFieldsDiffer)
		return nil, false
	}
	return fields, true
}

// fieldsThenOptions is fieldArgs where options may stand behind the fields instead of
// in front of them, as since Redis 8.4: rest is where they begin.
func fieldsThenOptions(c *command.Ctx, i int, bad string) (fields [][]byte, rest int, ok bool) {
	all := c.Args
	if i+1 < len(all) && c.Word(i, "fields") {
		if n, isInt := command.ParseInt(all[i+1]); isInt && n > 0 && n < int64(len(all)-i-2) {
			c.Args = all[:i+2+int(n)]
		}
	}
	fields, ok = fieldArgs(c, i, bad)
	rest = len(c.Args)
	c.Args = all
	return fields, rest, ok
}

const (
	errFieldCount   = "ERR Number of fields must be a positive integer"
	errHExpireCount = "ERR Parameter `numFields` should be greater than 0"
	errFieldsDiffer = "ERR The `numfields` parameter must match the number of arguments"
)

// fieldsEffect journals a command of the form WORD key [ms] [FIELDS n] field ...
func fieldsEffect(c *command.Ctx, word []byte, k *keyspace.Key, ms int64, fields [][]byte) {
	effect := make([][]byte, 0, len(fields)+5)
	effect = append(effect, word, k.B)
	if ms != 0 {
		effect = append(effect, command.IntArg(ms))
	}
	if &word[0] != &wordHDel[0] {
		effect = append(effect, wordFields, command.IntArg(int64(len(fields))))
	}
	c.Effect(append(effect, fields...)...)
}

func hpexpireAtEffect(c *command.Ctx, k *keyspace.Key, ms int64, fields ...[]byte) {
	fieldsEffect(c, wordHPExpireAt, k, ms, fields)
}

// dueChange gives fields of a hash a deadline, one after the other.
type dueChange struct {
	c    *command.Ctx
	h    *hashAt
	when int64
	past bool // the fields go at once

	changed [][]byte // those that were given it, or are gone
}

// set gives a field that exists the deadline.
func (d *dueChange) set(field []byte) {
	openHash(d.c, d.h)
	if d.past {
		d.h.Delete(field, 0)
	} else {
		d.h.SetDeadline(field, d.when, d.h.now)
	}
	d.changed = append(d.changed, field)
}

// done stores the hash, says what happened, and counts it.
func (d *dueChange) done() {
	if len(d.changed) == 0 {
		return
	}
	gone := storeHash(d.c, d.h)
	d.c.Dirty += len(d.changed)
	word, ms, event := wordHPExpireAt, d.when, "hexpire"
	if d.past {
		word, ms, event = wordHDel, 0, "hdel"
	}
	fieldsEffect(d.c, word, d.h.k, ms, d.changed)
	notifyHash(d.c, d.h.k, event, d.changed, gone)
}

func readDueChange(c *command.Ctx, h *hashAt, when int64) dueChange {
	return dueChange{c: c, h: h, when: max(when, 1), past: c.Past(when)} // 0 would be none
}

// What HEXPIRE and its kin, and HPERSIST, reply for a field.
const (
	fieldMissing = -2
	fieldNoDue   = -1
	fieldNotSet  = 0
	fieldSet     = 1
	fieldGone    = 2
)

// hexpire serves HEXPIRE and its kin; unit is in milliseconds.
func hexpire(c *command.Ctx, unit int64, relative bool) {
	var h hashAt
	if !findHash(c, &c.Keys[0], &h) {
		return
	}
	when, ok := fieldDeadline(c, 2, unit, relative)
	if !ok {
		return
	}
	cond, at := command.When{}, 3
	given := c.WhenWord(at, &cond)
	if given {
		at++
	}
	fields, rest, ok := fieldsThenOptions(c, at, errHExpireCount)
	if !ok {
		return
	}
	if rest < len(c.Args) && (given || rest+1 < len(c.Args) || !c.WhenWord(rest, &cond)) {
		c.Err(errFieldsDiffer)
		return
	}
	d := readDueChange(c, &h, when)
	c.W.Array(len(fields))
	for _, field := range fields {
		switch old, ok := h.Deadline(field, h.now); {
		case !ok:
			c.W.Int(fieldMissing)
		case !cond.Holds(old, when):
			c.W.Int(fieldNotSet)
		case d.past:
			d.set(field)
			c.W.Int(fieldGone)
		default:
			d.set(field)
			c.W.Int(fieldSet)
		}
	}
	d.done()
}

// httl serves HTTL and its kin; unit is in milliseconds.
func httl(c *command.Ctx, unit int64, relative bool) {
	var h hashAt
	if !findHash(c, &c.Keys[0], &h) {
		return
	}
	fields, ok := fieldArgs(c, 2, errFieldCount)
	if !ok {
		return
	}
	base := int64(0)
	if relative {
		base = c.Now
	}
	c.W.Array(len(fields))
	for _, field := range fields {
		switch at, ok := h.Deadline(field, h.now); {
		case !ok:
			c.W.Int(fieldMissing)
		case at == 0:
			c.W.Int(fieldNoDue)
		default:
			// Up to the whole second, unlike TTL.
			c.W.Int((max(at-base, 0) + unit - 1) / unit)
		}
	}
}

func cmdHPersist(c *command.Ctx) {
	var h hashAt
	if !findHash(c, &c.Keys[0], &h) {
		return
	}
	fields, ok := fieldArgs(c, 2, errFieldCount)
	if !ok {
		return
	}
	p := persisting{c: c, h: &h}
	c.W.Array(len(fields))
	for _, field := range fields {
		switch at, ok := h.Deadline(field, h.now); {
		case !ok:
			c.W.Int(fieldMissing)
		case at == 0:
			c.W.Int(fieldNoDue)
		default:
			p.persist(field)
			c.W.Int(fieldSet)
		}
	}
	p.done()
}

// persisting takes deadlines away.
type persisting struct {
	c       *command.Ctx
	h       *hashAt
	changed [][]byte
}

func (p *persisting) persist(field []byte) {
	openHash(p.c, p.h)
	p.h.Persist(field, p.h.now)
	p.changed = append(p.changed, field)
}

func (p *persisting) done() {
	if len(p.changed) == 0 {
		return
	}
	storeHash(p.c, p.h)
	p.c.Dirty += len(p.changed)
	fieldsEffect(p.c, wordHPersist, p.h.k, 0, p.changed)
	p.c.NotifyFields('h', "hpersist", p.h.k, p.changed, 1)
}

func cmdHGetDel(c *command.Ctx) {
	var h hashAt
	if !findHash(c, &c.Keys[0], &h) {
		return
	}
	fields, ok := fieldArgs(c, 2, errFieldCount)
	if !ok {
		return
	}
	var deleted [][]byte
	c.W.Array(len(fields))
	for _, field := range fields {
		if h.reply(c.W, field) {
			openHash(c, &h)
			h.Delete(field, 0)
			deleted = append(deleted, field)
		}
	}
	if len(deleted) > 0 {
		c.Dirty += len(deleted)
		fieldsEffect(c, wordHDel, h.k, 0, deleted)
		notifyHash(c, h.k, "hdel", deleted, storeHash(c, &h))
	}
}

// expiryWord is what EX, PX, EXAT or PXAT at argument i say of the time that
// follows them; unit 0: another word is there.
func expiryWord(c *command.Ctx, i int) (unit int64, relative bool) {
	switch {
	case c.Word(i, "ex"):
		return 1000, true
	case c.Word(i, "px"):
		return 1, true
	case c.Word(i, "exat"):
		return 1000, false
	case c.Word(i, "pxat"):
		return 1, false
	}
	return 0, false
}

// hgetexOptions are those of HGETEX.
type hgetexOptions struct {
	unit    int64 // 0: no time is given
	when    int64
	persist bool
}

// parse reads the option at argument i, if one is there, and returns what follows it;
// false: an error, which is replied.
func (o *hgetexOptions) parse(c *command.Ctx, i int) (end int, ok bool) {
	unit, relative := expiryWord(c, i)
	switch {
	case unit != 0 && i+1 == len(c.Args):
		c.Err("ERR missing expire time")
		return i, false
	case unit != 0:
		o.unit = unit
		o.when, ok = fieldDeadline(c, i+1, unit, relative)
		return i + 2, ok
	case c.Word(i, "persist"):
		o.persist = true
		return i + 1, true
	}
	return i, true
}

func cmdHGetEx(c *command.Ctx) {
	var h hashAt
	if !findHash(c, &c.Keys[0], &h) {
		return
	}
	var o hgetexOptions
	at, ok := o.parse(c, 2)
	if !ok {
		return
	}
	fields, rest, ok := fieldsThenOptions(c, at, errFieldCount)
	if !ok {
		return
	}
	if rest < len(c.Args) {
		end, ok := rest, true
		if at == 2 {
			end, ok = o.parse(c, rest)
		}
		if !ok {
			return
		}
		if end < len(c.Args) {
			c.Err(errFieldsDiffer)
			return
		}
	}
	unit, persist, when := o.unit, o.persist, o.when
	d := readDueChange(c, &h, when)
	p := persisting{c: c, h: &h}
	c.W.Array(len(fields))
	for _, field := range fields {
		there := h.reply(c.W, field)
		switch {
		case !there:
		case unit != 0:
			d.set(field)
		case persist:
			if at, _ := h.Deadline(field, h.now); at != 0 {
				p.persist(field)
			}
		}
	}
	d.done()
	p.done()
}

// hsetexOptions are HSETEX's arguments.
type hsetexOptions struct {
	fnx, fxx, keep, expiry bool
	when                   int64
	pairs                  [][]byte
}

// parse reads the arguments. It returns false after replying with an error.
func (o *hsetexOptions) parse(c *command.Ctx) bool {
	for i := 2; i < len(c.Args); i++ {
		unit, relative := expiryWord(c, i)
		keep, fnx, fxx := c.Word(i, "keepttl"), c.Word(i, "fnx"), c.Word(i, "fxx")
		switch {
		case c.Word(i, "fields") && o.pairs == nil:
			if i = o.parsePairs(c, i); i == 0 {
				return false
			}
			i--
		case unit != 0 || keep:
			if o.expiry || o.keep {
				c.Err("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified")
				return false
			}
			o.keep, o.expiry = keep, !keep
			if keep {
				continue
			}
			if i++; i == len(c.Args) {
				c.Err("ERR missing expire time")
				return false
			}
			var ok bool
			if o.when, ok = fieldDeadline(c, i, unit, relative); !ok {
				return false
			}
		case fnx || fxx:
			if o.fnx || o.fxx {
				c.Err("ERR Only one of FXX or FNX arguments can be specified")
				return false
			}
			o.fnx, o.fxx = fnx, fxx
		default:
			c.Err("ERR unknown argument: " + string(c.Args[i]))
			return false
		}
	}
	if o.pairs != nil {
		return true
	}
	// Redis fails an assertion here.
	c.Err("ERR Mandatory argument FIELDS is missing or not at the right position")
	return false
}

// parsePairs reads the fields and values behind FIELDS at argument i and returns what
// follows, which may be options. It returns 0 after replying with an error.
func (o *hsetexOptions) parsePairs(c *command.Ctx, i int) (end int) {
	if i >= len(c.Args)-3 {
		c.WrongArity()
		return 0
	}
	n, ok := command.ParseInt(c.Args[i+1])
	if !ok || n < 1 || n > math.MaxInt32 {
		c.Err("ERR invalid number of fields")
		return 0
	}
	o.pairs = c.Args[i+2:]
	if int64(len(o.pairs)) > 2*n {
		o.pairs = o.pairs[:2*n]
	}
	end = i + 2 + len(o.pairs)
	if int64(len(o.pairs)) != 2*n || end < len(c.Args) && !hsetexOption(c, end) {
		c.WrongArity()
		return 0
	}
	return end
}

func hsetexOption(c *command.Ctx, i int) bool {
	unit, _ := expiryWord(c, i)
	return unit != 0 || c.Word(i, "keepttl") || c.Word(i, "fnx") || c.Word(i, "fxx")
}

// holds tells whether the fields are there, or not, as the options ask.
func (o *hsetexOptions) holds(h *hashAt) bool {
	if !o.fnx && !o.fxx {
		return true
	}
	for i := 0; i < len(o.pairs); i += 2 {
		if h.Has(o.pairs[i], h.now) == o.fnx {
			return false
		}
	}
	return true
}

func cmdHSetEx(c *command.Ctx) {
	var o hsetexOptions
	if !o.parse(c) {
		return
	}
	var h hashAt
	if !findHash(c, &c.Keys[0], &h) {
		return
	}
	if !o.holds(&h) {
		c.W.Int(0)
		return
	}
	n := len(o.pairs) / 2
	c.Dirty += n
	c.W.Int(1)
	if o.expiry && c.Past(o.when) {
		hsetexPast(c, &h, &o)
		return
	}
	fields := make([][]byte, n)
	openHash(c, &h)
	for i := range fields {
		field, value := o.pairs[2*i], o.pairs[2*i+1]
		fields[i] = field
		switch {
		case o.expiry:
			h.Put(field, value, max(o.when, 1))
		case o.keep:
			h.Update(field, value, h.now)
		default:
			h.Set(field, value, h.now)
		}
	}
	if c.Journaling() {
		c.Effect(append([][]byte{wordHSet, h.k.B}, o.pairs...)...)
		if o.expiry {
			hpexpireAtEffect(c, h.k, max(o.when, 1), fields...)
		}
		for _, field := range fields {
			if at, _ := h.Deadline(field, h.now); o.keep && at != 0 {
				hpexpireAtEffect(c, h.k, at, field) // HSET takes it away
			}
		}
	}
	storeHash(c, &h)
	c.NotifyFields('h', "hset", h.k, fields, 1)
	if o.expiry {
		c.NotifyFields('h', "hexpire", h.k, fields, 1)
	}
}

// hsetexPast sets fields to what is over already, and so deletes them.
func hsetexPast(c *command.Ctx, h *hashAt, o *hsetexOptions) {
	c.NoEffect()
	d := readDueChange(c, h, o.when)
	for i := 0; i < len(o.pairs); i += 2 {
		if h.Has(o.pairs[i], h.now) {
			d.set(o.pairs[i])
		}
	}
	c.NotifyFields('h', "hset", h.k, o.pairs, 2)
	if n := len(d.changed); n > 0 {
		c.Dirty -= n // which done counts
		d.done()
	} else {
		c.NotifyFields('h', "hdel", h.k, o.pairs, 2)
	}
}
