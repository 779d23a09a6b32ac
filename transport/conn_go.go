package transport

import (
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"kvd/command"
	"kvd/lockrank"
	"kvd/resp/wire"
)

// goroutines is the transport that needs nothing but net.Conn: a goroutine
// reads, runs and writes for each connection. Commands run on an Exec that is
// borrowed for a batch, so that idle connections hold none.
type goroutines struct {
	srv *Server

	done chan struct{} // closed by stop

	mu    lockrank.Mutex[lockrank.TransportGoroutines] // protects what follows; never held across I/O
	execs []*command.Exec
	conns map[*goConn]struct{}
	// locals are the clients without a connection.
	locals map[*Local]struct{}
	// What waits for the append-only log: moved is signaled when more of it
	// lasts or it has failed, which failures counts.
	moved    sync.Cond
	failures int

	log     command.AppendLog
	running lockrank.RWMutex[lockrank.TransportRunning] // read-locked by batches; see settle
}

func newGoroutines(s *Server) *goroutines {
	t := &goroutines{srv: s, conns: make(map[*goConn]struct{}), locals: make(map[*Local]struct{}), done: make(chan struct{}), log: s.cmd.AppendLog()}
	t.moved.L = &t.mu
	return t
}

// synced wakes the connections whose replies wait for the append-only log. It holds t.mu,
// so that none looks before and waits after.
func (t *goroutines) synced() {
	t.mu.Lock()
	t.moved.Broadcast()
	t.mu.Unlock()
}

// settle returns when every batch that was running has noted what its replies
// wait for.
func (t *goroutines) settle() {
	t.running.Lock()
	defer t.running.Unlock()
}

// failed closes the connections whose replies wait for the append-only log.
func (t *goroutines) failed() {
	t.mu.Lock()
	t.failures++
	t.moved.Broadcast()
	t.mu.Unlock()
}

// lasts waits until the log has what the replies may have seen; false: it never
// will.
func (c *goConn) lasts() bool { return c.t.lasts(c.at, c.failures) }

// lasts waits until the log is synced up to at; false: it never will be, as it has
// failed since there were so many failures.
func (t *goroutines) lasts(at int64, failures int) bool {
	if at <= t.log.Synced() {
		return true
	}
	t.log.Kick()
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.failures == failures {
		if at <= t.log.Synced() {
			return true
		}
		t.moved.Wait()
	}
	return false
}

// failuresNow is how often the log has failed.
func (t *goroutines) failuresNow() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failures
}

// noteLog keeps what the replies made so far wait for.
func (c *goConn) noteLog() {
	if at, wait := c.t.log.Pending(); wait {
		c.at, c.failures = at, c.t.failuresNow()
	}
}

type goListener struct {
	net.Listener
	unix bool
}

func (t *goroutines) listenTCP(addr string, _ int) (listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &goListener{l, false}, nil
}

func (t *goroutines) listenUnix(path string, rights unixRights) (listener, error) {
	if rights.none() {
		l, err := net.Listen("unix", path)
		if err != nil {
			return nil, err
		}
		return &goListener{l, true}, nil
	}
	// The socket gets its rights in a directory that nobody else can enter, and
	// only then its place: there is no moment at which it is open to others.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".k")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "s")
	l, err := net.Listen("unix", name)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // Server.Close removes it
	if err = rights.give(name); err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return &goListener{l, true}, nil
}

func (t *goroutines) start() error {
	t.srv.wg.Go(t.sweep)
	return nil
}

func (t *goroutines) serve(ln listener, ep *endpoint) error {
	l := ln.(*goListener)
	t.srv.wg.Add(1)
	go func() {
		defer t.srv.wg.Done()
		for {
			nc, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				t.srv.cmd.Log.Warningf("Accepting client connection: %v", err)
				time.Sleep(50 * time.Millisecond) // descriptors may come free
				continue
			}
			if ep.TLS == nil {
				t.accept(nc, ep, l.unix)
				continue
			}
			for !t.srv.shaking.room() && !t.srv.closed.Load() {
				time.Sleep(t.srv.shaking.rest)
			}
			t.srv.shaking.begin(nc, ep.TLS, func(c *tls.Conn, _ *socket) { t.accept(c, ep, false) })
		}
	}()
	return nil
}

func (t *goroutines) accept(nc net.Conn, ep *endpoint, unix bool) {
	var ip net.IP
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		ip = a.IP
	}
	if text := t.srv.refuse(ip); text != "" {
		_, _ = nc.Write(ep.Protocol.Refusal(text))
		nc.Close()
		return
	}
	tc, ok := nc.(*net.TCPConn)
	if t, isTLS := nc.(*tls.Conn); isTLS {
		tc, ok = t.NetConn().(*socket).Conn.(*net.TCPConn)
	}
	if ok {
		_ = tc.SetKeepAliveConfig(net.KeepAliveConfig{
			Enable: t.srv.cfg.TCPKeepalive.Load() > 0,
			Idle:   time.Duration(t.srv.cfg.TCPKeepalive.Load()) * time.Second,
		})
	}
	c := &goConn{t: t, nc: nc}
	addr, laddr := nc.RemoteAddr().String(), nc.LocalAddr().String()
	if path := ep.path(); unix && path != "" {
		addr = path + ":0" // LocalAddr may be where it was made
		laddr = addr
	}
	t.srv.cmd.Accept(c, addr, laddr, 0, func(cl *command.Client) {
		cl.Unix = unix
		c.open(ep, cl)
	})
	if t, ok := nc.(*tls.Conn); ok && ep.Certified != nil {
		ep.Certified(c.Client, t.ConnectionState())
	}
	t.mu.Lock()
	t.conns[c] = struct{}{}
	select {
	case <-t.done: // stop may have looked already
		c.Kill(false)
	default:
	}
	t.mu.Unlock()
	t.srv.wg.Add(1)
	go c.serve()
}

func (t *goroutines) stop() {
	close(t.done)
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.conns {
		c.Kill(false)
	}
	for l := range t.locals {
		l.Kill(false)
	}
}

// borrow takes an idle Exec, or makes one; there are never more of them than
// batches that ran at the same moment.
func (t *goroutines) borrow() *command.Exec {
	t.mu.Lock()
	if n := len(t.execs); n > 0 {
		x := t.execs[n-1]
		t.execs = t.execs[:n-1]
		t.mu.Unlock()
		return x
	}
	t.mu.Unlock()
	return t.srv.cmd.NewExec()
}

func (t *goroutines) giveBack(x *command.Exec) {
	t.mu.Lock()
	t.execs = append(t.execs, x)
	t.mu.Unlock()
}

// goConn is one connection with its goroutine. Others reach it through its
// mailbox and a read deadline in the past, which ends the wait for input.
type goConn struct {
	peer
	t  *goroutines
	nc net.Conn
	// The offset of the append-only log that the replies wait for, and the
	// transport's failures when they were made.
	at       int64
	failures int

	mu        lockrank.Mutex[lockrank.TransportConn] // protects what follows; never held across I/O
	pushed    []byte                                 // to be sent between two commands
	reply     []byte                                 // to the parked client's command
	writing   int                                    // bytes that are being sent
	large     bool                                   // there was so much output that limits may count it
	delivered bool                                   // the parked client may go on
	killed    bool
	after     bool                           // ... once what was replied is sent
	take      func(nc net.Conn, rest []byte) // see Hijack
}

// fullPoll is how often a client that has sent too much while it waits looks
// whether its wait is over.
const fullPoll = 5 * time.Millisecond

// lastLook is how long a client that seems to be idle is heard for before it is closed.
const lastLook = 100 * time.Millisecond

func (c *goConn) serve() {
	defer c.t.srv.wg.Done()
	buf := make([]byte, keepBuffer)
	var w wire.Writer
	for {
		if take := c.takenBy(); take != nil {
			c.t.mu.Lock()
			delete(c.t.conns, c)
			c.t.mu.Unlock()
			if !c.write(&w) {
				c.nc.Close() // take will notice
			}
			nc := c.nc
			if t, ok := nc.(*tls.Conn); ok {
				s := t.NetConn().(*socket)
				nc = detach(t, s, s.Conn, nil)
			}
			go take(nc, c.in)
			return
		}
		if !c.readMail(&w) {
			break
		}
		if t := c.t.srv.cfg.Timeout.Load(); t > 0 && !c.Parked {
			_ = c.nc.SetReadDeadline(time.Now().Add(time.Duration(t) * time.Second))
			if c.hasMail() {
				continue // whose interrupt the deadline may have replaced
			}
		}
		for c.full() && !c.hasMail() {
			time.Sleep(fullPoll)
		}
		if c.full() {
			continue
		}
		n, err := c.nc.Read(buf)
		if n == 0 && timedOut(err) && !c.hasMail() && c.t.srv.idleTooLong(&c.peer, time.Now()) {
			// If this goroutine stood still, Read tells of the deadline only, though bytes wait.
			_ = c.nc.SetReadDeadline(time.Now().Add(lastLook))
			n, err = c.nc.Read(buf)
		}
		c.t.srv.cmd.Stats.Received(n)
		c.Client.Received(n)
		if n > 0 {
			if c.hasMail() && !c.readMail(&w) {
				break // it goes before the reply to what was sent after it
			}
			if err := c.batch(&w, buf[:n]); err != nil {
				break
			}
			if !c.write(&w) || c.Closing {
				break
			}
		}
		if err == nil {
			continue
		}
		if !timedOut(err) {
			break
		}
		if !c.hasMail() && c.t.srv.idleTooLong(&c.peer, time.Now()) {
			c.t.srv.cmd.Log.Verbosef("Closing idle client")
			c.t.srv.cmd.Stats.IdleClosed.Add(1)
			break
		}
	}
	c.t.mu.Lock()
	delete(c.t.conns, c)
	c.t.mu.Unlock()
	c.t.srv.cmd.DropClient(c.Client)
	c.nc.Close()
}

// timedOut tells whether a read has met its deadline.
func timedOut(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// errClosed: the connection is to be closed, for whatever reason.
var errClosed = errors.New("closed")

// batch runs what data completes. It writes only what is too long to be kept
// until the end.
func (c *goConn) batch(w *wire.Writer, data []byte) error {
	for {
		x := c.t.borrow()
		x.SetTime(time.Now())
		c.t.running.RLock()
		err := c.feed(c.t.srv, x, w, data)
		c.noteLog()
		c.t.running.RUnlock()
		c.t.giveBack(x)
		c.note()
		if err != nil {
			c.t.srv.tooMuchInput(c.Client)
			return err
		}
		if !c.More {
			c.t.srv.cmd.NoteMemory(c.Client)
			return nil
		}
		if !c.write(w) {
			return errClosed
		}
		data = nil
	}
}

// write sends w's buffer. While the client does not take it nothing of it is
// run, but what is pushed to it meanwhile counts against its limits.
func (c *goConn) write(w *wire.Writer) bool {
	if len(w.Buf) == 0 {
		return true
	}
	if !c.lasts() {
		return false
	}
	c.mu.Lock()
	c.writing = len(w.Buf)
	over := c.over()
	c.mu.Unlock()
	if over {
		return false
	}
	n, err := c.nc.Write(w.Buf)
	c.mu.Lock()
	c.writing = 0
	c.over()
	c.mu.Unlock()
	c.t.srv.cmd.Stats.Sent(n)
	c.Client.Sent(n)
	c.Client.Heard(time.Now())
	if w.Buf = w.Buf[:0]; cap(w.Buf) > keepBuffer {
		w.Buf = nil
	}
	return err == nil
}

func (c *goConn) hasMail() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pushed) > 0 && !c.Client.Working || c.delivered || c.killed || c.take != nil
}

// readMail sends what others put into the mailbox and goes on after a wait;
// false: the connection is to be closed.
func (c *goConn) readMail(w *wire.Writer) bool {
	for {
		c.mu.Lock()
		reply, delivered, killed := c.reply, c.delivered, c.killed
		c.reply, c.delivered = nil, false
		if delivered {
			c.Parked, c.Client.Working = false, false
		}
		var pushed []byte
		if !c.Client.Working {
			pushed, c.pushed = c.pushed, nil
		}
		if !killed {
			_ = c.nc.SetReadDeadline(time.Time{})
		}
		c.mu.Unlock()
		w.Buf = append(append(w.Buf, reply...), pushed...)
		c.noteLog()
		if delivered && c.batch(w, nil) != nil {
			return false
		}
		if len(w.Buf) == 0 && !killed {
			return !c.Closing
		}
		if killed && !c.after {
			return false
		}
		if !c.write(w) || killed || c.Closing {
			return false
		}
	}
}

// interrupt ends a Read in progress; c.mu is held.
func (c *goConn) interrupt() { _ = c.nc.SetReadDeadline(time.Unix(1, 0)) }

// Hijack takes the connection away; see command.Conn.
func (c *goConn) Hijack(take func(nc net.Conn, rest []byte)) {
	c.mu.Lock()
	c.take = take
	c.interrupt()
	c.mu.Unlock()
}

// takenBy is what takes the connection over; nil mostly.
func (c *goConn) takenBy() func(net.Conn, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.take != nil {
		_ = c.nc.SetReadDeadline(time.Time{})
	}
	return c.take
}

// Kill ends the connection, from any goroutine.
func (c *goConn) Kill(afterReply bool) {
	c.mu.Lock()
	c.killed, c.after = true, afterReply
	if c.take != nil {
		c.nc.Close()
	}
	c.interrupt()
	if !afterReply {
		_ = c.nc.SetWriteDeadline(time.Unix(1, 0)) // a Write to a peer that does not read
	}
	c.mu.Unlock()
}

// Deliver ends the wait of a parked client, from any goroutine.
func (c *goConn) Deliver(parts ...[]byte) {
	reply := parts[0]
	if len(parts) > 1 {
		reply = slices.Concat(parts...)
	}
	c.mu.Lock()
	c.reply, c.delivered = c.Client.Filter(reply), true
	c.interrupt()
	c.mu.Unlock()
}

// Push sends bytes between two commands, from any goroutine.
func (c *goConn) Push(b []byte) {
	c.mu.Lock()
	if len(c.pushed) == 0 {
		c.interrupt()
	}
	c.pushed = appendPush(c.pushed, b, c.Client.Proto())
	over := c.over()
	c.mu.Unlock()
	if over {
		c.Kill(false)
	}
}

// over tells whether the client has more output waiting than it may have, and
// notes how much it is; c.mu is held.
func (c *goConn) over() bool {
	n := int64(len(c.pushed) + c.writing)
	c.Client.OutLen.Store(n)
	c.Client.OutMem.Store(n)
	if n <= smallOut && !c.large {
		return false
	}
	c.large = n > smallOut
	return c.t.srv.cmd.OverOutputLimit(c.Client, n)
}

// sweep closes clients that are over a soft limit for too long, until the
// transport stops.
func (t *goroutines) sweep() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-t.done:
			return
		case <-tick.C:
		}
		t.mu.Lock()
		conns := slices.Collect(maps.Keys(t.conns))
		t.mu.Unlock()
		for _, c := range conns {
			c.mu.Lock()
			over := c.over()
			c.mu.Unlock()
			if over {
				c.Kill(false)
			}
		}
	}
}

// Outlet is none: each connection has its own goroutine.
func (c *goConn) Outlet() command.Outlet { return nil }

// Settle appends the pushes that were not sent yet, for a command of this
// client that is about to reply.
func (c *goConn) Settle(w *wire.Writer) {
	c.mu.Lock()
	w.Buf = append(w.Buf, c.pushed...)
	c.pushed = nil
	c.mu.Unlock()
}
