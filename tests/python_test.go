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

// TestRedisPy runs a redis-py user's session, with what came after Redis 7.0 unless the server is a real Redis.
func TestRedisPy(t *testing.T) {
	s := harness.StartKVD(t)
	python := pythonWithRedis(t)
	args := []string{filepath.Join("python", "session.py"), strconv.Itoa(s.Port)}
	if !s.Genuine {
		args = append(args, "--modern")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, python, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
}
