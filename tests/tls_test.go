package tests

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/secure/certtest"
	"kvd/tests/harness"
)

// tlsArgs are the arguments of a server, kvd or Redis, that has a TLS port and an
// authority's certificate "server".
func tlsArgs(t *testing.T, ca *certtest.Authority, more ...string) (port int, args []string) {
	t.Helper()
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port, append([]string{"--tls-port", strconv.Itoa(port), "--tls-cert-file", ca.File("server.crt"), "--tls-key-file", ca.File("server.key"),
		"--tls-ca-cert-file", ca.File(ca.Name + ".crt")}, more...)
}

// authority makes one with the certificates "server" and "client".
func authority(t *testing.T) *certtest.Authority {
	ca := certtest.New(t, t.TempDir(), "ca")
	ca.Issue("server", "server", certtest.Options{})
	ca.Issue("client", "client", certtest.Options{})
	return ca
}

// dialTLS connects as a client with a certificate, or none.
func dialTLS(ca *certtest.Authority, port int, who string) (*harness.Conn, *tls.Conn, error) {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", fmt.Sprint("127.0.0.1:", port), ca.Client(who))
	if err != nil {
		return nil, nil, err
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return harness.NewConn(c), c, nil
}

// serial is that of the certificate that a server shows.
func serial(t *testing.T, ca *certtest.Authority, port int) string {
	t.Helper()
	_, c, err := dialTLS(ca, port, "client")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// TestTLSReplication: kvd follows Redis and Redis follows kvd over TLS, through
// snapshot and stream, with the certificates checked on both sides; the ports
// that they tell each other are those of TLS.
func TestTLSReplication(t *testing.T) {
	ca := authority(t)
	start := func(name string) (*harness.Conn, int) {
		port, args := tlsArgs(t, ca, "--tls-replication", "yes", "--repl-diskless-sync-delay", "0", "--save", "")
		if name == "redis" {
			return harness.StartRedis(t, args...).MustDial(t), port
		}
		return harness.StartKVD(t, args...).MustDial(t), port
	}
	for _, pair := range [][2]string{{"kvd", "redis"}, {"redis", "kvd"}, {"kvd", "kvd"}} {
		t.Run(pair[1]+" follows "+pair[0], func(t *testing.T) {
			leader, port := start(pair[0])
			follower, own := start(pair[1])
			value := strings.Repeat("v", 100_000)
			for i := range 100 {
				leader.MustDo(t, "SET", fmt.Sprint("before", i), value)
			}
			follower.MustDo(t, "REPLICAOF", "127.0.0.1", strconv.Itoa(port))
			inSync(t, follower)
			for i := range 300 {
				leader.MustDo(t, "SET", fmt.Sprint("after", i), value)
			}
			until(t, "the writes at the follower", func() bool { return follower.MustDo(t, "DBSIZE").Int == 400 })
			if got := follower.MustDo(t, "GET", "after299").Str; got != value {
				t.Errorf("%d bytes of a value", len(got))
			}
			leader.MustDo(t, "SET", "last", "1")
			if n := leader.MustDo(t, "WAIT", "1", "5000").Int; n != 1 {
				t.Errorf("WAIT: %d", n)
			}
			if got := info(t, leader, "replication", "slave0"); !strings.Contains(got, fmt.Sprintf("port=%d,", own)) {
				t.Errorf("the follower's port is not %d: %s", own, got)
			}
		})
	}
	// A leader whose certificate another authority has signed is not followed.
	other := certtest.New(t, t.TempDir(), "ca")
	other.Issue("server", "server", certtest.Options{})
	leaderPort, args := tlsArgs(t, other, "--tls-auth-clients", "no")
	harness.StartKVD(t, args...)
	_, args = tlsArgs(t, ca, "--tls-replication", "yes")
	s := harness.StartKVD(t, args...)
	follower := s.MustDial(t)
	follower.MustDo(t, "REPLICAOF", "127.0.0.1", strconv.Itoa(leaderPort))
	until(t, "a refusal", func() bool {
		b, _ := os.ReadFile(s.LogPath())
		return strings.Contains(string(b), "certificate signed by unknown authority")
	})
	if got := info(t, follower, "replication", "master_link_status"); got != "down" {
		t.Errorf("the link is %s", got)
	}
}

// TestTLSSlowFollower: a follower over TLS that takes nothing for a while gets all
// of it in the end: what a write's deadline left half sent is sent on.
func TestTLSSlowFollower(t *testing.T) {
	ca := authority(t)
	port, args := tlsArgs(t, ca, "--repl-diskless-sync-delay", "0", "--save", "", "--repl-backlog-size", "256mb")
	leader := harness.StartKVD(t, args...).MustDial(t)
	c, nc, err := dialTLS(ca, port, "client")
	if err != nil {
		t.Fatal(err)
	}
	c.MustDo(t, "REPLCONF", "capa", "eof", "capa", "psync2")
	if err := c.Send("PSYNC", "?", "-1"); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	const values = 40
	if r, err := c.Receive(); err != nil || !strings.HasPrefix(r.Str, "FULLRESYNC") {
		t.Fatal(r, err)
	}
	if err := c.SkipSnapshot(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(nc, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n0\r\n")
	value := strings.Repeat("v", 1<<20)
	for range values {
		leader.MustDo(t, "SET", "k", value)
	}
	time.Sleep(2500 * time.Millisecond) // longer than one write may take
	got := 0
	for got < values {
		r, err := c.Receive()
		if err != nil {
			t.Fatalf("after %d values: %v", got, err)
		}
		if len(r.Elems) == 3 && r.Elems[0].Str == "SET" {
			if r.Elems[2].Str != value {
				t.Fatalf("value %d differs", got)
			}
			got++
		}
	}
}

// TestTLSMigrate: with tls-cluster MIGRATE goes over TLS, to kvd and to Redis, and
// without it in plain text.
func TestTLSMigrate(t *testing.T) {
	ca := authority(t)
	_, args := tlsArgs(t, ca, "--tls-cluster", "yes")
	from := harness.StartKVD(t, args...).MustDial(t)
	for _, name := range []string{"kvd", "redis"} {
		port, args := tlsArgs(t, ca)
		var to *harness.Conn
		if name == "kvd" {
			to = harness.StartKVD(t, args...).MustDial(t)
		} else {
			to = harness.StartRedis(t, args...).MustDial(t)
		}
		from.MustDo(t, "SET", "k", "v")
		from.MustDo(t, "CONFIG", "SET", "tls-cluster", "no") // before a connection is kept for later
		if r := from.MustDo(t, "MIGRATE", "127.0.0.1", strconv.Itoa(port), "k", "0", "1000"); r.Err() == "" {
			t.Errorf("plain text to %s's TLS port: %s", name, r)
		}
		from.MustDo(t, "CONFIG", "SET", "tls-cluster", "yes")
		if r := from.MustDo(t, "MIGRATE", "127.0.0.1", strconv.Itoa(port), "k", "0", "5000"); r.Str != "OK" {
			t.Errorf("to %s: %s", name, r)
		}
		if r := to.MustDo(t, "GET", "k"); r.Str != "v" {
			t.Errorf("at %s: %s", name, r)
		}
	}
}

// TestTLSReload: a certificate that changes is shown to who comes next, without a
// connection lost, and one that cannot be used leaves the old one in force. INFO
// tells how long it lasts, and the log warns of its end.
func TestTLSReload(t *testing.T) {
	ca := authority(t)
	port, args := tlsArgs(t, ca)
	s := harness.StartKVD(t, args...)
	plain := s.MustDial(t)
	first, _, err := dialTLS(ca, port, "client")
	if err != nil {
		t.Fatal(err)
	}
	was := serial(t, ca, port)
	if got := info(t, plain, "tls", "tls_server_cert_expires_in_days"); got != "364" {
		t.Errorf("the certificate ends in %s days", got)
	}
	time.Sleep(1100 * time.Millisecond) // so that the file is looked at again
	ca.Issue("server", "server", certtest.Options{For: 10*24*time.Hour + time.Hour})
	var now string
	until(t, "another certificate", func() bool { now = serial(t, ca, port); return now != was })
	if got := info(t, plain, "tls", "tls_server_cert_expires_in_days"); got != "10" {
		t.Errorf("the new certificate ends in %s days", got)
	}
	b, _ := os.ReadFile(s.LogPath())
	if !strings.Contains(string(b), "The TLS server certificate expires in 10 days") {
		t.Error("the log does not warn")
	}
	if err := os.WriteFile(ca.File("server.crt"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	if got := serial(t, ca, port); got != now {
		t.Errorf("with a broken file the serial is %s, not %s", got, now)
	}
	until(t, "the log says so", func() bool {
		b, _ := os.ReadFile(s.LogPath())
		return strings.Contains(string(b), "have changed and cannot be used")
	})
	if r := plain.MustDo(t, "CONFIG", "SET", "tls-cert-file", ca.File("server.crt")+"x"); r.Err() != "ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') - Unable to update TLS configuration. Check server logs." {
		t.Error(r)
	}
	ca.Issue("other", "other", certtest.Options{})
	plain.MustDo(t, "CONFIG", "SET", "tls-cert-file", ca.File("other.crt"), "tls-key-file", ca.File("other.key"))
	if got := serial(t, ca, port); got == now {
		t.Error("CONFIG SET has not changed the certificate")
	}
	if r := first.MustDo(t, "PING"); r.Str != "PONG" {
		t.Error(r)
	}
}

// TestHalfHandshakes: ten thousand connections that have begun a handshake and say no
// more delay neither who shakes hands nor who has, and go.
func TestHalfHandshakes(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: ten thousand connections")
	}
	ca := authority(t)
	port, args := tlsArgs(t, ca)
	s := harness.StartKVD(t, args...)
	plain := s.MustDial(t)
	in, _, err := dialTLS(ca, port, "client")
	if err != nil {
		t.Fatal(err)
	}
	hello := []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half")
	worst, worstPing, slow := time.Duration(0), time.Duration(0), 0
	var half []net.Conn
	for i := range 10_000 {
		c, err := net.DialTimeout("tcp", fmt.Sprint("127.0.0.1:", port), 10*time.Second)
		if err != nil {
			t.Fatal(i, err)
		}
		defer c.Close()
		_, _ = c.Write(hello)
		half = append(half, c)
		if i%500 == 499 {
			begun := time.Now()
			c, nc, err := dialTLS(ca, port, "client")
			if err != nil {
				t.Fatalf("beside %d half handshakes: %v", i, err)
			}
			c.MustDo(t, "PING")
			nc.Close()
			took := time.Since(begun)
			begun = time.Now()
			in.MustDo(t, "PING")
			plain.MustDo(t, "PING")
			ping := time.Since(begun)
			worst, worstPing = max(worst, took), max(worstPing, ping)
			if took > 2*time.Second || ping > time.Second {
				slow++
			}
		}
	}
	t.Logf("slowest whole handshake %v, slowest PING %v", worst, worstPing)
	if slow > 5 { // of 20: some may be, where the machine has much else to do
		t.Errorf("%d times a handshake took more than 2 s or PING more than 1 s: at most %v and %v", slow, worst, worstPing)
	}
	if n, _ := strconv.Atoi(info(t, plain, "clients", "connected_clients")); n > 3 {
		t.Errorf("%d clients", n)
	}
	// The first ones were closed in favour of others, the last when their time was over.
	gone := func(c net.Conn) bool {
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		_, err := c.Read(make([]byte, 1))
		ne, ok := err.(net.Error)
		return err != nil && !(ok && ne.Timeout())
	}
	if !gone(half[0]) || !gone(half[len(half)-1]) {
		t.Error("a half handshake is never ended")
	}
}

// TestTLSTools: redis-cli, and redis-py's ssl, with certificates and without.
func TestTLSTools(t *testing.T) {
	ca := authority(t)
	port, args := tlsArgs(t, ca)
	harness.StartKVD(t, args...)
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("no redis-cli on PATH")
	}
	run := func(want string, more ...string) {
		t.Helper()
		out, _ := exec.Command(cli, append([]string{"-p", strconv.Itoa(port), "--tls", "--cacert", ca.File("ca.crt")}, more...)...).CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("%q: %s, want %q", more, out, want)
		}
	}
	with := []string{"--cert", ca.File("client.crt"), "--key", ca.File("client.key")}
	run("PONG", append(with, "PING")...)
	run("OK", append(with, "SET", "k", "v")...)
	run("rror", "PING")
	run("PONG", append(with, "--tls-ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256", "PING")...)
	python := pythonWithRedis(t)
	script := filepath.Join(t.TempDir(), "tls.py")
	write(t, script, `
import redis, sys
port, d = int(sys.argv[1]), sys.argv[2]
kw = dict(host='localhost', port=port, ssl=True, ssl_ca_certs=d + '/ca.crt')
r = redis.Redis(ssl_certfile=d + '/client.crt', ssl_keyfile=d + '/client.key', ssl_check_hostname=True, **kw)
assert r.ping() and r.get('k') == b'v'
p = r.pipeline(transaction=False)
for i in range(5000): p.set('p%d' % i, 'x' * i)
assert all(p.execute())
for i in range(5000): p.get('p%d' % i)
assert [len(v) for v in p.execute()] == list(range(5000))
s = r.pubsub(); s.subscribe('c'); s.get_message(timeout=5)
r.publish('c', 'hello')
assert s.get_message(timeout=5)['data'] == b'hello'
try:
    redis.Redis(**kw).ping(); print('no certificate was needed'); sys.exit(1)
except redis.exceptions.ConnectionError: pass
print('right')
`)
	out, err := exec.Command(python, script, strconv.Itoa(port), ca.Dir).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "right") {
		t.Errorf("redis-py: %v\n%s", err, out)
	}
}

// TestTLSUser: a client is the user whom its certificate names, by common name or
// URI; without such a user it is the default one, as it is where the directive says off.
func TestTLSUser(t *testing.T) {
	ca := authority(t)
	ca.Issue("alice", "alice", certtest.Options{URI: "spiffe://x/bob"})
	ca.Issue("zero", "alice\x00x", certtest.Options{})
	port, args := tlsArgs(t, ca, "--tls-auth-clients", "optional")
	plain := harness.StartKVD(t, args...).MustDial(t)
	plain.MustDo(t, "CONFIG", "SET", "requirepass", "secret")
	plain.MustDo(t, "AUTH", "secret")
	plain.MustDo(t, "ACL", "SETUSER", "alice", "on", "+@all", "-flushall", "~*")
	plain.MustDo(t, "ACL", "SETUSER", "spiffe://x/bob", "on", "+@all", "~*")
	plain.MustDo(t, "ACL", "SETUSER", "off", "off", "+@all", "~*")
	for _, x := range []struct{ field, who, want string }{
		{"off", "alice", ""}, {"CN", "alice", "alice"}, {"cn", "alice", "alice"}, {"URI", "alice", "spiffe://x/bob"}, {"CN", "client", ""}, {"URI", "client", ""}, {"CN", "", ""}, {"CN", "zero", ""},
	} {
		if r := plain.MustDo(t, "CONFIG", "SET", "tls-auth-clients-user", x.field); r.Str != "OK" {
			t.Fatal(r)
		}
		c, nc, err := dialTLS(ca, port, x.who)
		if err != nil {
			t.Fatal(err)
		}
		if r := c.MustDo(t, "ACL", "WHOAMI"); r.Str != x.want && (x.want != "" || !strings.HasPrefix(r.Err(), "NOAUTH")) {
			t.Errorf("%s of %q: %s, want %q", x.field, x.who, r, x.want)
		}
		if r := c.MustDo(t, "FLUSHALL"); x.want == "alice" && !strings.HasPrefix(r.Err(), "NOPERM") {
			t.Errorf("FLUSHALL by alice: %s", r)
		}
		nc.Close()
	}
	defer plain.MustDo(t, "CONFIG", "SET", "requirepass", "")
	if n := info(t, plain, "stats", "acl_access_denied_tls_cert"); n != "1" {
		t.Errorf("%s certificates named no user", n)
	}
}

// TestTLSSentinel: a Sentinel that speaks TLS only finds a leader and its follower by
// their TLS ports, and has the follower take over when the leader is killed.
func TestTLSSentinel(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: needs running servers")
	}
	sentinel, err := exec.LookPath("redis-sentinel")
	if err != nil {
		t.Skip("no redis-sentinel on PATH; tests/setup/install.sh installs it")
	}
	bin, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	ca := authority(t)
	var ports []int
	var procs []*harness.Process
	ask := func(port int, args ...string) harness.Reply {
		c, nc, err := dialTLS(ca, port, "client")
		if err != nil {
			return harness.Reply{}
		}
		defer nc.Close()
		r, _ := c.Do(args...)
		return r
	}
	for i := range 2 {
		port, args := tlsArgs(t, ca, "--tls-replication", "yes", "--port", "0", "--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0")
		if i > 0 {
			args = append(args, "--replicaof", fmt.Sprint("127.0.0.1 ", ports[0]))
		}
		ports = append(ports, port)
		procs = append(procs, harness.StartProcess(t, t.TempDir(), bin, args...))
		within(t, 30*time.Second, "it answers", func() bool { return ask(port, "PING").Str == "PONG" })
	}
	port, args := tlsArgs(t, ca)
	dir := t.TempDir()
	conf := fmt.Sprintf("port 0\nbind 127.0.0.1\ndir %s\ntls-replication yes\n", dir)
	for i := 0; i < len(args); i += 2 {
		conf += strings.TrimPrefix(args[i], "--") + " " + args[i+1] + "\n"
	}
	conf += fmt.Sprintf("sentinel monitor kvd 127.0.0.1 %d 1\nsentinel down-after-milliseconds kvd 1000\nsentinel failover-timeout kvd 6000\n", ports[0])
	write(t, filepath.Join(dir, "sentinel.conf"), conf)
	harness.StartProcess(t, dir, sentinel, filepath.Join(dir, "sentinel.conf"))
	within(t, 30*time.Second, "Sentinel answers", func() bool { return ask(port, "PING").Str == "PONG" })
	ask(port, "SENTINEL", "DEBUG", "INFO-PERIOD", "500")
	within(t, 30*time.Second, "Sentinel knows the follower by its TLS port", func() bool {
		return strings.Contains(fmt.Sprint(ask(port, "SENTINEL", "REPLICAS", "kvd")), strconv.Itoa(ports[1]))
	})
	procs[0].Kill()
	within(t, 40*time.Second, "the follower leads", func() bool {
		return strings.Contains(ask(ports[1], "INFO", "replication").Str, "role:master\r\n")
	})
}
