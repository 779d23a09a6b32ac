// Package acl says who may do what: users with their passwords, the language of
// rules that describes them (ACL SETUSER, "user" lines, the ACL file), and the
// test whether a call of a command is within a user's rights. Language, texts of
// errors and forms of output are those of Redis 7.2 and later; the rights on
// databases (db=) are Valkey 9.1's.
//
// It is a leaf: what commands there are, and their categories, is told by a Table,
// and a call is told by its row's number with the positions of its keys. It keeps
// no connection, takes no lock (but for the log's) and touches no file.
//
// A User never changes: a change makes another one. So any number of goroutines
// may read one, and a client that holds an old one keeps its rights until it is given
// the new one.
package acl
