// Package replica is both ends of replication.
//
// The Stream is what this instance replicates: every effect as a command of
// Redis 7.0, encoded once however many read it, numbered by the byte. A leader
// fills it from the journal of effects; a follower relays its leader's bytes
// verbatim, so that its own followers count the same bytes. Behind
// its last byte lie the backlog, in memory, and what slow followers still need,
// which goes on in a file.
//
// The Leader serves followers: a connection that asks for synchronization
// leaves the event loops, and a goroutine of its own sends it a snapshot (see
// package persist) and then the stream. No command that changes data waits for
// a follower, a socket or a file.
//
// This package knows no command table and no client: it is given connections,
// and told through small interfaces and functions what it needs of them.
package replica
