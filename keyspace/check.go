package keyspace

import (
	"fmt"

	"kvd/types/slab"
)

// Check verifies every invariant of the keyspace, holding all stripes: tables,
// entries, deadlines, counts, Objects and arenas. It is slow, and for tests
// and DEBUG CHECK.
func (ks *Keyspace) Check() error {
	h := ks.LockAll()
	defer ks.Unlock(&h)
	return ks.CheckLocked()
}

// CheckLocked is Check for a caller that holds all stripes.
func (ks *Keyspace) CheckLocked() error {
	for i := range ks.stripes {
		if err := ks.stripes[i].check(); err != nil {
			return fmt.Errorf("stripe %d: %w", i, err)
		}
	}
	return nil
}

func (st *stripe) check() error {
	var entries int64
	var objects int
	var objMem int64
	indexed, leaving, ordered := 0, int64(0), int64(0)
	seen := make(map[uint64]bool)
	for group, dbs := range [3][]*DB{st.ks.dbs, st.ks.fresh, st.ks.retired} {
		for n, db := range dbs {
			sh := &db.shards[st.number]
			keys, deadlines, fields := 0, 0, 0
			bytes := int64(0)
			indexed += indexLen(sh)
			ordered += sh.orderBytes()
			for i := range sh.slots {
				sl := &sh.slots[i]
				if got := sh.occupied.next(i) == i; got != (sl.n > 0) {
					return fmt.Errorf("db %d: slot %d has %d keys, marked %v", n, i, sl.n, got)
				}
				bytes += st.tableSize(sl)
				number := uint16(st.number<<st.ks.shift + i)
				err := st.checkSlot(number, sl, func(hash uint64, l slab.Loc) error {
					keys++
					var e Entry
					st.readEntry(l, &e)
					if group < 2 && sh.order != nil && !sh.ordering && !sh.order.Has(e.Key()) {
						return fmt.Errorf("key %q is not in order", e.Key())
					}
					entries += int64(st.entries.Size(l))
					bytes += int64(st.entries.Size(l))
					if len(e.mem) > st.entries.Size(l) || !e.Type().Known() {
						return fmt.Errorf("key %q: bad entry header % x", e.Key(), e.mem[:8])
					}
					if d := e.Deadline(); d != 0 {
						deadlines++
						if sh.deadlines == nil {
							return fmt.Errorf("key %q: deadline %d without an index", e.Key(), d)
						}
						at := deadlineOf(d, number, hash)
						if _, ok := sh.deadlines.Get(at); !ok {
							return fmt.Errorf("key %q: deadline %d is not in the index", e.Key(), d)
						}
						if next := st.next.Load(); group == 0 && (next == 0 || next > at.ms()) {
							return fmt.Errorf("key %q: deadline %d, but the stripe's next is %d", e.Key(), d, next)
						}
					}
					f := e.FieldDeadline()
					if want := nextFieldDeadline(e.Type(), e.Encoding(), e.Packed(), e.Object()); f != want {
						return fmt.Errorf("key %q: deadline %d of fields, noted %d", e.Key(), want, f)
					}
					if f != 0 {
						fields++
						at := deadlineOf(f, number, hash)
						if sh.fieldDeadlines == nil {
							return fmt.Errorf("key %q: deadline %d of fields without an index", e.Key(), f)
						}
						if _, ok := sh.fieldDeadlines.Get(at); !ok {
							return fmt.Errorf("key %q: deadline %d of fields is not in the index", e.Key(), f)
						}
						if next := st.next.Load(); group == 0 && (next == 0 || next > at.ms()) {
							return fmt.Errorf("key %q: deadline %d of fields, but the stripe's next is %d", e.Key(), f, next)
						}
					}
					if o := e.Object(); e.Encoding().IsObject() {
						if o == nil {
							return fmt.Errorf("key %q: no Object behind the handle", e.Key())
						}
						if err := o.Check(); err != nil {
							return fmt.Errorf("key %q: %w", e.Key(), err)
						}
						objects++
						objMem += o.Bytes()
						bytes += o.Bytes()
					}
					if seen[uint64(l)] {
						return fmt.Errorf("key %q: its entry stands in two tables", e.Key())
					}
					seen[uint64(l)] = true
					return nil
				})
				if err != nil && group < 2 {
					return fmt.Errorf("db %d: %w", n, err)
				}
			}
			if group == 2 {
				leaving += sh.used()
				continue // half freed: only what is counted above matters
			}
			if bytes != sh.bytes {
				return fmt.Errorf("db %d: %d bytes, noted %d", n, bytes, sh.bytes)
			}
			if keys != sh.keys {
				return fmt.Errorf("db %d: %d keys, noted %d", n, keys, sh.keys)
			}
			if sh.order != nil {
				if err := sh.order.Check(); err != nil {
					return fmt.Errorf("db %d: %w", n, err)
				}
				if !sh.ordering && sh.order.Len() != keys {
					return fmt.Errorf("db %d: %d keys, %d in order", n, keys, sh.order.Len())
				}
			}
			if sh.deadlines != nil && sh.deadlines.Len() != deadlines {
				return fmt.Errorf("db %d: %d deadlines, %d in the index", n, deadlines, sh.deadlines.Len())
			}
			if sh.fieldDeadlines != nil && sh.fieldDeadlines.Len() != fields {
				return fmt.Errorf("db %d: %d hashes with deadlines of fields, %d in the index", n, fields, sh.fieldDeadlines.Len())
			}
		}
	}
	if n := len(st.objects.all) - len(st.objects.free); n != objects {
		return fmt.Errorf("%d Objects in use, %d in the table", objects, n)
	}
	if leaving != st.leaving {
		return fmt.Errorf("flushed databases take %d bytes, noted %d", leaving, st.leaving)
	}
	if indexed != st.indexed {
		return fmt.Errorf("%d deadlines in indexes, noted %d", indexed, st.indexed)
	}
	if ordered != st.ordered {
		return fmt.Errorf("orders of keys take %d bytes, noted %d", ordered, st.ordered)
	}
	if objMem != st.objMem {
		return fmt.Errorf("%d bytes of Objects, noted %d", objMem, st.objMem)
	}
	if entries != st.entries.Used() {
		return fmt.Errorf("%d bytes of entries, %d in the arena", entries, st.entries.Used())
	}
	if err := st.entries.Check(); err != nil {
		return err
	}
	return st.tables.Check()
}
