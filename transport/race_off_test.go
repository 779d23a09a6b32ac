//go:build !race

package transport_test

const heapSlack = 0
