//go:build unix && !linux && !race

package slab

import (
	"errors"
	"syscall"
	"unsafe"
)

// madvFree is MADV_FREE of the BSDs and of macOS.
const madvFree = 5

func madviseDontNeed(b []byte) error {
	_, _, e := syscall.Syscall(syscall.SYS_MADVISE, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), madvFree)
	if e != 0 {
		return e
	}
	return nil
}

func noHugePages([]byte) {}

func hugePages([]byte) error { return errNoHuge }

var errNoHuge = errors.New("no huge pages on this system")
