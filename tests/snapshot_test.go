package tests

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kvd/tests/harness"
)

// fillAll gives a server keys of every type, small and big, some volatile.
func fillAll(t *testing.T, c *harness.Conn) {
	t.Helper()
	for _, n := range []int{1, 5, 100, 700, 20000} {
		lists := map[string][]string{"RPUSH": nil, "SADD": nil, "ZADD": nil, "HSET": nil}
		ints := []string{}
		for i := range n {
			m := fmt.Sprintf("member %d", i*7919%100003)
			lists["RPUSH"] = append(lists["RPUSH"], m)
			lists["SADD"] = append(lists["SADD"], m)
			lists["ZADD"] = append(lists["ZADD"], fmt.Sprint(float64(i)/3), m)
			lists["HSET"] = append(lists["HSET"], m, fmt.Sprint(i))
			ints = append(ints, fmt.Sprint(i*i))
		}
		for name, args := range lists {
			c.MustDo(t, append([]string{name, fmt.Sprint(name, ":", n)}, args...)...)
		}
		c.MustDo(t, append([]string{"SADD", fmt.Sprint("ints:", n)}, ints...)...)
		c.MustDo(t, "SET", fmt.Sprint("string:", n), strings.Repeat("text ", n*4))
		c.MustDo(t, "SET", fmt.Sprint("int:", n), fmt.Sprint(n*1234567))
		c.MustDo(t, "SET", fmt.Sprint("volatile:", n), "v", "PX", fmt.Sprint(1000000*n))
		s := fmt.Sprint("XADD:", n)
		for i := range min(n, 700) {
			c.MustDo(t, "XADD", s, fmt.Sprintf("%d-%d", 1+i/3, i), "field", fmt.Sprint(i), "other", strings.Repeat("x", i%90))
		}
		c.MustDo(t, "XGROUP", "CREATE", s, "group", "0")
		c.MustDo(t, "XREADGROUP", "GROUP", "group", "a consumer", "COUNT", fmt.Sprint(1+n/2), "STREAMS", s, ">")
		c.MustDo(t, "XDEL", s, "1-0", "2-4", "5-13")
		pf, geo := []string{"PFADD", fmt.Sprint("pf:", n)}, []string{"GEOADD", fmt.Sprint("geo:", n)}
		for i := range n {
			pf = append(pf, fmt.Sprint("element ", i))
			geo = append(geo, fmt.Sprint(float64(i%360)-180), fmt.Sprint(float64(i%170)-85), fmt.Sprint("place ", i))
		}
		c.MustDo(t, pf...)
		c.MustDo(t, geo...)
		c.MustDo(t, "SELECT", "5")
		c.MustDo(t, "SET", fmt.Sprint("there:", n), "\x00\xff")
		c.MustDo(t, "SELECT", "0")
	}
}

// TestSnapshotsAndRedis: files of either are loaded by the other with nothing lost.
func TestSnapshotsAndRedis(t *testing.T) {
	for _, compress := range []string{"yes", "no"} {
		kvd := harness.StartKVD(t, "--rdbcompression", compress, "--dbfilename", "snap.rdb")
		redis := harness.StartRedis(t, "--dbfilename", "snap.rdb")
		c := kvd.MustDial(t)
		fillAll(t, c)
		want := c.MustDo(t, "DEBUG", "DIGEST").Str
		if r := c.MustDo(t, "SAVE"); r.Str != "OK" {
			t.Fatal(r)
		}
		file := filepath.Join(kvd.Dir, "snap.rdb")
		if check, err := exec.LookPath("redis-check-rdb"); err == nil {
			if out, err := exec.Command(check, file).CombinedOutput(); err != nil || !bytes.Contains(out, []byte("RDB looks OK!")) {
				t.Errorf("redis-check-rdb: %v\n%s", err, out)
			}
		}
		move := func(from, to *harness.Server) {
			t.Helper()
			b, err := os.ReadFile(filepath.Join(from.Dir, "snap.rdb"))
			if err == nil {
				err = to.Stop()
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(to.Dir, "snap.rdb"), b, 0o644)
			}
			if err == nil {
				err = to.Restart()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		pending := pendingOf(t, c)
		move(kvd, redis)
		rc := redis.MustDial(t)
		if got := pendingOf(t, rc); got != pending {
			t.Errorf("groups are in Redis\n%s\nand not\n%s", got, pending)
		}
		if got := rc.MustDo(t, "DEBUG", "DIGEST").Str; got != want {
			t.Errorf("Redis has %s of %s", got, want)
		}
		rc.MustDo(t, "LPUSH", "RPUSH:700", "more")
		want = rc.MustDo(t, "DEBUG", "DIGEST").Str
		if r := rc.MustDo(t, "SAVE"); r.Str != "OK" {
			t.Fatal(r)
		}
		move(redis, kvd)
		c = kvd.MustDial(t)
		if got := c.MustDo(t, "DEBUG", "DIGEST").Str; got != want {
			t.Errorf("kvd has %s of %s", got, want)
		}
		if got := pendingOf(t, c); got != pending {
			t.Errorf("groups came back as\n%s\nand not\n%s", got, pending)
		}
	}
}

// pendingOf tells of the groups that fillAll has made: digests do not know them.
func pendingOf(t *testing.T, c *harness.Conn) string {
	t.Helper()
	var b strings.Builder
	for _, n := range []int{1, 5, 100, 700, 20000} {
		key := fmt.Sprint("XADD:", n)
		fmt.Fprintln(&b, c.MustDo(t, "XPENDING", key, "group"), c.MustDo(t, "XINFO", "GROUPS", key))
		for _, e := range c.MustDo(t, "XPENDING", key, "group", "-", "+", "100000").Elems {
			fmt.Fprintln(&b, e.Elems[0], e.Elems[1], e.Elems[3])
		}
	}
	return b.String()
}

// field is one of INFO persistence.
func field(t *testing.T, c *harness.Conn, name string) string {
	t.Helper()
	for _, line := range strings.Split(c.MustDo(t, "INFO", "persistence").Str, "\r\n") {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return v
		}
	}
	t.Fatalf("INFO has no %s", name)
	return ""
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !cond(); {
		if time.Now().After(end) {
			t.Fatal("waited in vain: " + what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestSnapshotCommands compares what the commands about snapshots answer with Redis.
func TestSnapshotCommands(t *testing.T) {
	run := func(s *harness.Server) (out []string) {
		c := s.MustDial(t)
		do := func(args ...string) {
			r, err := c.Do(args...)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%q: %s", args, r.Raw))
		}
		idle := func() {
			until(t, "the end of a snapshot", func() bool { return field(t, c, "rdb_bgsave_in_progress") == "0" })
		}
		fields := func(names ...string) {
			for _, n := range names {
				out = append(out, n+" "+field(t, c, n))
			}
		}
		do("SET", "a", "1")
		fields("rdb_changes_since_last_save", "rdb_saves", "rdb_last_bgsave_time_sec")
		do("BGSAVE")
		idle()
		fields("rdb_changes_since_last_save", "rdb_saves", "rdb_last_bgsave_status", "rdb_current_bgsave_time_sec")
		// Either server may have met the end of a second: how many it took differs, that it took some does not.
		out = append(out, fmt.Sprint("known: ", field(t, c, "rdb_last_bgsave_time_sec") != "-1"))
		do("BGSAVE", "now")
		do("BGSAVE", "SCHEDULE", "x")
		do("SAVE", "x")
		do("MULTI")
		do("BGSAVE")
		do("EXEC")
		until(t, "the scheduled snapshot", func() bool { return field(t, c, "rdb_saves") == "2" })
		idle()
		do("MULTI")
		do("SAVE")
		do("EXEC")
		do("SAVE")
		do("CONFIG", "SET", "rdb-key-save-delay", "10000000")
		do("SET", "b", "1")
		do("BGSAVE", "SCHEDULE")
		do("BGSAVE")
		do("BGSAVE", "SCHEDULE")
		do("SAVE")
		fields("rdb_bgsave_in_progress", "rdb_changes_since_last_save")
		do("FLUSHALL")
		idle()
		do("CONFIG", "SET", "rdb-key-save-delay", "0")
		do("SET", "a", "1")
		do("DEBUG", "RELOAD")
		do("GET", "a")
		do("SET", "a", "2")
		do("DEBUG", "RELOAD", "NOSAVE")
		do("GET", "a")
		do("SET", "a", "2")
		do("DEBUG", "RELOAD", "NOSAVE", "NOFLUSH", "MERGE")
		do("GET", "a")
		do("DEBUG", "RELOAD", "LATER")
		do("CONFIG", "SET", "save", "1000 1")
		do("FLUSHALL")
		fields("rdb_changes_since_last_save", "rdb_saves")
		do("DEBUG", "RELOAD", "NOSAVE")
		do("DBSIZE")
		// A directory in the file's place makes every snapshot fail.
		if err := os.MkdirAll(filepath.Join(s.Dir, "taken", "x"), 0o755); err != nil {
			t.Fatal(err)
		}
		do("CONFIG", "SET", "dbfilename", "taken")
		do("SAVE")
		do("SET", "a", "still")
		do("BGSAVE")
		until(t, "the failure", func() bool { return field(t, c, "rdb_last_bgsave_status") == "err" })
		idle()
		do("SET", "a", "refused")
		do("GET", "a")
		do("PING")
		do("MULTI")
		do("GET", "a")
		do("DEL", "a")
		do("EXEC")
		do("SHUTDOWN")
		do("SHUTDOWN", "SAVE")
		do("SHUTDOWN", "ABORT")
		do("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
		do("SET", "a", "taken")
		do("CONFIG", "SET", "stop-writes-on-bgsave-error", "yes")
		do("SET", "a", "refused")
		do("CONFIG", "SET", "save", "")
		do("SET", "a", "taken")
		do("CONFIG", "SET", "dbfilename", "dump.rdb")
		do("BGSAVE")
		until(t, "success", func() bool { return field(t, c, "rdb_last_bgsave_status") == "ok" })
		do("CONFIG", "SET", "save", "1000 1")
		do("SET", "a", "taken")
		do("CONFIG", "SET", "save", "")
		return out
	}
	protected := []string{"--enable-protected-configs", "yes"}
	got, want := run(harness.StartKVD(t, protected...)), run(harness.StartRedis(t, protected...))
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Errorf("line %d: kvd %q\nRedis %q", i, got[min(i, len(got)-1)], want[i])
		}
	}
}

// TestShutdownSaves ends a server that is being written to, and expects all that was acknowledged.
func TestShutdownSaves(t *testing.T) {
	s := harness.StartKVD(t, "--save", "10000", "1")
	for round, end := range []func(c *harness.Conn){
		func(c *harness.Conn) { c.Do("SHUTDOWN") },
		func(c *harness.Conn) { s.Stop() },
	} {
		var wg sync.WaitGroup
		var acked [4]atomic.Int64
		for w := range acked {
			c := s.MustDial(t)
			wg.Go(func() {
				for i := 0; ; i++ {
					if r, err := c.Do("SET", fmt.Sprint(round, ":", w), fmt.Sprint(i)); err != nil || r.Str != "OK" {
						return
					}
					acked[w].Store(int64(i))
				}
			})
		}
		until(t, "ten writes of each", func() bool {
			for w := range acked {
				if acked[w].Load() < 10 {
					return false
				}
			}
			return true
		})
		end(s.MustDial(t))
		wg.Wait()
		until(t, "the end", func() bool { return !s.Running() })
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		c := s.MustDial(t)
		for w := range acked {
			n, got := acked[w].Load(), c.MustDo(t, "GET", fmt.Sprint(round, ":", w)).Str
			// A write may have been saved whose answer did not come any more.
			if got != fmt.Sprint(n) && got != fmt.Sprint(n+1) {
				t.Errorf("round %d: %s was saved, %d acknowledged", round, got, n)
			}
		}
	}
	// NOSAVE leaves the file as it was.
	c := s.MustDial(t)
	c.MustDo(t, "SET", "late", "1")
	c.Do("SHUTDOWN", "NOSAVE")
	until(t, "the end", func() bool { return !s.Running() })
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if r := s.MustDial(t).MustDo(t, "GET", "late"); !r.Null {
		t.Error("SHUTDOWN NOSAVE saved")
	}
}

// TestLoading: who comes while the file is loaded is told so.
func TestLoading(t *testing.T) {
	s := harness.StartKVD(t)
	c := s.MustDial(t)
	c.MustDo(t, "DEBUG", "POPULATE", "3000")
	c.MustDo(t, "SAVE")
	c.Close()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.RestartWith("--key-load-delay", "5000") }()
	var lc *harness.Conn
	until(t, "a connection", func() bool { var err error; lc, err = harness.Dial(s.Addr); return err == nil })
	if r, err := lc.Do("GET", "key:1"); err != nil || r.Err() != "LOADING Redis is loading the dataset in memory" {
		t.Errorf("GET: %v, %v", r, err)
	}
	if r, _ := lc.Do("CONFIG", "SET", "dir", "."); !strings.HasPrefix(r.Err(), "ERR") && !strings.HasPrefix(r.Err(), "LOADING") {
		t.Errorf("CONFIG SET dir: %v", r)
	}
	// The length is known once the file is open, a moment after the first client is let in.
	until(t, "INFO tells that it is loading", func() bool { return field(t, lc, "loading") == "1" && field(t, lc, "loading_total_bytes") != "0" })
	if r := lc.MustDo(t, "CONFIG", "SET", "key-load-delay", "0"); r.Str != "OK" { // it has been seen
		t.Error(r)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if r := lc.MustDo(t, "DBSIZE"); r.Int != 3000 || field(t, lc, "loading") != "0" {
		t.Error(r)
	}
}

// TestBadFile: a server does not start with a damaged file, nor in the directory of another.
func TestBadFile(t *testing.T) {
	s := harness.StartKVD(t, "--save", "10000", "1")
	c := s.MustDial(t)
	c.MustDo(t, "SET", "a", "b")
	c.MustDo(t, "SAVE")
	bin, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(bin, "--port", "0", "--unixsocket", filepath.Join(t.TempDir(), "s"), "--dir", s.Dir).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("kvd.lock")) {
		t.Errorf("a second server in one directory: %v\n%s", err, out)
	}
	dir := t.TempDir()
	b, _ := os.ReadFile(filepath.Join(s.Dir, "dump.rdb"))
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), b[:len(b)-3], 0o644); err != nil {
		t.Fatal(err)
	}
	out, err = exec.Command(bin, "--port", "0", "--unixsocket", filepath.Join(t.TempDir(), "s"), "--dir", dir).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("dump.rdb, at offset")) || !bytes.Contains(out, []byte("move it away")) {
		t.Errorf("a damaged file: %v\n%s", err, out)
	}
}
