package zset_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"kvd/command"
	"kvd/command/commandtest"
)

func TestZPopDue(t *testing.T) {
	s := commandtest.New(t)
	now := s.Now.UnixMilli()
	s.Want("zpopdue q *", "*0\n")
	s.Want(fmt.Sprintf("zadd q 5 a 7.5 b %d c %d d", now, now+60_000), ":4\n")
	s.Want("zpopdue q 4", "*0\n")
	s.Effects = nil
	s.Want("zpopdue q 7.5 count 9", "*4\n$1\na\n$1\n5\n$1\nb\n$3\n7.5\n")
	s.Want("zpopdue q *", fmt.Sprintf("*2\n$1\nc\n$13\n%d\n", now))
	s.Want("zpopdue q *", "*0\n")
	s.WantEffects("ZREM q a b", "ZREM q c")
	s.Want("zpopdue q +inf", fmt.Sprintf("*2\n$1\nd\n$13\n%d\n", now+60_000))
	s.Want("exists q", ":0\n")
	s.Want("zpopdue q x", "-"+command.ErrNotFloat+"\n")
	s.Want("zpopdue q * count 0", "-ERR count should be greater than 0\n")
	s.Want("zpopdue q * count", "-ERR syntax error\n")
	s.Want("bzpopdue q", "-ERR wrong number of arguments for 'bzpopdue' command\n")
	s.Want("bzpopdue q -1", "-ERR timeout is negative\n")
	s.Want("command getkeys bzpopdue a b 0 count 5", "*2\n$1\na\n$1\nb\n")
	s.Want("command getkeys bzpopdue a count 5", "*2\n$1\na\n$5\ncount\n")
	s.Run("set str v")
	s.Want("zpopdue str *", "-"+command.ErrWrongType+"\n")
	s.Want("bzpopdue str 0", "-"+command.ErrWrongType+"\n")
}

// TestBZPopDue: a worker gets its job at its time, not before, also one that was
// added later but is due earlier; and in every database.
func TestBZPopDue(t *testing.T) {
	s := commandtest.New(t)
	producer := s.C
	worker := func(lines ...string) *commandtest.Conn {
		conn := commandtest.NewConn()
		s.C = s.NewClient(conn, "127.0.0.1:3", "127.0.0.1:2", 4)
		for i, line := range lines {
			if got := s.Run(line); i == len(lines)-1 && got != "" {
				t.Fatalf("%s: %q", line, got)
			}
		}
		s.C = producer
		return conn
	}
	s.Now = s.Keyspace.Now()
	at := s.Now.Add(3 * time.Hour).UnixMilli()
	s.Run(fmt.Sprintf("zadd q %d late", at))
	a := worker("bzpopdue none q 0")
	b := worker("bzpopdue q 0 count 2")
	other := worker("select 3", "bzpopdue q 0")
	s.Effects = nil
	early := s.Now.Add(time.Hour).UnixMilli()
	s.Run(fmt.Sprintf("zadd q %d early", early))
	third := s.Now.Add(2 * time.Hour).UnixMilli()
	s.Run("select 3")
	s.Run(fmt.Sprintf("zadd q %d third", third))
	for i, v := range []struct {
		conn *commandtest.Conn
		name string
		at   int64
	}{{a, "early", early}, {other, "third", third}, {b, "late", at}} {
		if len(a.Replies)+len(b.Replies)+len(other.Replies) > 0 {
			t.Errorf("somebody got a job before %s was due", v.name)
		}
		s.Advance(61 * time.Minute)
		got := v.conn.Wait(t)
		if want := fmt.Sprintf("*2\r\n$1\r\nq\r\n*1\r\n*2\r\n$%d\r\n%s\r\n$13\r\n%d\r\n", len(v.name), v.name, v.at); got != want {
			t.Errorf("%d: %q, want %q", i, got, want)
		}
	}
	time.Sleep(10 * time.Millisecond)
	h := s.Keyspace.LockAll() // the last effect is there
	got := strings.Join(s.Effects, "\n")
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
	s := commandtest.New(t)
	producer := s.C
	const n = 5 * command.DueTurn
	conns := make([]*commandtest.Conn, n+7)
	for i := range conns {
		conns[i] = commandtest.NewConn()
		s.C = s.NewClient(conns[i], "127.0.0.1:3", "127.0.0.1:2", 4)
		if got := s.Run("bzpopdue q 0"); got != "" {
			t.Fatalf("%q", got)
		}
	}
	s.C = producer
	args := []string{"zadd", "q"}
	for i := range n {
		args = append(args, "1", fmt.Sprint("job", i))
	}
	s.Do(args...)
	seen := map[string]bool{}
	for i := range n { // the first to wait are the first to be served
		job := strings.Split(conns[i].Wait(t), "\r\n")
		if len(job) < 7 || seen[job[6]] {
			t.Fatalf("worker %d got %q", i, job)
		}
		seen[job[6]] = true
	}
	s.Want("exists q", ":0\n")
	if got := s.BlockedClients(); got != 7 {
		t.Errorf("%d clients are blocked", got)
	}
}

// TestZPopDueInPortions: others have their turn while thousands are popped, and each member
// is given to one of them. So it is with BZPOPDUE. A transaction and a waiter are served at once.
func TestZPopDueInPortions(t *testing.T) {
	s := commandtest.New(t)
	conn, mine := commandtest.NewConn(), s.C
	other := s.NewClient(commandtest.NewConn(), "127.0.0.1:3", "127.0.0.1:2", 4)
	mine.Conn = conn
	const atOnce = 512
	const n = 40 * atOnce
	for _, line := range []string{"zpopdue z * count 1000000", "bzpopdue none z 0 count 1000000"} {
		for i := 0; i < n; i += 400 {
			args := []string{"zadd", "z"}
			for k := range min(400, n-i) {
				args = append(args, "1", fmt.Sprintf("member%d.", i+k))
			}
			s.Do(args...)
		}
		s.Effects = nil
		if got := s.Run(line); got != "" {
			t.Fatalf("%s is done at once: %.100q", line, got)
		}
		all := ""
		s.C = other
		for between := 0; ; between++ {
			got := s.Run("zpopdue z * count 5")
			if all += got; got == "*0\r\n" {
				if between == 0 {
					t.Errorf("%s: nobody had a turn in between", line)
				}
				break
			}
		}
		s.C = mine
		all += conn.Wait(t)
		mine.Working = false
		seen := map[string]bool{}
		for _, m := range regexp.MustCompile(`member\d+\.`).FindAllString(all, -1) {
			if seen[m] {
				t.Fatalf("%s: %s came twice", line, m)
			}
			seen[m] = true
		}
		if len(seen) != n {
			t.Errorf("%s: %d members of %d came", line, len(seen), n)
		}
		for _, e := range s.Effects {
			if words := strings.Fields(e); words[0] != "ZREM" || len(words) > 2+atOnce {
				t.Fatalf("%s: journaled %.60q of %d words", line, e, len(words))
			}
		}
		s.Want("exists z", ":0\n")
	}
}

// TestLongPops: members that are popped by the thousand go beside the event loops, and all
// of them are replied.
func TestLongPops(t *testing.T) {
	s := commandtest.New(t)
	conn := commandtest.NewConn()
	s.C.Conn = conn
	const n = command.LongWrite + 1000
	for _, line := range []string{"zpopdue z * count 1000000", "zpopmin z 1000000", "zpopmax z 1000000"} {
		for i := 0; i < n; i += 400 {
			args := []string{"zadd", "z"}
			for k := range min(400, n-i) {
				args = append(args, "1", fmt.Sprint("member", i+k))
			}
			s.Do(args...)
		}
		if got := s.Run(line); got != "" {
			t.Fatalf("%s is done by the loop: %.100q", line, got)
		}
		got := conn.Wait(t)
		s.C.Working = false
		if many := strings.Count(got, "member"); many != n {
			t.Errorf("%s: %d members of %d, %.100q", line, many, n, got)
		}
		s.Want("exists z", ":0\n")
	}
}
