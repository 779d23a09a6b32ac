package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kvd/tests/harness"
)

const logDir = "appendonlydir"

// moveLog gives a server the log of another one, both stopped, and starts it.
func moveLog(t *testing.T, from, to *harness.Server) {
	t.Helper()
	for _, s := range []*harness.Server{from, to} {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if check, err := exec.LookPath("redis-check-aof"); err == nil {
		out, err := exec.Command(check, filepath.Join(from.Dir, logDir, "appendonly.aof.manifest")).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "All AOF files and manifest are valid") {
			t.Errorf("redis-check-aof: %v\n%s", err, out)
		}
	}
	if err := os.RemoveAll(filepath.Join(to.Dir, logDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(to.Dir, logDir), os.DirFS(filepath.Join(from.Dir, logDir))); err != nil {
		t.Fatal(err)
	}
	if err := to.Restart(); err != nil {
		t.Fatal(err)
	}
}

// TestLogsAndRedis: the log of either is loaded by the other, with bases of both
// forms, increments and transactions.
func TestLogsAndRedis(t *testing.T) {
	for _, preamble := range []string{"yes", "no"} {
		args := []string{"--appendonly", "yes", "--aof-use-rdb-preamble", preamble, "--save", "", "--aof-timestamp-enabled", preamble}
		kvd := harness.StartKVD(t, args...)
		redis := harness.StartRedis(t, args...)
		change := func(s *harness.Server) string {
			t.Helper()
			c := s.MustDial(t)
			c.MustDo(t, "SET", "where", s.Dir)
			c.MustDo(t, "EXPIRE", "where", "10000")
			c.MustDo(t, "MULTI")
			c.MustDo(t, "SPOP", "SADD:700", "3")
			c.MustDo(t, "SELECT", "7")
			c.MustDo(t, "INCRBYFLOAT", "f", "0.1")
			c.MustDo(t, "EXEC")
			c.MustDo(t, "GETEX", "f", "EX", "5000")
			c.MustDo(t, "RPUSH", "l", "\x00", "b", "c")
			c.MustDo(t, "LMPOP", "1", "l", "LEFT", "COUNT", "2")
			return c.MustDo(t, "DEBUG", "DIGEST").Str
		}
		rewrite := func(s *harness.Server) {
			t.Helper()
			c := s.MustDial(t)
			c.MustDo(t, "BGREWRITEAOF")
			poll(t, "the rewrite", func() bool {
				return strings.Contains(c.MustDo(t, "INFO", "persistence").Str, "aof_rewrite_in_progress:0")
			})
		}
		fillAll(t, kvd.MustDial(t))
		rewrite(kvd)
		want := change(kvd)
		for i, hop := range [][2]*harness.Server{{kvd, redis}, {redis, kvd}} {
			moveLog(t, hop[0], hop[1])
			if got := hop[1].MustDial(t).MustDo(t, "DEBUG", "DIGEST").Str; got != want {
				t.Fatalf("hop %d, preamble %s: the digest is %s, was %s", i, preamble, got, want)
			}
			if i == 0 {
				rewrite(redis)
				want = change(redis)
			}
		}
		if err := redis.Restart(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLogKilled: what was acknowledged under appendfsync always is there after
// the server was killed in the middle of rewrites, each time.
func TestLogKilled(t *testing.T) {
	kvd := harness.StartKVD(t, "--appendonly", "yes", "--appendfsync", "always", "--save", "")
	const clients = 8
	var acked [clients]int
	for range 3 {
		var wg sync.WaitGroup
		for i := range clients {
			c := kvd.MustDial(t)
			wg.Go(func() {
				key := fmt.Sprint("counter", i)
				for range 10000 { // until the server is gone
					var reply harness.Reply
					var err error
					if i%2 == 0 { // in pipelines
						for range 10 {
							_ = c.Send("INCR", key)
						}
						_ = c.Flush()
						for range 10 {
							if reply, err = c.Receive(); err != nil {
								return
							}
							acked[i] = int(reply.Int)
						}
						continue
					}
					if reply, err = c.Do("INCR", key); err != nil {
						return
					}
					acked[i] = int(reply.Int)
				}
			})
		}
		c := kvd.MustDial(t)
		for range 3 {
			c.MustDo(t, "BGREWRITEAOF")
			poll(t, "the rewrite", func() bool {
				return strings.Contains(c.MustDo(t, "INFO", "persistence").Str, "aof_rewrite_in_progress:0")
			})
		}
		if _, err := c.Do("BGREWRITEAOF"); err != nil {
			t.Fatal(err)
		}
		if err := kvd.Kill(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := kvd.Restart(); err != nil {
			t.Fatal(err)
		}
		c = kvd.MustDial(t)
		for i := range clients {
			got, _ := strconv.Atoi(c.MustDo(t, "GET", fmt.Sprint("counter", i)).Str)
			if got < acked[i] {
				t.Errorf("client %d: %d was acknowledged, there is %d", i, acked[i], got)
			}
		}
	}
}

// poll waits for something that happens soon.
func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}
