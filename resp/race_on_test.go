//go:build race

package resp

// heapSlack is what the race detector keeps of the heap, in MiB: the arenas are Go memory then.
const heapSlack = 4
