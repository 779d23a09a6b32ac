package stream

import (
	"kvd/command"
	"kvd/resp/wire"
	"kvd/types/stream"
)

// XINFO.

func streamInfoRows() []*command.Row {
	return []*command.Row{{Name: "xinfo", Arity: -2, Since: "5.0.0", Group: "stream", Summary: "Commands that tell about streams.", Complexity: "Depends on the subcommand.",
		Sub: []*command.Row{
			{Name: "consumers", Fn: cmdXInfoConsumers, Arity: 4, Flags: command.ReadOnly | command.CountsReads, First: 2, Last: 2, Step: 1, KeyFlags: "RO access",
				Since: "5.0.0", Summary: "Tells about the consumers of a group.", Complexity: "O(N) in the number of consumers", Syntax: "key group", Tips: "nondeterministic_output"},
			{Name: "groups", Fn: cmdXInfoGroups, Arity: 3, Flags: command.ReadOnly | command.CountsReads, First: 2, Last: 2, Step: 1, KeyFlags: "RO access",
				Since: "5.0.0", Summary: "Tells about the groups of a stream.", Complexity: "O(N) in the number of groups", Syntax: "key"},
			command.HelpRow("5.0.0",
				"CONSUMERS <key> <groupname>",
				"    Tell about the consumers of a group.",
				"GROUPS <key>",
				"    Tell about the groups of a stream.",
				"STREAM <key> [FULL [COUNT <count>]",
				"    Tell about a stream."),
			{Name: "stream", Fn: cmdXInfoStream, Arity: -3, Flags: command.ReadOnly | command.CountsReads, First: 2, Last: 2, Step: 1, KeyFlags: "RO access",
				Since: "5.0.0", Summary: "Tells about a stream.", Complexity: "O(1); O(N) in the numbers of entries and pending entries with FULL", Syntax: "key [FULL [COUNT count]]"},
		}}}
}

// infoStream is the stream that XINFO is about, nil after a reply that there is
// none.
func infoStream(c *command.Ctx) *stream.Stream {
	s, ok := readStream(c, &c.Keys[0])
	if ok && s == nil {
		c.Err(command.ErrNoKey)
	}
	return s
}

func cmdXInfoConsumers(c *command.Ctx) {
	s := infoStream(c)
	if s == nil {
		return
	}
	g := s.Group(c.Args[3])
	if g == nil {
		c.Err("NOGROUP No such consumer group '" + command.Quote(c.Args[3]) + "' for key name '" + command.Quote(c.Args[2]) + "'")
		return
	}
	w := c.W
	w.Array(len(g.Consumers()))
	for _, consumer := range g.Consumers() {
		inactive := int64(-1)
		if consumer.Active != -1 {
			inactive = max(c.Now-consumer.Active, 0)
		}
		w.Map(4)
		w.BulkString("name")
		w.BulkString(consumer.Name)
		w.BulkString("pending")
		w.Int(int64(consumer.Pending))
		w.BulkString("idle")
		w.Int(max(c.Now-consumer.Seen, 0))
		w.BulkString("inactive")
		w.Int(inactive)
	}
}

// writeProgress replies with how far a group is.
func writeProgress(w *wire.Writer, s *stream.Stream, g *stream.Group) {
	w.BulkString("last-delivered-id")
	writeStreamID(w, g.Last)
	w.BulkString("entries-read")
	if g.Read == stream.ReadUnknown {
		w.Null()
	} else {
		w.Int(g.Read)
	}
	w.BulkString("lag")
	if lag, ok := s.Lag(g); ok {
		w.Int(int64(lag))
	} else {
		w.Null()
	}
}

// writeNacked replies with the number of a group's entries that are nobody's.
// Clients that know no such field see it where there are some only.
func writeNacked(w *wire.Writer, g *stream.Group) {
	if g.Nacked() > 0 {
		w.BulkString("nacked-count")
		w.Int(int64(g.Nacked()))
	}
}

// nackedFields is how many fields writeNacked writes.
func nackedFields(g *stream.Group) int { return min(g.Nacked(), 1) }

func cmdXInfoGroups(c *command.Ctx) {
	s := infoStream(c)
	if s == nil {
		return
	}
	w := c.W
	w.Array(len(s.Groups()))
	for _, g := range s.Groups() {
		w.Map(6 + nackedFields(g))
		w.BulkString("name")
		w.BulkString(g.Name)
		w.BulkString("consumers")
		w.Int(int64(len(g.Consumers())))
		w.BulkString("pending")
		w.Int(int64(g.PendingLen()))
		writeProgress(w, s, g)
		writeNacked(w, g)
	}
}

func cmdXInfoStream(c *command.Ctx) {
	full, count := false, int64(10)
	switch {
	case len(c.Args) == 3:
	case len(c.Args) != 4 && len(c.Args) != 6, !c.Word(3, "full"), len(c.Args) == 6 && !c.Word(4, "count"):
		if infoStream(c) != nil { // Redis looks at the key first
			c.UnknownForm()
		}
		return
	default:
		full = true
	}
	s := infoStream(c)
	if s == nil {
		return
	}
	if len(c.Args) == 6 {
		var ok bool
		if count, ok = c.Int(5); !ok {
			return
		}
		if count < 0 {
			count = 10
		}
	}
	i := streamInfo{w: c.W, s: s, now: c.Now}
	i.since, _ = idmpLimits(c, s)
	i.duration, i.most = idmpConfig(c, s)
	if full && (count == 0 || count > command.LongRead/10) && command.LongToRead(s, s.Len(), s.Len()) {
		i.s = s.Copy().(*stream.Stream)
		c.Aside(func(w *wire.Writer) {
			defer command.FreeAll(i.s)
			i.w = w
			i.write(true, count)
		})
		return
	}
	i.write(full, count)
}

// idmpConfig is how long, and how many, messages of producers are remembered.
func idmpConfig(c *command.Ctx, s *stream.Stream) (duration, most int64) {
	since, most := idmpLimits(c, s)
	return (c.Now - since) / 1000, most
}

// streamInfo writes the reply of XINFO STREAM.
type streamInfo struct {
	w              *wire.Writer
	s              *stream.Stream
	since, now     int64
	duration, most int64
}

func (i *streamInfo) write(full bool, count int64) {
	w, s := i.w, i.s
	// Who knows RESP3 looks fields up by name. A client of RESP2 may count on the
	// fields that older servers have, in their order: there what is told of idempotent
	// producers comes only where there are some.
	idmp := w.Proto >= 3 || s.Idempotent()
	fields := 10
	if full {
		fields = 9
	}
	if idmp {
		fields += 6
	}
	w.Map(fields)
	num := func(name string, n int64) { w.BulkString(name); w.Int(n) }
	id := func(name string, id stream.ID) { w.BulkString(name); writeStreamID(w, id) }
	num("length", int64(s.Len()))
	// Redis's numbers: a key for each node, and about as many inner nodes, of which
	// kvd has none.
	num("radix-tree-keys", int64(s.Nodes()))
	num("radix-tree-nodes", int64(s.Nodes())+1)
	id("last-generated-id", s.LastID())
	id("max-deleted-entry-id", s.MaxDeletedID())
	num("entries-added", int64(s.Added()))
	id("recorded-first-entry-id", s.FirstID())
	if idmp {
		pids, iids := s.IdmpTracked(i.since)
		added, duplicates := s.IdmpCounts()
		num("idmp-duration", i.duration)
		num("idmp-maxsize", i.most)
		num("pids-tracked", int64(pids))
		num("iids-tracked", int64(iids))
		num("iids-added", int64(added))
		num("iids-duplicates", int64(duplicates))
	}
	if full {
		w.BulkString("entries")
		r := streamRange{to: stream.MaxID, count: count}
		if count == 0 {
			r.count = -1
		}
		r.write(w, s)
		i.groups(count)
		return
	}
	num("groups", int64(len(s.Groups())))
	w.BulkString("first-entry")
	if it := s.Seek(stream.ID{}); it.Next() {
		writeEntry(w, &it)
	} else {
		w.Null()
	}
	w.BulkString("last-entry")
	if it := s.SeekBack(stream.MaxID); it.Prev() {
		writeEntry(w, &it)
	} else {
		w.Null()
	}
}

func (i *streamInfo) groups(count int64) {
	w := i.w
	w.BulkString("groups")
	w.Array(len(i.s.Groups()))
	for _, g := range i.s.Groups() {
		w.Map(7 + nackedFields(g))
		w.BulkString("name")
		w.BulkString(g.Name)
		writeProgress(w, i.s, g)
		w.BulkString("pel-count")
		w.Int(int64(g.PendingLen()))
		w.BulkString("pending")
		i.pending(g, nil, count)
		w.BulkString("consumers")
		w.Array(len(g.Consumers()))
		for _, consumer := range g.Consumers() {
			w.Map(5)
			w.BulkString("name")
			w.BulkString(consumer.Name)
			w.BulkString("seen-time")
			w.Int(consumer.Seen)
			w.BulkString("active-time")
			w.Int(consumer.Active)
			w.BulkString("pel-count")
			w.Int(int64(consumer.Pending))
			w.BulkString("pending")
			i.pending(g, consumer, count)
		}
		writeNacked(w, g)
	}
}

// pending replies with pending entries: of one consumer, without its name, or of
// all.
func (i *streamInfo) pending(g *stream.Group, of *stream.Consumer, count int64) {
	w := i.w
	at, n := w.DeferArray(), int64(0)
	g.EachPending(stream.ID{}, of, func(e *stream.Pending) bool {
		time := e.Time
		if e.Consumer == 0 {
			time = 0
		}
		if of == nil {
			w.Array(4)
			writeStreamID(w, e.ID)
			if owner := g.Owner(e); owner != nil {
				w.BulkString(owner.Name)
			} else {
				w.BulkString("")
			}
		} else {
			w.Array(3)
			writeStreamID(w, e.ID)
		}
		w.Int(time)
		w.Int(int64(e.Count))
		n++
		return n != count
	})
	w.SetArray(at, int(n))
}
