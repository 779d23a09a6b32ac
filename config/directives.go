package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// Effect says what the server does with a directive that it knows.
type Effect uint8

const (
	// Inert directives keep their value and do nothing; setting one is warned about.
	Inert Effect = iota
	// Acts marks a directive that the server obeys.
	Acts
	// Refuse marks a directive whose silence would hurt: a value other than
	// the default stops the start and fails CONFIG SET, unless the directive
	// ignore-unsupported is yes.
	Refuse
)

// Kind is the type of a directive's value; it decides parsing, CONFIG GET's
// text and CONFIG REWRITE's line.
type Kind uint8

// The kinds. The file-only ones are commands to the reader of the file, not values.
const (
	KindBool        Kind = iota // yes or no
	KindInt                     // decimal
	KindMemory                  // bytes, with an optional unit
	KindMemPercent              // KindMemory, or a percentage, stored negative
	KindOctal                   // file permissions
	KindString                  // one argument
	KindEnum                    // one of Values
	KindFlags                   // several of Values
	KindStrings                 // a list of arguments
	KindSave                    // pairs of seconds and changes
	KindLimits                  // client classes with their output limits
	KindPercentiles             // a list of numbers from 0 to 100
	KindDBLimits                // databases with their limits of memory
	KindEvents                  // letters of keyspace event classes
	KindReplicaOf               // host and port, or "no one"
	KindOOMScores               // three numbers
	KindDir                     // the working directory
	KindFileOnly                // read from files and flags only, keeps no value
	KindObsolete                // read and forgotten, as Redis does
)

// Flags are a directive's further properties.
type Flags uint16

const (
	// Immutable directives are set at start only.
	Immutable Flags = 1 << iota
	// Protected directives need enable-protected-configs for CONFIG SET.
	Protected
	// Hidden directives are answered by CONFIG GET only when asked by exact name.
	Hidden
	// ByName directives are answered by CONFIG GET only when asked by exact
	// name, too, but shown in the help text: kvd's own that cannot be set, which
	// tools that set all that CONFIG GET * answers do not know.
	ByName
	// NewAlias: a release after 7.0 made the alias, which CONFIG GET answers only
	// when asked by exact name.
	NewAlias
	// Sensitive values must not reach a log, MONITOR or the slow log.
	Sensitive
	// DenyLoading directives cannot be set while a data set is loaded.
	DenyLoading
	// EmptyIsUnset strings are left out of the rewritten file when empty.
	EmptyIsUnset
	// FullRange numbers use all 64 bits, unsigned.
	FullRange
)

// Directive is one row of the table.
type Directive struct {
	Name     string
	Alias    string // an older name for the same value, or ""
	Kind     Kind
	Default  string   // its arguments, as a configuration file would give them
	Min, Max int64    // inclusive range of numbers
	Values   []string // of enumerations, in Redis's order
	Flags    Flags
	Effect   Effect
	Group    string // heading in the help text
	Help     string // one line
	Why      string // of an Inert directive: the reason for which it can have no meaning here
	Bare     string // the argument meant by a flag without one; "" if there is no such meaning

	check func(value string) error // further validity of a string or of flags

	// A number outside [least, most] is brought to the nearer end in silence,
	// as Redis does; both are zero where nothing of the kind happens.
	least, most int64
}

// Changeable reports whether CONFIG SET may change the directive.
func (d *Directive) Changeable() bool {
	return d.Flags&Immutable == 0 && d.Kind < KindFileOnly
}

// multiArg reports whether the directive takes its arguments separately.
func (d *Directive) multiArg() bool {
	switch d.Kind {
	case KindFlags, KindStrings, KindSave, KindLimits, KindPercentiles, KindDBLimits, KindReplicaOf, KindOOMScores:
		return true
	}
	return false
}

// The groups, in the order in which help shows them.
const (
	groupNetwork  = "Network"
	groupGeneral  = "General"
	groupClients  = "Clients"
	groupSecurity = "Security"
	groupMemory   = "Memory and eviction"
	groupTypes    = "Data structures"
	groupLazy     = "Lazy freeing"
	groupEvents   = "Events, latency and slow log"
	groupSnapshot = "Snapshots"
	groupAppend   = "Append-only log"
	groupReplica  = "Replication"
	groupCluster  = "Cluster"
	groupTLS      = "TLS"
	groupScript   = "Scripts and modules"
	groupSystem   = "Processes and threads"
	groupKvd      = "kvd's own"
	groupFronts   = "Other protocols"
	groupKeyDB    = "KeyDB's"
)

// Groups lists the group headings in the order for display.
var Groups = []string{groupKvd, groupFronts, groupNetwork, groupGeneral, groupClients, groupSecurity, groupMemory, groupTypes, groupLazy,
	groupEvents, groupSnapshot, groupAppend, groupReplica, groupCluster, groupTLS, groupScript, groupSystem, groupKeyDB}

const (
	maxInt  = math.MaxInt32
	maxLong = math.MaxInt64
)

var (
	yesNoLocal   = []string{"no", "yes", "local"}
	shutdownBits = []string{"default", "save", "nosave", "now", "force"}
	policies     = []string{"volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
		"allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction", "volatile-lrm", "allkeys-lrm"} // the last two are of Redis 8.6
)

func yesno(name, def string, flags Flags, effect Effect, group, help string) Directive {
	return Directive{Name: name, Kind: KindBool, Default: def, Flags: flags, Effect: effect, Group: group, Help: help}
}

func integer(name, def string, min, max int64, flags Flags, effect Effect, group, help string) Directive {
	return Directive{Name: name, Kind: KindInt, Default: def, Min: min, Max: max, Flags: flags, Effect: effect, Group: group, Help: help}
}

func memory(name, def string, min, max int64, flags Flags, effect Effect, group, help string) Directive {
	return Directive{Name: name, Kind: KindMemory, Default: def, Min: min, Max: max, Flags: flags, Effect: effect, Group: group, Help: help}
}

func text(name, def string, flags Flags, effect Effect, group, help string) Directive {
	return Directive{Name: name, Kind: KindString, Default: def, Flags: flags, Effect: effect, Group: group, Help: help}
}

func enum(name, def string, values []string, flags Flags, effect Effect, group, help string) Directive {
	return Directive{Name: name, Kind: KindEnum, Default: def, Values: values, Flags: flags, Effect: effect, Group: group, Help: help}
}

func special(name string, kind Kind, def string, flags Flags, effect Effect, group, help string) Directive {
	return Directive{Name: name, Kind: kind, Default: def, Flags: flags, Effect: effect, Group: group, Help: help}
}

func fileOnly(name string, effect Effect, group, help string) Directive {
	return Directive{Name: name, Kind: KindFileOnly, Flags: Immutable, Effect: effect, Group: group, Help: help}
}

func obsolete(name string) Directive {
	return Directive{Name: name, Kind: KindObsolete, Flags: Immutable | Hidden, Effect: Inert, Group: groupGeneral,
		Help: "Obsolete; read and forgotten.", Why: "Redis has given it up"}
}

// as gives the row its older name.
func (d Directive) as(alias string) Directive { d.Alias = alias; return d }

// bare says what the flag means when no argument follows it.
func (d Directive) bare(arg string) Directive { d.Bare = arg; return d }

// noCluster is why what concerns clusters has none.
const noCluster = "it is no node of a cluster: cluster-enabled yes is refused"

// because says why the directive can have no meaning in kvd.
func (d Directive) because(why string) Directive { d.Why = why; return d }

// kept makes the row bring numbers into the range in silence.
func (d Directive) kept(least, most int64) Directive { d.least, d.most = least, most; return d }

// tyrantDatabase checks tyrant-database.
func tyrantDatabase(v string) error {
	if v != "*" && (len(v) < 5 || !strings.HasSuffix(v, ".tcb")) {
		return errors.New("must be * or a name that ends in .tcb")
	}
	return nil
}

// valid adds a check of the value.
func (d Directive) valid(check func(string) error) Directive { d.check = check; return d }

// baseName returns a check that the value is a file name without a path.
func baseName(directive, what string, emptyOK bool) func(string) error {
	return func(v string) error {
		if v == "" && !emptyOK {
			return errors.New(directive + " can't be empty")
		}
		if strings.ContainsAny(v, `/\`) {
			return errors.New(directive + " can't be a path, just a " + what)
		}
		return nil
	}
}

// maxSliceSize is the most that array-slice-size may be.
const maxSliceSize = 1 << 20

// powerOfTwo checks a number that is in its range.
func powerOfTwo(directive string) func(string) error {
	return func(v string) error {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && n > 0 && n <= maxSliceSize && n&(n-1) != 0 {
			return errors.New(directive + " must be a power of two")
		}
		return nil
	}
}

func hostName(v string) error {
	if len(v) >= 256 {
		return errors.New("Hostnames must be less than 256 characters")
	}
	for _, c := range []byte(v) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return errors.New("Hostnames may only contain alphanumeric characters, hyphens or dots")
		}
	}
	return nil
}

// titleTemplate accepts text whose {fields} are all among Redis's.
func titleTemplate(v string) error {
	if v == "" {
		return errors.New("template format is invalid or contains unknown variables")
	}
	for rest := v; ; {
		i := strings.IndexByte(rest, '{')
		if i < 0 {
			return nil
		}
		j := strings.IndexByte(rest[i:], '}')
		field := ""
		if j > 0 {
			field = rest[i+1 : i+j]
		}
		switch field {
		case "title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file":
		default:
			return errors.New("template format is invalid or contains unknown variables")
		}
		rest = rest[i+j+1:]
	}
}

func shutdownFlags(v string) error {
	if strings.Contains(" "+v+" ", " save ") && strings.Contains(" "+v+" ", " nosave ") {
		return errors.New("shutdown options SAVE and NOSAVE can't be used simultaneously")
	}
	return nil
}

func noDefrag(v string) error {
	if v == "yes" {
		return errors.New("Active defragmentation cannot be enabled: it requires a Redis server compiled with a modified Jemalloc " +
			"like the one shipped by default with the Redis source distribution")
	}
	return nil
}

// directives is the table: the one place where a directive is declared. Names,
// defaults, ranges and enumerations are those of Redis 7.0 unless the comment
// names another release; a test compares them with a real server.
var directives = []Directive{
	// kvd's own.
	integer("event-loops", "0", 0, 1024, Immutable|ByName, Acts, groupKvd, "Number of epoll event loops that serve TCP clients; 0 lets the server choose."),
	yesno("ordered-keys", "no", 0, Acts, groupKvd, "Keep the keys of all databases in order, for KEYRANGE; a key takes its name's bytes and some 8 more."),
	enum("log-format", "legacy", []string{"legacy", "logfmt", "json"}, 0, Acts, groupKvd, "How log lines are written: Redis's way, as key=value, or as a JSON object each. legacy and logfmt are Valkey's."),
	integer("metrics-port", "0", 0, 65535, 0, Acts, groupKvd, "Port of /metrics, for Prometheus, and of the console; 0 is none."),
	special("metrics-bind", KindStrings, "127.0.0.1", 0, Acts, groupKvd, "Addresses at which /metrics and the console are served."),
	text("metrics-token", "", Sensitive|EmptyIsUnset, Acts, groupKvd, "What /metrics wants as Authorization: Bearer <token>, and the console of who has not signed in; empty asks for nothing."),
	yesno("ephemeral", "no", Immutable|ByName, Acts, groupKvd, "For tests: nothing is loaded or saved, DEBUG is allowed from this machine, and port 0 is one that the system chooses; the program prints it as its only line on standard output.").bare("yes"),
	enum("rdb-version", "auto", []string{"auto", "10"}, 0, Acts, groupKvd, "RDB version of snapshots: 10, or with auto 12 where fields of hashes have deadlines, which 10 leaves out."),
	yesno("ignore-unsupported", "no", Immutable|ByName, Acts, groupKvd, "Start although directives are given that kvd cannot obey yet; each is warned about.").bare("yes"),

	// Other protocols on the same keys.
	integer("memcached-port", "0", 0, 65535, 0, Acts, groupFronts, "TCP port for clients of memcached; 0 listens on none."),
	text("memcached-unixsocket", "", Immutable|ByName|EmptyIsUnset, Acts, groupFronts, "Path of a Unix socket for clients of memcached (memcached's -s); unixsocketperm and unixsocketgroup hold for it."),
	integer("memcached-db", "0", 0, maxInt, 0, Acts, groupFronts, "Database that clients of memcached work in; those that are connected stay in theirs."),
	memory("memcached-item-size-max", "1mb", 1<<10, maxLong, 0, Acts, groupFronts, "Longest item that clients of memcached may store, key and memcached's overhead included."),
	yesno("memcached-flush-all", "yes", 0, Acts, groupFronts, "Let clients of memcached empty their database (memcached's -F: no)."),
	yesno("memcached-dump", "yes", 0, Acts, groupFronts, "Let clients of memcached list all keys (memcached's -X: no)."),
	yesno("memcached-watch", "yes", 0, Acts, groupFronts, "Let clients of memcached watch what others do (memcached's -W: no)."),
	yesno("memcached-shutdown", "no", Immutable|ByName, Acts, groupFronts, "Let clients of memcached end the server (memcached's -A: yes)."),
	integer("tyrant-port", "0", 0, 65535, 0, Acts, groupFronts, "TCP port for clients of Tokyo Tyrant; 0 listens on none."),
	text("tyrant-database", "*", 0, Acts, groupFronts, "What clients of Tokyo Tyrant work on: *, the strings of tyrant-db; NAME.tcb, the fields of the hash NAME.tcb there, in order. Those that are connected stay with theirs.").valid(tyrantDatabase),
	integer("tyrant-db", "0", 0, maxInt, 0, Acts, groupFronts, "Database that clients of Tokyo Tyrant work in; those that are connected stay in theirs."),
	yesno("tyrant-no-auth", "no", 0, Acts, groupFronts, "Serve clients of Tokyo Tyrant, which has no passwords, although the default user has one: they are that user then."),

	// Network.
	special("bind", KindStrings, "* -::*", 0, Acts, groupNetwork, "Addresses to listen on; one that begins with '-' may be unavailable."),
	integer("port", "6379", 0, 65535, 0, Acts, groupNetwork, "TCP port to listen on; 0 listens on none."),
	integer("tcp-backlog", "511", 0, maxInt, Immutable, Acts, groupNetwork, "Length of the listening socket's queue."),
	text("unixsocket", "", Immutable|EmptyIsUnset, Acts, groupNetwork, "Path of a Unix socket to listen on as well."),
	text("unixsocketgroup", "", Immutable|ByName|EmptyIsUnset, Acts, groupNetwork, "Group that the Unix socket belongs to, by name or number (Valkey 9.0)."),
	{Name: "unixsocketperm", Kind: KindOctal, Default: "0", Min: 0, Max: 0o777, Flags: Immutable, Effect: Acts, Group: groupNetwork,
		Help: "Octal permissions of the Unix socket; 0 leaves them to the umask."},
	integer("timeout", "0", 0, maxInt, 0, Acts, groupNetwork, "Close a client that was idle for this many seconds; 0 never does."),
	integer("tcp-keepalive", "300", 0, maxInt, 0, Acts, groupNetwork, "Seconds between TCP keep-alive probes; 0 sends none."),
	yesno("protected-mode", "yes", 0, Acts, groupNetwork, "Serve only local clients while the default user has no password."),
	text("bind-source-addr", "", EmptyIsUnset, Acts, groupNetwork, "Local address for outgoing connections."),
	integer("socket-mark-id", "0", 0, math.MaxUint32, Immutable, Acts, groupNetwork, "Mark for all sockets, for the system's packet filter."),
	integer("max-new-connections-per-cycle", "10", 1, 1000, 0, Acts, groupNetwork, "Connections accepted in one loop turn (Redis 7.4)."),

	// General.
	integer("databases", "16", 1, maxInt, Immutable, Acts, groupGeneral, "Number of databases for SELECT."),
	special("dir", KindDir, ".", Protected|DenyLoading, Acts, groupGeneral, "Working directory: relative paths and data files are found from it."),
	enum("loglevel", "notice", []string{"debug", "verbose", "notice", "warning", "nothing"}, 0, Acts, groupGeneral, "Least important level that is logged."),
	text("logfile", "", Immutable, Acts, groupGeneral, "File to append the log to; empty means standard output."),
	text("pidfile", "", Immutable|EmptyIsUnset, Acts, groupGeneral, "File that holds the process id while the server runs."),
	integer("hz", "10", 0, maxInt, 0, Acts, groupGeneral, "Background task turns in a second; kept between 1 and 500.").kept(1, 500),
	fileOnly("include", Acts, groupGeneral, "Read another configuration file here; wildcards may match none."),
	yesno("daemonize", "no", Immutable, Acts, groupGeneral, "Run in the background, as a process of its own."),
	enum("supervised", "no", []string{"upstart", "systemd", "auto", "no"}, Immutable, Acts, groupGeneral, "Tell a service manager when the server is ready."),
	yesno("always-show-logo", "no", Immutable, Inert, groupGeneral, "Print a banner even when the output is no terminal.").because("it has no logo"),
	yesno("set-proc-title", "yes", Immutable, Acts, groupGeneral, "Show state in the process title."),
	text("proc-title-template", "{title} {listen-addr} {server-mode}", 0, Acts, groupGeneral, "What the process title shows.").valid(titleTemplate),
	yesno("dynamic-hz", "yes", 0, Inert, groupGeneral, "Raise hz while many clients are connected.").because("nothing in it goes by hz where it matters to many clients"),
	yesno("syslog-enabled", "no", Immutable, Acts, groupGeneral, "Log to the system logger too."),
	text("syslog-ident", "redis", Immutable, Acts, groupGeneral, "Name in the system log."),
	enum("syslog-facility", "local0", []string{"user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"},
		Immutable, Acts, groupGeneral, "Facility of the system log."),
	yesno("crash-log-enabled", "yes", 0, Acts, groupGeneral, "Log a report when the server crashes."),
	yesno("crash-memcheck-enabled", "yes", 0, Inert, groupGeneral, "Test the memory after a crash.").because("a memory-safe program has no use for it"),
	yesno("use-exit-on-panic", "no", Hidden, Inert, groupGeneral, "Exit instead of aborting after an assertion.").because("it has no assertions that abort"),
	integer("watchdog-period", "0", 0, maxInt, Hidden, Inert, groupGeneral, "Milliseconds after which a stuck server reports its stack.").because("LATENCY tells of what holds the server up"),
	special("shutdown-on-sigint", KindFlags, "default", 0, Acts, groupGeneral, "How SIGINT shuts the server down.").values(shutdownBits).valid(shutdownFlags),
	special("shutdown-on-sigterm", KindFlags, "default", 0, Acts, groupGeneral, "How SIGTERM shuts the server down.").values(shutdownBits).valid(shutdownFlags),
	integer("shutdown-timeout", "10", 0, maxInt, 0, Acts, groupGeneral, "Seconds that a shutdown waits for lagging replicas."),
	text("ignore-warnings", "", 0, Inert, groupGeneral, "Start-up warnings to ignore.").because("the warning that can be ignored is about fork, which it does not use"),
	text("locale-collate", "", 0, Inert, groupGeneral, "Locale for comparing strings (Redis 7.2).").because("strings are compared by their bytes, as in the C locale"),
	yesno("hide-user-data-from-log", "no", 0, Acts, groupGeneral, "Keep user data out of the log (Redis 7.4)."),
	obsolete("list-max-ziplist-entries"),
	obsolete("list-max-ziplist-value"),
	obsolete("lua-replicate-commands"),

	// Clients.
	integer("maxclients", "10000", 1, math.MaxUint32, 0, Acts, groupClients, "Connected clients at a time."),
	memory("proto-max-bulk-len", "512mb", 1<<20, maxLong, 0, Acts, groupClients, "Longest single argument and string value."),
	memory("client-query-buffer-limit", "1gb", 1<<20, maxLong, 0, Acts, groupClients, "Most unprocessed input that one client may send."),
	special("client-output-buffer-limit", KindLimits, "normal 0 0 0 slave 256mb 64mb 60 pubsub 32mb 8mb 60", 0, Acts, groupClients,
		"Close a client of the class when its output exceeds the hard limit, or the soft one for so many seconds."),
	{Name: "maxmemory-clients", Kind: KindMemPercent, Default: "0", Min: -100, Max: maxLong, Effect: Acts, Group: groupClients,
		Help: "Memory for all clients' buffers together, in bytes or percent of maxmemory."},
	integer("tracking-table-max-keys", "1000000", 0, maxLong, 0, Acts, groupClients, "Keys remembered for client-side caching."),

	// Security.
	text("requirepass", "", EmptyIsUnset|Sensitive, Acts, groupSecurity, "Password of the default user."),
	text("requirepass-file", "", Immutable|ByName|EmptyIsUnset, Acts, groupSecurity, "File with the password of requirepass, in place of it; or KVD_REQUIREPASS in the environment."),
	enum("enable-protected-configs", "no", yesNoLocal, Immutable, Acts, groupSecurity, "Whether CONFIG SET may change protected directives, perhaps from local clients only."),
	enum("enable-debug-command", "no", yesNoLocal, Immutable, Acts, groupSecurity, "Whether DEBUG may be called, perhaps by local clients only."),
	enum("enable-module-command", "no", yesNoLocal, Immutable, Inert, groupSecurity, "Whether MODULE may be called.").because("it loads no modules"),
	text("aclfile", "", Immutable, Acts, groupSecurity, "File of users and their rights."),
	fileOnly("user", Acts, groupSecurity, "Define a user and its rights."),
	fileOnly("rename-command", Acts, groupSecurity, "Rename a command, or remove it with an empty name."),
	enum("acl-pubsub-default", "resetchannels", []string{"allchannels", "resetchannels"}, 0, Acts, groupSecurity, "Channels of a new user."),
	integer("acllog-max-len", "128", 0, maxLong, 0, Acts, groupSecurity, "Entries that ACL LOG keeps."),
	enum("sanitize-dump-payload", "no", []string{"no", "yes", "clients"}, 0, Inert, groupSecurity, "Check RESTORE and RDB payloads thoroughly.").because("payloads are always checked thoroughly"),

	// Memory and eviction.
	memory("maxmemory", "0", 0, maxLong, FullRange, Acts, groupMemory, "Memory limit in bytes at which keys are evicted; 0 sets none. The data set counts, see maxmemory-counts."),
	enum("maxmemory-counts", "dataset", []string{"dataset", "all"}, 0, Acts, groupMemory, "What maxmemory is compared with: the data set, or as in Redis all memory in use, with the buffers of clients."),
	special("db-maxmemory", KindDBLimits, "", 0, Acts, groupMemory, "Memory limits of single databases: number and bytes, several pairs or lines; such a database evicts or refuses alone."),
	enum("maxmemory-policy", "noeviction", policies, 0, Acts, groupMemory, "Which keys are evicted, and whether OBJECT FREQ or IDLETIME is kept."),
	integer("lfu-log-factor", "10", 0, maxInt, 0, Acts, groupMemory, "How slowly access counters grow."),
	integer("lfu-decay-time", "1", 0, maxInt, 0, Acts, groupMemory, "Minutes after which access counters shrink by one."),
	integer("maxmemory-samples", "5", 1, maxInt, 0, Acts, groupMemory, "Keys drawn for each one that is evicted."),
	integer("maxmemory-eviction-tenacity", "10", 0, 100, 0, Acts, groupMemory, "How long eviction may delay a command that wants memory: 0.5 ms at 10, up to 100, which has it done first."),
	integer("active-expire-effort", "1", 1, 10, 0, Inert, groupMemory, "Effort spent on finding expired keys.").because("keys go at their deadlines, none is searched for"),
	yesno("activerehashing", "yes", 0, Inert, groupMemory, "Grow tables while the server is idle.").because("tables grow a small step at a time by themselves"),
	yesno("activedefrag", "no", 0, Inert, groupMemory, "Move values to undo fragmentation.").valid(noDefrag).because("memory is tidied by itself, a little at a time"),
	memory("active-defrag-ignore-bytes", "100mb", 1, maxLong, 0, Inert, groupMemory, "Waste below which defragmentation rests.").because("memory is tidied by itself, a little at a time"),
	integer("active-defrag-threshold-lower", "10", 0, 1000, 0, Inert, groupMemory, "Percent of waste at which defragmentation starts.").because("memory is tidied by itself, a little at a time"),
	integer("active-defrag-threshold-upper", "100", 0, 1000, 0, Inert, groupMemory, "Percent of waste at which it makes its greatest effort.").because("memory is tidied by itself, a little at a time"),
	integer("active-defrag-cycle-min", "1", 1, 99, 0, Inert, groupMemory, "Least CPU percent for defragmentation.").because("memory is tidied by itself, a little at a time"),
	integer("active-defrag-cycle-max", "25", 1, 99, 0, Inert, groupMemory, "Most CPU percent for defragmentation.").because("memory is tidied by itself, a little at a time"),
	integer("active-defrag-max-scan-fields", "1000", 1, maxLong, 0, Inert, groupMemory, "Collection size that is defragmented in steps.").because("memory is tidied by itself, a little at a time"),
	yesno("jemalloc-bg-thread", "yes", 0, Inert, groupMemory, "Return memory in a background thread.").because("it has no jemalloc; memory is given back in the background always"),

	// Data structures.
	integer("hash-max-listpack-entries", "512", 0, maxLong, 0, Acts, groupTypes, "Fields up to which a hash is packed.").as("hash-max-ziplist-entries"),
	memory("hash-max-listpack-value", "64", 0, maxLong, 0, Acts, groupTypes, "Field and value length up to which a hash is packed.").as("hash-max-ziplist-value"),
	integer("hash-order-idle-time", "300", 0, maxInt, 0, Acts, groupTypes, "Seconds after which a hash whose fields nobody asks for in order loses their index; 0 is never."),
	integer("list-max-listpack-size", "-2", math.MinInt32, maxInt, 0, Acts, groupTypes, "Elements in a list block, or its size class when negative.").as("list-max-ziplist-size"),
	integer("list-compress-depth", "0", 0, maxInt, 0, Inert, groupTypes, "List blocks at each end that stay uncompressed.").because("lists are not compressed"),
	integer("set-max-intset-entries", "512", 0, maxLong, 0, Acts, groupTypes, "Members up to which a set of integers is packed."),
	integer("set-max-listpack-entries", "128", 0, maxLong, 0, Acts, groupTypes, "Members up to which another set is packed (Redis 7.2)."),
	memory("set-max-listpack-value", "64", 0, maxLong, 0, Acts, groupTypes, "Member length up to which another set is packed (Redis 7.2)."),
	integer("zset-max-listpack-entries", "128", 0, maxLong, 0, Acts, groupTypes, "Members up to which a sorted set is packed.").as("zset-max-ziplist-entries"),
	memory("zset-max-listpack-value", "64", 0, maxLong, 0, Acts, groupTypes, "Member length up to which a sorted set is packed.").as("zset-max-ziplist-value"),
	memory("hll-sparse-max-bytes", "3000", 0, maxLong, 0, Acts, groupTypes, "Size up to which a HyperLogLog is sparse."),
	memory("stream-node-max-bytes", "4096", 0, maxLong, 0, Acts, groupTypes, "Bytes in one stream block."),
	integer("stream-node-max-entries", "100", 0, maxLong, 0, Acts, groupTypes, "Entries in one stream block."),
	integer("stream-idmp-duration", "100", 1, 86400, 0, Acts, groupTypes, "Seconds for which a stream remembers its producers' IDs of messages (Redis 8.6)."),
	integer("stream-idmp-maxsize", "100", 1, 10000, 0, Acts, groupTypes, "IDs of messages that a stream remembers for each producer (Redis 8.6)."),
	integer("array-slice-size", "4096", 1, maxSliceSize, 0, Acts, groupTypes, "Indexes that make one slice in ARINFO's numbers, a power of two (Redis 8.8).").valid(powerOfTwo("array-slice-size")),
	integer("array-sparse-kmax", "10", 0, maxInt, 0, Acts, groupTypes, "Elements up to which ARINFO counts a slice as sparse (Redis 8.8)."),
	integer("array-sparse-kmin", "5", 0, maxInt, 0, Inert, groupTypes, "Elements from which down a dense slice becomes sparse (Redis 8.8).").because("arrays have one form, dense or sparse"),

	// Lazy freeing.
	yesno("lazyfree-lazy-eviction", "no", 0, Acts, groupLazy, "Free evicted values in the background."),
	yesno("lazyfree-lazy-expire", "no", 0, Acts, groupLazy, "Free expired values in the background."),
	yesno("lazyfree-lazy-server-del", "no", 0, Acts, groupLazy, "Free overwritten values in the background."),
	yesno("lazyfree-lazy-user-del", "no", 0, Acts, groupLazy, "Make DEL behave as UNLINK."),
	yesno("lazyfree-lazy-user-flush", "no", 0, Acts, groupLazy, "Make FLUSHALL and FLUSHDB asynchronous unless they say SYNC."),
	yesno("replica-lazy-flush", "no", 0, Acts, groupLazy, "Free the old data in the background before a full synchronization.").as("slave-lazy-flush"),

	// Events, latency, slow log.
	integer("slowlog-log-slower-than", "10000", -1, maxLong, NewAlias, Acts, groupEvents, "Microseconds from which a command enters the slow log; -1 disables it.").as("commandlog-execution-slower-than"),
	integer("slowlog-max-len", "128", 0, maxLong, NewAlias, Acts, groupEvents, "Entries that the slow log keeps.").as("commandlog-slow-execution-max-len"),
	integer("commandlog-request-larger-than", "1048576", -1, maxLong, ByName, Acts, groupEvents, "Bytes from which a request enters the log of large ones; -1 disables it (Valkey 8.1)."),
	integer("commandlog-large-request-max-len", "128", 0, maxLong, ByName, Acts, groupEvents, "Entries that the log of large requests keeps (Valkey 8.1)."),
	integer("commandlog-reply-larger-than", "1048576", -1, maxLong, ByName, Acts, groupEvents, "Bytes from which a reply enters the log of large ones; -1 disables it (Valkey 8.1)."),
	integer("commandlog-large-reply-max-len", "128", 0, maxLong, ByName, Acts, groupEvents, "Entries that the log of large replies keeps (Valkey 8.1)."),
	integer("slowlog-entry-max-argc", "32", 2, maxInt, 0, Acts, groupEvents, "Arguments of a command that the slow log keeps (Redis 8.8)."),
	integer("slowlog-entry-max-string-len", "128", 1, maxInt, 0, Acts, groupEvents, "Bytes of an argument that the slow log keeps (Redis 8.8)."),
	integer("latency-monitor-threshold", "0", 0, maxLong, 0, Acts, groupEvents, "Milliseconds from which an event enters LATENCY; 0 disables it."),
	yesno("latency-tracking", "yes", 0, Acts, groupEvents, "Keep a latency histogram for each command."),
	special("latency-tracking-info-percentiles", KindPercentiles, "50 99 99.9", 0, Acts, groupEvents, "Percentiles that INFO latencystats shows."),
	special("notify-keyspace-events", KindEvents, "", 0, Acts, groupEvents, "Classes of keyspace events to publish, as letters."),

	// Snapshots.
	special("save", KindSave, "3600 1 300 100 60 10000", 0, Acts, groupSnapshot, `Save after so many seconds if so many keys changed; "" never does.`).bare(""),
	text("dbfilename", "dump.rdb", Protected, Acts, groupSnapshot, "Name of the snapshot file.").valid(baseName("dbfilename", "filename", true)),
	yesno("rdbcompression", "yes", 0, Acts, groupSnapshot, "Compress strings in snapshots."),
	yesno("rdbchecksum", "yes", Immutable, Acts, groupSnapshot, "End snapshots with a checksum."),
	yesno("rdb-del-sync-files", "no", 0, Acts, groupSnapshot, "Remove snapshots that only replication needed."),
	yesno("rdb-save-incremental-fsync", "yes", 0, Acts, groupSnapshot, "Sync a snapshot as it grows."),
	integer("rdb-key-save-delay", "0", math.MinInt32, maxInt, Hidden, Acts, groupSnapshot, "Delay for each saved key, for tests."),
	integer("key-load-delay", "0", math.MinInt32, maxInt, Hidden, Acts, groupSnapshot, "Delay for each loaded key, for tests."),
	integer("loading-process-events-interval-bytes", "2097152", 1024, maxInt, Hidden, Inert, groupSnapshot, "Bytes loaded between two looks at the clients.").because("clients are served by other threads than the one that loads"),
	yesno("stop-writes-on-bgsave-error", "yes", 0, Acts, groupSnapshot, "Refuse writes after a failed snapshot."),

	// Append-only log.
	yesno("appendonly", "no", DenyLoading, Acts, groupAppend, "Log every write to a file."),
	text("appendfilename", "appendonly.aof", Immutable, Acts, groupAppend, "Base name of the log's files.").valid(baseName("appendfilename", "filename", false)),
	text("appenddirname", "appendonlydir", Immutable, Acts, groupAppend, "Directory of the log's files.").valid(baseName("appenddirname", "dirname", false)),
	text("backupdirname", "backupdir", Immutable|ByName, Acts, groupAppend, "Directory of what BACKUP writes (Redis 8.10).").valid(baseName("backupdirname", "dirname", false)),
	integer("backup-sealed-ttl", "0", 0, maxLong/int64(time.Second), 0, Acts, groupAppend, "Seconds after which a sealed backup is removed; 0: never (Redis 8.10)."),
	enum("appendfsync", "everysec", []string{"everysec", "always", "no"}, 0, Acts, groupAppend, "When the log is synced to the disk."),
	yesno("no-appendfsync-on-rewrite", "no", 0, Acts, groupAppend, "Do not sync while a log is rewritten."),
	integer("auto-aof-rewrite-percentage", "100", 0, maxInt, 0, Acts, groupAppend, "Growth in percent at which the log is rewritten."),
	memory("auto-aof-rewrite-min-size", "64mb", 0, maxLong, 0, Acts, groupAppend, "Size below which the log is not rewritten."),
	yesno("aof-load-truncated", "yes", 0, Acts, groupAppend, "Load a log whose end is torn."),
	yesno("aof-use-rdb-preamble", "yes", 0, Acts, groupAppend, "Begin a rewritten log with a snapshot."),
	yesno("aof-timestamp-enabled", "no", 0, Acts, groupAppend, "Write time stamps into the log."),
	yesno("aof-rewrite-incremental-fsync", "yes", 0, Acts, groupAppend, "Sync a rewritten log as it grows."),
	yesno("aof-disable-auto-gc", "no", 0, Acts, groupAppend, "Keep log files that are no longer needed."),

	// Replication.
	special("replicaof", KindReplicaOf, "", Immutable, Acts, groupReplica, "Host and port of the master to follow.").as("slaveof"),
	text("masterauth", "", EmptyIsUnset|Sensitive|NewAlias, Acts, groupReplica, "Password for the master.").as("primaryauth"),
	text("masterauth-file", "", Immutable|ByName|EmptyIsUnset, Acts, groupReplica, "File with the password of masterauth, in place of it; or KVD_MASTERAUTH in the environment."),
	text("masteruser", "", EmptyIsUnset|Sensitive|NewAlias, Acts, groupReplica, "User name for the master.").as("primaryuser"),
	yesno("replica-serve-stale-data", "yes", 0, Acts, groupReplica, "Answer while the link to the master is down.").as("slave-serve-stale-data"),
	yesno("replica-read-only", "yes", 0, Acts, groupReplica, "Refuse writes on a replica.").as("slave-read-only"),
	yesno("replica-ignore-maxmemory", "yes", 0, Acts, groupReplica, "Leave eviction to the master.").as("slave-ignore-maxmemory"),
	integer("replica-priority", "100", 0, maxInt, 0, Acts, groupReplica, "Preference for promotion; 0 is never promoted.").as("slave-priority"),
	text("replica-announce-ip", "", EmptyIsUnset, Acts, groupReplica, "Address that the replica reports.").as("slave-announce-ip"),
	integer("replica-announce-port", "0", 0, 65535, 0, Acts, groupReplica, "Port that the replica reports.").as("slave-announce-port"),
	yesno("replica-announced", "yes", 0, Acts, groupReplica, "Show this replica to Sentinel."),
	yesno("replica-ignore-disk-write-errors", "no", 0, Inert, groupReplica, "Go on when a replica cannot write its log.").because("a follower always goes on and mends its log by itself"),
	memory("replica-full-sync-buffer-limit", "0", 0, maxLong, 0, Inert, groupReplica, "Changes that a replica buffers during a full synchronization (Redis 8).").because("a follower buffers no changes during a synchronization; the leader keeps them, within repl-backlog-file-limit"),
	memory("repl-backlog-size", "1mb", 1, maxLong, 0, Acts, groupReplica, "Bytes of the stream kept for partial synchronization; at least 16 KiB.").kept(16<<10, maxLong),
	memory("repl-backlog-file-limit", "1gb", 0, maxLong, 0, Acts, groupReplica, "Bytes of a file in which the stream goes on for replicas that are behind the backlog (kvd)."),
	integer("repl-backlog-ttl", "3600", 0, maxLong, 0, Acts, groupReplica, "Seconds without replicas after which the backlog is freed."),
	integer("repl-timeout", "60", 1, maxInt, 0, Acts, groupReplica, "Seconds after which a silent link is closed."),
	integer("repl-ping-replica-period", "10", 1, maxInt, 0, Acts, groupReplica, "Seconds between pings to replicas.").as("repl-ping-slave-period"),
	yesno("repl-disable-tcp-nodelay", "no", 0, Acts, groupReplica, "Trade latency for fewer packets to replicas."),
	yesno("repl-diskless-sync", "yes", 0, Acts, groupReplica, "Send snapshots straight to the socket."),
	integer("repl-diskless-sync-delay", "5", 0, maxInt, 0, Acts, groupReplica, "Seconds to wait for more replicas before sending."),
	integer("repl-diskless-sync-max-replicas", "0", 0, maxInt, 0, Acts, groupReplica, "Replicas at which sending starts at once."),
	enum("repl-diskless-load", "disabled", []string{"disabled", "on-empty-db", "swapdb"}, DenyLoading, Acts, groupReplica, "Load a master's snapshot straight from the socket."),
	integer("min-replicas-to-write", "0", 0, maxInt, 0, Acts, groupReplica, "Refuse writes with fewer good replicas.").as("min-slaves-to-write"),
	integer("min-replicas-max-lag", "10", 0, maxInt, 0, Acts, groupReplica, "Seconds of lag that a good replica may have.").as("min-slaves-max-lag"),
	enum("propagation-error-behavior", "ignore", []string{"ignore", "panic", "panic-on-replicas"}, 0, Acts, groupReplica, "What to do when a replicated command fails; a replica that takes writes of its own passes over it."),

	// Cluster.
	yesno("cluster-enabled", "no", Immutable, Refuse, groupCluster, "Run as a cluster node."),
	text("cluster-config-file", "nodes.conf", Immutable, Inert, groupCluster, "File in which a node keeps the cluster's state.").because(noCluster),
	integer("cluster-node-timeout", "15000", 0, maxLong, 0, Inert, groupCluster, "Milliseconds after which a silent node has failed.").because(noCluster),
	integer("cluster-port", "0", 0, 65535, Immutable, Inert, groupCluster, "Port of the cluster bus; 0 means port + 10000.").because(noCluster),
	integer("cluster-replica-validity-factor", "10", 0, maxInt, 0, Inert, groupCluster, "How stale a replica may be to take over.").as("cluster-slave-validity-factor").because(noCluster),
	yesno("cluster-replica-no-failover", "no", 0, Inert, groupCluster, "Never let this replica take over by itself.").as("cluster-slave-no-failover").because(noCluster),
	integer("cluster-migration-barrier", "1", 0, maxInt, 0, Inert, groupCluster, "Replicas that a master keeps when others migrate.").because(noCluster),
	yesno("cluster-allow-replica-migration", "yes", 0, Inert, groupCluster, "Let replicas move to masters that have none.").because(noCluster),
	yesno("cluster-require-full-coverage", "yes", 0, Inert, groupCluster, "Stop serving while any slot has no node.").because(noCluster),
	yesno("cluster-allow-reads-when-down", "no", 0, Inert, groupCluster, "Answer reads while the cluster is down.").because(noCluster),
	yesno("cluster-allow-pubsubshard-when-down", "yes", 0, Inert, groupCluster, "Serve shard channels while the cluster is down.").because(noCluster),
	memory("cluster-link-sendbuf-limit", "0", 0, maxLong, FullRange, Inert, groupCluster, "Bytes queued to a node before its link is closed.").because(noCluster),
	text("cluster-announce-ip", "", EmptyIsUnset, Inert, groupCluster, "Address that the node reports.").because(noCluster),
	integer("cluster-announce-port", "0", 0, 65535, 0, Inert, groupCluster, "Port that the node reports.").because(noCluster),
	integer("cluster-announce-tls-port", "0", 0, 65535, 0, Inert, groupCluster, "TLS port that the node reports.").because(noCluster),
	integer("cluster-announce-bus-port", "0", 0, 65535, 0, Inert, groupCluster, "Bus port that the node reports.").because(noCluster),
	text("cluster-announce-hostname", "", EmptyIsUnset, Inert, groupCluster, "Host name that the node reports.").valid(hostName).because(noCluster),
	text("cluster-announce-human-nodename", "", EmptyIsUnset, Inert, groupCluster, "Node name for logs (Redis 7.2).").valid(hostName).because(noCluster),
	enum("cluster-preferred-endpoint-type", "ip", []string{"ip", "hostname", "unknown-endpoint"}, 0, Inert, groupCluster, "How redirections name a node.").because(noCluster),
	integer("cluster-compatibility-sample-ratio", "0", 0, 100, 0, Inert, groupCluster, "Percent of commands checked for cluster use (Redis 8).").because(noCluster),
	yesno("cluster-slot-stats-enabled", "no", 0, Inert, groupCluster, "Keep statistics for each slot (Redis 8.2).").because(noCluster),

	// TLS.
	integer("tls-port", "0", 0, 65535, 0, Acts, groupTLS, "TCP port for TLS clients; 0 listens on none."),
	text("tls-cert-file", "", EmptyIsUnset, Acts, groupTLS, "The server's certificate, in PEM, with those that lead to its authority; read anew when it changes."),
	text("tls-key-file", "", EmptyIsUnset, Acts, groupTLS, "The certificate's private key, in PEM."),
	text("tls-key-file-pass", "", EmptyIsUnset|Sensitive, Acts, groupTLS, "Password of the private key."),
	text("tls-client-cert-file", "", EmptyIsUnset, Acts, groupTLS, "Certificate for outgoing connections; by default the server's."),
	text("tls-client-key-file", "", EmptyIsUnset, Acts, groupTLS, "Private key for outgoing connections."),
	text("tls-client-key-file-pass", "", EmptyIsUnset|Sensitive, Acts, groupTLS, "Password of the outgoing connections' key."),
	text("tls-dh-params-file", "", EmptyIsUnset, Inert, groupTLS, "Diffie-Hellman parameters for old clients.").because("Go's TLS has no such ciphers"),
	text("tls-ca-cert-file", "", EmptyIsUnset, Acts, groupTLS, "Authorities that vouch for clients, leaders and targets."),
	text("tls-ca-cert-dir", "", EmptyIsUnset, Acts, groupTLS, "Directory of such authorities."),
	enum("tls-auth-clients", "yes", []string{"no", "yes", "optional"}, 0, Acts, groupTLS, "Whether clients must show a certificate."),
	enum("tls-auth-clients-user", "off", []string{"off", "CN", "URI"}, 0, Acts, groupTLS, "Field of a client's certificate that names its user (Redis 8.6)."),
	yesno("tls-replication", "no", 0, Acts, groupTLS, "Use TLS for the link to the leader."),
	yesno("tls-cluster", "no", 0, Acts, groupTLS, "Use TLS for MIGRATE, and between cluster nodes."),
	text("tls-protocols", "", EmptyIsUnset, Acts, groupTLS, "Allowed versions, which must follow one another; by default TLSv1.2 and TLSv1.3."),
	text("tls-ciphers", "", EmptyIsUnset, Acts, groupTLS, "Allowed ciphers up to TLS 1.2, as an OpenSSL list; by default those that Go deems safe."),
	text("tls-ciphersuites", "", EmptyIsUnset, Acts, groupTLS, "Allowed cipher suites of TLS 1.3; Go always has all three, so a list must name them all."),
	yesno("tls-prefer-server-ciphers", "no", 0, Inert, groupTLS, "Let the server choose the cipher.").because("Go's TLS always does"),
	yesno("tls-session-caching", "yes", 0, Acts, groupTLS, "Let clients resume sessions."),
	integer("tls-session-cache-size", "20480", 0, maxInt, 0, Inert, groupTLS, "Sessions kept for resumption.").because("sessions are in the clients' tickets, so there is nothing to bound"),
	integer("tls-session-cache-timeout", "300", 0, maxInt, 0, Acts, groupTLS, "Seconds for which a session may be resumed."),
	integer("max-new-tls-connections-per-cycle", "1", 1, 1000, 0, Inert, groupTLS, "TLS connections accepted in one loop turn (Redis 7.4).").because("handshakes are made outside of the loops"),

	// Scripts and modules.
	integer("busy-reply-threshold", "5000", 0, maxLong, 0, Acts, groupScript, "Milliseconds after which a running script makes others get BUSY.").as("lua-time-limit"),
	yesno("lua-enable-deprecated-api", "no", Immutable|Hidden, Acts, groupScript, "Offer setfenv, getfenv and newproxy to scripts."),
	memory("script-memory-limit", "256mb", 0, maxLong, 0, Acts, groupScript, "Bytes that one run of a script may hold; 0: no limit."),
	yesno("script-rollback", "no", 0, Acts, groupScript, "Take back all that a script has written where it is killed or fails for want of memory; no: a script that has written is not killed."),
	fileOnly("loadmodule", Refuse, groupScript, "Load a module, with arguments."),

	// Processes and threads.
	integer("io-threads", "1", 1, 128, Immutable|NewAlias, Acts, groupSystem, "Number of event loops where event-loops does not say and this is more than 1; server-threads is KeyDB's name.").as("server-threads"),
	yesno("io-threads-do-reads", "no", Immutable, Inert, groupSystem, "Let those threads read too.").because("event loops always read themselves"),
	enum("oom-score-adj", "no", []string{"no", "yes", "relative", "absolute"}, 0, Acts, groupSystem, "Adjust how early the kernel kills the process."),
	special("oom-score-adj-values", KindOOMScores, "0 200 800", 0, Acts, groupSystem, "Scores for master and replica; there is no child."),
	yesno("disable-thp", "yes", Immutable, Inert, groupSystem, "Disable transparent huge pages.").because("each arena of memory chooses its pages by itself"),
	text("server_cpulist", "", Immutable|EmptyIsUnset|NewAlias, Acts, groupSystem, "Processors for the server's threads.").as("server-cpulist"),
	text("bio_cpulist", "", Immutable|EmptyIsUnset|NewAlias, Acts, groupSystem, "Processors for background threads.").as("bio-cpulist"),
	text("aof_rewrite_cpulist", "", Immutable|EmptyIsUnset|NewAlias, Acts, groupSystem, "Processors for rewriting the log.").as("aof-rewrite-cpulist"),
	text("bgsave_cpulist", "", Immutable|EmptyIsUnset|NewAlias, Acts, groupSystem, "Processors for snapshots.").as("bgsave-cpulist"),

	// Of Redis 8 and Valkey 8 and 9, so that their files can be used as they are.
	integer("lookahead", "16", 1, maxInt, ByName, Inert, groupSystem, "Commands that are read ahead (Redis 8.4); kvd does so by itself.").because("commands are read ahead always"),
	integer("prefetch-batch-max-size", "16", 0, 128, ByName, Inert, groupSystem, "Commands whose keys are brought nearer together (Valkey 8.0); kvd does so by itself.").because("keys are brought nearer for as many commands as were read"),
	integer("events-per-io-thread", "2", 0, maxInt, ByName, Inert, groupSystem, "Events for which a thread is woken (Valkey 8.0).").because("event loops own their connections"),
	integer("min-io-threads-avoid-copy-reply", "7", 0, maxInt, ByName, Inert, groupSystem, "Threads from which on replies are not copied (Valkey 9.0).").because("event loops own their connections"),
	integer("active-defrag-cycle-us", "500", 0, 100000, ByName, Inert, groupMemory, "Microseconds of one turn of defragmentation (Valkey 8.1).").because("memory is tidied by itself, a little at a time"),
	yesno("dual-channel-replication-enabled", "no", ByName, Inert, groupReplica, "Send snapshot and stream on two connections (Valkey 8.0).").because("what a follower misses during a snapshot waits in the leader's stream, not in its buffers"),
	yesno("repl-mptcp", "no", Immutable|ByName, Acts, groupReplica, "Use several paths between leader and follower (Valkey 9.0)."),
	yesno("mptcp", "no", Immutable|ByName, Acts, groupNetwork, "Use several paths to clients (Valkey 9.0)."),
	yesno("auto-failover-on-shutdown", "no", ByName, Inert, groupCluster, "Let a follower take over at SHUTDOWN (Valkey 9.0).").because("SHUTDOWN waits until followers have everything; FAILOVER hands over"),
	integer("cluster-databases", "1", 1, maxInt, Immutable|ByName, Inert, groupCluster, "Databases of a cluster (Valkey 9.0).").because(noCluster),
	integer("cluster-slot-migration-log-max-len", "1000", 0, maxLong, ByName, Inert, groupCluster, "Migrations of slots that are remembered (Valkey 9.0).").because(noCluster),
	integer("cluster-manual-failover-timeout", "5000", 1, maxInt, ByName, Inert, groupCluster, "Milliseconds that a failover by hand may take (Valkey 9.1).").because(noCluster),
	integer("cluster-blacklist-ttl", "60", 0, maxLong, ByName, Inert, groupCluster, "Seconds for which a forgotten node stays forgotten (Valkey 8.1).").because(noCluster),
	integer("cluster-ping-interval", "0", 0, maxLong, ByName, Inert, groupCluster, "Milliseconds between two pings of a node (Valkey 8.1).").because(noCluster),
	text("cluster-announce-client-ipv4", "", ByName|EmptyIsUnset, Inert, groupCluster, "Address that the node tells clients (Valkey 8.1).").because(noCluster),
	text("cluster-announce-client-ipv6", "", ByName|EmptyIsUnset, Inert, groupCluster, "IPv6 address that the node tells clients (Valkey 8.1).").because(noCluster),
	yesno("lua-enable-insecure-api", "no", ByName, Inert, groupScript, "Offer old script functions (Valkey 9.0).").because("its Lua has no such functions"),
	yesno("import-mode", "no", ByName, Acts, groupReplica, "Leave the expiry of keys, and eviction, to whom the data comes from; see CLIENT IMPORT-SOURCE (Valkey 8.1)."),
	text("availability-zone", "", ByName|EmptyIsUnset, Acts, groupGeneral, "Where the server stands, as INFO and HELLO tell clients (Valkey 8.1)."),
	yesno("extended-redis-compatibility", "no", ByName, Inert, groupGeneral, "Call itself Redis (Valkey 8.0).").because("it does so always"),
	enum("rdb-version-check", "strict", []string{"strict", "relaxed"}, ByName, Inert, groupSnapshot, "Try to load snapshots of later versions (Valkey 8.1).").because("a snapshot is refused for what is in it, not for its version"),
	integer("tls-auto-reload-interval", "0", 0, maxInt, ByName, Inert, groupTLS, "Seconds after which certificates are read anew (Valkey 9.1).").because("certificates are read anew when they change"),
	text("hash-seed", "", Immutable|ByName|EmptyIsUnset, Inert, groupSystem, "Seed of hashes, for equal orders of SCAN on several servers (Valkey 9.1).").because("the order of SCAN is the same on all servers"),
	enum("cluster-config-save-behavior", "sync", []string{"sync", "best-effort"}, ByName, Inert, groupCluster, "What follows when the cluster's state cannot be written (Valkey 9.1).").because(noCluster),
	yesno("enable-debug-assert", "no", Immutable|ByName, Inert, groupGeneral, "Check assertions that cost time (Valkey 9.1).").because("it has no such assertions"),
	integer("hash-rdb-load-min-template-entries", "0", 0, maxLong, ByName, Inert, groupTypes, "Fields from which on a loaded hash shares their names with others (Redis 8.10).").because("hashes do not share their fields"),
	integer("hash-rdb-load-max-template-entries", "0", 0, maxLong, ByName, Inert, groupTypes, "Fields up to which it does (Redis 8.10).").because("hashes do not share their fields"),
	integer("hash-rdb-load-template-disassembly-threshold", "0", 0, maxLong, ByName, Inert, groupTypes, "Hashes that must share names for that to be kept (Redis 8.10).").because("hashes do not share their fields"),
	enum("log-timestamp-format", "legacy", []string{"legacy", "iso8601", "milliseconds"}, ByName, Acts, groupGeneral, "How log lines say the time (Valkey 8.1)."),
	text("repl-compression", "no", ByName, Inert, groupReplica, "Compress what followers are sent (Valkey 9.2).").because("the stream is not compressed; snapshots are, by rdbcompression"),
	yesno("hotkey-enabled", "no", ByName, Inert, groupGeneral, "Note the keys that are used most (Valkey 9.2).").because("HOTKEYS START begins that"),
	text("default-bgsave-method", "fork", ByName, Inert, groupSnapshot, "How BGSAVE saves (Valkey 9.2).").because("snapshots never fork"),
	text("forkless-options-supported", "", Immutable|ByName|EmptyIsUnset, Inert, groupSnapshot, "What snapshots without fork can do (Valkey 9.2).").because("snapshots never fork"),
	memory("aof-load-corrupt-tail-max-size", "0", 0, maxLong, ByName, Acts, groupAppend, "Bytes at the log's end that may be damaged and are cut off at the start; 0: none (Redis 8.4)."),
	yesno("key-memory-histograms", "no", ByName, Inert, groupMemory, "Count keys by their memory in INFO keysizes (Redis 8.6).").because("INFO keysizes counts by length only"),

	// Of KeyDB 6.3, so that its file can be used as it is. What its users would miss stops the start.
	yesno("active-replica", "no", Immutable|ByName, Refuse, groupKeyDB, "Take writes while it follows, and follow back."),
	yesno("multi-master", "no", Immutable|ByName, Refuse, groupKeyDB, "Follow several leaders."),
	yesno("multi-master-no-forward", "no", ByName, Inert, groupKeyDB, "Do not pass on what other leaders sent.").because("it follows one leader"),
	special("storage-provider", KindStrings, "", Immutable|ByName, Refuse, groupKeyDB, "Keep keys on flash."),
	special("tls-allowlist", KindStrings, "", ByName, Refuse, groupKeyDB, "Names that a client's certificate must bear."),
	special("tls-auditlog-blocklist", KindStrings, "", ByName, Inert, groupKeyDB, "Names of certificates that are not logged.").because("it keeps no log of connections"),
	yesno("tls-rotation", "no", ByName, Inert, groupKeyDB, "Read changed certificates anew.").because("certificates are read anew when they change"),
	text("storage-provider-options", "", Immutable|ByName|EmptyIsUnset, Inert, groupKeyDB, "Options of the flash.").because(noFlash),
	enum("storage-cache-mode", "writethrough", []string{"writeback", "writethrough"}, Immutable|ByName, Inert, groupKeyDB, "When the flash is written to.").because(noFlash),
	integer("storage-flush-period", "500", 1, 10000, ByName, Inert, groupKeyDB, "Milliseconds between two writes to the flash.").because(noFlash),
	memory("maxstorage", "0", 0, maxLong, ByName, Inert, groupKeyDB, "Most bytes on the flash.").because(noFlash),
	yesno("flash-disable-key-cache", "no", ByName, Inert, groupKeyDB, "Keep no names of keys on the flash in memory.").because(noFlash),
	integer("semi-ordered-set-bucket-size", "0", 0, 1024, ByName, Inert, groupKeyDB, "Size of buckets of keys on the flash.").because(noFlash),
	text("scratch-file-path", "", Immutable|ByName|EmptyIsUnset, Inert, groupKeyDB, "Directory for temporary files.").because("a temporary file is beside the file that it will be"),
	enum("server-thread-affinity", "false", []string{"true", "false", "yes", "no"}, Immutable|ByName, Inert, groupKeyDB, "Bind each thread to a processor.").because("server_cpulist says on which processors it runs"),
	yesno("active-client-balancing", "yes", ByName, Inert, groupKeyDB, "Move clients between threads.").because("a connection stays with its event loop, and loops take what comes in turn"),
	integer("min-clients-per-thread", "20", 0, 400, ByName, Inert, groupKeyDB, "Clients before a further thread is used.").because("a connection stays with its event loop, and loops take what comes in turn"),
	integer("replica-quorum", "-1", -1, maxInt, ByName, Inert, groupKeyDB, "Leaders that must be connected for reads to be served.").because("it follows one leader; replica-serve-stale-data says what is served without"),
	integer("replica-weighting-factor", "2", 1, maxInt, ByName, Inert, groupKeyDB, "How many clients a follower counts for in the choice of a thread.").because("a connection stays with its event loop, and loops take what comes in turn"),
	yesno("allow-write-during-load", "no", ByName, Inert, groupKeyDB, "Take writes while data are loaded, as an active replica.").because("it is no active replica"),
	memory("loading-process-events-interval-keys", "8192", 0, maxLong, ByName, Inert, groupKeyDB, "Keys loaded between two looks at the clients.").because("clients are served by other threads than the one that loads"),
	integer("force-eviction-percent", "0", 0, 100, ByName, Inert, groupKeyDB, "Percent of the system's memory below which keys are evicted.").because("maxmemory decides, which may be a percentage of the system's memory"),
	integer("overload-protect-percent", "0", 0, 200, ByName, Inert, groupKeyDB, "Load from which on commands are delayed.").because("long commands make room for others by themselves"),
	integer("maxclients-reserved", "0", 0, 100, ByName, Inert, groupKeyDB, "Connections kept for clients of the same machine.").because("maxclients holds for all"),
	memory("repl-backlog-disk-reserve", "0", 0, maxLong, Immutable|ByName, Inert, groupKeyDB, "Backlog on the disk.").because("the backlog is in memory, within repl-backlog-size"),
	yesno("force-backlog-disk-reserve", "no", ByName, Inert, groupKeyDB, "Use the backlog on the disk always.").because("the backlog is in memory, within repl-backlog-size"),
	integer("max-snapshot-slip", "400", 0, 5000, ByName, Inert, groupKeyDB, "Milliseconds that a snapshot for reads may be old.").because("reads in the background see one moment"),
	integer("max-rand-count", "4611686018427387903", 0, maxLong/2, ByName, Inert, groupKeyDB, "Most members that one call may choose at random.").because("Redis's bound holds"),
	yesno("use-fork", "yes", Immutable|ByName, Inert, groupKeyDB, "Save in a child process.").because("snapshots never fork"),
	yesno("enable-motd", "yes", Immutable|ByName, Inert, groupKeyDB, "Show a message of the day.").because("it has none"),
	yesno("delete-on-evict", "no", ByName, Inert, groupKeyDB, "Remove evicted keys from the flash.").because(noFlash),
	yesno("time-thread-priority", "no", Immutable|ByName, Inert, groupKeyDB, "Give the clock's thread priority.").because("no thread keeps its clock"),
	yesno("prefetch-enabled", "yes", ByName, Inert, groupKeyDB, "Bring keys nearer before commands run.").because("keys are brought nearer always"),
	yesno("allow-rdb-resize-op", "yes", ByName, Inert, groupKeyDB, "Obey the sizes of tables that a snapshot says.").because("tables grow by themselves"),
	yesno("enable-async-commands", "no", ByName, Inert, groupKeyDB, "Run some reads in the background.").because("long reads run in the background always"),
	yesno("multithread-load-enabled", "no", ByName, Inert, groupKeyDB, "Load in several threads.").because("it always does"),
	yesno("enable-async-rehash", "yes", ByName, Inert, groupKeyDB, "Grow tables in the background.").because("tables grow a small step at a time by themselves"),
	yesno("enable-keydb-fastsync", "no", ByName, Inert, groupKeyDB, "Synchronize followers in KeyDB's own form.").because("followers are sent RDB"),
	yesno("soft-shutdown", "no", ByName, Inert, groupKeyDB, "Let clients go before SHUTDOWN.").because("SHUTDOWN closes connections; CLIENT PAUSE and a lower maxclients let them go first"),
}

// noFlash is why what concerns KeyDB's storage on flash has no effect.
const noFlash = "all keys are in memory"

// values gives a row of flags its names.
func (d Directive) values(names []string) Directive { d.Values = names; return d }

// Directives returns the table's rows in order, for help and documentation.
// The slice is a copy; the rows' Values must not be changed.
func Directives() []Directive { return append([]Directive(nil), directives...) }
