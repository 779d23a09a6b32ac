package harness

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Server is a server process under test.
type Server struct {
	Name string // "kvd" or "redis", for messages
	Addr string // host:port
	Port int
	Dir  string // its working directory, where its files and its log stand
	// Genuine tells a real Redis from kvd: the former has no DEBUG CHECK.
	Genuine bool

	bin  string
	args []string
	proc *os.Process
	done chan struct{} // closed when the process has ended
}

const (
	startWait = 30 * time.Second
	stopWait  = 20 * time.Second
)

var binary = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("KVD_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "kvd-bin-")
	if err != nil {
		return "", err
	}
	buildDir = dir
	bin := filepath.Join(dir, "kvd")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", bin, "./cmd/kvd")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building kvd: %v\n%s", err, out)
	}
	return bin, nil
})

// buildDir is where binary built kvd. It is written by binary alone, and read after it.
var buildDir string

// Binary is the server under test: what KVD_BIN names, or kvd, built on the first call.
func Binary() (string, error) { return binary() }

// Clean removes the binary that Binary built. Tests call it at the end of TestMain.
func Clean() {
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
}

// ModuleRoot is the directory above the current one that holds go.mod.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the current directory")
		}
		dir = up
	}
}

// RedisBinary is the path of the real redis-server, or an error that says that there is none.
func RedisBinary() (string, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return "", errors.New("no redis-server on PATH; tests/setup/install.sh installs it")
	}
	return bin, nil
}

// Start runs bin on a free port, in a new directory below dir, and waits until it answers PING.
// args are further flags in redis-server's form; they come last, and so prevail.
func Start(name, bin, dir string, args ...string) (*Server, error) {
	version, err := exec.Command(bin, "--version").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s --version: %v: %s", bin, err, version)
	}
	own, err := os.MkdirTemp(dir, name+"-")
	if err != nil {
		return nil, err
	}
	s := &Server{Name: name, Dir: own, bin: bin, args: args,
		Genuine: strings.HasPrefix(string(version), "Redis server v=")}
	// The port is free when it is asked for, and may be taken when it is used.
	for range 3 {
		if s.Port, err = freePort(); err != nil {
			return nil, err
		}
		s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port))
		if err = s.Restart(); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// freePort tries ports below those that systems give to whoever asks for any: between its choice here and its
// use such a port can become that of somebody else's listener or connection.
func freePort() (port int, err error) {
	for range 1000 {
		port = 10_000 + rand.IntN(32_768-10_000)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

// LogPath is the file that takes what the server says on its standard outputs.
func (s *Server) LogPath() string { return filepath.Join(s.Dir, "server.log") }

// PID is the process id of the running or last run process.
func (s *Server) PID() int { return s.proc.Pid }

// RestartWith is Restart with further flags, which come last, now and later.
func (s *Server) RestartWith(args ...string) error {
	s.args = append(s.args[:len(s.args):len(s.args)], args...)
	return s.Restart()
}

// Restart starts the server again on the same port and directory, stopping it first if it still runs.
func (s *Server) Restart() error {
	if err := s.Begin(); err != nil {
		return err
	}
	if err := s.waitReady(); err != nil {
		s.Kill()
		return fmt.Errorf("%s did not get ready: %w; its log ends:\n%s", s.Name, err, s.LogTail())
	}
	return nil
}

// Begin is Restart without the wait for the server to get ready.
func (s *Server) Begin() error {
	if s.Running() {
		if err := s.Stop(); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(s.LogPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	args := append([]string{"--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--dir", s.Dir,
		"--save", "", "--enable-debug-command", "yes"}, s.args...)
	cmd := exec.Command(s.bin, args...)
	cmd.Dir = s.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC") // SORT ALPHA goes by the locale
	cmd.SysProcAttr = dieWithParent()
	started := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		// The kernel ties the child to the thread that made it, so this one lives as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting %s: %w", s.Name, err)
	}
	s.proc, s.done = cmd.Process, done
	return nil
}

func (s *Server) waitReady() error {
	deadline := time.Now().Add(startWait)
	var last error
	for time.Now().Before(deadline) {
		if !s.Running() {
			return errors.New("the process has ended")
		}
		c, err := Dial(s.Addr)
		if err == nil {
			var r Reply
			r, err = c.Do("PING")
			c.Close()
			if err == nil && string(r.Raw) == "+PONG\r\n" {
				return nil
			}
			if err == nil {
				err = fmt.Errorf("PING: %s", r)
			}
		}
		last = err
		time.Sleep(5 * time.Millisecond) // between two polls
	}
	return fmt.Errorf("no PONG in %v: %v", startWait, last)
}

// Running tells whether the process has not ended.
func (s *Server) Running() bool {
	if s.done == nil {
		return false
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// Stop ends the server by SIGTERM, and by SIGKILL with an error if it does not obey.
func (s *Server) Stop() error {
	if !s.Running() {
		return nil
	}
	if err := s.proc.Signal(syscall.SIGTERM); err != nil {
		return s.Kill()
	}
	select {
	case <-s.done:
		return nil
	case <-time.After(stopWait):
		s.Kill()
		return fmt.Errorf("%s did not stop within %v of SIGTERM; its log ends:\n%s", s.Name, stopWait, s.LogTail())
	}
}

// Kill ends the server by SIGKILL and waits for its end.
func (s *Server) Kill() error {
	if !s.Running() {
		return nil
	}
	if err := s.proc.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.done
	return nil
}

// LogTail is the end of the log, at most 40 lines of it.
func (s *Server) LogTail() string { return tail(s.LogPath()) }

// tail is the end of a file, at most 40 lines of it.
func tail(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	if len(lines) > 40 {
		lines = lines[len(lines)-40:]
	}
	return string(bytes.Join(lines, []byte("\n")))
}

// Dial connects to the server.
func (s *Server) Dial() (*Conn, error) { return Dial(s.Addr) }

// Check asks kvd to verify its invariants (DEBUG CHECK: OK, or the one that is violated). A
// real Redis has no such command, and is taken to be well.
func (s *Server) Check() error {
	if !s.Running() {
		return fmt.Errorf("%s has ended by itself; its log ends:\n%s", s.Name, s.LogTail())
	}
	if s.Genuine {
		return nil
	}
	c, err := s.Dial()
	if err != nil {
		return err
	}
	defer c.Close()
	c.Timeout = time.Minute
	r, err := c.Do("DEBUG", "CHECK")
	if err != nil {
		return fmt.Errorf("DEBUG CHECK: %w", err)
	}
	if string(r.Raw) != "+OK\r\n" {
		return fmt.Errorf("DEBUG CHECK: %s", r)
	}
	return nil
}
