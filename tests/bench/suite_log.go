package main

import (
	"context"
	"time"
)

// appendLog measures SET with the append-only log, and loading it again. The
// files of both servers are on the file system of the temporary directory.
func appendLog(ctx context.Context, r *run) error {
	for _, policy := range []string{"everysec", "always"} {
		servers := map[string]*server{}
		for _, side := range sides(0) {
			s, err := r.start(ctx, side, nil, "--appendonly", "yes", "--appendfsync", policy, "--auto-aof-rewrite-percentage", "0")
			if err != nil {
				return err
			}
			defer s.stop()
			servers[side] = s
		}
		for round := range r.rounds {
			progress("log %s: round %d of %d", policy, round+1, r.rounds)
			w, weight, err := r.basics("set")
			if err != nil {
				return err
			}
			if policy == "always" {
				weight = 10 // each batch waits for the disk
			}
			w.name, w.test, w.pipeline, w.keys, w.requests = "set", "set", 16, r.keys, r.count(16, weight)
			for _, side := range sides(round) {
				f, err := r.drive(ctx, servers[side], w)
				if err != nil {
					return err
				}
				r.addFigures("log/"+policy+"/P=16/set", side, f)
			}
		}
		for round := range r.rounds {
			for _, side := range sides(round) {
				start := time.Now()
				if _, err := servers[side].do("DEBUG", "LOADAOF"); err != nil {
					return err
				}
				r.add("log/"+policy+"/load", "ms", side, time.Since(start).Seconds()*1e3)
			}
		}
		for _, s := range servers {
			s.stop()
		}
	}
	return nil
}
