package keyspace

import (
	"syscall"
	"unsafe"
)

// cpuWords is room for 1,024 processors, as in glibc's cpu_set_t.
const cpuWords = 16

// Affinity are the processors on which a thread (0: the calling one) may run.
func Affinity(thread int) (mask [cpuWords]uint64, err error) {
	_, _, e := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, uintptr(thread), cpuWords*8, uintptr(unsafe.Pointer(&mask)))
	if e != 0 {
		err = e
	}
	return mask, err
}

// SetAffinity has a thread (0: the calling one) run on these processors only. Threads
// that it starts inherit that.
func SetAffinity(thread int, mask [cpuWords]uint64) error {
	if _, _, e := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(thread), cpuWords*8, uintptr(unsafe.Pointer(&mask))); e != 0 {
		return e
	}
	return nil
}
