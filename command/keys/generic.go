package keys

import (
	"bytes"
	"math"

	"kvd/command"
	"kvd/glob"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// COPY, DEL, EXISTS, KEYS, MOVE, OBJECT, RANDOMKEY, RENAME, RENAMENX, TOUCH, TYPE,
// UNLINK. Deadlines are in expire.go, DUMP and RESTORE in dump.go, SCAN in scan.go.

func genericRows() []*command.Row {
	return []*command.Row{
		{Name: "copy", Fn: cmdCopy, Arity: -3, Flags: command.Write | command.DenyOOM | command.CountsReads, DBArgs: copyDB, First: 1, Last: 2, Step: 1, KeyFlags: "RO access; OW update",
			Since: "6.2.0", Group: "generic", Summary: "Copies a value to another key.", Complexity: "O(N) in the size of a packed value, else O(1)",
			Syntax: "source destination [DB destination-db] [REPLACE]"},
		{Name: "del", Fn: cmdDel, Arity: -2, Flags: command.Write, First: 1, Last: -1, Step: 1, KeyFlags: "RM delete",
			Since: "1.0.0", Group: "generic", Summary: "Deletes keys.", Complexity: "O(N) in the number of keys; big values are freed later",
			Syntax: "key [key ...]", Tips: "request_policy:multi_shard response_policy:agg_sum"},
		{Name: "exists", Fn: cmdExists, Parts: command.SumParts, Arity: -2, Flags: command.ReadOnly | command.Fast, First: 1, Last: -1, Step: 1, KeyFlags: "RO",
			Since: "1.0.0", Group: "generic", Summary: "Counts which of the keys exist, as often as they are named.", Complexity: "O(N) in the number of keys",
			Syntax: "key [key ...]", Tips: "request_policy:multi_shard response_policy:agg_sum"},
		{Name: "keys", Fn: cmdKeys, Arity: 2, Flags: command.ReadOnly | command.Walks, Since: "1.0.0", Group: "generic", Categories: "dangerous",
			Summary: "Returns the keys that match a pattern.", Complexity: "O(N) in the number of keys of the database",
			Syntax: "pattern", Tips: "request_policy:all_shards nondeterministic_output_order"},
		{Name: "move", Fn: cmdMove, Arity: 3, Flags: command.Write | command.Fast, DBArgs: command.DbsAt(2), First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
			Since: "1.0.0", Group: "generic", Summary: "Moves a key to another database.", Complexity: "O(1)", Syntax: "key db"},
		{Name: "object", Arity: -2, Since: "2.2.3", Group: "generic", Categories: "-keyspace", Summary: "Tells how a value is kept.", Complexity: "Depends on the subcommand",
			Sub: []*command.Row{
				{Name: "encoding", Fn: cmdObjectEncoding, Arity: 3, Flags: command.ReadOnly, First: 2, Last: 2, Step: 1, KeyFlags: "RO",
					Since: "2.2.3", Summary: "Returns the encoding of a value.", Complexity: "O(1)", Syntax: "key", Tips: "nondeterministic_output"},
				{Name: "freq", Fn: cmdObjectFreq, Arity: 3, Flags: command.ReadOnly, First: 2, Last: 2, Step: 1, KeyFlags: "RO",
					Since: "4.0.0", Summary: "Returns the logarithmic counter of accesses, kept under LFU policies.", Complexity: "O(1)", Syntax: "key", Tips: "nondeterministic_output"},
				command.HelpRow("6.2.0",
					"ENCODING <key>", "    Return how the value at <key> is encoded.",
					"FREQ <key>", "    Return the logarithmic counter of accesses to <key>.",
					"IDLETIME <key>", "    Return the seconds since the last access to <key>.",
					"REFCOUNT <key>", "    Return how many share the value at <key>."),
				{Name: "idletime", Fn: cmdObjectIdleTime, Arity: 3, Flags: command.ReadOnly, First: 2, Last: 2, Step: 1, KeyFlags: "RO",
					Since: "2.2.3", Summary: "Returns the seconds since the last access, unless under LFU policies.", Complexity: "O(1)", Syntax: "key", Tips: "nondeterministic_output"},
				{Name: "refcount", Fn: cmdObjectRefCount, Arity: 3, Flags: command.ReadOnly, First: 2, Last: 2, Step: 1, KeyFlags: "RO",
					Since: "2.2.3", Summary: "Returns how many share a value: 1, or INT_MAX for small numbers.", Complexity: "O(1)", Syntax: "key", Tips: "nondeterministic_output"},
			}},
		{Name: "randomkey", Fn: cmdRandomKey, Arity: 1, Flags: command.ReadOnly | command.LockAll, Since: "1.0.0", Group: "generic",
			Summary: "Returns a key chosen at random.", Complexity: "O(N) in the number of stripes and of a stripe's slots", Tips: "request_policy:all_shards nondeterministic_output"},
		{Name: "rename", Fn: cmdRename, Arity: 3, Flags: command.Write, First: 1, Last: 2, Step: 1, KeyFlags: "RW access delete; OW update",
			Since: "1.0.0", Group: "generic", Summary: "Gives a key another name, replacing who had it.", Complexity: "O(1)", Syntax: "key newkey"},
		{Name: "renamenx", Fn: cmdRenameNX, Arity: 3, Flags: command.Write | command.Fast, First: 1, Last: 2, Step: 1, KeyFlags: "RW access delete; OW insert",
			Since: "1.0.0", Group: "generic", Summary: "Gives a key another name that no key has.", Complexity: "O(1)", Syntax: "key newkey"},
		{Name: "touch", Fn: cmdTouch, Parts: command.SumParts, Arity: -2, Flags: command.ReadOnly | command.Fast | command.AlwaysTouches, First: 1, Last: -1, Step: 1, KeyFlags: "RO",
			Since: "3.2.1", Group: "generic", Summary: "Counts which of the keys exist, as an access to them.", Complexity: "O(N) in the number of keys",
			Syntax: "key [key ...]", Tips: "request_policy:multi_shard response_policy:agg_sum"},
		{Name: "type", Fn: cmdType, Arity: 2, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO",
			Since: "1.0.0", Group: "generic", Summary: "Returns the type of a value.", Complexity: "O(1)", Syntax: "key"},
		{Name: "unlink", Fn: cmdDel, Arity: -2, Flags: command.Write | command.Fast, First: 1, Last: -1, Step: 1, KeyFlags: "RM delete",
			Since: "4.0.0", Group: "generic", Summary: "Deletes keys; big values are freed later.", Complexity: "O(N) in the number of keys",
			Syntax: "key [key ...]", Tips: "request_policy:multi_shard response_policy:agg_sum"},
	}
}

// cmdDel serves DEL and UNLINK: freeing is always done in the background where
// it would take long.
func cmdDel(c *command.Ctx) {
	n := 0
	for i := range c.Keys {
		if c.Delete(&c.Keys[i]) {
			n++
			c.Notify('g', "del", &c.Keys[i])
		}
	}
	c.Dirty += n
	c.W.Int(int64(n))
}

func cmdExists(c *command.Ctx) {
	n := 0
	for i := range c.Keys {
		if e := c.LookupNoTouch(&c.Keys[i]); e.Exists() {
			n++
		}
	}
	c.W.Int(int64(n))
}

func cmdTouch(c *command.Ctx) {
	n := 0
	for i := range c.Keys {
		if e := c.Lookup(&c.Keys[i]); e.Exists() {
			n++
		}
	}
	c.W.Int(int64(n))
}

func cmdType(c *command.Ctx) {
	e := c.LookupNoTouch(&c.Keys[0])
	c.W.SimpleString(e.Type().String())
}

func cmdRename(c *command.Ctx)   { rename(c, false) }
func cmdRenameNX(c *command.Ctx) { rename(c, true) }

func rename(c *command.Ctx, nx bool) {
	from, to := &c.Keys[0], &c.Keys[1]
	reply := func(done int64) {
		if nx {
			c.W.Int(done)
		} else {
			c.W.OK()
		}
	}
	e := c.Lookup(from)
	if !e.Exists() {
		c.Err(command.ErrNoKey)
		return
	}
	t := e.Type()
	if bytes.Equal(from.B, to.B) || nx && c.Exists(to) {
		reply(0)
		return
	}
	c.NoteReplaced(to, t)
	v := command.Detach(&c.Tx, from)
	v.Put(&c.Tx, to)
	command.SetClock(&c.Tx, to, v.Clock)
	c.ReadyIfWaited(to, v.Typ)
	c.Notify('g', "rename_from", from)
	c.Notify('g', "rename_to", to)
	c.Dirty++
	reply(1)
}

func cmdMove(c *command.Ctx) {
	db, ok := c.DbArg(2)
	if !ok {
		return
	}
	if db == c.DB() {
		c.Err(command.ErrSameObject)
		return
	}
	k := &c.Keys[0]
	to := c.In(db)
	if e := c.Lookup(k); !e.Exists() || to.Exists(k) {
		c.W.Int(0)
		return
	}
	v := command.Detach(&c.Tx, k)
	v.Put(to, k)
	command.SetClock(to, k, v.Clock)
	c.ReadyIfWaitedIn(db, k, v.Typ)
	c.Notify('g', "move_from", k)
	c.NotifyIn(db, 'g', "move_to", k)
	c.Dirty++
	c.W.Int(1)
}

// copyDB finds the database that COPY copies into: the last DB's.
func copyDB(args [][]byte, dst []int) []int {
	at := 0
	for i := 3; i+1 < len(args); i++ {
		if command.EqualFold(args[i], "db") {
			i++
			at = i
		}
	}
	if at > 0 {
		dst = append(dst, at)
	}
	return dst
}

func cmdCopy(c *command.Ctx) {
	db, replace := c.DB(), false
	for i := 3; i < len(c.Args); i++ {
		switch {
		case c.Word(i, "replace"):
			replace = true
		case c.Word(i, "db") && i+1 < len(c.Args):
			var ok bool
			if db, ok = c.DbArg(i + 1); !ok {
				return
			}
			i++
		default:
			c.Err(command.ErrSyntax)
			return
		}
	}
	from, to := &c.Keys[0], &c.Keys[1]
	if db == c.DB() && bytes.Equal(from.B, to.B) {
		c.Err(command.ErrSameObject)
		return
	}
	e := c.Lookup(from)
	if !e.Exists() {
		c.W.Int(0)
		return
	}
	// Looking at the other key may expire it: e is read before that.
	v := command.Taken{Typ: e.Type(), Enc: e.Encoding(), Deadline: e.Deadline(), Flags: e.Marks().Flags}
	var obj types.Object
	if obj = e.Object(); obj == nil {
		c.Scratch = append(c.Scratch[:0], e.Packed()...)
		v.Packed = c.Scratch
	}
	t := &c.Tx
	if db != c.DB() {
		t = c.In(db)
	}
	if t.Exists(to) && !replace {
		c.W.Int(0)
		return
	}
	if obj != nil {
		v.Obj = obj.Copy()
	}
	c.NoteReplacedIn(t, to, v.Typ)
	v.Put(t, to)
	c.ReadyIfWaitedIn(db, to, v.Typ)
	c.NotifyIn(db, 'g', "copy_to", to)
	c.Dirty++
	c.W.Int(1)
}

// cmdKeys goes through the database stripe by stripe, on a worker.
func cmdKeys(c *command.Ctx) {
	pattern := glob.Compile(c.Args[1])
	all := string(c.Args[1]) == "*" // the empty key, too
	s, db, now, locked := c.S, c.DB(), c.Now, c.HoldsAll()
	c.Background(func(w *wire.Writer) {
		m, n := w.DeferArray(), 0
		found := func(k []byte) {
			if all || pattern.Match(k) {
				w.Bulk(k)
				n++
			}
		}
		var later [][]byte // to be matched without the lock
		s.Keyspace.EachThen(db, now, locked, func(e *keyspace.Entry) {
			if k := e.Key(); !pattern.Slow(len(k)) {
				found(k)
			} else {
				later = append(later, bytes.Clone(k))
			}
		}, func() {
			for _, k := range later {
				found(k)
			}
			later = later[:0]
		})
		w.SetArray(m, n)
	})
}

// randomTries bounds the search for a key that has not expired by mere chance.
const randomTries = 100

func cmdRandomKey(c *command.Ctx) {
	for i := range 2 * randomTries {
		pick := c.Random
		if i >= randomTries {
			pick = c.RandomLiving
		}
		e, ok := pick()
		if !ok {
			break
		}
		name := bytes.Clone(e.Key())
		k := keyspace.MakeKey(name)
		if c.Exists(&k) { // else its time was over, or that of all its fields
			c.W.Bulk(name)
			return
		}
	}
	c.W.Null()
}

// object finds the value that an OBJECT subcommand is about, and replies null
// where there is none. That counts as a look-up, but is no event where it finds none.
func object(c *command.Ctx) (e keyspace.Entry, ok bool) {
	e = c.LookupNoTouch(&c.Keys[0])
	c.Count(&e)
	if !e.Exists() {
		c.W.Null()
	}
	return e, e.Exists()
}

func cmdObjectEncoding(c *command.Ctx) {
	if e, ok := object(c); ok {
		c.W.BulkString(types.EncodingName(e.Type(), e.Encoding()))
	}
}

// sharedInts is the number of small integers that Redis keeps once for all.
const sharedInts = 10000

func cmdObjectRefCount(c *command.Ctx) {
	e, ok := object(c)
	if !ok {
		return
	}
	// What Redis shares takes nothing beside its entry here, either. Where the
	// value's own access matters for eviction, Redis does not share.
	if e.Encoding() == types.EncInt && e.Int() >= 0 && e.Int() < sharedInts &&
		(c.S.Config.MaxMemory.Load() == 0 || !clockPolicies[c.S.Config.MaxMemoryPolicy.Load()]) {
		c.W.Int(math.MaxInt32)
		return
	}
	c.W.Int(1)
}

// clockPolicies are the policies that look at the access clock.
var clockPolicies = map[string]bool{"volatile-lru": true, "allkeys-lru": true, "volatile-lfu": true, "allkeys-lfu": true,
	"volatile-lrm": true, "allkeys-lrm": true}

func cmdObjectFreq(c *command.Ctx) {
	e, ok := object(c)
	if !ok {
		return
	}
	if c.LFU == nil {
		c.Err("ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
		return
	}
	c.W.Int(int64(command.LFUDecayed(e.Clock(), c.Now, c.S.Config.LFUDecayTime.Load())))
}

func cmdObjectIdleTime(c *command.Ctx) {
	e, ok := object(c)
	if !ok {
		return
	}
	if c.LFU != nil {
		c.Err("ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
		return
	}
	c.W.Int(int64((c.Clock - e.Clock()) & command.ClockMask))
}
