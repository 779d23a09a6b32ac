package embedded

import (
	"context"
	"net"

	"kvd"
)

func kvdDialer(s *kvd.Server) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return s.Dial() }
}
