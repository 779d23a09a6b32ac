package tests

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

// TestMemcachedUnixSocket: clients of memcached come in over a Unix socket, and what takes
// the server a moment (a new limit) is answered in their words.
func TestMemcachedUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mc.sock")
	s := harness.StartKVD(t, "--memcached-unixsocket", path)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(60 * time.Second))
	exchangeRaw(t, c, "set a 5 0 1\r\nx\r\nget a\r\n", "STORED\r\nVALUE a 5 1\r\nx\r\nEND\r\n")
	exchangeRaw(t, c, "cache_memlimit 100\r\nget a\r\n", "OK\r\nVALUE a 5 1\r\nx\r\nEND\r\n")
	exchangeRaw(t, c, "cache_memlimit 200 noreply\r\nget a\r\n", "VALUE a 5 1\r\nx\r\nEND\r\n")
	exchangeRaw(t, c, "verbosity 1\r\nverbosity 0 noreply\r\nget a\r\n", "OK\r\nVALUE a 5 1\r\nx\r\nEND\r\n")
	r := s.MustDial(t)
	// Who may not use CONFIG SET may not do so by other words.
	r.MustDo(t, "ACL", "SETUSER", "default", "-config|set")
	exchangeRaw(t, c, "cache_memlimit 300\r\n", "SERVER_ERROR NOPERM this user has no permissions to run the 'config|set' command\r\n")
	r.MustDo(t, "ACL", "SETUSER", "default", "+config|set")
	if got := r.MustDo(t, "CONFIG", "GET", "maxmemory").Strings(); len(got) != 2 || got[1] != "209715200" {
		t.Errorf("maxmemory: %v", got)
	}
	if list := r.MustDo(t, "CLIENT", "LIST").Str; !strings.Contains(list, " addr="+path+":0 ") {
		t.Errorf("clients: %s", list)
	}
}
