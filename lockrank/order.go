// Package lockrank holds the order of all locks of the server, and the mutexes
// that go by it.
//
// A goroutine that holds a lock may take only locks that come later in Order.
// Without the build tag lockcheck a Mutex is a sync.Mutex and costs nothing more.
// With it every goroutine's locks are noted, and one that is taken in a wrong
// order ends the process with a message that names both.
package lockrank

// Rank is the type that stands for a lock in Order. What a lock protects, and for
// how long it is held, is said where it is declared.
type Rank interface{ comparable }

// Ranks, one for each lock of the server.
type (
	ConsolePrompt       struct{} // console.session.mu: held while a command runs
	ConsoleLive         struct{} // console.live.mu: over the figures of commands
	TransportRunning    struct{} // goroutines.running: a batch of commands runs
	ReplicaSwitching    struct{} // Follower.switching
	CommandLate         struct{} // lateServer.mu
	CommandEviction     struct{} // clientMemory.mu
	Config              struct{} // config.Config.mu: hooks run under it, also those of a CONFIG SET in EXEC: with stripes locked
	TransportServer     struct{} // Server.mu: sockets to listen on
	CommandPersist      struct{} // Server.persistMu
	CommandAnswers      struct{} // Server.answers: read-locked while a worker answers
	CommandFollow       struct{} // Server.followMu
	MemoryApply         struct{} // memoryLimit.applying
	MetricsPage         struct{} // metrics.Page.mu
	Contents            struct{} // Saver.contents
	LogSyncing          struct{} // Log.syncing
	StreamInstant       struct{} // Stream.Instant
	Stripe              struct{} // stripe.mu: several, by their numbers
	Usage               struct{} // usage.mu
	Reservations        struct{} // reservations.mu
	Beside              struct{} // beside.mu
	Scripts             struct{} // scripts.mu
	Functions           struct{} // functions.mu
	PubsubOrder         struct{} // pubsub.Hub.Order
	Rights              struct{} // rights.mu
	Channels            struct{} // pubsub.channelShard.mu
	Patterns            struct{} // pubsub.Patterns.mu
	Tracking            struct{} // tracking.mu
	Cast                struct{} // cast.mu
	Pause               struct{} // pause.mu
	MemoryLimit         struct{} // memoryLimit.mu
	Stall               struct{} // stall.mu
	ReplicationAcks     struct{} // replication.mu
	Own                 struct{} // ownKeys.mu
	KeyJobs             struct{} // keyJobs.mu
	MemcachedDetail     struct{} // detail.mu of command/memcached
	Hotkeys             struct{} // observe.HotKeys.mu
	HotSession          struct{} // observe.HotSession.mu
	Links               struct{} // links.mu
	Monitors            struct{} // monitors.mu
	Watchers            struct{} // watchers.mu
	Rates               struct{} // rates.mu
	Execs               struct{} // execList.mu
	ExecStats           struct{} // Exec.statMu
	Errors              struct{} // errorStats.mu
	Latency             struct{} // observe.Latency.mu
	Slowlog             struct{} // observe.CommandLog.mu
	MemoryGauge         struct{} // memoryGauge.mu
	ReplicaFollower     struct{} // Follower.mu
	ReplicaLink         struct{} // link.connMu
	ReplicaLines        struct{} // link.writeMu
	ReplicaLeader       struct{} // Leader.mu
	Journal             struct{} // Journal.mu
	Saver               struct{} // Saver.mu
	LogState            struct{} // Log.state
	SaveDir             struct{} // lockedDir.mu
	LoadWorkers         struct{} // loader.mu
	SnapshotOutput      struct{} // output.mu
	Log                 struct{} // Log.mu
	Backup              struct{} // Backup.mu
	Stream              struct{} // Stream.mu
	Durable             struct{} // durable.mu
	TransportGoroutines struct{} // goroutines.mu
	Redcon              struct{} // Redcon.mu
	TransportConn       struct{} // goConn.mu
	TransportLocal      struct{} // Local.mu
	TransportDetached   struct{} // detached.mu
	RedconOut           struct{} // redconConn.out: held while a command runs
	TransportLoop       struct{} // loop.mu
	Clients             struct{} // clients.mu
	TransportLoops      struct{} // loops.mu
	TransportHandshakes struct{} // handshakes.mu
	Secure              struct{} // Source.mu
	AclLog              struct{} // acl.Log.mu
	LazyFree            struct{} // lazyFree.mu
	Ordering            struct{} // Server.ordering of command
	HashOrders          struct{} // hashOrders.mu
	LuaIntern           struct{} // internMu
	SlabRegion          struct{} // region.mu
	TransportPipe       struct{} // pipeHalf.mu
	FrontFlush          struct{} // memcached.Protocol.mu
	ConsoleSessions     struct{} // console.Console.mu
	Logf                struct{} // logf.Logger.mu
	Collector           struct{} // cmd/kvd's collector.mu
	TransferFailures    struct{} // transfer's failures.mu
	TransferSpool       struct{} // spool.mu
	TestLog             struct{} // kvdtest's buffer.mu
)

// Order is the order in which locks are taken, the first ones first.
//
// Invariant: no goroutine waits for a lock while it holds the same one or one
// that comes later here; of stripes it may hold several, in ascending order.
var Order = []any{
	RedconOut{},
	FrontFlush{},
	ConsolePrompt{},
	ConsoleLive{},
	TransportRunning{},
	ReplicaSwitching{},
	CommandLate{},
	CommandEviction{},
	MemoryApply{},
	Ordering{},
	Contents{},
	LogSyncing{},
	StreamInstant{},
	Stripe{},
	Config{},
	TransportServer{},
	CommandPersist{},
	CommandAnswers{},
	CommandFollow{},
	MetricsPage{},
	Usage{},
	Reservations{},
	Beside{},
	Scripts{},
	Functions{},
	PubsubOrder{},
	Rights{},
	Channels{},
	Patterns{},
	Tracking{},
	Cast{},
	Pause{},
	MemoryLimit{},
	Stall{},
	ReplicationAcks{},
	Own{},
	HashOrders{},
	KeyJobs{},
	MemcachedDetail{},
	Hotkeys{},
	HotSession{},
	Links{},
	Monitors{},
	Watchers{},
	Rates{},
	Execs{},
	ExecStats{},
	Errors{},
	Latency{},
	Slowlog{},
	MemoryGauge{},
	ReplicaFollower{},
	ReplicaLink{},
	ReplicaLines{},
	ReplicaLeader{},
	Journal{},
	Saver{},
	LogState{},
	SaveDir{},
	LoadWorkers{},
	SnapshotOutput{},
	Log{},
	Backup{},
	Stream{},
	Durable{},
	Redcon{},
	TransportGoroutines{},
	TransportConn{},
	TransportLocal{},
	TransportDetached{},
	TransportLoop{},
	Clients{},
	TransportLoops{},
	TransportHandshakes{},
	Secure{},
	AclLog{},
	LazyFree{},
	LuaIntern{},
	SlabRegion{},
	TransportPipe{},
	ConsoleSessions{},
	Logf{},
	Collector{},
	TransferFailures{},
	TransferSpool{},
	TestLog{},
}
