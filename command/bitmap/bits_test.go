package bitmap_test

import (
	"fmt"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/command"
	"kvd/command/bitmap"
	"kvd/command/commandtest"
	"kvd/keyspace"
	"kvd/types"
)

func TestBits(t *testing.T) {
	s := commandtest.NewFixed(t)
	s.PutList("l")
	s.Do("SET", "f", "\xff\xf0\x00")
	s.Do("SET", "ones", "\xff\xff\xff")
	const offset = "-ERR bit offset is not an integer or out of range\n"
	s.Play([]commandtest.Step{
		{"SETBIT a 1 1", ":0\n", "SETBIT a 1 1"},
		{"SETBIT a 1 1", ":1\n", ""},
		{"SETBIT a 9 0", ":0\n", "SETBIT a 9 0"},
		{"SETBIT a 1 0", ":1\n", "SETBIT a 1 0"},
		{"SETBIT new 0 0", ":0\n", "SETBIT new 0 0"},
		{"STRLEN a", ":2\n", ""},
		{"SETBIT a 4294967296 1", offset, ""},
		{"SETBIT a -1 1", offset, ""},
		{"SETBIT a x 1", offset, ""},
		{"SETBIT a #1 1", offset, ""},
		{"SETBIT a 1 2", "-ERR bit is not an integer or out of range\n", ""},
		{"SETBIT a 1 -1", "-ERR bit is not an integer or out of range\n", ""},
		{"SETBIT l 1 1", commandtest.WrongTypeReply, ""},
		{"GETBIT f 11", ":1\n", ""},
		{"GETBIT f 12", ":0\n", ""},
		{"GETBIT f 4000000000", ":0\n", ""},
		{"GETBIT none 1", ":0\n", ""},
		{"GETBIT none 4294967296", offset, ""},
		{"GETBIT l 1", commandtest.WrongTypeReply, ""},
		{"BITCOUNT f", ":12\n", ""},
		{"BITCOUNT f 1 1", ":4\n", ""},
		{"BITCOUNT f 5 -12 BIT", ":7\n", ""},
		{"BITCOUNT f 0 -1 byte", ":12\n", ""},
		{"BITCOUNT f 0", "-ERR syntax error\n", ""},
		{"BITCOUNT f 0 1 nope", "-ERR syntax error\n", ""},
		{"BITCOUNT f 0 x", "-ERR value is not an integer or out of range\n", ""},
		{"BITCOUNT none x y", "-ERR value is not an integer or out of range\n", ""},
		{"BITCOUNT none 0 1 PAGE", "-ERR syntax error\n", ""},
		{"BITPOS none 1 x", "-ERR value is not an integer or out of range\n", ""},
		{"BITPOS none 1 0 y", "-ERR value is not an integer or out of range\n", ""},
		{"BITPOS none 0 0 1 PAGE", "-ERR syntax error\n", ""},
		{"BITPOS none 1 0 -1", ":-1\n", ""},
		{"BITCOUNT l", commandtest.WrongTypeReply, ""},
		{"BITPOS f 0", ":12\n", ""},
		{"BITPOS f 1 2", ":-1\n", ""},
		{"BITPOS ones 0", ":24\n", ""},
		{"BITPOS ones 0 0 -1", ":-1\n", ""},
		{"BITPOS f 0 3 11 BIT", ":-1\n", ""},
		{"BITPOS f 1 3 11 BIT", ":3\n", ""},
		{"BITPOS f 2", "-ERR The bit argument must be 1 or 0.\n", ""},
		{"BITPOS f x", "-ERR value is not an integer or out of range\n", ""},
		{"BITPOS f 0 0 1 hello", "-ERR syntax error\n", ""},
		{"BITPOS f 0 0 1 BIT x", "-ERR syntax error\n", ""},
		{"BITPOS none 0", ":0\n", ""},
		{"BITPOS none 1", ":-1\n", ""},
		{"BITPOS l 1", commandtest.WrongTypeReply, ""},
	})
	s.Run("SET i 1 EX 100")
	s.Run("SETBIT i 6 1")
	s.Want("GET i", "$1\n3\n")
	s.WantEntry("i", types.EncRaw, commandtest.FixedNow+100000)
}

func TestSetBitIsSparse(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads 512 MiB, which takes minutes under the race detector")
	}
	s := commandtest.NewFixed(t)
	s.Want("SETBIT a 4294967295 1", ":0\n")
	s.Want("BITCOUNT a", ":1\n")
	s.Want("BITPOS a 1", ":4294967295\n")
	s.Want("BITFIELD b SET u8 4000000000 255 GET u4 4000000004", "*2\n:0\n:15\n")
	s.Want("BITOP OR c a b", ":536870912\n")
	s.Want("BITCOUNT c", ":9\n")
	for _, key := range []string{"a", "b", "c"} {
		e := s.Entry(key)
		if e.Memory() > 2<<20 {
			t.Errorf("%s takes %d bytes", key, e.Memory())
		}
	}
}

func TestBitOp(t *testing.T) {
	s := commandtest.NewFixed(t)
	s.PutList("l")
	s.Do("SET", "a", "\x01\x02\xff\xff")
	s.Do("SET", "b", "\x01\x02\xff")
	s.Do("SET", "c", "\x03")
	get := func(v string) string { return fmt.Sprintf("$%d\n%s\n", len(v), v) }
	s.Play([]commandtest.Step{
		{"BITOP AND d a b", ":4\n", "BITOP AND d a b"},
		{"GET d", get("\x01\x02\xff\x00"), ""},
		{"BITOP or d a c", ":4\n", "BITOP or d a c"},
		{"GET d", get("\x03\x02\xff\xff"), ""},
		{"BITOP XOR d a b none", ":4\n", "BITOP XOR d a b none"},
		{"GET d", get("\x00\x00\x00\xff"), ""},
		{"BITOP NOT d b", ":3\n", "BITOP NOT d b"},
		{"GET d", get("\xfe\xfd\x00"), ""},
		{"BITOP NOT d d", ":3\n", "BITOP NOT d d"},
		{"GET d", get("\x01\x02\xff"), ""},
		{"BITOP DIFF d a b", ":4\n", "SET d \x00\x00\x00\xff"},
		{"BITOP DIFF1 d b a", ":4\n", "SET d \x00\x00\x00\xff"},
		{"BITOP ANDOR d a b c", ":4\n", "SET d \x01\x02\xff\x00"},
		{"BITOP ONE d a b c", ":4\n", "SET d \x02\x00\x00\xff"},
		{"BITOP ONE d none nope", ":0\n", "DEL d"},
		{"BITOP AND d none", ":0\n", ""},
		{"BITOP NOT d a b", "-ERR BITOP NOT must be called with a single source key.\n", ""},
		{"BITOP DIFF d a", "-ERR BITOP DIFF must be called with at least two source keys.\n", ""},
		{"BITOP DIFF1 d a", "-ERR BITOP DIFF1 must be called with at least two source keys.\n", ""},
		{"BITOP ANDOR d a", "-ERR BITOP ANDOR must be called with at least two source keys.\n", ""},
		{"BITOP NOPE d a", "-ERR syntax error\n", ""},
		{"BITOP OR d a l", commandtest.WrongTypeReply, ""},
		{"BITOP OR l a", ":4\n", "BITOP OR l a"}, // whatever was there
	})
	s.Run("SET n 1")
	s.Run("SET m 2")
	s.Want("BITOP XOR x n m n", ":1\n")
	s.Want("GET x", "$1\n2\n")
}

// TestBitsModel runs random commands on strings of all forms and compares the
// replies with those of plain slices, bit by bit.
func TestBitsModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	s := commandtest.NewFixed(t)
	model := map[string][]byte{}
	keys := []string{"a", "b", "c", "d"}
	bit := func(b []byte, i int) int {
		if i/8 >= len(b) {
			return 0
		}
		return int(b[i/8] >> (7 - i%8) & 1)
	}
	put := func(k string, i, v int) {
		b := model[k]
		if n := i/8 + 1; n > len(b) {
			b = append(b, make([]byte, n-len(b))...)
			model[k] = b
		}
		b[i/8] = b[i/8]&^(1<<(7-i%8)) | byte(v)<<(7-i%8)
	}
	check := func(want string, words ...string) {
		t.Helper()
		if got := s.Do(words...); got != want {
			t.Fatalf("%.80q\n got %.80q\nwant %.80q", words, got, want)
		}
	}
	num := strconv.Itoa
	for range 600 {
		k := keys[rnd.IntN(len(keys))]
		b := model[k]
		switch rnd.IntN(8) {
		case 0: // a new string, often of one byte over and over
			n := []int{rnd.IntN(40), rnd.IntN(keyspace.InlineMax), rnd.IntN(150000)}[rnd.IntN(3)]
			b = make([]byte, n)
			fill := []byte{0, 0xff, byte(rnd.Uint32())}[rnd.IntN(3)]
			for i := range b {
				b[i] = fill
			}
			for range rnd.IntN(4) {
				if n > 0 {
					b[rnd.IntN(n)] = byte(rnd.Uint32())
				}
			}
			model[k] = b
			check("+OK\r\n", "SET", k, string(b))
		case 1:
			i, v := rnd.IntN(len(b)*8+100), rnd.IntN(2)
			check(fmt.Sprintf(":%d\r\n", bit(b, i)), "SETBIT", k, num(i), num(v))
			put(k, i, v)
		case 2, 3: // a range for BITCOUNT and BITPOS
			if b == nil {
				continue
			}
			from, to := rnd.IntN(len(b)*8+1), rnd.IntN(len(b)*8+1)
			from, to = min(from, to), max(from, to)
			n, first := 0, [2]int{-1, -1}
			for i := from; i <= to && i < len(b)*8; i++ {
				v := bit(b, i)
				n += v
				if first[v] < 0 {
					first[v] = i
				}
			}
			check(fmt.Sprintf(":%d\r\n", n), "BITCOUNT", k, num(from), num(to), "BIT")
			for v := range 2 {
				check(fmt.Sprintf(":%d\r\n", first[v]), "BITPOS", k, num(v), num(from), num(to), "BIT")
			}
		case 4, 5:
			op := bitmap.BitOp(rnd.IntN(len(bitmap.BitOpNames)))
			src := []string{keys[rnd.IntN(4)], keys[rnd.IntN(4)], keys[rnd.IntN(4)]}[:2+rnd.IntN(2)]
			if op == bitmap.OpNot {
				src = src[:1]
			}
			n := 0
			for _, key := range src {
				n = max(n, len(model[key]))
			}
			out := bitOpModel(op, n, src, model)
			if n == 0 {
				delete(model, k)
			} else {
				model[k] = out
			}
			check(fmt.Sprintf(":%d\r\n", n), append([]string{"BITOP", bitmap.BitOpNames[op], k}, src...)...)
			if n > 0 {
				check(fmt.Sprintf("$%d\r\n%s\r\n", n, out), "GET", k)
			}
		default:
			f := bitmap.FieldOp{Signed: rnd.IntN(2) == 0, Offset: int64(rnd.IntN(len(b)*8 + 100)), Overflow: "wsf"[rnd.IntN(3)], Kind: "gsi"[rnd.IntN(3)]}
			f.Width = 1 + rnd.Int64N(63)
			if f.Signed && rnd.IntN(4) == 0 {
				f.Width = 64
			}
			f.Arg = rnd.Int64() >> rnd.IntN(64)
			if rnd.IntN(2) == 0 {
				f.Arg = -f.Arg - 1
			}
			fieldModel(t, s, k, &f, model[k], bit, func(i, v int) { put(k, i, v) })
		}
	}
	for _, k := range keys {
		if b, ok := model[k]; ok {
			check(fmt.Sprintf("$%d\r\n%s\r\n", len(b), b), "GET", k)
		}
	}
}

// bitOpModel computes BITOP byte by byte, from how many strings have a bit.
func bitOpModel(op bitmap.BitOp, n int, src []string, model map[string][]byte) []byte {
	out := make([]byte, n)
	at := func(key string, i int) byte {
		if b := model[key]; i < len(b) {
			return b[i]
		}
		return 0
	}
	for i := range out {
		first := at(src[0], i)
		all, any, odd, once, twice := first, first, first, first, byte(0)
		others := byte(0)
		for _, key := range src[1:] {
			b := at(key, i)
			all &= b
			any |= b
			odd ^= b
			others |= b
			twice |= once & b
			once |= b
		}
		out[i] = [...]byte{all, any, odd, ^first, first &^ others, others &^ first, first & others, any &^ twice}[op]
	}
	return out
}

// fieldModel runs one operation of BITFIELD and computes with big numbers what
// it must reply and leave.
func fieldModel(t *testing.T, s *commandtest.Server, k string, f *bitmap.FieldOp, b []byte, bit func([]byte, int) int, put func(i, v int)) {
	t.Helper()
	sign := "u"
	if f.Signed {
		sign = "i"
	}
	width := int(f.Width)
	old := new(big.Int)
	for i := range width {
		old.Lsh(old, 1).Add(old, big.NewInt(int64(bit(b, int(f.Offset)+i))))
	}
	modulus := new(big.Int).Lsh(big.NewInt(1), uint(width))
	low, high := new(big.Int), new(big.Int).Sub(modulus, big.NewInt(1))
	if f.Signed {
		half := new(big.Int).Rsh(modulus, 1)
		low, high = new(big.Int).Neg(half), new(big.Int).Sub(half, big.NewInt(1))
		if old.Cmp(high) > 0 {
			old.Sub(old, modulus)
		}
	}
	words := []string{"BITFIELD", k, "OVERFLOW", map[byte]string{'w': "WRAP", 's': "SAT", 'f': "FAIL"}[f.Overflow]}
	typ, off := sign+strconv.Itoa(width), strconv.FormatInt(f.Offset, 10)
	if f.Kind == 'g' {
		words = append(words, "GET", typ, off)
		if got, want := s.Do(words...), fmt.Sprintf("*1\r\n:%v\r\n", old); got != want {
			t.Fatalf("%q: %q, want %q", words, got, want)
		}
		return
	}
	put(int(f.Offset)+width-1, bit(b, int(f.Offset)+width-1)) // it grows in any case
	value := big.NewInt(f.Arg)
	if f.Kind == 'i' {
		words = append(words, "INCRBY", typ, off, strconv.FormatInt(f.Arg, 10))
		value.Add(value, old)
	} else {
		words = append(words, "SET", typ, off, strconv.FormatInt(f.Arg, 10))
		if !f.Signed && f.Arg < 0 {
			value.SetUint64(uint64(f.Arg))
		}
	}
	failed := false
	if c, d := value.Cmp(low) < 0, value.Cmp(high) > 0; c || d {
		// Redis's quirk: further below the range than an int64 can tell.
		if f.Kind == 's' && f.Signed && !new(big.Int).Sub(high, value).IsInt64() {
			c = false
		}
		switch {
		case f.Overflow == 'f':
			failed = true
		case f.Overflow == 's' && c:
			value = low
		case f.Overflow == 's':
			value = high
		default:
			value.Mod(value, modulus)
			if value.Cmp(high) > 0 {
				value.Sub(value, modulus)
			}
		}
	}
	want := fmt.Sprintf("*1\r\n:%v\r\n", value)
	if failed {
		want = "*1\r\n$-1\r\n"
	} else if f.Kind == 's' {
		want = fmt.Sprintf("*1\r\n:%v\r\n", old)
	}
	if got := s.Do(words...); got != want {
		t.Fatalf("%q (old %v): %q, want %q", words, old, got, want)
	}
	if !failed {
		u := new(big.Int).Mod(value, modulus)
		for i := range width {
			put(int(f.Offset)+i, int(u.Bit(width-1-i)))
		}
	}
}

func TestBitField(t *testing.T) {
	s := commandtest.NewFixed(t)
	s.PutList("l")
	const badType = "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.\n"
	s.Play([]commandtest.Step{
		{"BITFIELD a", "*0\n", ""},
		{"BITFIELD a GET u8 0", "*1\n:0\n", ""},
		{"BITFIELD a SET u8 0 255 GET i8 0 INCRBY u8 #1 300", "*3\n:0\n:-1\n:44\n", "BITFIELD a SET u8 0 255 GET i8 0 INCRBY u8 #1 300"},
		{"BITFIELD a SET u8 0 255", "*1\n:255\n", ""},
		{"BITFIELD a OVERFLOW SAT INCRBY u8 0 1 OVERFLOW FAIL INCRBY u8 0 1", "*2\n:255\n$-1\n", ""},
		{"BITFIELD a INCRBY u8 0 1", "*1\n:0\n", "BITFIELD a INCRBY u8 0 1"},
		{"BITFIELD grown OVERFLOW FAIL INCRBY u2 8 9", "*1\n$-1\n", "BITFIELD grown OVERFLOW FAIL INCRBY u2 8 9"},
		{"STRLEN grown", ":2\n", ""},
		{"BITFIELD b OVERFLOW SAT SET i8 0 -300 GET i8 0 SET i8 0 -9223372036854775808 GET i8 0", "*4\n:0\n:-128\n:-128\n:127\n",
			"BITFIELD b OVERFLOW SAT SET i8 0 -300 GET i8 0 SET i8 0 -9223372036854775808 GET i8 0"},
		{"BITFIELD a GET u64 0", badType, ""},
		{"BITFIELD a GET i65 0", badType, ""},
		{"BITFIELD a GET x8 0", badType, ""},
		{"BITFIELD a GET u8 -1", "-ERR bit offset is not an integer or out of range\n", ""},
		{"BITFIELD a GET u8 #9223372036854775807", "-ERR bit offset is not an integer or out of range\n", ""},
		{"BITFIELD a SET u8 0 x", "-ERR value is not an integer or out of range\n", ""},
		{"BITFIELD a OVERFLOW NOPE", "-ERR Invalid OVERFLOW type specified\n", ""},
		{"BITFIELD a GET u8", "-ERR syntax error\n", ""},
		{"BITFIELD a NOPE", "-ERR syntax error\n", ""},
		{"BITFIELD l SET u8 0 1", commandtest.WrongTypeReply, ""},
		{"BITFIELD_RO a GET u8 8 GET u4 8", "*2\n:44\n:2\n", ""},
		{"BITFIELD_RO none GET u8 8", "*1\n:0\n", ""},
		{"BITFIELD_RO a SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand\n", ""},
		{"BITFIELD_RO l GET u8 0", commandtest.WrongTypeReply, ""},
	})
	s.Run("SET i 12 EX 100")
	s.Want("BITFIELD i SET u8 8 51", "*1\n:50\n")
	s.Want("GET i", "$2\n13\n")
	s.WantEntry("i", types.EncRaw, commandtest.FixedNow+100000)
}

// TestWordLoops: a mistake in the eight-byte loops would show at their edges.
func TestWordLoops(t *testing.T) {
	v := command.StringValue{B: []byte(strings.Repeat("\x00", 70) + "\x10" + strings.Repeat("\xff", 70))}
	for off := range 70 {
		for to := 72; to < 141; to++ {
			want := int64(1 + 8*(to-71))
			if got := bitmap.Ones(v, off, to); got != want {
				t.Fatalf("%d ones in [%d, %d), want %d", got, off, to, want)
			}
		}
		if got := bitmap.FindBit(v, true, int64(off)*8, 141*8); got != 70*8+3 {
			t.Fatalf("first set bit from byte %d: %d", off, got)
		}
		if got := bitmap.FindBit(v, false, int64(71+off)*8, 141*8); got != -1 {
			t.Fatalf("first clear bit from byte %d: %d", 71+off, got)
		}
	}
	if bits.OnesCount8(v.ByteAt(70)) != 1 || v.ByteAt(1000) != 0 {
		t.Error("byteAt")
	}
}
