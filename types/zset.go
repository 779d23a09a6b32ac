package types

import "math"

// A SortedSet is an ordered set of members, each with a score that is not NaN.
// It is ordered by score, and members with equal scores by their bytes.
//
// It is packed (member and score in turns, see zset_packed.go) until an added
// member passes the limits; then it becomes an Object and stays one, whatever
// is removed, as in Redis. The Object is a store of records, an index of them
// by the members' hashes and a tree of them by order: zset_store.go,
// zset_index.go, zset_tree.go.
//
// The zero value is an empty set. One SortedSet serves one goroutine, even for
// reading, because it has a buffer for packed members that are numbers; put
// one value after another into it with Load. Members that functions are called
// with are valid until that function returns, and those functions must use
// nothing of the same SortedSet but Score and Len. Reading allocates nothing.
type SortedSet struct {
	Limits ZSetLimits

	packed Packed
	big    *bigZSet
	n      int // packed members; -1 if not counted yet
	buf    [maxDecimal]byte

	scratch scratch // kept over loads
}

// ZSetLimits is zset-max-listpack-entries and zset-max-listpack-value (bytes).
type ZSetLimits struct {
	MaxListpackEntries int
	MaxListpackValue   int
}

// DefaultZSetLimits are Redis's.
var DefaultZSetLimits = ZSetLimits{MaxListpackEntries: 128, MaxListpackValue: 64}

// A ScoreRange is the scores from Min to Max; Ex bounds are not part of it.
type ScoreRange struct {
	Min, Max     float64
	MinEx, MaxEx bool
}

// A LexBound is one end of a LexRange. Inf is -1 for what is before every
// member ("-"), 1 for what is behind every member ("+"), else 0.
type LexBound struct {
	Member []byte
	Ex     bool // not part of the range
	Inf    int8
}

// A LexRange is the members from Min to Max. It means something only in a set
// whose members have one score.
type LexRange struct{ Min, Max LexBound }

// Load makes z the stored value: packed, or an Object that Stored returned, or
// a copy of one. It keeps the limits.
func (z *SortedSet) Load(enc Encoding, packed []byte, obj Object) {
	z.packed, z.big, z.n = nil, nil, -1
	if enc == EncSkiplist {
		z.big = obj.(*bigZSet)
	} else {
		z.packed = packed
	}
}

// Stored is the value as the keyspace keeps it; packed bytes may lie in memory
// that z will use again.
func (z *SortedSet) Stored() (Encoding, []byte, Object) {
	if z.big != nil {
		return EncSkiplist, nil, z.big
	}
	return EncListpack, z.packed, nil
}

// Len is the number of members.
func (z *SortedSet) Len() int {
	if z.big != nil {
		return z.big.tree.n
	}
	if z.n < 0 || len(z.packed) == 0 {
		z.n = z.packed.Count() / 2
	}
	return z.n
}

// Score is the member's score.
func (z *SortedSet) Score(member []byte) (score float64, ok bool) {
	if z.big != nil {
		return z.big.score(member)
	}
	return z.packed.zscore(member)
}

// Set gives the member a score, which must not be NaN, and adds it if it is
// not there. The form may change.
func (z *SortedSet) Set(member []byte, score float64) (created, changed bool) {
	if z.big != nil {
		return z.big.set(member, score)
	}
	return z.setPacked(member, score)
}

// Remove takes the member out.
func (z *SortedSet) Remove(member []byte) bool {
	if z.big != nil {
		return z.big.remove(member)
	}
	off := z.packed.zfind(member)
	if off < 0 {
		return false
	}
	z.deletePacked(off, 1)
	return true
}

// Rank is the number of members before the member, or behind it if reverse.
func (z *SortedSet) Rank(member []byte, reverse bool) (rank int, score float64, ok bool) {
	if z.big != nil {
		if score, ok = z.big.score(member); ok {
			rank = z.big.rank(&zbound{score: score, member: member})
		}
	} else {
		rank, score, ok = z.packed.zrank(member)
	}
	if ok && reverse {
		rank = z.Len() - 1 - rank
	}
	return rank, score, ok
}

// Each shows all members in order to f until it returns false.
func (z *SortedSet) Each(f func(member []byte, score float64) bool) {
	z.Range(0, z.Len(), false, f)
}

// Range shows n members from rank start on, or as many as there are, to f
// until it returns false. If reverse, ranks count from the last member, and
// the order is reversed. A negative start or n shows nothing.
func (z *SortedSet) Range(start, n int, reverse bool, f func(member []byte, score float64) bool) {
	size := z.Len()
	if start < 0 || start >= size || n <= 0 {
		return
	}
	n = min(n, size-start)
	if z.big == nil {
		z.rangePacked(start, n, reverse, f)
		return
	}
	lo := start
	if reverse {
		lo = size - start - n
	}
	z.big.rangeRank(lo, lo+n, reverse, f)
}

// RangeByScore shows the members with a score in r to f until it returns
// false: without the first offset of them, and at most limit, which means all
// if it is negative; with a negative offset none. If reverse, the last member
// comes first.
func (z *SortedSet) RangeByScore(r ScoreRange, reverse bool, offset, limit int, f func(member []byte, score float64) bool) {
	z.rangeBy(&zrange{score: r}, reverse, offset, limit, f)
}

// RangeByLex is RangeByScore for a range of members.
func (z *SortedSet) RangeByLex(r LexRange, reverse bool, offset, limit int, f func(member []byte, score float64) bool) {
	z.rangeBy(&zrange{byLex: true, lex: r}, reverse, offset, limit, f)
}

func (z *SortedSet) rangeBy(r *zrange, reverse bool, offset, limit int, f func(member []byte, score float64) bool) {
	if offset < 0 || offset >= z.Len() || limit == 0 || r.empty() {
		return
	}
	if limit < 0 {
		limit = math.MaxInt
	}
	if z.big == nil {
		z.rangePackedBy(r, reverse, offset, limit, f)
		return
	}
	from, to := r.bounds()
	z.big.between(&from, &to, reverse, offset, limit, f)
}

// CountByScore is the number of members with a score in r.
func (z *SortedSet) CountByScore(r ScoreRange) int {
	lo, hi := z.ranks(&zrange{score: r})
	return hi - lo
}

// CountByLex is the number of members in r.
func (z *SortedSet) CountByLex(r LexRange) int {
	lo, hi := z.ranks(&zrange{byLex: true, lex: r})
	return hi - lo
}

// ranks is where the range begins and where it ends.
func (z *SortedSet) ranks(r *zrange) (lo, hi int) {
	if r.empty() {
		return 0, 0
	}
	if z.big == nil {
		return z.ranksPacked(r)
	}
	from, to := r.bounds()
	lo, hi = z.big.rank(&from), z.big.rank(&to)
	return lo, max(lo, hi)
}

// RemoveByRank removes n members from rank start on, or as many as there are,
// and returns how many. f, which may be nil, sees each before it is gone; what
// it returns does not matter.
func (z *SortedSet) RemoveByRank(start, n int, f func(member []byte, score float64) bool) int {
	size := z.Len()
	if start < 0 || start >= size || n <= 0 {
		return 0
	}
	n = min(n, size-start)
	if z.big != nil {
		z.big.removeRange(start, start+n, f)
		return n
	}
	if f != nil {
		z.rangePacked(start, n, false, func(member []byte, score float64) bool {
			f(member, score)
			return true
		})
	}
	z.deletePacked(z.packed.Seek(2*start), n)
	return n
}

// RemoveByScore is RemoveByRank for the members with a score in r.
func (z *SortedSet) RemoveByScore(r ScoreRange, f func(member []byte, score float64) bool) int {
	lo, hi := z.ranks(&zrange{score: r})
	return z.RemoveByRank(lo, hi-lo, f)
}

// RemoveByLex is RemoveByRank for the members in r.
func (z *SortedSet) RemoveByLex(r LexRange, f func(member []byte, score float64) bool) int {
	lo, hi := z.ranks(&zrange{byLex: true, lex: r})
	return z.RemoveByRank(lo, hi-lo, f)
}

// PopMin removes the first n members, or as many as there are, and returns how
// many. f sees them in order; what it returns does not matter.
func (z *SortedSet) PopMin(n int, f func(member []byte, score float64) bool) int {
	return z.RemoveByRank(0, n, f)
}

// PopMax removes the last n members, or as many as there are, and returns how
// many. f sees them, the last first; what it returns does not matter.
func (z *SortedSet) PopMax(n int, f func(member []byte, score float64) bool) int {
	n = min(n, z.Len())
	z.Range(0, n, true, func(member []byte, score float64) bool {
		f(member, score)
		return true
	})
	return z.RemoveByRank(z.Len()-n, n, nil)
}

// Random shows n members to f until it returns false, each chosen out of all,
// so that one may come twice. random(n) is a number from 0 to n-1.
func (z *SortedSet) Random(n int, random func(int) int, f func(member []byte, score float64) bool) {
	size := z.Len()
	more := true
	for ; n > 0 && size > 0 && more; n-- {
		z.Range(random(size), 1, false, func(member []byte, score float64) bool {
			more = f(member, score)
			return more
		})
	}
}

// RandomDistinct shows n different members, or all there are, to f until it
// returns false. Every choice is equally likely; the order is not random.
func (z *SortedSet) RandomDistinct(n int, random func(int) int, f func(member []byte, score float64) bool) {
	size := z.Len()
	n = min(n, size)
	if n <= 0 {
		return
	}
	if z.big == nil || n > size/8 {
		// One walk: each member is taken as likely as there are still
		// members wanted among those that are left.
		left := size
		z.Each(func(member []byte, score float64) bool {
			take := random(left) < n
			left--
			if !take {
				return true
			}
			n--
			return f(member, score) && n > 0
		})
		return
	}
	// Floyd's sampling: i is taken where the rank drawn is taken already.
	taken := make(map[int]struct{}, n)
	more := true
	for i := size - n; i < size && more; i++ {
		rank := random(i + 1)
		if _, ok := taken[rank]; ok {
			rank = i
		}
		taken[rank] = struct{}{}
		z.Range(rank, 1, false, func(member []byte, score float64) bool {
			more = f(member, score)
			return more
		})
	}
}

// Scan shows about count members from cursor on to f, whose result does not
// matter, and returns the cursor to go on with, 0 at the end. A member that is
// there from the first call (with 0) to the last is shown. A cursor is the
// hash of a member, below 2^26, in the Object; a packed set shows everything.
func (z *SortedSet) Scan(cursor uint64, count int, f func(member []byte, score float64) bool) uint64 {
	if z.big != nil {
		return z.big.scan(cursor, max(count, 1), f)
	}
	z.Each(func(member []byte, score float64) bool {
		f(member, score)
		return true
	})
	return 0
}

// Check verifies the value; it is slow and for tests.
func (z *SortedSet) Check() error {
	if z.big != nil {
		return z.big.Check()
	}
	return z.checkPacked()
}

// zrange is a range of scores or of members.
type zrange struct {
	byLex bool
	score ScoreRange
	lex   LexRange
}

// empty tells whether nothing can be in the range.
func (r *zrange) empty() bool {
	if !r.byLex {
		s := &r.score
		return s.Min > s.Max || s.Min == s.Max && (s.MinEx || s.MaxEx)
	}
	lo, hi := &r.lex.Min, &r.lex.Max
	switch {
	case lo.Inf > 0 || hi.Inf < 0:
		return true
	case lo.Inf != 0 || hi.Inf != 0:
		return false
	}
	return string(lo.Member) > string(hi.Member) || string(lo.Member) == string(hi.Member) && (lo.Ex || hi.Ex)
}

// below tells whether a record is before the range.
func (r *zrange) below(member []byte, score float64) bool {
	if !r.byLex {
		return score < r.score.Min || score == r.score.Min && r.score.MinEx
	}
	lo := &r.lex.Min
	return lo.Inf == 0 && (string(member) < string(lo.Member) || lo.Ex && string(member) == string(lo.Member))
}

// above tells whether a record is behind the range.
func (r *zrange) above(member []byte, score float64) bool {
	if !r.byLex {
		return score > r.score.Max || score == r.score.Max && r.score.MaxEx
	}
	hi := &r.lex.Max
	return hi.Inf == 0 && (string(member) > string(hi.Member) || hi.Ex && string(member) == string(hi.Member))
}

// bounds are the places of the tree where the range begins and ends.
func (r *zrange) bounds() (from, to zbound) {
	if !r.byLex {
		return zbound{kind: zbyScore, score: r.score.Min, after: r.score.MinEx},
			zbound{kind: zbyScore, score: r.score.Max, after: !r.score.MaxEx}
	}
	from = zbound{kind: zbyMember, member: r.lex.Min.Member, after: r.lex.Min.Ex}
	to = zbound{kind: zbyMember, member: r.lex.Max.Member, after: !r.lex.Max.Ex}
	if r.lex.Min.Inf < 0 {
		from = zbound{kind: zbyScore, score: math.Inf(-1)}
	}
	if r.lex.Max.Inf > 0 {
		to = zbound{kind: zbyScore, score: math.Inf(1), after: true}
	}
	return from, to
}
