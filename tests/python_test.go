package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

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
