package rdb

import (
	"encoding/binary"
	"math"

	"kvd/types"
)

// PackedMax is the longest packed value that is returned, in bytes: what an
// entry of the keyspace holds. Longer ones become Objects.
const PackedMax = 63 << 10

// embstrMax is the longest string of types.EncEmbstr.
const embstrMax = 44

// Limits say which collections become packed.
type Limits struct {
	List types.ListLimits
	Set  types.SetLimits
	Hash types.HashLimits
	ZSet types.ZSetLimits
}

// Value is a value in the form in which the keyspace keeps it. Packed may
// alias the Reader, until it is next used.
type Value struct {
	Type   types.Type
	Enc    types.Encoding
	Packed []byte
	Obj    types.Object
}

// DecodeValue reads the body of a value of the type t. Every form up to those
// of Redis 7.4 is read but modules, and every one is checked: the
// coding, the order of what must be ordered, and that nothing stands twice.
func DecodeValue(r *Reader, t byte, limits *Limits) (Value, error) {
	var v Value
	if c := Codecs[formTypes[t]]; c.Decode != nil {
		v = c.Decode(r, t, limits)
	} else {
		r.fail(errUnknown(t))
	}
	if r.err != nil {
		return Value{}, r.err
	}
	if v.Obj == nil && len(v.Packed) == 0 && v.Type != types.TString {
		return Value{}, ErrEmpty
	}
	return v, nil
}

func decodeString(r *Reader, _ byte, _ *Limits) Value {
	n, coded := r.length()
	if coded {
		if i, ok := r.codedInt(n); ok {
			r.scratch = binary.LittleEndian.AppendUint64(r.scratch[:0], uint64(i))
			return Value{Type: types.TString, Enc: types.EncInt, Packed: r.scratch}
		}
		if n != codedLZF {
			r.damaged("coding of a string")
			return Value{}
		}
		size, real := r.Length(), r.Length()
		src := r.take(size)
		if r.err != nil {
			return Value{}
		}
		if cap(r.scratch) > keepMost {
			r.scratch = nil
		}
		var ok bool
		if r.scratch, ok = decompress(r.scratch[:0], src, real); !ok {
			r.damaged("compressed string")
			return Value{}
		}
		return r.stringValue(r.scratch)
	}
	if n <= PackedMax {
		return r.stringValue(r.take(n))
	}
	// A long one goes into its chunks as it comes.
	s := types.NewBigString(nil)
	for n > 0 && r.err == nil {
		b := r.Next(int(min(n, types.ChunkSize)))
		s.WriteAt(s.Len(), b)
		n -= uint64(len(b))
	}
	return Value{Type: types.TString, Enc: types.EncChunked, Obj: s}
}

// stringValue chooses the encoding as SET does.
func (r *Reader) stringValue(b []byte) Value {
	v := Value{Type: types.TString, Enc: types.EncRaw, Packed: b}
	if i, ok := types.ParseInt64(b); ok {
		r.scratch = binary.LittleEndian.AppendUint64(r.scratch[:0], uint64(i))
		v.Enc, v.Packed = types.EncInt, r.scratch
	} else if len(b) <= embstrMax {
		v.Enc = types.EncEmbstr
	} else if len(b) > PackedMax {
		return Value{Type: types.TString, Enc: types.EncChunked, Obj: types.NewBigString(b)}
	}
	return v
}

// packed takes a string that is a listpack, or a ziplist; of is what it is part
// of, for errors.
func (r *Reader) packed(of string, ziplist bool) types.Packed {
	b := r.String()
	if r.err != nil {
		return nil
	}
	if ziplist {
		p, ok := fromZiplist(b)
		if !ok {
			r.unsound(of + " ziplist")
		}
		return p
	}
	// 6 bytes of head, one of end.
	if len(b) < 7 || uint64(binary.LittleEndian.Uint32(b)) != uint64(len(b)) || b[len(b)-1] != 0xFF {
		r.unsound(of + " listpack")
		return nil
	}
	p := types.Packed(b[6 : len(b)-1 : len(b)-1])
	if p.Check() != nil {
		r.unsound(of + " listpack")
		return nil
	}
	if n := int(binary.LittleEndian.Uint16(b[4:])); n != math.MaxUint16 && n != p.Count() {
		r.unsound(of + " listpack")
		return nil
	}
	return p
}

func decodeList(r *Reader, t byte, limits *Limits) Value {
	l := types.List{Limits: limits.List}
	l.Load(types.EncListpack, nil, nil)
	n := uint64(1)
	if t != TypeListZiplist {
		n = r.Length()
	}
	for ; n > 0 && r.err == nil; n-- {
		if t == TypeList {
			if b := r.String(); r.err == nil {
				l.PushBack(b)
			}
			continue
		}
		kind := uint64(nodePacked)
		if t == TypeQuicklist2 {
			kind = r.Length()
		}
		switch kind {
		case nodePlain:
			b := r.String()
			switch {
			case r.err != nil:
			case len(b) == 0: // only long elements have nodes of their own
				r.unsound("List node")
			default:
				l.PushBack(b)
			}
		case nodePacked:
			if p := r.packed("List", t != TypeQuicklist2); r.err == nil {
				l.PushPacked(p)
			}
		default:
			r.damaged("kind of a list's node")
		}
	}
	v := Value{Type: types.TList}
	v.Enc, v.Packed, v.Obj = l.Stored()
	return v
}

func decodeSet(r *Reader, t byte, limits *Limits) Value {
	v := Value{Type: types.TSet}
	s := types.Set{Limits: limits.Set}
	switch t {
	case TypeSetIntset:
		ints, err := types.IntsetFromRedis(r.String())
		if r.err == nil && err != nil {
			r.unsound("Intset")
		}
		if r.err != nil {
			return v
		}
		if ints.Len() == 0 {
			return v // with its width alone it would not look empty
		}
		s.Load(types.EncIntset, ints, nil)
		s.Fit()
	case TypeSetListpack:
		p := r.packed("Set", false)
		s.Load(types.EncListpack, p, nil)
		if r.err == nil && s.Check() != nil {
			r.unsound("Set listpack")
			return v
		}
		for off := 0; off < len(p); {
			var e types.Elem
			if e, off = p.AtEnd(off); e.Len() > limits.Set.MaxListpackValue {
				s.Limits.MaxListpackEntries = -1 // no packed form
				break
			}
		}
		s.Fit()
	default:
		n := r.Length()
		if n == 0 {
			break
		}
		first := r.String()
		packed := limits.Set.MaxListpackEntries // the most members of a packed form
		if _, isInt := types.ParseInt64(first); isInt {
			packed = max(packed, limits.Set.MaxIntset)
		}
		if n > uint64(max(packed, 0)) {
			for b := first; r.err == nil; b = r.String() {
				r.bulk.AddMember(b)
				if n--; n == 0 {
					break
				}
			}
			if r.err != nil {
				r.bulk.Drop()
				return v
			}
			var ok bool
			if s, ok = r.bulk.Set(limits.Set); !ok {
				r.damaged("a member twice")
				return v
			}
			break
		}
		s.Load(types.EncIntset, nil, nil)
		for b := first; r.err == nil; b = r.String() {
			if !s.Add(b) {
				r.damaged("a member twice")
			}
			if n--; n == 0 {
				break
			}
		}
	}
	v.Enc, v.Packed, v.Obj = s.Stored()
	return v
}

func decodeZSet(r *Reader, t byte, limits *Limits) Value {
	var b types.ZSetBuilder
	var z *types.SortedSet
	if t == TypeZSetListpack || t == TypeZSetZiplist {
		p := r.packed("Zset", t == TypeZSetZiplist)
		if r.err != nil {
			return Value{}
		}
		z = &types.SortedSet{Limits: limits.ZSet}
		z.Load(types.EncListpack, p, nil)
		if len(p) > PackedMax || p.Count()/2 > limits.ZSet.MaxListpackEntries || z.Check() != nil {
			// Too long for the limits, out of order, or damaged.
			z = nil
			rebuildZSet(r, &b, p)
		}
	} else {
		var member []byte
		for n := r.Length(); n > 0 && r.err == nil; n-- {
			member = append(member[:0], r.String()...)
			var score float64
			if t == TypeZSet2 {
				score = math.Float64frombits(r.Uint64())
			} else {
				score = r.textScore()
			}
			r.addScored(&b, member, score)
		}
	}
	if r.err != nil {
		return Value{}
	}
	if z == nil {
		z = b.Finish(limits.ZSet)
	}
	v := Value{Type: types.TZSet}
	v.Enc, v.Packed, v.Obj = z.Stored()
	if len(v.Packed) > PackedMax {
		limits := types.ZSetLimits{} // none: an Object
		z.Each(func(member []byte, score float64) bool { b.Add(member, score); return true })
		v.Enc, v.Packed, v.Obj = b.Finish(limits).Stored()
	}
	return v
}

func (r *Reader) addScored(b *types.ZSetBuilder, member []byte, score float64) {
	switch {
	case r.err != nil:
	case score != score:
		r.damaged("a score is not a number")
	case !b.AddNew(member, score):
		r.damaged("a member twice")
	}
}

// rebuildZSet adds the pairs of a packed sorted set whose order is unknown.
func rebuildZSet(r *Reader, b *types.ZSetBuilder, p types.Packed) {
	var buf [32]byte
	for off := 0; off < len(p) && r.err == nil; {
		member := p.At(off)
		if off = p.EndOf(off); off == len(p) {
			r.damaged("a member without a score")
			return
		}
		score := float64(p.At(off).I)
		if e := p.At(off); !e.IsInt() {
			var ok bool
			if score, ok = parseScore(e.S); !ok {
				r.damaged("score")
				return
			}
		}
		off = p.EndOf(off)
		m := member.S
		if member.IsInt() {
			m = member.Append(buf[:0])
		}
		r.addScored(b, m, score)
	}
}

// textScore takes a score as text.
func (r *Reader) textScore() float64 {
	switch n := r.Byte(); n {
	case 253:
		return math.NaN()
	case 254:
		return math.Inf(1)
	case 255:
		return math.Inf(-1)
	default:
		f, ok := parseScore(r.Next(int(n)))
		if !ok {
			r.damaged("score")
		}
		return f
	}
}

func decodeHash(r *Reader, t byte, limits *Limits) Value {
	h := types.Hash{Limits: limits.Hash}
	switch t {
	case TypeHash, TypeHashTTL, TypeHashTTLPre, TypeValkeyHash:
		decodeFields(r, t, &h)
	default:
		decodePackedHash(r, t, &h)
	}
	v := Value{Type: types.THash}
	if r.err == nil {
		v.Enc, v.Packed, v.Obj = h.Stored()
	}
	return v
}

// decodeFields reads fields one by one.
func decodeFields(r *Reader, t byte, h *types.Hash) {
	h.Load(types.EncListpack, nil, nil)
	first := uint64(0)
	if t == TypeHashTTL {
		first = r.Uint64()
	}
	var field []byte
	n := r.Length()
	bulk := n > uint64(max(h.Limits.MaxListpackEntries, 0)) // no packed form
	for ; n > 0 && r.err == nil; n-- {
		deadline := uint64(0)
		if t == TypeHashTTL || t == TypeHashTTLPre {
			deadline = r.Length()
			if t == TypeHashTTL && deadline != 0 {
				deadline += first - 1
			}
		}
		field = append(field[:0], r.String()...)
		value := r.String()
		if t == TypeValkeyHash {
			value = append([]byte(nil), value...) // what follows may move it
			if deadline = r.Uint64(); deadline == math.MaxUint64 {
				deadline = 0 // none
			}
		}
		switch {
		case r.err != nil:
		case deadline > math.MaxInt64 || first > math.MaxInt64:
			r.damaged("a field's deadline")
		case bulk:
			r.bulk.AddField(field, value, int64(deadline))
		case h.Has(field, 0):
			r.damaged("a field twice")
		default:
			h.Put(field, value, int64(deadline))
		}
	}
	switch {
	case !bulk:
	case r.err != nil:
		r.bulk.Drop()
	default:
		var ok bool
		if *h, ok = r.bulk.Hash(h.Limits); !ok {
			r.damaged("a field twice")
		}
	}
}

// decodePackedHash reads fields that come in one string.
func decodePackedHash(r *Reader, t byte, h *types.Hash) {
	enc := types.EncListpack
	var p types.Packed
	switch t {
	case TypeHashZipmap:
		b := r.String()
		var ok bool
		if p, ok = fromZipmap(b); !ok || len(p) == 0 {
			r.unsound("Zipmap")
		}
	case TypeListpackTTL:
		r.Uint64() // the earliest deadline, which the fields tell, too
		fallthrough
	case TypeListpackTTLPre:
		enc = types.EncListpackEx
		p = r.packed("Hash", false)
	default:
		p = r.packed("Hash", t == TypeHashZiplist)
	}
	if r.err != nil || len(p) == 0 {
		h.Load(types.EncListpack, nil, nil)
		return
	}
	h.Load(enc, p, nil)
	if h.Check() != nil {
		r.unsound("Hash")
		return
	}
	if t == TypeHashZipmap { // of the other packed forms Redis looks at the number of fields only
		h.Each(0, func(field, value types.Elem, _ int64) bool {
			if max(field.Len(), value.Len()) <= h.Limits.MaxListpackValue {
				return true
			}
			h.Limits.MaxListpackEntries = -1 // no packed form
			return false
		})
	}
	h.Fit()
}
