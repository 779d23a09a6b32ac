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

// TestLogDistrustHolds: a write that is run after the log was given up, and before
// writes are refused, is not acknowledged: its reply waits for what never lasts.
func TestLogDistrustHolds(t *testing.T) {
	t.Chdir(t.TempDir())
	n := mustStart(t, nil, "appendonly", "yes", "appendfsync", "always", "auto-aof-rewrite-percentage", "0")
	n.must("set a 1")
	poll(t, "all that was appended to last", func() bool { n.aof.Kick(); _, wait := n.aof.Pending(); return !wait })
	h := n.ks.LockAll() // as a command that fails half way, and what keeps broke from its end
	n.aof.Distrust(errors.New("a test"))
	at, wait := n.aof.Pending()
	if !wait || n.aof.Synced() >= at {
		t.Error("the reply to a write that the log has not got may be sent")
	}
	n.ks.Unlock(&h)
	poll(t, "the new base", func() bool {
		_, wait := n.aof.Pending()
		return !wait && n.info("aof_last_write_status") == "ok" && n.info("aof_rewrites") == "1" && !n.aof.Rewriting()
	})
	n.must("set b 1")
	poll(t, "the next write to last", func() bool { n.aof.Kick(); _, wait := n.aof.Pending(); return !wait && n.aof.Buffered() == 0 })
}
