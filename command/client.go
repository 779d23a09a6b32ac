package command

import (
	"net"
	"sync/atomic"
	"time"

	"kvd/acl"
	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/pubsub"
)

// Conn is what a command may want of a client's transport. All methods may be
// called from any goroutine and return at once.
type Conn interface {
	// Kill ends the connection; afterReply lets what was already replied out.
	Kill(afterReply bool)
	// Deliver ends the wait of a parked client: the parts of its reply, at
	// least one, are sent, and its input is read again.
	Deliver(parts ...[]byte)
	// Push sends bytes between two commands, not inside a reply, and not before
	// the reply to a command that has run, but before the reply to one that is
	// sent from now on. Several pushes keep their order. b must not change
	// afterwards. See push.go for its form.
	Push(b []byte)
	// Hijack takes the connection away from the front end: once what was replied
	// so far is handed to the system, take gets the socket, in blocking use, and
	// the input that no command has used up. The client stays registered until
	// the new owner calls DropClient, and Kill closes the socket. It is called
	// by a command of this client, which then replies nothing and is Parked.
	Hijack(take func(nc net.Conn, rest []byte))
}

// ReplyMode is CLIENT REPLY's state.
type ReplyMode uint8

// The reply modes.
const (
	ReplyOn ReplyMode = iota
	ReplyOff
	ReplySkipNext // the next command's reply is left out
	ReplySkip     // this command's reply is left out
)

// Client is a connection as the commands see it.
//
// The plain fields belong to the goroutine that runs the client's commands.
// What other clients read (CLIENT LIST, CLIENT KILL) is atomic or fixed.
type Client struct {
	ID      int64
	Addr    string // peer
	LAddr   string // our end
	Unix    bool
	FD      int
	Created time.Time
	Conn    Conn

	db      atomic.Int32
	name    atomic.Pointer[string]
	libName atomic.Pointer[string]
	libVer  atomic.Pointer[string]
	lastCmd atomic.Pointer[Row]
	proto   atomic.Int32 // 2 or 3
	active  atomic.Int64 // Unix ms of the last command, or bytes of one or of a reply
	state   atomic.Uint32

	queued, queuedMem atomic.Int64 // commands queued since MULTI, and their bytes
	prefixMem         atomic.Int64 // bytes of the prefixes of CLIENT TRACKING

	// What CLIENT LIST shows of the buffers, in bytes; the transport keeps it.
	QueryLen, QueryFree, OutLen, OutMem atomic.Int64

	// Working: the client is parked because a worker makes its reply. Pushes wait
	// for that reply, which may be older than they. The transport ends it.
	Working bool

	// written is the offset of the stream behind the client's last change, and
	// logged that of the append-only log, as WAIT and WAITAOF want them.
	written  atomic.Int64
	logged   atomic.Int64
	replconf *replconf      // nil mostly
	monitor  *monitorFilter // nil: all; fixed before it monitors

	// What the connection has brought and taken in all. Parsed are the commands that
	// were read, in so many batches.
	netIn, netOut, reads, commands, parsed, batches atomic.Int64
	// Loop is the number of the event loop that the connection belongs to, from 1 on;
	// 0: it has none.
	Loop int

	front string // the protocol that it speaks, "" for Redis's; fixed before others know it
	// FrontState is what commands of that protocol keep of their client. Its session sets
	// it; only the command that runs for the client touches it.
	FrontState any

	applies bool // belongs to an Applier
	streams bool // to one of a leader's stream
	Authed  bool
	// user is the client's user, and limits is the same if there is anything that this user
	// may not do. Both are nil where rights are not asked for: in an Applier, and for the
	// link to the leader. They are written with rights.mu locked.
	user, limits atomic.Pointer[acl.User]
	Reply        ReplyMode
	NoTouch      bool
	redirects    bool // wants to be sent to the leader; see redirected
	readsReplica bool // but not for what only reads
	imports      bool // CLIENT IMPORT-SOURCE

	// Fieldsets are those that HIMPORT has prepared, by name.
	Fieldsets    map[string][][]byte
	fieldsetsMem atomic.Int64 // their bytes

	build *build                // what the client's command comes again for; nil mostly
	made  *madeKeys             // its keys, likewise; see setManyKeys
	multi *multi                // between MULTI and EXEC or DISCARD
	watch atomic.Pointer[watch] // what it watches; nil: nothing. Its own goroutine changes it
	subs  *pubsub.Subscriptions // nil: none; counted in nsub for others
	nsub  pubsub.Counts
	track trackState

	redirect atomic.Int64 // the client that gets this one's invalidations; 0 means itself

	overSoft time.Time    // since when the soft output limit is exceeded; see OverOutputLimit
	counted  atomic.Int64 // memory as counted for maxmemory-clients

	// blocked is set while a blocking command waits; see blocking.go.
	blocked atomic.Pointer[waiter]
}

// Bits of Client.state.
const (
	stateMulti uint32 = 1 << iota
	stateNoEvict
	stateNoTouch
	stateClosing
	stateBlocked
	stateReplica
	stateMaster // the link to the leader
	stateMonitor
	stateWatcher // gets lines about keys; see watchers.go
	statePubSub
	stateTracking
	stateBroadcast // tracks prefixes instead of what it reads
	stateNoLoop    // is not told of what it changes itself
	stateBrokenRedirect
	stateRedirects    // CLIENT CAPA redirect
	stateReadsReplica // READONLY
	stateImports
)

func (c *Client) set(bit uint32, on bool) {
	for {
		old := c.state.Load()
		v := old &^ bit
		if on {
			v = old | bit
		}
		if v == old || c.state.CompareAndSwap(old, v) {
			return
		}
	}
}

// Received notes a read of n bytes.
func (c *Client) Received(n int) {
	c.netIn.Add(int64(n))
	c.reads.Add(1)
}

// Sent notes that n bytes were handed to the system.
func (c *Client) Sent(n int) { c.netOut.Add(int64(n)) }

// Ran notes that so many commands were read together, and how many of them were run.
func (c *Client) Ran(parsed, run int) {
	c.parsed.Add(int64(parsed))
	c.batches.Add(1)
	c.commands.Add(int64(run))
}

// SetFieldsets says what HIMPORT has prepared, which takes so many bytes.
func (c *Client) SetFieldsets(sets map[string][][]byte, bytes int64) {
	c.Fieldsets = sets
	c.fieldsetsMem.Store(bytes)
}

// FieldsetsMem is what they take, in bytes.
func (c *Client) FieldsetsMem() int64 { return c.fieldsetsMem.Load() }

// Heard notes that bytes came from the client, or were taken by it, at now.
func (c *Client) Heard(now time.Time) { c.active.Store(now.UnixMilli()) }

// Monitors tells whether the client is a MONITOR.
func (c *Client) Monitors() bool { return c.has(stateMonitor) }

func (c *Client) has(bit uint32) bool { return c.state.Load()&bit != 0 }

// Name is what CLIENT SETNAME has called the client.
func (c *Client) Name() string { return loadString(&c.name) }

// DB is the selected database.
func (c *Client) DB() int { return int(c.db.Load()) }

// Closing tells whether the client is being closed by the server.
func (c *Client) Closing() bool { return c.has(stateClosing) }

// Proto is the protocol version, 2 or 3.
func (c *Client) Proto() int { return int(c.proto.Load()) }

// SetProto chooses the protocol of the replies that follow, 2 or 3.
func (c *Client) SetProto(version int) { c.proto.Store(int32(version)) }

func loadString(p *atomic.Pointer[string]) string {
	if s := p.Load(); s != nil {
		return *s
	}
	return ""
}

// clients is the register of connections.
type clients struct {
	mu   lockrank.Mutex[lockrank.Clients] // protects all; held for map operations only
	all  map[int64]*Client
	next atomic.Int64
}

func (l *clients) add(c *Client) {
	l.mu.Lock()
	l.all[c.ID] = c
	l.mu.Unlock()
}

func (l *clients) remove(c *Client) {
	l.mu.Lock()
	delete(l.all, c.ID)
	l.mu.Unlock()
}

func (l *clients) get(id int64) *Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[id]
}

// list is every client, in no order.
func (l *clients) list() []*Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*Client, 0, len(l.all))
	for _, c := range l.all {
		out = append(out, c)
	}
	return out
}

func (l *clients) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// multi is an open transaction. Its memory is its own, and is used again for
// the next one: queueing a command mostly allocates nothing.
type multi struct {
	rows      []*Row
	flags     []Flag             // of each call
	cmds      []queued           // by rows
	buf       []byte             // all arguments, one behind the other
	ends      []int              // where in buf each ends
	keys      []keyspace.Key     // the declared keys of all
	keyArgs   []int              // which argument each is
	args      [][]byte           // see settle
	long      []longArg          // arguments with memory of their own; they are empty in buf
	longMem   int                // their bytes
	scripts   map[string]*script // of its EVALs, by SHA1, that were not known
	scriptMem int                // about what they take, in bytes
	aborted   bool               // an error while queueing
	waits     bool               // a command among them waits for another server
}

// longArg is an argument of a transaction by its place among all of them.
type longArg struct {
	at int
	b  []byte
}

// queued says how far the arguments and keys of a command reach in multi.
type queued struct{ args, keys int }

// Filter is what CLIENT REPLY leaves of a reply that comes after a wait.
func (c *Client) Filter(reply []byte) []byte {
	if len(reply) == 0 {
		return nil // a paused command that has not run yet
	}
	switch c.Reply {
	case ReplyOff:
		return nil
	case ReplySkip:
		c.Reply = ReplyOn
		return nil
	}
	return reply
}

// Tracks tells whether the client tracks keys, so that it may be told of changes.
func (c *Client) Tracks() bool { return c.has(stateTracking) }
