package lua

import (
	"bufio"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cjson, cmsgpack, struct and bit beside those of redis-server.

var libraryCalls = flag.Int("library-calls", 2000, "how many random calls of each of cjson, cmsgpack, struct and bit are held against redis-server")

//go:embed testdata/libraries.lua
var librariesSource string

// redisServer starts a redis-server on a socket of its own and returns a connection. The
// test is skipped where redis-server is missing.
func redisServer(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 200 {
		if c, err := net.Dial("unix", socket); err == nil {
			t.Cleanup(func() { c.Close() })
			return c, bufio.NewReaderSize(c, 1<<20)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("redis-server does not listen")
	return nil, nil
}

// redisBatch runs the programs in one EVAL.
func redisBatch(t *testing.T, c net.Conn, r *bufio.Reader, programs []string) []string {
	t.Helper()
	var b strings.Builder
	args := append([]string{"EVAL", librariesSource, "0"}, programs...)
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		t.Fatal(err)
	}
	line := func() string {
		s, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimRight(s, "\r\n")
	}
	head := line()
	if head[0] != '*' {
		t.Fatalf("redis-server: %s", head)
	}
	n, _ := strconv.Atoi(head[1:])
	results := make([]string, n)
	for i := range results {
		size, _ := strconv.Atoi(line()[1:])
		body := make([]byte, size+2)
		if _, err := io.ReadFull(r, body); err != nil {
			t.Fatal(err)
		}
		results[i] = string(body[:size])
	}
	return results
}

// libraryBatch runs the programs in our machine.
func libraryBatch(t *testing.T, programs []string) []string {
	t.Helper()
	p, err := Compile(librariesSource, "=driver")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Memory: 1 << 30})
	argv := &Table{}
	for i, p := range programs {
		if err := s.RawSetInt(argv, i+1, String(p)); err != nil {
			t.Fatal(err)
		}
	}
	s.Globals().Embed("ARGV", argv.Value())
	results, err := s.Run(p)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]string, len(programs))
	for i := range list {
		list[i] = results[0].Table().GetInt(i + 1).Str()
	}
	return list
}

// A callWriter writes one random call of a library.
type callWriter struct{ r *rand.Rand }

func (g callWriter) pick(s ...string) string { return s[g.r.IntN(len(s))] }

func (g callWriter) chance(percent int) bool { return g.r.IntN(100) < percent }

// quoted is a Lua string of the bytes.
func quotedLua(b []byte) string {
	var s strings.Builder
	s.WriteByte('"')
	for _, c := range b {
		if c >= ' ' && c < 127 && c != '"' && c != '\\' {
			s.WriteByte(c)
		} else {
			fmt.Fprintf(&s, "\\%03d", c)
		}
	}
	s.WriteByte('"')
	return s.String()
}

func (g callWriter) number() string {
	switch g.r.IntN(9) {
	case 0:
		return g.pick("0", "-0", "0.5", "1e15", "1e100", "2^53", "2^53+1", "-2^53", "2^63", "2^64", "-2^63", "1/0", "-1/0", "0/0", "1e14", "127", "128", "255", "256",
			"65535", "65536", "-32", "-33", "-128", "-129", "-32768", "-32769", "2^31", "2^32", "-2^31", "-2^31-1", "2^32-1", "0.1", "1/3", "3.4e38", "1e39", "1e-40", "99999999999999", "1.5")
	case 1:
		f := math.Float64frombits(g.r.Uint64())
		if f != f || math.IsInf(f, 0) {
			f = 1
		}
		return "tonumber('" + strconv.FormatFloat(f, 'g', 17, 64) + "')"
	case 2:
		return strconv.FormatFloat(g.r.NormFloat64()*1000, 'g', 6, 64)
	case 3:
		return strconv.FormatInt(g.r.Int64()>>g.r.IntN(64), 10)
	}
	return strconv.Itoa(g.r.IntN(300) - 100)
}

func (g callWriter) text() string {
	switch g.r.IntN(6) {
	case 0:
		b := make([]byte, g.r.IntN(40))
		for i := range b {
			b[i] = byte(g.r.Uint32())
		}
		return quotedLua(b)
	case 1:
		return fmt.Sprintf("('x'):rep(%d)", g.pick0(0, 1, 31, 32, 33, 255, 256, 257, 65535, 65536, 100))
	}
	return g.pick(`""`, `"a"`, `"hello"`, `"10"`, `"1e3"`, `"a/b\"c\\d"`, `"\n\r\t\b\f\0\1\127\200"`, `"é"`, `"null"`, `" 5 "`)
}

func (g callWriter) pick0(n ...int) int { return n[g.r.IntN(len(n))] }

// value is a value to encode. Tables have one field at most beside the array: the order of
// fields is not the same everywhere.
func (g callWriter) value(depth int) string {
	k := g.r.IntN(12)
	if depth <= 0 && k >= 7 {
		k = g.r.IntN(7)
	}
	switch k {
	case 0:
		return g.pick("nil", "true", "false", "cjson.null", "type", "true", "tostring")
	case 1, 2, 3:
		return g.number()
	case 4, 5, 6:
		return g.text()
	case 7:
		return "{" + g.pick("x", "['']", "['a b']", "[10]", "[1.5]", "[-1]", "[0]", "[2]", "[100]", "[11]", "[1e10]", "[2^31]", "[true]", "[2^53]", "[{}]") + "=" + g.value(depth-1) + "}"
	}
	var parts []string
	for range g.r.IntN(g.pick0(3, 5, 20)) {
		parts = append(parts, g.value(depth-1))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (g callWriter) json(depth int) string {
	space := func() string { return g.pick("", "", "", " ", "\n", "\t ", "\r") }
	k := g.r.IntN(9)
	if depth <= 0 && k >= 6 {
		k = g.r.IntN(6)
	}
	switch k {
	case 0:
		return g.pick("null", "true", "false", "nul", "tru", "nan", "NaN", "inf", "Infinity", "-inf", "-nan", "+1", "0x1F", "01", "-", "1.", ".5", "1e", "-0", "1e400", "nil", "TRUE", "'a'", "", "\x00", "1 2", "-x", "infinite")
	case 1, 2:
		return g.pick("0", "1", "-1", "10", "1.5", "1e3", "-2.5E-3", "123456789012345678", "9007199254740993", "0.1", "1E+2", strconv.Itoa(g.r.IntN(1e6)), strconv.FormatFloat(g.r.NormFloat64(), 'g', -1, 64))
	case 3, 4, 5:
		var b strings.Builder
		b.WriteString("\"")
		for range g.r.IntN(6) {
			b.WriteString(g.pick("a", "key", " ", `\n`, `\"`, `\\`, `\/`, `\b`, `\f`, `\r`, `\t`, `\u0041`, `\u00e9`, `\u20ac`, `\ud83d\ude00`, `\ud83d`, `\udc00`, `\u12`, `\x`, "é", "\x01", "\x00", `\u0000`, `\uD800\u0041`, `\uZZZZ`, "\xff"))
			if g.chance(60) {
				b.WriteString("z")
			}
		}
		b.WriteString("\"")
		return b.String()
	case 6:
		var parts []string
		for range g.r.IntN(5) {
			key := `"` + g.pick("a", "b", "key", "", "x y", "1") + `"`
			if g.chance(3) {
				key = g.json(0)
			}
			parts = append(parts, space()+key+space()+":"+space()+g.json(depth-1)+space())
		}
		return "{" + strings.Join(parts, ",") + g.pick("", "", "", "", space()) + "}"
	}
	var parts []string
	for range g.r.IntN(6) {
		parts = append(parts, space()+g.json(depth-1)+space())
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// spoil changes a few bytes, now and then.
func (g callWriter) spoil(b []byte) []byte {
	for g.chance(20) && len(b) > 0 {
		i := g.r.IntN(len(b))
		switch g.r.IntN(3) {
		case 0:
			b[i] = byte(g.r.Uint32())
		case 1:
			b = b[:i]
		case 2:
			b = append(b[:i:i], b[min(len(b), i+1+g.r.IntN(3)):]...)
		}
	}
	return b
}

func (g callWriter) cjson() string {
	var set strings.Builder
	set.WriteString("local c=cjson.new() ")
	for g.chance(35) {
		fmt.Fprintf(&set, "c.%s(%s) ", g.pick("encode_sparse_array", "encode_max_depth", "decode_max_depth", "encode_number_precision", "encode_keep_buffer", "encode_invalid_numbers", "decode_invalid_numbers"),
			g.pick("", "true", "false", "'on'", "'off'", "'null'", "1", "2", "3", "14", "15", "0", "nil", "true,1,2", "true,0", "'x'", "{}", "1.5", "true,3,4", "-1", "false,2,3,4"))
	}
	if g.chance(10) {
		return "local c=cjson.new() return c." + g.pick("encode_sparse_array", "encode_max_depth", "decode_max_depth", "encode_number_precision", "encode_keep_buffer", "encode_invalid_numbers", "decode_invalid_numbers", "encode", "decode") +
			"(" + g.pick("", "true", "false", "'on'", "'off'", "'null'", "1", "14", "15", "0", "nil", "true,1,2", "'x'", "{}", "1.5", "1,2", "false,2,3,4", "true,'a'", "true,nil,'5'") + ")"
	}
	if g.chance(50) {
		return set.String() + "return c.encode(" + g.value(3) + ")"
	}
	return set.String() + "return c.decode(" + quotedLua(g.spoil([]byte(g.json(4)))) + ")"
}

// packed is MessagePack of something.
func (g callWriter) packed(depth int) []byte {
	b := func(n int) []byte {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(g.r.Uint32())
		}
		return p
	}
	k := g.r.IntN(14)
	if depth <= 0 && k >= 10 {
		k = g.r.IntN(10)
	}
	switch k {
	case 0:
		return b(1)
	case 1:
		return []byte{byte(g.pick0(0xc0, 0xc2, 0xc3, 0xc1, 0x7f, 0xe0, 0xff, 0, 0xc4, 0xd4))}
	case 2, 3:
		i := g.r.IntN(4)
		return append([]byte{byte(0xcc + i)}, b(1<<i)...)
	case 4, 5:
		i := g.r.IntN(4)
		return append([]byte{byte(0xd0 + i)}, b(1<<i)...)
	case 6:
		i := g.r.IntN(2)
		p := b(4 << i)
		p[0] &= 0xbf // finite
		return append([]byte{byte(0xca + i)}, p...)
	case 7, 8:
		n := g.r.IntN(32)
		return append([]byte{byte(0xa0 + n)}, b(n)...)
	case 9:
		n := g.r.IntN(60)
		switch g.r.IntN(3) {
		case 0:
			return append([]byte{0xd9, byte(n)}, b(n)...)
		case 1:
			return append([]byte{0xda, 0, byte(n)}, b(n)...)
		}
		return append([]byte{0xdb, 0, 0, 0, byte(n)}, b(n)...)
	}
	n := g.r.IntN(5)
	var p []byte
	fields := g.chance(50)
	switch {
	case fields && g.chance(70):
		p = []byte{byte(0x80 + n)}
	case fields && g.chance(50):
		p = []byte{0xde, 0, byte(n)}
	case fields:
		p = []byte{0xdf, 0, 0, 0, byte(n)}
	case g.chance(70):
		p = []byte{byte(0x90 + n)}
	case g.chance(50):
		p = []byte{0xdc, 0, byte(n)}
	default:
		p = []byte{0xdd, 0, 0, 0, byte(n)}
	}
	for i := range n {
		if fields { // a key that differs from the others and is no table
			p = append(p, 0xa1, byte('a'+i))
		}
		p = append(p, g.packed(depth-1)...)
	}
	return p
}

func (g callWriter) cmsgpack() string {
	if g.chance(50) {
		var parts []string
		for range g.pick0(0, 1, 1, 1, 1, 2, 3) {
			parts = append(parts, g.value(3))
		}
		return "return cmsgpack.pack(" + strings.Join(parts, ",") + ")"
	}
	var b []byte
	for range 1 + g.r.IntN(3) {
		b = append(b, g.packed(3)...)
	}
	s := quotedLua(g.spoil(b))
	switch g.r.IntN(4) {
	case 0:
		return "return cmsgpack.unpack_one(" + s + g.pick("", ",0", ",1", ",5", ",100", ",-1", ",'2'", ",{}") + ")"
	case 1:
		return "return cmsgpack.unpack_limit(" + s + g.pick(",1", ",2", ",0", ",-1", ",1,1", ",2,3", ",0,1", "", ",'a'", ",100,0") + ")"
	}
	return "return cmsgpack.unpack(" + g.pick(s, s, s, s, s, s, s, "nil", "5", "{}", "") + ")"
}

func (g callWriter) format() string {
	var b strings.Builder
	for range 1 + g.r.IntN(6) {
		b.WriteString(g.pick("b", "B", "h", "H", "l", "L", "T", "i", "I", "i1", "i2", "i3", "I4", "i8", "I7", "i9", "I16", "i32", "i33", "f", "d", "s", "c", "c0", "c3", "Bc0", "x", ">", "<", "!", "!4", "!3", "!8", "!16", " ", "z", "i0", "c5", "=", "99999999999", "c2147483648"))
	}
	return b.String()
}

func (g callWriter) structs() string {
	f := g.format()
	if g.chance(5) {
		return "return struct." + g.pick("pack", "unpack", "size") + "(" + g.pick("", "nil", "{}", "5", "'i'", "'i',{}", "'i','x'", "'s',5", "'i','abcd',0", "'i','abcd',-1", "'c0','abc'", "'Bc0','\\005abc'") + ")"
	}
	switch g.r.IntN(5) {
	case 0:
		return "return struct.size(" + quotedLua([]byte(f)) + ")"
	case 1, 2:
		var b strings.Builder
		for i := range f {
			switch c := f[i]; {
			case c == 's' || c == 'c':
				b.WriteString("," + g.text())
			case strings.IndexByte("bBhHlLTiIfd", c) >= 0:
				b.WriteString("," + g.number())
			}
		}
		args := b.String()
		if g.chance(10) {
			args += ",nil"
		}
		if g.chance(10) && len(args) > 1 {
			args = args[:strings.LastIndexByte(args, ',')]
			if strings.Count(args, "(") != strings.Count(args, ")") || strings.Count(args, `"`)%2 == 1 {
				args = ""
			}
		}
		return "return struct.pack(" + quotedLua([]byte(f)) + args + ")"
	}
	b := make([]byte, g.r.IntN(60))
	for i := range b {
		b[i] = byte(g.r.Uint32())
		if g.chance(20) {
			b[i] = 0
		}
	}
	return "return struct.unpack(" + quotedLua([]byte(f)) + "," + quotedLua(b) + g.pick("", "", "", ",1", ",2", ",5", ",0", ",-1", ",100", ",'3'", ",1.7") + ")"
}

func (g callWriter) bit() string {
	n := g.pick0(1, 1, 2, 2, 2, 3, 0)
	var parts []string
	for range n {
		if g.chance(8) {
			parts = append(parts, g.pick("nil", "{}", "'a'", "'10'", "true", "'0xff'"))
		} else {
			parts = append(parts, g.number())
		}
	}
	return "return bit." + g.pick("tobit", "bnot", "band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror", "bswap", "tohex") + "(" + strings.Join(parts, ",") + ")"
}

func TestLibrariesAsRedis(t *testing.T) {
	c, r := redisServer(t)
	for _, lib := range []struct {
		name  string
		write func(callWriter) string
	}{{"cjson", callWriter.cjson}, {"cmsgpack", callWriter.cmsgpack}, {"struct", callWriter.structs}, {"bit", callWriter.bit}} {
		t.Run(lib.name, func(t *testing.T) {
			g := callWriter{rand.New(rand.NewPCG(*randomSeed, 5))}
			bad, failed := 0, 0
			for done := 0; done < *libraryCalls && bad < 15; {
				programs := make([]string, min(400, *libraryCalls-done))
				for i := range programs {
					programs[i] = lib.write(g)
				}
				done += len(programs)
				ours := libraryBatch(t, programs)
				for i, want := range redisBatch(t, c, r, programs) {
					if strings.HasPrefix(want, "error ") {
						failed++
					}
					if ours[i] != want && bad < 15 {
						bad++
						t.Errorf("%s\n got %s\nwant %s", programs[i], ours[i], want)
					}
				}
			}
			t.Logf("%d calls, %d of them errors", *libraryCalls, failed)
		})
	}
}

// TestCjsonArrayMetatable holds what Redis 8.4 adds: decoded empty arrays that are encoded
// as arrays again, where a script asks for it.
func TestCjsonArrayMetatable(t *testing.T) {
	s := New(Options{})
	freeze(s.Globals())
	for _, c := range []struct{ program, want string }{
		{"return cjson.encode(cjson.decode('[]'))", "{}"},
		{"return tostring(getmetatable(cjson.decode('[]')))", "nil"},
		{"return tostring(cjson.decode_array_with_array_mt())", "false"},
		{"return tostring(cjson.decode_array_with_array_mt(true))", "true"},
		{"return cjson.encode(cjson.decode('[]'))", "[]"},
		{"return cjson.encode(cjson.decode('{\"a\":[],\"b\":{}}').a)", "[]"},
		{"return cjson.encode(cjson.decode('{\"a\":[[],[1]]}'))", `{"a":[[],[1]]}`},
		{"return cjson.encode(cjson.decode('{}'))", "{}"},
		{"return tostring(getmetatable(cjson.decode('[1]')))", "nil"},
		{"return tostring(getmetatable(cjson.decode('[]')).__is_cjson_array)", "true"},
		{"return tostring(getmetatable(cjson.decode('[]')) == getmetatable(cjson.decode('[]')))", "true"},
		{"return tostring(pcall(function() getmetatable(cjson.decode('[]')).x = 1 end))", "false"},
		{"local a = cjson.decode('[]') a[1] = 'x' return cjson.encode(a)", `["x"]`},
		{"local a = cjson.decode('[]') a.k = 'x' return cjson.encode(a)", `{"k":"x"}`},
		{"return cjson.encode(setmetatable({}, {__is_cjson_array = true}))", "[]"},
		{"return cjson.encode(setmetatable({}, {__is_cjson_array = false}))", "{}"},
		{"return cjson.encode({})", "{}"},
		{"return tostring(cjson.decode_array_with_array_mt(false))", "false"},
		{"return cjson.encode(cjson.decode('[]'))", "{}"},
		{"local a = cjson.new() a.decode_array_with_array_mt(true) return a.encode(a.decode('[]')) .. cjson.encode(cjson.decode('[]'))", "[]{}"},
		{"return select(2, pcall(cjson.decode_array_with_array_mt, 1))", "bad argument #1 to '?' (invalid option '1')"},
		{"return select(2, pcall(cjson.decode_array_with_array_mt, true, false))", "bad argument #2 to '?' (found too many arguments)"},
		// What null looks like.
		{"return tostring(cjson.null)", "userdata: (nil)"},
		{"return type(cjson.null)", "userdata"},
		{"return tostring(cjson.decode('[null]')[1] == cjson.null)", "true"},
		{"return cjson.encode({cjson.null, cjson.decode('null')})", "[null,null]"},
		{"return string.format('%s', tostring(cjson.null))", "userdata: (nil)"},
	} {
		got, err := evalOn(t, s, c.program)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.program, got, err, c.want)
		}
	}
}
