package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

// longCommands are those that one client repeats while others are measured. A list to sort, sets a, b and c and the
// keyspace itself are as large as -keys says, but for KEYS, which runs over five times as many keys.
var longCommands = []string{"SUNION a b c", "SMEMBERS a", "SORT list", "KEYS *"}

// long measures what clients of short commands notice of another's long reads, and how long collections hold a lock
// while they grow and while a snapshot holds them.
func long(ctx context.Context, r *run) error {
	err := r.longReads(ctx)
	for range r.rounds {
		err = errors.Join(err, r.longHolds(ctx))
	}
	r.addClockStep("long")
	return err
}

func (r *run) longReads(ctx context.Context) error {
	const (
		gap    = 500 * time.Microsecond
		window = 3 * time.Second
	)
	return r.each(ctx, func(ctx context.Context, s *server, _ int) error {
		progress("long: load %s", s.name)
		for key, first := range map[string]int64{"a": 0, "b": r.keys / 2, "c": r.keys / 4 * 3} {
			if err := fillBig(ctx, s.addr, "s", key, first, r.keys); err != nil {
				return err
			}
		}
		if err := fill(ctx, s.addr, r.keys, random(r.keys, "RPUSH", "list", placeholder)); err != nil {
			return err
		}
		keys := 5 * r.keys
		if err := fill(ctx, s.addr, keys, counting("SET", "key:"+placeholder, "x")); err != nil {
			return err
		}
		for _, conns := range []int{1, 50} {
			// beside runs f while conns connections send GETs and SETs in turns, all of them together one every gap.
			others := func(f func() error) (delays, error) {
				var (
					wg   sync.WaitGroup
					mu   sync.Mutex
					all  []time.Duration
					errs []error
				)
				stop := make(chan struct{})
				for i := range conns {
					next := getsAndSets(rand.New(rand.NewPCG(r.nextSeed(), uint64(i))), keys, "y")
					wg.Go(func() {
						d, err := probe(s.addr, time.Duration(conns)*gap, time.Minute, stop, next)
						mu.Lock()
						all, errs = append(all, d...), append(errs, err)
						mu.Unlock()
					})
				}
				err := f()
				close(stop)
				wg.Wait()
				return summarize(all), errors.Join(append(errs, err)...)
			}
			name := fmt.Sprintf("long/%d connections/", conns)
			calm, err := others(func() error { return pause(ctx, window) })
			if err != nil {
				return err
			}
			r.add(name+"calm p99", "us", s.name, calm.p99)
			for _, cmd := range longCommands {
				progress("long: %s beside %d connections on %s", cmd, conns, s.name)
				times := 0
				d, err := others(func() error {
					return s.ask(func(c *client) error {
						in := newReplies(c.r)
						for start := time.Now(); time.Since(start) < window; times++ {
							if _, err := c.c.Write(appendCommand(nil, strings.Fields(cmd)...)); err != nil {
								return err
							}
							if err := errors.Join(in.skip(1), in.err()); err != nil {
								return err
							}
						}
						return nil
					})
				})
				if err != nil {
					return fmt.Errorf("%s on %s: %w", cmd, s.name, err)
				}
				r.add(name+cmd+"/p99", "us", s.name, d.p99)
				r.add(name+cmd+"/p99 above", "us", s.name, max(0, d.p99-2*calm.p99))
				r.add(name+cmd+"/worst", "us", s.name, d.longest)
				r.add(name+cmd+"/calls", "1/s", s.name, float64(times)/window.Seconds())
			}
		}
		r.note("long reads: one client repeats the command for %v beside GETs and SETs, one every %v in all; %d members, %d keys; p99 above: what exceeds twice the calm value", window, gap, r.keys, keys)
		return nil
	})
}

// longHolds measures inside kvd: it costs system calls, so nothing else is measured then.
func (r *run) longHolds(ctx context.Context) error {
	s, err := r.start(ctx, "kvd", nil)
	if err != nil {
		return err
	}
	defer s.stop()
	if _, err := s.do("DEBUG", "TIMING", "ON"); err != nil {
		return err
	}
	for _, k := range kinds {
		progress("long: %s grows", bigNames[k])
		if _, err := s.do("CONFIG", "RESETSTAT"); err != nil {
			return err
		}
		if err := fillBig(ctx, s.addr, k, bigNames[k], 0, r.keys); err != nil {
			return err
		}
		if err := r.addLongest(s, "long/"+bigNames[k]+" grows/"); err != nil {
			return err
		}
	}
	if _, err := s.do("CONFIG", "RESETSTAT"); err != nil {
		return err
	}
	progress("long: a snapshot holds the collections")
	if _, err := s.do("CONFIG", "SET", "rdb-key-save-delay", strconv.Itoa(500_000)); err != nil { // it lasts
		return err
	}
	if _, err := s.do("BGSAVE"); err != nil {
		return err
	}
	longest, by := 0.0, "none of the commands"
	middle := strconv.FormatInt(r.keys/4, 10) // a placeholder's zeros are not an index
	for _, args := range [][]string{
		{"SADD", "set", "element:" + placeholder}, {"SREM", "set", "element:" + placeholder}, {"SISMEMBER", "set", "element:" + placeholder},
		{"HSET", "hash", "element:" + placeholder, "w"}, {"HGET", "hash", "element:" + placeholder}, {"HDEL", "hash", "element:" + placeholder},
		{"ZADD", "zset", placeholder, "element:" + placeholder}, {"ZREM", "zset", "element:" + placeholder}, {"ZRANK", "zset", "element:" + placeholder},
		{"ZINCRBY", "zset", "1", "element:" + placeholder}, {"LPUSH", "list", "x"}, {"RPOP", "list"}, {"LPOP", "list"}, {"LINDEX", "list", middle},
		{"LSET", "list", middle, "y"}, {"SPOP", "set"}, {"ZPOPMIN", "zset"}, {"SRANDMEMBER", "set"}, {"HRANDFIELD", "hash"}, {"ZRANGE", "zset", middle, middle},
	} {
		if err := fill(ctx, s.addr, r.keys/50, random(r.keys/2, args...)); err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		info, err := s.do("INFO", "kvd")
		if err != nil {
			return err
		}
		field, _ := infoField(info, longestFields[0])
		us, _ := strconv.ParseFloat(field, 64) // addLongest reports what it is not
		if us > longest {
			longest, by = us, args[0]
		}
	}
	r.note("the longest hold while a snapshot holds them: %.0f us, during %s", longest, by)
	if _, err := s.do("CONFIG", "SET", "rdb-key-save-delay", "0"); err != nil {
		return err
	}
	return r.addLongest(s, "long/held by a snapshot/")
}
