package stream

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"kvd/types"
)

func testRand(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("KVD_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with KVD_SEED=%d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

type modelEntry struct {
	id     ID
	fields [][]byte
}

// model is a stream as a list.
type model struct {
	entries []modelEntry
	last    ID
}

func randValue(r *rand.Rand) []byte {
	switch r.IntN(8) {
	case 0:
		return strconv.AppendInt(nil, int64(r.Uint64())>>r.IntN(64), 10)
	case 1:
		return nil
	case 2:
		return bytes.Repeat([]byte{byte('a' + r.IntN(3))}, r.IntN(200))
	case 3:
		if r.IntN(20) == 0 {
			return bytes.Repeat([]byte{'L'}, 4000+r.IntN(200)) // about where the coding changes
		}
		return []byte("01")
	default:
		return []byte(fmt.Sprintf("value-%d", r.IntN(1000)))
	}
}

func randFields(r *rand.Rand) [][]byte {
	names := []string{"a", "b", "7", "longer-name"}
	var out [][]byte
	n := 3
	if r.IntN(4) == 0 {
		n = 1 + r.IntN(5)
	}
	for i := range n {
		name := names[i%len(names)]
		if r.IntN(20) == 0 {
			name = "other"
		}
		out = append(out, []byte(name), randValue(r))
	}
	return out
}

func entriesOf(s *Stream, from ID) (out []modelEntry) {
	it := s.Seek(from)
	for it.Next() {
		out = append(out, current(&it))
	}
	return out
}

func current(it *Iter) modelEntry {
	e := modelEntry{id: it.ID}
	for range it.Fields {
		f, v := it.Pair()
		e.fields = append(e.fields, f.Append([]byte{}), v.Append([]byte{}))
	}
	return e
}

func sameEntries(t *testing.T, what string, got, want []modelEntry) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d entries, want %d", what, len(got), len(want))
	}
	for i := range got {
		if got[i].id != want[i].id || !slices.EqualFunc(got[i].fields, want[i].fields, bytes.Equal) {
			t.Fatalf("%s: entry %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

func (m *model) compare(t *testing.T, s *Stream, r *rand.Rand) {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if s.Len() != len(m.entries) || s.LastID() != m.last {
		t.Fatalf("%d entries up to %s, want %d, %s", s.Len(), s.LastID(), len(m.entries), m.last)
	}
	sameEntries(t, "forward", entriesOf(s, ID{}), m.entries)
	from := ID{m.last.Ms / 99 * uint64(r.IntN(100)), uint64(r.IntN(3))}
	i := slices.IndexFunc(m.entries, func(e modelEntry) bool { return !e.id.Less(from) })
	if i < 0 {
		i = len(m.entries)
	}
	sameEntries(t, "from "+from.String(), entriesOf(s, from), m.entries[i:])
	back := s.SeekBack(from)
	for j := i; ; {
		// The entry at from itself belongs to both.
		if j == i && j < len(m.entries) && m.entries[j].id == from {
			j++
		}
		if j--; j < 0 {
			if back.Prev() {
				t.Fatalf("backward: %s, want no more", back.ID)
			}
			break
		}
		if !back.Prev() {
			t.Fatalf("backward from %s: the end, want %s", from, m.entries[j].id)
		}
		sameEntries(t, "backward", []modelEntry{current(&back)}, m.entries[j:j+1])
	}
	above := 0
	for _, e := range m.entries {
		if from.Less(e.id) {
			above++
		}
	}
	if n := s.Count(from); n != above {
		t.Fatalf("Count(%s) = %d, want %d", from, n, above)
	}
	if last, ok := s.Last(); ok != (len(m.entries) > 0) || ok && last != m.entries[len(m.entries)-1].id {
		t.Fatalf("Last() = %s, %v", last, ok)
	}
	if n := len(m.entries); n > 0 {
		if e := m.entries[r.IntN(n)]; !s.Has(e.id) {
			t.Fatalf("Has(%s) is false", e.id)
		}
	}
}

// reload takes a stream to Redis's nodes and back.
func reload(t *testing.T, s *Stream) *Stream {
	t.Helper()
	o := New()
	s.EachNode(func(master ID, p types.Packed) {
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		if err := o.AddNode(master, p); err != nil {
			t.Fatal(err)
		}
	})
	if err := o.Settle(s.last); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestNoEntryAtZero: a node whose first entry would be 0-0, which no server has, is damaged.
func TestNoEntryAtZero(t *testing.T) {
	s := New()
	s.Append(ID{0, 1}, [][]byte{[]byte("f"), []byte("v")}, Limits{4096, 100})
	s.EachNode(func(master ID, p types.Packed) {
		if err := New().AddNode(master, p); err != nil {
			t.Error(master, err)
		}
		if err := New().AddNode(ID{}, p); err == nil {
			t.Error("0-0 is taken")
		}
	})
}

// TestModel does at random what can be done with entries, to streams and their
// copies, and compares with lists.
func TestModel(t *testing.T) {
	r := testRand(t)
	for round := range 30 {
		limits := []Limits{{4096, 100}, {0, 7}, {300, 0}, {0, 0}, {1 << 20, 1000}}[round%5]
		type pair struct {
			s *Stream
			m model
		}
		pairs := []pair{{s: New()}}
		for range 120 {
			p := &pairs[r.IntN(len(pairs))]
			s, m := p.s, &p.m
			switch r.IntN(8) {
			case 0, 1, 2:
				for range r.IntN(120) {
					switch r.IntN(3) {
					case 0:
						if m.last.Seq += uint64(1 + r.IntN(5)); round%10 == 9 && r.IntN(50) == 0 && m.last.Ms < 1<<62 {
							m.last.Ms += 1 << (58 + r.IntN(4)) // about where a head has no room for it
						}
					default:
						m.last = ID{m.last.Ms + uint64(1+r.IntN(3000)), uint64(r.IntN(3))}
					}
					f := randFields(r)
					s.Append(m.last, f, limits)
					m.entries = append(m.entries[:len(m.entries):len(m.entries)], modelEntry{m.last, f})
				}
			case 3, 4:
				for range r.IntN(40) {
					if len(m.entries) == 0 {
						break
					}
					i := r.IntN(len(m.entries))
					id := m.entries[i].id
					if !s.Delete(id) || s.Delete(id) {
						t.Fatalf("Delete(%s)", id)
					}
					m.entries = append(m.entries[:i:i], m.entries[i+1:]...)
				}
			case 5:
				tr := Trim{MaxLen: uint64(r.IntN(len(m.entries) + 1))}
				keep := len(m.entries) - int(tr.MaxLen)
				if r.IntN(2) == 0 {
					tr.ByID, tr.MinID = true, ID{m.last.Ms / 99 * uint64(r.IntN(100)), 0}
					keep = 0
					for keep < len(m.entries) && m.entries[keep].id.Less(tr.MinID) {
						keep++
					}
				}
				tr.Approx = r.IntN(3) == 0
				n := s.Trim(&tr)
				if n > keep || !tr.Approx && n != keep {
					t.Fatalf("trimmed %d entries, want %d (%v)", n, keep, tr.Approx)
				}
				m.entries = m.entries[n:]
			case 6:
				if len(pairs) < 4 {
					pairs = append(pairs, pair{s.Copy().(*Stream), *m})
				}
			case 7:
				p.s = reload(t, s)
			}
		}
		for i := range pairs {
			pairs[i].m.compare(t, pairs[i].s, r)
		}
	}
}

// TestDamagedNodes changes bytes of nodes: what is taken is whole.
func TestDamagedNodes(t *testing.T) {
	r := testRand(t)
	s := New()
	for i := range 300 {
		s.Append(ID{uint64(i + 1), 0}, randFields(r), Limits{4096, 100})
	}
	s.Delete(ID{5, 0})
	type rawNode struct {
		id ID
		p  types.Packed
	}
	var nodes []rawNode
	s.EachNode(func(m ID, p types.Packed) { nodes = append(nodes, rawNode{m, slices.Clone(p)}) })
	taken := 0
	for range 20000 {
		o := New()
		ok := true
		for _, n := range nodes[:1+r.IntN(len(nodes))] {
			p := slices.Clone(n.p)
			for range r.IntN(3) {
				p[r.IntN(len(p))] = byte(r.Uint32())
			}
			if p.Check() != nil || o.AddNode(n.id, p) != nil {
				ok = false
				break
			}
		}
		if !ok || o.Settle(ID{1 << 62, 0}) != nil {
			continue
		}
		taken++
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
		entriesOf(o, ID{})
	}
	if taken == 0 {
		t.Error("nothing was taken")
	}
}

// TestGroupsModel does at random what can be done with groups, and compares with
// maps.
func TestGroupsModel(t *testing.T) {
	r := testRand(t)
	type owned struct {
		time  int64
		count uint64
		who   string
	}
	type pair struct {
		s *Stream
		m map[ID]owned
		n map[string]bool
	}
	clone := func(p pair) pair {
		c := pair{s: p.s.Copy().(*Stream), m: map[ID]owned{}, n: map[string]bool{}}
		for k, v := range p.m {
			c.m[k] = v
		}
		for k := range p.n {
			c.n[k] = true
		}
		return c
	}
	for range 20 {
		first := pair{s: New(), m: map[ID]owned{}, n: map[string]bool{}}
		first.s.AddGroup([]byte("g"), ID{}, ReadUnknown)
		first.s.AddGroup([]byte("f"), ID{}, 0)
		pairs := []pair{first}
		nackSeq := int64(0)
		for step := range 3000 {
			if step%700 == 699 && len(pairs) < 4 {
				pairs = append(pairs, clone(pairs[r.IntN(len(pairs))]))
			}
			p := &pairs[r.IntN(len(pairs))]
			g := p.s.EditGroup([]byte("g"))
			id := ID{uint64(r.IntN(1500)), 0}
			if r.IntN(2) == 0 {
				id = ID{uint64(step), 1}
			}
			name := "c" + strconv.Itoa(r.IntN(70))
			switch r.IntN(10) {
			case 0, 1, 2, 3, 4:
				c := p.s.EditConsumer(g, []byte(name))
				if c == nil {
					c = p.s.AddConsumer(g, []byte(name), 1)
					p.n[name] = true
				}
				o := owned{int64(r.IntN(1000)), uint64(r.IntN(9)), name}
				p.m[id] = o
				p.s.Assign(g, Pending{ID: id, Time: o.time, Count: o.count, Consumer: c.Number()})
			case 5, 6, 7:
				_, there := p.m[id]
				if p.s.Ack(g, id) != there {
					t.Fatalf("Ack(%s), there: %v", id, there)
				}
				delete(p.m, id)
			case 8:
				if r.IntN(4) == 0 {
					nackSeq++
					p.s.Release(g, id, 3)
					p.m[id] = owned{g.handed, 3, ""}
				}
			case 9:
				if r.IntN(20) == 0 && p.n[name] {
					p.s.RemoveConsumer(g, []byte(name))
					delete(p.n, name)
					for k, v := range p.m {
						if v.who == name {
							delete(p.m, k)
						}
					}
				}
			}
		}
		for _, p := range pairs {
			if err := p.s.Check(); err != nil {
				t.Fatal(err)
			}
			g := p.s.Group([]byte("g"))
			if g.PendingLen() != len(p.m) || len(g.Consumers()) != len(p.n) {
				t.Fatalf("%d pending of %d consumers, want %d, %d", g.PendingLen(), len(g.Consumers()), len(p.m), len(p.n))
			}
			seen := 0
			g.EachPending(ID{}, nil, func(e *Pending) bool {
				seen++
				who := ""
				if c := g.Owner(e); c != nil {
					who = c.Name
				}
				if o := p.m[e.ID]; o != (owned{e.Time, e.Count, who}) {
					t.Fatalf("%s is %v, want %v", e.ID, *e, o)
				}
				return true
			})
			if seen != len(p.m) {
				t.Fatalf("%d were shown, want %d", seen, len(p.m))
			}
			for _, c := range g.Consumers() {
				n := 0
				g.EachPending(ID{}, c, func(e *Pending) bool { n++; return true })
				if n != c.Pending {
					t.Fatalf("consumer %s: %d were shown, want %d", c.Name, n, c.Pending)
				}
			}
			// Due, by sorting everything.
			var all []Pending
			for id, o := range p.m {
				all = append(all, Pending{ID: id, Time: o.time, Count: o.count, Consumer: uint32(len(o.who))})
			}
			slices.SortFunc(all, func(a, b Pending) int {
				if (a.Consumer == 0) != (b.Consumer == 0) {
					return int(a.Consumer) - int(b.Consumer)
				}
				if a.Time != b.Time {
					return int(a.Time - b.Time)
				}
				return a.ID.Compare(b.ID)
			})
			for _, most := range []int{1, 10, 1 << 30} {
				before := int64(r.IntN(1000))
				var want []ID
				for _, e := range all {
					if len(want) < most && (e.Consumer == 0 || e.Time <= before) {
						want = append(want, e.ID)
					}
				}
				var got []ID
				for _, e := range g.Due(before, most, nil) {
					got = append(got, e.ID)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("Due(%d, %d):\n%v\nwant\n%v", before, most, got, want)
				}
			}
			if at, ok := p.s.Earliest(g); ok != (len(all) > 0) || ok && g.Nacked() == 0 && at != all[0].Time {
				t.Fatalf("Earliest() = %d, %v", at, ok)
			}
			if err := p.s.Check(); err != nil {
				t.Fatal(err)
			}
			p.s.RemoveGroup([]byte("g"))
			if err := p.s.Check(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestTrimRefs trims with an eye on the groups, in steps of any size.
func TestTrimRefs(t *testing.T) {
	r := testRand(t)
	for range 60 {
		s := New()
		n := 50 + r.IntN(400)
		for i := range n {
			s.Append(ID{uint64(i + 1), 0}, [][]byte{[]byte("f"), []byte("v")}, Limits{4096, 30})
		}
		g := s.AddGroup([]byte("g"), ID{}, ReadUnknown)
		c := s.AddConsumer(g, []byte("c"), 1)
		read := r.IntN(n)
		pending := map[uint64]bool{}
		for i := range read {
			if s.Delivered(g, ID{uint64(i + 1), 0}); r.IntN(3) == 0 {
				s.Assign(g, Pending{ID: ID{uint64(i + 1), 0}, Time: 1, Count: 1, Consumer: c.Number()})
				pending[uint64(i+1)] = true
			}
		}
		tr := Trim{Refs: []Refs{DelRefs, Acked}[r.IntN(2)], MaxLen: uint64(r.IntN(n)), Budget: r.IntN(3) * 40}
		if r.IntN(2) == 0 {
			tr.ByID, tr.MinID = true, ID{uint64(r.IntN(n + 2)), 0}
		}
		var want []uint64
		length := n
		for i := uint64(1); i <= uint64(n); i++ {
			gone := tr.ByID && i < tr.MinID.Ms || !tr.ByID && uint64(length) > tr.MaxLen
			if gone && tr.Refs == Acked && (pending[i] || i > uint64(read)) {
				gone = false
			}
			if gone {
				length--
				if tr.Refs == DelRefs {
					delete(pending, i)
				}
			} else {
				want = append(want, i)
			}
		}
		total := s.Trim(&tr)
		for tr.More {
			total += s.Trim(&tr)
		}
		var got []uint64
		for _, e := range entriesOf(s, ID{}) {
			got = append(got, e.id.Ms)
		}
		if !slices.Equal(got, want) || total != n-len(want) || g.PendingLen() != len(pending) {
			t.Fatalf("%+v, read %d of %d: left\n%v\nwant\n%v\nremoved %d, pending %d, want %d", tr, read, n, got, want, total, g.PendingLen(), len(pending))
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestIdmp: what is sent again is known for as long, and as many, as is said.
func TestIdmp(t *testing.T) {
	s := New()
	add := func(pid string, i int, at int64) {
		s.IdmpAdd([]byte(pid), strconv.AppendInt(nil, int64(i), 10), ID{uint64(i), 0}, at, at-100, 10, true)
	}
	for i := range 30 {
		add("p", i, int64(1000+i*10))
	}
	add("q", 1, 1290)
	find := func(pid string, i int, since int64) bool {
		id, ok := s.IdmpFind([]byte(pid), strconv.AppendInt(nil, int64(i), 10), since)
		return ok && id.Ms == uint64(i)
	}
	if !find("p", 29, 0) || find("p", 19, 0) || !find("p", 20, 0) || find("p", 20, 1201) || !find("q", 1, 0) || find("q", 2, 0) {
		t.Error("other messages than the last 10 are known")
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	c := s.Copy().(*Stream)
	s.IdmpExpire(1290)
	if p, i := s.IdmpTracked(0); p != 2 || i != 2 {
		t.Errorf("%d producers, %d messages, want 2, 2", p, i)
	}
	if p, i := c.IdmpTracked(0); p != 2 || i != 11 {
		t.Errorf("the copy has %d producers, %d messages, want 2, 11", p, i)
	}
	s.SetIdmpConfig(5, 6)
	if p, _ := s.IdmpTracked(0); p != 0 {
		t.Error("SetIdmpConfig forgets nothing")
	}
	for _, s := range []*Stream{s, c} {
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	s := New()
	fields := [][]byte{[]byte("field1"), []byte("value-1234567"), []byte("field2"), []byte("123456"), []byte("field3"), []byte("xxxxxxxxxx")}
	for i := range b.N {
		s.Append(ID{1700000000000 + uint64(i), 0}, fields, Limits{4096, 100})
	}
	b.ReportMetric(float64(s.Bytes())/float64(b.N), "B/entry")
}

func BenchmarkRange10(b *testing.B) {
	s := New()
	fields := [][]byte{[]byte("field1"), []byte("value-1234567"), []byte("field2"), []byte("123456"), []byte("field3"), []byte("xxxxxxxxxx")}
	const n = 1 << 20
	for i := range n {
		s.Append(ID{uint64(i), 1}, fields, Limits{4096, 100})
	}
	r := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		it := s.Seek(ID{uint64(r.IntN(n)), 0})
		for k := 0; k < 10 && it.Next(); k++ {
			for range it.Fields {
				it.Pair()
			}
		}
	}
}

func BenchmarkTrimAll(b *testing.B) {
	s := New()
	fields := [][]byte{[]byte("a"), []byte("1")}
	for i := range 1 << 20 {
		s.Append(ID{uint64(i), 1}, fields, Limits{4096, 100})
	}
	for b.Loop() {
		c := s.Copy().(*Stream)
		c.Trim(&Trim{MaxLen: 10})
	}
}

func BenchmarkPending(b *testing.B) {
	s := New()
	g := s.AddGroup([]byte("g"), ID{}, 0)
	c := s.AddConsumer(g, []byte("c"), 0)
	for i := range b.N {
		s.Assign(g, Pending{ID: ID{uint64(i), 0}, Time: int64(i), Count: 1, Consumer: c.Number()})
	}
	b.ReportMetric(float64(s.Bytes())/float64(b.N), "B/pending")
}
