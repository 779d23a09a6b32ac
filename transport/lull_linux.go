package transport

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

// lull is how a loop waits while commands are few. A thread that waits in a system call
// keeps its processor of the runtime's for 10 ms, in which the runtime looks every 20 us
// whether to take it away: that is 0.4 ms of CPU for a command of 0.03. A goroutine that
// waits in the runtime's poller costs nothing meanwhile, but whichever thread polls goes on
// with it, some 10 us later. So a loop waits there when its turns are far apart. All fields
// belong to the loop.
type lull struct {
	file *os.File // the loop's epoll descriptor, as the runtime's poller knows it
	conn syscall.RawConn
	look func(fd uintptr) bool // see poll
	// For look: where events go, and how many there are.
	events []syscall.EpollEvent
	n      int
	timed  bool // file has a deadline

	began time.Time     // of the last turn
	apart time.Duration // how far turns are apart, of late
}

const (
	// lullFrom is how far turns are apart in a lull.
	lullFrom = 500 * time.Microsecond
	// lullMost is what a pause counts at most: a few turns that come at once end the lull.
	lullMost = 10 * time.Millisecond
)

// newLull takes over the descriptor, which is closed with the file, or on an error.
func newLull(epfd int) (l lull, err error) {
	if err := syscall.SetNonblock(epfd, true); err != nil { // NewFile asks the poller only then
		syscall.Close(epfd)
		return l, os.NewSyscallError("fcntl", err)
	}
	l.file = os.NewFile(uintptr(epfd), "epoll")
	l.conn, err = l.file.SyscallConn()
	return l, err
}

// turn is told when a turn begins.
func (l *lull) turn(now time.Time) {
	l.apart += (min(now.Sub(l.began), lullMost) - l.apart) / 8
	l.began = now
}

// here tells whether it is a lull.
func (l *lull) here() bool { return l.apart >= lullFrom }

// wait is epoll_wait with a timeout in milliseconds, -1: none. It lets go of the loop's
// thread meanwhile, else whichever thread polls would have to wake that.
func (l *lull) wait(events []syscall.EpollEvent, timeout int) int {
	if l.look == nil {
		l.look = l.poll
	}
	if l.timed || timeout >= 0 {
		var end time.Time
		if l.timed = timeout >= 0; l.timed {
			end = time.Now().Add(time.Duration(timeout) * time.Millisecond)
		}
		_ = l.file.SetReadDeadline(end)
	}
	l.events, l.n = events, 0
	runtime.UnlockOSThread()
	_ = l.conn.Read(l.look) // an error is that the time is over
	runtime.LockOSThread()
	return l.n
}

// poll fetches the events that are there. It is false if there are none: the caller waits
// for some, and calls it again.
func (l *lull) poll(fd uintptr) bool {
	l.n = pollEvents(int(fd), l.events)
	return l.n > 0
}
