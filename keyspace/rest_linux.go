package keyspace

import (
	"runtime"
	"syscall"
	"time"
)

// Rest paces a walk over all keys. The walk's turns are short, but where more threads
// want to run than there are processors, the system interrupts the walker as soon as it
// has had its share. Mostly it holds a stripe then, and every command on that stripe
// waits until it runs again. A thread that has just slept is allowed to finish its turn.
// So the walker sleeps after its turns while they take longer than they should, and not
// at all where there are processors enough. The length of the sleep decides how much of
// the processors is left to commands.
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
