package types

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

var smallHashLimits = HashLimits{MaxListpackEntries: 8, MaxListpackValue: 30}

type hashModel map[string]tableModelValue

// visible is what a reader sees at a time.
func (m hashModel) visible(now int64) hashModel {
	v := hashModel{}
	for k, f := range m {
		if !isDue(f.deadline, now) {
			v[k] = f
		}
	}
	return v
}

func (m hashModel) next() int64 {
	next := int64(0)
	for _, f := range m {
		if f.deadline != 0 && (next == 0 || f.deadline < next) {
			next = f.deadline
		}
	}
	return next
}

func (h *Hash) reload() {
	enc, packed, obj := h.Stored()
	packed = slices.Clone(packed)
	h.scratch.poison()
	h.Load(enc, packed, obj)
}

func elemString(e Elem) string { return string(e.Append(nil)) }

func checkHash(t *testing.T, h *Hash, model hashModel, now int64) {
	t.Helper()
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
	if got, want := h.NextDeadline(), model.next(); got != want {
		t.Fatalf("next deadline %d, want %d", got, want)
	}
	for _, now := range []int64{0, now} {
		want := model.visible(now)
		got := hashModel{}
		h.Each(now, func(field, value Elem, deadline int64) bool {
			got[elemString(field)] = tableModelValue{elemString(value), deadline}
			return true
		})
		if h.Len(now) != len(want) || !maps.Equal(got, want) {
			t.Fatalf("at %d: %d fields, %v, want %v", now, h.Len(now), got, want)
		}
		scanned := hashModel{}
		for c, first := uint64(0), true; c != 0 || first; first = false {
			c = h.Scan(c, 3, now, func(field, value Elem) {
				scanned[elemString(field)] = tableModelValue{elemString(value), want[elemString(field)].deadline}
			})
		}
		if !maps.Equal(scanned, want) {
			t.Fatalf("at %d: scanned %v, want %v", now, scanned, want)
		}
	}
}

func TestHashAgainstMap(t *testing.T) {
	type mask = struct {
		name string
		mask uint64
	}
	// With two hashes only, fields come to share the elements of due.
	for _, m := range append([]mask{{"two", 1 << 63}}, hashMasks...) {
		t.Run(m.name, func(t *testing.T) {
			withHashMask(t, m.mask)
			r := packedRand(t)
			forms := map[Encoding]int{}
			type kept struct {
				h     *Hash
				model hashModel
			}
			var copies []kept
			for range 40 {
				h := &Hash{Limits: smallHashLimits}
				model := hashModel{}
				space := 3 + r.IntN(12)
				if r.IntN(8) == 0 {
					space = 500
				}
				now := int64(1000)
				deadlines := r.IntN(3) > 0
				for range 200 {
					field := setTestMember(r, space, true)
					b := []byte(field)
					val := tableTestVal(r)
					if len(val) > 300 && r.IntN(2) == 0 {
						val = val[:len(val)%30]
					}
					if r.IntN(4) == 0 {
						now += r.Int64N(10)
					}
					at := now
					if r.IntN(10) == 0 {
						at = 0
					}
					was, there := model[field]
					there = there && !isDue(was.deadline, at)
					before := h.Encoding()
					switch op := r.IntN(12); {
					case op < 4:
						if h.Set(b, []byte(val), at) == there {
							t.Fatalf("set %q: %v", field, !there)
						}
						model[field] = tableModelValue{val: val}
					case op == 4:
						if h.Update(b, []byte(val), at) == there {
							t.Fatalf("update %q: %v", field, !there)
						}
						if !there {
							was.deadline = 0
						}
						model[field] = tableModelValue{val, was.deadline}
					case op < 7:
						if h.Delete(b, at) != there {
							t.Fatalf("delete %q: %v", field, !there)
						}
						delete(model, field)
					case op < 9 && deadlines:
						ms := now + r.Int64N(30) - 5
						if h.SetDeadline(b, ms, at) != there {
							t.Fatalf("deadline of %q: %v", field, !there)
						}
						if there {
							model[field] = tableModelValue{was.val, ms}
						}
					case op == 9:
						if h.Persist(b, at) != (there && was.deadline != 0) {
							t.Fatalf("persist %q: %v", field, !there)
						}
						if there {
							model[field] = tableModelValue{was.val, 0}
						}
					case op == 10:
						limit, last, n := 1+r.IntN(5), int64(0), 0
						due := len(model) - len(model.visible(now))
						got := h.ExpireDue(now, limit, func(f Elem) {
							k := elemString(f)
							d := model[k].deadline
							if !isDue(d, now) || d < last {
								t.Fatalf("expired %q of %d at %d after %d", k, d, now, last)
							}
							last = d
							delete(model, k)
							n++
						})
						if n != got || n != min(limit, due) {
							t.Fatalf("expired %d, told %d, want %d of %d", n, got, limit, due)
						}
					default:
						if deadlines && r.IntN(3) == 0 {
							h.Put(b, []byte(val), now+5)
							model[field] = tableModelValue{val, now + 5}
						}
					}
					want, ok := model.visible(at)[field]
					if v, gotOK := h.Get(b, at); gotOK != ok || elemString(v) != want.val || h.Has(b, at) != ok || h.StrLen(b, at) != len(want.val) {
						t.Fatalf("get %q: %q %v, want %q %v", field, elemString(v), gotOK, want.val, ok)
					}
					if d, gotOK := h.Deadline(b, at); gotOK != ok || d != want.deadline {
						t.Fatalf("deadline of %q: %d %v, want %d", field, d, gotOK, want.deadline)
					}
					seen := model.visible(at)
					total := len(seen)
					if f, v, ok := h.Random(at); ok != (total > 0) || ok && seen[elemString(f)].val != elemString(v) {
						t.Fatalf("random %q %q %v", elemString(f), elemString(v), ok)
					}
					n := r.IntN(total + 2)
					h.RandomDistinct(n, at, func(f, v Elem) bool {
						if want, ok := seen[elemString(f)]; !ok || want.val != elemString(v) {
							t.Fatalf("random %q %q", elemString(f), elemString(v))
						}
						delete(seen, elemString(f))
						return true
					})
					if total-len(seen) != min(n, total) {
						t.Fatalf("%d random fields, want %d of %d", total-len(seen), n, total)
					}
					checkHash(t, h, model, now)
					enc := h.Encoding()
					forms[enc]++
					if before != enc && before != EncListpack && enc != EncHashtable {
						t.Fatalf("from %v to %v", before, enc)
					}
					if len(model) == 0 {
						*h = Hash{Limits: smallHashLimits}
					} else if r.IntN(3) == 0 {
						h.reload()
					}
					if enc == EncHashtable && len(model) > 0 && r.IntN(100) == 0 {
						c := &Hash{Limits: smallHashLimits}
						_, _, obj := h.Stored()
						c.Load(enc, nil, obj.Copy())
						copies = append(copies, kept{c, maps.Clone(model)})
					}
				}
			}
			for _, c := range copies {
				checkHash(t, c.h, c.model, 0)
			}
			if forms[EncListpack] == 0 || forms[EncListpackEx] == 0 || forms[EncHashtable] == 0 {
				t.Fatalf("forms %v", forms)
			}
		})
	}
}

func TestHashEncodings(t *testing.T) {
	h := &Hash{Limits: HashLimits{MaxListpackEntries: 3, MaxListpackValue: 64}}
	long := []byte(strings.Repeat("x", 64))
	for i := range 3 {
		h.Set([]byte{'a' + byte(i)}, long, 0)
	}
	h.Set([]byte("a"), []byte("again"), 0)
	if h.Encoding() != EncListpack {
		t.Fatal(h.Encoding())
	}
	h.reload() // the copies share the scratch memory
	c := *h
	c.reload()
	if c.Set([]byte("d"), nil, 0); c.Encoding() != EncHashtable {
		t.Fatal(c.Encoding())
	}
	c = *h
	c.reload()
	if c.Set([]byte("a"), append(long, 'x'), 0); c.Encoding() != EncHashtable || c.Len(0) != 3 {
		t.Fatal(c.Encoding())
	}
	c = *h
	c.reload()
	if c.SetDeadline([]byte("z"), 5, 0); c.Encoding() != EncListpack {
		t.Fatal(c.Encoding())
	}
	c.SetDeadline([]byte("a"), 5, 0)
	c.Persist([]byte("a"), 0)
	if c.Encoding() != EncListpackEx {
		t.Fatal(c.Encoding())
	}
	// Never more than an entry holds.
	for _, deadline := range []int64{0, 1e12} {
		h = &Hash{Limits: HashLimits{1e6, 1e6}}
		for i := 0; h.Encoding() != EncHashtable; i++ {
			f := []byte("field" + strconv.Itoa(i))
			h.Set(f, f, 0)
			if deadline != 0 && i%1000 == 999 {
				h.SetDeadline(f, deadline, 0)
			}
			if _, packed, _ := h.Stored(); len(packed) > packedMax || i > 20000 {
				t.Fatalf("%d bytes of %v", len(packed), h.Encoding())
			}
		}
		for i := 0; i < h.Len(0); i += 100 {
			if f := []byte("field" + strconv.Itoa(i)); !h.Has(f, 0) {
				t.Fatalf("no %s", f)
			}
		}
	}
}

func TestHashFromOutside(t *testing.T) {
	p := Packed(nil)
	for _, s := range []string{"a", "1", "0", "b", "x", "77"} {
		p = p.Append([]byte(s))
	}
	for _, c := range []struct {
		enc  Encoding
		p    Packed
		good bool
	}{
		{EncListpackEx, p, true},
		{EncListpack, p, true},
		{EncListpack, p.Append([]byte("more")), false},
		{EncListpackEx, p.Append([]byte("more")), false},
		{EncListpackEx, p.Append([]byte("a")).Append([]byte("1")).Append([]byte("0")), false},
		{EncListpackEx, p.Append([]byte("c")).Append([]byte("1")).Append([]byte("-1")), false},
		{EncListpackEx, p.Append([]byte("c")).Append([]byte("1")).Append([]byte("x")), false},
		{EncListpack, p[:len(p)-1], false},
	} {
		h := &Hash{Limits: HashLimits{MaxListpackEntries: 1, MaxListpackValue: 64}}
		h.Load(c.enc, c.p, nil)
		if err := h.Check(); (err == nil) != c.good {
			t.Errorf("%v %q: %v", c.enc, c.p, err)
		}
		if c.good {
			h.Fit()
			if h.Encoding() != EncHashtable || h.Check() != nil {
				t.Errorf("%v: %v", h.Encoding(), h.Check())
			}
		}
	}
}

func TestHashLongValueKeepsItsBytes(t *testing.T) {
	h := &Hash{Limits: DefaultHashLimits}
	h.Set([]byte("f"), bytes.Repeat([]byte("x"), 1<<20), 0)
	before, _ := h.Get([]byte("f"), 0)
	h.SetDeadline([]byte("f"), 5, 0)
	if after, _ := h.Get([]byte("f"), 0); &before.S[0] != &after.S[0] {
		t.Fatal("a deadline copied the value")
	}
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestHashReadsDoNotAllocate(t *testing.T) {
	for _, n := range []int{5, 5000} {
		for _, deadline := range []int64{0, 1e12} {
			h := &Hash{Limits: DefaultHashLimits}
			for i := range n {
				h.Put([]byte("f"+strconv.Itoa(i)), []byte("v"), deadline)
			}
			key, val := []byte("f3"), []byte("w")
			if a := testing.AllocsPerRun(100, func() {
				if v, ok := h.Get(key, 5); !ok || v.Len() != 1 || h.StrLen(key, 5) != 1 || h.NextDeadline() != deadline {
					t.Fatal("missing")
				}
				h.Random(5)
				sum := 0
				h.Each(5, func(f, v Elem, _ int64) bool { sum += f.Len() + v.Len(); return true })
				h.Update(key, val, 5)
			}); a != 0 {
				t.Errorf("%v of %d, deadline %d: %v allocations", h.Encoding(), n, deadline, a)
			}
		}
	}
}

// TestHashCopyRace is for the race detector.
func TestHashCopyRace(t *testing.T) {
	h := &Hash{Limits: DefaultHashLimits}
	for i := range 3000 {
		h.Put(fmt.Appendf(nil, "f%d", i), []byte("0"), int64(i%7*1000))
	}
	var wg sync.WaitGroup
	for round := range 10 {
		_, _, obj := h.Stored()
		c := &Hash{}
		c.Load(EncHashtable, nil, obj.Copy())
		n, next := h.Len(0), h.NextDeadline()
		wg.Go(func() {
			got := 0
			c.Each(0, func(_, _ Elem, _ int64) bool { got++; return true })
			if got != n || c.NextDeadline() != next {
				t.Errorf("%d fields, next %d, want %d, %d", got, c.NextDeadline(), n, next)
			}
			if err := c.Check(); err != nil {
				t.Error(err)
			}
		})
		for i := range 300 {
			f := fmt.Appendf(nil, "f%d", i*7)
			h.Set(f, fmt.Append(nil, round), 0)
			h.SetDeadline(fmt.Appendf(nil, "f%d", i*3), int64(round*100+i+1), 0)
		}
		h.ExpireDue(1000, 50, func(Elem) {})
	}
	wg.Wait()
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
}
