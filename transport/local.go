package transport

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"kvd/command"
	"kvd/lockrank"
	"kvd/resp/wire"
)

// Local is a client in the same process: its commands are called, not sent, and run on
// the goroutine that calls. One goroutine at a time may use it; what others do with it
// as a command.Conn may come from anywhere.
type Local struct {
	Client *command.Client
	t      *goroutines
	args   [][]byte      // memory for the arguments of a call
	wake   chan struct{} // has an item when something has come that ends a wait
	more   chan struct{} // likewise, for a goroutine that waits for pushes
	onKill func()        // see NewLocal

	mu        lockrank.Mutex[lockrank.TransportLocal] // protects what follows; nobody waits under it
	reply     [][]byte                                // to the parked client's command
	delivered bool                                    // the parked client may go on
	pushed    []byte                                  // pushes that nobody has taken yet
	killed    bool
}

var (
	// ErrLocalClosed: the server, or somebody by CLIENT KILL, has closed the client.
	ErrLocalClosed = errors.New("the connection is closed")
	// errNoSocket: replication needs a connection.
	errNoSocket = errors.New("a client without a connection cannot follow")
)

// NewLocal makes a client in the process, which CLIENT LIST shows with the addresses.
// It is refused as a connection from ip would be, with an error in Redis's words; nil
// is as near as a unix socket. onKill, if not nil, is called when others have closed the
// client; it must not wait.
func (s *Server) NewLocal(addr, laddr string, ip net.IP, onKill func()) (*Local, error) {
	if text := s.refuse(ip); text != "" {
		return nil, errors.New(text)
	}
	l := &Local{t: s.plain, wake: make(chan struct{}, 1), more: make(chan struct{}, 1), onKill: onKill}
	s.cmd.Accept(l, addr, laddr, 0, func(cl *command.Client) {
		cl.Unix = ip == nil
		l.Client = cl
	})
	l.t.mu.Lock()
	l.t.locals[l] = struct{}{}
	l.t.mu.Unlock()
	if s.closed.Load() { // stop may have looked already
		l.Kill(false)
	}
	return l, nil
}

// Close ends the client.
func (l *Local) Close() {
	l.t.mu.Lock()
	_, open := l.t.locals[l]
	delete(l.t.locals, l)
	l.t.mu.Unlock()
	if open {
		l.Kill(false)
		l.t.srv.cmd.DropClient(l.Client)
	}
}

// Call runs a command and appends its reply to w, which is of the client's protocol.
// It returns when the reply lasts as appendfsync says, however long a blocking command
// waits: the end of ctx ends such a wait, as if nobody had come. idle, if not nil, is
// called when pushes have come while the command waits.
func (l *Local) Call(ctx context.Context, args [][]byte, w *wire.Writer, idle func()) error {
	for {
		if l.dead() {
			return ErrLocalClosed
		}
		// The engine may put another name in place of the first argument.
		l.args = append(l.args[:0], args...)
		x := l.t.borrow()
		x.SetTime(time.Now())
		l.t.running.RLock()
		out := x.Run(l.Client, l.args, w)
		at, waits := l.t.log.Pending()
		failures := 0
		if waits {
			failures = l.t.failuresNow()
		}
		l.t.running.RUnlock()
		x.Forget()
		l.t.giveBack(x)
		clear(l.args)
		switch out {
		case command.Parked:
			if err := l.await(ctx, w, idle); err != nil {
				return err
			}
			if at, waits = l.t.log.Pending(); waits {
				failures = l.t.failuresNow()
			}
		case command.Again:
			if err := l.await(ctx, w, idle); err != nil {
				return err
			}
			continue
		case command.Close:
			defer l.Kill(true)
		}
		l.t.srv.cmd.NoteMemory(l.Client)
		if waits && !l.t.lasts(at, failures) {
			return ErrLocalClosed
		}
		return nil
	}
}

// servedSoon is how long a client that does not wait any more may take to be sent its
// reply.
const servedSoon = 50 * time.Millisecond

// await waits for what a parked client is delivered.
func (l *Local) await(ctx context.Context, w *wire.Writer, idle func()) error {
	ended := ctx.Done()
	for {
		l.mu.Lock()
		delivered, killed, pushed := l.delivered, l.killed, len(l.pushed) > 0 && !l.Client.Working
		if delivered {
			for _, part := range l.reply {
				w.Buf = append(w.Buf, part...)
			}
			l.reply, l.delivered, l.Client.Working = nil, false, false
		}
		l.mu.Unlock()
		switch {
		case delivered:
			return nil
		case killed:
			return ErrLocalClosed
		case pushed && idle != nil:
			idle()
		}
		select {
		case <-l.wake:
		case <-ended:
			ended = nil // a worker's reply is waited for
			if !l.t.srv.cmd.Unblock(l.Client, false) && !l.Client.Working {
				// It is paused, or about to be served.
				select {
				case <-l.wake:
				case <-time.After(servedSoon):
				}
				if ended = ctx.Done(); l.paused() {
					l.Kill(false) // the end of the pause would be taken for that of the next wait
					return ctx.Err()
				}
			}
		}
	}
}

// paused tells whether nothing was delivered, and nobody waits on the client's behalf.
func (l *Local) paused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.delivered && !l.killed && !l.Client.Working && !l.Client.Blocked()
}

// Pushes appends to dst what was pushed to the client, and forgets it. While a worker
// makes the reply to a command, pushes wait for that.
func (l *Local) Pushes(dst []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	dst = append(dst, l.pushed...)
	l.pushed = l.pushed[:0]
	if cap(l.pushed) > keepBuffer {
		l.pushed = nil
	}
	l.over()
	return dst
}

// Await returns when there are pushes to be taken, or an error.
func (l *Local) Await(ctx context.Context) error {
	for {
		l.mu.Lock()
		there, killed := len(l.pushed) > 0, l.killed
		l.mu.Unlock()
		switch {
		case killed:
			return ErrLocalClosed
		case there:
			return nil
		}
		select {
		case <-l.more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Pushed tells whether pushes may come without being asked for, now or later.
func (l *Local) Pushed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pushed) > 0 || l.Client.Subscribed() || l.Client.Monitors() || l.Client.Tracks()
}

// Dead tells whether the client was closed.
func (l *Local) Dead() bool { return l.dead() }

func (l *Local) dead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.killed
}

// signal wakes the goroutines that wait; l.mu is held.
func (l *Local) signal() {
	for _, c := range []chan struct{}{l.wake, l.more} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Kill ends the client, from any goroutine; see command.Conn.
func (l *Local) Kill(afterReply bool) {
	l.mu.Lock()
	tell := !l.killed && !afterReply && l.onKill != nil
	l.killed = true
	l.signal()
	l.mu.Unlock()
	if tell {
		l.onKill()
	}
}

// Deliver ends the wait of a parked client, from any goroutine; see command.Conn.
func (l *Local) Deliver(parts ...[]byte) {
	reply := parts
	if len(parts) == 1 || l.Client.Reply != command.ReplyOn {
		reply = [][]byte{l.Client.Filter(slices.Concat(parts...))}
	}
	l.mu.Lock()
	l.reply, l.delivered = reply, true
	l.signal()
	l.mu.Unlock()
}

// Push keeps bytes until they are taken; see command.Conn.
func (l *Local) Push(b []byte) {
	l.mu.Lock()
	l.pushed = appendPush(l.pushed, b, l.Client.Proto())
	over := l.over()
	l.signal()
	l.mu.Unlock()
	if over {
		l.Kill(false)
	}
}

// over tells whether more pushes wait than may, and notes how much it is; l.mu is held.
func (l *Local) over() bool {
	n := int64(len(l.pushed))
	l.Client.OutLen.Store(n)
	l.Client.OutMem.Store(n)
	return n > smallOut && l.t.srv.cmd.OverOutputLimit(l.Client, n)
}

// Hijack gives up: there is no connection that could be taken.
func (l *Local) Hijack(take func(nc net.Conn, rest []byte)) {
	a, b := net.Pipe()
	b.Close()
	a.Close()
	l.t.srv.cmd.Log.Warningf("Client %s: %v", l.Client.Info(), errNoSocket)
	l.Kill(false)
	go take(a, nil)
}

// Outlet is none: see command.Outlet.
func (l *Local) Outlet() command.Outlet { return nil }

// Settle appends the pushes that nobody has taken, for a command of this client that
// is about to reply.
func (l *Local) Settle(w *wire.Writer) {
	l.mu.Lock()
	w.Buf = append(w.Buf, l.pushed...)
	l.pushed = l.pushed[:0]
	l.mu.Unlock()
}
