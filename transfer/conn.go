package transfer

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"kvd/resp/wire"
)

const (
	// dialTimeout is how long a server has to answer a new connection.
	dialTimeout = 10 * time.Second
	// replyTimeout is how long a server may take for a reply: a command before it may be
	// long, and the server may be loading or saving.
	replyTimeout = 5 * time.Minute
	connBuffer   = 256 << 10
	// bulkMax is the longest string of a reply, in bytes, and depthMax how deep arrays nest.
	bulkMax  = 1 << 30
	depthMax = 32
)

// Address is where a server is, and as whom it is spoken to.
type Address struct {
	network, host  string
	user, password string
	tls            *tls.Config // nil: none
	imports        bool        // connections say that they bring the data; see import-mode
}

// IsAddress tells whether text names a server, and no file.
func IsAddress(text string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	return ok && (scheme == "redis" || scheme == "rediss" || scheme == "unix")
}

// ParseAddress reads redis://[user:password@]host[:port], rediss:// for TLS, or
// unix:///path. login, "password" or "user:password", stands in for one that the text
// does not have.
func ParseAddress(text, login string) (*Address, error) {
	u, err := url.Parse(text)
	if err != nil || !IsAddress(text) {
		return nil, fmt.Errorf("%.80q is no address: redis://[user:password@]host[:port], rediss://... or unix:///path", text)
	}
	a := &Address{network: "tcp", host: u.Host, user: u.User.Username()}
	a.password, _ = u.User.Password()
	if u.User == nil {
		if user, password, ok := strings.Cut(login, ":"); ok {
			a.user, a.password = user, password
		} else {
			a.password = login
		}
	}
	if u.Scheme == "unix" {
		a.network, a.host = "unix", u.Path
		return a, nil
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return nil, fmt.Errorf("%s: all databases are meant, so the address ends behind the port", u.Redacted())
	}
	if u.Port() == "" {
		a.host = net.JoinHostPort(u.Hostname(), "6379")
	}
	if u.Scheme == "rediss" {
		a.tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	}
	return a, nil
}

// String is the address without a password.
func (a *Address) String() string { return a.host }

// conn is a connection to a server, in RESP2. One goroutine sends, and one receives.
type conn struct {
	net.Conn
	br *bufio.Reader
	bw *bufio.Writer
	db int // that is selected; -1: nobody knows
}

func newConn(nc net.Conn) *conn {
	return &conn{Conn: nc, br: bufio.NewReaderSize(nc, connBuffer), bw: bufio.NewWriterSize(nc, connBuffer)}
}

// dial connects and logs in.
func (a *Address) dial() (*conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	nc, err := d.Dial(a.network, a.host)
	if err != nil {
		return nil, err
	}
	if a.tls != nil {
		t := tls.Client(nc, a.tls)
		t.SetDeadline(time.Now().Add(dialTimeout))
		if err := t.Handshake(); err != nil {
			nc.Close()
			return nil, fmt.Errorf("%s: %w", a, err)
		}
		t.SetDeadline(time.Time{})
		nc = t
	}
	c := newConn(nc)
	if a.password != "" {
		args := []string{"AUTH", a.password}
		if a.user != "" {
			args = []string{"AUTH", a.user, a.password}
		}
		if _, err := c.do(args...); err != nil {
			c.Close()
			return nil, fmt.Errorf("%s: %w", a, err)
		}
	}
	if _, err := c.do("PING"); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	if a.imports {
		if _, err := c.do("CLIENT", "IMPORT-SOURCE", "ON"); err != nil {
			c.Close()
			return nil, fmt.Errorf("%s: %w", a, err)
		}
	}
	return c, nil
}

// reply is a reply.
type reply struct {
	kind  byte // of the protocol: + - : $ *
	null  bool
	str   []byte
	n     int64
	elems []reply
}

// replyError is what a server has replied instead.
type replyError string

func (e replyError) Error() string { return string(e) }

// err is the reply's error, if it is one.
func (r *reply) err() error {
	if r.kind == '-' {
		return replyError(r.str)
	}
	return nil
}

// send puts a command behind what is to be sent.
func (c *conn) send(args ...string) error {
	_, err := c.bw.Write(wire.AppendCommand(nil, args...))
	return err
}

func (c *conn) flush() error {
	c.SetWriteDeadline(time.Now().Add(replyTimeout))
	return c.bw.Flush()
}

// do sends a command and waits for its reply, whose error it returns.
func (c *conn) do(args ...string) (reply, error) {
	if err := c.send(args...); err != nil {
		return reply{}, err
	}
	if err := c.flush(); err != nil {
		return reply{}, err
	}
	r, err := c.receive()
	if err == nil {
		err = r.err()
	}
	return r, err
}

// use selects a database.
func (c *conn) use(db int) error {
	if c.db == db {
		return nil
	}
	_, err := c.do("SELECT", strconv.Itoa(db))
	if err == nil {
		c.db = db
	}
	return err
}

// receive reads a reply. The error is not the reply's.
func (c *conn) receive() (reply, error) {
	c.SetReadDeadline(time.Now().Add(replyTimeout))
	return c.value(0)
}

var textOK, textQueued = []byte("OK"), []byte("QUEUED")

var errReply = errors.New("the server's reply is not understood")

func (c *conn) value(depth int) (r reply, err error) {
	line, err := c.br.ReadSlice('\n')
	if err != nil {
		return r, err
	}
	if len(line) < 3 || depth > depthMax {
		return r, errReply
	}
	r.kind, line = line[0], line[1:len(line)-2]
	if r.kind == '+' || r.kind == '-' {
		switch string(line) { // what comes for every key and command is not copied each time
		case "OK":
			r.str = textOK
		case "QUEUED":
			r.str = textQueued
		default:
			r.str = append([]byte(nil), line...)
		}
		return r, nil
	}
	n, ok := wire.ParseInt(line)
	if !ok {
		return r, errReply
	}
	switch r.kind {
	case ':':
		r.n = n
	case '$':
		if r.null = n < 0; r.null {
			return r, nil
		}
		if n > bulkMax {
			return r, fmt.Errorf("the server's reply has a string of %d bytes", n)
		}
		r.str = make([]byte, n)
		if _, err = io.ReadFull(c.br, r.str); err == nil {
			_, err = c.br.Discard(2)
		}
		return r, err
	case '*':
		r.null = n < 0
		if n > 0 {
			r.elems = make([]reply, 0, min(n, unitCommands+4))
		}
		for ; n > 0; n-- {
			e, err := c.value(depth + 1)
			if err != nil {
				return r, err
			}
			r.elems = append(r.elems, e)
		}
	default:
		return r, errReply
	}
	return r, nil
}

// fatal tells whether a server's error says that it takes nothing more from this client
// now, however often it is tried, and so none of the keys behind it either.
func fatal(err error) bool {
	var e replyError
	if !errors.As(err, &e) {
		return err != nil
	}
	word, _, _ := strings.Cut(string(e), " ")
	switch word {
	case "OOM", "MISCONF", "READONLY", "NOAUTH", "NOPERM", "LOADING", "MASTERDOWN", "NOREPLICAS", "BUSY", "CLUSTERDOWN", "MOVED":
		return true
	}
	return false
}
