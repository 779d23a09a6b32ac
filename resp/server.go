package resp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kvd/command"
	"kvd/config"
)

// Server listens and serves until Close.
type Server struct {
	cmd *command.Server
	cfg *config.Config

	// Copies of directives that are read for every batch of commands.
	maxBulk          atomic.Int64
	queryBufferLimit atomic.Int64

	listeners []listener
	transport transport

	closed atomic.Bool
	wg     sync.WaitGroup
}

// listener is one bound address.
type listener interface {
	Close() error
}

// transport is what serves connections on this system.
type transport interface {
	listenTCP(addr string, backlog int) (listener, error)
	listenUnix(path string, perm os.FileMode) (listener, error)
	start() error
	stop()
}

// New makes a server; Listen and Start follow.
func New(cmd *command.Server) *Server {
	s := &Server{cmd: cmd, cfg: cmd.Config}
	s.maxBulk.Store(int64(s.cfg.ProtoMaxBulkLen.Load()))
	s.queryBufferLimit.Store(int64(s.cfg.ClientQueryBufferLimit.Load()))
	s.cfg.OnChange("proto-max-bulk-len", func() error {
		s.maxBulk.Store(int64(s.cfg.ProtoMaxBulkLen.Load()))
		return nil
	})
	s.cfg.OnChange("client-query-buffer-limit", func() error {
		s.queryBufferLimit.Store(int64(s.cfg.ClientQueryBufferLimit.Load()))
		return nil
	})
	s.transport = newTransport(s)
	return s
}

// Listen binds what the configuration says. A failure names the port in
// Redis's words.
func (s *Server) Listen() error {
	if port := int(s.cfg.Port.Load()); port != 0 {
		ls, err := s.bind(port)
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, ls...)
	}
	if path := s.cfg.UnixSocket.Load(); path != "" {
		_ = os.Remove(path) // a socket that an earlier server left
		l, err := s.transport.listenUnix(path, os.FileMode(s.cfg.UnixSocketPerm.Load()))
		if err != nil {
			return fmt.Errorf("Failed opening Unix socket: bind: %w", err)
		}
		s.listeners = append(s.listeners, l)
	}
	if len(s.listeners) == 0 {
		return errors.New("Configured to not listen anywhere, exiting.")
	}
	return nil
}

// bind listens on a port at every address of the bind directive. An address
// that begins with - may be missing on this system.
func (s *Server) bind(port int) (ls []listener, err error) {
	for _, addr := range s.cfg.Bind.Load() {
		name, optional := strings.CutPrefix(addr, "-")
		switch name {
		case "*":
			name = "0.0.0.0"
		case "::*":
			name = "::"
		}
		l, err := s.transport.listenTCP(net.JoinHostPort(name, fmt.Sprint(port)), int(s.cfg.TCPBacklog.Load()))
		if err != nil {
			if optional && notAvailable(err) {
				continue
			}
			s.cmd.Log.Warningf("Warning: Could not create server TCP listening socket %s:%d: bind: %s", name, port, reason(err))
			for _, l := range ls {
				l.Close()
			}
			return nil, fmt.Errorf("Failed listening on port %d (TCP), aborting.", port)
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// reason is the innermost text of a network error.
func reason(err error) string {
	var se *os.SyscallError
	if errors.As(err, &se) {
		return se.Err.Error()
	}
	return err.Error()
}

// Loops is how many event loops serve: the directive, or by default one for
// each core but one, which is left to the background work (and, where there
// are only two, to the rest of the machine).
func (s *Server) Loops() int {
	if n := int(s.cfg.EventLoops.Load()); n > 0 {
		return n
	}
	return max(1, runtime.NumCPU()-1)
}

// Start serves in the background.
func (s *Server) Start() error { return s.transport.start() }

// Close stops listening and ends all connections. Replies that are already
// written to a connection's buffer are sent if the socket takes them.
func (s *Server) Close() {
	if s.closed.Swap(true) {
		return
	}
	for _, l := range s.listeners {
		l.Close()
	}
	s.transport.stop()
	s.wg.Wait()
	if path := s.cfg.UnixSocket.Load(); path != "" {
		os.Remove(path)
	}
}

const (
	deniedText = "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication password for the default user. NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside.\r\n"
	fullText   = "-ERR max number of clients reached\r\n"
)

// refuse says why a new connection is not served; "" serves it.
func (s *Server) refuse(remote net.IP) string {
	if s.cmd.Clients() >= int(s.cfg.MaxClients.Load()) {
		s.cmd.Stats.Rejected.Add(1)
		return fullText
	}
	if remote != nil && !remote.IsLoopback() && s.cfg.ProtectedMode.Load() && s.cfg.RequirePass.Load() == "" {
		s.cmd.Stats.Rejected.Add(1)
		return deniedText
	}
	return ""
}

// tooMuchInput notes that a client is closed for the length of its input.
func (s *Server) tooMuchInput(c *command.Client) {
	s.cmd.Stats.QueryBufferLimit.Add(1)
	s.cmd.Log.Warningf("Closing client that reached max query buffer length: %s", c.Info())
}

// smallOut is output that no limit is so low as to forbid.
const smallOut = 16 << 10

// idleTooLong tells whether the timeout directive ends this client.
func (s *Server) idleTooLong(c *command.Client, now time.Time) bool {
	t := s.cfg.Timeout.Load()
	return t > 0 && !c.Blocked() && !c.Leader() && !c.Subscribed() && now.UnixMilli()-c.IdleSince() > int64(t)*1000
}
