package tests

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kvd/tests/harness"
)

// encodings are settings of Redis under which the same data are stored in other forms.
var encodings = [][]string{
	nil,
	{"--rdbcompression", "no", "--rdbchecksum", "no"},
	{"--hash-max-listpack-entries", "0", "--zset-max-listpack-entries", "0", "--set-max-intset-entries", "0", "--list-max-listpack-size", "1"},
	{"--hash-max-listpack-entries", "700", "--zset-max-listpack-entries", "700", "--set-max-intset-entries", "700", "--list-max-listpack-size", "-5", "--list-compress-depth", "1"},
}

// TestCheckAcceptsRedisFiles compares the verdicts of kvd check and of Redis's two checkers on files that Redis
// wrote, whole and cut off.
func TestCheckAcceptsRedisFiles(t *testing.T) {
	kvd, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	tools := map[string]string{}
	for _, name := range []string{"redis-check-rdb", "redis-check-aof"} {
		if tools[name], err = exec.LookPath(name); err != nil {
			t.Skip(name + " is not on PATH; tests/setup/install.sh installs it")
		}
	}
	verdicts := func(what, tool, path string) {
		t.Helper()
		out, err := exec.Command(kvd, "check", path).CombinedOutput()
		theirs, terr := exec.Command(tools[tool], path).CombinedOutput()
		if (err == nil) != (terr == nil) {
			t.Errorf("%s: kvd %v, %s %v\n%s\n%s", what, err, tool, terr, out, theirs)
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for i, args := range encodings {
		preamble := []string{"yes", "no"}[i%2]
		s := harness.StartRedis(t, append(args, "--appendonly", "yes", "--aof-use-rdb-preamble", preamble, "--aof-timestamp-enabled", preamble)...)
		c := s.MustDial(t)
		fillAll(t, c)
		c.MustDo(t, "SAVE")
		c.MustDo(t, "BGREWRITEAOF")
		until(t, "the rewrite", func() bool {
			return field(t, c, "aof_rewrite_in_progress") == "0" && field(t, c, "aof_rewrite_scheduled") == "0"
		})
		for n := range 30 {
			for _, args := range [][]string{{"MULTI"}, {"SET", fmt.Sprint("more:", n), "1"}, {"RPUSH", "RPUSH:5", "x"}, {"EXEC"}, {"DEL", "int:5"}} {
				c.MustDo(t, args...)
			}
		}
		name := fmt.Sprint(args)
		if out, err := exec.Command(kvd, "check", s.Dir).CombinedOutput(); err != nil || !strings.Contains(string(out), ": OK\n") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		rdb := filepath.Join(s.Dir, "dump.rdb")
		verdicts(name, "redis-check-rdb", rdb)
		manifest := filepath.Join(s.Dir, "appendonlydir", "appendonly.aof.manifest")
		verdicts(name, "redis-check-aof", manifest)
		whole, err := os.ReadFile(rdb)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			n := rng.IntN(len(whole))
			cut := filepath.Join(t.TempDir(), "cut.rdb")
			if err := os.WriteFile(cut, whole[:n], 0o644); err != nil {
				t.Fatal(err)
			}
			verdicts(fmt.Sprint(name, " cut to ", n), "redis-check-rdb", cut)
		}
		logs, err := filepath.Glob(filepath.Join(s.Dir, "appendonlydir", "*.incr.aof"))
		if err != nil || len(logs) != 1 {
			t.Fatal(logs, err)
		}
		if whole, err = os.ReadFile(logs[0]); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			n := rng.IntN(len(whole))
			if whole[bytes.LastIndexByte(whole[:n], '\n')+1] == '#' {
				continue // Redis takes half a comment for a whole one
			}
			cut := filepath.Join(t.TempDir(), "cut.aof")
			if err := os.WriteFile(cut, whole[:n], 0o644); err != nil {
				t.Fatal(err)
			}
			verdicts(fmt.Sprint(name, " cut to ", n), "redis-check-aof", cut)
			if out, err := exec.Command(kvd, "check", "--fix", "--yes", cut).CombinedOutput(); err != nil {
				t.Errorf("--fix of %d bytes: %v\n%s", n, err, out)
			}
			verdicts("after --fix", "redis-check-aof", cut)
		}
	}
}

// TestCheckAsks: nothing is cut without a yes.
func TestCheckAsks(t *testing.T) {
	kvd, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	const whole = "*2\r\n$3\r\nDEL\r\n$1\r\na\r\n"
	file := filepath.Join(t.TempDir(), "x.aof")
	for _, c := range []struct {
		args, answer string
		fixed        bool
	}{{"", "", false}, {"--fix", "", false}, {"--fix", "n\n", false}, {"--yes", "y\n", false}, {"--fix", "y\n", true}, {"--fix --yes", "", true}} {
		if err := os.WriteFile(file, []byte(whole+whole[:10]), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(kvd, append(append([]string{"check"}, strings.Fields(c.args)...), file)...)
		cmd.Stdin = strings.NewReader(c.answer)
		out, err := cmd.CombinedOutput()
		b, rerr := os.ReadFile(file)
		if rerr != nil {
			t.Fatal(rerr)
		}
		if (err == nil) != c.fixed || (string(b) == whole) != c.fixed || !strings.Contains(string(out), file+", at offset 20") {
			t.Errorf("%q, answer %q: %v, %q is left\n%s", c.args, c.answer, err, b, out)
		}
	}
}
