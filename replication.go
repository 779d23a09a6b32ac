package kvd

import (
	"net"
	"strconv"

	"kvd/command"
	"kvd/persist"
	"kvd/replica"
	"kvd/secure"
)

// leading is the leading end as the commands see it.
type leading struct{ *replica.Leader }

// Serve makes a connection a follower's.
func (l leading) Serve(r command.SyncRequest, nc net.Conn, rest []byte) {
	l.Leader.Serve(replica.Peer(r), nc, rest)
}

// newLeader wires the end of replication that leads.
func newLeader(srv *command.Server, saver *persist.Saver, stream *replica.Stream) *replica.Leader {
	in, out := srv.LeadingBytes()
	l := replica.NewLeader(replica.Options{
		Stream: stream, Keyspace: srv.Keyspace, Config: srv.Config, Log: srv.Log, Snapshots: saver, Acked: srv.Acked, In: in, Out: out,
	})
	srv.SetReplication(leading{l})
	return l
}

// restore goes on from the history that the loaded file tells of, if it does.
func restore(srv *command.Server, saver *persist.Saver, stream *replica.Stream, follower *replica.Follower) {
	facts := saver.Loaded()
	offset, err := strconv.ParseInt(facts["repl-offset"], 10, 64)
	id := facts["repl-id"]
	h := srv.Keyspace.LockAll()
	defer srv.Keyspace.Unlock(&h)
	switch follows := srv.Config.ReplicaOf.Load().Host != ""; {
	case len(id) != 40 || err != nil || offset < 0:
		stream.Drop()
	case follows:
		stream.Adopt(id, offset)
		db, _ := strconv.Atoi(facts["repl-stream-db"])
		follower.SelectStreamDB(min(max(db, 0), srv.Keyspace.Databases()-1))
	default:
		stream.Restore(id, offset)
	}
}

// newFollower wires the end of replication that follows; role is called when that may
// have changed.
func newFollower(role func(), srv *command.Server, tls *secure.Source, log *persist.Log, stream *replica.Stream, leader *replica.Leader) *replica.Follower {
	in, out := srv.FollowingBytes()
	f := replica.NewFollower(replica.FollowerOptions{
		In: in, Out: out,
		Config: srv.Config, Log: srv.Log, Keyspace: srv.Keyspace, Saver: log, Stream: stream, Applier: srv.NewStreamApplier(),
		Logged: log.Appended, Lasts: log.Lasting,
		Changed: func() { srv.FollowingChanged(); role() },
		Linked: func(nc net.Conn, kill func()) func() {
			c := srv.LinkUp(nc, kill)
			return func() { srv.DropClient(c) }
		},
		DropFollowers: leader.Disconnect,
		Candidates:    leader.Candidates,
		HoldWrites:    srv.HoldWrites,
		TLS:           tls.Client,
	})
	srv.SetFollowing(f)
	return f
}
