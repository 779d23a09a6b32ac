package harness

import (
	"os"
	"testing"
)

// Main runs a package's tests and removes what Binary built. TestMain calls it.
func Main(m *testing.M) {
	code := m.Run()
	Clean()
	os.Exit(code)
}

// StartKVD starts the server under test for t; at t's end it is checked and stopped, and the
// end of its log is shown if t failed. Under -short it skips t.
func StartKVD(t testing.TB, args ...string) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: needs a running server")
	}
	bin, err := Binary()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, "kvd", bin, args)
}

// StartRedis does the same with a real redis-server, and skips t where there is none.
func StartRedis(t testing.TB, args ...string) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: needs a running server")
	}
	bin, err := RedisBinary()
	if err != nil {
		t.Skip(err)
	}
	return start(t, "redis", bin, args)
}

func start(t testing.TB, name, bin string, args []string) *Server {
	t.Helper()
	s, err := Start(name, bin, t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Check(); err != nil {
			t.Errorf("at the end of the test: %v", err)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the log of %s ends:\n%s", s.Name, s.LogTail())
		}
	})
	return s
}

// MustDial connects to s and closes the connection at t's end.
func (s *Server) MustDial(t testing.TB) *Conn {
	t.Helper()
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// MustDo is Do for a command that has to get a reply, even if an error reply.
func (c *Conn) MustDo(t testing.TB, args ...string) Reply {
	t.Helper()
	r, err := c.Do(args...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return r
}
