package memcached_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"kvd/command/commandtest"
	"kvd/memcached"
	"kvd/resp/wire"
	"kvd/tests/harness"
	"kvd/transport"
)

// feed is a connection without a transport: bytes go into its session, replies come out.
type feed struct {
	*commandtest.Server
	p    *memcached.Protocol
	st   transport.State
	s    transport.Session
	left []byte
	out  wire.Writer
}

func newFeed(t testing.TB) *feed {
	f := &feed{Server: commandtest.New(t)}
	f.p = memcached.New(f.Server.Server)
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
	in, want = strings.ReplaceAll(in, "\n", "\r\n"), strings.ReplaceAll(want, "\n", "\r\n")
	if got := f.send(in); got != want {
		t.Errorf("%.200q:\n got %.300q\nwant %.300q", in, got, want)
	}
}

// TestText is the classic protocol byte for byte.
func TestText(t *testing.T) {
	f := newFeed(t)
	for _, c := range []struct{ in, want string }{
		{"get a\n", "END\n"},
		{"set a 5 0 2\nhi\n", "STORED\n"},
		{"get a\n", "VALUE a 5 2\nhi\nEND\n"},
		{"get a b a\n", "VALUE a 5 2\nhi\nVALUE a 5 2\nhi\nEND\n"},
		{"add a 0 0 1\nx\nadd b 0 0 1\nx\n", "NOT_STORED\nSTORED\n"},
		{"replace none 0 0 1\nx\nreplace b 1 0 1\ny\n", "NOT_STORED\nSTORED\n"},
		{"append a 9 9 1\n!\nprepend a 9 9 1\n<\nget a\n", "STORED\nSTORED\nVALUE a 5 4\n<hi!\nEND\n"},
		{"append none 0 0 1\nx\nprepend none 0 0 1\nx\n", "NOT_STORED\nNOT_STORED\n"},
		{"cas none 0 0 1 1\nx\ncas a 0 0 1 1\nx\n", "NOT_FOUND\nEXISTS\n"},
		{"set n 3 0 2\n10\nincr n 5\ndecr n 20\nincr n 7\nget n\n", "STORED\n15\n0\n7\nVALUE n 3 1\n7\nEND\n"},
		{"incr a 1\nincr none 1\nincr n x\nincr n\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\nNOT_FOUND\nCLIENT_ERROR invalid numeric delta argument\nERROR\n"},
		{"set n 0 0 20\n18446744073709551615\nincr n 3\n", "STORED\n2\n"},
		{"delete n\ndelete n\ndelete a 0\ndelete b 5\ndelete b noreply\nget b\n", "DELETED\nNOT_FOUND\nDELETED\nCLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\nEND\n"},
		{"set t 1 100 1\nx\ntouch t 0\ntouch none 1\ntouch t x\n", "STORED\nTOUCHED\nNOT_FOUND\nCLIENT_ERROR invalid exptime argument\n"},
		{"gat 100 t none t\n", "VALUE t 1 1\nx\nVALUE t 1 1\nx\nEND\n"},
		{"gat x t\ngat 1\nget\n", "CLIENT_ERROR invalid exptime argument\nEND\nERROR\n"},
		{"gat -1 t\nget t\n", "VALUE t 1 1\nx\nEND\nEND\n"},
		{"set e 0 -1 1\nx\nget e\n", "STORED\nEND\n"},
		{"set s 0 0 1\nlong\n", "CLIENT_ERROR bad data chunk\nERROR\n"},
		{"set s 0 0 -1\nset s 0 0\nset s x 0 1\nset s 0 x 1\n", "CLIENT_ERROR bad command line format\nERROR\nCLIENT_ERROR bad command line format\nCLIENT_ERROR bad command line format\n"},
		{"verbosity 1\nverbosity\nverbosity 1 noreply\n", "OK\nERROR\n"},
		{"version\nmn\n", "VERSION 1.6.38\nMN\n"},
		{"nothing\nGET a\n\n", "ERROR\nERROR\nERROR\n"},
		{"set z 0 0 1\nx\nflush_all\nget z\nflush_all noreply\nflush_all x\n", "STORED\nOK\nEND\nCLIENT_ERROR invalid exptime argument\n"},
		{"cache_memlimit 1\ncache_memlimit 100\ncache_memlimit x\n", "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\nOK\nERROR\n"},
		{"shutdown\n", "ERROR: shutdown not enabled\n"},
		{"stats detail dump\nget d:1\nstats detail on\nset d:1 0 0 1\nx\nget d:1 d:2 plain\ndelete d:3\nmg d:1\nms e:1 1\ny\nmd e:1\n",
			"END\nEND\nOK\nSTORED\nVALUE d:1 0 1\nx\nEND\nNOT_FOUND\nHD\nHD\nHD\n"},
		{"stats detail dump\nstats detail off\nget d:1\nstats detail dump\n", "PREFIX d get 3 hit 2 set 1 del 1\nPREFIX e get 0 hit 0 set 1 del 1\nEND\nOK\nVALUE d:1 0 1\nx\nEND\n" +
			"PREFIX d get 3 hit 2 set 1 del 1\nPREFIX e get 0 hit 0 set 1 del 1\nEND\n"},
		{"stats reset\nstats detail dump\nstats detail\n", "RESET\nEND\nCLIENT_ERROR usage: stats detail on|off|dump\n"},
		{"slabs automove 0\nslabs automove 1\nslabs automove 3\nslabs automove x\nslabs automove ratio 0.5\nslabs reassign 1 2\nslabs\n",
			"OK\nCLIENT_ERROR slab reassignment disabled\nERROR\nCLIENT_ERROR bad command line format\nCLIENT_ERROR slab reassignment disabled\nCLIENT_ERROR slab reassignment disabled\nERROR\n"},
		{"lru_crawler enable\nlru_crawler metadump x\n", "OK\nBADCLASS invalid class id\n"},
		{"get " + strings.Repeat("k", 250) + "\nget " + strings.Repeat("k", 251) + "\n", "END\nCLIENT_ERROR bad command line format\n"},
	} {
		f.want(t, c.in, c.want)
	}
	if n := f.Config.MaxMemory.Load(); n != 100<<20 {
		t.Error("maxmemory is", n)
	}
	f.want(t, "set q 0 0 1\nx\nquit\nget q\n", "STORED\n")
	if !f.st.Closing {
		t.Error("open after quit")
	}
}

// TestMeta is the meta protocol byte for byte.
func TestMeta(t *testing.T) {
	f := newFeed(t)
	for _, c := range []struct{ in, want string }{
		{"mg a\nmg a v k O1\nmg a q\n", "EN\nEN ka O1\n"},
		{"ms a 2 F7 T90\nhi\nmg a v f t s k Ox\n", "HD\nVA 2 f7 t90 s2 ka Ox\nhi\n"},
		{"ms a 1 q\nx\nms a 1 ME k\nx\nms a 1 MA\ny\nmg a v\n", "NS ka\nHD\nVA 2\nxy\n"},
		{"ms a 1 MX\nx\nms a 1 v v\nx\nmg a !\nms a x\n", "CLIENT_ERROR invalid mode for ms M token\nCLIENT_ERROR duplicate flag\nCLIENT_ERROR invalid flag\nCLIENT_ERROR bad command line format\n"},
		{"ms a 1 E77\nx\nmg a c\nms a 1 C5 c\ny\nms a 1 C77 E78\ny\nmg a c\n", "HD\nHD c77\nEX c0\nHD\nHD c78\n"},
		{"md a C5\nmd a q\nmd a\nmd a q\n", "EX\nNF\n"},
		{"ms s 1 E5 T30\nx\nmd s I E6\nmg s v c\nmg s v c\n", "HD\nHD\nVA 1 c6 X W\nx\nVA 1 c6 Z X\nx\n"},
		{"ms s 1 I C5 E9\ny\nmg s v\nms s 1 C9\nz\nmg s v\n", "HD\nVA 1 Z X\ny\nHD\nVA 1\nz\n"},
		{"md s x\nmg s v f\n", "HD\nVA 0 f0\n\n"},
		{"mg viv N30 v t\nmg viv N30 v\n", "VA 0 t30 W\n\nVA 0 Z\n\n"},
		{"ms r 1 T30\nx\nmg r R60\nmg r R60\nmg r R10\n", "HD\nHD W\nHD Z\nHD Z\n"},
		{"ma n\nma n N0 J13 v\nma n v\nma n MD D20 v\nma n q\nma n v t\nma n MX\n", "NF\nVA 2\n13\nVA 2\n14\nVA 1\n0\nVA 1 t-1\n2\nCLIENT_ERROR invalid mode for ma M token\n"},
		{"ms Zm9v 2 b\nhi\nget foo\nmg Zm9v b k v\nms !! 1 b\nx\nmn\n", "HD\nVALUE foo 0 2\nhi\nEND\nVA 2 kZm9v b\nhi\nCLIENT_ERROR error decoding key\nMN\n"},
		{"mg foo h\nmg foo h\nms foo 1\nx\nmg foo h u\nmg foo h\n", "HD h1\nHD h1\nHD\nHD h0\nHD h0\n"},
		{"mg\nmg a O" + strings.Repeat("o", 40) + "\n", "ERROR\nCLIENT_ERROR opaque token too long\n"},
		{"ms new 1 MA N60\nx\nmg new v t\n", "HD\nVA 1 t60\nx\n"},
		{"me none\n", "EN\n"},
	} {
		f.want(t, c.in, c.want)
	}
}

// TestBothSee: what one protocol writes the other reads, and the effects are Redis's.
func TestBothSee(t *testing.T) {
	f := newFeed(t)
	f.Effects = nil
	f.want(t, "set a 7 0 2\nhi\n", "STORED\n")
	f.WantEffects("MULTI", "SET a hi", "PING kvd:mc 7 a", "EXEC")
	f.Effects = nil
	f.want(t, "set a 0 0 2\nhi\nappend a 0 0 1\n!\nprepend a 0 0 1\n<\nset n 0 0 1\n5\nincr n 2\ntouch n 0\ndelete n\n", "STORED\nSTORED\nSTORED\nSTORED\n7\nTOUCHED\nDELETED\n")
	f.WantEffects("SET a hi", "APPEND a !", "SET a <hi! KEEPTTL", "SET n 5", "SET n 7 KEEPTTL", "DEL n")
	f.Want("GET a", "$4\n<hi!\n")
	f.Want("SET r 41", "+OK\n")
	f.want(t, "incr r 1\nget r\n", "42\nVALUE r 0 2\n42\nEND\n")
	f.Want("INCR r", ":43\n")
	f.Run("RPUSH l a")
	f.want(t, "get l\nappend l 0 0 1\nx\nincr l 1\nadd l 0 0 1\nx\ntouch l 0\nmg l v\nma l\n",
		"END\nSERVER_ERROR wrong type\nSERVER_ERROR wrong type\nNOT_STORED\nNOT_FOUND\nEN\nSERVER_ERROR wrong type\n")
	f.want(t, "set l 0 0 1\nx\nget l\n", "STORED\nVALUE l 0 1\nx\nEND\n")

	// Flags stay where Redis's commands change a value, and go where they set it.
	f.want(t, "set f 9 0 1\n1\n", "STORED\n")
	for _, line := range []string{"APPEND f 2", "INCR f", "SETRANGE f 0 7", "EXPIRE f 100", "PERSIST f"} {
		f.Run(line)
		if got := f.send("get f\r\n"); !strings.HasPrefix(got, "VALUE f 9 ") {
			t.Errorf("after %s: %q", line, got)
		}
	}
	f.Run("COPY f g")
	f.Run("RENAME f h")
	f.want(t, "get f g h\n", "VALUE g 9 2\n73\nVALUE h 9 2\n73\nEND\n")
	f.Run("SET h x")
	f.want(t, "get h\n", "VALUE h 0 1\nx\nEND\n")

	// Any change takes the number away, a new time does not.
	unique := func() string {
		w := strings.Fields(f.send("gets u\r\n"))
		return w[4]
	}
	f.want(t, "set u 0 0 1\n1\n", "STORED\n")
	was := unique()
	for _, line := range []string{"EXPIRE u 100", "PERSIST u", "GET u", "SET other 1"} {
		f.Run(line)
		if now := unique(); now != was {
			t.Errorf("%s: the number became another", line)
		}
	}
	for _, line := range []string{"APPEND u 1", "INCR u", "INCR u", "SETRANGE u 0 3", "SETBIT u 7 0", "SET u 1", "GETSET u 1", "DEL u"} {
		if f.Run(line); line == "DEL u" {
			f.Run("SET u 1")
		}
		now := unique()
		if now == was {
			t.Errorf("%s: the number stayed", line)
		}
		f.want(t, "cas u 0 0 1 "+was+"\n1\n", "EXISTS\n")
		was = now
	}
}

// TestPieces: requests in any pieces give the same replies.
func TestPieces(t *testing.T) {
	in := strings.ReplaceAll("set a 1 0 5\nhe\nlo\nget a b\nms k 3 T30\nabc\nmg k v t\nset big 0 0 2000000\n", "\n", "\r\n") +
		strings.Repeat("get a\r\n", 2_000_000/7+1)[:2_000_000] + "\r\nget a\r\nset x 0 0 1 noreply\r\ny\r\nincr a 1\r\nget x\r\n"
	in = strings.Replace(in, "he\r\nlo", "he\nlo", 1)
	whole := newFeed(t).send(in)
	if !strings.HasSuffix(whole, "VALUE x 0 1\r\ny\r\nEND\r\n") || !strings.Contains(whole, "object too large for cache\r\nVALUE a 1 5\r\nhe\nlo\r\n") {
		t.Fatalf("%.400q", whole)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		f := newFeed(t)
		var got strings.Builder
		for rest := in; rest != ""; {
			n := 1 + rnd.IntN(9)
			if len(rest) > 500 && len(rest) < len(in)-200 {
				n = 1 + rnd.IntN(300_000)
			}
			n = min(n, len(rest))
			got.WriteString(f.send(rest[:n]))
			rest = rest[n:]
		}
		if got.String() != whole {
			t.Fatalf("in pieces %.400q, whole %.400q", got.String(), whole)
		}
	}
}

// TestHostile: what no client sends costs a connection, or an error, and nothing more.
func TestHostile(t *testing.T) {
	f := newFeed(t)
	long := strings.Repeat("x", 3000)
	if got := f.send("set " + long); got != "" || !f.st.Closing {
		t.Errorf("a line without an end: %q, closing %v", got, f.st.Closing)
	}
	f.open()
	keys := "get " + strings.Repeat("k ", 600_000)
	if got := f.send(keys); got != "" || !f.st.Closing {
		t.Errorf("a get without an end: %.100q, closing %v", got, f.st.Closing)
	}
	f.open()
	f.want(t, "set a 0 0 2147483647\nset a 0 0 99999999999999999999\nms a 2147483646\nmn\n",
		"CLIENT_ERROR bad command line format\nCLIENT_ERROR bad command line format\nCLIENT_ERROR bad command line format\nMN\n")
	f.want(t, "set a 0 0 2147483645\n", "SERVER_ERROR object too large for cache\n")
	if n := f.s.Need(); n != 0 {
		t.Errorf("room for %d bytes is wanted for a value that is dropped", n)
	}
	f.open()
	f.want(t, strings.Repeat("set a 0 0 1 noreply\nx\nincr zz 1 noreply\n", 5000)+"mn\n", "MN\n")
	f.open()
	f.want(t, "GET / HTTP/1.1\nget a\n", "")
	if !f.st.Closing {
		t.Error("open after HTTP")
	}
	f.open()
	if got := f.send("\x80" + strings.Repeat("\xff", 23)); !strings.HasPrefix(got, "\x81\xff") || !f.st.Closing {
		t.Errorf("a head of nonsense: %q, closing %v", got, f.st.Closing)
	}
}

// TestAuthentication: with a password nothing is served before it came, and little is kept.
func TestAuthentication(t *testing.T) {
	f := newFeed(t)
	f.Run("CONFIG SET requirepass secret")
	f.open()
	f.want(t, "get a\nversion\nmg a\n", "CLIENT_ERROR unauthenticated\nCLIENT_ERROR unauthenticated\nCLIENT_ERROR unauthenticated\n")
	f.want(t, "set auth 0 0 13\ndefault wrong\nset auth 0 0 5\nalone\n", "CLIENT_ERROR authentication failure\nCLIENT_ERROR bad authentication token format\n")
	f.want(t, "set auth 0 0 100000\n"+strings.Repeat("x", 100000)+"\nget a\n", "CLIENT_ERROR auth token too long\nCLIENT_ERROR unauthenticated\n")
	f.want(t, "set auth 0 0 14\ndefault secret\nget a\n", "STORED\nEND\n")

	f.open()
	head := func(op byte, key, value string) string {
		return string([]byte{0x80, op, 0, byte(len(key)), 0, 0, 0, 0, 0, 0, 0, byte(len(key) + len(value)), 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0}) + key + value
	}
	status := func(in string) int {
		got := f.send(in)
		if len(got) < 24 || got[0] != 0x81 || got[15] != 9 {
			t.Fatalf("%q: %q", in, got)
		}
		return int(got[6])<<8 | int(got[7])
	}
	if s := status(head(0x20, "", "")); s != 0 {
		t.Error("list of mechanisms:", s)
	}
	if s := status(head(0x21, "PLAIN", "\x00default\x00wrong")); s != 0x20 {
		t.Error("a wrong password:", s)
	}
	if s := status(head(0x21, "PLAIN", "\x00default\x00secret")); s != 0 {
		t.Error("the right password:", s)
	}
	if s := status(head(0x00, "a", "")); s != 1 {
		t.Error("get:", s)
	}
	f.open()
	if s := status(head(0x00, "a", "")); s != 0x20 || !f.st.Closing {
		t.Error("get before authentication:", s, f.st.Closing)
	}
}

// TestFlushLater: a delayed flush_all takes what is there when it is due, and the last one wins.
func TestFlushLater(t *testing.T) {
	f := newFeed(t)
	f.want(t, "set a 0 0 1\nx\nflush_all 100\nget a\n", "STORED\nOK\nVALUE a 0 1\nx\nEND\n")
	f.want(t, "flush_all 1\n", "OK\n")
	for end := time.Now().Add(20 * time.Second); f.send("get a\r\n") != "END\r\n"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not flushed")
		}
	}
}

// TestRefusals are Redis's errors in memcached's words.
func TestRefusals(t *testing.T) {
	p := memcached.New(commandtest.New(t).Server)
	for in, want := range map[string]string{"LOADING x": "SERVER_ERROR loading", "READONLY x": "SERVER_ERROR read only replica", "OOM x": "SERVER_ERROR out of memory storing object",
		"ERR max number of clients reached": "ERROR Too many open connections", "MISCONF Errors": "SERVER_ERROR MISCONF Errors"} {
		if got := string(p.Refusal(in)); got != want+"\r\n" {
			t.Errorf("%s: %q", in, got)
		}
	}
}

// TestHidden: clients of Redis do not know the commands.
func TestHidden(t *testing.T) {
	s := commandtest.New(t)
	if got := s.Run("mc.get a"); !strings.HasPrefix(got, "-ERR unknown command") {
		t.Error(got)
	}
}

// serve has a server speak memcached's protocol over the transport, and returns its address.
func serve(t *testing.T, s *commandtest.Server) (address string) {
	t.Helper()
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"port": "0", "memcached-port": fmt.Sprint(port), "bind": "127.0.0.1"} {
		if err := s.Config.SetInitial(name, []string{value}); err != nil {
			t.Fatal(err)
		}
	}
	p := memcached.New(s.Server)
	front := transport.New(s.Server, p)
	front.Add(transport.Endpoint{Protocol: p, Directive: "memcached-port", Port: func() int { return port }, Kind: "memcached"})
	for _, step := range []func() error{front.Listen, front.Start, front.Accept} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(front.Close)
	return fmt.Sprint("127.0.0.1:", port)
}

// TestServed is a connection over the transport.
func TestServed(t *testing.T) {
	s := commandtest.New(t)
	address := serve(t, s)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(60 * time.Second))
	value := strings.Repeat("v", 500_000)
	go func() {
		fmt.Fprintf(c, "set a 1 0 %d\r\n%s\r\n", len(value), value)
		for range 40 {
			io.WriteString(c, "get a\r\n")
		}
		io.WriteString(c, "quit\r\n")
	}()
	got, err := io.ReadAll(bufio.NewReader(c))
	if want := "STORED\r\n" + strings.Repeat(fmt.Sprintf("VALUE a 1 %d\r\n%s\r\nEND\r\n", len(value), value), 40); err != nil || string(got) != want {
		t.Errorf("%d bytes, wanted %d: %v", len(got), len(want), err)
	}
}

// TestWatch: who watches is told what others fetch and store and what is evicted, and
// stats how many watch.
func TestWatch(t *testing.T) {
	s := commandtest.New(t)
	address := serve(t, s)
	type client struct {
		net.Conn
		r *bufio.Reader
	}
	dial := func() client {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(60 * time.Second))
		return client{c, bufio.NewReader(c)}
	}
	line := func(c client) string {
		text, err := c.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	ask := func(c client, request, last string) (got string) {
		io.WriteString(c, request)
		for !strings.HasSuffix(got, last) {
			got += line(c)
		}
		return got
	}
	expect := func(c client, want string) {
		t.Helper()
		if got := line(c); !regexp.MustCompile(`^ts=\d+\.\d+ gid=\d+ ` + want + `\n$`).MatchString(got) {
			t.Errorf("a watcher is told %q, and not %q", got, want)
		}
	}
	all, some, user := dial(), dial(), dial()
	ask(all, "watch mutations fetchers evictions\r\n", "OK\r\n")
	ask(some, "watch\r\n", "OK\r\n") // fetches
	if got := ask(user, "watch nothing\r\n", "\r\n"); got != "ERROR\r\n" {
		t.Errorf("an unknown topic: %q", got)
	}
	if got := ask(user, "stats\r\n", "END\r\n"); !strings.Contains(got, "STAT log_watchers 2\r\n") {
		t.Error("stats do not tell of two watchers", got)
	}
	ask(user, "get a#\r\n", "END\r\n")
	ask(user, "set a# 0 100 3\r\nabc\r\nget a#\r\nmg a# v\r\n", "VA 3\r\nabc\r\n")
	ask(user, "add a# 0 0 1\r\nx\r\nms b 2 MA\r\nxy\r\n", "NS\r\n")
	expect(all, `type=item_get key=a%23 status=not_found clsid=1 cfd=\d+ size=0`)
	expect(all, `type=item_store key=a%23 status=stored cmd=set ttl=100 clsid=1 cfd=\d+ size=3`)
	expect(all, `type=item_get key=a%23 status=found clsid=1 cfd=\d+ size=3`)
	expect(all, `type=item_get key=a%23 status=found clsid=1 cfd=\d+ size=3`)
	expect(all, `type=item_store key=a%23 status=not_stored cmd=add ttl=0 clsid=1 cfd=\d+ size=1`)
	expect(all, `type=item_store key=b status=not_stored cmd=append ttl=0 clsid=1 cfd=\d+ size=2`)
	expect(some, `type=item_get key=a%23 status=not_found clsid=1 cfd=\d+ size=0`)
	expect(some, `type=item_get key=a%23 status=found clsid=1 cfd=\d+ size=3`)
	s.Run("CONFIG SET maxmemory-policy allkeys-lru maxmemory 1")
	io.WriteString(user, "set c 0 0 1\r\nx\r\n")
	expect(all, `type=eviction key=a%23 fetch=yes ttl=\d+ la=\d+ clsid=1 size=\d+`)
	some.Close()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		other := dial()
		if strings.Contains(ask(other, "stats\r\n", "END\r\n"), "STAT log_watchers 1\r\n") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a watcher that has gone is still there")
		}
	}
	s.Run("CONFIG SET memcached-watch no")
	if got := ask(dial(), "watch\r\n", "\r\n"); got != "CLIENT_ERROR watch commands not allowed\r\n" {
		t.Errorf("where watching is not allowed: %q", got)
	}
}

// TestSlowWatcher: what a watcher does not read is skipped beyond some bytes, and counted.
func TestSlowWatcher(t *testing.T) {
	f := newFeed(t)
	w := &slowConn{}
	c := f.NewClient(w, "127.0.0.1:9", "127.0.0.1:8", 7)
	user := f.st
	f.st = transport.State{Client: c, Most: 1 << 20}
	f.s = f.p.Open(&f.st)
	f.want(t, "watch\n", "OK\n")
	f.st = user
	f.s = f.p.Open(&f.st)
	c.OutLen.Store(1 << 20)
	f.want(t, "get a\nget a\n", "END\nEND\n")
	if len(w.lines) != 0 {
		t.Errorf("a watcher that does not read gets %q", w.lines)
	}
	c.OutLen.Store(0)
	f.want(t, "get a\n", "END\n")
	if len(w.lines) != 2 || w.lines[0] != "skipped=2\n" || !strings.Contains(w.lines[1], "type=item_get") {
		t.Errorf("behind what it has missed it gets %q", w.lines)
	}
}

// slowConn is a connection that keeps what is pushed.
type slowConn struct{ lines []string }

func (c *slowConn) Kill(bool)                     {}
func (c *slowConn) Deliver(...[]byte)             {}
func (c *slowConn) Push(b []byte)                 { c.lines = append(c.lines, string(b)) }
func (c *slowConn) Hijack(func(net.Conn, []byte)) {}

// FuzzRequests: any bytes, cut anywhere, are answered alike.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{"get a b\r\n", "set a 1 0 2\r\nhi\r\nget a\r\n", "ms a 2 T5 b\r\nhi\r\nmg a v k O1\r\n", "cas a 0 0 1 5 noreply\r\nx\r\n", "ma a N0 J5 v\r\n",
		"\x80\x01\x00\x01\x08\x00\x00\x00\x00\x00\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00ahi",
		"\x80\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "delete a 0 noreply\r\ntouch a 5\r\nincr a 1\r\n"} {
		f.Add([]byte(seed), uint16(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		if strings.Contains(string(in), "stats") || strings.Contains(string(in), "\x80\x10") || strings.Contains(string(in), "flush_all ") || strings.Contains(string(in), "me ") {
			t.Skip() // their replies tell of time and memory
		}
		a, b := newFeed(t), newFeed(t)
		b.Now = a.Now
		whole := a.send(string(in))
		n := int(cut) % (len(in) + 1)
		pieces := b.send(string(in[:n]))
		if !b.st.Closing {
			pieces += b.send(string(in[n:]))
		}
		if len(whole) != len(pieces) { // numbers of versions differ between servers
			t.Errorf("whole %.300q\ncut at %d %.300q", whole, n, pieces)
		}
	})
}
