package wire

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

func TestWriter(t *testing.T) {
	big := strings.Repeat("b", 300)
	for _, c := range []struct {
		name   string
		do     func(*Writer)
		v2, v3 string // v3 "" means as v2
	}{
		{"status", func(w *Writer) { w.SimpleString("QUEUED") }, "+QUEUED\r\n", ""},
		{"status line ends", func(w *Writer) { w.SimpleString("a\r\nb") }, "+a  b\r\n", ""},
		{"ok", (*Writer).OK, "+OK\r\n", ""},
		{"error", func(w *Writer) { w.Error("ERR x\r\n+y\n") }, "-ERR x  +y \r\n", ""},
		{"int", func(w *Writer) {
			w.Int(0)
			w.Int(9)
			w.Int(10)
			w.Int(99)
			w.Int(100)
			w.Int(255)
			w.Int(256)
			w.Int(-1)
		},
			":0\r\n:9\r\n:10\r\n:99\r\n:100\r\n:255\r\n:256\r\n:-1\r\n", ""},
		{"int limits", func(w *Writer) { w.Int(math.MinInt64); w.Int(math.MaxInt64) }, ":-9223372036854775808\r\n:9223372036854775807\r\n", ""},
		{"bulk", func(w *Writer) { w.Bulk([]byte("a\r\n")); w.Bulk(nil); w.BulkString(""); w.BulkString("0123456789") },
			"$3\r\na\r\n\r\n$0\r\n\r\n$0\r\n\r\n$10\r\n0123456789\r\n", ""},
		{"big bulk", func(w *Writer) { w.BulkString(big) }, "$300\r\n" + big + "\r\n", ""},
		{"bulk int", func(w *Writer) { w.BulkInt(-12); w.BulkInt(math.MinInt64) }, "$3\r\n-12\r\n$20\r\n-9223372036854775808\r\n", ""},
		{"null", (*Writer).Null, "$-1\r\n", "_\r\n"},
		{"null array", (*Writer).NullArray, "*-1\r\n", "_\r\n"},
		{"array", func(w *Writer) { w.Array(0); w.Array(1000000) }, "*0\r\n*1000000\r\n", ""},
		{"map", func(w *Writer) { w.Map(6) }, "*12\r\n", "%6\r\n"},
		{"set", func(w *Writer) { w.Set(12) }, "*12\r\n", "~12\r\n"},
		{"push", func(w *Writer) { w.Push(3) }, "*3\r\n", ">3\r\n"},
		{"bool", func(w *Writer) { w.Bool(true); w.Bool(false) }, ":1\r\n:0\r\n", "#t\r\n#f\r\n"},
		{"double", func(w *Writer) { w.Double(0.1); w.Double(3); w.Double(math.Inf(-1)) },
			"$3\r\n0.1\r\n$1\r\n3\r\n$4\r\n-inf\r\n", ",0.1\r\n,3\r\n,-inf\r\n"},
		{"human double", func(w *Writer) { w.HumanDouble(LongDoubleFromFloat64(0.1)) }, "$19\r\n0.10000000000000001\r\n", ",0.10000000000000001\r\n"},
		{"big number", func(w *Writer) { w.BigNumber("1234567999999999999999999999999999999") },
			"$37\r\n1234567999999999999999999999999999999\r\n", "(1234567999999999999999999999999999999\r\n"},
		{"verbatim", func(w *Writer) { w.Verbatim("txt", "This is\na") }, "$9\r\nThis is\na\r\n", "=13\r\ntxt:This is\na\r\n"},
		{"raw", func(w *Writer) { w.Raw([]byte("+x\r\n")) }, "+x\r\n", ""},
		{"nested deferred", func(w *Writer) {
			w.OK()
			outer := w.DeferArray()
			for i := range 12 {
				inner := w.DeferArray()
				for j := range i {
					w.Int(int64(j))
				}
				w.SetArray(inner, i)
			}
			w.SetArray(outer, 12)
			w.OK()
		}, "+OK\r\n*12\r\n" + func() (s string) {
			for i := range 12 {
				s += "*" + strconv.Itoa(i) + "\r\n"
				for j := range i {
					s += ":" + strconv.Itoa(j) + "\r\n"
				}
			}
			return s
		}() + "+OK\r\n", ""},
		{"deferred map", func(w *Writer) { m := w.DeferArray(); w.Raw([]byte("x")); w.SetMap(m, 5) }, "*10\r\nx", "%5\r\nx"},
		{"deferred set", func(w *Writer) { m := w.DeferArray(); w.Raw([]byte("x")); w.SetSet(m, 1234567) }, "*1234567\r\nx", "~1234567\r\nx"},
		{"deferred push", func(w *Writer) { m := w.DeferArray(); w.SetPush(m, 100) }, "*100\r\n", ">100\r\n"},
	} {
		for _, proto := range []int{2, 3} {
			want := c.v2
			if proto == 3 && c.v3 != "" {
				want = c.v3
			}
			w := Writer{Proto: proto}
			c.do(&w)
			if string(w.Buf) != want {
				t.Errorf("%s, protocol %d:\n got %q\nwant %q", c.name, proto, w.Buf, want)
			}
			if n := testing.AllocsPerRun(10, func() { w.Buf = w.Buf[:0]; c.do(&w) }); n != 0 {
				t.Errorf("%s, protocol %d: %v allocations", c.name, proto, n)
			}
		}
	}
}

// DEBUG PROTOCOL makes a real Redis send each kind of reply.
func TestWriterLikeRedis(t *testing.T) {
	addr := startRedis(t)
	for _, proto := range []int{2, 3} {
		c := newClient(t, addr)
		if proto == 3 {
			// HELLO's reply is a map; what follows it starts at a known line.
			c.send("HELLO", "3")
			c.send("ECHO", "sentinel")
			for line := ""; line != "sentinel\r\n"; {
				var err error
				c.w.Flush()
				if line, err = c.r.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
		}
		w := Writer{Proto: proto}
		expect := func(args ...string) {
			t.Helper()
			c.send(args...)
			got := ""
			for len(got) < len(w.Buf) {
				got += c.reply()
			}
			if got != string(w.Buf) {
				t.Errorf("protocol %d, %q: Redis says %q, we say %q", proto, args, got, w.Buf)
			}
			w.Buf = w.Buf[:0]
		}
		w.BulkString("Hello World")
		expect("DEBUG", "PROTOCOL", "string")
		w.Int(12345)
		expect("DEBUG", "PROTOCOL", "integer")
		w.Double(3.141)
		expect("DEBUG", "PROTOCOL", "double")
		w.Null()
		expect("DEBUG", "PROTOCOL", "null")
		w.Array(3)
		w.Int(0)
		w.Int(1)
		w.Int(2)
		expect("DEBUG", "PROTOCOL", "array")
		w.Set(3)
		w.Int(0)
		w.Int(1)
		w.Int(2)
		expect("DEBUG", "PROTOCOL", "set")
		w.Map(3)
		for i := range 3 {
			w.Int(int64(i))
			w.Bool(i == 1)
		}
		expect("DEBUG", "PROTOCOL", "map")
		if proto == 3 { // RESP2 clients are refused
			w.Push(2)
			w.BulkString("server-cpu-usage")
			w.Int(42)
			w.BulkString("Some real reply following the push reply")
			expect("DEBUG", "PROTOCOL", "push")
		}
		w.Verbatim("txt", "This is a verbatim\nstring")
		expect("DEBUG", "PROTOCOL", "verbatim")
		w.Bool(true)
		expect("DEBUG", "PROTOCOL", "true")
		w.Bool(false)
		expect("DEBUG", "PROTOCOL", "false")
		w.BigNumber("1234567999999999999999999999999999999")
		expect("DEBUG", "PROTOCOL", "bignum")
		w.NullArray()
		expect("BLPOP", "nokey", "0.01")
	}
}

func BenchmarkBulk(b *testing.B) {
	v := []byte(strings.Repeat("v", 64))
	w := Writer{Proto: 2}
	for b.Loop() {
		if len(w.Buf) > 1<<14 {
			w.Buf = w.Buf[:0]
		}
		w.Bulk(v)
	}
}
