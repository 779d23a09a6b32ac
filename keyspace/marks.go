package keyspace

import (
	"encoding/binary"
	"time"
)

// Marks are what clients of caches keep with a value, besides its deadline. Commands of
// Redis know nothing of them; an entry without any pays nothing.
type Marks struct {
	// Flags are the client's: it finds in them how the value is to be read. They are
	// part of the data. Commands that set the whole value drop them, commands that change
	// it keep them.
	Flags uint32
	// Unique is the number of this version of the value, 0: it has none yet, because
	// nobody asked. It is memory's only, and every change of the value drops it.
	Unique uint64
	// Stale: the value is to be replaced, and is used meanwhile. Sent: one client was
	// told that it is the one to do so. Both go with the next change of the value.
	Stale, Sent bool
	// Fetched: the value was asked for since it was set.
	Fetched bool
}

const (
	flagsMarks = flagClient | flagUnique

	markStale = 1 << 0
	markSent  = 1 << 1
)

// numbered tells whether the marks need the part with the number.
func (m *Marks) numbered() bool { return m.Unique != 0 || m.Stale || m.Sent }

// flags are the flags of the marks' parts.
func (m *Marks) flags() (f byte) {
	if m.Flags != 0 {
		f |= flagClient
	}
	if m.numbered() {
		f |= flagUnique
	}
	return f
}

// size is the length of the marks' parts.
func (m *Marks) size() int { return int(layout[m.flags()]) }

// put writes the marks' parts at pos, and their flags, and returns where they end.
func (m *Marks) put(mem []byte, pos int) int {
	mem[1] = mem[1]&^(flagsMarks|flagFetched) | m.flags()
	if m.Fetched {
		mem[1] |= flagFetched
	}
	if m.Flags != 0 {
		binary.LittleEndian.PutUint32(mem[pos:], m.Flags)
		pos += clientSize
	}
	if m.numbered() {
		binary.LittleEndian.PutUint64(mem[pos:], m.Unique)
		mem[pos+8] = 0
		if m.Stale {
			mem[pos+8] |= markStale
		}
		if m.Sent {
			mem[pos+8] |= markSent
		}
		pos += uniqueSize
	}
	return pos
}

// marksAt is where the marks' parts stand.
func (e *Entry) marksAt() int {
	return entryHead + int(layout[e.mem[1]&(flagLongKey|flagDeadline|flagFields)])
}

// Marks are the entry's marks.
func (e *Entry) Marks() (m Marks) {
	f := e.mem[1]
	if f&(flagsMarks|flagFetched) == 0 {
		return m
	}
	m.Fetched = f&flagFetched != 0
	pos := e.marksAt()
	if f&flagClient != 0 {
		m.Flags = binary.LittleEndian.Uint32(e.mem[pos:])
		pos += clientSize
	}
	if f&flagUnique != 0 {
		m.Unique = binary.LittleEndian.Uint64(e.mem[pos:])
		m.Stale, m.Sent = e.mem[pos+8]&markStale != 0, e.mem[pos+8]&markSent != 0
	}
	return m
}

func (e *Entry) clientFlags() uint32 {
	if e.mem[1]&flagClient == 0 {
		return 0
	}
	return binary.LittleEndian.Uint32(e.mem[e.marksAt():])
}

// SetFetched notes that the value was asked for. It is no change of it.
func (e *Entry) SetFetched() { e.mem[1] |= flagFetched }

// NextUnique is a number that no version of a value has. It begins with the second in
// which the process began to number, so that a number from before a restart or from
// another server is mostly one that never comes again.
func (ks *Keyspace) NextUnique() uint64 {
	if ks.numbers.Load() == 0 {
		ks.numbers.CompareAndSwap(0, uint64(time.Now().Unix())<<32)
	}
	return ks.numbers.Add(1)
}

// SetMarks gives an entry other marks. That is no change of the value, so a caller that
// changes Flags must call Tx.Changed before. e is the entry as it stands afterwards.
func (t *Tx) SetMarks(k *Key, e *Entry, m Marks) {
	if m.numbered() && !t.ks.numbered.Load() {
		t.ks.numbered.Store(true)
	}
	if e.mem[1]&flagsMarks == m.flags() {
		m.put(e.mem, e.marksAt())
		return
	}
	st, sh, sl, i, l := t.place(k)
	var ne Entry
	had := st.entries.Used()
	st.newEntry(&ne, e.Key(), e.Type(), e.Encoding(), e.n, e.Deadline(), e.FieldDeadline(), e.Clock(), &m)
	ne.setUses(e.uses())
	copy(ne.mem[ne.pay:], e.Packed())
	st.setRef(sl, k, i, ne.loc)
	st.entries.Free(l)
	sh.bytes += st.entries.Used() - had
	*e = ne
}

// SetFlags gives an existing value a client's flags.
func (t *Tx) SetFlags(k *Key, flags uint32) {
	e := t.Peek(k)
	if !e.Exists() || e.clientFlags() == flags {
		return
	}
	t.touch(k)
	e = t.Peek(k)
	m := e.Marks()
	m.Flags = flags
	t.SetMarks(k, &e, m)
}

// dropUnique forgets the number of the value at k, which changes.
func (t *Tx) dropUnique(k *Key) {
	st, _, _, i, l := t.place(k)
	if i < 0 {
		return
	}
	h := st.entries.Head(l)
	if h[1]&(flagUnique|flagFetched) == 0 {
		return
	}
	h[1] &^= flagFetched
	if h[1]&flagUnique == 0 {
		return
	}
	pos := entryHead + int(layout[h[1]&(flagsLayout&^flagUnique)])
	clear(st.entries.Slice(l, pos+uniqueSize)[pos:])
}
