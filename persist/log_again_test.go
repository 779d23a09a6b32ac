package persist_test

import (
	"testing"
	"time"

	"kvd/persist"
)

// TestLogOnAgain: a log that is switched on while it still ends shows its rewrite from
// the answer on, so that who waits for that waits.
func TestLogOnAgain(t *testing.T) {
	t.Chdir(t.TempDir())
	d := &brokenDisk{Disk: persist.OSDisk}
	n := mustStart(t, d, "appendonly", "yes", "save", "", "auto-aof-rewrite-percentage", "0")
	poll(t, "the first base", func() bool { return n.info("aof_rewrite_in_progress") == "0" && !n.aof.Starting() })
	n.must("set k v")
	d.slow.Store(int64(time.Hour))
	n.must("config set appendonly no")
	time.Sleep(50 * time.Millisecond) // it is ending
	if _, ok := n.aof.Lasting(); ok || n.aof.Fsynced() >= 0 {
		t.Error("what is written is promised to last in a log that was switched off")
	}
	n.must("config set appendonly yes")
	if n.info("aof_rewrite_in_progress") != "1" {
		t.Error("no rewrite is shown")
	}
	d.slow.Store(0)
	poll(t, "the rewrite", func() bool { return n.info("aof_rewrite_in_progress") == "0" })
	n.must("bgrewriteaof")
}
