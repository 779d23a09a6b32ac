// Package persist writes the data set to files and reads it back.
//
// A snapshot is an RDB file (see package rdb for the coding of values, load.go
// for the frame). It is written without a fork while commands go on: package
// keyspace fixes the instant and hands every key over as it stood then, the
// Saver's output codes them into chunks in memory, and one goroutine brings the
// chunks to the disk. No command that changes data waits for that goroutine,
// for a file, or for a lock held over either.
//
// A file replaces the one before it only when it is whole and synced, by
// rename. A file that is damaged, cut off or of an unknown form is never
// loaded in part: Load returns an error and the server does not start.
//
// This package knows no client and no command.
package persist
