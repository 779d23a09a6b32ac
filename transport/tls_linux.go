package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// TLS on an event loop: once the handshake is done the connection's tls.Conn
// reads the socket without waiting. Where there is nothing it gets an error that
// it takes for a passing one, keeps what it has of a record, and goes on when the
// loop reads again. What it writes is gathered in the loop's buffer, and leaves in
// one system call; what the socket does not take waits, encrypted, and nothing
// more is encrypted before it has left. docs/design/tls.md has the figures.

// loopTLS is a connection's TLS while it belongs to a loop.
type loopTLS struct {
	conn   *tls.Conn
	socket *socket
	c      *conn

	drained bool // the socket has nothing more, as far as is known
	ended   bool // nothing more comes: the end, or an error
	gathers bool // what is written goes to the loop's buffer

	left   []byte // records that the socket did not take yet
	broken bool   // it never will
}

// errAgain: the socket has nothing. It is a net.Error that is temporary, so
// tls.Conn can read on later.
var errAgain error = syscall.EAGAIN

var errBroken = errors.New("the connection is broken")

// read is rawRead for what was decrypted: it fills b, or reads all there is.
func (s *loopTLS) read(b []byte) int {
	if s.ended {
		return 0
	}
	s.drained = false
	n := 0
	for n < len(b) {
		k, err := s.conn.Read(b[n:])
		n += k
		if err == errAgain {
			break
		}
		if err != nil {
			s.ended = true
			break
		}
	}
	if len(s.left) > 0 { // an answer to the peer's records
		if s.push(); !s.c.watching && len(s.left) > 0 {
			s.c.watchOut(true)
		}
	}
	if n == 0 && !s.ended {
		return -int(syscall.EAGAIN)
	}
	return n
}

// write encrypts b and sends it. It takes all of b or, where records wait for
// the socket, nothing.
func (s *loopTLS) write(b []byte) int {
	if e := s.push(); e != 0 {
		return -int(e)
	}
	l := s.c.l
	l.cipher = l.cipher[:0]
	s.gathers = true
	_, err := s.conn.Write(b)
	s.gathers = false
	if err != nil {
		return -int(syscall.EPIPE)
	}
	if e := s.send(l.cipher); e != 0 {
		return -int(e)
	}
	if cap(l.cipher) > keepOut {
		l.cipher = nil
	}
	return len(b)
}

// send sends records, and keeps what the socket does not take.
func (s *loopTLS) send(b []byte) syscall.Errno {
	n := rawWrite(s.c.fd, b)
	if n < 0 {
		if e := syscall.Errno(-n); e != syscall.EAGAIN && e != syscall.EINTR {
			s.broken = true
			return e
		}
		n = 0
	}
	s.left = append(s.left, b[n:]...)
	return 0
}

// push sends records that wait; EAGAIN: some wait still.
func (s *loopTLS) push() syscall.Errno {
	for len(s.left) > 0 {
		n := rawWrite(s.c.fd, s.left)
		if n < 0 {
			e := syscall.Errno(-n)
			if e == syscall.EINTR {
				continue
			}
			s.broken = e != syscall.EAGAIN
			return e
		}
		s.left = s.left[n:]
	}
	s.left = nil
	return 0
}

// close tells the peer that this is the end, if the socket takes it.
func (s *loopTLS) close() {
	if len(s.left) == 0 && !s.broken {
		s.gathers = true
		s.c.l.cipher = s.c.l.cipher[:0]
		_ = s.conn.Close()
		rawWrite(s.c.fd, s.c.l.cipher)
	}
	s.left = nil
}

// leave makes it a connection outside of the loops, with a socket in blocking use.
func (s *loopTLS) leave(nc net.Conn) net.Conn {
	left := s.left
	s.left = nil
	return detach(s.conn, s.socket, nc, left)
}

// writeOut sends of what waits at most so many bytes; see outbox.write.
func (c *conn) writeOut(most int) int {
	if c.tls == nil {
		return c.out.write(c.fd, most)
	}
	// What lies in several blocks leaves in records as long as they may be.
	l := c.l
	l.plain = c.out.peek(l.plain[:0], min(most, gatherOut))
	return c.tls.write(l.plain)
}

// gatherOut is how many bytes that wait are encrypted at once.
const gatherOut = 64 << 10

// What follows makes it the net.Conn below its tls.Conn.

// Read reads what the socket has.
func (s *loopTLS) Read(b []byte) (int, error) {
	if s.drained {
		return 0, errAgain
	}
	for {
		n := rawRead(s.c.fd, b)
		switch {
		case n > 0:
			s.drained = n < len(b)
			return n, nil
		case n == 0:
			return 0, io.EOF
		case n == -int(syscall.EINTR):
		case n == -int(syscall.EAGAIN):
			s.drained = true
			return 0, errAgain
		default:
			return 0, errBroken
		}
	}
}

// Write takes a record, always.
func (s *loopTLS) Write(b []byte) (int, error) {
	if s.gathers {
		s.c.l.cipher = append(s.c.l.cipher, b...)
	} else {
		s.left = append(s.left, b...)
	}
	return len(b), nil
}

// Close leaves the socket to the connection.
func (s *loopTLS) Close() error { return nil }

// LocalAddr and the others are not asked for here.
func (s *loopTLS) LocalAddr() net.Addr              { return nil }
func (s *loopTLS) RemoteAddr() net.Addr             { return nil }
func (s *loopTLS) SetDeadline(time.Time) error      { return nil }
func (s *loopTLS) SetReadDeadline(time.Time) error  { return nil }
func (s *loopTLS) SetWriteDeadline(time.Time) error { return nil }

// fileConn is an accepted socket during its handshake: the runtime waits for it.
type fileConn struct {
	*os.File
	remote net.Addr
}

func (f *fileConn) LocalAddr() net.Addr  { return nil }
func (f *fileConn) RemoteAddr() net.Addr { return f.remote }

// take returns a descriptor of the socket that nothing waits for, and gives up
// the file's.
func (f *fileConn) take() (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	if e := raw.Control(func(old uintptr) {
		r, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		if fd = int(r); errno != 0 {
			err = os.NewSyscallError("fcntl", errno)
		}
	}); e != nil {
		err = e
	}
	f.Close()
	return fd, err
}

// shake shakes hands with who has connected, and then hands the connection to a loop.
func (l *loop) shake(fd int, sa syscall.Sockaddr, ep *endpoint) {
	nc := &fileConn{os.NewFile(uintptr(fd), "client"), remoteAddr(sa)}
	l.srv.shaking.begin(nc, ep.TLS, func(t *tls.Conn, s *socket) {
		fd, err := nc.take()
		if err != nil {
			l.srv.cmd.Log.Warningf("Error accepting a client connection: %v", err)
			return
		}
		l.post(func() {
			c := &conn{fd: fd}
			c.tls = &loopTLS{conn: t, socket: s, c: c}
			s.Conn = c.tls
			l.admit(c, sa, ep)
		})
	})
}

// remoteAddr is a socket's address for the log.
func remoteAddr(sa syscall.Sockaddr) net.Addr {
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	case *syscall.SockaddrInet6:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	}
	return nil
}

// rest stops accepting from a listening socket for a moment, where there is no
// room for more handshakes.
func (l *loop) rest(fd int, ep *endpoint) {
	_ = syscall.EpollCtl(l.epfd, syscall.EPOLL_CTL_DEL, fd, nil)
	time.AfterFunc(l.srv.shaking.rest, func() {
		l.post(func() {
			if l.t.servedBy(fd) == ep {
				_ = l.watch(fd, syscall.EPOLLIN)
			}
		})
	})
}
