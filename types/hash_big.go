package types

import (
	"fmt"
	"unsafe"

	"github.com/tidwall/btree"
)

// bigHash is the Object form of a hash: a table with values, whose records
// have the deadlines, and the deadlines in order.
type bigHash struct {
	table
	// due is nil as long as no field has a deadline. Fields that have both
	// hash and deadline in common share one element.
	due *btree.BTreeG[hashDeadline]
	// order is nil unless ranges of fields are asked for; see hashOrder.
	order *hashOrder
}

type hashDeadline struct {
	at   int64 // Unix milliseconds
	hash uint64
}

func lessDeadline(a, b hashDeadline) bool {
	return a.at < b.at || a.at == b.at && a.hash < b.hash
}

// deadlineBytes is about what an element of due takes.
const deadlineBytes = 24

func newBigHash() *bigHash { return &bigHash{table: *newTable(true)} }

// Copy is an O(1) copy, without an order; btree copies nodes when one side writes to them.
func (b *bigHash) Copy() Object {
	c := &bigHash{table: *b.table.copy()}
	if b.due != nil {
		c.due = b.due.Copy()
	}
	return c
}

// Bytes is the memory that the hash holds.
func (b *bigHash) Bytes() int64 {
	n := int64(unsafe.Sizeof(*b)) + b.table.bytes
	if b.due != nil {
		n += int64(b.due.Len()) * deadlineBytes
	}
	return n + b.orderBytes()
}

// Free leaves everything to the collector.
func (b *bigHash) Free(int64) (done bool) {
	b.table.free()
	b.due = nil
	b.dropOrder()
	return true
}

func (b *bigHash) nextDeadline() int64 {
	if b.due == nil {
		return 0
	}
	d, _ := b.due.Min()
	return d.at
}

// moved keeps due in step with a field whose deadline has changed.
func (b *bigHash) moved(h uint64, from, to int64) {
	if from == to {
		return
	}
	if from != 0 {
		if _, shared := b.fieldDueAt(h, from); !shared {
			b.due.Delete(hashDeadline{from, h})
			if b.due.Len() == 0 {
				b.due = nil
			}
		}
	}
	if to != 0 {
		if b.due == nil {
			b.due = btree.NewBTreeGOptions(lessDeadline, btree.Options{NoLocks: true})
		}
		b.due.Set(hashDeadline{to, h})
	}
}

// fieldDueAt is a field with the given hash and deadline, if there is one.
func (b *bigHash) fieldDueAt(h uint64, at int64) (field []byte, ok bool) {
	for it := b.table.iterFrom(h); it.next() && it.hash == h; {
		if it.record().deadline == at {
			return it.key, true
		}
	}
	return nil, false
}

func (b *bigHash) put(h uint64, field, value []byte, deadline int64) (created bool) {
	old := int64(0)
	if b.due != nil {
		r, _ := b.table.get(h, field)
		old = r.deadline
	}
	created = b.table.put(h, field, value, deadline)
	b.moved(h, old, deadline)
	if created && b.order != nil {
		b.changed(field, false)
	}
	return created
}

func (b *bigHash) setDeadline(h uint64, field []byte, deadline int64) {
	r, _ := b.table.get(h, field)
	// The record may move, which does not hurt what it was read from.
	b.table.put(h, field, r.val, deadline)
	b.moved(h, r.deadline, deadline)
}

// remove takes the field out and returns its deadline.
func (b *bigHash) remove(h uint64, field []byte) (deadline int64, ok bool) {
	if b.due != nil {
		r, _ := b.table.get(h, field)
		deadline = r.deadline
	}
	if !b.table.remove(h, field) {
		return 0, false
	}
	b.moved(h, deadline, 0)
	if b.order != nil {
		b.changed(field, true)
	}
	return deadline, true
}

func (b *bigHash) expireDue(now int64, limit int, fn func(field Elem)) (n int) {
	for ; n < limit && b.due != nil; n++ {
		d, _ := b.due.Min()
		if d.at > now {
			break
		}
		field, ok := b.fieldDueAt(d.hash, d.at)
		if !ok {
			panic("types: a deadline without its field")
		}
		fn(BytesElem(field))
		b.remove(d.hash, field)
	}
	return n
}

// Check verifies every invariant.
func (b *bigHash) Check() error {
	if err := b.table.check(); err != nil {
		return err
	}
	want := map[hashDeadline]bool{}
	for it := b.table.iter(); it.next(); {
		if at := it.record().deadline; at != 0 {
			want[hashDeadline{at, it.hash}] = true
		}
	}
	if err := b.checkOrder(); err != nil {
		return err
	}
	if b.due == nil {
		if len(want) > 0 {
			return fmt.Errorf("types: hash with %d deadlines and no order of them", len(want))
		}
		return nil
	}
	if b.due.Len() != len(want) || len(want) == 0 {
		return fmt.Errorf("types: hash with %d deadlines in order, %d in fields", b.due.Len(), len(want))
	}
	for d := range want {
		if _, ok := b.due.Get(d); !ok {
			return fmt.Errorf("types: deadline %d is not in order", d.at)
		}
	}
	return nil
}

func (b *bigHash) checkOrder() error {
	if b.order == nil || b.order.fields == nil {
		return nil
	}
	o := b.order.fields
	if err := o.Check(); err != nil {
		return err
	}
	if o.Len() != b.count {
		return fmt.Errorf("types: hash of %d fields, %d in order", b.count, o.Len())
	}
	for it := b.table.iter(); it.next(); {
		if !o.Has(it.key) {
			return fmt.Errorf("types: field %q is not in order", it.key)
		}
	}
	return nil
}
