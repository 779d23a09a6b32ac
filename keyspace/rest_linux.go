package keyspace

import (
	"runtime"
	"syscall"
	"time"
)

// Rest is how who walks over all keys makes room. Its turns are short, but where
// there are fewer processors than threads that want to run, the system takes it
// away from its own as soon as it has had its share, which is mostly with a
// stripe locked, and everybody waits until it comes back. A thread that has
// slept a little is let finish its turn. So it rests after its turns while they
// take longer than they should; where there are processors enough, it does not.
// How long decides how much of the processors is left to those who serve.
type Rest struct {
	at   time.Time // when the last turn had ended
	cpu  int64     // what this thread had run by then, in ns
	left int       // turns still to be rested after
}

const (
	restTime  = 400 * time.Microsecond
	restTurns = 32 // that are rested after once one was interrupted
	// restSlack is by how much a turn may take longer than its time on a processor.
	restSlack = 50 * time.Microsecond
)

// Begin and End give the goroutine a thread of its own.
func (r *Rest) Begin() { runtime.LockOSThread(); r.at, r.cpu = time.Now(), ThreadCPU() }

// End see Begin.
func (r *Rest) End() { runtime.UnlockOSThread() }

// Turn ends a turn; nothing is locked.
func (r *Rest) Turn() {
	if time.Since(r.at) > time.Duration(ThreadCPU()-r.cpu)+restSlack {
		r.left = restTurns
	}
	if r.left > 0 {
		r.left--
		pause := syscall.NsecToTimespec(int64(restTime))
		_ = syscall.Nanosleep(&pause, nil)
	}
	r.at, r.cpu = time.Now(), ThreadCPU()
}
