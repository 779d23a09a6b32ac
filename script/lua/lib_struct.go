package lua

import (
	endian "encoding/binary"
	"math"
	"math/bits"
	"strings"
)

// OpenStruct makes the table struct: Roberto Ierusalimschy's library of binary formats, in
// the version that Redis has.
func OpenStruct(s *State) {
	t := &Table{}
	s.Register(t, "pack", structPack)
	s.Register(t, "size", structSize)
	s.Register(t, "unpack", structUnpack)
	s.globals.Embed("struct", t.Value())
}

const (
	maxIntSize = 32 // bytes of the longest integer
	maxAlign   = 8
)

// A structFormat reads a format, option by option.
type structFormat struct {
	s     *State
	text  string
	i     int
	big   bool
	align int
}

func newStructFormat(s *State, text string) structFormat {
	// The format is a C string.
	if i := strings.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	return structFormat{s: s, text: text, align: 1}
}

// number reads digits, or gives the default.
func (f *structFormat) number(def int) (int, error) {
	if f.i >= len(f.text) || !isDigit(f.text[f.i]) {
		return def, nil
	}
	n := 0
	for f.i < len(f.text) && isDigit(f.text[f.i]) {
		d := int(f.text[f.i] - '0')
		if n > math.MaxInt32/10 || n*10 > math.MaxInt32-d {
			return 0, f.s.Errorf("integral size overflow")
		}
		n = n*10 + d
		f.i++
	}
	return n, nil
}

// structSizes has the sizes of the options that no number may follow.
var structSizes = [256]uint8{'B': 1, 'b': 1, 'x': 1, 'H': 2, 'h': 2, 'f': 4, 'L': 8, 'l': 8, 'T': 8, 'd': 8}

// next reads an option and its size in bytes.
func (f *structFormat) next() (opt byte, size int, err error) {
	opt = f.text[f.i]
	f.i++
	if size := structSizes[opt]; size > 0 {
		return opt, int(size), nil
	}
	switch opt {
	case 'c':
		size, err = f.number(1)
		return opt, size, err
	case 'i', 'I':
		size, err = f.number(4)
		if err == nil && size > maxIntSize {
			err = f.s.Errorf("integral size %d is larger than limit of %d", size, maxIntSize)
		}
		return opt, size, err
	}
	return opt, 0, nil
}

// padding is how many bytes go before an element of the size at the position.
func (f *structFormat) padding(pos int64, opt byte, size int) int64 {
	if f.align == 1 || size == 0 || opt == 'c' {
		return 0
	}
	n := int64(min(size, f.align))
	return (n - pos&(n-1)) & (n - 1)
}

// control handles the options that stand for no element.
func (f *structFormat) control(opt byte) error {
	switch opt {
	case ' ':
	case '>':
		f.big = true
	case '<':
		f.big = false
	case '!':
		n, err := f.number(maxAlign)
		if err != nil {
			return err
		}
		if n <= 0 || n&(n-1) != 0 {
			return f.s.Errorf("alignment %d is not a power of 2", n)
		}
		f.align = n
	default:
		return f.s.ArgError(0, "invalid format option '"+string([]byte{opt})+"'")
	}
	return nil
}

func structPack(s *State, w []Value, n int) (int, error) {
	text, err := s.ArgString(w, n, 0)
	if err != nil {
		return 0, err
	}
	out := newStrbuf(s)
	if err := structPackTo(s, &out, text, w, n); err != nil {
		out.drop()
		return 0, err
	}
	w[0], err = out.value()
	return 1, err
}

// packNumber is the argument arg (from 1 on) of pack. The original has put a nil behind
// the last argument, which is what its message speaks of where one is missing.
func packNumber(s *State, w []Value, n, arg int) (float64, error) {
	if arg <= n && w[arg-1].isNumber() {
		return w[arg-1].num(), nil
	}
	return packOther(s, w, n, arg)
}

func packOther(s *State, w []Value, n, arg int) (float64, error) {
	if arg > n {
		return 0, s.ArgError(arg-1, "number expected, got nil")
	}
	return s.ArgNumber(w, n, arg-1)
}

func structPackTo(s *State, out *strbuf, text string, w []Value, n int) error {
	f := newStructFormat(s, text)
	arg := 2
	if err := s.Step(min(len(f.text), maxFrame)); err != nil {
		return err
	}
	for total := int64(0); f.i < len(f.text); {
		opt, size, err := f.next()
		if err != nil {
			return err
		}
		if f.i&0xfff == 0 {
			if err := s.Step(0x1000); err != nil {
				return err
			}
		}
		pad := int(f.padding(total, opt, size))
		if err := out.room(pad + maxIntSize); err != nil {
			return err
		}
		for range pad {
			out.b = append(out.b, 0)
		}
		total += int64(pad)
		switch opt {
		case 'b', 'B', 'h', 'H', 'l', 'L', 'T', 'i', 'I':
			v, err := packNumber(s, w, n, arg)
			if err != nil {
				return err
			}
			arg++
			u := truncUint(v)
			if v < 0 {
				u = uint64(ToInt64(v))
			}
			out.b = appendInteger(out.b, u, size, f.big)
		case 'x':
			out.b = append(out.b, 0)
		case 'f', 'd':
			v, err := packNumber(s, w, n, arg)
			if err != nil {
				return err
			}
			arg++
			if opt == 'f' {
				out.b = appendInteger(out.b, uint64(math.Float32bits(float32(v))), 4, f.big)
			} else {
				out.b = appendInteger(out.b, floatBits(v), 8, f.big)
			}
		case 'c', 's':
			if arg > n {
				return s.ArgError(arg-1, "string expected, got nil")
			}
			str, err := s.ArgString(w, n, arg-1)
			if err != nil {
				return err
			}
			arg++
			if size == 0 {
				size = len(str)
			}
			if len(str) < size {
				return s.ArgError(arg-1, "string too short")
			}
			if err := out.add(str[:size]); err != nil {
				return err
			}
			if opt == 's' {
				if err := out.addByte(0); err != nil {
					return err
				}
				size++
			}
		default:
			if err := f.control(opt); err != nil {
				return err
			}
		}
		total += int64(size)
	}
	return nil
}

// appendInteger appends the low size bytes of u, which may be more than eight: then zeros.
func appendInteger(b []byte, u uint64, size int, big bool) []byte {
	switch {
	case size == 1:
		return append(b, byte(u))
	case size == 2 && big:
		return append(b, byte(u>>8), byte(u))
	case size == 2:
		return append(b, byte(u), byte(u>>8))
	case size == 4 && big:
		return endian.BigEndian.AppendUint32(b, uint32(u))
	case size == 4:
		return endian.LittleEndian.AppendUint32(b, uint32(u))
	case size == 8 && big:
		return endian.BigEndian.AppendUint64(b, u)
	case size == 8:
		return endian.LittleEndian.AppendUint64(b, u)
	case big:
		for i := size - 1; i >= 0; i-- {
			b = append(b, byte(u>>(8*uint(i))))
		}
		return b
	}
	for range size {
		b = append(b, byte(u))
		u >>= 8
	}
	return b
}

// readInteger reads all bytes of data; of more than eight the lowest count.
func readInteger(data string, big bool) (u uint64) {
	switch len(data) {
	case 1:
		return uint64(data[0])
	case 2:
		n := uint16(data[0]) | uint16(data[1])<<8
		if big {
			n = bits.ReverseBytes16(n)
		}
		return uint64(n)
	case 4:
		n := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		if big {
			n = bits.ReverseBytes32(n)
		}
		return uint64(n)
	case 8:
		u = uint64(data[0]) | uint64(data[1])<<8 | uint64(data[2])<<16 | uint64(data[3])<<24 |
			uint64(data[4])<<32 | uint64(data[5])<<40 | uint64(data[6])<<48 | uint64(data[7])<<56
		if big {
			u = bits.ReverseBytes64(u)
		}
		return u
	}
	if big {
		for i := 0; i < len(data); i++ {
			u = u<<8 | uint64(data[i])
		}
		return u
	}
	for i := len(data) - 1; i >= 0; i-- {
		u = u<<8 | uint64(data[i])
	}
	return u
}

func structUnpack(s *State, w []Value, n int) (int, error) {
	text, err := s.ArgString(w, n, 0)
	if err != nil {
		return 0, err
	}
	data, err := s.ArgString(w, n, 1)
	if err != nil {
		return 0, err
	}
	from, err := s.OptInt(w, n, 2, 1)
	if err != nil {
		return 0, err
	}
	if from == 0 {
		return 0, s.ArgError(2, "offset must be 1 or greater")
	}
	// The original's position has no sign: a negative one is beyond every end.
	pos := uint64(from - 1)
	length := uint64(len(data))
	f := newStructFormat(s, text)
	count := 0
	var last Value
	if err := s.Step(min(len(f.text), maxFrame)); err != nil {
		return 0, err
	}
	for f.i < len(f.text) {
		opt, size, err := f.next()
		if err != nil {
			return 0, err
		}
		if f.i&0xfff == 0 {
			if err := s.Step(0x1000); err != nil {
				return 0, err
			}
		}
		pos += uint64(f.padding(int64(pos), opt, size))
		if uint64(size) > length || pos > length-uint64(size) {
			return 0, s.ArgError(1, "data string too short")
		}
		if !CheckStack(n+count, 2) {
			return 0, s.Errorf("stack overflow (too many results)")
		}
		if count+2 > len(w) {
			if w, err = s.Need(2*count + 20); err != nil {
				return 0, err
			}
		}
		rest := data[pos:]
		switch opt {
		case 'b', 'B', 'h', 'H', 'l', 'L', 'T', 'i', 'I':
			u := readInteger(rest[:size], f.big)
			if opt >= 'a' {
				// The shift is by the low six bits of the count, as on x86.
				if mask := ^uint64(0) << (uint(size*8-1) & 63); u&mask != 0 {
					u |= mask
				}
				last = Number(float64(int64(u)))
			} else {
				last = Number(float64(u))
			}
		case 'x':
			pos++
			continue
		case 'f':
			last = Number(float64(math.Float32frombits(uint32(readInteger(rest[:4], f.big)))))
		case 'd':
			last = Number(math.Float64frombits(readInteger(rest[:8], f.big)))
		case 'c':
			if size == 0 {
				v, ok := 0.0, false
				if count > 0 {
					if v, ok, err = s.number(last); err != nil {
						return 0, err
					}
				}
				if !ok {
					return 0, s.Errorf("format 'c0' needs a previous size")
				}
				count--
				u := truncUint(v)
				if u > length || pos > length-u {
					return 0, s.ArgError(1, "data string too short")
				}
				size = int(u)
			}
			if last, err = s.View(data, rest[:size]); err != nil {
				return 0, err
			}
		case 's':
			end, err := s.indexByte(rest, 0)
			if err != nil {
				return 0, err
			}
			if end < 0 {
				return 0, s.Errorf("unfinished string in data")
			}
			if err := s.Step(end / 32); err != nil {
				return 0, err
			}
			if last, err = s.View(data, rest[:end]); err != nil {
				return 0, err
			}
			size = end + 1
		default:
			if err := f.control(opt); err != nil {
				return 0, err
			}
			continue
		}
		w[count] = last
		count++
		pos += uint64(size)
	}
	w[count] = Number(float64(pos + 1))
	return count + 1, nil
}

func structSize(s *State, w []Value, n int) (int, error) {
	text, err := s.ArgString(w, n, 0)
	if err != nil {
		return 0, err
	}
	f := newStructFormat(s, text)
	pos := int64(0)
	for f.i < len(f.text) {
		opt, size, err := f.next()
		if err != nil {
			return 0, err
		}
		if err := s.Step(1); err != nil {
			return 0, err
		}
		pos += f.padding(pos, opt, size)
		if opt == 's' || opt == 'c' && size == 0 {
			option := "s"
			if opt == 'c' {
				option = "c0"
			}
			return 0, s.ArgError(0, "option '"+option+"' has no fixed size")
		}
		if !isDigit(opt) && opt|0x20-'a' >= 26 {
			if err := f.control(opt); err != nil {
				return 0, err
			}
		}
		pos += int64(size)
	}
	w[0] = Number(float64(pos))
	return 1, nil
}
