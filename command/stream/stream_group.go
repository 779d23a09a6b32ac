package stream

import (
	"math"
	"slices"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
	"kvd/types/stream"
)

// XACK, XACKDEL, XAUTOCLAIM, XCLAIM, XGROUP, XNACK, XPENDING.

func streamGroupRows() []*command.Row {
	const key = "RW update"
	return []*command.Row{
		{Name: "xack", Fn: cmdXAck, Arity: -4, Flags: command.Write | command.CountsReads | command.Fast | command.InPortions, First: 1, Last: 1, Step: 1, KeyFlags: key,
			Since: "5.0.0", Group: "stream", Summary: "Ends that entries are pending in a group, and counts them.", Complexity: "O(log(N)) for each entry, in the number of pending ones",
			Syntax: "key group id [id ...]"},
		{Name: "xackdel", Fn: cmdXAckDel, Arity: -6, Flags: command.Write | command.Fast | command.InPortions, First: 1, Last: 1, Step: 1, KeyFlags: "RW delete update",
			Since: "8.2.0", Group: "stream", Summary: "Ends that entries are pending in a group, and removes them from the stream.", Complexity: "O(log(N)) for each entry and group",
			Syntax: "key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]"},
		{Name: "xautoclaim", Fn: cmdXAutoClaim, Arity: -6, Flags: command.Write | command.CountsReads | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access delete",
			Since: "6.2.0", Group: "stream", Summary: "Gives a consumer pending entries that were not touched for long enough, from an ID on.", Complexity: "O(N) in the number of entries looked at", Tips: "nondeterministic_output",
			Syntax: "key group consumer min-idle-time start [COUNT count] [JUSTID]"},
		{Name: "xclaim", Fn: cmdXClaim, Arity: -6, Flags: command.Write | command.CountsReads | command.Fast | command.InPortions, First: 1, Last: 1, Step: 1, KeyFlags: key,
			Since: "5.0.0", Group: "stream", Summary: "Gives a consumer pending entries as if they had been delivered to it.", Complexity: "O(log(N)) for each entry, in the number of pending ones", Tips: "nondeterministic_output",
			Syntax: "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]"},
		{Name: "xgroup", Arity: -2, Since: "5.0.0", Group: "stream", Summary: "Commands about consumer groups.", Complexity: "Depends on the subcommand.",
			Sub: []*command.Row{
				{Name: "create", Fn: cmdXGroupCreate, Arity: -5, Flags: command.Write | command.DenyOOM, First: 2, Last: 2, Step: 1, KeyFlags: "RW insert",
					Since: "5.0.0", Summary: "Makes a group.", Complexity: "O(1)", Syntax: "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]"},
				{Name: "createconsumer", Fn: cmdXGroupCreateConsumer, Arity: 5, Flags: command.Write | command.DenyOOM, First: 2, Last: 2, Step: 1, KeyFlags: "RW insert",
					Since: "6.2.0", Summary: "Makes a consumer in a group.", Complexity: "O(N) in the number of consumers", Syntax: "key group consumer"},
				{Name: "delconsumer", Fn: cmdXGroupDelConsumer, Arity: 5, Flags: command.Write, First: 2, Last: 2, Step: 1, KeyFlags: "RW delete",
					Since: "5.0.0", Summary: "Removes a consumer with its pending entries, and counts these.", Complexity: "O(N) in the number of pending entries", Syntax: "key group consumer"},
				{Name: "destroy", Fn: cmdXGroupDestroy, Arity: 4, Flags: command.Write, First: 2, Last: 2, Step: 1, KeyFlags: "RW delete",
					Since: "5.0.0", Summary: "Removes a group with its pending entries.", Complexity: "O(1); what it held is freed later", Syntax: "key group"},
				command.HelpRow("5.0.0",
					"CREATE <key> <groupname> <id|$> [option]",
					"    Make a group that is given what comes after <id>. Options are:",
					"    * MKSTREAM",
					"      Make the stream if there is none.",
					"    * ENTRIESREAD entries_read",
					"      Say how many entries it has read (internal use).",
					"CREATECONSUMER <key> <groupname> <consumer>",
					"    Make a consumer in a group.",
					"DELCONSUMER <key> <groupname> <consumer>",
					"    Remove a consumer.",
					"DESTROY <key> <groupname>",
					"    Remove a group.",
					"SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
					"    Say what a group has been given last, and how many entries it has read."),
				{Name: "setid", Fn: cmdXGroupSetID, Arity: -5, Flags: command.Write, First: 2, Last: 2, Step: 1, KeyFlags: key,
					Since: "5.0.0", Summary: "Sets the ID after which a group is given entries.", Complexity: "O(1)", Syntax: "key group <id | $> [ENTRIESREAD entries-read]"},
			}},
		{Name: "xnack", Fn: cmdXNack, Arity: -7, Flags: command.Write | command.Fast | command.InPortions, First: 1, Last: 1, Step: 1, KeyFlags: key,
			Since: "8.8.0", Group: "stream", Summary: "Makes pending entries nobody's, so that they are handed out again first.", Complexity: "O(log(N)) for each entry, in the number of pending ones",
			Syntax: "key group <SILENT | FAIL | FATAL> IDS numids id [id ...] [RETRYCOUNT count] [FORCE]"},
		{Name: "xpending", Fn: cmdXPending, Arity: -3, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "5.0.0", Group: "stream", Summary: "Tells about the pending entries of a group.", Complexity: "O(N) in the number of entries returned; of consumers, without a range", Tips: "nondeterministic_output",
			Syntax: "key group [[IDLE min-idle-time] start end count [consumer]]"},
	}
}

func noGroup(k *keyspace.Key, group []byte) string {
	return "NOGROUP No such key '" + command.Quote(k.B) + "' or consumer group '" + command.Quote(group) + "'"
}

// openGroup opens the stream of a command whose arguments begin with key and group, for
// changes, and finds the group, for reading: nil, there is none. ok is false where
// something else is at the key, and that is replied.
func openGroup(c *command.Ctx) (s streamEdit, g *stream.Group, ok bool) {
	if s, ok = editStream(c, &c.Keys[0]); ok && s.Stream != nil {
		g = s.Group(c.Args[2])
	}
	return s, g, ok
}

// needGroup is openGroup for commands to which a group that is missing is an error, which
// is replied: ok is false then.
func needGroup(c *command.Ctx) (s streamEdit, ok bool) {
	s, g, ok := openGroup(c)
	if ok && g == nil {
		c.Err(noGroup(&c.Keys[0], c.Args[2]))
		return s, false
	}
	return s, ok
}

func cmdXAck(c *command.Ctx) {
	a := idsAtATime{first: 3, read: func(c *command.Ctx) ([]stream.ID, bool) { return streamIDs(c, 3, len(c.Args)) }}
	a.open = func(c *command.Ctx) (streamEdit, bool) {
		s, g, ok := openGroup(c)
		if ok && g == nil {
			c.W.Int(0)
		}
		return s, ok && g != nil
	}
	a.step = func(c *command.Ctx, s *streamEdit, p *idsPart) bool {
		g := s.EditGroup(p.args[2])
		if g == nil {
			return false
		}
		for _, id := range p.ids {
			if s.Ack(g, id) {
				p.n++
			}
		}
		closeStream(c, s, false)
		return true
	}
	a.run(c)
}

func cmdXAckDel(c *command.Ctx) {
	var b idBlock
	a := idsAtATime{counted: true, array: true, early: true, rest: allMissing}
	a.read = func(c *command.Ctx) ([]stream.ID, bool) {
		ok := b.parse(c, 3, nil)
		a.first = b.at
		return b.ids, ok
	}
	a.open = func(c *command.Ctx) (streamEdit, bool) {
		s, g, ok := openGroup(c)
		if ok && g == nil {
			c.W.Array(len(b.ids))
			allMissing(c.W, len(b.ids))
		}
		return s, ok && g != nil
	}
	a.step = func(c *command.Ctx, s *streamEdit, p *idsPart) bool {
		g := s.EditGroup(p.args[2])
		if g == nil {
			return false
		}
		deleted := false
		for _, id := range p.ids {
			answer := int64(idMissing)
			if s.Ack(g, id) {
				p.n++
				if b.refs == stream.Acked && !s.Acked(id) {
					answer = idKept
				} else {
					if b.refs == stream.DelRefs {
						s.DropRefs(id)
					}
					deleted = s.Delete(id) || deleted
					answer = idDeleted
				}
			}
			p.w.Int(answer)
		}
		p.answers = len(p.ids)
		a.close(c, s, deleted)
		return true
	}
	a.run(c)
}

// xgroup finds the stream, and the group if it must be there, for a subcommand of
// XGROUP; what is missing is replied to.
func xgroup(c *command.Ctx, must bool) (s streamEdit, g *stream.Group) {
	k := &c.Keys[0]
	s, ok := editStream(c, k)
	if !ok {
		return s, nil
	}
	if s.Stream == nil {
		c.Err("ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.")
		return s, nil
	}
	if g = s.Group(c.Args[3]); g == nil && must {
		c.Err("NOGROUP No such consumer group '" + command.Quote(c.Args[3]) + "' for key name '" + command.Quote(k.B) + "'")
		s.Stream = nil
	}
	return s, g
}

// entriesRead reads the options of CREATE and SETID from argument 5 on.
func entriesRead(c *command.Ctx, make *bool) (read int64, ok bool) {
	read = stream.ReadUnknown
	for i := 5; i < len(c.Args); i++ {
		switch {
		case make != nil && c.Word(i, "mkstream"):
			*make = true
		case c.Word(i, "entriesread") && i+1 < len(c.Args):
			i++
			if read, ok = c.Int(i); !ok {
				return 0, false
			}
			if read < stream.ReadUnknown {
				c.Err("ERR value for ENTRIESREAD must be positive or -1")
				return 0, false
			}
		default:
			c.UnknownForm()
			return 0, false
		}
	}
	return read, true
}

// lastGiven reads argument 4 of CREATE and SETID.
func lastGiven(c *command.Ctx, s *stream.Stream, strict bool) (stream.ID, bool) {
	switch arg := c.Args[4]; {
	case string(arg) == "$" && s == nil:
		return stream.ID{}, true
	case string(arg) == "$":
		return s.LastID(), true
	case string(arg) == "-" && !strict:
		return stream.ID{}, true
	case string(arg) == "+" && !strict:
		return stream.MaxID, true
	}
	return streamID(c, 4)
}

func cmdXGroupCreate(c *command.Ctx) {
	mk := false
	read, ok := entriesRead(c, &mk)
	if !ok {
		return
	}
	k := &c.Keys[0]
	var s streamEdit
	if mk {
		if s, ok = editStream(c, k); !ok {
			return
		}
	} else if s, _ = xgroup(c, false); s.Stream == nil {
		return
	}
	if len(c.Args) > 8 { // Redis has looked at everything else by then
		c.UnknownForm()
		return
	}
	id, ok := lastGiven(c, s.Stream, true)
	if !ok {
		return
	}
	fresh := s.Stream == nil
	if fresh {
		s = streamEdit{Stream: stream.New(), k: k}
	}
	if s.AddGroup(c.Args[3], id, min(read, int64(s.Added()))) == nil {
		c.Err("BUSYGROUP Consumer Group name already exists")
		return
	}
	if fresh {
		c.PutObject(k, types.TStream, types.EncObject, s.Stream, 0)
	} else {
		closeStream(c, &s, false)
	}
	c.Notify('t', "xgroup-create", k)
	c.Dirty++
	c.W.OK()
}

func cmdXGroupSetID(c *command.Ctx) {
	read, ok := entriesRead(c, nil)
	if !ok {
		return
	}
	s, _ := xgroup(c, true)
	if s.Stream == nil {
		return
	}
	if len(c.Args) > 7 {
		c.UnknownForm()
		return
	}
	id, ok := lastGiven(c, s.Stream, false)
	if !ok {
		return
	}
	g := s.EditGroup(c.Args[3])
	g.Last, g.Read = id, min(read, int64(s.Added()))
	closeStream(c, &s, false)
	c.Notify('t', "xgroup-setid", s.k)
	c.Dirty++
	c.W.OK()
	if c.WaitedFor(s.k) { // what it was given may be given again
		c.Ready(s.k)
	}
}

func cmdXGroupDestroy(c *command.Ctx) {
	s, g := xgroup(c, false)
	if s.Stream == nil {
		return
	}
	if g == nil {
		c.W.Int(0)
		return
	}
	s.RemoveGroup(c.Args[3])
	closeStream(c, &s, false)
	c.Notify('t', "xgroup-destroy", s.k)
	c.Dirty++
	c.W.Int(1)
	c.Ready(s.k) // for its consumers, which are told
}

func cmdXGroupCreateConsumer(c *command.Ctx) {
	s, g := xgroup(c, true)
	if s.Stream == nil {
		return
	}
	if g.Consumer(c.Args[4]) != nil {
		c.W.Int(0)
		return
	}
	s.AddConsumer(s.EditGroup(c.Args[3]), c.Args[4], c.Now)
	closeStream(c, &s, false)
	c.Notify('t', "xgroup-createconsumer", s.k)
	c.Dirty++
	c.W.Int(1)
}

func cmdXGroupDelConsumer(c *command.Ctx) {
	s, g := xgroup(c, true)
	if s.Stream == nil {
		return
	}
	consumer := g.Consumer(c.Args[4])
	if consumer == nil {
		c.W.Int(0)
		return
	}
	n := consumer.Pending
	if n > dropAtOnce && c.CanBlock() && !c.Applies() {
		c.NoEffect()
		delConsumerLater(c, n)
		return
	}
	s.RemoveConsumer(s.EditGroup(c.Args[3]), c.Args[4])
	closeStream(c, &s, false)
	c.Notify('t', "xgroup-delconsumer", s.k)
	c.Dirty++
	c.W.Int(int64(n))
}

// dropAtOnce is how many pending entries of a consumer go without letting go of the stripe:
// half a millisecond where none of their leaves is near.
const dropAtOnce = 10_000

// dropBitByBit is how many pending entries are looked at in one go, and journaled at most,
// where a consumer goes bit by bit.
const dropBitByBit = 1000

// delConsumerLater is XGROUP DELCONSUMER of a consumer with many pending entries, n of
// them. They go bit by bit, acknowledged as the journal has it; then the consumer goes, with
// what it was given meanwhile. Where writes are refused before that, it stays with the rest.
func delConsumerLater(c *command.Ctx, n int) {
	srv, by, db, keys := c.S, c.C, c.DB(), []keyspace.Key{keyspace.MakeKey(slices.Clone(c.Keys[0].B))}
	group, name := slices.Clone(c.Args[3]), slices.Clone(c.Args[4])
	c.Background(func(w *wire.Writer) {
		from := stream.ID{}
		for more := true; more; {
			if refused := srv.WritesRefused(); refused != "" {
				w.Error(refused)
				return
			}
			// Where it is not called the server follows by now, which is refused next.
			srv.ChangeLater(by, db, keys, func(c *command.Ctx) {
				more = false
				e := c.Peek(&keys[0])
				if e.Type() != types.TStream {
					return
				}
				s := openStream(c, &keys[0], &e)
				g := s.EditGroup(group)
				if g == nil || g.Consumer(name) == nil {
					return
				}
				gone := [][]byte{[]byte("XACK"), s.k.B, group}
				from, more = s.DropPending(g, name, from, dropBitByBit, func(id stream.ID) { gone = append(gone, id.Append(nil)) })
				if !more {
					s.RemoveConsumer(g, name)
					c.Notify('t', "xgroup-delconsumer", s.k)
					c.Dirty++
					c.Effect([]byte("XGROUP"), []byte("DELCONSUMER"), s.k.B, group, name)
				} else if len(gone) > 3 {
					c.Dirty++
					c.Effect(gone...)
				}
				closeStream(c, &s, false)
			})
		}
		w.Int(int64(n))
	})
}

func cmdXNack(c *command.Ctx) {
	fatal, silent := c.Word(3, "fatal"), c.Word(3, "silent")
	if !fatal && !silent && !c.Word(3, "fail") {
		c.Err(command.ErrSyntax)
		return
	}
	force, count := false, int64(-1)
	a := idsAtATime{counted: true, early: true, open: needGroup}
	a.read = func(c *command.Ctx) ([]stream.ID, bool) {
		var b idBlock
		ok := b.parse(c, 4, func(i int) int {
			switch {
			case c.Word(i, "force"):
				force = true
				return 1
			case c.Word(i, "retrycount") && i+1 < len(c.Args):
				var ok bool
				if count, ok = c.IntMin(i+1, 0, "ERR Invalid RETRYCOUNT value, must be >= 0"); !ok {
					return -1
				}
				return 2
			}
			return 0
		})
		a.first = b.at
		return b.ids, ok
	}
	a.step = func(c *command.Ctx, s *streamEdit, p *idsPart) bool {
		g := s.EditGroup(p.args[2])
		if g == nil {
			return false
		}
		for _, id := range p.ids {
			had := uint64(0)
			if e := g.Pending(id); e != nil {
				had = e.Count
			} else if !force || !s.Has(id) {
				continue
			}
			switch {
			case count >= 0:
				had = uint64(count)
			case fatal:
				had = math.MaxInt64
			case silent && had > 0:
				had--
			}
			s.Release(g, id, had)
			p.n++
		}
		closeStream(c, s, false)
		if p.n > 0 {
			wakeClaims(c, s.k, p.later)
		}
		return true
	}
	a.run(c)
}

// pendingRange are the arguments of XPENDING for single entries.
type pendingRange struct {
	from, to    stream.ID
	idle, count int64
	consumer    []byte
}

func (r *pendingRange) parse(c *command.Ctx) (ok bool) {
	i := 3
	if c.Word(3, "idle") {
		if r.idle, ok = c.Int(4); !ok {
			return false
		}
		if len(c.Args) < 8 {
			c.Err(command.ErrSyntax)
			return false
		}
		i += 2
	}
	if r.count, ok = c.Int(i + 2); !ok {
		return false
	}
	if r.from, ok = streamBound(c, i, false); !ok {
		return false
	}
	if r.to, ok = streamBound(c, i+1, true); !ok {
		return false
	}
	if i+3 < len(c.Args) {
		r.consumer = c.Args[i+3]
	}
	return true
}

func cmdXPending(c *command.Ctx) {
	if n := len(c.Args); n != 3 && (n < 6 || n > 9) {
		c.Err(command.ErrSyntax)
		return
	}
	var r pendingRange
	if len(c.Args) > 3 && !r.parse(c) {
		return
	}
	k := &c.Keys[0]
	s, ok := readStream(c, k)
	if !ok {
		return
	}
	var g *stream.Group
	if s != nil {
		g = s.Group(c.Args[2])
	}
	switch {
	case g == nil:
		c.Err(noGroup(k, c.Args[2]))
	case len(c.Args) == 3:
		pendingSummary(c.W, g)
	default:
		r.answer(c, s, g)
	}
}

// pendingRead is from how many pending entries on XPENDING's reply is made aside.
const pendingRead = 2000

// answer replies, aside where many entries are to be looked at.
func (r *pendingRange) answer(c *command.Ctx, s *stream.Stream, g *stream.Group) {
	n := int64(g.PendingLen())
	if r.consumer == nil && r.idle == 0 {
		n = min(n, r.count)
	}
	if n <= pendingRead || r.count <= 0 {
		r.reply(c.W, c.Now, g)
		return
	}
	view, name, now := s.Copy().(*stream.Stream), g.Name, c.Now
	r.consumer = slices.Clone(r.consumer)
	c.Aside(func(w *wire.Writer) { r.reply(w, now, view.Group([]byte(name))) })
}

func pendingSummary(w *wire.Writer, g *stream.Group) {
	w.Array(4)
	w.Int(int64(g.PendingLen()))
	if g.PendingLen() == 0 {
		w.Null()
		w.Null()
		w.NullArray()
		return
	}
	first, last := g.PendingEnds()
	writeStreamID(w, first)
	writeStreamID(w, last)
	at, n := w.DeferArray(), 0
	for _, consumer := range g.Consumers() {
		if consumer.Pending > 0 {
			w.Array(2)
			w.BulkString(consumer.Name)
			w.BulkInt(int64(consumer.Pending))
			n++
		}
	}
	w.SetArray(at, n)
}

func (r *pendingRange) reply(w *wire.Writer, now int64, g *stream.Group) {
	var consumer *stream.Consumer
	if r.consumer != nil {
		if consumer = g.Consumer(r.consumer); consumer == nil {
			w.Array(0)
			return
		}
	}
	at, n := w.DeferArray(), int64(0)
	if r.count > 0 {
		g.EachPending(r.from, consumer, func(e *stream.Pending) bool {
			if r.to.Less(e.ID) {
				return false
			}
			idle, name := now-e.Time, ""
			if owner := g.Owner(e); owner != nil {
				name = owner.Name
			} else {
				idle = now // it was never delivered to anybody who still has it
			}
			if r.idle > 0 && idle < r.idle {
				return true
			}
			if e.Consumer == 0 {
				idle = -1
			} else {
				idle = max(idle, 0)
			}
			w.Array(4)
			writeStreamID(w, e.ID)
			w.BulkString(name)
			w.Int(idle)
			w.Int(int64(e.Count))
			n++
			return n < r.count
		})
	}
	w.SetArray(at, int(n))
}

// claiming are the options of XCLAIM.
type claiming struct {
	idle          int64
	ids           []stream.ID
	at            int64 // the time of delivery
	count         int64 // -1: not given
	force, justID bool
	last          stream.ID
}

func (o *claiming) parse(c *command.Ctx) (ok bool) {
	if o.idle, ok = command.ParseInt(c.Args[4]); !ok {
		c.Err("ERR Invalid min-idle-time argument for XCLAIM")
		return false
	}
	o.idle = max(o.idle, 0)
	o.ids, o.count, o.at = c.Values().IDs[:0], -1, -1
	i := 5
	for ; i < len(c.Args); i++ {
		id, ok := parseStreamID(c.Args[i], 0)
		if !ok {
			break
		}
		o.ids = append(o.ids, id)
	}
	c.Values().IDs = o.ids
	for ; i < len(c.Args); i++ {
		more := i+1 < len(c.Args)
		switch {
		case c.Word(i, "force"):
			o.force = true
		case c.Word(i, "justid"):
			o.justID = true
		case more && c.Word(i, "idle"):
			i++
			if o.at, ok = command.ParseInt(c.Args[i]); !ok {
				c.Err("ERR Invalid IDLE option argument for XCLAIM")
				return false
			}
			o.at = c.Now - o.at
		case more && c.Word(i, "time"):
			i++
			if o.at, ok = command.ParseInt(c.Args[i]); !ok {
				c.Err("ERR Invalid TIME option argument for XCLAIM")
				return false
			}
		case more && c.Word(i, "retrycount"):
			i++
			if o.count, ok = command.ParseInt(c.Args[i]); !ok {
				c.Err("ERR Invalid RETRYCOUNT option argument for XCLAIM")
				return false
			}
		case more && c.Word(i, "lastid"):
			i++
			if o.last, ok = streamID(c, i); !ok {
				return false
			}
		default:
			c.Err("ERR Unrecognized XCLAIM option '" + command.Quote(c.Args[i]) + "'")
			return false
		}
	}
	if o.at < 0 || o.at > c.Now && !c.Applies() {
		o.at = c.Now
	}
	return true
}

func cmdXClaim(c *command.Ctx) {
	var o claiming
	a := idsAtATime{first: 5, array: true, own: true, open: needGroup}
	a.read = func(c *command.Ctx) ([]stream.ID, bool) { ok := o.parse(c); return o.ids, ok }
	a.step = func(c *command.Ctx, s *streamEdit, p *idsPart) bool {
		if s.Group(p.args[2]) == nil {
			return false
		}
		cl := newClaimer(c, s, p)
		if p.begins {
			cl.lastID(o.last, o.ids)
		}
		for _, id := range p.ids {
			e, was := stream.Pending{ID: id}, cl.g.Pending(id)
			if was != nil {
				e = *was
			}
			if !cl.there(id) {
				if was != nil {
					cl.drop(&e)
				}
				continue
			}
			if was == nil {
				if !o.force {
					continue
				}
				// Redis makes one that was delivered once.
				e.Count = 1
			} else if o.idle > 0 && e.Consumer != 0 && c.Now-e.Time < o.idle {
				continue
			}
			e.Time = o.at
			switch {
			case o.count >= 0:
				e.Count = uint64(o.count)
			case !o.justID:
				e.Count = nextCount(e.Count)
			}
			cl.take(&e, o.justID)
			p.answers++
		}
		cl.end()
		return true
	}
	a.run(c)
}

// claimer gives a consumer entries, for XCLAIM and XAUTOCLAIM.
type claimer struct {
	c        *command.Ctx
	p        *idsPart // whose arguments begin with group and consumer behind the key
	s        *streamEdit
	g        *stream.Group
	consumer *stream.Consumer
	it       stream.Iter
	on       bool      // it is at an entry
	before   stream.ID // the one that was looked for last: nothing lies between it and that entry
	made     bool      // the consumer is new, and nothing journaled says so
	moved    bool      // likewise, Group.Last
}

func newClaimer(c *command.Ctx, s *streamEdit, p *idsPart) *claimer {
	cl := &claimer{c: c, p: p, s: s, g: s.EditGroup(p.args[2])}
	if cl.consumer = s.EditConsumer(cl.g, p.args[3]); cl.consumer == nil {
		cl.consumer, cl.made = s.AddConsumer(cl.g, p.args[3], c.Now), true
		c.Notify('t', "xgroup-createconsumer", s.k)
		c.Dirty++
	}
	cl.consumer.Seen = c.Now
	return cl
}

// lastID moves the group on. What is claimed and last is counted as read: so the
// effects of XREADGROUP count as it did.
func (cl *claimer) lastID(last stream.ID, ids []stream.ID) {
	if !cl.g.Last.Less(last) {
		return
	}
	if len(ids) == 1 && ids[0] == last && cl.s.Has(last) {
		cl.moved = true
		cl.s.Delivered(cl.g, last)
		return
	}
	cl.g.Last = last
	// Each entry that is claimed is journaled alone, and would count as read if it is the last.
	groupEffect(cl.c, cl.s.k, cl.g, cl.p.args[2])
	cl.c.Dirty++
}

// there tells whether an entry is in the stream, and leaves cl.it at it. Those
// that follow each other closely are found by going on.
func (cl *claimer) there(id stream.ID) bool {
	if cl.on && cl.it.ID == id { // it is named twice, and its fields may have been read
		cl.it.Again()
		return true
	}
	for range 16 {
		if !cl.on || !cl.it.ID.Less(id) {
			break
		}
		cl.on = cl.it.Next()
	}
	if !cl.on || cl.it.ID != id {
		if cl.on && cl.before.Less(id) && id.Less(cl.it.ID) {
			cl.before = id
			return false
		}
		cl.it.SeekIn(cl.s.Stream, id)
		cl.on = cl.it.Next()
	}
	cl.before = id
	return cl.on && cl.it.ID == id
}

// drop ends that an entry is pending that is in the stream no more.
func (cl *claimer) drop(e *stream.Pending) {
	c := cl.c
	if owner := cl.g.Owner(e); owner != nil {
		// Redis's way to say so: who claims what is not there drops it.
		claimEffect(c, cl.s.k, cl.g, cl.p.args[2], []byte(owner.Name), e)
		cl.moved = false
	} else {
		ackEffect(c, cl.s.k, cl.p.args[2], e.ID)
	}
	cl.s.Ack(cl.g, e.ID)
	c.Dirty++
}

// take gives the consumer the entry that cl.it is at, and replies with it.
func (cl *claimer) take(e *stream.Pending, justID bool) {
	c := cl.c
	e.Consumer = cl.consumer.Number()
	cl.s.Assign(cl.g, *e)
	cl.consumer.Active = c.Now
	if justID {
		writeStreamID(cl.p.w, e.ID)
	} else {
		writeEntry(cl.p.w, &cl.it)
	}
	claimEffect(c, cl.s.k, cl.g, cl.p.args[2], cl.p.args[3], e)
	cl.made, cl.moved = false, false
	c.Dirty++
}

func (cl *claimer) end() {
	c := cl.c
	if cl.made {
		consumerEffect(c, cl.s.k, cl.p.args[2], cl.p.args[3])
	}
	if cl.moved {
		groupEffect(c, cl.s.k, cl.g, cl.p.args[2])
		c.Dirty++
	}
	closeStream(c, cl.s, false)
	wakeClaims(c, cl.s.k, cl.p.later)
}

const (
	// autoClaimTries is how many pending entries XAUTOCLAIM looks at for each that it
	// may claim, as in Redis.
	autoClaimTries = 10
	// autoClaimMost is how many it looks at and autoClaimTakes how many it claims at
	// most, whatever COUNT says: it is to be called again anyway, and holds the stripe for
	// half a millisecond so.
	autoClaimMost  = 10_000
	autoClaimTakes = 1000
)

func cmdXAutoClaim(c *command.Ctx) {
	idle, ok := command.ParseInt(c.Args[4])
	if !ok {
		c.Err("ERR Invalid min-idle-time argument for XAUTOCLAIM")
		return
	}
	start, ok := streamBound(c, 5, false)
	if !ok {
		return
	}
	count, justID := int64(100), false
	for i := 6; i < len(c.Args); i++ {
		switch {
		case c.Word(i, "count") && i+1 < len(c.Args):
			i++
			if count, ok = command.ParseInt(c.Args[i]); !ok || count < 1 || count > math.MaxInt64/16 {
				c.Err("ERR COUNT must be > 0")
				return
			}
		case c.Word(i, "justid"):
			justID = true
		default:
			c.Err(command.ErrSyntax)
			return
		}
	}
	s, ok := needGroup(c)
	if !ok {
		return
	}
	c.NoEffect()
	cl := newClaimer(c, &s, &idsPart{args: c.Args, w: c.W})
	tries := min(count, autoClaimMost/autoClaimTries) * autoClaimTries
	count = min(count, autoClaimTakes)
	// The entries are looked at first, as what is claimed changes them.
	var due []stream.Pending
	var next stream.ID // stays 0-0 where nothing is left
	cl.g.EachPending(start, nil, func(e *stream.Pending) bool {
		if tries == 0 || int64(len(due)) >= count {
			next = e.ID
			return false
		}
		tries--
		if e.Consumer == 0 || idle <= 0 || c.Now-e.Time >= idle || !cl.there(e.ID) {
			due = append(due, *e)
		}
		return true
	})
	w := c.W
	w.Array(3)
	writeStreamID(w, next)
	at, n := w.DeferArray(), 0
	var deleted []stream.ID
	for i := range due {
		e := &due[i]
		if !cl.there(e.ID) {
			cl.drop(e)
			deleted = append(deleted, e.ID)
			continue
		}
		e.Time = c.Now
		if !justID {
			e.Count = nextCount(e.Count)
		}
		cl.take(e, justID)
		n++
	}
	w.SetArray(at, n)
	w.Array(len(deleted))
	for _, id := range deleted {
		writeStreamID(w, id)
	}
	cl.end()
}
