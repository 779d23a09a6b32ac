package keys

import (
	"slices"

	"kvd/command"
	"kvd/keyspace"
	"kvd/persist/rdb"
	"kvd/resp/wire"
)

// DUMP, RESTORE

func dumpRows() []*command.Row {
	return []*command.Row{
		{Name: "dump", Fn: cmdDump, Arity: 2, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "2.6.0", Group: "generic", Summary: "Returns a value in the form that RESTORE takes.", Complexity: "O(N) in the size of the value",
			Syntax: "key", Tips: "nondeterministic_output"},
		{Name: "restore", Fn: cmdRestore, Arity: -4, Flags: command.Write | command.DenyOOM, First: 1, Last: 1, Step: 1, KeyFlags: "OW update",
			Since: "2.6.0", Group: "generic", Categories: "dangerous", Summary: "Creates a key from what DUMP returned.", Complexity: "O(N) in the size of the value, O(N*log(N)) for sorted sets",
			Syntax: "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]"},
	}
}

// A decoded value must fit into an entry.
const _ = uint(keyspace.InlineMax - rdb.PackedMax)

// dumpAtOnce is the size of a value, in bytes, from which on it is dumped on a
// worker.
const dumpAtOnce = 64 << 10

func cmdDump(c *command.Ctx) {
	e := c.Lookup(&c.Keys[0])
	if !e.Exists() {
		c.W.Null()
		return
	}
	typ, enc := e.Type(), e.Encoding()
	obj, compress := e.Object(), c.S.Config.RDBCompression.Load()
	if obj == nil {
		c.Scratch = rdb.AppendDump(c.Scratch[:0], compress, typ, enc, e.Packed(), nil)
		c.W.Bulk(c.Scratch)
		return
	}
	if obj.Bytes() <= dumpAtOnce {
		c.W.Bulk(rdb.AppendDump(nil, compress, typ, enc, nil, obj))
		return
	}
	view := obj.Copy()
	c.Aside(func(w *wire.Writer) {
		w.Bulk(rdb.AppendDump(nil, compress, typ, enc, nil, view))
		command.FreeAll(view)
	})
}

// restoring are the arguments of RESTORE.
type restoring struct {
	replace, absolute bool
	idle, freq        int64 // -1: not given
	ttl               int64 // milliseconds, or the deadline
}

func parseRestoring(c *command.Ctx) (o restoring, ok bool) {
	o.idle, o.freq = -1, -1
	for i := 4; i < len(c.Args); i++ {
		left := len(c.Args) - i
		switch {
		case c.Word(i, "replace"):
			o.replace = true
		case c.Word(i, "absttl"):
			o.absolute = true
		case c.Word(i, "idletime") && left >= 2 && o.freq == -1:
			if o.idle, ok = c.IntMin(i+1, 0, "ERR Invalid IDLETIME value, must be >= 0"); !ok {
				return o, false
			}
			i++
		case c.Word(i, "freq") && left >= 2 && o.idle == -1:
			const bad = "ERR Invalid FREQ value, must be >= 0 and <= 255"
			if o.freq, ok = c.IntMin(i+1, 0, bad); !ok {
				return o, false
			}
			if o.freq > 255 {
				c.Err(bad)
				return o, false
			}
			i++
		default:
			c.Err(command.ErrSyntax)
			return o, false
		}
	}
	// Redis tells about the key before it looks at the time.
	if !o.replace && c.Exists(&c.Keys[0]) {
		c.Err("BUSYKEY Target key name already exists.")
		return o, false
	}
	o.ttl, ok = c.IntMin(2, 0, "ERR Invalid TTL value, must be >= 0")
	return o, ok
}

func cmdRestore(c *command.Ctx) {
	o, ok := parseRestoring(c)
	if !ok {
		return
	}
	payload := c.Args[3]
	unsummed := c.S.SkipsChecksum()
	limits := rdbLimits(c)
	detach := func() (free func()) {
		payload = slices.Clone(payload)
		return func() {}
	}
	built, ok := c.Build(len(payload) > command.LongReadBytes, nil, detach, func() command.BuiltValue {
		r := new(restored)
		if r.version, r.foreign = rdb.CheckDump(payload, !unsummed); r.foreign == nil {
			r.Value, r.broken = rdb.DecodeDump(payload, limits)
		}
		return r
	})
	if !ok {
		return
	}
	r := built.(*restored)
	v, version := r.Value, r.version
	switch {
	case r.foreign != nil:
		c.Err("ERR DUMP payload version or checksum are wrong")
		return
	case r.broken != nil:
		c.S.Log.Verbosef("RESTORE: %s", r.broken)
		c.Err("ERR Bad data format")
		return
	}
	k := &c.Keys[0]
	deadline := o.ttl
	if deadline != 0 && !o.absolute {
		deadline += c.Now // what overflows becomes the past, as in Redis
	}
	c.W.OK()
	if deadline != 0 && c.Past(deadline) {
		if v.Obj != nil {
			command.FreeAll(v.Obj)
		}
		if c.Delete(k) {
			c.Effect([]byte("DEL"), k.B)
			c.Notify('g', "del", k)
			c.Dirty++
		}
		return
	}
	if c.Journaling() {
		if version > rdb.Version || unsummed {
			// The reader may know no newer forms, and does look at the checksum.
			payload = rdb.AppendDump(nil, true, v.Type, v.Enc, v.Packed, v.Obj)
		}
		effect := [][]byte{[]byte("RESTORE"), k.B, command.IntArg(deadline), payload}
		if o.replace {
			effect = append(effect, []byte("REPLACE"))
		}
		word := []byte("ABSTTL")
		for i := 4; o.absolute && i < len(c.Args); i++ {
			if c.Word(i, "absttl") {
				word = c.Args[i] // as it came
			}
		}
		c.Effect(append(effect, word)...)
	}
	n := command.Taken{Typ: v.Type, Enc: v.Enc, Packed: v.Packed, Obj: v.Obj, Deadline: deadline}
	c.NoteReplaced(k, v.Type)
	n.Put(&c.Tx, k)
	switch {
	case c.LFU != nil && o.freq >= 0:
		command.SetClock(&c.Tx, k, command.LFUClock(c.Now, uint32(o.freq)))
	case c.LFU == nil && o.idle >= 0:
		// More than half of the clock's turn ago would read as the future.
		command.SetClock(&c.Tx, k, (c.Clock-uint32(min(o.idle, command.ClockMask/2)))&command.ClockMask)
	}
	c.ReadyIfWaited(k, v.Type)
	c.Notify('g', "restore", k)
	c.Dirty++
}

// restored is what a payload holds, or why it cannot be had.
type restored struct {
	rdb.Value
	version         int
	foreign, broken error
}

// Discard see command.BuiltValue.
func (r *restored) Discard() {
	if r.Obj != nil {
		command.FreeAll(r.Obj)
	}
}

// rdbLimits are the limits of packed collections, as they are configured.
func rdbLimits(c *command.Ctx) *rdb.Limits { return c.S.RDBLimits() }
