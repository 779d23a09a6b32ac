//go:build !linux

package replica

import "net"

// sender see direct_linux.go; only its event loops have turns.
func sender(net.Conn) func([]byte) int { return nil }
