package tests

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kvd/tests/harness"
)

var trackingChecks = flag.Int64("tracking-checks", 0, "checks of TestTrackingNeverStale")

// trackingLeast is the number of checks that are made however slow the machine is.
const trackingLeast = 1000

// TestTrackingNeverStale: clients cache what they read while 50 others write,
// and no cached value is ever older than what a writer was told before the
// cache's owner last heard from the server.
//
// Every key holds a number that only grows. A writer notes the number that it
// was answered. An owner of a cache takes note of all these numbers, sends PING,
// and when PONG has come, behind whatever invalidations, each cached number must
// have reached the noted one: that is one check for each cached key. Big lists,
// whose replies are made by workers, are among the keys.
//
// -tracking-checks is the number of checks; without it the test takes about two
// seconds.
func TestTrackingNeverStale(t *testing.T) {
	s := harness.StartKVD(t, "--event-loops", "3")
	w := &cacheWorld{t: t, seed: rand.Uint64()}
	t.Logf("seed %d", w.seed)
	setup := s.MustDial(t)
	elems := make([]string, bigElems)
	for i := range elems {
		elems[i] = "0"
	}
	for i := range bigKeys {
		setup.MustDo(t, append([]string{"RPUSH", keyName(numberKeys + i)}, elems...)...)
	}
	var writers, caches sync.WaitGroup
	goal, stop := *trackingChecks, time.Now().Add(2*time.Second)
	if goal > 0 {
		stop = time.Now().Add(15 * time.Minute)
	}
	for i := range 50 {
		c := s.MustDial(t)
		writers.Go(func() { w.write(i, c) })
	}
	var all []*cache
	for i, mode := range []string{"", "", "BCAST PREFIX k", "OPTOUT", "REDIRECT", "REDIRECT"} {
		c := &cache{w: w, mode: mode, have: map[int]int64{}, asked: map[int]int{}, conn: s.MustDial(t), pong: make(chan struct{}, 1),
			rnd: rand.New(rand.NewPCG(w.seed, uint64(1000+i)))}
		if mode == "REDIRECT" {
			c.inval = s.MustDial(t)
			id := c.inval.MustDo(t, "CLIENT", "ID").Int
			c.inval.MustDo(t, "SUBSCRIBE", "__redis__:invalidate")
			c.conn.MustDo(t, "CLIENT", "TRACKING", "ON", "REDIRECT", fmt.Sprint(id))
			go c.listen()
		} else {
			c.conn.MustDo(t, "HELLO", "3")
			c.conn.MustDo(t, append([]string{"CLIENT", "TRACKING", "ON"}, strings.Fields(mode)...)...)
		}
		all = append(all, c)
		caches.Go(func() {
			for !w.failed.Load() && (time.Now().Before(stop) || goal == 0 && w.checks.Load() < trackingLeast) && (goal == 0 || w.checks.Load() < goal) {
				c.round()
			}
		})
	}
	caches.Wait()
	w.done.Store(true)
	writers.Wait()
	// Nobody writes any more: after one more round a cache is what the server holds.
	for _, c := range all {
		c.round()
		for k, v := range c.have {
			if now := w.latest[k].Load(); v != now {
				w.fail("%q: %s is %d in the cache and %d in the server", c.mode, keyName(k), v, now)
			}
		}
	}
	t.Logf("%d checks, %d hits, %d invalidations, %d writes", w.checks.Load(), w.hits.Load(), w.invalidations.Load(), w.writes.Load())
	if w.checks.Load() < max(goal, trackingLeast) || w.hits.Load() == 0 || w.invalidations.Load() == 0 {
		t.Error("too few checks")
	}
}

const (
	numberKeys = 60
	bigKeys    = 4
	bigElems   = 12_000 // LRANGE of all of them goes to a worker
)

func keyName(k int) string { return "k" + strconv.Itoa(k) }

// cacheWorld is what writers and owners of caches share.
type cacheWorld struct {
	t                                   *testing.T
	seed                                uint64
	latest                              [numberKeys + bigKeys]atomic.Int64 // numbers that writers were answered
	checks, hits, invalidations, writes atomic.Int64
	done, failed                        atomic.Bool
}

func (w *cacheWorld) fail(format string, args ...any) {
	if !w.failed.Swap(true) {
		w.t.Errorf("seed %d: "+format, append([]any{w.seed}, args...)...)
	}
}

func (w *cacheWorld) note(k int, v int64) {
	for old := w.latest[k].Load(); v > old && !w.latest[k].CompareAndSwap(old, v); old = w.latest[k].Load() {
	}
	w.writes.Add(1)
}

// write is one writer. The first ones own a big list each.
func (w *cacheWorld) write(i int, c *harness.Conn) {
	rnd := rand.New(rand.NewPCG(w.seed, uint64(i)))
	do := func(args ...string) harness.Reply {
		r, err := c.Do(args...)
		if err != nil || r.Err() != "" {
			w.fail("%q: %v %s", args, err, r.Err())
		}
		return r
	}
	for n := int64(1); !w.done.Load() && !w.failed.Load(); n++ {
		a, b := rnd.IntN(numberKeys), rnd.IntN(numberKeys)
		switch p := rnd.IntN(10); {
		case i < bigKeys && p < 2:
			do("LSET", keyName(numberKeys+i), "0", fmt.Sprint(n))
			w.note(numberKeys+i, n)
		case p < 4:
			for _, cmd := range [][]string{{"MULTI"}, {"INCR", keyName(a)}, {"INCR", keyName(b)}, {"EXEC"}} {
				if r := do(cmd...); len(r.Elems) == 2 {
					w.note(a, r.Elems[0].Int)
					w.note(b, r.Elems[1].Int)
				}
			}
		default:
			w.note(a, do("INCR", keyName(a)).Int)
		}
		// Caches must have the time to hold something.
		time.Sleep(time.Duration(rnd.IntN(40)) * time.Millisecond)
	}
}

// cache is a client with its cache.
type cache struct {
	w     *cacheWorld
	mode  string
	conn  *harness.Conn
	inval *harness.Conn // with REDIRECT: where invalidations come
	pong  chan struct{}
	rnd   *rand.Rand

	mu   sync.Mutex // protects what follows from listen
	have map[int]int64
	// asked are the reads under way that no invalidation has overtaken: with two
	// connections there is no order between a reply and an invalidation.
	asked map[int]int
}

// round reads some keys, and checks the whole cache.
func (c *cache) round() {
	w := c.w
	var sent []int
	c.mu.Lock()
	for range 1 + c.rnd.IntN(8) {
		k := c.rnd.IntN(numberKeys + bigKeys)
		if _, ok := c.have[k]; ok {
			w.hits.Add(1)
			continue
		}
		for range 1 + c.rnd.IntN(2) { // sometimes twice
			sent = append(sent, k)
			c.asked[k]++
		}
	}
	c.mu.Unlock()
	for _, k := range sent {
		if k < numberKeys {
			c.conn.Send("GET", keyName(k))
		} else {
			c.conn.Send("LRANGE", keyName(k), "0", "-1")
		}
	}
	c.conn.Flush()
	if c.rnd.IntN(2) == 0 {
		time.Sleep(time.Duration(c.rnd.IntN(300)) * time.Microsecond)
	}
	var reached [numberKeys + bigKeys]int64
	for k := range reached {
		reached[k] = w.latest[k].Load()
	}
	c.conn.Send("PING")
	c.conn.Flush()
	if c.inval != nil {
		c.inval.Send("PING")
		c.inval.Flush()
	}
	for i := 0; i <= len(sent); {
		r, err := c.conn.Receive()
		switch {
		case err != nil:
			w.fail("%q: %v", c.mode, err)
			return
		case r.Kind == '>':
			c.invalidate(r.Elems[1])
			continue
		case i < len(sent):
			c.got(sent[i], r)
		}
		i++
	}
	if c.inval != nil {
		select {
		case <-c.pong:
		case <-time.After(20 * time.Second):
			w.fail("%q: no PONG", c.mode)
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, v := range c.have {
		if v < reached[k] {
			w.fail("%q: %s is %d in the cache, and it was %d before PING", c.mode, keyName(k), v, reached[k])
		}
	}
	w.checks.Add(int64(len(c.have)))
}

// got is the reply to a read.
func (c *cache) got(k int, r harness.Reply) {
	text := r.Str
	if len(r.Elems) > 0 {
		text = r.Elems[0].Str
	}
	v, _ := strconv.ParseInt(text, 10, 64) // no value counts as 0
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inval == nil || c.asked[k] > 0 {
		c.have[k] = v
	}
	if c.asked[k]--; c.asked[k] <= 0 {
		delete(c.asked, k)
	}
}

func (c *cache) invalidate(keys harness.Reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range keys.Elems {
		k, _ := strconv.Atoi(e.Str[1:])
		delete(c.have, k)
		delete(c.asked, k)
	}
	c.w.invalidations.Add(int64(len(keys.Elems)))
}

// listen takes the invalidations of another connection.
func (c *cache) listen() {
	for {
		r, err := c.inval.Receive()
		switch {
		case err != nil:
			return // the test is over
		case len(r.Elems) == 3:
			c.invalidate(r.Elems[2])
		default:
			c.pong <- struct{}{}
		}
	}
}
