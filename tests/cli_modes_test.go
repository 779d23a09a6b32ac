package tests

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kvd/tests/harness"
)

// The modes of redis-cli that are more than a command: sampling, watching, copying, and its prompt.
// --scan, --pipe and --bigkeys are in cli_test.go. Not tried: --hotkeys wants an LFU policy for
// maxmemory; --eval, --ldb and --functions-rdb want scripts; --cluster a cluster.

func TestCLIMemkeys(t *testing.T) {
	c := newCLI(t, harness.StartKVD(t))
	c.expect("OK\n", "set", "small", "v")
	c.expect("OK\n", "set", "big", strings.Repeat("x", 5000))
	c.expect("3\n", "rpush", "list", "a", "b", "c")
	out := c.run("", "--memkeys", "-i", "0")
	if !strings.Contains(out, "Sampled 3 keys") || !regexp.MustCompile(`Biggest string found '"big"' has [5-9]\d\d\d bytes`).MatchString(out) ||
		!strings.Contains(out, `Biggest   list found '"list"'`) {
		t.Errorf("redis-cli --memkeys printed %s", out)
	}
}

func TestCLILatency(t *testing.T) {
	c := newCLI(t, harness.StartKVD(t))
	// One line after 0.1 s: least, most and mean time in milliseconds, and the number of samples.
	out := c.run("", "--latency", "-i", "0.1")
	var least, most, samples int
	var mean float64
	if n, err := fmt.Sscanf(out, "%d %d %f %d\n", &least, &most, &mean, &samples); n != 4 || samples < 1 || most < least {
		t.Errorf("redis-cli --latency printed %q (%v)", out, err)
	}
}

func TestCLIStat(t *testing.T) {
	s := harness.StartKVD(t)
	c := newCLI(t, s)
	c.expect("OK\n", "mset", "a", "1", "b", "2")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	// It does not end by itself. Its output leaves when 4 KiB have come together, hence the short interval.
	cmd := exec.CommandContext(ctx, c.path, "-p", strconv.Itoa(c.port), "--stat", "-i", "0.002")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// keys, memory, clients, blocked, requests (and their growth), connections
	row := regexp.MustCompile(`^2 +\d+\.\d\d[KMG] +\d+ +0 +\d+ \(\+\d+\) +\d+`)
	rows, others := 0, []string{}
	lines := bufio.NewScanner(out)
	for rows < 5 && lines.Scan() {
		if row.MatchString(lines.Text()) {
			rows++
		} else {
			others = append(others, lines.Text())
		}
	}
	cancel()
	cmd.Wait() // says that it was killed
	if rows < 5 || len(others) > 2 {
		t.Errorf("redis-cli --stat printed %d rows as they should be, and %q", rows, others)
	}
}

// TestCLIRDB copies a server's data by redis-cli --rdb, which acts as a follower, and starts another from it.
func TestCLIRDB(t *testing.T) {
	s := harness.StartKVD(t, "--repl-diskless-sync-delay", "0") // no wait for further followers
	c := newCLI(t, s)
	in := s.MustDial(t)
	in.MustDo(t, "SET", "k", "v", "PX", "10000000")
	in.MustDo(t, "RPUSH", "list", "a", "b")
	in.MustDo(t, "ZADD", "zset", "1.5", "m")
	in.MustDo(t, "SELECT", "3")
	in.MustDo(t, "HSET", "hash", "f", "v")
	dir := t.TempDir()
	file := filepath.Join(dir, "copy.rdb")
	c.run("", "--rdb", file)
	if got, err := os.ReadFile(file); err != nil || !bytes.HasPrefix(got, []byte("REDIS00")) {
		t.Fatalf("redis-cli --rdb wrote %.20q, %v", got, err)
	}
	copied := newCLI(t, harness.StartKVD(t, "--dir", dir, "--dbfilename", "copy.rdb"))
	copied.expect("v\n", "get", "k")
	copied.expect("a\nb\n", "lrange", "list", "0", "-1")
	copied.expect("1.5\n", "zscore", "zset", "m")
	copied.expect("f\nv\n", "-n", "3", "hgetall", "hash")
	if got := copied.run("", "pttl", "k"); len(got) != len("9999999\n") {
		t.Errorf("the copy's deadline is %s ms away", got)
	}
}

// terminal is a program at a pseudo-terminal, which script(1) makes.
type terminal struct {
	t    *testing.T
	keys io.Writer
	mu   sync.Mutex // protects seen
	seen []byte     // what was printed after what the last expect wanted
}

// Write takes what the program prints.
func (tt *terminal) Write(b []byte) (int, error) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.seen = append(tt.seen, b...)
	return len(b), nil
}

// expect types keys and waits until want is printed, which it passes over. What is typed before
// the prompt stands there may be lost: redis-cli drops it when it takes the terminal.
func (tt *terminal) expect(keys, want string) {
	tt.t.Helper()
	if _, err := io.WriteString(tt.keys, keys); err != nil {
		tt.t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		tt.mu.Lock()
		seen := string(tt.seen)
		if at := strings.Index(seen, want); at >= 0 {
			tt.seen = []byte(seen[at+len(want):])
			tt.mu.Unlock()
			return
		}
		tt.mu.Unlock()
		if time.Now().After(deadline) {
			tt.t.Fatalf("typed %q, want %q, got %q", keys, want, seen)
		}
	}
}

// TestCLIPrompt types at redis-cli's prompt: the hints, completions and HELP come from COMMAND DOCS.
func TestCLIPrompt(t *testing.T) {
	s := harness.StartKVD(t)
	c := newCLI(t, s)
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("no script(1) on PATH to make a terminal")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, script, "-qec", fmt.Sprintf("stty cols 120; exec %s -p %d", c.path, c.port), "/dev/null")
	cmd.Env = append(os.Environ(), "TERM=xterm", "HOME="+t.TempDir()) // redis-cli keeps its history there
	keys, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	tt := &terminal{t: t, keys: keys}
	cmd.Stdout, cmd.Stderr = tt, tt
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	prompt := s.Addr + "> "
	tt.expect("", prompt)
	tt.expect("rpush list ", "element [element ...]")
	tt.expect("a b\r", "(integer) 2")
	tt.expect("", prompt)
	tt.expect("lrang\t", "LRANGE")
	tt.expect(" list ", "start stop")
	tt.expect("0 -1\r", "2) \"b\"")
	tt.expect("", prompt)
	tt.expect("config se\t", "CONFIG SET")
	tt.expect("\x15", prompt) // ^U empties the line
	tt.expect("help zadd\r", "1.2.0")
	tt.expect("", prompt)
	tt.expect("help @list\r", "source destination LEFT|RIGHT")
	tt.expect("", prompt)
	tt.expect("select 3\r", "[3]> ")
	tt.expect("multi\r", "(TX)> ")
	tt.expect("set k v\r", "QUEUED")
	tt.expect("", "(TX)> ")
	tt.expect("exec\r", "1) OK")
	tt.expect("", "[3]> ")
	tt.expect("quit\r", "")
	if err := cmd.Wait(); err != nil {
		t.Errorf("redis-cli at a terminal: %v", err)
	}
	if got := c.run("", "-n", "3", "get", "k"); got != "v\n" {
		t.Errorf("the transaction at the prompt set %q", got)
	}
}

// TestCLISubscribe has redis-cli print what it is pushed, in both protocols.
func TestCLISubscribe(t *testing.T) {
	s := harness.StartKVD(t)
	for _, proto := range []string{"-2", "-3"} {
		c := newCLI(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, c.path, proto, "-p", strconv.Itoa(c.port), "subscribe", "news")
		tt := &terminal{t: t, keys: io.Discard}
		cmd.Stdout, cmd.Stderr = tt, tt
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		tt.expect("", "subscribe\nnews\n1\n")
		c.expect("1\n", "publish", "news", "hello")
		tt.expect("", "message\nnews\nhello\n")
		cancel()
		cmd.Wait() // says that it was killed
		within(t, 10*time.Second, "the subscriber is gone", func() bool { return c.run("", "publish", "news", "x") == "0\n" })
	}
}
