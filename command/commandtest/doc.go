// Package commandtest is what tests of commands use: a server with all commands and
// without a front end, on which command lines are run, and whose replies, effects and
// keyspace events are compared.
//
//	s := commandtest.New(t)
//	s.Want("RPUSH k a b", ":2\n") // \n stands for CRLF
//	s.WantEffects("RPUSH k a b")
//
// New also takes rows of commands that are on trial. Clients that block are made with
// Block; what a client without a connection is told is told in the reply.
package commandtest
