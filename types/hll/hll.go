// Package hll is the HyperLogLog of the PF commands: functions over the bytes
// of a string, which are Redis's to the bit.
//
// A HyperLogLog has 16,384 registers. The hash of an element says which one is
// meant (its lower 14 bits) and what it is to hold at least: one more than the
// number of zero bits that follow. The string:
//
//	"HYLL" | encoding 1 | 0 0 0 | cached cardinality 8 | registers
//
// The cardinality is little-endian; its highest bit says that it is out of date.
// Encoding 0 is dense: 6 bits a register, the lower bits of a byte first.
// Encoding 1 is sparse, runs of equal registers:
//
//	00nnnnnn           ZERO:  n+1 registers (1 to 64) of 0
//	01nnnnnn nnnnnnnn  XZERO: n+1 registers (1 to 16,384) of 0
//	1vvvvvnn           VAL:   n+1 registers (1 to 4) of v+1 (1 to 32)
//
// The format is documented at the top of Redis's hyperloglog.c; the estimate is
// Otmar Ertl's (New cardinality estimation algorithms for HyperLogLog
// sketches, arXiv:1702.01284).
package hll

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
)

const (
	// Registers is the number of registers.
	Registers = 1 << indexBits
	// HeaderSize is where the registers begin.
	HeaderSize = 16
	// DenseSize is the length of a dense HyperLogLog.
	DenseSize = HeaderSize + Registers*6/8

	indexBits = 14
	maxCount  = 64 - indexBits + 1 // the highest value that a hash gives

	dense, sparse = 0, 1

	maxZero  = 64
	maxRun   = 4  // of VAL
	maxValue = 32 // of VAL
)

// The errors, as they are replied.
var (
	// ErrNone says that a string is no HyperLogLog.
	ErrNone = errors.New("WRONGTYPE Key is not a valid HyperLogLog string value.")
	// ErrCorrupt says that the registers of one make no sense.
	ErrCorrupt = errors.New("INVALIDOBJ Corrupted HLL object detected")
)

// All are the registers of a HyperLogLog, a byte each.
type All [Registers]uint8

// Check tells whether b looks like a HyperLogLog: header and length are looked
// at, sparse registers are not. The other functions want it checked.
func Check(b []byte) error {
	if len(b) < HeaderSize || string(b[:4]) != "HYLL" || b[4] > sparse || b[4] == dense && len(b) != DenseSize {
		return ErrNone
	}
	return nil
}

// New appends an empty HyperLogLog to dst. Its cached cardinality, 0, is valid.
func New(dst []byte) []byte {
	dst = append(dst, "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	return append(dst, 0x7f, 0xff) // XZERO of all
}

// IsDense tells whether the registers of b are dense.
func IsDense(b []byte) bool { return b[4] == dense }

const outOfDate = 1 << 63

// Cached is the cached cardinality, if it is valid.
func Cached(b []byte) (n uint64, ok bool) {
	n = binary.LittleEndian.Uint64(b[8:])
	return n, n&outOfDate == 0
}

// SetCached keeps a cardinality.
func SetCached(b []byte, n uint64) { binary.LittleEndian.PutUint64(b[8:], n) }

// Invalidate says that the cached cardinality is out of date.
func Invalidate(b []byte) { b[15] |= 0x80 }

// hash is MurmurHash64A of an element, with Redis's seed.
func hash(b []byte) uint64 {
	const m, r = 0xc6a4a7935bd1e995, 47
	h := 0xadc83b19 ^ uint64(len(b))*m
	for ; len(b) >= 8; b = b[8:] {
		k := binary.LittleEndian.Uint64(b) * m
		k ^= k >> r
		h = (h ^ k*m) * m
	}
	if len(b) > 0 {
		var k uint64
		for i, c := range b {
			k |= uint64(c) << (8 * i)
		}
		h = (h ^ k) * m
	}
	h = (h ^ h>>r) * m
	return h ^ h>>r
}

// Place is the register that an element belongs to and what it has to hold at
// least, 1 to 51.
func Place(elem []byte) (index int, count uint8) {
	h := hash(elem)
	rest := h>>indexBits | 1<<(maxCount-1)
	return int(h & (Registers - 1)), uint8(bits.TrailingZeros64(rest) + 1)
}

// denseGet is register i of dense registers.
func denseGet(r []byte, i int) uint8 {
	at, shift := i*6/8, i*6&7
	v := uint(r[at])
	if at+1 < len(r) {
		v |= uint(r[at+1]) << 8
	}
	return uint8(v >> shift & 63)
}

func denseSet(r []byte, i int, v uint8) {
	at, shift := i*6/8, i*6&7
	r[at] = r[at]&^(63<<shift) | v<<shift
	if shift > 2 {
		r[at+1] = r[at+1]&^(63>>(8-shift)) | v>>(8-shift)
	}
}

// Would tells whether Set would change a dense HyperLogLog.
func Would(b []byte, index int, count uint8) bool { return denseGet(b[HeaderSize:], index) < count }

// Set raises a register to count, which may take more memory, or make the
// HyperLogLog dense: where a value is above 32, or where it would become longer
// than maxSparse bytes. It returns where the HyperLogLog is now and whether
// something changed; the cached cardinality is not touched. After an error b is
// of no use.
func Set(b []byte, index int, count uint8, maxSparse int) (out []byte, changed bool, err error) {
	if IsDense(b) {
		if !Would(b, index, count) {
			return b, false, nil
		}
		denseSet(b[HeaderSize:], index, count)
		return b, true, nil
	}
	var c cursor
	return c.set(b, index, count, maxSparse)
}

// A cursor remembers a run of sparse registers from which those that are still
// to be set can be found, where they are set in order. Its zero value is the
// first run.
//
// Invariant: if it is not the first run, the next register to be set is in a
// later one. Joining reaches back to the run before the one that is changed, so
// the cursor is put two before that. Where the next register is in that joined
// run, what is left of it in front of the register keeps the two apart.
type cursor struct {
	at    int // offset in the registers
	first int // the run's first register
}

// run reads the run at b[0]: how many registers it has, their value, and its
// length in bytes. A run of 0 is no run.
func run(b []byte) (n int, value uint8, size int) {
	switch op := b[0]; {
	case op&0x80 != 0:
		return int(op&3) + 1, op>>2&31 + 1, 1
	case op&0x40 == 0:
		return int(op) + 1, 0, 1
	case len(b) < 2:
		return 0, 0, 1
	default:
		return (int(op&63)<<8 | int(b[1])) + 1, 0, 2
	}
}

// lengths is how many registers the runs of one byte have; 0: it has two.
var lengths = func() (t [256]uint8) {
	for op := range t {
		if op&0xc0 != 0x40 {
			n, _, _ := run([]byte{byte(op)})
			t[op] = uint8(n)
		}
	}
	return
}()

func valByte(value uint8, n int) byte { return 0x80 | (value-1)<<2 | byte(n-1) }

// appendZeros appends a run of n registers of 0; none if n is 0.
func appendZeros(dst []byte, n int) []byte {
	switch {
	case n == 0:
		return dst
	case n <= maxZero:
		return append(dst, byte(n-1))
	}
	return append(dst, 0x40|byte((n-1)>>8), byte(n-1))
}

// appendVal appends a run of n registers with a value; none if n is 0.
func appendVal(dst []byte, value uint8, n int) []byte {
	if n == 0 {
		return dst
	}
	return append(dst, valByte(value, n))
}

// set is Set for a sparse HyperLogLog. What it does to the runs has to be just
// what Redis does, so that the bytes are equal.
func (c *cursor) set(b []byte, index int, count uint8, maxSparse int) (out []byte, changed bool, err error) {
	if count > maxValue {
		return promote(b, index, count)
	}
	r := b[HeaderSize:]
	p, first := c.at, c.first
	// Where the two runs before p are, once so many steps are made.
	prev, prevFirst, before, beforeFirst := p, first, p, first
	var n int
	steps := 0
	for ; p < len(r); steps++ {
		op := r[p]
		size := 1
		if n = int(lengths[op]); n == 0 { // XZERO
			if n, _, size = run(r[p:]); n == 0 {
				return b, false, ErrCorrupt
			}
		}
		if index < first+n {
			break
		}
		before, beforeFirst, prev, prevFirst = prev, prevFirst, p, first
		p += size
		first += n
	}
	if p >= len(r) || first+n > Registers {
		return b, false, ErrCorrupt
	}
	_, value, size := run(r[p:])
	if steps >= 2 {
		*c = cursor{before, beforeFirst}
	}
	if value >= count {
		return b, false, nil
	}

	// The run is cut into what is before the register, the register, and what is
	// behind it.
	var room [5]byte
	seq := room[:0]
	left, right := index-first, first+n-1-index
	if value == 0 {
		seq = appendZeros(appendVal(appendZeros(seq, left), count, 1), right)
	} else {
		seq = appendVal(appendVal(appendVal(seq, value, left), count, 1), value, right)
	}
	if more := len(seq) - size; more > 0 {
		if len(b)+more > maxSparse {
			return promote(b, index, count)
		}
		was := len(b)
		for range more {
			b = append(b, 0)
		}
		r = b[HeaderSize:]
		copy(r[p+len(seq):], r[p+size:was-HeaderSize])
	} else if more < 0 {
		copy(r[p+len(seq):], r[p+size:])
		b = b[:len(b)+more]
		r = b[HeaderSize:]
	}
	copy(r[p:], seq)

	// Values beside each other are joined; Redis looks at five runs.
	p = prev
	for scan := 5; p < len(r) && scan > 0; scan-- {
		n, value, size = run(r[p:])
		if value > 0 && p+1 < len(r) && r[p+1]&0x80 != 0 {
			if n2, value2, _ := run(r[p+1:]); value2 == value && n+n2 <= maxRun {
				r[p+1] = valByte(value, n+n2)
				copy(r[p:], r[p+1:])
				b = b[:len(b)-1]
				r = b[HeaderSize:]
				continue
			}
		}
		p += size
	}
	return b, true, nil
}

// promote makes a HyperLogLog dense and raises a register.
func promote(b []byte, index int, count uint8) (out []byte, changed bool, err error) {
	if b, err = ToDense(b); err != nil {
		return b, false, err
	}
	if !Would(b, index, count) { // only where runs of no sense had been passed
		return b, false, nil
	}
	denseSet(b[HeaderSize:], index, count)
	return b, true, nil
}

// each shows the runs of sparse registers to f; they have to be all registers.
func each(b []byte, f func(first, n int, value uint8)) error {
	first := 0
	for r := b[HeaderSize:]; len(r) > 0; {
		n, value, size := run(r)
		if n == 0 || first+n > Registers {
			return ErrCorrupt
		}
		f(first, n, value)
		first += n
		r = r[size:]
	}
	if first != Registers {
		return ErrCorrupt
	}
	return nil
}

// ToDense is b in dense form, in memory of its own if it was not.
func ToDense(b []byte) ([]byte, error) {
	if IsDense(b) {
		return b, nil
	}
	d := make([]byte, DenseSize)
	copy(d, b[:HeaderSize])
	d[4] = dense
	err := each(b, func(first, n int, value uint8) {
		if value > 0 {
			for i := range n {
				denseSet(d[HeaderSize:], first+i, value)
			}
		}
	})
	if err != nil {
		return b, err
	}
	return d, nil
}

// Merge raises the registers of all to those of a HyperLogLog. Dense ones are taken eight
// at a time: the comparison of bytes within a word needs their highest bits, which no
// value below 64 has.
func (all *All) Merge(b []byte) error {
	if IsDense(b) {
		const high = 0x8080808080808080
		for i := 0; i < Registers; i += 8 {
			v := spread(six(b[HeaderSize+i/8*6:]))
			a := binary.LittleEndian.Uint64(all[i:])
			less := (a | high) - v // the high bit of each byte: a is not below v
			keep := (less & high >> 7) * 0x7f
			binary.LittleEndian.PutUint64(all[i:], a&keep|v&^keep)
		}
		return nil
	}
	return each(b, func(first, n int, value uint8) {
		for i := first; i < first+n && value > 0; i++ {
			all[i] = max(all[i], value)
		}
	})
}

// spread makes bytes of eight registers of six bits.
func spread(v uint64) uint64 {
	v = v&0xffffff | v<<8&(0xffffff<<32)
	v = v&0x00000fff00000fff | v<<4&0x0fff00000fff0000
	return v&0x003f003f003f003f | v<<2&0x3f003f003f003f00
}

// six are the first six bytes of b, eight registers.
func six(b []byte) uint64 {
	_ = b[5]
	return uint64(binary.LittleEndian.Uint32(b)) | uint64(b[4])<<32 | uint64(b[5])<<40
}

// Raise raises the registers of b to those of all, as Set does.
func (all *All) Raise(b []byte, maxSparse int) (out []byte, err error) {
	var c cursor
	for i, v := range all {
		switch {
		case v == 0:
		case IsDense(b):
			if denseGet(b[HeaderSize:], i) < v {
				denseSet(b[HeaderSize:], i, v)
			}
		default:
			if b, _, err = c.set(b, i, v, maxSparse); err != nil {
				return b, err
			}
		}
	}
	return b, nil
}

// Count is the estimated number of elements. Where only sparse registers make
// no sense it is an error.
func Count(b []byte) (uint64, error) {
	var h histogram
	if !IsDense(b) {
		err := each(b, func(_, n int, value uint8) { h[value] += n })
		return h.estimate(), err
	}
	var part fourHistograms
	for r := b[HeaderSize:]; len(r) >= 6; r = r[6:] {
		v := six(r)
		part[0][v&63]++
		part[1][v>>6&63]++
		part[2][v>>12&63]++
		part[3][v>>18&63]++
		part[0][v>>24&63]++
		part[1][v>>30&63]++
		part[2][v>>36&63]++
		part[3][v>>42&63]++
	}
	return part.estimate(), nil
}

// fourHistograms are added up in the end: so equal values do not wait for each other.
type fourHistograms [4][64]int32

func (part *fourHistograms) estimate() uint64 {
	var h histogram
	for i := range h {
		h[i] = int(part[0][i] + part[1][i] + part[2][i] + part[3][i])
	}
	return h.estimate()
}

// Count is the estimated number of elements.
func (all *All) Count() uint64 {
	var part fourHistograms
	for i := 0; i < Registers; i += 8 {
		v := binary.LittleEndian.Uint64(all[i:])
		part[0][v&63]++
		part[1][v>>8&63]++
		part[2][v>>16&63]++
		part[3][v>>24&63]++
		part[0][v>>32&63]++
		part[1][v>>40&63]++
		part[2][v>>48&63]++
		part[3][v>>56&63]++
	}
	return part.estimate()
}

// histogram counts the registers of each value.
type histogram [64]int

// estimate is the cardinality. Each step is rounded as in C.
func (h *histogram) estimate() uint64 {
	const (
		m     = float64(Registers)
		alpha = 0.721347520444481703680 // 0.5/ln(2)
	)
	z := float64(m * tau((m-float64(h[maxCount]))/m))
	for j := maxCount - 1; j >= 1; j-- {
		z += float64(h[j])
		z *= 0.5
	}
	z += float64(m * sigma(float64(h[0])/m))
	return uint64(math.Round(float64(alpha*m*m) / z))
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		was := z
		z += float64(x * y)
		y += y
		if z == was {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		was := z
		y *= 0.5
		z -= float64(float64((1-x)*(1-x)) * y)
		if z == was {
			return z / 3
		}
	}
}

// A Run is a run of equal sparse registers, as it is encoded.
type Run struct {
	Len   int
	Value uint8
	Long  bool // XZERO
}

// Runs are the runs of sparse registers, whether they make sense or not. The
// second byte of an XZERO at the end is 0 if it is missing.
func Runs(b []byte) (runs []Run) {
	for r := b[HeaderSize:]; len(r) > 0; {
		n, value, size := run(r)
		long := size == 2 || n == 0
		if n == 0 {
			n = int(r[0]&63)<<8 + 1
		}
		runs = append(runs, Run{n, value, long})
		r = r[size:]
	}
	return runs
}
