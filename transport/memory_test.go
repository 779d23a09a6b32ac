package transport_test

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"kvd/transport"
)

// heap is what lives on the Go heap, in MiB.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc >> 20)
}

// TestNothingKept: what a large request took is free once it is done and the value
// gone, although its connection, or others, say nothing more; and it never took
// several times its size.
func TestNothingKept(t *testing.T) {
	if testing.Short() {
		t.Skip("it is about memory, and slow under the race detector")
	}
	const mib = 1 << 20
	ok := func(n int) string { return strings.Repeat("+OK\r\n", n) }
	for _, x := range []struct {
		name  string
		in    func() []byte
		reply string
		most  int // MiB that live when it is done
	}{
		{"SET", func() []byte { return bulk("SET", "k", strings.Repeat("x", 64*mib)) }, ok(1), 66},
		{"SET, twice", func() []byte {
			return append(bulk("SET", "k", strings.Repeat("x", 32*mib)), bulk("SET", "k", strings.Repeat("x", 32*mib))...)
		}, ok(2), 44},
		{"MULTI", func() []byte {
			return append([]byte("MULTI\r\n"), bytes.Repeat(bulk("SET", "k", strings.Repeat("x", mib)), 64)...)
		}, ok(1) + strings.Repeat("+QUEUED\r\n", 64), 76},
		{"EXISTS", func() []byte {
			return append([]byte("*2000001\r\n$6\r\nEXISTS\r\n"), bytes.Repeat([]byte("$1\r\nx\r\n"), 2_000_000)...)
		}, ":0\r\n", 2},
	} {
		t.Run(x.name, func(t *testing.T) {
			both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
				c, other := dial(), dial()
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				_, _ = c.Write([]byte("PING\r\n"))
				expect(t, c, "+PONG\r\n")
				base := heap()
				in := x.in()
				sent := make(chan struct{})
				go func() {
					_, _ = c.Write(in)
					in = nil
					close(sent)
				}()
				expect(t, c, x.reply)
				<-sent
				time.Sleep(10 * time.Millisecond)
				slack := heapSlack
				if strings.Contains(t.Name(), "/goroutines_over_TLS") {
					slack += 12 // what grows by the records' lengths ends with more room
				}
				if n := heap() - base; n > x.most+slack {
					t.Errorf("%d MiB live", n)
				}
				_, _ = c.Write([]byte("RESET\r\n"))
				expect(t, c, "+RESET\r\n")
				_, _ = other.Write([]byte("FLUSHALL\r\n"))
				expect(t, other, "+OK\r\n")
				n := 0
				for range 1500 {
					if n = heap() - base; n <= 2+heapSlack {
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
				t.Errorf("%d MiB are kept", n)
			})
		})
	}
}

// TestBlockedInput: what comes behind a command that waits is not read without
// end, and all of it is answered in the end.
func TestBlockedInput(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		c, cl := ready(t, dial, srv)
		other, _ := ready(t, dial, srv)
		_, _ = c.Write(bulk("BLPOP", "list", "0"))
		value := strings.Repeat("x", 100_000)
		in := bytes.Repeat(bulk("ECHO", value), 500)
		done := make(chan error, 1)
		go func() {
			_, err := c.Write(in)
			done <- err
		}()
		until(t, "input that waits", func() bool { return cl.QueryLen.Load()+cl.QueryFree.Load() >= transport.ParkedInput/2 })
		select {
		case <-done:
			t.Error("all of it was read")
		case <-time.After(300 * time.Millisecond):
		}
		if n := cl.QueryLen.Load() + cl.QueryFree.Load(); n > 3*transport.ParkedInput || n < transport.ParkedInput/2 {
			t.Errorf("%d bytes of input are held", n)
		}
		_, _ = other.Write(bulk("RPUSH", "list", "v"))
		expect(t, other, ":1\r\n")
		expect(t, c, "*2\r\n$4\r\nlist\r\n$1\r\nv\r\n")
		reply := fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
		for range 500 {
			expect(t, c, reply)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		// One that has sent so much and goes away is not waited for.
		if strings.Contains(t.Name(), "/goroutines") {
			return
		}
		_, _ = c.Write(bulk("BLPOP", "list", "0"))
		// The rest must fit into the sockets: behind what is not read, an end is seen
		// only when the system gives up.
		_, _ = c.Write(in[:transport.ParkedInput+20_000])
		until(t, "a full buffer", func() bool { return cl.QueryLen.Load() >= transport.ParkedInput })
		c.Close()
		until(t, "the end", func() bool { return !registered(srv, cl) })
	})
}
