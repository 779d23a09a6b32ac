package keyspace

import (
	"encoding/binary"

	"kvd/types"
	"kvd/types/slab"
)

// An entry is one slab object:
//
//	byte 0     type (low 4 bits), encoding (high 4 bits); never zero
//	byte 1     flags (bits 0-5), and how often the key was asked for lately (bits 6-7)
//	byte 2     length of the key, unless flagLongKey
//	bytes 3-5  access clock: LRU seconds (24 bits), or LFU minutes (16) and counter (8)
//	bytes 6-7  length of the payload
//	4 bytes    length of the key, with flagLongKey
//	8 bytes    deadline in Unix milliseconds, with flagDeadline
//	8 bytes    earliest deadline of a field, likewise, with flagFields
//	4 bytes    flags that a client keeps with the value, with flagClient; see Marks
//	9 bytes    unique number and state, with flagUnique; likewise
//	the key
//	the payload: the packed value, or the 8 byte number of its Object
const (
	entryHead = 8

	flagDeadline = 1 << 0
	flagLongKey  = 1 << 1
	flagFields   = 1 << 2
	flagClient   = 1 << 3
	flagUnique   = 1 << 4
	flagFetched  = 1 << 5
	flagsLayout  = 1<<5 - 1 // those that move the key

	clientSize = 4
	uniqueSize = 9

	// uses is the number of accesses, as far as two bits can say: see raiseUses.
	usesShift = 6
	usesMax   = 3
)

// layout is how many bytes the parts that flags announce take, by these flags.
var layout = func() (sizes [flagsLayout + 1]byte) {
	for f := range sizes {
		for _, part := range []struct{ flag, size int }{{flagLongKey, 4}, {flagDeadline, 8}, {flagFields, 8}, {flagClient, clientSize}, {flagUnique, uniqueSize}} {
			if f&part.flag != 0 {
				sizes[f] += byte(part.size)
			}
		}
	}
	return sizes
}()

// InlineMax is the longest packed value that lives inside its entry. Longer
// strings are chunked (types.BigString).
const InlineMax = 63 << 10

// Entry is a key's entry as it stands in memory now. It is valid until the
// next mutation through the same Tx, or the end of the command.
type Entry struct {
	mem []byte // the whole object, its unused end included; nil: no entry
	st  *stripe
	loc slab.Loc
	pay int // where the payload starts in mem
	n   int // its length
}

// readEntry reads the entry at l into e. It does not return an Entry, nor do others
// that are called often: to copy one as a whole right after it was made is to
// wait for its fields to reach the cache, some 5 ns each time.
func (st *stripe) readEntry(l slab.Loc, e *Entry) {
	h := st.entries.Head(l)
	pos := entryHead + int(h[2])
	if f := h[1] & flagsLayout; f != 0 {
		if f&flagLongKey != 0 {
			pos = entryHead + int(binary.LittleEndian.Uint32(h[8:]))
		}
		pos += int(layout[f])
	}
	n := int(binary.LittleEndian.Uint16(h[6:]))
	e.mem, e.st, e.loc, e.pay, e.n = st.entries.Slice(l, pos+n), st, l, pos, n
}

// keyAt is the key of the entry at l.
func (st *stripe) keyAt(l slab.Loc) []byte {
	h := st.entries.Head(l)
	pos, n := entryHead, int(h[2])
	if f := h[1] & flagsLayout; f != 0 {
		if f&flagLongKey != 0 {
			n = int(binary.LittleEndian.Uint32(h[8:]))
		}
		pos += int(layout[f])
	}
	return st.entries.Slice(l, pos+n)[pos:]
}

// Exists tells whether there is an entry at all.
func (e *Entry) Exists() bool { return e.mem != nil }

// Type is the value's type; NoType where there is no entry.
func (e *Entry) Type() types.Type {
	if e.mem == nil {
		return types.NoType
	}
	return types.Type(e.mem[0] & 15)
}

// Encoding is the value's encoding.
func (e *Entry) Encoding() types.Encoding { return types.Encoding(e.mem[0] >> 4) }

// Key is the entry's key; it aliases the entry.
func (e *Entry) Key() []byte { return e.st.keyAt(e.loc) }

// Packed is the packed value. It aliases the entry and must not be changed;
// see Tx.Edit.
func (e *Entry) Packed() []byte { return e.mem[e.pay : e.pay+e.n : e.pay+e.n] }

// Int is the value of an EncInt string.
func (e *Entry) Int() int64 { return int64(binary.LittleEndian.Uint64(e.mem[e.pay:])) }

// Object is the value behind the handle, nil for a packed value.
func (e *Entry) Object() types.Object {
	if !e.Encoding().IsObject() {
		return nil
	}
	return e.st.objects.get(binary.LittleEndian.Uint64(e.mem[e.pay:]))
}

// Deadline is when the key expires, in Unix milliseconds; 0 is never.
func (e *Entry) Deadline() int64 {
	if e.mem[1]&flagDeadline == 0 {
		return 0
	}
	pos := entryHead
	if e.mem[1]&flagLongKey != 0 {
		pos += 4
	}
	return int64(binary.LittleEndian.Uint64(e.mem[pos:]))
}

func (e *Entry) setDeadlineInPlace(ms int64) {
	pos := entryHead
	if e.mem[1]&flagLongKey != 0 {
		pos += 4
	}
	binary.LittleEndian.PutUint64(e.mem[pos:], uint64(ms))
}

// FieldDeadline is when the first field of a hash expires, in Unix
// milliseconds; 0: none does. See Tx.SetFieldDeadline.
func (e *Entry) FieldDeadline() int64 {
	if e.mem == nil || e.mem[1]&flagFields == 0 {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(e.mem[e.fieldsAt():]))
}

func (e *Entry) setFieldDeadlineInPlace(ms int64) {
	binary.LittleEndian.PutUint64(e.mem[e.fieldsAt():], uint64(ms))
}

// fieldsAt is where the deadline of fields stands.
func (e *Entry) fieldsAt() int {
	pos := entryHead
	if e.mem[1]&flagLongKey != 0 {
		pos += 4
	}
	if e.mem[1]&flagDeadline != 0 {
		pos += 8
	}
	return pos
}

// Clock is the 24-bit access clock.
func (e *Entry) Clock() uint32 {
	return binary.LittleEndian.Uint32(e.mem[2:6]) >> 8
}

// SetClock stores the 24-bit access clock. It is no change of the value: no
// snapshot or journal needs it.
func (e *Entry) SetClock(c uint32) {
	e.mem[3], e.mem[4], e.mem[5] = byte(c), byte(c>>8), byte(c>>16)
}

// uses and setUses are the two bits that count accesses. Like the clock they are
// no part of the value.
func (e *Entry) uses() byte     { return e.mem[1] >> usesShift }
func (e *Entry) setUses(n byte) { e.mem[1] = e.mem[1]&(1<<usesShift-1) | n<<usesShift }

// Memory is the number of bytes that the key takes: its entry, its place in
// the table, and the Object behind it.
func (e *Entry) Memory() int64 {
	n := int64(e.st.entries.Size(e.loc)) + 10
	if o := e.Object(); o != nil {
		n += o.Bytes()
	}
	if e.mem[1]&flagDeadline != 0 {
		n += deadlineBytes
	}
	if e.mem[1]&flagFields != 0 {
		n += deadlineBytes
	}
	return n
}

// fits tells whether a payload of n bytes finds room in the object of this one, and would
// not be given a smaller one.
func (e *Entry) fits(n int) bool {
	return e.pay+n == len(e.mem) || slab.RoundUp(e.pay+n) == slab.RoundUp(len(e.mem))
}

// newEntry allocates and fills an entry but for its payload, n bytes, which is
// left as it comes. m is nil for an entry without marks.
func (st *stripe) newEntry(e *Entry, key []byte, t types.Type, enc types.Encoding, n int, deadline, fields int64, clock uint32, m *Marks) {
	size := entryHead + len(key) + n
	if m != nil {
		size += m.size()
	}
	if len(key) > 255 {
		size += 4
	}
	if deadline != 0 {
		size += 8
	}
	if fields != 0 {
		size += 8
	}
	l := st.entries.Alloc(size)
	mem := st.entries.Slice(l, size)
	mem[0] = byte(t) | byte(enc)<<4
	mem[1], mem[2] = 0, byte(len(key))
	mem[3], mem[4], mem[5] = byte(clock), byte(clock>>8), byte(clock>>16)
	binary.LittleEndian.PutUint16(mem[6:], uint16(n))
	pos := entryHead
	if len(key) > 255 {
		mem[1], mem[2] = flagLongKey, 0
		binary.LittleEndian.PutUint32(mem[8:], uint32(len(key)))
		pos += 4
	}
	if deadline != 0 {
		mem[1] |= flagDeadline
		binary.LittleEndian.PutUint64(mem[pos:], uint64(deadline))
		pos += 8
	}
	if fields != 0 {
		mem[1] |= flagFields
		binary.LittleEndian.PutUint64(mem[pos:], uint64(fields))
		pos += 8
	}
	if m != nil {
		pos = m.put(mem, pos)
	}
	pos += copy(mem[pos:], key)
	e.mem, e.st, e.loc, e.pay, e.n = mem, st, l, pos, n
}

// resizedEntry allocates an entry like another one, but for the encoding and the payload:
// n bytes, which are left as they come. The other entry stays.
func (st *stripe) resizedEntry(e, of *Entry, enc types.Encoding, n int) {
	size := of.pay + n
	l := st.entries.Alloc(size)
	mem := st.entries.Slice(l, size)
	copy(mem, of.mem[:of.pay])
	mem[0] = mem[0]&15 | byte(enc)<<4
	binary.LittleEndian.PutUint16(mem[6:], uint16(n))
	e.mem, e.st, e.loc, e.pay, e.n = mem, st, l, of.pay, n
}

// objects is a stripe's table of Objects; an entry holds the number.
type objects struct {
	all  []types.Object
	free []uint32
}

func (o *objects) get(i uint64) types.Object { return o.all[i] }

func (o *objects) put(v types.Object) uint64 {
	if n := len(o.free); n > 0 {
		i := o.free[n-1]
		o.free = o.free[:n-1]
		o.all[i] = v
		return uint64(i)
	}
	o.all = append(o.all, v)
	return uint64(len(o.all) - 1)
}

func (o *objects) set(i uint64, v types.Object) { o.all[i] = v }

func (o *objects) take(i uint64) types.Object {
	v := o.all[i]
	o.all[i] = nil
	o.free = append(o.free, uint32(i))
	return v
}
