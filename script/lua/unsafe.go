package lua

// This is the package's one file with unsafe code: how a value holds what it
// holds, and how the loops reach registers, constants, instructions and nodes
// without checks of bounds. Everything else goes through these accessors.

import (
	"math"
	"unsafe"
)

// pointer is how other files name an untyped address.
type pointer = unsafe.Pointer

// Value is any Lua value; the zero Value is nil.
//
// Invariant: p is nil for nil only. A number's p is &numberTag and n its bits,
// a boolean's p is &booleanTag and n 0 or 1, light userdata's p is &lightTag
// and n kind and id. Else the top byte of n is the kind and p an object of that
// kind, or a string's first byte, with the string's length in the rest of n.
// An empty string's p is &emptyTag.
type Value struct {
	p unsafe.Pointer
	n uint64
}

// The addresses of these tell kinds apart. They are of eight bytes each, so
// that no two share an address.
var numberTag, booleanTag, lightTag, emptyTag uint64

const kindShift = 56

func numberValue(f float64) Value { return Value{unsafe.Pointer(&numberTag), math.Float64bits(f)} }

func boolValue(b bool) Value {
	v := Value{unsafe.Pointer(&booleanTag), 0}
	if b {
		v.n = 1
	}
	return v
}

func lightValue(id uint32) Value {
	return Value{unsafe.Pointer(&lightTag), uint64(KindLightUserdata)<<kindShift | uint64(id)}
}

func stringValue(s string) Value {
	if len(s) == 0 {
		return Value{unsafe.Pointer(&emptyTag), uint64(KindString) << kindShift}
	}
	return Value{unsafe.Pointer(unsafe.StringData(s)), uint64(KindString)<<kindShift | uint64(len(s))}
}

// bytesValue is a string over b's memory, which nobody may change any more.
func bytesValue(b []byte) Value {
	if len(b) == 0 {
		return Value{unsafe.Pointer(&emptyTag), uint64(KindString) << kindShift}
	}
	return Value{unsafe.Pointer(unsafe.SliceData(b)), uint64(KindString)<<kindShift | uint64(len(b))}
}

func (v Value) kind() Kind {
	switch v.p {
	case nil:
		return KindNil
	case unsafe.Pointer(&numberTag):
		return KindNumber
	case unsafe.Pointer(&booleanTag):
		return KindBoolean
	}
	return Kind(v.n >> kindShift)
}

func (v Value) isNumber() bool { return v.p == unsafe.Pointer(&numberTag) }
func (v Value) isFalse() bool {
	return v.p == nil || (v.p == unsafe.Pointer(&booleanTag) && v.n == 0)
}

// isKind is for the kinds that are objects, and strings. A number's bits may
// look like such a kind, hence the test of p.
func (v Value) isKind(k Kind) bool {
	return Kind(v.n>>kindShift) == k && v.p != unsafe.Pointer(&numberTag)
}

func (v Value) num() float64 { return math.Float64frombits(v.n) }
func (v Value) strLen() int  { return int(v.n & (1<<kindShift - 1)) }
func (v Value) str() string  { return unsafe.String((*byte)(v.p), v.strLen()) }

// Two values with equal words are the same value, but for NaN.
func (v Value) same(w Value) bool { return v.p == w.p && v.n == w.n }

func (v Value) table() *Table         { return (*Table)(v.p) }
func (v Value) closure() *closure     { return (*closure)(v.p) }
func (v Value) goFunction() *function { return (*function)(v.p) }
func (v Value) thread() *thread       { return (*thread)(v.p) }
func (v Value) userdata() *userdata   { return (*userdata)(v.p) }
func (v Value) address() uintptr      { return uintptr(v.p) }

func tableValue(t *Table) Value {
	return Value{unsafe.Pointer(t), uint64(KindTable) << kindShift}
}
func closureValue(c *closure) Value {
	return Value{unsafe.Pointer(c), uint64(kindClosure) << kindShift}
}
func functionValue(f *function) Value {
	return Value{unsafe.Pointer(f), uint64(KindFunction) << kindShift}
}
func threadValue(t *thread) Value {
	return Value{unsafe.Pointer(t), uint64(KindThread) << kindShift}
}
func userdataValue(u *userdata) Value {
	return Value{unsafe.Pointer(u), uint64(KindUserdata) << kindShift}
}

// addressOf is where a slice's memory begins, for the record of allocations.
func addressOf[T any](s []T) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(s))) }

const (
	valueSize = int(unsafe.Sizeof(Value{}))
	nodeSize  = int(unsafe.Sizeof(node{}))
	tableSize = int(unsafe.Sizeof(Table{}))
)
