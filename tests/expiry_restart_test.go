package tests

import (
	"fmt"
	"testing"
	"time"

	"kvd/tests/harness"
)

// TestFollowerRestartKeepsProlonged: a follower saves while keys have deadlines, is
// down while the leader takes them away, and comes back after they have passed.
// Its leader knows of no expiry, so nothing may be gone.
func TestFollowerRestartKeepsProlonged(t *testing.T) {
	leader := harness.StartKVD(t, "--save", "", "--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0")
	follower := harness.StartKVD(t, "--save", "3600 1000000", "--enable-debug-command", "yes")
	l, f := leader.MustDial(t), follower.MustDial(t)
	follow(t, f, leader.Addr)
	const keys = 2000
	each := func(args ...string) {
		for i := range keys {
			l.Send(append([]string{args[0], fmt.Sprintf("%s:%d", args[1], i)}, args[2:]...)...)
		}
		l.Flush()
		for range keys {
			if _, err := l.Receive(); err != nil {
				t.Fatal(err)
			}
		}
	}
	each("SET", "k", "v", "PX", "3000")
	each("HSET", "h", "f", "v", "g", "w")
	each("HPEXPIRE", "h", "3000", "FIELDS", "1", "f")
	set := time.Now()
	sameContents(t, l, f)
	if r := f.MustDo(t, "SAVE"); r.Err() != "" {
		t.Fatal(r)
	}
	if err := follower.Kill(); err != nil {
		t.Fatal(err)
	}
	each("PERSIST", "k")
	each("HPERSIST", "h", "FIELDS", "1", "f")
	if time.Since(set) > 3*time.Second {
		t.Skip("the machine is too slow for the deadlines of this test")
	}
	time.Sleep(time.Until(set.Add(3100 * time.Millisecond)))
	if err := follower.RestartWith("--replicaof", fmt.Sprintf("127.0.0.1 %d", leader.Port)); err != nil {
		t.Fatal(err)
	}
	f = follower.MustDial(t)
	inSync(t, f)
	if infoInt(t, l, "stats", "sync_partial_ok") == 0 {
		t.Error("there was no partial synchronization, so nothing was tried")
	}
	sameContents(t, l, f)
}
