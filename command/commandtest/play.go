package commandtest

import (
	"strings"
	"testing"
	"time"

	"kvd/keyspace"
	"kvd/types"
)

// Step is a command line, its reply (\n for CRLF), and what it journals: the
// effects, one a line, or "" for none.
type Step [3]string

// Play runs steps one after another.
func (s *Server) Play(steps []Step) {
	s.T.Helper()
	for _, st := range steps {
		s.Effects = nil
		s.Want(st[0], st[1])
		if got := strings.Join(s.Effects, "\n"); got != st[2] {
			s.T.Errorf("%s\njournaled %q\n     want %q", st[0], got, st[2])
		}
	}
	s.Effects = nil
}

// Entry is what stands at a key of database 0 now.
func (s *Server) Entry(key string) keyspace.Entry {
	k := keyspace.MakeKey([]byte(key))
	tx := s.Keyspace.TxOn(0)
	tx.Now = s.Now.UnixMilli()
	h := s.Keyspace.LockAll()
	defer s.Keyspace.Unlock(&h)
	return tx.Peek(&k)
}

// WantEntry checks the encoding and the deadline at a key.
func (s *Server) WantEntry(key string, enc types.Encoding, deadline int64) {
	s.T.Helper()
	e := s.Entry(key)
	if !e.Exists() {
		s.T.Errorf("%s does not exist", key)
		return
	}
	if e.Encoding() != enc || e.Deadline() != deadline {
		s.T.Errorf("%s: encoding %v, deadline %d, want %v, %d", key, e.Encoding(), e.Deadline(), enc, deadline)
	}
}

// PutList puts something at key that is no string.
func (s *Server) PutList(key string) {
	k := keyspace.MakeKey([]byte(key))
	h := s.Keyspace.LockAll()
	defer s.Keyspace.Unlock(&h)
	s.Keyspace.TxOn(0).Put(&k, types.TList, types.EncListpack, []byte{}, 0)
}

// FixedNow is the moment of these tests, in Unix milliseconds: ahead of the
// clock, by which keys expire in the background.
const FixedNow = 4000000000000

// NewFixed is New for a client of RESP2, at the moment FixedNow.
func NewFixed(t *testing.T) *Server {
	s := New(t)
	s.C.SetProto(2)
	s.Now = time.UnixMilli(FixedNow)
	return s
}

// WrongTypeReply is the reply where a key holds a value of another type.
const WrongTypeReply = "-WRONGTYPE Operation against a key holding the wrong kind of value\n"
