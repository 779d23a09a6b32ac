package tests

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

// fakeLeader synchronizes whoever asks, with one key, and then sends stream.
func fakeLeader(t *testing.T, stream []byte) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	// Database 0, "k" is "1", and no checksum.
	rdb := "REDIS0010\xfe\x00\x00\x01k\x011\xff" + strings.Repeat("\x00", 8)
	serve := func(nc net.Conn) {
		defer nc.Close()
		r := bufio.NewReader(nc)
		for {
			head, err := r.ReadString('\n')
			if err != nil {
				return
			}
			n, _ := strconv.Atoi(strings.Trim(head, "*\r\n"))
			var args []string
			for range n {
				size, _ := r.ReadString('\n')
				m, _ := strconv.Atoi(strings.Trim(size, "$\r\n"))
				b := make([]byte, m+2)
				if _, err := io.ReadFull(r, b); err != nil {
					return
				}
				args = append(args, strings.ToLower(string(b[:m])))
			}
			switch {
			case n == 0:
			case args[0] == "ping":
				fmt.Fprint(nc, "+PONG\r\n")
			case args[0] == "psync":
				fmt.Fprintf(nc, "+FULLRESYNC %s 100\r\n$%d\r\n%s", strings.Repeat("a", 40), len(rdb), rdb)
				nc.Write(stream)
			case args[0] == "replconf" && args[1] != "ack":
				fmt.Fprint(nc, "+OK\r\n")
			}
		}
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go serve(nc)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// TestLeaderStreamIsNoAdministrator: a leader's stream that holds what only an
// administrator may do ends the link, with an error that names the command. Nothing
// of it happens, nobody hangs, and the server can be told to lead and to save.
func TestLeaderStreamIsNoAdministrator(t *testing.T) {
	for _, line := range []string{"REPLICAOF NO ONE", "REPLICAOF 127.0.0.1 1", "SAVE", "BGSAVE", "BGREWRITEAOF", "DEBUG RELOAD", "DEBUG SLEEP 60", "SHUTDOWN NOSAVE",
		"SETRANGE big 4611686018427387904 x"} {
		t.Run(line, func(t *testing.T) {
			stream := harness.AppendCommand(nil, "SELECT", "0")
			stream = harness.AppendCommand(stream, strings.Fields(line)...)
			stream = harness.AppendCommand(stream, "SET", "after", "1")
			s := harness.StartKVD(t, "--save", "")
			c := s.MustDial(t)
			c.MustDo(t, "REPLICAOF", "127.0.0.1", strconv.Itoa(fakeLeader(t, stream)))
			name := strings.ToUpper(strings.Fields(line)[0])
			within(t, 20*time.Second, "the error in the log", func() bool { return strings.Contains(s.LogTail(), "the command '"+name+"' failed") })
			for _, then := range []string{"PING", "REPLICAOF NO ONE", "SET x 1", "BGSAVE", "GET k"} {
				done := make(chan string, 1)
				go func() {
					r, err := c.Do(strings.Fields(then)...)
					if err == nil && r.Err() != "" {
						err = fmt.Errorf("%s", r.Err())
					}
					done <- fmt.Sprint(err)
				}()
				select {
				case text := <-done:
					if text != "<nil>" {
						t.Errorf("%s: %s", then, text)
					}
				case <-time.After(10 * time.Second):
					t.Fatalf("%s hangs", then)
				}
			}
			if r := c.MustDo(t, "EXISTS", "after"); r.String() != c.MustDo(t, "EXISTS", "nothing").String() {
				t.Error("what came behind it was applied")
			}
		})
	}
}
