// Package kill ends a loaded server by SIGKILL again and again, starts it on
// the same directory, and compares what is there with what was acknowledged.
// It looks at the server from outside only.
package kill

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kvd/tests/harness"
)

var (
	kills = flag.Int("kills", 10, "how often the server is killed under appendfsync always; under everysec a third of that")
	seed  = flag.Uint64("killseed", 0, "seed of the random numbers; 0 takes one from the clock")
)

func TestMain(m *testing.M) { harness.Main(m) }

// A worker writes numbers, each greater by one than the one before, to keys of
// its own: the number decides which key, and how. So what is there after a kill
// must be what the first n writes lead to, for some n.
type worker struct {
	id, db int
	acked  int // the last write that was answered
	sent   int // the last one that was sent
	// at says which write was the last one answered at a time, for everysec.
	at []ackedAt
	// late is the last write of kind 10 that came, or may have come, when the deadline had passed.
	late int

	mu   sync.Mutex // protects seen
	seen int        // the greatest number that a reader of key 0 has got
}

type ackedAt struct {
	when time.Time
	n    int
}

const kinds = 11

// brief is the deadline, in milliseconds, that a write of kind 9 gives and one of kind 10
// takes away, and a server that was killed is sometimes down for longer.
const brief = 1000

// write sends write n.
func (w *worker) write(c *harness.Conn, n int) (replies int) {
	key := func(name string) string { return fmt.Sprintf("w%d:%s", w.id, name) }
	v := strconv.Itoa(n)
	unit := func(commands ...[]string) int {
		c.Send("MULTI")
		for _, args := range commands {
			c.Send(args...)
		}
		c.Send("EXEC")
		return len(commands) + 2
	}
	switch n % kinds {
	case 0:
		c.Send("SET", key("string"), v)
	case 1:
		return unit([]string{"RPUSH", key("list"), v}, []string{"LTRIM", key("list"), "-40", "-1"})
	case 2:
		c.Send("HSET", key("hash"), "field", v, "f"+strconv.Itoa(n/kinds%300), v)
	case 3:
		c.Send("ZADD", key("zset"), v, "member")
	case 4:
		return unit([]string{"DEL", key("set")}, []string{"SADD", key("set"), v, "-" + v})
	case 5:
		return unit([]string{"SET", key("a"), v}, []string{"INCRBY", key("sum"), "1"}, []string{"SET", key("b"), v}, []string{"RENAME", key("b"), key("c")})
	case 6:
		c.Send("SET", key("big"), strings.Repeat(v+" ", 1+n*7919%20000))
	case 7:
		c.Send("LPUSH", key("queue"), v) // which a blocked client takes
	case 8:
		c.Send("SET", key("volatile"), v, "PX", "100000000")
	case 9:
		c.Send("SET", key("brief"), v, "PX", strconv.Itoa(brief))
	case 10:
		c.Send("PERSIST", key("brief"))
	}
	return 1
}

// last is the last write of a kind up to n; 0 if there is none.
func last(n, kind int) int {
	n -= (n - kind + kinds) % kinds
	return max(n, 0)
}

// check reads what is there and returns the number of writes that it is the
// result of.
func (w *worker) check(c *harness.Conn) (int, error) {
	if _, err := c.Do("SELECT", strconv.Itoa(w.db)); err != nil {
		return 0, err
	}
	key := func(name string) string { return fmt.Sprintf("w%d:%s", w.id, name) }
	var failed error
	do := func(args ...string) harness.Reply {
		r, err := c.Do(args...)
		if err == nil && r.Err() != "" {
			err = errors.New(r.Err())
		}
		if err != nil && failed == nil {
			failed = fmt.Errorf("%q: %w", args, err)
		}
		return r
	}
	number := func(s string) int {
		if s == "" {
			return 0
		}
		n, err := strconv.Atoi(s)
		if err != nil && failed == nil {
			failed = err
		}
		return n
	}
	tail := func(r harness.Reply) int {
		if len(r.Elems) == 0 {
			return 0
		}
		return number(r.Elems[len(r.Elems)-1].Str)
	}
	var got [kinds]int
	got[0] = number(do("GET", key("string")).Str)
	list := do("LRANGE", key("list"), "0", "-1")
	got[1] = tail(list)
	for i, e := range list.Elems {
		if want := got[1] - (len(list.Elems)-1-i)*kinds; number(e.Str) != want {
			return 0, fmt.Errorf("the list is %q", list.Strings())
		}
	}
	got[2] = number(do("HGET", key("hash"), "field").Str)
	if got[2] > 0 && number(do("HGET", key("hash"), "f"+strconv.Itoa(got[2]/kinds%300)).Str) != got[2] {
		return 0, errors.New("half an HSET")
	}
	got[3] = number(do("ZSCORE", key("zset"), "member").Str)
	set := do("SMEMBERS", key("set")).Strings()
	switch {
	case len(set) == 2 && (set[0] == "-"+set[1] || set[1] == "-"+set[0]):
		got[4] = max(number(set[0]), number(set[1]))
	case len(set) > 0:
		return 0, fmt.Errorf("the set is %q", set)
	}
	got[5] = number(do("GET", key("a")).Str)
	if c := number(do("GET", key("c")).Str); c != got[5] || do("EXISTS", key("b")).Int != 0 {
		return 0, fmt.Errorf("half a transaction: %d, %d", got[5], c)
	}
	if sum := number(do("GET", key("sum")).Str); sum != (got[5]+kinds-5)/kinds && got[5] > 0 {
		return 0, fmt.Errorf("%d transactions up to write %d", sum, got[5])
	}
	big := do("GET", key("big")).Str
	first, _, _ := strings.Cut(big, " ")
	got[6] = number(first)
	if got[6] > 0 && big != strings.Repeat(first+" ", 1+got[6]*7919%20000) {
		return 0, errors.New("a long value is not whole")
	}
	// The queue's newest stands first; what was taken from it follows in done.
	queue, done := do("LRANGE", key("queue"), "0", "-1").Strings(), do("LRANGE", key("done"), "0", "-1").Strings()
	all := append(queue, done...)
	if len(all) > 0 {
		got[7] = number(all[0])
	}
	for i, s := range all {
		if number(s) != got[7]-i*kinds {
			return 0, fmt.Errorf("the queue is %q, and what was taken from it %q", queue, done)
		}
	}
	got[8] = number(do("GET", key("volatile")).Str)
	if got[8] > 0 && do("PTTL", key("volatile")).Int <= 0 {
		return 0, errors.New("a deadline is lost")
	}
	// Without its PERSIST it may be gone.
	kept, left := do("GET", key("brief")).Str, do("PTTL", key("brief")).Int
	if left == -2 {
		kept = "" // since the GET
	}
	if got[9] = number(kept); got[9] > 0 {
		got[10] = got[9] + 1
		if left >= 0 {
			got[10] = max(0, got[9]+1-kinds)
		}
	}
	if failed != nil {
		return 0, failed
	}
	n := 0
	for _, g := range got {
		n = max(n, g)
	}
	if kept == "" && n >= 8 {
		nine, ten := last(n, 9), last(n, 10)
		switch {
		case n%kinds == 8 && (ten != w.late || w.acked > n): // the next SET is there, and its time over
			if n++; w.late == n+1 && w.acked > n {
				n++ // and the PERSIST that came after that has left no trace
			}
		case ten > nine && ten != w.late && ten <= w.acked:
			return 0, fmt.Errorf("what PERSIST %d kept is gone", ten)
		case ten > nine:
			w.late = ten // it may have been, and its reply was lost; the next check must know
		}
		got[9], got[10] = last(n, 9), last(n, 10)
	}
	for kind, g := range got {
		if g != last(n, kind) {
			return 0, fmt.Errorf("write %d is there, but of kind %d the last one is %d, not %d", n, kind, g, last(n, kind))
		}
	}
	return n, nil
}

// run writes until the connection ends.
func (w *worker) run(s *harness.Server, rng *rand.Rand) {
	c, err := s.Dial()
	if err != nil {
		return
	}
	defer c.Close()
	w.load(c, rng, nil)
}

// load writes until the connection ends, or stop is closed. Where writes of an earlier
// connection may have come or not, it goes on behind those that did.
func (w *worker) load(c *harness.Conn, rng *rand.Rand, stop chan struct{}) {
	if stop != nil && w.sent != w.acked {
		n, err := w.check(c)
		if err != nil || n < w.acked { // the test looks at that in the end
			return
		}
		w.sent, w.acked = n, n
	}
	if r, err := c.Do("SELECT", strconv.Itoa(w.db)); err != nil || r.Err() != "" {
		return
	}
	for {
		select {
		case <-stop:
			return
		default:
		}
		type sent struct{ n, replies int }
		var batch []sent
		for range 1 + rng.IntN(1<<rng.IntN(5)) {
			w.sent++
			batch = append(batch, sent{w.sent, w.write(c, w.sent)})
		}
		if c.Flush() != nil {
			return
		}
		for _, b := range batch {
			for range b.replies {
				r, err := c.Receive()
				if err != nil || r.Err() != "" {
					return
				}
				if b.n%kinds == 10 && r.Int == 0 {
					w.late = b.n
				} else if b.n == w.late {
					w.late = 0 // that was before a kill which it did not survive
				}
			}
			w.acked = b.n
		}
		w.at = append(w.at, ackedAt{time.Now(), w.acked})
	}
}

// take moves what the worker queues, blocked while there is nothing.
func (w *worker) take(s *harness.Server) {
	c, err := s.Dial()
	if err != nil {
		return
	}
	defer c.Close()
	c.Do("SELECT", strconv.Itoa(w.db))
	for {
		if r, err := c.Do("BLMOVE", fmt.Sprintf("w%d:queue", w.id), fmt.Sprintf("w%d:done", w.id), "RIGHT", "LEFT", "0"); err != nil || r.Err() != "" {
			return
		}
		if _, err := c.Do("LTRIM", fmt.Sprintf("w%d:done", w.id), "0", "20"); err != nil {
			return
		}
	}
}

// read looks at what all workers write.
func read(s *harness.Server, workers []*worker) {
	c, err := s.Dial()
	if err != nil {
		return
	}
	defer c.Close()
	for {
		for _, w := range workers {
			c.Do("SELECT", strconv.Itoa(w.db))
			r, err := c.Do("GET", fmt.Sprintf("w%d:string", w.id))
			if err != nil || r.Err() != "" {
				return
			}
			n, _ := strconv.Atoi(r.Str)
			w.mu.Lock()
			w.seen = max(w.seen, n)
			w.mu.Unlock()
		}
	}
}

// busy has snapshots and rewrites run.
func busy(s *harness.Server, rng *rand.Rand) {
	c, err := s.Dial()
	if err != nil {
		return
	}
	defer c.Close()
	for {
		time.Sleep(time.Duration(rng.IntN(80)) * time.Millisecond)
		name := [...]string{"BGREWRITEAOF", "BGSAVE", "PING", "PING"}[rng.IntN(4)]
		if _, err := c.Do(name); err != nil {
			return
		}
	}
}

func TestKill(t *testing.T) {
	base := *seed
	if base == 0 {
		base = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", base)
	t.Run("always", func(t *testing.T) { killMany(t, base, "always", *kills) })
	t.Run("everysec", func(t *testing.T) { killMany(t, base+1, "everysec", (*kills+2)/3) })
}

// grace is how much of the past may be lost under everysec.
const grace = 2 * time.Second

func killMany(t *testing.T, seed uint64, policy string, kills int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := harness.StartKVD(t, "--appendonly", "yes", "--appendfsync", policy, "--auto-aof-rewrite-min-size", "2mb", "--auto-aof-rewrite-percentage", "100")
	var workers []*worker
	for i := range 5 {
		workers = append(workers, &worker{id: i, db: i % 3})
	}
	var lost, doubtful int
	for k := range kills {
		var wg sync.WaitGroup
		for _, w := range workers {
			own := rand.New(rand.NewPCG(rng.Uint64(), 2))
			wg.Go(func() { w.run(s, own) })
			wg.Go(func() { w.take(s) })
		}
		own := rand.New(rand.NewPCG(rng.Uint64(), 3))
		wg.Go(func() { read(s, workers) })
		wg.Go(func() { busy(s, own) })
		wait := time.Duration(rng.IntN(250)) * time.Millisecond
		if policy != "always" && k%5 == 2 {
			wait += grace + 500*time.Millisecond
		}
		time.Sleep(wait)
		died := time.Now()
		// Some end orderly, under the same load: then nothing at all may be lost.
		orderly := k%7 == 3
		end := s.Kill
		if orderly {
			end = s.Stop
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if k%5 == 0 {
			time.Sleep((brief + 100) * time.Millisecond) // deadlines pass meanwhile
		}
		if err := s.Restart(); err != nil {
			t.Fatalf("kill %d: %v", k, err)
		}
		c := s.MustDial(t)
		for _, w := range workers {
			n, err := w.check(c)
			if err != nil {
				t.Fatalf("kill %d, worker %d, %d acknowledged, %d sent: %v\n%s", k, w.id, w.acked, w.sent, err, s.LogTail())
			}
			must := w.acked
			if policy == "always" {
				must = max(must, w.seen)
			} else if !orderly {
				must = 0
				for _, a := range w.at {
					if died.Sub(a.when) > grace {
						must = a.n
					}
				}
			}
			if n < must || n > w.sent {
				t.Fatalf("kill %d, worker %d: %d writes are there; %d were acknowledged (%d must last, a reader saw %d), %d sent; the last PERSIST that came too late was %d", k, w.id, n, w.acked, must, w.seen, w.sent, w.late)
			}
			lost += max(0, w.acked-n)
			doubtful += max(0, n-w.acked)
			// They go on from what is there.
			w.sent, w.acked, w.seen = n, n, 0
			w.at = w.at[:0]
			if n > 0 {
				w.at = append(w.at, ackedAt{time.Now().Add(-time.Hour), n})
			}
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if k%100 == 99 {
			t.Logf("%d kills", k+1)
		}
	}
	total := 0
	for _, w := range workers {
		total += w.acked
	}
	t.Logf("appendfsync %s: %d kills, %d writes of 5 clients; %d acknowledged ones lost, %d there that were not acknowledged", policy, kills, total, lost, doubtful)
	if policy == "always" && lost > 0 {
		t.Error("acknowledged writes are lost")
	}
}
