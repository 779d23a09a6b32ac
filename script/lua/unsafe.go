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
// a boolean's p is &booleanTag and n 0 or 1, light userdata's p is &lightTag.
// Of all other kinds, and of light userdata, the upper 16 bits of n are the
// kind plus kindBase, which no number has: these would be NaNs of other payloads
// than arithmetic makes, and Number does not let them in. So one comparison
// with n tells a table. p is an object of the kind, or a string's first byte,
// with the string's length in the rest of n. An empty string's p is &emptyTag.
type Value struct {
	p unsafe.Pointer
	n uint64
}

// The addresses of these tell kinds apart. They are of eight bytes each, so
// that no two share an address.
var numberTag, booleanTag, lightTag, emptyTag uint64

const (
	kindShift = 48
	kindBase  = 0xFFFF - uint64(kindClosure)

	tableBits    = (kindBase + uint64(KindTable)) << kindShift
	closureBits  = (kindBase + uint64(kindClosure)) << kindShift
	functionBits = (kindBase + uint64(KindFunction)) << kindShift
	stringBits   = (kindBase + uint64(KindString)) << kindShift
	lightBits    = (kindBase + uint64(KindLightUserdata)) << kindShift
	userdataBits = (kindBase + uint64(KindUserdata)) << kindShift
	threadBits   = (kindBase + uint64(KindThread)) << kindShift
)

func numberValue(f float64) Value { return Value{unsafe.Pointer(&numberTag), math.Float64bits(f)} }

func boolValue(b bool) Value {
	v := Value{unsafe.Pointer(&booleanTag), 0}
	if b {
		v.n = 1
	}
	return v
}

func lightValue(id uint32) Value {
	return Value{unsafe.Pointer(&lightTag), lightBits | uint64(id)}
}

func stringValue(s string) Value {
	if len(s) == 0 {
		return Value{unsafe.Pointer(&emptyTag), stringBits}
	}
	return Value{unsafe.Pointer(unsafe.StringData(s)), stringBits | uint64(len(s))}
}

// bytesValue is a string over b's memory, which nobody may change any more.
func bytesValue(b []byte) Value {
	if len(b) == 0 {
		return Value{unsafe.Pointer(&emptyTag), stringBits}
	}
	return Value{unsafe.Pointer(unsafe.SliceData(b)), stringBits | uint64(len(b))}
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
	return Kind(v.n>>kindShift - kindBase)
}

func (v Value) isNumber() bool { return v.p == unsafe.Pointer(&numberTag) }
func (v Value) isFalse() bool {
	return v.p == nil || (v.p == unsafe.Pointer(&booleanTag) && v.n == 0)
}

// isKind is for strings and the kinds that are objects.
func (v Value) isKind(k Kind) bool { return v.n>>kindShift == uint64(k)+kindBase }

// isObject is true for all that refers to memory.
func (v Value) isObject() bool { return v.n >= lightBits }

func (v Value) num() float64 { return math.Float64frombits(v.n) }
func (v Value) strLen() int  { return int(v.n & (1<<kindShift - 1)) }
func (v Value) str() string  { return unsafe.String((*byte)(v.p), v.strLen()) }

func (v Value) bytes() []byte { return unsafe.Slice((*byte)(v.p), v.strLen()) }

// Two values with equal words are the same value, but for NaN.
func (v Value) same(w Value) bool { return v.p == w.p && v.n == w.n }

func (v Value) table() *Table         { return (*Table)(v.p) }
func (v Value) closure() *closure     { return (*closure)(v.p) }
func (v Value) goFunction() *function { return (*function)(v.p) }
func (v Value) thread() *thread       { return (*thread)(v.p) }
func (v Value) userdata() *userdata   { return (*userdata)(v.p) }
func (v Value) address() uintptr      { return uintptr(v.p) }

func tableValue(t *Table) Value {
	return Value{unsafe.Pointer(t), tableBits}
}
func closureValue(c *closure) Value {
	return Value{unsafe.Pointer(c), closureBits}
}
func functionValue(f *function) Value {
	return Value{unsafe.Pointer(f), functionBits}
}
func threadValue(t *thread) Value {
	return Value{unsafe.Pointer(t), threadBits}
}
func userdataValue(u *userdata) Value {
	return Value{unsafe.Pointer(u), userdataBits}
}

// addressOf is where a slice's memory begins, for the record of allocations.
func addressOf[T any](s []T) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(s))) }

const (
	valueSize = int(unsafe.Sizeof(Value{}))
	nodeSize  = int(unsafe.Sizeof(node{}))
	tableSize = int(unsafe.Sizeof(Table{}))
)

// What follows is for the hot loop: addresses in place of slices, without
// checks of bounds. Invariant: a frame's registers lie in the thread's stack, an
// instruction's operands are registers or constants of its function, and pc
// never leaves the code (translate makes one instruction more than there are).

func first[T any](s []T) pointer { return unsafe.Pointer(unsafe.SliceData(s)) }

func offset(stack pointer, i int) pointer { return unsafe.Add(stack, i*valueSize) }

func at(base pointer, off uint64) *Value { return (*Value)(unsafe.Add(base, off)) }

func after(v *Value, n uint64) *Value {
	return (*Value)(unsafe.Add(unsafe.Pointer(v), n*uint64(valueSize)))
}

func pointerTo(v *Value) pointer { return unsafe.Pointer(v) }

// past tells whether size bytes from v on go beyond the used part of the stack.
func (th *thread) past(v *Value, size uintptr) bool {
	return uintptr(unsafe.Pointer(v))+size-uintptr(first(th.stack)) > uintptr(th.soft)*uintptr(valueSize)
}

// float is num without a detour over the other kind of register.
func (v *Value) float() float64 { return *(*float64)(unsafe.Pointer(&v.n)) }

func fetch(pc pointer) uint64                      { return *(*uint64)(pc) }
func nextInstruction(pc pointer) pointer           { return unsafe.Add(pc, 8) }
func jumpBy(pc pointer, d int64) pointer           { return unsafe.Add(pc, d<<3) }
func instructionAt(code pointer, pc int32) pointer { return unsafe.Add(code, int(pc)<<3) }
func distance(code, pc pointer) int32              { return int32((uintptr(pc) - uintptr(code)) >> 3) }

func nextFrame(f *frame) *frame { return (*frame)(unsafe.Add(unsafe.Pointer(f), frameSize)) }
func previousFrame(f *frame) *frame {
	return (*frame)(unsafe.Add(unsafe.Pointer(f), -int(frameSize)))
}

func (t *Table) node(i int64) *node {
	return (*node)(unsafe.Add(first(t.nodes), i*int64(nodeSize)))
}
func (t *Table) slot(i int) *Value { return (*Value)(unsafe.Add(first(t.arr), i*valueSize)) }
func (t *Table) head(hash uint32) int32 {
	return *(*int32)(unsafe.Add(first(t.heads), uintptr(hash&uint32(len(t.heads)-1))*4))
}

func (c *closure) upval(i uint64) *upval { return *(**upval)(unsafe.Add(first(c.ups), i*pointerSize)) }

func (v *Value) byteAt(i int) byte { return *(*byte)(unsafe.Add(v.p, i)) }

// setNumber writes the pointer only where it differs: that saves the write
// barrier where a number follows a number.
func (v *Value) setNumber(f float64) {
	if v.p != unsafe.Pointer(&numberTag) {
		v.p = unsafe.Pointer(&numberTag)
	}
	v.n = math.Float64bits(f)
}

func (v *Value) setBool(n uint64) {
	v.p = unsafe.Pointer(&booleanTag)
	v.n = n
}

func (v *Value) assign(x *Value) {
	if v.p != x.p {
		v.p = x.p
	}
	v.n = x.n
}

const (
	frameSize   = unsafe.Sizeof(frame{})
	pointerSize = uint64(unsafe.Sizeof(uintptr(0)))
)
