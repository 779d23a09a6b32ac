package main

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// throttle forwards connections to a server; what the server sends passes at a bounded rate.
type throttle struct {
	port   int
	rate   atomic.Int64 // bytes a second; 0: no bound
	passed atomic.Int64 // bytes that came from the server and went on

	l  net.Listener
	wg sync.WaitGroup

	mu     sync.Mutex // protects what follows
	conns  []net.Conn
	closed bool
}

// throttleBuffer is the receive buffer towards the server, and the piece that is passed on at a time: small, so that
// what the server cannot send waits in the server and not in the system.
const throttleBuffer = 64 << 10

func newThrottle(to string) (*throttle, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &throttle{l: l, port: l.Addr().(*net.TCPAddr).Port}
	t.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			s, err := net.Dial("tcp", to)
			if err != nil {
				c.Close()
				continue
			}
			if err := s.(*net.TCPConn).SetReadBuffer(throttleBuffer); err != nil || !t.keep(c, s) {
				c.Close()
				s.Close()
				continue
			}
			t.wg.Go(func() { t.pass(s, c, nil) })
			t.wg.Go(func() { t.pass(c, s, t.bounded) })
		}
	})
	return t, nil
}

// keep notes connections for close; false: it was called already.
func (t *throttle) keep(conns ...net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns = append(t.conns, conns...)
	return !t.closed
}

// pass copies until either end closes, and calls each, if it is not nil, for what has been copied.
func (t *throttle) pass(to, from net.Conn, each func(n int)) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, throttleBuffer)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
			if each != nil {
				each(n)
			}
		}
		if err != nil {
			return
		}
	}
}

// bounded counts n bytes and waits for as long as they take at the rate, a second at most: the rate may rise meanwhile.
func (t *throttle) bounded(n int) {
	t.passed.Add(int64(n))
	if rate := t.rate.Load(); rate > 0 {
		time.Sleep(min(time.Second, time.Duration(float64(n)/float64(rate)*float64(time.Second))))
	}
}

// close ends all connections.
func (t *throttle) close() error {
	err := t.l.Close()
	t.mu.Lock()
	t.closed = true
	var errs []error
	for _, c := range t.conns {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
			errs = append(errs, err)
		}
	}
	t.mu.Unlock()
	t.wg.Wait()
	return errors.Join(append(errs, err)...)
}
