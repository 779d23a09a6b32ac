// Package transfer moves data sets between servers and files: Backup, Import and Compare.
// It is what the program's commands of those names do, and works with every server that
// speaks Redis's protocol, so a user can move in, and back. Client is for whoever only asks
// a server something.
//
// It is a client: it knows sockets, files and the forms in which keys travel (snapshots,
// streams, payloads of DUMP). It knows no keyspace and no command's meaning; where one is
// needed, as to compare two values, it opens a kvd in memory and asks that.
package transfer
