// Package resp is the front end: listeners, connections, and the sessions that
// turn bytes into commands and replies into bytes.
//
// On Linux, TCP and unix-socket connections belong to event loops (epoll), one
// thread each; everything of a connection is touched by its loop alone, and
// other goroutines reach it only through the loop's queue, which is emptied
// between commands. Elsewhere, and where a net.Conn is all there is, a
// goroutine serves each connection (conn_go.go). Both run the same session.
//
// A loop never waits: not for a socket, a file, a lock that is held long, nor
// for a client that does not read.
package resp
