//go:build !unix

package persist

// noFollow is nothing: the system has no such flag.
const noFollow = 0
