package command

import (
	"io"
	"testing"
	"time"

	"kvd/config"
	"kvd/keyspace"
	"kvd/logf"
)

// TestTable makes a table of all commands. The tests of this package cannot import the
// families, which import this package; families_test.go, beside them, does and sets it.
var TestTable func() *Table

func newTestTable() *Table { return TestTable() }

func newTestServer(t *testing.T, renames ...[2]string) *testServer {
	t.Helper()
	table := newTestTable()
	for _, r := range renames {
		if err := table.Rename(r[0], r[1]); err != nil {
			t.Fatal(err)
		}
	}
	cfg := config.New()
	if err := cfg.SetInitial("enable-debug-command", []string{"yes"}); err != nil {
		t.Fatal(err)
	}
	ks := keyspace.New(keyspace.Options{Stripes: 16})
	s := &testServer{t: t, now: time.Now()}
	s.Server = NewServer(table, cfg, ks, logf.NewWriter(io.Discard, logf.Nothing), "test")
	s.x = s.NewExec()
	s.c = s.NewClient(nil, "127.0.0.1:1", "127.0.0.1:2", 3)
	h := ks.LockAll()
	ks.Journal.Attach(s)
	ks.Unlock(&h)
	s.activeExpire(false) // as in commandtest.New
	t.Cleanup(func() {
		if err := ks.Check(); err != nil {
			t.Error(err)
		}
		ks.Close()
	})
	return s
}
