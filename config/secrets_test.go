package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) string {
		f, err := os.CreateTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		return f.Name()
	}
	for _, test := range []struct {
		env, lines string
		want       string // of requirepass
		err        string
	}{
		{"", "requirepass-file " + file("a b\n"), "a b", ""},
		{"fromenv", "", "fromenv", ""},
		{"fromenv", "requirepass given", "given", ""},
		{"fromenv", "requirepass-file " + file("x\r\n"), "x", ""},
		{"", "requirepass given\nrequirepass-file " + file("x"), "", "both requirepass and requirepass-file are given"},
		{"", "requirepass-file " + file("\n"), "", "must have one line"},
		{"", "requirepass-file " + file("a\nb\n"), "", "must have one line"},
		{"", "requirepass-file " + filepath.Join(dir, "none"), "", "Can't read the file"},
	} {
		t.Setenv("KVD_REQUIREPASS", test.env)
		c := New()
		if err := load(c, test.lines); err != nil {
			t.Fatal(err)
		}
		err := c.Finish()
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: %v, want %q", test.lines, err, test.err)
			}
			continue
		}
		if err != nil || c.RequirePass.Load() != test.want {
			t.Errorf("%q: %v, the password is %q, want %q", test.lines, err, c.RequirePass.Load(), test.want)
		}
	}
	t.Setenv("KVD_REQUIREPASS", "")
	t.Setenv("KVD_MASTERAUTH", "m")
	c := New()
	if err := c.Finish(); err != nil || c.MasterAuth.Load() != "m" {
		t.Errorf("KVD_MASTERAUTH: %v, %q", err, c.MasterAuth.Load())
	}
}

// TestSecretsAreNotWritten: CONFIG REWRITE does not bring them into the file.
func TestSecretsAreNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.conf")
	if err := os.WriteFile(path, []byte("timeout 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KVD_REQUIREPASS", "hush")
	c := New()
	if err := c.LoadFile(path); err != nil {
		t.Fatal(err)
	}
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	rewritten := func() string {
		if err := c.Rewrite(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if text := rewritten(); strings.Contains(text, "hush") || !strings.Contains(text, "timeout 5") {
		t.Errorf("the file is\n%s", text)
	}
	if err := set(c, "requirepass", "other"); err != nil {
		t.Fatal(err)
	}
	if text := rewritten(); !strings.Contains(text, `requirepass "other"`) {
		t.Errorf("after CONFIG SET the file is\n%s", text)
	}
}
