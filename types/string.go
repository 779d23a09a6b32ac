package types

import (
	"fmt"
	"sync/atomic"
)

// ChunkSize is the size of the pieces that a BigString is made of, in bytes.
const ChunkSize = 64 << 10

// BigString is a string that is too long for its entry: chunks of 64 KiB, of
// which only the last may be shorter. A chunk that was never written is nil
// and reads as zeros, so a SETRANGE far behind the end takes no memory.
//
// After Copy both sides share the chunks, and the list of them; a write makes
// its own list, and its own copy of the chunk that it changes.
type BigString struct {
	n      int
	chunks []chunk
	shared bool   // the list is shared with a copy
	owner  uint64 // chunks with this owner may be written in place
	held   int64
}

type chunk struct {
	b     []byte
	owner uint64
}

// owners gives every BigString, and every state between two copies, a number.
var owners atomic.Uint64

// NewBigString makes one of the given bytes, which are copied.
func NewBigString(b []byte) *BigString {
	s := &BigString{owner: owners.Add(1)}
	s.WriteAt(0, b)
	return s
}

// KeepBigString makes one of the given bytes, which belong to it from now on.
func KeepBigString(b []byte) *BigString {
	s := &BigString{n: len(b), owner: owners.Add(1), held: int64(len(b))}
	s.chunks = make([]chunk, (len(b)+ChunkSize-1)/ChunkSize)
	for i := range s.chunks {
		end := min(len(b), (i+1)*ChunkSize)
		s.chunks[i] = chunk{b[i*ChunkSize : end : end], s.owner}
	}
	return s
}

// Len is the length in bytes.
func (s *BigString) Len() int { return s.n }

// chunkLen is how long chunk i is.
func (s *BigString) chunkLen(i int) int { return min(ChunkSize, s.n-i*ChunkSize) }

// zeros is what an unwritten chunk reads as.
var zeros [ChunkSize]byte

// Chunk is the bytes from off to the end of their chunk; off < Len. They must
// not be changed.
func (s *BigString) Chunk(off int) []byte {
	i := off / ChunkSize
	b := s.chunks[i].b
	if b == nil {
		b = zeros[:s.chunkLen(i)]
	}
	return b[off%ChunkSize : s.chunkLen(i)]
}

// AppendRange appends the bytes [from, to) to dst.
func (s *BigString) AppendRange(dst []byte, from, to int) []byte {
	for from < to {
		b := s.Chunk(from)
		b = b[:min(len(b), to-from)]
		dst = append(dst, b...)
		from += len(b)
	}
	return dst
}

// WriteAt writes b at off, making the string longer where needed; what lies
// between the old end and off becomes zeros.
func (s *BigString) WriteAt(off int, b []byte) {
	end := off + len(b)
	if s.shared {
		s.chunks = append(make([]chunk, 0, max(len(s.chunks), (end+ChunkSize-1)/ChunkSize)), s.chunks...)
		s.shared = false
	}
	if end > s.n {
		s.grow(end)
	}
	for len(b) > 0 {
		dst := s.writable(off / ChunkSize)[off%ChunkSize:]
		n := copy(dst, b)
		b = b[n:]
		off += n
	}
}

// grow makes the string n bytes long.
func (s *BigString) grow(n int) {
	last := len(s.chunks) - 1
	s.n = n
	for len(s.chunks) < (n+ChunkSize-1)/ChunkSize {
		s.chunks = append(s.chunks, chunk{})
	}
	if last >= 0 && s.chunks[last].b != nil && len(s.chunks[last].b) < s.chunkLen(last) {
		s.writable(last)
	}
}

// writable is chunk i at its full length, for changes.
func (s *BigString) writable(i int) []byte {
	c := &s.chunks[i]
	n := s.chunkLen(i)
	if c.owner == s.owner && len(c.b) >= n {
		return c.b[:n]
	}
	if c.owner == s.owner && cap(c.b) >= n {
		c.b = c.b[:n] // behind the old end are zeros: nothing was ever cut off
		return c.b
	}
	size := n
	if c.b != nil && len(c.b) < n { // it grows: leave some room
		size = min(ChunkSize, n+n/8)
	}
	b := make([]byte, n, size)
	copy(b, c.b)
	s.held += int64(cap(b)) - int64(cap(c.b)) // a copy that has the old one counts it
	*c = chunk{b, s.owner}
	return b
}

// Byte is the byte at off, which must be below Len.
func (s *BigString) Byte(off int) byte { return s.Chunk(off)[0] }

// Copy is an O(1) copy.
func (s *BigString) Copy() Object {
	c := &BigString{n: s.n, chunks: s.chunks, shared: true, owner: owners.Add(1), held: s.held}
	s.shared = true
	s.owner = owners.Add(1)
	return c
}

// Bytes is the memory that the string holds; what it shares with copies counts
// for each of them.
func (s *BigString) Bytes() int64 { return s.held + int64(cap(s.chunks))*32 + 64 }

// Free lets the chunks go; the collector takes them.
func (s *BigString) Free(int64) bool {
	s.chunks, s.n = nil, 0
	return true
}

// Check verifies the lengths of the chunks.
func (s *BigString) Check() error {
	if want := (s.n + ChunkSize - 1) / ChunkSize; want != len(s.chunks) {
		return fmt.Errorf("string of %d bytes in %d chunks", s.n, len(s.chunks))
	}
	for i, c := range s.chunks {
		if c.b != nil && len(c.b) != s.chunkLen(i) {
			return fmt.Errorf("chunk %d of a string of %d bytes has %d", i, s.n, len(c.b))
		}
	}
	return nil
}
