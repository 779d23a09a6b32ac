package rdb

import (
	"errors"

	"kvd/types"
)

// errLong: what stands behind the mark is longer than was allowed.
var errLong = errors.New("rdb: longer than the mark allows")

// IsLong tells whether taking failed because of the length that Mark allows.
func IsLong(err error) bool { return errors.Is(err, errLong) }

// Mark notes the place where the Reader is, for Marked or Rewind: what follows
// stays in memory until then, and an attempt to take more than max bytes fails
// like any other error.
func (r *Reader) Mark(max int) {
	r.marked, r.mark, r.markMax = true, r.pos, max
}

// Marked returns what was taken since Mark, valid until the next call, and
// forgets the mark; nil after an error, where Rewind must follow.
func (r *Reader) Marked() []byte {
	if r.err != nil {
		return nil
	}
	r.marked = false
	return r.buf[r.mark:r.pos:r.pos]
}

// Rewind goes back to the mark, forgets it, and with it any error since.
func (r *Reader) Rewind() {
	r.pos, r.marked, r.err = r.mark, false, nil
}

// Reset makes r a Reader of b, with the memory that it has.
func (r *Reader) Reset(b []byte) {
	*r = Reader{buf: b, end: len(b), scratch: r.scratch, bulk: r.bulk}
}

// TypeOf is the type of the values of the type byte t.
func TypeOf(t byte) types.Type { return formTypes[t] }

// Skip passes over the body of a value of the type t: it takes as much as
// DecodeValue would, and looks at nothing but lengths. Err tells whether it
// could.
func Skip(r *Reader, t byte) {
	if c := Codecs[formTypes[t]]; c.Skip != nil {
		c.Skip(r, t)
	} else {
		r.fail(ErrUnknown)
	}
}

// skipForm is Codec.Skip of the forms that consist of lengths, strings and bytes.
func skipForm(r *Reader, t byte) {
	switch t {
	case TypeString, TypeListZiplist, TypeSetIntset, TypeZSetZiplist, TypeZSetListpack, TypeSetListpack,
		TypeHashZipmap, TypeHashZiplist, TypeHashListpack, TypeListpackTTLPre:
		r.skipString()
	case TypeListpackTTL:
		r.Next(8)
		r.skipString()
	case TypeList, TypeSet, TypeQuicklist:
		r.skipTuples(0, 1, 0)
	case TypeQuicklist2:
		r.skipTuples(1, 1, 0)
	case TypeHash:
		r.skipTuples(0, 2, 0)
	case TypeZSet2:
		r.skipTuples(0, 1, 8)
	case TypeValkeyHash:
		r.skipTuples(0, 2, 8)
	case TypeHashTTL:
		r.Next(8)
		r.skipTuples(1, 2, 0)
	case TypeHashTTLPre:
		r.skipTuples(1, 2, 0)
	case TypeZSet:
		for n := r.Length(); n > 0 && r.err == nil; n-- {
			r.skipString()
			if size := r.Byte(); size < 253 {
				r.Next(int(size))
			}
		}
	default:
		r.fail(ErrUnknown)
	}
}

// skipTuples passes over a length and as many times so many lengths, strings
// and bytes.
func (r *Reader) skipTuples(lengths, strings, bytes int) {
	for n := r.Length(); n > 0 && r.err == nil; n-- {
		for range lengths {
			r.Length()
		}
		for range strings {
			r.skipString()
		}
		if bytes > 0 {
			r.Next(bytes)
		}
	}
}

// SkipString passes over a string.
func SkipString(r *Reader) { r.skipString() }

func (r *Reader) skipString() {
	n, coded := r.length()
	if !coded {
		r.Discard(n)
		return
	}
	if _, ok := r.codedInt(n); ok {
		return
	}
	if n != codedLZF {
		r.damaged("coding of a string")
		return
	}
	size := r.Length()
	r.Length()
	r.Discard(size)
}

// Discard passes over n bytes, which need not fit into memory.
func (r *Reader) Discard(n uint64) {
	for n > 0 && r.err == nil {
		k := min(n, window)
		r.Next(int(k))
		n -= k
	}
}

// More tells whether anything follows. The end of the source is no error.
func (r *Reader) More() bool {
	if r.err != nil || r.pos < r.end {
		return r.err == nil
	}
	if r.src != nil && r.fill(1) {
		return true
	}
	if errors.Is(r.err, ErrShort) {
		r.err = nil
	}
	return false
}
