package transport_test

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"time"

	"kvd/transport"
)

// TestKeptArguments: a long command that comes in pieces is answered as one in one piece, also where it has to come
// again, and what comes behind it, too.
func TestKeptArguments(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		c, other := dial(), dial()
		const n = 5000
		long := func(name, key string) []byte {
			all := []string{name}
			if key != "" {
				all = append(all, key)
			}
			for i := range n {
				all = append(all, fmt.Sprint("member", i))
			}
			return bulk(all...)
		}
		send := func(in []byte) {
			for len(in) > 0 {
				some := in[:min(len(in), 11_003)]
				in = in[len(some):]
				_, _ = c.Write(some)
				time.Sleep(time.Millisecond)
			}
		}
		ask := func(c net.Conn, want string, args ...string) {
			t.Helper()
			_, _ = c.Write(bulk(args...))
			expect(t, c, want)
		}
		send(append(long("SADD", "set"), "PING\r\n"...))
		expect(t, c, fmt.Sprintf(":%d\r\n+PONG\r\n", n))
		// It waits while writes are paused, and comes again.
		ask(other, "+OK\r\n", "CLIENT", "PAUSE", "100000", "WRITE")
		send(append(long("SADD", "again"), "PING\r\n"...))
		time.Sleep(20 * time.Millisecond)
		ask(other, ":0\r\n", "SCARD", "again")
		ask(other, "+OK\r\n", "CLIENT", "UNPAUSE")
		expect(t, c, fmt.Sprintf(":%d\r\n+PONG\r\n", n))
		// A worker takes its arguments.
		for range 5 {
			send(append(append(long("EXISTS", ""), long("EXISTS", "set")...), "PING\r\n"...))
			expect(t, c, ":0\r\n:1\r\n+PONG\r\n")
		}
		ask(c, "+OK\r\n", "MULTI")
		send(long("SREM", "set"))
		expect(t, c, "+QUEUED\r\n")
		ask(c, fmt.Sprintf("*1\r\n:%d\r\n", n), "EXEC")
		for i := range 20 {
			ask(other, ":1\r\n", "SISMEMBER", "again", fmt.Sprint("member", i*n/20))
		}
	})
}

// TestKeptArgumentsLimit: what is kept of a command that is not complete counts as input.
func TestKeptArgumentsLimit(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		c, cl := ready(t, dial, srv)
		_, _ = c.Write([]byte("*100000000\r\n$6\r\nEXISTS\r\n"))
		some := bytes.Repeat([]byte("$1\r\nx\r\n"), 2000)
		go func() {
			for range 1000 {
				if _, err := c.Write(some); err != nil {
					return
				}
			}
		}()
		until(t, "memory that is counted", func() bool { return cl.QueryLen.Load() > 100_000 || !registered(srv, cl) })
		ended(t, c)
	}, "client-query-buffer-limit 1mb")
}
