package transport

import (
	"crypto/tls"
	"net"

	"kvd/lockrank"
)

// detached is a connection over TLS that has left the front end; see
// command.Conn's Hijack. Unlike a tls.Conn it may be written to again after a
// write's deadline has passed, as any other connection: what was encrypted and
// not sent is kept. One goroutine writes at a time.
type detached struct {
	*tls.Conn
	below *recordsOut
	left  []byte // records that are being sent
}

// recordsOut is what the tls.Conn of a detached reads from and writes to.
type recordsOut struct {
	net.Conn

	mu      lockrank.Mutex[lockrank.TransportDetached] // protects records: a Read may answer with one
	records []byte
}

// Write takes records, always.
func (r *recordsOut) Write(b []byte) (int, error) {
	r.mu.Lock()
	r.records = append(r.records, b...)
	r.mu.Unlock()
	return len(b), nil
}

// detach makes one of a tls.Conn on its socket. left are records that come first.
func detach(c *tls.Conn, s *socket, nc net.Conn, left []byte) *detached {
	d := &detached{Conn: c, below: &recordsOut{Conn: nc}, left: left}
	s.Conn = d.below
	return d
}

// detachedWrite is how many bytes are encrypted before they are sent.
const detachedWrite = 16 << 10

// Write returns how much of b was taken. Where that is all, and there is an error
// of the deadline, some of it is kept to be sent by the next Write, of nothing if need be.
func (d *detached) Write(b []byte) (n int, err error) {
	for {
		if len(d.left) == 0 {
			d.below.mu.Lock()
			d.left, d.below.records = d.below.records, d.left[:0]
			d.below.mu.Unlock()
		}
		if len(d.left) > 0 {
			k, err := d.below.Conn.Write(d.left)
			d.left = d.left[k:]
			if err != nil {
				return n, err
			}
			continue
		}
		if n == len(b) {
			return n, nil
		}
		k, err := d.Conn.Write(b[n:min(len(b), n+detachedWrite)])
		if n += k; err != nil {
			return n, err
		}
	}
}

// Close ends the connection at once, whatever waits.
func (d *detached) Close() error { return d.below.Conn.Close() }

// SetNoDelay is a TCP connection's.
func (d *detached) SetNoDelay(on bool) error {
	if t, ok := d.below.Conn.(*net.TCPConn); ok {
		return t.SetNoDelay(on)
	}
	return nil
}
