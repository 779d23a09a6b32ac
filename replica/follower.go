package replica

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"kvd/resp/wire"
)

// Peer is a connection that asks for synchronization, and what it has said of
// itself with REPLCONF.
type Peer struct {
	ID      int64  // of the client
	Addr    string // "address:port", or the path of a unix socket and ":0"
	IP      string // ip-address, or ""
	Port    int    // listening-port, or 0
	EOF     bool   // capa eof: takes a snapshot whose length is not known
	PSYNC2  bool   // capa psync2: understands +CONTINUE <id>
	RDBOnly bool   // rdb-only: is to be closed after the snapshot
	NoData  bool   // rdb-filter-only: wants a snapshot without keys
	Old     bool   // sent SYNC: no reply before the snapshot, no acknowledgements
	ReplID  string // of PSYNC; "?" asks for a full synchronization
	From    int64  // of PSYNC: number of the first byte that it wants

	Lag    func(bytes int64) // is told what it has not been sent yet
	Heard  func()            // it has sent something
	Gone   func()            // the connection has ended
	Killed func() bool       // tells whether CLIENT KILL was called for it; see Leader.Kill
	// Name is the full name of a command, and whether it is one about the data.
	Name func(args [][]byte) (name string, data bool)
}

// state is what INFO shows of a follower.
type state int

const (
	waitStart state = iota // for a snapshot to begin
	waitEnd                // for the end of one
	sendBulk               // gets a file
	sent                   // has it and wanted no more
	online                 // in the stream
)

func (s state) String() string {
	return [...]string{"wait_bgsave", "wait_bgsave", "send_bulk", "rdb_transmitted", "online"}[s]
}

// follower is one connection. Its goroutine (serve) sends, and another one
// (listen) reads what it acknowledges.
type follower struct {
	Peer
	l  *Leader
	nc net.Conn

	begin  chan *transfer // its snapshot has begun
	headed chan struct{}  // closed when the reply to PSYNC is sent
	ready  chan struct{}  // closed when it has acknowledged something
	gone   chan struct{}  // closed by close
	once   sync.Once
	acks   sync.Once

	// Under Leader.mu.
	state   state
	since   time.Time // of the request
	acked   int64
	synced  int64 // -1: it has not told what is on its disk
	ackTime time.Time
	reader  *Reader // also read by its own goroutine
	removed bool

	file *os.File // the snapshot on disk, once it is whole; see transfer.finish
}

// answered tells whether it has acknowledged something, so that it has what came before the
// stream, too.
func (f *follower) answered() bool {
	select {
	case <-f.ready:
		return true
	default:
		return false
	}
}

// host is the address that INFO and ROLE show.
func (f *follower) host() string {
	if f.IP != "" {
		return f.IP
	}
	if host, _, err := net.SplitHostPort(f.Addr); err == nil {
		return host
	}
	return f.Addr
}

// name is how the log calls it.
func (f *follower) name() string {
	if f.Port == 0 {
		return f.host() + ":<unknown-replica-port>"
	}
	return f.host() + ":" + strconv.Itoa(f.Port)
}

// close ends the connection; its goroutine clears away. It may be called by
// anyone, with any lock held but the stream's.
func (f *follower) close() {
	f.once.Do(func() {
		close(f.gone)
		f.nc.Close()
	})
}

func (f *follower) isGone() bool {
	select {
	case <-f.gone:
		return true
	default:
		return false
	}
}

// Serve makes a connection a follower's, and returns when it has ended. rest is
// what it has sent after its request.
func (l *Leader) Serve(p Peer, nc net.Conn, rest []byte) {
	f := &follower{Peer: p, l: l, nc: nc, begin: make(chan *transfer, 1), headed: make(chan struct{}), ready: make(chan struct{}), gone: make(chan struct{}), since: time.Now(), synced: -1}
	defer func() {
		f.close()
		l.remove(f)
		if f.Gone != nil {
			f.Gone()
		}
	}()
	l.Log.Noticef("Replica %s asks for synchronization", f.name())
	resumed := !p.Old && l.resume(f)
	if !resumed {
		l.fulls.Add(1)
		l.Alone() // a backlog that is about to be dropped stays
		h := l.Keyspace.LockAll()
		l.Stream.Create()
		l.Keyspace.Unlock(&h)
		if tcp, ok := nc.(interface{ SetNoDelay(bool) error }); ok && l.Config.ReplDisableTCPNoDelay.Load() {
			_ = tcp.SetNoDelay(false)
		}
		l.add(f, waitStart)
	}
	go f.listen(rest)
	if !resumed && !f.fullSync() {
		return
	}
	f.stream()
}

// add enters a follower.
func (l *Leader) add(f *follower, s state) {
	l.mu.Lock()
	f.state, f.ackTime = s, time.Now()
	l.followers = append(l.followers, f)
	l.mu.Unlock()
	if f.Killed != nil && f.Killed() { // before it was on the list, where Kill looks
		l.Kill(f.ID)
	}
	if s == waitStart {
		l.askTransfer(f)
	} else {
		l.Acked()
	}
}

// remove forgets a follower. The snapshot that it was the last one to wait for
// is given up.
func (l *Leader) remove(f *follower) {
	l.mu.Lock()
	r := f.reader
	f.reader = nil
	l.forget(f)
	if l.transfer != nil {
		l.giveUp(l.transfer)
	}
	l.mu.Unlock()
	if r != nil {
		r.Close()
	}
	if f.file != nil {
		f.file.Close()
	}
	l.Acked()
}

// forget takes a follower off the list; mu is locked.
func (l *Leader) forget(f *follower) {
	f.removed = true
	if i := slices.Index(l.followers, f); i >= 0 {
		l.followers = slices.Delete(l.followers, i, i+1)
		if len(l.followers) == 0 {
			l.aloneFrom = time.Now()
		}
		l.Log.Noticef("Connection with replica %s lost.", f.name())
	}
}

// Kill ends a client's link at once (CLIENT KILL): what is appended from now on,
// by the same transaction even, is neither sent to it nor kept for it. Its
// goroutine clears away. Stripes may be locked.
func (l *Leader) Kill(id int64) {
	l.mu.Lock()
	i := slices.IndexFunc(l.followers, func(f *follower) bool { return f.ID == id })
	if i < 0 { // if it is about to be one, add asks Killed
		l.mu.Unlock()
		return
	}
	f := l.followers[i]
	l.forget(f)
	if f.reader != nil {
		f.reader.Leave()
	}
	l.mu.Unlock()
	f.close()
}

// resume tries a partial synchronization.
func (l *Leader) resume(f *follower) bool {
	id, id2, offset, second := l.Stream.IDs()
	r, why := l.Stream.Resume(f.ReplID, f.From, f.overrun)
	log := l.Log
	switch why {
	case Resumed:
		l.partials.Add(1)
		f.reader = r
		l.add(f, online)
		reply := "+CONTINUE\r\n"
		if f.PSYNC2 {
			reply = "+CONTINUE " + id + "\r\n"
		}
		log.Noticef("Partial resynchronization request from %s accepted. Sending %d bytes of backlog starting from offset %d.", f.name(), r.Lag(), f.From)
		if f.write([]byte(reply)) != nil {
			f.close()
		}
		return true
	case OtherHistory:
		if f.ReplID != "" && f.ReplID[0] == '?' {
			log.Noticef("Full resync requested by replica %s", f.name())
			return false
		}
		log.Noticef("Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '%s', my replication IDs are '%s' and '%s')", f.ReplID, id, id2)
	case BeyondSecond:
		log.Noticef("Partial resynchronization not accepted: Requested offset for second ID was %d, but I can reply up to %d", f.From, second)
	case NoBacklog:
		log.Noticef("Unable to partial resync with replica %s for lack of backlog (Replica request was: %d).", f.name(), f.From)
		if f.From > offset {
			log.Warningf("Warning: replica %s tried to PSYNC with an offset that is greater than the master replication offset.", f.name())
		}
	}
	l.refused.Add(1)
	return false
}

// overrun is called when the stream has stopped the reader: the follower is too
// slow, or the history has ended.
func (f *follower) overrun() {
	f.l.mu.Lock()
	r := f.reader
	f.l.mu.Unlock()
	if r != nil && r.Over() {
		f.l.Log.Warningf("Client id=%d addr=%s (replica %s) scheduled to be closed ASAP for overcoming of output buffer limits.", f.ID, f.Addr, f.name())
	}
	f.close()
}

// write sends bytes. It waits for repl-timeout, as that is now, where the
// follower takes none.
func (f *follower) write(b []byte) error {
	for last := time.Now(); ; {
		_ = f.nc.SetWriteDeadline(time.Now().Add(min(f.l.timeout(), time.Second)))
		n, err := f.nc.Write(b)
		f.l.Out.Add(int64(n))
		if err == nil {
			return nil
		}
		if n > 0 {
			last, b = time.Now(), b[n:]
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || f.isGone() || time.Since(last) >= f.l.timeout() {
			return err
		}
	}
}

const (
	// Where very many small changes come, they leave together: after so many
	// short writes within sendGap the rest of it is waited for. Fewer leave at
	// once, for clients that read from a follower what they wrote to its leader.
	sendBurst = 25
	sendGap   = time.Millisecond
	// shortSend is what counts as short, in bytes.
	shortSend = 16 << 10
)

// stream sends the stream until the connection ends.
func (f *follower) stream() {
	r := f.reader
	go func() {
		<-f.gone // by the end of Serve
		r.Stop() // it may wait for bytes, of which a quiet leader has none
	}()
	if send := sender(f.nc); send != nil {
		r.Direct(func(b []byte) int {
			n := send(b)
			f.l.Out.Add(int64(n))
			return n
		})
	}
	buf := make([]byte, slotSize)
	sends, since := 0, time.Now()
	for {
		b, err := r.Next(buf)
		if err != nil {
			if !errors.Is(err, ErrStopped) {
				f.l.Log.Warningf("Reading the replication backlog for replica %s: %v", f.name(), err)
			}
			return
		}
		short := len(b) < shortSend
		if f.write(b) != nil {
			return
		}
		if !short {
			continue
		}
		if sends++; sends == sendBurst {
			if wait := sendGap - time.Since(since); wait > 0 && !f.isGone() {
				time.Sleep(wait)
			}
			sends, since = 0, time.Now()
		}
	}
}

// listen reads what the follower says: how far it is.
func (f *follower) listen(rest []byte) {
	defer f.close()
	var scan wire.Scanner
	lim := wire.Limits{Authenticated: true, MaxBulk: 64 << 10}
	in := append([]byte(nil), rest...)
	buf := make([]byte, 4<<10)
	for {
		used := 0
		for used < len(in) {
			n, status, err := scan.Scan(in[used:], &lim)
			if status == wire.Error {
				f.l.Log.Verbosef("Protocol error (%v) from replica %s", err, f.name())
				return
			}
			if status == wire.More {
				break
			}
			used += n
			f.heard(scan.Args)
		}
		in = in[:copy(in, in[used:])]
		if len(in) > 1<<20 {
			return
		}
		n, err := f.nc.Read(buf)
		f.l.In.Add(int64(n))
		in = append(in, buf[:n]...)
		if err != nil {
			if f.stopping(err) && n > 0 {
				continue
			}
			return
		}
	}
}

// stopping tells whether an error comes with the last bytes.
func (f *follower) stopping(err error) bool { return errors.Is(err, io.EOF) && !f.isGone() }

var replconfWord, ackWord, fackWord = []byte("replconf"), []byte("ack"), []byte("fack")

// heard acts on REPLCONF ACK <offset> [FACK <offset>].
func (f *follower) heard(args [][]byte) {
	if f.Heard != nil {
		f.Heard()
	}
	l := f.l
	switch {
	case len(args) == 0:
		return
	case !bytes.EqualFold(args[0], replconfWord):
		f.foreign(args)
		return
	case len(args) < 3:
		return
	}
	l.mu.Lock()
	ack := false
	for i := 1; i+1 < len(args); i += 2 {
		n, ok := wire.ParseInt(args[i+1])
		switch {
		case !ok:
		case bytes.EqualFold(args[i], ackWord):
			ack = true
			f.acked = max(f.acked, n)
			f.ackTime = time.Now()
		case bytes.EqualFold(args[i], fackWord):
			f.synced = max(f.synced, n)
		}
	}
	l.mu.Unlock()
	if ack {
		f.acks.Do(func() { close(f.ready) })
		l.Acked()
	}
}

// foreign ends the connection of a follower that sends what would be answered:
// a reply would stand in the middle of the stream.
func (f *follower) foreign(args [][]byte) {
	name, data := "?", false
	if f.Name != nil {
		name, data = f.Name(args)
	}
	if data {
		const text = "Replica can't interact with the keyspace"
		f.l.Log.Warningf("== CRITICAL == This master is sending an error to its replica: '%s' after processing the command '%s'", text, name)
	}
	f.l.Log.Warningf("Replica generated a reply to command '%s', disconnecting it: id=%d addr=%s", name, f.ID, f.Addr)
	f.close()
}
