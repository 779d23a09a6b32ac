package main

import (
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestThrottle(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const size = 256 << 10
	go func() { // sends size bytes for each byte that it gets
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for b := make([]byte, 1); ; {
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			if _, err := c.Write(make([]byte, size)); err != nil {
				return
			}
		}
	}()
	p, err := newThrottle(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(p.port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fetch := func() time.Duration {
		start := time.Now()
		if _, err := c.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		return time.Since(start)
	}
	fetch()
	p.rate.Store(size * 2) // half a second; what comes last is not waited for here
	if took := fetch(); took < 300*time.Millisecond {
		t.Errorf("%d bytes at %d a second took %v", size, size*2, took)
	}
	if n := p.passed.Load(); n < size {
		t.Errorf("%d bytes counted", n)
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a byte after close")
	}
}

func TestChildren(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it is killed
	}()
	pids, err := childrenOf(os.Getpid())
	if err != nil || !slices.Contains(pids, cmd.Process.Pid) {
		t.Fatalf("children %v, %v; want %d among them", pids, err, cmd.Process.Pid)
	}
	if own, err := privateOf(cmd.Process.Pid); err != nil || own <= 0 {
		t.Errorf("own memory %d, %v", own, err)
	}
	rss, _, err := residentOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	peak, err := peakDuring(os.Getpid(), func() error { time.Sleep(300 * time.Millisecond); return nil })
	if err != nil || peak < rss/2 {
		t.Errorf("peak %d, %v; resident before: %d", peak, err, rss)
	}
}
