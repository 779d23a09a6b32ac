package differ

import (
	"fmt"
	"strings"
	"time"

	"kvd/tests/harness"
)

// followWait is how long a follower may take to have what its leader has.
const followWait = 10 * time.Second

// Writer makes random scripts for a leader whose followers are watched.
type Writer struct{ pl *planner }

// NewWriter makes a Writer. scratch is a real Redis, which is written to, and
// emptied, now.
func NewWriter(scratch Endpoint, seed uint64) (*Writer, error) {
	chosen, fill, err := choose(Families(), []string{"DEBUG", "CONFIG"})
	if err != nil {
		return nil, err
	}
	payloads, err := makePayloads(scratch, fill)
	if err != nil {
		return nil, err
	}
	c, err := empty(scratch.Addr)
	if err != nil {
		return nil, err
	}
	c.Close()
	return &Writer{newPlanner(chosen, fill, payloads, seed, 1<<30)}, nil
}

// Play sends the n-th script to the leader, in pipelines.
func (w *Writer) Play(leader Endpoint, n, steps int) error {
	c, err := harness.Dial(leader.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	sent := 0
	drain := func() error {
		if err := c.Flush(); err != nil {
			return err
		}
		for ; sent > 0; sent-- {
			if _, err := c.Receive(); err != nil {
				return err
			}
		}
		return nil
	}
	for i, s := range w.pl.script(n, 2+n%2, steps) {
		if s.Args[0] == "contents" {
			continue
		}
		if err := c.Send(s.Args...); err != nil {
			return err
		}
		if sent++; sent == batchSteps || i%97 == 0 {
			if err := drain(); err != nil {
				return fmt.Errorf("after %s: %w", s, err)
			}
		}
	}
	return drain()
}

// SameDigest waits until the follower's contents are its leader's, by DEBUG
// DIGEST. Otherwise it tells which keys differ.
func SameDigest(leader, follower Endpoint) error {
	a, err := harness.Dial(leader.Addr)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := harness.Dial(follower.Addr)
	if err != nil {
		return err
	}
	defer b.Close()
	ask := func(c *harness.Conn, args ...string) string {
		r, e := c.Do(args...)
		if e != nil && err == nil {
			err = e
		}
		return r.String()
	}
	for end := time.Now().Add(followWait); time.Now().Before(end) && err == nil; time.Sleep(20 * time.Millisecond) {
		if ask(a, "DEBUG", "DIGEST") == ask(b, "DEBUG", "DIGEST") {
			return err
		}
	}
	if err != nil {
		return err
	}
	var out strings.Builder
	for db := range 16 {
		seen := map[string]bool{}
		for _, c := range []*harness.Conn{a, b} {
			ask(c, "SELECT", fmt.Sprint(db))
			r, err := c.Do("KEYS", "*")
			if err != nil {
				return err
			}
			for _, k := range r.Strings() {
				seen[k] = true
			}
		}
		for k := range seen {
			if x, y := ask(a, "DEBUG", "DIGEST-VALUE", k), ask(b, "DEBUG", "DIGEST-VALUE", k); x != y {
				fmt.Fprintf(&out, "  db %d key %q: %s %s, in the leader: %.100s, in the follower: %.100s\n", db, k, ask(a, "TYPE", k), ask(b, "TYPE", k), ask(a, "DUMP", k), ask(b, "DUMP", k))
			}
		}
	}
	return fmt.Errorf("the follower's contents are not its leader's\n%s%s", out.String(), ask(b, "INFO", "replication"))
}
