package transport_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"kvd/transport"
)

// TestNotIdle: the timeout directive closes nobody who waits for the server, who is
// sent things, or whose bytes flow, however slowly.
func TestNotIdle(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		const long = 7 * time.Second
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
			c.SetReadDeadline(time.Now().Add(5 * time.Second))
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
			say(c, "BLPOP none 6")
			hear(t, c, "*-1\r\n")
			time.Sleep(500 * time.Millisecond)
			say(c, "PING")
			hear(t, c, "+PONG\r\n")
		})
		all.Wait()
	}, "timeout 3")
}

// hear is expect for goroutines beside the test's own.
func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("got %q (%v), want %q", got[:n], err, want)
	}
}
