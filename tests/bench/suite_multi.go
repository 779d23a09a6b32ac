package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// multiSets is how many SETs a transaction of the suite has.
const multiSets = 10

// transactions measures MULTI, ten SETs and EXEC: transactions a second and server CPU of one. A request of the load
// is a whole transaction, so P=16 has 16 transactions, 192 commands, on their way in each connection.
func transactions(ctx context.Context, r *run) error {
	if r.pipelines == nil {
		r.pipelines = []int{1, 16}
	}
	servers, stop, err := r.startPreloaded(ctx, nil)
	defer stop()
	if err != nil {
		return err
	}
	one := appendCommand(nil, "MULTI")
	exec := appendCommand(nil, "EXEC")
	set := random(r.keys, "SET", "key:"+placeholder, r.value())
	gen := func(dst []byte, i int64, rnd *rand.Rand) []byte {
		dst = append(dst, one...)
		for range multiSets {
			dst = set(dst, i, rnd)
		}
		return append(dst, exec...)
	}
	for round := range r.rounds {
		progress("multi: round %d of %d", round+1, r.rounds)
		for _, p := range r.pipelines {
			n := r.count(p, multiSets+2)
			for _, side := range sides(round) {
				s := servers[side]
				l := load{addr: s.addr, conns: r.clients, workers: 1, pipeline: p, replies: multiSets + 2, requests: n, seed: r.nextSeed(), gen: gen}
				var took time.Duration
				used, err := cpuDuring(s.pid, func() (err error) {
					took, err = l.run(ctx)
					return err
				})
				if err != nil {
					return fmt.Errorf("multi on %s: %w", side, err)
				}
				name := "multi/P=" + strconv.Itoa(p)
				r.add(name+"/rps", "1/s", side, float64(n)/took.Seconds())
				r.add(name+"/cpu", "us", side, float64(used.Nanoseconds())/1e3/float64(n))
			}
		}
	}
	r.note("MULTI, %d SETs of %d bytes over %d keys, EXEC; figures are of one transaction; %d connections; own load.", multiSets, r.size, r.keys, r.clients)
	return nil
}
