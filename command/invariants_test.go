//go:build invariants

package command

import (
	"strings"
	"testing"

	"kvd/keyspace"
)

// TestInvariants: a value that is broken is found by the next command that touches it.
func TestInvariants(t *testing.T) {
	s := newTestServer(t)
	s.want("rpush l a b c", ":3\n")
	s.want("hset h f v", ":1\n")
	s.want("lrange l 0 -1", "*3\n$1\na\n$1\nb\n$1\nc\n")
	key := keyspace.MakeKey([]byte("l"))
	h := s.Keyspace.LockKeys([]keyspace.Key{key})
	tx := s.x.Running.Tx
	e := tx.Peek(&key)
	e.Packed()[len(e.Packed())-1]++ // how far back the last element begins
	s.Keyspace.Unlock(&h)
	if got := s.run("llen l"); !strings.HasPrefix(got, "-ERR internal error") {
		t.Errorf("LLEN of a broken list: %q", got)
	}
	h = s.Keyspace.LockKeys([]keyspace.Key{key})
	e = tx.Peek(&key)
	e.Packed()[len(e.Packed())-1]--
	s.Keyspace.Unlock(&h)
	s.want("llen l", ":3\n")
	s.want("hget h f", "$1\nv\n")
}
