//go:build unix && !race

package slab

import (
	"sync"
	"syscall"
	"unsafe"
)

// regionSize is how much address space is mapped at once; chunks are cut from
// it, so that the number of the process's mappings stays small.
const regionSize = 64 << 20

// region is the mapping that chunks are being cut from, and the chunks that
// dropped arenas left. mu protects both; nothing else happens under it but the
// mapping itself.
var region struct {
	mu   sync.Mutex
	rest []byte
	free []unsafe.Pointer
}

func mmap(n int) []byte {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		// As for any Go allocation, there is no way on without memory.
		panic("slab: out of memory: mmap: " + err.Error())
	}
	return b
}

func mapChunk() unsafe.Pointer {
	region.mu.Lock()
	defer region.mu.Unlock()
	if n := len(region.free); n > 0 {
		p := region.free[n-1]
		region.free = region.free[:n-1]
		return p
	}
	if len(region.rest) == 0 {
		region.rest = mmap(regionSize)
	}
	p := unsafe.Pointer(unsafe.SliceData(region.rest))
	region.rest = region.rest[chunkSize:]
	return p
}

func unmapChunk(p unsafe.Pointer) {
	releasePage(unsafe.Slice((*byte)(p), chunkSize))
	region.mu.Lock()
	region.free = append(region.free, p)
	region.mu.Unlock()
}

// releasePage makes the memory non-resident; it reads as zero afterwards.
func releasePage(b []byte) {
	// An error would only mean that the memory stays resident.
	_ = madviseDontNeed(b)
}

func mapHuge(n int) []byte { return mmap(n) }

func unmapHuge(b []byte) {
	if err := syscall.Munmap(b); err != nil {
		panic("slab: munmap: " + err.Error())
	}
}
