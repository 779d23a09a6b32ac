package command

import (
	"kvd/keyspace"
)

// MULTI, EXEC, DISCARD, WATCH, UNWATCH. EXEC and what forgets watched keys
// belong to the dispatcher as much as to the table: they take the locks that no
// row can declare.

func init() {
	register(
		&Row{Name: "multi", Fn: cmdMulti, Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Since: "1.2.0", Group: "transactions",
			Summary: "Opens a transaction: the commands that follow are queued.", Complexity: "O(1)"},
		&Row{Name: "exec", Fn: cmdExec, Arity: 1, Flags: NoScript | Loading | Stale | SkipSlowlog, Since: "1.2.0", Group: "transactions",
			Summary: "Runs the queued commands as one.", Complexity: "Depends on the commands"},
		&Row{Name: "discard", Fn: cmdDiscard, Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Since: "2.0.0", Group: "transactions",
			Summary: "Drops the queued commands.", Complexity: "O(N) in the number of queued commands"},
		&Row{Name: "watch", Fn: cmdWatch, Arity: -2, Flags: NoScript | Loading | Stale | Fast | AllowBusy, First: 1, Last: -1, Step: 1, KeyFlags: "RO",
			Since: "2.2.0", Group: "transactions", Summary: "Makes the next EXEC fail if one of the keys changes before.", Complexity: "O(1) for each key", Syntax: "key [key ...]"},
		&Row{Name: "unwatch", Fn: cmdUnwatch, Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Since: "2.2.0", Group: "transactions",
			Summary: "Forgets the watched keys.", Complexity: "O(N) in the number of watched keys"},
	)
}

// add queues a command; its arguments are copied out of the read buffer.
func (m *multi) add(row *Row, args [][]byte) {
	if m.aborted {
		return
	}
	n := 0
	for _, a := range args {
		n += len(a)
	}
	mem := make([]byte, 0, n)
	own := make([][]byte, len(args))
	for i, a := range args {
		at := len(mem)
		mem = append(mem, a...)
		own[i] = mem[at:len(mem):len(mem)]
	}
	m.queue = append(m.queue, own)
	m.rows = append(m.rows, row)
	m.bytes += n
}

func cmdMulti(c *Ctx) {
	if c.C.multi != nil {
		c.Err("ERR MULTI calls can not be nested")
		return
	}
	c.C.multi = &multi{}
	c.C.queued.Store(0)
	c.C.queuedMem.Store(0)
	c.C.set(stateMulti, true)
	c.W.OK()
}

func (c *Client) endMulti() {
	c.multi = nil
	c.queuedMem.Store(0)
	c.set(stateMulti, false)
}

func cmdDiscard(c *Ctx) {
	if c.C.multi == nil {
		c.Err("ERR DISCARD without MULTI")
		return
	}
	c.C.endMulti()
	c.S.unwatch(c.C)
	c.W.OK()
}

func cmdWatch(c *Ctx) {
	if c.C.multi != nil {
		c.Err("ERR WATCH inside MULTI is not allowed")
		return
	}
	if !c.C.has(stateDirtyWatch) { // else EXEC fails whatever happens
		for i := range c.Keys {
			c.Peek(&c.Keys[i]) // a key whose time is over counts as missing from now on
			c.S.watches.add(c.C, c.DB(), &c.Keys[i])
		}
	}
	c.W.OK()
}

func cmdUnwatch(c *Ctx) {
	c.S.unwatch(c.C)
	c.W.OK()
}

// cmdExec locks what all the queued commands need, once, and runs them.
func cmdExec(c *Ctx) {
	m := c.C.multi
	if m == nil {
		c.Err("ERR EXEC without MULTI")
		return
	}
	if m.aborted {
		c.C.endMulti()
		c.S.unwatch(c.C)
		c.Err("EXECABORT Transaction discarded because of previous errors.")
		return
	}
	x := c.x
	x.lockQueue(m, c.C.watched)
	if x.overtaken(c) {
		if c.outcome == Done { // else it comes again
			c.C.endMulti()
			c.S.watches.forget(c.C)
		}
		return
	}
	c.C.endMulti()
	for i := range c.C.watched {
		w := &c.C.watched[i]
		c.Use(w.db)
		c.Now = x.nowMs
		c.Peek(&w.key) // marks the client if the key's time is over
	}
	dirty := c.C.has(stateDirtyWatch)
	c.S.watches.forget(c.C)
	if dirty {
		c.W.NullArray()
		return
	}
	exec, args, w := c.Row, c.Args, c.W
	c.inExec = true
	w.Array(len(m.queue))
	for i, a := range m.queue {
		c.Args, c.Row = a, m.rows[i]
		c.explicit, c.Dirty = false, 0
		x.setKeys(c)
		x.start(c)
		x.run(c)
		x.finish(c)
	}
	c.inExec = false
	c.Row, c.Args, c.Dirty = exec, args, 0
	// finish (called for EXEC itself) serves the blocked and journals all
	// effects as one unit, under the same locks.
}

// lockQueue locks the stripes of all keys of the queued commands, and of the
// watched ones.
func (x *Exec) lockQueue(m *multi, watched []watchedKey) {
	all := false
	var keys []keyspace.Key
	for i := range watched {
		keys = append(keys, watched[i].key)
	}
	var pos []int
	for i, a := range m.queue {
		row := m.rows[i]
		if row.Flags&LockAll != 0 || undeclared[row.full] {
			all = true
			break
		}
		pos, _ = row.keyPositions(a, pos[:0])
		for _, p := range pos {
			keys = append(keys, keyspace.MakeKey(a[p]))
		}
	}
	switch {
	case all:
		x.held = x.s.Keyspace.LockAll()
	case len(keys) > 0:
		x.held = x.s.Keyspace.LockKeys(keys)
		x.widen(keys)
	}
}

// undeclared are the commands that walk the keyspace stripe by stripe when
// called alone; inside EXEC they need every stripe.
var undeclared = map[string]bool{"keys": true, "scan": true, "dbsize": true, "randomkey": true, "info": true, "memory|stats": true, "memory|doctor": true, "memory|malloc-stats": true}
