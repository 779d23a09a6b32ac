package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// appendCommand appends a request (an array of bulk strings) to dst.
func appendCommand(dst []byte, args ...string) []byte {
	dst = appendHead(dst, '*', len(args))
	for _, a := range args {
		dst = appendBulk(dst, a)
	}
	return dst
}

func appendHead(dst []byte, kind byte, n int) []byte {
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, '\r', '\n')
}

func appendBulk[T string | []byte](dst []byte, s T) []byte {
	dst = appendHead(dst, '$', len(s))
	dst = append(dst, s...)
	return append(dst, '\r', '\n')
}

// replies reads RESP2 replies without keeping them.
type replies struct {
	r        *bufio.Reader
	failed   int64  // error replies so far, nested ones too
	firstErr string // the first of them
}

func newReplies(r io.Reader) *replies { return &replies{r: bufio.NewReaderSize(r, 64<<10)} }

// head reads the first line of a reply: its kind and, for '$' and '*', its length; else text.
func (s *replies) head() (kind byte, n int, text string, err error) {
	line, err := s.r.ReadSlice('\n')
	if err != nil {
		return 0, 0, "", err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return 0, 0, "", fmt.Errorf("not a reply: %q", line)
	}
	kind, line = line[0], line[1:len(line)-2]
	switch kind {
	case '+', ':':
		return kind, 0, "", nil
	case '-':
		return kind, 0, string(line), nil
	case '$', '*':
		n, neg := 0, false
		for i, c := range line {
			if i == 0 && c == '-' {
				neg = true
				continue
			}
			if c < '0' || c > '9' {
				return 0, 0, "", fmt.Errorf("not a length: %q", line)
			}
			n = n*10 + int(c-'0')
		}
		if neg {
			n = -n
		}
		return kind, n, "", nil
	}
	return 0, 0, "", fmt.Errorf("not a reply: %q", line)
}

// skip reads n whole replies. Error replies are counted, not returned.
func (s *replies) skip(n int) error {
	for n -= s.plain(n); n > 0; n -= s.plain(n) {
		kind, size, text, err := s.head()
		if err != nil {
			return err
		}
		switch {
		case kind == '-':
			if s.failed++; s.failed == 1 {
				s.firstErr = text
			}
		case kind == '$' && size >= 0:
			if _, err := s.r.Discard(size + 2); err != nil {
				return err
			}
		case kind == '*' && size > 0:
			n += size
		}
		n--
	}
	return nil
}

// plain skips up to n replies that are in the buffer as a whole, and returns how many those were. It stops at
// whatever is not a plain success: the load must cost less than the servers that it measures.
func (s *replies) plain(n int) (skipped int) {
	b, _ := s.r.Peek(s.r.Buffered())
	used := 0
	for skipped < n {
		rest := b[used:]
		end := bytes.IndexByte(rest, '\n') + 1
		if end < 3 || rest[end-2] != '\r' {
			break
		}
		switch rest[0] {
		case '+', ':':
		case '$':
			size := 0
			for _, c := range rest[1 : end-2] {
				if c < '0' || c > '9' {
					size = len(rest)
					break
				}
				size = min(size*10+int(c-'0'), len(rest))
			}
			if end += size + 2; end > len(rest) {
				end = 0
			}
		default:
			end = 0
		}
		if end == 0 {
			break
		}
		used += end
		skipped++
	}
	_, _ = s.r.Discard(used)
	return skipped
}

// alike skips n replies as long as like. The last of them is to have the end of like: its last eight bytes, or
// all of it.
func (s *replies) alike(n int, like string) error {
	tail := like[max(0, len(like)-8):]
	if _, err := s.r.Discard(n*len(like) - len(tail)); err != nil {
		return err
	}
	var b [8]byte
	got := b[:len(tail)]
	if _, err := io.ReadFull(s.r, got); err != nil {
		return err
	}
	if string(got) != tail {
		return fmt.Errorf("a reply ends with %q, not with %q", got, tail)
	}
	return nil
}

// full reads len(p) bytes of a reply's body.
func (s *replies) full(p []byte) error {
	_, err := io.ReadFull(s.r, p)
	return err
}

// err reports error replies read so far.
func (s *replies) err() error {
	if s.failed == 0 {
		return nil
	}
	return fmt.Errorf("%d error replies, the first: %s", s.failed, s.firstErr)
}

// client is a plain connection for set-up and questions, one command at a time.
type client struct {
	c net.Conn
	r *bufio.Reader
}

// dial connects; everything on the connection must be done within limit.
func dial(addr string, limit time.Duration) (*client, error) {
	c, err := net.DialTimeout("tcp", addr, min(limit, 5*time.Second))
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		c.Close()
		return nil, err
	}
	return &client{c: c, r: bufio.NewReaderSize(c, 64<<10)}, nil
}

func (c *client) close() { c.c.Close() }

// text sends a command and returns a simple or bulk string or integer as text. An error reply is an error.
func (c *client) text(args ...string) (string, error) {
	if _, err := c.c.Write(appendCommand(nil, args...)); err != nil {
		return "", err
	}
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return "", errors.New("empty reply line")
	}
	switch line[0] {
	case '+', ':':
		return line[1:], nil
	case '-':
		return "", fmt.Errorf("%s: %s", args[0], line[1:])
	case '$':
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 {
			return "", fmt.Errorf("%s: reply %q", args[0], line)
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return "", err
		}
		return string(b[:n]), nil
	}
	return "", fmt.Errorf("%s: reply %q", args[0], line)
}

// integer is text for commands that answer a number.
func (c *client) integer(args ...string) (int64, error) {
	s, err := c.text(args...)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(s, 10, 64)
}

// infoField finds "name:value" in an INFO reply.
func infoField(info, name string) (string, bool) {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}
