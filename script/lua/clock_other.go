//go:build !unix

package lua

import "time"

var started = time.Now()

// cpuSeconds is the time since the start, where no portable call tells the processor time.
func cpuSeconds() float64 { return time.Since(started).Seconds() }
