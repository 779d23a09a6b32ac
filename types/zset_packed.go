package types

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"unsafe"
)

// A packed sorted set is member, score, member, score ... in order, as Redis's
// listpack: a score is an integer element if it is a whole number of at most
// 2^62 (source: double2ll in src/util.c; so -0 becomes 0), and else its text: the
// fewest digits that are read as the same number. Older versions wrote 17.

// zpackedMax is the most bytes of a packed sorted set, whatever the limits say:
// with a member's score and codings on top it must fit its entry.
const zpackedMax = packedMax - zpairMax

// zpairMax is the most bytes that a pair takes besides its member's own.
const zpairMax = 64

// scoreText is memory for a score's text.
type scoreText [32]byte

// codedScore is the score as an element, its text in buf.
func codedScore(score float64, buf *scoreText) Elem {
	if score >= -1<<62 && score <= 1<<62 && score == math.Trunc(score) {
		return Elem{I: int64(score)}
	}
	text := buf[:0]
	switch {
	case math.IsInf(score, 1):
		text = append(text, "inf"...)
	case math.IsInf(score, -1):
		text = append(text, "-inf"...)
	default:
		text = strconv.AppendFloat(text, score, 'g', -1, 64)
	}
	return codedOf(text)
}

// insertZ puts a pair before the element at off.
func (p Packed) insertZ(off int, member []byte, score float64) Packed {
	var buf scoreText
	c := codedScore(score, &buf)
	n := len(p)
	p = p.Insert(off, member)
	return p.putCoded(off+len(p)-n, 0, c)
}

// appendZ puts a pair at the end.
func (p Packed) appendZ(member []byte, score float64) Packed {
	return p.insertZ(len(p), member, score)
}

// zscoreAt is the score at off. Text that is no number, which can only come
// from outside, is 0; Check reports it.
func (p Packed) zscoreAt(off int) float64 {
	e := p.At(off)
	if e.IsInt() {
		return float64(e.I)
	}
	score, _ := parseZScore(e.S)
	return score
}

func parseZScore(b []byte) (float64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	// The string lives only during the call and spares a copy of b.
	score, err := strconv.ParseFloat(unsafe.String(&b[0], len(b)), 64)
	if err != nil && !math.IsInf(score, 0) || score != score {
		return 0, false
	}
	return score, true
}

// zfind is the offset of the member, -1 if it is not there.
func (p Packed) zfind(member []byte) int { return p.Find(member, p.First(), 1) }

func (p Packed) zscore(member []byte) (float64, bool) {
	off := p.zfind(member)
	if off < 0 {
		return 0, false
	}
	return p.zscoreAt(p.EndOf(off)), true
}

func (p Packed) zrank(member []byte) (rank int, score float64, ok bool) {
	to := p.zfind(member)
	if to < 0 {
		return 0, 0, false
	}
	for off := 0; off < to; off = p.EndOf(p.EndOf(off)) {
		rank++
	}
	return rank, p.zscoreAt(p.EndOf(to)), true
}

// zbefore is the offset of the pair before off, -1 if there is none.
func (p Packed) zbefore(off int) int {
	if off = p.Prev(off); off >= 0 {
		off = p.Prev(off)
	}
	return off
}

// memberAt is the bytes of the member at off, in the set's buffer if it is a
// number.
func (z *SortedSet) memberAt(off int) []byte {
	e := z.packed.At(off)
	if e.IsInt() {
		return strconv.AppendInt(z.buf[:0], e.I, 10)
	}
	return e.S
}

func (z *SortedSet) setPacked(member []byte, score float64) (created, changed bool) {
	p := z.packed
	if off := p.zfind(member); off >= 0 {
		value := p.EndOf(off)
		if p.zscoreAt(value) == score {
			return false, false
		}
		next := p.EndOf(value)
		if z.orderedAt(p.zbefore(off), member, score) <= 0 && z.orderedAt(next, member, score) >= 0 {
			// It stays where it is.
			var buf scoreText
			c := codedScore(score, &buf)
			z.packed = z.scratch.put(p, value, next-value, c)
			return false, true
		}
		z.packed = p.Delete(off, 2)
		z.insertPacked(member, score)
		return false, true
	}
	n := z.Len() + 1
	if n > z.Limits.MaxListpackEntries || len(member) > z.Limits.MaxListpackValue || len(p)+len(member) > zpackedMax {
		z.convert()
		return z.big.set(member, score)
	}
	z.insertPacked(member, score)
	z.n = n
	return true, true
}

// orderedAt tells whether the pair at off comes before (-1) or behind (1) a
// pair. It returns 0 if there is none at off.
func (z *SortedSet) orderedAt(off int, member []byte, score float64) int {
	if off < 0 || off == len(z.packed) {
		return 0
	}
	s := z.packed.zscoreAt(z.packed.EndOf(off))
	if s < score || s == score && string(z.memberAt(off)) < string(member) {
		return -1
	}
	return 1
}

// insertPacked puts a pair where it belongs.
func (z *SortedSet) insertPacked(member []byte, score float64) {
	p, off := z.packed, 0
	for off < len(p) {
		value := p.EndOf(off)
		s := p.zscoreAt(value)
		if s > score || s == score && string(z.memberAt(off)) > string(member) {
			break
		}
		off = p.EndOf(value)
	}
	z.packed = z.scratch.room(p, len(p)+len(member)+zpairMax).insertZ(off, member, score)
}

// deletePacked removes n pairs from off on.
func (z *SortedSet) deletePacked(off, n int) {
	size := z.Len()
	z.packed = z.packed.Delete(off, 2*n)
	z.n = size - n
}

// convert makes the packed set an Object.
func (z *SortedSet) convert() {
	b := newBigZSet()
	items := make([]zitem, 0, z.Len())
	p := z.packed
	for off := 0; off < len(p); off = p.EndOf(p.EndOf(off)) {
		member, score := z.memberAt(off), p.zscoreAt(p.EndOf(off))
		r := b.store.add(member, score)
		b.index.insert(zhash(member), r)
		items = append(items, zitem{score, r})
	}
	b.tree.build(items)
	z.packed, z.big, z.n = nil, b, -1
}

// rangePacked shows n pairs, which must exist, from rank start on.
func (z *SortedSet) rangePacked(start, n int, reverse bool, f func(member []byte, score float64) bool) {
	p := z.packed
	if !reverse {
		for off := p.Seek(2 * start); n > 0; n-- {
			value := p.EndOf(off)
			if !f(z.memberAt(off), p.zscoreAt(value)) {
				return
			}
			off = p.EndOf(value)
		}
		return
	}
	for off := p.Seek(-2 * (start + 1)); n > 0; n-- {
		if !f(z.memberAt(off), p.zscoreAt(p.EndOf(off))) {
			return
		}
		off = p.zbefore(off)
	}
}

// firstPacked is the offset and rank of the range's first pair, or of its last
// one if reverse (then the rank counts from the end); -1 if there is none.
//
// Members in a set with different scores are not in order, and then a range of
// members means what walking from either end finds, as in Redis.
func (z *SortedSet) firstPacked(r *zrange, reverse bool) (off, rank int) {
	p := z.packed
	if len(p) == 0 {
		return -1, 0
	}
	last := p.zbefore(len(p))
	if r.below(z.memberAt(last), p.zscoreAt(p.EndOf(last))) {
		return -1, 0
	}
	if r.above(z.memberAt(0), p.zscoreAt(p.EndOf(0))) {
		return -1, 0
	}
	if !reverse {
		for off < len(p) {
			value := p.EndOf(off)
			score := p.zscoreAt(value)
			member := z.memberAt(off)
			if !r.below(member, score) {
				if r.above(member, score) {
					return -1, 0
				}
				return off, rank
			}
			off = p.EndOf(value)
			rank++
		}
		return -1, 0
	}
	for off = last; off >= 0; off = p.zbefore(off) {
		score := p.zscoreAt(p.EndOf(off))
		member := z.memberAt(off)
		if !r.above(member, score) {
			if r.below(member, score) {
				return -1, 0
			}
			return off, rank
		}
		rank++
	}
	return -1, 0
}

func (z *SortedSet) rangePackedBy(r *zrange, reverse bool, offset, limit int, f func(member []byte, score float64) bool) {
	p := z.packed
	off, _ := z.firstPacked(r, reverse)
	for off >= 0 && off < len(p) && limit > 0 {
		value := p.EndOf(off)
		score := p.zscoreAt(value)
		if offset > 0 {
			offset--
		} else {
			member := z.memberAt(off)
			if reverse && r.below(member, score) || !reverse && r.above(member, score) || !f(member, score) {
				return
			}
			limit--
		}
		if reverse {
			off = p.zbefore(off)
		} else {
			off = p.EndOf(value)
		}
	}
}

// ranksPacked is where the range begins and where it ends.
func (z *SortedSet) ranksPacked(r *zrange) (lo, hi int) {
	p := z.packed
	off, lo := z.firstPacked(r, false)
	if off < 0 {
		return 0, 0
	}
	for hi = lo; off < len(p); hi++ {
		value := p.EndOf(off)
		if r.above(z.memberAt(off), p.zscoreAt(value)) {
			break
		}
		off = p.EndOf(value)
	}
	return lo, hi
}

// checkPacked verifies the coding, the scores, and that members are different
// and in order. It is meant for bytes from outside, too.
func (z *SortedSet) checkPacked() error {
	p := z.packed
	if err := p.Check(); err != nil {
		return err
	}
	n := p.Count()
	if n%2 != 0 || z.n >= 0 && z.n != n/2 {
		return fmt.Errorf("types: sorted set: %d elements, %d members counted", n, z.n)
	}
	seen := make(map[string]struct{}, n/2)
	var before string
	var low float64
	for off := 0; off < len(p); off = p.EndOf(p.EndOf(off)) {
		member := string(z.memberAt(off))
		e := p.At(p.EndOf(off))
		score := float64(e.I)
		if !e.IsInt() {
			var ok bool
			if score, ok = parseZScore(e.S); !ok {
				return errors.New("types: sorted set: a score is not a number")
			}
		}
		if off > 0 && (score < low || score == low && member <= before) {
			return errors.New("types: sorted set: packed members are not in order")
		}
		if _, ok := seen[member]; ok {
			return errors.New("types: sorted set: a member twice")
		}
		seen[member] = struct{}{}
		before, low = member, score
	}
	return nil
}
