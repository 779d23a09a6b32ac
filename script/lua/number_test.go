package lua

import (
	"bufio"
	"bytes"
	"flag"
	"math"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

var numberCount = flag.Int("numbers", 100000, "how many random numbers are held against lua5.1")

// lua51 runs a script of Debian's lua5.1 with an input and returns what it printed. The
// test is skipped where lua5.1 is missing.
func lua51(t testing.TB, script string, in []byte) []byte {
	t.Helper()
	path, err := exec.LookPath("lua5.1")
	if err != nil {
		t.Skip("lua5.1 is not installed")
	}
	cmd := exec.Command(path, "-e", script)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("lua5.1: %v\n%s", err, stderr.Bytes())
	}
	return out
}

// someFloat is a random number of one of the shapes that are apt to go wrong.
func someFloat(r *rand.Rand) float64 {
	switch r.IntN(10) {
	case 0:
		return math.Float64frombits(r.Uint64())
	case 1:
		return float64(r.Int64())
	case 2:
		return float64(r.IntN(2000) - 1000)
	case 3:
		return math.Round(r.Float64()*1e6) / 1000
	case 4:
		return r.NormFloat64()
	case 5:
		return math.Pow(10, float64(r.IntN(40)-20)) * float64(1+r.IntN(100))
	case 6: // a tie at some digit
		return float64(r.IntN(1<<30)*2+1) / float64(int64(1)<<r.IntN(40))
	case 7:
		f := math.Pow(2, float64(r.IntN(120)-60))
		return math.Nextafter(f, f*float64(r.IntN(3)))
	case 8:
		return []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), 1e14, 1e15, 1e16, 99999999999999, 999999999999995,
			math.MaxFloat64, math.SmallestNonzeroFloat64, 0.1, 1.0 / 3, 1 << 53, -1 << 63, 1e-5, 1e-4, 123456789012345678}[r.IntN(18)]
	}
	return math.Float64frombits(r.Uint64N(1 << 53)) // subnormal
}

// someNumeral is a text that strtod may or may not take.
func someNumeral(r *rand.Rand) string {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	digits := func(set string, n int) string {
		b := make([]byte, r.IntN(n+1))
		for i := range b {
			b[i] = set[r.IntN(len(set))]
		}
		return string(b)
	}
	space := func() string { return pick("", "", "", "", " ", "\t", "\v ", "\f", "\r") }
	var body string
	switch r.IntN(12) {
	case 0:
		body = pick("inf", "INF", "Infinity", "infinit", "nan", "NaN", "nan(", "nan()", "nan(12_a)", "nan(+)", "na", "in", "0x", "0x.", "x1", ".", "", "e1", "1e", "1e+", "0xp1", "0x1p", "- 1", "--1", "+-1", "1_0", "0b1", "1x")
	case 1, 2:
		body = pick("0x", "0X") + digits("0123456789abcdefABCDEF", 20) + pick("", ".", "."+digits("0123456789abcdef", 20)) +
			pick("", "", "p"+pick("", "-", "+")+digits("0123456789", 4), "P3", "e1")
	case 3:
		body = digits("0123456789", 15)
	case 4:
		body = digits("0123456789", 400) + "." + digits("0123456789", 400) + "e" + pick("-", "") + digits("0123456789", 3)
	case 5:
		body = pick("0.", ".") + strings.Repeat("0", r.IntN(330)) + digits("0123456789", 30) + pick("", "e"+strconv.Itoa(r.IntN(330)))
	case 6:
		body = digits("0123456789", 2) + strings.Repeat("0", r.IntN(330)) + pick("", "e-"+strconv.Itoa(r.IntN(660)))
	case 7: // halfway between two numbers
		f := math.Abs(someFloat(r))
		if f > 1e300 || f < 1e-300 {
			f = 1.5
		}
		body = strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(body, ".") {
			body += "."
		}
		body += digits("5", 1) + digits("0", 20) + digits("1", 1)
	case 8:
		body = strconv.FormatFloat(someFloat(r), 'g', r.IntN(20), 64)
	default:
		body = digits("0123456789", 10) + pick("", ".", "."+digits("0123456789", 20)) + pick("", "", "e"+pick("", "-", "+")+digits("0123456789", 3), "E5")
	}
	return space() + pick("", "", "-", "+") + body + space() + pick("", "", "", "", "z")
}

func TestNumbersAsLua51(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var in bytes.Buffer
	floats := make([]float64, *numberCount)
	for i := range floats {
		for floats[i] = someFloat(r); math.IsNaN(floats[i]); floats[i] = someFloat(r) {
		}
		s := strconv.FormatFloat(floats[i], 'x', -1, 64)
		in.WriteString(strings.TrimPrefix(s, "+") + "\n")
	}
	out := lua51(t, `for l in io.lines() do local n = tonumber(l) io.write(tostring(n), " ", string.format("%.17g", n), "\n") end`, in.Bytes())
	sc := bufio.NewScanner(bytes.NewReader(out))
	for _, f := range floats {
		sc.Scan()
		if got := string(AppendNumber(nil, f)) + " " + string(AppendNumber17(nil, f)); got != sc.Text() {
			t.Fatalf("%x: %s, lua5.1 has %s", f, got, sc.Text())
		}
	}
}

func TestNumeralsAsLua51(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var in bytes.Buffer
	texts := make([]string, *numberCount)
	for i := range texts {
		texts[i] = someNumeral(r)
		in.WriteString(texts[i] + "\n")
	}
	const script = `for l in io.lines() do
		local n = tonumber(l)
		io.write(n and string.format("%.17g", n) or "nil")
		for _, b in ipairs{2, 8, 16, 36} do n = tonumber(l, b) io.write(" ", n and string.format("%.17g", n) or "nil") end
		io.write("\n")
	end`
	out := lua51(t, script, in.Bytes())
	sc := bufio.NewScanner(bytes.NewReader(out))
	text := func(f float64, ok bool) string {
		if !ok {
			return "nil"
		}
		return string(AppendNumber17(nil, f))
	}
	for _, s := range texts {
		sc.Scan()
		got := text(ParseNumber(s))
		for _, base := range []int{2, 8, 16, 36} {
			got += " " + text(ParseBase(s, base))
		}
		if got != sc.Text() {
			t.Fatalf("%q: %s, lua5.1 has %s", s, got, sc.Text())
		}
	}
}

func TestNumbersAllocateNothing(t *testing.T) {
	buf := make([]byte, 0, 64)
	text := "123.456e3"
	if n := testing.AllocsPerRun(100, func() {
		buf = AppendNumber(buf[:0], 0.1)
		buf = AppendNumber17(buf[:0], 1.0/3)
		if _, ok := ParseNumber(text); !ok {
			t.Fatal("not a number")
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
	if got := string(AppendNumber(nil, math.Float64frombits(0xfff8000000000000))); got != "-nan" {
		t.Fatalf("a negative nan is %s", got)
	}
}
