package keyspace

import (
	"runtime"
	"syscall"
)

// LowPriority gives the calling goroutine a thread of its own, which the system
// lets wait when the threads that serve clients want to run.
func LowPriority() {
	runtime.LockOSThread()
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, lowNice) // 0: this thread
}

const lowNice = 10
