// Package slab is the off-heap memory of the keyspace: objects of 16 bytes and
// more, addressed by a 36-bit Loc, in pages of one size class each. It is the
// one place of kvd that reads and writes memory through unsafe pointers.
//
// An Arena is not safe for concurrent use: its owner (a stripe of the keyspace)
// calls it under a lock of its own. Memory that Slice or Head hand out is
// valid until the object is freed or moved by Tidy; nothing here checks that.
//
// Layout: an arena is a list of chunks of 2 MiB, each of 128 pages of 16 KiB, or
// of 32 pages of 64 KiB for objects of more than 2 KiB (small pages keep the
// half-filled last pages of some sixty classes from adding up, large ones keep
// the unused ends of pages small). A page holds objects of one class; a free object has zero in its first byte
// and the next free object's number in its bytes 2 and 3, so the owner must
// keep the first byte of a live object different from zero. Objects of more
// than a page have a mapping of their own.
//
// What misses the processor's cache misses its table of pages too, unless pages
// are huge: random look-ups in half a gigabyte take a third less CPU with
// them. So an arena that has grown takes its further chunks in huge pages,
// which a goroutine has ready (see hugeChunk): no fault that clears 2 MiB happens
// under an arena's lock. Small arenas stay with small pages, and so does what
// was given back in part: nothing makes the holes resident again.
//
// Under the race detector, and where there is no mmap, chunks are ordinary Go
// memory (mem_go.go); the race detector does not see mapped memory.
package slab

import (
	"fmt"
	"math/bits"
	"unsafe"
)

const (
	unit       = 8                    // bytes that one step of a Loc stands for
	pageSize   = 16 << 10             // bytes of a small page, the step of page numbers
	bigPages   = 4                    // page numbers that a large page takes
	bigClass   = 2048                 // objects of more bytes than this stand in large pages
	chunkSize  = 2 << 20              // bytes of a chunk
	chunkPages = chunkSize / pageSize // page numbers in a chunk
	chunkUnits = chunkSize / unit     // Loc steps in a chunk

	chunkShift = 18                            // log2(chunkUnits)
	pageShift  = 11                            // log2 of the Loc steps in a page
	smallMax   = 256                           // classes are 8 bytes apart up to here
	smallCount = smallMax / 8                  // number of those classes
	subClasses = 8                             // classes in each doubling above smallMax
	classCount = smallCount + 1 + 8*subClasses // 8 doublings: 256 B to 64 KiB
	noPage     = -1
	hugeFrom   = 12 << 20 // held bytes from which on chunks are huge pages: one that is empty wastes a sixth at most
	inside     = 1 << 15  // page.class of the page numbers inside a large page
)

// LocBits is the width of a Loc: 2^36 units of 8 bytes, 512 GiB an arena.
const LocBits = 36

// MaxObject is the largest object that lives in a page; a larger one is mapped
// on its own.
const MaxObject = pageSize * bigPages

// Loc is the place of an object in its arena. Zero is no object.
type Loc uint64

// page describes a page number's 16 KiB, or the large page that begins there.
type page struct {
	class uint16 // 0: free
	live  uint16 // objects in use
	bump  uint16 // objects ever used; those behind it are untouched memory
	free  uint16 // number + 1 of the first free object, 0 none
	next  int32  // neighbours in the class's list of pages with room
	prev  int32
	inUse bool // stands in that list
	shut  bool // being emptied by Tidy: nothing is placed here
}

// pageTable describes the pages of a chunk. It is off-heap like the chunk, so that
// a growing keyspace does not make Go's collector start, which takes milliseconds on
// a machine with few processors.
type pageTable [chunkPages]page

func (a *Arena) page(pi int32) *page { return &a.tables[pi/chunkPages][pi%chunkPages] }

type class struct {
	size  int // bytes of an object
	per   int // objects in a page
	end   int // bytes of a page behind them
	big   int // 1: in large pages
	head  int32
	pages int // pages of this class
	live  int // objects in use in all of them
}

// Arena is a set of chunks with its allocator.
type Arena struct {
	bases   []unsafe.Pointer // by chunk number; a mapping of its own for a huge object
	tables  []*pageTable     // by chunk number
	classes [classCount]class
	clean   [2][]int32 // free pages, small and large, whose memory is not resident
	dirty   [2][]int32 // free pages that may be resident
	fresh   [2][]int32 // free pages of a huge page, never used
	huge    map[uint32]hugeObject
	spare   []uint32 // chunk numbers whose huge object is gone
	used    int64    // bytes of live objects, by class size
	held    int64    // bytes of pages in use, dirty or fresh, and of huge objects
	ends    int64    // bytes of pages in use behind the last place for an object
	victim  int32    // page that Tidy is emptying, or noPage
	scan    int      // next object of the victim
}

type hugeObject struct {
	mem  []byte
	size int
}

// New returns an empty arena. It takes no memory before the first Alloc.
func New() *Arena {
	a := &Arena{victim: noPage}
	for c := 1; c < classCount; c++ {
		size := classSize(c)
		a.classes[c] = class{size: size, per: pageSize / size, head: noPage}
		if size > bigClass {
			a.classes[c].per, a.classes[c].big = MaxObject/size, 1
		}
		a.classes[c].end = pageSize<<(2*a.classes[c].big) - a.classes[c].per*size
	}
	return a
}

// classSize is the number of bytes of an object of class c.
func classSize(c int) int {
	if c <= smallCount {
		return c * 8
	}
	c -= smallCount + 1
	shift := c / subClasses
	return (smallMax + (c%subClasses+1)*(smallMax/subClasses)) << shift
}

// classOf is the smallest class whose objects hold n bytes, n <= MaxObject.
func classOf(n int) int {
	if n <= smallMax {
		if n <= 16 {
			return 2
		}
		return (n + 7) / 8
	}
	// n-1 lies in [256<<s, 512<<s); the three bits under its top one choose.
	s := bits.Len(uint(n-1)) - 9
	sub := ((n - 1) >> (s + 5)) & (subClasses - 1)
	return smallCount + 1 + s*subClasses + sub
}

// RoundUp is the size that an object of n bytes really takes.
func RoundUp(n int) int {
	if n > MaxObject {
		return (n + 4095) &^ 4095
	}
	return classSize(classOf(n))
}

// Used is the number of bytes of live objects.
func (a *Arena) Used() int64 { return a.used }

// Held is the number of bytes that the arena keeps from the system.
func (a *Arena) Held() int64 { return a.held }

// Loose is how many of them could hold objects, and hold none: what Tidy may gain at most.
func (a *Arena) Loose() int64 { return a.held - a.used - a.ends }

// Head is the first 16 bytes of an object, enough to learn its size.
func (a *Arena) Head(l Loc) *[16]byte {
	return (*[16]byte)(unsafe.Add(a.bases[l>>chunkShift], uintptr(l&(chunkUnits-1))*unit))
}

// Slice is the first n bytes of an object; n must not pass its size.
func (a *Arena) Slice(l Loc, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(a.bases[l>>chunkShift], uintptr(l&(chunkUnits-1))*unit)), n)
}

// Words is the first n 8-byte words of an object.
func (a *Arena) Words(l Loc, n int) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Add(a.bases[l>>chunkShift], uintptr(l&(chunkUnits-1))*unit)), n)
}

// pageOf is the number of the page that an object stands in.
func (a *Arena) pageOf(l Loc) int32 {
	pi := int32(l >> pageShift)
	if a.page(pi).class == inside {
		pi &^= bigPages - 1
	}
	return pi
}

// Prefetch brings the cache line at byte off of an object nearer. It may lie
// behind the object, and so behind the mapping: the address is no pointer.
func (a *Arena) Prefetch(l Loc, off int) {
	prefetch(uintptr(a.bases[l>>chunkShift]) + uintptr(l&(chunkUnits-1))*unit + uintptr(off))
}

// Prefetch brings the cache line where *p begins nearer. It is a hint: it reads
// and writes nothing, so p may be shared.
func Prefetch[T any](p *T) { prefetch(uintptr(unsafe.Pointer(p))) }

// Size is the number of bytes that the object may use.
func (a *Arena) Size(l Loc) int {
	p := a.page(a.pageOf(l))
	if p.class == 0 {
		return a.huge[uint32(l>>chunkShift)].size
	}
	return a.classes[p.class].size
}

// Alloc finds room for n bytes. The memory is not cleared, and its first byte
// must be made different from zero before the next call.
func (a *Arena) Alloc(n int) Loc {
	if n > MaxObject {
		return a.allocHuge(n)
	}
	ci := classOf(n)
	c := &a.classes[ci]
	pi := c.head
	if pi == noPage {
		pi = a.takePage(c.big)
		*a.page(pi) = page{class: uint16(ci), next: noPage, prev: noPage}
		if c.big == 1 {
			for i := pi + 1; i < pi+bigPages; i++ {
				a.page(i).class = inside
			}
		}
		c.pages++
		a.ends += int64(c.end)
		a.link(c, pi)
	}
	p := a.page(pi)
	var i int
	if p.free != 0 {
		i = int(p.free) - 1
		h := a.Head(objectLoc(pi, i, c.size))
		p.free = uint16(h[2]) | uint16(h[3])<<8
	} else {
		i = int(p.bump)
		p.bump++
	}
	p.live++
	c.live++
	a.used += int64(c.size)
	if p.free == 0 && int(p.bump) == c.per {
		a.unlink(c, pi)
	}
	return objectLoc(pi, i, c.size)
}

func objectLoc(pi int32, i, size int) Loc {
	return Loc(pi)<<pageShift + Loc(i*size/unit)
}

// Free gives an object back.
func (a *Arena) Free(l Loc) {
	pi := a.pageOf(l)
	p := a.page(pi)
	if p.class == 0 {
		a.freeHuge(uint32(l >> chunkShift))
		return
	}
	c := &a.classes[p.class]
	i := int(l-Loc(pi)<<pageShift) * unit / c.size
	h := a.Head(l)
	if h[0] == 0 {
		panic(fmt.Sprintf("slab: object %#x freed twice", uint64(l)))
	}
	h[0] = 0
	h[2], h[3] = byte(p.free), byte(p.free>>8)
	p.free = uint16(i + 1)
	p.live--
	c.live--
	a.used -= int64(c.size)
	if p.live == 0 {
		if p.inUse {
			a.unlink(c, pi)
		}
		if a.victim == pi {
			a.victim = noPage
		}
		c.pages--
		a.ends -= int64(c.end)
		p.class = 0
		a.dirty[c.big] = append(a.dirty[c.big], pi)
		return
	}
	if !p.inUse && !p.shut {
		a.link(c, pi)
	}
}

func (a *Arena) link(c *class, pi int32) {
	p := a.page(pi)
	p.prev, p.next, p.inUse = noPage, c.head, true
	if c.head != noPage {
		a.page(c.head).prev = pi
	}
	c.head = pi
}

func (a *Arena) unlink(c *class, pi int32) {
	p := a.page(pi)
	if p.prev != noPage {
		a.page(p.prev).next = p.next
	} else {
		c.head = p.next
	}
	if p.next != noPage {
		a.page(p.next).prev = p.prev
	}
	p.inUse = false
}

// takePage returns a free page, small (0) or large (1), from a new chunk if
// there is none.
func (a *Arena) takePage(big int) int32 {
	if n := len(a.dirty[big]); n > 0 {
		pi := a.dirty[big][n-1]
		a.dirty[big] = a.dirty[big][:n-1]
		return pi
	}
	if len(a.clean[big]) == 0 && len(a.fresh[big]) == 0 {
		a.addChunk(big)
	}
	if n := len(a.fresh[big]); n > 0 {
		pi := a.fresh[big][n-1]
		a.fresh[big] = a.fresh[big][:n-1]
		return pi
	}
	n := len(a.clean[big])
	pi := a.clean[big][n-1]
	a.clean[big] = a.clean[big][:n-1]
	a.held += pageSize << (2 * big)
	return pi
}

// addChunk maps a chunk and cuts it into free pages.
func (a *Arena) addChunk(big int) {
	free := &a.clean[big]
	var mem unsafe.Pointer
	if a.held >= hugeFrom {
		if mem = hugeChunk(); mem != nil {
			free = &a.fresh[big]
			a.held += chunkSize
		}
	}
	if mem == nil {
		mem = mapChunk()
	}
	ch := a.newChunk(mem)
	step := int32(1) << (2 * big)
	for i := int32(chunkPages) - step; i >= 0; i -= step {
		if ch == 0 && i == 0 {
			continue // Loc 0 is no object, so the first page is never used
		}
		*free = append(*free, int32(ch)*chunkPages+i)
	}
}

// newChunk enters memory into the tables and returns its number.
func (a *Arena) newChunk(mem unsafe.Pointer) uint32 {
	if n := len(a.spare); n > 0 {
		ch := a.spare[n-1]
		a.spare = a.spare[:n-1]
		a.bases[ch] = mem
		return ch
	}
	ch := uint32(len(a.bases))
	if uint64(ch)<<chunkShift >= 1<<LocBits {
		panic("slab: arena is full (512 GiB)")
	}
	a.bases = append(a.bases, mem)
	a.tables = append(a.tables, newTable())
	return ch
}

func (a *Arena) allocHuge(n int) Loc {
	if len(a.bases) == 0 { // keep chunk 0 for pages: Loc 0 must stay unused
		a.addChunk(0)
	}
	size := RoundUp(n)
	mem := mapHuge(size)
	ch := a.newChunk(unsafe.Pointer(unsafe.SliceData(mem)))
	if a.huge == nil {
		a.huge = make(map[uint32]hugeObject)
	}
	a.huge[ch] = hugeObject{mem, size}
	a.used += int64(size)
	a.held += int64(size)
	return Loc(ch) << chunkShift
}

func (a *Arena) freeHuge(ch uint32) {
	h := a.huge[ch]
	delete(a.huge, ch)
	a.bases[ch] = nil
	a.used -= int64(h.size)
	a.held -= int64(h.size)
	unmapHuge(h.mem)
	a.spare = append(a.spare, ch)
}

// Release gives back to the system at most n free pages, keeping keep of each
// kind at hand, and reports whether more are left. A page costs a microsecond
// or two.
func (a *Arena) Release(keep, n int) (more bool) {
	for big := range a.dirty {
		if a.used < a.held/2 { // it will not need them soon
			a.dirty[big] = append(a.dirty[big], a.fresh[big]...)
			a.fresh[big] = nil
		}
		d := a.dirty[big]
		for ; n > 0 && len(d) > keep; n-- {
			pi := d[len(d)-1]
			d = d[:len(d)-1]
			size := pageSize << (2 * big)
			releasePage(a.Slice(Loc(pi)<<pageShift, size))
			a.clean[big] = append(a.clean[big], pi)
			a.held -= int64(size)
		}
		a.dirty[big] = d
		more = more || len(d) > keep
	}
	return more
}

// keepFree is the number of free pages of each kind that stay at hand.
const keepFree = 2

// Tidy moves up to about budget bytes of objects out of sparse pages so that
// those pages can go back to the system, and reports whether more remains to
// be done. For each object it calls moved, which must redirect every
// reference; the old place is freed afterwards.
//
// A page is worth emptying when its class has more than wasteful free room
// elsewhere: one part in eight, and at least one page besides it.
func (a *Arena) Tidy(budget int, moved func(from, to Loc)) (more bool) {
	for budget > 0 {
		if a.victim == noPage && !a.chooseVictim() {
			return a.Release(keepFree, 16)
		}
		pi := a.victim
		p := a.page(pi)
		c := &a.classes[p.class]
		for a.scan < int(p.bump) && budget > 0 {
			from := objectLoc(pi, a.scan, c.size)
			a.scan++
			budget -= 16
			if a.Head(from)[0] == 0 {
				continue
			}
			to := a.Alloc(c.size)
			copy(a.Slice(to, c.size), a.Slice(from, c.size))
			moved(from, to)
			budget -= c.size
			a.Free(from)
			if a.victim == noPage {
				break // that was the last one; Free gave the page back
			}
		}
		if a.victim == pi && a.scan >= int(p.bump) {
			panic("slab: a page is not empty after all its objects have moved")
		}
	}
	return true
}

// chooseVictim finds the emptiest page of the class that wastes most.
func (a *Arena) chooseVictim() bool {
	best, waste := 0, 0
	for ci := range a.classes {
		c := &a.classes[ci]
		if c.pages < 2 {
			continue
		}
		room := c.pages*c.per - c.live
		// Room for a whole page must be elsewhere, and the class must waste
		// more than an eighth.
		if room <= c.per || room*8 < c.pages*c.per {
			continue
		}
		if room*c.size > waste {
			best, waste = ci, room*c.size
		}
	}
	if best == 0 {
		return false
	}
	c := &a.classes[best]
	pi, live := int32(noPage), c.per
	for i := c.head; i != noPage; i = a.page(i).next {
		if n := int(a.page(i).live); n < live {
			pi, live = i, n
		}
	}
	if pi == noPage {
		return false
	}
	a.unlink(c, pi)
	a.page(pi).shut = true
	a.victim, a.scan = pi, 0
	return true
}

// Drop gives all memory back. The arena must not be used afterwards.
func (a *Arena) Drop() {
	for ch, h := range a.huge {
		a.bases[ch] = nil
		unmapHuge(h.mem)
	}
	for _, b := range a.bases {
		if b != nil {
			unmapChunk(b)
		}
	}
	for _, t := range a.tables {
		freeTable(t)
	}
	*a = Arena{}
}

// Check verifies the allocator's books against its pages. It is slow.
func (a *Arena) Check() error {
	var used, ends int64
	var live, pages [classCount]int
	for pi := range int32(len(a.tables) * chunkPages) {
		p := a.page(pi)
		if p.class == 0 || p.class == inside {
			continue
		}
		c := &a.classes[p.class]
		pages[p.class]++
		free := make(map[int]bool)
		for i := int(p.free); i != 0; {
			if i > int(p.bump) || free[i-1] {
				return fmt.Errorf("slab: page %d: bad free list at object %d", pi, i-1)
			}
			free[i-1] = true
			h := a.Head(objectLoc(int32(pi), i-1, c.size))
			i = int(h[2]) | int(h[3])<<8
		}
		n := 0
		for i := 0; i < int(p.bump); i++ {
			dead := a.Head(objectLoc(int32(pi), i, c.size))[0] == 0
			if dead != free[i] {
				return fmt.Errorf("slab: page %d object %d: dead %v, in the free list %v", pi, i, dead, free[i])
			}
			if !dead {
				n++
			}
		}
		if n != int(p.live) {
			return fmt.Errorf("slab: page %d: %d live objects, noted %d", pi, n, p.live)
		}
		if room := p.free != 0 || int(p.bump) < c.per; room != p.inUse && !p.shut {
			return fmt.Errorf("slab: page %d: room %v, listed %v", pi, room, p.inUse)
		}
		live[p.class] += n
		ends += int64(c.end)
		used += int64(n * c.size)
	}
	for _, h := range a.huge {
		used += int64(h.size)
	}
	for ci := range a.classes {
		if c := &a.classes[ci]; c.live != live[ci] || c.pages != pages[ci] {
			return fmt.Errorf("slab: class %d: %d objects in %d pages, noted %d in %d", c.size, live[ci], pages[ci], c.live, c.pages)
		}
	}
	if used != a.used {
		return fmt.Errorf("slab: %d bytes in use, noted %d", used, a.used)
	}
	if ends != a.ends {
		return fmt.Errorf("slab: %d bytes behind objects, noted %d", ends, a.ends)
	}
	return nil
}
