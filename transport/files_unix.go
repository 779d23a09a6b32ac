//go:build unix

package transport

import "syscall"

// raiseFileLimit raises the limit of open files to want, or as near as the
// system allows. It returns the limit before and now, and why it is lower than want.
func raiseFileLimit(want uint64) (old, limit uint64, err error) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 1024, 1024, err
	}
	old = uint64(r.Cur)
	set := func(n uint64) error {
		try := r
		try.Cur = n
		try.Max = max(n, try.Max)
		return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &try)
	}
	if old >= want {
		return old, old, nil
	}
	if err = set(want); err == nil {
		return old, want, nil
	}
	// The highest limit that can be set lies between these.
	can, cannot := old, want
	for can+1 < cannot {
		if n := can + (cannot-can)/2; set(n) == nil {
			can = n
		} else {
			cannot = n
		}
	}
	return old, can, err
}
