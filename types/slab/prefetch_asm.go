//go:build (amd64 || arm64) && !race

package slab

// prefetch asks the processor to bring p's cache line nearer. It never faults.
func prefetch(p uintptr)
