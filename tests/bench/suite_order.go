package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// sparse is how many times as many names there are as keys: a random one is new, nearly always.
const sparse = 1000

// orderWork is a request on each of two servers; the column redis is what it is measured against.
type orderWork struct {
	name       string
	weight     float64 // the cost in GETs
	kvd, redis []string
	on, beside string // the servers: ordered, plain (both kvd) or redis
}

var orderWorks = []orderWork{
	{"HSET indexed", 3, []string{"HSET", "h", "f" + placeholder, "v"}, []string{"HSET", "g", "f" + placeholder, "v"}, "plain", "plain"},
	{"SET ordered-keys", 3, []string{"SET", "k" + placeholder, "v"}, []string{"SET", "k" + placeholder, "v"}, "ordered", "plain"},
	{"HRANGEBYLEX", 20, []string{"HRANGEBYLEX", "h", "[f" + placeholder, "+", "LIMIT", "0", "100", "NOVALUES"}, []string{"ZRANGEBYLEX", "h", "[f" + placeholder, "+", "LIMIT", "0", "100"}, "plain", "redis"},
	{"KEYRANGE", 40, []string{"KEYRANGE", "[k" + placeholder, "+", "LIMIT", "0", "100"}, []string{"ZRANGEBYLEX", "k", "[k" + placeholder, "+", "LIMIT", "0", "100"}, "ordered", "redis"},
}

// orderSuite measures what is kept in order: ranges of it beside sorted sets of redis-server, and what it costs who writes.
func orderSuite(ctx context.Context, r *run) error {
	if r.pipelines == nil {
		r.pipelines = []int{1, 16}
	}
	for _, t := range r.tests {
		if !slices.ContainsFunc(orderWorks, func(w orderWork) bool { return w.name == t }) {
			return fmt.Errorf("order: unknown test %q", t)
		}
	}
	names := r.keys * sparse
	servers := map[string]*server{}
	for _, l := range []struct {
		server, side string
		extra        []string
		fill         [][]string
	}{
		{"ordered", "kvd", []string{"--ordered-keys", "yes"}, [][]string{{"SET", "k" + placeholder, "v"}}},
		{"plain", "kvd", nil, [][]string{{"SET", "k" + placeholder, "v"}, {"HSET", "h", "f" + placeholder, "v"}, {"HSET", "g", "f" + placeholder, "v"}}},
		{"redis", "redis", nil, [][]string{{"ZADD", "k", "0", "k" + placeholder}, {"ZADD", "h", "0", "f" + placeholder}}},
	} {
		s, err := r.start(ctx, l.side, nil, l.extra...)
		if err != nil {
			return err
		}
		defer s.stop()
		servers[l.server] = s
		for _, args := range l.fill {
			n := r.keys
			if args[1] == "h" || args[1] == "g" {
				n = min(n, million)
			}
			progress("order: %s of %d on %s", args[0], n, l.server)
			spread := names / n / sparse
			if err := fill(ctx, s.addr, n, filled(func(i int64, _ *rand.Rand) int64 { return i * spread * sparse }, args)); err != nil {
				return err
			}
		}
	}
	if err := servers["plain"].ask(func(c *client) error { _, err := c.integer("HCOUNTBYLEX", "h", "-", "+"); return err }); err != nil {
		return err
	}
	for round := range r.rounds {
		for _, w := range orderWorks {
			if len(r.tests) > 0 && !slices.Contains(r.tests, w.name) {
				continue
			}
			for _, p := range r.pipelines {
				progress("order: round %d of %d, P=%d, %s", round+1, r.rounds, p, w.name)
				n := r.count(p, w.weight)
				seed := r.nextSeed()
				for _, side := range sides(round) {
					s, args := servers[w.on], w.kvd
					if side == "redis" {
						s, args = servers[w.beside], w.redis
					}
					l := load{addr: s.addr, conns: r.clients, workers: 1, pipeline: p, requests: n, seed: seed, gen: random(names, args...)}
					var took time.Duration
					used, err := cpuDuring(s.pid, func() (err error) {
						took, err = l.run(ctx)
						return err
					})
					if err != nil {
						return fmt.Errorf("order: %s: %w", args[0], err)
					}
					name := "order/P=" + strconv.Itoa(p) + "/" + w.name
					r.add(name+"/rps", "1/s", side, float64(n)/took.Seconds())
					r.add(name+"/cpu", "us", side, float64(used.Nanoseconds())/1e3/float64(n))
				}
			}
		}
	}
	r.note("Of %d keys, and hashes of %d fields; names and fields of 13 bytes. At HSET and SET the column redis is kvd without; at the ranges, of 100, it is ZRANGEBYLEX of redis-server.", r.keys, min(r.keys, million))
	return nil
}
