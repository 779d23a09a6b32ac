package harness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Reply is one reply, as bytes and as a tree.
//
// Kind is the type byte of the protocol: + - : $ * of RESP2 and _ # , ( ! = % ~ > of RESP3.
// Elems holds a map's keys and values by turns. Int is set for ':' alone. An attribute that
// precedes a reply is part of its Raw and of nothing else.
type Reply struct {
	Kind  byte
	Null  bool
	Str   string
	Int   int64
	Elems []Reply
	Raw   []byte

	from, to int // Raw's place in the bytes of the whole reply, until they are all read
}

// Err is the text of an error reply, and empty for every other.
func (r Reply) Err() string {
	if r.Kind == '-' || r.Kind == '!' {
		return r.Str
	}
	return ""
}

// Strings are the texts of an aggregate's elements.
func (r Reply) Strings() []string {
	out := make([]string, len(r.Elems))
	for i, e := range r.Elems {
		out[i] = e.Str
	}
	return out
}

// String shows the reply's bytes on one line, shortened to 600 bytes.
func (r Reply) String() string {
	if len(r.Raw) > 600 {
		return fmt.Sprintf("%s... (%d bytes)", strconv.Quote(string(r.Raw[:600])), len(r.Raw))
	}
	return strconv.Quote(string(r.Raw))
}

// Bounds on what a server under test can make the client read.
const (
	maxReplyLen   = 1 << 30
	maxReplyDepth = 1 << 14
)

// Conn is a client's connection. One goroutine uses it at a time.
type Conn struct {
	net.Conn
	Timeout time.Duration // for each reply and each flush

	br  *bufio.Reader
	bw  *bufio.Writer
	raw []byte
}

// Dial connects to host:port.
func Dial(addr string) (*Conn, error) {
	nc, err := net.DialTimeout("tcp", addr, 20*time.Second)
	if err != nil {
		return nil, err
	}
	return NewConn(nc), nil
}

// NewConn makes a Conn of a connection, with a Timeout of 20 seconds.
func NewConn(nc net.Conn) *Conn {
	return &Conn{Conn: nc, Timeout: 20 * time.Second, br: bufio.NewReaderSize(nc, 64<<10), bw: bufio.NewWriterSize(nc, 64<<10)}
}

// AppendCommand appends a request, as an array of bulk strings.
func AppendCommand(b []byte, args ...string) []byte {
	b = append(b, '*')
	b = strconv.AppendInt(b, int64(len(args)), 10)
	b = append(b, "\r\n"...)
	for _, a := range args {
		b = append(b, '$')
		b = strconv.AppendInt(b, int64(len(a)), 10)
		b = append(b, "\r\n"...)
		b = append(b, a...)
		b = append(b, "\r\n"...)
	}
	return b
}

// Send puts a request into the output buffer.
func (c *Conn) Send(args ...string) error {
	c.SetWriteDeadline(time.Now().Add(c.Timeout))
	_, err := c.bw.Write(AppendCommand(nil, args...))
	return err
}

// Flush sends what Send has put into the output buffer.
func (c *Conn) Flush() error {
	c.SetWriteDeadline(time.Now().Add(c.Timeout))
	return c.bw.Flush()
}

// Do sends one request and reads one reply. An error reply is a Reply, not an error.
func (c *Conn) Do(args ...string) (Reply, error) {
	if err := c.Send(args...); err != nil {
		return Reply{}, err
	}
	if err := c.Flush(); err != nil {
		return Reply{}, err
	}
	return c.Receive()
}

// Receive reads one reply or push message.
func (c *Conn) Receive() (Reply, error) {
	c.SetReadDeadline(time.Now().Add(c.Timeout))
	c.raw = c.raw[:0]
	r, err := c.read(0)
	if err != nil {
		return Reply{}, err
	}
	r.resolve([]byte(string(c.raw)))
	return r, nil
}

func (r *Reply) resolve(whole []byte) {
	r.Raw = whole[r.from:r.to]
	for i := range r.Elems {
		r.Elems[i].resolve(whole)
	}
}

// line reads up to and including CR LF and returns what stands before it.
func (c *Conn) line() (string, error) {
	start := len(c.raw)
	for {
		part, err := c.br.ReadSlice('\n')
		c.raw = append(c.raw, part...)
		if len(c.raw)-start > maxReplyLen {
			return "", errors.New("reply: line without an end")
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return "", err
		}
		break
	}
	l := string(c.raw[start:])
	if !strings.HasSuffix(l, "\r\n") {
		return "", fmt.Errorf("reply: line ends without CR: %q", l)
	}
	return l[:len(l)-2], nil
}

func (c *Conn) read(depth int) (Reply, error) {
	if depth > maxReplyDepth {
		return Reply{}, errors.New("reply: too deep")
	}
	r := Reply{from: len(c.raw)}
	l, err := c.line()
	if err != nil {
		return r, err
	}
	if l == "" {
		return r, errors.New("reply: empty line")
	}
	r.Kind, r.Str = l[0], l[1:]
	switch r.Kind {
	case '+', '-', ',', '(':
	case '#':
		if r.Str != "t" && r.Str != "f" {
			err = fmt.Errorf("reply: boolean %q", l)
		}
	case '_':
		r.Null = true
		if r.Str != "" {
			err = fmt.Errorf("reply: null %q", l)
		}
	case ':':
		r.Int, err = strconv.ParseInt(r.Str, 10, 64)
	case '$', '!', '=':
		err = c.bulk(&r)
	case '*', '~', '>', '%', '|':
		err = c.aggregate(&r, depth)
	default:
		err = fmt.Errorf("reply: unknown type in %q", l)
	}
	r.to = len(c.raw)
	return r, err
}

func (c *Conn) bulk(r *Reply) error {
	n, err := strconv.Atoi(r.Str)
	if err != nil || n < -1 || n > maxReplyLen {
		return fmt.Errorf("reply: length %q", r.Str)
	}
	r.Str = ""
	if n == -1 {
		r.Null = true
		return nil
	}
	start := len(c.raw)
	c.raw = append(c.raw, make([]byte, n+2)...)
	if _, err := io.ReadFull(c.br, c.raw[start:]); err != nil {
		return err
	}
	if string(c.raw[start+n:]) != "\r\n" {
		return errors.New("reply: bulk string does not end where it said")
	}
	r.Str = string(c.raw[start : start+n])
	return nil
}

func (c *Conn) aggregate(r *Reply, depth int) error {
	n, err := strconv.Atoi(r.Str)
	if err != nil || n < -1 || n > maxReplyLen {
		return fmt.Errorf("reply: length %q", r.Str)
	}
	r.Str = ""
	if n == -1 {
		r.Null = true
		return nil
	}
	if r.Kind == '%' || r.Kind == '|' {
		n *= 2
	}
	for range n {
		e, err := c.read(depth + 1)
		if err != nil {
			return err
		}
		r.Elems = append(r.Elems, e)
	}
	if r.Kind == '|' { // the attribute belongs to the reply that follows
		e, err := c.read(depth + 1)
		e.from = r.from
		*r = e
		return err
	}
	return nil
}

// SkipSnapshot reads the contents that a leader sends behind its answer to PSYNC, in
// either form; the stream of commands follows.
func (c *Conn) SkipSnapshot() error {
	c.SetReadDeadline(time.Now().Add(c.Timeout))
	head := "\n"
	for strings.TrimSpace(head) == "" { // signs of life
		var err error
		if head, err = c.br.ReadString('\n'); err != nil {
			return err
		}
	}
	head = strings.TrimSpace(head)
	if mark, ok := strings.CutPrefix(head, "$EOF:"); ok {
		var last []byte
		for string(last) != mark {
			b, err := c.br.ReadByte()
			if err != nil {
				return err
			}
			if last = append(last, b); len(last) > len(mark) {
				last = last[1:]
			}
		}
		return nil
	}
	n, err := strconv.Atoi(strings.TrimPrefix(head, "$"))
	if err != nil || head[0] != '$' {
		return fmt.Errorf("snapshot: %q", head)
	}
	_, err = c.br.Discard(n)
	return err
}
