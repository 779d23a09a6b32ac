// Package storm drives a leader and its followers with random commands of all
// families while snapshots, rewrites, changes of the configuration and of roles
// run beside them, and looks for what must never be: a stall, a panic, and contents
// that differ. It looks at the servers from outside only.
package storm

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kvd/tests/harness"
)

var (
	length = flag.Duration("storm", 15*time.Second, "how long each storm lasts")
	seed   = flag.Uint64("stormseed", 0, "seed of the random numbers; 0 takes one from the clock")
	// stall is how long a client may wait for what does not wait by its nature.
	stall = flag.Duration("stormstall", 10*time.Second, "the longest that a reply may take; on a machine that does nothing else 2s holds")
)

func TestMain(m *testing.M) { harness.Main(m) }

// commands by family; each word that begins with % is replaced: %k a key of the
// family, %o another one, %n a small number, %v a value.
var commands = strings.Split(strings.TrimSpace(`
SET %k:s %v
SET %k:s %n PX 50
SETRANGE %k:s %n %v
APPEND %k:s %v
INCR %k:c
INCRBYFLOAT %k:c 0.5
GETEX %k:s PX 100
PERSIST %k:s
GETDEL %k:s
SETBIT %k:s %n 1
BITFIELD %k:s INCRBY u8 #1 3
LPUSH %k:l %v %v
RPUSH %k:l %v
LPOP %k:l
LMOVE %k:l %o:l LEFT RIGHT
LINSERT %k:l BEFORE %v %v
LTRIM %k:l 0 50
SADD %k:t %v %v %n
SREM %k:t %v
SPOP %k:t
SMOVE %k:t %o:t %v
SUNIONSTORE %k:t %o:t %k:t
HSET %k:h %v %v %n %v
HDEL %k:h %v
HINCRBY %k:h count %n
HPEXPIRE %k:h 50 FIELDS 1 %v
HPERSIST %k:h FIELDS 1 %v
ZADD %k:z %n %v %n %n
ZINCRBY %k:z 1.5 %v
ZPOPMIN %k:z
ZREMRANGEBYRANK %k:z 20 -1
ZUNIONSTORE %k:z 2 %o:z %k:z
SORT %k:l ALPHA STORE %o:l
COPY %k:s %o:s REPLACE
RENAME %k:l %o:l
DEL %k:t
UNLINK %k:z
PEXPIRE %k:l 80
EXPIRE %k:z 100
MGET %k:s %o:s
LRANGE %k:l 0 -1
SMEMBERS %k:t
HGETALL %k:h
ZRANGE %k:z 0 -1 WITHSCORES
SCAN 0 COUNT 20
RANDOMKEY
DBSIZE
INFO
INFO commandstats
PUBLISH channel %v
OBJECT ENCODING %k:l
CLIENT LIST
SWAPDB 1 2
SELECT 1
SELECT 0
FLUSHDB
`), "\n")

// rare are run one in so many times: they empty much.
var rare = map[string]int{"FLUSHDB": 300, "SWAPDB": 30, "CLIENT": 10, "INFO": 4}

func command(rng *rand.Rand) []string {
	for {
		words := strings.Fields(commands[rng.IntN(len(commands))])
		if n := rare[words[0]]; n > 0 && rng.IntN(n) > 0 {
			continue
		}
		for i, w := range words {
			switch {
			case strings.HasPrefix(w, "%k"), strings.HasPrefix(w, "%o"):
				words[i] = strconv.Itoa(rng.IntN(50)) + w[2:]
			case w == "%n":
				words[i] = strconv.Itoa(rng.IntN(200))
			case w == "%v":
				words[i] = strings.Repeat(string(rune('a'+rng.IntN(8))), 1+rng.IntN(1<<rng.IntN(9)))
			}
		}
		return words
	}
}

// storm is one run.
type storm struct {
	t       *testing.T
	servers []*harness.Server
	stop    atomic.Bool
	done    atomic.Int64
	slowest atomic.Int64 // ns
}

// do runs a batch and measures it. Errors are replies like others here.
func (s *storm) do(c *harness.Conn, what string, batch ...[]string) bool {
	begun := time.Now()
	watch := time.AfterFunc(*stall, func() { s.t.Errorf("no reply to %s for %v", what, *stall) })
	defer watch.Stop()
	for _, args := range batch {
		c.Send(args...)
	}
	if c.Flush() != nil {
		return false
	}
	for range batch {
		r, err := c.Receive()
		if err != nil {
			return false
		}
		if strings.Contains(r.Err(), "internal error") {
			s.t.Errorf("%s: %s", what, r.Err())
		}
	}
	took := time.Since(begun)
	for old := s.slowest.Load(); int64(took) > old && !s.slowest.CompareAndSwap(old, int64(took)); old = s.slowest.Load() {
	}
	if took > *stall {
		s.t.Errorf("%s took %v", what, took)
	}
	s.done.Add(int64(len(batch)))
	return true
}

// client runs random commands on one server, alone, in pipelines and in EXEC.
func (s *storm) client(at *harness.Server, rng *rand.Rand) {
	for !s.stop.Load() {
		c, err := at.Dial()
		if err != nil {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		for !s.stop.Load() {
			var batch [][]string
			for range 1 + rng.IntN(1<<rng.IntN(6)) {
				batch = append(batch, command(rng))
			}
			if rng.IntN(3) == 0 {
				batch = append(append([][]string{{"MULTI"}}, batch...), []string{"EXEC"})
			}
			if !s.do(c, fmt.Sprintf("a batch that begins with %q", batch[0]), batch...) {
				break // a change of roles ends connections
			}
		}
		c.Close()
	}
}

// waiter blocks, for short times, in all ways.
func (s *storm) waiter(at *harness.Server, rng *rand.Rand) {
	for !s.stop.Load() {
		c, err := at.Dial()
		if err != nil {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		for !s.stop.Load() {
			k := strconv.Itoa(rng.IntN(50))
			args := [][]string{{"BLPOP", k + ":l", "0.05"}, {"BLMOVE", k + ":l", "1:l", "LEFT", "LEFT", "0.05"}, {"BZPOPMIN", k + ":z", "0.05"},
				{"WAIT", "1", "1"}, {"WAIT", "2", "50"}, {"WAITAOF", "1", "0", "50"}, {"WAITAOF", "0", "1", "1"}}[rng.IntN(7)]
			if !s.do(c, fmt.Sprintf("%q", args), args) {
				break
			}
		}
		c.Close()
	}
}

// administrator does what disturbs.
func (s *storm) administrator(at *harness.Server, rng *rand.Rand) {
	what := strings.Split(`BGSAVE
BGREWRITEAOF
CONFIG SET appendonly no
CONFIG SET appendonly yes
CONFIG SET appendfsync always
CONFIG SET appendfsync everysec
CONFIG SET notify-keyspace-events KEA
CONFIG SET notify-keyspace-events ""
CONFIG SET hash-max-listpack-entries 4
CONFIG SET hash-max-listpack-entries 128
CONFIG SET repl-backlog-size 100kb
CONFIG SET repl-backlog-size 1mb
CLIENT PAUSE 100 WRITE
CLIENT PAUSE 50 ALL
CLIENT KILL TYPE replica
CONFIG RESETSTAT
DEBUG RELOAD
LATENCY RESET
SLOWLOG RESET`, "\n")
	for !s.stop.Load() {
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
		c, err := at.Dial()
		if err != nil {
			continue
		}
		line := what[rng.IntN(len(what))]
		args := strings.Fields(strings.ReplaceAll(line, `""`, "-"))
		if args[len(args)-1] == "-" {
			args[len(args)-1] = ""
		}
		s.do(c, line, args)
		c.Close()
	}
}

// roles has followers follow somebody else, or nobody, for a while. The first server
// is told to lead at the end of each turn.
func (s *storm) roles(rng *rand.Rand) {
	for !s.stop.Load() {
		time.Sleep(time.Duration(500+rng.IntN(1500)) * time.Millisecond)
		f, to := s.servers[1+rng.IntN(len(s.servers)-1)], s.servers[rng.IntN(len(s.servers))]
		c, err := f.Dial()
		if err != nil {
			continue
		}
		switch {
		case rng.IntN(3) == 0:
			s.do(c, "REPLICAOF NO ONE", []string{"REPLICAOF", "NO", "ONE"})
		case f != to && to == s.servers[0]:
			s.do(c, "REPLICAOF", []string{"REPLICAOF", "127.0.0.1", strconv.Itoa(to.Port)})
		}
		c.Close()
	}
}

func (s *storm) info(c *harness.Conn, name string) string {
	_, rest, _ := strings.Cut(c.MustDo(s.t, "INFO", "replication").Str, "\n"+name+":")
	v, _, _ := strings.Cut(rest, "\r")
	return v
}

// settle has all follow the first server and compares what they have.
func (s *storm) settle() {
	t := s.t
	l := s.servers[0].MustDial(t)
	l.MustDo(t, "CLIENT", "UNPAUSE")
	for i, sv := range s.servers[1:] {
		f := sv.MustDial(t)
		f.MustDo(t, "CLIENT", "UNPAUSE")
		f.MustDo(t, "REPLICAOF", "127.0.0.1", strconv.Itoa(s.servers[0].Port))
		var a, b string
		ok := false
		for end := time.Now().Add(60 * time.Second); !ok && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if s.info(f, "master_link_status") != "up" || s.info(l, "master_repl_offset") != s.info(f, "slave_repl_offset") {
				continue
			}
			a, b = l.MustDo(t, "DEBUG", "DIGEST").Str, f.MustDo(t, "DEBUG", "DIGEST").Str
			ok = a == b
		}
		if !ok {
			t.Errorf("follower %d has the digest %q, the leader %q", i+1, b, a)
		}
	}
	for i, sv := range s.servers {
		if err := sv.Check(); err != nil {
			t.Errorf("server %d: %v", i, err)
		}
		log, err := os.ReadFile(sv.LogPath())
		if err != nil {
			t.Error(err)
		}
		// A stream that cannot be applied is a follower that was not what its leader was.
		for _, bad := range []string{"Panic in command", "DATA RACE", "fatal error:", "goroutine ", "cannot be applied"} {
			if at := bytes.Index(log, []byte(bad)); at >= 0 {
				t.Errorf("the log of server %d has %q: %.2000s", i, bad, log[at:])
			}
		}
	}
}

// TestStorm runs with one, two and four event loops.
func TestStorm(t *testing.T) {
	base := *seed
	if base == 0 {
		base = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", base)
	for _, loops := range []string{"1", "2", "4"} {
		t.Run(loops+" loops", func(t *testing.T) {
			rng := rand.New(rand.NewPCG(base, 1))
			s := &storm{t: t}
			for range 3 {
				s.servers = append(s.servers, harness.StartKVD(t, "--event-loops", loops, "--enable-debug-command", "yes", "--save", "", "--repl-diskless-sync-delay", "0", "--appendonly", "yes"))
			}
			for _, f := range s.servers[1:] {
				f.MustDial(t).MustDo(t, "REPLICAOF", "127.0.0.1", strconv.Itoa(s.servers[0].Port))
			}
			var all sync.WaitGroup
			start := func(f func(rng *rand.Rand)) {
				own := rand.New(rand.NewPCG(rng.Uint64(), 2))
				all.Go(func() { f(own) })
			}
			for range 6 {
				start(func(rng *rand.Rand) { s.client(s.servers[0], rng) })
			}
			for _, at := range s.servers {
				start(func(rng *rand.Rand) { s.client(at, rng) })
				start(func(rng *rand.Rand) { s.waiter(at, rng) })
				start(func(rng *rand.Rand) { s.administrator(at, rng) })
			}
			start(s.roles)
			time.Sleep(*length)
			s.stop.Store(true)
			all.Wait()
			s.settle()
			t.Logf("%d commands, the slowest batch %v", s.done.Load(), time.Duration(s.slowest.Load()))
		})
	}
}
