package types

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// packedRand is a source whose seed the test prints when it fails.
func packedRand(t testing.TB) *rand.Rand {
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

// edgeElems are the values on both sides of every limit of the coding.
func edgeElems() [][]byte {
	ints := []int64{0, 1, -1, 127, 128, -4096, -4097, 4095, 4096, math.MinInt16, math.MinInt16 - 1, math.MaxInt16, math.MaxInt16 + 1,
		-1 << 23, -1<<23 - 1, 1<<23 - 1, 1 << 23, math.MinInt32, math.MinInt32 - 1, math.MaxInt32, math.MaxInt32 + 1, math.MinInt64, math.MaxInt64}
	var all [][]byte
	for _, v := range ints {
		all = append(all, strconv.AppendInt(nil, v, 10))
	}
	for _, s := range []string{"", "-", "-0", "+1", "01", "1 ", " 1", "00", "1.0", "9223372036854775808", "-9223372036854775809",
		"18446744073709551615", "18446744073709551616", "99999999999999999999", "123456789012345678901", "a", "\x00", "-01", "1a", "1/", "1:"} {
		all = append(all, []byte(s))
	}
	for _, n := range []int{20, 21, 62, 63, 64, 65, 125, 126, 127, 128, 4095, 4096, 16375, 16376, 16377, 16378, 16379, 16380, 2097140, 2097145, 2097146, 2097147, 2097150} {
		all = append(all, bytes.Repeat([]byte{'x'}, n))
	}
	return all
}

func randElem(r *rand.Rand) []byte {
	switch r.IntN(6) {
	case 0:
		return strconv.AppendInt(nil, int64(r.IntN(200)-40), 10)
	case 1:
		return strconv.AppendInt(nil, int64(r.Uint64())>>r.IntN(64), 10)
	case 2:
		return bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(300))
	case 3:
		return []byte{byte('a' + r.IntN(3))}
	default:
		b := make([]byte, r.IntN(24))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
}

// checkPacked compares p with the model through every reading method.
func checkPacked(t *testing.T, p Packed, model [][]byte) {
	t.Helper()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	if p.Count() != len(model) {
		t.Fatalf("Count is %d, want %d", p.Count(), len(model))
	}
	size, i := 0, 0
	var offs []int
	for off := p.First(); off >= 0; off = p.Next(off) {
		e := p.At(off)
		if got := e.Append(nil); !bytes.Equal(got, model[i]) || e.Len() != len(got) || !e.Equal(model[i]) {
			t.Fatalf("element %d is %q (length %d), want %q", i, got, e.Len(), model[i])
		}
		if v, ok := ParseInt64(model[i]); ok != e.IsInt() || v != e.I {
			t.Fatalf("element %q: integer %v %d, want %v %d", model[i], e.IsInt(), e.I, ok, v)
		}
		if p.Seek(i) != off || p.Seek(i-len(model)) != off {
			t.Fatalf("Seek(%d), Seek(%d) are %d, %d, want %d", i, i-len(model), p.Seek(i), p.Seek(i-len(model)), off)
		}
		if e2, end := p.AtEnd(off); end != p.EndOf(off) || !e2.Equal(model[i]) {
			t.Fatalf("AtEnd(%d) is %q, %d", off, e2.Append(nil), end)
		}
		if p.EndOf(off)-off != ElemSize(model[i]) {
			t.Fatalf("ElemSize(%q) is %d, not %d", model[i], ElemSize(model[i]), p.EndOf(off)-off)
		}
		offs = append(offs, off)
		size += ElemSize(model[i])
		i++
	}
	if i != len(model) || size != len(p) {
		t.Fatalf("%d elements in %d bytes, want %d in %d", i, size, len(model), len(p))
	}
	for off := p.Last(); off >= 0; off = p.Prev(off) {
		i--
		if offs[i] != off {
			t.Fatalf("backwards: offset of %d is %d, want %d", i, off, offs[i])
		}
	}
	if i != 0 || p.Seek(len(model)) != -1 || p.Seek(-len(model)-1) != -1 {
		t.Fatal("walk backwards or Seek out of range")
	}
}

func TestPackedModel(t *testing.T) {
	r := packedRand(t)
	edges := edgeElems()
	pick := func() []byte {
		if r.IntN(4) == 0 {
			return edges[r.IntN(len(edges)-8)]
		}
		return randElem(r)
	}
	for round := 0; round < 60; round++ {
		var p Packed
		var model [][]byte
		for step := 0; step < 120; step++ {
			b := pick()
			at := 0
			if len(model) > 0 {
				at = r.IntN(len(model))
			}
			off := p.Seek(at)
			switch op := r.IntN(8); {
			case op == 0 || off < 0:
				p, model = p.Append(b), append(model, b)
			case op == 1:
				v := int64(r.Uint64()) >> r.IntN(64)
				p, model = p.AppendInt(v), append(model, strconv.AppendInt(nil, v, 10))
			case op <= 3:
				p, model = p.Insert(off, b), slices.Insert(model, at, b)
			case op == 4:
				p, model = p.Replace(off, b), slices.Replace(model, at, at+1, b)
			case op == 5:
				n := r.IntN(4)
				p, model = p.Delete(off, n), slices.Delete(model, at, min(at+n, len(model)))
			case op == 6:
				p = slices.Clip(p)
			default:
				skip := r.IntN(3)
				if r.IntN(2) == 0 {
					b = model[r.IntN(len(model))]
				}
				want := -1
				for i := at; i < len(model); i += skip + 1 {
					if bytes.Equal(model[i], b) {
						want = p.Seek(i)
						break
					}
				}
				if got := p.Find(b, off, skip); got != want {
					t.Fatalf("Find(%q, %d, %d) is %d, want %d", b, off, skip, got, want)
				}
			}
			checkPacked(t, p, model)
		}
	}
	var p Packed
	for _, b := range edges {
		p = p.Append(b)
	}
	checkPacked(t, p, edges)
	if p.Find([]byte("nope"), p.First(), 0) != -1 || Packed(nil).Find(nil, Packed(nil).First(), 0) != -1 {
		t.Fatal("Find found what is not there")
	}
}

// TestPackedLoose reads codings that are longer than they had to be.
func TestPackedLoose(t *testing.T) {
	p := Packed{0x81, '5', 2, 0xF1, 5, 0, 3, 0xE0, 1, 'a', 3, 0xF0, 1, 0, 0, 0, 'b', 6}
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	for i, s := range []string{"5", "5", "a", "b"} {
		off := p.Seek(i)
		if e := p.At(off); !e.Equal([]byte(s)) || string(e.Append(nil)) != s || p.Find([]byte(s), off, 0) != off {
			t.Errorf("element %d is %q, want %q", i, e.Append(nil), s)
		}
	}
}

// TestPackedCheckRejects has bytes that are wrong in one thing only.
func TestPackedCheckRejects(t *testing.T) {
	bad := map[string]Packed{
		"no length backwards":          {5},
		"wrong length backwards":       {5, 2},
		"length backwards of 0":        {5, 0},
		"bytes cut off":                {0x83, 'a', 'b'},
		"12 bits without the second":   {0xE0},
		"32 bits of length cut off":    {0xF0, 1, 0, 0},
		"32 bits of length, too long":  {0xF0, 0xFF, 0xFF, 0xFF, 0xFF, 'a', 6},
		"int64 cut off":                {0xF4, 0, 0, 0, 0, 0, 0, 0},
		"the second element is broken": {5, 1, 0x81, 'a', 1},
	}
	for c := 0xF5; c <= 0xFF; c++ {
		// As if the coding went on behind 0xF4's, or as if it had no data.
		n := c - 0xF1 + 3
		p := append(Packed{byte(c)}, make([]byte, n)...)
		p[n] = byte(n)
		bad[fmt.Sprintf("coding %#x with data", c)] = p
		bad[fmt.Sprintf("coding %#x", c)] = Packed{byte(c), 1}
	}
	for name, p := range bad {
		if p.Check() == nil {
			t.Errorf("%s: % x passed", name, []byte(p))
		}
	}
}

// usePacked reads and edits p as a client could after RESTORE.
func usePacked(p Packed) {
	for off := p.First(); off >= 0; off = p.Next(off) {
		e := p.At(off)
		p.Find(e.Append(nil), off, 1)
	}
	for off := p.Last(); off >= 0; off = p.Prev(off) {
		p.At(off).Len()
	}
	if off := p.First(); off >= 0 {
		slices.Clone(p).Replace(off, []byte("z")).Delete(0, 2).Append([]byte("7")).Count()
	}
}

func TestPackedCheckMutations(t *testing.T) {
	r := packedRand(t)
	good := 0
	for round := 0; round < 20000; round++ {
		var p Packed
		for n := r.IntN(6); n >= 0; n-- {
			p = p.Append(randElem(r))
		}
		for n := r.IntN(4); n >= 0 && len(p) > 0; n-- {
			switch r.IntN(4) {
			case 0:
				p[r.IntN(len(p))] = byte(r.Uint32())
			case 1:
				p[r.IntN(len(p))] ^= 1 << r.IntN(8)
			case 2:
				p = p[:r.IntN(len(p)+1)]
			case 3:
				p = append(p[:len(p):len(p)], byte(r.Uint32()))
			}
		}
		p = slices.Clip(p)
		if p.Check() == nil {
			good++
			usePacked(p)
		}
	}
	if good == 0 {
		t.Fatal("no mutation passed Check")
	}
}

func FuzzPackedCheck(f *testing.F) {
	var p Packed
	for _, b := range edgeElems()[:50] {
		p = p.Append(b)
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p := Packed(slices.Clip(b))
		if p.Check() == nil {
			usePacked(p)
		}
	})
}

func TestPackedReadsWithoutAllocation(t *testing.T) {
	var p Packed
	for _, b := range edgeElems() {
		p = p.Append(b)
	}
	needle, buf := []byte("nothing"), make([]byte, 0, 4<<20)
	if n := testing.AllocsPerRun(10, func() {
		for off := p.First(); off >= 0; off = p.Next(off) {
			buf = p.At(off).Append(buf[:0])
		}
		p.Find(needle, 0, 0)
		p.Count()
		_ = p.Check()
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// redisServer starts a redis-server of the test's own behind a unix socket and
// returns a function that sends one command and returns its reply's bytes.
func redisServer(t *testing.T, options ...string) func(args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server")
	}
	dir, err := os.MkdirTemp("", "kvd")
	if err != nil {
		t.Fatal(err)
	}
	sock := filepath.Join(dir, "s")
	cmd := exec.Command(path, append([]string{"--port", "0", "--unixsocket", sock, "--save", "", "--dir", dir}, options...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	var conn net.Conn
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if conn, err = net.Dial("unix", sock); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = conn.Close() })
	in := bufio.NewReader(conn)
	return func(args ...string) []byte {
		t.Helper()
		req := fmt.Appendf(nil, "*%d\r\n", len(args))
		for _, a := range args {
			req = fmt.Appendf(req, "$%d\r\n%s\r\n", len(a), a)
		}
		if _, err := conn.Write(req); err != nil {
			t.Fatal(err)
		}
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		line = strings.TrimSuffix(line, "\r\n")
		if line[0] == '-' {
			t.Fatalf("%.100q: %s", args, line)
		}
		if line[0] != '$' {
			return []byte(line[1:])
		}
		n, _ := strconv.Atoi(line[1:])
		if n < 0 {
			return nil
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(in, b); err != nil {
			t.Fatal(err)
		}
		return b[:n]
	}
}

// dumpedListpack takes the elements out of the DUMP of a small hash.
func dumpedListpack(t *testing.T, dump []byte) Packed {
	t.Helper()
	if dump[0] != 16 {
		t.Fatalf("DUMP of type %d", dump[0])
	}
	b := dump[1 : len(dump)-10] // RDB version, checksum
	switch {
	case b[0]>>6 == 0:
		b = b[1:]
	case b[0]>>6 == 1:
		b = b[2:]
	case b[0] == 0x80:
		b = b[5:]
	default:
		t.Fatalf("DUMP with string coding %x", b[0])
	}
	if int(binary.LittleEndian.Uint32(b)) != len(b) || b[len(b)-1] != 0xFF {
		t.Fatal("not a listpack")
	}
	return Packed(b[6 : len(b)-1])
}

func TestPackedAsRedis(t *testing.T) {
	redis := redisServer(t, "--rdbcompression", "no", "--hash-max-listpack-value", "100000000", "--hash-max-listpack-entries", "100000")
	r := packedRand(t)
	elems := edgeElems()
	for i := 0; i < 500; i++ {
		elems = append(elems, randElem(r))
	}
	for start := 0; start < len(elems); start += 50 {
		var p Packed
		redis("DEL", "h")
		for i := start; i < min(start+50, len(elems)); i++ {
			field := strconv.Itoa(i)
			redis("HSET", "h", field, string(elems[i]))
			p = p.Append([]byte(field)).Append(elems[i])
		}
		got := dumpedListpack(t, redis("DUMP", "h"))
		if !bytes.Equal(got, p) {
			i := 0
			for i < len(p) && i < len(got) && p[i] == got[i] {
				i++
			}
			t.Fatalf("elements from %d: %d bytes, Redis has %d; they differ at %d", start, len(p), len(got), i)
		}
	}
	// Where Redis's own limits for the length backwards lie.
	for n := 1<<14 - 12; n < 1<<14; n++ {
		redis("DEL", "h")
		v := bytes.Repeat([]byte{'x'}, n)
		redis("HSET", "h", "f", string(v))
		if !bytes.Equal(dumpedListpack(t, redis("DUMP", "h")), Packed(nil).Append([]byte("f")).Append(v)) {
			t.Fatalf("value of %d bytes differs from Redis's", n)
		}
	}
}

func BenchmarkPackedAppend16(b *testing.B) {
	v := []byte("element:00000001")
	p := make(Packed, 0, 8192)
	b.ReportAllocs()
	for b.Loop() {
		if len(p) > 8000 {
			p = p[:0]
		}
		p = p.Append(v)
	}
}

func BenchmarkPackedFind128(b *testing.B) {
	var p Packed
	for i := 0; i < 128; i++ {
		p = p.Append(fmt.Appendf(nil, "element:%08d", i))
	}
	v := []byte("element:00000200")
	for b.Loop() {
		p.Find(v, 0, 0)
	}
}

// poison spoils scratch memory: whoever still looks there is wrong.
func (s *scratch) poison() {
	for i := range s.mem[:cap(s.mem)] {
		s.mem[:cap(s.mem)][i] = 0xEE
	}
}
