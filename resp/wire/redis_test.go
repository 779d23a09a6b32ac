package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

const redisServer = "/usr/bin/redis-server"

// startRedis runs a real Redis for the time of the test and returns its
// address. The test is skipped where there is no Redis 7.0.
func startRedis(t *testing.T, args ...string) string {
	t.Helper()
	v, err := exec.Command(redisServer, "--version").Output()
	if err != nil {
		t.Skip("no redis-server")
	}
	if !bytes.Contains(v, []byte("v=7.0.")) {
		t.Skipf("want Redis 7.0, have %s", v)
	}
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprint("127.0.0.1:", port)
	cmd := exec.Command(redisServer, append([]string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1",
		"--dir", t.TempDir(), "--save", "", "--enable-debug-command", "yes"}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr
		}
	}
	t.Fatal("redis-server does not answer")
	return ""
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(60 * time.Second))
	return c
}

// talk sends raw bytes, closes its side, and returns all that comes back.
func talk(t *testing.T, addr string, in []byte) []byte {
	t.Helper()
	c := dial(t, addr)
	defer c.Close()
	c.Write(in) // Redis may hang up before it has read all
	c.(*net.TCPConn).CloseWrite()
	out, err := io.ReadAll(c)
	if err != nil && len(out) == 0 {
		t.Fatalf("%.80q: %v", in, err)
	}
	return out
}

// respond is a server of PING and ECHO on top of Scanner and Writer: what
// Redis answers to the same bytes, as far as these commands go.
func respond(in []byte, lim *Limits) []byte {
	var s Scanner
	w := Writer{Proto: 2}
	for len(in) > 0 {
		n, st, err := s.Scan(in, lim)
		if st == Error {
			w.Error(err.Error())
			break
		}
		if st == More {
			break
		}
		in = in[n:]
		if len(s.Args) == 0 {
			continue
		}
		name := strings.ToLower(string(s.Args[0]))
		switch {
		case name == "ping" && len(s.Args) == 1:
			w.SimpleString("PONG")
		case name == "ping" && len(s.Args) == 2, name == "echo" && len(s.Args) == 2:
			w.Bulk(s.Args[1])
		case name == "echo", name == "ping":
			w.Error("ERR wrong number of arguments for '" + name + "' command")
		default:
			rest := ""
			for _, a := range s.Args[1:] {
				if len(rest) >= 128 {
					break
				}
				rest += fmt.Sprintf("'%s' ", cstring(a, 128-len(rest)))
			}
			w.Error(strings.TrimRight(fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s",
				cstring(s.Args[0], 128), rest), "\r\n"))
		}
	}
	return w.Buf
}

// cstring is what C prints of b with "%.<max>s".
func cstring(b []byte, max int) []byte {
	b, _, _ = bytes.Cut(b, []byte{0})
	return b[:min(max, len(b))]
}

// hostile are inputs that broke other parsers, and the edges of the protocol.
var hostile = func() []string {
	long := strings.Repeat
	return []string{
		"*1\r\n$-2\r\n", "*1\r\n$9223372036854775807\r\n", "*1\r\n$9223372036854775808\r\n", "$-1\r\n", "*-1\r\nPING\r\n",
		"*0\r\nPING\r\n", "*-99\r\n$4\r\n", "\r\n\nPING\n", " \r\nPING\r\n", "*2147483647\r\n", "*2147483648\r\n", "*1048577\r\n",
		"*01\r\n", "*+1\r\n", "* 1\r\n", "*\r\n", "*-0\r\n", "*-\r\n", "*00\r\n", "*:\r\n", "*1 \r\n", "*9223372036854775807\r\n", "*99999999999999999999999\r\n",
		"*1\r\n$04\r\nPING\r\n", "*1\r\n$00\r\n\r\n", "*1\r\n$+4\r\nPING\r\n", "*1\r\n$\r\n\r\n", "*1\r\n$:\r\n", "*1\r\n$1:\r\n", "*1\r\n$1x0\r\n", "*1\r\n$-0\r\n",
		"*1\r\n$4\r\nPINGXXPING\r\n", "*1\rX$4\rYPING\r\n", "*1\r\n$4\nPING\r\n", "*1\n$4\nPING\r\n",
		"*1\r\nX\r\n", "*1\r\n\r\n", "*1\r\n\n\r\n", "*1\r\n\xff\r\n", "*1\r\n\x00\r\n", "*1\r\nX", "*1\r\nX\r",
		"*1\r\n$1000000000\r\n", "*1\r\n$536870913\r\n", "*1\r\n$536870912\r\n", "*1\r\n$0\r\n\r\nPING\r\n",
		"*3\r\n$4\r\nECHO\r\n*1\r\n", "*2\r\n$4\r\nECHO\r\n$12\r\nhello\r\nworld\r\nPING\r\n",
		"*2\r\n$4\r\necho\r\n$100\r\n" + long("v", 100) + "\r\nPING\r\n",
		"*2\r\n$4\r\necho\r\n$12345\r\n" + long("v", 12345) + "\r\nPING\r\n",
		"*12\r\n" + long("$1\r\na\r\n", 12) + "*10\r\n" + long("$1\r\na\r\n", 10) + "*100\r\n" + long("$1\r\na\r\n", 100) + "PING\r\n",
		"*:\r\n" + long("$1\r\na\r\n", 10), "*:1\r\n" + long("$1\r\na\r\n", 101), "*1:\r\n" + long("$1\r\na\r\n", 20), "*01\r\n$4\r\nPING\r\n",
		"*1\r\n$:\r\n" + long("a", 10) + "\r\n", "*1\r\n$:0\r\n" + long("a", 100) + "\r\n", "*1\r\n$1:\r\n" + long("a", 20) + "\r\n", "*1\r\n$10:\r\n" + long("a", 110) + "\r\n", "*1\r\n$010\r\n" + long("a", 10) + "\r\n",
		"*3\r\n$4\r\nECHO\r\n$1\r\na\r\n$1\r\nb\r\nPING\r\n*3\r\n$4\r\nECHO\r\n$1\r\na\r\n",
		"$4 PING\r\n", "PING\r\r\n", "\rPING\r\n", "GET \x00x\r\nPING\r\n",
		"ECHO \"\\x41\\n\\r\\t\\b\\a\\q\\\\\\\"\"\r\n", "ECHO \"\\x4\\x4g\\xfF\\x00\"\r\n", "ECHO 'a\\'b\\n\"'\r\n", "ECHO \"a\"b\r\n", "ECHO 'a'b\r\n", "ECHO a\"b\"\r\n", "ECHO a'b'c\r\n",
		"ECHO a\x0bb\r\n\x0bPING\r\n", "ECHO \"a\"\x0b\r\n", "ECHO a\"b\"\x0bc d\r\n", "ECHO \"\r\n", "ECHO '\r\n", "ECHO \"\\\r\n", "ECHO \"\"\r\n", "ECHO ''\r\n",
		"ECHO \"a\" \"b\"\r\n", "x \"a\" 'b' c \"d\"\r\n", "ECHO \x80\xa0b\r\n", "ECHO \"a\rb\"\r\n", "ECHO a\rb\r\n",
		long("A", 65536), long("A", 65537), "*" + long("1", 65535), "*" + long("1", 65536),
		"*1\r\n$" + long("1", 65535), "*1\r\n$" + long("1", 65536), "*1\r\n\x00" + long("1", 65536), "*1\r\n\x00" + long("1", 65535),
		"ECHO \x00" + long("A", 65536) + "\r\n",
		"*11\r\n", "*10\r\n", "*1\r\n$16385\r\n", "*1\r\n$16384\r\n",
	}
}()

func TestScannerLikeRedis(t *testing.T) {
	addr := startRedis(t)
	for _, in := range hostile {
		got, want := respond([]byte(in), &Limits{Authenticated: true}), talk(t, addr, []byte(in))
		if !bytes.Equal(got, want) {
			t.Errorf("%.100q (%d bytes)\n got %.200q\nwant %.200q", in, len(in), got, want)
		}
	}

	// Random damage to random commands.
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 3000 {
		in := randomStream(r)
		for range r.IntN(3) {
			i := r.IntN(len(in))
			switch c := "\r\n$*01-9 '\"\\x\x00\x0bA"; r.IntN(3) {
			case 0:
				in[i] = c[r.IntN(len(c))]
			case 1:
				in = append(in[:i:i], append([]byte{c[r.IntN(len(c))]}, in[i:]...)...)
			default:
				in = append(in[:i:i], in[i+1:]...)
			}
			if len(in) == 0 {
				in = []byte("\n")
			}
		}
		got, want := respond(bytes.Clone(in), &Limits{Authenticated: true}), talk(t, addr, in)
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: %q\n got %q\nwant %q", seed, in, got, want)
		}
	}
}

// randomStream is some well-formed commands.
func randomStream(r *rand.Rand) []byte {
	var b []byte
	for range 1 + r.IntN(4) {
		args := []string{"ECHO"}
		for range r.IntN(3) {
			args = append(args, strings.Repeat("a'", r.IntN(60)/(1+r.IntN(9))))
		}
		if r.IntN(4) == 0 {
			args = []string{"PING"}
		}
		if r.IntN(3) > 0 {
			b = fmt.Appendf(b, "*%d\r\n", len(args))
			for _, a := range args {
				b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
			}
			continue
		}
		for _, a := range args {
			switch r.IntN(3) {
			case 0:
				b = append(b, strconv.Quote(a)...)
			case 1:
				b = append(b, '\'')
				b = append(b, strings.ReplaceAll(a, "'", "\\'")...)
				b = append(b, '\'')
			default:
				b = append(b, strings.ReplaceAll(a, "'", "\\x20\\")...)
			}
			b = append(b, "  \t"[:1+r.IntN(3)]...)
		}
		b = append(b, "\r\n"[r.IntN(2):]...)
	}
	return b
}

func TestScannerLikeRedisUnauthenticated(t *testing.T) {
	addr := startRedis(t, "--requirepass", "x")
	for _, in := range hostile {
		// Redis refuses every command; only broken requests can be compared.
		got := respond([]byte(in), &Limits{})
		want := talk(t, addr, []byte(in))
		gotErr, wantErr := protocolError(got), protocolError(want)
		if gotErr != wantErr {
			t.Errorf("%.100q (%d bytes)\n got %.200q\nwant %.200q", in, len(in), got, want)
		}
	}
}

func protocolError(reply []byte) string {
	i := bytes.Index(reply, []byte("-ERR Protocol error"))
	if i < 0 {
		return ""
	}
	return string(reply[i:])
}

// client speaks to a real Redis in order.
type client struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
	w *bufio.Writer
}

func newClient(t *testing.T, addr string) *client {
	c := dial(t, addr)
	t.Cleanup(func() { c.Close() })
	return &client{t, c, bufio.NewReader(c), bufio.NewWriter(c)}
}

func (c *client) send(args ...string) {
	fmt.Fprintf(c.w, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(c.w, "$%d\r\n%s\r\n", len(a), a)
	}
}

// reply is one flat reply, verbatim.
func (c *client) reply() string {
	c.t.Helper()
	if err := c.w.Flush(); err != nil {
		c.t.Fatal(err)
	}
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	if n, err := strconv.Atoi(strings.TrimSpace(line[1:])); (line[0] == '$' || line[0] == '=') && err == nil && n >= 0 {
		b := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, b); err != nil {
			c.t.Fatal(err)
		}
		line += string(b)
	}
	return line
}

func (c *client) do(args ...string) string {
	c.t.Helper()
	c.send(args...)
	return c.reply()
}
