package command

import (
	"strconv"

	"kvd/keyspace"
	"kvd/types"
)

// Strings as commands read and write them.

// embstrMax is the longest string that OBJECT ENCODING calls embstr.
const embstrMax = 44

// stringValue is a string as a command reads it, whatever its encoding. The
// bytes alias the entry or the Ctx's scratch, until the next one is read.
type stringValue struct {
	b   []byte
	big *types.BigString
}

// stringOf reads the string of an entry, which must be one.
func (c *Ctx) stringOf(e *keyspace.Entry) stringValue {
	switch e.Encoding() {
	case types.EncInt:
		c.scratch = strconv.AppendInt(c.scratch[:0], e.Int(), 10)
		return stringValue{b: c.scratch}
	case types.EncChunked:
		return stringValue{big: e.Object().(*types.BigString)}
	}
	return stringValue{b: e.Packed()}
}

func (v stringValue) len() int {
	if v.big != nil {
		return v.big.Len()
	}
	return len(v.b)
}

// bytes is the whole string in one piece.
func (v stringValue) bytes() []byte {
	if v.big != nil {
		return v.big.AppendRange(nil, 0, v.big.Len())
	}
	return v.b
}

// piece is the bytes from off on that lie together; off is below len.
func (v stringValue) piece(off int) []byte {
	if v.big != nil {
		return v.big.Chunk(off)
	}
	return v.b[off:]
}

// byteAt is the byte at off, zero behind the end.
func (v stringValue) byteAt(off int) byte {
	if off >= v.len() {
		return 0
	}
	return v.piece(off)[0]
}

// view is the string as it is now, for a worker to read; release it.
func (v stringValue) view() stringValue {
	if v.big != nil {
		v.big = v.big.Copy().(*types.BigString)
	}
	return v
}

func (v stringValue) release() {
	if v.big != nil {
		v.big.Free(int64(v.big.Len()))
	}
}

// replyString replies with the string of an entry.
func (c *Ctx) replyString(e *keyspace.Entry) {
	switch e.Encoding() {
	case types.EncInt:
		c.W.BulkInt(e.Int())
	case types.EncChunked:
		v := c.stringOf(e)
		c.replyRange(v, 0, v.len())
	default:
		c.W.Bulk(e.Packed())
	}
}

// putString sets the value at a key to a string, in the encoding that suits.
func (c *Ctx) putString(k *keyspace.Key, b []byte, deadline int64) {
	if len(b) <= 20 {
		if n, ok := parseInt(b); ok {
			c.putInt(k, n, deadline)
			return
		}
	}
	switch {
	case len(b) <= embstrMax:
		c.Put(k, types.TString, types.EncEmbstr, b, deadline)
	case len(b) <= keyspace.InlineMax:
		c.Put(k, types.TString, types.EncRaw, b, deadline)
	default:
		var s *types.BigString
		if c.take(b) {
			s = types.KeepBigString(b)
		} else {
			s = types.NewBigString(b)
		}
		c.PutObject(k, types.TString, types.EncChunked, s, deadline)
	}
}
