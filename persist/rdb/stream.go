package rdb

import (
	"encoding/binary"
	"slices"

	"kvd/types"
	"kvd/types/stream"
)

// streamType is the type byte for a stream: the oldest one that keeps all of
// it. Only what Redis's have no room for, or a form that is not known, makes it
// one that kvd alone reads.
func (e *Encoder) streamType(s *stream.Stream) byte {
	if e.NoFieldDeadlines != 0 {
		return TypeStream2
	}
	if s.Idempotent() {
		return TypeStreamKvd
	}
	t := byte(TypeStream2)
	for _, g := range s.Groups() {
		if g.Nacked() > 0 {
			return TypeStreamKvd
		}
		for _, c := range g.Consumers() {
			if c.Active != c.Seen && !e.Streams19 {
				t = TypeStream3
			}
		}
	}
	return t
}

// StreamActive tells when the consumers of a stream were last active, where that is
// another time than they were last seen: a TypeStream2 has no room for it. nil: nowhere.
func StreamActive(s *stream.Stream) (b []byte) {
	differ := false
	for _, g := range s.Groups() {
		for _, c := range g.Consumers() {
			b = binary.AppendVarint(b, c.Active-c.Seen)
			differ = differ || c.Active != c.Seen
		}
	}
	if !differ {
		return nil
	}
	return b
}

// SetStreamActive gives the consumers of a stream that was just decoded the times of
// StreamActive; false: they are not of this stream, and nothing has changed.
func SetStreamActive(s *stream.Stream, b []byte) bool {
	var times []int64
	for len(b) > 0 {
		t, n := binary.Varint(b)
		if n <= 0 {
			return false
		}
		times, b = append(times, t), b[n:]
	}
	n := 0
	for _, g := range s.Groups() {
		n += len(g.Consumers())
	}
	if n != len(times) {
		return false
	}
	for _, g := range s.Groups() {
		for _, c := range g.Consumers() {
			c.Active, times = c.Seen+times[0], times[1:]
		}
	}
	return true
}

func appendID(dst []byte, id stream.ID) []byte {
	return AppendLength(AppendLength(dst, id.Ms), id.Seq)
}

// appendRawID adds an ID as a key of Redis's radix trees: 16 bytes, big endian.
func appendRawID(dst []byte, id stream.ID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, id.Ms), id.Seq)
}

func (e *Encoder) streamBody(dst []byte, s *stream.Stream) []byte {
	t := e.streamType(s)
	dst = AppendLength(dst, uint64(s.Nodes()))
	s.EachNode(func(master stream.ID, p types.Packed) {
		dst = appendRawID(append(dst, 16), master)
		dst = e.listpack(dst, p)
	})
	dst = AppendLength(dst, uint64(s.Len()))
	dst = appendID(dst, s.LastID())
	dst = appendID(dst, s.FirstID())
	dst = appendID(dst, s.MaxDeletedID())
	dst = AppendLength(dst, s.Added())
	dst = AppendLength(dst, uint64(len(s.Groups())))
	for _, g := range s.Groups() {
		dst = e.groupBody(dst, t, g)
	}
	if t != TypeStreamKvd {
		return dst
	}
	for _, g := range s.Groups() {
		order := g.Due(-1<<63, g.Nacked(), nil)
		dst = AppendLength(dst, uint64(len(order)))
		for i := range order {
			dst = e.spill(appendRawID(dst, order[i].ID))
		}
	}
	if !s.Idempotent() {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	for _, n := range [2]func() (uint64, uint64){
		func() (uint64, uint64) { a, b := s.IdmpConfig(); return uint64(a), uint64(b) },
		s.IdmpCounts,
	} {
		a, b := n()
		dst = AppendLength(AppendLength(dst, a), b)
	}
	producers := 0
	s.EachProducer(func(string, []stream.Iid) { producers++ })
	dst = AppendLength(dst, uint64(producers))
	s.EachProducer(func(pid string, iids []stream.Iid) {
		dst = e.AppendString(dst, []byte(pid))
		dst = AppendLength(dst, uint64(len(iids)))
		for i := range iids {
			dst = e.AppendString(dst, []byte(iids[i].Iid))
			dst = appendID(dst, iids[i].ID)
			dst = binary.LittleEndian.AppendUint64(dst, uint64(iids[i].At))
		}
	})
	return dst
}

func (e *Encoder) groupBody(dst []byte, t byte, g *stream.Group) []byte {
	dst = e.AppendString(dst, []byte(g.Name))
	dst = appendID(dst, g.Last)
	dst = AppendLength(dst, uint64(g.Read))
	dst = AppendLength(dst, uint64(g.PendingLen()))
	g.EachPending(stream.ID{}, nil, func(p *stream.Pending) bool {
		at := p.Time
		if p.Consumer == 0 {
			at = 0
		}
		dst = binary.LittleEndian.AppendUint64(appendRawID(dst, p.ID), uint64(at))
		dst = e.spill(AppendLength(dst, p.Count))
		return true
	})
	// Forms that know no entries that are nobody's have them belong to a
	// consumer without a name.
	nobody := t != TypeStreamKvd && g.Nacked() > 0
	named := slices.ContainsFunc(g.Consumers(), func(c *stream.Consumer) bool { return c.Name == "" })
	n := len(g.Consumers())
	if nobody && !named {
		n++
	}
	dst = AppendLength(dst, uint64(n))
	one := func(name string, seen, active int64, pending func(p *stream.Pending) bool) {
		dst = e.AppendString(dst, []byte(name))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(seen))
		if t != TypeStream2 {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(active))
		}
		count := 0
		g.EachPending(stream.ID{}, nil, func(p *stream.Pending) bool {
			if pending(p) {
				count++
			}
			return true
		})
		dst = AppendLength(dst, uint64(count))
		g.EachPending(stream.ID{}, nil, func(p *stream.Pending) bool {
			if pending(p) {
				dst = e.spill(appendRawID(dst, p.ID))
			}
			return true
		})
	}
	if nobody && !named {
		one("", 0, 0, func(p *stream.Pending) bool { return p.Consumer == 0 })
	}
	for _, c := range g.Consumers() {
		if nobody && c.Name == "" {
			one(c.Name, c.Seen, c.Active, func(p *stream.Pending) bool { return p.Consumer == 0 || p.Consumer == c.Number() })
			continue
		}
		dst = e.AppendString(dst, []byte(c.Name))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(c.Seen))
		if t != TypeStream2 {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(c.Active))
		}
		dst = AppendLength(dst, uint64(c.Pending))
		g.EachPending(stream.ID{}, c, func(p *stream.Pending) bool {
			dst = e.spill(appendRawID(dst, p.ID))
			return true
		})
	}
	return dst
}

func (r *Reader) streamID() stream.ID { return stream.ID{Ms: r.Length(), Seq: r.Length()} }

func (r *Reader) rawID() (id stream.ID) {
	if b := r.Next(16); b != nil {
		id = stream.ID{Ms: binary.BigEndian.Uint64(b), Seq: binary.BigEndian.Uint64(b[8:])}
	}
	return id
}

func decodeStream(r *Reader, t byte, _ *Limits) Value {
	s := stream.New()
	for n := r.Length(); n > 0 && r.err == nil; n-- {
		key := r.String()
		if r.err != nil {
			break
		}
		if len(key) != 16 {
			r.damaged("Stream node key entry is not the size of a stream ID")
			break
		}
		master := stream.ID{Ms: binary.BigEndian.Uint64(key), Seq: binary.BigEndian.Uint64(key[8:])}
		if p := r.packed("Stream", false); r.err == nil && s.AddNode(master, p) != nil {
			r.unsound("Stream listpack")
		}
	}
	length, last := r.Length(), r.streamID()
	if r.err == nil && (length != uint64(s.Len()) || s.Settle(last) != nil) {
		r.damaged("Stream length inconsistent with rax entries")
	}
	s.SetAdded(length)
	if t != TypeStream {
		r.streamID() // the first entry, which the nodes tell, too
		s.SetMaxDeleted(r.streamID())
		s.SetAdded(r.Length())
	}
	for n := r.Length(); n > 0 && r.err == nil; n-- {
		decodeGroup(r, t, s)
	}
	if t == TypeStreamKvd {
		decodeStreamExtra(r, s)
	}
	return Value{Type: types.TStream, Enc: types.EncObject, Obj: s}
}

func decodeGroup(r *Reader, t byte, s *stream.Stream) {
	name := slices.Clone(r.String())
	last := r.streamID()
	read := s.Distance(last)
	if t != TypeStream {
		read = int64(r.Length())
	}
	if r.err != nil {
		return
	}
	if read < stream.ReadUnknown {
		r.damaged("Stream group's number of entries read")
		return
	}
	g := s.AddGroup(name, last, read)
	if g == nil {
		r.damaged("Duplicated consumer group name")
		return
	}
	var pending []stream.Pending
	for n := r.Length(); n > 0 && r.err == nil; n-- {
		p := stream.Pending{ID: r.rawID(), Time: int64(r.Uint64()), Count: r.Length()}
		if k := len(pending); k > 0 && !pending[k-1].ID.Less(p.ID) {
			r.damaged("Duplicated global PEL entry loading stream consumer group")
		}
		pending = append(pending, p)
	}
	for n := r.Length(); n > 0 && r.err == nil; n-- {
		name := r.String()
		if r.err == nil && g.Consumer(name) != nil {
			r.damaged("Duplicate stream consumer detected")
		}
		if r.err != nil {
			return
		}
		c := s.AddConsumer(g, name, 0)
		c.Seen = int64(r.Uint64())
		c.Active = c.Seen
		if t == TypeStream3 || t == TypeStreamKvd {
			c.Active = int64(r.Uint64())
		}
		for k := r.Length(); k > 0 && r.err == nil; k-- {
			id := r.rawID()
			i, ok := slices.BinarySearchFunc(pending, id, func(p stream.Pending, id stream.ID) int { return p.ID.Compare(id) })
			switch {
			case r.err != nil:
			case !ok:
				r.damaged("Consumer entry not found in group global PEL")
			case pending[i].Consumer != 0:
				r.damaged("Duplicated consumer PEL entry loading a stream consumer group")
			default:
				pending[i].Consumer = c.Number()
			}
		}
	}
	for i := range pending {
		if r.err != nil {
			return
		}
		if pending[i].Consumer == 0 && t != TypeStreamKvd {
			r.damaged("Stream CG PEL entry without consumer")
			return
		}
		s.Assign(g, pending[i])
	}
}

// decodeStreamExtra reads what only TypeStreamKvd has.
func decodeStreamExtra(r *Reader, s *stream.Stream) {
	for _, g := range s.Groups() {
		n := r.Length()
		if r.err == nil && n != uint64(g.Nacked()) {
			r.damaged("Stream group's entries that are nobody's")
		}
		for ; n > 0 && r.err == nil; n-- {
			id := r.rawID()
			if p := g.Pending(id); r.err == nil && (p == nil || p.Consumer != 0 || p.Time != 0) {
				r.damaged("Stream group's entries that are nobody's")
			} else if r.err == nil {
				s.Release(g, id, p.Count)
			}
		}
	}
	if r.Byte() == 0 || r.err != nil {
		return
	}
	duration, most := r.Length(), r.Length()
	added, duplicates := r.Length(), r.Length()
	if duration > 1<<40 || most > 1<<40 {
		r.damaged("Stream's idempotent producers")
	}
	if r.err != nil {
		return
	}
	s.SetIdmpConfig(int64(duration), int64(most))
	s.SetIdmpCounts(added, duplicates)
	for n := r.Length(); n > 0 && r.err == nil; n-- {
		pid := slices.Clone(r.String())
		for k := r.Length(); k > 0 && r.err == nil; k-- {
			iid := slices.Clone(r.String())
			id, at := r.streamID(), int64(r.Uint64())
			if r.err == nil {
				s.IdmpLoad(pid, iid, id, at)
			}
		}
	}
}

// skipStream passes over the body of a stream.
func (r *Reader) skipStream(t byte) {
	lengths := func(n int) {
		for range n {
			r.Length()
		}
	}
	r.skipTuples(0, 2, 0)
	lengths(3)
	if t != TypeStream {
		lengths(5)
	}
	groups := r.Length()
	for n := groups; n > 0 && r.err == nil; n-- {
		r.skipString()
		lengths(2)
		if t != TypeStream {
			lengths(1)
		}
		for k := r.Length(); k > 0 && r.err == nil; k-- {
			r.Next(24)
			r.Length()
		}
		for k := r.Length(); k > 0 && r.err == nil; k-- {
			r.skipString()
			r.Next(8)
			if t == TypeStream3 || t == TypeStreamKvd {
				r.Next(8)
			}
			for m := r.Length(); m > 0 && r.err == nil; m-- {
				r.Next(16)
			}
		}
	}
	if t != TypeStreamKvd {
		return
	}
	for n := groups; n > 0 && r.err == nil; n-- {
		for k := r.Length(); k > 0 && r.err == nil; k-- {
			r.Next(16)
		}
	}
	if r.Byte() == 0 || r.err != nil {
		return
	}
	lengths(4)
	for n := r.Length(); n > 0 && r.err == nil; n-- {
		r.skipString()
		for k := r.Length(); k > 0 && r.err == nil; k-- {
			r.skipString()
			lengths(2)
			r.Next(8)
		}
	}
}
