package command_test

import (
	"fmt"
	"testing"
	"time"

	"kvd/command/commandtest"
)

// What is due after the clock was moved has happened when the call returns.
func TestAdvance(t *testing.T) {
	s := commandtest.New(t)
	s.Run("debug set-active-expire 1")
	s.Run("SET k v EX 2592000") // thirty days
	s.Run("SET far v EX 2592002")
	s.Run("HSET h f v g v")
	s.Run("HEXPIRE h 2592000 FIELDS 1 f")
	timedOut := s.Block("BLPOP l 2592000")
	waits := s.Block("BLPOP l 2592002")
	if !s.Advance(2592001 * time.Second) {
		t.Fatal("the clock was not moved")
	}
	timedOut.Want("*-1\n")
	waits.WantNothing()
	if n := s.Keyspace.Stats.Expired.Load(); n != 1 {
		t.Errorf("%d keys have expired by themselves, want 1", n)
	}
	s.Want("EXISTS k far", ":1\n")
	s.Want("HLEN h", ":1\n")
	s.Advance(2 * time.Second)
	waits.Want("*-1\n")
	s.WantNoWaiters()
	for _, d := range []time.Duration{-1, 101 * 365 * 24 * time.Hour} {
		if s.Advance(d) {
			t.Errorf("the clock was moved by %v", d)
		}
	}
	// Who waits for a member to be due is served at its time.
	at := s.Keyspace.Now().Add(time.Hour).UnixMilli()
	s.Run(fmt.Sprintf("ZADD z %d m", at))
	due := s.Block("BZPOPDUE z 0")
	s.Advance(59 * time.Minute)
	due.WantNothing()
	s.Advance(2 * time.Minute)
	due.Want(fmt.Sprintf("*2\n$1\nz\n*1\n*2\n$1\nm\n$%d\n%d\n", len(fmt.Sprint(at)), at))
	s.WantNoWaiters()
}

// DEBUG TIME-TRAVEL is Advance.
func TestTimeTravel(t *testing.T) {
	s := commandtest.New(t)
	s.Run("debug set-active-expire 1")
	s.Run("SET k v EX 60")
	s.Want("DEBUG TIME-TRAVEL 60001", "+OK\n")
	if n := s.Keyspace.Stats.Expired.Load(); n != 1 {
		t.Errorf("%d keys have expired by themselves, want 1", n)
	}
	for _, ms := range []string{"-1", "x", "3153600000000", "9223372036854775807"} {
		s.Want("DEBUG TIME-TRAVEL "+ms, "-ERR value is not an integer or out of range\n")
	}
}

// A pause ends, and one that does not lasts on.
func TestAdvancePause(t *testing.T) {
	s := commandtest.New(t)
	s.Run("CLIENT PAUSE 60000 WRITE")
	conn := commandtest.NewConn()
	s.C = s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 4)
	s.Want("SET k v", "")
	s.Advance(59 * time.Second)
	select {
	case <-conn.Replies:
		t.Fatal("the pause has ended early")
	default:
	}
	s.Advance(2 * time.Second)
	select {
	case <-conn.Replies:
	default:
		t.Fatal("the pause goes on")
	}
	s.Want("SET k v", "+OK\n")
}
