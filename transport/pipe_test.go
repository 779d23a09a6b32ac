package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// What is written arrives, whatever the sizes, and an end that is closed is read out
// before EOF.
func TestPipe(t *testing.T) {
	a, b := Pipe("a", "b")
	if a.LocalAddr().String() != "a" || a.RemoteAddr().String() != "b" || b.LocalAddr().Network() != "memory" {
		t.Error("the ends have wrong addresses")
	}
	sent := bytes.Repeat([]byte("0123456789abcdef!"), 100_000) // much more than pipeRoom
	go func() {
		for rest, n := sent, 1; len(rest) > 0; n = n*3%70_001 + 1 {
			k := min(n, len(rest))
			if _, err := a.Write(rest[:k]); err != nil {
				t.Error(err)
			}
			rest = rest[k:]
		}
		a.Close()
	}()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d arrived, %v", len(got), len(sent), err)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("writing to an end that is closed: %v", err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading from a closed end: %v", err)
	}
}

// Deadlines end waits, those that are set during the wait too, and can be taken back.
func TestPipeDeadlines(t *testing.T) {
	a, b := Pipe("a", "b")
	read := func() error { _, err := b.Read(make([]byte, 1)); return err }
	b.SetReadDeadline(time.Now().Add(time.Millisecond))
	if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read past its deadline: %v", err)
	}
	b.SetReadDeadline(time.Time{})
	done := make(chan error)
	go func() { done <- read() }()
	b.SetReadDeadline(time.Unix(1, 0))
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read whose deadline came meanwhile: %v", err)
	}
	if n, err := a.Write(make([]byte, pipeRoom)); n != pipeRoom || err != nil {
		t.Errorf("a write that finds room: %d bytes, %v", n, err)
	}
	a.SetWriteDeadline(time.Now().Add(time.Millisecond))
	if n, err := a.Write([]byte("x")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write that nobody reads: %d bytes, %v", n, err)
	}
	var ne net.Error
	if !errors.As(os.ErrDeadlineExceeded, &ne) || !ne.Timeout() {
		t.Error("the error is no timeout")
	}
}
