package command

import (
	"sync"
	"testing"

	"kvd/keyspace"
)

// A panic while somebody is served leaves the others, and the server, whole.
func TestBlockPanic(t *testing.T) {
	s := newTestServer(t)
	a := s.block("BLPOP k 0")
	conn := newFakeConn()
	cl := s.NewClient(conn, "", "", 5)
	h := s.Keyspace.LockAll()
	ctx := &Ctx{Tx: *s.Keyspace.TxOn(0), S: s.Server, C: cl, Row: s.Table.Lookup([]byte("blpop")), x: s.x}
	bad := true
	ctx.Block([]keyspace.Key{keyspace.MakeKey([]byte("k"))}, Wait{TimedOut: NullArray, Serve: func(c *Ctx, k *keyspace.Key) bool {
		if bad {
			panic("on purpose")
		}
		c.W.SimpleString("served")
		c.NoEffect()
		return true
	}})
	s.Keyspace.Unlock(&h)
	s.want("RPUSH k 1 2", "-ERR internal error\n")
	a.want("*2\n$1\nk\n$1\n1\n")
	bad = false
	s.want("RPUSH k 3", ":2\n")
	if got := conn.wait(t); got != "+served\r\n" {
		t.Errorf("got %q", got)
	}
	s.wantNoWaiters()
}

// A writer and CLIENT UNBLOCK come at the same moment: one of them has it.
func TestBlockClaim(t *testing.T) {
	s := newTestServer(t)
	s.Keyspace.Journal.Detach(s)
	for i := range 3000 {
		b := s.block("BLPOP k 0")
		var start, done sync.WaitGroup
		start.Add(1)
		done.Add(1)
		unblocked := false
		go func() {
			defer done.Done()
			start.Wait()
			unblocked = s.Unblock(b.Client, false)
		}()
		start.Done()
		for range i % 64 { // so that they meet sooner or later
			s.want("LLEN none", ":0\n")
		}
		s.want("RPUSH k x", ":1\n")
		done.Wait()
		want, left := "*2\r\n$1\r\nk\r\n$1\r\nx\r\n", ":0\n"
		if unblocked {
			want, left = "*-1\r\n", ":1\n"
		}
		if got := b.conn.wait(t); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		if n := len(b.conn.replies); n > 0 {
			t.Fatalf("%d more replies", n)
		}
		s.want("LLEN k", left)
		s.run("DEL k")
		s.DropClient(b.Client)
	}
}
