package types

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// zmodel is a sorted set as a sorted slice.
type zmodel []zpair

type zpair struct {
	member string
	score  float64
}

func zless(x, y zpair) bool {
	return x.score < y.score || x.score == y.score && x.member < y.member
}

func (m zmodel) find(member string) int {
	return slices.IndexFunc(m, func(p zpair) bool { return p.member == member })
}

func (m *zmodel) remove(member string) bool {
	i := m.find(member)
	if i < 0 {
		return false
	}
	*m = slices.Delete(*m, i, i+1)
	return true
}

func (m *zmodel) set(member string, score float64) (created, changed bool) {
	if i := m.find(member); i >= 0 {
		if (*m)[i].score == score {
			return false, false
		}
		m.remove(member)
		changed = true
	} else {
		created, changed = true, true
	}
	p := zpair{member, score}
	i := sort.Search(len(*m), func(i int) bool { return zless(p, (*m)[i]) })
	*m = slices.Insert(*m, i, p)
	return created, changed
}

func reversed(m []zpair) []zpair {
	m = slices.Clone(m)
	slices.Reverse(m)
	return m
}

func sub(m []zpair, start, n int) []zpair {
	if start < 0 || start >= len(m) || n <= 0 {
		return nil
	}
	return m[start:min(len(m), start+n)]
}

func (m zmodel) in(r *zrange) []zpair {
	var got []zpair
	for _, p := range m {
		if !r.empty() && !r.below([]byte(p.member), p.score) && !r.above([]byte(p.member), p.score) {
			got = append(got, p)
		}
	}
	return got
}

func zseedOf(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

var oddScores = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.1, -0.1, 1e16, -1e16, 1e17, 1 << 52, -1 << 52, 1<<52 - 1, 1<<53 + 2,
	math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 3.14159265358979,
}

// zrandomScore has ties, odd values and spread values.
func zrandomScore(r *rand.Rand) float64 {
	switch r.IntN(8) {
	case 0:
		return oddScores[r.IntN(len(oddScores))]
	case 1, 2, 3:
		return float64(r.IntN(5))
	case 4:
		return math.Ldexp(r.Float64()-0.5, r.IntN(200)-100)
	}
	return float64(r.IntN(100000)) / 8
}

func zrandomMember(r *rand.Rand, space int) string {
	n := r.IntN(space)
	switch n % 7 {
	case 0:
		return strconv.Itoa(n)
	case 1:
		return strings.Repeat("x", n%40) + strconv.Itoa(n)
	case 2:
		if n%35 == 2 {
			return strings.Repeat("long", n%400) + strconv.Itoa(n)
		}
	case 3:
		if n == 3 {
			return ""
		}
	}
	return "m:" + strconv.Itoa(n)
}

func collect(into *[]zpair, limit int) func([]byte, float64) bool {
	return func(member []byte, score float64) bool {
		*into = append(*into, zpair{string(member), score})
		return len(*into) != limit
	}
}

func zequal(x, y []zpair) bool { return slices.Equal(x, y) }

func same(t *testing.T, what string, got, want []zpair) {
	t.Helper()
	if !zequal(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func zrandomScoreRange(r *rand.Rand) ScoreRange {
	s := ScoreRange{Min: zrandomScore(r), Max: zrandomScore(r), MinEx: r.IntN(2) == 0, MaxEx: r.IntN(2) == 0}
	if s.Min > s.Max && r.IntN(8) > 0 {
		s.Min, s.Max = s.Max, s.Min
	}
	return s
}

func zrandomLexRange(r *rand.Rand, space int) LexRange {
	bound := func() LexBound {
		if r.IntN(6) == 0 {
			return LexBound{Inf: int8(r.IntN(2)*2 - 1)}
		}
		return LexBound{Member: []byte(zrandomMember(r, space)), Ex: r.IntN(2) == 0}
	}
	return LexRange{bound(), bound()}
}

// zcompareAll compares everything that reading shows.
func zcompareAll(t *testing.T, z *SortedSet, m zmodel) {
	t.Helper()
	var got []zpair
	z.Each(collect(&got, -1))
	same(t, "Each", got, m)
	if z.Len() != len(m) {
		t.Fatalf("Len %d, want %d", z.Len(), len(m))
	}
}

func TestSortedSetAgainstModel(t *testing.T) {
	r := zseedOf(t)
	steps := 30000
	if testing.Short() {
		steps = 5000
	}
	for round := range 6 {
		z := &SortedSet{Limits: ZSetLimits{MaxListpackEntries: []int{0, 4, 16, 64, 8, 1 << 20}[round], MaxListpackValue: []int{64, 20}[round%2]}}
		var m zmodel
		space := []int{50, 300, 3000, 40, 6000, 60}[round]
		oneScore := round == 1 || round == 3 // for ranges of members
		big := false
		type frozen struct {
			z *SortedSet
			m zmodel
		}
		var copies []frozen
		for step := range steps / 6 {
			// Phases of growing and of shrinking.
			grow := step/(space+100)%2 == 0
			op := r.IntN(40)
			if grow && op < 14 || !grow && op >= 14 && op < 22 {
				op = 0
			}
			score := zrandomScore(r)
			if oneScore {
				score = 7
			}
			member := zrandomMember(r, space)
			switch {
			case op < 10:
				wasBig := z.big != nil
				created, changed := z.Set([]byte(member), score)
				if wc, wg := m.set(member, score); created != wc || changed != wg {
					t.Fatalf("Set(%q, %v) = %v %v, want %v %v", member, score, created, changed, wc, wg)
				}
				if created && (len(m) > z.Limits.MaxListpackEntries || len(member) > z.Limits.MaxListpackValue) {
					big = true
				}
				if wasBig && z.big == nil {
					t.Fatal("went back to packed")
				}
			case op < 20:
				if got, want := z.Remove([]byte(member)), m.remove(member); got != want {
					t.Fatalf("Remove(%q) = %v, want %v", member, got, want)
				}
			case op == 20:
				var got []zpair
				n := 1 + r.IntN(3)
				k := z.PopMin(n, collect(&got, -1))
				want := sub(m, 0, n)
				same(t, "PopMin", got, want)
				m = slices.Clone(m[k:])
			case op == 21:
				var got []zpair
				n := 1 + r.IntN(3)
				k := z.PopMax(n, collect(&got, 1)) // what f returns must not matter
				same(t, "PopMax", got, sub(reversed(m), 0, n))
				m = slices.Clone(m[:len(m)-k])
			case op == 22 && !grow:
				var got []zpair
				lo, n := r.IntN(len(m)+2)-1, r.IntN(min(len(m)/4, 300)+3)
				k := z.RemoveByRank(lo, n, collect(&got, -1))
				want := slices.Clone(sub(m, lo, n))
				same(t, "RemoveByRank", got, want)
				if k != len(want) {
					t.Fatalf("RemoveByRank: %d, want %d", k, len(want))
				}
				for _, p := range want {
					m.remove(p.member)
				}
			case op == 23 && r.IntN(20) == 0:
				q := &zrange{score: zrandomScoreRange(r)}
				want := m.in(q)
				if k := z.RemoveByScore(q.score, nil); k != len(want) {
					t.Fatalf("RemoveByScore: %d, want %d", k, len(want))
				}
				for _, p := range want {
					m.remove(p.member)
				}
			case op == 24 && oneScore && r.IntN(10) == 0:
				q := &zrange{byLex: true, lex: zrandomLexRange(r, space)}
				want := m.in(q)
				if k := z.RemoveByLex(q.lex, nil); k != len(want) {
					t.Fatalf("RemoveByLex: %d, want %d", k, len(want))
				}
				for _, p := range want {
					m.remove(p.member)
				}
			case op < 27:
				q := &zrange{score: zrandomScoreRange(r)}
				reverse, offset, limit := r.IntN(2) == 0, r.IntN(5)-1, r.IntN(20)-1
				want := m.in(q)
				if n := z.CountByScore(q.score); n != len(want) {
					t.Fatalf("CountByScore(%+v) = %d, want %d", q.score, n, len(want))
				}
				if reverse {
					want = reversed(want)
				}
				n := limit
				if n < 0 {
					n = len(want)
				}
				var got []zpair
				z.RangeByScore(q.score, reverse, offset, limit, collect(&got, -1))
				same(t, fmt.Sprintf("RangeByScore(%+v, %v, %d, %d)", q.score, reverse, offset, limit), got, sub(want, offset, n))
			case op < 29 && oneScore:
				q := &zrange{byLex: true, lex: zrandomLexRange(r, space)}
				reverse, offset, limit := r.IntN(2) == 0, r.IntN(5)-1, r.IntN(20)-1
				want := m.in(q)
				if n := z.CountByLex(q.lex); n != len(want) {
					t.Fatalf("CountByLex(%+v) = %d, want %d", q.lex, n, len(want))
				}
				if reverse {
					want = reversed(want)
				}
				n := limit
				if n < 0 {
					n = len(want)
				}
				var got []zpair
				z.RangeByLex(q.lex, reverse, offset, limit, collect(&got, -1))
				same(t, fmt.Sprintf("RangeByLex(%+v, %v, %d, %d)", q.lex, reverse, offset, limit), got, sub(want, offset, n))
			case op < 31:
				reverse, start, n := r.IntN(2) == 0, r.IntN(len(m)+3)-1, r.IntN(len(m)+3)-1
				want := []zpair(m)
				if reverse {
					want = reversed(m)
				}
				var got []zpair
				z.Range(start, n, reverse, collect(&got, -1))
				same(t, fmt.Sprintf("Range(%d, %d, %v)", start, n, reverse), got, sub(want, start, n))
			case op < 34:
				reverse := r.IntN(2) == 0
				i := m.find(member)
				rank, score, ok := z.Rank([]byte(member), reverse)
				if ok != (i >= 0) {
					t.Fatalf("Rank(%q): %v", member, ok)
				}
				if ok {
					if score != m[i].score {
						t.Fatalf("Rank(%q): score %v, want %v", member, score, m[i].score)
					}
					if reverse {
						i = len(m) - 1 - i
					}
					if rank != i {
						t.Fatalf("Rank(%q, %v) = %d, want %d", member, reverse, rank, i)
					}
				}
				got, ok := z.Score([]byte(member))
				if ok != (i >= 0) || ok && got != score {
					t.Fatalf("Score(%q) = %v, %v", member, got, ok)
				}
			case op == 34:
				seen := map[string]int{}
				cursor, calls := uint64(0), 0
				for {
					n := 0
					cursor = z.Scan(cursor, 10, func(member []byte, score float64) bool {
						seen[string(member)]++
						if i := m.find(string(member)); i < 0 || m[i].score != score {
							t.Fatalf("Scan: %q %v", member, score)
						}
						n++
						return false
					})
					if calls++; cursor == 0 || calls > 10000 {
						break
					}
					if z.big != nil && n > 20 || cursor >= 1<<53 {
						t.Fatalf("Scan: %d members, cursor %d", n, cursor)
					}
				}
				for _, p := range m {
					if seen[p.member] != 1 {
						t.Fatalf("Scan: %q came %d times", p.member, seen[p.member])
					}
				}
				if len(seen) != len(m) {
					t.Fatalf("Scan: %d members, want %d", len(seen), len(m))
				}
			case op == 35:
				n := r.IntN(len(m) + 3)
				var got []zpair
				z.RandomDistinct(n, r.IntN, collect(&got, -1))
				seen := map[string]bool{}
				for _, p := range got {
					seen[p.member] = true
					if i := m.find(p.member); i < 0 || m[i].score != p.score {
						t.Fatalf("RandomDistinct: %v", p)
					}
				}
				if len(got) != min(n, len(m)) || len(seen) != len(got) {
					t.Fatalf("RandomDistinct(%d): %d members, %d different", n, len(got), len(seen))
				}
				got = nil
				z.Random(n, r.IntN, collect(&got, -1))
				if len(m) > 0 && len(got) != n {
					t.Fatalf("Random(%d): %d", n, len(got))
				}
			case op == 36:
				// As the keyspace does between commands.
				enc, packed, obj := z.Stored()
				if obj != nil && len(copies) < 3 {
					c := &SortedSet{Limits: z.Limits}
					c.Load(enc, nil, obj.Copy())
					copies = append(copies, frozen{c, slices.Clone(m)})
					if r.IntN(2) == 0 { // go on with the copy, keep the original
						copies[len(copies)-1].z, z = z, c
						enc, packed, obj = z.Stored()
					}
				}
				packed = slices.Clone(packed)
				z.scratch.poison()
				z.Load(enc, packed, obj)
			case op == 37 && len(copies) > 0 && r.IntN(10) == 0:
				i := r.IntN(len(copies))
				zcompareAll(t, copies[i].z, copies[i].m)
				if err := copies[i].z.Check(); err != nil {
					t.Fatal(err)
				}
				copies = slices.Delete(copies, i, i+1)
			}
			if big != (z.big != nil) {
				t.Fatalf("step %d: big %v, want %v", step, z.big != nil, big)
			}
			if len(m) < 100 || step%64 == 0 {
				if err := z.Check(); err != nil {
					t.Fatalf("step %d, op %d: %v", step, op, err)
				}
				zcompareAll(t, z, m)
			}
		}
		for _, c := range copies {
			zcompareAll(t, c.z, c.m)
		}
	}
}

// TestSortedSetGrowAndDrain takes the big form through splits of all kinds, and
// empties it in several ways.
func TestSortedSetGrowAndDrain(t *testing.T) {
	r := zseedOf(t)
	n := 150000
	if testing.Short() {
		n = 20000
	}
	for _, fill := range []string{"ascending", "descending", "random", "ties"} {
		for _, drain := range []string{"min", "max", "random", "ranges"} {
			z := &SortedSet{Limits: DefaultZSetLimits}
			order, removal := r.Perm(n), r.Perm(n)
			name := func(i int) []byte { return []byte("member:" + strconv.Itoa(i)) }
			for i, k := range order {
				score := float64(k)
				switch fill {
				case "ascending":
					score = float64(i)
				case "descending":
					score = -float64(i)
				case "ties":
					score = float64(k % 3)
				}
				z.Set(name(k), score)
			}
			if err := z.Check(); err != nil {
				t.Fatal(fill, err)
			}
			top := z.big.Bytes()
			for z.Len() > n/50 {
				switch drain {
				case "min":
					z.PopMin(1, func([]byte, float64) bool { return true })
				case "max":
					z.PopMax(7, func([]byte, float64) bool { return true })
				case "random":
					z.Remove(name(removal[z.Len()-1]))
				case "ranges":
					z.RemoveByRank(r.IntN(z.Len()), 1+r.IntN(500), nil)
				}
				if z.Len()%(n/10) == 0 {
					if err := z.Check(); err != nil {
						t.Fatal(fill, drain, err)
					}
				}
			}
			if err := z.Check(); err != nil {
				t.Fatal(fill, drain, err)
			}
			// A fiftieth of the members must not hold a fifth of the memory.
			if now := z.big.Bytes(); n > 100000 && now > top/5 {
				t.Errorf("%s, %s: %d bytes with %d members, %d with %d", fill, drain, now, z.Len(), top, n)
			}
			for z.Len() > 0 {
				z.PopMin(1000, func([]byte, float64) bool { return true })
			}
			if err := z.Check(); err != nil {
				t.Fatal(fill, drain, err)
			}
			z.Set([]byte("again"), 1)
			if err := z.Check(); err != nil {
				t.Fatal(fill, drain, err)
			}
		}
	}
}

// TestSortedSetNewScores gives each of three packed members each new score, equal ones included: a score that keeps its
// place is written over, which must leave the members in order.
func TestSortedSetNewScores(t *testing.T) {
	members := []string{"a", "b", "c"}
	scores := []float64{0, 1, 1.5, 2}
	for _, a := range scores {
		for _, b := range scores {
			for _, c := range scores {
				for i, member := range members {
					for _, score := range scores {
						z := &SortedSet{Limits: DefaultZSetLimits}
						var m zmodel
						for j, s := range []float64{a, b, c} {
							z.Set([]byte(members[j]), s)
							m.set(members[j], s)
						}
						created, changed := z.Set([]byte(member), score)
						if want := []float64{a, b, c}[i] != score; created || changed != want {
							t.Fatalf("%v %v %v, %s to %v: created %v, changed %v", a, b, c, member, score, created, changed)
						}
						m.set(member, score)
						if err := z.Check(); err != nil {
							t.Fatalf("%v %v %v, %s to %v: %v", a, b, c, member, score, err)
						}
						zcompareAll(t, z, m)
					}
				}
			}
		}
	}
}

// TestSortedSetConversion holds the limits: the 129th member, the 65th byte.
func TestSortedSetConversion(t *testing.T) {
	z := &SortedSet{Limits: DefaultZSetLimits}
	for i := range 128 {
		z.Set([]byte(strconv.Itoa(i)), float64(i))
	}
	z.Set([]byte("5"), 9.5) // an update is no addition
	if enc, _, _ := z.Stored(); enc != EncListpack {
		t.Fatalf("128 members: %v", enc)
	}
	z.Set([]byte("128"), 1)
	if enc, packed, _ := z.Stored(); enc != EncSkiplist || packed != nil {
		t.Fatalf("129 members: %v", enc)
	}
	if z.Len() != 129 {
		t.Fatal(z.Len())
	}
	z.RemoveByRank(0, 128, nil)
	if enc, _, _ := z.Stored(); enc != EncSkiplist {
		t.Fatalf("after removal: %v", enc)
	}
	if err := z.Check(); err != nil {
		t.Fatal(err)
	}

	z = &SortedSet{Limits: DefaultZSetLimits}
	z.Set([]byte(strings.Repeat("a", 64)), 1)
	if enc, _, _ := z.Stored(); enc != EncListpack {
		t.Fatalf("64 bytes: %v", enc)
	}
	z.Set([]byte(strings.Repeat("a", 65)), 1)
	if enc, _, _ := z.Stored(); enc != EncSkiplist {
		t.Fatalf("65 bytes: %v", enc)
	}
}

// TestSortedSetPackedBytes compares with what DUMP of a Redis 7.0 listpack has
// between header and terminator.
func TestSortedSetPackedBytes(t *testing.T) {
	z := &SortedSet{Limits: DefaultZSetLimits}
	z.Set([]byte("a"), 1.5)
	z.Set([]byte("7"), math.Copysign(0, -1))
	z.Set([]byte("c"), 0.1)
	z.Set([]byte("e"), 1e17)
	z.Set([]byte("f"), -1e17)
	_, packed, _ := z.Stored()
	want := "\x81f\x02\xf4\x00\x00\x76\xa2\x87\xba\x9c\xfe\x09" + "\x07\x01\x00\x01" + "\x81c\x02" + "\x830.1\x04" + "\x81a\x02\x831.5\x04" +
		"\x81e\x02\xf4\x00\x00\x8a]xEc\x01\x09"
	if string(packed) != want {
		t.Fatalf("%q, want %q", packed, want)
	}
	if score, _ := z.Score([]byte("7")); math.Signbit(score) {
		t.Fatal("-0 in a listpack")
	}
}

// TestSortedSetScanWhileChanging: what stays is shown, whatever comes and goes.
func TestSortedSetScanWhileChanging(t *testing.T) {
	r := zseedOf(t)
	z := &SortedSet{Limits: DefaultZSetLimits}
	stay := 2000
	for i := range stay {
		z.Set([]byte("stay:"+strconv.Itoa(i)), zrandomScore(r))
	}
	for round := range 3 {
		seen := map[string]bool{}
		cursor, calls := uint64(0), 0
		for {
			cursor = z.Scan(cursor, 10, func(member []byte, _ float64) bool {
				seen[string(member)] = true
				return true
			})
			if calls++; cursor == 0 {
				break
			}
			if calls > 100000 {
				t.Fatal("Scan does not end")
			}
			for range 50 {
				member := []byte("other:" + strconv.Itoa(r.IntN(20000)))
				if round == 1 || round == 0 && r.IntN(3) == 0 {
					z.Remove(member)
				} else {
					z.Set(member, zrandomScore(r))
				}
			}
		}
		for i := range stay {
			if !seen["stay:"+strconv.Itoa(i)] {
				t.Fatalf("round %d: member %d was not shown", round, i)
			}
		}
	}
	if err := z.Check(); err != nil {
		t.Fatal(err)
	}
}

// TestSortedSetScanOneByOne has members whose hashes are equal, and whose hashes
// are neighbours.
func TestSortedSetScanOneByOne(t *testing.T) {
	z := &SortedSet{Limits: DefaultZSetLimits}
	n := 100000
	seen := make([]int, n)
	for i := range n {
		z.Set([]byte(strconv.Itoa(i)), 0)
	}
	scan := func(count int) (calls int) {
		cursor := uint64(0)
		for calls < 10*n {
			calls++
			cursor = z.Scan(cursor, count, func(member []byte, _ float64) bool {
				i, _ := strconv.Atoi(string(member))
				seen[i]++
				return true
			})
			if cursor == 0 {
				break
			}
		}
		return calls
	}
	calls := scan(1)
	for i, k := range seen {
		if k != 1 {
			t.Fatalf("member %d came %d times", i, k)
		}
	}
	if calls < n-n/100 || calls > n+1 {
		t.Errorf("%d calls", calls)
	}
	// What is left of a set that has shrunk is found fast.
	z.PopMin(n-10, func([]byte, float64) bool { return true })
	if calls := scan(1); calls > 30 {
		t.Errorf("%d calls for 10 members", calls)
	}
}

// TestSortedSetCopyConcurrently reads copies while the original is written; the
// race detector looks on.
func TestSortedSetCopyConcurrently(t *testing.T) {
	r := zseedOf(t)
	z := &SortedSet{Limits: DefaultZSetLimits}
	var m map[string]float64 = map[string]float64{}
	var wg sync.WaitGroup
	for range 12 {
		for range 3000 {
			member := zrandomMember(r, 20000)
			if r.IntN(3) == 0 {
				z.Remove([]byte(member))
				delete(m, member)
			} else {
				score := zrandomScore(r)
				if old, ok := m[member]; !ok || old != score {
					m[member] = score
				}
				z.Set([]byte(member), score)
			}
		}
		_, _, obj := z.Stored()
		c := obj.Copy()
		var want zmodel
		for member, score := range m {
			want = append(want, zpair{member, score})
		}
		sort.Slice(want, func(i, j int) bool { return zless(want[i], want[j]) })
		wg.Go(func() {
			var cz SortedSet
			cz.Load(EncSkiplist, nil, c)
			zcompareAll(t, &cz, want)
			if err := cz.Check(); err != nil {
				t.Error(err)
			}
			cz.RemoveByRank(0, cz.Len()/2, nil)
			if err := cz.Check(); err != nil {
				t.Error(err)
			}
			c.Free(1 << 20)
		})
	}
	wg.Wait()
	if err := z.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestSortedSetReadsDoNotAllocate(t *testing.T) {
	for _, n := range []int{100, 50000} {
		z := &SortedSet{Limits: DefaultZSetLimits}
		for i := range n {
			z.Set([]byte(strconv.Itoa(i*7)), float64(i)/2)
		}
		member := []byte(strconv.Itoa(n / 2 * 7))
		sum := 0.0
		f := func(member []byte, score float64) bool { sum += score + float64(len(member)); return true }
		for what, read := range map[string]func(){
			"Score":        func() { z.Score(member) },
			"Rank":         func() { z.Rank(member, true) },
			"Range":        func() { z.Range(n/2, 20, true, f) },
			"RangeByScore": func() { z.RangeByScore(ScoreRange{Min: 3, Max: 40}, false, 1, 10, f) },
			"CountByScore": func() { z.CountByScore(ScoreRange{Min: 3, Max: 40}) },
			"RangeByLex": func() {
				z.RangeByLex(LexRange{LexBound{Member: member}, LexBound{Inf: 1}}, true, 0, 10, f)
			},
			"Scan":   func() { z.Scan(0, 10, f) },
			"Random": func() { z.Random(1, rand.IntN, f) },
		} {
			if allocs := testing.AllocsPerRun(100, read); allocs != 0 {
				t.Errorf("%s with %d members: %v allocations", what, n, allocs)
			}
		}
	}
}

func TestSortedSetRandomIsUniform(t *testing.T) {
	r := zseedOf(t)
	for _, n := range []int{20, 500} {
		z := &SortedSet{Limits: DefaultZSetLimits}
		for i := range n {
			z.Set([]byte(strconv.Itoa(i)), float64(i%7))
		}
		counts := map[string]int{}
		count := func(member []byte, _ float64) bool { counts[string(member)]++; return true }
		for range 200 {
			z.Random(n, r.IntN, count)
			for range 10 {
				z.RandomDistinct(n/20, r.IntN, count)
				z.RandomDistinct(n/2, r.IntN, count)
			}
		}
		each := float64(200 + 200*10/20 + 200*10/2)
		for i := range n {
			if c := float64(counts[strconv.Itoa(i)]); math.Abs(c-each) > 6*math.Sqrt(each) {
				t.Errorf("%d members: %d came %v times, expected %v", n, i, c, each)
			}
		}
	}
}

// TestZSetAlgebra compares with maps, and with float sums in Redis's order.
func TestZSetAlgebra(t *testing.T) {
	r := zseedOf(t)
	for round := range 400 {
		k := 1 + r.IntN(5)
		space := []int{10, 200, 1000}[r.IntN(3)]
		if round%7 == 0 {
			k = 40
		}
		sets, inputs, weights := make([]map[string]float64, k), make([]ZInput, k), make([]float64, k)
		for i := range k {
			z := &SortedSet{Limits: ZSetLimits{MaxListpackEntries: 32, MaxListpackValue: 30}}
			sets[i] = map[string]float64{}
			for range r.IntN(space) {
				member, score := zrandomMember(r, space), float64(r.IntN(50))
				if r.IntN(10) == 0 {
					score = oddScores[r.IntN(len(oddScores))]
				}
				z.Set([]byte(member), score)
				sets[i][member], _ = z.Score([]byte(member))
			}
			inputs[i] = z
			weights[i] = []float64{1, 0, -1, 2, math.Inf(1)}[r.IntN(5)]
		}
		agg := Aggregate(r.IntN(4))
		order := make([]int, k)
		for i := range order {
			order[i] = i
		}
		sort.SliceStable(order, func(i, j int) bool { return len(sets[order[i]]) < len(sets[order[j]]) })
		all, common, times := map[string]float64{}, map[string]float64{}, map[string]int{}
		for _, i := range order {
			for member, score := range sets[i] {
				v := weights[i] * score
				if agg == AggregateCount {
					v = weights[i]
				}
				// What is not a number counts as 0, but in an intersection,
				// unless it comes first.
				if sum, ok := common[member]; !ok {
					common[member] = numberOrZero(v)
				} else if agg == AggregateSum || agg == AggregateCount {
					common[member] = numberOrZero(sum + v)
				} else if agg == AggregateMin && v < sum || agg == AggregateMax && v > sum {
					common[member] = v
				}
				v = numberOrZero(v)
				if old, ok := all[member]; ok {
					switch agg {
					case AggregateMin:
						v = math.Min(old, v)
					case AggregateMax:
						v = math.Max(old, v)
					default:
						if v += old; math.IsNaN(v) {
							v = 0
						}
					}
				}
				all[member] = v
				times[member]++
			}
		}
		var union, inter, diff zmodel
		maxLen := 0
		for member, score := range all {
			union = append(union, zpair{member, score})
			maxLen = max(maxLen, len(member))
			if times[member] == k {
				inter = append(inter, zpair{member, common[member]})
			}
		}
		for member, score := range sets[0] {
			if times[member] == 1 {
				diff = append(diff, zpair{member, score})
			}
		}
		for _, m := range []zmodel{union, inter, diff} {
			sort.Slice(m, func(i, j int) bool { return zless(m[i], m[j]) })
		}

		limits := ZSetLimits{MaxListpackEntries: 100, MaxListpackValue: 50}
		var b ZSetBuilder
		ZUnion(&b, inputs, weights, agg)
		if b.Len() != len(union) {
			t.Fatalf("union: %d members, want %d", b.Len(), len(union))
		}
		z := b.Finish(limits)
		zcompareAll(t, z, union)
		if err := z.Check(); err != nil {
			t.Fatal(err)
		}
		if enc, _, _ := z.Stored(); (enc == EncListpack) != (len(union) <= 100 && maxLen <= 50) {
			t.Fatalf("union of %d members up to %d bytes: %v", len(union), maxLen, enc)
		}
		z.Set([]byte("one more"), 5)
		if err := z.Check(); err != nil {
			t.Fatal(err)
		}

		ZInter(inputs, weights, agg, func(member []byte, score float64) bool { b.Add(member, score); return true })
		zcompareAll(t, b.Finish(limits), inter)
		for _, limit := range []int{0, 1, 3, 1000} {
			want := len(inter)
			if limit > 0 {
				want = min(want, limit)
			}
			if n := ZInterCard(inputs, limit); n != want {
				t.Fatalf("ZInterCard(limit %d) = %d, want %d", limit, n, want)
			}
			for steps := 1; steps < 1<<20; steps *= 4 {
				if n, ok := ZInterCardWithin(inputs, limit, steps); ok && n != want {
					t.Fatalf("ZInterCardWithin(limit %d, %d steps) = %d, want %d", limit, steps, n, want)
				}
			}
		}
		var got []zpair
		ZDiff(inputs, collect(&got, -1))
		same(t, "ZDiff", got, diff)
	}
}

// TestSortedSetDamaged: Check finds packed bytes from outside that are wrong.
func TestSortedSetDamaged(t *testing.T) {
	var p Packed
	good := p.Append([]byte("a")).Append([]byte("1")).Append([]byte("b")).Append([]byte("1.5"))
	for what, p := range map[string]Packed{
		"odd":    good.Append([]byte("c")),
		"order":  append(slices.Clone(good), good[:5]...),
		"score":  slices.Clone(good).Append([]byte("c")).Append([]byte("d")),
		"nan":    slices.Clone(good).Append([]byte("c")).Append([]byte("nan")),
		"torn":   good[:len(good)-1],
		"member": slices.Clone(good).Append([]byte("a")).Append([]byte("7")),
	} {
		var z SortedSet
		z.Load(EncListpack, p, nil)
		if z.Check() == nil {
			t.Errorf("%s: not found", what)
		}
	}
	var z SortedSet
	z.Load(EncListpack, good, nil)
	if err := z.Check(); err != nil {
		t.Error(err)
	}
}
