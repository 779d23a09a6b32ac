package types

import (
	"bytes"
	"math/bits"
	"slices"
)

// A Bulk builds big sets and hashes of members that come in any order, as from
// a file: it gathers them, sorts them by hash once, and builds full leaves,
// which is some times quicker than putting them in one by one. What it gathers
// is bounded; beyond that it does put them in one by one. The zero value is
// ready; it may be used again and again, and keeps its memory.
type Bulk struct {
	items, sorted []bulkItem
	counts        []int32
	text          []byte
	table         *table // once there was too much to gather
	due           *bigHash
	twice         bool
}

// bulkItem is a member, with its value if it has one: text[off:].
type bulkItem struct {
	hash     uint64
	off      uint32
	key, val uint32 // lengths
	deadline int64
}

const (
	bulkItems = 1 << 16 // the most members that are gathered
	bulkBytes = 8 << 20 // likewise, bytes
)

// AddMember gathers a member of a set.
func (b *Bulk) AddMember(m []byte) { b.add(false, m, nil, 0) }

// AddField gathers a field of a hash with its value and its deadline in Unix
// milliseconds, 0 for none.
func (b *Bulk) AddField(field, value []byte, deadline int64) { b.add(true, field, value, deadline) }

func (b *Bulk) add(values bool, key, val []byte, deadline int64) {
	h := hashOf(key)
	if b.table == nil && len(b.items) > 0 && (len(b.items) >= bulkItems || len(b.text)+len(key)+len(val) > bulkBytes) {
		b.flush(values)
	}
	if b.table != nil || len(key)+len(val) > bulkBytes {
		if b.table == nil {
			b.flush(values)
		}
		b.put(h, key, val, deadline)
		return
	}
	b.items = append(b.items, bulkItem{h, uint32(len(b.text)), uint32(len(key)), uint32(len(val)), deadline})
	b.text = append(append(b.text, key...), val...)
}

// put is add for a table that is built.
func (b *Bulk) put(h uint64, key, val []byte, deadline int64) {
	if b.table.has(h, key) {
		b.twice = true
		return
	}
	b.table.put(h, key, val, deadline)
	b.note(h, deadline)
}

// note keeps the deadlines in order.
func (b *Bulk) note(h uint64, deadline int64) {
	if deadline != 0 {
		if b.due == nil {
			b.due = new(bigHash)
		}
		b.due.moved(h, 0, deadline)
	}
}

func (b *Bulk) member(it *bulkItem) []byte { return b.text[it.off : it.off+it.key] }

// sort orders the items by (hash, member). Hashes are spread evenly, so that as
// many buckets as there are items leave next to nothing to be sorted in each.
func (b *Bulk) sort() {
	width := bits.Len(uint(len(b.items)))
	b.counts = slices.Grow(b.counts[:0], 1<<width)[:1<<width]
	clear(b.counts)
	for i := range b.items {
		b.counts[b.items[i].hash>>(64-width)]++
	}
	sum := int32(0)
	for i, n := range b.counts {
		b.counts[i] = sum
		sum += n
	}
	b.sorted = slices.Grow(b.sorted[:0], len(b.items))[:len(b.items)]
	for i := range b.items {
		at := &b.counts[b.items[i].hash>>(64-width)]
		b.sorted[*at] = b.items[i]
		*at++
	}
	for i := 1; i < len(b.sorted); i++ {
		it := b.sorted[i]
		j := i
		for ; j > 0 && (it.hash < b.sorted[j-1].hash || it.hash == b.sorted[j-1].hash && bytes.Compare(b.member(&it), b.member(&b.sorted[j-1])) < 0); j-- {
			b.sorted[j] = b.sorted[j-1]
		}
		b.sorted[j] = it
	}
}

// flush builds the table of what was gathered.
func (b *Bulk) flush(values bool) {
	b.sort()
	t := newTableBuilder(values)
	for i := range b.sorted {
		it := &b.sorted[i]
		key := b.member(it)
		if i > 0 && it.hash == b.sorted[i-1].hash && bytes.Equal(key, b.member(&b.sorted[i-1])) {
			b.twice = true
			continue
		}
		var val []byte
		if values {
			val = b.text[it.off+it.key : it.off+it.key+it.val]
		}
		t.add(it.hash, key, val, it.deadline)
		b.note(it.hash, it.deadline)
	}
	b.table = t.finish()
}

// end makes b ready for the next value.
func (b *Bulk) end() {
	b.items, b.text = b.items[:0], b.text[:0]
	b.table, b.due, b.twice = nil, nil, false
	if cap(b.text) > 1<<20 {
		b.items, b.sorted, b.counts, b.text = nil, nil, nil, nil
	}
}

// Set is the set of the members that were added, as an Object, whatever its
// limits say. ok is false where a member came twice.
func (b *Bulk) Set(limits SetLimits) (s Set, ok bool) {
	defer b.end()
	if b.table == nil {
		b.flush(false)
	}
	s = Set{Limits: limits, enc: EncHashtable, n: -1, big: &bigSet{*b.table}}
	return s, !b.twice
}

// Hash is the hash of the fields that were added, as an Object, whatever its
// limits say. ok is false where a field came twice.
func (b *Bulk) Hash(limits HashLimits) (h Hash, ok bool) {
	defer b.end()
	if b.table == nil {
		b.flush(true)
	}
	big := &bigHash{table: *b.table}
	if b.due != nil {
		big.due = b.due.due
	}
	return Hash{Limits: limits, enc: EncHashtable, n: -1, big: big}, !b.twice
}

// Drop forgets what was added.
func (b *Bulk) Drop() { b.end() }
