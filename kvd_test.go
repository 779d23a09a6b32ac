package kvd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kvd"
	"kvd/kvdtest"
)

func client(t testing.TB, s *kvd.Server) *kvd.Client {
	t.Helper()
	c, err := s.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Replies of every kind come as Go values, in both protocols.
func TestReplies(t *testing.T) {
	c := client(t, kvdtest.New(t).Server)
	for _, step := range []struct {
		command, want string
	}{
		{"SET k v", "OK"},
		{"GET k", "v"},
		{"GET none", "<nil>"},
		{"STRLEN k", "1"},
		{"RPUSH l a b c", "3"},
		{"LRANGE l 0 -1", "[a b c]"},
		{"HSET h f 1 g 2", "2"},
		{"HGETALL h", "map[f:1 g:2]"},
		{"ZADD z 1.5 m", "1"},
		{"ZSCORE z m", "1.5"},
		{"ZRANGE z 0 -1 WITHSCORES", "[[m 1.5]]"},
		{"SADD s x", "1"},
		{"SMEMBERS s", "[x]"},
		{"INCR l", "WRONGTYPE Operation against a key holding the wrong kind of value"},
		{"NOSUCH a b", "ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' "},
		{"DEBUG PROTOCOL true", "true"},
		{"DEBUG PROTOCOL verbatim", "This is a verbatim\nstring"},
		{"HELLO 2", ""},
		{"HGETALL h", "[f 1 g 2]"},
		{"GET none", "<nil>"},
		{"ZSCORE z m", "1.5"},
		{"BLPOP none 0.001", "<nil>"},
		{"BLPOP l 0", "[l a]"},
		{"MULTI", "OK"},
		{"INCR n", "QUEUED"},
		{"EXEC", "[1]"},
	} {
		if got := fmt.Sprint(c.Do(strings.Fields(step.command)...).Value()); got != step.want && step.want != "" {
			t.Errorf("%s: %q, want %q", step.command, got, step.want)
		}
	}
	var e kvd.Error
	if err := c.Do("INCR", "l").Err(); !errors.As(err, &e) || e.Code() != "WRONGTYPE" {
		t.Errorf("the error is %v", err)
	}
	if _, err := c.Do("GET", "none").Bytes(); err != kvd.ErrNil {
		t.Errorf("null: %v", err)
	}
	if n, err := c.Do("INCR", "n").Int(); n != 2 || err != nil {
		t.Errorf("INCR: %d, %v", n, err)
	}
	if f, err := c.Do("ZSCORE", "z", "m").Float(); f != 1.5 || err != nil {
		t.Errorf("ZSCORE: %v, %v", f, err)
	}
}

// A call that waits is served by another, and ends with its context; a closed client's
// ends, too.
func TestBlocking(t *testing.T) {
	s := kvdtest.New(t)
	c := client(t, s.Server)
	got := make(chan string)
	go func() {
		v, _ := c.Do("BLPOP", "l", "0").Texts()
		got <- strings.Join(v, " ")
	}()
	waitFor(t, func() bool { return s.Engine().BlockedClients() == 1 })
	s.Do("RPUSH", "l", "x")
	if v := <-got; v != "l x" {
		t.Errorf("BLPOP got %q", v)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan kvd.Reply)
	go func() { ended <- c.Call(ctx, []byte("BLPOP"), []byte("l"), []byte("0")) }()
	waitFor(t, func() bool { return s.Engine().BlockedClients() == 1 })
	cancel()
	if r := <-ended; r.Err() != nil || !r.IsNull() {
		t.Errorf("a wait whose context ended: %v", r.Value())
	}
	if got := s.Do("LLEN", "l"); got != int64(0) {
		t.Errorf("the list has %v elements", got)
	}
	go func() { ended <- c.Do("BLPOP", "l", "0") }()
	waitFor(t, func() bool { return s.Engine().BlockedClients() == 1 })
	s.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	if err := (<-ended).Err(); err != kvd.ErrClosed {
		t.Errorf("a killed client's call: %v", err)
	}
	if err := c.Do("PING").Err(); err != kvd.ErrClosed {
		t.Errorf("a call of a killed client: %v", err)
	}
}

// A paused client waits, and a context ends that.
func TestPaused(t *testing.T) {
	s := kvdtest.New(t)
	c := client(t, s.Server)
	s.Do("CLIENT", "PAUSE", "100000000", "WRITE")
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := c.Call(ctx, []byte("SET"), []byte("k"), []byte("v")).Err(); err != context.DeadlineExceeded {
		t.Errorf("a paused call: %v", err)
	}
	if err := c.Do("PING").Err(); err != kvd.ErrClosed {
		t.Errorf("after it: %v", err)
	}
	d := client(t, s.Server)
	done := make(chan error)
	go func() { done <- d.Do("SET", "k", "v").Err() }()
	s.Do("CLIENT", "UNPAUSE")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Messages come by Receive, beside calls.
func TestReceive(t *testing.T) {
	s := kvdtest.New(t)
	c := client(t, s.Server)
	if err := c.Do("SUBSCRIBE", "news").Err(); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 3)
	go func() {
		for n := 0; n < 3; {
			r, err := c.Receive(context.Background())
			if err != nil {
				t.Error(err)
				close(got)
				return
			}
			for ok := r.Kind() != 0; ok; n++ {
				got <- fmt.Sprint(r.Value())
				r, ok = r.Next()
			}
		}
	}()
	for i := range 3 {
		s.Do("PUBLISH", "news", fmt.Sprint(i))
		if r := c.Do("PING"); r.Err() != nil {
			t.Error(r.Err())
		}
	}
	for i := range 3 {
		want := fmt.Sprintf("[message news %d]", i)
		if v := <-got; v != want {
			t.Errorf("received %s, want %s", v, want)
		}
	}
}

// Two servers in one process have their own directives, data, directories and clocks.
func TestTwoServers(t *testing.T) {
	dirs := [2]string{t.TempDir(), t.TempDir()}
	open := func(i int) *kvd.Server {
		s, err := kvd.Open(kvd.Options{Directives: []string{"dir " + dirs[i], "appendonly yes", "appendfsync always", "save 3600 1",
			fmt.Sprintf("databases %d", 4+i), fmt.Sprintf("requirepass secret%d", i)}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	two := [2]*kvd.Server{open(0), open(1)}
	if _, err := kvd.Open(kvd.Options{Directives: []string{"dir " + dirs[0], "save 3600 1"}}); err == nil || !strings.Contains(err.Error(), "kvd.lock") {
		t.Errorf("a third one in the first one's directory: %v", err)
	}
	var wg sync.WaitGroup
	for i, s := range two {
		for range 4 {
			c := client(t, s)
			wg.Go(func() {
				for n := range 200 {
					if err := c.Do("INCRBY", fmt.Sprint("k", n%20), fmt.Sprint(i+1)).Err(); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	for i, s := range two {
		c := client(t, s)
		if n, _ := c.Do("GET", "k0").Int(); n != int64(40*(i+1)) {
			t.Errorf("server %d: k0 is %d", i, n)
		}
		if err := c.Do("SELECT", "4").Err(); (err == nil) != (i == 1) {
			t.Errorf("server %d: SELECT 4: %v", i, err)
		}
		if v, _ := c.Do("CONFIG", "GET", "dir").Value().(map[string]any); v["dir"] != dirs[i] {
			t.Errorf("server %d: dir is %v", i, v)
		}
		if i == 0 {
			if err := s.Advance(time.Hour); err != nil {
				t.Error(err)
			}
		}
	}
	times := [2]int64{}
	for i, s := range two {
		v, _ := client(t, s).Do("TIME").Texts()
		fmt.Sscan(v[0], &times[i])
	}
	if d := times[0] - times[1]; d < 3500 || d > 3700 {
		t.Errorf("the clocks differ by %d s", d)
	}
	for i, s := range two {
		if err := s.Close(); err != nil {
			t.Errorf("server %d: %v", i, err)
		}
		for _, name := range []string{"dump.rdb", "appendonlydir/appendonly.aof.manifest"} {
			if _, err := os.Stat(filepath.Join(dirs[i], name)); err != nil {
				t.Error(err)
			}
		}
		again := open(i)
		if n, _ := client(t, again).Do("GET", "k0").Int(); n != int64(40*(i+1)) {
			t.Errorf("server %d, started again: k0 is %d", i, n)
		}
		again.End()
	}
	if _, err := os.Stat("appendonlydir"); err == nil {
		t.Error("a server has written into the process's directory")
	}
}

// A connection in memory speaks RESP, with pipelines longer than its buffers, and asks
// for the password.
func TestDial(t *testing.T) {
	s := kvdtest.New(t, "requirepass secret")
	nc, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(nc)
	read := func(want string) {
		t.Helper()
		if line, err := r.ReadString('\n'); strings.TrimSpace(line) != want {
			t.Errorf("read %q, %v, want %q", line, err, want)
		}
	}
	fmt.Fprint(nc, "GET k\r\n")
	read("-NOAUTH Authentication required.")
	fmt.Fprint(nc, "AUTH secret\r\nSET k v\r\n")
	read("+OK")
	read("+OK")
	const n = 50_000
	go fmt.Fprint(nc, strings.Repeat("GET k\r\n", n))
	for range n {
		read("$1")
		read("v")
	}
	nc.Close()
	waitFor(t, func() bool { return s.Engine().Clients() == 0 })
	s.End()
	if _, err := s.Dial(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dialling a server that has ended: %v", err)
	}
}

// Close saves where save points are configured, and only there.
func TestClose(t *testing.T) {
	for _, save := range []string{`save ""`, "save 3600 1"} {
		dir := t.TempDir()
		s, err := kvd.Open(kvd.Options{Directives: []string{"dir " + dir, save}})
		if err != nil {
			t.Fatal(err)
		}
		c := client(t, s)
		c.Do("SET", "k", "v")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closed twice: %v", err)
		}
		_, err = os.Stat(filepath.Join(dir, "dump.rdb"))
		if there := err == nil; there != (save != `save ""`) {
			t.Errorf("%s: there is a file: %v", save, there)
		}
		if err := c.Do("GET", "k").Err(); err != kvd.ErrClosed {
			t.Errorf("a call after Close: %v", err)
		}
	}
}

// SHUTDOWN tells the program, which closes the server.
func TestShutdown(t *testing.T) {
	s := kvdtest.New(t)
	c := client(t, s.Server)
	go c.Do("SHUTDOWN", "NOSAVE")
	select {
	case <-s.Done():
	case <-time.After(time.Minute):
		t.Fatal("nobody was told")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// What is wrong with directives is an error, and nothing is left running.
func TestOpenErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for directive, want := range map[string]string{
		"nonsense 1":                  "Bad directive",
		"dir /nonexistent":            "No such file",
		"rename-command nosuch other": "nosuch",
		"memcached-db 16":             "memcached-db 16 is none of the 16 databases",
		"databases 3\ntyrant-db 3":    "tyrant-db 3 is none of the 3 databases",
		fmt.Sprintf("port %d\nbind 127.0.0.1", l.Addr().(*net.TCPAddr).Port): "Failed listening on port",
	} {
		s, err := kvd.Open(kvd.Options{Directives: strings.Split(directive, "\n")})
		if err == nil {
			s.End()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", directive, err)
		}
	}
}

// A database that there is not is no front end's either when it is set later.
func TestFrontDatabases(t *testing.T) {
	c := client(t, kvdtest.New(t).Server)
	for _, name := range []string{"memcached-db", "tyrant-db"} {
		if err := c.Do("CONFIG", "SET", name, "15").Err(); err != nil {
			t.Errorf("%s 15: %v", name, err)
		}
		if err := c.Do("CONFIG", "SET", name, "16").Err(); err == nil || !strings.Contains(err.Error(), "none of the 16 databases") {
			t.Errorf("%s 16: %v", name, err)
		}
		if got := fmt.Sprint(c.Do("CONFIG", "GET", name).Value()); !strings.Contains(got, "15") {
			t.Errorf("%s is %s", name, got)
		}
	}
}

// Thirty days pass at once.
func TestVirtualTime(t *testing.T) {
	s := kvdtest.New(t)
	s.Do("SET", "session", "x", "EX", fmt.Sprint(30*24*3600))
	c := client(t, s.Server)
	done := make(chan any)
	go func() { done <- c.Do("BLPOP", "queue", fmt.Sprint(29*24*3600)).Value() }()
	waitFor(t, func() bool { return s.Engine().BlockedClients() == 1 })
	s.Advance(29*24*time.Hour + time.Second)
	if v := <-done; v != nil {
		t.Errorf("BLPOP replied %v", v)
	}
	if s.Do("EXISTS", "session") != int64(1) {
		t.Error("the session has ended early")
	}
	s.Advance(24 * time.Hour)
	if n := s.Engine().Keyspace.Stats.Expired.Load(); n != 1 {
		t.Errorf("%d keys have expired by themselves", n)
	}
	if err := s.Server.Advance(-1); err == nil {
		t.Error("the clock went back")
	}
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}

func BenchmarkSet(b *testing.B) {
	c, key, value := benchClient(b)
	for range b.N {
		if r := c.Call(context.Background(), []byte("SET"), key, value); r.Kind() != '+' {
			b.Fatal(r.Value())
		}
	}
}

func BenchmarkGet(b *testing.B) {
	c, key, value := benchClient(b)
	c.Call(context.Background(), []byte("SET"), key, value)
	for range b.N {
		if r := c.Call(context.Background(), []byte("GET"), key); r.Kind() != '$' {
			b.Fatal(r.Value())
		}
	}
}

func benchClient(b *testing.B) (c *kvd.Client, key, value []byte) {
	s, err := kvd.Open(kvd.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.End)
	if c, err = s.Client(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return c, []byte("key:0000000001"), make([]byte, 64)
}

// BenchmarkScriptsInParallel: two clients of a server with two loops against one of a server with one, whose scripts
// declare a key of their own each; and against what the machine gives, two servers with a loop each, which share
// nothing but the process. All run in turns, a round is 300 scripts of each client. The scripts are long beside the way to the
// server and back, on which one client keeps two processors busy, too.
func BenchmarkScriptsInParallel(b *testing.B) {
	open := func(loops int) *kvd.Server {
		s, err := kvd.Open(kvd.Options{Directives: []string{"dir " + b.TempDir(), "event-loops " + strconv.Itoa(loops)}})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(s.End)
		return s
	}
	// rate is scripts a second of clients that run at once.
	rate := func(clients ...*kvd.Client) float64 {
		const scripts = 300
		var all sync.WaitGroup
		began := time.Now()
		for i, c := range clients {
			all.Go(func() {
				for range scripts {
					r := c.Do("EVAL", "for i = 1, 200 do redis.call('INCR', KEYS[1]) end return redis.call('GET', KEYS[1])", "1", "key:"+strconv.Itoa(i))
					if err := r.Err(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		return float64(len(clients)*scripts) / time.Since(began).Seconds()
	}
	one, two, other := open(1), open(2), open(1)
	single := client(b, one)
	pair := []*kvd.Client{client(b, two), client(b, two)}
	apart := []*kvd.Client{client(b, one), client(b, other)}
	rate(append(pair, apart...)...)
	var loops, servers, share []float64
	b.ResetTimer()
	for range b.N {
		alone, together, side := rate(single), rate(pair...), rate(apart...)
		loops, servers, share = append(loops, together/alone), append(servers, side/alone), append(share, together/side)
	}
	for unit, all := range map[string][]float64{"loops/one": loops, "servers/one": servers, "loops/servers": share} {
		slices.Sort(all)
		b.ReportMetric(all[len(all)/2], unit)
	}
}
