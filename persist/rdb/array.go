package rdb

import (
	"kvd/types"
	"kvd/types/array"
)

// An array's body: where the next value is inserted, the number of elements, and for each
// the distance from the element before (the first one's index, plus 1) and the value.

func encodeArray(e *Encoder, dst []byte, _ types.Encoding, _ []byte, obj types.Object) []byte {
	a := obj.(*array.Array)
	dst = AppendLength(AppendLength(dst, a.Next()), uint64(a.Count()))
	before := ^uint64(0) // -1
	for it := a.Seek(0); it.Next(); before = it.Index {
		dst = e.spill(e.elem(AppendLength(dst, it.Index-before), it.Elem))
	}
	return dst
}

func decodeArray(r *Reader, _ byte, _ *Limits) Value {
	a := array.New()
	a.SetNext(r.Length())
	n := r.Length()
	if n == 0 && r.err == nil {
		r.fail(ErrEmpty)
	}
	const none = ^uint64(0) // -1
	for index := none; n > 0 && r.err == nil; n-- {
		distance := r.Length()
		if distance == 0 || index != none && distance > array.MaxIndex-index {
			r.damaged("index of an array")
			break
		}
		index += distance
		if v := r.String(); r.err == nil {
			a.Set(index, v)
		}
	}
	return Value{Type: types.TArray, Enc: types.EncObject, Obj: a}
}

func skipArray(r *Reader, _ byte) {
	r.Length()
	for n := r.Length(); n > 0 && r.err == nil; n-- {
		r.Length()
		r.skipString()
	}
}
