package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

// TestScriptBeside: a script that runs long leaves its event loop: others are
// served meanwhile, but for those who need its keys, who wait, and are told BUSY
// once it has run for busy-reply-threshold. SCRIPT KILL ends it, unless it has
// written.
func TestScriptBeside(t *testing.T) {
	s := harness.StartKVD(t, "--event-loops", "1", "--busy-reply-threshold", "60000")
	c, long, waits := s.MustDial(t), s.MustDial(t), s.MustDial(t)
	long.Timeout, waits.Timeout = 2*time.Minute, 2*time.Minute // thirty million steps may be slow
	c.MustDo(t, "SET", "other", "1")
	c.MustDo(t, "SET", "mine", "0")
	send := func(c *harness.Conn, args ...string) {
		t.Helper()
		if err := c.Send(args...); err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	receive := func(c *harness.Conn) string {
		t.Helper()
		r, err := c.Receive()
		if err != nil {
			t.Fatal(err)
		}
		return r.String()
	}
	// It counts in its key as it goes; nobody sees it before the end.
	const counts = "local n = 0 local t = tonumber(ARGV[1]) while n < t do n = n + 1 if n % 1000000 == 0 then redis.call('incr', KEYS[1]) end end return redis.call('get', KEYS[1])"
	send(long, "EVAL", counts, "1", "mine", "6000000")
	time.Sleep(30 * time.Millisecond)
	began := time.Now()
	for range 20 {
		if got := c.MustDo(t, "GET", "other").String(); !strings.Contains(got, "1") {
			t.Fatal(got)
		}
	}
	beside := time.Since(began)
	send(waits, "GET", "mine")
	if got := receive(waits); !strings.Contains(got, "6") {
		t.Errorf("a reader of the script's key was told %s", got)
	}
	if got := receive(long); !strings.Contains(got, "6") {
		t.Errorf("the script returned %s", got)
	}
	if took := time.Since(began); beside > took {
		t.Errorf("20 GETs beside the script took %v of its %v", beside, took)
	}

	// One whose time is over at the first look leaves its loop as others do.
	c.MustDo(t, "CONFIG", "SET", "busy-reply-threshold", "0")
	if got := long.MustDo(t, "EVAL", counts, "1", "first", "3000000").String(); !strings.Contains(got, "3") || strings.Contains(got, "ERR") {
		t.Errorf("a script whose time is over at once returned %s", got)
	}

	c.MustDo(t, "CONFIG", "SET", "busy-reply-threshold", "700")
	began = time.Now()
	send(long, "EVAL", "while true do end", "1", "mine")
	time.Sleep(30 * time.Millisecond)
	send(waits, "MULTI")
	receive(waits)
	send(waits, "INCR", "mine")
	receive(waits)
	send(waits, "EXEC")
	if got := receive(waits); !strings.Contains(got, "BUSY Redis is busy running a script") {
		t.Errorf("EXEC was told %s", got)
	}
	if took := time.Since(began); took < 690*time.Millisecond {
		t.Errorf("BUSY came %v after the script began", took)
	}
	if got := c.MustDo(t, "FUNCTION", "STATS").String(); !strings.Contains(got, "while true do end") {
		t.Errorf("FUNCTION STATS says %s", got)
	}
	if r, _ := c.Do("FUNCTION", "KILL"); !strings.HasPrefix(r.Err(), "BUSY") {
		t.Errorf("FUNCTION KILL of a script: %s", r)
	}
	c.MustDo(t, "SCRIPT", "KILL")
	if got := receive(long); !strings.Contains(got, "Script killed by user with SCRIPT KILL") {
		t.Errorf("the killed script returned %s", got)
	}
	if r, _ := c.Do("SCRIPT", "KILL"); !strings.HasPrefix(r.Err(), "NOTBUSY") {
		t.Errorf("SCRIPT KILL of none: %s", r)
	}
	c.MustDo(t, "INCR", "mine")

	// What has written is not killed, and is whole in the end.
	send(long, "EVAL", "redis.call('rpush', KEYS[1], 'a') local n = 0 while n < 3e7 do n = n + 1 end redis.call('rpush', KEYS[1], 'b') return 'done'", "1", "list")
	time.Sleep(30 * time.Millisecond)
	if r, _ := c.Do("SCRIPT", "KILL"); !strings.HasPrefix(r.Err(), "UNKILLABLE") && !strings.HasPrefix(r.Err(), "NOTBUSY") {
		t.Errorf("SCRIPT KILL of a script that has written: %s", r)
	}
	if got := receive(long); !strings.Contains(got, "done") {
		t.Errorf("the script returned %s", got)
	}
	if got := c.MustDo(t, "LRANGE", "list", "0", "-1").String(); !strings.Contains(got, "a") || !strings.Contains(got, "b") {
		t.Errorf("the list is %s", got)
	}
}

// TestScriptsInParallel: scripts that run at the same time on different keys, and
// on the same, on several loops, lose nothing.
func TestScriptsInParallel(t *testing.T) {
	s := harness.StartKVD(t, "--event-loops", "3")
	const clients, rounds = 6, 400
	done := make(chan error, clients)
	for i := range clients {
		c := s.MustDial(t)
		go func() {
			done <- func() error {
				for n := range rounds {
					// Every 50th runs for some milliseconds, so that it leaves its loop.
					script := "local v = redis.call('incr', KEYS[1]) for i = 1, tonumber(ARGV[1]) do end redis.call('incr', KEYS[2]) return v"
					turns := "10"
					if n%50 == 0 {
						turns = "300000"
					}
					r, err := c.Do("EVAL", script, "2", fmt.Sprintf("own%d", i), "shared", turns)
					if err == nil && (r.Err() != "" || r.Int != int64(n+1)) {
						err = fmt.Errorf("call %d: %s", n+1, r)
					}
					if err != nil {
						return err
					}
					if n%20 == 0 {
						if r, err := c.Do("EVAL", "return redis.call('incr', 'undeclared')", "0"); err != nil || r.Err() != "" {
							return fmt.Errorf("%v, %s", err, r)
						}
					}
				}
				return nil
			}()
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	c := s.MustDial(t)
	if got := c.MustDo(t, "MGET", "shared", "undeclared").String(); !strings.Contains(got, fmt.Sprint(clients*rounds)) || !strings.Contains(got, fmt.Sprint(clients*rounds/20)) {
		t.Errorf("the shared counters are %s", got)
	}
}

// TestFunctionsAreKept: libraries of functions come back from a snapshot and from a log,
// and a follower gets them, by a full synchronization and by the stream.
func TestFunctionsAreKept(t *testing.T) {
	const lib = "#!lua name=%s\nredis.register_function{function_name='%s', callback=function() return '%s' end, flags={'no-writes'}}"
	load := func(c *harness.Conn, name string) {
		t.Helper()
		c.MustDo(t, "FUNCTION", "LOAD", fmt.Sprintf(lib, name, name, name))
	}
	call := func(c *harness.Conn, name string) string {
		r, err := c.Do("FCALL", name, "0")
		if err != nil {
			t.Fatal(err)
		}
		return r.String()
	}
	for _, log := range []string{"no", "yes"} {
		s := harness.StartKVD(t, "--appendonly", log, "--repl-diskless-sync-delay", "0")
		c := s.MustDial(t)
		c.MustDo(t, "SET", "k", "v")
		load(c, "one")
		if log == "yes" {
			c.MustDo(t, "BGREWRITEAOF") // into the base
		}
		load(c, "two")
		c.MustDo(t, "SAVE")
		host, port, _ := strings.Cut(s.Addr, ":")
		f := harness.StartKVD(t, "--replicaof", host+" "+port)
		fc := f.MustDial(t)
		for end := time.Now().Add(20 * time.Second); !strings.Contains(fc.MustDo(t, "INFO", "replication").String(), "master_link_status:up"); {
			if time.Now().After(end) {
				t.Fatal("the follower does not follow")
			}
			time.Sleep(20 * time.Millisecond)
		}
		load(c, "three")
		c.MustDo(t, "WAIT", "1", "5000")
		for _, name := range []string{"one", "two", "three"} {
			if got := call(fc, name); !strings.Contains(got, name) {
				t.Errorf("log %s: the follower's %s: %s", log, name, got)
			}
		}
		c.MustDo(t, "FUNCTION", "DELETE", "three")
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		c = s.MustDial(t)
		for _, name := range []string{"one", "two"} {
			if got := call(c, name); !strings.Contains(got, name) {
				t.Errorf("log %s: after a restart %s: %s", log, name, got)
			}
		}
		if got := call(c, "three"); !strings.Contains(got, "Function not found") {
			t.Errorf("log %s: three is back: %s", log, got)
		}
	}
}

// TestScriptRollback: with script-rollback a script that has written can be killed while it
// runs beside the loops, and its keys are as before; follower and log have seen nothing.
func TestScriptRollback(t *testing.T) {
	s := harness.StartKVD(t, "--script-rollback", "yes", "--repl-ping-replica-period", "3600", "--appendonly", "yes", "--repl-diskless-sync-delay", "0", "--enable-debug-command", "local")
	c, long, tells := s.MustDial(t), s.MustDial(t), s.MustDial(t)
	c.MustDo(t, "FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function(keys) redis.call('SET', keys[1], 'f') redis.call('PUBLISH', 'ch', 'f') while true do end end)")
	c.MustDo(t, "SET", "k", "old", "EX", "1000")
	c.MustDo(t, "RPUSH", "l", "1", "2", "3")
	host, port, _ := strings.Cut(s.Addr, ":")
	f := harness.StartKVD(t, "--replicaof", host+" "+port, "--enable-debug-command", "local")
	fc := f.MustDial(t)
	for end := time.Now().Add(20 * time.Second); !strings.Contains(fc.MustDo(t, "INFO", "replication").String(), "master_link_status:up"); {
		if time.Now().After(end) {
			t.Fatal("the follower does not follow")
		}
		time.Sleep(20 * time.Millisecond)
	}
	tells.MustDo(t, "SUBSCRIBE", "ch")
	tracks := s.MustDial(t)
	tracks.MustDo(t, "HELLO", "3")
	tracks.MustDo(t, "CLIENT", "TRACKING", "ON")
	tracks.MustDo(t, "MGET", "k", "x1", "n")
	offset := func() string {
		_, rest, ok := strings.Cut(c.MustDo(t, "INFO", "replication").String(), "master_repl_offset:")
		n := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if !ok || n <= 0 {
			t.Fatal("no offset")
		}
		return rest[:n]
	}
	c.MustDo(t, "WAIT", "1", "5000")
	digest := c.MustDo(t, "DEBUG", "DIGEST").String()
	for _, run := range []struct {
		kill string
		args []string
	}{
		{"SCRIPT", []string{"EVAL", "redis.call('SET', KEYS[1], 'new') redis.call('LPOP', KEYS[2]) redis.call('INCR', KEYS[3]) redis.call('PUBLISH', 'ch', 's') while true do redis.call('INCR', KEYS[3]) end", "3", "k", "l", "n"}},
		{"SCRIPT", []string{"EVAL", "redis.call('FLUSHALL') redis.call('SET', 'x'..1, 1) while true do end", "0"}},
		{"FUNCTION", []string{"FCALL", "f", "1", "k"}},
	} {
		before := offset()
		if err := long.Send(run.args...); err != nil {
			t.Fatal(err)
		}
		if err := long.Flush(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			r, err := c.Do(run.kill, "KILL")
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(r.String(), "+OK") {
				break
			}
			if !strings.Contains(r.String(), "NOTBUSY") || time.Now().After(end) {
				t.Fatalf("%s KILL: %s", run.kill, r)
			}
		}
		r, err := long.Receive()
		if err != nil || !strings.Contains(r.String(), "Script killed by user") {
			t.Fatalf("%s: %v, %v", run.args, r, err)
		}
		if got := c.MustDo(t, "DEBUG", "DIGEST").String(); got != digest {
			t.Errorf("%s changed the data", run.args)
		}
		if got := offset(); got != before {
			t.Errorf("%s: the stream grew from %s to %s", run.args, before, got)
		}
	}
	c.MustDo(t, "PUBLISH", "ch", "end")
	if r, err := tells.Receive(); err != nil || !strings.Contains(r.String(), "end") {
		t.Errorf("a subscriber was sent %v, %v", r, err)
	}
	if got := fc.MustDo(t, "DEBUG", "DIGEST").String(); got != digest {
		t.Error("the follower has other data")
	}
	// A pushed invalidation would come before the reply.
	if r := tracks.MustDo(t, "PING"); r.Str != "PONG" {
		t.Errorf("a client that tracks the keys was sent %s", r)
	}

	// What cannot leave its loop is ended, and taken back, at busy-reply-threshold.
	c.MustDo(t, "CONFIG", "SET", "busy-reply-threshold", "50")
	c.MustDo(t, "MULTI")
	c.MustDo(t, "INCR", "before")
	c.MustDo(t, "EVAL", "redis.call('SET', KEYS[1], 'new') while true do end", "1", "k")
	if got := c.MustDo(t, "EXEC").String(); !strings.Contains(got, "ended after busy-reply-threshold") {
		t.Errorf("EXEC was told %s", got)
	}
	if got := c.MustDo(t, "MGET", "k", "before").Strings(); got[0] != "old" || got[1] != "1" {
		t.Errorf("after EXEC: %q", got)
	}
	c.MustDo(t, "DEL", "before")

	// The end of the server ends a script, and what it has done is neither in the log nor in memory.
	c.MustDo(t, "CONFIG", "SET", "busy-reply-threshold", "5000")
	if err := long.Send("EVAL", "redis.call('SET', KEYS[1], 'new') while true do end", "1", "k"); err != nil {
		t.Fatal(err)
	}
	if err := long.Flush(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); !strings.Contains(c.MustDo(t, "FUNCTION", "STATS").String(), "while true do end"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the script does not run")
		}
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if got := s.MustDial(t).MustDo(t, "DEBUG", "DIGEST").String(); got != digest {
		t.Error("the log has other data")
	}
}

// TestScriptsAreKept: scripts that were loaded, or called by their SHA1, are known after a
// restart from a snapshot and from a log, on a follower by either synchronization, and after
// its promotion; redis-server loads and follows all of it.
func TestScriptsAreKept(t *testing.T) {
	knows := func(c *harness.Conn, where string, sha, want string) {
		t.Helper()
		r, err := c.Do("EVALSHA", sha, "0")
		if err != nil {
			t.Fatal(err)
		}
		if got := r.String(); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", where, got, want)
		}
	}
	load := func(c *harness.Conn, text string) string {
		t.Helper()
		return c.MustDo(t, "SCRIPT", "LOAD", text).Str
	}
	for _, log := range []string{"no", "yes"} {
		s := harness.StartKVD(t, "--appendonly", log, "--repl-diskless-sync-delay", "0")
		c := s.MustDial(t)
		c.MustDo(t, "SET", "k", "v")
		gone := load(c, "return 'gone'")
		c.MustDo(t, "SCRIPT", "FLUSH")
		one := load(c, "return 'one'")
		c.MustDo(t, "EVAL", "return redis.call('SET', 'n', 'two')", "0")
		two := c.MustDo(t, "EVAL", "return redis.sha1hex(\"return redis.call('SET', 'n', 'two')\")", "0").Str
		c.MustDo(t, "EVALSHA", two, "0")
		c.MustDo(t, "SAVE")
		f, redis := harness.StartKVD(t), harness.StartRedis(t)
		fc, rc := f.MustDial(t), redis.MustDial(t)
		follow(t, fc, s.Addr)
		follow(t, rc, s.Addr)
		three := load(c, "return 'three'")
		c.MustDo(t, "WAIT", "2", "10000")
		knows(rc, "a Redis follower, by the stream", three, "three")
		if got := rc.MustDo(t, "GET", "n").Str; got != "two" {
			t.Errorf("the Redis follower has %q", got)
		}
		fc.MustDo(t, "REPLICAOF", "NO", "ONE")
		knows(fc, "a promoted follower, by the snapshot", one, "one")
		knows(fc, "a promoted follower, by the snapshot", two, "OK")
		knows(fc, "a promoted follower, by the stream", three, "three")
		knows(fc, "a promoted follower", gone, "NOSCRIPT")

		if log == "no" {
			c.MustDo(t, "SAVE")
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		// Redis takes the files.
		other := harness.StartRedis(t, "--appendonly", log)
		if err := other.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(other.Dir, "new"), os.DirFS(s.Dir)); err != nil {
			t.Fatal(err)
		}
		if err := other.RestartWith("--appendonly", log, "--dir", filepath.Join(other.Dir, "new")); err != nil {
			t.Fatal(err)
		}
		if got := other.MustDial(t).MustDo(t, "GET", "n").Str; got != "two" {
			t.Errorf("log %s: Redis loads %q from the files", log, got)
		}
		if log == "yes" {
			knows(other.MustDial(t), "Redis with the log", three, "three")
		}
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		c = s.MustDial(t)
		knows(c, "log "+log+": after a restart", one, "one")
		knows(c, "log "+log+": after a restart", two, "OK")
		knows(c, "log "+log+": after a restart", three, "three")
		knows(c, "log "+log+": after a restart", gone, "NOSCRIPT")
	}
}
