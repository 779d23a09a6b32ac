package command

import (
	"fmt"
	"testing"
	"time"

	"kvd/keyspace"
)

// leaderForTest is a Following that follows.
type leaderForTest struct{ followingForTest }

func (*leaderForTest) Following() (string, int, bool) { return "127.0.0.1", 1, true }
func (*leaderForTest) Up() bool                       { return true }

// within fails the test if something does not come about soon.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// TestFollowingBeginsBehindLocks: the clients that block are sent away only when every
// command that had its locks before the gate was shut is over, or one that blocks its
// client then would be forgotten.
func TestFollowingBeginsBehindLocks(t *testing.T) {
	s := newTestServer(t)
	s.SetFollowing(&followingForTest{})
	b := s.block("BLPOP k 0")
	h := s.Keyspace.LockKeys([]keyspace.Key{keyspace.MakeKey([]byte("other"))})
	s.followerEnd = &leaderForTest{}
	done := make(chan bool)
	go func() { s.FollowingChanged(); close(done) }()
	within(t, "it does not follow", s.following.Load)
	select {
	case <-done:
		t.Error("clients were sent away while a command still ran")
	case r := <-b.conn.replies:
		t.Errorf("%q while a command still ran", r)
	case <-time.After(50 * time.Millisecond):
	}
	s.Keyspace.Unlock(&h)
	if r := b.conn.wait(t); r[:10] != "-UNBLOCKED" {
		t.Error(r)
	}
	<-done
}

// TestFollowerServesNoTaker: what the leader's stream brings is not taken away by a
// client that has come to block all the same.
func TestFollowerServesNoTaker(t *testing.T) {
	for _, c := range [][3]string{{"BLPOP k 0", "RPUSH k a b", "LLEN k"}, {"BLMOVE k o LEFT LEFT 0", "RPUSH k a b", "LLEN k"}, {"BZPOPMIN k 0", "ZADD k 1 a 2 b", "ZCARD k"}} {
		s := newTestServer(t)
		s.SetFollowing(&followingForTest{})
		b := s.block(c[0])
		s.setGate(gateReadOnly, true)
		if err := s.NewStreamApplier().Apply(words(c[1])); err != nil {
			t.Fatal(err)
		}
		select {
		case r := <-b.conn.replies:
			t.Errorf("%s: %q", c[0], r)
		case <-time.After(20 * time.Millisecond):
		}
		s.want(c[2], ":2\n")
	}
}

// TestOwnKeysEnd: keys that clients have written to a follower are its own until
// something of the leader's comes in their place.
func TestOwnKeysEnd(t *testing.T) {
	begin := func() *testServer {
		s := newTestServer(t)
		if err := s.Config.SetInitial("replica-read-only", []string{"no"}); err != nil {
			t.Fatal(err)
		}
		s.SetFollowing(&leaderForTest{})
		return s
	}
	t.Run("following begins", func(t *testing.T) {
		s := newTestServer(t)
		s.SetFollowing(&followingForTest{})
		s.run("SET k v PX 100000")
		keys := []keyspace.Key{keyspace.MakeKey([]byte("k"))}
		h := s.Keyspace.LockKeys(keys)
		s.followerEnd = &leaderForTest{}
		done := make(chan bool)
		go func() { s.FollowingChanged(); close(done) }()
		within(t, "it does not follow", s.following.Load)
		ctx := &s.x.Running // a command that ends now
		ctx.Use(0)
		ctx.Keys = keys
		s.noteOwn(ctx)
		s.Keyspace.Unlock(&h)
		<-done
		if n := s.own.count(); n != 0 {
			t.Errorf("%d keys are its own", n)
		}
	})
	for _, line := range []string{"SET k w PX 300", "PEXPIRE k 300", "FLUSHALL", "SWAPDB 0 1", "HSET k f v"} {
		t.Run(line, func(t *testing.T) {
			s := begin()
			s.run("SET k v PX 100000")
			if line[0] == 'H' {
				s.run("DEL k")
				s.run("HSET k f u")
				s.run("PEXPIRE k 100000")
			}
			if n := s.own.count(); n != 1 {
				t.Fatalf("%d keys are its own after a write", n)
			}
			if err := s.NewStreamApplier().Apply(words(line)); err != nil {
				t.Fatal(err)
			}
			if n := s.own.count(); n != 0 {
				t.Errorf("%d keys are its own after the leader's %s", n, line)
			}
		})
	}
	t.Run("a change that comes later", func(t *testing.T) {
		s := begin()
		s.run("SET k v")
		keys := []keyspace.Key{keyspace.MakeKey([]byte("k"))}
		expire := func(c *Ctx) {
			c.SetDeadline(&keys[0], time.Now().UnixMilli()+100000)
			c.Dirty++
		}
		s.ChangeLater(nil, 0, keys, expire)
		if n := s.own.count(); n != 1 {
			t.Errorf("%d keys are its own after a change for a client", n)
		}
		s.ChangeLater(&Client{applies: true}, 0, keys, expire)
		if n := s.own.count(); n != 0 {
			t.Errorf("%d keys are its own after a change for the leader", n)
		}
	})
	t.Run("contents are replaced", func(t *testing.T) {
		s := begin()
		s.run("SET k v PX 100000")
		h := s.Keyspace.LockAll()
		s.ContentsReplaced()
		s.Keyspace.Unlock(&h)
		if n := s.own.count(); n != 0 {
			t.Errorf("%d keys are its own", n)
		}
	})
	// What looks for keys that are due has a list, and waits for the stripe.
	t.Run("while they are looked over", func(t *testing.T) {
		s := begin()
		s.run("SET k v PX 100000")
		keys := []keyspace.Key{keyspace.MakeKey([]byte("k"))}
		h := s.Keyspace.LockKeys(keys)
		time.Sleep(3 * ownEvery)
		s.own.clear()
		tx := s.Keyspace.NewTx()
		tx.Replaying = true
		tx.Use(0)
		tx.SetDeadline(&keys[0], time.Now().UnixMilli()-1000)
		s.Keyspace.Unlock(&h)
		time.Sleep(3 * ownEvery)
		if n, _ := s.Keyspace.Size(0, false); n != 1 {
			t.Error("a key of the leader's has expired by itself", fmt.Sprint(n))
		}
	})
}
