// Package types holds the values of the keyspace: String, List, Set, Hash and
// SortedSet; types/stream holds streams, types/array arrays. A value knows no key, client, file or clock: whatever depends on
// those is passed in or decided by the caller. Nothing here locks; the caller
// holds whatever protects the value.
//
// A value lives in one of two forms:
//
//   - packed: a run of bytes that the keyspace keeps inside the entry. A typed
//     value is loaded over those bytes, edits them (in place while their
//     capacity lasts, else in memory of its own) and hands them back.
//   - an Object: a structure of its own behind a handle, once the packed form
//     passes the limits that the configuration sets.
package types

import "slices"

// Type is what TYPE answers. The numbers are also kept in entry headers; zero
// is not a type, so that a zeroed header is never taken for an entry.
type Type uint8

// The types, the first ones in the order of Redis's RDB and OBJECT numbering plus one.
const (
	NoType Type = iota
	TString
	TList
	TSet
	TZSet
	THash
	TStream
	TArray
)

// Kind is what the rest of kvd must know of a type besides its value.
type Kind struct {
	Name string // what TYPE answers
	// Digest is Redis's number of the type, which DEBUG DIGEST mixes in.
	Digest uint32
	// Waited: clients may be blocked for keys of this type.
	Waited bool
	// Object is what OBJECT ENCODING answers for EncObject, "": the name.
	Object string
}

// Kinds is the table by Type; an entry's header has room for 16. It does not change
// once there is a keyspace. How values are written and read is in rdb.Codecs.
var Kinds = [16]Kind{
	TString: {Name: "string", Digest: 0},
	TList:   {Name: "list", Digest: 1, Waited: true},
	TSet:    {Name: "set", Digest: 2},
	TZSet:   {Name: "zset", Digest: 3, Waited: true},
	THash:   {Name: "hash", Digest: 4},
	TStream: {Name: "stream", Digest: 6, Waited: true},
	TArray:  {Name: "array", Digest: 8, Object: "sliced-array"},
}

// String is the name that TYPE answers.
func (t Type) String() string {
	if t.Known() {
		return Kinds[t].Name
	}
	return "none"
}

// Known tells whether there is such a type.
func (t Type) Known() bool { return int(t) < len(Kinds) && Kinds[t].Name != "" }

// KnownName tells whether a name is that of a type of value.
func KnownName(name []byte) bool {
	return len(name) > 0 && slices.ContainsFunc(Kinds[:], func(k Kind) bool { return k.Name == string(name) })
}

// TypeNamed is the type of that name, as TYPE answers it.
func TypeNamed(name []byte) (Type, bool) {
	for i, k := range Kinds {
		if k.Name != "" && k.Name == string(name) {
			return Type(i), true
		}
	}
	return 0, false
}

// Encoding says how a value is represented. OBJECT ENCODING answers its name.
type Encoding uint8

// The encodings. Raw to Packed* are packed forms; the others are Objects.
const (
	EncRaw        Encoding = iota // string: bytes
	EncInt                        // string: 8 bytes, little endian, a signed integer
	EncEmbstr                     // string: bytes, at most 44, never modified since set
	EncChunked                    // string: a BigString Object; answers "raw"
	EncListpack                   // packed elements
	EncIntset                     // set: sorted integers of one width
	EncListpackEx                 // hash: packed field, value, deadline triples
	EncQuicklist                  // list: Object
	EncHashtable                  // set, hash: Object
	EncSkiplist                   // sorted set: Object
	// EncObject is the encoding of all types whose only form is an Object: an
	// entry's header has room for sixteen, and the type tells the rest.
	EncObject
)

var encodingNames = [...]string{"raw", "int", "embstr", "raw", "listpack", "intset", "listpackex", "quicklist", "hashtable", "skiplist", "object"}

// String is the name that OBJECT ENCODING answers, but of EncObject; see
// EncodingName.
func (e Encoding) String() string { return encodingNames[e] }

// EncodingName is the name that OBJECT ENCODING answers. A type that has one
// form only is called by its own name.
func EncodingName(t Type, e Encoding) string {
	if e == EncObject {
		if o := Kinds[t].Object; o != "" {
			return o
		}
		return t.String()
	}
	return e.String()
}

// IsObject tells whether the value is an Object behind a handle.
func (e Encoding) IsObject() bool {
	return e == EncChunked || e >= EncQuicklist
}

// Object is a value that is too big for its entry.
type Object interface {
	// Copy is an O(1) copy: both sides go on independently, sharing memory
	// until one of them writes. Copies may be read by another goroutine
	// while the original is written under its lock.
	Copy() Object
	// Bytes is an estimate, kept up to date in O(1), of the memory that the
	// value holds.
	Bytes() int64
	// Free gives back at most about budget bytes of the value's memory and
	// reports whether nothing is left. The value must not be used after the
	// first call.
	Free(budget int64) (done bool)
	// Check verifies every invariant; it is slow and for tests.
	Check() error
}
