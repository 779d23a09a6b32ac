//go:build !linux

package process

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// ResidentMemory, where the system does not say, is what the Go runtime holds.
func ResidentMemory() int64 {
	m := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(m)
	return int64(m[0].Value.Uint64() - m[1].Value.Uint64())
}

// SystemMemory is unknown here.
func SystemMemory() int64 { return 0 }

// CPU is the runtime's estimate; it does not tell the kernel's part.
func CPU() (user, sys time.Duration) {
	m := []metrics.Sample{{Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/idle:cpu-seconds"}}
	metrics.Read(m)
	return time.Duration((m[0].Value.Float64() - m[1].Value.Float64()) * float64(time.Second)), 0
}

// ThreadCPU is unknown here.
func ThreadCPU() (user, sys time.Duration, ok bool) { return }

// SystemName is the system and the machine.
func SystemName() string { return runtime.GOOS + " " + runtime.GOARCH }
