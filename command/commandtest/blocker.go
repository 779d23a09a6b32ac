package commandtest

import (
	"strings"

	"kvd/command"
)

// Blocker is a client that blocks.
type Blocker struct {
	*command.Client
	s    *Server
	Peer *Conn
}

// Block runs a command line on a new client, which must park.
func (s *Server) Block(line string) *Blocker {
	s.T.Helper()
	conn := NewConn()
	b := &Blocker{s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 4), s, conn}
	b.Run(line)
	return b
}

// Run runs a command line that must block.
func (b *Blocker) Run(line string) {
	b.s.T.Helper()
	mine := b.s.C
	b.s.C = b.Client
	defer func() { b.s.C = mine }()
	if got := b.s.Run(line); got != "" || !b.Blocked() {
		b.s.T.Fatalf("%s did not block but replied %q", line, got)
	}
}

// Want is what the client was sent by now, written with \n for CRLF.
func (b *Blocker) Want(reply string) {
	b.s.T.Helper()
	select {
	case got := <-b.Peer.Replies:
		if got != strings.ReplaceAll(reply, "\n", "\r\n") {
			b.s.T.Errorf("a blocked client got %q, want %q", got, reply)
		}
		if b.Blocked() {
			b.s.T.Error("a served client still counts as blocked")
		}
	default:
		b.s.T.Errorf("a blocked client got nothing, want %q", reply)
	}
}

// WantNothing checks that the client still waits.
func (b *Blocker) WantNothing() {
	b.s.T.Helper()
	select {
	case got := <-b.Peer.Replies:
		b.s.T.Errorf("a client that should wait got %q", got)
	default:
		if !b.Blocked() {
			b.s.T.Error("a client that should wait does not")
		}
	}
}

// WantNoWaiters checks that nothing is left of anybody's wait.
func (s *Server) WantNoWaiters() {
	s.T.Helper()
	if err := s.CheckIdle(); err != nil {
		s.T.Error(err)
	}
}
