package tyrant_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"kvd/command/commandtest"
	"kvd/memcached"
	"kvd/resp/wire"
	"kvd/tests/harness"
	"kvd/transport"
	"kvd/tyrant"
)

// feed is a connection without a transport: bytes go into its session, replies come out.
type feed struct {
	*commandtest.Server
	p    *tyrant.Protocol
	st   transport.State
	s    transport.Session
	left []byte
	out  wire.Writer
}

func newFeed(t testing.TB) *feed {
	f := &feed{Server: commandtest.New(t)}
	f.p = tyrant.New(f.Server.Server, memcached.New(f.Server.Server).Text)
	f.open()
	return f
}

// open begins another connection.
func (f *feed) open() {
	f.st = transport.State{Client: f.NewClient(nil, "127.0.0.1:9", "127.0.0.1:8", 7), Most: 1 << 20}
	f.s, f.left = f.p.Open(&f.st), nil
}

// send hands bytes over and returns what is replied.
func (f *feed) send(in string) string {
	f.X.SetTime(f.Now)
	f.out.Buf = f.out.Buf[:0]
	f.left = append(f.left, in...)
	for {
		used := f.s.Run(f.X, &f.out, f.left)
		f.left = f.left[used:]
		if f.st.More = false; used == 0 || len(f.left) == 0 || f.st.Closing {
			break
		}
	}
	f.s.Forget()
	return string(f.out.Buf)
}

func (f *feed) want(t *testing.T, in, want string) {
	t.Helper()
	if got := f.send(in); got != want {
		t.Errorf("%.200q:\n got %.300q\nwant %.300q", in, got, want)
	}
}

func num(n int) string     { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }
func long(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }
func put(op byte, k, v string) string {
	return "\xc8" + string([]byte{op}) + num(len(k)) + num(len(v)) + k + v
}
func one(op byte, k string) string { return "\xc8" + string([]byte{op}) + num(len(k)) + k }
func bare(op byte) string          { return "\xc8" + string([]byte{op}) }
func val(v string) string          { return "\x00" + num(len(v)) + v }
func words(w ...string) (s string) {
	for _, x := range w {
		s += num(len(x)) + x
	}
	return s
}
func misc(name string, args ...string) string {
	return "\xc8\x90" + num(len(name)) + num(0) + num(len(args)) + name + words(args...)
}
func list(w ...string) string { return "\x00" + num(len(w)) + words(w...) }
func ext(name, k, v string) string {
	return "\xc8\x68" + num(len(name)) + num(0) + num(len(k)) + num(len(v)) + name + k + v
}
func shift(k, v string, width int) string {
	return "\xc8\x13" + num(len(k)) + num(len(v)) + num(width) + k + v
}
func fwmkeys(prefix string, most int) string {
	return "\xc8\x58" + num(len(prefix)) + num(most) + prefix
}
func addint(k string, n int) string { return "\xc8\x60" + num(len(k)) + num(n) + k }
func adddouble(k string, whole, part int64) string {
	return "\xc8\x61" + num(len(k)) + long(uint64(whole)) + long(uint64(part)) + k
}

const (
	ok   = "\x00"
	fail = "\x01"
	none = "\x00\x00\x00\x00\x00" // a list
	nope = "\x01\x00\x00\x00\x00"
)

// TestBinary is the binary protocol byte for byte.
func TestBinary(t *testing.T) {
	f := newFeed(t)
	for _, c := range []struct{ in, want string }{
		{one(0x30, "a") + one(0x38, "a") + one(0x20, "a"), fail + fail + fail},
		{put(0x10, "a", "one\x00two") + one(0x30, "a") + one(0x38, "a"), ok + val("one\x00two") + ok + num(7)},
		{put(0x10, "", "") + one(0x30, ""), ok + val("")},
		{put(0x11, "a", "x") + put(0x11, "b", "x") + one(0x30, "b"), fail + ok + val("x")},
		{put(0x12, "c", "ab") + put(0x12, "c", "cd") + put(0x12, "c", "") + one(0x30, "c"), ok + ok + ok + val("abcd")},
		{shift("s", "abcd", 6) + shift("s", "efgh", 6) + one(0x30, "s"), ok + ok + val("cdefgh")},
		{shift("s", "0123456789", 4) + one(0x30, "s") + shift("s", "", 2) + one(0x30, "s"), ok + val("6789") + ok + val("89")},
		{shift("s", "", 0) + one(0x38, "s"), ok + ok + num(0)},
		{put(0x18, "n", "1") + put(0x18, "n", "2") + one(0x30, "n"), val("2")},
		{one(0x20, "n") + one(0x20, "n"), ok + fail},
		{"\xc8\x31" + num(3) + words("a", "none", "b"), ok + num(2) + num(1) + num(7) + "aone\x00two" + num(1) + num(1) + "bx"},
		{"\xc8\x31" + num(0), none},
		{addint("i", 5) + addint("i", -8) + addint("i", math.MaxInt32) + one(0x30, "i"), ok + num(5) + ok + num(-3) + ok + num(math.MaxInt32-3) + val("\xfc\xff\xff\x7f")},
		{addint("i", 10) + addint("a", 1) + one(0x30, "a"), ok + num(math.MinInt32+6) + fail + val("one\x00two")},
		{adddouble("d", 1, 5e11) + adddouble("d", -3, -25e10) + one(0x38, "d"), ok + long(1) + long(5e11) + ok + long(math.MaxUint64) + long(^uint64(75e10)+1) + ok + num(8)},
		{adddouble("a", 1, 0) + adddouble("d", math.MinInt64, math.MinInt64), fail + fail},
		{ext("put", "e", "1") + ext("putkeep", "e", "2") + ext("putcat", "e", "3") + ext("get", "e", "") + ext("out", "e", "") + ext("get", "e", "") + ext("log", "hi", ""),
			val("ok") + fail + val("ok") + val("13") + val("ok") + fail + val("ok")},
		{ext("other", "k", "v"), val(":other:k:v")},
		{bare(0x70) + "\xc8\x71" + num(3) + "a=b" + one(0x73, "/p") + "\xc8\x74" + num(2) + long(1) + num(0) + "/p" + "\xc8\x78" + num(1) + num(9) + long(1) + num(0) + "h", ok + ok + fail + fail + fail},
		{bare(0x51) + bare(0x80), fail + ok + long(7)},
		{bare(0x72) + bare(0x80) + bare(0x81) + bare(0x50) + bare(0x51), ok + ok + long(0) + ok + long(0) + ok + fail},
	} {
		f.want(t, c.in, c.want)
	}
	f.send(put(0x10, "a", "1"))
	f.want(t, bare(0x50)+bare(0x51)+bare(0x51)+bare(0x51), ok+val("a")+fail+fail)
	f.want(t, bare(0x81)[:1], "")
	if got := f.send("\x81"); len(got) != 9 || got[8] == 0 {
		t.Errorf("size %q", got)
	}
	got := f.send(bare(0x88))
	if n := len(got) - 5; n < 0 || got[:5] != ok+num(n) || !strings.Contains(got, "\ntype\ton-memory hash\n") || !strings.Contains(got, "\nrnum\t1\n") || !strings.HasSuffix(got, "\n") {
		t.Errorf("stat %q", got)
	}
	for _, line := range strings.Split(strings.TrimSuffix(got[5:], "\n"), "\n") {
		if strings.Count(line, "\t") != 1 {
			t.Errorf("stat has %q", line)
		}
	}
}

// TestMisc is each function of misc, and what is none.
func TestMisc(t *testing.T) {
	f := newFeed(t)
	for _, c := range []struct{ in, want string }{
		{misc("put", "a", "1") + misc("putkeep", "a", "2") + misc("putcat", "a", "3") + misc("get", "a") + misc("get", "none"), none + nope + none + list("13") + nope},
		{misc("putlist", "b", "2", "c", "3", "half") + misc("getlist", "a", "none", "c") + misc("putlist") + misc("getlist") + misc("outlist"), none + list("a", "13", "c", "3") + none + none + none},
		{misc("getpart", "a", "1") + misc("getpart", "a", "0", "1") + misc("getpart", "a", "2") + misc("getpart", "a", "3") + misc("getpart", "a", "-1", "9") + misc("getpart", "a", "x"), list("3") + list("1") + list("") + nope + list("13") + nope},
		{misc("outlist", "b", "c", "none") + bare(0x80), none + ok + long(1)},
		{misc("iterinit") + misc("iternext") + misc("iternext"), none + list("a", "13") + nope},
		{misc("iterinit", "a") + bare(0x51) + misc("iterinit", "none"), none + val("a") + nope},
		{misc("sync") + misc("optimize", "x") + misc("cacheclear") + misc("defrag") + misc("error"), none + none + none + none + list("0: success")},
		{misc("put", "K2", "x") + misc("regex", "^[a-z]$") + misc("regex", "*^k2") + misc("regex", "[") + misc("regex", "", "0"), none + list("a", "13") + list("K2", "x") + nope + none},
		{misc("regex", strings.Repeat("a", 1025)), nope},
		{misc("out", "a") + misc("out", "a"), none + nope},
		{misc("setindex", "a") + misc("search") + misc("put", "a") + misc("range", "a") + misc("putdup", "a", "b") + misc("iterat", "a") + misc(""), nope + nope + nope + nope + nope + nope + nope},
		{misc("vanish") + bare(0x80), none + ok + long(0)},
	} {
		f.want(t, c.in, c.want)
	}
}

// TestBothSee: what Tyrant's clients write Redis's read, and the effects are Redis's.
func TestBothSee(t *testing.T) {
	f := newFeed(t)
	f.Effects = nil
	f.want(t, put(0x10, "a", "hi")+put(0x12, "a", "!")+put(0x11, "a", "x")+shift("a", "?", 2)+addint("i", 0x41424344)+one(0x20, "a")+one(0x20, "a")+misc("outlist", "i", "none"),
		ok+ok+fail+ok+ok+num(0x41424344)+ok+fail+none)
	f.WantEffects("SET a hi", "APPEND a !", "SET a !? KEEPTTL", "SET i DCBA", "DEL a", "DEL i")
	f.Effects = nil
	f.want(t, put(0x12, "n", "4")+misc("putlist", "x", "1", "y", "2"), ok+none)
	f.WantEffects("SET n 4", "MULTI", "SET x 1", "SET y 2", "EXEC")
	f.Effects = nil
	f.Want("INCR n", ":5\n")
	f.want(t, one(0x30, "n"), val("5"))
	f.Want("EXPIRE n 100", ":1\n")
	f.want(t, put(0x12, "n", "1")+shift("n", "2", 2), ok+ok)
	f.Want("TTL n", ":100\n")
	f.Want("GET n", "$2\n12\n")
	f.want(t, put(0x10, "n", "1"), ok)
	f.Want("TTL n", ":-1\n")

	f.Run("FLUSHALL")
	f.Run("RPUSH l a")
	f.want(t, one(0x30, "l")+one(0x38, "l")+put(0x11, "l", "x")+put(0x12, "l", "x")+shift("l", "x", 3)+addint("l", 1)+adddouble("l", 1, 0)+"\xc8\x31"+num(1)+words("l"),
		fail+fail+fail+fail+fail+fail+fail+none)
	f.want(t, bare(0x50)+bare(0x51)+fwmkeys("", -1)+misc("regex", "")+misc("iterinit", "l")+bare(0x80), ok+fail+none+none+nope+ok+long(1))
	f.want(t, put(0x10, "l", "s")+one(0x30, "l"), ok+val("s"))
}

// TestWalk: the iterator and fwmkeys meet every string once, others and later ones or not,
// and the iterator is the connection's own.
func TestWalk(t *testing.T) {
	f := newFeed(t)
	want := map[string]bool{}
	for i := range 3000 {
		f.Run(fmt.Sprint("RPUSH other", i, " x"))
		if i%3 == 0 {
			key := fmt.Sprint("key", i)
			want[key] = true
			f.send(put(0x10, key, "v"))
		}
	}
	next := func() string {
		got := f.send(bare(0x51))
		if got == fail {
			return ""
		}
		return got[5:]
	}
	f.want(t, bare(0x50), ok)
	seen := map[string]bool{}
	for key := next(); key != ""; key = next() {
		if seen[key] || !want[key] {
			t.Fatalf("%q again, or not asked for", key)
		}
		if seen[key] = true; len(seen) == 500 {
			mine, st, s := f.left, f.st, f.s
			f.open()
			f.want(t, bare(0x51)+bare(0x50), fail+ok)
			f.left, f.st, f.s = mine, st, s
		}
	}
	if len(seen) != len(want) {
		t.Errorf("the iterator met %d of %d", len(seen), len(want))
	}
	count := func(in string) int {
		got := f.send(in)
		n, rest := int(binary.BigEndian.Uint32([]byte(got[1:]))), got[5:]
		for range n {
			size := int(binary.BigEndian.Uint32([]byte(rest)))
			if !want[rest[4:4+size]] {
				t.Errorf("%q", rest[4:4+size])
			}
			rest = rest[4+size:]
		}
		if rest != "" {
			t.Errorf("%d bytes behind the keys", len(rest))
		}
		return n
	}
	for _, c := range []struct{ most, want int }{{-1, 1000}, {10, 10}, {0, 0}, {5000, 1000}} {
		if n := count(fwmkeys("key", c.most)); n != c.want {
			t.Errorf("fwmkeys of %d: %d", c.most, n)
		}
	}
	if n := count(fwmkeys("none", -1)); n != 0 {
		t.Errorf("fwmkeys of no key's beginning: %d", n)
	}
	start := ""
	for key := range want {
		start = key
		break
	}
	if got := f.send(misc("iterinit", start) + bare(0x51)); got != none+val(start) {
		t.Errorf("from %q on: %q", start, got)
	}
}

// TestLong: values of some MiB, and what is kept of them.
func TestLong(t *testing.T) {
	f := newFeed(t)
	v := strings.Repeat("0123456789abcdef", 200_000)
	f.want(t, put(0x10, "a", v)+put(0x12, "a", "!")+one(0x30, "a"), ok+ok+val(v+"!"))
	f.want(t, shift("a", "?", 100_000)+one(0x30, "a"), ok+val((v + "!?")[len(v)+2-100_000:]))
	f.want(t, misc("getpart", "a", "99999")+misc("regex", "a"), list("?")+list("a", (v + "!?")[len(v)+2-100_000:]))
	f.want(t, misc("iterinit")+misc("iternext"), none+list("a", (v + "!?")[len(v)+2-100_000:]))
	f.Run("CONFIG SET proto-max-bulk-len 1mb")
	f.want(t, put(0x10, "b", v)+put(0x11, "b", v)+put(0x12, "b", v)+shift("b", v, 2<<20)+misc("putlist", "b", v)+one(0x30, "b"), fail+fail+fail+fail+nope+fail)
}

// pipeline is requests of each kind, with their replies.
func pipeline() string {
	return put(0x10, "a", "x\r\ny") + one(0x30, "a") + put(0x18, "n", "1") + "\xc8\x31" + num(3) + words("a", "none", "n") + misc("putlist", "p", "1", "q", strings.Repeat("z", 5000)) +
		misc("getlist", "q", "p") + shift("a", "1", 3) + ext("get", "a", "") + addint("i", 1) + adddouble("d", 1, 0) + fwmkeys("a", -1) + bare(0x50) + bare(0x51) + misc("iternext") + bare(0x80) + "\xc8\x71" + num(1) + "x" + one(0x38, "q")
}

// TestPieces: requests in any pieces give the same replies.
func TestPieces(t *testing.T) {
	for _, in := range []string{pipeline(), httpPipeline()} {
		all := newFeed(t)
		whole := all.send(in)
		if len(all.left) > 0 || all.st.Closing {
			t.Fatalf("%d bytes are left, closing %v", len(all.left), all.st.Closing)
		}
		rnd := rand.New(rand.NewPCG(1, 2))
		for i := range 10 {
			f := newFeed(t)
			var got strings.Builder
			for rest := in; rest != ""; {
				n := 1
				if i > 0 {
					n = min(1+rnd.IntN(1<<i), len(rest))
				}
				got.WriteString(f.send(rest[:n]))
				rest = rest[n:]
			}
			// The iterator's order differs between servers.
			if len(got.String()) != len(whole) {
				t.Fatalf("in pieces %.400q, whole %.400q", got.String(), whole)
			}
		}
	}
}

// TestHostile: what no client sends costs a connection, and no memory.
func TestHostile(t *testing.T) {
	f := newFeed(t)
	for _, in := range []string{
		"\xc8\x10" + num(32<<20+1) + num(1), "\xc8\x10" + num(1) + num(-1), "\xc8\x30" + num(math.MaxInt32), "\xc8\x31" + num(1<<20+1), "\xc8\x31" + num(2) + num(32<<20+1),
		"\xc8\x13" + num(1) + num(1) + num(-1), "\xc8\x68" + num(1024) + num(0) + num(0) + num(0), "\xc8\x90" + num(1024) + num(0) + num(0), "\xc8\x90" + num(1) + num(0) + num(1<<20+1) + "a",
		"\xc8\x00", "\xc8\x19", "\xc8\xff", "\xc8\xa0" + long(0) + num(1), "\x00", "\x80" + strings.Repeat("\x00", 23), bare(0x80) + "get a\r\n",
	} {
		f.open()
		got := f.send(in)
		if strings.HasPrefix(in, bare(0x80)) {
			got = strings.TrimPrefix(got, ok+long(0))
		}
		if got != "" || !f.st.Closing {
			t.Errorf("%.40q: %q, closing %v", in, got, f.st.Closing)
		}
	}
	// The longest that may come is waited for, and little room is made for what was only announced.
	for _, in := range []string{"\xc8\x10" + num(32<<20) + num(32<<20) + "a", "\xc8\x31" + num(1<<20) + num(32<<20) + "a", "PUT /a HTTP/1.1\r\nContent-Length: 33554432\r\n\r\n"} {
		f.open()
		if got := f.send(in); got != "" || f.st.Closing {
			t.Errorf("%.40q: %q, closing %v", in, got, f.st.Closing)
		}
		if n := f.s.Need(); n <= 0 || n > 4<<10 {
			t.Errorf("%.40q: room for %d bytes is wanted", in, n)
		}
	}
}

// TestManyArguments: as many as may be come in small pieces in reasonable time.
func TestManyArguments(t *testing.T) {
	f := newFeed(t)
	const n = 100_000
	in := "\xc8\x31" + num(n) + strings.Repeat(num(1)+"k", n)
	f.send(put(0x10, "k", "v"))
	var got string
	for len(in) > 0 {
		k := min(100, len(in))
		got += f.send(in[:k])
		in = in[k:]
	}
	if want := ok + num(n) + strings.Repeat(num(1)+num(1)+"kv", n); got != want {
		t.Errorf("%d bytes, wanted %d", len(got), len(want))
	}
}

// TestAuthentication: with a password the port refuses its clients, unless it is told not to.
func TestAuthentication(t *testing.T) {
	f := newFeed(t)
	f.send(put(0x10, "a", "1"))
	f.Run("CONFIG SET requirepass secret")
	for _, in := range []string{one(0x30, "a"), "get a\r\n", "GET /a HTTP/1.1\r\n\r\n"} {
		f.open()
		if got := f.send(in); got != "" || !f.st.Closing {
			t.Errorf("%q: %q, closing %v", in, got, f.st.Closing)
		}
	}
	f.Run("CONFIG SET tyrant-no-auth yes")
	f.open()
	f.want(t, one(0x30, "a"), val("1"))
	f.Run("ACL SETUSER default -@write")
	f.want(t, put(0x10, "a", "2")+one(0x30, "a"), fail+val("1"))
	f.Run("ACL SETUSER default resetkeys ~b*")
	f.want(t, one(0x30, "a")+misc("regex", "a")+bare(0x50)+misc("iternext"), fail+nope+ok+nope)
	f.Run("ACL SETUSER default off")
	f.open()
	if got := f.send(one(0x30, "a")); got != "" || !f.st.Closing {
		t.Errorf("the default user is off: %q, closing %v", got, f.st.Closing)
	}
}

// TestText: memcached's text protocol is spoken on the same port.
func TestText(t *testing.T) {
	f := newFeed(t)
	f.want(t, "set a 5 0 2\r\nhi\r\nget a b\r\ndelete a noreply\r\nversion\r\n", "STORED\r\nVALUE a 5 2\r\nhi\r\nEND\r\nVERSION 1.6.38\r\n")
	f.send("set k 0 0 1\r\nv\r\n")
	if front := f.st.Client.Front(); front != "tyrant" {
		t.Error("the client speaks", front)
	}
	f.open()
	f.want(t, one(0x30, "k"), val("v"))
}

func httpPipeline() string {
	return "PUT /a%20b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe\r\no" + "GET /a+b HTTP/1.1\r\n\r\n" + "HEAD http://x:1978/a%20b HTTP/1.1\r\nConnection: keep-alive\r\n\r\n" +
		"PUT /a%20b HTTP/1.1\r\nX-TT-PDMODE: 1\r\ncontent-length:1\r\n\r\nx" + "PUT /a%20b HTTP/1.1\r\nX-TT-PDMODE: 2\r\ncontent-length:1\r\n\r\n!" +
		"POST /k HTTP/1.1\r\nX-TT-XNAME: other\r\nContent-Length: 1\r\n\r\nv" + "POST / HTTP/1.1\r\nX-TT-MNAME: getlist\r\nContent-Length: 17\r\n\r\na0=a%20b&a1=none&" +
		"DELETE /a%20b HTTP/1.1\r\n\r\n" + "DELETE /a%20b HTTP/1.1\r\n\r\n" + "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
}

// TestHTTP is each method, kept alive and closed.
func TestHTTP(t *testing.T) {
	page := func(status, kind, body string) string {
		return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", status, kind, len(body), body)
	}
	const plain, octets = "text/plain", "application/octet-stream"
	f := newFeed(t)
	f.want(t, httpPipeline(), page("201 Created", plain, "Created\n")+page("200 OK", octets, "he\r\no")+"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 5\r\n\r\n"+
		page("409 Conflict", plain, "Conflict\n")+page("201 Created", plain, "Created\n")+
		page("200 OK", octets, ":other:k:v")+page("200 OK", "application/x-www-form-urlencoded", "res1=a%20b&res2=he%0D%0Ao%21")+
		page("200 OK", plain, "OK\n")+page("404 Not Found", plain, "Not Found\n")+page("400 Bad Request", plain, "Bad Request\n"))
	if f.st.Closing {
		t.Error("HTTP/1.1 is not kept alive")
	}
	f.want(t, "PUT /n HTTP/1.1\r\nContent-Length: 1\r\n\r\n1POST /n HTTP/1.1\r\nX-TT-XNAME: put\r\nContent-Length: 1\r\n\r\n2", page("201 Created", plain, "Created\n")+page("200 OK", octets, "ok"))
	f.Want("GET n", "$1\n2\n")
	if got := f.send("OPTIONS * HTTP/1.1\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAllow: OPTIONS, GET") || !strings.Contains(got, "\r\nX-TT-RNUM: 1\r\n") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("OPTIONS: %q", got)
	}
	for _, c := range []struct{ in, want string }{
		{"GET /n HTTP/1.0\r\n\r\n", page("200 OK", octets, "2")},
		{"GET /n HTTP/1.1\r\nConnection: Close\r\n\r\nGET /n HTTP/1.1\r\n\r\n", page("200 OK", octets, "2")},
		{"TRACE /n HTTP/1.1\r\n\r\n", page("501 Not Implemented", plain, "Not Implemented\n")},
		{"PUT /n HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", page("501 Not Implemented", plain, "Not Implemented\n")},
		{"PUT /n HTTP/1.1\r\nContent-Length: 33554433\r\n\r\n", page("413 Content Too Large", plain, "Content Too Large\n")},
		{"PUT /n HTTP/1.1\r\nContent-Length: -1\r\n\r\n", ""},
		{"PUT /n HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", ""},
		{"GET /n\r\n\r\n", ""},
		{"GET / FTP/1.1\r\n\r\n", ""},
		{"GET /" + strings.Repeat("x", 16<<10), ""},
		{"GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 3000) + "\r\n", ""},
	} {
		f.open()
		if got := f.send(c.in); got != c.want || !f.st.Closing {
			t.Errorf("%.60q: %q, closing %v", c.in, got, f.st.Closing)
		}
	}
	f.open()
	f.want(t, "POST / HTTP/1.1\r\nX-TT-MNAME: outlist\r\nContent-Length: 4004\r\n\r\n"+strings.Repeat("a=b&", 1001), page("400 Bad Request", plain, "Bad Request\n"))
}

// TestHidden: clients of Redis do not know the commands.
func TestHidden(t *testing.T) {
	s := commandtest.New(t)
	if got := s.Run("tt.get a"); !strings.HasPrefix(got, "-ERR unknown command") {
		t.Error(got)
	}
}

// served is a port of both protocols over the transport.
func served(t *testing.T) (s *commandtest.Server, addr string) {
	s = commandtest.New(t)
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"port": "0", "tyrant-port": fmt.Sprint(port), "bind": "127.0.0.1"} {
		if err := s.Config.SetInitial(name, []string{value}); err != nil {
			t.Fatal(err)
		}
	}
	p := tyrant.New(s.Server, memcached.New(s.Server).Text)
	front := transport.New(s.Server, p)
	front.Add(transport.Endpoint{Protocol: p, Directive: "tyrant-port", Port: func() int { return port }, Kind: "Tokyo Tyrant"})
	for _, step := range []func() error{front.Listen, front.Start, front.Accept} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { front.Close() })
	return s, fmt.Sprint("127.0.0.1:", port)
}

// TestServed is connections over the transport, with requests that work beside the loop,
// in whose replies nothing of others may come.
func TestServed(t *testing.T) {
	server, addr := served(t)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(60 * time.Second))
		return c
	}
	const keys = 3000
	v := strings.Repeat("v", 300_000)
	var in, want bytes.Buffer
	for i := range keys {
		in.WriteString(put(0x18, fmt.Sprintf("key%06d", i), "x"))
	}
	in.WriteString(put(0x10, "big", v))
	want.WriteString(ok)
	for range 20 {
		in.WriteString(one(0x30, "big"))
		want.WriteString(val(v))
	}
	for range 3 {
		in.WriteString(misc("regex", "^big$") + misc("sync") + fwmkeys("big", -1) + bare(0x80))
		want.WriteString(list("big", v) + none + list("big") + ok + long(keys+1))
	}
	names := make([]string, 0, 2*keys)
	pairs := make([]string, 0, 2*keys)
	for i := range keys {
		name := fmt.Sprintf("key%06d", i)
		names = append(names, name, "none")
		pairs = append(pairs, name, "x")
	}
	in.WriteString(misc("getlist", names...) + misc("outlist", names...) + bare(0x80)) // in parts
	want.WriteString(list(pairs...) + none + ok + long(1))
	c := dial()
	go c.Write(in.Bytes())
	got := make([]byte, want.Len())
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Fatalf("%d bytes, wanted %d: %v", n, want.Len(), err)
	}

	if got := server.Run("CLIENT LIST"); !strings.Contains(got, "cmd=tt.rnum ") || !strings.Contains(got, " proto=tyrant") {
		t.Errorf("CLIENT LIST: %q", got)
	}

	h := dial()
	io.WriteString(h, "POST / HTTP/1.1\r\nX-TT-MNAME: regex\r\nContent-Length: 7\r\n\r\na=b.g$&POST / HTTP/1.1\r\nX-TT-MNAME: sync\r\nContent-Length: 0\r\n\r\nGET /none HTTP/1.0\r\n\r\n")
	page, err := io.ReadAll(h)
	form := "HTTP/1.1 200 OK\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "
	if wanted := form + fmt.Sprint(len("res1=big&res2=")+len(v)) + "\r\n\r\nres1=big&res2=" + v + form + "0\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nNot Found\n"; err != nil || string(page) != wanted {
		t.Errorf("%d bytes, wanted %d: %v", len(page), len(wanted), err)
	}

	e := dial()
	io.WriteString(e, put(0x10, "a", "1")+"\xc8\x10"+num(-1)+num(0))
	if got, err := io.ReadAll(e); err != nil || string(got) != ok {
		t.Errorf("a malformed request: %q, %v", got, err)
	}
}

// FuzzRequests: any bytes, cut anywhere, are answered alike.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{pipeline(), httpPipeline(), "set a 1 0 2\r\nhi\r\nget a\r\n", "\xc8\x10\xff\xff\xff\xff", "\xc8\x31" + num(1<<20) + num(1) + "a", misc("regex", "*a(b|c)", "5"), ext("log", "a", "b")} {
		for _, cut := range []uint16{1, 6, 40} {
			f.Add([]byte(seed), cut)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		for _, s := range []string{"100-", "\xc8\x88", "\xc8\x81", "OPTIONS", "stats", "flush_all ", "me "} {
			if strings.Contains(string(in), s) {
				t.Skip() // their replies tell of time and memory, or of what came when
			}
		}
		a, b := newFeed(t), newFeed(t)
		b.Now = a.Now
		whole := a.send(string(in))
		n := int(cut) % (len(in) + 1)
		pieces := b.send(string(in[:n]))
		if !b.st.Closing {
			pieces += b.send(string(in[n:]))
		}
		if len(whole) != len(pieces) || a.st.Closing != b.st.Closing {
			t.Errorf("whole %.300q\ncut at %d %.300q", whole, n, pieces)
		}
	})
}
