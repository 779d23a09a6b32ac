package command

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// notedConn is a transport that only notes what is asked of it.
type notedConn struct {
	mu        sync.Mutex
	killed    int
	delivered []string
}

func (f *notedConn) Kill(bool) {
	f.mu.Lock()
	f.killed++
	f.mu.Unlock()
}

func (f *notedConn) Deliver(parts ...[]byte) {
	reply := slices.Concat(parts...)
	f.mu.Lock()
	f.delivered = append(f.delivered, string(reply))
	f.mu.Unlock()
}

func (f *notedConn) Push([]byte) {}

func (f *notedConn) Hijack(func(net.Conn, []byte)) {}

func (f *notedConn) deliveries() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.delivered)
}

func (s *testServer) config(name, value string) {
	s.t.Helper()
	if got := s.do("config", "set", name, value); got != "+OK\r\n" {
		s.t.Fatalf("CONFIG SET %s: %q", name, got)
	}
}

func TestAuth(t *testing.T) {
	s := newTestServer(t)
	s.want("auth x", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\n")
	s.want("auth default x", "+OK\n")
	s.config("requirepass", "secret")
	s.want("echo a", "$1\na\n") // who was in stays in
	s.c = s.NewClient(nil, "127.0.0.1:3", "127.0.0.1:2", 4)
	s.want("echo a", "-NOAUTH Authentication required.\n")
	s.want("hello 3", "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time\n")
	s.want("auth wrong", "-WRONGPASS invalid username-password pair or user is disabled.\n")
	s.want("auth root secret", "-WRONGPASS invalid username-password pair or user is disabled.\n")
	s.want("auth a b c", "-ERR syntax error\n")
	s.want("auth secret", "+OK\n")
	s.want("echo a", "$1\na\n")
	s.want("reset", "+RESET\n")
	s.want("echo a", "-NOAUTH Authentication required.\n")
	if got := s.run("hello 3 auth default secret setname me"); !strings.HasPrefix(got, "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n") {
		t.Errorf("HELLO: %q", got)
	}
	s.want("client getname", "$2\nme\n")
	s.want("client trackinginfo", "%3\n$5\nflags\n~1\n$3\noff\n$8\nredirect\n:-1\n$8\nprefixes\n*0\n")
}

func TestSelectAndReset(t *testing.T) {
	s := newTestServer(t)
	s.want("select 16", "-ERR DB index is out of range\n")
	s.want("select x", "-ERR value is not an integer or out of range\n")
	s.want("select 3", "+OK\n")
	s.want("set a 1", "+OK\n")
	s.want("multi", "+OK\n")
	s.want("client no-touch on", "+QUEUED\n")
	s.want("reset", "+RESET\n")
	s.want("exec", "-ERR EXEC without MULTI\n")
	s.want("get a", "$-1\n")
	s.want("dbsize", ":0\n")
}

func TestClientReply(t *testing.T) {
	s := newTestServer(t)
	s.want("client reply skip", "")
	s.want("ping", "")
	s.want("ping", "+PONG\n")
	s.want("client reply off", "")
	s.want("ping", "")
	s.want("client reply skip", "")
	s.want("quit", "")
	s.want("client reply on", "+OK\n")
	s.want("ping", "+PONG\n")
}

func TestClientList(t *testing.T) {
	s := newTestServer(t)
	other := s.NewClient(nil, "10.0.0.1:5", "127.0.0.1:2", 9)
	s.do("client", "setname", "first")
	s.do("client", "setinfo", "LIB-NAME", "lib")
	s.do("client", "setinfo", "lib-ver", "1.0")
	s.run("multi")
	s.run("echo 12345")
	s.run("client list")
	got := s.run("exec")
	for _, want := range []string{"id=1 addr=127.0.0.1:1 laddr=127.0.0.1:2 fd=3 name=first age=", " flags=N db=0 ", " multi=-1 qbuf=26 ",
		" cmd=exec user=default redir=-1 resp=2 lib-name=lib lib-ver=1.0 watch=0 ", "\nid=2 addr=10.0.0.1:5 ", " cmd=NULL "} {
		if !strings.Contains(got, want) {
			t.Errorf("CLIENT LIST: %q lacks %q", got, want)
		}
	}
	// The age is in whole seconds, whichever second the clock is in.
	s.c.Created = time.Now().Truncate(time.Second).Add(-time.Nanosecond)
	least := time.Since(s.c.Created) / time.Second
	got = s.run("client list id 1")
	most := time.Since(s.c.Created) / time.Second
	_, figures, _ := strings.Cut(got, " age=")
	var age, idle int
	if _, err := fmt.Sscanf(figures, "%d idle=%d flags=", &age, &idle); err != nil || age < int(least) || age > int(most) || idle < 0 || idle > int(most) {
		t.Errorf("CLIENT LIST: %q, want an age of %d to %d", got, least, most)
	}
	s.run("multi")
	s.run("echo 12345")
	me := s.c
	s.c = other
	if got := s.run("client list id 1"); !strings.Contains(got, " flags=x ") || !strings.Contains(got, " multi=1 ") || !strings.Contains(got, " multi-mem=9 ") {
		t.Errorf("in MULTI: %q", got)
	}
	s.c = me
	s.run("discard")
	s.want("client list type nobody", "-ERR Unknown client type 'nobody'\n")
	s.want("client list type pubsub", "$0\n\n")
	s.want("client list id x", "-ERR Invalid client ID\n")
	s.do("client", "setname", "a b")
	if got := s.do("client", "setname", "a b"); got != "-ERR Client names cannot contain spaces, newlines or special characters.\r\n" {
		t.Errorf("SETNAME: %q", got)
	}
}

func TestClientKill(t *testing.T) {
	s := newTestServer(t)
	conns := make([]*notedConn, 3)
	for i := range conns {
		conns[i] = &notedConn{}
		s.NewClient(conns[i], "10.0.0.1:"+string(rune('1'+i)), "127.0.0.1:2", 9)
	}
	s.want("client kill 10.0.0.1:9", "-ERR No such client\n")
	s.want("client kill id 99", ":0\n")
	s.want("client kill addr 10.0.0.1:1 laddr 1.2.3.4:5", ":0\n")
	s.want("client kill maxage 1", ":0\n")
	s.want("client kill maxage 0", "-ERR maxage should be greater than 0\n")
	s.want("client kill 10.0.0.1:1", "+OK\n")
	if conns[0].killed != 1 || s.Clients() != 3 {
		t.Errorf("killed %d times, %d clients", conns[0].killed, s.Clients())
	}
	s.want("client kill id 3 skipme no", ":1\n")
	s.want("client kill type normal skipme no user default", ":2\n")
	for i, c := range conns {
		if c.killed != 1 {
			t.Errorf("client %d was killed %d times", i, c.killed)
		}
	}
	if s.x.Running.outcome != Close {
		t.Error("the caller was not closed")
	}
}

func TestPause(t *testing.T) {
	s := newTestServer(t)
	conn := &notedConn{}
	s.run("set old 1 px 5")
	writer := s.NewClient(conn, "10.0.0.1:1", "127.0.0.1:2", 9)
	admin := s.c
	s.want("client pause 1 sometimes", "-ERR CLIENT PAUSE mode must be WRITE or ALL\n")
	s.want("client pause -1", "-ERR timeout is negative\n")
	s.want("client pause 100000 write", "+OK\n")
	s.c = writer
	s.want("get a", "$-1\n")
	s.want("set a 1", "")
	if s.x.Running.outcome != Again || !writer.has(stateBlocked) {
		t.Fatalf("outcome %d", s.x.Running.outcome)
	}
	s.c = admin
	if got := s.run("info clients"); !strings.Contains(got, "blocked_clients:1\r\n") {
		t.Error(got)
	}
	s.now = s.now.Add(time.Second)
	s.effects = nil
	s.want("get old", "$-1\n")
	s.wantEffects() // hidden, not removed
	s.want("client unpause", "+OK\n")
	if n := conn.deliveries(); n != 1 || conn.delivered[0] != "" || writer.has(stateBlocked) {
		t.Fatalf("%d deliveries", n)
	}
	s.c = writer
	s.want("set a 1", "+OK\n")
	s.c = admin

	s.want("client pause 100000 all", "+OK\n")
	s.c = writer
	s.want("ping", "")
	s.Advance(102 * time.Second)
	for i := 0; conn.deliveries() < 2; i++ {
		if i > 1000 {
			t.Fatal("the pause does not end")
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.want("ping", "+PONG\n")
}
