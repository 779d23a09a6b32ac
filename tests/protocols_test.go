package tests

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kvd/tests/harness"
)

// dialRaw is a connection to a port of another protocol.
func dialRaw(t *testing.T, port int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(60 * time.Second))
	return c
}

// exchangeRaw sends bytes and wants others.
func exchangeRaw(t *testing.T, c net.Conn, send, want string) {
	t.Helper()
	if _, err := io.WriteString(c, send); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("%.100q: %q, wanted %q: %v", send, got[:n], want, err)
	}
}

// tyrantGet and tyrantPut are requests of Tokyo Tyrant's binary protocol; tyrantValue is the
// reply to the first.
func tyrantGet(key string) string { return "\xc8\x30" + tyrantInt(len(key)) + key }
func tyrantPut(key, value string) string {
	return "\xc8\x10" + tyrantInt(len(key)) + tyrantInt(len(value)) + key + value
}
func tyrantValue(v string) string { return "\x00" + tyrantInt(len(v)) + v }
func tyrantInt(n int) string      { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }

// TestProtocols: what a client of one protocol writes, those of the others read: at the
// leader, at a follower, after a restart, and from redis-server that loads the log. The
// protocols are spoken by hand.
func TestProtocols(t *testing.T) {
	ports := make([]int, 4)
	for i := range ports {
		var err error
		if ports[i], err = harness.FreePort(); err != nil {
			t.Fatal(err)
		}
	}
	front := func(i int) []string {
		return []string{"--memcached-port", fmt.Sprint(ports[i]), "--tyrant-port", fmt.Sprint(ports[i+1]), "--repl-diskless-sync-delay", "0", "--appendonly", "yes", "--appendfsync", "always", "--ordered-keys", "yes"}
	}
	leader := harness.StartKVD(t, front(0)...)
	follower := harness.StartKVD(t, front(2)...)
	host, port, _ := net.SplitHostPort(leader.Addr)
	r, f := leader.MustDial(t), follower.MustDial(t)
	f.MustDo(t, "REPLICAOF", host, port)

	m, y := dialRaw(t, ports[0]), dialRaw(t, ports[1])
	r.MustDo(t, "SET", "resp", "by redis")
	exchangeRaw(t, m, "set memc 7 0 12\r\nby memcached\r\n", "STORED\r\n")
	exchangeRaw(t, y, tyrantPut("tyr", "by tyrant"), "\x00")
	exchangeRaw(t, m, "set n 0 0 2\r\n10\r\nincr n 5\r\n", "STORED\r\n15\r\n")
	r.MustDo(t, "INCRBY", "n", "5")
	exchangeRaw(t, y, tyrantGet("n"), tyrantValue("20"))
	exchangeRaw(t, m, "append tyr 0 0 1\r\n!\r\n", "STORED\r\n")
	r.MustDo(t, "HSET", "h", "b", "2", "a", "1")

	read := func(s *harness.Server, memc, tyr int) {
		t.Helper()
		r, m, y := s.MustDial(t), dialRaw(t, memc), dialRaw(t, tyr)
		for _, v := range [][2]string{{"resp", "by redis"}, {"memc", "by memcached"}, {"tyr", "by tyrant!"}, {"n", "20"}} {
			if got := r.MustDo(t, "GET", v[0]).Str; got != v[1] {
				t.Errorf("GET %s: %s", v[0], got)
			}
			flags := 0
			if v[0] == "memc" {
				flags = 7
			}
			exchangeRaw(t, m, "get "+v[0]+"\r\n", fmt.Sprintf("VALUE %s %d %d\r\n%s\r\nEND\r\n", v[0], flags, len(v[1]), v[1]))
			exchangeRaw(t, y, tyrantGet(v[0]), tyrantValue(v[1]))
		}
		exchangeRaw(t, m, "get h\r\n", "END\r\n")
		exchangeRaw(t, y, tyrantGet("h"), "\x01")
		if got := fmt.Sprint(r.MustDo(t, "HRANGEBYLEX", "h", "-", "+").Strings()); got != "[a 1 b 2]" {
			t.Errorf("HRANGEBYLEX: %s", got)
		}
		if got := fmt.Sprint(r.MustDo(t, "KEYRANGE", "-", "+").Strings()); got != "[h memc n resp tyr]" {
			t.Errorf("KEYRANGE: %s", got)
		}
	}
	read(leader, ports[0], ports[1])
	for end := time.Now().Add(60 * time.Second); r.MustDo(t, "WAIT", "1", "1000").Int != 1; {
		if time.Now().After(end) {
			t.Fatal("no follower")
		}
	}
	read(follower, ports[2], ports[3])
	fm := dialRaw(t, ports[2])
	exchangeRaw(t, fm, "set x 0 0 1\r\n1\r\n", "SERVER_ERROR read only replica\r\n")
	exchangeRaw(t, dialRaw(t, ports[3]), tyrantPut("x", "1"), "\x01")
	if err := leader.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := leader.Restart(); err != nil {
		t.Fatal(err)
	}
	read(leader, ports[0], ports[1])

	bin, err := harness.RedisBinary()
	if err != nil {
		t.Skip("the log was not loaded by redis-server: ", err)
	}
	dir := t.TempDir() // the log is on the disk, and nobody writes
	if err := os.CopyFS(filepath.Join(dir, "appendonlydir"), os.DirFS(filepath.Join(leader.Dir, "appendonlydir"))); err != nil {
		t.Fatal(err)
	}
	redis, err := harness.Start("redis", bin, dir, "--appendonly", "yes", "--dir", dir)
	if err != nil {
		t.Fatal(err)
	}
	defer redis.Stop()
	c := redis.MustDial(t)
	if got := fmt.Sprintf("%s %s %d", c.MustDo(t, "MGET", "resp", "memc", "tyr", "n").Strings(), c.MustDo(t, "HGET", "h", "a").Str, c.MustDo(t, "DBSIZE").Int); got != "[by redis by memcached by tyrant! 20] 1 5" {
		t.Errorf("redis-server has %s", got)
	}
}
