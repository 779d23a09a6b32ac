package keyspace

import (
	"os"
	"strconv"
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

// SetAffinityOfAll has all threads of the process, and all that they start, run on these
// processors only. The Go runtime starts none meanwhile: one that is started by a thread
// whose turn is yet to come would be missed.
func SetAffinityOfAll(mask [cpuWords]uint64) error {
	_, _, e := syscall.AllThreadsSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, cpuWords*8, uintptr(unsafe.Pointer(&mask)))
	switch e {
	case 0:
		return nil
	case syscall.ENOTSUP: // built with cgo, as for the race detector
		return setAffinityOfListed(mask)
	}
	return e
}

// setAffinityOfListed walks over the threads until it meets none that it has not bound.
func setAffinityOfListed(mask [cpuWords]uint64) error {
	bound := map[int]bool{}
	for found := true; found; {
		found = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, _ := strconv.Atoi(t.Name())
			if bound[id] {
				continue
			}
			// ESRCH: it has ended.
			if err := SetAffinity(id, mask); err != nil && err != syscall.ESRCH {
				return err
			}
			bound[id], found = true, true
		}
	}
	return nil
}
