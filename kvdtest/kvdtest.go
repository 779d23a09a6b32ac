// Package kvdtest gives each test a kvd of its own, in memory and in its process, whose
// clock the test may move.
//
//	func TestLogin(t *testing.T) {
//		s := kvdtest.New(t)
//		rdb := redis.NewClient(&redis.Options{Dialer: s.Dialer})
//		...
//		s.Advance(30 * 24 * time.Hour) // what has expired by then is gone
//	}
package kvdtest

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"kvd"
	"kvd/lockrank"
)

// Server is a server for one test, which it ends with.
type Server struct {
	*kvd.Server
	t testing.TB
}

// New starts an empty server with lines of redis.conf; "enable-debug-command yes" is set
// already. Its log is shown where the test fails.
func New(t testing.TB, directives ...string) *Server {
	t.Helper()
	log := &buffer{}
	s, err := kvd.Open(kvd.Options{Directives: append([]string{"enable-debug-command yes"}, directives...), Log: log})
	if err != nil {
		t.Fatalf("kvdtest: %v\n%s", err, log)
	}
	t.Cleanup(func() {
		s.End()
		if t.Failed() {
			t.Logf("kvd's log:\n%s", log)
		}
	})
	return &Server{s, t}
}

// Dialer is what go-redis and others take for connections: the network and the address
// do not matter.
func (s *Server) Dialer(context.Context, string, string) (net.Conn, error) { return s.Dial() }

// Advance moves the server's clock; see [kvd.Server.Advance].
func (s *Server) Advance(d time.Duration) {
	s.t.Helper()
	if err := s.Server.Advance(d); err != nil {
		s.t.Fatal(err)
	}
}

// Do runs a command on a client of its own, and returns its reply as Go values; see
// [kvd.Reply.Value]. An error ends the test.
func (s *Server) Do(words ...string) any {
	s.t.Helper()
	c, err := s.Client()
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	r := c.Do(words...)
	if err := r.Err(); err != nil {
		s.t.Fatalf("%q: %v", words, err)
	}
	return r.Value()
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu lockrank.Mutex[lockrank.TestLog] // protects b
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
