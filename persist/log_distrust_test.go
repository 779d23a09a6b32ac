package persist_test

import (
	"errors"
	"testing"
)

// TestLogDistrust: when the log was not told of a change, writes are refused until
// there is a new base, and a restart finds what the contents were.
func TestLogDistrust(t *testing.T) {
	t.Chdir(t.TempDir())
	n := mustStart(t, nil, "appendonly", "yes", "appendfsync", "always", "auto-aof-rewrite-percentage", "0")
	n.must("set a 1")
	h := n.ks.LockAll()
	n.ks.Journal.Suspend(true)
	n.ks.Unlock(&h)
	n.must("set silent 1") // as a panic half way would leave it
	h = n.ks.LockAll()
	n.ks.Journal.Suspend(false)
	n.aof.Distrust(errors.New("a test"))
	n.ks.Unlock(&h)
	poll(t, "the new base", func() bool {
		return n.info("aof_last_write_status") == "ok" && n.info("aof_rewrites") == "1" && !n.aof.Rewriting()
	})
	n.must("set b 1")
	want := n.digest()
	n.stop()
	if n = mustStart(t, nil, "appendonly", "yes"); n.digest() != want {
		t.Error("the contents differ after a restart")
	}
}
