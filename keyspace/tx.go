package keyspace

import (
	"encoding/binary"
	"slices"

	"kvd/types"
	"kvd/types/slab"
)

// Tx is a command's way to the keyspace: one database, one moment. The stripes
// of the keys that it is used on must be locked. A Tx is owned by one
// goroutine and reused from command to command.
type Tx struct {
	ks  *Keyspace
	db  *DB
	num int
	// unseen: the database is not served yet, so nobody watches its keys.
	unseen bool

	// Now is the moment of the command, in Unix milliseconds: read once.
	Now int64
	// Replaying is set while a log or a leader's stream is applied, or on a
	// follower: nothing expires by itself then, and Find shows what is there.
	Replaying bool
	// HideExpired hides, without removing, what is past its deadline (a
	// follower's readers).
	HideExpired bool
	// NoTouch leaves the access clock alone (CLIENT NO-TOUCH, and commands
	// that do not count as an access).
	NoTouch bool
	// Clock is the 24-bit access clock of this moment; see SetAccess.
	Clock uint32
	// LFU, where set, computes an entry's next clock from its current one.
	LFU func(clock uint32, now int64) uint32
	// CountUses has accesses counted besides the clock, for the eviction of what was
	// used least recently.
	CountUses bool

	// By tells observers whose command makes the changes. It is nil for changes that
	// are no command's, such as an expiry.
	By any

	// Undo, where set, notes what can be taken back.
	Undo *Undo

	// Dirty counts the changes that the command made (Redis's dirty).
	Dirty int

	// Of the key that expires: memory to use again, a million may be due at once.
	due  Key
	name []byte

	rng uint64 // of chooseStripe
}

// NewTx makes a Tx. Use must be called before anything else.
func (ks *Keyspace) NewTx() *Tx { return &Tx{ks: ks} }

// TxOn makes a Tx on a database. A stripe must be locked, or the keyspace
// known to nobody else.
func (ks *Keyspace) TxOn(db int) *Tx {
	t := ks.NewTx()
	t.Use(db)
	return t
}

// Keyspace is the keyspace that the Tx works on.
func (t *Tx) Keyspace() *Keyspace { return t.ks }

// Use selects a database. It must be called after locking: SWAPDB exchanges
// databases with all stripes locked. See UseNone.
func (t *Tx) Use(db int) { t.db, t.num, t.unseen = t.ks.dbs[db], db, false }

// UseNone is Use for a command that has locked no stripe: it knows the
// database by its number only.
func (t *Tx) UseNone(db int) { t.db, t.num, t.unseen = nil, db, false }

// DB is the number of the database in use.
func (t *Tx) DB() int { return t.num }

// In is the same moment in another database.
func (t *Tx) In(db int) *Tx {
	o := *t
	o.Use(db)
	o.Dirty = 0
	return &o
}

func (t *Tx) stripe(k *Key) *stripe { return &t.ks.stripes[int(k.Slot)>>t.ks.shift] }

// place finds a key's shard, slot and reference; sl is nil in an empty shard,
// i is -1 where the key is not there.
func (t *Tx) place(k *Key) (st *stripe, sh *shard, sl *slot, i int, l slab.Loc) {
	st = t.stripe(k)
	sh = &t.db.shards[st.number]
	i = -1
	if sh.slots != nil {
		sl = &sh.slots[int(k.Slot)&(1<<t.ks.shift-1)]
		i, l = st.find(sl, k)
	}
	return
}

// setRef redirects reference i of a key.
func (st *stripe) setRef(sl *slot, k *Key, i int, l slab.Loc) {
	seg, _ := st.segmentOf(sl, k.Hash)
	seg.refs()[i] = seg.refs()[i]&^locMask | uint64(l)
}

// Peek finds an entry without touching its access clock.
func (t *Tx) Peek(k *Key) (e Entry) {
	t.PeekInto(k, &e)
	return e
}

// PeekInto is Peek that writes to e: no copy is made. What e held is forgotten.
func (t *Tx) PeekInto(k *Key, e *Entry) {
	st, _, _, i, l := t.place(k)
	if i < 0 {
		*e = Entry{}
		return
	}
	st.readEntry(l, e)
	if e.mem[1]&(flagDeadline|flagFields) != 0 && !t.Replaying {
		if e.mem[1]&flagDeadline != 0 && e.Deadline() <= t.Now {
			if !t.HideExpired {
				t.expire(k)
			}
			*e = Entry{}
		} else if t.FieldsDue(e) {
			t.withoutDue(k, e)
		}
	}
}

// Find finds an entry, as an access to it.
func (t *Tx) Find(k *Key) (e Entry) {
	t.FindInto(k, &e)
	return e
}

// FindInto is Find that writes to e: no copy is made. What e held is forgotten.
func (t *Tx) FindInto(k *Key, e *Entry) {
	if t.PeekInto(k, e); e.mem != nil {
		t.Access(e)
	}
}

// Access counts an access to an entry that Peek has found.
func (t *Tx) Access(e *Entry) {
	if !t.NoTouch {
		if t.LFU != nil {
			e.SetClock(t.LFU(e.Clock(), t.Now))
		} else {
			if t.CountUses {
				t.raiseUses(e)
			}
			if e.Clock() != t.Clock {
				e.SetClock(t.Clock)
			}
		}
	}
}

// raiseUses counts an access to the entry.
func (t *Tx) raiseUses(e *Entry) {
	if n := e.uses(); n < usesMax {
		e.setUses(n + 1)
	}
}

// Exists tells whether there is a value at k now.
func (t *Tx) Exists(k *Key) bool {
	e := t.Peek(k)
	return e.Exists()
}

// expire removes a key whose time is over and journals that.
func (t *Tx) expire(k *Key) {
	t.name = append(t.name[:0], k.B...) // which may stand in the entry
	by, undo := t.By, t.Undo
	t.By, t.Undo = nil, nil // the deadline removes it, not the command that looks
	gone := t.remove(k)
	t.By, t.Undo = by, undo
	if !gone {
		return
	}
	t.ks.Stats.Expired.Add(1)
	if t.ks.Journal.Active() { // Append asks too, but its arguments are memory
		t.ks.Journal.Append(t.num, delWord, t.name)
	}
	if h := t.ks.hooks.Expired; h != nil {
		h(t.num, t.name)
	}
}

var delWord = []byte("DEL")

// Put sets the whole value of a key to a packed one: creates the entry or
// replaces it, its type, and its deadline (0: none). The payload is copied.
func (t *Tx) Put(k *Key, typ types.Type, enc types.Encoding, payload []byte, deadline int64) {
	copy(t.PutSpace(k, typ, enc, len(payload), deadline), payload)
	if enc == types.EncListpackEx {
		t.SetFieldDeadline(k, nextFieldDeadline(typ, enc, payload, nil))
	}
}

// PutSpace is Put for a payload of n bytes that the caller fills in at once;
// it must not be a hash whose fields have deadlines.
func (t *Tx) PutSpace(k *Key, typ types.Type, enc types.Encoding, n int, deadline int64) []byte {
	return t.PutMarked(k, typ, enc, n, deadline, nil)
}

// PutMarked is PutSpace for a value with marks; m is nil for one without.
func (t *Tx) PutMarked(k *Key, typ types.Type, enc types.Encoding, n int, deadline int64, m *Marks) []byte {
	if n > InlineMax {
		panic("keyspace: packed value is too long")
	}
	var marked byte
	if m != nil {
		if marked = m.flags(); m.numbered() && !t.ks.numbered.Load() {
			t.ks.numbered.Store(true)
		}
	}
	st, sh, sl, i, l := t.place(k)
	clock := t.newClock()
	had := st.entries.Used()
	if i < 0 {
		var e Entry
		st.newEntry(&e, k.B, typ, enc, n, deadline, 0, clock, m)
		sh.bytes += st.entries.Used() - had
		t.enter(st, sh, k, e.loc, deadline)
		return e.mem[e.pay:]
	}
	t.touch(k)
	var e Entry
	st.readEntry(l, &e)
	if t.CountUses {
		t.raiseUses(&e)
	}
	old, fields, uses := e.Deadline(), e.FieldDeadline(), e.uses()
	sh.bytes -= st.dropObject(&e)
	if (old != 0) == (deadline != 0) && fields == 0 && e.fits(n) && e.mem[1]&flagsMarks == marked {
		// The same object serves.
		e.mem = st.entries.Slice(l, e.pay+n)
		if e.mem[1] &^= flagFetched; m != nil {
			m.put(e.mem, e.marksAt())
		}
		e.mem[0] = byte(typ) | byte(enc)<<4
		e.SetClock(clock)
		binary.LittleEndian.PutUint16(e.mem[6:], uint16(n))
		if deadline != old {
			e.setDeadlineInPlace(deadline)
			t.reindex(&sh.deadlines, st, k, old, deadline)
		}
		return e.mem[e.pay:]
	}
	st.newEntry(&e, k.B, typ, enc, n, deadline, 0, clock, m)
	e.setUses(uses)
	st.setRef(sl, k, i, e.loc)
	st.entries.Free(l)
	sh.bytes += st.entries.Used() - had
	if deadline != old {
		t.reindex(&sh.deadlines, st, k, old, deadline)
	}
	if fields != 0 {
		t.reindex(&sh.fieldDeadlines, st, k, fields, 0)
	}
	return e.mem[e.pay:]
}

// PutObject sets the whole value of a key to an Object.
func (t *Tx) PutObject(k *Key, typ types.Type, enc types.Encoding, o types.Object, deadline int64) {
	t.PutObjectMarked(k, typ, enc, o, deadline, nil)
}

// PutObjectMarked is PutObject for a value with marks; m is nil for one without.
func (t *Tx) PutObjectMarked(k *Key, typ types.Type, enc types.Encoding, o types.Object, deadline int64, m *Marks) {
	b := t.PutMarked(k, typ, enc, 8, deadline, m)
	st := t.stripe(k)
	binary.LittleEndian.PutUint64(b, st.objects.put(o))
	st.grew(&t.db.shards[st.number], o.Bytes())
	if typ == types.THash {
		t.SetFieldDeadline(k, nextFieldDeadline(typ, enc, nil, o))
	}
}

// Edit replaces the value of an existing entry, keeping its deadline: o is
// nil for a packed value. Payload may alias the entry's own Packed. After a
// change of the deadlines of a hash's fields the caller must call SetFieldDeadline.
func (t *Tx) Edit(k *Key, enc types.Encoding, payload []byte, o types.Object) {
	t.Changed(k)
	t.Recode(k, enc, payload, o)
}

// Recode is Edit that tells nobody of a change: the value is the same in another
// form, or the change was told already.
func (t *Tx) Recode(k *Key, enc types.Encoding, payload []byte, o types.Object) {
	st, sh, sl, i, l := t.place(k)
	t.save(k)
	var e Entry
	st.readEntry(l, &e)
	had := st.entries.Used()
	if o != nil {
		if cur := e.Object(); cur != nil {
			// The Object is the same one, or replaces it.
			h := binary.LittleEndian.Uint64(e.mem[e.pay:])
			if cur != o {
				st.grew(sh, o.Bytes()-cur.Bytes())
				st.objects.set(h, o)
				t.ks.lazy.add(cur)
			}
			e.mem[0] = e.mem[0]&15 | byte(enc)<<4
			return
		}
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], st.objects.put(o))
		st.grew(sh, o.Bytes())
		payload = b[:]
	} else {
		if len(payload) > InlineMax {
			panic("keyspace: packed value is too long")
		}
		sh.bytes -= st.dropObject(&e)
	}
	n := len(payload)
	if e.fits(n) {
		e.mem = st.entries.Slice(l, e.pay+n)
		e.n = n
		e.mem[0] = e.mem[0]&15 | byte(enc)<<4
		binary.LittleEndian.PutUint16(e.mem[6:], uint16(n))
		copy(e.mem[e.pay:], payload)
		return
	}
	var ne Entry
	st.resizedEntry(&ne, &e, enc, n)
	copy(ne.mem[ne.pay:], payload)
	st.setRef(sl, k, i, ne.loc)
	st.entries.Free(l)
	sh.bytes += st.entries.Used() - had
}

// Writable is the packed value of an entry for changes in place. Its capacity
// is what the entry's memory still holds. A caller that makes it longer within that,
// or moves it to other memory, must call Edit with the result. A caller that only
// changes bytes where they are may call Changed instead.
func (t *Tx) Writable(k *Key, e *Entry) []byte {
	t.save(k)
	room := min(slab.RoundUp(len(e.mem)), e.pay+InlineMax)
	mem := e.st.entries.Slice(e.loc, room)
	return mem[e.pay : e.pay+e.n : room]
}

// WritableObject is the Object of an entry for changes. After a change the
// caller must call Changed, and Grew with the difference of its Bytes.
func (t *Tx) WritableObject(k *Key, e *Entry) types.Object {
	t.save(k)
	return e.Object()
}

// Grew notes that the Object at k changed its size by n bytes.
func (t *Tx) Grew(k *Key, n int64) {
	st := t.stripe(k)
	st.grew(&t.db.shards[st.number], n)
}

// grew notes that the Objects of a shard take n bytes more.
func (st *stripe) grew(sh *shard, n int64) {
	st.objMem += n
	sh.bytes += n
}

// SetInt says that an EncInt string holds another number now.
func (t *Tx) SetInt(k *Key, e *Entry, v int64) {
	t.touch(k)
	binary.LittleEndian.PutUint64(e.mem[e.pay:], uint64(v))
}

// Delete removes a key; false: there was none. What is past its deadline is
// not there.
func (t *Tx) Delete(k *Key) bool {
	e := t.Peek(k)
	return e.Exists() && t.remove(k)
}

// remove removes a key, whatever its deadline says.
func (t *Tx) remove(k *Key) bool {
	st, sh, sl, i, l := t.place(k)
	if i < 0 {
		return false
	}
	t.touch(k)
	var e Entry
	st.readEntry(l, &e)
	if d := e.Deadline(); d != 0 {
		t.reindex(&sh.deadlines, st, k, d, 0)
	}
	if d := e.FieldDeadline(); d != 0 {
		t.reindex(&sh.fieldDeadlines, st, k, d, 0)
	}
	sh.bytes -= st.dropObject(&e)
	if sh.order != nil {
		st.orderKey(sh, e.Key(), true)
	}
	had := st.entries.Used() + st.tables.Used()
	seg, _ := st.segmentOf(sl, k.Hash)
	st.removeKey(sl, seg, k.Hash, i)
	sh.keys--
	if sl.n == 0 {
		sh.occupied.unset(int(k.Slot) & (1<<t.ks.shift - 1))
	}
	st.entries.Free(l)
	sh.bytes += st.entries.Used() + st.tables.Used() - had
	return true
}

// Detach takes the value of a key away from it without freeing its Object,
// and removes the key: for RENAME and MOVE.
func (t *Tx) Detach(k *Key) (typ types.Type, enc types.Encoding, packed []byte, o types.Object, deadline int64, clock, flags uint32) {
	st, sh, _, i, l := t.place(k)
	if i < 0 {
		return
	}
	if t.ks.active || t.Undo != nil {
		t.saveFirst(k) // remove is too late: the entry has lost its Object then
	}
	var e Entry
	st.readEntry(l, &e)
	typ, enc, deadline, clock, flags = e.Type(), e.Encoding(), e.Deadline(), e.Clock(), e.Marks().Flags
	if o = e.Object(); o != nil {
		st.grew(sh, -o.Bytes())
		if i, ok := o.(types.Indexed); ok {
			i.DropIndex() // who looks after it knows the key by name
		}
		st.objects.take(binary.LittleEndian.Uint64(e.mem[e.pay:]))
		e.mem[0] = byte(types.TString) | byte(types.EncRaw)<<4 // no Object to drop any more
	} else {
		packed = slices.Clone(e.Packed())
	}
	t.remove(k)
	return
}

// SetDeadline sets (or with 0 removes) the deadline of an existing entry.
func (t *Tx) SetDeadline(k *Key, deadline int64) {
	st, sh, sl, i, l := t.place(k)
	if i < 0 {
		return
	}
	var e Entry
	st.readEntry(l, &e)
	old := e.Deadline()
	if old == deadline {
		return
	}
	t.save(k)
	t.tell(k) // the value stays, so its number does
	if old != 0 && deadline != 0 {
		e.setDeadlineInPlace(deadline)
	} else {
		var ne Entry
		had := st.entries.Used()
		m := e.Marks()
		st.newEntry(&ne, e.Key(), e.Type(), e.Encoding(), e.n, deadline, e.FieldDeadline(), e.Clock(), &m)
		ne.setUses(e.uses())
		copy(ne.mem[ne.pay:], e.Packed())
		st.setRef(sl, k, i, ne.loc)
		st.entries.Free(l)
		sh.bytes += st.entries.Used() - had
	}
	t.reindex(&sh.deadlines, st, k, old, deadline)
}

// enter puts a new entry into its table.
func (t *Tx) enter(st *stripe, sh *shard, k *Key, l slab.Loc, deadline int64) {
	sl := t.ks.slotOf(t.db, sh, k.Slot)
	t.touch(k)
	had := st.tables.Used()
	st.insert(sl, k.Hash, l)
	sh.bytes += st.tables.Used() - had
	sh.occupied.set(int(k.Slot) & (1<<t.ks.shift - 1))
	sh.keys++
	if t.ks.order.on {
		st.orderKey(sh, k.B, false)
	}
	if deadline != 0 {
		t.reindex(&sh.deadlines, st, k, 0, deadline)
	}
	if t.By != nil && !t.unseen && t.ks.observedNew.Load() {
		if t.Undo != nil {
			t.Undo.Created(t.num, k.B)
		} else {
			t.ks.hooks.Created(t.num, k.B)
		}
	}
}

// dropObject lets go of the Object behind an entry, if there is one: small
// ones at once, big ones in the background. It returns the bytes of the Object.
func (st *stripe) dropObject(e *Entry) int64 {
	if !e.Encoding().IsObject() {
		return 0
	}
	o := st.objects.take(binary.LittleEndian.Uint64(e.mem[e.pay:]))
	n := o.Bytes()
	st.objMem -= n
	if n <= freeAtOnce && o.Free(freeAtOnce) {
		return n
	}
	st.ks.Stats.LazyFreed.Add(1)
	st.ks.lazy.add(o)
	return n
}

// freeAtOnce is the size up to which freeing an Object is too quick to notice.
const freeAtOnce = 64 << 10

// touch is called before k changes: it hands the key as it stands to a running
// snapshot, and tells the observers.
func (t *Tx) touch(k *Key) {
	t.save(k)
	t.Changed(k)
}

// save hands k as it stands to a running snapshot and to Undo. It is called before anything
// at k may change.
func (t *Tx) save(k *Key) {
	if t.ks.active || t.Undo != nil {
		t.saveFirst(k)
	}
}

// Changed tells the observers (WATCH, client-side caching) that the value of k changes.
// It is called once for each real change, with the stripe locked. The other methods of
// Tx call it themselves, except for changes within an Object (see WritableObject).
func (t *Tx) Changed(k *Key) {
	if t.ks.numbered.Load() {
		t.dropUnique(k)
	}
	t.tell(k)
}

// tell tells the observers that k changes.
func (t *Tx) tell(k *Key) {
	if t.ks.observed.Load() && !t.unseen {
		if t.Undo != nil {
			t.Undo.note(t, k).changed = true
			return
		}
		for _, o := range t.ks.observers {
			o.Changed(t.By, t.num, k)
		}
	}
}

func (t *Tx) saveFirst(k *Key) {
	if t.Undo != nil {
		t.Undo.note(t, k)
	}
	if !t.ks.active {
		return
	}
	st := t.stripe(k)
	sh := &t.db.shards[st.number]
	if sh.slots == nil {
		return
	}
	sl := &sh.slots[int(k.Slot)&(1<<t.ks.shift-1)]
	if seg, ok := st.segmentOf(sl, k.Hash); ok {
		st.handOver(t.db, seg, k.Hash)
	}
}

func (t *Tx) newClock() uint32 {
	if t.LFU != nil {
		return t.LFU(lfuNew, t.Now)
	}
	return t.Clock
}

// lfuNew asks Tx.LFU for the clock of a new entry.
const lfuNew = ^uint32(0)

// Flush empties the database in use; the caller holds all stripes. The keys
// are freed in the background; the number of them is returned.
func (t *Tx) Flush() int {
	old := t.ks.dbs[t.num]
	if t.ks.observed.Load() && t.Undo == nil { // whoever caches that a key is missing is told, too
		t.ks.emptied(t.By, t.num, func(k *Key) bool { return t.ks.there(t.num, k, t.Now) })
	}
	if !old.used.Load() {
		return 0
	}
	n := 0
	for i := range old.shards {
		n += old.shards[i].keys
	}
	if n == 0 {
		return 0
	}
	t.ks.dbs[t.num] = t.ks.newDB()
	t.ks.dbsChanged()
	t.db = t.ks.dbs[t.num]
	if t.Undo != nil {
		old.kept = true
		t.Undo.notes = append(t.Undo.notes, undoNote{kind: undoFlush, db: old, num: t.num})
	}
	t.ks.retire(old)
	return n
}

// Swap exchanges two databases; the caller holds all stripes.
func (t *Tx) Swap(a, b int) {
	ks := t.ks
	if t.Undo != nil {
		t.Undo.notes = append(t.Undo.notes, undoNote{kind: undoSwap, num: a, with: b})
	} else if ks.observed.Load() {
		either := func(k *Key) bool { return ks.there(a, k, t.Now) || ks.there(b, k, t.Now) }
		ks.emptied(t.By, a, either)
		ks.emptied(t.By, b, either)
	}
	ks.dbs[a], ks.dbs[b] = ks.dbs[b], ks.dbs[a]
	ks.dbsChanged()
	t.Use(t.num)
}

// there tells whether a key exists, changing nothing.
func (ks *Keyspace) there(db int, k *Key, now int64) bool { return thereIn(ks, ks.dbs[db], k, now) }

func thereIn(ks *Keyspace, db *DB, k *Key, now int64) bool {
	st := &ks.stripes[int(k.Slot)>>ks.shift]
	sh := &db.shards[st.number]
	if sh.slots == nil {
		return false
	}
	i, l := st.find(&sh.slots[int(k.Slot)&(1<<ks.shift-1)], k)
	if i < 0 {
		return false
	}
	var e Entry
	st.readEntry(l, &e)
	d := e.Deadline()
	return d == 0 || d > now
}
