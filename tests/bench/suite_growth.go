package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"
)

// growth measures another client's delays while the keyspace grows.
func growth(ctx context.Context, r *run) error {
	const gap = 2 * time.Millisecond // longer than a turn of the loop for all that the SETs have under way
	r.note("one GET of a key that exists every %v on its own connection, beside SETs on 8 connections, P=32", gap)
	for _, kind := range []struct {
		name, prefix string
		keys         int64
	}{
		{"keys", "key:", r.keys},
		{"one tag", "{tag}:", max(1, r.keys/5)},
	} {
		name := fmt.Sprintf("growth/%d %s/", kind.keys, kind.name)
		// run is the growth on a fresh server.
		run := func(s *server) (delays, float64, error) {
			progress("%s on %s", name, s.name)
			var sent atomic.Int64
			rnd := rand.New(rand.NewPCG(r.nextSeed(), 0))
			get := filled(func(int64, *rand.Rand) int64 {
				// The last requests of each connection are under way in another order than their numbers.
				return rnd.Int64N(max(1, sent.Load()-8*32))
			}, []string{"GET", kind.prefix + placeholder})
			l := load{addr: s.addr, conns: 8, workers: 1, pipeline: 32, requests: kind.keys, sent: &sent,
				gen: counting("SET", kind.prefix+placeholder, r.value())}
			var took time.Duration
			list, err := beside(s.addr, gap, func(dst []byte) []byte { return get(dst, 0, nil) }, func() (err error) {
				took, err = l.run(ctx)
				return err
			})
			return summarize(list), float64(kind.keys) / took.Seconds(), err
		}
		err := r.each(ctx, func(_ context.Context, s *server, _ int) error {
			d, rps, err := run(s)
			if err != nil {
				return err
			}
			r.add(name+"GET p50", "us", s.name, d.p50)
			r.add(name+"GET p99", "us", s.name, d.p99)
			r.add(name+"GET p99.9", "us", s.name, d.p999)
			r.add(name+"GET worst", "us", s.name, d.longest)
			r.add(name+"GET count", "", s.name, float64(d.count))
			r.add(name+"SET rps", "1/s", s.name, rps)
			return nil
		})
		if err != nil {
			return err
		}
		// Inside, kvd measures in a run of its own: that costs system calls.
		s, err := r.start(ctx, "kvd", nil)
		if err != nil {
			return err
		}
		_, err = s.do("DEBUG", "TIMING", "ON")
		if err == nil {
			_, _, err = run(s)
		}
		if err == nil {
			err = r.addLongest(s, name)
		}
		s.stop()
		if err != nil {
			return err
		}
	}
	r.addClockStep("growth")
	return nil
}

// longestFields are INFO fields of kvd: the longest that a lock was held and a command ran, in microseconds of CPU time.
var longestFields = []string{"kvd_max_lock_hold_us", "kvd_max_command_us"}

// addLongest adds kvd's own longest times since CONFIG RESETSTAT; a note where INFO lacks them.
func (r *run) addLongest(s *server, name string) error {
	info, err := s.do("INFO", "kvd")
	if err != nil {
		return err
	}
	for _, f := range longestFields {
		text, ok := infoField(info, f)
		if !ok {
			r.note("INFO has no field %s", f)
			continue
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("INFO field %s: %w", f, err)
		}
		r.add(name+f, "us", s.name, v)
	}
	return nil
}

// addClockStep adds what the clock that kvd measures by does with nothing to measure.
func (r *run) addClockStep(suite string) {
	const span = 10 * time.Second
	progress("%s: a thread's clock, alone for %v", suite, span)
	r.add(suite+"/clock/longest step alone", "us", "kvd", float64(clockStep(span).Microseconds()))
}
