package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// largeRequest is something large that clients do; lives is what it leaves in the keyspace, in bytes.
type largeRequest struct {
	name  string
	lives int64
	do    func(ctx context.Context, s *server) error
}

// largeRequests are sized by -keys: the figures are those of a million.
func largeRequests(keys int64) []largeRequest {
	value := strings.Repeat("v", mib)
	n := max(keys*300/million, 1)
	sets := func() (all [][]string) {
		for i := range n {
			all = append(all, []string{"SET", "v:" + strconv.FormatInt(i, 10), value})
		}
		return all
	}
	long := strings.Repeat("v", int(keys)*100)
	run := func(all [][]string) func(context.Context, *server) error {
		return func(_ context.Context, s *server) error { return s.ask(func(c *client) error { return c.huge(all) }) }
	}
	return []largeRequest{
		{"MULTI of 300 values of 1 MiB", n * mib, run(append(append([][]string{{"MULTI"}}, sets()...), []string{"EXEC"}))},
		{"300 values of 1 MiB behind a blocked client", n * mib, func(ctx context.Context, s *server) error {
			done := make(chan error, 1)
			go func() {
				done <- s.ask(func(c *client) error { return c.huge(append([][]string{{"BLPOP", "none", "0"}}, sets()...)) })
			}()
			if err := pause(ctx, 3*time.Second); err != nil {
				return err
			}
			if _, err := s.do("LPUSH", "none", "x"); err != nil {
				return err
			}
			return <-done
		}},
		{"5 values of 100 MB set and deleted", 0, func(_ context.Context, s *server) error {
			for range 5 {
				if err := s.ask(func(c *client) error { return c.huge([][]string{{"SET", "long", long}, {"DEL", "long"}}) }); err != nil {
					return err
				}
			}
			return nil
		}},
		{"EXISTS of 10 M arguments", 0, run([][]string{numbered(keys*10, func(i string) []string { return []string{"key:" + i} }, "EXISTS")})},
		{"SET with PX 20 for 5 s", 0, func(ctx context.Context, s *server) error {
			for stop := time.Now().Add(5 * time.Second); time.Now().Before(stop); {
				if err := fill(ctx, s.addr, 100_000, counting("SET", "px:"+placeholder, "x", "PX", "20")); err != nil {
					return err
				}
			}
			return nil
		}},
		{"a million keys and FLUSHALL", 0, func(ctx context.Context, s *server) error {
			if err := fill(ctx, s.addr, keys, counting("SET", "key:"+placeholder, "x")); err != nil {
				return err
			}
			_, err := s.do("FLUSHALL")
			return err
		}},
	}
}

// requests measures the memory that large requests take, and what of it is left 8 seconds later.
func requests(ctx context.Context, r *run) error {
	const later = 8 * time.Second
	r.note("peak: VmHWM; after: VmRSS %v later, and by 1.2 of what lives and 64 MiB; every request on a new server", later)
	for _, q := range largeRequests(r.keys) {
		err := r.each(ctx, func(ctx context.Context, s *server, _ int) error {
			progress("requests: %s on %s", q.name, s.name)
			if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.pid), []byte("5"), 0); err != nil { // the peak begins anew
				return err
			}
			if err := q.do(ctx, s); err != nil {
				return fmt.Errorf("%s on %s: %w", q.name, s.name, err)
			}
			if err := pause(ctx, later); err != nil {
				return err
			}
			rss, peak, err := residentOf(s.pid)
			if err != nil {
				return err
			}
			r.add("requests/"+q.name+"/peak", "MiB", s.name, float64(peak)/mib)
			r.add("requests/"+q.name+"/after", "MiB", s.name, float64(rss)/mib)
			r.add("requests/"+q.name+"/after to allowed", "", s.name, float64(rss)/(1.2*float64(q.lives)+64*mib))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
