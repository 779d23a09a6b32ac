package kill

import (
	"flag"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kvd/tests/harness"
)

var restarts = flag.Int("restarts", 2, "how often a leader, and as often a follower, is started again under load")

// TestRestarts starts a leader or its follower again, orderly or after a kill, while clients write: every time all that
// was acknowledged is there, and both have the same contents as soon as they are at one offset.
func TestRestarts(t *testing.T) {
	base := *seed
	if base == 0 {
		base = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", base)
	rng := rand.New(rand.NewPCG(base, 5))
	common := []string{"--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0", "--auto-aof-rewrite-min-size", "2mb"}
	leader := harness.StartKVD(t, common...)
	host, port, _ := strings.Cut(leader.Addr, ":")
	// While it writes the first base behind a full synchronization a server does not end at SIGTERM alone.
	follower := harness.StartKVD(t, append(common, "--replicaof", host+" "+port, "--shutdown-on-sigterm", "force")...)
	var workers []*worker
	for i := range 4 {
		workers = append(workers, &worker{id: i, db: i % 3})
	}
	var partial, full int
	for k := range 2 * *restarts {
		var wg sync.WaitGroup
		stop := make(chan struct{})
		var mu sync.Mutex // protects conns
		var conns []*harness.Conn
		// until calls f with a new connection, again whenever it ends, until the load does.
		until := func(f func(c *harness.Conn)) {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := leader.Dial()
				if err != nil {
					time.Sleep(2 * time.Millisecond)
					continue
				}
				mu.Lock()
				conns = append(conns, c)
				mu.Unlock()
				f(c)
				c.Close()
				time.Sleep(2 * time.Millisecond)
			}
		}
		for _, w := range workers {
			own := rand.New(rand.NewPCG(rng.Uint64(), 6))
			wg.Go(func() { until(func(c *harness.Conn) { w.load(c, own, stop) }) })
		}
		// The takers make lists move on the leader all the time.
		for _, w := range workers {
			wg.Go(func() {
				until(func(c *harness.Conn) {
					c.Timeout = time.Second
					c.Do("SELECT", strconv.Itoa(w.db))
					for {
						r, err := c.Do("BLMOVE", "w"+strconv.Itoa(w.id)+":queue", "w"+strconv.Itoa(w.id)+":done", "RIGHT", "LEFT", "0.1")
						select {
						case <-stop:
							return
						default:
						}
						if err != nil || r.Err() != "" {
							return
						}
						c.Do("LTRIM", "w"+strconv.Itoa(w.id)+":done", "0", "20")
					}
				})
			})
		}
		time.Sleep(time.Duration(rng.IntN(150)) * time.Millisecond)
		s := leader
		if k%2 == 1 {
			s = follower
		}
		end, how := s.Stop, "SIGTERM"
		if rng.IntN(2) == 0 {
			end, how = s.Kill, "SIGKILL"
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if k%5 == 0 {
			time.Sleep((brief + 100) * time.Millisecond) // deadlines pass meanwhile
		}
		if err := s.Restart(); err != nil {
			t.Fatalf("restart %d (%s): %v", k, how, err)
		}
		time.Sleep(time.Duration(rng.IntN(150)) * time.Millisecond)
		close(stop)
		time.AfterFunc(20*time.Second, func() { // nobody waits longer for a reply
			mu.Lock()
			defer mu.Unlock()
			for _, c := range conns {
				c.Close()
			}
		})
		wg.Wait()

		lc, fc := leader.MustDial(t), follower.MustDial(t)
		for _, w := range workers {
			n, err := w.check(lc)
			if err != nil || n < w.acked || n > w.sent {
				t.Fatalf("restart %d (%s), worker %d: %d writes are there, %d acknowledged, %d sent: %v", k, how, w.id, n, w.acked, w.sent, err)
			}
			w.sent, w.acked, w.at = n, n, nil
		}
		info := func(c *harness.Conn, name string) string {
			_, rest, _ := strings.Cut(c.MustDo(t, "INFO", "everything").Str, "\r\n"+name+":")
			value, _, _ := strings.Cut(rest, "\r\n")
			return value
		}
		var was [2]string
		for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			up := info(fc, "master_link_status") == "up" && info(fc, "slave_repl_offset") == info(lc, "master_repl_offset")
			if up { // a key may expire between the two, and the leader says so a little later
				was = [2]string{lc.MustDo(t, "DEBUG", "DIGEST").Str, fc.MustDo(t, "DEBUG", "DIGEST").Str}
				if was[0] == was[1] {
					break
				}
			}
			if time.Since(begun) > 30*time.Second {
				t.Fatalf("restart %d (%s of the %s): the link is %s, the offsets are %s and %s, the digests %q", k, how, map[bool]string{true: "leader", false: "follower"}[s == leader],
					info(fc, "master_link_status"), info(lc, "master_repl_offset"), info(fc, "slave_repl_offset"), was)
			}
		}
		if s == leader { // its counters began anew
			partial, full = partial+number(t, info(lc, "sync_partial_ok")), full+number(t, info(lc, "sync_full"))
		}
		lc.Close()
		fc.Close()
		if k%20 == 19 {
			t.Logf("%d restarts", k+1)
		}
	}
	total := 0
	for _, w := range workers {
		total += w.acked
	}
	t.Logf("%d restarts of a leader and %d of its follower, equal digests every time; %d writes of 4 clients, none lost; after restarts of the leader %d synchronizations in part and %d in full", *restarts, *restarts, total, partial, full)
}

func number(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Errorf("%q is no number", s)
	}
	return n
}
