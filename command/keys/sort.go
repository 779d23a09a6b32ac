package keys

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"
	"strconv"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// SORT, SORT_RO

func sortRows() []*command.Row {
	const options = "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]"
	return []*command.Row{
		{Name: "sort", Fn: func(c *command.Ctx) { cmdSort(c, false) }, Arity: -2, Flags: command.Write | command.DenyOOM | command.MovableKeys | command.LockAll | command.CountsReads, First: 1, Last: 1, Step: 1, KeysFn: sortKeys, KeyFlags: "RO access; OW update",
			Since: "1.0.0", Group: "generic", Summary: "Returns the elements of a list, set or sorted set in order, or stores them.", Complexity: "O(N*log(N)) in the number of elements, O(N) where nothing is to be sorted",
			Syntax: options + " [STORE destination]", Categories: "set sortedset list dangerous -keyspace"},
		{Name: "sort_ro", Fn: func(c *command.Ctx) { cmdSort(c, true) }, Arity: -2, Flags: command.ReadOnly | command.MovableKeys | command.LockAll, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "7.0.0", Group: "generic", Summary: "Returns the elements of a list, set or sorted set in order.", Complexity: "O(N*log(N)) in the number of elements, O(N) where nothing is to be sorted",
			Syntax: options, Categories: "set sortedset list dangerous -keyspace"},
	}
}

// sortKeys are the key sorted and, where there is one, the last STORE's.
func sortKeys(args [][]byte, dst []int) ([]int, bool) {
	if len(args) < 2 {
		return dst, false
	}
	store := 0
	for i := 2; i < len(args); i++ {
		switch {
		case command.EqualFold(args[i], "limit"):
			i += 2
		case command.EqualFold(args[i], "get"), command.EqualFold(args[i], "by"):
			i++
		case command.EqualFold(args[i], "store") && i+1 < len(args):
			store = i + 1
		}
	}
	dst = append(dst, 1)
	if store > 0 {
		dst = append(dst, store)
	}
	return dst, true
}

// sorting is one SORT: its options, then its elements.
type sorting struct {
	desc, alpha   bool
	keep          bool   // BY a pattern without *: the order stays as it is
	by            []byte // nil: by the elements themselves
	gets          [][]byte
	store         []byte // nil: reply
	offset, count int64

	items []sortItem
	arena []byte // their elements, in the order in which they came, and then what they are sorted by
}

// sortItem is an element with what it is sorted by. It has no pointers: the
// collector would have to follow millions of them, while others wait for the
// processor.
type sortItem struct {
	score float64
	elem  int // where the element starts in the arena, and its bytes
	n     int
	by    int // of BY with ALPHA: the same of that; 0 where there is none: the arena's first byte is nobody's
	byLen int
}

func (s *sorting) elem(it *sortItem) []byte { return s.arena[it.elem : it.elem+it.n] }

// byOf is what an item is sorted by with BY and ALPHA, and whether there is such.
func (s *sorting) byOf(it *sortItem) ([]byte, bool) {
	return s.arena[it.by : it.by+it.byLen], it.by > 0
}

func (s *sorting) parse(c *command.Ctx, readOnly bool) bool {
	s.count = -1
	for i := 2; i < len(c.Args); i++ {
		more := len(c.Args) - i - 1
		switch {
		case c.Word(i, "asc"):
			s.desc = false
		case c.Word(i, "desc"):
			s.desc = true
		case c.Word(i, "alpha"):
			s.alpha = true
		case more >= 2 && c.Word(i, "limit"):
			var ok bool
			if s.offset, ok = c.Int(i + 1); !ok {
				return false
			}
			if s.count, ok = c.Int(i + 2); !ok {
				return false
			}
			i += 2
		case more >= 1 && !readOnly && c.Word(i, "store"):
			i++
			s.store = c.Args[i]
		case more >= 1 && c.Word(i, "by"):
			i++
			s.by = c.Args[i]
			if !hasStar(s.by) {
				s.keep = true // for good, even if a better BY follows
			}
		case more >= 1 && c.Word(i, "get"):
			i++
			s.gets = append(s.gets, c.Args[i])
		default:
			c.Err(command.ErrSyntax)
			return false
		}
	}
	return true
}

// cString is what C's string functions, which read patterns in Redis, see of b.
func cString(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

func hasStar(pattern []byte) bool { return bytes.IndexByte(cString(pattern), '*') >= 0 }

// itself tells whether a pattern stands for the element.
func itself(pattern []byte) bool {
	return len(pattern) > 0 && pattern[0] == '#' && (len(pattern) == 1 || pattern[1] == 0)
}

// foreign tells which of SORT's options reads keys that the elements name, "" if none
// does.
func (s *sorting) foreign() string {
	switch {
	case s.by != nil && hasStar(s.by):
		return "BY"
	case slices.ContainsFunc(s.gets, func(g []byte) bool { return !itself(g) }):
		return "GET"
	}
	return ""
}

func cmdSort(c *command.Ctx, readOnly bool) {
	var s sorting
	if !s.parse(c, readOnly) {
		return
	}
	if option := s.foreign(); option != "" && !c.MayReadAll() {
		c.Err("ERR " + option + " option of SORT denied due to insufficient ACL permissions.")
		return
	}
	e := c.Lookup(&c.Keys[0])
	t := e.Type()
	switch t {
	case types.NoType, types.TList, types.TSet, types.TZSet:
	default:
		c.Err(command.ErrWrongType)
		return
	}
	if s.keep && t == types.TSet && (s.store != nil || c.InScript()) {
		// A set has no order of its own, and what is stored, or what a script goes by,
		// must be the same wherever the command is replayed.
		s.keep, s.alpha, s.by = false, true, nil
	}
	if o := s.longAlone(&e); o != nil && s.store == nil {
		o = o.Copy()
		enc := e.Encoding()
		gets := len(s.gets)
		alone := s
		alone.gets = nil
		c.Aside(func(w *wire.Writer) {
			defer command.FreeAll(o)
			if from, to, ok := alone.run(nil, t, enc, nil, o); ok {
				alone.replyElems(w, from, to, max(gets, 1))
			} else {
				w.Error(errNotDouble)
			}
		})
		return
	} else if o != nil {
		s.storeAlone(c, t, &e, o)
		return
	}
	var packed []byte
	var enc types.Encoding
	var o types.Object
	if e.Exists() {
		enc, o = e.Encoding(), e.Object()
		if o == nil {
			packed = e.Packed()
		}
	}
	from, to, ok := s.run(c, t, enc, packed, o)
	switch {
	case !ok:
		c.Err(errNotDouble)
	case s.store != nil:
		s.keepResult(c, from, to)
	case len(s.gets) == 0:
		s.replyElems(c.W, from, to, 1)
	default:
		s.replyGets(c, from, to)
	}
}

// longAlone is the Object to be sorted if that is long and needs no other key,
// else nil.
func (s *sorting) longAlone(e *keyspace.Entry) types.Object {
	if !e.Exists() || e.Object() == nil || s.by != nil && !s.keep {
		return nil
	}
	for _, g := range s.gets {
		if !itself(g) {
			return nil
		}
	}
	// Some ten bytes an element, and a microsecond for each to be compared.
	if o := e.Object(); o.Bytes() > 10*1000 {
		return o
	}
	return nil
}

// run gathers and sorts the elements of the value; those from from up to to
// are the result. ok is false where one is no number. c is for looking up other
// keys, and may be nil where none are needed.
func (s *sorting) run(c *command.Ctx, t types.Type, enc types.Encoding, packed []byte, o types.Object) (from, to int, ok bool) {
	from, to = s.gather(t, enc, packed, o)
	if s.keep {
		return from, to, true
	}
	for i := range s.items {
		if !s.weigh(c, &s.items[i]) {
			return 0, 0, false
		}
	}
	// The same members have to come out in the same order whenever the command
	// is replayed, so where a set's members are equal, their bytes decide.
	total := t == types.TSet && s.store != nil
	order := func(a, b sortItem) int {
		n := s.compare(&a, &b)
		if n == 0 && total {
			n = bytes.Compare(s.elem(&a), s.elem(&b))
		}
		switch {
		case n == 0:
			// As they came; one without bytes starts where its successor does.
			return cmp.Or(cmp.Compare(a.elem, b.elem), cmp.Compare(a.n, b.n))
		case s.desc:
			return -n
		}
		return n
	}
	slices.SortFunc(chosen(s.items, from, to, order), order)
	return from, to, true
}

// chosen moves the items that have the places from from up to to in order there, not yet
// in order among themselves, and returns them. It takes a time linear in the number of
// items, whatever their order: each turn leaves half of them, or so, in question.
func chosen(items []sortItem, from, to int, order func(a, b sortItem) int) []sortItem {
	for _, place := range [2]int{from, to} {
		// What belongs before place is to stand before it.
		lo, hi := 0, len(items)
		if place == to {
			lo = from
		}
		for turns := 0; place > lo && place < hi && hi-lo > 16; turns++ {
			if turns > 4*bits.Len(uint(len(items))) { // by no luck at all
				slices.SortFunc(items[lo:hi], order)
				break
			}
			pivot := medianOf(items[lo:hi], order)
			m := lo
			for i := lo; i < hi; i++ {
				if order(items[i], pivot) < 0 {
					items[i], items[m] = items[m], items[i]
					m++
				}
			}
			if place <= m {
				hi = m
				continue
			}
			// The pivot itself: no two items are equal, unless they are empty elements of
			// one set of bytes, which nobody can tell apart.
			same := m
			for i := m; i < hi; i++ {
				if order(items[i], pivot) == 0 {
					items[i], items[same] = items[same], items[i]
					same++
				}
			}
			lo = min(same, place)
		}
		if place > lo && place < hi && hi-lo <= 16 {
			slices.SortFunc(items[lo:hi], order)
		}
	}
	return items[from:to]
}

// medianOf is the median of some items that lie spread over all of them.
func medianOf(items []sortItem, order func(a, b sortItem) int) sortItem {
	var some [9]sortItem
	for i := range some {
		some[i] = items[(len(items)-1)*i/(len(some)-1)]
	}
	slices.SortFunc(some[:], order)
	return some[len(some)/2]
}

const errNotDouble = "ERR One or more scores can't be converted into double"

// storeAlone is SORT ... STORE of an Object where no other key is needed.
func (s *sorting) storeAlone(c *command.Ctx, t types.Type, e *keyspace.Entry, o types.Object) {
	enc, limits := e.Encoding(), c.ScratchList().Limits
	times := max(len(s.gets), 1)
	detach := func() (free func()) {
		mine := o.Copy()
		o = mine
		return func() { command.FreeAll(mine) }
	}
	// The option's words lie in the connection's buffer, and are not looked at.
	alone := *s
	alone.gets, alone.by, alone.store = nil, nil, []byte{}
	v, ok := c.Build(true, c.Keys[:1], detach, func() command.BuiltValue {
		from, to, ok := alone.run(nil, t, enc, nil, o)
		if !ok {
			return notDouble{}
		}
		l := &types.List{Limits: limits}
		l.Load(types.EncListpack, nil, nil)
		for i := from; i < to; i++ {
			for range times {
				l.PushBack(alone.elem(&alone.items[i]))
			}
		}
		return command.Built{Collection: l}
	})
	if !ok {
		return
	}
	if _, bad := v.(notDouble); bad {
		c.Err(errNotDouble)
		return
	}
	s.put(c, v.(command.Built).Collection.(*types.List))
}

// notDouble stands for a result where an element is no number.
type notDouble struct{}

// Discard see command.BuiltValue.
func (notDouble) Discard() {}

// within is the part of n elements that LIMIT leaves.
func (s *sorting) within(n int) (from, to int) {
	from = int(min(max(s.offset, 0), int64(n)))
	if s.count < 0 {
		return from, n
	}
	return from, from + int(min(s.count, int64(n-from)))
}

// gather loads the elements. Where they stay in a known order it loads only
// those that are wanted.
func (s *sorting) gather(t types.Type, enc types.Encoding, packed []byte, o types.Object) (from, to int) {
	// load takes n elements. It counts their bytes first: to grow would move all,
	// or clear all that is new, and no goroutine can be stopped while it does that,
	// for which the collector, and so everybody, waits.
	load := func(n int, each func(fn func(e types.Elem) bool)) {
		size := 1
		each(func(e types.Elem) bool { size += e.Len(); return true })
		s.items, s.arena = make([]sortItem, 0, n), append(make([]byte, 0, size), 0)
		each(func(e types.Elem) bool {
			at := len(s.arena)
			s.arena = e.Append(s.arena)
			s.items = append(s.items, sortItem{elem: at, n: len(s.arena) - at})
			return true
		})
	}
	switch t {
	case types.TList:
		var l types.List
		l.Load(enc, packed, o)
		n := l.Len()
		from, to = s.within(n)
		switch {
		case !s.keep:
			load(n, l.Each)
			return from, to
		case from == to:
		case s.desc:
			load(to-from, func(fn func(types.Elem) bool) { l.RangeBack(n-to, n-from-1, fn) })
		default:
			load(to-from, func(fn func(types.Elem) bool) { l.Range(from, to-1, fn) })
		}
		return 0, to - from
	case types.TZSet:
		var z types.SortedSet
		z.Load(enc, packed, o)
		n := z.Len()
		from, to = s.within(n)
		member := func(fn func(types.Elem) bool) func([]byte, float64) bool {
			return func(m []byte, _ float64) bool { return fn(types.BytesElem(m)) }
		}
		if !s.keep {
			load(n, func(fn func(types.Elem) bool) { z.Each(member(fn)) })
			return from, to
		}
		load(to-from, func(fn func(types.Elem) bool) { z.Range(from, to-from, s.desc, member(fn)) })
		return 0, to - from
	case types.TSet:
		var set types.Set
		set.Load(enc, packed, o)
		load(set.Len(), set.Each)
	}
	return s.within(len(s.items))
}

// weigh finds what an item is sorted by. It returns false if that is no number.
func (s *sorting) weigh(c *command.Ctx, it *sortItem) bool {
	by := s.elem(it)
	if s.by != nil {
		var ok bool
		if by, ok = s.lookUp(c, s.by, by); !ok {
			return true
		}
	}
	var ok bool
	switch {
	case !s.alpha:
		it.score, ok = sortScore(by)
		return ok
	case s.by != nil:
		it.by, it.byLen = len(s.arena), len(by)
		s.arena = append(s.arena, by...)
	}
	return true
}

// smallestNormal is the smallest double of full precision; strtod reports less
// as out of range.
const smallestNormal = 0x1p-1022

// sortScore reads a number as C's strtod does: up to the first NUL, blanks in
// front allowed, nothing being 0.
func sortScore(b []byte) (float64, bool) {
	b = cString(b)
	if len(b) == 0 {
		return 0, true
	}
	f, ok := wire.ParseDouble(bytes.TrimLeft(b, " \t\n\v\f\r"))
	if f != 0 && f < smallestNormal && f > -smallestNormal {
		ok = false
	}
	return f, ok
}

// compare orders two items, without DESC.
func (s *sorting) compare(a, b *sortItem) int {
	text := func(a, b []byte) int {
		if s.store == nil {
			a, b = cString(a), cString(b) // strcoll, in the C locale
		}
		return bytes.Compare(a, b)
	}
	switch {
	case !s.alpha:
		switch {
		case a.score < b.score:
			return -1
		case a.score > b.score:
			return 1
		}
		return bytes.Compare(s.elem(a), s.elem(b))
	case s.by == nil:
		return text(s.elem(a), s.elem(b))
	}
	aBy, aHas := s.byOf(a)
	bBy, bHas := s.byOf(b)
	switch {
	case aHas && bHas:
		return text(aBy, bBy)
	case aHas:
		return 1
	case bHas:
		return -1
	}
	return 0
}

// lookUp finds the value that a pattern means for an element: its first * is
// replaced by the element; behind -> is the field of a hash. The value is
// valid until the next look-up.
func (s *sorting) lookUp(c *command.Ctx, pattern, elem []byte) ([]byte, bool) {
	if itself(pattern) {
		return elem, true
	}
	seen := cString(pattern)
	star := bytes.IndexByte(seen, '*')
	if star < 0 {
		return nil, false
	}
	rest := pattern[star+1:]
	var field []byte
	if i := bytes.Index(seen[star+1:], []byte("->")); i >= 0 && star+1+i+2 < len(seen) {
		rest, field = rest[:i], rest[i+2:]
	}
	v := c.Values()
	v.Name = append(append(append(v.Name[:0], pattern[:star]...), elem...), rest...)
	k := keyspace.MakeKey(v.Name)
	e := c.Lookup(&k)
	switch {
	case field == nil && e.Type() == types.TString:
		str := c.StringOf(&e)
		return str.Bytes(), true
	case field != nil && e.Type() == types.THash:
		c.Load(&e, &v.Hash)
		f, ok := v.Hash.Get(field, c.Now)
		if f.IsInt() {
			v.Text = strconv.AppendInt(v.Text[:0], f.I, 10)
			return v.Text, ok
		}
		return f.S, ok
	}
	return nil, false
}

// replyElems replies with the result, every element so many times.
func (s *sorting) replyElems(w *wire.Writer, from, to, times int) {
	w.Array((to - from) * times)
	for i := from; i < to; i++ {
		for range times {
			w.Bulk(s.elem(&s.items[i]))
		}
	}
}

func (s *sorting) replyGets(c *command.Ctx, from, to int) {
	c.W.Array((to - from) * len(s.gets))
	for i := from; i < to; i++ {
		for _, g := range s.gets {
			if v, ok := s.lookUp(c, g, s.elem(&s.items[i])); ok {
				c.W.Bulk(v)
			} else {
				c.W.Null()
			}
		}
	}
}

// keepResult stores the result as a list.
func (s *sorting) keepResult(c *command.Ctx, from, to int) {
	l := c.ScratchListAt(1)
	l.Load(types.EncListpack, nil, nil)
	for i := from; i < to; i++ {
		if len(s.gets) == 0 {
			l.PushBack(s.elem(&s.items[i]))
		}
		for _, g := range s.gets {
			v, _ := s.lookUp(c, g, s.elem(&s.items[i]))
			l.PushBack(v)
		}
	}
	s.put(c, l)
}

// put has the list at STORE's key be the result.
func (s *sorting) put(c *command.Ctx, l *types.List) {
	k := keyspace.MakeKey(s.store)
	n := l.Len()
	switch {
	case n > 0:
		c.Replace(&k, l, types.TList)
		c.Notify('l', "sortstore", &k)
		c.ReadyIfWaited(&k, types.TList)
		c.Dirty += n
	case c.Delete(&k):
		c.Notify('g', "del", &k)
		c.Dirty++
	}
	c.W.Int(int64(n))
}
