//go:build !linux

package transport

import (
	"errors"
	"net"
)

func newTransport(s *Server) transport { return newGoroutines(s) }

// notAvailable tells whether an address is missing on this system.
func notAvailable(err error) bool {
	var ae *net.AddrError
	var de *net.DNSError
	var oe *net.OpError
	return errors.As(err, &ae) || errors.As(err, &de) || errors.As(err, &oe) && oe.Op == "listen"
}
