package commandtest

import (
	"net"
	"slices"
	"testing"
	"time"
)

// Conn keeps what a parked client is sent.
type Conn struct {
	Replies chan string
}

func NewConn() *Conn { return &Conn{make(chan string, 16)} }

func (f *Conn) Kill(bool) {}

func (f *Conn) Push([]byte) {}

func (f *Conn) Hijack(func(net.Conn, []byte)) {}

func (f *Conn) Deliver(parts ...[]byte) { f.Replies <- string(slices.Concat(parts...)) }

func (f *Conn) Wait(t testing.TB) string {
	t.Helper()
	select {
	case r := <-f.Replies:
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("a parked client was sent nothing")
		return ""
	}
}
