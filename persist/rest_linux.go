package persist

import (
	"runtime"
	"syscall"
	"time"

	"kvd/keyspace"
)

// rest is how a snapshot's walker makes room. Its turns are short, but where
// there are fewer processors than threads that want to run, the system takes it
// away from its own as soon as it has had its share, which is mostly with a
// stripe locked, and everybody waits until it comes back. A thread that has
// slept a little is let finish its turn. So it rests after its turns while they
// take longer than they should; where there are processors enough, it does not.
type rest struct {
	wall, cpu int64 // the clocks after the last turn, in ns
	left      int   // turns still to be rested after
}

const (
	restTime  = 250 * time.Microsecond
	restTurns = 32 // that are rested after once one was interrupted
	// restSlack is by how much a turn may take longer than its time on a processor.
	restSlack = 50 * time.Microsecond
)

// begin and end give the goroutine a thread of its own.
func (r *rest) begin() { runtime.LockOSThread(); r.wall, r.cpu = clocks() }
func (r *rest) end()   { runtime.UnlockOSThread() }

// turn ends a turn; nothing is locked.
func (r *rest) turn() {
	wall, cpu := clocks()
	if wall-r.wall > cpu-r.cpu+int64(restSlack) {
		r.left = restTurns
	}
	if r.left > 0 {
		r.left--
		_ = syscall.Nanosleep(&syscall.Timespec{Nsec: int64(restTime)}, nil)
	}
	r.wall, r.cpu = clocks()
}

var clockStart = time.Now()

// clocks are the time, and the processor time of this thread, in ns.
func clocks() (wall, cpu int64) {
	return int64(time.Since(clockStart)), keyspace.ThreadCPU()
}

// lowPriority gives the goroutine a thread that the system lets wait a little
// when those that serve clients want to run.
func lowPriority() {
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, drainNice)
}

const drainNice = 10
