package transport_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"kvd/command"
	"kvd/resp/wire"
	"kvd/tests/harness"
	"kvd/transport"
)

// echo is the smallest protocol: each line comes back; one that begins with "!"
// is a command of the server, whose reply is RESP still; "bye" ends.
type echo struct{}

func (echo) Open(st *transport.State) transport.Session { return &echoSession{st: st} }

func (echo) Refusal(text string) []byte { return []byte("go away: " + text + "\n") }

type echoSession struct {
	st *transport.State
}

func (s *echoSession) Run(x *command.Exec, w *wire.Writer, buf []byte) (used int) {
	for !s.st.Parked && !s.st.Closing && !s.st.Stalled {
		if len(w.Buf) >= s.st.Most {
			s.st.More = true
			break
		}
		n := bytes.IndexByte(buf[used:], '\n')
		if n < 0 {
			break
		}
		line := buf[used : used+n]
		switch {
		case string(line) == "bye":
			s.st.Closing = true
		case len(line) > 0 && line[0] == '!':
			var p command.Pending
			p.Set(bytes.Fields(line[1:]), used+n+1)
			switch out := x.RunPending(s.st.Client, &p, w); out {
			case command.Done:
			case command.Close:
				s.st.Closing = true
			case command.Again:
				s.st.Parked = true
				return used
			default:
				s.st.Parked = true
			}
		default:
			w.Buf = append(append(w.Buf, line...), '\n')
		}
		used += n + 1
	}
	return used
}

func (s *echoSession) Need() int { return 0 }

func (s *echoSession) Kept() int { return 0 }

func (s *echoSession) Forget() {}

// TestEcho: another protocol than RESP has a port of its own, on each transport:
// its bytes come and go in order whatever their length, its commands may wait, its
// clients are counted, refused in its own words, and closed behind the output.
func TestEcho(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		port, err := harness.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		srv.Late(transport.Endpoint{Protocol: echo{}, Directive: "tls-port", Port: func() int { return port }, Kind: "echo"})
		call := func() net.Conn {
			t.Helper()
			c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return c
		}
		c := call()
		io.WriteString(c, "hel")
		io.WriteString(c, "lo\nyou\n!PING\n!SET k v\nend\n")
		expect(t, c, "hello\nyou\n+PONG\r\n+OK\r\nend\n")
		redis := dial()
		io.WriteString(redis, "GET k\r\n")
		expect(t, redis, "$1\r\nv\r\n")

		// What waits parks the session, and its reply lets it go on.
		io.WriteString(c, "!BLPOP list 0\nbehind\n")
		awaitList(t, redis, "cmd=blpop")
		io.WriteString(redis, "RPUSH list a\r\n")
		expect(t, redis, ":1\r\n")
		expect(t, c, "*2\r\n$4\r\nlist\r\n$1\r\na\r\nbehind\n")

		// A line of some MiB, and more output than is sent at once, written before any is read.
		long := strings.Repeat("x", 3<<20) + "\n"
		go io.WriteString(c, long+strings.Repeat("0123456789\n", 500_000))
		expect(t, c, long+strings.Repeat("0123456789\n", 500_000))

		io.WriteString(redis, fmt.Sprintf("CONFIG SET maxclients %d\r\n", srv.Command().Clients()))
		expect(t, redis, "+OK\r\n")
		expect(t, call(), "go away: ERR max number of clients reached\n")
		io.WriteString(c, "last\nbye\nnever\n")
		expect(t, c, "last\n")
		if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Error("open after bye:", n, err)
		}
	}, "client-query-buffer-limit 8mb", "client-output-buffer-limit normal 0 0 0")
}
