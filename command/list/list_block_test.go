package list_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kvd/command"
	"kvd/command/commandtest"
	"kvd/resp/wire"
)

func TestBlockArguments(t *testing.T) {
	s := commandtest.New(t)
	s.Want("BLPOP l x", "-ERR timeout is not a float or out of range\n")
	s.Want("BLPOP l nan", "-ERR timeout is not a float or out of range\n")
	s.Want("BLPOP l -1", "-ERR timeout is negative\n")
	s.Want("BLPOP l -inf", "-ERR timeout is negative\n")
	for _, long := range []string{"inf", "1e400", "9223372036854775807", "9223372036854775"} {
		s.Want("BLPOP l "+long, "-ERR timeout is out of range\n")
	}
	s.Want("BLPOP l -0.0001", "*-1\n") // no connection: as inside MULTI
	s.Want("BLPOP l 1e-400", "*-1\n")
	s.Want("BLMOVE a b LEFT up x", "-ERR syntax error\n")
	s.Want("BLMOVE a b LEFT LEFT x", "-ERR timeout is not a float or out of range\n")
	s.Want("BLMOVE a b LEFT LEFT 0", "$-1\n")
	s.Want("BRPOPLPUSH a b 0", "$-1\n")
	s.Want("BLMPOP x 0 a LEFT", "-ERR numkeys should be greater than 0\n")
	s.Want("BLMPOP x 1 a LEFT", "-ERR timeout is not a float or out of range\n")
	s.Want("BLMPOP 0 1 a LEFT", "*-1\n")
}

func TestBlockInOrder(t *testing.T) {
	s := commandtest.New(t)
	a, b, c := s.Block("BLPOP l 0"), s.Block("BRPOP other l l 0"), s.Block("BLMPOP 0 2 l more RIGHT COUNT 2")
	s.Want("RPUSH l 1", ":1\n")
	a.Want("*2\n$1\nl\n$1\n1\n")
	b.WantNothing()
	s.Want("RPUSH l 2 3 4 5", ":4\n")
	b.Want("*2\n$1\nl\n$1\n5\n")
	c.Want("*2\n$1\nl\n*2\n$1\n4\n$1\n3\n")
	s.WantList("l", "2")
	s.WantEffects("RPUSH l 1", "LPOP l", "RPUSH l 2 3 4 5", "RPOP l", "RPOP l 2")
	s.WantNoWaiters()
}

func TestBlockResp3(t *testing.T) {
	s := commandtest.New(t)
	b := s.Block("BLPOP l 0")
	b.SetProto(3)
	s.Unblock(b.Client, false)
	b.Want("_\n")
	b.Run("BLMOVE l m LEFT RIGHT 0")
	s.Unblock(b.Client, true)
	b.Want("-UNBLOCKED client unblocked via CLIENT UNBLOCK\n")
	if s.Unblock(b.Client, true) {
		t.Error("a client was unblocked twice")
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if s.CheckIdle() == nil {
			break
		}
	}
	s.Want("RPUSH l a", ":1\n")
	s.WantList("l", "a")
	s.WantNoWaiters()
}

func TestBlockTransaction(t *testing.T) {
	s := commandtest.New(t)
	a := s.Block("BLPOP k1 k2 0")
	for _, line := range []string{"MULTI", "LPUSH k1 x", "DEL k1", "RPUSH k2 a", "RPUSH k1 b", "LPUSH k1 c", "EXEC"} {
		s.Run(line)
	}
	a.Want("*2\n$2\nk1\n$1\nc\n") // k1 was ready first
	s.WantList("k1", "b")
	s.WantList("k2", "a")
	s.WantEffects("MULTI", "LPUSH k1 x", "DEL k1", "RPUSH k2 a", "RPUSH k1 b", "LPUSH k1 c", "EXEC", "LPOP k1")
	s.Run("MULTI")
	s.Run("BLPOP none 0")
	s.Run("BLMOVE none none LEFT LEFT 0")
	s.Want("EXEC", "*2\n*-1\n$-1\n")
	s.WantNoWaiters()
}

func TestBlockOtherTypes(t *testing.T) {
	s := commandtest.New(t)
	a, b := s.Block("BLPOP k 0"), s.Block("BLMOVE k dst LEFT RIGHT 0")
	s.Want("SET k str", "+OK\n")
	s.Want("DEL k", ":1\n")
	s.Run("MULTI")
	s.Run("LPUSH k x")
	s.Run("SET k str")
	s.Run("EXEC")
	a.WantNothing()
	s.Run("DEL k")
	s.Run("SET dst str")
	s.Run("RPUSH k 1 2")
	a.Want("*2\n$1\nk\n$1\n1\n")
	b.Want("-WRONGTYPE Operation against a key holding the wrong kind of value\n")
	s.WantList("k", "2")
	s.WantNoWaiters()
	if got := s.Run("INFO errorstats"); !strings.Contains(got, "errorstat_WRONGTYPE:count=1\r\n") {
		t.Errorf("the error of a blocked client was not counted once: %s", got)
	}
}

// The keys lie in different stripes, so a push has to lock what it hands on to.
func TestBlockChain(t *testing.T) {
	s := commandtest.New(t)
	var waiters []*commandtest.Blocker
	const n = 40
	for i := range n {
		waiters = append(waiters, s.Block(fmt.Sprintf("BLMOVE k%d k%d LEFT RIGHT 0", i, i+1)))
	}
	last := s.Block(fmt.Sprintf("BLPOP k%d 0", n))
	self := s.Block("BRPOPLPUSH self self 0")
	s.Effects = nil
	s.Want("RPUSH k0 x", ":1\n")
	want := []string{"RPUSH k0 x"}
	for i, w := range waiters {
		w.Want("$1\nx\n")
		want = append(want, fmt.Sprintf("LMOVE k%d k%d LEFT RIGHT", i, i+1))
	}
	last.Want("*2\n$3\nk40\n$1\nx\n")
	s.WantEffects(append(want, "LPOP k40")...)
	self.WantNothing()
	s.Run("RPUSH self a b")
	self.Want("$1\nb\n")
	s.WantList("self", "b", "a")
	s.WantNoWaiters()
}

// FIFO holds where the first one needs another stripe.
func TestBlockForeignFirst(t *testing.T) {
	s := commandtest.New(t)
	var waiters []*commandtest.Blocker
	for i := range 10 {
		waiters = append(waiters, s.Block(fmt.Sprintf("BRPOPLPUSH src dst%d 0", i)), s.Block("BLPOP src 0"))
	}
	for i := range 10 {
		s.Run("RPUSH src x")
		waiters[2*i].Want("$1\nx\n")
		s.WantList(fmt.Sprintf("dst%d", i), "x")
		s.Run("RPUSH src x")
		waiters[2*i+1].Want("*2\n$3\nsrc\n$1\nx\n")
	}
	s.WantNoWaiters()
}

func TestBlockEnds(t *testing.T) {
	s := commandtest.New(t)
	mine := s.C
	for _, line := range []string{"BLPOP k1 k2 0.02", "BLMOVE k1 k2 LEFT LEFT 0.001"} {
		conn := commandtest.NewConn()
		s.C = s.NewClient(conn, "127.0.0.1:1", "127.0.0.1:2", 4)
		s.Want(line, "")
		if got := conn.Wait(t); got != "*-1\r\n" {
			t.Errorf("a timeout of %s replied %q", line, got)
		}
	}
	s.C = mine
	c := s.Block("BLPOP k1 0")
	s.DropClient(c.Client)
	s.Want("RPUSH k1 x", ":1\n")
	s.WantList("k1", "x")
	c.Peer.Replies <- "" // nothing else
	s.WantNoWaiters()
}

func TestBlockSwapAndStore(t *testing.T) {
	s := commandtest.New(t)
	a := s.Block("BLPOP k 0")
	s.Run("SELECT 1")
	s.Run("RPUSH k x y")
	a.WantNothing()
	s.Run("SELECT 0")
	s.Want("SWAPDB 0 1", "+OK\n")
	a.Want("*2\n$1\nk\n$1\nx\n")
	b := s.Block("BLPOP d 0")
	s.Want("SORT k BY nosort STORE d", ":1\n")
	b.Want("*2\n$1\nd\n$1\ny\n")
	// What has expired while the command ran is not handed out.
	c := s.Block("BLPOP e 0")
	s.Now = time.Now().Add(-time.Second)
	for _, line := range []string{"MULTI", "RPUSH e x", "PEXPIRE e 100", "EXEC"} {
		s.Run(line)
	}
	c.WantNothing()
	s.Unblock(c.Client, false)
	if len(s.Effects) == 0 || s.Effects[len(s.Effects)-1] != "DEL e" {
		t.Errorf("effects end with %q", s.Effects)
	}
}

// Many loops push, pop, move, time out and hang up at once. Every element that
// was pushed is popped once or still there.
func TestBlockConservation(t *testing.T) {
	s := commandtest.New(t)
	s.Keyspace.Journal.Detach(s)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const loops, keys = 8, 6
	steps := 3000
	if testing.Short() {
		steps = 300
	}
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
			run := func(c *command.Client, words ...string) (string, command.Outcome) {
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
				conn := commandtest.NewConn()
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
				if out == command.Parked && timeout == "0" && r.IntN(2) == 0 {
					s.DropClient(c)
					if takes {
						gone.Store(c, conn)
					}
					continue
				}
				if out == command.Parked {
					if timeout == "0" {
						s.Unblock(c, false)
					}
					reply = conn.Wait(t)
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
		case <-conn.(*commandtest.Conn).Replies:
			lost.Add(1)
		default:
		}
		return true
	})
	left := int64(0)
	for i := range keys {
		n, _ := strconv.Atoi(strings.Trim(s.Run("LLEN k"+strconv.Itoa(i)), ":\r\n"))
		left += int64(n)
	}
	if pushed.Load() != popped.Load()+lost.Load()+left {
		t.Errorf("%d pushed, %d popped, %d sent to the gone, %d left", pushed.Load(), popped.Load(), lost.Load(), left)
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && s.CheckIdle() != nil; {
		time.Sleep(time.Millisecond)
	}
	s.WantNoWaiters()
}
