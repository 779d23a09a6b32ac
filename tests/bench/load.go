package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// placeholder is what redis-benchmark replaces by twelve random digits; it is as long as they are.
const placeholder = "__rand_int__"

// A generator appends request number i to dst. Several workers call it at once, each with its own r.
type generator func(dst []byte, i int64, r *rand.Rand) []byte

// digits writes v as twelve decimal digits to dst.
func digits(dst []byte, v int64) {
	for p := len(placeholder) - 2; p >= 0; p -= 2 {
		two := v % 100
		dst[p], dst[p+1] = byte('0'+two/10), byte('0'+two%10)
		v /= 100
	}
}

// filled makes a generator of one command whose placeholders are replaced by values of next, called once for each.
func filled(next func(i int64, r *rand.Rand) int64, args []string) generator {
	return text(string(appendCommand(nil, args...)), next)
}

// text is filled for a request as it is sent.
func text(req string, next func(i int64, r *rand.Rand) int64) generator {
	var at []int
	for from := 0; ; {
		p := strings.Index(req[from:], placeholder)
		if p < 0 {
			break
		}
		at = append(at, from+p)
		from += p + len(placeholder)
	}
	return func(dst []byte, i int64, r *rand.Rand) []byte {
		base := len(dst)
		dst = append(dst, req...)
		for _, p := range at {
			digits(dst[base+p:], next(i, r))
		}
		return dst
	}
}

// random fills each placeholder with a number below n of its own, as redis-benchmark -r n does.
func random(n int64, args ...string) generator {
	return filled(func(_ int64, r *rand.Rand) int64 { return r.Int64N(n) }, args)
}

// counting fills all placeholders with the request's number.
func counting(args ...string) generator {
	return filled(func(i int64, _ *rand.Rand) int64 { return i }, args)
}

// load is a run of the own load generator. Each worker is a goroutine that goes round its connections: it reads
// the replies to a connection's last batch, writes the next batch there, and goes on. So the server
// always has the batches of all other connections to work on, and a worker costs far less than an event loop would.
type load struct {
	addr     string
	conns    int
	workers  int
	pipeline int    // requests in a batch
	replies  int    // to a request; 0: one
	like     string // if not empty: a reply that is no RESP, as long and with the same end as each is to be
	first    int64  // number of the first request
	requests int64
	seed     uint64
	gen      generator
	sent     *atomic.Int64 // if not nil: requests answered so far

	stop <-chan struct{} // if not nil: no batch is begun once it is closed
}

// endless is a number of requests for a load that is stopped: it divides by any number of workers without overflow.
const endless = 1 << 40

// run sends all requests and returns the time from the first byte to the last reply. An error reply is an error.
func (l load) run(ctx context.Context) (time.Duration, error) {
	workers := max(1, min(l.workers, l.conns))
	conns := make([][]io.ReadWriteCloser, workers)
	closeAll := func() {
		for _, cs := range conns {
			for _, c := range cs {
				c.Close()
			}
		}
	}
	defer closeAll()
	for i := range max(l.conns, 1) {
		// Blocking descriptors: a worker has one to wait for at a time, and the poller costs as much as the replies.
		limit := 30 * time.Minute
		if t, ok := ctx.Deadline(); ok {
			limit = time.Until(t)
		}
		c, err := dialBlocking(l.addr, max(limit, time.Millisecond))
		if err != nil {
			return 0, err
		}
		conns[i%workers] = append(conns[i%workers], c)
	}
	var wg sync.WaitGroup
	errs := make([]error, workers)
	start := time.Now()
	for w := range workers {
		lo, hi := l.requests*int64(w)/int64(workers), l.requests*int64(w+1)/int64(workers)
		wg.Go(func() {
			errs[w] = l.work(conns[w], l.first+lo, l.first+hi, rand.New(rand.NewPCG(l.seed, uint64(w))))
		})
	}
	wg.Wait()
	return time.Since(start), errors.Join(errs...)
}

// work sends requests lo to hi over conns.
func (l load) work(conns []io.ReadWriteCloser, lo, hi int64, r *rand.Rand) error {
	in := make([]*replies, len(conns))
	pending := make([]int, len(conns))
	for i, c := range conns {
		in[i] = newReplies(c)
	}
	var buf []byte
	for open := true; open; {
		open = false
		for i, c := range conns {
			if pending[i] > 0 {
				if l.like != "" {
					if err := in[i].alike(pending[i], l.like); err != nil {
						return fmt.Errorf("own load: %w", err)
					}
				} else if err := in[i].skip(pending[i] * max(l.replies, 1)); err != nil {
					return fmt.Errorf("own load: %w", err)
				}
				if err := in[i].err(); err != nil {
					return fmt.Errorf("own load: %w", err)
				}
				if l.sent != nil {
					l.sent.Add(int64(pending[i]))
				}
				pending[i] = 0
			}
			n := int(min(int64(l.pipeline), hi-lo))
			select {
			case <-l.stop:
				n = 0
			default:
			}
			if n <= 0 {
				continue
			}
			buf = buf[:0]
			for range n {
				buf = l.gen(buf, lo, r)
				lo++
			}
			if _, err := c.Write(buf); err != nil {
				return fmt.Errorf("own load: %w", err)
			}
			pending[i], open = n, true
		}
	}
	return nil
}

// fill sends requests 0 to n-1 as fast as a few pipelined connections can: for loading data before a measurement.
func fill(ctx context.Context, addr string, n int64, gen generator) error {
	return fillFrom(ctx, addr, 0, n, gen)
}

// fillFrom sends requests first to first+n-1.
func fillFrom(ctx context.Context, addr string, first, n int64, gen generator) error {
	_, err := load{addr: addr, conns: 8, workers: 1, pipeline: 128, first: first, requests: n, gen: gen}.run(ctx)
	return err
}

// probe sends requests one at a time, one every gap, until stop is closed, and returns the delay of each reply.
// A request that could not leave in time because the reply before it was late counts from the moment when it was due:
// otherwise a pause of the server would show in one sample only. What the sleep overshoots is not counted.
// A reply that takes longer than limit is an error.
func probe(addr string, gap, limit time.Duration, stop <-chan struct{}, next func(dst []byte) []byte) ([]time.Duration, error) {
	c, err := dialBlocking(addr, limit)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	in := newReplies(c)
	out := make([]time.Duration, 0, 1<<16)
	var buf []byte
	for due := time.Now(); ; due = due.Add(gap) {
		select {
		case <-stop:
			return out, in.err()
		default:
		}
		from := due
		if wait := time.Until(due); wait > 0 {
			threadSleep(wait)
			from = time.Now()
		}
		buf = next(buf[:0])
		if _, err := c.Write(buf); err != nil {
			return out, fmt.Errorf("probe: %w", err)
		}
		if err := in.skip(1); err != nil {
			return out, fmt.Errorf("probe: %w", err)
		}
		out = append(out, time.Since(from))
	}
}

// beside runs f while a probe runs, and returns the probe's delays.
func beside(addr string, gap time.Duration, next func(dst []byte) []byte, f func() error) ([]time.Duration, error) {
	var out []time.Duration
	err := during(func(stop <-chan struct{}) (err error) {
		out, err = probe(addr, gap, time.Minute, stop, next)
		return err
	}, f)
	return out, err
}

// during runs f while g runs, which is to return when stop is closed: when f has.
func during(g func(stop <-chan struct{}) error, f func() error) error {
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- g(stop) }()
	err := f()
	close(stop)
	return errors.Join(err, <-done)
}

// while runs f beside the load, which ends with f.
func (l load) while(ctx context.Context, f func() error) error {
	return during(func(stop <-chan struct{}) error {
		l.requests, l.stop = endless, stop
		_, err := l.run(ctx)
		return err
	}, f)
}

// paced sends rate requests a second, those of a millisecond in one batch, until stop is closed, and returns
// how many. A batch that is late leaves at once; what a stall of more than a tenth of a second has delayed is left
// out, so that no burst follows it. A reply that takes longer than limit is an error.
func paced(addr string, rate int, seed uint64, limit time.Duration, stop <-chan struct{}, gen generator) (sent int64, err error) {
	const most = 100 * time.Millisecond
	c, err := dialBlocking(addr, limit)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	in, rnd := newReplies(c), rand.New(rand.NewPCG(seed, 0))
	n := max(1, rate/1000)
	gap := time.Duration(n) * time.Second / time.Duration(rate)
	var buf []byte
	for due := time.Now(); ; due = due.Add(gap) {
		select {
		case <-stop:
			return sent, in.err()
		default:
		}
		switch wait := time.Until(due); {
		case wait > 0:
			threadSleep(wait)
		case wait < -most:
			due = time.Now()
		}
		buf = buf[:0]
		for range n {
			buf = gen(buf, sent, rnd)
			sent++
		}
		if _, err := c.Write(buf); err != nil {
			return sent, fmt.Errorf("paced load: %w", err)
		}
		if err := in.skip(n); err != nil {
			return sent, fmt.Errorf("paced load: %w", err)
		}
	}
}
