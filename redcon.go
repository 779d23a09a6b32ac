package kvd

import (
	"context"
	"net"

	"github.com/tidwall/redcon"

	"kvd/command"
	"kvd/lockrank"
	"kvd/resp/wire"
	"kvd/transport"
)

// Redcon mounts the server in one made with redcon:
//
//	h := s.Redcon()
//	redcon.ListenAndServe(":6380", h.ServeRESP, h.Accept, h.Closed)
//
// or behind commands of the program's own, whose handler calls h.ServeRESP for the
// rest. A connection that subscribes, tracks or blocks is detached from redcon's loop,
// which cannot send what was not asked for; see Handler. Replicas cannot connect this
// way.
type Redcon struct {
	// Handler gets the commands of detached connections; nil: ServeRESP. A program with
	// commands of its own puts its handler here, too. It is set before the first
	// connection comes.
	Handler func(conn redcon.Conn, cmd redcon.Command)

	s  *Server
	mu lockrank.Mutex[lockrank.Redcon] // protects conns; held for map operations
	// conns are the connections that were accepted, by redcon's NetConn, which stays
	// when one is detached.
	conns map[net.Conn]*redconConn
}

// redconConn is one connection. Its goroutine, which is redcon's or after that detached,
// alone runs commands.
type redconConn struct {
	l *transport.Local
	w wire.Writer

	// What follows is of a detached connection.
	detached redcon.DetachedConn
	queue    chan redcon.Command
	out      lockrank.Mutex[lockrank.RedconOut] // held while a command runs and its reply is written, or pushes are
}

// redconAhead is how many commands of a detached connection are read before the first of
// them has run.
const redconAhead = 64

// Redcon makes a handler for a redcon server.
func (s *Server) Redcon() *Redcon {
	return &Redcon{s: s, conns: make(map[net.Conn]*redconConn)}
}

// Accept is redcon's accept function: it refuses what kvd would refuse (maxclients,
// protected mode).
func (r *Redcon) Accept(conn redcon.Conn) bool {
	nc := conn.NetConn()
	ip := net.IPv4zero
	laddr := ""
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		ip = a.IP
	} else if nc.RemoteAddr() != nil && nc.RemoteAddr().Network() == "unix" {
		ip = nil
	}
	if a := nc.LocalAddr(); a != nil {
		laddr = a.String()
	}
	l, err := r.s.front.NewLocal(conn.RemoteAddr(), laddr, ip, func() { nc.Close() })
	if err != nil {
		conn.WriteRaw(r.s.redis.Refusal(err.Error()))
		return false
	}
	r.mu.Lock()
	r.conns[nc] = &redconConn{l: l}
	r.mu.Unlock()
	return true
}

// Closed is redcon's closed function.
func (r *Redcon) Closed(conn redcon.Conn, _ error) {
	if c := r.conn(conn); c != nil && c.detached == nil {
		r.drop(conn, c)
	}
}

func (r *Redcon) drop(conn redcon.Conn, c *redconConn) {
	r.mu.Lock()
	delete(r.conns, conn.NetConn())
	r.mu.Unlock()
	c.l.Close()
}

func (r *Redcon) conn(conn redcon.Conn) *redconConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conns[conn.NetConn()]
}

// ServeRESP runs a command; it is a redcon.Handler.
func (r *Redcon) ServeRESP(conn redcon.Conn, cmd redcon.Command) {
	c := r.conn(conn)
	if c == nil { // Accept is missing, or has refused it
		if !r.Accept(conn) {
			conn.Close()
			return
		}
		c = r.conn(conn)
	}
	if len(cmd.Args) == 0 {
		return
	}
	if c.detached == nil && r.mayBlock(cmd.Args[0]) {
		// Its end must be noticed while the client waits.
		r.detach(conn, c, cmd)
		return
	}
	c.w.Buf = c.w.Buf[:0]
	err := c.l.Call(context.Background(), cmd.Args, &c.w, func() { c.sendPushes() })
	conn.WriteRaw(c.w.Buf)
	if cap(c.w.Buf) > keepText {
		c.w.Buf = nil
	}
	switch {
	case err != nil || c.l.Dead():
		conn.Close()
	case c.detached == nil && c.l.Pushed():
		r.detach(conn, c)
	}
}

// mayBlock tells whether a command may make its client wait for others.
func (r *Redcon) mayBlock(name []byte) bool {
	row := r.s.srv.Table.Lookup(name)
	return row != nil && row.Flags&command.Blocking != 0
}

// detach takes a connection from redcon's loop; first are commands that it has read
// already.
func (r *Redcon) detach(conn redcon.Conn, c *redconConn, first ...redcon.Command) {
	d := conn.Detach()
	c.detached, c.queue = d, make(chan redcon.Command, redconAhead)
	handler := r.Handler
	if handler == nil {
		handler = r.ServeRESP
	}
	c.out.Lock()
	_ = d.Flush()
	c.out.Unlock()
	ended := make(chan struct{}) // nobody runs commands any more
	go func() {                  // reads
		defer close(c.queue)
		for _, cmd := range first {
			c.queue <- cmd
		}
		for {
			cmd, err := d.ReadCommand()
			if err != nil {
				c.l.Kill(true) // it may be waiting
				return
			}
			select {
			case c.queue <- cmd:
			case <-ended:
				return
			}
		}
	}()
	go func() { // runs
		for cmd := range c.queue {
			c.out.Lock()
			handler(d, cmd)
			err := d.Flush()
			c.out.Unlock()
			if err != nil || c.l.Dead() {
				break
			}
		}
		close(ended)
		d.Close()
		r.drop(conn, c)
	}()
	go func() { // sends what nobody has asked for
		for c.l.Await(context.Background()) == nil {
			c.out.Lock()
			c.sendPushes()
			c.out.Unlock()
		}
	}()
}

// sendPushes sends what was pushed; out is held.
func (c *redconConn) sendPushes() {
	if c.detached == nil {
		return // it is detached as soon as the command has ended
	}
	if b := c.l.Pushes(nil); len(b) > 0 {
		c.detached.WriteRaw(b)
		_ = c.detached.Flush() // an error shows when the connection is read
	}
}
