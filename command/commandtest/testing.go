package commandtest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"kvd/command"
	"kvd/keyspace"
	"kvd/resp/wire"
)

// Server is a server without a front end: commands run on one Exec, and
// what they journal is kept.
type Server struct {
	*command.Server
	T       testing.TB
	X       *command.Exec
	C       *command.Client
	Effects []string
	Now     time.Time
}

// Effect, Begin and End make it a JournalReader.
func (s *Server) Effect(e keyspace.Effect) {
	s.Effects = append(s.Effects, string(bytes.Join(e.Args, []byte(" "))))
}
func (s *Server) Begin() { s.Effects = append(s.Effects, "MULTI") }
func (s *Server) End()   { s.Effects = append(s.Effects, "EXEC") }

// Do runs a command given as words and returns the raw reply.
func (s *Server) Do(words ...string) string {
	s.T.Helper()
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	s.X.SetTime(s.Now)
	var w wire.Writer
	s.X.Run(s.C, args, &w)
	return string(w.Buf)
}

// Run runs a command line, split at spaces.
func (s *Server) Run(line string) string {
	s.T.Helper()
	return s.Do(strings.Fields(line)...)
}

// Want runs a command line and compares the raw reply, written with \n for CRLF.
func (s *Server) Want(line, reply string) {
	s.T.Helper()
	if got := s.Run(line); got != strings.ReplaceAll(reply, "\n", "\r\n") {
		s.T.Errorf("%s\n got %q\nwant %q", line, got, strings.ReplaceAll(reply, "\n", "\r\n"))
	}
}

// WantEffects compares what was journaled since the last call.
func (s *Server) WantEffects(want ...string) {
	s.T.Helper()
	if got := strings.Join(s.Effects, "\n"); got != strings.Join(want, "\n") {
		s.T.Errorf("effects:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	s.Effects = nil
}
