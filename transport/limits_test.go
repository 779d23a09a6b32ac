package transport_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"kvd/command"
	"kvd/transport"
)

// until polls for a condition.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("in vain: " + what)
		}
	}
}

// registered tells whether the client is still among the server's.
func registered(srv *transport.Server, cl *command.Client) (found bool) {
	srv.Command().EachClient(func(c *command.Client) { found = found || c == cl })
	return
}

// ended reads to the end of a connection that the server has closed, and
// returns how much came.
func ended(t *testing.T, c net.Conn) int64 {
	t.Helper()
	n, err := io.Copy(io.Discard, c)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Fatal("the connection stays open")
	}
	return n
}

// TestHardLimit: a subscriber that does not read is closed at its class's
// limit; one that reads gets everything, and nobody waits.
func TestHardLimit(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		slow, slowClient := ready(t, dial, srv)
		good, _ := ready(t, dial, srv)
		pub, _ := ready(t, dial, srv)
		const on = "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n"
		for _, c := range []net.Conn{slow, good} {
			_, _ = c.Write([]byte("SUBSCRIBE x\r\n"))
			expect(t, c, on)
		}
		payload := strings.Repeat("m", 10_000)
		msg := fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$%d\r\n%s\r\n", len(payload), payload)
		sent := 0
		for ; registered(srv, slowClient); sent++ {
			if sent > 10_000 {
				t.Fatal("the slow subscriber is never closed")
			}
			_, _ = pub.Write(bulk("PUBLISH", "x", payload))
			reply := make([]byte, 4)
			expectAny(t, pub, reply)
			expect(t, good, msg)
			if n := slowClient.OutLen.Load(); n > 500_000+transport.SmallOut+int64(len(msg)) {
				t.Fatalf("%d bytes wait", n)
			}
		}
		if sent < 30 {
			t.Errorf("closed after %d messages", sent)
		}
		ended(t, slow)
	}, "client-output-buffer-limit pubsub 500000 0 0")
}

// TestSoftLimit: the soft limit counts after its time, even where nothing more is sent.
func TestSoftLimit(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		c, cl := ready(t, dial, srv)
		payload := append([]byte("+"), make([]byte, 1<<20)...)
		payload = append(bytes.ReplaceAll(payload, []byte{0}, []byte("x")), '\r', '\n')
		start := time.Now()
		for range 20 { // more than the socket takes
			cl.Conn.Push(payload)
		}
		until(t, "output that waits", func() bool { return cl.OutLen.Load() > 1<<20 || !registered(srv, cl) })
		until(t, "closing", func() bool { return !registered(srv, cl) })
		if d := time.Since(start); d < 900*time.Millisecond {
			t.Errorf("closed after %v", d)
		}
		ended(t, c)
	}, "client-output-buffer-limit normal 0 1mb 1")
}

// TestReplyLimit: a reply beyond the limit is not sent at all, even if the
// socket would take it.
func TestReplyLimit(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		c, cl := ready(t, dial, srv)
		_, _ = c.Write(bulk("SET", "v", strings.Repeat("x", 150_000)))
		expect(t, c, "+OK\r\n")
		_, _ = c.Write(bulk("GET", "v"))
		if n := ended(t, c); n != 0 {
			t.Errorf("%d bytes of a reply too long", n)
		}
		until(t, "closing", func() bool { return !registered(srv, cl) })
	}, "client-output-buffer-limit normal 100000 0 0")
}

// TestBackPressure: a client that writes a long pipeline before it reads gets
// every reply, and meanwhile not much more waits for it than stallAt.
func TestBackPressure(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		c, cl := ready(t, dial, srv)
		_, _ = c.Write(bulk("SET", "v", strings.Repeat("x", 1<<20)))
		expect(t, c, "+OK\r\n")
		const gets, pad = 40, 100_000
		// With the padding the input is more than the sockets take, so it must be read on.
		in := bytes.Repeat(append(bulk("GET", "v"), bulk("PING", strings.Repeat("p", pad))...), gets)
		done := make(chan error, 1)
		go func() {
			_, err := c.Write(in)
			done <- err
		}()
		system := strings.Contains(t.Name(), "/system")
		if system {
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the pipeline is not read on")
			}
			// Some of the 16 MiB at which a client stalls may leave yet; below half of them it would go on.
			until(t, "a stall", func() bool { return cl.OutLen.Load() > 8<<20 && cl.QueryLen.Load() > 1<<20 })
		}
		if n := cl.OutLen.Load(); n > 16<<20+2*transport.FlushAt+1<<20 {
			t.Errorf("%d bytes wait", n)
		}
		want := int64(gets * (1<<20 + 12 + pad + 11))
		if n, err := io.CopyN(io.Discard, c, want); err != nil || n != want {
			t.Fatalf("%d bytes of replies: %v", n, err)
		}
		_, _ = c.Write([]byte("PING\r\n"))
		expect(t, c, "+PONG\r\n")
	})
}

// TestEviction: where clients take too much together, the largest goes, but
// for those that are not to be evicted.
func TestEviction(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		_, small := ready(t, dial, srv)
		spared, sparedClient := ready(t, dial, srv)
		big, bigClient := ready(t, dial, srv)
		_, _ = spared.Write([]byte("CLIENT NO-EVICT ON\r\n"))
		expect(t, spared, "+OK\r\n")
		part := append([]byte("*1\r\n$3000000\r\n"), make([]byte, 600_000)...)
		_, _ = spared.Write(part)
		until(t, "input", func() bool { return sparedClient.QueryLen.Load() >= 600_000 })
		_, _ = big.Write(append(part, make([]byte, 1_500_000)...))
		until(t, "eviction", func() bool { return !registered(srv, bigClient) })
		ended(t, big)
		if !registered(srv, small) || !registered(srv, sparedClient) {
			t.Error("the wrong one is evicted")
		}
		ctl, _ := ready(t, dial, srv)
		_, _ = ctl.Write([]byte("INFO stats\r\n"))
		buf := make([]byte, 1<<16)
		n, _ := ctl.Read(buf)
		if !bytes.Contains(buf[:n], []byte("evicted_clients:1\r\n")) {
			t.Errorf("%s", buf[:n])
		}
	}, "maxmemory-clients 2500000")
}

// TestUnknownClients: who has not authenticated and does not read is closed, or
// read no further, and holds next to nothing; who has is served as ever.
func TestUnknownClients(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		c, system := dial(), strings.Contains(t.Name(), "/system")
		var cl *command.Client
		_, _ = c.Write([]byte("PING\r\n"))
		noAuth := "-NOAUTH Authentication required.\r\n"
		expect(t, c, noAuth)
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		srv.Command().EachClient(func(x *command.Client) { cl = x })
		in := bytes.Repeat([]byte("PING\r\n"), 10_000)
		var err error
		for sent := 0; err == nil; sent += len(in) {
			if sent > 256<<20 {
				t.Fatal("all of it is read")
			}
			_, err = c.Write(in)
			if n := cl.OutLen.Load(); n > 64<<10 {
				t.Fatalf("%d bytes of output wait", n)
			}
			if n := cl.QueryLen.Load(); n > command.UnauthInput {
				t.Fatalf("%d bytes of input wait", n)
			}
		}
		if system {
			until(t, "closing", func() bool { return !registered(srv, cl) })
		}
		// The same with the password.
		known := dial()
		_, _ = known.Write([]byte("AUTH secret\r\n"))
		expect(t, known, "+OK\r\n")
		payload := strings.Repeat("p", 1000)
		in = bytes.Repeat(bulk("ECHO", payload), 20_000)
		go func() { _, _ = known.Write(in) }()
		time.Sleep(100 * time.Millisecond) // more waits than the socket takes
		expect(t, known, strings.Repeat("$1000\r\n"+payload+"\r\n", 20_000))
	}, "requirepass secret")
}
