package commandtest

import (
	"io"
	"testing"
	"time"

	"kvd/command"
	"kvd/command/families"
	"kvd/config"
	"kvd/keyspace"
	"kvd/logf"
)

// New makes a server with all commands, and with those of rows. Keys and fields that are due go only
// when they are looked at, until the test runs DEBUG SET-ACTIVE-EXPIRE 1. At the end of the test
// the keyspace is checked.
func New(t testing.TB, rows ...*command.Row) *Server {
	t.Helper()
	table, err := command.NewTable(append(families.All(), rows)...)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.New()
	if err := cfg.SetInitial("enable-debug-command", []string{"yes"}); err != nil {
		t.Fatal(err)
	}
	ks := keyspace.New(keyspace.Options{Stripes: 16})
	s := &Server{T: t, Now: time.Now()}
	s.Server = command.NewServer(table, cfg, ks, logf.NewWriter(io.Discard, logf.Nothing), "test")
	s.X = s.NewExec()
	s.C = s.NewClient(nil, "127.0.0.1:1", "127.0.0.1:2", 3)
	h := ks.LockAll()
	ks.Journal.Attach(s)
	ks.Unlock(&h)
	// What goes by itself is gone at a moment of its own, and its effects come from another goroutine.
	s.Run("debug set-active-expire 0")
	t.Cleanup(func() {
		if err := ks.Check(); err != nil {
			t.Error(err)
		}
		ks.Close()
	})
	return s
}
