package command

import "slices"

// Flag says how a command may be used. The names are those of COMMAND INFO.
type Flag uint64

// The flags. Write to AllowBusy are shown by COMMAND INFO under their names, but
// for MayReplicate, which Redis hides, too.
const (
	Write Flag = 1 << iota
	ReadOnly
	DenyOOM
	Admin
	PubSub
	NoScript
	Blocking
	Loading
	Stale
	SkipMonitor
	SkipSlowlog
	Fast
	NoAuth
	MayReplicate
	NoAsyncLoading
	NoMulti
	AllowBusy
	MovableKeys
	// NoMandatoryKeys: a call may have no keys.
	NoMandatoryKeys

	// LockAll: the command touches keys that it does not declare, so the
	// dispatcher locks every stripe for it.
	LockAll
	// Protected: hidden behind a directive, such as DEBUG.
	Protected
	// RunsInMulti: run, not queued, in a transaction.
	RunsInMulti
	// QueuesAlways: queued also where there is no memory for queues (UNWATCH).
	QueuesAlways
	// RunsQueue: runs what was queued (EXEC), so it needs and does what that does.
	RunsQueue
	// Walks: the command walks over the keyspace stripe by stripe when it is
	// called alone; inside EXEC and scripts it needs every stripe.
	Walks
	// WalksPast: and it does not wait for a script that has stripes reserved.
	WalksPast
	// InSubscribed: a client of RESP2 may call it while it is subscribed.
	InSubscribed
	// CountsReads: its look-ups are hits and misses of INFO. Those of a ReadOnly
	// command are unless it is a subcommand.
	CountsReads
	// AlwaysTouches: its look-ups count as accesses also after CLIENT NO-TOUCH.
	AlwaysTouches
	// ProbesWrites: refused where writes are because of the disk, so that clients
	// learn of it (PING).
	ProbesWrites
	// KeepsCaching: what CLIENT CACHING said holds for the command after it.
	// Subcommands have it of their container.
	KeepsCaching
	// Frames: it stands in logs and streams without being an effect (SELECT, MULTI).
	Frames
	// NotApplied: it may not stand there although it changes keys, for it waits for another
	// server (MIGRATE). A transaction with it leaves its event loop.
	NotApplied
	// Applied: it may stand there although it changes no key (SCRIPT LOAD).
	Applied
	// Volatile: its effects are for followers only, not for the log (PUBLISH).
	Volatile
	// InPortions: a call with many arguments goes on by itself in portions, between
	// which nothing is locked (Ctx.Background); as a whole it is not run beside the loops.
	InPortions
)

var flagNames = []struct {
	f    Flag
	name string
}{
	{Write, "write"}, {ReadOnly, "readonly"}, {DenyOOM, "denyoom"}, {Admin, "admin"}, {PubSub, "pubsub"},
	{NoScript, "noscript"}, {Blocking, "blocking"}, {Loading, "loading"}, {Stale, "stale"},
	{SkipMonitor, "skip_monitor"}, {SkipSlowlog, "skip_slowlog"}, {Fast, "fast"}, {NoMandatoryKeys, "no_mandatory_keys"}, {NoAuth, "no_auth"},
	{NoAsyncLoading, "no_async_loading"}, {NoMulti, "no_multi"}, {AllowBusy, "allow_busy"}, {MovableKeys, "movablekeys"},
}

// Names are the names of those that COMMAND INFO shows.
func (f Flag) Names() (names []string) {
	for _, n := range flagNames {
		if f&n.f != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

// Row is everything that is known of a command, declared once: dispatching,
// COMMAND and its kin, ACL categories and the documentation come from it.
type Row struct {
	Name  string // lower case; of a subcommand, its last word
	Fn    func(*Ctx)
	Arity int // with the name itself; negative: at least that many
	Flags Flag

	// First, Last and Step are the positions of the keys, as COMMAND INFO
	// gives them; Last counts from the end if negative. KeysFn overrides them
	// where positions depend on other arguments: it appends the positions to
	// dst, or returns false for arguments that have no valid keys.
	First, Last, Step int
	KeysFn            func(args [][]byte, dst []int) ([]int, bool)
	// KeyFlags describe what happens to the keys for COMMAND GETKEYSANDFLAGS
	// and the key specs: "RW access update", say. Where keys differ there is
	// one for each spec: "RW access delete; OW update" (RENAME); see keySpecs.
	KeyFlags string
	// KeyFlagsFn gives the KeyFlags of one call, where those above have
	// variable_flags.
	KeyFlagsFn func(args [][]byte) string
	// MemberAt is the position of the first argument that is a member or field of
	// the key's collection, 0: none. It is a hint: see Exec.Foresee.
	MemberAt int8
	// Secret gives the positions of arguments that nobody else may see, neither in
	// the slow log nor by MONITOR; nil if there are none.
	Secret func(s *Server, args [][]byte) []int
	// Channels says what the arguments are that name channels, if there are such:
	// "publish" (the first one), "subscribe" or "psubscribe" (all).
	Channels string
	// DBArgs appends the positions of arguments that name databases; EveryDB: it
	// works in all of them.
	DBArgs  func(args [][]byte, dst []int) []int
	EveryDB bool
	// FlagsFn gives the flags of one call where they depend on its arguments (a
	// script that says of itself that it writes nothing); they decide whether the
	// server's state admits it.
	FlagsFn func(c *Ctx) Flag
	// Parts says that the command may run for some of its keys after the other.
	Parts PartsKind
	// AllKeys tells of one call whether it may touch keys that it does not
	// declare, so that it needs every stripe as LockAll commands do.
	AllKeys func(x *Exec, args [][]byte) bool

	Since      string // first version of Redis that had it
	Group      string // as redis.io groups it
	Summary    string // one line, our own words
	Complexity string
	Syntax     string // arguments as redis.io writes them: "key value [NX | XX] [EX seconds]"
	Categories string // ACL categories beyond those that flags and group imply; "-x" takes one away
	Tips       string // COMMAND's tips, space separated
	// History is what changed later: versions and what was new in them, by turns.
	History []string
	// Deprecated is since when a command should not be used any more, and what
	// replaces it; empty for most.
	Deprecated [2]string

	// Front names the protocol whose requests the row serves, if it is not Redis's:
	// clients of Redis do not know it, and only Table.Hidden finds it. A session of
	// that protocol runs it with Pending.SetRow.
	Front string

	// Info is a section of INFO that tells of what the command does; nil mostly.
	Info *Section

	Sub []*Row // subcommands

	parent *Row
	long   *Row // stands for it where it runs in parts; nil if it does not
	// applied: an Applier runs it; see effect.
	applied bool
	renamed bool // by Rename: Name is not what clients call it
	called  bool // clients of Redis call it by Name: it is no subcommand, not renamed, and has no Front

	notKeys bool   // First, Last and Step name shard channels
	reads   bool   // its look-ups are hits and misses of INFO
	full    string // "client|list"
	num     int    // place in the list of all rows, for counters
}

// FullName is the name as COMMAND LIST shows it: "get", "client|list".
func (r *Row) FullName() string { return r.full }

// Num is the row's number in its Table, below Table.Size.
func (r *Row) Num() int { return r.num }

// Parent is the container command of a subcommand.
func (r *Row) Parent() *Row { return r.parent }

// HasKeys tells whether calls of the command have keys among their arguments.
func (r *Row) HasKeys() bool { return (r.First > 0 || r.KeysFn != nil) && !r.notKeys }

// sub finds a subcommand in any case.
func (r *Row) sub(name []byte) *Row {
	for _, s := range r.Sub {
		if EqualFold(name, s.Name) {
			return s
		}
	}
	return nil
}

// KeyPositions appends the positions of the keys in args to dst; false where
// the arguments cannot be right (the function will say why).
func (r *Row) KeyPositions(args [][]byte, dst []int) ([]int, bool) {
	if r.KeysFn != nil {
		return r.KeysFn(args, dst)
	}
	if r.First == 0 || r.notKeys {
		return dst, true
	}
	last := r.Last
	if last < 0 {
		last += len(args)
	}
	dst = slices.Grow(dst, max(0, min(last, len(args)-1)-r.First+r.Step)/r.Step)
	for i := r.First; i <= last && i < len(args); i += r.Step {
		dst = append(dst, i)
	}
	return dst, true
}

// ArityOK tells whether the number of arguments fits.
func (r *Row) ArityOK(n int) bool {
	if r.Arity < 0 {
		return n >= -r.Arity
	}
	return n == r.Arity
}

// KeysAfterCount is a KeysFn for commands whose argument at pos says how many
// keys follow it.
func KeysAfterCount(pos int) func(args [][]byte, dst []int) ([]int, bool) {
	return func(args [][]byte, dst []int) ([]int, bool) {
		if pos >= len(args) {
			return dst, false
		}
		n, ok := ParseInt(args[pos])
		if !ok || n < 1 || n > int64(len(args)-pos-1) {
			return dst, false
		}
		for i := range int(n) {
			dst = append(dst, pos+1+i)
		}
		return dst, true
	}
}

// EqualFold compares an argument with a lower-case word, ignoring ASCII case.
func EqualFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i := range b {
		c := b[i]
		if c-'A' < 26 {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
