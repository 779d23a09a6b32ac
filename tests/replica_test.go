package tests

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/tests/differ"
	"kvd/tests/harness"
)

// TestRedisFollows has a real Redis follow kvd through a random load of all
// commands: over the snapshot, the stream, a cut of the connection, and a
// restart of the leader.
func TestRedisFollows(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, diskless := range []string{"yes", "no"} {
		t.Run("diskless="+diskless, func(t *testing.T) {
			ks, rs := harness.StartKVD(t, "--repl-diskless-sync-delay", "0", "--repl-diskless-sync", diskless, "--save", "3600 1", "--repl-backlog-size", "64mb"), harness.StartRedis(t)
			kvd, redis := ks.MustDial(t), rs.MustDial(t)
			leader, follower := differ.Endpoint{Addr: ks.Addr}, differ.Endpoint{Addr: rs.Addr}
			w, err := differ.NewWriter(follower, seed)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			play := func(what string) {
				t.Helper()
				if err := w.Play(leader, n, 1500); err != nil {
					t.Fatalf("%s, script %d: %v", what, n, err)
				}
				n++
			}
			same := func(what string) {
				t.Helper()
				if err := differ.SameDigest(leader, follower); err != nil {
					t.Fatalf("%s, after script %d: %v\n%s", what, n-1, err, rs.LogTail())
				}
			}
			play("before")
			follow(t, redis, ks.Addr)
			same("full synchronization")
			for range 3 {
				play("stream")
				same("stream")
			}
			// The connection is cut while much is written.
			done := make(chan error, 1)
			go func() { done <- w.Play(leader, n, 3000) }()
			for range 5 {
				kvd.MustDo(t, "CLIENT", "KILL", "TYPE", "replica")
				time.Sleep(20 * time.Millisecond)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			until(t, "the link to the leader", func() bool { return info(t, redis, "all", "master_link_status") == "up" })
			same("partial synchronization")
			if full, partial := info(t, kvd, "all", "sync_full"), info(t, kvd, "all", "sync_partial_ok"); full != "1" || partial == "0" {
				t.Errorf("%s full and %s partial synchronizations", full, partial)
			}
			// A leader that is started again goes on from its snapshot's offset.
			offset := infoInt(t, kvd, "all", "master_repl_offset")
			until(t, "an acknowledgement", func() bool {
				_, acked, _ := strings.Cut(info(t, kvd, "all", "slave0"), "offset=")
				acked, _, _ = strings.Cut(acked, ",")
				n, err := strconv.ParseInt(acked, 10, 64)
				return err == nil && n >= offset // the leader's PING may have come between
			})
			if err := ks.Restart(); err != nil {
				t.Fatal(err)
			}
			kvd = ks.MustDial(t)
			until(t, "a synchronization", func() bool {
				return info(t, kvd, "all", "sync_partial_ok") == "1" || info(t, kvd, "all", "sync_full") != "0"
			})
			if full := info(t, kvd, "all", "sync_full"); full != "0" {
				t.Errorf("the restart of the leader brought about %s full synchronizations\n%s", full, ks.LogTail())
			}
			play("after the restart")
			same("restart")
			if err := ks.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWait is WAIT with followers that acknowledge, or do not.
func TestWait(t *testing.T) {
	ks, rs := harness.StartKVD(t, "--repl-diskless-sync-delay", "0"), harness.StartRedis(t)
	kvd, redis := ks.MustDial(t), rs.MustDial(t)
	follow(t, redis, ks.Addr)
	want := func(n int64, args ...string) {
		t.Helper()
		if r := kvd.MustDo(t, args...); r.Kind != ':' || r.Int != n {
			t.Errorf("%q: %s, want %d", args, r, n)
		}
	}
	until(t, "an acknowledgement", func() bool { return strings.Contains(info(t, kvd, "all", "slave0"), "state=online") })
	for i := range 20 {
		kvd.MustDo(t, "SET", "k", strconv.Itoa(i))
		want(1, "WAIT", "1", "5000")
		if got := redis.MustDo(t, "GET", "k").Str; got != strconv.Itoa(i) {
			t.Fatalf("WAIT has answered, but the follower has %q and not %d", got, i)
		}
	}
	kvd.MustDo(t, "SET", "k", "v")
	want(1, "WAIT", "1", "5000")
	begun := time.Now()
	want(1, "WAIT", "2", "150")
	if took := time.Since(begun); took < 150*time.Millisecond {
		t.Errorf("WAIT for two has answered after %v", took)
	}
	kvd.MustDo(t, "MULTI")
	kvd.MustDo(t, "SET", "k", "w")
	kvd.MustDo(t, "WAIT", "5", "0")
	if r := kvd.MustDo(t, "EXEC"); len(r.Elems) != 2 || r.Elems[1].Kind != ':' {
		t.Errorf("WAIT in EXEC: %s", r)
	}
	other := harness.StartRedis(t).MustDial(t)
	for _, args := range [][]string{{"WAIT", "x", "0"}, {"WAIT", "1", "x"}, {"WAIT", "1", "-1"}, {"REPLCONF", "a"}, {"REPLCONF", "a", "b"}, {"REPLCONF", "listening-port", "x"},
		{"REPLCONF", "rdb-only", "2"}, {"REPLCONF", "rdb-filter-only", "x"}, {"REPLCONF", "rdb-filter-only", "functions"}, {"REPLCONF", "capa", "eof", "ip-address", "1.2.3.4"}, {"REPLCONF", "capa"}, {"PSYNC", "?", "x"}} {
		if got, want := kvd.MustDo(t, args...).String(), other.MustDo(t, args...).String(); got != want {
			t.Errorf("%q: %s, Redis says %s", args, got, want)
		}
	}
}

// TestWaitAOF waits for the server's own disk, and for that of nobody else.
func TestWaitAOF(t *testing.T) {
	ks := harness.StartKVD(t, "--appendonly", "yes", "--appendfsync", "everysec")
	kvd := ks.MustDial(t)
	ask := func(args ...string) string {
		t.Helper()
		return string(kvd.MustDo(t, args...).Raw)
	}
	for range 2 {
		kvd.MustDo(t, "SET", "k", "v")
		if got := ask("WAITAOF", "1", "0", "10000"); got != "*2\r\n:1\r\n:0\r\n" {
			t.Errorf("WAITAOF 1 0: %q", got)
		}
	}
	begun := time.Now()
	if got := ask("WAITAOF", "1", "1", "50"); got != "*2\r\n:1\r\n:0\r\n" || time.Since(begun) < 50*time.Millisecond {
		t.Errorf("WAITAOF 1 1: %q after %v", got, time.Since(begun))
	}
	kvd.MustDo(t, "CONFIG", "SET", "appendonly", "no")
	if got := ask("WAITAOF", "1", "0", "0"); got != "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n" {
		t.Errorf("without a log: %q", got)
	}
	if got := ask("WAITAOF", "2", "0", "0"); got != "-ERR value is out of range, value must between 0 and 1\r\n" {
		t.Errorf("two local disks: %q", got)
	}
}
