package command

import (
	"strings"
)

// blocker is a client that blocks.
type blocker struct {
	*Client
	s    *testServer
	conn *fakeConn
}

// block runs a command line on a new client, which must park.
func (s *testServer) block(line string) *blocker {
	s.t.Helper()
	conn := newFakeConn()
	b := &blocker{s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 4), s, conn}
	b.run(line)
	return b
}

// run runs a command line that must block.
func (b *blocker) run(line string) {
	b.s.t.Helper()
	mine := b.s.c
	b.s.c = b.Client
	defer func() { b.s.c = mine }()
	if got := b.s.run(line); got != "" || !b.Blocked() {
		b.s.t.Fatalf("%s did not block but replied %q", line, got)
	}
}

// want is what the client was sent by now, written with \n for CRLF.
func (b *blocker) want(reply string) {
	b.s.t.Helper()
	select {
	case got := <-b.conn.replies:
		if got != strings.ReplaceAll(reply, "\n", "\r\n") {
			b.s.t.Errorf("a blocked client got %q, want %q", got, reply)
		}
		if b.Blocked() {
			b.s.t.Error("a served client still counts as blocked")
		}
	default:
		b.s.t.Errorf("a blocked client got nothing, want %q", reply)
	}
}

// wantNoWaiters checks that nothing is left of anybody's wait.
func (s *testServer) wantNoWaiters() {
	s.t.Helper()
	if err := s.CheckIdle(); err != nil {
		s.t.Error(err)
	}
}
