package tests

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"kvd/tests/harness"
)

// TestStartServesLast: nothing is served before the history stands. Clients write while a leader
// starts again; its follower goes on with a partial synchronization and has all of it.
func TestStartServesLast(t *testing.T) {
	ls := harness.StartKVD(t, "--save", "3600 1", "--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb")
	fs := harness.StartKVD(t)
	leader, follower := ls.MustDial(t), fs.MustDial(t)
	leader.MustDo(t, "DEBUG", "POPULATE", "30000", "k", "50") // which followers are not told of
	follow(t, follower, ls.Addr)
	for round := range 12 {
		leader.Close()
		if err := ls.Stop(); err != nil {
			t.Fatal(err)
		}
		var over atomic.Bool
		var writers sync.WaitGroup
		for w := range 6 {
			writers.Go(func() {
				for n := 0; !over.Load(); {
					c, err := ls.Dial()
					if err != nil {
						time.Sleep(time.Millisecond)
						continue
					}
					for err == nil && !over.Load() {
						_, err = c.Do("SET", fmt.Sprintf("w%d-%d-%d", round, w, n), "1")
						n++
					}
					c.Close()
				}
			})
		}
		err := ls.Restart()
		time.Sleep(50 * time.Millisecond)
		over.Store(true)
		writers.Wait()
		if err != nil {
			t.Fatal(err)
		}
		leader = ls.MustDial(t)
		sameContents(t, leader, follower)
		if full := info(t, leader, "stats", "sync_full"); full != "0" {
			t.Fatalf("restart %d brought about a full synchronization\n%s", round, ls.LogTail())
		}
	}
}

// TestStartExpiresNothing: a follower that starts again removes nothing by itself; the leader has
// taken the deadlines away meanwhile, of keys and of fields.
func TestStartExpiresNothing(t *testing.T) {
	ls := harness.StartKVD(t, "--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb")
	leader := ls.MustDial(t)
	fs := harness.StartKVD(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(ls.Port))
	follower := fs.MustDial(t)
	inSync(t, follower)
	const keys = 2000
	for round := range 3 {
		at := time.Now().Add(2 * time.Second).UnixMilli()
		each := func(f func(i int)) {
			for i := range keys {
				f(i)
			}
			leader.Flush()
			for range keys {
				if _, err := leader.Receive(); err != nil {
					t.Fatal(err)
				}
			}
		}
		each(func(i int) { leader.Send("SET", "k"+strconv.Itoa(i), "v", "PXAT", strconv.FormatInt(at, 10)) })
		leader.MustDo(t, "HSET", "h", "f", "v")
		leader.MustDo(t, "HPEXPIREAT", "h", strconv.FormatInt(at, 10), "FIELDS", "1", "f")
		sameContents(t, leader, follower)
		follower.MustDo(t, "SAVE")
		follower.Close()
		if err := fs.Kill(); err != nil {
			t.Fatal(err)
		}
		each(func(i int) { leader.Send("PERSIST", "k"+strconv.Itoa(i)) })
		leader.MustDo(t, "HPERSIST", "h", "FIELDS", "1", "f")
		time.Sleep(time.Until(time.UnixMilli(at)) + 100*time.Millisecond)
		if err := fs.Restart(); err != nil {
			t.Fatal(err)
		}
		follower = fs.MustDial(t)
		inSync(t, follower)
		sameContents(t, leader, follower)
		if n := info(t, follower, "stats", "expired_keys"); n != "0" {
			t.Errorf("round %d: the follower has removed %s keys by itself", round, n)
		}
		if full := info(t, leader, "stats", "sync_full"); full != "1" {
			t.Errorf("%s full synchronizations", full)
		}
	}
}

// TestStartRole: a follower is one from its first moment on, also while it loads.
func TestStartRole(t *testing.T) {
	ls := harness.StartKVD(t)
	fs := harness.StartKVD(t, "--save", "3600 1")
	c := fs.MustDial(t)
	c.MustDo(t, "DEBUG", "POPULATE", "3000")
	c.MustDo(t, "SAVE")
	c.Close()
	done := make(chan error)
	go func() {
		done <- fs.RestartWith("--replicaof", "127.0.0.1 "+strconv.Itoa(ls.Port), "--key-load-delay", "5000")
	}()
	seen := false
	for !seen {
		select {
		case err := <-done:
			t.Fatalf("it was not seen while it loads: %v", err)
		default:
		}
		c, err := fs.Dial()
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		if r, err := c.Do("SET", "k", "v"); err == nil && r.Err() != "" {
			if want := "READONLY You can't write against a read only replica."; r.Err() != want {
				t.Errorf("a write is answered %q", r.Err())
			}
			for name, want := range map[string]string{"role": "slave", "loading": "1", "master_link_status": "down", "master_port": strconv.Itoa(ls.Port)} {
				if got := info(t, c, "everything", name); got != want {
					t.Errorf("INFO's %s is %s", name, got)
				}
			}
			if hello := c.MustDo(t, "HELLO").Strings(); hello[11] != "replica" {
				t.Errorf("HELLO says %q", hello)
			}
			if r := c.MustDo(t, "CONFIG", "SET", "key-load-delay", "0"); r.Str != "OK" { // that was all
				t.Error(r)
			}
			seen = true
		}
		c.Close()
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestStopWhileStarting: SIGTERM ends a server that loads its log, or that has just loaded it.
func TestStopWhileStarting(t *testing.T) {
	s := harness.StartKVD(t, "--appendonly", "yes", "--appendfsync", "no", "--auto-aof-rewrite-percentage", "0")
	c := s.MustDial(t)
	for i := range 10000 {
		c.Send("SET", "k"+strconv.Itoa(i), "v")
	}
	c.Flush()
	for range 10000 {
		if _, err := c.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begun)
	for range 60 {
		if err := s.Stop(); err != nil { // the one before, or one that did not get ready
			t.Fatal(err)
		}
		if err := s.Begin(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rand.N(took * 13 / 10))
		if err := syscall.Kill(s.PID(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		within(t, 8*time.Second, "the end of the server", func() bool { return !s.Running() })
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
}

// TestStartShortFile: who connects while a file is loaded that takes no time to speak of waits for that, and is not told
// that the data is being loaded.
func TestStartShortFile(t *testing.T) {
	s := harness.StartKVD(t, "--save", "3600 1", "--key-load-delay", "30000")
	s.MustDial(t).MustDo(t, "SET", "k", "v")
	told := 0
	const rounds = 8
	for range rounds {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		answer := make(chan string, 1)
		go func() {
			for {
				c, err := s.Dial()
				if err != nil {
					time.Sleep(time.Millisecond)
					continue
				}
				r, err := c.Do("GET", "k")
				c.Close()
				if err != nil {
					r.Str = err.Error()
				}
				answer <- r.Str
				return
			}
		}()
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		if got := <-answer; got != "v" {
			t.Log(got)
			told++
		}
	}
	if told > rounds/2 { // some may have been, where the machine has much else to do
		t.Errorf("%d of %d clients were told something else", told, rounds)
	}
}
