//go:build !race

package resp

const heapSlack = 0
