//go:build !linux

package memcached

// cpuTimes are not known here.
func cpuTimes() (user, system string) { return "0.000000", "0.000000" }
