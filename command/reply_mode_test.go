package command

import (
	"testing"
)

// CLIENT REPLY inside EXEC leaves EXEC's array whole, and is for what follows it.
func TestReplyModeInExec(t *testing.T) {
	s := newTestServer(t)
	exec := func(want string, lines ...string) {
		t.Helper()
		s.run("multi")
		for _, line := range lines {
			s.run(line)
		}
		s.want("exec", want)
	}
	exec("*4\n+OK\n+PONG\n+OK\n+PONG\n", "client reply off", "ping", "client reply on", "ping")
	exec("*2\n+PONG\n+OK\n", "ping", "client reply off")
	s.want("ping", "")
	s.want("client reply on", "+OK\n")
	exec("*2\n+OK\n+PONG\n", "client reply skip", "ping")
	s.want("ping", "")
	s.want("ping", "+PONG\n")
	s.run("client reply off")
	exec("", "ping")
	exec("*1\n+OK\n", "client reply on")
	s.run("client reply skip")
	s.want("multi", "")
	s.want("exec", "*0\n")
}

// RESET is a command whose reply may be skipped; else it brings replies back.
func TestReplyModeAndReset(t *testing.T) {
	s := newTestServer(t)
	s.want("client reply skip", "")
	s.want("reset", "")
	s.want("ping", "+PONG\n")
	s.want("client reply off", "")
	s.want("reset", "+RESET\n")
	s.want("ping", "+PONG\n")
}
