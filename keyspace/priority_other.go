//go:build !linux

package keyspace

// LowPriority does nothing where threads have no priority of their own.
func LowPriority(int) {}
