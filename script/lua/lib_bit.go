package lua

import (
	"math"
	"math/bits"
)

// OpenBit makes the table bit: BitOp 1.0, operations on the low 32 bits of numbers.
func OpenBit(s *State) {
	t := &Table{}
	one := func(name string, fn func(uint32) uint32) {
		s.Register(t, name, func(s *State, w []Value, n int) (int, error) {
			b, err := bitArg(s, w, n, 0)
			if err != nil {
				return 0, err
			}
			w[0] = bitValue(fn(b))
			return 1, nil
		})
	}
	many := func(name string, fn func(a, b uint32) uint32) {
		s.Register(t, name, func(s *State, w []Value, n int) (int, error) {
			b, err := bitArg(s, w, n, 0)
			if err != nil {
				return 0, err
			}
			for i := n - 1; i > 0; i-- {
				c, err := bitArg(s, w, n, i)
				if err != nil {
					return 0, err
				}
				b = fn(b, c)
			}
			w[0] = bitValue(b)
			return 1, nil
		})
	}
	shift := func(name string, fn func(b uint32, n uint) uint32) {
		s.Register(t, name, func(s *State, w []Value, n int) (int, error) {
			b, err := bitArg(s, w, n, 0)
			if err != nil {
				return 0, err
			}
			by, err := bitArg(s, w, n, 1)
			if err != nil {
				return 0, err
			}
			w[0] = bitValue(fn(b, uint(by&31)))
			return 1, nil
		})
	}
	one("tobit", func(b uint32) uint32 { return b })
	one("bnot", func(b uint32) uint32 { return ^b })
	one("bswap", bits.ReverseBytes32)
	many("band", func(a, b uint32) uint32 { return a & b })
	many("bor", func(a, b uint32) uint32 { return a | b })
	many("bxor", func(a, b uint32) uint32 { return a ^ b })
	shift("lshift", func(b uint32, n uint) uint32 { return b << n })
	shift("rshift", func(b uint32, n uint) uint32 { return b >> n })
	shift("arshift", func(b uint32, n uint) uint32 { return uint32(int32(b) >> n) })
	shift("rol", func(b uint32, n uint) uint32 { return bits.RotateLeft32(b, int(n)) })
	shift("ror", func(b uint32, n uint) uint32 { return bits.RotateLeft32(b, -int(n)) })
	s.Register(t, "tohex", bitTohex)
	s.globals.Embed("bit", t.Value())
}

// bitArg is an argument's low 32 bits, rounded to the nearest whole number.
func bitArg(s *State, w []Value, n, i int) (uint32, error) {
	f, err := s.ArgNumber(w, n, i)
	if err != nil {
		return 0, err
	}
	f += 1<<52 + 1<<51 // the fraction is rounded off, and the bits of the number lie lowest
	if f != f {
		return 0, nil
	}
	return uint32(math.Float64bits(f)), nil
}

func bitValue(b uint32) Value { return Number(float64(int32(b))) }

func bitTohex(s *State, w []Value, n int) (int, error) {
	b, err := bitArg(s, w, n, 0)
	if err != nil {
		return 0, err
	}
	digits, count := "0123456789abcdef", int32(8)
	if n > 1 {
		c, err := bitArg(s, w, n, 1)
		if err != nil {
			return 0, err
		}
		if count = int32(c); count < 0 {
			digits = "0123456789ABCDEF"
			count = max(count, -8)
			count = -count
		}
		count = min(count, 8)
	}
	var buf [8]byte
	for i := count - 1; i >= 0; i-- {
		buf[i] = digits[b&15]
		b >>= 4
	}
	w[0], err = s.NewString(buf[:count])
	return 1, err
}
