//go:build linux

package tests

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kvd/tests/harness"
)

// What the process is to the system: directives that act outside of the server.

// TestDaemonize: the process that was started ends, and one in the background serves.
func TestDaemonize(t *testing.T) {
	bin, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, stdin := range []bool{false, true} {
		port, err := harness.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		pidfile := filepath.Join(dir, "kvd.pid")
		conf := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsave \"\"\ndaemonize yes\npidfile %s\nlogfile %s\n", port, dir, pidfile, filepath.Join(dir, "log"))
		path := filepath.Join(dir, "kvd.conf")
		if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		c := exec.Command(bin, path)
		if stdin {
			c = exec.Command(bin, "-")
			c.Stdin = strings.NewReader(conf)
		}
		if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%v: %s", err, out)
		}
		var conn *harness.Conn
		within(t, 10*time.Second, "the server in the background", func() bool {
			conn, err = harness.Dial(fmt.Sprintf("127.0.0.1:%d", port))
			return err == nil
		})
		id := info(t, conn, "server", "process_id") // the socket listens before the pid file is written, and answers behind that
		text, err := os.ReadFile(pidfile)
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || id != strconv.Itoa(pid) || pid == c.Process.Pid {
			t.Errorf("the pid file has %q, %v", text, err)
		}
		if sid, _, e := syscall.Syscall(syscall.SYS_GETSID, uintptr(pid), 0, 0); e != 0 || int(sid) != pid {
			t.Errorf("it is in session %d, not in one of its own (%d)", sid, pid)
		}
		conn.Send("SHUTDOWN", "NOSAVE")
		conn.Flush()
		within(t, 10*time.Second, "its end", func() bool { _, err := os.Stat(pidfile); return err != nil })
	}
}

// TestProcess: title, score, processors and loops are as the directives say.
func TestProcess(t *testing.T) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	one := firstProcessor(status)
	score, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	base, _ := strconv.Atoi(strings.TrimSpace(string(score)))
	s := harness.StartKVD(t, "--server_cpulist", one, "--oom-score-adj", "yes", "--oom-score-adj-values", "7", "9", "11", "--io-threads", "3",
		"--proc-title-template", "{title} at {port}", "--mptcp", "yes", "--max-new-connections-per-cycle", "1", "--bio_cpulist", "nonsense")
	c := s.MustDial(t)
	proc := fmt.Sprintf("/proc/%d/", s.PID())
	title, _ := os.ReadFile(proc + "cmdline")
	if got := string(bytes.TrimRight(title, "\x00")); !strings.HasSuffix(got, " at "+s.Addr[strings.LastIndexByte(s.Addr, ':')+1:]) {
		t.Errorf("the title is %q", got)
	}
	if got, _ := os.ReadFile(proc + "oom_score_adj"); strings.TrimSpace(string(got)) != strconv.Itoa(min(base+7, 1000)) {
		t.Errorf("the score is %s, it was %d", got, base)
	}
	within(t, 10*time.Second, "every thread on processor "+one, func() bool { // one that is about to end may show another list
		threads, _ := os.ReadDir(proc + "task")
		for _, th := range threads {
			text, err := os.ReadFile(proc + "task/" + th.Name() + "/status")
			if err == nil && statusField(text, "Cpus_allowed_list") != one {
				return false
			}
		}
		return len(threads) > 0
	})
	if got := info(t, c, "kvd", "kvd_loops"); got != "3" {
		t.Errorf("io-threads 3: there are %s loops", got)
	}
	if log, _ := os.ReadFile(s.LogPath()); !strings.Contains(string(log), "'nonsense' is no list of processors") {
		t.Error("a wrong list of processors is not warned about")
	}
	var conns []*harness.Conn // that come faster than one a turn
	for range 50 {
		conns = append(conns, s.MustDial(t))
	}
	for _, c := range conns {
		if r := c.MustDo(t, "PING"); r.Str != "PONG" {
			t.Fatalf("PING: %s", r)
		}
	}
	// A follower has another score, and its leader's again when it is none any more.
	c.MustDo(t, "REPLICAOF", "127.0.0.1", "1")
	within(t, 5*time.Second, "the score of a follower", func() bool {
		got, _ := os.ReadFile(proc + "oom_score_adj")
		return strings.TrimSpace(string(got)) == strconv.Itoa(min(base+9, 1000))
	})
}

// firstProcessor is the first one of those that a status of /proc allows.
func firstProcessor(status []byte) string {
	allowed := statusField(status, "Cpus_allowed_list")
	return allowed[:strings.IndexAny(allowed+",", ",-")]
}

func statusField(status []byte, name string) string {
	for _, l := range strings.Split(string(status), "\n") {
		if v, ok := strings.CutPrefix(l, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// TestMultipath: mptcp is offered to clients, and repl-mptcp asks the leader for it; by default neither.
func TestMultipath(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var offer net.ListenConfig
	offer.SetMultipathTCP(true)
	l, err := offer.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var ask net.Dialer
	ask.SetMultipathTCP(true)
	// uses tells whether a connection has several paths, or could.
	uses := func(c net.Conn) bool {
		is, err := c.(*net.TCPConn).MultipathTCP()
		return err == nil && is
	}
	own, err := ask.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if c, err := l.Accept(); err != nil {
		t.Fatal(err)
	} else if c.Close(); !uses(own) {
		t.Skip("the system has no multipath TCP")
	}
	for _, want := range []bool{true, false} {
		value := map[bool]string{true: "yes", false: "no"}[want]
		s := harness.StartKVD(t, "--mptcp", value, "--repl-mptcp", value)
		c, err := ask.DialContext(ctx, "tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if uses(c) != want {
			t.Errorf("mptcp %s: a client has %v", value, uses(c))
		}
		_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
		s.MustDial(t).MustDo(t, "REPLICAOF", "127.0.0.1", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
		link, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if uses(link) != want {
			t.Errorf("repl-mptcp %s: the leader has %v", value, uses(link))
		}
		s.MustDial(t).MustDo(t, "REPLICAOF", "NO", "ONE")
		link.Close()
	}
}

// TestShutdownOnSignal: shutdown-on-sigterm has the data saved, or not.
func TestShutdownOnSignal(t *testing.T) {
	for how, saved := range map[string]bool{"nosave": false, "save": true} {
		s := harness.StartKVD(t, "--save", "", "--shutdown-on-sigterm", how)
		if how == "nosave" {
			s.MustDial(t).MustDo(t, "CONFIG", "SET", "save", "3600 1")
		}
		s.MustDial(t).MustDo(t, "SET", "k", "v")
		if err := syscall.Kill(s.PID(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		within(t, 10*time.Second, "the end", func() bool { return !s.Running() })
		if _, err := os.Stat(filepath.Join(s.Dir, "dump.rdb")); (err == nil) != saved {
			t.Errorf("%s: the file is there: %v", how, err == nil)
		}
		if err := s.Restart(); err != nil { // it is looked at in the end
			t.Fatal(err)
		}
	}
}

// TestCrashLog: what the runtime says at the end of a process that crashes stands in the log.
func TestCrashLog(t *testing.T) {
	for _, on := range []string{"yes", "no"} {
		log := filepath.Join(t.TempDir(), "log")
		s := harness.StartKVD(t, "--logfile", log, "--crash-log-enabled", on)
		if err := syscall.Kill(s.PID(), syscall.SIGABRT); err != nil {
			t.Fatal(err)
		}
		within(t, 10*time.Second, "the end", func() bool { return !s.Running() })
		text, _ := os.ReadFile(log)
		if got := strings.Contains(string(text), "SIGABRT") && strings.Contains(string(text), "goroutine "); got != (on == "yes") {
			t.Errorf("crash-log-enabled %s: the log has the crash: %v", on, got)
		}
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPasswordFromOutside: no command line has to name it.
func TestPasswordFromOutside(t *testing.T) {
	t.Setenv("KVD_REQUIREPASS", "from outside")
	bin, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	harness.StartProcess(t, dir, bin, "--port", strconv.Itoa(port), "--dir", dir, "--save", "")
	var c *harness.Conn
	within(t, 10*time.Second, "the server", func() bool {
		c, err = harness.Dial(fmt.Sprintf("127.0.0.1:%d", port))
		return err == nil
	})
	defer c.Close()
	if r := c.MustDo(t, "AUTH", "wrong"); !strings.HasPrefix(r.Err(), "WRONGPASS") {
		t.Errorf("AUTH with another password: %s", r)
	}
	if r := c.MustDo(t, "AUTH", "from outside"); r.Str != "OK" {
		t.Errorf("AUTH: %s", r)
	}
}
