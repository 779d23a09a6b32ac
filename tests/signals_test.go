package tests

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"kvd/tests/harness"
)

// TestSignals: a terminal that is closed ends nothing, nor does a log whose reader has gone.
func TestSignals(t *testing.T) {
	s := harness.StartKVD(t)
	c := s.MustDial(t)
	if err := syscall.Kill(s.PID(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if r := c.MustDo(t, "PING"); string(r.Raw) != "+PONG\r\n" {
		t.Error(r)
	}
	bin, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir(), "--loglevel", "debug")
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	w.Close()
	var p *harness.Conn
	within(t, 10*time.Second, "a connection", func() bool { p, err = harness.Dial("127.0.0.1:" + strconv.Itoa(port)); return err == nil })
	r.Close()
	for range 3 {
		p.MustDo(t, "CONFIG", "SET", "oom-score-adj", "no") // is logged
		if got := p.MustDo(t, "SET", "k", "v"); string(got.Raw) != "+OK\r\n" {
			t.Error(got)
		}
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it has ended with %v", err)
	}
}
