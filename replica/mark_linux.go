package replica

import (
	"syscall"

	"kvd/config"
)

// markSocket marks an outgoing connection by socket-mark-id; nil: there is no mark.
func markSocket(cfg *config.Config) func(network, address string, c syscall.RawConn) error {
	mark := cfg.SocketMarkID.Load()
	if mark == 0 {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var failed error
		if err := c.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_MARK, int(mark))
		}); err != nil {
			return err
		}
		return failed
	}
}
