package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// huge is one client's huge command. Its requests are sent at once, after those of
// before, and its replies are read as they come.
type huge struct {
	name   string
	before [][]string
	send   [][]string
}

// numbered are words with a prefix and numbers from 0 to n-1, behind head.
func numbered(n int64, each func(i string) []string, head ...string) []string {
	for i := range n {
		head = append(head, each(strconv.FormatInt(i, 10))...)
	}
	return head
}

// hugeCommands are sized by -keys: a is a million where keys is. The dump is that of the set.
func hugeCommands(keys int64, dump string) []huge {
	one := func(prefix string) func(string) []string {
		return func(i string) []string { return []string{prefix + i} }
	}
	// Half of the strings come to 256 MB where keys is a million.
	value := strings.Repeat("v", int(keys)*64)
	mset := func(n int64) [][]string {
		all := [][]string{{"MULTI"}}
		for i := range n {
			all = append(all, []string{"SET", "m:" + strconv.FormatInt(i, 10), "x"})
		}
		return append(all, []string{"EXEC"})
	}
	get := numbered(keys/10, func(i string) []string { return []string{"GET", "u8", "#" + i} }, "BITFIELD", "bits")
	sadd := func(key string, n int64) []string { return numbered(n, one("m"), "SADD", key) }
	pair := func(prefix string) func(string) []string {
		return func(i string) []string { return []string{prefix + i, i} }
	}
	scored := func(i string) []string { return []string{i, "m" + i} }
	dense := [][]string{numbered(10_000, one("e"), "PFADD", "hll:0")}
	for i := int64(1); i < keys/1000; i++ {
		dense = append(dense, []string{"COPY", "hll:0", "hll:" + strconv.FormatInt(i, 10)})
	}
	return []huge{
		{"EXISTS of many", nil, [][]string{numbered(keys*10, one("key:"), "EXISTS")}},
		{"EXISTS of a fifth of them", nil, [][]string{numbered(keys*2, one("key:"), "EXISTS")}},
		{"MGET of many", nil, [][]string{numbered(keys, one("key:"), "MGET")}},
		{"GET of 4 long values, one behind the other", [][]string{{"MSET", "big1", value, "big2", value, "big3", value, "big4", value}}, [][]string{{"GET", "big1"}, {"GET", "big2"}, {"GET", "big3"}, {"GET", "big4"}}},
		{"MGET of 4 long values", nil, [][]string{{"MGET", "big1", "big2", "big3", "big4"}}},
		{"BITFIELD of many GETs", [][]string{{"DEL", "big1", "big2", "big3", "big4"}, {"SETRANGE", "bits", "100000", "x"}}, [][]string{get}},
		{"MULTI of many SETs", nil, mset(keys / 5)},
		// Redis looks through all that the client watches for each: it would be quadratic for more.
		{"WATCH of many", nil, [][]string{numbered(keys/100, one("key:"), "WATCH")}},
		{"RESTORE of a set", [][]string{{"UNWATCH"}}, [][]string{{"RESTORE", "restored", "0", dump}}},
		{"SUNIONSTORE", nil, [][]string{{"SUNIONSTORE", "d", "set", "restored"}}},
		{"ZUNIONSTORE", nil, [][]string{{"ZUNIONSTORE", "d", "2", "zset", "set"}}},
		{"ZRANGESTORE", nil, [][]string{{"ZRANGESTORE", "d", "zset", "0", "-1"}}},
		{"SORT STORE", nil, [][]string{{"SORT", "list", "ALPHA", "STORE", "d"}}},
		{"SORT LIMIT", nil, [][]string{{"SORT", "list", "ALPHA", "LIMIT", "0", "10"}}},
		{"ZREMRANGEBYRANK", [][]string{{"ZRANGESTORE", "d", "zset", "0", "-1"}}, [][]string{{"ZREMRANGEBYRANK", "d", "0", strconv.FormatInt(keys/2, 10)}}},
		{"SADD of many", nil, [][]string{sadd("added", keys)}},
		{"SPOP of many", nil, [][]string{{"SPOP", "added", strconv.FormatInt(keys/2, 10)}}},
		{"MSET of many", nil, [][]string{numbered(keys, pair("mset:"), "MSET")}},
		{"DEL of many", nil, [][]string{numbered(keys, one("mset:"), "DEL")}},
		{"ZADD of many", nil, [][]string{numbered(keys, scored, "ZADD", "zadded")}},
		{"PFMERGE of many dense", dense, [][]string{numbered(keys/1000, one("hll:"), "PFMERGE", "merged")}},
		{"PFADD of many", nil, [][]string{numbered(keys/10, one("n"), "PFADD", "pfadded")}},
		{"ARSET of many", nil, [][]string{numbered(keys/10, one("n"), "ARSET", "arset", "0")}},
		{"ARINSERT of many", nil, [][]string{numbered(keys/10, one("n"), "ARINSERT", "arinsert")}},
		{"ARMSET of many", nil, [][]string{numbered(keys/10, pair(""), "ARMSET", "armset")}},
	}
}

// fairness measures how long another client's GET waits for one client's huge command.
func fairness(ctx context.Context, r *run) error {
	const gap = time.Millisecond
	r.note("one GET every %v on its own connection while another client runs the command once; a set, a sorted set and a list of %d, and as many strings", gap, r.keys)
	return r.each(ctx, func(ctx context.Context, s *server, _ int) error {
		progress("fairness: load %s", s.name)
		for _, k := range []string{"s", "z", "l"} {
			if err := fillBig(ctx, s.addr, k, bigNames[k], 0, r.keys); err != nil {
				return err
			}
		}
		if err := fill(ctx, s.addr, r.keys, counting("SET", "key:"+placeholder, "x")); err != nil {
			return err
		}
		dump, err := s.do("DUMP", "set")
		if err != nil {
			return err
		}
		rnd := rand.New(rand.NewPCG(r.nextSeed(), 0))
		get := random(r.keys, "GET", "key:"+placeholder)
		for _, h := range hugeCommands(r.keys, dump) {
			if s.name != "kvd" && strings.HasPrefix(h.name, "AR") { // Redis has no arrays
				continue
			}
			progress("fairness: %s on %s", h.name, s.name)
			if err := s.ask(func(c *client) error {
				for _, args := range h.before {
					if _, err := c.text(args...); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return fmt.Errorf("before %s: %w", h.name, err)
			}
			if err := pause(ctx, time.Second/2); err != nil { // what was freed goes meanwhile
				return err
			}
			var took time.Duration
			list, err := beside(s.addr, gap, func(dst []byte) []byte { return get(dst, 0, rnd) }, func() error {
				return s.ask(func(c *client) error {
					begun := time.Now()
					defer func() { took = time.Since(begun) }()
					return c.huge(h.send)
				})
			})
			if err != nil {
				return fmt.Errorf("%s on %s: %w", h.name, s.name, err)
			}
			d := summarize(list)
			r.add("fairness/"+h.name+"/GET worst", "us", s.name, d.longest)
			r.add("fairness/"+h.name+"/took", "ms", s.name, float64(took.Microseconds())/1000)
		}
		return nil
	})
}

// huge sends requests and reads a reply for each as they come.
func (c *client) huge(all [][]string) error {
	sent := make(chan error, 1)
	go func() {
		w := bufio.NewWriterSize(c.c, 1<<20)
		var err error
		for _, args := range all {
			if _, err = w.Write(appendCommand(nil, args...)); err != nil {
				break
			}
		}
		sent <- errors.Join(err, w.Flush())
	}()
	in := newReplies(c.r)
	err := in.skip(len(all))
	return errors.Join(err, in.err(), <-sent)
}
