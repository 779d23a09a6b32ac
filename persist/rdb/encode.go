package rdb

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"

	"kvd/types"
)

// The types of values in files and payloads; see the package comment.
const (
	TypeString         = 0
	TypeList           = 1
	TypeSet            = 2
	TypeZSet           = 3
	TypeHash           = 4
	TypeZSet2          = 5
	TypeHashZipmap     = 9
	TypeListZiplist    = 10
	TypeSetIntset      = 11
	TypeZSetZiplist    = 12
	TypeHashZiplist    = 13
	TypeQuicklist      = 14
	TypeHashListpack   = 16
	TypeZSetListpack   = 17
	TypeQuicklist2     = 18
	TypeSetListpack    = 20
	TypeHashTTLPre     = 22
	TypeListpackTTLPre = 23
	TypeHashTTL        = 24
	TypeListpackTTL    = 25
	TypeStream         = 15
	TypeStream2        = 19
	TypeStream3        = 21
	TypeStreamKvd      = 191
	TypeArrayKvd       = 190 // Redis says nowhere what its own are like
	// TypeValkeyHash is Valkey's hash with deadlines of fields, whose byte is
	// valkeyHash: that of another type of Redis's. No byte of a file is this one.
	TypeValkeyHash = 200

	valkeyHash = 22
)

// ValkeyType is the type that the byte t of one of Valkey's own files (version 80
// on) means. Source: Valkey's src/rdb.h.
func ValkeyType(t byte) byte {
	switch {
	case t == valkeyHash:
		return TypeValkeyHash
	case t > valkeyHash && t <= TypeValkeyHash: // Redis's, or not known
		return TypeValkeyHash + 1
	}
	return t
}

// kinds names what this package does not read, by the byte that says so: types
// of values, and opcodes that stand in their place. Sources: Redis 7.2's and
// Valkey 9's src/rdb.h, and the notes on the releases of Redis's librdb.
var kinds = map[byte]string{
	6: "a value of a module, as Redis 4.0's candidates wrote it", 7: "a value of a module",
	26: "a stream of Redis 8.6", 27: "a stream or an array of Redis 8.8", 28: "a stream or an array of Redis 8.8", TypeValkeyHash + 1: "a type of Valkey 9.2 or later",
	242: "changes beside a snapshot of Valkey's", 243: "the state of a migration of slots in Valkey",
}

// errUnknown names a type that is not read.
func errUnknown(t byte) error {
	if name := kinds[t]; name != "" {
		return fmt.Errorf("%w: %d, %s", ErrUnknown, t, name)
	}
	return fmt.Errorf("%w: %d", ErrUnknown, t)
}

// Version is what is written, VersionTTL where some field has a deadline, and
// MaxVersion the newest that is read: Redis 8's, as far as it knows the types.
// VersionStream3 is that of a payload with a TypeStream3.
const (
	Version        = 10
	VersionStream3 = 11
	VersionTTL     = 12
	MaxVersion     = 15
)

// The kinds of a TypeQuicklist2's nodes.
const (
	nodePlain  = 1
	nodePacked = 2

	// plainMin is the size from which on an element is no listpack, whose
	// size must stay below 4 GiB. Redis's own limit.
	plainMin = 1 << 30
)

// spillAt is the size from which on Spill is called.
const spillAt = 64 << 10

// Span is a string in what was encoded, less than 4 GiB of it: where its length
// starts, and its bytes. Many wait with what they stand in, so they are small.
type Span struct{ At, Len uint32 }

// Encoder writes values. It keeps memory from one to the next; one goroutine
// uses it at a time.
type Encoder struct {
	// Compress strings of more than 20 bytes and up to 64 MiB where that makes
	// them shorter (the directive rdbcompression).
	Compress bool
	// Later, instead, has such strings written as they are and noted in Noted:
	// Squeeze compresses them afterwards.
	Later bool
	Noted []Span
	// Spill, where set, is handed what was encoded so far whenever that
	// becomes more than some 64 KiB, and returns the memory to go on with.
	Spill func(b []byte) []byte
	// Streams19 leaves out when a consumer was last active where that is another
	// time than it was last seen: for files, which Redis 7.0 must be able to load.
	Streams19 bool
	// NoFieldDeadlines, where not 0, is a moment in Unix milliseconds: hashes
	// are written without the deadlines of their fields, which version 10 has
	// no form for, and without the fields that are due by then; streams likewise
	// without what version 10 does not know.
	NoFieldDeadlines int64

	lzf   *lzfTable
	blob  []byte // a listpack being framed
	text  []byte
	tmp   types.Packed
	order []ttlField
	list  types.List
	set   types.Set
	hash  types.Hash
	zset  types.SortedSet
}

// ValueType is the type byte for a value that the keyspace keeps in this form.
func (e *Encoder) ValueType(typ types.Type, enc types.Encoding, packed []byte, obj types.Object) byte {
	return codecOf(typ).Form(e, enc, packed, obj)
}

// EncodeValue appends the body of a value, in the form that ValueType names.
// An Object may be a copy (types.Object.Copy) that nobody else writes to.
func (e *Encoder) EncodeValue(dst []byte, typ types.Type, enc types.Encoding, packed []byte, obj types.Object) []byte {
	return codecOf(typ).Encode(e, dst, enc, packed, obj)
}

// spill lets dst go if it has become long.
func (e *Encoder) spill(dst []byte) []byte {
	if e.Spill != nil && len(dst) >= spillAt {
		return e.Spill(dst)
	}
	return dst
}

// AppendLength appends a length.
func AppendLength(dst []byte, n uint64) []byte {
	switch {
	case n < 1<<6:
		return append(dst, byte(n))
	case n < 1<<14:
		return append(dst, 0x40|byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, 0x80), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0x81), n)
}

// AppendInt appends a string that is the decimal of v.
func AppendInt(dst []byte, v int64) []byte {
	switch {
	case v >= math.MinInt8 && v <= math.MaxInt8:
		return append(dst, 0xC0+codedInt8, byte(v))
	case v >= math.MinInt16 && v <= math.MaxInt16:
		return append(dst, 0xC0+codedInt16, byte(v), byte(v>>8))
	case v >= math.MinInt32 && v <= math.MaxInt32:
		return binary.LittleEndian.AppendUint32(append(dst, 0xC0+codedInt32), uint32(v))
	}
	var buf [20]byte
	text := strconv.AppendInt(buf[:0], v, 10)
	return append(append(dst, byte(len(text))), text...)
}

// AppendString appends a string, the shortest way that the Encoder may take.
func (e *Encoder) AppendString(dst, b []byte) []byte {
	if len(b) <= len("-2147483648") {
		if v, ok := types.ParseInt64(b); ok && v >= math.MinInt32 && v <= math.MaxInt32 {
			return AppendInt(dst, v)
		}
	}
	if e.Compress && len(b) > 20 && len(b) <= lzfMaxIn {
		if e.lzf == nil {
			e.lzf = new(lzfTable)
		}
		if c, ok := e.lzf.compress(e.text[:0], b); ok {
			e.text = c
			dst = append(dst, 0xC0|codedLZF)
			dst = AppendLength(AppendLength(dst, uint64(len(c))), uint64(len(b)))
			return e.spill(append(dst, c...))
		} else {
			e.text = c
		}
		if cap(e.text) > keepMost {
			e.text = nil
		}
	}
	if e.Later && len(b) > 20 && len(b) <= lzfMaxIn {
		e.Noted = append(e.Noted, Span{uint32(len(dst)), uint32(len(b))})
	}
	return e.spill(append(AppendLength(dst, uint64(len(b))), b...))
}

// Squeeze appends what another Encoder has encoded, with the strings that that
// one noted compressed where it makes them shorter.
func (e *Encoder) Squeeze(dst, encoded []byte, noted []Span) []byte {
	done := 0
	var room [9]byte
	for _, s := range noted {
		text := int(s.At) + len(AppendLength(room[:0], uint64(s.Len)))
		end := text + int(s.Len)
		dst = append(dst, encoded[done:s.At]...)
		dst = e.AppendString(dst, encoded[text:end])
		done = end
	}
	return append(dst, encoded[done:]...)
}

func (e *Encoder) elem(dst []byte, v types.Elem) []byte {
	if v.IsInt() {
		return e.spill(AppendInt(dst, v.I))
	}
	return e.AppendString(dst, v.S)
}

func (e *Encoder) str(dst []byte, enc types.Encoding, packed []byte, obj types.Object) []byte {
	switch enc {
	case types.EncInt:
		return AppendInt(dst, int64(binary.LittleEndian.Uint64(packed)))
	case types.EncChunked:
		s := obj.(*types.BigString)
		if (e.Compress || e.Later) && s.Len() <= lzfMaxIn {
			return e.AppendString(dst, s.AppendRange(make([]byte, 0, s.Len()), 0, s.Len()))
		}
		dst = AppendLength(dst, uint64(s.Len()))
		for off := 0; off < s.Len(); {
			b := s.Chunk(off)
			dst = e.spill(append(dst, b...))
			off += len(b)
		}
		return dst
	}
	return e.AppendString(dst, packed)
}

// listpack appends elements as a string that is a listpack.
func (e *Encoder) listpack(dst []byte, p types.Packed) []byte {
	e.blob = binary.LittleEndian.AppendUint32(e.blob[:0], uint32(len(p)+7))
	e.blob = binary.LittleEndian.AppendUint16(e.blob, uint16(min(p.Count(), math.MaxUint16)))
	e.blob = append(append(e.blob, p...), 0xFF)
	dst = e.AppendString(dst, e.blob)
	if cap(e.blob) > keepMost {
		e.blob = nil
	}
	return dst
}

func (e *Encoder) listBody(dst []byte, enc types.Encoding, packed []byte, obj types.Object) []byte {
	e.list.Load(enc, packed, obj)
	n := 0
	e.list.EachPacked(func(types.Packed) bool { n++; return true })
	dst = AppendLength(dst, uint64(n))
	e.list.EachPacked(func(p types.Packed) bool {
		if len(p) >= plainMin && p.Next(p.First()) < 0 {
			dst = e.elem(AppendLength(dst, nodePlain), p.At(0))
		} else {
			dst = e.listpack(AppendLength(dst, nodePacked), p)
		}
		return true
	})
	return dst
}

func (e *Encoder) setBody(dst []byte, enc types.Encoding, packed []byte, obj types.Object) []byte {
	if enc == types.EncIntset {
		e.blob = types.Intset(packed).AppendRedis(e.blob[:0])
		return e.AppendString(dst, e.blob)
	}
	e.set.Load(enc, packed, obj)
	dst = AppendLength(dst, uint64(e.set.Len()))
	e.set.Each(func(m types.Elem) bool {
		dst = e.elem(dst, m)
		return true
	})
	return dst
}

func (e *Encoder) zsetBody(dst []byte, enc types.Encoding, packed []byte, obj types.Object) []byte {
	if enc == types.EncListpack {
		return e.listpack(dst, packed)
	}
	e.zset.Load(enc, packed, obj)
	n := e.zset.Len()
	dst = AppendLength(dst, uint64(n))
	// The greatest first, as Redis does: its skip list takes them quickest so.
	e.zset.Range(0, n, true, func(member []byte, score float64) bool {
		dst = e.AppendString(dst, member)
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(score))
		return true
	})
	return dst
}

// ttlField is a field of a packed hash: the range of its elements.
type ttlField struct {
	deadline int64
	off, end int
}

func (e *Encoder) hashBody(dst []byte, enc types.Encoding, packed []byte, obj types.Object) []byte {
	if enc == types.EncListpack {
		return e.listpack(dst, packed)
	}
	e.hash.Load(enc, packed, obj)
	first := e.hash.NextDeadline()
	if e.NoFieldDeadlines != 0 {
		first = 0
	}
	if enc == types.EncListpackEx {
		return e.packedTTL(dst, packed, first)
	}
	if first != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(first))
	}
	dst = AppendLength(dst, uint64(e.hash.Len(e.NoFieldDeadlines)))
	e.hash.Each(e.NoFieldDeadlines, func(field, value types.Elem, deadline int64) bool {
		if first != 0 {
			ttl := uint64(0)
			if deadline != 0 {
				ttl = uint64(deadline-first) + 1
			}
			dst = AppendLength(dst, ttl)
		}
		dst = e.elem(e.elem(dst, field), value)
		return true
	})
	return dst
}

// packedTTL writes a packed hash with deadlines, the earliest being first. If
// there is none any more, or none is wanted, it is written as a plain listpack.
func (e *Encoder) packedTTL(dst []byte, p types.Packed, first int64) []byte {
	e.order = e.order[:0]
	for off := 0; off < len(p); {
		f := ttlField{off: off, end: p.EndOf(p.EndOf(off))}
		f.deadline = p.At(f.end).I
		off = p.EndOf(f.end)
		if f.deadline != 0 && f.deadline <= e.NoFieldDeadlines {
			continue
		}
		if first != 0 {
			f.end = off
		}
		e.order = append(e.order, f)
	}
	slices.SortStableFunc(e.order, func(a, b ttlField) int {
		switch {
		case a.deadline == b.deadline:
			return 0
		case b.deadline == 0 || a.deadline != 0 && a.deadline < b.deadline:
			return -1
		}
		return 1
	})
	e.tmp = e.tmp[:0]
	for _, f := range e.order {
		e.tmp = append(e.tmp, p[f.off:f.end]...)
	}
	if first != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(first))
	}
	return e.listpack(dst, e.tmp)
}

var encoders = sync.Pool{New: func() any { return &Encoder{Compress: true} }}

// EncodeValue appends the body of a value, compressed; see Encoder.EncodeValue.
func EncodeValue(dst []byte, typ types.Type, enc types.Encoding, packed []byte, obj types.Object) []byte {
	e := encoders.Get().(*Encoder)
	dst = e.EncodeValue(dst, typ, enc, packed, obj)
	e.release()
	return dst
}

// release gives an Encoder back for others, without what it refers to.
func (e *Encoder) release() {
	e.list, e.set, e.hash, e.zset = types.List{}, types.Set{}, types.Hash{}, types.SortedSet{}
	encoders.Put(e)
}
