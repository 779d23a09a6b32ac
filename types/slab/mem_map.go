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

	huge    []unsafe.Pointer // chunks that are huge pages
	filling bool             // a goroutine makes some
	noHuge  bool             // the system has none
}

// hugeReady is how many chunks in huge pages are kept ready.
const hugeReady = 4

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
	return cutChunk()
}

// hugeChunk is a chunk whose memory is one huge page, resident and zero; nil
// where none is ready.
func hugeChunk() (p unsafe.Pointer) {
	region.mu.Lock()
	defer region.mu.Unlock()
	if n := len(region.huge); n > 0 {
		p = region.huge[n-1]
		region.huge = region.huge[:n-1]
	}
	if !region.filling && !region.noHuge && len(region.huge) < hugeReady {
		region.filling = true
		go fillHuge()
	}
	return p
}

// fillHuge makes chunks ready. The fault that clears a huge page takes some
// 200 us, and far longer where the system has to make one first.
func fillHuge() {
	region.mu.Lock()
	defer region.mu.Unlock()
	defer func() { region.filling = false }()
	for len(region.huge) < hugeReady {
		p := cutChunk()
		region.mu.Unlock()
		err := makeHuge(unsafe.Slice((*byte)(p), chunkSize))
		region.mu.Lock()
		if err != nil {
			region.noHuge = true
			region.free = append(region.free, p)
			return
		}
		region.huge = append(region.huge, p)
	}
}

// cutChunk takes a chunk from the region; mu is locked.
func cutChunk() unsafe.Pointer {
	if n := len(region.free); n > 0 {
		p := region.free[n-1]
		region.free = region.free[:n-1]
		return p
	}
	if len(region.rest) == 0 {
		b := mmap(regionSize + chunkSize)
		// A huge page begins at a multiple of its size.
		at := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (chunkSize - 1)
		region.rest = b[at : at+regionSize]
		noHugePages(region.rest)
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
