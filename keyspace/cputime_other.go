//go:build !linux

package keyspace

import "time"

var started = time.Now()

// threadCPU is wall time where the system has no clock for a thread's CPU.
func threadCPU() int64 { return int64(time.Since(started)) + 1 }

// ThreadCPU is the CPU time of the calling thread in nanoseconds.
func ThreadCPU() int64 { return threadCPU() }
