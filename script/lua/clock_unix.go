//go:build unix

package lua

import "syscall"

// cpuSeconds is the processor time that the process has used, in microseconds as C's
// clock() counts.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return -1
	}
	micros := (int64(u.Utime.Sec)+int64(u.Stime.Sec))*1e6 + int64(u.Utime.Usec) + int64(u.Stime.Usec)
	return float64(micros) / 1e6
}
