package memcached

import (
	"fmt"
	"syscall"
)

// cpuTimes are the processor's seconds that the process took, of its own and of the
// system's for it, with six digits behind the point.
func cpuTimes() (user, system string) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return "0.000000", "0.000000"
	}
	return fmt.Sprintf("%d.%06d", u.Utime.Sec, u.Utime.Usec), fmt.Sprintf("%d.%06d", u.Stime.Sec, u.Stime.Usec)
}
