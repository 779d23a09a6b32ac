package lua

// event is a metamethod. The first eight are remembered as absent in
// Table.absent.
type event uint8

const (
	evIndex event = iota
	evNewindex
	evEq
	evLen
	evCall
	evMode
	evGC
	evUnused
	evAdd
	evSub
	evMul
	evDiv
	evMod
	evPow
	evUnm
	evConcat
	evLt
	evLe
	evTostring
	evMetatable
	eventCount
)

var eventNames, eventHashes = func() (names [eventCount]Value, hashes [eventCount]uint32) {
	for i, name := range [eventCount]string{"__index", "__newindex", "__eq", "__len", "__call", "__mode", "__gc", "__unused",
		"__add", "__sub", "__mul", "__div", "__mod", "__pow", "__unm", "__concat", "__lt", "__le", "__tostring", "__metatable"} {
		names[i], hashes[i] = stringValue(intern(name)), hashString(name)
	}
	return
}()

// event is the metamethod of a metatable, nil where there is none.
func (t *Table) event(e event) Value {
	if t == nil || (e < 8 && t.absent&(1<<e) != 0) {
		return Nil
	}
	if i := t.findHashed(eventNames[e], eventHashes[e]); i >= 0 && !t.nodes[i].val.IsNil() {
		return t.nodes[i].val
	}
	if e < 8 {
		t.absent |= 1 << e
	}
	return Nil
}

func (s *State) metatable(v Value) *Table {
	switch v.kind() {
	case KindTable:
		return v.table().meta
	case KindString:
		return s.StringMeta
	case KindUserdata:
		return v.userdata().meta
	}
	return nil
}

// MetaField is the field of v's metatable, nil where there is none.
func (s *State) MetaField(v Value, name string) Value {
	if m := s.metatable(v); m != nil {
		return m.GetString(name)
	}
	return Nil
}

const maxMetaLoop = 100

// call1 calls from the loop or a Go function and gives the first result.
func (s *State) call1(f Value, args ...Value) (Value, error) {
	r, err := s.call(f, args)
	if err != nil || len(r) == 0 {
		return Nil, err
	}
	return r[0], nil
}

// Index is v[k] with metamethods.
func (s *State) Index(v, k Value) (Value, error) { return s.index(v, k, -1) }

// index is Index where v lies in the register reg of the running function, for
// messages.
func (s *State) index(v, k Value, reg int) (Value, error) {
	for range maxMetaLoop {
		var h Value
		if v.isKind(KindTable) {
			t := v.table()
			r := t.get(s, k)
			if !r.IsNil() || t.meta == nil {
				return r, nil
			}
			if h = t.meta.event(evIndex); h.IsNil() {
				return Nil, nil
			}
		} else if h = s.metatable(v).event(evIndex); h.IsNil() {
			return Nil, s.typeError(v, reg, "index")
		}
		if h.IsFunction() {
			return s.call1(h, v, k)
		}
		v, reg = h, -1
	}
	return Nil, s.runError("loop in gettable")
}

// SetIndex does v[k] = x with metamethods.
func (s *State) SetIndex(v, k, x Value) error { return s.setIndex(v, k, x, -1) }

func (s *State) setIndex(v, k, x Value, reg int) error {
	for range maxMetaLoop {
		var h Value
		if v.isKind(KindTable) {
			t := v.table()
			if t.readonly {
				return s.readonlyError()
			}
			if t.meta == nil {
				return s.RawSet(t, k, x)
			}
			if h = t.meta.event(evNewindex); h.IsNil() || !t.get(s, k).IsNil() {
				return s.RawSet(t, k, x)
			}
		} else if h = s.metatable(v).event(evNewindex); h.IsNil() {
			return s.typeError(v, reg, "index")
		}
		if h.IsFunction() {
			_, err := s.call(h, []Value{v, k, x})
			return err
		}
		v, reg = h, -1
	}
	return s.runError("loop in settable")
}

// get is Get with the State's memory of hashes.
func (t *Table) get(s *State, k Value) Value {
	if !k.isKind(KindString) {
		return t.Get(k)
	}
	if len(t.heads) == 0 {
		return Nil
	}
	if i := t.findHashed(k, s.hash(k)); i >= 0 {
		n := &t.nodes[i]
		n.key = k // so that the next one finds the same address
		return n.val
	}
	return Nil
}

// hash is a string's hash.
func (s *State) hash(k Value) uint32 {
	e := &s.hashes[hashSlot(k)]
	if e.key.same(k) {
		return e.hash
	}
	h := hashString(k.str())
	*e = hashEntry{k, h}
	return h
}

func hashSlot(k Value) uint8 {
	a := uint64(k.address())
	return uint8(a ^ a>>8 ^ a>>16 ^ k.n)
}

func (s *State) binaryEvent(a, b Value, e event) Value {
	if h := s.metatable(a).event(e); !h.IsNil() {
		return h
	}
	return s.metatable(b).event(e)
}

// arith is an operation on values that are not both numbers; ra and rb are
// their registers, for messages.
func (s *State) arith(op opcode, a, b Value, ra, rb int) (Value, error) {
	x, ok1, err := s.number(a)
	if err != nil {
		return Nil, err
	}
	y, ok2, err := s.number(b)
	if err != nil {
		return Nil, err
	}
	if ok1 && ok2 {
		return numberValue(compute(op, x, y)), nil
	}
	h := s.binaryEvent(a, b, evAdd+event(op-opAdd))
	if h.IsNil() {
		if ok1 {
			a, ra = b, rb
		}
		return Nil, s.typeError(a, ra, "perform arithmetic on")
	}
	return s.call1(h, a, b)
}

// Equals is a == b with metamethods.
func (s *State) Equals(a, b Value) (bool, error) {
	if same, err := s.rawEquals(a, b); same || err != nil {
		return same, err
	}
	k := a.kind()
	if k != b.kind() || (k != KindTable && k != KindUserdata) {
		return false, nil
	}
	m1, m2 := s.metatable(a), s.metatable(b)
	h := m1.event(evEq)
	if h.IsNil() {
		return false, nil
	}
	if m1 != m2 {
		if h2 := m2.event(evEq); h2.IsNil() || !RawEquals(h, h2) {
			return false, nil
		}
	}
	v, err := s.call1(h, a, b)
	return v.Truth(), err
}

// LessThan is a < b with metamethods and their errors.
func (s *State) LessThan(a, b Value) (bool, error) {
	if a.Kind() != b.Kind() {
		return false, s.orderError(a, b)
	}
	if a.isNumber() {
		return a.num() < b.num(), nil
	}
	if a.isKind(KindString) {
		c, err := s.compareText(a.str(), b.str())
		return c < 0, err
	}
	if h, ok := s.orderEvent(a, b, evLt); ok {
		v, err := s.call1(h, a, b)
		return v.Truth(), err
	}
	return false, s.orderError(a, b)
}

// LessEqual is a <= b with metamethods and their errors.
func (s *State) LessEqual(a, b Value) (bool, error) {
	if a.Kind() != b.Kind() {
		return false, s.orderError(a, b)
	}
	if a.isNumber() {
		return a.num() <= b.num(), nil
	}
	if a.isKind(KindString) {
		c, err := s.compareText(a.str(), b.str())
		return c <= 0, err
	}
	if h, ok := s.orderEvent(a, b, evLe); ok {
		v, err := s.call1(h, a, b)
		return v.Truth(), err
	}
	if h, ok := s.orderEvent(b, a, evLt); ok {
		v, err := s.call1(h, b, a)
		return !v.Truth(), err
	}
	return false, s.orderError(a, b)
}

// orderEvent is a metamethod that both operands must share.
func (s *State) orderEvent(a, b Value, e event) (Value, bool) {
	h := s.metatable(a).event(e)
	if h.IsNil() {
		return Nil, false
	}
	return h, RawEquals(h, s.metatable(b).event(e))
}

func (s *State) orderError(a, b Value) error {
	x, y := a.kind().String(), b.kind().String()
	if x == y {
		return s.runError("attempt to compare two " + x + " values")
	}
	return s.runError("attempt to compare " + x + " with " + y)
}

// length is #v; reg is v's register, for messages.
func (s *State) length(v Value, reg int) (Value, error) {
	switch v.kind() {
	case KindTable:
		return numberValue(float64(v.table().Len())), nil
	case KindString:
		return numberValue(float64(v.strLen())), nil
	}
	h := s.metatable(v).event(evLen)
	if h.IsNil() {
		return Nil, s.typeError(v, reg, "get length of")
	}
	return s.call1(h, v, Nil)
}

// ToString is what tostring gives: with __tostring.
func (s *State) ToString(v Value) (Value, error) {
	if h := s.metatable(v).event(evTostring); !h.IsNil() {
		r, err := s.call1(h, v)
		return r, err
	}
	switch v.kind() {
	case KindString:
		return v, nil
	case KindNumber:
		return s.numberString(v.num())
	case KindNil:
		return stringValue("nil"), nil
	case KindBoolean:
		if v.Truth() {
			return stringValue("true"), nil
		}
		return stringValue("false"), nil
	case KindLightUserdata:
		if uint32(v.n) == 0 {
			return stringValue("userdata: (nil)"), nil
		}
		return s.NewString(appendHex(append(s.tostringBuf[:0], "userdata: 0x"...), uint64(uint32(v.n))))
	}
	b := append(append(s.tostringBuf[:0], v.kind().String()...), ": 0x"...)
	return s.NewString(appendHex(b, uint64(v.address())))
}

func appendHex(b []byte, n uint64) []byte {
	const digits = "0123456789abcdef"
	if n >= 16 {
		b = appendHex(b, n>>4)
	}
	return append(b, digits[n&15])
}
