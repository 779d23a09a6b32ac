package transport_test

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"kvd/command"
)

// turns stands in for the end of replication that leads. While hold is set, the
// end of a turn is told to entered and waits for leave.
type turns struct {
	command.Replication
	began, ended   atomic.Int64
	hold           atomic.Bool
	entered, leave chan struct{}
	over           chan struct{} // closed when the test is: nothing is held any more
}

func (r *turns) Good() int { return 0 }

func (r *turns) BeginTurn() bool { r.began.Add(1); return true }

func (r *turns) EndTurn() {
	if r.hold.Load() {
		select {
		case r.entered <- struct{}{}:
		case <-r.over:
		}
		select {
		case <-r.leave:
		case <-r.over:
		}
	}
	r.ended.Add(1)
}

// Followers are sent a change before its client has the reply where only that one
// connection is served, and behind the replies where there are more; once a turn.
func TestEndOfTurn(t *testing.T) {
	srv, ks := configured(t, "event-loops 1")
	cmd := srv.Command()
	r := &turns{entered: make(chan struct{}), leave: make(chan struct{}), over: make(chan struct{})}
	cmd.SetReplication(r)
	t.Cleanup(func() { // once the server is closed
		if b, e := r.began.Load(), r.ended.Load(); b != e {
			t.Errorf("%d turns began and %d ended", b, e)
		}
	})
	addr := start(t, srv, ks)
	defer close(r.over)
	var conns []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		ping(t, c)
		expect(t, c, "+PONG\r\n")
		conns = append(conns, c)
	}
	for r.began.Load() != r.ended.Load() { // what the last reply came in
		time.Sleep(time.Millisecond)
	}
	r.hold.Store(true)
	ping(t, conns[0])
	<-r.entered
	_ = conns[0].SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conns[0].Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes of the reply (%v) came before the followers were sent the change", n, err)
	}
	// These wait for the loop, which meets both in its next turn.
	ping(t, conns[1])
	ping(t, conns[2])
	time.Sleep(50 * time.Millisecond)
	r.leave <- struct{}{}
	_ = conns[0].SetReadDeadline(time.Now().Add(30 * time.Second))
	expect(t, conns[0], "+PONG\r\n")
	<-r.entered
	expect(t, conns[1], "+PONG\r\n")
	expect(t, conns[2], "+PONG\r\n")
	r.hold.Store(false)
	r.leave <- struct{}{}
}

func ping(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Write(bulk("PING")); err != nil {
		t.Fatal(err)
	}
}
