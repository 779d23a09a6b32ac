package keys

import (
	"bytes"
	"strconv"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
)

// SCAN, and the options that it shares with HSCAN, SSCAN and ZSCAN.

func scanRows() []*command.Row {
	return []*command.Row{{Name: "scan", Fn: cmdScan, Arity: -2, Flags: command.ReadOnly | command.Walks, Since: "2.8.0", Group: "generic",
		Summary: "Goes through the keys of the database in steps.", Complexity: "O(1) for each call, O(N) for all calls of a whole pass",
		Syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]", Tips: "nondeterministic_output request_policy:special"}}
}

// scanAtOnce is the number of keys that a SCAN visits without giving others a
// turn: more of them are visited on a worker, so many at a time.
const scanAtOnce = 512

func cmdScan(c *command.Ctx) {
	o, ok := c.ScanCursor(1)
	if !ok || !c.ScanRest(&o, 2, true) {
		return
	}
	s, db, now, locked := c.S, c.DB(), c.Now, c.HoldsAll()
	expire := !c.Replaying && !c.HideExpired
	if o.Count <= scanAtOnce && !o.Hard() {
		scan(s, c.W, db, now, locked, expire, &o)
		return
	}
	o.Type = bytes.Clone(o.Type)
	c.Background(func(w *wire.Writer) { scan(s, w, db, now, locked, expire, &o) })
}

// scan replies with the next keys and the cursor behind them. It locks what it
// visits, unless locked says that everything is. Keys that have expired are
// removed if expire, as Redis does.
func scan(s *command.Server, w *wire.Writer, db int, now int64, locked, expire bool, o *command.ScanOptions) {
	// The cursor stands in front of the keys and is known after them.
	keys := wire.Writer{Proto: w.Proto}
	n := 0
	var expired [][]byte
	found := func(k []byte, due bool) {
		if !o.Matches(k) {
			return
		}
		if due {
			expired = append(expired, bytes.Clone(k))
			return
		}
		keys.Bulk(k)
		n++
	}
	type name struct {
		k   []byte
		due bool
	}
	var later []name // to be matched without the lock
	visit := func(e *keyspace.Entry) {
		if o.Type != nil && string(o.Type) != e.Type().String() {
			return
		}
		k := e.Key()
		d := e.Deadline()
		due := d != 0 && d <= now
		if o.Pattern != nil && o.Pattern.Slow(len(k)) {
			later = append(later, name{bytes.Clone(k), due})
			return
		}
		found(k, due)
	}
	cursor := o.Cursor
	for left := o.Count; ; left -= scanAtOnce {
		// As of time 0, nothing has expired: all are visited.
		cursor = s.Keyspace.Scan(db, cursor, min(left, scanAtOnce), 0, locked, visit)
		for _, x := range later {
			found(x.k, x.due)
		}
		later = later[:0]
		if cursor == 0 || left <= scanAtOnce {
			break
		}
	}
	if expire {
		s.ExpireNow(db, now, locked, expired)
	}
	w.Array(2)
	w.Bulk(strconv.AppendUint(nil, cursor, 10))
	w.Array(n)
	w.Raw(keys.Buf)
}
