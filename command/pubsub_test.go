package command

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"kvd/pubsub"
	"kvd/resp/wire"
)

// pushes is a Conn with an Outlet that keeps what it is pushed.
type pushes struct {
	out *testOutlet
	got []string
}

// testOutlet is an event loop that sends at once, and what is made Later when the
// test looks.
type testOutlet struct {
	mu     sync.Mutex // protects got of its connections, and later
	fanned int
	later  []func(send func(pubsub.Conn, []byte))
}

func (o *testOutlet) Later(f func(send func(pubsub.Conn, []byte))) {
	o.mu.Lock()
	o.later = append(o.later, f)
	o.mu.Unlock()
}

func (o *testOutlet) turn() {
	o.mu.Lock()
	later := o.later
	o.later = nil
	o.mu.Unlock()
	for _, f := range later {
		f(func(c pubsub.Conn, b []byte) { c.Push(b) })
	}
}

func (o *testOutlet) Fanout(b []byte, to []pubsub.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fanned++
	for _, c := range to {
		p := c.(*pushes)
		p.got = append(p.got, string(b))
	}
}

func (p *pushes) Kill(bool)                     {}
func (p *pushes) Deliver(...[]byte)             {}
func (p *pushes) Hijack(func(net.Conn, []byte)) {}
func (p *pushes) Outlet() Outlet                { return p.out }
func (p *pushes) Push(b []byte)                 { p.out.Fanout(b, []pubsub.Conn{p}) }
func (p *pushes) Settle(w *wire.Writer) {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	w.Buf = append(w.Buf, strings.Join(p.got, "")...)
	p.got = nil
}

// as runs a command line as another client.
func (s *testServer) as(c *Client, line string) string {
	mine := s.c
	s.c = c
	defer func() { s.c = mine }()
	return s.run(line)
}

func (s *testServer) wantAs(c *Client, line, reply string) {
	s.t.Helper()
	if got := s.as(c, line); got != strings.ReplaceAll(reply, "\n", "\r\n") {
		s.t.Errorf("%s\n got %q\nwant %q", line, got, strings.ReplaceAll(reply, "\n", "\r\n"))
	}
}

func (s *testServer) subscriber(o *testOutlet) (*Client, *pushes) {
	p := &pushes{out: o}
	return s.NewClient(p, "127.0.0.1:1", "127.0.0.1:2", 4), p
}

func (p *pushes) want(t *testing.T, msgs ...string) {
	t.Helper()
	p.out.turn()
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	if got, want := strings.Join(p.got, ""), strings.ReplaceAll(strings.Join(msgs, ""), "\n", "\r\n"); got != want {
		t.Errorf("pushed:\n got %q\nwant %q", got, want)
	}
	p.got = nil
}

func TestPubSub(t *testing.T) {
	s := newTestServer(t)
	one, two := &testOutlet{}, &testOutlet{}
	a, ap := s.subscriber(one)
	b, bp := s.subscriber(one)
	c, cp := s.subscriber(two)

	s.wantAs(a, "subscribe x y x", "*3\n$9\nsubscribe\n$1\nx\n:1\n*3\n$9\nsubscribe\n$1\ny\n:2\n*3\n$9\nsubscribe\n$1\nx\n:2\n")
	s.as(b, "hello 3")
	s.wantAs(b, "subscribe x", ">3\n$9\nsubscribe\n$1\nx\n:1\n")
	s.wantAs(c, "psubscribe x* z", "*3\n$10\npsubscribe\n$2\nx*\n:1\n*3\n$10\npsubscribe\n$1\nz\n:2\n")
	s.wantAs(c, "ssubscribe x", "*3\n$10\nssubscribe\n$1\nx\n:1\n")

	s.want("publish x hi", ":3\n")
	const msg = ">3\n$7\nmessage\n$1\nx\n$2\nhi\n"
	ap.want(t, msg)
	bp.want(t, msg)
	cp.want(t, ">4\n$8\npmessage\n$2\nx*\n$1\nx\n$2\nhi\n")
	if one.fanned != 1 {
		t.Errorf("%d items for two subscribers on one loop", one.fanned)
	}
	s.want("spublish x hi", ":1\n")
	cp.want(t, ">3\n$8\nsmessage\n$1\nx\n$2\nhi\n")
	s.want("publish nobody hi", ":0\n")
	s.wantEffects("publish x hi", "spublish x hi", "publish nobody hi")

	s.want("pubsub numsub x y z", "*6\n$1\nx\n:2\n$1\ny\n:1\n$1\nz\n:0\n")
	s.want("pubsub shardnumsub x y", "*4\n$1\nx\n:1\n$1\ny\n:0\n")
	s.want("pubsub numpat", ":2\n")
	s.want("command getkeys spublish x y", "-ERR The command has no key arguments\n")
	s.want("pubsub channels y*", "*1\n$1\ny\n")
	s.want("pubsub shardchannels", "*1\n$1\nx\n")
	s.want("pubsub channels a b", "-ERR unknown subcommand or wrong number of arguments for 'channels'. Try PUBSUB HELP.\n")
	if line := s.as(b, "client list type pubsub"); strings.Count(line, "\n") != 5 || !strings.Contains(line, "flags=P db=0 sub=0 psub=2 ssub=1 ") {
		t.Errorf("client list: %q", line)
	}
	if info := s.run("info"); !strings.Contains(info, "pubsub_channels:2\r\npubsub_patterns:2\r\npubsubshard_channels:1\r\n") || !strings.Contains(info, "pubsub_clients:3\r\n") {
		t.Error("INFO:", info)
	}

	// RESP2's mode; RESP3 has none.
	s.wantAs(a, "ping", "*2\n$4\npong\n$0\n\n")
	s.wantAs(a, "ping x", "*2\n$4\npong\n$1\nx\n")
	s.wantAs(b, "ping", "+PONG\n")
	s.wantAs(a, "client info", "-ERR Can't execute 'client|info': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\n")
	s.wantAs(b, "get k", "_\n")

	// What was published before the end comes before its confirmation.
	s.want("publish y last", ":1\n")
	s.wantAs(a, "unsubscribe y", ">3\n$7\nmessage\n$1\ny\n$4\nlast\n*3\n$11\nunsubscribe\n$1\ny\n:1\n")
	s.want("publish y none", ":0\n")
	s.wantAs(a, "unsubscribe", "*3\n$11\nunsubscribe\n$1\nx\n:0\n")
	s.wantAs(a, "unsubscribe", "*3\n$11\nunsubscribe\n$-1\n:0\n")
	s.wantAs(a, "punsubscribe q", "*3\n$12\npunsubscribe\n$1\nq\n:0\n")
	s.wantAs(a, "get k", "$-1\n")
	s.wantAs(c, "sunsubscribe", "*3\n$12\nsunsubscribe\n$1\nx\n:0\n")
	s.wantAs(c, "ping", "*2\n$4\npong\n$0\n\n")
	s.wantAs(c, "reset", "+RESET\n")
	s.wantAs(c, "ping", "+PONG\n")
	s.DropClient(b)
	s.want("publish x none", ":0\n")
	s.want("pubsub channels", "*0\n")
	s.want("pubsub numpat", ":0\n")
	ap.want(t)
	bp.want(t)
	cp.want(t)
	for _, cl := range []*Client{a, b, c} {
		if n := cl.nsub.Memory.Load(); n != 0 || cl.Subscribed() {
			t.Errorf("subscriptions take %d bytes", n)
		}
	}
}

func TestPubSubReplyOff(t *testing.T) {
	s := newTestServer(t)
	a, _ := s.subscriber(&testOutlet{})
	s.as(a, "hello 3")
	s.as(a, "client reply off")
	s.wantAs(a, "ping", "")
	s.wantAs(a, "subscribe x", ">3\n$9\nsubscribe\n$1\nx\n:1\n")
	s.wantAs(a, "ping", "")
	s.wantAs(a, "unsubscribe x", ">3\n$11\nunsubscribe\n$1\nx\n:0\n")
}

// TestPubSubMulti: inside EXEC subscribing works as Redis's does.
func TestPubSubMulti(t *testing.T) {
	s := newTestServer(t)
	a, p := s.subscriber(&testOutlet{})
	s.as(a, "multi")
	s.as(a, "subscribe x")
	s.as(a, "publish x 1")
	s.wantAs(a, "exec", "*2\n*3\n$9\nsubscribe\n$1\nx\n:1\n:1\n")
	p.want(t, ">3\n$7\nmessage\n$1\nx\n$1\n1\n")
}

// TestPubSubOrder: whoever publishes where, the subscribers of a channel see
// its messages in one order; lists change meanwhile.
func TestPubSubOrder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	s := newTestServer(t)
	var subs []*pushes
	outs := []*testOutlet{{}, {}, {}}
	for i := range 30 {
		c, p := s.subscriber(outs[i%3])
		s.as(c, "subscribe x")
		subs = append(subs, p)
	}
	stop := make(chan struct{})
	var comers, senders sync.WaitGroup
	for i := range 2 {
		comers.Go(func() {
			x := s.NewExec()
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for {
				select {
				case <-stop:
					return
				default:
				}
				p := &pushes{out: outs[rnd.IntN(3)]}
				c := s.NewClient(p, "", "", 0)
				var w wire.Writer
				x.Run(c, [][]byte{[]byte("subscribe"), []byte("x")}, &w)
				x.Run(c, [][]byte{[]byte("psubscribe"), []byte("?")}, &w)
				s.DropClient(c)
			}
		})
	}
	const each = 300
	for i := range 3 {
		senders.Go(func() {
			for n := range each {
				s.Publisher([]byte("x"), fmt.Appendf(nil, "%d-%d", i, n))
			}
		})
	}
	senders.Wait()
	close(stop)
	comers.Wait()
	want := strings.Join(subs[0].got, "")
	if len(subs[0].got) != 3*each {
		t.Errorf("%d messages, want %d", len(subs[0].got), 3*each)
	}
	for _, p := range subs {
		if strings.Join(p.got, "") != want {
			t.Fatal("two subscribers saw different orders")
		}
	}
	s.want("pubsub numsub x", "*2\n$1\nx\n:30\n")
}
