//go:build !unix || race

package slab

import "unsafe"

func mapChunk() unsafe.Pointer  { return unsafe.Pointer(unsafe.SliceData(make([]byte, chunkSize))) }
func hugeChunk() unsafe.Pointer { return nil }
func unmapChunk(unsafe.Pointer) {}
func mapHuge(n int) []byte      { return make([]byte, n) }
func unmapHuge([]byte)          {}
func releasePage(b []byte)      { clear(b) }
func newTable() *pageTable      { return new(pageTable) }
func freeTable(*pageTable)      {}
