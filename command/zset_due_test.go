package command

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestZPopDue(t *testing.T) {
	s := newTestServer(t)
	now := s.now.UnixMilli()
	s.want("zpopdue q *", "*0\n")
	s.want(fmt.Sprintf("zadd q 5 a 7.5 b %d c %d d", now, now+60_000), ":4\n")
	s.want("zpopdue q 4", "*0\n")
	s.effects = nil
	s.want("zpopdue q 7.5 count 9", "*4\n$1\na\n$1\n5\n$1\nb\n$3\n7.5\n")
	s.want("zpopdue q *", fmt.Sprintf("*2\n$1\nc\n$13\n%d\n", now))
	s.want("zpopdue q *", "*0\n")
	s.wantEffects("ZREM q a b", "ZREM q c")
	s.want("zpopdue q +inf", fmt.Sprintf("*2\n$1\nd\n$13\n%d\n", now+60_000))
	s.want("exists q", ":0\n")
	s.want("zpopdue q x", "-"+errNotFloat+"\n")
	s.want("zpopdue q * count 0", "-ERR count should be greater than 0\n")
	s.want("zpopdue q * count", "-ERR syntax error\n")
	s.want("bzpopdue q", "-ERR wrong number of arguments for 'bzpopdue' command\n")
	s.want("bzpopdue q -1", "-ERR timeout is negative\n")
	s.want("command getkeys bzpopdue a b 0 count 5", "*2\n$1\na\n$1\nb\n")
	s.want("command getkeys bzpopdue a count 5", "*2\n$1\na\n$5\ncount\n")
	s.run("set str v")
	s.want("zpopdue str *", "-"+errWrongType+"\n")
	s.want("bzpopdue str 0", "-"+errWrongType+"\n")
}

// TestBZPopDue: a worker gets its job at its time, not before, also one that was
// added later but is due earlier; and in every database.
func TestBZPopDue(t *testing.T) {
	s := newTestServer(t)
	producer := s.c
	worker := func(lines ...string) *fakeConn {
		conn := newFakeConn()
		s.c = s.NewClient(conn, "127.0.0.1:3", "127.0.0.1:2", 4)
		for i, line := range lines {
			if got := s.run(line); i == len(lines)-1 && got != "" {
				t.Fatalf("%s: %q", line, got)
			}
		}
		s.c = producer
		return conn
	}
	s.now = time.Now()
	at := s.now.Add(150 * time.Millisecond).UnixMilli()
	s.run(fmt.Sprintf("zadd q %d late", at))
	a := worker("bzpopdue none q 0")
	b := worker("bzpopdue q 0 count 2")
	other := worker("select 3", "bzpopdue q 0")
	s.effects = nil
	early := time.Now().Add(50 * time.Millisecond).UnixMilli()
	s.now = time.Now()
	s.run(fmt.Sprintf("zadd q %d early", early))
	third := time.Now().Add(90 * time.Millisecond).UnixMilli()
	s.run("select 3")
	s.run(fmt.Sprintf("zadd q %d third", third))
	for i, v := range []struct {
		conn *fakeConn
		name string
		at   int64
	}{{a, "early", early}, {other, "third", third}, {b, "late", at}} {
		got := v.conn.wait(t)
		if now := time.Now().UnixMilli(); now < v.at || now > v.at+2000 {
			t.Errorf("%s came at %d, not at %d", v.name, now, v.at)
		}
		if want := fmt.Sprintf("*2\r\n$1\r\nq\r\n*1\r\n*2\r\n$%d\r\n%s\r\n$13\r\n%d\r\n", len(v.name), v.name, v.at); got != want {
			t.Errorf("%d: %q, want %q", i, got, want)
		}
	}
	time.Sleep(10 * time.Millisecond)
	h := s.Keyspace.LockAll() // the last effect is there
	got := strings.Join(s.effects, "\n")
	s.Keyspace.Unlock(&h)
	if !strings.HasSuffix(got, "ZREM q early\nZREM q third\nZREM q late") {
		t.Errorf("%q", got)
	}
	if n := s.BlockedClients(); n != 0 {
		t.Errorf("%d clients are blocked", n)
	}
}

// Of more workers than are served in one go each gets one job, and none is lost.
func TestBZPopDueMany(t *testing.T) {
	s := newTestServer(t)
	producer := s.c
	const n = 5 * dueTurn
	conns := make([]*fakeConn, n+7)
	for i := range conns {
		conns[i] = newFakeConn()
		s.c = s.NewClient(conns[i], "127.0.0.1:3", "127.0.0.1:2", 4)
		if got := s.run("bzpopdue q 0"); got != "" {
			t.Fatalf("%q", got)
		}
	}
	s.c = producer
	args := []string{"zadd", "q"}
	for i := range n {
		args = append(args, "1", fmt.Sprint("job", i))
	}
	s.do(args...)
	seen := map[string]bool{}
	for i := range n { // the first to wait are the first to be served
		job := strings.Split(conns[i].wait(t), "\r\n")
		if len(job) < 7 || seen[job[6]] {
			t.Fatalf("worker %d got %q", i, job)
		}
		seen[job[6]] = true
	}
	s.want("exists q", ":0\n")
	if got := s.BlockedClients(); got != 7 {
		t.Errorf("%d clients are blocked", got)
	}
}
