// Package kvd is kvd as a part of another program: a server, or several, inside a
// process. Without directives it keeps its data in memory only and listens nowhere;
// commands come in through Go calls ([Server.Client]), through any client library by a
// connection in memory ([Server.Dial]), through a server made with redcon
// ([Server.Redcon]), or over the network where directives say so.
//
//	s, err := kvd.Open(kvd.Options{})
//	...
//	defer s.Close()
//	c, err := s.Client()
//	c.Do("SET", "greeting", "hello")
//
// The program cmd/kvd is a main around Start.
package kvd

import (
	gotls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"kvd/command"
	"kvd/command/families"
	"kvd/config"
	"kvd/console"
	"kvd/keyspace"
	"kvd/logf"
	"kvd/memcached"
	"kvd/metrics"
	"kvd/persist"
	"kvd/replica"
	"kvd/resp"
	"kvd/secure"
	"kvd/transport"
	"kvd/tyrant"
)

// Options say what server Open makes. The zero value is one in memory.
type Options struct {
	// Directives are lines of redis.conf, such as "appendonly yes", "dir /var/lib/x"
	// and "port 6379". Without them the server listens nowhere (port 0), saves nothing
	// (save ""), and has one event loop. dir is a directory of this server's own: the
	// process's working directory, in which it begins, stays where it is.
	Directives []string

	// Log gets the server's log, from loglevel on; nil: nobody does.
	Log io.Writer

	// Version is what INFO calls kvd_version.
	Version string
}

// Host is what a program does that is nothing but the server, besides Options.
type Host struct {
	Config *config.Config // finished
	Log    *logf.Logger

	Version string
	// Around is persist.Options.Around.
	Around func() (over func())
	// RoleChanged, if not nil, is called when the server may have become a follower, or a leader.
	RoleChanged func()
	// Listening, if not nil, is called when the ports are bound, and nobody is accepted yet.
	Listening func()
	// Embedded: the process is not the server's alone, which need not listen.
	Embedded bool
}

// Server is a running server.
type Server struct {
	cfg   *config.Config
	log   *logf.Logger
	srv   *command.Server
	redis *resp.Protocol
	front *transport.Server

	tls      *secure.Source
	page     *metrics.Page
	follower *replica.Follower
	leader   *replica.Leader
	aof      *persist.Log
	saver    *persist.Saver

	tending chan struct{} // closed when the background work is to end
	done    chan struct{} // see Done
	aborted chan error    // see Aborted
	loaded  chan error    // see Loaded
	loading chan struct{} // closed when the goroutine that loads has ended; nil: there is none
	ending  sync.Once
	closed  sync.Once
	err     error // of Close
}

// ErrLogged: the reason has gone to the log.
var ErrLogged = errors.New("already logged")

// logged is an error that has gone to the log.
type logged struct{ error }

func (logged) Is(target error) bool { return target == ErrLogged }

// Open starts a server, loads what its directory holds, and returns when it serves.
func Open(o Options) (*Server, error) {
	cfg := config.New()
	if err := cfg.OwnDir(); err != nil {
		return nil, err
	}
	for _, d := range [][]string{{"port", "0"}, {"save", ""}, {"event-loops", "1"}} {
		if err := cfg.SetInitial(d[0], d[1:]); err != nil {
			return nil, err
		}
	}
	if err := cfg.LoadReader(strings.NewReader(strings.Join(o.Directives, "\n"))); err != nil {
		return nil, err
	}
	if err := cfg.Finish(); err != nil {
		return nil, err
	}
	if err := command.CheckUsers(families.Table(), cfg); err != nil {
		return nil, err
	}
	level, _ := logf.ParseLevel(cfg.LogLevel.Load())
	if o.Log == nil {
		o.Log, level = io.Discard, logf.Nothing
	}
	log := logf.NewWriter(o.Log, level)
	log.SetRole(logf.RoleMaster)
	cfg.OnChange("loglevel", func() error {
		if level, _ := logf.ParseLevel(cfg.LogLevel.Load()); o.Log != io.Discard {
			log.SetLevel(level)
		}
		return nil
	})
	s, err := Start(Host{Config: cfg, Log: log, Version: o.Version, Embedded: true})
	if err != nil {
		return nil, err
	}
	if err := <-s.Loaded(); err != nil {
		s.End()
		return nil, err
	}
	return s, nil
}

// Start begins a server: when it returns clients are accepted, and what the directory
// holds may still be being loaded (see Loaded). It is for programs that are nothing but
// the server; others call Open.
func Start(h Host) (_ *Server, err error) {
	cfg, log := h.Config, h.Log
	setFormat := func() error {
		log.SetFormat(cfg.LogFormat.Load())
		log.SetTimestamps(cfg.LogTimestamps.Load())
		return nil
	}
	_ = setFormat()
	cfg.OnChange("log-format", setFormat)
	cfg.OnChange("log-timestamp-format", setFormat)
	if h.RoleChanged == nil {
		h.RoleChanged = func() {}
	}
	table := families.Table()
	for _, r := range cfg.Renames() {
		if err := table.Rename(r.Name, r.Value); err != nil {
			return nil, fmt.Errorf("rename-command %s: %w", r.Name, err)
		}
	}
	ks := keyspace.New(keyspace.Options{Databases: int(cfg.Databases.Load())})
	srv := command.NewServer(table, cfg, ks, log, h.Version)
	s := &Server{cfg: cfg, log: log, srv: srv, tending: make(chan struct{}), done: make(chan struct{}), aborted: make(chan error, 1), loaded: make(chan error, 1)}
	defer func() {
		if err != nil {
			s.End()
		}
	}()
	if err := srv.LoadUsers(); err != nil {
		return nil, err
	}
	var once sync.Once
	srv.Shutdown = func() { once.Do(func() { close(s.done) }) }
	srv.Abort = func(why error) {
		select {
		case s.aborted <- why:
		default:
		}
	}

	stream := replica.NewStream(ks, cfg, log)
	s.saver = persist.New(persist.Options{
		Keyspace: ks, Config: cfg, Log: log, Dirty: &srv.Stats.DirtySinceSave, Version: h.Version, RedisVersion: config.RedisVersion,
		UsedMemory: srv.UsedMemory, Limits: srv.RDBLimits, Freq: srv.Freq, FreqClock: srv.FreqClock, Changed: srv.PersistenceChanged,
		Hold: func() func() { stream.Instant.Lock(); return stream.Instant.Unlock }, Facts: stream.Aux, LeftOut: stream.LeftOut, Around: h.Around,
		Functions: srv.Functions, LoadFunctions: srv.LoadFunctions, Scripts: srv.Scripts, LoadScripts: srv.LoadScripts, Replaced: srv.ContentsReplaced,
	})
	s.aof = persist.NewLog(s.saver, func() persist.Applier { return srv.NewApplier() })
	srv.SetPersistence(s.aof)
	tls := secure.New(cfg, log)
	s.tls = tls
	if tls.Wanted() && tls.Load() != nil {
		log.Warningf("Failed to configure TLS. Check logs for more info.")
		return nil, ErrLogged
	}
	srv.DialTLS, srv.TLSExpiries = tls.Client, func() (out []command.Expiry) {
		for _, e := range tls.Expiries() {
			out = append(out, command.Expiry(e))
		}
		return out
	}
	s.leader = newLeader(srv, s.saver, stream)
	s.follower = newFollower(h.RoleChanged, srv, tls, s.aof, stream, s.leader)

	if err := s.listen(tls, h.Embedded); err != nil {
		log.Warningf("%v", err)
		return nil, logged{err}
	}
	page := console.New(srv, s.front)
	s.page = metrics.NewPage(srv, page, page.Sampled)
	if err := s.page.Listen(); err != nil {
		log.Warningf("%v", err)
		return nil, logged{err}
	}
	if h.Listening != nil {
		h.Listening()
	}
	if !cfg.Ephemeral.Load() {
		if err := s.saver.LockDir(); err != nil {
			return nil, err
		}
	}
	if !h.Embedded {
		go srv.TendMemory(s.tending)
	}
	go srv.TendLimit(s.tending)
	if err := s.front.Start(); err != nil {
		log.Warningf("%v", err)
		return nil, logged{err}
	}
	// What was loaded is served last of all: a write that is acknowledged, or a key
	// that expires, before the history, the log and the role stand would be missing
	// in the log or at the followers.
	ready := func() {
		restore(srv, s.saver, stream, s.follower)
		s.aof.Start()
		s.leader.Start()
		if of := cfg.ReplicaOf.Load(); of.Host != "" {
			s.follower.Follow(of.Host, of.Port)
		}
		srv.KeepsData()
		s.saver.Serve()
		log.Noticef("Ready to accept connections")
	}
	loading := s.aof.HasFile() && !cfg.Ephemeral.Load()
	if loading {
		s.saver.SetLoading() // before the first client comes
		s.loading = make(chan struct{})
	} else { // nobody is told to wait for nothing
		if !cfg.Ephemeral.Load() {
			if err := s.aof.Load(); err != nil {
				return nil, err
			}
		}
		ready()
	}
	if loading {
		go func() {
			defer close(s.loading)
			err := s.aof.Load()
			if err == nil && !srv.Ending() { // else what was loaded is not needed any more
				ready()
			}
			s.loaded <- err
		}()
		select { // clients may connect, but wait
		case <-s.loading:
		case <-time.After(loadUnseen):
		}
	}
	if err := s.front.Accept(); err != nil {
		log.Warningf("%v", err)
		return nil, logged{err}
	}
	if !loading {
		s.loaded <- nil
	}
	return s, nil
}

// loadUnseen is how long loading may take without that clients are told of it: they are
// served when it is done, as Redis does it with a short file.
const loadUnseen = 100 * time.Millisecond

// listen makes the front end, and binds what the configuration says.
func (s *Server) listen(tls *secure.Source, embedded bool) error {
	cfg := s.cfg
	s.redis = resp.New(s.srv)
	s.front = transport.New(s.srv, s.redis)
	s.front.Embedded = embedded
	s.front.Add(transport.Endpoint{Protocol: s.redis, Directive: "port", Port: func() int { return int(cfg.Port.Load()) }, Kind: "TCP"})
	s.front.Add(transport.Endpoint{Protocol: s.redis, Directive: "tls-port", Port: func() int { return int(cfg.TLSPort.Load()) }, Kind: "TLS", TLS: tls.Server, Certified: func(c *command.Client, st gotls.ConnectionState) {
		if name := tls.User(st); name != "" {
			s.srv.Certified(c, name)
		}
	}})
	cache := memcached.New(s.srv)
	s.front.Add(transport.Endpoint{Protocol: cache, Directive: "memcached-port", Port: func() int { return int(cfg.MemcachedPort.Load()) }, Unix: cfg.MemcachedUnixSocket.Load, Kind: "memcached"})
	s.front.Add(transport.Endpoint{Protocol: tyrant.New(s.srv, cache.Text), Directive: "tyrant-port", Port: func() int { return int(cfg.TyrantPort.Load()) }, Kind: "Tokyo Tyrant"})
	for directive, db := range map[string]*config.Int{"memcached-db": cfg.MemcachedDB, "tyrant-db": cfg.TyrantDB} {
		check := func() error {
			if n := s.srv.Keyspace.Databases(); int64(db.Load()) >= int64(n) {
				return fmt.Errorf("%s %d is none of the %d databases", directive, db.Load(), n)
			}
			return nil
		}
		if err := check(); err != nil {
			return err
		}
		cfg.OnChange(directive, check)
	}
	s.aof.SetWaiters(s.front)
	if !cfg.Ephemeral.Load() || cfg.Port.Load() != 0 {
		return s.front.Listen()
	}
	// The port that the system chooses may be taken by another program before it is bound.
	var err error
	for range portTries {
		port := 0
		if port, err = freePort(); err != nil {
			return err
		}
		if err = cfg.SetInitial("port", []string{strconv.Itoa(port)}); err != nil {
			return err
		}
		if err = s.front.Listen(); err == nil {
			return nil
		}
	}
	return err
}

// portTries is how often a free port is looked for anew.
const portTries = 10

// freePort is a port that nobody listens on at the moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Loaded is told once that the data is loaded and the server serves, or why it cannot be.
func (s *Server) Loaded() <-chan error { return s.loaded }

// Done is closed when somebody has ended the server with SHUTDOWN: Close follows.
func (s *Server) Done() <-chan struct{} { return s.done }

// Aborted is told why the server is to end at once, without saving anything; see
// propagation-error-behavior.
func (s *Server) Aborted() <-chan error { return s.aborted }

// Engine is the server as commands see it.
func (s *Server) Engine() *command.Server { return s.srv }

// Config is the configuration as it stands; CONFIG SET changes it.
func (s *Server) Config() *config.Config { return s.cfg }

// Close ends the server as SHUTDOWN does: it waits for followers that lag
// (shutdown-timeout), saves if save points are configured, syncs the log, and ends all
// connections. The error is that of saving: the server has ended all the same.
func (s *Server) Close() error {
	s.closed.Do(func() {
		select {
		case <-s.done: // SHUTDOWN has saved already
		default:
			s.err = s.srv.PrepareShutdown(false, false, false, false)
		}
		s.End()
	})
	return s.err
}

// End stops everything at once, without saving.
func (s *Server) End() {
	s.ending.Do(func() {
		if s.page != nil {
			s.page.Close()
		}
		if s.front != nil {
			s.front.Close()
		}
		if s.loading != nil { // the memory that it fills is about to be given up
			s.saver.StopLoading()
			<-s.loading
		}
		if s.follower != nil {
			s.follower.Close()
			s.leader.Close()
		}
		if s.tls != nil {
			s.tls.Close()
		}
		if s.aof != nil {
			s.aof.Close()
		}
		close(s.tending)
		s.srv.Keyspace.Close()
	})
}

// GiveUp ends the snapshot that the server's end may be waiting for: its file is removed,
// and none is begun any more.
func (s *Server) GiveUp() { s.saver.GiveUp() }

// Advance moves the clock of keys, fields and waits forward, for tests: when it returns,
// what is due by then has expired, and blocking commands whose time is over are
// answered. What has to do with connections and files goes by the system's clock as
// before. It goes no further than a hundred years.
func (s *Server) Advance(d time.Duration) error {
	if !s.srv.Advance(d) {
		return fmt.Errorf("the clock cannot be moved by %v", d)
	}
	return nil
}

// Dial opens a connection in memory, for any client library that takes one: it is as
// near as a unix socket.
func (s *Server) Dial() (net.Conn, error) {
	select {
	case <-s.tending:
		return nil, net.ErrClosed
	default:
	}
	ours, theirs := transport.Pipe("memory:server", "memory:client")
	s.front.ServeConn(ours, s.redis)
	return theirs, nil
}

// Addr is where the server listens over TCP, "" if it does not.
func (s *Server) Addr() string {
	port := s.cfg.Port.Load()
	if port == 0 {
		return ""
	}
	host := "127.0.0.1"
	if l := s.cfg.Bind.Load(); len(l) > 0 && l[0] != "*" && l[0] != "0.0.0.0" {
		host = l[0]
	}
	return net.JoinHostPort(host, strconv.FormatInt(port, 10))
}
