// Package process asks the system about this process and its machine: memory, CPU time,
// names. It is a leaf.
package process

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// ResidentMemory is what the process holds of the machine's memory, in bytes.
// Source: proc_pid_statm(5).
func ResidentMemory() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := bytes.Fields(b)
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(f[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}

// SystemMemory is the machine's memory, in bytes.
func SystemMemory() int64 {
	var si syscall.Sysinfo_t
	if syscall.Sysinfo(&si) != nil {
		return 0
	}
	return int64(uint64(si.Totalram) * uint64(si.Unit))
}

// CPU is the CPU time that the process has used.
func CPU() (user, sys time.Duration) {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return
	}
	return time.Duration(ru.Utime.Nano()), time.Duration(ru.Stime.Nano())
}

// ThreadCPU is the CPU time that the calling thread has used.
func ThreadCPU() (user, sys time.Duration, ok bool) {
	const thisThread = 1 // RUSAGE_THREAD of getrusage(2)
	var ru syscall.Rusage
	if syscall.Getrusage(thisThread, &ru) != nil {
		return
	}
	return time.Duration(ru.Utime.Nano()), time.Duration(ru.Stime.Nano()), true
}

// SystemName is what uname(1) says of the system, its release and the machine.
func SystemName() string {
	var u syscall.Utsname
	if syscall.Uname(&u) != nil {
		return runtime.GOOS + " " + runtime.GOARCH
	}
	text := func(field []int8) string {
		var b []byte
		for _, c := range field {
			if c == 0 {
				break
			}
			b = append(b, byte(c))
		}
		return string(b)
	}
	return text(u.Sysname[:]) + " " + text(u.Release[:]) + " " + text(u.Machine[:])
}
