package transport

import (
	"io"
	"net"
	"os"
	"sync"
	"time"

	"kvd/lockrank"
)

// pipeRoom is how many bytes each direction of a Pipe holds: a client may send a long
// pipeline before it reads the first reply, as through a socket.
const pipeRoom = 256 << 10

// Pipe is a connection within the process: what is written to one end is read from the
// other. Unlike net.Pipe's, its ends have buffers, as sockets have.
func Pipe(a, b string) (net.Conn, net.Conn) {
	x, y := newPipeHalf(), newPipeHalf()
	return &pipeEnd{in: x, out: y, local: pipeAddr(a), remote: pipeAddr(b)}, &pipeEnd{in: y, out: x, local: pipeAddr(b), remote: pipeAddr(a)}
}

// pipeHalf is one direction. mu protects all of it; nobody takes another lock under it.
type pipeHalf struct {
	mu                   lockrank.Mutex[lockrank.TransportPipe]
	moved                sync.Cond // something has changed
	buf                  []byte    // from start on
	start                int
	noWriter, noReader   bool
	readUntil, sendUntil pipeDeadline
}

// pipeDeadline is a deadline with the timer that wakes those who wait.
type pipeDeadline struct {
	at    time.Time
	timer *time.Timer
}

func newPipeHalf() *pipeHalf {
	h := &pipeHalf{}
	h.moved.L = &h.mu
	return h
}

// set changes a deadline of the half; mu is not held.
func (h *pipeHalf) set(d *pipeDeadline, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if left := time.Until(t); !t.IsZero() && left > 0 {
		d.timer = time.AfterFunc(left, func() {
			h.mu.Lock()
			h.moved.Broadcast()
			h.mu.Unlock()
		})
	}
	h.moved.Broadcast()
}

// over tells whether a deadline has passed.
func (d *pipeDeadline) over() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (h *pipeHalf) read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.noReader:
			return 0, net.ErrClosed
		case h.readUntil.over():
			return 0, os.ErrDeadlineExceeded
		case h.start < len(h.buf):
			n := copy(b, h.buf[h.start:])
			if h.start += n; h.start == len(h.buf) {
				h.buf, h.start = h.buf[:0], 0
			}
			h.moved.Broadcast()
			return n, nil
		case h.noWriter:
			return 0, io.EOF
		case len(b) == 0:
			return 0, nil
		}
		h.moved.Wait()
	}
}

func (h *pipeHalf) write(b []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.noWriter:
			return n, net.ErrClosed
		case h.noReader:
			return n, io.ErrClosedPipe
		case h.sendUntil.over():
			return n, os.ErrDeadlineExceeded
		}
		if room := pipeRoom - (len(h.buf) - h.start); room > 0 && n < len(b) {
			if h.start > 0 && len(h.buf)+min(room, len(b)-n) > pipeRoom {
				h.buf, h.start = h.buf[:copy(h.buf, h.buf[h.start:])], 0
			}
			k := min(room, len(b)-n)
			h.buf = append(h.buf, b[n:n+k]...)
			n += k
			h.moved.Broadcast()
		}
		if n == len(b) {
			return n, nil
		}
		h.moved.Wait()
	}
}

// end notes that one of the two sides is gone.
func (h *pipeHalf) end(side *bool) {
	h.mu.Lock()
	*side = true
	h.moved.Broadcast()
	h.mu.Unlock()
}

// pipeEnd is one end of a Pipe.
type pipeEnd struct {
	in, out       *pipeHalf
	local, remote pipeAddr
}

func (p *pipeEnd) Read(b []byte) (int, error)  { return p.in.read(b) }
func (p *pipeEnd) Write(b []byte) (int, error) { return p.out.write(b) }

// Close ends both directions; what was written before can still be read.
func (p *pipeEnd) Close() error {
	p.in.end(&p.in.noReader)
	p.out.end(&p.out.noWriter)
	p.in.set(&p.in.readUntil, time.Time{})
	p.out.set(&p.out.sendUntil, time.Time{})
	return nil
}

func (p *pipeEnd) LocalAddr() net.Addr  { return p.local }
func (p *pipeEnd) RemoteAddr() net.Addr { return p.remote }

func (p *pipeEnd) SetReadDeadline(t time.Time) error  { p.in.set(&p.in.readUntil, t); return nil }
func (p *pipeEnd) SetWriteDeadline(t time.Time) error { p.out.set(&p.out.sendUntil, t); return nil }
func (p *pipeEnd) SetDeadline(t time.Time) error {
	_ = p.SetReadDeadline(t)
	return p.SetWriteDeadline(t)
}

// pipeAddr is where an end is said to be.
type pipeAddr string

func (pipeAddr) Network() string  { return "memory" }
func (a pipeAddr) String() string { return string(a) }
