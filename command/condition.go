package command

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"

	"github.com/zeebo/xxh3"

	"kvd/keyspace"
)

// The conditions of SET and DELEX, and of EXEC.

// Condition is what the string at a key must be for a command to act. It holds
// where the relation to value is as the kind says: eq or ne to the string
// itself, deq or dne to its digest.
type Condition struct {
	Kind  byte
	Value []byte
}

const (
	IfEq byte = iota + 1
	ifNe
	ifDEq
	ifDNe
)

// DigestLen is the length of a digest in hexadecimal digits.
const DigestLen = 16

// ConditionWord is the kind that a word names. It is 0 if there is none.
func ConditionWord(arg []byte) byte {
	switch {
	case EqualFold(arg, "ifeq"):
		return IfEq
	case EqualFold(arg, "ifne"):
		return ifNe
	case EqualFold(arg, "ifdeq"):
		return ifDEq
	case EqualFold(arg, "ifdne"):
		return ifDNe
	}
	return 0
}

// Valid replies with an error where the value is to be a digest and is none.
// Redis looks at it only where there is a string to compare it to.
func (o *Condition) Valid(c *Ctx) bool {
	if o.Kind == IfEq || o.Kind == ifNe {
		return true
	}
	var raw [DigestLen / 2]byte
	if len(o.Value) == DigestLen {
		if _, err := hex.Decode(raw[:], o.Value); err == nil {
			return true
		}
	}
	c.Err("ERR must be exactly 16 hexadecimal characters")
	return false
}

// Holds tells whether the string of an entry meets the condition, which must
// be valid. A missing key is unlike every string.
func (o *Condition) Holds(c *Ctx, e *keyspace.Entry) bool {
	equal := false
	if e.Exists() {
		v := c.StringOf(e)
		if o.Kind == IfEq || o.Kind == ifNe {
			equal = v.equal(o.Value)
		} else {
			var raw [DigestLen / 2]byte
			hex.Decode(raw[:], o.Value) // valid has seen to it
			equal = binary.BigEndian.Uint64(raw[:]) == v.Digest()
		}
	}
	return equal == (o.Kind == IfEq || o.Kind == ifDEq)
}

// equal compares the whole string with b.
func (v StringValue) equal(b []byte) bool {
	if v.Len() != len(b) {
		return false
	}
	for len(b) > 0 {
		p := v.Piece(v.Len() - len(b))
		if !bytes.Equal(p, b[:len(p)]) {
			return false
		}
		b = b[len(p):]
	}
	return true
}

// Digest is the 64-bit XXH3 hash of the string, seed 0: what DIGEST shows.
func (v StringValue) Digest() uint64 {
	if v.Big == nil {
		return xxh3.Hash(v.B)
	}
	h := xxh3.New()
	for off := 0; off < v.Len(); {
		p := v.Piece(off)
		h.Write(p)
		off += len(p)
	}
	return h.Sum64()
}
