package main

import (
	"net"

	"kvd/command"
	"kvd/persist"
	"kvd/replica"
)

// newFollower wires the end of replication that follows.
func newFollower(srv *command.Server, saver *persist.Saver, stream *replica.Stream) *replica.Follower {
	f := replica.NewFollower(replica.FollowerOptions{
		Config: srv.Config, Log: srv.Log, Keyspace: srv.Keyspace, Saver: saver, Stream: stream, Applier: srv.NewApplier(),
		Changed: srv.FollowingChanged,
		Linked: func(nc net.Conn, kill func()) func() {
			c := srv.LinkUp(nc, kill)
			return func() { srv.DropClient(c) }
		},
		DropFollowers: func() {},
		Candidates:    func() []replica.Candidate { return nil },
		HoldWrites:    srv.HoldWrites,
	})
	srv.SetFollowing(f)
	return f
}
