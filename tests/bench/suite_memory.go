package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

const mib = 1 << 20

// memory measures resident bytes a key.
func memory(ctx context.Context, r *run) error {
	r.note("%d keys of 16 bytes, values of %d bytes", r.keys, r.size)
	for _, kind := range []struct {
		name string
		args []string
	}{
		{"plain", nil},
		{"deadline", []string{"EX", "1000000"}},
	} {
		err := r.each(ctx, func(ctx context.Context, s *server, _ int) error {
			progress("memory: %s on %s", kind.name, s.name)
			args := append([]string{"SET", "key:" + placeholder, r.value()}, kind.args...)
			each, err := bytesEach(ctx, s, r.keys, func() error { return fill(ctx, s.addr, r.keys, counting(args...)) })
			if err != nil {
				return err
			}
			r.add("memory/"+kind.name+"/bytes a key", "B", s.name, each)
			_, peak, err := residentOf(s.pid)
			if err != nil {
				return err
			}
			r.add("memory/"+kind.name+"/VmHWM", "MiB", s.name, float64(peak)/mib)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// bytesEach returns by how many bytes each of n things that f makes grows the server's resident memory.
func bytesEach(ctx context.Context, s *server, n int64, f func() error) (float64, error) {
	before, err := settle(ctx, s.pid, time.Second, 10*time.Second)
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := settle(ctx, s.pid, 2*time.Second, time.Minute)
	if err != nil {
		return 0, err
	}
	return float64(after-before) / float64(n), nil
}

// The sizes of churned values.
const churnLeast, churnMost = 8, 2000

// churnSize is the size of value i in a pass: both servers get the same.
func churnSize(seed uint64, pass int, i int64) int {
	z := churnMix(seed + uint64(pass)<<48 + uint64(i)*0x9e3779b97f4a7c15)
	return churnLeast + int(z%(churnMost-churnLeast+1))
}

// churnMix is SplitMix64's finalizer (Steele, Lea, Flood 2014): neighbours get independent sizes.
func churnMix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// churn measures resident memory at each step of a life of rewrites and deletions. One server at a time: the data are large.
func churn(ctx context.Context, r *run) error {
	const passes = 4 // one that creates, three that rewrite
	data := strings.Repeat("x", churnMost)
	r.note("values of %d to %d bytes; payload is keys and values alone", churnLeast, churnMost)
	for _, share := range []float64{0.2, 0.66, 1} {
		keys := int64(float64(r.keys) * share)
		free, err := availableMemory()
		if err != nil {
			return err
		}
		if need := keys * (churnMost / 2) * 3; need > free {
			r.note("%d keys: left out, they may need %d MiB and %d are available", keys, need/mib, free/mib)
			continue
		}
		err = r.each(ctx, func(ctx context.Context, s *server, _ int) error {
			name := fmt.Sprintf("churn/%d keys/", keys)
			step := func(n int, what string, payload int64) error {
				rss, err := settle(ctx, s.pid, 6*time.Second, time.Minute)
				if err != nil {
					return err
				}
				progress("%s%s on %s: %d MiB", name, what, s.name, rss/mib)
				at := fmt.Sprintf("%s%d %s/", name, n, what)
				r.add(at+"RSS", "MiB", s.name, float64(rss)/mib)
				if payload > 0 {
					r.add(at+"RSS by payload", "", s.name, float64(rss)/float64(payload))
				}
				return nil
			}
			if err := step(0, "empty", 0); err != nil {
				return err
			}
			for pass := range passes {
				gen := func(dst []byte, i int64, _ *rand.Rand) []byte {
					dst = append(dst, "*3\r\n$3\r\nSET\r\n"...)
					dst = appendKey(dst, i)
					return appendBulk(dst, data[:churnSize(r.seed, pass, i)])
				}
				if err := fill(ctx, s.addr, keys, gen); err != nil {
					return err
				}
				var payload int64
				for i := range keys {
					payload += 16 + int64(churnSize(r.seed, pass, i))
				}
				what := "created"
				if pass > 0 {
					what = "rewritten " + strconv.Itoa(pass)
				}
				if err := step(pass+1, what, payload); err != nil {
					return err
				}
			}
			// Of each five neighbours one stays.
			del := func(dst []byte, i int64, _ *rand.Rand) []byte {
				dst = append(dst, "*2\r\n$3\r\nDEL\r\n"...)
				return appendKey(dst, i+i/4+1)
			}
			if err := fill(ctx, s.addr, keys/5*4, del); err != nil {
				return err
			}
			var payload int64
			for i := int64(0); i < keys; i += 5 {
				payload += 16 + int64(churnSize(r.seed, passes-1, i))
			}
			if err := step(passes+1, "80% deleted", payload); err != nil {
				return err
			}
			_, peak, err := residentOf(s.pid)
			if err != nil {
				return err
			}
			r.add(name+"VmHWM", "MiB", s.name, float64(peak)/mib)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// appendKey appends the bulk string key:000000000000 with i in its digits.
func appendKey(dst []byte, i int64) []byte {
	dst = append(dst, "$16\r\nkey:000000000000\r\n"...)
	digits(dst[len(dst)-2-len(placeholder):], i)
	return dst
}
