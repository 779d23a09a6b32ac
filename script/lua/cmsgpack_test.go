package lua

import (
	endian "encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// A packedMaker writes random MessagePack, and makes the tables that come out when each value
// is set after the other.
type packedMaker struct {
	t   *testing.T
	s   *State
	rnd *rand.Rand
	out []byte
}

func (m *packedMaker) head(fix, wide byte, n int) {
	switch {
	case n <= 15 && m.rnd.IntN(4) > 0:
		m.out = append(m.out, fix|byte(n))
	case m.rnd.IntN(2) == 0:
		m.out = endian.BigEndian.AppendUint16(append(m.out, wide), uint16(n))
	default:
		m.out = endian.BigEndian.AppendUint32(append(m.out, wide+1), uint32(n))
	}
}

func (m *packedMaker) value(depth int) Value {
	kind := m.rnd.IntN(40)
	if depth > 0 && kind < 12 {
		n := m.rnd.IntN(20)
		if m.rnd.IntN(20) == 0 {
			n = m.rnd.IntN(400)
			depth = 1
		}
		t, err := m.s.NewTable(0, 0)
		if err != nil {
			m.t.Fatal(err)
		}
		set := func(k, v Value) {
			if err := m.s.RawSet(t, k, v); err != nil {
				m.t.Fatal(err)
			}
		}
		if kind < 6 {
			m.head(0x90, 0xdc, n)
			for i := range n {
				set(Number(float64(i+1)), m.value(depth-1))
			}
		} else {
			m.head(0x80, 0xde, n)
			odd := m.rnd.IntN(3) == 0
			for range n {
				var k Value
				if odd && m.rnd.IntN(4) == 0 {
					c := m.rnd.IntN(12) // often the next of an array
					m.out = append(m.out, byte(c))
					k = Number(float64(c))
				} else {
					k = m.text(1 + m.rnd.IntN(3))
				}
				v := m.value(depth - 1)
				if kind < 9 && v.IsNil() {
					m.out[len(m.out)-1] = 7
					v = Number(7)
				}
				set(k, v)
			}
		}
		return t.Value()
	}
	switch {
	case kind < 20:
		return m.text(m.rnd.IntN(32))
	case kind == 20:
		m.out = append(m.out, 0xc0)
		return Nil
	case kind == 21:
		m.out = append(m.out, 0xc3)
		return Bool(true)
	}
	c := m.rnd.IntN(128)
	m.out = append(m.out, byte(c))
	return Number(float64(c))
}

func (m *packedMaker) text(n int) Value {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(m.rnd.IntN(6))
	}
	m.out = append(append(m.out, 0xa0|byte(n)), b...)
	return String(string(b))
}

// sameShape tells whether two values are alike to the sizes of tables' parts, on which the length
// of a table with holes depends.
func sameShape(a, b Value) bool {
	if !a.IsTable() || !b.IsTable() {
		return RawEquals(a, b)
	}
	t, u := a.table(), b.table()
	same := func(a, b node) bool { return sameShape(a.key, b.key) && sameShape(a.val, b.val) }
	return slices.EqualFunc(t.arr, u.arr, sameShape) && cap(t.nodes) == cap(u.nodes) && slices.EqualFunc(t.nodes, u.nodes, same)
}

// TestUnpackedShapes holds that tables which get their room before their elements are read are
// the same as if each had been set after the other.
func TestUnpackedShapes(t *testing.T) {
	for seed := range uint64(5000) {
		s := New(Options{})
		m := packedMaker{t: t, s: s, rnd: rand.New(rand.NewPCG(seed, 1))}
		want := m.value(4)
		f, err := s.NewTable(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		s.Register(f, "unpack", msgpackUnpack)
		got, err := s.Call(f.GetString("unpack"), String(string(m.out)))
		if err != nil || len(got) != 1 {
			t.Fatalf("seed %d: %v, %d results", seed, err, len(got))
		}
		if !sameShape(got[0], want) {
			t.Fatalf("seed %d: %x makes another table than setting its elements", seed, m.out)
		}
		if len(s.building) > 0 {
			t.Fatalf("seed %d: %d tables are still being made", seed, len(s.building))
		}
	}
}

// TestUnpackPromises holds that heads which promise more than the input has make no table large, nor
// leave anything behind.
func TestUnpackPromises(t *testing.T) {
	data := make([]byte, 0, 12000)
	for range 1500 {
		data = append(data, 0x81, 0x01, 0xdf, 0, 0, 0x04, 0, 0x01) // a map of one, in it one of 1,024
	}
	s := New(Options{Memory: 16 << 20})
	p, err := Compile(`local ok, e = pcall(cmsgpack.unpack, ARGV[1]) return e`, "@t")
	if err != nil {
		t.Fatal(err)
	}
	argv := &Table{}
	s.Globals().Embed("ARGV", argv.Value())
	if err := s.RawSetInt(argv, 1, String(string(data))); err != nil {
		t.Fatal(err)
	}
	got, err := s.Run(p)
	if err != nil || got[0].Str() != "Missing bytes in input." {
		t.Fatalf("%v, %v", got, err)
	}
	if s.used > 8<<20 {
		t.Errorf("%d bytes were used", s.used)
	}
	if len(s.building) > 0 || cap(s.building) > buildingKept {
		t.Errorf("%d tables are still being made, with room for %d", len(s.building), cap(s.building))
	}
}
