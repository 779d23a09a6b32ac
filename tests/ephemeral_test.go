package tests

import (
	"bufio"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"kvd/tests/harness"
)

// TestEphemeral: kvd --ephemeral --port 0 prints its port and nothing else, serves
// there, lets time be moved, and leaves no file behind.
func TestEphemeral(t *testing.T) {
	bin, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(bin, "--ephemeral", "--port", "0", "--bind", "127.0.0.1")
	cmd.Dir = dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	r := bufio.NewReader(out)
	port, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	c, err := harness.Dial("127.0.0.1:" + strings.TrimSpace(port))
	if err != nil {
		t.Fatalf("port %q: %v", port, err)
	}
	c.MustDo(t, "SET", "k", "v", "EX", "3600")
	c.MustDo(t, "DEBUG", "TIME-TRAVEL", "3600001")
	if n := c.MustDo(t, "EXISTS", "k").Int; n != 0 {
		t.Error("the key is still there after an hour")
	}
	if got := c.MustDo(t, "CONFIG", "GET", "port").Strings(); len(got) != 2 || got[1] != strings.TrimSpace(port) {
		t.Errorf("CONFIG GET port: %q", got)
	}
	c.Close()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if rest, _ := r.ReadString(0); rest != "" {
		t.Errorf("it also printed %q", rest)
	}
	if left, err := exec.Command("ls", "-A", dir).Output(); err != nil || len(left) > 0 {
		t.Errorf("it left %q behind, %v", left, err)
	}
	if out, err := exec.Command(bin, "--ephemeral", "--port", "0", "--appendonly", "yes").CombinedOutput(); err == nil {
		t.Errorf("ephemeral with a log was accepted: %s", out)
	}
}
