package tests

import (
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

// TestWaitAOFEndsWithTheLog: who waits for the log is told at once that it is off.
func TestWaitAOFEndsWithTheLog(t *testing.T) {
	s := harness.StartKVD(t, "--appendonly", "yes", "--appendfsync", "no", "--auto-aof-rewrite-percentage", "0")
	c, w := s.MustDial(t), s.MustDial(t)
	// The disk must not be what ends the wait.
	c.MustDo(t, "CONFIG", "SET", "appendfsync", "no")
	w.MustDo(t, "INCR", "n")
	w.Send("WAITAOF", "1", "1", "0") // a replica will never come
	w.Flush()
	within(t, 10*time.Second, "the client to wait", func() bool { return info(t, c, "clients", "blocked_clients") == "1" })
	c.MustDo(t, "CONFIG", "SET", "appendonly", "no")
	told := make(chan string, 1)
	go func() {
		r, err := w.Receive()
		if err != nil {
			told <- err.Error()
			return
		}
		told <- r.Err()
	}()
	select {
	case text := <-told:
		if !strings.Contains(text, "WAITAOF cannot be used when numlocal is set but appendonly is disabled.") {
			t.Error(text)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the client still waits")
	}
}
