package persist_test

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kvd/persist"
)

var logYes = []string{"enable-protected-configs", "yes", "appendonly", "yes", "appendfsync", "always", "save", ""}

// TestLogMoves: CONFIG SET dir takes the log along: a start in the new directory finds what was there
// and what changed since, with the move under way and behind it.
func TestLogMoves(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	t.Chdir(from)
	d := &brokenDisk{Disk: persist.OSDisk}
	n := mustStart(t, d, logYes...)
	n.must("set before 1")
	n.must("select 3")
	n.must("set early 1") // the file in force needs no SELECT from here on, the new one does
	d.hold.Store(true)
	if out := n.do("config", "set", "dir", to); out != "+OK\r\n" {
		t.Fatal(out)
	}
	// It is whole in one of the two at any moment: all that is acknowledged lies in
	// the old directory until the new one has a manifest.
	poll(t, "the base", n.aof.Rewriting)
	i := 0
	write := func() {
		i++
		n.must(fmt.Sprintf("set during%d 1", i))
	}
	for range 3 {
		write()
	}
	d.hold.Store(false)
	poll(t, "the move", func() bool { write(); return strings.Contains(n.text(), "has moved from") })
	n.must("set behind 1")
	if err := n.aof.Flush(); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadDir(filepath.Join(from, "appendonlydir"))
	if err != nil {
		t.Fatal(err)
	}
	n.stop()
	if after, _ := os.ReadDir(filepath.Join(from, "appendonlydir")); len(after) != len(old) {
		t.Errorf("the old directory had %v and has %v", old, after)
	}
	for dir, want := range map[string]map[string]string{
		to:   {"before": "0", "during1": "3", "during2": "3", fmt.Sprint("during", i): "3", "behind": "3"},
		from: {"before": "0", "during1": "3"},
	} {
		t.Chdir(dir)
		m := mustStart(t, nil, logYes...)
		for key, db := range want {
			m.must("select " + db)
			if out := m.run("get " + key); out != "$1\r\n1\r\n" {
				t.Errorf("in %s: %s is %q", dir, key, out)
			}
		}
		m.stop()
	}
}

// TestLogMoveFails: where the new directory cannot be written the log stays whole where it is.
func TestLogMoveFails(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(to, "appendonlydir"), []byte("in the way"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(from)
	n := mustStart(t, nil, logYes...)
	n.must("set a 1")
	n.do("config", "set", "dir", to)
	poll(t, "the failure", func() bool { return strings.Contains(n.text(), "Can't rewrite append only file in background") })
	n.must("set b 1")
	n.stop()
	t.Chdir(from)
	m := mustStart(t, nil, logYes...)
	if out := m.run("mget a b"); out != "*2\r\n$1\r\n1\r\n$1\r\n1\r\n" {
		t.Errorf("%q", out)
	}
}

// TestLogWithoutManifest: files of a log whose manifest is missing are not taken for nothing.
func TestLogWithoutManifest(t *testing.T) {
	t.Chdir(t.TempDir())
	n := mustStart(t, nil, logYes...)
	n.must("set a 1")
	n.stop()
	incr, manifest := filepath.Join("appendonlydir", "appendonly.aof.1.incr.aof"), filepath.Join("appendonlydir", "appendonly.aof.manifest")
	whole, _ := os.ReadFile(incr)
	list, _ := os.ReadFile(manifest)
	os.Remove(manifest)
	refused := func(name string) {
		t.Helper()
		m, err := start(t, nil, logYes...)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "appendonly.aof.manifest") || !strings.Contains(err.Error(), "move the files away") {
			t.Errorf("the start says %v", err)
		}
		m.stop()
	}
	refused("appendonly.aof.1.incr.aof")
	if now, _ := os.ReadFile(incr); string(now) != string(whole) {
		t.Fatalf("the increment of %d bytes has become one of %d", len(whole), len(now))
	}

	// At run time a log begins beside them.
	m := mustStart(t, nil, "save", "")
	m.must("set b 1")
	m.must("config set appendonly yes")
	poll(t, "the first base", func() bool { _, err := os.Stat(manifest); return err == nil })
	m.stop()
	if now, _ := os.ReadFile(incr); string(now) != string(whole) {
		t.Errorf("a log that began at run time has replaced the increment")
	}
	if now, _ := os.ReadFile(manifest); !strings.Contains(string(now), "appendonly.aof.2.base.rdb") {
		t.Errorf("the manifest is %q", now)
	}

	// With the manifest back all is there.
	if err := os.WriteFile(manifest, list, 0o644); err != nil {
		t.Fatal(err)
	}
	m = mustStart(t, nil, logYes...)
	if out := m.run("get a"); out != "$1\r\n1\r\n" {
		t.Errorf("%q", out)
	}
	m.stop()

	// What a crash in the first start leaves is no reason to refuse, a base with keys is.
	for _, rdb := range []string{"yes", "no"} {
		t.Run("base "+rdb, func(t *testing.T) {
			t.Chdir(t.TempDir())
			with := append([]string{"aof-use-rdb-preamble", rdb, "aof-timestamp-enabled", "yes"}, logYes...)
			m := mustStart(t, nil, with...)
			m.stop()
			os.Remove(manifest)
			m = mustStart(t, nil, with...)
			m.must("set a 1")
			m.run("bgrewriteaof")
			poll(t, "the rewrite", func() bool { return !m.aof.Rewriting() })
			m.stop()
			os.Remove(manifest)
			os.Remove(filepath.Join("appendonlydir", "appendonly.aof.2.incr.aof"))
			_, err := start(t, nil, with...)
			if err == nil || !strings.Contains(err.Error(), "appendonly.aof.2.base") {
				t.Errorf("a base with a key: %v", err)
			}
		})
	}
}

// TestDirectoryForAFile: a directory where a file of data is expected is no reason to begin empty.
func TestDirectoryForAFile(t *testing.T) {
	for name, set := range map[string][]string{
		"dump.rdb":       {"save", "3600 1"},
		"appendonly.aof": logYes,
		filepath.Join("appendonlydir", "appendonly.aof.manifest"): logYes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.MkdirAll(name, 0o755); err != nil {
				t.Fatal(err)
			}
			if _, err := start(t, nil, set...); err == nil || !strings.Contains(err.Error(), filepath.Base(name)) {
				t.Errorf("the start says %v", err)
			}
		})
	}
}

// deniedDisk is a file system whose locks cannot be made: the directory cannot be written.
type deniedDisk struct{ persist.Disk }

func (deniedDisk) Lock(name string) (io.Closer, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

// TestReadOnlyDirectory: a directory that can only be read is served, with a warning.
func TestReadOnlyDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	n := mustStart(t, nil, "save", "")
	n.must("set a 1")
	n.do("save")
	n.stop()
	m := mustStart(t, deniedDisk{persist.OSDisk}, "save", "3600 1")
	if err := m.aof.LockDir(); err != nil {
		t.Errorf("the start is refused: %v", err)
	}
	if out := m.run("get a"); out != "$1\r\n1\r\n" || !strings.Contains(m.text(), "cannot be written") {
		t.Errorf("%q\n%s", out, m.text())
	}
}
