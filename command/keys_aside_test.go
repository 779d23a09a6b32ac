package command

import (
	"fmt"
	"testing"
)

// TestKeysAside: a worker computes the keys of a command that has very many, and the
// command comes again for them.
func TestKeysAside(t *testing.T) {
	const n = 2 * keysAsideFrom
	pairs, names := []string{"MSET"}, []string{"DEL"}
	for i := range n {
		k := fmt.Sprint("k", i)
		pairs, names = append(pairs, k, fmt.Sprint("v", i)), append(names, k)
	}
	s := newTestServer(t)
	conn := newFakeConn()
	s.c.Conn = conn
	// again runs a command that is to come again, until it replies.
	again := func(words []string) string {
		t.Helper()
		s.x.Own = true
		defer func() { s.x.Own = false }()
		if got := s.do(words...); got != "" || s.x.Running.outcome != Again {
			t.Fatalf("%s: %.60q, outcome %d, at once; want it to come again", words[0], got, s.x.Running.outcome)
		}
		if got := conn.wait(t); got != "" {
			t.Fatalf("%s: a worker replies %.60q", words[0], got)
		}
		s.c.Working = false
		got := s.do(words...)
		if s.c.made != nil {
			t.Errorf("%s: keys are kept behind the command", words[0])
		}
		return got
	}
	if got := again(pairs); got != "+OK\r\n" {
		t.Errorf("MSET: %.60q", got)
	}
	s.want("GET k0", "$2\nv0\n")
	s.want(fmt.Sprint("GET k", n-1), fmt.Sprintf("$%d\nv%d\n", len(fmt.Sprint("v", n-1)), n-1))
	s.want("DBSIZE", fmt.Sprintf(":%d\n", n))
	if got := again(names); got != fmt.Sprintf(":%d\r\n", n) {
		t.Errorf("DEL: %.60q", got)
	}
	s.want("DBSIZE", ":0\n")

	// Keys that were made for a command that is then refused serve no other one.
	s.x.Own = true
	s.do(pairs...)
	conn.wait(t)
	s.c.Working = false
	s.want("GET k0", "$-1\n")
	if s.c.made != nil {
		t.Error("keys are kept behind another command")
	}
	// Whose arguments lie in the read buffer, and who cannot come again, is served at once.
	s.x.Own = false
	if got := s.do(pairs...); got != "+OK\r\n" {
		t.Errorf("MSET of another's arguments: %.60q", got)
	}
	s.x.Own, s.c.Conn = true, nil
	if got := s.do(names...); got != fmt.Sprintf(":%d\r\n", n) {
		t.Errorf("DEL without a connection: %.60q", got)
	}
}
