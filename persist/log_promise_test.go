package persist_test

import (
	"fmt"
	"testing"
	"time"

	"kvd/persist"
)

// TestWaitAOFStarting: WAITAOF does not count the log while its first base is being
// written, though its increment is on the disk: nothing of it would be loaded.
func TestWaitAOFStarting(t *testing.T) {
	t.Chdir(t.TempDir())
	d := &brokenDisk{Disk: persist.OSDisk}
	n := mustStart(t, d, "appendonly", "no", "save", "", "appendfsync", "always")
	d.hold.Store(true)
	n.must("config set appendonly yes")
	poll(t, "the base to begin", func() bool { return n.aof.Starting() && n.aof.Rewriting() })
	n.must("set promised v")
	n.aof.Kick()
	for asked, began := 0, time.Now(); asked < 20 || time.Since(began) < 100*time.Millisecond; asked++ {
		if r := n.run("waitaof 1 0 0"); r != "*2\r\n:0\r\n:0\r\n" {
			t.Fatalf("WAITAOF: %q, before the first base is in force", r)
		}
	}
	d.hold.Store(false)
	poll(t, "WAITAOF", func() bool { n.aof.Kick(); return n.run("waitaof 1 0 0") == "*2\r\n:1\r\n:0\r\n" })
	n.stop()
	if n = mustStart(t, nil, "appendonly", "yes"); n.run("get promised") != "$1\r\nv\r\n" {
		t.Error("what WAITAOF promised is not there")
	}
}

// TestLogOffEndsRewrite: when CONFIG SET appendonly no is answered no rewrite is
// shown any more, and BGREWRITEAOF is taken.
func TestLogOffEndsRewrite(t *testing.T) {
	t.Chdir(t.TempDir())
	n := mustStart(t, nil, "appendonly", "no", "save", "", "auto-aof-rewrite-percentage", "0")
	for i := range 500 {
		n.must(fmt.Sprintf("set k%d v", i))
	}
	for range 10 {
		n.must("config set appendonly yes")
		poll(t, "the first base", func() bool { return n.info("aof_rewrite_in_progress") == "0" && !n.aof.Starting() })
		n.must("config set rdb-key-save-delay 10000")
		n.rewriteBegun()
		n.must("config set appendonly no")
		if v := n.info("aof_rewrite_in_progress"); v != "0" {
			t.Error("a rewrite is shown")
		}
		n.must("config set rdb-key-save-delay 0")
		n.must("bgrewriteaof")
		poll(t, "the rewrite", func() bool { return n.info("aof_rewrite_in_progress") == "0" })
	}
}

func (n *node) rewriteBegun() {
	n.t.Helper()
	n.must("bgrewriteaof")
	poll(n.t, "the rewrite to begin", func() bool { return n.info("aof_rewrite_in_progress") == "1" })
}
