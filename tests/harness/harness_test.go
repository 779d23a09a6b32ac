package harness

import (
	"net"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

// answer is a server that says the same to everybody, once.
func answer(t *testing.T, what string) *Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer l.Close()
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.Write([]byte(what))
	}()
	c, err := Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Timeout = 5 * time.Second
	t.Cleanup(func() { c.Close() })
	return c
}

func TestReplies(t *testing.T) {
	for _, raw := range []string{
		"+OK\r\n", "-ERR x\r\n", ":-5\r\n", "$-1\r\n", "*-1\r\n", "$0\r\n\r\n", "$4\r\na\r\nb\r\n", "*0\r\n",
		"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(123\r\n", "!3\r\nERR\r\n", "=7\r\ntxt:abc\r\n",
		"%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n+x\r\n", ">1\r\n+m\r\n", "|1\r\n+k\r\n+v\r\n:3\r\n",
	} {
		r, err := answer(t, raw).Receive()
		if err != nil {
			t.Errorf("%q: %v", raw, err)
		} else if string(r.Raw) != raw {
			t.Errorf("%q: raw is %q", raw, r.Raw)
		}
	}
	r, err := answer(t, "%2\r\n+a\r\n:1\r\n$1\r\nb\r\n~1\r\n+x\r\n").Receive()
	if err != nil {
		t.Fatal(err)
	}
	if r.Kind != '%' || len(r.Elems) != 4 || r.Elems[1].Int != 1 || r.Elems[3].Elems[0].Str != "x" || string(r.Elems[2].Raw) != "$1\r\nb\r\n" {
		t.Errorf("map read as %+v", r)
	}
}

func TestBrokenReplies(t *testing.T) {
	for _, raw := range []string{"", "+OK\n", "?x\r\n", ":1x\r\n", "$3\r\nabcd\r\n", "$-2\r\n", "*2\r\n:1\r\n", "\r\n", "#x\r\n", "$99999999999\r\n",
		strings.Repeat("*1\r\n", 100)} {
		if r, err := answer(t, raw).Receive(); err == nil {
			t.Errorf("%q was read as %+v", raw, r)
		}
	}
}

func TestStartStop(t *testing.T) {
	for _, s := range []*Server{StartKVD(t), StartRedis(t)} {
		c := s.MustDial(t)
		if r := c.MustDo(t, "SET", "k", "v"); string(r.Raw) != "+OK\r\n" {
			t.Errorf("%s: SET: %s", s.Name, r)
		}
		pid := s.PID()
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		if s.PID() == pid {
			t.Errorf("%s: the same process after Restart", s.Name)
		}
		if err := s.Check(); err != nil {
			t.Error(err)
		}
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err == nil {
			t.Errorf("%s: a dead server passed its check", s.Name)
		}
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStartFails(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: needs a running server")
	}
	bin, err := RedisBinary()
	if err != nil {
		t.Skip(err)
	}
	if s, err := Start("redis", bin, t.TempDir(), "--no-such-option", "1"); err == nil {
		s.Stop()
		t.Error("a server with an unknown option started")
	} else if !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("the error does not show the log: %v", err)
	}
}
