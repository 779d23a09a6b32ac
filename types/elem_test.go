package types

import (
	"testing"
	"unsafe"
)

// TestEmptyElem: an element without bytes is no integer, wherever it comes from.
func TestEmptyElem(t *testing.T) {
	if size := unsafe.Sizeof(Elem{}); size > 32 {
		t.Errorf("an Elem has %d bytes, more than the compiler keeps in registers", size)
	}
	empty := func(what string, e Elem) {
		t.Helper()
		if e.IsInt() || e.Len() != 0 || len(e.Append(nil)) != 0 {
			t.Errorf("%s: %q, an integer: %v", what, e.Append(nil), e.IsInt())
		}
	}
	empty("nil", BytesElem(nil))
	empty("of no bytes", BytesElem([]byte{}))
	empty("coded", codedOf(nil))
	p := Packed(AppendElem(nil, nil))
	empty("packed", p.At(0))

	for _, big := range []bool{false, true} {
		var s Set
		var h Hash
		var l List
		if big {
			s.Limits.MaxListpackEntries, h.Limits.MaxListpackEntries = -1, -1
			l.Limits.MaxSize = 1
		} else {
			s.Limits.MaxListpackEntries, s.Limits.MaxListpackValue = 128, 64
			h.Limits, l.Limits.MaxSize = DefaultHashLimits, 128
		}
		s.Add(nil)
		s.Each(func(e Elem) bool { empty("member", e); return true })
		empty("random member", s.Random())
		empty("popped member", s.Pop(nil))

		h.Set(nil, nil, 0)
		h.Each(0, func(field, value Elem, _ int64) bool {
			empty("field", field)
			empty("value", value)
			return true
		})
		v, there := h.Get(nil, 0)
		empty("value", v)
		if !there {
			t.Error("an empty field is not there")
		}
		v, _ = h.Get([]byte("none"), 0)
		empty("value of no field", v)

		for range 2 {
			l.PushBack(nil)
			l.PushFront(nil)
		}
		l.Range(0, 3, func(e Elem) bool { empty("element", e); return true })
		for range 3 {
			e, _ := l.PopBack()
			empty("popped from the back", e)
			e, _ = l.PopFront()
			empty("popped from the front", e)
		}
	}
}
