package types

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// smallSetLimits let all forms and the ways between them come up soon.
var smallSetLimits = SetLimits{MaxIntset: 12, MaxListpackEntries: 9, MaxListpackValue: 20}

func setTestMember(r *rand.Rand, space int, words bool) string {
	n := r.IntN(space)
	switch {
	case !words || r.IntN(3) == 0:
		return strconv.FormatInt(int64(n-space/2)<<(r.IntN(2)*(n%48)), 10)
	case r.IntN(60) == 0:
		return strings.Repeat("long", n)
	case r.IntN(20) == 0:
		return []string{"", "007", "-0", "+1", "9223372036854775808", " 1"}[r.IntN(6)]
	}
	return "m" + strconv.Itoa(n)
}

// reload is what the keyspace does between two commands.
func (s *Set) reload() {
	enc, packed, obj := s.Stored()
	packed = slices.Clone(packed)
	s.scratch.poison()
	s.Load(enc, packed, obj)
}

func setMembers(s *Set) map[string]bool {
	m := map[string]bool{}
	s.Each(func(e Elem) bool { m[string(e.Append(nil))] = true; return true })
	return m
}

func checkSet(t *testing.T, s *Set, model map[string]bool) {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if s.Len() != len(model) {
		t.Fatalf("%d members, want %d", s.Len(), len(model))
	}
	if got := setMembers(s); !maps.Equal(got, model) {
		t.Fatalf("members %v, want %v", got, model)
	}
}

func TestSetAgainstMap(t *testing.T) {
	for _, m := range hashMasks {
		t.Run(m.name, func(t *testing.T) {
			withHashMask(t, m.mask)
			r := packedRand(t)
			forms := map[Encoding]int{}
			for range 60 {
				s := &Set{Limits: smallSetLimits}
				model := map[string]bool{}
				space, words := 5+r.IntN(40), r.IntN(3) > 0
				for range 200 {
					b := setTestMember(r, space, words)
					if !words && r.IntN(200) == 0 {
						words = true
					}
					there := model[b]
					before := s.Encoding()
					switch op := r.IntN(12); {
					case op < 6:
						if s.Add([]byte(b)) == there {
							t.Fatalf("add %q: %v", b, !there)
						}
						model[b] = true
					case op < 9:
						if s.Remove([]byte(b)) != there {
							t.Fatalf("remove %q: %v", b, !there)
						}
						delete(model, b)
					case op == 9 && len(model) > 0:
						e := s.Random()
						if k := string(e.Append(nil)); !model[k] || e.Len() != len(k) {
							t.Fatalf("random %q", k)
						}
						k := string(s.Pop(nil).Append(nil))
						if !model[k] {
							t.Fatalf("popped %q", k)
						}
						delete(model, k)
					case op == 10:
						n := r.IntN(len(model) + 3)
						seen := map[string]bool{}
						s.RandomDistinct(n, func(e Elem) bool {
							k := string(e.Append(nil))
							if !model[k] || seen[k] {
								t.Fatalf("random %q", k)
							}
							seen[k] = true
							return true
						})
						if len(seen) != min(n, len(model)) {
							t.Fatalf("%d of %d members, want %d", len(seen), len(model), n)
						}
						if n = r.IntN(len(model)/3 + 2); r.IntN(4) == 0 {
							popped := 0
							want := min(n, len(model))
							s.PopN(n, func(e Elem) {
								k := string(e.Append(nil))
								if !model[k] {
									t.Fatalf("popped %q", k)
								}
								delete(model, k)
								popped++
							})
							if popped != want {
								t.Fatalf("popped %d, want %d", popped, want)
							}
						}
					}
					if s.Has([]byte(b)) != model[b] {
						t.Fatalf("has %q: %v", b, !model[b])
					}
					enc := s.Encoding()
					forms[enc]++
					if before == EncListpack && enc == EncIntset || before == EncHashtable && enc != before {
						t.Fatalf("from %v to %v", before, enc)
					}
					checkSet(t, s, model)
					if len(model) == 0 {
						*s = Set{Limits: smallSetLimits}
					} else if r.IntN(3) == 0 {
						s.reload()
					}
					seen := map[string]bool{}
					for c, first := uint64(0), true; c != 0 || first; first = false {
						c = s.Scan(c, 3, func(e Elem) { seen[string(e.Append(nil))] = true })
					}
					if !maps.Equal(seen, model) {
						t.Fatalf("scanned %v, want %v", seen, model)
					}
				}
			}
			if forms[EncIntset] == 0 || forms[EncListpack] == 0 || forms[EncHashtable] == 0 {
				t.Fatalf("forms %v", forms)
			}
		})
	}
}

func TestSetEncodings(t *testing.T) {
	ints := func(n int) (m []string) {
		for i := range n {
			m = append(m, strconv.Itoa(i))
		}
		return m
	}
	words := func(n int) (m []string) {
		for i := range n {
			m = append(m, "w"+strconv.Itoa(i))
		}
		return m
	}
	for _, c := range []struct {
		name string
		add  []string
		want Encoding
	}{
		{"integers", ints(512), EncIntset},
		{"too many integers", ints(513), EncHashtable},
		{"few words", words(128), EncListpack},
		{"many words", words(129), EncHashtable},
		{"integers and a word", append(ints(127), "w"), EncListpack},
		{"too many integers for a word", append(ints(128), "w"), EncHashtable},
		{"64 bytes", []string{strings.Repeat("x", 64)}, EncListpack},
		{"65 bytes", []string{strings.Repeat("x", 65)}, EncHashtable},
		{"words and an integer", append(words(127), "1"), EncListpack},
		{"a member again", append(words(128), "w0"), EncListpack},
	} {
		s := &Set{Limits: DefaultSetLimits}
		b := NewSetBuilder(DefaultSetLimits)
		for _, m := range c.add {
			s.Add([]byte(m))
			b.Add(Elem{S: []byte(m)})
		}
		built := b.Set()
		if s.Encoding() != c.want || built.Encoding() != c.want || built.Len() != s.Len() {
			t.Errorf("%s: %v, built %v, want %v", c.name, s.Encoding(), built.Encoding(), c.want)
		}
		for _, m := range c.add[1:] {
			s.Remove([]byte(m))
		}
		if s.Encoding() != c.want {
			t.Errorf("%s: %v after removing", c.name, s.Encoding())
		}
	}
	for _, c := range []struct {
		have  []string
		first string
		n     int
		want  Encoding
	}{
		{nil, "1", 512, EncIntset}, {nil, "1", 513, EncHashtable}, {nil, "a", 128, EncIntset}, {nil, "a", 129, EncHashtable},
		{ints(2), "a", 512, EncIntset}, {ints(2), "a", 513, EncHashtable}, {words(2), "1", 128, EncListpack}, {words(2), "1", 129, EncHashtable},
	} {
		s := &Set{Limits: DefaultSetLimits}
		for _, m := range c.have {
			s.Add([]byte(m))
		}
		s.Expect([]byte(c.first), c.n)
		if s.Encoding() != c.want {
			t.Errorf("%d like %q to %q: %v, want %v", c.n, c.first, c.have, s.Encoding(), c.want)
		}
	}
	// Never more than an entry holds.
	s := &Set{Limits: SetLimits{1e6, 1e6, 1e6}}
	for i := 0; s.Encoding() != EncHashtable; i++ {
		s.Add([]byte(strconv.FormatInt(int64(i)<<32, 10) + strings.Repeat("x", i/5000*60)))
		if _, packed, _ := s.Stored(); len(packed) > packedMax || i > 20000 {
			t.Fatalf("%d bytes of %v", len(packed), s.Encoding())
		}
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestSetFromOutside(t *testing.T) {
	p := Packed(nil).Append([]byte("a")).Append([]byte("1")).Append([]byte("b"))
	s := &Set{Limits: DefaultSetLimits}
	s.Load(EncListpack, p, nil)
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	s.Limits.MaxListpackEntries = 2
	s.Fit()
	if s.Encoding() != EncHashtable || s.Len() != 3 || s.Check() != nil {
		t.Fatal(s.Encoding())
	}
	s.Load(EncListpack, p.Append([]byte("1")), nil)
	if s.Check() == nil {
		t.Fatal("a member twice passes")
	}
	s.Load(EncListpack, p[:len(p)-1], nil)
	if s.Check() == nil {
		t.Fatal("a torn listpack passes")
	}
	s.Load(EncIntset, []byte{2, 1, 0, 1, 0}, nil)
	if s.Check() == nil {
		t.Fatal("an integer twice passes")
	}
}

func TestSetPopIsUniform(t *testing.T) {
	for _, n := range []int{10, 100, 2000} {
		for _, take := range []int{n / 20, n / 2} {
			take = max(take, 1)
			const rounds = 300
			hits := map[string]int{}
			for range rounds {
				s := &Set{Limits: smallSetLimits}
				for i := range n {
					s.Add([]byte("w" + strconv.Itoa(i)))
				}
				s.PopN(take, func(e Elem) { hits[string(e.S)]++ })
			}
			want := float64(rounds) * float64(take) / float64(n)
			for i := range n {
				got := float64(hits["w"+strconv.Itoa(i)])
				if (got-want)*(got-want) > 40*want {
					t.Errorf("%d of %d: member %d popped %v times, want %v", take, n, i, got, want)
				}
			}
		}
	}
}

func TestSetAlgebra(t *testing.T) {
	for _, m := range hashMasks {
		t.Run(m.name, func(t *testing.T) {
			withHashMask(t, m.mask)
			r := packedRand(t)
			for range 120 {
				var sets []*Set
				var models []map[string]bool
				space := 10 + r.IntN(40)
				if r.IntN(5) == 0 && m.mask != 0xFFF {
					space = 3000
				}
				for range 1 + r.IntN(5) {
					s := &Set{Limits: smallSetLimits}
					model := map[string]bool{}
					words := r.IntN(3) > 0
					for range r.IntN(1 + r.IntN(2*space)) {
						b := setTestMember(r, space, words)
						s.Add([]byte(b))
						model[b] = true
					}
					sets, models = append(sets, s), append(models, model)
				}
				if r.IntN(10) == 0 {
					sets, models = append(sets, sets[0]), append(models, models[0])
				}
				inter, union, diff := map[string]bool{}, map[string]bool{}, map[string]bool{}
				for i, model := range models {
					for k := range model {
						union[k] = true
						all, other := true, false
						for j, m := range models {
							all = all && m[k]
							other = other || j > 0 && m[k]
						}
						if all {
							inter[k] = true
						}
						if i == 0 && !other {
							diff[k] = true
						}
					}
				}
				// In few steps the number is the same, or there is none.
				for limit := range 4 {
					for _, op := range []struct {
						all    func([]*Set, int, func(Elem) bool) int
						within func([]*Set, int, int) (int, bool)
					}{{SetInter, SetInterWithin}, {SetDiff, SetDiffWithin}} {
						want := op.all(sets, limit, nil)
						steps := r.IntN(100)
						if n, ok := op.within(sets, limit, steps); ok && n != want {
							t.Fatalf("limit %d within %d steps: %d, want %d", limit, steps, n, want)
						}
						if n, ok := op.within(sets, limit, 1<<30); !ok || n != want {
							t.Fatalf("limit %d within many steps: %d %v, want %d", limit, n, ok, want)
						}
					}
				}
				for _, op := range []struct {
					name string
					do   func([]*Set, int, func(Elem) bool) int
					want map[string]bool
				}{{"inter", SetInter, inter}, {"union", SetUnion, union}, {"diff", SetDiff, diff}} {
					b := NewSetBuilder(smallSetLimits)
					byHand := &Set{Limits: smallSetLimits}
					n := op.do(sets, 0, func(e Elem) bool {
						b.Add(e)
						if !byHand.Add(e.Append(nil)) {
							t.Fatalf("%s: %q twice", op.name, e.Append(nil))
						}
						return true
					})
					if n != len(op.want) || op.do(sets, 0, nil) != n {
						t.Fatalf("%s: %d members, want %d", op.name, n, len(op.want))
					}
					built := b.Set()
					checkSet(t, built, op.want)
					if built.Encoding() != byHand.Encoding() {
						t.Fatalf("%s: built %v, by hand %v", op.name, built.Encoding(), byHand.Encoding())
					}
					limit := 1 + r.IntN(len(op.want)+2)
					if n := op.do(sets, limit, nil); n != min(limit, len(op.want)) {
						t.Fatalf("%s: %d with limit %d of %d", op.name, n, limit, len(op.want))
					}
					calls := 0
					if op.do(sets, 0, func(Elem) bool { calls++; return calls < limit }); calls != min(limit, len(op.want)) {
						t.Fatalf("%s: %d calls before %d", op.name, calls, limit)
					}
				}
			}
		})
	}
}

func TestSetBuilderOutOfOrder(t *testing.T) {
	r := packedRand(t)
	for range 20 {
		b := NewSetBuilder(DefaultSetLimits)
		model := map[string]bool{}
		for range 2000 {
			k := strconv.Itoa(r.IntN(1500))
			b.Add(Elem{S: []byte(k)})
			model[k] = true
		}
		checkSet(t, b.Set(), model)
	}
}

func TestSetReadsDoNotAllocate(t *testing.T) {
	for _, n := range []int{5, 300, 5000} {
		for _, word := range []string{"", "w"} {
			s := &Set{Limits: DefaultSetLimits}
			for i := range n {
				s.Add([]byte(word + strconv.Itoa(i)))
			}
			key := []byte(word + "3")
			if a := testing.AllocsPerRun(100, func() {
				if !s.Has(key) || s.Random().Len() == 0 {
					t.Fatal("missing")
				}
				sum := 0
				s.Each(func(e Elem) bool { sum += e.Len(); return true })
				s.Add(key)
			}); a != 0 {
				t.Errorf("%v of %d: %v allocations", s.Encoding(), n, a)
			}
		}
	}
}

func TestSetCopy(t *testing.T) {
	s := &Set{Limits: DefaultSetLimits}
	for i := range 5000 {
		s.Add([]byte("w" + strconv.Itoa(i)))
	}
	_, _, obj := s.Stored()
	c := &Set{Limits: DefaultSetLimits}
	c.Load(EncHashtable, nil, obj.Copy())
	want := setMembers(s)
	for i := range 4000 {
		s.Remove([]byte("w" + strconv.Itoa(i)))
		c.Add([]byte("c" + strconv.Itoa(i)))
		want["c"+strconv.Itoa(i)] = true
	}
	checkSet(t, c, want)
	if s.Len() != 1000 || s.Check() != nil || !obj.Free(1) || c.Check() != nil {
		t.Fatal(s.Len())
	}
}

func TestUnitScores(t *testing.T) {
	s := &Set{Limits: DefaultSetLimits}
	s.Add([]byte("5"))
	s.Add([]byte("x"))
	var in ZInput = UnitScores{s}
	var got []byte
	in.Each(func(m []byte, score float64) bool { got = fmt.Appendf(got, "%s=%v ", m, score); return true })
	if _, ok := in.Score([]byte("y")); ok || in.Len() != 2 || !bytes.Equal(got, []byte("5=1 x=1 ")) {
		t.Fatalf("%q", got)
	}
}

// BenchmarkSetAlgebra: go test -run '^$' -bench SetAlgebra -benchtime 3x
func BenchmarkSetAlgebra(b *testing.B) {
	wrap := func(t *table) *Set {
		s := &Set{Limits: DefaultSetLimits}
		s.Load(EncHashtable, nil, &bigSet{*t})
		return s
	}
	sets := []*Set{wrap(bigTable(0, benchMembers)), wrap(bigTable(benchMembers/2, benchMembers))}
	few := []*Set{wrap(bigTable(benchMembers-500, 1000)), sets[1]}
	for _, op := range []struct {
		name string
		sets []*Set
		do   func([]*Set, int, func(Elem) bool) int
	}{{"inter", sets, SetInter}, {"union", sets, SetUnion}, {"diff", sets, SetDiff}, {"inter1000", few, SetInter}} {
		b.Run(op.name+"/card", func(b *testing.B) {
			for range b.N {
				op.do(op.sets, 0, nil)
			}
		})
		b.Run(op.name+"/store", func(b *testing.B) {
			for range b.N {
				to := NewSetBuilder(DefaultSetLimits)
				op.do(op.sets, 0, func(e Elem) bool { to.Add(e); return true })
				to.Set()
			}
		})
	}
}
