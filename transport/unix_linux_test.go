package transport

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"
)

// TestUnixRights: nobody can connect to a unix socket before it has the rights
// that it is to have, or after these could not be set.
func TestUnixRights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	called := false
	l, err := newTransport(nil).(*loops).listen(fd, &syscall.SockaddrUnix{Name: path}, 16, func() error {
		called = true
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			t.Error("one can connect already")
		}
		return nil
	})
	if err != nil || !called {
		t.Fatal(err, called)
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	l.Close()
}
