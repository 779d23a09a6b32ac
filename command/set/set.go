package set

import (
	"math"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// SADD, SCARD, SISMEMBER, SMEMBERS, SMISMEMBER, SMOVE, SPOP, SRANDMEMBER, SREM,
// SSCAN. Unions and their kin are in set_algebra.go.
//
// Effects: what SPOP chose is journaled as the removal of just these members,
// or of the key; the others lead to the same contents wherever they are
// replayed.

func setRows() []*command.Row {
	return []*command.Row{
		{Name: "sadd", Fn: cmdSAdd, Arity: -3, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW insert", MemberAt: 2,
			Since: "1.0.0", Group: "set", Summary: "Adds members to a set, creating it where there is none.", Complexity: "O(1) for each member", Syntax: "key member [member ...]"},
		{Name: "scard", Fn: cmdSCard, Arity: 2, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO",
			Since: "1.0.0", Group: "set", Summary: "Returns the number of members of a set.", Complexity: "O(1)", Syntax: "key"},
		{Name: "sismember", Fn: cmdSIsMember, Arity: 3, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO", MemberAt: 2,
			Since: "1.0.0", Group: "set", Summary: "Tells whether something is a member of a set.", Complexity: "O(1)", Syntax: "key member"},
		{Name: "smembers", Fn: cmdSMembers, Arity: 2, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "1.0.0", Group: "set", Summary: "Returns all members of a set.", Complexity: "O(N) in the number of members", Syntax: "key", Tips: "nondeterministic_output_order"},
		{Name: "smismember", Fn: cmdSMIsMember, Arity: -3, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access", MemberAt: 2,
			Since: "6.2.0", Group: "set", Summary: "Tells of several things whether they are members of a set.", Complexity: "O(N) in the number of things asked for", Syntax: "key member [member ...]"},
		{Name: "smove", Fn: cmdSMove, Arity: 4, Flags: command.Write | command.Fast, First: 1, Last: 2, Step: 1, KeyFlags: "RW access delete; RW insert", MemberAt: 3,
			Since: "1.0.0", Group: "set", Summary: "Moves a member from a set to a set.", Complexity: "O(1)", Syntax: "source destination member"},
		{Name: "spop", Fn: cmdSPop, Arity: -2, Flags: command.Write | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access delete",
			Since: "1.0.0", Group: "set", Summary: "Removes random members from a set and returns them.", Complexity: "O(N) in the number of members returned",
			Syntax: "key [count]", Tips: "nondeterministic_output"},
		{Name: "srandmember", Fn: cmdSRandMember, Arity: -2, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "1.0.0", Group: "set", Summary: "Returns random members of a set.", Complexity: "O(N) in the number of members returned",
			Syntax: "key [count]", Tips: "nondeterministic_output"},
		{Name: "srem", Fn: cmdSRem, Arity: -3, Flags: command.Write | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW delete", MemberAt: 2,
			Since: "1.0.0", Group: "set", Summary: "Removes members from a set.", Complexity: "O(1) for each member", Syntax: "key member [member ...]"},
		{Name: "sscan", Fn: cmdSScan, Arity: -3, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "2.8.0", Group: "set", Summary: "Goes through the members of a set step by step.", Complexity: "O(1) for each call, O(N) for all",
			Syntax: "key cursor [MATCH pattern] [COUNT count]", Tips: "nondeterministic_output"},
	}
}

var wordSRem = []byte("SREM")

const (
	// selemMax is more than an element of a packed set takes besides the bytes
	// of the member, and more than an integer.
	selemMax = 16
	// setBufMin is the least memory that packed sets grow in: enough for most
	// of them, even where every integer becomes four times as wide.
	setBufMin = 8 << 10
	// srandomMax is the most members that SRANDMEMBER returns where they may
	// come again. Redis has no such limit, and runs out of memory instead.
	srandomMax = 1 << 24
	// sremMembers is how many members one SREM of SPOP's effects has.
	sremMembers = 1000
)

// openSet is edit for a set that members will be added to. A packed one that
// may not find room for them in its entry is worked on in a buffer, so that it
// need not allocate.
func openSet(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry, s *types.Set, members [][]byte) command.Editing {
	was := c.Open(k, e, s)
	enc, packed, obj := s.Stored()
	if obj != nil {
		return was
	}
	room := 0
	for _, m := range members {
		if room += len(m) + selemMax; room > keyspace.InlineMax {
			return was // it outgrows the packed forms on the way
		}
	}
	if cap(packed)-len(packed) >= room {
		return was
	}
	v := &c.Values().Set
	if need := len(packed) + room; cap(v.Buf) < need {
		v.Buf = make([]byte, max(need, setBufMin))
	}
	s.Load(enc, append(v.Buf[:0], packed...), nil)
	return was
}

// closeSet keeps a set from which something was removed; event is the keyspace
// event.
func closeSet(c *command.Ctx, k *keyspace.Key, was command.Editing, s *types.Set, event string) {
	n := s.Len()
	c.Store(k, was, s, types.TSet, n == 0)
	c.Notify('s', event, k)
	if n == 0 {
		c.Notify('g', "del", k)
	}
}

func cmdSAdd(c *command.Ctx) {
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TSet, &e) {
		return
	}
	n := addMembers(c, k, &e, c.ScratchSet(), c.Args[2:])
	if n > 0 {
		c.Dirty += n
		c.Notify('s', "sadd", k)
	}
	c.W.Int(int64(n))
}

// addMembers adds members to the set or the nothing that an entry holds, and
// returns how many were new.
func addMembers(c *command.Ctx, k *keyspace.Key, e *keyspace.Entry, s *types.Set, members [][]byte) int {
	was := openSet(c, k, e, s, members)
	s.Expect(members[0], len(members))
	n := 0
	for _, m := range members {
		if s.Add(m) {
			n++
		}
	}
	if n > 0 {
		c.Store(k, was, s, types.TSet, false)
	} else {
		c.Unchanged(k, was, s)
	}
	return n
}

func cmdSRem(c *command.Ctx) {
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TSet, &e) {
		return
	}
	if !e.Exists() {
		c.W.Int(0)
		return
	}
	s := c.ScratchSet()
	was := c.Open(k, &e, s)
	n := 0
	for _, m := range c.Args[2:] {
		if s.Remove(m) {
			n++
		}
	}
	if n > 0 {
		closeSet(c, k, was, s, "srem")
		c.Dirty += n
	} else {
		c.Unchanged(k, was, s)
	}
	c.W.Int(int64(n))
}

func cmdSMove(c *command.Ctx) {
	src, dst := &c.Keys[0], &c.Keys[1]
	d := c.Lookup(dst) // first, as this may remove what has expired
	e := c.Lookup(src)
	switch {
	case !e.Exists():
		c.W.Int(0)
		return
	case e.Type() != types.TSet, d.Exists() && d.Type() != types.TSet:
		c.Err(command.ErrWrongType)
		return
	}
	member := c.Args[3:4]
	s := c.ScratchSet()
	c.Load(&e, s)
	if !s.Has(member[0]) {
		c.W.Int(0)
		return
	}
	c.W.Int(1)
	if string(src.B) == string(dst.B) {
		return
	}
	was := c.Open(src, &e, s)
	s.Remove(member[0])
	closeSet(c, src, was, s, "srem")
	c.Dirty++

	d = c.LookupNoTouch(dst)
	if addMembers(c, dst, &d, s, member) > 0 {
		c.Dirty++
		c.Notify('s', "sadd", dst)
	}
}

func cmdSCard(c *command.Ctx) {
	s, ok := c.ReadSet(&c.Keys[0])
	switch {
	case !ok:
	case s == nil:
		c.W.Int(0)
	default:
		c.W.Int(int64(s.Len()))
	}
}

// replyMember replies with 1 for a member of a set, which may be nil, else 0.
func replyMember(c *command.Ctx, s *types.Set, m []byte) {
	if s != nil && s.Has(m) {
		c.W.Int(1)
	} else {
		c.W.Int(0)
	}
}

func cmdSIsMember(c *command.Ctx) {
	if s, ok := c.ReadSet(&c.Keys[0]); ok {
		replyMember(c, s, c.Args[2])
	}
}

func cmdSMIsMember(c *command.Ctx) {
	s, ok := c.ReadSet(&c.Keys[0])
	if !ok {
		return
	}
	c.W.Array(len(c.Args) - 2)
	for _, m := range c.Args[2:] {
		replyMember(c, s, m)
	}
}

func cmdSMembers(c *command.Ctx) {
	s, ok := c.ReadSet(&c.Keys[0])
	switch {
	case !ok:
	case s == nil:
		c.W.Set(0)
	default:
		replyAll(c, s)
	}
}

// replyAll replies with all members, those of a big set in the background.
func replyAll(c *command.Ctx, s *types.Set) {
	n := s.Len()
	if _, _, obj := s.Stored(); !command.LongToRead(obj, n, n) {
		replyMembers(c.W, s)
		return
	}
	v := command.ViewOf(s)
	c.Aside(func(w *wire.Writer) {
		defer v.Free()
		var s types.Set
		v.Load(&s)
		replyMembers(w, &s)
	})
}

func replyMembers(w *wire.Writer, s *types.Set) {
	w.Set(s.Len())
	s.Each(func(m types.Elem) bool { command.WriteElem(w, m); return true })
}

func cmdSPop(c *command.Ctx) {
	if len(c.Args) > 3 {
		c.Err(command.ErrSyntax)
		return
	}
	if len(c.Args) == 3 {
		popMembers(c)
		return
	}
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TSet, &e) {
		return
	}
	if !e.Exists() {
		c.W.Null()
		return
	}
	s := c.ScratchSet()
	was := c.Open(k, &e, s)
	m := s.Pop(c.Scratch[:0])
	command.WriteElem(c.W, m)
	if c.Journaling() {
		c.Effect(wordSRem, k.B, m.Append(nil))
	}
	if !m.IsInt() && cap(m.S) <= command.ListScratchMax {
		c.Scratch = m.S[:0]
	}
	closeSet(c, k, was, s, "spop")
	c.Dirty++
}

// popMembers is SPOP with a count.
func popMembers(c *command.Ctx) {
	count, ok := command.ParseInt(c.Args[2])
	if !ok || count < 0 {
		c.Err(command.ErrNotPositive)
		return
	}
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TSet, &e) {
		return
	}
	if !e.Exists() || count == 0 {
		c.W.Set(0)
		return
	}
	s := c.ScratchSet()
	c.Load(&e, s)
	size := s.Len()
	if min(count, int64(size)) > command.LongWrite && c.Beside() {
		return
	}
	if count >= int64(size) {
		c.CountRead(k, &e) // which Redis reads like SMEMBERS then
		replyAll(c, s)
		c.Notify('s', "spop", k)
		c.Delete(k)
		c.Notify('g', "del", k)
		c.Effect(command.WordDel, k.B)
		c.Dirty += size
		return
	}
	n := int(count)
	was := c.Open(k, &e, s)
	r := removal{c: c, key: k.B, left: n}
	c.W.Set(n)
	s.PopN(n, func(m types.Elem) {
		command.WriteElem(c.W, m)
		r.add(m)
	})
	closeSet(c, k, was, s, "spop")
	c.Dirty += n
}

// removal journals members that were removed, some in each effect.
type removal struct {
	c    *command.Ctx
	key  []byte
	left int      // how many are to come
	args [][]byte // of the effect that is being gathered
	mem  []byte   // where its members are
}

func (r *removal) add(m types.Elem) {
	if !r.c.Journaling() {
		return
	}
	if r.args == nil {
		r.args = append(make([][]byte, 0, 2+min(r.left, sremMembers)), wordSRem, r.key)
		r.mem = nil
	}
	at := len(r.mem)
	r.mem = m.Append(r.mem)
	r.args = append(r.args, r.mem[at:len(r.mem):len(r.mem)])
	r.left--
	if len(r.args) == cap(r.args) {
		r.c.Effect(r.args...)
		r.args = nil
	}
}

func cmdSRandMember(c *command.Ctx) {
	if len(c.Args) == 2 {
		s, ok := c.ReadSet(&c.Keys[0])
		switch {
		case !ok:
		case s == nil:
			c.W.Null()
		default:
			command.WriteElem(c.W, s.Random())
		}
		return
	}
	if len(c.Args) > 3 {
		c.Err(command.ErrSyntax)
		return
	}
	count, ok := c.Int(2)
	if !ok {
		return
	}
	if count == math.MinInt64 {
		c.Err(command.ErrBeyondLong)
		return
	}
	s, ok := c.ReadSet(&c.Keys[0])
	if !ok {
		return
	}
	if s == nil {
		c.W.Array(0)
		return
	}
	if count < -srandomMax {
		c.RefuseLong(-count)
		return
	}
	size := s.Len()
	n := int(min(count, int64(size)))
	_, _, obj := s.Stored()
	if max(n, -n) <= command.LongRead && !command.LongToRead(obj, min(max(n, -n), size), size) {
		replyRandomMembers(c.W, s, n)
		return
	}
	v := command.ViewOf(s)
	c.Aside(func(w *wire.Writer) {
		defer v.Free()
		var s types.Set
		v.Load(&s)
		replyRandomMembers(w, &s, n)
	})
}

// replyRandomMembers replies with n different members, or if n is negative
// with -n that may be the same.
func replyRandomMembers(w *wire.Writer, s *types.Set, n int) {
	w.Array(max(n, -n))
	if n > 1 {
		s.RandomDistinct(n, func(m types.Elem) bool { command.WriteElem(w, m); return true })
		return
	}
	for range max(n, -n) {
		command.WriteElem(w, s.Random())
	}
}

func cmdSScan(c *command.Ctx) {
	o, ok := c.ScanCursor(2)
	if !ok {
		return
	}
	s, ok := c.ReadSet(&c.Keys[0])
	if !ok {
		return
	}
	if s == nil {
		c.ScanNothing()
		return
	}
	if !c.ScanRest(&o, 3, false) {
		return
	}
	n := s.Len()
	o.Count = min(o.Count, n)
	if _, _, obj := s.Stored(); !command.LongToRead(obj, o.Count, n) && (obj == nil || !o.Hard()) {
		if c.Scratch = replySScan(c.W, s, &o, c.Scratch); cap(c.Scratch) > command.ListScratchMax {
			c.Scratch = nil
		}
		return
	}
	v, later := command.ViewOf(s), o
	c.Aside(func(w *wire.Writer) {
		defer v.Free()
		var s types.Set
		v.Load(&s)
		replySScan(w, &s, &later, nil)
	})
}

// replySScan replies with a step of SSCAN. The cursor stands in front of the
// members, so these are gathered in buf, which is returned.
func replySScan(w *wire.Writer, s *types.Set, o *command.ScanOptions, buf []byte) []byte {
	var digits [selemMax + 8]byte
	n := 0
	out := wire.Writer{Buf: buf[:0]}
	cursor := s.Scan(o.Cursor, o.Count, func(m types.Elem) {
		b := m.S
		if m.IsInt() {
			b = m.Append(digits[:0])
		}
		if o.Matches(b) {
			n++
			out.Bulk(b)
		}
	})
	w.Array(2)
	w.BulkInt(int64(cursor))
	w.Array(n)
	w.Raw(out.Buf)
	return out.Buf
}
