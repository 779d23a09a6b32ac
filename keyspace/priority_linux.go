package keyspace

import (
	"runtime"
	"syscall"
)

// LowPriority gives the calling goroutine a thread of its own for good, which
// the system lets wait, with this nice value, when the threads that serve
// clients want to run.
func LowPriority(nice int) {
	runtime.LockOSThread()
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice) // 0: this thread
}
