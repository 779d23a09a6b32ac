package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"kvd/tests/harness"
)

// server is a running server process.
type server struct {
	name string // "kvd" or "redis": the side that it stands for
	pid  int
	proc *os.Process
	addr string
	port int
	dir  string
	cpus []int         // CPUs that it is bound to; nil means all
	done chan struct{} // closed when the process has ended
}

// The processes and directories to be cleared away when this program ends, however it does.
var live struct {
	sync.Mutex // protects what follows; held for map operations and while stopAll stops processes
	servers    map[*server]bool
	ending     bool // nothing may be started any more
}

// startServer starts binary with the arguments of a server without persistence on a free loopback port, and
// waits until it answers PING. extra arguments come last.
func startServer(ctx context.Context, name, binary string, cpus []int, extra ...string) (*server, error) {
	args := func(port, dir string) []string {
		return append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no", "--enable-debug-command", "local"}, extra...)
	}
	return startProcess(ctx, name, binary, cpus, args, pings)
}

// startProcess starts binary with the arguments for a port and a directory, and waits until ready says that it
// answers there.
func startProcess(ctx context.Context, name, binary string, cpus []int, args func(port, dir string) []string, ready func(addr string) error) (*server, error) {
	var err error
	for range 3 { // another process may take the port between our look and the server's bind
		var s *server
		if s, err = tryStart(ctx, name, binary, cpus, args, ready); err == nil {
			return s, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("start %s: %w", name, err)
}

func tryStart(ctx context.Context, name, binary string, cpus []int, args func(port, dir string) []string, ready func(addr string) error) (*server, error) {
	port, err := harness.FreePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "kvd-bench-"+name+"-")
	if err != nil {
		return nil, err
	}
	s := &server{name: name, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), port: port, dir: dir, cpus: cpus, done: make(chan struct{})}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer log.Close()
	cmd := exec.Command(binary, args(strconv.Itoa(port), dir)...)
	cmd.Stdout, cmd.Stderr = log, log

	// Held over the start, so that stopAll cannot come between it and the entry.
	live.Lock()
	if live.ending {
		err = errors.New("ending")
	} else {
		err = startOn(cmd, cpus)
	}
	if err != nil {
		live.Unlock()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.pid, s.proc = cmd.Process.Pid, cmd.Process
	if live.servers == nil {
		live.servers = map[*server]bool{}
	}
	live.servers[s] = true
	live.Unlock()
	go func() {
		_ = cmd.Wait() // it is told by a signal to end: its exit code says nothing
		close(s.done)
	}()

	if err := s.await(ctx, time.Minute, ready); err != nil {
		err = fmt.Errorf("%w; its log ends with: %s", err, s.logTail())
		s.stop()
		return nil, err
	}
	if cpus != nil {
		if err := pinAll(s.pid, cpus); err != nil {
			s.stop()
			return nil, err
		}
	}
	return s, nil
}

// pings tells whether a server of Redis's protocol answers PING.
func pings(addr string) error {
	c, err := dial(addr, time.Second)
	if err != nil {
		return err
	}
	defer c.close()
	_, err = c.text("PING")
	return err
}

// await polls until the server is ready.
func (s *server) await(ctx context.Context, limit time.Duration, ready func(addr string) error) error {
	stop := time.Now().Add(limit)
	for {
		err := ready(s.addr)
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return errors.New("the server ended")
		default:
		}
		if time.Now().After(stop) {
			return fmt.Errorf("no answer: %w", err)
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// logTail returns the end of what the server wrote.
func (s *server) logTail() string {
	b, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-600):])
}

// alive returns an error when the process has ended.
func (s *server) alive() error {
	select {
	case <-s.done:
		return fmt.Errorf("%s has ended; its log ends with: %s", s.name, s.logTail())
	default:
		return nil
	}
}

// stop ends the process, by force after five seconds, and removes its directory. It may be called again.
func (s *server) stop() {
	live.Lock()
	defer live.Unlock()
	s.end()
}

// end is stop for a caller that holds live.
func (s *server) end() {
	if !live.servers[s] {
		return
	}
	delete(live.servers, s)
	// A signal that fails means that the process has ended, which done tells too.
	_ = s.proc.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(5 * time.Second):
		_ = s.proc.Kill()
		select {
		case <-s.done:
		case <-time.After(5 * time.Second):
			fmt.Fprintf(os.Stderr, "bench: process %d (%s) does not end\n", s.pid, s.name)
		}
	}
	if err := os.RemoveAll(s.dir); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}

// stopAll stops every server and lets none be started any more.
func stopAll() {
	live.Lock()
	live.ending = true
	live.Unlock()
	stopServers()
}

// ask runs f on a connection of its own that lives at most a minute.
func (s *server) ask(f func(c *client) error) error {
	c, err := dial(s.addr, time.Minute)
	if err != nil {
		return err
	}
	defer c.close()
	return f(c)
}

// do sends one command and returns its reply as text.
func (s *server) do(args ...string) (reply string, err error) {
	err = s.ask(func(c *client) error {
		reply, err = c.text(args...)
		return err
	})
	return reply, err
}

// stopServers stops every server that a suite has left running.
func stopServers() {
	live.Lock()
	defer live.Unlock()
	for s := range live.servers {
		s.end()
	}
}
