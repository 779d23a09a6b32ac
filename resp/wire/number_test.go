package wire

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

const notFloat = "-ERR value is not a valid float\r\n"
const notInt = "-ERR value is not an integer or out of range\r\n"

func TestParseInt(t *testing.T) {
	addr := startRedis(t)
	c := newClient(t, addr)
	texts := []string{"", "0", "1", "9", "10", "-1", "-0", "-", "+1", "01", "-01", "00", " 1", "1 ", "1x", "x", ":", "1:", "1.0", "1e1", "0x1", "1\x00", "\x00",
		"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
		"99999999999999999999", "-99999999999999999999", "999999999999999999", "9999999999999999999", "123456789012345678901", "-1234567890123456789", "--1", "\xb1"}
	for _, s := range texts {
		// The value is the object here: INCRBY by 0 reads it.
		c.do("SET", "k", s)
		got := notInt
		if n, ok := ParseInt([]byte(s)); ok {
			got = fmt.Sprintf(":%d\r\n", n)
		}
		if want := c.do("INCRBY", "k", "0"); got != want {
			t.Errorf("%q: %q, Redis %q", s, got, want)
		}
	}
}

// floatTexts are numbers, near-numbers and not-numbers.
var floatTexts = []string{
	"", "0", "-0", "+0", "1", "+1", "-1", "1.", ".5", "-.5", ".", "-", "+", "-.", "1e5", "1E5", "1e+5", "1e-5", "1e", "1e+", "1e-", "e5", ".e5", "1.e5", "1ee5", "1e5.0",
	" 1", "1 ", "\t1", "\v1", "1\n", "1\x00", "\x001", "1x", "1,5", "1_000", "0x_1p3", "--1", "+-1",
	"inf", "-inf", "+inf", "INF", "Infinity", "-INFINITY", "infinit", "infinityx", "in", "i", "nan", "-nan", "NaN", "nan(1)", "nan(", "NAN()",
	"0x", "0x1", "0X1F", "-0x1f", "0x.8", "0x1.8", "0x1.", "0x.", "0x1p4", "0x1P-4", "0x1p", "0x1p+", "0xg", "0x1.8p1x", "0x1e5", "0b1", "0o7", "0x00000f.8", "0x.001", "0x80000000000000008000000000000000", "0x800000000000000080000000000000000000", "0x800000000000000080000000000000000001", "18446744073709551617.", "18446744073709551617." + strings.Repeat("0", 50) + "1", "1" + strings.Repeat("0", 900) + "e-900", "1" + strings.Repeat("0", 900) + "1e-901", "9007199254740993." + strings.Repeat("0", 900) + "1", "9007199254740993." + strings.Repeat("0", 900), "0x1" + strings.Repeat("0", 30000) + "p-120000", "1" + strings.Repeat("0", 120000) + "e-120000", "." + strings.Repeat("0", 120000) + "1e120001", "-1" + strings.Repeat("0", 1000) + "e-990", "017", "00012", "0x0", "0x0p99999999999",
	"0x1.ffffffffffffffffffffffffffffp10", "0x1ffffffffffffffffffffffffffffffffff", "0x10000000000000008000000000000000000000000000000", "0x10000000000000008000000000000000000000000000001",
	"0x1p1023", "0x1p1024", "0x1p-1074", "0x1p-1075", "0x1p-1076", "0x1.8p-1075", "0x1p16383", "0x1p16384", "0x1p-16445", "0x1p-16446", "0x1.000001p-16446", "0x1p-16447", "0x1.ffffffffffffffffp16383",
	"1e308", "1.7976931348623157e308", "1.7976931348623159e308", "1e309", "-1e309", "1e-308", "5e-324", "2e-324", "3e-324", "1e-400", "-1e-400", "1e400",
	"1e4932", "1.18973149535723176502e4932", "1.18973149535723176509e4932", "1e4933", "-1e4933", "1e5000", "1e99999999999999999999", "1e-99999999999999999999", "0e99999999999999999999", "0e-99999999999999999999",
	"3.6451995318824746025e-4951", "1.9e-4951", "1.82259976594123730126e-4951", "1.82259976594123730128e-4951", "1.8e-4951", "1e-4951", "1e-4952",
	"9007199254740993", "9007199254740992.5", "18446744073709551615", "18446744073709551616", "36893488147419103231", "36893488147419103233", "3.14159265358979323846264338327950288", "0.1", "0.2", "0.3", "1e-17", "5e-18", "4.9e-18", "5.1e-18", "1.5e-17", "2.5e-17",
	strings.Repeat("1", 5119), strings.Repeat("1", 5120), strings.Repeat("0", 5118) + "7", strings.Repeat("0", 5119) + "7", "." + strings.Repeat("0", 4940) + "1", "." + strings.Repeat("0", 5000) + "1e5000", strings.Repeat("9", 4932), strings.Repeat("9", 4933), "0." + strings.Repeat("9", 3000), "1" + strings.Repeat("0", 4900) + "e-4900",
	strings.Repeat("1", 309), strings.Repeat("1", 310), strings.Repeat("0", 4900) + "x", "0x" + strings.Repeat("f", 256), "0x" + strings.Repeat("f", 257),
}

// ZADD and ZSCORE read and print doubles.
func TestDoubleLikeRedis(t *testing.T) {
	addr := startRedis(t)
	c := newClient(t, addr)
	for _, s := range floatTexts {
		w := Writer{Proto: 2}
		if f, ok := ParseDouble([]byte(s)); ok {
			w.Double(f + 0) // Redis keeps "-0" as 0 in a small sorted set
		} else {
			w.Error("ERR value is not a valid float")
		}
		c.do("DEL", "z")
		want := c.do("ZADD", "z", s, "m")
		if want == ":1\r\n" {
			want = shortest(t, 2, c.do("ZSCORE", "z", "m"))
		}
		if got := string(w.Buf); got != want {
			t.Errorf("%.60q: %q, Redis %q", s, got, want)
		}
	}

	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	const n = 20000
	c.do("CONFIG", "SET", "zset-max-listpack-entries", "0") // which would lose the sign of -0
	floats := []float64{0, math.Copysign(0, -1), 1, -1, 3, 0.1, 1e-7, 1e-5, 1e-4, 0.00012345, 1e15, 1e16, 1e17, 99999999999999984, -1e17, 123456789012345678, 1e21, 1e22, 5e-324, math.MaxFloat64, math.Inf(1), math.Inf(-1), 1.5, 100000, 1 << 53, 1e100, math.Pi}
	for len(floats) < n {
		f := math.Float64frombits(r.Uint64())
		switch r.IntN(4) {
		case 0:
			f = r.NormFloat64() * math.Pow(10, float64(r.IntN(40)-20))
		case 1:
			f = float64(r.Int64N(1e7)) / math.Pow(10, float64(r.IntN(8)))
		case 2:
			f = math.Trunc(r.NormFloat64() * math.Pow(10, float64(r.IntN(20))))
		}
		if f == f {
			floats = append(floats, f)
		}
	}
	for i, f := range floats {
		c.send("ZADD", "zz", strconv.FormatFloat(f, 'g', -1, 64), strconv.Itoa(i))
	}
	for range floats {
		if got := c.reply(); got != ":1\r\n" {
			t.Fatal(got)
		}
	}
	for _, proto := range []int{2, 3} {
		c.send("HELLO", strconv.Itoa(proto))
		c.send("ECHO", "sentinel")
		for !strings.Contains(c.reply(), "sentinel") {
		}
		for i := range floats {
			c.send("ZSCORE", "zz", strconv.Itoa(i))
		}
		for _, f := range floats {
			w := Writer{Proto: proto}
			w.Double(f)
			if want := shortest(t, proto, c.reply()); string(w.Buf) != want {
				t.Fatalf("seed %d: %v: %q, Redis %q", seed, f, w.Buf, want)
			}
		}
	}
}

// shortest is a reply of Redis 7.0 with a score, as later versions print it.
func shortest(t *testing.T, proto int, reply string) string {
	t.Helper()
	text := strings.TrimSuffix(reply, "\r\n")
	if proto == 2 {
		_, text, _ = strings.Cut(text, "\r\n")
	} else {
		text = strings.TrimPrefix(text, ",")
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("%q: %v", reply, err)
	}
	w := Writer{Proto: proto}
	w.Double(f)
	// Other digits than these would be another number, or more than are needed.
	if got := strconv.FormatFloat(f, 'g', 17, 64); !math.IsInf(f, 0) && got != text && strings.ContainsAny(text, ".e") {
		t.Fatalf("%q is read as %s", reply, got)
	}
	return string(w.Buf)
}

// TestAppendFloat: the forms of fpconv, which Redis prints scores with since 7.2.
func TestAppendFloat(t *testing.T) {
	for f, want := range map[float64]string{
		0.1: "0.1", 1: "1", -1: "-1", 1.5: "1.5", -0.5: "-0.5", 3.14159: "3.14159", 100: "100", 123456.789: "123456.789", 2.5e15: "2500000000000000",
		1e16: "10000000000000000", 1e17: "100000000000000000", 1e18: "1000000000000000000", 1 << 62: "4611686018427387904", 1e19: "1e+19", -1e19: "-1e+19",
		9.3e18: "9.3e+18", 12345678901234567890: "12345678901234567000", 1e21: "1e+21", 1e22: "1e+22", 1.5e300: "1.5e+300", math.MaxFloat64: "1.7976931348623157e+308",
		0.01: "0.01", 0.001: "0.001", 0.0001: "0.0001", 0.00001: "0.00001", 0.000001: "0.000001", 0.0000001: "1e-7", 1.5e-6: "1.5e-6", 1.5e-5: "0.000015",
		0.00012345678: "1.2345678e-4", 0.0012345678912: "0.0012345678912", 1e-300: "1e-300", 1.25e-10: "1.25e-10", math.Inf(1): "inf", math.Inf(-1): "-inf",
	} {
		if got := string(AppendFloat(nil, f)); got != want {
			t.Errorf("%v: %q, want %q", f, got, want)
		}
	}
	if got := string(AppendFloat(nil, math.Copysign(0, -1))); got != "-0" {
		t.Errorf("-0: %q", got)
	}
}

func TestAppendFloatNaN(t *testing.T) {
	if s := string(AppendFloat(nil, math.NaN())); s != "nan" {
		t.Error(s)
	}
}

func TestNumbersAllocate(t *testing.T) {
	buf := make([]byte, 0, 100)
	text := []byte("-3.14159265358979")
	if n := testing.AllocsPerRun(100, func() {
		f, _ := ParseDouble(text)
		d, _ := ParseLongDouble(text)
		buf = AppendFloat(buf[:0], f)
		buf = AppendHumanLongDouble(buf, d.Add(d))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// incrByFloat is what INCRBYFLOAT replies.
func incrByFloat(a, b string) string {
	x, ok := ParseLongDouble([]byte(a))
	if !ok {
		return notFloat
	}
	y, ok := ParseLongDouble([]byte(b))
	if !ok {
		return notFloat
	}
	sum := x.Add(y)
	if !sum.IsFinite() {
		return "-ERR increment would produce NaN or Infinity\r\n"
	}
	w := Writer{Proto: 2}
	w.Bulk(AppendHumanLongDouble(nil, sum))
	return string(w.Buf)
}

// randomNumber is the text of a number, of many shapes.
func randomNumber(r *rand.Rand) string {
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = '0' + byte(r.IntN(10))
		}
		return string(b)
	}
	s := []string{"", "-"}[r.IntN(2)]
	switch r.IntN(8) {
	case 0:
		return s + digits(1+r.IntN(22))
	case 1:
		return s + digits(1+r.IntN(4)) + "." + digits(1+r.IntN(4))
	case 2:
		return s + digits(1+r.IntN(20)) + "." + digits(r.IntN(25))
	case 3:
		return s + fmt.Sprintf("%s.%se%d", digits(1), digits(r.IntN(22)), r.IntN(60)-30)
	case 4:
		return s + fmt.Sprintf("%s.%se%d", digits(1), digits(r.IntN(40)), r.IntN(9900)-4950)
	case 5:
		return s + "0x" + strconv.FormatUint(r.Uint64(), 16) + fmt.Sprintf(".%xp%d", r.Uint64(), r.IntN(160)-120)
	case 6: // halves of the last place, where ties are
		return s + new(big.Int).Lsh(big.NewInt(2*r.Int64N(1<<62)+1), uint(r.IntN(6))).String() + []string{"", "5", ".5"}[r.IntN(3)]
	default:
		return s + strconv.FormatFloat(math.Ldexp(float64(r.Int64N(1<<53)), r.IntN(140)-120), 'f', -1, 64)
	}
}

func TestLongDoubleLikeRedis(t *testing.T) {
	addr := startRedis(t)
	c := newClient(t, addr)
	check := func(seed uint64, pairs [][2]string) {
		t.Helper()
		for _, p := range pairs {
			c.send("SET", "k", p[0])
			c.send("INCRBYFLOAT", "k", p[1])
		}
		for _, p := range pairs {
			c.reply()
			want := c.reply()
			if got := incrByFloat(p[0], p[1]); got != want {
				t.Errorf("seed %d: %.80q + %.80q:\n got %.100q\nwant %.100q", seed, p[0], p[1], got, want)
			}
		}
	}
	var pairs [][2]string
	for _, a := range floatTexts {
		for _, b := range []string{"0", "1e-18", "-inf", "1.18973149535723176502e4932", "-1", "0x1p-16445"} {
			pairs = append(pairs, [2]string{a, b}, [2]string{b, a})
		}
	}
	check(0, pairs)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 2))
	for range 20 {
		pairs = pairs[:0]
		for range 1000 {
			a, b := randomNumber(r), randomNumber(r)
			if r.IntN(8) == 0 { // near-cancellation
				b = "-" + strings.TrimPrefix(a, "-")
				if i := strings.IndexAny(b, "123456789"); i > 0 && !strings.Contains(b, "x") {
					b = b[:i] + string('0'+byte(r.IntN(10))) + b[i+1:]
				}
			}
			pairs = append(pairs, [2]string{a, b})
		}
		check(seed, pairs)
		if t.Failed() {
			return
		}
	}
}

// big.Float with 64 bits rounds as a long double does, short of the limits.
func TestLongDoubleLikeBig(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 3))
	toBig := func(d LongDouble) *big.Float {
		f := new(big.Float).SetPrec(64).SetUint64(d.mant)
		f.SetMantExp(f, d.exp)
		if d.neg {
			f.Neg(f)
		}
		return f
	}
	random := func() LongDouble {
		return roundLong(r.IntN(2) == 0, r.Uint64()>>r.IntN(64), r.Uint64()<<r.IntN(64), false, r.IntN(300)-200)
	}
	sparse := func() uint64 { return 1<<63 | r.Uint64N(4)<<r.IntN(62) | r.Uint64N(4) }
	for range 400000 {
		a, b := random(), random()
		if r.IntN(2) == 0 { // a lies near a power of two, and b just about decides how the sum is rounded
			a = LongDouble{sparse(), -63, r.IntN(2) == 0, finite}
			b = LongDouble{sparse(), -63 - 58 - r.IntN(10), r.IntN(2) == 0, finite}
		}
		if r.IntN(4) == 0 {
			b = a
			b.mant ^= uint64(r.IntN(4)) & -(b.mant >> 63)
			if b.mant>>63 == 1 {
				b.exp += r.IntN(3) - 1
			}
			b.neg = b.mant != 0 && r.IntN(2) == 0
		}
		want := new(big.Float).SetPrec(64).Add(toBig(a), toBig(b))
		if got := a.Add(b); toBig(got).Cmp(want) != 0 || got.mant>>63 == 0 && got != (LongDouble{}) {
			t.Fatalf("seed %d: %+v + %+v is %+v", seed, a, b, got)
		}
		// The exact value, rounded to 17 decimals, ties to even.
		text := toBig(a).Text('f', 17)
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		if strings.IndexByte(text, '.') < 0 {
			text = strings.TrimSuffix(toBig(a).Text('f', 17), ".00000000000000000")
		}
		if text == "-0" {
			text = "0"
		}
		if got := string(AppendHumanLongDouble(nil, a)); got != text {
			t.Fatalf("seed %d: %+v prints %s, want %s", seed, a, got, text)
		}
	}
	for range 1000 {
		f := math.Float64frombits(r.Uint64())
		if f == f && !math.IsInf(f, 0) && toBig(LongDoubleFromFloat64(f)).Cmp(big.NewFloat(f)) != 0 {
			t.Fatalf("seed %d: %v", seed, f)
		}
	}
	if !LongDoubleFromFloat64(math.NaN()).IsNaN() || LongDoubleFromFloat64(math.Inf(1)).IsFinite() {
		t.Error("NaN or infinity lost")
	}
}

func FuzzNumbers(f *testing.F) {
	for _, s := range floatTexts {
		if len(s) < 200 {
			f.Add([]byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, ok := ParseInt(b); ok && strconv.FormatInt(n, 10) != string(b) {
			t.Fatalf("%q is %d", b, n)
		} else if !ok {
			if n, err := strconv.ParseInt(string(b), 10, 64); err == nil && strconv.FormatInt(n, 10) == string(b) {
				t.Fatalf("%q is refused", b)
			}
		}
		d, ok := ParseDouble(b)
		if l, lok := ParseLongDouble(b); lok && d != 0 && ok && !math.IsInf(d, 0) && l.neg != (d < 0) {
			t.Fatalf("%q is %v and %+v", b, d, l)
		} else if lok {
			AppendHumanLongDouble(nil, l.Add(l))
		}
		if ok {
			if again, ok := ParseDouble(AppendFloat(nil, d)); !ok || again != d {
				t.Fatalf("%q is %v, printed and read %v", b, d, again)
			}
		}
	})
}
