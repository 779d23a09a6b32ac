package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

const expiryProbes = 1000

// expiry measures how far expiry lags behind deadlines, what it costs an idle server, and what a shared deadline does.
func expiry(ctx context.Context, r *run) error {
	r.note("%d volatile keys with deadlines far away. Lag: between the k-th deadline of %d keys and DBSIZE showing k of them gone, "+
		"read every 250 us; keys still there after %v count with their lag until then", r.keys, expiryProbes, r.expiryPatience())
	err := r.each(ctx, func(ctx context.Context, s *server, _ int) error {
		progress("expiry: probes on %s", s.name)
		err := fill(ctx, s.addr, r.keys, counting("SET", "key:"+placeholder, r.value(), "EX", "1000000"))
		if err != nil {
			return err
		}
		if err := pause(ctx, time.Second); err != nil { // what loading leaves behind is not idleness
			return err
		}
		idle := time.Duration(max(r.seconds, 1) * float64(time.Second))
		used, err := cpuDuring(s.pid, func() error { return pause(ctx, idle) })
		if err != nil {
			return err
		}
		r.add("expiry/idle CPU", "% of a core", s.name, 100*used.Seconds()/idle.Seconds())
		return r.expiryLag(ctx, s)
	})
	if err != nil {
		return err
	}
	return r.each(ctx, r.sharedDeadline)
}

// cpuDuring returns the CPU time that a process uses while f runs.
func cpuDuring(pid int, f func() error) (time.Duration, error) {
	before, err := cpuOf(pid)
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := cpuOf(pid)
	return after.since(before), err
}

// lags pairs the k-th deadline with the moment at which DBSIZE first showed k keys gone. Asking for a key itself would
// expire it, so which key has gone is unknown: where keys go out of turn the single lags are those of the
// sorted deadlines, and their sum is exact.
type lags struct {
	deadlines []time.Time // ascending
	out       []time.Duration
}

// seen records that gone keys were gone at now.
func (l *lags) seen(gone int, now time.Time) {
	for len(l.out) < min(gone, len(l.deadlines)) {
		l.out = append(l.out, now.Sub(l.deadlines[len(l.out)]))
	}
}

// expiryPatience is how long the suite waits for probes after the last deadline: a minute in full.
func (r *run) expiryPatience() time.Duration {
	return time.Duration(max(6*r.seconds, 5) * float64(time.Second))
}

// expiryLag sets probe keys, one deadline every spacing, and watches them go.
func (r *run) expiryLag(ctx context.Context, s *server) error {
	const poll = 250 * time.Microsecond
	patience := r.expiryPatience()
	spacing := time.Duration(max(r.seconds, 0.1) * float64(time.Second) / expiryProbes).Round(time.Millisecond)
	spacing = max(spacing, time.Millisecond)
	return s.ask(func(c *client) error {
		if err := c.c.SetDeadline(time.Now().Add(time.Minute + 3*patience)); err != nil {
			return err
		}
		base, err := c.integer("DBSIZE")
		if err != nil {
			return err
		}
		// Deadlines are whole milliseconds, as PXAT has them.
		first := time.UnixMilli(time.Now().Add(2 * time.Second).UnixMilli())
		var l lags
		for i := range expiryProbes {
			at := first.Add(time.Duration(i) * spacing)
			l.deadlines = append(l.deadlines, at)
			if _, err := c.text("SET", "probe:"+strconv.Itoa(i), "x", "PXAT", strconv.FormatInt(at.UnixMilli(), 10)); err != nil {
				return err
			}
		}
		if time.Now().After(first) {
			return fmt.Errorf("setting %d probes took more than 2 s", expiryProbes)
		}
		stop := l.deadlines[len(l.deadlines)-1].Add(patience)
		for len(l.out) < expiryProbes && time.Now().Before(stop) {
			n, err := c.integer("DBSIZE")
			if err != nil {
				return err
			}
			l.seen(int(base+expiryProbes-n), time.Now())
			if err := ctx.Err(); err != nil {
				return err
			}
			threadSleep(poll)
		}
		left := expiryProbes - len(l.out)
		l.seen(expiryProbes, time.Now())
		r.add("expiry/probes/not gone", "keys", s.name, float64(left))
		d := l.out
		slices.Sort(d)
		ms := func(p float64) float64 { return float64(percentile(d, p)) / 1e6 }
		r.add("expiry/probes/lag p50", "ms", s.name, ms(0.5))
		r.add("expiry/probes/lag p99", "ms", s.name, ms(0.99))
		r.add("expiry/probes/lag worst", "ms", s.name, ms(1))
		// A key gone before its time would be worse than one that lingers.
		r.add("expiry/probes/lag least", "ms", s.name, float64(d[0])/1e6)
		return nil
	})
}

// sharedDeadline lets all keys expire at one instant beside another client's GETs.
func (r *run) sharedDeadline(ctx context.Context, s *server, _ int) error {
	const (
		gap      = 500 * time.Microsecond
		calm     = 2 * time.Second
		patience = 2 * time.Minute
	)
	progress("expiry: shared deadline on %s", s.name)
	if _, err := s.do("SET", "here", "x"); err != nil {
		return err
	}
	at := time.UnixMilli(time.Now().Add(5*time.Second + time.Duration(r.keys)*8*time.Microsecond).UnixMilli())
	gen := counting("SET", "key:"+placeholder, r.value(), "PXAT", strconv.FormatInt(at.UnixMilli(), 10))
	if err := fill(ctx, s.addr, r.keys, gen); err != nil {
		return err
	}
	if time.Until(at) < calm+500*time.Millisecond {
		return fmt.Errorf("loading %d keys took too long for their deadline", r.keys)
	}
	get := func(dst []byte) []byte { return appendCommand(dst, "GET", "here") }
	before, err := beside(s.addr, gap, get, func() error { return pause(ctx, calm) })
	if err != nil {
		return err
	}
	if err := pause(ctx, time.Until(at.Add(-20*time.Millisecond))); err != nil {
		return err
	}
	gone := patience
	var used time.Duration
	during, err := beside(s.addr, gap, get, func() (err error) {
		used, err = cpuDuring(s.pid, func() error {
			return s.ask(func(c *client) error {
				if err := c.c.SetDeadline(at.Add(2 * patience)); err != nil {
					return err
				}
				for time.Since(at) < patience {
					n, err := c.integer("DBSIZE")
					if err != nil {
						return err
					}
					if n <= 1 {
						gone = time.Since(at)
						return nil
					}
					if err := ctx.Err(); err != nil {
						return err
					}
					threadSleep(2 * time.Millisecond)
				}
				return nil
			})
		})
		return err
	})
	if err != nil {
		return err
	}
	if gone == patience {
		r.note("%s: keys with a shared deadline were still there after %v", s.name, patience)
	}
	r.add("expiry/shared/gone after", "ms", s.name, float64(gone)/1e6)
	r.add("expiry/shared/CPU a key", "us", s.name, float64(used)/1e3/float64(r.keys))
	b, d := summarize(before), summarize(during)
	r.add("expiry/shared/GET p99 calm", "us", s.name, b.p99)
	r.add("expiry/shared/GET p99 then", "us", s.name, d.p99)
	r.add("expiry/shared/GET p99 then to calm", "", s.name, d.p99/b.p99)
	r.add("expiry/shared/GET worst calm", "us", s.name, b.longest)
	r.add("expiry/shared/GET worst then", "us", s.name, d.longest)
	return nil
}
