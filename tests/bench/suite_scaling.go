package main

import (
	"context"
	"fmt"
	"strconv"
)

// scaling measures kvd's throughput by number of event loops, with as many load workers as loops. Redis stands beside it with
// as many io-threads. The load needs CPUs too: figures say something while loops plus workers fit the machine.
func scaling(ctx context.Context, r *run) error {
	const pipeline = 64
	if r.loops == nil {
		for n := 1; n < len(r.allCPUs); n *= 2 {
			r.loops = append(r.loops, n)
		}
		r.loops = append(r.loops, len(r.allCPUs))
	}
	flags := map[string]string{"kvd": "--" + r.loopFlag, "redis": "--io-threads"}
	r.note("P=%d, own load with as many workers as loops, %d CPUs in all; kvd by %s, redis by %s", pipeline, len(r.allCPUs), flags["kvd"], flags["redis"])
	for round := range r.rounds {
		for _, loops := range r.loops {
			for _, side := range sides(round) {
				progress("scaling: %d loops, %s", loops, side)
				s, err := r.start(ctx, side, nil, flags[side], strconv.Itoa(loops))
				if err != nil {
					return err
				}
				if err := fill(ctx, s.addr, r.keys, counting("SET", "key:"+placeholder, r.value())); err != nil {
					return err
				}
				for _, test := range r.tests {
					w, weight, err := r.basics(test)
					if err != nil {
						return err
					}
					n := r.count(pipeline, weight) * int64(loops)
					l := load{addr: s.addr, conns: max(r.clients, 2*loops), workers: loops, pipeline: pipeline, requests: n,
						seed: r.nextSeed(), gen: random(r.keys, w.args...)}
					used, err := cpuDuring(s.pid, func() error {
						took, err := l.run(ctx)
						r.add(scalingName(loops, test)+"rps", "1/s", side, float64(n)/took.Seconds())
						return err
					})
					if err != nil {
						return fmt.Errorf("%s on %s: %w", test, side, err)
					}
					r.add(scalingName(loops, test)+"cpu", "us", side, float64(used.Nanoseconds())/1e3/float64(n))
				}
				s.stop()
			}
		}
	}
	least := r.loops[0]
	for _, loops := range r.loops[1:] {
		for _, test := range r.tests {
			for _, side := range sides(0) {
				share := r.middle(scalingName(loops, test)+"rps", side) / r.middle(scalingName(least, test)+"rps", side)
				r.add(scalingName(loops, test)+"share of linear", "", side, share*float64(least)/float64(loops))
			}
		}
	}
	return nil
}

func scalingName(loops int, test string) string {
	return fmt.Sprintf("scaling/%d loops %s/", loops, test)
}
