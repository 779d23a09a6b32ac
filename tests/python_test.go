package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

// cacheDir is where tests/setup/install.sh puts what it gets.
func cacheDir(t *testing.T) string {
	t.Helper()
	if cache := os.Getenv("KVD_CACHE"); cache != "" {
		return cache
	}
	base, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	return filepath.Join(base, "kvd")
}

// pythonWithRedis is KVD_PYTHON, or the Python of the venv that tests/setup/install.sh makes.
func pythonWithRedis(t *testing.T) string {
	t.Helper()
	python := os.Getenv("KVD_PYTHON")
	if python == "" {
		python = filepath.Join(cacheDir(t), "venv", "bin", "python")
	}
	if out, err := exec.Command(python, "-c", "import redis").CombinedOutput(); err != nil {
		t.Skipf("no Python with redis-py at %s (%v %s); tests/setup/install.sh makes one", python, err, out)
	}
	return python
}

// TestRedisPy runs what redis-py's users do, with what came after Redis 7.0 unless the server is a real Redis.
// Not tried, because kvd lacks it: scripts and functions (and so redis-py's own Lock), streams, geo
// and HyperLogLog commands, ACLs with more users than default, cluster mode.
func TestRedisPy(t *testing.T) {
	for _, script := range []string{"session.py", "families.py", "asyncio_session.py"} {
		t.Run(strings.TrimSuffix(script, ".py"), func(t *testing.T) {
			t.Parallel()
			s := harness.StartKVD(t)
			python := pythonWithRedis(t)
			args := []string{filepath.Join("python", script), strconv.Itoa(s.Port)}
			if !s.Genuine {
				args = append(args, "--modern")
			}
			// Nothing is left in this tree.
			runSession(t, "", []string{"PYTHONDONTWRITEBYTECODE=1"}, python, args...)
		})
	}
}

// TestRedconExample drives examples/redcon, redcon's own server with kvd mounted in it, by the same session.
func TestRedconExample(t *testing.T) {
	t.Parallel()
	python := pythonWithRedis(t)
	bin := filepath.Join(t.TempDir(), "redcon")
	if out, err := exec.Command("go", "build", "-pgo=off", "-o", bin, "../examples/redcon").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + strconv.Itoa(port)
	harness.StartProcess(t, t.TempDir(), bin, "-listen", address)
	c := dialSoon(t, address)
	if r := c.MustDo(t, "HELLO.OWN", "world"); r.Str != "hello, world" {
		t.Errorf("the program's own command replies %s", r)
	}
	runSession(t, "", []string{"PYTHONDONTWRITEBYTECODE=1"}, python, filepath.Join("python", "session.py"), strconv.Itoa(port), "--modern")
}

// dialSoon connects to a program that is about to listen.
func dialSoon(t *testing.T, address string) *harness.Conn {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := harness.Dial(address)
		if err == nil {
			t.Cleanup(func() { c.Close() })
			return c
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
