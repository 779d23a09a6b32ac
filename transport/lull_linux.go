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
// with it, some 10 us later. So a loop waits there when it waits for long. All fields belong
// to the loop.
type lull struct {
	// A copy of the loop's epoll descriptor, which the runtime's poller knows; nil: there is
	// no lull. Invariant: it is there in a lull only, as each event wakes the poller's thread.
	file *os.File
	conn syscall.RawConn
	look func(fd uintptr) bool // see poll
	// For look: where events go, and how many there are.
	events []syscall.EpollEvent
	n      int
	timed  bool // file has a deadline

	began time.Time     // of the last turn
	since time.Time     // when the loop began to wait after that; zero: it does not
	waits time.Duration // how long it waits before a turn, of late; see turn
}

const (
	// lullFrom is how long a loop waits before its turns when a lull begins; it ends at half
	// of that.
	lullFrom = 500 * time.Microsecond
	// lullMost is what a wait counts at most: a few turns that come at once end the lull.
	lullMost = 10 * time.Millisecond
	// lullTimes is how much longer than its work a wait must be to count. Who sends by
	// the thousand and then reads the replies makes the loop wait for as long as it works.
	lullTimes = 8
)

// begins is told when the loop begins to wait.
func (l *lull) begins(now time.Time) { l.since = now }

// turn is told when a turn begins, whether the loop has waited for it or not.
func (l *lull) turn(now time.Time) {
	if l.since.IsZero() {
		l.since = now
	}
	counts := now.Sub(l.since) - lullTimes*l.since.Sub(l.began)
	l.waits += (min(max(counts, 0), lullMost) - l.waits) / 8
	l.began, l.since = now, time.Time{}
}

// here tells whether it is a lull, for which the descriptor is made known, or no longer.
func (l *lull) here(epfd int) bool {
	switch {
	case l.file != nil && l.waits < lullFrom/2:
		l.end()
	case l.file == nil && l.waits >= lullFrom:
		l.begin(epfd)
	}
	return l.file != nil
}

func (l *lull) begin(epfd int) {
	fd, _, e := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(epfd), syscall.F_DUPFD_CLOEXEC, 0)
	if e != 0 {
		return // no file is free
	}
	_ = syscall.SetNonblock(int(fd), true) // NewFile asks the poller only then
	l.file = os.NewFile(fd, "epoll")
	l.conn, _ = l.file.SyscallConn()
}

func (l *lull) end() {
	l.file.Close()
	l.file, l.conn, l.timed = nil, nil, false
}

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
