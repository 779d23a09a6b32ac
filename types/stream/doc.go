// Package stream holds the value of the type stream: entries of fields in the
// order of their IDs, consumer groups with their pending entries, and what is
// remembered of idempotent producers. Like package types, it knows no key,
// client, file or clock, and locks nothing.
//
// # Entries
//
// Entries stand in nodes, which are Redis's macro nodes: as many entries, with
// the same field names taken from the first one, the same deleted entries left
// in place. So a node becomes a listpack of Redis's form, and back, entry by
// entry (listpack.go), and whatever depends on where nodes end (MAXLEN ~) is as
// in Redis. In memory a node is a third shorter than the listpack, because it
// leaves out what can be told otherwise: the lengths backwards of every
// element, the count of an entry's elements, the flags and differences that are
// zero. See node.go for the coding.
//
// Nodes stand one behind the other in leaves of up to 128 KiB, a leaf being one
// piece of memory without pointers, and leaves in a directory that is searched
// by ID. A copy shares everything; see Stream.
//
// # Groups
//
// The pending entries of a group stand once, in leaves ordered by ID, each with
// its consumer's number. A leaf notes the earliest time of delivery in it and
// which consumers may have something in it, so neither a consumer's own pending
// entries nor the longest idle ones need an index of their own: see pel.go.
package stream
