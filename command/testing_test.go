package command

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"kvd/keyspace"
	"kvd/resp/wire"
)

// testServer is a server without a front end: commands run on one Exec, and
// what they journal is kept.
type testServer struct {
	*Server
	t       testing.TB
	x       *Exec
	c       *Client
	effects []string
	now     time.Time
}

// Effect, Begin and End make it a JournalReader.
func (s *testServer) Effect(e keyspace.Effect) {
	s.effects = append(s.effects, string(bytes.Join(e.Args, []byte(" "))))
}
func (s *testServer) Begin() { s.effects = append(s.effects, "MULTI") }
func (s *testServer) End()   { s.effects = append(s.effects, "EXEC") }

// do runs a command given as words and returns the raw reply.
func (s *testServer) do(words ...string) string {
	s.t.Helper()
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	s.x.SetTime(s.now)
	var w wire.Writer
	s.x.Run(s.c, args, &w)
	return string(w.Buf)
}

// run runs a command line, split at spaces.
func (s *testServer) run(line string) string {
	s.t.Helper()
	return s.do(strings.Fields(line)...)
}

// want runs a command line and compares the raw reply, written with \n for CRLF.
func (s *testServer) want(line, reply string) {
	s.t.Helper()
	if got := s.run(line); got != strings.ReplaceAll(reply, "\n", "\r\n") {
		s.t.Errorf("%s\n got %q\nwant %q", line, got, strings.ReplaceAll(reply, "\n", "\r\n"))
	}
}

// wantEffects compares what was journaled since the last call.
func (s *testServer) wantEffects(want ...string) {
	s.t.Helper()
	if got := strings.Join(s.effects, "\n"); got != strings.Join(want, "\n") {
		s.t.Errorf("effects:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	s.effects = nil
}
