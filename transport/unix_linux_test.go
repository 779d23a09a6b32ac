package transport

import (
	"net"
	"os"
	"os/user"
	"path/filepath"
	"syscall"
	"testing"

	"kvd/config"
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

// TestUnixGroup: a unix socket belongs to the group of its directive, by name or number; one that is not there stops the start.
func TestUnixGroup(t *testing.T) {
	cfg := config.New()
	for _, name := range []string{"0", "root"} {
		if _, err := user.LookupGroup(name); err != nil && name != "0" {
			t.Skip(err)
		}
		if err := cfg.SetInitial("unixsocketgroup", []string{name}); err != nil {
			t.Fatal(err)
		}
		if r, err := unixRightsOf(cfg); err != nil || r.group != 0 || r.none() {
			t.Error(name, r, err)
		}
	}
	if err := cfg.SetInitial("unixsocketgroup", []string{"no such group"}); err != nil {
		t.Fatal(err)
	}
	if _, err := unixRightsOf(cfg); err == nil {
		t.Error("a group that is not there is taken")
	}
	groups, err := os.Getgroups() // those that this user may give a file to
	if os.Getuid() == 0 {
		groups = []int{4711}
	}
	if err != nil || len(groups) == 0 {
		t.Skip(err)
	}
	g := groups[len(groups)-1]
	for _, transport := range []transport{newTransport(nil), &goroutines{}} {
		path := filepath.Join(t.TempDir(), "s")
		if loops, ok := transport.(*loops); ok {
			loops.srv = &Server{cfg: cfg}
		}
		l, err := transport.listenUnix(path, unixRights{perm: 0o660, group: g})
		if err != nil {
			t.Fatal(err)
		}
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil || int(st.Gid) != g || st.Mode&0o777 != 0o660 {
			t.Errorf("%T: group %d, mode %o, %v; want %d, 660", transport, st.Gid, st.Mode, err, g)
		}
		l.Close()
	}
}
