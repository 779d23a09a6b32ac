package transport_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kvd/command"
	"kvd/command/families"
	"kvd/config"
	"kvd/keyspace"
	"kvd/logf"
	"kvd/resp"
	"kvd/secure"
	"kvd/secure/certtest"
	"kvd/tests/harness"
	"kvd/transport"
)

// configured makes a server that is to listen at a socket of its own.
func configured(t *testing.T, directives ...string) (*transport.Server, *keyspace.Keyspace) {
	t.Helper()
	cfg := config.New()
	for _, d := range append([]string{"port 0", "unixsocket " + filepath.Join(t.TempDir(), "s")}, directives...) {
		name, args, _ := strings.Cut(d, " ")
		if err := cfg.SetInitial(name, strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
	}
	ks := keyspace.New(keyspace.Options{Stripes: 16})
	return newServer(command.NewServer(families.Table(), cfg, ks, logf.NewWriter(io.Discard, logf.Nothing), "test")), ks
}

// both runs a test on each transport that this system has.
func both(t *testing.T, f func(t *testing.T, dial func() net.Conn, srv *transport.Server), directives ...string) {
	for _, name := range []string{"system", "goroutines", "system over TLS", "goroutines over TLS"} {
		t.Run(name, func(t *testing.T) {
			srv, ks := configured(t, append([]string{"unixsocketperm 700", "event-loops 2", "enable-debug-command yes"}, directives...)...)
			cfg := srv.Config()
			if strings.HasPrefix(name, "goroutines") {
				transport.UseGoroutines(srv)
			}
			over := func(c net.Conn) net.Conn { return c }
			var certified *transport.Endpoint
			if strings.HasSuffix(name, "TLS") {
				ca := certtest.New(t, t.TempDir(), "ca")
				ca.Issue("server", "localhost", certtest.Options{})
				for _, d := range [][2]string{{"tls-cert-file", ca.File("server.crt")}, {"tls-key-file", ca.File("server.key")}, {"tls-auth-clients", "no"}} {
					if err := cfg.SetInitial(d[0], []string{d[1]}); err != nil {
						t.Fatal(err)
					}
				}
				s := secure.New(cfg, srv.Command().Log)
				if err := s.Load(); err != nil {
					t.Fatal(err)
				}
				certified = &transport.Endpoint{TLS: s.Server}
				client := ca.Client("")
				// The handshake comes at once: the server does not wait for it while a test does other things.
				over = func(c net.Conn) net.Conn {
					s := tls.Client(c, client)
					if err := s.Handshake(); err != nil {
						t.Errorf("handshake: %v", err)
					}
					return s
				}
			}
			addr := startAt(t, srv, ks, certified)
			var last atomic.Int32
			f(t, func() net.Conn {
				n := last.Add(1)
				network, to := "tcp", addr
				if n%3 == 0 && certified == nil {
					network, to = "unix", cfg.UnixSocket.Load()
				}
				c, err := net.Dial(network, to)
				if err != nil {
					t.Fatal(err)
				}
				_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
				t.Cleanup(func() { c.Close() })
				return over(c)
			}, srv)
		})
	}
}

// newServer makes a front end that speaks RESP.
func newServer(cmd *command.Server) *transport.Server {
	p := resp.New(cmd)
	srv := transport.New(cmd, p)
	srv.Add(transport.Endpoint{Protocol: p, Directive: "port", Port: func() int { return int(cmd.Config.Port.Load()) }, Kind: "TCP"})
	return srv
}

// start has a server serve until the test is over, and returns a TCP address of it.
func start(t *testing.T, srv *transport.Server, ks *keyspace.Keyspace) (addr string) {
	t.Helper()
	return startAt(t, srv, ks, nil)
}

// startAt is start with the endpoint of the address, but for its protocol.
func startAt(t *testing.T, srv *transport.Server, ks *keyspace.Keyspace, ep *transport.Endpoint) (addr string) {
	t.Helper()
	if ep == nil {
		ep = new(transport.Endpoint)
	}
	ep.Protocol = resp.New(srv.Command())
	if err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	addr = fmt.Sprint("127.0.0.1:", port)
	if err := transport.ListenAt(srv, addr, *ep); err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	if err := srv.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		srv.Close()
		if err := ks.Check(); err != nil {
			t.Error(err)
		}
		ks.Close()
	})
	return addr
}

func bulk(args ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.Bytes()
}

// expect reads exactly want.
func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("got %q (%v), want %q", got[:n], err, want)
	}
}

func TestPipeline(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, _ *transport.Server) {
		for range 3 {
			c := dial()
			var in bytes.Buffer
			var want strings.Builder
			for i := range 5000 {
				in.Write(bulk("SET", fmt.Sprint("k", i), fmt.Sprint("v", i)))
				in.Write(bulk("GET", fmt.Sprint("k", i)))
				v := fmt.Sprint("v", i)
				fmt.Fprintf(&want, "+OK\r\n$%d\r\n%s\r\n", len(v), v)
			}
			in.WriteString("PING\r\n")
			want.WriteString("+PONG\r\n")
			go func() { _, _ = c.Write(in.Bytes()) }()
			expect(t, c, want.String())
		}
	})
}

// TestInlinePipeline: the arguments of inline commands that are read together
// must not get into each other's way.
func TestInlinePipeline(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, _ *transport.Server) {
		c := dial()
		_, _ = c.Write([]byte("ECHO \"first\"\r\nECHO \"other\"\r\n'ECHO' 'third'\r\n*2\r\n$4\r\nECHO\r\n$1\r\nx\r\nECHO \"y\"\r\n"))
		expect(t, c, "$5\r\nfirst\r\n$5\r\nother\r\n$5\r\nthird\r\n$1\r\nx\r\n$1\r\ny\r\n")
	})
}

// TestPieces sends commands cut at every byte.
func TestPieces(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, _ *transport.Server) {
		c := dial()
		in := append(bulk("SET", "a", "hello\r\nworld"), bulk("GET", "a")...)
		for cut := 1; cut < len(in); cut++ {
			_, _ = c.Write(in[:cut])
			time.Sleep(200 * time.Microsecond)
			_, _ = c.Write(in[cut:])
			expect(t, c, "+OK\r\n$12\r\nhello\r\nworld\r\n")
		}
	})
}

// TestBigValue sends and fetches values that take many reads and writes.
func TestBigValue(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, _ *transport.Server) {
		c := dial()
		v := strings.Repeat("0123456789abcdef", 1<<20)
		go func() { _, _ = c.Write(append(bulk("SET", "big", v), bulk("GET", "big")...)) }()
		expect(t, c, fmt.Sprintf("+OK\r\n$%d\r\n%s\r\n", len(v), v))
	})
}

// TestSlowReader asks for much more than it reads; others must not notice.
func TestSlowReader(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, _ *transport.Server) {
		slow, other := dial(), dial()
		v := strings.Repeat("x", 1<<20)
		_, _ = slow.Write(bulk("SET", "v", v))
		expect(t, slow, "+OK\r\n")
		for range 50 {
			_, _ = slow.Write(bulk("GET", "v"))
		}
		for range 100 {
			_, _ = other.Write([]byte("PING\r\n"))
			expect(t, other, "+PONG\r\n")
		}
		for range 50 {
			expect(t, slow, fmt.Sprintf("$%d\r\n%s\r\n", len(v), v))
		}
	})
}

// TestHostile sends what must be answered with a protocol error and a closed
// connection; the first ones made other parsers panic.
func TestHostile(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, _ *transport.Server) {
		for _, in := range []string{
			"*1\r\n$-2\r\n",
			"*1\r\n$9223372036854775807\r\n",
			"*1\r\n$536870913\r\n",
			"*2147483648\r\n",
			"*x\r\n",
			"*1\r\n+PING\r\n",
			"\"unbalanced\r\n",
			strings.Repeat("a", 70000),
		} {
			c := dial()
			go func() { _, _ = c.Write([]byte(in)) }()
			b, _ := io.ReadAll(c)
			if !bytes.HasPrefix(b, []byte("-ERR Protocol error: ")) || bytes.Count(b, []byte("\r\n")) != 1 {
				t.Errorf("%.40q: reply %q", in, b)
			}
		}
		c := dial()
		_, _ = c.Write([]byte("*-1\r\n*0\r\n\r\nPING\r\n"))
		expect(t, c, "+PONG\r\n")
	})
}

func TestManyClients(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		var wg sync.WaitGroup
		for i := range 40 {
			c := dial()
			wg.Add(1)
			go func() {
				defer wg.Done()
				r := bufio.NewReader(c)
				for j := range 200 {
					_, _ = c.Write(bulk("SET", fmt.Sprint("shared", j%7), fmt.Sprint(i)))
					if line, err := r.ReadString('\n'); line != "+OK\r\n" {
						t.Errorf("client %d: %q %v", i, line, err)
						return
					}
				}
				c.Close()
			}()
		}
		wg.Wait()
		for end := time.Now().Add(30 * time.Second); srv.Command().Clients() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d clients are left after all have closed", srv.Command().Clients())
			}
		}
	})
}

func TestMaxClients(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, _ *transport.Server) {
		a, b := dial(), dial()
		_, _ = a.Write([]byte("PING\r\n"))
		expect(t, a, "+PONG\r\n")
		_, _ = b.Write([]byte("PING\r\n"))
		expect(t, b, "+PONG\r\n")
		c := dial()
		got, _ := io.ReadAll(c)
		if string(got) != "-ERR max number of clients reached\r\n" {
			t.Errorf("the third of two clients reads %q", got)
		}
	}, "maxclients 2")
}

func TestIdleTimeout(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, srv *transport.Server) {
		start := time.Now()
		c := dial()
		if err := srv.Config().SetInitial("timeout", []string{"1"}); err != nil {
			t.Fatal(err)
		}
		ping(t, c) // who waits without a limit does so until something comes
		expect(t, c, "+PONG\r\n")
		got, err := io.ReadAll(c)
		if len(got) != 0 || err != nil || time.Since(start) < 500*time.Millisecond {
			t.Errorf("idle connection: %q %v after %v", got, err, time.Since(start))
		}
	})
}

func TestQueryBufferLimit(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, _ *transport.Server) {
		c := dial()
		_, _ = c.Write([]byte("*2\r\n$3\r\nGET\r\n$4000000\r\n"))
		_, _ = c.Write(make([]byte, 3<<20))
		var ne net.Error
		if _, err := io.ReadAll(c); errors.As(err, &ne) && ne.Timeout() {
			t.Error("the connection stays open") // an orderly end and a reset are both fine
		}
	}, "client-query-buffer-limit 1mb")
}

func TestAuthLimits(t *testing.T) {
	both(t, func(t *testing.T, dial func() net.Conn, _ *transport.Server) {
		c := dial()
		_, _ = c.Write([]byte("PING\r\n"))
		expect(t, c, "-NOAUTH Authentication required.\r\n")
		_, _ = c.Write([]byte("*11\r\n"))
		expect(t, c, "-ERR Protocol error: unauthenticated multibulk length\r\n")
		c = dial()
		_, _ = c.Write([]byte("*2\r\n$4\r\nAUTH\r\n$16385\r\n"))
		expect(t, c, "-ERR Protocol error: unauthenticated bulk length\r\n")
	}, "requirepass secret")
}

// TestUnixMode: the unix socket has the rights of its directive, and nothing else is left.
func TestUnixMode(t *testing.T) {
	both(t, func(t *testing.T, _ func() net.Conn, srv *transport.Server) {
		fi, err := os.Stat(srv.Config().UnixSocket.Load())
		if err != nil || fi.Mode().Perm() != 0o700 {
			t.Error(fi.Mode(), err)
		}
		if files, _ := filepath.Glob(filepath.Dir(srv.Config().UnixSocket.Load()) + "/.k*"); len(files) > 0 {
			t.Error("left behind:", files)
		}
	})
}
