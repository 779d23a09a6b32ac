package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// basics are redis-benchmark's tests of strings as commands: the same for the own load. weight is the cost in GETs.
func (r *run) basics(test string) (w work, weight float64, err error) {
	const key = "key:" + placeholder
	switch test {
	case "set":
		return work{args: []string{"SET", key, r.value()}}, 1, nil
	case "get":
		return work{args: []string{"GET", key}}, 1, nil
	case "incr":
		return work{args: []string{"INCR", "counter:" + placeholder}}, 1, nil
	case "mset":
		args := []string{"MSET"}
		for range 10 {
			args = append(args, key, r.value())
		}
		return work{args: args}, 6, nil
	}
	return w, 0, fmt.Errorf("unknown test %q", test)
}

// preload sets keys key:000000000000 and on, those which redis-benchmark -r hits.
func (r *run) preload(ctx context.Context, s *server) error {
	progress("load %d keys into %s", r.keys, s.name)
	return fill(ctx, s.addr, r.keys, counting("SET", "key:"+placeholder, r.value()))
}

// throughput measures requests a second and server CPU.
func throughput(ctx context.Context, r *run) error {
	if r.pipelines == nil {
		r.pipelines = []int{1, 16, 64}
	}
	for _, mode := range r.modes {
		var cpus []int
		if mode == "pinned" {
			if r.loadCPUs == nil {
				r.note("pinned: left out, this machine has one CPU only")
				continue
			}
			cpus = r.serverCPUs
		}
		if err := r.throughputMode(ctx, mode, cpus); err != nil {
			return err
		}
	}
	return nil
}

// throughputMode measures with servers on cpus (nil: anywhere) and the load on the load's CPUs (likewise).
func (r *run) throughputMode(ctx context.Context, mode string, cpus []int) (err error) {
	servers, stop, err := r.startPreloaded(ctx, cpus)
	defer stop()
	if err != nil {
		return err
	}
	if cpus != nil {
		// Threads that the servers have made since their start have inherited the binding; this makes sure.
		for _, s := range servers {
			if err := pinAll(s.pid, cpus); err != nil {
				return err
			}
		}
		if err := pinAll(os.Getpid(), r.loadCPUs); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, pinAll(os.Getpid(), r.allCPUs)) }()
	}
	for round := range r.rounds {
		progress("throughput %s: round %d of %d", mode, round+1, r.rounds)
		for _, p := range r.pipelines {
			for _, test := range r.tests {
				w, weight, err := r.basics(test)
				if err != nil {
					return err
				}
				w.name, w.test, w.pipeline, w.keys, w.requests = test, test, p, r.keys, r.count(p, weight)
				for _, side := range sides(round) {
					f, err := r.drive(ctx, servers[side], w)
					if err != nil {
						return err
					}
					r.addFigures("throughput/"+mode+"/P="+strconv.Itoa(p)+"/"+test, side, f)
				}
			}
		}
	}
	tools := []string{}
	for _, p := range r.pipelines {
		tool := "redis-benchmark"
		if r.ownLoad(p) {
			tool = "own load"
		}
		tools = append(tools, fmt.Sprintf("P=%d %s", p, tool))
	}
	r.note("%d keys, values of %d bytes, %d connections; load: %s. rps as the load tool says, wall with its start.",
		r.keys, r.size, r.clients, strings.Join(tools, ", "))
	return nil
}

// addFigures adds a run's figures under a name.
func (r *run) addFigures(name, side string, f figures) {
	r.add(name+"/rps", "1/s", side, f.rps)
	r.add(name+"/wall rps", "1/s", side, f.wall)
	r.add(name+"/cpu", "us", side, f.cpu)
}
