package command

import (
	"encoding/binary"
	"slices"
	"strconv"

	"kvd/keyspace"
	"kvd/resp/wire"
	"kvd/types"
)

// Strings as commands read and write them.

// EmbstrMax is the longest string that OBJECT ENCODING calls embstr.
const EmbstrMax = 44

// StringValue is a string as a command reads it, whatever its encoding. The
// bytes alias the entry or the Ctx's scratch, until the next one is read.
type StringValue struct {
	B   []byte
	Big *types.BigString
}

// StringOf reads the string of an entry, which must be one.
func (c *Ctx) StringOf(e *keyspace.Entry) StringValue {
	switch e.Encoding() {
	case types.EncInt:
		c.Scratch = strconv.AppendInt(c.Scratch[:0], e.Int(), 10)
		return StringValue{B: c.Scratch}
	case types.EncChunked:
		return StringValue{Big: e.Object().(*types.BigString)}
	}
	return StringValue{B: e.Packed()}
}

// Len is the length in bytes.
func (v StringValue) Len() int {
	if v.Big != nil {
		return v.Big.Len()
	}
	return len(v.B)
}

// Bytes is the whole string in one piece.
func (v StringValue) Bytes() []byte {
	if v.Big != nil {
		return v.Big.AppendRange(nil, 0, v.Big.Len())
	}
	return v.B
}

// Piece is the bytes from off on that lie together; off is below len.
func (v StringValue) Piece(off int) []byte {
	if v.Big != nil {
		return v.Big.Chunk(off)
	}
	return v.B[off:]
}

// ByteAt is the byte at off, zero behind the end.
func (v StringValue) ByteAt(off int) byte {
	if off >= v.Len() {
		return 0
	}
	return v.Piece(off)[0]
}

// View is the string as it is now, for a worker to read; release it.
func (v StringValue) View() StringValue {
	if v.Big != nil {
		v.Big = v.Big.Copy().(*types.BigString)
	}
	return v
}

// Release gives back what View has taken.
func (v StringValue) Release() {
	if v.Big != nil {
		v.Big.Free(int64(v.Big.Len()))
	}
}

// ReplyString replies with the string of an entry.
func (c *Ctx) ReplyString(e *keyspace.Entry) {
	switch e.Encoding() {
	case types.EncInt:
		c.W.BulkInt(e.Int())
	case types.EncChunked:
		v := c.StringOf(e)
		c.ReplyRange(v, 0, v.Len())
	default:
		c.W.Bulk(e.Packed())
	}
}

// PutString sets the value at a key to a string, in the encoding that suits.
func (c *Ctx) PutString(k *keyspace.Key, b []byte, deadline int64) {
	c.PutMarkedString(k, b, deadline, nil)
}

// PutMarkedString is PutString for a value with marks; m is nil for one without.
func (c *Ctx) PutMarkedString(k *keyspace.Key, b []byte, deadline int64, m *keyspace.Marks) {
	if len(b) <= 20 {
		if n, ok := ParseInt(b); ok {
			binary.LittleEndian.PutUint64(c.PutMarked(k, types.TString, types.EncInt, 8, deadline, m), uint64(n))
			return
		}
	}
	switch {
	case len(b) <= EmbstrMax:
		copy(c.PutMarked(k, types.TString, types.EncEmbstr, len(b), deadline, m), b)
	case len(b) <= keyspace.InlineMax:
		copy(c.PutMarked(k, types.TString, types.EncRaw, len(b), deadline, m), b)
	default:
		var s *types.BigString
		if c.take(b) {
			s = types.KeepBigString(b)
		} else {
			s = types.NewBigString(b)
		}
		c.PutObjectMarked(k, types.TString, types.EncChunked, s, deadline, m)
	}
}

// ReadAtOnce is the length in bytes up to which a string is read through on
// the event loop: a fraction of a millisecond.
const ReadAtOnce = 2 << 20

// ReadString replies with what f makes of a string: at once, or on a worker where
// the string is long.
func (c *Ctx) ReadString(v StringValue, f func(w *wire.Writer, v StringValue)) {
	if v.Len() <= ReadAtOnce {
		f(c.W, v)
		return
	}
	v = v.View()
	c.Aside(func(w *wire.Writer) {
		f(w, v)
		v.Release()
	})
}

// ReplyRange replies with the bytes [from, to) as a bulk.
func (c *Ctx) ReplyRange(v StringValue, from, to int) {
	if v.Big == nil {
		c.W.Bulk(v.B[from:to])
		return
	}
	b := slices.Grow(c.W.Buf, to-from+32)
	b = append(b, '$')
	b = strconv.AppendInt(b, int64(to-from), 10)
	b = append(b, '\r', '\n')
	b = v.Big.AppendRange(b, from, to)
	c.W.Buf = append(b, '\r', '\n')
}

// SendString is ReplyString, and SendRange ReplyRange, for commands that only read:
// what is long is copied aside.
func (c *Ctx) SendString(e *keyspace.Entry) {
	switch e.Encoding() {
	case types.EncInt:
		c.W.BulkInt(e.Int())
	case types.EncChunked:
		v := c.StringOf(e)
		c.SendRange(v, 0, v.Len())
	default:
		c.W.Bulk(e.Packed())
	}
}

// SendRange see SendString.
func (c *Ctx) SendRange(v StringValue, from, to int) {
	if v.Big == nil || to-from <= LongReadBytes || !c.CanBlock() {
		c.ReplyRange(v, from, to)
		return
	}
	big := v.Big.Copy().(*types.BigString)
	c.Aside(func(w *wire.Writer) {
		defer FreeAll(big)
		w.BulkFrom(to-from, func(dst []byte, i, j int) []byte { return big.AppendRange(dst, from+i, from+j) })
	})
}

// PutInt sets the value at a key to an integer; a deadline of 0 is none.
func (c *Ctx) PutInt(k *keyspace.Key, n int64, deadline int64) {
	binary.LittleEndian.PutUint64(c.PutSpace(k, types.TString, types.EncInt, 8, deadline), uint64(n))
}

// NumberAt reads the number at a key; a missing key counts as 0.
func (c *Ctx) NumberAt(e *keyspace.Entry) (int64, bool) {
	if !e.Exists() {
		return 0, true
	}
	if e.Encoding() == types.EncInt {
		return e.Int(), true
	}
	v := c.StringOf(e)
	if v.Len() > 32 {
		c.Err(ErrNotInt)
		return 0, false
	}
	n, ok := ParseInt(v.Bytes())
	if !ok {
		c.Err(ErrNotInt)
	}
	return n, ok
}

// WriteString writes b at offset off of the string at k, filling a gap with
// zeros; e may be no entry.
func (c *Ctx) WriteString(k *keyspace.Key, e *keyspace.Entry, off int, b []byte) {
	if !e.Exists() {
		if off+len(b) > keyspace.InlineMax {
			s := types.NewBigString(nil)
			s.WriteAt(off, b)
			c.PutObject(k, types.TString, types.EncChunked, s, 0)
			return
		}
		mem := c.PutSpace(k, types.TString, types.EncRaw, off+len(b), 0)
		clear(mem[:off])
		copy(mem[off:], b)
		return
	}
	if e.Encoding() == types.EncChunked {
		s := c.WritableObject(k, e).(*types.BigString)
		before := s.Bytes()
		s.WriteAt(off, b)
		c.Grew(k, s.Bytes()-before)
		c.Changed(k)
		return
	}
	n := c.StringOf(e).Len()
	if off+len(b) > keyspace.InlineMax {
		s := types.NewBigString(c.StringOf(e).Bytes())
		s.WriteAt(off, b)
		c.Edit(k, types.EncChunked, nil, s)
		return
	}
	var cur []byte
	if e.Encoding() == types.EncInt {
		cur = append([]byte(nil), c.StringOf(e).B...)
	} else {
		cur = c.Writable(k, e)
	}
	if need := off + len(b); need > n {
		if need <= cap(cur) {
			cur = cur[:need]
		} else {
			cur = append(make([]byte, 0, need), cur...)[:need]
		}
		if off > n {
			clear(cur[n:off])
		}
	}
	copy(cur[off:], b)
	c.Edit(k, types.EncRaw, cur, nil)
}
