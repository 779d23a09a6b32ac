package keys

import (
	"bufio"
	"errors"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"kvd/command"
	"kvd/keyspace"
	"kvd/lockrank"
	"kvd/persist/rdb"
	"kvd/resp/wire"
)

// MIGRATE
//
// The values are taken under the locks of their keys, O(1) each; a worker then
// sends them without any lock, and at the end takes the locks again to delete
// what the target has acknowledged. In between a key may change: then the
// target's copy is out of date, and the new value is sent over it. So a
// client that looks finds the key as if it had been moved at the moment of its deletion.
// Where that does not end well (the target does not answer any more, or the key
// changes all the time) the key stays, and the target may have a copy, too: the
// reply is an IOERR, which says just that in Redis.

func migrateRows() []*command.Row {
	return []*command.Row{{Name: "migrate", Fn: cmdMigrate, Arity: -6, Secret: migrateSecrets, Flags: command.Write | command.MovableKeys | command.CountsReads | command.NotApplied, First: 3, Last: 3, Step: 1, KeysFn: migrateKeys, KeyFlags: "RW access delete",
		Since: "2.6.0", Group: "generic", Categories: "dangerous", Summary: "Moves keys to another server.", Complexity: "O(N) in the size of the values",
		Syntax: `host port <key | ""> destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password] [KEYS key [key ...]]`,
		Tips:   "nondeterministic_output"}}
}

const (
	// migrateTries is how often a value is sent because it changed meanwhile.
	migrateTries = 10
	// migrateTimeout is the timeout if none is given, in milliseconds.
	migrateTimeout = 1000
	// migrateChunk is how much the target must take within the timeout, in bytes.
	migrateChunk = 64 << 10
)

// migrateKeys are those behind KEYS, or else the third argument.
func migrateKeys(args [][]byte, dst []int) ([]int, bool) {
	if len(args) < 6 {
		return dst, false
	}
	for i := 6; i < len(args); i++ {
		switch {
		case command.EqualFold(args[i], "auth"):
			i++
		case command.EqualFold(args[i], "auth2"):
			i += 2
		case command.EqualFold(args[i], "keys"):
			if len(args[3]) > 0 || i+1 == len(args) {
				return dst, false
			}
			for i++; i < len(args); i++ {
				dst = append(dst, i)
			}
			return dst, true
		}
	}
	return append(dst, 3), true
}

// migration is one MIGRATE. Its memory is its own: it outlives the command.
type migration struct {
	s             *command.Server
	by            *command.Client
	db            int // the keys' database here
	host, port    string
	to            int64 // and there
	timeout       time.Duration
	copy, replace bool
	auth          [][]byte // password, or user name and password

	parcels []*parcel
	within  *command.Ctx // inside EXEC: the command, which holds the locks
	failure string       // the first one: the reply
}

// parcel is a key on its way.
type parcel struct {
	key   keyspace.Key
	v     command.Taken  // obj is a copy of ours
	guard *command.Guard // of the key; nil with COPY

	there bool // the target has a copy, which is out of date
	gone  bool // the key is not here any more, so that copy must go, too
	sent  bool
	acked bool
}

func cmdMigrate(c *command.Ctx) {
	m, ok := parseMigration(c)
	if !ok {
		return
	}
	for i := range c.Keys {
		if e := c.Lookup(&c.Keys[i]); e.Exists() {
			p := &parcel{key: c.Keys[i]}
			p.key.B = slices.Clone(p.key.B)
			m.pack(p, &e)
			m.parcels = append(m.parcels, p)
		}
	}
	if len(m.parcels) == 0 {
		c.W.SimpleString("NOKEY")
		return
	}
	if !c.CanBlock() {
		m.within = c
	}
	c.Background(m.run)
}

// parseMigration parses the arguments, except for the keys.
func parseMigration(c *command.Ctx) (*migration, bool) {
	m := &migration{s: c.S, by: c.C, db: c.DB(), host: string(c.Args[1]), port: string(c.Args[2])}
options:
	for i := 6; i < len(c.Args); i++ {
		left := len(c.Args) - i - 1
		switch {
		case c.Word(i, "copy"):
			m.copy = true
		case c.Word(i, "replace"):
			m.replace = true
		case c.Word(i, "auth") && left >= 1:
			m.auth = [][]byte{slices.Clone(c.Args[i+1])}
			i++
		case c.Word(i, "auth2") && left >= 2:
			m.auth = [][]byte{slices.Clone(c.Args[i+1]), slices.Clone(c.Args[i+2])}
			i += 2
		case c.Word(i, "keys"):
			if len(c.Args[3]) > 0 {
				c.Err("ERR When using MIGRATE KEYS option, the key argument must be set to the empty string")
				return nil, false
			}
			break options
		default:
			c.Err(command.ErrSyntax)
			return nil, false
		}
	}
	timeout, ok := c.Int(5)
	if ok {
		m.to, ok = c.Int(4)
	}
	if timeout <= 0 {
		timeout = migrateTimeout
	}
	m.timeout = time.Duration(min(timeout, math.MaxInt32)) * time.Millisecond
	return m, ok
}

// pack takes the value as it is now; the key's stripe is locked.
func (m *migration) pack(p *parcel, e *keyspace.Entry) {
	p.v = command.Taken{Typ: e.Type(), Enc: e.Encoding(), Deadline: e.Deadline()}
	if obj := e.Object(); obj != nil {
		p.v.Obj = obj.Copy()
	} else {
		p.v.Packed = slices.Clone(e.Packed())
	}
	if !m.copy {
		p.guard = m.s.Guard(m.db, &p.key)
	}
}

// unpack lets the value go.
func (p *parcel) unpack() {
	if p.v.Obj != nil {
		command.FreeAll(p.v.Obj)
	}
	p.v = command.Taken{}
}

// change runs f with the parcels' stripes locked; false: the server is a follower now
// that takes no writes, and f has not run.
func (m *migration) change(parcels []*parcel, f func(c *command.Ctx)) (ran bool) {
	if m.within != nil {
		f(m.within)
		return true
	}
	keys := make([]keyspace.Key, len(parcels))
	for i, p := range parcels {
		keys[i] = p.key
	}
	m.s.ChangeLater(m.by, m.db, keys, func(c *command.Ctx) { ran = true; f(c) })
	return ran
}

// fail makes text the reply, unless there is one.
func (m *migration) fail(text string) {
	if m.failure == "" {
		m.failure = text
	}
}

func (m *migration) run(w *wire.Writer) {
	defer m.end()
	todo := m.parcels
	for i := 0; i < migrateTries && len(todo) > 0; i++ {
		m.send(todo)
		todo = m.settle(todo)
	}
	if len(todo) > 0 {
		m.fail("IOERR the key changed too often while it was migrated, it is still here")
	}
	if m.failure == "" {
		w.OK()
		return
	}
	w.Error(m.failure)
}

// settle deletes what the target has, and returns what changed meanwhile: that
// is to be sent again. What the target did not acknowledge stays.
func (m *migration) settle(sent []*parcel) (again []*parcel) {
	if m.copy {
		return nil
	}
	for _, p := range sent {
		p.unpack()
	}
	ran := m.change(sent, func(c *command.Ctx) {
		changed := make([]bool, len(sent))
		for i, p := range sent { // all before the first deletion: a key may be named twice
			if p.guard != nil {
				changed[i] = p.guard.Changed()
				p.guard.Release(c.S)
				p.guard = nil
			}
		}
		del := [][]byte{delArg}
		for i, p := range sent {
			switch {
			case !p.acked || p.gone:
			case !changed[i]:
				if c.Delete(&p.key) {
					del = append(del, p.key.B)
					c.Notify('g', "del", &p.key)
				}
			default:
				if e := c.LookupNoTouch(&p.key); e.Exists() {
					m.pack(p, &e)
				} else {
					p.gone = true
				}
				p.there = true
				again = append(again, p)
			}
		}
		if n := len(del) - 1; n > 0 {
			c.Effect(del...)
			c.Dirty += n
		}
	})
	if !ran {
		m.fail(command.ErrReadOnly) // the target has them, and they are still here
	}
	return again
}

var delArg = []byte("DEL")

// end gives back what a migration holds, wherever it stopped.
func (m *migration) end() {
	for _, p := range m.parcels {
		switch {
		case p.guard == nil:
		case m.within != nil:
			p.guard.Release(m.s)
		default:
			p.guard.End(m.s)
		}
		p.unpack()
	}
}

// send sends the parcels and marks those that the target has acknowledged. A
// connection that was kept may be dead, so where nothing has been acknowledged
// there is a second try, with a new one.
func (m *migration) send(parcels []*parcel) {
	name := m.host + ":" + m.port
	l := m.links().take(name)
	for retry := false; ; retry = true {
		if l == nil {
			var failure string
			if l, failure = dialTarget(m.s, m.host, m.port, m.timeout); l == nil {
				m.fail(failure)
				return
			}
		}
		l.timeout = m.timeout
		answers, doing, err := m.exchange(l, parcels)
		if err == nil {
			m.links().put(name, l)
			return
		}
		l.Close()
		l = nil
		m.links().drop(name)
		if retry || answers > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			m.fail("IOERR error or timeout " + doing + " to target instance")
			return
		}
	}
}

// exchange sends the parcels through a connection and reads the answers. An
// error is one of the connection, met while doing something.
func (m *migration) exchange(l *link, parcels []*parcel) (answers int, doing string, err error) {
	for _, p := range parcels {
		p.sent, p.acked = false, false
	}
	if doing, err = m.introduce(l); err != nil || !l.selected {
		return 0, doing, err
	}
	for _, p := range parcels {
		if err = m.write(l, p); err != nil {
			return 0, "writing", err
		}
	}
	if err = l.w.Flush(); err != nil {
		return 0, "writing", err
	}
	for _, p := range parcels {
		if !p.sent {
			continue
		}
		failure, err := l.answer()
		if err != nil {
			return answers, "reading", err
		}
		answers++
		if p.acked = failure == ""; !p.acked {
			l.selected = false // it is not known why the target refused
			m.refused(failure)
		}
	}
	return answers, "", nil
}

// introduce authenticates and selects the database. Nothing is sent to a target
// that refuses: it would go to another database, or in another's name.
func (m *migration) introduce(l *link) (doing string, err error) {
	asked := 0
	if m.auth != nil {
		asked++
		err = l.command(append([][]byte{[]byte("AUTH")}, m.auth...)...)
	}
	if err == nil && !(l.selected && l.db == m.to) {
		asked++
		err = l.command([]byte("SELECT"), command.IntArg(m.to))
	}
	if asked == 0 {
		return "", nil
	}
	if err == nil {
		err = l.w.Flush()
	}
	if err != nil {
		return "writing", err
	}
	refused := ""
	for range asked {
		failure, err := l.answer()
		if err != nil {
			return "reading", err
		}
		if refused == "" {
			refused = failure
		}
	}
	if l.db, l.selected = m.to, refused == ""; !l.selected {
		m.refused(refused)
	}
	return "", nil
}

func (m *migration) refused(text string) {
	m.fail("ERR Target instance replied with error: " + text)
}

// write sends one parcel: RESTORE, or DEL where the target must forget it.
func (m *migration) write(l *link, p *parcel) error {
	ttl := int64(0)
	if !p.gone && p.v.Deadline != 0 {
		if ttl = p.v.Deadline - time.Now().UnixMilli(); ttl < 0 {
			if !p.there {
				return nil // it expires here
			}
			p.gone = true
		}
		ttl = max(ttl, 1)
	}
	p.sent = true
	if p.gone {
		return l.command(delArg, p.key.B)
	}
	args := [][]byte{[]byte("RESTORE"), p.key.B, command.IntArg(ttl), rdb.AppendDump(nil, true, p.v.Typ, p.v.Enc, p.v.Packed, p.v.Obj)}
	if m.replace || p.there {
		args = append(args, []byte("REPLACE"))
	}
	return l.command(args...)
}

// link is a connection to a target. It belongs to one migration at a time.
type link struct {
	net.Conn
	name     string
	db       int64 // in use there, if selected
	selected bool
	used     time.Time
	timeout  time.Duration // of each read and of each chunk written
	r        *bufio.Reader
	w        *bufio.Writer
}

// dialTarget connects; l is nil where that fails, with the error to reply.
func dialTarget(s *command.Server, host, port string, timeout time.Duration) (l *link, failure string) {
	const failed = "IOERR error or timeout connecting to the client"
	if host == "" {
		return nil, failed // to the dialer that would be this machine
	}
	n, _ := strconv.Atoi(port) // what is no number is 0, and what is too big is cut, as in C
	d := net.Dialer{Timeout: timeout}
	if ip := net.ParseIP(s.Config.BindSourceAddr.Load()); ip != nil { // bind-source-addr
		d.LocalAddr = &net.TCPAddr{IP: ip}
	}
	conn, err := d.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(int(uint16(n)))))
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, "IOERR error or timeout writing to target instance" // Redis finds out only then
	case err != nil:
		return nil, failed
	}
	if s.Config.TLSCluster.Load() && s.DialTLS != nil {
		if conn, err = s.DialTLS(conn, timeout); err != nil {
			return nil, failed
		}
	}
	l = &link{Conn: conn}
	l.r, l.w = bufio.NewReader(l), bufio.NewWriterSize(l, migrateChunk/4)
	return l, ""
}

// Read reads within the timeout.
func (l *link) Read(b []byte) (int, error) {
	if err := l.SetReadDeadline(time.Now().Add(l.timeout)); err != nil {
		return 0, err
	}
	return l.Conn.Read(b)
}

// Write writes; the timeout is for each chunk.
func (l *link) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		if err = l.SetWriteDeadline(time.Now().Add(l.timeout)); err == nil {
			var k int
			k, err = l.Conn.Write(b[n:min(len(b), n+migrateChunk)])
			n += k
		}
	}
	return n, err
}

// command buffers a command.
func (l *link) command(args ...[]byte) error {
	head := func(kind byte, n int) { l.w.Write(wire.AppendHeader(l.w.AvailableBuffer(), kind, int64(n))) }
	head('*', len(args))
	for _, a := range args {
		head('$', len(a))
		l.w.Write(a)
		l.w.WriteString("\r\n")
	}
	_, err := l.w.Write(nil) // the first error, if there was one
	return err
}

var errNoServer = errors.New("what the target says is not the protocol")

// answer reads a reply of one line; failure is its text if it is an error.
func (l *link) answer() (failure string, err error) {
	line, err := l.r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	switch {
	case len(line) > 1 && line[0] == '-':
		return string(line[1:]), nil
	case len(line) > 0 && (line[0] == '+' || line[0] == ':'):
		return "", nil
	}
	return "", errNoServer
}

// links are connections that are kept for the next migration to the same
// target.
type links struct {
	kept  *atomic.Int64                  // how many there are, for INFO
	mu    lockrank.Mutex[lockrank.Links] // protects what follows; held for moments, over no I/O but Close
	idle  []*link                        // by the time of their last use
	timer *time.Timer
}

const (
	linksMax  = 64
	linksKept = 10 * time.Second // after the last use
)

func newLinks(s *command.Server) *links { return &links{kept: &s.Stats.KeptLinks} }

func (m *migration) links() *links { return command.Part(m.s, newLinks) }

// unlock counts what is kept, and unlocks.
func (k *links) unlock() {
	k.kept.Store(int64(len(k.idle)))
	k.mu.Unlock()
}

// take takes a connection to the target out. It returns nil if there is none.
func (k *links) take(name string) *link {
	k.mu.Lock()
	defer k.unlock()
	for i := len(k.idle) - 1; i >= 0; i-- {
		if l := k.idle[i]; l.name == name {
			k.idle = slices.Delete(k.idle, i, i+1)
			return l
		}
	}
	return nil
}

// put keeps a connection that is in order.
func (k *links) put(name string, l *link) {
	if l.r.Buffered() > 0 {
		l.Close() // it said more than it was asked
		return
	}
	k.mu.Lock()
	defer k.unlock()
	l.name, l.used = name, time.Now()
	k.idle = append(k.idle, l)
	if len(k.idle) > linksMax {
		k.idle[0].Close()
		k.idle = slices.Delete(k.idle, 0, 1)
	}
	if k.timer == nil {
		k.timer = time.AfterFunc(linksKept, func() { k.expire(time.Now()) })
	}
}

// drop closes all connections to a target, one of which has failed.
func (k *links) drop(name string) {
	k.mu.Lock()
	defer k.unlock()
	k.idle = slices.DeleteFunc(k.idle, func(l *link) bool {
		if l.name == name {
			l.Close()
		}
		return l.name == name
	})
}

// expire closes what has not been used for linksKept, and sets the timer for
// what is left.
func (k *links) expire(now time.Time) {
	k.mu.Lock()
	defer k.unlock()
	k.idle = slices.DeleteFunc(k.idle, func(l *link) bool {
		old := now.Sub(l.used) >= linksKept
		if old {
			l.Close()
		}
		return old
	})
	if len(k.idle) == 0 {
		k.timer = nil
		return
	}
	k.timer.Reset(linksKept - now.Sub(k.idle[0].used))
}

// migrateSecrets is Row.Secret of MIGRATE.
func migrateSecrets(_ *command.Server, args [][]byte) (pos []int) {
	for i := 6; i < len(args); i++ {
		switch {
		case command.EqualFold(args[i], "auth"):
			pos = command.Hide(pos, args, i+1, i+2)
			i++
		case command.EqualFold(args[i], "auth2"):
			pos = command.Hide(pos, args, i+1, i+3)
			i += 2
		case command.EqualFold(args[i], "keys"):
			return pos
		}
	}
	return pos
}
