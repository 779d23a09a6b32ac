package tests

import (
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kvd/tests/harness"
)

// replicationTime is how long the test of cut links writes.
var replicationTime = flag.Duration("replication-time", 6*time.Second, "how long the test of cut replication links writes")

// within polls until ok, for so long at most, and fails the test if it never is.
func within(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", limit, what)
		}
	}
}

// info is one field of INFO.
func info(t testing.TB, c *harness.Conn, section, name string) string {
	t.Helper()
	for _, l := range strings.Split(c.MustDo(t, "INFO", section).Str, "\r\n") {
		if v, ok := strings.CutPrefix(l, name+":"); ok {
			return v
		}
	}
	return ""
}

func infoInt(t testing.TB, c *harness.Conn, section, name string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(info(t, c, section, name), 10, 64)
	if err != nil {
		t.Fatalf("INFO %s has %s: %v", section, name, err)
	}
	return n
}

// follow has the server behind c follow addr, and waits until it is in sync.
func follow(t testing.TB, c *harness.Conn, addr string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	if r := c.MustDo(t, "REPLICAOF", host, port); r.Err() != "" {
		t.Fatal(r)
	}
	inSync(t, c)
}

func inSync(t testing.TB, c *harness.Conn) {
	t.Helper()
	within(t, 20*time.Second, "link up", func() bool { return info(t, c, "replication", "master_link_status") == "up" })
}

// sameContents waits until the followers have what the leader has.
func sameContents(t testing.TB, leader *harness.Conn, followers ...*harness.Conn) {
	t.Helper()
	for i, f := range followers {
		var a, b string
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			a, b = leader.MustDo(t, "DEBUG", "DIGEST").Str, f.MustDo(t, "DEBUG", "DIGEST").Str
			if a == b && infoInt(t, leader, "replication", "master_repl_offset") == infoInt(t, f, "replication", "slave_repl_offset") {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("follower %d has the digest %s at %s, and the leader %s at %s", i, b, info(t, f, "replication", "slave_repl_offset"), a, info(t, leader, "replication", "master_repl_offset"))
			}
		}
	}
}

// proxy forwards connections to a server, until they are cut.
type proxy struct {
	Addr string
	to   string
	l    net.Listener

	mu    sync.Mutex // protects conns
	conns map[net.Conn]bool
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Addr: l.Addr().String(), to: to, l: l, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { l.Close(); p.cut() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

func (p *proxy) serve(c net.Conn) {
	s, err := net.Dial("tcp", p.to)
	if err != nil {
		c.Close()
		return
	}
	p.mu.Lock()
	p.conns[c], p.conns[s] = true, true
	p.mu.Unlock()
	var both sync.WaitGroup
	pipe := func(to, from net.Conn) {
		io.Copy(to, from)
		to.Close()
		from.Close()
	}
	both.Go(func() { pipe(s, c) })
	both.Go(func() { pipe(c, s) })
	both.Wait()
	p.mu.Lock()
	delete(p.conns, c)
	delete(p.conns, s)
	p.mu.Unlock()
}

// cut ends all connections in the middle of whatever they carry.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		c.Close()
	}
}

// randomWrite is one write, in Redis 7.0's language, or several in MULTI.
func randomWrite(r *rand.Rand, send func(args ...string)) {
	key := func(kind string) string { return kind + strconv.Itoa(r.IntN(60)) }
	member := func() string { return "m" + strconv.Itoa(r.IntN(200)) }
	word := func() string { return strings.Repeat(string(rune('a'+r.IntN(26))), 1+r.IntN(40)) }
	num := func(n int) string { return strconv.Itoa(r.IntN(n)) }
	one := func() {
		switch r.IntN(34) {
		case 0, 1, 2:
			send("SET", key("s"), word())
		case 3:
			send("SET", key("v"), word(), "PX", num(3000)+"1")
		case 4:
			send("INCRBY", key("n"), num(100))
		case 5:
			send("INCRBYFLOAT", key("f"), "0.1")
		case 6:
			send("APPEND", key("s"), word())
		case 7:
			send("SETRANGE", key("s"), num(100), word())
		case 8:
			send("LPUSH", key("l"), word(), word())
		case 9:
			send("RPUSH", key("l"), word())
		case 10:
			send("LPOP", key("l"), "2")
		case 11:
			send("LMOVE", key("l"), key("l"), "LEFT", "RIGHT")
		case 12, 13:
			send("SADD", key("t"), member(), member(), num(1000))
		case 14:
			send("SPOP", key("t"), num(3))
		case 15:
			send("SMOVE", key("t"), key("t"), member())
		case 16:
			send("SUNIONSTORE", key("t"), key("t"), key("t"))
		case 17, 18:
			send("HSET", key("h"), member(), word())
		case 19:
			send("HINCRBYFLOAT", key("h"), "float", "1.5")
		case 20:
			send("HDEL", key("h"), member(), member())
		case 21, 22:
			send("ZADD", key("z"), num(1000), member())
		case 23:
			send("ZPOPMIN", key("z"))
		case 24:
			send("ZINCRBY", key("z"), "0.25", member())
		case 25:
			send("ZUNIONSTORE", key("z"), "2", key("z"), key("t"))
		case 26:
			send("PEXPIRE", key([]string{"s", "l", "t", "h", "z"}[r.IntN(5)]), num(2000)+"1")
		case 27:
			send("PERSIST", key("v"))
		case 28:
			send("DEL", key("l"), key("z"), key("t"))
		case 29:
			send("RENAME", key("s"), key("s"))
		case 30:
			send("COPY", key("h"), key("h"), "REPLACE")
		case 31:
			send("GETEX", key("v"), "PX", num(1000)+"1")
		case 32:
			send("SETBIT", key("b"), num(5000), num(2))
		case 33:
			send("MOVE", key("s"), num(3))
		}
	}
	switch r.IntN(60) {
	case 0:
		send("MULTI")
		for range 1 + r.IntN(6) {
			one()
		}
		send("EXEC")
	case 1, 2, 3:
		send("SELECT", num(4))
	case 4:
		send("SWAPDB", num(4), num(4))
	case 5:
		if r.IntN(40) == 0 {
			send("FLUSHDB")
		}
	default:
		one()
	}
}

// writeLoad writes to a server from two connections until stop is closed.
func writeLoad(t testing.TB, s *harness.Server, seed uint64, stop <-chan struct{}) *sync.WaitGroup {
	t.Helper()
	var done sync.WaitGroup
	for n := range 2 {
		c := s.MustDial(t)
		done.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(n)))
			for {
				select {
				case <-stop:
					return
				default:
				}
				sent := 0
				for range 40 {
					randomWrite(r, func(args ...string) { sent++; c.Send(args...) })
				}
				if err := c.Flush(); err != nil {
					t.Error(err)
					return
				}
				for range sent {
					if _, err := c.Receive(); err != nil {
						t.Error(err)
						return
					}
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	return &done
}

type startServer func(t testing.TB, args ...string) *harness.Server

// TestReplicationCuts cuts the link every so often while the leader is written
// to: every time the follower goes on from where it was.
func TestReplicationCuts(t *testing.T) {
	for _, pair := range []struct {
		name             string
		leader, follower startServer
	}{
		{"kvd follows redis", harness.StartRedis, harness.StartKVD},
		{"redis follows kvd", harness.StartKVD, harness.StartRedis},
		{"kvd follows kvd", harness.StartKVD, harness.StartKVD},
	} {
		t.Run(pair.name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			leader := pair.leader(t, "--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb")
			follower := pair.follower(t, "--repl-diskless-load", []string{"disabled", "on-empty-db", "swapdb"}[seed%3])
			p := newProxy(t, leader.Addr)
			lc, fc := leader.MustDial(t), follower.MustDial(t)
			fc.MustDo(t, "SET", "mine", "goes")
			stop := make(chan struct{})
			load := writeLoad(t, leader, seed, stop)
			follow(t, fc, p.Addr)
			cuts := int64(0)
			for end := time.Now().Add(*replicationTime); time.Now().Before(end); cuts++ {
				time.Sleep(time.Duration(300+rand.IntN(1200)) * time.Millisecond)
				p.cut()
				within(t, 10*time.Second, "link down and up", func() bool { return infoInt(t, lc, "stats", "sync_partial_ok") > cuts })
				inSync(t, fc)
			}
			close(stop)
			load.Wait()
			sameContents(t, lc, fc)
			if full := infoInt(t, lc, "stats", "sync_full"); full != 1 {
				t.Errorf("%d full synchronizations", full)
			}
			t.Logf("%d cuts, %d bytes", cuts, infoInt(t, lc, "replication", "master_repl_offset"))
		})
	}
}

// TestReplicationChain has the last of three follow the middle one; the first
// one's end makes the middle one the leader, and nobody needs all anew.
func TestReplicationChain(t *testing.T) {
	for _, c := range []struct {
		name                string
		first, middle, last startServer
	}{
		{"kvd kvd kvd", harness.StartKVD, harness.StartKVD, harness.StartKVD},
		{"redis kvd redis", harness.StartRedis, harness.StartKVD, harness.StartRedis},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			var servers []*harness.Server
			var conns []*harness.Conn
			for _, start := range []startServer{c.first, c.middle, c.last} {
				// A PING that not all have got at a change of roles would put its leader ahead.
				s := start(t, "--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb", "--repl-ping-replica-period", "3600")
				servers, conns = append(servers, s), append(conns, s.MustDial(t))
			}
			// What expires between the comparison and the change of roles would put the first one ahead.
			conns[0].MustDo(t, "DEBUG", "SET-ACTIVE-EXPIRE", "0")
			stop := make(chan struct{})
			load := writeLoad(t, servers[0], seed, stop)
			follow(t, conns[1], servers[0].Addr)
			follow(t, conns[2], servers[1].Addr)
			time.Sleep(700 * time.Millisecond)
			close(stop)
			load.Wait()
			sameContents(t, conns[0], conns[1], conns[2])

			// The middle one leads; the old leader and the last one follow it.
			if r := conns[1].MustDo(t, "REPLICAOF", "NO", "ONE"); r.Err() != "" {
				t.Fatal(r)
			}
			stop = make(chan struct{})
			load = writeLoad(t, servers[1], seed+1, stop)
			follow(t, conns[0], servers[1].Addr)
			time.Sleep(300 * time.Millisecond)
			close(stop)
			load.Wait()
			within(t, 10*time.Second, "link up", func() bool { return info(t, conns[2], "replication", "master_link_status") == "up" })
			sameContents(t, conns[1], conns[0], conns[2])
			if full := infoInt(t, conns[1], "stats", "sync_full"); full != 1 {
				t.Errorf("the middle one was asked for %d full synchronizations", full)
			}
			if id := info(t, conns[1], "replication", "master_replid"); id != info(t, conns[0], "replication", "master_replid") || id != info(t, conns[2], "replication", "master_replid") {
				t.Error("the replication ids differ")
			}
		})
	}
}

// TestFollowerMode is what a follower does and does not do for its clients.
func TestFollowerMode(t *testing.T) {
	leader, follower := harness.StartRedis(t, "--repl-diskless-sync-delay", "0"), harness.StartKVD(t)
	l, f := leader.MustDial(t), follower.MustDial(t)
	want := func(c *harness.Conn, reply string, args ...string) {
		t.Helper()
		if got := string(c.MustDo(t, args...).Raw); got != reply {
			t.Errorf("%q: %q, want %q", args, got, reply)
		}
	}
	blocked := follower.MustDial(t)
	blocked.Send("BLPOP", "list", "0")
	blocked.Flush()
	within(t, 5*time.Second, "blocked", func() bool { return info(t, f, "clients", "blocked_clients") == "1" })
	follow(t, f, leader.Addr)
	if r, err := blocked.Receive(); err != nil || !strings.HasPrefix(r.Err(), "UNBLOCKED") {
		t.Errorf("the blocked client got %v, %v", r, err)
	}
	const readOnly = "-READONLY You can't write against a read only replica.\r\n"
	want(f, readOnly, "SET", "a", "b")
	want(f, "+OK\r\n", "MULTI")
	want(f, readOnly, "SET", "a", "b")
	want(f, "-EXECABORT Transaction discarded because of previous errors.\r\n", "EXEC")
	want(f, "+OK Already connected to specified master\r\n", "REPLICAOF", "127.0.0.1", strconv.Itoa(leader.Port))

	// Nothing expires by itself, but nobody sees it.
	l.MustDo(t, "DEBUG", "SET-ACTIVE-EXPIRE", "0")
	l.MustDo(t, "SET", "brief", "x", "PX", "30")
	l.MustDo(t, "SET", "long", "x")
	within(t, 5*time.Second, "long", func() bool { return f.MustDo(t, "GET", "long").Str == "x" })
	within(t, 5*time.Second, "brief hidden", func() bool { return f.MustDo(t, "GET", "brief").Null })
	want(f, ":2\r\n", "DBSIZE")
	want(f, ":0\r\n", "EXISTS", "brief")
	want(l, "$-1\r\n", "GET", "brief") // which removes it
	within(t, 5*time.Second, "brief gone", func() bool { return f.MustDo(t, "DBSIZE").Int == 1 })

	// Without its leader.
	if list := f.MustDo(t, "CLIENT", "LIST", "TYPE", "master").Str; !strings.Contains(list, " flags=M ") {
		t.Errorf("CLIENT LIST TYPE master: %q", list)
	}
	want(f, "+OK\r\n", "CONFIG", "SET", "replica-serve-stale-data", "no")
	want(f, "$1\r\nx\r\n", "GET", "long")
	if err := leader.Stop(); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "link down", func() bool { return info(t, f, "replication", "master_link_status") == "down" })
	want(f, "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n", "GET", "long")
	want(f, "+OK\r\n", "REPLICAOF", "NO", "ONE")
	want(f, "$1\r\nx\r\n", "GET", "long")
	want(f, "+OK\r\n", "SET", "a", "b")
	if err := leader.Restart(); err != nil {
		t.Fatal(err)
	}
}

// TestQuietLeader cuts the link to a leader that has nothing to send: it sees
// that the follower has gone, and not only with the next bytes.
func TestQuietLeader(t *testing.T) {
	leader, follower := harness.StartKVD(t, "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "3600"), harness.StartKVD(t)
	l, f := leader.MustDial(t), follower.MustDial(t)
	follow(t, f, leader.Addr)
	for range 3 {
		within(t, 5*time.Second, "a link cut", func() bool { return f.MustDo(t, "CLIENT", "KILL", "TYPE", "master").Int == 1 })
	}
	inSync(t, f)
	within(t, 5*time.Second, "one follower", func() bool { return info(t, l, "replication", "connected_slaves") == "1" })
	if n := infoInt(t, l, "stats", "sync_full"); n != 1 {
		t.Errorf("%d full synchronizations", n)
	}
}

// TestKilledReplica kills a follower's link in a transaction that then writes more
// than the backlog holds: none of it is for that link, so the follower has to come
// for all anew.
func TestKilledReplica(t *testing.T) {
	leader, follower := harness.StartKVD(t, "--repl-diskless-sync-delay", "0"), harness.StartKVD(t)
	l, f := leader.MustDial(t), follower.MustDial(t)
	follow(t, f, leader.Addr)
	for i := range 10 {
		l.MustDo(t, "MULTI")
		l.MustDo(t, "CLIENT", "KILL", "TYPE", "replica")
		l.MustDo(t, "INFO", "replication")
		l.MustDo(t, "CONFIG", "SET", "repl-backlog-size", "16384")
		for k := range 10 {
			l.MustDo(t, "SET", "k"+strconv.Itoa(k), strings.Repeat(strconv.Itoa(i), 16384))
		}
		r := l.MustDo(t, "EXEC")
		if len(r.Elems) != 13 || r.Elems[0].Int != 1 || !strings.Contains(r.Elems[1].Str, "connected_slaves:0\r\n") {
			t.Fatalf("EXEC: %.1000s", r)
		}
		within(t, 20*time.Second, "a synchronization", func() bool { return infoInt(t, l, "stats", "sync_full") >= int64(2+i) })
		sameContents(t, l, f)
		if n := infoInt(t, l, "stats", "sync_partial_ok"); n != 0 {
			t.Fatalf("round %d: the follower was let go on where it was", i)
		}
		inSync(t, f)
	}
}

// TestUnfitStream has a follower meet what it cannot apply: it says so, names
// it, and does not go on as if nothing had happened.
func TestUnfitStream(t *testing.T) {
	leader, follower := harness.StartRedis(t, "--repl-diskless-sync-delay", "0"), harness.StartKVD(t)
	l, f := leader.MustDial(t), follower.MustDial(t)
	follow(t, f, leader.Addr)
	// No command of Redis 7.0 that writes is unknown here for ever, so it is made one.
	l.MustDo(t, "SET", "a", "1")
	within(t, 5*time.Second, "a", func() bool { return f.MustDo(t, "GET", "a").Str == "1" })
	l.MustDo(t, "DEBUG", "REPLICATE", "LPUSH", "a", "x")
	within(t, 5*time.Second, "down", func() bool { return info(t, f, "replication", "master_link_status") == "down" })
	within(t, 10*time.Second, "the log says what happened", func() bool {
		log := follower.LogTail()
		return strings.Contains(log, "'LPUSH' failed: WRONGTYPE") && strings.Contains(log, `first argument "a"`) && strings.Contains(log, "at offset ")
	})
}

// TestFullSyncKeepsOld cuts a leader's snapshot off in the middle: what was there stays
// where it is loaded beside it or taken to a file first.
func TestFullSyncKeepsOld(t *testing.T) {
	for _, how := range []string{"disabled", "swapdb"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			leader := harness.StartRedis(t, "--repl-diskless-sync-delay", "0", "--rdb-key-save-delay", "500")
			follower := harness.StartKVD(t, "--repl-diskless-load", how)
			l, f := leader.MustDial(t), follower.MustDial(t)
			l.MustDo(t, "DEBUG", "POPULATE", "20000", "k", "200")
			f.MustDo(t, "SET", "old", "1")
			f.MustDo(t, "SET", "brief", "1", "PX", "100000")
			p := newProxy(t, leader.Addr)
			host, port, _ := net.SplitHostPort(p.Addr)
			f.MustDo(t, "REPLICAOF", host, port)
			within(t, 10*time.Second, "the snapshot is on its way", func() bool { return infoOr(t, f, "master_sync_read_bytes") > 100_000 })
			p.l.Close()
			p.cut()
			within(t, 5*time.Second, "link down", func() bool { return info(t, f, "replication", "master_sync_in_progress") == "0" })
			if got := f.MustDo(t, "GET", "old").Str; got != "1" {
				t.Errorf("GET old: %q", got)
			}
			if got := f.MustDo(t, "DBSIZE").Int; got != 2 {
				t.Errorf("DBSIZE: %d", got)
			}
			l.MustDo(t, "CONFIG", "SET", "rdb-key-save-delay", "0")
			follow(t, f, leader.Addr)
			sameContents(t, l, f)
		})
	}
}

func infoOr(t testing.TB, c *harness.Conn, name string) int64 {
	n, _ := strconv.ParseInt(info(t, c, "replication", name), 10, 64)
	return n
}

// TestMove moves a working set from Redis to kvd and back while it is written
// to: every increment that was acknowledged is there, and none twice.
func TestMove(t *testing.T) {
	redis := harness.StartRedis(t, "--repl-diskless-sync-delay", "0")
	kvd := harness.StartKVD(t, "--repl-diskless-sync-delay", "0", "--appendonly", "yes")
	back := harness.StartRedis(t)

	var mu sync.Mutex // protects what follows
	addr, acked, ended := redis.Addr, int64(0), false
	var conn *harness.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			mu.Lock()
			if ended {
				mu.Unlock()
				return
			}
			c, err := harness.Dial(addr)
			conn = c
			mu.Unlock()
			if err != nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			over := func() bool { mu.Lock(); defer mu.Unlock(); return ended }
			for err == nil && !over() {
				var r harness.Reply
				if r, err = c.Do("INCR", "n"); err == nil && r.Kind == ':' {
					mu.Lock()
					acked++
					mu.Unlock()
				} else if err == nil {
					break // not a leader any more
				}
			}
			c.Close()
			time.Sleep(5 * time.Millisecond)
		}
	}()
	move := func(from, to *harness.Server) {
		t.Helper()
		f, n := from.MustDial(t), to.MustDial(t)
		follow(t, n, from.Addr)
		time.Sleep(200 * time.Millisecond)
		if r := f.MustDo(t, "CLIENT", "PAUSE", "20000", "WRITE"); r.Err() != "" {
			t.Fatal(r)
		}
		within(t, 10*time.Second, "the offsets are the same", func() bool {
			return infoInt(t, f, "replication", "master_repl_offset") == infoInt(t, n, "replication", "slave_repl_offset")
		})
		if r := n.MustDo(t, "REPLICAOF", "NO", "ONE"); r.Err() != "" {
			t.Fatal(r)
		}
		mu.Lock()
		addr = to.Addr
		conn.Close() // it waits for the end of the pause
		before := acked
		mu.Unlock()
		follow(t, f, to.Addr) // so whoever still writes there is refused
		within(t, 10*time.Second, "writes go on", func() bool { mu.Lock(); defer mu.Unlock(); return acked > before+20 })
	}
	move(redis, kvd)
	move(kvd, back)
	mu.Lock()
	ended = true
	mu.Unlock()
	<-done
	b, k := back.MustDial(t), kvd.MustDial(t)
	if got := b.MustDo(t, "GET", "n").Str; got != strconv.FormatInt(acked, 10) {
		t.Errorf("%d increments were acknowledged, and the number is %s", acked, got)
	}
	sameContents(t, b, k)
	digest := b.MustDo(t, "DEBUG", "DIGEST").Str
	// The follower's own log has it all, too.
	within(t, 10*time.Second, "log rewritten and written", func() bool {
		return info(t, k, "persistence", "aof_rewrite_in_progress") == "0" && info(t, k, "persistence", "aof_buffer_length") == "0"
	})
	if err := kvd.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := kvd.Restart(); err != nil {
		t.Fatal(err)
	}
	if got := kvd.MustDial(t).MustDo(t, "DEBUG", "DIGEST").Str; got != digest {
		t.Errorf("after kill -9 of the follower its digest is %s, want %s", got, digest)
	}
	t.Logf("%d increments", acked)
}
