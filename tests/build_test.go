package tests

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"kvd/tests/harness"
)

// TestBuiltAside: what is made with nothing locked and then stored is what the command
// would have stored at that moment: a follower and the log, which run the command as it
// came, have the same, though other clients change the sources meanwhile. Clients that
// leave in between leave nothing behind.
func TestBuiltAside(t *testing.T) {
	const members = 30_000
	args := []string{"--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0", "--save", "", "--event-loops", "2"}
	leader := harness.StartKVD(t, append(args, "--appendonly", "yes")...)
	follower := harness.StartKVD(t, args...)
	follower.MustDial(t).MustDo(t, "REPLICAOF", "127.0.0.1", strconv.Itoa(leader.Port))
	c := leader.MustDial(t)
	for _, k := range []string{"a", "b"} {
		for i := 0; i < members; i += 1000 {
			set, zset, list := []string{"SADD", "s" + k}, []string{"ZADD", "z" + k}, []string{"RPUSH", "l" + k}
			for j := i; j < i+1000; j++ {
				n := strconv.Itoa(j * 7919 % 1000003)
				set, zset, list = append(set, k+n), append(zset, n, k+n), append(list, n)
			}
			for _, args := range [][]string{set, zset, list} {
				c.MustDo(t, args...)
			}
		}
	}
	var payload string
	for _, k := range []string{"sa", "za", "la"} {
		payload = c.MustDo(t, "DUMP", k).Str
		c.MustDo(t, "RESTORE", "restored:"+k, "0", payload)
	}
	stores := [][]string{
		{"SUNIONSTORE", "d", "sa", "sb"}, {"SDIFFSTORE", "d", "sa", "sb"}, {"SINTERSTORE", "sa2", "sa", "restored:sa"}, {"SUNIONSTORE", "sb", "sb", "sb"},
		{"ZUNIONSTORE", "d", "2", "za", "zb", "WEIGHTS", "2", "3"}, {"ZINTERSTORE", "d", "2", "za", "restored:za"}, {"ZDIFFSTORE", "d", "2", "za", "zb"},
		{"ZUNIONSTORE", "d", "2", "za", "sa", "AGGREGATE", "MAX"},
		{"ZRANGESTORE", "d", "za", "(10", "+inf", "BYSCORE"}, {"ZRANGESTORE", "d", "zb", "0", "-2", "REV"},
		{"SORT", "la", "STORE", "d"}, {"SORT", "sa", "ALPHA", "DESC", "LIMIT", "100", "20000", "STORE", "d"}, {"SORT", "lb", "BY", "nosort", "GET", "#", "STORE", "d"},
		{"RESTORE", "d", "0", payload, "REPLACE"},
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	done := map[string]int{}
	end := time.Now().Add(4 * time.Second)
	for w := range 2 {
		rng := rand.New(rand.NewPCG(uint64(w), 1))
		all.Go(func() {
			var c *harness.Conn
			for n := 0; time.Now().Before(end) || n < len(stores); n++ {
				if c == nil {
					c = leader.MustDial(t)
				}
				args := stores[n%len(stores)]
				c.Send(args...)
				c.Flush()
				if rng.IntN(10) == 0 {
					c.Close() // the reply finds nobody
					c = nil
					continue
				}
				if r, err := c.Receive(); err != nil || r.Err() != "" {
					t.Errorf("%.100q: %v %v", args, r.Err(), err)
					return
				}
				mu.Lock()
				done[args[0]]++
				mu.Unlock()
			}
			c.Close()
		})
		all.Go(func() {
			c := leader.MustDial(t)
			for n := 0; time.Now().Before(end); n++ {
				k := string(rune('a' + rng.IntN(2)))
				v := strconv.Itoa(rng.IntN(members))
				c.MustDo(t, "SADD", "s"+k, v)
				c.MustDo(t, "ZADD", "z"+k, v, v)
				c.MustDo(t, "RPOPLPUSH", "l"+k, "l"+k)
				time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
			}
		})
	}
	all.Wait()
	t.Logf("stored %v", done)
	f := follower.MustDial(t)
	var want, got string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		want, got = c.MustDo(t, "DEBUG", "DIGEST").Str, f.MustDo(t, "DEBUG", "DIGEST").Str
		if want == got {
			break
		}
	}
	if want != got {
		t.Errorf("the follower's digest is %s, the leader's %s", got, want)
	}
	c.MustDo(t, "DEBUG", "LOADAOF")
	if got := c.MustDo(t, "DEBUG", "DIGEST").Str; got != want {
		t.Errorf("the log's digest is %s, want %s", got, want)
	}
	// In a queue of MULTI and in scripts there is nobody who could come again.
	c.MustDo(t, "MULTI")
	c.MustDo(t, "SUNIONSTORE", "d", "sa", "sb")
	if r := c.MustDo(t, "EXEC"); len(r.Elems) != 1 || r.Elems[0].Int < members {
		t.Errorf("EXEC: %v", r)
	}
	if r := c.MustDo(t, "EVAL", "return redis.call('zunionstore',KEYS[1],2,KEYS[2],KEYS[3])", "3", "d", "za", "zb"); r.Int < members {
		t.Errorf("EVAL: %v", r)
	}
}
