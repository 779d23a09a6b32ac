package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"kvd/tests/harness"
)

// TestFirstMinutes runs what the README's first minutes say, line by line as it stands: only the ports
// are others, and the program is built already.
func TestFirstMinutes(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("redis-cli"); err != nil {
		t.Skip("there is no redis-cli; tests/setup/install.sh installs it")
	}
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## First minutes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var script strings.Builder
	for line := range strings.Lines(section) {
		if command, ok := strings.CutPrefix(line, "    "); ok && command != "make build\n" {
			fmt.Fprintf(&script, "%s", command)
		}
	}
	var ports []string
	for _, port := range []string{"6379", "6380", "6381", "9121"} {
		free, err := harness.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port, strconv.Itoa(free))
	}
	lines := strings.NewReplacer(ports...).Replace(script.String())
	bin, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(bin, filepath.Join(dir, "bin", "kvd")); err != nil {
		t.Fatal(err)
	}
	// The servers are daemons: whatever goes wrong, they are ended. Those that have ended by themselves are no failure.
	cmd := exec.Command("bash", "-e", "-c", "trap 'for f in $(find . -name kvd.log); do sed -n s/.*pid=//p $f; done | xargs -r -n1 kill 2>/dev/null || true' EXIT\n"+lines)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(out), "hello\n"); n != 2 {
		t.Errorf("the greeting is read %d times, of the follower and of what was restored it should be 2", n)
	}
}
