//go:build !linux

package command

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// residentMemory, where the system does not say, is what the Go runtime holds.
func residentMemory() int64 {
	m := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(m)
	return int64(m[0].Value.Uint64() - m[1].Value.Uint64())
}

// systemMemory is unknown here.
func systemMemory() int64 { return 0 }

// processCPU is the runtime's estimate; it does not tell the kernel's part.
func processCPU() (user, sys time.Duration) {
	m := []metrics.Sample{{Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/idle:cpu-seconds"}}
	metrics.Read(m)
	return time.Duration((m[0].Value.Float64() - m[1].Value.Float64()) * float64(time.Second)), 0
}

// threadCPU is unknown here.
func threadCPU() (user, sys time.Duration, ok bool) { return }

// systemName is the system and the machine.
func systemName() string { return runtime.GOOS + " " + runtime.GOARCH }
