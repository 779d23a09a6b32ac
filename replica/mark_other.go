//go:build !linux

package replica

import (
	"syscall"

	"kvd/config"
)

// markSocket does nothing where sockets have no marks.
func markSocket(*config.Config) func(network, address string, c syscall.RawConn) error { return nil }
