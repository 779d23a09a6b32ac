package types

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// orderModel is an Order and what it should hold.
type orderModel struct {
	t    testing.TB
	o    *Order
	want []string
}

func (m *orderModel) add(s string) {
	i, there := slices.BinarySearch(m.want, s)
	if m.o.Add([]byte(s)) == there {
		m.t.Fatalf("Add(%.40q) is %v", s, there)
	}
	if !there {
		m.want = slices.Insert(m.want, i, s)
	}
}

func (m *orderModel) remove(s string) {
	i, there := slices.BinarySearch(m.want, s)
	if m.o.Remove([]byte(s)) != there {
		m.t.Fatalf("Remove(%.40q) is %v", s, !there)
	}
	if there {
		m.want = slices.Delete(m.want, i, i+1)
	}
}

// inRange is the members of a range by the definition.
func inRange(all []string, r *LexRange) (in []string) {
	for _, s := range all {
		if r.Min.Inf > 0 || r.Max.Inf < 0 ||
			r.Min.Inf == 0 && (s < string(r.Min.Member) || r.Min.Ex && s == string(r.Min.Member)) ||
			r.Max.Inf == 0 && (s > string(r.Max.Member) || r.Max.Ex && s == string(r.Max.Member)) {
			continue
		}
		in = append(in, s)
	}
	return in
}

func (m *orderModel) check(r *rand.Rand, text func() string) {
	m.t.Helper()
	if err := m.o.Check(); err != nil {
		m.t.Fatal(err)
	}
	if m.o.Len() != len(m.want) {
		m.t.Fatalf("%d strings, wanted %d", m.o.Len(), len(m.want))
	}
	bound := func() LexBound {
		if r.IntN(5) == 0 {
			return LexBound{Inf: int8(1 - 2*r.IntN(2))}
		}
		s := text()
		if len(m.want) > 0 && r.IntN(2) == 0 {
			s = m.want[r.IntN(len(m.want))]
		}
		return LexBound{Member: []byte(s), Ex: r.IntN(2) == 0}
	}
	for range 8 {
		q := LexRange{bound(), bound()}
		want := inRange(m.want, &q)
		if got := m.o.Count(&q); got != len(want) {
			m.t.Fatalf("%+v: %d, wanted %d", q, got, len(want))
		}
		offset, reverse := 0, r.IntN(2) == 0
		if r.IntN(2) == 0 {
			offset = r.IntN(len(want) + 3)
		}
		if reverse {
			slices.Reverse(want)
		}
		want = want[min(offset, len(want)):]
		var got []string
		for c := m.o.Cursor(&q, reverse, offset); ; {
			b, ok := c.Next()
			if !ok {
				break
			}
			got = append(got, string(b))
		}
		if !slices.Equal(got, want) {
			m.t.Fatalf("%+v, reverse %v, from %d: %d strings %.300q, wanted %d", q, reverse, offset, len(got), got, len(want))
		}
	}
}

func TestOrder(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		text := func() string {
			switch seed % 4 {
			case 0:
				return fmt.Sprintf("user:%06d", r.IntN(30_000))
			case 1:
				b := make([]byte, r.IntN(4))
				for i := range b {
					b[i] = byte(r.IntN(5) * 63)
				}
				return string(b)
			case 2: // leaves split by their bytes, and strings that stand on their own
				return strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(3000))
			}
			return fmt.Sprint(r.IntN(1 << 30))
		}
		m := &orderModel{t: t, o: NewOrder()}
		var old []*orderModel
		for phase := range 6 {
			grow := phase%3 != 2
			for i := range 2500 {
				if seed%4 == 3 && phase == 0 {
					m.add(fmt.Sprintf("%09d", i)) // in order
				} else if grow == (r.IntN(5) > 0) {
					m.add(text())
				} else if len(m.want) > 0 && r.IntN(4) > 0 {
					m.remove(m.want[r.IntN(len(m.want))])
				} else {
					m.remove(text())
				}
				if i%2000 == 0 {
					m.check(r, text)
				}
			}
			// Copies keep what they are, whoever changes first.
			c := &orderModel{t: t, o: m.o.Copy(), want: slices.Clone(m.want)}
			if r.IntN(2) == 0 {
				c, m = m, c
			}
			old = append(old, c)
		}
		for _, c := range old {
			c.check(r, text)
		}
		for len(m.want) > 0 {
			m.remove(m.want[r.IntN(len(m.want))])
		}
		m.check(r, text)
		if empty := NewOrder().Bytes(); m.o.Bytes() > 4*empty+4096 {
			t.Errorf("an empty order takes %d bytes", m.o.Bytes())
		}
	}
}

func FuzzOrder(f *testing.F) {
	f.Add([]byte("\x01a\x01b\x81a"), uint64(1))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		m := &orderModel{t: t, o: NewOrder()}
		for len(in) > 0 {
			n := min(int(in[0]&0x1f), len(in)-1)
			s := string(bytes.Repeat(in[1:1+n], 1+int(in[0]>>5&3)*40))
			if in[0]&0x80 != 0 {
				m.remove(s)
			} else {
				m.add(s)
			}
			in = in[1+n:]
		}
		r := rand.New(rand.NewPCG(seed, 1))
		m.check(r, func() string { return fmt.Sprint(r.IntN(100)) })
	})
}

func BenchmarkOrderAdd(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o := NewOrder()
			r := rand.New(rand.NewPCG(1, 1))
			name := make([]byte, 0, 32)
			for o.Len() < n {
				o.Add(fmt.Appendf(name[:0], "field:%010d", r.Uint32()))
			}
			b.ReportMetric(float64(o.Bytes())/float64(n), "B/string")
			b.ResetTimer()
			for i := range b.N {
				b := fmt.Appendf(name[:0], "field:%010d", r.Uint32())
				if i%2 == 0 {
					o.Add(b)
				} else {
					o.Remove(b)
				}
			}
		})
	}
}
