//go:build unix

// Memcachedsuite runs memcached's own tests (t/*.t of Debian's source package, which
// tests/setup/debian-src.sh fetches and which never stand in this repository) on kvd, and
// compares what passes with what is on record in the file floor, where each test that
// does not pass whole has its reason. Tests of what kvd does not have (slabs, external
// storage, the proxy, UDP, memcached's own TLS) are not in it.
//
//	go run ./tests/memcachedsuite [test ...]
//
// KVD_BIN names the server binary, bin/kvd if unset. The exit code is 1 if a test passed
// fewer or failed more checks than the floor says, or did not end.
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	dir = "tests/memcachedsuite"
	// bound is the longest that one test may take.
	bound = 3 * time.Minute
)

// record is a line of the floor.
type record struct {
	name           string
	passed, failed int
}

func main() {
	flag.Parse()
	if err := run(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "memcachedsuite:", err)
		os.Exit(1)
	}
}

func run(names []string) error {
	floor, err := readFloor(filepath.Join(dir, "floor"))
	if err != nil {
		return err
	}
	for _, n := range names {
		if !slices.ContainsFunc(floor, func(r record) bool { return r.name == n }) {
			return fmt.Errorf("%s is not in the floor", n)
		}
	}
	out, err := exec.Command("tests/setup/debian-src.sh", "memcached", "1.6.18", "t/lib/MemcachedTest.pm").Output()
	if err != nil {
		return fmt.Errorf("the source cannot be had: %w", err)
	}
	work, err := prepare(strings.TrimSpace(string(out)))
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	bad := 0
	for _, want := range floor {
		if len(names) > 0 && !slices.Contains(names, want.name) {
			continue
		}
		passed, failed, err := perl(work, want.name)
		verdict := "ok"
		if err != nil || passed < want.passed || failed > want.failed {
			verdict = fmt.Sprintf("WRONG (floor %d %d) %v", want.passed, want.failed, err)
			bad++
		}
		fmt.Printf("%-20s passed %5d failed %3d %s\n", want.name, passed, failed, verdict)
	}
	if bad > 0 {
		return fmt.Errorf("%d tests are below the floor", bad)
	}
	return nil
}

func readFloor(path string) (floor []record, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for i, line := range strings.Split(string(b), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.SplitN(line, " ", 4)
		r := record{name: f[0]}
		if len(f) < 3 {
			return nil, fmt.Errorf("%s:%d: a line is: test passed failed reason", path, i+1)
		}
		var err1, err2 error
		r.passed, err1 = strconv.Atoi(f[1])
		r.failed, err2 = strconv.Atoi(f[2])
		if err1 != nil || err2 != nil || (r.failed > 0) != (len(f) == 4) {
			return nil, fmt.Errorf("%s:%d: a line is: test passed failed reason, which is there if any fail", path, i+1)
		}
		floor = append(floor, r)
	}
	return floor, nil
}

// prepare makes a directory in which memcached's tests find kvd where they look for memcached.
func prepare(source string) (work string, err error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	if work, err = os.MkdirTemp("", "kvd-memcached"); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(work, "timedrun"), []byte("#!/bin/sh\nshift\nexec \"$@\"\n"), 0o755); err != nil {
		return "", err
	}
	for name, to := range map[string]string{"t": filepath.Join(source, "t"), "memcached-debug": filepath.Join(here, dir, "memcached-debug"), "KvdShim.pm": filepath.Join(here, dir, "KvdShim.pm")} {
		if err := os.Symlink(to, filepath.Join(work, name)); err != nil {
			return "", err
		}
	}
	return work, nil
}

// perl runs one test and counts what passed and failed, in TAP's words.
func perl(work, name string) (passed, failed int, err error) {
	bin := os.Getenv("KVD_BIN")
	if bin == "" {
		bin = "bin/kvd"
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, "perl", "t/"+name+".t")
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "KVD_BIN="+bin, "KVD_WORK="+work, "PERL5LIB="+work, "PERL5OPT=-MKvdShim")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // servers that a test leaves end with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout = &out
	_ = cmd.Run() // its code is the number of failures
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	planned := 0
	lines := bufio.NewScanner(&out)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "ok "):
			passed++
		case strings.HasPrefix(line, "not ok "):
			failed++
		case strings.HasPrefix(line, "1.."):
			planned, _ = strconv.Atoi(strings.Fields(line[len("1.."):])[0])
		}
	}
	if ctx.Err() != nil {
		return passed, failed, fmt.Errorf("not ended after %v", bound)
	}
	if planned > passed+failed { // what was not reached has failed
		failed = planned - passed
	}
	return passed, failed, lines.Err()
}
