package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// sized is a size between lo and hi bytes, each order of magnitude as likely as another, that depends on i alone.
func sized(seed uint64, i int64, lo, hi int) int {
	x := float64(churnMix(seed+uint64(i)*0x9e3779b97f4a7c15)>>11) / (1 << 53)
	return int(float64(lo) * math.Pow(float64(hi)/float64(lo), x))
}

// meanSize is the mean of sized.
func meanSize(lo, hi int) float64 { return float64(hi-lo) / math.Log(float64(hi)/float64(lo)) }

// maxmemory measures a server under a limit: its resident memory at each moment of a life of writes, rewrites and
// deletions, what eviction costs those who write, and what others notice of it.
func maxmemory(ctx context.Context, r *run) error {
	limit := int64(r.valueMiB) * mib
	bound := limit + limit/10 + 64*mib
	const most = 256 << 10
	data := strings.Repeat("x", most)
	r.note("maxmemory %d MiB, so the bound of the resident memory is %d MiB", limit/mib, bound/mib)

	// sets writes values of lo to hi bytes at keys from 0 on, turning round after so many.
	sets := func(seed uint64, lo, hi int, round int64) generator {
		return func(dst []byte, i int64, _ *rand.Rand) []byte {
			dst = append(dst, "*3\r\n$3\r\nSET\r\n"...)
			dst = appendKey(dst, i%round)
			return appendBulk(dst, data[:sized(seed, i, lo, hi)])
		}
	}
	of := func(bytes int64, lo, hi int) int64 { return int64(float64(bytes) / meanSize(lo, hi)) }
	write := func(s *server, n int64, gen generator) (time.Duration, error) {
		return load{addr: s.addr, conns: 8, workers: 1, pipeline: 16, requests: n, gen: gen}.run(ctx)
	}
	args := []string{"--maxmemory", fmt.Sprint(limit), "--maxmemory-policy", "allkeys-lru"}

	// What it costs, beside a server without a limit. The delays are of a key that always is there.
	const gap = 2 * time.Millisecond
	amount := 8 * limit
	all := of(amount, 10, 100<<10)
	free, err := availableMemory()
	if err != nil {
		return err
	}
	if !slices.Contains(r.tests, "cost") {
		// asked for is the other half only
	} else if free < amount+amount/2 {
		r.note("without a limit: left out, it may need %d MiB and %d are available", (amount+amount/2)/mib, free/mib)
	} else {
		for _, kind := range []struct {
			name     string
			requests int64
			gen      generator
		}{
			{"strings", all, sets(r.seed, 10, 100<<10, math.MaxInt64)},
			{"collections", amount / 8 / 160, func(dst []byte, i int64, _ *rand.Rand) []byte {
				return appendCommand(dst, "HSET", fmt.Sprint("hash:", i%2000), fmt.Sprint("field:", i), data[:100])
			}},
		} {
			for range r.rounds {
				var rps, p99 [2]float64
				for i, extra := range [][]string{nil, args} {
					s, err := r.start(ctx, "kvd", nil, extra...)
					if err != nil {
						return err
					}
					progress("maxmemory: %s, limit %q", kind.name, extra)
					var took time.Duration
					list, err := beside(s.addr, gap, func(dst []byte) []byte { return appendCommand(dst, "GET", "nosuch") }, func() (err error) {
						took, err = write(s, kind.requests, kind.gen)
						return err
					})
					s.stop()
					if err != nil {
						return err
					}
					rps[i], p99[i] = float64(kind.requests)/took.Seconds(), summarize(list).p99
				}
				name := "maxmemory/" + kind.name + "/"
				r.add(name+"rps without a limit", "1/s", "kvd", rps[0])
				r.add(name+"rps", "1/s", "kvd", rps[1])
				r.add(name+"rps to without", "", "kvd", rps[1]/rps[0])
				r.add(name+"GET p99 without a limit", "us", "kvd", p99[0])
				r.add(name+"GET p99", "us", "kvd", p99[1])
				r.add(name+"GET p99 to without", "", "kvd", p99[1]/p99[0])
			}
		}
	}

	if !slices.Contains(r.tests, "life") {
		return nil
	}
	// The life of one server.
	s, err := r.start(ctx, "kvd", nil, args...)
	if err != nil {
		return err
	}
	defer s.stop()
	collection := func(args func(i int64) []string) generator {
		return func(dst []byte, i int64, _ *rand.Rand) []byte { return appendCommand(dst, args(i)...) }
	}
	growth := 3 * limit
	for _, step := range []struct {
		name string
		n    int64
		gen  generator
	}{
		{"writes of 10 B to 100 KiB", all, sets(r.seed, 10, 100<<10, math.MaxInt64)},
		{"then 10 to 200 B", of(limit, 10, 200), sets(r.seed+1, 10, 200, of(limit, 10, 200))},
		{"then 20 to 100 KiB", of(3*limit, 20<<10, 100<<10), sets(r.seed+2, 20<<10, 100<<10, of(2*limit, 20<<10, 100<<10))},
		{"then 200 to 500 B", of(2*limit, 200, 500), sets(r.seed+3, 200, 500, of(2*limit, 200, 500))},
		{"four fifths deleted", of(2*limit, 200, 500), func(dst []byte, i int64, _ *rand.Rand) []byte {
			if i%5 == 0 {
				return appendCommand(dst, "PING")
			}
			dst = append(dst, "*2\r\n$3\r\nDEL\r\n"...)
			return appendKey(dst, i)
		}},
		{"written anew", all / 4, sets(r.seed+4, 10, 100<<10, math.MaxInt64)},
		{"hashes that grow", growth / 150, collection(func(i int64) []string {
			return []string{"HSET", fmt.Sprint("hash:", i%200), fmt.Sprint("field:", i), data[:100]}
		})},
		{"lists that grow", growth / 120, collection(func(i int64) []string { return []string{"RPUSH", fmt.Sprint("list:", i%200), data[:100]} })},
		{"sorted sets that grow", growth / 100, collection(func(i int64) []string {
			return []string{"ZADD", fmt.Sprint("zset:", i%100), fmt.Sprint(i * 7919 % 1_000_003), fmt.Sprint("member:", i)}
		})},
		{"then 64 to 256 KiB", of(3*limit, 64<<10, 256<<10), sets(r.seed+5, 64<<10, 256<<10, math.MaxInt64)},
		{"streams that grow", growth / 150, collection(func(i int64) []string { return []string{"XADD", fmt.Sprint("stream:", i%100), "*", "f", data[:100]} })},
		{"then 20 to 100 KiB again", of(3*limit, 20<<10, 100<<10), sets(r.seed+6, 20<<10, 100<<10, math.MaxInt64)},
	} {
		progress("maxmemory: %s", step.name)
		peak, err := peakDuring(s.pid, func() error {
			_, err := write(s, step.n, step.gen)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		r.add("maxmemory/"+step.name+"/most", "MiB", "kvd", float64(peak)/mib)
		r.add("maxmemory/"+step.name+"/most to bound", "", "kvd", float64(peak)/float64(bound))
	}
	return s.alive()
}
