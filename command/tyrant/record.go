package tyrant

import (
	"encoding/binary"
	"math"
	"slices"

	"kvd/command"
	"kvd/keyspace"
	"kvd/types"
)

// Records: strings, under their keys.

// The codes of replies.
const (
	codeOK   = 0
	codeFail = 1
)

func code(c *command.Ctx, n byte) { c.W.Buf = append(c.W.Buf, n) }

func appendInt(b []byte, n int) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) }

// appendValue appends the bytes of a string, without their number.
func appendValue(b []byte, v command.StringValue) []byte {
	if v.Big != nil {
		return v.Big.AppendRange(b, 0, v.Big.Len())
	}
	return append(b, v.B...)
}

// find looks a record up. A key of another type is none, nor is a value whose length the
// protocol cannot say.
func find(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry) (v command.StringValue, ok bool) {
	if c.LookupInto(k, e); e.Type() != types.TString {
		return v, false
	}
	v = c.StringOf(e)
	return v, v.Len() <= math.MaxInt32
}

// fits tells whether a string may have n bytes.
func fits(c *command.Ctx, n int) bool {
	limit := c.S.Config.ProtoMaxBulkLen.Load()
	return int64(n) <= limit
}

// set puts a record in place of whatever is there.
func set(c *command.Ctx, k *keyspace.Key, value []byte) {
	c.NoteReplaced(k, types.TString)
	c.PutString(k, value, 0)
	c.Dirty++
	c.Notify('$', "set", k)
	c.Effect(command.WordSet, k.B, value)
}

// change gives the record e, or none, another value; its deadline stays. The value is not
// changed afterwards.
func change(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry, value []byte) {
	if !e.Exists() {
		set(c, k, value)
		return
	}
	m := keyspace.Marks{Flags: e.Marks().Flags}
	c.PutMarkedString(k, value, e.Deadline(), &m)
	c.Dirty++
	c.Notify('$', "set", k)
	c.Effect(command.WordSet, k.B, value, command.WordKeepTTL)
	c.FlagsEffect(k, m.Flags)
}

// writable finds a record that is to be changed, or its place; false: it is of another type.
func writable(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry) bool {
	c.NoEffect()
	c.FindInto(k, e)
	return !e.Exists() || e.Type() == types.TString
}

func put(c *command.Ctx) {
	c.NoEffect()
	if !fits(c, len(c.Args[2])) {
		code(c, codeFail)
		return
	}
	set(c, &c.Keys[0], c.Args[2])
	code(c, codeOK)
}

func putKeep(c *command.Ctx) {
	c.NoEffect()
	k := &c.Keys[0]
	if e := c.Find(k); e.Exists() || !fits(c, len(c.Args[2])) {
		code(c, codeFail)
		return
	}
	set(c, k, c.Args[2])
	code(c, codeOK)
}

var wordAppend = []byte("APPEND")

func putCat(c *command.Ctx) {
	k, add := &c.Keys[0], c.Args[2]
	var e keyspace.Entry
	if !writable(c, k, &e) {
		code(c, codeFail)
		return
	}
	n := 0
	if e.Exists() {
		n = c.StringOf(&e).Len()
	}
	switch {
	case !fits(c, n+len(add)):
		code(c, codeFail)
		return
	case !e.Exists():
		set(c, k, add)
	case len(add) > 0:
		c.WriteString(k, &e, n, add)
		c.Dirty++
		c.Notify('$', "append", k)
		c.Effect(wordAppend, k.B, add)
	}
	code(c, codeOK)
}

// putShift appends, and keeps the last bytes.
func putShift(c *command.Ctx) {
	k, add, width := &c.Keys[0], c.Args[2], int(binary.BigEndian.Uint32(c.Args[3]))
	var e keyspace.Entry
	if !writable(c, k, &e) || !fits(c, min(width, len(add))) {
		code(c, codeFail)
		return
	}
	var value []byte
	if len(add) < width && e.Exists() {
		v := c.StringOf(&e)
		n := min(v.Len(), width-len(add))
		if !fits(c, n+len(add)) {
			code(c, codeFail)
			return
		}
		value = make([]byte, 0, n+len(add))
		if v.Big != nil {
			value = v.Big.AppendRange(value, v.Len()-n, v.Len())
		} else {
			value = append(value, v.B[len(v.B)-n:]...)
		}
	}
	value = append(value, add[max(0, len(add)-width):]...)
	change(c, k, &e, value)
	code(c, codeOK)
}

// remove deletes a key of any type; false: there was none.
func remove(c *command.Ctx, k *keyspace.Key) bool {
	if e := c.Peek(k); !e.Exists() {
		return false
	}
	c.Delete(k)
	c.Dirty++
	c.Notify('g', "del", k)
	c.Effect(command.WordDel, k.B)
	return true
}

func out(c *command.Ctx) {
	c.NoEffect()
	if !remove(c, &c.Keys[0]) {
		code(c, codeFail)
		return
	}
	code(c, codeOK)
}

func get(c *command.Ctx) {
	var e keyspace.Entry
	v, ok := find(c, &c.Keys[0], &e)
	if !ok {
		code(c, codeFail)
		return
	}
	b := slices.Grow(c.W.Buf, 5+v.Len())
	c.W.Buf = appendValue(appendInt(append(b, codeOK), v.Len()), v)
}

func vsiz(c *command.Ctx) {
	var e keyspace.Entry
	v, ok := find(c, &c.Keys[0], &e)
	if !ok {
		code(c, codeFail)
		return
	}
	c.W.Buf = appendInt(append(c.W.Buf, codeOK), v.Len())
}

// each replies with a code, a number, and what add appends for each record that there is,
// which counts for per.
func each(c *command.Ctx, per int, add func(b []byte, k *keyspace.Key, v command.StringValue) []byte) {
	at := len(c.W.Buf)
	c.W.Buf = appendInt(append(c.W.Buf, codeOK), 0)
	n := 0
	var e keyspace.Entry
	for i := range c.Keys {
		k := &c.Keys[i]
		if v, ok := find(c, k, &e); ok {
			c.W.Buf = add(c.W.Buf, k, v)
			n += per
		}
	}
	setCount(c.W.Buf[at:], n)
}

// setCount writes the number behind the code of a reply.
func setCount(reply []byte, n int) { binary.BigEndian.PutUint32(reply[1:], uint32(n)) }

func mget(c *command.Ctx) {
	each(c, 1, func(b []byte, k *keyspace.Key, v command.StringValue) []byte {
		b = appendInt(appendInt(b, len(k.B)), v.Len())
		return appendValue(append(b, k.B...), v)
	})
}

func getList(c *command.Ctx) {
	each(c, 2, func(b []byte, k *keyspace.Key, v command.StringValue) []byte {
		return appendValue(appendInt(append(appendInt(b, len(k.B)), k.B...), v.Len()), v)
	})
}

func getPart(c *command.Ctx) {
	from, length := int64(0), int64(math.MaxInt64)
	ok := len(c.Args) <= 4
	if len(c.Args) > 2 {
		from, ok = command.ParseInt(c.Args[2])
	}
	if ok && len(c.Args) > 3 {
		length, ok = command.ParseInt(c.Args[3])
	}
	var e keyspace.Entry
	v, found := find(c, &c.Keys[0], &e)
	n := int64(v.Len())
	from = max(from, 0)
	if !ok || !found || length < 0 || from > n {
		code(c, codeFail)
		return
	}
	to := from + min(length, n-from)
	b := appendInt(appendInt(append(c.W.Buf, codeOK), 1), int(to-from))
	if v.Big != nil {
		c.W.Buf = v.Big.AppendRange(b, int(from), int(to))
		return
	}
	c.W.Buf = append(b, v.B[from:to]...)
}

func putList(c *command.Ctx) {
	c.NoEffect()
	for i := range c.Keys {
		if !fits(c, len(c.Args[2+2*i])) {
			code(c, codeFail)
			return
		}
	}
	for i := range c.Keys {
		set(c, &c.Keys[i], c.Args[2+2*i])
	}
	code(c, codeOK)
}

func outList(c *command.Ctx) {
	c.NoEffect()
	for i := range c.Keys {
		remove(c, &c.Keys[i])
	}
	code(c, codeOK)
}

// The numbers of addint and adddouble are stored as Tyrant stores them on the machines of
// today: 4 bytes, and a double of 8, the lowest first. Strings of other lengths are none.

func addInt(c *command.Ctx) {
	k := &c.Keys[0]
	var e keyspace.Entry
	old, ok := number(c, k, &e, 4)
	if !ok {
		code(c, codeFail)
		return
	}
	n := binary.BigEndian.Uint32(c.Args[2])
	if old != nil {
		n += binary.LittleEndian.Uint32(old) // beyond its ends it begins anew
	}
	change(c, k, &e, binary.LittleEndian.AppendUint32(nil, n))
	c.W.Buf = binary.BigEndian.AppendUint32(append(c.W.Buf, codeOK), n)
}

func addDouble(c *command.Ctx) {
	k := &c.Keys[0]
	var e keyspace.Entry
	old, ok := number(c, k, &e, 8)
	d := unpackDouble(c.Args[2])
	if ok && old != nil {
		d += math.Float64frombits(binary.LittleEndian.Uint64(old))
	}
	if !ok || math.IsNaN(d) {
		code(c, codeFail)
		return
	}
	change(c, k, &e, binary.LittleEndian.AppendUint64(nil, math.Float64bits(d)))
	c.W.Buf = appendDouble(append(c.W.Buf, codeOK), d)
}

// number finds the bytes of a number, nil where there is none; false: they are not of
// that length.
func number(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry, length int) (b []byte, ok bool) {
	if !writable(c, k, e) {
		return nil, false
	}
	if !e.Exists() {
		return nil, true
	}
	v := c.StringOf(e)
	return v.B, len(v.B) == length
}

// A double is sent as its integer part and a fraction in units of 1e-12, each of 64 bits.
const doubleUnit = 1e12

func unpackDouble(b []byte) float64 {
	whole, part := int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))
	switch {
	case whole == math.MinInt64 && part == math.MinInt64:
		return math.NaN()
	case whole == math.MaxInt64:
		return math.Inf(1)
	case whole == math.MinInt64:
		return math.Inf(-1)
	}
	return float64(whole) + float64(part)/doubleUnit
}

func appendDouble(b []byte, d float64) []byte {
	whole, part := math.Modf(d)
	i, f := int64(0), int64(0)
	switch {
	case whole >= 1<<63:
		i, f = math.MaxInt64, math.MaxInt64
	case whole < -1<<63:
		i, f = math.MinInt64, math.MaxInt64
	default:
		i, f = int64(whole), int64(math.Round(part*doubleUnit))
	}
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(i)), uint64(f))
}

var wordFlushDB = []byte("FLUSHDB")

func vanish(c *command.Ctx) {
	c.Dirty += c.Flush()
	c.Effect(wordFlushDB) // an empty database may not be one on a follower
	code(c, codeOK)
}
