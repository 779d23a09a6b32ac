package transport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kvd/command"
	"kvd/config"
	"kvd/lockrank"
)

// Server listens and serves until Close.
type Server struct {
	cmd *command.Server
	cfg *config.Config

	queryBufferLimit atomic.Int64 // a copy of the directive, which is read for every batch of commands

	unix      *endpoint   // the unix socket
	endpoints []*endpoint // of TCP
	listeners []bound     // besides those of the endpoints
	shaking   *handshakes
	transport transport
	plain     *goroutines // serves what has no socket; the same as transport where all are served so

	// Embedded: nobody need be able to connect from outside.
	Embedded bool

	mu lockrank.Mutex[lockrank.TransportServer] // protects the endpoints' listeners, and Close against rebinding

	closed atomic.Bool
	wg     sync.WaitGroup
	ended  chan struct{} // closed when Close has ended all connections
}

// endpoint is an Endpoint with where it listens.
type endpoint struct {
	Endpoint
	tcp map[string]listener // by address, as of the bind directive and the endpoint's port
}

// listener is one bound address.
type listener interface {
	Close() error
}

// bound is a listener and the endpoint of those it accepts.
type bound struct {
	l  listener
	ep *endpoint
}

// transport is what serves connections on this system.
type transport interface {
	listenTCP(addr string, backlog int) (listener, error)
	listenUnix(path string, rights unixRights) (listener, error)
	start() error
	// serve accepts what comes to a listener from now on; start was called before.
	serve(l listener, ep *endpoint) error
	stop()
	// See Server.Synced, Settle and Failed.
	synced()
	settle()
	failed()
}

// New makes a server on whose unix socket the protocol is spoken; calls of Add,
// then Listen, Start and Accept follow.
func New(cmd *command.Server, unix Protocol) *Server {
	s := &Server{cmd: cmd, cfg: cmd.Config, ended: make(chan struct{})}
	s.unix = &endpoint{Endpoint: Endpoint{Protocol: unix, Unix: s.cfg.UnixSocket.Load}}
	s.queryBufferLimit.Store(int64(s.cfg.ClientQueryBufferLimit.Load()))
	s.cfg.OnChange("client-query-buffer-limit", func() error {
		s.queryBufferLimit.Store(int64(s.cfg.ClientQueryBufferLimit.Load()))
		return nil
	})
	s.cfg.OnChange("bind", func() error { return s.rebind("Failed to bind to specified addresses.", s.endpoints...) })
	s.cfg.OnChange("maxclients", s.setClients)
	s.shaking = newHandshakes(s)
	s.transport, s.plain = newTransport(s), newGoroutines(s)
	if t, ok := s.transport.(*goroutines); ok {
		s.plain = t
	}
	return s
}

// Add has the server listen at an endpoint, too; before Listen.
func (s *Server) Add(e Endpoint) {
	ep := &endpoint{Endpoint: e}
	s.endpoints = append(s.endpoints, ep)
	s.cfg.OnChange(e.Directive, func() error {
		return s.rebind("Unable to listen on this port. Check server logs.", ep)
	})
}

// Listen raises the limit of open files as maxclients needs it, or lowers
// maxclients, and binds what the configuration says. A failure names the port in
// Redis's words.
func (s *Server) Listen() error {
	if err := s.startClients(); err != nil {
		return err
	}
	listens := false
	for _, ep := range s.endpoints {
		ls, err := s.bind(ep.Port(), nil)
		if err != nil {
			return fmt.Errorf("Failed listening on port %d (%s), aborting.", ep.Port(), ep.Kind)
		}
		ep.tcp = ls
		listens = listens || len(ls) > 0
	}
	paths := map[string]bool{}
	err := s.eachUnix(func(ep *endpoint, path string) error {
		if paths[path] {
			return fmt.Errorf("Failed opening Unix socket: two protocols are to listen on %s", path)
		}
		paths[path] = true
		_ = os.Remove(path) // a socket that an earlier server left
		rights, err := unixRightsOf(s.cfg)
		if err != nil {
			return fmt.Errorf("Failed opening Unix socket: %w", err)
		}
		l, err := s.transport.listenUnix(path, rights)
		if err != nil {
			return fmt.Errorf("Failed opening Unix socket: bind: %w", err)
		}
		s.listeners = append(s.listeners, bound{l, ep})
		return nil
	})
	if err != nil {
		return err
	}
	if len(s.listeners) == 0 && !listens && !s.Embedded {
		return errors.New("Configured to not listen anywhere, exiting.")
	}
	return nil
}

// eachUnix calls f for every Unix socket, until it fails.
func (s *Server) eachUnix(f func(ep *endpoint, path string) error) error {
	for _, ep := range append([]*endpoint{s.unix}, s.endpoints...) {
		if path := ep.path(); path != "" {
			if err := f(ep, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// path is that of the endpoint's Unix socket, "": it has none.
func (e *endpoint) path() string {
	if e.Unix == nil {
		return ""
	}
	return e.Unix()
}

// unixRights says who may use a unix socket.
type unixRights struct {
	perm  os.FileMode // 0: the umask decides
	group int         // -1: the process's
}

// unixRightsOf finds what unixsocketperm and unixsocketgroup say.
func unixRightsOf(cfg *config.Config) (unixRights, error) {
	r := unixRights{os.FileMode(cfg.UnixSocketPerm.Load()), -1}
	name := cfg.UnixSocketGroup.Load()
	if name == "" {
		return r, nil
	}
	if g, err := user.LookupGroup(name); err == nil {
		name = g.Gid
	}
	id, err := strconv.Atoi(name)
	if err != nil || id < 0 {
		return r, fmt.Errorf("there is no group %s", cfg.UnixSocketGroup.Load())
	}
	r.group = id
	return r, nil
}

// none tells that the socket is left as the system makes it.
func (r unixRights) none() bool { return r.perm == 0 && r.group < 0 }

// give sets them. The group comes first: only then it may have what perm gives it.
func (r unixRights) give(path string) error {
	if r.group >= 0 {
		if err := os.Chown(path, -1, r.group); err != nil {
			return err
		}
	}
	if r.perm == 0 {
		return nil
	}
	return os.Chmod(path, r.perm)
}

// bind listens on a port at every address of the bind directive, but for
// those that are there already, and returns what is new; 0 is no port. An
// address that begins with - may be missing on this system. After an error
// nothing is new.
func (s *Server) bind(port int, there map[string]listener) (ls map[string]listener, err error) {
	ls = make(map[string]listener)
	for _, a := range s.addresses(port) {
		if there[a.text] != nil || ls[a.text] != nil {
			continue
		}
		l, err := s.transport.listenTCP(a.text, int(s.cfg.TCPBacklog.Load()))
		if err != nil {
			if a.optional && notAvailable(err) {
				continue
			}
			s.cmd.Log.Warningf("Warning: Could not create server TCP listening socket %s: bind: %s", a.text, reason(err))
			for _, l := range ls {
				l.Close()
			}
			return nil, err
		}
		ls[a.text] = l
	}
	return ls, nil
}

// address is where to listen: "host:port".
type address struct {
	text     string
	optional bool
}

// addresses are those of the bind directive, with a port.
func (s *Server) addresses(port int) (as []address) {
	if port == 0 {
		return nil
	}
	for _, name := range s.cfg.Bind.Load() {
		name, optional := strings.CutPrefix(name, "-")
		switch name {
		case "*":
			name = "0.0.0.0"
		case "::*":
			name = "::"
		}
		as = append(as, address{net.JoinHostPort(name, fmt.Sprint(port)), optional})
	}
	return as
}

// rebind has endpoints listen where the bind directive and their port say now,
// and no longer elsewhere; connections that exist stay. CONFIG SET calls it.
// After an error the endpoint that failed listens where it did.
func (s *Server) rebind(failed string, endpoints ...*endpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return errors.New(failed)
	}
	for _, ep := range endpoints {
		if err := s.move(ep); err != nil {
			return errors.New(failed)
		}
	}
	return nil
}

// move is rebind for one endpoint.
func (s *Server) move(ep *endpoint) error {
	port := ep.Port()
	keep := make(map[string]listener)
	for _, a := range s.addresses(port) {
		if l := ep.tcp[a.text]; l != nil {
			keep[a.text] = l
		}
	}
	drop := func() {
		for text, l := range ep.tcp {
			if keep[text] == nil {
				l.Close()
			}
		}
	}
	added, err := s.bind(port, keep)
	if errors.Is(err, syscall.EADDRINUSE) && ep.samePort(port) {
		// An address of the old ones may stand in the way: all of them, say.
		drop()
		if added, err = s.bind(port, keep); err != nil {
			for text := range ep.tcp {
				if keep[text] == nil {
					if l, err := s.transport.listenTCP(text, int(s.cfg.TCPBacklog.Load())); err == nil && s.transport.serve(l, ep) == nil {
						keep[text] = l
					}
				}
			}
			ep.tcp = keep
		}
	}
	if err != nil {
		return err
	}
	drop()
	for text, l := range added {
		if err := s.transport.serve(l, ep); err != nil {
			s.cmd.Log.Warningf("Listening on %s: %v", text, err)
			l.Close()
			continue
		}
		keep[text] = l
	}
	ep.tcp = keep
	return nil
}

// samePort tells whether the endpoint listens on this port already.
func (ep *endpoint) samePort(port int) bool {
	for text := range ep.tcp {
		if strings.HasSuffix(text, fmt.Sprintf(":%d", port)) {
			return true
		}
	}
	return false
}

// reason is the innermost text of a network error.
func reason(err error) string {
	var se *os.SyscallError
	if errors.As(err, &se) {
		return se.Err.Error()
	}
	return err.Error()
}

// Loops is how many event loops serve: the directive, or io-threads, or by default one for
// each core but one, which is left to the background work (and, where there
// are only two, to the rest of the machine).
func (s *Server) Loops() int {
	if n := int(s.cfg.EventLoops.Load()); n > 0 {
		return n
	}
	if n := int(s.cfg.IOThreads.Load()); n > 1 {
		return n // a configuration of Redis's that asks for several threads
	}
	return max(1, runtime.NumCPU()-1)
}

// Start begins to work in the background; nobody is accepted before Accept.
func (s *Server) Start() error {
	if s.both() {
		_ = s.plain.start()
	}
	return s.transport.start()
}

// both tells whether plain is a transport of its own.
func (s *Server) both() bool { return s.transport != transport(s.plain) }

// ServeConn serves a connection that has come in by other ways than the listeners, and
// closes it in the end. It is as near as one through a unix socket.
func (s *Server) ServeConn(nc net.Conn, p Protocol) {
	s.plain.accept(nc, &endpoint{Endpoint: Endpoint{Protocol: p}}, true)
}

// Accept accepts connections from now on.
func (s *Server) Accept() error {
	s.mu.Lock() // a client that comes at once may rebind
	defer s.mu.Unlock()
	all := slices.Clone(s.listeners)
	for _, ep := range s.endpoints {
		for _, l := range ep.tcp {
			all = append(all, bound{l, ep})
		}
	}
	for _, b := range all {
		if err := s.transport.serve(b.l, b.ep); err != nil {
			return err
		}
	}
	return nil
}

// Close stops listening and ends all connections. Replies that are already
// written to a connection's buffer are sent if the socket takes them.
func (s *Server) Close() {
	if s.closed.Swap(true) {
		return
	}
	s.mu.Lock()
	for _, b := range s.listeners {
		b.l.Close()
	}
	for _, ep := range s.endpoints {
		for _, l := range ep.tcp {
			l.Close()
		}
	}
	s.mu.Unlock()
	s.shaking.close()
	s.transport.stop()
	if s.both() {
		s.plain.stop()
	}
	s.wg.Wait()
	close(s.ended)
	_ = s.eachUnix(func(_ *endpoint, path string) error {
		_ = os.Remove(path)
		return nil
	})
}

// Synced is told by the append-only log that more of it lasts, or that replies
// need not wait for it any more. It returns at once.
func (s *Server) Synced() {
	s.transport.synced()
	if s.both() {
		s.plain.synced()
	}
}

// Settle returns when every batch of commands that was running has handed over
// its replies.
func (s *Server) Settle() {
	s.transport.settle()
	if s.both() {
		s.plain.settle()
	}
}

// Failed closes the connections whose replies wait for the append-only log,
// and returns when they are.
func (s *Server) Failed() {
	s.transport.failed()
	if s.both() {
		s.plain.failed()
	}
}

const (
	deniedText = "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication password for the default user. NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside."
	fullText   = TooManyClients
)

// refuse says why a new connection is not served; "" serves it.
func (s *Server) refuse(remote net.IP) string {
	if s.cmd.Clients() >= int(s.cfg.MaxClients.Load()) {
		s.cmd.Stats.Rejected.Add(1)
		return fullText
	}
	if remote != nil && !remote.IsLoopback() && s.cfg.ProtectedMode.Load() && s.cmd.DefaultNoPass() {
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

// TooManyClients is what a client is told that maxclients refuses; see Protocol.Refusal.
const TooManyClients = "ERR max number of clients reached"

// smallOut is output that no limit is so low as to forbid.
const smallOut = 16 << 10

// idleTooLong tells whether the timeout directive ends this client. One that is
// parked waits for the server (a blocking command, a pause, a stalled log, a
// worker) and is not idle.
func (s *Server) idleTooLong(p *peer, now time.Time) bool {
	t, c := s.cfg.Timeout.Load(), p.Client
	return t > 0 && !p.Parked && !c.Blocked() && !c.Monitors() && !c.Leader() && !c.Subscribed() && now.UnixMilli()-c.IdleSince() > int64(t)*1000
}
