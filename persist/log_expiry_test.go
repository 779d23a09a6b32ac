package persist_test

import (
	"testing"
	"time"
)

// TestLogProlongs: what a later part of the log prolongs is not lost because
// its first deadline has passed when the log is loaded.
func TestLogProlongs(t *testing.T) {
	t.Chdir(t.TempDir())
	const slow = "1000" // a command of the log takes a millisecond
	n := mustStart(t, nil, "appendonly", "yes", "appendfsync", "always", "auto-aof-rewrite-percentage", "0")
	first := time.Now()
	// The base has these with deadlines.
	n.must("set counter 41 px 800")
	n.must("set kept v px 800")
	n.must("hset h f v g w")
	n.must("hpexpire h 800 fields 1 f")
	n.must("hset only f v")
	n.must("hpexpire only 800 fields 1 f")
	n.rewrite()
	// And the increment these.
	n.must("set counter2 41 px 500")
	n.must("set kept2 v px 500")
	n.must("set moved v px 500")
	n.must("rpush list a b")
	n.must("pexpire list 500")
	n.must("hset h2 f v g w")
	n.must("hpexpire h2 500 fields 1 f")
	n.must("set gone v px 400")
	for range 60 {
		n.must("set filler x")
	}
	n.must("incr counter")
	n.must("persist counter")
	n.must("pexpire kept 1000000")
	n.must("hpersist h fields 1 f")
	n.must("hpersist only fields 1 f")
	n.must("incr counter2")
	n.must("persist counter2")
	n.must("pexpire kept2 1000000")
	moved := n.run("rename moved moved2")
	n.must("set moved2 v2 keepttl")
	n.must("persist moved2")
	n.must("rpush list c")
	n.must("persist list")
	n.must("hpersist h2 fields 1 f")
	if time.Since(first) > 500*time.Millisecond {
		t.Skip("the machine is too slow for the deadlines of this test")
	}
	if moved != "+OK\r\n" {
		t.Fatalf("RENAME: %q", moved)
	}
	time.Sleep(time.Until(first.Add(900 * time.Millisecond)))
	n.run("get gone")
	poll(t, "the deadline", func() bool { return n.run("exists gone") == ":0\r\n" })
	check := func(when string) {
		t.Helper()
		for line, want := range map[string]string{
			"get counter": "$2\r\n42\r\n", "ttl counter": ":-1\r\n", "get kept": "$1\r\nv\r\n", "hget h f": "$1\r\nv\r\n", "hget only f": "$1\r\nv\r\n",
			"get counter2": "$2\r\n42\r\n", "get kept2": "$1\r\nv\r\n", "get moved2": "$2\r\nv2\r\n", "llen list": ":3\r\n", "hget h2 f": "$1\r\nv\r\n",
			"get gone": "$-1\r\n", "dbsize": ":10\r\n",
		} {
			if got := n.run(line); got != want {
				t.Errorf("%s: %s: %q, not %q", when, line, got, want)
			}
		}
	}
	check("before")
	digest := n.digest()
	same := func(when string) {
		t.Helper()
		check(when)
		if d := n.digest(); d != digest {
			t.Errorf("%s: the digest is %s, not %s", when, d, digest)
		}
	}
	n.must("config set key-load-delay " + slow)
	n.must("debug loadaof")
	same("after DEBUG LOADAOF")
	n.stop()
	n = mustStart(t, nil, "appendonly", "yes", "auto-aof-rewrite-percentage", "0", "key-load-delay", slow)
	same("after a restart")
}

// TestReloadKeepsLogTrue: DEBUG RELOAD leaves nothing out that the log has.
func TestReloadKeepsLogTrue(t *testing.T) {
	t.Chdir(t.TempDir())
	n := mustStart(t, nil, "appendonly", "yes", "appendfsync", "always", "auto-aof-rewrite-percentage", "0")
	n.must("debug set-active-expire 0")
	n.must("set counter 41 px 20")
	time.Sleep(30 * time.Millisecond)
	n.must("debug reload")
	n.must("incr counter")
	if got := n.run("get counter"); got != "$1\r\n1\r\n" {
		t.Fatal(got)
	}
	n.stop()
	n = mustStart(t, nil, "appendonly", "yes")
	if got := n.run("get counter"); got != "$1\r\n1\r\n" {
		t.Errorf("after a restart: %q", got)
	}
}
