//go:build linux && !race

package slab

import "syscall"

func madviseDontNeed(b []byte) error { return syscall.Madvise(b, syscall.MADV_DONTNEED) }

// noHugePages keeps the system from using huge pages by itself: they would make
// memory resident that was given back, or never used.
func noHugePages(b []byte) { _ = syscall.Madvise(b, syscall.MADV_NOHUGEPAGE) }

// hugePages has the first touch of each chunk of b make all of it resident, as a
// huge page, if the system can; an error says that it has none at all.
func hugePages(b []byte) error { return syscall.Madvise(b, syscall.MADV_HUGEPAGE) }
