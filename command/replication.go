package command

import (
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"kvd/lockrank"
	"kvd/resp/wire"
)

// The leading end of replication: PSYNC, REPLCONF, ROLE, SYNC, WAIT, WAITAOF;
// and min-replicas-to-write. REPLICAOF and its kin are in replicaof.go.

func replicationRows() []*Row {
	const link = Admin | NoScript | NoAsyncLoading | NoMulti
	return []*Row{
		{Name: "psync", Fn: cmdPsync, Arity: -3, Flags: link, Since: "2.8.0", Group: "server",
			Summary: "Makes this connection a replica's, from a byte of the stream on if possible (internal).", Complexity: "O(N) in the number of keys", Syntax: "replicationid offset"},
		{Name: "replconf", Fn: cmdReplconf, Arity: -1, Flags: Admin | NoScript | Loading | Stale | AllowBusy, Since: "3.0.0", Group: "server",
			Summary: "Says what a replica can do, and how far it is (internal).", Complexity: "O(1)"},
		{Name: "role", Fn: cmdRole, Arity: 1, Flags: NoScript | Loading | Stale | Fast, Since: "2.8.12", Group: "server", Categories: "admin dangerous",
			Summary: "Returns the server's part in replication.", Complexity: "O(1)"},
		{Name: "sync", Fn: cmdSync, Arity: 1, Flags: link, Since: "1.0.0", Group: "server",
			Summary: "Makes this connection a replica's (internal).", Complexity: "O(N) in the number of keys"},
		{Name: "wait", Fn: cmdWait, Arity: 3, Flags: NoScript, Since: "3.0.0", Group: "generic", Categories: "connection -keyspace",
			Summary: "Waits until replicas have this connection's writes.", Complexity: "O(1)", Syntax: "numreplicas timeout",
			Tips: "request_policy:all_shards response_policy:agg_min"},
		{Name: "waitaof", Fn: cmdWaitAOF, Arity: 4, Flags: NoScript, Since: "7.2.0", Group: "generic", Categories: "connection",
			Summary: "Waits until this connection's writes are on the disks of this server and of replicas.", Complexity: "O(1)", Syntax: "numlocal numreplicas timeout",
			Tips: "request_policy:all_shards response_policy:agg_min"},
	}
}

// SyncRequest is a connection that wants to follow, and what it has said of
// itself; see replica.Peer.
type SyncRequest struct {
	ID      int64
	Addr    string
	IP      string
	Port    int
	EOF     bool
	PSYNC2  bool
	RDBOnly bool
	NoData  bool
	Old     bool
	ReplID  string
	From    int64

	Lag    func(bytes int64)
	Heard  func()
	Gone   func()
	Killed func() bool
	Name   func(args [][]byte) (name string, data bool)
}

// Replication is what commands want of the end of replication that leads; see
// Following for the other end. All methods return at once and may be called with
// stripes locked, but for Serve.
type Replication interface {
	// Serve makes a connection a follower's and returns when it has ended.
	Serve(r SyncRequest, nc net.Conn, rest []byte)
	// Kill ends a client's link, at once, if it is a follower's.
	Kill(id int64)
	// BeginTurn tells that an event loop begins to run commands; where it returns
	// true, EndTurn must follow, which sends what they have put into the stream.
	BeginTurn() bool
	EndTurn()
	// Distrust says that the contents have changed and the stream was not told: the
	// followers are dropped, and need a full synchronization.
	Distrust()
	// ID is the name of the history.
	ID() string
	// Offset is the number of the stream's last byte.
	Offset() int64
	// AckedBy is how many followers have acknowledged the bytes up to offset, and
	// SyncedBy how many have them in a log on their disk.
	AckedBy(offset int64) int
	SyncedBy(offset int64) int
	// Behind describes the followers in the stream that have not acknowledged the
	// bytes up to offset; all is how many are in the stream.
	Behind(offset int64) (lagging []string, all int)
	// RequestAcks asks the followers how far they are.
	RequestAcks()
	// Hush has the leader put nothing of its own into the stream (PING) while on; it
	// is counted.
	Hush(on bool)
	// Good is how many followers were heard of within min-replicas-max-lag.
	Good() int
	// Followers is how many there are in any state; EachOnline visits those in
	// the stream.
	Followers() int
	EachOnline(f func(addr string, port int, acked int64))
	// Info reports the fields of INFO replication that are about leading; failover
	// is the state of one.
	Info(field func(name string, value any), failover string)
	// Counters are full and partial synchronizations, and refused partial ones.
	Counters() (full, partial, refused int64)
	// Memory is what the backlog takes, in bytes: its own, with what is held for
	// slow followers, and in a file.
	Memory() (backlog, total, file int64)
	// ChangeID gives the history a name that nobody knows (DEBUG CHANGE-REPL-ID).
	ChangeID()
}

// replication is the server's state of it.
type replication struct {
	Replication
	on bool // SetReplication was called

	in, out atomic.Int64 // bytes of the stream: from the leader, and to followers

	waiting atomic.Int32                             // clients in acks
	polled  atomic.Bool                              // pollAcks runs
	mu      lockrank.Mutex[lockrank.ReplicationAcks] // protects acks; held over no other lock
	acks    []ackWait
}

// ackWait is a client in WAIT or WAITAOF.
type ackWait struct {
	wt    *waiter
	ready func() bool
	reply func(w *wire.Writer)
	// never, if not nil, says why what is waited for can not come any more; "":
	// it can.
	never func() string
}

// counters are those of INFO; see totals.
func (r *replication) counters() [5]int64 {
	full, partial, refused := r.Counters()
	return [5]int64{r.in.Load(), r.out.Load(), full, partial, refused}
}

// SetReplication is called once, before the first command.
func (s *Server) SetReplication(r Replication) {
	s.replication.Replication = r
	s.replication.on = true
	for _, name := range []string{"min-replicas-to-write", "min-replicas-max-lag"} {
		s.Config.OnChange(name, func() error { s.goodChanged(); return nil })
	}
	s.goodChanged()
}

// BeginTurn and EndTurn are an event loop's frame around the commands of a turn;
// see Replication.
func (s *Server) BeginTurn() bool { return s.replication.BeginTurn() }

// EndTurn see BeginTurn.
func (s *Server) EndTurn() { s.replication.EndTurn() }

// LeadingBytes count what comes from followers and goes to them. Only the stream is
// replication's to INFO, as in Redis; what answers it counts with that of clients.
func (s *Server) LeadingBytes() (in, out *atomic.Int64) { return &s.Stats.NetIn, &s.replication.out }

// FollowingBytes count what comes from the leader and goes to it.
func (s *Server) FollowingBytes() (in, out *atomic.Int64) { return &s.replication.in, &s.Stats.NetOut }

// Acked is called when followers have come, gone or acknowledged something. No
// lock is held.
func (s *Server) Acked() {
	s.goodChanged()
	s.wakeAcks()
}

// goodChanged sets the gate of min-replicas-to-write.
func (s *Server) goodChanged() {
	r := &s.replication
	if !r.on {
		return
	}
	least := s.Config.MinReplicasToWrite.Load()
	s.setGate(gateReplicas, least > 0 && s.Config.MinReplicasMaxLag.Load() > 0 && !s.following.Load() && int64(r.Good()) < least)
}

// wakeAcks answers the waiting clients that have what they wait for.
func (s *Server) wakeAcks() {
	r := &s.replication
	if r.waiting.Load() == 0 {
		return
	}
	for _, a := range r.haveAcks() {
		w := wire.Writer{Proto: a.wt.c.Proto()}
		if text := a.hopeless(); text != "" {
			s.CountError(text)
			w.Error(text)
		} else {
			a.reply(&w)
		}
		a.wt.release(s, w.Buf)
	}
}

func (a *ackWait) hopeless() string {
	if a.never == nil {
		return ""
	}
	return a.never()
}

// haveAcks takes out of acks, and claims, the waiters that have what they wait for, or
// wait in vain.
func (r *replication) haveAcks() (done []ackWait) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := r.acks[:0]
	for _, a := range r.acks {
		switch {
		case a.wt.state.Load() == ended: // timed out, or the connection is gone
		case (a.ready() || a.hopeless() != "") && a.wt.claim():
			done = append(done, a)
		default:
			rest = append(rest, a)
		}
	}
	clear(r.acks[len(rest):])
	r.acks = rest
	r.waiting.Store(int32(len(rest)))
	return done
}

// blockForAcks parks the client until ready says so; reply is written then, or
// when the time is over. never may be nil; see ackWait.
func (c *Ctx) blockForAcks(timeout int64, ready func() bool, reply func(w *wire.Writer), never func() string) {
	s := c.S
	wt := c.park(nil, Wait{Timeout: timeout, TimedOut: reply})
	r := &s.replication
	r.mu.Lock()
	r.acks = append(r.acks, ackWait{wt, ready, reply, never})
	r.waiting.Store(int32(len(r.acks)))
	r.mu.Unlock()
	wt.arm(s)
	s.askAcks()
	s.wakeAcks() // what has come since ready was first asked
}

// askAcks asks the followers how far they are, where somebody waits for that:
// not while writes are paused, when the stream is to stand still, but after that.
// Invariant: a client is counted as waiting before it looks at the pause, and a pause is
// over before its end looks for waiting clients. So one of the two asks.
func (s *Server) askAcks() {
	if r := &s.replication; r.on && r.waiting.Load() > 0 && s.pause.mode.Load() == pauseOff {
		r.RequestAcks()
	}
}

const errWaitOnReplica = "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated."

func cmdWait(c *Ctx) {
	r := &c.S.replication
	if c.S.following.Load() {
		c.Err(errWaitOnReplica)
		return
	}
	want, ok := c.Int(1)
	if !ok {
		return
	}
	timeout, ok := c.waitTimeout(2)
	if !ok {
		return
	}
	offset := c.C.written.Load()
	count := func() int64 { return int64(r.AckedBy(offset)) }
	if n := count(); n >= want || !c.CanBlock() {
		c.W.Int(n)
		return
	}
	c.blockForAcks(timeout, func() bool { return count() >= want }, func(w *wire.Writer) { w.Int(count()) }, nil)
}

// waitTimeout reads a timeout in milliseconds.
func (c *Ctx) waitTimeout(i int) (int64, bool) {
	n, ok := ParseInt(c.Args[i])
	switch {
	case !ok:
		c.Err("ERR timeout is not an integer or out of range")
	case n < 0:
		c.Err("ERR timeout is negative")
	case n > 1<<62-c.Now:
		c.Err("ERR timeout is out of range")
	default:
		return n, true
	}
	return 0, false
}

const errNoLog = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."

// cmdWaitAOF waits for disks: this server's log, and those of its followers.
func cmdWaitAOF(c *Ctx) {
	r := &c.S.replication
	local, ok := c.Int(1)
	if !ok {
		return
	}
	if local < 0 || local > 1 {
		c.Err("ERR value is out of range, value must between 0 and 1")
		return
	}
	want, ok := c.IntMin(2, 0, ErrNotPositive)
	if !ok {
		return
	}
	timeout, ok := c.waitTimeout(3)
	if !ok {
		return
	}
	if c.S.following.Load() {
		c.Err("ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated.")
		return
	}
	if local > 0 && !c.S.Config.AppendOnly.Load() {
		c.Err(errNoLog)
		return
	}
	s, p, offset, logged := c.S, c.S.persist, c.C.written.Load(), c.C.logged.Load()
	mine := func() (n int64) {
		if s.Config.AppendOnly.Load() && p.Fsynced() >= logged {
			n = 1
		}
		return
	}
	others := func() int64 { return int64(r.SyncedBy(offset)) }
	ready := func() bool { return mine() >= local && others() >= want }
	reply := func(w *wire.Writer) {
		w.Array(2)
		w.Int(mine())
		w.Int(others())
	}
	if ready() || !c.CanBlock() {
		reply(c.W)
		return
	}
	c.blockForAcks(timeout, ready, reply, func() string {
		if local > 0 && !s.Config.AppendOnly.Load() {
			return errNoLog
		}
		return ""
	})
	if local > 0 {
		p.Kick()
		c.S.pollAcks()
	}
}

// pollAcks looks again and again whether the waiting clients have what they wait for,
// until none waits: a log says nothing when it has been synced.
func (s *Server) pollAcks() {
	r := &s.replication
	if !r.polled.CompareAndSwap(false, true) {
		return
	}
	go func() {
		for r.waiting.Load() > 0 {
			time.Sleep(pollAcksEvery)
			s.wakeAcks()
		}
		r.polled.Store(false)
		if r.waiting.Load() > 0 { // somebody came in between
			s.pollAcks()
		}
	}()
}

const pollAcksEvery = 5 * time.Millisecond

// replconf is what a client has said with REPLCONF; it belongs to the goroutine
// that runs its commands.
type replconf struct {
	ip           string
	port         int
	eof, psync2  bool
	rdbOnly      bool
	filtered     bool // rdb-filter-only was given: no keys
	versionGiven string
}

func cmdReplconf(c *Ctx) {
	if len(c.Args)%2 == 0 {
		c.Err(ErrSyntax)
		return
	}
	r := c.C.replconf
	if r == nil {
		r = &replconf{}
		c.C.replconf = r
	}
	for i := 1; i < len(c.Args); i += 2 {
		v := c.Args[i+1]
		switch {
		case c.Word(i, "listening-port"):
			n, ok := c.Int(i + 1)
			if !ok {
				return
			}
			r.port = int(n)
		case c.Word(i, "ip-address"):
			if len(v) >= 256 {
				c.Err("ERR REPLCONF ip-address provided by replica instance is too long: " + strconv.Itoa(len(v)) + " bytes")
				return
			}
			r.ip = string(v)
		case c.Word(i, "capa"): // others are not known here
			r.eof = r.eof || c.Word(i+1, "eof")
			r.psync2 = r.psync2 || c.Word(i+1, "psync2")
		case c.Word(i, "ack"), c.Word(i, "fack"):
			return // this connection follows nobody; there is no reply in any case
		case c.Word(i, "getack"):
			return // a leader's, which comes by the stream
		case c.Word(i, "rdb-only"):
			n, ok := c.Int(i + 1)
			if !ok {
				return
			}
			if n < 0 || n > 1 {
				c.Err("ERR value is out of range, value must between 0 and 1")
				return
			}
			r.rdbOnly = n == 1
		case c.Word(i, "rdb-filter-only"):
			for _, f := range strings.Fields(string(v)) {
				if !strings.EqualFold(f, "functions") {
					c.Err("ERR Unsupported rdb-filter-only option: " + Quote([]byte(f)))
					return
				}
			}
			r.filtered = true
		case c.Word(i, "version"):
			r.versionGiven = string(v)
		default:
			c.Err("ERR Unrecognized REPLCONF option: " + Quote(c.Args[i]))
			return
		}
	}
	c.W.OK()
}

func cmdSync(c *Ctx) { c.follow(SyncRequest{Old: true}) }

func cmdPsync(c *Ctx) {
	from, ok := ParseInt(c.Args[2])
	if !ok {
		c.S.Log.Warningf("Replica %s asks for synchronization but with a wrong offset", c.C.Addr)
		c.Err(ErrNotInt)
		return
	}
	q := SyncRequest{ReplID: string(c.Args[1]), From: from}
	if len(c.Args) < 4 || !c.Word(3, "failover") {
		c.follow(q)
		return
	}
	s, who := c.S, strings.TrimSuffix(string(c.appendClient(nil, c.C)), "\n")
	c.handOver(q, func() error { return s.promote(q.ReplID, s.replication.ID(), who) })
}

// follow makes the connection a follower's.
func (c *Ctx) follow(q SyncRequest) {
	if f := c.S.followerEnd; f != nil {
		switch {
		case f.FailoverState() != NoFailover:
			c.Err("NOMASTERLINK Can't SYNC while failing over")
			return
		case c.S.following.Load() && !f.Up():
			c.Err("NOMASTERLINK Can't SYNC while not connected with my master")
			return
		}
	}
	c.handOver(q, nil)
}

// handOver hands the connection over to the leading end, after first, which may
// wait. An error of it is the reply, and the end of the connection.
func (c *Ctx) handOver(q SyncRequest, first func() error) {
	r, cl, s := &c.S.replication, c.C, c.S
	if !r.on || cl.Conn == nil {
		c.Err("ERR this server does not replicate")
		return
	}
	q.ID, q.Addr = cl.ID, cl.Addr
	if p := cl.replconf; p != nil {
		q.IP, q.Port, q.EOF, q.PSYNC2, q.RDBOnly, q.NoData = p.ip, p.port, p.eof, p.psync2, p.rdbOnly, p.filtered
	}
	if q.NoData && !q.EOF {
		c.Err("ERR Filtered replica requires EOF capability")
		return
	}
	q.Lag = cl.OutMem.Store
	q.Heard = func() { cl.active.Store(time.Now().UnixMilli()) }
	q.Gone = func() { s.DropClient(cl) }
	q.Killed = cl.Closing
	q.Name = c.S.commandName
	cl.set(stateReplica, true)
	cl.Conn.Hijack(func(nc net.Conn, rest []byte) {
		if first != nil {
			if err := first(); err != nil {
				_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
				_, _ = nc.Write([]byte("-" + err.Error() + "\r\n"))
				nc.Close()
				q.Gone()
				return
			}
		}
		r.Serve(q, nc, rest)
	})
	c.outcome = Parked
}

// commandName is the full name of a command, and whether it is one about keys.
func (s *Server) commandName(args [][]byte) (name string, data bool) {
	row := s.Table.Lookup(args[0])
	if row == nil {
		return Quote(args[0]), false
	}
	if len(args) > 1 {
		if sub := row.sub(args[1]); sub != nil {
			row = sub
		}
	}
	return row.full, row.Flags&(Write|ReadOnly) != 0
}

func cmdRole(c *Ctx) {
	r := &c.S.replication
	if c.roleFollowing(r.Offset()) {
		return
	}
	c.W.Array(3)
	c.W.BulkString("master")
	c.W.Int(r.Offset())
	at, n := c.W.DeferArray(), 0
	r.EachOnline(func(addr string, port int, acked int64) {
		n++
		c.W.Array(3)
		c.W.BulkString(addr)
		c.W.BulkString(strconv.Itoa(port))
		c.W.BulkString(strconv.FormatInt(acked, 10))
	})
	c.W.SetArray(at, n)
}

func (w *InfoWriter) replication() {
	r := &w.s.replication
	if !w.infoFollowing() {
		w.Field("role", "master")
	}
	r.Info(w.Field, w.s.failoverState())
}

// noReplication is for servers that tests drive.
type noReplication struct{}

func (noReplication) Serve(SyncRequest, net.Conn, []byte)             {}
func (noReplication) Kill(int64)                                      {}
func (noReplication) BeginTurn() bool                                 { return false }
func (noReplication) EndTurn()                                        {}
func (noReplication) Distrust()                                       {}
func (noReplication) ID() string                                      { return strings.Repeat("0", 40) }
func (noReplication) Offset() int64                                   { return 0 }
func (noReplication) AckedBy(int64) int                               { return 0 }
func (noReplication) SyncedBy(int64) int                              { return 0 }
func (noReplication) Behind(int64) ([]string, int)                    { return nil, 0 }
func (noReplication) RequestAcks()                                    {}
func (noReplication) Hush(bool)                                       {}
func (noReplication) Good() int                                       { return 0 }
func (noReplication) Followers() int                                  { return 0 }
func (noReplication) EachOnline(func(addr string, port int, n int64)) {}
func (noReplication) Info(func(name string, value any), string)       {}
func (noReplication) Counters() (full, partial, refused int64)        { return }
func (noReplication) Memory() (backlog, total, file int64)            { return }
func (noReplication) ChangeID()                                       {}
