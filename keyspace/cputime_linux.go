package keyspace

import (
	"syscall"
	"unsafe"
)

// threadCPU is the CPU time of the calling thread in nanoseconds. It says nothing of a
// goroutine that may be moved to another thread in between: it is to be locked to its own.
func threadCPU() int64 {
	const clockThreadCPU = 3 // CLOCK_THREAD_CPUTIME_ID of clock_gettime(2)
	var ts syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPU, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

// ThreadCPU is the CPU time of the calling thread in nanoseconds.
func ThreadCPU() int64 { return threadCPU() }
