package lua

import "math"

// Kind is the kind of a value.
type Kind uint8

// The kinds. A function written in Lua has a kind of its own inside the
// package; Value.Kind says KindFunction for both.
const (
	KindNil Kind = iota
	KindBoolean
	KindNumber
	KindLightUserdata
	KindString
	KindTable
	KindFunction
	KindUserdata
	KindThread
	kindClosure
)

var kindNames = [...]string{"nil", "boolean", "number", "userdata", "string", "table", "function", "userdata", "thread", "function"}

// String is Lua's name of the kind, as type() returns it.
func (k Kind) String() string { return kindNames[k] }

// Nil is the value nil, also the zero Value.
var Nil Value

// Bool makes a boolean.
func Bool(b bool) Value { return boolValue(b) }

// Number makes a number. Of a NaN only the sign is kept.
func Number(f float64) Value {
	if f != f {
		f = math.Copysign(math.NaN(), f)
	}
	return numberValue(f)
}

// String makes a string over s's own memory; nothing is copied or charged. It
// is meant for constants and for views of other strings of the script (see
// State.NewString for bytes that are new, and State.View for short pieces of
// long strings).
func String(s string) Value { return stringValue(s) }

// LightUserdata makes a light userdata; equal ids are equal values. 0 is what
// cjson.null is.
func LightUserdata(id uint32) Value { return lightValue(id) }

// Kind tells what v is.
func (v Value) Kind() Kind {
	k := v.kind()
	if k == kindClosure {
		return KindFunction
	}
	return k
}

// IsNil tells whether v is nil.
func (v Value) IsNil() bool { return v.p == nil }

// IsNumber tells whether v is a number (not a string that looks like one).
func (v Value) IsNumber() bool { return v.isNumber() }

// IsString tells whether v is a string (not a number).
func (v Value) IsString() bool { return v.isKind(KindString) }

// IsTable tells whether v is a table.
func (v Value) IsTable() bool { return v.isKind(KindTable) }

// IsFunction tells whether v is a function, of either language.
func (v Value) IsFunction() bool { return v.isKind(kindClosure) || v.isKind(KindFunction) }

// Truth is false for nil and false.
func (v Value) Truth() bool { return !v.isFalse() }

// Num is a number's value; v must be a number.
func (v Value) Num() float64 { return v.num() }

// Str is a string's bytes, without a copy; v must be a string. The bytes never
// change and are never used again for others, so the result may be kept; but
// it keeps the memory around it alive (32 KiB at most), which is why what
// outlives the run should copy it.
func (v Value) Str() string { return v.str() }

// Table is the table, and nil where v is none.
func (v Value) Table() *Table {
	if v.isKind(KindTable) {
		return v.table()
	}
	return nil
}

// LightID is the id of a light userdata.
func (v Value) LightID() (id uint32, ok bool) {
	if v.kind() == KindLightUserdata {
		return uint32(v.n), true
	}
	return 0, false
}

// Value makes a value of the table.
func (t *Table) Value() Value { return tableValue(t) }

// RawEquals compares without metamethods, as rawequal does.
func RawEquals(a, b Value) bool {
	if a.isNumber() || b.isNumber() {
		return a.isNumber() && b.isNumber() && a.num() == b.num()
	}
	if a.same(b) {
		return true
	}
	return a.n == b.n && a.isKind(KindString) && b.isKind(KindString) && a.str() == b.str()
}

// function is a function written in Go.
type function struct {
	fn      GoFunction
	special uint8   // which special function it is to the loop, or 0
	thread  *thread // of a function that coroutine.wrap made
	held    []Value // the values that fn keeps, for the walk at the bound of memory
	size    int     // how many bytes fn keeps beside them
	env     *Table
	epoch   uint32
}

// goFunctionSize is what a function in Go takes with its closure.
const goFunctionSize = 112

// What other objects take, beside what tables and stacks are counted by.
const (
	closureSize   = 64
	upvalSlotSize = 8
	upvalSize     = 48
	userdataSize  = 48
	threadSize    = 160
)

// memory is how many bytes the function takes with what only it keeps.
func (f *function) memory() int { return goFunctionSize + len(f.held)*valueSize + f.size }

// userdata is what newproxy makes: an identity with a metatable.
type userdata struct {
	meta  *Table
	env   *Table
	epoch uint32
}

// Bytes is a string's bytes as Str gives them; nobody may change them.
func (v Value) Bytes() []byte { return v.bytes() }
