package tests

import (
	"bytes"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"kvd/tests/differ"
	"kvd/tests/harness"
)

// tool runs one of the program's commands and returns what it says.
func tool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	bin, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, args...)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestMoveInAndBack moves a random data set from a real Redis into kvd with `kvd import`,
// by its stream and by SCAN, under load and killed in the middle, and back. Both the
// digests and `kvd compare` say that nothing is missing.
func TestMoveInAndBack(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rs := harness.StartRedis(t, "--repl-diskless-sync-delay", "0", "--repl-backlog-size", "256mb")
	ks := harness.StartKVD(t, "--repl-diskless-sync-delay", "0")
	redis, kvd := differ.Endpoint{Addr: rs.Addr}, differ.Endpoint{Addr: ks.Addr}
	w, err := differ.NewWriter(kvd, seed)
	if err != nil {
		t.Fatal(err)
	}
	must := func(args ...string) {
		t.Helper()
		if out, err := tool(t, args...); err != nil {
			t.Fatalf("kvd %q: %v\n%s", args, err, out)
		}
	}
	same := func() {
		t.Helper()
		if err := differ.SameDigest(redis, kvd); err != nil {
			t.Error(err)
		}
		must("compare", "redis://"+rs.Addr, "redis://"+ks.Addr)
	}
	if err := w.Play(redis, 0, 3000); err != nil {
		t.Fatal(err)
	}
	must("import", "--to", "redis://"+ks.Addr, "redis://"+rs.Addr)
	same()
	ks.MustDial(t).MustDo(t, "FLUSHALL")
	must("import", "--scan", "--to", "redis://"+ks.Addr, "redis://"+rs.Addr)
	same()

	// Under load, killed, and again.
	ks.MustDial(t).MustDo(t, "FLUSHALL")
	work := filepath.Join(t.TempDir(), "work")
	args := []string{"import", "--follow", "--work", work, "--to", "redis://" + ks.Addr, "redis://" + rs.Addr}
	bin, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	for round := range 4 {
		var out bytes.Buffer
		cmd := exec.Command(bin, args...)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if err := w.Play(redis, 1+round, 1000); err != nil {
			t.Fatal(err)
		}
		if round < 3 {
			cmd.Process.Signal(syscall.SIGKILL)
			cmd.Wait()
			continue
		}
		// What came before the signal is applied before it ends.
		until(t, "the keys to arrive", func() bool { return differ.SameDigest(redis, kvd) == nil })
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
	}
	same()

	// The way back, into a Redis without import-mode.
	time.Sleep(10 * time.Millisecond)
	rs.MustDial(t).MustDo(t, "FLUSHALL")
	must("import", "--to", "redis://"+rs.Addr, "redis://"+ks.Addr)
	same()
	backup := filepath.Join(t.TempDir(), "backup")
	must("backup", "--from", "redis://"+rs.Addr, backup)
	must("compare", backup, "redis://"+ks.Addr)
	if out, err := tool(t, "check", backup); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	ks.MustDial(t).MustDo(t, "SET", "only here", "1")
	if out, err := tool(t, "compare", "--rounds", "0", "redis://"+rs.Addr, "redis://"+ks.Addr); err == nil {
		t.Errorf("a key on one side is no difference\n%s", out)
	}
}
