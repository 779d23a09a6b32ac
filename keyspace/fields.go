package keyspace

import "kvd/types"

// Fields of a hash expire by themselves. The hash orders their deadlines; the
// entry notes the earliest of them (FieldDeadline), by which the hash stands in
// the shard's index of field deadlines. Put and PutObject, and so everything
// that gives a key a whole value, see to that note; code that changes a
// hash in place must call SetFieldDeadline afterwards. The expirer and Peek then remove
// what is due, some fields at a time, and the key with its last field.

// nextFieldDeadline is the earliest deadline of a value's fields, 0: none.
func nextFieldDeadline(typ types.Type, enc types.Encoding, packed []byte, o types.Object) int64 {
	if typ != types.THash || enc == types.EncListpack {
		return 0
	}
	var h types.Hash
	h.Load(enc, packed, o)
	return h.NextDeadline()
}

// SetFieldDeadline notes the earliest deadline of the fields of the hash at k,
// in Unix milliseconds; 0: none of them has one. It is no change of the value.
func (t *Tx) SetFieldDeadline(k *Key, next int64) {
	st, sh, sl, i, l := t.place(k)
	if i < 0 {
		return
	}
	var e Entry
	st.readEntry(l, &e)
	old := e.FieldDeadline()
	if old == next {
		return
	}
	if old != 0 && next != 0 {
		e.setFieldDeadlineInPlace(next)
	} else {
		var ne Entry
		had := st.entries.Used()
		m := e.Marks()
		st.newEntry(&ne, e.Key(), e.Type(), e.Encoding(), e.n, e.Deadline(), next, e.Clock(), &m)
		ne.setUses(e.uses())
		copy(ne.mem[ne.pay:], e.Packed())
		st.setRef(sl, k, i, ne.loc)
		st.entries.Free(l)
		sh.bytes += st.entries.Used() - had
	}
	t.reindex(&sh.fieldDeadlines, st, k, old, next)
}

// FieldsDue tells whether some field of the hash is due and still there: they
// go some at a time. It must not be seen, unless while replaying.
func (t *Tx) FieldsDue(e *Entry) bool {
	d := e.FieldDeadline()
	return d != 0 && d <= t.Now && !t.Replaying
}

// dueAtOnce is the number of fields that are removed when a command meets
// them; of the rest, nothing is seen.
const dueAtOnce = 128

// withoutDue makes the entry of a hash with due fields what it is after these, or
// the first of them, are removed; no entry if they were all that it had.
func (t *Tx) withoutDue(k *Key, e *Entry) {
	if t.HideExpired {
		var h types.Hash
		loadHash(&h, e)
		live := false
		h.Each(t.Now, func(_, _ types.Elem, _ int64) bool { live = true; return false })
		if !live {
			*e = Entry{}
		}
		return
	}
	by := t.By
	t.By = nil // the deadline removes them, not the command that looks
	t.expireFields(k, dueAtOnce)
	t.By = by
	st, _, _, i, l := t.place(k)
	if i < 0 {
		*e = Entry{}
		return
	}
	st.readEntry(l, e)
}

func loadHash(h *types.Hash, e *Entry) {
	if o := e.Object(); o != nil {
		h.Load(e.Encoding(), nil, o)
	} else {
		h.Load(e.Encoding(), e.Packed(), nil)
	}
}

var hdelWord = []byte("HDEL")

// expireFields removes at most limit due fields of the hash at k, and the key
// if none is left, and journals that. It returns their number.
func (t *Tx) expireFields(k *Key, limit int) int {
	st, sh, _, i, l := t.place(k)
	if i < 0 {
		return 0
	}
	var e Entry
	st.readEntry(l, &e)
	o := e.Object()
	var h types.Hash
	var bytes int64
	if o != nil {
		bytes = t.WritableObject(k, &e).Bytes()
		h.Load(e.Encoding(), nil, o)
	} else {
		h.Load(e.Encoding(), t.Writable(k, &e), nil)
	}
	effect := [][]byte{hdelWord, k.B}
	journaled := t.ks.Journal.Active() || t.ks.observedFields.Load()
	n := h.ExpireDue(t.Now, limit, func(field types.Elem) {
		if journaled {
			effect = append(effect, field.Append(nil))
		}
	})
	if n == 0 {
		panic("keyspace: a hash without the due field that is noted")
	}
	if o != nil {
		st.grew(sh, o.Bytes()-bytes)
	}
	gone := h.Len(0) == 0
	if gone {
		t.remove(k)
	} else {
		if enc, packed, _ := h.Stored(); o == nil {
			t.Edit(k, enc, packed, nil)
		} else {
			t.Changed(k)
		}
		t.SetFieldDeadline(k, h.NextDeadline())
	}
	t.ks.Stats.ExpiredFields.Add(int64(n))
	t.ks.Journal.Append(t.num, effect...)
	if f := t.ks.hooks.FieldsExpired; f != nil {
		f(t.num, k.B, effect[2:], gone)
	}
	return n
}
