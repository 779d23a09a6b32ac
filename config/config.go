package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"kvd/glob"
	"kvd/lockrank"
)

// Config is the server's configuration. Each exported field is the handle of
// the directive that its tag names.
type Config struct {
	EventLoops        *Int     `directive:"event-loops"`
	IgnoreUnsupported *Bool    `directive:"ignore-unsupported"`
	Ephemeral         *Bool    `directive:"ephemeral"`
	LogFormat         *Enum    `directive:"log-format"`
	LogTimestamps     *Enum    `directive:"log-timestamp-format"`
	MetricsPort       *Int     `directive:"metrics-port"`
	MetricsBind       *Strings `directive:"metrics-bind"`
	MetricsToken      *String  `directive:"metrics-token"`

	Bind            *Strings `directive:"bind"`
	Port            *Int     `directive:"port"`
	TCPBacklog      *Int     `directive:"tcp-backlog"`
	UnixSocket      *String  `directive:"unixsocket"`
	UnixSocketPerm  *Int     `directive:"unixsocketperm"`
	UnixSocketGroup *String  `directive:"unixsocketgroup"`
	Timeout         *Int     `directive:"timeout"`       // seconds
	TCPKeepalive    *Int     `directive:"tcp-keepalive"` // seconds
	ProtectedMode   *Bool    `directive:"protected-mode"`

	Databases *Int    `directive:"databases"`
	Dir       *Dir    `directive:"dir"`
	LogLevel  *Enum   `directive:"loglevel"`
	LogFile   *String `directive:"logfile"`
	PidFile   *String `directive:"pidfile"`
	Hz        *Int    `directive:"hz"`
	Daemonize *Bool   `directive:"daemonize"`

	MaxClients              *Int          `directive:"maxclients"`
	ProtoMaxBulkLen         *Int          `directive:"proto-max-bulk-len"`        // bytes
	ClientQueryBufferLimit  *Int          `directive:"client-query-buffer-limit"` // bytes
	ClientOutputBufferLimit *OutputLimits `directive:"client-output-buffer-limit"`
	MaxMemoryClients        *Int          `directive:"maxmemory-clients"` // bytes; negative: percent of maxmemory

	RequirePass            *String `directive:"requirepass"`
	ACLFile                *String `directive:"aclfile"`
	ACLPubSubDefault       *Enum   `directive:"acl-pubsub-default"`
	ACLLogMaxLen           *Int    `directive:"acllog-max-len"`
	EnableProtectedConfigs *Enum   `directive:"enable-protected-configs"`
	EnableDebugCommand     *Enum   `directive:"enable-debug-command"`

	ReplicaOf             *ReplicaOf `directive:"replicaof"`
	ReplicaLazyFlush      *Bool      `directive:"replica-lazy-flush"`
	MasterAuth            *String    `directive:"masterauth"`
	MasterUser            *String    `directive:"masteruser"`
	ReplicaServeStaleData *Bool      `directive:"replica-serve-stale-data"`
	ReplicaReadOnly       *Bool      `directive:"replica-read-only"`
	ReplicaPriority       *Int       `directive:"replica-priority"`
	ReplicaAnnounced      *Bool      `directive:"replica-announced"`
	ReplicaAnnounceIP     *String    `directive:"replica-announce-ip"`
	BindSourceAddr        *String    `directive:"bind-source-addr"`
	ReplicaAnnouncePort   *Int       `directive:"replica-announce-port"`
	ReplDisklessLoad      *Enum      `directive:"repl-diskless-load"`

	MemcachedPort        *Int    `directive:"memcached-port"`
	MemcachedUnixSocket  *String `directive:"memcached-unixsocket"`
	MemcachedDB          *Int    `directive:"memcached-db"`
	MemcachedItemSizeMax *Int    `directive:"memcached-item-size-max"` // bytes
	MemcachedFlushAll    *Bool   `directive:"memcached-flush-all"`
	MemcachedDump        *Bool   `directive:"memcached-dump"`
	MemcachedWatch       *Bool   `directive:"memcached-watch"`
	MemcachedShutdown    *Bool   `directive:"memcached-shutdown"`

	TyrantPort     *Int    `directive:"tyrant-port"`
	TyrantDB       *Int    `directive:"tyrant-db"`
	TyrantDatabase *String `directive:"tyrant-database"`
	TyrantNoAuth   *Bool   `directive:"tyrant-no-auth"`

	MaxMemory                 *Int      `directive:"maxmemory"` // bytes, FullRange
	MaxMemoryPolicy           *Enum     `directive:"maxmemory-policy"`
	MaxMemoryCounts           *Enum     `directive:"maxmemory-counts"`
	DBMaxMemory               *DBLimits `directive:"db-maxmemory"`
	MaxMemorySamples          *Int      `directive:"maxmemory-samples"`
	MaxMemoryEvictionTenacity *Int      `directive:"maxmemory-eviction-tenacity"`
	ReplicaIgnoreMaxMemory    *Bool     `directive:"replica-ignore-maxmemory"`
	LFULogFactor              *Int      `directive:"lfu-log-factor"`
	LFUDecayTime              *Int      `directive:"lfu-decay-time"` // minutes

	HashMaxListpackEntries *Int  `directive:"hash-max-listpack-entries"`
	HashMaxListpackValue   *Int  `directive:"hash-max-listpack-value"` // bytes
	OrderedKeys            *Bool `directive:"ordered-keys"`
	HashOrderIdleTime      *Int  `directive:"hash-order-idle-time"` // seconds
	ListMaxListpackSize    *Int  `directive:"list-max-listpack-size"`
	ListCompressDepth      *Int  `directive:"list-compress-depth"`
	SetMaxIntsetEntries    *Int  `directive:"set-max-intset-entries"`
	StreamNodeMaxBytes     *Int  `directive:"stream-node-max-bytes"`
	StreamNodeMaxEntries   *Int  `directive:"stream-node-max-entries"`
	ArraySliceSize         *Int  `directive:"array-slice-size"`
	ArraySparseKmax        *Int  `directive:"array-sparse-kmax"`
	StreamIdmpDuration     *Int  `directive:"stream-idmp-duration"`
	StreamIdmpMaxsize      *Int  `directive:"stream-idmp-maxsize"`
	SetMaxListpackEntries  *Int  `directive:"set-max-listpack-entries"`
	SetMaxListpackValue    *Int  `directive:"set-max-listpack-value"` // bytes
	ZSetMaxListpackEntries *Int  `directive:"zset-max-listpack-entries"`
	HLLSparseMaxBytes      *Int  `directive:"hll-sparse-max-bytes"`
	ZSetMaxListpackValue   *Int  `directive:"zset-max-listpack-value"` // bytes

	LazyfreeLazyEviction  *Bool `directive:"lazyfree-lazy-eviction"`
	LazyfreeLazyExpire    *Bool `directive:"lazyfree-lazy-expire"`
	LazyfreeLazyServerDel *Bool `directive:"lazyfree-lazy-server-del"`
	LazyfreeLazyUserDel   *Bool `directive:"lazyfree-lazy-user-del"`
	LazyfreeLazyUserFlush *Bool `directive:"lazyfree-lazy-user-flush"`

	SlowlogLogSlowerThan           *Int         `directive:"slowlog-log-slower-than"` // microseconds
	SlowlogMaxLen                  *Int         `directive:"slowlog-max-len"`
	SlowlogEntryMaxArgc            *Int         `directive:"slowlog-entry-max-argc"`
	SlowlogEntryMaxStringLen       *Int         `directive:"slowlog-entry-max-string-len"`
	LargeRequest                   *Int         `directive:"commandlog-request-larger-than"` // bytes
	LargeRequestMaxLen             *Int         `directive:"commandlog-large-request-max-len"`
	LargeReply                     *Int         `directive:"commandlog-reply-larger-than"` // bytes
	LargeReplyMaxLen               *Int         `directive:"commandlog-large-reply-max-len"`
	LatencyMonitorThreshold        *Int         `directive:"latency-monitor-threshold"` // milliseconds
	LatencyTracking                *Bool        `directive:"latency-tracking"`
	LatencyTrackingInfoPercentiles *Percentiles `directive:"latency-tracking-info-percentiles"`
	TrackingTableMaxKeys           *Int         `directive:"tracking-table-max-keys"`
	NotifyKeyspaceEvents           *Events      `directive:"notify-keyspace-events"`

	Save                    *Save   `directive:"save"`
	DBFilename              *String `directive:"dbfilename"`
	RDBVersion              *Enum   `directive:"rdb-version"`
	RDBCompression          *Bool   `directive:"rdbcompression"`
	RDBChecksum             *Bool   `directive:"rdbchecksum"`
	RDBSaveIncrementalFsync *Bool   `directive:"rdb-save-incremental-fsync"`
	RDBKeySaveDelay         *Int    `directive:"rdb-key-save-delay"` // microseconds for each key, or if negative keys for each microsecond
	KeyLoadDelay            *Int    `directive:"key-load-delay"`     // likewise
	StopWritesOnBgsaveError *Bool   `directive:"stop-writes-on-bgsave-error"`

	AppendOnly                *Bool   `directive:"appendonly"`
	AppendFilename            *String `directive:"appendfilename"`
	AppendDirname             *String `directive:"appenddirname"`
	BackupDirname             *String `directive:"backupdirname"`
	BackupSealedTTL           *Int    `directive:"backup-sealed-ttl"`
	AppendFsync               *Enum   `directive:"appendfsync"`
	NoAppendfsyncOnRewrite    *Bool   `directive:"no-appendfsync-on-rewrite"`
	AutoAOFRewritePercentage  *Int    `directive:"auto-aof-rewrite-percentage"`
	AutoAOFRewriteMinSize     *Int    `directive:"auto-aof-rewrite-min-size"` // bytes
	AOFLoadTruncated          *Bool   `directive:"aof-load-truncated"`
	AOFUseRDBPreamble         *Bool   `directive:"aof-use-rdb-preamble"`
	AOFTimestampEnabled       *Bool   `directive:"aof-timestamp-enabled"`
	AOFRewriteIncrementalSync *Bool   `directive:"aof-rewrite-incremental-fsync"`
	AOFDisableAutoGC          *Bool   `directive:"aof-disable-auto-gc"`
	Supervised                *Enum   `directive:"supervised"`

	ReplBacklogSize             *Int  `directive:"repl-backlog-size"`        // bytes
	ReplBacklogFileLimit        *Int  `directive:"repl-backlog-file-limit"`  // bytes
	ReplBacklogTTL              *Int  `directive:"repl-backlog-ttl"`         // seconds
	ShutdownTimeout             *Int  `directive:"shutdown-timeout"`         // seconds
	ReplTimeout                 *Int  `directive:"repl-timeout"`             // seconds
	ReplPingReplicaPeriod       *Int  `directive:"repl-ping-replica-period"` // seconds
	ReplDisableTCPNoDelay       *Bool `directive:"repl-disable-tcp-nodelay"`
	ReplDisklessSync            *Bool `directive:"repl-diskless-sync"`
	ReplDisklessSyncDelay       *Int  `directive:"repl-diskless-sync-delay"` // seconds
	ReplDisklessSyncMaxReplicas *Int  `directive:"repl-diskless-sync-max-replicas"`
	MinReplicasToWrite          *Int  `directive:"min-replicas-to-write"`
	MinReplicasMaxLag           *Int  `directive:"min-replicas-max-lag"` // seconds
	RDBDelSyncFiles             *Bool `directive:"rdb-del-sync-files"`

	TLSPort                *Int    `directive:"tls-port"`
	TLSCertFile            *String `directive:"tls-cert-file"`
	TLSKeyFile             *String `directive:"tls-key-file"`
	TLSKeyFilePass         *String `directive:"tls-key-file-pass"`
	TLSClientCertFile      *String `directive:"tls-client-cert-file"`
	TLSClientKeyFile       *String `directive:"tls-client-key-file"`
	TLSClientKeyFilePass   *String `directive:"tls-client-key-file-pass"`
	TLSCACertFile          *String `directive:"tls-ca-cert-file"`
	TLSCACertDir           *String `directive:"tls-ca-cert-dir"`
	TLSAuthClients         *Enum   `directive:"tls-auth-clients"`
	TLSAuthClientsUser     *Enum   `directive:"tls-auth-clients-user"`
	TLSReplication         *Bool   `directive:"tls-replication"`
	TLSCluster             *Bool   `directive:"tls-cluster"`
	TLSProtocols           *String `directive:"tls-protocols"`
	TLSCiphers             *String `directive:"tls-ciphers"`
	TLSCiphersuites        *String `directive:"tls-ciphersuites"`
	TLSSessionCaching      *Bool   `directive:"tls-session-caching"`
	TLSSessionCacheTimeout *Int    `directive:"tls-session-cache-timeout"` // seconds

	ScriptMemoryLimit         *Int       `directive:"script-memory-limit"` // bytes; 0: none
	ScriptRollback            *Bool      `directive:"script-rollback"`
	LuaDeprecated             *Bool      `directive:"lua-enable-deprecated-api"`
	MaxNewConnectionsPerCycle *Int       `directive:"max-new-connections-per-cycle"`
	MPTCP                     *Bool      `directive:"mptcp"`
	ReplMPTCP                 *Bool      `directive:"repl-mptcp"`
	SocketMarkID              *Int       `directive:"socket-mark-id"`
	SetProcTitle              *Bool      `directive:"set-proc-title"`
	ProcTitleTemplate         *String    `directive:"proc-title-template"`
	SyslogEnabled             *Bool      `directive:"syslog-enabled"`
	SyslogIdent               *String    `directive:"syslog-ident"`
	SyslogFacility            *Enum      `directive:"syslog-facility"`
	CrashLogEnabled           *Bool      `directive:"crash-log-enabled"`
	HideUserData              *Bool      `directive:"hide-user-data-from-log"`
	ShutdownOnSigint          *FlagSet   `directive:"shutdown-on-sigint"`
	ShutdownOnSigterm         *FlagSet   `directive:"shutdown-on-sigterm"`
	PropagationError          *Enum      `directive:"propagation-error-behavior"`
	OOMScoreAdj               *Enum      `directive:"oom-score-adj"`
	OOMScoreAdjValues         *OOMScores `directive:"oom-score-adj-values"`
	ServerCPUList             *String    `directive:"server_cpulist"`
	BioCPUList                *String    `directive:"bio_cpulist"`
	BgsaveCPUList             *String    `directive:"bgsave_cpulist"`
	AOFRewriteCPUList         *String    `directive:"aof_rewrite_cpulist"`
	IOThreads                 *Int       `directive:"io-threads"`

	RequirePassFile    *String `directive:"requirepass-file"`
	MasterAuthFile     *String `directive:"masterauth-file"`
	ImportMode         *Bool   `directive:"import-mode"`
	AvailabilityZone   *String `directive:"availability-zone"`
	AOFCorruptTailMax  *Int    `directive:"aof-load-corrupt-tail-max-size"` // bytes
	BusyReplyThreshold *Int    `directive:"busy-reply-threshold"`           // milliseconds; alias lua-time-limit

	// entries and byName are built by New and not changed afterwards.
	entries []*entry
	byName  map[string]*entry // lower-case names and aliases

	// mu serializes Set and Rewrite and protects the hooks. It is held while
	// hooks run, so a hook must not call Set, Rewrite or an On... function;
	// Load, Get and the handles take no lock.
	mu        lockrank.Mutex[lockrank.Config]
	hooks     map[*entry][]func() error
	rewriters map[*entry]func() []string
	onInert   func(name string)

	// What follows belongs to start-up (see load.go); configFile is read-only afterwards.
	configFile string
	renames    []Pair
	users      []UserLine
	newlines   int  // line ends read at the top level so far
	saveSeen   bool // a save directive replaced the default
	depth      int  // includes being read
}

// entry is a row of the table with its value.
type entry struct {
	*Directive
	value    value
	deflt    string // text of the default value
	given    bool   // set explicitly at start
	included bool   // an included file had a say in it
	origin   FileError
	pending  bool   // given a value that is not supported
	secret   string // the value, if it came from a file or the environment
}

// Pair is a directive's name and value.
type Pair struct{ Name, Value string }

// OwnDir gives the configuration a directory of its own in place of the process's
// working directory, which it begins with: dir moves that then, and data files are
// found from it. It is called before anything is set.
func (c *Config) OwnDir() error {
	dir, err := os.Getwd()
	if err == nil {
		c.Dir.own.Store(&dir)
	}
	return err
}

// New returns a configuration in which every directive has its default.
func New() *Config {
	c := &Config{
		byName:    make(map[string]*entry, 2*len(directives)),
		hooks:     make(map[*entry][]func() error),
		rewriters: make(map[*entry]func() []string),
	}
	for i := range directives {
		d := &directives[i]
		e := &entry{Directive: d, value: newValue(d)}
		if d.Kind != KindDir { // the default is where the process is
			args := []string{d.Default}
			if d.multiArg() {
				args = strings.Fields(d.Default)
			}
			if err := e.value.set(d, args); err != nil {
				panic(fmt.Sprintf("config: the default of %s: %v", d.Name, err))
			}
		}
		e.deflt = e.value.text(d)
		c.entries = append(c.entries, e)
		for _, name := range []string{d.Name, d.Alias} {
			if name == "" {
				continue
			}
			if c.byName[name] != nil {
				panic("config: two directives are called " + name)
			}
			c.byName[name] = e
		}
	}
	fields := reflect.ValueOf(c).Elem()
	for i := range fields.NumField() {
		if name := fields.Type().Field(i).Tag.Get("directive"); name != "" {
			fields.Field(i).Set(reflect.ValueOf(c.byName[name].value))
		}
	}
	return c
}

func (c *Config) lookup(name string) *entry { return c.byName[strings.ToLower(name)] }

// live is lookup for CONFIG GET and SET, which do not know the file-only directives.
func (c *Config) live(name string) *entry {
	if e := c.lookup(name); e != nil && e.Kind < KindFileOnly {
		return e
	}
	return nil
}

// Sensitive reports whether the directive's value must be kept out of logs,
// MONITOR and the slow log.
func (c *Config) Sensitive(name string) bool {
	e := c.lookup(name)
	return e != nil && e.Flags&Sensitive != 0
}

// ConfigFile returns the absolute path of the configuration file, or "" if none was read.
func (c *Config) ConfigFile() string { return c.configFile }

// Renames are the commands of rename-command with their new names, in order;
// an empty one takes the command away.
func (c *Config) Renames() []Pair { return c.renames }

// UserLine is a "user" line: the user's name and the rules for him.
type UserLine struct {
	Args []string
	At   FileError // where it stands; Reason is empty
}

// Users are the user lines, in order.
func (c *Config) Users() []UserLine { return c.users }

// Why is the reason for which a directive can have no effect in kvd; "" if there is none.
func (c *Config) Why(name string) string {
	if e := c.lookup(name); e != nil {
		return e.Directive.Why
	}
	return ""
}

// Get answers CONFIG GET: for each pattern in turn the directives that match
// it and have not been answered yet, in the table's order. A pattern without
// * ? [ is an exact name in any letter case and is echoed as asked; only such
// a name finds a hidden directive, or one of kvd's own (ByName). Aliases answer like names.
func (c *Config) Get(patterns ...string) []Pair {
	var pairs []Pair
	seen := make(map[string]bool)
	add := func(shown string, e *entry) {
		if key := strings.ToLower(shown); !seen[key] {
			seen[key] = true
			pairs = append(pairs, Pair{shown, e.value.text(e.Directive)})
		}
	}
	for _, p := range patterns {
		if !strings.ContainsAny(p, "*?[") {
			if e := c.live(p); e != nil {
				add(p, e)
			}
			continue
		}
		pattern := glob.CompileFold([]byte(p))
		for _, e := range c.entries {
			if e.Flags&(Hidden|ByName) != 0 || e.Kind >= KindFileOnly {
				continue
			}
			for _, name := range []string{e.Name, e.Alias} {
				if name == e.Alias && e.Flags&NewAlias != 0 {
					continue
				}
				if name != "" && pattern.Match([]byte(name)) {
					add(name, e)
				}
			}
		}
	}
	return pairs
}

// OnChange registers a function that CONFIG SET calls after it changed the
// directive. An error vetoes the change: all directives of that CONFIG SET
// get their old values back, the functions are called once more, and the
// client sees the error's text. It panics when no such directive exists.
func (c *Config) OnChange(name string, apply func() error) {
	e := c.must(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hooks[e] = append(c.hooks[e], apply)
}

// OnInert registers the function that is told the name of each directive that
// CONFIG SET stored although the server does not act on it. It is called
// without a lock.
func (c *Config) OnInert(warn func(name string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onInert = warn
}

// OnRewrite registers the source of a file-only directive's lines ("user",
// "loadmodule") for CONFIG REWRITE: each is a whole line. Without it,
// existing lines stay as they are. It panics when no such directive exists.
func (c *Config) OnRewrite(name string, lines func() []string) {
	e := c.must(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rewriters[e] = lines
}

func (c *Config) must(name string) *entry {
	e := c.lookup(name)
	if e == nil {
		panic("config: no directive is called " + name)
	}
	return e
}

// Caller is what Set needs to know about the client that asks.
type Caller struct {
	Local   bool // connected from this machine
	Loading bool // the server is loading its data set
}

// ErrLoading is Set's answer while the data set is loaded. Unlike Set's other
// errors its text brings its own prefix instead of ERR.
var ErrLoading = errors.New("LOADING Redis is loading the dataset in memory")

// Set does what CONFIG SET does with several directives at once: all of them
// change, or none. The error's text is the reply without its "ERR " prefix
// (but see ErrLoading).
func (c *Config) Set(pairs []Pair, who Caller) error {
	c.mu.Lock()
	inert, err := c.setLocked(pairs, who)
	warn := c.onInert
	c.mu.Unlock()
	if err == nil && warn != nil {
		for _, name := range inert {
			warn(name)
		}
	}
	return err
}

func (c *Config) setLocked(pairs []Pair, who Caller) (inert []string, err error) {
	targets := make([]*entry, len(pairs))
	for i, p := range pairs {
		e := c.live(p.Name)
		if e == nil {
			return nil, fmt.Errorf("Unknown option or number of arguments for CONFIG SET - '%s'", p.Name)
		}
		if e.Flags&Immutable != 0 {
			return nil, setError(p.Name, "can't set immutable config")
		}
		if allowed := c.EnableProtectedConfigs.Load(); e.Flags&Protected != 0 && allowed != "yes" && (allowed != "local" || !who.Local) {
			return nil, setError(p.Name, "can't set protected config")
		}
		if e.Flags&DenyLoading != 0 && who.Loading {
			return nil, ErrLoading
		}
		// A name and its alias together are no duplicates, in Redis too.
		if slices.ContainsFunc(pairs[:i], func(q Pair) bool { return strings.EqualFold(q.Name, p.Name) }) {
			return nil, setError(p.Name, "duplicate parameter")
		}
		targets[i] = e
	}

	var restore []func() error
	undo := func() {
		for _, f := range slices.Backward(restore) {
			_ = f() // only a working directory that was removed meanwhile can fail
		}
	}
	var changed []int
	for i, e := range targets {
		before := e.value.text(e.Directive)
		restore = append(restore, e.value.save())
		err := e.set(setArgs(e.Directive, pairs[i].Value))
		if err == nil && e.Effect == Refuse && e.value.text(e.Directive) != e.deflt && !c.IgnoreUnsupported.Load() {
			err = errors.New("kvd does not support this directive yet")
		}
		if err != nil {
			undo()
			return nil, setError(pairs[i].Name, err.Error())
		}
		// The text of events does not tell all: see Events.text.
		if _, events := e.value.(*Events); events || e.value.text(e.Directive) != before {
			changed = append(changed, i)
		}
		if e.Effect == Inert || e.Effect == Refuse && e.value.text(e.Directive) != e.deflt {
			inert = append(inert, e.Name)
		}
	}
	for _, i := range changed {
		if err := c.apply(targets[i]); err != nil {
			undo()
			for _, j := range changed {
				_ = c.apply(targets[j]) // the old values were in force a moment ago
				if j == i {
					break
				}
			}
			return nil, setError(pairs[i].Name, err.Error())
		}
	}
	return inert, nil
}

// setError names the directive as Redis does: in lower case, by the name that was used.
func setError(name, reason string) error {
	return fmt.Errorf("CONFIG SET failed (possibly related to argument '%s') - %s", strings.ToLower(name), reason)
}

// setArgs makes arguments of CONFIG SET's single value.
func setArgs(d *Directive, v string) []string {
	if !d.multiArg() {
		return []string{v}
	}
	if v == "" {
		return nil
	}
	return strings.Split(v, " ")
}

// set stores the arguments, whose number must already fit the kind.
func (e *entry) set(args []string) error {
	if (e.Kind == KindBool || e.Kind == KindInt) && e.check != nil {
		if err := e.check(strings.ToLower(args[0])); err != nil {
			return err
		}
	}
	if err := e.value.set(e.Directive, args); err != nil {
		return err
	}
	if n, ok := e.value.(*Int); ok && e.most != 0 {
		n.v.Store(min(max(n.v.Load(), e.least), e.most))
	}
	return nil
}

func (c *Config) apply(e *entry) error {
	for _, f := range c.hooks[e] {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}
