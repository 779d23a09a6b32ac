package harness

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Process is a program that a test runs beside the servers, such as a Sentinel.
type Process struct {
	Log  string // the file that takes its outputs
	proc *os.Process
	done chan struct{} // closed when it has ended
}

// StartProcess starts bin in dir and ends it with t. The end of its log is
// shown if t failed.
func StartProcess(t testing.TB, dir, bin string, args ...string) *Process {
	t.Helper()
	p := &Process{Log: filepath.Join(dir, filepath.Base(bin)+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(bin, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = dir, log, log, dieWithParent()
	started := make(chan error, 1)
	go func() {
		// The kernel ties the child to the thread that made it; see Server.Restart.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	p.proc = cmd.Process
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the log of %s ends:\n%s", filepath.Base(bin), tail(p.Log))
		}
	})
	return p
}

// Kill ends the process by SIGKILL and waits for its end.
func (p *Process) Kill() {
	if err := p.proc.Kill(); err == nil || errors.Is(err, os.ErrProcessDone) {
		<-p.done
	}
}

// FreePort is a port of the loopback that nobody listens on now.
func FreePort() (int, error) { return freePort() }
