package stream_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kvd/command"
	"kvd/command/commandtest"
)

// followers is a Replication whose stream has as many bytes as there are effects, and one
// follower, which has acknowledged some of them.
type followers struct {
	command.Replication
	s     *commandtest.Server
	acked int64
}

func (f *followers) Offset() int64 { return int64(len(f.s.Effects)) }

func (f *followers) AckedBy(offset int64) int {
	if offset <= f.acked {
		return 1
	}
	return 0
}

func (f *followers) SyncedBy(offset int64) int { return f.AckedBy(offset) }

// failing is a Persistence whose log fails when its turn has come.
type failing struct {
	command.Persistence
	s      *commandtest.Server
	after  atomic.Int64 // fails after so many units; 0: it does not
	losing atomic.Bool
	broken atomic.Bool
	synced int64
}

func (p *failing) Loading() bool       { return false }
func (p *failing) LoadingBehind() bool { return false }
func (p *failing) Failing() bool       { return false }
func (p *failing) Stalled() bool       { return false }
func (p *failing) Losing() bool        { return p.losing.Load() }
func (p *failing) Fsynced() int64      { return p.synced }

func (p *failing) Broken() error {
	if p.broken.Load() {
		return errors.New("a test")
	}
	return nil
}

func (p *failing) Appended() int64 {
	if p.after.Load() > 0 && p.after.Add(-1) == 0 {
		p.losing.Store(true)
	}
	return int64(len(p.s.Effects))
}

// endedConn notes whether the connection was ended before it got a reply.
type endedConn struct {
	*commandtest.Conn
	ended atomic.Bool
}

func (c *endedConn) Kill(bool) { c.ended.Store(true) }

func manyIDs(from, to int) string {
	var b strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintf(&b, " %d-1", i)
	}
	return b.String()
}

// portioned is a server with streams s and t, whose groups g have been given a part, and
// commands that change them in portions.
func portioned(t *testing.T) (s *commandtest.Server, lines []string) {
	const n = 11_000
	s = commandtest.New(t)
	for i := 1; i <= n; i++ {
		s.Do("XADD", "s", fmt.Sprintf("%d-1", i), "f", "v")
	}
	s.Run("XGROUP CREATE s g 0")
	s.Run("XGROUP CREATE s h 0")
	s.Run("XREADGROUP GROUP g a COUNT 2000 STREAMS s >")
	s.Run("XREADGROUP GROUP h many COUNT 10500 STREAMS s >")
	return s, []string{
		"XGROUP DELCONSUMER s h many",
		"XACK s g" + manyIDs(1, 200),
		"XCLAIM s g b 0" + manyIDs(300, 600) + " JUSTID",
		"XNACK s g FAIL IDS 200" + manyIDs(601, 800),
		"XREADGROUP GROUP g c COUNT 600 STREAMS s >",
		"XACKDEL s g KEEPREF IDS 200" + manyIDs(801, 1000),
		"XDELEX s KEEPREF IDS 200" + manyIDs(1001, 1200),
		"XDEL s" + manyIDs(1201, 1400),
		"XTRIM s MAXLEN = 9500 DELREF",
	}
}

// TestWaitCoversPortions: what a command changes while its client is parked is waited for
// by WAIT and WAITAOF, all of it.
func TestWaitCoversPortions(t *testing.T) {
	s, lines := portioned(t)
	f, p := &followers{s: s}, &failing{s: s}
	s.SetReplication(f)
	s.SetPersistence(p)
	s.Run("CONFIG SET appendonly yes")
	for _, line := range lines {
		f.acked = f.Offset()
		p.synced = f.acked
		conn := commandtest.NewConn()
		s.C = s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 3)
		if got := s.Run(line); got != "" {
			t.Errorf("%.30s replied %.80q at once", line, got)
		} else if got = conn.Wait(t); got[0] == '-' {
			t.Errorf("%.30s: %q", line, got)
		}
		s.C.Conn, s.C.Working = nil, false
		last := f.Offset()
		for _, acked := range []int64{f.acked, last - 1, last} {
			n := 0
			if acked == last {
				n = 1
			}
			f.acked, p.synced = acked, acked
			if got := s.Run("WAIT 1 0"); got != fmt.Sprintf(":%d\r\n", n) {
				t.Errorf("%.30s: %d of %d acknowledged, and WAIT says %q", line, acked, last, got)
			}
			if got := s.Run("WAITAOF 1 1 0"); got != fmt.Sprintf("*2\r\n:%d\r\n:%d\r\n", n, n) {
				t.Errorf("%.30s: %d of %d acknowledged, and WAITAOF says %q", line, acked, last, got)
			}
		}
	}
}

// TestPortionsOfLostLog: where the log fails while a client is parked, the client is closed
// before it could be told that all is done. That is so for those who are served and for
// what runs beside the loops, too.
func TestPortionsOfLostLog(t *testing.T) {
	s, lines := portioned(t)
	p := &failing{s: s}
	s.SetReplication(&followers{s: s})
	s.SetPersistence(p)
	var pairs strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&pairs, " %d m%d", i, i)
	}
	lines = append(lines, "ZADD z"+pairs.String(), "EVAL for_i=1,3e6_do_end_return_redis.call('SET',KEYS[1],1) 1 k")
	for _, line := range lines {
		for _, lost := range []bool{true, false} {
			p.losing.Store(false)
			s.C = s.NewClient(nil, "127.0.0.1:1", "127.0.0.1:2", 3)
			s.Run("XGROUP SETID s h 0") // for those that would find nothing more to do
			s.Run("XREADGROUP GROUP h many COUNT 10500 STREAMS s >")
			for range 600 {
				s.Run("XADD s * f v")
			}
			conn := &endedConn{Conn: commandtest.NewConn()}
			s.C = s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 3)
			p.after.Store(0)
			if lost {
				p.after.Store(1)
			}
			words := strings.Fields(line)
			if words[0] == "EVAL" {
				words[1] = strings.ReplaceAll(words[1], "_", " ")
			}
			if got := s.Do(words...); got != "" {
				t.Errorf("%.30s replied %.80q at once", line, got)
				continue
			}
			conn.Wait(t)
			if conn.ended.Load() != lost {
				t.Errorf("%.30s: lost %v, closed %v", line, lost, conn.ended.Load())
			}
		}
	}
	p.losing.Store(false)
	waits := &endedConn{Conn: commandtest.NewConn()}
	s.C = s.NewClient(waits, "127.0.0.1:1", "127.0.0.1:2", 3)
	s.Run("BLPOP list 0")
	p.losing.Store(true)
	s.C = s.NewClient(nil, "127.0.0.1:1", "127.0.0.1:2", 3)
	s.Run("RPUSH list v")
	if waits.Wait(t); !waits.ended.Load() {
		t.Error("a client that was served from a list is told so, and no log has it")
	}
}

// slowConn has a reply wait until it is let go.
type slowConn struct {
	*commandtest.Conn
	delivers, leave chan struct{}
}

func (c *slowConn) Deliver(parts ...[]byte) {
	close(c.delivers)
	<-c.leave
	c.Conn.Deliver(parts...)
}

// TestFailureWaitsForAnswers: a worker that was told that the log is well has delivered
// before the server goes on with what follows a failure.
func TestFailureWaitsForAnswers(t *testing.T) {
	s := commandtest.New(t)
	p := &failing{s: s}
	s.SetReplication(&followers{s: s})
	s.SetPersistence(p)
	s.Run("XADD s 1-1 f v")
	conn := &slowConn{commandtest.NewConn(), make(chan struct{}), make(chan struct{})}
	s.C = s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 3)
	s.Run("XDEL s" + manyIDs(1, 200))
	<-conn.delivers
	p.broken.Store(true)
	p.losing.Store(true)
	over := make(chan struct{})
	go func() { s.PersistenceChanged(); close(over) }()
	select {
	case <-over:
		t.Error("the failure is dealt with while a worker answers")
	case <-time.After(30 * time.Millisecond):
	}
	close(conn.leave)
	conn.Wait(t)
	<-over
}

// TestNoClaimsWithoutLog: while writes are refused because of the log, nobody is given what
// has become idle, but is after that.
func TestNoClaimsWithoutLog(t *testing.T) {
	s := commandtest.New(t)
	p := &failing{s: s}
	s.SetReplication(&followers{s: s})
	s.SetPersistence(p)
	s.Run("XADD s 1-1 f v")
	s.Run("XGROUP CREATE s g 0")
	s.Run("XREADGROUP GROUP g a STREAMS s >")
	conn := commandtest.NewConn()
	s.C = s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 3)
	if got := s.Run("XREADGROUP GROUP g b BLOCK 0 CLAIM 100000 STREAMS s >"); got != "" {
		t.Fatalf("replied %q at once", got)
	}
	p.broken.Store(true)
	s.PersistenceChanged()
	s.Advance(101 * time.Second)
	select {
	case got := <-conn.Replies:
		t.Errorf("replied %q while writes are refused", got)
	case <-time.After(100 * time.Millisecond):
	}
	p.broken.Store(false)
	s.PersistenceChanged()
	if got := conn.Wait(t); !strings.Contains(got, "1-1") {
		t.Errorf("replied %q", got)
	}
}

// TestPortionErrorsCount: an error that a worker finds counts as any other.
func TestPortionErrorsCount(t *testing.T) {
	s := commandtest.New(t)
	s.Run("XADD s 1-1 f v")
	s.Run("XGROUP CREATE s g 0")
	conn := commandtest.NewConn()
	s.C.Conn = conn
	s.Run("XACK s g" + manyIDs(1, 200) + " bad")
	if got := conn.Wait(t); !strings.HasPrefix(got, "-ERR Invalid stream ID") {
		t.Errorf("replied %q", got)
	}
	s.C.Conn, s.C.Working = nil, false
	stats := s.Run("INFO commandstats") + s.Run("INFO errorstats")
	for _, want := range []string{"cmdstat_xack:calls=1,", "failed_calls=1", "errorstat_ERR:count=1\r"} {
		if !strings.Contains(stats, want) {
			t.Errorf("INFO has no %s", want)
		}
	}
}

// TestPortionsOfManyStreams: a portion is bounded over all streams, whatever COUNT says.
func TestPortionsOfManyStreams(t *testing.T) {
	const streams, each = 12, 200
	whole, parts := commandtest.New(t), commandtest.New(t)
	names := ""
	for i := range streams {
		name := fmt.Sprintf("s%d", i)
		names += " " + name
		for _, s := range []*commandtest.Server{whole, parts} {
			for n := 1; n <= each; n++ {
				s.Do("XADD", name, fmt.Sprintf("%d-1", n), "f", "v")
			}
			s.Run("XGROUP CREATE " + name + " g 0")
			s.Run("XGROUP CREATE " + name + " h 0")
		}
	}
	conn := commandtest.NewConn()
	parts.C.Conn = conn
	for _, line := range []string{
		"XREADGROUP GROUP g c COUNT 256 STREAMS" + names + strings.Repeat(" >", streams),
		"XREADGROUP GROUP h c COUNT 9223372036854775807 STREAMS" + names + strings.Repeat(" >", streams),
		"XREADGROUP GROUP h c COUNT 150 STREAMS" + names + strings.Repeat(" 0", streams),
	} {
		parts.Effects = nil
		want := whole.Run(line)
		if got := parts.Run(line); got != "" {
			t.Errorf("%.50s replied %.50q at once", line, got)
		} else if got = conn.Wait(t); got != want {
			t.Errorf("%.50s: %.100q, not %.100q", line, got, want)
		}
		parts.C.Working = false
		n := 0
		for _, e := range parts.Effects {
			if n++; e == "MULTI" {
				n = 0
			} else if n > 300 {
				t.Fatalf("%.50s: a unit of more than %d effects", line, n)
			}
		}
	}
}

// TestConsumerGoneBetweenPortions: a consumer that is deleted while it is read for does not
// come back; the reply ends there.
func TestConsumerGoneBetweenPortions(t *testing.T) {
	const n = 30_000
	s := commandtest.New(t)
	for i := 1; i <= n; i++ {
		s.Do("XADD", "s", fmt.Sprintf("%d-1", i), "f", "v")
	}
	other, conn := s.C, commandtest.NewConn()
	reader := s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 3)
	for try := range 20 {
		s.C = other
		s.Run("XGROUP DESTROY s g")
		s.Run("XGROUP CREATE s g 0")
		s.C, reader.Working = reader, false
		if got := s.Run("XREADGROUP GROUP g c STREAMS s >"); got != "" {
			t.Fatalf("replied %.50q at once", got)
		}
		s.C = other
		had := s.Run("XGROUP DELCONSUMER s g c")
		reply := conn.Wait(t)
		if had == fmt.Sprintf(":%d\r\n", n) {
			continue // it came too late
		}
		if want := fmt.Sprintf(":%d\r\n", strings.Count(reply, "-1\r\n")); had != want {
			t.Errorf("try %d: the reply has %s entries, and the consumer had %s", try, want, had)
		}
		s.Want("XINFO CONSUMERS s g", "*0\n")
		s.Want("XPENDING s g", "*4\n:0\n$-1\n$-1\n*-1\n")
		return
	}
	t.Error("the consumer was never deleted in time")
}

// TestClaimLastIDCounts: what XCLAIM with LASTID journals leads to the same count of entries
// read, also where the entry of that ID is claimed first among others.
func TestClaimLastIDCounts(t *testing.T) {
	for _, line := range []string{
		"XCLAIM s g b 0 4-1 2-1 FORCE LASTID 4-1",
		"XCLAIM s g b 0 2-1 4-1 FORCE LASTID 4-1",
		"XCLAIM s g b 0 4-1 FORCE LASTID 4-1",
		"XCLAIM s g b 0 4-1 LASTID 4-1",
		"XCLAIM s g b 0 9-1 4-1 LASTID 5-1",
	} {
		s, again := commandtest.New(t), commandtest.New(t)
		for i := 1; i <= 6; i++ {
			s.Run(fmt.Sprintf("XADD s %d-1 f v", i))
		}
		s.Run("XGROUP CREATE s g 0")
		s.Run("XREADGROUP GROUP g a COUNT 1 STREAMS s >")
		s.Run(line)
		for _, e := range s.Effects {
			if e != "MULTI" && e != "EXEC" {
				again.Run(e)
			}
		}
		if want, got := s.Run("XINFO GROUPS s"), again.Run("XINFO GROUPS s"); got != want {
			t.Errorf("%s: %q became %q", line, want, got)
		}
	}
}
