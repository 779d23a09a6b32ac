package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The small collections: as many as this, of each type.
const smallCollections = 100_000

// collections measures the other types.
func collections(ctx context.Context, r *run) error {
	if r.pipelines == nil {
		r.pipelines = []int{1, 16}
	}
	parts := []func(context.Context) error{r.collectionCommands, r.setAlgebra, r.collectionBytes}
	if len(r.tests) > 0 {
		parts = parts[:1]
	}
	for _, f := range parts {
		if err := f(ctx); err != nil {
			return err
		}
	}
	return nil
}

// collectionWork is a command on collections. weight is its cost in GETs.
type collectionWork struct {
	name   string
	weight float64
	small  []string // on one of the small collections
	big    []string // on the one with -keys members
	takes  string   // the kind of which it takes a member with each request
}

// Members of big collections are elements of twelve digits; small ones have m0 to m9, and lists ten elements.
// RPOP follows LPUSH and ZPOPMIN follows ZADD with as many requests, so that sizes of small ones stay about the same.
var collectionWorks = []collectionWork{
	{"LPUSH", 1, []string{"LPUSH", "l:" + placeholder, "element:" + placeholder}, []string{"LPUSH", "list", "element:" + placeholder}, ""},
	{"RPOP", 1, []string{"RPOP", "l:" + placeholder}, []string{"RPOP", "list"}, "l"},
	{"LRANGE_100", 6, []string{"LRANGE", "l:" + placeholder, "0", "99"}, []string{"LRANGE", "list", "0", "99"}, ""},
	{"SADD", 1, []string{"SADD", "s:" + placeholder, "m5"}, []string{"SADD", "set", "element:" + placeholder}, ""},
	{"SISMEMBER", 1, []string{"SISMEMBER", "s:" + placeholder, "m3"}, []string{"SISMEMBER", "set", "element:" + placeholder}, ""},
	{"HSET", 1, []string{"HSET", "h:" + placeholder, "m3", "value:" + placeholder}, []string{"HSET", "hash", "element:" + placeholder, "value:" + placeholder}, ""},
	{"HGET", 1, []string{"HGET", "h:" + placeholder, "m3"}, []string{"HGET", "hash", "element:" + placeholder}, ""},
	{"ZADD", 1.5, []string{"ZADD", "z:" + placeholder, placeholder, "m5"}, []string{"ZADD", "zset", placeholder, "element:" + placeholder}, ""},
	{"ZRANK", 1, []string{"ZRANK", "z:" + placeholder, "m3"}, []string{"ZRANK", "zset", "element:" + placeholder}, ""},
	{"ZRANGEBYSCORE_10", 3, []string{"ZRANGEBYSCORE", "z:" + placeholder, "-inf", "+inf", "LIMIT", "0", "10"},
		[]string{"ZRANGEBYSCORE", "zset", placeholder, "+inf", "LIMIT", "0", "10"}, ""},
	{"ZPOPMIN", 1.5, []string{"ZPOPMIN", "z:" + placeholder}, []string{"ZPOPMIN", "zset"}, "z"},
}

// fillSmall makes the small collections of one kind: m0 .. m9, as many as members says.
func fillSmall(ctx context.Context, addr, kind string, members int) error {
	args := []string{map[string]string{"l": "RPUSH", "s": "SADD", "h": "HSET", "z": "ZADD"}[kind], kind + ":" + placeholder}
	for i := range members {
		m := "m" + strconv.Itoa(i)
		switch kind {
		case "h":
			args = append(args, m, "value:"+placeholder)
		case "z":
			args = append(args, strconv.Itoa(i), m)
		default:
			args = append(args, m)
		}
	}
	return fill(ctx, addr, smallCollections, counting(args...))
}

// fillBig makes the big collection of one kind with n members from first on.
func fillBig(ctx context.Context, addr, kind, key string, first, n int64) error {
	const element = "element:" + placeholder
	args := map[string][]string{"l": {"RPUSH", key, element}, "s": {"SADD", key, element},
		"h": {"HSET", key, element, "value:" + placeholder}, "z": {"ZADD", key, placeholder, element}}[kind]
	return fillFrom(ctx, addr, first, n, counting(args...))
}

var kinds = []string{"l", "s", "h", "z"}

// bigNames are the keys of the big collections.
var bigNames = map[string]string{"l": "list", "s": "set", "h": "hash", "z": "zset"}

// collectionCommands measures requests a second and CPU of single commands.
func (r *run) collectionCommands(ctx context.Context) error {
	for _, t := range r.tests {
		if !slices.ContainsFunc(collectionWorks, func(w collectionWork) bool { return strings.EqualFold(w.name, t) }) {
			return fmt.Errorf("collections: unknown test %q", t)
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
	}
	for round := range r.rounds {
		for _, side := range sides(round) {
			progress("collections: round %d of %d, load %s", round+1, r.rounds, side)
			s := servers[side]
			if _, err := s.do("FLUSHALL", "SYNC"); err != nil {
				return err
			}
			for _, k := range kinds {
				if err := errors.Join(fillSmall(ctx, s.addr, k, 10), fillBig(ctx, s.addr, k, bigNames[k], 0, r.keys)); err != nil {
					return err
				}
			}
		}
		for _, p := range r.pipelines {
			for _, size := range []string{"small", "big"} {
				progress("collections: %s, P=%d", size, p)
				for _, cw := range collectionWorks {
					if len(r.tests) > 0 && !slices.ContainsFunc(r.tests, func(t string) bool { return strings.EqualFold(t, cw.name) }) {
						continue
					}
					w := work{name: cw.name, args: cw.small, pipeline: p, keys: smallCollections, requests: r.count(p, cw.weight)}
					if size == "big" {
						w.args, w.keys = cw.big, r.keys
					}
					for _, side := range sides(round) {
						drive := r.drive
						if size == "big" && cw.takes != "" {
							drive = func(ctx context.Context, s *server, w work) (figures, error) { return r.driveLegs(ctx, s, w, cw.takes) }
						}
						f, err := drive(ctx, servers[side], w)
						if err != nil {
							return err
						}
						r.addFigures(fmt.Sprintf("collections/%s/P=%d/%s", size, p, cw.name), side, f)
					}
				}
			}
		}
	}
	r.note("commands: %d small collections of 10 members, one of %d members of each type; %d connections", smallCollections, r.keys, r.clients)
	return nil
}

// driveLegs drives a work that takes members out of the big collection of one kind, a quarter of them at most in
// each leg, and puts back what is missing behind it: the collection stays big, and the figures are of as many requests
// as those of other works.
func (r *run) driveLegs(ctx context.Context, s *server, w work, kind string) (figures, error) {
	var took, wall, cpu float64 // seconds, seconds, microseconds
	for left := w.requests; left > 0; {
		leg := w
		leg.requests = min(left, max(1, r.keys/4))
		f, err := r.drive(ctx, s, leg)
		if err != nil {
			return figures{}, err
		}
		n := float64(leg.requests)
		took, wall, cpu = took+n/f.rps, wall+n/f.wall, cpu+n*f.cpu
		back := leg.requests
		if kind == "z" {
			back = r.keys // which are gone is not known
		}
		if err := fillBig(ctx, s.addr, kind, bigNames[kind], 0, back); err != nil {
			return figures{}, err
		}
		left -= leg.requests
	}
	n := float64(w.requests)
	return figures{rps: n / took, wall: n / wall, cpu: cpu / n}, nil
}

// setAlgebra times operations on sets a, b and c of -keys members: a and b share a half, b and c three quarters.
func (r *run) setAlgebra(ctx context.Context) error {
	servers := map[string]*server{}
	for _, side := range sides(0) {
		s, err := r.start(ctx, side, nil)
		if err != nil {
			return err
		}
		defer s.stop()
		servers[side] = s
		progress("collections: load sets into %s", side)
		for key, first := range map[string]int64{"a": 0, "b": r.keys / 2, "c": r.keys / 4 * 3} {
			if err := fillBig(ctx, s.addr, "s", key, first, r.keys); err != nil {
				return err
			}
		}
	}
	for round := range r.rounds {
		for _, cmd := range []string{"SINTER a b", "SINTERSTORE d a b", "SUNION a b c", "SUNIONSTORE d a b c", "SDIFF a b c", "SDIFFSTORE d a b c",
			"SINTERCARD 2 a b", "SINTERCARD 2 a b LIMIT 10", "SMEMBERS a"} {
			for _, side := range sides(round) {
				s := servers[side]
				err := s.ask(func(c *client) error { return r.timeAlgebra(c, cmd, side) })
				if err != nil {
					return fmt.Errorf("%s on %s: %w", cmd, side, err)
				}
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	r.note("set algebra: three sets of %d members, time until the reply is read", r.keys)
	return nil
}

// leastTimed is how long a command of set algebra is timed at least: a short one again and again.
const leastTimed = 50 * time.Millisecond

// timeAlgebra times a command until its reply is read. What it stores is deleted, in no measured time.
func (r *run) timeAlgebra(c *client, cmd, side string) error {
	in, request := newReplies(c.r), appendCommand(nil, strings.Fields(cmd)...)
	var took time.Duration
	times := 0
	for ; took < leastTimed; times++ {
		start := time.Now()
		if _, err := c.c.Write(request); err != nil {
			return err
		}
		if err := errors.Join(in.skip(1), in.err()); err != nil {
			return err
		}
		took += time.Since(start)
		if _, err := c.text("DEL", "d"); err != nil {
			return err
		}
	}
	r.add("collections/algebra/"+cmd+"/time", "ms", side, took.Seconds()*1e3/float64(times))
	return nil
}

// collectionBytes measures resident bytes: of a small collection, and of a big one's member.
func (r *run) collectionBytes(ctx context.Context) error {
	for round := range r.rounds {
		for _, k := range []struct {
			kind, name string
			members    int
		}{{"h", "hash", 5}, {"l", "list", 10}, {"s", "set", 10}, {"z", "zset", 10}} {
			for _, side := range sides(round) {
				progress("collections: bytes of %s on %s", k.name, side)
				for _, big := range []bool{false, true} {
					s, err := r.start(ctx, side, nil)
					if err != nil {
						return err
					}
					name, n := fmt.Sprintf("collections/bytes/small %s of %d", k.name, k.members), int64(smallCollections)
					load := func() error { return fillSmall(ctx, s.addr, k.kind, k.members) }
					if big {
						name, n = fmt.Sprintf("collections/bytes/a member of a big %s", k.name), r.keys
						load = func() error { return fillBig(ctx, s.addr, k.kind, k.name, 0, n) }
					}
					each, err := bytesEach(ctx, s, n, load)
					s.stop()
					if err != nil {
						return err
					}
					r.add(name, "B", side, math.Round(each*10)/10)
				}
			}
		}
	}
	return nil
}
