package replica

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"kvd/config"
	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/logf"
	"kvd/persist"
)

// Applier runs commands of a leader's stream; it is used by one goroutine at a
// time.
type Applier interface {
	// Apply runs one command; MULTI and EXEC frame units. An error names the
	// command that could not be applied, and why.
	Apply(args [][]byte) error
	// Reset drops an open MULTI and selects database 0.
	Reset()
	Select(db int)
	DB() int
	InMulti() bool
	// Paused tells whether nothing is to be applied now: the contents stand still
	// for the clients, too.
	Paused() bool
}

// Contents is what a Follower wants of package persist's Log or Saver.
type Contents interface {
	// Verify tells whether a snapshot can be loaded, Replace loads it in place of
	// the contents, and Keep makes a whole snapshot file the one that the next
	// start loads.
	Verify(r io.Reader, name string) error
	Replace(r io.Reader, o persist.Replacement) error
	Keep(path string) error
}

// FollowerOptions wire a Follower to the server.
type FollowerOptions struct {
	Config   *config.Config
	Log      *logf.Logger
	Keyspace *keyspace.Keyspace
	Saver    Contents
	Stream   *Stream
	Applier  Applier
	// In and Out count the bytes that come from the leader and go to it.
	In, Out *atomic.Int64

	// Changed is called when Following or Up have changed, before anything that
	// depends on it happens. No lock is held.
	Changed func()
	// Linked is called with the connection to a leader that is in sync, and what
	// it returns when that ends. kill ends the link; it does not wait.
	Linked func(nc net.Conn, kill func()) (gone func())
	// DropFollowers ends the connections of this server's own followers.
	DropFollowers func()
	// Candidates are this server's own followers. At once.
	Candidates func() []Candidate
	// Logged is how much the own append-only log was given, and Lasts how much of
	// that is on the disk; ok is false where no log is in force. Both are nil
	// without a log. At once.
	Logged func() int64
	Lasts  func() (logged int64, ok bool)
	// TLS makes the connection to a leader one of TLS, or closes it; it is asked
	// where tls-replication is yes. nil: there is no TLS.
	TLS func(nc net.Conn, timeout time.Duration) (net.Conn, error)
	// HoldWrites keeps writes waiting while on. At once.
	HoldWrites func(on bool)
}

// State of a link, as ROLE calls it.
type State string

// The states.
const (
	StateConnect    State = "connect" // not connected, will be soon
	StateConnecting State = "connecting"
	StateHandshake  State = "handshake"
	StateSync       State = "sync" // a snapshot is on its way, or being loaded
	StateConnected  State = "connected"
)

// Follower has the server follow a leader, or none.
type Follower struct {
	FollowerOptions

	// switching is held for the length of a change of leaders. Stripes are
	// locked and links waited for under it.
	switching lockrank.Mutex[lockrank.ReplicaSwitching]

	// mu protects what follows. Nobody waits for anything while holding it: INFO
	// asks inside EXEC, with all stripes locked.
	mu        lockrank.Mutex[lockrank.ReplicaFollower]
	leader    config.Address // none: Host is empty
	link      *link          // nil while there is no leader, and before the first Follow
	downSince time.Time      // when the last link that was in sync broke; zero: none was
	handOver  *handOver      // a FAILOVER on its way
	tries     tries

	durable durable // what of the stream is in the own log on the disk

	// stale: the contents are not those that the stream says, so that a link may
	// only begin with a full synchronization.
	stale atomic.Bool
}

// NewFollower makes a Follower. Where the configuration names a leader it is a
// follower's from the beginning, so that nothing expires or is written while the
// data is loaded; Follow begins the link. No stripe is locked, and nobody else
// uses the Stream yet.
func NewFollower(o FollowerOptions) *Follower {
	f := &Follower{FollowerOptions: o}
	f.durable.reset()
	if f.leader = o.Config.ReplicaOf.Load(); f.leader.Host != "" {
		o.Stream.Follow()
		o.Log.SetRole(logf.RoleReplica)
	}
	return f
}

// Hold keeps the leader's stream from being applied until release is called;
// see persist.Options.Hold. No stripe is locked.
func (f *Follower) Hold() (release func()) {
	f.Stream.Instant.Lock()
	return f.Stream.Instant.Unlock
}

// Following is the leader's address; ok is false where there is none.
func (f *Follower) Following() (host string, port int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.leader.Host, f.leader.Port, f.leader.Host != ""
}

// Up tells whether the link to the leader is in sync.
func (f *Follower) Up() bool { return f.State() == StateConnected }

// State is the state of the link.
func (f *Follower) State() State {
	if l := f.current(); l != nil {
		return l.State()
	}
	return StateConnect
}

func (f *Follower) current() *link {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.link
}

// SelectStreamDB says which database the stream that was loaded goes on with.
// It is called before the first Follow.
func (f *Follower) SelectStreamDB(db int) { f.Applier.Select(db) }

// Role is State, for ROLE.
func (f *Follower) Role() string { return string(f.State()) }

// Follow has the server follow the leader at host and port. It waits for the
// end of the link before. No stripe is locked.
func (f *Follower) Follow(host string, port int) { f.follow(host, port, nil) }

// follow is Follow. takeOver, if not nil, asks the leader, a follower of this
// server, to lead from now on, and is called with its answer.
func (f *Follower) follow(host string, port int, takeOver func(error)) {
	f.switching.Lock()
	defer f.switching.Unlock()
	f.endLink()
	ctx, cancel := context.WithCancel(context.Background())
	l := &link{Follower: f, address: net.JoinHostPort(host, strconv.Itoa(port)), ctx: ctx, cancel: cancel, done: make(chan struct{}), takeOver: takeOver, asked: make(chan int64, 1)}
	l.state.Store(string(StateConnect))
	f.mu.Lock()
	led := f.leader.Host == ""
	f.leader = config.Address{Host: host, Port: port}
	f.link = l
	if led {
		f.downSince, f.tries = time.Time{}, tries{}
	}
	f.mu.Unlock()
	f.Config.ReplicaOf.Store(config.Address{Host: host, Port: port})
	f.Log.SetRole(logf.RoleReplica)
	f.Changed() // no write is admitted any more
	if led {
		h := f.Keyspace.LockAll()
		f.Stream.Follow()
		f.Keyspace.Unlock(&h)
	}
	f.Log.Noticef("Connecting to MASTER %s:%d", host, port)
	go l.run()
}

// Lead has the server follow nobody any more; false: it did not. See Follow.
func (f *Follower) Lead() bool {
	f.switching.Lock()
	defer f.switching.Unlock()
	if _, _, ok := f.Following(); !ok {
		return false
	}
	f.endLink()
	f.DropFollowers() // they learn the new id when they come back
	h := f.Keyspace.LockAll()
	if f.stale.Swap(false) {
		// The contents are not those of any point of the history.
		f.Stream.ChangeID()
		f.Stream.Promote()
		f.Stream.ForgetSecond()
	} else {
		f.Stream.Promote()
	}
	f.Keyspace.Unlock(&h)
	f.mu.Lock()
	f.leader, f.link, f.downSince = config.Address{}, nil, time.Time{}
	f.mu.Unlock()
	f.Config.ReplicaOf.Store(config.Address{})
	f.Log.SetRole(logf.RoleMaster)
	f.Changed()
	return true
}

// Close ends the link; the server goes on to be a follower.
func (f *Follower) Close() {
	f.switching.Lock()
	defer f.switching.Unlock()
	f.endLink()
}

// endLink ends the present link, if there is one, and waits for it.
func (f *Follower) endLink() {
	if l := f.current(); l != nil {
		l.stop()
		<-l.done
		f.dropOpen()
	}
}

// dropOpen forgets what a MULTI has brought whose EXEC did not come: it was not
// applied, nor counted, and comes again.
func (f *Follower) dropOpen() {
	db := f.Applier.DB()
	f.Applier.Reset()
	f.Applier.Select(db)
}

// Info reports the fields of INFO that only a follower has, up to those of its
// configuration. Stripes may be locked.
func (f *Follower) Info(field func(name string, value any)) {
	f.mu.Lock()
	leader, l, down, tries := f.leader, f.link, f.downSince, f.tries
	f.mu.Unlock()
	if leader.Host == "" {
		return
	}
	if l == nil { // it begins when the data is loaded
		l = &link{}
		l.state.Store(string(StateConnect))
	}
	ago := func(unix int64) int64 {
		if unix == 0 {
			return -1
		}
		return max(0, time.Now().Unix()-unix)
	}
	field("master_host", leader.Host)
	field("master_port", leader.Port)
	state := l.State()
	up := state == StateConnected
	field("master_link_status", map[bool]string{true: "up", false: "down"}[up])
	io := int64(-1)
	if up {
		io = ago(l.lastIO.Load())
	}
	field("master_last_io_seconds_ago", io)
	syncing := state == StateSync
	field("master_sync_in_progress", syncing)
	_, _, offset, _ := f.Stream.IDs()
	field("slave_read_repl_offset", l.readOffset(offset))
	field("slave_repl_offset", offset)
	if syncing {
		total, read := l.total.Load(), l.read.Load()
		left, perc := int64(0), 0.0
		if total > 0 {
			left, perc = total-read, float64(read)/float64(total)*100
		}
		field("master_sync_total_bytes", total)
		field("master_sync_read_bytes", read)
		field("master_sync_left_bytes", left)
		field("master_sync_perc", strconv.FormatFloat(perc, 'f', 2, 64))
		field("master_sync_last_io_seconds_ago", ago(l.lastIO.Load()))
	}
	if !up {
		since := int64(-1)
		if !down.IsZero() {
			since = int64(time.Since(down) / time.Second)
		}
		field("master_link_down_since_seconds", since)
	}
	field("master_current_sync_attempts", tries.current)
	field("master_total_sync_attempts", tries.total)
	off := tries.off
	if up {
		field("master_link_up_since_seconds", int64(time.Since(tries.upSince)/time.Second))
	} else if !tries.offSince.IsZero() {
		off += time.Since(tries.offSince)
	}
	field("total_disconnect_time_sec", int64(off/time.Second))
}

// tries are how often, and how long, a leader has been out of reach since the server
// follows one.
type tries struct {
	current, total    int64 // connections that were tried: since the last one broke, and all
	upSince, offSince time.Time
	off               time.Duration // without those since offSince
}

// note notes that the state of the link changes.
func (t *tries) note(was, is State, now time.Time) {
	switch {
	case is == StateConnecting:
		t.current++
		t.total++
	case is == StateConnected:
		t.upSince = now
		if !t.offSince.IsZero() {
			t.off += now.Sub(t.offSince)
			t.offSince = time.Time{}
		}
	}
	if was == StateConnected && is != StateConnected {
		t.offSince = now
		t.current = 0
		if is == StateConnecting {
			t.current = 1
		}
	}
}
