//go:build linux && !race

package slab

import "syscall"

func madviseDontNeed(b []byte) error { return syscall.Madvise(b, syscall.MADV_DONTNEED) }
