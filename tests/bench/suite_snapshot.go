package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// snapshot measures what writers notice of a snapshot and of a rewrite of the append-only log, and what memory these
// take, on both sides; then, inside kvd only, how long locks are held and commands run meanwhile.
func snapshot(ctx context.Context, r *run) error {
	for round := range r.rounds {
		var bgsave, save saved // what the two sides have to show for the comparison with SAVE
		for _, side := range sides(round) {
			err := r.onFilled(ctx, side, func(s *server) (err error) {
				d, err := r.savedUnderLoad(ctx, s, "BGSAVE")
				if err != nil {
					return err
				}
				r.addSaved("BGSAVE", side, d)
				if side == "redis" {
					bgsave = d
					return nil
				}
				save, err = r.savedUnderLoad(ctx, s, "SAVE")
				return err
			})
			if err != nil {
				return err
			}
		}
		r.addSaved("SAVE (redis BGSAVE)", "kvd", save)
		r.addSaved("SAVE (redis BGSAVE)", "redis", bgsave)
		for _, side := range sides(round) {
			err := r.onFilled(ctx, side, func(s *server) error {
				d, err := r.savedUnderLoad(ctx, s, "BGREWRITEAOF")
				if err == nil {
					r.addSaved("BGREWRITEAOF", side, d)
				}
				return err
			}, "--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0")
			if err != nil {
				return err
			}
		}
	}
	r.note("%d strings of %d bytes, %d members each in a set and a sorted set. Load: SETs of these keys, one write of ten each into the set and the sorted set, "+
		"8 connections, P=32; GETs and SETs of another client, one every %v. Calm: %v s under the same load before each save. "+
		"Extra memory: most of the process and its child's own during the save over before, in parts of before. The longest times inside are of a run of their own, once a round. "+
		"clock: the longest step of a thread's CPU time that only reads it.",
		r.keys, r.size, r.members(), snapshotGap, r.seconds)
	return r.snapshotHolds(ctx)
}

const (
	// A reply behind the full load's batches takes a millisecond or two. The gap is longer: where replies took longer than
	// the gap, the delays since the requests were due would add up to the length of the measurement.
	snapshotGap   = 5 * time.Millisecond
	snapshotLimit = 10 * time.Minute // for one save
)

// members is how many members the set and the sorted set have.
func (r *run) members() int64 { return max(1, r.keys*2/5) }

// onFilled runs f on a server of a side that has all data.
func (r *run) onFilled(ctx context.Context, side string, f func(s *server) error, extra ...string) error {
	s, err := r.start(ctx, side, nil, extra...)
	if err != nil {
		return err
	}
	defer s.stop()
	if err := r.preload(ctx, s); err != nil {
		return err
	}
	for kind, key := range map[string]string{"s": "set", "z": "zset"} {
		if err := fillBig(ctx, s.addr, kind, key, 0, r.members()); err != nil {
			return err
		}
	}
	return errors.Join(f(s), s.alive())
}

// snapshotWrites makes the load's writes. Those of the set remove a member and add it again, so that each changes something
// and the set stays as large as it is.
func (r *run) snapshotWrites() generator {
	set := random(r.keys, "SET", "key:"+placeholder, r.value())
	zset := random(r.members(), "ZADD", "zset", placeholder, "element:"+placeholder)
	member := func(i int64, _ *rand.Rand) int64 { return i / 20 * 618_033_989 % r.members() }
	remove := filled(member, []string{"SREM", "set", "element:" + placeholder})
	add := filled(member, []string{"SADD", "set", "element:" + placeholder})
	return func(dst []byte, i int64, rnd *rand.Rand) []byte {
		switch i % 20 {
		case 3, 13:
			return zset(dst, i, rnd)
		case 8:
			return remove(dst, i, rnd)
		case 18:
			return add(dst, i, rnd)
		}
		return set(dst, i, rnd)
	}
}

// underLoad runs f beside the full load of writes; sent counts those answered.
func (r *run) underLoad(ctx context.Context, s *server, f func(sent *atomic.Int64) error) error {
	var sent atomic.Int64
	l := load{addr: s.addr, conns: 8, workers: 1, pipeline: 32, seed: r.nextSeed(), gen: r.snapshotWrites(), sent: &sent}
	return l.while(ctx, func() error {
		if err := pause(ctx, time.Second); err != nil { // what filling leaves behind
			return err
		}
		return f(&sent)
	})
}

// observed is what is seen of a server while something goes on.
type observed struct {
	rate float64 // of the load, requests a second
	took time.Duration
	delays
}

// saved is what is seen before and during a save.
type saved struct {
	calm, during observed
	extra        float64 // peak of memory over that of before, in percent of before
}

// savedUnderLoad measures a save.
func (r *run) savedUnderLoad(ctx context.Context, s *server, command string) (d saved, err error) {
	progress("snapshot: %s of %s", command, s.name)
	rnd := rand.New(rand.NewPCG(r.nextSeed(), 0))
	next := getsAndSets(rnd, r.keys, r.value())
	err = r.underLoad(ctx, s, func(sent *atomic.Int64) error {
		observe := func(f func() error) (o observed, err error) {
			list, err := beside(s.addr, snapshotGap, next, func() error {
				start, from := time.Now(), sent.Load()
				err := f()
				o.took = time.Since(start)
				o.rate = float64(sent.Load()-from) / o.took.Seconds()
				return err
			})
			o.delays = summarize(list)
			return o, err
		}
		if d.calm, err = observe(func() error { return pause(ctx, time.Duration(r.seconds*float64(time.Second))) }); err != nil {
			return err
		}
		before, _, err := residentOf(s.pid)
		if err != nil {
			return err
		}
		peak, err := peakDuring(s.pid, func() (err error) {
			d.during, err = observe(func() error { return s.saveNow(ctx, command) })
			return err
		})
		d.extra = 100 * float64(peak-before) / float64(before)
		return err
	})
	return d, err
}

// getsAndSets makes another client's commands, in turns, on the keys key:000000000000 and on.
func getsAndSets(rnd *rand.Rand, keys int64, value string) func(dst []byte) []byte {
	get, set := random(keys, "GET", "key:"+placeholder), random(keys, "SET", "key:"+placeholder, value)
	n := 0
	return func(dst []byte) []byte {
		if n++; n%2 == 0 {
			return get(dst, 0, rnd)
		}
		return set(dst, 0, rnd)
	}
}

// saveNow runs BGSAVE, BGREWRITEAOF or SAVE to its end. A save that failed is an error.
func (s *server) saveNow(ctx context.Context, command string) error {
	c, err := dial(s.addr, snapshotLimit)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.text(command); err != nil {
		return err
	}
	running, status := "rdb_bgsave_in_progress", "rdb_last_bgsave_status"
	if command == "BGREWRITEAOF" {
		running, status = "aof_rewrite_in_progress", "aof_last_bgrewrite_status"
	}
	for { // the connection has its deadline
		info, err := c.text("INFO", "persistence")
		if err != nil {
			return err
		}
		v, ok := infoField(info, running)
		if !ok {
			return fmt.Errorf("INFO of %s has no field %s", s.name, running)
		}
		if v == "0" {
			if v, _ := infoField(info, status); v != "ok" {
				return fmt.Errorf("%s of %s: %s is %q", command, s.name, status, v)
			}
			return nil
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// addSaved adds the figures of a save.
func (r *run) addSaved(name, side string, d saved) {
	name = "snapshot/" + name + "/"
	r.add(name+"time", "s", side, d.during.took.Seconds())
	r.add(name+"load calm", "1/s", side, d.calm.rate)
	r.add(name+"load during", "1/s", side, d.during.rate)
	r.add(name+"load during to calm", "", side, d.during.rate/d.calm.rate)
	r.add(name+"p99 calm", "us", side, d.calm.p99)
	r.add(name+"p99 during", "us", side, d.during.p99)
	r.add(name+"worst calm", "us", side, d.calm.longest)
	r.add(name+"worst during", "us", side, d.during.longest)
	r.add(name+"extra memory", "%", side, d.extra)
}

// snapshotHolds measures inside kvd, once a round: it costs system calls, so nothing else is measured then.
func (r *run) snapshotHolds(ctx context.Context) error {
	r.addClockStep("snapshot")
	return r.onFilled(ctx, "kvd", func(s *server) error {
		if _, err := s.do("DEBUG", "TIMING", "ON"); err != nil {
			return err
		}
		return r.underLoad(ctx, s, func(*atomic.Int64) error {
			for range r.rounds {
				for _, command := range []string{"calm", "BGSAVE", "SAVE", "BGREWRITEAOF"} {
					progress("snapshot: inside kvd, %s", command)
					if _, err := s.do("CONFIG", "RESETSTAT"); err != nil {
						return err
					}
					err := error(nil)
					if command == "calm" {
						err = pause(ctx, time.Duration(r.seconds*float64(time.Second)))
					} else {
						err = s.saveNow(ctx, command)
					}
					if err != nil {
						return err
					}
					if err := r.addLongest(s, "snapshot/"+command+"/"); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}, "--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0")
}
