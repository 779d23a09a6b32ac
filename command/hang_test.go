package command

import (
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"kvd/resp/wire"
)

// inTime ends the program, with all stacks, if f does not return: after a hang no
// clean-up ends either.
func inTime(t *testing.T, what string, f func()) {
	t.Helper()
	debug.SetTraceback("all")
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		panic(what + " hangs")
	}
}

// TestInfoInsideExec: INFO inside EXEC, with all stripes locked, and the samples that
// a loop takes at the beginning of a turn do not wait for each other.
func TestInfoInsideExec(t *testing.T) {
	s := newTestServer(t)
	other := s.NewExec()
	inTime(t, "INFO inside EXEC", func() {
		var both sync.WaitGroup
		both.Go(func() {
			for range 3000 {
				s.run("MULTI")
				s.run("INFO stats")
				if r := s.run("EXEC"); !strings.HasPrefix(r, "*1\r\n$") {
					t.Error(r)
					return
				}
			}
		})
		both.Go(func() {
			at := s.now
			for range 30_000 {
				at = at.Add(2 * rateEvery * time.Millisecond) // a sample is always due
				other.SetTime(at)
			}
		})
		both.Wait()
	})
}

// TestWaitEnds: however soon the time of a wait without keys is over, it is
// answered once. (The race detector sees what is wrong with the timer.)
func TestWaitEnds(t *testing.T) {
	s := newTestServer(t)
	s.SetReplication(noReplication{})
	inTime(t, "WAIT", func() {
		var all sync.WaitGroup
		for range 4 {
			x, conn := s.NewExec(), newFakeConn()
			c := s.NewClient(conn, "127.0.0.1:9", "127.0.0.1:2", 9)
			all.Go(func() {
				for range 300 {
					x.SetTime(time.Now())
					var w wire.Writer
					if out := x.Run(c, words("WAIT 1 1"), &w); out != Parked {
						t.Errorf("outcome %v, reply %q", out, w.Buf)
						return
					}
					if r := conn.wait(t); r != ":0\r\n" {
						t.Errorf("WAIT: %q", r)
						return
					}
				}
			})
		}
		all.Wait()
	})
	if n := s.BlockedClients(); n != 0 {
		t.Errorf("%d clients still wait", n)
	}
}

// TestWaitEndsBeforeItIsArmed: a wait that is ended before its clock starts leaves no
// clock behind.
func TestWaitEndsBeforeItIsArmed(t *testing.T) {
	s := newTestServer(t)
	conn := newFakeConn()
	c := s.NewClient(conn, "127.0.0.1:9", "127.0.0.1:2", 9)
	ctx := &s.x.Running
	ctx.C, ctx.Row, ctx.Args = c, s.Table.Lookup([]byte("wait")), words("WAIT 1 1")
	wt := ctx.park(nil, Wait{Timeout: 3_600_000, TimedOut: func(w *wire.Writer) { w.Int(7) }})
	s.timeOut(wt)
	wt.arm(s.Server)
	if r := conn.wait(t); r != ":7\r\n" {
		t.Error(r)
	}
	if wt.timer.Load().Stop() {
		t.Error("the clock of an ended wait runs")
	}
}

// TestApplierRefuses: what comes from a leader or stands in a log may change the
// data, and nothing else.
func TestApplierRefuses(t *testing.T) {
	s := newTestServer(t)
	if err := s.Config.SetInitial("enable-debug-command", []string{"no"}); err != nil {
		t.Fatal(err)
	}
	f := &followingForTest{}
	s.SetFollowing(f)
	a := s.NewStreamApplier()
	refused := []string{"REPLICAOF NO ONE", "REPLICAOF 127.0.0.1 1", "SLAVEOF NO ONE", "FAILOVER", "SAVE", "BGSAVE", "BGREWRITEAOF", "SHUTDOWN NOSAVE",
		"DEBUG RELOAD", "DEBUG LOADAOF", "DEBUG SLEEP 0", "DEBUG POPULATE 10", "CONFIG SET maxmemory 7", "CONFIG REWRITE", "CLIENT PAUSE 1000", "CLIENT KILL TYPE normal",
		"MIGRATE 127.0.0.1 1 k 0 1000", "MONITOR", "SUBSCRIBE a", "WAIT 1 0", "PSYNC ? -1", "AUTH a b", "HELLO 3", "RESET", "QUIT", "CLIENT REPLY OFF",
		"SETRANGE k 4611686018427387904 x"}
	for _, line := range refused {
		inTime(t, line, func() {
			if err := a.Apply(words(line)); err == nil || !strings.Contains(err.Error(), strings.Fields(line)[0]) {
				t.Errorf("%s: %v", line, err)
			}
		})
		a.Reset()
	}
	// The whole table: whatever is not an effect is not run, however it is called.
	for _, r := range s.Table.rows {
		if r.Fn == nil || r.applied || r.Flags&ReadOnly != 0 || r.Front != "" {
			continue
		}
		args := words(strings.ReplaceAll(r.full, "|", " "))
		for len(args) < max(r.Arity, -r.Arity) {
			args = append(args, []byte("1"))
		}
		inTime(t, r.full, func() {
			if err := a.Apply(args); err == nil || !strings.Contains(err.Error(), "may not stand") {
				t.Errorf("%s: %v", r.full, err)
			}
		})
	}
	if f.calls != 0 {
		t.Errorf("the role was changed %d times", f.calls)
	}
	if s.Config.MaxMemory.Load() != 0 {
		t.Error("the configuration was changed")
	}
	for _, line := range []string{"SELECT 0", "SET k v", "GET k", "SRANDMEMBER k -4611686018427387904", "PUBLISH c m", "MULTI", "INCR n", "GET k", "EXEC", "FLUSHALL", "SET k w"} {
		if err := a.Apply(words(line)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	s.want("GET k", "$1\nw\n")
	// A log may have longer strings than are allowed now.
	if err := s.Config.SetInitial("proto-max-bulk-len", []string{"1mb"}); err != nil {
		t.Fatal(err)
	}
	if err := s.NewApplier().Apply(words(fmt.Sprintf("SETRANGE long %d x", 2<<20))); err != nil {
		t.Error(err)
	}
	if err := a.Apply(words(fmt.Sprintf("SETRANGE long2 %d x", 2<<20))); err == nil || !strings.Contains(err.Error(), "proto-max-bulk-len") {
		t.Error(err)
	}
}

// followingForTest is a leader's Following that counts what changes the role.
type followingForTest struct{ calls int }

func (f *followingForTest) Follow(string, int)                      { f.calls++ }
func (f *followingForTest) Lead() bool                              { f.calls++; return true }
func (f *followingForTest) Following() (string, int, bool)          { return "", 0, false }
func (f *followingForTest) Up() bool                                { return false }
func (f *followingForTest) Role() string                            { return "" }
func (f *followingForTest) Info(func(string, any))                  {}
func (f *followingForTest) Failover(string, int, bool, int64) error { f.calls++; return nil }
func (f *followingForTest) AbortFailover() error                    { f.calls++; return nil }
func (f *followingForTest) FailoverState() string                   { return NoFailover }

// TestNoStripeNoDatabase: a command that has locked nothing does not look at the
// databases, which others exchange meanwhile. (The race detector sees it if it does.)
func TestNoStripeNoDatabase(t *testing.T) {
	s := newTestServer(t)
	other := s.NewExec()
	c := s.NewClient(nil, "127.0.0.1:9", "127.0.0.1:2", 9)
	var both sync.WaitGroup
	both.Go(func() {
		for range 300 {
			for _, line := range []string{"PING", "SELECT 1", "MULTI", "PING", "EXEC", "TIME", "CLIENT ID", "SELECT 0"} {
				other.SetTime(s.now)
				var w wire.Writer
				other.Run(c, words(line), &w)
				if len(w.Buf) == 0 || w.Buf[0] == '-' {
					t.Errorf("%s: %q", line, w.Buf)
				}
			}
		}
	})
	for range 300 {
		s.run("SET a 1")
		s.run("SWAPDB 0 1")
		s.run("FLUSHALL")
		s.Keyspace.NewFresh().Exchange(s.now.UnixMilli(), nil)
	}
	both.Wait()
}
