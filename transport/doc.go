// Package transport is the front end below the protocols: listeners, event loops
// and connections with their buffers and limits. What a connection's bytes mean
// is a [Protocol]'s business.
//
// On Linux, TCP and unix-socket connections belong to event loops (epoll), one
// thread each; everything of a connection is touched by its loop alone, and
// other goroutines reach it only through the loop's queue, which is emptied
// between commands. Elsewhere, and where a net.Conn is all there is, a
// goroutine serves each connection (conn_go.go). Both run the same sessions.
//
// A loop never waits: not for a socket, a file, a lock that is held long, nor
// for a client that does not read.
package transport
