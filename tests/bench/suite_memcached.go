package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"kvd/tests/harness"
)

// hotKeys is how many keys a load has that is to find all in the processor's cache.
const hotKeys = 16

// memcachedWork is a request of memcached's. reply has the form of each reply: all keys are there.
type memcachedWork struct {
	name, request, reply string
	weight               float64 // the cost in gets
	once                 bool    // not in pipelines
}

// memcachedWorks are the requests, with values of size bytes.
func memcachedWorks(size int) []memcachedWork {
	const key = "key:" + placeholder
	n, value := strconv.Itoa(size), strings.Repeat("x", size)
	item := "VALUE " + key + " 0 " + n + "\r\n" + value + "\r\n"
	many := memcachedWork{name: "multi-get", request: "get", weight: 15, once: true}
	for range 100 {
		many.request += " " + key
		many.reply += item
	}
	many.request += "\r\n"
	many.reply += "END\r\n"
	return []memcachedWork{
		{name: "get", request: "get " + key + "\r\n", reply: item + "END\r\n", weight: 1},
		{name: "set", request: "set " + key + " 0 0 " + n + "\r\n" + value + "\r\n", reply: "STORED\r\n", weight: 1},
		{name: "mg", request: "mg " + key + " v\r\n", reply: "VA " + n + "\r\n" + value + "\r\n", weight: 1},
		{name: "ms", request: "ms " + key + " " + n + "\r\n" + value + "\r\n", reply: "HD\r\n", weight: 1},
		many,
	}
}

// answersMemcached tells whether a server of memcached's protocol answers.
func answersMemcached(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("version\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "VERSION ") {
		err = fmt.Errorf("version is answered with %q", line)
	}
	return err
}

// startMemcached starts the server of a side, with one thread or one event loop; addr is where it speaks memcached's protocols.
func (r *run) startMemcached(ctx context.Context, side string, cpus []int) (s *server, addr string, err error) {
	if side == "kvd" {
		port, err := harness.FreePort()
		if err != nil {
			return nil, "", err
		}
		s, err := r.start(ctx, side, cpus, "--event-loops", "1", "--memcached-port", strconv.Itoa(port))
		if err != nil {
			return nil, "", err
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		return s, addr, answersMemcached(addr)
	}
	binary, err := exec.LookPath(r.memcached)
	if err != nil {
		return nil, "", fmt.Errorf("memcached (Debian has it in the package of this name): %w", err)
	}
	args := func(port, _ string) []string {
		// -u counts only where it is started by root, who would be refused without.
		return []string{"-l", "127.0.0.1", "-p", port, "-U", "0", "-t", "1", "-m", "4096", "-u", "root"}
	}
	s, err = startProcess(ctx, side, binary, cpus, args, answersMemcached)
	if err != nil {
		return nil, "", err
	}
	return s, s.addr, nil
}

// memcachedSuite measures memcached's protocols beside memcached.
func memcachedSuite(ctx context.Context, r *run) error {
	if r.pipelines == nil {
		r.pipelines = []int{1, 16}
	}
	works := memcachedWorks(r.size)
	for _, t := range r.tests {
		if !slices.ContainsFunc(works, func(w memcachedWork) bool { return w.name == t }) {
			return fmt.Errorf("memcached: unknown test %q", t)
		}
	}
	servers, addrs := map[string]*server{}, map[string]string{}
	value := strings.Repeat("x", r.size)
	store := text("set key:"+placeholder+" 0 0 "+strconv.Itoa(r.size)+"\r\n"+value+"\r\n", func(i int64, _ *rand.Rand) int64 { return i })
	for _, side := range sides(0) {
		s, addr, err := r.startMemcached(ctx, side, nil)
		if s != nil {
			defer s.stop()
		}
		if err != nil {
			return err
		}
		servers[side], addrs[side] = s, addr
		progress("memcached: load %s", side)
		before, err := settle(ctx, s.pid, time.Second, 10*time.Second)
		if err != nil {
			return err
		}
		fill := load{addr: addr, conns: 8, workers: 1, pipeline: 128, requests: r.keys, like: "STORED\r\n", gen: store}
		if _, err := fill.run(ctx); err != nil {
			return err
		}
		after, err := settle(ctx, s.pid, time.Second, 10*time.Second)
		if err != nil {
			return err
		}
		r.add("memcached/bytes an item", "B", side, float64(after-before)/float64(r.keys))
	}
	for round := range r.rounds {
		for _, keys := range []int64{r.keys, hotKeys} {
			label := "any key"
			if keys == hotKeys {
				label = "hot keys"
			}
			for _, w := range works {
				if len(r.tests) > 0 && !slices.Contains(r.tests, w.name) {
					continue
				}
				gen := text(w.request, func(_ int64, rnd *rand.Rand) int64 { return rnd.Int64N(keys) })
				for _, p := range r.pipelines {
					name := fmt.Sprintf("memcached/%s/P=%d/%s", label, p, w.name)
					if w.once {
						if p != r.pipelines[0] {
							continue
						}
						name, p = fmt.Sprintf("memcached/%s/%s", label, w.name), 1
					}
					progress("%s: round %d of %d", name, round+1, r.rounds)
					n := r.count(p, w.weight)
					for _, side := range sides(round) {
						s := servers[side]
						l := load{addr: addrs[side], conns: r.clients, workers: 1, pipeline: p, requests: n, seed: r.nextSeed(), like: w.reply, gen: gen}
						var took time.Duration
						used, err := cpuDuring(s.pid, func() (err error) {
							took, err = l.run(ctx)
							return errors.Join(err, s.alive())
						})
						if err != nil {
							return fmt.Errorf("%s on %s: %w", name, side, err)
						}
						r.add(name+"/rps", "1/s", side, float64(n)/took.Seconds())
						r.add(name+"/cpu", "us", side, float64(used.Nanoseconds())/1e3/float64(n))
					}
				}
			}
		}
	}
	r.note("The column redis is memcached (%s), with one thread, as kvd has one event loop.", version(ctx, r.memcached))
	r.note("values of %d bytes; any of %d keys, or of %d; %d connections; own load.", r.size, r.keys, hotKeys, r.clients)
	return nil
}
