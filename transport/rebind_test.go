package transport_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
	"kvd/transport"
)

// TestRebind changes port, bind and maxclients while the server runs.
func TestRebind(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		c := dial()
		r := bufio.NewReader(c)
		do := func(line string) string {
			t.Helper()
			if _, err := io.WriteString(c, line+"\r\n"); err != nil {
				t.Fatal(err)
			}
			got, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(got)
		}
		want := func(line, reply string) {
			t.Helper()
			if got := do(line); got != reply {
				t.Errorf("%s: %s, want %s", line, got, reply)
			}
		}
		serves := func(addr string) bool {
			t.Helper()
			n, err := net.Dial("tcp", addr)
			if err != nil {
				return false
			}
			defer n.Close()
			_ = n.SetDeadline(time.Now().Add(30 * time.Second))
			_, _ = io.WriteString(n, "PING\r\n")
			b := make([]byte, 7)
			_, err = io.ReadFull(n, b)
			return err == nil && string(b) == "+PONG\r\n"
		}
		// Ports that are free, and one that is not.
		var ports []int
		for range 3 {
			port, err := harness.FreePort()
			if err != nil {
				t.Fatal(err)
			}
			ports = append(ports, port)
		}
		taken, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", ports[2]))
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		at := func(host string, i int) string { return fmt.Sprintf("%s:%d", host, ports[i]) }
		want(fmt.Sprintf("config set bind 127.0.0.1 port %d", ports[0]), "+OK")
		if !serves(at("127.0.0.1", 0)) {
			t.Error("the first port does not serve")
		}
		want(fmt.Sprintf("config set port %d", ports[1]), "+OK")
		if !serves(at("127.0.0.1", 1)) || serves(at("127.0.0.1", 0)) {
			t.Error("the port was not changed")
		}
		want(fmt.Sprintf("config set port %d", ports[2]), "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.")
		if !serves(at("127.0.0.1", 1)) {
			t.Error("the old port is gone after a failure")
		}
		want(`config set bind "127.0.0.1 127.0.0.2"`, "+OK")
		if !serves(at("127.0.0.1", 1)) || !serves(at("127.0.0.2", 1)) {
			t.Error("an address was not added")
		}
		want(`config set bind 192.0.2.1`, "-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses.")
		if !serves(at("127.0.0.1", 1)) || !serves(at("127.0.0.2", 1)) {
			t.Error("the old addresses are gone after a failure")
		}
		// The wildcard covers an address that is bound already.
		want(`config set bind *`, "+OK")
		if !serves(at("127.0.0.1", 1)) || !serves(at("127.0.0.3", 1)) {
			t.Error("the wildcard does not serve")
		}
		want(`config set bind 127.0.0.1`, "+OK")
		if !serves(at("127.0.0.1", 1)) || serves(at("127.0.0.3", 1)) {
			t.Error("the wildcard serves still")
		}
		want("config set port 0", "+OK")
		if serves(at("127.0.0.1", 1)) {
			t.Error("port 0 serves still")
		}
		want(fmt.Sprintf("config set port %d", ports[1]), "+OK")
		if !serves(at("127.0.0.1", 1)) {
			t.Error("the port does not serve again")
		}
		// No system has so many files.
		if got := do("config set maxclients 4294967295"); !strings.Contains(got, "not able to handle the specified number of clients, try with ") {
			t.Error(got)
		}
		want("config set maxclients 100", "+OK")
		want("ping", "+PONG")
	})
}
