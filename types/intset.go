package types

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// Intset is a sorted sequence of distinct integers of one width. Behind the
// first byte, which is the width, it is what Redis keeps behind the 8 bytes of
// an intset's head (source: Redis's src/intset.c and src/rdb.c):
//
//	1 byte  width: 2, 4 or 8
//	        the integers, ascending, little endian, two's complement
//
// nil is the empty set. The width is the smallest that has ever been needed:
// it grows with the first integer that asks for it and never shrinks.
//
// Reading allocates nothing. Methods that change the set work in place while
// the capacity lasts, so that the receiver must not be used after the call.
type Intset []byte

// intsetWidth is the width that v needs.
func intsetWidth(v int64) int {
	switch {
	case v >= math.MinInt16 && v <= math.MaxInt16:
		return 2
	case v >= math.MinInt32 && v <= math.MaxInt32:
		return 4
	}
	return 8
}

// Width is the number of bytes of each integer, 2 for the empty set.
func (s Intset) Width() int {
	if len(s) == 0 {
		return 2
	}
	return int(s[0])
}

// Len is the number of integers.
func (s Intset) Len() int {
	if len(s) == 0 {
		return 0
	}
	return (len(s) - 1) / int(s[0])
}

// At is the integer at index i, which is in range.
func (s Intset) At(i int) int64 {
	w := int(s[0])
	b := s[1+i*w:]
	switch w {
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

// Find is the index of v or, if it is not there, the one where it belongs.
func (s Intset) Find(v int64) (i int, found bool) {
	n := s.Len()
	lo, hi := 0, n
	for lo < hi {
		if m := int(uint(lo+hi) / 2); s.At(m) < v {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo, lo < n && s.At(lo) == v
}

func (s Intset) set(i int, v int64) {
	switch w := int(s[0]); w {
	case 2:
		binary.LittleEndian.PutUint16(s[1+i*w:], uint16(v))
	case 4:
		binary.LittleEndian.PutUint32(s[1+i*w:], uint32(v))
	default:
		binary.LittleEndian.PutUint64(s[1+i*w:], uint64(v))
	}
}

// Add puts v in and tells whether it was not there.
func (s Intset) Add(v int64) (Intset, bool) {
	i, found := s.Find(v)
	if found {
		return s, false
	}
	n := s.Len()
	old, w := s.Width(), max(s.Width(), intsetWidth(v))
	if size := 1 + (n+1)*w; size <= cap(s) && w == old && n > 0 {
		s = s[:size]
		copy(s[1+(i+1)*w:], s[1+i*w:])
	} else {
		t := slices.Grow(Intset(nil), size+size/8)[:size]
		t[0] = byte(w)
		if w == old && n > 0 {
			copy(t[1:], s[1:1+i*w])
			copy(t[1+(i+1)*w:], s[1+i*w:])
		} else {
			for j := range n {
				k := j
				if j >= i {
					k++
				}
				t.set(k, s.At(j))
			}
		}
		s = t
	}
	s.set(i, v)
	return s, true
}

// Delete removes the integer at index i.
func (s Intset) Delete(i int) Intset {
	w := int(s[0])
	return append(s[:1+i*w], s[1+(i+1)*w:]...)
}

// AppendRedis adds the set to dst as RDB files and DUMP hold it: the width and
// the number of integers, 32 bits each, little endian, and the integers.
func (s Intset) AppendRedis(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(s.Width()))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(s.Len()))
	if len(s) > 0 {
		dst = append(dst, s[1:]...)
	}
	return dst
}

var errIntset = errors.New("types: damaged intset")

// IntsetFromRedis reads what AppendRedis writes. b may come from outside and
// is not kept.
func IntsetFromRedis(b []byte) (Intset, error) {
	if len(b) < 8 {
		return nil, errIntset
	}
	w, n := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	if w > 8 || uint64(len(b)-8) != uint64(w)*uint64(n) {
		return nil, errIntset
	}
	s := make(Intset, 0, len(b)-7)
	s = append(append(s, byte(w)), b[8:]...)
	return s, s.Check()
}

// Check verifies bytes from outside. Whatever passes is safe for all the other
// methods. The width may be larger than it had to be.
func (s Intset) Check() error {
	if len(s) == 0 {
		return nil
	}
	if w := int(s[0]); w != 2 && w != 4 && w != 8 || (len(s)-1)%w != 0 {
		return errIntset
	}
	for i := 1; i < s.Len(); i++ {
		if s.At(i-1) >= s.At(i) {
			return errIntset
		}
	}
	return nil
}
