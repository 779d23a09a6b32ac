// Package differ sends one script to kvd and to a real Redis and compares what they say, byte for
// byte, in RESP2 and in RESP3.
//
// The scripts are random, from a seed, and spelled by the table in table.go: one line of grammar for
// each form of a command. A fifth of the calls are made wrong on purpose. A run counts how
// often each command and each option occurred, and goes on until all occurred often enough.
//
// Replies whose order or contents Redis leaves open have a comparer of their own (compare.go).
// Where a server chooses (SPOP), the other one is made to follow, so that the script can go on.
// Every two hundred steps, and at the end, the whole contents of both are compared.
//
// A difference ends its session; the script is then made as short as it can be (shrink.go)
// and printed in a form that can be replayed: a line for each step, arguments quoted where
// they need it, and the comparer's name with an @ in front.
//
// Deadlines in scripts are far away or in the past, never near: no step's outcome hangs on
// how long another took.
package differ
