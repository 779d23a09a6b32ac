package lua

import (
	"math"
	"math/bits"
)

// Memory is Go's, and its collector frees it. Small strings are cut from
// chunks without pointers, small tables from slabs, none of which is ever used
// twice, so nothing can dangle. What is taken is charged to the run.

const (
	chunkSize     = 32 << 10 // bytes of a chunk
	ownString     = 8 << 10  // strings over this size have memory of their own
	slabTables    = 32
	slabValues    = 256
	slabNodes     = 128
	slabHeads     = 256
	smallValues   = 16 // arrays over this size have memory of their own
	smallNodes    = 16
	maxStringSize = 1<<31 - 1 - 24 // what fits PUC's string header and an int
)

// span is one piece of memory that strings, small tables or small arrays are
// cut from. Its address keeps nothing alive.
type span struct {
	base  uintptr
	size  int
	kind  uint8
	slab  int32 // index in slab.run, where the kind is one of a slab
	order int32 // while spans are sorted: which was allocated first
}

// Kinds of spans. Only what has pointers in it needs to be told apart.
const (
	spanPlain uint8 = iota // strings, heads
	spanTables
	spanValues
	spanNodes
)

// Charge counts n bytes that are about to be taken against the run's memory.
// The error is "not enough memory"; the bytes are not counted then.
func (s *State) Charge(n int) error {
	if s == nil {
		return nil
	}
	s.used += n
	if s.used <= s.allowed {
		return nil
	}
	return s.overdrawn(n)
}

// Hold charges the run n bytes that its host keeps for it until it ends.
func (s *State) Hold(n int) error {
	err := s.Charge(n)
	s.held += n
	return err
}

// Alloc gives n bytes of new memory for a string; the caller fills them all and
// makes the string with Made before it calls anything that runs Lua.
func (s *State) Alloc(n int) ([]byte, error) {
	if n <= len(s.chunk) && n <= ownString {
		b := s.chunk[:n:n]
		s.chunk = s.chunk[n:]
		return b, nil
	}
	return s.allocSlow(n)
}

func (s *State) allocSlow(n int) ([]byte, error) {
	if n > maxStringSize {
		return nil, s.memoryError()
	}
	if n > ownString {
		if err := s.Charge(n); err != nil {
			return nil, err
		}
		b, err := makeLarge[byte](s, n, 1)
		if err != nil {
			return nil, err
		}
		s.note(addressOf(b), n, spanPlain, 0)
		return b, nil
	}
	if err := s.Charge(chunkSize); err != nil {
		return nil, err
	}
	s.chunk = make([]byte, chunkSize)
	s.note(addressOf(s.chunk), chunkSize, spanPlain, 0)
	return s.Alloc(n)
}

// note records a piece of memory, for the walk at the bound.
func (s *State) note(base uintptr, n int, kind uint8, slab int) {
	if s.opt.Memory > 0 {
		s.allocs = append(s.allocs, span{base: base, size: n, kind: kind, slab: int32(slab)})
	}
}

// Made makes the string of bytes that Alloc gave.
func Made(b []byte) Value { return bytesValue(b) }

// NewString makes a string of a copy of b.
func (s *State) NewString(b []byte) (Value, error) {
	to, err := s.Alloc(len(b))
	if err != nil {
		return Nil, err
	}
	if len(b) <= copyBlock {
		copy(to, b)
	} else if err := copyAll(s, to, b, bytesPerStep); err != nil {
		return Nil, err
	}
	return bytesValue(to), nil
}

// CopyString makes a string of a copy of b.
func (s *State) CopyString(b string) (Value, error) {
	if len(b) > copyBlock {
		return s.NewString(stringValue(b).bytes())
	}
	to, err := s.Alloc(len(b))
	if err != nil {
		return Nil, err
	}
	copy(to, b)
	return bytesValue(to), nil
}

// View makes a string of a piece of another one's bytes. It is a view of the
// same memory, but for short pieces of long strings, which are copied so that
// they do not keep the whole alive.
func (s *State) View(whole, piece string) (Value, error) {
	if len(whole) > ownString && len(piece) < len(whole)/2 {
		return s.CopyString(piece)
	}
	return stringValue(piece), nil
}

// Scratch gives an empty buffer to build a string in. Give it back with
// PutScratch; who takes it a second time meanwhile gets a new one.
func (s *State) Scratch() []byte {
	b := s.scratch
	s.scratch = nil
	return b[:0]
}

// PutScratch gives the buffer back, as far as it has grown.
func (s *State) PutScratch(b []byte) {
	if cap(b) <= 64<<10 {
		s.scratch = b
	}
}

// NewTable makes a table with room for array values at 1.. and fields others.
func (s *State) NewTable(array, fields int) (*Table, error) {
	tables, err := s.tables.take(s, 1, slabTables, tableSize, spanTables)
	if err != nil {
		return nil, err
	}
	// What Table.resize does with an empty table.
	t := &tables[0]
	room := 0
	if fields > 0 {
		if room = 1 << bits.Len(uint(fields-1)); room > 1<<maxNodeBits {
			return nil, s.memoryError()
		}
		if t.nodes, t.heads, err = s.newNodes(room); err != nil {
			return nil, err
		}
	}
	if array > 0 {
		if t.arr, err = s.newValues(array); err != nil {
			t.nodes, t.heads = nil, nil
			return nil, err
		}
	}
	if array > smallValues || room > smallNodes {
		s.track(t, max(array, room))
	}
	return t, nil
}

func (s *State) newValues(n int) ([]Value, error) {
	if n == 0 {
		return nil, nil
	}
	if s == nil {
		return make([]Value, n), nil
	}
	if n > smallValues {
		if err := s.Charge(n * valueSize); err != nil {
			return nil, err
		}
		if c := bits.Len(uint(n)) - recycleFrom; c < recycleClasses && n == 1<<(c+recycleFrom-1) && len(s.oldValues[c]) > 0 {
			list := s.oldValues[c]
			v := list[len(list)-1]
			list[len(list)-1] = nil
			s.oldValues[c] = list[:len(list)-1]
			return v, nil
		}
		return makeLarge[Value](s, n, valueSize)
	}
	return s.values.take(s, n, slabValues, valueSize, spanValues)
}

// slab is memory that small things are cut from.
type slab[T any] struct {
	all   []T
	next  int   // all[next:] is free
	begin int   // what the run has taken begins here
	run   [][]T // the slabs of this run, for the walk at the bound of memory
}

// slabMemory is how much memory a run may take before its tables are allocated
// one by one. A slab keeps all that its tables refer to from the collector as
// long as one of them is in use: a script that makes much garbage would hold
// any amount of memory.
const slabMemory = 64 << 20

func (b *slab[T]) take(s *State, n, size, bytes int, kind uint8) ([]T, error) {
	if s.used > s.slabLimit {
		if err := s.Charge(n * bytes); err != nil {
			return nil, err
		}
		return make([]T, n), nil
	}
	if b.next+n > len(b.all) {
		if err := s.Charge(size * bytes); err != nil {
			return nil, err
		}
		b.all = make([]T, size)
		b.next, b.begin = 0, 0
		s.note(addressOf(b.all), size*bytes, kind, len(b.run))
		if s.opt.Memory > 0 && kind != spanPlain {
			b.run = append(b.run, b.all)
		}
	}
	v := b.all[b.next : b.next+n : b.next+n]
	b.next += n
	return v, nil
}

// begins forgets the slabs of earlier runs.
func (b *slab[T]) begins() {
	b.begin = b.next
	clear(b.run)
	b.run = b.run[:0]
}

// rewind takes back what the run has taken.
func (b *slab[T]) rewind() {
	clear(b.all[b.begin:b.next])
	b.next = b.begin
}

// A table that grows leaves its old array and nodes behind, which nothing else
// refers to; those of 32 to 2,048 elements are cleared and used again, two of
// each size. (Half of what growing tables take is what they leave.)
const (
	recycleFrom    = 6 // bits.Len of the least size
	recycleClasses = 7
	recycleKept    = 2
)

type nodeList struct {
	nodes []node // empty, with its capacity
	heads []int32
}

func (s *State) recycleValues(v []Value) {
	n := len(v)
	if c := bits.Len(uint(n)) - recycleFrom; c >= 0 && c < recycleClasses && n == 1<<(c+recycleFrom-1) && len(s.oldValues[c]) < recycleKept {
		clear(v)
		s.oldValues[c] = append(s.oldValues[c], v)
	}
}

func (s *State) recycleNodes(nodes []node, heads []int32) {
	n := len(heads)
	if c := bits.Len(uint(n)) - recycleFrom; c >= 0 && c < recycleClasses && len(s.oldNodes[c]) < recycleKept {
		clear(nodes)
		clear(heads)
		s.oldNodes[c] = append(s.oldNodes[c], nodeList{nodes[:0], heads})
	}
}

// maxGrown is how many tables of a run are remembered for Recycle.
const maxGrown = 64

// track notes that a table has an array or nodes for Recycle, or, where they
// have become too big for that, no longer.
func (s *State) track(t *Table, size int) {
	small := size < 1<<(recycleFrom+recycleClasses-1)
	switch {
	case t.tracked > 0 && !small:
		s.grown[t.tracked-1] = nil
		t.tracked = 0
	case t.tracked == 0 && small && len(s.grown) < maxGrown:
		s.grown = append(s.grown, t)
		t.tracked = uint8(len(s.grown))
	}
}

// Recycle may be called after a run of which nothing is left: its results were
// used, and neither a Go function nor a closure of an earlier run has kept any
// table of it, nor was one made since. That is so for chunks whose globals are
// read-only. The memory of the run's tables is then used again by the next one,
// which spares the collector most of its work; strings and functions are left to
// the collector.
func (s *State) Recycle() {
	if s.th != s.main || s.main.n > 0 {
		return
	}
	for i, t := range s.grown {
		if t == nil {
			continue
		}
		if len(t.arr) > smallValues {
			s.recycleValues(t.arr)
		}
		if len(t.heads) > smallNodes {
			s.recycleNodes(t.nodes, t.heads)
		}
		*t = Table{}
		s.grown[i] = nil
	}
	s.grown = s.grown[:0]
	s.tables.rewind()
	s.values.rewind()
	s.nodes.rewind()
	s.heads.rewind()
}

// build keeps a value for a table that a Go function is about to make, where
// the walk at the bound of memory finds it. built gives up those from base on.
func (s *State) build(v Value) error {
	if len(s.building) == cap(s.building) {
		size := max(2*len(s.building), buildingKept)
		if err := s.Charge(size * valueSize); err != nil {
			return err
		}
		building, err := makeLarge[Value](s, size, valueSize)
		if err != nil {
			return err
		}
		building = building[:len(s.building)]
		if err := copyAll(s, building, s.building, valuesPerStep); err != nil {
			return err
		}
		s.building = building
	}
	s.building = append(s.building, v)
	return nil
}

func (s *State) built(base int) {
	s.building = s.building[:base]
	switch {
	case base > 0:
	case cap(s.building) > buildingKept:
		s.building = nil
	default:
		clear(s.building[:cap(s.building)])
	}
}

// buildingKept is the length of State.building that is kept for the next time.
const buildingKept = 128

// newNodes makes an empty list of nodes with room for n, a power of two, and
// the heads of its chains.
func (s *State) newNodes(n int) ([]node, []int32, error) {
	if n == 0 {
		return nil, nil, nil
	}
	if s == nil {
		return make([]node, 0, n), make([]int32, n), nil
	}
	if n > smallNodes {
		if err := s.Charge(n * (nodeSize + 4)); err != nil {
			return nil, nil, err
		}
		if c := bits.Len(uint(n)) - recycleFrom; c < recycleClasses && len(s.oldNodes[c]) > 0 {
			list := s.oldNodes[c]
			old := list[len(list)-1]
			list[len(list)-1] = nodeList{}
			s.oldNodes[c] = list[:len(list)-1]
			return old.nodes, old.heads, nil
		}
		nodes, err := makeLarge[node](s, n, nodeSize)
		if err != nil {
			return nil, nil, err
		}
		heads, err := makeLarge[int32](s, n, 4)
		return nodes[:0], heads, err
	}
	nodes, err := s.nodes.take(s, n, slabNodes, nodeSize, spanNodes)
	if err != nil {
		return nil, nil, err
	}
	heads, err := s.heads.take(s, n, slabHeads, 4, spanPlain)
	if err != nil {
		return nil, nil, err
	}
	return nodes[:0], heads, nil
}

// keptMemory is up to how many bytes of a run the State goes on with the pieces that the
// run has begun to use.
const keptMemory = 1 << 20

// letGo ends a run's account. A slab keeps all tables alive that were cut from it, and with
// them what they refer to: after a run that took much memory the State begins new ones.
func (s *State) letGo() {
	if s.used <= keptMemory {
		return
	}
	s.forgetGrown()
	s.chunk, s.allocs, s.grown = nil, nil, nil
	s.tables, s.values, s.nodes, s.heads = slab[Table]{}, slab[Value]{}, slab[node]{}, slab[int32]{}
	clear(s.hashes[:])
}

// resetMemory begins a run's account.
func (s *State) resetMemory() {
	s.used, s.held = 0, 0
	s.allowed = math.MaxInt
	if s.opt.Memory > 0 {
		s.allowed = s.opt.Memory
	}
	s.slabLimit = slabMemory
	if s.opt.Memory > 0 {
		s.slabLimit = min(slabMemory, s.opt.Memory/4)
	}
	s.allocs = s.allocs[:0]
	s.forgetGrown()
	s.tables.begins()
	s.values.begins()
	s.nodes.begins()
	s.heads.begins()
}

// forgetGrown empties the list of tables that have grown.
func (s *State) forgetGrown() {
	for _, t := range s.grown {
		if t != nil {
			t.tracked = 0
		}
	}
	clear(s.grown)
	s.grown = s.grown[:0]
}
