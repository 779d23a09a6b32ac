package command

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kvd/keyspace"
	"kvd/resp/wire"
)

// fakeConn keeps what a parked client is sent.
type fakeConn struct {
	replies chan string
}

func newFakeConn() *fakeConn { return &fakeConn{make(chan string, 16)} }

func (f *fakeConn) Kill(bool)                     {}
func (f *fakeConn) Push([]byte)                   {}
func (f *fakeConn) Hijack(func(net.Conn, []byte)) {}
func (f *fakeConn) Deliver(parts ...[]byte)       { f.replies <- string(slices.Concat(parts...)) }

func (f *fakeConn) wait(t testing.TB) string {
	t.Helper()
	select {
	case r := <-f.replies:
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("a parked client was sent nothing")
		return ""
	}
}

// blocker is a client that blocks.
type blocker struct {
	*Client
	s    *testServer
	conn *fakeConn
}

// block runs a command line on a new client, which must park.
func (s *testServer) block(line string) *blocker {
	s.t.Helper()
	conn := newFakeConn()
	b := &blocker{s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 4), s, conn}
	b.run(line)
	return b
}

func (b *blocker) run(line string) {
	b.s.t.Helper()
	mine := b.s.c
	b.s.c = b.Client
	defer func() { b.s.c = mine }()
	if got := b.s.run(line); got != "" || !b.Blocked() {
		b.s.t.Fatalf("%s did not block but replied %q", line, got)
	}
}

// want is what the client was sent by now, written with \n for CRLF.
func (b *blocker) want(reply string) {
	b.s.t.Helper()
	select {
	case got := <-b.conn.replies:
		if got != strings.ReplaceAll(reply, "\n", "\r\n") {
			b.s.t.Errorf("a blocked client got %q, want %q", got, reply)
		}
		if b.Blocked() {
			b.s.t.Error("a served client still counts as blocked")
		}
	default:
		b.s.t.Errorf("a blocked client got nothing, want %q", reply)
	}
}

func (b *blocker) wantNothing() {
	b.s.t.Helper()
	select {
	case got := <-b.conn.replies:
		b.s.t.Errorf("a client that should wait got %q", got)
	default:
		if !b.Blocked() {
			b.s.t.Error("a client that should wait does not")
		}
	}
}

// wantNoWaiters checks that nothing is left of anybody's wait.
func (s *testServer) wantNoWaiters() {
	s.t.Helper()
	if err := s.CheckIdle(); err != nil {
		s.t.Error(err)
	}
}

func TestBlockArguments(t *testing.T) {
	s := newTestServer(t)
	s.want("BLPOP l x", "-ERR timeout is not a float or out of range\n")
	s.want("BLPOP l nan", "-ERR timeout is not a float or out of range\n")
	s.want("BLPOP l -1", "-ERR timeout is negative\n")
	s.want("BLPOP l -inf", "-ERR timeout is negative\n")
	for _, long := range []string{"inf", "1e400", "9223372036854775807", "9223372036854775"} {
		s.want("BLPOP l "+long, "-ERR timeout is out of range\n")
	}
	s.want("BLPOP l -0.0001", "*-1\n") // no connection: as inside MULTI
	s.want("BLPOP l 1e-400", "*-1\n")
	s.want("BLMOVE a b LEFT up x", "-ERR syntax error\n")
	s.want("BLMOVE a b LEFT LEFT x", "-ERR timeout is not a float or out of range\n")
	s.want("BLMOVE a b LEFT LEFT 0", "$-1\n")
	s.want("BRPOPLPUSH a b 0", "$-1\n")
	s.want("BLMPOP x 0 a LEFT", "-ERR numkeys should be greater than 0\n")
	s.want("BLMPOP x 1 a LEFT", "-ERR timeout is not a float or out of range\n")
	s.want("BLMPOP 0 1 a LEFT", "*-1\n")
}

func TestBlockInOrder(t *testing.T) {
	s := newTestServer(t)
	a, b, c := s.block("BLPOP l 0"), s.block("BRPOP other l l 0"), s.block("BLMPOP 0 2 l more RIGHT COUNT 2")
	s.want("RPUSH l 1", ":1\n")
	a.want("*2\n$1\nl\n$1\n1\n")
	b.wantNothing()
	s.want("RPUSH l 2 3 4 5", ":4\n")
	b.want("*2\n$1\nl\n$1\n5\n")
	c.want("*2\n$1\nl\n*2\n$1\n4\n$1\n3\n")
	s.wantList("l", "2")
	s.wantEffects("RPUSH l 1", "LPOP l", "RPUSH l 2 3 4 5", "RPOP l", "RPOP l 2")
	s.wantNoWaiters()
}

func TestBlockResp3(t *testing.T) {
	s := newTestServer(t)
	b := s.block("BLPOP l 0")
	b.SetProto(3)
	s.Unblock(b.Client, false)
	b.want("_\n")
	b.run("BLMOVE l m LEFT RIGHT 0")
	s.Unblock(b.Client, true)
	b.want("-UNBLOCKED client unblocked via CLIENT UNBLOCK\n")
	if s.Unblock(b.Client, true) {
		t.Error("a client was unblocked twice")
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if s.CheckIdle() == nil {
			break
		}
	}
	s.want("RPUSH l a", ":1\n")
	s.wantList("l", "a")
	s.wantNoWaiters()
}

func TestBlockTransaction(t *testing.T) {
	s := newTestServer(t)
	a := s.block("BLPOP k1 k2 0")
	for _, line := range []string{"MULTI", "LPUSH k1 x", "DEL k1", "RPUSH k2 a", "RPUSH k1 b", "LPUSH k1 c", "EXEC"} {
		s.run(line)
	}
	a.want("*2\n$2\nk1\n$1\nc\n") // k1 was ready first
	s.wantList("k1", "b")
	s.wantList("k2", "a")
	s.wantEffects("MULTI", "LPUSH k1 x", "DEL k1", "RPUSH k2 a", "RPUSH k1 b", "LPUSH k1 c", "EXEC", "LPOP k1")
	s.run("MULTI")
	s.run("BLPOP none 0")
	s.run("BLMOVE none none LEFT LEFT 0")
	s.want("EXEC", "*2\n*-1\n$-1\n")
	s.wantNoWaiters()
}

func TestBlockOtherTypes(t *testing.T) {
	s := newTestServer(t)
	a, b := s.block("BLPOP k 0"), s.block("BLMOVE k dst LEFT RIGHT 0")
	s.want("SET k str", "+OK\n")
	s.want("DEL k", ":1\n")
	s.run("MULTI")
	s.run("LPUSH k x")
	s.run("SET k str")
	s.run("EXEC")
	a.wantNothing()
	s.run("DEL k")
	s.run("SET dst str")
	s.run("RPUSH k 1 2")
	a.want("*2\n$1\nk\n$1\n1\n")
	b.want("-WRONGTYPE Operation against a key holding the wrong kind of value\n")
	s.wantList("k", "2")
	s.wantNoWaiters()
	if got := s.run("INFO errorstats"); !strings.Contains(got, "errorstat_WRONGTYPE:count=1\r\n") {
		t.Errorf("the error of a blocked client was not counted once: %s", got)
	}
}

// The keys lie in different stripes, so a push has to lock what it hands on to.
func TestBlockChain(t *testing.T) {
	s := newTestServer(t)
	var waiters []*blocker
	const n = 40
	for i := range n {
		waiters = append(waiters, s.block(fmt.Sprintf("BLMOVE k%d k%d LEFT RIGHT 0", i, i+1)))
	}
	last := s.block(fmt.Sprintf("BLPOP k%d 0", n))
	self := s.block("BRPOPLPUSH self self 0")
	s.effects = nil
	s.want("RPUSH k0 x", ":1\n")
	want := []string{"RPUSH k0 x"}
	for i, w := range waiters {
		w.want("$1\nx\n")
		want = append(want, fmt.Sprintf("LMOVE k%d k%d LEFT RIGHT", i, i+1))
	}
	last.want("*2\n$3\nk40\n$1\nx\n")
	s.wantEffects(append(want, "LPOP k40")...)
	self.wantNothing()
	s.run("RPUSH self a b")
	self.want("$1\nb\n")
	s.wantList("self", "b", "a")
	s.wantNoWaiters()
}

// FIFO holds where the first one needs another stripe.
func TestBlockForeignFirst(t *testing.T) {
	s := newTestServer(t)
	var waiters []*blocker
	for i := range 10 {
		waiters = append(waiters, s.block(fmt.Sprintf("BRPOPLPUSH src dst%d 0", i)), s.block("BLPOP src 0"))
	}
	for i := range 10 {
		s.run("RPUSH src x")
		waiters[2*i].want("$1\nx\n")
		s.wantList(fmt.Sprintf("dst%d", i), "x")
		s.run("RPUSH src x")
		waiters[2*i+1].want("*2\n$3\nsrc\n$1\nx\n")
	}
	s.wantNoWaiters()
}

func TestBlockEnds(t *testing.T) {
	s := newTestServer(t)
	a := s.block("BLPOP k1 k2 0.02")
	if got := a.conn.wait(t); got != "*-1\r\n" {
		t.Errorf("a timeout replied %q", got)
	}
	b := s.block("BLMOVE k1 k2 LEFT LEFT 0.001")
	if got := b.conn.wait(t); got != "*-1\r\n" {
		t.Errorf("a timeout of BLMOVE replied %q", got)
	}
	c := s.block("BLPOP k1 0")
	s.DropClient(c.Client)
	s.want("RPUSH k1 x", ":1\n")
	s.wantList("k1", "x")
	c.conn.replies <- "" // nothing else
	s.wantNoWaiters()
}

func TestBlockSwapAndStore(t *testing.T) {
	s := newTestServer(t)
	a := s.block("BLPOP k 0")
	s.run("SELECT 1")
	s.run("RPUSH k x y")
	a.wantNothing()
	s.run("SELECT 0")
	s.want("SWAPDB 0 1", "+OK\n")
	a.want("*2\n$1\nk\n$1\nx\n")
	b := s.block("BLPOP d 0")
	s.want("SORT k BY nosort STORE d", ":1\n")
	b.want("*2\n$1\nd\n$1\ny\n")
	// What has expired while the command ran is not handed out.
	c := s.block("BLPOP e 0")
	s.now = time.Now().Add(-time.Second)
	for _, line := range []string{"MULTI", "RPUSH e x", "PEXPIRE e 100", "EXEC"} {
		s.run(line)
	}
	c.wantNothing()
	s.Unblock(c.Client, false)
	if len(s.effects) == 0 || s.effects[len(s.effects)-1] != "DEL e" {
		t.Errorf("effects end with %q", s.effects)
	}
}

// A panic while somebody is served leaves the others, and the server, whole.
func TestBlockPanic(t *testing.T) {
	s := newTestServer(t)
	a := s.block("BLPOP k 0")
	conn := newFakeConn()
	cl := s.NewClient(conn, "", "", 5)
	h := s.Keyspace.LockAll()
	ctx := &Ctx{Tx: *s.Keyspace.TxOn(0), S: s.Server, C: cl, Row: s.Table.Lookup([]byte("blpop")), x: s.x}
	bad := true
	ctx.Block([]keyspace.Key{keyspace.MakeKey([]byte("k"))}, Wait{TimedOut: nullArray, Serve: func(c *Ctx, k *keyspace.Key) bool {
		if bad {
			panic("on purpose")
		}
		c.W.SimpleString("served")
		c.NoEffect()
		return true
	}})
	s.Keyspace.Unlock(&h)
	s.want("RPUSH k 1 2", "-ERR internal error\n")
	a.want("*2\n$1\nk\n$1\n1\n")
	bad = false
	s.want("RPUSH k 3", ":2\n")
	if got := conn.wait(t); got != "+served\r\n" {
		t.Errorf("got %q", got)
	}
	s.wantNoWaiters()
}

// A writer and CLIENT UNBLOCK come at the same moment: one of them has it.
func TestBlockClaim(t *testing.T) {
	s := newTestServer(t)
	s.Keyspace.Journal.Detach(s)
	for i := range 3000 {
		b := s.block("BLPOP k 0")
		var start, done sync.WaitGroup
		start.Add(1)
		done.Add(1)
		unblocked := false
		go func() {
			defer done.Done()
			start.Wait()
			unblocked = s.Unblock(b.Client, false)
		}()
		start.Done()
		for range i % 64 { // so that they meet sooner or later
			s.want("LLEN none", ":0\n")
		}
		s.want("RPUSH k x", ":1\n")
		done.Wait()
		want, left := "*2\r\n$1\r\nk\r\n$1\r\nx\r\n", ":0\n"
		if unblocked {
			want, left = "*-1\r\n", ":1\n"
		}
		if got := b.conn.wait(t); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		if n := len(b.conn.replies); n > 0 {
			t.Fatalf("%d more replies", n)
		}
		s.want("LLEN k", left)
		s.run("DEL k")
		s.DropClient(b.Client)
	}
}

// Many loops push, pop, move, time out and hang up at once. Every element that
// was pushed is popped once or still there.
func TestBlockConservation(t *testing.T) {
	s := newTestServer(t)
	s.Keyspace.Journal.Detach(s)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const loops, keys, steps = 8, 6, 3000
	var pushed, popped, lost atomic.Int64
	var gone sync.Map
	var wg sync.WaitGroup
	for n := range loops {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(seed, uint64(n)))
			x := s.NewExec()
			key := func() string { return "k" + strconv.Itoa(r.IntN(keys)) }
			run := func(c *Client, words ...string) (string, Outcome) {
				args := make([][]byte, len(words))
				for i, v := range words {
					args[i] = []byte(v)
				}
				x.SetTime(time.Now())
				var w wire.Writer
				out := x.Run(c, args, &w)
				return string(w.Buf), out
			}
			plain := s.NewClient(nil, "", "", 0)
			for range steps {
				if r.IntN(2) == 0 {
					num := 1 + r.IntN(3)
					run(plain, append([]string{"RPUSH", key()}, "a", "b", "c")[:2+num]...)
					pushed.Add(int64(num))
					continue
				}
				conn := newFakeConn()
				c := s.NewClient(conn, "", "", 0)
				timeout := []string{"0", "0.001", "0.002"}[r.IntN(3)]
				var line []string
				takes := true
				switch r.IntN(3) {
				case 0:
					line = []string{"BLPOP", key(), key(), timeout}
				case 1:
					line = []string{"BLMPOP", timeout, "2", key(), key(), "RIGHT"}
				case 2:
					line = []string{"BLMOVE", key(), key(), "LEFT", "RIGHT", timeout}
					takes = false
				}
				reply, out := run(c, line...)
				if out == Parked && timeout == "0" && r.IntN(2) == 0 {
					s.DropClient(c)
					if takes {
						gone.Store(c, conn)
					}
					continue
				}
				if out == Parked {
					if timeout == "0" {
						s.Unblock(c, false)
					}
					reply = conn.wait(t)
				}
				if takes && strings.HasPrefix(reply, "*2") {
					popped.Add(1)
				}
			}
		}()
	}
	wg.Wait()
	// What was sent to a client that hung up at that very moment is lost, as
	// it is on a socket.
	gone.Range(func(_, conn any) bool {
		select {
		case <-conn.(*fakeConn).replies:
			lost.Add(1)
		default:
		}
		return true
	})
	left := int64(0)
	for i := range keys {
		n, _ := strconv.Atoi(strings.Trim(s.run("LLEN k"+strconv.Itoa(i)), ":\r\n"))
		left += int64(n)
	}
	if pushed.Load() != popped.Load()+lost.Load()+left {
		t.Errorf("%d pushed, %d popped, %d sent to the gone, %d left", pushed.Load(), popped.Load(), lost.Load(), left)
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && s.CheckIdle() != nil; {
		time.Sleep(time.Millisecond)
	}
	s.wantNoWaiters()
}
