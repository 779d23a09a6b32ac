package array

import (
	"math"
	"strconv"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
	"kvd/types/array"
)

// ARCOUNT, ARDEL, ARDELRANGE, ARGET, ARGETRANGE, ARINFO, ARINSERT, ARLASTITEMS, ARLEN,
// ARMGET, ARMSET, ARNEXT, ARRING, ARSCAN, ARSEEK, ARSET. ARGREP and AROP, which look at
// values, are in array_look.go.

func arrayRows() []*command.Row {
	read := func(name, syntax string, fn func(*command.Ctx), arity int, flags command.Flag, summary, complexity string) *command.Row {
		return &command.Row{Name: name, Fn: fn, Arity: arity, Flags: command.ReadOnly | flags, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
			Since: "8.8.0", Group: "array", Summary: summary, Complexity: complexity, Syntax: syntax}
	}
	write := func(name, syntax string, fn func(*command.Ctx), arity int, flags command.Flag, keyFlags, summary, complexity string) *command.Row {
		return &command.Row{Name: name, Fn: fn, Arity: arity, Flags: command.Write | flags, First: 1, Last: 1, Step: 1, KeyFlags: keyFlags,
			Since: "8.8.0", Group: "array", Summary: summary, Complexity: complexity, Syntax: syntax}
	}
	const adds = command.DenyOOM | command.Fast
	return []*command.Row{
		read("arcount", "key", cmdCount, 2, command.Fast, "Returns the number of elements of an array.", "O(1)"),
		write("ardel", "key index [index ...]", cmdDel, -3, command.Fast, "RW delete", "Empties indexes of an array, and counts the elements that were there.", "O(log(N)) for each index"),
		write("ardelrange", "key start end [start end ...]", cmdDelRange, -4, 0, "RW delete", "Empties ranges of indexes of an array, and counts the elements that were there.", "O(log(N)+M/16384) for each range, in the number of elements removed"),
		read("arget", "key index", cmdGet, 3, command.Fast, "Returns the element at an index of an array.", "O(log(N))"),
		read("argetrange", "key start end", cmdGetRange, 4, 0, "Returns the elements at a range of indexes of an array, nulls where there are none.", "O(M) in the length of the range"),
		read("argrep", "key start end <EXACT string | MATCH string | GLOB pattern | RE pattern [EXACT string | MATCH string | GLOB pattern | RE pattern ...]> [AND | OR] [LIMIT limit] [WITHVALUES] [NOCASE]", cmdGrep, -6, 0,
			"Returns the indexes of the elements of an array that match.", "O(M*P) in the number of elements looked at, and of predicates"),
		read("arinfo", "key [FULL]", cmdInfo, -2, 0, "Tells about an array.", "O(N)"),
		write("arinsert", "key value [value ...]", cmdInsert, -3, adds, "RW update", "Puts values behind that which was inserted last, and returns the last index.", "O(1) for each value"),
		read("arlastitems", "key count [REV]", cmdLastItems, -3, 0, "Returns the elements that were inserted last.", "O(M) in the number of elements"),
		read("arlen", "key", cmdLen, 2, command.Fast, "Returns the length of an array: its highest index in use, plus 1.", "O(1)"),
		read("armget", "key index [index ...]", cmdMGet, -3, command.Fast, "Returns the elements at indexes of an array.", "O(log(N)) for each index"),
		write("armset", "key index value [index value ...]", cmdMSet, -4, adds, "RW update", "Puts values at indexes of an array, and counts those that were empty.", "O(log(N)) for each value"),
		read("arnext", "key", cmdNext, 2, command.Fast, "Returns the index that ARINSERT would fill next.", "O(1)"),
		read("arop", "key start end <SUM | MIN | MAX | AND | OR | XOR | MATCH value | USED>", cmdOp, -5, 0, "Sums up the elements at a range of indexes of an array.", "O(M) in the number of elements"),
		write("arring", "key size value [value ...]", cmdRing, -4, command.DenyOOM, "RW update", "Inserts values into an array as a ring of so many indexes, and returns the last index.",
			"O(1) for each value, and O(N) where the size of the ring changes"),
		read("arscan", "key start end [LIMIT limit]", cmdScan, -4, 0, "Returns the elements at a range of indexes of an array, with their indexes.", "O(log(N)+M) in the number of elements"),
		write("arseek", "key index", cmdSeek, 3, command.Fast, "RW update", "Sets the index that ARINSERT fills next.", "O(1)"),
		write("arset", "key index value [value ...]", cmdSet, -4, adds, "RW update", "Puts values at an index of an array and those that follow, and counts those that were empty.", "O(log(N)) for each value"),
	}
}

const (
	errIndex    = "ERR invalid array index"
	errOverflow = "ERR insert index overflow"
	errLimit    = "ERR LIMIT must be positive"
	errRange    = "ERR range exceeds maximum of 1000000 items"

	// rangeMost is the longest range of ARGETRANGE.
	rangeMost = 1_000_000
)

// none is read where a key is missing, by all servers of the process.
//
// Invariant: it is neither changed nor copied, which changes the original, too.
var none = array.New()

// reading is the array at the command's key for reading, none where there is none; ok is
// false where something else is there, and that is replied.
func reading(c *command.Ctx) (a *array.Array, ok bool) {
	var e keyspace.Entry
	if ok = c.LookupType(&c.Keys[0], types.TArray, &e); !ok || !e.Exists() {
		return none, ok
	}
	return e.Object().(*array.Array), true
}

// edit is an array that is being changed.
type edit struct {
	*array.Array
	bytes int64 // as the keyspace has noted them
	fresh bool  // it is in no key yet
}

// editing is reading for changes, which done ends. Without create there may be no array.
func editing(c *command.Ctx, create bool) (a edit, ok bool) {
	k := &c.Keys[0]
	var e keyspace.Entry
	switch ok = c.LookupType(k, types.TArray, &e); {
	case !ok:
	case e.Exists():
		a.Array = c.WritableObject(k, &e).(*array.Array)
		a.bytes = a.Bytes()
	case create:
		a.Array, a.fresh = array.New(), true
	}
	return a, ok
}

// done keeps an array that was changed n times; event is the keyspace event.
func (a *edit) done(c *command.Ctx, n int, event string) {
	k := &c.Keys[0]
	if a.fresh {
		c.PutObject(k, types.TArray, types.EncObject, a.Array, 0)
	} else {
		c.Grew(k, a.Bytes()-a.bytes)
		c.Changed(k)
	}
	c.Dirty += n
	c.Notify('a', event, k)
	if a.Count() == 0 {
		c.Delete(k)
		c.Notify('g', "del", k)
	}
}

// parseIndex reads an index: digits, and no sign.
func parseIndex(b []byte, most uint64) (i uint64, ok bool) {
	if len(b) == 0 || len(b) > 20 || b[0] == '+' {
		return 0, false
	}
	i, err := strconv.ParseUint(string(b), 10, 64)
	return i, err == nil && i <= most
}

// index reads argument n as an index; where it is none, that is replied.
func index(c *command.Ctx, n int) (i uint64, ok bool) {
	if i, ok = parseIndex(c.Args[n], array.MaxIndex); !ok {
		c.Err(errIndex)
	}
	return i, ok
}

// indexes checks the arguments from n on, each step-th of them.
func indexes(c *command.Ctx, n, step int) bool {
	for ; n < len(c.Args); n += step {
		if _, ok := index(c, n); !ok {
			return false
		}
	}
	return true
}

// span is a range of indexes, in the order in which it is asked for.
type span struct {
	lo, hi uint64
	back   bool
}

func newSpan(start, end uint64) span {
	if start > end {
		return span{end, start, true}
	}
	return span{start, end, false}
}

// rangeOf reads arguments 2 and 3 as a range.
func rangeOf(c *command.Ctx) (s span, ok bool) {
	start, ok := index(c, 2)
	if !ok {
		return s, false
	}
	end, ok := index(c, 3)
	return newSpan(start, end), ok
}

// most is at least the number of elements in the range.
func (s span) most(a *array.Array) int {
	n := a.Count()
	if s.hi-s.lo < uint64(n) {
		n = int(s.hi-s.lo) + 1
	}
	return n
}

// each calls fn with the elements of the range, until it returns false.
func (s span) each(a *array.Array, fn func(i uint64, e types.Elem) bool) {
	if s.back {
		for it := a.SeekBack(s.hi); it.Prev() && it.Index >= s.lo && fn(it.Index, it.Elem); {
		}
		return
	}
	for it := a.Seek(s.lo); it.Next() && it.Index <= s.hi && fn(it.Index, it.Elem); {
	}
}

// read has the array read by f, on a worker where that is long: n elements, each of which
// is as much work as weight of them that are only copied.
func read(c *command.Ctx, a *array.Array, n, weight int, f func(w *wire.Writer, a *array.Array)) {
	if n > command.LongRead/weight || command.LongToRead(a, n, a.Count()) {
		view := a
		if a != none {
			view = a.Copy().(*array.Array)
		}
		c.Aside(func(w *wire.Writer) { f(w, view) })
		return
	}
	f(c.W, a)
}

// writeIndex replies with an index or a length, which may be more than an integer holds.
func writeIndex(w *wire.Writer, i uint64) {
	if i > math.MaxInt64 {
		w.BigNumber(strconv.FormatUint(i, 10))
		return
	}
	w.Int(int64(i))
}

func writeElem(w *wire.Writer, e types.Elem, ok bool) {
	if !ok {
		w.Null()
		return
	}
	command.WriteElem(w, e)
}

func writePair(w *wire.Writer, i uint64, e types.Elem) {
	w.Array(2)
	writeIndex(w, i)
	command.WriteElem(w, e)
}

func cmdCount(c *command.Ctx) {
	if a, ok := reading(c); ok {
		c.W.Int(int64(a.Count()))
	}
}

func cmdLen(c *command.Ctx) {
	if a, ok := reading(c); ok {
		writeIndex(c.W, a.Len())
	}
}

func cmdNext(c *command.Ctx) {
	a, ok := reading(c)
	switch {
	case !ok:
	case a.Next() > array.MaxIndex:
		c.W.Null()
	default:
		writeIndex(c.W, a.Next())
	}
}

func cmdGet(c *command.Ctx) {
	i, ok := index(c, 2)
	if !ok {
		return
	}
	if a, ok := reading(c); ok {
		e, found := a.Get(i)
		writeElem(c.W, e, found)
	}
}

func cmdMGet(c *command.Ctx) {
	if !indexes(c, 2, 1) {
		return
	}
	a, ok := reading(c)
	if !ok {
		return
	}
	c.W.Array(len(c.Args) - 2)
	for _, arg := range c.Args[2:] {
		i, _ := parseIndex(arg, array.MaxIndex)
		e, found := a.Get(i)
		writeElem(c.W, e, found)
	}
}

func cmdGetRange(c *command.Ctx) {
	s, ok := rangeOf(c)
	if !ok {
		return
	}
	a, ok := reading(c)
	switch {
	case !ok:
		return
	case s.hi-s.lo >= rangeMost:
		c.Err(errRange)
		return
	}
	// What is empty takes time, too.
	n := int(s.hi-s.lo) + 1
	work := s.most(a)
	if n > command.LongRead {
		work = n
	}
	read(c, a, work, 1, func(w *wire.Writer, a *array.Array) {
		w.Array(n)
		next := s.lo // or hi, counted down
		if s.back {
			next = s.hi
		}
		nulls := func(upTo uint64) {
			for ; next != upTo; n-- {
				w.Null()
				next += step(s.back)
			}
		}
		s.each(a, func(i uint64, e types.Elem) bool {
			nulls(i)
			command.WriteElem(w, e)
			next += step(s.back)
			n--
			return true
		})
		for ; n > 0; n-- {
			w.Null()
		}
	})
}

func step(back bool) uint64 {
	if back {
		return math.MaxUint64 // -1
	}
	return 1
}

// limitArg reads a limit.
func limitArg(c *command.Ctx, i int) (int, bool) {
	n, ok := c.IntMin(i, 1, errLimit)
	return int(n), ok
}

func cmdScan(c *command.Ctx) {
	s, ok := rangeOf(c)
	if !ok {
		return
	}
	limit := math.MaxInt
	if len(c.Args) > 4 {
		if len(c.Args) != 6 || !c.Word(4, "limit") {
			c.Err(command.ErrSyntax)
			return
		}
		if limit, ok = limitArg(c, 5); !ok {
			return
		}
	}
	a, ok := reading(c)
	if !ok {
		return
	}
	read(c, a, min(s.most(a), limit), 1, func(w *wire.Writer, a *array.Array) {
		at, n := w.DeferArray(), 0
		s.each(a, func(i uint64, e types.Elem) bool {
			writePair(w, i, e)
			n++
			return n < limit
		})
		w.SetArray(at, n)
	})
}

func cmdLastItems(c *command.Ctx) {
	count, ok := c.Int(2)
	if !ok {
		return
	}
	rev := c.Word(3, "rev")
	if len(c.Args) > 4 || len(c.Args) == 4 && !rev {
		c.Err(command.ErrSyntax)
		return
	}
	a, ok := reading(c)
	switch {
	case !ok:
		return
	case a == none || count <= 0:
		c.W.Array(0)
		return
	}
	n := int(min(count, int64(a.Count())))
	read(c, a, n, 4, func(w *wire.Writer, a *array.Array) {
		// As a ring, whose last index is the one before the first. Some may be empty.
		i := a.Next() - 1
		if a.Next() == 0 {
			i = a.Len() - 1
		}
		w.Array(n)
		for k := range uint64(n) {
			if !rev {
				k = uint64(n) - 1 - k
			}
			at := i - k
			if k > i {
				at += a.Len()
			}
			e, found := a.Get(at)
			writeElem(w, e, found)
		}
	})
}

func cmdSet(c *command.Ctx) {
	i, ok := index(c, 2)
	if !ok {
		return
	}
	values := c.Args[3:]
	if uint64(len(values)-1) > array.MaxIndex-i {
		c.Err(errIndex)
		return
	}
	a, ok := editing(c, true)
	if !ok {
		return
	}
	fresh := 0
	for _, v := range values {
		if a.Set(i, v) {
			fresh++
		}
		i++
	}
	a.done(c, len(values), "arset")
	c.W.Int(int64(fresh))
}

func cmdMSet(c *command.Ctx) {
	if len(c.Args)%2 != 0 {
		c.WrongArity()
		return
	}
	if !indexes(c, 2, 2) {
		return
	}
	a, ok := editing(c, true)
	if !ok {
		return
	}
	fresh := 0
	for n := 2; n < len(c.Args); n += 2 {
		i, _ := parseIndex(c.Args[n], array.MaxIndex)
		if a.Set(i, c.Args[n+1]) {
			fresh++
		}
	}
	a.done(c, (len(c.Args)-2)/2, "armset")
	c.W.Int(int64(fresh))
}

func cmdDel(c *command.Ctx) {
	remove(c, "ardel", func(a *array.Array) (n int) {
		for _, arg := range c.Args[2:] {
			if i, _ := parseIndex(arg, array.MaxIndex); a.Delete(i) {
				n++
			}
		}
		return n
	})
}

func cmdDelRange(c *command.Ctx) {
	if len(c.Args)%2 != 0 {
		c.WrongArity()
		return
	}
	remove(c, "ardelrange", func(a *array.Array) (n int) {
		for k := 2; k < len(c.Args); k += 2 {
			start, _ := parseIndex(c.Args[k], array.MaxIndex)
			end, _ := parseIndex(c.Args[k+1], array.MaxIndex)
			n += a.DeleteRange(min(start, end), max(start, end))
		}
		return n
	})
}

// remove checks that all arguments are indexes, has f remove elements, and replies with
// their number, which f returns.
func remove(c *command.Ctx, event string, f func(a *array.Array) int) {
	if !indexes(c, 2, 1) {
		return
	}
	a, ok := editing(c, false)
	if !ok {
		return
	}
	n := 0
	if a.Array != nil {
		n = f(a.Array)
	}
	if n > 0 {
		a.done(c, n, event)
	}
	c.W.Int(int64(n))
}

func cmdInsert(c *command.Ctx) {
	a, ok := editing(c, true)
	if !ok {
		return
	}
	i, values := a.Next(), c.Args[2:]
	if i > array.MaxIndex || uint64(len(values)-1) > array.MaxIndex-i {
		c.Err(errOverflow)
		return
	}
	for _, v := range values {
		a.Set(i, v)
		i++
	}
	a.SetNext(i)
	a.done(c, len(values), "arinsert")
	writeIndex(c.W, i-1)
}

func cmdSeek(c *command.Ctx) {
	i, ok := parseIndex(c.Args[2], array.MaxIndex+1)
	if !ok {
		c.Err(errIndex)
		return
	}
	a, ok := editing(c, false)
	if !ok {
		return
	}
	if a.Array == nil {
		c.W.Int(0)
		return
	}
	if a.Next() != i {
		a.SetNext(i)
		a.done(c, 1, "arseek")
	}
	c.W.Int(1)
}

// newRing is an array that was made aside to be another one's ring.
type newRing struct{ *array.Array }

// Discard see command.BuiltValue.
func (newRing) Discard() {}

// ringOf is an array laid out anew as a ring of size indexes: the values that were
// inserted last, up to the first index that is empty, from index 0 on.
func ringOf(a *array.Array, size uint64) *array.Array {
	length := a.Len()
	i := length - 1
	if a.Next() > 0 {
		i = (a.Next() - 1) % length
	}
	keep := uint64(0)
	first := i
	for k := i; keep < min(size, length); keep++ {
		if _, found := a.Get(k); !found {
			break
		}
		if first = k; k == 0 {
			k = length
		}
		k--
	}
	ring := array.New()
	var b []byte
	for to := range keep {
		e, _ := a.Get(first)
		b = e.Append(b[:0])
		ring.Set(to, b)
		if first++; first == length {
			first = 0
		}
	}
	ring.SetNext(keep)
	return ring
}

func cmdRing(c *command.Ctx) {
	n, ok := c.IntMin(2, 1, "ERR size must be positive")
	if !ok {
		return
	}
	size, k := uint64(n), &c.Keys[0]
	var e keyspace.Entry
	if !c.LookupType(k, types.TArray, &e) {
		return
	}
	var was *array.Array
	if e.Exists() {
		was = e.Object().(*array.Array)
	}
	// It is laid out anew where it is longer than the ring, and where a ring that has
	// wrapped becomes longer: what was inserted last must be followed by what comes.
	if was != nil && (size < was.Len() || size > was.Len() && was.Next() > 0 && was.Next() < was.Len()) {
		made, ok := c.Build(min(n, int64(was.Count())) > command.LongRead/10, c.Keys[:1], func() func() {
			was = was.Copy().(*array.Array)
			return func() {}
		}, func() command.BuiltValue { return newRing{ringOf(was, size)} })
		if !ok {
			return // it is made aside, and the command comes again
		}
		ring := made.(newRing).Array
		putRing(c, ring, size)
		c.PutObject(k, types.TArray, types.EncObject, ring, e.Deadline())
		c.Dirty += len(c.Args) - 3
		c.Notify('a', "arring", k)
		writeIndex(c.W, ring.Next()-1)
		return
	}
	a, ok := editing(c, true)
	if !ok {
		return
	}
	putRing(c, a.Array, size)
	a.done(c, len(c.Args)-3, "arring")
	writeIndex(c.W, a.Next()-1)
}

func putRing(c *command.Ctx, a *array.Array, size uint64) {
	for _, v := range c.Args[3:] {
		i := a.Next() % size
		a.Set(i, v)
		a.SetNext(i + 1)
	}
}

func cmdInfo(c *command.Ctx) {
	full := c.Word(2, "full")
	if len(c.Args) > 3 || len(c.Args) == 3 && !full {
		c.Err(command.ErrSyntax)
		return
	}
	a, ok := reading(c)
	switch {
	case !ok:
		return
	case a == none:
		c.Err(command.ErrNoKey)
		return
	}
	size, few := uint64(c.S.Config.ArraySliceSize.Load()), int(c.S.Config.ArraySparseKmax.Load())
	read(c, a, a.Count(), 1, func(w *wire.Writer, a *array.Array) {
		s := a.Slices(size, few)
		leaves, chunks := a.Leaves()
		if full {
			w.Map(12)
		} else {
			w.Map(7)
		}
		field := func(name string, n uint64) {
			w.BulkString(name)
			writeIndex(w, n)
		}
		next := a.Next()
		if next > array.MaxIndex {
			next = 0
		}
		if chunks == 1 {
			chunks = 0
		}
		field("count", uint64(a.Count()))
		field("len", a.Len())
		field("next-insert-index", next)
		field("slices", uint64(s.Dense+s.Sparse))
		field("directory-size", uint64(leaves))
		field("super-dir-entries", uint64(chunks))
		field("slice-size", size)
		if !full {
			return
		}
		share := func(name string, of, by int) {
			w.BulkString(name)
			w.Double(float64(of) / float64(max(by, 1)))
		}
		field("dense-slices", uint64(s.Dense))
		field("sparse-slices", uint64(s.Sparse))
		share("avg-dense-size", s.DenseRoom, s.Dense)
		share("avg-dense-fill", s.DenseUse, s.DenseRoom)
		share("avg-sparse-size", s.SparseUse, s.Sparse)
	})
}
