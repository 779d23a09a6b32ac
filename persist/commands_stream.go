package persist

import (
	"maps"
	"slices"

	"kvd/types/stream"
)

// The commands that make a stream are those of Redis: XADD for each entry,
// XSETID for the counters, XGROUP for groups and consumers, XCLAIM and XNACK for
// pending entries. Those two know only entries that are there. So an entry that
// is pending and was deleted is added, claimed, and deleted once more.

// stream writes the commands that make a stream.
func (c *commander) stream(key []byte, s *stream.Stream) {
	gone := danglingOf(s)
	before, after := 0, []stream.ID(nil) // gone: those before the first entry, and the others
	for i, id := range gone {
		if s.Len() > 0 && s.FirstID().Less(id) {
			after = gone[i:]
			break
		}
		before++
	}
	c.entries(key, s, gone)
	if s.Len()+len(gone) == 0 {
		id := s.LastID()
		if id.IsZero() {
			id.Seq = 1
		}
		c.words("XADD", key, "MAXLEN", "0", id, "x", "y")
	}
	c.setID(key, s, max(s.Added(), uint64(s.Len()+len(gone))), stream.ID{})
	for _, g := range s.Groups() {
		c.words("XGROUP", "CREATE", key, g.Name, g.Last, "ENTRIESREAD", g.Read)
		for _, consumer := range g.Consumers() {
			if consumer.Pending == 0 {
				c.words("XGROUP", "CREATECONSUMER", key, g.Name, consumer.Name)
				continue
			}
			g.EachPending(stream.ID{}, consumer, func(p *stream.Pending) bool {
				c.words("XCLAIM", key, g.Name, consumer.Name, "0", p.ID, "TIME", p.Time, "RETRYCOUNT", int64(p.Count), "JUSTID", "FORCE")
				return true
			})
		}
		for _, p := range g.Due(-1<<63, g.Nacked(), nil) {
			c.words("XNACK", key, g.Name, "FAIL", "IDS", "1", p.ID, "RETRYCOUNT", int64(p.Count), "FORCE")
		}
	}
	if before > 0 {
		if s.Len() == 0 {
			c.words("XTRIM", key, "MAXLEN", "=", "0")
		} else {
			c.words("XTRIM", key, "MINID", "=", s.FirstID())
		}
	}
	for _, id := range after {
		c.words("XDEL", key, id)
	}
	c.setID(key, s, s.Added(), s.MaxDeletedID())
	if duration, most := s.IdmpConfig(); duration > 0 && most > 0 {
		c.words("XCFGSET", key, "IDMP-DURATION", duration, "IDMP-MAXSIZE", most)
	} else if duration > 0 {
		c.words("XCFGSET", key, "IDMP-DURATION", duration)
	} else if most > 0 {
		c.words("XCFGSET", key, "IDMP-MAXSIZE", most)
	}
	s.EachProducer(func(pid string, iids []stream.Iid) {
		for i := range iids {
			c.words("XIDMPRECORD", key, pid, iids[i].Iid, iids[i].ID)
		}
	})
}

func (c *commander) setID(key []byte, s *stream.Stream, added uint64, deleted stream.ID) {
	c.words("XSETID", key, s.LastID(), "ENTRIESADDED", int64(added), "MAXDELETEDID", deleted)
}

// danglingOf are the IDs, in order, that are pending in some group and not in
// the stream.
func danglingOf(s *stream.Stream) []stream.ID {
	seen := make(map[stream.ID]bool)
	for _, g := range s.Groups() {
		it := s.Seek(stream.ID{})
		more := it.Next()
		g.EachPending(stream.ID{}, nil, func(p *stream.Pending) bool {
			for more && it.ID.Less(p.ID) {
				more = it.Next()
			}
			if (!more || it.ID != p.ID) && !s.LastID().Less(p.ID) {
				seen[p.ID] = true
			}
			return true
		})
	}
	return slices.SortedFunc(maps.Keys(seen), stream.ID.Compare)
}

// entries adds the entries, and with them others of which only the ID matters.
func (c *commander) entries(key []byte, s *stream.Stream, others []stream.ID) {
	other := func(until stream.ID) {
		for len(others) > 0 && others[0].Less(until) {
			c.words("XADD", key, others[0], "x", "y")
			others = others[1:]
		}
	}
	it := s.Seek(stream.ID{})
	for it.Next() {
		other(it.ID)
		c.flush()
		c.w.Array(3 + 2*it.Fields)
		c.w.BulkString("XADD")
		c.w.Bulk(key)
		c.id(it.ID)
		for range it.Fields {
			f, v := it.Pair()
			c.elem(f)
			c.elem(v)
		}
	}
	if len(others) > 0 {
		last, _ := others[len(others)-1].Next()
		other(last)
	}
}

func (c *commander) id(id stream.ID) {
	c.num = id.Append(c.num[:0])
	c.w.Bulk(c.num)
}

// words writes a command of strings, numbers and IDs.
func (c *commander) words(words ...any) {
	c.flush()
	c.w.Array(len(words))
	for _, w := range words {
		switch w := w.(type) {
		case string:
			c.w.BulkString(w)
		case []byte:
			c.w.Bulk(w)
		case int64:
			c.w.BulkInt(w)
		case stream.ID:
			c.id(w)
		}
	}
}
