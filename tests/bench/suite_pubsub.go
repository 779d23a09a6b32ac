package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// pubsub measures the server's CPU a delivered message, and what readers that stop reading do to others.
func pubsub(ctx context.Context, r *run) error {
	maxclients := strconv.Itoa(r.conns + 200)
	for round := range r.rounds {
		for _, side := range sides(round) {
			for _, f := range []func(context.Context, *server) error{r.oneChannel, r.manyChannels, r.stoppedReaders} {
				s, err := r.start(ctx, side, nil, "--maxclients", maxclients, "--client-output-buffer-limit", fmt.Sprintf("pubsub %d 0 0", stoppedLimit))
				if err != nil {
					return err
				}
				err = errors.Join(f(ctx, s), s.alive())
				s.stop()
				if err != nil {
					return err
				}
			}
		}
	}
	r.note("%d subscribers; messages of %d bytes. one: all on one channel, messages one at a time and 16 in a pipeline; many: %d channels over all, one subscriber each.",
		r.conns, r.size, r.keys)
	return nil
}

// subscribers are connections that count the bytes they get.
type subscribers struct {
	conns []net.Conn
	got   atomic.Int64
	stop  atomic.Bool // they read no more
	wg    sync.WaitGroup
}

// subscribe opens n connections; channels says what the i-th one subscribes to.
func subscribe(ctx context.Context, addr string, n int, channels func(i int) []string) (*subscribers, error) {
	p := &subscribers{}
	for i := range n {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			p.close()
			return nil, fmt.Errorf("subscriber %d: %w", i+1, err)
		}
		p.conns = append(p.conns, c)
		names := channels(i)
		if _, err := c.Write(appendCommand(nil, append([]string{"SUBSCRIBE"}, names...)...)); err != nil {
			p.close()
			return nil, err
		}
		if err := newReplies(c).skip(len(names)); err != nil {
			p.close()
			return nil, err
		}
	}
	for _, c := range p.conns {
		p.wg.Go(func() {
			buf := make([]byte, 16<<10)
			for !p.stop.Load() {
				n, err := c.Read(buf)
				p.got.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
	}
	return p, nil
}

// close ends the connections and the goroutines that read them.
func (p *subscribers) close() {
	for _, c := range p.conns {
		c.Close()
	}
	p.wg.Wait()
}

// await polls until so many bytes have come in all.
func (p *subscribers) await(ctx context.Context, n int64) error {
	for end := time.Now().Add(time.Minute); p.got.Load() < n; {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d bytes of messages came", p.got.Load(), n)
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// messageSize is how long a message of RESP2 is.
func messageSize(channel string, payload int) int64 {
	return int64(len(appendCommand(nil, "message", channel, strings.Repeat("x", payload))))
}

// publish sends n messages and waits until all are delivered; it adds the CPU time for each delivery.
func (r *run) publish(ctx context.Context, s *server, name string, p *subscribers, l load, deliveries, bytes int64) error {
	progress("%s: %d deliveries on %s", name, deliveries, s.name)
	before := p.got.Load()
	start := time.Now()
	used, err := cpuDuring(s.pid, func() error {
		if _, err := l.run(ctx); err != nil {
			return err
		}
		return p.await(ctx, before+bytes)
	})
	if err != nil {
		return err
	}
	r.add(name+"/cpu", "us", s.name, used.Seconds()*1e6/float64(deliveries))
	r.add(name+"/rate", "1/s", s.name, float64(deliveries)/time.Since(start).Seconds())
	return nil
}

// oneChannel delivers every message to all connections.
func (r *run) oneChannel(ctx context.Context, s *server) error {
	const channel = "channel:000000000000"
	p, err := subscribe(ctx, s.addr, r.conns, func(int) []string { return []string{channel} })
	if err != nil {
		return err
	}
	defer p.close()
	for _, pipeline := range []int{1, 16} {
		n := r.count(1, 1) / 100
		deliveries := n * int64(r.conns)
		l := load{addr: s.addr, conns: 1, workers: 1, pipeline: pipeline, requests: n, seed: r.nextSeed(), gen: counting("PUBLISH", channel, r.value())}
		if err := r.publish(ctx, s, fmt.Sprintf("pubsub/one/P=%d", pipeline), p, l, deliveries, deliveries*messageSize(channel, r.size)); err != nil {
			return err
		}
	}
	return nil
}

// manyChannels delivers each message to one connection.
func (r *run) manyChannels(ctx context.Context, s *server) error {
	each := max(1, int(r.keys)/r.conns)
	name := func(i int) string { return fmt.Sprintf("channel:%012d", i) }
	p, err := subscribe(ctx, s.addr, r.conns, func(i int) []string {
		names := make([]string, each)
		for j := range names {
			names[j] = name(i*each + j)
		}
		return names
	})
	if err != nil {
		return err
	}
	defer p.close()
	for _, pipeline := range []int{1, 16} {
		n := r.count(1, 1)
		l := load{addr: s.addr, conns: 8, workers: 1, pipeline: pipeline, requests: n, seed: r.nextSeed(),
			gen: random(int64(each*r.conns), "PUBLISH", "channel:"+placeholder, r.value())}
		if err := r.publish(ctx, s, fmt.Sprintf("pubsub/many/P=%d", pipeline), p, l, n, n*messageSize(name(0), r.size)); err != nil {
			return err
		}
	}
	return nil
}

const (
	stopped      = 50      // readers that stop
	stoppedLimit = 8 << 20 // bytes of output that each may have waiting
	stoppedSize  = 4 << 10 // of a message
)

// stoppedReaders compares the delays of another client's commands while readers read and while they do not, and what memory the latter take.
func (r *run) stoppedReaders(ctx context.Context, s *server) error {
	progress("pubsub: %d readers that stop on %s", stopped, s.name)
	const channel = "channel:000000000000"
	p, err := subscribe(ctx, s.addr, stopped, func(int) []string { return []string{channel} })
	if err != nil {
		return err
	}
	defer p.close()
	if _, err := s.do("SET", "key", r.value()); err != nil {
		return err
	}
	before, _, err := residentOf(s.pid)
	if err != nil {
		return err
	}
	get := appendCommand(nil, "GET", "key")
	payload := strings.Repeat("x", stoppedSize)
	phase := func() (d delays, err error) {
		list, err := beside(s.addr, time.Millisecond, func(dst []byte) []byte { return append(dst, get...) }, func() error {
			_, err := load{addr: s.addr, conns: 1, workers: 1, pipeline: 1, requests: 2 * stoppedLimit / stoppedSize, seed: r.nextSeed(),
				gen: func(dst []byte, _ int64, _ *rand.Rand) []byte { return appendCommand(dst, "PUBLISH", channel, payload) }}.run(ctx)
			return err
		})
		return summarize(list), err
	}
	calm, err := phase()
	if err != nil {
		return err
	}
	p.stop.Store(true)
	// What is being read ends each reader's last Read.
	if _, err := s.do("PUBLISH", channel, payload); err != nil {
		return err
	}
	p.wg.Wait()
	then, err := phase()
	if err != nil {
		return err
	}
	_, peak, err := residentOf(s.pid)
	if err != nil {
		return err
	}
	r.add("pubsub/stopped/GET p99 calm", "us", s.name, calm.p99)
	r.add("pubsub/stopped/GET p99 then", "us", s.name, then.p99)
	r.add("pubsub/stopped/GET p99 then to calm", "", s.name, then.p99/calm.p99)
	r.add("pubsub/stopped/memory to limits", "", s.name, float64(peak-before)/(stopped*stoppedLimit))
	return nil
}
