package transport

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"kvd/command"
	"kvd/lockrank"
	"kvd/resp/wire"
)

// What a loop asks to be told of a connection: that something has come, once for
// each time that it does (edge-triggered). Else the system would look at each
// connection again in the turn after, and find nothing: 4% of the CPU of one
// command a round trip. While output waits it is to be told again and again, as
// a turn does not send all that a socket may take.
const (
	connEvents    = syscall.EPOLLIN | syscall.EPOLLRDHUP | 1<<31 // EPOLLET, which syscall has as a negative number
	waitingEvents = syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLOUT
)

const (
	readSize  = 64 << 10 // what one read takes from a socket
	maxEvents = 256      // connections served in one turn
	maxTurn   = 1 << 20  // input that one connection has read in a turn
	// sendTurn is the output that one connection has sent in a turn, in bytes: a
	// client that reads as fast as it is written to must not hold up the others.
	sendTurn = 256 << 10
	keepOut  = 1 << 20  // capacity of the output buffer that a loop keeps
	stallAt  = 16 << 20 // output at which a client's further commands wait
	// beside is how many of the runtime's processors there are at least besides the loops'.
	beside = 3
)

// loops is the transport of Linux: event loops over epoll.
type loops struct {
	srv   *Server
	all   []*loop
	spare *os.File // closed to accept and refuse when descriptors run out
	next  int      // loop that gets the next connection; loop 0 only

	mu     lockrank.Mutex[lockrank.TransportLoops] // protects served; held for map operations only
	served map[int]*endpoint                       // of the listening sockets
}

func newTransport(s *Server) transport { return &loops{srv: s, served: make(map[int]*endpoint)} }

// rawListener is a listening socket in the first loop's epoll.
type rawListener struct {
	t    *loops
	fd   int
	once sync.Once
}

// Close stops listening.
func (l *rawListener) Close() (err error) {
	l.once.Do(func() {
		l.t.mu.Lock() // the descriptor is anybody's once it is closed
		delete(l.t.served, l.fd)
		l.t.mu.Unlock()
		err = syscall.Close(l.fd)
	})
	return
}

func (t *loops) listenTCP(addr string, backlog int) (listener, error) {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	family := syscall.AF_INET6
	var sa syscall.Sockaddr
	if ip := a.IP.To4(); ip != nil {
		family = syscall.AF_INET
		v4 := &syscall.SockaddrInet4{Port: a.Port}
		copy(v4.Addr[:], ip)
		sa = v4
	} else {
		v6 := &syscall.SockaddrInet6{Port: a.Port}
		copy(v6.Addr[:], a.IP.To16())
		if a.Zone != "" {
			i, err := net.InterfaceByName(a.Zone)
			if err != nil {
				return nil, err
			}
			v6.ZoneId = uint32(i.Index)
		}
		sa = v6
	}
	fd, err := t.tcpSocket(family)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if family == syscall.AF_INET6 {
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 1)
	}
	return t.listen(fd, sa, backlog, func() error { return nil })
}

// protocolMPTCP is IPPROTO_MPTCP.
const protocolMPTCP = 262

// tcpSocket makes a socket to listen on, as mptcp and socket-mark-id say. Connections
// that it accepts are as it is.
func (t *loops) tcpSocket(family int) (fd int, err error) {
	const kind = syscall.SOCK_STREAM | syscall.SOCK_NONBLOCK | syscall.SOCK_CLOEXEC
	cfg, log := t.srv.cfg, t.srv.cmd.Log
	err = syscall.EPROTONOSUPPORT
	if cfg.MPTCP.Load() {
		if fd, err = syscall.Socket(family, kind, protocolMPTCP); err != nil {
			log.Warningf("mptcp: the system has no multipath TCP: %v", err)
		}
	}
	if err != nil {
		if fd, err = syscall.Socket(family, kind, 0); err != nil {
			return -1, err
		}
	}
	if mark := cfg.SocketMarkID.Load(); mark != 0 {
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_MARK, int(mark)); err != nil {
			log.Warningf("socket-mark-id: %v", err)
		}
	}
	return fd, nil
}

func (t *loops) listenUnix(path string, rights unixRights) (listener, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return t.listen(fd, &syscall.SockaddrUnix{Name: path}, int(t.srv.cfg.TCPBacklog.Load()), func() error {
		return rights.give(path)
	})
}

// listen takes over fd. Once it is bound, and while nobody can connect yet, bound
// is called: a unix socket must get its rights before there is anybody to use them.
func (t *loops) listen(fd int, sa syscall.Sockaddr, backlog int, bound func() error) (listener, error) {
	if err := syscall.Bind(fd, sa); err != nil {
		syscall.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	if err := bound(); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	if err := syscall.Listen(fd, backlog); err != nil {
		syscall.Close(fd)
		return nil, os.NewSyscallError("listen", err)
	}
	return &rawListener{t: t, fd: fd}, nil
}

func (t *loops) serve(l listener, ep *endpoint) error {
	fd := l.(*rawListener).fd
	t.mu.Lock()
	t.served[fd] = ep
	t.mu.Unlock()
	if err := t.all[0].watch(fd, syscall.EPOLLIN); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

func (t *loops) start() error {
	n := t.srv.Loops()
	// A loop that comes back from a wait must find a processor of the runtime's
	// free, else it waits until a worker's time is over, which is 10 ms: besides
	// the loops, a snapshot's two goroutines and a long read may be busy. Which
	// threads get the real ones is left to the system, which is quicker.
	if most := n + beside; runtime.GOMAXPROCS(0) < most {
		runtime.GOMAXPROCS(most)
	}
	t.spare, _ = os.Open(os.DevNull)
	for i := range n {
		l, err := t.newLoop(i)
		if err != nil {
			for _, l := range t.all {
				l.closeFiles()
			}
			t.all = nil
			t.spare.Close()
			return err
		}
		t.all = append(t.all, l)
	}
	for _, l := range t.all {
		t.srv.wg.Add(1)
		go l.run()
	}
	return nil
}

func (t *loops) stop() {
	for _, l := range t.all {
		l.post(func() { l.quit = true })
	}
}

// loop is one thread with its epoll descriptor and its connections. All fields
// but the queue belong to that thread.
type loop struct {
	t             *loops
	srv           *Server
	epfd          int
	wake          int // eventfd that ends the wait when the queue gets its first item
	exec          *command.Exec
	conns         map[int]*conn
	rbuf          []byte
	w             wire.Writer
	cipher, plain []byte // see tls_linux.go
	quit          bool
	swept         time.Time

	waiting int // connections whose output waits for the socket

	// All that came by heard has been read, and what came by asked will have been
	// when at most so many events are told; see sweep.
	heard, asked time.Time
	untold       int

	late late

	// Connections that a turn has not read out: nothing will tell of them again.
	again, againSpare []*conn

	replicates, single bool // see endTurn

	// mu protects queue and seq. awake tells that the loop will look at the
	// queue before it waits again, so nobody needs to wake it.
	mu    lockrank.Mutex[lockrank.TransportLoop]
	queue []item
	seq   uint64 // of the last item
	awake atomic.Bool

	// The items being run, those of them that are still to come, and the pushes
	// taken from them; see push_linux.go.
	room    []item
	running []item
	nodes   []pushNode
	touched []*conn // with pushes to be sent, from pushedTo on; may name one twice

	pushedTo int

	// What waits for the append-only log; see hold_linux.go.
	log       command.AppendLog
	held      []*conn
	heldSpare []*conn     // memory for held
	kick      bool        // something was added in this turn
	holding   atomic.Bool // held is not empty; read by the log
}

// conn is one connection of a loop.
type conn struct {
	peer
	l        *loop
	fd       int
	out      outbox // what the socket did not take yet
	unsynced hold   // comes behind out
	held     []byte // pushes that wait for the reply to a command on a worker
	watching bool   // for writability
	again    bool   // it is in loop.again
	unread   bool   // its socket may hold input that was not read; see session.full
	gone     bool
	leaving  bool // see Hijack

	first, last int32    // its pushes among loop.nodes, counted from 1; 0: none
	settled     uint64   // pushes up to this item have been dealt with
	taken       net.Conn // see Hijack

	tls *loopTLS // nil: plain text
}

func (t *loops) newLoop(i int) (*loop, error) {
	epfd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	r, _, e := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if e != 0 {
		syscall.Close(epfd)
		return nil, os.NewSyscallError("eventfd2", e)
	}
	l := &loop{t: t, srv: t.srv, epfd: epfd, wake: int(r), exec: t.srv.cmd.NewExec(), conns: make(map[int]*conn), rbuf: make([]byte, readSize), log: t.srv.cmd.AppendLog()}
	if err := l.watch(l.wake, syscall.EPOLLIN); err != nil {
		l.closeFiles()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return l, nil
}

// closeFiles gives up what newLoop has opened.
func (l *loop) closeFiles() {
	syscall.Close(l.epfd)
	syscall.Close(l.wake)
}

func (l *loop) watch(fd int, events uint32) error {
	return syscall.EpollCtl(l.epfd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
}

// post runs f on the loop's thread, between two commands.
func (l *loop) post(f func()) { l.enqueue(item{f: f}) }

// run is the loop. It stays on one thread: hand-offs between threads are what
// costs most when each connection has one command at a time.
func (l *loop) run() {
	defer l.srv.wg.Done()
	runtime.LockOSThread()
	events := make([]syscall.EpollEvent, maxEvents)
	for !l.quit {
		n := l.wait(events)
		l.awake.Store(true)
		more := l.again
		l.again, l.againSpare = l.againSpare[:0], nil
		l.replicates, l.single = l.srv.cmd.BeginTurn(), n+len(more) == 1
		l.exec.SetTime(time.Now())
		for i := range events[:n] {
			ev := &events[i]
			fd := int(ev.Fd)
			if c := l.conns[fd]; c != nil {
				if ev.Events&syscall.EPOLLOUT != 0 {
					c.writable()
				}
				if ev.Events&^syscall.EPOLLOUT != 0 && !c.gone && !c.again {
					c.readable(ev.Events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0)
				}
			} else if fd == l.wake {
				var b [8]byte
				rawRead(l.wake, b[:])
			} else {
				l.accept(fd)
			}
		}
		l.readAgain(more)
		l.runQueue()
		l.sendPushes(pushTurn + 2*n)
		l.sweep(n)
		l.settleTurn()
		l.endTurn()
	}
	l.runQueue()
	l.sendPushes(len(l.touched))
	for _, c := range l.conns {
		c.close()
	}
	l.closeFiles()
}

// readAgain reads on from connections that the last turn has not read out, and
// that this one therefore has not read from: none is served twice in a turn.
func (l *loop) readAgain(more []*conn) {
	for i, c := range more {
		more[i] = nil
		if c.again = false; !c.gone {
			c.readable(true)
		}
	}
	l.againSpare = more
}

// endTurn sends to followers what the turn has changed, once a turn: behind the
// replies, so that one send serves all of them, but before the reply where there
// is but one connection to be served. Then neither waits for the other for long,
// and a client that has the reply finds the change at the followers all the sooner.
func (l *loop) endTurn() {
	if l.replicates {
		l.replicates = false
		l.srv.cmd.EndTurn()
	}
}

// wait returns the next events. It first asks without waiting, which may be a
// raw system call; a wait goes through the runtime's entry, because a thread
// that blocks in a raw call keeps its processor and stalls every collection.
func (l *loop) wait(events []syscall.EpollEvent) int {
	r, _, _ := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(l.epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if n := int(r); n > 0 {
		return n
	}
	if l.pushing() || len(l.again) > 0 {
		return 0
	}
	l.awake.Store(false)
	if l.queued() {
		return 0
	}
	timeout := -1
	if l.srv.cfg.Timeout.Load() > 0 || l.waiting > 0 {
		timeout = 1000
	}
	n, err := syscall.EpollWait(l.epfd, events, timeout)
	if err != nil {
		return 0 // EINTR
	}
	return n
}

// sweep closes clients that are idle, or over a soft limit for too long, once
// a second at most; n is how many events the turn had. How long a client is idle
// is counted up to a moment of which it holds that all that had come by then was
// read: the end of an earlier turn, behind which the system has told of whatever
// was there. So a loop that stood still closes nobody whose bytes came meanwhile.
func (l *loop) sweep(n int) {
	if l.srv.cfg.Timeout.Load() == 0 && l.waiting == 0 {
		return
	}
	now := time.Now()
	// A full turn may be one of several that it takes to tell of all.
	if l.untold -= n; n < maxEvents || l.untold <= 0 {
		l.heard, l.asked, l.untold = l.asked, now, len(l.conns)+maxEvents
	}
	if now.Sub(l.swept) < time.Second {
		return
	}
	l.swept = now
	for _, c := range l.conns {
		if len(c.unsynced.waits) == 0 && l.srv.idleTooLong(&c.peer, l.heard) {
			l.srv.cmd.Log.Verbosef("Closing idle client")
			l.srv.cmd.Stats.IdleClosed.Add(1)
			c.close()
		} else {
			c.over(0)
		}
	}
}

// accept takes new connections and hands them to the loops in turn.
func (l *loop) accept(fd int) {
	ep := l.t.servedBy(fd)
	if ep == nil { // it was closed in this turn
		return
	}
	for range l.srv.cfg.MaxNewConnectionsPerCycle.Load() { // the rest in the next turn
		if ep.TLS != nil && !l.srv.shaking.room() {
			l.rest(fd, ep)
			return
		}
		nfd, sa, err := syscall.Accept4(fd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			if err == syscall.EMFILE || err == syscall.ENFILE {
				l.outOfFiles(fd, ep.Protocol)
			}
			return
		}
		if ep.TLS != nil {
			l.shake(nfd, sa, ep)
		} else {
			l.admit(&conn{fd: nfd}, sa, ep)
		}
	}
}

// admit makes a connection a client's and hands it to the next loop, or refuses it.
func (l *loop) admit(c *conn, sa syscall.Sockaddr, ep *endpoint) {
	c.l = l
	var ip net.IP
	unix := false
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		ip = a.Addr[:]
	case *syscall.SockaddrInet6:
		ip = a.Addr[:]
	default:
		unix = true
	}
	if text := l.srv.refuse(ip); text != "" {
		c.write(ep.Protocol.Refusal(text))
		c.closeSocket()
		return
	}
	if !unix {
		_ = syscall.SetsockoptInt(c.fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		keepAlive(c.fd, int(l.srv.cfg.TCPKeepalive.Load()))
	}
	number := l.t.next % len(l.t.all)
	to := l.t.all[number]
	l.t.next++
	c.l = to
	addr, laddr := l.addresses(c.fd, sa, ep, unix)
	l.srv.cmd.Accept(c, addr, laddr, c.fd, func(cl *command.Client) {
		cl.Unix, cl.Loop = unix, number+1
		c.open(ep, cl)
	})
	if c.tls != nil && ep.Certified != nil {
		ep.Certified(c.Client, c.tls.conn.ConnectionState())
	}
	if to == l {
		l.add(c)
	} else {
		to.post(func() { to.add(c) })
	}
}

// servedBy is the endpoint of a listening socket; nil: it listens no more.
func (t *loops) servedBy(fd int) *endpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.served[fd]
}

// read and write are the socket's, through TLS where the connection has it. They
// return a negative errno, as rawRead and rawWrite do.
func (c *conn) read(b []byte) int {
	if c.tls != nil {
		return c.tls.read(b)
	}
	return rawRead(c.fd, b)
}

func (c *conn) write(b []byte) int {
	if c.tls != nil {
		return c.tls.write(b)
	}
	return rawWrite(c.fd, b)
}

func (c *conn) closeSocket() {
	if c.tls != nil {
		c.tls.close()
	}
	syscall.Close(c.fd)
}

// unsent is how many bytes the socket has yet to take.
func (c *conn) unsent() int {
	if c.tls != nil {
		return c.out.n + len(c.tls.left)
	}
	return c.out.n
}

func (l *loop) add(c *conn) {
	if c.gone { // CLIENT KILL came first
		return
	}
	if err := l.watch(c.fd, connEvents); err != nil {
		l.srv.cmd.Log.Warningf("Error registering fd event for the new client: %v", err)
		l.srv.cmd.DropClient(c.Client)
		c.closeSocket()
		return
	}
	l.conns[c.fd] = c
	if c.tls != nil { // the handshake may have read what comes behind it
		c.again = true
		l.again = append(l.again, c)
	}
}

// outOfFiles makes room for one descriptor, so that the client in the queue is
// refused rather than accepted again and again.
func (l *loop) outOfFiles(fd int, proto Protocol) {
	l.srv.cmd.Log.Warningf("Accepting client connection: accept: too many open files")
	l.t.spare.Close()
	if nfd, _, err := syscall.Accept(fd); err == nil {
		rawWrite(nfd, proto.Refusal(fullText))
		syscall.Close(nfd)
	}
	l.t.spare, _ = os.Open(os.DevNull)
}

func (l *loop) addresses(fd int, sa syscall.Sockaddr, ep *endpoint, unix bool) (addr, laddr string) {
	if unix {
		path := ep.path() + ":0"
		return path, path
	}
	local, _ := syscall.Getsockname(fd)
	return addrText(sa), addrText(local)
}

func addrText(sa syscall.Sockaddr) string {
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		return (&net.TCPAddr{IP: a.Addr[:], Port: a.Port}).String()
	case *syscall.SockaddrInet6:
		return (&net.TCPAddr{IP: a.Addr[:], Port: a.Port}).String()
	}
	return "?:0"
}

// keepAlive makes the system notice dead peers within about twice that time.
func keepAlive(fd, seconds int) {
	if seconds <= 0 {
		return
	}
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1)
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, seconds)
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, max(1, seconds/3))
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 3)
}

// readable reads and runs what came: one read, or for a long command as many
// as there is input for, but no more than maxTurn bytes. A read that does not
// fill its room has read all there is, but, where ends is set, for the end of
// the input, which may follow at once.
func (c *conn) readable(ends bool) {
	l, more := c.l, ends
	defer func() {
		if more && !c.gone {
			c.again = true
			l.again = append(l.again, c)
		}
	}()
	if c.sendPushes(); c.gone {
		return
	}
	if c.full() {
		// It is read on when it is served again. One that has gone is closed.
		more = false
		if c.unread = true; ends && c.hungUp() {
			l.sendLate()
			c.close()
		}
		return
	}
	for total := 0; total < maxTurn; {
		room := l.rbuf
		if len(c.in) > 0 {
			// A command is under way: read behind what is there.
			c.grow()
			room = c.in[len(c.in):cap(c.in)]
		}
		n := c.read(room)
		if n <= 0 {
			e := syscall.Errno(-n)
			if more = e == syscall.EINTR; !more && e != syscall.EAGAIN {
				l.sendLate()
				c.close()
			}
			return
		}
		total += n
		more = ends || n == len(room) || c.tls != nil && c.tls.ended
		l.srv.cmd.Stats.Received(n)
		c.Client.Received(n)
		data, behind := room[:n], len(c.in) > 0
		if l.queued() && !c.leaving {
			// What was pushed to this client before it sent this goes before the
			// replies to this: now, after the read, all of that is in the queue.
			if behind {
				data, behind = slices.Clone(data), false // the queue may run what is in c.in
			}
			if l.runQueue(); !c.gone {
				c.sendPushes()
			}
			if c.gone {
				return
			}
		}
		if !behind {
			c.serve(data)
		} else {
			c.in = c.in[:len(c.in)+n]
			if c.note(); cap(c.in) > keepBuffer {
				l.srv.cmd.NoteMemory(c.Client)
				if c.Client.Closing() {
					return // evicted for it
				}
			}
			c.process(nil)
		}
		if n < len(room) || len(c.in) == 0 || c.gone || c.session.Need() <= keepBuffer || c.full() {
			return
		}
	}
}

// hungUp tells whether the client has closed its end.
func (c *conn) hungUp() bool {
	poll := pollFd{fd: int32(c.fd), events: syscall.EPOLLRDHUP}
	n, _, e := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1, uintptr(unsafe.Pointer(new(syscall.Timespec))), 0, 0, 0)
	return e == 0 && n == 1 && poll.revents != 0
}

// pollFd is poll's struct pollfd.
type pollFd struct {
	fd              int32
	events, revents int16
}

// readOn has a client read again that is served again.
func (c *conn) readOn() {
	if c.unread && !c.full() && !c.gone {
		c.unread = false
		if !c.again {
			c.again = true
			c.l.again = append(c.l.again, c)
		}
	}
}

// process runs input and sends the replies in one write.
func (c *conn) process(data []byte) {
	l := c.l
	l.sendLate()
	l.w.Buf = l.w.Buf[:0]
	c.advance(data)
}

// advance runs data, and what was left before it, behind what is in the loop's
// writer already, and sends all that. Where the client does not take what waits
// for it, and no limit closes it for that, nothing more is run until it does;
// its input is read on (up to client-query-buffer-limit), because many a client
// writes all of a pipeline before it reads.
func (c *conn) advance(data []byte) {
	l := c.l
	for !c.gone {
		err := c.feed(l.srv, l.exec, &l.w, data)
		if c.ran(err); !c.More {
			c.readOn()
			return
		}
		data = nil
		l.w.Buf = l.w.Buf[:0]
	}
}

// ran sends what is in the loop's writer after input was run, with err.
func (c *conn) ran(err error) {
	l := c.l
	if c.note(); err != nil {
		l.srv.tooMuchInput(c.Client)
		c.close()
		return
	}
	if l.single {
		l.endTurn()
	}
	if len(l.w.Buf) > 0 {
		c.flush(&l.w)
	} else if c.Closing && !c.sending() {
		c.close()
	}
	if cap(l.w.Buf) > keepOut {
		l.w.Buf = nil
	}
	if n := c.waiting(); c.More || n > stallAt {
		c.Stalled = n > stallAt && !l.srv.cmd.OutputBounded(c.Client)
	}
	if !c.gone {
		l.srv.cmd.NoteMemory(c.Client)
	}
}

// sending tells whether anything is still to be sent.
func (c *conn) sending() bool { return c.unsent() > 0 || len(c.unsynced.waits) > 0 }

// waiting is how many bytes are still to be sent.
func (c *conn) waiting() int { return c.unsent() + len(c.unsynced.buf) }

// over closes the connection if with more bytes it has too much output waiting.
func (c *conn) over(more int) bool {
	n := c.waiting() + len(c.held) + more
	if n <= smallOut || !c.l.srv.cmd.OverOutputLimit(c.Client, int64(n)) {
		return false
	}
	c.close()
	return true
}

// flush sends what is waiting, then w's buffer, unless it has to wait for the
// append-only log.
func (c *conn) flush(w *wire.Writer) {
	if !c.over(len(w.Buf)) && !c.hold(w) {
		c.transmit(w)
	}
}

// transmit sends what is waiting, then w's buffer; what the socket does not take
// waits for it to become writable.
func (c *conn) transmit(w *wire.Writer) {
	if c.out.n > 0 {
		c.out.add(w.Buf)
		c.send(false)
		return
	}
	n := c.write(w.Buf[:min(len(w.Buf), sendTurn)])
	if n < 0 {
		if e := syscall.Errno(-n); e != syscall.EAGAIN && e != syscall.EINTR {
			c.close()
			return
		}
		n = 0
	}
	c.l.srv.cmd.Stats.Sent(n)
	c.Client.Sent(n)
	switch left := len(w.Buf) - n; {
	case left > keepOut:
		c.out.keep(w.Buf[n:]) // too long to copy
		w.Buf = nil
	case left > 0:
		c.out.add(w.Buf[n:])
	}
	c.sent()
}

// send sends of what waits as much as one turn may. Where the socket was full
// nothing is tried before it says that it is not any more.
func (c *conn) send(writable bool) {
	total := 0
	if c.tls != nil && (writable || !c.watching) {
		if e := c.tls.push(); e != 0 && e != syscall.EAGAIN {
			c.close()
			return
		}
	}
	for total < sendTurn && c.out.n > 0 && (writable || !c.watching) {
		n := c.writeOut(sendTurn - total)
		if n < 0 {
			e := syscall.Errno(-n)
			if e == syscall.EINTR {
				continue
			}
			if e == syscall.EAGAIN {
				break
			}
			c.close()
			return
		}
		total += n
		c.l.srv.cmd.Stats.Sent(n)
		c.Client.Sent(n)
		c.out.sent(n)
	}
	if total > 0 {
		c.Client.Heard(time.Now())
	}
	c.sent()
}

// sent notes what waits now, and closes where nothing does and that was to be.
func (c *conn) sent() {
	unsent := c.unsent()
	if n := int64(unsent); n != c.Client.OutLen.Load() {
		c.Client.OutLen.Store(n)
		c.Client.OutMem.Store(int64(c.out.mem + unsent - c.out.n))
		if n <= smallOut {
			c.l.srv.cmd.OverOutputLimit(c.Client, n) // the time above the soft limit is over
		}
	}
	if unsent > 0 && c.l.srv.cmd.OverUnauthOutput(c.Client, unsent) {
		c.close()
		return
	}
	c.watchOut(unsent > 0)
	if c.Closing && !c.sending() {
		c.close()
	}
}

// writable sends what waits, now that the socket takes more.
func (c *conn) writable() {
	c.send(true)
	c.goOn()
}

// goOn runs input that stood still because too much waited to be sent.
func (c *conn) goOn() {
	if c.gone {
		return
	}
	c.l.srv.cmd.NoteMemory(c.Client)
	if c.Stalled && c.waiting() < stallAt/2 {
		if c.sendPushes(); c.gone {
			return
		}
		c.Stalled = false
		c.process(nil)
	}
}

func (c *conn) watchOut(on bool) {
	if c.watching == on {
		return
	}
	c.watching = on
	if on {
		c.l.waiting++
	} else {
		c.l.waiting--
	}
	ev := syscall.EpollEvent{Events: connEvents, Fd: int32(c.fd)}
	if on {
		ev.Events = waitingEvents
	}
	_ = syscall.EpollCtl(c.l.epfd, syscall.EPOLL_CTL_MOD, c.fd, &ev)
}

func (c *conn) close() {
	if c.gone {
		return
	}
	c.gone = true
	if c.watching {
		c.l.waiting--
	}
	delete(c.l.conns, c.fd)
	c.l.srv.cmd.DropClient(c.Client)
	c.closeSocket()
	c.in, c.out, c.held, c.unsynced = nil, outbox{}, nil, hold{}
}

// Hijack takes the connection away from the loop; see command.Conn.
func (c *conn) Hijack(take func(nc net.Conn, rest []byte)) {
	var now func()
	now = func() {
		if c.sendPushes(); c.gone {
			return
		}
		if len(c.unsynced.waits) > 0 {
			c.unsynced.then = now
			return
		}
		c.gone = true
		if c.watching {
			c.l.waiting--
		}
		delete(c.l.conns, c.fd)
		f := os.NewFile(uintptr(c.fd), "client")
		_ = syscall.EpollCtl(c.l.epfd, syscall.EPOLL_CTL_DEL, c.fd, nil)
		nc, err := net.FileConn(f) // a duplicate of the descriptor
		f.Close()
		if err != nil {
			c.l.srv.cmd.Log.Warningf("Taking over the connection of %s: %v", c.Client.Info(), err)
			c.l.srv.cmd.DropClient(c.Client)
			return
		}
		c.taken = nc
		rest, out := c.in, c.out.buffers()
		c.in, c.out = nil, outbox{}
		if c.tls != nil {
			nc = c.tls.leave(nc)
		}
		go func() {
			_, err := nc.Write(nil) // records that wait
			if err == nil {
				_, err = out.WriteTo(nc)
			}
			if err != nil {
				nc.Close() // take will notice
			}
			take(nc, rest)
		}()
	}
	c.leaving = true
	c.l.post(now)
}

// Kill ends the connection, from any goroutine.
func (c *conn) Kill(afterReply bool) {
	c.l.post(func() {
		if c.taken != nil {
			c.taken.Close()
		}
		if c.gone {
			return
		}
		if afterReply && c.sending() {
			c.Closing = true
			return
		}
		c.close()
	})
}

// Deliver ends the wait of a parked client, from any goroutine.
func (c *conn) Deliver(parts ...[]byte) { c.l.post(func() { c.deliver(parts, false) }) }

// deliver does it. Parts do not go through the buffer that waits for the
// append-only log, so if need be they wait here; synced says that they have.
func (c *conn) deliver(parts [][]byte, synced bool) {
	if c.gone {
		return
	}
	if c.sendPushes(); c.gone {
		return
	}
	last := len(parts) - 1
	switch first := c.Client.Filter(parts[0]); {
	case last == 0:
		parts[0] = first
	case len(first) == 0: // the client wants no reply
		parts, last = [][]byte{nil}, 0
	case !synced && c.holdUntil(func() { c.l.post(func() { c.deliver(parts, true) }) }):
		return
	}
	c.Parked, c.Client.Working = false, false
	c.Client.Heard(time.Now()) // it was not idle until now
	for _, b := range parts[:last] {
		c.out.keepPart(b)
	}
	w := &c.l.w
	w.Buf = append(append(w.Buf[:0], parts[last]...), c.held...)
	if last > 0 {
		wire.Reuse(parts[last])
	}
	c.held = nil
	c.advance(nil)
}

// rawRead and rawWrite are non-blocking system calls past the scheduler; they
// return a negative errno. The descriptors are all non-blocking.
func rawRead(fd int, b []byte) int {
	r, _, e := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if e != 0 {
		return -int(e)
	}
	return int(r)
}

func rawWrite(fd int, b []byte) int {
	if len(b) == 0 {
		return 0
	}
	r, _, e := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), syscall.MSG_NOSIGNAL, 0, 0)
	if e == syscall.ENOTSOCK { // the eventfd
		r, _, e = syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	}
	if e != 0 {
		return -int(e)
	}
	return int(r)
}

// notAvailable tells whether an address is missing on this system.
func notAvailable(err error) bool {
	se, ok := err.(*os.SyscallError)
	if !ok {
		return true // the name does not resolve
	}
	switch se.Err {
	case syscall.EADDRNOTAVAIL, syscall.ENOPROTOOPT, syscall.EPROTONOSUPPORT, syscall.ESOCKTNOSUPPORT, syscall.EPFNOSUPPORT, syscall.EAFNOSUPPORT:
		return true
	}
	return false
}
