package config

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

// redisServer is a real redis-server, the referee of these tests.
type redisServer struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// startRedis starts a redis-server of the release that the table copies, with
// the configuration file's text and a free port, or skips the test.
func startRedis(t *testing.T, dir, conf string) *redisServer {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	if v, _ := exec.Command(path, "--version").Output(); !strings.Contains(string(v), "v=7.0.15") {
		t.Skipf("redis-server is not 7.0.15: %s", v)
	}
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, file, "--port", strconv.Itoa(port))
	cmd.Dir = dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	go func() { _, _ = io.Copy(io.Discard, out) }()
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			return &redisServer{t, conn, bufio.NewReader(conn)}
		}
		if time.Now().After(deadline) {
			t.Fatalf("redis-server does not answer: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// do sends a command and returns its reply: an array flattened, or one line with its type character.
func (s *redisServer) do(args ...string) []string {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	_ = s.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := s.conn.Write([]byte(b.String())); err != nil {
		s.t.Fatal(err)
	}
	line := s.line()
	if line[0] != '*' {
		return []string{line}
	}
	n, _ := strconv.Atoi(line[1:])
	var reply []string
	for range n {
		size, _ := strconv.Atoi(s.line()[1:])
		buf := make([]byte, size+2)
		if _, err := io.ReadFull(s.r, buf); err != nil {
			s.t.Fatal(err)
		}
		reply = append(reply, string(buf[:size]))
	}
	return reply
}

func (s *redisServer) line() string {
	s.t.Helper()
	line, err := s.r.ReadString('\n')
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

func TestDefaultsAreRedis(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	s := startRedis(t, dir, "")
	c := New()
	all := s.do("CONFIG", "GET", "*")
	for i := 0; i < len(all); i += 2 {
		name, want := all[i], all[i+1]
		got := c.Get(name)
		if len(got) == 0 {
			t.Errorf("%s is missing from the table", name)
			continue
		}
		if name == "port" { // the referee got one of its own
			want = "6379"
		}
		if got[0].Value != want {
			t.Errorf("%s is %q by default, in Redis %q", name, got[0].Value, want)
		}
		if c.lookup(name).Flags&Hidden != 0 {
			t.Errorf("%s is hidden, but not in Redis", name)
		}
	}
	for _, e := range c.entries {
		if e.Flags&Hidden == 0 || e.Kind >= KindFileOnly {
			continue
		}
		if got := s.do("CONFIG", "GET", e.Name); len(got) != 2 || got[1] != e.deflt {
			t.Errorf("hidden %s is %q by default, in Redis %q", e.Name, e.deflt, got)
		}
	}
}

// TestSetIsRedis tries the same values on every directive of Redis and of ours, and compares replies and results.
func TestSetIsRedis(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	conf := "enable-protected-configs yes\nsave \"\"\n"
	s := startRedis(t, dir, conf)
	c := New()
	if err := load(c, conf+"ignore-unsupported yes"); err != nil {
		t.Fatal(err)
	}
	skip := map[string]string{
		"port": "would move the referee", "bind": "would move the referee", "tls-port": "needs a certificate", "requirepass": "would lock us out",
		"tls-replication": "needs a certificate", "tls-cluster": "needs a certificate",
		"maxclients": "depends on the system's limits", "loglevel": "has the value of Redis 7.2", "maxmemory-policy": "has the values of Redis 8.6", "activedefrag": "depends on the build",
		"oom-score-adj": "writes to /proc", "oom-score-adj-values": "writes to /proc", "appendonly": "starts work in the background",
		"watchdog-period": "arms a timer", "dir": "tested alone", "rdb-key-save-delay": "", "key-load-delay": "",
	}
	values := []string{"zzz", "", "-1", "0", "1", "010", " 5", "+5", "YES", "no", "5kb", "1GB", "10%", "101%", "1 2 3 4", "7 8", "0 1", "1  2",
		"normal 1 2 3", "slave 1kb 2 3 REPLICA 4 5 6", "master 1 2 3", "pubsub 1 2 x", "KEA", "Kgn", "Eml$", "g$lshzxetdKEmn", "g$lshzxetn",
		"99.9999999 1e1", "100.1", "nan", "a/b", "{title}x", "{foo}", "{title", "local", "always", "Everysec", "allkeys-lfu", "optional", "force now", "save nosave",
		"99999999999999999999", "9223372036854775807", "9223372036854775808", "18446744073709551615", "-9223372036854775808", "2147483648", "65536"}
	tried := 0
	for _, e := range c.entries {
		for _, name := range []string{e.Name, e.Alias} {
			if _, ok := skip[e.Name]; ok || name == "" || len(s.do("CONFIG", "GET", name)) == 0 {
				continue
			}
			before := s.do("CONFIG", "GET", name)[1]
			for _, v := range values {
				if e.Kind == KindMemPercent && len(v) > 18 && v != "9223372036854775807" {
					continue // Redis wraps around and takes it for a percentage
				}
				if e.Kind == KindEvents && (v == "no" || v == "local" || v == "nan" || v == "g$lshzxetdKEmn") {
					continue // classes of events of Redis 8.2 and 8.8
				}
				got := "+OK"
				if err := set(c, name, v); err != nil {
					got = "-ERR " + err.Error()
				}
				got = strings.Replace(got, "ocSTIVa'.", "'.", 1) // classes of events of Redis 8.2 and 8.8
				if want := s.do("CONFIG", "SET", name, v)[0]; got != want {
					t.Errorf("CONFIG SET %s %q\n gives %s\n Redis %s", name, v, got, want)
				}
				if got, want := get(t, c, name), s.do("CONFIG", "GET", name)[1]; got != want {
					t.Errorf("after CONFIG SET %s %q it is %q, in Redis %q", name, v, got, want)
				}
				tried++
			}
			if e.Changeable() {
				s.do("CONFIG", "SET", name, before)
				if err := set(c, name, before); err != nil {
					t.Errorf("CONFIG SET %s back to %q: %v", name, before, err)
				}
			}
		}
	}
	t.Logf("%d values compared", tried)

	for _, args := range [][]string{
		{"foo", "bar"}, {"", "7"}, {"MAXMEMORY", "zz"}, {"MAXMEMORY", "1", "maxmemory", "2"}, {"databases", "5", "foo", "bar"},
		{"foo", "bar", "databases", "5"}, {"hash-max-ziplist-entries", "1", "hash-max-listpack-entries", "2"}, {"Hash-Max-ziplist-entries", "zz"},
		{"timeout", "5", "appendfsync", "lru"}, {"timeout", "5", "timeout", "5"}, {"dir", "/no/such"}, {"dir", ""}, {"dir", dir},
		{"timeout", "5", "tcp-keepalive", "9"}, {"save", "1 2", "hz", "x"}, {"bind", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"},
		{"oom-score-adj-values", "1 2"}, {"oom-score-adj-values", "1 2 3000"}, {"appendonly", "maybe"}, {"tls-port", "x"}, {"maxclients", "0"},
	} {
		got := "+OK"
		if err := set(c, args...); err != nil {
			got = "-ERR " + err.Error()
		}
		if want := s.do(append([]string{"CONFIG", "SET"}, args...)...)[0]; got != want {
			t.Errorf("CONFIG SET %q\n gives %s\n Redis %s", args, got, want)
		}
	}
	for i, pair := range c.Get("timeout", "tcp-keepalive", "save", "dir", "hash-max-*", "hz") {
		if want := s.do("CONFIG", "GET", pair.Name)[1]; pair.Value != want {
			t.Errorf("%d: %s is %q, in Redis %q", i, pair.Name, pair.Value, want)
		}
	}
}

// TestRewriteIsRedis lets both rewrite the same file and compares the directives in it.
func TestRewriteIsRedis(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	conf := "# head\ntimeout 3\nsave 5 6\n\n\nsave 7 8\nslave-priority 5\nnotify-keyspace-events \"\"\nmaxclients 200\nmasterauth \"x y\\x01\"\n# foot\n"
	s := startRedis(t, dir, conf)
	path := filepath.Join(dir, "kvd.conf")
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	c := New()
	if err := c.LoadFile(path); err != nil {
		t.Fatal(err)
	}
	args := []string{"timeout", "0", "hz", "33", "save", "9 9 8 8 7 7", "proto-max-bulk-len", "2mb", "client-query-buffer-limit", "1073741823",
		"client-output-buffer-limit", "normal 1gb 5 6", "maxmemory-clients", "9%", "maxmemory-policy", "allkeys-lru", "notify-keyspace-events", "Kx",
		"replica-announce-ip", "a b", "shutdown-on-sigterm", "now force"}
	if err := set(c, args...); err != nil {
		t.Fatal(err)
	}
	if got := s.do(append([]string{"CONFIG", "SET"}, args...)...); got[0] != "+OK" {
		t.Fatal(got)
	}
	if err := c.Rewrite(); err != nil {
		t.Fatal(err)
	}
	if got := s.do("CONFIG", "REWRITE"); got[0] != "+OK" {
		t.Fatal(got)
	}
	// Redis writes these although they have their defaults; and its port was a flag.
	extra := func(line string) bool {
		return strings.HasPrefix(line, "user default ") || strings.HasPrefix(line, "latency-tracking-info-percentiles") || strings.HasPrefix(line, "port ")
	}
	read := func(name string) (head, all []string) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all = slices.DeleteFunc(strings.Split(string(b), "\n"), func(l string) bool { return l == "" || extra(l) })
		head = slices.Clone(all[:slices.Index(all, rewriteSignature)])
		slices.Sort(all)
		return head, all
	}
	gotHead, got := read("kvd.conf")
	wantHead, want := read("redis.conf")
	if !slices.Equal(gotHead, wantHead) {
		t.Errorf("rewritten lines are\n%q\nin Redis\n%q", gotHead, wantHead)
	}
	if !slices.Equal(got, want) {
		t.Errorf("all lines, sorted, are\n%q\nin Redis\n%q", got, want)
	}
}
