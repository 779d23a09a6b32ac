package keys

import (
	"bytes"
	"fmt"
	"math"
	"runtime"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// KEYRANGE, kvd's own: the keys of a database between two strings, in order.

func keyRangeRows() []*command.Row {
	return []*command.Row{{Name: "keyrange", Fn: cmdKeyRange, Arity: -3, Flags: command.ReadOnly | command.Walks, Since: "1.0.0", Group: "generic", Categories: "keyspace",
		Summary: "Returns the keys between two strings in order; needs ordered-keys yes (kvd).", Complexity: "O(log(N)+M) with M keys looked at",
		Syntax: "min max [REV] [LIMIT offset count] [TYPE type]"}}
}

// rangeAtOnce is how many keys a KEYRANGE looks at with all stripes locked: 0.1 ms. One that
// has more to look at does it on a worker, so many at a time.
const rangeAtOnce = 512

// keyRange is what a KEYRANGE is asked for.
type keyRange struct {
	keyspace.KeyRange
	offset, limit int
}

func cmdKeyRange(c *command.Ctx) {
	var r keyRange
	bad := ""
	q, ok := c.LexQuery(1, true, func(j int) int {
		if !c.Word(j, "type") || j+1 >= len(c.Args) {
			return 0
		}
		name := bytes.ToLower(c.Args[j+1])
		r.Typed = true
		var known bool
		if r.Type, known = types.TypeNamed(name); !known {
			bad = "ERR unknown type name '" + command.Quote(c.Args[j+1]) + "'"
		}
		return 2
	})
	if !ok && bad == "" {
		return
	}
	if bad != "" {
		c.Err(bad)
		return
	}
	if !c.LexBounds(&q, 1) {
		return
	}
	on, part := c.S.Keyspace.Ordered(c.HoldsAll())
	if !on {
		c.Err("ERR KEYRANGE needs 'ordered-keys yes'")
		return
	}
	building := fmt.Sprintf("BUSY ordered-keys is putting the keys in order: %.0f%% done", part*100)
	if q = q.Clone(); q.Offset < 0 || q.Limit == 0 {
		c.W.Array(0)
		return
	}
	r.LexRange, r.Reverse, r.offset, r.limit = q.Range, q.Reverse, q.Offset, q.Limit
	s, db, now, locked := c.S, c.DB(), c.Now, c.HoldsAll()
	if locked {
		if _, ok := r.read(s, c.W, db, now, true, math.MaxInt); !ok {
			c.Err(building)
		}
		return
	}
	try := wire.Writer{Proto: c.W.Proto}
	switch done, ok := r.read(s, &try, db, now, false, rangeAtOnce); {
	case !ok:
		c.Err(building)
	case done:
		c.W.Raw(try.Buf)
	default:
		c.Background(func(w *wire.Writer) {
			if _, ok := r.read(s, w, db, now, false, math.MaxInt); !ok {
				w.Error(building)
			}
		})
	}
}

// read replies with the keys, if it looks at no more than most of them; done tells whether
// it does, ok whether the keys are in order.
func (r keyRange) read(s *command.Server, w *wire.Writer, db int, now int64, locked bool, most int) (done, ok bool) {
	keys := wire.Writer{Proto: w.Proto}
	n, left, skip := 0, r.limit, r.offset
	visit := func(key []byte) bool {
		if skip > 0 {
			skip--
			return true
		}
		keys.Bulk(key)
		n++
		left--
		return left != 0
	}
	for {
		last, more, ok := s.Keyspace.EachKey(db, &r.KeyRange, now, min(rangeAtOnce, most), locked, visit)
		if !ok {
			return false, false
		}
		if !more {
			break
		}
		if most -= rangeAtOnce; most <= 0 {
			return false, true
		}
		behind := types.LexBound{Member: last, Ex: true}
		if r.Reverse {
			r.Max = behind
		} else {
			r.Min = behind
		}
		if !locked {
			runtime.Gosched()
		}
	}
	w.Array(n)
	w.Raw(keys.Buf)
	return true, true
}
