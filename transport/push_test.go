package transport_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"kvd/command"
	"kvd/pubsub"
	"kvd/transport"
)

// last is the client of the connection made last.
func last(srv *transport.Server) (c *command.Client) {
	srv.Command().EachClient(func(o *command.Client) {
		if c == nil || o.ID > c.ID {
			c = o
		}
	})
	return c
}

// ready dials, waits until the connection is served, and returns it with its client.
func ready(t *testing.T, dial func() net.Conn, srv *transport.Server) (net.Conn, *command.Client) {
	c := dial()
	_, _ = c.Write([]byte("PING\r\n"))
	expect(t, c, "+PONG\r\n")
	return c, last(srv)
}

// awaitList waits until a line of CLIENT LIST has the text.
func awaitList(t *testing.T, c net.Conn, text string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		_, _ = c.Write([]byte("CLIENT LIST\r\n"))
		var head []byte
		for one := make([]byte, 1); len(head) == 0 || head[len(head)-1] != '\n'; head = append(head, one...) {
			if _, err := c.Read(one); err != nil {
				t.Fatal(err)
			}
		}
		var n int
		_, _ = fmt.Sscanf(string(head), "$%d", &n)
		body := make([]byte, n+2)
		for at := 0; at < len(body); {
			m, err := c.Read(body[at:])
			if err != nil {
				t.Fatal(err)
			}
			at += m
		}
		if strings.Contains(string(body), text) {
			return
		}
	}
	t.Fatalf("no client has %q", text)
}

// TestPushOrder: pushes of several senders come whole, between replies, each
// sender's in order.
func TestPushOrder(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		c, cl := ready(t, dial, srv)
		const senders, each, commands = 3, 500, 500
		var wg sync.WaitGroup
		for s := range senders {
			wg.Go(func() {
				for i := range each {
					msg := fmt.Appendf(nil, "+%d %06d\r\n", s, i)
					if o := cl.Conn.(interface{ Outlet() command.Outlet }).Outlet(); o != nil && i%2 == 0 {
						o.Fanout(msg, []pubsub.Conn{cl.Conn})
					} else {
						cl.Conn.Push(msg)
					}
				}
			})
		}
		go func() {
			for i := range commands {
				_, _ = c.Write(bulk("ECHO", fmt.Sprintf("reply %05d", i)))
			}
		}()
		var next [senders]int
		replies := 0
		for n := 0; n < senders*each+commands; n++ {
			kind := make([]byte, 1)
			expectAny(t, c, kind)
			if kind[0] == '$' {
				expect(t, c, fmt.Sprintf("11\r\nreply %05d\r\n", replies))
				replies++
				continue
			}
			rest := make([]byte, 10)
			expectAny(t, c, rest)
			var s, i int
			if _, err := fmt.Sscanf(string(rest), "%d %d\r\n", &s, &i); err != nil || i != next[s] {
				t.Fatalf("%q: sender %d is at %d (%v)", rest, s, next[s], err)
			}
			next[s]++
		}
		wg.Wait()
	})
}

func expectAny(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	for at := 0; at < len(b); {
		n, err := c.Read(b[at:])
		if err != nil {
			t.Fatal(err)
		}
		at += n
	}
}

// TestPushProtocol: the same bytes are an array for one client and a push for another.
func TestPushProtocol(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		a, ac := ready(t, dial, srv)
		b, bc := ready(t, dial, srv)
		_, _ = b.Write([]byte("HELLO 3\r\nPING\r\n"))
		for line := ""; !strings.HasSuffix(line, "+PONG\r\n"); {
			one := make([]byte, 1)
			expectAny(t, b, one)
			line += string(one)
		}
		msg := []byte(">1\r\n+x\r\n")
		ac.Conn.Push(msg)
		bc.Conn.Push(msg)
		expect(t, a, "*1\r\n+x\r\n")
		expect(t, b, ">1\r\n+x\r\n")
	})
}

// TestPushWaits: a push follows the reply to a command that runs on a worker;
// it does not wait for one that is blocked.
func TestPushWaits(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		c, cl := ready(t, dial, srv)
		other, _ := ready(t, dial, srv)
		_, _ = c.Write([]byte("DEBUG POPULATE 300000\r\n"))
		expect(t, c, "+OK\r\n")
		for try := 1; ; try++ {
			_, _ = c.Write(bulk("KEYS", "x*"))
			awaitList(t, other, "cmd=keys")
			_, _ = c.Write(bulk("ECHO", "after"))
			cl.Conn.Push([]byte("+push\r\n"))
			const want, over = "*0\r\n+push\r\n$5\r\nafter\r\n", "*0\r\n$5\r\nafter\r\n+push\r\n"
			got := make([]byte, len(want))
			expectAny(t, c, got)
			if string(got) == want {
				break
			}
			if string(got) != over || try == 20 { // KEYS may have been over before the push came
				t.Fatalf("got %q, want %q", got, want)
			}
		}

		_, _ = c.Write(bulk("BLPOP", "l", "0"))
		awaitList(t, other, "cmd=blpop")
		cl.Conn.Push([]byte("+push\r\n"))
		expect(t, c, "+push\r\n")
		_, _ = other.Write(bulk("RPUSH", "l", "x"))
		expect(t, c, "*2\r\n$1\r\nl\r\n$1\r\nx\r\n")
	})
}

// TestUnsubscribe: after the confirmation of UNSUBSCRIBE no message comes, which
// a client of RESP2 would take for a reply, however many are on their way.
func TestUnsubscribe(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		defer func() { close(stop); wg.Wait() }()
		for range 3 {
			p, _ := ready(t, dial, srv)
			in := bytes.Repeat(bulk("PUBLISH", "x", "hello"), 50)
			wg.Go(func() {
				out := make([]byte, 50*4)
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := p.Write(in); err != nil {
						return
					}
					if _, err := io.ReadFull(p, out); err != nil {
						return
					}
				}
			})
		}
		c, _ := ready(t, dial, srv)
		const on, off = "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n", "*3\r\n$11\r\nunsubscribe\r\n$1\r\nx\r\n:0\r\n"
		const msg = "*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$5\r\nhello\r\n"
		messages := 0
		for i, end := 0, time.Now().Add(30*time.Second); i < 300 || messages == 0 && time.Now().Before(end); i++ {
			_, _ = c.Write([]byte("SUBSCRIBE x\r\n"))
			expect(t, c, on)
			if i%2 == 0 {
				time.Sleep(100 * time.Microsecond)
			}
			_, _ = c.Write([]byte("UNSUBSCRIBE x\r\nPING\r\n"))
			head := make([]byte, len("*3\r\n$7"))
			for expectAny(t, c, head); string(head) == msg[:len(head)]; expectAny(t, c, head) {
				expect(t, c, msg[len(head):])
				messages++
			}
			expect(t, c, (off + "+PONG\r\n")[len(head):])
		}
		if messages == 0 {
			t.Error("no message came at all")
		}
	})
}

// TestFanOut: a message to more connections than one turn writes to reaches
// each of them once and in order, between the replies to their own commands.
func TestFanOut(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		const subs, messages = 4 * 32, 100
		pub, _ := ready(t, dial, srv)
		var wg sync.WaitGroup
		for i := range subs {
			c, _ := ready(t, dial, srv)
			_, _ = c.Write([]byte("SUBSCRIBE x\r\n"))
			expect(t, c, "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n")
			wg.Go(func() {
				pongs, next := 0, 0
				r := bufio.NewReader(c)
				line := func() string {
					s, err := r.ReadString('\n')
					if err != nil {
						t.Errorf("subscriber %d after %d messages: %v", i, next, err)
					}
					return strings.TrimSpace(s)
				}
				for next < messages && !t.Failed() {
					if i%4 == 0 && next%10 == 0 && pongs <= next/10 {
						_, _ = c.Write([]byte("PING\r\n"))
						pongs++
					}
					if line() == "*2" {
						line()
						if s := line(); s != "pong" {
							t.Errorf("%q is no reply to PING", s)
						}
						line()
						line()
						continue
					}
					for range 5 {
						line()
					}
					if s := line(); s != fmt.Sprint(next) {
						t.Errorf("subscriber %d: message %q, want %d", i, s, next)
					}
					next++
				}
			})
		}
		for n := range messages {
			_, _ = pub.Write(bulk("PUBLISH", "x", fmt.Sprint(n)))
			expect(t, pub, fmt.Sprintf(":%d\r\n", subs))
		}
		wg.Wait()
	})
}
