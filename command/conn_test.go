package command

import (
	"net"
	"slices"
	"testing"
	"time"
)

// fakeConn keeps what a parked client is sent.
type fakeConn struct {
	replies chan string
}

func newFakeConn() *fakeConn { return &fakeConn{make(chan string, 16)} }

func (f *fakeConn) Kill(bool) {}

func (f *fakeConn) Push([]byte) {}

func (f *fakeConn) Hijack(func(net.Conn, []byte)) {}

func (f *fakeConn) Deliver(parts ...[]byte) { f.replies <- string(slices.Concat(parts...)) }

func (f *fakeConn) wait(t testing.TB) string {
	t.Helper()
	select {
	case r := <-f.replies:
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("a parked client was sent nothing")
		return ""
	}
}
