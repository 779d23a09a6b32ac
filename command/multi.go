package command

import (
	"slices"

	"kvd/keyspace"
	"kvd/types"
)

// MULTI, EXEC, DISCARD, WATCH, UNWATCH. EXEC and what forgets watched keys
// belong to the dispatcher as much as to the table: they take the locks that no
// row can declare.

func multiRows() []*Row {
	return []*Row{
		{Name: "multi", Fn: cmdMulti, Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy | RunsInMulti | Frames, Since: "1.2.0", Group: "transactions",
			Summary: "Opens a transaction: the commands that follow are queued.", Complexity: "O(1)"},
		{Name: "exec", Fn: cmdExec, Arity: -1, Flags: NoScript | Loading | Stale | SkipSlowlog | RunsInMulti | RunsQueue | Frames, Since: "1.2.0", Group: "transactions",
			Summary: "Runs the queued commands as one, on a condition where given.", Complexity: "Depends on the commands",
			Syntax:  "[IFEQ key value | IFNE key value | NX key | XX key]",
			History: []string{"9.2.0", "Conditions came (Valkey)."}},
		{Name: "discard", Fn: cmdDiscard, Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy | RunsInMulti | Frames, Since: "2.0.0", Group: "transactions",
			Summary: "Drops the queued commands.", Complexity: "O(N) in the number of queued commands"},
		{Name: "watch", Fn: cmdWatch, Arity: -2, Flags: NoScript | Loading | Stale | Fast | AllowBusy | RunsInMulti, First: 1, Last: -1, Step: 1, KeyFlags: "RO",
			Since: "2.2.0", Group: "transactions", Summary: "Makes the next EXEC fail if one of the keys changes before.", Complexity: "O(1) for each key", Syntax: "key [key ...]"},
		{Name: "unwatch", Fn: cmdUnwatch, Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy | QueuesAlways, Since: "2.2.0", Group: "transactions",
			Summary: "Forgets the watched keys.", Complexity: "O(N) in the number of watched keys"},
	}
}

// queue adds a command to the transaction; its arguments are copied out of the
// read buffer. Of its keys the slots and hashes are kept, which mostly are
// known already.
func (x *Exec) queue(ctx *Ctx) {
	m := ctx.C.multi
	if m.aborted {
		return
	}
	first := len(m.ends)
	for _, a := range ctx.Args {
		if len(a) >= takeLeast {
			if !ctx.take(a) {
				a = slices.Clone(a)
			}
			m.long = append(m.long, longArg{len(m.ends), a})
			m.longMem += len(a)
			a = nil
		}
		m.buf = append(m.buf, a...)
		m.ends = append(m.ends, len(m.buf))
	}
	x.setKeys(ctx)
	for i, k := range x.keys {
		k.B = nil
		m.keys = append(m.keys, k)
		m.keyArgs = append(m.keyArgs, first+x.pos[i])
	}
	if sc := x.fresh; sc != nil && len(ctx.Args) > 1 && string(ctx.Args[1]) == sc.body {
		if m.scripts == nil {
			m.scripts = map[string]*script{}
		}
		m.scripts[sc.sha] = sc
		m.scriptMem += len(sc.body) + scriptMemory
	}
	x.fresh = nil
	m.rows = append(m.rows, ctx.Row)
	m.waits = m.waits || ctx.Row.Flags&NotApplied != 0
	m.flags = append(m.flags, ctx.Flags)
	m.cmds = append(m.cmds, queued{len(m.ends), len(m.keys)})
	ctx.C.queued.Store(int64(len(m.rows)))
	ctx.C.queuedMem.Store(int64(len(m.buf) + m.longMem + m.scriptMem))
}

// settle makes the arguments and keys, when nothing comes to buf any more. It
// may be called again: an EXEC that met a pause is.
func (m *multi) settle() {
	m.args = m.args[:0]
	at := 0
	for _, end := range m.ends {
		m.args = append(m.args, m.buf[at:end:end])
		at = end
	}
	for _, l := range m.long {
		m.args[l.at] = l.b
	}
	for i := range m.keys {
		m.keys[i].B = m.args[m.keyArgs[i]]
	}
}

// What an Exec keeps of a transaction for the next one.
const (
	keepMultiBytes = 64 << 10
	keepMultiArgs  = 1 << 10
)

// newMulti is an empty transaction.
func (x *Exec) newMulti() *multi {
	m := x.multi
	if m == nil {
		return &multi{}
	}
	x.multi = nil
	*m = multi{rows: m.rows[:0], flags: m.flags[:0], cmds: m.cmds[:0], buf: m.buf[:0], ends: m.ends[:0], keys: m.keys[:0], keyArgs: m.keyArgs[:0], args: m.args[:0]}
	return m
}

// keepMulti keeps a transaction's memory. It is not touched before the next
// MULTI of this Exec, so until then it may still be read.
func (x *Exec) keepMulti(m *multi) {
	if len(m.long) == 0 && cap(m.buf) <= keepMultiBytes && cap(m.args) <= keepMultiArgs {
		x.multi = m
	}
}

func cmdMulti(c *Ctx) {
	if c.C.multi != nil {
		c.Err("ERR MULTI calls can not be nested")
		return
	}
	c.C.multi = c.x.newMulti()
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
	if !c.C.watchDirty() { // else EXEC fails whatever happens
		for i := range c.Keys {
			c.LookupNoTouch(&c.Keys[i]) // a key whose time is over counts as missing from now on
			c.C.watchKey(&c.S.watches, c.DB(), &c.Keys[i])
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
	x := c.x
	if m := x.aside; m != nil {
		x.aside = nil
		x.runQueue(c, m)
		return
	}
	cond, ok := execCondition(c.Args)
	if !ok {
		x.reject(c, "wrong number of arguments for 'exec' command") // EXECABORT stands in front
		return
	}
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
	m.settle()
	if !x.lockQueue(c, m, cond) || x.overtaken(c) {
		return // an EXEC that was not rejected comes again
	}
	c.C.endMulti()
	watched := c.C.watched()
	for i := range watched {
		w := &watched[i]
		c.Use(w.db)
		c.Now = x.nowMs
		c.LookupNoTouch(&w.key) // marks the client if the key's time is over
	}
	dirty := c.C.watchDirty()
	c.S.forgetWatch(c.C)
	if dirty {
		c.W.NullArray()
		return
	}
	if cond != nil {
		c.Use(int(c.C.db.Load()))
		c.Now = x.nowMs
		if ok, text := cond.holds(c); text != "" {
			c.Err(text)
			return
		} else if !ok {
			c.W.NullArray()
			return
		}
	}
	if m.waits && x.queueBeside(c, m) {
		x.aside = m
		c.outcome, c.beside = Again, true
		return
	}
	x.keepMulti(m)
	x.runQueue(c, m)
	// finish (called for EXEC itself) serves the blocked and journals all
	// effects as one unit, under the same locks.
}

// queueBeside tells whether a transaction with a command that waits for others (MIGRATE) may
// leave its event loop. Its stripes stay its own, but the loop's other clients go on. What
// concerns the connection belongs to the loop, and a PUBLISH would hold up everybody's.
func (x *Exec) queueBeside(c *Ctx, m *multi) bool {
	for _, row := range m.rows {
		if row.Flags&(NoScript|MayReplicate) != 0 {
			return false
		}
	}
	return c.CanBlock() && !c.C.applies && !x.beside
}

// runQueue runs the commands of a transaction; what they need is locked.
func (x *Exec) runQueue(c *Ctx, m *multi) {
	outer := c.outer()
	c.inExec, c.whole = true, c.C.Reply == ReplyOn
	x.lap = clock()
	x.queued = m.scripts
	c.W.Array(len(m.rows))
	at := queued{}
	for i, row := range m.rows {
		to := m.cmds[i]
		if args := m.args[at.args:to.args:to.args]; c.C.limits.Load() == nil || x.stillPermitted(c, row, args) {
			x.nested(c, row, args, m.keys[at.keys:to.keys:to.keys])
		}
		at = to
	}
	x.queued, m.scripts = nil, nil
	c.resume(&outer)
}

// execIf is EXEC's condition on a key, which is looked at under the locks of the
// transaction.
type execIf struct {
	key    keyspace.Key
	exists bool // whether the key is to exist, where string is nil
	string *Condition
}

// execCondition reads EXEC's arguments. It returns nil if there is no condition.
func execCondition(args [][]byte) (o *execIf, ok bool) {
	switch {
	case len(args) == 1:
		return nil, true
	case len(args) == 3 && (EqualFold(args[1], "nx") || EqualFold(args[1], "xx")):
		o = &execIf{exists: EqualFold(args[1], "xx")}
	case len(args) == 4 && (EqualFold(args[1], "ifeq") || EqualFold(args[1], "ifne")):
		o = &execIf{string: &Condition{Kind: ConditionWord(args[1]), Value: args[3]}}
	default:
		return nil, false
	}
	o.key.Set(args[2])
	return o, true
}

// holds tells whether the condition is met; text is the error where something
// else than a string is to be compared.
func (o *execIf) holds(c *Ctx) (ok bool, text string) {
	e := c.Find(&o.key)
	if o.string == nil {
		return e.Exists() == o.exists, ""
	}
	if e.Exists() && e.Type() != types.TString {
		return false, ErrWrongType
	}
	return o.string.Holds(c, &e), ""
}

// lockQueue locks the stripes of all keys of the queued commands, of the
// watched ones, and of the condition, which may be nil. It returns false where
// acquire would.
func (x *Exec) lockQueue(c *Ctx, m *multi, cond *execIf) bool {
	x.queued = m.scripts // whose keys AllKeys asks for
	defer func() { x.queued = nil }()
	at := 0
	for i, row := range m.rows {
		args := m.args[at:m.cmds[i].args]
		at = m.cmds[i].args
		if row.Flags&(LockAll|Walks) != 0 || row.AllKeys != nil && row.AllKeys(x, args) {
			return x.acquireAll(c)
		}
	}
	keys, watched := m.keys, c.C.watched()
	if len(watched) > 0 || cond != nil {
		keys = x.keys[:0]
		if cond != nil {
			keys = append(keys, cond.key)
		}
		for i := range watched {
			keys = append(keys, watched[i].key)
		}
		keys = append(keys, m.keys...)
		x.keys = keys
	}
	if len(keys) == 0 {
		return true
	}
	if c.C.Conn == nil {
		x.held = x.s.Keyspace.LockKeys(keys)
	} else if !x.s.Keyspace.AcquireKeys(keys, &x.held) {
		x.behindScript(c, keys)
		return false
	}
	if !x.widen(keys) {
		x.behindScript(c, keys)
		return false
	}
	return true
}
