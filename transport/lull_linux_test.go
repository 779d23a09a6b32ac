package transport

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// TestLull: a loop whose turns are far apart waits in the runtime's poller, and comes back
// with events, and when the time is over.
func TestLull(t *testing.T) {
	epfd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(epfd)
	var l lull
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pipe[0])
	defer syscall.Close(pipe[1])
	edge := uint32(1 << 31) // EPOLLET
	if err := syscall.EpollCtl(epfd, syscall.EPOLL_CTL_ADD, pipe[0], &syscall.EpollEvent{Events: syscall.EPOLLIN | edge, Fd: int32(pipe[0])}); err != nil {
		t.Fatal(err)
	}

	now := time.Now()
	turns := func(n int, waits, takes time.Duration) {
		for range n {
			if waits > 0 {
				l.begins(now)
			}
			now = now.Add(waits)
			l.turn(now)
			now = now.Add(takes)
		}
	}
	const short, long = 20 * time.Microsecond, time.Millisecond
	for _, step := range []struct {
		n            int
		waits, takes time.Duration
		want         bool
	}{{1, 0, 0, false}, {20, long, short, true}, {30, long, long, false}, {20, long, short, true}, {30, short, long, false}, {30, short, short, false}, {1, time.Hour, 0, true}, {30, 0, long, false}} {
		if turns(step.n, step.waits, step.takes); l.here(epfd) != step.want {
			t.Errorf("after %d turns of %v, %v apart, a lull is %v", step.n, step.takes, step.waits, !step.want)
		}
	}

	turns(20, long, short)
	if !l.here(epfd) {
		t.Fatal("no lull")
	}
	defer l.end()
	runtime.LockOSThread() // as the loop is
	defer runtime.UnlockOSThread()
	events := make([]syscall.EpollEvent, 8)
	write := func() { syscall.Write(pipe[1], []byte("x")) }
	for range 3 {
		began := time.Now()
		if n := l.wait(events, 20); n != 0 || time.Since(began) < 20*time.Millisecond {
			t.Fatalf("%d events after %v", n, time.Since(began))
		}
		// There already; and while it waits for longer than the last time.
		write()
		if n := l.wait(events, 20_000); n != 1 || int(events[0].Fd) != pipe[0] {
			t.Fatalf("%d events, %v", n, events[0])
		}
		for _, timeout := range []int{20_000, -1} {
			later := time.AfterFunc(50*time.Millisecond, write)
			if n := l.wait(events, timeout); n != 1 || int(events[0].Fd) != pipe[0] {
				t.Fatalf("%d events, %v", n, events[0])
			}
			later.Stop()
		}
	}
}
