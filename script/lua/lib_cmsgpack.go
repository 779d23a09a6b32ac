package lua

import (
	endian "encoding/binary"
	"math"
	"math/bits"
)

// OpenCmsgpack makes the table cmsgpack: MessagePack as lua-cmsgpack 0.4.0 writes and
// reads it.
func OpenCmsgpack(s *State) {
	t := &Table{}
	s.Register(t, "pack", msgpackPack)
	s.Register(t, "unpack", msgpackUnpack)
	s.Register(t, "unpack_limit", msgpackUnpackLimit)
	s.Register(t, "unpack_one", msgpackUnpackOne)
	t.Embed("_NAME", String("cmsgpack"))
	t.Embed("_VERSION", String("lua-cmsgpack 0.4.0"))
	t.Embed("_COPYRIGHT", String("Copyright (C) 2012, Salvatore Sanfilippo"))
	t.Embed("_DESCRIPTION", String("MessagePack C implementation for Lua"))
	s.globals.Embed("cmsgpack", t.Value())
}

// maxPackDepth is how deep tables are written; a deeper one is written as nil.
const maxPackDepth = 16

// maxFrame is how many values a C function may have on the stack of the reference
// implementation. Nesting ends there, with the text of that error.
const maxFrame = 8000

func msgpackPack(s *State, w []Value, n int) (int, error) {
	if n == 0 {
		return 0, s.ArgError(-1, "MessagePack pack needs input.")
	}
	if !CheckStack(n, n) {
		return 0, s.ArgError(-1, "Too many arguments for MessagePack pack.")
	}
	p := packer{out: newStrbuf(s)}
	for i := range n {
		if err := p.value(w[i], 0); err != nil {
			p.out.drop()
			return 0, err
		}
	}
	if err := s.Step(p.steps); err != nil {
		p.out.drop()
		return 0, err
	}
	var err error
	w[0], err = p.out.value()
	return 1, err
}

type packer struct {
	out   strbuf
	steps int
}

func (p *packer) value(v Value, level int) error {
	if p.steps++; p.steps >= 500 {
		if err := p.out.s.Step(p.steps); err != nil {
			return err
		}
		p.steps = 0
	}
	if err := p.out.room(9); err != nil {
		return err
	}
	b := p.out.b
	switch v.Kind() {
	case KindString:
		str := v.str()
		switch n := len(str); {
		case n < 32:
			b = append(b, 0xa0|byte(n))
		case n <= 0xff:
			b = append(b, 0xd9, byte(n))
		case n <= 0xffff:
			b = endian.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
		default:
			b = endian.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
		}
		p.out.b = b
		p.steps += len(str) / 32
		return p.out.add(str)
	case KindBoolean:
		if v.Truth() {
			b = append(b, 0xc3)
		} else {
			b = append(b, 0xc2)
		}
	case KindNumber:
		f := v.num()
		if f >= -1<<63 && f < 1<<63 && float64(int64(f)) == f {
			b = appendPackedInt(b, int64(f))
		} else if g := float32(f); float64(g) == f {
			b = endian.BigEndian.AppendUint32(append(b, 0xca), math.Float32bits(g))
		} else {
			b = endian.BigEndian.AppendUint64(append(b, 0xcb), floatBits(f))
		}
	case KindTable:
		if level < maxPackDepth {
			return p.table(v.table(), level)
		}
		b = append(b, 0xc0)
	default:
		b = append(b, 0xc0)
	}
	p.out.b = b
	return nil
}

func appendPackedInt(b []byte, n int64) []byte {
	switch {
	case n >= 0 && n <= 127, n < 0 && n >= -32:
		return append(b, byte(n))
	case n >= 0 && n <= 0xff:
		return append(b, 0xcc, byte(n))
	case n >= 0 && n <= 0xffff:
		return endian.BigEndian.AppendUint16(append(b, 0xcd), uint16(n))
	case n >= 0 && n <= 0xffffffff:
		return endian.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	case n >= 0:
		return endian.BigEndian.AppendUint64(append(b, 0xcf), uint64(n))
	case n >= -128:
		return append(b, 0xd0, byte(n))
	case n >= -32768:
		return endian.BigEndian.AppendUint16(append(b, 0xd1), uint16(n))
	case n >= -2147483648:
		return endian.BigEndian.AppendUint32(append(b, 0xd2), uint32(n))
	}
	return endian.BigEndian.AppendUint64(append(b, 0xd3), uint64(n))
}

// packedArray tells whether the keys are 1 to n and nothing else.
func (t *Table) packedArray() (n int, ok bool) {
	for i := range t.arr {
		if !t.arr[i].IsNil() {
			if n != i {
				return 0, false // a hole, which no node can fill
			}
			n++
		}
	}
	most, count := n, n
	for i := range t.nodes {
		if t.nodes[i].val.IsNil() {
			continue
		}
		k := t.nodes[i].key
		if !k.IsNumber() {
			return 0, false
		}
		f := k.num()
		if f <= 0 || f > math.MaxInt32 || float64(int(f)) != f {
			return 0, false
		}
		most = max(most, int(f))
		count++
	}
	return count, most == count
}

func (p *packer) table(t *Table, level int) error {
	p.steps += (len(t.arr) + len(t.nodes)) / 2
	if n, ok := t.packedArray(); ok {
		switch {
		case n <= 15:
			p.out.b = append(p.out.b, 0x90|byte(n))
		case n <= 0xffff:
			p.out.b = endian.BigEndian.AppendUint16(append(p.out.b, 0xdc), uint16(n))
		default:
			p.out.b = endian.BigEndian.AppendUint32(append(p.out.b, 0xdd), uint32(n))
		}
		for i := 1; i <= n; i++ {
			if err := p.value(t.GetInt(i), level+1); err != nil {
				return err
			}
		}
		return nil
	}
	n := 0
	for at, _, _ := t.Next(0); at >= 0; at, _, _ = t.Next(at) {
		n++
	}
	switch {
	case n <= 15:
		p.out.b = append(p.out.b, 0x80|byte(n))
	case n <= 0xffff:
		p.out.b = endian.BigEndian.AppendUint16(append(p.out.b, 0xde), uint16(n))
	default:
		p.out.b = endian.BigEndian.AppendUint32(append(p.out.b, 0xdf), uint32(n))
	}
	for at := 0; ; {
		next, k, v := t.Next(at)
		if next < 0 {
			return nil
		}
		if err := p.value(k, level+1); err != nil {
			return err
		}
		if err := p.value(v, level+1); err != nil {
			return err
		}
		at = next
	}
}

func msgpackUnpack(s *State, w []Value, n int) (int, error) {
	return unpackFull(s, w, n, n, 0, 0)
}

func msgpackUnpackOne(s *State, w []Value, n int) (int, error) {
	offset, err := s.OptInt(w, n, 1, 0)
	if err != nil {
		return 0, err
	}
	return unpackFull(s, w, n, 1, 1, offset)
}

func msgpackUnpackLimit(s *State, w []Value, n int) (int, error) {
	limit, err := s.ArgInt(w, n, 1)
	if err != nil {
		return 0, err
	}
	offset, err := s.OptInt(w, n, 2, 0)
	if err != nil {
		return 0, err
	}
	return unpackFull(s, w, n, 1, limit, offset)
}

// unpackFull reads values from the offset on, limit of them at most, or all where both are
// 0. It returns them, and before them where the rest begins unless all were asked for.
func unpackFull(s *State, w []Value, n, used int, limit, offset int64) (int, error) {
	all := limit == 0 && offset == 0
	data, err := s.ArgString(w, n, 0)
	if err != nil {
		return 0, err
	}
	if offset < 0 || limit < 0 {
		return 0, s.Errorf("Invalid request to unpack with offset of %d and limit of %d.", int32(offset), int32(len(data)))
	}
	if offset > int64(len(data)) {
		return 0, s.Errorf("Start offset %d greater than input length %d.", int32(offset), int32(len(data)))
	}
	if all {
		limit = math.MaxInt32
	}
	u := unpacker{s: s, data: data, pos: int(offset), spare: len(data)}
	first := 0
	if !all {
		first = 1
	}
	count, base := 0, len(s.building)
	for u.pos < len(data) && int64(count) < limit {
		v, err := u.value(used + count)
		if err != nil {
			s.built(base)
			return 0, err
		}
		if first+count >= len(w) {
			if w, err = s.Need(2*count + 20); err != nil {
				return 0, err
			}
		}
		w[first+count] = v
		count++
	}
	if err := s.Step(u.steps); err != nil {
		return 0, err
	}
	if !all {
		if !CheckStack(used+count, 1) {
			return 0, s.Errorf("stack overflow (in function mp_unpack_full)")
		}
		w[0] = Number(float64(u.pos))
		if u.pos == len(data) {
			w[0] = Number(-1)
		}
	}
	return first + count, nil
}

type unpacker struct {
	s     *State
	data  string
	pos   int
	steps int
	spare int // see room
}

// need fails where less than n bytes are left.
func (u *unpacker) need(n int) error {
	if len(u.data)-u.pos < n {
		return u.s.Errorf("Missing bytes in input.")
	}
	return nil
}

// uint reads a number of size bytes behind the current one and goes on behind it.
func (u *unpacker) uint(size int) (v uint64, err error) {
	if err := u.need(1 + size); err != nil {
		return 0, err
	}
	v = readInteger(u.data[u.pos+1:u.pos+1+size], true)
	u.pos += 1 + size
	return v, nil
}

// value reads one value. used is how many values the original has on the stack by now.
func (u *unpacker) value(used int) (Value, error) {
	if u.steps++; u.steps >= 500 {
		if err := u.s.Step(u.steps); err != nil {
			return Nil, err
		}
		u.steps = 0
	}
	if err := u.need(1); err != nil {
		return Nil, err
	}
	if used+1 > maxFrame {
		return Nil, u.s.Errorf("stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)")
	}
	c := u.data[u.pos]
	var n uint64
	var err error
	switch {
	case c < 0x80:
		u.pos++
		return Number(float64(c)), nil
	case c >= 0xe0:
		u.pos++
		return Number(float64(int8(c))), nil
	case c < 0x90:
		u.pos++
		return u.table(int(c&0xf), used)
	case c < 0xa0:
		u.pos++
		return u.array(int(c&0xf), used)
	case c < 0xc0:
		return u.text(1, uint64(c&0x1f))
	}
	switch c {
	case 0xc0:
		u.pos++
		return Nil, nil
	case 0xc2, 0xc3:
		u.pos++
		return Bool(c == 0xc3), nil
	case 0xca:
		n, err = u.uint(4)
		return Number(float64(math.Float32frombits(uint32(n)))), err
	case 0xcb:
		n, err = u.uint(8)
		return Number(math.Float64frombits(n)), err
	case 0xcc, 0xcd, 0xce:
		n, err = u.uint(1 << (c - 0xcc))
		return Number(float64(n)), err
	case 0xcf, 0xd3: // the unsigned one goes through a signed one in the original
		n, err = u.uint(8)
		return Number(float64(int64(n))), err
	case 0xd0:
		n, err = u.uint(1)
		return Number(float64(int8(n))), err
	case 0xd1:
		n, err = u.uint(2)
		return Number(float64(int16(n))), err
	case 0xd2:
		n, err = u.uint(4)
		return Number(float64(int32(n))), err
	case 0xd9, 0xda, 0xdb:
		size := 1 << (c - 0xd9)
		at := u.pos
		if n, err = u.uint(size); err != nil {
			return Nil, err
		}
		u.pos = at
		return u.text(1+size, n)
	case 0xdc, 0xdd:
		if n, err = u.uint(2 << (c - 0xdc)); err != nil {
			return Nil, err
		}
		return u.array(u.count(n), used)
	case 0xde, 0xdf:
		if n, err = u.uint(2 << (c - 0xde)); err != nil {
			return Nil, err
		}
		return u.table(u.count(n), used)
	}
	return Nil, u.s.Errorf("Bad data format in input.")
}

// count is a number of elements. Where there are more than bytes left the end of the input
// is met before the last.
func (u *unpacker) count(n uint64) int { return int(min(n, uint64(len(u.data))+1)) }

// text reads a string of n bytes behind a head.
func (u *unpacker) text(head int, n uint64) (Value, error) {
	if uint64(len(u.data)-u.pos-head) < n || len(u.data)-u.pos < head {
		return Nil, u.need(math.MaxInt)
	}
	from := u.pos + head
	u.pos = from + int(n)
	u.steps += int(n) / 64
	return u.s.View(u.data, u.data[from:u.pos])
}

func (u *unpacker) array(n, used int) (Value, error) {
	// The table is on the original's stack, and then the index.
	if used+2 > maxFrame {
		return Nil, u.s.Errorf("stack overflow (in function mp_decode_to_lua_array)")
	}
	t, err := u.begin(u.room(n, 1), 0)
	if err != nil {
		return Nil, err
	}
	even := true
	for i := range n {
		v, err := u.value(used + 2)
		if err != nil {
			return Nil, err
		}
		if even && i < len(t.arr) && !v.IsNil() {
			t.arr[i] = v
			continue
		}
		if even {
			even = false
			if err := t.resize(u.s, sizeOf(i), 0); err != nil {
				return Nil, err
			}
		}
		if err := u.s.RawSetInt(t, i+1, v); err != nil {
			return Nil, err
		}
	}
	u.end()
	return t.Value(), nil
}

// room is for how many of n elements, which take so many bytes at least, a table gets room before they
// are read. Heads that promise more than there is make no table large: all tables together
// get room for no more elements than the input has bytes.
func (u *unpacker) room(n, bytes int) int {
	if n > min(u.spare, len(u.data)-u.pos)/bytes {
		return 0
	}
	u.spare -= n * bytes
	return n
}

// begin makes a table whose elements are read next, and end follows when it has them. Meanwhile
// the walk at the bound of memory finds it in State.building.
func (u *unpacker) begin(array, fields int) (*Table, error) {
	t, err := u.s.NewTable(sizeOf(array), fields)
	if err != nil {
		return nil, err
	}
	return t, u.s.build(t.Value())
}

func (u *unpacker) end() {
	b := u.s.building
	b[len(b)-1] = Nil
	u.s.building = b[:len(b)-1]
}

// sizeOf is how long the array part is that n values make which are set one after the other.
func sizeOf(n int) int {
	if n == 0 {
		return 0
	}
	return 1 << bits.Len(uint(n-1))
}

// newArray makes a table as it is when values are set one after the other.
func (s *State) newArray(values []Value) (Value, error) {
	for i := range values {
		if values[i].IsNil() {
			t, err := s.NewTable(0, 0)
			if err != nil {
				return Nil, err
			}
			for i, v := range values {
				if err := s.RawSetInt(t, i+1, v); err != nil {
					return Nil, err
				}
			}
			return t.Value(), nil
		}
	}
	t, err := s.NewTable(sizeOf(len(values)), 0)
	if err != nil {
		return Nil, err
	}
	return t.Value(), copyAll(s, t.arr, values, valuesPerStep)
}

func (u *unpacker) table(n, used int) (Value, error) {
	s := u.s
	t, err := u.begin(0, u.room(n, 2))
	if err != nil {
		return Nil, err
	}
	// As long as keys are strings that are new and values are not nil, it does not matter that the nodes
	// are as many from the start. Before anything else is set they are made as many as PUC
	// has by then.
	even := true
	for range n {
		k, err := u.value(used + 1)
		if err != nil {
			return Nil, err
		}
		v, err := u.value(used + 2)
		if err != nil {
			return Nil, err
		}
		if even && len(t.nodes) < cap(t.nodes) && k.isKind(KindString) && !v.IsNil() {
			h := hashString(k.str())
			if t.findHashed(k, h) < 0 {
				t.appendNode(k, h, v)
				continue
			}
		}
		if even {
			even = false
			if cap(t.nodes) != sizeOf(len(t.nodes)) {
				if err := t.resize(s, 0, len(t.nodes)); err != nil {
					return Nil, err
				}
			}
		}
		if err := s.RawSet(t, k, v); err != nil {
			return Nil, err
		}
	}
	u.end()
	return t.Value(), nil
}

// floatBits are the bits that packing writes: of a NaN its sign only, since Go's libraries make others
// than C's.
func floatBits(f float64) uint64 {
	b := math.Float64bits(f)
	if f != f {
		b = b&(1<<63) | 0x7ff8<<48
	}
	return b
}
