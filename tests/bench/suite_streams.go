package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// streamWork is a command on streams, positions or HyperLogLogs. weight is its cost in GETs, before what is
// done, unmeasured, ahead of each run of it.
type streamWork struct {
	name   string
	weight float64
	args   []string
	before [][]string
	most   int64 // not 0: no more requests than there are entries
}

// Entries of the streams s and g have the IDs 0-0 and so on up to the number of keys, and three fields; the members of
// pos stand in a line, 1.57 m from each other. Those of geo do so at first; placeholders of one command are drawn apart.
var streamWorks = []streamWork{
	{name: "XADD", weight: 1, args: []string{"XADD", "a", "*", "field1", "value:" + placeholder, "field2", placeholder, "field3", "x"}, before: [][]string{{"DEL", "a"}}},
	{name: "XRANGE_10", weight: 4, args: []string{"XRANGE", "s", placeholder, "+", "COUNT", "10"}},
	{name: "XREAD_10", weight: 4, args: []string{"XREAD", "COUNT", "10", "STREAMS", "s", placeholder}},
	{name: "XREAD_$", weight: 1, args: []string{"XREAD", "COUNT", "10", "STREAMS", "s", "$"}},
	{name: "XREADGROUP", weight: 2, args: []string{"XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "g", ">"},
		before: [][]string{{"XGROUP", "DESTROY", "g", "g"}, {"XGROUP", "CREATE", "g", "g", "0"}}, most: 1},
	{name: "XACK", weight: 1, args: []string{"XACK", "g", "g", placeholder + "-1"}, most: 1},
	{name: "PFADD", weight: 1, args: []string{"PFADD", "h:" + placeholder, "m1", "m2", "m3"}},
	{name: "PFADD_new", weight: 1, args: []string{"PFADD", "h", "m:" + placeholder}},
	{name: "PFCOUNT", weight: 1, args: []string{"PFCOUNT", "h:" + placeholder}},
	{name: "PFCOUNT_2", weight: 8, args: []string{"PFCOUNT", "h:" + placeholder, "h"}},
	{name: "GEOADD", weight: 1.5, args: []string{"GEOADD", "geo", placeholder + "e-5", placeholder + "e-5", "m:" + placeholder}},
	{name: "GEOSEARCH_100", weight: 30, args: []string{"GEOSEARCH", "pos", "FROMMEMBER", "m:" + placeholder, "BYRADIUS", "78.6", "m"}},
}

// streams measures streams, positions and HyperLogLogs.
func streams(ctx context.Context, r *run) error {
	if r.pipelines == nil {
		r.pipelines = []int{16}
	}
	for _, t := range r.tests {
		if !slices.ContainsFunc(streamWorks, func(w streamWork) bool { return strings.EqualFold(w.name, t) }) {
			return fmt.Errorf("streams: unknown test %q", t)
		}
	}
	servers := map[string]*server{}
	for _, side := range sides(0) {
		s, err := r.start(ctx, side, nil)
		if err != nil {
			return err
		}
		defer s.stop()
		servers[side] = s
		progress("streams: load %s", side)
		for _, args := range [][]string{
			{"XADD", "s", placeholder + "-1", "field1", "value:" + placeholder, "field2", placeholder, "field3", "x"},
			{"XADD", "g", placeholder + "-1", "field1", "value:" + placeholder, "field2", placeholder, "field3", "x"},
			{"GEOADD", "pos", placeholder + "e-5", placeholder + "e-5", "m:" + placeholder},
			{"GEOADD", "geo", placeholder + "e-5", placeholder + "e-5", "m:" + placeholder},
			{"PFADD", "h", "m:" + placeholder},
		} {
			// In their order: a stream takes IDs that grow.
			l := load{addr: s.addr, conns: 1, workers: 1, pipeline: 128, requests: r.keys, gen: counting(args...)}
			if _, err := l.run(ctx); err != nil {
				return err
			}
		}
		if err := fill(ctx, s.addr, min(r.keys, smallCollections), counting("PFADD", "h:"+placeholder, "m1", "m2", "m3", placeholder)); err != nil {
			return err
		}
	}
	for round := range r.rounds {
		for _, p := range r.pipelines {
			progress("streams: round %d of %d, P=%d", round+1, r.rounds, p)
			for _, sw := range streamWorks {
				if len(r.tests) > 0 && !slices.ContainsFunc(r.tests, func(t string) bool { return strings.EqualFold(t, sw.name) }) {
					continue
				}
				w := work{name: sw.name, args: sw.args, pipeline: p, keys: r.keys, requests: r.count(p, sw.weight)}
				if strings.Contains(strings.Join(sw.args, " "), "h:") {
					w.keys = min(r.keys, smallCollections)
				}
				if sw.most > 0 {
					w.requests = min(w.requests, r.keys)
				}
				for _, side := range sides(round) {
					for _, b := range sw.before {
						if _, err := servers[side].do(b...); err != nil {
							return err
						}
					}
					f, err := r.drive(ctx, servers[side], w)
					if err != nil {
						return err
					}
					r.addFigures(fmt.Sprintf("streams/P=%d/%s", p, sw.name), side, f)
				}
			}
		}
	}
	r.note("streams of %d entries of three fields, as many positions; %d connections", r.keys, r.clients)
	return nil
}
