package tests

import (
	"bufio"
	"flag"
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

// sentinelRounds is how often the leader is killed.
var sentinelRounds = flag.Int("sentinel-rounds", 1, "how often the test of Sentinel kills the leader")

// node is a kvd with a configuration file, which Sentinel has rewritten.
type node struct {
	port int
	dir  string
	proc *harness.Process
}

func (n *node) start(t *testing.T, bin string) {
	t.Helper()
	n.proc = harness.StartProcess(t, n.dir, bin, filepath.Join(n.dir, "kvd.conf"))
	n.dial(t)
}

// dial connects, for as long as it takes the server to listen.
func (n *node) dial(t *testing.T) *harness.Conn {
	t.Helper()
	var c *harness.Conn
	within(t, 10*time.Second, fmt.Sprintf("port %d answers", n.port), func() bool {
		var err error
		c, err = harness.Dial("127.0.0.1:" + strconv.Itoa(n.port))
		return err == nil
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// sentinelWriter is tests/python/sentinel.py at work.
type sentinelWriter struct {
	mu    sync.Mutex // protects what follows
	acked []int
	said  []string
}

func (w *sentinelWriter) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

// TestSentinel has Debian's Sentinel look after three kvd: the leader is killed,
// a follower takes over, redis-py goes on writing, nothing that a follower
// had acknowledged is lost, and the old leader comes back as a follower.
func TestSentinel(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: needs running servers")
	}
	sentinel, err := exec.LookPath("redis-sentinel")
	if err != nil {
		t.Skip("no redis-sentinel on PATH; tests/setup/install.sh installs it")
	}
	python := pythonWithRedis(t)
	t.Parallel()
	bin, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	freePort := func() int {
		p, err := harness.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	nodes := make([]*node, 3)
	for i := range nodes {
		n := &node{port: freePort(), dir: t.TempDir()}
		nodes[i] = n
		conf := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsave \"\"\nenable-debug-command yes\nrepl-diskless-sync-delay 0\n", n.port, n.dir)
		if i > 0 {
			conf += fmt.Sprintf("replicaof 127.0.0.1 %d\n", nodes[0].port)
		}
		write(t, filepath.Join(n.dir, "kvd.conf"), conf)
		n.start(t, bin)
	}
	for _, n := range nodes[1:] {
		inSync(t, n.dial(t))
	}
	var ports []string
	for range 3 {
		port, dir := freePort(), t.TempDir()
		ports = append(ports, strconv.Itoa(port))
		write(t, filepath.Join(dir, "sentinel.conf"), fmt.Sprintf(`port %d
bind 127.0.0.1
dir %s
sentinel monitor kvd 127.0.0.1 %d 2
sentinel down-after-milliseconds kvd 1000
sentinel failover-timeout kvd 6000
`, port, dir, nodes[0].port))
		harness.StartProcess(t, dir, sentinel, filepath.Join(dir, "sentinel.conf"))
	}
	for _, port := range ports {
		// They look around less often by themselves than a test wants to wait.
		c := (&node{port: atoi(t, port)}).dial(t)
		if r := c.MustDo(t, "SENTINEL", "DEBUG", "INFO-PERIOD", "500", "PUBLISH-PERIOD", "300"); r.Err() != "" {
			t.Log(r)
		}
	}
	watch := (&node{port: atoi(t, ports[0])}).dial(t)
	within(t, 15*time.Second, "the Sentinels know each other and the followers", func() bool {
		r := watch.MustDo(t, "SENTINEL", "MASTER", "kvd").Strings()
		f := map[string]string{}
		for i := 0; i+1 < len(r); i += 2 {
			f[r[i]] = r[i+1]
		}
		return f["num-slaves"] == "2" && f["num-other-sentinels"] == "2"
	})

	w := &sentinelWriter{}
	cmd := exec.Command(python, append([]string{filepath.Join("python", "sentinel.py")}, ports...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			w.mu.Lock()
			if n, err := strconv.Atoi(s.Text()); err == nil {
				w.acked = append(w.acked, n)
			} else if len(w.said) < 50 {
				w.said = append(w.said, s.Text())
			}
			w.mu.Unlock()
		}
	}()
	stop := sync.OnceFunc(func() { in.Close(); <-read; cmd.Wait() })
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("the client said:\n%s", strings.Join(w.said, "\n"))
		}
	})

	leader := nodes[0]
	for round := range *sentinelRounds {
		before := w.count()
		within(t, 15*time.Second, "writes are acknowledged", func() bool { return w.count() > before+50 })
		old := leader
		old.proc.Kill()
		killed := time.Now()
		leader = nil
		within(t, 20*time.Second, "a follower leads", func() bool {
			for _, n := range nodes {
				if n == old {
					continue
				}
				c, err := harness.Dial("127.0.0.1:" + strconv.Itoa(n.port))
				if err != nil {
					t.Fatal(err)
				}
				r, err := c.Do("ROLE")
				c.Close()
				if err == nil && len(r.Elems) > 0 && r.Elems[0].Str == "master" {
					leader = n
					return true
				}
			}
			return false
		})
		took := time.Since(killed)
		at := w.count()
		within(t, 20*time.Second, "writes go on", func() bool { return w.count() > at+50 })
		again := time.Since(killed)
		old.start(t, bin)
		within(t, 20*time.Second, "the old leader follows", func() bool {
			// Sentinel ends connections when it makes a server follow.
			c, err := harness.Dial("127.0.0.1:" + strconv.Itoa(old.port))
			if err != nil {
				return false
			}
			defer c.Close()
			r, err := c.Do("INFO", "replication")
			return err == nil && strings.Contains(r.Str, "role:slave\r\n") && strings.Contains(r.Str, fmt.Sprintf("master_port:%d\r\n", leader.port)) &&
				strings.Contains(r.Str, "master_link_status:up\r\n")
		})
		within(t, 10*time.Second, "its file says so", func() bool {
			b, err := os.ReadFile(filepath.Join(old.dir, "kvd.conf"))
			return err == nil && strings.Contains(string(b), fmt.Sprintf("replicaof 127.0.0.1 %d", leader.port))
		})
		t.Logf("round %d: another one led after %v, writes went on after %v", round, took.Round(time.Millisecond), again.Round(time.Millisecond))
	}
	stop()
	lc := leader.dial(t)
	for _, n := range w.acked {
		if got := lc.MustDo(t, "GET", "key:"+strconv.Itoa(n)).Str; got != strconv.Itoa(n) {
			t.Errorf("key:%d, which a follower had acknowledged, is %q", n, got)
		}
	}
	var followers []*harness.Conn
	for _, n := range nodes {
		if n != leader {
			followers = append(followers, n.dial(t))
		}
	}
	sameContents(t, lc, followers...)
	t.Logf("%d writes were acknowledged", len(w.acked))
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
