package transport_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"kvd/transport"
)

// oneTurn serves connections whose input has all come before the loop's next turn.
type oneTurn struct {
	t     *testing.T
	addr  string
	sleep net.Conn
}

func newOneTurn(t *testing.T) *oneTurn {
	srv, ks := configured(t, "event-loops 1", "enable-debug-command yes")
	o := &oneTurn{t: t, addr: start(t, srv, ks)}
	o.sleep = o.dial()
	return o
}

func (o *oneTurn) dial() net.Conn {
	c, err := net.Dial("tcp", o.addr)
	if err != nil {
		o.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	o.t.Cleanup(func() { c.Close() })
	ping(o.t, c)
	expect(o.t, c, "+PONG\r\n")
	return c
}

// serve has do send each connection its input while the loop sleeps for seconds.
func (o *oneTurn) serve(seconds string, do func()) {
	o.t.Helper()
	if _, err := o.sleep.Write(bulk("DEBUG", "SLEEP", seconds)); err != nil {
		o.t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond)
	do()
	expect(o.t, o.sleep, "+OK\r\n")
}

func (o *oneTurn) write(c net.Conn, commands ...string) {
	o.t.Helper()
	var in []byte
	for _, cmd := range commands {
		in = append(in, bulk(strings.Fields(cmd)...)...)
	}
	if _, err := c.Write(in); err != nil {
		o.t.Fatal(err)
	}
}

// TestLate: in a turn with several connections replies leave at its end, whole
// and in order, whatever else becomes of the connection in that turn.
func TestLate(t *testing.T) {
	o := newOneTurn(t)
	first, second := o.dial(), o.dial()
	for try := 1; ; try++ {
		o.serve("0.5", func() {
			o.write(first, "PING")
			o.write(second, "DEBUG SLEEP 0.2")
		})
		began := time.Now()
		expect(t, first, "+PONG\r\n")
		came := time.Since(began)
		expect(t, second, "+OK\r\n")
		if came >= 150*time.Millisecond {
			break
		}
		if try == 10 { // before, this test may have stood still where it had to be quick
			t.Errorf("the first reply of a turn came after %v, in the middle of the turn", came)
			break
		}
	}

	closed := func(c net.Conn) {
		t.Helper()
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%d bytes more, %v", n, err)
		}
	}
	long := strings.Repeat("x", transport.LateMax+1)
	for round := range 10 {
		var plain, quits, longer, subscriber, publisher, blocks, feeds, browser, half, killed, killer, silent, large, ends = o.dial(), o.dial(), o.dial(), o.dial(), o.dial(), o.dial(),
			o.dial(), o.dial(), o.dial(), o.dial(), o.dial(), o.dial(), o.dial(), o.dial()
		o.write(killed, "CLIENT ID")
		var id int
		if _, err := fmt.Fscanf(killed, ":%d\r\n", &id); err != nil {
			t.Fatal(err)
		}
		var many, manyReplies strings.Builder
		for i := range 200 {
			fmt.Fprintf(&many, "ECHO %d\n", round*1000+i)
			fmt.Fprintf(&manyReplies, "$%d\r\n%d\r\n", len(fmt.Sprint(round*1000+i)), round*1000+i)
		}
		o.serve("0.03", func() {
			o.write(plain, strings.Split(strings.TrimSuffix(many.String(), "\n"), "\n")...)
			o.write(quits, "PING", "QUIT")
			o.write(longer, "PING", "SET long "+long, "GET long")
			o.write(subscriber, fmt.Sprint("SUBSCRIBE ch", round))
			o.write(publisher, "PING", fmt.Sprintf("PUBLISH ch%d hello", round))
			o.write(blocks, "PING", "BLPOP list 0", "PING")
			o.write(feeds, "RPUSH list a")
			o.write(browser, "PING", "POST / HTTP/1.1")
			o.write(half, "PING", "ECHO half")
			if err := half.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			o.write(killed, "ECHO last")
			o.write(killer, fmt.Sprintf("CLIENT KILL ID %d", id))
			o.write(large, "PING", "SET large "+strings.Repeat("y", transport.ReadSize+2*transport.KeepBuffer))
			// One read exactly, in which a long command begins, and the end.
			part := append(bulk("PING"), fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", 2*transport.ReadSize)...)
			if _, err := ends.Write(append(part, make([]byte, transport.ReadSize-len(part))...)); err != nil {
				t.Fatal(err)
			}
			if err := ends.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			o.write(silent, "PING", "CLIENT REPLY OFF", "PING", "CLIENT REPLY ON", "PING")
		})
		expect(t, plain, manyReplies.String())
		expect(t, quits, "+PONG\r\n+OK\r\n")
		closed(quits)
		expect(t, longer, fmt.Sprintf("+PONG\r\n+OK\r\n$%d\r\n%s\r\n", len(long), long))
		expect(t, subscriber, fmt.Sprintf("*3\r\n$9\r\nsubscribe\r\n$3\r\nch%[1]d\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$3\r\nch%[1]d\r\n$5\r\nhello\r\n", round))
		expect(t, publisher, "+PONG\r\n:1\r\n")
		expect(t, blocks, "+PONG\r\n*2\r\n$4\r\nlist\r\n$1\r\na\r\n+PONG\r\n")
		expect(t, feeds, ":1\r\n")
		closed(browser)
		expect(t, half, "+PONG\r\n$4\r\nhalf\r\n")
		closed(half)
		expect(t, killed, "$4\r\nlast\r\n")
		closed(killed)
		expect(t, killer, ":1\r\n")
		expect(t, large, "+PONG\r\n+OK\r\n")
		expect(t, ends, "+PONG\r\n")
		closed(ends)
		expect(t, silent, "+PONG\r\n+OK\r\n+PONG\r\n")
	}
}

// TestReadOn: what a turn leaves unread of a connection, be it input or its end,
// is read in the next one, though the system does not tell of it again.
func TestReadOn(t *testing.T) {
	o := newOneTurn(t)
	for _, size := range []int{transport.ReadSize - 14, transport.ReadSize, transport.ReadSize + 14, 3 * transport.ReadSize} {
		pings := bulk("PING")
		input := bytes.Repeat(pings, size/len(pings))
		input = append(input, bytes.Repeat([]byte("\n"), size-len(input))...) // empty commands
		for _, ends := range []bool{false, true} {
			c := o.dial()
			o.serve("0.03", func() {
				go func() {
					_, _ = c.Write(input)
					if ends {
						_ = c.(*net.TCPConn).CloseWrite()
					}
				}()
				time.Sleep(10 * time.Millisecond)
			})
			expect(t, c, strings.Repeat("+PONG\r\n", size/len(pings)))
			if ends {
				if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("%d bytes, then %d more, %v", size, n, err)
				}
			}
		}
	}
}

// TestReadOnce: a connection that is read on in a turn is not read when the
// system tells of it in the same turn: a long reply to what came last would
// overtake the short ones before it, which leave at the turn's end.
func TestReadOnce(t *testing.T) {
	o := newOneTurn(t)
	c, d, e := o.dial(), o.dial(), o.dial()
	long := strings.Repeat("x", transport.LateMax+1)
	o.write(c, "SET long "+long)
	expect(t, c, "+OK\r\n")
	full := append(bulk("PING"), bytes.Repeat([]byte("\n"), transport.ReadSize)...)[:transport.ReadSize]
	o.serve("0.1", func() {
		if _, err := c.Write(full); err != nil {
			t.Fatal(err)
		}
		o.write(d, "DEBUG SLEEP 0.2")
	})
	// In this turn c has been read, and d sleeps.
	time.Sleep(50 * time.Millisecond)
	o.write(c, "ECHO 1")
	o.write(e, "DEBUG SLEEP 0.2")
	expect(t, d, "+OK\r\n")
	// In the next one the system has told of c and of e, which sleeps.
	time.Sleep(50 * time.Millisecond)
	o.write(c, "GET long")
	expect(t, e, "+OK\r\n")
	expect(t, c, fmt.Sprintf("+PONG\r\n$1\r\n1\r\n$%d\r\n%s\r\n", len(long), long))
}
