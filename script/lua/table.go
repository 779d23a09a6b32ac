package lua

import (
	"hash/maphash"
	"math"
	"math/bits"
)

// Table is a Lua table: an array part for the keys 1 to len(arr), and nodes in
// order of insertion for everything else, chained by hash.
//
// The sizes of both parts follow the rule of the reference implementation (the
// array is as long as the largest power of two of which more than half would be
// used, counted when the nodes are full), since the length of a table with
// holes depends on them.
//
// Invariant: len(heads) == cap(nodes), a power of two or 0. No key of a node is
// in the array part's range. A node whose value is nil stays until the nodes
// are made anew, so that a traversal may clear fields.
type Table struct {
	arr   []Value
	nodes []node
	heads []int32 // by hash: the index of the chain's first node plus 1
	meta  *Table

	iter     int32 // index of the node that a traversal met last
	epoch    uint32
	absent   uint8 // metamethods known to be absent, see event
	readonly bool
	tracked  uint8 // index in State.grown plus 1, or 0
}

// node is one pair outside of the array part.
type node struct {
	key  Value
	val  Value
	hash uint32
	next int32 // index of the chain's next node plus 1
}

const (
	maxArrayBits = 26      // as MAXBITS: sizes of array parts are at most 2^26
	maxNodeBits  = 30      // sizes of node parts are at most 2^30
	maxIndex     = 1 << 26 // the greatest key that an array part can hold
)

var hashSeed = maphash.MakeSeed()

// hashedWhole is up to which length all bytes of a string count to its hash. Of longer ones two
// ends do, so that the hash of hundreds of megabytes does not take milliseconds.
const hashedWhole = 128 << 10

func hashString(s string) uint32 {
	if len(s) <= hashedWhole {
		return uint32(maphash.String(hashSeed, s))
	}
	a, b := maphash.String(hashSeed, s[:hashedWhole/2]), maphash.String(hashSeed, s[len(s)-hashedWhole/2:])
	return uint32(a ^ b<<1 ^ uint64(len(s)))
}

// hashNumber takes 0 and -0 as one key.
func hashNumber(f float64) uint32 {
	if f == 0 {
		return 0
	}
	return hashBits(math.Float64bits(f))
}

func hashBits(n uint64) uint32 { return uint32(n * 0x9E3779B97F4A7C15 >> 32) }

func hashValue(k Value) uint32 {
	switch k.kind() {
	case KindNumber:
		return hashNumber(k.num())
	case KindString:
		return hashString(k.str())
	case KindBoolean, KindLightUserdata:
		return hashBits(k.n)
	}
	return hashBits(uint64(k.address()))
}

// arrayIndex is the index in an array part that the number would have, or 0
// where it is not a whole number of that range.
func arrayIndex(f float64) int {
	if f >= 1 && f <= maxIndex {
		if i := int(f); float64(i) == f {
			return i
		}
	}
	return 0
}

// Get is the value at k, without metamethods.
func (t *Table) Get(k Value) Value {
	switch k.kind() {
	case KindNil:
		return Nil
	case KindNumber:
		f := k.num()
		if i := arrayIndex(f); i > 0 && i <= len(t.arr) {
			return t.arr[i-1]
		}
		return t.getNumber(f)
	case KindString:
		return t.GetString(k.str())
	}
	if len(t.heads) == 0 {
		return Nil
	}
	for i := t.heads[hashValue(k)&uint32(len(t.heads)-1)]; i > 0; {
		n := &t.nodes[i-1]
		if n.key.same(k) {
			return n.val
		}
		i = n.next
	}
	return Nil
}

// GetInt is the value at the whole number i.
func (t *Table) GetInt(i int) Value {
	if i >= 1 && i <= len(t.arr) {
		return t.arr[i-1]
	}
	return t.getNumber(float64(i))
}

// GetString is the value at the string s.
func (t *Table) GetString(s string) Value {
	if i := t.findString(s, stringValue(s)); i >= 0 {
		return t.nodes[i].val
	}
	return Nil
}

func (t *Table) getNumber(f float64) Value {
	if i := t.findNumber(f); i >= 0 {
		return t.nodes[i].val
	}
	return Nil
}

func (t *Table) findNumber(f float64) int {
	if len(t.heads) == 0 {
		return -1
	}
	for i := t.heads[hashNumber(f)&uint32(len(t.heads)-1)]; i > 0; {
		n := &t.nodes[i-1]
		if n.key.isNumber() && n.key.num() == f {
			return int(i - 1)
		}
		i = n.next
	}
	return -1
}

func (t *Table) findString(s string, k Value) int {
	if len(t.heads) == 0 {
		return -1
	}
	return t.findHashed(k, hashString(s))
}

// findHashed looks a string up whose hash is known.
func (t *Table) findHashed(k Value, h uint32) int {
	if len(t.heads) == 0 {
		return -1
	}
	for i := t.heads[h&uint32(len(t.heads)-1)]; i > 0; {
		n := &t.nodes[i-1]
		if n.hash == h && n.key.n == k.n && n.key.isKind(KindString) && (n.key.p == k.p || n.key.str() == k.str()) {
			return int(i - 1)
		}
		i = n.next
	}
	return -1
}

// find is the index of the node of k, which is not nil, or -1.
func (t *Table) find(k Value, h uint32) int {
	if len(t.heads) == 0 {
		return -1
	}
	switch k.kind() {
	case KindNumber:
		return t.findNumber(k.num())
	case KindString:
		return t.findHashed(k, h)
	}
	for i := t.heads[h&uint32(len(t.heads)-1)]; i > 0; {
		n := &t.nodes[i-1]
		if n.key.same(k) {
			return int(i - 1)
		}
		i = n.next
	}
	return -1
}

// Len is a border of the table as # finds it: bisection in the array part where
// its last value is nil, else on in the other part.
func (t *Table) Len() int {
	j := len(t.arr)
	if j > 0 && t.arr[j-1].IsNil() {
		i := 0
		for j-i > 1 {
			m := int(uint(i+j) >> 1)
			// In two steps, which the compiler makes without a jump: nobody could
			// predict it.
			empty := t.arr[m-1].IsNil()
			low := m
			if empty {
				low = i
			}
			if empty {
				j = m
			}
			i = low
		}
		return i
	}
	if len(t.nodes) == 0 {
		return j
	}
	i := j
	j++
	for !t.GetInt(j).IsNil() {
		i = j
		if j > math.MaxInt32/2 {
			for i = 1; !t.GetInt(i).IsNil(); i++ {
			}
			return i - 1
		}
		j *= 2
	}
	for j-i > 1 {
		m := int(uint(i+j) >> 1)
		if t.GetInt(m).IsNil() {
			j = m
		} else {
			i = m
		}
	}
	return i
}

// Next walks the table: begin with 0 and hand the returned position back until
// it is negative. Fields may be set to nil between, but none added.
func (t *Table) Next(at int) (next int, k, v Value) {
	for ; at < len(t.arr); at++ {
		if !t.arr[at].IsNil() {
			return at + 1, numberValue(float64(at + 1)), t.arr[at]
		}
	}
	for i := at - len(t.arr); i < len(t.nodes); i++ {
		if n := &t.nodes[i]; !n.val.IsNil() {
			t.iter = int32(i)
			return len(t.arr) + i + 1, n.key, n.val
		}
	}
	return -1, Nil, Nil
}

// position is where a traversal goes on after the key k, or -1 where k is not
// in the table.
func (t *Table) position(k Value) int {
	if k.IsNil() {
		return 0
	}
	if k.isNumber() {
		if i := arrayIndex(k.num()); i > 0 && i <= len(t.arr) {
			return i
		}
	}
	if i := int(t.iter); i < len(t.nodes) && t.nodes[i].key.same(k) {
		return len(t.arr) + i + 1
	}
	if i := t.find(k, hashValue(k)); i >= 0 {
		return len(t.arr) + i + 1
	}
	return -1
}

// Array is the array part: the values at 1 to its length, some of which may be
// nil. What follows may lie in the other part. It is good until the table is
// written to or Lua runs: the memory of a table that grows is used again.
func (t *Table) Array() []Value { return t.arr }

// Metatable is the table's metatable or nil.
func (t *Table) Metatable() *Table { return t.meta }

// SetMetatable sets or, with nil, takes away the metatable.
func (t *Table) SetMetatable(m *Table) { t.meta = m }

// Readonly tells whether scripts may not change the table.
func (t *Table) Readonly() bool { return t.readonly }

// SetReadonly makes every later write by a script fail with "Attempt to modify
// a readonly table". The Go functions of Table itself still write.
func (t *Table) SetReadonly(on bool) { t.readonly = on }

// set writes v at k, which is neither nil nor NaN. Where the table must grow,
// s pays; s may be nil for tables that are made before any run.
func (t *Table) set(s *State, k, v Value) error {
	if k.isNumber() {
		return t.setNumber(s, k.num(), v)
	}
	h := hashValue(k)
	if i := t.find(k, h); i >= 0 {
		t.absent = 0
		t.nodes[i].val = v
		return nil
	}
	t.absent = 0
	return t.insert(s, k, h, v)
}

func (t *Table) setNumber(s *State, f float64, v Value) error {
	if i := arrayIndex(f); i > 0 && i <= len(t.arr) {
		t.arr[i-1] = v
		return nil
	}
	if i := t.findNumber(f); i >= 0 {
		t.nodes[i].val = v
		return nil
	}
	// -0 and 0 are one key, and it looks like the one that came first.
	return t.insert(s, numberValue(f), hashNumber(f), v)
}

// insert adds a key that the table does not have, also for the value nil: the
// reference implementation does, and the sizes depend on it.
func (t *Table) insert(s *State, k Value, h uint32, v Value) error {
	if len(t.nodes) == cap(t.nodes) {
		if err := t.rehash(s, k); err != nil {
			return err
		}
		if k.isNumber() {
			if i := arrayIndex(k.num()); i > 0 && i <= len(t.arr) {
				t.arr[i-1] = v
				return nil
			}
		}
	}
	t.appendNode(k, h, v)
	return nil
}

func (t *Table) appendNode(k Value, h uint32, v Value) {
	head := &t.heads[h&uint32(len(t.heads)-1)]
	// Field by field: a literal would be made elsewhere and then copied.
	i := len(t.nodes)
	t.nodes = t.nodes[:i+1]
	n := &t.nodes[i]
	n.key, n.val = k, v
	n.hash, n.next = h, *head
	*head = int32(i + 1)
}

// rehash makes room for the key k: it counts the whole numbers among the keys,
// chooses the array part's size, and moves everything.
func (t *Table) rehash(s *State, k Value) error {
	var counts [maxArrayBits + 1]int // counts[i]: keys in (2^(i-1), 2^i]
	inArray := 0
	for i, end := 0, 1; i <= maxArrayBits; i, end = i+1, end*2 {
		from := end / 2
		if from >= len(t.arr) && from > 0 {
			break
		}
		for _, v := range t.arr[from:min(end, len(t.arr))] {
			if !v.IsNil() {
				counts[i]++
			}
		}
		inArray += counts[i]
		if s != nil && end > movedAtOnce {
			if err := s.Step(end / 8); err != nil {
				return err
			}
		}
	}
	total, whole := inArray, inArray
	count := func(k Value) {
		total++
		if k.isNumber() {
			if i := arrayIndex(k.num()); i > 0 {
				counts[bits.Len(uint(i-1))]++
				whole++
			}
		}
	}
	for i := range t.nodes {
		if !t.nodes[i].val.IsNil() {
			count(t.nodes[i].key)
		}
		if s != nil && i&(movedAtOnce-1) == movedAtOnce-1 {
			if err := s.Step(movedAtOnce); err != nil {
				return err
			}
		}
	}
	count(k)
	size, used := 0, 0
	for i, end, sum := 0, 1, 0; i <= maxArrayBits && end/2 < whole; i, end = i+1, end*2 {
		if counts[i] > 0 {
			sum += counts[i]
			if sum > end/2 {
				size, used = end, sum
			}
		}
		if sum == whole {
			break
		}
	}
	return t.resize(s, size, total-used)
}

// movedAtOnce is how many elements are counted or moved between two looks at the interrupt.
const movedAtOnce = 1 << 13

// resize gives the array part exactly size values and the other part room for
// n keys, which includes those that fall out of the array part, and moves what
// has to move.
func (t *Table) resize(s *State, size, n int) error {
	room := 0
	if n > 0 {
		room = 1 << bits.Len(uint(n-1))
	}
	if room > 1<<maxNodeBits {
		return s.memoryError()
	}
	oldArr, oldNodes, oldHeads := t.arr, t.nodes, t.heads
	if size != len(t.arr) {
		arr, err := s.newValues(size)
		if err != nil {
			return err
		}
		if err := copyAll(s, arr, t.arr[:min(size, len(t.arr))], valuesPerStep); err != nil {
			return err
		}
		t.arr = arr
	}
	nodes, heads, err := s.newNodes(room)
	if err != nil {
		t.arr = oldArr
		return err
	}
	oldIter := t.iter
	t.nodes, t.heads, t.iter = nodes, heads, 0
	moved := func(i int) error { // each block of steps; an interrupt leaves the table as it was
		if i&(movedAtOnce-1) != 0 || i == 0 || s == nil {
			return nil
		}
		err := s.Step(4 * movedAtOnce)
		if err != nil {
			t.arr, t.nodes, t.heads, t.iter = oldArr, oldNodes, oldHeads, oldIter
		}
		return err
	}
	for i := size; i < len(oldArr); i++ {
		if !oldArr[i].IsNil() {
			f := float64(i + 1)
			t.appendNode(numberValue(f), hashNumber(f), oldArr[i])
		}
		if err := moved(i); err != nil {
			return err
		}
	}
	for i := range oldNodes {
		if err := moved(i); err != nil {
			return err
		}
		n := &oldNodes[i]
		if n.val.IsNil() {
			continue
		}
		if n.key.isNumber() {
			if j := arrayIndex(n.key.num()); j > 0 && j <= len(t.arr) {
				t.arr[j-1] = n.val
				continue
			}
		}
		t.appendNode(n.key, n.hash, n.val)
	}
	if s != nil {
		if size != len(oldArr) {
			s.recycleValues(oldArr)
		}
		s.recycleNodes(oldNodes, oldHeads)
		if size > smallValues || room > smallNodes || t.tracked > 0 {
			s.track(t, max(size, room))
		}
	}
	return nil
}

// growArray makes the array part at least size long, as a constructor does.
func (t *Table) growArray(s *State, size int) error {
	if size <= len(t.arr) {
		return nil
	}
	return t.resize(s, size, cap(t.nodes))
}

// Empty is Clear that gives up all memory.
func (t *Table) Empty() {
	t.Clear()
	t.arr = nil
}

// Clear empties the table for another use: values, keys and metatable go, and
// the memory stays where it is small.
func (t *Table) Clear() {
	if len(t.arr) > smallValues {
		t.arr = nil
	}
	clear(t.arr)
	if len(t.nodes) > 0 {
		t.nodes, t.heads = nil, nil
	}
	t.iter, t.absent, t.meta = 0, 0, nil
}
