package tests

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"kvd/tests/harness"
)

// TestMigrate moves keys of every type and size from kvd to a real Redis and
// back, and asks both servers the same wrong things.
func TestMigrate(t *testing.T) {
	ks, rs := harness.StartKVD(t), harness.StartRedis(t)
	kvd, redis := ks.MustDial(t), rs.MustDial(t)
	kvd.MustDo(t, "SELECT", "3")
	redis.MustDo(t, "SELECT", "3") // the number of the database is part of a digest
	var keys []string
	add := func(name string, cmd ...string) {
		keys = append(keys, name)
		for _, c := range []*harness.Conn{kvd, redis} {
			if r := c.MustDo(t, append([]string{cmd[0], name}, cmd[1:]...)...); r.Err() != "" {
				t.Fatalf("%s %s: %s", cmd[0], name, r)
			}
		}
	}
	many := func(cmd string, n int, pair bool) []string {
		out := []string{cmd}
		for i := range n {
			if pair {
				out = append(out, strconv.Itoa(i))
			}
			out = append(out, fmt.Sprintf("element-%d-%s", i, strings.Repeat("x", i%40)))
		}
		return out
	}
	add("int", "SET", "-123456789")
	add("string", "SET", "hello \x00 world")
	add("long", "SET", strings.Repeat("0123456789abcdef", 100000))
	add("random", "SET", strings.Map(func(r rune) rune { return 'a' + r*r%23 }, strings.Repeat("qwertz", 50000)))
	add("list", many("RPUSH", 20, false)...)
	add("biglist", many("RPUSH", 900, false)...)
	add("intset", "SADD", "1", "-5", "70000", "9999999999")
	add("set", many("SADD", 20, false)...)
	add("bigset", many("SADD", 900, false)...)
	add("zset", many("ZADD", 20, true)...)
	add("bigzset", many("ZADD", 900, true)...)
	add("hash", many("HSET", 20, true)...)
	add("bighash", many("HSET", 900, true)...)
	add("ttl", "SET", "v", "EX", "1000")
	add("", "SET", "the empty key")

	digest := func() string { return redis.MustDo(t, "DEBUG", "DIGEST").Str }
	// What Redis makes of the same commands. Of a deadline it only tells that there is one.
	want := digest()
	redis.MustDo(t, "FLUSHDB")
	there, _ := strings.CutPrefix(rs.Addr, "127.0.0.1:")
	back, _ := strings.CutPrefix(ks.Addr, "127.0.0.1:")

	for round := range 2 {
		if r := kvd.MustDo(t, append([]string{"MIGRATE", "127.0.0.1", there, "", "3", "10000", "KEYS"}, keys...)...); r.Str != "OK" {
			t.Fatalf("to Redis: %s", r)
		}
		if n := kvd.MustDo(t, "DBSIZE"); n.Int != 0 {
			t.Fatalf("%d keys are left", n.Int)
		}
		if n := redis.MustDo(t, "DBSIZE"); int(n.Int) != len(keys) {
			t.Fatalf("Redis has %d keys of %d", n.Int, len(keys))
		}
		if got := digest(); got != want {
			t.Errorf("round %d: the digest is %s in Redis and was %s", round, got, want)
		}
		if ttl := redis.MustDo(t, "TTL", "ttl").Int; ttl < 900 || ttl > 1000 {
			t.Errorf("round %d: Redis has a TTL of %d s", round, ttl)
		}
		if r := redis.MustDo(t, append([]string{"MIGRATE", "127.0.0.1", back, "", "3", "10000", "KEYS"}, keys...)...); r.Str != "OK" {
			t.Fatalf("to kvd: %s", r)
		}
		if n := kvd.MustDo(t, "DBSIZE"); int(n.Int) != len(keys) {
			t.Fatalf("kvd has %d keys of %d", n.Int, len(keys))
		}
		if ttl := kvd.MustDo(t, "TTL", "ttl").Int; ttl < 900 || ttl > 1000 {
			t.Errorf("round %d: kvd has a TTL of %d s", round, ttl)
		}
	}

	// The same errors, from each server to itself.
	redis.MustDo(t, "SET", "k", "v")
	kvd.MustDo(t, "SET", "k", "v")
	for _, args := range [][]string{
		{"", "x", "9", "10"}, {"k", "x", "10"}, {"k", "9", "x"}, {"k", "9", "10", "FOO"}, {"k", "9", "10", "AUTH"}, {"k", "9", "10", "AUTH2", "a"},
		{"k", "9", "10", "KEYS", "k"}, {"", "9", "10", "KEYS"}, {"none", "9", "10"}, {"k", "9", "10000", "AUTH2", "nobody", "b"},
	} {
		ask := func(c *harness.Conn, port string) string {
			return c.MustDo(t, append([]string{"MIGRATE", "127.0.0.1", port}, args...)...).String()
		}
		// The wrong arguments are found before anybody connects, the rest is what kvd says to both.
		if got, want := ask(kvd, back), ask(redis, back); got != want {
			t.Errorf("MIGRATE %q: got %s, Redis says %s", args, got, want)
		}
	}
	// Nobody listens there.
	for _, port := range []string{"1", "99999", "x"} {
		args := []string{"MIGRATE", "127.0.0.1", port, "k", "0", "1000"}
		if got, want := kvd.MustDo(t, args...).String(), redis.MustDo(t, args...).String(); got != want {
			t.Errorf("%q: got %s, Redis says %s", args, got, want)
		}
	}
}

// TestMigrateInExecHolds: a transaction whose MIGRATE waits for a target that says nothing holds its own keys, and nobody
// else of its event loop.
func TestMigrateInExecHolds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	came := make(chan net.Conn, 1)
	go func() {
		if c, err := ln.Accept(); err == nil {
			came <- c
		}
	}()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	s := harness.StartKVD(t, "--event-loops", "1")
	a, b := s.MustDial(t), s.MustDial(t)
	// Of many keys most are of other stripes than k; those that are not wait for the transaction.
	const others = 64
	for _, line := range []string{"MULTI", "SET k 1", "MIGRATE 127.0.0.1 " + port + " k 0 600000", "INCR k", "EXEC"} {
		if err := a.Send(strings.Fields(line)...); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Flush(); err != nil {
		t.Fatal(err)
	}
	target := <-came // it is being run now
	if r := b.MustDo(t, "PING"); r.Str != "PONG" {
		t.Error(r)
	}
	written := make(chan bool, others)
	for i := range others {
		c := s.MustDial(t)
		go func() {
			r, err := c.Do("SET", "other"+strconv.Itoa(i), "x")
			written <- err == nil && r.Str == "OK"
		}()
	}
	for range others / 2 {
		if !<-written {
			t.Error("a key of another stripe is not written while the transaction waits")
		}
	}
	if err := b.Send("GET", "k"); err != nil || b.Flush() != nil { // it waits for the transaction
		t.Fatal(err)
	}
	target.Close()
	ln.Close() // there is a second try
	var last harness.Reply
	for range 5 {
		if last, err = a.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	if got := last.Strings(); len(got) != 3 || got[0] != "OK" || !strings.HasPrefix(got[1], "IOERR") || last.Elems[2].Int != 2 {
		t.Errorf("EXEC: %s", last)
	}
	if r, err := b.Receive(); err != nil || r.Str != "2" {
		t.Errorf("GET: %s, %v", r, err)
	}
}
