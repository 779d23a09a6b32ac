//go:build linux && !race

package slab

import "syscall"

func madviseDontNeed(b []byte) error { return syscall.Madvise(b, syscall.MADV_DONTNEED) }

// noHugePages keeps the system from using huge pages by itself: they would make
// memory resident that was given back, or never used.
func noHugePages(b []byte) { _ = syscall.Madvise(b, syscall.MADV_NOHUGEPAGE) }

// makeHuge makes untouched memory resident as a huge page if the system can; an
// error says that it has none at all.
func makeHuge(b []byte) error {
	if err := syscall.Madvise(b, syscall.MADV_HUGEPAGE); err != nil {
		return err
	}
	b[0] = 0
	// Where this was no huge page after all, the pages that follow stay small.
	return syscall.Madvise(b, syscall.MADV_NOHUGEPAGE)
}
