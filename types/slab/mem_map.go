//go:build unix && !race

package slab

import (
	"syscall"
	"unsafe"

	"kvd/lockrank"
)

// regionSize is how much address space is mapped at once; chunks are cut from
// it, so that the number of the process's mappings stays small.
const regionSize = 64 << 20

// region is the mapping that chunks are being cut from, and the chunks that
// dropped arenas left. mu protects both; nothing else happens under it but the
// mapping itself.
var region struct {
	mu   lockrank.Mutex[lockrank.SlabRegion]
	rest []byte
	free []unsafe.Pointer

	tables     []byte       // a mapping that page tables are being cut from
	freeTables []*pageTable // of dropped arenas

	huge    []unsafe.Pointer // chunks that are huge pages
	filling bool             // a goroutine makes some
	noHuge  bool             // the system has none

	// Only that goroutine uses these.
	hugeAll  []byte // the mapping that chunks for huge pages are being cut from
	hugeRest []byte // what is left of it
}

// hugeReady is how many chunks in huge pages are kept ready.
const hugeReady = 8

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
		var p unsafe.Pointer
		if n := len(region.free); n > 0 {
			p = region.free[n-1]
			region.free = region.free[:n-1]
		}
		region.mu.Unlock()
		var err error
		if p != nil {
			err = makeHuge(unsafe.Slice((*byte)(p), chunkSize))
		} else {
			p, err = cutHuge()
		}
		region.mu.Lock()
		if err != nil {
			region.noHuge = true
			if p != nil {
				region.free = append(region.free, p)
			}
			return
		}
		region.huge = append(region.huge, p)
	}
}

// makeHuge makes a chunk that was used before, whose neighbours may be small,
// resident as a huge page.
func makeHuge(b []byte) error {
	if err := hugePages(b); err != nil {
		return err
	}
	b[0] = 0
	noHugePages(b)
	return nil
}

// cutHuge makes a new chunk resident as a huge page; nil at an error. Each
// change of what the system may do with memory locks the whole process's, and
// where this thread is put aside meanwhile, every first touch of any page waits for it:
// so a mapping is changed when it is made, and when all of it is in use.
func cutHuge() (unsafe.Pointer, error) {
	if len(region.hugeRest) == 0 {
		if region.hugeAll != nil {
			// What is given back of it in part is not to come back by itself.
			noHugePages(region.hugeAll)
		}
		region.hugeAll = mmapChunks()
		region.hugeRest = region.hugeAll
		if err := hugePages(region.hugeAll); err != nil {
			return nil, err
		}
	}
	b := region.hugeRest
	region.hugeRest = b[chunkSize:]
	b[0] = 0 // where this makes no huge page after all, the pages that follow are small
	return unsafe.Pointer(unsafe.SliceData(b)), nil
}

// mmapChunks maps a region of whole chunks.
func mmapChunks() []byte {
	b := mmap(regionSize + chunkSize)
	// A huge page begins at a multiple of its size.
	at := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (chunkSize - 1)
	return b[at : at+regionSize : at+regionSize]
}

// cutChunk takes a chunk from the region; mu is locked.
func cutChunk() unsafe.Pointer {
	if n := len(region.free); n > 0 {
		p := region.free[n-1]
		region.free = region.free[:n-1]
		return p
	}
	if len(region.rest) == 0 {
		region.rest = mmapChunks()
		noHugePages(region.rest)
	}
	p := unsafe.Pointer(unsafe.SliceData(region.rest))
	region.rest = region.rest[chunkSize:]
	return p
}

// tablesAtOnce is how many page tables are mapped at once.
const tablesAtOnce = 128

// newTable returns a page table of zeros.
func newTable() (t *pageTable) {
	region.mu.Lock()
	defer region.mu.Unlock()
	if n := len(region.freeTables); n > 0 {
		t = region.freeTables[n-1]
		region.freeTables = region.freeTables[:n-1]
		*t = pageTable{}
		return t
	}
	const size = int(unsafe.Sizeof(pageTable{}))
	if len(region.tables) == 0 {
		region.tables = mmap(tablesAtOnce * size)
	}
	t = (*pageTable)(unsafe.Pointer(unsafe.SliceData(region.tables)))
	region.tables = region.tables[size:]
	return t
}

// freeTable keeps a table for another arena.
func freeTable(t *pageTable) {
	region.mu.Lock()
	region.freeTables = append(region.freeTables, t)
	region.mu.Unlock()
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
