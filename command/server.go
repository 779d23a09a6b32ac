package command

import (
	"crypto/rand"
	"encoding/hex"
	"sync/atomic"
	"time"

	"kvd/config"
	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/logf"
	"kvd/observe"
	"kvd/pubsub"
)

// Server is what commands share besides the keyspace.
type Server struct {
	Table    *Table
	Config   *config.Config
	Keyspace *keyspace.Keyspace
	Log      *logf.Logger
	Started  time.Time
	RunID    string // 40 hex digits, new at every start
	Version  string // of kvd

	tlsHooks

	clients clients
	errors  errorStats
	execs   execList

	// Shutdown ends the server; it may be called more than once and does not wait.
	Shutdown func()

	// Abort ends the process without saving anything, for this reason: the contents are not
	// what they should be, and propagation-error-behavior says so. nil: it goes on.
	Abort func(why error)

	// publish sends a message to a channel's subscribers. It may be called with
	// stripes locked, and keeps neither argument.
	Publisher func(channel, message []byte)

	Stats    ServerStats
	waiters  waitTable
	late     lateServer
	watches  watchTable
	tracking tracking
	pubsub   pubsub.Hub

	clientMem clientMemory

	rates  rates
	base   totals // what CONFIG RESETSTAT takes for zero
	memory memoryGauge
	pause  pause

	readers readers
	stall   stall
	access  accessClock
	parts   parts
	// ordering has the last value of ordered-keys act last. It is held over all stripes.
	ordering lockrank.Mutex[lockrank.Ordering]
	// HashOrders are the indexes of fields that hashes have, as of a second ago.
	HashOrders struct{ Count, Bytes atomic.Int64 }
	limit      memoryLimit
	debug      debugFlags

	// What is noted of commands that have run.
	Logs    observe.Logs
	HotKeys observe.HotKeys
	Latency observe.Latency
	// slowLeast is from how many nanoseconds on a command is worth a look: it may be
	// one for the slow log or for the latency monitor. Every command loads it.
	slowLeast atomic.Int64

	monitors monitors
	watchers watchers
	scripts  scripts
	rights   rights

	persist   Persistence
	persistMu lockrank.Mutex[lockrank.CommandPersist] // one PersistenceChanged at a time
	// answers is read-locked from when a worker asks whether the log is well until it has
	// delivered; see answer.
	answers     lockrank.RWMutex[lockrank.CommandAnswers]
	replication replication
	// followerEnd is nil in servers without replication, such as tests drive.
	followerEnd Following
	// following tells whether there is a leader; it is set before the last change
	// of the server's own is in its stream (see Following.Follow).
	following atomic.Bool

	// kept tells /ready that a follower serves what it has loaded at its start.
	kept     atomic.Bool
	own      ownKeys
	followMu lockrank.Mutex[lockrank.CommandFollow] // one FollowingChanged at a time
	// gate says which commands are not admitted because of persist's state;
	// every command loads it. See gated.
	gate atomic.Uint32

	shutdown shutdown

	httpLogged atomic.Int64 // when hangUp last wrote to the log, Unix seconds
}

// ServerStats are counters of INFO that no other room keeps.
type ServerStats struct {
	Connections      atomic.Int64 // accepted ever
	Rejected         atomic.Int64 // refused by maxclients
	NetIn, NetOut    atomic.Int64 // bytes; see Received and Sent
	Reads, Writes    atomic.Int64 // from and to connections
	PeakMemory       atomic.Int64
	PeakTime         atomic.Int64 // when that was first reached, Unix seconds
	MaxCommandNs     atomic.Int64 // longest command on a loop, CPU time, while timing is on
	DirtySinceSave   atomic.Int64
	QueryBufferLimit atomic.Int64 // clients closed for it
	KeptLinks        atomic.Int64 // connections that MIGRATE keeps for the next time
	IdleClosed       atomic.Int64 // connections that the timeout directive has ended

	// ByPrefix: memcached's clients have asked for figures by prefixes of keys (stats
	// detail). Each of their requests loads it.
	ByPrefix atomic.Bool
}

// Received counts a read of n bytes from a client.
func (s *ServerStats) Received(n int) {
	s.NetIn.Add(int64(n))
	s.Reads.Add(1)
}

// Sent counts a write of n bytes to a client.
func (s *ServerStats) Sent(n int) {
	s.NetOut.Add(int64(n))
	s.Writes.Add(1)
}

// NewServer wires the rooms together. The table must not be renamed in any more.
func NewServer(table *Table, cfg *config.Config, ks *keyspace.Keyspace, log *logf.Logger, version string) *Server {
	var id [20]byte
	rand.Read(id[:])
	s := &Server{Table: table, Config: cfg, Keyspace: ks, Log: log, Started: time.Now(), RunID: hex.EncodeToString(id[:]), Version: version,
		readers: newReaders(cfg.BioCPUList.Load())}
	s.persist = noPersistence{s.Started}
	s.replication.Replication = noReplication{}
	s.clients.all = make(map[int64]*Client)
	s.waiters.init(s)
	s.watches.init(ks)
	s.pubsub.Init()
	s.tracking.init(s)
	s.Publisher = func(channel, message []byte) { s.pubsub.Publish(&s.pubsub.Channels, channel, message) }
	s.rights.init(s)
	s.configHooks()
	s.watchSlowness()
	s.memory.startup = s.memoryUse(false).used
	ks.AddObserver(&s.watches)
	ks.AddObserver(&s.waiters)
	ks.AddObserver(&s.tracking)
	ks.SetHooks(keyspace.Hooks{Created: s.created, Expired: s.keyExpired, Evicted: s.keyEvicted, Evicting: s.keyEvicting, Over: s.memoryOver, FieldsExpired: s.fieldsExpired,
		ExpireCycle: func(took time.Duration) { s.NoteLatency("expire-cycle", int64(took)) },
		EvictCycle:  func(took time.Duration) { s.NoteLatency("eviction-cycle", int64(took)) }})
	s.access.init(s)
	s.limit.init(s)
	return s
}

// NewClient registers a connection. The address pair is what CLIENT LIST shows.
func (s *Server) NewClient(conn Conn, addr, laddr string, fd int) *Client {
	return s.Accept(conn, addr, laddr, fd, func(*Client) {})
}

// Accept is NewClient. before is called with the client while nobody else knows
// it: what others may ask of it and of conn must be there then.
func (s *Server) Accept(conn Conn, addr, laddr string, fd int, before func(*Client)) *Client {
	c := &Client{ID: s.clients.next.Add(1), Addr: addr, LAddr: laddr, FD: fd, Created: time.Now(), Conn: conn}
	c.proto.Store(2)
	c.active.Store(c.Created.UnixMilli())
	before(c)
	s.enroll(c)
	s.Stats.Connections.Add(1)
	return c
}

// DropClient is called by the transport when a connection has ended.
func (s *Server) DropClient(c *Client) {
	s.unblock(c)
	s.unwatch(c)
	s.dropBuild(c)
	s.unmonitor(c)
	s.unwatchAll(c)
	s.unsubscribeAll(c)
	s.tracking.drop(c)
	s.clients.remove(c)
	s.forgetMemory(c)
}

// execOf is the Exec whose command makes a change. It is nil if no command does.
func execOf(by any) *Exec {
	x, _ := by.(*Exec)
	return x
}

// Clients is the number of connections.
func (s *Server) Clients() int { return s.clients.count() }

// EachClient calls f for every connection.
func (s *Server) EachClient(f func(*Client)) {
	for _, c := range s.clients.list() {
		f(c)
	}
}

// IdleSince is when the client last sent a command, in Unix milliseconds.
func (c *Client) IdleSince() int64 { return c.active.Load() }

// Blocked tells whether the client waits in a blocking command.
func (c *Client) Blocked() bool { return c.blocked.Load() != nil }
