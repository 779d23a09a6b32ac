package logf

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLineShape(t *testing.T) {
	var buf bytes.Buffer
	l := NewWriter(&buf, Debug)
	l.now = func() time.Time { return time.Date(2026, time.November, 2, 7, 4, 5, 6_700_000, time.Local) }
	l.Debugf("a %d", 1)
	l.SetRole(RoleMaster)
	l.Verbosef("b")
	l.SetRole(RoleReplica)
	l.Noticef("c %s", "x")
	l.SetRole(RoleSentinel)
	l.Warningf("100%%")
	pid := os.Getpid()
	want := fmt.Sprintf("%d:C 02 Nov 2026 07:04:05.006 . a 1\n%d:M 02 Nov 2026 07:04:05.006 - b\n"+
		"%d:S 02 Nov 2026 07:04:05.006 * c x\n%d:X 02 Nov 2026 07:04:05.006 # 100%%\n", pid, pid, pid, pid)
	if buf.String() != want {
		t.Errorf("got\n%swant\n%s", buf.String(), want)
	}
}

func TestLevels(t *testing.T) {
	for i, name := range levelNames {
		level, ok := ParseLevel(strings.ToUpper(name))
		if !ok || level != Level(i) || level.String() != name {
			t.Errorf("ParseLevel(%q) = %v, %v", name, level, ok)
		}
		var buf bytes.Buffer
		l := NewWriter(&buf, Debug)
		l.SetLevel(level)
		l.Debugf("x")
		l.Verbosef("x")
		l.Noticef("x")
		l.Warningf("x")
		if got := strings.Count(buf.String(), "\n"); got != 4-i {
			t.Errorf("at level %s %d lines were written, want %d", name, got, 4-i)
		}
	}
	if _, ok := ParseLevel("loud"); ok {
		t.Error("ParseLevel accepted an unknown name")
	}
	var buf bytes.Buffer
	NewWriter(&buf, Debug).Logf(Nothing, "x")
	if buf.Len() != 0 {
		t.Error("a message of level nothing was written")
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kvd.log")
	l, err := New(path, Notice)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Noticef("one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Noticef("two")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	l.Noticef("three")
	// Another file under the same name, as rotation with "create" leaves it.
	if err := os.WriteFile(path+".new", []byte("head\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	l.Noticef("four")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.Noticef("five")
	old, _ := os.ReadFile(path + ".1")
	cur, _ := os.ReadFile(path)
	if !regexp.MustCompile(`^\d+:C .* \* one\n$`).Match(old) {
		t.Errorf("rotated file holds %q", old)
	}
	if !regexp.MustCompile(`^head\n\d+:C .* \* four\n\d+:C .* \* five\n$`).Match(cur) {
		t.Errorf("current file holds %q", cur)
	}
}

func TestRelativePathStays(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	l, err := New("kvd.log", Notice)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Chdir(t.TempDir())
	l.Noticef("one")
	if _, err := os.Stat("kvd.log"); err == nil {
		t.Error("the log moved with the working directory")
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "kvd.log")); !strings.HasSuffix(string(b), "* one\n") {
		t.Errorf("the log holds %q", b)
	}
}

func TestOpenError(t *testing.T) {
	if _, err := New(filepath.Join(t.TempDir(), "no", "such"), Notice); err == nil {
		t.Error("New of an impossible path gave no error")
	}
}

func TestConcurrentLinesStayWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kvd.log")
	l, err := New(path, Debug)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				l.SetRole("MSCX"[i%4])
				l.SetLevel(Level(i % 2))
				l.Warningf("g%d %s", g, strings.Repeat("x", i))
			}
		})
	}
	wg.Wait()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(lines) != 1600 {
		t.Fatalf("%d lines, want 1600", len(lines))
	}
	re := regexp.MustCompile(`^\d+:[MSCX] \d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3} # g\d x*$`)
	for _, line := range lines {
		if !re.MatchString(line) {
			t.Fatalf("broken line %q", line)
		}
	}
}
