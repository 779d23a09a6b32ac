// Package command is the command table and the commands: one declarative row a
// command, one file a family. A family's file has a function that returns its
// rows; NewTable makes the table of a Server of them.
//
// A command function parses every argument, looks up, checks types, and only
// then changes something: a command that fails has changed nothing. It never
// takes a lock (the dispatcher has locked the stripes of the keys that the row
// declares), never touches a socket or a file, and takes the time from
// Ctx.Now. It replies through Ctx.W. What it changed is journaled as its
// effect: by default the command itself as it came; where that would not lead
// to the same contents when replayed (relative times, random choices), the
// function says what did happen with Ctx.Effect.
package command
