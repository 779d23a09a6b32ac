package replica

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// A follower that is killed between its request and its place on the list, by a
// transaction that then writes more than the backlog holds, gets none of that,
// and has to come for all anew.
func TestKilledBeforeListed(t *testing.T) {
	s, ks := newTestStream(t, "repl-backlog-size", "16384")
	locked(ks, s.Follow) // AppendRaw brings the bytes
	var in, out atomic.Int64
	l := NewLeader(Options{Stream: s, Keyspace: ks, Config: s.cfg, Log: s.log, Acked: func() {}, In: &in, Out: &out})
	s.AppendRaw([]byte("before"))
	id, _, from, _ := s.IDs()
	gone := make(chan struct{})
	p := Peer{ID: 7, Addr: "127.0.0.1:1", PSYNC2: true, ReplID: id, From: from + 1, Gone: func() { close(gone) }, Killed: func() bool {
		s.AppendRaw(bytes.Repeat([]byte("x"), 200_000))
		return true
	}}
	ours, theirs := net.Pipe()
	go l.Serve(p, ours, nil)
	_ = theirs.SetReadDeadline(time.Now().Add(10 * time.Second))
	b, err := io.ReadAll(theirs)
	if err != nil || bytes.Contains(b, []byte("x")) {
		t.Errorf("the killed follower got %d bytes, and %v", len(b), err)
	}
	theirs.Close()
	<-gone
	if n := s.Backlog().Readers; n != 0 || l.Followers() != 0 {
		t.Errorf("%d readers and %d followers are left", n, l.Followers())
	}
	if r, why := s.Resume(id, from+1, nil); r != nil {
		t.Errorf("it could go on where it was: %v", why)
	}
}
