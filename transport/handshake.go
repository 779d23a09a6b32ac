package transport

import (
	"container/list"
	"crypto/tls"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"kvd/lockrank"
)

// Handshakes run on goroutines of their own: one is a thousand times the work of
// a command, and a peer that says nothing holds up nobody. Those that wait for
// their peer are bounded in number and time; where there are too many, the one
// that has waited longest is closed, which in an attack with half handshakes is
// the attacker's. Those that compute are bounded by the processors.

const (
	maxHandshakes = 2000             // in progress at once
	handshakeTime = 10 * time.Second // that one may take
	// patience is how long a handshake may wait for its peer before it may be
	// closed in favour of others.
	patience = 200 * time.Millisecond
	// fullRest is how long nobody is accepted where there is no room for a handshake.
	fullRest = 10 * time.Millisecond
	// failedEvery is how often the log tells of handshakes that failed.
	failedEvery = time.Second
)

// handshakes are those in progress.
type handshakes struct {
	srv       *Server
	computing chan struct{} // has a place for each that may compute
	rest      time.Duration // fullRest

	mu     lockrank.Mutex[lockrank.TransportHandshakes] // protects what follows; held for list operations only
	all    list.List                                    // of *handshake, the oldest first
	most   int                                          // maxHandshakes
	closed bool

	told   time.Time // when the log was last told of a failure
	untold int       // failures since
}

func newHandshakes(s *Server) *handshakes {
	return &handshakes{srv: s, computing: make(chan struct{}, max(2, runtime.NumCPU()/2)), most: maxHandshakes, rest: fullRest}
}

// handshake is one in progress, and what its tls.Conn takes for the socket.
type handshake struct {
	net.Conn
	h       *handshakes
	waits   atomic.Int64 // since when it waits for its peer, in Unix ns; 0: it does not
	holds   bool         // a place in computing
	element *list.Element
}

// socket is what a tls.Conn reads from and writes to. What that is changes when
// the handshake is done, and when the connection leaves its loop. Only the goroutine
// that runs the connection changes it, and never while the tls.Conn is in use.
type socket struct{ net.Conn }

// room tells whether another handshake may begin, and makes room if it can.
func (h *handshakes) room() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	if h.all.Len() < h.most {
		return true
	}
	before := time.Now().Add(-patience).UnixNano()
	for e := h.all.Front(); e != nil; e = e.Next() {
		k := e.Value.(*handshake)
		if since := k.waits.Load(); since != 0 && since < before {
			h.all.Remove(e)
			k.element = nil
			k.Close() // its goroutine sees it
			return true
		}
	}
	return false
}

// begin shakes hands with a client, on a goroutine of its own, and then calls
// done with the connection, or closes it. room was asked before.
func (h *handshakes) begin(nc net.Conn, config func() (*tls.Config, error), done func(c *tls.Conn, s *socket)) {
	k := &handshake{Conn: nc, h: h}
	k.waits.Store(time.Now().UnixNano())
	h.mu.Lock()
	k.element = h.all.PushBack(k)
	closed := h.closed
	h.mu.Unlock()
	if closed {
		nc.Close()
	}
	go func() {
		_ = nc.SetDeadline(time.Now().Add(handshakeTime))
		s := &socket{k}
		var c *tls.Conn
		cfg, err := config()
		if err == nil {
			c = tls.Server(s, cfg)
			err = c.Handshake()
		}
		k.release()
		h.mu.Lock()
		if k.element != nil {
			h.all.Remove(k.element)
		} else if err == nil {
			err = net.ErrClosed // in favour of others, at the last moment
		}
		if h.closed && err == nil {
			err = net.ErrClosed
		}
		h.mu.Unlock()
		if err != nil {
			nc.Close()
			h.failed(nc, err)
			return
		}
		_ = nc.SetDeadline(time.Time{})
		s.Conn = nc
		done(c, s)
	}()
}

// close ends all handshakes.
func (h *handshakes) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for e := h.all.Front(); e != nil; e = e.Next() {
		e.Value.(*handshake).Close()
	}
}

// failed has the log tell of a handshake that failed, once a second at most: to
// fail is cheap for the peer.
func (h *handshakes) failed(nc net.Conn, err error) {
	h.mu.Lock()
	now := time.Now()
	if h.closed || now.Sub(h.told) < failedEvery {
		h.untold++
		h.mu.Unlock()
		return
	}
	h.told = now
	more := h.untold
	h.untold = 0
	h.mu.Unlock()
	h.srv.cmd.Log.Warningf("Error accepting a client connection: %v (addr=%v, %d more since the last such line)", err, nc.RemoteAddr(), more)
}

// wait gives up the place among those that compute while I/O is done.
func (k *handshake) wait(io func() (int, error)) (int, error) {
	k.release()
	k.waits.Store(time.Now().UnixNano())
	n, err := io()
	k.waits.Store(0)
	k.h.computing <- struct{}{}
	k.holds = true
	return n, err
}

func (k *handshake) release() {
	if k.holds {
		k.holds = false
		<-k.h.computing
	}
}

// Read waits for the peer.
func (k *handshake) Read(b []byte) (int, error) {
	return k.wait(func() (int, error) { return k.Conn.Read(b) })
}

// Write waits for the peer, if it does not take what it is sent.
func (k *handshake) Write(b []byte) (int, error) {
	return k.wait(func() (int, error) { return k.Conn.Write(b) })
}
