package command_test

import (
	"fmt"
	"strings"
	"testing"

	"kvd/command/commandtest"
)

// TestWriteBeside: a command of very many arguments, and one that finds much to be done, run on a worker, are journaled
// once and count once.
func TestWriteBeside(t *testing.T) {
	s := commandtest.New(t)
	conn := commandtest.NewConn()
	s.C.Conn = conn
	beside := func(line, reply string) {
		t.Helper()
		if got := s.Run(line); got != "" {
			t.Fatalf("%.40s: %q at once, want it from a worker", line, got)
		}
		if got := conn.Wait(t); got != reply {
			t.Fatalf("%.40s: %.80q, want %q", line, got, reply)
		}
		s.C.Working = false
	}
	const n = 5000
	var zadd, sadd strings.Builder
	for i := range n {
		fmt.Fprintf(&zadd, " %d m%d", i, i)
		fmt.Fprintf(&sadd, " m%d", i)
	}
	s.Effects = nil
	beside("ZADD z"+zadd.String(), ":5000\r\n")
	s.WantEffects("ZADD z" + zadd.String())
	s.Effects = nil
	s.Run("CONFIG RESETSTAT")
	beside("ZREMRANGEBYRANK z 0 4499", ":4500\r\n")
	s.WantEffects("ZREMRANGEBYRANK z 0 4499")
	stats := s.Run("INFO all")
	for _, want := range []string{"cmdstat_zremrangebyrank:calls=1,", "total_commands_processed:2\r"} {
		if !strings.Contains(stats, want) {
			t.Errorf("INFO has no %q", want)
		}
	}
	beside("SADD z"+sadd.String(), "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n")
	// Reads of so many, too.
	s.Effects = nil
	beside("ZMSCORE y"+sadd.String(), "*5000\r\n"+strings.Repeat("$-1\r\n", n))
	s.WantEffects()
	// What is made aside comes again, and its look-ups count once.
	for i := n; i < 3*n; i++ {
		fmt.Fprintf(&zadd, " %d m%d", i, i)
	}
	beside("ZADD long"+zadd.String(), ":15000\r\n")
	s.Run("CONFIG RESETSTAT")
	if got := s.Run("ZRANGESTORE d long 0 -1"); got != "" {
		t.Fatalf("ZRANGESTORE: %q at once", got)
	}
	conn.Wait(t)
	s.C.Working = false
	s.Want("ZRANGESTORE d long 0 -1", ":15000\n")
	if stats := s.Run("INFO stats"); !strings.Contains(stats, "keyspace_hits:1\r") {
		t.Error("a look-up of a command that came again counts twice")
	}
	// Inside EXEC they run where they are.
	s.Run("MULTI")
	s.Run("ZADD y" + zadd.String())
	s.Want("EXEC", "*1\n:15000\n")
}
