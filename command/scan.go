package command

import (
	"bytes"
	"strconv"

	"kvd/keyspace"
	"kvd/resp/wire"
)

// SCAN, and the options that it shares with HSCAN, SSCAN and ZSCAN.

func scanRows() []*Row {
	return []*Row{{Name: "scan", Fn: cmdScan, Arity: -2, Flags: ReadOnly | Walks, Since: "2.8.0", Group: "generic",
		Summary: "Goes through the keys of the database in steps.", Complexity: "O(1) for each call, O(N) for all calls of a whole pass",
		Syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]", Tips: "nondeterministic_output request_policy:special"}}
}

// scanDefault is the COUNT of a SCAN that does not name one.
const scanDefault = 10

// scanAtOnce is the number of keys that a SCAN visits without giving others a
// turn: more of them are visited on a worker, so many at a time.
const scanAtOnce = 512

func cmdScan(c *Ctx) {
	o, ok := c.scanCursor(1)
	if !ok || !c.scanRest(&o, 2, true) {
		return
	}
	s, db, now, locked := c.S, c.DB(), c.Now, c.HoldsAll()
	expire := !c.Replaying && !c.HideExpired
	if o.count <= scanAtOnce && !o.hard() {
		s.scan(c.W, db, now, locked, expire, &o)
		return
	}
	o.typ = bytes.Clone(o.typ)
	c.Background(func(w *wire.Writer) { s.scan(w, db, now, locked, expire, &o) })
}

// scan replies with the next keys and the cursor behind them. It locks what it
// visits, unless locked says that everything is. Keys that have expired are
// removed if expire, as Redis does.
func (s *Server) scan(w *wire.Writer, db int, now int64, locked, expire bool, o *scanOptions) {
	// The cursor stands in front of the keys and is known after them.
	keys := wire.Writer{Proto: w.Proto}
	n := 0
	var expired [][]byte
	found := func(k []byte, due bool) {
		if !o.matches(k) {
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
		if o.typ != nil && string(o.typ) != e.Type().String() {
			return
		}
		k := e.Key()
		d := e.Deadline()
		due := d != 0 && d <= now
		if o.pattern != nil && o.pattern.Slow(len(k)) {
			later = append(later, name{bytes.Clone(k), due})
			return
		}
		found(k, due)
	}
	cursor := o.cursor
	for left := o.count; ; left -= scanAtOnce {
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
		s.expireNow(db, now, locked, expired)
	}
	w.Array(2)
	w.Bulk(strconv.AppendUint(nil, cursor, 10))
	w.Array(n)
	w.Raw(keys.Buf)
}

// expireNow removes keys that were seen past their deadline, if they still are.
// A server that was told to follow meanwhile, or is paused, leaves them.
func (s *Server) expireNow(db int, now int64, locked bool, names [][]byte) {
	for _, name := range names {
		k := [1]keyspace.Key{keyspace.MakeKey(name)}
		var held keyspace.Held
		if !locked {
			held = s.Keyspace.LockKeys(k[:])
		}
		t := s.Keyspace.NewTx()
		t.Now = now
		t.HideExpired = s.following.Load() || s.pause.mode.Load() != pauseOff
		t.Use(db)
		t.Peek(&k[0])
		s.Keyspace.Unlock(&held) // of nothing, if locked
	}
}
