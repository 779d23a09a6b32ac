package list

import (
	"math"
	"slices"
	"strconv"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// LINDEX, LINSERT, LLEN, LMOVE, LMPOP, LPOP, LPOS, LPUSH, LPUSHX, LRANGE, LREM,
// LSET, LTRIM, RPOP, RPOPLPUSH, RPUSH, RPUSHX. Those that wait are in
// list_block.go.

func listRows() []*command.Row {
	return []*command.Row{
		{Name: "lindex", Fn: cmdLIndex, Arity: 3, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "1.0.0", Group: "list", Summary: "Returns the element at an index of a list.", Complexity: "O(N) in the number of blocks to pass", Syntax: "key index"},
		{Name: "linsert", Fn: cmdLInsert, Arity: 5, Flags: command.Write | command.DenyOOM, First: 1, Last: 1, Step: 1, KeyFlags: "RW insert",
			Since: "2.2.0", Group: "list", Summary: "Inserts an element before or after another one.", Complexity: "O(N) in the elements before the pivot", Syntax: "key <BEFORE | AFTER> pivot element"},
		{Name: "llen", Fn: cmdLLen, Arity: 2, Flags: command.ReadOnly | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO",
			Since: "1.0.0", Group: "list", Summary: "Returns the length of a list.", Complexity: "O(1)", Syntax: "key"},
		{Name: "lmove", Fn: cmdLMove, Arity: 5, Flags: command.Write | command.DenyOOM, First: 1, Last: 2, Step: 1, KeyFlags: "RW access delete; RW insert",
			Since: "6.2.0", Group: "list", Summary: "Moves an element from an end of a list to an end of a list and returns it.", Complexity: "O(1)", Syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT>"},
		{Name: "lmpop", Fn: cmdLMPop, Arity: -4, Flags: command.Write | command.MovableKeys, KeysFn: command.KeysAfterCount(1), KeyFlags: "RW access delete",
			Since: "7.0.0", Group: "list", Summary: "Removes and returns elements of the first list that is not empty.", Complexity: "O(N+M) in the number of keys and of elements returned",
			Syntax: "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]"},
		{Name: "lpop", Fn: func(c *command.Ctx) { pop(c, left) }, Arity: -2, Flags: command.Write | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access delete",
			Since: "1.0.0", Group: "list", Summary: "Removes and returns the first elements of a list.", Complexity: "O(N) in the number of elements returned", Syntax: "key [count]"},
		{Name: "lpos", Fn: cmdLPos, Arity: -3, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "6.0.6", Group: "list", Summary: "Returns the indexes at which an element stands in a list.", Complexity: "O(N) in the elements looked at",
			Syntax: "key element [RANK rank] [COUNT num-matches] [MAXLEN len]"},
		{Name: "lpush", Fn: func(c *command.Ctx) { push(c, left, false) }, Arity: -3, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW insert",
			Since: "1.0.0", Group: "list", Summary: "Adds elements to the front of a list, creating it where there is none.", Complexity: "O(1) for each element", Syntax: "key element [element ...]"},
		{Name: "lpushx", Fn: func(c *command.Ctx) { push(c, left, true) }, Arity: -3, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW insert",
			Since: "2.2.0", Group: "list", Summary: "Adds elements to the front of a list that exists.", Complexity: "O(1) for each element", Syntax: "key element [element ...]"},
		{Name: "lrange", Fn: cmdLRange, Arity: 4, Flags: command.ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "1.0.0", Group: "list", Summary: "Returns a range of elements of a list.", Complexity: "O(N) in the number of elements returned", Syntax: "key start stop"},
		{Name: "lrem", Fn: cmdLRem, Arity: 4, Flags: command.Write, First: 1, Last: 1, Step: 1, KeyFlags: "RW delete",
			Since: "1.0.0", Group: "list", Summary: "Removes elements that are equal to the one given.", Complexity: "O(N) in the length of the list", Syntax: "key count element"},
		{Name: "lset", Fn: cmdLSet, Arity: 4, Flags: command.Write | command.DenyOOM, First: 1, Last: 1, Step: 1, KeyFlags: "RW update",
			Since: "1.0.0", Group: "list", Summary: "Replaces the element at an index of a list.", Complexity: "O(N) in the number of blocks to pass", Syntax: "key index element"},
		{Name: "ltrim", Fn: cmdLTrim, Arity: 4, Flags: command.Write, First: 1, Last: 1, Step: 1, KeyFlags: "RW delete",
			Since: "1.0.0", Group: "list", Summary: "Removes all elements of a list but a range.", Complexity: "O(N) in the number of blocks removed", Syntax: "key start stop"},
		{Name: "rpop", Fn: func(c *command.Ctx) { pop(c, right) }, Arity: -2, Flags: command.Write | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access delete",
			Since: "1.0.0", Group: "list", Summary: "Removes and returns the last elements of a list.", Complexity: "O(N) in the number of elements returned", Syntax: "key [count]"},
		{Name: "rpoplpush", Fn: func(c *command.Ctx) { move(c, right, left) }, Arity: 3, Flags: command.Write | command.DenyOOM, First: 1, Last: 2, Step: 1, KeyFlags: "RW access delete; RW insert",
			Since: "1.2.0", Group: "list", Summary: "Moves the last element of a list to the front of a list and returns it.", Complexity: "O(1)", Syntax: "source destination"},
		{Name: "rpush", Fn: func(c *command.Ctx) { push(c, right, false) }, Arity: -3, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW insert",
			Since: "1.0.0", Group: "list", Summary: "Adds elements to the end of a list, creating it where there is none.", Complexity: "O(1) for each element", Syntax: "key element [element ...]"},
		{Name: "rpushx", Fn: func(c *command.Ctx) { push(c, right, true) }, Arity: -3, Flags: command.Write | command.DenyOOM | command.Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW insert",
			Since: "2.2.0", Group: "list", Summary: "Adds elements to the end of a list that exists.", Complexity: "O(1) for each element", Syntax: "key element [element ...]"},
	}
}

// end is one of a list's ends.
type end bool

const (
	left  end = false
	right end = true
)

func (s end) word() string {
	if s == left {
		return "LEFT"
	}
	return "RIGHT"
}

func (s end) pop() string {
	if s == left {
		return "LPOP"
	}
	return "RPOP"
}

// pushed and popped are the names of keyspace events.
func (s end) pushed() string {
	if s == left {
		return "lpush"
	}
	return "rpush"
}

func (s end) popped() string {
	if s == left {
		return "lpop"
	}
	return "rpop"
}

// End reads argument i as LEFT or RIGHT; where it is neither, that is replied.
func parseEnd(c *command.Ctx, i int) (s end, ok bool) {
	switch {
	case c.Word(i, "left"):
		return left, true
	case c.Word(i, "right"):
		return right, true
	}
	c.Err(command.ErrSyntax)
	return left, false
}

// editList is ReadList for changes, which storeList ends.
func editList(c *command.Ctx, k *keyspace.Key) (l *types.List, was command.Editing, ok bool) {
	var e keyspace.Entry
	if ok = c.LookupType(k, types.TList, &e); !ok || !e.Exists() {
		return nil, was, ok
	}
	l = c.ScratchListAt(0)
	return l, c.Open(k, &e, l), true
}

// storeList keeps a list that was changed; event is the keyspace event.
func storeList(c *command.Ctx, k *keyspace.Key, was command.Editing, l *types.List, event string) {
	n := l.Len()
	c.Store(k, was, l, types.TList, n == 0)
	c.Notify('l', event, k)
	if n == 0 {
		c.Notify('g', "del", k)
	}
}

func addTo(l *types.List, s end, b []byte) {
	if s == left {
		l.PushFront(b)
	} else {
		l.PushBack(b)
	}
}

func takeFrom(l *types.List, s end) types.Elem {
	var e types.Elem
	if s == left {
		e, _ = l.PopFront()
	} else {
		e, _ = l.PopBack()
	}
	return e
}

func push(c *command.Ctx, s end, mustExist bool) {
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TList, &e) {
		return
	}
	if mustExist && !e.Exists() {
		c.W.Int(0)
		return
	}
	l := c.ScratchListAt(0)
	was := c.Open(k, &e, l)
	elems := c.Args[2:]
	size := 0
	for _, b := range elems {
		size += len(b)
	}
	l.Reserve(len(elems), size)
	for _, b := range elems {
		addTo(l, s, b)
	}
	n := l.Len()
	c.Store(k, was, l, types.TList, n == 0)
	c.Dirty += len(elems)
	c.W.Int(int64(n))
	c.Notify('l', s.pushed(), k)
	c.Ready(k)
}

func pop(c *command.Ctx, s end) {
	if len(c.Args) > 3 {
		c.WrongArity()
		return
	}
	count := int64(1)
	many := len(c.Args) == 3
	if many {
		var ok bool
		if count, ok = command.ParseInt(c.Args[2]); !ok || count < 0 {
			c.Err(command.ErrNotPositive)
			return
		}
	}
	k := &c.Keys[0]
	l, was, ok := editList(c, k)
	switch {
	case !ok:
	case l == nil && many:
		c.W.NullArray()
	case l == nil:
		c.W.Null()
	case count == 0:
		c.W.Array(0)
	case many:
		popMany(c, k, l, was, &popOptions{s, count}, false, true)
	default:
		command.WriteElem(c.W, takeFrom(l, s))
		storeList(c, k, was, l, s.popped())
		c.Dirty++
	}
}

// popMany removes up to o.count elements, a positive number, and replies with
// them, in front of which stands the key if withKey is set. It returns their
// number. Where a client is being served that waited, live is false.
func popMany(c *command.Ctx, k *keyspace.Key, l *types.List, was command.Editing, o *popOptions, withKey, live bool) int {
	total := l.Len()
	n := int(min(o.count, int64(total)))
	r := popReply{where: o.where, n: n}
	if withKey {
		r.key = k.B
	}
	if live && command.LongToRead(was.Obj, n, total) {
		// Only the reply is long: it comes from a copy.
		obj := was.Obj.Copy()
		r := r
		r.key = slices.Clone(r.key)
		c.Aside(func(w *wire.Writer) {
			defer command.FreeAll(obj)
			var l types.List
			l.Load(types.EncQuicklist, nil, obj)
			r.write(w, &l)
		})
	} else {
		r.write(c.W, l)
	}
	switch {
	case n == total:
		l.Trim(1, 0)
	case o.where == left:
		l.Trim(n, -1)
	default:
		l.Trim(0, total-n-1)
	}
	storeList(c, k, was, l, o.where.popped())
	c.Dirty += n
	return n
}

// popReply is what popping n elements replies, under their key or (nil) not.
type popReply struct {
	key   []byte
	where end
	n     int
}

func (r *popReply) write(w *wire.Writer, l *types.List) {
	if r.key != nil {
		w.Array(2)
		w.Bulk(r.key)
	}
	w.Array(r.n)
	each := func(e types.Elem) bool { command.WriteElem(w, e); return true }
	if r.where == left {
		l.Range(0, r.n-1, each)
	} else {
		l.RangeBack(-r.n, -1, each)
	}
}

func cmdLLen(c *command.Ctx) {
	var e keyspace.Entry
	if !c.LookupType(&c.Keys[0], types.TList, &e) {
		return
	}
	l := c.ScratchListAt(0)
	c.Load(&e, l)
	c.W.Int(int64(l.Len()))
}

func cmdLRange(c *command.Ctx) {
	start, ok := c.Int(2)
	if !ok {
		return
	}
	stop, ok := c.Int(3)
	if !ok {
		return
	}
	l, ok := c.ReadList(&c.Keys[0])
	if !ok {
		return
	}
	if l == nil {
		c.W.Array(0)
		return
	}
	n := l.Len()
	from, to := command.Bounds(start, stop, n)
	if _, _, o := l.Stored(); command.LongToRead(o, to-from, n) {
		o = o.Copy()
		c.Aside(func(w *wire.Writer) {
			defer command.FreeAll(o)
			var l types.List
			l.Load(types.EncQuicklist, nil, o)
			replyRangeOf(w, &l, from, to)
		})
		return
	}
	replyRangeOf(c.W, l, from, to)
}

func replyRangeOf(w *wire.Writer, l *types.List, from, to int) {
	w.Array(to - from)
	if from < to {
		l.Range(from, to-1, func(e types.Elem) bool { command.WriteElem(w, e); return true })
	}
}

func cmdLTrim(c *command.Ctx) {
	start, ok := c.Int(2)
	if !ok {
		return
	}
	stop, ok := c.Int(3)
	if !ok {
		return
	}
	k := &c.Keys[0]
	l, was, ok := editList(c, k)
	if !ok {
		return
	}
	if l != nil {
		n := l.Len()
		from, to := command.Bounds(start, stop, n)
		if to-from < n {
			if from == to {
				l.Trim(1, 0)
			} else {
				l.Trim(from, to-1)
			}
		}
		storeList(c, k, was, l, "ltrim")
		c.Dirty += n - (to - from)
	}
	c.W.OK()
}

func cmdLRem(c *command.Ctx) {
	count, ok := c.Int(2)
	if !ok {
		return
	}
	k := &c.Keys[0]
	l, was, ok := editList(c, k)
	if !ok {
		return
	}
	if l == nil {
		c.W.Int(0)
		return
	}
	n := l.RemoveEqual(c.Args[3], int(count))
	if n > 0 {
		storeList(c, k, was, l, "lrem")
		c.Dirty += n
	} else {
		c.Unchanged(k, was, l)
	}
	c.W.Int(int64(n))
}

func cmdLIndex(c *command.Ctx) {
	l, ok := c.ReadList(&c.Keys[0])
	if !ok {
		return
	}
	if l == nil {
		c.W.Null()
		return
	}
	i, ok := c.Int(2)
	if !ok {
		return
	}
	if e, ok := l.Index(int(i)); ok {
		command.WriteElem(c.W, e)
	} else {
		c.W.Null()
	}
}

func cmdLSet(c *command.Ctx) {
	k := &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TList, &e) {
		return
	}
	if !e.Exists() {
		c.Err(command.ErrNoKey)
		return
	}
	i, ok := c.Int(2)
	if !ok {
		return
	}
	l := c.ScratchListAt(0)
	was := c.Open(k, &e, l)
	if !l.Set(int(i), c.Args[3]) {
		c.Unchanged(k, was, l)
		c.Err(command.ErrOutOfRange)
		return
	}
	storeList(c, k, was, l, "lset")
	c.Dirty++
	c.W.OK()
}

func cmdLInsert(c *command.Ctx) {
	after := c.Word(2, "after")
	if !after && !c.Word(2, "before") {
		c.Err(command.ErrSyntax)
		return
	}
	k := &c.Keys[0]
	l, was, ok := editList(c, k)
	if !ok {
		return
	}
	if l == nil {
		c.W.Int(0)
		return
	}
	if after {
		ok = l.InsertAfter(c.Args[3], c.Args[4])
	} else {
		ok = l.InsertBefore(c.Args[3], c.Args[4])
	}
	if !ok {
		c.Unchanged(k, was, l)
		c.W.Int(-1)
		return
	}
	c.W.Int(int64(l.Len()))
	storeList(c, k, was, l, "linsert")
	c.Dirty++
}

// positions are what LPOS looks for.
type positions struct {
	elem                []byte
	rank, count, maxLen int
	many                bool // COUNT was given
}

func (p *positions) parse(c *command.Ctx) bool {
	p.elem, p.rank, p.count = c.Args[2], 1, 1
	for i := 3; i < len(c.Args); i++ {
		more := i+1 < len(c.Args)
		switch {
		case more && c.Word(i, "rank"):
			i++
			n, ok := c.Int(i)
			if !ok {
				return false
			}
			if n == math.MinInt64 {
				c.Err(command.ErrBeyondLong)
				return false
			}
			if n == 0 {
				c.Err("ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list")
				return false
			}
			p.rank = int(n)
		case more && c.Word(i, "count"):
			i++
			n, ok := command.ParseInt(c.Args[i])
			if !ok || n < 0 {
				c.Err("ERR COUNT can't be negative")
				return false
			}
			p.count, p.many = int(n), true
		case more && c.Word(i, "maxlen"):
			i++
			n, ok := command.ParseInt(c.Args[i])
			if !ok || n < 0 {
				c.Err("ERR MAXLEN can't be negative")
				return false
			}
			p.maxLen = int(n)
		default:
			c.Err(command.ErrSyntax)
			return false
		}
	}
	return true
}

func cmdLPos(c *command.Ctx) {
	var p positions
	if !p.parse(c) {
		return
	}
	l, ok := c.ReadList(&c.Keys[0])
	if !ok {
		return
	}
	if l == nil {
		p.reply(c.W, nil)
		return
	}
	n := l.Len()
	look := n
	if p.maxLen > 0 {
		look = min(look, p.maxLen)
	}
	if _, _, o := l.Stored(); command.LongToRead(o, look, n) {
		o = o.Copy()
		q := p
		q.elem = slices.Clone(p.elem)
		c.Aside(func(w *wire.Writer) {
			defer command.FreeAll(o)
			var l types.List
			l.Load(types.EncQuicklist, nil, o)
			q.reply(w, l.Positions(q.elem, q.rank, q.count, q.maxLen, nil))
		})
		return
	}
	c.Values().Places = l.Positions(p.elem, p.rank, p.count, p.maxLen, c.Values().Places[:0])
	p.reply(c.W, c.Values().Places)
}

func (p *positions) reply(w *wire.Writer, at []int) {
	switch {
	case p.many:
		w.Array(len(at))
		for _, i := range at {
			w.Int(int64(i))
		}
	case len(at) > 0:
		w.Int(int64(at[0]))
	default:
		w.Null()
	}
}

func cmdLMove(c *command.Ctx) {
	from, ok := parseEnd(c, 3)
	if !ok {
		return
	}
	to, ok := parseEnd(c, 4)
	if !ok {
		return
	}
	move(c, from, to)
}

// move moves an element from the list at the first key to the one at the
// second, which may be the same, and replies with it. It reports whether it
// did.
func move(c *command.Ctx, from, to end) bool {
	src, dst := &c.Keys[0], &c.Keys[1]
	var e keyspace.Entry
	if !c.LookupType(src, types.TList, &e) {
		return false
	}
	if !e.Exists() {
		c.W.Null()
		return false
	}
	if d := c.Lookup(dst); d.Exists() && d.Type() != types.TList {
		c.Err(command.ErrWrongType)
		return false
	}
	l := c.ScratchListAt(0)
	was := c.Open(src, &e, l)
	c.Scratch = takeFrom(l, from).Append(c.Scratch[:0])
	if string(src.B) == string(dst.B) {
		addTo(l, to, c.Scratch)
		c.Store(src, was, l, types.TList, l.Len() == 0)
		c.Notify('l', to.pushed(), dst)
		c.Notify('l', from.popped(), src)
	} else {
		left := l.Len()
		c.Store(src, was, l, types.TList, left == 0)
		pushOne(c, dst, to, c.Scratch)
		c.Notify('l', to.pushed(), dst)
		c.Notify('l', from.popped(), src)
		if left == 0 {
			c.Notify('g', "del", src)
		}
	}
	c.W.Bulk(c.Scratch)
	if cap(c.Scratch) > command.ListScratchMax {
		c.Scratch = nil
	}
	c.Dirty++
	c.Ready(dst)
	return true
}

// pushOne adds an element to a key that holds a list or nothing.
func pushOne(c *command.Ctx, k *keyspace.Key, s end, b []byte) {
	e := c.LookupNoTouch(k)
	l := c.ScratchListAt(1)
	was := c.Open(k, &e, l)
	addTo(l, s, b)
	c.Store(k, was, l, types.TList, l.Len() == 0)
}

// popOptions are those of LMPOP and BLMPOP.
type popOptions struct {
	where end
	count int64
}

// parse reads the arguments from the number of keys, at i, on.
func (o *popOptions) parse(c *command.Ctx, i int) bool {
	keys, ok := command.ParseInt(c.Args[i])
	if !ok || keys < 1 {
		c.Err("ERR numkeys should be greater than 0")
		return false
	}
	if keys >= int64(len(c.Args)-i-1) {
		c.Err(command.ErrSyntax)
		return false
	}
	i += int(keys) + 1
	if o.where, ok = parseEnd(c, i); !ok {
		return false
	}
	o.count = 1
	for given := false; i+1 < len(c.Args); given = true {
		if given || !c.Word(i+1, "count") || i+2 >= len(c.Args) {
			c.Err(command.ErrSyntax)
			return false
		}
		i += 2
		if o.count, ok = command.ParseInt(c.Args[i]); !ok || o.count < 1 {
			c.Err("ERR count should be greater than 0")
			return false
		}
	}
	return true
}

func cmdLMPop(c *command.Ctx) {
	var o popOptions
	if o.parse(c, 1) && !popFirst(c, &o) {
		c.W.NullArray()
	}
}

// popFirst pops from the first key that holds a list and replies; false: none
// does, and nothing is replied.
func popFirst(c *command.Ctx, o *popOptions) bool {
	for i := range c.Keys {
		k := &c.Keys[i]
		l, was, ok := editList(c, k)
		if !ok {
			return true
		}
		if l != nil {
			popWithKey(c, k, l, was, o, true)
			return true
		}
	}
	return false
}

// popWithKey pops from a list and replies with its key and the elements.
func popWithKey(c *command.Ctx, k *keyspace.Key, l *types.List, was command.Editing, o *popOptions, live bool) {
	n := popMany(c, k, l, was, o, true, live)
	if c.Journaling() {
		c.Effect([]byte(o.where.pop()), k.B, strconv.AppendInt(nil, int64(n), 10))
	} else {
		c.NoEffect()
	}
}
