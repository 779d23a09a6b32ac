//go:build race

package transport_test

// heapSlack is what the race detector keeps of the heap, in MiB: the arenas are Go memory then.
const heapSlack = 4
