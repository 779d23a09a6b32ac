package tests

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

// pythonWithRedis is KVD_PYTHON, or the Python of the venv that tests/setup/install.sh makes.
func pythonWithRedis(t *testing.T) string {
	t.Helper()
	python := os.Getenv("KVD_PYTHON")
	if python == "" {
		cache := os.Getenv("KVD_CACHE")
		if cache == "" {
			base, err := os.UserCacheDir()
			if err != nil {
				t.Skip(err)
			}
			cache = filepath.Join(base, "kvd")
		}
		python = filepath.Join(cache, "venv", "bin", "python")
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
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, python, args...)
			cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1") // nothing is left in this tree
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			} else {
				t.Logf("%s", out)
			}
		})
	}
}
