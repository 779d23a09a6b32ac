package command

import (
	"testing"

	"kvd/keyspace"
)

// changeCounter is an observer.
type changeCounter struct{ n *int }

func (c changeCounter) Changed(any, int, *keyspace.Key)              { *c.n++ }
func (c changeCounter) Emptied(any, int, func(k *keyspace.Key) bool) { *c.n++ }

// Whoever observes keys is told once of each key that a command changes, and of no other.
func TestChangedIsToldOnce(t *testing.T) {
	s := newTestServer(t)
	told := 0
	s.Keyspace.AddObserver(changeCounter{&told})
	s.Keyspace.Observe(true)
	for _, c := range []struct {
		line string
		want int
	}{
		{"set s abc", 1}, {"set s 5", 1}, {"incr s", 1}, {"append s x", 1}, {"setrange s 1 y", 1}, {"setbit s 1 1", 1}, {"setbit s 1 1", 0},
		{"setrange big 70000 x", 1}, {"setrange big 0 y", 1}, {"setbit big 3 0", 1}, {"setbit big 3 0", 0}, {"bitfield big set u8 0 9", 1}, {"bitfield big set u8 0 9", 0},
		{"bitfield s set u8 0 9 incrby u8 8 1", 1}, {"bitfield s set u8 0 9", 0}, {"bitfield s set u8 200 9", 1}, {"bitfield new overflow fail incrby u8 0 300", 1},
		{"expire s 100", 1}, {"persist s", 1}, {"persist s", 0}, {"rename s r", 2}, {"del r", 1}, {"del r", 0},
		{"rpush l a b c", 1}, {"lset l 0 x", 1}, {"lset l 9 x", 0}, {"lrem l 0 none", 0}, {"linsert l before none x", 0}, {"linsert l before b x", 1},
		{"lpop l 0", 0}, {"lpop l", 1}, {"ltrim l 0 1", 1}, {"lmove l l left right", 1}, {"lmove l m left right", 2}, {"lpop l 9", 1},
		{"sadd S a b", 1}, {"sadd S a", 0}, {"sadd S a c", 1}, {"srem S none", 0}, {"srem S a", 1}, {"spop S 0", 0}, {"smove S T b", 2}, {"smove S T none", 0},
		{"zadd z 1 a 2 b", 1}, {"zadd z 1 a", 0}, {"zadd z 1 a 3 b", 1}, {"zadd z xx 1 none", 0}, {"zrem z none", 0}, {"zrem z a", 1}, {"zincrby z 0 b", 0}, {"zpopmin z 0", 0},
		{"hset h f 1 g 2", 1}, {"hdel h none", 0}, {"hsetnx h f 3", 0}, {"hincrby h f 1", 1}, {"hexpire h 100 fields 1 f", 1}, {"hpersist h fields 1 g", 0},
		{"hpersist h fields 1 f", 1}, {"hdel h f", 1}, {"hdel h g", 1},
	} {
		told = 0
		if r := s.run(c.line); told != c.want {
			t.Errorf("%s: told %d times, not %d; %q", c.line, told, c.want, r)
		}
	}
	// Of collections that are Objects, too.
	for i := range 600 {
		n := string(IntArg(int64(i)))
		s.do("sadd", "S", "m"+n)
		s.do("zadd", "z", n, "m"+n)
		s.do("hset", "h", "m"+n, n)
		s.do("rpush", "l", "some element of a list that is not short "+n)
	}
	for _, c := range []struct {
		line string
		want int
	}{
		{"sadd S m1", 0}, {"sadd S n1", 1}, {"srem S n1 n1", 1}, {"srem S n1", 0}, {"zadd z 1 m1", 0}, {"zadd z 5 m1", 1}, {"zrem z none", 0}, {"zrem z m1", 1},
		{"hset h m1 5", 1}, {"hdel h none", 0}, {"hdel h m1", 1}, {"lset l 1000 x", 0}, {"lset l 1 x", 1}, {"lrem l 0 none", 0}, {"lrem l 0 x", 1}, {"linsert l after none x", 0},
		{"hexpire h 100 fields 1 m2", 1}, {"lpop l 0", 0}, {"lpop l", 1}, {"lpop l 599", 1}, {"spop S 600", 1},
	} {
		told = 0
		if r := s.run(c.line); told != c.want {
			t.Errorf("%s: told %d times, not %d; %q", c.line, told, c.want, r)
		}
	}
}
