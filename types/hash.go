package types

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
)

// HashLimits is hash-max-listpack-entries (fields) and hash-max-listpack-value
// (bytes).
type HashLimits struct {
	MaxListpackEntries int
	MaxListpackValue   int
}

// DefaultHashLimits are those of Redis 7.0.
var DefaultHashLimits = HashLimits{MaxListpackEntries: 512, MaxListpackValue: 64}

// A Hash maps fields to values; a field may have a deadline of its own. The
// forms, which change where Redis changes them, and never back:
//
//	EncListpack    field and value in turns
//	EncListpackEx  field, value and deadline (0: none) in turns, from the first
//	               deadline on
//	EncHashtable   a table, see table.go, and the deadlines in order: the Object
//
// A hash knows no clock. Where a method takes now (Unix milliseconds), a field
// is due, and as good as gone, if its deadline is now or earlier; 0 shows all.
// Due fields stay until ExpireDue, or a write to them, takes them out.
//
// The zero value is an empty hash. One Hash serves one goroutine, even for
// reading; put one value after another into it with Load. What it returns, or
// calls functions with, aliases the value and is valid until the next change;
// those functions must not change the hash. Fields and values given to methods
// must not alias the hash, unless a method says so. Reading allocates nothing.
type Hash struct {
	Limits HashLimits

	enc    Encoding // as Stored returns it; 0 is an empty hash
	packed Packed
	big    *bigHash
	n      int // fields of packed, -1 if not counted yet

	scratch scratch // kept over loads
}

// Load makes h the stored value: packed, or an Object that Stored returned, or
// a copy of one. No packed bytes are a new hash. It keeps the limits.
func (h *Hash) Load(enc Encoding, packed []byte, obj Object) {
	h.enc, h.packed, h.big, h.n = enc, nil, nil, -1
	switch {
	case enc == EncHashtable:
		h.big = obj.(*bigHash)
	case len(packed) == 0:
		h.enc, h.packed, h.n = EncListpack, packed, 0
	default:
		h.packed = packed
	}
}

// Stored is the value as the keyspace keeps it; packed bytes may lie in memory
// that h will use again. An empty hash is for the caller to drop.
func (h *Hash) Stored() (Encoding, []byte, Object) {
	if h.enc == EncHashtable {
		return h.enc, nil, h.big
	}
	return h.Encoding(), h.packed, nil
}

// Encoding is the form that the hash has now.
func (h *Hash) Encoding() Encoding {
	if h.enc == 0 {
		return EncListpack
	}
	return h.enc
}

// isDue tells whether a deadline has come.
func isDue(deadline, now int64) bool { return deadline != 0 && now != 0 && deadline <= now }

// stride is the number of elements that a field takes in packed.
func (h *Hash) stride() int {
	if h.enc == EncListpackEx {
		return 3
	}
	return 2
}

// count is the number of fields, due ones included.
func (h *Hash) count() int {
	if h.enc == EncHashtable {
		return h.big.count
	}
	if h.n < 0 {
		h.n = h.packed.Count() / h.stride()
	}
	return h.n
}

// anyDue tells whether some field is due.
func (h *Hash) anyDue(now int64) bool { return now != 0 && isDue(h.NextDeadline(), now) }

// Len is the number of fields. A packed hash is walked once.
func (h *Hash) Len(now int64) int {
	n := h.count()
	if h.anyDue(now) {
		n = 0
		h.Each(now, func(_, _ Elem, _ int64) bool { n++; return true })
	}
	return n
}

// Empty tells whether there is no field, due ones included.
func (h *Hash) Empty() bool {
	if h.enc == EncHashtable {
		return h.big.count == 0
	}
	return len(h.packed) == 0
}

// A packedField is a field of a packed hash.
type packedField struct {
	off, valOff, end int // end is behind the value, where the deadline stands
	deadline         int64
}

// fieldAt reads the field at off, and returns what comes behind it.
func (h *Hash) fieldAt(off int) (f packedField, next int) {
	f.off = off
	f.valOff = h.packed.EndOf(off)
	f.end = h.packed.EndOf(f.valOff)
	next = f.end
	if h.enc == EncListpackEx {
		f.deadline = h.packed.At(f.end).I
		next = h.packed.EndOf(f.end)
	}
	return f, next
}

func (h *Hash) findPacked(field []byte) (f packedField, ok bool) {
	off := h.packed.Find(field, h.packed.First(), h.stride()-1)
	if off < 0 {
		return f, false
	}
	f, _ = h.fieldAt(off)
	return f, true
}

// Get is the field's value.
func (h *Hash) Get(field []byte, now int64) (value Elem, ok bool) {
	value, _, ok = h.get(field, now)
	return value, ok
}

func (h *Hash) get(field []byte, now int64) (value Elem, deadline int64, ok bool) {
	if h.enc == EncHashtable {
		r, ok := h.big.get(hashOf(field), field)
		if !ok || isDue(r.deadline, now) {
			return BytesElem(nil), 0, false
		}
		return BytesElem(r.val), r.deadline, true
	}
	f, ok := h.findPacked(field)
	if !ok || isDue(f.deadline, now) {
		return BytesElem(nil), 0, false
	}
	return h.packed.At(f.valOff), f.deadline, true
}

// Has tells whether the field exists.
func (h *Hash) Has(field []byte, now int64) bool {
	_, _, ok := h.get(field, now)
	return ok
}

// StrLen is the length of the field's value in bytes, 0 without the field.
func (h *Hash) StrLen(field []byte, now int64) int {
	v, _, _ := h.get(field, now)
	return v.Len()
}

// Deadline is the field's deadline in Unix milliseconds, 0 for none.
func (h *Hash) Deadline(field []byte, now int64) (ms int64, ok bool) {
	_, ms, ok = h.get(field, now)
	return ms, ok
}

// Set gives the field a value and no deadline, and tells whether it is new.
func (h *Hash) Set(field, value []byte, now int64) (created bool) {
	return !h.put(field, value, 0, now)
}

// Update gives the field a value and leaves its deadline, and tells whether it
// is new.
func (h *Hash) Update(field, value []byte, now int64) (created bool) {
	_, deadline, ok := h.get(field, now)
	h.put(field, value, deadline, now)
	return !ok
}

// Put gives the field a value and a deadline in Unix milliseconds, 0 for none.
func (h *Hash) Put(field, value []byte, deadline int64) { h.put(field, value, deadline, 0) }

// put is Put; it tells whether the field was there and not due.
func (h *Hash) put(field, value []byte, deadline, now int64) (was bool) {
	if deadline != 0 {
		h.makeRoomForDeadlines()
	}
	room := len(h.packed) + len(field) + len(value) + fieldMax
	if h.enc != EncHashtable && (len(field) > h.Limits.MaxListpackValue || len(value) > h.Limits.MaxListpackValue || room > packedMax) {
		h.convert()
	}
	if h.enc == EncHashtable {
		if h.big.due == nil {
			return !h.big.put(hashOf(field), field, value, deadline)
		}
		was = h.Has(field, now)
		h.big.put(hashOf(field), field, value, deadline)
		return was
	}
	f, ok := h.findPacked(field)
	if ok {
		was = !isDue(f.deadline, now)
		if h.enc == EncListpackEx {
			h.setPackedDeadline(f, deadline)
		}
		c := codedOf(value)
		old := f.end - f.valOff
		h.packed = h.scratch.put(h.packed, f.valOff, old, c)
	} else {
		h.packed = h.scratch.room(h.packed, room).Append(field).Append(value)
		if h.enc == EncListpackEx {
			h.packed = h.packed.AppendInt(deadline)
		}
		if h.n >= 0 {
			h.n++
		}
	}
	// Mostly the bytes say that there are not too many fields to count.
	if most := h.Limits.MaxListpackEntries; len(h.packed)/(2*h.stride()) > most && h.count() > most {
		h.convert()
	}
	return was
}

// fieldMax is the most bytes that a field takes besides its own and its value's:
// two codings of 5 bytes, with as many backwards, and a deadline.
const fieldMax = 20 + maxDeadlineElem

// maxDeadlineElem is the most bytes of a deadline as a packed element.
const maxDeadlineElem = 10

func (h *Hash) setPackedDeadline(f packedField, deadline int64) {
	if f.deadline != deadline {
		var buf [maxDecimal]byte
		h.packed = h.packed.Replace(f.end, strconv.AppendInt(buf[:0], deadline, 10))
	}
}

// makeRoomForDeadlines sees to it that one more field can have a deadline.
func (h *Hash) makeRoomForDeadlines() {
	if h.enc == EncHashtable {
		return
	}
	more := maxDeadlineElem
	if h.enc != EncListpackEx {
		more += 2 * h.count()
	}
	if len(h.packed)+more > packedMax {
		h.convert()
		return
	}
	if h.enc == EncListpackEx {
		return
	}
	n := h.count()
	p := make(Packed, 0, len(h.packed)+more)
	for off := 0; off < len(h.packed); {
		_, next := h.fieldAt(off)
		p = append(p, h.packed[off:next]...)
		p = appendIntElem(p, 0)
		off = next
	}
	h.enc, h.packed, h.n = EncListpackEx, p, n
}

// convert makes the hash an Object.
func (h *Hash) convert() {
	big := newBigHash()
	var fbuf, vbuf [maxDecimal]byte
	h.Each(0, func(field, value Elem, deadline int64) bool {
		f, v := field.S, value.S
		if field.IsInt() {
			f = field.Append(fbuf[:0])
		}
		if value.IsInt() {
			v = value.Append(vbuf[:0])
		}
		big.put(hashOf(f), f, v, deadline)
		return true
	})
	h.enc, h.big, h.packed, h.n = EncHashtable, big, nil, -1
}

// Fit makes a hash that came from a file what the limits ask for.
func (h *Hash) Fit() {
	if h.enc != EncHashtable && (h.count() > h.Limits.MaxListpackEntries || len(h.packed) > packedMax) {
		h.convert()
	}
}

// Delete removes the field and tells whether it was there. field may alias the
// hash.
func (h *Hash) Delete(field []byte, now int64) bool {
	if h.enc == EncHashtable {
		deadline, ok := h.big.remove(hashOf(field), field)
		return ok && !isDue(deadline, now)
	}
	f, ok := h.findPacked(field)
	if !ok {
		return false
	}
	n := h.count()
	h.packed = h.packed.Delete(f.off, h.stride())
	h.n = n - 1
	return !isDue(f.deadline, now)
}

// SetDeadline gives the field a deadline, ms being Unix milliseconds and not 0,
// and tells whether the field exists. A deadline that has passed makes the
// field due; it removes nothing.
func (h *Hash) SetDeadline(field []byte, ms, now int64) bool {
	return h.changeDeadline(field, ms, now)
}

// Persist takes the field's deadline away and tells whether it had one.
func (h *Hash) Persist(field []byte, now int64) bool {
	ms, ok := h.Deadline(field, now)
	return ok && ms != 0 && h.changeDeadline(field, 0, now)
}

func (h *Hash) changeDeadline(field []byte, ms, now int64) bool {
	if !h.Has(field, now) {
		return false
	}
	h.makeRoomForDeadlines()
	if h.enc == EncHashtable {
		h.big.setDeadline(hashOf(field), field, ms)
		return true
	}
	f, _ := h.findPacked(field)
	h.setPackedDeadline(f, ms)
	return true
}

// NextDeadline is the earliest deadline of all fields, 0 if none has one.
func (h *Hash) NextDeadline() int64 {
	if h.enc == EncHashtable {
		return h.big.nextDeadline()
	}
	next := int64(0)
	if h.enc == EncListpackEx {
		for off := 0; off < len(h.packed); {
			var f packedField
			if f, off = h.fieldAt(off); f.deadline != 0 && (next == 0 || f.deadline < next) {
				next = f.deadline
			}
		}
	}
	return next
}

// ExpireDue removes up to limit fields that are due, in the order of their
// deadlines, and returns their number. It calls fn for each before it goes.
func (h *Hash) ExpireDue(now int64, limit int, fn func(field Elem)) int {
	if !h.anyDue(now) {
		return 0
	}
	if h.enc == EncHashtable {
		return h.big.expireDue(now, limit, fn)
	}
	var due []packedField
	for off := 0; off < len(h.packed); {
		var f packedField
		if f, off = h.fieldAt(off); isDue(f.deadline, now) {
			due = append(due, f)
		}
	}
	slices.SortStableFunc(due, func(a, b packedField) int { return cmp.Compare(a.deadline, b.deadline) })
	due = due[:min(limit, len(due))]
	for _, f := range due {
		fn(h.packed.At(f.off))
	}
	n := h.count()
	slices.SortFunc(due, func(a, b packedField) int { return cmp.Compare(b.off, a.off) })
	for _, f := range due {
		h.packed = h.packed.Delete(f.off, 3)
	}
	h.n = n - len(due)
	return len(due)
}

// Each calls fn for every field, with its value and its deadline (0: none),
// until fn returns false.
func (h *Hash) Each(now int64, fn func(field, value Elem, deadline int64) bool) {
	if h.enc == EncHashtable {
		h.big.each(func(n *node, ref uint32) bool {
			r := n.record(ref, true)
			return isDue(r.deadline, now) || fn(BytesElem(r.key), BytesElem(r.val), r.deadline)
		})
		return
	}
	for off := 0; off < len(h.packed); {
		var f packedField
		f, off = h.fieldAt(off)
		if !isDue(f.deadline, now) && !fn(h.packed.At(f.off), h.packed.At(f.valOff), f.deadline) {
			return
		}
	}
}

// Scan calls fn for about count fields from cursor on, 0 being the start, and
// returns the cursor to go on from, 0 at the end; as Set.Scan does.
func (h *Hash) Scan(cursor uint64, count int, now int64, fn func(field, value Elem)) uint64 {
	if h.enc == EncHashtable {
		return h.big.scan(cursor, count, func(r record) {
			if !isDue(r.deadline, now) {
				fn(BytesElem(r.key), BytesElem(r.val))
			}
		})
	}
	h.Each(now, func(field, value Elem, _ int64) bool { fn(field, value); return true })
	return 0
}

// Random is a field with its value, each being equally likely; ok is false if
// there is none.
func (h *Hash) Random(now int64) (field, value Elem, ok bool) {
	if h.count() == 0 {
		return field, value, false
	}
	if h.anyDue(now) {
		// Rare: the keyspace expires what is due before anybody looks.
		h.RandomDistinct(1, now, func(f, v Elem) bool { field, value, ok = f, v, true; return false })
		return field, value, ok
	}
	if h.enc == EncHashtable {
		n, i := h.big.random()
		r := n.record(n.refs[i], true)
		return BytesElem(r.key), BytesElem(r.val), true
	}
	f, _ := h.fieldAt(h.packed.Seek(rand.IntN(h.count()) * h.stride()))
	return h.packed.At(f.off), h.packed.At(f.valOff), true
}

// RandomDistinct calls fn for n different fields, or for all if there are not
// so many, until it returns false. Every choice is equally likely, though not
// every order.
func (h *Hash) RandomDistinct(n int, now int64, fn func(field, value Elem) bool) {
	left := h.Len(now)
	if h.enc == EncHashtable && n < left && !h.anyDue(now) {
		h.big.distinct(n, func(leaf *node, ref uint32) bool {
			r := leaf.record(ref, true)
			return fn(BytesElem(r.key), BytesElem(r.val))
		})
		return
	}
	h.Each(now, func(field, value Elem, _ int64) bool {
		if n <= 0 {
			return false
		}
		take := rand.IntN(left) < n
		left--
		if !take {
			return true
		}
		n--
		return fn(field, value)
	})
}

var errHash = errors.New("types: damaged hash")

// Check verifies every invariant; with packed bytes from outside, that they
// are a hash at all. Whatever passes is safe for all the other methods, and
// Fit makes it fit the limits.
func (h *Hash) Check() error {
	switch h.enc {
	case EncHashtable:
		return h.big.Check()
	case EncListpack, EncListpackEx, 0:
	default:
		return fmt.Errorf("types: hash in form %d", h.enc)
	}
	if err := h.packed.Check(); err != nil {
		return err
	}
	n := h.packed.Count()
	if n%h.stride() != 0 {
		return errHash
	}
	n /= h.stride()
	if h.n >= 0 && h.n != n {
		return fmt.Errorf("types: hash counts %d fields, has %d", h.n, n)
	}
	seen := newTable(false)
	var buf [maxDecimal]byte
	for off := 0; off < len(h.packed); {
		var f packedField
		f, off = h.fieldAt(off)
		if h.enc == EncListpackEx {
			if d := h.packed.At(f.end); !d.IsInt() || d.I < 0 {
				return errHash
			}
		}
		b := h.packed.At(f.off).Append(buf[:0])
		if !seen.add(hashOf(b), b) {
			return errHash
		}
	}
	return nil
}
