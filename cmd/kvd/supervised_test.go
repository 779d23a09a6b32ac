package main

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kvd/config"
	"kvd/logf"
)

// TestSupervised: systemd is told when the server is ready and when it ends, by a path or an abstract name, and
// nobody where nobody waits for it.
func TestSupervised(t *testing.T) {
	said := func(mode, socket string, u *net.UnixConn) string {
		t.Setenv("NOTIFY_SOCKET", socket)
		cfg := config.New()
		if err := cfg.SetInitial("supervised", []string{mode}); err != nil {
			t.Fatal(err)
		}
		s := newSupervisor(cfg, logf.NewWriter(io.Discard, logf.Nothing))
		s.ready()
		s.stopping()
		got := ""
		b := make([]byte, 4096)
		for {
			wait := 10 * time.Second
			if mode == "no" || strings.HasSuffix(got, "STOPPING=1\n") { // nothing more is to come
				wait = 200 * time.Millisecond
			}
			u.SetReadDeadline(time.Now().Add(wait))
			n, err := u.Read(b)
			if err != nil {
				return got
			}
			got += string(b[:n])
		}
	}
	path := filepath.Join(t.TempDir(), "n")
	for name, socket := range map[string]string{path: path, "\x00kvd-test-" + filepath.Base(t.TempDir()) + path: ""} {
		u, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Skip(err) // no abstract names here
		}
		defer u.Close()
		if socket == "" {
			socket = "@" + name[1:]
		}
		for _, mode := range []string{"systemd", "auto"} {
			if got := said(mode, socket, u); got != "STATUS=Ready to accept connections\nREADY=1\nSTOPPING=1\n" {
				t.Errorf("%s at %q is told %q", mode, socket, got)
			}
		}
		if got := said("no", socket, u); got != "" {
			t.Errorf("with no supervision somebody is told %q", got)
		}
	}
}
