// Package observe is what a server notes of the commands that it has run: the logs of
// slow commands, large requests and large replies, the events that took long, the keys
// that are used most, and histograms of durations. The engine tells it; the families'
// commands show it. Nothing here knows a server, a client or a connection, and its locks
// are held for moments.
package observe
