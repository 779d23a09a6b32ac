package command_test

import (
	"strings"
	"testing"

	"kvd/command/commandtest"
)

// monitorConn keeps what is pushed to a monitor.
type monitorConn struct {
	*commandtest.Conn
	got []string
}

func (m *monitorConn) Push(b []byte) {
	line := strings.TrimSpace(string(b))
	m.got = append(m.got, line[strings.Index(line, "] ")+2:])
}

// A monitor with filters sees what fits all kinds of them, and any of each kind.
func TestMonitorFilters(t *testing.T) {
	for _, tt := range []struct{ filter, want string }{
		{"", `"SET" "user:1" "a" "GET" "other" "CLIENT" "SETNAME" "user:x" "SET" "user:2" "b" "GET" "user:1" "HELLO" "2" "AUTH" "(redacted)" "(redacted)"`},
		{" MATCH user:*", `"SET" "user:1" "a" "CLIENT" "SETNAME" "user:x" "SET" "user:2" "b" "GET" "user:1"`},
		{" match user:* CMD set", `"SET" "user:1" "a" "SET" "user:2" "b"`},
		{" CMD client|setname CMD GET", `"GET" "other" "CLIENT" "SETNAME" "user:x" "GET" "user:1"`},
		{" CMD client", `"CLIENT" "SETNAME" "user:x"`},
		{" DB 1", `"SET" "user:2" "b" "GET" "user:1" "HELLO" "2" "AUTH" "(redacted)" "(redacted)"`},
		{" USER nobody", ""},
		{" USER nobody USER default MATCH other", `"GET" "other"`},
		{" MATCH *secret*", ""}, // what is not shown is not looked at
	} {
		s := commandtest.New(t)
		conn := &monitorConn{Conn: commandtest.NewConn()}
		mine := s.C
		s.C = s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 4)
		s.Want("MONITOR"+tt.filter, "+OK\n")
		s.C = mine
		for _, line := range []string{"SET user:1 a", "GET other", "CLIENT SETNAME user:x", "SELECT 1", "SET user:2 b", "GET user:1", "HELLO 2 AUTH default secret"} {
			s.Run(line)
		}
		got := strings.ReplaceAll(strings.Join(conn.got, " "), `"SELECT" "1" `, "")
		if got != tt.want {
			t.Errorf("MONITOR%s\n got %s\nwant %s", tt.filter, got, tt.want)
		}
	}
	s := commandtest.New(t)
	s.C = s.NewClient(commandtest.NewConn(), "127.0.0.1:1", "127.0.0.1:2", 4)
	for _, line := range []string{"MONITOR MATCH", "MONITOR NONSENSE x", "MONITOR x"} {
		s.Want(line, "-ERR syntax error\n")
	}
	for _, line := range []string{"MONITOR DB 16", "MONITOR DB -1", "MONITOR DB x"} {
		s.Want(line, "-ERR DB index is out of range\n")
	}
}
