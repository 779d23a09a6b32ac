// Package memcached is memcached's protocols: classic text, meta, and binary. A session
// turns the bytes of a connection into commands of package command/memcached; the first
// byte of the connection says which protocol it speaks.
package memcached
