package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

const (
	syncRate     = 20_000           // SETs a second of the load: every follower can keep up
	syncGap      = time.Millisecond // between another client's commands at the leader
	syncCalm     = 5 * time.Second  // of measuring before
	syncWindow   = 5000             // commands of another client, about as long, of which one p99 is taken
	calmWindows  = 3
	syncPatience = 5 * time.Minute // for a follower that is to catch up
	lagSamples   = 2000
)

// fullSync measures a full synchronization of all keys under a load of writes, and how far a follower is behind
// after it, from each server to one of its own kind; then what a follower that is too slow does to kvd as its leader.
func fullSync(ctx context.Context, r *run) error {
	r.note("%d keys of %d bytes; load: %d SETs a second of these keys at the leader; worst and p99: of another client's GETs and SETs at the leader, one every %v, "+
		"calm and until the follower has caught up. Caught up: from REPLICAOF until the link is up and the follower has the offset that the leader had then. "+
		"Lag: from the leader's reply to a SET until the follower's GET shows it, %d of them, one a millisecond at most.",
		r.keys, r.size, syncRate, syncGap, lagSamples)
	for round := range r.rounds {
		for _, side := range sides(round) {
			if err := r.syncPair(ctx, side); err != nil {
				return fmt.Errorf("%s to %s: %w", side, side, err)
			}
		}
	}
	return r.throttledFollower(ctx)
}

// startPair starts a leader with all keys and an empty follower that does not follow yet.
func (r *run) startPair(ctx context.Context, side string, extra ...string) (leader, follower *server, err error) {
	if leader, err = r.start(ctx, side, nil, append([]string{"--repl-diskless-sync-delay", "0"}, extra...)...); err != nil {
		return nil, nil, err
	}
	if err = r.preload(ctx, leader); err == nil {
		follower, err = r.start(ctx, side, nil)
	}
	if err != nil {
		leader.stop()
	}
	return leader, follower, err
}

// pacedWrites runs f beside the load of syncRate SETs a second, which is at an end when f is.
func (r *run) pacedWrites(s *server, name string, f func() error) error {
	var sent int64
	seed, start := r.nextSeed(), time.Now()
	err := during(func(stop <-chan struct{}) (err error) {
		sent, err = paced(s.addr, syncRate, seed, time.Minute, stop, random(r.keys, "SET", "key:"+placeholder, r.value()))
		return err
	}, f)
	r.add(name, "1/s", s.name, float64(sent)/time.Since(start).Seconds())
	return err
}

// noticed runs f and returns the delays of another client's commands meanwhile.
func (r *run) noticed(s *server, f func() error) (delays, error) {
	all, _, err := r.noticedWindows(s, f)
	return all, err
}

// noticedWindows is noticed, with the p99 of each syncWindow commands: the machine's own stalls are mostly
// in one of them, and the median is of the others.
func (r *run) noticedWindows(s *server, f func() error) (all delays, p99 []float64, err error) {
	list, err := beside(s.addr, syncGap, getsAndSets(rand.New(rand.NewPCG(r.nextSeed(), 0)), r.keys, r.value()), f)
	for w := range slices.Chunk(list, syncWindow) {
		if len(w) == syncWindow || p99 == nil {
			p99 = append(p99, summarize(slices.Clone(w)).p99)
		}
	}
	return summarize(list), p99, err
}

// syncPair measures one full synchronization.
func (r *run) syncPair(ctx context.Context, side string) error {
	// Redis's own limits would end the link when loading takes more than a minute.
	leader, follower, err := r.startPair(ctx, side, "--client-output-buffer-limit", "slave 0 0 0")
	if err != nil {
		return err
	}
	defer leader.stop()
	defer follower.stop()
	return r.pacedWrites(leader, "fullsync/load", func() error {
		calm, err := r.noticed(leader, func() error { return pause(ctx, syncCalm) })
		if err != nil {
			return err
		}
		progress("fullsync: %s to %s", side, side)
		var up, caught time.Duration
		d, err := r.noticed(leader, func() (err error) {
			up, caught, err = follower.follow(ctx, leader, leader.port)
			return err
		})
		if err != nil {
			return err
		}
		r.add("fullsync/link up", "s", side, up.Seconds())
		r.add("fullsync/caught up", "s", side, caught.Seconds())
		r.add("fullsync/leader/p99 calm", "us", side, calm.p99)
		r.add("fullsync/leader/p99 during", "us", side, d.p99)
		r.add("fullsync/leader/worst calm", "us", side, calm.longest)
		r.add("fullsync/leader/worst during", "us", side, d.longest)
		progress("fullsync: lag of %s", side)
		lag, err := lagOf(ctx, leader, follower)
		if err != nil {
			return err
		}
		r.add("fullsync/lag/p50", "us", side, lag.p50)
		r.add("fullsync/lag/p99", "us", side, lag.p99)
		r.add("fullsync/lag/worst", "us", side, lag.longest)
		return nil
	})
}

// replication returns a field of INFO replication.
func (s *server) replication(c *client, field string) (string, error) {
	info, err := c.text("INFO", "replication")
	if err != nil {
		return "", err
	}
	v, ok := infoField(info, field)
	if !ok {
		return "", fmt.Errorf("INFO of %s has no field %s", s.name, field)
	}
	return v, nil
}

// offset is the number of the last byte of the replication stream that a server has.
func (s *server) offset() (n int64, err error) {
	err = s.ask(func(c *client) error {
		text, err := s.replication(c, "master_repl_offset")
		if err == nil {
			n, err = strconv.ParseInt(text, 10, 64)
		}
		return err
	})
	return n, err
}

// follow makes s follow leader, by way of a port, and returns after what time the link was up, and after what time s had
// the offset that the leader had then.
func (s *server) follow(ctx context.Context, leader *server, port int) (up, caught time.Duration, err error) {
	const poll = 5 * time.Millisecond
	start := time.Now()
	if _, err := s.do("REPLICAOF", "127.0.0.1", strconv.Itoa(port)); err != nil {
		return 0, 0, err
	}
	c, err := dial(s.addr, syncPatience)
	if err != nil {
		return 0, 0, err
	}
	defer c.close()
	for status := ""; status != "up"; { // the connection has its deadline
		if err := pause(ctx, poll); err != nil {
			return 0, 0, err
		}
		if status, err = s.replication(c, "master_link_status"); err != nil {
			return 0, 0, err
		}
	}
	up = time.Since(start)
	target, err := leader.offset()
	if err != nil {
		return 0, 0, err
	}
	err = s.reach(ctx, c, target, poll)
	return up, time.Since(start), err
}

// reach polls until s has the offset target.
func (s *server) reach(ctx context.Context, c *client, target int64, poll time.Duration) error {
	for {
		text, err := s.replication(c, "slave_repl_offset")
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		if n >= target {
			return nil
		}
		if err := pause(ctx, poll); err != nil {
			return err
		}
	}
}

// lagOf measures from the leader's reply to a write until the follower shows it. The follower is asked without a rest.
func lagOf(ctx context.Context, leader, follower *server) (delays, error) {
	const (
		key      = "lag"
		gap      = time.Millisecond
		patience = 10 * time.Second
	)
	lc, err := dialBlocking(leader.addr, patience)
	if err != nil {
		return delays{}, err
	}
	defer lc.Close()
	fc, err := dialBlocking(follower.addr, patience)
	if err != nil {
		return delays{}, err
	}
	defer fc.Close()
	written, shown := newReplies(lc), newReplies(fc)
	get := appendCommand(nil, "GET", key)
	var list []time.Duration
	var buf []byte
	for i := range lagSamples {
		if err := ctx.Err(); err != nil {
			return delays{}, err
		}
		due := time.Now().Add(gap)
		want := strconv.Itoa(i + 1_000_000) // all of one length
		if _, err := lc.Write(appendCommand(buf[:0], "SET", key, want)); err != nil {
			return delays{}, err
		}
		if err := errors.Join(written.skip(1), written.err()); err != nil {
			return delays{}, err
		}
		from := time.Now()
		for value := ""; value != want; {
			if time.Since(from) > patience {
				return delays{}, fmt.Errorf("%s is %q at the follower, not %s, after %v", key, value, want, patience)
			}
			if _, err := fc.Write(get); err != nil {
				return delays{}, err
			}
			kind, n, text, err := shown.head()
			if err != nil || kind != '$' || n >= 0 && n != len(want) {
				return delays{}, errors.Join(fmt.Errorf("GET: %c of %d bytes %s", kind, n, text), err)
			}
			if n < 0 {
				continue // the first has not come yet
			}
			body := make([]byte, len(want)+2)
			if err := shown.full(body); err != nil {
				return delays{}, err
			}
			value = string(body[:n])
		}
		list = append(list, time.Since(from))
		if wait := time.Until(due); wait > 0 {
			threadSleep(wait)
		}
	}
	return summarize(list), nil
}

// streamLimit is what kvd's leader may hold of the stream in memory for a slow follower: repl-backlog-size, which is 1 MiB, and 16 MiB
// on the way to the file of at most repl-backlog-file-limit. client-output-buffer-limit allows more than that.
const streamLimit = 17 << 20

// throttledFollower lets a tenth of the stream pass to a follower for some time.
func (r *run) throttledFollower(ctx context.Context) (err error) {
	leader, follower, err := r.startPair(ctx, "kvd")
	if err != nil {
		return err
	}
	defer leader.stop()
	defer follower.stop()
	t, err := newThrottle(leader.addr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	const name = "fullsync/throttled/"
	return r.pacedWrites(leader, name+"load", func() error {
		calm, calmly, err := r.noticedWindows(leader, func() error { return pause(ctx, calmWindows*syncCalm) })
		if err != nil {
			return err
		}
		if _, _, err := follower.follow(ctx, leader, t.port); err != nil {
			return err
		}
		// What the snapshot has left behind goes first, and the rate of the stream is seen.
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
		passed, start := t.passed.Load(), time.Now()
		beside, err := r.noticed(leader, func() error { return pause(ctx, syncCalm) })
		if err != nil {
			return err
		}
		rate := float64(t.passed.Load()-passed) / time.Since(start).Seconds()
		before, _, err := residentOf(leader.pid)
		if err != nil {
			return err
		}
		span := time.Duration(r.seconds * float64(time.Second))
		progress("fullsync: a follower at %.0f of %.0f bytes a second for %v", rate/10, rate, span)
		t.rate.Store(max(1, int64(rate/10)))
		var then delays
		var thereafter []float64
		peak, err := peakDuring(leader.pid, func() (err error) {
			then, thereafter, err = r.noticedWindows(leader, func() error { return pause(ctx, span) })
			return err
		})
		if err != nil {
			return err
		}
		target, err := leader.offset()
		if err != nil {
			return err
		}
		behind, err := follower.offset()
		if err != nil {
			return err
		}
		t.rate.Store(0)
		start = time.Now()
		c, err := dial(follower.addr, syncPatience)
		if err != nil {
			return err
		}
		defer c.close()
		if err := follower.reach(ctx, c, target, 5*time.Millisecond); err != nil {
			return err
		}
		took := time.Since(start)
		stats, err := leader.do("INFO", "stats")
		if err != nil {
			return err
		}
		full, ok := infoField(stats, "sync_full")
		count, err := strconv.ParseFloat(full, 64)
		if !ok || err != nil {
			return fmt.Errorf("sync_full is %q", full)
		}
		status, err := follower.replication(c, "master_link_status")
		if err != nil {
			return err
		}
		up := float64(slices.Index([]string{"down", "up"}, status))
		r.add(name+"stream", "MB/s", "kvd", rate/1e6)
		r.add(name+"behind at the end", "MB", "kvd", float64(target-behind)/1e6)
		r.add(name+"caught up after", "s", "kvd", took.Seconds())
		r.add(name+"sync_full", "", "kvd", count)
		r.add(name+"link up", "", "kvd", up)
		r.add(name+"memory", "MB", "kvd", float64(peak-before)/1e6)
		r.add(name+"memory to limit", "", "kvd", float64(peak-before)/streamLimit)
		r.add(name+"p99 calm", "us", "kvd", calm.p99)
		r.add(name+"p99 beside a follower", "us", "kvd", beside.p99)
		r.add(name+"p99 then", "us", "kvd", then.p99)
		r.add(name+"p99 then to calm", "", "kvd", then.p99/calm.p99)
		r.add(name+"windows/p99 calm", "us", "kvd", median(calmly))
		r.add(name+"windows/p99 then", "us", "kvd", median(thereafter))
		r.add(name+"windows/p99 then, least", "us", "kvd", slices.Min(thereafter))
		r.add(name+"windows/p99 then, most", "us", "kvd", slices.Max(thereafter))
		r.add(name+"windows/p99 then to calm", "", "kvd", median(thereafter)/median(calmly))
		return nil
	})
}
