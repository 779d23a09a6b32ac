package replica

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"kvd/lockrank"
	"kvd/resp/wire"
)

const (
	// retryEvery is how long a link rests after an attempt that led to nothing,
	// as Redis's cron does.
	retryEvery = time.Second
	// retrySlow is that after the leader sent what cannot be applied here: every
	// attempt costs the leader a snapshot. It doubles with each attempt, up to
	// retrySlowest.
	retrySlow    = 30 * time.Second
	retrySlowest = 30 * time.Minute
	// ackEvery is how often the leader is told the offset.
	ackEvery = time.Second
	// readBytes is the most that is read, and so applied, at once.
	readBytes = 64 << 10
	// lineMax bounds a line of a leader's before the stream begins.
	lineMax = 64 << 10
)

// link is one leader followed, over as many connections as it takes.
//
// One goroutine runs it. It alone applies, so all that is in no way shared
// needs no lock.
type link struct {
	*Follower
	address string // host:port
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan struct{} // closed when the goroutine has ended

	state  atomic.Value // string(State)
	lastIO atomic.Int64 // when bytes came last, Unix seconds
	// A snapshot on its way: its bytes in all (0: not known) and so far.
	total, read atomic.Int64
	// got is the number of bytes of the stream that were read but not applied.
	got atomic.Int64

	// takeOver, if not nil, asks the leader to lead in this server's place, and
	// is called with its answer.
	takeOver func(error)

	connMu lockrank.Mutex[lockrank.ReplicaLink] // protects conn; held for moments
	conn   net.Conn                             // nil while there is none

	asked chan int64 // offsets that the leader wants on the disk; see ackEach

	writeMu lockrank.Mutex[lockrank.ReplicaLines] // keeps lines to the leader whole; held during a write
}

// errUnfit: the leader sent what cannot be applied here.
type errUnfit struct{ error }

func (l *link) State() State {
	s, _ := l.state.Load().(string)
	return State(s)
}

func (l *link) setState(s State) {
	was := l.State()
	l.state.Store(string(s))
	l.mu.Lock()
	l.tries.note(was, s, time.Now())
	l.mu.Unlock()
	if (was == StateConnected) != (s == StateConnected) {
		if was == StateConnected {
			l.mu.Lock()
			l.downSince = time.Now()
			l.mu.Unlock()
		}
		l.Changed()
	}
}

// stop ends the link. To wait until it has ended, wait for done.
func (l *link) stop() {
	l.cancel()
	l.drop()
}

// drop ends the present connection, if there is one.
func (l *link) drop() {
	l.connMu.Lock()
	if l.conn != nil {
		l.conn.Close()
	}
	l.connMu.Unlock()
}

// readOffset is the offset of what was read, for INFO.
func (l *link) readOffset(applied int64) int64 { return applied + l.got.Load() }

func (l *link) run() {
	defer close(l.done)
	var pause unfitPause
	for l.ctx.Err() == nil {
		begun := time.Now()
		worked, err := l.connect()
		if l.ctx.Err() != nil {
			break
		}
		l.setState(StateConnect)
		var unfit errUnfit
		switch rest := retryEvery; {
		case errors.As(err, &unfit):
			rest = pause.next(time.Since(begun))
			l.Log.Warningf("The leader sent what cannot be applied here, so the link is ended and a full synchronization tried in %v: %v", rest, err)
			l.sleep(rest)
		case worked: // try again at once, while the leader still has the bytes
			l.Log.Warningf("Connection with master lost: %v", err)
			l.Log.Noticef("Reconnecting to MASTER %s", l.address)
		default:
			l.Log.Warningf("Error condition on socket for SYNC: %v", err)
			l.sleep(rest)
		}
	}
	l.setState(StateConnect)
}

// unfitPause is the rest after the leader sent what cannot be applied here.
type unfitPause struct{ last time.Duration }

// next is how long to rest after a link that lasted so long: twice as long as
// the time before, unless the link did better than that.
func (p *unfitPause) next(lasted time.Duration) time.Duration {
	if lasted > 2*p.last {
		p.last = 0
	}
	p.last = min(max(2*p.last, retrySlow), retrySlowest)
	return p.last
}

func (l *link) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.ctx.Done():
	}
}

// timeout is repl-timeout.
func (l *link) timeout() time.Duration {
	return time.Duration(l.Config.ReplTimeout.Load()) * time.Second
}

// connect is one connection from beginning to end. worked: it was in sync.
func (l *link) connect() (worked bool, err error) {
	l.setState(StateConnecting)
	d := net.Dialer{Timeout: l.timeout(), Control: markSocket(l.Config)}
	d.SetMultipathTCP(l.Config.ReplMPTCP.Load())
	if from := l.Config.BindSourceAddr.Load(); from != "" {
		a, err := net.ResolveIPAddr("ip", from)
		if err != nil {
			return false, fmt.Errorf("bind-source-addr: %w", err)
		}
		d.LocalAddr = &net.TCPAddr{IP: a.IP}
	}
	nc, err := d.DialContext(l.ctx, "tcp", l.address)
	if err == nil && l.Config.TLSReplication.Load() && l.TLS != nil {
		nc, err = l.TLS(nc, l.timeout())
	}
	if err != nil {
		return false, err
	}
	nc = counted{nc, l.In, l.Out}
	l.connMu.Lock()
	l.conn = nc
	l.connMu.Unlock()
	defer func() {
		l.connMu.Lock()
		l.conn = nil
		l.connMu.Unlock()
		nc.Close()
	}()
	if l.ctx.Err() != nil { // stop may have come before l.conn was there
		return false, l.ctx.Err()
	}
	l.lastIO.Store(time.Now().Unix())
	l.Log.Noticef("MASTER <-> REPLICA sync started")
	l.setState(StateHandshake)
	br := bufio.NewReaderSize(patient{l, nc}, readBytes)
	if err := l.handshake(nc, br); err != nil {
		return false, err
	}
	id, offset, err := l.psync(nc, br)
	if l.takeOver != nil {
		l.takeOver(err)
		l.takeOver = nil
	}
	if err != nil {
		return false, err
	}
	if id != "" {
		l.setState(StateSync)
		if err := l.fullSync(nc, br, id, offset); err != nil {
			return false, err
		}
	}
	l.note()
	gone := l.Linked(nc, l.drop)
	defer gone()
	stopAcks := make(chan struct{})
	acks := make(chan struct{})
	go func() {
		defer close(acks)
		l.ackEach(nc, stopAcks)
	}()
	l.setState(StateConnected)
	err = l.stream(nc, br)
	nc.Close()
	close(stopAcks)
	<-acks
	return true, err
}

// timeoutIn is what the log says where nothing comes, in Redis's words.
var timeoutIn = map[State]string{
	StateHandshake: "Timeout connecting to the MASTER...",
	StateSync:      "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' parameter in the configuration file to a larger value.",
	StateConnected: "MASTER timeout: no data nor PING received...",
}

// counted is a connection whose bytes are counted.
type counted struct {
	net.Conn
	in, out *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Add(int64(n))
	return n, err
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.out.Add(int64(n))
	return n, err
}

// patient reads from the leader and gives up where nothing has come for
// repl-timeout, as that is now.
type patient struct {
	l  *link
	nc net.Conn
}

func (p patient) Read(b []byte) (int, error) {
	begun := time.Now()
	for {
		p.nc.SetReadDeadline(time.Now().Add(time.Second))
		n, err := p.nc.Read(b)
		if n > 0 {
			p.l.lastIO.Store(time.Now().Unix())
			return n, nil
		}
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() || p.l.ctx.Err() != nil {
			return 0, err
		}
		if time.Since(begun) > p.l.timeout() {
			p.l.Log.Warningf("%s", timeoutIn[p.l.State()])
			return 0, errors.New("timeout: nothing came from the leader for repl-timeout")
		}
	}
}

// send sends a command to the leader.
func (l *link) send(nc net.Conn, args ...string) error {
	return l.write(nc, wire.AppendCommand(nil, args...))
}

func (l *link) write(nc net.Conn, b []byte) error {
	l.writeMu.Lock()
	defer l.writeMu.Unlock()
	nc.SetWriteDeadline(time.Now().Add(l.timeout()))
	_, err := nc.Write(b)
	return err
}

// line reads a line of the leader's, without its end.
func line(br *bufio.Reader) (string, error) {
	var b []byte
	for {
		part, err := br.ReadSlice('\n')
		b = append(b, part...)
		switch {
		case len(b) > lineMax:
			return "", errors.New("the leader sent a line that does not end")
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return "", err
		default:
			return strings.TrimRight(string(b), "\r\n"), nil
		}
	}
}

// ask sends a command and reads a reply of one line.
func (l *link) ask(nc net.Conn, br *bufio.Reader, args ...string) (string, error) {
	if err := l.send(nc, args...); err != nil {
		return "", err
	}
	return line(br)
}

// handshake introduces this server to the leader.
func (l *link) handshake(nc net.Conn, br *bufio.Reader) error {
	reply, err := l.ask(nc, br, "PING")
	if err != nil {
		return err
	}
	// An old leader wants the password first, and says so.
	if !strings.HasPrefix(reply, "+") && !strings.HasPrefix(reply, "-NOAUTH") && !strings.HasPrefix(reply, "-NOPERM") && !strings.HasPrefix(reply, "-ERR operation not permitted") {
		return fmt.Errorf("Error reply to PING from master: %q", reply)
	}
	l.Log.Noticef("Master replied to PING, replication can continue...")
	if password := l.Config.MasterAuth.Load(); password != "" {
		args := []string{"AUTH", password}
		if user := l.Config.MasterUser.Load(); user != "" {
			args = []string{"AUTH", user, password}
		}
		if reply, err = l.ask(nc, br, args...); err != nil {
			return err
		}
		if strings.HasPrefix(reply, "-") {
			return fmt.Errorf("Unable to AUTH to MASTER: %s", reply[1:])
		}
	}
	port := l.Config.ReplicaAnnouncePort.Load()
	if port == 0 {
		if port = l.Config.Port.Load(); l.Config.TLSReplication.Load() && l.Config.TLSPort.Load() != 0 {
			port = l.Config.TLSPort.Load()
		}
	}
	facts := [][]string{{"listening-port", strconv.FormatInt(port, 10)}, {"capa", "eof", "capa", "psync2"}}
	if ip := l.Config.ReplicaAnnounceIP.Load(); ip != "" {
		facts = append(facts, []string{"ip-address", ip})
	}
	for _, f := range facts {
		if reply, err = l.ask(nc, br, append([]string{"REPLCONF"}, f...)...); err != nil {
			return err
		}
		if strings.HasPrefix(reply, "-") {
			l.Log.Noticef("(Non critical) Master does not understand REPLCONF %s: %s", f[0], reply)
		}
	}
	return nil
}

// psync asks for what is missing. id is empty where the stream goes on, and
// else the name of the history whose snapshot comes, offset its place in it.
func (l *link) psync(nc net.Conn, br *bufio.Reader) (id string, offset int64, err error) {
	have, _, at, _ := l.Stream.IDs()
	args := []string{"PSYNC", have, strconv.FormatInt(at+1, 10)}
	// Without a backlog no byte was ever numbered, so no leader knows the history.
	if l.stale.Load() || !l.Stream.Backlog().Active {
		args = []string{"PSYNC", "?", "-1"}
		l.Log.Noticef("Partial resynchronization not possible (no cached master)")
	} else {
		l.Log.Noticef("Trying a partial resynchronization (request %s:%s).", args[1], args[2])
	}
	if l.takeOver != nil {
		args = append(args, "FAILOVER")
	}
	reply, err := l.ask(nc, br, args...)
	for err == nil && reply == "" { // the leader keeps the connection alive
		reply, err = line(br)
	}
	if err != nil {
		return "", 0, err
	}
	words := strings.Fields(reply)
	switch {
	case strings.HasPrefix(reply, "+FULLRESYNC"):
		if len(words) != 3 || len(words[1]) != len(noID) {
			return "", 0, fmt.Errorf("the leader's answer to PSYNC is not understood: %q", reply)
		}
		if offset, err = strconv.ParseInt(words[2], 10, 64); err != nil || offset < 0 {
			return "", 0, fmt.Errorf("the leader's answer to PSYNC is not understood: %q", reply)
		}
		l.Log.Noticef("Full resync from master: %s:%d", words[1], offset)
		return words[1], offset, nil
	case strings.HasPrefix(reply, "+CONTINUE"):
		if args[1] == "?" {
			return "", 0, errors.New("the leader continues a stream that it was not asked for")
		}
		l.Log.Noticef("Successful partial resynchronization with master.")
		if len(words) > 1 && len(words[1]) == len(noID) && words[1] != have {
			l.Log.Warningf("Master replication ID changed to %s", words[1])
			l.Stream.Rename(words[1])
			l.DropFollowers() // they learn the new id when they come back
		}
		l.Log.Noticef("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.")
		return "", 0, nil
	case strings.HasPrefix(reply, "-NOMASTERLINK"), strings.HasPrefix(reply, "-LOADING"):
		return "", 0, fmt.Errorf("Master is currently unable to PSYNC but should be in the future: %s", reply)
	}
	return "", 0, fmt.Errorf("Unexpected reply to PSYNC from master: %s", reply)
}

// ackEach tells the leader the offset, at once and from then on regularly, and
// soon when the disk has what the leader has asked for.
func (l *link) ackEach(nc net.Conn, stop <-chan struct{}) {
	tick := time.NewTicker(ackEvery)
	defer tick.Stop()
	for l.ack(nc) == nil {
		select {
		case <-stop:
			return
		case <-tick.C:
		case want := <-l.asked:
			for l.lasts() < want && l.hasLog() {
				select {
				case <-stop:
					return
				case <-tick.C: // the leader is to know that this server is alive
					if l.ack(nc) != nil {
						return
					}
				case <-time.After(fackPoll):
				}
			}
		}
	}
}

// fackPoll is how often a follower that was asked looks whether its disk has it.
const fackPoll = 5 * time.Millisecond

// lasts is the offset up to which the own log is on the disk; -1: not known.
func (l *link) lasts() int64 {
	if l.Lasts == nil {
		return -1
	}
	logged, ok := l.Lasts()
	if !ok {
		return -1
	}
	return l.durable.lasts(logged)
}

// hasLog tells whether an own log is in force.
func (l *link) hasLog() bool {
	if l.Lasts == nil {
		return false
	}
	_, ok := l.Lasts()
	return ok
}

// note pairs the stream's place with the log's.
func (l *link) note() {
	if l.Logged != nil {
		l.durable.note(l.Stream.Offset(), l.Logged())
	}
}

func (l *link) ack(nc net.Conn) error {
	n := l.lasts() // before the offset, which is never less then
	args := []string{"REPLCONF", "ACK", strconv.FormatInt(l.Stream.Offset(), 10)}
	if n >= 0 {
		args = append(args, "FACK", strconv.FormatInt(n, 10))
	}
	return l.send(nc, args...)
}

// stream applies what the leader sends, until the connection ends.
func (l *link) stream(nc net.Conn, br *bufio.Reader) error {
	in := &input{l: l, nc: nc, lim: wire.Limits{MaxBulk: 1 << 62, MaxInline: lineMax, Authenticated: true}}
	// All that br has is taken first; then nothing is copied twice.
	rest, _ := br.Peek(br.Buffered())
	in.buf = append(in.buf, rest...)
	l.dropOpen()
	defer l.got.Store(0)
	for {
		if l.Applier.Paused() {
			if err := in.pause(); err != nil {
				return err
			}
			continue
		}
		if err := in.apply(); err != nil {
			return err
		}
		if err := in.more(); err != nil {
			return err
		}
	}
}

// input is the part of the stream that was read and is not done with.
//
//	buf: [ applied and relayed | whole units, applied | an open MULTI, queued | not looked at ]
//	                           unit                   whole                   at
type input struct {
	l               *link
	nc              net.Conn
	scan            wire.Scanner
	lim             wire.Limits
	buf             []byte
	unit, whole, at int
}

// more reads at least a byte.
func (in *input) more() error {
	in.buf = append(in.buf[:0], in.buf[in.unit:]...)
	in.whole -= in.unit
	in.at -= in.unit
	in.unit = 0
	n := len(in.buf)
	room := max(readBytes, min(in.scan.Need(), 16<<20))
	if cap(in.buf)-n < room || cap(in.buf) > 16*readBytes && n == 0 {
		in.buf = append(make([]byte, 0, max(n+room, 2*n)), in.buf...)
	}
	k, err := patient{in.l, in.nc}.Read(in.buf[n : n+room])
	in.buf = in.buf[:n+k]
	in.l.got.Store(int64(len(in.buf)))
	return err
}

const (
	// pausedMax is how much of the stream is read while the clients of this server
	// are paused, in bytes; then the leader's buffers fill.
	pausedMax = 64 << 20
	pausePoll = 20 * time.Millisecond
)

// pause waits a moment in which nothing is applied; what comes is read.
func (in *input) pause() error {
	if err := in.l.ctx.Err(); err != nil {
		return err
	}
	if len(in.buf) >= pausedMax {
		time.Sleep(pausePoll)
		return nil
	}
	in.buf = slices.Grow(in.buf, readBytes)
	n := len(in.buf)
	in.nc.SetReadDeadline(time.Now().Add(pausePoll))
	k, err := in.nc.Read(in.buf[n : n+readBytes])
	in.buf = in.buf[:n+k]
	in.l.got.Store(int64(len(in.buf) - in.unit))
	if k > 0 {
		in.l.lastIO.Store(time.Now().Unix())
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return nil
	}
	return err
}

// apply runs the complete commands of the buffer.
func (in *input) apply() error {
	l := in.l
	l.Stream.Instant.Lock()
	defer l.Stream.Instant.Unlock()
	defer in.relay()
	for in.at < len(in.buf) {
		n, status, err := in.scan.Scan(in.buf[in.at:], &in.lim)
		if err != nil {
			return l.unfit(fmt.Errorf("at offset %d: %w", in.offset(), err))
		}
		if status == wire.More {
			return nil
		}
		if args := in.scan.Args; len(args) > 0 && l.ctx.Err() == nil {
			if err := in.command(args); err != nil {
				return err
			}
		} else if len(args) > 0 {
			return l.ctx.Err()
		}
		in.at += n
		if !l.Applier.InMulti() {
			in.whole = in.at
		}
	}
	return nil
}

// offset is that of the byte before the command at in.at.
func (in *input) offset() int64 { return in.l.Stream.Offset() + int64(in.at-in.unit) }

// command applies one command.
func (in *input) command(args [][]byte) error {
	l := in.l
	switch name := strings.ToLower(string(args[0][:min(len(args[0]), 8)])); {
	case name == "ping" && !l.Applier.InMulti():
		return nil
	case name == "replconf":
		if len(args) > 1 && strings.EqualFold(string(args[1]), "getack") {
			in.relay() // the answer counts all that came before
			if at := l.Stream.Offset(); l.hasLog() && l.lasts() < at {
				select {
				case l.asked <- at:
				default: // it is being seen to, and a tick tells of the rest
				}
			}
			return l.ack(in.nc)
		}
		return nil
	}
	if err := l.Applier.Apply(args); err != nil {
		key := ""
		if len(args) > 1 {
			key = fmt.Sprintf(", first argument %.80q", args[1])
		}
		return l.unfit(fmt.Errorf("at offset %d of the stream, database %d%s: %w", in.offset(), l.Applier.DB(), key, err))
	}
	return nil
}

// relay counts what is applied in whole units, and hands it to the own
// followers.
func (in *input) relay() {
	l := in.l
	if in.whole > in.unit {
		l.Stream.Selected(l.Applier.DB())
		l.Stream.AppendRaw(in.buf[in.unit:in.whole])
		l.note()
		in.unit = in.whole
		l.got.Store(int64(len(in.buf) - in.unit))
	}
}

// unfit says that the contents are not those of the leader any more: only a
// full synchronization helps.
func (l *link) unfit(err error) error {
	l.stale.Store(true)
	return errUnfit{err}
}
