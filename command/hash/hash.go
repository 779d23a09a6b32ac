package hash

import (
	"math"
	"slices"
	"strconv"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// HDEL, HEXISTS, HGET, HGETALL, HINCRBY, HINCRBYFLOAT, HKEYS, HLEN, HMGET,
// HMSET, HRANDFIELD, HSCAN, HSET, HSETNX, HSTRLEN, HVALS. What deals with the
// deadlines of fields is in hash_expire.go.

func hashRows() []*command.Row {
	read := func(name string, fn func(*command.Ctx), arity int, flags command.Flag, keyFlags, since, summary, complexity, syntax, tips string) *command.Row {
		return &command.Row{Name: name, Fn: fn, Arity: arity, Flags: command.ReadOnly | flags, First: 1, Last: 1, Step: 1, KeyFlags: keyFlags,
			Since: since, Group: "hash", Summary: summary, Complexity: complexity, Syntax: syntax, Tips: tips}
	}
	write := func(name string, fn func(*command.Ctx), arity int, flags command.Flag, keyFlags, since, summary, complexity, syntax string) *command.Row {
		return &command.Row{Name: name, Fn: fn, Arity: arity, Flags: command.Write | command.Fast | flags, First: 1, Last: 1, Step: 1, KeyFlags: keyFlags,
			Since: since, Group: "hash", Summary: summary, Complexity: complexity, Syntax: syntax}
	}
	field := func(r *command.Row) *command.Row {
		r.MemberAt = 2
		return r
	}
	const linear = "O(N) in the size of the hash"
	return []*command.Row{
		field(write("hdel", cmdHDel, -3, 0, "RW delete", "2.0.0",
			"Deletes fields of a hash, and the hash with its last field.", "O(N) in the number of fields named", "key field [field ...]")),
		field(read("hexists", cmdHExists, 3, command.Fast, "RO", "2.0.0",
			"Tells whether a field exists.", "O(1)", "key field", "")),
		field(read("hget", cmdHGet, 3, command.Fast, "RO access", "2.0.0",
			"Returns the value of a field.", "O(1)", "key field", "")),
		read("hgetall", func(c *command.Ctx) { wholeHash(c, true, true) }, 2, 0, "RO access", "2.0.0",
			"Returns all fields and values.", linear, "key", "nondeterministic_output_order"),
		field(write("hincrby", cmdHIncrBy, 4, command.DenyOOM, "RW access update", "2.0.0",
			"Adds to the integer in a field; a missing field counts as 0.", "O(1)", "key field increment")),
		field(write("hincrbyfloat", cmdHIncrByFloat, 4, command.DenyOOM, "RW access update", "2.6.0",
			"Adds to the floating-point number in a field; a missing field counts as 0.", "O(1)", "key field increment")),
		read("hkeys", func(c *command.Ctx) { wholeHash(c, true, false) }, 2, 0, "RO access", "2.0.0",
			"Returns all fields.", linear, "key", "nondeterministic_output_order"),
		read("hlen", cmdHLen, 2, command.Fast, "RO", "2.0.0",
			"Returns the number of fields.", "O(1)", "key", ""),
		field(read("hmget", cmdHMGet, -3, command.Fast, "RO access", "2.0.0",
			"Returns the values of several fields.", "O(N) in the number of fields named", "key field [field ...]", "")),
		field(write("hmset", cmdHMSet, -4, command.DenyOOM, "RW update", "2.0.0",
			"Sets several fields (the old form of HSET).", "O(N) in the number of fields named", "key field value [field value ...]")),
		read("hrandfield", cmdHRandField, -2, 0, "RO access", "6.2.0",
			"Returns fields chosen at random.", "O(N) in the number of fields returned", "key [count [WITHVALUES]]", "nondeterministic_output"),
		read("hscan", cmdHScan, -3, 0, "RO access", "2.8.0",
			"Goes through the fields of a hash in steps.", "O(1) for each call, O(N) for all calls of a whole pass",
			"key cursor [MATCH pattern] [COUNT count] [NOVALUES]", "nondeterministic_output"),
		field(write("hset", cmdHSet, -4, command.DenyOOM, "RW update", "2.0.0",
			"Sets fields and returns how many of them are new.", "O(N) in the number of fields named", "key field value [field value ...]")),
		field(write("hsetnx", cmdHSetNX, 4, command.DenyOOM, "RW insert", "2.0.0",
			"Sets a field that does not exist.", "O(1)", "key field value")),
		field(read("hstrlen", cmdHStrLen, 3, command.Fast, "RO", "3.2.0",
			"Returns the length of a field's value.", "O(1)", "key field", "")),
		read("hvals", func(c *command.Ctx) { wholeHash(c, false, true) }, 2, 0, "RO access", "2.0.0",
			"Returns all values.", linear, "key", "nondeterministic_output_order"),
	}
}

// Fields that are due and have not been removed yet do not exist for a
// command: it gives fieldTime to the methods of types.Hash, and writes to no
// due field without saying in its effects what makes it come out the same
// where they are replayed and due fields do exist.

// fieldTime is the moment at which fields are due; 0, while replaying: never.
func fieldTime(c *command.Ctx) int64 {
	if c.Replaying {
		return 0
	}
	return c.Now
}

// hashAt is the hash at a key as a command reads it and then, maybe, changes it.
type hashAt struct {
	*types.Hash
	k    *keyspace.Key
	e    keyspace.Entry
	now  int64 // for the methods of Hash
	was  command.Editing
	open bool
}

// findHash loads the hash at a key into h, for reading, as an access to it; it is
// empty where there is none. False: something of another type is there, and
// that is replied.
func findHash(c *command.Ctx, k *keyspace.Key, h *hashAt) bool {
	h.k, h.now = k, fieldTime(c)
	if !c.LookupType(k, types.THash, &h.e) {
		return false
	}
	cfg := c.S.Config
	h.Hash = &c.Values().Hash
	h.Limits.MaxListpackEntries = int(cfg.HashMaxListpackEntries.Load())
	h.Limits.MaxListpackValue = int(cfg.HashMaxListpackValue.Load())
	c.Load(&h.e, h.Hash)
	return true
}

// exists tells whether there is a hash at all.
func (h *hashAt) exists() bool { return h.e.Exists() }

// openHash makes ready to change the hash, which storeHash must follow. Once it
// is open, nothing happens.
func openHash(c *command.Ctx, h *hashAt) {
	if !h.open {
		h.open = true
		h.was = c.Open(h.k, &h.e, h.Hash)
	}
}

// storeHash keeps the hash that was changed, and deletes the key with the last
// field: gone.
func storeHash(c *command.Ctx, h *hashAt) (gone bool) {
	noted := h.e.FieldDeadline()
	gone = h.Empty()
	c.Store(h.k, h.was, h.Hash, types.THash, gone)
	if gone {
		return true
	}
	if next := h.NextDeadline(); next != noted {
		c.SetFieldDeadline(h.k, next)
	}
	return false
}

// notifyHash says that an event happened to fields of a hash, and that it is gone.
func notifyHash(c *command.Ctx, k *keyspace.Key, event string, fields [][]byte, gone bool) {
	c.NotifyFields('h', event, k, fields, 1)
	if gone {
		c.Notify('g', "del", k)
	}
}

var (
	wordHSet = []byte("HSET")
	wordHDel = []byte("HDEL")
)

func cmdHSet(c *command.Ctx) {
	if created, ok := setFields(c); ok {
		c.W.Int(int64(created))
	}
}

func cmdHMSet(c *command.Ctx) {
	if _, ok := setFields(c); ok {
		c.W.OK()
	}
}

// setFields sets the pairs of HSET or HMSET and counts the new fields; ok is
// false where it has replied why not.
func setFields(c *command.Ctx) (created int, ok bool) {
	if len(c.Args)%2 != 0 {
		c.WrongArity()
		return
	}
	var h hashAt
	if !findHash(c, &c.Keys[0], &h) {
		return
	}
	pairs := c.Args[2:]
	openHash(c, &h)
	for i := 0; i < len(pairs); i += 2 {
		if h.Set(pairs[i], pairs[i+1], h.now) {
			created++
		}
	}
	storeHash(c, &h)
	c.Dirty += len(pairs) / 2
	c.NotifyFields('h', "hset", h.k, pairs, 2)
	return created, true
}

func cmdHSetNX(c *command.Ctx) {
	var h hashAt
	if !findHash(c, &c.Keys[0], &h) {
		return
	}
	field, value := c.Args[2], c.Args[3]
	if h.Has(field, h.now) {
		c.W.Int(0)
		return
	}
	if c.FieldsDue(&h.e) {
		c.Effect(wordHSet, h.k.B, field, value)
	}
	openHash(c, &h)
	h.Set(field, value, h.now)
	storeHash(c, &h)
	c.Dirty++
	c.NotifyFields('h', "hset", h.k, c.Args[2:3], 1)
	c.W.Int(1)
}

func cmdHGet(c *command.Ctx) {
	var h hashAt
	if findHash(c, &c.Keys[0], &h) {
		h.reply(c.W, c.Args[2])
	}
}

// reply replies with the value of a field, or null, and tells whether there is
// one.
func (h *hashAt) reply(w *wire.Writer, field []byte) bool {
	v, ok := h.Get(field, h.now)
	if ok {
		command.WriteElem(w, v)
	} else {
		w.Null()
	}
	return ok
}

func cmdHMGet(c *command.Ctx) {
	var h hashAt
	if !findHash(c, &c.Keys[0], &h) {
		return
	}
	c.W.Array(len(c.Args) - 2)
	for _, field := range c.Args[2:] {
		h.reply(c.W, field)
	}
}

func cmdHExists(c *command.Ctx) {
	var h hashAt
	switch {
	case !findHash(c, &c.Keys[0], &h):
	case h.Has(c.Args[2], h.now):
		c.W.Int(1)
	default:
		c.W.Int(0)
	}
}

func cmdHLen(c *command.Ctx) {
	var h hashAt
	if findHash(c, &c.Keys[0], &h) {
		c.W.Int(int64(h.Len(h.now)))
	}
}

func cmdHStrLen(c *command.Ctx) {
	var h hashAt
	if findHash(c, &c.Keys[0], &h) {
		c.W.Int(int64(h.StrLen(c.Args[2], h.now)))
	}
}

func cmdHDel(c *command.Ctx) {
	var h hashAt
	if !findHash(c, &c.Keys[0], &h) {
		return
	}
	var gone [][]byte
	for _, field := range c.Args[2:] {
		if !h.Has(field, h.now) {
			continue
		}
		openHash(c, &h)
		h.Delete(field, 0)
		gone = append(gone, field)
	}
	if deleted := len(gone); deleted > 0 {
		notifyHash(c, h.k, "hdel", gone, storeHash(c, &h))
		c.Dirty += deleted
	}
	c.W.Int(int64(len(gone)))
}

func cmdHIncrBy(c *command.Ctx) {
	by, ok := c.Int(3)
	if !ok {
		return
	}
	var h hashAt
	if !findHash(c, &c.Keys[0], &h) {
		return
	}
	field := c.Args[2]
	v, there := h.Get(field, h.now)
	n := v.I
	if there && !v.IsInt() {
		if n, ok = command.ParseInt(v.S); !ok {
			c.Err("ERR hash value is not an integer")
			return
		}
	}
	if by < 0 && n < math.MinInt64-by || by > 0 && n > math.MaxInt64-by {
		c.Err(command.ErrOverflow)
		return
	}
	n += by
	var room [20]byte
	text := strconv.AppendInt(room[:0], n, 10)
	if !there && c.FieldsDue(&h.e) {
		c.Effect(wordHSet, h.k.B, field, slices.Clone(text))
	}
	setNumber(c, &h, field, text, "hincrby")
	c.W.Int(n)
}

// setNumber sets a field, which keeps its deadline, to a number as text.
func setNumber(c *command.Ctx, h *hashAt, field, text []byte, event string) {
	openHash(c, h)
	h.Update(field, text, h.now)
	storeHash(c, h)
	c.Dirty++
	c.NotifyFields('h', event, h.k, [][]byte{field}, 1)
}

func cmdHIncrByFloat(c *command.Ctx) {
	by, ok := wire.ParseLongDouble(c.Args[3])
	if !ok {
		c.Err(command.ErrNotFloat)
		return
	}
	if !by.IsFinite() {
		c.Err("ERR value is NaN or Infinity")
		return
	}
	var h hashAt
	if !findHash(c, &c.Keys[0], &h) {
		return
	}
	field := c.Args[2]
	var cur wire.LongDouble
	if v, there := h.Get(field, h.now); there {
		c.Scratch = v.Append(c.Scratch[:0])
		if cur, ok = wire.ParseLongDouble(c.Scratch); !ok {
			c.Err("ERR hash value is not a float")
			return
		}
	}
	sum := cur.Add(by)
	if !sum.IsFinite() {
		c.Err("ERR increment would produce NaN or Infinity")
		return
	}
	text := wire.AppendHumanLongDouble(nil, sum)
	c.Effect(wordHSet, h.k.B, field, text)
	if at, _ := h.Deadline(field, h.now); at != 0 {
		hpexpireAtEffect(c, h.k, at, field) // HSET takes it away
	}
	setNumber(c, &h, field, text, "hincrbyfloat")
	c.W.Bulk(text)
}

// hashReply is what is wanted of a whole hash.
type hashReply struct {
	fields, values bool
	now            int64
}

// wholeHash serves HGETALL, HKEYS and HVALS.
func wholeHash(c *command.Ctx, fields, values bool) {
	var h hashAt
	if !findHash(c, &c.Keys[0], &h) {
		return
	}
	r := hashReply{fields, values, h.now}
	if view := h.longView(h.Len(0)); view != nil {
		r := r
		hashLater(c, view, func(w *wire.Writer, h *types.Hash) { r.write(w, h) })
		return
	}
	r.write(c.W, h.Hash)
}

// longView is a copy of the hash, if reading n of its fields takes long, for
// hashLater; else nil.
func (h *hashAt) longView(n int) types.Object {
	_, _, obj := h.Stored()
	if !command.LongToRead(obj, n, h.Len(0)) {
		return nil
	}
	return obj.Copy()
}

// hashLater calls f to reply from a copy of a hash, on a worker.
func hashLater(c *command.Ctx, view types.Object, f func(w *wire.Writer, h *types.Hash)) {
	c.Aside(func(w *wire.Writer) {
		defer command.FreeAll(view)
		var h types.Hash
		h.Load(types.EncHashtable, nil, view)
		f(w, &h)
	})
}

func (r *hashReply) write(w *wire.Writer, h *types.Hash) {
	if n := h.Len(r.now); r.fields && r.values {
		w.Map(n)
	} else {
		w.Array(n)
	}
	h.Each(r.now, func(field, value types.Elem, _ int64) bool {
		if r.fields {
			command.WriteElem(w, field)
		}
		if r.values {
			command.WriteElem(w, value)
		}
		return true
	})
}

// hrandomMax is the most fields that HRANDFIELD returns where they may come
// again. Redis has no such limit, and runs out of memory instead.
const hrandomMax = 1 << 24

func cmdHRandField(c *command.Ctx) {
	if len(c.Args) == 2 {
		var h hashAt
		if !findHash(c, &c.Keys[0], &h) {
			return
		}
		if field, _, ok := h.Random(h.now); ok {
			command.WriteElem(c.W, field)
		} else {
			c.W.Null()
		}
		return
	}
	count, values, ok := c.RandomArgs("withvalues")
	if !ok {
		return
	}
	var h hashAt
	if !findHash(c, &c.Keys[0], &h) {
		return
	}
	now, size := h.now, h.Len(h.now)
	if size == 0 {
		c.W.Array(0)
		return
	}
	if count < -hrandomMax {
		c.RefuseLong(-count)
		return
	}
	n := int(min(count, int64(size)))
	if view := h.longView(max(n, -n)); view != nil {
		hashLater(c, view, func(w *wire.Writer, h *types.Hash) { replyRandomFields(w, h, n, values, now) })
		return
	}
	replyRandomFields(c.W, h.Hash, n, values, now)
}

// replyRandomFields replies with n different fields, or if n is negative with
// -n that may be the same. There is one to choose.
func replyRandomFields(w *wire.Writer, h *types.Hash, n int, values bool, now int64) {
	elems := max(n, -n)
	if values && w.Proto < 3 {
		elems *= 2
	}
	w.Array(elems)
	show := func(field, value types.Elem) bool {
		if values && w.Proto >= 3 {
			w.Array(2)
		}
		command.WriteElem(w, field)
		if values {
			command.WriteElem(w, value)
		}
		return true
	}
	for ; n < 0; n++ {
		field, value, _ := h.Random(now)
		show(field, value)
	}
	if n > 0 {
		h.RandomDistinct(n, now, show)
	}
}

func cmdHScan(c *command.Ctx) {
	o, ok := c.ScanCursor(2)
	if !ok {
		return
	}
	var h hashAt
	if !findHash(c, &c.Keys[0], &h) {
		return
	}
	if !h.exists() {
		c.ScanNothing()
		return
	}
	o.OfHash = true
	if !c.ScanRest(&o, 3, false) {
		return
	}
	o.Count = min(o.Count, h.Len(0))
	view := h.longView(o.Count)
	if _, _, obj := h.Stored(); view == nil && obj != nil && o.Hard() {
		view = obj.Copy()
	}
	if view != nil {
		o, now := o, h.now
		hashLater(c, view, func(w *wire.Writer, h *types.Hash) { replyHScan(w, h, &o, now) })
		return
	}
	replyHScan(c.W, h.Hash, &o, h.now)
}

// replyHScan replies with a step of HSCAN.
func replyHScan(w *wire.Writer, h *types.Hash, o *command.ScanOptions, now int64) {
	// The cursor stands in front of the fields and is known after them.
	var out wire.Writer
	var name [32]byte
	n := 0
	cursor := h.Scan(o.Cursor, o.Count, now, func(field, value types.Elem) {
		text := field.S
		if field.IsInt() {
			text = field.Append(name[:0])
		}
		if !o.Matches(text) {
			return
		}
		out.Bulk(text)
		n++
		if !o.NoValues {
			command.WriteElem(&out, value)
			n++
		}
	})
	w.Array(2)
	w.Bulk(strconv.AppendUint(nil, cursor, 10))
	w.Array(n)
	w.Raw(out.Buf)
}
