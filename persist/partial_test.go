package persist_test

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"kvd/keyspace"
	"kvd/persist"
)

// TestNoSnapshotOfHalf: whoever wants a snapshot while the contents are being replaced
// where they stand, by whichever way, gets none, and the file before it stays.
func TestNoSnapshotOfHalf(t *testing.T) {
	t.Chdir(t.TempDir())
	n, rng := mustStart(t, nil, "appendonly", "yes"), aofRand(t)
	for range 300 {
		n.change(rng)
	}
	n.must("set whole yes")
	if _, err := n.aof.Save(); err != nil {
		t.Fatal(err)
	}
	n.rewrite()
	want := n.digest()
	file, err := os.ReadFile("dump.rdb")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	// It is called when a part of the contents has been loaded, no stripe being locked.
	n.aof.LoadFunctions = func([]string, string) (func(), error) {
		tried++
		if busy, err := n.aof.Save(); busy || err == nil {
			t.Errorf("SAVE: %v, %v", busy, err)
		}
		if err := n.aof.SaveAfter(); err == nil {
			t.Error("the save of SHUTDOWN and FLUSHALL was made")
		}
		n.aof.Background()
		n.aof.Wait()
		for _, s := range []persist.Snapshot{{Path: "rewrite.aof", Rewrite: true}, {Path: "sub-follower.rdb"}, {Stream: io.Discard}} {
			done := make(chan error, 1)
			s.At = func() []string { t.Error("it has an instant"); return nil }
			s.Done = func(err error) { done <- err }
			if n.aof.Begin(s) {
				t.Error("busy")
			} else if err := <-done; err == nil {
				t.Errorf("a snapshot %+v was made", s)
			}
		}
		if now, err := os.ReadFile("dump.rdb"); err != nil || !bytes.Equal(now, file) {
			t.Errorf("the file has become another one, of %d bytes: %v", len(now), err)
		}
		if n.aof.Failing() {
			t.Error("the refused BGSAVE counts as a failed one, which stops writes")
		}
		return nil, nil
	}
	for name, replace := range map[string]func() error{
		"a leader's snapshot":  func() error { return n.aof.Replace(bytes.NewReader(file), persist.Replacement{}) },
		"DEBUG RELOAD NOSAVE":  func() error { _, err := n.aof.Reload(true, false, false); return err },
		"DEBUG RELOAD NOFLUSH": func() error { _, err := n.aof.Reload(true, true, true); return err },
		"DEBUG LOADAOF":        n.aof.ReloadLog,
	} {
		tried = 0
		poll(t, "the log's base", func() bool { return !n.aof.Rewriting() && !n.aof.Busy() && n.info("aof_rewrite_scheduled") == "0" })
		if err := replace(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if tried != 1 {
			t.Errorf("%s: saves were tried %d times", name, tried)
		}
		if got := n.digest(); got != want {
			t.Errorf("%s: the digest is %s, want %s", name, got, want)
		}
		if err := n.aof.SaveAfter(); err != nil {
			t.Errorf("%s: a save after it: %v", name, err)
		}
		file, _ = os.ReadFile("dump.rdb")
	}
	// Contents that are loaded beside may be saved: what is served is whole.
	n.aof.LoadFunctions = func([]string, string) (func(), error) { return nil, n.aof.SaveAfter() }
	if err := n.aof.Replace(bytes.NewReader(file), persist.Replacement{Beside: true, Serve: true}); err != nil {
		t.Error(err)
	}
}

// messages are those that followers get.
type messages []string

func (m *messages) Effect(e keyspace.Effect) {
	if e.Volatile {
		*m = append(*m, string(e.Args[2]))
	}
}
func (m *messages) Begin() {}
func (m *messages) End()   {}

// TestMessagesAreNotLogged: followers get published messages, the log does not.
func TestMessagesAreNotLogged(t *testing.T) {
	t.Chdir(t.TempDir())
	n := mustStart(t, nil, "appendonly", "yes")
	var followers messages
	h := n.ks.LockAll()
	n.ks.Journal.Attach(&followers)
	n.ks.Unlock(&h)
	for _, line := range []string{"publish ch secret1", "spublish ch secret2", "multi", "publish ch secret3", "set k v1", "exec",
		"eval redis.call('publish','ch','secret4')redis.call('set','k','v2') 0"} {
		n.must(line)
	}
	if err := n.aof.Flush(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile("appendonlydir/appendonly.aof.1.incr.aof")
	if err != nil {
		t.Fatal(err)
	}
	if s := string(log); strings.Contains(s, "secret") || !strings.Contains(s, "v1") || !strings.Contains(s, "v2") {
		t.Errorf("the log is %q", s)
	}
	if got := strings.Join(followers, " "); got != "secret1 secret2 secret3 secret4" {
		t.Errorf("followers got %q", got)
	}
}
