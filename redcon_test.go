package kvd_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/tidwall/redcon"

	"kvd/kvdtest"
)

// redconServer serves h's commands, and one of the program's own before them.
func redconServer(t *testing.T, s *kvdtest.Server) string {
	h := s.Redcon()
	handler := func(conn redcon.Conn, cmd redcon.Command) {
		if strings.EqualFold(string(cmd.Args[0]), "own") {
			conn.WriteString("MINE")
			return
		}
		h.ServeRESP(conn, cmd)
	}
	h.Handler = handler
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go redcon.Serve(l, handler, h.Accept, h.Closed)
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

type line struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr string) *line {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &line{t, nc, bufio.NewReader(nc)}
}

// want sends a line, if it is not empty, and reads lines.
func (l *line) want(send string, lines ...string) {
	l.t.Helper()
	if send != "" {
		fmt.Fprint(l, send+"\r\n")
	}
	for _, want := range lines {
		if got, err := l.r.ReadString('\n'); strings.TrimRight(got, "\r\n") != want {
			l.t.Fatalf("%s: read %q, %v, want %q", send, got, err, want)
		}
	}
}

// A redcon server with kvd's handler has commands, pipelines, transactions, messages and
// waits, and the program's own commands beside them.
func TestRedcon(t *testing.T) {
	s := kvdtest.New(t)
	addr := redconServer(t, s)
	a, b := dial(t, addr), dial(t, addr)
	a.want("SET k v", "+OK")
	a.want("OWN", "+MINE")
	a.want("GET k\r\nOWN\r\nMULTI\r\nINCR n\r\nEXEC", "$1", "v", "+MINE", "+OK", "+QUEUED", "*1", ":1")
	a.want("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: ")
	// A wait, with more commands behind it.
	fmt.Fprint(a, "BLPOP l 0\r\nOWN\r\n")
	waitFor(t, func() bool { return s.Engine().BlockedClients() == 1 })
	b.want("RPUSH l x", ":1")
	a.want("", "*2", "$1", "l", "$1", "x", "+MINE")
	a.want("GET k", "$1", "v") // it is detached now
	// Messages, behind the reply that they follow.
	a.want("SUBSCRIBE c\r\nPING", "*3", "$9", "subscribe", "$1", "c", ":1", "*2", "$4", "pong", "$0", "")
	for range 3 {
		b.want("PUBLISH c hello", ":1")
		a.want("", "*3", "$7", "message", "$1", "c", "$5", "hello")
	}
	a.want("UNSUBSCRIBE", "*3", "$11", "unsubscribe", "$1", "c", ":0")
	a.want("OWN", "+MINE")
	// Messages while it waits.
	b.want("HELLO 3", "%7")
	d := dial(t, addr)
	d.want("HELLO 3", "%7")
	for range 2 * 7 {
		d.skip()
	}
	d.want("SUBSCRIBE c", ">3", "$9", "subscribe", "$1", "c", ":1")
	fmt.Fprint(d, "BLPOP l 0\r\n")
	waitFor(t, func() bool { return s.Engine().BlockedClients() == 1 })
	s.Do("PUBLISH", "c", "x")
	d.want("", ">3", "$7", "message", "$1", "c", "$1", "x")
	s.Do("RPUSH", "l", "y")
	d.want("", "*2", "$1", "l", "$1", "y")
	// Clients that go are gone, those that wait too, and take nothing.
	fmt.Fprint(a, "BLPOP l 0\r\n")
	waitFor(t, func() bool { return s.Engine().BlockedClients() == 1 })
	for _, l := range []*line{a, b, d} {
		l.Close()
	}
	waitFor(t, func() bool { return s.Engine().Clients() == 0 })
	s.Do("RPUSH", "l", "z")
	if n := s.Do("LLEN", "l"); n != int64(1) {
		t.Errorf("the list has %v elements", n)
	}
	// Those that are killed are closed, and QUIT is obeyed.
	e := dial(t, addr)
	e.want("PING", "+PONG")
	s.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	if _, err := e.r.ReadByte(); err == nil {
		t.Error("a killed client is served")
	}
	q := dial(t, addr)
	q.want("QUIT", "+OK")
	if _, err := q.r.ReadByte(); err == nil {
		t.Error("a client is served after QUIT")
	}
}

// skip reads one reply that has no elements, or an empty array.
func (l *line) skip() {
	text, err := l.r.ReadString('\n')
	if err != nil {
		l.t.Fatal(err)
	}
	if text[0] == '$' {
		if _, err := l.r.ReadString('\n'); err != nil {
			l.t.Fatal(err)
		}
	}
}

// Clients of redcon are no trusted ones: passwords and maxclients hold.
func TestRedconRefuses(t *testing.T) {
	s := kvdtest.New(t, "requirepass secret", "maxclients 2")
	addr := redconServer(t, s)
	a := dial(t, addr)
	a.want("GET k", "-NOAUTH Authentication required.")
	a.want("AUTH secret\r\nGET k", "+OK", "$-1")
	b := dial(t, addr)
	b.want("PING", "-NOAUTH Authentication required.")
	c := dial(t, addr)
	c.want("", "-ERR max number of clients reached")
}
