package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// idle measures what waits or is huge: idle connections, commands that are few, one large value, and MSET of very many pairs.
func idle(ctx context.Context, r *run) error {
	maxclients := strconv.Itoa(r.conns + 100)
	for round := range r.rounds {
		for _, side := range sides(round) {
			s, err := r.start(ctx, side, nil, "--maxclients", maxclients)
			if err != nil {
				return err
			}
			err = errors.Join(r.idleConns(ctx, s), s.alive())
			s.stop()
			if err != nil {
				return err
			}
		}
	}
	if err := r.each(ctx, r.idleRate); err != nil {
		return err
	}
	if err := r.each(ctx, r.hugeValue); err != nil {
		return err
	}
	if err := r.each(ctx, r.hugeMSET); err != nil {
		return err
	}
	// Time a pair at the most pairs against that at a quarter of them: 1 is linear.
	for _, how := range []string{"whole", "pieces"} {
		for _, side := range sides(0) {
			few := r.middle(r.msetName(how, r.keys/4), side) / float64(r.keys/4)
			many := r.middle(r.msetName(how, r.keys), side) / float64(r.keys)
			r.add("idle/MSET/"+how+" growth", "", side, many/few)
		}
	}
	return nil
}

// idleConns opens connections that say PING once and then nothing.
func (r *run) idleConns(ctx context.Context, s *server) error {
	progress("idle: %d connections to %s", r.conns, s.name)
	conns := make([]net.Conn, 0, r.conns)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	ping, pong := []byte("PING\r\n"), make([]byte, 7)
	each, err := bytesEach(ctx, s, int64(r.conns), func() error {
		for range r.conns {
			var d net.Dialer
			c, err := d.DialContext(ctx, "tcp", s.addr)
			if err != nil {
				return fmt.Errorf("connection %d: %w", len(conns)+1, err)
			}
			conns = append(conns, c)
			if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				return err
			}
			if _, err := c.Write(ping); err != nil {
				return err
			}
			if n, err := c.Read(pong); err != nil || n != len(pong) {
				return fmt.Errorf("connection %d: PING: %q, %v", len(conns), pong[:n], err)
			}
		}
		return pause(ctx, 3*time.Second) // Redis gives up buffers of clients idle for 2 s
	})
	if err != nil {
		return err
	}
	r.add("idle/connections/bytes each", "B", s.name, each)
	used, err := cpuDuring(s.pid, func() error { return pause(ctx, 3*time.Second) })
	r.add("idle/connections/idle CPU", "% of a core", s.name, 100*used.Seconds()/3)
	return err
}

// idleRate is what a command costs where few come: the server sleeps and wakes for each.
func (r *run) idleRate(ctx context.Context, s *server, round int) error {
	for _, rate := range []int{100, 1000} {
		n := 2 * rate
		err := s.ask(func(c *client) error {
			set, in := []byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"), newReplies(c.r)
			used, err := cpuDuring(s.pid, func() error {
				for next, i := time.Now(), 0; i < n; i++ {
					next = next.Add(time.Second / time.Duration(rate))
					if err := pause(ctx, time.Until(next)); err != nil {
						return err
					}
					if _, err := c.c.Write(set); err != nil {
						return err
					}
					if err := errors.Join(in.skip(1), in.err()); err != nil {
						return err
					}
				}
				return nil
			})
			r.add(fmt.Sprintf("idle/%d a second/cpu", rate), "us", s.name, used.Seconds()*1e6/float64(n))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// hugeValue sets and gets one value of -value-mib and compares what comes back.
func (r *run) hugeValue(ctx context.Context, s *server, _ int) error {
	progress("idle: value of %d MiB on %s", r.valueMiB, s.name)
	chunk := make([]byte, mib)
	for i := range chunk {
		chunk[i] = byte(i ^ i>>8)
	}
	return s.ask(func(c *client) error {
		start := time.Now()
		head := appendHead(nil, '*', 3)
		head = appendBulk(appendBulk(head, "SET"), "huge")
		head = appendHead(head, '$', r.valueMiB*mib)
		if _, err := c.c.Write(head); err != nil {
			return err
		}
		for i := range r.valueMiB {
			chunk[0] = byte(i) // so that swapped chunks show
			if _, err := c.c.Write(chunk); err != nil {
				return err
			}
		}
		if _, err := c.c.Write([]byte("\r\n")); err != nil {
			return err
		}
		in := newReplies(c.r)
		if err := errors.Join(in.skip(1), in.err()); err != nil {
			return err
		}
		r.add("idle/value/in", "ms", s.name, time.Since(start).Seconds()*1e3)
		if err := ctx.Err(); err != nil {
			return err
		}

		start = time.Now()
		if _, err := c.c.Write(appendCommand(nil, "GET", "huge")); err != nil {
			return err
		}
		kind, size, text, err := in.head()
		if err != nil {
			return err
		}
		if kind != '$' || size != r.valueMiB*mib {
			return fmt.Errorf("GET of the huge value: %c%d %s", kind, size, text)
		}
		back := make([]byte, mib)
		for i := range r.valueMiB {
			if err := in.full(back); err != nil {
				return err
			}
			chunk[0] = byte(i)
			if !bytes.Equal(back, chunk) {
				return fmt.Errorf("the huge value came back changed in its MiB %d", i)
			}
		}
		if err := in.full(back[:2]); err != nil {
			return err
		}
		r.add("idle/value/out", "ms", s.name, time.Since(start).Seconds()*1e3)
		rss, peak, err := residentOf(s.pid)
		r.add("idle/value/VmRSS", "MiB", s.name, float64(rss)/mib)
		r.add("idle/value/VmHWM", "MiB", s.name, float64(peak)/mib)
		return err
	})
}

func (r *run) msetName(how string, pairs int64) string {
	return fmt.Sprintf("idle/MSET/%s %d/time", how, pairs)
}

// hugeMSET sends one MSET of a quarter, a half and all of -keys pairs, in one piece and in pieces of 1 KiB.
func (r *run) hugeMSET(ctx context.Context, s *server, _ int) error {
	progress("idle: MSET of %d pairs on %s", r.keys, s.name)
	return s.ask(func(c *client) error {
		in := newReplies(c.r)
		for _, pairs := range []int64{r.keys / 4, r.keys / 2, r.keys} {
			req := appendBulk(appendHead(nil, '*', int(1+2*pairs)), "MSET")
			for i := range pairs {
				req = appendBulk(appendKey(req, i), "value")
			}
			for _, how := range []string{"whole", "pieces"} {
				if err := ctx.Err(); err != nil {
					return err
				}
				piece := len(req)
				if how == "pieces" {
					piece = 1024
				}
				if err := c.c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
					return err
				}
				start := time.Now()
				for rest := req; len(rest) > 0; {
					n := min(piece, len(rest))
					if _, err := c.c.Write(rest[:n]); err != nil {
						return err
					}
					rest = rest[n:]
				}
				if err := errors.Join(in.skip(1), in.err()); err != nil {
					return err
				}
				r.add(r.msetName(how, pairs), "ms", s.name, time.Since(start).Seconds()*1e3)
				if _, err := c.c.Write(appendCommand(nil, "FLUSHALL", "SYNC")); err != nil {
					return err
				}
				if err := errors.Join(in.skip(1), in.err()); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
