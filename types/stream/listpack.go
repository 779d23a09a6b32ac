package stream

import (
	"encoding/binary"
	"errors"
	"math"

	"kvd/types"
)

// A node as Redis keeps it, a listpack whose elements are (source: Redis's
// src/t_stream.c):
//
//	count of entries, count of deleted entries, count of fields, fields, 0
//	flags, milliseconds and number minus the master's, [count of fields,]
//	fields and values or values alone, count of the entry's elements
//
// The flags are 1 deleted, 2 the master's fields.
const (
	redisDeleted = 1
	redisSame    = 2
)

// EachNode calls f for the nodes in order, as Redis keeps them: the master ID
// and the listpack's elements, valid during the call.
func (s *Stream) EachNode(f func(master ID, p types.Packed)) {
	var p types.Packed
	for _, l := range s.dir.leaves {
		for ni := range l.nodes {
			p = l.appendPacked(p[:0], ni)
			f(l.nodes[ni].master, p)
		}
	}
}

func (l *leaf) appendPacked(p types.Packed, ni int) types.Packed {
	n := &l.nodes[ni]
	v := l.view(ni)
	p = appendPackedInt(p, int64(n.live))
	p = appendPackedInt(p, int64(n.dead))
	p = appendPackedInt(p, int64(v.fields))
	p = v.appendElems(p, v.first, v.fields)
	p = appendPackedInt(p, 0)
	for off := v.start; off < len(v.b); {
		it := v.item(off)
		at, elems, count := it.data, v.fields, v.fields+3
		p = appendPackedInt(p, int64(it.flags&(redisDeleted|redisSame)))
		p = appendPackedInt(p, int64(it.id.Ms-v.master.Ms))
		p = appendPackedInt(p, int64(it.id.Seq-v.master.Seq))
		if it.flags&flagSame == 0 {
			c, k := uvarint(v.b[at:])
			at += k
			p = appendPackedInt(p, int64(c))
			elems, count = 2*int(c), 2*int(c)+4
		}
		p = v.appendElems(p, at, elems)
		p = appendPackedInt(p, int64(count))
		off = it.end
	}
	return p
}

// The flags that ours and Redis's have in common are the same bits.
const _ = uint((redisDeleted - flagDeleted) | (redisSame - flagSame))

func (v *view) appendElems(p types.Packed, at, n int) types.Packed {
	for range n {
		k := types.BareLen(v.b[at:])
		p = appendBack(append(p, v.b[at:at+k]...), k)
		at += k
	}
	return p
}

// appendBack adds the length of an element, to be read backwards.
func appendBack(p types.Packed, n int) types.Packed {
	if n <= 127 {
		return append(p, byte(n))
	}
	flag := byte(0)
	for shift := 7 * (packedSize(n) - n - 1); shift >= 0; shift -= 7 {
		p = append(p, byte(n>>shift)&127|flag)
		flag = 128
	}
	return p
}

func appendPackedInt(p types.Packed, v int64) types.Packed {
	before := len(p)
	p = types.Packed(types.AppendBareInt(p, v))
	return append(p, byte(len(p)-before))
}

// ErrNode: a listpack is no node of a stream that could follow the others.
var ErrNode = errors.New("stream: damaged node")

// AddNode puts a node behind the others, from a listpack's elements that
// types.Packed.Check has passed; it verifies everything else. Counters, last ID
// and so on are for the caller to set.
func (s *Stream) AddNode(master ID, p types.Packed) error {
	r := packedReader{p: p}
	live, dead, fields := r.int(), r.int(), r.int()
	if r.bad || live < 0 || dead < 0 || fields < 0 || fields > int64(len(p)) || live > int64(len(p)) || dead > int64(len(p)) || live+dead == 0 {
		return ErrNode
	}
	if l := s.lastLeaf(); l != nil {
		if last := l.lastOf(len(l.nodes) - 1); !last.Less(master) {
			return ErrNode
		}
	}
	if live == 0 {
		// Redis leaves such a node where trimming by ID stops before a deleted
		// entry. It has nothing to tell.
		return nil
	}
	buf := make([]byte, 0, len(p))
	buf = binary.AppendUvarint(buf, uint64(fields))
	head := 7 + 2 + 2 + packedInt(fields) + 2
	for range fields {
		buf = r.copyElem(buf, &head)
	}
	if r.int() != 0 || r.bad {
		return ErrNode
	}
	start := len(buf)
	var lastLive ID
	// Deleted entries at the end, so far: where an entry of the same or a lower
	// ID follows, because XSETID of Redis 7.0 went back behind them, they go.
	type deletedItem struct {
		id   ID
		at   int
		head int
	}
	var tail []deletedItem
	var last ID
	var gotLive, gotDead, cut uint32
	for i := live + dead; i > 0 && !r.bad; i-- {
		flags, ms, seq := r.int(), uint64(r.int()), uint64(r.int())
		if flags < 0 || flags > redisDeleted|redisSame {
			return ErrNode
		}
		id := ID{master.Ms + ms, master.Seq + seq}
		if id.Ms < master.Ms || id.Less(master) || id.IsZero() { // no server has 0-0
			return ErrNode
		}
		if i < live+dead && !last.Less(id) {
			for n := len(tail); n > 0 && !tail[n-1].id.Less(id); n-- {
				buf, head, last = buf[:tail[n-1].at], tail[n-1].head, ID{}
				tail = tail[:n-1]
				gotDead--
				cut++
			}
			if len(tail) == 0 && (!last.IsZero() || len(buf) > start && !lastLive.Less(id)) {
				return ErrNode
			}
		}
		last = id
		if flags&redisDeleted != 0 {
			gotDead++
			tail = append(tail, deletedItem{id, len(buf), head})
		} else {
			gotLive++
			tail, lastLive = tail[:0], id
		}
		ours := uint64(flags)
		if seq != 0 {
			ours |= flagSeq
		}
		at := len(buf)
		buf = appendHead(append(buf, 0), ms, seq, ours)
		head += 2 + packedInt(int64(ms)) + packedInt(int64(seq))
		elems, count := fields, fields+3
		if flags&redisSame == 0 {
			n := r.int()
			if n < 0 || n > int64(len(p)) {
				return ErrNode
			}
			buf = binary.AppendUvarint(buf, uint64(n))
			head += packedInt(n)
			elems, count = 2*n, 2*n+4
		}
		for j := elems; j > 0 && !r.bad; j-- {
			buf = r.copyElem(buf, &head)
		}
		if r.int() != count {
			return ErrNode
		}
		head += packedInt(count)
		buf = closeItem(buf, at)
	}
	if r.bad || r.off != len(p) || int64(gotLive) != live || int64(gotDead+cut) != dead || len(buf) > math.MaxInt32 || head > math.MaxInt32 {
		return ErrNode
	}
	l := s.newNode(master, len(buf))
	l.buf = append(l.buf, buf...)
	s.closeNode(l, gotLive, gotDead, head)
	s.n += int(gotLive)
	return nil
}

// packedReader reads elements; bad: there was none where one had to be.
type packedReader struct {
	p   types.Packed
	off int
	bad bool
}

func (r *packedReader) int() int64 {
	if r.bad || r.off >= len(r.p) {
		r.bad = true
		return 0
	}
	e, end := r.p.AtEnd(r.off)
	if !e.IsInt() {
		r.bad = true
		return 0
	}
	r.off = end
	return e.I
}

// copyElem adds the next element without its length backwards, and to size what
// it takes with it.
func (r *packedReader) copyElem(dst []byte, size *int) []byte {
	if r.bad || r.off >= len(r.p) {
		r.bad = true
		return dst
	}
	end := r.p.EndOf(r.off)
	n := types.BareLen(r.p[r.off:])
	*size += end - r.off
	dst = append(dst, r.p[r.off:r.off+n]...)
	r.off = end
	return dst
}

// Settle is called once all of a file's nodes were added: it finds the first
// entry, and verifies that last is not before the last one.
func (s *Stream) Settle(last ID) error {
	if l := s.lastLeaf(); l != nil && last.Less(l.lastOf(len(l.nodes)-1)) {
		if live, _ := s.Last(); last.Less(live) {
			return ErrNode
		}
		s.cutTail(last)
	}
	s.last = last
	s.removed(true)
	return nil
}

// cutTail takes the deleted entries after an ID out of the last node: XSETID of
// Redis 7.0 may go back behind them.
func (s *Stream) cutTail(last ID) {
	l := s.ownLeaf(len(s.dir.leaves) - 1)
	ni := len(l.nodes) - 1
	n, v := &l.nodes[ni], l.view(ni)
	end := len(v.b)
	for off := v.start; off < len(v.b); {
		it := v.item(off)
		if last.Less(it.id) {
			end = min(end, off)
			n.dead--
		}
		off = it.end
	}
	n.size = uint32(end)
	l.buf = l.buf[:n.end()]
	n.packed = uint32(len(l.appendPacked(nil, ni)) + 7 + 4 - packedInt(int64(n.live)) - packedInt(int64(n.dead)))
}

// LastAny is the ID of the last entry that still takes memory, deleted or not.
func (s *Stream) LastAny() ID {
	if l := s.lastLeaf(); l != nil {
		return l.lastOf(len(l.nodes) - 1)
	}
	return ID{}
}
