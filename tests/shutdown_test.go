package tests

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kvd/tests/harness"
)

// lagging is a leader with a follower that stands still, and the leader's connection with keys that the
// follower does not have; goOn ends that.
func lagging(t *testing.T, args ...string) (ls, fs *harness.Server, leader *harness.Conn, goOn func()) {
	t.Helper()
	ls = harness.StartKVD(t, append([]string{"--repl-diskless-sync-delay", "0"}, args...)...)
	fs = harness.StartKVD(t)
	leader = ls.MustDial(t)
	follow(t, fs.MustDial(t), ls.Addr)
	within(t, 10*time.Second, "the follower online", func() bool { return strings.Contains(info(t, leader, "replication", "slave0"), "state=online") })
	goOn = func() { syscall.Kill(fs.PID(), syscall.SIGCONT) }
	if err := syscall.Kill(fs.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(goOn)
	value := strings.Repeat("v", 5000)
	for i := range laggingKeys {
		leader.Send("SET", "k"+strconv.Itoa(i), value)
	}
	leader.Flush()
	for range laggingKeys {
		if _, err := leader.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	return
}

const laggingKeys = 2000

// TestShutdownWaits: what is acknowledged reaches the followers before the leader ends.
func TestShutdownWaits(t *testing.T) {
	for _, how := range []string{"SIGTERM", "SHUTDOWN"} {
		t.Run(how, func(t *testing.T) {
			ls, fs, leader, goOn := lagging(t)
			if how == "SIGTERM" {
				syscall.Kill(ls.PID(), syscall.SIGTERM)
			} else {
				leader.Send("SHUTDOWN")
				leader.Flush()
			}
			c := ls.MustDial(t)
			within(t, 5*time.Second, "the wait", func() bool { return info(t, c, "server", "shutdown_in_milliseconds") != "" })
			if r := c.MustDo(t, "GET", "k1"); len(r.Str) != 5000 {
				t.Errorf("reads do not go on: %s", r)
			}
			goOn()
			within(t, 15*time.Second, "the end of the leader", func() bool { return !ls.Running() })
			follower := fs.MustDial(t)
			within(t, 5*time.Second, "all keys", func() bool { return follower.MustDo(t, "DBSIZE").Int == laggingKeys })
			if err := ls.Restart(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestShutdownWaitEnds: the wait has an end, and can be cut short or given up.
func TestShutdownWaitEnds(t *testing.T) {
	ls, _, leader, goOn := lagging(t, "--shutdown-timeout", "600")
	defer goOn()
	begin := func() *harness.Conn {
		t.Helper()
		c := ls.MustDial(t)
		c.Send("SHUTDOWN")
		c.Flush()
		within(t, 5*time.Second, "the wait", func() bool { return info(t, leader, "server", "shutdown_in_milliseconds") != "" })
		return c
	}
	if r := leader.MustDo(t, "SHUTDOWN", "ABORT"); r.Err() != "ERR No shutdown in progress." {
		t.Error(r)
	}
	c := begin()
	w := ls.MustDial(t)
	w.Send("SET", "later", "1") // waits for the outcome
	w.Flush()
	if r := leader.MustDo(t, "SHUTDOWN", "ABORT"); r.String() != "OK" && string(r.Raw) != "+OK\r\n" {
		t.Error(r)
	}
	if r, err := c.Receive(); err != nil || r.Err() != "ERR Errors trying to SHUTDOWN. Check logs." {
		t.Errorf("who asked is told %v, %v", r, err)
	}
	if r, err := w.Receive(); err != nil || string(r.Raw) != "+OK\r\n" {
		t.Errorf("the write is answered %v, %v", r, err)
	}
	if v := info(t, leader, "server", "shutdown_in_milliseconds"); v != "" {
		t.Errorf("it waits on: %s", v)
	}
	begin()
	n := ls.MustDial(t)
	n.Send("SHUTDOWN", "NOW")
	n.Flush()
	within(t, 15*time.Second, "the end of the leader", func() bool { return !ls.Running() })
	if err := ls.Restart(); err != nil {
		t.Fatal(err)
	}
}

// TestShutdownTimeout: a follower that does not come back holds the leader no longer than that.
func TestShutdownTimeout(t *testing.T) {
	ls, _, _, goOn := lagging(t, "--shutdown-timeout", "1")
	defer goOn()
	begun := time.Now()
	if err := ls.Stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 900*time.Millisecond || took > 9*time.Second { // by default it would be 10 s
		t.Errorf("it took %v", took)
	}
	if err := ls.Restart(); err != nil {
		t.Fatal(err)
	}
}

// TestShutdownPingsNoMore: nothing of the leader's own comes behind the offset that the last snapshot has,
// else its followers are ahead of it and need all anew. Where the shutdown fails it goes on.
func TestShutdownPingsNoMore(t *testing.T) {
	t.Parallel()
	ls := harness.StartKVD(t, "--save", "3600 1", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--enable-protected-configs", "yes")
	leader, follower := ls.MustDial(t), harness.StartKVD(t).MustDial(t)
	follow(t, follower, ls.Addr)
	for i := range 20 {
		leader.MustDo(t, "SET", "k"+strconv.Itoa(i), "v")
	}
	if err := os.Mkdir(filepath.Join(ls.Dir, "taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	leader.MustDo(t, "CONFIG", "SET", "dbfilename", "taken")
	if r := leader.MustDo(t, "SHUTDOWN"); !strings.HasPrefix(r.Err(), "ERR Errors trying to SHUTDOWN") {
		t.Fatal(r)
	}
	offset := infoInt(t, leader, "replication", "master_repl_offset")
	within(t, 20*time.Second, "PING", func() bool { return infoInt(t, leader, "replication", "master_repl_offset") > offset })

	leader.MustDo(t, "CONFIG", "SET", "dbfilename", "dump.rdb", "rdb-key-save-delay", "120000") // longer than a period of PING
	if err := ls.Restart(); err != nil {
		t.Fatal(err)
	}
	leader = ls.MustDial(t)
	sameContents(t, leader, follower)
	if full := info(t, leader, "stats", "sync_full"); full != "0" {
		t.Errorf("%s full synchronizations\n%s", full, ls.LogTail())
	}
}

// TestWaitAOFOfFollowers: a follower tells what its disk has.
func TestWaitAOFOfFollowers(t *testing.T) {
	for _, policy := range []string{"always", "everysec"} {
		ls := harness.StartKVD(t, "--repl-diskless-sync-delay", "0")
		fs := harness.StartKVD(t, "--appendonly", "yes", "--appendfsync", policy)
		leader, follower := ls.MustDial(t), fs.MustDial(t)
		follow(t, follower, ls.Addr)
		for range 5 {
			leader.MustDo(t, "SET", "k", "v")
			if r := leader.MustDo(t, "WAITAOF", "0", "1", "10000"); string(r.Raw) != "*2\r\n:0\r\n:1\r\n" {
				t.Errorf("%s: %q", policy, r.Raw)
			}
		}
		follower.MustDo(t, "CONFIG", "SET", "appendonly", "no")
		leader.MustDo(t, "SET", "k", "w")
		if r := leader.MustDo(t, "WAITAOF", "0", "1", "1500"); string(r.Raw) != "*2\r\n:0\r\n:0\r\n" {
			t.Errorf("%s, without a log: %q", policy, r.Raw)
		}
	}
}

// TestInsist: a second SIGINT ends a server that is saving, and leaves nothing half.
func TestInsist(t *testing.T) {
	s := harness.StartKVD(t, "--save", "900", "1", "--rdb-key-save-delay", "1000000")
	c := s.MustDial(t)
	for i := range 60 {
		c.MustDo(t, "SET", "k"+strconv.Itoa(i), "v")
	}
	files := func(pattern string) int {
		list, _ := filepath.Glob(filepath.Join(s.Dir, pattern))
		return len(list)
	}
	syscall.Kill(s.PID(), syscall.SIGINT)
	within(t, 10*time.Second, "the snapshot", func() bool { return files("temp-*.rdb") == 1 })
	syscall.Kill(s.PID(), syscall.SIGINT)
	within(t, 10*time.Second, "the end", func() bool { return !s.Running() })
	if files("temp-*") > 0 || files("*.rdb") > 0 {
		t.Error("a half snapshot is left")
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
}

// TestShutdownBehindScript: a script that has written cannot be killed, but SHUTDOWN NOSAVE does not wait for
// it. What the script has written is nowhere.
func TestShutdownBehindScript(t *testing.T) {
	s := harness.StartKVD(t, "--busy-reply-threshold", "50", "--appendonly", "yes")
	c, other := s.MustDial(t), s.MustDial(t)
	follow(t, harness.StartKVD(t).MustDial(t), s.Addr) // for which an orderly end would wait
	within(t, 10*time.Second, "the follower online", func() bool { return strings.Contains(info(t, c, "replication", "slave0"), "state=online") })
	c.MustDo(t, "SET", "before", "1")
	c.Send("EVAL", "redis.call('set', KEYS[1], 'x') while true do end", "1", "k")
	c.Flush()
	within(t, 10*time.Second, "the script that cannot be killed", func() bool {
		return strings.HasPrefix(other.MustDo(t, "SCRIPT", "KILL").Err(), "UNKILLABLE")
	})
	other.Send("SHUTDOWN", "NOSAVE")
	other.Flush()
	within(t, 15*time.Second, "the end", func() bool { return !s.Running() })
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if r := s.MustDial(t).MustDo(t, "MGET", "before", "k"); string(r.Raw) != "*2\r\n$1\r\n1\r\n$-1\r\n" {
		t.Errorf("after it: %s", r)
	}
}
