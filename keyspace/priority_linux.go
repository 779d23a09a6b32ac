package keyspace

import (
	"runtime"
	"syscall"
)

// background gives the calling goroutine a thread of its own, which the system
// lets wait when the threads that serve clients want to run.
func background() {
	runtime.LockOSThread()
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, backgroundNice) // 0: this thread
}

const backgroundNice = 10
