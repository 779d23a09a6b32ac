package command

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kvd/resp/wire"
)

// TestExecRejected: an EXEC that the server's state does not admit ends the transaction.
func TestExecRejected(t *testing.T) {
	s := newTestServer(t)
	for range 2 {
		s.run("watch a")
		s.run("multi")
		s.want("set a b", "+QUEUED\n")
		s.setGate(gateSnapshots, true)
		if got := s.run("exec"); !strings.HasPrefix(got, "-EXECABORT Transaction discarded because of: MISCONF Redis is") {
			t.Fatal(got)
		}
		s.setGate(gateSnapshots, false)
		s.want("exec", "-ERR EXEC without MULTI\n")
		if len(s.c.watched()) != 0 {
			t.Error("keys are watched still")
		}
	}
	s.want("get a", "$-1\n")
}

// pauseConn is a client that can be parked.
type pauseConn struct{ Conn }

func (pauseConn) Deliver(...[]byte) {}

// askedAcks counts how often followers are asked how far they are.
type askedAcks struct {
	noReplication
	n int
}

func (a *askedAcks) RequestAcks() { a.n++ }

// TestWaitPaused: WAIT asks followers at once, but not while writes are paused;
// then when the pause ends.
func TestWaitPaused(t *testing.T) {
	s := newTestServer(t)
	a := &askedAcks{}
	s.SetReplication(a)
	for i, step := range []struct {
		line string
		want int
	}{
		{"wait 1 0", 1},
		{"client pause 100000 write", 1},
		{"wait 1 0", 1},
		{"client unpause", 2},
		{"client unpause", 2},
	} {
		var args [][]byte
		for _, w := range strings.Fields(step.line) {
			args = append(args, []byte(w))
		}
		s.x.SetTime(time.Now())
		var w wire.Writer
		s.x.Run(s.NewClient(pauseConn{}, fmt.Sprint("127.0.0.1:", 10+i), "", 0), args, &w)
		if a.n != step.want {
			t.Errorf("step %d, %s: %d times asked, want %d (%q)", i, step.line, a.n, step.want, w.Buf)
		}
	}
	s.HoldWrites(true)
	s.HoldWrites(false)
	if a.n != 3 {
		t.Errorf("a failover's hold: %d times asked, want 3", a.n)
	}
}

// TestExecPaused: an EXEC that comes again after a pause runs once, and the
// memory of its transaction is not another's meanwhile.
func TestExecPaused(t *testing.T) {
	s := newTestServer(t)
	c := s.NewClient(pauseConn{}, "127.0.0.1:8", "", 0)
	other := s.NewClient(pauseConn{}, "127.0.0.1:9", "", 0)
	as := func(c *Client, line string) (string, Outcome) {
		var args [][]byte
		for _, w := range strings.Fields(line) {
			args = append(args, []byte(w))
		}
		s.x.SetTime(time.Now())
		var w wire.Writer
		out := s.x.Run(c, args, &w)
		return string(w.Buf), out
	}
	as(c, "multi")
	as(c, "incrby n 5")
	as(c, "get n")
	// A pause that begins when the stripes of EXEC are locked already.
	s.x.SetTime(time.Now())
	ctx := &s.x.Running
	ctx.W, ctx.Args, ctx.C, ctx.Row, ctx.outcome = &wire.Writer{}, [][]byte{[]byte("exec")}, c, s.Table.Lookup([]byte("exec")), Done
	s.startPause(pauseAll, time.Now().Add(time.Hour).UnixMilli())
	s.x.lap = clock()
	s.x.call(ctx)
	if ctx.outcome != Again || len(ctx.W.Buf) != 0 {
		t.Fatalf("EXEC was not parked: %d %q", ctx.outcome, ctx.W.Buf)
	}
	s.endPause()
	as(other, "multi")
	as(other, "set x y")
	if got, _ := as(c, "exec"); got != "*2\r\n:5\r\n$1\r\n5\r\n" {
		t.Errorf("EXEC: %q", got)
	}
	if got, _ := as(other, "exec"); got != "*1\r\n+OK\r\n" {
		t.Errorf("the other's EXEC: %q", got)
	}
}

// TestOvertakenByLoading: a command that was admitted before other contents began to be
// loaded, and got its locks after that, sees nothing of them: the old ones are gone then.
func TestOvertakenByLoading(t *testing.T) {
	s := newTestServer(t)
	s.run("set k v")
	for _, line := range []string{"get k", "set k w", "dbsize"} {
		ctx := &s.x.Running
		s.x.SetTime(time.Now())
		ctx.W, ctx.Args, ctx.C, ctx.outcome = &wire.Writer{Proto: 2}, words(line), s.c, Done
		ctx.Row = s.Table.Lookup(ctx.Args[0])
		ctx.Flags = ctx.Row.Flags
		s.setGate(gateLoading, true)
		s.x.lap = clock()
		s.x.call(ctx)
		s.setGate(gateLoading, false)
		if got := string(ctx.W.Buf); got != "-"+errLoading+"\r\n" {
			t.Errorf("%s: %q", line, got)
		}
	}
	s.want("get k", "$1\nv\n")
}
