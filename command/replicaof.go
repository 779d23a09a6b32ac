package command

import (
	"errors"
	"net"
	"strings"

	"kvd/config"
	"kvd/resp/wire"
)

// REPLICAOF, SLAVEOF, FAILOVER; and what it means for other commands that the
// server follows a leader.

func replicaofRows() []*Row {
	const flags = Admin | NoScript | Stale | NoAsyncLoading
	return []*Row{
		{Name: "replicaof", Fn: cmdReplicaOf, Arity: 3, Flags: flags, Since: "5.0.0", Group: "server",
			Summary: "Makes the server a replica of another one, or (NO ONE) a master.", Complexity: "O(1)", Syntax: "<host port | NO ONE>"},
		{Name: "slaveof", Fn: cmdReplicaOf, Arity: 3, Flags: flags, Since: "1.0.0", Group: "server",
			Summary: "Makes the server a replica of another one, or (NO ONE) a master.", Complexity: "O(1)", Syntax: "<host port | NO ONE>"},
		{Name: "failover", Fn: cmdFailover, Arity: -1, Flags: Admin | NoScript | Stale, Since: "6.2.0", Group: "server",
			Summary: "Hands the role of the master over to one of its replicas.", Complexity: "O(1)",
			Syntax: "[TO <host port> [FORCE]] [ABORT] [TIMEOUT milliseconds]"},
	}
}

// Following is what commands want of the end of replication that follows.
// What says "at once" may be called with stripes locked; the others wait.
type Following interface {
	// Follow has the server follow a leader from now on, Lead follow nobody;
	// false: it did not follow.
	Follow(host string, port int)
	Lead() bool
	// Following is the leader's address, Up tells whether the link to it is in
	// sync, and Role is its state as ROLE calls it; at once.
	Following() (host string, port int, ok bool)
	Up() bool
	Role() string
	// Info reports the fields of INFO about the link; at once.
	Info(field func(name string, value any))
	// Failover hands over to a follower, and AbortFailover does not any more: an
	// error's text is the reply. FailoverState is what INFO shows; at once.
	Failover(host string, port int, force bool, timeoutMs int64) error
	AbortFailover() error
	FailoverState() string
}

// SetFollowing is called once, before the first command.
func (s *Server) SetFollowing(f Following) {
	s.followerEnd = f
	for _, name := range []string{"replica-read-only", "replica-serve-stale-data"} {
		s.Config.OnChange(name, func() error {
			s.followMu.Lock()
			defer s.followMu.Unlock()
			s.followingGates()
			return nil
		})
	}
	s.FollowingChanged()
}

// FollowingChanged is called when Following or Up have changed. No lock is held.
func (s *Server) FollowingChanged() {
	s.followMu.Lock()
	follows := s.followingGates()
	began := !s.following.Swap(follows) && follows
	if !follows {
		s.kept.Store(false)
	}
	s.pause.mu.Lock()
	s.updateExpiry()
	s.pause.mu.Unlock()
	s.followMu.Unlock() // an EXEC that sets a directive waits for it with its stripes locked
	if began {
		// A command that got its locks before the gate was shut may be about to
		// block its client: it is over when all stripes were locked once. Later
		// ones look at the gate under their locks.
		h := s.Keyspace.LockAll()
		// Nor are the keys of such a command the server's own: they go when the
		// leader's contents come, and a key of that name is the leader's then.
		s.own.clear()
		s.Keyspace.Unlock(&h)
		s.unblockAll()
	}
}

// followingGates sets the gates of a follower, and tells whether there is a leader to follow. followMu is locked.
func (s *Server) followingGates() (follows bool) {
	_, _, follows = s.followerEnd.Following()
	s.setGate(gateReadOnly, follows && s.Config.ReplicaReadOnly.Load())
	s.setGate(gateStale, follows && !s.followerEnd.Up() && !s.Config.ReplicaServeStaleData.Load())
	return follows
}

// NotReady is why clients are better sent elsewhere now, "" if they are not: the data is
// being loaded, or comes from a leader for the first time or anew, or the leader is not
// there and what this server has is not to be read then.
func (s *Server) NotReady() string {
	gate := s.gate.Load()
	switch {
	case gate&gateLoading != 0:
		return "the data is being loaded"
	case gate&gateStale != 0:
		return "the link to the leader is down, and replica-serve-stale-data is no"
	case !s.following.Load() || s.followerEnd.Up():
		return ""
	}
	had, syncing := s.kept.Load() && !s.empty(), false
	s.followerEnd.Info(func(name string, value any) {
		switch name {
		case "master_sync_in_progress":
			syncing, _ = value.(bool)
		case "master_link_down_since_seconds":
			n, _ := value.(int64)
			had = had || n >= 0
		}
	})
	if !had || syncing {
		return "the leader's data has not come yet"
	}
	return ""
}

// KeepsData says that the server has loaded contents of its own at its start, which it
// serves while it follows and its leader is away.
func (s *Server) KeepsData() { s.kept.Store(s.following.Load()) }

// empty tells whether there is no key, as after a synchronization that has failed.
func (s *Server) empty() bool {
	for db := range s.Keyspace.Databases() {
		if n, _ := s.Keyspace.Size(db, false); n > 0 {
			return false
		}
	}
	return true
}

// unblockAll ends the waits of all clients in blocking commands, and their
// connections: what they wait for will not come to a follower.
func (s *Server) unblockAll() {
	for _, c := range s.clients.list() {
		wt := c.blocked.Load()
		if wt == nil || !wt.claim() {
			continue
		}
		s.leave(wt)
		w := wire.Writer{Proto: c.Proto()}
		w.Error("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)")
		wt.release(s, w.Buf)
		c.Conn.Kill(true)
	}
}

// LinkUp registers the connection to the leader, as CLIENT LIST shows it; the
// caller drops it with DropClient.
func (s *Server) LinkUp(nc net.Conn, kill func()) *Client {
	c := s.NewClient(linkConn{kill}, nc.RemoteAddr().String(), nc.LocalAddr().String(), -1)
	s.unbind(c)
	c.set(stateMaster, true)
	return c
}

// Leader tells whether the connection is the link to the leader.
func (c *Client) Leader() bool { return c.has(stateMaster) }

// linkConn is the connection to the leader: no command comes from it this way,
// so nothing is parked or replied.
type linkConn struct{ kill func() }

func (l linkConn) Kill(bool)                           { l.kill() }
func (linkConn) Deliver(...[]byte)                     {}
func (linkConn) Push([]byte)                           {}
func (linkConn) Hijack(func(nc net.Conn, rest []byte)) {}

func cmdReplicaOf(c *Ctx) {
	f := c.S.followerEnd
	switch {
	case f == nil:
		c.Err("ERR this server has no replication")
		return
	case f.FailoverState() != NoFailover:
		c.Err("ERR REPLICAOF not allowed while failing over.")
		return
	}
	who := strings.TrimSuffix(string(c.appendClient(nil, c.C)), "\n")
	log := c.S.Log
	if c.Word(1, "no") && c.Word(2, "one") {
		// At once: Sentinel has CONFIG REWRITE follow in the same transaction.
		c.S.Config.ReplicaOf.Store(config.Address{})
		c.After(func() {
			if f.Lead() {
				log.Noticef("MASTER MODE enabled (user request from '%s')", who)
			}
		})
		c.W.OK()
		return
	}
	if c.C.has(stateReplica) {
		c.Err("ERR Command is not valid when client is a replica.")
		return
	}
	port, ok := ParseInt(c.Args[2])
	if !ok || port < 0 || port > 65535 {
		c.Err("ERR Invalid master port")
		return
	}
	host := string(c.Args[1])
	if h, p, ok := f.Following(); ok && strings.EqualFold(h, host) && int64(p) == port {
		log.Noticef("REPLICAOF would result into synchronization with the master we are already connected with. No operation performed.")
		c.W.SimpleString("OK Already connected to specified master")
		return
	}
	c.S.Config.ReplicaOf.Store(config.Address{Host: host, Port: int(port)})
	c.After(func() {
		f.Follow(host, int(port))
		log.Noticef("REPLICAOF %s:%d enabled (user request from '%s')", host, port, who)
	})
	c.W.OK()
}

// NoFailover is the state of who is not in the middle of a FAILOVER.
const NoFailover = "no-failover"

func cmdFailover(c *Ctx) {
	f := c.S.followerEnd
	if f == nil {
		c.Err("ERR this server has no replication")
		return
	}
	if len(c.Args) == 2 && c.Word(1, "abort") {
		if f.FailoverState() == NoFailover {
			c.Err("ERR No failover in progress.")
			return
		}
		c.After(func() { _ = f.AbortFailover() }) // it may just have ended by itself
		c.W.OK()
		return
	}
	var host string
	var port, timeout int64
	var force, to bool
	for i := 1; i < len(c.Args); i++ {
		var ok bool
		switch {
		case c.Word(i, "timeout") && i+1 < len(c.Args) && timeout == 0:
			if timeout, ok = c.Int(i + 1); !ok {
				return
			}
			if timeout <= 0 {
				c.Err("ERR FAILOVER timeout must be greater than 0")
				return
			}
			i++
		case c.Word(i, "to") && i+2 < len(c.Args) && !to:
			if port, ok = c.Int(i + 2); !ok {
				return
			}
			host, to = string(c.Args[i+1]), true
			i += 2
		case c.Word(i, "force") && !force:
			force = true
		default:
			c.Err(ErrSyntax)
			return
		}
	}
	if _, _, follows := f.Following(); f.FailoverState() != NoFailover {
		c.Err("ERR FAILOVER already in progress.")
	} else if follows {
		c.Err("ERR FAILOVER is not valid when server is a replica.")
	} else if err := f.Failover(host, int(port), force, timeout); err != nil {
		c.Err("ERR " + err.Error())
	} else {
		c.W.OK()
	}
}

// infoFollowing writes what INFO shows of a server that follows, up to the
// number of its own followers. It returns false if the server does not.
func (w *InfoWriter) infoFollowing() bool {
	f := w.s.followerEnd
	if f == nil {
		return false
	}
	cfg := w.s.Config
	host, port, ok := f.Following()
	switch next := cfg.ReplicaOf.Load(); {
	case next.Host == "":
		return false
	case ok && next == config.Address{Host: host, Port: port}:
		w.Field("role", "slave")
		f.Info(w.Field)
	default: // from the end of this transaction on
		w.Field("role", "slave")
		w.Field("master_host", next.Host)
		w.Field("master_port", next.Port)
		w.Field("master_link_status", "down")
	}
	w.Field("slave_priority", cfg.ReplicaPriority.Load())
	w.Field("slave_read_only", cfg.ReplicaReadOnly.Load())
	w.Field("replica_announced", cfg.ReplicaAnnounced.Load())
	return true
}

// failoverState is INFO's master_failover_state.
func (s *Server) failoverState() string {
	if s.followerEnd == nil {
		return NoFailover
	}
	return s.followerEnd.FailoverState()
}

// roleFollowing is ROLE's reply of a server that follows. It returns false if the server does not.
func (c *Ctx) roleFollowing(offset int64) bool {
	f := c.S.followerEnd
	if f == nil {
		return false
	}
	host, port, ok := f.Following()
	if !ok {
		return false
	}
	c.W.Array(5)
	c.W.BulkString("slave")
	c.W.BulkString(host)
	c.W.Int(int64(port))
	c.W.BulkString(f.Role())
	if !f.Up() {
		offset = -1
	}
	c.W.Int(offset)
	return true
}

// promote answers PSYNC ... FAILOVER: the leader wants this server, its
// follower, to lead in its place. The error's text is the reply. It waits; no
// stripe is locked.
func (s *Server) promote(id, mine, who string) error {
	s.Log.Warningf("Failover request received for replid %s.", id)
	if !s.following.Load() {
		return errors.New("ERR PSYNC FAILOVER can't be sent to a master.")
	}
	if !strings.EqualFold(id, mine) {
		return errors.New("ERR PSYNC FAILOVER replid must match my replid.")
	}
	s.followerEnd.Lead()
	s.Log.Noticef("MASTER MODE enabled (failover request from '%s')", who)
	return nil
}
