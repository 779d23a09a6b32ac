package tyrant

import (
	"bytes"
	"encoding/binary"
	"math"
	"regexp"
	"slices"
	"time"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// A tree: the records are the fields of one hash, in order, as of a B+ tree database
// ("NAME.tcb"). Its key is the first argument of each command; the others are those of
// the commands of strings.

// InTree are the commands, by their names, that there are for trees: tb.NAME in place of
// tt.NAME.
var InTree = []string{"put", "putkeep", "putcat", "putshl", "out", "get", "vsiz", "mget", "addint", "adddouble", "putlist", "outlist", "getlist", "getpart",
	"iterat", "iterinit", "iternext", "iterpair", "fwmkeys", "regex", "vanish", "rnum", "size", "stat"}

func treeRows() []*command.Row {
	const (
		read  = command.ReadOnly
		write = command.Write
		store = command.Write | command.DenyOOM
	)
	one := func(name string, fn func(c *command.Ctx, t *tree), arity int, flags command.Flag, keyFlags, summary, syntax string) *command.Row {
		return &command.Row{Name: name, Fn: onTree(fn, flags&command.Write != 0), Arity: arity, Flags: flags, First: 1, Last: 1, Step: 1, KeyFlags: keyFlags, Front: "tyrant",
			Since: "7.0.0", Group: "hash", Summary: summary, Complexity: "O(log(N)) for each record", Syntax: syntax}
	}
	return []*command.Row{
		one("tb.put", treePut, 4, store, "RW update", "put and putnr, in a tree.", "key field value"),
		one("tb.putkeep", treePutKeep, 4, store, "RW insert", "putkeep, in a tree.", "key field value"),
		one("tb.putcat", treePutCat, 4, store, "RW access update", "putcat, in a tree.", "key field value"),
		one("tb.putshl", treePutShift, 5, store, "RW access update", "putshl, in a tree.", "key field value width"),
		one("tb.out", treeOut, 3, write, "RW delete", "out, in a tree.", "key field"),
		one("tb.get", treeGet, 3, read, "RO access", "get, in a tree.", "key field"),
		one("tb.vsiz", treeSize1, 3, read, "RO access", "vsiz, in a tree.", "key field"),
		one("tb.mget", treeMGet, -3, read, "RO access", "mget, in a tree.", "key field [field ...]"),
		one("tb.addint", treeAddInt, 4, store, "RW access update", "addint, in a tree.", "key field number"),
		one("tb.adddouble", treeAddDouble, 4, store, "RW access update", "adddouble, in a tree.", "key field number"),
		one("tb.putlist", treePutList, -4, store, "RW update", "putlist of misc, in a tree.", "key field value [field value ...]"),
		one("tb.outlist", treeOutList, -3, write, "RW delete", "outlist of misc, in a tree.", "key field [field ...]"),
		one("tb.getlist", treeGetList, -3, read, "RO access", "getlist of misc, in a tree.", "key field [field ...]"),
		one("tb.getpart", treeGetPart, -3, read, "RO access", "get and getpart of misc, in a tree.", "key field [offset [length]]"),
		one("tb.iterat", treeIterAt, 3, read, "RO access", "iterinit of misc, from a record on, in a tree.", "key field"),
		one("tb.iterinit", treeIterInit, 2, read, "RO access", "iterinit, in a tree.", "key"),
		one("tb.iternext", treeNext(false), 2, read, "RO access", "iternext, in a tree.", "key"),
		one("tb.iterpair", treeNext(true), 2, read, "RO access", "iternext of misc, in a tree.", "key"),
		one("tb.fwmkeys", treeFwm, 4, read, "RO access", "fwmkeys, in a tree.", "key prefix max"),
		one("tb.regex", treeRegex, -3, read, "RO access", "regex of misc, in a tree.", "key pattern [max]"),
		one("tb.vanish", treeVanish, 2, write, "RW delete", "vanish, in a tree.", "key"),
		one("tb.rnum", treeNumber, 2, read, "RO access", "rnum, in a tree.", "key"),
		one("tb.size", treeBytes, 2, read, "RO access", "size, in a tree.", "key"),
		one("tb.stat", treeStat, 2, read, "RO access", "stat, in a tree.", "key"),
	}
}

// tree is the hash as a command reads it and then, maybe, changes it.
type tree struct {
	*types.Hash
	c    *command.Ctx
	k    *keyspace.Key
	e    keyspace.Entry
	was  command.Editing
	open bool
	gone [][]byte // fields that are deleted
	set  [][]byte // fields and values that are set
}

// onTree makes a command of a function; where something that is no hash is at the key, the
// code is 1.
func onTree(fn func(c *command.Ctx, t *tree), writes bool) func(c *command.Ctx) {
	return func(c *command.Ctx) {
		if writes {
			c.NoEffect()
		}
		t := tree{c: c, k: &c.Keys[0], Hash: &c.Values().Hash}
		if c.LookupInto(t.k, &t.e); t.e.Exists() && t.e.Type() != types.THash {
			code(c, codeFail)
			return
		}
		cfg := c.S.Config
		t.Limits = types.HashLimits{MaxListpackEntries: int(cfg.HashMaxListpackEntries.Load()), MaxListpackValue: int(cfg.HashMaxListpackValue.Load())}
		c.Load(&t.e, t.Hash)
		fn(c, &t)
		t.store()
	}
}

// value is a record's, as a copy.
func (t *tree) value(field []byte) (v []byte, ok bool) {
	e, ok := t.Get(field, t.c.Now)
	if !ok || e.Len() > math.MaxInt32 {
		return nil, false
	}
	return e.Append([]byte{}), true
}

func (t *tree) change() {
	if !t.open {
		t.open, t.was = true, t.c.Open(t.k, &t.e, t.Hash)
	}
}

// put sets a record; false: the value is longer than one may be.
func (t *tree) put(field, value []byte) bool {
	if !fits(t.c, len(value)) {
		return false
	}
	t.change()
	t.Set(field, value, t.c.Now)
	t.set = append(t.set, field, value)
	return true
}

func (t *tree) remove(field []byte) bool {
	if !t.Has(field, t.c.Now) {
		return false
	}
	t.change()
	t.Delete(field, 0)
	t.gone = append(t.gone, field)
	return true
}

var wordHSet, wordHDel = []byte("HSET"), []byte("HDEL")

// store keeps what was changed, and says so.
func (t *tree) store() {
	if !t.open {
		return
	}
	c, noted, gone := t.c, t.e.FieldDeadline(), t.Empty()
	c.Store(t.k, t.was, t.Hash, types.THash, gone)
	if !gone {
		if next := t.NextDeadline(); next != noted {
			c.SetFieldDeadline(t.k, next)
		}
	}
	c.Dirty += len(t.set)/2 + len(t.gone)
	if len(t.set) > 0 {
		c.Effect(append([][]byte{wordHSet, t.k.B}, t.set...)...)
		c.NotifyFields('h', "hset", t.k, t.set, 2)
	}
	if len(t.gone) > 0 {
		c.Effect(append([][]byte{wordHDel, t.k.B}, t.gone...)...)
		c.NotifyFields('h', "hdel", t.k, t.gone, 1)
	}
	if gone {
		c.Notify('g', "del", t.k)
	}
}

// say replies with the code that tells whether something was done.
func say(c *command.Ctx, ok bool) {
	if ok {
		code(c, codeOK)
	} else {
		code(c, codeFail)
	}
}

func treePut(c *command.Ctx, t *tree) { say(c, t.put(c.Args[2], c.Args[3])) }

func treePutKeep(c *command.Ctx, t *tree) {
	say(c, !t.Has(c.Args[2], c.Now) && t.put(c.Args[2], c.Args[3]))
}

func treePutCat(c *command.Ctx, t *tree) {
	old, _ := t.value(c.Args[2])
	say(c, t.put(c.Args[2], append(old, c.Args[3]...)))
}

func treePutShift(c *command.Ctx, t *tree) {
	width := int(binary.BigEndian.Uint32(c.Args[4]))
	old, _ := t.value(c.Args[2])
	v := append(old, c.Args[3]...)
	say(c, t.put(c.Args[2], v[max(0, len(v)-width):]))
}

func treeOut(c *command.Ctx, t *tree) { say(c, t.remove(c.Args[2])) }

func treeGet(c *command.Ctx, t *tree) {
	v, ok := t.value(c.Args[2])
	say(c, ok)
	if ok {
		c.W.Buf = append(appendInt(c.W.Buf, len(v)), v...)
	}
}

func treeSize1(c *command.Ctx, t *tree) {
	v, ok := t.Get(c.Args[2], c.Now)
	ok = ok && v.Len() <= math.MaxInt32
	say(c, ok)
	if ok {
		c.W.Buf = appendInt(c.W.Buf, v.Len())
	}
}

// eachField is each for fields.
func eachField(c *command.Ctx, t *tree, per int, add func(b, field, v []byte) []byte) {
	at := len(c.W.Buf)
	c.W.Buf = appendInt(append(c.W.Buf, codeOK), 0)
	n := 0
	for _, field := range c.Args[2:] {
		if v, ok := t.value(field); ok {
			c.W.Buf = add(c.W.Buf, field, v)
			n += per
		}
	}
	setCount(c.W.Buf[at:], n)
}

func treeMGet(c *command.Ctx, t *tree) {
	eachField(c, t, 1, func(b, field, v []byte) []byte {
		return append(append(appendInt(appendInt(b, len(field)), len(v)), field...), v...)
	})
}

func treeGetList(c *command.Ctx, t *tree) { eachField(c, t, 2, appendPair) }

func appendPair(b, field, v []byte) []byte {
	return append(appendInt(append(appendInt(b, len(field)), field...), len(v)), v...)
}

func treeGetPart(c *command.Ctx, t *tree) {
	from, length := int64(0), int64(math.MaxInt64)
	ok := len(c.Args) <= 5
	if len(c.Args) > 3 {
		from, ok = command.ParseInt(c.Args[3])
	}
	if ok && len(c.Args) > 4 {
		length, ok = command.ParseInt(c.Args[4])
	}
	v, found := t.value(c.Args[2])
	from = max(from, 0)
	if !ok || !found || length < 0 || from > int64(len(v)) {
		code(c, codeFail)
		return
	}
	v = v[from : from+min(length, int64(len(v))-from)]
	c.W.Buf = append(appendInt(appendInt(append(c.W.Buf, codeOK), 1), len(v)), v...)
}

func treePutList(c *command.Ctx, t *tree) {
	pairs := c.Args[2:]
	for i := 1; i < len(pairs); i += 2 {
		if !fits(c, len(pairs[i])) {
			code(c, codeFail)
			return
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		t.put(pairs[i], pairs[i+1])
	}
	code(c, codeOK)
}

func treeOutList(c *command.Ctx, t *tree) {
	for _, field := range c.Args[2:] {
		t.remove(field)
	}
	code(c, codeOK)
}

func treeAddInt(c *command.Ctx, t *tree) {
	n := binary.BigEndian.Uint32(c.Args[3])
	old, there := t.value(c.Args[2])
	if there {
		if len(old) != 4 {
			code(c, codeFail)
			return
		}
		n += binary.LittleEndian.Uint32(old)
	}
	t.put(c.Args[2], binary.LittleEndian.AppendUint32(nil, n))
	c.W.Buf = binary.BigEndian.AppendUint32(append(c.W.Buf, codeOK), n)
}

func treeAddDouble(c *command.Ctx, t *tree) {
	d := unpackDouble(c.Args[3])
	old, there := t.value(c.Args[2])
	if there && len(old) == 8 {
		d += math.Float64frombits(binary.LittleEndian.Uint64(old))
	}
	if there && len(old) != 8 || math.IsNaN(d) {
		code(c, codeFail)
		return
	}
	t.put(c.Args[2], binary.LittleEndian.AppendUint64(nil, math.Float64bits(d)))
	c.W.Buf = appendDouble(append(c.W.Buf, codeOK), d)
}

// The iterator goes by the last record that it has delivered.

func treeIterInit(c *command.Ctx, _ *tree) {
	st := stateOf(c)
	st.on, st.from = true, types.LexBound{Inf: -1}
	code(c, codeOK)
}

func treeIterAt(c *command.Ctx, _ *tree) {
	st := stateOf(c) // a record that is not there: from the next one on, as a tree's cursor jumps
	st.on, st.from = true, types.LexBound{Member: bytes.Clone(c.Args[2])}
	code(c, codeOK)
}

func treeNext(pair bool) func(c *command.Ctx, t *tree) {
	return func(c *command.Ctx, t *tree) {
		st := stateOf(c)
		if !st.on {
			code(c, codeFail)
			return
		}
		if !c.HashInOrder(t.k, t.Hash) {
			return
		}
		found := false
		t.EachInRange(&types.LexRange{Min: st.from, Max: types.LexBound{Inf: 1}}, false, 0, c.Now, true, func(field, value types.Elem) bool {
			if value.Len() > math.MaxInt32 {
				return true
			}
			found = true
			name := field.Append([]byte{})
			st.from = types.LexBound{Member: name, Ex: true}
			c.W.Buf = append(c.W.Buf, codeOK)
			if pair {
				c.W.Buf = appendPair(appendInt(c.W.Buf, 2), name, value.Append(nil))
			} else {
				c.W.Buf = append(appendInt(c.W.Buf, len(name)), name...)
			}
			return false
		})
		if !found {
			st.on = false
			code(c, codeFail)
		}
	}
}

// eachInTree makes a list of the records of a range: add appends one, or nothing.
func eachInTree(c *command.Ctx, t *tree, r types.LexRange, most int64, per int, add func(b, field []byte, value types.Elem) []byte) {
	if !c.HashInOrder(t.k, t.Hash) {
		return
	}
	s, now := c.S, c.Now
	list := func(w *wire.Writer, h *types.Hash) {
		l := newList(s, w, most)
		if !l.full() {
			h.EachInRange(&r, false, 0, now, true, func(field, value types.Elem) bool {
				if value.Len() > math.MaxInt32 {
					return true
				}
				before := len(w.Buf)
				if w.Buf = add(w.Buf, field.Append(nil), value); len(w.Buf) > before {
					l.n++
				}
				return !l.full() && (l.n%walkStep > 0 || l.part())
			})
		}
		l.end(per)
	}
	_, _, obj := t.Stored()
	n := t.Len(0)
	if most >= 0 && per == 1 {
		n = int(min(most, int64(n)))
	}
	if !command.LongToRead(obj, n, t.Len(0)) {
		list(c.W, t.Hash)
		return
	}
	view := t.OrderedView()
	background(c, func(w *wire.Writer) {
		defer command.FreeAll(view)
		var h types.Hash
		h.Load(types.EncHashtable, nil, view)
		list(w, &h)
	})
}

func treeFwm(c *command.Ctx, t *tree) {
	prefix, most := bytes.Clone(c.Args[2]), int64(int32(binary.BigEndian.Uint32(c.Args[3])))
	// What begins with the prefix stands before what the prefix with its last byte raised is.
	r := types.LexRange{Min: types.LexBound{Member: prefix}, Max: types.LexBound{Inf: 1}}
	for end := slices.Clone(prefix); len(end) > 0; end = end[:len(end)-1] {
		if end[len(end)-1]++; end[len(end)-1] != 0 {
			r.Max = types.LexBound{Member: end, Ex: true}
			break
		}
	}
	eachInTree(c, t, r, most, 1, func(b, field []byte, _ types.Elem) []byte {
		return append(appendInt(b, len(field)), field...)
	})
}

func treeRegex(c *command.Ctx, t *tree) {
	most := int64(-1)
	ok := len(c.Args) <= 4 && len(c.Args[2]) <= regexMax
	if ok && len(c.Args) == 4 {
		most, ok = command.ParseInt(c.Args[3])
	}
	var re *regexp.Regexp
	if ok {
		var err error
		re, err = compile(string(c.Args[2]))
		ok = err == nil
	}
	if !ok {
		code(c, codeFail)
		return
	}
	all := types.LexRange{Min: types.LexBound{Inf: -1}, Max: types.LexBound{Inf: 1}}
	eachInTree(c, t, all, most, 2, func(b, field []byte, value types.Elem) []byte {
		if re.Match(field) {
			b = appendPair(b, field, value.Append(nil))
		}
		return b
	})
}

func treeVanish(c *command.Ctx, t *tree) {
	if t.e.Exists() {
		c.Delete(t.k)
		c.Dirty++
		c.Notify('g', "del", t.k)
		c.Effect(command.WordDel, t.k.B)
	}
	code(c, codeOK)
}

// bytes is what the tree takes.
func (t *tree) bytes() int64 {
	_, packed, obj := t.Stored()
	if obj != nil {
		return obj.Bytes()
	}
	return int64(len(packed))
}

func appendLong(c *command.Ctx, n int64) {
	c.W.Buf = binary.BigEndian.AppendUint64(append(c.W.Buf, codeOK), uint64(n))
}

func treeNumber(c *command.Ctx, t *tree) { appendLong(c, int64(t.Len(c.Now))) }

func treeBytes(c *command.Ctx, t *tree) { appendLong(c, t.bytes()) }

func treeStat(c *command.Ctx, t *tree) {
	now := time.Now()
	text := statText(c, now, "B+ tree", string(t.k.B), int64(t.Len(c.Now)), t.bytes())
	c.W.Buf = append(appendInt(append(c.W.Buf, codeOK), len(text)), text...)
}
