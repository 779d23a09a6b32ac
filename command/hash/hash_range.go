package hash

import (
	"kvd/command"
	"kvd/resp/wire"
	"kvd/types"
)

// HCOUNTBYLEX, HRANGEBYLEX, HREMRANGEBYLEX, HREVRANGEBYLEX: kvd's own (Kvrocks has the second). Fields between two
// strings, in their order. A big hash gets an index of its fields in order at the first of
// these commands and loses it when none has come for a while; see command/hash_order.go.

func hashRangeRows() []*command.Row {
	const since = "1.0.0"
	read := func(name string, fn func(*command.Ctx), arity int, summary, complexity, syntax string) *command.Row {
		return &command.Row{Name: name, Fn: fn, Arity: arity, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: since, Group: "hash", Summary: summary, Complexity: complexity, Syntax: syntax}
	}
	const cost = "O(log(N)+M) with M fields returned; the first time on a large hash O(N log(N)), beside other commands"
	return []*command.Row{
		read("hcountbylex", cmdHCountByLex, 4, "Counts the fields between two strings (kvd).", "O(log(N)); the first time on a large hash O(N log(N)), beside other commands", "key min max"),
		read("hrangebylex", func(c *command.Ctx) { hrange(c, false) }, -4, "Returns the fields between two strings in order, with their values (kvd).", cost,
			"key min max [REV] [LIMIT offset count] [WITHVALUES | NOVALUES]"),
		read("hrevrangebylex", func(c *command.Ctx) { hrange(c, true) }, -4, "Returns the fields between two strings, the last first, with their values (kvd).", cost,
			"key max min [LIMIT offset count] [WITHVALUES | NOVALUES]"),
		{Name: "hremrangebylex", Fn: cmdHRemRangeByLex, Arity: 4, Flags: command.Write, First: 1, Last: 1, Step: 1, KeyFlags: "RW delete",
			Since: since, Group: "hash", Summary: "Deletes the fields between two strings (kvd).", Complexity: "O(log(N)+M) with M fields deleted; O(N) on a large hash of which no range was read lately", Syntax: "key min max"},
	}
}

// rangeQuery is a range of fields and what to show of it.
type rangeQuery struct {
	command.LexQuery
	noValues bool
	now      int64
}

func hrange(c *command.Ctx, reverse bool) {
	var q rangeQuery
	var ok bool
	if q.LexQuery, ok = c.LexQuery(2, !reverse, func(j int) int {
		switch {
		case c.Word(j, "withvalues"):
			q.noValues = false
		case c.Word(j, "novalues"):
			q.noValues = true
		default:
			return 0
		}
		return 1
	}); !ok {
		return
	}
	q.Reverse = q.Reverse || reverse
	var h hashAt
	if !c.LexBounds(&q.LexQuery, 2) || !findHash(c, &c.Keys[0], &h) || !c.HashInOrder(h.k, h.Hash) {
		return
	}
	q.now = h.now
	n := h.Len(0)
	if n > command.LongRead {
		n = h.CountInRange(&q.Range, q.now)
	}
	if q.Limit >= 0 {
		n = min(n, q.Limit)
	}
	if _, _, obj := h.Stored(); command.LongToRead(obj, n, h.Len(0)) {
		view, q := h.OrderedView(), q
		q.LexQuery = q.Clone()
		hashLater(c, view, func(w *wire.Writer, h *types.Hash) { q.write(w, h) })
		return
	}
	q.write(c.W, h.Hash)
}

// write replies with the range: in all protocols a flat array, whose order is the point.
func (q *rangeQuery) write(w *wire.Writer, h *types.Hash) {
	at := w.DeferArray()
	n, left := 0, q.Limit
	if left != 0 {
		h.EachInRange(&q.Range, q.Reverse, q.Offset, q.now, !q.noValues, func(field, value types.Elem) bool {
			command.WriteElem(w, field)
			n++
			if !q.noValues {
				command.WriteElem(w, value)
				n++
			}
			left--
			return left != 0
		})
	}
	w.SetArray(at, n)
}

func cmdHCountByLex(c *command.Ctx) {
	r, ok := c.LexRange(c.Args[2], c.Args[3])
	var h hashAt
	if !ok || !findHash(c, &c.Keys[0], &h) || !c.HashInOrder(h.k, h.Hash) {
		return
	}
	c.W.Int(int64(h.CountInRange(&r, h.now)))
}

// hdelAtOnce is how many fields one HDEL in the journal names: Redis takes a million
// arguments.
const hdelAtOnce = 100_000

func cmdHRemRangeByLex(c *command.Ctx) {
	r, ok := c.LexRange(c.Args[2], c.Args[3])
	var h hashAt
	if !ok || !findHash(c, &c.Keys[0], &h) {
		return
	}
	_, indexed := h.OrderUsed()
	if long := h.Len(0) > command.LongWrite; long && (!indexed || h.CountInRange(&r, h.now) > command.LongWrite) && c.Beside() {
		return
	}
	var gone [][]byte
	h.EachInRange(&r, false, 0, h.now, false, func(field, _ types.Elem) bool {
		gone = append(gone, field.Append(nil))
		return true
	})
	for i, field := range gone {
		openHash(c, &h)
		h.Delete(field, 0)
		if i%hdelAtOnce == hdelAtOnce-1 || i == len(gone)-1 {
			fieldsEffect(c, wordHDel, h.k, 0, gone[i/hdelAtOnce*hdelAtOnce:i+1])
		}
	}
	if len(gone) > 0 {
		notifyHash(c, h.k, "hdel", gone, storeHash(c, &h))
		c.Dirty += len(gone)
	}
	c.W.Int(int64(len(gone)))
}
