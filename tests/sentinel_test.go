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
	var ports []int
	client := []string{filepath.Join("python", "sentinel.py")}
	for range 3 {
		port, dir := freePort(), t.TempDir()
		ports, client = append(ports, port), append(client, strconv.Itoa(port))
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
		c := (&node{port: port}).dial(t)
		if r := c.MustDo(t, "SENTINEL", "DEBUG", "INFO-PERIOD", "500", "PUBLISH-PERIOD", "300"); r.Err() != "" {
			t.Log(r)
		}
	}
	within(t, 15*time.Second, "the Sentinels know each other and the followers", func() bool {
		f := ofSentinel(ports[0])
		return f["num-slaves"] == "2" && f["num-other-sentinels"] == "2"
	})

	w := &sentinelWriter{}
	cmd := exec.Command(python, client...)
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
				if strings.Contains(ask(n.port, "INFO", "replication").Str, "role:master\r\n") {
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
		// Sentinels whose votes were split may have another one lead yet.
		within(t, 30*time.Second, "the Sentinels agree on a leader, and the others follow it", func() bool {
			leader = agreed(ports, nodes)
			return leader != nil && leader != old
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

// ask sends a command on a connection of its own, since Sentinel ends those of
// a server that it gives another role.
func ask(port int, args ...string) harness.Reply {
	c, err := harness.Dial("127.0.0.1:" + strconv.Itoa(port))
	if err != nil {
		return harness.Reply{}
	}
	defer c.Close()
	r, _ := c.Do(args...)
	return r
}

// ofSentinel is what the Sentinel at a port knows of the leader.
func ofSentinel(port int) map[string]string {
	r := ask(port, "SENTINEL", "MASTER", "kvd").Strings()
	f := map[string]string{}
	for i := 0; i+1 < len(r); i += 2 {
		f[r[i]] = r[i+1]
	}
	return f
}

// agreed is the node that every Sentinel names as the leader while none is at a
// failover, and that the other nodes follow; nil while there is none.
func agreed(sentinels []int, nodes []*node) *node {
	port := ""
	for _, s := range sentinels {
		m := ofSentinel(s)
		if m["flags"] != "master" || port != "" && m["port"] != port {
			return nil
		}
		port = m["port"]
	}
	var leader *node
	for _, n := range nodes {
		info := ask(n.port, "INFO", "replication").Str
		if strconv.Itoa(n.port) == port {
			if !strings.Contains(info, "role:master\r\n") {
				return nil
			}
			leader = n
		} else if !strings.Contains(info, "role:slave\r\n") || !strings.Contains(info, "master_port:"+port+"\r\n") || !strings.Contains(info, "master_link_status:up\r\n") {
			return nil
		}
	}
	return leader
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
