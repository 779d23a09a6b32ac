package transfer

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"kvd/replica"
)

const (
	// aliveEvery is how often a server that is followed is told that this client lives.
	aliveEvery = time.Second
	// silence is how long such a server may send nothing: it sends a PING every 10 seconds.
	silence = time.Minute
)

// syncEvery is how much of a file is written between two syncs, in bytes, and seenEvery how
// long what comes slowly waits for one. Tests have less.
var (
	syncEvery int64 = 32 << 20
	seenEvery       = time.Second
)

// sourceLink is a server that this client follows.
type sourceLink struct {
	*conn
	history string // whose snapshot comes; empty: the stream goes on
	offset  int64  // its place there
}

// follow asks a server for its stream, from a place in its history on, or for all ("?" and -1).
func follow(a *Address, history string, offset int64) (*sourceLink, error) {
	c, err := a.dial()
	if err != nil {
		return nil, err
	}
	c.br.Reset(patientReader{c.Conn}) // nothing has come besides replies
	l := &sourceLink{conn: c}
	fail := func(err error) (*sourceLink, error) {
		c.Close()
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	_, err = c.do("REPLCONF", "capa", "eof", "capa", "psync2")
	if err == nil {
		if err = c.send("PSYNC", history, strconv.FormatInt(offset, 10)); err == nil {
			err = c.flush()
		}
	}
	if err != nil {
		return fail(err)
	}
	head, err := l.line()
	if err != nil {
		return fail(err)
	}
	words := strings.Fields(head)
	switch {
	case strings.HasPrefix(head, "+CONTINUE"):
		return l, nil
	case strings.HasPrefix(head, "+FULLRESYNC") && len(words) == 3:
		l.history = words[1]
		if l.offset, err = strconv.ParseInt(words[2], 10, 64); err == nil {
			return l, nil
		}
	}
	return fail(fmt.Errorf("its answer to PSYNC is %.200q; where it allows none, --scan reads it with SCAN", head))
}

// line is the next line that is not empty.
func (l *sourceLink) line() (string, error) {
	for {
		text, err := l.br.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		if s := strings.TrimRight(string(text), "\r\n"); s != "" {
			return s, nil
		}
	}
}

// patientReader gives up a connection that is silent.
type patientReader struct{ net.Conn }

func (p patientReader) Read(b []byte) (int, error) {
	p.SetReadDeadline(time.Now().Add(silence))
	return p.Conn.Read(b)
}

// snapshotBody begins the snapshot, and returns how long it is; 0: that is not known yet.
func (l *sourceLink) snapshotBody() (body io.Reader, total int64, err error) {
	head, err := l.line()
	if err != nil {
		return nil, 0, err
	}
	return replica.SnapshotBody(l.br, head)
}

// receiveSnapshot brings a snapshot into a file, which readers may follow: of what they
// see nothing is lost with the machine. It ends the file with io.EOF if all is there. told,
// if not nil, is called with how much there is.
func receiveSnapshot(body io.Reader, s *spool, told func(done int64)) error {
	buf := make([]byte, connBuffer)
	done, unsynced := int64(0), int64(0)
	seen := time.Now()
	var err error
	for err == nil {
		var n int
		n, err = body.Read(buf)
		if _, werr := s.Write(buf[:n]); werr != nil {
			err = werr
			break
		}
		if done += int64(n); told != nil {
			told(done)
		}
		if unsynced += int64(n); err == io.EOF || err == nil && (unsynced >= syncEvery || time.Since(seen) >= seenEvery) {
			if serr := s.Sync(); serr != nil {
				err = serr
				break
			}
			s.grow(unsynced)
			unsynced, seen = 0, time.Now()
		}
	}
	s.end(err)
	if err == io.EOF {
		return nil
	}
	return err
}

// receiveStream puts the stream into a spool until the connection ends, and returns why it
// did. The server is told that this client lives, but never that it has anything: what it
// has is not on a disk of a follower, and WAIT is not to count it.
func (l *sourceLink) receiveStream(s *spool) error {
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		tick := time.NewTicker(aliveEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if l.send("REPLCONF", "ACK", "0") != nil || l.flush() != nil {
					return
				}
			}
		}
	}()
	buf := make([]byte, connBuffer)
	for {
		n, err := l.br.Read(buf)
		if n > 0 {
			if err := s.put(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}
