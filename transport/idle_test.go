package transport_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kvd/resp"
	"kvd/transport"
)

// TestNotIdle: the timeout directive closes nobody who waits for the server, who is
// sent things, or whose bytes flow, however slowly.
func TestNotIdle(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		t.Parallel()
		const long = 13 * time.Second
		say := func(c net.Conn, line string) {
			t.Helper()
			if _, err := io.WriteString(c, line+"\r\n"); err != nil {
				t.Fatal(err)
			}
		}
		const size = 64 << 20
		set := fmt.Sprintf("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n%s\r\n", size, strings.Repeat("x", size))
		big := dial()
		io.WriteString(big, set)
		expect(t, big, "+OK\r\n")

		var all sync.WaitGroup
		all.Go(func() { // its one argument comes slowly
			c := dial()
			say(c, "*2\r\n$4\r\nECHO\r\n$10")
			for range 10 {
				time.Sleep(long / 10)
				io.WriteString(c, "a")
			}
			say(c, "")
			hear(t, c, "$10\r\naaaaaaaaaa\r\n")
		})
		all.Go(func() { // it takes its reply slowly
			say(big, "GET big")
			n, part := 0, make([]byte, 400<<10)
			for begun := time.Now(); n < size; {
				if time.Since(begun) < long {
					time.Sleep(50 * time.Millisecond)
				}
				k, err := big.Read(part)
				if n += k; err != nil {
					t.Errorf("a long reply ends after %d bytes: %v", n, err)
					return
				}
			}
		})
		all.Go(func() { // it is sent what others do
			c := dial()
			say(c, "MONITOR")
			hear(t, c, "+OK\r\n")
			time.Sleep(long)
			o := dial()
			say(o, "ECHO seen")
			hear(t, o, "$4\r\nseen\r\n")
			c.SetReadDeadline(time.Now().Add(30 * time.Second))
			for r := bufio.NewReader(c); ; {
				l, err := r.ReadString('\n')
				if err != nil {
					t.Errorf("a monitor: %v", err)
					return
				}
				if strings.Contains(l, `"seen"`) {
					return
				}
			}
		})
		all.Go(func() { // it waits for a pause to end, and is not idle right after it
			o, c := dial(), dial()
			say(o, fmt.Sprintf("CLIENT PAUSE %d WRITE", long.Milliseconds()))
			hear(t, o, "+OK\r\n")
			say(c, "SET paused 1")
			hear(t, c, "+OK\r\n")
			time.Sleep(500 * time.Millisecond)
			say(c, "GET paused")
			hear(t, c, "$1\r\n1\r\n")
		})
		all.Go(func() { // it waits for a list, and is not idle right after it
			c := dial()
			say(c, "BLPOP none 12")
			hear(t, c, "*-1\r\n")
			time.Sleep(500 * time.Millisecond)
			say(c, "PING")
			hear(t, c, "+PONG\r\n")
		})
		all.Wait()
	}, "timeout 6")
}

// hear is expect for goroutines beside the test's own.
func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("got %q (%v), want %q", got[:n], err, want)
	}
}

// TestNotIdleStanding: bytes that came while the loop stood still are read before their
// client counts as idle.
func TestNotIdleStanding(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		if strings.HasPrefix(t.Name(), "TestNotIdleStanding/goroutines") {
			t.Skip("see TestNotIdleStarved")
		}
		var conns []net.Conn
		for range 3 {
			c := dial()
			ping(t, c)
			expect(t, c, "+PONG\r\n")
			conns = append(conns, c)
		}
		sleeper := conns[0]
		_, _ = sleeper.Write(bulk("DEBUG", "SLEEP", "1.3"))
		time.Sleep(50 * time.Millisecond)
		for _, c := range conns[1:] {
			ping(t, c)
		}
		if err := srv.Config().SetInitial("timeout", []string{"1"}); err != nil {
			t.Fatal(err)
		}
		for _, c := range conns[1:] {
			expect(t, c, "+PONG\r\n")
		}
		expect(t, sleeper, "+OK\r\n")
	}, "event-loops 1")
}

// starvedConn stands still before a read, once.
type starvedConn struct {
	net.Conn
	starve  atomic.Bool
	starved chan struct{}
	on      chan struct{}
}

func (c *starvedConn) Read(b []byte) (int, error) {
	if c.starve.CompareAndSwap(true, false) {
		close(c.starved)
		<-c.on
	}
	return c.Conn.Read(b)
}

// TestNotIdleStarved: a read that comes late to its deadline, though not to its bytes, closes nobody.
func TestNotIdleStarved(t *testing.T) {
	srv, ks := configured(t, "timeout 1")
	start(t, srv, ks)
	mine, its := transport.Pipe("a", "b")
	defer mine.Close()
	_ = mine.SetDeadline(time.Now().Add(30 * time.Second))
	c := &starvedConn{Conn: its, starved: make(chan struct{}), on: make(chan struct{})}
	c.starve.Store(true)
	srv.ServeConn(c, resp.New(srv.Command()))
	<-c.starved
	ping(t, mine)
	time.Sleep(1200 * time.Millisecond)
	close(c.on)
	expect(t, mine, "+PONG\r\n")
	if got, err := io.ReadAll(mine); len(got) != 0 || err != nil { // idle after all
		t.Errorf("%q, %v", got, err)
	}
}
