package tests

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"kvd/tests/harness"
)

// clientLimit is how long a library's session may take: mostly, a compiler's time on a busy machine.
const clientLimit = 5 * time.Minute

// runSession runs a program that tries a client library and says what does not hold.
func runSession(t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, append(os.Environ(), env...), time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
}

// TestGoRedis runs clients/go, which is a module of its own.
func TestGoRedis(t *testing.T) { goRedis(t, false) }

// TestGoRedisTLS runs the same over TLS, with a client's certificate.
func TestGoRedisTLS(t *testing.T) { goRedis(t, true) }

// withTLS starts a server and says what clients need to know of it: over TLS, that is a port and the
// directory of their certificate.
func withTLS(t *testing.T, tls bool) (s *harness.Server, port int, env []string) {
	if !tls {
		s = harness.StartKVD(t)
		return s, s.Port, nil
	}
	ca := authority(t)
	port, args := tlsArgs(t, ca)
	return harness.StartKVD(t, args...), port, []string{"KVD_TLS_DIR=" + ca.Dir}
}

func goRedis(t *testing.T, tls bool) {
	t.Parallel()
	s, port, env := withTLS(t, tls)
	dir := filepath.Join("clients", "go")
	// The tests fetch nothing; tests/setup/install.sh does.
	list := exec.Command("go", "list", "-deps", "-test", ".")
	list.Dir, list.Env = dir, append(os.Environ(), "GOPROXY=off")
	if out, err := list.CombinedOutput(); err != nil {
		t.Skipf("go-redis is not in the module cache; tests/setup/install.sh fetches it (%v %s)", err, out)
	}
	env = append(env, "GOPROXY=off", "KVD_ADDR=127.0.0.1:"+strconv.Itoa(port))
	if !s.Genuine {
		env = append(env, "KVD_MODERN=1")
	}
	runSession(t, dir, env, "go", "test", "-count=1", "-timeout=2m", ".")
}

// TestEmbedded runs clients/embedded, a module of its own whose tests have kvd inside.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("clients", "embedded")
	list := exec.Command("go", "list", "-deps", "-test", ".")
	list.Dir, list.Env = dir, append(os.Environ(), "GOPROXY=off")
	if out, err := list.CombinedOutput(); err != nil {
		t.Skipf("go-redis is not in the module cache; tests/setup/install.sh fetches it (%v %s)", err, out)
	}
	runSession(t, dir, []string{"GOPROXY=off"}, "go", "test", "-count=1", "-timeout=2m", ".")
}

// TestNode runs clients/node with the packages that tests/setup/install.sh has put into the cache directory.
func TestNode(t *testing.T) { nodeClients(t, false) }

// TestNodeTLS runs the same over TLS, with a client's certificate.
func TestNodeTLS(t *testing.T) { nodeClients(t, true) }

func nodeClients(t *testing.T, tls bool) {
	t.Parallel()
	s, port, env := withTLS(t, tls)
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node on PATH; ioredis and redis of Node are not tried")
	}
	modules := filepath.Join(cacheDir(t), "node", "node_modules")
	for _, name := range []string{"ioredis", "redis"} {
		if _, err := os.Stat(filepath.Join(modules, name)); err != nil {
			t.Skipf("%v; tests/setup/install.sh gets it", err)
		}
	}
	args := []string{filepath.Join("clients", "node", "session.js"), strconv.Itoa(port)}
	if !s.Genuine {
		args = append(args, "--modern")
	}
	runSession(t, "", append(env, "NODE_MODULES="+modules), node, args...)
}
